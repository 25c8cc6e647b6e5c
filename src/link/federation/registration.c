/*
 * The list of registrations in memory and its index.
 *
 * Every EntityInfo stands under its id, under each of its types, and (without an id) once more
 * under each type for those who ask by id; a RegistrationInfo without entities stands under "any".
 * So a request looks at those that may concern it and not at ten thousand others. Whoever looks
 * holds what it found and lets go of the lock: the writer thread never waits for a pattern.
 *
 * A change is put in by the thread that committed it. Other processes on the same store see its
 * version (a number that grows with each change of any registration) when they look after a commit,
 * at most HEARD_MS later.
 */
#include "core/log.h"
#include "registration_impl.h"
#include "subscription_impl.h"
#include <stdlib.h>
#include <string.h>

enum { HEARD_MS = 250, COUNTS_MS = 1000, EXPIRE_MS = 10000 };

/* --- lists --- */

static void list_insert(struct reg_list *l, size_t at, struct registration *reg)
{
    if (l->n == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 4;
        l->v = realloc(l->v, l->cap * sizeof(*l->v));
        if (!l->v)
            abort();
    }
    memmove(l->v + at + 1, l->v + at, (l->n - at) * sizeof(*l->v));
    l->v[at] = reg;
    l->n++;
}

static void list_remove(struct reg_list *l, size_t at)
{
    memmove(l->v + at, l->v + at + 1, (l->n - at - 1) * sizeof(*l->v));
    l->n--;
}

/* Where the row stands, or would stand, in a list in order of rows. */
static size_t list_place(const struct reg_list *l, int64_t rid)
{
    size_t from = 0, to = l->n;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        if (l->v[mid]->rid < rid)
            from = mid + 1;
        else
            to = mid;
    }
    return from;
}

void reg_list_release(struct reg_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        registration_let_go(l->v[i]);
    l->n = 0;
}

/* --- index --- */

struct index_entry {
    struct reg_list list; /* in order of rows */
    size_t n;
    char key[];
};

static struct str key_text(struct arena *a, char kind, struct str name)
{
    char *p = arena_alloc(a, name.n + 1);
    p[0] = kind;
    if (name.n)
        memcpy(p + 1, name.p, name.n);
    return str_n(p, name.n + 1);
}

/* Keys of a registration, each to fn, perhaps twice. */
static void each_key(const struct registration *r, struct arena *a,
                     void (*fn)(void *ctx, struct str key), void *ctx)
{
    for (size_t i = 0; i < r->n_infos; i++) {
        const struct reg_info *info = &r->infos[i];
        if (!info->n_entities)
            fn(ctx, key_text(a, 'a', STR_NONE));
        for (size_t k = 0; k < info->n_entities; k++) {
            const struct reg_entity *x = &info->entities[k];
            fn(ctx, x->id.p ? key_text(a, 'i', x->id) : key_text(a, 'n', STR_NONE));
            for (uint32_t t = 0; t < x->types->n; t++) {
                fn(ctx, key_text(a, 't', json_text(&x->types->items[t])));
                if (!x->id.p)
                    fn(ctx, key_text(a, 'o', json_text(&x->types->items[t])));
            }
        }
    }
}

struct keyed {
    struct map *index;
    struct registration *reg;
};

static void add_under(void *ctx, struct str key)
{
    struct keyed *k = ctx;
    struct index_entry *e = map_get(k->index, key);
    if (!e) {
        e = calloc(1, sizeof(*e) + key.n);
        if (!e)
            abort();
        e->n = key.n;
        memcpy(e->key, key.p, key.n);
        map_put(k->index, str_n(e->key, e->n), e);
    }
    size_t at = list_place(&e->list, k->reg->rid);
    if (at == e->list.n || e->list.v[at] != k->reg)
        list_insert(&e->list, at, k->reg);
}

static void remove_under(void *ctx, struct str key)
{
    struct keyed *k = ctx;
    struct index_entry *e = map_get(k->index, key);
    size_t at = e ? list_place(&e->list, k->reg->rid) : 0;
    if (!e || at == e->list.n || e->list.v[at] != k->reg)
        return;
    list_remove(&e->list, at);
    if (e->list.n)
        return;
    map_del(k->index, key);
    free(e->list.v);
    free(e);
}

static void index_change(struct reg_tenant *t, struct registration *reg,
                         void (*fn)(void *ctx, struct str key))
{
    struct arena a = ARENA_INIT;
    struct keyed k = {&t->index, reg};
    each_key(reg, &a, fn, &k);
    arena_release(&a);
}

/* --- tenants --- */

static struct reg_tenant *tenant_of(const struct registrations *r, int64_t tenant)
{
    struct reg_tenant *t = r->tenants;
    while (t && t->tenant != tenant)
        t = t->next;
    return t;
}

static struct reg_tenant *tenant_make(struct registrations *r, int64_t tenant)
{
    struct reg_tenant *t = tenant_of(r, tenant);
    if (t)
        return t;
    t = calloc(1, sizeof(*t));
    if (!t)
        abort();
    t->tenant = tenant;
    t->next = r->tenants;
    r->tenants = t;
    return t;
}

