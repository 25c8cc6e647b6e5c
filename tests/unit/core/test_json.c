#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/json.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fixture {
    struct arena a;
    struct buf b;
    struct error e;
};

static int setup(void **state)
{
    *state = calloc(1, sizeof(struct fixture));
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    arena_release(&f->a);
    buf_release(&f->b);
    free(f);
    return 0;
}

static const struct json *parse(struct fixture *f, const char *text)
{
    const struct json *v = json_parse(&f->a, str_c(text), &JSON_DEFAULT, &f->e);
    if (!v)
        fail_msg("%s: %s", text, f->e.text);
    return v;
}

static void assert_written(struct fixture *f, const struct json *v, const char *text)
{
    buf_clear(&f->b);
    json_write(&f->b, v);
    assert_string_equal(f->b.p, text);
}

static void test_looking(void **state)
{
    struct fixture *f = *state;
    const struct json *v = parse(f, "{\"a\":[1,\"x\"],\"b\":true,\"\":null,\"c\":false}");
    assert_true(json_is(v, JSON_OBJECT));
    assert_int_equal(v->n, 4);
    assert_true(str_eq(json_text(json_at(json_get(v, S("a")), 1)), S("x")));
    assert_true(str_eq(json_text(json_at(json_get(v, S("a")), 0)), S("1")));
    assert_null(json_at(json_get(v, S("a")), 2));
    assert_null(json_at(v, 0));
    assert_null(json_get(v, S("d")));
    assert_null(json_get(json_get(v, S("a")), S("d")));
    assert_null(json_get(NULL, S("d")));
    assert_true(json_true(json_get(v, S("b"))));
    assert_false(json_true(json_get(v, S("c"))));
    assert_true(json_is_bool(json_get(v, S("c"))));
    assert_false(json_is_bool(json_get(v, S(""))));
    assert_false(json_is_bool(NULL));
    assert_true(json_is(json_get(v, S("")), JSON_NULL));
    assert_null(json_text(v).p);
    assert_null(json_text(NULL).p);
    assert_true(str_eq(json_key(&v->members[0]), S("a")));
}

static void test_text_points_into_the_input(void **state)
{
    struct fixture *f = *state;
    struct str text = S("[\"plain \xE3\x81\x82\",\"esc\\n\",\"\\u0041\",null,[]]");
    const struct json *v = json_parse(&f->a, text, &JSON_DEFAULT, &f->e);
    assert_ptr_equal(v->items[0].text, text.p + 2);
    assert_int_equal(v->items[0].flags, JSON_PLAIN);
    assert_int_equal(v->items[1].flags, 0);
    assert_int_equal(v->items[2].flags, JSON_PLAIN); /* needs no escape any more */
    struct json copy = json_copy(&f->a, v);
    assert_ptr_not_equal(copy.items[0].text, v->items[0].text);
    assert_true(json_equal(&copy, v, true));
}

static void test_error_positions(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text, *error;
    } cases[] = {{"[1,2", "json: byte 4: expected ',' or ']'"},
                 {"{\"a\" 1}", "json: byte 5: expected ':'"},
                 {"{\"a\":1,}", "json: byte 7: expected a key"},
                 {"[1] 2", "json: byte 4: expected the end of the text"},
                 {"  ?", "json: byte 2: expected a value"},
                 {"[\"a\x01\"]", "json: byte 3: expected no control character in a string"},
                 {"\"\\ud800\"", "json: byte 3: expected a pair of surrogates"},
                 {"{\"k\":1,\"k\":2}",
                  "json: byte 13: expected no duplicate key \"k\" in the object"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_null(json_parse(&f->a, str_c(cases[i].text), &JSON_DEFAULT, &f->e));
        assert_string_equal(f->e.text, cases[i].error);
    }
}

static const struct json *nested(struct fixture *f, size_t depth, uint32_t limit)
{
    buf_clear(&f->b);
    for (size_t i = 0; i < depth; i++)
        buf_str(&f->b, i % 2 ? S("{\"a\":") : S("["));
    buf_char(&f->b, '1');
    for (size_t i = depth; i-- > 0;)
        buf_char(&f->b, i % 2 ? '}' : ']');
    struct json_limits limits = JSON_DEFAULT;
    limits.max_depth = limit;
    return json_parse(&f->a, buf_dup(&f->b, &f->a), &limits, &f->e);
}

