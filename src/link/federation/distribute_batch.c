/*
 * Batches with sources: each entity is matched and split as by itself; a source that knows the
 * batch operation gets all of its entities in one request, any other one a request for each
 * (clauses 5.6.7 to 5.6.10, 5.6.20). An upsert to a source that can only create and replace is
 * tried as a creation, then as a replacement of what exists already.
 *
 * Threads and the end of it: as in distribute_write.c.
 */
#include "distribute.h"
#include "link/access.h"

#define PATH "/ngsi-ld/v1/entityOperations/"

/* Single operations that stand in for the batch: to make an entity, and for one that is there. */
static const struct batch_row {
    reg_ops op, make, change;
    const char *path;
    const char *make_method, *change_method, *change_tail;
} rows[] = {
    [DIST_CREATE_BATCH] = {REG_CREATE_BATCH, REG_CREATE_ENTITY, 0, PATH "create", "POST", "", ""},
    [DIST_UPSERT_BATCH] = {REG_UPSERT_BATCH, REG_CREATE_ENTITY, REG_REPLACE_ENTITY, PATH "upsert",
                           "POST", "PUT", ""},
    [DIST_UPSERT_UPDATE_BATCH] = {REG_UPSERT_BATCH, REG_CREATE_ENTITY, REG_UPDATE_ENTITY,
                                  PATH "upsert", "POST", "PATCH", "/attrs/"},
    [DIST_UPDATE_BATCH] = {REG_UPDATE_BATCH, 0, REG_APPEND_ATTRS, PATH "update", "", "POST",
                           "/attrs/"},
    [DIST_MERGE_BATCH] = {REG_MERGE_BATCH, 0, REG_MERGE_ENTITY, PATH "merge", "", "PATCH", ""},
    [DIST_DELETE_BATCH] = {REG_DELETE_BATCH, 0, REG_DELETE_ENTITY, PATH "delete", "", "DELETE", ""},
};

/* The part of one entity that one source has. */
struct item {
    size_t op; /* index */
    bool supported;
    VEC(struct str) attrs;
};

struct target {
    struct registration *reg;
    VEC(struct item) items;
};

/* A request on its way: of one item, or of all of a target. */
struct unit {
    struct target *target;
    size_t first, n;      /* items */
    struct forward f;     /* the first attempt */
    struct forward again; /* when that finds the entity there; method NULL: none */
    bool retried;
};

/* What is known of each operation. */
struct state {
    struct reg_parts parts;
    const struct str *attrs;
    size_t n_attrs;
    bool local, proxied;
    bool done, made; /* some source did its part; made an entity */
};

struct failure {
    struct str id;
    const struct registration *reg; /* NULL: this store */
    struct dist_problem problem;
    const struct json *told; /* ProblemDetails of a source */
};

struct dist_batch_run {
    struct api *c;
    struct dist_batch b;
    const struct batch_row *row;
    struct state *states;
    VEC(struct target) targets;
    VEC(struct unit *) units;
    VEC(struct failure) failures;
    atomic_int left;
    struct forward *round; /* requests on their way, in one array */
    struct forward_cause cause;
    bool second;
    struct ops ops;
    struct op *local; /* those of this store, in one array */
    size_t *local_of; /* which they are */
    size_t n_local;
    struct arena memory;
    enum err code;
    struct error error;
};

/* --- matching and splitting --- */

static struct item *item_of(struct dist_batch_run *r, struct registration *reg, size_t op)
{
    struct target *t = NULL;
    for (size_t i = 0; i < r->targets.n && !t; i++)
        if (r->targets.v[i].reg == reg)
            t = &r->targets.v[i];
    if (!t) {
        t = vec_push(r->c->arena, &r->targets);
        t->reg = reg;
    }
    if (t->items.n && t->items.v[t->items.n - 1].op == op)
        return &t->items.v[t->items.n - 1];
    struct item *it = vec_push(r->c->arena, &t->items);
    it->op = op;
    return it;
}

