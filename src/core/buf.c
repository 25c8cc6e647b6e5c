#include "core/buf.h"

#include "core/arena.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void out_of_memory(void)
{
    fputs("out of memory: cannot grow a buffer\n", stderr);
    abort();
}

void buf_release(struct buf *b)
{
    free(b->p);
    *b = (struct buf){.limit = b->limit};
}

void buf_clear(struct buf *b)
{
    b->n = 0;
    b->over = false;
    if (b->p)
        b->p[0] = '\0';
}

void buf_reserve(struct buf *b, size_t more)
{
    size_t need; /* with the NUL */
    if (__builtin_add_overflow(b->n, more, &need) || need > SIZE_MAX / 2)
        out_of_memory();
    if (++need <= b->cap)
        return;
    size_t cap = b->cap ? b->cap * 2 : 64;
    if (cap < need)
        cap = need;
    b->p = realloc(b->p, cap);
    if (!b->p)
        out_of_memory();
    b->cap = cap;
}

/* Room for n more bytes, or false when the limit forbids them. */
static bool admit(struct buf *b, size_t n)
{
    if (b->limit && (b->over || b->n > b->limit || n > b->limit - b->n)) {
        b->over = true;
        return false;
    }
    buf_reserve(b, n);
    return true;
}

void buf_add_slow(struct buf *b, const void *p, size_t n)
{
    if (!admit(b, n))
        return;
    if (n)
        memcpy(b->p + b->n, p, n);
    b->n += n;
    b->p[b->n] = '\0';
}

void buf_i64(struct buf *b, int64_t v)
{
    char text[20], *p = text + sizeof(text);
    uint64_t left = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    do {
        *--p = (char)('0' + left % 10);
        left /= 10;
    } while (left);
    if (v < 0)
        *--p = '-';
    buf_add(b, p, (size_t)(text + sizeof(text) - p));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int wrote = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (wrote < 0 || !admit(b, (size_t)wrote))
        return;
    va_start(ap, fmt);
    vsnprintf(b->p + b->n, (size_t)wrote + 1, fmt, ap);
    va_end(ap);
    b->n += (size_t)wrote;
}

struct str buf_view(const struct buf *b)
{
    return b->p ? str_n(b->p, b->n) : S("");
}

struct str buf_dup(const struct buf *b, struct arena *a)
{
    return str_dup(a, buf_view(b));
}

char *buf_detach(struct buf *b, size_t *n)
{
    buf_reserve(b, 0); /* an empty buffer is detached as "" */
    b->p[b->n] = '\0';
    char *p = b->p;
    if (n)
        *n = b->n;
    *b = (struct buf){.limit = b->limit};
    return p;
}
