/* CBOR: what is read, and what is refused although RFC 8949 would let it pass. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "core/cbor.h"

static struct arena arena = ARENA_INIT;

static int release(void **state)
{
    (void)state;
    arena_release(&arena);
    return 0;
}

/* Bytes of a literal in hex. */
static struct str hex(const char *z)
{
    size_t n = strlen(z) / 2;
    char *out = arena_alloc(&arena, n);
    for (size_t i = 0; i < n; i++) {
        char digits[] = {z[2 * i], z[2 * i + 1], 0};
        out[i] = (char)strtol(digits, NULL, 16);
    }
    return str_n(out, n);
}

static const struct cbor *read_all(const char *z)
{
    struct str rest = hex(z);
    struct error e = {0};
    const struct cbor *v = cbor_read(&arena, &rest, &CBOR_CTAP2, &e);
    if (!v)
        fail_msg("%s: %s", z, e.text);
    assert_int_equal(rest.n, 0);
    return v;
}

static void refused(const char *z, enum err code, const char *why)
{
    struct str rest = hex(z), before = rest;
    struct error e = {0};
    if (cbor_read(&arena, &rest, &CBOR_CTAP2, &e))
        fail_msg("%s was read", z);
    assert_int_equal(e.code, code);
    if (!strstr(e.text, why))
        fail_msg("%s: %s", z, e.text);
    assert_ptr_equal(rest.p, before.p);
}

static void numbers_are_read_in_their_shortest_form(void **state)
{
    static const struct {
        const char *z;
        int64_t v;
    } cases[] = {
        {"00", 0},
        {"17", 23},
        {"1818", 24},
        {"18ff", 255},
        {"190100", 256},
        {"19ffff", 65535},
        {"1a00010000", 65536},
        {"1affffffff", 4294967295},
        {"1b0000000100000000", 4294967296},
        {"1b7fffffffffffffff", INT64_MAX},
        {"20", -1},
        {"37", -24},
        {"390100", -257},
        {"3b7fffffffffffffff", INT64_MIN},
    };
    int64_t v;
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_true(cbor_i64(read_all(cases[i].z), &v));
        assert_int_equal(v, cases[i].v);
    }
    assert_false(cbor_i64(read_all("1b8000000000000000"), &v)); /* there, but out of range */
    assert_false(cbor_i64(read_all("3b8000000000000000"), &v));
    static const char *const longer[] = {"1817",   "1900ff",  "1a0000ffff", "1b00000000ffffffff",
                                         "3800",   "5801aa",  "590001aa",   "780161",
                                         "980100", "b8010000"};
    for (size_t i = 0; i < sizeof(longer) / sizeof(longer[0]); i++)
        refused(longer[i], ERR_INVALID, "shortest");
}

static void trees_are_looked_at_by_key(void **state)
{
    (void)state;
    /* {1: h'0102', -1: [true, false, null], "a": "ü", "bb": {}} */
    const struct cbor *v = read_all("a4014201022083f5f4f6616162c3bc626262a0");
    assert_int_equal(v->number, 4);
    assert_int_equal(cbor_bytes(cbor_get_i64(v, 1)).n, 2);
    assert_true(cbor_is(cbor_at(cbor_get_i64(v, -1), 0), CBOR_TRUE));
    assert_true(cbor_is(cbor_at(cbor_get_i64(v, -1), 1), CBOR_FALSE));
    assert_true(cbor_is(cbor_at(cbor_get_i64(v, -1), 2), CBOR_NULL));
    assert_null(cbor_at(cbor_get_i64(v, -1), 3));
    assert_true(str_eq(cbor_text(cbor_get(v, S("a"))), S("ü")));
    assert_true(cbor_is(cbor_get(v, S("bb")), CBOR_MAP));
    assert_null(cbor_get(v, S("c")));
    assert_null(cbor_get_i64(v, 2));
    /* of nothing, or of another type, nothing */
    assert_null(cbor_get(NULL, S("a")));
    assert_null(cbor_get_i64(cbor_get(v, S("a")), 1));
    assert_null(cbor_at(v, 0));
    assert_null(cbor_text(cbor_get_i64(v, 1)).p);
    assert_null(cbor_bytes(cbor_get(v, S("a"))).p);
}

