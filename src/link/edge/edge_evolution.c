/*
 * Evolution that differs is exchanged: what the city has comes here, what it has not got goes
 * there.
 *
 *   1. Of entities with many traces here the sums by the hour tell which hours differ; of others
 * all of it is one range.
 *   2. For each range the city is told the hashes of our traces. It answers with those that we have
 *      not, as many as one message holds, and with the hashes that it has not got.
 *   3. Those are sent.
 *
 * What was taken stays: whatever breaks off goes on at what differs still. Journal rows of both
 * sides go first (evolution.h), so changes never wait for the past.
 */
#include "core/log.h"
#include "edge_impl.h"
#include "evolution.h"
#include "pack.h"

enum { MANY_TRACES = 64, RANGES_A_MESSAGE = 64, ENTITIES_A_STEP = 64, HASH_DIGITS = 16 };

struct range {
    struct str hash, id; /* of the entity's id; its id, if it is known here */
    int64_t eid;         /* 0: it is not known here */
    int64_t from, to;
    struct trace_set want; /* of ours, by the city */
    int64_t asked;         /* where the wanted ones are searched: from here to `from` */
};

typedef VEC(struct range) range_list;

struct exchange {
    struct edge *g;
    struct arena arena; /* of a step */
    int64_t since;
    range_list ranges;
};

/* --- which ranges --- */

static void whole(struct exchange *x, const struct edge_entity *v, struct str id)
{
    *vec_push(&x->arena, &x->ranges) =
        (struct range){.hash = v->hash, .id = id, .eid = v->eid, .from = x->since, .to = INT64_MAX};
}

struct sizing { /* entities with many traces */
    VEC(struct range) many;
};

static enum err look(struct exchange *x, const struct edge_entity *v, size_t n, struct sizing *out,
                     struct error *e)
{
    enum err err = OK;
    struct arena scratch = ARENA_INIT;
    struct store_conn *c = store_read(x->g->sync->link->store, e);
    if (!c)
        return e->code;
    for (size_t i = 0; !err && i < n; i++) {
        struct trace_set own = {.v = VEC_INIT};
        struct str id = v[i].eid ? digest_entity(c, &x->arena, v[i].eid) : STR_NONE;
        if (v[i].eid)
            err = evolution_hashes(c, &scratch, v[i].eid, x->since, INT64_MAX, &own, e);
        if (own.v.n > MANY_TRACES)
            *vec_push(&x->arena, &out->many) =
                (struct range){.hash = v[i].hash, .id = id, .eid = v[i].eid};
        else
            whole(x, &v[i], id);
        arena_reset(&scratch);
    }
    store_read_done(c);
    arena_release(&scratch);
    return err;
}

static void w_entity(struct json_writer *w, const struct range *r)
{
    json_w_kstr(w, S("i"), r->hash);
    if (r->id.p)
        json_w_kstr(w, S("id"), r->id);
}

/* A message to the city, with what stands in it so far as members of an open object; closes it. */
static const struct json *send_message(struct exchange *x, struct buf *b, struct json_writer *w,
                                       struct error *e)
{
    struct edge *g = x->g;
    json_w_kstr(w, S("node"), sync_node(g->sync));
    json_w_kstr(w, S("types"), g->part.types);
    json_w_kstr(w, S("scope"), g->part.scope);
    json_w_kstr(w, S("area"), g->part.area);
    json_w_ki64(w, S("since"), x->since);
    json_w_ki64(w, S("bytes"), (int64_t)g->batch);
    json_w_end(w);
    const struct json *answer = edge_ask(g, &x->arena, "POST", S("/link/v1/sync/evolution"),
                                         pack(&x->arena, buf_view(b)), PACK_TYPE, e);
    buf_release(b);
    return answer;
}

/* The hours that differ, those beside one another as one range. */
static void differing_hours(struct exchange *x, const struct range *of, const struct hour_sums *own,
                            const struct json *theirs)
{
    size_t i = 0;
    uint32_t k = 0, n = json_is(theirs, JSON_ARRAY) ? theirs->n : 0;
    struct range *last = NULL;
    while (i < own->v.n || k < n) {
        int64_t here = i < own->v.n ? own->v.v[i].from : INT64_MAX, there = INT64_MAX;
        const struct json *one = k < n ? json_at(theirs, k) : NULL;
        uint64_t sum = 0;
        if (one && (!json_i64(json_at(one, 0), &there) ||
                    !digest_id_read(json_text(json_at(one, 1)), &sum)))
            return;
        int64_t from = here < there ? here : there;
        bool same = here == there && own->v.v[i].sum == sum;
        i += here == from;
        k += there == from;
        if (same)
            continue;
        if (last && last->to == from) {
            last->to = from + HOUR_US;
        } else {
            last = vec_push(&x->arena, &x->ranges);
            *last = *of;
            last->from = from;
            last->to = from + HOUR_US;
        }
    }
}

