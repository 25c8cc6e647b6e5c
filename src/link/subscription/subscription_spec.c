/*
 * A stored subscription compiled for matching and sending. Immutable and counted: a change of the
 * subscription makes a new one while requests with the old one may be on their way.
 */
#include "core/regex.h"
#include "keys.h"
#include "subscription_impl.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sub_slab *sub_slab_new(void)
{
    struct sub_slab *s = calloc(1, sizeof(*s));
    if (!s)
        abort();
    s->refs = 1;
    return s;
}

void sub_slab_unref(struct sub_slab *s)
{
    if (atomic_fetch_sub(&s->refs, 1) != 1)
        return;
    arena_release(&s->arena);
    free(s);
}

struct sub_slab *sub_slab_take(struct sub_slabs *s)
{
    if (s->filling && s->used == SLAB_SPECS)
        sub_slabs_release(s);
    if (!s->filling)
        s->filling = sub_slab_new();
    s->used++;
    atomic_fetch_add(&s->filling->refs, 1);
    return s->filling;
}

void sub_slabs_release(struct sub_slabs *s)
{
    if (s->filling)
        sub_slab_unref(s->filling);
    *s = (struct sub_slabs){0};
}

/* --- parts --- */

/* A copy; what is absent stays so. */
static struct str keep(struct arena *a, struct str s)
{
    return s.p ? str_dup(a, s) : STR_NONE;
}

static size_t names_of(struct arena *a, const struct json *list, const struct str **out)
{
    size_t n = json_is(list, JSON_ARRAY) ? list->n : 0;
    struct str *names = n ? ARENA_ARRAY(a, struct str, n) : NULL;
    for (size_t i = 0; i < n; i++)
        names[i] = keep(a, json_text(&list->items[i]));
    *out = names;
    return n;
}

static enum err take_selectors(struct sub_spec *s, struct arena *a, const struct json *entities,
                               struct error *e)
{
    size_t n = json_is(entities, JSON_ARRAY) ? entities->n : 0;
    struct sub_selector *list = ARENA_ARRAY(a, struct sub_selector, n ? n : 1);
    s->selectors = list;
    for (size_t i = 0; i < n; i++) {
        const struct json *o = &entities->items[i], *id = json_get(o, S("id"));
        struct str pattern = json_text(json_get(o, S("idPattern")));
        struct sub_selector *sel = &list[i];
        s->n_selectors = i + 1;
        sel->type_text = keep(a, json_text(json_get(o, S("type"))));
        if (json_is(id, JSON_STRING)) {
            struct str *one = ARENA_NEW(a, struct str);
            *one = keep(a, json_text(id));
            sel->ids = one;
            sel->n_ids = 1;
        } else {
            sel->n_ids = names_of(a, id, &sel->ids);
        }
        if (pattern.p && !sel->n_ids) {
            char beginning[SUB_BEGINNING];
            sel->beginning =
                keep(a, str_n(beginning, regex_beginning(pattern, beginning, SUB_BEGINNING)));
            if (!(sel->pattern = regex_new(pattern, e)))
                return e->code;
        }
        if (!str_eq(sel->type_text, S("*")) &&
            !(sel->types = query_parse_types(a, sel->type_text, ld_core(), &QUERY_DEFAULT, e)))
            return e->code;
    }
    return OK;
}

static unsigned triggers_of(const struct json *list)
{
    static const struct {
        struct str name;
        unsigned bits;
    } names[] = {
        {S_INIT("entityCreated"), TRIGGER_ENTITY_CREATED},
        {S_INIT("entityDeleted"), TRIGGER_ENTITY_DELETED},
        {S_INIT("attributeCreated"), TRIGGER_ATTR_CREATED},
        {S_INIT("attributeUpdated"), TRIGGER_ATTR_UPDATED},
        {S_INIT("attributeDeleted"), TRIGGER_ATTR_DELETED},
        {S_INIT("entityUpdated"), TRIGGER_ENTITY_UPDATED | TRIGGER_ATTR_CREATED |
                                      TRIGGER_ATTR_UPDATED | TRIGGER_ATTR_DELETED},
    };
    unsigned bits = 0;
    if (!list) /* clause 5.2.12 */
        return TRIGGER_ATTR_CREATED | TRIGGER_ATTR_UPDATED;
    for (uint32_t i = 0; i < list->n; i++)
        for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++)
            if (str_eq(json_text(&list->items[i]), names[k].name))
                bits |= names[k].bits;
    return bits;
}

static int64_t micros(const struct json *v, double unit)
{
    double d;
    return json_double(v, &d) ? (int64_t)(d * unit) : 0;
}

