/* The client believes a certificate only when it trusts the issuer and the name is right. */
#include "http/client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    struct arena arena;
    SSL_CTX *tls;
    char ca_file[64];
    int fd, port;
    pthread_t thread;
};

/* A certificate for "localhost", signed by itself, in the context and in a file. */
static void make_certificate(struct fixture *f)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509_NAME *name = X509_get_subject_name(cert);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_set_version(cert, X509_VERSION_3);
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1, -1,
                               0);
    X509_set_issuer_name(cert, name);
    X509_set_pubkey(cert, key);
    X509_EXTENSION *alt = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:localhost");
    X509_add_ext(cert, alt, -1);
    X509_EXTENSION_free(alt);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    assert_int_equal(SSL_CTX_use_certificate(f->tls, cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(f->tls, key), 1);
    snprintf(f->ca_file, sizeof(f->ca_file), "/tmp/test-client-XXXXXX");
    FILE *out = fdopen(mkstemp(f->ca_file), "w");
    assert_non_null(out);
    assert_int_equal(PEM_write_X509(out, cert), 1);
    fclose(out);
    X509_free(cert);
    EVP_PKEY_free(key);
}

/* One request a connection; a client that does not like the certificate breaks off. */
static void *serve(void *ctx)
{
    static const char text[] =
        "HTTP/1.1 200 x\r\nContent-Length: 6\r\nConnection: close\r\n\r\nsecret";
    struct fixture *f = ctx;
    char in[4096];
    for (int fd; (fd = accept(f->fd, NULL, NULL)) >= 0; close(fd)) {
        SSL *s = SSL_new(f->tls);
        SSL_set_fd(s, fd);
        if (SSL_accept(s) == 1 && SSL_read(s, in, sizeof(in)) > 0) {
            SSL_write(s, text, sizeof(text) - 1);
            SSL_shutdown(s);
        }
        SSL_free(s);
    }
    return NULL;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);
    assert_non_null(f);
    signal(SIGPIPE, SIG_IGN); /* of the server's half */
    f->tls = SSL_CTX_new(TLS_server_method());
    make_certificate(f);
    f->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(f->fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(getsockname(f->fd, (struct sockaddr *)&a, &n), 0);
    assert_int_equal(listen(f->fd, 16), 0);
    f->port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&f->thread, NULL, serve, f), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    shutdown(f->fd, SHUT_RDWR);
    pthread_join(f->thread, NULL);
    close(f->fd);
    unlink(f->ca_file);
    SSL_CTX_free(f->tls);
    arena_release(&f->arena);
    free(f);
    return 0;
}

static enum err fetch(struct fixture *f, const char *ca_file, const char *host,
                      struct client_answer *answer)
{
    const struct client_options o = {.allow_private = true,
                                     .connect_ms = 30000,
                                     .total_ms = 60000,
                                     .response_bytes = 1000,
                                     .connections = 2,
                                     .connections_per_host = 1,
                                     .queue_max = 5,
                                     .ca_file = ca_file};
    struct error e;
    struct client *c = client_new(&o, &e);
    assert_non_null(c);
    struct client_request r = {.url = str_printf(&f->arena, "https://%s:%d/", host, f->port)};
    enum err got = client_fetch(c, &f->arena, &r, answer, &e);
    client_free(c);
    return got;
}

static void test_trusted(void **state)
{
    struct fixture *f = *state;
    struct client_answer answer;
    assert_int_equal(fetch(f, f->ca_file, "localhost", &answer), OK);
    assert_int_equal(answer.status, 200);
    assert_true(str_eq(answer.body, S("secret")));
}

static void test_unknown_issuer(void **state)
{
    struct fixture *f = *state;
    struct client_answer answer;
    assert_int_equal(fetch(f, "", "localhost", &answer), ERR_UNAVAILABLE);
    assert_int_equal(answer.status, 0);
    assert_non_null(strcasestr(answer.error.text, "certificate"));
}

static void test_wrong_name(void **state)
{
    struct fixture *f = *state;
    struct client_answer answer;
    assert_int_equal(fetch(f, f->ca_file, "127.0.0.1", &answer), ERR_UNAVAILABLE);
    assert_int_equal(answer.status, 0);
    assert_int_equal(answer.body.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_trusted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unknown_issuer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_name, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
