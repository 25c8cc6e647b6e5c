/* test_geo_cell.c - cells, covers and the ranges that find them again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/geo.h"

#include <math.h>
#include <string.h>

enum { MAX_RANGES = 24, ROOM = MAX_RANGES + 4 * GEO_CELL_LEVEL };

static uint64_t seed = 20261123;

static double uniform(double low, double high)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return low + (high - low) * (double)(seed >> 11) / 9007199254740992.0;
}

static int64_t low_bit(int64_t id)
{
    return id & -id;
}

static void ids_nest(void **state)
{
    (void)state;
    assert_int_equal(geo_cell(0, 0, 0), INT64_C(1) << 60); /* the whole earth */
    assert_int_equal(geo_cell(-180, -90, GEO_CELL_LEVEL), 1);
    assert_int_equal(geo_cell(180, 90, GEO_CELL_LEVEL), (INT64_C(1) << 61) - 1);
    for (int i = 0; i < 20000; i++) {
        double lon = uniform(-180, 180), lat = uniform(-90, 90);
        int64_t leaf = geo_cell(lon, lat, GEO_CELL_LEVEL);
        assert_true(leaf > 0 && low_bit(leaf) == 1);
        for (int level = 0; level <= GEO_CELL_LEVEL; level++) {
            int64_t id = geo_cell(lon, lat, level), bit = low_bit(id);
            assert_true(bit == INT64_C(1) << (2 * (GEO_CELL_LEVEL - level)));
            assert_true(leaf >= id - (bit - 1) && leaf <= id + (bit - 1));
        }
    }
    /* four children lie in their parent's range, in the order of the curve */
    int64_t sw = geo_cell(-90, -45, 1), se = geo_cell(90, -45, 1);
    int64_t nw = geo_cell(-90, 45, 1), ne = geo_cell(90, 45, 1);
    assert_true(sw < se && se < nw && nw < ne);
}

static void hostile_coordinates_stay_on_earth(void **state)
{
    (void)state;
    static const double odd[] = {1e300, -1e300, 181, -181, 90.5, -0.0, 4e-324};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        int64_t id = geo_cell(odd[i], odd[i], GEO_CELL_LEVEL);
        assert_true(id > 0 && id < INT64_C(1) << 61);
    }
    assert_int_equal(geo_cell(__builtin_nan(""), __builtin_inf(), GEO_CELL_LEVEL),
                     geo_cell(-180, 90, GEO_CELL_LEVEL));
    int64_t cells[GEO_COVER_MAX];
    struct geo_range ranges[ROOM];
    struct geo_box turned = {10, 10, -10, -10};
    assert_int_equal(geo_cover(turned, cells), 0);
    assert_int_equal(geo_ranges(turned, MAX_RANGES, ranges), 0);
}

/* Any box: sizes from a point to the world, often on the seams of the tree. */
static struct geo_box random_box(void)
{
    double size = pow(10, uniform(-9, 2.5));
    double lon = uniform(-180, 180), lat = uniform(-90, 90);
    switch ((int)uniform(0, 6)) {
    case 0: /* across or at a seam */
        lon = round(lon / 22.5) * 22.5 - (uniform(0, 1) < 0.5 ? size / 2 : 0);
        break;
    case 1:
        lat = round(lat / 11.25) * 11.25 - (uniform(0, 1) < 0.5 ? size / 2 : 0);
        break;
    case 2: /* a point */
        size = 0;
        break;
    default:
        break;
    }
    lon = fmax(-180, lon);
    lat = fmax(-90, lat);
    return (struct geo_box){lon, lat, fmin(180, lon + size * uniform(0.1, 2)),
                            fmin(90, lat + size * uniform(0.1, 2))};
}

/* A box that meets q: from a point in it, or touching its corner or side. */
static struct geo_box box_that_meets(struct geo_box q)
{
    double size = pow(10, uniform(-9, 2.5));
    double lon = uniform(q.west, q.east), lat = uniform(q.south, q.north);
    switch ((int)uniform(0, 5)) {
    case 0: /* touches the east side */
        return (struct geo_box){q.east, lat, fmin(180, q.east + size), fmin(90, lat + size)};
    case 1: /* touches the south-west corner */
        return (struct geo_box){fmax(-180, q.west - size), fmax(-90, q.south - size), q.west,
                                q.south};
    case 2:
        return (struct geo_box){lon, lat, lon, lat};
    default:
        return (struct geo_box){fmax(-180, lon - size), fmax(-90, lat - size), fmin(180, lon),
                                fmin(90, lat + size / 3)};
    }
}

