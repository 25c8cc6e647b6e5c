/* store.c - opening, closing, and the thin wrappers around the engine's functions. */
#include "engine.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct config_key keys[] = {
    CONFIG_SECRET("store.url", struct store_options, url, "",
                  "sqlite:PATH or postgres://user@host/database; empty: city.db in app.data_dir"),
    CONFIG_INT("store.readers", struct store_options, readers, 16, 1, 1000,
               "reader connections that may be open at once"),
    CONFIG_INT("store.queue_max", struct store_options, queue_max, 10000, 1, 1000000,
               "changes that may wait for the writer"),
    CONFIG_INT("store.batch_max", struct store_options, batch_max, 512, 1, 10000,
               "changes in one transaction"),
    CONFIG_INT("store.batch_shared_ms", struct store_options, batch_shared_ms, 2, 0, 1000,
               "milliseconds that the changes of one transaction may take where several tenants "
               "write, or twice as long as the disk takes; 0 is no limit"),
    CONFIG_INT("store.reader_wait_ms", struct store_options, reader_wait_ms, 2000, 1, 600000,
               "longest wait for a reader connection, milliseconds"),
    CONFIG_INT("store.statement_ms", struct store_options, statement_ms, 15000, 10, 3600000,
               "longest run of one statement, milliseconds (postgres)"),
    CONFIG_SIZE("store.cache_bytes", struct store_options, cache_bytes, "8m", 65536,
                INT64_C(1) << 40,
                "page cache of the writer; each reader gets a quarter of it (sqlite)"),
    CONFIG_SIZE("store.wal_bytes", struct store_options, wal_bytes, "16m", 65536, INT64_C(1) << 40,
                "checkpoint when the write-ahead log is longer (sqlite)"),
    CONFIG_STR("store.durability", struct store_options, durability, "full",
               "full: on disk before the answer; none: for tests and benchmarks only"),
};
const struct config_table store_config = {"store", keys, sizeof(keys) / sizeof(keys[0])};

struct store_options store_options_for(const char *url)
{
    struct store_options o;
    config_defaults(&(struct config_bind){&store_config, &o});
    o.url = url;
    return o;
}

const struct store_engine *engine_of(const char *url, struct error *e)
{
    if (url && strncmp(url, "sqlite:", 7) == 0 && url[7])
        return &store_engine_sqlite;
    if (url && (strncmp(url, "postgres://", 11) == 0 || strncmp(url, "postgresql://", 13) == 0))
        return &store_engine_postgres;
    /* Not quoted: a mistyped URL may hold a password. */
    error_set(e, ERR_INVALID, "store.url: neither sqlite:PATH nor postgres://...");
    return NULL;
}

static const char *copy_text(struct arena *a, const char *z)
{
    return z ? arena_dup(a, z, strlen(z)) : NULL;
}

struct store *store_alloc(const struct store_options *o, const struct clock *clock,
                          const struct store_engine *engine)
{
    struct store *s = calloc(1, sizeof(*s));
    if (!s)
        abort();
    s->engine = engine;
    s->clock = clock;
    s->options = *o;
    s->options.url = copy_text(&s->arena, o->url);
    s->options.durability = copy_text(&s->arena, o->durability);
    readers_init(&s->readers);
    writer_init(&s->writer);
    pthread_mutex_init(&s->listeners_lock, NULL);
    pthread_mutex_init(&s->health_lock, NULL);
    pthread_mutex_init(&s->marker_lock, NULL);
    s->news = journal_news_new();
    return s;
}

void store_free(struct store *s)
{
    s->engine->close(s);
    pthread_cond_destroy(&s->readers.returned);
    pthread_mutex_destroy(&s->readers.lock);
    pthread_cond_destroy(&s->writer.wake);
    pthread_mutex_destroy(&s->writer.lock);
    pthread_mutex_destroy(&s->listeners_lock);
    pthread_mutex_destroy(&s->health_lock);
    pthread_mutex_destroy(&s->marker_lock);
    journal_news_free(s->news);
    arena_release(&s->arena);
    free(s);
}

