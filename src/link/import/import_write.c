/*
 * import_write.c - drafts compared with what is there; only what differs is written.
 *
 * A draft waits in the batch until enough are there. Then a reader's snapshot tells for each what
 * is stored: nothing (create), the same (leave alone, so that history and subscribers see no change
 * where there was none), or something else (a merge patch of just the attributes that differ).
 * Attributes that an import once wrote and whose cell is empty now are deleted; those that others
 * added are left alone.
 */
#include "import_impl.h"

#include "core/datetime.h"

#include <string.h>

/* --- comparing --- */

static bool is_time(struct str key)
{
    return str_eq(key, S("createdAt")) || str_eq(key, S("modifiedAt"));
}

/* Everything that want says stands in have already. */
static bool instance_holds(const struct json *have, const struct json *want)
{
    for (uint32_t i = 0; i < want->n; i++)
        if (!json_equal(json_get(have, json_key(&want->members[i])), &want->members[i].value,
                        false))
            return false;
    return true;
}

static uint32_t count_without_times(const struct json *v)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < v->n; i++)
        n += !is_time(json_key(&v->members[i]));
    return n;
}

/* Same but for createdAt and modifiedAt, at every level that has them. */
static bool same_stored(const struct json *x, const struct json *y, unsigned depth)
{
    if (x->type != y->type || depth > ENTITY_MAX_DEPTH)
        return false;
    if (x->type == JSON_ARRAY) {
        bool same = x->n == y->n;
        for (uint32_t i = 0; same && i < x->n; i++)
            same = same_stored(&x->items[i], &y->items[i], depth + 1);
        return same;
    }
    if (x->type != JSON_OBJECT)
        return json_equal(x, y, false);
    if (count_without_times(x) != count_without_times(y))
        return false;
    for (uint32_t i = 0; i < x->n; i++) {
        struct str key = json_key(&x->members[i]);
        const struct json *other = json_get(y, key);
        if (!is_time(key) && (!other || !same_stored(&x->members[i].value, other, depth + 1)))
            return false;
    }
    return true;
}

/* --- the patch of an attribute --- */

static int64_t observed_at(const struct json *instance)
{
    int64_t t;
    return datetime_parse(json_text(json_get(instance, S("observedAt"))), &t) ? t : 0;
}

/* What is stored was observed later than what the file tells. */
static bool is_late(struct import *im, const struct json *have, const struct json *want)
{
    int64_t there = observed_at(have), here = observed_at(want);
    if (!there || !here || there <= here)
        return false;
    if (!im->stale_noted)
        import_problem(im, 0, STR_NONE, "older_than_stored", STR_NONE, true,
                       "newer observations are stored already; those of this file were not taken");
    im->stale_noted = true;
    return true;
}

/* In a merge patch members of an object stay unless they are deleted by name. */
static struct json erasing(struct arena *a, const struct json *have, const struct json *want)
{
    if (!json_is(have, JSON_OBJECT) || !json_is(want, JSON_OBJECT))
        return *want;
    struct json_member *m = ARENA_ARRAY(a, struct json_member, have->n + want->n);
    size_t n = 0;
    for (uint32_t i = 0; i < want->n; i++)
        m[n++] = want->members[i];
    for (uint32_t i = 0; i < have->n; i++) {
        struct str key = json_key(&have->members[i]);
        if (!json_get(want, key))
            m[n++] = json_m(key, json_v_str(S("urn:ngsi-ld:null")));
    }
    return json_v_object(m, n);
}

static struct json patch_of(struct arena *a, const struct json *have, const struct json *want)
{
    const struct json *old = json_get(have, S("value")), *new = json_get(want, S("value"));
    if (!old || !new)
        return import_instances(a, want->members, want->n);
    struct json instance = json_with(a, want, S("value"), erasing(a, old, new));
    return import_instances(a, instance.members, instance.n);
}

static struct json deleted(struct arena *a)
{
    struct json_member *m = ARENA_ARRAY(a, struct json_member, 2);
    m[0] = json_m(S("type"), json_v_str(S("deleted")));
    m[1] = json_m(S("all"), json_v_bool(true));
    return import_instances(a, m, 2);
}

