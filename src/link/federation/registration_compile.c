/*
 * A stored registration compiled for matching and forwarding. Immutable and counted: a change makes
 * a new one while requests with the old one may be on their way. The counters are shared by all
 * versions.
 */
#include "registration_impl.h"
#include "subscription_impl.h"
#include <stdlib.h>

/* --- counters --- */

static struct reg_counts *counts_new(int64_t rid)
{
    struct reg_counts *c = calloc(1, sizeof(*c));
    if (!c)
        abort();
    c->refs = 1;
    c->rid = rid;
    return c;
}

void reg_counts_unref(struct reg_counts *c)
{
    if (atomic_fetch_sub(&c->refs, 1) == 1)
        free(c);
}

/* --- parts --- */

static size_t texts_of(struct arena *a, const struct json *v, const struct str **out)
{
    size_t n = json_is(v, JSON_ARRAY) ? v->n : 0;
    struct str *list = n ? ARENA_ARRAY(a, struct str, n) : NULL;
    for (size_t i = 0; i < n; i++)
        list[i] = json_text(&v->items[i]);
    *out = list;
    return n;
}

/* A type or an array of them as an array. */
static const struct json *types_of(struct arena *a, const struct json *v)
{
    if (json_is(v, JSON_ARRAY))
        return v;
    struct json *list = ARENA_NEW(a, struct json);
    *list = json_v_array(v, 1);
    return list;
}

static enum err take_entities(struct arena *a, struct reg_info *info, const struct json *list,
                              struct error *e)
{
    size_t n = json_is(list, JSON_ARRAY) ? list->n : 0;
    struct reg_entity *out = n ? ARENA_ARRAY(a, struct reg_entity, n) : NULL;
    info->entities = out;
    for (size_t i = 0; i < n; i++) {
        const struct json *o = &list->items[i];
        info->n_entities = i + 1;
        out[i].id = json_text(json_get(o, S("id")));
        out[i].types = types_of(a, json_get(o, S("type")));
        if (out[i].id.p)
            continue; /* which is more than a pattern says */
        out[i].pattern_text = json_text(json_get(o, S("idPattern")));
        if (out[i].pattern_text.p && !(out[i].pattern = regex_new(out[i].pattern_text, e)))
            return e->code;
    }
    return OK;
}

static void take_attrs(struct arena *a, struct reg_info *info, const struct json *doc)
{
    const struct str *properties, *relationships;
    size_t n = texts_of(a, json_get(doc, S("propertyNames")), &properties);
    size_t m = texts_of(a, json_get(doc, S("relationshipNames")), &relationships);
    struct str *all = n + m ? ARENA_ARRAY(a, struct str, n + m) : NULL;
    for (size_t i = 0; i < n + m; i++)
        all[i] = i < n ? properties[i] : relationships[i - n];
    info->attrs = all;
    info->n_attrs = n + m;
}

static enum err take_infos(struct registration *r, struct arena *a, struct error *e)
{
    const struct json *list = json_get(r->doc, S("information"));
    size_t n = json_is(list, JSON_ARRAY) ? list->n : 0;
    struct reg_info *infos = ARENA_ARRAY(a, struct reg_info, n ? n : 1);
    r->infos = infos;
    for (size_t i = 0; i < n; i++) {
        r->n_infos = i + 1;
        infos[i].doc = &list->items[i];
        take_attrs(a, &infos[i], &list->items[i]);
        if (take_entities(a, &infos[i], json_get(&list->items[i], S("entities")), e))
            return e->code;
    }
    return OK;
}

/* The places that it speaks of: the three of the specification and the source's own. */
static void take_spaces(struct registration *r, struct arena *a)
{
    VEC(struct reg_space) list = VEC_INIT;
    for (uint32_t i = 0; i < r->doc->n; i++) {
        const struct json_member *m = &r->doc->members[i];
        if (!json_get(&m->value, S("coordinates")))
            continue;
        const struct geo *geo = geo_parse(a, &m->value, GEO_MAX_POSITIONS, NULL);
        if (geo)
            *vec_push(a, &list) = (struct reg_space){ld_expand(ld_core(), a, json_key(m)), geo};
    }
    r->spaces = list.v;
    r->n_spaces = list.n;
}

static bool take_interval(const struct json *v, int64_t *from, int64_t *to)
{
    *from = INT64_MIN;
    *to = INT64_MAX;
    if (!v)
        return false;
    datetime_parse(json_text(json_get(v, S("startAt"))), from);
    datetime_parse(json_text(json_get(v, S("endAt"))), to);
    return true;
}

static struct str without_tail(struct str s)
{
    while (s.n && s.p[s.n - 1] == '/')
        s.n--;
    return s;
}