static enum err check_options(const struct store_options *o, struct error *e)
{
    struct str durability = str_c(o->durability);
    if (!str_eq(durability, S("full")) && !str_eq(durability, S("none")))
        return error_set(e, ERR_INVALID, "store.durability: neither full nor none");
    if (o->readers < 1 || o->queue_max < 1 || o->batch_max < 1)
        return error_set(e, ERR_INVALID,
                         "store: readers, queue_max and batch_max must be positive");
    return OK;
}

enum err store_open(struct store **out, const struct store_options *o, const struct clock *clock,
                    const struct store_module *modules, size_t n_modules, struct error *e)
{
    *out = NULL;
    enum err err = check_options(o, e);
    if (err)
        return err;
    const struct store_engine *engine = engine_of(o->url, e);
    if (!engine)
        return ERR_INVALID;
    struct store *s = store_alloc(o, clock, engine);
    if ((err = engine->open(s, e)))
        goto out;
    if ((err = migrate(s, modules, n_modules, e)))
        goto out;
    if ((err = engine->start(s, e)))
        goto out;
    err = writer_start(s, e);
out:
    if (err) {
        writer_stop(s);
        readers_release(s);
        store_free(s);
        return err;
    }
    *out = s;
    return OK;
}

enum err store_open_to_read(struct store **out, const struct store_options *o,
                            const struct clock *clock, const struct store_module *modules,
                            size_t n_modules, struct error *e)
{
    *out = NULL;
    enum err err = check_options(o, e);
    const struct store_engine *engine = err ? NULL : engine_of(o->url, e);
    if (!engine)
        return ERR_INVALID;
    struct store *s = store_alloc(o, clock, engine);
    s->read_only = true;
    s->writer.closing = true;
    if (!(err = engine->open(s, e)))
        err = migrate_verify(s, modules, n_modules, e);
    if (err)
        store_free(s);
    else
        *out = s;
    return err;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    writer_stop(s);
    readers_release(s);
    store_free(s);
}

const char *store_engine(const struct store *s)
{
    return s->engine->name;
}

struct store *store_of(const struct store_conn *c)
{
    return c->store;
}

bool store_degraded(const struct store *s, struct error *e)
{
    if (!atomic_load(&s->degraded))
        return false;
    struct store *own = (struct store *)s; /* the lock is not part of what const promises */
    pthread_mutex_lock(&own->health_lock);
    if (e)
        *e = own->reason;
    pthread_mutex_unlock(&own->health_lock);
    return true;
}

enum err conn_fail(struct store_conn *c, enum err code, const char *fmt, ...)
{
    if (c->failed)
        return code;
    char text[sizeof(c->error.text)];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    c->failed = code;
    return error_set(&c->error, code, "%s", text);
}

/* --- statements --- */

/* A reader's failures belong to the statement that failed; a writer's to the whole change. */
static void forget_failure(struct store_conn *c)
{
    if (c->role == CONN_READER && !c->lost)
        c->failed = OK;
}

enum err store_exec(struct store_conn *c, const char *sql, const struct store_value *values,
                    size_t n, int64_t *changed, struct error *e)
{
    enum err err;
    if (!writer_allows(c, sql))
        err = conn_fail(c, ERR_INTERNAL, "statement outside of a change: %.80s", sql);
    else
        err = c->store->engine->exec(c, sql, values, n, changed);
    if (err && e)
        *e = c->error;
    if (err)
        forget_failure(c);
    return err;
}

enum err store_put(struct store_conn *c, const struct store_bulk *bulk,
                   const struct store_value *values, size_t n, struct error *e)
{
    enum err err;
    if (!writer_allows(c, bulk->one))
        err = conn_fail(c, ERR_INTERNAL, "statement outside of a change: %.80s", bulk->one);
    else
        err = c->store->engine->put(c, bulk, values, n);
    if (err && e)
        *e = c->error;
    return err;
}

void store_ahead(struct store_conn *c, const struct store_bulk *bulk,
                 const struct store_value *values, size_t n)
{
    if (c->store->engine->ahead)
        c->store->engine->ahead(c, bulk, values, n);
}

