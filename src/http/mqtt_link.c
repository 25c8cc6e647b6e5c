/*
 * One connection to an MQTT broker on libmosquitto. Names are resolved here and the library gets
 * the address, so that what was checked is what is connected to; the broker's certificate is
 * checked against the name all the same.
 */
#include "mqtt_link.h"

#include "address.h"
#include "core/clock.h"
#include <errno.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <netdb.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEEPALIVE_S = 30, REFUSED = 0x80 };

struct mqtt_link {
    struct mosquitto *mosq;
    SSL_CTX *tls;
    char *host; /* for the certificate and SNI */
    bool answered;
    int connack;
    enum mqtt_version version;
    struct mqtt_job *flying, **tail;
};

static int64_t now_us(void)
{
    return clock_steady(&clock_system);
}

/* --- callbacks --- */

static void on_connect(struct mosquitto *m, void *ctx, int reason, int flags,
                       const mosquitto_property *props)
{
    struct mqtt_link *l = ctx;
    (void)m;
    (void)flags;
    (void)props;
    l->answered = true;
    l->connack = reason;
}

static void on_publish(struct mosquitto *m, void *ctx, int mid, int reason,
                       const mosquitto_property *props)
{
    struct mqtt_link *l = ctx;
    (void)m;
    (void)props;
    for (struct mqtt_job *j = l->flying; j; j = j->next) {
        if (j->mid != mid || j->finished)
            continue;
        j->finished = true;
        j->reason = reason;
        return;
    }
}

/* The library would name the address to the broker (SNI); it is the name that is meant. */
static void before_handshake(const SSL *ssl, int where, int value)
{
    (void)value;
    if (where & SSL_CB_HANDSHAKE_START) {
        const char *host = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
        SSL_set_tlsext_host_name((SSL *)(uintptr_t)ssl, host);
    }
}

/* --- opening --- */

static bool is_literal(const char *host)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST}, *list;
    if (getaddrinfo(host, NULL, &hints, &list) != 0)
        return false;
    freeaddrinfo(list);
    return true;
}

static enum err make_tls(struct mqtt_link *l, const struct mqtt_target *t, struct error *e)
{
    l->tls = SSL_CTX_new(TLS_client_method());
    if (!l->tls)
        abort();
    X509_VERIFY_PARAM *verify = SSL_CTX_get0_param(l->tls);
    bool literal = is_literal(l->host);
    SSL_CTX_set_min_proto_version(l->tls, TLS1_2_VERSION);
    SSL_CTX_set_verify(l->tls, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(l->tls, SSL_MODE_ENABLE_PARTIAL_WRITE);
    if (!(literal ? X509_VERIFY_PARAM_set1_ip_asc(verify, l->host)
                  : X509_VERIFY_PARAM_set1_host(verify, l->host, 0)))
        return error_set(e, ERR_INVALID, "no name to check a certificate against");
    if (!literal) {
        SSL_CTX_set_app_data(l->tls, l->host);
        SSL_CTX_set_info_callback(l->tls, before_handshake);
    }
    int ok = t->ca_file[0] ? SSL_CTX_load_verify_locations(l->tls, t->ca_file, NULL)
                           : SSL_CTX_set_default_verify_paths(l->tls);
    return ok == 1 ? OK : error_set(e, ERR_IO, "cannot read the certificates in %s", t->ca_file);
}

static void make_mosq(struct mqtt_link *l, const struct mqtt_target *t)
{
    l->mosq = mosquitto_new(NULL, true, l);
    if (!l->mosq)
        abort();
    mosquitto_int_option(l->mosq, MOSQ_OPT_PROTOCOL_VERSION,
                         t->version == MQTT_5 ? MQTT_PROTOCOL_V5 : MQTT_PROTOCOL_V311);
    mosquitto_int_option(l->mosq, MOSQ_OPT_TCP_NODELAY, 1);
    if (t->user)
        mosquitto_username_pw_set(l->mosq, t->user, t->password);
    if (l->tls) {
        mosquitto_int_option(l->mosq, MOSQ_OPT_SSL_CTX_WITH_DEFAULTS, 0);
        mosquitto_void_option(l->mosq, MOSQ_OPT_SSL_CTX, l->tls);
        mosquitto_tls_insecure_set(l->mosq, true); /* the context checks the name */
    }
    mosquitto_connect_v5_callback_set(l->mosq, on_connect);
    mosquitto_publish_v5_callback_set(l->mosq, on_publish);
}

static const char *failure(int rc)
{
    return rc == MOSQ_ERR_ERRNO ? strerror(errno)
           : rc == MOSQ_ERR_TLS ? "TLS failed; is the certificate good for this name?"
                                : mosquitto_strerror(rc);
}

/* Until the broker has said whether we may come in. */
static enum err wait_for_broker(struct mqtt_link *l, int64_t until, struct error *e)
{
    while (!l->answered) {
        int64_t left = until - now_us();
        if (left <= 0)
            return error_set(e, ERR_TIMEOUT, "the broker does not answer");
        if (mqtt_link_step(l, -1, left / 1000 + 1, e))
            return e->code;
    }
    if (l->connack)
        return error_set(e, ERR_FORBIDDEN, "the broker refuses us: %s",
                         l->version == MQTT_5 ? mosquitto_reason_string(l->connack)
                                              : mosquitto_connack_string(l->connack));
    return OK;
}

static enum err try_address(struct mqtt_link *l, const struct mqtt_target *t,
                            const struct addrinfo *at, int64_t until, struct error *e)
{
    char text[64];
    if (!t->allow_private && address_is_private(at->ai_addr))
        return error_set(e, ERR_FORBIDDEN, "%s has a private address", t->host);
    if (getnameinfo(at->ai_addr, at->ai_addrlen, text, sizeof(text), NULL, 0, NI_NUMERICHOST) != 0)
        return error_set(e, ERR_UNAVAILABLE, "an address of %s cannot be read", t->host);
    if (l->mosq)
        mosquitto_destroy(l->mosq);
    l->answered = false;
    make_mosq(l, t);
    int rc = mosquitto_connect_async(l->mosq, text, t->port, KEEPALIVE_S);
    if (rc)
        return error_set(e, ERR_UNAVAILABLE, "no connection to %s: %s", t->host, failure(rc));
    return wait_for_broker(l, until, e);
}

struct mqtt_link *mqtt_link_open(const struct mqtt_target *t, struct error *e)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    struct mqtt_link *l = calloc(1, sizeof(*l));
    if (!l || !(l->host = strdup(t->host)))
        abort();
    l->tail = &l->flying;
    l->version = t->version;
    int64_t until = now_us() + t->connect_ms * 1000;
    enum err err = t->tls ? make_tls(l, t, e) : OK;
    int rc = err ? 0 : getaddrinfo(t->host, NULL, &hints, &list);
    if (rc)
        err = error_set(e, ERR_UNAVAILABLE, "%s: %s", t->host, gai_strerror(rc));
    for (struct addrinfo *at = list; at; at = at->ai_next) {
        err = try_address(l, t, at, until, e);
        if (!err || now_us() >= until)
            break;
    }
    if (list)
        freeaddrinfo(list);
    if (!err)
        return l;
    mqtt_link_close(l);
    return NULL;
}

