/*
 * Subscriptions and registrations of Orion, with the ids that they have there. Their service path
 * is not told: it is the one in whose list they are.
 */
#include "orion_impl.h"

/* One of them. */
struct document {
    const struct json *doc;
    struct str id, path;
    enum { DOC_NEW, DOC_SAME, DOC_CHANGED } state;
};

struct documents {
    struct migration *m;
    bool registrations;
    VEC(struct document) list; /* in the page's arena */
};

static const char *what_of(const struct documents *d)
{
    return d->registrations ? "registration" : "subscription";
}

/* --- reading --- */

static struct document *find(struct documents *d, struct str id)
{
    for (size_t i = 0; i < d->list.n; i++)
        if (str_eq(d->list.v[i].id, id))
            return &d->list.v[i];
    return NULL;
}

/* Those of a path; of all when path is absent. */
static enum err read_path(struct documents *d, struct str path, struct error *e)
{
    struct arena *a = &d->m->page;
    for (int64_t offset = 0;;) {
        const struct json *page;
        struct str target = str_printf(a, "/v2/%ss?limit=%d&offset=%lld", what_of(d), ORION_PAGE,
                                       (long long)offset);
        enum err err = orion_fetch(d->m, target, path, &page, e);
        if (err || !page->n)
            return err;
        for (uint32_t i = 0; i < page->n; i++) {
            struct str id = json_text(json_get(&page->items[i], S("id")));
            struct document *known = find(d, id);
            if (known && path.p && !known->path.p)
                known->path = path;
            else if (!known && !path.p && id.n)
                *vec_push(a, &d->list) = (struct document){.doc = &page->items[i], .id = id};
        }
        offset += page->n;
    }
}

/* The paths in whose lists they may be: those of entities, what is above them, and all below. */
static enum err find_paths(struct documents *d, struct error *e)
{
    struct migration *m = d->m;
    struct arena *a = &m->page;
    VEC(struct str) asked = VEC_INIT;
    *vec_push(a, &asked) = S("/#");
    *vec_push(a, &asked) = S("/");
    for (size_t i = 0; i < m->job->n_paths; i++)
        *vec_push(a, &asked) = m->job->paths[i];
    for (size_t i = 0; i < m->seen_paths.n; i++) {
        struct str path = m->seen_paths.v[i];
        for (size_t n = 2; n <= path.n; n++) {
            if (n < path.n && path.p[n] != '/')
                continue;
            *vec_push(a, &asked) = str_sub(path, 0, n);
            *vec_push(a, &asked) = str_concat(a, str_sub(path, 0, n), S("/#"));
        }
    }
    enum err err = OK;
    for (size_t i = 0; !err && i < asked.n; i++) {
        size_t before = 0;
        while (!str_eq(asked.v[before], asked.v[i]))
            before++;
        if (before == i && !(d->registrations && str_ends(asked.v[i], S("#"))))
            err = read_path(d, asked.v[i], e);
    }
    return err;
}

/* --- what is here --- */

static enum err row_of(struct documents *d, struct store_conn *c, struct str id, bool *there,
                       const struct json **doc, struct str *path, struct error *e)
{
    struct arena *a = &d->m->page;
    struct store_rows r;
    store_query(c, &r,
                d->registrations
                    ? "SELECT doc, service_path FROM v2_registration WHERE tenant = $1 AND id = $2"
                    : "SELECT doc, service_path FROM subscription WHERE tenant = $1 AND id = $2",
                SV(SV_INT(d->m->tenant), SV_TEXT(id)));
    *there = store_next(&r);
    if (*there) {
        *doc = json_parse(a, str_dup(a, store_text(&r, 0)), &JSON_DEFAULT, NULL);
        *path = str_dup(a, store_text(&r, 1));
    }
    return store_end(&r, e);
}

static enum err compare(struct documents *d, struct document *x, struct error *e)
{
    const struct json *doc = NULL;
    struct str path = STR_NONE;
    bool there = false;
    struct store_conn *c = store_read(d->m->job->link->store, e);
    if (!c)
        return e->code;
    enum err err = d->m->tenant ? row_of(d, c, x->id, &there, &doc, &path, e) : OK;
    store_read_done(c);
    x->state = !there                                                          ? DOC_NEW
               : doc && json_equal(doc, x->doc, true) && str_eq(path, x->path) ? DOC_SAME
                                                                               : DOC_CHANGED;
    return err;
}

/* --- writing --- */

