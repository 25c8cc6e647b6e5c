/*
 * GET /entities and POST /entityOperations/query (clauses 5.7.2, 6.4.3, 6.23).
 *
 * Pages follow the order of creation, or that of orderBy. The link to the next page holds the row
 * it begins after, or its key in that order, so that pages do not shift while entities come and go;
 * offset= works too, by counting.
 */
#include "api_join.h"
#include "api_order.h"
#include "api_select.h"
#include "crypto/hash.h"
#include "distribute_read.h"
#include "entity_map.h"
#include "link/access.h"
#include "long_queries.h"
#include "shown.h"
#include <stdlib.h>

struct page {
    struct api *c;
    struct api_select select;
    struct entity_view view;
    struct shown *shown; /* where texts of this view are kept; NULL: nowhere */
    struct str known;    /* the text of the row at hand, from there */
    struct api_join join;
    struct api_ordered ordered; /* without .order: in order of creation */
    int64_t limit, offset;      /* entities to give, to skip */
    int64_t after;              /* row to begin after */
    int64_t position;           /* of the page's first entity among all matches */
    bool count;
    struct buf out;
    uint64_t given, met;      /* met: matches so far, where the paging is done here */
    bool split;               /* entities may be split over sources */
    struct distribute *whole; /* what context sources said; NULL: nobody was asked */
    struct entity_map_use map;
    bool map_only;                      /* the map is the answer */
    struct str made;                    /* its id */
    bool slow;                          /* on a pool thread: nobody else is asked */
    VEC(const struct json *) waiting;   /* for what they link to: shown in the end */
    VEC(struct entity_map_entry) found; /* for a map that is made */
    int64_t last;
    bool more;
    enum err failed;
    struct error error; /* of failed */
};

/* --- pages --- */

/* "ROW-POSITION", or "KEY.POSITION" of an order, see page_links(). */
static bool parse_cursor(struct api *c, struct page *p, struct str text)
{
    bool ordered = p->ordered.order != NULL;
    ptrdiff_t mark = str_find_char(text, ordered ? '.' : '-');
    if (mark <= 0 || !str_to_i64(str_from(text, (size_t)mark + 1), &p->position))
        return false;
    struct str before = str_sub(text, 0, (size_t)mark);
    if (ordered)
        return base64url_decode(c->arena, before, &p->ordered.after) && p->ordered.after.n;
    return str_to_i64(before, &p->after) && p->after > 0;
}

static bool read_cursor(struct api *c, struct page *p)
{
    struct str text = request_query(c->req, "cursor");
    if (!text.p)
        return true;
    int64_t offset = p->offset;
    if (parse_cursor(c, p, text) && p->position >= 0 &&
        (!request_query(c->req, "offset").p || offset == p->position)) {
        p->offset = 0;
        return true;
    }
    api_fail_text(c, ERR_INVALID, "cursor is not one of ours, or not that of this offset");
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
        if (str_starts(field, S("offset=")) || str_starts(field, S("cursor=")) ||
            str_starts(field, S("limit=")) || !field.n)
            continue;
        buf_str(&url, field);
        buf_char(&url, '&');
    }
    buf_str(&url, paging);
    buf_printf(&url, ">; rel=\"%s\"; type=\"%s\"", rel, c->type);
    response_header(c->req, c->res, "Link", buf_view(&url));
    buf_release(&url);
}

/* Where the page after this begins; absent when only counting finds it. */
static struct str next_cursor(struct page *p)
{
    struct arena *a = p->c->arena;
    struct str key = p->ordered.last;
    if (!p->ordered.order)
        return str_printf(a, "%lld-", (long long)p->last);
    if (key.n > API_ORDER_CURSOR)
        return STR_NONE;
    return str_printf(a, "%" STR_F ".", STR_A(base64url_encode(a, key)));
}

