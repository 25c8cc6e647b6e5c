/*
 * Attributes of a payload into stored form (clauses 4.5.2 to 4.5.24).
 *
 * An attribute arrives as an instance (an object that names its kind or has a value member), as
 * several of them in an array, or as a bare value. Bare values are Properties, bare geometries
 * GeoProperties. In a merge patch or for one attribute the kind of a bare value is left open,
 * because the attribute that is there decides it.
 */
#include "core/map.h"
#include "entity_expand.h"

#include <string.h>

enum err expand_fail(const struct expansion *x, const char *what)
{
    return error_set(x->e, ERR_INVALID, "attribute %" STR_F ": %s", QUOTE(x->attribute), what);
}

struct str expand_core_name(const struct expansion *x, struct str iri)
{
    if (!str_starts(iri, S(LD_NGSI_PREFIX)) || str_starts(iri, S(LD_DEFAULT_PREFIX)))
        return STR_NONE;
    return ld_compact(ld_core(), x->arena, iri);
}

bool expand_is_datetime(const struct json *v)
{
    int64_t at;
    return json_is(v, JSON_STRING) && datetime_parse_utc(json_text(v), &at);
}

/* Members that the system gives or that stand for a reduction: clients may send them back. */
static bool is_ignored(struct str key)
{
    static const struct str names[] = {S_INIT("instanceId"), S_INIT("lang")};
    return expand_is_among(key, names, sizeof(names) / sizeof(*names));
}

/* Members of notifications and of linked entities, which no input has (clauses 4.5.2, 4.5.3). */
static bool is_output_only(struct str key)
{
    static const struct str names[] = {S_INIT("entity"),
                                       S_INIT("entityList"),
                                       S_INIT("@context"),
                                       S_INIT("previousValue"),
                                       S_INIT("previousJson"),
                                       S_INIT("previousObject"),
                                       S_INIT("previousVocab"),
                                       S_INIT("previousLanguageMap"),
                                       S_INIT("previousValueList"),
                                       S_INIT("previousObjectList")};
    return expand_is_among(key, names, sizeof(names) / sizeof(*names));
}

/* Names whose compact form would read as a member of the instance. */
static bool is_instance_word(const struct expansion *x, struct str iri)
{
    struct str name = expand_core_name(x, iri);
    return iri.p[0] == '@' || slot_of(name, NULL) != SLOT_SUB || is_ignored(name) ||
           is_output_only(name);
}

static const struct json *either(const struct json *object, struct str key, struct str alias)
{
    const struct json *v = json_get(object, key);
    return v ? v : json_get(object, alias);
}

/* The kind that an object names, by term or IRI. */
static enum kind named_kind(const struct expansion *x, const struct json *object)
{
    struct str type = json_text(either(object, S("type"), S("@type")));
    enum kind k = kind_of_name(type);
    if (k == KIND_NONE && str_find_char(type, ':') >= 0) {
        struct str iri = ld_expand(x->ctx, x->arena, type);
        if (str_starts(iri, S(LD_NGSI_PREFIX)))
            k = kind_of_name(str_from(iri, sizeof(LD_NGSI_PREFIX) - 1));
    }
    return k == KIND_DELETED ? KIND_NONE : k;
}

static bool has_value_member(const struct json *object)
{
    for (uint32_t i = 0; i < object->n; i++)
        if (slot_of(json_key(&object->members[i]), NULL) == SLOT_VALUE)
            return true;
    return false;
}

static bool is_instance(const struct expansion *x, const struct json *v)
{
    if (!json_is(v, JSON_OBJECT))
        return false;
    if (named_kind(x, v) != KIND_NONE)
        return true;
    if (!x->simplified)
        return has_value_member(v);
    enum kind k = KIND_NONE; /* {"languageMap": ...} and the like are the simplified form itself */
    return v->n == 1 && slot_of(json_key(v->members), &k) == SLOT_VALUE && k != KIND_PROPERTY &&
           k != KIND_RELATIONSHIP;
}

/* --- one instance --- */

struct draft {
    struct str name;                 /* of the attribute, as sent */
    enum kind kind;                  /* KIND_NONE: left open */
    const struct json_member *value; /* as sent */
    struct json_member member[SLOTS];
    bool has[SLOTS];
    struct json_member *subs;
    uint32_t n_subs;
    bool deleted, all;
};

