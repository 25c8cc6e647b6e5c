/*
 * The gate: so many tasks on the pool at once, so many waiting, no more. What waits does not hold a
 * thread: a task that ends hands its place to the next.
 */
#include "account_impl.h"
#include <pthread.h>
#include <stdlib.h>

struct waiting {
    void (*run)(void *ctx);
    void *ctx;
};

struct gate {
    struct pool *pool;
    pthread_mutex_t lock;
    pthread_cond_t idle;
    struct waiting *queue; /* a ring of max places */
    size_t first, n, max;
    size_t running, parallel;
};

struct gate *gate_new(struct pool *pool, int64_t parallel, int64_t queue_max)
{
    struct gate *g = calloc(1, sizeof(*g));
    if (!g)
        abort();
    g->pool = pool;
    g->parallel = parallel > 0 ? (size_t)parallel : 1;
    g->max = queue_max > 0 ? (size_t)queue_max : 1;
    g->queue = calloc(g->max, sizeof(*g->queue));
    if (!g->queue)
        abort();
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->idle, NULL);
    return g;
}

void gate_free(struct gate *g)
{
    if (!g)
        return;
    pthread_mutex_lock(&g->lock);
    while (g->running)
        pthread_cond_wait(&g->idle, &g->lock);
    pthread_mutex_unlock(&g->lock);
    pthread_cond_destroy(&g->idle);
    pthread_mutex_destroy(&g->lock);
    free(g->queue);
    free(g);
}

/* The next that waits; false: none, and the place is given up. */
static bool next(struct gate *g, struct waiting *out)
{
    pthread_mutex_lock(&g->lock);
    bool some = g->n > 0;
    if (some) {
        *out = g->queue[g->first];
        g->first = (g->first + 1) % g->max;
        g->n--;
    } else if (--g->running == 0) {
        pthread_cond_broadcast(&g->idle);
    }
    pthread_mutex_unlock(&g->lock);
    return some;
}

/* One task; then the pool's other work has its turn, unless the pool takes nothing. */
static void work(void *ctx)
{
    struct gate *g = ctx;
    struct waiting w;
    do {
        if (!next(g, &w))
            return;
        w.run(w.ctx);
    } while (pool_submit(g->pool, work, g));
}

enum err proof_gate(struct trust *t, void (*run)(void *ctx), void *ctx, struct error *e)
{
    struct gate *g = t->accounts->gate;
    enum err err = OK;
    pthread_mutex_lock(&g->lock);
    if (g->n == g->max) {
        err = error_set(e, ERR_TOO_MANY, "too many sign-ins are waiting; try again in a moment");
        goto out;
    }
    g->queue[(g->first + g->n++) % g->max] = (struct waiting){run, ctx};
    if (g->running == g->parallel)
        goto out;
    if (!pool_submit(g->pool, work, g)) {
        g->running++;
    } else if (!g->running) { /* nobody would take it */
        g->n--;
        err = error_set(e, ERR_UNAVAILABLE, "too much slow work is waiting");
    }
out:
    pthread_mutex_unlock(&g->lock);
    return err;
}
