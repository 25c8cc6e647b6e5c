/*
 * trim.h - forgetting what was deleted, when nobody can come any more who does not know it.
 *
 * The register of something that is deleted stays as a tombstone, or a node that has not heard of
 * the deletion would bring it back. A city deletes tombstones that every node has taken (the
 * journal row that wrote them is behind them), nodes that were away for edge.keep_hours not
 * counted.
 *
 *   1. What the city forgets it tells in its journal, a row of topic "trim": a node forgets it
 * before it takes any later row. So no register is ever written by somebody who forgot a tombstone
 * and taken by somebody who still has it, which would look like a conflict.
 *   2. A tombstone is forgotten by its dot: when something was written meanwhile nothing happens.
 *   3. What people have to decide (a value beside a deletion) is not forgotten, nor the deletion.
 *   4. sync_trim says up to which journal row there were tombstones that are gone. A node that had
 *      taken less than that when it comes again may hold what is deleted: it sends its own changes,
 *      then takes the city's states for its own (edge_states.c), except where it writes meanwhile.
 *   5. Deletions of evolution (sync_past) have no part in this: those that are older than
 *      edge.keep_hours and edge.past_days are deleted on each side, and evolution from before is
 *      not compared any more (evolution_since).
 *
 *     {"of": [{"id": URI, "a": IRI?, "d": URI?, "w": [hlc, node]}, ...]}
 */
#ifndef LINK_EDGE_TRIM_H
#define LINK_EDGE_TRIM_H

#include "sync.h"

/* One run over all tenants, of a city registers too; a task of the pool. */
void trim_run(struct sync *s);

/* Up to which row tombstones are gone, and the newest instant of evolution that is; 0: none. */
enum err trim_horizon(struct store_conn *c, int64_t tenant, int64_t *seq, int64_t *past,
                      struct error *e);

struct trim_name {
    struct str id, attr, dataset; /* attr absent: the head */
    struct sync_dot dot;
};
struct trim_list {
    VEC(struct trim_name) v;
};
/* What a city tells; texts point into v. ERR_INVALID. */
enum err trim_read(struct arena *a, const struct json *v, struct trim_list *out, struct error *e);
/* Inside a change: forget them too. */
enum err trim_apply(struct store_conn *c, struct arena *a, int64_t tenant,
                    const struct trim_list *list, struct error *e);

#endif