static void gather(struct dist_batch_run *r, size_t i)
{
    struct state *s = &r->states[i];
    struct op *op = &r->b.ops[i];
    bool whole = false, remove = r->b.kind == DIST_DELETE_BATCH;
    for (size_t k = 0; k < s->parts.n; k++) {
        const struct reg_part *p = &s->parts.v[k];
        if (p->reg->mode == REG_AUXILIARY)
            continue;
        struct item *it = item_of(r, p->reg, i);
        const struct str *attrs = p->n_attrs ? p->attrs : s->attrs;
        size_t n = p->n_attrs ? p->n_attrs : s->n_attrs;
        it->supported = it->supported || p->supported;
        for (size_t m = 0; m < n; m++)
            if (!dist_among(it->attrs.v, it->attrs.n, attrs[m]))
                *vec_push(r->c->arena, &it->attrs) = attrs[m];
        if (p->reg->mode != REG_INCLUSIVE) {
            s->proxied = true;
            whole = whole || (!s->n_attrs && !p->n_attrs);
        }
    }
    s->local = s->n_attrs ? s->parts.n_left > 0 : !whole || remove;
    if (s->local && s->n_attrs && s->parts.n_left < s->n_attrs)
        op->input = dist_narrow(r->c->arena, op->input, s->parts.left, s->parts.n_left);
}

static void fail(struct dist_batch_run *r, size_t op, const struct registration *reg,
                 const struct dist_problem *p)
{
    *vec_push(r->c->arena, &r->failures) =
        (struct failure){.id = r->b.ops[op].id, .reg = reg, .problem = *p};
}

/* What the sender may not write does not go to a source either. */
static void forbid(struct dist_batch_run *r, size_t i, int64_t tenant, const struct json *types)
{
    for (size_t k = 0; k < r->targets.n; k++) {
        struct target *t = &r->targets.v[k];
        const struct item *it = t->items.n ? &t->items.v[t->items.n - 1] : NULL;
        struct error e = {0};
        struct dist_outcome o = {0};
        if (!it || it->op != i ||
            !dist_forbidden(r->c, tenant, types, it->attrs.v, it->attrs.n, &e))
            continue;
        dist_failed(r->c->arena, &e, &o);
        fail(r, i, t->reg, &o.problem);
        t->items.n--;
    }
}

static enum err match(struct dist_batch_run *r, struct store_conn *conn, size_t i, int64_t tenant,
                      struct error *e)
{
    struct api *c = r->c;
    struct op *op = &r->b.ops[i];
    struct state *s = &r->states[i];
    const struct json *types = op->input ? entity_types(op->input) : NULL;
    if (!types)
        types = dist_local_types(c->arena, conn, tenant, op->id);
    s->n_attrs = dist_attrs(c->arena, op->input, &s->attrs);
    struct reg_ask q = {.tenant = tenant,
                        .op = r->row->op | r->row->make | r->row->change,
                        .ids = &op->id,
                        .n_ids = 1,
                        .attrs = s->attrs,
                        .n_attrs = s->n_attrs,
                        .via = r->cause.via,
                        .now = clock_now(c->link->clock)};
    dist_type_names(c->arena, types, &q.type_names, &q.n_type_names);
    enum err err = registrations_match(c->link->registrations, c->arena, &q, &s->parts, e);
    if (!err) {
        gather(r, i);
        forbid(r, i, tenant, types);
    }
    return err;
}

/* All on one state of the store. */
static enum err match_all(struct dist_batch_run *r, int64_t tenant, struct error *e)
{
    struct store_conn *conn = store_read(r->c->link->store, e);
    enum err err = conn ? OK : e->code;
    for (size_t i = 0; !err && i < r->b.n; i++)
        err = match(r, conn, i, tenant, e);
    if (conn)
        store_read_done(conn);
    return err;
}

/* --- requests --- */

static struct dist_payload part_of(struct dist_batch_run *r, const struct item *it)
{
    struct arena *a = r->c->arena;
    struct dist_payload p = r->b.payloads[it->op];
    if (it->attrs.n == r->states[it->op].n_attrs)
        return p;
    struct json *part = ARENA_NEW(a, struct json);
    *part = dist_fragment(a, &p, it->attrs.v, it->attrs.n);
    p.body = part;
    return p;
}

