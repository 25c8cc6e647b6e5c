/*
 * GET /temporal/entities, GET /temporal/entities/{id}, POST /temporal/entityOperations/query
 * (clauses 4.11, 5.7.3, 5.7.4, 6.18, 6.19, 6.24). Runs on pool threads.
 *
 * q and geo-queries are about the instances in the range of time: for them the range is read into
 * an entity whose attributes have all those instances, and evaluated as usual.
 */
#include "api_temporal.h"
#include "api_order.h"
#include "api_select.h"
#include "distribute_read.h"
#include "entity_map.h"
#include "link/access.h"

#define TIME_PARAMS                                                                                \
    "timerel timeAt endTimeAt timeproperty lastN aggrMethods aggrPeriodDuration options format"    \
    " pick omit lang datasetId"

/* --- entities by their evolution --- */

struct last_state {
    struct arena *arena;
    struct temporal_entity *t;
};

/* The journal row of a deletion holds the state before it. */
static bool keep_state(void *ctx, const struct journal_row *row)
{
    struct last_state *l = ctx;
    struct entity_event event;
    if (str_eq(row->topic, S("entity")) && str_eq(row->key, l->t->id) &&
        !entity_event_parse(l->arena, str_dup(l->arena, row->body), &event, NULL)) {
        l->t->stored = event.doc;
        l->t->types = entity_types(event.doc);
    }
    return false;
}

/* Types (and state) of an entity that is not there now. */
static enum err load_gone(struct store_conn *conn, struct arena *a, int64_t tenant, int64_t version,
                          struct temporal_entity *t, struct error *e)
{
    struct last_state l = {a, t};
    enum err err = history_types(conn, a, t->eid, &t->types, e);
    if (err || t->types || version < 1)
        return err;
    err = journal_read(conn, tenant, version - 1, 1, keep_state, &l, e);
    return err == ERR_NOT_FOUND ? OK : err; /* trimmed */
}

/* Does an entity that is not there now show to who asks? */
static bool shows_gone(const struct store_conn *conn, const struct temporal_entity *t)
{
    return access_sees(access_of(conn), t->stored, t->types, STR_NONE);
}

static bool stop_at_once(void *ctx, const struct history_row *row)
{
    (void)row;
    *(bool *)ctx = true;
    return false;
}

static enum err has_history(struct store_conn *conn, int64_t eid, bool *any, struct error *e)
{
    struct history_query all = {.max = 1};
    struct history_cut cut;
    *any = false;
    return history_read(conn, eid, &all, stop_at_once, any, &cut, e);
}

/* --- one entity --- */

/* Without a fraction that is zero. */
static struct str short_time(struct arena *a, int64_t at)
{
    struct str s = datetime_text(a, at);
    return str_ends(s, S(".000Z")) ? str_printf(a, "%" STR_F "Z", STR_A(str_cut(s, s.n - 5))) : s;
}

/* Where the range begins is what was asked for where that is known, else what was found; it ends
 * with what was found: the newest instance, with lastN the oldest (clause 6.3.10). */
static void content_range(struct api *c, const struct temporal_view *v,
                          const struct history_cut *cut)
{
    const struct history_query *h = &v->history;
    int64_t from = h->last_n ? cut->to : cut->from, to = h->last_n ? cut->from : cut->to;
    struct str size = S("*");
    if (h->last_n) {
        size = str_printf(c->arena, "%llu", (unsigned long long)h->last_n);
        if (h->relation == TIME_BEFORE)
            from = h->from;
        else if (h->relation == TIME_BETWEEN)
            from = h->to;
    } else if (h->relation == TIME_AFTER || h->relation == TIME_BETWEEN) {
        from = h->from;
    }
    response_header(c->req, c->res, "Content-Range",
                    str_printf(c->arena, "date-time %" STR_F "-%" STR_F "/%" STR_F,
                               STR_A(short_time(c->arena, from)), STR_A(short_time(c->arena, to)),
                               STR_A(size)));
}

struct retrieval {
    struct str id;
    struct temporal_view view;
    const struct type_node *types;
    struct entity_map_use map;
};

static bool in_map(const struct entity_map_use *map, struct str id)
{
    bool found = !map->given;
    for (size_t i = 0; i < map->n_ids && !found; i++)
        found = str_eq(map->ids[i], id);
    return found;
}

