/*
 * The tree of RFC 9162. Proofs are made as the RFC defines them, by descending: the side that the
 * proof does not enter is a subtree whose root is put together from complete perfect subtrees.
 */
#include "crypto/merkle.h"
#include <sodium.h>
#include <string.h>

static bool same(const struct hash *x, const struct hash *y)
{
    return memcmp(x->b, y->b, HASH_BYTES) == 0;
}

/* libsodium's: without a look-up or memory of its own, unlike OpenSSL's. */
static struct hash prefixed(unsigned char prefix, struct str x, struct str y)
{
    crypto_hash_sha256_state state;
    struct hash h;
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, &prefix, 1);
    crypto_hash_sha256_update(&state, (const unsigned char *)x.p, x.n);
    crypto_hash_sha256_update(&state, (const unsigned char *)y.p, y.n);
    crypto_hash_sha256_final(&state, h.b);
    return h;
}

struct hash merkle_leaf(struct str data)
{
    return prefixed(0x00, data, STR_NONE);
}

struct hash merkle_node(const struct hash *left, const struct hash *right)
{
    return prefixed(0x01, str_n((const char *)left->b, HASH_BYTES),
                    str_n((const char *)right->b, HASH_BYTES));
}

void merkle_add(struct merkle *m, const struct hash *leaf)
{
    struct hash h = *leaf;
    /* each bit at the end of the old size that is set is a subtree of the same height */
    for (uint64_t s = m->size; s & 1; s >>= 1)
        h = merkle_node(&m->peaks[--m->n], &h);
    m->peaks[m->n++] = h;
    m->size++;
}

struct hash merkle_root(const struct merkle *m)
{
    if (!m->n)
        return hash_sha256(STR_NONE);
    struct hash h = m->peaks[m->n - 1];
    for (unsigned i = m->n - 1; i-- > 0;)
        h = merkle_node(&m->peaks[i], &h);
    return h;
}

/* --- proofs from complete subtrees --- */

/* Largest power of two smaller than n, as a level; n > 1. */
static unsigned split_level(uint64_t n)
{
    return 63 - (unsigned)__builtin_clzll(n - 1);
}

/* The root over the leaves [at, at + n); at is a multiple of every subtree in it. */
static enum err range_root(const struct merkle_nodes *nodes, uint64_t at, uint64_t n,
                           struct hash *out, struct error *e)
{
    struct hash parts[MERKLE_LEVELS];
    unsigned count = 0;
    while (n) { /* its perfect subtrees, largest first */
        unsigned level = 63 - (unsigned)__builtin_clzll(n);
        enum err err = nodes->read(nodes->ctx, level, at >> level, &parts[count++], e);
        if (err)
            return err;
        at += (uint64_t)1 << level;
        n -= (uint64_t)1 << level;
    }
    *out = parts[count - 1];
    for (unsigned i = count - 1; i-- > 0;)
        *out = merkle_node(&parts[i], out);
    return OK;
}

enum err merkle_root_of(const struct merkle_nodes *nodes, uint64_t size, struct hash *out,
                        struct error *e)
{
    if (size)
        return range_root(nodes, 0, size, out, e);
    *out = hash_sha256(STR_NONE);
    return OK;
}

/* Entries come from the root down; proofs are read from the leaf up. */
static void turn(struct merkle_proof *p)
{
    for (size_t i = 0; i < p->n / 2; i++) {
        struct hash h = p->path[i];
        p->path[i] = p->path[p->n - 1 - i];
        p->path[p->n - 1 - i] = h;
    }
}

enum err merkle_prove_leaf(const struct merkle_nodes *nodes, uint64_t index, uint64_t size,
                           struct merkle_proof *out, struct error *e)
{
    uint64_t at = 0;
    out->n = 0;
    if (index >= size)
        return error_set(e, ERR_INVALID, "no leaf %llu in a tree of %llu",
                         (unsigned long long)index, (unsigned long long)size);
    while (size > 1) {
        uint64_t k = (uint64_t)1 << split_level(size);
        bool left = index < k;
        enum err err = left ? range_root(nodes, at + k, size - k, &out->path[out->n++], e)
                            : range_root(nodes, at, k, &out->path[out->n++], e);
        if (err)
            return err;
        at += left ? 0 : k;
        index -= left ? 0 : k;
        size = left ? k : size - k;
    }
    turn(out);
    return OK;
}

enum err merkle_prove_growth(const struct merkle_nodes *nodes, uint64_t from, uint64_t to,
                             struct merkle_proof *out, struct error *e)
{
    uint64_t at = 0;
    bool whole = true; /* the subtree at hand is the old tree itself, which the verifier knows */
    out->n = 0;
    if (!from || from > to)
        return error_set(e, ERR_INVALID, "a tree of %llu leaves does not grow into one of %llu",
                         (unsigned long long)from, (unsigned long long)to);
    while (from < to) {
        uint64_t k = (uint64_t)1 << split_level(to);
        bool left = from <= k;
        enum err err = left ? range_root(nodes, at + k, to - k, &out->path[out->n++], e)
                            : range_root(nodes, at, k, &out->path[out->n++], e);
        if (err)
            return err;
        whole = whole && left;
        at += left ? 0 : k;
        from -= left ? 0 : k;
        to = left ? k : to - k;
    }
    if (!whole) {
        enum err err = range_root(nodes, at, to, &out->path[out->n++], e);
        if (err)
            return err;
    }
    turn(out);
    return OK;
}

/* --- checking --- */

bool merkle_has_leaf(const struct hash *root, uint64_t size, const struct hash *leaf,
                     uint64_t index, const struct merkle_proof *proof)
{
    if (index >= size)
        return false;
    uint64_t fn = index, sn = size - 1;
    struct hash r = *leaf;
    for (size_t i = 0; i < proof->n; i++) {
        if (sn == 0)
            return false;
        if ((fn & 1) || fn == sn) {
            r = merkle_node(&proof->path[i], &r);
            while (fn && !(fn & 1)) {
                fn >>= 1;
                sn >>= 1;
            }
        } else {
            r = merkle_node(&r, &proof->path[i]);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && same(&r, root);
}

bool merkle_has_grown(const struct hash *from_root, uint64_t from, const struct hash *to_root,
                      uint64_t to, const struct merkle_proof *proof)
{
    if (!from || from > to)
        return false;
    if (from == to)
        return proof->n == 0 && same(from_root, to_root);
    /* an old tree that is perfect is the first entry of the path */
    bool perfect = (from & (from - 1)) == 0;
    if (!perfect && !proof->n)
        return false;
    struct hash fr = perfect ? *from_root : proof->path[0], sr = fr;
    uint64_t fn = from - 1, sn = to - 1;
    while (fn & 1) {
        fn >>= 1;
        sn >>= 1;
    }
    for (size_t i = perfect ? 0 : 1; i < proof->n; i++) {
        if (sn == 0)
            return false;
        if ((fn & 1) || fn == sn) {
            fr = merkle_node(&proof->path[i], &fr);
            sr = merkle_node(&proof->path[i], &sr);
            while (fn && !(fn & 1)) {
                fn >>= 1;
                sn >>= 1;
            }
        } else {
            sr = merkle_node(&sr, &proof->path[i]);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && same(&fr, from_root) && same(&sr, to_root);
}
