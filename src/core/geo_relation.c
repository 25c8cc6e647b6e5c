/*
 * geo_relation.c - the exact relations between geometries, and centres.
 *
 * Boxes decide most cases; points against polygons are decided by geo_locate.c, everything else by
 * GEOS with the reference prepared. GEOS does not relate geometry collections: each of their
 * parts is related on its own and the answers are put together (see collection_holds).
 */
#include "geo_inner.h"

#include <math.h>
#include <stdlib.h>

struct piece { /* of the reference: all of it, or one part of a collection */
    GEOSGeometry *g;
    const GEOSPreparedGeometry *prepared;
};

struct geo_test {
    enum geo_relation relation;
    const struct geo *reference;
    double metres;
    struct arena own;     /* lives as long as the test */
    struct arena scratch; /* one candidate */
    struct geo_arcs *arcs;
    struct geo_locator *locator; /* for a polygon reference */
    GEOSContextHandle_t geos;
    struct piece *pieces;
    size_t n_pieces;
};

static bool is_near(enum geo_relation r)
{
    return r == GEO_REL_NEAR_MAX || r == GEO_REL_NEAR_MIN;
}

static bool is_point(const struct geo *g)
{
    return g->n == 1 && g->parts[0].kind == GEO_POINT;
}

/* --- making and freeing --- */

static bool add_piece(struct geo_test *t, enum geo_kind kind, const struct geo_part *parts,
                      size_t n)
{
    struct piece *piece = &t->pieces[t->n_pieces];
    piece->g = geo_to_geos(t->geos, kind, parts, n);
    piece->prepared = piece->g ? geo_geos.GEOSPrepare_r(t->geos, piece->g) : NULL;
    t->n_pieces++;
    return piece->prepared != NULL;
}

static enum err prepare_exact(struct geo_test *t, struct error *e)
{
    const struct geo *g = t->reference;
    bool ok = true;
    t->geos = geo_geos_init();
    if (!t->geos)
        return error_set(e, ERR_UNAVAILABLE, "geometry: GEOS is not installed");
    if (g->kind != GEO_COLLECTION) {
        t->pieces = ARENA_NEW(&t->own, struct piece);
        ok = add_piece(t, g->kind, g->parts, g->n);
        if (g->parts[0].kind == GEO_POLYGON) {
            t->locator = geo_locator_new(&t->own, g);
        }
    } else {
        if (t->relation != GEO_REL_INTERSECTS && t->relation != GEO_REL_DISJOINT) {
            return error_set(e, ERR_INVALID,
                             "a geometry collection can be near, intersect or be disjoint only");
        }
        t->pieces = ARENA_ARRAY(&t->own, struct piece, g->n);
        for (size_t i = 0; i < g->n && ok; i++) {
            ok = add_piece(t, g->parts[i].kind, &g->parts[i], 1);
        }
    }
    return ok ? OK : error_set(e, ERR_INTERNAL, "geometry: the reference could not be prepared");
}

struct geo_test *geo_test_new(enum geo_relation r, const struct geo *reference, double metres,
                              struct error *e)
{
    struct geo_test *t = calloc(1, sizeof *t);
    if (!t) {
        abort();
    }
    t->relation = r;
    t->reference = reference;
    t->metres = metres;
    if (!is_near(r)) {
        if (prepare_exact(t, e)) {
            geo_test_free(t);
            return NULL;
        }
        return t;
    }
    if (!(metres >= 0)) {
        error_set(e, ERR_INVALID, "geometry: a distance must be 0 or more");
        geo_test_free(t);
        return NULL;
    }
    t->arcs = geo_arcs_new(&t->own, reference);
    return t;
}

void geo_test_free(struct geo_test *t)
{
    if (!t) {
        return;
    }
    for (size_t i = 0; i < t->n_pieces; i++) {
        geo_geos.GEOSPreparedGeom_destroy_r(t->geos, t->pieces[i].prepared);
        geo_geos.GEOSGeom_destroy_r(t->geos, t->pieces[i].g);
    }
    if (t->geos) {
        geo_geos.GEOS_finish_r(t->geos);
    }
    arena_release(&t->scratch);
    arena_release(&t->own);
    free(t);
}

/* --- near --- */

static bool near_holds(struct geo_test *t, const struct geo *candidate)
{
    double d;
    if (is_point(t->reference) && is_point(candidate)) {
        d = geo_distance(t->reference, candidate);
    } else {
        arena_reset(&t->scratch);
        d = geo_arcs_distance(t->arcs, geo_arcs_new(&t->scratch, candidate), t->metres);
    }
    return t->relation == GEO_REL_NEAR_MAX ? d <= t->metres : d >= t->metres;
}

/* --- exact relations --- */

/* What boxes can say: 1 the relation holds, 0 it does not, -1 look closer. */
static int decide_by_box(enum geo_relation r, struct geo_box c, struct geo_box ref)
{
    bool meets = geo_box_meets(c, ref);
    switch (r) {
    case GEO_REL_DISJOINT:
        return meets ? -1 : 1;
    case GEO_REL_WITHIN:
        meets = c.west >= ref.west && c.east <= ref.east && c.south >= ref.south &&
                c.north <= ref.north;
        break;
    case GEO_REL_CONTAINS:
        meets = ref.west >= c.west && ref.east <= c.east && ref.south >= c.south &&
                ref.north <= c.north;
        break;
    case GEO_REL_EQUALS:
        meets = c.west == ref.west && c.east == ref.east && c.south == ref.south &&
                c.north == ref.north;
        break;
    default:
        break;
    }
    return meets ? -1 : 0;
}

