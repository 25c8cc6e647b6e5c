#include "http/client.h"

#include "address.h"
#include "origin.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* --- a server of a few lines: a thread for each connection --- */

enum { CONNECTIONS_MAX = 256, HEAD_MAX = 4096 };

struct connection {
    struct server *server;
    pthread_t thread;
    int fd;
};

struct server {
    int fd, port;
    pthread_t thread;
    pthread_mutex_t lock;
    struct connection connections[CONNECTIONS_MAX];
    atomic_size_t n;
    atomic_int open, peak, requests;
};

static void say(int fd, const char *text)
{
    for (size_t n = strlen(text); n > 0;) {
        ssize_t sent = send(fd, text, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        text += sent;
        n -= (size_t)sent;
    }
}

static void answer(int fd, int status, const char *headers, const char *body)
{
    struct buf out = BUF_INIT;
    buf_printf(&out, "HTTP/1.1 %d x\r\nContent-Length: %zu\r\n%s\r\n%s", status, strlen(body),
               headers, body);
    say(fd, out.p);
    buf_release(&out);
}

static void redirect(int fd, int status, const char *to)
{
    char location[256];
    snprintf(location, sizeof(location), "Location: %s\r\n", to);
    answer(fd, status, location, "moved");
}

/* Answer that goes on for ever, or one that never begins: until the peer has enough. */
static void flood(int fd)
{
    static const char chunk[] = "8\r\n01234567\r\n";
    say(fd, "HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n");
    while (send(fd, chunk, sizeof(chunk) - 1, MSG_NOSIGNAL) > 0)
        ;
}

static void hang(int fd)
{
    char c;
    while (recv(fd, &c, 1, 0) > 0)
        ;
}

/* One request, already read; false when the connection is to be closed. */
static bool serve(struct connection *c, const char *head, const char *path, const char *body)
{
    char other[64];
    struct buf echo = BUF_INIT;
    snprintf(other, sizeof(other), "http://localhost:%d/ok", c->server->port);
    if (strcmp(path, "/ok") == 0) {
        answer(c->fd, 200, "Content-Type: Text/Plain; charset=utf-8\r\n", "hello");
    } else if (strcmp(path, "/links") == 0) {
        say(c->fd, "HTTP/1.1 103 x\r\nLink: <early>\r\n\r\n");
        answer(c->fd, 200, "Link: <a>; rel=next\r\nlink:<b>\r\n", "");
    } else if (strcmp(path, "/echo") == 0) {
        buf_printf(&echo, "%s|%s", head, body);
        answer(c->fd, 200, "", echo.p);
    } else if (strcmp(path, "/same") == 0) {
        redirect(c->fd, 302, "/ok");
    } else if (strcmp(path, "/307") == 0) {
        redirect(c->fd, 307, "echo");
    } else if (strcmp(path, "/303") == 0) {
        redirect(c->fd, 303, "/echo");
    } else if (strcmp(path, "/loop") == 0) {
        redirect(c->fd, 302, "/loop");
    } else if (strcmp(path, "/other") == 0) {
        redirect(c->fd, 302, other);
    } else if (strcmp(path, "/file") == 0) {
        redirect(c->fd, 302, "file:///etc/passwd");
    } else if (strcmp(path, "/long") == 0) {
        say(c->fd, "HTTP/1.1 200 x\r\nContent-Length: 1001\r\n\r\n");
    } else if (strcmp(path, "/flood") == 0) {
        flood(c->fd);
    } else if (strcmp(path, "/hang") == 0) {
        hang(c->fd);
    } else if (strcmp(path, "/garbage") == 0) {
        say(c->fd, "220 this is mail\r\n\r\n");
        return false;
    } else {
        return false;
    }
    buf_release(&echo);
    return true;
}

static size_t body_length(const char *head)
{
    const char *at = strcasestr(head, "content-length:");
    return at ? (size_t)strtoul(at + 15, NULL, 10) : 0;
}

static void *connection_run(void *ctx)
{
    struct connection *c = ctx;
    struct server *s = c->server;
    int open = atomic_fetch_add(&s->open, 1) + 1;
    for (int peak = atomic_load(&s->peak);
         open > peak && !atomic_compare_exchange_weak(&s->peak, &peak, open);)
        ;
    char in[HEAD_MAX + 1], path[64];
    size_t have = 0;
    for (bool more = true; more;) {
        ssize_t n = recv(c->fd, in + have, HEAD_MAX - have, 0);
        if (n <= 0)
            break;
        have += (size_t)n;
        in[have] = 0;
        char *end = strstr(in, "\r\n\r\n");
        if (!end || have < (size_t)(end + 4 - in) + body_length(in))
            continue;
        atomic_fetch_add(&s->requests, 1);
        *end = 0;
        path[0] = 0;
        sscanf(in, "%*s %63s", path);
        more = serve(c, in, path, end + 4);
        have = 0;
    }
    shutdown(c->fd, SHUT_RDWR);
    atomic_fetch_sub(&s->open, 1);
    return NULL;
}

static void *server_run(void *ctx)
{
    struct server *s = ctx;
    for (int fd, one = 1; (fd = accept(s->fd, NULL, NULL)) >= 0;) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        pthread_mutex_lock(&s->lock);
        if (s->n == CONNECTIONS_MAX)
            abort();
        struct connection *c = &s->connections[s->n++];
        *c = (struct connection){.server = s, .fd = fd};
        pthread_create(&c->thread, NULL, connection_run, c);
        pthread_mutex_unlock(&s->lock);
    }
    return NULL;
}

