/*
 * forward.h - asking context sources on behalf of a request (clauses 4.3.6, 5.15, 6.3.17, 6.3.18).
 *
 * All requests of a group go out in parallel through the client, each with its own time-out and all
 * groups of one call within link.forward_budget_ms, none on an HTTP worker. What a source has
 * answered lately may be its answer again (forward_cache.h). A source that fails (no answer, or an
 * error of the server's own) cools down and is not asked until then: its entry fails at once.
 *
 * Every request carries: Via, the one that came with this server's alias added (link.alias; each
 * tenant is a source of its own, clause 5.2.40); NGSILD-Tenant when the registration names one; a
 * Link header to the @context unless the body holds it; the headers of contextSourceInfo, with
 * "urn:ngsi-ld:request" replaced by the header that came (clause 4.3.6.5), without those that
 * belong to the connection. A redirect to another host is a failure, and so is an answer that is
 * longer than link.forward_bytes.
 *
 *     if (forward_loops(c)) return c->answer;
 *     f[0] = (struct forward){.reg = part->reg, .method = "GET", .target = S("/ngsi-ld/v1/types")};
 *     return forward_all(c, f, 1, then, ctx);
 */
#ifndef LINK_FORWARD_H
#define LINK_FORWARD_H

#include "api.h"
#include "registration.h"

/* Of the process: our alias, groups that wait for the pool. Part of struct link. */
struct forwarding;
struct forwarding *forwarding_new(struct link *l, struct error *e);
void forwarding_free(struct forwarding *w); /* waits for the groups that are on their way */

/* Our name in Via headers and at /info/sourceIdentity, for a tenant. */
struct str forward_alias(struct arena *a, const struct link *l, struct str tenant);

struct forward {
    struct registration *reg; /* the caller's part holds it until then() or done() */
    const char *method;
    struct str target;  /* "/ngsi-ld/v1/entities/..." with query, percent-encoded */
    struct str body;    /* absent: none */
    bool with_context;  /* the body holds its @context: application/ld+json, no Link header */
    struct str context; /* URL for the Link header; absent: the @context of the cause */
    struct str via;     /* the way it came; absent: as the cause says */
    struct str accept;  /* absent: application/ld+json; contextSourceInfo wins */
    struct str map;     /* address of an entity map of the source; absent: none */
    void *ctx;          /* the caller's */
    /* the answer; texts in the given arena */
    int status; /* 0: none, see error: ERR_TIMEOUT, ERR_TOO_LARGE, ERR_UNAVAILABLE ... */
    struct error error;
    bool invalid;      /* set by the caller: the answer is of no use (warning 111) */
    struct str type;   /* media type of the answer */
    struct str answer; /* body */
    struct str location, link;
    struct str results_count, entity_map; /* NGSILD-Results-Count, NGSILD-EntityMap */
    struct str range;                     /* Content-Range */
};

/* What is taken over from the request that is the reason for the forwarding. */
struct forward_cause {
    struct str tenant;         /* ours, for the alias */
    struct str via;            /* its Via header */
    struct str context;        /* URL of its @context; absent: the core one, no Link is sent */
    const struct request *req; /* for "urn:ngsi-ld:request"; NULL: there is none */
    int64_t deadline;          /* steady clock; 0: none */
};

/*
 * Send them. done() once all are settled: on the client's thread, or before this returns when
 * nothing could be sent; it must not block. Until then the arena is used on the client's thread.
 */
void forward_start(struct link *l, struct arena *a, const struct forward_cause *cause,
                   struct forward *f, size_t n, void (*done)(void *ctx), void *ctx);
void forward_cause_of(struct api *c, struct forward_cause *out);

/* Does the call's Via header name this server, or is it too long a way? */
bool forward_came_back(struct api *c, bool *too_long);
/* The same; true: 508 is filled. */
bool forward_loops(struct api *c);
/*
 * Send them for a call; when all are settled then() runs on a pool thread, fills the response or
 * goes on to other slow work, and says which: HTTP_DONE resumes the request. then() is always
 * called exactly once, also for n == 0. Returns HTTP_LATER.
 */
enum http_answer forward_all(struct api *c, struct forward *f, size_t n,
                             enum http_answer (*then)(struct api *c, struct forward *f, size_t n,
                                                      void *ctx),
                             void *ctx);

/* The same for somebody on a pool thread who waits: no other thread of the pool is needed. Hold no
 * reader meanwhile. */
void forward_wait(struct api *c, struct forward *f, size_t n);

/* 2xx with a usable answer. */
bool forward_succeeded(const struct forward *f);
/*
 * An NGSILD-Warning header for each that failed (clause 6.3.17): 111 for an answer that is invalid
 * or too long, 199 for none in time and for loops, 299 for errors of the source. 404 is no failure.
 * forward_warn_cut(): 199 where a source has more than is read.
 */
void forward_warn_cut(struct api *c, const struct registration *reg);
void forward_warn(struct api *c, const struct forward *f, size_t n);

#endif
