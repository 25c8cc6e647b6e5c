/*
 * Keys and policies as they are now: an immutable set that is replaced as a whole.
 *
 * Whoever decides takes the pointer to the set of this moment. A change of keys or policies is
 * committed, then a new set is loaded and put in place, so that the next request and the next
 * notification see it. Other processes on the same database notice by the revision, which they look
 * at four times a second. A replaced set is freed ACCESS_GRACE_S later, when no request, journal
 * row or chunk can hold a view of it any more.
 */
#include "access_impl.h"
#include "core/log.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WATCH_MS = 250, FLUSH_MS = 10000, COUNT_MS = 60000 };

/* --- looking up --- */

const struct access_set *access_now(const struct access *x)
{
    return atomic_load_explicit(&x->set, memory_order_acquire);
}

static struct str number_key(char out[24], int64_t n)
{
    return str_n(out, (size_t)snprintf(out, 24, "%lld", (long long)n));
}

const struct access_tenant *access_tenant(const struct access_set *s, int64_t n)
{
    char key[24];
    return map_get(&s->tenants, number_key(key, n));
}

const struct access_key *access_key_numbered(const struct access_set *s, int64_t n)
{
    char key[24];
    return map_get(&s->keys_by_number, number_key(key, n));
}

const struct access_key *access_key_named(const struct access_set *s, int64_t tenant,
                                          struct str name)
{
    struct arena a = ARENA_INIT;
    struct str key = str_printf(&a, "%lld %" STR_F, (long long)tenant, STR_A(name));
    const struct access_key *k = map_get(&s->keys_by_name, key);
    arena_release(&a);
    return k;
}

struct access_use *access_use_of(struct access *x, char kind, int64_t n)
{
    char key[40];
    struct str name = str_n(key, (size_t)snprintf(key, sizeof(key), "%c %lld", kind, (long long)n));
    pthread_mutex_lock(&x->lock);
    struct access_use *u = map_get(&x->uses, name);
    if (!u) {
        u = calloc(1, sizeof(*u));
        if (!u)
            abort();
        memcpy(u->key, key, sizeof(key));
        atomic_store(&u->entities, -1);
        map_put(&x->uses, str_c(u->key), u);
    }
    pthread_mutex_unlock(&x->lock);
    return u;
}

void access_learn(struct access *x, int64_t tenant, int64_t of)
{
    char text[24];
    struct str key = number_key(text, tenant);
    if (!x)
        return;
    pthread_mutex_lock(&x->lock);
    if (!map_get(&x->spaces, key)) {
        int64_t *kept = ARENA_NEW(&x->spaces_arena, int64_t);
        *kept = of;
        map_put(&x->spaces, str_dup(&x->spaces_arena, key), kept);
    }
    pthread_mutex_unlock(&x->lock);
}

/*
 * Whose policies hold in a tenant: in the space of a snapshot those of the tenant that was copied.
 * A tenant that was made after the set was loaded is looked up once.
 */
static int64_t policies_of(struct access *x, const struct access_set *s, int64_t tenant)
{
    const struct access_tenant *t = access_tenant(s, tenant);
    char text[24];
    struct str key = number_key(text, tenant);
    int64_t of = tenant;
    if (t || tenant <= 1)
        return t ? t->of : tenant;
    pthread_mutex_lock(&x->lock);
    const int64_t *known = map_get(&x->spaces, key);
    if (known)
        of = *known;
    pthread_mutex_unlock(&x->lock);
    if (known)
        return of;
    struct error e;
    struct store_conn *c = store_read(x->link->store, &e);
    enum err err = c ? store_get_int(c, &of,
                                     "SELECT coalesce(s.tenant, t.n) FROM tenant t"
                                     " LEFT JOIN snapshot s ON s.space = t.name WHERE t.n = $1",
                                     SV(SV_INT(tenant)), &e)
                     : e.code;
    if (c)
        store_read_done(c);
    if (err) /* not committed yet, or gone */
        return err == ERR_NOT_FOUND ? tenant : 0;
    access_learn(x, tenant, of);
    return of;
}

/* --- who asks --- */