static void test_depth(void **state)
{
    struct fixture *f = *state;
    assert_non_null(nested(f, 64, 64));
    assert_null(nested(f, 65, 64));
    assert_int_equal(f->e.code, ERR_TOO_LARGE);
    assert_non_null(nested(f, 0, 0));
    assert_null(nested(f, 1, 0));
    const struct json *deep = nested(f, 512, UINT32_MAX);
    assert_non_null(deep);
    assert_null(nested(f, 513, UINT32_MAX));
    assert_null(nested(f, 200000, UINT32_MAX));
    struct json copy = json_copy(&f->a, deep);
    assert_true(json_equal(&copy, deep, true));
}

static void test_size(void **state)
{
    struct fixture *f = *state;
    struct json_limits limits = JSON_DEFAULT;
    limits.max_bytes = 5;
    assert_non_null(json_parse(&f->a, S("[1,2]"), &limits, &f->e));
    assert_null(json_parse(&f->a, S("[1,2 ]"), &limits, &f->e));
    assert_int_equal(f->e.code, ERR_TOO_LARGE);
}

static void test_many_values(void **state)
{
    struct fixture *f = *state;
    enum { N = 20000 }; /* the stack of values moves to the heap on the way */
    buf_char(&f->b, '[');
    for (int i = 0; i < N; i++)
        buf_printf(&f->b, "%s{\"i\":%d,\"a\":[%d]}", i ? "," : "", i, i);
    buf_char(&f->b, ']');
    struct str text = buf_dup(&f->b, &f->a);
    const struct json *v = json_parse(&f->a, text, &JSON_DEFAULT, &f->e);
    assert_non_null(v);
    assert_int_equal(v->n, N);
    for (size_t i = 0; i < N; i++) {
        int64_t x, y;
        assert_true(json_i64(json_get(json_at(v, i), S("i")), &x));
        assert_true(json_i64(json_at(json_get(json_at(v, i), S("a")), 0), &y));
        assert_true((size_t)x == i && (size_t)y == i);
    }
    assert_true(str_eq(json_to_text(&f->a, v), text));
}

/* n members, the key of the last one as given. */
static struct str object_text(struct fixture *f, size_t n, const char *last)
{
    buf_clear(&f->b);
    for (size_t i = 0; i + 1 < n; i++)
        buf_printf(&f->b, "%c\"k%zu\":%zu", i ? ',' : '{', i, i);
    buf_printf(&f->b, ",\"%s\":\"last\"}", last);
    return buf_dup(&f->b, &f->a);
}

static void test_duplicates(void **state)
{
    struct fixture *f = *state;
    struct json_limits last = JSON_DEFAULT;
    last.duplicates = JSON_DUP_LAST;
    static const size_t sizes[] = {2,  3,   16,  31,  32,  33,
                                   34, 250, 300, 500, 5000}; /* both ways of looking */
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        size_t n = sizes[i];
        assert_non_null(json_parse(&f->a, object_text(f, n, "other"), &JSON_DEFAULT, &f->e));
        struct str text = object_text(f, n, "\\u006b0"); /* k0, escaped */
        assert_null(json_parse(&f->a, text, &JSON_DEFAULT, &f->e));
        assert_int_equal(f->e.code, ERR_INVALID);
        const struct json *v = json_parse(&f->a, text, &last, &f->e);
        assert_int_equal(v->n, n - 1);
        assert_true(str_eq(json_text(json_get(v, S("k0"))), S("last")));
        assert_true(str_eq(json_key(&v->members[v->n - 1]), S("k0")));
    }
    const struct json *v = json_parse(&f->a, S("{\"a\":1,\"b\":0,\"a\":2,\"a\":3}"), &last, &f->e);
    assert_written(f, v, "{\"b\":0,\"a\":3}");
}

