/* Sealing by libsodium, see seal.h. */
#include "crypto/seal.h"
#include <sodium.h>
#include <string.h>

enum {
    VERSION = 1,
    NONCE = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
    TAG = crypto_aead_xchacha20poly1305_ietf_ABYTES
};
_Static_assert(SEAL_OVERHEAD == 1 + NONCE + TAG, "what seal.h promises");
_Static_assert(SEAL_KEY_BYTES == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "size of keys");
_Static_assert(HASH_BYTES == crypto_auth_hmacsha256_BYTES, "size of MACs");

struct seal_key seal_key_new(void)
{
    struct seal_key k;
    random_bytes(k.b, sizeof(k.b));
    return k;
}

static struct hash hmac(const unsigned char *key, size_t n, struct str text, unsigned char tail,
                        bool with_tail)
{
    crypto_auth_hmacsha256_state state;
    struct hash h;
    crypto_auth_hmacsha256_init(&state, key, n);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)text.p, text.n);
    if (with_tail)
        crypto_auth_hmacsha256_update(&state, &tail, 1);
    crypto_auth_hmacsha256_final(&state, h.b);
    sodium_memzero(&state, sizeof(state));
    return h;
}

/* One block of output is all of it: extract with a salt of zeros, expand once. */
struct seal_key seal_key_derive(const struct seal_key *root, struct str purpose)
{
    static const unsigned char no_salt[HASH_BYTES];
    struct hash prk =
        hmac(no_salt, sizeof(no_salt), str_n((const char *)root->b, sizeof(root->b)), 0, false);
    struct hash okm = hmac(prk.b, sizeof(prk.b), purpose, 1, true);
    struct seal_key k;
    memcpy(k.b, okm.b, sizeof(k.b));
    sodium_memzero(&prk, sizeof(prk));
    sodium_memzero(&okm, sizeof(okm));
    return k;
}

void seal_key_wipe(struct seal_key *k)
{
    sodium_memzero(k, sizeof(*k));
}

/* Room for the sealed form stands in out. */
static void seal_into(unsigned char *out, const struct seal_key *k, struct seal_context at,
                      const void *plain, size_t n)
{
    struct hash ad = hash_blake2b_fields(at.parts, at.n);
    out[0] = VERSION;
    random_bytes(out + 1, NONCE);
    crypto_aead_xchacha20poly1305_ietf_encrypt(out + 1 + NONCE, NULL, plain, n, ad.b, sizeof(ad.b),
                                               NULL, out + 1, k->b);
}

/* Room for sealed.n - SEAL_OVERHEAD bytes stands in out. */
static bool unseal_into(unsigned char *out, const struct seal_key *k, struct seal_context at,
                        struct str sealed)
{
    const unsigned char *p = (const unsigned char *)sealed.p;
    struct hash ad = hash_blake2b_fields(at.parts, at.n);
    return p[0] == VERSION &&
           crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, p + 1 + NONCE,
                                                      sealed.n - 1 - NONCE, ad.b, sizeof(ad.b),
                                                      p + 1, k->b) == 0;
}

struct str seal(struct arena *a, const struct seal_key *k, struct seal_context at, struct str plain)
{
    unsigned char *out = arena_alloc(a, plain.n + SEAL_OVERHEAD);
    seal_into(out, k, at, plain.p, plain.n);
    return str_n((const char *)out, plain.n + SEAL_OVERHEAD);
}

bool unseal(struct arena *a, const struct seal_key *k, struct seal_context at, struct str sealed,
            struct str *plain)
{
    if (sealed.n < SEAL_OVERHEAD)
        return false;
    unsigned char *out = arena_alloc(a, sealed.n - SEAL_OVERHEAD + 1);
    if (!unseal_into(out, k, at, sealed))
        return false;
    out[sealed.n - SEAL_OVERHEAD] = '\0';
    *plain = str_n((const char *)out, sealed.n - SEAL_OVERHEAD);
    return true;
}

struct str seal_wrap(struct arena *a, const struct seal_key *kek, struct seal_context at,
                     const struct seal_key *k)
{
    return seal(a, kek, at, str_n((const char *)k->b, sizeof(k->b)));
}

bool seal_unwrap(const struct seal_key *kek, struct seal_context at, struct str wrapped,
                 struct seal_key *k)
{
    unsigned char out[SEAL_KEY_BYTES];
    if (wrapped.n != SEAL_KEY_BYTES + SEAL_OVERHEAD || !unseal_into(out, kek, at, wrapped))
        return false;
    memcpy(k->b, out, sizeof(k->b));
    sodium_memzero(out, sizeof(out));
    return true;
}

struct hash seal_blind(const struct seal_key *k, struct str value)
{
    return hmac(k->b, sizeof(k->b), value, 0, false);
}
