/*
 * Stored form into what clients read (clauses 4.5.2 to 4.5.4, 4.5.16): normalized, concise and
 * simplified, as an object or as a GeoJSON Feature.
 *
 * Most of the cost of a read is here, so names of members are written as ready-made text and names
 * of attributes are compacted without copying where the context permits it.
 */
#include "entity_impl.h"

#include <string.h>

/* A key that needs no escapes, with its quotes and colon. */
#define KEY(w, name) write_key((w), "\"" name "\":", sizeof("\"" name "\":") - 1)

static void write_key(struct json_writer *w, const char *quoted, size_t n)
{
    if (w->comma)
        buf_char(w->out, ',');
    buf_add(w->out, quoted, n);
    w->comma = false;
}

static const struct {
    const char *text;
    size_t n;
} kind_text[KINDS] = {
#define KIND_TEXT(name)                                                                            \
    {                                                                                              \
        "\"type\":\"" name "\"", sizeof("\"type\":\"" name "\"") - 1                               \
    }
    KIND_TEXT("Property"),         KIND_TEXT("GeoProperty"),      KIND_TEXT("Relationship"),
    KIND_TEXT("LanguageProperty"), KIND_TEXT("JsonProperty"),     KIND_TEXT("VocabProperty"),
    KIND_TEXT("ListProperty"),     KIND_TEXT("ListRelationship"),
#undef KIND_TEXT
};

static void write_kind(struct json_writer *w, enum kind kind)
{
    write_key(w, kind_text[kind].text, kind_text[kind].n);
    w->comma = true;
}

static const struct ld_context *context_of(const struct entity_view *v)
{
    return v->ctx ? v->ctx : ld_core();
}

static void write_name(struct json_writer *w, struct arena *a, const struct json *iri,
                       const struct entity_view *v)
{
    if (json_is(iri, JSON_STRING))
        json_w_str(w, ld_compact(context_of(v), a, json_text(iri)));
    else
        json_w_value(w, iri);
}

/* One name, or several in an array. */
static void write_names(struct json_writer *w, struct arena *a, const struct json *iris,
                        const struct entity_view *v, bool single)
{
    if (!json_is(iris, JSON_ARRAY)) {
        write_name(w, a, iris, v);
        return;
    }
    if (single && iris->n == 1) {
        write_name(w, a, &iris->items[0], v);
        return;
    }
    json_w_array(w);
    for (uint32_t i = 0; i < iris->n; i++)
        write_name(w, a, &iris->items[i], v);
    json_w_end(w);
}

/* --- values --- */

/* The URIs of an objectList without the objects around them. */
static void write_uris(struct json_writer *w, const struct json *list)
{
    json_w_array(w);
    for (uint32_t i = 0; json_is(list, JSON_ARRAY) && i < list->n; i++) {
        const struct json *uri = json_get(&list->items[i], S("object"));
        json_w_value(w, uri ? uri : &list->items[i]);
    }
    json_w_end(w);
}

/* The value as it stands in the member of its kind. */
static void write_value(struct json_writer *w, struct arena *a, enum kind kind,
                        const struct json *value, const struct entity_view *v)
{
    if (kind == KIND_VOCAB)
        write_names(w, a, value, v, false);
    else if (kind == KIND_LIST_RELATIONSHIP && v->form != FORM_NORMALIZED)
        write_uris(w, value);
    else
        json_w_value(w, value);
}

/* --- one instance --- */

struct shown {
    struct inst in;
    enum kind kind;
    struct str member; /* of the value, as stored */
    const struct json *value;
    struct str lang; /* of a LanguageProperty reduced to one language */
};