/* Members of a merge patch that takes have to want. 0: nothing differs. */
static size_t difference(struct import *im, const struct json *have, const struct json *want,
                         struct json_member *m)
{
    struct arena *a = &im->batch;
    size_t n = 0;
    if (!entity_has_type(have, im->type_iri))
        m[n++] = json_m(S("type"), *json_get(want, S("type")));
    for (uint32_t i = 0; i < want->n; i++) {
        struct str iri = json_key(&want->members[i]);
        if (entity_is_member(iri))
            continue;
        const struct json *instance = json_at(&want->members[i].value, 0);
        const struct json *there = instance_default(entity_attr(have, iri));
        if (there && (instance_holds(there, instance) || is_late(im, there, instance)))
            continue;
        m[n++] = json_m(iri, there ? patch_of(a, there, instance) : want->members[i].value);
    }
    for (uint32_t i = 0; i < have->n; i++) {
        struct str iri = json_key(&have->members[i]);
        if (!entity_is_member(iri) && map_get(&im->ours, iri) && !json_get(want, iri))
            m[n++] = json_m(iri, deleted(a));
    }
    return n;
}

/* --- planning --- */

static bool plan_fragment(struct import *im, const struct json *have, const struct json *want,
                          struct op *op)
{
    struct json_member *m = ARENA_ARRAY(&im->batch, struct json_member, have->n + want->n + 1);
    struct json *fragment = ARENA_NEW(&im->batch, struct json);
    *fragment = json_v_object(m, difference(im, have, want, m));
    op->kind = OP_MERGE;
    op->input = fragment;
    return fragment->n > 0;
}

/* The row of an open shelter is gone: it is closed, and nobody is there any more. */
static bool plan_closing(struct import *im, const struct json *have, struct op *op)
{
    struct arena *a = &im->batch;
    const struct json *status = instance_default(entity_attr(have, im->iri_status));
    int64_t at = im->observed ? im->observed : clock_now(im->job->link->clock);
    if (str_eq(json_text(json_get(status, S("value"))), S("closed")))
        return false;
    struct json_member *m = ARENA_ARRAY(a, struct json_member, 2);
    m[0] = import_property(a, im->iri_status, json_v_str(S("closed")), at);
    m[1] = import_property(a, im->iri_occupancy, json_v_i64(a, 0), at);
    if (status && is_late(im, status, json_at(&m[0].value, 0)))
        return false;
    struct json *fragment = ARENA_NEW(a, struct json);
    *fragment = json_v_object(m, 2);
    op->kind = OP_MERGE;
    op->input = fragment;
    return true;
}

/* What to do about a draft, given what is stored (NULL: nothing). false: nothing. */
static bool plan(struct import *im, const struct draft *d, const struct json *have, struct op *op)
{
    *op = (struct op){.id = d->id, .input = d->stored, .kind = OP_UPSERT_UPDATE};
    if (!d->stored) {
        if (have && im->kind->closes && entity_has_type(have, im->type_iri))
            return plan_closing(im, have, op);
        op->kind = OP_DELETE;
        return have != NULL;
    }
    if (!have)
        return true;
    if (im->kind->format == FORMAT_TABLE)
        return plan_fragment(im, have, d->stored, op);
    op->kind = OP_UPSERT;
    return !same_stored(have, d->stored, 0);
}

struct planned {
    struct op *ops;
    struct draft **drafts; /* of each operation */
    size_t n;
};

static enum err plan_all(struct import *im, struct planned *p)
{
    struct arena *a = &im->batch;
    struct link *l = im->job->link;
    struct entity_row row;
    int64_t tenant = 0;
    struct store_conn *c = store_read(l->store, im->e);
    if (!c)
        return im->e->code;
    enum err err = repo_tenant(c, im->job->tenant, &tenant, im->e);
    for (size_t i = 0; i < im->n_drafts && (!err || err == ERR_NOT_FOUND); i++) {
        struct draft *d = &im->drafts[i];
        const struct json *have = NULL;
        err = tenant ? repo_get(c, a, tenant, d->id, &row, im->e) : ERR_NOT_FOUND;
        if (!err) {
            have = json_parse(a, row.doc, &JSON_DEFAULT, im->e);
            if (!have)
                err = ERR_CORRUPT;
        }
        if (err && err != ERR_NOT_FOUND)
            break;
        if (plan(im, d, have, &p->ops[p->n]))
            p->drafts[p->n++] = d;
        else if (d->stored)
            im->report->unchanged++;
    }
    store_read_done(c);
    return err == ERR_NOT_FOUND ? OK : err;
}

