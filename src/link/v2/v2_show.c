/* The stored form as NGSIv2 shows it: normalized, keyValues, values, unique. */
#include "link/repo.h"
#include "v2.h"

/* --- type and value of an instance --- */

static bool is_typed_time(const struct json *value)
{
    return json_is(value, JSON_OBJECT) && value->n == 2 &&
           str_eq(json_text(json_get(value, S("@type"))), S("DateTime")) &&
           json_is(json_get(value, S("@value")), JSON_STRING);
}

static struct str type_of_value(const struct json *value)
{
    switch (value ? value->type : JSON_NULL) {
    case JSON_STRING:
        return S("Text");
    case JSON_NUMBER:
        return S("Number");
    case JSON_TRUE:
    case JSON_FALSE:
        return S("Boolean");
    case JSON_NULL:
        return S("None");
    default:
        return is_typed_time(value) ? S("DateTime") : S("StructuredValue");
    }
}

static struct str kept_type(const struct json *instance)
{
    return json_text(json_get(json_get(instance, S("v2")), S("type")));
}

struct str v2_type(struct arena *a, const struct json *instance)
{
    const struct json *value = instance_value(instance);
    struct str kept = kept_type(instance), kind = json_text(json_get(instance, S("type")));
    const struct json *sent = json_get(json_get(instance, S("v2")), S("value"));
    struct json simple;
    if (kept.p && !(sent && v2_is_simple_geo(kept) && !v2_geo_out(a, kept, value, &simple)))
        return kept;
    if (str_eq(kind, S("Property")) || json_is(value, JSON_NULL))
        return type_of_value(value);
    return str_eq(kind, S("GeoProperty")) ? S("geo:json") : kind;
}

/* The text that was sent, as long as it still says what is stored. */
static bool sent_place(struct arena *a, const struct json *instance, struct str type,
                       const struct json *value, struct json *out)
{
    const struct json *sent = json_get(json_get(instance, S("v2")), S("value"));
    const struct json *place = sent ? v2_geo_in(a, type, sent, NULL) : NULL;
    if (!place || !json_equal(place, value, true))
        return v2_geo_out(a, type, value, out);
    *out = *sent;
    return true;
}

static struct json show_time(struct arena *a, const struct json *instance, const struct json *value)
{
    const struct json *at = json_get(value, S("@value"));
    const struct json *sent = json_get(json_get(instance, S("v2")), S("value"));
    struct str text;
    if (json_is(sent, JSON_STRING) && v2_datetime(a, json_text(sent), &text) &&
        str_eq(text, json_text(at)))
        return *sent;
    return *at;
}

/* URIs of a Relationship, or of {"object": URI}, as the ids that clients chose. */
static struct json show_objects(struct arena *a, const struct json *v)
{
    if (json_is(v, JSON_OBJECT) && json_get(v, S("object")))
        v = json_get(v, S("object"));
    if (json_is(v, JSON_STRING))
        return json_v_str(v2_id(a, json_text(v)));
    if (!json_is(v, JSON_ARRAY))
        return *v;
    struct json *items = ARENA_ARRAY(a, struct json, v->n);
    for (uint32_t i = 0; i < v->n; i++)
        items[i] = show_objects(a, &v->items[i]);
    return json_v_array(items, v->n);
}

static struct json show_vocab(struct arena *a, const struct json *v)
{
    if (json_is(v, JSON_STRING))
        return json_v_str(ld_compact(ld_core(), a, json_text(v)));
    if (!json_is(v, JSON_ARRAY))
        return *v;
    struct json *items = ARENA_ARRAY(a, struct json, v->n);
    for (uint32_t i = 0; i < v->n; i++)
        items[i] = show_vocab(a, &v->items[i]);
    return json_v_array(items, v->n);
}

struct json v2_value(struct arena *a, const struct json *instance)
{
    const struct json *value = instance_value(instance);
    struct str type = v2_type(a, instance);
    struct json out;
    if (!value)
        return json_v_null();
    switch (kind_of_name(json_text(json_get(instance, S("type"))))) {
    case KIND_PROPERTY:
        if (is_typed_time(value) && (str_eq(type, S("DateTime")) || str_eq(type, S("ISO8601"))))
            return show_time(a, instance, value);
        return *value;
    case KIND_GEO:
        return v2_is_simple_geo(type) && sent_place(a, instance, type, value, &out) ? out : *value;
    case KIND_RELATIONSHIP:
    case KIND_LIST_RELATIONSHIP:
        return show_objects(a, value);
    case KIND_VOCAB:
        return show_vocab(a, value);
    default:
        return *value;
    }
}

