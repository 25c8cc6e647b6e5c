/*
 * Devices without a keyboard (RFC 8628): kiosks, tablets of a shelter. The device shows a short
 * code, a person types it in elsewhere, is asked as for any other client, and the device, which
 * asks now and then, gets its tokens.
 *
 *     waiting --yes--> allowed --first poll--> used up
 *        \-----no----> denied
 *
 * Typing in is counted, right or wrong, by account and by address, in the change that looks the
 * code up: so that nobody can try codes out, in however many processes.
 */
#include "authz.h"
#include <string.h>

enum { DEVICE_WAITING, DEVICE_ALLOWED, DEVICE_DENIED, DEVICE_USED };
enum {
    DEVICE_CODE_BYTES = 32,
    USER_CODE_CHARS = 8,
    POLL_S = 5,
    TRY_WINDOW_S = 600,
    TRIES_OF_ADDRESS = 10, /* times oidc.device_tries: an address may be a whole shelter's */
};

/* Consonants that nobody takes for one another and that make no words (RFC 8628 section 6.1). */
static const char letters[] = "BCDFGHJKLMNPQRSTVWXZ";

static struct str new_user_code(struct arena *a)
{
    char *text = arena_alloc(a, USER_CODE_CHARS);
    for (size_t n = 0; n < USER_CODE_CHARS;) {
        unsigned char b;
        random_bytes(&b, 1);
        if (b < 240) /* a multiple of 20: all letters alike */
            text[n++] = letters[b % 20];
    }
    return str_n(text, USER_CODE_CHARS);
}

/* As people type it: in any case, with blanks and dashes. Absent: it can be no code. */
static struct str read_user_code(struct arena *a, struct str typed)
{
    char *text = arena_alloc(a, USER_CODE_CHARS);
    size_t n = 0;
    for (size_t i = 0; i < typed.n; i++) {
        char ch = typed.p[i];
        if (ch == '-' || ch == ' ')
            continue;
        if (ch >= 'a' && ch <= 'z')
            ch = (char)(ch - 'a' + 'A');
        if (n == USER_CODE_CHARS || !ch || !strchr(letters, ch))
            return STR_NONE;
        text[n++] = ch;
    }
    return n == USER_CODE_CHARS ? str_n(text, n) : STR_NONE;
}

/* --- the device asks --- */

struct beginning {
    struct authz z;
    struct str code, user_code;
};

static enum err keep_device(struct call *c, struct store_conn *conn, struct error *e)
{
    const struct beginning *b = c->own;
    struct hash h = hash_sha256(b->code);
    return store_exec(conn,
                      "INSERT INTO oidc_device(hash, user_code, client, doc, state, grant_n,"
                      " polled, pause, expires) VALUES ($1, $2, $3, $4, $5, 0, 0, $6, $7)",
                      SV(SV_BLOB(hash_bytes(&h)), SV_TEXT(b->user_code), SV_TEXT(c->client->id),
                         SV_TEXT(request_text(c, &b->z)), SV_INT(DEVICE_WAITING), SV_INT(POLL_S),
                         SV_INT(c->now + c->o->options->device_s * SECOND_US)),
                      NULL, e);
}

static void answer_device(struct call *c)
{
    const struct beginning *k = c->own;
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    struct str shown = str_printf(c->a, "%.4s-%.4s", k->user_code.p, k->user_code.p + 4);
    struct str at = call_url(c, OIDC_DEVICE_PATH);
    json_w_object(&w);
    json_w_kstr(&w, S("device_code"), k->code);
    json_w_kstr(&w, S("user_code"), shown);
    json_w_kstr(&w, S("verification_uri"), at);
    json_w_kstr(&w, S("verification_uri_complete"),
                str_printf(c->a, "%" STR_F "?user_code=%" STR_F, STR_A(at), STR_A(shown)));
    json_w_ki64(&w, S("expires_in"), c->o->options->device_s);
    json_w_ki64(&w, S("interval"), POLL_S);
    json_w_end(&w);
    call_json(c, 200, &b);
}

