/*
 * One write on one entity: registrations are matched, the payload is split, the store and the
 * sources do their parts at the same time, the last to finish answers.
 *
 * While it is on its way three threads may touch it: the client's (answers, in the call's arena),
 * the writer's (the store's part, in memory of its own), and the one that starts both. `left`
 * counts the parts; who brings it to 0 has everything to himself.
 */
#include "distribute.h"
#include "link/access.h"
#include "tenants.h"

#define ENTITIES "/ngsi-ld/v1/entities"
#define TEMPORAL "/ngsi-ld/v1/temporal/entities"

enum tail { TO_ALL, TO_ENTITY, TO_ATTRS, TO_ATTR, TO_INSTANCE };

/* How an operation is told to a source. */
static const struct kind_row {
    reg_ops op;
    const char *method, *base;
    enum tail tail;
    bool body;
    bool by_attr;  /* failures are told as an UpdateResult */
    bool if_there; /* this store does its part if the entity is here */
} kinds[] = {
    [DIST_CREATE_ENTITY] = {REG_CREATE_ENTITY, "POST", ENTITIES, TO_ALL, true, false, false},
    [DIST_REPLACE_ENTITY] = {REG_REPLACE_ENTITY, "PUT", ENTITIES, TO_ENTITY, true, false, false},
    [DIST_MERGE_ENTITY] = {REG_MERGE_ENTITY, "PATCH", ENTITIES, TO_ENTITY, true, false, false},
    [DIST_DELETE_ENTITY] = {REG_DELETE_ENTITY, "DELETE", ENTITIES, TO_ENTITY, false, false, true},
    [DIST_APPEND_ATTRS] = {REG_APPEND_ATTRS, "POST", ENTITIES, TO_ATTRS, true, true, false},
    [DIST_UPDATE_ATTRS] = {REG_UPDATE_ENTITY, "PATCH", ENTITIES, TO_ATTRS, true, true, false},
    [DIST_PARTIAL_ATTR] = {REG_UPDATE_ATTRS, "PATCH", ENTITIES, TO_ATTR, true, true, false},
    [DIST_REPLACE_ATTR] = {REG_REPLACE_ATTRS, "PUT", ENTITIES, TO_ATTR, true, true, false},
    [DIST_DELETE_ATTR] = {REG_DELETE_ATTRS, "DELETE", ENTITIES, TO_ATTR, false, true, false},
    [DIST_TEMPORAL_UPSERT] = {REG_UPSERT_TEMPORAL, "POST", TEMPORAL, TO_ALL, true, false, false},
    [DIST_TEMPORAL_APPEND] = {REG_APPEND_ATTRS_TEMPORAL, "POST", TEMPORAL, TO_ATTRS, true, false,
                              false},
    [DIST_TEMPORAL_DELETE] = {REG_DELETE_TEMPORAL, "DELETE", TEMPORAL, TO_ENTITY, false, false,
                              true},
    [DIST_TEMPORAL_DELETE_ATTR] = {REG_DELETE_ATTRS_TEMPORAL, "DELETE", TEMPORAL, TO_ATTR, false,
                                   false, false},
    [DIST_TEMPORAL_UPDATE_INSTANCE] = {REG_UPDATE_ATTR_INSTANCE_TEMPORAL, "PATCH", TEMPORAL,
                                       TO_INSTANCE, true, false, false},
    [DIST_TEMPORAL_DELETE_INSTANCE] = {REG_DELETE_ATTR_INSTANCE_TEMPORAL, "DELETE", TEMPORAL,
                                       TO_INSTANCE, false, false, false},
};

/* One registration with all its parts of the write. */
struct source {
    struct registration *reg;
    bool supported;
    VEC(struct str) attrs;
    struct forward *f;    /* NULL: nothing is sent */
    struct error refused; /* the sender may not write that (access.h) */
};

struct dist {
    struct api *c;
    const struct kind_row *kind;
    struct str id;
    const struct str *attrs; /* all that are written */
    size_t n_attrs;
    const struct json *types; /* of the entity; NULL: not known */
    int64_t tenant;
    struct reg_parts parts;
    VEC(struct source) sources;
    bool proxied; /* an exclusive or redirect registration has a part */
    atomic_int left;
    /* this store's part */
    bool local;
    struct dist_local part;
    struct arena memory; /* of the writer's thread */
    const struct str *local_attrs;
    size_t n_local_attrs;
    enum err code;
    struct error error;
    const struct entity_delta *delta;
};

/* --- is anybody else concerned? --- */