static struct str endpoint_of(struct str url)
{
    url = without_tail(url);
    if (str_ends(url, S("/ngsi-ld/v1")))
        url.n -= sizeof("/ngsi-ld/v1") - 1;
    return without_tail(url);
}

struct str reg_info_value(const struct json *doc, struct str key)
{
    const struct json *list = json_get(doc, S("contextSourceInfo"));
    for (uint32_t i = 0; json_is(list, JSON_ARRAY) && i < list->n; i++)
        if (str_eq(json_text(json_get(&list->items[i], S("key"))), key))
            return json_text(json_get(&list->items[i], S("value")));
    return STR_NONE;
}

static void take_headers(struct registration *r, struct arena *a)
{
    const struct json *list = json_get(r->doc, S("contextSourceInfo"));
    size_t n = json_is(list, JSON_ARRAY) ? list->n : 0;
    struct http_header *out = n ? ARENA_ARRAY(a, struct http_header, n) : NULL;
    r->accept = reg_info_value(r->doc, S("accept"));
    r->content_type = reg_info_value(r->doc, S("contentType"));
    r->jsonld_context = reg_info_value(r->doc, S("jsonldContext"));
    r->conformance = reg_info_value(r->doc, S("ngsildConformance"));
    for (size_t i = 0; i < n; i++) {
        struct str key = json_text(json_get(&list->items[i], S("key")));
        if (!str_eq(key, S("accept")) && !str_eq(key, S("contentType")) &&
            !str_eq(key, S("jsonldContext")) && !str_eq(key, S("ngsildConformance")))
            out[r->n_headers++] =
                (struct http_header){.name = key,
                                     .value = json_text(json_get(&list->items[i], S("value")))};
    }
    r->headers = out;
}

static int64_t millis(const struct json *v)
{
    double d;
    return json_double(v, &d) ? (int64_t)d : 0;
}

static void take_management(struct registration *r)
{
    const struct json *m = json_get(r->doc, S("management"));
    struct duration cache = {0};
    r->local_only = json_true(json_get(m, S("localOnly")));
    r->timeout_ms = millis(json_get(m, S("timeout")));
    r->cooldown_us = millis(json_get(m, S("cooldown"))) * 1000;
    if (duration_parse(json_text(json_get(m, S("cacheDuration"))), &cache))
        r->cache_us = duration_add(0, &cache);
}

static void take_texts(struct registration *r, struct arena *a)
{
    const struct json *doc = r->doc;
    r->id = json_text(json_get(doc, S("id")));
    r->mode = reg_mode_of(doc);
    r->operations = reg_ops_of(doc);
    r->endpoint = endpoint_of(json_text(json_get(doc, S("endpoint"))));
    r->remote_tenant = json_text(json_get(doc, S("tenant")));
    r->alias = json_text(json_get(doc, S("contextSourceAlias")));
    if (!r->alias.p)
        r->alias = json_text(json_get(doc, S("hostAlias")));
    datetime_parse(json_text(json_get(doc, S("expiresAt"))), &r->expires);
    r->n_datasets = texts_of(a, json_get(doc, S("datasetId")), &r->datasets);
    r->has_observation =
        take_interval(json_get(doc, S("observationInterval")), &r->observed_from, &r->observed_to);
    r->has_management =
        take_interval(json_get(doc, S("managementInterval")), &r->managed_from, &r->managed_to);
}

struct registration *reg_compile(struct sub_slab *slab, const struct reg_source *src,
                                 struct reg_counts *counts, struct error *e)
{
    struct arena *a = &slab->arena;
    struct registration *r = ARENA_NEW(a, struct registration);
    struct json *doc = ARENA_NEW(a, struct json);
    *doc = json_copy(a, src->doc);
    r->refs = 1;
    r->slab = slab;
    atomic_fetch_add(&slab->refs, 1);
    r->doc = doc;
    r->tenant = src->tenant;
    r->rid = src->rid;
    r->version = src->version;
    r->created = src->created;
    r->modified = src->modified;
    r->counts = counts ? counts : counts_new(src->rid);
    r->ctx = src->ctx;
    ld_context_hold(r->ctx);
    take_texts(r, a);
    take_headers(r, a);
    take_management(r);
    take_spaces(r, a);
    if (!take_infos(r, a, e))
        return r;
    registration_let_go(r);
    return NULL;
}

void registration_hold(struct registration *r)
{
    atomic_fetch_add(&r->refs, 1);
}

void registration_let_go(struct registration *r)
{
    if (atomic_fetch_sub(&r->refs, 1) != 1)
        return;
    for (size_t i = 0; i < r->n_infos; i++)
        for (size_t k = 0; k < r->infos[i].n_entities; k++)
            regex_free(r->infos[i].entities[k].pattern);
    ld_context_let_go(r->ctx);
    reg_counts_unref(r->counts);
    sub_slab_unref(r->slab);
}
