#include "core/map.h"

#include <stdio.h>
#include <stdlib.h>

/*
 * Open addressing with linear probing. The hash of a slot also says what it is: EMPTY ends a
 * search, GONE (a deleted entry) does not; the hashes of entries are shifted out of their way.
 */
enum { EMPTY = 0, GONE = 1, FIRST_HASH = 2, FIRST_CAPACITY = 16 };

struct map_slot {
    uint64_t hash;
    struct str key;
    void *value;
};

static uint64_t slot_hash(struct str key)
{
    uint64_t h = str_hash(key);
    return h < FIRST_HASH ? h + FIRST_HASH : h;
}

/* The slot that holds the key, or NULL. */
static struct map_slot *find(const struct map *m, struct str key, uint64_t hash)
{
    if (m->n == 0)
        return NULL;
    size_t mask = m->capacity - 1;
    for (size_t i = (size_t)hash & mask;; i = (i + 1) & mask) {
        struct map_slot *s = &m->slots[i];
        if (s->hash == EMPTY)
            return NULL;
        if (s->hash == hash && str_eq(s->key, key))
            return s;
    }
}

/* Put an entry that is not there yet; a slot is free for certain. */
static void insert(struct map *m, struct map_slot entry)
{
    size_t mask = m->capacity - 1, i = (size_t)entry.hash & mask;
    while (m->slots[i].hash != EMPTY)
        i = (i + 1) & mask;
    m->slots[i] = entry;
    m->n++;
    m->used++;
}

/* Make a free slot: at most three quarters are in use, deleted ones counted until they go here. */
static void make_room(struct map *m)
{
    if ((m->used + 1) * 4 <= m->capacity * 3)
        return;
    struct map old = *m;
    size_t capacity = FIRST_CAPACITY;
    while ((old.n + 1) * 2 > capacity)
        capacity *= 2;
    *m = (struct map){.slots = calloc(capacity, sizeof(struct map_slot)), .capacity = capacity};
    if (!m->slots) {
        fprintf(stderr, "out of memory: cannot grow a map to %zu entries\n", capacity);
        abort();
    }
    for (size_t i = 0; i < old.capacity; i++)
        if (old.slots[i].hash >= FIRST_HASH)
            insert(m, old.slots[i]);
    free(old.slots);
}

void *map_get(const struct map *m, struct str key)
{
    if (m->n == 0)
        return NULL;
    struct map_slot *s = find(m, key, slot_hash(key));
    return s ? s->value : NULL;
}

void *map_put(struct map *m, struct str key, void *value)
{
    uint64_t hash = slot_hash(key);
    struct map_slot *s = find(m, key, hash);
    if (s) {
        void *before = s->value;
        s->key = key; /* the old key may not outlive the old value */
        s->value = value;
        return before;
    }
    make_room(m);
    insert(m, (struct map_slot){hash, key, value});
    return NULL;
}

void *map_del(struct map *m, struct str key)
{
    struct map_slot *s = m->n ? find(m, key, slot_hash(key)) : NULL;
    if (!s)
        return NULL;
    void *value = s->value;
    *s = (struct map_slot){.hash = GONE};
    m->n--;
    return value;
}

bool map_next(const struct map *m, struct map_iter *it)
{
    while (it->at < m->capacity) {
        const struct map_slot *s = &m->slots[it->at++];
        if (s->hash >= FIRST_HASH) {
            it->key = s->key;
            it->value = s->value;
            return true;
        }
    }
    return false;
}

void map_release(struct map *m)
{
    free(m->slots);
    *m = (struct map)MAP_INIT;
}
