/*
 * Copies of subscriptions at sources, kept in step by one task at a time.
 *
 * tick (pool, twice a second) -> is there anything new? -> pass: read all of one tenant, compare,
 * write new rows, send -> settled (pool): write down what came of it -> next tick
 *
 * Of several processes on one store one has the duty. Who gets it looks at everything; that a
 * subscription was written by another one is heard with the hint that this gives.
 */
#include "distribute_subscription.h"

#include "core/log.h"
#include "crypto/hash.h"
#include "forward.h"
#include "registration_impl.h"
#include "subscription_impl.h"
#include <stdio.h>
#include <stdlib.h>

enum { TICK_MS = 500, IDLE_TICKS = 20, JOBS_MAX = 32, TRIES_MAX = 100, VIA_MAX = 2000 };
enum { COPY_WANTED, COPY_MADE, COPY_REFUSED };

#define SUBSCRIPTIONS "/ngsi-ld/v1/subscriptions"

struct remote_subs {
    struct link *link;
    pthread_mutex_t lock;
    pthread_cond_t quiet;
    bool dirty, busy, pending; /* pending: some copy is not as it should be */
    bool strange;              /* another process may have written what base is */
    int64_t term;              /* of the duty, 0: another process has it */
    int64_t seen;              /* change of registrations that was looked at */
    unsigned ticks;
    size_t turn;    /* tenant that is looked at first */
    char base[256]; /* how sources reach us; "": not known yet */
};

/* A copy, as in its row. */
struct copy {
    struct str token, sub, reg, remote, endpoint, tenant_there;
    int64_t state, modified, tries, v; /* modified, v: of the subscription and the registration
                                          that the source was told or refused last */
    bool wanted;
};

struct job {
    enum { JOB_MAKE, JOB_CHANGE, JOB_REMOVE } kind;
    struct copy *copy;
    struct registration *reg; /* held, or a stand-in for one that is gone */
    bool held, fresh;         /* fresh: the row is new */
    int64_t modified;         /* of the subscription that is sent */
};

struct pass {
    struct remote_subs *w;
    struct arena arena;
    int64_t tenant;
    struct str tenant_name;
    VEC(struct copy *) copies;
    VEC(struct job) jobs;
    VEC(struct copy *) forgotten; /* sources that cannot delete */
    struct forward *f;
    char base[256];
    struct error error;
};

/* A subscription as read. */
struct wanted {
    struct str id, via;
    const struct json *doc, *context;
    int64_t modified;
};

/* --- what there is --- */

static void read_copies(struct store_conn *c, struct pass *p)
{
    struct arena *a = &p->arena;
    struct store_rows r;
    store_query(c, &r,
                "SELECT token, sub, reg, remote, endpoint, tenant_there, state, modified, tries, v"
                " FROM sub_remote WHERE tenant = $1 ORDER BY sub, reg",
                SV(SV_INT(p->tenant)));
    while (store_next(&r)) {
        struct copy *k = ARENA_NEW(a, struct copy);
        *k = (struct copy){.token = str_dup(a, store_text(&r, 0)),
                           .sub = str_dup(a, store_text(&r, 1)),
                           .reg = str_dup(a, store_text(&r, 2)),
                           .remote = str_dup(a, store_text(&r, 3)),
                           .endpoint = str_dup(a, store_text(&r, 4)),
                           .tenant_there = str_dup(a, store_text(&r, 5)),
                           .state = store_int(&r, 6),
                           .modified = store_int(&r, 7),
                           .tries = store_int(&r, 8),
                           .v = store_int(&r, 9)};
        *vec_push(a, &p->copies) = k;
    }
    store_end(&r, &p->error);
}

static struct copy *copy_of(const struct pass *p, struct str sub, struct str reg)
{
    for (size_t i = 0; i < p->copies.n; i++)
        if (str_eq(p->copies.v[i]->sub, sub) && str_eq(p->copies.v[i]->reg, reg))
            return p->copies.v[i];
    return NULL;
}

/* --- what is sent --- */

