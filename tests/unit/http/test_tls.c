#include "server_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct lab lab;

static void self_signed(struct http_options *o)
{
    o->tls_cert = "self";
    o->header_deadline_s = 1;
}

static int start(void **state)
{
    (void)state;
    lab_start(&lab, self_signed);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    lab_stop(&lab);
    return 0;
}

struct tls {
    SSL_CTX *ctx;
    SSL *ssl;
    int fd;
};

static struct tls tls_open(int max_version)
{
    struct tls t = {.ctx = SSL_CTX_new(TLS_client_method()), .fd = lab_connect(&lab)};
    assert_non_null(t.ctx);
    SSL_CTX_set_security_level(t.ctx, 0);
    if (max_version)
        SSL_CTX_set_max_proto_version(t.ctx, max_version);
    t.ssl = SSL_new(t.ctx);
    SSL_set_fd(t.ssl, t.fd);
    return t;
}

static void tls_close(struct tls *t)
{
    SSL_free(t->ssl);
    SSL_CTX_free(t->ctx);
    close(t->fd);
}

/* What is there after a request, as text. */
static const char *tls_ask(struct tls *t, const char *text)
{
    static char out[8192];
    size_t n = 0;
    assert_int_equal(SSL_write(t->ssl, text, (int)strlen(text)), (int)strlen(text));
    int got;
    do {
        got = SSL_read(t->ssl, out + n, (int)(sizeof(out) - 1 - n));
        n += got > 0 ? (size_t)got : 0;
        out[n] = '\0';
    } while (got > 0 && !strstr(out, "\r\n\r\n"));
    return out;
}

static void test_trial_certificate(void **state)
{
    (void)state;
    struct tls t = tls_open(0);
    assert_int_equal(SSL_connect(t.ssl), 1);
    assert_string_equal(SSL_get_version(t.ssl), "TLSv1.3");
    X509 *cert = SSL_get1_peer_certificate(t.ssl);
    assert_non_null(cert);
    assert_int_equal(X509_check_host(cert, "localhost", 0, 0, NULL), 1);
    assert_int_equal(X509_check_ip_asc(cert, "127.0.0.1", 0), 1);
    assert_int_equal(X509_check_host(cert, "example.org", 0, 0, NULL), 0);
    X509_free(cert);
    const char *answer = tls_ask(&t, "GET /echo/1 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_non_null(strstr(answer, "HTTP/1.1 200"));
    assert_null(strstr(answer, "Strict-Transport-Security")); /* it would outlive the trial */
    answer = tls_ask(&t, "GET /page HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_non_null(strstr(answer, "SameSite=Lax; HttpOnly; Secure"));
    tls_close(&t);
}

static void test_old_versions_are_refused(void **state)
{
    (void)state;
    struct tls t = tls_open(TLS1_1_VERSION);
    assert_int_not_equal(SSL_connect(t.ssl), 1);
    tls_close(&t);
}

static void test_stalled_handshake_is_ended(void **state)
{
    (void)state;
    int fd = lab_connect(&lab);
    lab_write(fd, "\x16\x03\x01");
    assert_true(lab_is_closed(fd, 3500));
    close(fd);
}

static void test_later_and_websocket(void **state)
{
    (void)state;
    struct tls t = tls_open(0);
    assert_int_equal(SSL_connect(t.ssl), 1);
    static const char later[] = "GET /later HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_int_equal(SSL_write(t.ssl, later, sizeof(later) - 1), sizeof(later) - 1);
    assert_true(lab_wait_later(&lab, 1, 2000));
    lab_resume_all(&lab);
    char out[4096] = {0};
    assert_true(SSL_read(t.ssl, out, sizeof(out) - 1) > 0);
    assert_non_null(strstr(out, "HTTP/1.1 200"));
    tls_close(&t);

    t = tls_open(0);
    assert_int_equal(SSL_connect(t.ssl), 1);
    const char *answer = tls_ask(&t, "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
                                     "Upgrade: websocket\r\n"
                                     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                     "Sec-WebSocket-Version: 13\r\n\r\n");
    assert_non_null(strstr(answer, "HTTP/1.1 101"));
    /* "hi", masked with zeros. */
    assert_int_equal(SSL_write(t.ssl, "\x81\x82\0\0\0\0hi", 8), 8);
    int n = 0;
    while (n < 4) { /* in as many records as the server likes */
        int got = SSL_read(t.ssl, out + n, 4 - n);
        assert_true(got > 0);
        n += got;
    }
    assert_memory_equal(out, "\x81\x02hi", 4);
    tls_close(&t);
    assert_true(lab_wait(&lab.ws_closed, 1, 3000));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_trial_certificate),
        TEST(test_old_versions_are_refused),
        TEST(test_stalled_handshake_is_ended),
        TEST(test_later_and_websocket),
    };
    return cmocka_run_group_tests_name("tls", tests, NULL, NULL);
}
