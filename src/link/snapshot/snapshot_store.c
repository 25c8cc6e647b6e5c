/* Snapshots on disk: rows, and spaces that come and go with them. */
#include "link/access.h"
#include "link/history.h"
#include "snapshot.h"
#include <stdlib.h>

enum { DROP_CHUNK = 500, USED_US = 1000000 /* uses are noted once a second at most */ };

#define COLUMNS "id, space, doc, expires, used, owner"

static enum err find_tenant(struct store_conn *conn, struct str name, int64_t *tenant,
                            struct error *e)
{
    enum err err = repo_tenant(conn, name, tenant, e);
    return err == ERR_NOT_FOUND ? error_set(e, ERR_NOT_FOUND, "no such snapshot") : err;
}

static struct snapshot read_row(struct arena *a, const struct store_rows *r)
{
    return (
        struct snapshot){.id = str_dup(a, store_text(r, 0)),
                         .space = str_dup(a, store_text(r, 1)),
                         .doc = json_parse(a, str_dup(a, store_text(r, 2)), &JSON_DEFAULT, NULL),
                         .expires = store_int(r, 3),
                         .used = store_int(r, 4),
                         .owner = store_is_null(r, 5) ? STR_NONE : str_dup(a, store_text(r, 5))};
}

enum err snapshot_get(struct link *l, struct arena *a, struct str tenant, struct str id,
                      struct snapshot *out, struct error *e)
{
    struct store_rows r;
    int64_t n;
    struct store_conn *conn = store_read(l->store, e);
    if (!conn)
        return e->code;
    *out = (struct snapshot){0};
    enum err err = find_tenant(conn, tenant, &n, e);
    if (!err) {
        store_query(conn, &r, "SELECT " COLUMNS " FROM snapshot WHERE tenant = $1 AND id = $2",
                    SV(SV_INT(n), SV_TEXT(id)));
        if (store_next(&r))
            *out = read_row(a, &r);
        err = store_end(&r, e);
        out->tenant = n;
    }
    store_read_done(conn);
    if (!err && (!out->doc || out->expires <= clock_now(l->clock)))
        err = error_set(e, ERR_NOT_FOUND, "no snapshot %" STR_F, STR_A(id));
    return err;
}

enum err snapshot_list(struct link *l, struct arena *a, struct str tenant, bool expired,
                       struct snapshot **out, size_t *n, struct error *e)
{
    VEC(struct snapshot) v = VEC_INIT;
    struct store_rows r;
    int64_t number, now = clock_now(l->clock);
    struct store_conn *conn = store_read(l->store, e);
    if (!conn)
        return e->code;
    enum err err = find_tenant(conn, tenant, &number, e);
    if (!err) {
        store_query(conn, &r, "SELECT " COLUMNS " FROM snapshot WHERE tenant = $1 ORDER BY id",
                    SV(SV_INT(number)));
        while (store_next(&r))
            if ((store_int(&r, 3) <= now) == expired)
                *vec_push(a, &v) = read_row(a, &r);
        for (size_t i = 0; i < v.n; i++)
            v.v[i].tenant = number;
        err = store_end(&r, e);
    }
    store_read_done(conn);
    *out = v.v;
    *n = v.n;
    return err;
}

enum err snapshot_allowed(const struct api *c, const struct snapshot *s, struct error *e)
{
    const struct access_who *who = access_asks(c->req);
    if (access_owns(access_view(c->link->access, who, s->tenant), who, s->owner))
        return OK;
    return error_set(e, ERR_NOT_FOUND, "no snapshot %" STR_F, STR_A(s->id));
}

/* --- changes --- */

struct row_change {
    struct link *link;
    struct str tenant;
    const struct snapshot *s;
    struct str text;
};

static enum err make(struct store_conn *conn, void *ctx, struct error *e)
{
    struct row_change *x = ctx;
    const struct snapshot *s = x->s;
    int64_t tenant, space, there = 0;
    enum err err = find_tenant(conn, x->tenant, &tenant, e);
    if (!err)
        err = store_get_int(conn, &there,
                            "SELECT count(*) FROM snapshot WHERE tenant = $1 AND id = $2",
                            SV(SV_INT(tenant), SV_TEXT(s->id)), e);
    if (!err && there)
        err = error_set(e, ERR_EXISTS, "snapshot %" STR_F " exists already", STR_A(s->id));
    if (!err)
        err = repo_tenant_make(conn, s->space, clock_now(x->link->clock), &space, e);
    return err ? err
               : store_exec(conn,
                            "INSERT INTO snapshot(tenant, " COLUMNS
                            ") VALUES($1, $2, $3, $4, $5, $6, $7)",
                            SV(SV_INT(tenant), SV_TEXT(s->id), SV_TEXT(s->space), SV_TEXT(x->text),
                               SV_INT(s->expires), SV_INT(s->used),
                               s->owner.p ? SV_TEXT(s->owner) : SV_NULL),
                            NULL, e);
}

