/*
 * journal.h - one row per change, in commit order, for everything that follows changes.
 *
 * History, notifications, live streams, sync and audit read the same rows. A tenant's rows are
 * numbered 1, 2, 3 ... without gaps (seq). Each row carries the hash of the one before it
 * (BLAKE2b-256 over the previous hash and the row's fields), and the newest seq and hash are kept
 * beside the rows, so a removed or edited row shows in store_check(). Trimming keeps the hash of
 * the last trimmed row as the new anchor.
 */
#ifndef STORE_JOURNAL_H
#define STORE_JOURNAL_H

#include "crypto/hash.h"
#include "store/store.h"

enum { JOURNAL_SEQ_BITS = 40 }; /* row key = tenant << 40 | seq */

struct journal_row {
    int64_t tenant;    /* number of the tenant, 1..2^22 */
    int64_t seq;       /* set by journal_append() */
    int64_t at;        /* instant of the change */
    struct str topic;  /* "entity", "subscription", ... */
    struct str key;    /* what changed, e.g. the entity's id */
    struct str body;   /* JSON, the topic's own format */
    struct str actor;  /* who: client or user id, may be absent */
    struct str origin; /* node where it was first written; absent: here */
    int64_t origin_seq;
    uint64_t mark; /* of who appends, not stored: see journal_mark(); 0: none */
};

/* Inside apply(): add a row and set row->seq. */
enum err journal_append(struct store_conn *c, struct journal_row *row, struct error *e);

/* Rows after seq in order, at most max, to each(); stops early when each() returns false. The
 * texts live during the call only. Returns ERR_NOT_FOUND when rows after seq were trimmed. */
enum err journal_read(struct store_conn *c, int64_t tenant, int64_t after, size_t max,
                      bool (*each)(void *ctx, const struct journal_row *row), void *ctx,
                      struct error *e);

/* Newest and oldest seq that are kept; 0 and 1 for an empty journal. */
enum err journal_range(struct store_conn *c, int64_t tenant, int64_t *oldest, int64_t *newest,
                       struct error *e);

/* The hash of a row, or of the last trimmed one; ERR_NOT_FOUND for one that is not kept, or is to
 * come. Seq 0, before the first row, has zeros. */
enum err journal_hash(struct store_conn *c, int64_t tenant, int64_t seq, struct hash *out,
                      struct error *e);

/* Drop rows up to and with seq, inside apply(). */
enum err journal_trim(struct store_conn *c, int64_t tenant, int64_t upto, struct error *e);

/* Inside apply(): a tenant that goes, whose number nobody has again, leaves no journal. */
enum err journal_drop(struct store_conn *c, int64_t tenant, struct error *e);

/* Inside apply(): the tenant, whose journal must be empty, goes on behind seq, as if the rows up to
 * it had been trimmed. */
enum err journal_begin(struct store_conn *c, int64_t tenant, int64_t seq, struct error *e);

/*
 * Be told after each commit that added rows, also by another process on the same PostgreSQL: fn
 * runs on a thread of the store and must only wake somebody. At most 16 listeners; removal waits
 * until no call is running, so never call it from fn. journal_listen_unmarked() leaves out commits
 * whose rows all have a mark.
 */
void journal_listen(struct store *s, void (*fn)(void *ctx), void *ctx);
void journal_listen_unmarked(struct store *s, void (*fn)(void *ctx), void *ctx);
void journal_unlisten(struct store *s, void (*fn)(void *ctx), void *ctx);

/*
 * Rows that nobody needs to read. One follower of the journal may look at what is being written,
 * on the writer thread, and give the row a mark: "with what I know as of this mark the row does
 * not concern me". When it comes to the row and its mark is still that one, it passes without
 * reading. Marks are kept in memory, for the newest rows only, and only once they are committed; a
 * row without one is read. what is the topic's own and lives during the call. One marker at a
 * time; removal waits until no call is running.
 */
typedef uint64_t journal_marker(void *ctx, struct arena *a, int64_t tenant, const void *what);
void journal_mark_by(struct store *s, journal_marker *fn, void *ctx); /* NULL: none any more */
/* Inside apply(): for journal_row.mark; 0 without a marker. */
uint64_t journal_mark(struct store_conn *c, struct arena *a, int64_t tenant, const void *what);
/* The last of the rows behind `after` that all bear this mark (not 0); `after` when the next one
 * does not. Any thread. */
int64_t journal_marked(struct store *s, int64_t tenant, int64_t after, uint64_t mark);

/*
 * Is it certain, without asking the database, that the tenant has no row behind `after`? epoch is
 * what journal_epoch() gave before everything up to `after` was read: a number that rises when
 * somebody else may have written. Any thread.
 */
uint64_t journal_epoch(struct store *s); /* never 0 */
bool journal_still(struct store *s, int64_t tenant, int64_t after, uint64_t epoch);

#endif