static void put(struct draft *d, enum slot s, struct str key, struct json v)
{
    d->member[s] = json_m(key, v);
    d->member[s].key_flags = JSON_PLAIN;
    d->has[s] = true;
}

static struct json finish(const struct expansion *x, struct draft *d)
{
    if (d->deleted) {
        put(d, SLOT_TYPE, S("type"), json_v_str(S("deleted")));
        d->has[SLOT_VALUE] = d->has[SLOT_OBJECT_TYPE] = d->has[SLOT_OBSERVED] = false;
        d->has[SLOT_VALUE_TYPE] = d->has[SLOT_SEALED_ID] = d->has[SLOT_SEALED_TYPE] = false;
        d->has[SLOT_UNIT] = d->has[SLOT_EXPIRES] = false;
        d->n_subs = 0;
    } else if (d->kind != KIND_NONE) {
        put(d, SLOT_TYPE, S("type"), json_v_str(kind_names[d->kind]));
        d->member[SLOT_TYPE].value.flags = JSON_PLAIN;
    }
    struct json_member *m = arena_alloc(x->arena, (SLOTS + d->n_subs + 1) * sizeof(*m));
    size_t n = 0;
    for (int s = 0; s < SLOTS; s++)
        if (d->has[s])
            m[n++] = d->member[s];
    if (d->n_subs)
        memcpy(m + n, d->subs, d->n_subs * sizeof(*m));
    n += d->n_subs;
    if (d->deleted && d->all)
        m[n++] = json_m(S("all"), json_v_bool(true));
    return json_v_object(m, n);
}

static enum err set_value(const struct expansion *x, struct draft *d, enum kind check,
                          struct str member, const struct json *v)
{
    struct error why;
    struct json out;
    int nulls = x->partial ? NULL_ALLOWED : NULL_FORBIDDEN;
    if (entity_value(x->arena, check, v, nulls, x->ctx, &out, &why))
        return expand_fail(x, why.text);
    if (check == KIND_JSON && !x->told && !is_raw_json(v))
        return expand_fail(x, "json must be an object or a list of objects");
    put(d, SLOT_VALUE, member, out);
    return OK;
}

/* @type of the term says what a bare text is: only the simplified form needs it. */
static enum kind coerced_kind(const struct expansion *x, struct str name, const struct json *v)
{
    if (!x->simplified || !json_is(v, JSON_STRING))
        return KIND_NONE;
    struct str type = ld_term_type(x->ctx, name);
    if (str_eq(type, S("@id")) && ld_is_uri(json_text(v)))
        return KIND_RELATIONSHIP;
    return str_eq(type, S("@vocab")) ? KIND_VOCAB : KIND_NONE;
}

static enum err bare_value(const struct expansion *x, struct str name, const struct json *v,
                           struct draft *d)
{
    enum kind coerced = coerced_kind(x, name, v);
    if (coerced != KIND_NONE) {
        d->kind = coerced;
        return set_value(x, d, coerced, kind_members[coerced], v);
    }
    enum kind kind = is_geometry(v) ? KIND_GEO : KIND_PROPERTY;
    d->kind = x->partial ? KIND_NONE : kind;
    return set_value(x, d, kind, S("value"), v);
}

static enum err put_datetime(const struct expansion *x, struct draft *d, enum slot s,
                             const struct json_member *m)
{
    bool erase = x->partial && json_is_null_text(&m->value);
    if (!erase && !expand_is_datetime(&m->value))
        return error_set(x->e, ERR_INVALID, "attribute %" STR_F ": %" STR_F " is not a date-time",
                         QUOTE(x->attribute), STR_A(json_key(m)));
    put(d, s, json_key(m), m->value);
    return OK;
}

static enum err put_dataset(const struct expansion *x, struct draft *d, const struct json *v)
{
    struct str id = json_text(v);
    if (!json_is(v, JSON_STRING) || json_is_null_text(v))
        return expand_fail(x, "datasetId is not a URI");
    if (str_eq(id, S("@none")))
        return OK;
    if (!ld_is_uri(id))
        return expand_fail(x, "datasetId is not a URI");
    put(d, SLOT_DATASET, S("datasetId"), *v);
    return OK;
}

