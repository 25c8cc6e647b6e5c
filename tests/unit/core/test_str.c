#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/arena.h"
#include "core/error.h"
#include "core/str.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define assert_str(s, z) assert_true(str_eq((s), str_c(z)))

static void test_equality(void **state)
{
    (void)state;
    assert_true(str_eq(S("abc"), str_n("abcd", 3)));
    assert_false(str_eq(S("abc"), S("abd")));
    assert_true(str_eq(STR_NONE, S("")));
    assert_false(str_eq(STR_NONE, S("a")));
    assert_true(str_eq_nocase(S("Content-TYPE"), S("content-type")));
    assert_false(str_eq_nocase(S("\xC3\x84"), S("\xC3\xA4"))); /* not beyond ASCII */
    assert_false(str_eq_nocase(S("["), S("{")));
    assert_null(str_c(NULL).p);
}

static void test_order(void **state)
{
    (void)state;
    assert_true(str_cmp(S("a"), S("b")) < 0);
    assert_true(str_cmp(S("ab"), S("a")) > 0);
    assert_int_equal(str_cmp(S(""), STR_NONE), 0);
    assert_true(str_cmp(S("z"), S("\xE3\x81\x82")) < 0); /* bytes are unsigned */
}

static void test_search(void **state)
{
    (void)state;
    assert_true(str_starts(S("urn:x"), S("urn:")));
    assert_false(str_starts(S("ur"), S("urn:")));
    assert_true(str_ends(S("a.csv"), S(".csv")));
    assert_false(str_ends(S("csv"), S(".csv")));
    assert_int_equal(str_find(S("one two"), S("two")), 4);
    assert_int_equal(str_find(S("one two"), S("three")), -1);
    assert_int_equal(str_find(S("x"), S("")), 0);
    assert_int_equal(str_find(STR_NONE, S("x")), -1);
    assert_int_equal(str_find_char(S("a=b"), '='), 1);
    assert_int_equal(str_find_char(STR_NONE, '='), -1);
}

static void test_parts(void **state)
{
    (void)state;
    struct str s = S("hello");
    assert_str(str_sub(s, 1, 3), "ell");
    assert_str(str_sub(s, 3, 100), "lo");
    assert_str(str_sub(s, 9, SIZE_MAX), "");
    assert_str(str_from(s, 5), "");
    assert_str(str_from(STR_NONE, 3), "");
    assert_str(str_cut(S("a\xE3\x81\x82z"), 3), "a");
    assert_str(str_cut(S("a\xE3\x81\x82z"), 4), "a\xE3\x81\x82");
    assert_str(str_cut(S("abc"), 3), "abc");
    assert_str(str_cut(S("\x80\x80"), 1), "");
    assert_str(str_trim(S(" \t a b \r\n")), "a b");
    assert_str(str_trim(S("  ")), "");
}

static void test_split(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t n;
        const char *fields[4];
    } cases[] = {{"a,,b", 3, {"a", "", "b"}},
                 {"", 0, {0}},
                 {"a,", 1, {"a"}},
                 {",a", 2, {"", "a"}},
                 {"abc", 1, {"abc"}}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct str rest = str_c(cases[i].text), field;
        size_t n = 0;
        while (str_split(&rest, ',', &field)) {
            assert_true(n < cases[i].n);
            assert_str(field, cases[i].fields[n]);
            n++;
        }
        assert_int_equal(n, cases[i].n);
    }
}

