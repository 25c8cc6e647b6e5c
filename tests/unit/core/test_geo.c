/* test_geo.c - geometry in, distances, exact relations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/geo.h"

#define GEOS_USE_ONLY_R_API
#include <geos_c.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define ROWS(table) (sizeof(table) / sizeof(table)[0])

struct fixture {
    struct arena a;
    GEOSContextHandle_t geos;
    uint64_t seed;
};

static int setup(void **state)
{
    static struct fixture f;
    f = (struct fixture){.a = ARENA_INIT, .geos = GEOS_init_r(), .seed = 20261123};
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    GEOS_finish_r(f->geos);
    arena_release(&f->a);
    return 0;
}

static double uniform(struct fixture *f, double low, double high)
{
    f->seed = f->seed * 6364136223846793005u + 1442695040888963407u;
    return low + (high - low) * (double)(f->seed >> 11) / 9007199254740992.0;
}

static const struct json *parse_json(struct fixture *f, const char *text)
{
    const struct json *v = json_parse(&f->a, str_c(text), &JSON_DEFAULT, NULL);
    assert_non_null(v);
    return v;
}

/* The geometry of a text like Point [1,2]. */
static const struct geo *geo(struct fixture *f, const char *text)
{
    struct error e = {0};
    const char *space = strchr(text, ' ');
    assert_non_null(space);
    struct str json = str_printf(&f->a, "{\"type\":\"%.*s\",\"%s\":%s}", (int)(space - text), text,
                                 *text == 'G' ? "geometries" : "coordinates", space + 1);
    const struct geo *g = geo_parse(&f->a, parse_json(f, json.p), GEO_MAX_POSITIONS, &e);
    if (!g) {
        fail_msg("%s: %s", text, e.text);
    }
    return g;
}

/* --- parsing --- */

static void geometries_are_read(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text;
        enum geo_kind kind;
        size_t parts, rings, positions;
        struct geo_box flat;
    } good[] = {
        {"Point [140.1,36.1]", GEO_POINT, 1, 1, 1, {140.1, 36.1, 140.1, 36.1}},
        {"Point [140.1,36.1,25.5]", GEO_POINT, 1, 1, 1, {140.1, 36.1, 140.1, 36.1}},
        {"Point [-180,90]", GEO_POINT, 1, 1, 1, {-180, 90, -180, 90}},
        {"MultiPoint [[1,2],[3,-4]]", GEO_MULTIPOINT, 2, 1, 2, {1, -4, 3, 2}},
        {"LineString [[1,2],[3,4]]", GEO_LINESTRING, 1, 1, 2, {1, 2, 3, 4}},
        {"LineString [[1,2],[1,2],[3,4]]", GEO_LINESTRING, 1, 1, 3, {1, 2, 3, 4}},
        {"MultiLineString [[[1,2],[3,4]],[[5,6],[7,8],[9,9]]]",
         GEO_MULTILINESTRING,
         2,
         1,
         5,
         {1, 2, 9, 9}},
        {"Polygon [[[0,0],[4,0],[4,4],[0,4],[0,0]],[[1,1],[1,2],[2,2],[1,1]]]",
         GEO_POLYGON,
         1,
         2,
         9,
         {0, 0, 4, 4}},
        {"MultiPolygon [[[[0,0],[1,0],[1,1],[0,0]]],[[[5,5],[6,5],[6,6],[5,5]]]]",
         GEO_MULTIPOLYGON,
         2,
         1,
         8,
         {0, 0, 6, 6}},
        {"GeometryCollection [{\"type\":\"Point\",\"coordinates\":[1,2]},"
         "{\"type\":\"MultiPoint\",\"coordinates\":[[7,8],[9,0]]}]",
         GEO_COLLECTION,
         3,
         1,
         3,
         {1, 0, 9, 8}},
    };
    for (size_t i = 0; i < ROWS(good); i++) {
        const struct geo *g = geo(f, good[i].text);
        assert_int_equal(g->kind, good[i].kind);
        assert_int_equal(g->n, good[i].parts);
        assert_int_equal(g->parts[0].n, good[i].rings);
        assert_int_equal(g->positions, good[i].positions);
        assert_memory_equal(&g->flat, &good[i].flat, sizeof g->flat);
        assert_true(g->box.west == g->flat.west && g->box.east == g->flat.east);
        assert_true(g->box.south <= g->flat.south && g->box.north >= g->flat.north);
    }
    const struct geo *line = geo(f, "MultiLineString [[[1,2],[3,4]],[[5,6,9],[7,8]]]");
    assert_int_equal(line->parts[1].kind, GEO_LINESTRING);
    assert_true(line->parts[1].rings[0].xy[2] == 7); /* altitude is no coordinate */
    /* half-way between two places of 45 degrees north the great circle is at 46.77 */
    const struct geo *arc = geo(f, "LineString [[0,45],[40,45]]");
    assert_true(arc->flat.north == 45 && arc->box.south == 45);
    assert_true(arc->box.north > 46.776 && arc->box.north < 46.79);
}

