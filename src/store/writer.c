/*
 * writer.c - the one thread that changes a store.
 *
 * Invariants:
 *
 *   1. Only the writer thread uses the writer connection, the journal heads and the outcomes.
 *   2. A change is in exactly one place: the queue, the current batch, or told. It is told once.
 *   3. done() is called with no lock held and no transaction open.
 *   4. done(OK) follows a commit that returned OK and included the whole of the change.
 *   5. store->commits is raised after that commit and before the first done(): whoever was told
 *      sees the change in the next snapshot.
 *   6. A batch is applied at once; when a change that has written fails, the transaction is rolled
 *      back and the batch applied once more with care: each change under its own savepoint.
 *   7. A remembered journal head equals what the transaction would read; whenever a savepoint or
 *      the transaction is rolled back, the heads go back with it.
 *   8. A batch is applied at most twice. Whatever fails, a change that is sound is not told so
 *      because of another one.
 *   9. The scope of a batch, which the engine grants at its beginning, holds the tenant of each of
 *      its changes; one change without a tenant makes it everything, and so does care. Changes of
 *      tenants that another process has just now go back to the front of the queue: nobody waits
 *      for them, but those of the tenant whose turn comes first always come. Outside of the scope
 *      nothing is written, and journal heads are known of it alone.
 *
 * States of the writer connection:
 *
 *   state       transaction  heads        leaves by
 *   CONN_IDLE   none         as committed begin -> OPEN
 *   CONN_OPEN   open         as written   next change -> CLEAN, commit/rollback -> IDLE
 *   CONN_CLEAN  open         as written   first write -> DIRTY, end of change -> OPEN
 *   CONN_DIRTY  open         as written   success -> OPEN
 *                                         failure: rollback, heads forgotten -> IDLE, with care
 *   with care the savepoint is open from the beginning of a change, and
 *   CONN_DIRTY  open         as written   success: release -> OPEN
 *                                         failure: undo, heads undone -> OPEN
 *   any, with c->lost        -            rollback, heads forgotten -> IDLE
 *   any, with c->aborted     -            undo -> OPEN, or rollback -> IDLE
 *
 * When disk or database fail, every change of the batch is told ERR_UNAVAILABLE, the store is
 * degraded, and the next batch, or a probe once a second, finds out whether it works again.
 */
#include "engine.h"

#include "core/log.h"
#include "core/metrics.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { TICK_MS = 500, TIDY_US = 500000, PROBE_US = 1000000, SHRINK_US = 10000000 };
enum { ONCE_MAX = 4096, DRAIN_STEP_NS = 1000000 };
enum { SHARED_US = 1000000 }; /* a tenant that wrote so lately counts as writing */

static struct metric batch_seconds =
    METRIC_HISTOGRAM("marugoto_store_batch_seconds", "from begin to durable commit of a batch");
static struct metric batches = METRIC_COUNTER("marugoto_store_batches_total", "batches committed");
static struct metric changes =
    METRIC_COUNTER("marugoto_store_changes_total", "changes in committed batches, failed ones too");
static struct metric failed_batches =
    METRIC_COUNTER("marugoto_store_batches_failed_total", "batches that could not be committed");
static struct metric queued =
    METRIC_GAUGE("marugoto_store_queued", "changes left waiting when the last batch was taken");

struct outcome {
    struct store_change *change;
    enum err code;
    struct error *error; /* in writer.errors, or NULL */
};

enum batch_end { BATCH_COMMITTED, BATCH_SPOILT, BATCH_LOST };

/* --- time --- */

static struct timespec steady_after(int64_t us)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += us * 1000 % 1000000000;
    t.tv_sec += us / SECOND_US + t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    return t;
}

static int64_t now_us(void)
{
    struct timespec t = steady_after(0);
    return (int64_t)t.tv_sec * SECOND_US + t.tv_nsec / 1000;
}

/* --- queue --- */

void writer_init(struct writer *w)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&w->wake, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&w->lock, NULL);
    for (size_t i = 0; i < WRITER_LANES; i++)
        w->lanes[i].last = &w->lanes[i].first;
}