static int listen_on(int *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    *port = ntohs(a.sin_port);
    return fd;
}

static void server_start(struct server *s)
{
    s->fd = listen_on(&s->port);
    assert_int_equal(listen(s->fd, 128), 0);
    pthread_mutex_init(&s->lock, NULL);
    assert_int_equal(pthread_create(&s->thread, NULL, server_run, s), 0);
}

static void server_stop(struct server *s)
{
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
    for (size_t i = 0; i < s->n; i++) {
        shutdown(s->connections[i].fd, SHUT_RDWR);
        pthread_join(s->connections[i].thread, NULL);
        close(s->connections[i].fd);
    }
    pthread_mutex_destroy(&s->lock);
}

/* --- the fixture --- */

struct fixture {
    struct arena arena;
    struct server server;
    struct client_options options;
    struct client *client;
    struct client_answer answer;
    struct error e;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    server_start(&f->server);
    f->options = (struct client_options){.allow_private = true,
                                         .connect_ms = 3000,
                                         .total_ms = 60000,
                                         .response_bytes = 1000,
                                         .connections = 32,
                                         .connections_per_host = 4,
                                         .queue_max = 5000,
                                         .user_agent = "test"};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    client_free(f->client);
    server_stop(&f->server);
    arena_release(&f->arena);
    free(f);
    return 0;
}

static void start(struct fixture *f)
{
    f->client = client_new(&f->options, &f->e);
    if (!f->client)
        fail_msg("%s", f->e.text);
}

static struct str url_of(struct fixture *f, const char *host, const char *path)
{
    return str_printf(&f->arena, "http://%s:%d%s", host, f->server.port, path);
}

static enum err fetch(struct fixture *f, const struct client_request *r)
{
    if (!f->client)
        start(f);
    return client_fetch(f->client, &f->arena, r, &f->answer, &f->e);
}

static enum err get(struct fixture *f, const char *path)
{
    struct client_request r = {.url = url_of(f, "127.0.0.1", path)};
    return fetch(f, &r);
}

static void check_text(struct str got, const char *want)
{
    if (!str_eq(got, str_c(want)))
        fail_msg("got \"%" STR_F "\", want \"%s\"", STR_A(got), want);
}

static void check_holds(struct str got, const char *want)
{
    if (str_find(got, str_c(want)) < 0)
        fail_msg("got \"%" STR_F "\", want \"%s\" in it", STR_A(got), want);
}

