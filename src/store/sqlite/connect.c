/*
 * connect.c - the SQLite engine: connections, transactions, the write-ahead log.
 *
 * WAL with synchronous=FULL: a commit is one append and one fsync. Automatic checkpoints are off;
 * the writer makes them between batches, when nothing is queued or when the log is very long.
 * SQLite allows several processes on one file, but our counters of commits, the journal heads and
 * the wake-ups of listeners live in memory: a lock file keeps a second process out.
 */
#include "sqlite.h"

#include "core/log.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUSY_MS = 5000, LONG_LOG = 4 };

enum err sqlite_code(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_CONSTRAINT:
        return rc == SQLITE_CONSTRAINT_UNIQUE || rc == SQLITE_CONSTRAINT_PRIMARYKEY ||
                       rc == SQLITE_CONSTRAINT_ROWID
                   ? ERR_EXISTS
                   : ERR_CONFLICT;
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
    case SQLITE_NOMEM:
        return ERR_UNAVAILABLE;
    case SQLITE_INTERRUPT:
        return ERR_TIMEOUT;
    case SQLITE_TOOBIG:
        return ERR_TOO_LARGE;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return ERR_CORRUPT;
    default:
        return ERR_INTERNAL;
    }
}

enum err sqlite_error(sqlite3 *db, struct error *e, const char *what)
{
    int rc = sqlite3_extended_errcode(db);
    return error_set(e, sqlite_code(rc), "%s: %s (%d)", what, sqlite3_errmsg(db), rc);
}

static void configure(void)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); /* a mutex in each allocation, for figures unused */
    sqlite3_initialize();
}

enum err sqlite_open_file(const char *path, int flags, sqlite3 **db, struct error *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, configure);
    if (sqlite3_open_v2(path, db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL) ==
        SQLITE_OK)
        return OK;
    enum err err =
        *db ? sqlite_error(*db, e, path) : error_set(e, ERR_UNAVAILABLE, "%s: out of memory", path);
    sqlite3_close(*db);
    *db = NULL;
    return err;
}

enum err sqlite_make_file(const char *path, struct error *e)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_set(e, ERR_UNAVAILABLE, "%s: %s", path, strerror(errno));
    close(fd);
    return OK;
}

static enum err run(sqlite3 *db, const char *sql, struct error *e)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK)
        return OK;
    return sqlite_error(db, e, "sqlite");
}

/* --- life --- */

static enum err engine_open(struct store *s, struct error *e)
{
    struct sqlite_data *d = calloc(1, sizeof(*d));
    if (!d)
        abort();
    d->lock_fd = -1;
    d->path = strdup(s->options.url + strlen("sqlite:"));
    if (!d->path)
        abort();
    s->engine_data = d;
    if (s->read_only)
        return file_exists(d->path) ? OK : error_set(e, ERR_NOT_FOUND, "no store at %s", d->path);
    enum err err = sqlite_lock(d->path, &d->lock_fd, e);
    return err ? err : sqlite_make_file(d->path, e);
}

static enum err engine_start(struct store *s, struct error *e)
{
    (void)s, (void)e;
    return OK;
}

static void engine_close(struct store *s)
{
    struct sqlite_data *d = s->engine_data;
    if (!d)
        return;
    if (d->lock_fd >= 0)
        close(d->lock_fd);
    free(d->path);
    free(d);
    s->engine_data = NULL;
}

static int after_commit(void *ctx, sqlite3 *db, const char *name, int pages)
{
    (void)db, (void)name;
    ((struct sqlite_conn *)ctx)->wal_pages = pages;
    return SQLITE_OK;
}

static void disconnect(struct store_conn *c)
{
    struct sqlite_conn *q = (struct sqlite_conn *)c;
    sqlite_statements_release(q);
    sqlite3_close(q->db);
    free(q);
}

static enum err set_up(struct store *s, struct sqlite_conn *q, struct error *e)
{
    char sql[400];
    bool none = strcmp(s->options.durability, "none") == 0;
    int64_t cache = s->options.cache_bytes / 1024;
    bool reader = q->base.role == CONN_READER;
    sqlite3_busy_timeout(q->db, BUSY_MS);
    snprintf(sql, sizeof(sql),
             "PRAGMA journal_mode = WAL; PRAGMA synchronous = %s; PRAGMA foreign_keys = ON;"
             "PRAGMA cache_size = -%lld; PRAGMA wal_autocheckpoint = 0; PRAGMA mmap_size = 0;"
             "PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = %lld;%s",
             none ? "OFF" : "FULL", (long long)(reader ? cache / 4 : cache),
             (long long)s->options.wal_bytes * LONG_LOG, reader ? "PRAGMA query_only = ON;" : "");
    enum err err = run(q->db, sql, e);
    if (!err && q->base.role == CONN_WRITER)
        sqlite3_wal_hook(q->db, after_commit, q);
    return err;
}

