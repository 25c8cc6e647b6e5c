/* Kept answers: a map by question and a list by age, under one lock. */
#include "forward_cache.h"

#include "core/map.h"
#include <pthread.h>
#include <stdlib.h>

enum { ENTRY_BYTES = 512 /* what an entry costs beside its texts */ };

struct entry {
    struct arena arena; /* of the texts; the entry is allocated by itself */
    struct str key, owner;
    struct forward f; /* status and texts */
    int64_t at;       /* steady */
    int64_t bytes;
    struct entry *older, *newer;
};

struct forward_cache {
    pthread_mutex_t lock;
    struct map by_key;
    struct entry *newest, *oldest;
    int64_t bytes, max;
};

struct forward_cache *forward_cache_new(int64_t bytes)
{
    struct forward_cache *x = calloc(1, sizeof(*x));
    if (!x)
        abort();
    pthread_mutex_init(&x->lock, NULL);
    x->max = bytes;
    return x;
}

/* --- under the lock --- */

static void drop(struct forward_cache *x, struct entry *en)
{
    if (en->older)
        en->older->newer = en->newer;
    else
        x->oldest = en->newer;
    if (en->newer)
        en->newer->older = en->older;
    else
        x->newest = en->older;
    x->bytes -= en->bytes;
    map_del(&x->by_key, en->key);
    arena_release(&en->arena);
    free(en);
}

static struct str owner_of(struct arena *a, const struct registration *reg)
{
    return str_printf(a, "%lld %" STR_F, (long long)reg->tenant, STR_A(reg->id));
}

static void copy_texts(struct arena *a, struct forward *to, const struct forward *from)
{
    to->status = from->status;
    to->type = str_dup(a, from->type);
    to->answer = str_dup(a, from->answer);
    to->location = str_dup(a, from->location);
    to->link = str_dup(a, from->link);
    to->results_count = str_dup(a, from->results_count);
    to->entity_map = str_dup(a, from->entity_map);
    to->range = str_dup(a, from->range);
}

/* --- */

void forward_cache_free(struct forward_cache *x)
{
    if (!x)
        return;
    while (x->oldest)
        drop(x, x->oldest);
    map_release(&x->by_key);
    pthread_mutex_destroy(&x->lock);
    free(x);
}

bool forward_cache_suits(const struct forward *f)
{
    return f->reg->cache_us > 0 &&
           (str_eq(str_c(f->method), S("GET")) ||
            (str_eq(str_c(f->method), S("POST")) &&
             (str_starts(f->target, S("/ngsi-ld/v1/entityOperations/query")) ||
              str_starts(f->target, S("/ngsi-ld/v1/temporal/entityOperations/query")))));
}

struct str forward_cache_key(struct arena *a, const struct registration *reg,
                             const struct client_request *r)
{
    struct buf b = BUF_INIT;
    buf_printf(&b, "%lld %" STR_F "\n%s %" STR_F "\n", (long long)reg->tenant, STR_A(reg->id),
               r->method, STR_A(r->url));
    for (size_t i = 0; i < r->n_headers; i++)
        buf_printf(&b, "%" STR_F ": %" STR_F "\n", STR_A(r->headers[i].name),
                   STR_A(r->headers[i].value));
    buf_char(&b, '\n');
    buf_str(&b, r->body);
    struct str key = buf_dup(&b, a);
    buf_release(&b);
    return key;
}

bool forward_cache_get(struct forward_cache *x, struct arena *a, struct str key, int64_t now,
                       struct forward *f)
{
    bool good = false;
    pthread_mutex_lock(&x->lock);
    struct entry *en = map_get(&x->by_key, key);
    if (en && now - en->at >= f->reg->cache_us)
        drop(x, en);
    else if (en)
        good = true;
    if (good)
        copy_texts(a, f, &en->f);
    pthread_mutex_unlock(&x->lock);
    return good;
}

void forward_cache_put(struct forward_cache *x, struct str key, int64_t now,
                       const struct forward *f)
{
    int64_t bytes = (int64_t)(key.n + f->answer.n) + ENTRY_BYTES;
    bool good = (f->status >= 200 && f->status < 300) || f->status == 404;
    if (!good || bytes > x->max / 4)
        return;
    struct entry *en = calloc(1, sizeof(*en));
    if (!en)
        abort();
    en->key = str_dup(&en->arena, key);
    en->owner = owner_of(&en->arena, f->reg);
    copy_texts(&en->arena, &en->f, f);
    en->at = now;
    en->bytes = bytes;
    pthread_mutex_lock(&x->lock);
    struct entry *there = map_get(&x->by_key, key);
    if (there)
        drop(x, there);
    while (x->oldest && x->bytes + bytes > x->max)
        drop(x, x->oldest);
    en->older = x->newest;
    if (x->newest)
        x->newest->newer = en;
    else
        x->oldest = en;
    x->newest = en;
    x->bytes += bytes;
    map_put(&x->by_key, en->key, en);
    pthread_mutex_unlock(&x->lock);
}

void forward_cache_forget(struct forward_cache *x, const struct registration *reg)
{
    struct arena a = ARENA_INIT;
    struct str owner = owner_of(&a, reg);
    pthread_mutex_lock(&x->lock);
    for (struct entry *en = x->oldest, *next; en; en = next) {
        next = en->newer;
        if (str_eq(en->owner, owner))
            drop(x, en);
    }
    pthread_mutex_unlock(&x->lock);
    arena_release(&a);
}