const struct access_who *access_asks(const struct request *req)
{
    static const struct access_who public = {.kind = WHO_PUBLIC};
    return req->identity ? req->identity : &public;
}

#define KEY_PREFIX "mk_"

static struct str shown_key(const struct request *req)
{
    static const char *const headers[] = {"X-API-Key", "X-Auth-Token"};
    struct str sent = request_header(req, "Authorization");
    if (str_eq_nocase(str_sub(sent, 0, 7), S("Bearer ")))
        sent = str_trim(str_from(sent, 7));
    for (size_t i = 0; i < 2 && !str_starts(sent, S(KEY_PREFIX)); i++)
        sent = request_header(req, headers[i]);
    return str_starts(sent, S(KEY_PREFIX)) ? sent : STR_NONE;
}

static bool key_works(const struct access_key *k, int64_t now)
{
    return !k->revoked && (!k->expires || now < k->expires);
}

/* The digest finds the key; what is compared then is compared in constant time. */
enum err access_identify(struct access *x, const struct request *req, struct access_who *who,
                         struct error *e)
{
    struct str sent = shown_key(req);
    if (!sent.p)
        return OK;
    struct hash digest = hash_sha256(sent);
    struct str bytes = str_n((const char *)digest.b, HASH_BYTES);
    const struct access_key *k = map_get(&access_now(x)->keys_by_hash, bytes);
    int64_t now = clock_now(x->link->clock);
    if (!k || !bytes_equal(bytes, str_n((const char *)k->hash.b, HASH_BYTES)) || !key_works(k, now))
        return error_set(e, ERR_UNAUTHENTICATED,
                         "the key is not known, was revoked or has expired");
    atomic_store(&k->use->used_at, now);
    *who =
        (struct access_who){.kind = WHO_KEY, .key = k->n, .actor = str_dup(req->arena, k->actor)};
    return OK;
}

void access_identify_named(struct access *x, const struct request *req, const struct str *names,
                           size_t n, struct access_who *who)
{
    const struct access_set *s = access_now(x);
    int64_t now = clock_now(x->link->clock), tenant = access_tenant_asked(x, req);
    for (size_t i = 0; i < n; i++) {
        const struct access_key *k = access_key_named(s, tenant, names[i]);
        if (!k || !key_works(k, now))
            continue;
        atomic_store(&k->use->used_at, now);
        *who = (struct access_who){.kind = WHO_KEY,
                                   .key = k->n,
                                   .actor = str_dup(req->arena, k->actor)};
        return;
    }
}

/* Paths under which every change is decided where it is made, and the right that opens them. */
static const struct {
    struct str prefix;
    enum access_right right;
} doors[] = {{S_INIT("/ngsi-ld/v1/entities"), ACCESS_WRITE},
             {S_INIT("/ngsi-ld/v1/entityOperations/"), ACCESS_WRITE},
             {S_INIT("/ngsi-ld/v1/temporal/entities"), ACCESS_WRITE},
             {S_INIT("/ngsi-ld/v1/entityMaps"), ACCESS_READ},
             {S_INIT("/ngsi-ld/v1/temporal/entityMaps"), ACCESS_READ},
             {S_INIT("/ngsi-ld/v1/snapshots"), ACCESS_WRITE},
             {S_INIT("/ngsi-ld/v1/subscriptions"), ACCESS_SUBSCRIBE},
             {S_INIT("/ngsi-ld/v1/csourceSubscriptions"), ACCESS_SUBSCRIBE},
             {S_INIT("/v2/entities"), ACCESS_WRITE},
             {S_INIT("/v2/op/update"), ACCESS_WRITE},
             {S_INIT("/v2/op/notify"), ACCESS_WRITE},
             {S_INIT("/v2/subscriptions"), ACCESS_SUBSCRIBE}};

static const struct access_view *public_view(const struct access_set *s, int64_t tenant);

/* Registrations, imports, choices: who changes these moves data past the policies. So where there
 * are some, a writer of whom no more is known than the address does not. */
