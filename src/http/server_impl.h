/* server_impl.h - the server's own data. Private to src/http. */
#ifndef HTTP_SERVER_IMPL_H
#define HTTP_SERVER_IMPL_H

#include "deadline.h"
#include "hold.h"
#include "http/server.h"
#include "ratelimit.h"
#include <pthread.h>
#include <stdatomic.h>

struct MHD_Daemon;
struct MHD_Response;
struct websockets;
struct z_stream_s;

/* What one HTTP worker thread owns. */
struct http_worker {
    struct http_worker *next; /* in the server's list */
    struct server *server;
    void *object; /* the application's, from hooks.worker_new */
    struct exchange *idle;
    size_t n_idle;
    struct z_stream_s *gzip; /* made when first needed */
    char id_prefix[17];      /* of request ids: random */
    uint64_t id_count;
};

struct server {
    struct http_options opt;
    const struct clock *clock;
    const struct router *router;
    struct server_hooks hooks;
    struct arena arena; /* what lives as long as the server */
    struct str *proxies, *origins;
    size_t n_proxies, n_origins;
    bool tls, trial_cert;
    int port, listen_fd;
    struct MHD_Daemon *daemon;
    struct MHD_Response *expired; /* the 503 of requests past their deadline */
    struct deadlines *deadlines;
    struct ratelimit *ratelimit;
    struct holds *holds;
    struct websockets *websockets;
    pthread_mutex_t lock;
    struct http_worker *workers; /* under lock */
    _Atomic bool stopping;
    _Atomic int resuming; /* threads inside of MHD_resume_connection() */
};

/* The calling thread's worker, made when it serves its first request. */
struct http_worker *server_worker(struct server *s);
/* Is the address one of http.trusted_proxies? */
bool server_trusts(const struct server *s, struct str address);
bool server_allows_origin(const struct server *s, struct str origin);

#endif
