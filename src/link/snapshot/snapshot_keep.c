/*
 * The sweep over snapshots, once a minute and at the start: expired ones go, those whose making was
 * cut off have failed, endpoints that were not told are tried again. Of several processes on one
 * store one has the duty. A process that fills a snapshot says so with each part that it writes; on
 * a file there is one process only, so that what is not made when it starts never will be.
 */
#include "core/log.h"
#include "snapshot.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { EVERY_MS = 60000, SILENT_S = 600 /* nobody fills it any more */ };

struct snapshots {
    struct link *link;
    pthread_mutex_t lock;
    pthread_cond_t quiet;
    size_t flying; /* notifications on their way */
};

void snapshots_hold(struct link *l)
{
    pthread_mutex_lock(&l->snapshots->lock);
    l->snapshots->flying++;
    pthread_mutex_unlock(&l->snapshots->lock);
}

void snapshots_let_go(struct link *l)
{
    struct snapshots *x = l->snapshots;
    pthread_mutex_lock(&x->lock);
    if (--x->flying == 0)
        pthread_cond_broadcast(&x->quiet);
    pthread_mutex_unlock(&x->lock);
}

/* --- one that was cut off --- */

static const struct str lists[2][2] = {{S_INIT("snapshotQueries"),
                                        S_INIT("snapshotQueriesDetails")},
                                       {S_INIT("snapshotTemporalQueries"),
                                        S_INIT("snapshotTemporalQueriesDetails")}};

static struct json cut_off(struct arena *a, size_t n)
{
    struct json *items = ARENA_ARRAY(a, struct json, n + 1);
    for (size_t i = 0; i < n; i++) {
        items[i] = json_v_object(NULL, 0);
        items[i] = json_with(a, &items[i], S("resultStatus"), json_v_str(S("failure")));
    }
    return json_v_array(items, n);
}

static enum err mark_failed(struct link *l, struct arena *a, struct snapshot *s, struct error *e)
{
    struct json doc = *s->doc;
    for (int k = 0; k < 2; k++) {
        const struct json *asked = json_get(&doc, lists[k][0]);
        if (json_is(asked, JSON_ARRAY))
            doc = json_with(a, &doc, lists[k][1], cut_off(a, asked->n));
    }
    doc = json_with(a, &doc, S("snapshotStatus"), json_v_str(S("failure")));
    doc = json_with(a, &doc, S("modifiedAt"), json_v_str(datetime_text(a, clock_now(l->clock))));
    s->doc = &doc;
    s->made = true;
    enum err err = snapshot_save(l, s, e);
    if (!err)
        snapshot_tell(l, s->tenant_name, s, false);
    log_event(LOG_WARN, "link.snapshot_cut_off", LOG_S("snapshot", s->id));
    return err;
}

static enum err sweep_one(struct link *l, struct arena *a, struct snapshot *s, bool alone,
                          struct error *e)
{
    int64_t now = clock_now(l->clock);
    if (alone && s->expires <= now)
        return OK; /* the first sweep has time for it */
    if (!s->doc || s->expires <= now) {
        enum err err = snapshot_drop(l, s, e);
        if (!err && s->doc && s->expires) /* 0: who began to drop it has told so */
            snapshot_tell(l, s->tenant_name, s, true);
        return err;
    }
    if (!s->made && (alone || s->used < now - SILENT_S * SECOND_US))
        return mark_failed(l, a, s, e);
    if (s->made && s->notify)
        snapshot_tell(l, s->tenant_name, s, false);
    return OK;
}

void snapshots_sweep(struct link *l, bool alone)
{
    struct arena a = ARENA_INIT;
    struct snapshot *list;
    struct error e = {0};
    size_t n = 0;
    enum err err = snapshot_due(l, &a, &list, &n, &e);
    for (size_t i = 0; !err && i < n; i++)
        err = sweep_one(l, &a, &list[i], alone, &e);
    if (err)
        log_event(LOG_WARN, "link.snapshot_sweep_failed", LOG_Z("error", e.text));
    arena_release(&a);
}

/* --- when --- */

static void job(void *ctx)
{
    struct link *l = ctx;
    if (store_duty(l->store, "snapshots"))
        snapshots_sweep(l, false);
}

struct snapshots *snapshots_new(struct link *l)
{
    struct snapshots *x = calloc(1, sizeof(*x));
    if (!x)
        abort();
    x->link = l;
    pthread_mutex_init(&x->lock, NULL);
    pthread_cond_init(&x->quiet, NULL);
    l->snapshots = x;
    if (!l->pool)
        return x;
    if (!strcmp(store_engine(l->store), "sqlite"))
        snapshots_sweep(l, true);
    store_duty(l->store, "snapshots"); /* enter for it */
    pool_every(l->pool, EVERY_MS, job, l);
    return x;
}

void snapshots_free(struct snapshots *x)
{
    if (!x)
        return;
    if (x->link->pool)
        pool_never(x->link->pool, job, x->link);
    pthread_mutex_lock(&x->lock);
    while (x->flying)
        pthread_cond_wait(&x->quiet, &x->lock);
    pthread_mutex_unlock(&x->lock);
    pthread_cond_destroy(&x->quiet);
    pthread_mutex_destroy(&x->lock);
    free(x);
}