/* A local path of a context as others reach it. */
static struct json absolute(struct arena *a, const char *base, const struct json *v)
{
    if (json_is(v, JSON_STRING) && str_starts(json_text(v), S("/")))
        return json_v_str(str_concat(a, str_c(base), json_text(v)));
    if (!json_is(v, JSON_ARRAY))
        return *v;
    struct json *items = ARENA_ARRAY(a, struct json, v->n ? v->n : 1);
    for (uint32_t i = 0; i < v->n; i++)
        items[i] = absolute(a, base, &v->items[i]);
    return json_v_array(items, v->n);
}

bool remote_sub_splits(const struct link *l, const struct json *doc)
{
    const struct json *split = json_get(doc, S("splitEntities"));
    return split ? json_true(split) : l->options.split_entities;
}

static struct json notification_of(struct pass *p, const struct json *shown, const struct copy *k,
                                   bool split)
{
    const char *kept = split ? "sysAttrs showChanges" : "attributes pick omit sysAttrs showChanges";
    struct arena *a = &p->arena;
    VEC(struct json_member) out = VEC_INIT;
    struct json_member *m = ARENA_ARRAY(a, struct json_member, 2);
    for (uint32_t i = 0; json_is(shown, JSON_OBJECT) && i < shown->n; i++)
        if (api_among(str_c(kept), json_key(&shown->members[i])))
            *vec_push(a, &out) = shown->members[i];
    m[0] = json_m(S("uri"), json_v_str(str_printf(a, "%s/federation/notified/%" STR_F, p->base,
                                                  STR_A(k->token))));
    m[1] = json_m(S("accept"), json_v_str(S("application/ld+json")));
    *vec_push(a, &out) = json_m(S("format"), json_v_str(S("normalized")));
    *vec_push(a, &out) = json_m(S("endpoint"), json_v_object(m, 2));
    return json_v_object(out.v, out.n);
}

/* The copy: what decides when there is something to tell, in the names of the subscription's own
 * context, because its q is written in them. How it is told to the subscriber stays here. */
static struct str body_of(struct pass *p, const struct wanted *s, const struct copy *k, bool change)
{
    static const char always[] = "type entities watchedAttributes notificationTrigger "
                                 "timeInterval expiresAt isActive lang datasetId";
    static const struct str conditions[] = {S_INIT("q"), S_INIT("geoQ"), S_INIT("scopeQ")};
    bool split = remote_sub_splits(p->w->link, s->doc);
    struct arena *a = &p->arena;
    const struct ld_context *ctx = ld_core();
    struct str missing;
    struct sub_counters none = {0};
    struct buf text = BUF_INIT;
    if (ld_context_get(p->w->link->contexts, a, s->context, &ctx, &missing, NULL))
        ctx = ld_core();
    sub_write(&text, a, s->doc, &none, "active", ctx, false, false, 0, 0);
    const struct json *shown = json_parse(a, buf_dup(&text, a), &JSON_DEFAULT, NULL);
    buf_release(&text);
    VEC(struct json_member) out = VEC_INIT;
    *vec_push(a, &out) = json_m(S("@context"), absolute(a, p->base, ld_context_json(ctx)));
    *vec_push(a, &out) = json_m(S("id"), json_v_str(k->remote));
    for (uint32_t i = 0; json_is(shown, JSON_OBJECT) && i < shown->n; i++)
        if (api_among(S(always), json_key(&shown->members[i])))
            *vec_push(a, &out) = shown->members[i];
    for (size_t i = 0; i < sizeof(conditions) / sizeof(conditions[0]); i++) {
        const struct json *v = split ? NULL : json_get(shown, conditions[i]);
        if (v)
            *vec_push(a, &out) = json_m(conditions[i], *v);
        else if (change) /* it may have had one before */
            *vec_push(a, &out) = json_m(conditions[i], json_v_str(S("urn:ngsi-ld:null")));
    }
    *vec_push(a, &out) = json_m(S("jsonldContext"), json_v_str(S(LD_CORE_URL)));
    *vec_push(a, &out) =
        json_m(S("notification"), notification_of(p, json_get(shown, S("notification")), k, split));
    struct json body = json_v_object(out.v, out.n);
    return json_to_text(a, &body);
}

