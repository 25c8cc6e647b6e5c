/*
 * The text of a notification (clauses 5.3.1, 5.8.6, 6.3.9): an envelope of the subscription's own
 * around entities, which subscriptions of one group share.
 *
 * Deleted attributes and entities, and previous values (showChanges), are put into the tree of what
 * clients read: they are rare, so the common case stays one pass over the stored form.
 */
#include "core/log.h"
#include "subscription_impl.h"
#include <stdlib.h>
#include <string.h>

#define NGSI_NULL "urn:ngsi-ld:null"

/* --- payloads --- */

struct sub_payload *sub_payload_noted(struct str text, struct str id, struct str note)
{
    struct sub_payload *p = malloc(sizeof(*p) + text.n + id.n + note.n);
    if (!p)
        abort();
    p->refs = 1;
    p->n = text.n;
    p->n_id = id.n;
    p->n_note = note.n;
    if (text.n)
        memcpy(p->text, text.p, text.n);
    if (id.n)
        memcpy(p->text + text.n, id.p, id.n);
    if (note.n)
        memcpy(p->text + text.n + id.n, note.p, note.n);
    return p;
}

struct sub_payload *sub_payload_new(struct str text, struct str id)
{
    return sub_payload_noted(text, id, STR_NONE);
}

struct str sub_payload_text(const struct sub_payload *p)
{
    return str_n(p->text, p->n);
}

struct str sub_payload_note(const struct sub_payload *p)
{
    return str_n(p->text + p->n + p->n_id, p->n_note);
}

void sub_payload_unref(struct sub_payload *p)
{
    if (atomic_fetch_sub(&p->refs, 1) == 1)
        free(p);
}

/* --- changes shown --- */

