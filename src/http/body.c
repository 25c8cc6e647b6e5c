#include "body.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    ARENA_MAX = 16 * 1024,   /* declared bodies up to this size go to the arena */
    MEMORY_MAX = 1024 * 1024 /* longer ones are spooled where that is allowed */
};

void body_expect(struct body *b, struct arena *a, size_t limit, int64_t declared, const char *spool)
{
    *b = (struct body){.fd = -1, .limit = limit, .spool = spool, .kind = BODY_HEAP};
    if (declared >= 0 && declared <= ARENA_MAX) {
        b->kind = BODY_ARENA;
        b->cap = (size_t)declared;
        b->p = arena_alloc(a, b->cap + 1);
    }
}

static enum err write_all(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t wrote = write(fd, p, n);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return ERR_IO;
        p += wrote;
        n -= (size_t)wrote;
    }
    return OK;
}

/* Move what is in memory to a file that has no name, so that nothing is left after a crash. */
static enum err start_spool(struct body *b)
{
    b->fd = open(b->spool, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (b->fd < 0)
        return ERR_IO;
    enum err err = write_all(b->fd, b->p, b->n);
    free(b->p);
    b->p = NULL;
    b->cap = 0;
    b->kind = BODY_FILE;
    return err;
}

enum err body_add(struct body *b, const char *p, size_t n)
{
    if (n > b->limit - b->n)
        return ERR_TOO_LARGE;
    if (b->kind == BODY_HEAP && b->spool && b->n + n > MEMORY_MAX) {
        enum err err = start_spool(b);
        if (err)
            return err;
    }
    if (b->kind == BODY_FILE) {
        b->n += n;
        return write_all(b->fd, p, n);
    }
    if (b->n + n > b->cap) {
        if (b->kind == BODY_ARENA)
            return ERR_TOO_LARGE; /* more than was declared */
        size_t cap = b->cap ? b->cap * 2 : 4096;
        b->cap = cap < b->n + n ? b->n + n : cap;
        b->p = realloc(b->p, b->cap + 1);
        if (!b->p)
            abort();
    }
    memcpy(b->p + b->n, p, n);
    b->n += n;
    return OK;
}

enum err body_finish(struct body *b, struct str *out)
{
    *out = str_n(b->p ? b->p : "", b->n);
    if (b->kind == BODY_FILE) {
        char *mapped = mmap(NULL, b->n, PROT_READ, MAP_PRIVATE, b->fd, 0);
        if (mapped == MAP_FAILED)
            return ERR_IO;
        b->p = mapped;
        b->kind = BODY_MAPPED;
        *out = str_n(mapped, b->n);
    }
    return OK;
}

void body_release(struct body *b)
{
    if (b->kind == BODY_HEAP)
        free(b->p);
    else if (b->kind == BODY_MAPPED)
        munmap(b->p, b->n);
    if (b->fd >= 0)
        close(b->fd);
    *b = (struct body){.fd = -1};
}
