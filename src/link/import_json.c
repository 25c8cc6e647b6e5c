/*
 * import_json.c - JSON in: GeoJSON features (RFC 7946) and NGSI-LD entities.
 *
 * A feature's properties become Properties under their own names, its geometry becomes location,
 * its id or name the key. Entities are taken as they are, with the @context that each carries.
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

/* A FeatureCollection, a list of features, or one. */
static enum err each(struct import *im, const struct json *list, const struct json *root,
                     enum err (*take)(struct import *, uint64_t, const struct json *))
{
    enum err err = OK;
    im->rows_total = json_is(list, JSON_ARRAY) ? list->n : 1;
    for (uint64_t i = 0; !err && i < im->rows_total; i++)
        err = take(im, i + 1, json_is(list, JSON_ARRAY) ? json_at(list, (size_t)i) : root);
    if (!err)
        err = import_flush(im);
    if (!err)
        err = import_vanished(im);
    return err ? err : import_record_write(im, NULL);
}

enum err import_geojson(struct import *im, const struct json *root)
{
    enum err err = import_begin(im, import_kind_find(S("geojson")));
    if (err)
        return err;
    const struct json *list = json_get(root, S("features"));
    return each(im, list ? list : root, root, take_feature);
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

enum err import_ngsild(struct import *im, const struct json *root)
{
    enum err err = import_begin(im, import_kind_find(S("ngsi-ld")));
    return err ? err : each(im, root, root, take_entity);
}
