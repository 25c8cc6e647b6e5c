/* POST /entityOperations/{create,upsert,update,merge,delete} (clauses 5.6.7 to 5.6.10, 5.6.20). */
#include "api.h"

enum batch_kind { BATCH_CREATE, BATCH_UPSERT, BATCH_UPDATE, BATCH_MERGE, BATCH_DELETE };

/* What one call is about; items that are wrong in themselves never reach the writer. */
struct batch {
    enum batch_kind kind;
    struct op *ops;
    size_t n;
    VEC(struct op) refused; /* id may be absent */
};

/* --- BatchOperationResult (clause 5.2.16) --- */

static void write_failure(struct json_writer *w, const struct op *op)
{
    struct error e = op->error;
    e.code = op->result;
    json_w_object(w);
    if (op->id.p)
        json_w_kstr(w, S("entityId"), op->id);
    json_w_key(w, S("error"));
    api_problem_json(w, &e);
    json_w_end(w);
}

static void answer_mixed(struct api *c, const struct batch *b)
{
    struct buf out = BUF_INIT;
    struct json_writer w = json_writer(&out);
    json_w_object(&w);
    json_w_key(&w, S("success"));
    json_w_array(&w);
    for (size_t i = 0; i < b->n; i++)
        if (!b->ops[i].result)
            json_w_str(&w, b->ops[i].id);
    json_w_end(&w);
    json_w_key(&w, S("errors"));
    json_w_array(&w);
    for (size_t i = 0; i < b->n; i++)
        if (b->ops[i].result)
            write_failure(&w, &b->ops[i]);
    for (size_t i = 0; i < b->refused.n; i++)
        write_failure(&w, &b->refused.v[i]);
    json_w_end(&w);
    json_w_end(&w);
    response_body(c->req, c->res, 207, "application/json", buf_dup(&out, c->arena));
    buf_release(&out);
}

/* 201 with the ids of what is new; nothing new: 204. */
static void answer_created(struct api *c, const struct batch *b)
{
    struct buf out = BUF_INIT;
    struct json_writer w = json_writer(&out);
    size_t n = 0;
    json_w_array(&w);
    for (size_t i = 0; i < b->n; i++)
        if (b->ops[i].created) {
            json_w_str(&w, b->ops[i].id);
            n++;
        }
    json_w_end(&w);
    if (n)
        response_body(c->req, c->res, 201, "application/json", buf_dup(&out, c->arena));
    else
        response_empty(c->res, 204);
    buf_release(&out);
}

static void batch_written(struct api *c)
{
    const struct batch *b = c->ctx_then;
    size_t failed = b->refused.n;
    for (size_t i = 0; i < b->n; i++)
        failed += b->ops[i].result != OK;
    if (failed)
        answer_mixed(c, b);
    else if (b->kind == BATCH_CREATE || b->kind == BATCH_UPSERT)
        answer_created(c, b);
    else
        response_empty(c->res, 204);
}

static enum http_answer submit(struct api *c, struct batch *b)
{
    c->ctx_then = b;
    if (b->n)
        return api_write(c, b->ops, b->n, batch_written);
    batch_written(c); /* nothing but refused items */
    return HTTP_DONE;
}

/* --- the body --- */

/* An array that is neither empty nor too long and holds no null; NULL: the response is filled. */
static struct batch *start(struct api *c, enum batch_kind kind)
{
    const struct json *body = c->body;
    if (!json_is(body, JSON_ARRAY) || !body->n) {
        api_fail_text(c, ERR_INVALID, "an array with something in it is expected");
        return NULL;
    }
    if (body->n > (uint64_t)c->link->options.batch_max) {
        api_fail_text(c, ERR_TOO_LARGE, "at most %lld entities at once",
                      (long long)c->link->options.batch_max);
        return NULL;
    }
    for (uint32_t i = 0; i < body->n; i++)
        if (json_is(&body->items[i], JSON_NULL)) {
            api_fail_text(c, ERR_INVALID, "item %u of the array is null", i);
            return NULL;
        }
    struct batch *b = ARENA_NEW(c->arena, struct batch);
    b->kind = kind;
    b->ops = ARENA_ARRAY(c->arena, struct op, body->n);
    return b;
}

/* The context of one entity: its own, or of the Link header for plain JSON. */
static bool entity_context(struct api *c, http_handler handler, const struct json *entity,
                           const struct ld_context **ctx)
{
    const struct json *value = json_get(entity, S("@context"));
    *ctx = c->ctx;
    return !c->ld_body || !value || api_context(c, handler, value, ctx);
}