static struct shown show(const struct json *instance, const struct entity_view *v)
{
    struct shown s = {.lang = STR_NONE};
    inst_open(&s.in, instance);
    s.kind = inst_kind(&s.in);
    if (s.in.slot[SLOT_VALUE]) {
        s.member = json_key(s.in.slot[SLOT_VALUE]);
        s.value = &s.in.slot[SLOT_VALUE]->value;
    }
    if (s.kind == KIND_LANGUAGE && v->lang.n && json_is(s.value, JSON_OBJECT)) {
        const struct json_member *m = entity_language(s.value, v->lang);
        if (m) {
            s.kind = KIND_PROPERTY;
            s.member = S("value");
            s.value = &m->value;
            s.lang = json_key(m);
        }
    }
    return s;
}

static void write_slot(struct json_writer *w, const struct shown *s, enum slot slot,
                       const char *quoted, size_t n)
{
    const struct json_member *m = s->in.slot[slot];
    if (!m)
        return;
    write_key(w, quoted, n);
    json_w_value(w, &m->value);
}
#define SLOT_TEXT(w, s, slot, name)                                                                \
    write_slot((w), (s), (slot), "\"" name "\":", sizeof("\"" name "\":") - 1)

static void write_attr(struct json_writer *w, struct arena *a, const struct json_member *attr,
                       const struct entity_view *v, bool nested);

static void write_members(struct json_writer *w, struct arena *a, const struct shown *s,
                          const struct entity_view *v)
{
    if (s->value) {
        json_w_key(w, s->member);
        write_value(w, a, s->kind, s->value, v);
    }
    if (s->lang.p) {
        KEY(w, "lang");
        json_w_str(w, s->lang);
    }
    if (s->in.slot[SLOT_OBJECT_TYPE]) {
        KEY(w, "objectType");
        write_names(w, a, &s->in.slot[SLOT_OBJECT_TYPE]->value, v, true);
    }
    if (s->in.slot[SLOT_VALUE_TYPE]) {
        KEY(w, "valueType");
        write_name(w, a, &s->in.slot[SLOT_VALUE_TYPE]->value, v);
    }
    SLOT_TEXT(w, s, SLOT_SEALED_ID, "entityIdSealed");
    if (s->in.slot[SLOT_SEALED_TYPE]) {
        KEY(w, "entityTypeSealed");
        write_names(w, a, &s->in.slot[SLOT_SEALED_TYPE]->value, v, true);
    }
    SLOT_TEXT(w, s, SLOT_DATASET, "datasetId");
    SLOT_TEXT(w, s, SLOT_OBSERVED, "observedAt");
    SLOT_TEXT(w, s, SLOT_UNIT, "unitCode");
    if (v->sys_attrs) {
        SLOT_TEXT(w, s, SLOT_EXPIRES, "expiresAt");
        SLOT_TEXT(w, s, SLOT_CREATED, "createdAt");
        SLOT_TEXT(w, s, SLOT_MODIFIED, "modifiedAt");
        SLOT_TEXT(w, s, SLOT_DELETED, "deletedAt");
    }
    for (uint32_t i = 0; i < s->in.n_subs; i++)
        write_attr(w, a, &s->in.subs[i], v, true);
}

/* Only the value would be shown, and read alone it would be read back as the same attribute. */
static bool bare_when_concise(const struct shown *s, const struct entity_view *v)
{
    static const enum slot visible[] = {SLOT_DATASET,    SLOT_OBSERVED,  SLOT_UNIT,
                                        SLOT_VALUE_TYPE, SLOT_SEALED_ID, SLOT_SEALED_TYPE};
    if (s->in.n_subs || s->lang.p || !s->value)
        return false;
    for (size_t i = 0; i < sizeof(visible) / sizeof(*visible); i++)
        if (s->in.slot[visible[i]])
            return false;
    if (v->sys_attrs && (s->in.slot[SLOT_CREATED] || s->in.slot[SLOT_MODIFIED] ||
                         s->in.slot[SLOT_EXPIRES] || s->in.slot[SLOT_DELETED]))
        return false;
    if (s->kind == KIND_GEO)
        return true;
    if (s->kind != KIND_PROPERTY || s->value->type == JSON_OBJECT)
        return false;
    return s->value->type != JSON_ARRAY || s->value->n == 0 ||
           s->value->items[0].type != JSON_OBJECT;
}

