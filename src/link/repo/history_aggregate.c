/*
 * history_aggregate.c - aggregates over raw rows and the hours that old ones became
 * (history_keep.h; ETSI GS CIM 009 clause 4.5.19).
 *
 * One pass in order of time, one bucket at a time. Numbers come from a column; other values are
 * read from the instance: true and false count as 1 and 0, arrays by their size, texts have a first
 * and a last one. Deviation is summed up relative to the running mean (Welford), since the
 * difference of two large squares would lose it.
 */
#include <math.h>
#include <stdlib.h>

#include "core/map.h"
#include "history_impl.h"
#include "query_impl.h"

const char *const history_method_names[AGGR_METHODS] = {
    [AGGR_TOTAL_COUNT] = "totalCount",
    [AGGR_DISTINCT_COUNT] = "distinctCount",
    [AGGR_SUM] = "sum",
    [AGGR_AVG] = "avg",
    [AGGR_MIN] = "min",
    [AGGR_MAX] = "max",
    [AGGR_STDDEV] = "stddev",
    [AGGR_SUMSQ] = "sumsq",
};

bool history_value(const struct history_bucket *b, enum history_method m, double *out)
{
    switch (m) {
    case AGGR_TOTAL_COUNT:
        *out = (double)b->count;
        return true;
    case AGGR_DISTINCT_COUNT:
        *out = (double)b->distinct;
        return true;
    case AGGR_SUM:
        *out = b->sum;
        if (!b->count)
            return true;
        break;
    case AGGR_AVG:
        *out = b->avg;
        break;
    case AGGR_MIN:
        *out = b->min;
        break;
    case AGGR_MAX:
        *out = b->max;
        break;
    case AGGR_STDDEV:
        *out = b->stddev;
        break;
    case AGGR_SUMSQ:
        *out = b->sumsq;
        if (!b->count)
            return true;
        break;
    case AGGR_METHODS:
        return false;
    }
    return b->numeric && isfinite(*out);
}

/* --- distinct values: a set of 64-bit hashes, emptied by counting up its generation --- */

struct hash_slot {
    uint64_t hash;
    uint32_t generation;
};

struct hash_set {
    struct hash_slot *slots;
    size_t cap, n;
    uint32_t generation;
};

static struct hash_slot *slot_of(const struct hash_set *s, uint64_t hash)
{
    size_t i = hash & (s->cap - 1);
    while (s->slots[i].generation == s->generation && s->slots[i].hash != hash)
        i = (i + 1) & (s->cap - 1);
    return &s->slots[i];
}

static void set_grow(struct hash_set *s)
{
    struct hash_set bigger = {.cap = s->cap ? s->cap * 2 : 64, .generation = s->generation};
    bigger.slots = calloc(bigger.cap, sizeof(*bigger.slots));
    if (!bigger.slots)
        abort();
    for (size_t i = 0; i < s->cap; i++)
        if (s->slots[i].generation == s->generation)
            *slot_of(&bigger, s->slots[i].hash) = s->slots[i];
    bigger.n = s->n;
    free(s->slots);
    *s = bigger;
}

static void set_add(struct hash_set *s, uint64_t hash)
{
    if ((s->n + 1) * 4 > s->cap * 3)
        set_grow(s);
    struct hash_slot *slot = slot_of(s, hash);
    if (slot->generation == s->generation)
        return;
    *slot = (struct hash_slot){hash, s->generation};
    s->n++;
}

static void set_empty(struct hash_set *s)
{
    s->generation++;
    s->n = 0;
}

/* --- periods --- */

enum { MONTHS_MAX = 12 * 10000 };

/* Start of period k, counted from the origin in one step: 31 January + 1 month + 1 month is the
 * last of March. INT64_MAX past the end of time. */
static int64_t period_start(int64_t origin, const struct duration *p, int64_t k)
{
    struct duration total = {0, 0};
    if (__builtin_mul_overflow(p->us, k, &total.us) || (p->months && k > MONTHS_MAX / p->months))
        return INT64_MAX;
    total.months = p->months ? p->months * (int)k : 0;
    return duration_add(origin, &total);
}

