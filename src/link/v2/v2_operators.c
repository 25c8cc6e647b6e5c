/*
 * Update operators of Orion: {"$inc": 2} as the value of an attribute changes the value that is
 * there. One operator in the object, except that $set and $unset may stand together. Where there is
 * no value it begins at 0, [] or {}; $pull, $pullAll and $unset then make nothing.
 */
#include "v2.h"
#include <math.h>

enum update_operator {
    UP_INC,
    UP_MUL,
    UP_MIN,
    UP_MAX,
    UP_PUSH,
    UP_ADD_TO_SET,
    UP_PULL,
    UP_PULL_ALL,
    UP_SET,
    UP_UNSET,
    OPERATORS
};

static const struct str names[OPERATORS] = {
    [UP_INC] = S_INIT("$inc"),   [UP_MUL] = S_INIT("$mul"),
    [UP_MIN] = S_INIT("$min"),   [UP_MAX] = S_INIT("$max"),
    [UP_PUSH] = S_INIT("$push"), [UP_ADD_TO_SET] = S_INIT("$addToSet"),
    [UP_PULL] = S_INIT("$pull"), [UP_PULL_ALL] = S_INIT("$pullAll"),
    [UP_SET] = S_INIT("$set"),   [UP_UNSET] = S_INIT("$unset"),
};

struct operation {
    struct arena *arena;
    struct str name;
    const struct json *was; /* NULL: there is none */
    struct json by;
    struct error *e;
};

static enum update_operator operator_of(struct str name)
{
    unsigned k = 0;
    while (k < OPERATORS && !str_eq(names[k], name))
        k++;
    return (enum update_operator)k;
}

bool v2_is_operator(const struct json *v)
{
    if (!json_is(v, JSON_OBJECT) || !v->n || v->n > 2)
        return false;
    if (v->n == 2)
        return json_get(v, S("$set")) && json_get(v, S("$unset"));
    return operator_of(json_key(&v->members[0])) < OPERATORS;
}

static enum err refuse(const struct operation *o, const char *why)
{
    return error_set(o->e, ERR_UNPROCESSABLE, "%" STR_F ": %s", STR_A(o->name), why);
}

/* --- numbers and order --- */

static enum err arithmetic(const struct operation *o, bool multiply, struct json *out)
{
    struct json zero = json_v_number(S("0"));
    const struct json *was = o->was ? o->was : &zero;
    int64_t x, y, z;
    double dx, dy;
    if (!json_is(was, JSON_NUMBER) || !json_is(&o->by, JSON_NUMBER))
        return refuse(o, "it goes with numbers only");
    if (json_i64(was, &x) && json_i64(&o->by, &y) &&
        !(multiply ? __builtin_mul_overflow(x, y, &z) : __builtin_add_overflow(x, y, &z))) {
        *out = json_v_i64(o->arena, z);
        return OK;
    }
    if (!json_double(was, &dx) || !json_double(&o->by, &dy))
        return refuse(o, "the number is too large");
    double d = multiply ? dx * dy : dx + dy;
    *out = json_v_double(o->arena, d);
    return isfinite(d) ? OK : refuse(o, "the number would be too large");
}

/* <0, 0, >0; false when the two have no order. */
static bool compare(const struct operation *o, const struct json *x, const struct json *y,
                    int *order)
{
    struct str s = json_text(x), t = json_text(y), u, v;
    int64_t i, j;
    if (json_is(x, JSON_NUMBER) && json_is(y, JSON_NUMBER)) {
        *order = json_number_cmp(s, t);
        return true;
    }
    if (!json_is(x, JSON_STRING) || !json_is(y, JSON_STRING))
        return false;
    *order = str_cmp(s, t);
    if (v2_datetime(o->arena, s, &u) && v2_datetime(o->arena, t, &v) && datetime_parse(u, &i) &&
        datetime_parse(v, &j))
        *order = i < j ? -1 : i > j;
    return true;
}

static enum err extreme(const struct operation *o, bool most, struct json *out)
{
    struct json begin = json_is(&o->by, JSON_NUMBER) ? json_v_number(S("0"))
                                                     : json_v_str(S("1970-01-01T00:00:00Z"));
    const struct json *was = o->was ? o->was : &begin;
    int order;
    if (!compare(o, was, &o->by, &order))
        return refuse(o, "it goes with two numbers or two texts");
    *out = (most ? order < 0 : order > 0) ? o->by : *was;
    return OK;
}

/* --- lists --- */

static bool is_in(const struct json *items, size_t n, const struct json *v)
{
    for (size_t i = 0; i < n; i++)
        if (json_equal(&items[i], v, false))
            return true;
    return false;
}

/* The items to add: the value itself, or those of {"$each": [...], "$position": n}. */
static enum err added_items(const struct operation *o, size_t n, const struct json **items,
                            size_t *n_items, size_t *at)
{
    const struct json *each = json_is(&o->by, JSON_OBJECT) ? json_get(&o->by, S("$each")) : NULL;
    const struct json *position = each ? json_get(&o->by, S("$position")) : NULL;
    int64_t p;
    *items = &o->by;
    *n_items = 1;
    *at = n;
    if (!each)
        return OK;
    if (!json_is(each, JSON_ARRAY) || (position && !json_i64(position, &p)))
        return refuse(o, "$each is an array, $position a number");
    *items = each->items;
    *n_items = each->n;
    if (position && p >= 0 && (uint64_t)p < n)
        *at = (size_t)p;
    if (position && p < 0)
        *at = (uint64_t)-p < n ? n - (size_t)-p : 0;
    return OK;
}