static struct str ids_of(struct dist_batch_run *r, const struct target *t)
{
    struct json *v = ARENA_ARRAY(r->c->arena, struct json, t->items.n);
    for (size_t i = 0; i < t->items.n; i++)
        v[i] = json_v_str(r->b.ops[t->items.v[i].op].id);
    struct json all = json_v_array(v, t->items.n);
    return json_to_text(r->c->arena, &all);
}

static struct unit *unit_new(struct dist_batch_run *r, struct target *t, size_t first, size_t n)
{
    struct unit *u = ARENA_NEW(r->c->arena, struct unit);
    *u = (struct unit){.target = t, .first = first, .n = n};
    *vec_push(r->c->arena, &r->units) = u;
    return u;
}

static void as_batch(struct dist_batch_run *r, struct target *t)
{
    struct unit *u = unit_new(r, t, 0, t->items.n);
    u->f = (struct forward){.reg = t->reg,
                            .method = "POST",
                            .target = dist_target(r->c, t->reg, str_c(r->row->path))};
    if (r->b.kind == DIST_DELETE_BATCH) {
        u->f.body = ids_of(r, t);
        return;
    }
    struct dist_payload *p = ARENA_ARRAY(r->c->arena, struct dist_payload, t->items.n);
    for (size_t i = 0; i < t->items.n; i++)
        p[i] = part_of(r, &t->items.v[i]);
    dist_bodies(r->c, &u->f, p, t->items.n);
}

static void single(struct dist_batch_run *r, const struct item *it, struct registration *reg,
                   bool make, struct forward *f)
{
    struct api *c = r->c;
    struct str path = S("/ngsi-ld/v1/entities");
    if (!make)
        path = str_printf(c->arena, "/ngsi-ld/v1/entities/%" STR_F "%s",
                          STR_A(api_segment(c->arena, r->b.ops[it->op].id)), r->row->change_tail);
    *f = (struct forward){.reg = reg,
                          .method = make ? r->row->make_method : r->row->change_method,
                          .target = dist_target(c, reg, path)};
    if (r->b.kind == DIST_DELETE_BATCH)
        return;
    struct dist_payload p = part_of(r, it);
    dist_body(c, f, &p);
}

static void one_by_one(struct dist_batch_run *r, struct target *t)
{
    reg_ops can = t->reg->operations;
    for (size_t i = 0; i < t->items.n; i++) {
        const struct item *it = &t->items.v[i];
        bool make = can & r->row->make, change = can & r->row->change;
        if (!it->supported || (!make && !change)) {
            struct dist_outcome o = {0};
            dist_conflict(&o);
            fail(r, it->op, t->reg, &o.problem);
            continue;
        }
        struct unit *u = unit_new(r, t, i, 1);
        single(r, it, t->reg, make, &u->f);
        if (make && change)
            single(r, it, t->reg, false, &u->again);
    }
}

/* --- what came back --- */

static const struct json *error_of(const struct json *errors, struct str id)
{
    for (uint32_t i = 0; json_is(errors, JSON_ARRAY) && i < errors->n; i++)
        if (str_eq(json_text(json_get(&errors->items[i], S("entityId"))), id))
            return json_get(&errors->items[i], S("error"));
    return NULL;
}

static bool lists(const struct json *list, struct str id)
{
    for (uint32_t i = 0; json_is(list, JSON_ARRAY) && i < list->n; i++)
        if (str_eq(json_text(&list->items[i]), id))
            return true;
    return false;
}

static void read_item(struct dist_batch_run *r, const struct unit *u, const struct item *it,
                      const struct dist_outcome *o, const struct json *made)
{
    struct state *s = &r->states[it->op];
    struct str id = r->b.ops[it->op].id;
    if (!o->ok) {
        fail(r, it->op, u->target->reg, &o->problem);
        return;
    }
    const struct json *told = error_of(json_get(o->result, S("errors")), id);
    if (json_is(told, JSON_OBJECT))
        *vec_push(r->c->arena, &r->failures) =
            (struct failure){.id = id, .reg = u->target->reg, .told = told};
    if (!told || lists(json_get(o->result, S("success")), id))
        s->done = true;
    s->made = s->made || lists(made, id) || (u->n == 1 && u->f.status == 201 && !u->retried);
}

