/*
 * deadline.h - the open connections, and the thread that closes those that take too long.
 * Private to src/http. See deadline.c for the states of a connection.
 */
#ifndef HTTP_DEADLINE_H
#define HTTP_DEADLINE_H

#include "exchange.h"
#include "ratelimit.h"
#include <netinet/in.h>
#include <stdatomic.h>

enum conn_phase {
    CONN_OPENED,
    CONN_HEADERS,
    CONN_BODY,
    CONN_HANDLER,
    CONN_WAITING,
    CONN_SENDING,
    CONN_STREAM,
    CONN_IDLE,
    CONN_UPGRADED
};

struct connection {
    struct connection *prev, *next;
    int fd;
    struct client_key key;
    char address[INET6_ADDRSTRLEN]; /* in text; IPv4 without "::ffff:" */
    bool proxy;                     /* a trusted one: its X-Forwarded headers count */
    struct exchange *exchange; /* the worker's: of the request that is being read or answered */
    _Atomic int phase;         /* enum conn_phase, set by the connection's worker */
    _Atomic int64_t since;     /* steady clock: start of the phase */
    _Atomic int64_t received;  /* bytes of the body so far */
    int64_t idle_seen;         /* reaper: the "since" that idle_bytes belongs to */
    uint64_t idle_bytes;       /* reaper: bytes the client had sent when idleness was noticed */
};

struct deadlines;

/* Starts the reaper; s must outlive it. */
struct deadlines *deadlines_new(struct server *s);
/* Stops and joins the reaper; no connection may be left. */
void deadlines_free(struct deadlines *d);

struct connection *connection_open(struct deadlines *d, int fd, const struct sockaddr *addr);
void connection_close(struct deadlines *d, struct connection *c); /* before the fd is closed */
void connection_phase(struct connection *c, enum conn_phase phase, int64_t now);

/* A suspended exchange is watched for its deadline and for its client leaving. False once
 * deadlines_expire_all() was called: it must not be suspended any more. */
bool deadlines_watch(struct deadlines *d, struct exchange *x, enum conn_phase phase);
void deadlines_unwatch(struct deadlines *d, struct exchange *x);

/* Stop: close idle connections, end streams. True when no request is running any more. */
bool deadlines_drain(struct deadlines *d);
/* Stop: answer 503 to what still waits; true when nothing is suspended, nor ever will be. */
bool deadlines_expire_all(struct deadlines *d);

#endif
