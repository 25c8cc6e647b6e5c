/*
 * Another id for this store, because another store has the one it had (sync.h, 7).
 *
 * What was written here since the city last took something may have been written by the other
 * store as well, with clocks that say nothing of one another. So those events get the new id, as if
 * they had been written by a node that had seen all of the old one up to that moment and nothing
 * since: whatever the other wrote meanwhile stands beside. Their journal rows keep the pieces that
 * they have, but are sent as states.
 */
#include "core/map.h"
#include "crypto/hash.h"
#include "entity_impl.h"
#include "sync.h"

struct renaming {
    struct sync *sync;
    int64_t tenant, acked;
    struct str was, now;
    int64_t until; /* clock up to which the old id is one store's alone */
    struct arena arena, scratch;
    struct map keys; /* of entities that were changed here since */
};

static bool note_row(void *ctx, const struct journal_row *row)
{
    struct renaming *x = ctx;
    bool ours = str_eq(row->topic, S("entity")) || str_eq(row->topic, S("sync"));
    if (ours && !row->origin.p && !map_get(&x->keys, row->key))
        map_put(&x->keys, str_dup(&x->arena, row->key), x);
    return true;
}

static bool note_instant(void *ctx, const struct journal_row *row)
{
    struct renaming *x = ctx;
    x->until = row->at + atomic_load(&x->sync->offset_us);
    return false;
}

/* *newest: of our journal. What the city took was written before the row that it took last, or,
 * when that is trimmed, before the first that is left. */
static enum err look(struct renaming *x, struct store_conn *c, int64_t *newest, struct error *e)
{
    int64_t oldest;
    enum err err = journal_range(c, x->tenant, &oldest, newest, e);
    bool trimmed = x->acked < oldest;
    int64_t from = trimmed ? oldest - 1 : x->acked;
    if (!err)
        err = journal_read(c, x->tenant, trimmed ? from : from - 1, 1, note_instant, x, e);
    x->until -= trimmed;
    return err ? err : journal_read(c, x->tenant, from, SIZE_MAX / 2, note_row, x, e);
}

static bool restamp(struct renaming *x, struct sync_register *reg)
{
    bool changed = false;
    int64_t newest = sync_seen(reg, x->was);
    for (size_t i = 0; i < reg->values.n; i++) {
        struct sync_dot *dot = &reg->values.v[i].dot;
        if (str_eq(dot->node, x->was) && dot->hlc > x->until)
            dot->node = x->now;
    }
    for (size_t i = 0; i < reg->seen.n; i++) {
        struct sync_dot *dot = &reg->seen.v[i];
        if (!str_eq(dot->node, x->was) || dot->hlc <= x->until)
            continue;
        dot->hlc = x->until > 0 ? x->until : 1;
        changed = true;
    }
    if (changed)
        sync_see(&x->scratch, reg, &(struct sync_dot){newest, x->now});
    return changed;
}

static enum err restamp_entity(struct renaming *x, struct store_conn *c, struct str id,
                               int64_t newest, struct error *e)
{
    struct entity_row row;
    struct error why;
    sync_rows rows = VEC_INIT;
    enum err err = repo_get(c, &x->scratch, x->tenant, id, &row, &why);
    if (err && (err != ERR_NOT_FOUND || !row.eid))
        return err == ERR_NOT_FOUND ? OK : error_set(e, err, "%s", why.text);
    const struct json *doc =
        row.doc.p ? json_parse(&x->scratch, row.doc, &JSON_DEFAULT, NULL) : NULL;
    err = sync_load_all(x->sync, c, &x->scratch, row.eid, doc, &rows, e);
    for (size_t i = 0; !err && i < rows.n; i++)
        if (restamp(x, &rows.v[i].reg))
            err = sync_save(c, &x->scratch, row.eid, &rows.v[i], newest, e);
    arena_reset(&x->scratch);
    return err;
}

static enum err apply(struct store_conn *c, void *ctx, struct error *e)
{
    struct renaming *x = ctx;
    struct map_iter it = {0};
    int64_t newest = 0;
    enum err err = look(x, c, &newest, e);
    while (!err && map_next(&x->keys, &it))
        err = restamp_entity(x, c, it.key, newest, e);
    return err ? err
               : store_exec(c, "UPDATE sync_self SET node = $1, restamped = $2 WHERE node = $3",
                            SV(SV_TEXT(x->now), SV_INT(newest), SV_TEXT(x->was)), NULL, e);
}

enum err sync_rename(struct sync *s, int64_t tenant, int64_t acked, struct error *e)
{
    struct renaming x = {.sync = s, .tenant = tenant, .acked = acked};
    x.was = str_dup(&x.arena, sync_node(s));
    x.now = sync_new_id(&x.arena);
    enum err err = store_write(s->link->store, apply, &x, e);
    if (!err)
        err = sync_look(s, e);
    map_release(&x.keys);
    arena_release(&x.scratch);
    arena_release(&x.arena);
    return err;
}
