#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/json.h"
#include <float.h>
#include <math.h>
#include <string.h>

static int sign(int v)
{
    return (v > 0) - (v < 0);
}

static void test_order(void **state)
{
    (void)state;
    static const struct {
        const char *x, *y;
        int order;
    } cases[] = {{"0", "-0", 0},
                 {"0", "0.000e99", 0},
                 {"1", "1.0", 0},
                 {"1", "1e0", 0},
                 {"100", "1e2", 0},
                 {"0.001", "1e-3", 0},
                 {"0.0012", "12e-4", 0},
                 {"12.5", "1.25e1", 0},
                 {"1230", "123e1", 0},
                 {"10.01", "1001e-2", 0},
                 {"1", "2", -1},
                 {"9", "10", -1},
                 {"-9", "-10", 1},
                 {"-1", "1", -1},
                 {"0", "1e-300", -1},
                 {"0", "-1e-300", 1},
                 {"0.1", "0.09999999999999999999999", 1},
                 {"123456789012345678901", "123456789012345678902", -1},
                 {"9007199254740993", "9007199254740992", 1},
                 {"1e400", "1e401", -1},
                 {"1.1", "1.10000000000000000000001", -1},
                 {"99.9", "100", -1},
                 {"1e99999999999999999999", "2", 1},
                 {"1e-99999999999999999999", "0", 1},
                 {"-1e99999999999999999999", "-2", -1}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct str x = str_c(cases[i].x), y = str_c(cases[i].y);
        assert_int_equal(sign(json_number_cmp(x, y)), cases[i].order);
        assert_int_equal(sign(json_number_cmp(y, x)), -cases[i].order);
    }
}

static void test_integers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok;
        int64_t value;
    } cases[] = {{"5", true, 5},
                 {"5.0", true, 5},
                 {"5e0", true, 5},
                 {"1e2", true, 100},
                 {"-1.5e18", true, INT64_C(-1500000000000000000)},
                 {"50e-1", true, 5},
                 {"0.5e1", true, 5},
                 {"-0.0", true, 0},
                 {"0e99999999999999999999", true, 0},
                 {"9223372036854775807.0", true, INT64_MAX},
                 {"-9223372036854775808", true, INT64_MIN},
                 {"-9.223372036854775808e18", true, INT64_MIN},
                 {"9.223372036854775808e18", false, 0},
                 {"5.5", false, 0},
                 {"1e19", false, 0},
                 {"9999999999999999999.0", false, 0},
                 {"1e99999999999999999999", false, 0},
                 {"1e-1", false, 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct json v = json_v_number(str_c(cases[i].text));
        int64_t out = 42;
        assert_int_equal(json_i64(&v, &out), cases[i].ok);
        if (cases[i].ok)
            assert_true(out == cases[i].value);
    }
    struct json text = json_v_str(S("5"));
    int64_t out;
    assert_false(json_i64(&text, &out));
    assert_false(json_i64(NULL, &out));
}

static void assert_double(double v, const char *text)
{
    struct arena a = ARENA_INIT;
    struct json j = json_v_double(&a, v);
    if (!str_eq(json_text(&j), str_c(text)))
        fail_msg("%.17g is written as %" STR_F ", not %s", v, STR_A(json_text(&j)), text);
    arena_release(&a);
}

static void test_double_texts(void **state)
{
    (void)state;
    assert_double(0, "0");
    assert_double(-0.0, "-0");
    assert_double(1, "1");
    assert_double(-1.5, "-1.5");
    assert_double(0.1, "0.1");
    assert_double(0.1 + 0.2, "0.30000000000000004");
    assert_double(1.0 / 3, "0.3333333333333333");
    assert_double(100, "100");
    assert_double(123456789012345680000.0, "123456789012345680000");
    assert_double(1e21, "1e+21");
    assert_double(1.5e300, "1.5e+300");
    assert_double(0.000001, "0.000001");
    assert_double(0.0000001, "1e-7");
    assert_double(5e-324, "5e-324");
    assert_double(DBL_MAX, "1.7976931348623157e+308");
    assert_double(DBL_MIN, "2.2250738585072014e-308");
    assert_double(9007199254740993.0, "9007199254740992");
    assert_double(36.0825, "36.0825");
    assert_double(999999999999999.9, "999999999999999.9");
    struct arena a = ARENA_INIT;
    struct json nan = json_v_double(&a, NAN), inf = json_v_double(&a, -INFINITY);
    assert_true(json_is(&nan, JSON_NULL) && json_is(&inf, JSON_NULL));
    arena_release(&a);
}

/* Any double survives being written and read. */
static void test_double_round_trip(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    uint64_t bits = 1;
    for (int i = 0; i < 20000; i++) {
        bits = bits * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        double v, back;
        memcpy(&v, &bits, sizeof(v));
        if (!isfinite(v))
            continue;
        struct json j = json_v_double(&a, v);
        const struct json *parsed = json_parse(&a, json_text(&j), &JSON_DEFAULT, NULL);
        assert_non_null(parsed);
        assert_true(json_double(parsed, &back));
        assert_memory_equal(&v, &back, sizeof(v));
        arena_reset(&a);
    }
    arena_release(&a);
}

static void test_double_reads(void **state)
{
    (void)state;
    double v;
    struct json n = json_v_number(S("1e400"));
    assert_false(json_double(&n, &v));
    n = json_v_number(S("36.0825"));
    assert_true(json_double(&n, &v) && v == 36.0825);
    n = json_v_bool(true);
    assert_false(json_double(&n, &v));
    assert_false(json_double(NULL, &v));
}

static void test_made_integers(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct json n = json_v_i64(&a, INT64_MIN);
    assert_true(str_eq(json_text(&n), S("-9223372036854775808")));
    n = json_v_i64(&a, 0);
    assert_true(str_eq(json_text(&n), S("0")));
    arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_double_texts), cmocka_unit_test(test_double_round_trip),
        cmocka_unit_test(test_double_reads), cmocka_unit_test(test_made_integers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
