/*
 * Sessions. The store holds the hash of a cookie's secret and nothing that would let somebody in;
 * what device it is stands sealed under the person's key.
 *
 *     begun (row, hash)  --step-up-->  the same row, another hash
 *     begun              --end------>  hash and device gone, ended set; the row goes later, and its
 *                                      number is not used again
 */
#include "account_impl.h"
#include "core/vec.h"
#include <stdlib.h>
#include <string.h>

#define DEVICE "session.device"

enum {
    SECRET_BYTES = 32,
    AGENT_BYTES_MAX = 300,
    TOUCH_S = 60,         /* that somebody is there is written down once a minute */
    KEEP_ENDED_S = 86400, /* rows of ended sessions */
    SWEEP_MAX = 500
};

#define COOKIE_TLS   "__Host-session"
#define COOKIE_PLAIN "session"

/* --- what proofs add up to --- */

enum acr acr_of(unsigned amr)
{
    bool verified = amr & AMR_PASSKEY && amr & AMR_USER;
    if ((amr & AMR_CARD && !(amr & AMR_UNCHECKED)) || (verified && amr & AMR_HARDWARE))
        return ACR_AAL3;
    if (verified || amr & AMR_CARD || (amr & AMR_PASSWORD && amr & (AMR_OTP | AMR_PASSKEY)))
        return ACR_AAL2;
    return amr & (AMR_PASSWORD | AMR_PASSKEY | AMR_DESK | AMR_FACE) ? ACR_AAL1 : ACR_NONE;
}

const char *acr_name(enum acr acr)
{
    static const char *const names[] = {"none", "aal1", "aal2", "aal3"};
    return names[acr];
}

bool acr_find(struct str name, enum acr *out)
{
    for (enum acr acr = ACR_AAL1; acr <= ACR_AAL3; acr++) {
        if (str_eq(name, str_c(acr_name(acr)))) {
            *out = acr;
            return true;
        }
    }
    return false;
}

/* --- secrets and keys --- */

static struct hash hash_of(struct str secret)
{
    struct str fields[] = {S("session"), secret};
    return hash_blake2b_fields(fields, 2);
}

static struct str form_key(struct arena *a, struct str secret)
{
    struct str fields[] = {S("session.forms"), secret};
    struct hash h = hash_blake2b_fields(fields, 2);
    return base64url_encode(a, hash_text(&h));
}

enum err session_sid(struct trust *t, struct arena *a, int64_t session, struct str *sid,
                     struct error *e)
{
    struct hash h;
    enum err err = vault_blind(t->vault, S("session.sid"),
                               str_n((const char *)&session, sizeof(session)), &h, e);
    if (!err)
        *sid = base64url_encode(a, str_n((const char *)h.b, 16));
    return err;
}

struct str session_form_token(struct arena *a, const struct session *s, struct str form)
{
    struct str fields[] = {S("form"), s->form_key, form};
    struct hash h = hash_blake2b_fields(fields, 3);
    return base64url_encode(a, str_n((const char *)h.b, 24));
}

bool session_form_ok(struct arena *a, const struct session *s, struct str form, struct str token)
{
    return s->form_key.n && token.n && bytes_equal(token, session_form_token(a, s, form));
}

/* --- the cookie --- */

static const char *cookie_name(const struct request *req)
{
    return req->tls ? COOKIE_TLS : COOKIE_PLAIN;
}

void session_cookie(struct trust *t, struct request *req, struct response *res, struct str secret)
{
    response_cookie(req, res, cookie_name(req), secret, t->options.session_max_s, false);
}

void session_cookie_clear(struct request *req, struct response *res)
{
    response_cookie(req, res, cookie_name(req), S(""), 0, false);
}

/* --- reading --- */

static enum err nobody(struct error *e)
{
    return error_set(e, ERR_UNAUTHENTICATED, "nobody is signed in");
}

/* That a session is in use, written without anybody waiting for it. */
struct touch {
    struct store_change change;
    int64_t session, now;
};

static enum err touch_apply(struct store_conn *c, void *ctx, struct error *e)
{
    struct touch *touch = ctx;
    return store_exec(c, "UPDATE session SET used = $2 WHERE id = $1 AND used < $2",
                      SV(SV_INT(touch->session), SV_INT(touch->now)), NULL, e);
}

static void touch_done(void *ctx, enum err code, const struct error *e)
{
    (void)code; /* the next request tries again */
    (void)e;
    free(ctx);
}

static void touch(struct trust *t, int64_t session, int64_t now)
{
    struct touch *one = malloc(sizeof(*one));
    if (!one)
        return;
    *one = (struct touch){.change = {.apply = touch_apply, .done = touch_done, .ctx = one},
                          .session = session,
                          .now = now};
    if (store_submit(t->store, &one->change))
        free(one);
}

static bool in_time(const struct trust *t, int64_t started, int64_t used, int64_t now)
{
    return now - started < t->options.session_max_s * SECOND_US &&
           now - used < t->options.session_idle_s * SECOND_US;
}

