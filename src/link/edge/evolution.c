/* Reading and summing traces. See evolution.h. */
#include "evolution.h"
#include "crypto/hash.h"
#include "digest.h"
#include "entity_impl.h"
#include "history_impl.h"
#include "history_keep.h"
#include "keys.h"
#include "trim.h"
#include <stdlib.h>

/* --- from when on --- */

static int64_t day_of(int64_t at)
{
    return at - at % DAY_US;
}

int64_t evolution_wanted(const struct sync *s)
{
    const struct link *l = s->link;
    if (!l->edge.past_days || !l->options.history)
        return EVOLUTION_NONE;
    return day_of(clock_now(l->clock) - l->edge.past_days * DAY_US);
}

/* Whole days, so that a sum is worked out anew once a day only. */
enum err evolution_since(struct sync *s, struct store_conn *c, int64_t tenant, int64_t asked,
                         int64_t *since, struct error *e)
{
    int64_t kept, seq, past;
    *since = asked;
    if (asked >= EVOLUTION_NONE || !s->link->options.history) {
        *since = EVOLUTION_NONE;
        return OK;
    }
    enum err err = history_kept_since(s->link, c, tenant, &kept, e);
    if (!err)
        err = trim_horizon(c, tenant, &seq, &past, e);
    if (!err && past > kept)
        kept = past;
    if (err)
        return err;
    if (kept > 0 && day_of(kept + DAY_US - 1) > *since)
        *since = day_of(kept + DAY_US - 1);
    return OK;
}

/* --- reading --- */

static uint64_t hash_of(const struct trace *t)
{
    const struct past_row *r = &t->row;
    const int64_t numbers[] = {r->keys[0], r->keys[1], r->name.made, r->name.changed, t->dot.hlc};
    char bytes[sizeof(numbers)];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)((uint64_t)numbers[i / 8] >> (56 - 8 * (i % 8)));
    const struct str fields[] = {str_n(bytes, sizeof(bytes)), r->name.maker,
                                 t->dot.hlc ? t->dot.node : t->value};
    struct hash h = hash_blake2b_fields(fields, 3);
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | h.b[i];
    return v;
}

static struct str text_at(const struct store_rows *r, int column)
{
    return store_is_null(r, column) ? STR_NONE : store_text(r, column);
}

/* Columns attr, dataset, iri, dataset_uri, made, changed, ... */
static struct trace row_at(const struct store_rows *r)
{
    struct trace t = {.row = {.attr = text_at(r, 2),
                              .dataset = text_at(r, 3),
                              .keys = {store_int(r, 0), store_int(r, 1)},
                              .name = {store_int(r, 4), store_int(r, 5), S("")}}};
    t.at = t.row.name.made;
    return t;
}

typedef void (*take_trace)(void *ctx, const struct trace *t);

/* Columns as above and value. */
static enum err each_left(struct store_rows *r, take_trace each, void *ctx, struct error *e)
{
    while (store_next(r)) {
        struct trace t = row_at(r);
        t.value = store_text(r, 6);
        t.hash = hash_of(&t);
        if (!history_is_deletion(t.value))
            each(ctx, &t);
    }
    return store_end(r, e);
}

#define NOT_WRITTEN                                                                                \
    " LEFT JOIN sync_past p ON p.eid = h.eid AND p.attr = h.attr AND p.dataset = h.dataset"        \
    " AND p.seq = h.seq "

static enum err each_written(struct store_conn *c, int64_t eid, int64_t from, int64_t to,
                             take_trace each, void *ctx, struct error *e)
{
    struct store_rows r;
    store_query(c, &r,
                "SELECT p.attr, p.dataset, n.iri, n.dataset_uri, p.made, p.changed, p.maker, p.hlc,"
                " p.node, h.value FROM sync_past p LEFT JOIN hist_attr n ON n.eid = p.eid"
                " AND n.attr = p.attr AND n.dataset = p.dataset LEFT JOIN hist h ON p.seq <> 0"
                " AND h.eid = p.eid AND h.attr = p.attr AND h.dataset = p.dataset AND h.t = p.t"
                " AND h.seq = p.seq WHERE p.eid = $1 AND (p.made >= $2 OR p.hlc >= $3)"
                " AND p.made < $4 AND p.hlc < $5",
                SV(SV_INT(eid), SV_INT(from), SV_INT(from), SV_INT(to), SV_INT(to)));
    while (store_next(&r)) {
        struct trace t = row_at(&r);
        t.row.name.maker = store_text(&r, 6);
        t.dot = (struct sync_dot){store_int(&r, 7), store_text(&r, 8)};
        t.value = text_at(&r, 9);
        if (t.dot.hlc > t.at)
            t.at = t.dot.hlc;
        t.hash = hash_of(&t);
        each(ctx, &t);
    }
    return store_end(&r, e);
}

