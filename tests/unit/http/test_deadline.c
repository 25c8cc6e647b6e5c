/* Slow clients, requests that wait, streams, and the end of the server. */
#include "server_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static struct lab lab;

static void short_times(struct http_options *o)
{
    o->header_deadline_s = 1;
    o->idle_s = 2;
    o->body_min_rate = 1000;
    o->request_deadline_s = 1;
    o->connections_per_client = 0;
}

static int start(void **state)
{
    (void)state;
    lab_start(&lab, NULL);
    return 0;
}

static int start_short(void **state)
{
    (void)state;
    lab_start(&lab, short_times);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    lab_stop(&lab);
    return 0;
}

/* --- slow clients; all at once, because each takes seconds --- */

struct dribble {
    int fd;
    const char *text;
    size_t at;
    int closed_after; /* tenths of a second, 0: not yet */
};

static void test_dribbling_is_ended(void **state)
{
    (void)state;
    enum { LINE, HEADERS, SECOND, IDLE, COUNT };
    struct dribble d[COUNT] = {
        [LINE] = {.text = "GET /hello?aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
        [HEADERS] = {.text =
                         "GET /hello HTTP/1.1\r\nHost: x\r\nX-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
        [SECOND] = {.text = "GET /hello HTTP/1.1\r\nHost: x\r\nX-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
        [IDLE] = {.text = ""},
    };
    for (int i = 0; i < COUNT; i++)
        d[i].fd = lab_connect(&lab);
    lab_write(d[SECOND].fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(lab_read(d[SECOND].fd)->status, 200);
    lab_write(d[IDLE].fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(lab_read(d[IDLE].fd)->status, 200);
    lab_write_n(d[HEADERS].fd, d[HEADERS].text, 34);
    d[HEADERS].at = 34;
    int open = COUNT;
    for (int tenth = 1; tenth <= 50 && open; tenth++) {
        for (int i = 0; i < COUNT; i++) {
            if (d[i].closed_after)
                continue;
            if (lab_is_closed(d[i].fd, i == 0 ? 100 : 0)) {
                d[i].closed_after = tenth;
                open--;
            } else if (d[i].text[d[i].at]) {
                lab_write_n(d[i].fd, d[i].text + d[i].at++, 1);
            }
        }
        if (d[0].closed_after) {
            struct timespec t = {0, 100 * 1000 * 1000};
            nanosleep(&t, NULL);
        }
    }
    for (int i = 0; i < COUNT; i++) {
        if (!d[i].closed_after)
            fail_msg("connection %d stays open", i);
        close(d[i].fd);
    }
    assert_true(d[LINE].closed_after >= 10 && d[LINE].closed_after <= 30);
    assert_true(d[HEADERS].closed_after >= 10 && d[HEADERS].closed_after <= 30);
    assert_true(d[IDLE].closed_after >= 20);
    assert_int_equal(atomic_load(&lab.handled), 0);
}

static void test_slow_body_is_ended(void **state)
{
    static char some[20000];
    (void)state;
    int slow = lab_connect(&lab), fair = lab_connect(&lab);
    static const char head[] = "POST /size HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n";
    memset(some, 'b', sizeof(some));
    lab_write(slow, head);
    lab_write_n(slow, some, 100);
    lab_write(fair, head);
    lab_write_n(fair, some, 19999);
    lab_write(slow, "b"); /* after this the server has seen all of it, or soon will */
    assert_false(lab_is_closed(slow, 50));
    atomic_fetch_add(&lab.clock.ahead, 8 * SECOND_US); /* 101 of 8000 bytes, 19999 of 8000 */
    assert_true(lab_is_closed(slow, 2500));
    lab_write(fair, "b");
    assert_int_equal(lab_read(fair)->status, 200);
    close(slow);
    close(fair);
}

/* --- HTTP_LATER --- */

static void test_later(void **state)
{
    (void)state;
    int fd = lab_connect(&lab);
    lab_write(fd, "GET /later HTTP/1.1\r\nHost: x\r\nX-Who: me\r\n\r\n");
    assert_true(lab_wait_later(&lab, 1, 2000));
    lab_resume_all(&lab);
    assert_string_equal(lab_read(fd)->body, "late me");
    lab_write(fd, "POST /later HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nX-Who: you\r\n\r\nabc");
    assert_true(lab_wait_later(&lab, 1, 2000));
    lab_resume_all(&lab);
    assert_string_equal(lab_read(fd)->body, "late you");
    for (int i = 0; i < 200; i++) { /* the owner is as fast as the handler */
        lab_write(fd, "GET /at-once HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_string_equal(lab_read(fd)->body, "at once");
    }
    close(fd);
}

enum { CROWD = 1000 };

static void no_limit(struct http_options *o)
{
    o->connections_per_client = 0;
}

static void test_a_thousand_wait(void **state)
{
    (void)state;
    static int fds[CROWD];
    lab_stop(&lab);
    lab_start(&lab, no_limit);
    for (int i = 0; i < CROWD; i++) {
        char text[128];
        fds[i] = lab_connect(&lab);
        snprintf(text, sizeof(text), "GET /later HTTP/1.1\r\nHost: x\r\nX-Who: %d\r\n\r\n", i);
        lab_write(fds[i], text);
    }
    assert_true(lab_wait_later(&lab, CROWD, 5000));
    /* Others are served meanwhile. */
    assert_int_equal(lab_ask(&lab, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")->status, 200);
    lab_resume_all(&lab);
    for (int i = 0; i < CROWD; i++) {
        char want[32];
        snprintf(want, sizeof(want), "late %d", i);
        assert_string_equal(lab_read(fds[i])->body, want);
        close(fds[i]);
    }
}

static void test_deadline_and_late_owner(void **state)
{
    (void)state;
    int answered = lab_connect(&lab), left = lab_connect(&lab);
    lab_write(answered, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    lab_write(left, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(lab_wait_later(&lab, 2, 2000));
    close(left); /* the owner does not know, and must not be harmed */
    struct reply *r = lab_read(answered);
    assert_int_equal(r->status, 503);
    assert_non_null(reply_header(r, "Retry-After"));
    assert_true(lab_is_closed(answered, 1000));
    close(answered);
    lab_resume_all(&lab); /* both late: dropped, and the memory is given back (ASan looks) */
    assert_int_equal(lab_ask(&lab, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")->status, 200);
}

/* --- streams --- */

static void test_stream(void **state)
{
    (void)state;
    char text[256] = {0};
    int fd = lab_connect(&lab);
    lab_write(fd, "GET /events HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n");
    struct reply *r = lab_read_head(fd);
    assert_int_equal(r->status, 200);
    assert_string_equal(reply_header(r, "Content-Type"), "text/event-stream");
    assert_string_equal(reply_header(r, "X-Accel-Buffering"), "no");
    assert_null(reply_header(r, "Content-Encoding"));
    static const char first[] = "D\r\ndata: first\n\n\r\n";
    lab_say(&lab, "data: first\n\n");
    assert_int_equal(recv(fd, text, sizeof(first) - 1, MSG_WAITALL), sizeof(first) - 1);
    assert_string_equal(text, first);
    lab_say(&lab, "data: again\n\n");
    assert_int_equal(recv(fd, text, sizeof(first) - 1, MSG_WAITALL), sizeof(first) - 1);
    assert_non_null(strstr(text, "data: again"));
    lab_end_stream(&lab);
    assert_int_equal(recv(fd, text, 5, MSG_WAITALL), 5);
    assert_memory_equal(text, "0\r\n\r\n", 5);
    assert_true(lab_wait(&lab.stream_done, 1, 2000));
    close(fd);
    /* HEAD of a stream: no byte of it, and done() is called. */
    assert_int_equal(lab_ask(&lab, "HEAD /events HTTP/1.1\r\nHost: x\r\n\r\n")->status, 200);
    assert_true(lab_wait(&lab.stream_done, 2, 2000));
}

static void test_listener_leaves(void **state)
{
    (void)state;
    int fd = lab_connect(&lab);
    lab_write(fd, "GET /events HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(lab_read_head(fd)->status, 200);
    close(fd); /* nothing is sent, so only the reaper can notice */
    assert_true(lab_wait(&lab.stream_done, 1, 3000));
}

/* --- the end --- */

static void *stop_later(void *arg)
{
    server_stop(arg);
    return NULL;
}

static void test_graceful_stop(void **state)
{
    (void)state;
    static struct lab other;
    pthread_t thread;
    lab_start(&other, NULL);
    int waiting = lab_connect(&other), idle = lab_connect(&other), stream = lab_connect(&other);
    lab_write(waiting, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    lab_write(stream, "GET /events HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(lab_read_head(stream)->status, 200);
    assert_true(lab_wait_later(&other, 1, 2000));
    assert_int_equal(pthread_create(&thread, NULL, stop_later, other.server), 0);
    assert_true(lab_is_closed(idle, 2000));
    assert_true(lab_is_closed(stream, 2000));
    lab_resume_all(&other); /* a running request may finish */
    struct reply *r = lab_read(waiting);
    assert_int_equal(r->status, 200);
    assert_string_equal(reply_header(r, "Connection"), "close");
    pthread_join(thread, NULL);
    assert_int_equal(atomic_load(&other.stream_done), 1);
    lab_clean(&other);
    close(waiting), close(idle), close(stream);
}

static void test_stop_does_not_wait_for_ever(void **state)
{
    (void)state;
    static struct lab other;
    lab_start(&other, NULL);
    int fd = lab_connect(&other);
    lab_write(fd, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(lab_wait_later(&other, 1, 2000));
    server_stop(other.server);
    assert_int_equal(lab_read(fd)->status, 503);
    lab_resume_all(&other); /* after the server is gone: harmless */
    lab_clean(&other);
    close(fd);
}

#define TEST(name)  cmocka_unit_test_setup_teardown(name, start, stop)
#define SHORT(name) cmocka_unit_test_setup_teardown(name, start_short, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHORT(test_dribbling_is_ended),
        SHORT(test_slow_body_is_ended),
        TEST(test_later),
        TEST(test_a_thousand_wait),
        SHORT(test_deadline_and_late_owner),
        TEST(test_stream),
        TEST(test_listener_leaves),
        cmocka_unit_test(test_graceful_stop),
        cmocka_unit_test(test_stop_does_not_wait_for_ever),
    };
    return cmocka_run_group_tests_name("deadline", tests, NULL, NULL);
}
