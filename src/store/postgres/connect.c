/*
 * connect.c - the PostgreSQL engine: connections and transactions.
 *
 * Several processes may share one database. Invariants:
 *
 *   1. A batch holds locks from its beginning to its commit: of the whole store, or, where all its
 *      changes keep to tenants, a share in that and those of the tenants. It waits for that share,
 *      then for one tenant, and takes of the others what is free, so that nobody waits in a circle.
 *      So batches of different tenants run side by side, and nobody writes beside one that may
 *      write anything.
 *   2. What a batch reads it reads after it got its locks, the heads of the journals too: positions
 *      of a tenant are dense and in the order of commit, whoever writes. Nothing is remembered of
 *      rows from one batch to the next.
 *   3. Locks are held while a batch is applied, and not while the disk works: the commit makes
 *      the batch visible and frees the locks, then the log is brought to disk, then the submitters
 *      are told. So the batches of two processes overlap, and their waits for the disk are one.
 *      The log is written in order: when a batch is on disk, so is all that it was built on.
 *   4. Who reads the journal waits until what it saw is on disk (durable()); nobody follows a
 *      change that a crash of the server could take back. Other readers may see a change a moment
 *      before its submitter is told.
 *   5. A commit whose answer was lost with the connection is looked up afterwards by its
 *      transaction id, and brought to disk.
 */
#include "postgres.h"

#include "crypto/hash.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RESOLVE_TRIES = 25, RESOLVE_WAIT_MS = 200, OLDEST_SERVER = 140000 };
enum { LOG_PAGE = 8192, LOG_HEADER = 24, LOG_SEGMENT = 1 << 20, LOG_FIRST_HEADER = 40 };
enum { DURABLE_TRIES = 100, DURABLE_PATIENCE = 50 }; /* looks; of them a millisecond apart */

/* A record in the log, committed: returns when the log is on disk (and at the standbys that the
 * server waits for) up to it. */
static const char bring_to_disk[] = "SELECT pg_logical_emit_message(true, 'marugoto', '')";

static bool is_durable(const struct store *s)
{
    return strcmp(s->options.durability, "none") != 0;
}

enum err pg_code(const char *state, bool alive)
{
    static const struct {
        const char *prefix;
        enum err code;
    } map[] = {
        {"08P01", ERR_INTERNAL},    /* wrong number of values */
        {"08", ERR_UNAVAILABLE},    /* connection */
        {"23505", ERR_EXISTS},      /* unique key */
        {"23", ERR_CONFLICT},       /* other constraints */
        {"25006", ERR_UNAVAILABLE}, /* read-only: a standby */
        {"40", ERR_UNAVAILABLE},    /* serialization, deadlock */
        {"53", ERR_UNAVAILABLE},    /* disk full, out of memory, too many connections */
        {"54", ERR_TOO_LARGE},      /* over a limit of the server */
        {"55P03", ERR_UNAVAILABLE}, /* lock not available */
        {"57014", ERR_TIMEOUT},     /* statement_timeout */
        {"57P", ERR_UNAVAILABLE},   /* shutdown, crash, starting up */
        {"58", ERR_UNAVAILABLE},    /* I/O */
        {"XX001", ERR_CORRUPT},     {"XX002", ERR_CORRUPT},
    };
    if (!state)
        return alive ? ERR_INTERNAL : ERR_UNAVAILABLE;
    for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
        if (strncmp(state, map[i].prefix, strlen(map[i].prefix)) == 0)
            return map[i].code;
    return alive ? ERR_INTERNAL : ERR_UNAVAILABLE;
}

enum err pg_error(PGconn *pg, const PGresult *r, struct error *e, const char *what)
{
    const char *state = r ? PQresultErrorField(r, PG_DIAG_SQLSTATE) : NULL;
    const char *text = r ? PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    if (!text)
        text = PQerrorMessage(pg);
    int n = (int)strcspn(text, "\n");
    return error_set(e, pg_code(state, PQstatus(pg) == CONNECTION_OK), "%s: %.*s (%s)", what, n,
                     text, state ? state : "connection");
}

enum err pg_run(PGconn *pg, const char *sql, struct error *e)
{
    PGresult *r = PQexec(pg, sql);
    ExecStatusType status = PQresultStatus(r);
    enum err err = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK
                       ? OK
                       : pg_error(pg, r, e, "postgres");
    PQclear(r);
    return err;
}

