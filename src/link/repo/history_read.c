/*
 * history_read.c - rows of the past in order, whole or the newest few.
 *
 * When some attribute has more rows than one answer may hold, the answer is cut at a point in time,
 * not per attribute: whoever asks again from there on gets the rest of all of them.
 */
#include "history_impl.h"
#include "link/access.h"

/* --- series --- */

static bool asked_for(struct str name, const struct str *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(name, names[i]))
            return true;
    return names == NULL;
}

/* The journal row of a deletion holds the state before it. */
static bool keep_state(void *ctx, const struct journal_row *row)
{
    struct history_past *p = ctx;
    struct entity_event event;
    if (str_eq(row->topic, S("entity")) && str_eq(row->key, p->id) &&
        !entity_event_parse(p->arena, str_dup(p->arena, row->body), &event, NULL)) {
        p->stored = event.doc;
        p->types = entity_types(event.doc);
    }
    return false;
}

enum err history_past(struct store_conn *c, struct arena *a, int64_t eid, struct history_past *p,
                      struct error *e)
{
    struct store_rows r;
    int64_t tenant = 0, version = 0;
    *p = (struct history_past){.arena = a};
    store_query(c, &r, "SELECT tenant, id, doc, version FROM entity WHERE eid = $1",
                SV(SV_INT(eid)));
    if (store_next(&r)) {
        tenant = store_int(&r, 0);
        p->id = str_dup(a, store_text(&r, 1));
        version = store_int(&r, 3);
        if (!store_is_null(&r, 2))
            p->stored = json_parse(a, str_dup(a, store_text(&r, 2)), &JSON_DEFAULT, NULL);
        p->types = entity_types(p->stored);
    }
    enum err err = store_end(&r, e);
    if (!err && !p->types)
        err = history_types(c, a, eid, &p->types, e);
    if (err || p->types || version < 1)
        return err;
    err = journal_read(c, tenant, version - 1, 1, keep_state, p, e);
    return err == ERR_NOT_FOUND ? OK : err; /* trimmed */
}

enum err history_series(struct store_conn *c, struct arena *a, int64_t eid,
                        const struct history_query *q, series_list *out, struct error *e)
{
    struct store_rows r;
    struct history_past past = {0};
    const struct access_view *view = access_of(c);
    enum err err = view ? history_past(c, a, eid, &past, e) : OK;
    if (err)
        return err;
    store_query(c, &r,
                "SELECT attr, dataset, iri, dataset_uri FROM hist_attr"
                " WHERE eid = $1 AND attr <> 0 ORDER BY iri, dataset_uri NULLS FIRST",
                SV(SV_INT(eid)));
    while (store_next(&r)) {
        bool is_default = store_is_null(&r, 3);
        struct str dataset = is_default ? S("@none") : store_text(&r, 3);
        bool scope = str_eq(store_text(&r, 2), S(HISTORY_SCOPE));
        if (scope && !q->attrs)
            continue;
        if (view && !scope && !access_sees(view, past.stored, past.types, store_text(&r, 2)))
            continue;
        if (!asked_for(store_text(&r, 2), q->attrs, q->n_attrs) ||
            !asked_for(dataset, q->datasets, q->n_datasets))
            continue;
        *vec_push(a, out) =
            (struct series){store_int(&r, 0), store_int(&r, 1), str_dup(a, store_text(&r, 2)),
                            is_default ? STR_NONE : str_dup(a, dataset)};
    }
    return store_end(&r, e);
}

struct span history_span(const struct history_query *q)
{
    struct span s = {INT64_MIN, INT64_MIN, INT64_MAX, 0, INT64_MAX, false};
    s.observed = q->observed_only && q->property == TIME_OBSERVED && q->relation != TIME_ANY;
    if (q->relation == TIME_AFTER || q->relation == TIME_BETWEEN)
        s.from = q->from;
    if (q->relation == TIME_BETWEEN)
        s.to = q->to;
    if (q->relation == TIME_BEFORE)
        s.to = q->from;
    return s;
}

