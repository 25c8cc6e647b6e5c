#include "long_queries.h"

#include "core/clock.h"
#include "core/metrics.h"
#include <stdatomic.h>
#include <stdlib.h>

/* Tenants share places: at worst one goes to the pool because of another. */
enum { PLACES = 256, TIMES = 10 };
static const int64_t most_us = 10 * SECOND_US;

static struct metric seen = METRIC_COUNTER("marugoto_link_long_queries_total",
                                           "queries that took link.long_query_ms or more");

struct long_queries {
    int64_t long_us;
    _Atomic int64_t until[PLACES]; /* steady */
};

struct long_queries *long_queries_new(int64_t long_ms)
{
    struct long_queries *q = calloc(1, sizeof(*q));
    if (!q)
        abort();
    q->long_us = long_ms * 1000;
    return q;
}

void long_queries_free(struct long_queries *q)
{
    free(q);
}

bool long_queries_expected(const struct long_queries *q, int64_t tenant, int64_t now)
{
    return q &&
           now < atomic_load_explicit(&q->until[(uint64_t)tenant % PLACES], memory_order_relaxed);
}

void long_queries_ran(struct long_queries *q, int64_t tenant, int64_t began, int64_t now)
{
    int64_t took = now - began;
    if (!q || !q->long_us || took < q->long_us)
        return;
    metric_add(&seen, 1);
    _Atomic int64_t *place = &q->until[(uint64_t)tenant % PLACES];
    int64_t until = now + (took < most_us / TIMES ? took * TIMES : most_us);
    int64_t old = atomic_load(place);
    while (old < until && !atomic_compare_exchange_weak(place, &old, until))
        continue;
}
