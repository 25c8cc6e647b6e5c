#include "mvt.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct geo *parse(struct arena *a, const char *text)
{
    struct error e;
    const struct json *v = json_parse(a, str_c(text), &JSON_DEFAULT, &e);
    const struct geo *g = v ? geo_parse(a, v, GEO_MAX_POSITIONS, &e) : NULL;
    if (!g)
        fail_msg("%s: %s", text, e.text);
    return g;
}

/* Geometry of a feature on tile 0/0/0, where 4096 units are the whole world. */
static struct mvt_feature *draw(struct arena *a, struct mvt *m, const char *geometry)
{
    mvt_begin(m, a, S("layer"), 0, 0, 0);
    return mvt_add(m, parse(a, geometry));
}

static void finish(struct arena *a, struct mvt *m)
{
    struct buf out = BUF_INIT;
    mvt_write(m, &out);
    buf_release(&out);
    arena_release(a);
}

static void expect(const struct mvt_feature *f, const uint32_t *want, size_t n)
{
    assert_non_null(f);
    assert_int_equal(f->geometry.n, n);
    for (size_t i = 0; i < n; i++)
        if (f->geometry.v[i] != want[i])
            fail_msg("number %zu is %u, want %u", i, f->geometry.v[i], want[i]);
}

static void test_projection(void **state)
{
    (void)state;
    double x, y;
    mvt_project(0, 0, 0, 0, 0, &x, &y);
    assert_true(fabs(x - 2048) < 1e-9 && fabs(y - 2048) < 1e-9);
    mvt_project(0, 0, 0, -180, 85.051128779806592, &x, &y);
    assert_true(fabs(x) < 1e-6 && fabs(y) < 1e-6);
    mvt_project(0, 0, 0, 180, -90, &x, &y);
    assert_true(fabs(x - 4096) < 1e-6 && fabs(y - 4096) < 1e-6);
    struct geo_box b = mvt_box(1, 0, 0);
    assert_true(b.west == -180 && b.east > 0 && b.east < 6 && b.south < 0 && b.north > 85);
    b = mvt_box(22, 0, 0);
    assert_true(b.west <= -180 + 1e-4 && b.west >= -180);
}

static void test_point(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct mvt m;
    struct mvt_feature *f = draw(&a, &m, "{\"type\":\"Point\",\"coordinates\":[0,0]}");
    expect(f, (const uint32_t[]){1 << 3 | 1, 4096, 4096}, 3); /* zigzag of 2048 */
    assert_int_equal(f->kind, 1);
    finish(&a, &m);
}

static void test_points_outside_are_left_out(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct mvt m;
    mvt_begin(&m, &a, S("layer"), 1, 0, 0);
    assert_null(mvt_add(&m, parse(&a, "{\"type\":\"Point\",\"coordinates\":[90,0]}")));
    struct mvt_feature *f =
        mvt_add(&m,
                parse(&a, "{\"type\":\"MultiPoint\",\"coordinates\":[[90,0],[-90,1],[-91,1]]}"));
    assert_non_null(f);
    assert_int_equal(f->geometry.v[0], 2 << 3 | 1);
    finish(&a, &m);
}

static void test_line_is_cut_where_it_leaves(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct mvt m;
    mvt_begin(&m, &a, S("layer"), 1, 0, 0);
    /* Out to the east and back in: two lines, each ending at the margin. */
    struct mvt_feature *f =
        mvt_add(&m, parse(&a, "{\"type\":\"LineString\",\"coordinates\":[[-10,10],[90,10],[90,20],"
                              "[-10,20]]}"));
    assert_non_null(f);
    assert_int_equal(f->kind, 2);
    assert_int_equal(f->geometry.n, 2 * 6);
    assert_int_equal(f->geometry.v[0], 1 << 3 | 1);
    assert_int_equal(f->geometry.v[3], 1 << 3 | 2);
    assert_int_equal(f->geometry.v[6], 1 << 3 | 1);
    finish(&a, &m);
}

/* Twice the signed area of the ring that starts at geometry[at]. */
static int64_t ring_area(const struct mvt_feature *f, size_t *at, int32_t *x, int32_t *y)
{
    int64_t sum = 0;
    int32_t x0 = 0, y0 = 0;
    for (;;) {
        uint32_t command = f->geometry.v[(*at)++], id = command & 7, count = command >> 3;
        if (id == 7)
            return sum + (int64_t)*x * y0 - (int64_t)x0 * *y;
        for (uint32_t i = 0; i < count; i++) {
            uint32_t dx = f->geometry.v[(*at)++], dy = f->geometry.v[(*at)++];
            int32_t nx = *x + (int32_t)(dx >> 1 ^ -(dx & 1)),
                    ny = *y + (int32_t)(dy >> 1 ^ -(dy & 1));
            if (id == 1) {
                x0 = nx;
                y0 = ny;
            } else {
                sum += (int64_t)*x * ny - (int64_t)nx * *y;
            }
            *x = nx;
            *y = ny;
        }
    }
}

static void check_winding(const char *geometry)
{
    struct arena a = ARENA_INIT;
    struct mvt m;
    int32_t x = 0, y = 0;
    size_t at = 0;
    struct mvt_feature *f = draw(&a, &m, geometry);
    assert_non_null(f);
    assert_int_equal(f->kind, 3);
    assert_true(ring_area(f, &at, &x, &y) > 0);
    if (at < f->geometry.n)
        assert_true(ring_area(f, &at, &x, &y) < 0);
    assert_int_equal(at, f->geometry.n);
    finish(&a, &m);
}