/* Without hist_recent. */
static enum err each_settled(struct store_conn *c, int64_t eid, int64_t from, int64_t to,
                             take_trace each, void *ctx, struct error *e)
{
    struct store_rows r;
    store_query(c, &r,
                "SELECT h.attr, h.dataset, n.iri, n.dataset_uri, h.t, h.modified, h.value"
                " FROM hist_attr n JOIN hist h ON h.eid = n.eid AND h.attr = n.attr"
                " AND h.dataset = n.dataset AND h.t >= $2 AND h.t < $3" NOT_WRITTEN
                "WHERE n.eid = $1 AND n.attr <> 0 AND p.eid IS NULL",
                SV(SV_INT(eid), SV_INT(from), SV_INT(to)));
    enum err err = each_left(&r, each, ctx, e);
    return err ? err : each_written(c, eid, from, to, each, ctx, e);
}

enum err evolution_each(struct store_conn *c, int64_t eid, int64_t from, int64_t to,
                        void (*each)(void *ctx, const struct trace *t), void *ctx, struct error *e)
{
    struct store_rows r;
    enum err err = each_settled(c, eid, from, to, each, ctx, e);
    if (err)
        return err;
    store_query(c, &r,
                "SELECT h.attr, h.dataset, n.iri, n.dataset_uri, h.t, h.modified, h.value"
                " FROM hist_recent h JOIN hist_attr n ON n.eid = h.eid AND n.attr = h.attr"
                " AND n.dataset = h.dataset" NOT_WRITTEN
                "WHERE h.eid = $1 AND h.t >= $2 AND h.t < $3 AND p.eid IS NULL",
                SV(SV_INT(eid), SV_INT(from), SV_INT(to)));
    return each_left(&r, each, ctx, e);
}

/* --- sums --- */

enum err evolution_recent(struct store_conn *c, struct arena *a, int64_t since,
                          struct recent_traces *out, struct error *e)
{
    struct store_rows r;
    store_query(c, &r,
                "SELECT h.attr, h.dataset, NULL, NULL, h.t, h.modified, h.value, h.eid"
                " FROM hist_recent h" NOT_WRITTEN "WHERE h.t >= $1 AND p.eid IS NULL"
                " ORDER BY h.eid",
                SV(SV_INT(since)));
    while (store_next(&r)) {
        struct trace t = row_at(&r);
        t.value = store_text(&r, 6);
        if (!history_is_deletion(t.value))
            *vec_push(a, &out->v) = (struct recent_trace){store_int(&r, 7), hash_of(&t)};
    }
    return store_end(&r, e);
}

static int hash_cmp(const void *x, const void *y)
{
    const uint64_t *a = x, *b = y;
    return *a < *b ? -1 : *a > *b;
}

static void sort_out(struct trace_set *set)
{
    size_t n = 0;
    if (set->v.n > 1)
        qsort(set->v.v, set->v.n, sizeof(*set->v.v), hash_cmp);
    for (size_t i = 0; i < set->v.n; i++)
        if (!n || set->v.v[i] != set->v.v[n - 1])
            set->v.v[n++] = set->v.v[i];
    set->v.n = n;
}

/* 0 is what nothing adds up to. */
static uint64_t sum_of(const uint64_t *v, size_t n)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += v[i];
    return n && !sum ? 1 : sum;
}

struct collecting {
    struct arena *arena;
    struct trace_set *set;
};

static void collect(void *ctx, const struct trace *t)
{
    struct collecting *k = ctx;
    *vec_push(k->arena, &k->set->v) = t->hash;
}

static void add_recent(struct arena *a, const struct recent_traces *recent, int64_t eid,
                       struct trace_set *set)
{
    size_t low = 0, high = recent->v.n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (recent->v.v[middle].eid < eid)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < recent->v.n && recent->v.v[low].eid == eid; low++)
        *vec_push(a, &set->v) = recent->v.v[low].hash;
}