/* A full queue still takes what keeps its lane within an equal share. */
static bool has_room(const struct writer *w, const struct writer_lane *lane, int64_t max)
{
    int64_t lanes = w->busy + (lane->n == 0);
    return w->queued < max || (w->queued < 2 * max && lanes > 1 && lane->n < max / lanes);
}

enum err store_submit(struct store *s, struct store_change *change)
{
    struct writer *w = &s->writer;
    struct writer_lane *lane = &w->lanes[change->lane % WRITER_LANES];
    enum err err = OK;
    bool wake = false;
    change->next = NULL;
    pthread_mutex_lock(&w->lock);
    if (w->closing || !has_room(w, lane, s->options.queue_max)) {
        err = ERR_UNAVAILABLE;
    } else {
        *lane->last = change;
        lane->last = &change->next;
        if (lane->n++ == 0) { /* it may not save up time in which it had nothing to do */
            w->busy++;
            lane->used = lane->used > w->used ? lane->used : w->used;
        }
        w->queued++;
        wake = w->queued == (w->gather ? w->gather : 1);
    }
    pthread_mutex_unlock(&w->lock);
    if (wake)
        pthread_cond_signal(&w->wake);
    return err;
}

static struct store_change *take_from(struct writer *w, struct writer_lane *lane)
{
    struct store_change *change = lane->first;
    lane->first = change->next;
    if (!lane->first)
        lane->last = &lane->first;
    w->busy -= --lane->n == 0;
    w->queued--;
    w->used = lane->used;
    lane->used += lane->cost;
    return change;
}

/* What a change took; it was taken for what those before it had cost. */
static void note_cost(struct writer *w, const struct store_change *change, int64_t us)
{
    struct writer_lane *lane = &w->lanes[change->lane % WRITER_LANES];
    pthread_mutex_lock(&w->lock);
    lane->used += us - lane->cost;
    lane->cost = lane->cost ? (7 * lane->cost + us) / 8 : us;
    pthread_mutex_unlock(&w->lock);
}

/* The lane that is served next; there is one. Among equals they take turns. */
static struct writer_lane *next_lane(struct writer *w)
{
    size_t best = WRITER_LANES, at = w->turn;
    for (size_t i = 0; i < WRITER_LANES; i++, at = (at + 1) % WRITER_LANES) {
        if (!w->lanes[at].first)
            continue;
        if (best == WRITER_LANES || w->lanes[at].used < w->lanes[best].used)
            best = at;
        if (w->busy == 1)
            break;
    }
    w->turn = (best + (w->busy > 1)) % WRITER_LANES;
    return &w->lanes[best];
}

/* How long the changes of a batch may take. Whoever comes now waits for the whole of it, so that
 * where several tenants write it is bounded; but not to less than twice the commit, which it is to
 * be worth. */
static int64_t time_for_batch(struct store *s, int64_t now)
{
    const struct writer *w = &s->writer;
    int64_t tenants = 0, most = s->options.batch_shared_ms * 1000;
    for (size_t i = 0; i < WRITER_LANES; i++)
        tenants += w->lanes[i].first || now - w->lanes[i].seen_us < SHARED_US;
    if (tenants < 2 || !most)
        return INT64_MAX;
    return most > 2 * w->commit_us ? most : 2 * w->commit_us;
}

/* Up to batch_max changes from the queue to the outcomes. */
static size_t fill_batch(struct store *s)
{
    struct writer *w = &s->writer;
    int64_t now = now_us(), left = w->queued ? time_for_batch(s, now) : 0;
    size_t n = 0;
    while (w->queued && n < (size_t)s->options.batch_max && (n == 0 || left > 0)) {
        struct writer_lane *lane = next_lane(w);
        left -= lane->cost;
        lane->seen_us = now;
        w->outcomes[n++] = (struct outcome){take_from(w, lane), OK, NULL};
    }
    return n;
}

/* --- the scope of a batch --- */

/* Where a tenant stands, or would stand, among those of the scope. */
static size_t place_of(const int64_t *tenants, size_t n, int64_t tenant)
{
    size_t low = 0;
    while (low < n) {
        size_t middle = low + (n - low) / 2;
        if (tenants[middle] < tenant)
            low = middle + 1;
        else
            n = middle;
    }
    return low;
}

