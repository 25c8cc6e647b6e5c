/* Numbers of tenants, by name, under one lock. */
#include "tenants.h"
#include "core/arena.h"
#include "core/map.h"
#include <pthread.h>
#include <stdlib.h>

enum { TENANTS_MAX = 10000 }; /* more are looked up each time */

struct tenants {
    pthread_mutex_t lock;
    struct arena arena;
    struct map by_name; /* to int64_t */
};

struct tenants *tenants_new(void)
{
    struct tenants *t = calloc(1, sizeof(*t));
    if (!t)
        abort();
    pthread_mutex_init(&t->lock, NULL);
    return t;
}

void tenants_free(struct tenants *t)
{
    if (!t)
        return;
    map_release(&t->by_name);
    arena_release(&t->arena);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

int64_t tenants_find(struct tenants *t, struct str name)
{
    if (!name.n)
        return 1;
    if (!t)
        return 0;
    pthread_mutex_lock(&t->lock);
    const int64_t *n = map_get(&t->by_name, name);
    int64_t found = n ? *n : 0;
    pthread_mutex_unlock(&t->lock);
    return found;
}

bool tenants_learn(struct tenants *t, struct str name, int64_t n)
{
    bool fresh = false;
    if (!t || !name.n || str_starts(name, S(SPACE_PREFIX)))
        return false;
    pthread_mutex_lock(&t->lock);
    if (t->by_name.n < TENANTS_MAX && !map_get(&t->by_name, name)) {
        int64_t *number = ARENA_NEW(&t->arena, int64_t);
        *number = n;
        map_put(&t->by_name, str_dup(&t->arena, name), number);
        fresh = true;
    }
    pthread_mutex_unlock(&t->lock);
    return fresh;
}

void tenants_forget(struct tenants *t)
{
    pthread_mutex_lock(&t->lock);
    map_release(&t->by_name);
    t->by_name = (struct map)MAP_INIT;
    arena_reset(&t->arena);
    pthread_mutex_unlock(&t->lock);
}
