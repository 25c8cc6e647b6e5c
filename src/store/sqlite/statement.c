/*
 * statement.c - prepared statements, their values and their rows.
 *
 * Statements are found by their text. The number kept is bounded, because a text that is put
 * together at run time from many parts could otherwise fill the memory.
 */
#include "sqlite.h"

#include <stdlib.h>
#include <string.h>

enum { STATEMENTS_MAX = 512 };

static void free_chain(struct sqlite_statement *st)
{
    for (struct sqlite_statement *next; st; st = next) {
        next = st->same;
        sqlite3_finalize(st->stmt);
        free(st->sql);
        free(st->order);
        free(st);
    }
}

void sqlite_statements_release(struct sqlite_conn *q)
{
    struct map_iter it = {0};
    while (map_next(&q->statements, &it))
        free_chain(it.value);
    map_release(&q->statements);
    q->statements = (struct map)MAP_INIT;
}

void sqlite_statements_reset(struct store_conn *c)
{
    struct sqlite_conn *q = (struct sqlite_conn *)c;
    struct map_iter it = {0};
    while (map_next(&q->statements, &it)) {
        for (struct sqlite_statement *st = it.value; st; st = st->same) {
            if (st->busy)
                sqlite3_reset(st->stmt);
            st->busy = st->finished = false;
        }
    }
}

enum err sqlite_fail(struct sqlite_conn *q, const char *sql)
{
    int rc = sqlite3_extended_errcode(q->db);
    enum err code = sqlite_code(rc);
    conn_fail(&q->base, code, "sqlite: %s (%d) in %.120s", sqlite3_errmsg(q->db), rc, sql);
    /* After these SQLite may have rolled the transaction back by itself. */
    if (q->base.role == CONN_WRITER && code == ERR_UNAVAILABLE)
        q->base.lost = true;
    return code;
}

/* SQLite numbers $1, $2 ... by first appearance; the store's callers by their digits. */
static bool read_order(struct sqlite_statement *st)
{
    st->parameters = sqlite3_bind_parameter_count(st->stmt);
    if (st->parameters == 0)
        return true;
    st->order = calloc((size_t)st->parameters, sizeof(*st->order));
    if (!st->order)
        abort();
    for (int i = 0; i < st->parameters; i++) {
        const char *name = sqlite3_bind_parameter_name(st->stmt, i + 1);
        int64_t number = 0;
        if (!name || name[0] != '$' || !str_to_i64(str_c(name + 1), &number) || number < 1 ||
            number > st->parameters)
            return false;
        st->order[i] = (unsigned short)number;
    }
    return true;
}

static struct sqlite_statement *prepare(struct sqlite_conn *q, const char *sql)
{
    struct sqlite_statement *st = calloc(1, sizeof(*st));
    if (!st || !(st->sql = strdup(sql)))
        abort();
    if (sqlite3_prepare_v3(q->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &st->stmt, NULL) !=
        SQLITE_OK) {
        sqlite_fail(q, sql);
        free_chain(st);
        return NULL;
    }
    if (!st->stmt || !read_order(st)) {
        conn_fail(&q->base, ERR_INTERNAL, "sqlite: parameters are not $1, $2 ... in %.120s", sql);
        free_chain(st);
        return NULL;
    }
    return st;
}

/* An idle prepared statement for the text, marked busy. */
static struct sqlite_statement *find(struct sqlite_conn *q, const char *sql)
{
    struct str key = str_c(sql);
    struct sqlite_statement *first = map_get(&q->statements, key), *st = first;
    while (st && st->busy)
        st = st->same;
    if (!st) {
        if (!first && q->statements.n >= STATEMENTS_MAX && q->base.open_rows == 0)
            sqlite_statements_release(q);
        st = prepare(q, sql);
        if (!st)
            return NULL;
        if (first) {
            st->same = first->same;
            first->same = st;
        } else {
            map_put(&q->statements, str_c(st->sql), st);
        }
    }
    st->busy = true;
    st->finished = false;
    return st;
}

static int bind_one(sqlite3_stmt *stmt, int i, const struct store_value *v)
{
    switch (v->kind) {
    case SV_KIND_INT:
        return sqlite3_bind_int64(stmt, i, v->i);
    case SV_KIND_REAL:
        return sqlite3_bind_double(stmt, i, v->d);
    case SV_KIND_TEXT:
        return sqlite3_bind_text64(stmt, i, v->s.p, v->s.n, SQLITE_STATIC, SQLITE_UTF8);
    case SV_KIND_BLOB:
        return sqlite3_bind_blob64(stmt, i, v->s.p, v->s.n, SQLITE_STATIC);
    case SV_KIND_NULL:
        break;
    }
    return sqlite3_bind_null(stmt, i);
}