static enum err public_enters(struct access *x, const struct access_who *who,
                              const struct request *req, enum access_right right, struct error *e)
{
    if (right != ACCESS_ADMIN || who->kind == WHO_CITY || who->manages ||
        !public_view(access_now(x), access_tenant_asked(x, req)))
        return OK;
    return error_set(e, ERR_FORBIDDEN,
                     "where policies say who may do what, this is done from the machine itself, "
                     "with the city's token or with a key that has the right admin");
}

enum err access_enter(struct access *x, const struct access_who *who, const struct request *req,
                      struct error *e)
{
    enum access_right right = ACCESS_ADMIN;
    const struct access_key *k = access_key_numbered(access_now(x), who->key);
    for (size_t i = 0; i < sizeof(doors) / sizeof(doors[0]); i++)
        if (str_starts(req->path, doors[i].prefix))
            right = doors[i].right;
    if (who->kind != WHO_KEY)
        return public_enters(x, who, req, right, e);
    if (k && access_may(&k->view, right) && k->tenant == access_tenant_asked(x, req))
        return OK;
    return error_set(e, ERR_FORBIDDEN, "the key has no right to do this");
}

/* --- views --- */

static const struct access_marks no_marks;
static const struct access_view sees_nothing = {.personal = &no_marks, .nothing = true};

static const struct access_view *public_view(const struct access_set *s, int64_t tenant)
{
    const struct access_tenant *t = access_tenant(s, tenant);
    const struct access_view *v = t ? &t->public_view : &s->others;
    bool free = v->sees_all && !v->n_rules && (v->open & ACCESS_WRITE);
    return free ? NULL : v;
}

static const struct access_view *key_view(struct access *x, const struct access_key *k,
                                          int64_t tenant)
{
    bool good = k && k->tenant == tenant && key_works(k, clock_now(x->link->clock));
    return good ? &k->view : &sees_nothing;
}

const struct access_view *access_view(struct access *x, const struct access_who *who,
                                      int64_t tenant)
{
    if (!x || who->kind == WHO_CITY)
        return NULL;
    const struct access_set *s = access_now(x);
    tenant = policies_of(x, s, tenant);
    if (who->kind == WHO_KEY)
        return key_view(x, access_key_numbered(s, who->key), tenant);
    return tenant ? public_view(s, tenant) : &sees_nothing;
}

const struct access_view *access_view_of(struct access *x, struct str actor, int64_t tenant)
{
    if (!x || str_eq(actor, S("city")))
        return NULL;
    const struct access_set *s = access_now(x);
    tenant = policies_of(x, s, tenant);
    if (!str_starts(actor, S("key:")))
        return tenant ? public_view(s, tenant) : &sees_nothing;
    return key_view(x, access_key_named(s, tenant, str_from(actor, 4)), tenant);
}

struct store_conn *access_read(const struct link *l, const struct access_who *who, int64_t tenant,
                               struct error *e)
{
    struct store_conn *c = store_read(l->store, e);
    if (c)
        store_set_view(c, access_view(l->access, who, tenant));
    return c;
}

/* --- replacing the set --- */

static void set_free(struct access_set *s)
{
    for (size_t i = 0; i < s->queries.n; i++)
        query_q_release(s->queries.v[i]);
    map_release(&s->keys_by_hash);
    map_release(&s->keys_by_name);
    map_release(&s->keys_by_number);
    map_release(&s->tenants);
    map_release(&s->tenant_names);
    pthread_mutex_destroy(&s->q_lock);
    arena_release(&s->arena);
    free(s);
}

/* Under the lock. */
static void retire(struct access *x, struct access_set *old)
{
    int64_t now = clock_steady(x->link->clock);
    struct access_set **at = &x->retired;
    if (old) {
        old->retired = now;
        old->next = x->retired;
        x->retired = old;
    }
    while (*at) {
        struct access_set *s = *at;
        if (now - s->retired < ACCESS_GRACE_S * SECOND_US) {
            at = &s->next;
            continue;
        }
        *at = s->next;
        set_free(s);
    }
}

