/*
 * evolution.h - the evolution that two sides should both hold: summed up, read and taken by pieces.
 *
 * Journal rows carry evolution on (feed.h, past.h); a node that comes for the first time, or that
 * lost something, gets the rest here. An entity's evolution is a set of *traces*: its instances by
 * their names (past.h), with the dot of their last write where there was one, deletions too. What a
 * deleted attribute left in the history as the mark of its deletion is no trace.
 *
 *   1. A trace stands at the later of the time in its name and the clock of its last write. So the
 *      writes of one instance never move back, and what both sides compare from an instant on has
 *      with any write of an instance all later ones too.
 *   2. Both sides compare from the same instant on (evolution_since): neither what is older than a
 *      node wants, nor what a side's retention takes away, nor what is older than deletions that
 *      are forgotten (trim.h) is compared. Sums that are equal are equal sets.
 *   3. Taking is joining: of a trace that was written as evolution the later write holds; one that
 *      was not is added unless an instance of that name and value is there, or was written.
 *   4. Whoever takes traces has all journal rows of the sender up to the moment of reading them, or
 *      values would enter the history twice.
 *
 * As they travel, with members of past.h; "w" is absent for what was never written as such:
 *
 *     [{"id": URI, "types": [IRI...]?, "r": [{"a": IRI, "d": URI?, "n": [...], "w": [hlc, node]?,
 *                                              "v": INSTANCE?}, ...]}, ...]
 */
#ifndef LINK_EDGE_EVOLUTION_H
#define LINK_EDGE_EVOLUTION_H

#include "past.h"

/* An instant from which on there is nothing to compare; exact in JSON everywhere. */
#define EVOLUTION_NONE ((INT64_C(1) << 53) - 1)

struct trace {
    int64_t at; /* where it stands */
    uint64_t hash;
    /* Only while it is being read: */
    struct past_row row; /* without value */
    struct sync_dot dot; /* hlc 0: it was never written as evolution */
    struct str value;    /* JSON; absent: deleted */
};

/* From which instant on evolution is compared here, at least `asked`; or EVOLUTION_NONE. */
enum err evolution_since(struct sync *s, struct store_conn *c, int64_t tenant, int64_t asked,
                         int64_t *since, struct error *e);
/* What this node asks for: edge.past_days before now, or EVOLUTION_NONE. */
int64_t evolution_wanted(const struct sync *s);

/* Traces of an entity that stand in [from, to), in no order; texts live during the call. */
enum err evolution_each(struct store_conn *c, int64_t eid, int64_t from, int64_t to,
                        void (*each)(void *ctx, const struct trace *t), void *ctx, struct error *e);

/* Rows of hist_recent (history.c) for many entities at once. */
struct recent_trace {
    int64_t eid;
    uint64_t hash;
};
struct recent_traces {
    VEC(struct recent_trace) v; /* by eid */
};
enum err evolution_recent(struct store_conn *c, struct arena *a, int64_t since,
                          struct recent_traces *out, struct error *e);
/* The sum of an entity's traces from since on; 0: there are none. */
enum err evolution_sum(struct store_conn *c, struct arena *scratch, int64_t eid, int64_t since,
                       const struct recent_traces *recent, uint64_t *sum, struct error *e);
/* Hashes of an entity's traces in [from, to), ascending. */
struct trace_set {
    VEC(uint64_t) v;
};
enum err evolution_hashes(struct store_conn *c, struct arena *a, int64_t eid, int64_t from,
                          int64_t to, struct trace_set *out, struct error *e);
bool trace_set_has(const struct trace_set *set, uint64_t hash);
/* As text, 16 hexadecimal digits each, and back; false: it is no such text. */
struct str trace_set_text(struct arena *a, const struct trace_set *set);
bool trace_set_read(struct arena *a, struct str text, struct trace_set *out);

/* Sums of the hours of [since, ...) in which an entity has traces. */
struct hour_sum {
    int64_t from; /* since + a whole number of hours */
    uint64_t sum;
};
struct hour_sums {
    VEC(struct hour_sum) v; /* ascending */
};
enum err evolution_hours(struct store_conn *c, struct arena *a, int64_t eid, int64_t since,
                         struct hour_sums *out, struct error *e);

/*
 * Write an entity's traces in [from, to) of which not (only = false) or of which (only = true) the
 * set speaks, as an element of the array above (nothing when there are none). Stops after the first
 * instant at which more than max_bytes are written: *upto is where to go on, or to. *n counts.
 */
enum err evolution_write(struct store_conn *c, int64_t eid, struct str id, int64_t from, int64_t to,
                         const struct trace_set *set, bool only, size_t max_bytes, struct buf *out,
                         int64_t *upto, size_t *n, struct error *e);

struct evolution_row {
    struct past_row row;
    struct sync_dot dot;
};
struct evolution_of {
    struct str id;
    const struct json *types; /* or NULL */
    VEC(struct evolution_row) rows;
};
struct evolution_list {
    VEC(struct evolution_of) v;
};
/* Checks the whole; texts point into v. ERR_INVALID. */
enum err evolution_read(struct arena *a, const struct json *v, struct evolution_list *out,
                        struct error *e);
/* Join what came from a node, in one change. *news: traces that were not known. */
enum err evolution_take(struct sync *s, int64_t tenant, const struct evolution_list *list,
                        struct str from, size_t *news, struct error *e);

/* Was the instance that an attribute's change left written as evolution, or is it there? hist is
 * settled (history_impl.h). value: its JSON. */
enum err evolution_has(struct store_conn *c, int64_t eid, const struct past_row *row,
                       struct str value, bool *known, struct error *e);

/* Types of an entity that is not there (any more), as far as they are known; NULL. */
enum err evolution_types(struct store_conn *c, struct arena *a, int64_t eid,
                         const struct json **types, struct error *e);

#endif