/* Of the first n changes. Many tenants are locked one by one: beyond SCOPE_TENANTS all are. */
static struct batch_scope scope_of(struct writer *w, size_t n)
{
    struct batch_scope scope = {w->tenants, 0, w->outcomes[0].change->tenant};
    for (size_t i = 0; i < n; i++) {
        int64_t tenant = w->outcomes[i].change->tenant;
        size_t at = place_of(w->tenants, scope.n, tenant);
        if (at < scope.n && w->tenants[at] == tenant)
            continue;
        if (!tenant || scope.n == SCOPE_TENANTS)
            return (struct batch_scope){0};
        memmove(w->tenants + at + 1, w->tenants + at, (scope.n - at) * sizeof(*w->tenants));
        w->tenants[at] = tenant;
        scope.n++;
    }
    return scope;
}

static bool in_scope(const struct batch_scope *scope, int64_t tenant)
{
    size_t at = place_of(scope->tenants, scope->n, tenant);
    return !scope->n || (at < scope->n && scope->tenants[at] == tenant);
}

/* Those of other tenants go back, in their order. Returns how many stay. */
static size_t put_back(struct store *s, const struct batch_scope *scope, size_t n)
{
    struct writer *w = &s->writer;
    size_t stay = 0;
    pthread_mutex_lock(&w->lock);
    for (size_t i = n; i-- > 0;) {
        struct store_change *change = w->outcomes[i].change;
        struct writer_lane *lane = &w->lanes[change->lane % WRITER_LANES];
        if (in_scope(scope, change->tenant))
            continue;
        if (!lane->first)
            lane->last = &change->next;
        change->next = lane->first;
        lane->first = change;
        lane->used -= lane->cost;
        w->busy += lane->n++ == 0;
        w->queued++;
    }
    pthread_mutex_unlock(&w->lock);
    for (size_t i = 0; i < n; i++)
        if (in_scope(scope, w->outcomes[i].change->tenant))
            w->outcomes[stay++] = w->outcomes[i];
    return stay;
}

struct waiting {
    pthread_mutex_t lock;
    pthread_cond_t told;
    bool is_told;
    enum err code;
    struct error *error;
    void *ctx;
    enum err (*apply)(struct store_conn *, void *, struct error *);
};

static enum err waiting_apply(struct store_conn *c, void *ctx, struct error *e)
{
    struct waiting *w = ctx;
    return w->apply(c, w->ctx, e);
}

static void waiting_done(void *ctx, enum err code, const struct error *e)
{
    struct waiting *w = ctx;
    pthread_mutex_lock(&w->lock);
    w->code = code;
    if (code && w->error)
        *w->error = *e;
    w->is_told = true;
    pthread_cond_signal(&w->told);
    pthread_mutex_unlock(&w->lock);
}

enum err store_write(struct store *s,
                     enum err (*apply)(struct store_conn *, void *, struct error *), void *ctx,
                     struct error *e)
{
    if (s->writer.started && pthread_equal(pthread_self(), s->writer.thread))
        return error_set(e, ERR_INTERNAL, "store_write() on the writer thread would wait for ever");
    struct waiting w = {.error = e, .ctx = ctx, .apply = apply};
    struct store_change change = {.apply = waiting_apply, .done = waiting_done, .ctx = &w};
    pthread_mutex_init(&w.lock, NULL);
    pthread_cond_init(&w.told, NULL);
    enum err err = store_submit(s, &change);
    if (err) {
        error_set(e, err, "the queue of changes is full");
    } else {
        pthread_mutex_lock(&w.lock);
        while (!w.is_told)
            pthread_cond_wait(&w.told, &w.lock);
        pthread_mutex_unlock(&w.lock);
        err = w.code;
    }
    pthread_cond_destroy(&w.told);
    pthread_mutex_destroy(&w.lock);
    return err;
}

