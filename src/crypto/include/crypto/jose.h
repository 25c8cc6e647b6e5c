/*
 * jose.h - keys as JSON (JWK, RFC 7517; thumbprints RFC 7638; Ed25519 RFC 8037) and signed tokens
 * (JWS, RFC 7515, compact form only), as RFC 8725 wants them used.
 *
 * A key signs and verifies with one algorithm and no other, whatever a token says: a token's "alg"
 * must be the key's. There is no "none", no HMAC, no encryption; symmetric keys are refused. Keys
 * that a token brings along or points to (jwk, jku, x5c, x5u) are never used by jws_verify(), and a
 * token with "crit" is refused, because we understand no extension. Objects with a name twice are
 * refused, base64url is strict, RSA has 2048 to 4096 bits, points lie on their curve.
 *
 * A struct jose_key is immutable, counted, and may be used by any thread.
 *
 *     struct jws j;
 *     if (jws_read(a, text, &j, &e) || jws_verify(&j, key, &e))
 *         return e.code;
 *     use(j.payload);
 */
#ifndef CRYPTO_JOSE_H
#define CRYPTO_JOSE_H

#include "core/json.h"
#include "crypto/hash.h"

enum jose_alg {
    JOSE_ES256, /* P-256 and SHA-256 */
    JOSE_PS256, /* RSASSA-PSS, SHA-256, salt of 32 bytes */
    JOSE_RS256, /* RSASSA-PKCS1-v1_5, SHA-256: for WebAuthn and other parties' keys */
    JOSE_EDDSA, /* Ed25519 */
    JOSE_ALGS
};
const char *jose_alg_name(enum jose_alg alg);
bool jose_alg_find(struct str name, enum jose_alg *out);

struct jose_key;

/* A new pair. */
enum err jose_key_make(enum jose_alg alg, struct jose_key **out, struct error *e);
/*
 * A JWK. Its algorithm is its "alg", else what its type and curve imply; for RSA without "alg" it
 * is rsa. ERR_INVALID for anything that is not well-formed, for another algorithm or curve, for
 * use="enc" and for key_ops that neither sign nor verify. private_too: take the private part when
 * it is there; without it a JWK that has one is refused, because it should not have been sent.
 */
enum err jose_key_parse(const struct json *jwk, enum jose_alg rsa, bool private_too,
                        struct jose_key **out, struct error *e);
struct jose_key *jose_key_hold(struct jose_key *k);
void jose_key_free(struct jose_key *k); /* NULL is allowed */

enum jose_alg jose_key_alg(const struct jose_key *k);
bool jose_key_signs(const struct jose_key *k);
/* "kid" of the JWK, else the thumbprint. */
struct str jose_key_id(const struct jose_key *k);
/* RFC 7638 with SHA-256, base64url; of the public part. */
struct str jose_key_thumbprint(const struct jose_key *k);
/* As an object: kty, alg, use, kid and the numbers. private_too needs a key that signs. */
enum err jose_key_write(struct json_writer *w, const struct jose_key *k, bool private_too,
                        struct error *e);

/* --- tokens --- */

/* A token taken apart, nothing of it proved. Texts are in the arena or in the token. */
struct jws {
    struct str alg, type, kid; /* of the header; absent when not there */
    const struct json *header;
    struct str payload;
    struct str signed_text; /* header '.' payload, as sent */
    struct str signature;
};
/* ERR_INVALID. Tokens longer than 64 KiB are ERR_TOO_LARGE. */
enum err jws_read(struct arena *a, struct str text, struct jws *out, struct error *e);
/* ERR_UNAUTHENTICATED: not signed by this key with its algorithm. */
enum err jws_verify(const struct jws *j, const struct jose_key *k, struct error *e);
/* A token of the payload with alg, kid and typ (absent: none). ERR_INVALID when k cannot sign. */
enum err jws_sign(struct arena *a, const struct jose_key *k, struct str type, struct str payload,
                  struct str *out, struct error *e);

/* --- the signatures alone, in the form of RFC 7518 (ES256: r and s) --- */

enum err jose_sign(struct arena *a, const struct jose_key *k, struct str text, struct str *out,
                   struct error *e);
bool jose_verify(const struct jose_key *k, struct str text, struct str signature);
/* The same with signatures of ES256 in DER, as WebAuthn and X.509 have them; other algorithms have
 * one form only. */
bool jose_verify_der(const struct jose_key *k, struct str text, struct str signature);

#endif
