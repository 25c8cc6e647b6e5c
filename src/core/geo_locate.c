/*
 * geo_locate.c - where a point lies in a polygon: inside, outside, on the boundary.
 *
 * Counts the edges that a ray from the point to the east crosses. The side of an edge is decided
 * in exact arithmetic, so that the answer is that of GEOS, and a point on a border lies in neither
 * or both of two neighbours, never in one by rounding. Edges are filed by bands of latitude: a
 * look-up touches the edges of one band only.
 */
#include "geo_inner.h"

#include <math.h>

/* --- exact orientation --- */

static void two_sum(double a, double b, double *sum, double *rest)
{
    *sum = a + b;
    double bb = *sum - a;
    *rest = (a - (*sum - bb)) + (b - bb);
}

static void two_product(double a, double b, double *product, double *rest)
{
    *product = a * b;
    *rest = fma(a, b, -*product);
}

/*
 * The sign of a sum of few doubles, exactly: terms are added one by one to a list of numbers that
 * do not overlap, so that the last one that is not zero has the sign of the whole.
 */
static int sign_of_sum(const double *terms, size_t n)
{
    double parts[16];
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        double q = terms[i];
        for (size_t k = 0; k < used; k++) {
            two_sum(q, parts[k], &q, &parts[k]);
        }
        parts[used++] = q;
    }
    while (used > 0) {
        double top = parts[--used];
        if (top != 0) {
            return top > 0 ? 1 : -1;
        }
    }
    return 0;
}

/* +1 when c lies to the left of a -> b, -1 to the right, 0 on the line. */
static int orientation(const double *a, const double *b, const double *c)
{
    double left = (a[0] - c[0]) * (b[1] - c[1]), right = (a[1] - c[1]) * (b[0] - c[0]);
    double det = left - right;
    if (fabs(det) >
        4e-16 * (fabs(left) + fabs(right))) { /* above any rounding of the line before */
        return det > 0 ? 1 : -1;
    }
    /* each difference as value + rest, each product as its sixteen exact terms */
    double d[4][2], terms[16];
    two_sum(a[0], -c[0], &d[0][0], &d[0][1]);
    two_sum(b[1], -c[1], &d[1][0], &d[1][1]);
    two_sum(a[1], -c[1], &d[2][0], &d[2][1]);
    two_sum(b[0], -c[0], &d[3][0], &d[3][1]);
    for (int i = 0; i < 2; i++) {
        for (int k = 0; k < 2; k++) {
            double *t = terms + 4 * (2 * i + k);
            two_product(d[0][i], d[1][k], &t[0], &t[1]);
            two_product(-d[2][i], d[3][k], &t[2], &t[3]);
        }
    }
    return sign_of_sum(terms, 16);
}

/* --- bands --- */

struct edge {
    const double *a, *b; /* positions in the geometry */
};

struct geo_locator {
    struct geo_box box;
    struct edge *edges;
    size_t n_edges;
    size_t n_bands;
    double bands_per_degree;
    size_t *first; /* of each band in filed[]; one more for the end */
    uint32_t *filed;
};

enum { EDGES_PER_BAND = 4, FILED_PER_EDGE = 4, BANDS_MAX = 16384 };

static size_t band_of(const struct geo_locator *l, double lat)
{
    double band = (lat - l->box.south) * l->bands_per_degree;
    if (!(band > 0)) {
        return 0;
    }
    return band < (double)l->n_bands ? (size_t)band : l->n_bands - 1;
}

static void edge_bands(const struct geo_locator *l, const struct edge *e, size_t *low, size_t *high)
{
    bool up = e->a[1] < e->b[1];
    *low = band_of(l, up ? e->a[1] : e->b[1]);
    *high = band_of(l, up ? e->b[1] : e->a[1]);
}

static size_t set_bands(struct geo_locator *l, size_t n)
{
    double height = l->box.north - l->box.south;
    size_t filed = 0;
    l->n_bands = n;
    l->bands_per_degree = height > 0 ? (double)n / height : 0;
    for (size_t i = 0; i < l->n_edges; i++) {
        size_t low, high;
        edge_bands(l, &l->edges[i], &low, &high);
        filed += high - low + 1;
    }
    return filed;
}

/* Files the edges: counts per band, then starts, then entries. */
static void file_edges(struct arena *a, struct geo_locator *l)
{
    size_t bands = l->n_edges / EDGES_PER_BAND + 1, low, high, filed;
    bands = bands > BANDS_MAX ? BANDS_MAX : bands;
    while ((filed = set_bands(l, bands)) > FILED_PER_EDGE * l->n_edges && bands > 1) {
        bands /= 2; /* high edges lie in many bands: fewer bands, else this costs n * n */
    }
    l->first = ARENA_ARRAY(a, size_t, bands + 2);
    l->filed = ARENA_ARRAY(a, uint32_t, filed);
    for (size_t i = 0; i < l->n_edges; i++) {
        edge_bands(l, &l->edges[i], &low, &high);
        for (size_t b = low; b <= high; b++) {
            l->first[b + 2]++;
        }
    }
    for (size_t b = 2; b < bands + 2; b++) {
        l->first[b] += l->first[b - 1];
    }
    for (size_t i = 0; i < l->n_edges;
         i++) { /* moves first[b + 1] from the band's start to its end */
        edge_bands(l, &l->edges[i], &low, &high);
        for (size_t b = low; b <= high; b++) {
            l->filed[l->first[b + 1]++] = (uint32_t)i;
        }
    }
}

struct geo_locator *geo_locator_new(struct arena *a, const struct geo *g)
{
    struct geo_locator *l = ARENA_NEW(a, struct geo_locator);
    l->box = g->flat;
    l->edges = ARENA_ARRAY(a, struct edge, g->positions);
    for (size_t p = 0; p < g->n; p++) {
        for (size_t r = 0; r < g->parts[p].n; r++) {
            const struct geo_ring *ring = &g->parts[p].rings[r];
            for (size_t i = 1; i < ring->n; i++) {
                l->edges[l->n_edges++] = (struct edge){ring->xy + 2 * (i - 1), ring->xy + 2 * i};
            }
        }
    }
    file_edges(a, l);
    return l;
}

static bool between(double v, double x, double y)
{
    return x < y ? v >= x && v <= y : v >= y && v <= x;
}

enum geo_place geo_locate(const struct geo_locator *l, double lon, double lat)
{
    const double p[2] = {lon, lat};
    bool inside = false;
    if (lon < l->box.west || lon > l->box.east || lat < l->box.south || lat > l->box.north) {
        return GEO_OUTSIDE;
    }
    size_t band = band_of(l, lat);
    for (size_t i = l->first[band]; i < l->first[band + 1]; i++) {
        const struct edge *e = &l->edges[l->filed[i]];
        if (e->a[0] < lon && e->b[0] < lon) {
            continue; /* west of the ray */
        }
        if (e->a[1] == lat && e->b[1] == lat) {
            if (between(lon, e->a[0], e->b[0])) {
                return GEO_BOUNDARY;
            }
            continue; /* along the ray: its neighbours count */
        }
        if (e->b[0] == lon && e->b[1] == lat) {
            return GEO_BOUNDARY; /* a corner; the half-open rule below would miss the highest */
        }
        if ((e->a[1] > lat) == (e->b[1] > lat)) {
            continue;
        }
        int side = orientation(e->a, e->b, p);
        if (side == 0) {
            return GEO_BOUNDARY;
        }
        if ((side > 0) == (e->b[1] > e->a[1])) {
            inside = !inside;
        }
    }
    return inside ? GEO_INSIDE : GEO_OUTSIDE;
}
