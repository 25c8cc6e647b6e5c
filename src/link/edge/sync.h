/*
 * sync.h - a node among others: its clock, its registers on disk, what it knows of the others.
 *
 * Invariants:
 *
 *   1. Registers, entity, history and journal of a change are written in one transaction. How far
 *      another node's changes were taken (sync_cursor) is written in the transaction that applies
 *      them: a crash on either side repeats a message or loses none, and applying it twice is
 *      applying it once (register.h).
 *   2. A register without a row in sync_register was written before this store knew other nodes.
 *      Its event is then (modifiedAt of the instance, this node); of a head (createdAt, this node).
 *   3. A dot is used once: its clock is above all that its register has seen of this node, whatever
 *      the machine's clock says.
 *   4. What was received goes into the journal with its origin, and is never sent back there.
 *      Of its own rows an edge sends those without origin, a city all but those of the receiver.
 *   5. A value enters the history once, when its event is first seen, and whether or not it takes
 *      effect.
 *   6. A journal row with a piece is the whole of its change. One without (written before 2. ended)
 *      is replaced by the state of its entity.
 *   7. An id is that of one journal. Each side remembers the hash of the other's journal up to
 * where it took it (journal.h) and tells it at each session; who finds another hash there in its
 * own was restored from a backup or is one of two copies. A node then takes a new id, and its city
 *      lets nobody in any more who comes with the one that it had. When it is the city's journal
 *      that went back, states and evolution are compared.
 *
 * The clock is a hybrid logical clock in one number of microseconds: the machine's clock (on an
 * edge corrected by what it last measured against the city's), but always above the last one given
 * out or received. One that is more than edge.drift_s ahead of the machine's clock moves nothing:
 * neither ours when it comes from elsewhere, nor our next when it was our own.
 */
#ifndef LINK_EDGE_SYNC_H
#define LINK_EDGE_SYNC_H

#include "link/edge.h"
#include "link/link.h"
#include "piece.h"
#include <pthread.h>
#include <stdatomic.h>

enum { SYNC_DIGESTS = 8 }; /* kept */

struct digest;
struct edge;

struct sync {
    struct link *link;
    atomic_bool on;                /* registers are kept; never ends once begun */
    _Atomic(const char *) node;    /* this node's id; "" until on */
    struct arena ids;              /* all that it was */
    atomic_int_fast64_t restamped; /* own journal rows up to here have pieces of another id */
    int64_t hlc;                   /* last one given out or taken; writer thread only */
    atomic_int_fast64_t offset_us; /* city's clock - ours; 0 in a city */
    struct edge *edge;             /* NULL in a city */
    atomic_int_fast64_t
        since;            /* of an edge: where its city compares evolution from; 0: not known */
    pthread_mutex_t lock; /* of the next two */
    struct digest *digests[SYNC_DIGESTS];
    uint64_t digests_used;
};

static inline struct str sync_node(const struct sync *s)
{
    return str_c(atomic_load(&s->node));
}

/* Begin to keep registers; waits for the writer. */
enum err sync_begin(struct sync *s, struct error *e);
/* An id that nobody has; in the arena. */
struct str sync_new_id(struct arena *a);
/* Take note of the id on disk, if there is a good one. */
enum err sync_look(struct sync *s, struct error *e);
/* rename.c: take another id, because the one it has is somebody else's as well; the city took our
 * journal up to acked. Waits for the writer. */
enum err sync_rename(struct sync *s, int64_t tenant, int64_t acked, struct error *e);
/* The next clock, above a given one. Writer thread only. */
int64_t sync_tick(struct sync *s, int64_t now, int64_t above);
/* Take note of another node's clock. Writer thread only. */
void sync_hear(struct sync *s, int64_t now, int64_t hlc);

void conflict_routes(struct sync *s, struct router *r);

/* --- stamp.c: registers on disk --- */

struct sync_row {
    struct str attr, dataset; /* absent attr: the head */
    struct sync_register reg;
    /* What a row holds that the entity's document does not: the instance in effect of an attribute
     * of an entity that is deleted; of a head the one that the deletion replaced. */
    const struct json *aside;
    bool known; /* of a change from elsewhere: its value in effect is in the history already */
};

struct sync_put {
    struct sync *sync;
    bool remote;
    struct str origin; /* node it came from; absent: made here */
    int64_t origin_seq;
    int64_t at;
    struct str piece;
    VEC(struct sync_row) rows;
};

/* The head of an entity's document. */
const struct json *sync_head(struct arena *a, const struct json *doc);
/* A register as it is; doc: the entity's document, NULL when it is deleted or never was (eid 0). */
enum err sync_load(struct sync *s, struct store_conn *c, struct arena *a, int64_t eid,
                   const struct json *doc, struct str attr, struct str dataset,
                   struct sync_row *out, struct error *e);
typedef VEC(struct sync_row) sync_rows;
/* All registers of an entity. */
enum err sync_load_all(struct sync *s, struct store_conn *c, struct arena *a, int64_t eid,
                       const struct json *doc, sync_rows *out, struct error *e);
/* seq: the journal row of the change. */
enum err sync_save(struct store_conn *c, struct arena *a, int64_t eid, const struct sync_row *row,
                   int64_t seq, struct error *e);
/* The whole state of an entity as a piece. ERR_NOT_FOUND when there never was one. */
enum err sync_state(struct sync *s, struct store_conn *c, struct arena *a, int64_t tenant,
                    struct str id, struct sync_piece *out, struct error *e);

/* --- apply.c --- */

/* Join a piece into what is there, inside a change. origin absent: a decision made here. */
enum err sync_apply(struct sync *s, struct store_conn *c, struct arena *a, int64_t tenant,
                    const struct sync_piece *p, struct str origin, int64_t origin_seq,
                    struct str actor, struct error *e);
/* Take a whole state for what is here, whatever that is; a piece without parts: nothing is left. */
enum err sync_replace(struct sync *s, struct store_conn *c, struct arena *a, int64_t tenant,
                      const struct sync_piece *p, struct str origin, struct str actor,
                      struct error *e);

#endif
