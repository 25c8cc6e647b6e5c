/*
 * Leaves and nodes on disk. Only the roots of complete subtrees at the levels 8, 16, 24 ... are
 * kept beside the leaves, written by the append that completes them; levels between are worked out
 * from the at most 128 hashes below them. So appending writes one row, and every 256th time one
 * more.
 */
#include "core/datetime.h"
#include "core/json.h"
#include "log_impl.h"
#include <string.h>

struct log_salt log_salt_new(void)
{
    struct log_salt s;
    random_bytes(s.b, sizeof(s.b));
    return s;
}

struct hash log_commitment(const struct log_salt *salt, struct str content)
{
    struct arena a = ARENA_INIT;
    struct str both = str_concat(&a, str_n((const char *)salt->b, sizeof(salt->b)), content);
    struct hash h = hash_sha256(both);
    arena_release(&a);
    return h;
}

/* --- hashes --- */

static struct str hash_text(const struct hash *h)
{
    return str_n((const char *)h->b, HASH_BYTES);
}

bool log_hash_of(struct str bytes, struct hash *out)
{
    if (bytes.n != HASH_BYTES)
        return false;
    memcpy(out->b, bytes.p, HASH_BYTES);
    return true;
}

static enum err missing(unsigned level, int64_t n, struct error *e)
{
    return error_set(e, ERR_CORRUPT, "the log has no hash at level %u, place %lld", level,
                     (long long)n);
}

enum err log_hashes(struct store_conn *c, unsigned level, int64_t first, size_t n, struct hash *out,
                    struct error *e)
{
    struct store_rows rows;
    size_t got = 0;
    bool whole = true;
    if (level)
        store_query(c, &rows,
                    "SELECT hash FROM log_node WHERE level = $1 AND n >= $2 AND n < $3 ORDER BY n",
                    SV(SV_INT(level), SV_INT(first), SV_INT(first + (int64_t)n)));
    else
        store_query(c, &rows, "SELECT hash FROM log_leaf WHERE n >= $1 AND n < $2 ORDER BY n",
                    SV(SV_INT(first), SV_INT(first + (int64_t)n)));
    while (store_next(&rows) && got < n)
        whole = log_hash_of(store_blob(&rows, 0), &out[got++]) && whole;
    enum err err = store_end(&rows, e);
    if (!err && (got < n || !whole))
        err = missing(level, first + (int64_t)got, e);
    return err;
}

/* The root over a power of two of hashes, which are overwritten. */
static struct hash fold(struct hash *h, size_t n)
{
    for (; n > 1; n /= 2)
        for (size_t i = 0; i < n / 2; i++)
            h[i] = merkle_node(&h[2 * i], &h[2 * i + 1]);
    return h[0];
}

static enum err read_node(void *ctx, unsigned level, uint64_t index, struct hash *out,
                          struct error *e)
{
    struct hash below[LOG_TILE_WIDTH];
    unsigned up = level % LOG_TILE_HEIGHT;
    size_t n = (size_t)1 << up;
    enum err err = log_hashes(ctx, level - up, (int64_t)(index << up), n, below, e);
    if (!err)
        *out = fold(below, n);
    return err;
}

struct merkle_nodes log_nodes(struct store_conn *c)
{
    return (struct merkle_nodes){read_node, c};
}

/* --- appending --- */