/* The tenant's number; 0: it is not known. */
static int64_t tenant_of(struct api *c)
{
    int64_t tenant = 1;
    struct error e = {0};
    if (!c->tenant.n)
        return tenant;
    tenant = tenants_find(c->link->tenants, c->tenant);
    if (tenant)
        return tenant;
    struct store_conn *conn = store_read(c->link->store, &e);
    if (!conn || repo_tenant(conn, c->tenant, &tenant, &e))
        tenant = 0;
    if (conn)
        store_read_done(conn);
    return tenant;
}

int64_t dist_others(struct api *c)
{
    struct registrations *r = c->link->registrations;
    if (forward_loops(c))
        return -1;
    if (!r || str_eq(request_query(c->req, "local"), S("true")))
        return 0;
    int64_t tenant = tenant_of(c);
    return tenant && registrations_any(r, tenant) ? tenant : 0;
}

enum err dist_forbidden(struct api *c, int64_t tenant, const struct json *types,
                        const struct str *attrs, size_t n, struct error *e)
{
    const struct access_view *v = access_view(c->link->access, access_asks(c->req), tenant);
    enum err err = n ? OK : access_change_past(v, NULL, types, STR_NONE, e);
    for (size_t i = 0; i < n && !err; i++)
        err = access_change_past(v, NULL, types, attrs[i], e);
    return err;
}

const struct json *dist_local_types(struct arena *a, struct store_conn *conn, int64_t tenant,
                                    struct str id)
{
    struct error e = {0};
    struct entity_row row;
    const struct json *stored = NULL;
    if (!repo_get(conn, a, tenant, id, &row, &e))
        stored = json_parse(a, row.doc, &JSON_DEFAULT, &e);
    return stored ? entity_types(stored) : NULL;
}

static const struct json *types_here(struct api *c, int64_t tenant, struct str id)
{
    struct error e = {0};
    struct store_conn *conn = store_read(c->link->store, &e);
    const struct json *types = conn ? dist_local_types(c->arena, conn, tenant, id) : NULL;
    if (conn)
        store_read_done(conn);
    return types;
}

/* --- splitting --- */

void dist_type_names(struct arena *a, const struct json *types, const struct str **v, size_t *n)
{
    VEC(struct str) out = VEC_INIT;
    for (uint32_t i = 0; json_is(types, JSON_ARRAY) && i < types->n; i++)
        *vec_push(a, &out) = json_text(&types->items[i]);
    *v = out.v;
    *n = out.n;
}

static enum err match(struct dist *d, const struct dist_ask *ask, int64_t tenant, struct error *e)
{
    struct api *c = d->c;
    const struct json *types = ask->types ? ask->types : types_here(c, tenant, ask->id);
    d->types = types;
    d->tenant = tenant;
    struct reg_ask q = {.tenant = tenant,
                        .op = d->kind->op,
                        .ids = &d->id,
                        .n_ids = 1,
                        .types = types ? NULL : ask->chosen,
                        .attrs = ask->attrs,
                        .n_attrs = ask->n_attrs,
                        .via = request_header_all(c->req, "Via"),
                        .now = clock_now(c->link->clock)};
    dist_type_names(c->arena, types, &q.type_names, &q.n_type_names);
    return registrations_match(c->link->registrations, c->arena, &q, &d->parts, e);
}

static struct source *source_of(struct dist *d, struct registration *reg)
{
    for (size_t i = 0; i < d->sources.n; i++)
        if (d->sources.v[i].reg == reg)
            return &d->sources.v[i];
    struct source *s = vec_push(d->c->arena, &d->sources);
    s->reg = reg;
    return s;
}

/* Parts by registration; false: nobody but this store has one. */
static bool gather(struct dist *d)
{
    bool whole = false; /* a proxied registration speaks for all of the entity */
    for (size_t i = 0; i < d->parts.n; i++) {
        const struct reg_part *p = &d->parts.v[i];
        const struct str *attrs = p->n_attrs ? p->attrs : d->attrs;
        size_t n = p->n_attrs ? p->n_attrs : d->n_attrs;
        if (p->reg->mode == REG_AUXILIARY)
            continue;
        struct source *s = source_of(d, p->reg);
        s->supported = s->supported || p->supported;
        for (size_t k = 0; k < n; k++)
            if (!dist_among(s->attrs.v, s->attrs.n, attrs[k]))
                *vec_push(d->c->arena, &s->attrs) = attrs[k];
        if (p->reg->mode != REG_INCLUSIVE) {
            d->proxied = true;
            whole = whole || (!d->n_attrs && !p->n_attrs);
        }
    }
    d->local_attrs = d->n_attrs ? d->parts.left : NULL;
    d->n_local_attrs = d->n_attrs ? d->parts.n_left : 0;
    d->local = d->n_attrs ? d->n_local_attrs > 0 : !whole || d->kind->if_there;
    return d->sources.n > 0;
}

