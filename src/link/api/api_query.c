/*
 * GET /entities, POST /entityOperations/query and the purge of what a selection matches (clauses
 * 5.7.2, 5.6.21, 6.4.3, 6.23).
 *
 * Pages follow the order of creation. The link to the next page holds the row it begins after, so
 * that pages do not shift while entities come and go; offset= works too, by counting.
 */
#include "api_join.h"
#include "api_select.h"
#include "shown.h"

struct page {
    struct api *c;
    struct api_select *select;
    struct entity_view view;
    struct shown *shown; /* where texts of this view are kept; NULL: nowhere */
    struct str known;    /* the text of the row at hand, from there */
    struct api_join join;
    int64_t limit, offset; /* entities to give, to skip */
    int64_t after;         /* row to begin after */
    int64_t position;      /* of the page's first entity among all matches */
    bool count;
    struct buf out;
    uint64_t given, met; /* met: with several selectors, matches so far */
    int64_t last;
    bool more;
    enum err failed;
    struct error error; /* of failed */
};

/* --- pages --- */

/* "AFTER-POSITION", see page_links(). */
static bool read_cursor(struct api *c, struct page *p)
{
    struct str text = request_query(c->req, "cursor");
    if (!text.p)
        return true;
    ptrdiff_t dash = str_find_char(text, '-');
    if (dash > 0 && str_to_i64(str_sub(text, 0, (size_t)dash), &p->after) &&
        str_to_i64(str_from(text, (size_t)dash + 1), &p->position) && p->after > 0 &&
        p->position >= 0 && !request_query(c->req, "offset").p)
        return true;
    api_fail_text(c, ERR_INVALID, "cursor is not one of ours, or stands beside offset");
    return false;
}

static bool read_page(struct api *c, struct page *p)
{
    const struct link_options *o = &c->link->options;
    if (!api_bool(c, "count", &p->count))
        return false;
    p->count = p->count || api_option(c, "options", "count");
    if (!api_number(c, "limit", o->page_default, 0, INT64_MAX, &p->limit) ||
        !api_number(c, "offset", 0, 0, INT64_MAX, &p->offset))
        return false;
    p->position = p->offset;
    if (p->limit == 0 && !p->count) {
        api_fail_text(c, ERR_INVALID, "limit=0 needs count=true");
        return false;
    }
    if (p->limit > o->page_max) {
        api_fail_text(c, ERR_TOO_MANY, "limit must be at most %lld", (long long)o->page_max);
        return false;
    }
    return read_cursor(c, p);
}

/* The request's own address with other paging. */
static void page_link(struct page *p, const char *rel, struct str paging)
{
    struct api *c = p->c;
    struct buf url = BUF_INIT;
    struct str rest = c->req->query, field;
    buf_char(&url, '<');
    buf_str(&url, c->req->path);
    buf_char(&url, '?');
    while (rest.p && str_split(&rest, '&', &field)) {
        if (str_starts(field, S("offset=")) || str_starts(field, S("cursor=")) || !field.n)
            continue;
        buf_str(&url, field);
        buf_char(&url, '&');
    }
    buf_str(&url, paging);
    buf_printf(&url, ">; rel=\"%s\"; type=\"%s\"", rel, c->type);
    response_header(c->req, c->res, "Link", buf_view(&url));
    buf_release(&url);
}

static void page_links(struct page *p)
{
    struct arena *a = p->c->arena;
    if (p->position > 0 && p->limit) {
        int64_t before = p->position > p->limit ? p->position - p->limit : 0;
        page_link(p, "prev", str_printf(a, "offset=%lld", (long long)before));
    }
    if (p->more && p->given)
        page_link(p, "next",
                  str_printf(a, "cursor=%lld-%lld", (long long)p->last,
                             (long long)p->position + (long long)p->given));
}

/* --- matches --- */

