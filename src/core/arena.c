#include "core/arena.h"

#include "core/str.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Chunks double from FIRST_CHUNK to LAST_CHUNK, so that a small job takes one small malloc and a
 * large one takes few. A request that would fill most of a chunk gets a chunk of its own behind
 * the head, so that the free space of the head is not thrown away for it.
 */
enum { ALIGN = 16, FIRST_CHUNK = 8 * 1024, LAST_CHUNK = 1024 * 1024 };

struct arena_chunk {
    struct arena_chunk *next;
    size_t size; /* bytes of data */
    char data[] __attribute__((aligned(ALIGN)));
};

/* Under AddressSanitizer free space is poisoned and allocations are kept apart. */
#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif
#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
enum { RED_ZONE = 16 };
#define POISON(p, n)   ASAN_POISON_MEMORY_REGION((p), (n))
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION((p), (n))
#else
enum { RED_ZONE = 0 };
#define POISON(p, n)   ((void)0)
#define UNPOISON(p, n) ((void)0)
#endif

static void out_of_memory(size_t n)
{
    fprintf(stderr, "out of memory: cannot allocate %zu bytes\n", n);
    abort();
}

/* Bytes that an allocation of n takes from a chunk. */
static size_t footprint(size_t n)
{
    if (n > SIZE_MAX / 2)
        out_of_memory(n);
    size_t used = (n + (ALIGN - 1)) & ~(size_t)(ALIGN - 1);
    return (used ? used : ALIGN) + RED_ZONE;
}

static struct arena_chunk *chunk_new(struct arena *a, size_t size)
{
    struct arena_chunk *c = malloc(sizeof(*c) + size);
    if (!c)
        out_of_memory(size);
    c->next = NULL;
    c->size = size;
    a->total += sizeof(*c) + size;
    POISON(c->data, size);
    return c;
}

static void chunk_free(struct arena *a, struct arena_chunk *c)
{
    UNPOISON(c->data, c->size);
    a->total -= sizeof(*c) + c->size;
    free(c);
}

/* The head has no room for used bytes. */
static char *alloc_slow(struct arena *a, size_t used)
{
    size_t size = FIRST_CHUNK;
    if (a->head && a->head->size >= FIRST_CHUNK)
        size = a->head->size < LAST_CHUNK / 2 ? a->head->size * 2 : LAST_CHUNK;
    size -= sizeof(struct arena_chunk); /* whole chunks are round numbers of bytes */
    if (a->head && used > size / 2) {
        struct arena_chunk *c = chunk_new(a, used);
        c->next = a->head->next;
        a->head->next = c;
        return c->data;
    }
    struct arena_chunk *c = chunk_new(a, used > size ? used : size);
    c->next = a->head;
    a->head = c;
    a->at = c->data + used;
    a->end = c->data + c->size;
    return c->data;
}

void *arena_alloc(struct arena *a, size_t n)
{
    size_t used = footprint(n);
    char *p;
    if (used <= (size_t)(a->end - a->at)) {
        p = a->at;
        a->at += used;
    } else {
        p = alloc_slow(a, used);
    }
    UNPOISON(p, n);
    return p;
}

void *arena_calloc(struct arena *a, size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        out_of_memory(SIZE_MAX);
    return memset(arena_alloc(a, bytes), 0, bytes);
}

void *arena_grow(struct arena *a, void *p, size_t old, size_t n)
{
    if (p && n <= old)
        return p;
    if (p) {
        size_t had = footprint(old), used = footprint(n);
        bool last = (char *)p + had == a->at && a->head && (char *)p >= a->head->data &&
                    (char *)p < a->head->data + a->head->size;
        if (last && used - had <= (size_t)(a->end - a->at)) {
            a->at += used - had;
            UNPOISON(p, n);
            return p;
        }
    }
    char *grown = arena_alloc(a, n);
    if (p && old)
        memcpy(grown, p, old);
    return grown;
}

char *arena_dup(struct arena *a, const char *p, size_t n)
{
    char *copy = arena_alloc(a, n + 1);
    if (n)
        memcpy(copy, p, n);
    copy[n] = '\0';
    return copy;
}

/* The text of fmt in the arena; its length without the NUL in *n. */
static __attribute__((format(printf, 3, 0))) char *format_text(struct arena *a, size_t *n,
                                                               const char *fmt, va_list ap)
{
    char small[256];
    va_list again;
    va_copy(again, ap);
    int wrote = vsnprintf(small, sizeof(small), fmt, ap);
    *n = wrote < 0 ? 0 : (size_t)wrote;
    char *text;
    if (*n < sizeof(small)) {
        text = arena_dup(a, small, *n);
    } else {
        text = arena_alloc(a, *n + 1);
        vsnprintf(text, *n + 1, fmt, again);
    }
    va_end(again);
    return text;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    size_t n;
    va_start(ap, fmt);
    char *text = format_text(a, &n, fmt, ap);
    va_end(ap);
    return text;
}

struct str str_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    size_t n;
    va_start(ap, fmt);
    char *text = format_text(a, &n, fmt, ap);
    va_end(ap);
    return str_n(text, n);
}

void arena_reset(struct arena *a)
{
    struct arena_chunk *keep = a->head;
    if (!keep)
        return;
    if (keep->size > LAST_CHUNK) { /* one huge first request must not stay for ever */
        arena_release(a);
        return;
    }
    for (struct arena_chunk *c = keep->next, *next; c; c = next) {
        next = c->next;
        chunk_free(a, c);
    }
    keep->next = NULL;
    POISON(keep->data, keep->size);
    a->at = keep->data;
    a->end = keep->data + keep->size;
}

void arena_release(struct arena *a)
{
    for (struct arena_chunk *c = a->head, *next; c; c = next) {
        next = c->next;
        chunk_free(a, c);
    }
    *a = (struct arena)ARENA_INIT;
}