static void read_unit(struct dist_batch_run *r, const struct unit *u)
{
    static const struct json_limits limits = {4, 1 << 20, JSON_DUP_LAST};
    struct arena *a = r->c->arena;
    const struct forward *f = u->retried ? &u->again : &u->f;
    struct dist_outcome o = {0};
    if (dist_came_round(f))
        return;
    dist_read(a, f, &o);
    const struct json *made = f->status == 201 ? json_parse(a, f->answer, &limits, NULL) : NULL;
    for (size_t i = 0; i < u->n; i++)
        read_item(r, u, &u->target->items.v[u->first + i], &o, made);
}

static void read_local(struct dist_batch_run *r)
{
    for (size_t i = 0; i < r->n_local; i++) {
        struct op *op = &r->local[i];
        struct state *s = &r->states[r->local_of[i]];
        struct dist_outcome o = {0};
        if (r->code) {
            dist_failed(r->c->arena, &r->error, &o);
            fail(r, r->local_of[i], NULL, &o.problem);
            continue;
        }
        r->b.settle(op);
        if (!op->result) {
            s->done = true;
            s->made = s->made || op->created;
        } else if (op->result != ERR_NOT_FOUND || !s->proxied || r->b.kind != DIST_DELETE_BATCH) {
            struct error e = op->error;
            e.code = op->result;
            dist_failed(r->c->arena, &e, &o);
            fail(r, r->local_of[i], NULL, &o.problem);
        }
    }
}

/* --- the answer --- */

static void write_failure(struct json_writer *w, const struct failure *f)
{
    json_w_object(w);
    json_w_kstr(w, S("entityId"), f->id);
    if (f->reg)
        json_w_kstr(w, S("registrationId"), f->reg->id);
    json_w_key(w, S("error"));
    if (f->told)
        json_w_value(w, f->told);
    else
        dist_write_problem(w, &f->problem);
    json_w_end(w);
}

static void write_refused(struct json_writer *w, const struct op *op)
{
    struct error e = op->error;
    e.code = op->result;
    json_w_object(w);
    if (op->id.p)
        json_w_kstr(w, S("entityId"), op->id);
    json_w_key(w, S("error"));
    api_problem_json(w, &e);
    json_w_end(w);
}

static size_t write_ids(struct dist_batch_run *r, struct json_writer *w, bool made)
{
    size_t n = 0;
    json_w_array(w);
    for (size_t i = 0; i < r->b.n; i++)
        if (made ? r->states[i].made : r->states[i].done) {
            json_w_str(w, r->b.ops[i].id);
            n++;
        }
    json_w_end(w);
    return n;
}

static void answer(struct dist_batch_run *r)
{
    struct api *c = r->c;
    struct buf out = BUF_INIT;
    struct json_writer w = json_writer(&out);
    bool creates = r->b.kind <= DIST_UPSERT_UPDATE_BATCH;
    int status = 207;
    if (!r->failures.n && !r->b.n_refused) {
        bool some = write_ids(r, &w, r->b.kind != DIST_CREATE_BATCH) > 0;
        status = creates && some ? 201 : 204;
    } else {
        json_w_object(&w);
        json_w_key(&w, S("success"));
        write_ids(r, &w, false);
        json_w_key(&w, S("errors"));
        json_w_array(&w);
        for (size_t i = 0; i < r->failures.n; i++)
            write_failure(&w, &r->failures.v[i]);
        for (size_t i = 0; i < r->b.n_refused; i++)
            write_refused(&w, &r->b.refused[i]);
        json_w_end(&w);
        json_w_end(&w);
    }
    if (status == 204)
        response_empty(c->res, 204);
    else
        response_body(c->req, c->res, status, "application/json", buf_dup(&out, c->arena));
    buf_release(&out);
}

static void finish(struct dist_batch_run *r)
{
    for (size_t i = 0; i < r->units.n; i++)
        read_unit(r, r->units.v[i]);
    read_local(r);
    answer(r);
    for (size_t i = 0; i < r->b.n; i++)
        registrations_release(&r->states[i].parts);
    arena_release(&r->memory);
    http_resume(r->c->req);
}