static void test_rings_turn_as_the_format_wants(void **state)
{
    (void)state;
    check_winding("{\"type\":\"Polygon\",\"coordinates\":[[[0,0],[90,0],[90,60],[0,60],[0,0]]]}");
    check_winding("{\"type\":\"Polygon\",\"coordinates\":[[[0,0],[0,60],[90,60],[90,0],[0,0]]]}");
    check_winding("{\"type\":\"Polygon\",\"coordinates\":[[[0,0],[90,0],[90,60],[0,60],[0,0]],"
                  "[[10,10],[10,20],[20,20],[20,10],[10,10]]]}");
    check_winding("{\"type\":\"Polygon\",\"coordinates\":[[[0,0],[90,0],[90,60],[0,60],[0,0]],"
                  "[[10,10],[20,10],[20,20],[10,20],[10,10]]]}");
}

static void test_what_shrinks_to_nothing_is_left_out(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct mvt m;
    mvt_begin(&m, &a, S("layer"), 0, 0, 0);
    assert_null(mvt_add(&m, parse(&a, "{\"type\":\"Polygon\",\"coordinates\":[[[0,0],[0.001,0],"
                                      "[0.001,0.001],[0,0.001],[0,0]]]}")));
    assert_null(
        mvt_add(&m,
                parse(&a, "{\"type\":\"LineString\",\"coordinates\":[[0,0],[0.0001,0.0001]]}")));
    struct buf out = BUF_INIT;
    mvt_write(&m, &out);
    assert_int_equal(out.n, 0);
    buf_release(&out);
    arena_release(&a);
}

/* The whole message, byte by byte, against the specification's field numbers. */
static void test_bytes(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct buf out = BUF_INIT;
    struct mvt m;
    mvt_begin(&m, &a, S("L"), 0, 0, 0);
    struct mvt_feature *f = mvt_add_point(&m, 5, 7);
    f->id = 300;
    mvt_text(&m, f, S("k"), S("v"));
    f = mvt_add_point(&m, 1, 1);
    mvt_text(&m, f, S("k"), S("v"));
    mvt_number(&m, f, S("n"), 2);
    mvt_write(&m, &out);
    static const unsigned char want[] = {0x1a, 61,   0x0a, 1,    'L', /* name */
                                         0x12, 14,   0x08, 0xac, 2,   0x12, 2,  0,
                                         0,    0x18, 1,    0x22, 3,   9,    10, 14, /* id 300 */
                                         0x12, 13,   0x12, 4,    0,   0,    1,  1,
                                         0x18, 1,    0x22, 3,    9,   2,    2, /* no id */
                                         0x1a, 1,    'k',  0x1a, 1,   'n',     /* keys */
                                         0x22, 3,    0x0a, 1,    'v', 0x22, 9,  0x19,
                                         0,    0,    0,    0,    0,   0,    0,  0x40, /* values */
                                         0x28, 0x80, 0x20, 0x78, 2}; /* extent, version */
    assert_int_equal(out.n, sizeof(want));
    assert_memory_equal(out.p, want, sizeof(want));
    buf_release(&out);
    arena_release(&a);
}

/* Any polygon, any tile: only numbers on the tile with its margin, and rings that close. */
static void test_random_shapes_stay_on_the_tile(void **state)
{
    (void)state;
    uint64_t seed = 88172645463325252ULL;
    for (int round = 0; round < 500; round++) {
        struct arena a = ARENA_INIT;
        double middle[2], at[16];
        for (int i = 0; i < 2; i++) {
            seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
            middle[i] = (double)(seed % 1600) / 10 - 80;
        }
        for (int i = 0; i < 8; i++) { /* a star around the middle */
            seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
            double r = (double)(seed % 600) / 100 + 0.01, angle = i * 2 * 3.14159265358979 / 8;
            at[2 * i] = middle[0] + r * cos(angle);
            at[2 * i + 1] = middle[1] + r * sin(angle);
        }
        char *text = arena_printf(&a, "{\"type\":\"Polygon\",\"coordinates\":[[");
        for (int i = 0; i <= 8; i++)
            text = arena_printf(&a, "%s%s[%.6f,%.6f]", text, i ? "," : "", at[2 * (i % 8)],
                                at[2 * (i % 8) + 1]);
        text = arena_printf(&a, "%s]]}", text);
        struct mvt m;
        int z = (int)(seed % 9);
        mvt_begin(&m, &a, S("layer"), z, (int64_t)(seed >> 8) & ((1 << z) - 1),
                  (int64_t)(seed >> 20) & ((1 << z) - 1));
        struct mvt_feature *f = mvt_add(&m, parse(&a, text));
        int32_t x = 0, y = 0;
        size_t i = 0;
        while (f && i < f->geometry.n) {
            uint32_t command = f->geometry.v[i++];
            for (uint32_t k = 0; (command & 7) != 7 && k < command >> 3; k++) {
                uint32_t dx = f->geometry.v[i++], dy = f->geometry.v[i++];
                x += (int32_t)(dx >> 1 ^ -(dx & 1));
                y += (int32_t)(dy >> 1 ^ -(dy & 1));
                assert_in_range(x + MVT_MARGIN, 0, MVT_EXTENT + 2 * MVT_MARGIN);
                assert_in_range(y + MVT_MARGIN, 0, MVT_EXTENT + 2 * MVT_MARGIN);
            }
        }
        struct buf out = BUF_INIT;
        mvt_write(&m, &out);
        buf_release(&out);
        arena_release(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_projection),
        cmocka_unit_test(test_point),
        cmocka_unit_test(test_points_outside_are_left_out),
        cmocka_unit_test(test_line_is_cut_where_it_leaves),
        cmocka_unit_test(test_rings_turn_as_the_format_wants),
        cmocka_unit_test(test_what_shrinks_to_nothing_is_left_out),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_random_shapes_stay_on_the_tile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
