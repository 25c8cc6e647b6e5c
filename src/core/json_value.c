#include "core/json.h"

#include "core/map.h"
#include <string.h>

/* Trees are as deep as they were parsed (at most 512 levels), so recursion over them is bounded. */

enum { LINEAR_MEMBERS = 16 }; /* larger objects are compared through a map */

bool json_is_bool(const struct json *v)
{
    return v && (v->type == JSON_TRUE || v->type == JSON_FALSE);
}

bool json_true(const struct json *v)
{
    return json_is(v, JSON_TRUE);
}

struct str json_key(const struct json_member *m)
{
    return str_n(m->key, m->key_n);
}

static const struct json_member *find_member(const struct json *object, struct str key)
{
    const struct json_member *m = object->members;
    for (const struct json_member *end = m + object->n; m < end; m++)
        if (m->key_n == key.n && (key.n == 0 || memcmp(m->key, key.p, key.n) == 0))
            return m;
    return NULL;
}

const struct json *json_get(const struct json *object, struct str key)
{
    if (!json_is(object, JSON_OBJECT) || object->n == 0)
        return NULL;
    const struct json_member *m = find_member(object, key);
    return m ? &m->value : NULL;
}

const struct json *json_at(const struct json *array, size_t i)
{
    return json_is(array, JSON_ARRAY) && i < array->n ? &array->items[i] : NULL;
}

struct str json_text(const struct json *v)
{
    return json_is(v, JSON_STRING) || json_is(v, JSON_NUMBER) ? str_n(v->text, v->n) : STR_NONE;
}

/* --- comparing --- */

static bool equal_arrays(const struct json *x, const struct json *y, bool exact)
{
    for (uint32_t i = 0; i < x->n; i++)
        if (!json_equal(&x->items[i], &y->items[i], exact))
            return false;
    return true;
}

static void index_members(struct map *by_key, const struct json *object)
{
    for (uint32_t i = 0; i < object->n; i++)
        map_put(by_key, json_key(&object->members[i]), (void *)(uintptr_t)&object->members[i]);
}

/* Both have n members; most often they are in the same order. */
static bool equal_objects(const struct json *x, const struct json *y, bool exact)
{
    struct map by_key = MAP_INIT;
    bool same = true;
    for (uint32_t i = 0; same && i < x->n; i++) {
        struct str key = json_key(&x->members[i]);
        const struct json_member *other = &y->members[i];
        if (!str_eq(key, json_key(other))) {
            if (y->n <= LINEAR_MEMBERS) {
                other = find_member(y, key);
            } else {
                if (by_key.n == 0)
                    index_members(&by_key, y);
                other = map_get(&by_key, key);
            }
        }
        same = other && json_equal(&x->members[i].value, &other->value, exact);
    }
    map_release(&by_key);
    return same;
}

bool json_equal(const struct json *x, const struct json *y, bool exact)
{
    if (x == y)
        return true;
    if (!x || !y || x->type != y->type)
        return false;
    switch (json_type(x)) {
    case JSON_NULL:
    case JSON_FALSE:
    case JSON_TRUE:
        return true;
    case JSON_NUMBER:
        return exact ? str_eq(json_text(x), json_text(y))
                     : json_number_cmp(json_text(x), json_text(y)) == 0;
    case JSON_STRING:
        return str_eq(json_text(x), json_text(y));
    case JSON_ARRAY:
        return x->n == y->n && equal_arrays(x, y, exact);
    case JSON_OBJECT:
        return x->n == y->n && equal_objects(x, y, exact);
    }
    return false;
}

/* --- making --- */

struct json json_v_str(struct str s)
{
    return (struct json){.type = JSON_STRING, .n = (uint32_t)s.n, .text = s.p};
}

struct json json_v_number(struct str s)
{
    return (struct json){.type = JSON_NUMBER, .n = (uint32_t)s.n, .text = s.p};
}

struct json json_v_bool(bool v)
{
    return (struct json){.type = v ? JSON_TRUE : JSON_FALSE};
}

struct json json_v_null(void)
{
    return (struct json){.type = JSON_NULL};
}

struct json json_v_array(const struct json *items, size_t n)
{
    return (struct json){.type = JSON_ARRAY, .n = (uint32_t)n, .items = items};
}

struct json json_v_object(const struct json_member *members, size_t n)
{
    return (struct json){.type = JSON_OBJECT, .n = (uint32_t)n, .members = members};
}

struct json_member json_m(struct str key, struct json value)
{
    return (struct json_member){.key = key.p, .key_n = (uint32_t)key.n, .value = value};
}

struct json json_with(struct arena *a, const struct json *object, struct str key, struct json v)
{
    size_t n = json_is(object, JSON_OBJECT) ? object->n : 0;
    struct json_member *m = arena_alloc(a, (n + 1) * sizeof(*m));
    if (n)
        memcpy(m, object->members, n * sizeof(*m));
    for (size_t i = 0; i < n; i++) {
        if (str_eq(json_key(&m[i]), key)) {
            m[i].value = v;
            return json_v_object(m, n);
        }
    }
    m[n] = json_m(key, v);
    return json_v_object(m, n + 1);
}

struct json json_without(struct arena *a, const struct json *object, struct str key)
{
    size_t n = json_is(object, JSON_OBJECT) ? object->n : 0, kept = 0;
    struct json_member *m = arena_alloc(a, n * sizeof(*m));
    for (size_t i = 0; i < n; i++)
        if (!str_eq(json_key(&object->members[i]), key))
            m[kept++] = object->members[i];
    return json_v_object(m, kept);
}

struct json json_copy(struct arena *a, const struct json *v)
{
    struct json copy = *v;
    switch (json_type(v)) {
    case JSON_NULL:
    case JSON_FALSE:
    case JSON_TRUE:
        break;
    case JSON_NUMBER:
    case JSON_STRING:
        copy.text = arena_dup(a, v->text, v->n);
        break;
    case JSON_ARRAY: {
        struct json *items = arena_alloc(a, v->n * sizeof(*items));
        for (uint32_t i = 0; i < v->n; i++)
            items[i] = json_copy(a, &v->items[i]);
        copy.items = items;
        break;
    }
    case JSON_OBJECT: {
        struct json_member *m = arena_alloc(a, v->n * sizeof(*m));
        for (uint32_t i = 0; i < v->n; i++) {
            m[i] = v->members[i];
            m[i].key = arena_dup(a, v->members[i].key, v->members[i].key_n);
            m[i].value = json_copy(a, &v->members[i].value);
        }
        copy.members = m;
        break;
    }
    }
    return copy;
}
