#include "core/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

static _Atomic int runs;

static void count(void *ctx)
{
    (void)ctx;
    atomic_fetch_add(&runs, 1);
}

/* A task that holds its thread until the gate is opened. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int arrived;
    bool open;
};

static void wait_at_gate(void *ctx)
{
    struct gate *g = ctx;
    pthread_mutex_lock(&g->lock);
    g->arrived++;
    pthread_cond_broadcast(&g->changed);
    while (!g->open)
        pthread_cond_wait(&g->changed, &g->lock);
    pthread_mutex_unlock(&g->lock);
}

static void gate_wait_for(struct gate *g, int arrived)
{
    pthread_mutex_lock(&g->lock);
    while (g->arrived < arrived)
        pthread_cond_wait(&g->changed, &g->lock);
    pthread_mutex_unlock(&g->lock);
}

static void gate_open(struct gate *g)
{
    pthread_mutex_lock(&g->lock);
    g->open = true;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

static void test_all_tasks_run(void **state)
{
    (void)state;
    struct pool *p = pool_new(3, 1000);
    atomic_store(&runs, 0);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(pool_submit(p, count, NULL), OK);
    pool_free(p); /* what is queued is finished first */
    assert_int_equal(atomic_load(&runs), 1000);
}

static void test_full_queue_refuses(void **state)
{
    (void)state;
    struct gate g = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct pool *p = pool_new(1, 3);
    atomic_store(&runs, 0);
    assert_int_equal(pool_submit(p, wait_at_gate, &g), OK);
    gate_wait_for(&g, 1);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pool_submit(p, count, NULL), OK);
    assert_int_equal(pool_submit(p, count, NULL), ERR_UNAVAILABLE);
    gate_open(&g);
    pool_free(p);
    assert_int_equal(atomic_load(&runs), 3);
}

/* A task that notes its lane. One thread runs them, so that the list needs no lock. */
struct noted {
    char lane, *order;
};

static void note(void *ctx)
{
    const struct noted *n = ctx;
    n->order[strlen(n->order)] = n->lane;
}

static void test_lanes_take_turns(void **state)
{
    (void)state;
    struct gate g = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    char order[16] = "";
    struct noted noisy = {'n', order}, quiet = {'q', order};
    struct pool *p = pool_new(1, 6);
    assert_int_equal(pool_submit(p, wait_at_gate, &g), OK);
    gate_wait_for(&g, 1);
    for (int i = 0; i < 6; i++)
        assert_int_equal(pool_submit_in(p, 'n', note, &noisy), OK);
    assert_int_equal(pool_submit_in(p, 'n', note, &noisy), ERR_UNAVAILABLE);
    for (int i = 0; i < 2; i++) /* the queue is full, their share is not */
        assert_int_equal(pool_submit_in(p, 'q', note, &quiet), OK);
    gate_open(&g);
    pool_free(p);
    assert_true(!strcmp(order, "nqnqnnnn") || !strcmp(order, "qnqnnnnn"));
}

static void test_equal_shares_end(void **state)
{
    (void)state;
    struct gate g = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct pool *p = pool_new(1, 4);
    atomic_store(&runs, 0);
    assert_int_equal(pool_submit(p, wait_at_gate, &g), OK);
    gate_wait_for(&g, 1);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pool_submit_in(p, 1, count, NULL), OK);
    for (int i = 0; i < 2; i++) /* half of four for each of two */
        assert_int_equal(pool_submit_in(p, 2, count, NULL), OK);
    assert_int_equal(pool_submit_in(p, 2, count, NULL), ERR_UNAVAILABLE);
    gate_open(&g);
    pool_free(p);
    assert_int_equal(atomic_load(&runs), 6);
}

static void test_threads_work_side_by_side(void **state)
{
    (void)state;
    struct gate g = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct pool *p = pool_new(2, 4);
    assert_int_equal(pool_submit_in(p, 1, wait_at_gate, &g), OK);
    assert_int_equal(pool_submit_in(p, 2, wait_at_gate, &g), OK);
    gate_wait_for(&g, 2); /* would hang with one thread */
    gate_open(&g);
    pool_free(p);
}

static void test_one_lane_leaves_a_thread_for_others(void **state)
{
    (void)state;
    struct gate g = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct gate other = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct pool *p = pool_new(3, 10);
    for (int i = 0; i < 5; i++)
        assert_int_equal(pool_submit_in(p, 1, wait_at_gate, &g), OK);
    gate_wait_for(&g, 2);
    assert_int_equal(pool_submit_in(p, 2, wait_at_gate, &other), OK);
    gate_wait_for(&other, 1); /* would hang if lane 1 had all three */
    assert_int_equal(g.arrived, 2);
    gate_open(&other);
    gate_open(&g);
    pool_free(p); /* the other three are not forgotten */
    assert_int_equal(g.arrived, 5);
}

/* Notes how many runs of a timer overlap, which must never be. */
static _Atomic int inside, overlaps;

static void slow_tick(void *ctx)
{
    struct gate *g = ctx;
    if (atomic_fetch_add(&inside, 1) > 0)
        atomic_fetch_add(&overlaps, 1);
    struct timespec t = {0, 5 * 1000 * 1000};
    nanosleep(&t, NULL);
    atomic_fetch_sub(&inside, 1);
    pthread_mutex_lock(&g->lock);
    g->arrived++;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

static void test_periodic_work(void **state)
{
    (void)state;
    struct gate slow = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct pool *p = pool_new(3, 4);
    atomic_store(&runs, 0);
    pool_every(p, 1, slow_tick, &slow);
    pool_every(p, 1, count, NULL);
    gate_wait_for(&slow, 5);
    assert_int_equal(pool_submit(p, count, NULL), OK); /* timers do not starve tasks */
    pool_free(p);
    assert_int_equal(atomic_load(&overlaps), 0);
    assert_true(atomic_load(&runs) >= 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_tasks_run),
        cmocka_unit_test(test_full_queue_refuses),
        cmocka_unit_test(test_lanes_take_turns),
        cmocka_unit_test(test_equal_shares_end),
        cmocka_unit_test(test_threads_work_side_by_side),
        cmocka_unit_test(test_one_lane_leaves_a_thread_for_others),
        cmocka_unit_test(test_periodic_work),
    };
    return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
