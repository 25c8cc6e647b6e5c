/* The common range of evolutions; pure. */
#include "answer_range.h"

#include "core/datetime.h"
#include "link/entity.h"

#define UNIT "date-time "

/* "date-time FROM-TO/SIZE"; both times end with Z. */
bool answer_range_add(struct answer_range *r, struct str header)
{
    int64_t from, to;
    if (!header.n)
        return true;
    ptrdiff_t z = str_find_char(header, 'Z'), slash = str_find_char(header, '/');
    if (!str_starts(header, S(UNIT)) || z < 0 || slash < z + 2 || header.p[z + 1] != '-' ||
        !datetime_parse(str_sub(header, sizeof(UNIT) - 1, (size_t)z + 2 - sizeof(UNIT)), &from) ||
        !datetime_parse(str_sub(header, (size_t)z + 2, (size_t)(slash - z - 2)), &to))
        return false;
    int64_t lo = from < to ? from : to, hi = from < to ? to : from;
    if (!r->cut)
        *r = (struct answer_range){true, from > to, lo, hi, str_from(header, (size_t)slash + 1)};
    r->lo = lo > r->lo ? lo : r->lo;
    r->hi = hi < r->hi ? hi : r->hi;
    return true;
}

static bool inside(const struct answer_range *r, struct str time, const struct json *v)
{
    int64_t at;
    struct str text =
        json_is(v, JSON_ARRAY) ? json_text(json_at(v, 1)) : json_text(json_get(v, time));
    return !datetime_parse(text, &at) || (at >= r->lo && at <= r->hi);
}

static struct json kept(struct arena *a, const struct answer_range *r, struct str time,
                        const struct json *list)
{
    struct json *items = ARENA_ARRAY(a, struct json, list->n ? list->n : 1);
    size_t n = 0;
    for (uint32_t i = 0; i < list->n; i++)
        if (inside(r, time, &list->items[i]))
            items[n++] = list->items[i];
    return json_v_array(items, n);
}

struct json answer_range_keep(struct arena *a, const struct answer_range *r, struct str time,
                              const struct json *entity)
{
    struct json out = *entity;
    for (uint32_t i = 0; i < entity->n; i++) {
        struct str name = json_key(&entity->members[i]);
        const struct json *v = &entity->members[i].value, *values = json_get(v, S("values"));
        if (entity_is_member(name) || str_eq(name, S("@context")))
            continue;
        if (json_is(v, JSON_ARRAY))
            out = json_with(a, &out, name, kept(a, r, time, v));
        else if (json_is(values, JSON_ARRAY))
            out = json_with(a, &out, name, json_with(a, v, S("values"), kept(a, r, time, values)));
        else if (!inside(r, time, v))
            out = json_with(a, &out, name, json_v_array(NULL, 0));
    }
    return out;
}

struct str answer_range_text(struct arena *a, const struct answer_range *r)
{
    int64_t from = r->backward ? r->hi : r->lo, to = r->backward ? r->lo : r->hi;
    return str_printf(a, UNIT "%" STR_F "-%" STR_F "/%" STR_F, STR_A(datetime_text(a, from)),
                      STR_A(datetime_text(a, to)), STR_A(r->size));
}
