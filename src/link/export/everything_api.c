/*
 * GET /link/v1/export/everything.ndjson: the city as lines, for those who manage it.
 *
 * Each chunk is read from a snapshot of its own, so that a slow download holds none. ?after= of a
 * mark goes on there; ?tenants=all gives all tenants to those who are not of one.
 */
#include "api.h"
#include "everything_impl.h"
#include "link/access.h"

struct download {
    struct api c;
    struct everything x;
    struct buf out; /* made, not yet sent from .at on */
    size_t at;
};

static ptrdiff_t next(void *ctx, char *out, size_t max)
{
    struct download *d = ctx;
    struct error e;
    while (d->at == d->out.n && !d->x.ended) {
        struct store_conn *conn = store_read(d->c.link->store, &e);
        buf_clear(&d->out);
        d->at = 0;
        enum err err = conn ? everything_more(&d->x, conn, &d->out, &e) : e.code;
        if (conn)
            store_read_done(conn);
        if (err)
            return -2;
    }
    size_t n = d->out.n - d->at;
    if (!n)
        return -1;
    if (n > max)
        n = max;
    memcpy(out, d->out.p + d->at, n);
    d->at += n;
    return (ptrdiff_t)n;
}

static void done(void *ctx)
{
    struct download *d = ctx;
    everything_release(&d->x);
    buf_release(&d->out);
}

/* Which tenants, and from where on; false: the response is filled. */
static bool begin(struct download *d)
{
    struct api *c = &d->c;
    struct error e = {0};
    struct str after = request_query(c->req, "after"), tenants = request_query(c->req, "tenants");
    bool all = str_eq(tenants, S("all"));
    const struct access_who *who = access_asks(c->req);
    struct store_conn *conn = api_reader(c, &d->x.tenant);
    if (!conn)
        return false;
    store_read_done(conn);
    if (tenants.p && !all) {
        api_fail_text(c, ERR_INVALID, "tenants: all, or nothing");
        return false;
    }
    if (!access_manages(c->link->access, who, d->x.tenant) || (all && who->kind == WHO_KEY)) {
        api_fail_text(c, ERR_FORBIDDEN,
                      "everything is for the machine itself, the city's token and, of one tenant, "
                      "keys with the right admin");
        return false;
    }
    if (all)
        d->x.tenant = 0;
    if (after.p && everything_after(&d->x, after, &e)) {
        api_fail(c, &e);
        return false;
    }
    return true;
}

static enum http_answer everything_get(struct request *req, struct response *res, void *ctx)
{
    struct download *d = ARENA_NEW(req->arena, struct download);
    if (!api_open(&d->c, req, res, ctx, everything_get, API_UNSCOPED, "after tenants"))
        return d->c.answer;
    if (!begin(d)) {
        done(d);
        return d->c.answer;
    }
    response_body(req, res, 200, "application/x-ndjson", S(""));
    response_header(req, res, "Content-Disposition",
                    S("attachment; filename=\"everything.ndjson\""));
    response_header(req, res, "Cache-Control", S("no-store"));
    res->stream = (struct http_stream){.next = next, .done = done, .ctx = d};
    return HTTP_DONE;
}

static const struct route routes[] = {
    {"GET", "/link/v1/export/everything.ndjson", everything_get, 0},
};

void everything_routes(struct link *l, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), l);
}