static void wrong_geometries_are_refused(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *json, *where;
    } bad[] = {
        {"[1,2]", "object"},
        {"{}", "unknown type"},
        {"{\"type\":\"point\",\"coordinates\":[1,2]}", "'point'"},
        {"{\"type\":7,\"coordinates\":[1,2]}", "unknown type"},
        {"{\"type\":\"Circle\",\"coordinates\":[1,2]}", "'Circle'"},
        {"{\"type\":\"Point\"}", "coordinates"},
        {"{\"type\":\"Point\",\"coordinates\":[]}", "position"},
        {"{\"type\":\"Point\",\"coordinates\":[1]}", "position"},
        {"{\"type\":\"Point\",\"coordinates\":[\"1\",\"2\"]}", "not a number"},
        {"{\"type\":\"Point\",\"coordinates\":[1,2,null]}", "not a number"},
        {"{\"type\":\"Point\",\"coordinates\":[[1,2]]}", "position"},
        {"{\"type\":\"Point\",\"coordinates\":[180.0000001,2]}", "longitude"},
        {"{\"type\":\"Point\",\"coordinates\":[36,140]}", "latitude"},
        {"{\"type\":\"Point\",\"coordinates\":[1e999,0]}", "number"},
        {"{\"type\":\"MultiPoint\",\"coordinates\":[]}", "at least one"},
        {"{\"type\":\"MultiPoint\",\"coordinates\":[[1,2],[3]]}", "coordinates[1]"},
        {"{\"type\":\"LineString\",\"coordinates\":[[1,2]]}", "at least 2"},
        {"{\"type\":\"LineString\",\"coordinates\":[[1,2],[1,2]]}", "the same"},
        {"{\"type\":\"Polygon\",\"coordinates\":[]}", "rings"},
        {"{\"type\":\"Polygon\",\"coordinates\":[[[0,0],[1,0],[0,0]]]}", "at least 4"},
        {"{\"type\":\"Polygon\",\"coordinates\":[[[0,0],[1,0],[1,1],[0,1]]]}", "not closed"},
        {"{\"type\":\"Polygon\",\"coordinates\":[[[0,0],[1,0],[2,0],[0,0]]]}", "valid"},
        {"{\"type\":\"Polygon\",\"coordinates\":[[[0,0],[2,2],[2,0],[0,2],[0,0]]]}",
         "Self-intersection near [1, 1]"},
        {"{\"type\":\"Polygon\",\"coordinates\":[[[0,0],[4,0],[4,4],[0,4],[0,0]],"
         "[[5,5],[5,6],[6,6],[5,5]]]}",
         "Hole"},
        {"{\"type\":\"MultiPolygon\",\"coordinates\":[[[[0,0],[4,0],[4,4],[0,4],[0,0]]],"
         "[[[1,1],[6,1],[6,6],[1,1]]]]}",
         "valid"},
        {"{\"type\":\"MultiPolygon\",\"coordinates\":[[[[0,0],[1,0],[1,1],[0,200],[0,0]]]]}",
         "coordinates[0][0][3]: latitude"},
        {"{\"type\":\"GeometryCollection\",\"geometries\":[]}", "at least one"},
        {"{\"type\":\"GeometryCollection\",\"coordinates\":[1,2]}", "geometries"},
        {"{\"type\":\"GeometryCollection\",\"geometries\":[{\"type\":\"GeometryCollection\","
         "\"geometries\":[]}]}",
         "geometries[0]"},
        {"{\"type\":\"GeometryCollection\",\"geometries\":[{\"type\":\"Point\","
         "\"coordinates\":[1,2]},{\"type\":\"LineString\",\"coordinates\":[[1,2],[3,95]]}]}",
         "geometries[1].coordinates[1]: latitude"},
        {"{\"type\":\"GeometryCollection\",\"geometries\":[5]}", "geometries[0]"},
    };
    for (size_t i = 0; i < ROWS(bad); i++) {
        struct error e = {0};
        if (geo_parse(&f->a, parse_json(f, bad[i].json), 1000, &e)) {
            fail_msg("read: %s", bad[i].json);
        }
        assert_int_equal(e.code, ERR_INVALID);
        if (!strstr(e.text, bad[i].where)) {
            fail_msg("%s: '%s' does not say '%s'", bad[i].json, e.text, bad[i].where);
        }
        assert_null(geo_parse(&f->a, parse_json(f, bad[i].json), 1000, NULL));
    }
    assert_null(geo_parse(&f->a, NULL, 1000, NULL));
}

static void too_many_positions_are_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const texts[] = {
        "{\"type\":\"LineString\",\"coordinates\":[[1,2],[3,4],[5,6],[7,8],[9,9]]}",
        "{\"type\":\"MultiPoint\",\"coordinates\":[[1,2],[3,4],[5,6],[7,8],[9,9]]}",
        "{\"type\":\"MultiLineString\",\"coordinates\":[[[1,2],[3,4]],[[5,6],[7,8],[9,9]]]}",
        "{\"type\":\"Polygon\",\"coordinates\":[[[0,0],[1,0],[1,1],[0,1],[0,0]]]}",
    };
    for (size_t i = 0; i < ROWS(texts); i++) {
        struct error e = {0};
        assert_null(geo_parse(&f->a, parse_json(f, texts[i]), 4, &e));
        assert_int_equal(e.code, ERR_TOO_LARGE);
        assert_non_null(geo_parse(&f->a, parse_json(f, texts[i]), 5, &e));
    }
}

static void query_geometries_are_read(void **state)
{
    struct fixture *f = *state;
    struct error e = {0};
    const struct geo *g =
        geo_parse_query(&f->a, S("Polygon"), parse_json(f, "[[[0,0],[1,0],[1,1],[0,0]]]"), &e);
    assert_non_null(g);
    assert_int_equal(g->kind, GEO_POLYGON);
    assert_null(geo_parse_query(&f->a, S("GeometryCollection"), parse_json(f, "[]"), &e));
    assert_int_equal(e.code, ERR_INVALID);
    assert_null(geo_parse_query(&f->a, S("Point"), NULL, &e));
    assert_null(geo_parse_query(&f->a, STR_NONE, parse_json(f, "[1,2]"), &e));
    g = geo_point(&f->a, 140, 36);
    assert_int_equal(g->kind, GEO_POINT);
    assert_int_equal(g->positions, 1);
    assert_true(g->parts[0].rings[0].xy[0] == 140 && g->box.north == 36);
}