static void ignore_notice(void *ctx, const char *text)
{
    (void)ctx, (void)text;
}

static enum err check_server(PGconn *pg, struct error *e)
{
    const char *encoding = PQparameterStatus(pg, "server_encoding");
    if (PQserverVersion(pg) < OLDEST_SERVER)
        return error_set(e, ERR_INVALID, "postgres: server is older than version 14");
    if (!encoding || strcmp(encoding, "UTF8") != 0)
        return error_set(e, ERR_INVALID, "postgres: the database's encoding is %s, not UTF8",
                         encoding ? encoding : "unknown");
    return OK;
}

enum err pg_connect(struct store *s, enum conn_role role, PGconn **out, struct error *e)
{
    /* What the URL says comes later and wins. */
    const char *names[] = {"connect_timeout",  "keepalives_idle",  "keepalives_interval",
                           "keepalives_count", "tcp_user_timeout", "fallback_application_name",
                           "client_encoding",  "dbname",           NULL};
    const char *values[] = {"5", "10", "5", "3", "15000", "marugoto", "UTF8", s->options.url, NULL};
    char sql[300];
    PGconn *pg = PQconnectdbParams(names, values, 1);
    enum err err;
    if (PQstatus(pg) != CONNECTION_OK) {
        error_set(e, ERR_UNAVAILABLE, "postgres: %.*s", (int)strcspn(PQerrorMessage(pg), "\n"),
                  PQerrorMessage(pg));
        PQfinish(pg);
        return ERR_UNAVAILABLE;
    }
    PQsetNoticeProcessor(pg, ignore_notice, NULL);
    if ((err = check_server(pg, e)))
        goto out;
    snprintf(
        sql, sizeof(sql),
        "SET statement_timeout = %lld; SET synchronous_commit = %s; SET extra_float_digits = 1;"
        "SET client_min_messages = error; SET standard_conforming_strings = on",
        role == CONN_ADMIN ? 0LL : (long long)s->options.statement_ms,
        is_durable(s) ? "on" : "off");
    err = pg_run(pg, sql, e);
    /* Much cheaper than the server's own compression; a server that does not know it keeps that. */
    if (!err && role == CONN_WRITER)
        PQclear(PQexec(pg, "SET default_toast_compression = lz4"));
out:
    if (err) {
        PQfinish(pg);
        return err;
    }
    *out = pg;
    return OK;
}

/* --- life --- */

static enum err engine_open(struct store *s, struct error *e)
{
    (void)e;
    struct pg_data *d = calloc(1, sizeof(*d));
    if (!d)
        abort();
    pg_listen_init(d);
    s->engine_data = d;
    return OK;
}

static void engine_close(struct store *s)
{
    if (!s->engine_data)
        return;
    pg_listen_stop(s);
    pthread_mutex_destroy(&((struct pg_data *)s->engine_data)->duty_lock);
    free(s->engine_data);
    s->engine_data = NULL;
}

static void disconnect(struct store_conn *c)
{
    struct pg_conn *q = (struct pg_conn *)c;
    pg_end_all(c);
    pg_bulk_free(q);
    pg_forget_statements(q);
    PQfinish(q->pg);
    free(q->values);
    free(q->lengths);
    free(q->formats);
    free(q->numbers);
    free(q);
}

static enum err engine_connect(struct store *s, enum conn_role role, struct store_conn **out,
                               struct error *e)
{
    struct pg_conn *q = calloc(1, sizeof(*q));
    if (!q)
        abort();
    q->base.store = s;
    q->base.role = role;
    enum err err = pg_connect(s, role, &q->pg, e);
    if (!err && !PQenterPipelineMode(q->pg))
        err = error_set(e, ERR_INTERNAL, "postgres: no pipeline mode");
    if (err) {
        disconnect(&q->base);
        return err;
    }
    *out = &q->base;
    return OK;
}