static bool point_in_polygon(const struct geo_test *t, const struct geo *point)
{
    const double *xy = point->parts[0].rings[0].xy;
    enum geo_place place = geo_locate(t->locator, xy[0], xy[1]);
    switch (t->relation) {
    case GEO_REL_WITHIN:
        return place == GEO_INSIDE;
    case GEO_REL_INTERSECTS:
        return place != GEO_OUTSIDE;
    case GEO_REL_DISJOINT:
        return place == GEO_OUTSIDE;
    default: /* a point contains, equals and overlaps no area */
        return false;
    }
}

/* The relation of a candidate that is no collection with one piece of the reference. */
static bool piece_holds(struct geo_test *t, enum geo_relation r, const struct piece *piece,
                        const GEOSGeometry *c)
{
    switch (r) {
    case GEO_REL_WITHIN:
        return geo_geos.GEOSPreparedContains_r(t->geos, piece->prepared, c) == 1;
    case GEO_REL_CONTAINS:
        return geo_geos.GEOSPreparedWithin_r(t->geos, piece->prepared, c) == 1;
    case GEO_REL_INTERSECTS:
        return geo_geos.GEOSPreparedIntersects_r(t->geos, piece->prepared, c) == 1;
    case GEO_REL_OVERLAPS:
        return geo_geos.GEOSPreparedOverlaps_r(t->geos, piece->prepared, c) == 1;
    case GEO_REL_EQUALS:
        return geo_geos.GEOSEquals_r(t->geos, c, piece->g) == 1;
    default:
        return false;
    }
}

static bool any_piece_holds(struct geo_test *t, enum geo_relation r, enum geo_kind kind,
                            const struct geo_part *parts, size_t n)
{
    GEOSGeometry *c = geo_to_geos(t->geos, kind, parts, n);
    bool holds = false;
    for (size_t i = 0; c && i < t->n_pieces && !holds; i++) {
        holds = piece_holds(t, r, &t->pieces[i], c);
    }
    geo_geos.GEOSGeom_destroy_r(t->geos, c);
    return holds;
}

static bool part_is_covered(struct geo_test *t, const struct geo_part *part)
{
    GEOSGeometry *c = geo_to_geos(t->geos, part->kind, part, 1);
    bool covered = c && geo_geos.GEOSPreparedCovers_r(t->geos, t->pieces[0].prepared, c) == 1;
    geo_geos.GEOSGeom_destroy_r(t->geos, c);
    return covered;
}

/*
 * A collection is within the reference when the reference covers all of its parts and one part at
 * least lies within; it intersects or contains when one part does. It equals or overlaps only
 * by its single part, since the parts may be of several dimensions.
 */
static bool collection_holds(struct geo_test *t, enum geo_relation r, const struct geo *c)
{
    bool any = false, all = true;
    if (c->n > 1 && (r == GEO_REL_EQUALS || r == GEO_REL_OVERLAPS)) {
        return false;
    }
    for (size_t i = 0; i < c->n; i++) {
        any = any || any_piece_holds(t, r, c->parts[i].kind, &c->parts[i], 1);
        if (any && r != GEO_REL_WITHIN) {
            break;
        }
        all = all && (r != GEO_REL_WITHIN || part_is_covered(t, &c->parts[i]));
    }
    return any && all;
}

bool geo_test_holds(struct geo_test *t, const struct geo *candidate)
{
    if (is_near(t->relation)) {
        return near_holds(t, candidate);
    }
    int by_box = decide_by_box(t->relation, candidate->flat, t->reference->flat);
    if (by_box >= 0) {
        return by_box == 1;
    }
    if (t->locator && is_point(candidate)) {
        return point_in_polygon(t, candidate);
    }
    bool disjoint = t->relation == GEO_REL_DISJOINT;
    enum geo_relation r = disjoint ? GEO_REL_INTERSECTS : t->relation;
    bool holds = candidate->kind == GEO_COLLECTION
                     ? collection_holds(t, r, candidate)
                     : any_piece_holds(t, r, candidate->kind, candidate->parts, candidate->n);
    return holds != disjoint;
}

struct geo_box geo_test_box(const struct geo_test *t, bool *bounded)
{
    *bounded = t->relation != GEO_REL_DISJOINT && t->relation != GEO_REL_NEAR_MIN;
    if (!*bounded) {
        return (struct geo_box){-180, -90, 180, 90};
    }
    return t->relation == GEO_REL_NEAR_MAX ? geo_box_around(t->reference, t->metres)
                                           : t->reference->box;
}

/* --- centres --- */

static bool centroid(const struct geo *g, double *lon, double *lat)
{
    GEOSContextHandle_t geos = geo_geos_init();
    if (!geos)
        return false;
    GEOSGeometry *whole = geo_to_geos(geos, g->kind, g->parts, g->n);
    GEOSGeometry *c = whole ? geo_geos.GEOSGetCentroid_r(geos, whole) : NULL;
    bool ok = c && geo_geos.GEOSGeomGetX_r(geos, c, lon) == 1 &&
              geo_geos.GEOSGeomGetY_r(geos, c, lat) == 1;
    geo_geos.GEOSGeom_destroy_r(geos, c);
    geo_geos.GEOSGeom_destroy_r(geos, whole);
    geo_geos.GEOS_finish_r(geos);
    return ok && isfinite(*lon) && isfinite(*lat);
}

void geo_centre(const struct geo *g, double *lon, double *lat)
{
    if (is_point(g)) {
        *lon = g->parts[0].rings[0].xy[0];
        *lat = g->parts[0].rings[0].xy[1];
    } else if (g->kind == GEO_COLLECTION || !centroid(g, lon, lat)) {
        *lon = (g->flat.west + g->flat.east) / 2;
        *lat = (g->flat.south + g->flat.north) / 2;
    }
}
