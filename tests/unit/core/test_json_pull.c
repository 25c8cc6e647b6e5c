#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/json.h"
#include <stdlib.h>
#include <string.h>

/* Events as letters, keys and values between them: {"a":[1,true]} is {a:[1 true ]} */
static struct str events(struct arena *a, struct buf *out, const char *text, struct error *e)
{
    struct json_pull p;
    enum json_event ev;
    static const char marks[] = "{}k[]v.!";
    buf_clear(out);
    json_pull_open(&p, a, str_c(text), &JSON_DEFAULT, e);
    do {
        ev = json_pull_next(&p);
        if (ev == JSON_EV_KEY) {
            buf_str(out, p.key);
            buf_char(out, ':');
        } else if (ev == JSON_EV_VALUE) {
            json_write(out, &p.value);
            buf_char(out, ' ');
        } else {
            buf_char(out, marks[ev]);
        }
    } while (ev != JSON_EV_END && ev != JSON_EV_FAILED);
    return buf_view(out);
}

static void test_events(void **state)
{
    (void)state;
    static const struct {
        const char *text, *events;
    } cases[] = {
        {"{\"a\":[1,true],\"b\":{}}", "{a:[1 true ]b:{}}."},
        {" [ ] ", "[]."},
        {"\"x\\u0041\"", "\"xA\" ."},
        {"[[],{},[{\"\":null}]]", "[[]{}[{:null }]]."},
        {"1.0", "1.0 ."},
        {"{\"a\":1,\"a\":2}", "{a:1 a:2 }."}, /* duplicates are not seen */
        {"{\"\\n\":-0.5e3}", "{\n:-0.5e3 }."},
    };
    struct arena a = ARENA_INIT;
    struct buf out = BUF_INIT;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error e = {OK, ""};
        events(&a, &out, cases[i].text, &e);
        assert_string_equal(out.p, cases[i].events);
        assert_int_equal(e.code, OK);
    }
    buf_release(&out);
    arena_release(&a);
}

/* What the parser refuses the reader refuses, at the same byte for the same reason. */
static void test_strict_as_the_parser(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        " ",
        "[1,]",
        "[1 2]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{1:2}",
        "[",
        "{",
        "[1",
        "{\"a\":1",
        "]",
        "}",
        "[}",
        "{]",
        "1 2",
        "[] []",
        "tru",
        "nul",
        "01",
        "1.",
        "-",
        "1e",
        "\"",
        "\"\\x\"",
        "\"\\ud800",
        "\"\x01\"",
        "\"\xff\"",
        "[\"\xc0\x80\"]",
        "{\"\xed\xa0\x80\":1}",
        "\xef\xbb\xbf[]",
        "[1]x",
        "+1",
        "'a'",
        "[,1]",
        "{,}",
        "{\"a\" 1}",
        "[1,,2]",
    };
    struct arena a = ARENA_INIT;
    struct buf out = BUF_INIT;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct error ours = {OK, ""}, theirs = {OK, ""};
        struct str seen = events(&a, &out, bad[i], &ours);
        assert_int_equal(seen.p[seen.n - 1], '!');
        assert_null(json_parse(&a, str_c(bad[i]), &JSON_DEFAULT, &theirs));
        assert_int_equal(ours.code, theirs.code);
        assert_string_equal(ours.text, theirs.text);
    }
    buf_release(&out);
    arena_release(&a);
}

static void test_limits(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct buf out = BUF_INIT;
    struct error e = {OK, ""};
    char deep[131] = "";
    memset(deep, '[', 65);
    memset(deep + 65, ']', 65);
    events(&a, &out, deep, &e);
    assert_int_equal(e.code, ERR_TOO_LARGE);
    deep[129] = '\0';
    events(&a, &out, deep + 1, &(struct error){OK, ""});
    assert_int_equal(out.p[out.n - 1], '.'); /* 64 levels are allowed */

    struct json_limits small = JSON_DEFAULT;
    struct json_pull p;
    small.max_bytes = 4;
    json_pull_open(&p, &a, S("[1,2]"), &small, &e);
    assert_int_equal(json_pull_next(&p), JSON_EV_FAILED);
    assert_int_equal(json_pull_next(&p), JSON_EV_FAILED);
    assert_int_equal(e.code, ERR_TOO_LARGE);
    buf_release(&out);
    arena_release(&a);
}

