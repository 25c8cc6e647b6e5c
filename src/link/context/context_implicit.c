/*
 * Implicitly created contexts where several processes share a store: rows, so that the address that
 * one process gave out means the same to the others. Memory stays first; a row is written when a
 * context is first met and again when that was long ago, behind the answer, and it is read where
 * memory has nothing. The rows are at most as many as contexts are compiled, none older than a
 * month.
 */
#include "context_impl.h"

#include <stdlib.h>

#define KEPT_US (30 * DAY_US)

struct keeping {
    struct store_change change;
    struct arena arena;
    struct str path, body;
    int64_t now;
    size_t most;
};

static enum err keep(struct store_conn *conn, void *ctx, struct error *e)
{
    const struct keeping *k = ctx;
    enum err err = store_exec(conn,
                              "INSERT INTO ld_implicit(path, body, created, used)"
                              " VALUES ($1, $2, $3, $3)"
                              " ON CONFLICT(path) DO UPDATE SET used = excluded.used",
                              SV(SV_TEXT(k->path), SV_TEXT(k->body), SV_INT(k->now)), NULL, e);
    if (!err)
        err = store_exec(conn, "DELETE FROM ld_implicit WHERE used < $1",
                         SV(SV_INT(k->now - KEPT_US)), NULL, e);
    if (!err)
        err = store_exec(conn,
                         "DELETE FROM ld_implicit WHERE path IN (SELECT path FROM ld_implicit"
                         " ORDER BY used DESC, path LIMIT 1000 OFFSET $1)",
                         SV(SV_INT(k->most)), NULL, e);
    return err;
}

static void kept(void *ctx, enum err code, const struct error *e)
{
    struct keeping *k = ctx;
    (void)code, (void)e; /* not kept: it will be when it is met again */
    arena_release(&k->arena);
    free(k);
}

void ld_implicit_keep(struct store *s, struct str path, struct str body, int64_t now, size_t most)
{
    struct keeping *k = calloc(1, sizeof(*k));
    if (!k)
        abort();
    k->path = str_dup(&k->arena, path);
    k->body = str_dup(&k->arena, body);
    k->now = now;
    k->most = most;
    k->change = (struct store_change){.apply = keep, .done = kept, .ctx = k};
    if (store_submit(s, &k->change))
        kept(k, ERR_UNAVAILABLE, NULL);
}

static struct ld_entry entry_at(const struct store_rows *r)
{
    return (struct ld_entry){.url = store_text(r, 0),
                             .body = store_text(r, 1),
                             .kind = LD_IMPLICIT,
                             .created_at = store_int(r, 2),
                             .last_used = store_int(r, 3)};
}

bool ld_implicit_find(struct store *s, struct arena *a, struct str path, struct ld_entry *out)
{
    struct store_rows r;
    struct error e;
    struct store_conn *conn = store_read(s, &e);
    bool found = false;
    if (!conn)
        return false;
    store_query(conn, &r, "SELECT path, body, created, used FROM ld_implicit WHERE path = $1",
                SV(SV_TEXT(path)));
    if ((found = store_next(&r))) {
        *out = entry_at(&r);
        out->url = str_dup(a, out->url);
        out->body = str_dup(a, out->body);
    }
    store_end(&r, &e);
    store_read_done(conn);
    return found;
}

enum err ld_implicit_each(struct store *s, bool (*each)(void *ctx, const struct ld_entry *e),
                          void *ctx, struct error *e)
{
    struct store_rows r;
    bool more = true;
    struct store_conn *conn = store_read(s, e);
    if (!conn)
        return e->code;
    store_query(conn, &r,
                "SELECT path, body, created, used FROM ld_implicit ORDER BY created, path",
                SV_EMPTY);
    while (more && store_next(&r)) {
        struct ld_entry entry = entry_at(&r);
        more = each(ctx, &entry);
    }
    enum err err = store_end(&r, e);
    store_read_done(conn);
    return err;
}
