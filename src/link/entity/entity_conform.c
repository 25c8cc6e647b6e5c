/*
 * What clients read, in the words of an older version of NGSI-LD (clause 4.3.6.8): kinds of
 * attributes that it did not have become Properties or Relationships, members that it did not have
 * are left out, and of several types or instances one stays where it knew only one.
 *
 * Works on what has been shown, because it is asked for rarely and then by few.
 */
#include "entity_impl.h"

#include <string.h>

/* The version that something came with; older ones do without it. */
enum { V_1_3 = 103, V_1_4 = 104, V_1_8 = 108, V_1_9 = 109 };

struct conform {
    struct arena *arena;
    int version;
    bool simplified;
    bool changed;
};

bool entity_version_parse(struct str text, int *version)
{
    int64_t major, minor;
    struct str rest = text, field;
    bool good = str_split(&rest, '.', &field) && str_to_i64(field, &major) && rest.p &&
                str_split(&rest, '.', &field) && str_to_i64(field, &minor);
    if (!good || major < 0 || minor < 0 || major > 99 || minor > 99)
        return false;
    while (rest.p && str_split(&rest, '.', &field))
        if (!str_to_i64(field, &(int64_t){0}))
            return false;
    *version = (int)(major * 100 + minor);
    return true;
}

static void drop(struct conform *x, struct json *object, const char *key)
{
    if (!json_get(object, str_c(key)))
        return;
    *object = json_without(x->arena, object, str_c(key));
    x->changed = true;
}

/* --- kinds --- */

/* Members of kinds that older versions do not have, and what those have instead. */
static const struct {
    enum kind kind;
    int since;
    const char *from, *to;
} renamed[] = {
    {KIND_LANGUAGE, V_1_4, "languageMap", "value"},
    {KIND_LANGUAGE, V_1_4, "previousLanguageMap", "previousValue"},
    {KIND_LANGUAGE, V_1_4, "languageMaps", "values"},
    {KIND_JSON, V_1_8, "json", "value"},
    {KIND_JSON, V_1_8, "previousJson", "previousValue"},
    {KIND_JSON, V_1_8, "jsons", "values"},
    {KIND_VOCAB, V_1_8, "vocab", "value"},
    {KIND_VOCAB, V_1_8, "previousVocab", "previousValue"},
    {KIND_VOCAB, V_1_8, "vocabs", "values"},
    {KIND_LIST, V_1_8, "valueList", "value"},
    {KIND_LIST, V_1_8, "previousValueList", "previousValue"},
    {KIND_LIST, V_1_8, "valueLists", "values"},
    {KIND_LIST_RELATIONSHIP, V_1_8, "objectList", "object"},
    {KIND_LIST_RELATIONSHIP, V_1_8, "previousObjectList", "previousObject"},
    {KIND_LIST_RELATIONSHIP, V_1_8, "objectLists", "objects"},
};
enum { N_RENAMED = sizeof(renamed) / sizeof(*renamed) };

/* By its type, or in the concise form by the member that its value stands in. */
static enum kind shown_kind(const struct json *instance)
{
    const struct json *type = json_get(instance, S("type"));
    if (type)
        return kind_of_name(json_text(type));
    for (int k = 0; k < KINDS; k++)
        if (json_get(instance, kind_members[k]))
            return (enum kind)k;
    return KIND_NONE;
}

/* [{"object": URI}...] as an object has several: [URI...]. */
static struct json bare_objects(struct arena *a, const struct json *list)
{
    if (!json_is(list, JSON_ARRAY))
        return *list;
    struct json *items = ARENA_ARRAY(a, struct json, list->n);
    for (uint32_t i = 0; i < list->n; i++) {
        const struct json *object = json_get(&list->items[i], S("object"));
        items[i] = object ? *object : list->items[i];
    }
    return json_v_array(items, list->n);
}

/* [[{"vocab": value}, time]...] as pairs of a Property are: [[value, time]...]. */
static struct json bare_pairs(struct arena *a, const struct json *pairs, struct str member)
{
    struct json *items = ARENA_ARRAY(a, struct json, pairs->n);
    for (uint32_t i = 0; i < pairs->n; i++) {
        const struct json *inner = json_get(json_at(&pairs->items[i], 0), member);
        items[i] = pairs->items[i];
        if (!inner || items[i].n != 2)
            continue;
        struct json *pair = ARENA_ARRAY(a, struct json, 2);
        pair[0] = *inner;
        pair[1] = items[i].items[1];
        items[i] = json_v_array(pair, 2);
    }
    return json_v_array(items, pairs->n);
}