/* Answers that came, for requests sent without waiting. */
struct tally {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int answers, good;
    enum err codes[8];
    struct client *chain; /* send the next one from done() */
    struct client_request next;
};

static void tally_init(struct tally *t)
{
    *t = (struct tally){0};
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->changed, NULL);
}

static void tally_done(void *ctx, const struct client_answer *a)
{
    struct tally *t = ctx;
    pthread_mutex_lock(&t->lock);
    if (t->answers < 8)
        t->codes[t->answers] = a->error.code;
    t->answers++;
    t->good += a->status == 200;
    bool more = t->chain && t->answers < 8;
    pthread_cond_signal(&t->changed);
    pthread_mutex_unlock(&t->lock);
    if (more)
        client_send(t->chain, &t->next, NULL);
}

static void tally_wait(struct tally *t, int answers)
{
    pthread_mutex_lock(&t->lock);
    while (t->answers < answers)
        pthread_cond_wait(&t->changed, &t->lock);
    pthread_mutex_unlock(&t->lock);
}

/* --- tests --- */

static void test_answer(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(get(f, "/ok"), OK);
    assert_int_equal(f->answer.status, 200);
    assert_int_equal(f->answer.error.code, OK);
    check_text(f->answer.type, "text/plain");
    check_text(f->answer.body, "hello");
    check_text(f->answer.link, "");
    assert_true(f->answer.us > 0);
    assert_int_equal(get(f, "/links"), OK);
    check_text(f->answer.link, "<a>; rel=next, <b>");
    check_text(client_answer_header(&f->answer, "LINK"), "<a>; rel=next"); /* not the early one */
    check_text(client_answer_header(&f->answer, "Content-Length"), "0");
    check_text(client_answer_header(&f->answer, "Lin"), "");
    check_text(f->answer.type, "");
    check_text(f->answer.body, "");
}

static void test_what_is_sent(void **state)
{
    struct fixture *f = *state;
    const struct http_header headers[] = {{S("Content-Type"), S("application/json")},
                                          {S("X-Empty"), S("")}};
    struct client_request r = {.method = "POST",
                               .url = url_of(f, "127.0.0.1", "/echo"),
                               .headers = headers,
                               .n_headers = 2,
                               .body = S("{\"a\":1}")};
    assert_int_equal(fetch(f, &r), OK);
    check_holds(f->answer.body, "POST /echo HTTP/1.1\r\n");
    check_holds(f->answer.body, "\r\nContent-Type: application/json");
    check_holds(f->answer.body, "\r\nContent-Length: 7");
    check_holds(f->answer.body, "\r\nX-Empty:");
    check_holds(f->answer.body, "\r\nUser-Agent: test\r\n");
    check_holds(f->answer.body, "|{\"a\":1}");
    assert_int_equal(str_find(f->answer.body, S("Expect")), -1);
    static const char *const methods[] = {"GET", "DELETE",  "PATCH", "GET",
                                          "PUT", "OPTIONS", "POST"};
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        r = (struct client_request){.method = methods[i], .url = r.url};
        assert_int_equal(fetch(f, &r), OK);
        check_holds(f->answer.body, arena_printf(&f->arena, "%s /echo HTTP/1.1\r\n", methods[i]));
        assert_int_equal(str_find(f->answer.body, S("Content-Type")), -1);
        assert_true(str_ends(f->answer.body, S("|")));
    }
    r.method = "HEAD";
    assert_int_equal(fetch(f, &r), OK);
    assert_int_equal(f->answer.status, 200);
    check_text(f->answer.body, "");
}

static void test_connections_are_kept(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 50; i++)
        assert_int_equal(get(f, "/ok"), OK);
    assert_int_equal(f->server.requests, 50);
    assert_int_equal(f->server.n, 1);
}

