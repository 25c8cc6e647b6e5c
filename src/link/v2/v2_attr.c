/* Attributes of NGSIv2 into instances of the stored form; v2.h tells how. */
#include "v2.h"

/* --- building instances --- */

/* Members of an instance in the making; sub-attributes follow the others. */
struct draft {
    struct json_member head[8], *subs;
    size_t n_head, n_subs;
    struct json_member own[3]; /* of the member "v2" */
    size_t n_own;
};

static void put(struct draft *d, struct str key, struct json v)
{
    d->head[d->n_head++] = json_m(key, v);
}

static void put_own(struct draft *d, struct str key, struct json v)
{
    d->own[d->n_own++] = json_m(key, v);
}

static struct json_member *copy(struct arena *a, const struct json_member *m, size_t n)
{
    struct json_member *out = ARENA_ARRAY(a, struct json_member, n);
    if (n)
        memcpy(out, m, n * sizeof(*m));
    return out;
}

static struct json finish(struct arena *a, struct draft *d)
{
    if (d->n_own)
        put(d, S("v2"), json_v_object(copy(a, d->own, d->n_own), d->n_own));
    struct json_member *m = ARENA_ARRAY(a, struct json_member, d->n_head + d->n_subs);
    memcpy(m, d->head, d->n_head * sizeof(*m));
    if (d->n_subs)
        memcpy(m + d->n_head, d->subs, d->n_subs * sizeof(*m));
    return json_v_object(m, d->n_head + d->n_subs);
}

/* --- values --- */

static bool is_time_type(struct str type)
{
    return str_eq(type, S("DateTime")) || str_eq(type, S("ISO8601"));
}

bool v2_datetime(struct arena *a, struct str text, struct str *out)
{
    int64_t instant;
    struct civil c;
    struct str with_zone = str_concat(a, text, S("Z"));
    *out = text;
    if (datetime_parse(text, &instant))
        return true;
    if (date_parse(text, &c))
        with_zone = str_concat(a, text, S("T00:00:00Z"));
    *out = with_zone;
    return datetime_parse(with_zone, &instant);
}

static enum err put_time(struct arena *a, struct draft *d, const struct json *value,
                         struct error *e)
{
    struct str text;
    if (!json_is(value, JSON_STRING) || !v2_datetime(a, json_text(value), &text))
        return error_set(e, ERR_INVALID, "date has invalid format");
    struct json_member *m = ARENA_ARRAY(a, struct json_member, 2);
    m[0] = json_m(S("@type"), json_v_str(S("DateTime")));
    m[1] = json_m(S("@value"), json_v_str(text));
    put(d, S("type"), json_v_str(S("Property")));
    put(d, S("value"), json_v_object(m, 2));
    if (!str_eq(text, json_text(value)))
        put_own(d, S("value"), *value);
    return OK;
}

static enum err put_place(struct arena *a, struct draft *d, struct str type,
                          const struct json *value, struct error *e)
{
    struct error why = {0};
    bool simple = v2_is_simple_geo(type);
    const struct json *g = value;
    if (simple)
        g = v2_geo_in(a, type, value, &why);
    else if (!geo_parse(a, value, GEO_MAX_POSITIONS, &why))
        g = NULL;
    if (!g)
        return error_set(e, ERR_INVALID, "geo coordinates format error: %s", why.text);
    put(d, S("type"), json_v_str(S("GeoProperty")));
    put(d, S("value"), *g);
    if (simple)
        put_own(d, S("value"), *value);
    return OK;
}

static bool one_object(struct arena *a, const struct json *v, struct json *out)
{
    struct error e;
    if (!json_is(v, JSON_STRING) || v2_check_id(json_text(v), "object", &e))
        return false;
    *out = json_v_str(v2_alias(a, json_text(v)));
    return true;
}

/* An id, or several of them. */
static bool put_relationship(struct arena *a, struct draft *d, const struct json *value)
{
    struct json object;
    if (json_is(value, JSON_ARRAY)) {
        struct json *items = ARENA_ARRAY(a, struct json, value->n);
        for (uint32_t i = 0; i < value->n; i++)
            if (!one_object(a, &value->items[i], &items[i]))
                return false;
        if (!value->n)
            return false;
        object = json_v_array(items, value->n);
    } else if (!one_object(a, value, &object)) {
        return false;
    }
    put(d, S("type"), json_v_str(S("Relationship")));
    put(d, S("object"), object);
    return true;
}