static void test_equality(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *x, *y;
        bool loose, exact;
    } cases[] = {{"1", "1.0", true, false},
                 {"[1,2]", "[1,2]", true, true},
                 {"[1,2]", "[2,1]", false, false},
                 {"[1]", "[1,1]", false, false},
                 {"{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}", true, true},
                 {"{\"a\":1,\"b\":2}", "{\"b\":2,\"c\":1}", false, false},
                 {"{\"a\":1}", "{\"a\":1,\"b\":1}", false, false},
                 {"{\"a\":1}", "{\"a\":10e-1}", true, false},
                 {"\"a\"", "\"\\u0061\"", true, true},
                 {"\"1\"", "1", false, false},
                 {"true", "false", false, false},
                 {"null", "null", true, true},
                 {"{}", "[]", false, false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct json *x = parse(f, cases[i].x), *y = parse(f, cases[i].y);
        assert_int_equal(json_equal(x, y, false), cases[i].loose);
        assert_int_equal(json_equal(y, x, true), cases[i].exact);
    }
    assert_true(json_equal(NULL, NULL, true));
    assert_false(json_equal(NULL, parse(f, "1"), true));
}

static void test_equality_of_large_objects(void **state)
{
    struct fixture *f = *state;
    enum { N = 1000 };
    struct json_member *m = calloc(N, sizeof(*m)), *r = calloc(N, sizeof(*r));
    for (size_t i = 0; i < N; i++)
        m[i] = json_m(str_printf(&f->a, "key %zu", i), json_v_i64(&f->a, (int64_t)i));
    for (size_t i = 0; i < N; i++)
        r[i] = m[N - 1 - i];
    struct json x = json_v_object(m, N), y = json_v_object(r, N);
    assert_true(json_equal(&x, &y, true));
    r[500].value = json_v_null();
    assert_false(json_equal(&x, &y, true));
    r[500] = json_m(S("unknown"), m[N - 1 - 500].value);
    assert_false(json_equal(&x, &y, true));
    free(m);
    free(r);
}

static void test_making(void **state)
{
    struct fixture *f = *state;
    struct json items[] = {json_v_null(),
                           json_v_bool(true),
                           json_v_bool(false),
                           json_v_str(S("q\"\n\x01\xE3\x81\x82 and more than sixteen bytes\\")),
                           json_v_number(S("1.50")),
                           json_v_array(NULL, 0),
                           json_v_object(NULL, 0)};
    struct json_member m[] = {json_m(S("k\t"), json_v_array(items, 7))};
    struct json v = json_v_object(m, 1);
    assert_written(f, &v,
                   "{\"k\\t\":[null,true,false,\"q\\\"\\n\\u0001\xE3\x81\x82 and more than sixteen "
                   "bytes\\\\\",1.50,[],{}]}");
    const struct json *back = json_parse(&f->a, buf_view(&f->b), &JSON_DEFAULT, &f->e);
    assert_true(json_equal(&v, back, true));
}

static void test_with_and_without(void **state)
{
    struct fixture *f = *state;
    const struct json *v = parse(f, "{\"a\":1,\"b\":2,\"c\":3}");
    struct json x = json_with(&f->a, v, S("b"), json_v_null());
    assert_written(f, &x, "{\"a\":1,\"b\":null,\"c\":3}");
    x = json_with(&f->a, v, S("d"), json_v_bool(true));
    assert_written(f, &x, "{\"a\":1,\"b\":2,\"c\":3,\"d\":true}");
    x = json_without(&f->a, v, S("a"));
    assert_written(f, &x, "{\"b\":2,\"c\":3}");
    x = json_without(&f->a, v, S("zz"));
    assert_written(f, &x, "{\"a\":1,\"b\":2,\"c\":3}");
    x = json_with(&f->a, NULL, S("a"), json_v_null());
    assert_written(f, &x, "{\"a\":null}");
    assert_written(f, v, "{\"a\":1,\"b\":2,\"c\":3}"); /* never edited */
}

