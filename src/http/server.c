#include "http/server.h"

#include "accept.h"
#include "body.h"
#include "compress.h"
#include "core/log.h"
#include "core/metrics.h"
#include "crypto/hash.h"
#include "listen.h"
#include "problem.h"
#include "send.h"
#include "server_impl.h"
#include "tls.h"
#include "websocket.h"
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * One request, as libmicrohttpd calls (all on the connection's worker):
 *
 *   on_request_line   an exchange is made
 *   on_request        first call: the headers are there
 *                     then the pieces of the body
 *                     last call, without a piece: the handler runs; again after a suspension
 *                     or when a refusal has waited long enough (hold.c)
 *   on_completed      the answer was sent, or the connection is lost
 */

enum {
    DISCARD_MAX = 1024 * 1024, /* of an unwanted body is read, so that the answer is not lost in a
                                  connection reset */
    EXTRA_MEMORY = 16 * 1024   /* a connection's for the answer's headers and the read buffer */
};

static struct metric requests[] = {
    METRIC_COUNTER("marugoto_http_requests_total{class=\"1xx\"}", "requests by class of status"),
    METRIC_COUNTER("marugoto_http_requests_total{class=\"2xx\"}", "requests by class of status"),
    METRIC_COUNTER("marugoto_http_requests_total{class=\"3xx\"}", "requests by class of status"),
    METRIC_COUNTER("marugoto_http_requests_total{class=\"4xx\"}", "requests by class of status"),
    METRIC_COUNTER("marugoto_http_requests_total{class=\"5xx\"}", "requests by class of status"),
};
static struct metric durations =
    METRIC_HISTOGRAM("marugoto_http_request_seconds", "from the request line to the last byte");
static struct metric bytes_sent =
    METRIC_COUNTER("marugoto_http_sent_bytes_total", "bytes of answers' bodies");

/* --- workers --- */

/* libmicrohttpd gives its threads no context of their own. A worker thread serves one server. */
static _Thread_local struct http_worker *this_worker;

/* Request ids are this and a count: unique without asking the kernel for each. */
static void random_prefix(char out[17])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[8];
    random_bytes(bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[16] = '\0';
}

struct http_worker *server_worker(struct server *s)
{
    if (this_worker && this_worker->server == s)
        return this_worker;
    struct http_worker *w = calloc(1, sizeof(*w));
    if (!w)
        abort();
    w->server = s;
    random_prefix(w->id_prefix);
    if (s->hooks.worker_new)
        w->object = s->hooks.worker_new(s->hooks.ctx);
    pthread_mutex_lock(&s->lock);
    w->next = s->workers;
    s->workers = w;
    pthread_mutex_unlock(&s->lock);
    this_worker = w;
    return w;
}

static void worker_free(struct http_worker *w)
{
    struct server *s = w->server;
    while (w->idle) {
        struct exchange *x = w->idle;
        w->idle = x->next;
        exchange_free(x, NULL);
    }
    if (s->hooks.worker_free)
        s->hooks.worker_free(s->hooks.ctx, w->object);
    gzip_free(w->gzip);
    free(w);
}

/* --- one request --- */

static enum MHD_Result answer(struct exchange *x, struct http_worker *w)
{
    return exchange_send(x, w) ? MHD_YES : MHD_NO;
}

/* Without touching what the late owner may be writing. */
static enum MHD_Result answer_expired(struct exchange *x)
{
    x->status = 503;
    connection_phase(x->conn, CONN_SENDING, x->steady);
    return MHD_queue_response(x->mhd, 503, x->server->expired);
}

/* x may belong to another thread already. */
static enum MHD_Result answer_later(struct exchange *x, struct http_worker *w)
{
    switch (exchange_suspend(x)) {
    case WAIT_BEGUN:
        return MHD_YES;
    case WAIT_REFUSED:
        return answer_expired(x);
    case WAIT_OVER:
        break;
    }
    return answer(x, w);
}

/* What the handler is not asked for. */
static enum MHD_Result refuse(struct exchange *x, struct http_worker *w)
{
    if (x->res.status == 429 && holds_take(x->server->holds, &x->req))
        return answer_later(x, w);
    return answer(x, w);
}

static enum MHD_Result run_handler(struct exchange *x, struct http_worker *w)
{
    struct server *s = x->server;
    struct request *req = &x->req;
    connection_phase(x->conn, CONN_HANDLER, x->steady);
    if (s->hooks.before && !s->hooks.before(s->hooks.ctx, req, &x->res))
        return refuse(x, w);
    if (req->route->handler(req, &x->res, x->route_ctx) == HTTP_DONE)
        return answer(x, w);
    return answer_later(x, w);
}

/*
 * An answer that is queued now makes libmicrohttpd read nothing more and close the connection. So
 * it is only given for what must not go on: malformed requests, and long bodies that nobody wants.
 * All others are answered in the last call.
 */
static enum MHD_Result first_call(struct exchange *x, struct http_worker *w, const char *method,
                                  const char *version)
{
    int64_t length;
    x->begun = true;
    x->needs_host = strcmp(version, MHD_HTTP_VERSION_1_1) == 0;
    accept_headers(x, w, method);
    x->refused = !accept_request(x);
    if (x->refused && x->close)
        return answer(x, w);
    if (!x->reading)
        return MHD_YES;
    connection_phase(x->conn, CONN_BODY, x->steady);
    bool long_one =
        str_to_i64(request_header(&x->req, "Content-Length"), &length) && length > DISCARD_MAX;
    if (x->refused && (long_one || request_header(&x->req, "Expect").p))
        return answer(x, w);
    return MHD_YES;
}

static void take_body(struct exchange *x, const char *p, size_t n)
{
    enum err err = body_add(&x->body, p, n);
    if (!err)
        return;
    x->refused = true;
    if (err == ERR_TOO_LARGE)
        response_problem(&x->req, &x->res, 413, NULL, NULL, S("the body is larger than the limit"));
    else
        response_problem(&x->req, &x->res, 507, NULL, NULL, S("the body cannot be stored"));
}

static enum MHD_Result body_call(struct exchange *x, const char *p, size_t n)
{
    atomic_fetch_add_explicit(&x->conn->received, (int64_t)n, memory_order_relaxed);
    if (x->refused)
        x->discarded += n;
    else
        take_body(x, p, n);
    return x->discarded > DISCARD_MAX ? MHD_NO : MHD_YES;
}

static enum MHD_Result last_call(struct exchange *x, struct http_worker *w)
{
    if (!x->refused && x->reading && body_finish(&x->body, &x->req.body) != OK) {
        x->refused = true;
        response_problem(&x->req, &x->res, 507, NULL, NULL, S("the body cannot be stored"));
    }
    return x->refused ? refuse(x, w) : run_handler(x, w);
}

static enum MHD_Result woken_call(struct exchange *x, struct http_worker *w)
{
    if (exchange_woken(x) == PHASE_RESUMED)
        return answer(x, w);
    if (atomic_load(&x->gone))
        return MHD_NO;
    return answer_expired(x);
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *mhd, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_n, void **con_cls)
{
    struct server *s = cls;
    struct exchange *x = *con_cls;
    struct http_worker *w = server_worker(s);
    (void)mhd, (void)url;
    if (!x->begun)
        return first_call(x, w, method, version);
    if (x->waiting)
        return woken_call(x, w);
    if (*upload_n == 0)
        return last_call(x, w);
    size_t n = *upload_n;
    *upload_n = 0;
    return body_call(x, upload, n);
}

/* A request that libmicrohttpd refused by itself (no Host, long headers) is never completed. */
static void drop_unfinished(struct connection *c)
{
    if (c->exchange)
        exchange_free(c->exchange, NULL);
    c->exchange = NULL;
}

/* The query is read by us. libmicrohttpd would keep a node for each parameter in the connection's
 * memory, and a request with some thousands would never get an answer: it is shown an empty one.
 * The line stands in its own buffer, which it is about to cut up itself. */
static void leave_no_arguments(const char *uri)
{
    char *mark = (char *)(uintptr_t)strchr(uri, '?');
    if (mark && mark[1])
        mark[1] = '\0';
}

static void *on_request_line(void *cls, const char *uri, struct MHD_Connection *mhd)
{
    struct server *s = cls;
    struct exchange *x = exchange_new(server_worker(s));
    x->mhd = mhd;
    x->conn = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    x->steady = clock_steady(s->clock);
    drop_unfinished(x->conn);
    x->conn->exchange = x;
    connection_phase(x->conn, CONN_HEADERS, x->steady);
    accept_target(x, str_c(uri));
    leave_no_arguments(uri);
    return x;
}

static void record(const struct exchange *x, int64_t now)
{
    const struct request *req = &x->req;
    int status = x->status ? x->status : 499; /* the client left before the answer, as nginx says */
    metric_add(&requests[status / 100 - 1], 1);
    metric_add(&bytes_sent, x->sent);
    if (status != 101)
        metric_time(&durations, now - x->steady);
    if (x->server->opt.access_log)
        log_event(LOG_INFO, "http.request", LOG_S("id", req->id), LOG_S("method", req->method),
                  LOG_S("path", req->path), LOG_I("status", status),
                  LOG_D("ms", (double)(now - x->steady) / 1000), LOG_I("bytes", x->sent));
}

static void on_completed(void *cls, struct MHD_Connection *mhd, void **con_cls,
                         enum MHD_RequestTerminationCode how)
{
    struct server *s = cls;
    struct exchange *x = *con_cls;
    (void)mhd, (void)how;
    if (!x)
        return;
    int64_t now = clock_steady(s->clock);
    x->conn->exchange = NULL;
    connection_phase(x->conn, CONN_IDLE, now);
    if (x->begun)
        record(x, now);
    exchange_completed(x, server_worker(s));
    *con_cls = NULL;
}

/* --- connections --- */

static enum MHD_Result on_accept(void *cls, const struct sockaddr *addr, socklen_t n)
{
    struct server *s = cls;
    struct client_key key = client_key_of(addr);
    (void)n;
    return ratelimit_may_connect(s->ratelimit, &key) ? MHD_YES : MHD_NO;
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    struct server *s = cls;
    struct connection *c = *context;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        int fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        const struct sockaddr *addr =
            MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
        c = connection_open(s->deadlines, fd, addr);
        if (!c->proxy)
            ratelimit_connected(s->ratelimit, &c->key);
        *context = c;
    } else if (c) {
        drop_unfinished(c);
        if (!c->proxy)
            ratelimit_disconnected(s->ratelimit, &c->key);
        connection_close(s->deadlines, c);
        *context = NULL;
    }
}

