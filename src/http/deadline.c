#include "deadline.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/metrics.h"
#include "server_impl.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/*
 * libmicrohttpd knows only an idle time-out, which every byte restarts: a client that sends one
 * byte a second stays for ever. The reaper looks at all connections once a second:
 *
 *   state     begins when                        is closed when
 *   OPENED    it was accepted, or the first      the headers are not complete header_deadline_s
 *             byte after an answer came          after it began (the clock runs on in HEADERS)
 *   HEADERS   the request line was read          as OPENED
 *   BODY      the headers were read, a body      5 s have passed and the body came slower than
 *             follows                            body_min_rate
 *   HANDLER   the request is complete            never: handlers do not block
 *   WAITING   the handler said HTTP_LATER        the client left; at the request's deadline it is
 *                                                answered 503 and then closed
 *   SENDING   the answer was queued              by the kernel, TCP_USER_TIMEOUT after the client
 *                                                stopped taking bytes
 *   STREAM    a stream has nothing to send       the client left
 *   IDLE      the answer was sent                nothing came for idle_s; when a byte comes it is
 *                                                OPENED from then on
 *   UPGRADED  it became a WebSocket              by websocket.c
 *
 * Closing is shutdown(2): libmicrohttpd then sees the end and cleans up in its own thread. The lock
 * makes sure that the descriptor is still that of the connection.
 */

enum { TICK_MS = 1000, BODY_GRACE_US = 5 * 1000 * 1000 };

struct deadlines {
    struct server *server;
    pthread_mutex_t lock;
    pthread_cond_t stopped;
    pthread_t thread;
    bool stop;
    bool closed; /* nothing may be suspended any more */
    struct connection *first;
    struct exchange **waiting; /* suspended ones, in no order */
    size_t n_waiting, cap_waiting;
    struct pollfd *fds; /* scratch of the reaper, as many as waiting */
    size_t cap_fds;
};

static struct metric open_connections =
    METRIC_GAUGE("marugoto_http_connections", "open connections");
static struct metric reaped =
    METRIC_COUNTER("marugoto_http_deadline_closed_total", "connections closed by a deadline");

/* --- the table --- */

static void address_text(const struct sockaddr *addr, char out[INET6_ADDRSTRLEN])
{
    out[0] = '\0';
    if (addr->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, addr, sizeof(in));
        inet_ntop(AF_INET, &in.sin_addr, out, INET6_ADDRSTRLEN);
    } else if (addr->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, addr, sizeof(in6));
        if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr))
            inet_ntop(AF_INET, in6.sin6_addr.s6_addr + 12, out, INET6_ADDRSTRLEN);
        else
            inet_ntop(AF_INET6, &in6.sin6_addr, out, INET6_ADDRSTRLEN);
    }
}

struct connection *connection_open(struct deadlines *d, int fd, const struct sockaddr *addr)
{
    struct connection *c = calloc(1, sizeof(*c));
    if (!c)
        abort();
    c->fd = fd;
    c->key = client_key_of(addr);
    address_text(addr, c->address);
    c->proxy = server_trusts(d->server, str_c(c->address));
    atomic_init(&c->phase, CONN_OPENED);
    atomic_init(&c->since, clock_steady(d->server->clock));
    pthread_mutex_lock(&d->lock);
    c->next = d->first;
    if (c->next)
        c->next->prev = c;
    d->first = c;
    pthread_mutex_unlock(&d->lock);
    metric_add(&open_connections, 1);
    return c;
}

void connection_close(struct deadlines *d, struct connection *c)
{
    pthread_mutex_lock(&d->lock);
    *(c->prev ? &c->prev->next : &d->first) = c->next;
    if (c->next)
        c->next->prev = c->prev;
    pthread_mutex_unlock(&d->lock);
    metric_add(&open_connections, -1);
    free(c);
}

void connection_phase(struct connection *c, enum conn_phase phase, int64_t now)
{
    int old = atomic_load_explicit(&c->phase, memory_order_relaxed);
    if (phase == CONN_BODY)
        atomic_store_explicit(&c->received, 0, memory_order_relaxed);
    if (phase != CONN_HEADERS || old != CONN_OPENED)
        atomic_store_explicit(&c->since, now, memory_order_relaxed);
    atomic_store_explicit(&c->phase, (int)phase, memory_order_release);
}

bool deadlines_watch(struct deadlines *d, struct exchange *x, enum conn_phase phase)
{
    connection_phase(x->conn, phase, clock_steady(d->server->clock));
    pthread_mutex_lock(&d->lock);
    if (d->closed) {
        pthread_mutex_unlock(&d->lock);
        return false;
    }
    if (d->n_waiting == d->cap_waiting) {
        d->cap_waiting = d->cap_waiting ? d->cap_waiting * 2 : 64;
        d->waiting = realloc(d->waiting, d->cap_waiting * sizeof(struct exchange *));
        if (!d->waiting)
            abort();
    }
    x->waiting = true;
    x->waiting_at = d->n_waiting;
    d->waiting[d->n_waiting++] = x;
    pthread_mutex_unlock(&d->lock);
    return true;
}

void deadlines_unwatch(struct deadlines *d, struct exchange *x)
{
    pthread_mutex_lock(&d->lock);
    struct exchange *last = d->waiting[--d->n_waiting];
    d->waiting[x->waiting_at] = last;
    last->waiting_at = x->waiting_at;
    x->waiting = false;
    pthread_mutex_unlock(&d->lock);
}

/* --- the reaper --- */

static uint64_t bytes_received(int fd)
{
    struct tcp_info info;
    socklen_t n = sizeof(info);
    memset(&info, 0, sizeof(info));
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) != 0)
        return 0;
    return info.tcpi_bytes_received;
}

