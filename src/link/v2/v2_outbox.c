/*
 * Subscriptions of NGSIv2 in the outbox: which change concerns them, compiled from the document.
 *
 * Selectors of the index hold a superset (types, ids of the first entity with an id); what counts
 * is decided here on the id, type and path as NGSIv2 shows them.
 */
#include "core/regex.h"
#include "v2_notify.h"
#include <stdlib.h>

struct subject {
    struct str id, type; /* absent: any; type is an IRI */
    struct regex *id_pattern, *type_pattern;
};

struct outbox_sub {
    pthread_mutex_t lock; /* geo: the one condition that is not for several threads */
    struct subject *subjects;
    size_t n_subjects;
    struct v2_paths paths;
    const struct str *attrs; /* of condition, IRIs; none: any */
    size_t n_attrs;
    unsigned alterations; /* a bit for each enum v2_alteration */
    bool metadata;        /* a change of metadata is a change */
    const struct query_node *q;
    struct v2_geo geo;
    bool has_geo;
};

/* --- compiling --- */

static struct str keep(struct arena *a, struct str s)
{
    return s.p ? str_dup(a, s) : STR_NONE;
}

static const struct type_node *type_selection(struct arena *a, const struct str *iri)
{
    struct query_expr *leaf = ARENA_NEW(a, struct query_expr);
    struct type_node *node = ARENA_NEW(a, struct type_node);
    *leaf = (struct query_expr){.kind = EXPR_LEAF, .leaf = iri};
    node->root = leaf;
    return node;
}

static struct regex *pattern_of(const struct json *v, struct error *e)
{
    struct str text = json_text(v);
    return text.p && !str_eq(text, S(".*")) ? regex_new(text, e) : NULL;
}

static enum err take_subjects(struct arena *a, struct outbox_sub *o, const struct json *entities,
                              struct sub_spec *s, struct error *e)
{
    struct sub_selector *selectors = ARENA_ARRAY(a, struct sub_selector, entities->n);
    o->subjects = ARENA_ARRAY(a, struct subject, entities->n);
    s->selectors = selectors;
    for (uint32_t i = 0; i < entities->n; i++) {
        const struct json *entity = &entities->items[i];
        struct subject *x = &o->subjects[i];
        struct str type = json_text(json_get(entity, S("type")));
        s->n_selectors = o->n_subjects = i + 1;
        e->code = OK;
        x->id = keep(a, json_text(json_get(entity, S("id"))));
        x->id_pattern = pattern_of(json_get(entity, S("idPattern")), e);
        x->type_pattern = pattern_of(json_get(entity, S("typePattern")), e);
        if (e->code)
            return e->code;
        if (type.p) {
            x->type = keep(a, v2_iri(a, type));
            selectors[i].types = type_selection(a, &x->type);
        }
        if (x->id.p) {
            struct str *first = ARENA_NEW(a, struct str);
            *first = keep(a, v2_alias(a, x->id));
            selectors[i].ids = first;
            selectors[i].n_ids = 1;
        }
    }
    return OK;
}

static enum err take_expression(struct arena *a, struct outbox_sub *o, const struct json *x,
                                struct error *e)
{
    struct str q = keep(a, json_text(json_get(x, S("q"))));
    struct str mq = keep(a, json_text(json_get(x, S("mq"))));
    struct str georel = keep(a, json_text(json_get(x, S("georel"))));
    if (q.p || mq.p) {
        o->q = v2_query_parse(a, q, mq, e);
        if (!o->q)
            return e->code;
    }
    if (!georel.p)
        return OK;
    enum err err = v2_geo_parse(a, georel, keep(a, json_text(json_get(x, S("geometry")))),
                                keep(a, json_text(json_get(x, S("coords")))), &o->geo, e);
    o->has_geo = !err;
    return err;
}

static unsigned alterations_of(const struct json *list)
{
    unsigned bits = 0;
    for (uint32_t i = 0; json_is(list, JSON_ARRAY) && i < list->n; i++)
        for (unsigned k = 0; k < 4; k++)
            if (str_eq(json_text(&list->items[i]), v2_alterations[k]))
                bits |= 1u << k;
    return bits ? bits : 1u << V2_ENTITY_CREATE | 1u << V2_ENTITY_CHANGE;
}

