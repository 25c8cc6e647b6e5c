#include "server_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <wslay/wslay.h>

static struct lab lab;

static void small_queue(struct http_options *o)
{
    o->ws_queue_bytes = 64 * 1024;
}

static int start(void **state)
{
    (void)state;
    lab_start(&lab, small_queue);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    lab_stop(&lab);
    return 0;
}

/* --- a client --- */

struct client {
    int fd;
    wslay_event_context_ptr wslay;
    char text[70000];
    size_t text_n;
    int texts;
    int close_code; /* that the server sent */
    bool lost;
};

static ssize_t client_recv(wslay_event_context_ptr w, uint8_t *p, size_t n, int flags, void *arg)
{
    struct client *c = arg;
    (void)flags;
    ssize_t got = recv(c->fd, p, n, MSG_DONTWAIT);
    if (got > 0)
        return got;
    c->lost = got == 0 || errno != EAGAIN;
    wslay_event_set_error(w, c->lost ? WSLAY_ERR_CALLBACK_FAILURE : WSLAY_ERR_WOULDBLOCK);
    return -1;
}

static ssize_t client_send(wslay_event_context_ptr w, const uint8_t *p, size_t n, int flags,
                           void *arg)
{
    struct client *c = arg;
    (void)flags;
    ssize_t sent = send(c->fd, p, n, MSG_NOSIGNAL);
    if (sent < 0)
        wslay_event_set_error(w, WSLAY_ERR_CALLBACK_FAILURE);
    return sent;
}

static int client_mask(wslay_event_context_ptr w, uint8_t *p, size_t n, void *arg)
{
    (void)w, (void)arg;
    memset(p, 0x5A, n);
    return 0;
}

static void client_message(wslay_event_context_ptr w, const struct wslay_event_on_msg_recv_arg *m,
                           void *arg)
{
    struct client *c = arg;
    (void)w;
    if (m->opcode == WSLAY_CONNECTION_CLOSE)
        c->close_code = m->status_code;
    if (m->opcode != WSLAY_TEXT_FRAME)
        return;
    c->text_n = m->msg_length < sizeof(c->text) ? m->msg_length : sizeof(c->text) - 1;
    memcpy(c->text, m->msg, c->text_n);
    c->text[c->text_n] = '\0';
    c->texts++;
}

#define HANDSHAKE                                                                                  \
    "GET /ws HTTP/1.1\r\nHost: city.example\r\nConnection: keep-alive, Upgrade\r\n"                \
    "Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"                        \
    "Sec-WebSocket-Version: 13\r\n"

