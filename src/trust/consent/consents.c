/* Consents in a running city: opened, closed, swept of what time has ended. */
#include "consent_impl.h"
#include "core/log.h"
#include <stdlib.h>

enum { SWEEP_MS = 30000, SWEEP_TURNS = 50 };

struct sweep {
    struct trust *trust;
    bool more;
};

static enum err sweep(struct store_conn *c, void *ctx, struct error *e)
{
    struct sweep *s = ctx;
    return consent_expire(s->trust, c, &s->more, e);
}

/* One process does it for all. */
static void sweep_now(void *consents)
{
    struct consents *s = consents;
    struct sweep one = {.trust = s->trust, .more = true};
    struct error e = {0};
    for (int i = 0; one.more && i < SWEEP_TURNS; i++) {
        if (!store_duty(s->trust->store, "trust.consents"))
            return;
        if (store_write(s->trust->store, sweep, &one, &e)) {
            if (e.code != ERR_UNAVAILABLE) /* the vault's key is not there, or the store */
                log_event(LOG_WARN, "trust.sweep_failed", LOG_Z("reason", e.text));
            return;
        }
    }
}

struct consents *consents_open(struct trust *t)
{
    struct consents *s = calloc(1, sizeof(*s));
    if (!s)
        abort();
    s->trust = t;
    pool_every(t->pool, SWEEP_MS, sweep_now, s);
    return s;
}

void consents_close(struct consents *s)
{
    if (!s)
        return;
    pool_never(s->trust->pool, sweep_now, s);
    free(s);
}

void consents_routes(struct consents *s, struct router *r)
{
    catalogue_routes(s, r);
    client_consent_routes(s, r);
    own_consent_routes(s, r);
}

/* --- what the interfaces share --- */

const struct json *json_body(struct request *req, struct error *e)
{
    if (!str_eq(request_content_type(req), S("application/json"))) {
        error_set(e, ERR_UNSUPPORTED, "JSON is expected");
        return NULL;
    }
    const struct json *body = json_parse(req->arena, req->body, &JSON_DEFAULT, e);
    if (body && !json_is(body, JSON_OBJECT)) {
        error_set(e, ERR_INVALID, "a JSON object is expected");
        return NULL;
    }
    return body;
}

void answer_json(struct request *req, struct response *res, int status, struct buf *b)
{
    response_header(req, res, "Cache-Control", S("no-store"));
    response_body(req, res, status, "application/json", buf_dup(b, req->arena));
    buf_release(b);
}

enum http_answer answer_error(struct request *req, struct response *res, const struct error *e)
{
    response_header(req, res, "Cache-Control", S("no-store"));
    response_error(req, res, e);
    return HTTP_DONE;
}
