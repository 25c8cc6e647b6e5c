/*
 * GET /v2, /version, /v2/types and /v2/types/{type}. What attributes the entities of a type have is
 * worked out by looking at them, on a pool thread.
 */
#include "core/map.h"
#include "v2.h"
#include <stdlib.h>

/* --- entry points --- */

static enum http_answer entry(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct v2_paths paths;
    if (!v2_open(&c, &paths, req, res, ctx, 0, ""))
        return c.answer;
    response_body(req, res, 200, "application/json",
                  S("{\"entities_url\":\"/v2/entities\",\"types_url\":\"/v2/types\","
                    "\"subscriptions_url\":\"/v2/subscriptions\","
                    "\"registrations_url\":\"/v2/registrations\"}"));
    return HTTP_DONE;
}

/* Clients of Orion look for orion.version; they find whom they talk to. */
static enum http_answer version(struct request *req, struct response *res, void *ctx)
{
    struct link *l = ctx;
    int64_t s = (clock_steady(l->clock) - l->started) / SECOND_US;
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    json_w_object(&w);
    json_w_key(&w, S("orion"));
    json_w_object(&w);
    json_w_kstr(&w, S("version"), S("Marugoto (NGSIv2)"));
    json_w_kstr(&w, S("uptime"),
                str_printf(req->arena, "%lld d, %lld h, %lld m, %lld s", (long long)(s / 86400),
                           (long long)(s / 3600 % 24), (long long)(s / 60 % 60),
                           (long long)(s % 60)));
    json_w_end(&w);
    json_w_end(&w);
    response_body(req, res, 200, "application/json", buf_dup(&b, req->arena));
    buf_release(&b);
    return HTTP_DONE;
}

/* --- looking at entities --- */

struct attr_info {
    struct str name;
    struct map seen;
    VEC(struct str) types;
};

struct type_info {
    struct str name;
    uint64_t count;
    struct map seen;
    VEC(struct attr_info *) attrs;
};

struct look {
    struct api *c;
    struct v2_paths paths;
    struct str only; /* type of interest; absent: all */
    int64_t limit, offset, now;
    bool names, count, no_detail; /* options */
    struct arena scratch;
    struct map seen;
    VEC(struct type_info *) types;
};

static void note_attr(struct look *k, struct type_info *t, struct str name, struct str type)
{
    struct arena *a = k->c->arena;
    struct attr_info *info = map_get(&t->seen, name);
    if (!info) {
        info = ARENA_NEW(a, struct attr_info);
        info->name = str_dup(a, name);
        map_put(&t->seen, info->name, info);
        *vec_push(a, &t->attrs) = info;
    }
    if (map_get(&info->seen, type))
        return;
    type = str_dup(a, type);
    map_put(&info->seen, type, info);
    *vec_push(a, &info->types) = type;
}

static struct type_info *type_info(struct look *k, struct str name)
{
    struct type_info *t = map_get(&k->seen, name);
    if (t)
        return t;
    t = ARENA_NEW(k->c->arena, struct type_info);
    t->name = str_dup(k->c->arena, name);
    map_put(&k->seen, t->name, t);
    *vec_push(k->c->arena, &k->types) = t;
    return t;
}

static bool each(void *ctx, const struct entity_row *row, const struct json *stored)
{
    struct look *k = ctx;
    (void)row;
    arena_reset(&k->scratch);
    struct str name = v2_entity_type(&k->scratch, stored);
    if (v2_expired(stored, k->now) || !v2_paths_hold(&k->paths, stored) ||
        (k->only.p && !str_eq(name, k->only)))
        return true;
    struct type_info *t = type_info(k, name);
    t->count++;
    for (uint32_t i = 0; i < stored->n && !k->names; i++) {
        const struct json_member *m = &stored->members[i];
        const struct json *instance =
            entity_is_member(json_key(m)) ? NULL : instance_default(&m->value);
        if (instance)
            note_attr(k, t, v2_name(&k->scratch, json_key(m)), v2_type(&k->scratch, instance));
    }
    return true;
}

static int by_name(const void *x, const void *y)
{
    const struct type_info *const *a = x, *const *b = y;
    return str_cmp((*a)->name, (*b)->name);
}

static enum err look(struct look *k, struct store_conn *conn, int64_t tenant, struct error *e)
{
    struct link *l = k->c->link;
    struct entity_query eq = {0};
    struct str iri = k->only.p ? v2_iri(k->c->arena, k->only) : STR_NONE;
    struct query_expr leaf = {.kind = EXPR_LEAF, .leaf = &iri};
    struct type_node node = {.root = &leaf};
    struct repo_result result;
    struct repo_query q = {.query = &eq,
                           .tenant = tenant,
                           .limit = UINT64_MAX,
                           .clock = l->clock,
                           .deadline = clock_steady(l->clock) + l->options.query_ms * 1000};
    if (k->only.p)
        eq.types = &node;
    k->now = clock_now(l->clock);
    enum err err = repo_query(conn, &q, each, k, &result, e);
    if (k->types.n)
        qsort(k->types.v, k->types.n, sizeof(k->types.v[0]), by_name);
    return err;
}

