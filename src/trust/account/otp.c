/* The authenticator app of an account, and its recovery codes. */
#include "crypto/otp.h"
#include "account_impl.h"
#include "core/text.h"
#include <string.h>

#define SECRET "account.otp"

enum { RECOVERY_CHARS = 16 };

struct str otp_new_secret(struct arena *a)
{
    char *bytes = arena_alloc(a, OTP_SECRET_BYTES);
    random_bytes(bytes, OTP_SECRET_BYTES);
    return str_n(bytes, OTP_SECRET_BYTES);
}

struct str otp_uri(struct arena *a, struct str secret, struct str issuer, struct str name)
{
    struct str who = url_encode(a, issuer);
    return str_printf(a, "otpauth://totp/%" STR_F ":%" STR_F "?secret=%" STR_F "&issuer=%" STR_F,
                      STR_A(who), STR_A(url_encode(a, name)), STR_A(base32_encode(a, secret)),
                      STR_A(who));
}

enum err otp_is_set(struct store_conn *c, int64_t account, bool *out, struct error *e)
{
    int64_t n = 0;
    enum err err = store_get_int(c, &n, "SELECT COUNT(*) FROM account_otp WHERE account = $1",
                                 SV(SV_INT(account)), e);
    *out = n > 0;
    return err;
}

/* Digits as typed, in full width too. */
static struct str digits_of(struct arena *a, struct str typed)
{
    struct str s = typed.n <= 100 && str_is_utf8(typed) ? text_fold(a, typed) : STR_NONE;
    char *out = arena_alloc(a, s.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] >= '0' && s.p[i] <= '9')
            out[n++] = s.p[i];
    return str_n(out, n);
}

static enum err wrong_code(struct error *e)
{
    return error_set(e, ERR_UNAUTHENTICATED, "the code is not right");
}

enum err otp_set(struct trust *t, struct store_conn *c, int64_t account, struct str secret,
                 struct str code, struct error *e)
{
    struct arena a = ARENA_INIT;
    struct vault_place at = {account, S(SECRET), place_number()};
    struct str sealed;
    int64_t step;
    enum err err = OK;
    if (secret.n != OTP_SECRET_BYTES ||
        !otp_matches(secret, clock_now(t->clock), -1, digits_of(&a, code), &step))
        err = wrong_code(e);
    if (!err)
        err = vault_seal(t->vault, c, &a, &at, secret, &sealed, e);
    if (!err)
        err = store_exec(c,
                         "INSERT INTO account_otp(account, secret, number, step)"
                         " VALUES ($1, $2, $3, $4) ON CONFLICT (account) DO UPDATE SET"
                         " secret = excluded.secret, number = excluded.number,"
                         " step = excluded.step",
                         SV(SV_INT(account), SV_BLOB(sealed), SV_INT(at.number), SV_INT(step)),
                         NULL, e);
    if (!err)
        err = proof_changed(t, c, account, "otp-set", STR_NONE, e);
    arena_release(&a);
    return err;
}

enum err otp_remove(struct trust *t, struct store_conn *c, int64_t account, struct error *e)
{
    int64_t changed = 0;
    enum err err = store_exec(c, "DELETE FROM account_otp WHERE account = $1", SV(SV_INT(account)),
                              &changed, e);
    if (!err && changed)
        err = store_exec(c, "DELETE FROM account_recovery WHERE account = $1", SV(SV_INT(account)),
                         NULL, e);
    return err || !changed ? err : proof_changed(t, c, account, "otp-removed", STR_NONE, e);
}

/* --- recovery codes --- */

static enum err recovery_blind(struct trust *t, struct str words, struct hash *h, struct error *e)
{
    return vault_blind(t->vault, S("account.recovery"), words, h, e);
}

enum err recovery_make(struct trust *t, struct store_conn *c, struct arena *a, int64_t account,
                       struct str codes[RECOVERY_CODES], struct error *e)
{
    unsigned char bytes[RECOVERY_CHARS * 5 / 8];
    enum err err = store_exec(c, "DELETE FROM account_recovery WHERE account = $1",
                              SV(SV_INT(account)), NULL, e);
    for (int i = 0; !err && i < RECOVERY_CODES; i++) {
        struct hash h;
        random_bytes(bytes, sizeof(bytes));
        struct str plain = base32_encode(a, str_n((const char *)bytes, sizeof(bytes)));
        codes[i] = str_printf(a, "%" STR_F "-%" STR_F "-%" STR_F "-%" STR_F,
                              STR_A(str_sub(plain, 0, 4)), STR_A(str_sub(plain, 4, 4)),
                              STR_A(str_sub(plain, 8, 4)), STR_A(str_sub(plain, 12, 4)));
        err = recovery_blind(t, plain, &h, e);
        if (!err)
            err = store_exec(c, "INSERT INTO account_recovery(account, blind) VALUES ($1, $2)",
                             SV(SV_INT(account), SV_BLOB(hash_text(&h))), NULL, e);
    }
    return err ? err : proof_changed(t, c, account, "recovery-made", STR_NONE, e);
}

static enum err use_recovery(struct trust *t, struct store_conn *c, int64_t account,
                             struct str words, bool *good, struct error *e)
{
    struct hash h;
    int64_t changed = 0;
    enum err err = recovery_blind(t, words, &h, e);
    if (!err)
        err = store_exec(c, "DELETE FROM account_recovery WHERE account = $1 AND blind = $2",
                         SV(SV_INT(account), SV_BLOB(hash_text(&h))), &changed, e);
    *good = changed > 0;
    return err || !*good ? err : proof_changed(t, c, account, "recovery-used", STR_NONE, e);
}

/* --- a code at sign-in --- */

static enum err use_app(struct trust *t, struct store_conn *c, struct arena *a, int64_t account,
                        struct str digits, bool *good, struct error *e)
{
    struct store_rows rows;
    struct str sealed = STR_NONE, secret;
    struct vault_place at = {account, S(SECRET), 0};
    int64_t used = 0, step = 0;
    store_query(c, &rows, "SELECT secret, number, step FROM account_otp WHERE account = $1",
                SV(SV_INT(account)));
    if (store_next(&rows)) {
        sealed = str_dup(a, store_blob(&rows, 0));
        at.number = store_int(&rows, 1);
        used = store_int(&rows, 2);
    }
    enum err err = store_end(&rows, e);
    if (err || !sealed.p)
        return err;
    err = vault_unseal(t->vault, c, a, &at, sealed, &secret, e);
    *good = !err && otp_matches(secret, clock_now(t->clock), used, digits, &step);
    if (!*good)
        return err;
    return store_exec(c, "UPDATE account_otp SET step = $2 WHERE account = $1",
                      SV(SV_INT(account), SV_INT(step)), NULL, e);
}

enum err otp_use(struct trust *t, struct store_conn *c, struct arena *a, int64_t account,
                 struct str code, bool *good, struct error *e)
{
    struct str digits = digits_of(a, code), words = secret_words(a, code);
    *good = false;
    if (words.n == RECOVERY_CHARS) /* which has digits too */
        return use_recovery(t, c, account, words, good, e);
    return digits.n == OTP_DIGITS ? use_app(t, c, a, account, digits, good, e) : OK;
}