/* --- one series --- */

bool history_is_deletion(struct str instance)
{
    return str_starts(instance, S("{\"type\":\"deleted\""));
}

static bool in_columns(enum time_property property)
{
    return property == TIME_OBSERVED || property == TIME_MODIFIED;
}

/* createdAt or deletedAt of an instance; false when it has none. */
static bool read_time(struct str instance, enum time_property property, int64_t *at)
{
    if (history_is_deletion(instance) != (property == TIME_DELETED))
        return false;
    struct arena a = ARENA_INIT;
    const struct json *v = json_parse(&a, instance, &JSON_DEFAULT, NULL);
    struct str member = property == TIME_DELETED ? S("deletedAt") : S("createdAt");
    bool found = datetime_parse(json_text(json_get(v, member)), at);
    arena_release(&a);
    return found;
}

/* The same rows of both tables (see history.c), in the order of a column and seq. */
#define FROM_BOTH(columns, range, order)                                                           \
    "SELECT " columns " FROM hist WHERE eid = $1 AND attr = $2 AND dataset = $3 AND " range        \
    " UNION ALL SELECT " columns " FROM hist_recent WHERE eid = $1 AND attr = $2"                  \
    " AND dataset = $3 AND " range " ORDER BY " order

static void ask(struct store_conn *c, struct store_rows *r, int64_t eid, const struct series *s,
                enum time_property property, const struct span *span)
{
#define WALK(column)                                                                               \
    FROM_BOTH("t, modified, seq, num, value",                                                      \
              "(" column ", seq) >= ($4, $5) AND " column " < $6 AND (t <> modified OR $8 = 0)",   \
              column ", seq")                                                                      \
    " LIMIT $7"
    static const char *const sql[2] = {WALK("t"), WALK("modified")};
    int64_t from = span->from, to = span->to;
    int64_t limit = span->skip > INT64_MAX - span->limit ? INT64_MAX : span->limit + span->skip;
    if (!in_columns(property)) {
        from = INT64_MIN;
        to = limit = INT64_MAX;
    }
    store_query(c, r, sql[property == TIME_MODIFIED],
                SV(SV_INT(eid), SV_INT(s->attr), SV_INT(s->dataset), SV_INT(from),
                   SV_INT(span->seq), SV_INT(to), SV_INT(limit), SV_INT(span->observed)));
}

enum err history_walk(struct store_conn *c, int64_t eid, const struct series *s,
                      enum time_property property, const struct span *span,
                      bool (*each)(void *ctx, const struct history_row *row), void *ctx,
                      int64_t *given, bool *stop, struct error *e)
{
    struct store_rows r;
    int64_t passed = 0;
    ask(c, &r, eid, s, property, span);
    while (!*stop && passed - span->skip < span->limit && store_next(&r)) {
        struct history_row row = {.attr = s->iri,
                                  .dataset = s->uri,
                                  .at = store_int(&r, property == TIME_MODIFIED),
                                  .modified = store_int(&r, 1),
                                  .seq = store_int(&r, 2),
                                  .instance = store_text(&r, 4),
                                  .is_number = !store_is_null(&r, 3)};
        row.number = row.is_number ? store_real(&r, 3) : 0;
        if (!in_columns(property) && (!read_time(row.instance, property, &row.at) ||
                                      row.at < span->from || row.at >= span->to))
            continue;
        if (++passed > span->skip)
            *stop = !each(ctx, &row);
    }
    if (given)
        *given = passed > span->skip ? passed - span->skip : 0;
    return store_end(&r, e);
}

/* --- which rows to give --- */