static enum err put_subscription(struct documents *d, const struct document *x,
                                 struct store_conn *c, struct error *e)
{
    int64_t oldest, newest, now = clock_now(d->m->job->link->clock);
    struct str text = json_to_text(&d->m->page, x->doc);
    if (x->state == DOC_CHANGED)
        return store_exec(c,
                          "UPDATE subscription SET doc = $1, service_path = $2, modified = $3"
                          " WHERE tenant = $4 AND id = $5",
                          SV(SV_TEXT(text), SV_TEXT(x->path), SV_INT(now), SV_INT(d->m->tenant),
                             SV_TEXT(x->id)),
                          NULL, e);
    if (journal_range(c, d->m->tenant, &oldest, &newest, e))
        return e->code;
    return store_exec(c,
                      "INSERT INTO subscription(tenant, id, doc, context, state, cursor, pending,"
                      " created, modified, service_path)"
                      " VALUES ($1, $2, $3, $4, '{}', $5, 1, $6, $6, $7)",
                      SV(SV_INT(d->m->tenant), SV_TEXT(x->id), SV_TEXT(text),
                         SV_TEXT(json_to_text(&d->m->page, ld_context_json(ld_core()))),
                         SV_INT(newest), SV_INT(now), SV_TEXT(x->path)),
                      NULL, e);
}

static enum err put_all(struct store_conn *c, void *ctx, struct error *e)
{
    struct documents *d = ctx;
    struct migration *m = d->m;
    enum err err = OK;
    for (size_t i = 0; !err && i < d->list.n; i++) {
        const struct document *x = &d->list.v[i];
        if (!x->doc || x->state == DOC_SAME)
            continue;
        err = d->registrations ? v2_registration_put(c, &m->page, m->tenant, x->id, x->path, x->doc,
                                                     clock_now(m->job->link->clock), e)
                               : put_subscription(d, x, c, e);
    }
    return err;
}

/* --- one after the other --- */

/* States that only Orion sets are not copied: what failed or has expired is active, by its dates.
 */
static const struct json *subscription_doc(struct arena *a, const struct json *body,
                                           struct error *e)
{
    const struct json *taken = v2_sub_take(a, body, false, e);
    struct str status = json_text(json_get(taken, S("status")));
    if (!taken)
        return NULL;
    if (str_eq(status, S("failed")) || str_eq(status, S("expired"))) {
        struct json *active = ARENA_NEW(a, struct json);
        *active = json_with(a, taken, S("status"), json_v_str(S("active")));
        taken = active;
    }
    return v2_sub_check(a, taken, e) ? NULL : taken;
}

static void refused(struct documents *d, struct document *x, struct orion_counts *n,
                    const struct error *why)
{
    n->refused++;
    n->differ++;
    orion_differs(d->m, what_of(d), x->id, STR_NONE, x->path, str_c(why->text));
    x->doc = NULL;
}

static enum err look(struct documents *d, struct document *x, struct orion_counts *n,
                     struct error *e)
{
    struct error why = {0};
    n->there++;
    if (!x->path.p)
        x->path = d->registrations ? S("/") : S("/#");
    x->doc = d->registrations ? v2_registration_doc(&d->m->page, x->doc, &why)
                              : subscription_doc(&d->m->page, x->doc, &why);
    if (!x->doc) {
        refused(d, x, n, &why);
        return OK;
    }
    struct str which, hidden = json_text(json_get(v2_sub_endpoint(x->doc, &which), S("passwd")));
    if (str_eq(hidden, S(V2_HIDDEN))) {
        n->differ++;
        orion_differs(d->m, what_of(d), x->id, STR_NONE, x->path,
                      S("its MQTT password is not told: set it here"));
    }
    enum err err = compare(d, x, e);
    n->made += x->state == DOC_NEW;
    n->changed += x->state == DOC_CHANGED;
    n->same += x->state == DOC_SAME;
    return err;
}

/* What was written, read back. */
static enum err look_again(struct documents *d, struct document *x, struct orion_counts *n,
                           struct error *e)
{
    enum err err = x->doc ? compare(d, x, e) : OK;
    if (err || !x->doc || x->state == DOC_SAME)
        return err;
    n->differ++;
    orion_differs(d->m, what_of(d), x->id, STR_NONE, x->path,
                  x->state == DOC_NEW ? S("is not here") : S("differs"));
    return OK;
}

enum err orion_documents(struct migration *m, bool registrations, struct error *e)
{
    struct documents d = {.m = m, .registrations = registrations};
    struct orion_counts *n = registrations ? &m->report->registrations : &m->report->subscriptions;
    enum err err = read_path(&d, STR_NONE, e);
    if (!err)
        err = find_paths(&d, e);
    for (size_t i = 0; !err && i < d.list.n; i++)
        err = look(&d, &d.list.v[i], n, e);
    if (!err && !m->job->dry_run)
        err = store_write(m->job->link->store, put_all, &d, e);
    for (size_t i = 0; !err && i < d.list.n; i++)
        err = look_again(&d, &d.list.v[i], n, e);
    arena_reset(&m->page);
    return err;
}