/* Without its type it would read back as a GeoProperty. */
static bool misleads(const struct shown *s)
{
    return s->kind == KIND_PROPERTY && s->value && is_geometry(s->value);
}

static void write_simplified(struct json_writer *w, struct arena *a, const struct shown *s,
                             const struct entity_view *v)
{
    if (!s->value) {
        json_w_null(w);
        return;
    }
    bool bare = s->kind == KIND_PROPERTY || s->kind == KIND_GEO || s->kind == KIND_RELATIONSHIP;
    if (!bare) {
        json_w_object(w);
        json_w_key(w, s->member);
    }
    write_value(w, a, s->kind, s->value, v);
    if (!bare)
        json_w_end(w);
}

/* lone: the only instance shown; one of several is never a bare value, which would read as an item.
 */
static void write_instance(struct json_writer *w, struct arena *a, const struct json *instance,
                           const struct entity_view *v, bool lone)
{
    struct shown s = show(instance, v);
    if (v->form == FORM_SIMPLIFIED) {
        write_simplified(w, a, &s, v);
        return;
    }
    if (v->form == FORM_CONCISE && lone && bare_when_concise(&s, v)) {
        write_value(w, a, s.kind, s.value, v);
        return;
    }
    json_w_object(w);
    if (s.kind < KINDS && (v->form == FORM_NORMALIZED || misleads(&s)))
        write_kind(w, s.kind);
    write_members(w, a, &s, v);
    json_w_end(w);
}

void entity_write_instance(struct json_writer *w, struct arena *a, const struct json *instance,
                           const struct entity_view *v)
{
    write_instance(w, a, instance, v, true);
}

/* --- an attribute --- */

/* The datasetId filter is for attributes; nested ones go with theirs. */
static bool shows(const struct json *instance, const struct entity_view *v, bool nested)
{
    struct inst i;
    if (v->now && entity_expired(instance, v->now))
        return false;
    if (!v->datasets || nested)
        return true;
    inst_open(&i, instance);
    struct str id = inst_dataset(&i);
    for (size_t k = 0; k < v->n_datasets; k++)
        if (str_eq(v->datasets[k], id.p ? id : S("@none")))
            return true;
    return false;
}

static void write_several(struct json_writer *w, struct arena *a, const struct json *instances,
                          const struct entity_view *v, bool nested)
{
    bool keyed = v->form == FORM_SIMPLIFIED;
    if (keyed) {
        json_w_object(w);
        KEY(w, "dataset");
        json_w_object(w);
    } else {
        json_w_array(w);
    }
    for (uint32_t i = 0; i < instances->n; i++) {
        const struct json *instance = &instances->items[i];
        if (!shows(instance, v, nested))
            continue;
        if (keyed) {
            struct inst in;
            inst_open(&in, instance);
            struct str id = inst_dataset(&in);
            json_w_key(w, id.p ? id : S("@none"));
        }
        write_instance(w, a, instance, v, false);
    }
    json_w_end(w);
    if (keyed)
        json_w_end(w);
}

static void write_attr(struct json_writer *w, struct arena *a, const struct json_member *attr,
                       const struct entity_view *v, bool nested)
{
    const struct json *instances = &attr->value;
    if (!json_is(instances, JSON_ARRAY) || instances->n == 0)
        return;
    const struct json *only = NULL;
    uint32_t n = 0;
    for (uint32_t i = 0; i < instances->n; i++)
        if (shows(&instances->items[i], v, nested)) {
            only = &instances->items[i];
            n++;
        }
    if (n == 0)
        return;
    json_w_key(w, ld_compact(context_of(v), a, json_key(attr)));
    if (n == 1)
        write_instance(w, a, only, v, true);
    else
        write_several(w, a, instances, v, nested);
}

