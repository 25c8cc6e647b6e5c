#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/arena.h"
#include "core/clock.h"
#include "core/json.h"
#include "core/log.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

static int pipe_fd[2];

static int redirect(void **state)
{
    (void)state;
    if (pipe2(pipe_fd, O_NONBLOCK) != 0)
        return -1;
    log_set_fd(pipe_fd[1]);
    log_set_level(LOG_INFO);
    return 0;
}

static int restore(void **state)
{
    (void)state;
    log_set_fd(2);
    close(pipe_fd[0]);
    close(pipe_fd[1]);
    return 0;
}

/* The one line in the pipe as JSON; NULL when there is none. */
static const struct json *logged(struct arena *a)
{
    char text[65536];
    ssize_t n = read(pipe_fd[0], text, sizeof(text));
    if (n <= 0)
        return NULL;
    assert_int_equal(text[n - 1], '\n');
    assert_null(memchr(text, '\n', (size_t)n - 1));
    const struct json *v = json_parse(a, str_dup(a, str_n(text, (size_t)n)), &JSON_DEFAULT, NULL);
    assert_non_null(v);
    return v;
}

static void test_fields(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    log_event(LOG_WARN, "store.slow", LOG_I("ms", 900), LOG_S("engine", S("sq\"li\nte")),
              LOG_D("load", 0.5), LOG_Z("none", NULL), LOG_D("bad", NAN));
    const struct json *v = logged(&a);
    assert_true(str_eq(json_text(json_get(v, S("level"))), S("warn")));
    assert_true(str_eq(json_text(json_get(v, S("event"))), S("store.slow")));
    assert_true(str_eq(json_text(json_get(v, S("ms"))), S("900")));
    assert_true(str_eq(json_text(json_get(v, S("engine"))), S("sq\"li\nte")));
    assert_true(str_eq(json_text(json_get(v, S("load"))), S("0.5")));
    assert_true(json_is(json_get(v, S("bad")), JSON_NULL));
    struct str time = json_text(json_get(v, S("time")));
    assert_int_equal(time.n, 27);
    assert_int_equal(time.p[26], 'Z');
    arena_release(&a);
}

static void test_levels(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    log_event(LOG_DEBUG, "x", LOG_I("n", 1));
    assert_null(logged(&a));
    log_set_level(LOG_DEBUG);
    log_event(LOG_DEBUG, "x", LOG_I("n", 1));
    assert_non_null(logged(&a));
    log_set_level(LOG_OFF);
    log_event(LOG_ERROR, "x", LOG_I("n", 1));
    assert_null(logged(&a));
    assert_false(log_enabled(LOG_OFF));
    arena_release(&a);
}

static void test_hostile_text(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    log_event(LOG_INFO, "x", LOG_S("bytes", str_n("a\xFF\0\x80z", 5)));
    struct str text = json_text(json_get(logged(&a), S("bytes")));
    assert_true(str_eq(text, str_n("a\xEF\xBF\xBD\0\xEF\xBF\xBDz", 9)));
    arena_release(&a);
}

static void test_too_long(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct str huge = str_n(arena_calloc(&a, 1, 100000), 100000);
    errno = ENOSPC;
    log_event(LOG_INFO, "x", LOG_S("huge", huge), LOG_I("after", 1));
    assert_int_equal(errno, ENOSPC);
    const struct json *v = logged(&a);
    assert_null(json_get(v, S("huge")));
    assert_true(str_eq(json_text(json_get(v, S("after"))), S("1")));
    arena_release(&a);
}

static void test_clock(void **state)
{
    (void)state;
    struct clock_fake c = clock_fake_at(5 * SECOND_US);
    assert_int_equal(clock_now(&c.base), 5000000);
    clock_fake_move(&c, MINUTE_US);
    assert_int_equal(clock_now(&c.base), 65000000);
    assert_int_equal(clock_steady(&c.base), 65000000);
    struct clock_fake copy = c; /* a copy runs on its own */
    clock_fake_move(&copy, 1);
    assert_int_equal(clock_now(&copy.base), 65000001);
    assert_int_equal(clock_now(&c.base), 65000000);
    assert_true(clock_now(&clock_system) > 1600000000 * SECOND_US);
    int64_t t = clock_steady(&clock_system);
    assert_true(clock_steady(&clock_system) >= t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_fields, redirect, restore),
        cmocka_unit_test_setup_teardown(test_levels, redirect, restore),
        cmocka_unit_test_setup_teardown(test_hostile_text, redirect, restore),
        cmocka_unit_test_setup_teardown(test_too_long, redirect, restore),
        cmocka_unit_test(test_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