static bool add_entity(struct api *c, struct batch *b, http_handler handler, enum op_kind op_kind,
                       enum entity_in mode, const struct json *entity)
{
    struct op op = {.kind = op_kind};
    const struct ld_context *ctx;
    if (!entity_context(c, handler, entity, &ctx))
        return false;
    if (c->ld_body && json_is(entity, JSON_OBJECT) && !json_get(entity, S("@context")))
        op.result = error_set(&op.error, ERR_INVALID, "an entity without @context");
    else if (!(op.input = entity_expand(c->arena, entity, mode, api_simplified(c), ctx, &op.error)))
        op.result = op.error.code;
    if (op.input) {
        op.id = entity_id(op.input);
        if (!op.id.p)
            op.result = error_set(&op.error, ERR_INVALID, "an entity without id");
    } else {
        struct str id = json_text(json_get(entity, S("id")));
        op.id = id.p ? id : json_text(json_get(entity, S("@id")));
    }
    if (op.result)
        *vec_push(c->arena, &b->refused) = op;
    else
        b->ops[b->n++] = op;
    return true;
}

static enum http_answer entities(struct api *c, http_handler handler, enum batch_kind kind,
                                 enum op_kind op_kind, enum entity_in mode)
{
    struct batch *b = start(c, kind);
    if (!b)
        return c->answer;
    for (uint32_t i = 0; i < c->body->n; i++)
        if (!add_entity(c, b, handler, op_kind, mode, &c->body->items[i]))
            return c->answer;
    return submit(c, b);
}

#define BATCH_PARAMS "options format local"

static enum http_answer batch_create(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    if (!api_open(&c, req, res, ctx, batch_create, API_BODY, BATCH_PARAMS))
        return c.answer;
    return entities(&c, batch_create, BATCH_CREATE, OP_CREATE, ENTITY_WHOLE);
}

static enum http_answer batch_upsert(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    if (!api_open(&c, req, res, ctx, batch_upsert, API_BODY, BATCH_PARAMS))
        return c.answer;
    bool update = api_option(&c, "options", "update");
    return entities(&c, batch_upsert, BATCH_UPSERT, update ? OP_UPSERT_UPDATE : OP_UPSERT,
                    ENTITY_WHOLE);
}

static enum http_answer batch_update(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    if (!api_open(&c, req, res, ctx, batch_update, API_BODY, BATCH_PARAMS))
        return c.answer;
    bool keep = api_option(&c, "options", "noOverwrite");
    return entities(&c, batch_update, BATCH_UPDATE, keep ? OP_APPEND_NEW : OP_APPEND,
                    ENTITY_FRAGMENT);
}

static enum http_answer batch_merge(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    if (!api_open(&c, req, res, ctx, batch_merge, API_BODY, BATCH_PARAMS " lang observedAt"))
        return c.answer;
    return entities(&c, batch_merge, BATCH_MERGE, OP_MERGE, ENTITY_MERGE);
}

/* The body is a list of ids; any JSON type will do, because there is nothing to expand. */
static enum http_answer batch_delete(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    if (!api_open(&c, req, res, ctx, batch_delete, API_BODY | API_BARE_JSON, BATCH_PARAMS))
        return c.answer;
    struct batch *b = start(&c, BATCH_DELETE);
    if (!b)
        return c.answer;
    for (uint32_t i = 0; i < c.body->n; i++) {
        struct op op = {.kind = OP_DELETE, .id = json_text(&c.body->items[i])};
        if (!json_is(&c.body->items[i], JSON_STRING) || !ld_is_uri(op.id)) {
            op.result = error_set(&op.error, ERR_INVALID, "item %u is not a URI", i);
            *vec_push(c.arena, &b->refused) = op;
        } else {
            b->ops[b->n++] = op;
        }
    }
    return submit(&c, b);
}

static const struct route routes[] = {
    {"POST", "/ngsi-ld/v1/entityOperations/create", batch_create, ROUTE_PUBLIC_CORS},
    {"POST", "/ngsi-ld/v1/entityOperations/upsert", batch_upsert, ROUTE_PUBLIC_CORS},
    {"POST", "/ngsi-ld/v1/entityOperations/update", batch_update, ROUTE_PUBLIC_CORS},
    {"POST", "/ngsi-ld/v1/entityOperations/merge", batch_merge, ROUTE_PUBLIC_CORS},
    {"POST", "/ngsi-ld/v1/entityOperations/delete", batch_delete, ROUTE_PUBLIC_CORS},
};

void api_batch_routes(struct link *l, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), l);
}