/* Kinds of NGSI-LD that a type may name, when the value fits. */
static bool put_kind(struct arena *a, struct draft *d, struct str type, const struct json *value)
{
    struct error why;
    struct json v;
    enum kind kind = kind_of_name(type);
    if (kind == KIND_RELATIONSHIP)
        return put_relationship(a, d, value);
    if (kind >= KINDS || kind == KIND_PROPERTY || kind == KIND_GEO ||
        entity_value(a, kind, value, NULL_ALLOWED, ld_core(), &v, &why))
        return false;
    put(d, S("type"), json_v_str(kind_names[kind]));
    put(d, kind_members[kind], v);
    return true;
}

static enum err put_value(struct arena *a, struct draft *d, struct str type,
                          const struct json *value, struct error *e)
{
    if (value->type == JSON_NULL) {
        put(d, S("type"), json_v_str(S("JsonProperty")));
        put(d, S("json"), *value);
        return OK;
    }
    if (is_time_type(type) && !v2_is_operator(value))
        return put_time(a, d, value, e);
    if (v2_is_simple_geo(type) || str_eq(type, S("geo:json")))
        return put_place(a, d, type, value, e);
    if (!put_kind(a, d, type, value)) {
        put(d, S("type"), json_v_str(S("Property")));
        put(d, S("value"), *value);
    }
    return OK;
}

/* Value and type; the type is kept where it could not be told from the value. */
static enum err put_typed(struct arena *a, struct draft *d, struct str type,
                          const struct json *value, struct error *e)
{
    enum err err = put_value(a, d, type, value, e);
    if (err)
        return err;
    struct json bare = json_v_object(d->head, d->n_head);
    if (type.p && !str_eq(v2_type(a, &bare), type))
        put_own(d, S("type"), json_v_str(type));
    else if (!type.p && json_is(value, JSON_OBJECT) &&
             !str_eq(v2_type(a, &bare), S("StructuredValue")))
        put_own(d, S("type"), json_v_str(S("StructuredValue")));
    return OK;
}

enum err v2_value_in(struct arena *a, const struct json *value, struct str type,
                     struct json *instance, struct error *e)
{
    struct draft d = {.n_head = 0};
    enum err err = put_typed(a, &d, type, value, e);
    if (!err)
        *instance = finish(a, &d);
    return err;
}

/* --- {"value", "type", "metadata"} --- */

struct parts {
    const struct json *value, *metadata;
    struct str type; /* absent: not given */
};

static const struct json null_value = {.type = JSON_NULL};

/* what: "attribute" or "metadata". */
static enum err take_parts(const struct json *v, bool with_metadata, const char *what,
                           struct parts *out, struct error *e)
{
    *out = (struct parts){.value = &null_value};
    for (uint32_t i = 0; i < v->n; i++) {
        const struct json_member *m = &v->members[i];
        struct str key = json_key(m);
        if (str_eq(key, S("value"))) {
            out->value = &m->value;
        } else if (str_eq(key, S("type"))) {
            if (!json_is(&m->value, JSON_STRING))
                return error_set(e, ERR_INVALID, "invalid JSON type for %s type", what);
            out->type = json_text(&m->value);
        } else if (with_metadata && str_eq(key, S("metadata"))) {
            if (!json_is(&m->value, JSON_OBJECT))
                return error_set(e, ERR_INVALID, "metadata must be a JSON object");
            out->metadata = &m->value;
        } else {
            return error_set(e, ERR_INVALID, "unrecognized property for %s: %" STR_F, what,
                             QUOTE(key));
        }
    }
    return OK;
}

static enum err check_type(struct str type, const char *what, struct error *e)
{
    return type.p ? v2_check_id(type, what, e) : OK;
}

/* --- metadata --- */

static bool is_builtin_metadata(struct str name)
{
    return str_eq(name, S("dateCreated")) || str_eq(name, S("dateModified")) ||
           str_eq(name, S("previousValue")) || str_eq(name, S("actionType"));
}

static bool has_member(const struct json_member *m, size_t n, struct str key)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(json_key(&m[i]), key))
            return true;
    return false;
}

