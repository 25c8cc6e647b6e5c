/*
 * import_json.c - JSON in: GeoJSON features (RFC 7946) and NGSI-LD entities.
 *
 * A feature's properties become Properties under their own names, its geometry becomes location,
 * its id or name the key. Entities are taken as they are, with the @context that each carries. A
 * file is pulled through twice: to see that it is whole and what it holds, then item by item.
 */
#include "import_impl.h"

#include "core/text.h"
#include "crypto/hash.h"

/* --- GeoJSON --- */

static const struct json *property(const struct json *feature, const char *const *names, size_t n)
{
    const struct json *properties = json_get(feature, S("properties"));
    for (size_t i = 0; i < n; i++) {
        const struct json *v = json_get(properties, str_c(names[i]));
        if (json_text(v).n)
            return v;
    }
    return NULL;
}

static struct str feature_key(struct import *im, const struct json *feature)
{
    static const char *const ids[] = {"id", "ID", "fid", "code", "コード"};
    static const char *const names[] = {"name", "名称", "施設名"};
    const struct json *v = json_get(feature, S("id"));
    if (!json_text(v).n)
        v = property(feature, ids, sizeof(ids) / sizeof(ids[0]));
    if (!json_text(v).n)
        v = property(feature, names, sizeof(names) / sizeof(names[0]));
    if (json_text(v).n)
        return json_text(v);
    const struct json *geometry = json_get(feature, S("geometry"));
    return json_is(geometry, JSON_OBJECT) ? json_to_text(&im->batch, geometry) : STR_NONE;
}

/* A point in Japan, put right when its coordinates were exchanged. false: the row is rejected. */
static bool check_point(struct import *im, uint64_t row, const struct json **geometry)
{
    const struct json *g = *geometry, *at = json_get(g, S("coordinates"));
    double lon, lat;
    if (!str_eq(json_text(json_get(g, S("type"))), S("Point")) ||
        !json_double(json_at(at, 0), &lon) || !json_double(json_at(at, 1), &lat))
        return true; /* other geometries are checked when they are expanded */
    struct position p = cell_position(&lat, &lon);
    struct str read = json_to_text(&im->batch, at);
    if (p.reason) {
        import_problem(im, row, S("geometry"), p.reason, read, false,
                       "this position is not in Japan");
        return false;
    }
    if (p.swapped) {
        import_problem(im, row, S("geometry"), "swapped", read, true,
                       "latitude and longitude were exchanged and have been put right");
        struct json_member m = import_location(&im->batch, lon, lat);
        *geometry = json_get(json_at(&m.value, 0), S("value"));
    }
    return true;
}

static bool has_member(const struct json_member *m, size_t n, struct str key)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(json_key(&m[i]), key))
            return true;
    return false;
}

static struct json attribute(struct arena *a, const char *type, struct json value)
{
    struct json_member *m = ARENA_ARRAY(a, struct json_member, 2);
    m[0] = json_m(S("type"), json_v_str(str_c(type)));
    m[1] = json_m(S("value"), value);
    return json_v_object(m, 2);
}

static struct str property_name(struct arena *a, struct str key)
{
    if (str_eq(key, S("名称")) || str_eq(key, S("施設名")))
        return S("name");
    return import_attr_name(a, key);
}

/* The feature as an NGSI-LD payload. */
static const struct json *feature_payload(struct import *im, struct str id,
                                          const struct json *feature, const struct json *geometry)
{
    struct arena *a = &im->batch;
    const struct json *properties = json_get(feature, S("properties"));
    uint32_t count = json_is(properties, JSON_OBJECT) ? properties->n : 0;
    struct json_member *m = ARENA_ARRAY(a, struct json_member, count + 6);
    size_t n = 0;
    m[n++] = json_m(S("id"), json_v_str(id));
    m[n++] = json_m(S("type"), json_v_str(im->type));
    for (uint32_t i = 0; i < count; i++) {
        const struct json_member *p = &properties->members[i];
        struct str name = property_name(a, json_key(p));
        if (name.p && p->value.type != JSON_NULL && !has_member(m, n, name))
            m[n++] = json_m(name, attribute(a, "Property", p->value));
    }
    if (json_is(geometry, JSON_OBJECT))
        m[n++] = json_m(S("location"), attribute(a, "GeoProperty", *geometry));
    if (im->source.p && !has_member(m, n, S("dataProvider")))
        m[n++] = json_m(S("dataProvider"), attribute(a, "Property", json_v_str(im->source)));
    m[n++] = json_m(S("dataset"), attribute(a, "Property", json_v_str(im->dataset)));
    struct json *out = ARENA_NEW(a, struct json);
    *out = json_v_object(m, n);
    return out;
}