enum err evolution_sum(struct store_conn *c, struct arena *scratch, int64_t eid, int64_t since,
                       const struct recent_traces *recent, uint64_t *sum, struct error *e)
{
    struct trace_set set = {.v = VEC_INIT};
    struct collecting k = {scratch, &set};
    *sum = 0;
    if (since == EVOLUTION_NONE)
        return OK;
    enum err err = each_settled(c, eid, since, INT64_MAX, collect, &k, e);
    add_recent(scratch, recent, eid, &set);
    sort_out(&set);
    *sum = sum_of(set.v.v, set.v.n);
    return err;
}

enum err evolution_hashes(struct store_conn *c, struct arena *a, int64_t eid, int64_t from,
                          int64_t to, struct trace_set *out, struct error *e)
{
    struct collecting k = {a, out};
    enum err err = evolution_each(c, eid, from, to, collect, &k, e);
    sort_out(out);
    return err;
}

bool trace_set_has(const struct trace_set *set, uint64_t hash)
{
    return set->v.n && bsearch(&hash, set->v.v, set->v.n, sizeof(hash), hash_cmp);
}

struct str trace_set_text(struct arena *a, const struct trace_set *set)
{
    struct buf b = BUF_INIT;
    BUF_LIT(&b, "");
    for (size_t i = 0; i < set->v.n; i++)
        buf_printf(&b, "%016llx", (unsigned long long)set->v.v[i]);
    struct str text = buf_dup(&b, a);
    buf_release(&b);
    return text;
}

bool trace_set_read(struct arena *a, struct str text, struct trace_set *out)
{
    for (size_t i = 0; i + 16 <= text.n; i += 16) {
        uint64_t one;
        if (!digest_id_read(str_sub(text, i, 16), &one))
            return false;
        *vec_push(a, &out->v) = one;
    }
    sort_out(out);
    return text.n % 16 == 0;
}

/* --- by the hour --- */

struct timed {
    int64_t from;
    uint64_t hash;
};

struct timing {
    struct arena *arena;
    int64_t since;
    VEC(struct timed) v;
};

static void note_time(void *ctx, const struct trace *t)
{
    struct timing *k = ctx;
    *vec_push(k->arena, &k->v) = (struct timed){t->at - (t->at - k->since) % HOUR_US, t->hash};
}

static int timed_cmp(const void *x, const void *y)
{
    const struct timed *a = x, *b = y;
    if (a->from != b->from)
        return a->from < b->from ? -1 : 1;
    return a->hash < b->hash ? -1 : a->hash > b->hash;
}

enum err evolution_hours(struct store_conn *c, struct arena *a, int64_t eid, int64_t since,
                         struct hour_sums *out, struct error *e)
{
    struct timing k = {.arena = a, .since = since};
    enum err err = evolution_each(c, eid, since, INT64_MAX, note_time, &k, e);
    if (k.v.n > 1)
        qsort(k.v.v, k.v.n, sizeof(*k.v.v), timed_cmp);
    for (size_t i = 0; i < k.v.n; i++) {
        const struct timed *t = &k.v.v[i];
        if (i && timed_cmp(t, t - 1) == 0)
            continue;
        if (!out->v.n || out->v.v[out->v.n - 1].from != t->from)
            vec_push(a, &out->v)->from = t->from;
        out->v.v[out->v.n - 1].sum += t->hash;
    }
    return err;
}

/* --- as a message --- */

struct writing {
    struct arena arena; /* of an hour or more */
    VEC(struct trace) v;
    const struct trace_set *set;
    bool only;
};

static struct str copy_of(struct arena *a, struct str s)
{
    return s.p ? str_dup(a, s) : STR_NONE;
}

static void keep_trace(void *ctx, const struct trace *t)
{
    struct writing *w = ctx;
    if (trace_set_has(w->set, t->hash) != w->only)
        return;
    struct trace *one = vec_push(&w->arena, &w->v);
    *one = *t;
    one->row.attr = copy_of(&w->arena, t->row.attr);
    one->row.dataset = copy_of(&w->arena, t->row.dataset);
    one->row.name.maker = copy_of(&w->arena, t->row.name.maker);
    one->dot.node = copy_of(&w->arena, t->dot.node);
    one->value = copy_of(&w->arena, t->value);
}