static void add_job(struct pass *p, struct job j, const struct wanted *s)
{
    struct arena *a = &p->arena;
    struct str path = str_concat(a, S(SUBSCRIPTIONS "/"), api_segment(a, j.copy->remote));
    struct forward f = {.reg = j.reg, .target = path, .with_context = true};
    if (j.kind == JOB_REMOVE) {
        f.method = "DELETE";
    } else {
        f.method = j.kind == JOB_MAKE ? "POST" : "PATCH";
        f.target = j.kind == JOB_MAKE ? S(SUBSCRIPTIONS) : path;
        f.body = body_of(p, s, j.copy, j.kind == JOB_CHANGE);
        f.via = s->via;
        j.modified = s->modified;
    }
    p->f[p->jobs.n] = f;
    *vec_push(a, &p->jobs) = j;
    if (j.held)
        registration_hold(j.reg);
}

/* --- what there should be --- */

static void take_names(struct arena *a, const struct json *list, const struct str **v, size_t *n)
{
    VEC(struct str) out = VEC_INIT;
    for (uint32_t i = 0; json_is(list, JSON_ARRAY) && i < list->n; i++)
        *vec_push(a, &out) = json_text(&list->items[i]);
    *v = out.v;
    *n = out.n;
}

static bool is_active(const struct pass *p, const struct json *doc)
{
    int64_t expires;
    const struct json *active = json_get(doc, S("isActive"));
    if (json_is(active, JSON_FALSE) || json_true(json_get(doc, S("localOnly"))))
        return false;
    return !datetime_parse(json_text(json_get(doc, S("expiresAt"))), &expires) ||
           expires > clock_now(p->w->link->clock);
}

/* One copy at one source. */
static void want(struct pass *p, const struct wanted *s, struct registration *reg)
{
    struct arena *a = &p->arena;
    struct copy *k = copy_of(p, s->id, reg->id);
    bool fresh = !k;
    if (k && (k->wanted || !str_eq(k->endpoint, reg->endpoint)))
        return; /* one that moved is removed there first */
    if (!k) {
        if (p->jobs.n >= JOBS_MAX)
            return;
        k = ARENA_NEW(a, struct copy);
        *k = (struct copy){.token = random_token(a, 24),
                           .sub = s->id,
                           .reg = reg->id,
                           .remote = str_concat(a, S("urn:ngsi-ld:Subscription:"), uuid_v4(a)),
                           .endpoint = str_dup(a, reg->endpoint),
                           .tenant_there = str_dup(a, reg->remote_tenant)};
        k->reg = str_dup(a, reg->id);
        *vec_push(a, &p->copies) = k;
    }
    k->wanted = true;
    struct job j = {.copy = k, .reg = reg, .held = true, .fresh = fresh};
    bool tired = clock_steady(p->w->link->clock) < atomic_load(&reg->not_before);
    if (k->state == COPY_MADE && k->modified != s->modified && k->modified)
        j.kind = (reg->operations & REG_UPDATE_SUBSCRIPTION) ? JOB_CHANGE : JOB_REMOVE;
    else if (k->state == COPY_MADE)
        return;
    else if (k->state == COPY_REFUSED && k->modified == s->modified && k->v == reg->version)
        return;
    if (p->jobs.n < JOBS_MAX && (!tired || fresh))
        add_job(p, j, s);
}

/* Which sources its owner wants to hear of; NULL: all. */
static const struct query_node *csf_of(struct pass *p, const struct wanted *s)
{
    struct arena *a = &p->arena;
    const struct ld_context *ctx = ld_core();
    struct str missing, csf = json_text(json_get(s->doc, S("csf")));
    if (ld_context_get(p->w->link->contexts, a, s->context, &ctx, &missing, NULL))
        ctx = ld_core();
    return csf.n ? query_parse_q(a, csf, ctx, NULL, 0, &QUERY_DEFAULT, &p->error) : NULL;
}

