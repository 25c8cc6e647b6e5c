/* What operators and their tools ask: is it alive, is it ready, how much, what is offered. */
#include "app.h"
#include "core/metrics.h"
#include "openapi.h"

static enum http_answer healthz(struct request *req, struct response *res, void *ctx)
{
    (void)ctx;
    response_body(req, res, 200, "text/plain", S("ok\n"));
    return HTTP_DONE;
}

/* Ready: a reader can be had and writes are not failing. */
static enum http_answer readyz(struct request *req, struct response *res, void *ctx)
{
    struct app *app = ctx;
    struct error e = {0};
    struct store_conn *c = store_read(app->store, &e);
    if (c)
        store_read_done(c);
    if (!c || store_degraded(app->store, &e)) {
        e.code = ERR_UNAVAILABLE;
        response_error(req, res, &e);
    } else {
        response_body(req, res, 200, "text/plain", S("ready\n"));
    }
    return HTTP_DONE;
}

static enum http_answer metrics(struct request *req, struct response *res, void *ctx)
{
    struct buf out = BUF_INIT;
    (void)ctx;
    metrics_write(&out);
    response_body(req, res, 200, "text/plain; version=0.0.4", buf_dup(&out, req->arena));
    buf_release(&out);
    return HTTP_DONE;
}

static enum http_answer openapi(struct request *req, struct response *res, void *ctx)
{
    struct app *app = ctx;
    response_body(req, res, 200, "application/json", openapi_text(req->arena, app->router));
    return HTTP_DONE;
}

static const struct route routes[] = {
    {"GET", "/healthz", healthz, ROUTE_NO_LIMIT},
    {"GET", "/readyz", readyz, ROUTE_NO_LIMIT},
    {"GET", "/metrics", metrics, ROUTE_NO_LIMIT},
    {"GET", "/openapi.json", openapi, ROUTE_PUBLIC_CORS},
};

void health_routes(struct app *app, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), app);
}
