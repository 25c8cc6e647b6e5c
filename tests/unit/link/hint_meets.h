/*
 * hint_meets.h - reading a hint as an index does, in the plainest way: what hints are checked
 * against in test_hints.c and in the fuzz targets.
 */
#ifndef TESTS_HINT_MEETS_H
#define TESTS_HINT_MEETS_H

#include "link/query.h"

struct seek {
    const struct query_hint *hint;
    bool found;
};

static void meet(void *ctx, enum value_kind kind, double num, struct str text)
{
    struct seek *s = ctx;
    const struct query_hint *h = s->hint;
    bool inside = num >= h->from && num <= h->to;
    if (h->kind == HINT_TEXT)
        inside =
            str_cmp(text, h->text_from) >= 0 && (!h->text_to.p || str_cmp(text, h->text_to) <= 0);
    bool same = (h->kind == HINT_NUM && kind == VALUE_NUM) ||
                (h->kind == HINT_TIME && kind == VALUE_TIME) ||
                (h->kind == HINT_BOOL && kind == VALUE_BOOL) ||
                (h->kind == HINT_TEXT && kind == VALUE_TEXT);
    s->found = s->found || (same && inside);
}

static bool scope_meets(const struct query_hint *h, const struct json *stored)
{
    const struct json *scopes = json_get(stored, S("scope"));
    for (uint32_t i = 0; scopes && i < scopes->n; i++) {
        struct str s = json_text(&scopes->items[i]);
        if (str_eq(s, h->text_from) || (h->prefix && str_starts(s, h->text_from) &&
                                        str_starts(str_from(s, h->text_from.n), S("/"))))
            return true;
    }
    return false;
}

static bool geo_meets(struct arena *a, const struct query_hint *h, const struct json *stored)
{
    const struct json *v = instance_value(json_at(entity_attr(stored, h->names[0]), 0));
    const struct geo *g = v ? geo_parse(a, v, 100, NULL) : NULL;
    return g && geo_box_meets(g->box, h->box);
}

/* False: an index would not have given this entity as a candidate. */
static bool hint_meets(struct arena *a, const struct query_hint *h, const struct json *stored)
{
    if (h->kind == HINT_SCOPE)
        return scope_meets(h, stored);
    if (h->kind == HINT_GEO)
        return geo_meets(a, h, stored);
    for (size_t i = 0; i < h->n_names; i++) {
        const struct json *instances = entity_attr(stored, h->names[i]);
        struct seek s = {h, false};
        if (h->kind == HINT_TYPE ? entity_has_type(stored, h->names[i])
                                 : h->kind == HINT_ATTR && instances)
            return true;
        if (h->kind != HINT_TYPE && h->kind != HINT_ATTR && instances)
            query_values(instances, meet, &s);
        if (s.found)
            return true;
    }
    return false;
}

#endif
