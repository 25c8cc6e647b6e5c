/*
 * The text of a notification (clauses 5.3.1, 5.8.6, 6.3.9): an envelope of the subscription's own
 * around entities, which subscriptions of one group share.
 *
 * Deleted attributes and entities, and previous values (showChanges), are put into the tree of what
 * clients read: they are rare, so the common case stays one pass over the stored form.
 */
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

/* A deleted instance as it is shown. */
static struct json deleted_instance(struct arena *a, const struct sub_group *g,
                                    const struct attr_change *ch, int64_t at)
{
    size_t k = kind_index(ch->before);
    if (g->view.form == FORM_SIMPLIFIED)
        return json_v_str(S(NGSI_NULL));
    struct json_member *m = ARENA_ARRAY(a, struct json_member, 5);
    size_t n = 0;
    m[n++] = json_m(S("type"), json_v_str(kinds[k].kind));
    m[n++] = json_m(kinds[k].value, null_value(a, k));
    if (g->show_changes && instance_value(ch->before))
        m[n++] = json_m(kinds[k].previous, *instance_value(ch->before));
    if (ch->dataset.p)
        m[n++] = json_m(S("datasetId"), json_v_str(ch->dataset));
    m[n++] = json_m(S("deletedAt"), json_v_str(datetime_text(a, at)));
    return json_v_object(m, n);
}

/* shown: what the attribute's name holds now (NULL: nothing), an instance or an array. */
static struct json with_instance(struct arena *a, const struct json *shown, struct json add)
{
    if (!shown)
        return add;
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
static struct json with_previous(struct arena *a, const struct json *shown,
                                 const struct attr_change *ch)
{
    const struct json *value = instance_value(ch->before);
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

static bool wanted(const struct entity_view *v, struct str attr)
{
    return (!v->pick || among(v->pick, v->n_pick, attr)) && !among(v->omit, v->n_omit, attr);
}

/* One change put into the object that holds the attributes. */
static struct json apply_change(struct arena *a, const struct sub_group *g,
                                const struct json *object, const struct attr_change *ch, int64_t at)
{
    struct str name = ld_compact(g->view.ctx, a, ch->attr);
    const struct json *shown = json_get(object, name);
    if (!wanted(&g->view, ch->attr) || !ch->before)
        return *object;
    if (ch->op == ATTR_DELETED)
        return json_with(a, object, name, with_instance(a, shown, deleted_instance(a, g, ch, at)));
    if (!g->show_changes || !shown)
        return *object;
    return json_with(a, object, name, with_previous(a, shown, ch));
}

static struct json apply_changes(struct arena *a, const struct sub_group *g,
                                 const struct json *object, const struct entity_event *ev,
                                 int64_t at)
{
    struct json out = *object;
    for (size_t i = 0; i < ev->changes.n; i++) {
        struct attr_change ch = ev->changes.v[i];
        if (ev->op == EVENT_DELETED)
            ch.op = ATTR_DELETED;
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

static struct entity_view view_of(const struct sub_group *g)
{
    struct entity_view view = g->view;
    /* A bare value has no room for the previous one. */
    if (g->show_changes && view.form == FORM_CONCISE)
        view.form = FORM_NORMALIZED;
    return view;
}

void sub_render_entity(struct buf *out, const struct sub_group *g, struct arena *a,
                       const struct json *doc)
{
    struct entity_view view = view_of(g);
    entity_write(out, a, doc, &view);
}

/* The entity without its attributes, as of its deletion. */
static struct json *deleted_entity(struct arena *a, const struct json *doc, int64_t at)
{
    struct json_member *m = ARENA_ARRAY(a, struct json_member, 3);
    struct json *out = ARENA_NEW(a, struct json);
    m[0] = json_m(S("id"), *json_get(doc, S("id")));
    m[1] = json_m(S("type"), *json_get(doc, S("type")));
    m[2] = json_m(S("deletedAt"), json_v_str(datetime_text(a, at)));
    *out = json_v_object(m, 3);
    return out;
}

static void render_changed(struct buf *out, const struct sub_group *g, struct arena *a,
                           const struct entity_event *ev, int64_t at)
{
    bool gone = ev->op == EVENT_DELETED;
    struct buf text = BUF_INIT;
    struct entity_view view = view_of(g);
    view.sys_attrs = view.sys_attrs || gone; /* deletedAt is what it is about */
    entity_write(&text, a, gone ? deleted_entity(a, ev->doc, at) : ev->doc, &view);
    const struct json *tree = json_parse(a, buf_dup(&text, a), &JSON_DEFAULT, NULL);
    buf_release(&text);
    struct json result = *tree;
    if (g->view.geojson) {
        const struct json *properties = json_get(tree, S("properties"));
        if (properties && (!gone || g->show_changes))
            result = json_with(a, tree, S("properties"), apply_changes(a, g, properties, ev, at));
    } else if (!gone || g->show_changes) {
        result = apply_changes(a, g, tree, ev, at);
    }
    json_write(out, &result);
}

struct sub_payload *sub_render(const struct sub_group *g, struct arena *a,
                               const struct entity_event *ev, int64_t at)
{
    struct buf out = BUF_INIT;
    if (g->face)
        return g->face->render(g, a, ev);
    bool plain =
        ev->op != EVENT_DELETED && !g->show_changes && !(g->show_deleted && any_deleted(ev));
    if (plain)
        sub_render_entity(&out, g, a, ev->doc);
    else
        render_changed(&out, g, a, ev, at);
    struct sub_payload *p = sub_payload_new(buf_view(&out), entity_id(ev->doc));
    buf_release(&out);
    return p;
}

/* --- the envelope --- */

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
        buf_add(&out, payloads[i]->text, payloads[i]->n);
    }
    buf_str(&out, geo ? S("]}}") : S("]}"));
    struct str body = buf_dup(&out, a);
    buf_release(&out);
    return body;
}
