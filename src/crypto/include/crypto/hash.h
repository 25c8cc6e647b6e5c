/*
 * hash.h - digests, random bytes and their texts. BLAKE2b and randomness by libsodium, SHA-256 by
 * OpenSSL. All functions are thread-safe.
 */
#ifndef CRYPTO_HASH_H
#define CRYPTO_HASH_H

#include "core/arena.h"
#include "core/str.h"

enum { HASH_BYTES = 32 };

struct hash {
    unsigned char b[HASH_BYTES];
};

struct hash hash_sha256(struct str s);
struct hash hash_blake2b(struct str s);

/* BLAKE2b over several texts, each preceded by its length (8 bytes, little-endian), so that
 * boundaries count. An absent text has the length 2^64 - 1: it differs from the empty one. */
struct hash hash_blake2b_fields(const struct str *fields, size_t n);

bool bytes_equal(struct str x, struct str y);           /* constant time in the content */
void random_bytes(void *out, size_t n);                 /* from the kernel's CSPRNG */
struct str random_token(struct arena *a, size_t bytes); /* base64url text */
struct str uuid_v4(struct arena *a);

struct str hex_encode(struct arena *a, struct str bytes);
/* The decoders are strict: no blanks, no missing or superfluous padding, no stray bits; hex in
 * either case. They return false and leave *bytes alone otherwise. */
bool hex_decode(struct arena *a, struct str text, struct str *bytes);
struct str base64_encode(struct arena *a, struct str bytes);
struct str base64url_encode(struct arena *a, struct str bytes); /* without padding */
bool base64_decode(struct arena *a, struct str text, struct str *bytes);
bool base64url_decode(struct arena *a, struct str text, struct str *bytes);

#endif