/* A name or several, which become IRIs. */
static enum err put_names(const struct expansion *x, struct draft *d, enum slot slot,
                          struct str member, const struct json *v)
{
    struct error why;
    struct json out;
    if (entity_value(x->arena, KIND_VOCAB, v, x->partial ? NULL_ALLOWED : NULL_FORBIDDEN, x->ctx,
                     &out, &why))
        return error_set(x->e, ERR_INVALID, "attribute %" STR_F ": %" STR_F " must be a name",
                         QUOTE(x->attribute), STR_A(member));
    put(d, slot, member, out);
    return OK;
}

/* What an ngsildproof says of the entity that was signed stands there without reification. */
static enum err put_sealed(const struct expansion *x, struct draft *d, enum slot slot,
                           const struct json_member *m)
{
    if (!str_eq(ld_expand(x->ctx, x->arena, d->name), S(LD_NGSI_PREFIX "ngsildproof")))
        return expand_fail(x, "entityIdSealed and entityTypeSealed belong to ngsildproof");
    if (slot == SLOT_SEALED_TYPE)
        return put_names(x, d, slot, S("entityTypeSealed"), &m->value);
    if (!json_is(&m->value, JSON_STRING) || !ld_is_uri(json_text(&m->value)))
        return expand_fail(x, "entityIdSealed is not a URI");
    put(d, slot, S("entityIdSealed"), m->value);
    return OK;
}

static enum err put_unit(const struct expansion *x, struct draft *d, const struct json *v)
{
    if (!json_is(v, JSON_STRING) || v->n == 0)
        return expand_fail(x, "unitCode must be text");
    if (json_is_null_text(v) && !x->partial)
        return expand_fail(x, "unitCode: " NGSI_NULL " is not permitted here");
    put(d, SLOT_UNIT, S("unitCode"), *v);
    return OK;
}

static enum err put_sub(struct expansion *x, struct draft *d, const struct json_member *m,
                        unsigned depth)
{
    struct str key = json_key(m);
    if (is_ignored(key) || (x->told && is_output_only(key)))
        return OK;
    if (is_output_only(key))
        return error_set(x->e, ERR_INVALID, "attribute %" STR_F ": %" STR_F " is not for input",
                         QUOTE(x->attribute), STR_A(key));
    if (!entity_is_name(key) || str_eq(key, S("id")))
        return error_set(x->e, ERR_INVALID, "attribute %" STR_F ": '%" STR_F "' is not a name",
                         QUOTE(x->attribute), QUOTE(key));
    struct str iri = ld_expand(x->ctx, x->arena, key);
    if (is_instance_word(x, iri))
        return expand_fail(x, "a sub-attribute has the name of a member");
    for (uint32_t i = 0; i < d->n_subs; i++)
        if (str_eq(json_key(&d->subs[i]), iri))
            return expand_fail(x, "the same sub-attribute twice");
    struct json instances = {0};
    enum err err = expand_instances(x, key, &m->value, depth + 1, &instances);
    if (!err)
        d->subs[d->n_subs++] = json_m(iri, instances);
    return err;
}

static enum err put_member(struct expansion *x, struct draft *d, const struct json_member *m,
                           unsigned depth)
{
    const struct json *v = &m->value;
    enum kind kind = KIND_NONE;
    switch (slot_of(json_key(m), &kind)) {
    case SLOT_TYPE:
        return OK;
    case SLOT_CREATED:
    case SLOT_MODIFIED:
    case SLOT_DELETED:
        return x->times ? put_datetime(x, d, slot_of(json_key(m), NULL), m) : OK;
    case SLOT_VALUE:
        if (d->value)
            return expand_fail(x, "has two values");
        if (d->kind == KIND_NONE)
            d->kind = kind == KIND_PROPERTY && is_geometry(v) ? KIND_GEO : kind;
        else if (!str_eq(kind_members[d->kind], json_key(m)))
            return error_set(x->e, ERR_INVALID, "attribute %" STR_F ": a %" STR_F " has no %" STR_F,
                             QUOTE(x->attribute), STR_A(kind_names[d->kind]), STR_A(json_key(m)));
        d->value = m;
        return OK;
    case SLOT_OBJECT_TYPE:
        return put_names(x, d, SLOT_OBJECT_TYPE, S("objectType"), v);
    case SLOT_VALUE_TYPE:
        return json_is(v, JSON_STRING) ? put_names(x, d, SLOT_VALUE_TYPE, S("valueType"), v)
                                       : expand_fail(x, "valueType must be a name");
    case SLOT_SEALED_ID:
    case SLOT_SEALED_TYPE:
        return put_sealed(x, d, slot_of(json_key(m), NULL), m);
    case SLOT_DATASET:
        return put_dataset(x, d, v);
    case SLOT_OBSERVED:
        return put_datetime(x, d, SLOT_OBSERVED, m);
    case SLOT_EXPIRES:
        return put_datetime(x, d, SLOT_EXPIRES, m);
    case SLOT_UNIT:
        return put_unit(x, d, v);
    default:
        return str_eq(json_key(m), S("@type")) ? OK : put_sub(x, d, m, depth);
    }
}

