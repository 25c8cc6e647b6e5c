/*
 * forward.h - asking context sources on behalf of a request (clauses 4.3.6, 5.13, 6.3.17, 6.3.18).
 *
 * All requests of a group go out in parallel through the client, each with its own time-out, none
 * on an HTTP worker. When the last has answered or run out of time, then() runs on a pool thread.
 * A source that fails cools down (management.cooldown) and is not asked until then: its entry
 * fails at once. Via gets this server's alias (link.alias); a Via that already names it is refused
 * with 508 LoopDetected before anything is forwarded.
 */
#ifndef LINK_FORWARD_H
#define LINK_FORWARD_H

#include "api.h"
#include "registration.h"

struct forward {
    struct registration *reg; /* the caller's part holds it until then() returned */
    const char *method;
    struct str target; /* "/ngsi-ld/v1/entities/..." with query, percent-encoded */
    struct str body;   /* with its @context inside (application/ld+json); absent: none */
    struct str accept; /* absent: application/ld+json */
    void *ctx;         /* the caller's */
    /* the answer; texts in the call's arena */
    int status; /* 0: none, see error */
    struct error error;
    struct str answer; /* body */
    struct str location;
    const struct http_header *headers; /* those that federation reads */
    size_t n_headers;
};

/* Does the call's Via header name this server, or is it too long a way? true: 508 is filled. */
bool forward_loops(struct api *c);
/* Send them; then() once all are settled. Returns HTTP_LATER; HTTP_DONE when it could not begin
 * (the response is filled). n may be 0: then() still runs on the pool. */
enum http_answer forward_all(struct api *c, struct forward *f, size_t n,
                             void (*then)(struct api *c, struct forward *f, size_t n, void *ctx),
                             void *ctx);
/* NGSILD-Warning for each that failed (clause 6.3.17): codes 110, 111, 199, 299 as specified. */
void forward_warn(struct api *c, const struct forward *f, size_t n);

#endif
