#include "ratelimit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/clock.h"
#include <stdio.h>

static struct client_key key(const char *address)
{
    struct client_key k = {{0}};
    if (!client_key_parse(str_c(address), &k))
        fail_msg("%s", address);
    return k;
}

static void test_keys(void **state)
{
    struct client_key k;
    (void)state;
    assert_memory_equal(key("1.2.3.4").b, key("::ffff:1.2.3.4").b, 16);
    assert_memory_not_equal(key("1.2.3.4").b, key("1.2.3.5").b, 16);
    assert_memory_equal(key("2001:db8::1").b, key("2001:db8::ffff:2").b, 16); /* one /64 */
    assert_memory_not_equal(key("2001:db8:0:1::1").b, key("2001:db8::1").b, 16);
    assert_false(client_key_parse(S("1.2.3"), &k));
    assert_false(client_key_parse(S(""), &k));
    assert_false(client_key_parse(S("a.very.long.name.that.is.no.address.at.all.example.org"), &k));
}

static void test_bucket(void **state)
{
    (void)state;
    struct ratelimit *r = ratelimit_new(100, 10, 5, 0);
    struct client_key a = key("1.1.1.1"), b = key("2.2.2.2");
    int64_t now = 1000 * SECOND_US;
    for (int i = 0; i < 5; i++)
        assert_int_equal(ratelimit_take(r, &a, now), 0);
    assert_int_equal(ratelimit_take(r, &a, now), 1);
    assert_int_equal(ratelimit_take(r, &b, now), 0); /* others are not touched */
    assert_int_equal(ratelimit_take(r, &a, now + SECOND_US / 20), 1);
    assert_int_equal(ratelimit_take(r, &a, now + SECOND_US / 10), 0);
    assert_int_equal(ratelimit_take(r, &a, now + SECOND_US / 10), 1);
    now += INT64_C(4000000000) * SECOND_US; /* a very long pause fills the bucket, no more */
    for (int i = 0; i < 5; i++)
        assert_int_equal(ratelimit_take(r, &a, now), 0);
    assert_int_equal(ratelimit_take(r, &a, now), 1);
    ratelimit_free(r);
}

static void test_no_limit(void **state)
{
    (void)state;
    struct ratelimit *r = ratelimit_new(16, 0, 1, 0);
    struct client_key a = key("1.1.1.1");
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(ratelimit_take(r, &a, i), 0);
        assert_true(ratelimit_may_connect(r, &a));
        ratelimit_connected(r, &a);
    }
    ratelimit_free(r);
}

static void test_connections(void **state)
{
    (void)state;
    struct ratelimit *r = ratelimit_new(16, 1, 1, 2);
    struct client_key a = key("1.1.1.1");
    assert_true(ratelimit_may_connect(r, &a));
    ratelimit_connected(r, &a);
    ratelimit_connected(r, &a);
    assert_false(ratelimit_may_connect(r, &a));
    ratelimit_disconnected(r, &a);
    assert_true(ratelimit_may_connect(r, &a));
    ratelimit_free(r);
}

/* A crowd of addresses pushes out the quiet ones, but never one that is connected. */
static void test_table_is_bounded(void **state)
{
    (void)state;
    struct ratelimit *r = ratelimit_new(16, 1, 1, 3);
    struct client_key loyal = key("9.9.9.9"), quiet = key("8.8.8.8");
    ratelimit_connected(r, &loyal);
    assert_int_equal(ratelimit_take(r, &loyal, 1), 0);
    assert_int_equal(ratelimit_take(r, &quiet, 1), 0);
    assert_int_equal(ratelimit_take(r, &quiet, 1), 1);
    for (int i = 0; i < 5000; i++) {
        char text[32];
        snprintf(text, sizeof(text), "10.0.%d.%d", i / 250, i % 250);
        struct client_key k = key(text);
        assert_int_equal(ratelimit_take(r, &k, 1), 0);
    }
    assert_int_equal(ratelimit_take(r, &loyal, 1), 1); /* still known */
    assert_int_equal(ratelimit_take(r, &quiet, 1), 0); /* was forgotten */
    for (int i = 0; i < 40; i++) { /* all places taken by connections: nobody is refused */
        char text[32];
        snprintf(text, sizeof(text), "11.0.0.%d", i);
        struct client_key k = key(text);
        ratelimit_connected(r, &k);
        assert_int_equal(ratelimit_take(r, &k, 1), 0);
    }
    ratelimit_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_bucket),
        cmocka_unit_test(test_no_limit),
        cmocka_unit_test(test_connections),
        cmocka_unit_test(test_table_is_bounded),
    };
    return cmocka_run_group_tests_name("ratelimit", tests, NULL, NULL);
}