/* --- writing --- */

static void count_result(struct import *im, const struct draft *d, const struct op *op)
{
    if (op->result && d->stored) {
        im->report->rejected++;
        import_problem(im, d->row, STR_NONE, "refused", d->id, false, "%s", op->error.text);
    } else if (op->result) {
        return; /* somebody else deleted it meanwhile */
    } else if (op->kind == OP_DELETE) {
        im->report->deleted++;
    } else if (op->created) {
        im->report->created++;
    } else {
        im->report->updated++;
        im->report->closed += !d->stored;
    }
}

enum err import_flush(struct import *im)
{
    struct planned p = {.ops = ARENA_ARRAY(&im->batch, struct op, im->n_drafts),
                        .drafts = ARENA_ARRAY(&im->batch, struct draft *, im->n_drafts)};
    const struct import_job *job = im->job;
    enum err err = im->n_drafts ? plan_all(im, &p) : OK;
    if (!err && p.n) {
        struct ops ops = {.arena = &im->batch,
                          .tenant = job->tenant.p ? job->tenant : S(""),
                          .actor = job->actor,
                          .ops = p.ops,
                          .n = p.n};
        err = ops_run(job->link, &ops, im->e);
        for (size_t i = 0; !err && i < p.n; i++)
            count_result(im, p.drafts[i], &p.ops[i]);
    }
    im->n_drafts = 0;
    arena_reset(&im->batch);
    if (job->progress)
        job->progress(job->ctx, im->report->rows, im->rows_total);
    if (!err && job->cancelled && job->cancelled(job->ctx))
        err = error_set(im->e, ERR_UNAVAILABLE, "the import was stopped");
    return err;
}

enum err import_put(struct import *im, uint64_t row, struct str id, const struct json *stored)
{
    im->drafts[im->n_drafts++] = (struct draft){row, id, stored};
    return im->n_drafts == IMPORT_BATCH ? import_flush(im) : OK;
}

/* --- rows that are gone --- */

struct vanished {
    struct import *im;
    VEC(struct str) ids;
};

static bool note_vanished(void *ctx, const struct entity_row *row, const struct json *stored)
{
    struct vanished *v = ctx;
    (void)stored;
    if (!map_get(&v->im->seen, row->id))
        *vec_push(v->im->arena, &v->ids) = str_dup(v->im->arena, row->id);
    return true;
}

static enum err find_vanished(struct import *im, struct vanished *v)
{
    struct link *l = im->job->link;
    struct repo_result result;
    struct entity_query query = {0};
    struct str q = str_printf(im->arena, "dataset==\"%" STR_F "\"", STR_A(im->dataset));
    struct repo_query rq = {.query = &query, .limit = UINT64_MAX, .clock = l->clock};
    query.q = query_parse_q(im->arena, q, ld_core(), NULL, 0, &QUERY_DEFAULT, im->e);
    if (!query.q)
        return im->e->code;
    struct store_conn *c = store_read(l->store, im->e);
    enum err err = c ? repo_tenant(c, im->job->tenant, &rq.tenant, im->e) : im->e->code;
    if (!err)
        err = repo_query(c, &rq, note_vanished, v, &result, im->e);
    if (c)
        store_read_done(c);
    query_q_release(query.q);
    return err == ERR_NOT_FOUND ? OK : err;
}

enum err import_vanished(struct import *im)
{
    struct vanished v = {.im = im, .ids = VEC_INIT};
    const struct import_report *r = im->report;
    if (!im->member || im->job->keep_vanished)
        return OK;
    if (r->created + r->updated + r->unchanged == 0) {
        import_problem(im, 0, STR_NONE, "no_rows", STR_NONE, true,
                       "no row was loaded; what an earlier file loaded is left as it is");
        return OK;
    }
    enum err err = find_vanished(im, &v);
    for (size_t i = 0; !err && i < v.ids.n; i++)
        err = import_put(im, 0, v.ids.v[i], NULL);
    return err ? err : import_flush(im);
}