void store_drain(struct store *s)
{
    struct writer *w = &s->writer;
    for (bool busy = true; busy;) {
        pthread_mutex_lock(&w->lock);
        busy = w->started && (w->queued || w->applying);
        pthread_mutex_unlock(&w->lock);
        if (busy)
            nanosleep(&(struct timespec){0, DRAIN_STEP_NS}, NULL);
    }
}

/* --- one change --- */

static bool only_reads(const char *sql)
{
    sql += strspn(sql, " \t\r\n(");
    return strncasecmp(sql, "SELECT", 6) == 0;
}

bool writer_allows(struct store_conn *c, const char *sql)
{
    if (c->role == CONN_ADMIN)
        return true;
    if (c->role == CONN_READER)
        return only_reads(sql);
    if (c->state == CONN_DIRTY)
        return true;
    if (c->state != CONN_CLEAN)
        return false;
    if (!only_reads(sql))
        c->state = CONN_DIRTY;
    return true;
}

bool store_once(struct store_conn *c, struct str key)
{
    struct writer *w = &c->store->writer;
    if (c->role != CONN_WRITER || map_get(&w->once, key))
        return c->role != CONN_WRITER;
    if (w->once.n < ONCE_MAX)
        map_put(&w->once, str_dup(&w->once_keys, key), w);
    return true;
}

static void forget_once(struct writer *w)
{
    if (!w->once.n)
        return;
    map_release(&w->once);
    w->once = (struct map)MAP_INIT;
    arena_reset(&w->once_keys);
}

static enum err record(struct store *s, struct outcome *o, enum err code, const struct error *e)
{
    o->code = code;
    o->error = NULL;
    if (code) {
        o->error = ARENA_NEW(&s->writer.errors, struct error);
        *o->error = *e;
        o->error->code = code;
    }
    return code;
}

static void begin_change(struct store_conn *c, int64_t tenant, bool careful)
{
    c->failed = OK;
    c->state = CONN_CLEAN;
    c->tenant = tenant;
    if (careful && c->store->engine->savepoint(c) == OK)
        c->state = CONN_DIRTY;
}

/* Apply one change and make it part of the transaction, or undo it. */
static void apply_change(struct store *s, struct outcome *o, bool careful)
{
    struct store_conn *c = s->writer.conn;
    struct error e = {OK, ""};
    begin_change(c, o->change->tenant, careful);
    enum err code = c->failed ? c->failed : o->change->apply(c, o->change->ctx, &e);
    if (c->open_rows) {
        log_event(LOG_ERROR, "store.rows_left_open", LOG_I("n", c->open_rows));
        s->engine->end_all(c);
        c->open_rows = 0;
    }
    if (careful && !c->lost)
        s->engine->settle(c);
    if (c->failed && (!code || !e.text[0])) {
        code = c->failed;
        e = c->error;
    }
    record(s, o, code, &e);
    if (code && !careful && c->state == CONN_DIRTY)
        c->aborted = true; /* what it wrote cannot be undone alone */
    if (c->lost || (c->aborted && !careful))
        return; /* the whole batch ends here */
    if (c->state == CONN_DIRTY) {
        if (code)
            s->engine->undo(c);
        else if (careful)
            s->engine->release(c);
        if (code)
            forget_once(&s->writer);
    }
    if (c->state == CONN_DIRTY && !o->change->ahead && s->engine->ahead_forget)
        s->engine->ahead_forget(c); /* it may have written what is known ahead */
    if (code)
        journal_heads_undo(s->writer.heads);
    else
        journal_heads_keep(s->writer.heads);
    c->state = CONN_OPEN;
    if (!c->lost && !c->aborted)
        c->failed = OK;
}

/* --- one batch --- */

static void roll_back(struct store *s)
{
    struct store_conn *c = s->writer.conn;
    s->engine->rollback(c);
    journal_heads_forget(s->writer.heads);
    c->state = CONN_IDLE;
    c->open_rows = 0;
    c->failed = OK;
    c->lost = c->aborted = false;
}

static void ask_ahead(struct store *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct store_change *change = s->writer.outcomes[i].change;
        if (change->ahead)
            change->ahead(s->writer.conn, change->ctx);
    }
}