static void test_bad_requests(void **state)
{
    static const char *const urls[] = {"",
                                       "/path",
                                       "example.jp",
                                       "ftp://example.jp/",
                                       "file:///etc/passwd",
                                       "gopher://example.jp/",
                                       "http://",
                                       "http://user:secret@example.jp/",
                                       "http://exa mple.jp/",
                                       "http://example.jp:99999/",
                                       "http://[::1/",
                                       "http://example.jp/\r\nX: y"};
    static const struct http_header headers[] = {{S_INIT("X\r\nY"), S_INIT("v")},
                                                 {S_INIT("X"), S_INIT("v\r\nY: w")},
                                                 {S_INIT(""), S_INIT("v")},
                                                 {S_INIT("X:"), S_INIT("v")},
                                                 {S_INIT("Content-Length"), S_INIT("0")},
                                                 {S_INIT("transfer-encoding"), S_INIT("chunked")},
                                                 {S_INIT("Host"), S_INIT("other")}};
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct client_request r = {.url = str_c(urls[i])};
        if (fetch(f, &r) != ERR_INVALID)
            fail_msg("%s: %s", urls[i], f->e.text);
    }
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        struct client_request r = {.url = S("http://127.0.0.1:1/"),
                                   .headers = &headers[i],
                                   .n_headers = 1};
        assert_int_equal(fetch(f, &r), ERR_INVALID);
    }
    struct client_request r = {.method = "GET /x", .url = S("http://127.0.0.1:1/")};
    assert_int_equal(fetch(f, &r), ERR_INVALID);
    r = (struct client_request){.url = S("http://127.0.0.1:1/\0x")};
    assert_int_equal(fetch(f, &r), ERR_INVALID);
    struct buf endless = BUF_INIT;
    buf_printf(&endless, "http://127.0.0.1:1/%09000d", 1);
    r = (struct client_request){.url = buf_view(&endless)};
    assert_int_equal(fetch(f, &r), ERR_TOO_LARGE);
    buf_release(&endless);
    assert_int_equal(f->server.n, 0);
}

static void test_no_answer(void **state)
{
    struct fixture *f = *state;
    int port, fd = listen_on(&port); /* bound, but nobody listens */
    struct client_request r = {.url = str_printf(&f->arena, "http://127.0.0.1:%d/", port)};
    assert_int_equal(fetch(f, &r), ERR_UNAVAILABLE);
    assert_int_equal(f->answer.status, 0);
    close(fd);
    r.url = S("http://name.invalid/");
    assert_int_equal(fetch(f, &r), ERR_UNAVAILABLE);
    assert_int_equal(get(f, "/close"), ERR_UNAVAILABLE);
    assert_int_equal(get(f, "/garbage"), ERR_INVALID);
    assert_int_equal(get(f, "/ok"), OK); /* and the client is as before */
}

static void test_time_is_limited(void **state)
{
    struct fixture *f = *state;
    struct client_request r = {.url = url_of(f, "127.0.0.1", "/hang"), .timeout_ms = 30};
    assert_int_equal(fetch(f, &r), ERR_TIMEOUT);
    assert_int_equal(f->answer.error.code, ERR_TIMEOUT);
    assert_true(f->answer.us >= 25000);
}

/* With one connection that hangs, a second request never gets one. */
static void test_waiting_is_limited(void **state)
{
    struct fixture *f = *state;
    struct tally t;
    tally_init(&t);
    f->options.connections_per_host = 1;
    start(f);
    struct client_request r = {.url = url_of(f, "127.0.0.1", "/hang"),
                               .done = tally_done,
                               .ctx = &t};
    assert_int_equal(client_send(f->client, &r, &f->e), OK);
    r.url = url_of(f, "127.0.0.1", "/ok");
    r.timeout_ms = 30;
    assert_int_equal(client_send(f->client, &r, &f->e), OK);
    tally_wait(&t, 1);
    assert_int_equal(t.codes[0], ERR_TIMEOUT);
    client_free(f->client);
    f->client = NULL;
    assert_int_equal(t.answers, 2);
    assert_int_equal(t.codes[1], ERR_UNAVAILABLE);
}

