/*
 * client.h - HTTP requests to other servers (libcurl multi, one thread).
 *
 * For notifications, remote contexts and federation. Connections are kept and capped per host; what
 * does not get one waits, each host in a queue of its own served in turn, so that a dead receiver
 * holds up nobody else. The deadline of a request counts from client_send(), waiting included.
 *
 * Schemes other than http and https are refused; so are private, loopback, link-local and
 * multicast addresses unless allow_private, checked on the address that is really connected to
 * (after DNS, for each redirect too). No proxies, cookies or credentials from the environment.
 * Redirects are followed within the same host only, 3 at most: 307 and 308 as they are, 303 with
 * GET, 301 and 302 for GET and HEAD (for other methods they are the answer, so that a notification
 * never loses its body on the way).
 *
 *     struct client *c = client_new(&options, &e);
 *     client_send(c, &(struct client_request){.method = "POST", .url = url, .body = body,
 *                                             .done = on_answer, .ctx = me}, &e);
 */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include "core/config.h"
#include "http/http.h"

/* Numbers must be positive: client_config has the defaults. */
struct client_options {
    bool allow_private;
    int64_t connect_ms;     /* default 3000 */
    int64_t total_ms;       /* default 10000; a request may ask for less */
    int64_t response_bytes; /* larger answers are cut off as an error */
    int64_t connections;    /* in all */
    int64_t connections_per_host;
    int64_t queue_max;   /* requests waiting for a connection */
    const char *ca_file; /* PEM bundle; "" is the system's */
    const char *user_agent;
};
extern const struct config_table client_config;

struct client;

/*
 * error.code when status is 0: ERR_TIMEOUT; ERR_UNAVAILABLE no connection, no such host, broken
 * off, certificate not good, or the client is stopping; ERR_FORBIDDEN a private address, or a
 * redirect to another host; ERR_TOO_LARGE; ERR_INVALID too many redirects or no HTTP.
 */
struct client_answer {
    int status; /* 0: no answer, see error */
    struct error error;
    struct str type; /* media type, lower case, without parameters */
    struct str body; /* until done() returns */
    struct str link; /* Link header, joined */
    struct str head; /* header lines as they came, cut at 16 KiB */
    int64_t us;      /* from client_send() to the end */
};
/* A header of the answer, trimmed; the first when there are several; absent when not sent. */
struct str client_answer_header(const struct client_answer *a, const char *name);

struct client_request {
    const char *method; /* NULL is GET */
    struct str url;
    const struct http_header *headers;
    size_t n_headers;
    struct str body;
    int64_t timeout_ms;     /* 0: total_ms */
    int64_t response_bytes; /* 0, or less than the client's own limit */
    /* On the client's thread, exactly once; must not block; may submit further requests. */
    void (*done)(void *ctx, const struct client_answer *answer);
    void *ctx;
};

struct client *client_new(const struct client_options *o, struct error *e);
/* What it was made with, as long as it lives. */
const struct client_options *client_settings(const struct client *c);
/* Everything is copied. ERR_UNAVAILABLE when the queue is full, ERR_INVALID for a bad URL, scheme,
 * method or header: done() is then not called. Any thread. */
enum err client_send(struct client *c, const struct client_request *r, struct error *e);
/* Send and wait, for commands and pool tasks (r's done and ctx are not used); the answer's texts
 * are copied to the arena. Returns the answer's error when there is no status. Any thread but the
 * client's own. */
enum err client_fetch(struct client *c, struct arena *a, const struct client_request *r,
                      struct client_answer *answer, struct error *e);
void client_free(struct client *c); /* unanswered requests are told ERR_UNAVAILABLE */

#endif
