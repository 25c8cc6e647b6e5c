#include "websocket.h"

#include "core/clock.h"
#include "core/metrics.h"
#include "crypto/hash.h"
#include "server_impl.h"
#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <wslay/wslay.h>

/*
 * One thread serves all WebSockets of a server: it alone reads, writes and calls events. Other
 * threads put messages in a socket's list (under the lock) and mark it dirty.
 *
 *   state     begins when                ends when
 *   NEW       the 101 answer was sent    the thread has called open()
 *   OPEN      open() was called          a close frame was sent or received, or the line broke
 *   CLOSING   a close frame is queued    the peer answered it, or CLOSE_WAIT_S passed
 *   dropped   closed() was called        the descriptor goes back to libmicrohttpd
 */

enum {
    MESSAGE_MAX = 64 * 1024,
    READ_BUDGET = 64 * 1024, /* bytes of one socket before the others have their turn */
    PING_S = 30,
    SILENCE_S = 75, /* two pings without any answer */
    CLOSE_WAIT_S = 2,
    TICK_MS = 500,
    EVENTS = 64
};

struct message {
    struct message *next;
    size_t n;
    char text[];
};

struct ws {
    struct ws *prev, *next;
    struct websockets *all;
    int fd;
    int line; /* under TLS fd is a pair's end, and this the connection itself; else -1 */
    struct MHD_UpgradeResponseHandle *handle;
    wslay_event_context_ptr wslay;
    const struct ws_events *events;
    void *ctx;
    char *early; /* bytes that came with the request */
    size_t early_n, early_at;
    size_t budget;
    bool opened, writing, lingering, dropped;
    struct ws *next_dead;
    int64_t pinged, heard, closing; /* steady; closing 0: not yet */
    /* under the lock */
    struct message *first, *last;
    size_t queued; /* bytes in the list and in wslay's queue */
    int close_code;
    bool dirty;
    struct ws *next_dirty;
};

struct websockets {
    struct server *server;
    pthread_mutex_t lock;
    pthread_t thread;
    int epoll, wake;
    struct ws *open, *dead; /* of the thread */
    struct ws *fresh, *dirty;
    size_t n; /* not dropped yet */
    bool closing, stop;
    bool told; /* of the thread: closing was passed on to the open ones */
};

static struct metric open_websockets = METRIC_GAUGE("marugoto_http_websockets", "open WebSockets");

static void wake(struct websockets *all)
{
    uint64_t one = 1;
    ssize_t wrote = write(all->wake, &one, sizeof(one));
    (void)wrote; /* full means that the thread is awake already */
}

/* --- the handshake --- */

static bool has_token(struct str list, struct str token)
{
    struct str field;
    while (str_split(&list, ',', &field))
        if (str_eq_nocase(str_trim(field), token))
            return true;
    return false;
}

/* A page of another site must not talk to us with this site's cookies. */
static bool origin_is_ours(const struct request *req)
{
    struct str origin = request_header(req, "Origin");
    if (!origin.p || (req->route->flags & ROUTE_PUBLIC_CORS) ||
        server_allows_origin(req->server, origin))
        return true;
    ptrdiff_t at = str_find(origin, S("://"));
    return at > 0 && str_eq_nocase(str_from(origin, (size_t)at + 3), request_header(req, "Host"));
}