const struct json *v2_attr(struct arena *a, const struct json *stored, struct str name)
{
    return instance_default(entity_attr(stored, v2_iri(a, name)));
}

/* --- what is wanted --- */

static bool among(const struct str *names, size_t n, struct str name)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(names[i], name))
            return true;
    return false;
}

static bool all_metadata(const struct v2_view *v)
{
    return !v->n_metadata || among(v->metadata, v->n_metadata, S("*"));
}

static bool wants_metadata(const struct v2_view *v, struct str name)
{
    return all_metadata(v) || among(v->metadata, v->n_metadata, name);
}

/* --- an attribute --- */

static void write_field(struct json_writer *w, struct str name, struct str type,
                        const struct json *value)
{
    json_w_key(w, name);
    json_w_object(w);
    json_w_kstr(w, S("type"), type);
    json_w_key(w, S("value"));
    json_w_value(w, value);
    json_w_end(w);
}

static void write_observed(struct json_writer *w, const struct json *instance,
                           const struct v2_view *v)
{
    const struct json *at = json_get(instance, S("observedAt"));
    const struct json *observed = json_get(json_get(instance, S("v2")), S("observed"));
    struct str name = json_text(json_get(observed, S("name")));
    struct str type = json_text(json_get(observed, S("type")));
    name = name.p ? name : S("observedAt");
    if (at && wants_metadata(v, name))
        write_field(w, name, type.p ? type : S("DateTime"), at);
}

/* The change that made the instance; NULL: it stayed as it was. */
static const struct attr_change *change_of(const struct entity_event *ev,
                                           const struct json *instance)
{
    for (size_t i = 0; i < ev->changes.n; i++) {
        const struct attr_change *ch = &ev->changes.v[i];
        if ((ev->op == EVENT_DELETED ? ch->before : ch->after) == instance)
            return ch;
    }
    return NULL;
}

/* previousValue and actionType: of attributes that were in the request. */
static void write_change(struct json_writer *w, struct arena *a, const struct json *instance,
                         const struct v2_view *v)
{
    static const struct str actions[] = {[ATTR_CREATED] = S_INIT("append"),
                                         [ATTR_UPDATED] = S_INIT("update"),
                                         [ATTR_DELETED] = S_INIT("delete")};
    const struct attr_change *ch = change_of(v->event, instance);
    if (!ch)
        return;
    bool gone = v->event->op == EVENT_DELETED;
    if (ch->before && !gone && among(v->metadata, v->n_metadata, S("previousValue"))) {
        struct json value = v2_value(a, ch->before);
        write_field(w, S("previousValue"), v2_type(a, ch->before), &value);
    }
    if (among(v->metadata, v->n_metadata, S("actionType"))) {
        struct json action = json_v_str(actions[gone ? ATTR_DELETED : ch->op]);
        write_field(w, S("actionType"), S("Text"), &action);
    }
}

static void write_metadata(struct json_writer *w, struct arena *a, const struct json *instance,
                           const struct v2_view *v)
{
    static const struct {
        struct str name, member;
    } builtin[] = {{S_INIT("dateCreated"), S_INIT("createdAt")},
                   {S_INIT("dateModified"), S_INIT("modifiedAt")}};
    struct inst in;
    const struct json *unit = json_get(instance, S("unitCode"));
    inst_open(&in, instance);
    write_observed(w, instance, v);
    if (unit && wants_metadata(v, S("unitCode")))
        write_field(w, S("unitCode"), S("Text"), unit);
    for (uint32_t i = 0; i < in.n_subs; i++) {
        const struct json *sub = instance_default(&in.subs[i].value);
        struct str name = v2_name(a, json_key(&in.subs[i]));
        if (!sub || !wants_metadata(v, name))
            continue;
        struct json value = v2_value(a, sub);
        write_field(w, name, v2_type(a, sub), &value);
    }
    for (size_t i = 0; i < sizeof(builtin) / sizeof(*builtin); i++) {
        const struct json *at = json_get(instance, builtin[i].member);
        if (at && among(v->metadata, v->n_metadata, builtin[i].name))
            write_field(w, builtin[i].name, S("DateTime"), at);
    }
    if (v->event)
        write_change(w, a, instance, v);
}

