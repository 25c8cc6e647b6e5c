/* Looking into the stored form. */
#include "entity_impl.h"

#include <string.h>

const struct str kind_names[KINDS] = {S_INIT("Property"),     S_INIT("GeoProperty"),
                                      S_INIT("Relationship"), S_INIT("LanguageProperty"),
                                      S_INIT("JsonProperty"), S_INIT("VocabProperty"),
                                      S_INIT("ListProperty"), S_INIT("ListRelationship")};

const struct str kind_members[KINDS] = {S_INIT("value"),     S_INIT("value"),
                                        S_INIT("object"),    S_INIT("languageMap"),
                                        S_INIT("json"),      S_INIT("vocab"),
                                        S_INIT("valueList"), S_INIT("objectList")};

enum kind kind_of_name(struct str type)
{
    for (int k = 0; k < KINDS; k++)
        if (type.n == kind_names[k].n && memcmp(type.p, kind_names[k].p, type.n) == 0)
            return (enum kind)k;
    return str_eq(type, S("deleted")) ? KIND_DELETED : KIND_NONE;
}

struct slot_name {
    const char *name;
    enum slot slot;
    enum kind kind;
};

/* By length, because a length alone rules out nearly all: IRIs are longer than any of these. */
static const struct slot_name by_length[12][5] = {
    [2] = {{"v2", SLOT_V2, KIND_NONE}},
    [4] = {{"type", SLOT_TYPE, KIND_NONE}, {"json", SLOT_VALUE, KIND_JSON}},
    [5] = {{"value", SLOT_VALUE, KIND_PROPERTY}, {"vocab", SLOT_VALUE, KIND_VOCAB}},
    [6] = {{"object", SLOT_VALUE, KIND_RELATIONSHIP}},
    [8] = {{"unitCode", SLOT_UNIT, KIND_NONE}},
    [9] = {{"datasetId", SLOT_DATASET, KIND_NONE},
           {"createdAt", SLOT_CREATED, KIND_NONE},
           {"valueList", SLOT_VALUE, KIND_LIST},
           {"expiresAt", SLOT_EXPIRES, KIND_NONE},
           {"valueType", SLOT_VALUE_TYPE, KIND_NONE}},
    [10] = {{"observedAt", SLOT_OBSERVED, KIND_NONE},
            {"modifiedAt", SLOT_MODIFIED, KIND_NONE},
            {"objectType", SLOT_OBJECT_TYPE, KIND_NONE},
            {"objectList", SLOT_VALUE, KIND_LIST_RELATIONSHIP}},
    [11] = {{"languageMap", SLOT_VALUE, KIND_LANGUAGE}},
};

/* Few are as long as an IRI may be. */
static enum slot long_slot(struct str key)
{
    if (key.p[0] != 'e')
        return SLOT_SUB;
    if (str_eq(key, S("entityIdSealed")))
        return SLOT_SEALED_ID;
    return str_eq(key, S("entityTypeSealed")) ? SLOT_SEALED_TYPE : SLOT_SUB;
}

enum slot slot_of(struct str key, enum kind *kind)
{
    if (key.n >= 12)
        return long_slot(key);
    const struct slot_name *row = by_length[key.n];
    for (int i = 0; i < 5 && row[i].name; i++) {
        if (memcmp(row[i].name, key.p, key.n) == 0) {
            if (kind)
                *kind = row[i].kind;
            return row[i].slot;
        }
    }
    return str_eq(key, S("deletedAt")) ? SLOT_DELETED : SLOT_SUB;
}

void inst_open(struct inst *i, const struct json *instance)
{
    memset(i, 0, sizeof(*i));
    if (!json_is(instance, JSON_OBJECT))
        return;
    const struct json_member *m = instance->members, *end = m + instance->n;
    for (; m < end; m++) {
        enum slot s = slot_of(json_key(m), NULL);
        if (s == SLOT_SUB)
            break;
        i->slot[s] = m;
    }
    i->subs = m;
    i->n_subs = (uint32_t)(end - m);
}

enum kind inst_kind(const struct inst *i)
{
    return i->slot[SLOT_TYPE] ? kind_of_name(json_text(&i->slot[SLOT_TYPE]->value)) : KIND_NONE;
}

struct str inst_dataset(const struct inst *i)
{
    return i->slot[SLOT_DATASET] ? json_text(&i->slot[SLOT_DATASET]->value) : STR_NONE;
}

bool json_is_null_text(const struct json *v)
{
    return json_is(v, JSON_STRING) && v->n == sizeof(NGSI_NULL) - 1 &&
           memcmp(v->text, NGSI_NULL, sizeof(NGSI_NULL) - 1) == 0;
}

