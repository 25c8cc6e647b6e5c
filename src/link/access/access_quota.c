/*
 * Quotas of tenants and keys.
 *
 * Requests and writes a second are counted in each process: one second's worth may come at once,
 * then they are let through as they come back. Entities and bytes are counted by a pool task once a
 * minute on a snapshot, and the writer keeps the count up in between: it may be wrong by what was
 * written while it was being counted, until the next time.
 */
#include "access_impl.h"
#include "core/log.h"
#include "keys.h"
#include "repo_index.h"
#include <string.h>

/* --- a second's worth --- */

/* Take one from the bucket; else the microseconds until there is one. */
static int64_t take(struct access_bucket *b, int64_t per_second, int64_t now)
{
    int64_t cost = SECOND_US / per_second, full = atomic_load(&b->full_at), next;
    do {
        next = (full > now ? full : now) + cost;
        if (next - now > SECOND_US)
            return next - now - SECOND_US;
    } while (!atomic_compare_exchange_weak(&b->full_at, &full, next));
    return 0;
}

/* The tenant that a request names, as its interface reads it; absent: the default one. */
static struct str tenant_named(const struct request *req)
{
    if (!str_starts(req->path, S("/v2/")))
        return request_header(req, "NGSILD-Tenant");
    struct str name = request_header(req, "Fiware-Service");
    char *low = arena_dup(req->arena, name.p ? name.p : "", name.n);
    for (size_t i = 0; i < name.n; i++)
        if (low[i] >= 'A' && low[i] <= 'Z')
            low[i] = (char)(low[i] | 0x20);
    return str_n(low, name.n);
}

int64_t access_tenant_asked(struct access *x, const struct request *req)
{
    struct str name = tenant_named(req);
    const struct access_tenant *t = map_get(&access_now(x)->tenant_names, name.p ? name : S(""));
    return t ? t->n : 0;
}

static int64_t wait_of(const struct access_quota *q, struct access_use *use, bool writes,
                       int64_t now)
{
    int64_t wait = 0;
    if (!use)
        return 0;
    if (q->requests_s)
        wait = take(&use->requests, q->requests_s, now);
    if (!wait && writes && q->writes_s)
        wait = take(&use->writes, q->writes_s, now);
    return wait;
}

enum err access_rate(struct access *x, const struct access_who *who, const struct request *req,
                     bool writes, int64_t *wait_s, struct error *e)
{
    const struct access_set *s = access_now(x);
    const struct access_key *k = who->kind == WHO_KEY ? access_key_numbered(s, who->key) : NULL;
    struct str name = k ? STR_NONE : tenant_named(req);
    const struct access_tenant *t =
        k ? access_tenant(s, k->tenant) : map_get(&s->tenant_names, name.p ? name : S(""));
    int64_t now = clock_steady(x->link->clock);
    int64_t wait = k ? wait_of(&k->quota, k->use, writes, now) : 0;
    if (!wait && t)
        wait = wait_of(&t->quota, t->use, writes, now);
    if (!wait)
        return OK;
    *wait_s = (wait + SECOND_US - 1) / SECOND_US;
    return error_set(e, ERR_TOO_MANY, "more requests a second than the quota of the %s allows",
                     k ? "key" : "tenant");
}

/* --- entities and bytes --- */

static enum err full(const char *what, const char *of, int64_t most, struct error *e)
{
    return error_set(e, ERR_FORBIDDEN, "the quota of the %s is used up: %lld %s", of,
                     (long long)most, what);
}

static enum err fits(const struct access_quota *q, struct access_use *use, const char *of,
                     struct access_growth g, struct error *e)
{
    int64_t entities = use ? atomic_load(&use->entities) : -1;
    if (entities < 0)
        return OK; /* no quota, or not counted yet */
    if (q->entities && g.entities > 0 && entities + g.entities > q->entities)
        return full("entities", of, q->entities, e);
    if (q->bytes && g.bytes > 0 && atomic_load(&use->bytes) + g.bytes > q->bytes)
        return full("bytes", of, q->bytes, e);
    return OK;
}

