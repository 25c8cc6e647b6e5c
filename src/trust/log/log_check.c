/*
 * The whole log of a store read once, in order, with a growing tree beside it: it tells of every
 * leaf, node and head whether it is what it must be.
 */
#include "log_impl.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { PAGE = 1000, LEVELS_KEPT = MERKLE_LEVELS / LOG_TILE_HEIGHT };

struct check {
    struct store_conn *conn;
    struct arena arena; /* of the head at hand */
    const struct note_key *key;
    void (*report)(void *ctx, const char *what);
    void *ctx;
    size_t findings;
    struct merkle tree;
    struct merkle below[LEVELS_KEPT]; /* the subtrees of 256 that are being filled */
    struct log_head head;             /* the next one to compare; size -1: there is none */
};

static void found(struct check *k, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void found(struct check *k, const char *fmt, ...)
{
    char text[200];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    k->findings++;
    k->report(k->ctx, text);
}

static bool same(const struct hash *x, const struct hash *y)
{
    return memcmp(x->b, y->b, HASH_BYTES) == 0;
}

/* --- heads --- */

static enum err next_head(struct check *k, int64_t after, struct error *e)
{
    struct store_rows rows;
    k->head.size = -1;
    arena_reset(&k->arena);
    store_query(k->conn, &rows,
                "SELECT size, root, note FROM log_head WHERE size > $1 ORDER BY size LIMIT 1",
                SV(SV_INT(after)));
    if (store_next(&rows)) {
        k->head.size = store_int(&rows, 0);
        if (!log_hash_of(store_blob(&rows, 1), &k->head.root))
            found(k, "log: the head of size %lld is damaged", (long long)k->head.size);
        k->head.note = str_dup(&k->arena, store_text(&rows, 2));
    }
    return store_end(&rows, e);
}

static void check_note(struct check *k)
{
    struct error e = {0};
    struct str text, origin;
    struct hash root;
    int64_t size;
    if (!k->key)
        return;
    if (note_open(&k->arena, k->head.note, k->key, 1, &text, NULL, &e) ||
        log_checkpoint_parse(&k->arena, text, &origin, &size, &root, &e))
        found(k, "log: the head of size %lld: %s", (long long)k->head.size, e.text);
    else if (size != k->head.size || !same(&root, &k->head.root))
        found(k, "log: the head of size %lld is not what was signed", (long long)k->head.size);
}

/* The tree has the size of the next head. */
static enum err check_head(struct check *k, struct error *e)
{
    struct hash root = merkle_root(&k->tree);
    if (!same(&root, &k->head.root))
        found(k, "log: the head of size %lld is not that of its leaves", (long long)k->head.size);
    check_note(k);
    return next_head(k, k->head.size, e);
}

/* --- nodes --- */

/* A leaf was added: the subtrees of the kept levels that it completes. */
static enum err check_nodes(struct check *k, struct hash h, struct error *e)
{
    for (unsigned i = 0; i < LEVELS_KEPT; i++) {
        struct merkle *m = &k->below[i];
        unsigned level = (i + 1) * LOG_TILE_HEIGHT;
        struct hash kept;
        merkle_add(m, &h);
        if (m->size < LOG_TILE_WIDTH)
            return OK;
        h = merkle_root(m);
        *m = (struct merkle){0};
        int64_t n = (int64_t)(k->tree.size >> level) - 1;
        enum err err = log_hashes(k->conn, level, n, 1, &kept, e);
        if (err && err != ERR_CORRUPT)
            return err;
        if (err || !same(&kept, &h))
            found(k, "log: node %lld of level %u is not that of its leaves", (long long)n, level);
    }
    return OK;
}

/* --- leaves --- */

static enum err check_leaf(struct check *k, const struct store_rows *rows, struct error *e)
{
    struct hash h = merkle_leaf(store_text(rows, 1)), kept;
    int64_t n = store_int(rows, 0);
    if (n != (int64_t)k->tree.size) {
        found(k, "log: entry %lld stands where %llu belongs", (long long)n,
              (unsigned long long)k->tree.size);
        return ERR_CORRUPT;
    }
    if (!log_hash_of(store_blob(rows, 2), &kept) || !same(&kept, &h))
        found(k, "log: the hash of entry %lld is not that of its text", (long long)n);
    merkle_add(&k->tree, &h);
    enum err err = check_nodes(k, h, e);
    while (!err && k->head.size == (int64_t)k->tree.size)
        err = check_head(k, e);
    return err;
}

static enum err check_page(struct check *k, bool *more, struct error *e)
{
    struct store_rows rows;
    enum err err = OK;
    size_t n = 0;
    store_query(k->conn, &rows,
                "SELECT n, leaf, hash FROM log_leaf WHERE n >= $1 ORDER BY n LIMIT $2",
                SV(SV_INT(k->tree.size), SV_INT(PAGE)));
    while (!err && store_next(&rows)) {
        n++;
        err = check_leaf(k, &rows, e);
    }
    *more = n == PAGE;
    enum err ended = store_end(&rows, e);
    return err ? err : ended;
}

size_t log_check(struct store_conn *c, const struct note_key *key,
                 void (*report)(void *ctx, const char *what), void *ctx)
{
    struct check k = {.conn = c, .key = key, .report = report, .ctx = ctx};
    struct error e = {0};
    int64_t size = 0;
    bool more = true;
    enum err err = next_head(&k, -1, &e);
    while (!err && k.head.size == 0)
        err = check_head(&k, &e);
    while (!err && more)
        err = check_page(&k, &more, &e);
    if (!err)
        err = log_size(c, &size, &e);
    if (!err && size != (int64_t)k.tree.size)
        found(&k, "log: %llu entries are there, %lld were written", (unsigned long long)k.tree.size,
              (long long)size);
    if (!err && k.head.size >= 0)
        found(&k, "log: a head of size %lld is signed, but there are %llu entries",
              (long long)k.head.size, (unsigned long long)k.tree.size);
    if (err && err != ERR_CORRUPT)
        found(&k, "log: %s", e.text);
    arena_release(&k.arena);
    return k.findings;
}