static struct str path_of(struct dist *d, const struct source *s)
{
    struct api *c = d->c;
    struct str base = str_c(d->kind->base), id = api_segment(c->arena, d->id);
    if (d->kind->tail == TO_ALL)
        return base;
    if (d->kind->tail == TO_ENTITY)
        return str_printf(c->arena, "%" STR_F "/%" STR_F, STR_A(base), STR_A(id));
    if (d->kind->tail == TO_ATTRS)
        return str_printf(c->arena, "%" STR_F "/%" STR_F "/attrs/", STR_A(base), STR_A(id));
    struct str term = api_segment(c->arena, dist_term(c, s->reg, d->attrs[0]));
    if (d->kind->tail == TO_ATTR)
        return str_printf(c->arena, "%" STR_F "/%" STR_F "/attrs/%" STR_F, STR_A(base), STR_A(id),
                          STR_A(term));
    return str_printf(c->arena, "%" STR_F "/%" STR_F "/attrs/%" STR_F "/%" STR_F, STR_A(base),
                      STR_A(id), STR_A(term),
                      STR_A(api_segment(c->arena, request_param(c->req, "instance"))));
}

static void prepare(struct dist *d, struct source *s, struct forward *f)
{
    struct api *c = d->c;
    const struct kind_row *k = d->kind;
    *f = (struct forward){.reg = s->reg,
                          .method = k->method,
                          .target = dist_target(c, s->reg, path_of(d, s))};
    s->f = f;
    if (!k->body)
        return;
    struct dist_payload p = {.body = c->body,
                             .ctx = c->ctx,
                             .with_context = c->ld_body,
                             .attr = k->tail == TO_ATTR || k->tail == TO_INSTANCE};
    struct json part;
    if (!p.attr && s->attrs.n < d->n_attrs) {
        part = dist_fragment(c->arena, &p, s->attrs.v, s->attrs.n);
        p.body = &part;
    }
    dist_body(c, f, &p);
}

/* --- the answer --- */

static void answer_well(struct dist *d)
{
    struct api *c = d->c;
    bool made = d->kind == &kinds[DIST_CREATE_ENTITY];
    if (d->local && !d->code) {
        d->part.answer(d->part.ctx);
        return;
    }
    for (size_t i = 0; i < d->sources.n; i++)
        made = made || (d->kind == &kinds[DIST_TEMPORAL_UPSERT] && d->sources.v[i].f &&
                        d->sources.v[i].f->status == 201);
    response_empty(c->res, made ? 201 : 204);
    if (made)
        response_header(c->req, c->res, "Location",
                        str_printf(c->arena, "%s/%" STR_F, d->kind->base,
                                   STR_A(api_segment(c->arena, d->id))));
}

static size_t outcomes(struct dist *d, struct dist_outcome *v)
{
    struct arena *a = d->c->arena;
    size_t n = 0;
    for (size_t i = 0; i < d->sources.n; i++) {
        struct source *s = &d->sources.v[i];
        if (dist_came_round(s->f))
            continue;
        struct dist_outcome *o = &v[n++];
        *o = (struct dist_outcome){.reg = s->reg, .attrs = s->attrs.v, .n_attrs = s->attrs.n};
        if (s->f)
            dist_read(a, s->f, o);
        else if (s->refused.code)
            dist_failed(a, &s->refused, o);
        else
            dist_conflict(o);
    }
    /* what proxied registrations speak for need not be here (clauses 5.6.6, 5.6.16) */
    if (!d->local || (d->code == ERR_NOT_FOUND && d->proxied && d->kind->if_there))
        return n;
    struct dist_outcome *o = &v[n++];
    *o = (struct dist_outcome){.ok = !d->code,
                               .attrs = d->local_attrs,
                               .n_attrs = d->n_local_attrs,
                               .delta = d->delta};
    if (d->code)
        dist_failed(a, &d->error, o);
    return n;
}

static void finish(struct dist *d)
{
    struct api *c = d->c;
    struct dist_outcome *v = ARENA_ARRAY(c->arena, struct dist_outcome, d->sources.n + 1);
    size_t n = outcomes(d, v);
    bool well = true;
    for (size_t i = 0; i < n; i++)
        well = well && v[i].ok && !v[i].result && !(v[i].delta && v[i].delta->not_updated.n);
    if (well)
        answer_well(d);
    else if (dist_answer_same(c, v, n))
        ;
    else if (d->kind->by_attr)
        dist_answer_attrs(c, v, n);
    else
        dist_answer_entity(c, d->id, v, n);
    registrations_release(&d->parts);
    arena_release(&d->memory);
    http_resume(c->req);
}

static void part_done(struct dist *d)
{
    if (atomic_fetch_sub_explicit(&d->left, 1, memory_order_acq_rel) == 1)
        finish(d);
}