static enum err find_entity(struct api *c, struct store_conn *conn, int64_t tenant,
                            struct temporal_entity *t, struct error *e)
{
    struct entity_row row;
    enum err err = repo_get(conn, c->arena, tenant, t->id, &row, e);
    t->eid = row.eid;
    if (!err) {
        t->stored = json_parse(c->arena, row.doc, &JSON_DEFAULT, e);
        t->types = entity_types(t->stored);
        return t->stored ? OK : error_set(e, ERR_CORRUPT, "an entity row holds no JSON");
    }
    if (err != ERR_NOT_FOUND || !row.eid)
        return err;
    bool any;
    err = has_history(conn, row.eid, &any, e);
    if (!err && !any)
        return error_set(e, ERR_NOT_FOUND, "no entity %" STR_F, STR_A(t->id));
    if (!err)
        err = load_gone(conn, c->arena, tenant, row.version, t, e);
    return err || shows_gone(conn, t)
               ? err
               : error_set(e, ERR_NOT_FOUND, "no entity %" STR_F, STR_A(t->id));
}

/* None of the attributes that were named ever was, or pick and omit leave nothing (4.21, 5.7.3.4).
 * Nothing in a range of time is an answer. */
static bool shows_nothing(const struct temporal_view *v, const struct temporal_shown *shown)
{
    bool named = v->history.n_attrs && v->history.relation == TIME_ANY;
    return !shown->instances && (named || !shown->head);
}

/* Which interval a source must know, and which attributes. */
static void ask_evolution(const struct temporal_view *v, struct reg_ask *ask)
{
    const struct history_query *h = &v->history;
    ask->attrs = h->attrs;
    ask->n_attrs = h->n_attrs;
    ask->datasets = h->datasets;
    ask->n_datasets = h->n_datasets;
    if (h->relation == TIME_ANY)
        return;
    ask->time = h->property == TIME_OBSERVED ? REG_OBSERVED : REG_MANAGED;
    ask->time_from = h->relation == TIME_BEFORE ? INT64_MIN : h->from;
    ask->time_to = h->relation == TIME_AFTER    ? INT64_MAX
                   : h->relation == TIME_BEFORE ? h->from
                                                : h->to;
}

static void retrieve_run(struct api *c)
{
    struct retrieval *r = c->ctx_then;
    struct temporal_entity t = {.id = r->id};
    struct temporal_shown shown;
    struct error e = {0};
    struct buf out = BUF_INIT;
    int64_t tenant;
    struct store_conn *conn = api_reader(c, &tenant);
    if (!conn)
        return;
    enum err err = in_map(&r->map, r->id)
                       ? find_entity(c, conn, tenant, &t, &e)
                       : error_set(&e, ERR_NOT_FOUND, "no entity %" STR_F, STR_A(r->id));
    if (!err && r->types && !(t.types && query_types_hold(r->types, t.types)))
        err = error_set(&e, ERR_NOT_FOUND, "no entity %" STR_F " of that type", STR_A(r->id));
    if (!err)
        err = temporal_show(&out, c->arena, conn, &t, &r->view, &shown, &e);
    store_read_done(conn);
    if (!err && shows_nothing(&r->view, &shown))
        err = error_set(&e, ERR_NOT_FOUND, "entity %" STR_F " has none of the attributes",
                        STR_A(r->id));
    if (err) {
        buf_release(&out);
        api_fail(c, &e);
        return;
    }
    if (shown.refused.p) {
        buf_release(&out);
        api_invalid_request(c, shown.refused);
        return;
    }
    if (r->map.make) {
        struct entity_map_entry one = entity_map_entry(c->arena, r->id, true, NULL);
        if (entity_map_made(c, &r->map, &one, 1, NULL, NULL, &e)) {
            buf_release(&out);
            api_fail(c, &e);
            return;
        }
    }
    if (shown.cut.cut)
        content_range(c, &r->view, &shown.cut);
    api_answer_buf(c, shown.cut.cut ? 206 : 200, &out);
}

