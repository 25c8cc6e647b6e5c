/*
 * past.h - evolution that is written as such (/temporal/entities), between nodes.
 *
 * An instance of the past has a name that is the same on every node: one that was added as such is
 * named by the clock and the node of its addition; one that an attribute's change left behind by
 * its own time and that of its change. (Instance ids are journal positions, each node's own.)
 *
 *   1. Of all writes of an instance the one with the greatest dot holds: its clock is above that of
 *      every write that its node had seen. Deleting is writing nothing. So a correction and a
 *      deletion that had not seen each other are decided by their clocks, and both sides agree.
 *   2. Deleting a whole evolution deletes the instances that its node held, each by its name: what
 *      another node added or observed meanwhile stays.
 *   3. Applying a write twice, or after a later one, changes nothing. What an attribute's change
 *      leaves behind travels as that change (feed.h), in the journal before any write that names
 *      it; a write of something that never came here is kept and has no effect.
 *   4. What retention made of old rows (history_keep.h) has no names: each node deletes its own.
 *
 * As it travels, in the journal's rows of topic "history" as member "past":
 *
 *     {"id": URI, "types": [IRI...]?, "w": [hlc, node],
 *      "r": [{"a": IRI, "d": URI?, "n": [made, changed, maker], "v": INSTANCE?}, ...]}
 *
 * types are those of an entity that is known by its evolution alone. A row with a value is alone.
 * A deletion of which a node knows no names any more has "k": [attr, dataset], their keys (keys.h),
 * in place of "a" and "d".
 */
#ifndef LINK_EDGE_PAST_H
#define LINK_EDGE_PAST_H

#include "sync.h"

enum { PAST_ROWS = 1000 }; /* in one write */

struct past_name {
    int64_t made, changed; /* instants; of what was added as such: its clock, 0 */
    struct str maker;      /* node that added it; empty: an attribute's change left it */
};

struct past_row {
    struct str attr, dataset; /* dataset absent: default; attr absent: */
    int64_t keys[2];          /* of a deletion whose names are not known any more: their keys */
    struct past_name name;
    const struct json *value; /* NULL: deleted */
};

struct past {
    struct str id;
    const struct json *types; /* or NULL */
    struct sync_dot dot;
    VEC(struct past_row) rows;
};

bool past_types_ok(const struct json *types);
/* The members of one row, of an open object; and back: false when it cannot be read. */
void past_row_write(struct json_writer *w, const struct past_row *row);
bool past_row_read(const struct json *v, struct past_row *row);

void past_write(struct json_writer *w, const struct past *p);
/* Checks all that later code relies on; texts point into v. ERR_INVALID. */
enum err past_read(struct arena *a, const struct json *v, struct past *out, struct error *e);

struct past_from {
    struct str origin; /* node; absent: here */
    int64_t origin_seq;
    struct str actor;
};
/* Inside a change: take what is new, and write it into the journal. *changed: there was some. */
enum err past_apply(struct sync *s, struct store_conn *c, struct arena *a, int64_t tenant,
                    const struct past *p, const struct past_from *from, bool *changed,
                    struct error *e);

#endif
