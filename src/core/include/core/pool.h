/*
 * pool.h - a few threads for slow work: password hashing, imports, tiles, tallies.
 *
 * An HTTP worker never does slow work: it submits a task, suspends its connection and lets the task
 * resume it. The queue is bounded; when it is full pool_submit() refuses and the caller answers
 * 503. Tasks wait in lanes that take turns, so that a tenant with many does not hold up the others.
 * Periodic work ("every 5 s look for stale sources") runs on the same threads, one run at a
 * time.
 */
#ifndef CORE_POOL_H
#define CORE_POOL_H

#include "core/error.h"
#include <stddef.h>
#include <stdint.h>

struct pool;

struct pool *pool_new(unsigned threads, size_t queue_max);
/* ERR_UNAVAILABLE when the queue is full or the pool is stopping; run is then not called. */
enum err pool_submit(struct pool *p, void (*run)(void *ctx), void *ctx);
/* The same in a lane, for instance a hash of the tenant; pool_submit() uses lane 0. Tasks of one
 * lane are begun in the order of submission, and one lane never takes all threads. A full queue
 * still takes what keeps a lane within an equal share. */
enum err pool_submit_in(struct pool *p, uint64_t lane, void (*run)(void *ctx), void *ctx);
/* Call run every interval_ms until the pool stops; the first time after one interval. */
void pool_every(struct pool *p, int64_t interval_ms, void (*run)(void *ctx), void *ctx);
/* End the periodic call of run with ctx; when this returns it does not run any more. Never from
 * within run. */
void pool_never(struct pool *p, void (*run)(void *ctx), void *ctx);
/* Finish what is queued, stop the timers, join the threads, free. */
void pool_free(struct pool *p);

#endif