enum err pg_reconnect(struct pg_conn *q)
{
    struct store_conn *c = &q->base;
    PGconn *pg = NULL;
    struct error e;
    enum err err = pg_connect(c->store, c->role, &pg, &e);
    if (err) {
        c->lost = true;
        return conn_fail(c, err, "%s", e.text);
    }
    PQfinish(q->pg);
    q->pg = pg;
    PQenterPipelineMode(pg);
    pg_forget_statements(q);
    q->queued = q->syncs = 0;
    c->in_snapshot = c->lost = c->aborted = false;
    c->failed = OK;
    return OK;
}

static bool reusable(struct store_conn *c)
{
    struct pg_conn *q = (struct pg_conn *)c;
    if (c->in_snapshot) {
        c->aborted = false;
        c->in_snapshot = false;
        if (pg_send(q, "COMMIT", SV_EMPTY))
            return false;
        pg_sync_later(q);
    }
    return !c->lost && PQstatus(q->pg) == CONNECTION_OK;
}

static void end_snapshot(struct store_conn *c)
{
    (void)c; /* a pooled reader has none */
}

static void shrink(struct store_conn *c)
{
    (void)c; /* nothing is kept but prepared statements */
}

/* --- the writer's transaction --- */

/* The lock of a tenant; that of the whole store is the one of tenant 0. */
static int64_t lock_of(const struct pg_conn *q, int64_t tenant)
{
    const struct pg_data *d = q->base.store->engine_data;
    return (int64_t)((uint64_t)d->locks + (uint64_t)tenant);
}

#define OWN_ID "CAST(pg_current_xact_id() AS TEXT)"

/* Who asks whether a lock is free does not overtake one who waits for it. */
static enum err send_locks(struct pg_conn *q, const struct batch_scope *scope)
{
    static const char free_ones[] =
        "SELECT n FROM unnest(" BULK_INTS(1) ") WITH ORDINALITY AS x(lock, n)"
                                             " WHERE pg_try_advisory_xact_lock(lock)";
    int64_t locks[SCOPE_TENANTS];
    if (!scope->n)
        return pg_send(q, "SELECT pg_advisory_xact_lock($1), " OWN_ID, SV(SV_INT(lock_of(q, 0))));
    enum err err =
        pg_send(q, "SELECT pg_advisory_xact_lock_shared($1), " OWN_ID, SV(SV_INT(lock_of(q, 0))));
    if (!err)
        err = pg_send(q, "SELECT pg_advisory_xact_lock($1)", SV(SV_INT(lock_of(q, scope->first))));
    for (size_t i = 0; i < scope->n; i++)
        locks[i] = lock_of(q, scope->tenants[i]);
    return err || scope->n == 1 ? err : pg_send_ints(q, free_ones, locks, scope->n);
}

static void keep_free(struct batch_scope *scope, PGresult *result)
{
    struct pg_rows rows = {.result = result};
    struct store_rows r = {.state = &rows};
    size_t n = 0;
    for (; rows.row < PQntuples(result); rows.row++)
        scope->tenants[n++] = scope->tenants[pg_get_int(&r, 0) - 1];
    scope->n = n;
}

/* Rows of the result and tenants of the scope are in the same order. */
static enum err learn_heads(struct pg_conn *q, const struct batch_scope *scope, PGresult *result)
{
    struct journal_heads *heads = q->base.store->writer.heads;
    struct pg_rows rows = {.result = result};
    struct store_rows r = {.state = &rows};
    struct error e;
    enum err err = OK;
    int n = PQntuples(result);
    for (size_t i = 0; !err && i < scope->n; i++) {
        int64_t tenant = scope->tenants[i];
        while (rows.row < n && pg_get_int(&r, 0) < tenant)
            rows.row++;
        if (rows.row < n && pg_get_int(&r, 0) == tenant)
            err = journal_heads_learn(heads, tenant, pg_get_int(&r, 1), pg_get_text(&r, 2), &e);
        else
            err = journal_heads_learn(heads, tenant, 0, STR_NONE, &e);
    }
    return err ? conn_fail(&q->base, err, "%s", e.text) : OK;
}

/* What try_begin() was answered about its scope. */
static enum err take_scope(struct pg_conn *q, struct batch_scope *scope, PGresult **r, size_t n)
{
    journal_heads_forget(q->base.store->writer.heads);
    if (scope->n > 1)
        keep_free(scope, r[n - 2]);
    return scope->n ? learn_heads(q, scope, r[n - 1]) : OK;
}