static enum err add(const struct operation *o, bool once, struct json *out)
{
    size_t n = o->was ? o->was->n : 0, n_items, at, k = 0;
    const struct json *items, *was = n ? o->was->items : NULL;
    if (o->was && !json_is(o->was, JSON_ARRAY))
        return refuse(o, "the value is no array");
    enum err err = added_items(o, n, &items, &n_items, &at);
    if (err)
        return err;
    struct json *list = ARENA_ARRAY(o->arena, struct json, n + n_items);
    for (size_t i = 0; was && i < at; i++)
        list[k++] = was[i];
    for (size_t i = 0; i < n_items; i++)
        if (!once || !(is_in(list, k, &items[i]) || (was && is_in(was + at, n - at, &items[i]))))
            list[k++] = items[i];
    for (size_t i = at; was && i < n; i++)
        list[k++] = was[i];
    *out = json_v_array(list, k);
    return OK;
}

static enum err pull(const struct operation *o, bool all, struct json *out)
{
    if (!json_is(o->was, JSON_ARRAY) || (all && !json_is(&o->by, JSON_ARRAY)))
        return refuse(o, "it takes items from an array");
    struct json *list = ARENA_ARRAY(o->arena, struct json, o->was->n);
    size_t n = 0;
    for (uint32_t i = 0; i < o->was->n; i++)
        if (!is_in(all ? o->by.items : &o->by, all ? o->by.n : 1, &o->was->items[i]))
            list[n++] = o->was->items[i];
    *out = json_v_array(list, n);
    return OK;
}

/* --- objects --- */

static enum err set(const struct operation *o, struct json *out)
{
    if (!json_is(&o->by, JSON_OBJECT)) {
        *out = o->by;
        return OK;
    }
    if (o->was && !json_is(o->was, JSON_OBJECT))
        return refuse(o, "the value is no object");
    struct json *now = ARENA_NEW(o->arena, struct json);
    *now = o->was ? *o->was : json_v_object(NULL, 0);
    for (uint32_t i = 0; i < o->by.n; i++) {
        struct json *next = ARENA_NEW(o->arena, struct json);
        *next = json_with(o->arena, now, json_key(&o->by.members[i]), o->by.members[i].value);
        now = next;
    }
    *out = *now;
    return OK;
}

static enum err unset(const struct operation *o, struct json *out)
{
    const struct json *now = o->was;
    if (!json_is(now, JSON_OBJECT))
        return refuse(o, "the value is no object");
    for (uint32_t i = 0; json_is(&o->by, JSON_OBJECT) && i < o->by.n; i++) {
        struct json *next = ARENA_NEW(o->arena, struct json);
        *next = json_without(o->arena, now, json_key(&o->by.members[i]));
        now = next;
    }
    *out = *now;
    return OK;
}

/* --- all --- */

static enum err operate(const struct operation *o, enum update_operator k, struct json *out)
{
    switch (k) {
    case UP_INC:
    case UP_MUL:
        return arithmetic(o, k == UP_MUL, out);
    case UP_MIN:
    case UP_MAX:
        return extreme(o, k == UP_MAX, out);
    case UP_PUSH:
    case UP_ADD_TO_SET:
        return add(o, k == UP_ADD_TO_SET, out);
    case UP_PULL:
    case UP_PULL_ALL:
        return pull(o, k == UP_PULL_ALL, out);
    case UP_SET:
        return set(o, out);
    case UP_UNSET:
        return unset(o, out);
    case OPERATORS:
        break;
    }
    return refuse(o, "no operator");
}

/* $set and $unset together must not name the same member. */
static bool overlap(const struct json *x, const struct json *y)
{
    for (uint32_t i = 0; json_is(x, JSON_OBJECT) && i < x->n; i++)
        if (json_get(y, json_key(&x->members[i])))
            return true;
    return false;
}

enum err v2_operate(struct arena *a, const struct json *was, const struct json *operation,
                    struct json *out, bool *nothing, struct error *e)
{
    const struct json *set_by = json_get(operation, S("$set"));
    const struct json *unset_by = json_get(operation, S("$unset"));
    if (json_is(was, JSON_NULL))
        was = NULL;
    *nothing = !was;
    if (set_by && unset_by && overlap(set_by, unset_by))
        return error_set(e, ERR_UNPROCESSABLE, "$set and $unset name the same member");
    for (uint32_t i = 0; i < operation->n; i++) {
        const struct json_member *m = &operation->members[i];
        struct operation o = {a, json_key(m), was, m->value, e};
        enum update_operator k = operator_of(o.name);
        if (!was && (k == UP_PULL || k == UP_PULL_ALL || k == UP_UNSET))
            continue;
        struct json *result = ARENA_NEW(a, struct json);
        enum err err = operate(&o, k, result);
        if (err)
            return err;
        was = result;
        *nothing = false;
    }
    if (was)
        *out = *was;
    return OK;
}
