/* Whose queries go to the pool, and for how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/clock.h"
#include "long_queries.h"

enum { MS = 1000 };

static void a_long_query_sends_the_next_ones_away_for_a_while(void **state)
{
    struct long_queries *q = long_queries_new(20);
    (void)state;
    long_queries_ran(q, 1, 0, 20 * MS - 1); /* not long */
    assert_false(long_queries_expected(q, 1, 20 * MS));
    long_queries_ran(q, 1, 1000 * MS, 1030 * MS);
    assert_true(long_queries_expected(q, 1, 1030 * MS));
    assert_false(long_queries_expected(q, 2, 1030 * MS)); /* others are where they were */
    assert_true(long_queries_expected(q, 1, 1330 * MS - 1));
    assert_false(long_queries_expected(q, 1, 1330 * MS));
    long_queries_ran(q, 1, 1000 * MS, 5000 * MS); /* ten seconds at most */
    long_queries_ran(q, 1, 5000 * MS, 5020 * MS); /* a shorter one takes nothing back */
    assert_true(long_queries_expected(q, 1, 15000 * MS - 1));
    assert_false(long_queries_expected(q, 1, 15000 * MS));
    long_queries_free(q);
}

static void none_is_long_without_a_limit(void **state)
{
    struct long_queries *q = long_queries_new(0);
    (void)state;
    long_queries_ran(q, 1, 0, 60 * SECOND_US);
    assert_false(long_queries_expected(q, 1, 60 * SECOND_US));
    assert_false(long_queries_expected(NULL, 1, 0));
    long_queries_ran(NULL, 1, 0, 60 * SECOND_US);
    long_queries_free(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_query_sends_the_next_ones_away_for_a_while),
        cmocka_unit_test(none_is_long_without_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
