/*
 * The keys that the provider signs with: ES256, made ahead, used in turn.
 *
 *     published   |------ ahead ------|======= signs =======|---- still verifies ----|
 *     instants    made              starts                ends                     gone
 *
 * The schedule stands in the rows, so every process finds by its clock which key signs: nobody has
 * to tell anybody when a turn comes. Only making the next one is told (store_tell()), long before
 * it is used. The first key of a city signs at once. Private parts are sealed by the vault.
 */
#include "core/log.h"
#include "oidc_impl.h"
#include "trust/vault.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS_MAX = 32, PROVIDER = -1 /* the vault's subject of what is the provider's own */ };
#define TOPIC "oidc.keys"

struct ring_key {
    int64_t made, starts, ends, gone;
    struct jose_key *key;
};

struct key_ring {
    struct oidc *o;
    pthread_rwlock_t lock;
    struct ring_key keys[KEYS_MAX]; /* by starts */
    size_t n;
};

/* --- the rows --- */

static struct vault_place place_of(int64_t made)
{
    return (struct vault_place){PROVIDER, S("oidc.key"), made};
}

struct reading {
    struct ring_key keys[KEYS_MAX];
    size_t n;
};

static void drop_keys(struct ring_key *keys, size_t n)
{
    for (size_t i = 0; i < n; i++)
        jose_key_free(keys[i].key);
}

static enum err open_key(struct oidc *o, struct store_conn *c, struct arena *a, int64_t made,
                         struct str sealed, struct jose_key **out, struct error *e)
{
    struct vault_place at = place_of(made);
    struct str text;
    enum err err = vault_unseal(o->trust->vault, c, a, &at, sealed, &text, e);
    if (err)
        return err;
    const struct json *jwk = json_parse(a, text, &JSON_DEFAULT, e);
    return jwk ? jose_key_parse(jwk, JOSE_PS256, true, out, e) : ERR_CORRUPT;
}

static enum err read_keys(struct oidc *o, struct store_conn *c, struct reading *out,
                          struct error *e)
{
    struct arena a = ARENA_INIT;
    struct store_rows rows;
    enum err err = OK;
    out->n = 0;
    store_query(c, &rows, "SELECT made, starts, ends, gone, sealed FROM oidc_key ORDER BY starts",
                SV_EMPTY);
    while (!err && out->n < KEYS_MAX && store_next(&rows)) {
        struct ring_key *k = &out->keys[out->n];
        *k = (struct ring_key){store_int(&rows, 0), store_int(&rows, 1), store_int(&rows, 2),
                               store_int(&rows, 3), NULL};
        err = open_key(o, c, &a, k->made, store_blob(&rows, 4), &k->key, e);
        if (!err)
            out->n++;
    }
    enum err ended = store_end(&rows, err ? NULL : e);
    arena_release(&a);
    return err ? err : ended;
}

/* --- the schedule, in a change --- */

static enum err make_key(struct oidc *o, struct store_conn *c, int64_t now, int64_t starts,
                         struct error *e)
{
    const struct oidc_options *p = o->options;
    struct arena a = ARENA_INIT;
    struct jose_key *key = NULL;
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    struct str sealed;
    struct vault_place at = place_of(now);
    int64_t ends = starts + p->key_days * DAY_US;
    /* What it signed may be shown until the longest of its tokens is over. */
    int64_t gone = ends + (p->access_s + DAY_US / SECOND_US) * SECOND_US;
    enum err err = jose_key_make(JOSE_ES256, &key, e);
    if (!err)
        err = jose_key_write(&w, key, true, e);
    if (!err)
        err = vault_seal(o->trust->vault, c, &a, &at, buf_view(&b), &sealed, e);
    if (!err)
        err = store_exec(c,
                         "INSERT INTO oidc_key(kid, made, starts, ends, gone, sealed)"
                         " VALUES ($1, $2, $3, $4, $5, $6)",
                         SV(SV_TEXT(jose_key_id(key)), SV_INT(now), SV_INT(starts), SV_INT(ends),
                            SV_INT(gone), SV_BLOB(sealed)),
                         NULL, e);
    if (!err)
        err = store_tell(c, TOPIC, S("new"), e);
    if (b.p)
        explicit_bzero(b.p, b.n);
    buf_release(&b);
    jose_key_free(key);
    arena_release(&a);
    return err;
}

static enum err schedule(struct store_conn *c, void *ctx, struct error *e)
{
    struct key_ring *r = ctx;
    struct oidc *o = r->o;
    int64_t now = clock_now(o->trust->clock), ends = 0;
    enum err err = store_exec(c, "DELETE FROM oidc_key WHERE gone <= $1", SV(SV_INT(now)), NULL, e);
    if (!err)
        err = store_get_int(c, &ends, "SELECT COALESCE(MAX(ends), 0) FROM oidc_key", SV_EMPTY, e);
    if (err)
        return err;
    if (ends <= now)
        return make_key(o, c, now, now, e);
    if (ends - o->options->key_ahead_h * HOUR_US <= now)
        return make_key(o, c, now, ends, e);
    return OK;
}

