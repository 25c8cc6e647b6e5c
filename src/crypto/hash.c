/* hash.c - digests, random bytes and their texts, see hash.h. */
#include "crypto/hash.h"

#include <openssl/sha.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static void start_sodium(void)
{
    if (sodium_init() < 0) /* no source of randomness: nothing can be done safely */
        abort();
}

/* libsodium picks its implementations at the first call; before that it is slow and not
 * thread-safe. */
static void need_sodium(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start_sodium);
}

struct hash hash_sha256(struct str s)
{
    struct hash h;
    SHA256((const unsigned char *)(s.p ? s.p : ""), s.n, h.b);
    return h;
}

struct hash hash_blake2b(struct str s)
{
    struct hash h;
    need_sodium();
    crypto_generichash(h.b, sizeof(h.b), (const unsigned char *)s.p, s.n, NULL, 0);
    return h;
}

struct hash hash_blake2b_fields(const struct str *fields, size_t n)
{
    struct hash h;
    crypto_generichash_state state;
    need_sodium();
    crypto_generichash_init(&state, NULL, 0, sizeof(h.b));
    for (size_t i = 0; i < n; i++) {
        uint64_t length = fields[i].p ? (uint64_t)fields[i].n : UINT64_MAX;
        unsigned char prefix[8];
        for (int k = 0; k < 8; k++)
            prefix[k] = (unsigned char)(length >> (8 * k));
        crypto_generichash_update(&state, prefix, sizeof(prefix));
        if (fields[i].p)
            crypto_generichash_update(&state, (const unsigned char *)fields[i].p, fields[i].n);
    }
    crypto_generichash_final(&state, h.b, sizeof(h.b));
    return h;
}

bool bytes_equal(struct str x, struct str y)
{
    if (x.n != y.n)
        return false;
    return x.n == 0 || sodium_memcmp(x.p, y.p, x.n) == 0;
}

void random_bytes(void *out, size_t n)
{
    need_sodium();
    randombytes_buf(out, n);
}

struct str random_token(struct arena *a, size_t bytes)
{
    char *raw = arena_alloc(a, bytes);
    random_bytes(raw, bytes);
    struct str text = base64url_encode(a, str_n(raw, bytes));
    sodium_memzero(raw, bytes);
    return text;
}

struct str uuid_v4(struct arena *a)
{
    unsigned char b[16];
    char hex[33];
    random_bytes(b, sizeof(b));
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    sodium_bin2hex(hex, sizeof(hex), b, sizeof(b));
    return str_printf(a, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

struct str hex_encode(struct arena *a, struct str bytes)
{
    size_t room = bytes.n * 2 + 1;
    char *text = arena_alloc(a, room);
    sodium_bin2hex(text, room, (const unsigned char *)bytes.p, bytes.n);
    return str_n(text, room - 1);
}

bool hex_decode(struct arena *a, struct str text, struct str *bytes)
{
    size_t n = 0;
    if (text.n % 2)
        return false;
    unsigned char *out = arena_alloc(a, text.n / 2 + 1);
    const char *end = NULL;
    if (text.n && sodium_hex2bin(out, text.n / 2, text.p, text.n, NULL, &n, &end) != 0)
        return false;
    if (n != text.n / 2)
        return false;
    *bytes = str_n((char *)out, n);
    return true;
}

static struct str encode(struct arena *a, struct str bytes, int variant)
{
    size_t room = sodium_base64_encoded_len(bytes.n, variant);
    char *text = arena_alloc(a, room);
    sodium_bin2base64(text, room, (const unsigned char *)bytes.p, bytes.n, variant);
    return str_n(text, strlen(text));
}

static bool decode(struct arena *a, struct str text, struct str *bytes, int variant)
{
    size_t n = 0;
    const char *end = NULL;
    unsigned char *out = arena_alloc(a, text.n / 4 * 3 + 3);
    if (text.n &&
        sodium_base642bin(out, text.n / 4 * 3 + 3, text.p, text.n, NULL, &n, &end, variant) != 0)
        return false;
    if (text.n && end != text.p + text.n)
        return false;
    *bytes = str_n((char *)out, n);
    return true;
}

struct str base64_encode(struct arena *a, struct str bytes)
{
    return encode(a, bytes, sodium_base64_VARIANT_ORIGINAL);
}

struct str base64url_encode(struct arena *a, struct str bytes)
{
    return encode(a, bytes, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

bool base64_decode(struct arena *a, struct str text, struct str *bytes)
{
    return decode(a, text, bytes, sodium_base64_VARIANT_ORIGINAL);
}

bool base64url_decode(struct arena *a, struct str text, struct str *bytes)
{
    return decode(a, text, bytes, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}
