#include "server_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/log.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* --- handlers --- */

static enum http_answer hello(struct request *req, struct response *res, void *ctx)
{
    (void)ctx;
    response_body(req, res, 200, "text/plain", S("hello"));
    return HTTP_DONE;
}

/* Everything that the server understood of a request. */
static enum http_answer echo(struct request *req, struct response *res, void *ctx)
{
    struct lab *lab = ctx;
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    const struct http_pair *pairs;
    size_t n = request_query_all(req, &pairs);
    atomic_fetch_add(&lab->handled, 1);
    json_w_object(&w);
    json_w_kstr(&w, S("method"), req->method);
    json_w_kstr(&w, S("path"), req->path);
    json_w_kstr(&w, S("id"), request_param(req, "id"));
    json_w_kstr(&w, S("client"), req->client);
    json_w_kbool(&w, S("tls"), req->tls);
    json_w_kstr(&w, S("body"), req->body);
    json_w_kbool(&w, S("worker"), req->worker == lab);
    json_w_key(&w, S("query"));
    json_w_array(&w);
    for (size_t i = 0; i < n; i++) {
        json_w_str(&w, pairs[i].name);
        json_w_str(&w, pairs[i].value);
    }
    json_w_end(&w);
    json_w_end(&w);
    response_body(req, res, 200, "application/json", buf_dup(&b, req->arena));
    buf_release(&b);
    return HTTP_DONE;
}

static enum http_answer size(struct request *req, struct response *res, void *ctx)
{
    unsigned sum = 0;
    (void)ctx;
    for (size_t i = 0; i < req->body.n; i++)
        sum = sum * 31 + (unsigned char)req->body.p[i];
    response_body(req, res, 200, "text/plain", str_printf(req->arena, "%zu %u", req->body.n, sum));
    return HTTP_DONE;
}

static enum http_answer text(struct request *req, struct response *res, void *ctx)
{
    (void)ctx;
    struct buf b = BUF_INIT;
    for (int i = 0; i < 500; i++)
        buf_printf(&b, "line %03d\n", i);
    response_body(req, res, 200, "text/plain; charset=utf-8", buf_dup(&b, req->arena));
    buf_release(&b);
    res->etag = S("\"v1\"");
    res->modified = INT64_C(1700000000) * SECOND_US;
    return HTTP_DONE;
}

static enum http_answer page(struct request *req, struct response *res, void *ctx)
{
    (void)ctx;
    response_body(req, res, 200, "text/html; charset=utf-8", S("<!doctype html><p>page"));
    response_cookie(req, res, "session", S("abc"), 60, false);
    response_cookie(req, res, "lang", S("ja"), 60, true);
    return HTTP_DONE;
}

static enum http_answer file(struct request *req, struct response *res, void *ctx)
{
    const struct lab *lab = ctx;
    res->status = 200;
    res->type = S("text/plain");
    res->file =
        arena_printf(req->arena, "%s/%" STR_F, lab->spool, STR_A(request_param(req, "name")));
    return HTTP_DONE;
}

static enum http_answer later(struct request *req, struct response *res, void *ctx)
{
    struct lab *lab = ctx;
    pthread_mutex_lock(&lab->lock);
    bool room = lab->n_later < LAB_LATER;
    if (room) {
        lab->later[lab->n_later] = req;
        lab->later_res[lab->n_later++] = res;
    }
    pthread_mutex_unlock(&lab->lock);
    if (room)
        return HTTP_LATER;
    response_problem(req, res, 503, NULL, NULL, S("full"));
    return HTTP_DONE;
}

/* The owner is faster than the handler returns. */
static enum http_answer at_once(struct request *req, struct response *res, void *ctx)
{
    (void)ctx;
    response_body(req, res, 200, "text/plain", S("at once"));
    http_resume(req);
    return HTTP_LATER;
}

static enum http_answer broken(struct request *req, struct response *res, void *ctx)
{
    struct error e;
    (void)ctx;
    error_set(&e, ERR_IO, "disk <secret> failed");
    response_error(req, res, &e);
    return HTTP_DONE;
}

