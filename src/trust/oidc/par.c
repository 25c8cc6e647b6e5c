/* Pushed authorization requests (RFC 9126): authenticated, checked, kept for a moment. */
#include "authz.h"

#define URN "urn:ietf:params:oauth:request_uri:"

struct pushing {
    struct authz z;
    struct str id;
};

static enum err keep_it(struct call *c, struct store_conn *conn, struct error *e)
{
    const struct pushing *p = c->own;
    return request_keep(c, conn, REQUEST_PUSHED, &p->z, p->id, c->o->options->request_s, e);
}

static void answer(struct call *c)
{
    const struct pushing *p = c->own;
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    json_w_object(&w);
    json_w_kstr(&w, S("request_uri"), str_concat(c->a, S(URN), p->id));
    json_w_ki64(&w, S("expires_in"), c->o->options->request_s);
    json_w_end(&w);
    call_json(c, 201, &b);
}

static enum http_answer push(struct call *c, struct store_conn *conn)
{
    struct pushing *p = ARENA_NEW(c->a, struct pushing);
    enum http_answer later;
    const char *text = NULL, *code;
    if (!call_client(c, conn, CLIENT_PUBLIC_TOO, &later))
        return later;
    if (call_param(c, "request_uri").p)
        return call_fail(c, 400, "invalid_request", "a pushed request has no request_uri");
    if (!call_proof(c))
        return HTTP_DONE;
    p->z.jkt = call_param(c, "dpop_jkt");
    if (c->proof.shown && p->z.jkt.p && !str_eq(c->proof.jkt, p->z.jkt))
        return call_fail(c, 400, "invalid_dpop_proof", "dpop_jkt is not the key of the proof");
    if (c->proof.shown)
        p->z.jkt = c->proof.jkt;
    if ((text = authz_target(c, &p->z)))
        return call_fail(c, 400, "invalid_request", text);
    if ((code = authz_check(c, &p->z, &text)))
        return call_fail(c, 400, code, text);
    p->id = random_token(c->a, 32);
    c->own = p;
    return call_write(c, keep_it, answer);
}

static enum http_answer post_par(struct request *req, struct response *res, void *ctx)
{
    return call_run(req, res, ctx, post_par, CALL_FORM, push);
}

static const struct route routes[] = {
    {"POST", "/oidc/par", post_par, ROUTE_PUBLIC_CORS},
};

void par_routes(struct oidc *o, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), o);
}