enum err session_of_secret(struct trust *t, struct store_conn *c, struct arena *a,
                           struct str secret, struct session *out, struct error *e)
{
    struct store_rows rows;
    int64_t used = 0, now = clock_now(t->clock);
    bool good = false;
    if (!secret.n || secret.n > 2 * SECRET_BYTES)
        return nobody(e);
    struct hash h = hash_of(secret);
    store_query(c, &rows,
                "SELECT s.id, s.account, s.amr, s.started, s.authenticated, s.used, a.state"
                " FROM session s JOIN account a ON a.id = s.account WHERE s.hash = $1",
                SV(SV_BLOB(hash_text(&h))));
    if (store_next(&rows)) {
        *out = (struct session){.id = store_int(&rows, 0),
                                .account = store_int(&rows, 1),
                                .amr = (unsigned)store_int(&rows, 2),
                                .started = store_int(&rows, 3),
                                .authenticated = store_int(&rows, 4)};
        used = store_int(&rows, 5);
        good = account_may_sign_in((enum account_state)store_int(&rows, 6)) &&
               in_time(t, out->started, used, now);
    }
    enum err err = store_end(&rows, e);
    if (err)
        return err;
    if (!good)
        return nobody(e);
    out->acr = acr_of(out->amr);
    out->form_key = form_key(a, secret);
    if (now - used >= TOUCH_S * SECOND_US)
        touch(t, out->id, now);
    return OK;
}

bool session_is_shown(const struct request *req)
{
    return request_cookie(req, cookie_name(req)).n > 0;
}

enum err session_read(struct trust *t, struct store_conn *c, const struct request *req,
                      struct session *out, struct error *e)
{
    return session_of_secret(t, c, req->arena, request_cookie(req, cookie_name(req)), out, e);
}

/* --- ending --- */

void session_on_end(struct trust *t,
                    enum err (*ended)(struct store_conn *c, int64_t session, void *ctx,
                                      struct error *e),
                    void *ctx)
{
    struct accounts *a = t->accounts;
    if (a->n_listeners == SESSION_LISTENERS_MAX)
        abort();
    a->listeners[a->n_listeners++] = (struct session_listener){ended, ctx};
}

enum err session_end(struct trust *t, struct store_conn *c, int64_t session, struct error *e)
{
    int64_t changed = 0;
    enum err err = store_exec(c,
                              "UPDATE session SET hash = NULL, device = NULL, ended = $2"
                              " WHERE id = $1 AND ended = 0",
                              SV(SV_INT(session), SV_INT(clock_now(t->clock))), &changed, e);
    for (size_t i = 0; !err && changed && i < t->accounts->n_listeners; i++) {
        const struct session_listener *l = &t->accounts->listeners[i];
        err = l->ended(c, session, l->ctx, e);
    }
    return err;
}

static enum err end_each(struct trust *t, struct store_conn *c, const int64_t *ids, size_t n,
                         struct error *e)
{
    enum err err = OK;
    for (size_t i = 0; !err && i < n; i++)
        err = session_end(t, c, ids[i], e);
    return err;
}

enum err session_end_all(struct trust *t, struct store_conn *c, int64_t account, int64_t but,
                         struct error *e)
{
    int64_t ids[2 * SESSIONS_MAX];
    struct store_rows rows;
    size_t n;
    enum err err;
    do {
        n = 0;
        store_query(c, &rows,
                    "SELECT id FROM session WHERE account = $1 AND ended = 0 AND id <> $2"
                    " ORDER BY id LIMIT 40",
                    SV(SV_INT(account), SV_INT(but)));
        while (n < 2 * SESSIONS_MAX && store_next(&rows))
            ids[n++] = store_int(&rows, 0);
        err = store_end(&rows, e);
        if (!err)
            err = end_each(t, c, ids, n, e);
    } while (!err && n == 2 * SESSIONS_MAX);
    return err;
}

enum err session_end_old(struct trust *t, struct store_conn *c, int64_t now, struct error *e)
{
    int64_t ids[SWEEP_MAX];
    struct store_rows rows;
    size_t n = 0;
    store_query(c, &rows,
                "SELECT id FROM session WHERE ended = 0 AND (started <= $1 OR used <= $2)"
                " ORDER BY id LIMIT 500",
                SV(SV_INT(now - t->options.session_max_s * SECOND_US),
                   SV_INT(now - t->options.session_idle_s * SECOND_US)));
    while (n < SWEEP_MAX && store_next(&rows))
        ids[n++] = store_int(&rows, 0);
    enum err err = store_end(&rows, e);
    if (!err)
        err = end_each(t, c, ids, n, e);
    /* The newest row stays: SQLite would give its number again. */
    if (!err)
        err = store_exec(c,
                         "DELETE FROM session WHERE ended > 0 AND ended < $1"
                         " AND id < (SELECT MAX(id) FROM session)",
                         SV(SV_INT(now - KEEP_ENDED_S * SECOND_US)), NULL, e);
    return err;
}

/* --- beginning --- */

static struct str plain_text(struct arena *a, struct str s)
{
    struct str text = str_dup(a, str_cut(s, AGENT_BYTES_MAX));
    return str_is_utf8(text) ? text : S("");
}

