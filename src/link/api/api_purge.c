/*
 * DELETE /entities: what a selection matches goes, or some of its attributes (clauses 5.6.21,
 * 6.4.3.3).
 */
#include "api_select.h"
#include "core/vec.h"
#include "distribute.h"
#include "entity_map.h"
#include "link/access.h"

enum { PURGE_CHUNK = 500 };

struct purge {
    struct api *c;
    struct arena arena; /* of one chunk */
    struct api_select select;
    const struct str *keep, *drop; /* attributes; without them whole entities go */
    size_t n_keep, n_drop;
    VEC(struct op) ops;
    int64_t last;
    uint64_t failed;
};

static bool among(const struct str *names, size_t n, struct str name)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(names[i], name))
            return true;
    return false;
}

/* A fragment that deletes the attributes of the entity that are to go; NULL: none are. */
static const struct json *attrs_to_drop(struct purge *p, const struct json *stored)
{
    struct arena *a = &p->arena;
    VEC(struct json_member) out = VEC_INIT;
    for (uint32_t i = 0; i < stored->n; i++) {
        struct str iri = json_key(&stored->members[i]);
        if (entity_is_member(iri) || among(p->keep, p->n_keep, iri) ||
            (p->n_drop && !among(p->drop, p->n_drop, iri)))
            continue;
        struct json_member *mark = ARENA_ARRAY(a, struct json_member, 2);
        struct json *instance = ARENA_NEW(a, struct json);
        mark[0] = json_m(S("type"), json_v_str(S("deleted")));
        mark[1] = json_m(S("all"), json_v_bool(true));
        *instance = json_v_object(mark, 2);
        *vec_push(a, &out) = json_m(str_dup(a, iri), json_v_array(instance, 1));
    }
    struct json *fragment = ARENA_NEW(a, struct json);
    *fragment = json_v_object(out.v, out.n);
    return out.n ? fragment : NULL;
}

static bool purge_each(void *ctx, const struct entity_row *row, const struct json *stored)
{
    struct purge *p = ctx;
    bool hit;
    p->last = row->eid;
    if (api_select_any(&p->select, stored, &hit) || !hit)
        return true;
    struct op op = {.kind = OP_DELETE, .id = str_dup(&p->arena, row->id)};
    if (p->n_keep || p->n_drop) {
        op.kind = OP_UPDATE;
        op.input = attrs_to_drop(p, stored);
        if (!op.input)
            return true;
    }
    *vec_push(&p->arena, &p->ops) = op;
    return p->ops.n < PURGE_CHUNK;
}

/* One chunk: found on a snapshot, then changed in one transaction. */
static enum err purge_chunk(struct purge *p, bool *more, struct error *e)
{
    int64_t tenant;
    struct link *l = p->c->link;
    struct repo_result result;
    struct store_conn *conn = store_read(l->store, e);
    if (!conn)
        return e->code;
    enum err err = repo_tenant(conn, p->c->tenant, &tenant, e);
    if (!err)
        store_set_view(conn, api_sight(p->c, tenant));
    struct repo_query q = {.query = &p->select.query,
                           .tenant = tenant,
                           .after = p->last,
                           .limit = UINT64_MAX,
                           .clock = l->clock};
    arena_reset(&p->arena);
    p->ops.v = NULL;
    p->ops.n = p->ops.cap = 0;
    if (!err)
        err = repo_query(conn, &q, purge_each, p, &result, e);
    store_read_done(conn);
    *more = p->ops.n == PURGE_CHUNK;
    if (err || !p->ops.n)
        return err;
    struct ops ops = {.arena = &p->arena,
                      .tenant = p->c->tenant,
                      .actor = p->c->req->user,
                      .who = access_asks(p->c->req),
                      .ops = p->ops.v,
                      .n = p->ops.n};
    err = ops_run(l, &ops, e);
    for (size_t i = 0; i < ops.n; i++)
        p->failed += ops.ops[i].result && ops.ops[i].result != ERR_NOT_FOUND;
    return err;
}

static void purge_run(struct api *c)
{
    struct purge *p = c->ctx_then;
    struct error e = {0};
    enum err err = OK;
    bool more = true;
    p->c = c;
    while (!err && more)
        err = purge_chunk(p, &more, &e);
    api_select_release(&p->select);
    arena_release(&p->arena);
    if (err == ERR_NOT_FOUND)
        api_no_tenant(c);
    else if (err)
        api_fail(c, &e);
    else if (p->failed)
        api_fail_text(c, ERR_CONFLICT, "%llu entities could not be changed",
                      (unsigned long long)p->failed);
    else
        response_empty(c->res, 204);
}

/* Of a map that is not known nothing is deleted. */
static bool take_map(struct api *c, struct api_select *s)
{
    struct entity_map_use map;
    if (!entity_map_use(c, &map))
        return false;
    if (map.given)
        api_select_ids(c, s, map.ids, map.n_ids);
    if (map.make)
        api_fail_text(c, ERR_NOT_FOUND, "there is no such entity map");
    return !map.make;
}

static enum http_answer purge_entities(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct purge *p = ARENA_NEW(req->arena, struct purge);
    if (!api_open(&c, req, res, ctx, purge_entities, 0, "keep drop local" API_SELECT_PARAMS) ||
        !api_select_get(&c, &p->select, 0))
        return c.answer;
    if (!take_map(&c, &p->select)) {
        api_select_release(&p->select);
        return c.answer;
    }
    p->n_keep = api_names(&c, request_query(req, "keep"), &p->keep);
    p->n_drop = api_names(&c, request_query(req, "drop"), &p->drop);
    if (p->n_keep && p->n_drop) {
        api_select_release(&p->select);
        return api_fail_text(&c, ERR_INVALID, "keep and drop exclude each other");
    }
    struct reg_ask about = {.ids = p->select.query.ids,
                            .n_ids = p->select.query.n_ids,
                            .id_pattern = request_query(req, "idPattern"),
                            .types = p->select.query.types,
                            .attrs = p->select.query.attrs,
                            .n_attrs = p->select.query.n_attrs,
                            .geo = p->select.query.geo};
    if (distribute_purge(&c, &about, purge_run, p)) {
        if (c.answer == HTTP_DONE)
            api_select_release(&p->select);
        return c.answer;
    }
    enum http_answer answer = api_slowly(&c, purge_run, p);
    if (answer == HTTP_DONE) /* refused */
        api_select_release(&p->select);
    return answer;
}

static const struct route routes[] = {
    {"DELETE", "/ngsi-ld/v1/entities", purge_entities, ROUTE_PUBLIC_CORS},
};

void api_purge_routes(struct link *l, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), l);
}
