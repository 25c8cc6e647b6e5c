/* The part of accounts in a running city: opened, closed, swept. */
#include "account_impl.h"
#include "core/log.h"
#include <stdlib.h>

enum { SWEEP_MS = 30000 };

static enum err sweep(struct store_conn *c, void *ctx, struct error *e)
{
    struct accounts *a = ctx;
    int64_t now = clock_now(a->trust->clock);
    enum err err = session_end_old(a->trust, c, now, e);
    if (!err)
        err = throttle_sweep(c, now, e);
    if (!err)
        err = secret_sweep(c, now, e);
    return err ? err : passkey_sweep(c, now, e);
}

/* One process does it for all. */
static void sweep_now(void *accounts)
{
    struct accounts *a = accounts;
    struct error e = {0};
    if (store_duty(a->trust->store, "trust.accounts") && store_write(a->trust->store, sweep, a, &e))
        log_event(LOG_WARN, "trust.sweep_failed", LOG_Z("reason", e.text));
}

struct accounts *accounts_open(struct trust *t, struct error *e)
{
    struct accounts *a = calloc(1, sizeof(*a));
    (void)e;
    if (!a)
        abort();
    a->trust = t;
    a->gate = gate_new(t->pool, t->options.password_parallel, t->options.password_queue);
    pool_every(t->pool, SWEEP_MS, sweep_now, a);
    return a;
}

void accounts_close(struct accounts *a)
{
    if (!a)
        return;
    pool_never(a->trust->pool, sweep_now, a);
    gate_free(a->gate);
    free(a);
}