/* --- distances --- */

static void assert_close(double got, double want, double relative)
{
    if (!(fabs(got - want) <= relative * fabs(want) + 1e-8)) { /* PostGIS prints 8 places */
        fail_msg("%.12g is not %.12g", got, want);
    }
}

static void distances_of_points(void **state)
{
    (void)state;
    const double degree = 3.14159265358979323846 / 180 * GEO_EARTH_M;
    assert_close(geo_point_distance(140, 36, 140, 37), degree, 1e-12);
    assert_close(geo_point_distance(140, 0, 141, 0), degree, 1e-12);
    assert_close(geo_point_distance(140, 60, 140, 60), 0, 0);
    assert_close(geo_point_distance(-179.5, 0, 179.5, 0), degree, 1e-12); /* over the date line */
    assert_close(geo_point_distance(0, 90, 123, 90), 0, 1e-12);
    assert_close(geo_point_distance(0, 0, 180, 0), 180 * degree, 1e-9);
    assert_close(geo_point_distance(0, -90, 77, 90), 180 * degree, 1e-9);
    assert_close(geo_point_distance(140, 36, 140 + 1e-9, 36), degree * 1e-9 * cos(0.62831853),
                 1e-4);
}

struct distance_row {
    const char *x, *y;
    double metres; /* ST_Distance(x::geography, y::geography, false) of PostGIS 3.3.2 */
};

static const struct distance_row distance_rows[] = {
    {"Point [140.1,36.1]", "Point [140.2,36.2]", 14291.98990485},
    {"Point [140.1,36.1]", "Point [139.7671,35.6812]", 55388.97674328},
    {"Point [136.97373,37.04185]", "Point [-73.9857,40.7484]", 10808209.2448995},
    {"Point [140.1,36.1]", "LineString [[140,36],[140.2,36.15]]", 2028.50728062},
    {"Point [140.3,36.3]", "LineString [[140,36],[140.2,36.15]]", 18938.34679223},
    {"Point [140,50]", "LineString [[120,45],[160,45]]", 357956.85376659},
    {"Point [0,1]", "LineString [[-5,0],[0,0],[5,0]]", 111195.07973463},
    {"MultiPoint [[140,36],[141,37]]", "LineString [[140.5,36],[140.6,36.9]]", 37243.7046939},
    {"LineString [[140,36],[140.1,36]]", "LineString [[140,36.01],[140.1,36.02]]", 1111.95065106},
    {"LineString [[0,0],[10,10]]", "LineString [[0,5],[4,9],[6,40]]", 386808.17428356},
    {"LineString [[0,0],[10,10]]", "LineString [[0,5],[9,2]]", 0},
    {"MultiLineString [[[0,0],[1,1]],[[5,5],[6,6]]]", "LineString [[7,5],[8,6]]", 156887.93331957},
    {"Point [140.5,36.05]", "Polygon [[[140,36],[140.2,36],[140.2,36.1],[140,36.1],[140,36]]]",
     26970.44890444},
    {"Point [140.1,36.05]", "Polygon [[[140,36],[140.2,36],[140.2,36.1],[140,36.1],[140,36]]]", 0},
    {"Point [140.1,36.05]",
     "Polygon "
     "[[[140,36],[140.2,36],[140.2,36.1],[140,36.1],[140,36]],[[140.05,36.02],[140.15,36.02],[140."
     "15,36.08],[140.05,36.08],[140.05,36.02]]]",
     3334.69854628},
    {"Point [120,46.5]", "Polygon [[[100,40],[140,40],[140,45],[100,45],[100,40]]]", 0},
    {"Point [120,47.5]", "Polygon [[[100,40],[140,40],[140,45],[100,45],[100,40]]]",
     79969.15443001},
    {"LineString [[139,35],[141,37]]", "Polygon [[[142,36],[143,36],[143,37],[142,36]]]",
     139005.95159224},
    {"Polygon [[[140,36],[140.01,36],[140,36.01],[140,36]]]",
     "Polygon [[[140.02,36.02],[140.03,36.02],[140.02,36.03],[140.02,36.02]]]", 2097.87414373},
    {"MultiPolygon [[[[0,0],[1,0],[1,1],[0,0]]],[[[5,5],[6,5],[6,6],[5,5]]]]",
     "MultiPoint [[3,4],[3.5,3.9]]", 206427.43295338},
    {"Point [140.1,36.1]", "Point [140.10000001,36.1]", 0.00089844},
    {"Point [179.9,-16]", "Point [-179.9,-16.1]", 24091.74877863},
    {"Point [30,89.5]", "LineString [[-60,89],[110,88]]", 42302.27514163},
};

static void distances_of_shapes(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < ROWS(distance_rows); i++) {
        const struct geo *x = geo(f, distance_rows[i].x), *y = geo(f, distance_rows[i].y);
        assert_close(geo_distance(x, y), distance_rows[i].metres, 1e-6);
        assert_close(geo_distance(y, x), distance_rows[i].metres, 1e-6);
    }
}

