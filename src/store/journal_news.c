/*
 * journal_news.c - what this process knows of the newest rows because it wrote them.
 *
 * Of each tenant the newest row, and runs of rows with one mark. It saves followers the reading:
 * nothing depends on its being complete. What is forgotten, or was written by somebody else, is
 * read.
 *
 *   1. Only committed rows are in it.
 *   2. `head` is the newest row that we committed. Another process may have gone on from there:
 *      then the epoch rises, when we hear of it, before anybody is woken.
 *   3. The epoch also rises when tenants are forgotten.
 */
#include "core/map.h"
#include "engine.h"
#include <stdlib.h>

enum { TENANTS_MAX = 2048, RUNS = 32 };

struct run {
    int64_t from, to;
    uint64_t mark;
};

struct tenant_news {
    int64_t tenant, head;
    struct run runs[RUNS]; /* a ring; the newest before `next` */
    unsigned next;
};

struct journal_news {
    pthread_mutex_t lock;
    struct arena arena;
    struct map by_tenant; /* key: the bytes of tenant_news.tenant */
    uint64_t epoch;
};

struct journal_news *journal_news_new(void)
{
    struct journal_news *n = calloc(1, sizeof(*n));
    if (!n)
        abort();
    pthread_mutex_init(&n->lock, NULL);
    n->epoch = 1;
    return n;
}

void journal_news_free(struct journal_news *n)
{
    if (!n)
        return;
    map_release(&n->by_tenant);
    arena_release(&n->arena);
    pthread_mutex_destroy(&n->lock);
    free(n);
}

static struct str key_of(const int64_t *tenant)
{
    return str_n((const char *)tenant, sizeof(*tenant));
}

static void forget(struct journal_news *n)
{
    map_release(&n->by_tenant);
    arena_reset(&n->arena);
    n->epoch++;
}

static struct tenant_news *news_of(struct journal_news *n, int64_t tenant)
{
    struct tenant_news *t = map_get(&n->by_tenant, key_of(&tenant));
    if (t)
        return t;
    if (n->by_tenant.n == TENANTS_MAX)
        forget(n);
    t = ARENA_NEW(&n->arena, struct tenant_news);
    t->tenant = tenant;
    map_put(&n->by_tenant, key_of(&t->tenant), t);
    return t;
}

static void add_to_run(struct tenant_news *t, const struct journal_fresh *row)
{
    struct run *last = &t->runs[(t->next + RUNS - 1) % RUNS];
    if (last->mark == row->mark && last->to == row->seq - 1) {
        last->to = row->seq;
        return;
    }
    t->runs[t->next] = (struct run){row->seq, row->seq, row->mark};
    t->next = (t->next + 1) % RUNS;
}

bool journal_news_add(struct journal_news *n, const struct journal_fresh *rows, size_t n_rows)
{
    bool unmarked = n_rows == 0;
    struct tenant_news *t = NULL;
    pthread_mutex_lock(&n->lock);
    for (size_t i = 0; i < n_rows; i++) {
        if (!t || t->tenant != rows[i].tenant)
            t = news_of(n, rows[i].tenant);
        t->head = rows[i].seq;
        if (rows[i].mark)
            add_to_run(t, &rows[i]);
        else
            unmarked = true;
    }
    pthread_mutex_unlock(&n->lock);
    return unmarked;
}

void journal_news_foreign(struct journal_news *n)
{
    pthread_mutex_lock(&n->lock);
    n->epoch++;
    pthread_mutex_unlock(&n->lock);
}

void journal_news_forget(struct journal_news *n)
{
    pthread_mutex_lock(&n->lock);
    forget(n);
    pthread_mutex_unlock(&n->lock);
}

uint64_t journal_epoch(struct store *s)
{
    pthread_mutex_lock(&s->news->lock);
    uint64_t epoch = s->news->epoch;
    pthread_mutex_unlock(&s->news->lock);
    return epoch;
}

bool journal_still(struct store *s, int64_t tenant, int64_t after, uint64_t epoch)
{
    struct journal_news *n = s->news;
    pthread_mutex_lock(&n->lock);
    const struct tenant_news *t = map_get(&n->by_tenant, key_of(&tenant));
    bool still = epoch == n->epoch && (!t || t->head <= after);
    pthread_mutex_unlock(&n->lock);
    return still;
}

int64_t journal_marked(struct store *s, int64_t tenant, int64_t after, uint64_t mark)
{
    struct journal_news *n = s->news;
    pthread_mutex_lock(&n->lock);
    const struct tenant_news *t = map_get(&n->by_tenant, key_of(&tenant));
    for (unsigned i = 0; t && i < RUNS; i++) { /* oldest first */
        const struct run *r = &t->runs[(t->next + i) % RUNS];
        if (r->mark == mark && r->from <= after + 1 && r->to > after)
            after = r->to;
    }
    pthread_mutex_unlock(&n->lock);
    return after;
}

/* --- marking --- */

void journal_mark_by(struct store *s, journal_marker *fn, void *ctx)
{
    pthread_mutex_lock(&s->marker_lock);
    s->marker = fn;
    s->marker_ctx = ctx;
    pthread_mutex_unlock(&s->marker_lock);
}

uint64_t journal_mark(struct store_conn *c, struct arena *a, int64_t tenant, const void *what)
{
    struct store *s = c->store;
    pthread_mutex_lock(&s->marker_lock);
    uint64_t mark = s->marker ? s->marker(s->marker_ctx, a, tenant, what) : 0;
    pthread_mutex_unlock(&s->marker_lock);
    return mark;
}
