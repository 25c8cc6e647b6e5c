/*
 * Signing out: by a client's request (OpenID Connect RP-Initiated Logout 1.0), and telling clients
 * that a session has ended (Back-Channel Logout 1.0).
 *
 * Whatever ends a session (here, another device, its age) calls session_ended() in its change: what
 * hangs on the session ends in it, and one row is written for each client that wants to hear.
 * Rows are delivered by whichever process has the duty, again and again with longer pauses, until
 * the client has said 200 or a day is over.
 */
#include "authz.h"
#include "core/log.h"
#include "core/vec.h"

enum {
    SENT_AT_ONCE = 10,
    SEND_MS = 2000,
    LEASE_S = 30,
    PAUSE_S = 5,
    PAUSES_MAX = 9, /* 5 s * 2^9: 43 minutes */
    GIVE_UP_S = 86400,
    TOKEN_S = 120
};

#define LOGOUT_EVENT "http://schemas.openid.net/event/backchannel-logout"

/* --- in the change that ends a session --- */

struct listener {
    struct str client, url, issuer, sub, sid;
};

static enum err find_listeners(struct store_conn *c, struct arena *a, int64_t session,
                               struct listener **out, size_t *n, struct error *e)
{
    VEC(struct listener) list = VEC_INIT;
    struct store_rows rows;
    store_query(c, &rows,
                "SELECT k.id, k.doc, MAX(g.doc) FROM oidc_grant g JOIN oidc_client k"
                " ON k.id = g.client WHERE g.session = $1 AND g.ended = 0 AND k.removed = 0"
                " GROUP BY k.id, k.doc",
                SV(SV_INT(session)));
    while (store_next(&rows)) {
        const struct json *client =
            json_parse(a, str_dup(a, store_text(&rows, 1)), &JSON_DEFAULT, NULL);
        const struct json *grant =
            json_parse(a, str_dup(a, store_text(&rows, 2)), &JSON_DEFAULT, NULL);
        struct str url = json_text(json_get(client, S("backchannel_logout_uri")));
        if (url.n)
            *vec_push(a, &list) = (struct listener){str_dup(a, store_text(&rows, 0)), url,
                                                    json_text(json_get(grant, S("iss"))),
                                                    json_text(json_get(grant, S("sub"))),
                                                    json_text(json_get(grant, S("sid")))};
    }
    *out = list.v;
    *n = list.n;
    return store_end(&rows, e);
}

enum err session_ended(struct store_conn *c, int64_t session, void *ctx, struct error *e)
{
    struct oidc *o = ctx;
    struct arena a = ARENA_INIT;
    struct listener *all;
    size_t n = 0;
    int64_t now = clock_now(o->trust->clock);
    enum err err = find_listeners(c, &a, session, &all, &n, e);
    for (size_t i = 0; !err && i < n; i++)
        err = store_exec(c,
                         "INSERT INTO oidc_logout(client, url, issuer, sub, sid, due, tries,"
                         " expires) VALUES ($1, $2, $3, $4, $5, $6, 0, $7)",
                         SV(SV_TEXT(all[i].client), SV_TEXT(all[i].url), SV_TEXT(all[i].issuer),
                            SV_TEXT(all[i].sub), SV_TEXT(all[i].sid), SV_INT(now),
                            SV_INT(now + GIVE_UP_S * SECOND_US)),
                         NULL, e);
    if (!err)
        err = store_exec(c,
                         "UPDATE oidc_grant SET ended = $2"
                         " WHERE session = $1 AND ended = 0 AND offline = 0",
                         SV(SV_INT(session), SV_INT(now)), NULL, e);
    arena_release(&a);
    return err;
}

/* --- telling --- */

struct telling {
    struct oidc *o;
    struct arena arena;
    int64_t n, tries;
    struct listener to;
    bool heard, found;
};

/* The next that is due, leased: if we die on the way somebody else tries again. */
static enum err lease(struct store_conn *c, void *ctx, struct error *e)
{
    struct telling *t = ctx;
    struct store_rows rows;
    int64_t now = clock_now(t->o->trust->clock);
    t->found = false;
    enum err err =
        store_exec(c, "DELETE FROM oidc_logout WHERE expires < $1", SV(SV_INT(now)), NULL, e);
    if (err)
        return err;
    store_query(c, &rows,
                "SELECT n, client, url, issuer, sub, sid, tries FROM oidc_logout"
                " WHERE due <= $1 ORDER BY due LIMIT 1",
                SV(SV_INT(now)));
    if ((t->found = store_next(&rows))) {
        struct str *texts[] = {&t->to.client, &t->to.url, &t->to.issuer, &t->to.sub, &t->to.sid};
        t->n = store_int(&rows, 0);
        for (int i = 0; i < 5; i++)
            *texts[i] = str_dup(&t->arena, store_text(&rows, i + 1));
        t->tries = store_int(&rows, 6);
    }
    err = store_end(&rows, e);
    return err || !t->found
               ? err
               : store_exec(c, "UPDATE oidc_logout SET due = $2 WHERE n = $1",
                            SV(SV_INT(t->n), SV_INT(now + LEASE_S * SECOND_US)), NULL, e);
}