static enum http_answer begin(struct call *c, struct store_conn *conn)
{
    struct beginning *b = ARENA_NEW(c->a, struct beginning);
    enum http_answer answer;
    const char *text, *code;
    if (!call_client(c, conn, CLIENT_PUBLIC_TOO, &answer))
        return answer;
    if (!(c->client->grants & GRANT_DEVICE))
        return call_fail(c, 400, "unauthorized_client", "the client is not registered for this");
    b->z.device = S("");
    if ((code = authz_check(c, &b->z, &text)))
        return call_fail(c, 400, code, text);
    b->code = random_token(c->a, DEVICE_CODE_BYTES);
    b->user_code = new_user_code(c->a);
    c->own = b;
    return call_write(c, keep_device, answer_device);
}

/* --- a person types the code in --- */

struct typing {
    struct session s;
    struct str user_code, to;
};

/* One try more; *left false: there were too many. */
static enum err count_try(struct call *c, struct store_conn *conn, const char *kind, struct str who,
                          int64_t most, bool *left, struct error *e)
{
    int64_t window = c->now / (TRY_WINDOW_S * SECOND_US), changed = 0;
    enum err err = OK;
    for (int64_t k = 0; !err && !changed && k < most; k++) {
        struct str fields[] = {str_c(kind), who, str_n((const char *)&window, sizeof(window)),
                               str_n((const char *)&k, sizeof(k))};
        struct hash h = hash_blake2b_fields(fields, 4);
        err = store_exec(conn,
                         "INSERT INTO oidc_once(hash, until) VALUES ($1, $2)"
                         " ON CONFLICT (hash) DO NOTHING",
                         SV(SV_BLOB(hash_bytes(&h)), SV_INT(c->now + 2 * TRY_WINDOW_S * SECOND_US)),
                         &changed, e);
    }
    *left = *left && changed;
    return err;
}

/* The waiting device of a code, as the request that its person will be asked about. */
static enum err find_device(struct call *c, struct store_conn *conn, const struct typing *t,
                            struct authz *z, bool *found, struct error *e)
{
    struct store_rows rows;
    struct str doc = STR_NONE, client = STR_NONE;
    store_query(conn, &rows,
                "SELECT hash, client, doc FROM oidc_device"
                " WHERE user_code = $1 AND state = $2 AND expires > $3",
                SV(SV_TEXT(t->user_code), SV_INT(DEVICE_WAITING), SV_INT(c->now)));
    if (store_next(&rows)) {
        z->device = base64url_encode(c->a, store_blob(&rows, 0));
        client = str_dup(c->a, store_text(&rows, 1));
        doc = str_dup(c->a, store_text(&rows, 2));
    }
    enum err err = store_end(&rows, e);
    *found = doc.p != NULL;
    if (err || !*found)
        return err;
    struct str device = z->device;
    err = request_take(c, doc, z, e);
    z->device = device;
    c->client = ARENA_NEW(c->a, struct oidc_client);
    return err ? err : client_read(conn, c->a, client, c->client, e);
}

static enum err look_up(struct call *c, struct store_conn *conn, struct error *e)
{
    struct typing *t = c->own;
    struct authz z = {0};
    bool left = true, found = false;
    int64_t most = c->o->options->device_tries;
    struct str account = str_n((const char *)&t->s.account, sizeof(t->s.account));
    struct str id = random_token(c->a, 32);
    t->to = S(OIDC_DEVICE_PATH "?wrong=code");
    enum err err = count_try(c, conn, "device.account", account, most, &left, e);
    if (!err)
        err =
            count_try(c, conn, "device.address", c->req->client, most * TRIES_OF_ADDRESS, &left, e);
    if (!err && !left)
        t->to = S(OIDC_DEVICE_PATH "?wrong=often");
    if (err || !left || !t->user_code.p)
        return err;
    err = find_device(c, conn, t, &z, &found, e);
    if (err || !found)
        return err;
    t->to = str_concat(c->a, S("/oidc/authorize/continue?interaction="), id);
    return request_keep(c, conn, REQUEST_INTERACTION, &z, id, c->o->options->device_s, e);
}