static void compare(struct pass *p, const struct wanted *s)
{
    struct link *l = p->w->link;
    const struct json *entities = json_get(s->doc, S("entities"));
    uint32_t n = json_is(entities, JSON_ARRAY) && entities->n ? entities->n : 1;
    const struct query_node *csf = csf_of(p, s);
    for (uint32_t i = 0; i < n && is_active(p, s->doc); i++) {
        const struct json *sel = json_is(entities, JSON_ARRAY) ? json_at(entities, i) : NULL;
        struct reg_parts parts;
        struct reg_ask ask = {.tenant = p->tenant,
                              .op = REG_CREATE_SUBSCRIPTION,
                              .via = s->via,
                              .now = clock_now(l->clock)};
        struct str type = json_text(json_get(sel, S("type")));
        const struct json *id = json_get(sel, S("id"));
        struct str single = json_text(id);
        if (type.n && !str_eq(type, S("*")))
            ask.types = query_parse_types(&p->arena, type, ld_core(), &QUERY_DEFAULT, &p->error);
        if (json_is(id, JSON_ARRAY)) {
            take_names(&p->arena, id, &ask.ids, &ask.n_ids);
        } else if (single.n) {
            ask.ids = &single;
            ask.n_ids = 1;
        }
        ask.id_pattern = json_text(json_get(sel, S("idPattern")));
        take_names(&p->arena, json_get(s->doc, S("watchedAttributes")), &ask.attrs, &ask.n_attrs);
        ask.csf = csf;
        if (registrations_match(l->registrations, &p->arena, &ask, &parts, &p->error))
            continue;
        for (size_t k = 0; k < parts.n; k++)
            if (parts.v[k].supported && parts.v[k].reg->mode != REG_AUXILIARY)
                want(p, s, parts.v[k].reg);
        registrations_release(&parts);
    }
    if (csf)
        query_q_release(csf);
}

static void read_wanted(struct store_conn *c, struct pass *p)
{
    struct arena *a = &p->arena;
    struct store_rows r;
    VEC(struct wanted) all = VEC_INIT;
    store_query(c, &r,
                "SELECT s.id, s.doc, s.context, s.modified, v.via FROM subscription s"
                " LEFT JOIN sub_via v ON v.tenant = s.tenant AND v.sub = s.id"
                " WHERE s.tenant = $1 AND s.service_path IS NULL ORDER BY s.sid",
                SV(SV_INT(p->tenant)));
    while (store_next(&r)) {
        struct wanted *s = vec_push(a, &all);
        s->id = str_dup(a, store_text(&r, 0));
        s->doc = json_parse(a, str_dup(a, store_text(&r, 1)), &JSON_DEFAULT, NULL);
        s->context = json_parse(a, str_dup(a, store_text(&r, 2)), &JSON_DEFAULT, NULL);
        s->modified = store_int(&r, 3);
        s->via = str_dup(a, store_text(&r, 4));
    }
    store_end(&r, &p->error);
    for (size_t i = 0; i < all.n; i++)
        if (all.v[i].doc)
            compare(p, &all.v[i]);
}

/* What nobody wants any more; its registration may be gone too. */
static void remove_rest(struct pass *p)
{
    struct link *l = p->w->link;
    for (size_t i = 0; i < p->copies.n && p->jobs.n < JOBS_MAX; i++) {
        struct copy *k = p->copies.v[i];
        if (k->wanted)
            continue;
        struct registration *reg = reg_find(l->registrations, p->tenant, k->reg);
        if (reg && !str_eq(reg->endpoint, k->endpoint)) {
            registration_let_go(reg);
            reg = NULL;
        }
        if (reg && !(reg->operations & REG_DELETE_SUBSCRIPTION)) {
            *vec_push(&p->arena, &p->forgotten) = k;
            registration_let_go(reg);
            continue;
        }
        struct job j = {.kind = JOB_REMOVE, .copy = k, .reg = reg, .held = reg != NULL};
        if (!reg) {
            j.reg = ARENA_NEW(&p->arena, struct registration);
            j.reg->id = k->reg;
            j.reg->endpoint = k->endpoint;
            j.reg->remote_tenant = k->tenant_there;
        }
        add_job(p, j, NULL);
        if (reg)
            registration_let_go(reg);
    }
}

/* --- rows --- */

static enum err forget(struct store_conn *c, const struct copy *k, struct error *e)
{
    return store_exec(c, "DELETE FROM sub_remote WHERE token = $1", SV(SV_TEXT(k->token)), NULL, e);
}