static enum err settle(struct store_conn *c, void *ctx, struct error *e)
{
    struct telling *t = ctx;
    int64_t doublings = t->tries < PAUSES_MAX ? t->tries : PAUSES_MAX;
    int64_t due = clock_now(t->o->trust->clock) + (PAUSE_S * SECOND_US << doublings);
    if (t->heard)
        return store_exec(c, "DELETE FROM oidc_logout WHERE n = $1", SV(SV_INT(t->n)), NULL, e);
    return store_exec(c, "UPDATE oidc_logout SET due = $2, tries = tries + 1 WHERE n = $1",
                      SV(SV_INT(t->n), SV_INT(due)), NULL, e);
}

static enum err logout_token(struct telling *t, struct str *out, struct error *e)
{
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    struct jose_key *key;
    int64_t now = clock_now(t->o->trust->clock);
    json_w_object(&w);
    json_w_kstr(&w, S("iss"), t->to.issuer);
    json_w_kstr(&w, S("aud"), t->to.client);
    json_w_ki64(&w, S("iat"), now / SECOND_US);
    json_w_ki64(&w, S("exp"), now / SECOND_US + TOKEN_S);
    json_w_kstr(&w, S("jti"), random_token(&t->arena, 16));
    json_w_kstr(&w, S("sub"), t->to.sub);
    json_w_kstr(&w, S("sid"), t->to.sid);
    json_w_key(&w, S("events"));
    json_w_object(&w);
    json_w_key(&w, S(LOGOUT_EVENT));
    json_w_object(&w);
    json_w_end(&w);
    json_w_end(&w);
    json_w_end(&w);
    enum err err = ring_signer(t->o->ring, now, &key, e);
    if (!err)
        err = jws_sign(&t->arena, key, S("logout+jwt"), buf_view(&b), out, e);
    jose_key_free(key);
    buf_release(&b);
    return err;
}

static bool tell(struct telling *t)
{
    struct error e = {0};
    struct str token;
    struct client_answer answer = {0};
    struct http_header type = {S("Content-Type"), S("application/x-www-form-urlencoded")};
    if (logout_token(t, &token, &e))
        return false;
    struct client_request q = {.method = "POST",
                               .url = t->to.url,
                               .headers = &type,
                               .n_headers = 1,
                               .body = str_concat(&t->arena, S("logout_token="), token),
                               .timeout_ms = SEND_MS,
                               .response_bytes = 65536};
    enum err err = client_fetch(t->o->trust->client, &t->arena, &q, &answer, &e);
    bool heard = !err && (answer.status == 200 || answer.status == 204);
    if (!heard)
        log_event(LOG_WARN, "oidc.logout", LOG_S("client", t->to.client),
                  LOG_I("status", answer.status), LOG_I("tries", t->tries + 1));
    return heard;
}

void logout_deliver(struct oidc *o)
{
    struct error e = {0};
    struct telling t = {.o = o, .found = true};
    for (int i = 0; i < SENT_AT_ONCE && t.found && !atomic_load(&o->closing); i++) {
        if (!store_duty(o->trust->store, "oidc.logout") ||
            store_write(o->trust->store, lease, &t, &e))
            break;
        if (t.found) {
            t.heard = tell(&t);
            (void)store_write(o->trust->store, settle, &t, &e); /* else the lease runs out */
        }
        arena_reset(&t.arena);
    }
    arena_release(&t.arena);
}

/* --- a client asks --- */

struct leaving {
    struct session s;
    bool signed_in;
    struct str sid; /* of the hint; absent: there was no good one */
    struct str to;
};

