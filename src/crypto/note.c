/* Signed notes, see note.h. */
#include "crypto/note.h"
#include <sodium.h>
#include <string.h>

#define DASH        "\xe2\x80\x94 " /* em dash and a blank before each signature */
#define SECRET_WORD "PRIVATE+KEY+"

enum { ED25519 = 1, PUBLIC = 32, SEED = 32, SIGNATURE = 64, ID = 4, NAME_BYTES_MAX = 255 };

static bool is_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || s.p[i] == '+' || s.p[i] == 0x7f)
            return false;
    return s.n > 0 && s.n <= NAME_BYTES_MAX && str_is_utf8(s);
}

static uint32_t id_of(struct str name, const unsigned char key[static PUBLIC])
{
    static const unsigned char between[] = {'\n', ED25519};
    crypto_hash_sha256_state state;
    unsigned char h[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, (const unsigned char *)name.p, name.n);
    crypto_hash_sha256_update(&state, between, sizeof(between));
    crypto_hash_sha256_update(&state, key, PUBLIC);
    crypto_hash_sha256_final(&state, h);
    return (uint32_t)h[0] << 24 | (uint32_t)h[1] << 16 | (uint32_t)h[2] << 8 | h[3];
}

/* --- keys --- */

static void from_seed(struct note_key *k, const unsigned char seed[static SEED])
{
    crypto_sign_seed_keypair(k->public_key, k->secret_key, seed);
    k->signs = true;
    k->id = id_of(k->name, k->public_key);
}

enum err note_key_make(struct arena *a, struct str name, struct note_key *out, struct error *e)
{
    unsigned char seed[SEED];
    if (!is_name(name))
        return error_set(e, ERR_INVALID, "\"%" STR_F "\" cannot be the name of a key",
                         STR_A(str_cut(name, 100)));
    random_bytes(seed, sizeof(seed));
    *out = (struct note_key){.name = str_dup(a, name)};
    from_seed(out, seed);
    sodium_memzero(seed, sizeof(seed));
    return OK;
}

/* "NAME+ID+KEY"; only '+' of base64 may follow the second one. */
static bool split(struct arena *a, struct str text, struct str *name, struct str *id,
                  struct str *bytes)
{
    ptrdiff_t first = str_find_char(text, '+');
    if (first < 0)
        return false;
    *name = str_sub(text, 0, (size_t)first);
    struct str rest = str_from(text, (size_t)first + 1);
    ptrdiff_t second = str_find_char(rest, '+');
    return second == 2 * ID && hex_decode(a, str_sub(rest, 0, 2 * ID), id) &&
           base64_decode(a, str_from(rest, 2 * ID + 1), bytes) && bytes->n == 1 + PUBLIC &&
           bytes->p[0] == ED25519 && is_name(*name);
}

enum err note_key_parse(struct arena *a, struct str text, struct note_key *out, struct error *e)
{
    struct str name, id, bytes;
    bool secret = str_starts(text, S(SECRET_WORD));
    if (secret)
        text = str_from(text, sizeof(SECRET_WORD) - 1);
    if (!split(a, text, &name, &id, &bytes))
        return error_set(e, ERR_INVALID, "this is not a key of signed notes");
    *out = (struct note_key){.name = str_dup(a, name)};
    if (secret) {
        from_seed(out, (const unsigned char *)bytes.p + 1);
    } else {
        memcpy(out->public_key, bytes.p + 1, PUBLIC);
        out->id = id_of(name, out->public_key);
    }
    const unsigned char *b = (const unsigned char *)id.p;
    uint32_t said = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
    return said == out->id ? OK : error_set(e, ERR_INVALID, "the id is not that of the key");
}

static struct str key_text(struct arena *a, const struct note_key *k, const char *word,
                           const unsigned char *bytes)
{
    unsigned char typed[1 + PUBLIC] = {ED25519};
    memcpy(typed + 1, bytes, PUBLIC);
    struct str text = base64_encode(a, str_n((const char *)typed, sizeof(typed)));
    sodium_memzero(typed, sizeof(typed));
    return str_printf(a, "%s%" STR_F "+%08x+%" STR_F, word, STR_A(k->name), k->id, STR_A(text));
}