/* Paths and queries stay as they were sent: "%2F" is not "/". */
static size_t keep_escapes(void *cls, struct MHD_Connection *mhd, char *text)
{
    (void)cls, (void)mhd;
    return strlen(text);
}

static void drop_message(void *cls, const char *fmt, va_list ap)
{
    (void)cls, (void)fmt, (void)ap;
}

/* --- start and stop --- */

static struct str *split_words(struct arena *a, const char *text, size_t *n)
{
    struct str rest = str_c(text), word;
    struct str *words = ARENA_ARRAY(a, struct str, rest.n / 2 + 1);
    *n = 0;
    while (str_split(&rest, ' ', &word))
        if (word.n)
            words[(*n)++] = str_dup(a, word);
    return words;
}

static bool is_one_of(const struct str *words, size_t n, struct str s)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq_nocase(words[i], s))
            return true;
    return false;
}

bool server_trusts(const struct server *s, struct str address)
{
    return is_one_of(s->proxies, s->n_proxies, address);
}

bool server_allows_origin(const struct server *s, struct str origin)
{
    return is_one_of(s->origins, s->n_origins, origin);
}

/* Sent when the request's own memory still belongs to somebody else, so it is made beforehand. */
static struct MHD_Response *make_expired(struct server *s)
{
    struct str body = problem_json(&s->arena, 503, NULL, str_c(http_reason(503)),
                                   S("the request took too long; try again"), STR_NONE);
    struct MHD_Response *r =
        MHD_create_response_from_buffer(body.n, (void *)(uintptr_t)body.p, MHD_RESPMEM_PERSISTENT);
    if (!r)
        abort();
    MHD_add_response_header(r, "Content-Type", "application/problem+json");
    MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(r, "Retry-After", "5");
    MHD_add_response_header(r, "Connection", "close");
    return r;
}

