/*
 * feed.h - changes as messages: what the journal has for another node, and taking what came.
 *
 *     {"node": sender, "upto": seq, "mark": hash of its journal up to there, "newest": seq,
 *      "rows": [{"s": seq, "o": node?, "p": PIECE}, ...], "want": [...]?}
 *
 * rows are in the order of the sender's journal and cover all of it up to "upto" that concerns the
 * receiver; "o" is the node that the change comes from when it is not the sender. A write of
 * evolution has "h" (past.h) in place of "p", what a city forgets "t" (trim.h). "whole": true
 * stands at the whole state of what enters the receiver's part: it has a past that no row carries.
 */
#ifndef LINK_EDGE_FEED_H
#define LINK_EDGE_FEED_H

#include "part.h"
#include "past.h"
#include "sync.h"
#include "trim.h"

struct feed {
    struct sync *sync;
    int64_t tenant, after;
    struct str to;           /* node that it goes to; absent: to the city, own changes only */
    const struct part *part; /* of the receiver; NULL: everything */
    size_t max_bytes;
    /* results */
    int64_t upto, newest;
    size_t rows;
};

/* Appends the message. ERR_NOT_FOUND when rows after `after` were trimmed. */
enum err feed_read(struct feed *f, struct store_conn *c, struct buf *out, struct error *e);

struct feed_row {
    int64_t seq;
    struct str origin;
    enum { FEED_PIECE, FEED_PAST, FEED_TRIM } kind; /* which of the next it holds */
    struct sync_piece piece;
    struct past past;
    struct trim_list trim;
};

struct feed_message {
    struct str node;
    int64_t upto, newest;
    struct str mark; /* hash of the sender's journal at `upto`, hexadecimal; absent */
    bool whole;      /* some row is so */
    VEC(struct feed_row) rows;
};

/* Checks the whole; texts point into v. */
enum err feed_parse(struct arena *a, const struct json *v, struct feed_message *out,
                    struct error *e);

/* The hash of our journal at a row, hexadecimal; absent when that is not kept. */
enum err sync_mark(struct store_conn *c, struct arena *a, int64_t tenant, int64_t seq,
                   struct str *out, struct error *e);

/* Apply a message in one change and note how far it goes (upto 0: it is no part of the journal). */
enum err feed_take(struct sync *s, int64_t tenant, const struct feed_message *m, struct error *e);

/*
 * A message (without upto) with the whole states of entities; ids that never were are left out.
 * Values that a state has seen are taken for known: the receiver must have all rows up to "newest"
 * first, or what was replaced meanwhile never enters its history.
 */
enum err states_write(struct sync *s, struct store_conn *c, int64_t tenant, const struct str *ids,
                      size_t n, struct buf *out, struct error *e);

/* What is known of another node; zeros when nothing is. */
struct cursor {
    int64_t received, acked, contact;
    struct str mark; /* hash of its journal at `received`, hexadecimal; absent: not known */
    bool known;
};
enum err cursor_read(struct store_conn *c, struct arena *a, int64_t tenant, struct str node,
                     struct cursor *out, struct error *e);
enum err cursor_write(struct store_conn *c, int64_t tenant, struct str node,
                      const struct cursor *cursor, struct error *e);

#endif