static enum http_answer get_evolution(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct retrieval *r = ARENA_NEW(req->arena, struct retrieval);
    if (!api_open(&c, req, res, ctx, get_evolution, 0,
                  TIME_PARAMS ENTITY_MAP_PARAMS " attrs type local") ||
        !api_id(&c, "id", &r->id) || !api_accept(&c, false) ||
        !api_temporal_view(&c, NULL, NULL, &r->view) || !api_type_of(&c, &r->types) ||
        !entity_map_use(&c, &r->map))
        return c.answer;
    struct reg_ask ask = {.op = REG_RETRIEVE_TEMPORAL, .ids = &r->id, .n_ids = 1};
    enum http_answer out;
    ask.types = r->types;
    ask_evolution(&r->view, &ask);
    if (distribute_answer(&c, &ask, ANSWER_EVOLUTION, NULL, retrieve_run, r, &out))
        return out;
    return api_slowly(&c, retrieve_run, r);
}

/* --- several entities --- */

struct evolution_query {
    struct api *c;
    struct api_select select;
    struct temporal_view view;
    int64_t limit, offset, position;
    bool count;
    struct answer_page page; /* of everywhere; limit, offset and count are its own then */
    bool whole;              /* all that is here is wanted, for a page of everywhere */
    struct entity_map_use map;
    bool map_only; /* the map is the answer (clauses 5.14.5, 6.35) */
    /* while running */
    struct store_conn *conn;
    int64_t tenant;
    struct arena arena; /* of one candidate */
    struct buf out;
    struct api_ordered ordered; /* by id (clauses 4.23, 5.7.4); no order: as they are found */
    struct history_cut cut;     /* of all that were given */
    struct str refused;
    VEC(struct entity_map_entry) found; /* for a map that is made */
    uint64_t met, given;
    bool more;
    int64_t deadline; /* steady clock */
    struct error *e;
    enum err err;
};

/* The instances in the range as one entity, for q and geo-queries. */
struct gathering {
    struct arena *arena;
    VEC(struct json_member) attrs;
    VEC(struct json) instances;
};

static void gather_attr(struct gathering *g)
{
    if (g->attrs.n && g->instances.n)
        g->attrs.v[g->attrs.n - 1].value = json_v_array(g->instances.v, g->instances.n);
    g->instances.v = NULL;
    g->instances.n = g->instances.cap = 0;
}

static bool gather_row(void *ctx, const struct history_row *row)
{
    struct gathering *g = ctx;
    const struct json *v =
        json_parse(g->arena, str_dup(g->arena, row->instance), &JSON_DEFAULT, NULL);
    if (!v || str_eq(json_text(json_get(v, S("type"))), S("deleted")))
        return true;
    if (!g->attrs.n || !str_eq(json_key(&g->attrs.v[g->attrs.n - 1]), row->attr)) {
        gather_attr(g);
        *vec_push(g->arena, &g->attrs) =
            json_m(str_dup(g->arena, row->attr), json_v_array(NULL, 0));
    }
    *vec_push(g->arena, &g->instances) = *v;
    return true;
}

static enum err holds_in_range(struct evolution_query *x, const struct temporal_entity *t,
                               bool *hit)
{
    struct gathering g = {.arena = &x->arena};
    struct history_query all = x->view.history;
    struct history_cut cut;
    struct entity_query filter = {.q = x->select.query.q, .geo = x->select.query.geo};
    *hit = true;
    if (!filter.q && !filter.geo)
        return OK;
    all.attrs = NULL;
    all.n_attrs = 0;
    all.limited = all.tell_beyond = false;
    *vec_push(g.arena, &g.attrs) = json_m(S("id"), json_v_str(t->id));
    *vec_push(g.arena, &g.attrs) = json_m(S("type"), t->types ? *t->types : json_v_array(NULL, 0));
    enum err err = history_read(x->conn, t->eid, &all, gather_row, &g, &cut, x->e);
    gather_attr(&g);
    struct json entity = json_v_object(g.attrs.v, g.attrs.n);
    return err ? err : query_holds(&filter, &entity, hit, x->e);
}

/* When it met scopeQ (clause 5.7.4.4); *hit false: never in the range. */
static enum err valid_in_range(struct evolution_query *x, struct temporal_entity *t,
                               struct temporal_valid *valid, bool *hit)
{
    *hit = true;
    if (!x->select.query.scope)
        return OK;
    enum err err =
        temporal_valid(x->conn, &x->arena, t, x->select.query.scope, &x->view.history, valid, x->e);
    *hit = valid->spans.n > 0;
    t->valid = valid;
    return err;
}