static enum err own_hours(struct exchange *x, int64_t eid, struct hour_sums *out, struct error *e)
{
    struct store_conn *c = store_read(x->g->sync->link->store, e);
    if (!c)
        return e->code;
    enum err err = evolution_hours(c, &x->arena, eid, x->since, out, e);
    store_read_done(c);
    return err;
}

static enum err narrow(struct exchange *x, const struct sizing *s, struct error *e)
{
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    if (!s->many.n)
        return OK;
    json_w_object(&w);
    json_w_key(&w, S("sums"));
    json_w_array(&w);
    for (size_t i = 0; i < s->many.n; i++) {
        json_w_object(&w);
        w_entity(&w, &s->many.v[i]);
        json_w_end(&w);
    }
    json_w_end(&w);
    const struct json *answer = send_message(x, &b, &w, e), *sums = json_get(answer, S("sums"));
    enum err err = answer ? OK : e->code;
    for (uint32_t i = 0; !err && json_is(sums, JSON_ARRAY) && i < sums->n && i < s->many.n; i++) {
        struct hour_sums own = {.v = VEC_INIT};
        err = own_hours(x, s->many.v[i].eid, &own, e);
        if (!err)
            differing_hours(x, &s->many.v[i], &own, json_get(&sums->items[i], S("hours")));
    }
    return err;
}

/* --- asking --- */

/* Ranges from `first` on, as many as one message holds: *n. */
static enum err write_ranges(struct exchange *x, size_t first, size_t *n, struct json_writer *w,
                             struct error *e)
{
    enum err err = OK;
    size_t bytes = 0;
    struct arena scratch = ARENA_INIT;
    struct store_conn *c = store_read(x->g->sync->link->store, e);
    if (!c)
        return e->code;
    for (*n = 0; !err && first + *n < x->ranges.n && *n < RANGES_A_MESSAGE && bytes < x->g->batch;
         (*n)++) {
        const struct range *r = &x->ranges.v[first + *n];
        struct trace_set own = {.v = VEC_INIT};
        if (r->eid)
            err = evolution_hashes(c, &scratch, r->eid, r->from, r->to, &own, e);
        bytes += own.v.n * HASH_DIGITS;
        json_w_object(w);
        w_entity(w, r);
        json_w_ki64(w, S("from"), r->from);
        json_w_ki64(w, S("to"), r->to);
        json_w_kstr(w, S("have"), trace_set_text(&scratch, &own));
        json_w_end(w);
        arena_reset(&scratch);
    }
    store_read_done(c);
    arena_release(&scratch);
    return err;
}

static enum err take(struct exchange *x, const struct json *answer, struct error *e)
{
    struct evolution_list list;
    size_t news = 0;
    struct edge *g = x->g;
    enum err err = evolution_read(&x->arena, json_get(answer, S("rows")), &list, e);
    if (!err)
        err = edge_pull_upto(g, edge_number(answer, "newest"), e);
    if (!err && !edge_stopping(g))
        err = evolution_take(g->sync, g->tenant, &list, str_c(g->city), &news, e);
    return err;
}

/* How far the city came with each, and what it wants. */
static enum err note_answers(struct exchange *x, size_t first, size_t n, const struct json *answers,
                             struct error *e)
{
    for (size_t i = 0; i < n; i++) {
        struct range *r = &x->ranges.v[first + i];
        const struct json *one = json_at(answers, (uint32_t)i);
        int64_t upto;
        if (!json_i64(json_get(one, S("upto")), &upto) || upto < r->from || upto > r->to ||
            !str_eq(json_text(json_get(one, S("i"))), r->hash) ||
            !trace_set_read(&x->arena, json_text(json_get(one, S("want"))), &r->want))
            return error_set(e, ERR_INVALID, "the city answers to other ranges");
        r->asked = r->from;
        r->from = upto;
    }
    return OK;
}