static enum err reject(struct import *im, uint64_t row, const char *reason, struct str read,
                       const char *text)
{
    im->report->rejected++;
    import_problem(im, row, STR_NONE, reason, read, false, "%s", text);
    return OK;
}

static enum err take_feature(struct import *im, uint64_t row, const struct json *feature)
{
    struct error why = {0};
    uint64_t first;
    im->report->rows++;
    const struct json *geometry = json_get(feature, S("geometry"));
    struct str key = feature_key(im, feature);
    if (!str_eq(json_text(json_get(feature, S("type"))), S("Feature")) || !key.n)
        return reject(im, row, "missing", STR_NONE, "no feature with an id, a name or a geometry");
    struct str id = import_id(im, &im->batch, key);
    if (!import_see(im, id, row, &first))
        return reject(im, row, "duplicate", key, "an earlier feature has the same key");
    if (!check_point(im, row, &geometry)) {
        im->report->rejected++;
        return OK;
    }
    const struct json *payload = feature_payload(im, id, feature, geometry);
    const struct json *stored =
        entity_expand(&im->batch, payload, ENTITY_WHOLE, false, ld_core(), &why);
    if (!stored)
        return reject(im, row, "invalid", key, why.text);
    return import_put(im, row, id, stored);
}

/* --- NGSI-LD --- */

static const struct ld_context *context_of(struct import *im, const struct json *entity,
                                           struct error *why)
{
    const struct json *value = json_get(entity, S("@context"));
    const struct ld_context *ctx = ld_core();
    struct str missing = STR_NONE;
    if (!value)
        return ctx;
    if (!im->job->link->contexts) {
        error_set(why, ERR_UNAVAILABLE, "there is no registry of contexts");
        return NULL;
    }
    enum err err = ld_context_get(im->job->link->contexts, &im->batch, value, &ctx, &missing, why);
    if (err == ERR_UNAVAILABLE && missing.p)
        error_set(why, err,
                  "the @context %" STR_F " is not known here; add it at %s before importing",
                  STR_A(str_cut(missing, 200)), LD_LOCAL_PATH);
    return err ? NULL : ctx;
}

static const struct json *with_dataset(struct import *im, const struct json *stored)
{
    struct json *out = ARENA_NEW(&im->batch, struct json);
    struct json_member m = import_property(&im->batch, im->iri_dataset, json_v_str(im->dataset), 0);
    *out = json_with(&im->batch, stored, im->iri_dataset, m.value);
    return out;
}

static enum err take_entity(struct import *im, uint64_t row, const struct json *entity)
{
    struct error why = {0};
    uint64_t first;
    im->report->rows++;
    struct str id = json_text(json_get(entity, S("id")));
    const struct ld_context *ctx = context_of(im, entity, &why);
    if (!ctx)
        return reject(im, row, "context", id, why.text);
    const struct json *stored = entity_expand(&im->batch, entity, ENTITY_WHOLE, false, ctx, &why);
    if (!stored)
        return reject(im, row, "invalid", id, why.text);
    id = entity_id(stored);
    if (!import_see(im, id, row, &first))
        return reject(im, row, "duplicate", id, "an earlier entity has the same id");
    return import_put(im, row, id, im->member ? with_dataset(im, stored) : stored);
}

/* --- files --- */

static bool is_feature(struct str type, bool geometry)
{
    return str_eq(type, S("FeatureCollection")) || (str_eq(type, S("Feature")) && geometry);
}

/* What a file holds: a list of features or entities, or one of them. */
struct json_file {
    struct str list; /* absent: one */
    uint64_t n;      /* of the list */
    bool bare;       /* the list is the whole text */
    bool geo;
};

/* The list that has just begun: its items are counted, the first one tells what they are. */
static void survey_list(struct import *im, struct json_pull *p, struct json_file *out)
{
    size_t began = p->began;
    for (out->n = 0;; out->n++) {
        enum json_event ev = json_pull_next(p);
        if (ev == JSON_EV_ARRAY_END || ev == JSON_EV_FAILED)
            break;
        const struct json *first = out->n ? NULL : json_pull_tree(p, &im->batch, NULL);
        if (is_feature(json_text(json_get(first, S("type"))), json_get(first, S("geometry"))))
            out->geo = true;
        json_pull_skip(p);
        arena_reset(&im->batch);
    }
    out->list = str_sub(p->text, began, p->at - began);
}

