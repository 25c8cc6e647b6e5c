/*
 * What is asked of evolution: the time, the form and the aggregates, of a query string or of a body
 * (clauses 4.11, 4.5.19, 5.2.21, 6.3.12).
 */
#include "api_select.h"
#include "api_temporal.h"

/* A text of a query parameter, or of temporalQ in the body. */
struct time_source {
    struct api *c;
    const struct json *object; /* NULL: query parameters */
};

static struct str source_text(const struct time_source *s, const char *name)
{
    struct str text = request_query(s->c->req, name);
    const struct json *v = json_get(s->object, str_c(name));
    if (json_is(v, JSON_ARRAY)) { /* of texts, for aggrMethods */
        text = S("");
        for (uint32_t i = 0; i < v->n; i++)
            text = str_printf(s->c->arena, "%" STR_F "%s%" STR_F, STR_A(text), i ? "," : "",
                              STR_A(json_text(&v->items[i])));
    } else if (v) {
        text = json_text(v);
    }
    return text;
}

static bool bad_time(struct api *c, const char *what)
{
    api_fail_text(c, ERR_INVALID, "%s", what);
    return false;
}

static bool read_property(const struct time_source *s, struct history_query *q)
{
    static const struct {
        const char *name;
        enum time_property property;
    } names[] = {{"observedAt", TIME_OBSERVED},
                 {"createdAt", TIME_CREATED},
                 {"modifiedAt", TIME_MODIFIED},
                 {"deletedAt", TIME_DELETED}};
    struct str text = source_text(s, "timeproperty");
    if (!text.p)
        return true;
    for (size_t i = 0; i < 4; i++)
        if (str_eq(text, str_c(names[i].name))) {
            q->property = names[i].property;
            return true;
        }
    return bad_time(s->c, "timeproperty is observedAt, createdAt, modifiedAt or deletedAt");
}

static bool read_relation(const struct time_source *s, struct history_query *q)
{
    struct str relation = source_text(s, "timerel"), at = source_text(s, "timeAt");
    struct str end = source_text(s, "endTimeAt");
    if (!relation.p)
        return (!at.p && !end.p) || bad_time(s->c, "timeAt needs timerel");
    if (str_eq(relation, S("before")))
        q->relation = TIME_BEFORE;
    else if (str_eq(relation, S("after")))
        q->relation = TIME_AFTER;
    else if (str_eq(relation, S("between")))
        q->relation = TIME_BETWEEN;
    else
        return bad_time(s->c, "timerel is before, after or between");
    if (!datetime_parse_utc(at, &q->from))
        return bad_time(s->c, "timeAt must be a date-time such as 2026-01-01T00:00:00Z");
    if (q->relation != TIME_BETWEEN) /* history.h reads before's instant from the same place */
        return !end.p || bad_time(s->c, "endTimeAt goes with between only");
    if (!datetime_parse_utc(end, &q->to))
        return bad_time(s->c, "endTimeAt must be a date-time such as 2026-01-01T00:00:00Z");
    return true;
}

bool api_time_query(struct api *c, const struct json *object, struct history_query *q)
{
    struct time_source s = {c, object};
    return read_property(&s, q) && read_relation(&s, q);
}

/* Of the query, or of aggrParams in a body (clause 5.2.44). */
static bool read_aggregates(const struct time_source *s, struct temporal_view *v)
{
    struct str list = source_text(s, "aggrMethods"), word;
    struct str period = source_text(s, "aggrPeriodDuration");
    v->form = TEMPORAL_AGGREGATES;
    while (list.p && str_split(&list, ',', &word)) {
        int m = 0;
        while (m < AGGR_METHODS && !str_eq(word, str_c(history_method_names[m])))
            m++;
        if (m == AGGR_METHODS)
            return bad_time(s->c, "aggrMethods: totalCount, distinctCount, sum, avg, min, max, "
                                  "stddev or sumsq");
        v->methods |= 1u << m;
    }
    if (!v->methods)
        return bad_time(s->c, "aggregatedValues needs aggrMethods");
    if (period.p && !duration_parse(period, &v->period))
        return bad_time(s->c, "aggrPeriodDuration must be a duration such as PT5M");
    return true;
}

/* Attributes that pick= or attrs= name; history is read for these only. */
static void read_attrs(struct api *c, struct temporal_view *v)
{
    const struct entity_view *e = &v->entity;
    struct str *names = ARENA_ARRAY(c->arena, struct str, e->n_pick);
    if (!e->pick)
        return;
    for (size_t i = 0; i < e->n_pick; i++)
        if (!entity_is_member(e->pick[i]))
            names[v->history.n_attrs++] = e->pick[i];
    v->history.attrs = names;
    v->no_attrs = v->history.n_attrs == 0;
}

bool api_temporal_view(struct api *c, const struct json *temporal_q, const struct api_select *s,
                       struct temporal_view *v)
{
    struct time_source src = {c, temporal_q};
    int64_t last_n;
    *v = (struct temporal_view){0};
    if (!api_view(c, &v->entity) || (s && !api_select_view(c, s, &v->entity)) ||
        !read_property(&src, &v->history) || !read_relation(&src, &v->history))
        return false;
    if ((c->pick && c->pick->linked) || (c->omit && c->omit->linked))
        return bad_time(c, "evolution has no linked entities");
    struct str n = source_text(&src, "lastN");
    const struct json *sent = json_get(temporal_q, S("lastN"));
    if ((sent && !json_is(sent, JSON_NUMBER)) || (n.p && (!str_to_i64(n, &last_n) || last_n < 1)))
        return bad_time(c, "lastN must be a whole number above 0");
    v->history.last_n = n.p ? (uint64_t)last_n : 0;
    v->history.max = (uint64_t)c->link->options.temporal_max;
    v->history.observed_only = true;
    v->history.tell_beyond = true;
    v->history.empty_periods = true;
    v->history.datasets = v->entity.datasets;
    v->history.n_datasets = v->entity.n_datasets;
    read_attrs(c, v);
    if (api_option(c, "options", "aggregatedValues") && api_option(c, "options", "temporalValues"))
        return bad_time(c, "only one of aggregatedValues and temporalValues"); /* clause 6.3.12 */
    const struct json *params = json_get(s ? s->body : NULL, S("aggrParams"));
    bool unsaid = !request_query(c->req, "format").p && !request_query(c->req, "options").p;
    if (api_wants(c, "aggregatedValues") ||
        (unsaid && (params || json_get(temporal_q, S("aggrMethods"))))) {
        struct time_source aggr = {c, params ? params : temporal_q};
        return read_aggregates(&aggr, v);
    }
    if (api_wants(c, "temporalValues") || v->entity.form == FORM_SIMPLIFIED) {
        v->form = TEMPORAL_VALUES;
        v->entity.form = FORM_SIMPLIFIED;
        c->simplified = true;
    }
    return true;
}
