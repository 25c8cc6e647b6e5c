/*
 * readers.c - the bounded pool of reader connections.
 *
 * A snapshot is dear compared with a small query (locks of the write-ahead log, or a round trip),
 * so where the engine allows it a pooled reader keeps its snapshot and the next reader takes it
 * over as long as nothing was committed since. Idle snapshots are ended after a second, because an
 * old one keeps the log from being checkpointed.
 */
#include "engine.h"

#include "core/log.h"
#include <errno.h>
#include <time.h>

enum { SNAPSHOT_IDLE_US = 1000000, SHRINK_IDLE_US = 10000000 };

void readers_init(struct readers *r)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&r->returned, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&r->lock, NULL);
}

void readers_release(struct store *s)
{
    struct readers *r = &s->readers;
    if (r->used)
        log_event(LOG_ERROR, "store.readers_in_use_at_close", LOG_I("n", r->used));
    for (struct store_conn *c = r->idle, *next; c; c = next) {
        next = c->next;
        s->engine->disconnect(c);
    }
    r->idle = NULL;
}

static struct timespec deadline_in(int64_t ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += ms % 1000 * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

/* Take a pooled connection, or the right to open one (*out NULL). */
static enum err take(struct store *s, struct store_conn **out, struct error *e)
{
    struct readers *r = &s->readers;
    struct timespec deadline;
    bool waited = false;
    enum err err = OK;
    pthread_mutex_lock(&r->lock);
    while (!r->idle && r->open >= s->options.readers) {
        if (!waited)
            deadline = deadline_in(s->options.reader_wait_ms);
        waited = true;
        if (pthread_cond_timedwait(&r->returned, &r->lock, &deadline) == ETIMEDOUT && !r->idle &&
            r->open >= s->options.readers) {
            err = error_set(e, ERR_UNAVAILABLE, "all %d readers of the store are busy",
                            (int)s->options.readers);
            goto out;
        }
    }
    *out = r->idle;
    if (*out)
        r->idle = (*out)->next;
    else
        r->open++;
    r->used++;
out:
    pthread_mutex_unlock(&r->lock);
    return err;
}

static void give_up(struct store *s)
{
    struct readers *r = &s->readers;
    pthread_mutex_lock(&r->lock);
    r->open--;
    r->used--;
    pthread_cond_signal(&r->returned);
    pthread_mutex_unlock(&r->lock);
}

struct store_conn *store_read(struct store *s, struct error *e)
{
    struct store_conn *c = NULL;
    if (take(s, &c, e))
        return NULL;
    if (!c) {
        if (s->engine->connect(s, CONN_READER, &c, e)) {
            give_up(s);
            return NULL;
        }
    }
    /* The counter is read before the snapshot is taken: what is recorded is never too new. */
    uint64_t commits = atomic_load(&s->commits);
    if (c->in_snapshot && c->commit != commits)
        s->engine->end_snapshot(c);
    if (!c->in_snapshot)
        c->commit = commits;
    c->failed = OK;
    c->view = NULL;
    c->next = NULL;
    c->shrunk = false;
    return c;
}

void store_set_view(struct store_conn *c, const void *view)
{
    c->view = view;
}

const void *store_view(const struct store_conn *c)
{
    return c->view;
}

void store_read_done(struct store_conn *c)
{
    struct store *s = c->store;
    struct readers *r = &s->readers;
    if (c->open_rows) {
        log_event(LOG_ERROR, "store.rows_left_open", LOG_I("n", c->open_rows));
        s->engine->end_all(c);
        c->open_rows = 0;
    }
    if (c->lost || !s->engine->reusable(c)) {
        s->engine->disconnect(c);
        give_up(s);
        return;
    }
    c->idle_since = clock_steady(s->clock);
    pthread_mutex_lock(&r->lock);
    c->next = r->idle;
    r->idle = c;
    r->used--;
    pthread_cond_signal(&r->returned);
    pthread_mutex_unlock(&r->lock);
}

void readers_tidy(struct store *s, bool all)
{
    struct readers *r = &s->readers;
    int64_t now = clock_steady(s->clock);
    pthread_mutex_lock(&r->lock);
    for (struct store_conn *c = r->idle; c; c = c->next) {
        if (c->in_snapshot && (all || now - c->idle_since >= SNAPSHOT_IDLE_US))
            s->engine->end_snapshot(c);
        if (!c->shrunk && now - c->idle_since >= SHRINK_IDLE_US) {
            s->engine->shrink(c);
            c->shrunk = true;
        }
    }
    pthread_mutex_unlock(&r->lock);
}
