/*
 * Filling a snapshot: matches are gathered on one state of the store, some at a time, and written
 * into the space as they are, times included. What two queries find of an entity is put together.
 */
#include "api_select.h"
#include "api_temporal.h"
#include "link/access.h"
#include "link/history.h"
#include "snapshot.h"

enum { FILL_CHUNK = 200 };

struct copy {
    struct str id;
    int64_t eid;
    const struct json *doc;
};

struct filling {
    struct link *link;
    struct arena arena; /* of a chunk */
    struct store_conn *from;
    struct str space;
    const struct api_select *select;     /* NULL: all */
    struct entity_view view;             /* what of an entity is copied */
    const struct history_query *history; /* copy evolution instead of states; may be NULL */
    bool both;                           /* states and evolution */
    VEC(struct copy) copies;
    int64_t last;
    uint64_t copied;
    enum err failed;
};

/* --- one entity --- */

static bool is_wanted(const struct entity_view *v, struct str iri)
{
    bool in = !v->pick;
    for (size_t i = 0; i < v->n_pick && !in; i++)
        in = str_eq(v->pick[i], iri);
    for (size_t i = 0; i < v->n_omit && in; i++)
        in = !str_eq(v->omit[i], iri);
    return in;
}

/* What the query shows of the entity; the rest of its members always comes along. */
static const struct json *shown_part(struct filling *x, const struct json *stored)
{
    struct json_member *m = ARENA_ARRAY(&x->arena, struct json_member, stored->n);
    struct json *out = ARENA_NEW(&x->arena, struct json);
    size_t n = 0;
    for (uint32_t i = 0; i < stored->n; i++) {
        struct str iri = json_key(&stored->members[i]);
        if (entity_is_member(iri) || is_wanted(&x->view, iri))
            m[n++] = stored->members[i];
    }
    *out = json_v_object(m, n);
    return out;
}

static bool each_match(void *ctx, const struct entity_row *row, const struct json *stored)
{
    struct filling *x = ctx;
    bool hit = true;
    x->last = row->eid;
    if (x->select)
        x->failed = api_select_any(x->select, stored, &hit);
    if (x->failed || !hit || entity_expired(stored, clock_now(x->link->clock)))
        return !x->failed;
    /* the tree lives during the call only: it is written and read again */
    struct buf text = BUF_INIT;
    json_write(&text, shown_part(x, stored));
    const struct json *doc = json_parse(&x->arena, buf_dup(&text, &x->arena), &JSON_DEFAULT, NULL);
    buf_release(&text);
    if (doc)
        *vec_push(&x->arena, &x->copies) =
            (struct copy){str_dup(&x->arena, row->id), row->eid, doc};
    return x->copies.n < FILL_CHUNK;
}

/* The state in the space with what is new in a copy. */
static const struct json *joined(struct arena *a, const struct json *there, const struct json *copy)
{
    struct json *out = ARENA_NEW(a, struct json);
    *out = *there;
    for (uint32_t i = 0; i < copy->n; i++)
        if (!json_get(there, json_key(&copy->members[i])))
            *out = json_with(a, out, json_key(&copy->members[i]), copy->members[i].value);
    return out;
}

/* What is new of it, for the indexes. */
static void note_new(struct arena *a, const struct json *before, struct entity_delta *d)
{
    for (uint32_t i = 0; i < d->after->n; i++) {
        struct str iri = json_key(&d->after->members[i]);
        const struct json *instances = &d->after->members[i].value;
        if (entity_is_member(iri) || json_get(before, iri) || !json_is(instances, JSON_ARRAY))
            continue;
        for (uint32_t k = 0; k < instances->n; k++) {
            struct attr_change *change = vec_push(a, &d->changes);
            change->attr = iri;
            change->dataset = json_text(json_get(&instances->items[k], S("datasetId")));
            change->op = ATTR_CREATED;
            change->after = &instances->items[k];
        }
    }
}

static enum err put_state(struct store_conn *conn, struct filling *x, const struct copy *copy,
                          int64_t space, struct error *e)
{
    struct entity_row row;
    const struct json *before = NULL;
    struct repo_options options = {.history = false};
    struct entity_delta delta = {.after = copy->doc, .types_changed = true, .scope_changed = true};
    enum err err = repo_get(conn, &x->arena, space, copy->id, &row, e);
    if (err && err != ERR_NOT_FOUND)
        return err;
    if (!err) {
        before = json_parse(&x->arena, row.doc, &JSON_DEFAULT, e);
        if (!before)
            return e->code;
        delta.after = joined(&x->arena, before, copy->doc);
    }
    note_new(&x->arena, before, &delta);
    struct repo_put put = {.arena = &x->arena,
                           .options = &options,
                           .tenant = space,
                           .now = clock_now(x->link->clock),
                           .id = copy->id,
                           .row = &row,
                           .before = before,
                           .delta = &delta};
    return repo_put(conn, &put, NULL, e);
}