bool registrations_any(struct registrations *r, int64_t tenant)
{
    if (!r || !atomic_load_explicit(&r->n, memory_order_relaxed))
        return false;
    pthread_rwlock_rdlock(&r->lock);
    const struct reg_tenant *t = tenant_of(r, tenant);
    bool any = t && t->all.n > 0;
    pthread_rwlock_unlock(&r->lock);
    return any;
}

/* --- looking --- */

static void take_all(struct arena *a, const struct reg_list *from, struct reg_list *out)
{
    for (size_t i = 0; i < from->n; i++)
        *vec_push(a, out) = from->v[i];
}

static void take_key(struct arena *a, const struct reg_tenant *t, char kind, struct str name,
                     struct reg_list *out)
{
    const struct index_entry *e = map_get(&t->index, key_text(a, kind, name));
    if (e)
        take_all(a, &e->list, out);
}

static int by_row(const void *x, const void *y)
{
    const struct registration *a = *(struct registration *const *)x;
    const struct registration *b = *(struct registration *const *)y;
    return (a->rid > b->rid) - (a->rid < b->rid);
}

/* Types of which an entity must have one; false: the ask does not say. */
static bool asked_types(struct arena *a, const struct reg_ask *ask, const struct str **names,
                        size_t *n)
{
    const struct query_hint *hints;
    struct entity_query q = {.types = ask->types};
    size_t n_hints = ask->types ? query_hints(a, &q, &hints) : 0;
    *names = ask->type_names;
    *n = ask->n_type_names;
    for (size_t i = 0; i < n_hints; i++) {
        if (hints[i].kind != HINT_TYPE)
            continue;
        *names = hints[i].names;
        *n = hints[i].n_names;
        break;
    }
    return *n > 0;
}

static void collect(const struct reg_tenant *t, struct arena *a, const struct reg_ask *ask,
                    struct reg_list *out)
{
    const struct str *types;
    size_t n_types;
    bool typed = asked_types(a, ask, &types, &n_types);
    if (!ask->n_ids && !typed) {
        take_all(a, &t->all, out);
        return;
    }
    for (size_t i = 0; i < ask->n_ids; i++)
        take_key(a, t, 'i', ask->ids[i], out);
    for (size_t i = 0; typed && i < n_types; i++)
        take_key(a, t, ask->n_ids ? 'o' : 't', types[i], out);
    if (!typed)
        take_key(a, t, 'n', STR_NONE, out);
    take_key(a, t, 'a', STR_NONE, out);
}

void reg_candidates(struct registrations *r, struct arena *a, const struct reg_ask *ask,
                    struct reg_list *out)
{
    size_t n = 0;
    *out = (struct reg_list){0};
    pthread_rwlock_rdlock(&r->lock);
    const struct reg_tenant *t = tenant_of(r, ask->tenant);
    if (t)
        collect(t, a, ask, out);
    if (out->n)
        qsort(out->v, out->n, sizeof(struct registration *), by_row);
    for (size_t i = 0; i < out->n; i++)
        if (i == 0 || out->v[i] != out->v[i - 1])
            out->v[n++] = out->v[i];
    out->n = n;
    for (size_t i = 0; i < n; i++)
        registration_hold(out->v[i]);
    pthread_rwlock_unlock(&r->lock);
}

void reg_all(struct registrations *r, struct arena *a, int64_t tenant, struct reg_list *out)
{
    struct reg_ask ask = {.tenant = tenant};
    reg_candidates(r, a, &ask, out);
}

struct registration *reg_find(struct registrations *r, int64_t tenant, struct str id)
{
    pthread_rwlock_rdlock(&r->lock);
    const struct reg_tenant *t = tenant_of(r, tenant);
    struct registration *reg = t ? map_get(&t->by_id, id) : NULL;
    if (reg)
        registration_hold(reg);
    pthread_rwlock_unlock(&r->lock);
    return reg;
}

/* --- changing --- */

struct registration *reg_make(struct registrations *r, const struct reg_source *src,
                              struct reg_counts *counts, struct error *e)
{
    pthread_mutex_lock(&r->compiling);
    if (r->filling && r->filled == SLAB_SPECS) {
        sub_slab_unref(r->filling);
        r->filling = NULL;
    }
    if (!r->filling) {
        r->filling = sub_slab_new();
        r->filled = 0;
    }
    r->filled++;
    struct registration *reg = reg_compile(r->filling, src, counts, e);
    pthread_mutex_unlock(&r->compiling);
    return reg;
}

static void take_out(struct registrations *r, struct reg_tenant *t, struct registration *old)
{
    map_del(&t->by_id, old->id);
    index_change(t, old, remove_under);
    list_remove(&t->all, list_place(&t->all, old->rid));
    atomic_fetch_sub(&r->n, 1);
    registration_let_go(old);
}