void v2_show_attr(struct json_writer *w, struct arena *a, const struct json *instance,
                  const struct v2_view *v)
{
    struct json value = v2_value(a, instance);
    json_w_object(w);
    json_w_kstr(w, S("type"), v2_type(a, instance));
    json_w_key(w, S("value"));
    json_w_value(w, &value);
    json_w_key(w, S("metadata"));
    json_w_object(w);
    write_metadata(w, a, instance, v);
    json_w_end(w);
    json_w_end(w);
}

bool v2_is_builtin(struct str name)
{
    static const struct str names[] = {S_INIT("dateCreated"), S_INIT("dateModified"),
                                       S_INIT("dateExpires"), S_INIT("alterationType"),
                                       S_INIT("servicePath")};
    return among(names, sizeof(names) / sizeof(*names), name);
}

/* --- changes --- */

const struct str v2_alterations[4] = {
    [V2_ENTITY_CREATE] = S_INIT("entityCreate"),
    [V2_ENTITY_UPDATE] = S_INIT("entityUpdate"),
    [V2_ENTITY_CHANGE] = S_INIT("entityChange"),
    [V2_ENTITY_DELETE] = S_INIT("entityDelete"),
};

static struct str metadata_text(struct arena *a, const struct json *instance)
{
    struct v2_view all = {.form = V2_NORMALIZED};
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    json_w_object(&w);
    write_metadata(&w, a, instance, &all);
    json_w_end(&w);
    struct str text = buf_dup(&b, a);
    buf_release(&b);
    return text;
}

bool v2_changed(struct arena *a, const struct attr_change *ch, bool metadata)
{
    if (!ch->before || !ch->after)
        return true;
    struct json before = v2_value(a, ch->before), after = v2_value(a, ch->after);
    if (!json_equal(&before, &after, false) ||
        !str_eq(v2_type(a, ch->before), v2_type(a, ch->after)))
        return true;
    return metadata && !str_eq(metadata_text(a, ch->before), metadata_text(a, ch->after));
}

enum v2_alteration v2_alteration(struct arena *a, const struct entity_event *ev)
{
    if (ev->op != EVENT_UPDATED)
        return ev->op == EVENT_CREATED ? V2_ENTITY_CREATE : V2_ENTITY_DELETE;
    bool changed = !ev->changes.n || json_true(json_get(ev->note, S("forced")));
    for (size_t i = 0; i < ev->changes.n && !changed; i++)
        changed = v2_changed(a, &ev->changes.v[i], true);
    return changed ? V2_ENTITY_CHANGE : V2_ENTITY_UPDATE;
}

struct str v2_path_of(const struct json *stored)
{
    struct str path = json_text(json_at(json_get(stored, S("scope")), 0));
    return path.n ? path : S("/");
}

/* --- the entity --- */

struct shown {
    struct json_writer w;
    struct arena *arena;
    const struct json *stored;
    const struct v2_view *view;
    VEC(struct json) values;       /* of V2_UNIQUE */
    enum v2_alteration alteration; /* of the view's event */
};

static bool seen_before(struct shown *s, const struct json *value)
{
    for (size_t i = 0; i < s->values.n; i++)
        if (json_equal(&s->values.v[i], value, false))
            return true;
    *vec_push(s->arena, &s->values) = *value;
    return false;
}

static void write_value(struct shown *s, struct str name, const struct json *value)
{
    if (s->view->form == V2_UNIQUE && seen_before(s, value))
        return;
    if (s->view->form == V2_KEY_VALUES)
        json_w_key(&s->w, name);
    json_w_value(&s->w, value);
}

static void write_typed(struct shown *s, struct str name, struct str type, const struct json *value)
{
    if (s->view->form != V2_NORMALIZED) {
        write_value(s, name, value);
        return;
    }
    json_w_key(&s->w, name);
    json_w_object(&s->w);
    json_w_kstr(&s->w, S("type"), type);
    json_w_key(&s->w, S("value"));
    json_w_value(&s->w, value);
    json_w_key(&s->w, S("metadata"));
    json_w_object(&s->w);
    json_w_end(&s->w);
    json_w_end(&s->w);
}

