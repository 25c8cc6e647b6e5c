/*
 * What sources tell about copies of our subscriptions: POST /federation/notified/{token}.
 *
 * The token is the only proof that is asked for; it is known to the source and to nobody else. Each
 * entity becomes a journal row in the form of entity events, for that one subscription; the source
 * is answered when they are on disk.
 */
#include "distribute_subscription.h"

#include "store/journal.h"

struct told {
    struct api *c;
    struct store_change change;
    int64_t tenant;
    struct str sub;
    VEC(struct str) bodies;
};

/* --- an entity of a notification as an event --- */

static void write_deleted(struct json_writer *w, struct str attr, const struct json *instance)
{
    struct str dataset = json_text(json_get(instance, S("datasetId")));
    json_w_object(w);
    json_w_kstr(w, S("a"), attr);
    if (dataset.p)
        json_w_kstr(w, S("d"), dataset);
    json_w_kstr(w, S("o"), S("d"));
    json_w_key(w, S("b"));
    json_w_object(w);
    json_w_kstr(w, S("type"), S("Property"));
    if (dataset.p)
        json_w_kstr(w, S("datasetId"), dataset);
    json_w_end(w);
    json_w_end(w);
}

static bool is_deleted(const struct json *instance)
{
    return str_eq(json_text(json_get(instance, S("type"))), S("deleted"));
}

/* Instances that are there; NULL: none is. */
static const struct json *present(struct arena *a, const struct json *instances)
{
    VEC(struct json) out = VEC_INIT;
    for (uint32_t i = 0; json_is(instances, JSON_ARRAY) && i < instances->n; i++)
        if (!is_deleted(&instances->items[i]))
            *vec_push(a, &out) = instances->items[i];
    if (!out.n)
        return NULL;
    struct json *v = ARENA_NEW(a, struct json);
    *v = json_v_array(out.v, out.n);
    return v;
}

static void write_event(struct arena *a, struct json_writer *w, const struct json *stored,
                        bool gone)
{
    json_w_object(w);
    json_w_kstr(w, S("op"), gone ? S("d") : S("u"));
    json_w_key(w, S("doc"));
    json_w_object(w);
    for (uint32_t i = 0; i < stored->n; i++) {
        struct str key = json_key(&stored->members[i]);
        const struct json *v = &stored->members[i].value;
        if (!entity_is_member(key))
            v = present(a, v);
        if (!v)
            continue;
        json_w_key(w, key);
        json_w_value(w, v);
    }
    json_w_end(w);
    json_w_key(w, S("changed"));
    json_w_array(w);
    for (uint32_t i = 0; i < stored->n; i++) {
        struct str key = json_key(&stored->members[i]);
        const struct json *v = &stored->members[i].value;
        for (uint32_t k = 0; !entity_is_member(key) && json_is(v, JSON_ARRAY) && k < v->n; k++)
            if (is_deleted(&v->items[k]))
                write_deleted(w, key, &v->items[k]);
    }
    json_w_end(w);
    json_w_end(w);
}

/* false: the response is filled. */
static bool take_entity(struct told *t, const struct json *entity)
{
    struct api *c = t->c;
    struct error e = {0};
    const struct ld_context *ctx = c->ctx;
    const struct json *own = json_get(entity, S("@context"));
    struct str missing;
    if (own && ld_context_get(c->link->contexts, c->arena, own, &ctx, &missing, &e))
        ctx = c->ctx;
    const struct json *in = entity_expand_told(c->arena, entity, ctx, &e);
    if (!in || !entity_id(in).p || !json_is(entity_types(in), JSON_ARRAY)) {
        if (in)
            error_set(&e, ERR_INVALID, "an entity needs id and type");
        api_fail(c, &e);
        return false;
    }
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    write_event(c->arena, &w, in, json_get(entity, S("deletedAt")) != NULL);
    *vec_push(c->arena, &t->bodies) = buf_dup(&b, c->arena);
    buf_release(&b);
    return true;
}

/* --- rows --- */

static enum err apply(struct store_conn *conn, void *ctx, struct error *e)
{
    struct told *t = ctx;
    for (size_t i = 0; i < t->bodies.n; i++) {
        struct journal_row row = {.tenant = t->tenant,
                                  .at = clock_now(t->c->link->clock),
                                  .topic = S("notified"),
                                  .key = t->sub,
                                  .body = t->bodies.v[i]};
        if (journal_append(conn, &row, e))
            return e->code;
    }
    return OK;
}

static void done(void *ctx, enum err code, const struct error *e)
{
    struct told *t = ctx;
    if (code)
        api_fail(t->c, e);
    else
        response_empty(t->c->res, 200);
    http_resume(t->c->req);
}

/* Whose token is it? false: the response is filled. */
static bool find(struct told *t)
{
    struct api *c = t->c;
    struct error e = {0};
    struct store_rows r;
    struct store_conn *conn = store_read(c->link->store, &e);
    if (!conn) {
        api_fail(c, &e);
        return false;
    }
    store_query(conn, &r, "SELECT tenant, sub FROM sub_remote WHERE token = $1",
                SV(SV_TEXT(request_param(c->req, "token"))));
    if (store_next(&r)) {
        t->tenant = store_int(&r, 0);
        t->sub = str_dup(c->arena, store_text(&r, 1));
    }
    enum err err = store_end(&r, &e);
    store_read_done(conn);
    if (err)
        api_fail(c, &e);
    else if (!t->tenant)
        api_fail_text(c, ERR_NOT_FOUND, "nobody here is told by that address");
    return !err && t->tenant;
}

static enum http_answer notified(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct told *t = ARENA_NEW(req->arena, struct told);
    if (!api_begin(&c, req, res, ctx, notified, API_BODY))
        return c.answer;
    t->c = api_keep(&c);
    if (!find(t))
        return t->c->answer;
    const struct json *data = json_get(c.body, S("data"));
    uint32_t n = json_is(data, JSON_ARRAY) ? data->n : 1;
    if (!data || n > (uint64_t)c.link->options.batch_max)
        return api_fail_text(&c, ERR_INVALID, "data: an entity, or a list of at most %lld",
                             (long long)c.link->options.batch_max);
    for (uint32_t i = 0; i < n; i++)
        if (!take_entity(t, json_is(data, JSON_ARRAY) ? &data->items[i] : data))
            return t->c->answer;
    t->change =
        (struct store_change){.apply = apply, .done = done, .ctx = t, .lane = str_hash(c.tenant)};
    if (store_submit(c.link->store, &t->change))
        return api_fail_text(&c, ERR_UNAVAILABLE, "too many changes are waiting to be written");
    return HTTP_LATER;
}

static const struct route routes[] = {
    {"POST", "/federation/notified/{token}", notified, ROUTE_HIDDEN},
};

void remote_subs_routes(struct link *l, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), l);
}
