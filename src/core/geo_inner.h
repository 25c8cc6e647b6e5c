/*
 * geo_inner.h - what the geo files of core share and nobody else sees.
 */
#ifndef CORE_GEO_INNER_H
#define CORE_GEO_INNER_H

#include "core/geo.h"

#define GEOS_USE_ONLY_R_API
#include <geos_c.h>

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
