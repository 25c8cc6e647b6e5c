/*
 * arena.h - memory that is given back all at once.
 *
 * One arena serves one request, one import row or one job: everything made on its behalf is
 * allocated here and dropped by arena_reset() or arena_release(). Nothing is freed singly.
 * An arena belongs to one thread at a time. Out of memory aborts the process: callers check
 * limits before they allocate, never afterwards.
 *
 *     struct arena a = ARENA_INIT;
 *     char *copy = arena_dup(&a, "text", 4);
 *     arena_release(&a);
 */
#ifndef CORE_ARENA_H
#define CORE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

struct arena_chunk;

struct arena {
    struct arena_chunk *head; /* chunk that allocations come from, newest first */
    char *at, *end;           /* free space of head */
    size_t total;             /* bytes held from malloc now, for limits and metrics */
};

#define ARENA_INIT                                                                                 \
    {                                                                                              \
        0, 0, 0, 0                                                                                 \
    }

/* Uninitialised bytes, aligned for any object; n may be 0. Never NULL. */
void *arena_alloc(struct arena *a, size_t n) __attribute__((malloc, returns_nonnull));

/* n * size zeroed bytes; aborts when the product overflows. */
void *arena_calloc(struct arena *a, size_t n, size_t size) __attribute__((returns_nonnull));

/* Grow the allocation p of old bytes to n bytes: in place when it was the last one. */
void *arena_grow(struct arena *a, void *p, size_t old, size_t n) __attribute__((returns_nonnull));

/* A NUL-terminated copy of n bytes. */
char *arena_dup(struct arena *a, const char *p, size_t n) __attribute__((returns_nonnull));

/* A NUL-terminated formatted string. */
char *arena_printf(struct arena *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3), returns_nonnull));

/*
 * Forget all allocations but keep the newest chunk (when it is at most 1 MiB), so that a worker's
 * arena stays warm.
 */
void arena_reset(struct arena *a);

/* Give everything back to malloc; the arena may be used again. */
void arena_release(struct arena *a);

#define ARENA_NEW(a, type)      ((type *)arena_calloc((a), 1, sizeof(type)))
#define ARENA_ARRAY(a, type, n) ((type *)arena_calloc((a), (n), sizeof(type)))

#endif
