/*
 * stream_impl.h - live streams inside: stream.c follows the journal and fills buffers, stream_api.c
 * takes requests and empties them.
 */
#ifndef LINK_STREAM_IMPL_H
#define LINK_STREAM_IMPL_H

#include "core/map.h"
#include "link/link.h"
#include "link/subscription.h"
#include <pthread.h>

enum {
    STREAM_ROOM = 64 * 1024, /* waiting bytes of one stream that stop its filling */
    STREAM_FAR = 10000,      /* rows behind that are answered by a reset */
    STREAM_PENDING_S = 60    /* a WebSocket that was accepted and never opened is forgotten */
};

/* How changes are shown: streams that agree share the text of each row. */
struct stream_view {
    size_t refs;
    struct str key;
    struct arena arena;
    struct entity_view view;
    struct str owner;    /* whose rights count: an actor, see access.h */
    int64_t heard_stamp; /* of the row that heard is of */
    const struct entity_event *heard;
    int64_t stamp; /* of the row that text is of */
    struct buf text;
};

struct stream {
    struct streams *hub;
    struct stream *next, **prev;
    struct arena arena;
    uint64_t id;
    int64_t tenant;
    int64_t newest; /* of the journal when it began */
    int64_t at;     /* rows up to it were written or of no concern */
    struct entity_query query;
    struct stream_view *view;
    struct buf out; /* SSE: from taken on */
    size_t taken;
    struct http_stream_handle *handle; /* SSE */
    bool websocket;
    struct ws *ws;  /* NULL: not open yet */
    int64_t budget; /* WebSocket: bytes that may still be sent before the next tick */
    int64_t last;   /* steady: something was sent, or made */
    bool over;      /* ends when what is waiting was sent */
};

struct stream_tenant {
    int64_t tenant, pos; /* rows up to it were offered to those who keep up */
    size_t n;
    struct stream_tenant *next;
};

/*
 * What the events of a WebSocket carry. One that was accepted and then never opens sends no event:
 * its stream is forgotten after a while, only this waits for the end of the hub.
 */
struct stream_key {
    struct streams *hub;
    uint64_t id;
    struct stream_key *next;
};

struct streams {
    struct link *link;
    pthread_mutex_t lock; /* everything below, and all streams */
    pthread_cond_t wake;
    pthread_t thread;
    bool changed, closing;
    struct stream *first;
    struct stream_key *keys;
    struct stream_tenant *tenants;
    struct map views;
    uint64_t ids;
    int64_t stamp;
    size_t n;
};

/* Enter a stream that is filled from `at`; it belongs to the hub. */
void stream_enter(struct streams *h, struct stream *s);
/* Under the lock: take it out and free it. */
void stream_leave(struct stream *s);
struct stream *stream_find(struct streams *h, uint64_t id);
struct stream_view *stream_view_get(struct streams *h, const struct entity_view *v,
                                    struct str owner);
void stream_free(struct stream *s); /* one that was not entered */
/* One round of following. True when there is more at once. */
bool stream_step(struct streams *h);

#endif
