/*
 * What sources tell about copies of our subscriptions: POST /federation/notified/{token}.
 *
 * The token is the only proof that is asked for; it is known to the source and to nobody else. Each
 * entity becomes a journal row in the form of entity events, for that one subscription; the source
 * is answered when they are on disk. Where entities may be split, what is told of one is put
 * together with what is here and at the other sources first (clause 5.8.6).
 */
#include "distribute_read.h"
#include "distribute_subscription.h"
#include "link/access.h"
#include "store/journal.h"
#include "subscription_impl.h"

/* An entity as it was told. */
struct tale {
    const struct json *entity; /* stored form, with what is gone of it */
    bool gone;                 /* it was deleted */
};

struct told {
    struct api *c;
    struct store_change change;
    int64_t tenant;
    struct str sub, reg; /* ids of the subscription, and of the registration of who tells */
    bool split;
    VEC(struct tale) tales;
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

/* What is there of an entity. */
static const struct json *state_of(struct arena *a, const struct json *told)
{
    struct json_member *m = ARENA_ARRAY(a, struct json_member, told->n);
    struct json *out = ARENA_NEW(a, struct json);
    size_t n = 0;
    for (uint32_t i = 0; i < told->n; i++) {
        struct str key = json_key(&told->members[i]);
        const struct json *v = &told->members[i].value;
        if (!entity_is_member(key))
            v = present(a, v);
        if (v)
            m[n++] = json_m(key, *v);
    }
    *out = json_v_object(m, n);
    return out;
}

/* doc: the state; stored: as it was told, with what is gone. */
static void write_event(struct json_writer *w, const struct json *doc, const struct json *stored,
                        bool gone)
{
    json_w_object(w);
    json_w_kstr(w, S("op"), gone ? S("d") : S("u"));
    json_w_key(w, S("doc"));
    json_w_value(w, doc);
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
    *vec_push(c->arena, &t->tales) = (struct tale){in, json_get(entity, S("deletedAt")) != NULL};
    return true;
}

static void add_event(struct told *t, const struct json *doc, const struct tale *told)
{
    struct arena *a = t->c->arena;
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    write_event(&w, doc, told->entity, told->gone);
    *vec_push(a, &t->bodies) = buf_dup(&b, a);
    buf_release(&b);
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
    store_query(conn, &r,
                "SELECT r.tenant, r.sub, r.reg, t.name, s.doc FROM sub_remote r"
                " JOIN tenant t ON t.n = r.tenant"
                " LEFT JOIN subscription s ON s.tenant = r.tenant AND s.id = r.sub"
                " WHERE r.token = $1",
                SV(SV_TEXT(request_param(c->req, "token"))));
    if (store_next(&r)) {
        t->tenant = store_int(&r, 0);
        t->sub = str_dup(c->arena, store_text(&r, 1));
        t->reg = str_dup(c->arena, store_text(&r, 2));
        c->tenant = str_dup(c->arena, store_text(&r, 3)); /* ours, not the source's */
        t->split =
            remote_sub_splits(c->link, json_parse(c->arena, str_dup(c->arena, store_text(&r, 4)),
                                                  &JSON_DEFAULT, NULL));
    }
    enum err err = store_end(&r, &e);
    store_read_done(conn);
    if (err)
        api_fail(c, &e);
    else if (!t->tenant)
        api_fail_text(c, ERR_NOT_FOUND, "nobody here is told by that address");
    return !err && t->tenant;
}

/* --- entities that may be split --- */

static const struct json *state_here(struct told *t, struct store_conn *conn, struct str id)
{
    struct error e;
    struct entity_row row;
    return repo_get(conn, t->c->arena, t->tenant, id, &row, &e)
               ? NULL
               : json_parse(t->c->arena, row.doc, &JSON_DEFAULT, NULL);
}

/* One version of the entity: what was told, and what is known elsewhere. */
static const struct json *put_together(struct told *t, struct distribute *d, bool others,
                                       const struct json *told, const struct json *here)
{
    struct arena *a = t->c->arena;
    const struct json *rest = others ? distribute_whole(d, a, entity_id(told), here) : here;
    struct merge_version v[2] = {{state_of(a, told), REG_INCLUSIVE, 0}, {rest, REG_INCLUSIVE, 1}};
    return merge_versions(a, v, rest ? 2 : 1, clock_now(t->c->link->clock), NULL, NULL);
}

/* Do the subscription's conditions hold, on what its owner may see? */
static enum err add_if_met(struct told *t, const struct sub_spec *spec, const struct json *whole,
                           const struct tale *told, struct error *e)
{
    const struct access_view *view =
        access_view_of(t->c->link->access, spec->group->owner, t->tenant);
    const struct json *seen = whole ? access_see(view, t->c->arena, whole) : NULL;
    bool hit = false;
    enum err err = seen ? query_holds(&spec->filter, seen, &hit, e) : OK;
    if (!err && hit)
        add_event(t, whole, told);
    return err;
}

static enum err put_all_together(struct told *t, struct sub_spec *spec, struct error *e)
{
    struct api *c = t->c;
    struct arena *a = c->arena;
    size_t n = t->tales.n;
    const struct json **here = ARENA_ARRAY(a, const struct json *, n + 1);
    struct str *ids = ARENA_ARRAY(a, struct str, n + 1);
    struct store_conn *conn = store_read(c->link->store, e);
    if (!conn)
        return e->code;
    for (size_t i = 0; i < n; i++) {
        ids[i] = entity_id(t->tales.v[i].entity);
        here[i] = state_here(t, conn, ids[i]);
    }
    store_read_done(conn);
    struct distribute *d = ARENA_NEW(a, struct distribute);
    bool failed = false;
    *d = (struct distribute){.c = c,
                             .kind = DISTRIBUTE_IDS,
                             .tenant = t->tenant,
                             .unseen = true,
                             .but = t->reg,
                             .ask = {.op = REG_QUERY_ENTITY | REG_QUERY_BATCH,
                                     .ids = ids,
                                     .n_ids = n}};
    bool others = n && !forward_came_back(c, &failed) && distribute_begin(d, &failed);
    if (others)
        distribute_wait(d);
    enum err err = OK;
    for (size_t i = 0; i < n && !err; i++) {
        const struct tale *told = &t->tales.v[i];
        if (told->gone)
            add_event(t, state_of(a, told->entity), told);
        else
            err = add_if_met(t, spec, put_together(t, d, others, told->entity, here[i]), told, e);
    }
    if (others)
        distribute_end(d);
    return err;
}

/* On a pool thread. */
static void notified_split(struct api *c)
{
    struct told *t = c->ctx_then;
    struct error e = {0};
    t->c = c;
    struct store_conn *conn = store_read(c->link->store, &e);
    struct sub_spec *spec = conn ? sub_spec_of(c->link, conn, t->tenant, t->sub, &e) : NULL;
    if (conn)
        store_read_done(conn);
    enum err err = spec ? put_all_together(t, spec, &e) : e.code;
    if (spec)
        sub_spec_drop(spec);
    if (!err && t->bodies.n)
        err = store_write(c->link->store, apply, t, &e);
    if (err)
        api_fail(c, &e);
    else
        response_empty(c->res, 200);
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
    if (t->split)
        return api_slowly(t->c, notified_split, t);
    for (size_t i = 0; i < t->tales.n; i++)
        add_event(t, state_of(c.arena, t->tales.v[i].entity), &t->tales.v[i]);
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
