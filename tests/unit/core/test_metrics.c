#include "core/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>

static struct metric reads = METRIC_COUNTER("test_ops_total{kind=\"read\"}", "operations");
static struct metric writes = METRIC_COUNTER("test_ops_total{kind=\"write\"}", "operations");
static struct metric level = METRIC_GAUGE("test_level", "a level");
static struct metric plain = METRIC_HISTOGRAM("test_seconds", "durations");
static struct metric labelled = METRIC_HISTOGRAM("test_phase_seconds{phase=\"commit\"}", "phases");
static struct metric untouched = METRIC_COUNTER("test_never_total", "never used");

static struct buf out = BUF_INIT;

static void assert_line(const char *line)
{
    struct str text = str_c(line);
    for (struct str rest = buf_view(&out), field; str_split(&rest, '\n', &field);)
        if (str_eq(field, text))
            return;
    fail_msg("no line \"%s\" in:\n%" STR_F, line, STR_A(buf_view(&out)));
}

static size_t occurrences(const char *text)
{
    size_t n = 0;
    for (const char *at = out.p; (at = strstr(at, text)); at++)
        n++;
    return n;
}

static void test_text_format(void **state)
{
    (void)state;
    metric_add(&reads, 3);
    metric_set(&level, 7);
    metric_add(&level, -9);
    metric_add(&writes, 1); /* far from its sister in the list, but printed beside it */
    metric_time(&plain, 100);
    metric_time(&plain, 101);
    metric_time(&plain, 60 * 1000 * 1000);
    metric_time(&labelled, 2000);
    assert_int_equal(metric_value(&level), -2);
    assert_int_equal(metric_value(&untouched), 0);
    buf_clear(&out);
    metrics_write(&out);
    assert_line("# TYPE test_ops_total counter");
    assert_line("test_ops_total{kind=\"read\"} 3");
    assert_line("test_ops_total{kind=\"write\"} 1");
    assert_int_equal(occurrences("# TYPE test_ops_total "), 1);
    assert_line("# TYPE test_level gauge");
    assert_line("test_level -2");
    assert_line("# TYPE test_seconds histogram");
    assert_line("test_seconds_bucket{le=\"0.0001\"} 1");
    assert_line("test_seconds_bucket{le=\"0.0003\"} 2");
    assert_line("test_seconds_bucket{le=\"30\"} 2");
    assert_line("test_seconds_bucket{le=\"+Inf\"} 3");
    assert_line("test_seconds_count 3");
    assert_line("test_seconds_sum 60.000201");
    assert_line("test_phase_seconds_bucket{phase=\"commit\",le=\"0.001\"} 0");
    assert_line("test_phase_seconds_bucket{phase=\"commit\",le=\"0.003\"} 1");
    assert_line("test_phase_seconds_count{phase=\"commit\"} 1");
    assert_int_equal(occurrences("test_never_total"), 0);
    assert_line("# TYPE process_resident_memory_bytes gauge");
    assert_int_equal(occurrences("process_open_fds "), 3); /* HELP, TYPE and the value */
    buf_release(&out);
}

static struct metric shared = METRIC_COUNTER("test_shared_total", "from many threads");

static void *add_many(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10000; i++)
        metric_add(&shared, 1);
    return NULL;
}

static void test_threads(void **state)
{
    pthread_t t[4];
    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, add_many, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    assert_int_equal(metric_value(&shared), 40000);
    metrics_write(&out);
    assert_int_equal(occurrences("# TYPE test_shared_total"), 1); /* registered once */
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_text_format),
                                       cmocka_unit_test(test_threads)};
    return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
