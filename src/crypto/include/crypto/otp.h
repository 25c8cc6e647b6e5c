/*
 * otp.h - one-time passwords of authenticator apps: HOTP (RFC 4226), TOTP (RFC 6238) as all of them
 * have it: HMAC-SHA-1, six digits, steps of 30 s from 1970.
 */
#ifndef CRYPTO_OTP_H
#define CRYPTO_OTP_H

#include "core/arena.h"
#include "core/str.h"

enum { OTP_SECRET_BYTES = 20, OTP_DIGITS = 6, OTP_STEP_S = 30 };

/* Digits 6 to 9. */
uint32_t otp_hotp(struct str secret, uint64_t counter, int digits);
/*
 * Is it the code of the step at an instant, or of the one before or after (clocks differ)? Only
 * steps after the last one that was used count: a code works once. *step is the one to remember.
 */
bool otp_matches(struct str secret, int64_t at, int64_t used_step, struct str code, int64_t *step);

/* RFC 4648 section 6, without padding: for secrets and codes that people type. */
struct str base32_encode(struct arena *a, struct str bytes);

#endif
