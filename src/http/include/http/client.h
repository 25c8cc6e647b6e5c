/*
 * client.h - HTTP requests to other servers (libcurl multi, one thread).
 *
 * For notifications, remote contexts and federation. Connections are kept and capped per host.
 * Schemes other than http and https are refused; so are private, loopback, link-local and
 * multicast addresses unless allow_private, checked on the address that is really connected to
 * (after DNS, for each redirect too). Redirects are followed within the same host only, 3 at most.
 */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include "core/config.h"
#include "http/http.h"

struct client_options {
    bool allow_private;
    int64_t connect_ms;         /* default 3000 */
    int64_t total_ms;           /* default 10000; a request may ask for less */
    int64_t response_bytes;     /* larger answers are cut off as an error */
    int64_t connections;        /* in all */
    int64_t connections_per_host;
    int64_t queue_max;          /* requests waiting for a connection */
    const char *ca_file;        /* PEM bundle; "" is the system's */
    const char *user_agent;
};
extern const struct config_table client_config;

struct client;

struct client_answer {
    int status;         /* 0: no answer, see error */
    struct error error;
    struct str type;    /* media type */
    struct str body;    /* until done() returns */
    struct str link;    /* Link header, joined */
    int64_t us;         /* from start to end */
};

struct client_request {
    const char *method;
    struct str url;
    const struct http_header *headers;
    size_t n_headers;
    struct str body;
    int64_t timeout_ms; /* 0: total_ms */
    /* On the client's thread, exactly once; must not block; may submit further requests. */
    void (*done)(void *ctx, const struct client_answer *answer);
    void *ctx;
};

struct client *client_new(const struct client_options *o, struct error *e);
/* Everything is copied. ERR_UNAVAILABLE when the queue is full, ERR_INVALID for a bad URL, scheme:
 * done() is then not called. Any thread. */
enum err client_send(struct client *c, const struct client_request *r, struct error *e);
/* Send and wait, for commands and pool tasks; the body is copied to the arena. */
enum err client_fetch(struct client *c, struct arena *a, const struct client_request *r,
                      struct client_answer *answer, struct error *e);
void client_free(struct client *c); /* unanswered requests are told ERR_UNAVAILABLE */

#endif
