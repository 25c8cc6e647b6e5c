#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/arena.h"
#include "core/map.h"
#include <stdlib.h>
#include <string.h>

static void test_put_get_delete(void **state)
{
    (void)state;
    struct map m = MAP_INIT;
    int x, y;
    assert_null(map_get(&m, S("a")));
    assert_null(map_del(&m, S("a")));
    assert_null(map_put(&m, S("a"), &x));
    assert_null(map_put(&m, S(""), &y));
    assert_ptr_equal(map_get(&m, S("a")), &x);
    assert_ptr_equal(map_get(&m, STR_NONE), &y);
    assert_ptr_equal(map_put(&m, S("a"), &y), &x);
    assert_int_equal(m.n, 2);
    assert_ptr_equal(map_del(&m, S("a")), &y);
    assert_null(map_get(&m, S("a")));
    assert_null(map_del(&m, S("a")));
    assert_int_equal(m.n, 1);
    map_release(&m);
    assert_null(map_get(&m, S("")));
}

static void test_replaced_key_is_the_new_one(void **state)
{
    (void)state;
    struct map m = MAP_INIT;
    char *old = strdup("key");
    int x;
    map_put(&m, str_c(old), &x);
    map_put(&m, S("key"), &x);
    free(old); /* the entry must not point to it any more */
    assert_ptr_equal(map_get(&m, S("key")), &x);
    map_release(&m);
}

/* Many keys, put and deleted at random, against a plain array of flags. */
static void test_against_model(void **state)
{
    (void)state;
    enum { KEYS = 2000, STEPS = 60000 };
    struct arena a = ARENA_INIT;
    struct map m = MAP_INIT;
    struct str keys[KEYS];
    bool present[KEYS] = {false};
    size_t count = 0;
    uint32_t seed = 12345;
    for (int i = 0; i < KEYS; i++)
        keys[i] = str_printf(&a, "urn:ngsi-ld:Thing:%d", i);
    for (int step = 0; step < STEPS; step++) {
        seed = seed * 1664525 + 1013904223;
        size_t i = (seed >> 8) % KEYS;
        void *before = present[i] ? (void *)(uintptr_t)keys[i].p : NULL;
        if (seed >> 31) {
            assert_ptr_equal(map_put(&m, keys[i], (void *)(uintptr_t)keys[i].p), before);
            count += !present[i];
            present[i] = true;
        } else {
            assert_ptr_equal(map_del(&m, keys[i]), before);
            count -= present[i];
            present[i] = false;
        }
        assert_int_equal(m.n, count);
    }
    for (int i = 0; i < KEYS; i++)
        assert_int_equal(map_get(&m, keys[i]) != NULL, present[i]);
    assert_true(m.capacity <= 8192); /* deleted slots are used again */
    struct map_iter it = {0};
    size_t seen = 0;
    while (map_next(&m, &it)) {
        assert_ptr_equal(it.value, it.key.p);
        seen++;
    }
    assert_int_equal(seen, count);
    map_release(&m);
    arena_release(&a);
}

static void test_iterate_empty(void **state)
{
    (void)state;
    struct map m = MAP_INIT;
    struct map_iter it = {0};
    assert_false(map_next(&m, &it));
    map_release(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_get_delete),
        cmocka_unit_test(test_replaced_key_is_the_new_one),
        cmocka_unit_test(test_against_model),
        cmocka_unit_test(test_iterate_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