/* --- giving --- */

/* What the city wants of a range, in steps. */
static enum err give(struct exchange *x, const struct range *r, struct error *e)
{
    struct edge *g = x->g;
    enum err err = OK;
    for (int64_t from = r->asked; !err && from < r->to && !edge_stopping(g);) {
        struct buf b = BUF_INIT, rows = BUF_INIT;
        struct json_writer w = json_writer(&b);
        int64_t oldest, newest = 0;
        size_t n = 0;
        struct store_conn *c = store_read(g->sync->link->store, e);
        if (!c)
            return e->code;
        err = journal_range(c, g->tenant, &oldest, &newest, e);
        if (!err)
            err = evolution_write(c, r->eid, r->id, from, r->to, &r->want, true, g->batch, &rows,
                                  &from, &n, e);
        store_read_done(c);
        if (!err)
            err = edge_push_upto(g, newest, e);
        if (!err && n && !edge_stopping(g)) {
            BUF_LIT(&b, "{\"rows\":[");
            buf_str(&b, buf_view(&rows));
            BUF_LIT(&b, "]}");
            const struct json *whole = json_parse(&x->arena, buf_view(&b), &JSON_DEFAULT, e);
            buf_clear(&b);
            w = json_writer(&b);
            json_w_object(&w);
            json_w_key(&w, S("rows"));
            if (whole)
                json_w_value(&w, json_get(whole, S("rows")));
            err = whole && send_message(x, &b, &w, e) ? OK : e->code;
        }
        buf_release(&b);
        buf_release(&rows);
    }
    return err;
}

/* One message each way, and what it asks for; *first moves to the first range that is left. */
static enum err step(struct exchange *x, size_t *first, struct error *e)
{
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    size_t n = 0;
    json_w_object(&w);
    json_w_key(&w, S("ranges"));
    json_w_array(&w);
    enum err err = write_ranges(x, *first, &n, &w, e);
    json_w_end(&w);
    if (err) {
        buf_release(&b);
        return err;
    }
    const struct json *answer = send_message(x, &b, &w, e);
    err = answer ? note_answers(x, *first, n, json_get(answer, S("ranges")), e) : e->code;
    if (!err)
        err = take(x, answer, e);
    for (size_t i = 0; !err && i < n; i++)
        if (x->ranges.v[*first + i].want.v.n)
            err = give(x, &x->ranges.v[*first + i], e);
    while (*first < x->ranges.n && x->ranges.v[*first].from >= x->ranges.v[*first].to)
        (*first)++;
    return err;
}

static enum err exchange_some(struct exchange *x, const struct edge_entity *v, size_t n,
                              struct error *e)
{
    struct sizing sizes = {.many = VEC_INIT};
    size_t first = 0;
    x->ranges = (range_list)VEC_INIT;
    enum err err = look(x, v, n, &sizes, e);
    if (!err)
        err = narrow(x, &sizes, e);
    while (!err && first < x->ranges.n && !edge_stopping(x->g))
        err = step(x, &first, e);
    arena_reset(&x->arena);
    return err;
}

static enum err exchange_differing(void *ctx, const struct edge_entity *v, size_t n,
                                   struct error *e)
{
    struct exchange *x = ctx;
    struct arena a = ARENA_INIT;
    VEC(struct edge_entity) some = VEC_INIT;
    enum err err = OK;
    for (size_t i = 0; i < n; i++)
        if (!v[i].same_past)
            *vec_push(&a, &some) = v[i];
    for (size_t i = 0; !err && i < some.n && !edge_stopping(x->g); i += ENTITIES_A_STEP)
        err = exchange_some(x, some.v + i,
                            some.n - i < ENTITIES_A_STEP ? some.n - i : ENTITIES_A_STEP, e);
    arena_release(&a);
    return err;
}

enum err edge_evolution(struct edge *g, struct error *e)
{
    struct edge_digests d = {.arena = ARENA_INIT};
    struct exchange x = {.g = g};
    edge_state_set(g, EDGE_COPYING, "");
    enum err err = edge_compare(g, &d, e);
    x.since = d.since;
    if (!err && !d.same)
        err = edge_differences(g, &d, exchange_differing, &x, e);
    arena_release(&x.arena);
    arena_release(&d.arena);
    return err;
}