/* Time and seq of the nth row (from 0) of a span, oldest or newest first; false: fewer rows. */
static bool find_nth(struct store_conn *c, int64_t eid, const struct series *s,
                     enum time_property property, bool newest, const struct span *span, uint64_t n,
                     int64_t *at, int64_t *seq, enum err *rc, struct error *e)
{
#define NTH(column, order)                                                                         \
    FROM_BOTH(column ", seq", column " >= $4 AND " column " < $5 AND (t <> modified OR $7 = 0)",   \
              column order ", seq" order)                                                          \
    " LIMIT 1 OFFSET $6"
    static const char *const sql[2][2] = {{NTH("t", ""), NTH("t", " DESC")},
                                          {NTH("modified", ""), NTH("modified", " DESC")}};
    if (n > INT64_MAX)
        return false;
    struct store_rows r;
    store_query(c, &r, sql[property == TIME_MODIFIED][newest],
                SV(SV_INT(eid), SV_INT(s->attr), SV_INT(s->dataset), SV_INT(span->from),
                   SV_INT(span->to), SV_INT(n), SV_INT(span->observed)));
    bool found = store_next(&r);
    if (found) {
        *at = store_int(&r, 0);
        *seq = store_int(&r, 1);
    }
    *rc = store_end(&r, e);
    return found && *rc == OK;
}

static bool count_only(void *ctx, const struct history_row *row)
{
    (void)ctx;
    (void)row;
    return true;
}

struct reading {
    struct store_conn *c;
    int64_t eid;
    const struct history_query *q;
    struct span all; /* what the query asks for */
    struct series *series;
    struct span *spans; /* what to give of each series */
    size_t n;
    struct history_cut *cut;
    bool (*each)(void *ctx, const struct history_row *row);
    void *ctx;
    bool *given; /* of each series: rows were */
    size_t at;   /* the series at work */
    struct error *e;
};

/* createdAt and deletedAt are in no column: count first. */
static enum err choose_by_counting(struct reading *r, const struct series *s, struct span *span)
{
    uint64_t last = r->q->last_n, max = r->q->max;
    if (!last && !max)
        return OK;
    int64_t total = 0;
    bool stop = false;
    enum err rc =
        history_walk(r->c, r->eid, s, r->q->property, span, count_only, NULL, &total, &stop, r->e);
    uint64_t wanted = last && last < (uint64_t)total ? last : (uint64_t)total;
    uint64_t give = max && max < wanted ? max : wanted;
    r->cut->cut = r->cut->cut || give < wanted;
    span->limit = (int64_t)give;
    span->skip = last ? total - (int64_t)give : 0;
    return rc;
}

static enum err choose_newest(struct reading *r, const struct series *s, struct span *span)
{
    uint64_t max = r->q->max, n = max && max < r->q->last_n ? max : r->q->last_n;
    int64_t at, seq;
    int64_t older, newest, other;
    enum err rc = OK;
    bool more = n < r->q->last_n &&
                find_nth(r->c, r->eid, s, r->q->property, true, span, n, &older, &other, &rc, r->e);
    if (rc || !find_nth(r->c, r->eid, s, r->q->property, true, span, n - 1, &at, &seq, &rc, r->e))
        return rc;
    r->cut->cut = r->cut->cut || more;
    if (more &&
        find_nth(r->c, r->eid, s, r->q->property, true, span, 0, &newest, &other, &rc, r->e) &&
        older < newest && older >= r->all.from)
        r->all.from = older + 1;
    span->from = at;
    span->seq = seq;
    return rc;
}

/* Lowers r->all.to to where the first row that does not fit stands, as choose_newest() raises
 * r->all.from to behind it. */
static enum err choose_oldest(struct reading *r, const struct series *s, struct span *span)
{
    int64_t at, seq, first;
    enum err rc = OK;
    if (!r->q->max ||
        !find_nth(r->c, r->eid, s, r->q->property, false, span, r->q->max, &at, &seq, &rc, r->e))
        return rc;
    r->cut->cut = true;
    span->limit = (int64_t)r->q->max;
    /* more rows than fit at one instant: no point in time divides them */
    if (find_nth(r->c, r->eid, s, r->q->property, false, span, 0, &first, &seq, &rc, r->e) &&
        first < at && at < r->all.to)
        r->all.to = at;
    return rc;
}

