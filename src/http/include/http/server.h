/*
 * server.h - the HTTP/1.1 server (libmicrohttpd: epoll, a pool of workers).
 *
 * Bounded everywhere: connections, header and body sizes, time. A connection whose request headers
 * are not complete header_deadline_s after it opened (or after the last answer), or whose body
 * arrives slower than body_min_rate, is closed, however steadily it dribbles.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include "core/clock.h"
#include "core/config.h"
#include "http/http.h"

struct http_options {
    const char *address; /* "0.0.0.0", "::" (both families) or "127.0.0.1" */
    int64_t port;        /* 0: any free one, see server_port() */
    int64_t workers;     /* threads; 0: one a core */
    int64_t connections; /* in all */
    int64_t connections_per_client;
    int64_t header_bytes; /* request line and headers */
    int64_t body_bytes;   /* bodies */
    int64_t upload_bytes; /* bodies of routes marked ROUTE_BIG_BODY */
    int64_t header_deadline_s;
    int64_t body_min_rate;      /* bytes per second, after the first 5 s */
    int64_t idle_s;             /* keep-alive */
    int64_t request_deadline_s; /* sets request.deadline; suspended requests get 503 then */
    int64_t rate_per_s;         /* requests per second and client; 0: no limit */
    int64_t rate_burst;
    int64_t refusal_hold_ms; /* a 429 is sent so late; 0: at once */
    int64_t refusals_held;   /* at most so many at once; others are sent at once */
    int64_t ws_queue_bytes;
    int64_t gzip_min_bytes;      /* smaller bodies are sent as they are */
    int64_t stop_grace_s;        /* running requests may finish this long at stop */
    const char *trusted_proxies; /* addresses whose X-Forwarded-For and -Proto count, by blanks */
    const char *cors_origins;    /* origins that may use all routes with credentials, by blanks */
    const char *tls_cert;        /* PEM file; "self" makes a self-signed one for trials; "" none */
    const char *tls_key;         /* PEM file */
    const char *spool_dir;       /* for long bodies; "" is TMPDIR or /tmp */
    bool access_log;
};
extern const struct config_table http_config;

struct server_hooks {
    void *ctx;
    void *(*worker_new)(void *ctx); /* per worker thread, when it first serves */
    void (*worker_free)(void *ctx, void *worker);
    /* Before the handler: may set user and tenant, or answer itself and return false. NULL: none.
     */
    bool (*before)(void *ctx, struct request *req, struct response *res);
    /* An error for a browser, in the reader's language; NULL: a plain page in English. */
    void (*error_page)(void *ctx, struct request *req, struct response *res, int status,
                       struct str title, struct str detail);
};

enum err server_start(struct server **out, const struct http_options *o, const struct clock *clock,
                      const struct router *router, const struct server_hooks *hooks,
                      struct error *e);
int server_port(const struct server *s);
/* Close the listening socket, let running requests finish up to stop_grace_s, end streams and
 * WebSockets with 1001, then free. */
void server_stop(struct server *s);

#endif