static void test_integers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok;
        int64_t value;
    } cases[] = {{"0", true, 0},
                 {"-0", true, 0},
                 {"007", true, 7},
                 {"9223372036854775807", true, INT64_MAX},
                 {"-9223372036854775808", true, INT64_MIN},
                 {"9223372036854775808", false, 0},
                 {"-9223372036854775809", false, 0},
                 {"18446744073709551616", false, 0},
                 {"99999999999999999999999", false, 0},
                 {"", false, 0},
                 {"-", false, 0},
                 {"+1", false, 0},
                 {" 1", false, 0},
                 {"1 ", false, 0},
                 {"1.0", false, 0},
                 {"--1", false, 0},
                 {"0x1", false, 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t v = 42;
        assert_int_equal(str_to_i64(str_c(cases[i].text), &v), cases[i].ok);
        assert_int_equal(v, cases[i].ok ? cases[i].value : 42);
    }
    uint64_t u;
    assert_true(str_to_u64(S("18446744073709551615"), &u));
    assert_true(u == UINT64_MAX);
    assert_false(str_to_u64(S("-1"), &u));
}

static void test_doubles(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double value;
    } good[] = {{"0", 0},
                {"1.5", 1.5},
                {"-2e3", -2000},
                {"1E-2", 0.01},
                {"0035.50", 35.5},
                {"0.000000000000000000000000000001", 1e-30},
                {"123456789012345678901234567890", 123456789012345678901234567890.0},
                {"1.7976931348623157e308", 1.7976931348623157e308},
                {"4.9e-324", 4.9e-324},
                {"2.2250738585072011e-308", 2.2250738585072011e-308},
                {"9007199254740993", 9007199254740992.0},
                {"1e-999999999999999999999", 0},
                {"0e999999999999", 0},
                {"9007199254740993.00000000000000000000000000001", 9007199254740994.0}};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        double v = -1;
        assert_true(str_to_double(str_c(good[i].text), &v));
        assert_true(v == good[i].value);
    }
    static const char *const bad[] = {
        "",      "-",   ".5",  "5.",  "1e",    "1e+",    "inf",
        "nan",   "0x1", "1,5", "+1",  " 1",    "1 ",     "1.2.3",
        "1e5.0", "e5",  "1d3", "--1", "1e400", "-1e400", "1e999999999999999999999"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        double v;
        assert_false(str_to_double(str_c(bad[i]), &v));
    }
    double v;
    assert_true(str_to_double(S("-0.0"), &v) && v == 0 && signbit(v));
}

static void test_double_of_many_digits(void **state)
{
    (void)state;
    /* 2^-1 with a thousand zeros and a final 1: the digit beyond the kept ones decides nothing */
    char text[1200] = "1.";
    memset(text + 2, '0', 1100);
    double v;
    assert_true(str_to_double(str_n(text, 1100), &v) && v == 1.0);
    text[1099] = '1';
    assert_true(str_to_double(str_n(text, 1100), &v) && v == 1.0);
    /* just above the middle between two doubles: only the last digit says so */
    snprintf(text, sizeof(text), "9007199254740993.");
    memset(text + 17, '0', 1000);
    text[1016] = '1';
    assert_true(str_to_double(str_n(text, 1017), &v) && v == 9007199254740994.0);
}

static void test_making(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    assert_str(str_printf(&a, "%d%%", 5), "5%");
    assert_str(str_concat(&a, S("ab"), S("cd")), "abcd");
    assert_str(str_concat(&a, STR_NONE, STR_NONE), "");
    assert_string_equal(str_z(&a, str_n("abc", 2)), "ab");
    struct str dup = str_dup(&a, S("x"));
    assert_int_equal(dup.p[1], 0);
    assert_str(str_dup(&a, STR_NONE), "");
    arena_release(&a);
}

static void test_hash(void **state)
{
    (void)state;
    assert_true(str_hash(S("abc")) == str_hash(str_n("abcd", 3)));
    assert_true(str_hash(S("abc")) != str_hash(S("abd")));
    assert_true(str_hash(S("")) == str_hash(STR_NONE));
    assert_true(str_hash(str_n("\0", 1)) != str_hash(S("")));
    assert_true(str_hash(S("12345678")) != str_hash(S("123456789")));
}