/* All were given the same part of the range: the part that every one of them could. */
static void add_cut(struct history_cut *sum, const struct history_cut *cut)
{
    if (cut->any && (!sum->any || cut->from < sum->from))
        sum->from = cut->from;
    if (cut->any && (!sum->any || cut->to > sum->to))
        sum->to = cut->to;
    sum->any = sum->any || cut->any;
    sum->cut = sum->cut || cut->cut;
    sum->since = cut->since > sum->since ? cut->since : sum->since;
    sum->until = cut->until < sum->until ? cut->until : sum->until;
}

/* One that matches: into the page that is being ordered, not yet into the answer. */
static bool put_in_order(struct evolution_query *x, const struct temporal_entity *t)
{
    struct entity_row row = {.eid = t->eid, .id = t->id};
    struct json_member m[1] = {json_m(S("id"), json_v_str(t->id))};
    struct json head = json_v_object(m, 1);
    api_ordered_offer(&x->ordered, &row, &head);
    return true;
}

/* Whether matches behind the page are looked at too. */
static bool walks_on(const struct evolution_query *x)
{
    return !x->more || x->count || x->map.make;
}

/* For the map, which tells of what is here only. */
static bool note_found(struct evolution_query *x, struct str id)
{
    struct arena *a = x->c->arena;
    if (x->map.make && x->found.n == ENTITY_MAP_IDS)
        x->err = error_set(x->e, ERR_TOO_MANY, "an entity map holds at most %d entities",
                           ENTITY_MAP_IDS);
    else if (x->map.make)
        *vec_push(a, &x->found) = entity_map_entry(a, str_dup(a, id), true, NULL);
    return !x->err;
}

/* A candidate that the selection's other parts let through. false: enough. */
static bool consider(struct evolution_query *x, struct temporal_entity *t)
{
    bool hit = true;
    struct temporal_shown shown;
    struct temporal_valid valid;
    size_t mark = x->out.n;
    x->err = holds_in_range(x, t, &hit);
    if (!x->err && hit)
        x->err = valid_in_range(x, t, &valid, &hit);
    if (x->err || !hit)
        return !x->err;
    if (x->given && x->given < (uint64_t)x->limit)
        buf_char(&x->out, ',');
    x->err = temporal_show(&x->out, &x->arena, x->conn, t, &x->view, &shown, x->e);
    bool met = shown.instances || x->view.no_attrs;
    if (shown.refused.p)
        x->refused = str_dup(x->c->arena, shown.refused);
    if (!x->err && x->refused.p)
        return false;
    x->met += met;
    if (!x->err && met && !note_found(x, t->id))
        return false;
    if (!x->err && x->ordered.order) {
        x->out.n = mark;
        return !met || put_in_order(x, t);
    }
    bool give = met && x->met > (uint64_t)x->offset && x->given < (uint64_t)x->limit;
    if (x->err || !give) {
        x->out.n = mark;
        x->more = x->more || (met && x->met > (uint64_t)x->offset + x->given);
        return !x->err && walks_on(x);
    }
    x->given++;
    add_cut(&x->cut, &shown.cut);
    return true;
}

static bool each_current(void *ctx, const struct entity_row *row, const struct json *stored)
{
    struct evolution_query *x = ctx;
    struct temporal_entity t = {.eid = row->eid,
                                .id = row->id,
                                .types = entity_types(stored),
                                .stored = stored};
    bool hit;
    arena_reset(&x->arena);
    x->err = api_select_any(&x->select, stored, &hit);
    return x->err ? false : !hit || consider(x, &t);
}

/* The parts of the selection that are not about the range. */
static struct entity_query not_about_range(const struct evolution_query *x)
{
    struct entity_query q = x->select.query;
    q.q = NULL;
    q.geo = NULL;
    q.scope = NULL;
    q.attrs = NULL;
    q.n_attrs = 0;
    return q;
}

static enum err run_current(struct evolution_query *x)
{
    struct entity_query narrow = not_about_range(x);
    struct repo_result result;
    struct repo_query q = {.query = &narrow,
                           .tenant = x->tenant,
                           .limit = UINT64_MAX,
                           .clock = x->c->link->clock,
                           .deadline = x->deadline};
    return repo_query(x->conn, &q, each_current, x, &result, x->e);
}

