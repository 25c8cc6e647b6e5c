#include "server_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/log.h"
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

static struct lab lab;

static int start(void **state)
{
    (void)state;
    lab_start(&lab, NULL);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    lab_stop(&lab);
    return 0;
}

static struct reply *get(const char *path, const char *headers)
{
    char text[4096];
    snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n", path, headers);
    return lab_ask(&lab, text);
}

static void assert_has(const struct reply *r, const char *text)
{
    if (!strstr(r->body, text))
        fail_msg("\"%s\" is not in: %s", text, r->body);
}

/* --- the plain way --- */

static void test_answers(void **state)
{
    (void)state;
    struct reply *r = get("/hello", "X-Request-Id: abc-1\r\n");
    assert_int_equal(r->status, 200);
    assert_string_equal(r->body, "hello");
    assert_string_equal(reply_header(r, "Content-Type"), "text/plain");
    assert_string_equal(reply_header(r, "X-Request-Id"), "abc-1");
    assert_string_equal(reply_header(r, "X-Content-Type-Options"), "nosniff");
    assert_null(reply_header(r, "Strict-Transport-Security"));
    assert_null(reply_header(r, "Access-Control-Allow-Origin"));
    r = get("/hello", "X-Request-Id: bad id!\r\n");
    assert_int_equal(strlen(reply_header(r, "X-Request-Id")), 32);
}

static void test_request_is_understood(void **state)
{
    (void)state;
    struct reply *r = get("/echo/urn%3Angsi-ld%3AA%2FB?x=1&y=a+b%20%E3%81%82&z", "");
    assert_int_equal(r->status, 200);
    assert_has(r, "\"path\":\"/echo/urn%3Angsi-ld%3AA%2FB\"");
    assert_has(r, "\"id\":\"urn:ngsi-ld:A/B\"");
    assert_has(r, "\"query\":[\"x\",\"1\",\"y\",\"a b \xE3\x81\x82\",\"z\",\"\"]");
    assert_has(r, "\"client\":\"127.0.0.1\"");
    assert_has(r, "\"tls\":false");
    assert_has(r, "\"worker\":true");
    r = lab_ask(&lab, "GET http://other.example/echo/9?a=b HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_has(r, "\"path\":\"/echo/9\"");
    /* Nobody is trusted, so nobody may say who he is. */
    r = get("/echo/1", "X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\n");
    assert_has(r, "\"client\":\"127.0.0.1\"");
    assert_has(r, "\"tls\":false");
}