/* A languageMap has texts with languages and nothing else (clause 4.5.18). */
static bool is_language_type(const struct draft *d)
{
    return str_eq(json_text(&d->member[SLOT_VALUE_TYPE].value),
                  S("http://www.w3.org/1999/02/22-rdf-syntax-ns#langString"));
}

/* Members that a kind never has (the lists of what is prohibited in clauses 4.5.2 to 4.5.24). */
static enum err refuse_members(const struct expansion *x, const struct draft *d)
{
    bool link = d->kind == KIND_RELATIONSHIP || d->kind == KIND_LIST_RELATIONSHIP;
    bool unitless =
        link || d->kind == KIND_LANGUAGE || d->kind == KIND_JSON || d->kind == KIND_VOCAB;
    const char *wrong = NULL;
    if (unitless && d->has[SLOT_UNIT])
        wrong = "unitCode";
    else if (link && d->has[SLOT_VALUE_TYPE])
        wrong = "valueType";
    else if (!link && d->kind < KINDS && d->has[SLOT_OBJECT_TYPE])
        wrong = "objectType";
    if (x->told)
        return OK;
    if (d->kind == KIND_LANGUAGE && d->has[SLOT_VALUE_TYPE] && !is_language_type(d))
        return expand_fail(x, "the valueType of a LanguageProperty is langString");
    if (!wrong)
        return OK;
    return error_set(x->e, ERR_INVALID, "attribute %" STR_F ": a %" STR_F " has no %s",
                     QUOTE(x->attribute), STR_A(kind_names[d->kind]), wrong);
}

static enum err members(struct expansion *x, const struct json *object, unsigned depth,
                        struct draft *d)
{
    d->kind = named_kind(x, object);
    if (d->kind == KIND_NONE && !x->simplified && either(object, S("type"), S("@type")) &&
        has_value_member(object))
        return expand_fail(x, "type is not a kind of attribute");
    d->subs = arena_alloc(x->arena, object->n * sizeof(*d->subs));
    for (uint32_t i = 0; i < object->n; i++)
        if (put_member(x, d, &object->members[i], depth))
            return ERR_INVALID;
    if (refuse_members(x, d))
        return ERR_INVALID;
    if (!d->value)
        return x->partial ? OK : expand_fail(x, "has no value");
    if (is_null_value(d->kind, &d->value->value)) {
        if (x->mode == ENTITY_WHOLE)
            return expand_fail(x, NGSI_NULL " is not permitted here");
        d->deleted = true;
        return OK;
    }
    if (!json_is(&d->value->value, JSON_OBJECT) && str_ends(d->name, S("ngsildproof")) &&
        str_eq(ld_expand(x->ctx, x->arena, d->name), S(LD_NGSI_PREFIX "ngsildproof")))
        return expand_fail(x, "the value is not a proof");
    return set_value(x, d, d->kind, kind_members[d->kind], &d->value->value);
}

/* Members that belong to instances, in an object that has no value. */
static bool has_instance_member(const struct json *object)
{
    for (uint32_t i = 0; i < object->n; i++) {
        enum slot s = slot_of(json_key(&object->members[i]), NULL);
        if (s == SLOT_OBSERVED || s == SLOT_UNIT || s == SLOT_DATASET || s == SLOT_OBJECT_TYPE)
            return true;
    }
    return false;
}

