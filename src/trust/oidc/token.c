/* The token endpoint: who calls, which grant; and the grant that needs nobody else. */
#include "authz.h"
#include "certificate.h"

/* --- what a token is bound to --- */

bool call_binding(struct call *c, struct issue *i)
{
    i->jkt = c->proof.jkt;
    if (!c->proof.shown && c->certificate && c->client->mtls)
        i->x5t = c->certificate->x5t;
    if (c->client->dpop && !i->jkt.n) {
        response_header(c->req, c->res, "DPoP-Nonce", dpop_nonce(c->o, c->a, c->now));
        call_fail(c, 400, "invalid_dpop_proof", "this client needs a proof for its tokens");
        return false;
    }
    if (c->client->mtls && !c->client->dpop && !i->x5t.n && !i->jkt.n) {
        call_fail(c, 400, "invalid_request", "this client needs its certificate for its tokens");
        return false;
    }
    return true;
}

/* RFC 8707: one resource, of those that the client is registered for. */
bool resource_known(struct call *c, struct str asked)
{
    const struct json *list = json_get(c->client->doc, S("resources"));
    for (size_t i = 0; list && i < list->n; i++)
        if (str_eq(json_text(&list->items[i]), asked))
            return true;
    return !asked.p || str_eq(asked, c->issuer);
}

static bool type_known(const struct oidc_client *k, const struct json *one)
{
    const struct json *types = json_get(k->doc, S("authorization_details_types"));
    struct str type = json_text(json_get(one, S("type")));
    for (size_t i = 0; types && i < types->n; i++)
        if (type.n && str_eq(json_text(&types->items[i]), type))
            return true;
    return false;
}

bool details_read(struct call *c, const struct json **out)
{
    struct str text = call_param(c, "authorization_details");
    struct error e = {0};
    *out = NULL;
    if (!text.p)
        return true;
    const struct json *v = json_parse(c->a, text, &JSON_DEFAULT, &e);
    bool good = json_is(v, JSON_ARRAY) && v->n > 0 && v->n <= DETAILS_MAX;
    for (size_t i = 0; good && i < v->n; i++)
        good = type_known(c->client, &v->items[i]);
    if (good)
        *out = v;
    return good;
}

/* --- client_credentials --- */

struct own_grant {
    struct issue issue;
    struct str token;
    struct token_row row;
};

static enum err keep_own(struct call *c, struct store_conn *conn, struct error *e)
{
    const struct own_grant *g = c->own;
    return token_keep(conn, &g->row, e);
}

static void answer_own(struct call *c)
{
    const struct own_grant *g = c->own;
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    token_answer(c, &w, g->token, &g->issue);
    json_w_end(&w);
    call_json(c, 200, &b);
}

/* What only people can give is not the client's. */
static bool own_scope(struct call *c, struct str *out)
{
    struct str asked = call_param(c, "scope"), list = asked, word;
    struct buf b = BUF_INIT;
    bool good = scope_well_formed(asked);
    if (!asked.p)
        list = c->client->scope;
    while (good && list.n && str_split(&list, ' ', &word)) {
        bool people = scope_is_personal(word) || str_eq(word, S("openid")) ||
                      str_eq(word, S("offline_access"));
        if (asked.p && (people || !scope_has(c->client->scope, word)))
            good = false;
        if (people)
            continue;
        if (b.n)
            buf_char(&b, ' ');
        buf_str(&b, word);
    }
    *out = b.n ? buf_dup(&b, c->a) : STR_NONE;
    buf_release(&b);
    if (!good)
        call_fail(c, 400, "invalid_scope", "the client cannot have this scope for itself");
    return good;
}

static enum http_answer grant_own(struct call *c, struct store_conn *conn)
{
    struct own_grant *g = ARENA_NEW(c->a, struct own_grant);
    struct error e = {0};
    (void)conn;
    c->own = g;
    g->issue.subject = c->client->id;
    g->issue.audience = call_param(c, "resource");
    if (!own_scope(c, &g->issue.scope))
        return HTTP_DONE;
    if (!resource_known(c, g->issue.audience))
        return call_fail(c, 400, "invalid_target",
                         "the client is not registered for this resource");
    if (!details_read(c, &g->issue.details))
        return call_fail(c, 400, "invalid_authorization_details",
                         "authorization_details is a list of objects of types that the client may "
                         "use");
    if (!call_binding(c, &g->issue))
        return HTTP_DONE;
    if (token_access(c, &g->issue, &g->token, &g->row, &e))
        return call_error(c, &e);
    return call_write(c, keep_own, answer_own);
}

/* --- the endpoint --- */

static const struct {
    struct str name;
    unsigned bit;
    enum http_answer (*run)(struct call *c, struct store_conn *conn);
} grants[] = {
    {S_INIT("client_credentials"), GRANT_CLIENT, grant_own},
    {S_INIT("authorization_code"), GRANT_CODE, grant_code},
    {S_INIT("refresh_token"), GRANT_REFRESH, grant_refresh},
    {S_INIT("urn:ietf:params:oauth:grant-type:device_code"), GRANT_DEVICE, grant_device},
};

static enum http_answer dispatch(struct call *c, struct store_conn *conn)
{
    struct str type = call_param(c, "grant_type");
    enum http_answer answer = HTTP_DONE;
    if (!type.p)
        return call_fail(c, 400, "invalid_request", "grant_type is missing");
    for (size_t i = 0; i < sizeof(grants) / sizeof(grants[0]); i++) {
        if (!str_eq(type, grants[i].name))
            continue;
        if (!call_client(c, conn, CLIENT_PUBLIC_TOO, &answer))
            return answer;
        if (!(c->client->grants & grants[i].bit))
            return call_fail(c, 400, "unauthorized_client",
                             "the client is not registered for this grant");
        return call_proof(c) ? grants[i].run(c, conn) : HTTP_DONE;
    }
    return call_fail(c, 400, "unsupported_grant_type", "no such grant here");
}

static enum http_answer post_token(struct request *req, struct response *res, void *ctx)
{
    return call_run(req, res, ctx, post_token, CALL_FORM, dispatch);
}

static const struct route routes[] = {
    {"POST", "/oidc/token", post_token, ROUTE_PUBLIC_CORS},
};

void token_routes(struct oidc *o, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), o);
}