static enum err write_new(struct store_conn *c, void *ctx, struct error *e)
{
    struct pass *p = ctx;
    for (size_t i = 0; i < p->jobs.n; i++) {
        const struct copy *k = p->jobs.v[i].copy;
        if (p->jobs.v[i].fresh &&
            store_exec(c,
                       "INSERT INTO sub_remote(token, tenant, sub, reg, remote, endpoint,"
                       " tenant_there, state, modified, tries, v)"
                       " VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, 0, 0)",
                       SV(SV_TEXT(k->token), SV_INT(p->tenant), SV_TEXT(k->sub), SV_TEXT(k->reg),
                          SV_TEXT(k->remote), SV_TEXT(k->endpoint),
                          SV_TEXT(k->tenant_there.p ? k->tenant_there : S(""))),
                       NULL, e))
            return e->code;
    }
    for (size_t i = 0; i < p->forgotten.n; i++)
        if (forget(c, p->forgotten.v[i], e))
            return e->code;
    return OK;
}

static enum err write_state(struct store_conn *c, const struct job *j, int64_t state,
                            int64_t modified, int64_t tries, struct error *e)
{
    return store_exec(c,
                      "UPDATE sub_remote SET state = $1, modified = $2, tries = $3, v = $4"
                      " WHERE token = $5",
                      SV(SV_INT(state), SV_INT(modified), SV_INT(tries), SV_INT(j->reg->version),
                         SV_TEXT(j->copy->token)),
                      NULL, e);
}

static enum err write_outcome(struct store_conn *c, const struct job *j, const struct forward *f,
                              struct error *e)
{
    const struct copy *k = j->copy;
    bool ok = f->status >= 200 && f->status < 300;
    bool gone = f->status == 404 || f->status == 410;
    if (j->kind == JOB_REMOVE && (ok || gone || k->tries > TRIES_MAX || k->state != COPY_MADE))
        return forget(c, k, e);
    if (j->kind == JOB_MAKE && (ok || f->status == 409))
        return write_state(c, j, COPY_MADE, j->modified, 0, e);
    if (j->kind == JOB_CHANGE && ok)
        return write_state(c, j, COPY_MADE, j->modified, 0, e);
    if (j->kind == JOB_CHANGE && gone)
        return write_state(c, j, COPY_WANTED, 0, 0, e);
    /* what the source will never take is tried again when one of both has changed */
    bool refused = j->kind == JOB_MAKE && f->status >= 400 && f->status != 429 &&
                   (f->status < 500 || f->status == 501 || f->status == 508);
    return refused ? write_state(c, j, COPY_REFUSED, j->modified, 0, e)
                   : write_state(c, j, k->state, k->modified, k->tries + 1, e);
}

static enum err write_outcomes(struct store_conn *c, void *ctx, struct error *e)
{
    struct pass *p = ctx;
    for (size_t i = 0; i < p->jobs.n; i++)
        if (write_outcome(c, &p->jobs.v[i], &p->f[i], e))
            return e->code;
    return OK;
}

/* --- a pass --- */

static void end_pass(struct pass *p, bool again)
{
    struct remote_subs *w = p->w;
    for (size_t i = 0; i < p->jobs.n; i++)
        if (p->jobs.v[i].held)
            registration_let_go(p->jobs.v[i].reg);
    if (p->error.code)
        log_event(LOG_WARN, "link.remote_subscriptions", LOG_Z("error", p->error.text));
    arena_release(&p->arena);
    free(p);
    pthread_mutex_lock(&w->lock);
    w->busy = false;
    w->dirty = w->dirty || again;
    pthread_cond_broadcast(&w->quiet);
    pthread_mutex_unlock(&w->lock);
}

static void settled(void *ctx)
{
    struct pass *p = ctx;
    struct remote_subs *w = p->w;
    bool failed = false, full = p->jobs.n >= JOBS_MAX;
    for (size_t i = 0; i < p->jobs.n; i++)
        failed = failed || p->f[i].status < 200 || p->f[i].status >= 300;
    store_write(w->link->store, write_outcomes, p, &p->error);
    pthread_mutex_lock(&w->lock);
    w->pending = w->pending || failed;
    pthread_mutex_unlock(&w->lock);
    end_pass(p, full || !failed); /* another look finds the next tenant, or nothing */
}