static void test_writer(void **state)
{
    struct fixture *f = *state;
    struct json_writer w = json_writer(&f->b);
    json_w_object(&w);
    json_w_kstr(&w, S("s"), S("x\"y"));
    json_w_ki64(&w, S("i"), -5);
    json_w_kbool(&w, S("t"), true);
    json_w_key(&w, S("a"));
    json_w_array(&w);
    json_w_null(&w);
    json_w_double(&w, 0.5);
    json_w_number(&w, S("1.0"));
    json_w_bool(&w, false);
    json_w_object(&w);
    json_w_end(&w);
    json_w_value(&w, parse(f, "[1, 2]"));
    json_w_array(&w);
    json_w_end(&w);
    json_w_str(&w, S(""));
    json_w_end(&w);
    json_w_key(&w, S("z"));
    json_w_i64(&w, 1);
    json_w_end(&w);
    json_w_end(&w); /* one too many does nothing */
    assert_string_equal(f->b.p,
                        "{\"s\":\"x\\\"y\",\"i\":-5,\"t\":true,\"a\":[null,0.5,1.0,false,{},"
                        "[1,2],[],\"\"],\"z\":1}");
}

static void test_writer_too_deep(void **state)
{
    struct fixture *f = *state;
    struct json_writer w = json_writer(&f->b);
    for (int i = 0; i < 64; i++)
        json_w_array(&w);
    assert_false(f->b.over);
    for (int i = 0; i < 100; i++)
        json_w_array(&w);
    assert_true(f->b.over);
    for (int i = 0; i < 164; i++)
        json_w_end(&w);
    assert_int_equal(w.depth, 0);
}

static void test_write_limit(void **state)
{
    struct fixture *f = *state;
    const struct json *v = parse(f, "[\"0123456789\",{\"a\":[1,2,3]},null]");
    size_t n = json_to_text(&f->a, v).n;
    f->b.limit = n + 3;
    BUF_LIT(&f->b, "abc");
    json_write(&f->b, v); /* fits exactly */
    assert_false(f->b.over);
    assert_int_equal(f->b.n, n + 3);
    buf_clear(&f->b);
    BUF_LIT(&f->b, "abcd");
    json_write(&f->b, v);
    assert_true(f->b.over);
    assert_string_equal(f->b.p, "abcd");
}

/* A text a thousand times the limit must not fill memory before it is dropped. */
static void test_write_limit_saves_memory(void **state)
{
    struct fixture *f = *state;
    enum { N = 100000 };
    struct json *items = calloc(N, sizeof(*items));
    for (size_t i = 0; i < N; i++)
        items[i] = json_v_str(S("0123456789"));
    struct json v = json_v_array(items, N);
    f->b.limit = 1000;
    json_write(&f->b, &v);
    assert_true(f->b.over);
    assert_int_equal(f->b.n, 0);
    assert_true(f->b.cap < 10000);
    free(items);
}

static void test_escapes_at_every_offset(void **state)
{
    struct fixture *f = *state;
    static const char special[] = "\"\\\n\x01/\x7F";
    for (size_t n = 0; n < 40; n++) {
        for (size_t at = 0; at <= n; at++) {
            for (size_t k = 0; k < sizeof(special); k++) { /* the NUL too */
                char text[41];
                memset(text, 'x', sizeof(text));
                text[at] = special[k];
                struct str s = str_n(text, n + 1);
                buf_clear(&f->b);
                json_write_str(&f->b, s);
                const struct json *v = json_parse(&f->a, buf_view(&f->b), &JSON_DEFAULT, &f->e);
                assert_non_null(v);
                assert_true(str_eq(json_text(v), s));
                buf_release(&f->b); /* so that growth is met too */
            }
        }
        arena_reset(&f->a);
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_looking),
        T(test_text_points_into_the_input),
        T(test_error_positions),
        T(test_depth),
        T(test_size),
        T(test_many_values),
        T(test_duplicates),
        T(test_equality),
        T(test_equality_of_large_objects),
        T(test_making),
        T(test_with_and_without),
        T(test_writer),
        T(test_writer_too_deep),
        T(test_write_limit),
        T(test_write_limit_saves_memory),
        T(test_escapes_at_every_offset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
