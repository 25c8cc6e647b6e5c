/*
 * query_hints.c - what an index can use of a query.
 *
 * Soundness: a hint may be wider than its condition, never narrower. For numbers and instants that
 * rests on conversion to double never swapping an order; for dates on their text sorting as they
 * do.
 */
#include <math.h>

#include "query_impl.h"

typedef VEC(struct query_hint) hint_list;
typedef VEC(struct str) name_list;

static const struct str *names_of(struct arena *a, struct str name)
{
    struct str *names = ARENA_NEW(a, struct str);
    *names = name;
    return names;
}

/* --- q --- */

/* The kind that all values have in the index; HINT_ATTR when they differ or have none. */
static enum hint_kind kind_of(const struct q_term *t)
{
    static const enum hint_kind kinds[] = {
        [Q_NUMBER] = HINT_NUM,    [Q_TEXT] = HINT_TEXT, [Q_BOOL] = HINT_BOOL,
        [Q_DATETIME] = HINT_TIME, [Q_DATE] = HINT_TEXT, [Q_TIME] = HINT_ATTR,
    };
    enum hint_kind kind = kinds[t->values[0].kind];
    for (size_t i = 1; i < t->n_values; i++)
        if (kinds[t->values[i].kind] != kind ||
            (kind == HINT_BOOL && t->values[i].truth != t->values[0].truth))
            return HINT_ATTR;
    return kind;
}

static double scale_of(const struct q_value *v)
{
    switch (v->kind) {
    case Q_NUMBER:
        return v->number;
    case Q_BOOL:
        return v->truth;
    default:
        return (double)v->instant;
    }
}

/* The least interval that holds all values of ==; open on one side for an order. */
static void set_interval(struct query_hint *h, const struct q_term *t)
{
    const struct q_value *v = t->values;
    bool below = t->op == Q_LT || t->op == Q_LE, above = t->op == Q_GT || t->op == Q_GE;
    if (h->kind == HINT_TEXT) {
        h->text_from = h->text_to = v[0].text;
        for (size_t i = 1; i < t->n_values; i++) {
            if (str_cmp(v[i].text, h->text_from) < 0)
                h->text_from = v[i].text;
            if (str_cmp(v[i].text, h->text_to) > 0)
                h->text_to = v[i].text;
        }
        if (below)
            h->text_from = S("");
        if (above)
            h->text_to = STR_NONE;
        return;
    }
    h->from = h->to = scale_of(&v[0]);
    for (size_t i = 1; i < t->n_values; i++) {
        h->from = fmin(h->from, scale_of(&v[i]));
        h->to = fmax(h->to, scale_of(&v[i]));
    }
    if (below)
        h->from = -INFINITY;
    if (above)
        h->to = INFINITY;
}

static bool hint_term(struct arena *a, const struct q_term *t, struct query_hint *h)
{
    if (t->op == Q_ABSENT || t->steps[0].member)
        return false;
    *h = (struct query_hint){.kind = HINT_ATTR,
                             .names = names_of(a, t->steps[0].name),
                             .n_names = 1};
    bool compares = !t->linked && (t->op == Q_EQ || (t->op >= Q_LT && t->op <= Q_GE));
    if (compares && t->n_steps == 1 && !t->n_trail) {
        h->kind = kind_of(t);
        if (h->kind != HINT_ATTR)
            set_interval(h, t);
    }
    return true;
}

/* Widen *h so that whatever satisfies x satisfies it too. */
static void widen(struct arena *a, struct query_hint *h, const struct query_hint *x)
{
    bool same = h->kind == x->kind && h->n_names == 1 && x->n_names == 1 &&
                str_eq(h->names[0], x->names[0]);
    if (same && (h->kind == HINT_NUM || h->kind == HINT_TIME)) {
        h->from = fmin(h->from, x->from);
        h->to = fmax(h->to, x->to);
        return;
    }
    if (same && h->kind == HINT_TEXT) {
        if (str_cmp(x->text_from, h->text_from) < 0)
            h->text_from = x->text_from;
        if (!x->text_to.p || (h->text_to.p && str_cmp(x->text_to, h->text_to) > 0))
            h->text_to = x->text_to;
        return;
    }
    if (same && h->kind == HINT_BOOL && !(h->from < x->from) && !(h->from > x->from))
        return;
    struct str *names = ARENA_ARRAY(a, struct str, h->n_names + x->n_names);
    size_t n = 0;
    for (size_t i = 0; i < h->n_names; i++)
        names[n++] = h->names[i];
    for (size_t i = 0; i < x->n_names; i++) {
        bool known = false;
        for (size_t k = 0; k < h->n_names; k++)
            known = known || str_eq(h->names[k], x->names[i]);
        if (!known)
            names[n++] = x->names[i];
    }
    *h = (struct query_hint){.kind = HINT_ATTR, .names = names, .n_names = n};
}

