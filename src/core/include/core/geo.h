/*
 * geo.h - places on the earth: GeoJSON geometry (RFC 7946), distances, exact relations, cells.
 *
 * Coordinates are WGS84 longitude, latitude in degrees, in that order, as in GeoJSON. Altitude is
 * kept in the JSON and ignored in relations. Distances are metres on the sphere of radius
 * GEO_EARTH_M (mean radius, the one that PostGIS uses for spheroid = false), with great circles as
 * edges; relations between geometries are planar in degrees and exact (GEOS). A geometry may not
 * cross the antimeridian: RFC 7946 section 3.1.9 asks writers to cut it there, and geo_parse()
 * refuses longitudes outside [-180, 180] and latitudes outside [-90, 90]. Self-intersecting
 * polygons are refused.
 *
 *     const struct geo *g = geo_parse(&arena, json, GEO_MAX_POSITIONS, &e);
 *     struct geo_test *t = geo_test_new(GEO_REL_WITHIN, district, 0, &e);
 *     if (geo_test_holds(t, g)) ...
 *     geo_test_free(t);
 */
#ifndef CORE_GEO_H
#define CORE_GEO_H

#include "core/json.h"

#define GEO_EARTH_M 6371008.771415059

enum geo_kind {
    GEO_POINT,
    GEO_MULTIPOINT,
    GEO_LINESTRING,
    GEO_MULTILINESTRING,
    GEO_POLYGON,
    GEO_MULTIPOLYGON,
    GEO_COLLECTION
};

struct geo_box {
    double west, south, east, north; /* closed */
};

struct geo_ring {
    const double *xy; /* lon, lat pairs */
    size_t n;         /* positions */
};

struct geo_part {                 /* one point, line or polygon */
    enum geo_kind kind;           /* GEO_POINT, GEO_LINESTRING or GEO_POLYGON */
    const struct geo_ring *rings; /* a point and a line have one; a polygon's first is its shell */
    size_t n;
};

struct geo {
    enum geo_kind kind;
    const struct geo_part *parts;
    size_t n;
    struct geo_box box;  /* holds the edges both as straight lines and as great circles: index it */
    struct geo_box flat; /* of the positions alone; the two differ for long edges only */
    size_t positions;    /* in all */
};

enum { GEO_MAX_POSITIONS = 100000 }; /* default limit of one geometry */

/*
 * A GeoJSON geometry object, checked: type, numbers, ranges, lines of two different positions,
 * closed rings of >= 4, polygon validity (OGC), no empty coordinates, no collection in a
 * collection. The result lives in the arena and does not point into the JSON. NULL with
 * ERR_INVALID (what and where) or ERR_TOO_LARGE (over max_positions).
 */
const struct geo *geo_parse(struct arena *a, const struct json *geometry, size_t max_positions,
                            struct error *e);
/* The same from a type name and bare coordinates, as in NGSI-LD geo-queries (clause 4.10). */
const struct geo *geo_parse_query(struct arena *a, struct str type, const struct json *coordinates,
                                  struct error *e);
const struct geo *geo_point(struct arena *a, double lon, double lat);

/* Great-circle distance of two points, metres (haversine). */
double geo_point_distance(double lon1, double lat1, double lon2, double lat2);
/*
 * Least great-circle distance between two geometries, metres; 0 when they touch or one holds the
 * other. An edge of 180 degrees of longitude or more runs straight, not over the antimeridian.
 */
double geo_distance(const struct geo *x, const struct geo *y);
/* A box that holds everything within metres of g; may be the whole earth near the poles. */
struct geo_box geo_box_around(const struct geo *g, double metres);
bool geo_box_meets(struct geo_box x, struct geo_box y); /* touching counts */
/* The centroid; of a collection the middle of its box. */
void geo_centre(const struct geo *g, double *lon, double *lat);

enum geo_relation {
    GEO_REL_NEAR_MAX, /* distance <= metres */
    GEO_REL_NEAR_MIN, /* distance >= metres */
    GEO_REL_WITHIN,
    GEO_REL_CONTAINS,
    GEO_REL_INTERSECTS,
    GEO_REL_EQUALS,
    GEO_REL_DISJOINT,
    GEO_REL_OVERLAPS
};

/*
 * A reference geometry prepared once for many tests; one thread at a time. Borders count as in
 * OGC: a point on the border of a polygon intersects it and is not within it. A collection as
 * reference can only be near, intersect or be disjoint (else ERR_INVALID); as candidate it is
 * within when all of its parts are covered and one is within, intersects and contains by any part,
 * equals and overlaps by its only part.
 */
struct geo_test;
struct geo_test *geo_test_new(enum geo_relation r, const struct geo *reference, double metres,
                              struct error *e); /* the reference must outlive it */
bool geo_test_holds(struct geo_test *t, const struct geo *candidate); /* candidate REL reference */
/* The box that the box of a candidate must meet; not *bounded for disjoint and near-min. */
struct geo_box geo_test_box(const struct geo_test *t, bool *bounded);
void geo_test_free(struct geo_test *t);

/*
 * Cells: a quadtree over (lon, lat) whose leaves are numbered along a Z-order curve, so that a
 * cell of any level is one range of integers and any ordered index becomes a spatial index.
 * A cell id carries its level: the 2*level bits of the path, a one, then zeros (like S2's ids);
 * ids are positive int64_t. geo_cover() gives at most 4 cells that together cover a box, as small
 * as that allows; an index row per cell is kept for each geometry.
 */
enum { GEO_CELL_LEVEL = 30, GEO_COVER_MAX = 4 };
int64_t geo_cell(double lon, double lat, int level);
size_t geo_cover(struct geo_box box, int64_t cells[GEO_COVER_MAX]);
/*
 * The ranges of cell ids that a row meeting the box may have: descendants as closed ranges
 * (at most max_ranges, and 256; more ranges fit tighter) and the ancestors as single-id ranges.
 * Sorted, disjoint; the number written to out, which needs room for max_ranges + 4 *
 * GEO_CELL_LEVEL. Nothing that meets the box is missed. Of points spread evenly, 4 ranges give 4.0
 * candidates for each point in the box, 8 give 2.5, 16 give 1.8 and 24 give 1.6 (test_geo_cell.c).
 * A box with west > east or south > north has no cells and no ranges.
 */
struct geo_range {
    int64_t from, to; /* closed */
};
size_t geo_ranges(struct geo_box box, size_t max_ranges, struct geo_range *out);

#endif