/* The period [*from, *to) that at lies in; at is not before the origin. */
static void find_period(int64_t origin, const struct duration *p, int64_t at, int64_t *from,
                        int64_t *to)
{
    int64_t longest, since, k;
    if (__builtin_mul_overflow(INT64_C(31) * 86400 * 1000000, p->months, &longest) ||
        __builtin_add_overflow(longest, p->us, &longest))
        longest = INT64_MAX;
    if (__builtin_sub_overflow(at, origin, &since))
        since = INT64_MAX;
    k = since / longest;
    *from = period_start(origin, p, k);
    while ((*to = period_start(origin, p, k + 1)) <= at && *to > *from) {
        *from = *to;
        k++;
    }
}

/* --- buckets --- */

struct hour {
    int64_t at; /* its begin */
    uint64_t n, numbers;
    double sum, sumsq, least, greatest;
};

struct aggregation {
    struct history_bucket b;
    bool open;
    uint64_t numbers;
    double squares; /* of distances to the mean */
    struct hash_set seen;
    struct arena texts;
    struct arena row;
    const struct history_query *q;
    struct duration period;
    VEC(struct hour) hours; /* of the series, in order: what old rows became (history_keep.h) */
    size_t next_hour;
    int64_t origin; /* start of the first period */
    int64_t last;   /* time of the newest row */
    const struct series *series;
    int64_t next; /* end of the last period told of */
    size_t n_empty;
    bool any; /* the series has rows in the range */
    bool (*each)(void *ctx, const struct history_bucket *b);
    void *ctx;
};

static bool flush(struct aggregation *g)
{
    if (!g->open)
        return true;
    g->open = false;
    g->next = g->b.to;
    if (g->b.to == INT64_MAX) /* open range: up to the newest row */
        g->b.to = g->last;
    g->b.distinct = g->seen.n;
    g->b.numeric = g->numbers > 0;
    g->b.stddev = g->numbers ? sqrt(g->squares / (double)g->numbers) : 0;
    bool more = g->each(g->ctx, &g->b);
    set_empty(&g->seen);
    arena_reset(&g->texts);
    return more;
}

enum { EMPTY_MAX = 10000 }; /* periods without rows that one series tells of */

/* Periods without rows, from the end of the last one up to a time. */
static bool give_empty(struct aggregation *g, int64_t to)
{
    bool whole = !g->period.months && !g->period.us;
    if (whole || !g->q->empty_periods || g->q->relation != TIME_BETWEEN)
        return true;
    while (g->next < to && g->n_empty < EMPTY_MAX) {
        struct history_bucket b = {.attr = g->series->iri,
                                   .dataset = g->series->uri,
                                   .from = g->next,
                                   .numeric = false};
        int64_t from;
        find_period(g->q->from, &g->period, g->next, &from, &b.to);
        if (b.to <= g->next)
            return true;
        b.to = b.to > g->q->to ? g->q->to : b.to;
        g->next = b.to;
        g->n_empty++;
        if (!g->each(g->ctx, &b))
            return false;
    }
    return true;
}

static void open_bucket(struct aggregation *g, const struct history_row *row)
{
    g->open = true;
    g->numbers = 0;
    g->squares = 0;
    g->b = (struct history_bucket){.attr = row->attr, .dataset = row->dataset};
    struct span all = history_span(g->q);
    if (all.from != INT64_MIN)
        g->origin = all.from;
    if (!g->period.months && !g->period.us) {
        g->b.from = g->origin;
        g->b.to = all.to;
        return;
    }
    find_period(g->origin, &g->period, row->at, &g->b.from, &g->b.to);
    if (g->b.to > all.to)
        g->b.to = all.to;
}

static void add_number(struct aggregation *g, double x)
{
    struct history_bucket *b = &g->b;
    bool first = g->numbers++ == 0;
    double before = x - b->avg;
    b->avg += before / (double)g->numbers;
    g->squares += before * (x - b->avg);
    b->sum += x;
    b->sumsq += x * x;
    b->min = first || x < b->min ? x : b->min;
    b->max = first || x > b->max ? x : b->max;
}

