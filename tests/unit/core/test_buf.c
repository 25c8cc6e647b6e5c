#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/arena.h"
#include "core/buf.h"
#include <stdlib.h>
#include <string.h>

#define assert_buf(b, z) assert_true(str_eq(buf_view(b), str_c(z)) && (b)->p[(b)->n] == '\0')

static void test_adding(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    assert_int_equal(buf_view(&b).n, 0);
    buf_add(&b, "ab", 2);
    buf_str(&b, STR_NONE);
    buf_str(&b, S("cd"));
    buf_char(&b, 'e');
    BUF_LIT(&b, "f");
    buf_printf(&b, "-%03d", 7);
    assert_buf(&b, "abcdef-007");
    buf_clear(&b);
    assert_buf(&b, "");
    buf_release(&b);
    assert_null(b.p);
    buf_add(&b, "x", 1);
    assert_buf(&b, "x");
    buf_release(&b);
}

static void test_integers(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    static const int64_t values[] = {0, -1, 10, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        int64_t back;
        buf_clear(&b);
        buf_i64(&b, values[i]);
        assert_true(str_to_i64(buf_view(&b), &back));
        assert_true(back == values[i]);
    }
    buf_release(&b);
}

static void test_growing(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    for (int i = 0; i < 10000; i++)
        buf_printf(&b, "%04d", i);
    assert_int_equal(b.n, 40000);
    assert_memory_equal(b.p + 4 * 1234, "1234", 4);
    buf_release(&b);
}

static void test_limit(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    b.limit = 5;
    buf_add(&b, "abcde", 5); /* exactly full */
    assert_false(b.over);
    buf_char(&b, 'f');
    assert_true(b.over);
    assert_buf(&b, "abcde");
    buf_clear(&b);
    assert_false(b.over);
    buf_add(&b, "abc", 3);
    buf_printf(&b, "%s", "too long"); /* dropped whole */
    assert_true(b.over);
    buf_char(&b, 'x'); /* would fit, but the text has a hole already */
    assert_buf(&b, "abc");
    buf_release(&b);
    assert_int_equal(b.limit, 5);
}

static void test_copies(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct buf b = BUF_INIT;
    buf_add(&b, "a\0b", 3);
    struct str copy = buf_dup(&b, &a);
    size_t n = 0;
    char *p = buf_detach(&b, &n);
    assert_int_equal(n, 3);
    assert_memory_equal(p, "a\0b", 4);
    assert_null(b.p);
    free(p);
    assert_true(str_eq(copy, str_n("a\0b", 3)));
    p = buf_detach(&b, NULL);
    assert_string_equal(p, "");
    free(p);
    arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adding),  cmocka_unit_test(test_integers),
        cmocka_unit_test(test_growing), cmocka_unit_test(test_limit),
        cmocka_unit_test(test_copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