/* TimeInstant and observedAt are the instance's observedAt, once. */
static bool put_observed(struct arena *a, struct draft *d, struct str name, const struct parts *p)
{
    int64_t instant;
    bool named = str_eq(name, S("TimeInstant")) || str_eq(name, S("observedAt"));
    if (!named || has_member(d->head, d->n_head, S("observedAt")) ||
        !json_is(p->value, JSON_STRING) || !datetime_parse(json_text(p->value), &instant))
        return false;
    struct str type = p->type.p ? p->type : S("Text");
    put(d, S("observedAt"), *p->value);
    if (str_eq(name, S("observedAt")) && str_eq(type, S("DateTime")))
        return true;
    struct json_member *m = ARENA_ARRAY(a, struct json_member, 2);
    m[0] = json_m(S("name"), json_v_str(name));
    m[1] = json_m(S("type"), json_v_str(type));
    put_own(d, S("observed"), json_v_object(m, 2));
    return true;
}

static bool put_unit(struct draft *d, struct str name, const struct parts *p)
{
    if (!str_eq(name, S("unitCode")) || !json_is(p->value, JSON_STRING) || !p->value->n ||
        (p->type.p && !str_eq(p->type, S("Text"))))
        return false;
    put(d, S("unitCode"), *p->value);
    return true;
}

static enum err put_metadata(struct arena *a, struct draft *d, const struct json_member *m,
                             struct error *e)
{
    struct parts p;
    struct str name = json_key(m);
    if (is_builtin_metadata(name))
        return OK;
    if (str_eq(name, S("*")))
        return error_set(e, ERR_INVALID, "* is not a metadata name");
    if (v2_check_id(name, "metadata name", e))
        return ERR_INVALID;
    if (!json_is(&m->value, JSON_OBJECT))
        return error_set(e, ERR_INVALID, "metadata %" STR_F " must be a JSON object", QUOTE(name));
    if (take_parts(&m->value, false, "metadata", &p, e) || check_type(p.type, "metadata type", e) ||
        v2_check_value(p.value, "metadata value", e))
        return ERR_INVALID;
    if (put_observed(a, d, name, &p) || put_unit(d, name, &p))
        return OK;
    struct json *sub = ARENA_NEW(a, struct json);
    struct str iri = v2_iri(a, name);
    if (v2_value_in(a, p.value, p.type, sub, e))
        return ERR_INVALID;
    if (has_member(d->subs, d->n_subs, iri))
        return error_set(e, ERR_INVALID, "metadata %" STR_F " twice", QUOTE(name));
    d->subs[d->n_subs++] = json_m(iri, json_v_array(sub, 1));
    return OK;
}

/* --- attributes --- */

enum err v2_attr_in(struct arena *a, struct str name, const struct json *attr, bool key_values,
                    struct json *instance, struct error *e)
{
    struct parts p = {.value = attr};
    struct draft d = {.n_head = 0};
    if (!key_values && !json_is(attr, JSON_OBJECT))
        return error_set(
            e, ERR_INVALID,
            "attribute must be a JSON object, unless keyValues option is used: %" STR_F,
            QUOTE(name));
    if (!key_values && take_parts(attr, true, "attribute", &p, e))
        return ERR_INVALID;
    if (check_type(p.type, "attribute type", e))
        return ERR_INVALID;
    if (!str_eq(p.type, S("TextUnrestricted")) && v2_check_value(p.value, "attribute value", e))
        return ERR_INVALID;
    enum err err = put_typed(a, &d, p.type, p.value, e);
    size_t n = p.metadata ? p.metadata->n : 0;
    if (n > ENTITY_MAX_ATTRS)
        return error_set(e, ERR_INVALID, "more than %d metadata", ENTITY_MAX_ATTRS);
    d.subs = ARENA_ARRAY(a, struct json_member, n);
    for (size_t i = 0; !err && i < n; i++)
        err = put_metadata(a, &d, &p.metadata->members[i], e);
    if (!err)
        *instance = finish(a, &d);
    return err;
}

