/*
 * All wait equally long, so they are a queue. Its thread is made when the first one comes. Those
 * that are due within the next moment go with the first, so that many cost few wake-ups.
 */
#include "hold.h"

#include "core/clock.h"
#include "core/metrics.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum { MOMENT_US = 20000 };

static struct metric held =
    METRIC_COUNTER("marugoto_http_refusals_held_total", "refusals (429) that were sent late");

struct hold {
    struct request *req;
    int64_t due; /* CLOCK_MONOTONIC, microseconds */
};

struct holds {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* CLOCK_MONOTONIC */
    int64_t wait_us;
    size_t most;
    struct hold *queue; /* a ring of `most`, made with the thread */
    size_t head, n;
    bool running, ended;
    pthread_t thread;
};

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * SECOND_US + t.tv_nsec / 1000;
}

struct holds *holds_new(int64_t wait_ms, int64_t most)
{
    struct holds *h = calloc(1, sizeof(*h));
    pthread_condattr_t attr;
    if (!h)
        abort();
    h->wait_us = wait_ms * 1000;
    h->most = (size_t)most;
    pthread_mutex_init(&h->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&h->changed, &attr);
    pthread_condattr_destroy(&attr);
    return h;
}

/* Under the lock: until the first is due. */
static void wait_for_first(struct holds *h)
{
    int64_t due = h->queue[h->head].due;
    struct timespec until = {due / SECOND_US, due % SECOND_US * 1000};
    while (!h->ended && pthread_cond_timedwait(&h->changed, &h->lock, &until) != ETIMEDOUT)
        continue;
}

/* Under the lock, which is given up for each. */
static void let_go(struct holds *h)
{
    int64_t due = now_us() + MOMENT_US;
    while (h->n && (h->ended || h->queue[h->head].due <= due)) {
        struct request *req = h->queue[h->head].req;
        h->head = (h->head + 1) % h->most;
        h->n--;
        pthread_mutex_unlock(&h->lock);
        http_resume(req);
        pthread_mutex_lock(&h->lock);
    }
}

static void *run(void *arg)
{
    struct holds *h = arg;
    pthread_mutex_lock(&h->lock);
    while (!h->ended || h->n) {
        if (h->n)
            wait_for_first(h);
        else
            pthread_cond_wait(&h->changed, &h->lock);
        let_go(h);
    }
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

/* Under the lock. */
static bool is_running(struct holds *h)
{
    if (!h->running) {
        h->queue = h->queue ? h->queue : calloc(h->most, sizeof(*h->queue));
        h->running = h->queue && !pthread_create(&h->thread, NULL, run, h);
    }
    return h->running;
}

bool holds_take(struct holds *h, struct request *req)
{
    bool taken = false;
    if (!h->wait_us || !h->most)
        return false;
    pthread_mutex_lock(&h->lock);
    if (!h->ended && h->n < h->most && is_running(h)) {
        h->queue[(h->head + h->n) % h->most] = (struct hold){req, now_us() + h->wait_us};
        taken = true;
        if (h->n++ == 0)
            pthread_cond_signal(&h->changed);
    }
    pthread_mutex_unlock(&h->lock);
    if (taken)
        metric_add(&held, 1);
    return taken;
}

void holds_end(struct holds *h)
{
    pthread_mutex_lock(&h->lock);
    h->ended = true;
    pthread_cond_signal(&h->changed);
    pthread_mutex_unlock(&h->lock);
}

void holds_free(struct holds *h)
{
    holds_end(h);
    if (h->running)
        pthread_join(h->thread, NULL);
    pthread_mutex_destroy(&h->lock);
    pthread_cond_destroy(&h->changed);
    free(h->queue);
    free(h);
}