/* *n becomes how many there are: some may go back. */
static enum batch_end run_transaction(struct store *s, size_t *n, bool careful, bool *rows,
                                      struct error *e)
{
    struct writer *w = &s->writer;
    struct store_conn *c = w->conn;
    struct batch_scope scope = careful ? (struct batch_scope){0} : scope_of(w, *n);
    size_t tenants = scope.n;
    forget_once(w);
    if (!careful)
        ask_ahead(s, *n);
    if (s->engine->begin(c, &scope, e)) {
        roll_back(s);
        return BATCH_LOST;
    }
    c->state = CONN_OPEN;
    if (scope.n < tenants)
        *n = put_back(s, &scope, *n);
    for (size_t i = 0; i < *n; i++) {
        int64_t began = now_us();
        apply_change(s, &w->outcomes[i], careful);
        if (c->lost || c->aborted)
            goto fail;
        note_cost(w, w->outcomes[i].change, now_us() - began);
    }
    *rows = journal_heads_dirty(w->heads);
    c->state = CONN_DIRTY; /* the flush is ours: it needs no savepoint */
    if (journal_heads_flush(c))
        goto fail;
    int64_t began = now_us();
    if (s->engine->commit(c, *rows, e))
        goto out;
    w->commit_us = now_us() - began;
    c->state = CONN_IDLE;
    return BATCH_COMMITTED;
fail:
    *e = c->error;
out:;
    enum batch_end end = c->lost || careful ? BATCH_LOST : BATCH_SPOILT;
    roll_back(s);
    return end;
}

static void set_health(struct store *s, const struct error *reason)
{
    bool was = atomic_load(&s->degraded);
    if (!reason && !was)
        return;
    pthread_mutex_lock(&s->health_lock);
    if (reason)
        s->reason = *reason;
    atomic_store(&s->degraded, reason != NULL);
    pthread_mutex_unlock(&s->health_lock);
    if (reason && !was)
        log_event(LOG_ERROR, "store.degraded", LOG_Z("reason", reason->text));
    if (!reason)
        log_event(LOG_INFO, "store.recovered", LOG_Z("engine", s->engine->name));
}

static void tell_all(struct store *s, size_t n)
{
    static const struct error none = {OK, ""};
    for (size_t i = 0; i < n; i++) {
        struct outcome *o = &s->writer.outcomes[i];
        o->change->done(o->change->ctx, o->code, o->error ? o->error : &none);
    }
    arena_reset(&s->writer.errors);
}

/* Returns how many there were in the end. */
static size_t run_batch(struct store *s, size_t n)
{
    struct error e = {OK, ""};
    bool rows = false;
    int64_t started = clock_steady(s->clock);
    enum batch_end end = run_transaction(s, &n, false, &rows, &e);
    if (end == BATCH_SPOILT) {
        arena_reset(&s->writer.errors);
        end = run_transaction(s, &n, true, &rows, &e);
    }
    if (end == BATCH_COMMITTED) {
        atomic_fetch_add(&s->commits, 1);
        metric_time(&batch_seconds, clock_steady(s->clock) - started);
        metric_add(&batches, 1);
        metric_add(&changes, (int64_t)n);
        set_health(s, NULL);
        if (rows)
            journal_committed(s);
    } else {
        e.code = ERR_UNAVAILABLE;
        metric_add(&failed_batches, 1);
        set_health(s, &e);
        arena_reset(&s->writer.errors);
        for (size_t i = 0; i < n; i++)
            record(s, &s->writer.outcomes[i], ERR_UNAVAILABLE, &e);
    }
    tell_all(s, n);
    return n;
}

/* --- the thread --- */

static enum err probe_apply(struct store_conn *c, void *ctx, struct error *e)
{
    (void)ctx;
    return store_exec(c, "UPDATE store_state SET probes = probes + 1 WHERE id = 1", SV_EMPTY, NULL,
                      e);
}

static void probe_done(void *ctx, enum err code, const struct error *e)
{
    (void)ctx, (void)code, (void)e;
}