static bool found(const int64_t *cells, size_t n_cells, const struct geo_range *r, size_t n)
{
    for (size_t i = 0; i < n_cells; i++) {
        for (size_t k = 0; k < n; k++) {
            if (cells[i] >= r[k].from && cells[i] <= r[k].to) {
                return true;
            }
        }
    }
    return false;
}

static void covers_hold_their_box(void **state)
{
    (void)state;
    for (int i = 0; i < 20000; i++) {
        struct geo_box box = random_box();
        int64_t cells[GEO_COVER_MAX];
        size_t n = geo_cover(box, cells);
        assert_true(n >= 1 && n <= GEO_COVER_MAX);
        for (int k = 0; k < 20; k++) { /* corners, then points inside */
            double lon = k < 4 ? (k & 1 ? box.east : box.west) : uniform(box.west, box.east);
            double lat = k < 4 ? (k & 2 ? box.north : box.south) : uniform(box.south, box.north);
            int64_t leaf = geo_cell(lon, lat, GEO_CELL_LEVEL);
            bool held = false;
            for (size_t c = 0; c < n; c++) {
                int64_t reach = low_bit(cells[c]) - 1;
                held = held || (leaf >= cells[c] - reach && leaf <= cells[c] + reach);
            }
            assert_true(held);
        }
    }
    int64_t cells[GEO_COVER_MAX];
    struct geo_box point = {140.1, 36.1, 140.1, 36.1};
    assert_int_equal(geo_cover(point, cells), 1); /* a point is one cell, the finest */
    assert_int_equal(cells[0], geo_cell(140.1, 36.1, GEO_CELL_LEVEL));
}

static void what_meets_is_found(void **state)
{
    (void)state;
    static const size_t limits[] = {0, 1, 2, 3, 4, 8, 16, MAX_RANGES};
    for (int i = 0; i < 20000; i++) {
        struct geo_range r[ROOM];
        size_t max = limits[i % 8];
        struct geo_box query = random_box();
        size_t n = geo_ranges(query, max, r);
        assert_true(n >= 1 && n <= (max ? max : 1) + 4 * GEO_CELL_LEVEL);
        for (size_t k = 0; k < n; k++) { /* sorted and disjoint */
            assert_true(r[k].from >= 1 && r[k].from <= r[k].to && r[k].to < INT64_C(1) << 61);
            assert_true(k == 0 || r[k].from > r[k - 1].to);
        }
        for (int k = 0; k < 8; k++) {
            struct geo_box box = box_that_meets(query);
            int64_t cells[GEO_COVER_MAX];
            assert_true(geo_box_meets(box, query));
            size_t n_cells = geo_cover(box, cells);
            if (!found(cells, n_cells, r, n)) {
                fail_msg("query [%.17g,%.17g,%.17g,%.17g] misses [%.17g,%.17g,%.17g,%.17g]",
                         query.west, query.south, query.east, query.north, box.west, box.south,
                         box.east, box.north);
            }
        }
    }
}

/*
 * How tight: of points spread over a city, those found per point that is really in the box. The
 * figures stand in the header.
 */
static void ranges_are_tight(void **state)
{
    (void)state;
    static const struct {
        size_t ranges;
        double at_most;
    } rows[] = {{4, 4.2}, {8, 2.6}, {16, 1.95}, {MAX_RANGES, 1.7}};
    for (size_t i = 0; i < 4; i++) {
        long in = 0, candidates = 0;
        for (int round = 0; round < 400; round++) {
            struct geo_range r[ROOM];
            double lon = uniform(140, 140.2), lat = uniform(36, 36.2);
            struct geo_box q = {lon, lat, lon + uniform(0.01, 0.1), lat + uniform(0.01, 0.1)};
            size_t n = geo_ranges(q, rows[i].ranges, r);
            for (int k = 0; k < 1000; k++) {
                double x = uniform(139.9, 140.4), y = uniform(35.9, 36.4);
                int64_t cell = geo_cell(x, y, GEO_CELL_LEVEL);
                in += x >= q.west && x <= q.east && y >= q.south && y <= q.north;
                candidates += found(&cell, 1, r, n);
            }
        }
        double ratio = (double)candidates / (double)in;
        print_message("# %zu ranges: %.2f candidates for each point in the box\n", rows[i].ranges,
                      ratio);
        assert_true(ratio >= 1 && ratio <= rows[i].at_most);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_nest),
        cmocka_unit_test(hostile_coordinates_stay_on_earth),
        cmocka_unit_test(covers_hold_their_box),
        cmocka_unit_test(what_meets_is_found),
        cmocka_unit_test(ranges_are_tight),
    };
    return cmocka_run_group_tests_name("geo_cell", tests, NULL, NULL);
}