static void survey_object(struct import *im, struct json_pull *p, struct json_file *out,
                          struct error *why)
{
    struct str type = STR_NONE;
    bool geometry = false;
    while (json_pull_next(p) == JSON_EV_KEY) {
        bool is_type = str_eq(p->key, S("type")), is_list = str_eq(p->key, S("features"));
        geometry = geometry || str_eq(p->key, S("geometry"));
        enum json_event ev = json_pull_next(p);
        if (is_type && ev == JSON_EV_VALUE)
            type = str_dup(im->arena, json_text(&p->value));
        if (is_list && out->list.p)
            error_set(why, ERR_INVALID, "json: byte %zu: a second list of features", p->began);
        else if (is_list && ev == JSON_EV_ARRAY)
            survey_list(im, p, out);
        else
            json_pull_skip(p);
        arena_reset(&im->batch);
    }
    out->geo = is_feature(type, geometry);
}

/* Read the whole text once without keeping it: nothing is written when its end is missing. */
static bool survey(struct import *im, struct str text, const struct json_limits *limits,
                   struct json_file *out, struct error *why)
{
    struct json_pull p;
    struct json_limits lenient = *limits;
    lenient.duplicates = JSON_DUP_LAST; /* a bad first item is still an item */
    json_pull_open(&p, &im->batch, text, &lenient, why);
    enum json_event ev = json_pull_next(&p);
    if (ev == JSON_EV_OBJECT)
        survey_object(im, &p, out, why);
    else if (ev == JSON_EV_ARRAY)
        survey_list(im, &p, out);
    out->bare = ev == JSON_EV_ARRAY;
    while (ev != JSON_EV_END && ev != JSON_EV_FAILED)
        ev = json_pull_next(&p);
    arena_reset(&im->batch);
    return ev == JSON_EV_END && why->code == OK;
}

typedef enum err take_fn(struct import *im, uint64_t row, const struct json *item);

/* One item after the other, so that a large file takes no more memory than a small one. */
static enum err take_list(struct import *im, const struct json_file *file,
                          const struct json_limits *limits, take_fn *take)
{
    struct json_pull p;
    enum err err = OK;
    json_pull_open(&p, &im->batch, file->list, limits, NULL);
    json_pull_next(&p);
    for (uint64_t i = 0; !err && i < file->n; i++) {
        struct error why = {0};
        json_pull_next(&p);
        const struct json *item = json_pull_tree(&p, &im->batch, &why);
        if (item) {
            err = take(im, i + 1, item);
        } else {
            im->report->rows++;
            err = reject(im, i + 1, "unreadable", STR_NONE, why.text);
        }
        if (!im->n_drafts)
            arena_reset(&im->batch);
    }
    return err;
}

enum err import_json(struct import *im, struct str text, const struct kind *kind)
{
    struct json_limits limits = JSON_DEFAULT;
    struct json_file file = {0};
    struct error why = {0};
    const struct json *root = NULL;
    limits.max_bytes = IMPORT_JSON_BYTES;
    im->report->encoding = S("JSON");
    bool read = survey(im, text, &limits, &file, &why);
    bool geo = kind ? kind->format == FORMAT_GEOJSON : file.geo;
    bool is_list = file.list.p && (geo || file.bare);
    if (read && !is_list)
        root = json_parse(im->arena, text, &limits, &why);
    if (!read || (!is_list && !root))
        return import_refuse(im, why.code == ERR_TOO_LARGE ? "too_large" : "unreadable",
                             "the file holds no JSON: %s", why.text);
    enum err err = import_begin(im, import_kind_find(geo ? S("geojson") : S("ngsi-ld")));
    if (err)
        return err;
    take_fn *take = geo ? take_feature : take_entity;
    im->rows_total = is_list ? file.n : 1;
    err = is_list ? take_list(im, &file, &limits, take) : take(im, 1, root);
    if (!err)
        err = import_flush(im);
    if (!err)
        err = import_vanished(im);
    return err ? err : import_record_write(im, NULL);
}