/* Date-times by instant, other texts by code point. */
static int compare_texts(struct str x, struct str y)
{
    int64_t a, b;
    if (datetime_parse(x, &a) && datetime_parse(y, &b))
        return (a > b) - (a < b);
    return str_cmp(x, y);
}

static void add_text(struct aggregation *g, struct str x)
{
    struct history_bucket *b = &g->b;
    if (!b->min_text.p || compare_texts(x, b->min_text) < 0)
        b->min_text = str_dup(&g->texts, x);
    if (!b->max_text.p || compare_texts(x, b->max_text) > 0)
        b->max_text = str_dup(&g->texts, x);
}

enum {
    FIT_ALL = (1 << AGGR_METHODS) - 1,
    FIT_COUNTS = 1 << AGGR_TOTAL_COUNT | 1 << AGGR_DISTINCT_COUNT,
    FIT_TEXT = FIT_COUNTS | 1 << AGGR_MIN | 1 << AGGR_MAX
};

/* What is no number: the value has to be read. */
static void add_other(struct aggregation *g, struct str instance)
{
    arena_reset(&g->row);
    const struct json *one = json_parse(&g->row, instance, &JSON_DEFAULT, NULL);
    const struct json *v = one ? instance_value(one) : NULL;
    g->b.eligible |= FIT_COUNTS;
    if (!v)
        return;
    set_add(&g->seen, str_hash(json_to_text(&g->row, v)));
    struct str kind = json_text(json_get(one, S("type")));
    g->b.link = str_eq(kind, S("Relationship")) || str_eq(kind, S("ListRelationship"));
    if (g->b.link)
        return;
    v = query_unwrap(v);
    if (json_is_bool(v) || v->type == JSON_ARRAY) {
        add_number(g, v->type == JSON_ARRAY ? v->n : json_true(v));
        g->b.eligible = FIT_ALL;
    } else if (v->type == JSON_STRING) {
        add_text(g, json_text(v));
        g->b.eligible |= FIT_TEXT;
    }
}

/* Two sets of numbers as one (Chan, Golub, LeVeque). */
static void add_numbers(struct aggregation *g, const struct hour *h)
{
    struct history_bucket *b = &g->b;
    double n = (double)g->numbers, m = (double)h->numbers;
    double mean = h->sum / m, apart = mean - b->avg, own = h->sumsq - h->sum * mean;
    g->squares += (own > 0 ? own : 0) + apart * apart * n * m / (n + m);
    b->avg += apart * m / (n + m);
    b->sum += h->sum;
    b->sumsq += h->sumsq;
    b->min = g->numbers == 0 || h->least < b->min ? h->least : b->min;
    b->max = g->numbers == 0 || h->greatest > b->max ? h->greatest : b->max;
    g->numbers += h->numbers;
}

/* An hour belongs to the period in which it begins. */
static bool add_hour(struct aggregation *g, const struct hour *h)
{
    if (g->open && h->at >= g->b.to && (g->period.months || g->period.us) && !flush(g))
        return false;
    if (!g->open) {
        struct history_row begin = {.attr = g->series->iri, .dataset = g->series->uri, .at = h->at};
        if (g->origin == INT64_MIN)
            g->origin = h->at;
        open_bucket(g, &begin);
        g->any = true;
        if (!give_empty(g, g->b.from))
            return false;
    }
    g->last = h->at;
    g->b.count += h->n;
    g->b.eligible = FIT_ALL; /* as far as is known */
    if (h->numbers)
        add_numbers(g, h);
    return true;
}

static bool add_hours(struct aggregation *g, int64_t upto)
{
    while (g->next_hour < g->hours.n && g->hours.v[g->next_hour].at <= upto)
        if (!add_hour(g, &g->hours.v[g->next_hour++]))
            return false;
    return true;
}