/* True when an idle connection has been idle too long; one that woke up becomes OPENED. */
static bool idle_is_over(struct connection *c, int64_t since, int64_t now, int64_t idle_us)
{
    uint64_t bytes = bytes_received(c->fd);
    if (c->idle_seen != since) {
        c->idle_seen = since;
        c->idle_bytes = bytes;
    } else if (bytes > c->idle_bytes) {
        int idle = CONN_IDLE;
        if (atomic_compare_exchange_strong(&c->phase, &idle, CONN_OPENED))
            atomic_store(&c->since, now);
        return false;
    }
    return now - since > idle_us;
}

static bool is_overdue(const struct http_options *o, struct connection *c, int64_t now)
{
    int phase = atomic_load_explicit(&c->phase, memory_order_acquire);
    int64_t since = atomic_load(&c->since), past = now - since;
    switch ((enum conn_phase)phase) {
    case CONN_OPENED:
    case CONN_HEADERS:
        return past > o->header_deadline_s * SECOND_US;
    case CONN_BODY:
        return past > BODY_GRACE_US &&
               atomic_load(&c->received) < o->body_min_rate * (past / SECOND_US);
    case CONN_IDLE:
        return idle_is_over(c, since, now, o->idle_s * SECOND_US);
    case CONN_HANDLER:
    case CONN_WAITING:
    case CONN_SENDING:
    case CONN_STREAM:
    case CONN_UPGRADED:
        break;
    }
    return false;
}

static void reap_connections(struct deadlines *d, int64_t now)
{
    size_t closed = 0;
    for (struct connection *c = d->first; c; c = c->next) {
        if (is_overdue(&d->server->opt, c, now)) {
            shutdown(c->fd, SHUT_RDWR);
            closed++;
        }
    }
    if (closed) {
        metric_add(&reaped, (int64_t)closed);
        log_event(LOG_INFO, "http.deadline", LOG_I("connections", closed));
    }
}

/* Suspended connections are not polled by libmicrohttpd, so leaving clients are noticed here. */
static void reap_waiting(struct deadlines *d, int64_t now)
{
    if (d->cap_fds < d->n_waiting) {
        d->cap_fds = d->cap_waiting;
        d->fds = realloc(d->fds, d->cap_fds * sizeof(*d->fds));
        if (!d->fds)
            abort();
    }
    for (size_t i = 0; i < d->n_waiting; i++)
        d->fds[i] = (struct pollfd){.fd = d->waiting[i]->conn->fd, .events = POLLRDHUP};
    if (d->n_waiting == 0 || poll(d->fds, d->n_waiting, 0) < 0)
        return;
    for (size_t i = 0; i < d->n_waiting; i++) {
        struct exchange *x = d->waiting[i];
        bool gone = (d->fds[i].revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)) != 0;
        if (gone || (!x->stream_open && now > x->req.deadline))
            exchange_expire(x, gone);
    }
}

static void *reaper(void *arg)
{
    struct deadlines *d = arg;
    struct timespec due;
    clock_gettime(CLOCK_MONOTONIC, &due);
    pthread_mutex_lock(&d->lock);
    while (!d->stop) {
        due.tv_sec += TICK_MS / 1000;
        int rc = 0;
        while (!d->stop && rc != ETIMEDOUT)
            rc = pthread_cond_timedwait(&d->stopped, &d->lock, &due);
        int64_t now = clock_steady(d->server->clock);
        reap_connections(d, now);
        reap_waiting(d, now);
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

struct deadlines *deadlines_new(struct server *s)
{
    struct deadlines *d = calloc(1, sizeof(*d));
    pthread_condattr_t attr;
    if (!d)
        abort();
    d->server = s;
    pthread_mutex_init(&d->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&d->stopped, &attr);
    pthread_condattr_destroy(&attr);
    if (pthread_create(&d->thread, NULL, reaper, d) != 0)
        abort();
    return d;
}

void deadlines_free(struct deadlines *d)
{
    pthread_mutex_lock(&d->lock);
    d->stop = true;
    pthread_cond_signal(&d->stopped);
    pthread_mutex_unlock(&d->lock);
    pthread_join(d->thread, NULL);
    pthread_cond_destroy(&d->stopped);
    pthread_mutex_destroy(&d->lock);
    free(d->waiting);
    free(d->fds);
    free(d);
}

/* --- stopping --- */

bool deadlines_drain(struct deadlines *d)
{
    bool running = false;
    pthread_mutex_lock(&d->lock);
    for (struct connection *c = d->first; c; c = c->next) {
        switch ((enum conn_phase)atomic_load(&c->phase)) {
        case CONN_OPENED:
        case CONN_IDLE:
            shutdown(c->fd, SHUT_RDWR);
            break;
        case CONN_STREAM:
        case CONN_UPGRADED:
            break;
        case CONN_HEADERS:
        case CONN_BODY:
        case CONN_HANDLER:
        case CONN_WAITING:
        case CONN_SENDING:
            running = true;
        }
    }
    for (size_t i = 0; i < d->n_waiting; i++)
        if (d->waiting[i]->stream_open)
            http_stream_wake((struct http_stream_handle *)d->waiting[i]);
    pthread_mutex_unlock(&d->lock);
    return !running;
}

bool deadlines_expire_all(struct deadlines *d)
{
    pthread_mutex_lock(&d->lock);
    d->closed = true;
    for (size_t i = 0; i < d->n_waiting; i++)
        exchange_expire(d->waiting[i], false);
    bool none = d->n_waiting == 0;
    pthread_mutex_unlock(&d->lock);
    return none;
}