static void sources_done(void *ctx)
{
    part_done(ctx);
}

void dist_local_done(struct dist *d, enum err code, const struct error *e,
                     const struct entity_delta *delta)
{
    d->code = code;
    d->delta = delta;
    if (code) {
        d->error = *e;
        d->error.code = code;
    }
    part_done(d);
}

/* --- starting --- */

/* The sender's rights count for what goes to a source as for what stays here. */
static bool may_write(struct dist *d, struct source *s)
{
    return !dist_forbidden(d->c, d->tenant, d->types, s->attrs.v, s->attrs.n, &s->refused);
}

static void launch(struct dist *d)
{
    struct api *c = d->c;
    struct forward_cause cause;
    struct forward *f = ARENA_ARRAY(c->arena, struct forward, d->sources.n);
    size_t n = 0;
    for (size_t i = 0; i < d->sources.n; i++)
        if (d->sources.v[i].supported && may_write(d, &d->sources.v[i]))
            prepare(d, &d->sources.v[i], &f[n++]);
    forward_cause_of(c, &cause);
    if (d->local && d->n_local_attrs < d->n_attrs)
        d->part.narrow(d->part.ctx, d->local_attrs, d->n_local_attrs);
    atomic_init(&d->left, d->local ? 2 : 1);
    if (d->local) {
        struct error e = {0};
        enum err err = d->part.start(d->part.ctx, d, &d->memory, &e);
        if (err)
            dist_local_done(d, err, &e, NULL);
    }
    forward_start(c->link, c->arena, &cause, f, n, sources_done, d);
}

bool distribute(struct api *c, int64_t tenant, const struct dist_ask *ask,
                const struct dist_local *local)
{
    struct error e = {0};
    struct dist *d = ARENA_NEW(c->arena, struct dist);
    d->c = api_keep(c);
    d->kind = &kinds[ask->kind];
    d->id = ask->id;
    d->attrs = ask->attrs;
    d->n_attrs = ask->n_attrs;
    d->part = *local;
    if (match(d, ask, tenant, &e)) {
        api_fail(c, &e);
        return true;
    }
    if (!gather(d)) {
        registrations_release(&d->parts);
        return false;
    }
    c->answer = HTTP_LATER;
    launch(d); /* it may be answered when this returns */
    return true;
}

/* --- operations on entities --- */

struct op_part {
    struct api *c;
    struct op *op;
    struct ops ops;
    struct dist *dist;
    void (*then)(struct api *c);
};

static void op_narrow(void *ctx, const struct str *attrs, size_t n)
{
    struct op_part *p = ctx;
    p->op->input = dist_narrow(p->c->arena, p->op->input, attrs, n);
}

static void op_done(struct ops *ops, enum err code, const struct error *e)
{
    struct op_part *p = ops->ctx;
    if (code)
        dist_local_done(p->dist, code, e, NULL);
    else
        dist_local_done(p->dist, p->op->result, &p->op->error, &p->op->delta);
}

static enum err op_start(void *ctx, struct dist *d, struct arena *memory, struct error *e)
{
    struct op_part *p = ctx;
    p->dist = d;
    p->op->input_bytes = p->c->req->body.n;
    p->ops = (struct ops){.arena = memory,
                          .tenant = p->c->tenant,
                          .actor = p->c->req->user,
                          .who = access_asks(p->c->req),
                          .ops = p->op,
                          .n = 1,
                          .done = op_done,
                          .ctx = p};
    return ops_submit(p->c->link, &p->ops, e);
}

static void op_answer(void *ctx)
{
    struct op_part *p = ctx;
    p->c->ops = p->ops;
    p->then(p->c);
}

enum http_answer distribute_write(struct api *c, enum dist_kind kind, struct op *op,
                                  void (*then)(struct api *c))
{
    int64_t tenant = dist_others(c);
    if (tenant < 0)
        return c->answer;
    if (!tenant)
        return api_write(c, op, 1, then);
    struct op_part *p = ARENA_NEW(c->arena, struct op_part);
    struct dist_ask ask = {.kind = kind, .id = op->id, .chosen = op->types};
    *p = (struct op_part){.c = api_keep(c), .op = op, .then = then};
    if (op->attr.p) {
        ask.attrs = &op->attr;
        ask.n_attrs = 1;
    } else {
        ask.n_attrs = dist_attrs(c->arena, op->input, &ask.attrs);
        ask.types = op->input ? entity_types(op->input) : NULL;
    }
    struct dist_local local = {p, op_narrow, op_start, op_answer};
    if (distribute(c, tenant, &ask, &local))
        return c->answer;
    return api_write(c, op, 1, then);
}
