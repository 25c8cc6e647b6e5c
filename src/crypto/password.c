/* Argon2id by libsodium, see password.h. */
#include "crypto/password.h"
#include <sodium.h>
#include <string.h>

/* As libsodium wants it: NUL-terminated, of its own size; false when it is no such text. */
static bool as_text(struct str hash, char out[static crypto_pwhash_STRBYTES])
{
    if (hash.n == 0 || hash.n >= crypto_pwhash_STRBYTES || memchr(hash.p, 0, hash.n))
        return false;
    memset(out, 0, crypto_pwhash_STRBYTES);
    memcpy(out, hash.p, hash.n);
    return str_starts(hash, S(crypto_pwhash_argon2id_STRPREFIX));
}

enum err password_hash(struct arena *a, struct str password, struct str *out, struct error *e)
{
    char text[crypto_pwhash_STRBYTES];
    if (password.n > PASSWORD_BYTES_MAX)
        return error_set(e, ERR_TOO_LARGE, "a password may have %d bytes", PASSWORD_BYTES_MAX);
    if (sodium_init() < 0 ||
        crypto_pwhash_str_alg(text, password.p ? password.p : "", password.n, PASSWORD_PASSES,
                              PASSWORD_MEMORY, crypto_pwhash_ALG_ARGON2ID13))
        return error_set(e, ERR_UNAVAILABLE, "no memory to hash a password");
    *out = str_dup(a, str_c(text));
    return OK;
}

bool password_matches(struct str hash, struct str password)
{
    char text[crypto_pwhash_STRBYTES];
    return password.n <= PASSWORD_BYTES_MAX && as_text(hash, text) && sodium_init() >= 0 &&
           crypto_pwhash_str_verify(text, password.p ? password.p : "", password.n) == 0;
}

bool password_outdated(struct str hash)
{
    char text[crypto_pwhash_STRBYTES];
    return !as_text(hash, text) ||
           crypto_pwhash_str_needs_rehash(text, PASSWORD_PASSES, PASSWORD_MEMORY) != 0;
}
