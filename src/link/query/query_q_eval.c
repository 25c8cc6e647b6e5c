/*
 * query_q_eval.c - does a stored entity satisfy q (ETSI GS CIM 009 clause 4.9)?
 *
 * A term looks at each instance of its attribute by itself and holds when it holds for any of them.
 * Values of different sorts are never equal and have no order, so "!=" holds between them. Arrays
 * are equal to a value that they include; they have no order.
 */
#include "entity_impl.h"
#include "query_impl.h"

/* --- one scalar against one value --- */

static int sign(int64_t x, int64_t y)
{
    return (x > y) - (x < y);
}

/* Doubles decide unless they are equal: conversion to the nearest double never swaps an order. */
static int compare_numbers(struct str x, const struct q_value *y)
{
    double d = query_number(x);
    if (d < y->number || d > y->number)
        return d < y->number ? -1 : 1;
    return str_eq(x, y->text) ? 0 : json_number_cmp(x, y->text);
}

/* The order of x and v in *order; false when they are of different sorts. */
static bool compare(const struct json *x, const struct q_value *v, int *order)
{
    struct str text = json_text(x);
    int64_t instant;
    struct civil c;
    switch (v->kind) {
    case Q_NUMBER:
        if (x->type != JSON_NUMBER)
            return false;
        *order = compare_numbers(text, v);
        return true;
    case Q_BOOL:
        if (!json_is_bool(x))
            return false;
        *order = json_true(x) - v->truth;
        return true;
    case Q_TEXT:
        if (x->type != JSON_STRING)
            return false;
        *order = str_cmp(text, v->text);
        return true;
    case Q_DATETIME:
        if (x->type != JSON_STRING || !datetime_parse(text, &instant))
            return false;
        *order = sign(instant, v->instant);
        return true;
    case Q_DATE:
        if (x->type != JSON_STRING || !date_parse(text, &c))
            return false;
        *order = str_cmp(text, v->text);
        return true;
    case Q_TIME:
        if (x->type != JSON_STRING || !time_parse(text, &c))
            return false;
        instant = ((c.hour * 60 + c.minute) * 60 + c.second) * INT64_C(1000000) + c.micro;
        *order = sign(instant, v->instant);
        return true;
    }
    return false;
}

static bool scalar_equals(const struct json *x, const struct q_term *t)
{
    int order;
    if (t->range)
        return compare(x, &t->values[0], &order) && order >= 0 &&
               compare(x, &t->values[1], &order) && order <= 0;
    for (size_t i = 0; i < t->n_values; i++)
        if (compare(x, &t->values[i], &order) && order == 0)
            return true;
    return false;
}

/* --- one target value --- */

const struct json *query_unwrap(const struct json *v)
{
    if (!json_is(v, JSON_OBJECT))
        return v;
    const struct json *typed = json_get(v, S("@value"));
    return typed && typed->type < JSON_ARRAY ? typed : v;
}

/* An item of an array; those of a ListRelationship may stand as {"object": URI}. */
static const struct json *array_item(const struct json *v, bool relationship)
{
    const struct json *object = relationship ? json_get(v, S("object")) : NULL;
    return object ? object : query_unwrap(v);
}

static bool target_equals(const struct json *v, const struct q_term *t, bool relationship)
{
    v = query_unwrap(v);
    if (v->type == JSON_ARRAY) {
        if (t->range)
            return false;
        for (uint32_t i = 0; i < v->n; i++)
            if (scalar_equals(array_item(&v->items[i], relationship), t))
                return true;
        return false;
    }
    return scalar_equals(v, t);
}

static bool target_ordered(const struct json *v, const struct q_term *t)
{
    int order;
    v = query_unwrap(v);
    if (!compare(v, &t->values[0], &order))
        return false;
    switch (t->op) {
    case Q_LT:
        return order < 0;
    case Q_LE:
        return order <= 0;
    case Q_GT:
        return order > 0;
    default:
        return order >= 0;
    }
}

struct target {
    const struct json *values; /* several only for the texts of a languageMap */
    const struct json_member *members;
    size_t n;
    bool relationship;
};

static const struct json *target_at(const struct target *g, size_t i)
{
    return g->members ? &g->members[i].value : &g->values[i];
}

/* ~= looks for a text that matches, !~= for texts of which none does. */
static enum err target_matches(const struct target *g, const struct q_term *t, bool *hit,
                               struct error *e)
{
    bool text = false, found = false;
    for (size_t i = 0; i < g->n && !found; i++) {
        const struct json *v = query_unwrap(target_at(g, i));
        if (v->type != JSON_STRING)
            continue;
        text = true;
        if (regex_match(t->pattern, json_text(v), &found))
            return error_set(e, ERR_TOO_COMPLEX, "q: a pattern takes too many steps");
    }
    *hit = t->op == Q_MATCH ? found : text && !found;
    return OK;
}

