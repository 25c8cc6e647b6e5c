/*
 * seal.h - sealing data at rest: XChaCha20-Poly1305 with context, keys that wrap keys, blind
 * indexes.
 *
 * Sealed bytes are a version byte, a random nonce of 24 bytes, the ciphertext, and a tag of 16
 * bytes. The context (which subject, table, column, version) is authenticated but not stored: a
 * value that is moved to another place does not open. A subject's data are sealed with a key of its
 * own, which is kept wrapped by a key-encryption key; destroying the wrapped key erases all that it
 * sealed.
 *
 *     struct seal_key k = seal_key_new();
 *     struct str kept = seal(a, &k, context, plain);
 *     if (!unseal(a, &k, context, kept, &plain)) ...      forged, damaged, or from elsewhere
 *     seal_key_wipe(&k);
 */
#ifndef CRYPTO_SEAL_H
#define CRYPTO_SEAL_H

#include "core/arena.h"
#include "crypto/hash.h"

enum { SEAL_KEY_BYTES = 32, SEAL_OVERHEAD = 1 + 24 + 16 };

struct seal_key {
    unsigned char b[SEAL_KEY_BYTES];
};

struct seal_key seal_key_new(void);
/* A key for one purpose, which tells nothing about the others (HKDF-SHA-256, RFC 5869). */
struct seal_key seal_key_derive(const struct seal_key *root, struct str purpose);
void seal_key_wipe(struct seal_key *k);

/* Parts of a context; boundaries count, and an absent part differs from an empty one. */
struct seal_context {
    const struct str *parts;
    size_t n;
};

struct str seal(struct arena *a, const struct seal_key *k, struct seal_context at,
                struct str plain);
/* False, and *plain left alone, unless these very bytes were sealed with this key at this place. */
bool unseal(struct arena *a, const struct seal_key *k, struct seal_context at, struct str sealed,
            struct str *plain);

/* A key sealed by another. */
struct str seal_wrap(struct arena *a, const struct seal_key *kek, struct seal_context at,
                     const struct seal_key *k);
bool seal_unwrap(const struct seal_key *kek, struct seal_context at, struct str wrapped,
                 struct seal_key *k);

/* For finding equal values without opening them: HMAC-SHA-256 under a key of its own. */
struct hash seal_blind(const struct seal_key *k, struct str value);

#endif
