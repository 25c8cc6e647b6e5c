/*
 * buf.h - a growing byte buffer on the heap.
 *
 * For output whose size is not known and whose life is not a request's (else use an arena).
 * The text is always NUL-terminated once something was added. A limit may be set: additions past
 * it are dropped whole, and all later ones too, and buf.over becomes true, which the owner checks
 * once at the end.
 *
 *     struct buf b = BUF_INIT;
 *     buf_printf(&b, "%d", 3);
 *     buf_release(&b);
 */
#ifndef CORE_BUF_H
#define CORE_BUF_H

#include "core/str.h"
#include <string.h>

struct buf {
    char *p;
    size_t n, cap;
    size_t limit; /* 0: none */
    bool over;    /* an addition was dropped because of the limit */
};

#define BUF_INIT                                                                                   \
    {                                                                                              \
        0, 0, 0, 0, false                                                                          \
    }

void buf_release(struct buf *b);              /* free the memory; the buffer may be used again */
void buf_clear(struct buf *b);                /* forget the content, keep the memory */
void buf_reserve(struct buf *b, size_t more); /* memory for more bytes and a NUL, limit or not */
void buf_add_slow(struct buf *b, const void *p, size_t n); /* of buf_add() only */
static inline void buf_add(struct buf *b, const void *p, size_t n)
{
    if (n == 0 || b->limit || b->cap - b->n <= n) {
        buf_add_slow(b, p, n);
        return;
    }
    memcpy(b->p + b->n, p, n);
    b->n += n;
    b->p[b->n] = '\0';
}

static inline void buf_str(struct buf *b, struct str s)
{
    buf_add(b, s.p, s.n);
}

static inline void buf_char(struct buf *b, char c)
{
    buf_add(b, &c, 1);
}

void buf_i64(struct buf *b, int64_t v);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
struct str buf_view(const struct buf *b); /* valid until the next addition */
struct str buf_dup(const struct buf *b, struct arena *a);
char *buf_detach(struct buf *b, size_t *n); /* caller frees */

#define BUF_LIT(b, lit) buf_add((b), (lit), sizeof(lit) - 1)

#endif