static enum err target_holds(const struct target *g, const struct q_term *t, bool *hit,
                             struct error *e)
{
    bool equality = t->op == Q_EQ || t->op == Q_NE;
    *hit = false;
    if (t->op == Q_EXISTS || t->op == Q_ABSENT) {
        *hit = true;
        return OK;
    }
    if (g->relationship && !equality)
        return OK;
    if (t->op == Q_MATCH || t->op == Q_NO_MATCH)
        return target_matches(g, t, hit, e);
    bool any = false;
    for (size_t i = 0; i < g->n && !any; i++)
        any = equality ? target_equals(target_at(g, i), t, g->relationship)
                       : target_ordered(target_at(g, i), t);
    *hit = any != (t->op == Q_NE);
    return OK;
}

/* --- from an instance to its target --- */

static bool is_language_property(const struct json *instance)
{
    return str_eq(json_text(json_get(instance, S("type"))), S("LanguageProperty"));
}

static bool is_relationship(const struct json *instance)
{
    struct str kind = json_text(json_get(instance, S("type")));
    return str_eq(kind, S("Relationship")) || str_eq(kind, S("ListRelationship"));
}

/* The text of a language in a map: as written, else regardless of case. */
static const struct json *language(const struct json *map, struct str tag)
{
    const struct json *v = json_get(map, tag);
    for (uint32_t i = 0; !v && json_is(map, JSON_OBJECT) && i < map->n; i++)
        if (str_eq_nocase(json_key(&map->members[i]), tag))
            v = &map->members[i].value;
    return v;
}

static const struct json *follow_trail(const struct json *v, const struct q_term *t)
{
    for (size_t i = 0; v && i < t->n_trail; i++)
        v = json_get(v, t->trail[i]);
    return v;
}

/* False when the instance has no such value. */
static bool find_target(const struct json *instance, const struct q_term *t, struct target *g)
{
    const struct json *v = instance_value(instance);
    *g = (struct target){.values = v, .n = 1, .relationship = is_relationship(instance)};
    if (!is_language_property(instance)) {
        g->values = follow_trail(v, t);
        return g->values != NULL;
    }
    if (!json_is(v, JSON_OBJECT) || t->n_trail > 1)
        return false;
    if (t->n_trail && !str_eq(t->trail[0], S("*"))) {
        g->values = language(v, t->trail[0]);
        return g->values != NULL;
    }
    g->members = v->members;
    g->n = v->n;
    return v->n > 0;
}

static enum err instances_hold(const struct json *instances, const struct q_term *t, size_t step,
                               bool *hit, struct error *e);

/* instance is what steps[step] led to. */
static enum err instance_holds(const struct json *instance, const struct q_term *t, size_t step,
                               bool *hit, struct error *e)
{
    struct target g;
    *hit = false;
    if (step + 1 == t->n_steps)
        return find_target(instance, t, &g) ? target_holds(&g, t, hit, e) : OK;
    const struct q_step *next = &t->steps[step + 1];
    const struct json *v = json_get(instance, next->name);
    if (!next->member)
        return instances_hold(v, t, step + 1, hit, e);
    g = (struct target){.values = v, .n = 1};
    return v && !t->n_trail ? target_holds(&g, t, hit, e) : OK;
}

static enum err instances_hold(const struct json *instances, const struct q_term *t, size_t step,
                               bool *hit, struct error *e)
{
    *hit = false;
    for (uint32_t i = 0; json_is(instances, JSON_ARRAY) && i < instances->n && !*hit; i++) {
        enum err rc = instance_holds(&instances->items[i], t, step, hit, e);
        if (rc)
            return rc;
    }
    return OK;
}

struct q_subject {
    const struct json *stored;
    const struct query_linker *linker;
    struct error *e;
};

static enum err term_holds(const void *leaf, void *ctx, bool *hit);

/* --- linked entities --- */

static bool has_hinted_type(const struct json *stored, const struct q_term *t)
{
    for (size_t i = 0; i < t->n_hints; i++)
        if (entity_has_type(stored, t->hints[i]))
            return true;
    return t->n_hints == 0;
}

static enum err target_entity_holds(const struct q_subject *s, const struct q_term *t,
                                    const struct json *uri, bool *hit)
{
    const struct json *object = json_get(uri, S("object")), *stored = NULL;
    struct str id = json_text(object ? object : uri);
    if (!id.p)
        return OK;
    enum err rc = s->linker->load(s->linker->ctx, id, &stored, s->e);
    if (rc || !stored || !has_hinted_type(stored, t))
        return rc;
    struct q_subject there = {stored, s->linker, s->e};
    return term_holds(t->linked, &there, hit);
}

