/* edge.h - the thread of an edge node that exchanges with the city. */
#ifndef LINK_EDGE_EDGE_H
#define LINK_EDGE_EDGE_H

#include "sync.h"

enum edge_state {
    EDGE_OFFLINE,  /* the city does not answer */
    EDGE_REFUSED,  /* it answers, but not to us */
    EDGE_COPYING,  /* states are compared and exchanged */
    EDGE_CHANGES,  /* changes are exchanged */
    EDGE_TOGETHER, /* nothing is left to exchange */
};
extern const char *const edge_state_names[];

struct edge_status {
    enum edge_state state;
    int64_t contact;   /* last answer of the city, instant; 0: never */
    int64_t waiting;   /* own journal rows that the city has not got */
    int64_t behind;    /* rows of the city's journal not looked at yet */
    int64_t verified;  /* when digests were last equal, instant; 0: never */
    int64_t offset_us; /* city's clock - ours */
    char name[72];     /* as which it is enrolled */
    char error[200];   /* why it is offline or refused; else empty */
};

struct edge *edge_new(struct sync *s, struct error *e);
void edge_free(struct edge *g);
void edge_look(struct edge *g, struct edge_status *out);
/* Members "upstream": {...} of an open object. */
void edge_write(struct edge *g, struct json_writer *w);

#endif
