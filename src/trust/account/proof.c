/*
 * Signing in. An attempt is counted in a change of its own before it is looked at, so that many at
 * once are not looked at for free; what it led to is a second change.
 */
#include "account_impl.h"
#include "crypto/password.h"
#include <string.h>

enum { TICKET_S = 300 };

/* What no password matches, made with today's costs: an unknown name takes as long as a known one.
 */
static const char nobodys[] = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGlzIGhlcmUh$"
                              "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

static enum err refused(struct error *e)
{
    return error_set(e, ERR_UNAUTHENTICATED, "the name or the proof is not right");
}

/* --- what all share --- */

enum err proof_done(struct trust *t, struct store_conn *c, struct arena *a, struct request *req,
                    int64_t account, unsigned amr, struct proof_result *out, struct error *e)
{
    struct session now = {0};
    enum err err = req ? session_read(t, c, req, &now, NULL) : ERR_UNAUTHENTICATED;
    if (err && err != ERR_UNAUTHENTICATED)
        return error_set(e, err, "the session cannot be read");
    err = OK;
    bool same = now.id && now.account == account;
    if (now.id && !same)
        err = session_end(t, c, now.id, e);
    out->session = same ? now : (struct session){.account = account};
    return err ? err : session_start(t, c, a, &out->session, amr, req, &out->cookie, e);
}

enum err proof_changed(struct trust *t, struct store_conn *c, int64_t account, const char *event,
                       struct str detail, struct error *e)
{
    struct arena a = ARENA_INIT;
    struct json_member m[] = {json_m(S("event"), json_v_str(str_c(event))),
                              json_m(S("detail"), json_v_str(detail))};
    struct json v = json_v_object(m, detail.n ? 2 : 1);
    struct str text = json_to_text(&a, &v);
    enum err err = account_log(t, c, account, S("account"), text, NULL, e);
    if (!err)
        err = notice_add(t, c, account, S("proof"), text, e);
    arena_release(&a);
    return err;
}

enum err proof_ways(struct store_conn *c, int64_t account, struct proof_ways *out, struct error *e)
{
    struct store_rows rows;
    *out = (struct proof_ways){0};
    store_query(c, &rows,
                "SELECT (SELECT COUNT(*) FROM account_password WHERE account = $1),"
                " (SELECT COUNT(*) FROM account_otp WHERE account = $1),"
                " (SELECT COUNT(*) FROM account_passkey WHERE account = $1),"
                " (SELECT COUNT(*) FROM account_recovery WHERE account = $1)",
                SV(SV_INT(account)));
    if (store_next(&rows))
        *out = (struct proof_ways){store_int(&rows, 0) > 0, store_int(&rows, 1) > 0,
                                   store_int(&rows, 2), store_int(&rows, 3)};
    return store_end(&rows, e);
}

enum err proof_erase(struct store_conn *c, int64_t account, struct error *e)
{
    static const char *const statements[] = {"DELETE FROM account_password WHERE account = $1",
                                             "DELETE FROM account_otp WHERE account = $1",
                                             "DELETE FROM account_recovery WHERE account = $1",
                                             "DELETE FROM account_passkey WHERE account = $1",
                                             "DELETE FROM account_secret WHERE account = $1"};
    enum err err = OK;
    for (size_t i = 0; !err && i < sizeof(statements) / sizeof(statements[0]); i++)
        err = store_exec(c, statements[i], SV(SV_INT(account)), NULL, e);
    return err;
}

/* One attempt, on its way through the store. */
struct attempt {
    struct trust *t;
    struct arena *a;
    struct request *req;
    struct proof_result *out;
    struct throttle throttle;
    int64_t account; /* 0: unknown */
    struct str text; /* ticket or code */
    struct str code;
    struct str phc; /* a new hash of the same password; absent: it is as it should be */
    bool second, good;
};

static enum err apply_enter(struct store_conn *c, void *ctx, struct error *e)
{
    struct attempt *x = ctx;
    return throttle_enter(x->t, c, &x->throttle, e);
}

static enum err enter(struct attempt *x, const char *what, struct str name, struct error *e)
{
    enum err err = throttle_for(x->t, x->a, what, name, x->req, &x->throttle, e);
    if (!err)
        err = store_write(x->t->store, apply_enter, x, e);
    x->out->wait_s = x->throttle.wait_s;
    return err;
}

/* --- a password --- */