static enum err take_condition(struct arena *a, struct outbox_sub *o, const struct json *condition,
                               struct error *e)
{
    const struct json *attrs = json_get(condition, S("attrs"));
    size_t n = json_is(attrs, JSON_ARRAY) ? attrs->n : 0;
    struct str *list = ARENA_ARRAY(a, struct str, n);
    for (size_t i = 0; i < n; i++)
        list[i] = keep(a, v2_iri(a, json_text(&attrs->items[i])));
    o->attrs = list;
    o->n_attrs = n;
    o->alterations = alterations_of(json_get(condition, S("alterationTypes")));
    o->metadata = !json_is(json_get(condition, S("notifyOnMetadataChange")), JSON_FALSE);
    return take_expression(a, o, json_get(condition, S("expression")), e);
}

/* The message is the body alone, in the version that Orion speaks. */
static void take_mqtt(struct arena *a, const struct json *endpoint, struct sub_spec *s)
{
    int64_t qos = 0;
    json_i64(json_get(endpoint, S("qos")), &qos);
    s->uri = keep(a, v2_mqtt_url(a, endpoint, json_text(json_get(endpoint, S("topic")))));
    s->mqtt = (struct outbound_mqtt){.version = MQTT_311,
                                     .qos = (int)qos,
                                     .retain = json_true(json_get(endpoint, S("retain"))),
                                     .bare = true};
}

static void take_notification(struct arena *a, const struct sub_source *src, struct sub_spec *s)
{
    const struct json *notification = json_get(src->doc, S("notification"));
    struct str which, expires, status = json_text(json_get(src->doc, S("status")));
    const struct json *endpoint = v2_sub_endpoint(src->doc, &which);
    int64_t seconds = 0;
    s->name = keep(a, str_cut(json_text(json_get(src->doc, S("description"))), 80));
    s->uri = keep(a, json_text(json_get(endpoint, S("url"))));
    if (str_starts(which, S("mqtt")))
        take_mqtt(a, endpoint, s);
    json_i64(json_get(endpoint, S("timeout")), &s->timeout_ms);
    json_i64(json_get(notification, S("maxFailsLimit")), &s->fails_max);
    json_i64(json_get(src->doc, S("throttling")), &seconds);
    s->throttle_us = seconds * SECOND_US;
    if (v2_datetime(a, json_text(json_get(src->doc, S("expires"))), &expires))
        datetime_parse(expires, &s->expires);
    s->active = !str_eq(status, S("inactive"));
    s->one_shot = str_eq(status, S("oneshot"));
    struct v2_notice *n = v2_notice_new(a, src->doc, src->id, src->tenant_name);
    s->one_each = n->custom || n->format == V2_FORMAT_SIMPLE_NORMALIZED ||
                  n->format == V2_FORMAT_SIMPLE_KEY_VALUES;
    s->group->own = n;
    s->group->key = v2_notice_key(a, src->doc, src->id, src->tenant_name);
}

static enum err compile(struct arena *a, const struct sub_source *src, struct sub_spec *s,
                        struct error *e)
{
    const struct json *subject = json_get(src->doc, S("subject"));
    const struct json *entities = json_get(subject, S("entities"));
    struct outbox_sub *o = ARENA_NEW(a, struct outbox_sub);
    if (!json_is(entities, JSON_ARRAY))
        return error_set(e, ERR_INVALID, "no subject entities specified");
    pthread_mutex_init(&o->lock, NULL);
    s->own = o;
    if (v2_paths_read(keep(a, src->service_path), false, &o->paths, e) ||
        take_subjects(a, o, entities, s, e) ||
        take_condition(a, o, json_get(subject, S("condition")), e))
        return e->code;
    take_notification(a, src, s);
    return OK;
}

static void release(struct sub_spec *s)
{
    struct outbox_sub *o = s->own;
    for (size_t i = 0; i < o->n_subjects; i++) {
        regex_free(o->subjects[i].id_pattern);
        regex_free(o->subjects[i].type_pattern);
    }
    query_q_release(o->q);
    if (o->has_geo)
        v2_geo_release(&o->geo);
    pthread_mutex_destroy(&o->lock);
}

