/*
 * exchange.h - one request and its answer inside the server. Private to src/http.
 *
 * An exchange is made when the request line has been read and given back when libmicrohttpd has
 * sent the answer and its owner has let go of it. request.c, negotiate.c and multipart.c use only
 * the plain data here, so that their tests need no server.
 *
 * phase says who may touch the exchange (all moves are compare-and-swap):
 *
 *   state      meaning                                     left by
 *   RUNNING    the handler runs, or has answered           worker: SUSPENDED, or EXPIRED at stop;
 *                                                          owner: RESUMED
 *   SUSPENDED  HTTP_LATER: it belongs to the owner         owner: RESUMED; reaper: EXPIRED
 *   RESUMED    the owner is done, the worker answers       end
 *   EXPIRED    503 was sent instead (or the client left);  owner: LATE; worker, when the
 *              the owner does not know yet                 connection is through: DETACHED
 *   LATE       the owner came too late, its answer is      end: the worker frees
 *              dropped
 *   DETACHED   libmicrohttpd is through with it            end: the owner frees in http_resume()
 */
#ifndef HTTP_EXCHANGE_H
#define HTTP_EXCHANGE_H

#include "http/http.h"
#include "ratelimit.h"
#include "router.h"
#include <stdatomic.h>

struct MHD_Connection;
struct connection;
struct http_worker;

enum exchange_phase {
    PHASE_RUNNING,
    PHASE_SUSPENDED,
    PHASE_RESUMED,
    PHASE_EXPIRED,
    PHASE_LATE,
    PHASE_DETACHED
};

/* Of a stream: does somebody have to wake it? */
enum stream_sleep { STREAM_AWAKE, STREAM_ASLEEP, STREAM_WOKEN };

struct body {
    char *p; /* in the arena, on the heap or mapped */
    size_t n, cap;
    size_t limit;
    const char *spool; /* directory for long ones, NULL: never */
    int fd;            /* of the spool file, or -1 */
    enum { BODY_NONE, BODY_ARENA, BODY_HEAP, BODY_FILE, BODY_MAPPED } kind;
};

struct exchange {
    struct request req;
    struct response res;
    struct arena arena;
    struct exchange *next; /* in a worker's list of idle exchanges */

    const struct http_header *headers;
    size_t n_headers;
    const struct http_pair *params;
    size_t n_params;
    const struct http_pair *query, *form;
    size_t n_query, n_form;
    bool query_read, form_read;

    struct server *server;
    struct MHD_Connection *mhd;
    struct connection *conn;
    void *route_ctx;
    struct body body;
    size_t discarded; /* bytes of a body that is not wanted */

    _Atomic int phase; /* enum exchange_phase */
    _Atomic int sleep; /* enum stream_sleep */
    _Atomic bool gone; /* the client left, or the server stops: end the stream */
    bool begun;        /* headers were looked at */
    bool needs_host;   /* HTTP/1.1 */
    bool reading;      /* a body was announced */
    bool refused;      /* the answer is ready; a body is thrown away first */
    bool waiting;      /* in the reaper's table, at: */
    size_t waiting_at;
    bool stream_open; /* stream.done() has not run yet */
    bool completed;   /* libmicrohttpd is through, only the stream is open */
    bool close;       /* do not keep the connection */
    bool public_cors; /* any origin may read the answer */
    int status;       /* that was sent, 0: none */
    int64_t sent;     /* bytes of the answer's body */
    int64_t steady;   /* steady clock at the start */
    const struct ws_events *ws_events;
    void *ws_ctx;
    char id_text[33];
    struct client_key client_key;
};

static inline struct exchange *exchange_of(const struct request *req)
{
    return req->impl;
}

/* A fresh exchange with its arena, or one from the worker's list. */
struct exchange *exchange_new(struct http_worker *w);
/* Back to the worker's list (w may be NULL: freed). */
void exchange_free(struct exchange *x, struct http_worker *w);

/* Worker: the handler said HTTP_LATER. OVER: the owner was faster, answer now; REFUSED: the server
 * stops, answer 503. */
enum exchange_wait { WAIT_BEGUN, WAIT_OVER, WAIT_REFUSED };
enum exchange_wait exchange_suspend(struct exchange *x);
/* Worker: libmicrohttpd calls again after a suspension. RESUMED: answer; EXPIRED or LATE: 503. */
enum exchange_phase exchange_woken(struct exchange *x);
/* Reaper, with the table locked: answer 503, or nothing when the client left. */
void exchange_expire(struct exchange *x, bool gone);
/* Worker: libmicrohttpd is through with x. */
void exchange_completed(struct exchange *x, struct http_worker *w);
/* Worker: how a stream of x is read; fills res.stream's calls in between. */
ptrdiff_t exchange_stream_read(struct exchange *x, char *out, size_t max);
void exchange_stream_done(struct exchange *x, struct http_worker *w);

#endif
