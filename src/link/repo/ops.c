/*
 * Applying operations on the writer thread. Reading the state before, working out the change and
 * writing it happen in one transaction, so that two operations on one entity never miss each other.
 */
#include "link/ops.h"
#include "history_impl.h"
#include "link/access.h"
#include "link/edge.h"
#include "tenants.h"
#include <stdio.h>

/* The operation of entity.h that does the work, by kind, when the entity is there. */
static const enum entity_op apply_as[] = {
    [OP_CREATE] = ENTITY_CREATE,
    [OP_UPSERT] = ENTITY_REPLACE,
    [OP_UPSERT_UPDATE] = ENTITY_APPEND,
    [OP_REPLACE] = ENTITY_REPLACE,
    [OP_APPEND] = ENTITY_APPEND,
    [OP_APPEND_NEW] = ENTITY_APPEND_NEW,
    [OP_UPDATE] = ENTITY_UPDATE,
    [OP_UPDATE_ADD] = ENTITY_UPDATE_ADD,
    [OP_MERGE] = ENTITY_MERGE_PATCH,
    [OP_PARTIAL] = ENTITY_PARTIAL,
    [OP_REPLACE_ATTR] = ENTITY_REPLACE_ATTR,
};

static bool makes_entities(enum op_kind k)
{
    return k == OP_CREATE || k == OP_UPSERT || k == OP_UPSERT_UPDATE;
}

/* ETags of entities are the quoted version. */
static enum err check_version(const struct op *op, const struct entity_row *row, struct error *e)
{
    if (!op->if_version.p)
        return OK;
    char tag[32];
    int n = snprintf(tag, sizeof(tag), "\"%lld\"", (long long)row->version);
    if (row->doc.p && http_etag_listed(op->if_version, str_n(tag, (size_t)n)))
        return OK;
    return error_set(e, ERR_PRECONDITION, "entity %" STR_F " is not at version %" STR_F,
                     STR_A(op->id), STR_A(op->if_version));
}

/* gone: what is there has expired, so that something new takes its place. */
static enum err work_out(struct ops *o, struct op *op, const struct json *before, bool gone,
                         int64_t now, struct error *e)
{
    if (op->kind == OP_DELETE) {
        entity_delete(o->arena, before, &op->delta);
        return OK;
    }
    if (op->kind == OP_DELETE_ATTR)
        return entity_delete_attr(o->arena, before, op->attr, op->dataset, op->all_datasets, now,
                                  &op->delta, e);
    if (!before && makes_entities(op->kind))
        return entity_apply(o->arena, ENTITY_CREATE, NULL, op->input, now, &op->delta, e);
    enum entity_op as = gone ? ENTITY_REPLACE : apply_as[op->kind];
    if (as == ENTITY_MERGE_PATCH)
        return entity_merge(o->arena, before, op->input, &op->hints, now, &op->delta, e);
    return entity_apply(o->arena, as, before, op->input, now, &op->delta, e);
}

/* Serialising to measure is only needed where the limit is in sight. */
static enum err check_size(struct ops *o, struct op *op, const struct entity_row *row,
                           struct error *e)
{
    size_t limit = (size_t)o->link->options.entity_bytes;
    if (!op->delta.after || row->doc.n + op->input_bytes <= limit)
        return OK;
    struct buf text = {.limit = limit};
    json_write(&text, op->delta.after);
    bool over = text.over;
    buf_release(&text);
    return over ? error_set(e, ERR_TOO_LARGE, "entity %" STR_F " would be larger than %zu bytes",
                            STR_A(op->id), limit)
                : OK;
}

