#include "crypto/otp.h"
#include "core/clock.h"
#include "crypto/hash.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

uint32_t otp_hotp(struct str secret, uint64_t counter, int digits)
{
    unsigned char message[8], mac[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    uint32_t modulus = 1;
    for (int i = 0; i < 8; i++)
        message[i] = (unsigned char)(counter >> (56 - 8 * i));
    HMAC(EVP_sha1(), secret.p, (int)secret.n, message, sizeof(message), mac, &n);
    unsigned at = mac[n - 1] & 15;
    uint32_t v = (uint32_t)(mac[at] & 0x7f) << 24 | (uint32_t)mac[at + 1] << 16 |
                 (uint32_t)mac[at + 2] << 8 | mac[at + 3];
    for (int i = 0; i < digits; i++)
        modulus *= 10;
    return v % modulus;
}

static bool is_code_of(struct str secret, int64_t step, struct str code)
{
    char text[OTP_DIGITS];
    uint32_t v = otp_hotp(secret, (uint64_t)step, OTP_DIGITS);
    for (int i = OTP_DIGITS - 1; i >= 0; i--, v /= 10)
        text[i] = (char)('0' + v % 10);
    return bytes_equal(code, str_n(text, OTP_DIGITS));
}

bool otp_matches(struct str secret, int64_t at, int64_t used_step, struct str code, int64_t *step)
{
    int64_t now = at / SECOND_US / OTP_STEP_S;
    bool found = false;
    for (int64_t s = now - 1; s <= now + 1; s++) {
        if (s > used_step && is_code_of(secret, s, code)) {
            *step = s;
            found = true;
        }
    }
    return found;
}

struct str base32_encode(struct arena *a, struct str bytes)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    char *out = arena_alloc(a, bytes.n * 8 / 5 + 2);
    size_t n = 0;
    uint32_t bits = 0;
    int have = 0;
    for (size_t i = 0; i < bytes.n; i++) {
        bits = (bits << 8 | (unsigned char)bytes.p[i]) & 0xfff;
        have += 8;
        for (; have >= 5; have -= 5)
            out[n++] = letters[bits >> (have - 5) & 31];
    }
    if (have)
        out[n++] = letters[bits << (5 - have) & 31];
    out[n] = '\0';
    return str_n(out, n);
}