static void test_long_answers(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(get(f, "/long"), ERR_TOO_LARGE);
    assert_int_equal(get(f, "/flood"), ERR_TOO_LARGE);
    assert_int_equal(f->answer.body.n, 0);
    assert_int_equal(get(f, "/ok"), OK);
    check_text(f->answer.body, "hello");
    struct client_request r = {.url = url_of(f, "127.0.0.1", "/ok"), .response_bytes = 4};
    assert_int_equal(fetch(f, &r), ERR_TOO_LARGE);
    r.response_bytes = 5;
    assert_int_equal(fetch(f, &r), OK);
    assert_int_equal(get(f, "/ok"), OK);
}

static void test_redirects(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(get(f, "/same"), OK);
    check_text(f->answer.body, "hello");
    assert_int_equal(get(f, "/other"), ERR_FORBIDDEN);
    assert_int_equal(get(f, "/file"), ERR_FORBIDDEN);
    f->server.requests = 0;
    assert_int_equal(get(f, "/loop"), ERR_INVALID);
    assert_int_equal(f->server.requests, 4);
    struct client_request r = {.method = "POST",
                               .url = url_of(f, "127.0.0.1", "/307"),
                               .body = S("data")};
    assert_int_equal(fetch(f, &r), OK);
    check_holds(f->answer.body, "POST /echo ");
    check_holds(f->answer.body, "|data");
    r.url = url_of(f, "127.0.0.1", "/303");
    assert_int_equal(fetch(f, &r), OK);
    check_holds(f->answer.body, "GET /echo ");
    assert_true(str_ends(f->answer.body, S("|")));
    r.url = url_of(f, "127.0.0.1", "/same"); /* a POST is not turned into a GET by a 302 */
    assert_int_equal(fetch(f, &r), OK);
    assert_int_equal(f->answer.status, 302);
}

static void test_private_hosts(void **state)
{
    static const char *const hosts[] = {
        "127.0.0.1",          "localhost",       "127.1",
        "2130706433",         "0x7f.1",          "0.0.0.0",
        "10.0.0.1",           "[::1]",           "[::]",
        "192.168.1.1",        "169.254.169.254", "[fe80::1]",
        "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]",
        "sub.localhost"};
    struct fixture *f = *state;
    f->options.allow_private = false;
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        struct client_request r = {.url = url_of(f, hosts[i], "/ok")};
        enum err got = fetch(f, &r);
        /* a machine without IPv6, or a resolver that knows no such name, says so itself */
        bool unknown = hosts[i][0] == '[' || hosts[i][0] == 's';
        if (got != ERR_FORBIDDEN && !(unknown && got == ERR_UNAVAILABLE))
            fail_msg("%s: %s %s", hosts[i], err_name(got), f->e.text);
    }
    assert_int_equal(f->server.n, 0);
}

static bool is_private(const char *text)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &in.sin_addr) == 1)
        return address_is_private((struct sockaddr *)&in);
    assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
    return address_is_private((struct sockaddr *)&in6);
}

