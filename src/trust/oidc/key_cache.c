/*
 * Others' keys, parsed: of DPoP proofs and of clients. Two generations: what was not used while a
 * generation filled is forgotten with the next, so that strangers' keys cannot drive out for good
 * those that are in use, nor make it grow.
 */
#include "core/map.h"
#include "oidc_impl.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { GENERATION = 2048 };

struct cached {
    struct hash hash; /* of the JWK's text */
    struct jose_key *key;
};

struct key_cache {
    pthread_mutex_t lock;
    struct map young, old;
};

struct key_cache *key_cache_new(void)
{
    struct key_cache *c = calloc(1, sizeof(*c));
    if (!c)
        abort();
    pthread_mutex_init(&c->lock, NULL);
    return c;
}

static void forget(struct map *m)
{
    struct map_iter it = {0};
    while (map_next(m, &it)) {
        struct cached *k = it.value;
        jose_key_free(k->key);
        free(k);
    }
    map_release(m);
    *m = (struct map)MAP_INIT;
}

void key_cache_free(struct key_cache *c)
{
    if (!c)
        return;
    forget(&c->young);
    forget(&c->old);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static void put(struct key_cache *c, struct cached *k)
{
    if (c->young.n >= GENERATION) {
        forget(&c->old);
        c->old = c->young;
        c->young = (struct map)MAP_INIT;
    }
    map_put(&c->young, hash_bytes(&k->hash), k);
}

static struct jose_key *find(struct key_cache *c, const struct hash *h)
{
    struct jose_key *key = NULL;
    pthread_mutex_lock(&c->lock);
    struct cached *k = map_get(&c->young, hash_bytes(h));
    if (!k && (k = map_del(&c->old, hash_bytes(h))))
        put(c, k);
    if (k)
        key = jose_key_hold(k->key);
    pthread_mutex_unlock(&c->lock);
    return key;
}

static void add(struct key_cache *c, const struct hash *h, struct jose_key *key)
{
    pthread_mutex_lock(&c->lock);
    if (!map_get(&c->young, hash_bytes(h)) && !map_get(&c->old, hash_bytes(h))) {
        struct cached *k = malloc(sizeof(*k));
        if (!k)
            abort();
        *k = (struct cached){*h, jose_key_hold(key)};
        put(c, k);
    }
    pthread_mutex_unlock(&c->lock);
}

enum err key_cache_get(struct key_cache *c, const struct json *jwk, struct jose_key **out,
                       struct error *e)
{
    struct buf text = BUF_INIT;
    json_write(&text, jwk);
    struct hash h = hash_sha256(buf_view(&text));
    buf_release(&text);
    *out = find(c, &h);
    if (*out)
        return OK;
    enum err err = jose_key_parse(jwk, JOSE_PS256, false, out, e);
    if (!err)
        add(c, &h, *out);
    return err;
}
