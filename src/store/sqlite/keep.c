/* keep.c - the lock file, backup, restore and check of the SQLite engine. */
#include "sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { STEP_PAGES = 256 };

static char *join(const char *path, const char *tail)
{
    size_t n = strlen(path) + strlen(tail) + 1;
    char *out = malloc(n);
    if (!out)
        abort();
    snprintf(out, n, "%s%s", path, tail);
    return out;
}

enum err sqlite_lock(const char *path, int *fd, struct error *e)
{
    enum err err = OK;
    char *name = join(path, ".lock");
    *fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*fd < 0) {
        err = error_set(e, ERR_UNAVAILABLE, "%s: %s", name, strerror(errno));
    } else if (flock(*fd, LOCK_EX | LOCK_NB) != 0) {
        err = errno == EWOULDBLOCK
                  ? error_set(e, ERR_CONFLICT, "%s is in use by another process", path)
                  : error_set(e, ERR_UNAVAILABLE, "%s: %s", name, strerror(errno));
        close(*fd);
        *fd = -1;
    }
    free(name);
    return err;
}

/* Findings of a pragma that answers "ok" or one row per finding. */
static size_t run_check(sqlite3 *db, const char *sql, const char *prefix,
                        void (*report)(void *ctx, const char *what), void *ctx)
{
    sqlite3_stmt *st = NULL;
    size_t n = 0;
    char text[300];
    int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
    while (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        const char *what = (const char *)sqlite3_column_text(st, 0);
        rc = SQLITE_OK;
        if (what && strcmp(what, "ok") == 0)
            continue;
        snprintf(text, sizeof(text), "%s: %s", prefix, what ? what : "?");
        report(ctx, text);
        n++;
    }
    if (rc != SQLITE_DONE) {
        snprintf(text, sizeof(text), "%s: %s", prefix, sqlite3_errmsg(db));
        report(ctx, text);
        n++;
    }
    sqlite3_finalize(st);
    return n;
}

size_t sqlite_check(struct store_conn *c, void (*report)(void *ctx, const char *what), void *ctx)
{
    sqlite3 *db = ((struct sqlite_conn *)c)->db;
    return run_check(db, "PRAGMA integrity_check", "integrity", report, ctx) +
           run_check(db, "PRAGMA foreign_key_check", "foreign key of table", report, ctx);
}

static void first_finding(void *ctx, const char *what)
{
    struct error *e = ctx;
    if (e->code == OK)
        error_set(e, ERR_CORRUPT, "%s", what);
}

/* Is the file a sound store of ours? */
static enum err verify_file(sqlite3 *db, const char *path, struct error *e)
{
    struct error why = {OK, ""};
    if (run_check(db, "PRAGMA integrity_check", "integrity", first_finding, &why) == 0)
        run_check(db, "SELECT 'ok' FROM store_state, journal_tenant LIMIT 0", "tables",
                  first_finding, &why);
    return why.code ? error_set(e, ERR_CORRUPT, "%s: %.300s", path, why.text) : OK;
}

/*
 * Copy from into a new file at path, page by page inside one snapshot, so that writers neither
 * wait nor make the copy start again. The copy is one file: no write-ahead log beside it.
 */
static enum err copy_file(sqlite3 *from, const char *path, struct error *e)
{
    sqlite3 *to = NULL;
    int rc;
    unlink(path);
    enum err err = sqlite_make_file(path, e);
    if (!err)
        err = sqlite_open_file(path, SQLITE_OPEN_READWRITE, &to, e);
    if (err)
        return err;
    sqlite3_exec(to, "PRAGMA synchronous = OFF", NULL, NULL, NULL); /* one fsync at the end */
    if (sqlite3_exec(from, "BEGIN; SELECT count(*) FROM sqlite_master", NULL, NULL, NULL) !=
        SQLITE_OK) {
        err = sqlite_error(from, e, "backup");
        goto out;
    }
    sqlite3_backup *b = sqlite3_backup_init(to, "main", from, "main");
    if (!b) {
        err = sqlite_error(to, e, path);
        goto out;
    }
    while ((rc = sqlite3_backup_step(b, STEP_PAGES)) == SQLITE_OK)
        continue;
    sqlite3_backup_finish(b);
    if (rc != SQLITE_DONE) {
        err = error_set(e, sqlite_code(rc), "%s: %s", path, sqlite3_errstr(rc));
        goto out;
    }
    if (sqlite3_exec(to, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL) != SQLITE_OK)
        err = sqlite_error(to, e, path);
    else
        err = verify_file(to, path, e);
out:
    sqlite3_exec(from, "ROLLBACK", NULL, NULL, NULL);
    if (sqlite3_close(to) != SQLITE_OK && !err)
        err = error_set(e, ERR_INTERNAL, "%s: cannot be closed", path);
    if (!err) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        err =
            fd < 0 ? error_set(e, ERR_IO, "%s: %s", path, strerror(errno)) : file_sync(fd, path, e);
        if (fd >= 0)
            close(fd);
    }
    if (err)
        unlink(path);
    return err;
}

enum err sqlite_backup(struct store *s, const char *path, struct error *e)
{
    struct store_conn *c = NULL;
    enum err err = s->engine->connect(s, CONN_READER, &c, e);
    if (err)
        return err;
    char *part = join(path, ".part");
    err = copy_file(((struct sqlite_conn *)c)->db, part, e);
    if (!err)
        err = file_rename_durably(part, path, e);
    free(part);
    s->engine->disconnect(c);
    return err;
}

/* The old log belongs to the old file: it must be gone before the new file gets the name. */
static enum err replace(const char *part, const char *path, struct error *e)
{
    static const char *const tails[] = {"-wal", "-shm", "-journal"};
    for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
        char *name = join(path, tails[i]);
        int rc = unlink(name);
        free(name);
        if (rc != 0 && errno != ENOENT)
            return error_set(e, ERR_IO, "%s%s: %s", path, tails[i], strerror(errno));
    }
    return file_rename_durably(part, path, e);
}

enum err sqlite_restore(const char *backup, const struct store_options *o, bool force,
                        struct error *e)
{
    const char *path = o->url + strlen("sqlite:");
    char *part = join(path, ".part");
    sqlite3 *from = NULL;
    int lock = -1;
    enum err err = sqlite_lock(path, &lock, e);
    if (err)
        goto out;
    if (!force && file_exists(path)) {
        err = error_set(e, ERR_EXISTS, "%s exists already", path);
        goto out;
    }
    if ((err = sqlite_open_file(backup, SQLITE_OPEN_READONLY, &from, e)))
        goto out;
    if ((err = verify_file(from, backup, e)))
        goto out;
    if (!(err = copy_file(from, part, e)))
        err = replace(part, path, e);
out:
    sqlite3_close(from);
    if (lock >= 0)
        close(lock);
    free(part);
    return err;
}