/* Names of expandValues, which stand in one text. */
static size_t split_names(struct arena *a, struct str text, const struct str **out)
{
    VEC(struct str) names = VEC_INIT;
    struct str name;
    while (text.n && str_split(&text, ',', &name))
        *vec_push(a, &names) = name;
    *out = names.v;
    return names.n;
}

enum err sub_filter_new(struct arena *a, const struct sub_spec *s, struct entity_query *out,
                        struct error *e)
{
    *out = (struct entity_query){0};
    const struct str *expand;
    size_t n_expand = split_names(a, s->expand_values, &expand);
    if (s->q.p && !(out->q = query_parse_q(a, s->q, s->q_ctx, expand, n_expand, &SUB_QUERY, e)))
        return e->code;
    if (s->scope_q.p && !(out->scope = query_parse_scope(a, s->scope_q, &QUERY_DEFAULT, e)))
        goto bad;
    if (s->georel.p) {
        struct geo_query *geo = ARENA_NEW(a, struct geo_query);
        if (query_parse_geo(a, s->georel, s->geometry, s->coordinates, s->geo_property, ld_core(),
                            geo, e))
            goto bad;
        out->geo = geo;
    }
    return OK;
bad:
    entity_query_release(out);
    return e->code;
}

enum err sub_mqtt_info(const struct json *pairs, struct outbound_mqtt *out, struct error *e)
{
    *out = (struct outbound_mqtt){.version = MQTT_5};
    for (uint32_t i = 0; json_is(pairs, JSON_ARRAY) && i < pairs->n; i++) {
        struct str key = json_text(json_get(&pairs->items[i], S("key")));
        struct str value = json_text(json_get(&pairs->items[i], S("value")));
        if (str_eq_nocase(key, S("MQTT-QoS"))) {
            if (value.n != 1 || value.p[0] < '0' || value.p[0] > '2')
                return error_set(e, ERR_INVALID,
                                 "endpoint: MQTT-QoS must be \"0\", \"1\" or \"2\"");
            out->qos = value.p[0] - '0';
        } else if (str_eq_nocase(key, S("MQTT-Version"))) {
            if (str_eq_nocase(value, S("mqtt3.1.1")) || str_eq(value, S("3.1.1")))
                out->version = MQTT_311;
            else if (!str_eq_nocase(value, S("mqtt5.0")) && !str_eq(value, S("5.0")))
                return error_set(e, ERR_INVALID,
                                 "endpoint: MQTT-Version must be \"mqtt3.1.1\" or \"mqtt5.0\"");
        }
    }
    return OK;
}

/* "http://host:port" of a URL that was checked. */
static struct str origin_of(struct str uri)
{
    size_t at = (size_t)str_find(uri, S("://")) + 3;
    while (at < uri.n && uri.p[at] != '/' && uri.p[at] != '?' && uri.p[at] != '#')
        at++;
    return str_sub(uri, 0, at);
}

/* GeoJSON holds its @context, unless the receiver prefers it without (clause 6.3.6). */
static bool prefers_json(const struct sub_spec *s)
{
    for (size_t i = 0; i < s->n_headers; i++)
        if (str_eq_nocase(s->headers[i].name, S("Prefer")) &&
            str_find(s->headers[i].value, S("body=json")) >= 0)
            return true;
    return false;
}

static void take_endpoint(struct sub_spec *s, struct arena *a, const struct json *ep)
{
    struct str accept = json_text(json_get(ep, S("accept")));
    const struct json *info = json_get(ep, S("receiverInfo"));
    size_t n = json_is(info, JSON_ARRAY) ? info->n : 0;
    struct http_header *list = ARENA_ARRAY(a, struct http_header, n ? n : 1);
    for (size_t i = 0; i < n; i++) {
        list[i].name = keep(a, json_text(json_get(&info->items[i], S("key"))));
        list[i].value = keep(a, json_text(json_get(&info->items[i], S("value"))));
    }
    s->headers = list;
    s->n_headers = n;
    s->uri = keep(a, json_text(json_get(ep, S("uri"))));
    s->origin = origin_of(s->uri);
    s->shown_uri = url_without_password(a, s->uri);
    s->accept = str_eq(accept, S("application/ld+json"))    ? ACCEPT_LD
                : str_eq(accept, S("application/geo+json")) ? ACCEPT_GEO
                                                            : ACCEPT_JSON;
    s->link_header = s->accept == ACCEPT_JSON || (s->accept == ACCEPT_GEO && prefers_json(s));
    sub_mqtt_info(json_get(ep, S("notifierInfo")), &s->mqtt, NULL);
    s->timeout_ms = micros(json_get(ep, S("timeout")), 1);
    s->cooldown_us = micros(json_get(ep, S("cooldown")), 1000);
}

/* --- how entities are shown --- */

