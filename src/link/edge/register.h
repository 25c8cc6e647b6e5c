/*
 * register.h - what two nodes make of one attribute instance that both may have changed.
 *
 * A register holds one instance of one attribute of one entity (or the entity's head: its types,
 * scopes, creation and expiry). Every write is an event, named by its dot: the node and the hybrid
 * logical clock of that write. A register remembers which events it has seen (of each node all up
 * to a clock) and the values of those events that no later event replaced.
 *
 *   1. A write replaces all values that its node had seen, whatever their times: who knew both
 *      decided. A deletion is a write of nothing.
 *   2. Values of writes of which neither had seen the other stand side by side. The first of them
 * in the order of sync_value_cmp() is in effect; when they differ, people decide.
 *   3. Joining is commutative, associative and idempotent, and what is in effect depends on the set
 *      of values alone: replicas that have seen the same events are equal.
 *
 * The order: the later observation first. The time of an observation is its observedAt, or, where
 * there is none (deletions never have one), the clock of the write; times that are equal are
 * decided by the clock of the write, then by the node's id, the greater one first. (Comparing
 * observedAt only when both values have one would not be transitive: three values could each beat
 * another.)
 *
 * Everything here is pure: values in, values out, in the caller's arena.
 */
#ifndef LINK_EDGE_REGISTER_H
#define LINK_EDGE_REGISTER_H

#include "core/json.h"
#include "core/vec.h"

enum { SYNC_NODE_BYTES = 32 }; /* longest id of a node: small letters and digits */

struct sync_dot {
    int64_t hlc; /* microseconds, see clock.h */
    struct str node;
};

struct sync_value {
    struct sync_dot dot;
    const struct json *value; /* NULL: deleted */
};

struct sync_register {
    VEC(struct sync_dot) seen;     /* by node, ascending */
    VEC(struct sync_value) values; /* what is in effect comes first */
};

/* < 0: x comes first. 0 only for the same dot. */
int sync_value_cmp(const struct sync_value *x, const struct sync_value *y);

/* The clock of the newest event of a node that the register has seen; 0: none. */
int64_t sync_seen(const struct sync_register *r, struct str node);
bool sync_has_seen(const struct sync_register *r, const struct sync_dot *dot);
/* Note that an event was seen. */
void sync_see(struct arena *a, struct sync_register *r, const struct sync_dot *dot);

/* A write by a node that has seen all of r; dot->hlc must be above sync_seen(r, dot->node). */
void sync_write(struct arena *a, struct sync_register *r, const struct sync_dot *dot,
                const struct json *value);
/* Put a value beside those that are there; false: one of the same node is. */
bool sync_stand(struct arena *a, struct sync_register *r, const struct sync_value *v);
/* r becomes the join of r and with, sharing their values. */
void sync_join(struct arena *a, struct sync_register *r, const struct sync_register *with);

/* What is in effect; NULL: nothing. */
const struct json *sync_effect(const struct sync_register *r);
/* Do values stand side by side that say different things (times of creation and change apart)? */
bool sync_differs(const struct sync_register *r);
/* The same value, times of creation and change apart? NULL is a deletion. */
bool sync_same_value(const struct json *x, const struct json *y);

/* seen as text "node:hlc,node:hlc", and back. false: it is no such text. */
struct str sync_seen_text(struct arena *a, const struct sync_register *r);
bool sync_seen_parse(struct arena *a, struct str text, struct sync_register *r);
bool sync_node_ok(struct str node);

#endif