static void tidy(struct store *s, bool idle)
{
    struct writer *w = &s->writer;
    int64_t now = clock_steady(s->clock);
    static struct store_change probe = {probe_apply, probe_done, NULL, NULL};
    if (idle && atomic_load(&s->degraded) && now - w->last_busy >= PROBE_US) {
        w->last_busy = now;
        w->outcomes[0] = (struct outcome){&probe, OK, NULL};
        run_batch(s, 1);
    }
    readers_tidy(s, false);
    s->engine->tidy(s, w->conn, idle);
    if (idle && !w->conn->shrunk && now - w->last_busy >= SHRINK_US) {
        s->engine->shrink(w->conn);
        w->conn->shrunk = true;
    }
    w->last_tidy = now;
}

/*
 * Those who were just told are likely to come back at once; without a short wait for them the
 * clients split into groups that take turns, and each fsync carries half of what it could. A lone
 * client is taken as soon as it is there. At most an eighth of the last batch's time is waited.
 */
static void gather(struct writer *w)
{
    struct timespec until = steady_after(w->batch_us / 8);
    w->gather = w->batch + w->queued;
    while (!w->closing && w->queued < w->gather &&
           pthread_cond_timedwait(&w->wake, &w->lock, &until) != ETIMEDOUT)
        continue;
    w->gather = 0;
    w->batch = 0;
}

/* Waits one tick at most. */
static size_t take_batch(struct store *s, bool *closing)
{
    struct writer *w = &s->writer;
    pthread_mutex_lock(&w->lock);
    if (w->batch)
        gather(w);
    if (!w->queued && !w->closing) {
        struct timespec until = steady_after(TICK_MS * 1000);
        while (!w->queued && !w->closing &&
               pthread_cond_timedwait(&w->wake, &w->lock, &until) != ETIMEDOUT)
            continue;
    }
    size_t n = fill_batch(s);
    w->applying = n > 0;
    if (n)
        metric_set(&queued, w->queued);
    *closing = w->closing;
    pthread_mutex_unlock(&w->lock);
    return n;
}

static void *run(void *arg)
{
    struct store *s = arg;
    struct writer *w = &s->writer;
    for (;;) {
        bool closing;
        size_t n = take_batch(s, &closing);
        if (n) {
            w->last_busy = clock_steady(s->clock);
            w->conn->shrunk = false;
            struct timespec started = steady_after(0);
            n = run_batch(s, n);
            pthread_mutex_lock(&w->lock);
            w->applying = false;
            pthread_mutex_unlock(&w->lock);
            struct timespec ended = steady_after(0);
            w->batch = (int64_t)n;
            w->batch_us = (ended.tv_sec - started.tv_sec) * SECOND_US +
                          (ended.tv_nsec - started.tv_nsec) / 1000;
        } else if (closing) {
            return NULL;
        }
        if (n == 0 || clock_steady(s->clock) - w->last_tidy >= TIDY_US)
            tidy(s, n == 0);
    }
}

enum err writer_start(struct store *s, struct error *e)
{
    struct writer *w = &s->writer;
    enum err err = s->engine->connect(s, CONN_WRITER, &w->conn, e);
    if (err)
        return err;
    w->outcomes = calloc((size_t)s->options.batch_max, sizeof(*w->outcomes));
    w->tenants = calloc(SCOPE_TENANTS, sizeof(*w->tenants));
    if (!w->outcomes || !w->tenants)
        abort();
    w->heads = journal_heads_new();
    w->last_tidy = w->last_busy = clock_steady(s->clock);
    w->started = true;
    if (pthread_create(&w->thread, NULL, run, s) != 0) {
        w->started = false;
        return error_set(e, ERR_INTERNAL, "cannot start the writer thread");
    }
    return OK;
}

void writer_stop(struct store *s)
{
    struct writer *w = &s->writer;
    pthread_mutex_lock(&w->lock);
    w->closing = true;
    pthread_mutex_unlock(&w->lock);
    pthread_cond_signal(&w->wake);
    if (w->started)
        pthread_join(w->thread, NULL);
    w->started = false;
    if (w->conn)
        s->engine->disconnect(w->conn);
    w->conn = NULL;
    journal_heads_free(w->heads);
    free(w->outcomes);
    free(w->tenants);
    arena_release(&w->errors);
    forget_once(w);
    arena_release(&w->once_keys);
}