/* --- in memory --- */

static enum err reload(struct key_ring *r, struct error *e)
{
    struct reading fresh = {.n = 0};
    struct store_conn *c = store_read(r->o->trust->store, e);
    if (!c)
        return e->code;
    enum err err = read_keys(r->o, c, &fresh, e);
    store_read_done(c);
    if (err) {
        drop_keys(fresh.keys, fresh.n);
        return err;
    }
    pthread_rwlock_wrlock(&r->lock);
    drop_keys(r->keys, r->n);
    r->n = fresh.n;
    for (size_t i = 0; i < fresh.n; i++)
        r->keys[i] = fresh.keys[i];
    pthread_rwlock_unlock(&r->lock);
    return OK;
}

/* Is there a key that signs now, and the next one when it is time for it? */
static bool in_order(struct key_ring *r)
{
    int64_t now = clock_now(r->o->trust->clock), ends = 0;
    bool over = false;
    pthread_rwlock_rdlock(&r->lock);
    for (size_t i = 0; i < r->n; i++) {
        ends = r->keys[i].ends > ends ? r->keys[i].ends : ends;
        over = over || r->keys[i].gone <= now;
    }
    pthread_rwlock_unlock(&r->lock);
    return !over && ends - r->o->options->key_ahead_h * HOUR_US > now;
}

enum err ring_turn(struct key_ring *r, struct error *e)
{
    if (in_order(r))
        return OK;
    enum err err = store_write(r->o->trust->store, schedule, r, e);
    return err ? err : reload(r, e);
}

static void reload_run(void *ctx)
{
    struct error e = {0};
    if (reload(ctx, &e))
        log_event(LOG_WARN, "oidc.keys", LOG_Z("error", e.text));
}

static void heard(void *ctx, struct str key)
{
    struct key_ring *r = ctx;
    (void)key;
    (void)pool_submit(r->o->trust->pool, reload_run, r);
}

struct key_ring *ring_open(struct oidc *o, struct error *e)
{
    struct key_ring *r = calloc(1, sizeof(*r));
    if (!r)
        abort();
    r->o = o;
    pthread_rwlock_init(&r->lock, NULL);
    enum err err = reload(r, e);
    if (!err)
        err = ring_turn(r, e);
    /* Without the vault's key the rest of the city works; nobody signs in. */
    if (err && err != ERR_UNAVAILABLE) {
        drop_keys(r->keys, r->n);
        pthread_rwlock_destroy(&r->lock);
        free(r);
        return NULL;
    }
    store_heed(o->trust->store, TOPIC, heard, r);
    return r;
}

void ring_close(struct key_ring *r)
{
    if (!r)
        return;
    store_unheed(r->o->trust->store, heard, r);
    drop_keys(r->keys, r->n);
    pthread_rwlock_destroy(&r->lock);
    free(r);
}

/* --- using them --- */

enum err ring_signer(struct key_ring *r, int64_t now, struct jose_key **out, struct error *e)
{
    *out = NULL;
    pthread_rwlock_rdlock(&r->lock);
    for (size_t i = 0; i < r->n && !*out; i++)
        if (r->keys[i].starts <= now && now < r->keys[i].ends)
            *out = jose_key_hold(r->keys[i].key);
    pthread_rwlock_unlock(&r->lock);
    return *out ? OK : error_set(e, ERR_UNAVAILABLE, "there is no key to sign with");
}

struct jose_key *ring_find(struct key_ring *r, struct str kid)
{
    struct jose_key *key = NULL;
    pthread_rwlock_rdlock(&r->lock);
    for (size_t i = 0; i < r->n && !key; i++)
        if (str_eq(jose_key_id(r->keys[i].key), kid))
            key = jose_key_hold(r->keys[i].key);
    pthread_rwlock_unlock(&r->lock);
    return key;
}

struct str ring_jwks(struct key_ring *r, struct arena *a, int64_t now)
{
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    struct error e = {0};
    json_w_object(&w);
    json_w_key(&w, S("keys"));
    json_w_array(&w);
    pthread_rwlock_rdlock(&r->lock);
    for (size_t i = 0; i < r->n; i++)
        if (now < r->keys[i].gone)
            jose_key_write(&w, r->keys[i].key, false, &e);
    pthread_rwlock_unlock(&r->lock);
    json_w_end(&w);
    json_w_end(&w);
    struct str text = buf_dup(&b, a);
    buf_release(&b);
    return text;
}