static enum http_answer silent(struct request *req, struct response *res, void *ctx)
{
    (void)req, (void)res, (void)ctx;
    return HTTP_DONE;
}

static ptrdiff_t stream_next(void *ctx, char *out, size_t max)
{
    struct lab *lab = ctx;
    pthread_mutex_lock(&lab->lock);
    size_t n = lab->line_n < max ? lab->line_n : max;
    memcpy(out, lab->line, n);
    lab->line_n = 0;
    bool end = n == 0 && lab->stream_end;
    pthread_mutex_unlock(&lab->lock);
    return end ? -1 : (ptrdiff_t)n;
}

static void stream_done(void *ctx)
{
    struct lab *lab = ctx;
    pthread_mutex_lock(&lab->lock);
    lab->stream = NULL;
    pthread_mutex_unlock(&lab->lock);
    atomic_fetch_add(&lab->stream_done, 1);
}

static enum http_answer events(struct request *req, struct response *res, void *ctx)
{
    struct lab *lab = ctx;
    pthread_mutex_lock(&lab->lock);
    lab->stream = http_stream_handle(req);
    pthread_mutex_unlock(&lab->lock);
    res->status = 200;
    res->type = S("text/event-stream");
    res->stream = (struct http_stream){stream_next, stream_done, lab};
    return HTTP_DONE;
}

static void ws_opened(struct ws *ws, void *ctx)
{
    struct lab *lab = ctx;
    pthread_mutex_lock(&lab->lock);
    lab->ws = ws;
    pthread_mutex_unlock(&lab->lock);
    atomic_fetch_add(&lab->ws_open, 1);
}

static void ws_text(struct ws *ws, struct str message, void *ctx)
{
    (void)ctx;
    if (str_eq(message, S("bye")))
        ws_close(ws, 1000);
    else
        ws_send(ws, message);
}

static void ws_gone(struct ws *ws, void *ctx)
{
    struct lab *lab = ctx;
    (void)ws;
    pthread_mutex_lock(&lab->lock);
    lab->ws = NULL;
    pthread_mutex_unlock(&lab->lock);
    atomic_fetch_add(&lab->ws_closed, 1);
}

static enum http_answer socket_route(struct request *req, struct response *res, void *ctx)
{
    static const struct ws_events ws_calls = {ws_opened, ws_text, ws_gone};
    return http_websocket(req, res, &ws_calls, ctx);
}

static const struct route routes[] = {
    {"GET", "/hello", hello, 0},
    {"GET", "/echo/{id}", echo, ROUTE_PUBLIC_CORS},
    {"POST", "/echo/{id}", echo, ROUTE_PUBLIC_CORS},
    {"DELETE", "/echo/{id}", echo, 0},
    {"POST", "/size", size, ROUTE_BIG_BODY},
    {"GET", "/text", text, 0},
    {"GET", "/page", page, 0},
    {"GET", "/file/{name}", file, 0},
    {"GET", "/later", later, 0},
    {"POST", "/later", later, 0},
    {"GET", "/at-once", at_once, 0},
    {"GET", "/broken", broken, 0},
    {"GET", "/silent", silent, 0},
    {"GET", "/events", events, 0},
    {"GET", "/ws", socket_route, 0},
    {"GET", "/health", hello, ROUTE_NO_LIMIT},
};

/* --- start and stop --- */

static int64_t lab_now(const struct clock *c)
{
    return clock_now(&clock_system) + atomic_load(&((const struct lab_clock *)c)->ahead);
}

static int64_t lab_steady(const struct clock *c)
{
    return clock_steady(&clock_system) + atomic_load(&((const struct lab_clock *)c)->ahead);
}

static void *worker_new(void *ctx)
{
    struct lab *lab = ctx;
    atomic_fetch_add(&lab->workers, 1);
    return lab;
}

static void worker_free(void *ctx, void *worker)
{
    struct lab *lab = ctx;
    assert_ptr_equal(worker, lab);
    atomic_fetch_sub(&lab->workers, 1);
}

