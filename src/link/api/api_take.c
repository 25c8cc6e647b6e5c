/* Members of documents, checked. */
#include "api_take.h"
#include "core/datetime.h"
#include "core/regex.h"
#include "core/vec.h"

bool take_refuse(struct taker *t, const char *member, const char *expected)
{
    error_set(t->e, ERR_INVALID, "%s: %s must be %s", t->where, member, expected);
    return false;
}

const struct take_member *take_find(const struct take_member *members, size_t n, struct str key)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(key, str_c(members[i].name)))
            return &members[i];
    return NULL;
}

bool take_object(struct taker *t, const char *name, const struct json *v,
                 const struct take_member *members, size_t n)
{
    const char *where = t->where;
    VEC(struct json_member) list = VEC_INIT;
    if (!json_is(v, JSON_OBJECT))
        return take_refuse(t, name, "an object");
    t->where = name;
    for (uint32_t i = 0; i < v->n; i++) {
        const struct json_member *m = &v->members[i];
        const struct take_member *known = take_find(members, n, json_key(m));
        if (!known) {
            error_set(t->e, ERR_INVALID, "%s: unknown member \"%" STR_F "\"", name,
                      STR_A(str_cut(json_key(m), 100)));
            return false;
        }
        if (!known->take)
            continue;
        if (!known->take(t, known->name, &m->value))
            return false;
        *vec_push(t->arena, &list) = json_m(str_c(known->name), t->out);
    }
    t->where = where;
    t->out = json_v_object(list.v, list.n);
    return true;
}

bool take_list(struct taker *t, const char *name, const struct json *v, take_fn item)
{
    if (!json_is(v, JSON_ARRAY) || v->n == 0)
        return take_refuse(t, name, "an array that is not empty");
    struct json *items = ARENA_ARRAY(t->arena, struct json, v->n);
    for (uint32_t i = 0; i < v->n; i++) {
        if (!item(t, name, &v->items[i]))
            return false;
        items[i] = t->out;
    }
    t->out = json_v_array(items, v->n);
    return true;
}

bool take_text(struct taker *t, const char *name, const struct json *v)
{
    t->out = *v;
    return (json_is(v, JSON_STRING) && v->n > 0) ||
           take_refuse(t, name, "a text that is not empty");
}

bool take_uri(struct taker *t, const char *name, const struct json *v)
{
    t->out = *v;
    return (json_is(v, JSON_STRING) && ld_is_uri(json_text(v))) || take_refuse(t, name, "a URI");
}

bool take_bool(struct taker *t, const char *name, const struct json *v)
{
    t->out = *v;
    return json_is_bool(v) || take_refuse(t, name, "true or false");
}

bool take_instant(struct taker *t, const char *name, const struct json *v)
{
    int64_t at;
    t->out = *v;
    return (json_is(v, JSON_STRING) && datetime_parse(json_text(v), &at)) ||
           take_refuse(t, name, "a date-time in UTC");
}

bool take_positive(struct taker *t, const char *name, const struct json *v)
{
    double d;
    t->out = *v;
    return (json_double(v, &d) && d > 0 && d <= 1e9) || take_refuse(t, name, "a positive number");
}

bool take_pattern(struct taker *t, const char *name, const struct json *v)
{
    if (!take_text(t, name, v))
        return false;
    struct regex *r = regex_new(json_text(v), t->e);
    regex_free(r);
    return r != NULL;
}
