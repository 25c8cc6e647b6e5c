/*
 * digest.h - one number for the state of a part and its evolution, and where two sides differ.
 *
 * Each entity has a hash of what readers see (types, scopes, expiry, attributes with their times;
 * not modifiedAt of the entity, which is each node's own) and of the events that stand beside, and
 * the sum of its evolution from an instant on (evolution.h). Entities that are gone have the sum
 * alone, and are of a part by their types: when scopes or an area choose it they are left out.
 *
 * Entities are sorted by the first 8 bytes of the BLAKE2b of their id; the first of these bytes
 * chooses one of 256 buckets. The hash of a bucket is that of its entities, the digest that of its
 * buckets: two nodes whose digests are equal hold the same, and those that differ find out where in
 * two questions.
 *
 * A digest is worked out by reading the whole part once. When the journal moves on, only entities
 * that it speaks of are read again. A few digests are kept, for parts and instants that differ.
 */
#ifndef LINK_EDGE_DIGEST_H
#define LINK_EDGE_DIGEST_H

#include "crypto/hash.h"
#include "part.h"
#include "sync.h"

enum { DIGEST_BUCKETS = 256, DIGEST_ENTRY_BYTES = 16 };

struct digest_entry {
    uint64_t id;                            /* hash of the entity's id */
    unsigned char hash[DIGEST_ENTRY_BYTES]; /* zeros: it is not there */
    uint64_t past;                          /* 0: no evolution */
    int64_t eid;
};

struct digest {
    int64_t tenant, seq; /* newest journal row when it was worked out */
    int64_t since;       /* of evolution */
    struct str key;      /* of the part */
    uint64_t used;       /* the last use, among all */
    struct digest_entry *entries;
    size_t n, present;  /* entries, and those that are there */
    struct hash root;   /* of all */
    struct hash states; /* of what is there alone */
    struct hash buckets[DIGEST_BUCKETS];
    size_t first[DIGEST_BUCKETS + 1]; /* entries of bucket b: first[b] up to first[b + 1] */
    struct arena arena;
};

/* Locks s->lock, also when it fails; *out is good until digest_done(). */
enum err digest_get(struct sync *s, int64_t tenant, const struct part *part, int64_t since,
                    const struct digest **out, struct error *e);
void digest_done(struct sync *s);
void digest_forget(struct sync *s); /* all that are kept */

uint64_t digest_id(struct str id);
bool digest_id_read(struct str hex, uint64_t *out); /* of 16 digits */
const struct digest_entry *digest_find(const struct digest *d, uint64_t id);
/* Id of the entity in row eid, in the arena; absent when there is none. */
struct str digest_entity(struct store_conn *c, struct arena *a, int64_t eid);

#endif
