/*
 * metrics.h - counters, gauges and histograms, shown in the Prometheus text format (0.0.4).
 *
 * Metrics are static objects that register themselves on first use; adding is one atomic operation.
 * Names follow Prometheus' conventions (marugoto_http_requests_total, ..._seconds).
 *
 *     static struct metric requests = METRIC_COUNTER("marugoto_http_requests_total", "requests");
 *     metric_add(&requests, 1);
 *
 * Labels are fixed at compile time, one object each: METRIC_COUNTER("x_total{kind=\"read\"}", ...).
 */
#ifndef CORE_METRICS_H
#define CORE_METRICS_H

#include "core/buf.h"
#include <stdatomic.h>

enum { METRIC_BUCKETS = 12 };

struct metric {
    const char *name;
    const char *help;
    enum { METRIC_IS_COUNTER, METRIC_IS_GAUGE, METRIC_IS_HISTOGRAM } kind;
    _Atomic int64_t value;                  /* histograms: sum in microseconds */
    _Atomic int64_t bucket[METRIC_BUCKETS]; /* histograms: 100 us, 300 us, 1 ms ... 30 s, +Inf */
    _Atomic int registered;
    struct metric *next;
};

#define METRIC_COUNTER(name, help)                                                                 \
    {                                                                                              \
        name, help, METRIC_IS_COUNTER, 0, {0}, 0, 0                                                \
    }
#define METRIC_GAUGE(name, help)                                                                   \
    {                                                                                              \
        name, help, METRIC_IS_GAUGE, 0, {0}, 0, 0                                                  \
    }
#define METRIC_HISTOGRAM(name, help)                                                               \
    {                                                                                              \
        name, help, METRIC_IS_HISTOGRAM, 0, {0}, 0, 0                                              \
    }

void metric_add(struct metric *m, int64_t by);
void metric_set(struct metric *m, int64_t value);
void metric_time(struct metric *m, int64_t us); /* one observation of a histogram */
int64_t metric_value(struct metric *m);
/* All registered metrics, and those of the process (RSS, open files, CPU seconds, start time). */
void metrics_write(struct buf *out);

#endif