static void key_names(struct buf *key, char kind, const struct str *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf_char(key, kind);
        buf_str(key, names[i]);
    }
}

static void key_member(struct buf *key, struct arena *a, const struct json *v)
{
    buf_char(key, '\t');
    if (v)
        buf_str(key, json_to_text(a, v));
}

static struct str group_key(struct arena *a, const struct sub_group *g, const struct json *n)
{
    const struct entity_view *v = &g->view;
    struct buf key = BUF_INIT;
    buf_printf(&key, "%d%d%d%d%d%d%d %lld %p %" STR_F, (int)v->form, v->geojson, v->sys_attrs,
               g->show_changes, g->show_deleted, g->gone_attrs, (int)g->join, (long long)g->level,
               (const void *)v->ctx, STR_A(g->owner));
    key_names(&key, '\n', &v->lang, 1);
    key_names(&key, '\r', g->watched, g->n_watched);
    key_member(&key, a, json_get(n, S("attributes")));
    key_member(&key, a, json_get(n, S("pick")));
    key_member(&key, a, json_get(n, S("omit")));
    key_names(&key, '\v', v->datasets, v->n_datasets);
    struct str out = buf_dup(&key, a);
    buf_release(&key);
    return out;
}

/* NULL: what is picked or left out cannot be read. */
static struct sub_group *group_new(struct sub_slab *slab, const struct sub_spec *s,
                                   const struct sub_source *src, struct error *e)
{
    struct arena *a = &slab->arena;
    const struct json *n = json_get(src->doc, S("notification"));
    struct str format = json_text(json_get(n, S("format")));
    struct sub_group *g = ARENA_NEW(a, struct sub_group);
    g->refs = 1;
    g->slab = slab;
    g->view.form = str_eq(format, S("concise")) ? FORM_CONCISE
                   : str_eq(format, S("simplified")) || str_eq(format, S("keyValues"))
                       ? FORM_SIMPLIFIED
                       : FORM_NORMALIZED;
    g->view.geojson = s->accept == ACCEPT_GEO;
    g->view.sys_attrs = json_true(json_get(n, S("sysAttrs")));
    g->view.lang = keep(a, json_text(json_get(src->doc, S("lang"))));
    g->view.n_datasets = names_of(a, json_get(src->doc, S("datasetId")), &g->view.datasets);
    g->view.ctx = src->shown_ctx ? src->shown_ctx : src->ctx;
    if (sub_take_view(g, a, n, e))
        return NULL;
    g->show_changes = json_true(json_get(n, S("showChanges")));
    g->show_deleted = (s->triggers & TRIGGER_ATTR_DELETED) != 0;
    g->owner = keep(a, json_text(json_get(src->doc, S(SUB_OWNER))));
    g->gone_attrs = g->show_deleted && !(s->triggers & TRIGGER_ENTITY_DELETED);
    if (g->gone_attrs) {
        g->watched = s->watched;
        g->n_watched = s->n_watched;
    }
    g->key = group_key(a, g, n);
    atomic_fetch_add(&slab->refs, 1);
    ld_context_hold(g->view.ctx);
    return g;
}

static void group_free(struct sub_group *g)
{
    ld_context_let_go(g->view.ctx);
    sub_slab_unref(g->slab);
}

void sub_group_join(struct map *groups, struct sub_spec *spec)
{
    struct sub_group *there = map_get(groups, spec->group->key);
    if (!there) {
        map_put(groups, spec->group->key, spec->group);
        return;
    }
    group_free(spec->group);
    spec->group = there;
    atomic_fetch_add(&there->refs, 1);
}

/* --- the spec --- */

static void take_link(struct sub_spec *s, struct arena *a, const struct sub_source *src)
{
    struct str url = ld_context_url(s->group->view.ctx);
    struct str base = str_starts(url, S("/")) ? src->public_url : STR_NONE;
    s->link =
        str_printf(a,
                   "<%" STR_F "%" STR_F ">; rel=\"" CONTEXT_REL "\"; type=\"application/ld+json\"",
                   STR_A(base), STR_A(url));
}

static void take_identity(struct sub_spec *s, struct arena *a, const struct sub_source *src)
{
    s->id = keep(a, src->id);
    s->tenant = src->tenant;
    s->tenant_name = keep(a, src->tenant_name);
    s->snapshot = keep(a, src->snapshot);
    s->key = str_printf(a, "%lld %" STR_F, (long long)src->tenant, STR_A(src->id));
    s->hash = str_printf(a, "%016llx", (unsigned long long)key_of(src->tenant, 's', src->id));
    s->q_ctx = src->ctx;
    ld_context_hold(s->q_ctx);
}