/* Some entity that some instance points to. The way is as long as its parsing permitted. */
static enum err linked_holds(const struct q_subject *s, const struct q_term *t, bool *hit)
{
    const struct json *instances = entity_attr(s->stored, t->steps[0].name);
    enum err rc = OK;
    for (uint32_t i = 0; s->linker && instances && i < instances->n && !rc && !*hit; i++) {
        const struct json *v = instance_value(&instances->items[i]);
        if (!v || !is_relationship(&instances->items[i]))
            continue;
        if (v->type != JSON_ARRAY)
            rc = target_entity_holds(s, t, v, hit);
        for (uint32_t k = 0; v->type == JSON_ARRAY && k < v->n && !rc && !*hit; k++)
            rc = target_entity_holds(s, t, &v->items[k], hit);
    }
    return rc;
}

static enum err term_holds(const void *leaf, void *ctx, bool *hit)
{
    const struct q_term *t = leaf;
    const struct q_subject *s = ctx;
    enum err rc = OK;
    *hit = false;
    if (t->linked) {
        rc = linked_holds(s, t, hit);
    } else if (t->steps[0].member) {
        struct target g = {.values = json_get(s->stored, t->steps[0].name), .n = 1};
        if (g.values && !t->n_trail)
            rc = target_holds(&g, t, hit, s->e);
    } else {
        rc = instances_hold(entity_attr(s->stored, t->steps[0].name), t, 0, hit, s->e);
    }
    if (t->op == Q_ABSENT)
        *hit = !*hit;
    return rc;
}

enum err query_q_holds(const struct query_node *q, const struct json *stored, bool *hit,
                       struct error *e)
{
    return query_q_holds_linked(q, stored, NULL, hit, e);
}

enum err query_q_holds_linked(const struct query_node *q, const struct json *stored,
                              const struct query_linker *linker, bool *hit, struct error *e)
{
    struct q_subject s = {stored, linker, e};
    if (linker && q->links)
        arena_reset(linker->arena);
    return query_expr_holds(q->root, term_holds, &s, hit);
}

/* --- one value of a path --- */

static const struct json *instance_target(const struct json *instance, const struct q_term *t,
                                          struct str lang)
{
    struct target g;
    const struct json *v = instance_value(instance);
    if (!t->n_trail && is_language_property(instance) && json_is(v, JSON_OBJECT)) {
        const struct json_member *m = lang.n ? entity_language(v, lang) : NULL;
        const struct json *none = json_get(v, S("@none"));
        return m ? &m->value : none ? none : v->n ? &v->members[0].value : NULL;
    }
    return find_target(instance, t, &g) ? target_at(&g, 0) : NULL;
}

const struct json *query_target(const struct json *stored, const struct q_term *t, struct str lang,
                                struct str *kind)
{
    if (kind)
        *kind = STR_NONE;
    if (t->steps[0].member)
        return t->n_trail ? NULL : json_get(stored, t->steps[0].name);
    const struct json *instances = entity_attr(stored, t->steps[0].name);
    for (size_t step = 1; step < t->n_steps; step++) {
        const struct json *first = json_at(instances, 0);
        instances = json_get(first, t->steps[step].name);
        if (t->steps[step].member) /* the last step */
            return t->n_trail ? NULL : instances;
    }
    const struct json *instance = json_at(instances, 0);
    if (!instance)
        return NULL;
    if (kind)
        *kind = json_text(json_get(instance, S("type")));
    return instance_target(instance, t, lang);
}

/* --- the scalars of an instance --- */

/* v, or the items when it is an array; false when fn stopped. */
static bool give_scalars(const struct json *v, bool relationship,
                         bool (*fn)(void *ctx, const struct json *scalar), void *ctx)
{
    v = query_unwrap(v);
    if (v->type < JSON_ARRAY)
        return fn(ctx, v);
    for (uint32_t i = 0; v->type == JSON_ARRAY && i < v->n; i++) {
        const struct json *item = array_item(&v->items[i], relationship);
        if (item->type < JSON_ARRAY && !fn(ctx, item))
            return false;
    }
    return true;
}

void query_scalars(const struct json *instance, bool (*fn)(void *ctx, const struct json *scalar),
                   void *ctx)
{
    const struct json *v = instance_value(instance);
    if (!v)
        return;
    if (!is_language_property(instance) || v->type != JSON_OBJECT) {
        give_scalars(v, is_relationship(instance), fn, ctx);
        return;
    }
    for (uint32_t i = 0; i < v->n; i++)
        if (!give_scalars(&v->members[i].value, false, fn, ctx))
            return;
}
