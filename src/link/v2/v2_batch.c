/* POST /v2/op/update and /v2/op/notify: one change for each entity, all in one transaction. */
#include "v2_providers.h"

struct batch {
    struct op *ops;
    size_t n;
    int status; /* of success */
};

/* The first error is the answer; what could be done has been done. */
static void written(struct api *c)
{
    const struct batch *b = c->ctx_then;
    for (size_t i = 0; i < b->n; i++)
        if (v2_failed(c, &b->ops[i]))
            return;
    response_empty(c->res, b->status);
}

static bool read_action(struct str name, enum v2_action *out)
{
    static const struct {
        struct str name, old;
        enum v2_action action;
    } actions[] = {{S_INIT("append"), S_INIT("APPEND"), V2_UPSERT},
                   {S_INIT("appendStrict"), S_INIT("APPEND_STRICT"), V2_UPSERT_STRICT},
                   {S_INIT("update"), S_INIT("UPDATE"), V2_UPDATE},
                   {S_INIT("delete"), S_INIT("DELETE"), V2_DELETE_ATTRS},
                   {S_INIT("replace"), S_INIT("REPLACE"), V2_REPLACE}};
    for (size_t i = 0; i < sizeof(actions) / sizeof(*actions); i++)
        if (str_eq(name, actions[i].name) || str_eq(name, actions[i].old)) {
            *out = actions[i].action;
            return true;
        }
    return false;
}

static enum err take_entity(struct api *c, const struct json *entity, bool lenient,
                            struct v2_change *x, struct error *e)
{
    const struct json *id = json_get(entity, S("id")), *type = json_get(entity, S("type"));
    if (!json_is(entity, JSON_OBJECT))
        return error_set(e, ERR_INVALID, "an entity must be a JSON object");
    if (!json_is(id, JSON_STRING) || (type && !json_is(type, JSON_STRING)))
        return error_set(e, ERR_INVALID, "entity id and type must be texts");
    x->id = json_text(id);
    x->type = json_text(type);
    if (v2_check_id(x->id, "entity id", e) || (type && v2_check_id(x->type, "entity type", e)))
        return ERR_INVALID;
    if (v2_attrs_in(c->arena, entity, true, api_option(c, "options", "keyValues"), lenient,
                    &x->input, e))
        return ERR_INVALID;
    if (x->action == V2_DELETE_ATTRS && !x->input.n)
        x->action = V2_DELETE;
    return OK;
}

static enum http_answer submit(struct api *c, const struct v2_paths *paths, enum v2_action action,
                               const struct json *entities, int status)
{
    struct error e = {0};
    struct batch *b = ARENA_NEW(c->arena, struct batch);
    size_t n = json_is(entities, JSON_ARRAY) ? entities->n : 0;
    if (!n)
        return api_fail_text(c, ERR_INVALID, "an array of entities is expected");
    if (n > (uint64_t)c->link->options.batch_max)
        return api_fail_text(c, ERR_TOO_LARGE, "at most %lld entities at once",
                             (long long)c->link->options.batch_max);
    struct v2_change *changes = ARENA_ARRAY(c->arena, struct v2_change, n);
    b->ops = ARENA_ARRAY(c->arena, struct op, n);
    b->n = n;
    b->status = status;
    struct str note = v2_note(c);
    for (size_t i = 0; i < n; i++) {
        changes[i].action = action;
        changes[i].path = paths->v[0].path;
        changes[i].override_metadata = api_option(c, "options", "overrideMetadata");
        if (take_entity(c, &entities->items[i], status == 200, &changes[i], &e))
            return api_fail(c, &e);
        b->ops[i] = v2_op(&changes[i]);
        b->ops[i].note = note;
    }
    c->ctx_then = b;
    return v2_write(c, paths, b->ops, n, written);
}

static bool only_members(struct api *c, struct str one, struct str other)
{
    if (!json_is(c->body, JSON_OBJECT) || !c->body->n) {
        api_fail_text(c, ERR_INVALID,
                      json_is(c->body, JSON_OBJECT) ? "empty payload" : "not a JSON object");
        return false;
    }
    for (uint32_t i = 0; i < c->body->n; i++) {
        struct str key = json_key(&c->body->members[i]);
        if (!str_eq(key, one) && !str_eq(key, other)) {
            api_fail_text(c, ERR_INVALID, "unknown field: %" STR_F, QUOTE(key));
            return false;
        }
    }
    return true;
}

static enum http_answer op_update(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct v2_paths paths;
    enum v2_action action;
    if (!v2_open(&c, &paths, req, res, ctx, V2_BODY | V2_WRITES,
                 "keyValues overrideMetadata forcedUpdate flowControl skipForwarding") ||
        !only_members(&c, S("actionType"), S("entities")))
        return c.answer;
    if (!read_action(json_text(json_get(c.body, S("actionType"))), &action))
        return api_fail_text(&c, ERR_INVALID,
                             "actionType must be append, appendStrict, update, delete or replace");
    return submit(&c, &paths, action, json_get(c.body, S("entities")), 204);
}

static enum http_answer op_notify(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct v2_paths paths;
    if (!v2_open(&c, &paths, req, res, ctx, V2_BODY | V2_WRITES, "keyValues") ||
        !only_members(&c, S("subscriptionId"), S("data")))
        return c.answer;
    if (!json_is(json_get(c.body, S("subscriptionId")), JSON_STRING))
        return api_fail_text(&c, ERR_INVALID, "subscriptionId must be a text");
    return submit(&c, &paths, V2_UPSERT, json_get(c.body, S("data")), 200);
}

static const struct route routes[] = {
    {"POST", "/v2/op/update", op_update, ROUTE_PUBLIC_CORS},
    {"POST", "/v2/op/notify", op_notify, ROUTE_PUBLIC_CORS},
};

void v2_batch_routes(struct link *l, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), l);
}
