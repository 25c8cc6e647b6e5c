/*
 * Which scopes an entity had when (clauses 4.18, 4.19, 5.7.4.4): one holds from when it was set
 * until another is, or none.
 */
#include "api_temporal.h"

struct collecting {
    struct arena *arena;
    struct temporal_scopes *out;
};

/* One scope or several, as an array. */
static const struct json *as_list(struct arena *a, const struct json *value)
{
    if (!value || json_is(value, JSON_ARRAY))
        return value;
    struct json *list = ARENA_NEW(a, struct json);
    *list = json_v_array(value, 1);
    return list;
}

static bool collect(void *ctx, const struct history_row *row)
{
    struct collecting *x = ctx;
    const struct json *v =
        json_parse(x->arena, str_dup(x->arena, row->instance), &JSON_DEFAULT, NULL);
    if (v)
        *vec_push(x->arena, &x->out->rows) =
            (struct temporal_scope){.at = row->at,
                                    .seq = row->seq,
                                    .instance = v,
                                    .scopes = as_list(x->arena, json_get(v, S("value")))};
    return true;
}

enum err temporal_scopes(struct store_conn *conn, struct arena *a, int64_t eid,
                         enum time_property property, struct temporal_scopes *out, struct error *e)
{
    static const struct str name = S_INIT(HISTORY_SCOPE);
    struct history_query q = {.attrs = &name, .n_attrs = 1, .property = property};
    struct collecting x = {a, out};
    struct history_cut cut;
    *out = (struct temporal_scopes){0};
    return eid ? history_read(conn, eid, &q, collect, &x, &cut, e) : OK;
}

/* Adds [from, to), joined to the last one where they touch. */
static void add_span(struct arena *a, struct temporal_valid *v, int64_t from, int64_t to)
{
    if (from >= to)
        return;
    if (v->spans.n && v->spans.v[v->spans.n - 1].to == from)
        v->spans.v[v->spans.n - 1].to = to;
    else
        *vec_push(a, &v->spans) = (struct temporal_span){from, to};
}

enum err temporal_valid(struct store_conn *conn, struct arena *a, const struct temporal_entity *t,
                        const struct scope_node *scope, const struct history_query *q,
                        struct temporal_valid *out, struct error *e)
{
    struct temporal_scopes past;
    bool modified = q->property == TIME_MODIFIED;
    enum err err =
        temporal_scopes(conn, a, t->eid, modified ? TIME_MODIFIED : TIME_OBSERVED, &past, e);
    int64_t from = q->relation == TIME_BEFORE ? INT64_MIN : q->from;
    int64_t to = q->relation == TIME_BEFORE    ? q->from
                 : q->relation == TIME_BETWEEN ? q->to
                                               : INT64_MAX;
    *out = (struct temporal_valid){0};
    if (!err && !past.rows.n) { /* from before scopes were kept: the one that it has */
        const struct json *now = json_get(t->stored, S("scope"));
        if (now && query_scope_holds(scope, now))
            add_span(a, out, from, to);
    }
    for (size_t i = 0; !err && i < past.rows.n; i++) {
        const struct temporal_scope *s = &past.rows.v[i];
        int64_t end = i + 1 < past.rows.n ? past.rows.v[i + 1].at : INT64_MAX;
        if (s->scopes && query_scope_holds(scope, s->scopes))
            add_span(a, out, s->at > from ? s->at : from, end < to ? end : to);
    }
    out->whole = out->spans.n == 1 && out->spans.v[0].from == from && out->spans.v[0].to == to;
    return err;
}

bool temporal_is_valid(const struct temporal_valid *v, int64_t at)
{
    for (size_t i = 0; v && !v->whole && i < v->spans.n; i++)
        if (at >= v->spans.v[i].from && at < v->spans.v[i].to)
            return true;
    return !v || v->whole;
}

void temporal_narrow(const struct temporal_valid *v, struct history_query *q)
{
    if (!v || v->whole || !v->spans.n ||
        (q->property != TIME_OBSERVED && q->property != TIME_MODIFIED))
        return;
    int64_t from = v->spans.v[0].from, to = v->spans.v[v->spans.n - 1].to;
    q->relation = from == INT64_MIN ? TIME_BEFORE : to == INT64_MAX ? TIME_AFTER : TIME_BETWEEN;
    q->from = q->relation == TIME_BEFORE ? to : from;
    q->to = to;
}