static void take_texts(struct sub_spec *s, struct arena *a, const struct sub_source *src)
{
    const struct json *geo = json_get(src->doc, S("geoQ"));
    s->name = keep(a, json_text(json_get(src->doc, S("subscriptionName"))));
    s->n_watched = names_of(a, json_get(src->doc, S("watchedAttributes")), &s->watched);
    s->triggers = triggers_of(json_get(src->doc, S("notificationTrigger")));
    s->active = !json_is(json_get(src->doc, S("isActive")), JSON_FALSE);
    datetime_parse(json_text(json_get(src->doc, S("expiresAt"))), &s->expires);
    s->throttle_us = micros(json_get(src->doc, S("throttling")), 1e6);
    s->interval_us = micros(json_get(src->doc, S("timeInterval")), 1e6);
    s->q = keep(a, json_text(json_get(src->doc, S("q"))));
    if (!entity_version_parse(json_text(json_get(src->doc, S("ngsildConformance"))), &s->version))
        s->version = ENTITY_VERSION;
    s->expand_values = keep(a, json_text(json_get(src->doc, S("expandValues"))));
    s->scope_q = keep(a, json_text(json_get(src->doc, S("scopeQ"))));
    s->georel = keep(a, json_text(json_get(geo, S("georel"))));
    s->geometry = keep(a, json_text(json_get(geo, S("geometry"))));
    s->coordinates = keep(a, json_text(json_get(geo, S("coordinates"))));
    s->geo_property = keep(a, json_text(json_get(geo, S("geoproperty"))));
}

static void spec_free(struct sub_spec *s)
{
    if (s->own)
        s->face->release(s);
    ld_context_let_go(s->q_ctx);
    for (size_t i = 0; i < s->n_selectors; i++)
        regex_free(s->selectors[i].pattern);
    entity_query_release(&s->filter);
    sub_slab_unref(s->slab);
}

enum err sub_spec_take(struct sub_spec *s, struct arena *a, const struct sub_source *src,
                       struct error *e)
{
    take_texts(s, a, src);
    take_endpoint(s, a, json_get(json_get(src->doc, S("notification")), S("endpoint")));
    take_link(s, a, src);
    return take_selectors(s, a, json_get(src->doc, S("entities")), e);
}

static struct sub_spec *compile_face(struct sub_slab *slab, const struct sub_source *src,
                                     struct sub_spec *s, struct error *e)
{
    struct sub_group *g = ARENA_NEW(&slab->arena, struct sub_group);
    g->refs = 1;
    g->slab = slab;
    atomic_fetch_add(&slab->refs, 1);
    g->view.ctx = src->shown_ctx ? src->shown_ctx : src->ctx;
    ld_context_hold(g->view.ctx);
    g->face = s->face = src->face;
    g->owner = keep(&slab->arena, json_text(json_get(src->doc, S(SUB_OWNER))));
    s->group = g;
    if (!src->face->compile(&slab->arena, src, s, e)) {
        s->origin = origin_of(s->uri);
        s->shown_uri = url_without_password(&slab->arena, s->uri);
        if (g->owner.n)
            g->key = str_printf(&slab->arena, "%" STR_F "\n" SUB_OWNER "%" STR_F, STR_A(g->key),
                                STR_A(g->owner));
        return s;
    }
    group_free(g);
    spec_free(s);
    return NULL;
}

struct sub_spec *sub_spec_new(struct sub_slab *slab, const struct sub_source *src, struct error *e)
{
    struct arena *a = &slab->arena;
    struct sub_spec *s = ARENA_NEW(a, struct sub_spec);
    s->refs = 1;
    s->slab = slab;
    atomic_fetch_add(&slab->refs, 1);
    take_identity(s, a, src);
    if (src->face)
        return compile_face(slab, src, s, e);
    take_texts(s, a, src);
    take_endpoint(s, a, json_get(json_get(src->doc, S("notification")), S("endpoint")));
    if (take_selectors(s, a, json_get(src->doc, S("entities")), e) ||
        sub_filter_new(a, s, &s->filter, e) || !(s->group = group_new(slab, s, src, e))) {
        spec_free(s);
        return NULL;
    }
    take_link(s, a, src);
    return s;
}

void sub_spec_drop(struct sub_spec *s)
{
    struct map none = MAP_INIT;
    sub_spec_unref(&none, s);
}

void sub_spec_ref(struct sub_spec *s)
{
    atomic_fetch_add(&s->refs, 1);
}

void sub_spec_unref(struct map *groups, struct sub_spec *s)
{
    if (atomic_fetch_sub(&s->refs, 1) != 1)
        return;
    struct sub_group *g = s->group;
    if (atomic_fetch_sub(&g->refs, 1) == 1) {
        if (map_get(groups, g->key) == g)
            map_del(groups, g->key);
        group_free(g);
    }
    spec_free(s);
}