static bool is_kind(struct str kind)
{
    for (size_t i = 0; i < kind.n; i++) {
        char c = kind.p[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-')
            return false;
    }
    return kind.n > 0 && kind.n <= LOG_KIND_BYTES_MAX;
}

/* One line of JSON with its members in this order: what is hashed is these bytes. */
static struct str leaf_text(struct arena *a, const struct log_entry *entry)
{
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    json_w_object(&w);
    json_w_kstr(&w, S("kind"), entry->kind);
    json_w_kstr(&w, S("at"), datetime_text(a, entry->at));
    json_w_kstr(&w, S("commitment"), base64url_encode(a, hash_text(&entry->commitment)));
    json_w_end(&w);
    struct str text = buf_dup(&b, a);
    buf_release(&b);
    return text;
}

/* Leaf n was written: the subtrees that end with it. */
static enum err complete(struct store_conn *c, int64_t n, struct error *e)
{
    struct hash below[LOG_TILE_WIDTH];
    enum err err = OK;
    for (unsigned level = 0; !err && (n + 1) % LOG_TILE_WIDTH == 0; level += LOG_TILE_HEIGHT) {
        int64_t first = n + 1 - LOG_TILE_WIDTH;
        err = log_hashes(c, level, first, LOG_TILE_WIDTH, below, e);
        if (err)
            break;
        n = first / LOG_TILE_WIDTH;
        struct hash root = fold(below, LOG_TILE_WIDTH);
        err = store_exec(c, "INSERT INTO log_node(level, n, hash) VALUES ($1, $2, $3)",
                         SV(SV_INT(level + LOG_TILE_HEIGHT), SV_INT(n), SV_BLOB(hash_text(&root))),
                         NULL, e);
    }
    return err;
}

enum err log_append(struct store_conn *c, const struct log_entry *entry, int64_t *index,
                    struct error *e)
{
    struct arena a = ARENA_INIT;
    if (!is_kind(entry->kind))
        return error_set(e, ERR_INVALID, "\"%" STR_F "\" is no kind of entry",
                         STR_A(str_cut(entry->kind, 80)));
    struct str leaf = leaf_text(&a, entry);
    struct hash h = merkle_leaf(leaf);
    enum err err =
        store_get_int(c, index,
                      "UPDATE log_state SET size = size + 1 WHERE one = 1 RETURNING size - 1",
                      SV_EMPTY, e);
    if (!err)
        err = store_exec(c, "INSERT INTO log_leaf(n, leaf, hash, sealed) VALUES ($1, $2, $3, $4)",
                         SV(SV_INT(*index), SV_TEXT(leaf), SV_BLOB(hash_text(&h)),
                            SV_BLOB(entry->sealed)),
                         NULL, e);
    if (!err)
        err = complete(c, *index, e);
    arena_release(&a);
    return err;
}

enum err log_erase(struct store_conn *c, int64_t index, struct error *e)
{
    int64_t changed = 0;
    enum err err = store_exec(c, "UPDATE log_leaf SET sealed = NULL WHERE n = $1",
                              SV(SV_INT(index)), &changed, e);
    if (!err && !changed)
        err = error_set(e, ERR_NOT_FOUND, "the log has no entry %lld", (long long)index);
    return err;
}

/* --- reading --- */

enum err log_read(struct store_conn *c, struct arena *a, int64_t index, struct log_leaf *out,
                  struct error *e)
{
    struct store_rows rows;
    bool found = false;
    *out = (struct log_leaf){0};
    store_query(c, &rows, "SELECT leaf, sealed FROM log_leaf WHERE n = $1", SV(SV_INT(index)));
    if ((found = store_next(&rows))) {
        out->text = str_dup(a, store_text(&rows, 0));
        if (!store_is_null(&rows, 1))
            out->sealed = str_dup(a, store_blob(&rows, 1));
    }
    enum err err = store_end(&rows, e);
    if (!err && !found)
        err = error_set(e, ERR_NOT_FOUND, "the log has no entry %lld", (long long)index);
    return err;
}

enum err log_size(struct store_conn *c, int64_t *size, struct error *e)
{
    return store_get_int(c, size, "SELECT size FROM log_state WHERE one = 1", SV_EMPTY, e);
}

enum err log_head(struct store_conn *c, struct arena *a, struct log_head *out, struct error *e)
{
    struct store_rows rows;
    bool found = false, whole = true;
    store_query(c, &rows, "SELECT size, root, note FROM log_head ORDER BY size DESC LIMIT 1",
                SV_EMPTY);
    if ((found = store_next(&rows))) {
        out->size = store_int(&rows, 0);
        whole = log_hash_of(store_blob(&rows, 1), &out->root);
        out->note = str_dup(a, store_text(&rows, 2));
    }
    enum err err = store_end(&rows, e);
    if (!err && !found)
        return error_set(e, ERR_NOT_FOUND, "no head of the log is signed yet");
    return err || whole ? err : error_set(e, ERR_CORRUPT, "a head of the log is damaged");
}