static void test_trees_and_skipping(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct error e = {OK, ""}, why = {OK, ""};
    struct json_pull p;
    struct str text = S("{\"skip\":{\"x\":[1,[2]]},\"list\":[{\"n\":1},{\"n\":2,\"n\":3},7,[]],"
                        "\"end\":true}");
    json_pull_open(&p, &a, text, &JSON_DEFAULT, &e);
    assert_int_equal(json_pull_next(&p), JSON_EV_OBJECT);
    assert_null(json_pull_tree(&(struct json_pull){.began = SIZE_MAX}, &a, &why));
    assert_int_equal(json_pull_next(&p), JSON_EV_KEY);
    assert_null(json_pull_tree(&p, &a, &why)); /* its value has not begun */
    assert_int_equal(json_pull_next(&p), JSON_EV_OBJECT);
    assert_true(json_pull_skip(&p));
    assert_int_equal(json_pull_next(&p), JSON_EV_KEY);
    assert_true(str_eq(p.key, S("list")));
    assert_int_equal(json_pull_next(&p), JSON_EV_ARRAY);

    assert_int_equal(json_pull_next(&p), JSON_EV_OBJECT);
    const struct json *v = json_pull_tree(&p, &a, &why);
    assert_true(json_is(v, JSON_OBJECT));
    assert_true(str_eq(json_text(json_get(v, S("n"))), S("1")));
    assert_int_equal(p.depth, 2);

    /* a duplicate key is refused in a tree, and reading goes on behind it */
    assert_int_equal(json_pull_next(&p), JSON_EV_OBJECT);
    why.code = OK;
    assert_null(json_pull_tree(&p, &a, &why));
    assert_int_equal(why.code, ERR_INVALID);

    assert_int_equal(json_pull_next(&p), JSON_EV_VALUE);
    v = json_pull_tree(&p, &a, &why);
    assert_true(str_eq(json_text(v), S("7")));
    assert_int_equal(json_pull_next(&p), JSON_EV_ARRAY);
    v = json_pull_tree(&p, &a, &why);
    assert_true(json_is(v, JSON_ARRAY) && v->n == 0);
    assert_int_equal(json_pull_next(&p), JSON_EV_ARRAY_END);
    assert_int_equal(json_pull_next(&p), JSON_EV_KEY);
    assert_int_equal(json_pull_next(&p), JSON_EV_VALUE);
    assert_true(json_pull_skip(&p)); /* nothing has begun */
    assert_true(json_true(&p.value));
    assert_int_equal(json_pull_next(&p), JSON_EV_OBJECT_END);
    assert_int_equal(json_pull_next(&p), JSON_EV_END);
    assert_int_equal(e.code, OK);
    arena_release(&a);
}

/* The levels around a tree count for the limit of depth. */
static void test_depth_of_trees(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct error e = {OK, ""};
    struct json_limits three = {.max_depth = 3, .max_bytes = 100};
    struct json_pull p;
    json_pull_open(&p, &a, S("[[[]],[[[]]],1]"), &three, &e);
    json_pull_next(&p);
    json_pull_next(&p);
    assert_non_null(json_pull_tree(&p, &a, &e));
    json_pull_next(&p);
    assert_null(json_pull_tree(&p, &a, &e));
    assert_int_equal(e.code, ERR_TOO_LARGE);
    assert_int_equal(json_pull_next(&p), JSON_EV_FAILED); /* the reader has the same limit */
    arena_release(&a);
}

/* 512 levels, the most that a caller may allow. */
static void test_deepest(void **state)
{
    (void)state;
    enum { N = 512 };
    struct arena a = ARENA_INIT;
    struct error e = {OK, ""};
    struct json_limits limits = {.max_depth = 100000, .max_bytes = 10000};
    struct json_pull p;
    char text[2 * N + 3];
    memset(text, '[', N + 1);
    memset(text + N + 1, ']', N + 1);
    json_pull_open(&p, &a, str_n(text + 1, 2 * N), &limits, &e);
    for (int i = 0; i < N; i++)
        assert_int_equal(json_pull_next(&p), JSON_EV_ARRAY);
    for (int i = 0; i < N; i++)
        assert_int_equal(json_pull_next(&p), JSON_EV_ARRAY_END);
    assert_int_equal(json_pull_next(&p), JSON_EV_END);
    json_pull_open(&p, &a, str_n(text, 2 * N + 2), &limits, &e);
    for (int i = 0; i < N; i++)
        assert_int_equal(json_pull_next(&p), JSON_EV_ARRAY);
    assert_int_equal(json_pull_next(&p), JSON_EV_FAILED);
    arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events),         cmocka_unit_test(test_strict_as_the_parser),
        cmocka_unit_test(test_limits),         cmocka_unit_test(test_trees_and_skipping),
        cmocka_unit_test(test_depth_of_trees), cmocka_unit_test(test_deepest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