/* Members of each kind of attribute: the value now, and the one before. */
static const struct {
    struct str kind, value, previous;
} kinds[] = {
    {S_INIT("Property"), S_INIT("value"), S_INIT("previousValue")},
    {S_INIT("GeoProperty"), S_INIT("value"), S_INIT("previousValue")},
    {S_INIT("Relationship"), S_INIT("object"), S_INIT("previousObject")},
    {S_INIT("LanguageProperty"), S_INIT("languageMap"), S_INIT("previousLanguageMap")},
    {S_INIT("JsonProperty"), S_INIT("json"), S_INIT("previousJson")},
    {S_INIT("VocabProperty"), S_INIT("vocab"), S_INIT("previousVocab")},
    {S_INIT("ListProperty"), S_INIT("valueList"), S_INIT("previousValueList")},
    {S_INIT("ListRelationship"), S_INIT("objectList"), S_INIT("previousObjectList")},
};
enum { N_KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static size_t kind_index(const struct json *instance)
{
    struct str type = json_text(json_get(instance, S("type")));
    for (size_t i = 0; i < N_KINDS; i++)
        if (str_eq(type, kinds[i].kind))
            return i;
    return 0;
}

static struct json null_value(struct arena *a, size_t kind)
{
    if (!str_eq(kinds[kind].value, S("languageMap")))
        return json_v_str(S(NGSI_NULL));
    struct json_member *m = ARENA_NEW(a, struct json_member);
    *m = json_m(S("@none"), json_v_str(S(NGSI_NULL)));
    return json_v_object(m, 1);
}

/* What an instance held, as clients read it: names in the group's terms. */
static const struct json *previous_value(struct arena *a, const struct sub_group *g,
                                         const struct json *instance)
{
    struct entity_view view = g->view;
    struct buf text = BUF_INIT;
    view.form = FORM_NORMALIZED;
    view.lang = STR_NONE; /* a languageMap stays one: it goes to previousLanguageMap */
    struct json_writer w = json_writer(&text);
    entity_write_instance(&w, a, instance, &view);
    const struct json *shown = json_parse(a, buf_dup(&text, a), &JSON_DEFAULT, NULL);
    buf_release(&text);
    return json_get(shown, kinds[kind_index(instance)].value);
}

/*
 * A deleted instance as it is shown. Bare in the concise and simplified forms, unless there is more
 * to say (clause 5.8.6); normalized attributes always have their type.
 */
static struct json deleted_instance(struct arena *a, const struct sub_group *g,
                                    const struct attr_change *ch, int64_t at)
{
    size_t k = kind_index(ch->before);
    bool sys = g->view.sys_attrs;
    if (g->view.form == FORM_SIMPLIFIED ||
        (g->view.form == FORM_CONCISE && !sys && !g->show_changes && !ch->dataset.p))
        return json_v_str(S(NGSI_NULL));
    struct json_member *m = ARENA_ARRAY(a, struct json_member, 7);
    const struct json *was = g->show_changes ? previous_value(a, g, ch->before) : NULL;
    const struct json *created = json_get(ch->before, S("createdAt"));
    const struct json *modified = json_get(ch->before, S("modifiedAt"));
    size_t n = 0;
    m[n++] = json_m(S("type"), json_v_str(kinds[k].kind));
    m[n++] = json_m(kinds[k].value, null_value(a, k));
    if (was)
        m[n++] = json_m(kinds[k].previous, *was);
    if (ch->dataset.p)
        m[n++] = json_m(S("datasetId"), json_v_str(ch->dataset));
    if (sys && created)
        m[n++] = json_m(S("createdAt"), *created);
    if (sys && modified)
        m[n++] = json_m(S("modifiedAt"), *modified);
    if (sys)
        m[n++] = json_m(S("deletedAt"), json_v_str(datetime_text(a, at)));
    return json_v_object(m, n);
}

static struct str dataset_key(const struct attr_change *ch)
{
    return ch->dataset.p ? ch->dataset : S("@none");
}

/* Simplified, several instances: {"dataset": {"@none": value, URI: value}} (clause 4.5.5). */
static struct json with_bare(struct arena *a, const struct json *shown,
                             const struct attr_change *ch, struct json add)
{
    const struct json *there = json_get(shown, S("dataset"));
    struct json *inner = ARENA_NEW(a, struct json), *outer = ARENA_NEW(a, struct json);
    struct json_member *m = ARENA_NEW(a, struct json_member);
    if (there) {
        *inner = json_with(a, there, dataset_key(ch), add);
    } else {
        *m = json_m(S("@none"), *shown);
        *outer = json_v_object(m, 1);
        *inner = json_with(a, outer, dataset_key(ch), add);
    }
    struct json_member *wrap = ARENA_NEW(a, struct json_member);
    *wrap = json_m(S("dataset"), *inner);
    return json_v_object(wrap, 1);
}

/* shown: what the attribute's name holds now (NULL: nothing), an instance or an array. */
static struct json with_instance(struct arena *a, const struct sub_group *g,
                                 const struct json *shown, const struct attr_change *ch,
                                 struct json add)
{
    if (!shown)
        return add;
    if (g->view.form == FORM_SIMPLIFIED)
        return with_bare(a, shown, ch, add);
    size_t n = json_is(shown, JSON_ARRAY) ? shown->n : 1;
    struct json *items = ARENA_ARRAY(a, struct json, n + 1);
    memcpy(items, json_is(shown, JSON_ARRAY) ? shown->items : shown, n * sizeof(*items));
    items[n] = add;
    return json_v_array(items, n + 1);
}

static bool same_dataset(const struct json *instance, struct str dataset)
{
    struct str d = json_text(json_get(instance, S("datasetId")));
    return d.p ? dataset.p && str_eq(d, dataset) : !dataset.p;
}

/* The attribute with the previous value in the instance that changed. */
static struct json with_previous(struct arena *a, const struct sub_group *g,
                                 const struct json *shown, const struct attr_change *ch)
{
    const struct json *value = previous_value(a, g, ch->before);
    struct str member = kinds[kind_index(ch->before)].previous;
    if (!value)
        return *shown;
    if (json_is(shown, JSON_OBJECT))
        return json_with(a, shown, member, *value);
    if (!json_is(shown, JSON_ARRAY))
        return *shown;
    struct json *items = ARENA_ARRAY(a, struct json, shown->n);
    for (uint32_t i = 0; i < shown->n; i++)
        items[i] = same_dataset(&shown->items[i], ch->dataset)
                       ? json_with(a, &shown->items[i], member, *value)
                       : shown->items[i];
    return json_v_array(items, shown->n);
}

static bool among(const struct str *names, size_t n, struct str name)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(names[i], name))
            return true;
    return false;
}

static bool wanted(const struct entity_view *v, const struct attr_change *ch)
{
    return (!v->pick || among(v->pick, v->n_pick, ch->attr)) &&
           !among(v->omit, v->n_omit, ch->attr) &&
           (!v->datasets || among(v->datasets, v->n_datasets, dataset_key(ch)));
}