void lab_start(struct lab *lab, void (*options)(struct http_options *o))
{
    struct config_bind bind = {&http_config, &lab->opt};
    struct error e = {0};
    memset(lab, 0, sizeof(*lab));
    lab->clock.base = (struct clock){lab_now, lab_steady};
    pthread_mutex_init(&lab->lock, NULL);
    config_defaults(&bind);
    log_set_level(LOG_OFF);
    lab->opt.port = 0;
    lab->opt.workers = 2;
    lab->opt.access_log = false;
    lab->opt.stop_grace_s = 1;
    snprintf(lab->spool, sizeof(lab->spool), "/tmp/server_lab.XXXXXX");
    assert_non_null(mkdtemp(lab->spool));
    lab->opt.spool_dir = lab->spool;
    if (options)
        options(&lab->opt);
    lab->router = router_new();
    router_add(lab->router, routes, sizeof(routes) / sizeof(routes[0]), lab);
    const struct server_hooks hooks = {.ctx = lab,
                                       .worker_new = worker_new,
                                       .worker_free = worker_free};
    if (server_start(&lab->server, &lab->opt, &lab->clock.base, lab->router, &hooks, &e) != OK)
        fail_msg("%s", e.text);
}

void lab_stop(struct lab *lab)
{
    server_stop(lab->server);
    lab_clean(lab);
}

void lab_clean(struct lab *lab)
{
    assert_int_equal(atomic_load(&lab->workers), 0);
    router_free(lab->router);
    rmdir(lab->spool);
    pthread_mutex_destroy(&lab->lock);
}

/* --- the client --- */

int lab_connect(const struct lab *lab)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)server_port(lab->server)),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

void lab_write_n(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return; /* closed: the test sees it when it reads */
        p += sent;
        n -= (size_t)sent;
    }
}

void lab_write(int fd, const char *z)
{
    lab_write_n(fd, z, strlen(z));
}

enum { WAIT_MS = 5000 };

/* n bytes, or fewer at the end; -1 when nothing came in time. */
static ssize_t read_some(int fd, char *p, size_t n)
{
    struct pollfd pfd = {.fd = fd, .events = POLLIN};
    if (poll(&pfd, 1, WAIT_MS) != 1)
        return -1;
    ssize_t got = recv(fd, p, n, 0);
    return got < 0 ? 0 : got;
}

static bool read_exactly(int fd, char *p, size_t n)
{
    for (size_t at = 0; at < n;) {
        ssize_t got = read_some(fd, p + at, n - at);
        if (got <= 0)
            return false;
        at += (size_t)got;
    }
    return true;
}

static bool read_line(int fd, char *p, size_t max)
{
    for (size_t n = 0; n + 1 < max; n++) {
        if (!read_exactly(fd, p + n, 1))
            return false;
        p[n + 1] = '\0';
        if (p[n] == '\n')
            return true;
    }
    return false;
}

static struct reply reply;

struct reply *lab_read_head(int fd)
{
    size_t n = 0;
    memset(&reply, 0, sizeof(reply));
    do {
        size_t from = n;
        if (!read_line(fd, reply.head + n, sizeof(reply.head) - n))
            return &reply;
        n += strlen(reply.head + from);
    } while (n < 4 || memcmp(reply.head + n - 4, "\r\n\r\n", 4) != 0);
    if (sscanf(reply.head, "HTTP/1.%*d %d", &reply.status) != 1)
        reply.status = -1;
    if (reply.status == 100)
        return lab_read_head(fd);
    return &reply;
}

static void read_chunks(int fd)
{
    char line[64];
    while (read_line(fd, line, sizeof(line))) {
        size_t n = strtoul(line, NULL, 16);
        assert_true(reply.body_n + n + 2 < LAB_BODY);
        if (!read_exactly(fd, reply.body + reply.body_n, n + 2))
            break;
        reply.body_n += n;
        reply.body[reply.body_n] = '\0';
        if (n == 0)
            return;
    }
    reply.status = -1;
}

