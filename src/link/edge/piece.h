/*
 * piece.h - what travels between nodes: registers of one entity (register.h) as JSON.
 *
 *     {"id": URI, "at": us,
 *      "r": [{"a": IRI, "d": URI?, "c": "node:hlc,...", "v": [[hlc, "node", INSTANCE|null], ...]},
 *            ...]}
 *
 * "a" is absent for the head: {"type": [IRI...], "scope": [...]?, "createdAt": T, "expiresAt": T?}.
 * "at" is the instant of the change by the clock of the node that made it. A change of one write
 * has one value in each register; the whole state of an entity has all its registers, those of
 * deleted attributes too. The stored form of instances is that of link/entity.h, with its times.
 */
#ifndef LINK_EDGE_PIECE_H
#define LINK_EDGE_PIECE_H

#include "register.h"

struct sync_part {      /* one register of a piece */
    struct str attr;    /* IRI; absent: the head */
    struct str dataset; /* URI; absent: the default instance */
    struct sync_register reg;
};

struct sync_piece {
    struct str id;
    int64_t at;
    VEC(struct sync_part) parts;
};

void sync_piece_write(struct arena *a, struct buf *out, const struct sync_piece *p);
/*
 * Checks all that later code relies on: ids, clocks, that instances have a kind and a value and the
 * datasetId of their register, that heads have types. Texts point into v. ERR_INVALID.
 */
enum err sync_piece_read(struct arena *a, const struct json *v, struct sync_piece *out,
                         struct error *e);

/* Is it an attribute instance in stored form, with its times, of that dataset? */
bool sync_instance_ok(const struct json *v, struct str dataset);

#endif
