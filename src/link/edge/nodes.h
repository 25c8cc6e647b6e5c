/*
 * nodes.h - nodes that a city has enrolled. A token is kept as its hash only.
 *
 * Rows of sync_node whose token is "" let nobody in: "upstream" is the city of an edge node, others
 * came with an export of everything (everything.h) and must be enrolled again.
 */
#ifndef LINK_EDGE_NODES_H
#define LINK_EDGE_NODES_H

#include "sync.h"

/* Inside a change: enrol a node, also one that must be enrolled again; its token, in the arena.
 * ERR_EXISTS, ERR_INVALID (a name is 1 to 64 letters, digits, '-', '_' and '.'). */
enum err nodes_enroll(struct store_conn *c, struct arena *a, struct str name, int64_t now,
                      struct str *token, struct error *e);
/* Inside a change. ERR_NOT_FOUND. */
enum err nodes_dismiss(struct store_conn *c, struct str name, struct error *e);
/* Whose token it is. ERR_UNAUTHENTICATED. Looks at every hash, in constant time each. */
enum err nodes_find(struct store_conn *c, struct arena *a, struct str token, struct str *name,
                    struct error *e);
enum node_id {
    NODE_SAME,   /* it is the name's, or the first that it comes with */
    NODE_OTHER,  /* another than it had: that one is nobody's any more */
    NODE_FORMER, /* one that this name had before: a copy of it was here since */
    NODE_TAKEN   /* it is, or was, of another name */
};
/* Inside a change: whose id it is. */
enum err nodes_id(struct store_conn *c, struct str name, struct str node, enum node_id *out,
                  struct error *e);
/* Inside a change: of NODE_OTHER, forget what is known of the id before. */
enum err nodes_replace(struct store_conn *c, struct str name, int64_t now, struct error *e);
/* Inside a change: what a node said of itself when it came. */
enum err nodes_note(struct store_conn *c, struct str name, struct str node, struct str part,
                    struct error *e);

#endif
