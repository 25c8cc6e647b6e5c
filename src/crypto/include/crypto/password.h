/*
 * password.h - passwords as Argon2id texts (RFC 9106, PHC string format), by libsodium.
 *
 * A hash takes about a tenth of a second of one core and PASSWORD_MEMORY bytes, on purpose. So both
 * functions belong on a pool thread, behind a limit on how many run at once.
 */
#ifndef CRYPTO_PASSWORD_H
#define CRYPTO_PASSWORD_H

#include "core/arena.h"
#include "core/error.h"
#include "core/str.h"

/* The least that OWASP's Password Storage Cheat Sheet names for Argon2id with one lane. */
enum { PASSWORD_MEMORY = 19 << 20, PASSWORD_PASSES = 2, PASSWORD_BYTES_MAX = 1024 };

/* A new "$argon2id$v=19$..." text. ERR_TOO_LARGE over PASSWORD_BYTES_MAX; ERR_UNAVAILABLE when
 * there is no memory for it. */
enum err password_hash(struct arena *a, struct str password, struct str *out, struct error *e);
/* False for a wrong password and for a text that is none. */
bool password_matches(struct str hash, struct str password);
/* Made with other costs than today's: hash it again at the next sign-in. */
bool password_outdated(struct str hash);

#endif