static void touching_is_no_distance(void **state)
{
    struct fixture *f = *state;
    static const char *const pairs[][2] = {
        {"LineString [[140,36],[140.1,36.1]]", "Point [140.1,36.1]"},
        {"LineString [[140,36],[140.1,36.1]]", "LineString [[140.1,36],[140,36.1]]"},
        {"LineString [[140,36],[140.1,36.1]]", "LineString [[140.1,36.1],[140.2,36]]"},
        {"Polygon [[[140,36],[141,36],[141,37],[140,37],[140,36]]]", "Point [140.5,36.5]"},
        {"Polygon [[[140,36],[141,36],[141,37],[140,37],[140,36]]]", "Point [140,36.5]"},
        {"Polygon [[[140,36],[141,36],[141,37],[140,37],[140,36]]]",
         "LineString [[140.4,36.4],[140.5,36.5]]"},
        {"Polygon [[[140,36],[141,36],[141,37],[140,37],[140,36]]]",
         "Polygon [[[140.4,36.4],[140.5,36.4],[140.5,36.5],[140.4,36.4]]]"},
        {"MultiPoint [[0,0],[140.5,36.5]]",
         "MultiPolygon [[[[1,1],[2,1],[2,2],[1,1]]],[[[140,36],[141,36],[141,37],[140,36]]]]"},
        {"Polygon [[[-180,-90],[180,-90],[180,90],[-180,90],[-180,-90]]]", "Point [10,20]"},
        {"Polygon [[[-170,-10],[170,-10],[170,10],[-170,10],[-170,-10]]]", "Point [0,0]"},
        {"LineString [[-170,0],[170,0]]", "Point [0,0]"}, /* straight, not over the date line */
        {"GeometryCollection [{\"type\":\"Point\",\"coordinates\":[9,9]},{\"type\":\"Polygon\","
         "\"coordinates\":[[[0,0],[4,0],[4,4],[0,4],[0,0]]]}]",
         "Point [1,1]"},
    };
    for (size_t i = 0; i < ROWS(pairs); i++) {
        double d = geo_distance(geo(f, pairs[i][0]), geo(f, pairs[i][1]));
        if (d != 0) {
            fail_msg("%s to %s: %g m", pairs[i][0], pairs[i][1], d);
        }
        assert_true(geo_distance(geo(f, pairs[i][1]), geo(f, pairs[i][0])) == 0);
    }
    /* in the hole is outside */
    const struct geo *ring = geo(f, "Polygon [[[0,0],[4,0],[4,4],[0,4],[0,0]],"
                                    "[[1,1],[1,3],[3,3],[3,1],[1,1]]]");
    assert_close(geo_distance(ring, geo_point(&f->a, 2, 1.1)),
                 geo_point_distance(2, 1.1, 2, 1.0001523), 1e-3);
}

/* A long line of small steps around a centre; every block of arcs is tried and pruned. */
static const struct geo *spiral(struct fixture *f, double lon, double lat, double size, size_t n)
{
    double *xy = ARENA_ARRAY(&f->a, double, 2 * n);
    struct geo_ring *ring = ARENA_NEW(&f->a, struct geo_ring);
    struct geo_part *part = ARENA_NEW(&f->a, struct geo_part);
    struct geo *g = ARENA_NEW(&f->a, struct geo);
    *ring = (struct geo_ring){xy, n};
    *part = (struct geo_part){GEO_LINESTRING, ring, 1};
    *g = (struct geo){GEO_LINESTRING, part, 1, {180, 90, -180, -90}, {180, 90, -180, -90}, n};
    for (size_t i = 0; i < n; i++) {
        double r = size * (double)(i + 1) / (double)n, w = (double)i * 0.37;
        xy[2 * i] = lon + r * cos(w);
        xy[2 * i + 1] = lat + r * sin(w);
        g->box.west = fmin(g->box.west, xy[2 * i]);
        g->box.east = fmax(g->box.east, xy[2 * i]);
        g->box.south = fmin(g->box.south, xy[2 * i + 1]);
        g->box.north = fmax(g->box.north, xy[2 * i + 1]);
    }
    return g;
}

static void pruning_changes_nothing(void **state)
{
    struct fixture *f = *state;
    for (int round = 0; round < 40; round++) {
        const struct geo *x = spiral(f, uniform(f, -60, 60), uniform(f, -70, 70), 3, 300);
        const struct geo *y = spiral(f, uniform(f, -60, 60), uniform(f, -70, 70), 3, 200);
        double best = 1e9;
        for (size_t i = 1; i < 300; i++) { /* each edge of x as a line of its own */
            struct geo_ring edge = {x->parts[0].rings[0].xy + 2 * (i - 1), 2};
            struct geo_part part = {GEO_LINESTRING, &edge, 1};
            struct geo one = {GEO_LINESTRING, &part, 1, x->box, x->flat, 2};
            best = fmin(best, geo_distance(&one, y));
        }
        assert_close(geo_distance(x, y), best, 1e-12);
        arena_reset(&f->a);
    }
}