struct reply *lab_read(int fd)
{
    lab_read_head(fd);
    const char *length = reply_header(&reply, "Content-Length");
    const char *coding = reply_header(&reply, "Transfer-Encoding");
    if (reply.status <= 0 || reply.status == 204 || reply.status == 304)
        return &reply;
    if (coding) {
        read_chunks(fd);
    } else if (length) {
        reply.body_n = strtoul(length, NULL, 10);
        assert_true(reply.body_n < LAB_BODY);
        if (!read_exactly(fd, reply.body, reply.body_n))
            reply.status = -1;
    } else {
        ssize_t got;
        while ((got = read_some(fd, reply.body + reply.body_n, LAB_BODY - 1 - reply.body_n)) > 0)
            reply.body_n += (size_t)got;
        if (got < 0)
            reply.status = -1;
    }
    return &reply;
}

struct reply *lab_ask(const struct lab *lab, const char *z)
{
    int fd = lab_connect(lab);
    lab_write(fd, z);
    bool head = strncmp(z, "HEAD", 4) == 0;
    struct reply *r = head ? lab_read_head(fd) : lab_read(fd);
    close(fd);
    return r;
}

const char *reply_header(const struct reply *r, const char *name)
{
    static char value[2048];
    size_t n = strlen(name);
    for (const char *line = strchr(r->head, '\n'); line && line[1]; line = strchr(line + 1, '\n')) {
        if (strncasecmp(line + 1, name, n) != 0 || line[n + 1] != ':')
            continue;
        line += n + 2;
        line += *line == ' ';
        size_t len = strcspn(line, "\r");
        len = len < sizeof(value) ? len : sizeof(value) - 1;
        memcpy(value, line, len);
        value[len] = '\0';
        return value;
    }
    return NULL;
}

bool lab_is_closed(int fd, int ms)
{
    struct pollfd pfd = {.fd = fd, .events = POLLIN};
    char byte[512];
    while (poll(&pfd, 1, ms) == 1)
        if (recv(fd, byte, sizeof(byte), 0) <= 0)
            return true;
    return false;
}

/* --- waiting requests and streams --- */

size_t lab_later_count(struct lab *lab)
{
    pthread_mutex_lock(&lab->lock);
    size_t n = lab->n_later;
    pthread_mutex_unlock(&lab->lock);
    return n;
}

void lab_resume_all(struct lab *lab)
{
    pthread_mutex_lock(&lab->lock);
    for (size_t i = 0; i < lab->n_later; i++) {
        struct request *req = lab->later[i];
        struct str who = request_header(req, "X-Who");
        response_body(req, lab->later_res[i], 200, "text/plain",
                      str_printf(req->arena, "late %" STR_F, STR_A(who)));
        http_resume(req);
    }
    lab->n_later = 0;
    pthread_mutex_unlock(&lab->lock);
}

void lab_say(struct lab *lab, const char *line)
{
    pthread_mutex_lock(&lab->lock);
    lab->line_n = strlen(line);
    memcpy(lab->line, line, lab->line_n);
    if (lab->stream)
        http_stream_wake(lab->stream);
    pthread_mutex_unlock(&lab->lock);
}

void lab_end_stream(struct lab *lab)
{
    pthread_mutex_lock(&lab->lock);
    lab->stream_end = true;
    if (lab->stream)
        http_stream_wake(lab->stream);
    pthread_mutex_unlock(&lab->lock);
}

static void pause_ms(long ms)
{
    struct timespec t = {0, ms * 1000000};
    nanosleep(&t, NULL);
}

bool lab_wait(_Atomic int *value, int want, int ms)
{
    for (int i = 0; i < ms && atomic_load(value) != want; i++)
        pause_ms(1);
    return atomic_load(value) == want;
}

bool lab_wait_later(struct lab *lab, size_t want, int ms)
{
    for (int i = 0; i < ms && lab_later_count(lab) != want; i++)
        pause_ms(1);
    return lab_later_count(lab) == want;
}