/* One round trip: begin, wait for the locks, then the heads and what was asked ahead. Each command
 * sees what was committed before it began, thus what the last holder of the locks left. */
static enum err try_begin(struct pg_conn *q, struct batch_scope *scope)
{
    static const char heads[] = "SELECT tenant, head_seq, head_hash FROM journal_tenant"
                                " WHERE tenant = ANY(" BULK_INTS(1) ") ORDER BY tenant";
    PGresult *r[4 + PG_AHEADS] = {0};
    size_t own = scope->n > 1 ? 4 : scope->n ? 3 : 1, n = own;
    enum err err = pg_send(q, "BEGIN ISOLATION LEVEL READ COMMITTED", SV_EMPTY);
    if (!err)
        err = send_locks(q, scope);
    if (!err && scope->n)
        err = pg_send_ints(q, heads, scope->tenants, scope->n);
    if (!err)
        err = pg_ahead_send(q, &n);
    if (!err)
        err = pg_sync_rows(q, r, n);
    if (err)
        return err;
    snprintf(q->xid, sizeof(q->xid), "%.*s", PQgetlength(r[0], 0, 1), PQgetvalue(r[0], 0, 1));
    err = take_scope(q, scope, r, own);
    for (size_t i = 0; i < own; i++)
        PQclear(r[i]);
    pg_ahead_take(q, r + own);
    return err;
}

static enum err begin(struct store_conn *c, struct batch_scope *scope, struct error *e)
{
    struct pg_conn *q = (struct pg_conn *)c;
    enum err err = OK;
    if (PQstatus(q->pg) == CONNECTION_OK) {
        err = try_begin(q, scope);
        if (!err || PQstatus(q->pg) == CONNECTION_OK)
            goto out;
    }
    /* Nothing was asked of the old connection that a new one would repeat. */
    c->lost = c->aborted = false;
    c->failed = OK;
    if (!(err = pg_reconnect(q)))
        err = try_begin(q, scope);
out:
    if (err && e)
        *e = c->error;
    return err;
}

static void pause_ms(int ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000L};
    nanosleep(&t, NULL);
}

/* 1: the transaction was committed, 0: it was not, -1: nobody can tell yet. */
static int outcome_of(struct pg_conn *q, const char *xid)
{
    struct store_rows r = {.conn = &q->base};
    int outcome = -1;
    if (PQstatus(q->pg) != CONNECTION_OK && pg_reconnect(q))
        return -1;
    if (pg_query(&q->base, &r, "SELECT pg_xact_status(CAST($1 AS xid8))", SV(SV_TEXT(str_c(xid)))))
        return -1;
    if (pg_next(&r) > 0) {
        struct str s = pg_get_text(&r, 0);
        outcome = str_eq(s, S("committed")) ? 1 : str_eq(s, S("aborted")) ? 0 : -1;
    }
    pg_end(&r);
    return outcome;
}

static enum err resolve(struct pg_conn *q, struct error *e)
{
    struct store_conn *c = &q->base;
    struct error why = c->error;
    for (int i = 0; i < RESOLVE_TRIES; i++) {
        c->lost = c->aborted = false;
        c->failed = OK;
        int outcome = outcome_of(q, q->xid);
        if (outcome > 0 && is_durable(c->store) &&
            (pg_send(q, bring_to_disk, SV_EMPTY) || pg_sync(q, NULL)))
            outcome = -1;
        if (outcome > 0) {
            c->lost = c->aborted = false;
            c->failed = OK;
            return OK;
        }
        if (outcome == 0) {
            if (e)
                *e = why;
            return ERR_UNAVAILABLE;
        }
        pause_ms(RESOLVE_WAIT_MS);
    }
    c->lost = true;
    return error_set(e, ERR_UNAVAILABLE,
                     "the connection was lost during the commit, whose outcome"
                     " is unknown: %.200s",
                     why.text);
}

/*
 * The commit itself does not wait for the disk, so that the locks are free while it does: a second,
 * tiny transaction brings the log to disk up to here before anybody is told.
 */