/* With onlyChangedAttrs: what changed; of an update that changed nothing what was in it. */
static bool is_told(struct shown *s, const struct json *instance)
{
    const struct entity_event *ev = s->view->event;
    if (!s->view->only_changed || !ev || ev->op != EVENT_UPDATED || !ev->changes.n)
        return true;
    const struct attr_change *ch = change_of(ev, instance);
    return ch && (s->alteration == V2_ENTITY_UPDATE || json_true(json_get(ev->note, S("forced"))) ||
                  v2_changed(s->arena, ch, true));
}

static void write_attr(struct shown *s, struct str name, const struct json *instance)
{
    static const struct json null_value = {.type = JSON_NULL};
    if (!instance && s->view->covered)
        write_typed(s, name, S("None"), &null_value);
    if (!instance || among(s->view->except, s->view->n_except, name) || !is_told(s, instance))
        return;
    if (s->view->form == V2_NORMALIZED) {
        json_w_key(&s->w, name);
        v2_show_attr(&s->w, s->arena, instance, s->view);
        return;
    }
    struct json value = v2_value(s->arena, instance);
    write_value(s, name, &value);
}

/* dateCreated and the like; true when name is one of them. */
static bool write_builtin(struct shown *s, struct str name)
{
    static const struct {
        struct str name, member;
    } builtin[] = {{S_INIT("dateCreated"), S_INIT("createdAt")},
                   {S_INIT("dateModified"), S_INIT("modifiedAt")},
                   {S_INIT("dateExpires"), S_INIT("expiresAt")}};
    for (size_t i = 0; i < sizeof(builtin) / sizeof(*builtin); i++) {
        if (!str_eq(name, builtin[i].name))
            continue;
        const struct json *at = json_get(s->stored, builtin[i].member);
        if (at)
            write_typed(s, name, S("DateTime"), at);
        return true;
    }
    bool altered = s->view->event && str_eq(name, S("alterationType"));
    if (!altered && !str_eq(name, S("servicePath")))
        return false;
    struct json text = json_v_str(altered ? v2_alterations[s->alteration] : v2_path_of(s->stored));
    write_typed(s, name, S("Text"), &text);
    return true;
}

/* All attributes but those that the list names itself. */
static void write_all(struct shown *s)
{
    for (uint32_t i = 0; i < s->stored->n; i++) {
        const struct json_member *m = &s->stored->members[i];
        if (entity_is_member(json_key(m)))
            continue;
        struct str name = v2_name(s->arena, json_key(m));
        if (!among(s->view->attrs, s->view->n_attrs, name))
            write_attr(s, name, instance_default(&m->value));
    }
}

/* An attribute of the user's that has the name of a newer builtin comes before it. */
static bool write_own_or_builtin(struct shown *s, struct str name)
{
    return !(str_eq(name, S("servicePath")) && v2_attr(s->arena, s->stored, name)) &&
           write_builtin(s, name);
}

static void write_attrs(struct shown *s)
{
    const struct v2_view *v = s->view;
    if (!v->n_attrs)
        write_all(s);
    for (size_t i = 0; i < v->n_attrs; i++) {
        if (among(v->attrs, i, v->attrs[i]))
            continue;
        if (str_eq(v->attrs[i], S("*")))
            write_all(s);
        else if (!write_own_or_builtin(s, v->attrs[i]))
            write_attr(s, v->attrs[i], v2_attr(s->arena, s->stored, v->attrs[i]));
    }
}

void v2_show(struct buf *out, struct arena *a, const struct json *stored, const struct v2_view *v)
{
    struct shown s = {.w = json_writer(out), .arena = a, .stored = stored, .view = v};
    bool list = v->form == V2_VALUES || v->form == V2_UNIQUE;
    if (v->event)
        s.alteration = v2_alteration(a, v->event);
    if (list)
        json_w_array(&s.w);
    else
        json_w_object(&s.w);
    if (v->head && !list) {
        json_w_kstr(&s.w, S("id"), v2_id(a, entity_id(stored)));
        json_w_kstr(&s.w, S("type"), v2_entity_type(a, stored));
    }
    write_attrs(&s);
    json_w_end(&s.w);
}