/* One that is not there now, judged by what is known of it. false: enough. */
static bool each_gone(struct evolution_query *x, struct temporal_entity *t, int64_t version)
{
    struct entity_query narrow = not_about_range(x);
    bool hit = false;
    x->err = load_gone(x->conn, &x->arena, x->tenant, version, t, x->e);
    struct json_member m[2] = {json_m(S("id"), json_v_str(t->id)),
                               json_m(S("type"), t->types ? *t->types : json_v_array(NULL, 0))};
    struct json head = json_v_object(m, 2);
    if (!x->err)
        x->err = query_holds(&narrow, &head, &hit, x->e);
    hit = hit && shows_gone(x->conn, t);
    if (!x->err && hit)
        x->err = api_select_any(&x->select, &head, &hit);
    return x->err || !hit ? !x->err : consider(x, t);
}

/* Entities that were deleted, or never were but in their evolution: some at a time. */
static enum err run_gone(struct evolution_query *x)
{
    enum { GONE_CHUNK = 256 };
    int64_t after = 0;
    bool go_on = true;
    while (go_on) {
        struct store_rows r;
        int64_t n = 0;
        store_query(x->conn, &r,
                    "SELECT eid, id, version FROM entity WHERE tenant = $1 AND doc IS NULL"
                    " AND eid > $2 ORDER BY eid LIMIT $3",
                    SV(SV_INT(x->tenant), SV_INT(after), SV_INT(GONE_CHUNK)));
        while (go_on && store_next(&r)) {
            arena_reset(&x->arena);
            after = store_int(&r, 0);
            struct temporal_entity t = {.eid = after, .id = str_dup(&x->arena, store_text(&r, 1))};
            go_on = each_gone(x, &t, store_int(&r, 2));
            n++;
        }
        enum err end = store_end(&r, x->err ? NULL : x->e);
        if (x->err || end)
            return x->err ? x->err : end;
        if (clock_steady(x->c->link->clock) > x->deadline)
            return error_set(x->e, ERR_TOO_COMPLEX, "the query takes longer than the time limit");
        go_on = go_on && n == GONE_CHUNK;
    }
    return OK;
}

static void link_next(struct api *c, int64_t offset)
{
    if (!str_eq(c->req->method, S("GET")))
        return;
    struct buf url = BUF_INIT;
    struct str rest = c->req->query, field;
    buf_printf(&url, "<%" STR_F "?", STR_A(c->req->path));
    while (rest.p && str_split(&rest, '&', &field))
        if (field.n && !str_starts(field, S("offset="))) {
            buf_str(&url, field);
            buf_char(&url, '&');
        }
    buf_printf(&url, "offset=%lld>; rel=\"next\"; type=\"%s\"", (long long)offset, c->type);
    response_header(c->req, c->res, "Link", buf_view(&url));
    buf_release(&url);
}

static enum err show_ordered(struct evolution_query *x)
{
    size_t from, to;
    enum err err = OK;
    api_ordered_page(&x->ordered, &from, &to, &x->more);
    for (size_t i = from; i < to && !err; i++) {
        struct temporal_shown shown;
        struct temporal_valid valid;
        bool hit;
        arena_reset(&x->arena);
        struct temporal_entity t = {.id = str_dup(&x->arena, order_entry_id(x->ordered.v[i]))};
        err = find_entity(x->c, x->conn, x->tenant, &t, x->e);
        if (i > from)
            buf_char(&x->out, ',');
        if (!err)
            err = valid_in_range(x, &t, &valid, &hit);
        if (!err)
            err = temporal_show(&x->out, &x->arena, x->conn, &t, &x->view, &shown, x->e);
        if (!err)
            add_cut(&x->cut, &shown.cut);
        x->given++;
    }
    return err;
}

static enum err run_once(struct evolution_query *x)
{
    x->out.n = x->found.n = 0;
    x->met = x->given = 0;
    x->more = false;
    x->cut = (struct history_cut){.since = INT64_MIN, .until = INT64_MAX};
    buf_char(&x->out, '[');
    enum err err = run_current(x);
    if (!err && !x->err && !x->refused.p && walks_on(x))
        err = run_gone(x);
    if (!err && !x->err && !x->refused.p && x->ordered.order)
        err = show_ordered(x);
    return x->err ? x->err : err;
}