struct evolution {
    struct filling *x;
    struct store_conn *to;
    int64_t eid;
    struct error *e;
    enum err err;
};

static bool put_row(void *ctx, const struct history_row *row)
{
    struct evolution *v = ctx;
    const struct json *instance =
        json_parse(&v->x->arena, str_dup(&v->x->arena, row->instance), &JSON_DEFAULT, NULL);
    if (!instance || !is_wanted(&v->x->view, row->attr))
        return true;
    v->err = history_add(v->to, v->eid, str_dup(&v->x->arena, row->attr), instance, row->modified,
                         row->seq, v->e);
    v->x->copied++;
    return !v->err;
}

static enum err put_evolution(struct store_conn *conn, struct filling *x, const struct copy *copy,
                              int64_t space, struct error *e)
{
    struct evolution v = {.x = x, .to = conn, .e = e};
    struct history_cut cut;
    enum err err = history_eid(conn, &x->arena, space, copy->id, entity_types(copy->doc), true,
                               clock_now(x->link->clock), &v.eid, e);
    if (!err)
        err = history_read(x->from, copy->eid, x->history, put_row, &v, &cut, e);
    return err ? err : v.err;
}

static enum err put_chunk(struct store_conn *conn, void *ctx, struct error *e)
{
    struct filling *x = ctx;
    int64_t space;
    uint64_t before = x->copied; /* it may run twice */
    enum err err = repo_tenant(conn, x->space, &space, e);
    if (!err)
        err = snapshot_alive(conn, x->space, clock_now(x->link->clock), e);
    for (size_t i = 0; !err && i < x->copies.n; i++) {
        if (!x->history || x->both)
            err = put_state(conn, x, &x->copies.v[i], space, e);
        if (!err && x->history)
            err = put_evolution(conn, x, &x->copies.v[i], space, e);
    }
    if (!x->history)
        x->copied = before + x->copies.n;
    return err;
}

/* --- all of them --- */

/* who: their view of the tenant; NULL: all of it. */
static enum err fill(struct filling *x, const struct entity_query *query, struct str tenant,
                     const struct access_who *who, struct error *e)
{
    struct repo_query q = {.query = query, .limit = UINT64_MAX, .clock = x->link->clock};
    struct repo_result result;
    x->from = store_read(x->link->store, e);
    if (!x->from)
        return e->code;
    enum err err = repo_tenant(x->from, tenant, &q.tenant, e);
    if (!err && who)
        store_set_view(x->from, access_view(x->link->access, who, q.tenant));
    do {
        x->copies.v = NULL;
        x->copies.n = x->copies.cap = 0;
        arena_reset(&x->arena);
        q.after = x->last;
        if (!err)
            err = repo_query(x->from, &q, each_match, x, &result, e);
        if (!err && x->failed)
            err = error_set(e, x->failed, "idPattern takes too long to match");
        if (!err && x->copies.n)
            err = store_write(x->link->store, put_chunk, x, e);
    } while (!err && x->copies.n == FILL_CHUNK);
    store_read_done(x->from);
    arena_release(&x->arena);
    return err;
}

enum err snapshot_fill(struct api *c, const struct json *query, struct str space, uint64_t *copied,
                       struct error *e)
{
    const struct json *time = json_get(query, S("temporalQ"));
    struct api_select select;
    struct history_query history = {.observed_only = true};
    struct filling x = {.link = c->link, .space = space, .select = &select};
    c->body = query;
    if (!api_select_body(c, &select, time ? SELECT_TEMPORAL : 0))
        return error_set(e, ERR_INVALID, "not a query");
    if (!api_select_view(c, &select, &x.view) || (time && !api_time_query(c, time, &history))) {
        api_select_release(&select);
        return error_set(e, ERR_INVALID, "not a query");
    }
    x.history = time ? &history : NULL;
    enum err err = fill(&x, &select.query, c->tenant, access_asks(c->req), e);
    api_select_release(&select);
    *copied = x.copied;
    return err;
}

enum err snapshot_copy(struct link *l, struct str from, struct str to, struct error *e)
{
    struct entity_query all = {0};
    struct history_query history = {0};
    struct filling x = {.link = l, .space = to, .history = &history, .both = true};
    return fill(&x, &all, from, NULL, e);
}