static enum err start_daemon(struct server *s, const struct tls_pair *tls, struct error *e)
{
    static char priorities[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"; /* of GnuTLS */
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned workers = (unsigned)(s->opt.workers ? s->opt.workers : cores > 0 ? cores : 1);
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE;
    struct MHD_OptionItem extra[5] = {{MHD_OPTION_END, 0, NULL}};
    size_t n = 0;
    if (workers > 1)
        extra[n++] = (struct MHD_OptionItem){MHD_OPTION_THREAD_POOL_SIZE, workers, NULL};
    if (tls->cert) {
        flags |= MHD_USE_TLS;
        extra[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, tls->cert};
        extra[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, tls->key};
        extra[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0, priorities};
    }
    extra[n] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    s->daemon =
        MHD_start_daemon(flags, 0, on_accept, s, on_request, s, MHD_OPTION_EXTERNAL_LOGGER,
                         drop_message, NULL, MHD_OPTION_LISTEN_SOCKET, s->listen_fd,
                         MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_NOTIFY_CONNECTION,
                         on_connection, s, MHD_OPTION_URI_LOG_CALLBACK, on_request_line, s,
                         MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, s,
                         MHD_OPTION_STRICT_FOR_CLIENT, 0, MHD_OPTION_CONNECTION_LIMIT,
                         (unsigned)s->opt.connections, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                         (size_t)(s->opt.header_bytes + EXTRA_MEMORY), MHD_OPTION_ARRAY, extra,
                         MHD_OPTION_END);
    if (!s->daemon)
        return error_set(e, ERR_IO, "the HTTP server cannot start (%u workers%s)", workers,
                         tls->cert ? ", TLS: are certificate and key a pair?" : "");
    return OK;
}

static void server_free(struct server *s)
{
    for (struct http_worker *w = s->workers, *next; w; w = next) {
        next = w->next;
        worker_free(w);
    }
    if (s->websockets)
        websockets_free(s->websockets);
    if (s->deadlines)
        deadlines_free(s->deadlines);
    if (s->expired)
        MHD_destroy_response(s->expired);
    if (s->listen_fd >= 0)
        close(s->listen_fd);
    ratelimit_free(s->ratelimit);
    holds_free(s->holds);
    pthread_mutex_destroy(&s->lock);
    arena_release(&s->arena);
    free(s);
}

enum err server_start(struct server **out, const struct http_options *o, const struct clock *clock,
                      const struct router *router, const struct server_hooks *hooks,
                      struct error *e)
{
    struct server *s = calloc(1, sizeof(*s));
    struct tls_pair tls = {0};
    if (!s)
        abort();
    pthread_mutex_init(&s->lock, NULL);
    s->opt = *o;
    s->clock = clock;
    s->router = router;
    s->listen_fd = -1;
    if (hooks)
        s->hooks = *hooks;
    s->proxies = split_words(&s->arena, o->trusted_proxies, &s->n_proxies);
    s->origins = split_words(&s->arena, o->cors_origins, &s->n_origins);
    if (!o->spool_dir || !o->spool_dir[0])
        s->opt.spool_dir = listen_spool_dir();
    s->ratelimit = ratelimit_new((size_t)o->connections + 4096, o->rate_per_s, o->rate_burst,
                                 o->connections_per_client);
    s->holds = holds_new(o->refusal_hold_ms, o->refusals_held);
    s->expired = make_expired(s);
    listen_raise_limit();
    enum err err = tls_load(&s->arena, o->tls_cert, o->tls_key, &tls, e);
    s->tls = tls.cert != NULL;
    s->trial_cert = tls.trial;
    if (!err)
        err = listen_open(o->address, o->port, &s->listen_fd, &s->port, e);
    if (!err)
        err = websockets_new(&s->websockets, s, e);
    if (!err) {
        s->deadlines = deadlines_new(s);
        err = start_daemon(s, &tls, e);
    }
    if (err) {
        server_free(s);
        return err;
    }
    *out = s;
    return OK;
}

int server_port(const struct server *s)
{
    return s->port;
}

static void pause_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

void server_stop(struct server *s)
{
    enum { STEP_MS = 10 };
    MHD_quiesce_daemon(s->daemon);
    close(s->listen_fd);
    s->listen_fd = -1;
    atomic_store(&s->stopping, true);
    holds_end(s->holds);
    int64_t end = clock_steady(s->clock) + s->opt.stop_grace_s * SECOND_US;
    while (!deadlines_drain(s->deadlines) && clock_steady(s->clock) < end)
        pause_ms(STEP_MS);
    websockets_close_all(s->websockets);
    /* libmicrohttpd must not be stopped with suspended connections. */
    while (!deadlines_expire_all(s->deadlines) || !websockets_empty(s->websockets) ||
           atomic_load(&s->resuming))
        pause_ms(STEP_MS);
    MHD_stop_daemon(s->daemon);
    server_free(s);
}