static void page_links(struct page *p)
{
    struct arena *a = p->c->arena;
    if (p->position > 0 && p->limit) {
        int64_t before = p->position > p->limit ? p->position - p->limit : 0;
        page_link(p, "prev",
                  str_printf(a, "limit=%lld&offset=%lld", (long long)p->limit, (long long)before));
    }
    if (!p->more || !p->given)
        return;
    struct str cursor = p->whole ? STR_NONE : next_cursor(p);
    long long at = (long long)p->position + (long long)p->given;
    struct str paging = str_printf(a, "limit=%lld&offset=%lld", (long long)p->limit, at);
    if (cursor.p)
        paging =
            str_printf(a, "%" STR_F "&cursor=%" STR_F "%lld", STR_A(paging), STR_A(cursor), at);
    page_link(p, "next", paging);
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

/* A tree that lives as long as the call. */
static const struct json *copied(struct arena *a, const struct json *stored)
{
    struct buf text = BUF_INIT;
    json_write(&text, stored);
    const struct json *copy = json_parse(a, buf_dup(&text, a), &JSON_DEFAULT, NULL);
    buf_release(&text);
    return copy;
}

static void show(struct page *p, const struct entity_row *row, const struct json *stored)
{
    if (p->join.remote) {
        const struct json *kept = copied(p->c->arena, stored);
        if (kept)
            *vec_push(p->c->arena, &p->waiting) = kept;
        p->given++;
        p->last = row->eid;
        return;
    }
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
    p->failed = api_select_any(&p->select, stored, &hit);
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

/* All of them are offered; what is shown is chosen afterwards. */
static bool each_offer(void *ctx, const struct entity_row *row, const struct json *stored)
{
    struct page *p = ctx;
    bool hit;
    p->failed = api_select_any(&p->select, stored, &hit);
    if (p->failed)
        error_set(&p->error, p->failed, "idPattern takes too long to match");
    else if (hit && !api_expired(p->c, stored))
        api_ordered_offer(&p->ordered, row, stored);
    return !p->failed;
}

/* The entities of the page, on the same snapshot. */
static enum err show_ordered(struct page *p, struct store_conn *conn, int64_t tenant,
                             struct error *e)
{
    size_t from, to;
    api_ordered_page(&p->ordered, &from, &to, &p->more);
    for (size_t i = from; i < to; i++) {
        const struct order_entry *entry = p->ordered.v[i];
        struct entity_row row;
        enum err err = repo_get(conn, p->c->arena, tenant, order_entry_id(entry), &row, e);
        if (err)
            return err;
        const struct json *stored = json_parse(p->c->arena, row.doc, &JSON_DEFAULT, e);
        if (!stored)
            return e->code;
        show(p, &row, stored);
        if (p->failed)
            return OK;
        p->ordered.last = str_dup(p->c->arena, order_entry_key(entry));
    }
    return OK;
}

/* How the matches are gone through. */
static enum err walk(struct page *p, struct store_conn *conn, struct repo_query *q, uint64_t *count,
                     struct error *e)
{
    struct repo_result result;
    if (p->ordered.order) {
        enum err err = repo_query(conn, q, each_offer, p, &result, e);
        *count = p->ordered.met;
        return err || p->failed ? err : show_ordered(p, conn, q->tenant, e);
    }
    bool own = p->select.n_any > 0;
    enum err err = repo_query(conn, q, own ? each_candidate : each_match, p, &result, e);
    if (!own && !err) {
        p->more = result.more;
        p->last = result.last;
    }
    *count = own ? p->met : result.count;
    return err;
}

static enum err run(struct page *p, struct store_conn *conn, int64_t tenant, uint64_t *count,
                    struct error *e)
{
    struct link *l = p->c->link;
    bool all = p->select.n_any > 0 || p->ordered.order;
    struct repo_query q = {.query = &p->select.query,
                           .tenant = tenant,
                           .after = p->after,
                           .offset = all ? 0 : (uint64_t)p->offset,
                           .limit = all ? UINT64_MAX : (uint64_t)p->limit,
                           .count = p->count && !p->after,
                           .clock = l->clock,
                           .deadline = clock_steady(l->clock) + l->options.query_ms * 1000,
                           .types_of = p->shown && !all ? known_types : NULL};
    enum err err = walk(p, conn, &q, count, e);
    if (!err && p->failed) {
        *e = p->error;
        err = p->failed;
    }
    if (err || !p->count || !p->after)
        return err;
    /* a page that begins after a row has not seen those before it */
    struct page from_start = {.c = p->c, .select = p->select, .count = true};
    return run(&from_start, conn, tenant, count, e);
}

static void answer(struct page *p, uint64_t count)
{
    struct api *c = p->c;
    if (p->map_only) {
        buf_release(&p->out);
        entity_map_answer(c, 201, p->made);
        return;
    }
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
    api_answer_buf(c, p->made.p ? 201 : 200, &p->out);
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

static void release(struct page *p)
{
    api_ordered_release(&p->ordered);
    api_join_release(&p->join);
    api_select_release(&p->select);
}

static void begin_page(struct page *p, struct store_conn *conn, int64_t tenant)
{
    if (p->view.geojson) {
        p->view.with_context = false; /* once for all features */
        BUF_LIT(&p->out, "{\"type\":\"FeatureCollection\",\"features\":");
    }
    buf_char(&p->out, '[');
    p->join.c = p->c;
    p->join.conn = conn;
    p->join.tenant = tenant;
    p->select.query.linker = api_join_linker(&p->join);
}

/* With what sources know of the linked entities. No reader is held while they are asked. */
static enum err show_waiting(struct page *p, struct error *e)
{
    enum err err = api_join_fetch(&p->join, p->waiting.v, p->waiting.n, e);
    for (size_t i = 0; !err && i < p->waiting.n; i++) {
        if (i)
            buf_char(&p->out, ',');
        if (p->join.kind == JOIN_INLINE) {
            err = api_join_inline(&p->join, &p->out, p->waiting.v[i], &p->view, e);
            continue;
        }
        entity_write(&p->out, p->c->arena, p->waiting.v[i], &p->view);
        api_join_note(&p->join, p->waiting.v[i]);
    }
    return err;
}

static void end_page(struct page *p, uint64_t count, enum err err, struct error *e)
{
    size_t linked;
    if (p->join.remote) {
        store_read_done(p->join.conn);
        p->join.conn = NULL;
        if (!err)
            err = show_waiting(p, e);
    }
    if (!err && p->join.kind == JOIN_FLAT)
        err = api_join_flush(&p->join, &p->out, &p->view, &linked, e);
    if (p->join.conn)
        store_read_done(p->join.conn);
    if (!err) {
        answer(p, count);
    } else {
        buf_release(&p->out);
        api_fail(p->c, e);
    }
    release(p);
}

static bool among(const struct str *names, size_t n, struct str name)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(names[i], name))
            return true;
    return false;
}

/* --- entities of everywhere (clauses 4.3.6.7, 5.7.2.4) --- */

/* Whether matches behind the page are looked at too. */
static bool walks_on(const struct page *p)
{
    return p->count || p->map.make || !p->more;
}

/* For the map: an entity and where it is from. */
static void note_found(struct page *p, struct str id, bool here)
{
    struct arena *a = p->c->arena;
    if (!p->map.make)
        return;
    if (p->found.n == ENTITY_MAP_IDS)
        p->failed = error_set(&p->error, ERR_TOO_MANY, "an entity map holds at most %d entities",
                              ENTITY_MAP_IDS);
    else
        *vec_push(a, &p->found) = entity_map_entry(a, id, here, p->whole);
}

static bool each_noted(void *ctx, const struct entity_row *row, const struct json *stored)
{
    struct page *p = ctx;
    bool hit;
    p->failed = api_select_any(&p->select, stored, &hit);
    if (p->failed)
        error_set(&p->error, p->failed, "idPattern takes too long to match");
    else if (hit && !api_expired(p->c, stored))
        note_found(p, row->id, true);
    return !p->failed;
}

/* The map of what is here, on the snapshot of the page. */
static enum err note_all(struct page *p, struct store_conn *conn, int64_t tenant, struct error *e)
{
    struct link *l = p->c->link;
    struct repo_result result;
    struct repo_query q = {.query = &p->select.query,
                           .tenant = tenant,
                           .limit = UINT64_MAX,
                           .clock = l->clock,
                           .deadline = clock_steady(l->clock) + l->options.query_ms * 1000};
    enum err err = repo_query(conn, &q, each_noted, p, &result, e);
    if (!err && p->failed) {
        *e = p->error;
        err = p->failed;
    }
    if (!err)
        err = entity_map_made(p->c, &p->map, p->found.v, p->found.n, NULL, &p->made, e);
    return err;
}

/* What is here comes first, in order of creation, then what only sources have, in order of ids. */
static void offer_whole(struct page *p, const struct json *stored, bool check, bool here)
{
    bool hit = true;
    if (check)
        p->failed = query_holds(&p->select.query, stored, &hit, &p->error);
    if (!p->failed && hit)
        p->failed = api_select_any(&p->select, stored, &hit);
    if (p->failed || !hit || api_expired(p->c, stored))
        return;
    note_found(p, entity_id(stored), here);
    p->met++;
    if (p->failed || p->met <= (uint64_t)p->offset)
        return;
    p->more = p->given == (uint64_t)p->limit;
    struct entity_row row = {0};
    if (!p->more)
        show(p, &row, stored);
}

static bool each_here(void *ctx, const struct entity_row *row, const struct json *stored)
{
    struct page *p = ctx;
    struct distribute_entity *x = map_get(&p->whole->by_id, row->id);
    const struct json *whole = stored;
    if (x) {
        x->used = true;
        whole = distribute_whole(p->whole, p->c->arena, row->id, stored);
    }
    if (whole)
        offer_whole(p, whole, x || p->split, true);
    return !p->failed && walks_on(p);
}

static int by_id(const void *x, const void *y)
{
    return str_cmp((*(struct distribute_entity *const *)x)->id,
                   (*(struct distribute_entity *const *)y)->id);
}

static void offer_others(struct page *p)
{
    struct distribute *d = p->whole;
    if (d->entities.n)
        qsort(d->entities.v, d->entities.n, sizeof(*d->entities.v), by_id);
    for (size_t i = 0; i < d->entities.n && !p->failed && walks_on(p); i++) {
        struct distribute_entity *x = d->entities.v[i];
        const struct json *whole = x->used ? NULL : distribute_whole(d, p->c->arena, x->id, NULL);
        if (whole)
            offer_whole(p, whole, true, false);
    }
}

static void query_whole(struct distribute *d)
{
    struct page *p = d->ctx;
    struct api *c = d->c;
    struct link *l = c->link;
    struct error e = {0};
    struct repo_result result;
    struct entity_query all = p->select.query; /* borrowed */
    if (p->split) { /* what is here may be a part that does not meet the filters by itself */
        all.attrs = NULL;
        all.n_attrs = 0;
        all.q = NULL;
        all.scope = NULL;
        all.geo = NULL;
    }
    struct repo_query q = {.query = &all,
                           .tenant = d->tenant,
                           .limit = UINT64_MAX,
                           .clock = l->clock,
                           .deadline = clock_steady(l->clock) + l->options.query_ms * 1000};
    int64_t tenant;
    struct store_conn *conn = api_reader(c, &tenant);
    p->c = c;
    if (!conn) {
        release(p);
    } else {
        begin_page(p, conn, tenant);
        enum err err = repo_query(conn, &q, each_here, p, &result, &e);
        if (!err && !p->failed)
            offer_others(p);
        if (!err && p->failed) {
            e = p->error;
            err = p->failed;
        }
        if (!err && p->map.make)
            err = entity_map_made(c, &p->map, p->found.v, p->found.n, d, &p->made, &e);
        end_page(p, p->met, err, &e);
    }
    distribute_end(d);
}

/* Attributes that a source must be asked for: those wanted, and those that filters look at. */
static size_t asked_attrs(struct api *c, const struct entity_query *q, const struct str **out)
{
    const struct str *in_q = NULL;
    size_t n = q->q ? query_q_attrs(c->arena, q->q, &in_q) : 0, total = q->n_attrs;
    struct str *all = ARENA_ARRAY(c->arena, struct str, q->n_attrs + n + 1);
    if (!q->n_attrs)
        return 0;
    memcpy(all, q->attrs, q->n_attrs * sizeof(*all));
    for (size_t i = 0; i < n; i++)
        if (!among(all, total, in_q[i]))
            all[total++] = in_q[i];
    if (q->geo && !among(all, total, q->geo->property))
        all[total++] = q->geo->property;
    *out = all;
    return total;
}

static struct distribute *elsewhere(struct page *p, int64_t tenant)
{
    struct api *c = p->c;
    const struct entity_query *q = &p->select.query;
    struct distribute *d = ARENA_NEW(c->arena, struct distribute);
    d->c = c;
    d->kind = DISTRIBUTE_QUERY;
    d->tenant = tenant;
    d->select = &p->select;
    d->split = p->split;
    d->map = &p->map;
    d->then = query_whole;
    d->ask = (struct reg_ask){.op = REG_QUERY_ENTITY | REG_QUERY_BATCH,
                              .ids = q->ids,
                              .n_ids = q->n_ids,
                              .types = q->types,
                              .datasets = p->view.datasets,
                              .n_datasets = p->view.n_datasets,
                              .csf = p->select.csf,
                              .geo = q->geo,
                              .scope = q->scope};
    if (q->id_pattern)
        d->ask.id_pattern = distribute_pattern(d);
    d->ask.n_attrs = asked_attrs(c, q, &d->ask.attrs);
    return d;
}

/* Whether others are asked; then *out is what the handler returns. */
static bool go_elsewhere(struct page *p, struct store_conn *conn, int64_t tenant,
                         enum http_answer *out)
{
    struct api *c = p->c;
    bool failed;
    if (p->select.local || !registrations_any(c->link->registrations, tenant))
        return false;
    struct distribute *d = elsewhere(p, tenant);
    bool go = distribute_begin(d, &failed);
    if (go && p->ordered.order) { /* clause 5.7.2.4 */
        distribute_end(d);
        failed = true;
        api_fail_text(c, ERR_INVALID, "orderBy is for what is here: local=true is needed");
    }
    if (!go && !failed)
        return false;
    store_read_done(conn);
    if (failed) {
        release(p);
        *out = c->answer;
        return true;
    }
    p->whole = d;
    p->join.remote = p->join.kind != JOIN_NONE;
    if (p->after) { /* a page of a query that was not distributed yet */
        p->offset = p->position;
        p->after = 0;
    }
    d->ctx = p;
    *out = distribute_go(d);
    return true;
}

static bool read_split(struct api *c, bool *split)
{
    *split = c->link->options.split_entities;
    return !request_query(c->req, "splitEntities").p || api_bool(c, "splitEntities", split);
}

static void query_slowly(struct api *c);

/* The walk for a map is the pool's work, and so is what is likely to take long. */
static enum http_answer later(struct page *p)
{
    p->slow = true;
    enum http_answer answer = api_slowly(p->c, query_slowly, p);
    if (answer == HTTP_DONE) /* refused */
        release(p);
    return answer;
}

static enum http_answer query(struct page *p)
{
    struct api *c = p->c;
    struct error e = {0};
    uint64_t count = 0;
    int64_t tenant;
    enum http_answer out;
    struct store_conn *conn = api_reader(c, &tenant);
    if (!conn) {
        release(p);
        return c->answer;
    }
    if (!p->slow && go_elsewhere(p, conn, tenant, &out))
        return out;
    int64_t began = clock_steady(c->link->clock);
    p->join.remote = p->join.kind != JOIN_NONE && !p->select.local &&
                     registrations_any(c->link->registrations, tenant);
    bool wait = p->map.make || p->join.remote ||
                long_queries_expected(c->link->long_queries, tenant, began);
    if (wait && !p->slow && !p->ordered.order) {
        store_read_done(conn);
        return later(p);
    }
    begin_page(p, conn, tenant);
    p->view.seen_as = access_number(access_of(conn));
    if (shown_fits(c->link->shown, &p->view) && p->join.kind == JOIN_NONE)
        p->shown = c->link->shown;
    enum err err = p->map.make ? note_all(p, conn, tenant, &e) : OK;
    if (!err)
        err = run(p, conn, tenant, &count, &e);
    long_queries_ran(c->link->long_queries, tenant, began, clock_steady(c->link->clock));
    end_page(p, count, err, &e);
    return c->answer;
}

static void query_slowly(struct api *c)
{
    struct page *p = c->ctx_then;
    p->c = c;
    query(p);
}

/* An order needs a look at all matches: the pool does that. p lies in the call's arena. */
static enum http_answer start(struct page *p)
{
    struct api *c = p->c;
    struct api_select *s = &p->select;
    struct api_ordered *o = &p->ordered;
    bool good = api_accept(c, true) && api_view(c, &p->view) && api_select_view(c, s, &p->view) &&
                api_join_read(c, s->body, &p->join) && api_order_read(c, s->body, &o->order) &&
                read_page(c, p) && read_split(c, &p->split) && entity_map_use(c, &p->map);
    o->skip = (uint64_t)p->offset;
    o->want = (uint64_t)p->limit;
    if (!good || (o->order && !api_ordered_open(c, o))) {
        release(p);
        return c->answer;
    }
    if (p->map_only) {
        p->map.make = true;
        p->map.given = false;
    }
    select_picked(s, &p->view);
    if (p->map.given)
        api_select_ids(c, &p->select, p->map.ids, p->map.n_ids);
    if (!o->order)
        return query(p);
    enum http_answer answer = api_slowly(c, query_slowly, p);
    if (answer == HTTP_DONE) /* refused */
        release(p);
    return answer;
}

#define PAGE_PARAMS                                                                                \
    "options format pick omit lang datasetId geometryProperty limit offset cursor "                \
    "count splitEntities local" API_JOIN_PARAMS API_ORDER_PARAMS ENTITY_MAP_PARAMS

static enum http_answer get_entities(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct page *p = ARENA_NEW(req->arena, struct page);
    p->c = &c;
    if (!api_open(&c, req, res, ctx, get_entities, 0, PAGE_PARAMS API_SELECT_PARAMS) ||
        !api_select_get(&c, &p->select, SELECT_LINKED))
        return c.answer;
    return start(p);
}

static enum http_answer post_query(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct page *p = ARENA_NEW(req->arena, struct page);
    p->c = &c;
    if (!api_open(&c, req, res, ctx, post_query, API_BODY, PAGE_PARAMS " local") ||
        !api_select_body(&c, &p->select, SELECT_LINKED))
        return c.answer;
    return start(p);
}

/* As in v1.9.1 (clauses 5.14.4, 6.34): the map of a query, and nothing of the entities. */
static enum http_answer get_new_map(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct page *p = ARENA_NEW(req->arena, struct page);
    p->c = &c;
    p->map_only = true;
    if (!api_open(&c, req, res, ctx, get_new_map, 0, PAGE_PARAMS API_SELECT_PARAMS) ||
        !api_select_get(&c, &p->select, SELECT_LINKED))
        return c.answer;
    return start(p);
}

static enum http_answer post_new_map(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct page *p = ARENA_NEW(req->arena, struct page);
    p->c = &c;
    p->map_only = true;
    if (!api_open(&c, req, res, ctx, post_new_map, API_BODY, PAGE_PARAMS " local") ||
        !api_select_body(&c, &p->select, SELECT_LINKED))
        return c.answer;
    return start(p);
}

static const struct route routes[] = {
    {"GET", "/ngsi-ld/v1/entityMaps", get_new_map, ROUTE_PUBLIC_CORS},
    {"GET", "/ngsi-ld/v1/entityMaps/", get_new_map, ROUTE_PUBLIC_CORS | ROUTE_HIDDEN},
    {"POST", "/ngsi-ld/v1/entityMaps", post_new_map, ROUTE_PUBLIC_CORS},
    {"POST", "/ngsi-ld/v1/entityMaps/", post_new_map, ROUTE_PUBLIC_CORS | ROUTE_HIDDEN},
    {"GET", "/ngsi-ld/v1/entities", get_entities, ROUTE_PUBLIC_CORS},
    {"GET", "/ngsi-ld/v1/entities/", get_entities, ROUTE_PUBLIC_CORS | ROUTE_HIDDEN},
    {"POST", "/ngsi-ld/v1/entityOperations/query", post_query, ROUTE_PUBLIC_CORS},
};

void api_query_routes(struct link *l, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), l);
}