static void go_on(struct call *c)
{
    const struct typing *t = c->own;
    call_go(c, t->to);
}

static enum http_answer type_in(struct call *c, struct store_conn *conn)
{
    struct typing *t = ARENA_NEW(c->a, struct typing);
    struct str typed = call_param(c, "user_code");
    struct error e = {0};
    enum err err = session_read(c->o->trust, conn, c->req, &t->s, &e);
    c->own = t;
    if (err && err != ERR_UNAUTHENTICATED)
        return call_error(c, &e);
    if (err) {
        struct str back = str_concat(c->a, S(OIDC_DEVICE_PATH "?user_code="),
                                     url_encode(c->a, typed.p ? typed : S("")));
        t->to = str_concat(c->a, S(SESSION_SIGN_IN_PATH "?to="), url_encode(c->a, back));
        go_on(c);
        return HTTP_DONE;
    }
    if (!session_form_ok(c->a, &t->s, S("device"), call_param(c, "token")))
        return call_fail(c, 403, "access_denied", "this form is not yours, or it is too old");
    t->user_code = typed.p ? read_user_code(c->a, typed) : STR_NONE;
    return call_write(c, look_up, go_on);
}

enum err device_decided(struct call *c, struct store_conn *conn, const struct authz *z,
                        int64_t grant, struct error *e)
{
    struct str hash;
    int64_t changed = 0;
    if (!base64url_decode(c->a, z->device, &hash))
        return error_set(e, ERR_CORRUPT, "a kept request is damaged");
    enum err err = store_exec(conn,
                              "UPDATE oidc_device SET state = $2, grant_n = $3"
                              " WHERE hash = $1 AND state = $4 AND expires > $5",
                              SV(SV_BLOB(hash), SV_INT(grant ? DEVICE_ALLOWED : DEVICE_DENIED),
                                 SV_INT(grant), SV_INT(DEVICE_WAITING), SV_INT(c->now)),
                              &changed, e);
    if (err || changed)
        return err;
    c->problem = (struct oauth_problem){400, "expired_token", S("the device's code is over")};
    return grant ? grant_end(conn, grant, c->now, e) : OK;
}

/* --- the device asks again --- */

struct polling {
    struct hash hash;
    struct str client;
    int64_t state, polled, pause, expires;
    struct grant grant;
    struct tokens tokens;
};

/* ERR_NOT_FOUND: there is no such code. */
static enum err read_device(struct call *c, struct store_conn *conn, struct polling *p,
                            struct error *e)
{
    struct store_rows rows;
    struct str doc = STR_NONE;
    store_query(conn, &rows,
                "SELECT d.client, d.state, d.polled, d.pause, d.expires, g.n, g.account, g.session,"
                " g.expires, g.ended, g.doc FROM oidc_device d"
                " LEFT JOIN oidc_grant g ON g.n = d.grant_n WHERE d.hash = $1",
                SV(SV_BLOB(hash_bytes(&p->hash))));
    if (store_next(&rows)) {
        p->client = str_dup(c->a, store_text(&rows, 0));
        p->state = store_int(&rows, 1);
        p->polled = store_int(&rows, 2);
        p->pause = store_int(&rows, 3);
        p->expires = store_int(&rows, 4);
        if (!store_is_null(&rows, 5)) {
            p->grant = (struct grant){.n = store_int(&rows, 5),
                                      .account = store_int(&rows, 6),
                                      .session = store_int(&rows, 7),
                                      .expires = store_int(&rows, 8),
                                      .ended = store_int(&rows, 9) != 0};
            doc = str_dup(c->a, store_text(&rows, 10));
        }
    }
    enum err err = store_end(&rows, e);
    if (err)
        return err;
    if (!p->client.p)
        return error_set(e, ERR_NOT_FOUND, "there is no such code");
    return doc.p ? grant_open(c->a, doc, &p->grant, e) : OK;
}

