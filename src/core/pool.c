#include "core/pool.h"

#include "core/clock.h"
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

/* Tasks that wait stand in lanes, which are served in turn: who has many waits for themselves. */
enum { LANES = 64 };

struct task {
    struct task *next;
    void (*run)(void *ctx);
    void *ctx;
};

struct lane {
    struct task *first, **last;
    size_t n;
    unsigned running; /* of its tasks; others than the last thread may be theirs */
};

/* Periodic work. It is due at a time, and "running" keeps a second run from starting meanwhile. */
struct timer {
    struct timer *next;
    void (*run)(void *ctx);
    void *ctx;
    int64_t every, due; /* steady clock, microseconds */
    bool running;
};

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t work; /* something to do, or stop */
    struct lane lanes[LANES];
    size_t turn;   /* the lane to be served next */
    size_t busy;   /* lanes with something in them */
    size_t n, max; /* tasks that wait */
    struct timer *timers;
    bool stop;
    unsigned threads;
    pthread_t ids[];
};

static struct timer *due_timer(struct pool *p, int64_t now, int64_t *next)
{
    struct timer *earliest = NULL;
    for (struct timer *t = p->timers; t; t = t->next)
        if (!t->running && (!earliest || t->due < earliest->due))
            earliest = t;
    *next = earliest ? earliest->due : INT64_MAX;
    return earliest && earliest->due <= now ? earliest : NULL;
}

static void run_timer(struct pool *p, struct timer *t, int64_t now)
{
    /* A run that took longer than its interval skips the missed ones. */
    t->due += t->every * (1 + (now - t->due) / t->every);
    t->running = true;
    pthread_mutex_unlock(&p->lock);
    t->run(t->ctx);
    pthread_mutex_lock(&p->lock);
    t->running = false;
    pthread_cond_broadcast(&p->work); /* others may have slept past its next time */
}

/* The next lane with something that may begin; NULL: none. One lane never has all threads, so that
 * long tasks of one tenant leave one for the others. */
static struct lane *next_lane(struct pool *p)
{
    unsigned most = p->threads > 1 ? p->threads - 1 : 1;
    for (size_t i = 0; p->n && i < LANES; i++) {
        struct lane *lane = &p->lanes[(p->turn + i) % LANES];
        if (!lane->first || lane->running >= most)
            continue;
        p->turn = (p->turn + i + 1) % LANES;
        return lane;
    }
    return NULL;
}

static struct task *take_one(struct pool *p, struct lane *lane)
{
    struct task *task = lane->first;
    lane->first = task->next;
    if (!lane->first)
        lane->last = &lane->first;
    p->busy -= --lane->n == 0;
    p->n--;
    return task;
}

static void run_task(struct pool *p, struct lane *lane)
{
    struct task *task = take_one(p, lane);
    lane->running++;
    pthread_mutex_unlock(&p->lock);
    task->run(task->ctx);
    free(task);
    pthread_mutex_lock(&p->lock);
    lane->running--;
    if (p->stop && !p->n)
        pthread_cond_broadcast(&p->work); /* the others may go */
}

static void wait_until(struct pool *p, int64_t due)
{
    if (due == INT64_MAX) {
        pthread_cond_wait(&p->work, &p->lock);
        return;
    }
    struct timespec t = {due / SECOND_US, due % SECOND_US * 1000};
    pthread_cond_timedwait(&p->work, &p->lock, &t);
}

static void *pool_thread(void *arg)
{
    struct pool *p = arg;
    pthread_mutex_lock(&p->lock);
    while (!p->stop || p->n) {
        int64_t next = INT64_MAX, now = clock_steady(&clock_system);
        struct timer *t = p->stop ? NULL : due_timer(p, now, &next);
        struct lane *lane = t ? NULL : next_lane(p);
        if (t)
            run_timer(p, t, now);
        else if (lane)
            run_task(p, lane);
        else
            wait_until(p, next);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

struct pool *pool_new(unsigned threads, size_t queue_max)
{
    threads = threads ? threads : 1;
    struct pool *p = calloc(1, sizeof(*p) + threads * sizeof(p->ids[0]));
    if (!p)
        abort();
    p->max = queue_max ? queue_max : 1;
    for (size_t i = 0; i < LANES; i++)
        p->lanes[i].last = &p->lanes[i].first;
    pthread_condattr_t attr;
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&p->work, &attr);
    pthread_condattr_destroy(&attr);
    p->threads = threads;
    for (unsigned i = 0; i < threads; i++)
        if (pthread_create(&p->ids[i], NULL, pool_thread, p) != 0)
            abort();
    return p;
}

/* A full queue still takes what keeps its lane within an equal share. */
static bool has_room(const struct pool *p, const struct lane *lane)
{
    size_t lanes = p->busy + (lane->n == 0);
    return p->n < p->max || (p->n < 2 * p->max && lanes > 1 && lane->n < p->max / lanes);
}

enum err pool_submit_in(struct pool *p, uint64_t lane_key, void (*run)(void *ctx), void *ctx)
{
    struct lane *lane = &p->lanes[lane_key % LANES];
    struct task *task = malloc(sizeof(*task));
    if (!task)
        abort();
    *task = (struct task){NULL, run, ctx};
    pthread_mutex_lock(&p->lock);
    bool room = !p->stop && has_room(p, lane);
    if (room) {
        *lane->last = task;
        lane->last = &task->next;
        p->busy += lane->n++ == 0;
        p->n++;
        pthread_cond_signal(&p->work);
    }
    pthread_mutex_unlock(&p->lock);
    if (!room)
        free(task);
    return room ? OK : ERR_UNAVAILABLE;
}

enum err pool_submit(struct pool *p, void (*run)(void *ctx), void *ctx)
{
    return pool_submit_in(p, 0, run, ctx);
}

void pool_every(struct pool *p, int64_t interval_ms, void (*run)(void *ctx), void *ctx)
{
    struct timer *t = calloc(1, sizeof(*t));
    if (!t)
        abort();
    t->run = run;
    t->ctx = ctx;
    t->every = (interval_ms > 0 ? interval_ms : 1) * 1000;
    t->due = clock_steady(&clock_system) + t->every;
    pthread_mutex_lock(&p->lock);
    t->next = p->timers;
    p->timers = t;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
}

void pool_never(struct pool *p, void (*run)(void *ctx), void *ctx)
{
    pthread_mutex_lock(&p->lock);
    for (struct timer **at = &p->timers; *at;) {
        struct timer *t = *at;
        if (t->run != run || t->ctx != ctx) {
            at = &t->next;
        } else if (t->running) {
            pthread_cond_wait(&p->work, &p->lock);
            at = &p->timers; /* the list may have changed */
        } else {
            *at = t->next;
            free(t);
        }
    }
    pthread_mutex_unlock(&p->lock);
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->threads; i++)
        pthread_join(p->ids[i], NULL);
    for (struct timer *t = p->timers, *next; t; t = next) {
        next = t->next;
        free(t);
    }
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->lock);
    free(p);
}
