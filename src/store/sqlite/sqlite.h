/* sqlite.h - what the files of the SQLite engine share. */
#ifndef STORE_SQLITE_H
#define STORE_SQLITE_H

#include "core/map.h"
#include "engine.h"
#include <sqlite3.h>

/* The engine's part of a store. */
struct sqlite_data {
    char *path;
    int lock_fd;
};

/* A prepared statement. While its rows are read it is busy, and the same text asked for again gets
 * another one, linked behind it. */
struct sqlite_statement {
    sqlite3_stmt *stmt;
    char *sql;
    int parameters;
    unsigned short *order; /* order[i]: number of the value for SQLite's parameter i + 1 */
    bool busy;
    bool finished; /* the last row was read */
    struct sqlite_statement *same;
};

struct sqlite_conn {
    struct store_conn base;
    sqlite3 *db;
    struct map statements; /* by text, of struct sqlite_statement */
    int64_t wal_pages;     /* writer: length of the log after the last commit */
    int64_t checkpointed;  /* writer: wal_pages at the last checkpoint */
};

/* --- connect.c --- */
enum err sqlite_open_file(const char *path, int flags, sqlite3 **db, struct error *e);
/* Make an empty file that only we may read; what SQLite puts beside it gets the same rights. Never
 * while the file is open in SQLite: closing any descriptor of a file drops its POSIX locks. */
enum err sqlite_make_file(const char *path, struct error *e);
enum err sqlite_error(sqlite3 *db, struct error *e, const char *what); /* fill e, return the code */
enum err sqlite_code(int rc);

/* --- statement.c --- */
void sqlite_statements_release(struct sqlite_conn *q);
void sqlite_statements_reset(struct store_conn *c);
enum err sqlite_fail(struct sqlite_conn *q, const char *sql);
enum err sqlite_exec(struct store_conn *c, const char *sql, const struct store_value *values,
                     size_t n, int64_t *changed);
enum err sqlite_put(struct store_conn *c, const struct store_bulk *bulk,
                    const struct store_value *values, size_t n);
enum err sqlite_query(struct store_conn *c, struct store_rows *r, const char *sql,
                      const struct store_value *values, size_t n);
int sqlite_next(struct store_rows *r);
bool sqlite_is_null(const struct store_rows *r, int column);
int64_t sqlite_get_int(const struct store_rows *r, int column);
double sqlite_get_real(const struct store_rows *r, int column);
struct str sqlite_get_text(const struct store_rows *r, int column);
void sqlite_end(struct store_rows *r);

/* --- keep.c --- */
enum err sqlite_lock(const char *path, int *fd, struct error *e);
enum err sqlite_backup(struct store *s, const char *path, struct error *e);
enum err sqlite_restore(const char *backup, const struct store_options *o, bool force,
                        struct error *e);
size_t sqlite_check(struct store_conn *c, void (*report)(void *ctx, const char *what), void *ctx);

#endif