static void release(struct look *k)
{
    for (size_t i = 0; i < k->types.n; i++) {
        struct type_info *t = k->types.v[i];
        for (size_t m = 0; m < t->attrs.n; m++)
            map_release(&t->attrs.v[m]->seen);
        map_release(&t->seen);
    }
    map_release(&k->seen);
    arena_release(&k->scratch);
}

/* --- answers --- */

static void write_type(struct json_writer *w, const struct look *k, const struct type_info *t)
{
    json_w_object(w);
    if (!k->only.p)
        json_w_kstr(w, S("type"), t->name);
    json_w_key(w, S("attrs"));
    json_w_object(w);
    for (size_t i = 0; i < t->attrs.n; i++) {
        const struct attr_info *info = t->attrs.v[i];
        json_w_key(w, info->name);
        json_w_object(w);
        json_w_key(w, S("types"));
        json_w_array(w);
        for (size_t m = 0; m < info->types.n && !k->no_detail; m++)
            json_w_str(w, info->types.v[m]);
        json_w_end(w);
        json_w_end(w);
    }
    json_w_end(w);
    json_w_ki64(w, S("count"), (int64_t)t->count);
    json_w_end(w);
}

static void write_list(struct json_writer *w, const struct look *k)
{
    size_t i = (uint64_t)k->offset < k->types.n ? (size_t)k->offset : k->types.n;
    json_w_array(w);
    for (int64_t n = 0; i < k->types.n && n < k->limit; i++, n++) {
        if (k->names)
            json_w_str(w, k->types.v[i]->name);
        else
            write_type(w, k, k->types.v[i]);
    }
    json_w_end(w);
}

static void answer(struct api *c)
{
    struct look *k = c->ctx_then;
    struct error e = {0};
    int64_t tenant;
    bool there;
    k->c = c;
    struct store_conn *conn = v2_reader(c, &tenant, &there);
    if (!conn && there)
        return;
    enum err err = conn ? look(k, conn, tenant, &e) : OK;
    if (conn)
        store_read_done(conn);
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    if (err) {
        api_fail(c, &e);
    } else if (k->only.p && !k->types.n) {
        api_fail_text(c, ERR_NOT_FOUND, "Entity type not found");
    } else {
        if (k->only.p)
            write_type(&w, k, k->types.v[0]);
        else
            write_list(&w, k);
        response_body(c->req, c->res, 200, "application/json", buf_dup(&b, c->arena));
        if (k->count)
            response_header(c->req, c->res, "Fiware-Total-Count",
                            str_printf(c->arena, "%zu", k->types.n));
    }
    buf_release(&b);
    release(k);
}

static enum http_answer list_types(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct v2_paths paths;
    if (!v2_open(&c, &paths, req, res, ctx, 0, "count values noAttrDetail"))
        return c.answer;
    struct look *k = ARENA_NEW(c.arena, struct look);
    k->paths = paths;
    if (!v2_limits(&c, &k->limit, &k->offset))
        return c.answer;
    k->names = api_option(&c, "options", "values");
    k->count = api_option(&c, "options", "count");
    k->no_detail = api_option(&c, "options", "noAttrDetail");
    return api_slowly(&c, answer, k);
}

static enum http_answer read_type(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct v2_paths paths;
    if (!v2_open(&c, &paths, req, res, ctx, 0, "noAttrDetail"))
        return c.answer;
    struct look *k = ARENA_NEW(c.arena, struct look);
    k->paths = paths;
    k->no_detail = api_option(&c, "options", "noAttrDetail");
    if (!v2_param(&c, "type", "entity type", &k->only))
        return c.answer;
    return api_slowly(&c, answer, k);
}

static const struct route routes[] = {
    {"GET", "/v2", entry, ROUTE_PUBLIC_CORS},
    {"GET", "/version", version, ROUTE_PUBLIC_CORS},
    {"GET", "/v2/types", list_types, ROUTE_PUBLIC_CORS},
    {"GET", "/v2/types/{type}", read_type, ROUTE_PUBLIC_CORS},
};

void v2_type_routes(struct link *l, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), l);
}

void v2_routes(struct link *l, struct router *r)
{
    v2_entity_routes(l, r);
    v2_query_routes(l, r);
    v2_batch_routes(l, r);
    v2_type_routes(l, r);
    v2_subscription_routes(l, r);
    v2_registration_routes(l, r);
}