/* The account of a name that may be signed in, and its hash; without one, nobody's. */
static enum err look_up(struct attempt *x, struct store_conn *c, struct str login, struct str *phc,
                        struct error *e)
{
    int64_t ids[ACCOUNT_FOUND_MAX];
    size_t n;
    struct account account;
    *phc = S(nobodys);
    enum err err = account_find(x->t, c, x->a, INDEX_LOGIN, login, ids, &n, e);
    if (err || n != 1)
        return err;
    err = account_read(c, x->a, ids[0], &account, e);
    if (err || !account_may_sign_in(account.state))
        return err;
    err = password_read(x->t, c, x->a, ids[0], phc, e);
    if (err)
        return err == ERR_NOT_FOUND ? OK : err;
    x->account = ids[0];
    return otp_is_set(c, ids[0], &x->second, e);
}

static enum err apply_password(struct store_conn *c, void *ctx, struct error *e)
{
    struct attempt *x = ctx;
    struct secret s = {x->account, STR_NONE};
    int64_t now = clock_now(x->t->clock);
    enum err err = throttle_forgive(c, &x->throttle, e);
    if (!err && x->phc.p)
        err = password_keep(x->t, c, x->account, x->phc, e);
    if (err)
        return err;
    if (x->second)
        return secret_make(c, x->a, SECRET_SECOND, &s, now + TICKET_S * SECOND_US, &x->out->ticket,
                           e);
    return proof_done(x->t, c, x->a, x->req, x->account, AMR_PASSWORD, x->out, e);
}

enum err proof_password(struct trust *t, struct arena *a, struct request *req, struct str login,
                        struct str password, struct proof_result *out, struct error *e)
{
    struct attempt x = {.t = t, .a = a, .req = req, .out = out};
    struct str folded = index_value(a, INDEX_LOGIN, login), phc = S(nobodys);
    *out = (struct proof_result){0};
    enum err err = enter(&x, "password", folded.n ? folded : S("-"), e);
    if (err)
        return err;
    struct store_conn *c = store_read(t->store, e);
    if (!c)
        return e->code;
    err = look_up(&x, c, login, &phc, e);
    store_read_done(c);
    bool good = !err && password_matches(phc, password) && x.account;
    if (!err && !good)
        return refused(e);
    if (!err && password_outdated(phc))
        err = password_hash(a, password, &x.phc, e);
    return err ? err : store_write(t->store, apply_password, &x, e);
}

/* --- a second proof --- */

/* Counted whatever comes of it: so the change succeeds, and x->good tells. */
static enum err apply_second(struct store_conn *c, void *ctx, struct error *e)
{
    struct attempt *x = ctx;
    struct secret s;
    x->good = false;
    enum err err = secret_try(c, x->a, SECRET_SECOND, x->text, clock_now(x->t->clock), &s, e);
    if (err)
        return err == ERR_UNAUTHENTICATED ? OK : err;
    err = throttle_for(x->t, x->a, "second", str_printf(x->a, "%lld", (long long)s.account), x->req,
                       &x->throttle, e);
    if (!err)
        err = throttle_enter(x->t, c, &x->throttle, e);
    if (!err)
        err = otp_use(x->t, c, x->a, s.account, x->code, &x->good, e);
    if (err || !x->good)
        return err;
    err = throttle_forgive(c, &x->throttle, e);
    if (!err)
        err = secret_drop(c, SECRET_SECOND, s.account, e);
    return err ? err
               : proof_done(x->t, c, x->a, x->req, s.account, AMR_PASSWORD | AMR_OTP, x->out, e);
}

enum err proof_second(struct trust *t, struct arena *a, struct request *req, struct str ticket,
                      struct str code, struct proof_result *out, struct error *e)
{
    struct attempt x = {.t = t, .a = a, .req = req, .out = out, .text = ticket, .code = code};
    *out = (struct proof_result){0};
    enum err err = store_write(t->store, apply_second, &x, e);
    out->wait_s = x.throttle.wait_s;
    return err || x.good ? err : refused(e);
}

/* --- a code of the desk --- */

static enum err apply_code(struct store_conn *c, void *ctx, struct error *e)
{
    struct attempt *x = ctx;
    struct secret s;
    enum err err = secret_use(c, x->a, SECRET_ENROL, x->text, clock_now(x->t->clock), &s, e);
    if (!err)
        err = throttle_forgive(c, &x->throttle, e);
    return err ? err : proof_done(x->t, c, x->a, x->req, s.account, AMR_DESK, x->out, e);
}

enum err proof_code(struct trust *t, struct arena *a, struct request *req, struct str code,
                    struct proof_result *out, struct error *e)
{
    struct attempt x = {.t = t, .a = a, .req = req, .out = out, .text = code};
    *out = (struct proof_result){0};
    enum err err = enter(&x, "code", STR_NONE, e);
    return err ? err : store_write(t->store, apply_code, &x, e);
}