static enum err send_commit(struct pg_conn *q, bool rows_added)
{
    struct pg_data *d = q->base.store->engine_data;
    enum err err = pg_put_flush(q);
    if (!err && rows_added)
        err = pg_send(q, "SELECT pg_notify($1, $2)",
                      SV(SV_TEXT(str_c(d->channel)), SV_TEXT(str_c(d->self))));
    if (!err)
        err = pg_send(q, "SET LOCAL synchronous_commit = off", SV_EMPTY);
    if (!err)
        err = pg_send(q, "COMMIT", SV_EMPTY);
    if (!err && is_durable(q->base.store)) {
        pg_sync_later(q);
        err = pg_send(q, bring_to_disk, SV_EMPTY);
    }
    return err;
}

static enum err commit(struct store_conn *c, bool rows_added, struct error *e)
{
    struct pg_conn *q = (struct pg_conn *)c;
    q->rolled_back = false;
    enum err err = send_commit(q, rows_added);
    if (!err)
        err = pg_sync(q, NULL);
    /* COMMIT of a transaction that has failed says ROLLBACK, and no error. */
    if (!err && q->rolled_back)
        err = conn_fail(c, ERR_INTERNAL, "postgres: the transaction was rolled back");
    pg_ahead_forget(c);
    if (err && e)
        *e = c->error;
    if (err && PQstatus(q->pg) != CONNECTION_OK)
        err = resolve(q, e);
    return err;
}

/* Where the log ends. Of a log that has just filled a page this is said to be behind the header of
 * the next one, which will not be on disk before there is something on that page. */
static int64_t log_end(int64_t at)
{
    if (at % LOG_PAGE == LOG_HEADER)
        return at - LOG_HEADER;
    return at % LOG_SEGMENT == LOG_FIRST_HEADER ? at - LOG_FIRST_HEADER : at;
}

/* Has the log as it is now, or was when seen was set, come to disk? */
static enum err look_at_log(struct store_conn *c, int64_t *seen, int64_t *flushed)
{
    struct store_rows r = {.conn = c};
    if (pg_query(c, &r,
                 "SELECT CAST(pg_current_wal_insert_lsn() - CAST('0/0' AS pg_lsn) AS BIGINT),"
                 " CAST(pg_current_wal_flush_lsn() - CAST('0/0' AS pg_lsn) AS BIGINT)",
                 SV_EMPTY))
        return c->failed;
    if (pg_next(&r) > 0) {
        *seen = *seen < 0 ? log_end(pg_get_int(&r, 0)) : *seen;
        *flushed = pg_get_int(&r, 1);
    }
    pg_end(&r);
    return OK;
}

static enum err nothing(struct store_conn *c, void *ctx, struct error *e)
{
    (void)c;
    (void)ctx;
    (void)e;
    return OK;
}

/*
 * Usually the commit that was seen is on its way to disk already. What else stands in the log
 * (pages tidied by readers, notes for standbys) comes to disk when somebody next commits: when that
 * takes too long, our own writer does, with a batch of nothing.
 */
static enum err durable(struct store_conn *c)
{
    int64_t seen = -1, flushed = -1;
    if (!is_durable(c->store) || c->store->read_only)
        return OK;
    for (int i = 0; i < DURABLE_TRIES; i++) {
        enum err err = look_at_log(c, &seen, &flushed);
        if (err || flushed >= seen)
            return err;
        if (i < DURABLE_PATIENCE)
            pause_ms(1);
        else if (store_write(c->store, nothing, NULL, NULL))
            break;
    }
    return conn_fail(c, ERR_UNAVAILABLE, "postgres: the disk is too slow");
}

static void rollback(struct store_conn *c)
{
    struct pg_conn *q = (struct pg_conn *)c;
    pg_end_all(c);
    pg_bulk_forget(q);
    if (PQstatus(q->pg) != CONNECTION_OK)
        return; /* the server has done it; begin() connects anew */
    if (q->queued || q->syncs)
        pg_sync(q, NULL);
    if (PQstatus(q->pg) == CONNECTION_OK && PQtransactionStatus(q->pg) != PQTRANS_IDLE &&
        pg_send(q, "ROLLBACK", SV_EMPTY) == OK)
        pg_sync(q, NULL);
}

static enum err savepoint(struct store_conn *c)
{
    return pg_send((struct pg_conn *)c, "SAVEPOINT change", SV_EMPTY);
}

static enum err release(struct store_conn *c)
{
    return pg_send((struct pg_conn *)c, "RELEASE SAVEPOINT change", SV_EMPTY);
}