/* What does not fit of one entity is left out of all: the range that the answer tells is whole
 * (clause 6.3.10). */
static enum err run(struct evolution_query *x)
{
    enum err err = run_once(x);
    if (err || !x->cut.cut || x->given < 2)
        return err;
    x->view.history.limited = true;
    x->view.history.since = x->cut.since;
    x->view.history.until = x->cut.until;
    api_ordered_empty(&x->ordered);
    err = run_once(x);
    x->cut.cut = x->cut.any;
    return err;
}

static void release(struct evolution_query *x)
{
    api_select_release(&x->select);
    api_ordered_release(&x->ordered);
    arena_release(&x->arena);
}

static void query_run(struct api *c)
{
    struct evolution_query *x = c->ctx_then;
    struct error e = {0};
    x->c = c;
    x->e = &e;
    x->deadline = clock_steady(c->link->clock) + c->link->options.query_ms * 1000;
    x->conn = api_reader(c, &x->tenant);
    if (!x->conn) {
        release(x);
        return;
    }
    if (x->map.given)
        api_select_ids(c, &x->select, x->map.ids, x->map.n_ids);
    enum err err = run(x);
    store_read_done(x->conn);
    release(x);
    struct str made = STR_NONE;
    if (!err && !x->refused.p && x->map.make)
        err = entity_map_made(c, &x->map, x->found.v, x->found.n, NULL, &made, &e);
    if (err) {
        buf_release(&x->out);
        api_fail(c, &e);
        return;
    }
    if (x->refused.p) {
        buf_release(&x->out);
        api_invalid_request(c, x->refused);
        return;
    }
    if (x->map_only) {
        buf_release(&x->out);
        entity_map_answer(c, 201, made);
        return;
    }
    buf_char(&x->out, ']');
    if (x->count)
        response_header(c->req, c->res, "NGSILD-Results-Count",
                        str_printf(c->arena, "%llu", (unsigned long long)x->met));
    x->page.more = x->more;
    if (x->more && x->given && !x->whole)
        link_next(c, x->offset + (int64_t)x->given);
    if (x->cut.cut)
        content_range(c, &x->view, &x->cut);
    api_answer_buf(c, x->cut.cut ? 206 : made.p ? 201 : 200, &x->out);
}

static bool read_page(struct api *c, struct evolution_query *x)
{
    const struct link_options *o = &c->link->options;
    bool split; /* sources look at their parts by themselves, whatever it says */
    return api_bool(c, "splitEntities", &split) && api_bool(c, "count", &x->count) &&
           api_number(c, "limit", o->page_default, 0, o->page_max, &x->limit) &&
           api_number(c, "offset", 0, 0, INT64_MAX, &x->offset);
}

/* By id only, and only of what is here (clause 5.7.4.4). */
static bool read_order(struct api *c, struct evolution_query *x)
{
    struct api_ordered *o = &x->ordered;
    if (!api_order_read(c, x->select.body, &o->order))
        return false;
    if (!o->order)
        return true;
    o->skip = (uint64_t)x->offset;
    o->want = (uint64_t)x->limit;
    if (order_is_by(o->order, S("id")) && x->select.local)
        return api_ordered_open(c, o);
    api_fail_text(c, ERR_INVALID, "evolution is ordered by id, with local=true");
    return false;
}

/* All that is here, as far as a page may be long: the page of everywhere is cut afterwards. */
static void query_whole_run(struct api *c)
{
    struct evolution_query *x = c->ctx_then;
    x->whole = true;
    x->limit = c->link->options.page_max;
    x->offset = 0;
    x->count = false;
    query_run(c);
}

/* What sources add stands behind what is here, in order of ids. Several selectors of a body are for
 * this server alone, and so are pages behind what can be put together. */
static bool query_elsewhere(struct api *c, struct evolution_query *x, enum http_answer *out)
{
    const struct entity_query *q = &x->select.query;
    struct reg_ask ask = {.op = REG_QUERY_TEMPORAL,
                          .ids = q->ids,
                          .n_ids = q->n_ids,
                          .types = q->types,
                          .csf = x->select.csf,
                          .geo = q->geo,
                          .scope = q->scope};
    if (x->select.local || x->select.n_any || x->map_only || x->offset >= c->link->options.page_max)
        return false;
    ask_evolution(&x->view, &ask);
    x->page = (struct answer_page){.limit = x->limit,
                                   .offset = x->offset,
                                   .count = x->count,
                                   .link = link_next};
    return distribute_answer(c, &ask, ANSWER_EVOLUTION, &x->page, query_whole_run, x, out);
}

