/* geo_parse.c - GeoJSON geometry in, checked; and out to GEOS. */
#include "geo_inner.h"

#include "core/vec.h"

#include <string.h>

/* --- to GEOS --- */

enum geo_kind geo_multi(enum geo_kind part)
{
    switch (part) {
    case GEO_POINT:
        return GEO_MULTIPOINT;
    case GEO_LINESTRING:
        return GEO_MULTILINESTRING;
    case GEO_POLYGON:
        return GEO_MULTIPOLYGON;
    default:
        return part;
    }
}

static GEOSCoordSequence *ring_to_geos(GEOSContextHandle_t ctx, const struct geo_ring *ring)
{
    return geo_geos.GEOSCoordSeq_copyFromBuffer_r(ctx, ring->xy, (unsigned)ring->n, 0, 0);
}

static GEOSGeometry *polygon_to_geos(GEOSContextHandle_t ctx, const struct geo_part *part)
{
    struct arena a = ARENA_INIT;
    GEOSGeometry **rings = ARENA_ARRAY(&a, GEOSGeometry *, part->n);
    GEOSGeometry *polygon = NULL;
    size_t n = 0;
    for (; n < part->n; n++) {
        GEOSCoordSequence *seq = ring_to_geos(ctx, &part->rings[n]);
        rings[n] = seq ? geo_geos.GEOSGeom_createLinearRing_r(ctx, seq) : NULL;
        if (!rings[n]) {
            goto out;
        }
    }
    /* takes the rings, also when it fails */
    polygon = geo_geos.GEOSGeom_createPolygon_r(ctx, rings[0], rings + 1, (unsigned)(n - 1));
    n = 0;
out:
    while (n > 0) {
        geo_geos.GEOSGeom_destroy_r(ctx, rings[--n]);
    }
    arena_release(&a);
    return polygon;
}

static GEOSGeometry *part_to_geos(GEOSContextHandle_t ctx, const struct geo_part *part)
{
    if (part->kind == GEO_POINT) {
        return geo_geos.GEOSGeom_createPointFromXY_r(ctx, part->rings[0].xy[0],
                                                     part->rings[0].xy[1]);
    }
    if (part->kind == GEO_POLYGON) {
        return polygon_to_geos(ctx, part);
    }
    GEOSCoordSequence *seq = ring_to_geos(ctx, &part->rings[0]);
    return seq ? geo_geos.GEOSGeom_createLineString_r(ctx, seq) : NULL;
}

GEOSGeometry *geo_to_geos(GEOSContextHandle_t ctx, enum geo_kind kind, const struct geo_part *parts,
                          size_t n)
{
    if (kind == parts[0].kind) {
        return part_to_geos(ctx, &parts[0]);
    }
    int type = kind == GEO_MULTIPOINT        ? GEOS_MULTIPOINT
               : kind == GEO_MULTILINESTRING ? GEOS_MULTILINESTRING
                                             : GEOS_MULTIPOLYGON;
    struct arena a = ARENA_INIT;
    GEOSGeometry **all = ARENA_ARRAY(&a, GEOSGeometry *, n);
    GEOSGeometry *whole = NULL;
    size_t made = 0;
    for (; made < n; made++) {
        all[made] = part_to_geos(ctx, &parts[made]);
        if (!all[made]) {
            goto out;
        }
    }
    whole = geo_geos.GEOSGeom_createCollection_r(ctx, type, all, (unsigned)n); /* takes the parts */
    made = 0;
out:
    while (made > 0) {
        geo_geos.GEOSGeom_destroy_r(ctx, all[--made]);
    }
    arena_release(&a);
    return whole;
}

/* --- reading --- */

struct kind_row {
    struct str name;
    enum geo_kind kind, part;
    bool multi;
};

static const struct kind_row kinds[] = {
    {S_INIT("Point"), GEO_POINT, GEO_POINT, false},
    {S_INIT("MultiPoint"), GEO_MULTIPOINT, GEO_POINT, true},
    {S_INIT("LineString"), GEO_LINESTRING, GEO_LINESTRING, false},
    {S_INIT("MultiLineString"), GEO_MULTILINESTRING, GEO_LINESTRING, true},
    {S_INIT("Polygon"), GEO_POLYGON, GEO_POLYGON, false},
    {S_INIT("MultiPolygon"), GEO_MULTIPOLYGON, GEO_POLYGON, true},
};

