/*
 * vec.h - a growing array in an arena, for any element type.
 *
 *     VEC(int) v = VEC_INIT;
 *     *vec_push(&arena, &v) = 3;
 *     for (size_t i = 0; i < v.n; i++) use(v.v[i]);
 *
 * vec_push() gives the address of a new zeroed element, valid until the next push.
 */
#ifndef CORE_VEC_H
#define CORE_VEC_H

#include "core/arena.h"
#include <string.h>

#define VEC(type)                                                                                  \
    struct {                                                                                       \
        type *v;                                                                                   \
        size_t n, cap;                                                                             \
    }
#define VEC_INIT                                                                                   \
    {                                                                                              \
        0, 0, 0                                                                                    \
    }

/* The elements with room for one more, zeroed, after the n there are; used by vec_push only. */
static inline void *vec_room(struct arena *a, void *v, size_t n, size_t *cap, size_t size)
{
    if (n == *cap) {
        size_t want = *cap ? *cap * 2 : 8;
        v = arena_grow(a, v, *cap * size, want * size);
        *cap = want;
    }
    memset((char *)v + n * size, 0, size);
    return v;
}

#define vec_push(a, vec)                                                                           \
    ((vec)->v = vec_room((a), (vec)->v, (vec)->n, &(vec)->cap, sizeof(*(vec)->v)),                 \
     &(vec)->v[(vec)->n++])

#endif