static bool bind(struct sqlite_conn *q, struct sqlite_statement *st,
                 const struct store_value *values, size_t n)
{
    if ((size_t)st->parameters != n) {
        conn_fail(&q->base, ERR_INTERNAL, "sqlite: %d values for %d parameters in %.120s", (int)n,
                  st->parameters, st->sql);
        return false;
    }
    for (int i = 0; i < st->parameters; i++) {
        const struct store_value *v = &values[st->order ? st->order[i] - 1 : i];
        if (bind_one(st->stmt, i + 1, v) != SQLITE_OK) {
            sqlite_fail(q, st->sql);
            return false;
        }
    }
    return true;
}

static void put_back(struct sqlite_statement *st)
{
    sqlite3_reset(st->stmt);
    st->busy = false;
}

static struct sqlite_statement *start(struct store_conn *c, const char *sql,
                                      const struct store_value *values, size_t n)
{
    struct sqlite_conn *q = (struct sqlite_conn *)c;
    if (c->lost)
        return NULL;
    struct sqlite_statement *st = find(q, sql);
    if (!st)
        return NULL;
    if (!bind(q, st, values, n)) {
        put_back(st);
        return NULL;
    }
    return st;
}

enum err sqlite_exec(struct store_conn *c, const char *sql, const struct store_value *values,
                     size_t n, int64_t *changed)
{
    struct sqlite_conn *q = (struct sqlite_conn *)c;
    struct sqlite_statement *st = start(c, sql, values, n);
    if (!st)
        return c->failed;
    int rc;
    enum err err = OK;
    while ((rc = sqlite3_step(st->stmt)) == SQLITE_ROW)
        continue;
    if (rc != SQLITE_DONE)
        err = sqlite_fail(q, sql);
    else if (changed)
        *changed = sqlite3_changes64(q->db);
    put_back(st);
    return err;
}

enum err sqlite_put(struct store_conn *c, const struct store_bulk *bulk,
                    const struct store_value *values, size_t n)
{
    return sqlite_exec(c, bulk->one, values, n, NULL);
}

enum err sqlite_query(struct store_conn *c, struct store_rows *r, const char *sql,
                      const struct store_value *values, size_t n)
{
    if (c->role == CONN_READER && !c->in_snapshot) {
        enum err err = sqlite_exec(c, "BEGIN", SV_EMPTY, NULL);
        if (err)
            return err;
        c->in_snapshot = true;
    }
    r->state = start(c, sql, values, n);
    return r->state ? OK : c->failed;
}

int sqlite_next(struct store_rows *r)
{
    struct sqlite_statement *st = r->state;
    if (st->finished) /* SQLite would run it again */
        return 0;
    int rc = sqlite3_step(st->stmt);
    if (rc == SQLITE_ROW)
        return 1;
    st->finished = true;
    if (rc == SQLITE_DONE)
        return 0;
    sqlite_fail((struct sqlite_conn *)r->conn, st->sql);
    return -1;
}

bool sqlite_is_null(const struct store_rows *r, int column)
{
    const struct sqlite_statement *st = r->state;
    return sqlite3_column_type(st->stmt, column) == SQLITE_NULL;
}

int64_t sqlite_get_int(const struct store_rows *r, int column)
{
    const struct sqlite_statement *st = r->state;
    return sqlite3_column_int64(st->stmt, column);
}

double sqlite_get_real(const struct store_rows *r, int column)
{
    const struct sqlite_statement *st = r->state;
    return sqlite3_column_double(st->stmt, column);
}

struct str sqlite_get_text(const struct store_rows *r, int column)
{
    const struct sqlite_statement *st = r->state;
    if (sqlite3_column_type(st->stmt, column) == SQLITE_NULL)
        return STR_NONE;
    const char *p = sqlite3_column_blob(st->stmt, column);
    size_t n = (size_t)sqlite3_column_bytes(st->stmt, column);
    return str_n(p ? p : "", n);
}

void sqlite_end(struct store_rows *r)
{
    put_back(r->state);
}