static void test_addresses(void **state)
{
    static const char *const bad[] = {"0.0.0.0",
                                      "0.255.255.255",
                                      "10.0.0.0",
                                      "10.255.255.255",
                                      "100.64.0.0",
                                      "100.127.255.255",
                                      "127.0.0.1",
                                      "127.255.255.255",
                                      "169.254.0.0",
                                      "169.254.255.255",
                                      "172.16.0.0",
                                      "172.31.255.255",
                                      "192.0.0.0",
                                      "192.0.0.255",
                                      "192.168.0.0",
                                      "192.168.255.255",
                                      "198.18.0.0",
                                      "198.19.255.255",
                                      "224.0.0.0",
                                      "239.255.255.255",
                                      "240.0.0.0",
                                      "255.255.255.255",
                                      "::",
                                      "::1",
                                      "fc00::",
                                      "fdff:ffff::1",
                                      "fe80::1",
                                      "febf::1",
                                      "fec0::1",
                                      "ff02::1",
                                      "::ffff:10.0.0.1",
                                      "::ffff:127.0.0.1",
                                      "::127.0.0.1",
                                      "64:ff9b::10.0.0.1",
                                      "64:ff9b::127.0.0.1",
                                      "64:ff9b:1::8.8.8.8",
                                      "2002:7f00:1::",
                                      "2002:a00:1::1",
                                      "64:ff9b::192.168.0.1"};
    static const char *const good[] = {"1.0.0.0",          "9.255.255.255",   "11.0.0.0",
                                       "100.63.255.255",   "100.128.0.0",     "126.255.255.255",
                                       "128.0.0.0",        "169.253.255.255", "169.255.0.0",
                                       "172.15.255.255",   "172.32.0.0",      "192.0.1.0",
                                       "192.167.255.255",  "192.169.0.0",     "198.17.255.255",
                                       "198.20.0.0",       "223.255.255.255", "2001:db8::1",
                                       "fbff::1",          "fe00::1",         "::ffff:8.8.8.8",
                                       "64:ff9b::8.8.8.8", "64:ff9c::7f00:1", "2002:808:808::1",
                                       "2400::7f00:1"};
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (!is_private(bad[i]))
            fail_msg("%s passed for public", bad[i]);
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        if (is_private(good[i]))
            fail_msg("%s passed for private", good[i]);
    struct sockaddr other = {.sa_family = AF_UNIX};
    assert_true(address_is_private(&other));
}