static const struct kind_row *kind_of(struct str name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (str_eq(name, kinds[i].name)) {
            return &kinds[i];
        }
    }
    return NULL;
}

enum { PATH_MAX_DEPTH = 4, PATH_TEXT = 128 };

struct reader {
    struct arena *a;
    size_t max, positions;
    struct geo_box box;
    VEC(struct geo_part) parts;
    GEOSContextHandle_t geos; /* made for the first polygon */
    struct error *e;
    /* where we are, for messages: geometries[member].coordinates[path[0]][path[1]]... */
    bool in_collection;
    size_t member, path[PATH_MAX_DEPTH], depth;
};

static enum err fail(struct reader *r, enum err code, const char *what)
{
    char text[PATH_TEXT];
    struct buf where = BUF_INIT;
    if (r->in_collection) {
        buf_printf(&where, "geometries[%zu].", r->member);
    }
    BUF_LIT(&where, "coordinates");
    for (size_t i = 0; i < r->depth; i++) {
        buf_printf(&where, "[%zu]", r->path[i]);
    }
    struct str w = str_sub(buf_view(&where), 0, sizeof text - 1);
    memcpy(text, w.p, w.n);
    text[w.n] = '\0';
    buf_release(&where);
    return error_set(r->e, code, "geometry: %s: %s", text, what);
}

static enum err read_position(struct reader *r, const struct json *v, double *xy)
{
    if (!json_is(v, JSON_ARRAY) || v->n < 2) {
        return fail(r, ERR_INVALID, "expected a position [longitude, latitude]");
    }
    double altitude;
    for (uint32_t i = 0; i < v->n; i++) {
        if (!json_double(&v->items[i], i < 2 ? &xy[i] : &altitude)) {
            return fail(r, ERR_INVALID, "a position holds something that is not a number");
        }
    }
    if (xy[0] < -180 || xy[0] > 180) {
        return fail(r, ERR_INVALID, "longitude outside [-180, 180]");
    }
    if (xy[1] < -90 || xy[1] > 90) {
        return fail(r, ERR_INVALID, "latitude outside [-90, 90]");
    }
    if (r->positions == 0) {
        r->box = (struct geo_box){xy[0], xy[1], xy[0], xy[1]};
    }
    r->box.west = xy[0] < r->box.west ? xy[0] : r->box.west;
    r->box.east = xy[0] > r->box.east ? xy[0] : r->box.east;
    r->box.south = xy[1] < r->box.south ? xy[1] : r->box.south;
    r->box.north = xy[1] > r->box.north ? xy[1] : r->box.north;
    r->positions++;
    return OK;
}

static enum err check_room(struct reader *r, size_t more)
{
    if (more > r->max - r->positions) {
        return fail(r, ERR_TOO_LARGE, "more positions than one geometry may have");
    }
    return OK;
}

static enum err read_ring(struct reader *r, const struct json *v, bool closed, struct geo_ring *out)
{
    size_t least = closed ? 4 : 2;
    if (!json_is(v, JSON_ARRAY) || v->n < least) {
        return fail(r, ERR_INVALID,
                    closed ? "expected a ring of at least 4 positions"
                           : "expected a line of at least 2 positions");
    }
    enum err err = check_room(r, v->n);
    if (err) {
        return err;
    }
    double *xy = arena_alloc(r->a, v->n * 2 * sizeof *xy);
    size_t at = r->depth++;
    for (uint32_t i = 0; i < v->n; i++) {
        r->path[at] = i;
        err = read_position(r, &v->items[i], xy + 2 * (size_t)i);
        if (err) {
            return err;
        }
    }
    r->depth--;
    const double *last = xy + 2 * ((size_t)v->n - 1);
    if (closed && (xy[0] != last[0] || xy[1] != last[1])) {
        return fail(r, ERR_INVALID,
                    "the ring is not closed: its last position differs from its first");
    }
    bool same = true;
    for (size_t i = 1; i < v->n && same; i++) {
        same = xy[2 * i] == xy[0] && xy[2 * i + 1] == xy[1];
    }
    if (same) {
        return fail(r, ERR_INVALID, "all positions are the same");
    }
    *out = (struct geo_ring){xy, v->n};
    return OK;
}