static void box_around_holds_what_is_near(void **state)
{
    struct fixture *f = *state;
    static const double reach[] = {0.5, 100, 20000, 1500000, 9000000};
    long near = 0;
    for (int round = 0; round < 3000; round++) {
        double lon = uniform(f, -180, 180), lat = uniform(f, -90, 90);
        double size = uniform(f, 0, round % 3 == 0 ? 60 : 0.1);
        double east = fmin(180, lon + size), north = fmin(90, lat + size / 2);
        struct str text = str_printf(&f->a, "LineString [[%.17g,%.17g],[%.17g,%.17g]]", lon, lat,
                                     east + (east == lon ? -1e-3 : 0), north);
        const struct geo *g = geo(f, text.p);
        double metres = reach[round % 5];
        struct geo_box box = geo_box_around(g, metres);
        assert_true(box.west >= -180 && box.east <= 180 && box.south >= -90 && box.north <= 90);
        assert_true(geo_box_meets(box, g->box));
        double spread = metres / 100000 + 0.001;
        for (int i = 0; i < 40; i++) {
            double t = uniform(f, 0, 1);
            double plon = lon + (east - lon) * t + uniform(f, -1, 1) * spread * 3;
            double plat = lat + (north - lat) * t + uniform(f, -1, 1) * spread;
            plon = plon > 180 ? plon - 360 : plon < -180 ? plon + 360 : plon;
            if (fabs(plat) > 90 || fabs(plon) > 180 ||
                geo_distance(g, geo_point(&f->a, plon, plat)) > metres) {
                continue;
            }
            near++;
            if (plon < box.west || plon > box.east || plat < box.south || plat > box.north) {
                fail_msg("%s, %g m: [%.9g,%.9g] is out of the box", text.p, metres, plon, plat);
            }
        }
        arena_reset(&f->a);
    }
    assert_true(near > 20000); /* the sampling does hit */
    struct geo_box pole = geo_box_around(geo_point(&f->a, 10, 89.9), 20000);
    assert_true(pole.west == -180 && pole.east == 180 && pole.north == 90 && pole.south > 89);
    struct geo_box city = geo_box_around(geo_point(&f->a, 140.1, 36.1), 1000);
    assert_close(city.north - 36.1, 1000 / 111195.0, 1e-3); /* and not wastefully large */
    assert_close(city.east - 140.1, 1000 / 111195.0 / cos(36.1 * 3.14159265 / 180), 1e-3);
}

/* --- relations --- */

static GEOSGeometry *to_geos(struct fixture *f, const struct geo *g)
{
    GEOSGeometry *parts[64];
    for (size_t p = 0; p < g->n; p++) {
        GEOSGeometry *rings[16];
        const struct geo_part *part = &g->parts[p];
        for (size_t r = 0; r < part->n; r++) {
            GEOSCoordSequence *s = GEOSCoordSeq_copyFromBuffer_r(f->geos, part->rings[r].xy,
                                                                 (unsigned)part->rings[r].n, 0, 0);
            rings[r] = part->kind == GEO_POINT        ? GEOSGeom_createPoint_r(f->geos, s)
                       : part->kind == GEO_LINESTRING ? GEOSGeom_createLineString_r(f->geos, s)
                                                      : GEOSGeom_createLinearRing_r(f->geos, s);
        }
        parts[p] =
            part->kind == GEO_POLYGON
                ? GEOSGeom_createPolygon_r(f->geos, rings[0], rings + 1, (unsigned)(part->n - 1))
                : rings[0];
    }
    switch (g->kind) {
    case GEO_MULTIPOINT:
        return GEOSGeom_createCollection_r(f->geos, GEOS_MULTIPOINT, parts, (unsigned)g->n);
    case GEO_MULTILINESTRING:
        return GEOSGeom_createCollection_r(f->geos, GEOS_MULTILINESTRING, parts, (unsigned)g->n);
    case GEO_MULTIPOLYGON:
        return GEOSGeom_createCollection_r(f->geos, GEOS_MULTIPOLYGON, parts, (unsigned)g->n);
    default:
        return parts[0];
    }
}

static bool holds(enum geo_relation r, const struct geo *candidate, const struct geo *reference,
                  double metres)
{
    struct error e = {0};
    struct geo_test *t = geo_test_new(r, reference, metres, &e);
    assert_non_null(t);
    bool held = geo_test_holds(t, candidate);
    assert_int_equal(geo_test_holds(t, candidate), held); /* and again, prepared */
    bool bounded;
    struct geo_box box = geo_test_box(t, &bounded);
    if (held && bounded) {
        assert_true(geo_box_meets(box, candidate->box));
    }
    geo_test_free(t);
    return held;
}