struct json v2_keep_metadata(struct arena *a, const struct json *before, struct json instance)
{
    static const struct str heads[] = {S_INIT("observedAt"), S_INIT("unitCode")};
    struct inst was;
    inst_open(&was, before);
    struct json out = instance;
    const struct json *own = json_get(&instance, S("v2"));
    const struct json *observed = json_get(json_get(before, S("v2")), S("observed"));
    if (observed && !json_get(&instance, S("observedAt"))) {
        struct json empty = json_v_object(NULL, 0);
        out =
            json_with(a, &out, S("v2"), json_with(a, own ? own : &empty, S("observed"), *observed));
    }
    for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++) {
        const struct json *old = json_get(before, heads[i]);
        if (old && !json_get(&instance, heads[i]))
            out = json_with(a, &out, heads[i], *old);
    }
    /* sub-attributes come last */
    struct inst is;
    inst_open(&is, &instance);
    struct draft d = {.n_head = 0};
    d.subs = ARENA_ARRAY(a, struct json_member, is.n_subs + was.n_subs);
    for (uint32_t i = 0; i < out.n; i++)
        if (slot_of(json_key(&out.members[i]), NULL) != SLOT_SUB)
            d.head[d.n_head++] = out.members[i];
    for (uint32_t i = 0; i < is.n_subs; i++)
        d.subs[d.n_subs++] = is.subs[i];
    for (uint32_t i = 0; i < was.n_subs; i++)
        if (!json_get(&instance, json_key(&was.subs[i])))
            d.subs[d.n_subs++] = was.subs[i];
    return finish(a, &d);
}

/* --- all attributes of a body --- */

static bool is_builtin(struct str name)
{
    return str_eq(name, S("dateCreated")) || str_eq(name, S("dateModified"));
}

static enum err take_expires(struct arena *a, const struct json *attr, bool key_values,
                             struct v2_input *out, struct error *e)
{
    struct parts p = {.value = attr};
    struct str text;
    if (!key_values) {
        if (!json_is(attr, JSON_OBJECT))
            return error_set(e, ERR_INVALID, "dateExpires must be a JSON object");
        if (take_parts(attr, true, "attribute", &p, e))
            return ERR_INVALID;
    }
    if (!json_is(p.value, JSON_STRING) || !v2_datetime(a, json_text(p.value), &text))
        return error_set(e, ERR_INVALID, "dateExpires: date has invalid format");
    struct json *v = ARENA_NEW(a, struct json);
    *v = json_v_str(text);
    out->expires = v;
    return OK;
}

static enum err check_name(struct str name, struct error *e)
{
    if (is_builtin(name) || str_eq(name, S("geo:distance")) || str_eq(name, S("*")) ||
        str_eq(name, S("alterationType")))
        return error_set(e, ERR_INVALID, "%" STR_F " cannot be the name of an attribute",
                         STR_A(name));
    return v2_check_id(name, "attribute name", e);
}

enum err v2_attrs_in(struct arena *a, const struct json *body, bool whole, bool key_values,
                     bool lenient, struct v2_input *out, struct error *e)
{
    *out = (struct v2_input){.attrs = ARENA_ARRAY(a, struct json_member, body->n)};
    if (body->n > ENTITY_MAX_ATTRS + 3)
        return error_set(e, ERR_INVALID, "more than %d attributes", ENTITY_MAX_ATTRS);
    for (uint32_t i = 0; i < body->n; i++) {
        const struct json_member *m = &body->members[i];
        struct str name = json_key(m);
        if (str_eq(name, S("id")) || str_eq(name, S("type"))) {
            if (!whole)
                return error_set(e, ERR_INVALID, "entity %" STR_F " specified in payload",
                                 STR_A(name));
            continue;
        }
        if (lenient && !str_eq(name, S("dateExpires")) && v2_is_builtin(name))
            continue;
        if (str_eq(name, S("dateExpires"))) {
            if (take_expires(a, &m->value, key_values, out, e))
                return ERR_INVALID;
            continue;
        }
        struct json *instance = ARENA_NEW(a, struct json);
        if (check_name(name, e) || v2_attr_in(a, name, &m->value, key_values, instance, e))
            return ERR_INVALID;
        struct str iri = v2_iri(a, name);
        if (has_member(out->attrs, out->n, iri))
            return error_set(e, ERR_INVALID, "attribute %" STR_F " twice", QUOTE(name));
        out->attrs[out->n++] = json_m(iri, json_v_array(instance, 1));
    }
    return OK;
}