/* One change put into the object that holds the attributes. */
static struct json apply_change(struct arena *a, const struct sub_group *g,
                                const struct json *object, const struct attr_change *ch, int64_t at)
{
    struct str name = ld_compact(g->view.ctx, a, ch->attr);
    const struct json *shown = json_get(object, name);
    if (!ch->before || !wanted(&g->view, ch))
        return *object;
    if (ch->op == ATTR_DELETED)
        return json_with(a, object, name,
                         with_instance(a, g, shown, ch, deleted_instance(a, g, ch, at)));
    if (!g->show_changes || !shown || !sub_differs(ch))
        return *object;
    return json_with(a, object, name, with_previous(a, g, shown, ch));
}

/* The whole attribute is gone and its default instance tells it: others need not. */
static bool is_told(const struct sub_group *g, const struct entity_event *ev,
                    const struct attr_change *ch)
{
    bool gone = ev->op == EVENT_DELETED || !entity_attr(ev->doc, ch->attr);
    if (g->show_changes || ch->op != ATTR_DELETED || !ch->dataset.p || !gone)
        return false;
    for (size_t i = 0; i < ev->changes.n; i++)
        if (!ev->changes.v[i].dataset.p && str_eq(ev->changes.v[i].attr, ch->attr))
            return true;
    return false;
}

/* Of a deleted entity: is the attribute to be told? */
static bool goes_too(const struct sub_group *g, const struct attr_change *ch)
{
    if (g->show_changes)
        return true;
    return g->gone_attrs && (!g->n_watched || among(g->watched, g->n_watched, ch->attr));
}

static struct json apply_changes(struct arena *a, const struct sub_group *g,
                                 const struct json *object, const struct entity_event *ev,
                                 int64_t at)
{
    struct json out = *object;
    for (size_t i = 0; i < ev->changes.n; i++) {
        struct attr_change ch = ev->changes.v[i];
        if (ev->op == EVENT_DELETED) {
            ch.op = ATTR_DELETED;
            if (!goes_too(g, &ch))
                continue;
        }
        if (is_told(g, ev, &ch))
            continue;
        struct json *before = ARENA_NEW(a, struct json);
        *before = out;
        out = apply_change(a, g, before, &ch, at);
    }
    return out;
}

static bool any_deleted(const struct entity_event *ev)
{
    for (size_t i = 0; i < ev->changes.n; i++)
        if (ev->changes.v[i].op == ATTR_DELETED)
            return true;
    return false;
}

/* --- entities --- */

struct entity_view sub_view_of(const struct sub_group *g)
{
    struct entity_view view = g->view;
    /* A bare value has no room for the previous one. */
    if (g->show_changes && view.form == FORM_CONCISE)
        view.form = FORM_NORMALIZED;
    return view;
}

/* With what it links to; when that cannot be read now, without. */
static void write_entity(struct buf *out, const struct sub_group *g, const struct sub_place *at,
                         struct arena *a, const struct json *doc, struct str *linked)
{
    struct error e = {0};
    struct entity_view view = sub_view_of(g);
    struct buf text = BUF_INIT;
    if (!sub_write_entity(&text, g, at, a, doc, linked, &e)) {
        buf_str(out, buf_view(&text));
    } else {
        log_event(LOG_WARN, "link.linked_entities", LOG_S("entity", entity_id(doc)),
                  LOG_Z("error", e.text));
        *linked = STR_NONE;
        entity_write(out, a, doc, &view);
    }
    buf_release(&text);
}

void sub_render_entity(struct buf *out, const struct sub_group *g, const struct sub_place *at,
                       struct arena *a, const struct json *doc)
{
    struct str linked;
    write_entity(out, g, at, a, doc, &linked);
    buf_str(out, linked);
}

/* The entity without its attributes, as of its deletion. */
static struct json *deleted_entity(struct arena *a, const struct sub_group *g,
                                   const struct json *doc, int64_t when)
{
    static const struct str kept[] = {S_INIT("id"), S_INIT("type"), S_INIT("createdAt"),
                                      S_INIT("modifiedAt")};
    struct json_member *m = ARENA_ARRAY(a, struct json_member, 5);
    struct json *out = ARENA_NEW(a, struct json);
    size_t n = 0;
    for (size_t i = 0; i < (g->view.sys_attrs ? 4 : 2); i++)
        if (json_get(doc, kept[i]))
            m[n++] = json_m(kept[i], *json_get(doc, kept[i]));
    m[n++] = json_m(S("deletedAt"), json_v_str(datetime_text(a, when)));
    *out = json_v_object(m, n);
    return out;
}