static enum http_answer query(struct api *c, struct evolution_query *x, const struct json *time)
{
    bool good = api_accept(c, false) && api_temporal_view(c, time, &x->select, &x->view) &&
                read_page(c, x) && read_order(c, x) && entity_map_use(c, &x->map);
    if (x->map_only) {
        x->map.make = true;
        x->map.given = false;
    }
    if (good && x->view.history.relation == TIME_ANY) {
        api_fail_text(c, ERR_INVALID, "a temporal query is needed: timerel and timeAt");
        good = false;
    }
    enum http_answer answer;
    if (!good || !query_elsewhere(c, x, &answer))
        answer = good ? api_slowly(c, query_run, x) : c->answer;
    if (answer == HTTP_DONE) /* refused */
        release(x);
    return answer;
}

#define PAGE_PARAMS "limit offset count local splitEntities" ENTITY_MAP_PARAMS

static enum http_answer by_url(struct request *req, struct response *res, void *ctx,
                               http_handler handler, bool map_only)
{
    struct api c;
    struct evolution_query *x = ARENA_NEW(req->arena, struct evolution_query);
    x->map_only = map_only;
    if (!api_open(&c, req, res, ctx, handler, 0,
                  TIME_PARAMS " orderBy collation " PAGE_PARAMS API_SELECT_PARAMS) ||
        !api_select_get(&c, &x->select, 0))
        return c.answer;
    return query(&c, x, NULL);
}

static enum http_answer by_body(struct request *req, struct response *res, void *ctx,
                                http_handler handler, bool map_only)
{
    struct api c;
    struct evolution_query *x = ARENA_NEW(req->arena, struct evolution_query);
    x->map_only = map_only;
    if (!api_open(&c, req, res, ctx, handler, API_BODY, "options format " PAGE_PARAMS) ||
        !api_select_body(&c, &x->select, SELECT_TEMPORAL))
        return c.answer;
    return query(&c, x, json_get(c.body, S("temporalQ")));
}

static enum http_answer get_evolutions(struct request *req, struct response *res, void *ctx)
{
    return by_url(req, res, ctx, get_evolutions, false);
}

static enum http_answer post_evolutions(struct request *req, struct response *res, void *ctx)
{
    return by_body(req, res, ctx, post_evolutions, false);
}

static enum http_answer get_new_map(struct request *req, struct response *res, void *ctx)
{
    return by_url(req, res, ctx, get_new_map, true);
}

static enum http_answer post_new_map(struct request *req, struct response *res, void *ctx)
{
    return by_body(req, res, ctx, post_new_map, true);
}

static const struct route routes[] = {
    {"GET", "/ngsi-ld/v1/temporal/entities", get_evolutions, ROUTE_PUBLIC_CORS},
    {"GET", "/ngsi-ld/v1/temporal/entities/", get_evolutions, ROUTE_PUBLIC_CORS | ROUTE_HIDDEN},
    {"GET", "/ngsi-ld/v1/temporal/entities/{id}", get_evolution, ROUTE_PUBLIC_CORS},
    {"POST", "/ngsi-ld/v1/temporal/entityOperations/query", post_evolutions, ROUTE_PUBLIC_CORS},
    {"GET", "/ngsi-ld/v1/temporal/entityMaps", get_new_map, ROUTE_PUBLIC_CORS},
    {"GET", "/ngsi-ld/v1/temporal/entityMaps/", get_new_map, ROUTE_PUBLIC_CORS | ROUTE_HIDDEN},
    {"POST", "/ngsi-ld/v1/temporal/entityMaps", post_new_map, ROUTE_PUBLIC_CORS},
    {"POST", "/ngsi-ld/v1/temporal/entityMaps/", post_new_map, ROUTE_PUBLIC_CORS | ROUTE_HIDDEN},
};

void api_temporal_routes(struct link *l, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), l);
    temporal_write_routes(l, r);
}
