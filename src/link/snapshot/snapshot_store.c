/* Snapshots on disk: rows, and spaces that come and go with them. */
#include "link/access.h"
#include "snapshot.h"
#include "subscription_impl.h"
#include <stdlib.h>

enum { DROP_CHUNK = 200, USED_US = 1000000 /* uses are noted once a second at most */ };

#define COLUMNS "s.id, s.space, s.doc, s.expires, s.used, s.owner, s.tenant, s.made, s.notify"

static enum err find_tenant(struct store_conn *conn, struct str name, int64_t *tenant,
                            struct error *e)
{
    enum err err = repo_tenant(conn, name, tenant, e);
    return err == ERR_NOT_FOUND ? error_set(e, ERR_NOT_FOUND, "no such snapshot") : err;
}

static struct snapshot read_row(struct arena *a, const struct store_rows *r)
{
    return (struct snapshot){.id = str_dup(a, store_text(r, 0)),
                             .space = str_dup(a, store_text(r, 1)),
                             .doc =
                                 json_parse(a, str_dup(a, store_text(r, 2)), &JSON_DEFAULT, NULL),
                             .expires = store_int(r, 3),
                             .used = store_int(r, 4),
                             .owner = store_is_null(r, 5) ? STR_NONE : str_dup(a, store_text(r, 5)),
                             .tenant = store_int(r, 6),
                             .made = store_int(r, 7) != 0,
                             .notify = store_int(r, 8)};
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
        store_query(conn, &r,
                    "SELECT " COLUMNS " FROM snapshot s WHERE s.tenant = $1 AND s.id = $2",
                    SV(SV_INT(n), SV_TEXT(id)));
        if (store_next(&r))
            *out = read_row(a, &r);
        err = store_end(&r, e);
    }
    store_read_done(conn);
    if (!err && (!out->doc || out->expires <= clock_now(l->clock)))
        err = error_set(e, ERR_NOT_FOUND, "no snapshot %" STR_F, STR_A(id));
    return err;
}

enum err snapshot_list(struct link *l, struct arena *a, struct str tenant, struct snapshot **out,
                       size_t *n, struct error *e)
{
    VEC(struct snapshot) v = VEC_INIT;
    struct store_rows r;
    int64_t number, now = clock_now(l->clock);
    struct store_conn *conn = store_read(l->store, e);
    if (!conn)
        return e->code;
    enum err err = find_tenant(conn, tenant, &number, e);
    if (!err) {
        store_query(conn, &r,
                    "SELECT " COLUMNS " FROM snapshot s WHERE s.tenant = $1 AND s.expires > $2"
                    " ORDER BY s.id",
                    SV(SV_INT(number), SV_INT(now)));
        while (store_next(&r))
            *vec_push(a, &v) = read_row(a, &r);
        err = store_end(&r, e);
    }
    store_read_done(conn);
    *out = v.v;
    *n = v.n;
    return err;
}

enum err snapshot_due(struct link *l, struct arena *a, struct snapshot **out, size_t *n,
                      struct error *e)
{
    VEC(struct snapshot) v = VEC_INIT;
    struct store_rows r;
    struct store_conn *conn = store_read(l->store, e);
    if (!conn)
        return e->code;
    store_query(conn, &r,
                "SELECT " COLUMNS ", t.name FROM snapshot s JOIN tenant t ON t.n = s.tenant"
                " WHERE s.expires <= $1 OR s.made = 0 OR s.notify > 0 ORDER BY s.space",
                SV(SV_INT(clock_now(l->clock))));
    while (store_next(&r)) {
        struct snapshot *s = vec_push(a, &v);
        *s = read_row(a, &r);
        s->tenant_name = str_dup(a, store_text(&r, 9));
    }
    enum err err = store_end(&r, e);
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
    bool tell;
    int64_t of, space; /* numbers of the tenant and the space that was made for its copy */
};

/* One that has expired and is not swept up yet makes room for a new one of its name. */
static enum err make_room(struct store_conn *conn, const struct row_change *x, int64_t tenant,
                          int64_t now, struct error *e)
{
    int64_t there = 0;
    enum err err = store_exec(conn,
                              "UPDATE snapshot SET id = space WHERE tenant = $1 AND id = $2"
                              " AND expires <= $3",
                              SV(SV_INT(tenant), SV_TEXT(x->s->id), SV_INT(now)), NULL, e);
    if (!err)
        err = store_get_int(conn, &there,
                            "SELECT count(*) FROM snapshot WHERE tenant = $1 AND id = $2",
                            SV(SV_INT(tenant), SV_TEXT(x->s->id)), e);
    return !err && there
               ? error_set(e, ERR_EXISTS, "snapshot %" STR_F " exists already", STR_A(x->s->id))
               : err;
}

