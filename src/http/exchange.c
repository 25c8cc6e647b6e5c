#include "exchange.h"

#include "body.h"
#include "deadline.h"
#include "server_impl.h"
#include <microhttpd.h>
#include <stdlib.h>

enum {
    IDLE_MAX = 64,         /* exchanges that a worker keeps */
    IDLE_BYTES = 64 * 1024 /* with arenas up to this size */
};

struct exchange *exchange_new(struct http_worker *w)
{
    struct exchange *x = w->idle;
    struct arena arena = ARENA_INIT;
    if (x) {
        w->idle = x->next;
        w->n_idle--;
        arena = x->arena;
    } else {
        x = malloc(sizeof(*x));
        if (!x)
            abort();
    }
    *x = (struct exchange){.arena = arena, .server = w->server};
    x->body.fd = -1;
    x->req.arena = &x->arena;
    x->req.server = w->server;
    x->req.worker = w->object;
    x->req.impl = x;
    x->res.impl = x;
    return x;
}

void exchange_free(struct exchange *x, struct http_worker *w)
{
    body_release(&x->body);
    if (w && w->n_idle < IDLE_MAX) {
        if (x->arena.total > IDLE_BYTES)
            arena_release(&x->arena);
        else
            arena_reset(&x->arena);
        x->next = w->idle;
        w->idle = x;
        w->n_idle++;
        return;
    }
    arena_release(&x->arena);
    free(x);
}

static void resume(struct exchange *x)
{
    struct server *s = x->server;
    /* The worker may be through with x before this call returns; server_stop() waits for it. */
    atomic_fetch_add(&s->resuming, 1);
    MHD_resume_connection(x->mhd);
    atomic_fetch_sub(&s->resuming, 1);
}

static void unwatch(struct exchange *x)
{
    if (x->waiting)
        deadlines_unwatch(x->server->deadlines, x);
}

/* --- HTTP_LATER --- */

enum exchange_wait exchange_suspend(struct exchange *x)
{
    int running = PHASE_RUNNING;
    if (atomic_load(&x->phase) == PHASE_RESUMED)
        return WAIT_OVER;
    if (!deadlines_watch(x->server->deadlines, x, CONN_WAITING)) {
        bool expired = atomic_compare_exchange_strong(&x->phase, &running, PHASE_EXPIRED);
        return expired ? WAIT_REFUSED : WAIT_OVER;
    }
    MHD_suspend_connection(x->mhd);
    if (!atomic_compare_exchange_strong(&x->phase, &running, PHASE_SUSPENDED))
        resume(x); /* the owner came between: libmicrohttpd calls again at once */
    return WAIT_BEGUN;
}

enum exchange_phase exchange_woken(struct exchange *x)
{
    unwatch(x);
    return (enum exchange_phase)atomic_load(&x->phase);
}

void exchange_expire(struct exchange *x, bool gone)
{
    if (x->stream_open) {
        atomic_store(&x->gone, true);
        http_stream_wake((struct http_stream_handle *)x);
        return;
    }
    int suspended = PHASE_SUSPENDED;
    if (gone)
        atomic_store(&x->gone, true);
    if (atomic_compare_exchange_strong(&x->phase, &suspended, PHASE_EXPIRED))
        resume(x);
}

void http_resume(struct request *req)
{
    static const int next[] = {
        [PHASE_RUNNING] = PHASE_RESUMED, [PHASE_SUSPENDED] = PHASE_RESUMED,
        [PHASE_RESUMED] = PHASE_RESUMED, [PHASE_EXPIRED] = PHASE_LATE,
        [PHASE_LATE] = PHASE_LATE,       [PHASE_DETACHED] = PHASE_DETACHED,
    };
    struct exchange *x = exchange_of(req);
    int was = atomic_load(&x->phase);
    while (!atomic_compare_exchange_weak(&x->phase, &was, next[was]))
        ;
    if (was == PHASE_SUSPENDED)
        resume(x);
    else if (was == PHASE_DETACHED)
        exchange_free(x, NULL);
}

void exchange_completed(struct exchange *x, struct http_worker *w)
{
    int expired = PHASE_EXPIRED;
    unwatch(x);
    if (atomic_compare_exchange_strong(&x->phase, &expired, PHASE_DETACHED))
        return;
    x->completed = true;
    if (!x->stream_open)
        exchange_free(x, w);
}

/* --- streams --- */

struct http_stream_handle *http_stream_handle(struct request *req)
{
    return (struct http_stream_handle *)exchange_of(req);
}

void http_stream_wake(struct http_stream_handle *h)
{
    struct exchange *x = (struct exchange *)h;
    if (atomic_exchange(&x->sleep, STREAM_WOKEN) == STREAM_ASLEEP)
        resume(x);
}

ptrdiff_t exchange_stream_read(struct exchange *x, char *out, size_t max)
{
    unwatch(x);
    connection_phase(x->conn, CONN_SENDING, x->steady);
    atomic_store(&x->sleep, STREAM_AWAKE);
    if (atomic_load(&x->gone))
        return -2;
    if (atomic_load(&x->server->stopping))
        return -1;
    ptrdiff_t n = x->res.stream.next(x->res.stream.ctx, out, max);
    if (n != 0)
        return n;
    int awake = STREAM_AWAKE;
    if (!deadlines_watch(x->server->deadlines, x, CONN_STREAM))
        return -1;
    MHD_suspend_connection(x->mhd);
    if (!atomic_compare_exchange_strong(&x->sleep, &awake, STREAM_ASLEEP))
        resume(x);
    return 0;
}

void exchange_stream_done(struct exchange *x, struct http_worker *w)
{
    if (x->res.stream.done)
        x->res.stream.done(x->res.stream.ctx);
    x->stream_open = false;
    if (x->completed)
        exchange_free(x, w);
}