static void render_changed(struct buf *out, const struct sub_group *g, const struct sub_place *at,
                           struct arena *a, const struct entity_event *ev, int64_t when)
{
    struct buf text = BUF_INIT;
    struct str linked = STR_NONE;
    struct entity_view view = sub_view_of(g);
    view.sys_attrs = true; /* deletedAt is what it is about */
    if (ev->op == EVENT_DELETED)
        entity_write(&text, a, deleted_entity(a, g, ev->doc, when), &view);
    else
        write_entity(&text, g, at, a, ev->doc, &linked);
    const struct json *tree = json_parse(a, buf_dup(&text, a), &JSON_DEFAULT, NULL);
    buf_release(&text);
    struct json result = *tree;
    const struct json *properties = json_get(tree, S("properties"));
    if (!g->view.geojson)
        result = apply_changes(a, g, tree, ev, when);
    else if (properties)
        result = json_with(a, tree, S("properties"), apply_changes(a, g, properties, ev, when));
    json_write(out, &result);
    buf_str(out, linked);
}

struct sub_payload *sub_render(const struct sub_group *g, const struct sub_place *at,
                               struct arena *a, const struct entity_event *ev, int64_t when)
{
    struct buf out = BUF_INIT;
    if (g->face)
        return g->face->render(g, a, ev);
    bool plain =
        ev->op != EVENT_DELETED && !g->show_changes && !(g->show_deleted && any_deleted(ev));
    if (plain)
        sub_render_entity(&out, g, at, a, ev->doc);
    else
        render_changed(&out, g, at, a, ev, when);
    struct sub_payload *p = sub_payload_new(buf_view(&out), entity_id(ev->doc));
    buf_release(&out);
    return p;
}

/* --- the envelope --- */

/* What a group shares, as of the version that this subscription wants (clause 5.8.6). */
static void write_payload(struct buf *out, struct arena *a, const struct sub_spec *s,
                          const struct sub_payload *p)
{
    struct str text = sub_payload_text(p);
    bool simplified = s->group->view.form == FORM_SIMPLIFIED;
    if (s->version < ENTITY_VERSION && s->accept != ACCEPT_GEO) {
        struct str list = str_printf(a, "[%" STR_F "]", STR_A(text)); /* linked ones follow it */
        if (entity_conform_text(a, list, s->version, simplified, &list))
            text = str_sub(list, 1, list.n - 2);
    }
    buf_str(out, text);
}

struct str sub_body(struct arena *a, const struct sub_spec *s, struct str id, int64_t now,
                    struct sub_payload *const *payloads, size_t n)
{
    struct buf out = BUF_INIT;
    char at[DATETIME_MAX];
    bool geo = s->accept == ACCEPT_GEO;
    struct json_writer w = json_writer(&out);
    json_w_object(&w);
    json_w_kstr(&w, S("id"), id);
    json_w_kstr(&w, S("type"), S("Notification"));
    json_w_kstr(&w, S("subscriptionId"), s->id);
    json_w_kstr(&w, S("notifiedAt"), str_n(at, datetime_format(now, at)));
    if (s->accept == ACCEPT_LD) {
        json_w_key(&w, S("@context"));
        json_w_value(&w, ld_context_json(s->group->view.ctx));
    }
    json_w_key(&w, S("data"));
    buf_str(&out, geo ? S("{\"type\":\"FeatureCollection\",\"features\":[") : S("["));
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_char(&out, ',');
        write_payload(&out, a, s, payloads[i]);
    }
    buf_char(&out, ']');
    if (geo) {
        struct json_writer data = json_writer(&out);
        if (!s->link_header) {
            buf_str(&out, S(",\"@context\":"));
            json_w_value(&data, ld_context_json(s->group->view.ctx));
        }
        buf_char(&out, '}');
    }
    buf_char(&out, '}');
    struct str body = buf_dup(&out, a);
    buf_release(&out);
    return body;
}