bool is_geometry(const struct json *v)
{
    static const struct str types[] = {S_INIT("Point"),           S_INIT("LineString"),
                                       S_INIT("Polygon"),         S_INIT("MultiPoint"),
                                       S_INIT("MultiLineString"), S_INIT("MultiPolygon")};
    struct str type = json_text(json_get(v, S("type")));
    if (!type.p)
        return false;
    if (str_eq(type, S("GeometryCollection")))
        return json_is(json_get(v, S("geometries")), JSON_ARRAY);
    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
        if (str_eq(type, types[i]))
            return json_is(json_get(v, S("coordinates")), JSON_ARRAY);
    return false;
}

/* --- the public ones --- */

struct str entity_id(const struct json *stored)
{
    return json_text(json_get(stored, S("id")));
}

const struct json *entity_types(const struct json *stored)
{
    return json_get(stored, S("type"));
}

bool entity_has_type(const struct json *stored, struct str iri)
{
    const struct json *types = entity_types(stored);
    for (size_t i = 0; types && i < types->n; i++)
        if (str_eq(json_text(json_at(types, i)), iri))
            return true;
    return false;
}

bool entity_is_member(struct str key)
{
    switch (key.n) {
    case 2:
        return memcmp(key.p, "id", 2) == 0;
    case 4:
        return memcmp(key.p, "type", 4) == 0;
    case 5:
        return memcmp(key.p, "scope", 5) == 0;
    case 8:
        return memcmp(key.p, "@creator", 8) == 0;
    case 9:
        return memcmp(key.p, "createdAt", 9) == 0 || memcmp(key.p, "expiresAt", 9) == 0 ||
               memcmp(key.p, "deletedAt", 9) == 0;
    case 10:
        return memcmp(key.p, "modifiedAt", 10) == 0;
    default:
        return false;
    }
}

const struct json *entity_attr(const struct json *stored, struct str iri)
{
    return entity_is_member(iri) ? NULL : json_get(stored, iri);
}

const struct json *instance_value(const struct json *instance)
{
    if (!json_is(instance, JSON_OBJECT))
        return NULL;
    /* the value stands second in stored form */
    for (uint32_t i = 0; i < instance->n; i++)
        if (slot_of(json_key(&instance->members[i]), NULL) == SLOT_VALUE)
            return &instance->members[i].value;
    return NULL;
}

const struct json *instance_default(const struct json *instances)
{
    for (size_t i = 0; json_is(instances, JSON_ARRAY) && i < instances->n; i++)
        if (!json_get(&instances->items[i], S("datasetId")))
            return &instances->items[i];
    return NULL;
}

bool entity_expired(const struct json *stored, int64_t now)
{
    int64_t at;
    const struct json *expires = json_get(stored, S("expiresAt"));
    return expires && datetime_parse(json_text(expires), &at) && at <= now;
}

static void take_earlier(const struct json *v, bool *any, int64_t *at)
{
    int64_t t;
    const struct json *expires = json_get(v, S("expiresAt"));
    if (!expires || !datetime_parse(json_text(expires), &t) || (*any && t >= *at))
        return;
    *at = t;
    *any = true;
}

bool entity_expires(const struct json *stored, int64_t *at)
{
    bool any = false;
    take_earlier(stored, &any, at);
    for (uint32_t i = 0; json_is(stored, JSON_OBJECT) && i < stored->n; i++) {
        const struct json_member *m = &stored->members[i];
        if (entity_is_member(json_key(m)) || !json_is(&m->value, JSON_ARRAY))
            continue;
        for (uint32_t k = 0; k < m->value.n; k++)
            take_earlier(&m->value.items[k], &any, at);
    }
    return any;
}

/* Marks of the instances of an attribute that have expired. */
static struct json expired_instances(struct arena *a, const struct json *instances, int64_t now)
{
    VEC(struct json) marks = VEC_INIT;
    for (uint32_t i = 0; json_is(instances, JSON_ARRAY) && i < instances->n; i++) {
        const struct json *dataset = json_get(&instances->items[i], S("datasetId"));
        if (!entity_expired(&instances->items[i], now))
            continue;
        struct json_member *m = ARENA_ARRAY(a, struct json_member, 2);
        m[0] = json_m(S("type"), json_v_str(S("deleted")));
        if (dataset)
            m[1] = json_m(S("datasetId"), *dataset);
        *vec_push(a, &marks) = json_v_object(m, dataset ? 2 : 1);
    }
    return json_v_array(marks.v, marks.n);
}

const struct json *entity_expired_attrs(struct arena *a, const struct json *stored, int64_t now)
{
    VEC(struct json_member) attrs = VEC_INIT;
    for (uint32_t i = 0; json_is(stored, JSON_OBJECT) && i < stored->n; i++) {
        const struct json_member *m = &stored->members[i];
        if (entity_is_member(json_key(m)))
            continue;
        struct json marks = expired_instances(a, &m->value, now);
        if (marks.n)
            *vec_push(a, &attrs) = json_m(json_key(m), marks);
    }
    if (!attrs.n)
        return NULL;
    struct json *out = ARENA_NEW(a, struct json);
    *out = json_v_object(attrs.v, attrs.n);
    return out;
}