static struct client *client_open(void)
{
    static const struct wslay_event_callbacks calls = {.recv_callback = client_recv,
                                                       .send_callback = client_send,
                                                       .genmask_callback = client_mask,
                                                       .on_msg_recv_callback = client_message};
    struct client *c = calloc(1, sizeof(*c));
    assert_non_null(c);
    c->fd = lab_connect(&lab);
    lab_write(c->fd, HANDSHAKE "\r\n");
    struct reply *r = lab_read_head(c->fd);
    assert_int_equal(r->status, 101);
    /* The example of RFC 6455 section 1.3. */
    assert_string_equal(reply_header(r, "Sec-WebSocket-Accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_string_equal(reply_header(r, "Upgrade"), "websocket");
    assert_int_equal(wslay_event_context_client_init(&c->wslay, &calls, c), 0);
    return c;
}

static void client_free(struct client *c)
{
    wslay_event_context_free(c->wslay);
    close(c->fd);
    free(c);
}

static void client_say(struct client *c, int opcode, const char *text, size_t n)
{
    struct wslay_event_msg m = {(uint8_t)opcode, (const uint8_t *)text, n};
    assert_int_equal(wslay_event_queue_msg(c->wslay, &m), 0);
    wslay_event_send(c->wslay);
}

/* Read until one more text came, a close frame, or the end. */
static void client_listen(struct client *c)
{
    int texts = c->texts;
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    while (!c->lost && !c->close_code && c->texts == texts && poll(&p, 1, 5000) == 1)
        wslay_event_recv(c->wslay);
    wslay_event_send(c->wslay); /* the answer to a close frame */
}

/* --- */

static void test_echo(void **state)
{
    (void)state;
    struct client *c = client_open();
    client_say(c, WSLAY_TEXT_FRAME, "hello", 5);
    client_listen(c);
    assert_string_equal(c->text, "hello");
    char *big = malloc(60000);
    assert_non_null(big);
    memset(big, 'x', 60000);
    client_say(c, WSLAY_TEXT_FRAME, big, 60000);
    client_listen(c);
    assert_int_equal(c->text_n, 60000);
    free(big);
    client_say(c, WSLAY_TEXT_FRAME, "bye", 3);
    client_listen(c);
    assert_int_equal(c->close_code, 1000);
    assert_true(lab_is_closed(c->fd, 2000));
    assert_true(lab_wait(&lab.ws_closed, 1, 2000));
    assert_int_equal(atomic_load(&lab.ws_open), 1);
    client_free(c);
}

static void test_sent_by_the_server(void **state)
{
    (void)state;
    struct client *c = client_open();
    assert_true(lab_wait(&lab.ws_open, 1, 2000));
    for (int i = 0; i < 3; i++) {
        pthread_mutex_lock(&lab.lock);
        assert_true(ws_send(lab.ws, S("news")));
        pthread_mutex_unlock(&lab.lock);
        client_listen(c);
        assert_string_equal(c->text, "news");
        assert_int_equal(c->texts, i + 1);
    }
    client_free(c); /* leaves without a word */
    assert_true(lab_wait(&lab.ws_closed, 1, 2000));
}

static void test_bad_messages(void **state)
{
    static char big[64 * 1024 + 1];
    (void)state;
    struct client *c = client_open();
    memset(big, 'x', sizeof(big));
    client_say(c, WSLAY_TEXT_FRAME, big, sizeof(big));
    client_listen(c);
    assert_int_equal(c->close_code, 1009);
    client_free(c);
    c = client_open();
    client_say(c, WSLAY_TEXT_FRAME, "\xC3\x28", 2);
    client_listen(c);
    assert_int_equal(c->close_code, 1007);
    client_free(c);
    c = client_open();
    client_say(c, WSLAY_BINARY_FRAME, "x", 1);
    client_listen(c);
    assert_int_equal(c->close_code, 1003);
    client_free(c);
    c = client_open();
    lab_write(c->fd, "\x81\x01x not masked"); /* RFC 6455 section 5.1: must be masked */
    client_listen(c);
    assert_true(c->close_code == 1002 || c->lost);
    client_free(c);
    assert_true(lab_wait(&lab.ws_closed, 4, 3000));
}

static void test_slow_reader(void **state)
{
    static char line[16 * 1024];
    (void)state;
    int fd = lab_connect(&lab);
    lab_write(fd, HANDSHAKE "\r\n");
    assert_int_equal(lab_read_head(fd)->status, 101);
    memset(line, 'y', sizeof(line));
    assert_true(lab_wait(&lab.ws_open, 1, 2000));
    bool fits = true;
    for (int i = 0; fits && i < 100000; i++) {
        pthread_mutex_lock(&lab.lock);
        fits = lab.ws && ws_send(lab.ws, str_n(line, sizeof(line)));
        pthread_mutex_unlock(&lab.lock);
    }
    assert_false(fits);
    /* The last four bytes are a close frame with 1013, which this version of wslay cannot read. */
    unsigned char last[4] = {0};
    struct pollfd p = {.fd = fd, .events = POLLIN};
    ssize_t got = 1;
    while (got > 0 && poll(&p, 1, 5000) == 1) {
        got = recv(fd, line, sizeof(line), 0);
        for (ssize_t i = 0; i < got; i++) {
            memmove(last, last + 1, 3);
            last[3] = (unsigned char)line[i];
        }
    }
    assert_int_equal(got, 0);
    assert_memory_equal(last, "\x88\x02\x03\xF5", 4);
    assert_true(lab_wait(&lab.ws_closed, 1, 4000));
    close(fd);
}

static void test_handshake_is_checked(void **state)
{
    (void)state;
    struct reply *r = lab_ask(&lab, "GET /ws HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(r->status, 426);
    assert_string_equal(reply_header(r, "Sec-WebSocket-Version"), "13");
    r = lab_ask(&lab, "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                      "Sec-WebSocket-Key: short\r\nSec-WebSocket-Version: 13\r\n\r\n");
    assert_int_equal(r->status, 426);
    r = lab_ask(&lab, HANDSHAKE "Origin: https://evil.example\r\n\r\n");
    assert_int_equal(r->status, 403);
    int fd = lab_connect(&lab);
    lab_write(fd, HANDSHAKE "Origin: https://city.example\r\n\r\n");
    assert_int_equal(lab_read_head(fd)->status, 101);
    close(fd);
}

static void *stop_server(void *server)
{
    server_stop(server);
    return NULL;
}

static void test_stop_says_goodbye(void **state)
{
    (void)state;
    struct client *c = client_open();
    struct client *deaf = client_open();
    assert_true(lab_wait(&lab.ws_open, 2, 2000));
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, stop_server, lab.server), 0);
    client_listen(c);
    assert_int_equal(c->close_code, 1001);
    pthread_join(thread, NULL); /* also without an answer from the other one */
    assert_int_equal(atomic_load(&lab.ws_closed), 2);
    client_free(c);
    client_free(deaf);
    lab_clean(&lab);
    lab_start(&lab, small_queue);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_echo),        TEST(test_sent_by_the_server),   TEST(test_bad_messages),
        TEST(test_slow_reader), TEST(test_handshake_is_checked), TEST(test_stop_says_goodbye),
    };
    return cmocka_run_group_tests_name("websocket", tests, NULL, NULL);
}