static struct json renamed_value(struct arena *a, const struct json *v, enum kind kind,
                                 struct str to)
{
    if (str_eq(to, S("values")) && json_is(v, JSON_ARRAY))
        return bare_pairs(a, v, kind_members[kind]);
    return kind == KIND_LIST_RELATIONSHIP ? bare_objects(a, v) : *v;
}

static void rename_members(struct conform *x, struct json *instance, enum kind kind)
{
    struct json_member *m = ARENA_ARRAY(x->arena, struct json_member, instance->n);
    memcpy(m, instance->members, instance->n * sizeof(*m));
    for (uint32_t i = 0; i < instance->n; i++) {
        struct str key = json_key(&m[i]);
        if (str_eq(key, S("type")))
            m[i].value =
                json_v_str(kind == KIND_LIST_RELATIONSHIP ? S("Relationship") : S("Property"));
        for (size_t r = 0; r < N_RENAMED; r++)
            if (renamed[r].kind == kind && str_eq(key, str_c(renamed[r].from)))
                m[i] = json_m(str_c(renamed[r].to),
                              renamed_value(x->arena, &m[i].value, kind, str_c(renamed[r].to)));
    }
    *instance = json_v_object(m, instance->n);
    x->changed = true;
}

static bool is_newer(const struct conform *x, enum kind kind)
{
    for (size_t r = 0; r < N_RENAMED; r++)
        if (renamed[r].kind == kind)
            return x->version < renamed[r].since;
    return false;
}

/* --- instances --- */

static struct json conform_attr(struct conform *x, const struct json *v);
static struct json conform_entity(struct conform *x, const struct json *v);

/* Members of an instance that are not sub-attributes, whatever the form. */
static bool is_part(struct str key)
{
    static const struct str parts[] = {S_INIT("instanceId"), S_INIT("lang"), S_INIT("@context"),
                                       S_INIT("values"), S_INIT("objects")};
    if (slot_of(key, NULL) != SLOT_SUB || str_starts(key, S("previous")))
        return true;
    for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
        if (str_eq(key, parts[i]))
            return true;
    for (size_t r = 0; r < N_RENAMED; r++)
        if (str_eq(key, str_c(renamed[r].from)))
            return true;
    return false;
}

static bool is_instance(const struct json *v)
{
    return json_is(v, JSON_OBJECT) && shown_kind(v) < KINDS;
}

static struct json linked_entities(struct conform *x, const struct json *v)
{
    if (!json_is(v, JSON_ARRAY))
        return conform_entity(x, v);
    struct json *items = ARENA_ARRAY(x->arena, struct json, v->n);
    for (uint32_t i = 0; i < v->n; i++)
        items[i] = conform_entity(x, &v->items[i]);
    return json_v_array(items, v->n);
}

static struct json conform_instance(struct conform *x, const struct json *v)
{
    enum kind kind = shown_kind(v);
    struct json out = *v;
    struct json_member *m = ARENA_ARRAY(x->arena, struct json_member, v->n);
    for (uint32_t i = 0; i < v->n; i++) {
        struct str key = json_key(&v->members[i]);
        m[i] = v->members[i];
        if (str_eq(key, S("entity")) || str_eq(key, S("entityList")))
            m[i].value = linked_entities(x, &m[i].value);
        else if (!is_part(key))
            m[i].value = conform_attr(x, &m[i].value);
    }
    out = json_v_object(m, v->n);
    if (is_newer(x, kind))
        rename_members(x, &out, kind);
    if (x->version < V_1_9) {
        drop(x, &out, "valueType");
        drop(x, &out, "expiresAt");
    }
    if (x->version < V_1_8)
        drop(x, &out, "objectType");
    if (x->version < V_1_3) {
        drop(x, &out, "datasetId");
        drop(x, &out, "observedAt");
        drop(x, &out, "unitCode");
    }
    return out;
}

static bool is_default(const struct json *instance)
{
    return !json_get(instance, S("datasetId"));
}

/* Of the instances those of one dataset, the default one if there is; an evolution has several. */
static struct json one_dataset(struct conform *x, const struct json *list)
{
    const struct json *chosen = &list->items[0];
    bool evolves = json_get(chosen, S("instanceId")) != NULL;
    for (uint32_t i = 0; i < list->n && !is_default(chosen); i++)
        if (is_default(&list->items[i]))
            chosen = &list->items[i];
    struct str dataset = json_text(json_get(chosen, S("datasetId")));
    struct json *items = ARENA_ARRAY(x->arena, struct json, list->n);
    size_t n = 0;
    for (uint32_t i = 0; i < list->n; i++)
        if (str_eq(json_text(json_get(&list->items[i], S("datasetId"))), dataset))
            items[n++] = list->items[i];
    x->changed = x->changed || n < list->n || !evolves;
    return evolves ? json_v_array(items, n) : items[0];
}

