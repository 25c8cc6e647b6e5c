/*
 * long_queries.h - whose queries have lately taken long (private to link).
 *
 * A query runs on the thread that serves its connection, because most are short and handing them
 * over costs more than running them. But there are few such threads, and a tenant with long queries
 * would take them all. So a long query is remembered: for ten times as long as it took (ten seconds
 * at most) the tenant's queries run on the pool, where tenants take turns and none has all threads.
 * One that keeps asking long ones stays there; one that asked once is soon back. Any thread.
 */
#ifndef LINK_LONG_QUERIES_H
#define LINK_LONG_QUERIES_H

#include <stdbool.h>
#include <stdint.h>

struct long_queries;

/* From long_ms on a query is long; 0: none is. */
struct long_queries *long_queries_new(int64_t long_ms);
void long_queries_free(struct long_queries *q);
/* Is the tenant's next query for the pool? Times: steady clock, microseconds. */
bool long_queries_expected(const struct long_queries *q, int64_t tenant, int64_t now);
/* One ran from began to now. */
void long_queries_ran(struct long_queries *q, int64_t tenant, int64_t began, int64_t now);

#endif