static enum err engine_connect(struct store *s, enum conn_role role, struct store_conn **out,
                               struct error *e)
{
    struct sqlite_data *d = s->engine_data;
    struct sqlite_conn *q = calloc(1, sizeof(*q));
    if (!q)
        abort();
    q->base.store = s;
    q->base.role = role;
    enum err err = sqlite_open_file(d->path, SQLITE_OPEN_READWRITE, &q->db, e);
    if (!err)
        err = set_up(s, q, e);
    if (err) {
        disconnect(&q->base);
        return err;
    }
    *out = &q->base;
    return OK;
}

static void end_snapshot(struct store_conn *c)
{
    struct sqlite_conn *q = (struct sqlite_conn *)c;
    if (!sqlite3_get_autocommit(q->db))
        sqlite_exec(c, "COMMIT", SV_EMPTY, NULL);
    c->in_snapshot = false;
    c->failed = OK;
}

/* Beside another process we do not hear of its commits: a kept snapshot would grow old. */
static bool reusable(struct store_conn *c)
{
    if (c->store->read_only)
        end_snapshot(c);
    return true;
}

static void shrink(struct store_conn *c)
{
    sqlite3_db_release_memory(((struct sqlite_conn *)c)->db);
}

/* --- the writer's transaction --- */

static enum err begin(struct store_conn *c, struct batch_scope *scope, struct error *e)
{
    (void)scope; /* there is only one writer */
    if (sqlite_exec(c, "BEGIN IMMEDIATE", SV_EMPTY, NULL) == OK)
        return OK;
    *e = c->error;
    return c->error.code;
}

static enum err commit(struct store_conn *c, bool rows_added, struct error *e)
{
    (void)rows_added;
    if (sqlite_exec(c, "COMMIT", SV_EMPTY, NULL) == OK)
        return OK;
    *e = c->error;
    return c->error.code;
}

static void rollback(struct store_conn *c)
{
    struct sqlite_conn *q = (struct sqlite_conn *)c;
    sqlite_statements_reset(c);
    if (!sqlite3_get_autocommit(q->db))
        sqlite3_exec(q->db, "ROLLBACK", NULL, NULL, NULL);
}

static enum err savepoint(struct store_conn *c)
{
    return sqlite_exec(c, "SAVEPOINT change", SV_EMPTY, NULL);
}

static enum err release(struct store_conn *c)
{
    return sqlite_exec(c, "RELEASE change", SV_EMPTY, NULL);
}

static enum err undo(struct store_conn *c)
{
    enum err err = sqlite_exec(c, "ROLLBACK TO change", SV_EMPTY, NULL);
    return err ? err : release(c);
}

static enum err settle(struct store_conn *c)
{
    return c->failed;
}

/* --- scripts and keeping --- */

static enum err script(struct store_conn *c, const char *sql, struct error *e)
{
    return run(((struct sqlite_conn *)c)->db, sql, e);
}

static enum err lock_schema(struct store_conn *c, struct error *e)
{
    (void)c, (void)e; /* the lock file does it */
    return OK;
}

static void unlock_schema(struct store_conn *c)
{
    (void)c;
}

static void tidy(struct store *s, struct store_conn *writer, bool idle)
{
    struct sqlite_conn *q = (struct sqlite_conn *)writer;
    int64_t limit = s->options.wal_bytes / 4096;
    if (q->wal_pages < q->checkpointed)
        q->checkpointed = 0; /* the log has started again from its beginning */
    /* When a reader keeps the log from starting again, not after each batch. */
    if (q->wal_pages < limit || q->wal_pages - q->checkpointed < limit / 4)
        return;
    if (!idle && q->wal_pages < limit * LONG_LOG)
        return;
    readers_tidy(s, true);
    int in_log = 0, moved = 0;
    if (sqlite3_wal_checkpoint_v2(q->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &in_log, &moved) !=
        SQLITE_OK)
        log_event(LOG_WARN, "store.checkpoint", LOG_Z("reason", sqlite3_errmsg(q->db)));
    q->checkpointed = q->wal_pages;
}

const struct store_engine store_engine_sqlite = {
    .name = "sqlite",
    .types = {"INTEGER PRIMARY KEY", "INTEGER", "TEXT", "BLOB", "REAL"},
    .open = engine_open,
    .start = engine_start,
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
    .exec = sqlite_exec,
    .put = sqlite_put,
    .query = sqlite_query,
    .next = sqlite_next,
    .is_null = sqlite_is_null,
    .get_int = sqlite_get_int,
    .get_real = sqlite_get_real,
    .get_text = sqlite_get_text,
    .end = sqlite_end,
    .end_all = sqlite_statements_reset,
    .script = script,
    .lock_schema = lock_schema,
    .unlock_schema = unlock_schema,
    .tidy = tidy,
    .backup = sqlite_backup,
    .restore = sqlite_restore,
    .check = sqlite_check,
};