static struct str device_json(struct arena *a, const struct request *req, unsigned amr)
{
    struct json_member m[] = {
        json_m(S("agent"),
               json_v_str(req ? plain_text(a, request_header(req, "User-Agent")) : S(""))),
        json_m(S("address"), json_v_str(req ? plain_text(a, req->client) : S(""))),
        json_m(S("amr"), json_v_i64(a, (int64_t)amr))};
    struct json v = json_v_object(m, 3);
    return json_to_text(a, &v);
}

/* Room for one more: the one that was not used for longest ends. */
static enum err make_room(struct trust *t, struct store_conn *c, int64_t account, struct error *e)
{
    int64_t id;
    enum err err = store_get_int(c, &id,
                                 "SELECT id FROM session WHERE account = $1 AND ended = 0"
                                 " ORDER BY used DESC, id DESC LIMIT 1 OFFSET $2",
                                 SV(SV_INT(account), SV_INT(SESSIONS_MAX - 1)), e);
    return err == ERR_NOT_FOUND ? OK : err ? err : session_end(t, c, id, e);
}

static enum err begin(struct trust *t, struct store_conn *c, struct arena *a, struct session *s,
                      unsigned amr, const struct request *req, const struct hash *h,
                      struct error *e)
{
    struct vault_place at = {s->account, S(DEVICE), place_number()};
    struct str device = device_json(a, req, amr), sealed;
    enum err err = make_room(t, c, s->account, e);
    if (!err)
        err = vault_seal(t->vault, c, a, &at, device, &sealed, e);
    if (!err)
        err = store_get_int(
            c, &s->id,
            "INSERT INTO session(account, hash, amr, started, authenticated, used, device, number,"
            " ended) VALUES ($1, $2, $3, $4, $4, $4, $5, $6, 0) RETURNING id",
            SV(SV_INT(s->account), SV_BLOB(hash_text(h)), SV_INT(amr), SV_INT(s->started),
               SV_BLOB(sealed), SV_INT(at.number)),
            e);
    return err ? err : notice_add(t, c, s->account, S("sign-in"), device, e);
}

static enum err step_up(struct store_conn *c, struct session *s, const struct hash *h,
                        struct error *e)
{
    int64_t changed = 0;
    enum err err = store_exec(c,
                              "UPDATE session SET hash = $2, amr = $3, authenticated = $4,"
                              " used = $4 WHERE id = $1 AND account = $5 AND ended = 0",
                              SV(SV_INT(s->id), SV_BLOB(hash_text(h)), SV_INT(s->amr),
                                 SV_INT(s->authenticated), SV_INT(s->account)),
                              &changed, e);
    return err || changed ? err : nobody(e);
}

enum err session_start(struct trust *t, struct store_conn *c, struct arena *a, struct session *s,
                       unsigned amr, const struct request *req, struct str *secret, struct error *e)
{
    struct account account;
    int64_t now = clock_now(t->clock);
    enum err err = account_read(c, a, s->account, &account, e);
    if (err == ERR_NOT_FOUND || (!err && !account_may_sign_in(account.state)))
        return nobody(e);
    if (err)
        return err;
    *secret = random_token(a, SECRET_BYTES);
    struct hash h = hash_of(*secret);
    bool fresh = s->id == 0;
    if (fresh)
        s->started = now;
    s->amr = fresh ? amr : s->amr | amr;
    s->acr = acr_of(s->amr);
    s->authenticated = now;
    s->form_key = form_key(a, *secret);
    return fresh ? begin(t, c, a, s, amr, req, &h, e) : step_up(c, s, &h, e);
}

/* --- the list of devices --- */

enum err session_list(struct trust *t, struct store_conn *c, struct arena *a, int64_t account,
                      const struct session_device **out, size_t *n, struct error *e)
{
    VEC(struct session_device) list = VEC_INIT;
    struct store_rows rows;
    enum err err = OK;
    store_query(c, &rows,
                "SELECT id, amr, started, authenticated, used, device, number FROM session"
                " WHERE account = $1 AND ended = 0 ORDER BY id DESC LIMIT 20",
                SV(SV_INT(account)));
    while (!err && store_next(&rows)) {
        struct vault_place at = {account, S(DEVICE), store_int(&rows, 6)};
        struct str sealed = str_dup(a, store_blob(&rows, 5)), plain;
        struct session_device d = {.id = store_int(&rows, 0),
                                   .amr = (unsigned)store_int(&rows, 1),
                                   .started = store_int(&rows, 2),
                                   .authenticated = store_int(&rows, 3),
                                   .used = store_int(&rows, 4)};
        if (!in_time(t, d.started, d.used, clock_now(t->clock)))
            continue;
        err = vault_unseal(t->vault, c, a, &at, sealed, &plain, e);
        const struct json *v = err ? NULL : json_parse(a, plain, &JSON_DEFAULT, NULL);
        d.agent = json_text(json_get(v, S("agent")));
        d.address = json_text(json_get(v, S("address")));
        *vec_push(a, &list) = d;
    }
    enum err end = store_end(&rows, err ? NULL : e);
    *out = list.v;
    *n = list.n;
    return err ? err : end;
}
