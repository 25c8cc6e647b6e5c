/*
 * map.h - a hash table from text to pointer.
 *
 * Keyed with a per-process random key, so that a hostile sender cannot choose colliding names.
 * Keys are borrowed: they must live as long as the entry. Not thread-safe.
 *
 *     struct map m = MAP_INIT;
 *     map_put(&m, S("a"), value);
 *     void *v = map_get(&m, S("a"));
 *     struct map_iter it = {0};
 *     while (map_next(&m, &it)) use(it.key, it.value);
 */
#ifndef CORE_MAP_H
#define CORE_MAP_H

#include "core/str.h"

struct map_slot;

struct map {
    struct map_slot *slots;
    size_t n;        /* entries */
    size_t used;     /* entries and tombstones */
    size_t capacity; /* a power of two, or 0 */
};

#define MAP_INIT                                                                                   \
    {                                                                                              \
        0, 0, 0, 0                                                                                 \
    }

struct map_iter {
    size_t at;
    struct str key;
    void *value;
};

void *map_get(const struct map *m, struct str key);        /* NULL when absent */
void *map_put(struct map *m, struct str key, void *value); /* the value replaced, or NULL */
void *map_del(struct map *m, struct str key);              /* the value removed, or NULL */
bool map_next(const struct map *m, struct map_iter *it);   /* the map must not change meanwhile */
void map_release(struct map *m);

#endif