static void relations_of_known_pairs(void **state)
{
    struct fixture *f = *state;
    const struct geo *square = geo(f, "Polygon [[[0,0],[4,0],[4,4],[0,4],[0,0]]]");
    const struct geo *turned = geo(f, "Polygon [[[4,4],[0,4],[0,0],[2,0],[4,0],[4,4]]]");
    const struct geo *inner = geo(f, "Polygon [[[1,1],[2,1],[2,2],[1,1]]]");
    const struct geo *beside = geo(f, "Polygon [[[4,0],[8,0],[8,4],[4,4],[4,0]]]");
    const struct geo *shifted = geo(f, "Polygon [[[2,2],[6,2],[6,6],[2,6],[2,2]]]");
    const struct geo *far = geo(f, "Polygon [[[20,20],[21,20],[21,21],[20,20]]]");
    const struct geo *corner = geo_point(&f->a, 4, 4), *middle = geo_point(&f->a, 2, 2);
    const struct {
        enum geo_relation r;
        const struct geo *candidate, *reference;
        bool holds;
    } rows[] = {
        {GEO_REL_WITHIN, inner, square, true},
        {GEO_REL_WITHIN, square, inner, false},
        {GEO_REL_WITHIN, square, turned, true},
        {GEO_REL_WITHIN, shifted, square, false},
        {GEO_REL_WITHIN, middle, square, true},
        {GEO_REL_WITHIN, corner, square, false}, /* the border is not within */
        {GEO_REL_WITHIN, middle, middle, true},
        {GEO_REL_CONTAINS, square, inner, true},
        {GEO_REL_CONTAINS, inner, square, false},
        {GEO_REL_CONTAINS, square, middle, true},
        {GEO_REL_CONTAINS, square, corner, false},
        {GEO_REL_CONTAINS, middle, square, false},
        {GEO_REL_INTERSECTS, beside, square, true},
        {GEO_REL_INTERSECTS, corner, square, true},
        {GEO_REL_INTERSECTS, far, square, false},
        {GEO_REL_DISJOINT, far, square, true},
        {GEO_REL_DISJOINT, corner, square, false},
        {GEO_REL_DISJOINT, beside, square, false},
        {GEO_REL_DISJOINT, geo_point(&f->a, 3, 2.5), geo(f, "LineString [[0,0],[4,4]]"), true},
        {GEO_REL_EQUALS, turned, square, true},
        {GEO_REL_EQUALS, inner, square, false},
        {GEO_REL_EQUALS, corner, geo_point(&f->a, 4, 4), true},
        {GEO_REL_EQUALS, corner, middle, false},
        {GEO_REL_OVERLAPS, shifted, square, true},
        {GEO_REL_OVERLAPS, beside, square, false},
        {GEO_REL_OVERLAPS, inner, square, false},
        {GEO_REL_OVERLAPS, middle, square, false},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        if (holds(rows[i].r, rows[i].candidate, rows[i].reference, 0) != rows[i].holds) {
            fail_msg("row %zu", i);
        }
    }
}

static void near_has_both_sides(void **state)
{
    struct fixture *f = *state;
    const struct geo *city = geo_point(&f->a, 140, 36), *other = geo_point(&f->a, 140, 36.01);
    const struct geo *road = geo(f, "LineString [[139.9,36.02],[140.1,36.02]]");
    double d = geo_distance(city, other), r = geo_distance(city, road);
    assert_true(holds(GEO_REL_NEAR_MAX, other, city, d));
    assert_false(holds(GEO_REL_NEAR_MAX, other, city, d - 0.001));
    assert_true(holds(GEO_REL_NEAR_MIN, other, city, d));
    assert_false(holds(GEO_REL_NEAR_MIN, other, city, d + 0.001));
    assert_true(holds(GEO_REL_NEAR_MAX, road, city, r + 0.001));
    assert_false(holds(GEO_REL_NEAR_MAX, road, city, r - 0.001));
    assert_true(holds(GEO_REL_NEAR_MIN, city, road, r - 0.001));
    assert_false(holds(GEO_REL_NEAR_MIN, city, road, r + 0.001));
    assert_true(holds(GEO_REL_NEAR_MAX, city, city, 0));
    assert_true(holds(GEO_REL_NEAR_MIN, city, road, 0));
    assert_true(holds(GEO_REL_NEAR_MAX, geo(f, "Polygon [[[139,35],[141,35],[140,37],[139,35]]]"),
                      city, 0));
    struct error e = {0};
    assert_null(geo_test_new(GEO_REL_NEAR_MAX, city, -1, &e));
    assert_int_equal(e.code, ERR_INVALID);
    assert_null(geo_test_new(GEO_REL_NEAR_MIN, city, __builtin_nan(""), NULL));
    geo_test_free(NULL);
    bool bounded = true;
    struct geo_test *t = geo_test_new(GEO_REL_NEAR_MIN, city, 10, NULL);
    geo_test_box(t, &bounded);
    assert_false(bounded);
    geo_test_free(t);
    t = geo_test_new(GEO_REL_DISJOINT, city, 0, NULL);
    geo_test_box(t, &bounded);
    assert_false(bounded);
    geo_test_free(t);
}

static void collections_are_related_by_parts(void **state)
{
    struct fixture *f = *state;
    const struct geo *square = geo(f, "Polygon [[[0,0],[4,0],[4,4],[0,4],[0,0]]]");
    const struct geo *in = geo(f, "GeometryCollection [{\"type\":\"Point\",\"coordinates\":[1,1]},"
                                  "{\"type\":\"LineString\",\"coordinates\":[[0,0],[0,4]]}]");
    const struct geo *edge =
        geo(f, "GeometryCollection [{\"type\":\"Point\",\"coordinates\":"
               "[0,1]},{\"type\":\"LineString\",\"coordinates\":[[0,0],[0,4]]}]");
    const struct geo *half =
        geo(f, "GeometryCollection [{\"type\":\"Point\",\"coordinates\":[1,1]},"
               "{\"type\":\"Point\",\"coordinates\":[9,9]}]");
    const struct geo *out = geo(f, "GeometryCollection [{\"type\":\"Point\",\"coordinates\":[0,9]},"
                                   "{\"type\":\"Point\",\"coordinates\":[9,0]}]");
    const struct geo *single = geo(f, "GeometryCollection [{\"type\":\"Polygon\",\"coordinates\":"
                                      "[[[4,4],[0,4],[0,0],[4,0],[4,4]]]}]");
    assert_true(holds(GEO_REL_WITHIN, in, square, 0));
    assert_false(holds(GEO_REL_WITHIN, edge, square, 0)); /* all on the border */
    assert_false(holds(GEO_REL_WITHIN, half, square, 0));
    assert_true(holds(GEO_REL_INTERSECTS, half, square, 0));
    assert_false(holds(GEO_REL_DISJOINT, half, square, 0));
    assert_true(holds(GEO_REL_DISJOINT, out, square, 0));
    assert_true(holds(GEO_REL_CONTAINS, half, geo_point(&f->a, 9, 9), 0));
    assert_true(holds(GEO_REL_EQUALS, single, square, 0));
    assert_false(holds(GEO_REL_EQUALS, half, square, 0));
    assert_true(holds(GEO_REL_INTERSECTS, square, half, 0));
    assert_true(holds(GEO_REL_DISJOINT, square, out, 0));
    struct error e = {0};
    assert_null(geo_test_new(GEO_REL_WITHIN, half, 0, &e));
    assert_int_equal(e.code, ERR_INVALID);
}