/* --- conditions; what goes over its limits counts as yes: nothing is skipped silently --- */

static bool is_subject(const struct subject *x, struct arena *a, const struct json *doc)
{
    bool hit = true;
    if (x->type.p && !entity_has_type(doc, x->type))
        return false;
    if (x->id.p || x->id_pattern) {
        struct str id = v2_id(a, entity_id(doc));
        if (x->id.p && !str_eq(id, x->id))
            return false;
        if (x->id_pattern && !regex_match(x->id_pattern, id, &hit) && !hit)
            return false;
    }
    return !x->type_pattern || regex_match(x->type_pattern, v2_entity_type(a, doc), &hit) || hit;
}

static bool any_subject(const struct outbox_sub *o, size_t n, struct arena *a,
                        const struct json *doc)
{
    for (size_t i = 0; i < n; i++)
        if (is_subject(&o->subjects[i], a, doc))
            return true;
    return false;
}

static bool filter_holds(struct outbox_sub *o, struct arena *a, const struct json *doc)
{
    struct error e;
    bool hit = true;
    if (!v2_paths_hold(&o->paths, doc))
        return false;
    if (o->q && query_q_holds(o->q, doc, &hit, &e) == OK && !hit)
        return false;
    if (!o->has_geo)
        return true;
    /* an entity of several locations is at none of them for sure */
    pthread_mutex_lock(&o->lock);
    enum err err = v2_geo_holds(&o->geo, a, doc, &hit, &e);
    pthread_mutex_unlock(&o->lock);
    return !err && hit;
}

static bool watches(const struct outbox_sub *o, struct str iri)
{
    for (size_t i = 0; i < o->n_attrs; i++)
        if (str_eq(o->attrs[i], iri))
            return true;
    return o->n_attrs == 0;
}

/* Did it happen to an attribute of condition.attrs? */
static bool happened(const struct outbox_sub *o, struct arena *a, const struct entity_event *ev)
{
    unsigned alterations = o->alterations;
    if (ev->op == EVENT_DELETED) /* whatever attributes there were */
        return alterations & 1u << V2_ENTITY_DELETE;
    if (ev->op == EVENT_CREATED && !(alterations & 1u << V2_ENTITY_CREATE))
        return false;
    if (!ev->changes.n)
        return !o->n_attrs && (ev->op == EVENT_CREATED || alterations & 1u << V2_ENTITY_CHANGE);
    bool updates = alterations & 1u << V2_ENTITY_UPDATE;
    bool changes = alterations & 1u << V2_ENTITY_CHANGE;
    bool forced = json_true(json_get(ev->note, S("forced")));
    for (size_t i = 0; i < ev->changes.n; i++) {
        const struct attr_change *ch = &ev->changes.v[i];
        if (!watches(o, ch->attr))
            continue;
        if (ev->op == EVENT_CREATED || updates ||
            (changes && (forced || v2_changed(a, ch, o->metadata))))
            return true;
    }
    return false;
}

static bool concerns(const struct sub_spec *s, struct arena *a, const struct entity_event *ev)
{
    struct outbox_sub *o = s->own;
    return any_subject(o, o->n_subjects, a, ev->doc) && happened(o, a, ev) &&
           filter_holds(o, a, ev->doc);
}

static bool selects(const struct sub_spec *s, size_t i, struct arena *a, const struct json *doc)
{
    struct outbox_sub *o = s->own;
    return is_subject(&o->subjects[i], a, doc) && !any_subject(o, i, a, doc) &&
           filter_holds(o, a, doc);
}

/* --- telling --- */

static struct sub_payload *render(const struct sub_group *g, struct arena *a,
                                  const struct entity_event *ev)
{
    return v2_notice_render(g->own, a, ev);
}

static void request(const struct sub_spec *s, struct arena *a, struct str id, int64_t now,
                    struct sub_payload *const *list, size_t n, struct outbound *out)
{
    (void)now;
    v2_notice_request(s->group->own, a, s->id, s->tenant_name, id, list, n, out);
}

const struct sub_face v2_sub_face = {.compile = compile,
                                     .release = release,
                                     .concerns = concerns,
                                     .selects = selects,
                                     .render = render,
                                     .request = request};