static void sent(void *ctx)
{
    struct pass *p = ctx;
    if (pool_submit(p->w->link->pool, settled, p))
        end_pass(p, true); /* asked again: a copy that is there already is as good */
}

static bool prepare(struct pass *p)
{
    struct link *l = p->w->link;
    struct store_conn *c = store_read(l->store, &p->error);
    if (!c)
        return false;
    p->f = ARENA_ARRAY(&p->arena, struct forward, JOBS_MAX);
    read_copies(c, p);
    if (registrations_any(l->registrations, p->tenant))
        read_wanted(c, p);
    store_read_done(c);
    remove_rest(p);
    return (p->jobs.n || p->forgotten.n) && !store_write(l->store, write_new, p, &p->error);
}

struct tenants {
    struct arena *arena;
    VEC(struct str) names;
    VEC(int64_t) numbers;
};

static bool take_tenant(void *ctx, int64_t n, struct str name)
{
    struct tenants *t = ctx;
    *vec_push(t->arena, &t->names) = str_dup(t->arena, name);
    *vec_push(t->arena, &t->numbers) = n;
    return true;
}

/* The next tenant with something to do. */
static void look(struct remote_subs *w, const char *base)
{
    struct arena a = ARENA_INIT;
    struct tenants t = {.arena = &a};
    struct error e = {0};
    struct store_conn *c = store_read(w->link->store, &e);
    if (c) {
        repo_tenants(c, take_tenant, &t, &e);
        store_read_done(c);
    }
    for (size_t i = 0; i < t.names.n; i++) {
        size_t at = (w->turn + i) % t.names.n;
        struct pass *p = calloc(1, sizeof(*p));
        if (!p)
            abort();
        p->w = w;
        snprintf(p->base, sizeof(p->base), "%s", base);
        p->tenant = t.numbers.v[at];
        p->tenant_name = str_dup(&p->arena, t.names.v[at]);
        if (!prepare(p)) {
            arena_release(&p->arena);
            free(p);
            continue;
        }
        struct forward_cause cause = {.tenant = p->tenant_name};
        w->turn = at + 1;
        arena_release(&a);
        forward_start(w->link, &p->arena, &cause, p->f, p->jobs.n, sent, p);
        return;
    }
    arena_release(&a);
    pthread_mutex_lock(&w->lock);
    w->busy = false;
    pthread_cond_broadcast(&w->quiet);
    pthread_mutex_unlock(&w->lock);
}

static const char duty[] = "distribution";

static void load_base(struct remote_subs *w)
{
    struct store_rows r;
    struct error e = {0};
    const char *set = w->link->options.public_url;
    struct store_conn *c = set[0] ? NULL : store_read(w->link->store, &e);
    char base[sizeof(w->base)] = "";
    snprintf(base, sizeof(base), "%s", set);
    if (c) {
        store_query(c, &r, "SELECT value FROM link_note WHERE name = 'base'", SV_EMPTY);
        if (store_next(&r))
            snprintf(base, sizeof(base), "%" STR_F, STR_A(store_text(&r, 0)));
        store_end(&r, &e);
        store_read_done(c);
    }
    pthread_mutex_lock(&w->lock);
    if (base[0])
        snprintf(w->base, sizeof(w->base), "%s", base);
    pthread_mutex_unlock(&w->lock);
}

/* Is it ours to do? */
static bool on_duty(struct remote_subs *w)
{
    int64_t term = store_duty(w->link->store, duty);
    pthread_mutex_lock(&w->lock);
    bool strange = term && (w->strange || term != w->term);
    if (term != w->term)
        w->dirty = true;
    if (strange)
        w->strange = false;
    w->term = term;
    pthread_mutex_unlock(&w->lock);
    if (strange)
        load_base(w);
    return term != 0;
}

