/*
 * geo_inner.h - what the geo files of core share and nobody else sees.
 */
#ifndef CORE_GEO_INNER_H
#define CORE_GEO_INNER_H

#include "core/geo.h"

#define GEOS_USE_ONLY_R_API
#include <geos_c.h>

/* --- geo_geos.c: GEOS, loaded when it is first needed --- */

#define GEO_GEOS_FUNCTIONS(X)                                                                      \
    X(GEOSCoordSeq_copyFromBuffer_r)                                                               \
    X(GEOSEquals_r)                                                                                \
    X(GEOSFree_r)                                                                                  \
    X(GEOSGeomGetX_r)                                                                              \
    X(GEOSGeomGetY_r)                                                                              \
    X(GEOSGeom_createCollection_r)                                                                 \
    X(GEOSGeom_createLineString_r)                                                                 \
    X(GEOSGeom_createLinearRing_r)                                                                 \
    X(GEOSGeom_createPointFromXY_r)                                                                \
    X(GEOSGeom_createPolygon_r)                                                                    \
    X(GEOSGeom_destroy_r)                                                                          \
    X(GEOSGetCentroid_r)                                                                           \
    X(GEOSPrepare_r)                                                                               \
    X(GEOSPreparedContains_r)                                                                      \
    X(GEOSPreparedCovers_r)                                                                        \
    X(GEOSPreparedGeom_destroy_r)                                                                  \
    X(GEOSPreparedIntersects_r)                                                                    \
    X(GEOSPreparedOverlaps_r)                                                                      \
    X(GEOSPreparedWithin_r)                                                                        \
    X(GEOS_finish_r)                                                                               \
    X(GEOS_init_r)                                                                                 \
    X(GEOSisValidDetail_r)
struct geo_geos {
#define X(name) __typeof__(name) *name;
    GEO_GEOS_FUNCTIONS(X)
#undef X
};
extern struct geo_geos geo_geos; /* filled by geo_geos_init(), constant from then on */
/* A context, to be ended with GEOS_finish_r(). NULL: GEOS is not installed. Any thread. */
GEOSContextHandle_t geo_geos_init(void);

/*
 * Parts of one kind as a GEOS geometry that the caller destroys: n parts of a multi kind, or the
 * one part of a single kind. Not for GEO_COLLECTION, which the exact relations do not know. NULL
 * only when GEOS fails.
 */
GEOSGeometry *geo_to_geos(GEOSContextHandle_t ctx, enum geo_kind kind, const struct geo_part *parts,
                          size_t n);

/* The kind of a part made multiple: GEO_POINT gives GEO_MULTIPOINT. */
enum geo_kind geo_multi(enum geo_kind part);

/* --- geo_distance.c: geometries laid out for distances on the sphere --- */

struct geo_arcs;
struct geo_arcs *geo_arcs_new(struct arena *a, const struct geo *g);
/* The least distance in metres, or any larger number than enough when it is not below that. */
double geo_arcs_distance(const struct geo_arcs *x, const struct geo_arcs *y, double enough);

/* A box of positions grown by what the edges of g bend towards the poles as great circles. */
struct geo_box geo_bent_box(const struct geo *g, struct geo_box flat);

/* --- geo_locate.c: where a point lies in a polygon, exactly --- */

enum geo_place { GEO_OUTSIDE, GEO_BOUNDARY, GEO_INSIDE };
struct geo_locator;
/* g is a polygon or a multipolygon and outlives the locator; read only afterwards. */
struct geo_locator *geo_locator_new(struct arena *a, const struct geo *g);
enum geo_place geo_locate(const struct geo_locator *l, double lon, double lat);

#endif