static int trace_cmp(const void *x, const void *y)
{
    const struct trace *a = x, *b = y;
    if (a->at != b->at)
        return a->at < b->at ? -1 : 1;
    return a->hash < b->hash ? -1 : a->hash > b->hash;
}

/* False: it cannot be read as what it should be, and stays here. */
static bool write_trace(struct arena *a, struct buf *out, const struct trace *t, bool first)
{
    struct past_row row = t->row;
    if (t->value.p) {
        row.value = json_parse(a, t->value, &JSON_DEFAULT, NULL);
        if (!row.value || !row.attr.p || !sync_instance_ok(row.value, row.dataset))
            return false;
    }
    if (!first)
        buf_char(out, ',');
    struct json_writer w = json_writer(out);
    json_w_object(&w);
    past_row_write(&w, &row);
    if (t->dot.hlc) {
        json_w_key(&w, S("w"));
        json_w_array(&w);
        json_w_i64(&w, t->dot.hlc);
        json_w_str(&w, t->dot.node);
        json_w_end(&w);
    }
    json_w_end(&w);
    return true;
}

static enum err open_element(struct store_conn *c, struct arena *a, int64_t eid, struct str id,
                             struct buf *out, struct error *e)
{
    const struct json *types = NULL;
    enum err err = evolution_types(c, a, eid, &types, e);
    if (out->n && out->p[out->n - 1] == '}')
        buf_char(out, ',');
    BUF_LIT(out, "{\"id\":");
    json_write_str(out, id);
    if (types) {
        BUF_LIT(out, ",\"types\":");
        json_write(out, types);
    }
    BUF_LIT(out, ",\"r\":[");
    return err;
}

enum err evolution_write(struct store_conn *c, int64_t eid, struct str id, int64_t from, int64_t to,
                         const struct trace_set *set, bool only, size_t max_bytes, struct buf *out,
                         int64_t *upto, size_t *n, struct error *e)
{
    struct writing w = {.set = set, .only = only};
    size_t began = out->n;
    int64_t span = HOUR_US;
    enum err err = OK;
    *n = 0;
    for (*upto = from; !err && *upto < to && out->n - began <= max_bytes;) {
        int64_t end = to - *upto > span ? *upto + span : to;
        w.v.v = NULL;
        w.v.n = w.v.cap = 0;
        arena_reset(&w.arena);
        err = evolution_each(c, eid, *upto, end, keep_trace, &w, e);
        if (w.v.n > 1)
            qsort(w.v.v, w.v.n, sizeof(*w.v.v), trace_cmp);
        *upto = end;
        span = w.v.n < 1000 && span < INT64_MAX / 4 ? span * 2 : span;
        for (size_t i = 0; !err && i < w.v.n; i++) {
            const struct trace *t = &w.v.v[i];
            if (i && t->at != t[-1].at && out->n - began > max_bytes) {
                *upto = t->at;
                break;
            }
            if (i && trace_cmp(t, t - 1) == 0)
                continue;
            if (!*n)
                err = open_element(c, &w.arena, eid, id, out, e);
            *n += !err && write_trace(&w.arena, out, t, !*n);
        }
    }
    if (*n)
        BUF_LIT(out, "]}");
    else
        out->n = began;
    arena_release(&w.arena);
    return err;
}

/* --- whose it is --- */

static enum err head_types(struct store_conn *c, struct arena *a, int64_t eid,
                           const struct json **types, struct error *e)
{
    struct store_rows r;
    store_query(c, &r,
                "SELECT value FROM sync_register WHERE eid = $1 AND attr = 0 AND dataset = 0"
                " AND value IS NOT NULL",
                SV(SV_INT(eid)));
    if (store_next(&r)) {
        const struct json *head = json_parse(a, str_dup(a, store_text(&r, 0)), &JSON_DEFAULT, NULL);
        const struct json *is = json_get(head, S("type"));
        *types = json_is(is, JSON_ARRAY) && is->n ? is : NULL;
    }
    return store_end(&r, e);
}

enum err evolution_types(struct store_conn *c, struct arena *a, int64_t eid,
                         const struct json **types, struct error *e)
{
    struct history_past past;
    enum err err = history_types(c, a, eid, types, e);
    if (!err && !*types)
        err = head_types(c, a, eid, types, e);
    if (err || *types)
        return err;
    err = history_past(c, a, eid, &past, e); /* from the journal, while that is kept */
    *types = past.types;
    return err;
}