static void part_done(struct dist_batch_run *r)
{
    if (atomic_fetch_sub_explicit(&r->left, 1, memory_order_acq_rel) == 1)
        finish(r);
}

/* --- sending --- */

static void send_round(struct dist_batch_run *r);

/* Answers go back to their units; what was found to exist is changed in a second round. */
static void round_done(void *ctx)
{
    struct dist_batch_run *r = ctx;
    size_t k = 0, again = 0;
    for (size_t i = 0; i < r->units.n; i++) {
        struct unit *u = r->units.v[i];
        if (r->second && u->retried)
            u->again = r->round[k++];
        else if (!r->second)
            u->f = r->round[k++];
    }
    for (size_t i = 0; i < r->units.n && !r->second; i++) {
        struct unit *u = r->units.v[i];
        u->retried = u->again.method && u->f.status == 409;
        again += u->retried;
    }
    if (r->second || !again) {
        part_done(r);
        return;
    }
    r->second = true;
    send_round(r);
}

static void send_round(struct dist_batch_run *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->units.n; i++) {
        if (!r->second)
            r->round[n++] = r->units.v[i]->f;
        else if (r->units.v[i]->retried)
            r->round[n++] = r->units.v[i]->again;
    }
    forward_start(r->c->link, r->c->arena, &r->cause, r->round, n, round_done, r);
}

static void local_done(struct ops *ops, enum err code, const struct error *e)
{
    struct dist_batch_run *r = ops->ctx;
    r->code = code;
    if (code)
        r->error = *e;
    part_done(r);
}

static void launch(struct dist_batch_run *r)
{
    struct api *c = r->c;
    for (size_t i = 0; i < r->targets.n; i++) {
        struct target *t = &r->targets.v[i];
        if (t->items.n && (t->reg->operations & r->row->op))
            as_batch(r, t);
        else
            one_by_one(r, t);
    }
    r->round = ARENA_ARRAY(c->arena, struct forward, r->units.n ? r->units.n : 1);
    r->local = ARENA_ARRAY(c->arena, struct op, r->b.n ? r->b.n : 1);
    r->local_of = ARENA_ARRAY(c->arena, size_t, r->b.n ? r->b.n : 1);
    for (size_t i = 0; i < r->b.n; i++)
        if (r->states[i].local) {
            r->local_of[r->n_local] = i;
            r->local[r->n_local] = r->b.ops[i];
            r->local[r->n_local++].input_bytes = c->req->body.n;
        }
    atomic_init(&r->left, r->n_local ? 2 : 1);
    r->ops = (struct ops){.arena = &r->memory,
                          .tenant = c->tenant,
                          .actor = c->req->user,
                          .who = access_asks(c->req),
                          .ops = r->local,
                          .n = r->n_local,
                          .done = local_done,
                          .ctx = r};
    struct error e = {0};
    if (r->n_local && ops_submit(c->link, &r->ops, &e))
        local_done(&r->ops, e.code, &e);
    send_round(r);
}

static void release(struct dist_batch_run *r)
{
    for (size_t i = 0; i < r->b.n; i++)
        registrations_release(&r->states[i].parts);
}

bool distribute_batch(struct api *c, const struct dist_batch *b)
{
    struct error e = {0};
    int64_t tenant = dist_others(c);
    if (tenant < 0)
        return true;
    if (!tenant)
        return false;
    struct dist_batch_run *r = ARENA_NEW(c->arena, struct dist_batch_run);
    r->c = api_keep(c);
    r->b = *b;
    r->row = &rows[b->kind];
    r->states = ARENA_ARRAY(c->arena, struct state, b->n ? b->n : 1);
    forward_cause_of(c, &r->cause);
    if (match_all(r, tenant, &e)) {
        release(r);
        api_fail(c, &e);
        return true;
    }
    if (!r->targets.n) {
        release(r);
        return false;
    }
    c->answer = HTTP_LATER;
    launch(r);
    return true;
}