/* The creator, the rights of who asks, the quotas; else op->result says why not. */
static enum err may_change(struct ops *o, struct op *op, const struct entity_row *row,
                           const struct json *before, bool gone, int64_t tenant)
{
    struct access *x = o->link->access;
    struct entity_delta *d = &op->delta;
    d->after =
        access_signed(o->arena, gone ? NULL : before, d->after, o->who ? o->actor : STR_NONE);
    if (o->who)
        op->result = access_change(access_view(x, o->who, tenant), before, d->after, d->changes.v,
                                   d->changes.n, &op->error);
    if (op->result || !x)
        return op->result;
    struct access_growth growth = {.entities = (d->after != NULL) - (before != NULL),
                                   .bytes = (int64_t)op->input_bytes};
    if (!d->after)
        growth.bytes = -(int64_t)row->doc.n;
    op->result = access_room(x, tenant, o->actor, growth, &op->error);
    return op->result;
}

/* Whose rights count on what only its evolution is known of. */
static enum err may_end(struct store_conn *c, struct ops *o, struct op *op, int64_t eid,
                        int64_t tenant, struct error *e)
{
    struct history_past past;
    enum err err = o->who ? history_past(c, o->arena, eid, &past, e) : OK;
    if (!err && o->who && !str_eq(op->attr, S(HISTORY_SCOPE)))
        op->result = access_change_past(access_view(o->link->access, o->who, tenant), past.stored,
                                        past.types, op->attr, &op->error);
    return err;
}

/*
 * An attribute (or the scope) that is known by its evolution alone, because it was written as such:
 * deleting it ends that (clauses 4.5.7, 5.6.5). Other nodes do not hear of it.
 */
static enum err end_evolution(struct store_conn *c, struct ops *o, struct op *op,
                              const struct entity_row *row, int64_t tenant, int64_t now,
                              struct error *e)
{
    bool scope = str_eq(op->attr, S(HISTORY_SCOPE));
    struct journal_row j = {
        .tenant = tenant, .at = now, .topic = S("history"), .key = op->id, .actor = o->actor};
    if (op->result != ERR_NOT_FOUND || (op->kind != OP_DELETE_ATTR && !scope) || !row->eid ||
        op->types || !o->link->options.history)
        return OK;
    enum err err =
        history_end(c, o->arena, row->eid, op->attr, op->dataset, op->all_datasets, now, 0, e);
    if (err)
        return err == ERR_NOT_FOUND ? OK : err;
    op->result = OK;
    err = may_end(c, o, op, row->eid, tenant, e);
    if (err || op->result)
        return err;
    struct json_member m[] = {json_m(S("op"), json_v_str(S("end"))),
                              json_m(S("a"), json_v_str(op->attr))};
    struct json body = json_v_object(m, 2);
    j.body = json_to_text(o->arena, &body);
    err = journal_append(c, &j, e);
    if (!err)
        err = history_end(c, o->arena, row->eid, op->attr, op->dataset, op->all_datasets, now,
                          j.seq, e);
    op->seq = j.seq;
    op->delta.scope_changed = scope;
    return err;
}

/* One operation. Errors of its own go to op->error; the return value is the store's. */
static enum err apply_op(struct store_conn *c, struct ops *o, struct op *op, int64_t tenant,
                         int64_t now, struct error *e)
{
    struct entity_row row;
    const struct json *before = NULL;
    if (op->prepare) {
        enum err failed = op->prepare(op, o->arena, c, tenant, now, e);
        if (failed || op->result)
            return failed;
    }
    enum err err = repo_get(c, o->arena, tenant, op->id, &row, &op->error);
    if (err && err != ERR_NOT_FOUND)
        return error_set(e, err, "%s", op->error.text);
    if (!err) {
        before = json_parse(o->arena, row.doc, &JSON_DEFAULT, e);
        if (!before)
            return error_set(e, ERR_CORRUPT, "entity row %lld holds no JSON", (long long)row.eid);
    }
    /* as good as deleted, until expiry.c deletes it */
    bool gone = before && op->kind != OP_DELETE && entity_expired(before, now);
    if ((err || gone) && !makes_entities(op->kind)) {
        op->result = error_set(&op->error, ERR_NOT_FOUND, "no entity %" STR_F, STR_A(op->id));
        return end_evolution(c, o, op, &row, tenant, now, e);
    }
    if (!err && !gone && op->kind == OP_CREATE) {
        op->result =
            error_set(&op->error, ERR_EXISTS, "entity %" STR_F " exists already", STR_A(op->id));
        return OK;
    }
    if (before && op->types && !query_types_hold(op->types, entity_types(before))) {
        op->result = error_set(&op->error, ERR_NOT_FOUND, "no entity %" STR_F " of that type",
                               STR_A(op->id));
        return OK;
    }
    op->result = check_version(op, &row, &op->error);
    if (!op->result)
        op->result = work_out(o, op, before, gone, now, &op->error);
    if (!op->result)
        op->result = check_size(o, op, &row, &op->error);
    if (op->result == ERR_NOT_FOUND)
        return end_evolution(c, o, op, &row, tenant, now, e);
    if (op->result || op->delta.after == before) /* nothing changed */
        return OK;
    op->created = !before || gone;
    if (may_change(o, op, &row, before, gone, tenant))
        return OK;
    struct repo_options options = {.history = o->link->options.history};
    struct repo_put put = {.arena = o->arena,
                           .options = &options,
                           .tenant = tenant,
                           .now = now,
                           .id = op->id,
                           .actor = o->actor,
                           .note = op->note,
                           .row = &row,
                           .before = before,
                           .delta = &op->delta,
                           .sync = sync_local(o->link->sync, o->arena)};
    return repo_put(c, &put, &op->seq, e);
}

