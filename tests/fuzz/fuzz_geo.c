/*
 * Geometry: the input is one or two GeoJSON geometries, a line each. What is read keeps the
 * promises of geo.h; the two are then measured, related and looked up by cells.
 */
#include "core/geo.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Broken promises must stop the fuzzer in any build. */
static void check(bool ok, const char *what)
{
    if (ok) {
        return;
    }
    fprintf(stderr, "fuzz_geo: %s\n", what);
    abort();
}

static bool in_box(struct geo_box box, double lon, double lat)
{
    return lon >= box.west && lon <= box.east && lat >= box.south && lat <= box.north;
}

static const struct geo *read_geo(struct arena *a, struct str text)
{
    struct error e = {.code = OK};
    const struct json *v = json_parse(a, text, &JSON_DEFAULT, NULL);
    const struct geo *g = v ? geo_parse(a, v, 200, &e) : NULL;
    if (!g) {
        check(!v || e.code == ERR_INVALID || e.code == ERR_TOO_LARGE, "refused without a reason");
        return NULL;
    }
    size_t positions = 0;
    for (size_t p = 0; p < g->n; p++) {
        for (size_t r = 0; r < g->parts[p].n; r++) {
            const struct geo_ring *ring = &g->parts[p].rings[r];
            positions += ring->n;
            for (size_t i = 0; i < ring->n; i++) {
                check(in_box(g->flat, ring->xy[2 * i], ring->xy[2 * i + 1]), "outside its box");
            }
        }
    }
    check(g->n > 0 && positions == g->positions && positions <= 200, "count of positions");
    check(in_box((struct geo_box){-180, -90, 180, 90}, g->box.west, g->box.south) &&
              in_box((struct geo_box){-180, -90, 180, 90}, g->box.east, g->box.north),
          "off the earth");
    double lon, lat;
    geo_centre(g, &lon, &lat);
    check(isfinite(lon) && isfinite(lat), "no centre");
    return g;
}

static bool holds(enum geo_relation r, const struct geo *x, const struct geo *y, double metres)
{
    struct geo_test *t = geo_test_new(r, y, metres, NULL);
    bool bounded, held;
    if (!t) {
        check(y->kind == GEO_COLLECTION, "no test of a plain geometry");
        return false;
    }
    held = geo_test_holds(t, x);
    struct geo_box box = geo_test_box(t, &bounded);
    check(!held || !bounded || geo_box_meets(box, x->box), "holds outside the box of its test");
    geo_test_free(t);
    return held;
}

static void check_pair(const struct geo *x, const struct geo *y)
{
    double d = geo_distance(x, y);
    check(d >= 0 && d <= 4 * GEO_EARTH_M, "distance");
    check(fabs(d - geo_distance(y, x)) <= 1e-6 + d * 1e-9, "distance is not symmetric");
    check(holds(GEO_REL_NEAR_MAX, x, y, d + 0.01), "not near at its own distance");
    check(holds(GEO_REL_NEAR_MIN, x, y, d * 0.999), "nearer than its own distance");
    bool meets = holds(GEO_REL_INTERSECTS, x, y, 0);
    check(meets != holds(GEO_REL_DISJOINT, x, y, 0), "neither or both of disjoint and meeting");
    static const enum geo_relation close[] = {GEO_REL_WITHIN, GEO_REL_CONTAINS, GEO_REL_EQUALS,
                                              GEO_REL_OVERLAPS};
    for (size_t i = 0; i < sizeof close / sizeof close[0]; i++) {
        check(!holds(close[i], x, y, 0) || meets, "related without meeting");
    }
}

static void check_cells(const struct geo *x, const struct geo *y)
{
    int64_t cells[GEO_COVER_MAX];
    struct geo_range r[12 + 4 * GEO_CELL_LEVEL];
    size_t n_cells = geo_cover(x->box, cells), n = geo_ranges(y->box, 12, r);
    bool found = !geo_box_meets(x->box, y->box);
    check(n_cells > 0 && n > 0, "no cells");
    for (size_t i = 0; i < n; i++) {
        check(r[i].from <= r[i].to && (i == 0 || r[i].from > r[i - 1].to), "order of ranges");
        for (size_t k = 0; k < n_cells; k++) {
            found = found || (cells[k] >= r[i].from && cells[k] <= r[i].to);
        }
    }
    check(found, "what meets is not found");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = ARENA_INIT;
    struct str rest = str_n((const char *)data, size), first = STR_NONE, second = STR_NONE;
    str_split(&rest, '\n', &first);
    str_split(&rest, '\n', &second);
    const struct geo *x = read_geo(&a, first), *y = read_geo(&a, second);
    if (x) {
        y = y ? y : x;
        check_pair(x, y);
        check_cells(x, y);
        check_cells(y, x);
    }
    arena_release(&a);
    return 0;
}
