/*
 * merkle.h - the Merkle tree of RFC 9162 section 2.1 over SHA-256: heads, proofs, and checking
 * them.
 *
 * A leaf is hashed with the prefix 0x00, a node with 0x01. The tree over n leaves splits at the
 * largest power of two smaller than n, so every perfect subtree that is complete never changes:
 * node (level, index) is the root over the leaves [index << level, (index + 1) << level). Who
 * stores such nodes can make every proof of every size from them.
 *
 *     struct merkle m = {0};
 *     merkle_add(&m, &leaf);
 *     struct hash head = merkle_root(&m);
 */
#ifndef CRYPTO_MERKLE_H
#define CRYPTO_MERKLE_H

#include "core/error.h"
#include "crypto/hash.h"

enum { MERKLE_LEVELS = 64, MERKLE_PROOF_MAX = 65 };

struct hash merkle_leaf(struct str data);
struct hash merkle_node(const struct hash *left, const struct hash *right);

/* A growing tree: the roots of its perfect subtrees, largest first. Zeroed: the empty tree. */
struct merkle {
    uint64_t size;
    unsigned n; /* as many as size has bits that are set */
    struct hash peaks[MERKLE_LEVELS];
};

void merkle_add(struct merkle *m, const struct hash *leaf);
struct hash merkle_root(const struct merkle *m); /* of the empty tree: SHA-256 of nothing */

/* A complete perfect subtree's root; index counts subtrees of that level. */
struct merkle_nodes {
    enum err (*read)(void *ctx, unsigned level, uint64_t index, struct hash *out, struct error *e);
    void *ctx;
};

struct merkle_proof {
    size_t n;
    struct hash path[MERKLE_PROOF_MAX];
};

/* The head of the tree of the first size leaves. */
enum err merkle_root_of(const struct merkle_nodes *nodes, uint64_t size, struct hash *out,
                        struct error *e);
/* That leaf index is in the tree of size leaves (2.1.3.1). ERR_INVALID unless index < size. */
enum err merkle_prove_leaf(const struct merkle_nodes *nodes, uint64_t index, uint64_t size,
                           struct merkle_proof *out, struct error *e);
/* That the tree of `from` leaves is the beginning of that of `to` leaves (2.1.4.1). ERR_INVALID
 * unless 0 < from <= to; equal sizes have an empty proof. */
enum err merkle_prove_growth(const struct merkle_nodes *nodes, uint64_t from, uint64_t to,
                             struct merkle_proof *out, struct error *e);

/* 2.1.3.2 */
bool merkle_has_leaf(const struct hash *root, uint64_t size, const struct hash *leaf,
                     uint64_t index, const struct merkle_proof *proof);
/* 2.1.4.2 */
bool merkle_has_grown(const struct hash *from_root, uint64_t from, const struct hash *to_root,
                      uint64_t to, const struct merkle_proof *proof);

#endif