static enum err expand_instance(struct expansion *x, struct str name, const struct json *v,
                                unsigned depth, struct json *out)
{
    struct draft d = {.name = name, .kind = KIND_NONE};
    enum err err = OK;
    if (++x->instances > ENTITY_MAX_ATTRS)
        return error_set(x->e, ERR_INVALID, "more than %d attributes", ENTITY_MAX_ATTRS);
    if (json_is_null_text(v) && x->mode != ENTITY_WHOLE) {
        d.deleted = d.all = true;
    } else if (is_instance(x, v)) {
        err = members(x, v, depth, &d);
    } else if (json_is(v, JSON_OBJECT) && !x->simplified && !is_geometry(v)) {
        if (x->partial)
            err = members(x, v, depth, &d);
        else if (has_instance_member(v))
            err = expand_fail(x, "has no value");
        else
            err = bare_value(x, name, v, &d);
    } else {
        err = bare_value(x, name, v, &d);
    }
    if (!err)
        *out = finish(x, &d);
    return err;
}

/* --- all instances of an attribute --- */

static struct str dataset_of(const struct json *instance)
{
    struct inst i;
    inst_open(&i, instance);
    return inst_dataset(&i);
}

static enum err order_instances(struct expansion *x, struct json *items, size_t n)
{
    struct map seen = MAP_INIT;
    enum err err = OK;
    for (size_t i = 0; !err && i < n; i++) {
        struct str id = dataset_of(&items[i]);
        struct json first = items[i];
        if (map_put(&seen, id.p ? id : S("@none"), items))
            err = expand_fail(x, id.p ? "two instances have the same datasetId"
                                      : "two instances have no datasetId");
        if (!id.p && i) {
            memmove(items + 1, items, i * sizeof(*items));
            items[0] = first;
        }
    }
    map_release(&seen);
    return err;
}

static bool is_instance_array(const struct expansion *x, const struct json *v)
{
    if (!json_is(v, JSON_ARRAY) || v->n == 0)
        return false;
    for (uint32_t i = 0; i < v->n; i++) {
        const struct json *item = &v->items[i];
        bool fragment =
            x->partial && !x->simplified && json_is(item, JSON_OBJECT) && has_instance_member(item);
        if (!fragment && !is_instance(x, item))
            return false;
    }
    return true;
}

/* {"dataset": {"@none": value, URI: value ...}}: several instances in simplified form. */
static const struct json *simplified_datasets(const struct expansion *x, const struct json *v)
{
    if (!x->simplified || !json_is(v, JSON_OBJECT) || v->n != 1)
        return NULL;
    const struct json *d = json_get(v, S("dataset"));
    return json_is(d, JSON_OBJECT) && d->n ? d : NULL;
}

static enum err expand_datasets(struct expansion *x, struct str name, const struct json *v,
                                unsigned depth, struct json *items)
{
    for (uint32_t i = 0; i < v->n; i++) {
        struct str id = json_key(&v->members[i]);
        struct json one;
        if (expand_instance(x, name, &v->members[i].value, depth, &one))
            return ERR_INVALID;
        if (!str_eq(id, S("@none"))) {
            if (!ld_is_uri(id))
                return expand_fail(x, "datasetId is not a URI");
            struct json_member *m = arena_alloc(x->arena, (one.n + 1) * sizeof(*m));
            memcpy(m, one.members, one.n * sizeof(*m));
            m[one.n] = json_m(S("datasetId"), json_v_str(id));
            one = json_v_object(m, one.n + 1);
        }
        items[i] = one;
    }
    return order_instances(x, items, v->n);
}

enum err expand_instances(struct expansion *x, struct str name, const struct json *v,
                          unsigned depth, struct json *out)
{
    if (depth > ENTITY_MAX_DEPTH)
        return expand_fail(x, "sub-attributes are nested too deeply");
    const struct json *datasets = simplified_datasets(x, v);
    bool several = is_instance_array(x, v);
    uint32_t n = datasets ? datasets->n : several ? v->n : 1;
    if (n > ENTITY_MAX_ATTRS)
        return expand_fail(x, "too many instances");
    struct json *items = arena_alloc(x->arena, n * sizeof(*items));
    enum err err = OK;
    if (datasets) {
        err = expand_datasets(x, name, datasets, depth, items);
    } else if (several) {
        for (uint32_t i = 0; !err && i < n; i++)
            err = expand_instance(x, name, &v->items[i], depth, &items[i]);
        if (!err && n > 1)
            err = order_instances(x, items, n);
    } else {
        err = expand_instance(x, name, v, depth, items);
    }
    *out = json_v_array(items, n);
    return err;
}