static bool give_row(void *ctx, const struct history_row *row)
{
    struct reading *r = ctx;
    if (!r->cut->any || row->at < r->cut->from)
        r->cut->from = row->at;
    if (!r->cut->any || row->at > r->cut->to)
        r->cut->to = row->at;
    r->cut->any = r->given[r->at] = true;
    return r->each(r->ctx, row);
}

struct telling {
    struct reading *r;
    bool more; /* each() wants to go on */
};

/* The first row that is no deletion. */
static bool tell_row(void *ctx, const struct history_row *row)
{
    struct telling *t = ctx;
    struct history_row beyond = *row;
    if (history_is_deletion(row->instance))
        return true;
    beyond.beyond = true;
    t->more = t->r->each(t->r->ctx, &beyond);
    return false;
}

/* The part of the range that all series keep to. */
static void clip(const struct reading *r, struct span *span)
{
    if (r->all.to < span->to)
        span->to = r->all.to;
    if (r->all.from > span->from) {
        span->from = r->all.from;
        span->seq = INT64_MIN;
    }
}

static enum err give_series(struct reading *r, bool *stop)
{
    const struct series *s = &r->series[r->at];
    struct span *span = &r->spans[r->at], whole = history_span(r->q);
    enum time_property by = r->q->property;
    clip(r, span);
    enum err rc = history_walk(r->c, r->eid, s, by, span, give_row, r, NULL, stop, r->e);
    if (rc || *stop || r->given[r->at] || !r->q->tell_beyond || !(r->cut->cut || r->q->limited))
        return rc;
    struct telling t = {r, true};
    bool told = false;
    rc = history_walk(r->c, r->eid, s, by, &whole, tell_row, &t, NULL, &told, r->e);
    *stop = !t.more;
    return rc;
}

static enum err choose_and_give(struct reading *r)
{
    enum err rc = OK;
    if (r->q->limited && in_columns(r->q->property)) {
        r->all.from = r->q->since > r->all.from ? r->q->since : r->all.from;
        r->all.to = r->q->until < r->all.to ? r->q->until : r->all.to;
    }
    for (size_t i = 0; i < r->n && !rc; i++) {
        r->spans[i] = history_span(r->q);
        if (!in_columns(r->q->property))
            rc = choose_by_counting(r, &r->series[i], &r->spans[i]);
        else if (r->q->last_n)
            rc = choose_newest(r, &r->series[i], &r->spans[i]);
        else
            rc = choose_oldest(r, &r->series[i], &r->spans[i]);
    }
    bool stop = false;
    r->cut->since = r->all.from;
    r->cut->until = r->all.to;
    for (r->at = 0; r->at < r->n && !rc && !stop; r->at++)
        rc = give_series(r, &stop);
    return rc;
}

enum err history_read(struct store_conn *c, int64_t eid, const struct history_query *q,
                      bool (*each)(void *ctx, const struct history_row *row), void *ctx,
                      struct history_cut *cut, struct error *e)
{
    struct arena a = ARENA_INIT;
    series_list list = VEC_INIT;
    *cut = (struct history_cut){0};
    enum err rc = history_series(c, &a, eid, q, &list, e);
    if (!rc) {
        struct reading r = {.c = c,
                            .eid = eid,
                            .q = q,
                            .all = history_span(q),
                            .series = list.v,
                            .spans = ARENA_ARRAY(&a, struct span, list.n),
                            .given = ARENA_ARRAY(&a, bool, list.n),
                            .n = list.n,
                            .cut = cut,
                            .each = each,
                            .ctx = ctx,
                            .e = e};
        rc = choose_and_give(&r);
    }
    arena_release(&a);
    return rc;
}