void store_query(struct store_conn *c, struct store_rows *r, const char *sql,
                 const struct store_value *values, size_t n)
{
    r->conn = c;
    r->state = NULL;
    r->failed = OK;
    if (c->role == CONN_WRITER && !writer_allows(c, sql))
        r->failed = conn_fail(c, ERR_INTERNAL, "statement outside of a change: %.80s", sql);
    else
        r->failed = c->store->engine->query(c, r, sql, values, n);
    if (r->state)
        c->open_rows++;
}

bool store_next(struct store_rows *r)
{
    if (r->failed || !r->state)
        return false;
    int got = r->conn->store->engine->next(r);
    if (got < 0)
        r->failed = r->conn->failed;
    return got > 0;
}

bool store_is_null(const struct store_rows *r, int column)
{
    return r->conn->store->engine->is_null(r, column);
}

int64_t store_int(const struct store_rows *r, int column)
{
    return r->conn->store->engine->get_int(r, column);
}

double store_real(const struct store_rows *r, int column)
{
    return r->conn->store->engine->get_real(r, column);
}

struct str store_text(const struct store_rows *r, int column)
{
    return r->conn->store->engine->get_text(r, column);
}

struct str store_blob(const struct store_rows *r, int column)
{
    return r->conn->store->engine->get_text(r, column);
}

enum err store_end(struct store_rows *r, struct error *e)
{
    struct store_conn *c = r->conn;
    if (r->state) {
        c->store->engine->end(r);
        c->open_rows--;
        r->state = NULL;
    }
    if (r->failed) {
        if (e)
            *e = c->error;
        forget_failure(c);
    }
    return r->failed;
}

enum err store_get_int(struct store_conn *c, int64_t *out, const char *sql,
                       const struct store_value *values, size_t n, struct error *e)
{
    struct store_rows r;
    bool found = false;
    store_query(c, &r, sql, values, n);
    if (store_next(&r)) {
        *out = store_int(&r, 0);
        found = true;
    }
    enum err err = store_end(&r, e);
    if (!err && !found)
        err = error_set(e, ERR_NOT_FOUND, "no such row");
    return err;
}

/* --- several processes --- */

int64_t store_duty(struct store *s, const char *duty)
{
    return s->engine->duty ? s->engine->duty(s, duty) : 1;
}

enum err store_tell(struct store_conn *c, const char *topic, struct str key, struct error *e)
{
    if (!c->store->engine->tell)
        return OK;
    enum err err = writer_allows(c, "NOTIFY")
                       ? c->store->engine->tell(c, topic, key)
                       : conn_fail(c, ERR_INTERNAL, "a hint outside of a change: %.80s", topic);
    if (err && e)
        *e = c->error;
    return err;
}

void store_heed(struct store *s, const char *topic, void (*fn)(void *ctx, struct str key),
                void *ctx)
{
    pthread_mutex_lock(&s->listeners_lock);
    for (size_t i = 0; i < JOURNAL_LISTENERS; i++) {
        if (!s->heeders[i].fn) {
            s->heeders[i].topic = topic;
            s->heeders[i].fn = fn;
            s->heeders[i].ctx = ctx;
            break;
        }
    }
    pthread_mutex_unlock(&s->listeners_lock);
}

void store_unheed(struct store *s, void (*fn)(void *ctx, struct str key), void *ctx)
{
    pthread_mutex_lock(&s->listeners_lock);
    for (size_t i = 0; i < JOURNAL_LISTENERS; i++)
        if (s->heeders[i].fn == fn && s->heeders[i].ctx == ctx)
            s->heeders[i].fn = NULL;
    pthread_mutex_unlock(&s->listeners_lock);
}

void hints_heard(struct store *s, struct str topic, struct str key)
{
    if (!topic.p)
        journal_news_forget(s->news);
    pthread_mutex_lock(&s->listeners_lock);
    for (size_t i = 0; i < JOURNAL_LISTENERS; i++)
        if (s->heeders[i].fn && (!topic.p || str_eq(topic, str_c(s->heeders[i].topic))))
            s->heeders[i].fn(s->heeders[i].ctx, key);
    pthread_mutex_unlock(&s->listeners_lock);
}