static enum err read_point(struct reader *r, const struct json *v, struct geo_ring *out)
{
    enum err err = check_room(r, 1);
    double *xy = arena_alloc(r->a, 2 * sizeof *xy);
    *out = (struct geo_ring){xy, 1};
    return err ? err : read_position(r, v, xy);
}

static enum err read_polygon(struct reader *r, const struct json *v, struct geo_part *out)
{
    if (!json_is(v, JSON_ARRAY) || v->n == 0) {
        return fail(r, ERR_INVALID, "expected the rings of a polygon");
    }
    enum err err = check_room(r, v->n); /* each ring has positions */
    if (err) {
        return err;
    }
    struct geo_ring *rings = ARENA_ARRAY(r->a, struct geo_ring, v->n);
    size_t at = r->depth++;
    for (uint32_t i = 0; i < v->n; i++) {
        r->path[at] = i;
        err = read_ring(r, &v->items[i], true, &rings[i]);
        if (err) {
            return err;
        }
    }
    r->depth--;
    *out = (struct geo_part){GEO_POLYGON, rings, v->n};
    return OK;
}

static enum err read_part(struct reader *r, enum geo_kind kind, const struct json *v)
{
    struct geo_part part = {kind, NULL, 1};
    enum err err;
    if (kind == GEO_POLYGON) {
        err = read_polygon(r, v, &part);
    } else {
        struct geo_ring *ring = ARENA_NEW(r->a, struct geo_ring);
        part.rings = ring;
        err = kind == GEO_POINT ? read_point(r, v, ring) : read_ring(r, v, false, ring);
    }
    if (!err) {
        *vec_push(r->a, &r->parts) = part;
    }
    return err;
}

/* Rings that cross, holes outside their shell, polygons that overlap: GEOS knows them all. */
static enum err check_validity(struct reader *r, enum geo_kind kind, const struct geo_part *parts,
                               size_t n)
{
    char *reason = NULL;
    GEOSGeometry *where = NULL;
    enum err err = OK;
    r->geos = r->geos ? r->geos : geo_geos_init();
    if (!r->geos)
        return fail(r, ERR_UNAVAILABLE, "polygons cannot be checked: GEOS is not installed");
    GEOSGeometry *g = geo_to_geos(r->geos, kind, parts, n);
    if (!g || geo_geos.GEOSisValidDetail_r(r->geos, g, 0, &reason, &where) != 1) {
        char what[PATH_TEXT];
        double lon = 0, lat = 0;
        if (where) {
            geo_geos.GEOSGeomGetX_r(r->geos, where, &lon);
            geo_geos.GEOSGeomGetY_r(r->geos, where, &lat);
        }
        struct buf text = BUF_INIT;
        buf_printf(&text, "not a valid polygon: %s near [%.7g, %.7g]",
                   reason ? reason : "its shape", lon, lat);
        struct str t = str_sub(buf_view(&text), 0, sizeof what - 1);
        memcpy(what, t.p, t.n);
        what[t.n] = '\0';
        buf_release(&text);
        err = fail(r, ERR_INVALID, what);
    }
    geo_geos.GEOSFree_r(r->geos, reason);
    geo_geos.GEOSGeom_destroy_r(r->geos, where);
    geo_geos.GEOSGeom_destroy_r(r->geos, g);
    return err;
}

