/*
 * /ngsi-ld/v1/csourceSubscriptions (clauses 5.11, 6.12, 6.13). Writing and delivering is the
 * outbox's; here is what differs from subscriptions to entities: temporalQ, and the addresses.
 */
#include "api.h"
#include "crypto/hash.h"
#include "csource_outbox.h"
#include "subscription_write.h"

#define PATH "/ngsi-ld/v1/csourceSubscriptions"

/* --- temporalQ (clause 5.2.21) --- */

enum err csource_time_of(const struct json *v, struct reg_ask *ask, struct error *e)
{
    int64_t at, end = INT64_MAX;
    if (!v)
        return OK;
    struct str rel = json_text(json_get(v, S("timerel")));
    struct str property = json_text(json_get(v, S("timeproperty")));
    bool between = str_eq(rel, S("between")), before = str_eq(rel, S("before"));
    bool managed = str_eq(property, S("createdAt")) || str_eq(property, S("modifiedAt")) ||
                   str_eq(property, S("deletedAt"));
    if (!json_is(v, JSON_OBJECT) || !(between || before || str_eq(rel, S("after"))))
        return error_set(e, ERR_INVALID, "temporalQ: timerel must be before, after or between");
    if (property.p && !managed && !str_eq(property, S("observedAt")))
        return error_set(e, ERR_INVALID,
                         "temporalQ: timeproperty must be observedAt, createdAt, modifiedAt or "
                         "deletedAt");
    if (!datetime_parse(json_text(json_get(v, S("timeAt"))), &at))
        return error_set(e, ERR_INVALID, "temporalQ: timeAt must be a date-time");
    if (between && !datetime_parse(json_text(json_get(v, S("endTimeAt"))), &end))
        return error_set(e, ERR_INVALID, "temporalQ: endTimeAt must be a date-time");
    ask->time = managed ? REG_MANAGED : REG_OBSERVED;
    ask->time_from = before ? INT64_MIN : at;
    ask->time_to = before ? at : end;
    return OK;
}

/* --- bodies --- */

static const struct json *without_time(struct arena *a, const struct json *payload)
{
    struct json *out = ARENA_NEW(a, struct json);
    if (!json_get(payload, S("temporalQ")))
        return payload;
    *out = json_without(a, payload, S("temporalQ"));
    return out;
}

static const struct json *expand(struct api *c, bool patch, struct error *e)
{
    const struct json *time = json_get(c->body, S("temporalQ"));
    const struct json *doc =
        sub_expand(c->arena, without_time(c->arena, c->body), patch, c->ctx, e);
    struct reg_ask unused = {0};
    if (!doc || !time)
        return doc;
    bool gone =
        patch && (json_is(time, JSON_NULL) || str_eq(json_text(time), S("urn:ngsi-ld:null")));
    if (!gone && csource_time_of(time, &unused, e))
        return NULL;
    struct json *out = ARENA_NEW(c->arena, struct json);
    *out = json_with(c->arena, doc, S("temporalQ"), gone ? json_v_null() : *time);
    return out;
}

static enum err check(struct arena *a, const struct json *doc, struct error *e)
{
    return sub_check(without_time(a, doc), e);
}

/* false: the response is on its way. */
static bool take_body(struct api *c, http_handler handler, struct sub_write_call *w, bool patch)
{
    struct error e = {0};
    int64_t expires;
    w->face = &csource_sub_face;
    w->service_path = S(CSOURCE_PATH);
    w->place = S(PATH "/");
    w->patched = sub_patched;
    w->check = check;
    w->ctx = c->ctx;
    w->in = expand(c, patch, &e);
    if (!w->in) {
        api_fail(c, &e);
        return false;
    }
    if (datetime_parse(json_text(json_get(w->in, S("expiresAt"))), &expires) &&
        expires <= clock_now(c->link->clock)) {
        api_fail_text(c, ERR_INVALID, "subscription: expiresAt lies in the past");
        return false;
    }
    const struct json *shown = json_get(w->in, S("jsonldContext"));
    return !json_is(shown, JSON_STRING) || api_context(c, handler, shown, &w->shown);
}

/* --- writing --- */

static enum http_answer create(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct error e = {0};
    if (!api_open(&c, req, res, ctx, create, API_BODY | API_REGISTRY, "local"))
        return c.answer;
    struct sub_write_call *w = ARENA_NEW(c.arena, struct sub_write_call);
    w->kind = WRITE_CREATE;
    if (!take_body(&c, create, w, false))
        return c.answer;
    if (check(c.arena, w->in, &e))
        return api_fail(&c, &e);
    sub_write_name(&c, w);
    return sub_write_submit(&c, w);
}

static enum http_answer patch(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct str id;
    if (!api_open(&c, req, res, ctx, patch, API_BODY | API_MERGE_PATCH | API_REGISTRY, "local") ||
        !api_id(&c, "id", &id))
        return c.answer;
    struct sub_write_call *w = ARENA_NEW(c.arena, struct sub_write_call);
    w->kind = WRITE_PATCH;
    w->id = id;
    if (!take_body(&c, patch, w, true))
        return c.answer;
    if (!sub_write_same(&c, w))
        return c.answer;
    return sub_write_submit(&c, w);
}

static enum http_answer delete_one(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct str id;
    if (!api_open(&c, req, res, ctx, delete_one, API_REGISTRY, "local") || !api_id(&c, "id", &id))
        return c.answer;
    struct sub_write_call *w = ARENA_NEW(c.arena, struct sub_write_call);
    w->kind = WRITE_DELETE;
    w->id = id;
    w->face = &csource_sub_face;
    w->place = S(PATH "/");
    return sub_write_submit(&c, w);
}

static enum http_answer read_one(struct request *req, struct response *res, void *ctx)
{
    return sub_read_one(req, res, ctx, read_one, S(CSOURCE_PATH));
}

static enum http_answer read_list(struct request *req, struct response *res, void *ctx)
{
    return sub_read_list(req, res, ctx, read_list, S(CSOURCE_PATH), PATH);
}

static const struct route routes[] = {
    {"POST", PATH, create, ROUTE_PUBLIC_CORS},
    {"POST", PATH "/", create, ROUTE_PUBLIC_CORS | ROUTE_HIDDEN},
    {"GET", PATH, read_list, ROUTE_PUBLIC_CORS},
    {"GET", PATH "/", read_list, ROUTE_PUBLIC_CORS | ROUTE_HIDDEN},
    {"GET", PATH "/{id}", read_one, ROUTE_PUBLIC_CORS},
    {"PATCH", PATH "/{id}", patch, ROUTE_PUBLIC_CORS},
    {"DELETE", PATH "/{id}", delete_one, ROUTE_PUBLIC_CORS},
};

void csource_subscription_routes(struct link *l, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), l);
}