static const struct json *known_types(void *ctx, const struct entity_row *row, struct arena *a)
{
    struct page *p = ctx;
    struct str types;
    if (!shown_get(p->shown, row->eid, row->version, &p->view, a, &p->known, &types))
        return NULL;
    return json_parse(a, types, &JSON_DEFAULT, NULL);
}

static void show(struct page *p, const struct entity_row *row, const struct json *stored)
{
    if (p->given++)
        buf_char(&p->out, ',');
    p->last = row->eid;
    if (!stored) {
        buf_str(&p->out, p->known);
        return;
    }
    if (p->join.kind == JOIN_INLINE) {
        p->failed = api_join_inline(&p->join, &p->out, stored, &p->view, &p->error);
        return;
    }
    size_t begin = p->out.n;
    entity_write(&p->out, p->c->arena, stored, &p->view);
    if (p->shown)
        shown_put(p->shown, row->eid, row->version, &p->view, stored,
                  str_from(buf_view(&p->out), begin));
    if (p->join.kind == JOIN_FLAT)
        api_join_note(&p->join, stored);
}

static bool each_match(void *ctx, const struct entity_row *row, const struct json *stored)
{
    struct page *p = ctx;
    if (!stored || !api_expired(p->c, stored)) /* what expires is not kept */
        show(p, row, stored);
    return !p->failed;
}

/* With several selectors the paging is done here, because only some of the matches count. */
static bool each_candidate(void *ctx, const struct entity_row *row, const struct json *stored)
{
    struct page *p = ctx;
    bool hit;
    p->failed = api_select_any(p->select, stored, &hit);
    if (p->failed)
        error_set(&p->error, p->failed, "idPattern takes too long to match");
    if (p->failed || !hit || api_expired(p->c, stored))
        return !p->failed;
    p->met++;
    if (p->met <= (uint64_t)p->offset)
        return true;
    if (p->given < (uint64_t)p->limit) {
        show(p, row, stored);
        return !p->failed;
    }
    p->more = true;
    return p->count;
}

static enum err run(struct page *p, struct store_conn *conn, int64_t tenant, uint64_t *count,
                    struct error *e)
{
    struct link *l = p->c->link;
    bool own = p->select->n_any > 0;
    struct repo_result result;
    struct repo_query q = {.query = &p->select->query,
                           .tenant = tenant,
                           .after = p->after,
                           .offset = own ? 0 : (uint64_t)p->offset,
                           .limit = own ? UINT64_MAX : (uint64_t)p->limit,
                           .count = p->count && !p->after,
                           .clock = l->clock,
                           .deadline = clock_steady(l->clock) + l->options.query_ms * 1000,
                           .types_of = p->shown && !own ? known_types : NULL};
    enum err err = repo_query(conn, &q, own ? each_candidate : each_match, p, &result, e);
    if (!err && p->failed) {
        *e = p->error;
        err = p->failed;
    }
    if (!own && !err) {
        p->more = result.more;
        p->last = result.last;
    }
    *count = own ? p->met : result.count;
    if (err || !p->count || !p->after)
        return err;
    /* a page that begins after a row has not seen those before it */
    struct page all = {.c = p->c, .select = p->select, .count = true};
    return run(&all, conn, tenant, count, e);
}

static void answer(struct page *p, uint64_t count)
{
    struct api *c = p->c;
    if (p->view.geojson) {
        BUF_LIT(&p->out, "]");
        if (c->embed) {
            BUF_LIT(&p->out, ",\"@context\":");
            json_write(&p->out, ld_context_json(c->ctx));
        }
        BUF_LIT(&p->out, "}");
    } else {
        BUF_LIT(&p->out, "]");
    }
    if (p->count)
        response_header(c->req, c->res, "NGSILD-Results-Count",
                        str_printf(c->arena, "%llu", (unsigned long long)count));
    page_links(p);
    api_answer_buf(c, 200, &p->out);
}