/* --- at work --- */

enum err mqtt_link_send(struct mqtt_link *l, struct mqtt_job *job, struct error *e)
{
    /* In the list before it is sent: the library may call back at once. */
    job->next = NULL;
    *l->tail = job;
    struct mqtt_job **before = l->tail;
    l->tail = &job->next;
    int rc = mosquitto_publish_v5(l->mosq, &job->mid, job->topic, job->n, job->payload, job->qos,
                                  job->retain, NULL);
    if (!rc)
        return OK;
    *before = NULL;
    l->tail = before;
    enum err code = rc == MOSQ_ERR_OVERSIZE_PACKET || rc == MOSQ_ERR_QOS_NOT_SUPPORTED ||
                            rc == MOSQ_ERR_RETAIN_NOT_SUPPORTED || rc == MOSQ_ERR_PAYLOAD_SIZE
                        ? ERR_FORBIDDEN
                        : ERR_UNAVAILABLE;
    return error_set(e, code, "the message cannot be sent: %s", failure(rc));
}

/* TLS may hold more than one record of what was read. */
static int read_all(struct mosquitto *m)
{
    SSL *ssl;
    int rc;
    do {
        rc = mosquitto_loop_read(m, 1);
        ssl = rc ? NULL : mosquitto_ssl_get(m);
    } while (ssl && SSL_pending(ssl) > 0);
    return rc;
}

enum err mqtt_link_step(struct mqtt_link *l, int wake_fd, int64_t ms, struct error *e)
{
    struct pollfd fds[2] = {{.fd = mosquitto_socket(l->mosq), .events = POLLIN},
                            {.fd = wake_fd, .events = POLLIN}};
    if (fds[0].fd < 0)
        return error_set(e, ERR_UNAVAILABLE, "the connection is closed");
    if (mosquitto_want_write(l->mosq))
        fds[0].events |= POLLOUT;
    if (poll(fds, 2, ms > 1000 ? 1000 : (int)ms) < 0 && errno != EINTR)
        return error_set(e, ERR_INTERNAL, "poll: %s", strerror(errno));
    int rc = 0;
    if (fds[0].revents & (POLLIN | POLLHUP | POLLERR))
        rc = read_all(l->mosq);
    if (!rc && (fds[0].revents & POLLOUT))
        rc = mosquitto_loop_write(l->mosq, 1);
    if (!rc)
        rc = mosquitto_loop_misc(l->mosq);
    if (!rc || (l->answered && l->connack)) /* refused: the broker hangs up, which is no news */
        return OK;
    return error_set(e, ERR_UNAVAILABLE, "the connection to the broker broke: %s", failure(rc));
}

struct mqtt_job *mqtt_link_finished(struct mqtt_link *l)
{
    struct mqtt_job *list = NULL, **tail = &list;
    struct mqtt_job **at = &l->flying;
    while (*at) {
        struct mqtt_job *j = *at;
        if (!j->finished) {
            at = &j->next;
            continue;
        }
        *at = j->next;
        j->next = NULL;
        *tail = j;
        tail = &j->next;
    }
    l->tail = at;
    return list;
}

bool mqtt_link_idle(const struct mqtt_link *l)
{
    return !l->flying;
}

int64_t mqtt_link_deadline(const struct mqtt_link *l)
{
    int64_t first = INT64_MAX;
    for (const struct mqtt_job *j = l->flying; j; j = j->next)
        first = j->deadline < first ? j->deadline : first;
    return first;
}

struct mqtt_job *mqtt_link_close(struct mqtt_link *l)
{
    struct mqtt_job *flying = l->flying;
    if (l->mosq) {
        mosquitto_disconnect(l->mosq);
        mosquitto_destroy(l->mosq);
    }
    SSL_CTX_free(l->tls);
    free(l->host);
    free(l);
    return flying;
}

void mqtt_job_error(const struct mqtt_job *job, struct error *e)
{
    *e = (struct error){0};
    if (job->reason >= REFUSED)
        error_set(e, ERR_FORBIDDEN, "the broker refuses the message: %s",
                  mosquitto_reason_string(job->reason));
}
