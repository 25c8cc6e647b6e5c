#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/arena.h"
#include "core/vec.h"
#include <stdlib.h>

static void test_alignment(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    for (size_t n = 0; n < 200; n++) {
        char *p = arena_alloc(&a, n);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 16, 0);
        memset(p, 0xA5, n);
    }
    arena_release(&a);
    assert_int_equal(a.total, 0);
}

static void test_allocations_do_not_overlap(void **state)
{
    (void)state;
    enum { N = 3000 };
    struct arena a = ARENA_INIT;
    unsigned char **p = calloc(N, sizeof(*p));
    size_t *n = calloc(N, sizeof(*n));
    for (size_t i = 0; i < N; i++) {
        n[i] = i % 97 == 0 ? 9000 + i : i % 61; /* some get a chunk of their own */
        p[i] = arena_alloc(&a, n[i]);
        memset(p[i], (int)(i & 0xFF), n[i]);
    }
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < n[i]; k++)
            assert_int_equal(p[i][k], i & 0xFF);
    free(p);
    free(n);
    arena_release(&a);
}

static void test_calloc_zeroes_reused_memory(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    memset(arena_alloc(&a, 500), 0xFF, 500);
    arena_reset(&a);
    int64_t *p = ARENA_ARRAY(&a, int64_t, 50);
    for (int i = 0; i < 50; i++)
        assert_int_equal(p[i], 0);
    arena_release(&a);
}

static void test_grow_in_place_and_moved(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    char *p = arena_dup(&a, "abc", 3);
    char *q = arena_grow(&a, p, 4, 1000);
    assert_ptr_equal(p, q); /* it was the last one */
    assert_string_equal(q, "abc");
    memset(q, 'x', 1000);
    arena_alloc(&a, 1);
    char *r = arena_grow(&a, q, 1000, 2000);
    assert_ptr_not_equal(q, r);
    assert_memory_equal(q, r, 1000);
    assert_ptr_equal(arena_grow(&a, r, 2000, 10), r); /* never shrinks */
    char *big = arena_grow(&a, r, 2000, 3000000);
    assert_memory_equal(q, big, 1000);
    memset(big, 'y', 3000000);
    assert_non_null(arena_grow(&a, NULL, 0, 8));
    arena_release(&a);
}

static void test_reset_keeps_a_chunk(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    arena_reset(&a); /* of an empty arena */
    char *first = arena_alloc(&a, 10);
    size_t held = a.total;
    arena_reset(&a);
    assert_int_equal(a.total, held);
    assert_ptr_equal(arena_alloc(&a, 10), first);
    for (int i = 0; i < 100; i++)
        arena_alloc(&a, 100000);
    assert_true(a.total > 100 * 100000);
    arena_reset(&a);
    assert_true(a.total <= 1100000);
    arena_release(&a);
}

static void test_reset_drops_a_huge_chunk(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    arena_alloc(&a, 50000000);
    arena_reset(&a);
    assert_int_equal(a.total, 0);
    arena_release(&a);
}

static void test_few_chunks(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    for (int i = 0; i < 100000; i++)
        arena_alloc(&a, 16);
    assert_true(a.total < 100000 * 32 * 2 + 2 * 1024 * 1024);
    arena_release(&a);
}

static void test_printf(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    assert_string_equal(arena_printf(&a, "%d-%s", 7, "x"), "7-x");
    char *wide = arena_printf(&a, "%0300d", 7); /* longer than the first try */
    assert_int_equal(strlen(wide), 300);
    assert_int_equal(wide[299], '7');
    assert_string_equal(arena_printf(&a, "%s", ""), "");
    arena_release(&a);
}

struct point {
    int x, y;
};

static void test_vec(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    VEC(struct point) v = VEC_INIT;
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(vec_push(&a, &v)->y, 0);
        v.v[i].x = i;
        if (i % 10 == 0)
            arena_alloc(&a, 5); /* so that it cannot always grow in place */
    }
    assert_int_equal(v.n, 1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(v.v[i].x, i);
    arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alignment),
        cmocka_unit_test(test_allocations_do_not_overlap),
        cmocka_unit_test(test_calloc_zeroes_reused_memory),
        cmocka_unit_test(test_grow_in_place_and_moved),
        cmocka_unit_test(test_reset_keeps_a_chunk),
        cmocka_unit_test(test_reset_drops_a_huge_chunk),
        cmocka_unit_test(test_few_chunks),
        cmocka_unit_test(test_printf),
        cmocka_unit_test(test_vec),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