static void test_keep_alive_and_pipelining(void **state)
{
    (void)state;
    int fd = lab_connect(&lab);
    for (int i = 0; i < 3; i++) {
        lab_write(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_int_equal(lab_read(fd)->status, 200);
    }
    lab_write(fd, "GET /echo/1 HTTP/1.1\r\nHost: x\r\n\r\n"
                  "POST /echo/2 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
                  "GET /at-once HTTP/1.1\r\nHost: x\r\n\r\n"
                  "GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_has(lab_read(fd), "\"id\":\"1\"");
    struct reply *r = lab_read(fd);
    assert_has(r, "\"id\":\"2\"");
    assert_has(r, "\"body\":\"abc\"");
    assert_string_equal(lab_read(fd)->body, "at once");
    assert_string_equal(lab_read(fd)->body, "hello");
    assert_true(lab_is_closed(fd, 1000));
    close(fd);
}

static void test_old_protocol(void **state)
{
    (void)state;
    int fd = lab_connect(&lab);
    lab_write(fd, "GET /hello HTTP/1.0\r\n\r\n");
    assert_string_equal(lab_read(fd)->body, "hello");
    assert_true(lab_is_closed(fd, 1000));
    close(fd);
    fd = lab_connect(&lab); /* a stream without chunks ends with the connection */
    lab_write(fd, "GET /events HTTP/1.0\r\n\r\n");
    assert_int_equal(lab_read_head(fd)->status, 200);
    lab_say(&lab, "data: x\n\n");
    char text[16] = {0};
    assert_int_equal(recv(fd, text, 9, MSG_WAITALL), 9);
    assert_string_equal(text, "data: x\n\n");
    lab_end_stream(&lab);
    assert_true(lab_is_closed(fd, 1000));
    close(fd);
}

static void test_methods(void **state)
{
    (void)state;
    struct reply *r = lab_ask(&lab, "HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(r->status, 200);
    assert_string_equal(reply_header(r, "Content-Length"), "5");
    int fd = lab_connect(&lab); /* no body after HEAD: the next answer follows at once */
    lab_write(fd, "HEAD /text HTTP/1.1\r\nHost: x\r\n\r\nGET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    lab_read_head(fd);
    assert_string_equal(lab_read(fd)->body, "hello");
    close(fd);
    r = lab_ask(&lab, "OPTIONS /echo/1 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(r->status, 204);
    assert_string_equal(reply_header(r, "Allow"), "GET, POST, DELETE, HEAD, OPTIONS");
    r = lab_ask(&lab, "PUT /echo/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nxx");
    assert_int_equal(r->status, 405);
    assert_string_equal(reply_header(r, "Allow"), "GET, POST, DELETE, HEAD, OPTIONS");
    assert_string_equal(reply_header(r, "Content-Type"), "application/problem+json");
    assert_int_equal(lab_ask(&lab, "TRACE /echo/1 HTTP/1.1\r\nHost: x\r\n\r\n")->status, 501);
    assert_int_equal(lab_ask(&lab, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")->status, 204);
}

static void test_errors(void **state)
{
    (void)state;
    struct reply *r = get("/nothing", "");
    assert_int_equal(r->status, 404);
    assert_has(r, "\"title\":\"Not Found\"");
    assert_has(r, "\"status\":404");
    r = get("/nothing", "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n");
    assert_int_equal(r->status, 404);
    assert_string_equal(reply_header(r, "Content-Type"), "text/html; charset=utf-8");
    assert_non_null(reply_header(r, "Content-Security-Policy"));
    assert_int_equal(get("/echo/%zz", "")->status, 400);
    assert_int_equal(get("/echo/%00", "")->status, 400);
    r = get("/broken", "");
    assert_int_equal(r->status, 500);
    assert_null(strstr(r->body, "secret"));
    assert_int_equal(get("/silent", "")->status, 500);
}

static void test_pages_are_armoured(void **state)
{
    (void)state;
    struct reply *r = get("/page", "");
    assert_string_equal(reply_header(r, "X-Frame-Options"), "DENY");
    assert_string_equal(reply_header(r, "Referrer-Policy"), "strict-origin-when-cross-origin");
    assert_non_null(strstr(reply_header(r, "Content-Security-Policy"), "default-src 'none'"));
    assert_non_null(
        strstr(r->head, "Set-Cookie: session=abc; Path=/; Max-Age=60; SameSite=Lax; HttpOnly\r\n"));
    assert_non_null(strstr(r->head, "Set-Cookie: lang=ja; Path=/; Max-Age=60; SameSite=Lax\r\n"));
}

/* --- bodies --- */

static void test_chunked(void **state)
{
    (void)state;
    int fd = lab_connect(&lab);
    lab_write(fd, "POST /echo/c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "5\r\nhello\r\n");
    lab_write(fd, "7;ext=1\r\n, world\r\n0\r\n\r\n");
    assert_has(lab_read(fd), "\"body\":\"hello, world\"");
    lab_write(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_string_equal(lab_read(fd)->body, "hello");
    close(fd);
}

static void test_expect_continue(void **state)
{
    (void)state;
    int fd = lab_connect(&lab);
    lab_write(fd, "POST /echo/c HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"
                  "Expect: 100-continue\r\n\r\n");
    char line[64] = {0};
    assert_int_equal(read(fd, line, 25), 25);
    assert_memory_equal(line, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    lab_write(fd, "late");
    assert_has(lab_read(fd), "\"body\":\"late\"");
    close(fd);
    /* Too long: no 100, the body need not be sent at all. */
    fd = lab_connect(&lab);
    lab_write(fd, "POST /echo/c HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n"
                  "Expect: 100-continue\r\n\r\n");
    assert_int_equal(read(fd, line, 12), 12);
    assert_memory_equal(line, "HTTP/1.1 413", 12);
    close(fd);
}

static char *filled(size_t n)
{
    char *p = malloc(n);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++)
        p[i] = (char)(i * 7 + i / 251);
    return p;
}

static void post_size(size_t n, bool chunked)
{
    char *body = filled(n), head[256], want[64];
    unsigned sum = 0;
    int fd = lab_connect(&lab);
    for (size_t i = 0; i < n; i++)
        sum = sum * 31 + (unsigned char)body[i];
    if (chunked)
        snprintf(head, sizeof(head),
                 "POST /size HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n", n);
    else
        snprintf(head, sizeof(head),
                 "POST /size HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", n);
    lab_write(fd, head);
    lab_write_n(fd, body, n);
    if (chunked)
        lab_write(fd, "\r\n0\r\n\r\n");
    snprintf(want, sizeof(want), "%zu %u", n, sum);
    assert_string_equal(lab_read(fd)->body, want);
    close(fd);
    free(body);
}

static void test_bodies_of_all_sizes(void **state)
{
    (void)state;
    post_size(1, false);
    post_size(16 * 1024, false);     /* in the arena */
    post_size(16 * 1024 + 1, false); /* on the heap */
    post_size(700 * 1024, true);
    post_size(3 * 1024 * 1024, false); /* spooled */
    post_size(3 * 1024 * 1024, true);
}

static void test_too_long(void **state)
{
    (void)state;
    struct reply *r =
        lab_ask(&lab, "POST /echo/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\nx");
    assert_int_equal(r->status, 413);
    /* Chunked, so that it is noticed on the way; the limit is 4 MiB. */
    size_t n = 4 * 1024 * 1024 + 70 * 1024;
    char *body = filled(n), head[160];
    int fd = lab_connect(&lab);
    snprintf(head, sizeof(head),
             "POST /echo/1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n", n);
    lab_write(fd, head);
    lab_write_n(fd, body, n);
    lab_write(fd, "\r\n0\r\n\r\n");
    assert_int_equal(lab_read(fd)->status, 413);
    close(fd);
    free(body);
    char *line = malloc(40000);
    assert_non_null(line);
    memset(line, 'a', 40000);
    memcpy(line, "GET /", 5);
    memcpy(line + 39960, " HTTP/1.1\r\nHost: x\r\n\r\n", 23);
    int status = lab_ask(&lab, line)->status;
    assert_int_equal(status, 414);
    memcpy(line, "GET /hello HTTP/1.1\r\nHost: x\r\nX-A: ", 35);
    memcpy(line + 39960, "\r\n\r\n", 5);
    assert_int_equal(lab_ask(&lab, line)->status, 431);
    free(line);
}

/* --- requests that hide other requests --- */

static void assert_refused(const char *head, int status)
{
    int fd = lab_connect(&lab);
    int before = atomic_load(&lab.handled);
    lab_write(fd, head);
    lab_write(fd, "GET /echo/smuggled HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(lab_read(fd)->status, status);
    if (!lab_is_closed(fd, 1000) || atomic_load(&lab.handled) != before)
        fail_msg("went on after: %s", head);
    close(fd);
}

static void test_smuggling(void **state)
{
    (void)state;
    assert_refused("POST /echo/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
                   "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                   400);
    assert_refused("POST /echo/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
                   "Content-Length: 6\r\n\r\n",
                   400);
    assert_refused("POST /echo/1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
                   "0\r\n\r\n",
                   501);
    assert_refused("POST /echo/1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n"
                   "0\r\n\r\n",
                   501);
    assert_refused("POST /echo/1 HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400);
    assert_refused("POST /echo/1 HTTP/1.1\r\nHost: x\r\nContent-Length : 5\r\n\r\n", 400);
    assert_refused("GET /echo/1 HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400);
    assert_refused("GET /echo/1 HTTP/1.1\r\n\r\n", 400); /* no Host */
    assert_refused("\x16\x03\x01", 400);                 /* TLS on a plain port */
}

/* --- conditions, ranges, compression --- */

static void test_conditions(void **state)
{
    (void)state;
    struct reply *r = get("/text", "");
    assert_string_equal(reply_header(r, "ETag"), "\"v1\"");
    assert_string_equal(reply_header(r, "Last-Modified"), "Tue, 14 Nov 2023 22:13:20 GMT");
    r = get("/text", "If-None-Match: \"v0\", W/\"v1\"\r\n");
    assert_int_equal(r->status, 304);
    assert_string_equal(reply_header(r, "ETag"), "\"v1\"");
    assert_int_equal(get("/text", "If-None-Match: \"v0\"\r\n")->status, 200);
    assert_int_equal(get("/text", "If-None-Match: *\r\n")->status, 304);
    assert_int_equal(get("/text", "If-Match: \"v0\"\r\n")->status, 412);
    assert_int_equal(get("/text", "If-Match: \"v1\"\r\n")->status, 200);
    assert_int_equal(get("/text", "If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT\r\n")->status,
                     304);
    assert_int_equal(get("/text", "If-Modified-Since: Tue, 14 Nov 2023 22:13:19 GMT\r\n")->status,
                     200);
}

static void test_ranges(void **state)
{
    (void)state;
    struct reply *r = get("/text", "Range: bytes=0-7\r\n");
    assert_int_equal(r->status, 206);
    assert_string_equal(r->body, "line 000");
    assert_string_equal(reply_header(r, "Content-Range"), "bytes 0-7/4500");
    r = get("/text", "Range: bytes=-4\r\n");
    assert_string_equal(r->body, "499\n");
    r = get("/text", "Range: bytes=4491-\r\n");
    assert_string_equal(r->body, "line 499\n");
    r = get("/text", "Range: bytes=4500-\r\n");
    assert_int_equal(r->status, 416);
    assert_string_equal(reply_header(r, "Content-Range"), "bytes */4500");
    assert_int_equal(get("/text", "Range: bytes=0-1,5-6\r\n")->status, 200);
    assert_int_equal(get("/text", "Range: bytes=0-1\r\nIf-Range: \"v0\"\r\n")->status, 200);
    assert_int_equal(get("/text", "Range: bytes=0-1\r\nIf-Range: \"v1\"\r\n")->status, 206);
}

static void write_file(const char *name, const void *p, size_t n)
{
    char path[160];
    snprintf(path, sizeof(path), "%s/%s", lab.spool, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    fclose(f);
}

static void remove_file(const char *name)
{
    char path[160];
    snprintf(path, sizeof(path), "%s/%s", lab.spool, name);
    unlink(path);
}

static void test_files(void **state)
{
    (void)state;
    write_file("a.txt", "0123456789", 10);
    struct reply *r = get("/file/a.txt", "");
    assert_int_equal(r->status, 200);
    assert_string_equal(r->body, "0123456789");
    assert_string_equal(reply_header(r, "Accept-Ranges"), "bytes");
    char condition[128];
    snprintf(condition, sizeof(condition), "If-None-Match: %s\r\n", reply_header(r, "ETag"));
    assert_int_equal(get("/file/a.txt", condition)->status, 304);
    r = get("/file/a.txt", "Range: bytes=2-4\r\n");
    assert_int_equal(r->status, 206);
    assert_string_equal(r->body, "234");
    write_file("a.txt.gz", "packed", 6);
    r = get("/file/a.txt", "Accept-Encoding: gzip\r\n");
    assert_string_equal(r->body, "packed");
    assert_string_equal(reply_header(r, "Content-Encoding"), "gzip");
    assert_string_equal(get("/file/a.txt", "")->body, "0123456789");
    write_file("empty", "", 0);
    r = get("/file/empty", "");
    assert_int_equal(r->status, 200);
    assert_int_equal(r->body_n, 0);
    assert_int_equal(get("/file/none", "")->status, 404);
    assert_int_equal(get("/file/..", "")->status, 404);
    remove_file("a.txt");
    remove_file("a.txt.gz");
    remove_file("empty");
}

static void test_gzip(void **state)
{
    (void)state;
    struct reply *r = get("/text", "Accept-Encoding: br, gzip\r\n");
    assert_string_equal(reply_header(r, "Content-Encoding"), "gzip");
    assert_string_equal(reply_header(r, "Vary"), "Accept-Encoding");
    assert_string_equal(reply_header(r, "ETag"), "W/\"v1\"");
    assert_true(r->body_n < 2000);
    char out[8192];
    z_stream z = {.next_in = (Bytef *)r->body,
                  .avail_in = (uInt)r->body_n,
                  .next_out = (Bytef *)out,
                  .avail_out = sizeof(out)};
    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.total_out, 4500);
    assert_memory_equal(out, "line 000\nline 001\n", 18);
    inflateEnd(&z);
    assert_null(reply_header(get("/text", "Accept-Encoding: gzip;q=0\r\n"), "Content-Encoding"));
    assert_null(reply_header(get("/hello", "Accept-Encoding: gzip\r\n"), "Content-Encoding"));
    assert_int_equal(get("/text", "If-None-Match: W/\"v1\"\r\nAccept-Encoding: gzip\r\n")->status,
                     304);
}

/* --- other sites --- */

static void test_cors(void **state)
{
    (void)state;
    struct reply *r = get("/echo/1", "Origin: https://elsewhere.example\r\n");
    assert_string_equal(reply_header(r, "Access-Control-Allow-Origin"), "*");
    assert_null(reply_header(r, "Access-Control-Allow-Credentials"));
    assert_non_null(strstr(reply_header(r, "Access-Control-Expose-Headers"), "ETag"));
    assert_null(reply_header(get("/hello", "Origin: https://elsewhere.example\r\n"),
                             "Access-Control-Allow-Origin"));
    r = lab_ask(&lab, "OPTIONS /echo/1 HTTP/1.1\r\nHost: x\r\nOrigin: https://elsewhere.example\r\n"
                      "Access-Control-Request-Method: POST\r\n"
                      "Access-Control-Request-Headers: content-type, link\r\n\r\n");
    assert_int_equal(r->status, 204);
    assert_string_equal(reply_header(r, "Access-Control-Allow-Origin"), "*");
    assert_string_equal(reply_header(r, "Access-Control-Allow-Headers"), "content-type, link");
    assert_non_null(strstr(reply_header(r, "Access-Control-Allow-Methods"), "POST"));
}

static void with_friends(struct http_options *o)
{
    o->cors_origins = "https://one.example https://two.example";
    o->trusted_proxies = "127.0.0.1 10.0.0.1";
}

static void test_friends_and_proxies(void **state)
{
    (void)state;
    lab_stop(&lab);
    lab_start(&lab, with_friends);
    struct reply *r = get("/hello", "Origin: https://two.example\r\n");
    assert_string_equal(reply_header(r, "Access-Control-Allow-Origin"), "https://two.example");
    assert_string_equal(reply_header(r, "Access-Control-Allow-Credentials"), "true");
    assert_string_equal(reply_header(r, "Vary"), "Origin");
    r = get("/hello", "Origin: https://two.example.evil\r\n");
    assert_null(reply_header(r, "Access-Control-Allow-Origin"));
    r = get("/echo/1", "X-Forwarded-For: 6.6.6.6, 8.8.8.8, 10.0.0.1\r\n"
                       "X-Forwarded-Proto: https\r\n");
    assert_has(r, "\"client\":\"8.8.8.8\"");
    assert_has(r, "\"tls\":true");
    assert_non_null(reply_header(r, "Strict-Transport-Security"));
    assert_has(get("/echo/1", "X-Forwarded-For: rubbish\r\n"), "\"client\":\"127.0.0.1\"");
}

static void with_rate(struct http_options *o)
{
    o->rate_per_s = 1;
    o->rate_burst = 3;
    o->connections_per_client = 2;
}

static void test_limits_per_client(void **state)
{
    (void)state;
    lab_stop(&lab);
    lab_start(&lab, with_rate);
    int fd = lab_connect(&lab);
    for (int i = 0; i < 3; i++) {
        lab_write(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_int_equal(lab_read(fd)->status, 200);
    }
    lab_write(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    struct reply *r = lab_read(fd);
    assert_int_equal(r->status, 429);
    assert_string_equal(reply_header(r, "Retry-After"), "1");
    lab_write(fd, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(lab_read(fd)->status, 200);
    int second = lab_connect(&lab);
    lab_write(second, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(lab_read(second)->status, 200);
    int third = lab_connect(&lab);
    assert_true(lab_is_closed(third, 1000));
    close(third);
    close(second);
    close(fd);
}

static void with_held_refusals(struct http_options *o)
{
    o->rate_per_s = 1;
    o->rate_burst = 1;
    o->refusal_hold_ms = 10000;
    o->refusals_held = 2;
}

static void with_short_holds(struct http_options *o)
{
    with_held_refusals(o);
    o->refusal_hold_ms = 200;
}

static bool has_answer(int fd)
{
    struct pollfd p = {fd, POLLIN, 0};
    return poll(&p, 1, 0) > 0;
}

/* Asks until it is refused, of which nothing is to be seen while the refusal waits. */
static int refused(void)
{
    int fd = lab_connect(&lab);
    lab_write(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    return fd;
}

static int64_t ms_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void test_refusals_are_sent_late(void **state)
{
    (void)state;
    lab_stop(&lab);
    lab_start(&lab, with_short_holds);
    int fds[3], n = 0, late = 0;
    int64_t began = ms_now();
    while (late == 0 && n++ < 50) { /* one is let through now and then */
        for (int i = 0; i < 3; i++)
            fds[i] = refused();
        for (int i = 0; i < 2; i++)
            late += lab_read(fds[i])->status == 429 && ms_now() - began >= 150;
        for (int i = 0; i < 3; i++)
            close(fds[i]);
    }
    assert_true(late > 0);
}

static void test_held_refusals_are_bounded(void **state)
{
    (void)state;
    lab_stop(&lab);
    lab_start(&lab, with_held_refusals);
    int held[2] = {-1, -1}, n = 0;
    struct reply *r = NULL;
    for (int i = 0; i < 100 && !(r && r->status == 429); i++) {
        int fd = refused();
        struct pollfd p = {fd, POLLIN, 0};
        if (n < 2 && poll(&p, 1, 300) == 0) {
            held[n++] = fd;
            continue;
        }
        r = lab_read(fd); /* let through, or there is no room for another one to wait */
        close(fd);
    }
    assert_int_equal(n, 2);
    assert_non_null(r);
    assert_int_equal(r->status, 429);
    assert_false(has_answer(held[0]));
    close(held[0]); /* one leaves; the other one is answered when the server stops */
    lab_stop(&lab);
    r = lab_read(held[1]);
    assert_int_equal(r->status, 429);
    close(held[1]);
    lab_start(&lab, NULL);
}

static void with_log(struct http_options *o)
{
    o->access_log = true;
}

static void test_access_log(void **state)
{
    (void)state;
    char text[4096] = {0};
    lab_stop(&lab);
    lab_start(&lab, with_log);
    FILE *f = tmpfile();
    assert_non_null(f);
    log_set_fd(fileno(f));
    log_set_level(LOG_INFO);
    int fd = lab_connect(&lab);
    lab_write(fd, "GET /echo/1?token=secret HTTP/1.1\r\nHost: x\r\nX-Request-Id: r-7\r\n"
                  "Authorization: Bearer secret\r\n\r\nGET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(lab_read(fd)->status, 200);
    assert_int_equal(lab_read(fd)->status, 200);
    lab_stop(&lab); /* after it nobody writes */
    log_set_level(LOG_OFF);
    log_set_fd(2);
    rewind(f);
    assert_true(fread(text, 1, sizeof(text) - 1, f) > 0);
    assert_non_null(strstr(text, "\"event\":\"http.request\",\"id\":\"r-7\",\"method\":\"GET\","
                                 "\"path\":\"/echo/1\",\"status\":200,"));
    assert_null(strstr(text, "secret"));
    close(fd);
    fclose(f);
    lab_start(&lab, NULL);
}

static void test_cannot_start(void **state)
{
    (void)state;
    struct server *s;
    struct error e;
    struct http_options o = lab.opt;
    o.port = server_port(lab.server);
    assert_int_equal(server_start(&s, &o, &clock_system, lab.router, NULL, &e), ERR_IO);
    assert_non_null(strstr(e.text, "cannot listen on"));
    o.address = "nonsense";
    assert_int_equal(server_start(&s, &o, &clock_system, lab.router, NULL, &e), ERR_INVALID);
    o.tls_cert = "/nonexistent";
    o.tls_key = "/nonexistent";
    assert_int_equal(server_start(&s, &o, &clock_system, lab.router, NULL, &e), ERR_IO);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_answers),
        TEST(test_request_is_understood),
        TEST(test_keep_alive_and_pipelining),
        TEST(test_old_protocol),
        TEST(test_methods),
        TEST(test_errors),
        TEST(test_pages_are_armoured),
        TEST(test_chunked),
        TEST(test_expect_continue),
        TEST(test_bodies_of_all_sizes),
        TEST(test_too_long),
        TEST(test_smuggling),
        TEST(test_conditions),
        TEST(test_ranges),
        TEST(test_files),
        TEST(test_gzip),
        TEST(test_cors),
        TEST(test_friends_and_proxies),
        TEST(test_limits_per_client),
        TEST(test_refusals_are_sent_late),
        TEST(test_held_refusals_are_bounded),
        TEST(test_access_log),
        TEST(test_cannot_start),
    };
    return cmocka_run_group_tests_name("server", tests, NULL, NULL);
}