void reg_put(struct registrations *r, struct registration *reg)
{
    pthread_rwlock_wrlock(&r->lock);
    struct reg_tenant *t = tenant_make(r, reg->tenant);
    struct registration *old = map_get(&t->by_id, reg->id);
    if (old && old->version >= reg->version) {
        registration_let_go(reg);
    } else {
        if (old)
            take_out(r, t, old);
        list_insert(&t->all, list_place(&t->all, reg->rid), reg);
        map_put(&t->by_id, reg->id, reg);
        index_change(t, reg, add_under);
        atomic_fetch_add(&r->n, 1);
    }
    pthread_rwlock_unlock(&r->lock);
}

void reg_drop(struct registrations *r, int64_t tenant, struct str id, int64_t version)
{
    pthread_rwlock_wrlock(&r->lock);
    struct reg_tenant *t = tenant_of(r, tenant);
    struct registration *old = t ? map_get(&t->by_id, id) : NULL;
    if (old && old->version < version)
        take_out(r, t, old);
    pthread_rwlock_unlock(&r->lock);
}

/* --- counters --- */

void registration_asked(struct registrations *r, struct registration *reg, bool ok, int64_t now)
{
    struct reg_counts *c = reg->counts;
    atomic_fetch_add(&c->sent, 1);
    if (!ok)
        atomic_fetch_add(&c->failed, 1);
    atomic_store(ok ? &c->last_success : &c->last_failure, now);
    if (atomic_exchange(&c->moved, true))
        return;
    atomic_fetch_add(&c->refs, 1);
    pthread_mutex_lock(&r->moved_lock);
    c->next = r->moved;
    r->moved = c;
    pthread_mutex_unlock(&r->moved_lock);
}

/* --- the jobs --- */

static void count_job(void *ctx)
{
    struct error e = {0};
    if (reg_flush_counts(ctx, &e))
        log_event(LOG_WARN, "link.registration_counters", LOG_Z("error", e.text));
}

static const char duty[] = "registrations";

static void expire_job(void *ctx)
{
    struct registrations *r = ctx;
    if (store_duty(r->link->store, duty))
        reg_expire(r);
}

static void heard(void *ctx)
{
    struct registrations *r = ctx;
    atomic_store(&r->changed, true);
}

static void follow_job(void *ctx)
{
    struct registrations *r = ctx;
    struct error e = {0};
    if (!atomic_exchange(&r->changed, false) || !reg_follow(r, &e))
        return;
    atomic_store(&r->changed, true);
    log_event(LOG_WARN, "link.registrations_unreadable", LOG_Z("error", e.text));
}

static void begin(struct registrations *r)
{
    struct link *l = r->link;
    r->started = true;
    store_duty(l->store, duty); /* enter for it */
    pool_every(l->pool, COUNTS_MS, count_job, r);
    pool_every(l->pool, EXPIRE_MS, expire_job, r);
    if (!r->shared)
        return;
    journal_listen(l->store, heard, r);
    pool_every(l->pool, HEARD_MS, follow_job, r);
}

static void end(struct registrations *r)
{
    struct link *l = r->link;
    if (r->shared) {
        pool_never(l->pool, follow_job, r);
        journal_unlisten(l->store, heard, r);
    }
    pool_never(l->pool, expire_job, r);
    pool_never(l->pool, count_job, r);
    count_job(r);
}

struct registrations *registrations_new(struct link *l, struct error *e)
{
    struct registrations *r = calloc(1, sizeof(*r));
    if (!r)
        abort();
    r->link = l;
    r->shared = str_eq(str_c(store_engine(l->store)), S("postgres"));
    pthread_rwlock_init(&r->lock, NULL);
    pthread_mutex_init(&r->moved_lock, NULL);
    pthread_mutex_init(&r->compiling, NULL);
    if (reg_load(r, e)) {
        registrations_free(r);
        return NULL;
    }
    if (l->pool)
        begin(r);
    return r;
}

static void tenant_free(struct reg_tenant *t)
{
    struct map_iter it = {0};
    while (map_next(&t->index, &it)) {
        struct index_entry *e = it.value;
        free(e->list.v);
        free(e);
    }
    map_release(&t->index);
    map_release(&t->by_id);
    for (size_t i = 0; i < t->all.n; i++)
        registration_let_go(t->all.v[i]);
    free(t->all.v);
    free(t);
}

void registrations_free(struct registrations *r)
{
    if (!r)
        return;
    if (r->started)
        end(r);
    while (r->tenants) {
        struct reg_tenant *next = r->tenants->next;
        tenant_free(r->tenants);
        r->tenants = next;
    }
    while (r->moved) {
        struct reg_counts *next = r->moved->next;
        reg_counts_unref(r->moved);
        r->moved = next;
    }
    if (r->filling)
        sub_slab_unref(r->filling);
    pthread_mutex_destroy(&r->compiling);
    pthread_mutex_destroy(&r->moved_lock);
    pthread_rwlock_destroy(&r->lock);
    free(r);
}