/* A star with n corners around a centre; corners on whole numbers when grid is true. */
static const struct geo *star(struct fixture *f, double lon, double lat, double size, int n,
                              bool grid)
{
    for (;;) {
        struct buf b = BUF_INIT;
        double first[2] = {0, 0};
        BUF_LIT(&b, "{\"type\":\"Polygon\",\"coordinates\":[[");
        for (int i = 0; i < n; i++) {
            double w = (i + uniform(f, 0, 0.9)) * 6.283185307179586 / n;
            double r = uniform(f, 0.2, 1) * size;
            double x = lon + r * cos(w), y = lat + r * sin(w);
            if (grid) {
                x = round(x);
                y = round(y);
            }
            if (i == 0) {
                first[0] = x;
                first[1] = y;
            }
            buf_printf(&b, "[%.17g,%.17g],", x, y);
        }
        buf_printf(&b, "[%.17g,%.17g]]]}", first[0], first[1]);
        const struct json *v = json_parse(&f->a, buf_dup(&b, &f->a), &JSON_DEFAULT, NULL);
        buf_release(&b);
        const struct geo *g = geo_parse(&f->a, v, GEO_MAX_POSITIONS, NULL);
        if (g) {
            return g;
        }
    }
}

struct point_tests {
    struct geo_test *within, *intersects, *disjoint;
    GEOSGeometry *g;
    const GEOSPreparedGeometry *prepared;
};

static void compare_point(struct fixture *f, struct point_tests *t, double x, double y,
                          long *border)
{
    double xy[2] = {x, y};
    struct geo_ring ring = {xy, 1};
    struct geo_part part = {GEO_POINT, &ring, 1};
    struct geo point = {GEO_POINT, &part, 1, {x, y, x, y}, {x, y, x, y}, 1};
    GEOSGeometry *p = GEOSGeom_createPointFromXY_r(f->geos, x, y);
    bool contains = GEOSPreparedContains_r(f->geos, t->prepared, p) == 1;
    bool meets = GEOSPreparedIntersects_r(f->geos, t->prepared, p) == 1;
    GEOSGeom_destroy_r(f->geos, p);
    *border += meets && !contains;
    if (geo_test_holds(t->within, &point) != contains ||
        geo_test_holds(t->intersects, &point) != meets ||
        geo_test_holds(t->disjoint, &point) == meets) {
        fail_msg("GEOS differs at [%.17g, %.17g]: within %d, intersects %d", x, y, contains, meets);
    }
}

/* Points at random, on corners, on edges, a rounding step beside them, and level with corners. */
static void compare_points(struct fixture *f, const struct geo *g, int n, long *border)
{
    struct point_tests t = {.g = to_geos(f, g)};
    t.within = geo_test_new(GEO_REL_WITHIN, g, 0, NULL);
    t.intersects = geo_test_new(GEO_REL_INTERSECTS, g, 0, NULL);
    t.disjoint = geo_test_new(GEO_REL_DISJOINT, g, 0, NULL);
    t.prepared = GEOSPrepare_r(f->geos, t.g);
    const struct geo_ring *ring = &g->parts[0].rings[0];
    for (int i = 0; i < n; i++) {
        const double *a = ring->xy + 2 * (size_t)uniform(f, 0, (double)ring->n - 1), *b = a + 2;
        double s = uniform(f, 0, 1);
        double x = a[0] + (b[0] - a[0]) * s, y = a[1] + (b[1] - a[1]) * s;
        double any = uniform(f, g->box.west - 0.5, g->box.east + 0.5);
        compare_point(f, &t, any, uniform(f, g->box.south - 0.5, g->box.north + 0.5), border);
        compare_point(f, &t, a[0], a[1], border);
        compare_point(f, &t, (a[0] + b[0]) / 2, (a[1] + b[1]) / 2, border);
        compare_point(f, &t, x, y, border);
        compare_point(f, &t, nextafter(x, 1e3), y, border);
        compare_point(f, &t, x, nextafter(y, -1e3), border);
        compare_point(f, &t, any, a[1], border);
        compare_point(f, &t, round(x), round(y), border);
    }
    geo_test_free(t.within);
    geo_test_free(t.intersects);
    geo_test_free(t.disjoint);
    GEOSPreparedGeom_destroy_r(f->geos, t.prepared);
    GEOSGeom_destroy_r(f->geos, t.g);
}