struct str note_key_public(struct arena *a, const struct note_key *k)
{
    return key_text(a, k, "", k->public_key);
}

struct str note_key_secret(struct arena *a, const struct note_key *k)
{
    return key_text(a, k, SECRET_WORD, k->secret_key);
}

void note_key_wipe(struct note_key *k)
{
    sodium_memzero(k->secret_key, sizeof(k->secret_key));
    k->signs = false;
}

/* --- notes --- */

bool note_is_text(struct str text)
{
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.p[i] < ' ' && text.p[i] != '\n')
            return false;
    return text.n > 0 && text.n <= NOTE_BYTES_MAX && text.p[text.n - 1] == '\n' &&
           str_is_utf8(text);
}

struct str note_sign(struct arena *a, const struct note_key *k, struct str text)
{
    unsigned char bytes[ID + SIGNATURE] = {(unsigned char)(k->id >> 24),
                                           (unsigned char)(k->id >> 16),
                                           (unsigned char)(k->id >> 8), (unsigned char)k->id};
    crypto_sign_detached(bytes + ID, NULL, (const unsigned char *)text.p, text.n, k->secret_key);
    struct str sig = base64_encode(a, str_n((const char *)bytes, sizeof(bytes)));
    return str_printf(a, "%" STR_F "\n" DASH "%" STR_F " %" STR_F "\n", STR_A(text), STR_A(k->name),
                      STR_A(sig));
}

/* "— NAME BASE64"; the first four bytes are the key's id. */
static bool read_signature(struct arena *a, struct str line, struct str *name, struct str *bytes)
{
    if (!str_starts(line, S(DASH)))
        return false;
    struct str rest = str_from(line, sizeof(DASH) - 1);
    ptrdiff_t blank = str_find_char(rest, ' ');
    if (blank < 0)
        return false;
    *name = str_sub(rest, 0, (size_t)blank);
    return is_name(*name) && base64_decode(a, str_from(rest, (size_t)blank + 1), bytes) &&
           bytes->n > ID;
}

static bool by_key(const struct note_key *k, struct str name, struct str bytes)
{
    const unsigned char *b = (const unsigned char *)bytes.p;
    uint32_t id = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
    return id == k->id && str_eq(name, k->name);
}

/* The text ends at the last empty line; what follows are signatures. */
static bool cut(struct str note, struct str *text, struct str *signatures)
{
    size_t i = note.n;
    while (i > 1 && !(note.p[i - 1] == '\n' && note.p[i - 2] == '\n'))
        i--;
    if (i < 2 || note.n > NOTE_BYTES_MAX || note.p[note.n - 1] != '\n')
        return false;
    *text = str_sub(note, 0, i - 1);
    *signatures = str_sub(note, i, note.n - i - 1);
    return note_is_text(*text) && signatures->n < note.n;
}

enum err note_open(struct arena *a, struct str note, const struct note_key *keys, size_t n,
                   struct str *text, bool *by, struct error *e)
{
    struct str body, rest, line, name, bytes;
    size_t lines = 0, good = 0;
    if (!cut(note, &body, &rest) || !rest.n)
        return error_set(e, ERR_INVALID, "this is not a signed note");
    for (size_t i = 0; by && i < n; i++)
        by[i] = false;
    while (str_split(&rest, '\n', &line)) {
        if (!read_signature(a, line, &name, &bytes) || ++lines > NOTE_SIGNATURES_MAX)
            return error_set(e, ERR_INVALID, "a line of signature is not well-formed");
        for (size_t i = 0; i < n; i++) {
            if (!by_key(&keys[i], name, bytes))
                continue;
            if (bytes.n != ID + SIGNATURE ||
                crypto_sign_verify_detached((const unsigned char *)bytes.p + ID,
                                            (const unsigned char *)body.p, body.n,
                                            keys[i].public_key))
                return error_set(e, ERR_UNAUTHENTICATED,
                                 "the signature of %" STR_F " does not hold", STR_A(name));
            good++;
            if (by)
                by[i] = true;
        }
    }
    *text = body;
    return good ? OK : error_set(e, ERR_UNAUTHENTICATED, "no key that is known signed the note");
}