static enum err undo(struct store_conn *c)
{
    c->aborted = false;
    pg_bulk_forget((struct pg_conn *)c);
    enum err err = pg_send((struct pg_conn *)c, "ROLLBACK TO SAVEPOINT change", SV_EMPTY);
    return err ? err : release(c);
}

static enum err settle(struct store_conn *c)
{
    struct pg_conn *q = (struct pg_conn *)c;
    if (!c->lost && !c->aborted)
        pg_put_flush(q);
    if (q->queued && !c->lost)
        pg_sync(q, NULL);
    return c->failed;
}

/* --- scripts and keeping --- */

static enum err script(struct store_conn *c, const char *sql, struct error *e)
{
    struct pg_conn *q = (struct pg_conn *)c;
    if (!PQexitPipelineMode(q->pg))
        return pg_error(q->pg, NULL, e, "postgres");
    enum err err = pg_run(q->pg, sql, e);
    PQenterPipelineMode(q->pg);
    c->aborted = false;
    return err;
}

static enum err lock_schema(struct store_conn *c, struct error *e)
{
    int64_t has = 0;
    enum err err =
        store_get_int(c, &has, "SELECT CAST(current_schema() IS NOT NULL AS INTEGER)", SV_EMPTY, e);
    if (err)
        return err;
    if (!has)
        return error_set(e, ERR_INVALID, "postgres: no schema of the search_path exists");
    return script(c, "SELECT pg_advisory_lock(1297237842, hashtext(current_schema()))", e);
}

static void unlock_schema(struct store_conn *c)
{
    script(c, "SELECT pg_advisory_unlock(1297237842, hashtext(current_schema()))", NULL);
}

static void tidy(struct store *s, struct store_conn *writer, bool idle)
{
    (void)s, (void)writer, (void)idle; /* the server does it */
}

static size_t check(struct store_conn *c, void (*report)(void *ctx, const char *what), void *ctx)
{
    struct store_rows r;
    struct error e;
    char text[200];
    size_t n = 0;
    /* Constraints and indexes that PostgreSQL itself knows to be unusable. */
    store_query(c, &r,
                "SELECT CAST(conname AS TEXT) FROM pg_constraint WHERE NOT convalidated"
                " AND connamespace = CAST(current_schema() AS regnamespace)"
                " UNION ALL SELECT CAST(relname AS TEXT) FROM pg_index"
                " JOIN pg_class ON pg_class.oid = indexrelid WHERE NOT indisvalid"
                " AND relnamespace = CAST(current_schema() AS regnamespace)",
                SV_EMPTY);
    while (store_next(&r)) {
        struct str name = store_text(&r, 0);
        snprintf(text, sizeof(text), "integrity: %.*s is not valid", (int)name.n, name.p);
        report(ctx, text);
        n++;
    }
    if (store_end(&r, &e)) {
        report(ctx, e.text);
        n++;
    }
    return n;
}

const struct store_engine store_engine_postgres = {
    .name = "postgres",
    .types = {"BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY", "BIGINT", "TEXT COLLATE \"C\"",
              "BYTEA", "DOUBLE PRECISION"},
    .open = engine_open,
    .start = pg_listen_start,
    .close = engine_close,
    .connect = engine_connect,
    .disconnect = disconnect,
    .reusable = reusable,
    .end_snapshot = end_snapshot,
    .shrink = shrink,
    .begin = begin,
    .commit = commit,
    .rollback = rollback,
    .savepoint = savepoint,
    .release = release,
    .undo = undo,
    .settle = settle,
    .durable = durable,
    .exec = pg_exec,
    .put = pg_put,
    .ahead = pg_ahead,
    .ahead_forget = pg_ahead_forget,
    .query = pg_query,
    .next = pg_next,
    .is_null = pg_is_null,
    .get_int = pg_get_int,
    .get_real = pg_get_real,
    .get_text = pg_get_text,
    .end = pg_end,
    .end_all = pg_end_all,
    .duty = pg_duty,
    .tell = pg_tell,
    .script = script,
    .lock_schema = lock_schema,
    .unlock_schema = unlock_schema,
    .tidy = tidy,
    .backup = pg_backup,
    .restore = pg_restore,
    .check = check,
};