/* Asked too early, the pause grows (RFC 8628 section 3.5). */
static enum err wait_more(struct call *c, struct store_conn *conn, struct error *e)
{
    const struct polling *p = c->own;
    bool early = c->now - p->polled < p->pause * SECOND_US;
    c->problem = (struct oauth_problem){400, early ? "slow_down" : "authorization_pending",
                                        S("nobody has decided yet")};
    return store_exec(conn, "UPDATE oidc_device SET polled = $2, pause = $3 WHERE hash = $1",
                      SV(SV_BLOB(hash_bytes(&p->hash)), SV_INT(c->now),
                         SV_INT(p->pause + (early ? POLL_S : 0))),
                      NULL, e);
}

static enum err use_up(struct call *c, struct store_conn *conn, struct error *e)
{
    const struct polling *p = c->own;
    int64_t changed = 0;
    enum err err =
        store_exec(conn, "UPDATE oidc_device SET state = $2 WHERE hash = $1 AND state = $3",
                   SV(SV_BLOB(hash_bytes(&p->hash)), SV_INT(DEVICE_USED), SV_INT(DEVICE_ALLOWED)),
                   &changed, e);
    if (!err && !changed)
        c->problem = (struct oauth_problem){400, "invalid_grant", S("the code was used before")};
    return err || !changed ? err : tokens_keep(conn, &p->tokens, e);
}

static void answer_tokens(struct call *c)
{
    const struct polling *p = c->own;
    tokens_answer(c, &p->tokens);
}

enum http_answer grant_device(struct call *c, struct store_conn *conn)
{
    struct polling *p = ARENA_NEW(c->a, struct polling);
    struct str shown = call_param(c, "device_code");
    struct error e = {0};
    if (!shown.p)
        return call_fail(c, 400, "invalid_request", "device_code is missing");
    p->hash = hash_sha256(shown);
    c->own = p;
    enum err err = read_device(c, conn, p, &e);
    if (err && err != ERR_NOT_FOUND)
        return call_error(c, &e);
    if (err || !str_eq(p->client, c->client->id))
        return call_fail(c, 400, "invalid_grant", "there is no such code for this client");
    if (p->expires <= c->now)
        return call_fail(c, 400, "expired_token", "the code is over");
    if (p->state == DEVICE_DENIED)
        return call_fail(c, 400, "access_denied", "the person said no");
    if (p->state == DEVICE_WAITING)
        return call_write(c, wait_more, answer_tokens);
    if (p->state == DEVICE_USED || p->grant.ended || !account_may(conn, c->a, p->grant.account))
        return call_fail(c, 400, "invalid_grant", "the code was used before, or it was ended");
    struct issue i = p->grant.issue;
    if (!call_binding(c, &i))
        return HTTP_DONE;
    if (tokens_make(c, conn, &p->grant, &i, c->client->grants & GRANT_REFRESH, &p->tokens, &e))
        return call_error(c, &e);
    return call_write(c, use_up, answer_tokens);
}

/* --- routes --- */

static enum http_answer post_device(struct request *req, struct response *res, void *ctx)
{
    return call_run(req, res, ctx, post_device, CALL_FORM, begin);
}

static enum http_answer post_verify(struct request *req, struct response *res, void *ctx)
{
    return call_run(req, res, ctx, post_verify, CALL_FORM | CALL_PAGE, type_in);
}

static const struct route routes[] = {
    {"POST", "/oidc/device_authorization", post_device, ROUTE_PUBLIC_CORS},
    {"POST", "/oidc/device/verify", post_verify, 0},
};

void device_routes(struct oidc *o, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), o);
}
