/* POST /entityOperations/{create,upsert,update,merge,delete} (clauses 5.6.7 to 5.6.10, 5.6.20). */
#include "api.h"
#include "distribute.h"

enum batch_kind { BATCH_CREATE, BATCH_UPSERT, BATCH_UPDATE, BATCH_MERGE, BATCH_DELETE };

/* A remote @context that could not be had. */
struct unreachable {
    struct str url, why;
    enum err err; /* ERR_INVALID: it is there, but no @context; ERR_TIMEOUT: it is not to be had */
};

/* What one call is about; items that are wrong in themselves never reach the writer. */
struct batch {
    enum batch_kind kind;
    enum op_kind op_kind;
    struct merge_hints hints;
    enum entity_in mode;
    uint32_t next; /* item of the body to take */
    struct op *ops;
    struct dist_payload *payloads; /* of each operation, as it was sent */
    size_t n;
    VEC(struct op) refused; /* id may be absent */
    struct str missing;     /* the next item waits for this remote @context */
    VEC(struct unreachable) unreachable;
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

/* An entity of which something was left alone counts as failed (noOverwrite, clause 5.6.9). */
static void note_left_alone(struct op *op)
{
    if (op->result || !op->delta.not_updated.n)
        return;
    op->result = error_set(&op->error, ERR_EXISTS,
                           "left alone: %zu attributes that are there already, first %" STR_F,
                           op->delta.not_updated.n, STR_A(op->delta.not_updated.v[0]));
}

static void batch_written(struct api *c)
{
    const struct batch *b = c->ctx_then;
    size_t failed = b->refused.n;
    for (size_t i = 0; i < b->n; i++) {
        note_left_alone(&b->ops[i]);
        failed += b->ops[i].result != OK;
    }
    if (failed)
        answer_mixed(c, b);
    else if (b->kind == BATCH_CREATE || b->kind == BATCH_UPSERT)
        answer_created(c, b);
    else
        response_empty(c->res, 204);
}

static enum http_answer submit(struct api *c, struct batch *b)
{
    static const enum dist_batch_kind kinds[] = {[BATCH_CREATE] = DIST_CREATE_BATCH,
                                                 [BATCH_UPSERT] = DIST_UPSERT_BATCH,
                                                 [BATCH_UPDATE] = DIST_UPDATE_BATCH,
                                                 [BATCH_MERGE] = DIST_MERGE_BATCH,
                                                 [BATCH_DELETE] = DIST_DELETE_BATCH};
    struct dist_batch dist = {.kind = kinds[b->kind],
                              .ops = b->ops,
                              .payloads = b->payloads,
                              .n = b->n,
                              .refused = b->refused.v,
                              .n_refused = b->refused.n,
                              .settle = note_left_alone};
    if (b->op_kind == OP_UPSERT_UPDATE)
        dist.kind = DIST_UPSERT_UPDATE_BATCH;
    c->ctx_then = b;
    if (b->n && distribute_batch(c, &dist))
        return c->answer;
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
    b->payloads = ARENA_ARRAY(c->arena, struct dist_payload, body->n);
    return b;
}

static const struct unreachable *known_unreachable(const struct batch *b, struct str url)
{
    for (size_t i = 0; i < b->unreachable.n; i++)
        if (str_eq(b->unreachable.v[i].url, url))
            return &b->unreachable.v[i];
    return NULL;
}

/*
 * The context of one entity: its own, or of the Link header for plain JSON. ERR_UNAVAILABLE:
 * b->missing must be fetched first. ERR_TIMEOUT: it cannot be had.
 */
static enum err entity_context(struct api *c, struct batch *b, const struct json *entity,
                               const struct ld_context **ctx, struct error *e)
{
    const struct json *value = json_get(entity, S("@context"));
    *ctx = c->ctx;
    if (value && !c->ld_body)
        return error_set(e, ERR_INVALID, "an @context in the body needs application/ld+json");
    if (!c->ld_body || !json_is(entity, JSON_OBJECT))
        return OK;
    if (!value)
        return error_set(e, ERR_INVALID, "an entity without @context");
    b->missing = STR_NONE;
    enum err err = ld_context_get(c->link->contexts, c->arena, value, ctx, &b->missing, e);
    const struct unreachable *u = known_unreachable(b, b->missing);
    return err && u ? error_set(e, u->err, "%" STR_F ": %" STR_F, STR_A(str_cut(u->url, 100)),
                                STR_A(u->why))
                    : err;
}

static enum err expand(struct api *c, struct batch *b, const struct json *entity, struct op *op)
{
    const struct ld_context *ctx = c->ctx;
    enum err err = entity_context(c, b, entity, &ctx, &op->error);
    if (err)
        return err;
    op->input = entity_expand(c->arena, entity, b->mode, api_simplified(c), ctx, &op->error);
    if (!op->input)
        return op->error.code;
    b->payloads[b->n] = (struct dist_payload){entity, ctx, c->ld_body, false};
    return entity_id(op->input).p ? OK : error_set(&op->error, ERR_INVALID, "an entity without id");
}

/* Takes entities up to the first whose @context must be fetched. true: all are taken. */
static bool take_entities(struct api *c, struct batch *b)
{
    for (; b->next < c->body->n; b->next++) {
        const struct json *entity = &c->body->items[b->next];
        struct op op = {.kind = b->op_kind, .hints = b->hints};
        op.result = expand(c, b, entity, &op);
        if (op.result == ERR_UNAVAILABLE && b->missing.p)
            return false;
        if (op.result) {
            struct str id = json_text(json_get(entity, S("id")));
            op.id = id.p ? id : json_text(json_get(entity, S("@id")));
            *vec_push(c->arena, &b->refused) = op;
        } else {
            op.id = entity_id(op.input);
            b->ops[b->n++] = op;
        }
    }
    return true;
}

/* On a pool thread: the same with contexts from the network; one that cannot be had fails the
 * entities that need it, not the others. */
static void fetch_and_take(void *ctx)
{
    struct api *c = ctx;
    struct batch *b = c->ctx_then;
    while (!take_entities(c, b)) {
        struct error e = {0};
        enum err err = api_fetch_context(c, b->missing, &e);
        if (err)
            *vec_push(c->arena, &b->unreachable) =
                (struct unreachable){b->missing, str_printf(c->arena, "%s", e.text),
                                     err == ERR_INVALID ? err : ERR_TIMEOUT};
    }
    if (submit(c, b) == HTTP_DONE)
        http_resume(c->req);
}

static enum http_answer entities(struct api *c, enum batch_kind kind, enum op_kind op_kind,
                                 enum entity_in mode, struct merge_hints hints)
{
    struct batch *b = start(c, kind);
    if (!b)
        return c->answer;
    b->hints = hints;
    b->op_kind = op_kind;
    b->mode = mode;
    if (take_entities(c, b))
        return submit(c, b);
    struct api *kept = api_keep(c);
    kept->ctx_then = b;
    if (pool_submit_in(c->link->pool, str_hash(c->tenant), fetch_and_take, kept))
        return api_fail_text(c, ERR_UNAVAILABLE, "too many @contexts are being fetched");
    return HTTP_LATER;
}

#define NO_HINTS                                                                                   \
    (struct merge_hints)                                                                           \
    {                                                                                              \
        0                                                                                          \
    }
#define BATCH_PARAMS "options format local"

static enum http_answer batch_create(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    if (!api_open(&c, req, res, ctx, batch_create, API_BODY, BATCH_PARAMS))
        return c.answer;
    return entities(&c, BATCH_CREATE, OP_CREATE, ENTITY_WHOLE, NO_HINTS);
}

static enum http_answer batch_upsert(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    if (!api_open(&c, req, res, ctx, batch_upsert, API_BODY, BATCH_PARAMS))
        return c.answer;
    bool update = api_option(&c, "options", "update");
    return entities(&c, BATCH_UPSERT, update ? OP_UPSERT_UPDATE : OP_UPSERT, ENTITY_WHOLE,
                    NO_HINTS);
}

static enum http_answer batch_update(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    if (!api_open(&c, req, res, ctx, batch_update, API_BODY, BATCH_PARAMS))
        return c.answer;
    bool keep = api_option(&c, "options", "noOverwrite");
    return entities(&c, BATCH_UPDATE, keep ? OP_APPEND_NEW : OP_APPEND, ENTITY_FRAGMENT, NO_HINTS);
}

static enum http_answer batch_merge(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct merge_hints hints;
    if (!api_open(&c, req, res, ctx, batch_merge, API_BODY, BATCH_PARAMS " lang observedAt") ||
        !api_merge_hints(&c, &hints))
        return c.answer;
    return entities(&c, BATCH_MERGE, OP_MERGE, ENTITY_MERGE, hints);
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
