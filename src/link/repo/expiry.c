/*
 * Transient entities and attributes: those whose expiresAt has passed are not shown from that
 * instant on, and once a minute they are deleted like by a client, so that subscribers hear of it
 * and the history has an end. A few hundred in one change, so that no other write waits long. Of
 * several processes on one store one has the duty; an edge node leaves it to its city.
 */
#include "expiry.h"
#include "core/log.h"
#include "link/ops.h"

enum { EVERY_MS = 60000, ENTITIES_A_CHANGE = 500, CHANGES_A_RUN = 20 };

/* The entity, or its attributes that have expired. An update may have moved expiresAt since it was
 * found. */
static enum err check_again(struct op *op, struct arena *a, struct store_conn *c, int64_t tenant,
                            int64_t now, struct error *e)
{
    struct entity_row row;
    enum err err = repo_get(c, a, tenant, op->id, &row, e);
    if (err && err != ERR_NOT_FOUND)
        return err;
    const struct json *stored = err ? NULL : json_parse(a, row.doc, &JSON_DEFAULT, e);
    op->kind = OP_DELETE;
    if (stored && entity_expired(stored, now))
        return OK;
    op->kind = OP_UPDATE;
    op->input = stored ? entity_expired_attrs(a, stored, now) : NULL;
    if (!op->input)
        op->result = error_set(&op->error, ERR_NOT_FOUND, "it has not expired");
    return OK;
}

struct due {
    struct arena arena;
    VEC(struct op) ops;
};

static bool take(void *ctx, struct str id)
{
    struct due *d = ctx;
    *vec_push(&d->arena, &d->ops) =
        (struct op){.kind = OP_DELETE, .id = str_dup(&d->arena, id), .prepare = check_again};
    return true;
}

/* One change; *more when there may be others. */
static enum err sweep_some(struct link *l, int64_t tenant, struct str name, bool *more,
                           struct error *e)
{
    struct due d = {.ops = VEC_INIT};
    struct store_conn *c = store_read(l->store, e);
    *more = false;
    if (!c)
        return e->code;
    enum err err = repo_expired(c, tenant, clock_now(l->clock), ENTITIES_A_CHANGE, take, &d, e);
    store_read_done(c);
    if (!err && d.ops.n) {
        struct ops ops = {.arena = &d.arena, .tenant = name, .ops = d.ops.v, .n = d.ops.n};
        *more = d.ops.n == ENTITIES_A_CHANGE;
        err = ops_run(l, &ops, e);
    }
    arena_release(&d.arena);
    return err;
}

struct tenants {
    struct arena arena;
    VEC(struct str) names;
    VEC(int64_t) numbers;
};

static bool take_tenant(void *ctx, int64_t n, struct str name)
{
    struct tenants *t = ctx;
    *vec_push(&t->arena, &t->names) = str_dup(&t->arena, name);
    *vec_push(&t->arena, &t->numbers) = n;
    return true;
}

void expiry_run(struct link *l)
{
    struct error e = {0};
    struct tenants t = {.names = VEC_INIT, .numbers = VEC_INIT};
    struct store_conn *c = store_read(l->store, &e);
    enum err err = c ? repo_tenants(c, take_tenant, &t, &e) : e.code;
    if (c)
        store_read_done(c);
    for (size_t i = 0; !err && i < t.names.n; i++) {
        bool more = true;
        for (int k = 0; !err && more && k < CHANGES_A_RUN; k++)
            err = sweep_some(l, t.numbers.v[i], t.names.v[i], &more, &e);
    }
    if (err)
        log_event(LOG_WARN, "link.expiry_failed", LOG_Z("error", e.text));
    arena_release(&t.arena);
}

static void job(void *ctx)
{
    struct link *l = ctx;
    if (store_duty(l->store, "expiry"))
        expiry_run(l);
}

void expiry_start(struct link *l)
{
    if (l->edge.on) /* its clock may be wrong: the city deletes, for both */
        return;
    store_duty(l->store, "expiry"); /* enter for it */
    pool_every(l->pool, EVERY_MS, job, l);
}

void expiry_stop(struct link *l)
{
    if (l->edge.on)
        return;
    pool_never(l->pool, job, l);
}