/* An index on values beats one on names. */
static const struct query_hint *best_of(const hint_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->v[i].kind != HINT_ATTR)
            return &list->v[i];
    return list->n ? &list->v[0] : NULL;
}

static void hint_q(struct arena *a, const struct query_expr *x, hint_list *out)
{
    struct query_hint h;
    if (x->kind == EXPR_LEAF) {
        if (hint_term(a, x->leaf, &h))
            *vec_push(a, out) = h;
        return;
    }
    for (size_t i = 0; i < x->n; i++) {
        if (x->kind == EXPR_AND) {
            hint_q(a, x->kids[i], out);
            continue;
        }
        hint_list side = VEC_INIT;
        hint_q(a, x->kids[i], &side);
        const struct query_hint *best = best_of(&side);
        if (!best)
            return;
        if (i == 0)
            h = *best;
        else
            widen(a, &h, best);
    }
    if (x->kind == EXPR_OR)
        *vec_push(a, out) = h;
}

/* --- types, scopes, places --- */

/* Types of which one must be there: a conjunction can offer any of its parts, so the first. */
static void collect_types(struct arena *a, const struct query_expr *x, name_list *names)
{
    if (x->kind == EXPR_LEAF) {
        *vec_push(a, names) = *(const struct str *)x->leaf;
        return;
    }
    for (size_t i = 0; i < (x->kind == EXPR_AND ? 1 : x->n); i++)
        collect_types(a, x->kids[i], names);
}

static void hint_types(struct arena *a, const struct query_expr *x, hint_list *out)
{
    if (x->kind == EXPR_AND) {
        for (size_t i = 0; i < x->n; i++)
            hint_types(a, x->kids[i], out);
        return;
    }
    name_list names = VEC_INIT;
    collect_types(a, x, &names);
    *vec_push(a, out) =
        (struct query_hint){.kind = HINT_TYPE, .names = names.v, .n_names = names.n};
}

/* The levels before the first '+' as a path. */
static void hint_scope(struct arena *a, const struct query_expr *x, hint_list *out)
{
    if (x->kind == EXPR_AND)
        for (size_t i = 0; i < x->n; i++)
            hint_scope(a, x->kids[i], out);
    if (x->kind != EXPR_LEAF)
        return;
    const struct scope_pattern *s = x->leaf;
    struct str path = STR_NONE;
    size_t i = 0;
    for (; i < s->n && !str_eq(s->levels[i], S("+")); i++)
        path = str_printf(a, "%" STR_F "/%" STR_F, STR_A(path), STR_A(s->levels[i]));
    if (path.n)
        *vec_push(a, out) = (struct query_hint){.kind = HINT_SCOPE,
                                                .text_from = path,
                                                .prefix = i < s->n || s->below};
}

static void hint_geo(struct arena *a, const struct geo_query *g, hint_list *out)
{
    struct query_hint h = {.names = names_of(a, g->property), .n_names = 1};
    bool bounded = false;
    h.box = geo_test_box(g->test, &bounded);
    h.kind = bounded ? HINT_GEO : HINT_ATTR;
    *vec_push(a, out) = h;
}

size_t query_hints(struct arena *a, const struct entity_query *q, const struct query_hint **out)
{
    hint_list list = VEC_INIT;
    if (q->types)
        hint_types(a, q->types->root, &list);
    if (q->n_attrs)
        *vec_push(a, &list) =
            (struct query_hint){.kind = HINT_ATTR, .names = q->attrs, .n_names = q->n_attrs};
    if (q->q)
        hint_q(a, q->q->root, &list);
    if (q->scope)
        hint_scope(a, q->scope->root, &list);
    if (q->geo)
        hint_geo(a, q->geo, &list);
    *out = list.v;
    return list.n;
}

/* --- the index's side --- */

struct value_sink {
    void (*fn)(void *ctx, enum value_kind kind, double num, struct str text);
    void *ctx;
};

static bool give_value(void *ctx, const struct json *v)
{
    const struct value_sink *sink = ctx;
    struct str text = json_text(v);
    int64_t instant;
    if (v->type == JSON_NUMBER)
        sink->fn(sink->ctx, VALUE_NUM, query_number(text), text);
    else if (json_is_bool(v))
        sink->fn(sink->ctx, VALUE_BOOL, json_true(v), text);
    else if (v->type == JSON_STRING) {
        sink->fn(sink->ctx, VALUE_TEXT, 0, text);
        if (datetime_parse(text, &instant))
            sink->fn(sink->ctx, VALUE_TIME, (double)instant, text);
    }
    return true;
}

void query_values(const struct json *instances,
                  void (*fn)(void *ctx, enum value_kind kind, double num, struct str text),
                  void *ctx)
{
    struct value_sink sink = {fn, ctx};
    for (uint32_t i = 0; json_is(instances, JSON_ARRAY) && i < instances->n; i++)
        query_scalars(&instances->items[i], give_value, &sink);
}