static void points_in_polygons_agree_with_geos(void **state)
{
    struct fixture *f = *state;
    long border = 0;
    for (int round = 0; round < 150; round++) {
        bool grid = round % 2 == 0;
        int corners = 3 + round % 3 * 30;
        const struct geo *g = grid ? star(f, 20, 10, 12, 3 + round % 9, true)
                                   : star(f, 140.1, 36.1, 0.1, corners, false);
        compare_points(f, g, 120, &border); /* 144,000 points in all */
        arena_reset(&f->a);
    }
    assert_true(border > 20000);
    const struct geo *holed = geo(f, "Polygon [[[0,0],[9,0],[9,9],[0,9],[0,0]],"
                                     "[[1,1],[1,4],[4,4],[4,1],[1,1]],[[4,4],[5,8],[8,5],[4,4]]]");
    compare_points(f, holed, 1000, &border);
    const struct geo *many = geo(f, "MultiPolygon [[[[0,0],[4,0],[4,4],[0,4],[0,0]]],"
                                    "[[[4,4],[8,4],[8,8],[4,4]],[[5,4.5],[6,4.5],[6,5],[5,4.5]]]]");
    compare_points(f, many, 1000, &border);
}

static const struct geo *random_shape(struct fixture *f)
{
    static const char *const few[] = {
        "Point [%d,%d]",
        "LineString [[%d,%d],[%d,%d]]",
        "MultiPoint [[%d,%d],[%d,%d],[%d,%d]]",
        "LineString [[%d,%d],[%d,%d],[%d,%d],[%d,%d]]",
        "MultiLineString [[[%d,%d],[%d,%d]],[[%d,%d],[%d,%d]]]",
    };
    size_t kind = (size_t)uniform(f, 0, 8);
    if (kind >= ROWS(few)) {
        return star(f, uniform(f, 0, 8), uniform(f, 0, 8), 5, 3 + (int)kind % 3, true);
    }
    for (;;) { /* again when a line came out without length */
        struct buf b = BUF_INIT;
        const char *space = strchr(few[kind], ' ');
        buf_printf(&b, "{\"type\":\"%.*s\",\"coordinates\":", (int)(space - few[kind]), few[kind]);
        for (const char *c = space + 1; *c; c++) {
            if (*c == '%') {
                buf_i64(&b, (int64_t)uniform(f, 0, 9));
                c++;
            } else {
                buf_char(&b, *c);
            }
        }
        buf_char(&b, '}');
        const struct json *v = json_parse(&f->a, buf_dup(&b, &f->a), &JSON_DEFAULT, NULL);
        buf_release(&b);
        const struct geo *g = geo_parse(&f->a, v, 100, NULL);
        if (g) {
            return g;
        }
    }
}

static void relations_agree_with_geos(void **state)
{
    struct fixture *f = *state;
    long yes[GEO_REL_OVERLAPS + 1] = {0};
    for (int round = 0; round < 4000; round++) {
        const struct geo *c = random_shape(f), *r = round % 20 == 0 ? c : random_shape(f);
        GEOSGeometry *gc = to_geos(f, c), *gr = to_geos(f, r);
        const struct {
            enum geo_relation relation;
            char want;
        } rows[] = {
            {GEO_REL_WITHIN, GEOSWithin_r(f->geos, gc, gr)},
            {GEO_REL_CONTAINS, GEOSContains_r(f->geos, gc, gr)},
            {GEO_REL_INTERSECTS, GEOSIntersects_r(f->geos, gc, gr)},
            {GEO_REL_EQUALS, GEOSEquals_r(f->geos, gc, gr)},
            {GEO_REL_DISJOINT, GEOSDisjoint_r(f->geos, gc, gr)},
            {GEO_REL_OVERLAPS, GEOSOverlaps_r(f->geos, gc, gr)},
        };
        for (size_t i = 0; i < ROWS(rows); i++) {
            bool got = holds(rows[i].relation, c, r, 0);
            if (got != (rows[i].want == 1)) {
                fail_msg("round %d, relation %d: %d, GEOS %d", round, (int)rows[i].relation, got,
                         rows[i].want);
            }
            yes[rows[i].relation] += got;
        }
        GEOSGeom_destroy_r(f->geos, gc);
        GEOSGeom_destroy_r(f->geos, gr);
        arena_reset(&f->a);
    }
    for (int r = GEO_REL_WITHIN; r <= GEO_REL_OVERLAPS; r++) {
        assert_true(yes[r] > 5);
    }
}

static void centres(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text;
        double lon, lat;
    } rows[] = {
        {"Point [140,36]", 140, 36},
        {"MultiPoint [[0,0],[3,3],[3,0]]", 2, 1},
        {"LineString [[0,0],[4,0]]", 2, 0},
        {"Polygon [[[0,0],[6,0],[0,6],[0,0]]]", 2, 2},
        {"GeometryCollection [{\"type\":\"Point\",\"coordinates\":[1,2]},{\"type\":\"Point\","
         "\"coordinates\":[3,8]}]",
         2, 5},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        double lon = -1, lat = -1;
        geo_centre(geo(f, rows[i].text), &lon, &lat);
        assert_close(lon, rows[i].lon, 1e-12);
        assert_close(lat, rows[i].lat, 1e-12);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(geometries_are_read),
        TEST(wrong_geometries_are_refused),
        TEST(too_many_positions_are_refused),
        TEST(query_geometries_are_read),
        TEST(distances_of_points),
        TEST(distances_of_shapes),
        TEST(touching_is_no_distance),
        TEST(pruning_changes_nothing),
        TEST(box_around_holds_what_is_near),
        TEST(relations_of_known_pairs),
        TEST(near_has_both_sides),
        TEST(collections_are_related_by_parts),
        TEST(points_in_polygons_agree_with_geos),
        TEST(relations_agree_with_geos),
        TEST(centres),
    };
    return cmocka_run_group_tests_name("geo", tests, NULL, NULL);
}