/* An ID token of ours, over or not, for this client. */
static bool read_hint(struct call *c, struct store_conn *conn, struct leaving *l)
{
    struct str text = call_param(c, "id_token_hint"), client = call_param(c, "client_id"), aud;
    struct jws j;
    struct error e = {0};
    struct jose_key *key = NULL;
    if (!text.p)
        return true;
    bool good = !jws_read(c->a, text, &j, &e) && j.kid.p && (key = ring_find(c->o->ring, j.kid)) &&
                !jws_verify(&j, key, &e);
    jose_key_free(key);
    const struct json *v = good ? json_parse(c->a, j.payload, &JSON_DEFAULT, &e) : NULL;
    aud = json_text(json_get(v, S("aud")));
    l->sid = json_text(json_get(v, S("sid")));
    if (!l->sid.p || !str_eq(json_text(json_get(v, S("iss"))), c->issuer) ||
        (client.p && !str_eq(client, aud)))
        return false;
    c->client = ARENA_NEW(c->a, struct oidc_client);
    if (client_read(conn, c->a, aud, c->client, &e))
        c->client = NULL;
    return c->client != NULL;
}

/* Where the client wants people led: only where it is registered for. */
static const char *take_target(struct call *c, struct store_conn *conn, struct leaving *l)
{
    struct str uri = call_param(c, "post_logout_redirect_uri"), state = call_param(c, "state");
    struct str client = call_param(c, "client_id");
    struct error e = {0};
    l->to = S("/");
    if (!read_hint(c, conn, l))
        return "id_token_hint is not one of ours";
    if (!uri.p)
        return NULL;
    if (!c->client) {
        c->client = ARENA_NEW(c->a, struct oidc_client);
        if (!client.p || client_read(conn, c->a, client, c->client, &e))
            return "the client that wants to lead on is not known";
    }
    if (!client_redirects(c->client, S("post_logout_redirect_uris"), uri))
        return "the address to lead on to is not one that the client is registered with";
    l->to = state.p ? str_printf(c->a, "%" STR_F "%cstate=%" STR_F, STR_A(uri),
                                 str_find_char(uri, '?') < 0 ? '?' : '&',
                                 STR_A(url_encode(c->a, state)))
                    : uri;
    return NULL;
}

static enum err end_it(struct call *c, struct store_conn *conn, struct error *e)
{
    const struct leaving *l = c->own;
    return session_end(c->o->trust, conn, l->s.id, e);
}

static void gone(struct call *c)
{
    const struct leaving *l = c->own;
    if (l->signed_in)
        session_cookie_clear(c->req, c->res);
    call_go(c, l->to);
}

/* The hint must be of this very session; else, so that no page can sign somebody out, the person is
 * asked, and comes back with the form's token. */
static bool may_end(struct call *c, const struct leaving *l)
{
    struct str sid;
    struct error e = {0};
    if (session_form_ok(c->a, &l->s, S("logout"), call_param(c, "token")))
        return true;
    return l->sid.p && !session_sid(c->o->trust, c->a, l->s.id, &sid, &e) &&
           bytes_equal(sid, l->sid);
}

static struct str ask_page(struct call *c)
{
    struct buf b = BUF_INIT;
    char sep = '?';
    BUF_LIT(&b, OIDC_LOGOUT_PATH);
    for (size_t i = 0; i < c->n_params; i++) {
        if (str_eq(c->params[i].name, S("token")))
            continue;
        buf_char(&b, sep);
        buf_str(&b, url_encode(c->a, c->params[i].name));
        buf_char(&b, '=');
        buf_str(&b, url_encode(c->a, c->params[i].value));
        sep = '&';
    }
    struct str text = buf_dup(&b, c->a);
    buf_release(&b);
    return text;
}

static enum http_answer leave(struct call *c, struct store_conn *conn)
{
    struct leaving *l = ARENA_NEW(c->a, struct leaving);
    struct error e = {0};
    const char *wrong = take_target(c, conn, l);
    c->own = l;
    if (wrong)
        return call_fail(c, 400, "invalid_request", wrong);
    enum err err = session_read(c->o->trust, conn, c->req, &l->s, &e);
    if (err && err != ERR_UNAUTHENTICATED)
        return call_error(c, &e);
    l->signed_in = !err;
    if (l->signed_in && may_end(c, l))
        return call_write(c, end_it, gone);
    if (l->signed_in)
        l->to = ask_page(c);
    l->signed_in = false;
    gone(c);
    return HTTP_DONE;
}

static enum http_answer any_logout(struct request *req, struct response *res, void *ctx)
{
    return call_run(req, res, ctx, any_logout, CALL_FORM | CALL_QUERY | CALL_PAGE, leave);
}

static const struct route routes[] = {
    {"GET", "/oidc/logout", any_logout, 0},
    {"POST", "/oidc/logout", any_logout, 0},
};

void logout_routes(struct oidc *o, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), o);
}
