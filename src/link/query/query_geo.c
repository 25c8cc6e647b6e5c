/* query_geo.c - geo-queries (ETSI GS CIM 009 clause 4.10). */
#include "query_impl.h"

static enum err parse_near(struct str rest, struct geo_query *out, struct error *e)
{
    static const struct str max = S_INIT("maxDistance=="), min = S_INIT("minDistance==");
    bool is_max = str_starts(rest, max);
    if (!is_max && !str_starts(rest, min))
        return error_set(e, ERR_INVALID,
                         "georel: near needs ;maxDistance==metres or ;minDistance==metres");
    out->relation = is_max ? GEO_REL_NEAR_MAX : GEO_REL_NEAR_MIN;
    if (!str_to_double(str_from(rest, max.n), &out->metres) || !(out->metres > 0))
        return error_set(e, ERR_INVALID, "georel: the distance must be a number above 0");
    return OK;
}

static enum err parse_relation(struct str georel, struct geo_query *out, struct error *e)
{
    static const struct {
        struct str name;
        enum geo_relation relation;
    } names[] = {
        {S_INIT("within"), GEO_REL_WITHIN},         {S_INIT("contains"), GEO_REL_CONTAINS},
        {S_INIT("intersects"), GEO_REL_INTERSECTS}, {S_INIT("equals"), GEO_REL_EQUALS},
        {S_INIT("disjoint"), GEO_REL_DISJOINT},     {S_INIT("overlaps"), GEO_REL_OVERLAPS},
    };
    if (str_starts(georel, S("near;")))
        return parse_near(str_from(georel, 5), out, e);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (str_eq(georel, names[i].name)) {
            out->relation = names[i].relation;
            return OK;
        }
    return error_set(e, ERR_INVALID,
                     "georel: expected near, within, contains, intersects, equals, disjoint or "
                     "overlaps");
}

enum err query_parse_geo(struct arena *a, struct str georel, struct str geometry,
                         struct str coordinates, struct str property, const struct ld_context *ctx,
                         struct geo_query *out, struct error *e)
{
    *out = (struct geo_query){0};
    if (!georel.n || !geometry.n || !coordinates.n)
        return error_set(e, ERR_INVALID, "georel, geometry and coordinates go together");
    enum err rc = parse_relation(georel, out, e);
    if (rc)
        return rc;
    if (str_eq(geometry, S("GeometryCollection")))
        return error_set(e, ERR_INVALID, "geometry: a GeometryCollection cannot be queried with");
    struct error detail = {0};
    const struct json *v = json_parse(a, coordinates, &JSON_DEFAULT, &detail);
    if (!v)
        return error_set(e, ERR_INVALID, "coordinates: %s", detail.text);
    out->reference = geo_parse_query(a, geometry, v, &detail);
    if (!out->reference)
        return error_set(e, detail.code, "geo-query: %s", detail.text);
    out->property = ld_expand(ctx, a, property.n ? property : S("location"));
    out->test = geo_test_new(out->relation, out->reference, out->metres, e);
    if (out->test)
        return OK;
    return e ? e->code : ERR_INVALID;
}

void geo_query_release(struct geo_query *g)
{
    geo_test_free(g->test);
    g->test = NULL;
}

/* Most places are points: those need no memory. False when v is not plainly one. */
static bool read_point(const struct json *v, double xy[2])
{
    const struct json *position = json_get(v, S("coordinates"));
    return str_eq(json_text(json_get(v, S("type"))), S("Point")) &&
           json_double(json_at(position, 0), &xy[0]) && json_double(json_at(position, 1), &xy[1]) &&
           xy[0] >= -180 && xy[0] <= 180 && xy[1] >= -90 && xy[1] <= 90;
}

static bool value_holds(const struct geo_query *g, const struct json *v)
{
    double xy[2];
    if (read_point(v, xy)) {
        struct geo_ring ring = {xy, 1};
        struct geo_part part = {GEO_POINT, &ring, 1};
        struct geo_box box = {xy[0], xy[1], xy[0], xy[1]};
        struct geo point = {
            .kind = GEO_POINT, .parts = &part, .n = 1, .box = box, .flat = box, .positions = 1};
        return geo_test_holds(g->test, &point);
    }
    struct arena a = ARENA_INIT;
    const struct geo *candidate = geo_parse(&a, v, GEO_MAX_POSITIONS, NULL);
    bool hit = candidate && geo_test_holds(g->test, candidate);
    arena_release(&a);
    return hit;
}

bool query_geo_holds(const struct geo_query *g, const struct json *stored)
{
    const struct json *instances = entity_attr(stored, g->property);
    for (uint32_t i = 0; instances && i < instances->n; i++) {
        const struct json *one = &instances->items[i];
        if (str_eq(json_text(json_get(one, S("type"))), S("GeoProperty")) && instance_value(one) &&
            value_holds(g, instance_value(one)))
            return true;
    }
    return false;
}
