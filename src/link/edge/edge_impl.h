/*
 * edge_impl.h - the parts of an edge's exchange with its city (edge.c has the states).
 *
 * All of it is of the one thread, but for what the lock guards.
 */
#ifndef LINK_EDGE_EDGE_IMPL_H
#define LINK_EDGE_EDGE_IMPL_H

#include "digest.h"
#include "edge.h"
#include "feed.h"
#include "http/client.h"

struct edge {
    struct sync *sync;
    struct client *client;
    pthread_t thread;
    bool running;
    pthread_mutex_t lock; /* of the next four */
    pthread_cond_t wake;  /* own change, or stop */
    bool stop, changed;
    struct edge_status status;
    struct arena part_arena;
    struct part part;
    struct str params;
    /* of the thread */
    int64_t tenant;
    char city[SYNC_NODE_BYTES + 1];
    int64_t received;     /* of the city's journal, here */
    int64_t sent;         /* of ours, there */
    int64_t city_newest;  /* as last told */
    int64_t verify_after; /* steady clock */
    uint64_t moved;       /* rows that were exchanged */
    size_t batch;         /* bytes of a message now: fewer after one that did not come through */
    int repairs;          /* in a row, after which the digests differed still */
    bool copy;            /* states must be exchanged first */
    bool fresh;           /* and the city's taken for ours (trim.h) */
};

/* --- edge_line.c: waiting, what is told to others, requests --- */

bool edge_stopping(struct edge *g);
/* Until ms are over, the end, or (when asked for) an own change. */
void edge_wait(struct edge *g, int64_t ms, bool for_changes);
/* A journal listener: ctx is the struct edge. */
void edge_on_journal(void *ctx);
void edge_state_set(struct edge *g, enum edge_state state, const char *error);
/* From the newest row of our journal and what is known of positions. */
void edge_lag_set(struct edge *g, int64_t own_newest);

/* A request under way: edge_answer() follows. NULL with *e when it cannot be sent. */
struct asked;
struct asked *edge_send(struct edge *g, struct arena *a, const char *method, struct str path,
                        struct str body, const char *type, struct error *e);
/* The answer's JSON in the arena, after the pause that the line asks for; NULL with *e:
 * ERR_CONFLICT and the like are the city's word. sent: bytes of the request. */
const struct json *edge_answer(struct edge *g, struct arena *a, struct asked *asked, size_t sent,
                               struct error *e);
/* Both. */
const struct json *edge_ask(struct edge *g, struct arena *a, const char *method, struct str path,
                            struct str body, const char *type, struct error *e);
/* A member of an answer; 0 when it is not there. */
int64_t edge_number(const struct json *v, const char *name);

/* --- edge_greet.c --- */

/* Who the city is, how far each is, what must be copied. */
enum err edge_greet(struct edge *g, struct error *e);

/* --- edge_rows.c: journal rows --- */

/* Own rows on their way; while the city applies them we can apply its own. */
struct edge_pushing {
    struct feed feed;
    struct arena arena;
    struct asked *asked; /* NULL: there was nothing to tell */
    size_t bytes;
};
enum err edge_push_begin(struct edge *g, struct edge_pushing *p, struct error *e);
/* *more when there may be more to send. */
enum err edge_push_end(struct edge *g, struct edge_pushing *p, bool *more, struct error *e);
/* Both. */
enum err edge_push(struct edge *g, bool *more, struct error *e);
enum err edge_pull(struct edge *g, bool *more, struct error *e);

/* --- edge_states.c, edge_evolution.c: digests, whole states, the past --- */

struct edge_digests {
    struct arena arena;
    const struct json *city;
    int64_t since; /* of evolution, as both agree */
    size_t entities;
    struct hash buckets[DIGEST_BUCKETS];
    bool same_states, same; /* of both sides: what is there; all */
};
enum err edge_compare(struct edge *g, struct edge_digests *d, struct error *e);
/* Compare, and exchange states that differ. */
enum err edge_repair(struct edge *g, struct error *e);
/* Compare, and exchange evolution that differs, in small steps. */
enum err edge_evolution(struct edge *g, struct error *e);

/* Entities of some buckets as both sides have them: each() of those that differ somehow. */
struct edge_entity {
    struct str hash; /* of the id, hexadecimal */
    int64_t eid;     /* 0: not in our digest */
    bool here, there, same_state, same_past;
};
/* Over all buckets that differ, some at a time; entities live during the call. */
enum err edge_differences(struct edge *g, struct edge_digests *d,
                          enum err (*each)(void *ctx, const struct edge_entity *v, size_t n,
                                           struct error *e),
                          void *ctx, struct error *e);

/* Exchange rows until we sent, or took, all up to a row. */
enum err edge_push_upto(struct edge *g, int64_t upto, struct error *e);
enum err edge_pull_upto(struct edge *g, int64_t upto, struct error *e);
/* The first contact, or another part: edge_repair(), then positions count from here. */
enum err edge_copy(struct edge *g, struct error *e);
/* How far the city's journal was taken, and which part of it. */
enum err edge_position_write(struct edge *g, int64_t received, struct error *e);
/* A fresh copy begins: if it breaks off the next session begins it again. */
enum err edge_fresh_write(struct edge *g, struct error *e);
/* The city's word on how far it has ours, for retention. */
enum err edge_contact_write(struct edge *g, struct error *e);

#endif