static struct str accept_key(struct arena *a, struct str key)
{
    unsigned char digest[SHA_DIGEST_LENGTH];
    struct str text = str_concat(a, key, S("258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    SHA1((const unsigned char *)text.p, text.n, digest);
    return base64_encode(a, str_n((const char *)digest, sizeof(digest)));
}

enum http_answer http_websocket(struct request *req, struct response *res,
                                const struct ws_events *events, void *ctx)
{
    struct exchange *x = exchange_of(req);
    struct str key = request_header(req, "Sec-WebSocket-Key"), raw;
    bool upgrade = str_eq(req->method, S("GET")) &&
                   has_token(request_header_all(req, "Connection"), S("upgrade")) &&
                   has_token(request_header_all(req, "Upgrade"), S("websocket")) &&
                   str_eq(request_header(req, "Sec-WebSocket-Version"), S("13")) &&
                   base64_decode(req->arena, key, &raw) && raw.n == 16;
    if (!upgrade) {
        response_problem(req, res, 426, NULL, NULL, S("this address is for WebSockets"));
        response_header(req, res, "Upgrade", S("websocket"));
        response_header(req, res, "Sec-WebSocket-Version", S("13"));
        return HTTP_DONE;
    }
    if (!origin_is_ours(req)) {
        response_problem(req, res, 403, NULL, NULL, S("this origin may not open a WebSocket here"));
        return HTTP_DONE;
    }
    if (atomic_load(&x->server->stopping)) {
        response_problem(req, res, 503, NULL, NULL, S("the server stops"));
        return HTTP_DONE;
    }
    response_empty(res, 101);
    response_header(req, res, "Upgrade", S("websocket"));
    response_header(req, res, "Sec-WebSocket-Accept", accept_key(req->arena, key));
    x->ws_events = events;
    x->ws_ctx = ctx;
    return HTTP_DONE;
}

/* --- wslay's calls --- */

static ssize_t on_recv(wslay_event_context_ptr wslay, uint8_t *buf, size_t n, int flags, void *arg)
{
    struct ws *ws = arg;
    (void)flags;
    if (ws->early_at < ws->early_n) {
        size_t left = ws->early_n - ws->early_at;
        n = n < left ? n : left;
        memcpy(buf, ws->early + ws->early_at, n);
        ws->early_at += n;
        return (ssize_t)n;
    }
    ssize_t got = -1;
    errno = EAGAIN;
    if (ws->budget)
        got = recv(ws->fd, buf, n < ws->budget ? n : ws->budget, MSG_DONTWAIT);
    if (got > 0) {
        ws->budget -= (size_t)got;
        ws->heard = clock_steady(ws->all->server->clock);
        return got;
    }
    bool later = got < 0 && (errno == EAGAIN || errno == EINTR);
    wslay_event_set_error(wslay, later ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static ssize_t on_send(wslay_event_context_ptr wslay, const uint8_t *p, size_t n, int flags,
                       void *arg)
{
    struct ws *ws = arg;
    (void)flags;
    ssize_t sent = send(ws->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0)
        return sent;
    bool later = errno == EAGAIN || errno == EINTR;
    wslay_event_set_error(wslay, later ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static void on_message(wslay_event_context_ptr wslay, const struct wslay_event_on_msg_recv_arg *m,
                       void *arg)
{
    struct ws *ws = arg;
    if (m->opcode == WSLAY_TEXT_FRAME && ws->events->text && !ws->closing)
        ws->events->text(ws, str_n((const char *)m->msg, m->msg_length), ws->ctx);
    else if (m->opcode == WSLAY_BINARY_FRAME)
        wslay_event_queue_close(wslay, WSLAY_CODE_UNSUPPORTED_DATA, NULL, 0);
}

static const struct wslay_event_callbacks callbacks = {.recv_callback = on_recv,
                                                       .send_callback = on_send,
                                                       .on_msg_recv_callback = on_message};

/* --- the thread --- */

/* Give wslay what other threads have left for this socket. */
static void take_queue(struct ws *ws)
{
    struct websockets *all = ws->all;
    pthread_mutex_lock(&all->lock);
    struct message *m = ws->first;
    int code = ws->close_code;
    ws->first = ws->last = NULL;
    ws->close_code = 0;
    pthread_mutex_unlock(&all->lock);
    while (m) {
        struct message *next = m->next;
        struct wslay_event_msg msg = {WSLAY_TEXT_FRAME, (const uint8_t *)m->text, m->n};
        wslay_event_queue_msg(ws->wslay, &msg); /* refused once a close is queued: as it should */
        free(m);
        m = next;
    }
    if (code)
        wslay_event_queue_close(ws->wslay, (uint16_t)code, NULL, 0);
}

static void note_queue(struct ws *ws)
{
    size_t left = wslay_event_get_queued_msg_length(ws->wslay);
    pthread_mutex_lock(&ws->all->lock);
    for (const struct message *m = ws->first; m; m = m->next)
        left += m->n;
    ws->queued = left;
    pthread_mutex_unlock(&ws->all->lock);
}

static void drop(struct ws *ws)
{
    struct websockets *all = ws->all;
    if (ws->opened && ws->events->closed)
        ws->events->closed(ws, ws->ctx);
    epoll_ctl(all->epoll, EPOLL_CTL_DEL, ws->fd, NULL);
    if (ws->line >= 0)
        epoll_ctl(all->epoll, EPOLL_CTL_DEL, ws->line, NULL);
    *(ws->prev ? &ws->prev->next : &all->open) = ws->next;
    if (ws->next)
        ws->next->prev = ws->prev;
    wslay_event_context_free(ws->wslay);
    MHD_upgrade_action(ws->handle, MHD_UPGRADE_ACTION_CLOSE);
    pthread_mutex_lock(&all->lock);
    for (struct ws **at = &all->dirty; *at; at = &(*at)->next_dirty) {
        if (*at == ws) {
            *at = ws->next_dirty;
            break;
        }
    }
    all->n--;
    pthread_mutex_unlock(&all->lock);
    for (struct message *m = ws->first, *next; m; m = next) {
        next = m->next;
        free(m);
    }
    free(ws->early);
    ws->dropped = true; /* freed later: this round of epoll may name it once more */
    ws->next_dead = all->dead;
    all->dead = ws;
    metric_add(&open_websockets, -1);
}

static void free_dead(struct websockets *all)
{
    while (all->dead) {
        struct ws *ws = all->dead;
        all->dead = ws->next_dead;
        free(ws);
    }
}

/* The close frame was sent, the peer talks on: closing now would reset the connection and might
 * destroy the frame on its way. */
static bool discard(struct ws *ws)
{
    char waste[4096];
    ssize_t got;
    do {
        got = recv(ws->fd, waste, sizeof(waste), MSG_DONTWAIT);
        ws->budget -= got > 0 && (size_t)got < ws->budget ? (size_t)got : ws->budget;
    } while (got > 0 && ws->budget);
    return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
}

/* Read and write what is possible now; false: it is over. */
static bool serve(struct ws *ws, int64_t now)
{
    ws->budget = READ_BUDGET;
    if (ws->lingering)
        return discard(ws);
    take_queue(ws);
    if (wslay_event_want_read(ws->wslay) && wslay_event_recv(ws->wslay) != 0)
        return false;
    take_queue(ws); /* answers that text() gave */
    if (wslay_event_want_write(ws->wslay) && wslay_event_send(ws->wslay) != 0)
        return false;
    if (!ws->closing && wslay_event_get_close_sent(ws->wslay))
        ws->closing = now;
    note_queue(ws);
    bool want_write = wslay_event_want_write(ws->wslay) != 0;
    if (!want_write && !wslay_event_want_read(ws->wslay)) {
        if (wslay_event_get_close_received(ws->wslay))
            return false;
        ws->lingering = true;
    }
    if (want_write != ws->writing) {
        struct epoll_event ev = {.events = EPOLLIN, .data.ptr = ws};
        if (want_write)
            ev.events |= EPOLLOUT;
        epoll_ctl(ws->all->epoll, EPOLL_CTL_MOD, ws->fd, &ev);
        ws->writing = want_write;
    }
    return true;
}

static void serve_or_drop(struct ws *ws, int64_t now)
{
    if (!ws->dropped && !serve(ws, now))
        drop(ws);
}

static void take_event(struct websockets *all, const struct epoll_event *ev, int64_t now)
{
    struct ws *ws = ev->data.ptr;
    uint64_t count;
    if (!ws) {
        ssize_t got = read(all->wake, &count, sizeof(count));
        (void)got; /* only its arrival matters */
    } else if (ws->line >= 0 && ev->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR) && !ws->dropped) {
        drop(ws); /* libmicrohttpd 0.9.75 does not pass on that a TLS client has left */
    } else {
        serve_or_drop(ws, now);
    }
}

static void open_fresh(struct websockets *all, int64_t now)
{
    pthread_mutex_lock(&all->lock);
    struct ws *fresh = all->fresh;
    bool closing = all->closing;
    all->fresh = NULL;
    pthread_mutex_unlock(&all->lock);
    for (struct ws *ws = all->open; closing && !all->told && ws; ws = ws->next)
        ws_close(ws, WSLAY_CODE_GOING_AWAY);
    all->told |= closing;
    while (fresh) {
        struct ws *ws = fresh;
        fresh = ws->next;
        ws->prev = NULL;
        ws->next = all->open;
        if (ws->next)
            ws->next->prev = ws;
        all->open = ws;
        ws->pinged = ws->heard = now;
        struct epoll_event ev = {.events = EPOLLIN, .data.ptr = ws};
        epoll_ctl(all->epoll, EPOLL_CTL_ADD, ws->fd, &ev);
        ev.events = EPOLLRDHUP;
        if (ws->line >= 0)
            epoll_ctl(all->epoll, EPOLL_CTL_ADD, ws->line, &ev);
        metric_add(&open_websockets, 1);
        ws->opened = true;
        if (ws->events->open)
            ws->events->open(ws, ws->ctx);
        if (closing)
            ws_close(ws, WSLAY_CODE_GOING_AWAY);
        serve_or_drop(ws, now);
    }
}

static void serve_dirty(struct websockets *all, int64_t now)
{
    for (;;) {
        pthread_mutex_lock(&all->lock);
        struct ws *ws = all->dirty;
        if (ws) {
            all->dirty = ws->next_dirty;
            ws->dirty = false;
        }
        pthread_mutex_unlock(&all->lock);
        if (!ws)
            return;
        serve_or_drop(ws, now);
    }
}

static void check_times(struct websockets *all, int64_t now)
{
    for (struct ws *ws = all->open, *next; ws; ws = next) {
        next = ws->next;
        if (ws->closing && now - ws->closing > CLOSE_WAIT_S * SECOND_US) {
            drop(ws);
        } else if (now - ws->heard > SILENCE_S * SECOND_US) {
            drop(ws);
        } else if (!ws->closing && now - ws->pinged > PING_S * SECOND_US) {
            struct wslay_event_msg ping = {WSLAY_PING, NULL, 0};
            wslay_event_queue_msg(ws->wslay, &ping);
            ws->pinged = now;
            serve_or_drop(ws, now);
        }
    }
}

static void *websocket_thread(void *arg)
{
    struct websockets *all = arg;
    struct epoll_event events[EVENTS];
    int64_t checked = 0;
    for (;;) {
        int n = epoll_wait(all->epoll, events, EVENTS, all->open ? TICK_MS : -1);
        int64_t now = clock_steady(all->server->clock);
        for (int i = 0; i < n; i++)
            take_event(all, &events[i], now);
        pthread_mutex_lock(&all->lock);
        bool stop = all->stop;
        pthread_mutex_unlock(&all->lock);
        if (stop) {
            free_dead(all);
            return NULL;
        }
        open_fresh(all, now);
        serve_dirty(all, now);
        if (now - checked >= TICK_MS * 1000) {
            check_times(all, now);
            checked = now;
        }
        free_dead(all);
    }
}

/* --- calls from other threads --- */

static void mark_dirty(struct ws *ws)
{
    if (ws->dirty)
        return;
    ws->dirty = true;
    ws->next_dirty = ws->all->dirty;
    ws->all->dirty = ws;
    wake(ws->all);
}

bool ws_send(struct ws *ws, struct str text)
{
    struct websockets *all = ws->all;
    struct message *m = malloc(sizeof(*m) + text.n);
    if (!m)
        abort();
    m->next = NULL;
    m->n = text.n;
    if (text.n)
        memcpy(m->text, text.p, text.n);
    pthread_mutex_lock(&all->lock);
    bool fits = ws->queued + text.n <= (size_t)all->server->opt.ws_queue_bytes;
    if (fits) {
        *(ws->last ? &ws->last->next : &ws->first) = m;
        ws->last = m;
        ws->queued += text.n;
    } else {
        ws->close_code = 1013; /* try again later */
        free(m);
    }
    mark_dirty(ws);
    pthread_mutex_unlock(&all->lock);
    return fits;
}

void ws_close(struct ws *ws, int code)
{
    pthread_mutex_lock(&ws->all->lock);
    ws->close_code = code;
    mark_dirty(ws);
    pthread_mutex_unlock(&ws->all->lock);
}

/* libmicrohttpd has sent the 101 answer; on its worker. */
static void on_upgrade(void *cls, struct MHD_Connection *mhd, void *con_cls, const char *early,
                       size_t early_n, MHD_socket fd, struct MHD_UpgradeResponseHandle *handle)
{
    struct exchange *x = cls;
    struct websockets *all = x->server->websockets;
    struct ws *ws = calloc(1, sizeof(*ws));
    (void)mhd, (void)con_cls;
    if (!ws || wslay_event_context_server_init(&ws->wslay, &callbacks, ws) != 0)
        abort();
    wslay_event_config_set_max_recv_msg_length(ws->wslay, MESSAGE_MAX);
    connection_phase(x->conn, CONN_UPGRADED, x->steady);
    ws->all = all;
    ws->fd = fd;
    ws->line = x->server->tls ? x->conn->fd : -1;
    ws->handle = handle;
    ws->events = x->ws_events;
    ws->ctx = x->ws_ctx;
    ws->early_n = early_n;
    if (early_n) {
        ws->early = malloc(early_n);
        if (!ws->early)
            abort();
        memcpy(ws->early, early, early_n);
    }
    pthread_mutex_lock(&all->lock);
    ws->next = all->fresh;
    all->fresh = ws;
    all->n++;
    pthread_mutex_unlock(&all->lock);
    wake(all);
}

struct MHD_Response *websocket_response(struct exchange *x)
{
    return MHD_create_response_for_upgrade(on_upgrade, x);
}

/* --- start and stop --- */

enum err websockets_new(struct websockets **out, struct server *s, struct error *e)
{
    struct websockets *all = calloc(1, sizeof(*all));
    if (!all)
        abort();
    all->server = s;
    pthread_mutex_init(&all->lock, NULL);
    all->epoll = epoll_create1(EPOLL_CLOEXEC);
    all->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event ev = {.events = EPOLLIN};
    bool ok = all->epoll >= 0 && all->wake >= 0 &&
              epoll_ctl(all->epoll, EPOLL_CTL_ADD, all->wake, &ev) == 0 &&
              pthread_create(&all->thread, NULL, websocket_thread, all) == 0;
    if (ok) {
        *out = all;
        return OK;
    }
    if (all->epoll >= 0)
        close(all->epoll);
    if (all->wake >= 0)
        close(all->wake);
    pthread_mutex_destroy(&all->lock);
    free(all);
    return error_set(e, ERR_IO, "the WebSocket thread cannot start: %s", strerror(errno));
}

void websockets_close_all(struct websockets *all)
{
    pthread_mutex_lock(&all->lock);
    all->closing = true;
    pthread_mutex_unlock(&all->lock);
    wake(all);
}

bool websockets_empty(struct websockets *all)
{
    pthread_mutex_lock(&all->lock);
    bool empty = all->n == 0;
    pthread_mutex_unlock(&all->lock);
    return empty;
}

void websockets_free(struct websockets *all)
{
    pthread_mutex_lock(&all->lock);
    all->stop = true;
    pthread_mutex_unlock(&all->lock);
    wake(all);
    pthread_join(all->thread, NULL);
    close(all->epoll);
    close(all->wake);
    pthread_mutex_destroy(&all->lock);
    free(all);
}