static enum err save(struct store_conn *conn, void *ctx, struct error *e)
{
    struct row_change *x = ctx;
    return store_exec(conn, "UPDATE snapshot SET doc = $2, expires = $3 WHERE space = $1",
                      SV(SV_TEXT(x->s->space), SV_TEXT(x->text), SV_INT(x->s->expires)), NULL, e);
}

static enum err with_text(struct link *l, struct str tenant, const struct snapshot *s,
                          enum err (*apply)(struct store_conn *conn, void *ctx, struct error *e),
                          struct error *e)
{
    struct buf text = BUF_INIT;
    json_write(&text, s->doc);
    struct row_change x = {l, tenant, s, buf_view(&text)};
    enum err err = store_write(l->store, apply, &x, e);
    buf_release(&text);
    return err;
}

enum err snapshot_make(struct link *l, struct str tenant, const struct snapshot *s, struct error *e)
{
    return with_text(l, tenant, s, make, e);
}

enum err snapshot_save(struct link *l, struct str tenant, const struct snapshot *s, struct error *e)
{
    return with_text(l, tenant, s, save, e);
}

static enum err forget(struct store_conn *conn, void *ctx, struct error *e)
{
    const struct row_change *x = ctx;
    return store_exec(conn, "DELETE FROM snapshot WHERE space = $1", SV(SV_TEXT(x->s->space)), NULL,
                      e);
}

struct ids {
    struct arena *arena;
    VEC(struct op) ops;
};

static bool each_id(void *ctx, const struct entity_row *row, const struct json *stored)
{
    struct ids *x = ctx;
    (void)stored;
    *vec_push(x->arena, &x->ops) = (struct op){.kind = OP_DELETE, .id = str_dup(x->arena, row->id)};
    return true;
}

static enum err drop_some(struct link *l, struct str space, struct arena *a, size_t *n,
                          struct error *e)
{
    struct ids ids = {.arena = a};
    struct entity_query all = {0};
    struct repo_query q = {.query = &all, .limit = DROP_CHUNK, .clock = l->clock};
    struct repo_result result;
    struct store_conn *conn = store_read(l->store, e);
    if (!conn)
        return e->code;
    enum err err = repo_tenant(conn, space, &q.tenant, e);
    if (!err)
        err = repo_query(conn, &q, each_id, &ids, &result, e);
    store_read_done(conn);
    *n = ids.ops.n;
    if (err || !ids.ops.n)
        return err;
    struct ops ops = {.arena = a, .tenant = space, .ops = ids.ops.v, .n = ids.ops.n};
    return ops_run(l, &ops, e);
}

/* Evolution goes last; a few hundred rows of entities in one transaction. */
static enum err drop_history(struct store_conn *conn, void *ctx, struct error *e)
{
    struct row_change *x = ctx;
    struct arena a = ARENA_INIT;
    VEC(int64_t) eids = VEC_INIT;
    struct store_rows r;
    int64_t space;
    enum err err = repo_tenant(conn, x->s->space, &space, e);
    if (!err) {
        store_query(conn, &r, "SELECT eid FROM entity WHERE tenant = $1", SV(SV_INT(space)));
        while (store_next(&r))
            *vec_push(&a, &eids) = store_int(&r, 0);
        err = store_end(&r, e);
    }
    for (size_t i = 0; !err && i < eids.n; i++) {
        err = history_delete(conn, eids.v[i], STR_NONE, STR_NONE, true, 0, e);
        err = err == ERR_NOT_FOUND ? OK : err;
    }
    arena_release(&a);
    return err;
}

enum err snapshot_drop(struct link *l, struct str tenant, const struct snapshot *s, struct error *e)
{
    struct row_change x = {.link = l, .tenant = tenant, .s = s};
    struct arena a = ARENA_INIT;
    size_t n = 1;
    enum err err = store_write(l->store, forget, &x, e);
    while (!err && n) {
        err = drop_some(l, s->space, &a, &n, e);
        arena_reset(&a);
    }
    arena_release(&a);
    return err ? err : store_write(l->store, drop_history, &x, e);
}

/* --- uses --- */

struct use {
    struct store_change change;
    int64_t at;
    size_t n;
    char space[];
};

static enum err note_use(struct store_conn *conn, void *ctx, struct error *e)
{
    struct use *u = ctx;
    return store_exec(conn, "UPDATE snapshot SET used = $2 WHERE space = $1",
                      SV(SV_TEXT(str_n(u->space, u->n)), SV_INT(u->at)), NULL, e);
}

static void use_done(void *ctx, enum err code, const struct error *e)
{
    (void)code;
    (void)e;
    free(ctx);
}

void snapshot_used(struct link *l, struct str tenant, const struct snapshot *s)
{
    int64_t now = clock_now(l->clock);
    if (now - s->used < USED_US)
        return;
    struct use *u = calloc(1, sizeof(*u) + s->space.n);
    if (!u)
        abort();
    u->at = now;
    u->n = s->space.n;
    memcpy(u->space, s->space.p, s->space.n);
    u->change = (struct store_change){.apply = note_use,
                                      .done = use_done,
                                      .ctx = u,
                                      .lane = str_hash(tenant)};
    if (store_submit(l->store, &u->change))
        free(u);
}
