/*
 * geo_distance.c - distances on the sphere.
 *
 * Edges are great-circle arcs between unit vectors, as in PostGIS's geography. Arcs are kept in
 * blocks, each inside a cap of the sphere, so that most pairs of arcs are never looked at: two
 * caps whose centres are further apart than their radii and the best distance cannot improve it.
 * An edge that spans 180 degrees of longitude or more is cut along the plane first, because the
 * great circle would go round the other side of the earth.
 */
#include "geo_inner.h"

#include <math.h>

#define RAD (3.14159265358979323846 / 180)

enum { BLOCK = 32 };
static const double touch_m = 1e-7; /* rounding of unit vectors is a hundredth of this */

struct vec3 {
    double x, y, z;
};

struct arc { /* a point is an arc from itself to itself */
    struct vec3 a, b;
    double lon_a, lat_a, lon_b, lat_b;
};

struct cap {
    struct vec3 centre;
    double radius; /* radians */
    size_t first, n;
};

struct shape { /* one part: where it begins, and its arcs when it has an inside */
    bool area;
    size_t first, n;
};

struct geo_arcs {
    struct arc *arcs;
    size_t n;
    struct cap *caps;
    size_t n_caps;
    struct shape *shapes;
    size_t n_shapes;
    bool areas; /* some shape has an inside */
};

/* --- vectors --- */

static struct vec3 unit(double lon, double lat)
{
    double c = cos(lat * RAD);
    return (struct vec3){c * cos(lon * RAD), c * sin(lon * RAD), sin(lat * RAD)};
}

static double dot(struct vec3 p, struct vec3 q)
{
    return p.x * q.x + p.y * q.y + p.z * q.z;
}

static struct vec3 cross(struct vec3 p, struct vec3 q)
{
    return (struct vec3){p.y * q.z - p.z * q.y, p.z * q.x - p.x * q.z, p.x * q.y - p.y * q.x};
}

static struct vec3 minus(struct vec3 p, struct vec3 q)
{
    return (struct vec3){p.x - q.x, p.y - q.y, p.z - q.z};
}

static struct vec3 plus(struct vec3 p, struct vec3 q)
{
    return (struct vec3){p.x + q.x, p.y + q.y, p.z + q.z};
}

/*
 * Twice a x b. Of neighbours the plain product is mostly rounding; their difference is exact, and
 * so the normal stays at a right angle to both.
 */
static struct vec3 normal(struct vec3 a, struct vec3 b)
{
    return cross(minus(a, b), plus(a, b));
}

static double angle(struct vec3 p, struct vec3 q)
{
    struct vec3 d = minus(p, q);
    double half = sqrt(dot(d, d)) / 2;
    return 2 * asin(half < 1 ? half : 1);
}

/* --- points and arcs --- */

double geo_point_distance(double lon1, double lat1, double lon2, double lat2)
{
    double dlat = sin((lat2 - lat1) * RAD / 2), dlon = sin((lon2 - lon1) * RAD / 2);
    double h = dlat * dlat + cos(lat1 * RAD) * cos(lat2 * RAD) * dlon * dlon;
    return 2 * GEO_EARTH_M * asin(sqrt(h < 1 ? h : 1));
}

static double point_arc(struct vec3 p, const struct arc *s)
{
    double da = angle(p, s->a), db = angle(p, s->b);
    double ends = da < db ? da : db;
    struct vec3 n = normal(s->a, s->b);
    if (dot(n, n) == 0 || dot(cross(n, s->a), p) < 0 || dot(cross(s->b, n), p) < 0) {
        return ends;
    }
    struct vec3 along = cross(n, p);
    double across = atan2(fabs(dot(n, minus(p, s->a))), sqrt(dot(along, along)));
    return across < ends ? across : ends;
}

/* True when the arcs cross within both; a touch is found by the distance of the ends. */
static bool arcs_cross(const struct arc *s, const struct arc *t)
{
    struct vec3 n = normal(s->a, s->b);
    double sc = dot(n, t->a), sd = dot(n, t->b);
    if (sc * sd >= 0) {
        return false;
    }
    struct vec3 m = normal(t->a, t->b);
    double ta = dot(m, s->a), tb = dot(m, s->b);
    return sc * tb > 0 && sc * ta < 0;
}

static double arc_arc(const struct arc *s, const struct arc *t)
{
    if (arcs_cross(s, t)) {
        return 0;
    }
    double d[4] = {point_arc(s->a, t), point_arc(s->b, t), point_arc(t->a, s), point_arc(t->b, s)};
    double best = d[0];
    for (int i = 1; i < 4; i++) {
        best = d[i] < best ? d[i] : best;
    }
    return best;
}

/* --- laying out --- */

/* Pieces that an edge is cut into so that each is the arc meant: see the head of the file. */
static size_t pieces(const double *from, const double *to)
{
    double span = fabs(to[0] - from[0]);
    return span < 180 ? 1 : (size_t)ceil(span / 90);
}