static enum err make(struct store_conn *conn, void *ctx, struct error *e)
{
    struct row_change *x = ctx;
    const struct snapshot *s = x->s;
    int64_t tenant = 0, now = clock_now(x->link->clock);
    enum err err = find_tenant(conn, x->tenant, &tenant, e);
    x->of = tenant;
    if (!err)
        err = make_room(conn, x, tenant, now, e);
    if (!err)
        err = repo_tenant_make(conn, s->space, now, &x->space, e);
    return err ? err
               : store_exec(conn,
                            "INSERT INTO snapshot(tenant, id, space, doc, expires, used, owner,"
                            " made, notify) VALUES($1, $2, $3, $4, $5, $6, $7, 0, 0)",
                            SV(SV_INT(tenant), SV_TEXT(s->id), SV_TEXT(s->space), SV_TEXT(x->text),
                               SV_INT(s->expires), SV_INT(s->used),
                               s->owner.p ? SV_TEXT(s->owner) : SV_NULL),
                            NULL, e);
}

static enum err save(struct store_conn *conn, void *ctx, struct error *e)
{
    struct row_change *x = ctx;
    return store_exec(conn,
                      "UPDATE snapshot SET doc = $2, expires = $3, made = $4, notify = notify + $5"
                      " WHERE space = $1",
                      SV(SV_TEXT(x->s->space), SV_TEXT(x->text), SV_INT(x->s->expires),
                         SV_INT(x->s->made), SV_INT(x->tell)),
                      NULL, e);
}

static enum err with_text(struct row_change *x,
                          enum err (*apply)(struct store_conn *conn, void *ctx, struct error *e),
                          struct error *e)
{
    struct buf text = BUF_INIT;
    json_write(&text, x->s->doc);
    x->text = buf_view(&text);
    enum err err = store_write(x->link->store, apply, x, e);
    buf_release(&text);
    return err;
}

enum err snapshot_make(struct link *l, struct str tenant, const struct snapshot *s, struct error *e)
{
    struct row_change x = {.link = l, .tenant = tenant, .s = s};
    enum err err = with_text(&x, make, e);
    if (!err)
        access_learn(l->access, x.space, x.of);
    return err;
}

enum err snapshot_save(struct link *l, struct snapshot *s, struct error *e)
{
    struct row_change x = {.link = l, .s = s, .tell = json_get(s->doc, S("endpoint")) != NULL};
    s->notify += x.tell;
    return with_text(&x, save, e);
}

enum err snapshot_alive(struct store_conn *conn, struct str space, int64_t now, struct error *e)
{
    return store_exec(conn, "UPDATE snapshot SET used = $2 WHERE space = $1 AND made = 0",
                      SV(SV_TEXT(space), SV_INT(now)), NULL, e);
}

/* --- dropping --- */

struct dropping {
    struct link *link;
    struct str space;
    int64_t number, left;
    struct arena arena;
    VEC(struct sub_written) subs;
};

static enum err hide(struct store_conn *conn, void *ctx, struct error *e)
{
    const struct dropping *d = ctx;
    return store_exec(conn, "UPDATE snapshot SET expires = 0, notify = 0 WHERE space = $1",
                      SV(SV_TEXT(d->space)), NULL, e);
}

static enum err drop_some(struct store_conn *conn, void *ctx, struct error *e)
{
    struct dropping *d = ctx;
    return repo_drop_entities(conn, d->number, DROP_CHUNK, &d->left, e);
}

/* Subscriptions that were made in the space end with it. */
static enum err drop_rest(struct store_conn *conn, void *ctx, struct error *e)
{
    struct dropping *d = ctx;
    struct store_rows r;
    d->subs.n = 0;
    store_query(conn, &r, "SELECT id FROM subscription WHERE tenant = $1", SV(SV_INT(d->number)));
    while (store_next(&r))
        *vec_push(&d->arena, &d->subs) =
            (struct sub_written){.tenant = d->number, .id = str_dup(&d->arena, store_text(&r, 0))};
    enum err err = store_end(&r, e);
    for (size_t i = 0; !err && i < d->subs.n; i++)
        err = sub_tell(conn, &d->subs.v[i], e);
    if (!err && d->number)
        err = repo_drop_tenant(conn, d->number, e);
    return err ? err
               : store_exec(conn, "DELETE FROM snapshot WHERE space = $1", SV(SV_TEXT(d->space)),
                            NULL, e);
}

static enum err find_space(struct dropping *d, struct error *e)
{
    struct store_conn *conn = store_read(d->link->store, e);
    if (!conn)
        return e->code;
    enum err err = repo_tenant(conn, d->space, &d->number, e);
    store_read_done(conn);
    return err == ERR_NOT_FOUND ? OK : err;
}

enum err snapshot_drop(struct link *l, const struct snapshot *s, struct error *e)
{
    struct dropping d = {.link = l, .space = s->space};
    enum err err = store_write(l->store, hide, &d, e);
    if (!err)
        err = find_space(&d, e);
    d.left = d.number ? 1 : 0;
    while (!err && d.left)
        err = store_write(l->store, drop_some, &d, e);
    if (!err)
        err = store_write(l->store, drop_rest, &d, e);
    for (size_t i = 0; !err && i < d.subs.n; i++)
        err = sub_reload(l->subscriptions, &d.subs.v[i], e);
    arena_release(&d.arena);
    return err;
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
    if (!s->made || now - s->used < USED_US)
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