/* The simplified form has several instances as {"dataset": {"@none": value, URI: value}}. */
static struct json conform_simplified(struct conform *x, const struct json *v)
{
    if (!json_is(v, JSON_OBJECT))
        return *v;
    const struct json *datasets = json_get(v, S("dataset"));
    if (json_get(v, S("type"))) /* pairs of an evolution */
        return is_instance(v) ? conform_instance(x, v) : *v;
    if (v->n != 1)
        return *v;
    if (json_is(datasets, JSON_OBJECT) && datasets->n && x->version < V_1_3) {
        const struct json *first = json_get(datasets, S("@none"));
        x->changed = true;
        return conform_simplified(x, first ? first : &datasets->members[0].value);
    }
    if (json_is(datasets, JSON_OBJECT)) {
        struct json_member *m = ARENA_ARRAY(x->arena, struct json_member, datasets->n);
        struct json_member *outer = ARENA_NEW(x->arena, struct json_member);
        for (uint32_t i = 0; i < datasets->n; i++)
            m[i] = json_m(json_key(&datasets->members[i]),
                          conform_simplified(x, &datasets->members[i].value));
        *outer = json_m(S("dataset"), json_v_object(m, datasets->n));
        return json_v_object(outer, 1);
    }
    if (!is_newer(x, shown_kind(v)))
        return *v;
    x->changed = true;
    return v->members[0].value;
}

static struct json conform_attr(struct conform *x, const struct json *v)
{
    bool several = json_is(v, JSON_ARRAY) && v->n > 0;
    for (uint32_t i = 0; several && i < v->n; i++)
        several = is_instance(&v->items[i]);
    if (several && (!x->simplified || json_get(&v->items[0], S("type")))) {
        struct json chosen = x->version < V_1_3 ? one_dataset(x, v) : *v;
        if (!json_is(&chosen, JSON_ARRAY))
            return conform_instance(x, &chosen);
        struct json *items = ARENA_ARRAY(x->arena, struct json, chosen.n);
        for (uint32_t i = 0; i < chosen.n; i++)
            items[i] = conform_instance(x, &chosen.items[i]);
        return json_v_array(items, chosen.n);
    }
    if (x->simplified)
        return conform_simplified(x, v);
    return is_instance(v) ? conform_instance(x, v) : *v;
}

/* --- entities --- */

static struct json conform_entity(struct conform *x, const struct json *v)
{
    if (!json_is(v, JSON_OBJECT))
        return *v;
    struct json_member *m = ARENA_ARRAY(x->arena, struct json_member, v->n);
    for (uint32_t i = 0; i < v->n; i++) {
        struct str key = json_key(&v->members[i]);
        m[i] = v->members[i];
        if (!entity_is_member(key) && key.n && key.p[0] != '@' && !str_eq(key, S("deletedAt")))
            m[i].value = conform_attr(x, &m[i].value);
        else if (x->version < V_1_3 && str_eq(key, S("type")) && json_is(&m[i].value, JSON_ARRAY) &&
                 m[i].value.n) {
            m[i].value = m[i].value.items[0];
            x->changed = true;
        }
    }
    struct json out = json_v_object(m, v->n);
    if (x->version < V_1_9)
        drop(x, &out, "expiresAt");
    if (x->version < V_1_4)
        drop(x, &out, "scope");
    return out;
}

bool entity_conform(struct arena *a, const struct json *shown, int version, bool simplified,
                    struct json *out)
{
    struct conform x = {.arena = a, .version = version, .simplified = simplified};
    *out = version < ENTITY_VERSION ? linked_entities(&x, shown) : *shown;
    return x.changed;
}

bool entity_conform_text(struct arena *a, struct str shown, int version, bool simplified,
                         struct str *out)
{
    struct json_limits limits = {.max_depth = 512, .max_bytes = shown.n};
    const struct json *tree = version < ENTITY_VERSION ? json_parse(a, shown, &limits, NULL) : NULL;
    struct json other;
    *out = shown;
    if (!tree || !entity_conform(a, tree, version, simplified, &other))
        return false;
    *out = json_to_text(a, &other);
    return true;
}
