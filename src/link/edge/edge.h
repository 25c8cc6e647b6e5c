/* edge.h - the thread of an edge node that exchanges with the city. */
#ifndef LINK_EDGE_EDGE_H
#define LINK_EDGE_EDGE_H

#include "sync.h"

struct edge *edge_new(struct sync *s, struct error *e);
void edge_free(struct edge *g);
void edge_look(struct edge *g, struct edge_status *out);
/* Members "upstream": {...} of an open object. */
void edge_write(struct edge *g, struct json_writer *w);

#endif
