/* sync_call.h - a call of /link/v1/sync while the pool works on it. */
#ifndef LINK_EDGE_SYNC_CALL_H
#define LINK_EDGE_SYNC_CALL_H

#include "http/server.h"
#include "part.h"
#include "sync.h"

enum { SYNC_BYTES_DEFAULT = 256 << 10, SYNC_BYTES_MAX = 4 << 20 };

struct call {
    struct sync *sync;
    struct request *req;
    struct response *res;
    struct arena *arena;
    bool guarded;
    enum err (*run)(struct call *c, struct error *e);
    struct str tenant_name, node, name;
    int64_t tenant;
    struct part part;
    const struct json *body;
};

/* Run on the pool, after the node's token was checked and its part and body were read. */
enum http_answer call_of_node(struct request *req, struct response *res, struct sync *s,
                              enum err (*run)(struct call *c, struct error *e));
/* A member of the body or else a parameter; absent. */
struct str call_given(const struct call *c, const char *name);
/* Evolution is compared from here on for this call: what was asked for, or as this side has it. */
enum err call_since(struct call *c, int64_t *since, struct error *e);
/* Gives b back. */
void call_answer_packed(struct call *c, struct buf *b);

/* sync_evolution.c */
enum http_answer post_evolution(struct request *req, struct response *res, void *ctx);

#endif
