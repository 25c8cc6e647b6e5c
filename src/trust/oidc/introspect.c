/*
 * What a token is good for (RFC 7662), and ending it (RFC 7009).
 *
 * A client may ask about its own tokens; a resource server (metadata "introspection") about those
 * for its resources, or about all when it is registered for none. Whatever else is asked, the
 * answer is that the token is not active.
 */
#include "oidc_impl.h"

static bool may_ask(const struct call *c, const struct token_row *t)
{
    const struct json *list = json_get(c->client->doc, S("resources"));
    if (str_eq(t->client, c->client->id))
        return true;
    if (!c->client->introspects || t->kind != TOKEN_ACCESS)
        return false;
    if (!list || !list->n)
        return true;
    for (size_t i = 0; i < list->n; i++)
        if (str_eq(json_text(&list->items[i]), t->audience))
            return true;
    return false;
}

static struct str active_text(struct call *c, const struct token_row *t)
{
    struct buf b = BUF_INIT;
    BUF_LIT(&b, "{\"active\":true,");
    if (t->kind == TOKEN_ACCESS) {
        if (t->jkt.n)
            BUF_LIT(&b, "\"token_type\":\"DPoP\",");
        else
            BUF_LIT(&b, "\"token_type\":\"Bearer\",");
    }
    buf_str(&b, str_from(t->doc, 1));
    struct str text = buf_dup(&b, c->a);
    buf_release(&b);
    return text;
}

static void answer_told(struct call *c)
{
    struct str text = *(struct str *)c->own;
    response_header(c->req, c->res, "Cache-Control", S("no-store"));
    response_body(c->req, c->res, 200, "application/json", text);
}

/* The assertion or proof that came with it counts once, which is a change. */
static enum http_answer finish(struct call *c, void (*then)(struct call *))
{
    if (c->n_once)
        return call_write(c, NULL, then);
    then(c);
    return HTTP_DONE;
}

static enum http_answer introspect(struct call *c, struct store_conn *conn)
{
    enum http_answer answer;
    struct token_row t;
    struct error e = {0};
    struct str token = call_param(c, "token"), *text = ARENA_NEW(c->a, struct str);
    if (!call_client(c, conn, 0, &answer))
        return answer;
    if (!token.p)
        return call_fail(c, 400, "invalid_request", "token is missing");
    enum err err = token_find(conn, c->a, token, c->now, &t, &e);
    if (err && err != ERR_NOT_FOUND)
        return call_error(c, &e);
    *text = !err && may_ask(c, &t) ? active_text(c, &t) : S("{\"active\":false}");
    c->own = text;
    return finish(c, answer_told);
}

static enum http_answer post_introspect(struct request *req, struct response *res, void *ctx)
{
    return call_run(req, res, ctx, post_introspect, CALL_FORM, introspect);
}

/* --- revoking --- */

static enum err revoke(struct call *c, struct store_conn *conn, struct error *e)
{
    const struct token_row *t = c->own;
    enum err err =
        store_exec(conn, "UPDATE oidc_token SET ended = $2 WHERE hash = $1 AND ended = 0",
                   SV(SV_BLOB(hash_bytes(&t->hash)), SV_INT(c->now)), NULL, e);
    /* With a refresh token goes all that was given for it. */
    return err || t->kind != TOKEN_REFRESH ? err : grant_end(conn, t->grant, c->now, e);
}

static void answer_revoked(struct call *c)
{
    response_header(c->req, c->res, "Cache-Control", S("no-store"));
    response_empty(c->res, 200);
}

static enum http_answer revoke_shown(struct call *c, struct store_conn *conn)
{
    enum http_answer answer;
    struct error e = {0};
    struct str token = call_param(c, "token");
    struct token_row *t = ARENA_NEW(c->a, struct token_row);
    if (!call_client(c, conn, CLIENT_PUBLIC_TOO, &answer))
        return answer;
    if (!token.p)
        return call_fail(c, 400, "invalid_request", "token is missing");
    enum err err = token_find(conn, c->a, token, c->now, t, &e);
    if (err && err != ERR_NOT_FOUND)
        return call_error(c, &e);
    if (err || !str_eq(t->client, c->client->id))
        return finish(c, answer_revoked); /* it is not good, or not theirs: nothing to end */
    c->own = t;
    return call_write(c, revoke, answer_revoked);
}

static enum http_answer post_revoke(struct request *req, struct response *res, void *ctx)
{
    return call_run(req, res, ctx, post_revoke, CALL_FORM, revoke_shown);
}

static const struct route routes[] = {
    {"POST", "/oidc/introspect", post_introspect, 0},
    {"POST", "/oidc/revoke", post_revoke, ROUTE_PUBLIC_CORS},
};

void introspect_routes(struct oidc *o, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), o);
}