static void grow(struct access_use *use, struct access_growth g)
{
    if (!use || atomic_load(&use->entities) < 0)
        return;
    atomic_fetch_add(&use->entities, g.entities);
    atomic_fetch_add(&use->bytes, g.bytes);
}

static const struct access_key *key_of_actor(const struct access_set *s, int64_t tenant,
                                             struct str actor)
{
    return str_starts(actor, S("key:")) ? access_key_named(s, tenant, str_from(actor, 4)) : NULL;
}

enum err access_room(struct access *x, int64_t tenant, struct str actor, struct access_growth g,
                     struct error *e)
{
    if (!x)
        return OK;
    const struct access_set *s = access_now(x);
    const struct access_tenant *t = access_tenant(s, tenant);
    const struct access_key *k = key_of_actor(s, tenant, actor);
    enum err err = t ? fits(&t->quota, t->use, "tenant", g, e) : OK;
    if (!err && k)
        err = fits(&k->quota, k->use, "key", g, e);
    if (err)
        return err;
    if (t)
        grow(t->use, g);
    if (k)
        grow(k->use, g);
    return OK;
}

int64_t access_subscriptions(struct access *x, int64_t tenant, struct str actor, bool own)
{
    if (!x)
        return INT64_MAX;
    const struct access_set *s = access_now(x);
    const struct access_tenant *t = access_tenant(s, tenant);
    const struct access_key *k = key_of_actor(s, tenant, actor);
    int64_t most = own ? (k ? k->quota.subscriptions : 0) : (t ? t->quota.subscriptions : 0);
    return most ? most : INT64_MAX;
}

/* --- counting --- */

#define BYTES_SQLITE   "coalesce(sum(length(CAST(e.doc AS BLOB))), 0)"
#define BYTES_POSTGRES "coalesce(sum(octet_length(e.doc)), 0)"
#define OF_TENANT      " FROM entity e WHERE e.tenant = $1 AND e.doc IS NOT NULL"
#define OF_CREATOR     " FROM entity_key k JOIN entity e ON e.eid = k.eid WHERE k.k = $1"

static enum err count(struct store_conn *c, bool creator, int64_t key, struct access_use *use,
                      struct error *e)
{
    static const char *const sql[2][2] = {{"SELECT count(*), " BYTES_SQLITE OF_TENANT,
                                           "SELECT count(*), " BYTES_SQLITE OF_CREATOR},
                                          {"SELECT count(*), " BYTES_POSTGRES OF_TENANT,
                                           "SELECT count(*), " BYTES_POSTGRES OF_CREATOR}};
    bool postgres = !strcmp(store_engine(store_of(c)), "postgres");
    struct store_rows r;
    store_query(c, &r, sql[postgres][creator], SV(SV_INT(key)));
    if (store_next(&r)) {
        atomic_store(&use->bytes, store_int(&r, 1));
        atomic_store(&use->entities, store_int(&r, 0));
    }
    return store_end(&r, e);
}

static bool counts(const struct access_quota *q)
{
    return q->entities || q->bytes;
}

enum err access_count(const struct access_set *s, struct store_conn *c, bool all, struct error *e)
{
    struct map_iter it = {0};
    enum err err = OK;
    while (!err && map_next(&s->tenants, &it)) {
        const struct access_tenant *t = it.value;
        if (t->use && counts(&t->quota) && (all || atomic_load(&t->use->entities) < 0))
            err = count(c, false, t->n, t->use, e);
    }
    it = (struct map_iter){0};
    while (!err && map_next(&s->keys_by_number, &it)) {
        const struct access_key *k = it.value;
        if (counts(&k->quota) && (all || atomic_load(&k->use->entities) < 0))
            err = count(c, true, key_of(k->tenant, KEY_CREATOR, k->actor), k->use, e);
    }
    return err;
}