static bool any_makes_entities(const struct ops *o)
{
    for (size_t i = 0; i < o->n; i++)
        if (makes_entities(o->ops[i].kind))
            return true;
    return false;
}

static enum err apply(struct store_conn *c, void *ctx, struct error *e)
{
    struct ops *o = ctx;
    int64_t now = clock_now(o->link->clock), tenant;
    bool make = o->link->options.tenants_auto && any_makes_entities(o) &&
                !str_starts(o->tenant, S(SPACE_PREFIX)); /* a space that is gone stays so */
    enum err err = OK;
    tenant = o->change.tenant ? o->change.tenant : tenants_find(o->link->tenants, o->tenant);
    if (!tenant)
        err = make ? repo_tenant_make(c, o->tenant, now, &tenant, e)
                   : repo_tenant(c, o->tenant, &tenant, e);
    o->tenant_number = tenant;
    for (size_t i = 0; !err && i < o->n; i++) {
        struct op *op = &o->ops[i];
        op->result = OK;
        op->error.text[0] = '\0';
        op->created = false;
        op->seq = 0;
        op->delta = (struct entity_delta){0};
        err = apply_op(c, o, op, tenant, now, e);
    }
    return err;
}

/* Operations that are settled touch their own entities only; others ask when they are applied. */
static void ahead(struct store_conn *c, void *ctx)
{
    struct ops *o = ctx;
    int64_t tenant = o->change.tenant;
    for (size_t i = 0; tenant && i < o->n; i++)
        repo_get_ahead(c, tenant, o->ops[i].id);
}

static bool all_settled(const struct ops *o)
{
    for (size_t i = 0; i < o->n; i++)
        if (o->ops[i].prepare)
            return false;
    return true;
}

static void submitted_done(void *ctx, enum err code, const struct error *e)
{
    struct ops *o = ctx;
    if (!code)
        if (tenants_learn(o->link->tenants, o->tenant, o->tenant_number))
            access_learn(o->link->access, o->tenant_number, o->tenant_number);
    o->done(o, code, e);
}

enum err ops_submit(struct link *l, struct ops *o, struct error *e)
{
    o->link = l;
    o->change = (struct store_change){.apply = apply,
                                      .done = submitted_done,
                                      .ctx = o,
                                      .lane = str_hash(o->tenant),
                                      .tenant = tenants_find(l->tenants, o->tenant),
                                      .ahead = all_settled(o) ? ahead : NULL};
    enum err err = store_submit(l->store, &o->change);
    return err ? error_set(e, err, "too many changes are waiting to be written") : OK;
}

enum err ops_run(struct link *l, struct ops *o, struct error *e)
{
    o->link = l;
    return store_write(l->store, apply, o, e);
}
