/*
 * How long the journal is kept. Every link.trim_s rows older than link.journal_hours are trimmed, a
 * few thousand in one change so that no other write waits long. Who follows the journal from a
 * position that is gone is told so: a subscription shows the gap and sends everything afresh, a
 * stream gets "reset". What another node still has to fetch stays (link/edge.h). History and
 * entities are not touched. Of several processes on one store one has the duty.
 */
#include "retention.h"
#include "core/log.h"
#include "link/edge.h"

enum { ROWS_A_CHANGE = 2000, ROWS_A_RUN = 100000 };

struct trim {
    int64_t tenant, upto;
};

static enum err apply(struct store_conn *c, void *ctx, struct error *e)
{
    const struct trim *t = ctx;
    return journal_trim(c, t->tenant, t->upto, e);
}

static bool take_instant(void *ctx, const struct journal_row *row)
{
    *(int64_t *)ctx = row->at;
    return false;
}

/* Newest row older than limit among [oldest, newest], or oldest - 1: instants rise with seq. */
static enum err last_before(struct store_conn *c, int64_t tenant, int64_t limit, int64_t oldest,
                            int64_t newest, int64_t *seq, struct error *e)
{
    int64_t low = oldest - 1, high = newest + 1;
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2, at = INT64_MAX;
        enum err err = journal_read(c, tenant, middle - 1, 1, take_instant, &at, e);
        if (err)
            return err;
        if (at < limit)
            low = middle;
        else
            high = middle;
    }
    *seq = low;
    return OK;
}

struct due {
    struct link *link;
    struct store_conn *c;
    struct arena arena;
    VEC(struct trim) trims;
    enum err err;
    struct error error;
};

static bool take_tenant(void *ctx, int64_t n, struct str name)
{
    struct due *d = ctx;
    int64_t oldest, newest, seq, unneeded;
    int64_t limit = clock_now(d->link->clock) - d->link->options.journal_hours * HOUR_US;
    (void)name;
    d->err = journal_range(d->c, n, &oldest, &newest, &d->error);
    if (!d->err)
        d->err = last_before(d->c, n, limit, oldest, newest, &seq, &d->error);
    if (!d->err)
        d->err = sync_unneeded(d->link->sync, d->c, n, &unneeded, &d->error);
    if (!d->err && seq > unneeded)
        seq = unneeded;
    for (int64_t upto = oldest - 1; !d->err && upto < seq;) {
        upto = seq - upto > ROWS_A_CHANGE ? upto + ROWS_A_CHANGE : seq;
        if (d->trims.n < ROWS_A_RUN / ROWS_A_CHANGE)
            *vec_push(&d->arena, &d->trims) = (struct trim){n, upto};
    }
    return d->err == OK;
}

void retention_run(struct link *l)
{
    struct due d = {.link = l};
    d.c = store_read(l->store, &d.error);
    if (!d.c)
        return;
    enum err err = repo_tenants(d.c, take_tenant, &d, &d.error);
    store_read_done(d.c);
    if (!err)
        err = d.err;
    for (size_t i = 0; !err && i < d.trims.n; i++)
        err = store_write(l->store, apply, &d.trims.v[i], &d.error);
    if (err)
        log_event(LOG_WARN, "link.retention_failed", LOG_Z("error", d.error.text));
    arena_release(&d.arena);
}

static void job(void *ctx)
{
    struct link *l = ctx;
    if (store_duty(l->store, "retention"))
        retention_run(l);
}

void retention_start(struct link *l)
{
    store_duty(l->store, "retention"); /* enter for it */
    pool_every(l->pool, l->options.trim_s * 1000, job, l);
}

void retention_stop(struct link *l)
{
    pool_never(l->pool, job, l);
}