static enum err load_hours(struct store_conn *c, int64_t eid, struct aggregation *g,
                           const struct span *span, struct arena *a, struct error *e)
{
    struct store_rows r;
    g->hours.n = g->next_hour = 0;
    if (g->q->property != TIME_OBSERVED || g->q->last_n)
        return OK;
    store_query(
        c, &r,
        "SELECT h, n, numbers, sum, sumsq, least, greatest FROM hist_hour WHERE eid = $1"
        " AND attr = $2 AND dataset = $3 AND h >= $4 AND h < $5 AND (observed = 1 OR $6 = 0)"
        " ORDER BY h",
        SV(SV_INT(eid), SV_INT(g->series->attr), SV_INT(g->series->dataset), SV_INT(span->from),
           SV_INT(span->to), SV_INT(span->observed)));
    while (store_next(&r))
        *vec_push(a, &g->hours) = (struct hour){.at = store_int(&r, 0),
                                                .n = (uint64_t)store_int(&r, 1),
                                                .numbers = (uint64_t)store_int(&r, 2),
                                                .sum = store_real(&r, 3),
                                                .sumsq = store_real(&r, 4),
                                                .least = store_real(&r, 5),
                                                .greatest = store_real(&r, 6)};
    return store_end(&r, e);
}

static bool add_row(void *ctx, const struct history_row *row)
{
    struct aggregation *g = ctx;
    if (history_is_deletion(row->instance))
        return true;
    if (!add_hours(g, row->at))
        return false;
    if (g->open && row->at >= g->b.to && (g->period.months || g->period.us) && !flush(g))
        return false;
    if (!g->open) {
        if (g->origin == INT64_MIN)
            g->origin = row->at;
        open_bucket(g, row);
        g->any = true;
        if (!give_empty(g, g->b.from))
            return false;
    }
    g->last = row->at;
    g->b.count++;
    if (!row->is_number) {
        add_other(g, row->instance);
        return true;
    }
    double zero_is_one_value = row->number == 0 ? 0 : row->number;
    g->b.eligible = FIT_ALL;
    set_add(&g->seen, str_hash(str_n((const char *)&zero_is_one_value, sizeof(double))));
    add_number(g, row->number);
    return true;
}

static bool count_only(void *ctx, const struct history_row *row)
{
    (void)ctx;
    (void)row;
    return true;
}

static enum err aggregate_series(struct store_conn *c, int64_t eid, const struct series *s,
                                 struct aggregation *g, struct arena *a, bool *stop,
                                 struct error *e)
{
    struct span span = history_span(g->q);
    g->origin = INT64_MIN;
    g->series = s;
    g->next = g->q->from;
    g->n_empty = 0;
    g->any = false;
    enum err rc = load_hours(c, eid, g, &span, a, e);
    if (!rc && g->q->last_n) {
        int64_t total = 0;
        rc = history_walk(c, eid, s, g->q->property, &span, count_only, NULL, &total, stop, e);
        if (g->q->last_n < (uint64_t)total)
            span.skip = total - (int64_t)g->q->last_n;
    }
    if (!rc)
        rc = history_walk(c, eid, s, g->q->property, &span, add_row, g, NULL, stop, e);
    if (!rc && !*stop)
        *stop = !add_hours(g, INT64_MAX) || !flush(g) || (g->any && !give_empty(g, g->q->to));
    g->open = false;
    return rc;
}

enum err history_aggregate(struct store_conn *c, int64_t eid, const struct history_query *q,
                           const struct duration *period,
                           bool (*each)(void *ctx, const struct history_bucket *b), void *ctx,
                           struct error *e)
{
    if (q->property != TIME_OBSERVED && q->property != TIME_MODIFIED)
        return error_set(
            e, ERR_UNPROCESSABLE,
            "aggregates go by observedAt or modifiedAt, not by createdAt or deletedAt");
    struct aggregation g = {.q = q,
                            .period = *period,
                            .each = each,
                            .ctx = ctx,
                            .texts = ARENA_INIT,
                            .row = ARENA_INIT,
                            .seen = {.generation = 1}};
    struct arena a = ARENA_INIT;
    series_list list = VEC_INIT;
    bool stop = false;
    enum err rc = history_series(c, &a, eid, q, &list, e);
    for (size_t i = 0; i < list.n && !rc && !stop; i++)
        rc = aggregate_series(c, eid, &list.v[i], &g, &a, &stop, e);
    free(g.seen.slots);
    arena_release(&g.texts);
    arena_release(&g.row);
    arena_release(&a);
    return rc;
}