static void add_arcs(struct geo_arcs *s, const double *from, const double *to)
{
    size_t n = pieces(from, to);
    struct arc arc = {.b = unit(from[0], from[1]), .lon_b = from[0], .lat_b = from[1]};
    for (size_t i = 1; i <= n; i++) {
        double t = (double)i / (double)n;
        arc.a = arc.b;
        arc.lon_a = arc.lon_b;
        arc.lat_a = arc.lat_b;
        arc.lon_b = i == n ? to[0] : from[0] + (to[0] - from[0]) * t;
        arc.lat_b = i == n ? to[1] : from[1] + (to[1] - from[1]) * t;
        arc.b = unit(arc.lon_b, arc.lat_b);
        s->arcs[s->n++] = arc;
    }
}

static size_t count_arcs(const struct geo *g)
{
    size_t n = 0;
    for (size_t p = 0; p < g->n; p++) {
        for (size_t r = 0; r < g->parts[p].n; r++) {
            const struct geo_ring *ring = &g->parts[p].rings[r];
            n += ring->n == 1;
            for (size_t i = 1; i < ring->n; i++) {
                n += pieces(ring->xy + 2 * (i - 1), ring->xy + 2 * i);
            }
        }
    }
    return n;
}

static void add_cap(struct geo_arcs *s, size_t first, size_t n)
{
    struct cap *cap = &s->caps[s->n_caps++];
    struct vec3 sum = {0, 0, 0};
    for (size_t i = first; i < first + n; i++) {
        sum = plus(sum, plus(s->arcs[i].a, s->arcs[i].b));
    }
    double length = sqrt(dot(sum, sum));
    *cap = (struct cap){s->arcs[first].a, 0, first, n};
    if (length > 1e-6) {
        cap->centre = (struct vec3){sum.x / length, sum.y / length, sum.z / length};
    }
    for (size_t i = first; i < first + n; i++) {
        const struct arc *arc = &s->arcs[i];
        double da = angle(cap->centre, arc->a), db = angle(cap->centre, arc->b);
        double far = da > db ? da : db;
        /* a cap of less than a quarter of the sphere is convex: it holds the arc with its ends */
        double reach = far < 1.5 ? far : far + angle(arc->a, arc->b) / 2;
        cap->radius = reach > cap->radius ? reach : cap->radius;
    }
    cap->radius += 1e-15;
}

struct geo_arcs *geo_arcs_new(struct arena *a, const struct geo *g)
{
    struct geo_arcs *s = ARENA_NEW(a, struct geo_arcs);
    size_t n = count_arcs(g);
    s->arcs = ARENA_ARRAY(a, struct arc, n);
    s->shapes = ARENA_ARRAY(a, struct shape, g->n);
    s->caps = ARENA_ARRAY(a, struct cap, n / BLOCK + 1);
    for (size_t p = 0; p < g->n; p++) {
        struct shape *shape = &s->shapes[s->n_shapes++];
        shape->area = g->parts[p].kind == GEO_POLYGON;
        shape->first = s->n;
        s->areas = s->areas || shape->area;
        for (size_t r = 0; r < g->parts[p].n; r++) {
            const struct geo_ring *ring = &g->parts[p].rings[r];
            if (ring->n == 1) {
                add_arcs(s, ring->xy, ring->xy);
            }
            for (size_t i = 1; i < ring->n; i++) {
                add_arcs(s, ring->xy + 2 * (i - 1), ring->xy + 2 * i);
            }
        }
        shape->n = s->n - shape->first;
    }
    for (size_t i = 0; i < s->n; i += BLOCK) {
        add_cap(s, i, s->n - i < BLOCK ? s->n - i : BLOCK);
    }
    return s;
}

/* --- measuring --- */

/* Is the point south of the arc at its own longitude? The arc's longitudes hold the point's. */
static bool is_south_of(const struct arc *s, double lon, double lat, struct vec3 p)
{
    struct vec3 n = normal(s->a, s->b);
    if (dot(n, n) < 1e-28) { /* too short for a plane, or at a pole: there all is flat */
        double t = (lon - s->lon_a) / (s->lon_b - s->lon_a);
        return lat < s->lat_a + (s->lat_b - s->lat_a) * t;
    }
    return s->lon_b > s->lon_a ? dot(n, p) < 0 : dot(n, p) > 0;
}

/* Counts the arcs that a meridian from the point to the north pole meets. */
static bool shape_holds(const struct geo_arcs *s, const struct shape *shape, const struct arc *at)
{
    bool inside = false;
    for (size_t i = shape->first; i < shape->first + shape->n; i++) {
        const struct arc *arc = &s->arcs[i];
        if ((arc->lon_a > at->lon_a) != (arc->lon_b > at->lon_a) &&
            is_south_of(arc, at->lon_a, at->lat_a, at->a)) {
            inside = !inside;
        }
    }
    return inside;
}

