/* UserInfo (OpenID Connect Core 5.3): a resource of ours, for tokens with the scope openid. */
#include "authz.h"

static enum http_answer told(struct call *c, struct store_conn *conn, const struct token_row *row)
{
    struct grant g = {.n = row->grant, .account = row->account, .session = row->session};
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    struct store_rows rows;
    struct str doc = STR_NONE;
    struct error e = {0};
    store_query(conn, &rows, "SELECT doc FROM oidc_grant WHERE n = $1", SV(SV_INT(row->grant)));
    if (store_next(&rows))
        doc = str_dup(c->a, store_text(&rows, 0));
    enum err err = store_end(&rows, &e);
    if (!err)
        err = grant_open(c->a, doc, &g, &e);
    c->client = ARENA_NEW(c->a, struct oidc_client);
    if (!err)
        err = client_read(conn, c->a, row->client, c->client, &e);
    /* A refresh may have asked for less than was granted. */
    const struct json *token = json_parse(c->a, row->doc, &JSON_DEFAULT, NULL);
    g.issue.scope = json_text(json_get(token, S("scope")));
    json_w_object(&w);
    json_w_kstr(&w, S("sub"), g.issue.subject);
    if (!err)
        err = claims_write(c, conn, &g, false, &w, &e);
    json_w_end(&w);
    if (!err) {
        call_json(c, 200, &b);
        return HTTP_DONE;
    }
    buf_release(&b);
    return call_error(c, &e);
}

static enum http_answer refuse(struct call *c, int status, struct str challenge)
{
    oidc_challenge(c->o, c->req, c->res, challenge);
    response_header(c->req, c->res, "Cache-Control", S("no-store"));
    response_empty(c->res, status);
    return HTTP_DONE;
}

static enum http_answer userinfo(struct call *c, struct store_conn *conn)
{
    struct token_row row;
    struct str challenge;
    struct error e = {0};
    bool found = false;
    enum err err = oidc_bearer_row(c->o, conn, c->req, &row, &found, &challenge, &e);
    if (err == ERR_UNAUTHENTICATED)
        return refuse(c, 401, challenge);
    if (err)
        return call_error(c, &e);
    if (!found)
        return refuse(c, 401,
                      request_header(c->req, "Authorization").p
                          ? S("Bearer error=\"invalid_token\"")
                          : S("Bearer"));
    const struct json *doc = json_parse(c->a, row.doc, &JSON_DEFAULT, NULL);
    if (!row.grant || !scope_has(json_text(json_get(doc, S("scope"))), S("openid")))
        return refuse(c, 403,
                      S("Bearer error=\"insufficient_scope\", error_description=\"the token has no "
                        "scope openid\", scope=\"openid\""));
    if (row.jkt.n)
        response_header(c->req, c->res, "DPoP-Nonce", dpop_nonce(c->o, c->a, c->now));
    return told(c, conn, &row);
}

static enum http_answer any_userinfo(struct request *req, struct response *res, void *ctx)
{
    return call_run(req, res, ctx, any_userinfo, 0, userinfo);
}

static const struct route routes[] = {
    {"GET", "/oidc/userinfo", any_userinfo, ROUTE_PUBLIC_CORS},
    {"POST", "/oidc/userinfo", any_userinfo, ROUTE_PUBLIC_CORS},
};

void userinfo_routes(struct oidc *o, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), o);
}