/* --- the entity --- */

static bool among(const struct str *names, size_t n, struct str name)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(names[i], name))
            return true;
    return false;
}

static bool wanted(struct str name, const struct entity_view *v)
{
    if (v->pick && !among(v->pick, v->n_pick, name))
        return false;
    return !v->omit || !among(v->omit, v->n_omit, name);
}

static void write_scope(struct json_writer *w, const struct json *scope)
{
    KEY(w, "scope");
    if (json_is(scope, JSON_ARRAY) && scope->n == 1)
        scope = &scope->items[0];
    json_w_value(w, scope);
}

/* A member that is not an attribute. The id of a Feature stands outside its properties. */
static void write_head(struct json_writer *w, struct arena *a, const struct json_member *m,
                       const struct entity_view *v)
{
    struct str key = json_key(m);
    if (str_eq(key, S("id"))) {
        if (!v->geojson && wanted(key, v)) {
            KEY(w, "id");
            json_w_value(w, &m->value);
        }
    } else if (str_eq(key, S("type"))) {
        if (wanted(key, v)) {
            KEY(w, "type");
            write_names(w, a, &m->value, v, true);
        }
    } else if (str_eq(key, S("scope"))) {
        if (wanted(key, v))
            write_scope(w, &m->value);
    } else if (v->sys_attrs && key.p[0] != '@') {
        json_w_key(w, key);
        json_w_value(w, &m->value);
    }
}

static void write_properties(struct json_writer *w, struct arena *a, const struct json *stored,
                             const struct entity_view *v)
{
    for (uint32_t i = 0; i < stored->n; i++) {
        const struct json_member *m = &stored->members[i];
        if (entity_is_member(json_key(m)))
            write_head(w, a, m, v);
        else if (wanted(json_key(m), v))
            write_attr(w, a, m, v, false);
    }
}

static void write_context(struct json_writer *w, const struct entity_view *v)
{
    if (!v->with_context)
        return;
    KEY(w, "@context");
    json_w_value(w, ld_context_json(context_of(v)));
}

/* The geometry of a Feature: of the first wanted instance, the default one before others. */
static const struct json *geometry_of(const struct json *stored, const struct entity_view *v)
{
    struct str iri = v->geometry.n ? v->geometry : S(LD_NGSI_PREFIX "location");
    const struct json *instances = entity_attr(stored, iri);
    for (uint32_t i = 0; json_is(instances, JSON_ARRAY) && i < instances->n; i++) {
        struct inst in;
        inst_open(&in, &instances->items[i]);
        if (inst_kind(&in) == KIND_GEO && in.slot[SLOT_VALUE] &&
            shows(&instances->items[i], v, false))
            return &in.slot[SLOT_VALUE]->value;
    }
    return NULL;
}

static void write_feature(struct json_writer *w, struct arena *a, const struct json *stored,
                          const struct entity_view *v)
{
    const struct json *id = json_get(stored, S("id")), *geometry = geometry_of(stored, v);
    json_w_object(w);
    if (id) {
        KEY(w, "id");
        json_w_value(w, id);
    }
    KEY(w, "type");
    json_w_str(w, S("Feature"));
    KEY(w, "geometry");
    if (geometry)
        json_w_value(w, geometry);
    else
        json_w_null(w);
    KEY(w, "properties");
    json_w_object(w);
    write_properties(w, a, stored, v);
    json_w_end(w);
    write_context(w, v);
    json_w_end(w);
}

void entity_write(struct buf *out, struct arena *a, const struct json *stored,
                  const struct entity_view *v)
{
    struct json_writer w = json_writer(out);
    if (!json_is(stored, JSON_OBJECT)) {
        json_w_null(&w);
        return;
    }
    if (v->geojson) {
        write_feature(&w, a, stored, v);
        return;
    }
    json_w_object(&w);
    write_properties(&w, a, stored, v);
    write_context(&w, v);
    json_w_end(&w);
}