/* Does some area of x hold the beginning of some shape of y? */
static bool holds_any(const struct geo_arcs *x, const struct geo_arcs *y)
{
    for (size_t i = 0; x->areas && i < x->n_shapes; i++) {
        for (size_t k = 0; x->shapes[i].area && k < y->n_shapes; k++) {
            if (shape_holds(x, &x->shapes[i], &y->arcs[y->shapes[k].first])) {
                return true;
            }
        }
    }
    return false;
}

static double caps_distance(const struct geo_arcs *x, const struct cap *cx,
                            const struct geo_arcs *y, const struct cap *cy, double best)
{
    for (size_t i = cx->first; i < cx->first + cx->n && best > 0; i++) {
        for (size_t k = cy->first; k < cy->first + cy->n; k++) {
            double d = arc_arc(&x->arcs[i], &y->arcs[k]);
            best = d < best ? d : best;
        }
    }
    return best;
}

double geo_arcs_distance(const struct geo_arcs *x, const struct geo_arcs *y, double enough)
{
    const double start = enough / GEO_EARTH_M * (1 + 1e-12) + 1e-15;
    double best = start;
    if (holds_any(x, y) || holds_any(y, x)) {
        return 0;
    }
    for (size_t i = 0; i < x->n_caps; i++) {
        for (size_t k = 0; k < y->n_caps && best > 0; k++) {
            const struct cap *cx = &x->caps[i], *cy = &y->caps[k];
            if (angle(cx->centre, cy->centre) - cx->radius - cy->radius <= best) {
                best = caps_distance(x, cx, y, cy, best);
            }
        }
    }
    double metres = best * GEO_EARTH_M;
    return metres < touch_m ? 0 : metres;
}

static bool is_point(const struct geo *g)
{
    return g->n == 1 && g->parts[0].kind == GEO_POINT;
}

double geo_distance(const struct geo *x, const struct geo *y)
{
    if (is_point(x) && is_point(y)) {
        const double *p = x->parts[0].rings[0].xy, *q = y->parts[0].rings[0].xy;
        return geo_point_distance(p[0], p[1], q[0], q[1]);
    }
    struct arena a = ARENA_INIT;
    double d = geo_arcs_distance(geo_arcs_new(&a, x), geo_arcs_new(&a, y), 4 * GEO_EARTH_M);
    arena_release(&a);
    return d;
}

/* --- boxes --- */

bool geo_box_meets(struct geo_box x, struct geo_box y)
{
    return x.west <= y.east && y.west <= x.east && x.south <= y.north && y.south <= x.north;
}

/* The longest edge in degrees of longitude, after cutting. */
static double widest_edge(const struct geo *g)
{
    double widest = 0;
    for (size_t p = 0; p < g->n; p++) {
        for (size_t r = 0; r < g->parts[p].n; r++) {
            const struct geo_ring *ring = &g->parts[p].rings[r];
            for (size_t i = 1; i < ring->n; i++) {
                const double *from = ring->xy + 2 * (i - 1), *to = ring->xy + 2 * i;
                double width = fabs(to[0] - from[0]) / (double)pieces(from, to);
                widest = width > widest ? width : widest;
            }
        }
    }
    return widest;
}

/* An arc bends towards the pole: how far at most, when its ends are no higher than lat >= 0. */
static double bend(double lat, double width)
{
    double c = cos(width * RAD / 2);
    return lat >= 90 || c <= 1e-9 ? 90 : fmax(lat, atan(tan(lat * RAD) / c) / RAD);
}

struct geo_box geo_bent_box(const struct geo *g, struct geo_box flat)
{
    double width = widest_edge(g);
    if (width > 0) {
        flat.south = flat.south < 0 ? -bend(-flat.south, width) : flat.south;
        flat.north = flat.north > 0 ? bend(flat.north, width) : flat.north;
    }
    return flat;
}

struct geo_box geo_box_around(const struct geo *g, double metres)
{
    const double pad = 1e-9; /* degrees, above all rounding here */
    double reach = metres / GEO_EARTH_M / RAD + pad;
    struct geo_box box = g->box;
    box.south -= reach;
    box.north += reach;
    bool pole = box.south <= -90 || box.north >= 90;
    box.south = box.south < -90 ? -90 : box.south;
    box.north = box.north > 90 ? 90 : box.north;
    /* a circle of radius reach around latitude f touches the meridians at asin(sin(reach)/cos(f))
     */
    double high = -box.south > box.north ? -box.south : box.north;
    high -= reach;
    double side = pole || reach >= 90 ? 360 : asin(fmin(1, sin(reach * RAD) / cos(high * RAD)));
    side = side >= 360 ? 360 : side / RAD + pad;
    box.west -= side;
    box.east += side;
    if (box.west < -180 || box.east > 180) { /* it would go on beyond the antimeridian */
        box.west = -180;
        box.east = 180;
    }
    return box;
}