static void test_origins(void **state)
{
    static const struct {
        const char *from, *to;
        bool allowed;
    } cases[] = {
        {"http://a.jp/x", "http://A.JP:80/y", true},
        {"https://a.jp/", "https://a.jp:443/", true},
        {"http://a.jp/", "https://a.jp/", true},
        {"https://a.jp/", "http://a.jp/", false},
        {"http://a.jp/", "http://a.jp:8080/", false},
        {"http://a.jp:8080/", "https://a.jp/", false},
        {"http://a.jp/", "https://a.jp:8443/", false},
        {"http://a.jp/", "http://b.jp/", false},
        {"http://a.jp/", "https://a.jp.evil.jp/", false},
        {"http://a.jp/", "http://x@a.jp/", false},
        {"http://a.jp/", "ftp://a.jp/", false},
        {"http://a.jp/", "", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (origin_allows(cases[i].from, cases[i].to) != cases[i].allowed)
            fail_msg("%s to %s", cases[i].from, cases[i].to);
}

static void test_environment_is_ignored(void **state)
{
    struct fixture *f = *state;
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("all_proxy", "http://127.0.0.1:1", 1);
    enum err got = get(f, "/ok");
    unsetenv("http_proxy");
    unsetenv("all_proxy");
    assert_int_equal(got, OK);
}

static void test_many_at_once(void **state)
{
    struct fixture *f = *state;
    struct tally t;
    tally_init(&t);
    start(f);
    struct client_request r = {.method = "POST",
                               .url = url_of(f, "127.0.0.1", "/ok"),
                               .body = S("{}"),
                               .done = tally_done,
                               .ctx = &t};
    for (int i = 0; i < 1000; i++)
        assert_int_equal(client_send(f->client, &r, &f->e), OK);
    tally_wait(&t, 1000);
    assert_int_equal(t.good, 1000);
    assert_int_equal(f->server.requests, 1000);
    assert_true(f->server.peak <= 4);
    assert_true(f->server.n <= 4);
}

/* A host that hangs takes its own connections only. */
static void test_hosts_are_apart(void **state)
{
    struct fixture *f = *state;
    struct tally stuck, good;
    tally_init(&stuck);
    tally_init(&good);
    f->options.connections = 3;
    f->options.connections_per_host = 2;
    start(f);
    struct client_request r = {.url = url_of(f, "127.0.0.1", "/hang"),
                               .done = tally_done,
                               .ctx = &stuck};
    for (int i = 0; i < 100; i++)
        assert_int_equal(client_send(f->client, &r, &f->e), OK);
    r.url = url_of(f, "localhost", "/ok");
    r.ctx = &good;
    for (int i = 0; i < 100; i++)
        assert_int_equal(client_send(f->client, &r, &f->e), OK);
    tally_wait(&good, 100);
    assert_int_equal(good.good, 100);
    assert_int_equal(stuck.answers, 0);
    assert_true(f->server.peak <= 3);
    client_free(f->client);
    f->client = NULL;
    assert_int_equal(stuck.answers, 100);
    assert_int_equal(stuck.good, 0);
    assert_int_equal(stuck.codes[0], ERR_UNAVAILABLE);
}

static void test_done_may_send(void **state)
{
    struct fixture *f = *state;
    struct tally t;
    tally_init(&t);
    start(f);
    t.next = (struct client_request){.url = url_of(f, "127.0.0.1", "/ok"),
                                     .done = tally_done,
                                     .ctx = &t};
    t.chain = f->client;
    assert_int_equal(client_send(f->client, &t.next, &f->e), OK);
    tally_wait(&t, 8);
    assert_int_equal(t.good, 8);
}

static void test_queue_is_bounded(void **state)
{
    struct fixture *f = *state;
    struct tally t;
    tally_init(&t);
    f->options.connections_per_host = 1;
    f->options.queue_max = 2;
    start(f);
    struct client_request r = {.url = url_of(f, "127.0.0.1", "/hang"),
                               .done = tally_done,
                               .ctx = &t};
    int sent = 0, refused = 0; /* one runs (sooner or later), two wait */
    for (int i = 0; i < 4; i++) {
        enum err got = client_send(f->client, &r, &f->e);
        sent += got == OK;
        refused += got == ERR_UNAVAILABLE;
    }
    client_free(f->client);
    f->client = NULL;
    assert_true(refused == 1 || refused == 2);
    assert_int_equal(sent + refused, 4);
    assert_int_equal(t.answers, sent);
}

static void fetch_inside(void *ctx, const struct client_answer *a)
{
    struct fixture *f = ctx;
    struct client_answer unused;
    (void)a;
    struct client_request r = {.url = S("http://127.0.0.1:1/")};
    enum err got = client_fetch(f->client, &f->arena, &r, &unused, NULL);
    pthread_mutex_lock(&f->server.lock);
    f->e.code = got;
    pthread_mutex_unlock(&f->server.lock);
}

static void test_fetch_on_own_thread(void **state)
{
    struct fixture *f = *state;
    start(f);
    struct client_request r = {.url = url_of(f, "127.0.0.1", "/hang"),
                               .done = fetch_inside,
                               .ctx = f};
    assert_int_equal(client_send(f->client, &r, NULL), OK);
    client_free(f->client);
    f->client = NULL;
    assert_int_equal(f->e.code, ERR_INTERNAL);
}

static void test_options(void **state)
{
    struct fixture *f = *state;
    f->options.connect_ms = 0;
    assert_null(client_new(&f->options, &f->e));
    assert_int_equal(f->e.code, ERR_INVALID);
    assert_string_equal(client_config.module, "client");
    client_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_answer),
        TEST(test_what_is_sent),
        TEST(test_connections_are_kept),
        TEST(test_bad_requests),
        TEST(test_no_answer),
        TEST(test_time_is_limited),
        TEST(test_waiting_is_limited),
        TEST(test_long_answers),
        TEST(test_redirects),
        TEST(test_private_hosts),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_origins),
        TEST(test_environment_is_ignored),
        TEST(test_many_at_once),
        TEST(test_hosts_are_apart),
        TEST(test_done_may_send),
        TEST(test_queue_is_bounded),
        TEST(test_fetch_on_own_thread),
        TEST(test_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