static void test_utf8(void **state)
{
    (void)state;
    static const char *const good[] = {"",
                                       "plain ascii text that is long",
                                       "\xC2\x80",
                                       "\xDF\xBF",
                                       "\xE0\xA0\x80",
                                       "\xED\x9F\xBF",
                                       "\xEE\x80\x80",
                                       "\xEF\xBF\xBF",
                                       "\xF0\x90\x80\x80",
                                       "\xF4\x8F\xBF\xBF",
                                       "つくば市のデータ"};
    static const char *const bad[] = {"\x80",
                                      "\xBF",
                                      "\xC0\x80",
                                      "\xC1\xBF",
                                      "\xC2",
                                      "\xC2\x41",
                                      "\xE0\x80\x80",
                                      "\xE0\x9F\xBF",
                                      "\xED\xA0\x80",
                                      "\xED\xBF\xBF",
                                      "\xE3\x81",
                                      "\xE3\x81\x41",
                                      "\xF0\x80\x80\x80",
                                      "\xF0\x8F\xBF\xBF",
                                      "\xF4\x90\x80\x80",
                                      "\xF5\x80\x80\x80",
                                      "\xFE",
                                      "\xFF",
                                      "\xF0\x9F\x98",
                                      "long enough for words \xC3 and more text"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(str_is_utf8(str_c(good[i])));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(str_is_utf8(str_c(bad[i])));
    assert_true(str_is_utf8(str_n("\0", 1)));
}

static void test_utf8_round_trip(void **state)
{
    (void)state;
    for (uint32_t cp = 0; cp <= 0x10FFFF; cp += cp < 0x3000 ? 1 : 37) {
        char bytes[4];
        size_t n = str_utf8_put(cp, bytes), i = 0;
        uint32_t want = cp >= 0xD800 && cp <= 0xDFFF ? 0xFFFD : cp;
        assert_int_equal(str_utf8_next(str_n(bytes, n), &i), want);
        assert_int_equal(i, n);
        assert_true(str_is_utf8(str_n(bytes, n)));
    }
    char bytes[4];
    assert_int_equal(str_utf8_put(0x110000, bytes), 3);
    size_t i = 0;
    assert_int_equal(str_utf8_next(S("\xE3\x81"), &i), 0xFFFD);
    assert_int_equal(i, 1);
}

static void test_error(void **state)
{
    (void)state;
    struct error e;
    assert_int_equal(error_set(&e, ERR_NOT_FOUND, "no %s", "entity"), ERR_NOT_FOUND);
    assert_string_equal(e.text, "no entity");
    assert_int_equal(error_set(NULL, ERR_IO, "x"), ERR_IO);
    error_set(&e, ERR_INVALID, "again: %s", e.text); /* quoting itself */
    assert_string_equal(e.text, "again: no entity");
    char wide[1000] = "";
    for (size_t shift = 0; shift < 4; shift++) { /* cut between characters */
        memset(wide, 'a', shift);
        for (size_t i = shift; i + 3 < sizeof(wide); i += 3)
            memcpy(wide + i, "\xE3\x81\x82", 4);
        error_set(&e, ERR_INVALID, "%s", wide);
        assert_true(strlen(e.text) > sizeof(e.text) - 5);
        assert_true(str_is_utf8(str_c(e.text)));
    }
    error_set(&e, ERR_INVALID, "\xFF%.*s.", 2, "\xE3\x81\x82");
    assert_string_equal(e.text, "???.");
    memset(wide, 'a', 999);
    error_set(&e, ERR_INVALID, "%s", wide);
    assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
    for (int code = OK; code <= ERR_INTERNAL; code++)
        assert_string_not_equal(err_name((enum err)code), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equality), cmocka_unit_test(test_order),
        cmocka_unit_test(test_search),   cmocka_unit_test(test_parts),
        cmocka_unit_test(test_split),    cmocka_unit_test(test_integers),
        cmocka_unit_test(test_doubles),  cmocka_unit_test(test_double_of_many_digits),
        cmocka_unit_test(test_making),   cmocka_unit_test(test_hash),
        cmocka_unit_test(test_utf8),     cmocka_unit_test(test_utf8_round_trip),
        cmocka_unit_test(test_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
