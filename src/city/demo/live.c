/*
 * The city goes on: every two seconds a few instruments report and a few buses move. One thread of
 * its own, because the pool's timers end only with the pool.
 */
#include "demo_impl.h"

#include "core/log.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum { REPORTS = 1, MOVES = 2 }; /* in one turn: instruments, buses */

/* --- one turn --- */

/* The nth instrument that reports, going round through the fleets. */
static void find_instrument(uint64_t n, enum demo_kind *kind, int *i)
{
    uint64_t all = 0;
    for (int k = 0; k < DEMO_KINDS; k++)
        if (demo_fleets[k].live && k != DEMO_BUS)
            all += (uint64_t)demo_fleets[k].n;
    n = n * 7 % all; /* not one fleet after the other; 7 divides no such sum, see the test */
    for (int k = 0; k < DEMO_KINDS; k++) {
        if (!demo_fleets[k].live || k == DEMO_BUS)
            continue;
        if (n < (uint64_t)demo_fleets[k].n) {
            *kind = (enum demo_kind)k;
            *i = (int)n;
            return;
        }
        n -= (uint64_t)demo_fleets[k].n;
    }
}

static enum err make_op(struct arena *a, struct op *op, enum demo_kind kind, int i, int64_t now,
                        struct error *e)
{
    struct buf text = BUF_INIT;
    struct json_writer w = json_writer(&text);
    json_w_object(&w);
    demo_readings(&w, kind, i, now);
    json_w_end(&w);
    const struct json *input = demo_stored(a, &text, false, e);
    buf_release(&text);
    *op = (struct op){.kind = OP_UPDATE, .id = demo_fleet_id(a, kind, i), .input = input};
    return input ? OK : e->code;
}

/* An entity that somebody deleted stays deleted: the results of single operations do not matter. */
enum err demo_turn(struct link *l, uint64_t turn, struct error *e)
{
    struct arena a = ARENA_INIT;
    struct op *list = ARENA_ARRAY(&a, struct op, REPORTS + MOVES);
    struct ops ops = {.arena = &a, .actor = S("demo"), .ops = list};
    int64_t now = demo_now(l);
    enum err err = OK;
    for (int i = 0; !err && i < REPORTS; i++) {
        enum demo_kind kind = DEMO_AIR;
        int which = 0;
        find_instrument(turn * REPORTS + (uint64_t)i, &kind, &which);
        err = make_op(&a, &list[ops.n++], kind, which, now, e);
    }
    for (int i = 0; !err && i < MOVES; i++) {
        uint64_t bus = (turn * MOVES + (uint64_t)i) % (uint64_t)demo_fleets[DEMO_BUS].n;
        err = make_op(&a, &list[ops.n++], DEMO_BUS, (int)bus, now, e);
    }
    if (!err)
        err = ops_run(l, &ops, e);
    arena_release(&a);
    return err;
}

/* --- the thread --- */

struct demo {
    struct link *link;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stop;
};

/* Sleep until the next turn; false: stop. */
static bool wait_turn(struct demo *d, struct timespec *next)
{
    next->tv_nsec += DEMO_TURN_MS % 1000 * 1000000L;
    next->tv_sec += DEMO_TURN_MS / 1000 + next->tv_nsec / 1000000000L;
    next->tv_nsec %= 1000000000L;
    pthread_mutex_lock(&d->lock);
    while (!d->stop && pthread_cond_timedwait(&d->wake, &d->lock, next) != ETIMEDOUT)
        continue;
    bool go = !d->stop;
    pthread_mutex_unlock(&d->lock);
    return go;
}

static void *run(void *ctx)
{
    struct demo *d = ctx;
    struct timespec next;
    struct error e;
    bool failing = false;
    clock_gettime(CLOCK_MONOTONIC, &next);
    for (uint64_t turn = 0; wait_turn(d, &next); turn++) {
        bool failed = demo_turn(d->link, turn, &e) != OK;
        if (failed && !failing)
            log_event(LOG_WARN, "demo.update_failed", LOG_Z("error", e.text));
        failing = failed;
        /* After a stall, do not make up for the turns that were missed. */
        clock_gettime(CLOCK_MONOTONIC, &next);
    }
    return NULL;
}

struct demo *demo_start(struct link *l)
{
    struct error e;
    pthread_condattr_t attr;
    if (demo_present(l, &e))
        return NULL;
    struct demo *d = calloc(1, sizeof(*d));
    if (!d)
        abort();
    d->link = l;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&d->wake, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&d->lock, NULL);
    if (pthread_create(&d->thread, NULL, run, d) == 0)
        return d;
    log_event(LOG_WARN, "demo.no_thread", LOG_I("errno", errno));
    pthread_cond_destroy(&d->wake);
    pthread_mutex_destroy(&d->lock);
    free(d);
    return NULL;
}

void demo_stop(struct demo *d)
{
    if (!d)
        return;
    pthread_mutex_lock(&d->lock);
    d->stop = true;
    pthread_cond_signal(&d->wake);
    pthread_mutex_unlock(&d->lock);
    pthread_join(d->thread, NULL);
    pthread_cond_destroy(&d->wake);
    pthread_mutex_destroy(&d->lock);
    free(d);
}