enum err access_reload(struct access *x, struct error *e)
{
    struct access_set *s = calloc(1, sizeof(*s));
    if (!s)
        abort();
    pthread_mutex_init(&s->q_lock, NULL);
    struct store_conn *c = store_read(x->link->store, e);
    enum err err = c ? access_load(x, c, s, e) : e->code;
    if (!err)
        err = access_count(s, c, false, e);
    if (c)
        store_read_done(c);
    if (err) {
        set_free(s);
        return err;
    }
    pthread_mutex_lock(&x->lock);
    struct access_set *old = atomic_load(&x->set);
    if (old && old->revision > s->revision) { /* another reload was faster */
        set_free(s);
    } else {
        atomic_store_explicit(&x->set, s, memory_order_release);
        retire(x, old);
        map_release(&x->spaces);
        x->spaces = (struct map)MAP_INIT;
        arena_reset(&x->spaces_arena);
    }
    pthread_mutex_unlock(&x->lock);
    return OK;
}

/* --- other processes --- */

static void look(struct access *x)
{
    int64_t revision = 0;
    struct error e = {0};
    struct store_conn *c = store_read(x->link->store, &e);
    enum err err = c ? access_revision(c, &revision, &e) : e.code;
    if (c)
        store_read_done(c);
    if (!err && revision != access_now(x)->revision)
        err = access_reload(x, &e);
    if (err)
        log_event(LOG_WARN, "link.access_reload_failed", LOG_Z("error", e.text));
}

static void *watch(void *arg)
{
    struct access *x = arg;
    pthread_mutex_lock(&x->lock);
    while (!x->closing) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        int64_t ns = until.tv_nsec + WATCH_MS * INT64_C(1000000);
        until.tv_sec += ns / 1000000000;
        until.tv_nsec = ns % 1000000000;
        pthread_cond_timedwait(&x->wake, &x->lock, &until);
        if (x->closing)
            break;
        pthread_mutex_unlock(&x->lock);
        look(x);
        pthread_mutex_lock(&x->lock);
    }
    pthread_mutex_unlock(&x->lock);
    return NULL;
}

static void flush_job(void *ctx)
{
    access_flush_uses(ctx);
}

static void count_job(void *ctx)
{
    struct access *x = ctx;
    struct error e = {0};
    struct store_conn *c = store_read(x->link->store, &e);
    if (!c || access_count(access_now(x), c, true, &e))
        log_event(LOG_WARN, "link.access_count_failed", LOG_Z("error", e.text));
    if (c)
        store_read_done(c);
}

struct access *access_new(struct link *l, struct error *e)
{
    struct access *x = calloc(1, sizeof(*x));
    pthread_condattr_t monotonic;
    if (!x)
        abort();
    x->link = l;
    pthread_mutex_init(&x->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&x->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (access_reload(x, e)) {
        access_free(x);
        return NULL;
    }
    /* A file has one process: nobody else can change what is in it. */
    if (!strcmp(store_engine(l->store), "postgres"))
        x->watching = pthread_create(&x->watcher, NULL, watch, x) == 0;
    if (l->pool) {
        pool_every(l->pool, FLUSH_MS, flush_job, x);
        pool_every(l->pool, COUNT_MS, count_job, x);
    }
    return x;
}

void access_free(struct access *x)
{
    struct map_iter it = {0};
    if (!x)
        return;
    if (x->link->pool) {
        pool_never(x->link->pool, flush_job, x);
        pool_never(x->link->pool, count_job, x);
    }
    pthread_mutex_lock(&x->lock);
    x->closing = true;
    pthread_cond_signal(&x->wake);
    pthread_mutex_unlock(&x->lock);
    if (x->watching)
        pthread_join(x->watcher, NULL);
    access_flush_uses(x);
    for (struct access_set *s = x->retired, *next; s; s = next) {
        next = s->next;
        set_free(s);
    }
    if (atomic_load(&x->set))
        set_free(atomic_load(&x->set));
    while (map_next(&x->uses, &it))
        free(it.value);
    map_release(&x->uses);
    map_release(&x->spaces);
    arena_release(&x->spaces_arena);
    pthread_cond_destroy(&x->wake);
    pthread_mutex_destroy(&x->lock);
    free(x);
}