static int64_t newest_registration(struct remote_subs *w)
{
    int64_t v = 0;
    struct error e = {0};
    if (!w->seen && !atomic_load(&w->link->registrations->n))
        return 0;
    struct store_conn *c = store_read(w->link->store, &e);
    if (!c)
        return w->seen;
    if (store_get_int(c, &v, "SELECT COALESCE(MAX(v), 0) FROM registration", SV_EMPTY, &e))
        v = w->seen;
    store_read_done(c);
    return v;
}

static void tick(void *ctx)
{
    struct remote_subs *w = ctx;
    char base[sizeof(w->base)];
    if (!on_duty(w))
        return;
    int64_t newest = newest_registration(w);
    pthread_mutex_lock(&w->lock);
    snprintf(base, sizeof(base), "%s", w->base);
    bool due = w->dirty || newest != w->seen || (w->pending && ++w->ticks >= IDLE_TICKS);
    bool go = due && !w->busy && w->base[0];
    if (go) {
        w->busy = true;
        w->dirty = w->pending = false;
        w->ticks = 0;
        w->seen = newest;
    }
    pthread_mutex_unlock(&w->lock);
    if (go)
        look(w, base);
}

/* --- opening, closing, hints --- */

static enum err keep_base(struct store_conn *c, void *ctx, struct error *e)
{
    return store_exec(c,
                      "INSERT INTO link_note(name, value) VALUES ('base', $1)"
                      " ON CONFLICT(name) DO UPDATE SET value = excluded.value",
                      SV(SV_TEXT(str_c(ctx))), NULL, e);
}

static void save_base(void *ctx)
{
    struct remote_subs *w = ctx;
    struct error e = {0};
    char base[sizeof(w->base)];
    pthread_mutex_lock(&w->lock);
    snprintf(base, sizeof(base), "%s", w->base);
    pthread_mutex_unlock(&w->lock);
    store_write(w->link->store, keep_base, base, &e);
}

void remote_subs_poke(struct api *c)
{
    struct remote_subs *w = c->link->remote_subs;
    bool news = false;
    if (!w)
        return;
    struct str base = api_base_url(c);
    pthread_mutex_lock(&w->lock);
    w->dirty = true;
    if (!c->link->options.public_url[0] && base.n && base.n < sizeof(w->base) &&
        !str_eq(base, str_c(w->base))) {
        snprintf(w->base, sizeof(w->base), "%" STR_F, STR_A(base));
        news = true;
    }
    pthread_mutex_unlock(&w->lock);
    if (news)
        pool_submit(c->link->pool, save_base, w); /* not kept: the next one will be */
}

enum err remote_subs_via(struct store_conn *conn, struct api *c, int64_t tenant, struct str id,
                         struct error *e)
{
    struct str via = request_header_all(c->req, "Via");
    if (!via.n || via.n > VIA_MAX)
        return OK;
    return store_exec(conn,
                      "INSERT INTO sub_via(tenant, sub, via) VALUES ($1, $2, $3)"
                      " ON CONFLICT(tenant, sub) DO UPDATE SET via = excluded.via",
                      SV(SV_INT(tenant), SV_TEXT(id), SV_TEXT(via)), NULL, e);
}

/* On a thread of the store. */
static void heard(void *ctx, struct str key)
{
    struct remote_subs *w = ctx;
    (void)key;
    pthread_mutex_lock(&w->lock);
    w->dirty = w->strange = true;
    pthread_mutex_unlock(&w->lock);
}

struct remote_subs *remote_subs_new(struct link *l)
{
    struct remote_subs *w = calloc(1, sizeof(*w));
    if (!w)
        abort();
    w->link = l;
    w->pending = w->dirty = true;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->quiet, NULL);
    load_base(w);
    store_heed(l->store, sub_topic, heard, w);
    store_duty(l->store, duty); /* enter for it */
    pool_every(l->pool, TICK_MS, tick, w);
    return w;
}

void remote_subs_free(struct remote_subs *w)
{
    if (!w)
        return;
    pool_never(w->link->pool, tick, w);
    store_unheed(w->link->store, heard, w);
    pthread_mutex_lock(&w->lock);
    while (w->busy)
        pthread_cond_wait(&w->quiet, &w->lock);
    pthread_mutex_unlock(&w->lock);
    pthread_cond_destroy(&w->quiet);
    pthread_mutex_destroy(&w->lock);
    free(w);
}