static void an_item_is_told_from_what_is_behind_it(void **state)
{
    struct str rest = hex("a10102f5ff");
    struct error e = {0};
    (void)state;
    assert_non_null(cbor_read(&arena, &rest, &CBOR_CTAP2, &e));
    assert_int_equal(rest.n, 2);
    assert_non_null(cbor_read(&arena, &rest, &CBOR_CTAP2, &e));
    assert_int_equal(rest.n, 1);
    assert_null(cbor_read(&arena, &rest, &CBOR_CTAP2, &e));
}

static void keys_are_in_order_and_none_twice(void **state)
{
    (void)state;
    read_all("a50100181800200061610062626200");
    refused("a201000100", ERR_INVALID, "twice");
    refused("a202000100", ERR_INVALID, "order");
    refused("a220000100", ERR_INVALID, "order");       /* -1 before 1 */
    refused("a26161000100", ERR_INVALID, "order");     /* text before number */
    refused("a262616100616200", ERR_INVALID, "order"); /* the longer one first */
    refused("a2616200616100", ERR_INVALID, "order");
    refused("a1f500", ERR_INVALID, "key");
    refused("a18000", ERR_INVALID, "key");
    refused("a1a000", ERR_INVALID, "key");
}

static void what_nobody_sends_is_refused(void **state)
{
    (void)state;
    refused("", ERR_INVALID, "ends");
    refused("f7", ERR_INVALID, "simple");
    refused("f90000", ERR_INVALID, "simple");
    refused("fb0000000000000000", ERR_INVALID, "simple");
    refused("f0", ERR_INVALID, "simple");
    refused("c000", ERR_INVALID, "tag");
    refused("5f42010243030405ff", ERR_INVALID, "indefinite");
    refused("9fff", ERR_INVALID, "indefinite");
    refused("bfff", ERR_INVALID, "indefinite");
    refused("ff", ERR_INVALID, "simple");
    refused("1c", ERR_INVALID, "reserved");
    refused("61ff", ERR_INVALID, "UTF-8");
    refused("63eda080", ERR_INVALID, "UTF-8"); /* half of a pair */
}

static void lengths_that_the_input_does_not_have(void **state)
{
    (void)state;
    refused("18", ERR_INVALID, "ends");
    refused("1900", ERR_INVALID, "ends");
    refused("4201", ERR_INVALID, "longer");
    refused("5bffffffffffffffff", ERR_INVALID, "longer");
    refused("7b7fffffffffffffff61", ERR_INVALID, "longer");
    refused("8201", ERR_INVALID, "more elements");
    refused("828101", ERR_INVALID, "ends");
    refused("9bffffffffffffffff", ERR_INVALID, "more elements");
    refused("bb7fffffffffffffff", ERR_INVALID, "more elements");
    refused("a101", ERR_INVALID, "more elements");
    refused("9a0000ffff00", ERR_INVALID, "shortest");
    assert_true(arena.total < (size_t)1 << 20);
}

static void nesting_and_size_are_bounded(void **state)
{
    struct cbor_limits deep = {CBOR_DEPTH_MAX + 5, 1000}, small = {4, 3};
    struct error e = {0};
    char nested[200];
    (void)state;
    read_all("8181818100");
    refused("818181818100", ERR_TOO_LARGE, "deep");
    refused("a101a101a101a101a10101", ERR_TOO_LARGE, "deep");
    memset(nested, 0x81, sizeof(nested));
    struct str rest = str_n(nested, sizeof(nested));
    assert_null(cbor_read(&arena, &rest, &deep, &e));
    assert_int_equal(e.code, ERR_TOO_LARGE);
    rest = hex("83010203");
    assert_null(cbor_read(&arena, &rest, &small, &e));
    assert_int_equal(e.code, ERR_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(numbers_are_read_in_their_shortest_form, release),
        cmocka_unit_test_teardown(trees_are_looked_at_by_key, release),
        cmocka_unit_test_teardown(an_item_is_told_from_what_is_behind_it, release),
        cmocka_unit_test_teardown(keys_are_in_order_and_none_twice, release),
        cmocka_unit_test_teardown(what_nobody_sends_is_refused, release),
        cmocka_unit_test_teardown(lengths_that_the_input_does_not_have, release),
        cmocka_unit_test_teardown(nesting_and_size_are_bounded, release),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