/* Entities of which pick leaves nothing are not among the matches (clause 4.21). */
static void select_picked(struct api_select *s, const struct entity_view *v)
{
    for (size_t i = 0; i < v->n_pick; i++)
        if (entity_is_member(v->pick[i]))
            return;
    if (!v->n_pick || s->query.n_attrs)
        return;
    s->query.attrs = v->pick;
    s->query.n_attrs = v->n_pick;
}

static enum http_answer query(struct api *c, struct api_select *s)
{
    struct page p = {.c = c, .select = s};
    struct error e = {0};
    uint64_t count;
    int64_t tenant;
    struct store_conn *conn = NULL;
    if (!api_accept(c, true) || !api_view(c, &p.view) || !api_select_view(c, s, &p.view) ||
        !api_join_read(c, &p.join) || !read_page(c, &p) || !(conn = api_reader(c, &tenant))) {
        api_select_release(s);
        return c->answer;
    }
    select_picked(s, &p.view);
    if (p.view.geojson) {
        p.view.with_context = false; /* once for all features */
        BUF_LIT(&p.out, "{\"type\":\"FeatureCollection\",\"features\":");
    }
    buf_char(&p.out, '[');
    if (shown_fits(c->link->shown, &p.view) && p.join.kind == JOIN_NONE)
        p.shown = c->link->shown;
    p.join.conn = conn;
    p.join.tenant = tenant;
    enum err err = run(&p, conn, tenant, &count, &e);
    size_t linked;
    if (!err && p.join.kind == JOIN_FLAT)
        err = api_join_flush(&p.join, &p.out, &p.view, &linked, &e);
    store_read_done(conn);
    api_join_release(&p.join);
    api_select_release(s);
    if (!err) {
        answer(&p, count);
        return HTTP_DONE;
    }
    buf_release(&p.out);
    return api_fail(c, &e);
}

#define PAGE_PARAMS                                                                                \
    "options format pick omit lang datasetId geometryProperty limit offset cursor count"

static enum http_answer get_entities(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct api_select s;
    if (!api_open(&c, req, res, ctx, get_entities, 0,
                  PAGE_PARAMS API_JOIN_PARAMS API_SELECT_PARAMS) ||
        !api_select_get(&c, &s, false))
        return c.answer;
    return query(&c, &s);
}

static enum http_answer post_query(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct api_select s;
    if (!api_open(
            &c, req, res, ctx, post_query, API_BODY,
            "options format geometryProperty limit offset cursor count local" API_JOIN_PARAMS) ||
        !api_select_body(&c, &s, false))
        return c.answer;
    return query(&c, &s);
}

/* --- purge --- */

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

static enum http_answer purge_entities(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct purge *p = ARENA_NEW(req->arena, struct purge);
    if (!api_open(&c, req, res, ctx, purge_entities, 0, "keep drop" API_SELECT_PARAMS) ||
        !api_select_get(&c, &p->select, false))
        return c.answer;
    p->n_keep = api_names(&c, request_query(req, "keep"), &p->keep);
    p->n_drop = api_names(&c, request_query(req, "drop"), &p->drop);
    if (p->n_keep && p->n_drop) {
        api_select_release(&p->select);
        return api_fail_text(&c, ERR_INVALID, "keep and drop exclude each other");
    }
    enum http_answer answer = api_slowly(&c, purge_run, p);
    if (answer == HTTP_DONE) /* refused */
        api_select_release(&p->select);
    return answer;
}

static const struct route routes[] = {
    {"GET", "/ngsi-ld/v1/entities", get_entities, ROUTE_PUBLIC_CORS},
    {"GET", "/ngsi-ld/v1/entities/", get_entities, ROUTE_PUBLIC_CORS | ROUTE_HIDDEN},
    {"DELETE", "/ngsi-ld/v1/entities", purge_entities, ROUTE_PUBLIC_CORS},
    {"POST", "/ngsi-ld/v1/entityOperations/query", post_query, ROUTE_PUBLIC_CORS},
};

void api_query_routes(struct link *l, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), l);
}