static enum err read_coordinates(struct reader *r, const struct kind_row *row, const struct json *v)
{
    size_t first = r->parts.n;
    enum err err = OK;
    r->depth = 0;
    if (!row->multi) {
        err = read_part(r, row->part, v);
    } else {
        if (!json_is(v, JSON_ARRAY) || v->n == 0) {
            return fail(r, ERR_INVALID, "expected an array with at least one member");
        }
        r->depth = 1;
        for (uint32_t i = 0; i < v->n && !err; i++) {
            r->path[0] = i;
            err = read_part(r, row->part, &v->items[i]);
        }
    }
    if (err) {
        return err;
    }
    r->depth = 0;
    return row->part == GEO_POLYGON
               ? check_validity(r, row->kind, r->parts.v + first, r->parts.n - first)
               : OK;
}

static enum err read_collection(struct reader *r, const struct json *geometry)
{
    const struct json *members = json_get(geometry, S("geometries"));
    if (!json_is(members, JSON_ARRAY) || members->n == 0) {
        return error_set(r->e, ERR_INVALID,
                         "geometry: a GeometryCollection needs geometries, at least one");
    }
    r->in_collection = true;
    for (uint32_t i = 0; i < members->n; i++) {
        const struct json *member = &members->items[i];
        struct str type = json_text(json_get(member, S("type")));
        const struct kind_row *row = kind_of(type);
        r->member = i;
        if (!row) {
            return error_set(r->e, ERR_INVALID,
                             "geometry: geometries[%u]: unknown type '%" STR_F
                             "' (a collection in a collection is not allowed)",
                             (unsigned)i, STR_A(str_sub(type, 0, 40)));
        }
        enum err err = read_coordinates(r, row, json_get(member, S("coordinates")));
        if (err) {
            return err;
        }
    }
    return OK;
}

static const struct geo *finish(struct reader *r, enum geo_kind kind, enum err err)
{
    if (r->geos) {
        geo_geos.GEOS_finish_r(r->geos);
    }
    if (err) {
        return NULL;
    }
    struct geo *g = ARENA_NEW(r->a, struct geo);
    *g = (struct geo){kind, r->parts.v, r->parts.n, r->box, r->box, r->positions};
    g->box = geo_bent_box(g, g->flat);
    return g;
}

const struct geo *geo_parse(struct arena *a, const struct json *geometry, size_t max_positions,
                            struct error *e)
{
    struct reader r = {.a = a, .max = max_positions, .e = e};
    if (!json_is(geometry, JSON_OBJECT)) {
        error_set(e, ERR_INVALID, "geometry: expected an object");
        return NULL;
    }
    struct str type = json_text(json_get(geometry, S("type")));
    if (str_eq(type, S("GeometryCollection"))) {
        return finish(&r, GEO_COLLECTION, read_collection(&r, geometry));
    }
    const struct kind_row *row = kind_of(type);
    if (!row) {
        error_set(e, ERR_INVALID, "geometry: unknown type '%" STR_F "'",
                  STR_A(str_sub(type, 0, 40)));
        return NULL;
    }
    return finish(&r, row->kind, read_coordinates(&r, row, json_get(geometry, S("coordinates"))));
}

const struct geo *geo_parse_query(struct arena *a, struct str type, const struct json *coordinates,
                                  struct error *e)
{
    struct reader r = {.a = a, .max = GEO_MAX_POSITIONS, .e = e};
    const struct kind_row *row = kind_of(type);
    if (!row) {
        error_set(e, ERR_INVALID, "geometry: '%" STR_F "' is not a geometry to query with",
                  STR_A(str_sub(type, 0, 40)));
        return NULL;
    }
    return finish(&r, row->kind, read_coordinates(&r, row, coordinates));
}

const struct geo *geo_point(struct arena *a, double lon, double lat)
{
    double *xy = arena_alloc(a, 2 * sizeof *xy);
    struct geo_ring *ring = ARENA_NEW(a, struct geo_ring);
    struct geo_part *part = ARENA_NEW(a, struct geo_part);
    struct geo *g = ARENA_NEW(a, struct geo);
    xy[0] = lon;
    xy[1] = lat;
    *ring = (struct geo_ring){xy, 1};
    *part = (struct geo_part){GEO_POINT, ring, 1};
    *g = (struct geo){GEO_POINT, part, 1, {lon, lat, lon, lat}, {lon, lat, lon, lat}, 1};
    return g;
}
