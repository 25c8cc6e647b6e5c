/*
 * statement.c - commands in a pipeline, their parameters and their rows.
 *
 * Parameters and columns travel in binary. A parameter's type is learnt from the values it gets:
 * BIGINT for the first integer, DOUBLE PRECISION once a real number comes, and so on; the server
 * guesses for NULL. When a type changes the statement is prepared again under a new name.
 */
#include "postgres.h"

#include "core/log.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STATEMENTS_MAX = 512, QUEUE_MAX = 1000 };
enum {
    OID_BOOL = 16,
    OID_BYTEA = 17,
    OID_NAME = 19,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_TEXT = 25,
    OID_OID = 26,
    OID_FLOAT4 = 700,
    OID_FLOAT8 = 701,
    OID_VARCHAR = 1043,
    OID_NUMERIC = 1700
};

/* --- prepared statements --- */

static void free_statement(struct pg_statement *st)
{
    free(st->sql);
    free(st->types);
    free(st);
}

void pg_forget_statements(struct pg_conn *q)
{
    struct map_iter it = {0};
    while (map_next(&q->statements, &it))
        free_statement(it.value);
    map_release(&q->statements);
    q->statements = (struct map)MAP_INIT;
}

/* What was prepared in a segment that failed, or in one after it, may or may not be known to the
 * server. */
static void doubt_statements(struct pg_conn *q)
{
    struct map_iter it = {0};
    while (map_next(&q->statements, &it)) {
        struct pg_statement *st = it.value;
        if (st->segment >= q->answered)
            st->ready = false;
    }
}

static struct pg_statement *find(struct pg_conn *q, const char *sql)
{
    struct pg_statement *st = map_get(&q->statements, str_c(sql));
    if (st)
        return st;
    if (q->statements.n >= STATEMENTS_MAX) {
        pg_forget_statements(q);
        PQsendQueryParams(q->pg, "DEALLOCATE ALL", 0, NULL, NULL, NULL, NULL, 0);
    }
    st = calloc(1, sizeof(*st));
    if (!st || !(st->sql = strdup(sql)))
        abort();
    map_put(&q->statements, str_c(st->sql), st);
    return st;
}

static Oid type_of(const struct store_value *v)
{
    switch (v->kind) {
    case SV_KIND_INT:
        return OID_INT8;
    case SV_KIND_REAL:
        return OID_FLOAT8;
    case SV_KIND_TEXT:
        return OID_TEXT;
    case SV_KIND_BLOB:
        return OID_BYTEA;
    case SV_KIND_NULL:
        break;
    }
    return 0;
}

/* Fit the statement's types to the values; true when it must be prepared (again). */
static bool learn_types(struct pg_statement *st, const struct store_value *values, int n)
{
    bool changed = !st->ready;
    if (n != st->n) {
        free(st->types);
        st->types = calloc((size_t)n + 1, sizeof(Oid));
        if (!st->types)
            abort();
        st->n = n;
        changed = true;
    }
    for (int i = 0; i < n; i++) {
        Oid type = type_of(&values[i]);
        if (type == 0 || type == st->types[i] || (type == OID_INT8 && st->types[i] == OID_FLOAT8))
            continue;
        st->types[i] = type;
        changed = true;
    }
    return changed;
}

static enum err send_failed(struct pg_conn *q)
{
    bool alive = PQstatus(q->pg) == CONNECTION_OK;
    if (!alive)
        q->base.lost = true;
    return conn_fail(&q->base, alive ? ERR_INTERNAL : ERR_UNAVAILABLE, "postgres: %.300s",
                     PQerrorMessage(q->pg));
}

static enum err prepare(struct pg_conn *q, struct pg_statement *st)
{
    if (st->name[0]) {
        char sql[40];
        snprintf(sql, sizeof(sql), "DEALLOCATE %s", st->name);
        /* When the last preparation is in doubt the name may be unknown; it is then left alone. */
        if (st->ready) {
            if (!PQsendQueryParams(q->pg, sql, 0, NULL, NULL, NULL, NULL, 0))
                return send_failed(q);
            q->queued++;
        }
    }
    snprintf(st->name, sizeof(st->name), "s%llu", (unsigned long long)++q->names);
    if (!PQsendPrepare(q->pg, st->name, st->sql, st->n, st->types))
        return send_failed(q);
    q->queued++;
    st->ready = true;
    st->segment = q->segment;
    return OK;
}

/* --- parameters --- */

static void put_be64(unsigned char out[8], uint64_t v)
{
    for (int i = 0; i < 8; i++)
        out[i] = (unsigned char)(v >> (56 - 8 * i));
}

static void make_room(struct pg_conn *q, int n)
{
    if (n <= q->room)
        return;
    size_t want = (size_t)n + 16;
    q->values = realloc(q->values, want * sizeof(*q->values));
    q->lengths = realloc(q->lengths, want * sizeof(*q->lengths));
    q->formats = realloc(q->formats, want * sizeof(*q->formats));
    q->numbers = realloc(q->numbers, want * sizeof(*q->numbers));
    if (!q->values || !q->lengths || !q->formats || !q->numbers)
        abort();
    q->room = (int)want;
}

static void put_value(struct pg_conn *q, int i, const struct store_value *v, Oid type)
{
    q->formats[i] = 1;
    q->lengths[i] = 8;
    q->values[i] = (const char *)q->numbers[i];
    if (v->kind == SV_KIND_INT && type != OID_FLOAT8) {
        put_be64(q->numbers[i], (uint64_t)v->i);
    } else if (v->kind == SV_KIND_INT || v->kind == SV_KIND_REAL) {
        double d = v->kind == SV_KIND_INT ? (double)v->i : v->d;
        uint64_t bits;
        memcpy(&bits, &d, sizeof(bits));
        put_be64(q->numbers[i], bits);
    } else if (v->kind == SV_KIND_NULL) {
        q->values[i] = NULL;
        q->lengths[i] = 0;
    } else {
        q->values[i] = v->s.p;
        q->lengths[i] = (int)v->s.n;
    }
}

enum err pg_send(struct pg_conn *q, const char *sql, const struct store_value *values, size_t n)
{
    if (n > 65535)
        return conn_fail(&q->base, ERR_INTERNAL, "postgres: too many values in %.120s", sql);
    struct pg_statement *st = find(q, sql);
    if (learn_types(st, values, (int)n)) {
        enum err err = prepare(q, st);
        if (err)
            return err;
    }
    make_room(q, (int)n);
    for (int i = 0; i < (int)n; i++) {
        if (values[i].s.n > 0x3fffffff)
            return conn_fail(&q->base, ERR_TOO_LARGE, "postgres: value is over 1 GB");
        put_value(q, i, &values[i], st->types[i]);
    }
    if (!PQsendQueryPrepared(q->pg, st->name, (int)n, q->values, q->lengths, q->formats, 1))
        return send_failed(q);
    q->queued++;
    return OK;
}

enum err pg_send_arrays(struct pg_conn *q, const char *sql, const struct str *arrays,
                        const Oid *types, int n)
{
    struct pg_statement *st = find(q, sql);
    if (!st->ready) {
        free(st->types);
        st->types = malloc((size_t)n * sizeof(Oid));
        if (!st->types)
            abort();
        memcpy(st->types, types, (size_t)n * sizeof(Oid));
        st->n = n;
        enum err err = prepare(q, st);
        if (err)
            return err;
    }
    make_room(q, n);
    for (int i = 0; i < n; i++) {
        q->values[i] = arrays[i].p;
        q->lengths[i] = (int)arrays[i].n;
        q->formats[i] = 1;
    }
    if (!PQsendQueryPrepared(q->pg, st->name, n, q->values, q->lengths, q->formats, 1))
        return send_failed(q);
    q->queued++;
    return OK;
}

/* --- answers --- */

static void answer_failed(struct pg_conn *q, const PGresult *r)
{
    struct store_conn *c = &q->base;
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    const char *text = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    bool alive = PQstatus(q->pg) == CONNECTION_OK;
    enum err code = pg_code(state, alive);
    if (code == ERR_UNAVAILABLE)
        c->lost = true;
    c->aborted = true;
    doubt_statements(q);
    conn_fail(c, code, "postgres: %.300s (%s)", text ? text : PQerrorMessage(q->pg),
              state ? state : "connection");
}

/* Where answers go: the last one, or all that have rows. */
struct answers {
    PGresult **last;
    PGresult **rows;
    size_t n, room;
};

static enum err read_answers(struct pg_conn *q, struct answers *to)
{
    PGresult *keep = NULL;
    enum err err = OK;
    int silent = 0;
    if (!PQpipelineSync(q->pg))
        return send_failed(q);
    q->syncs++;
    while (q->syncs > 0) {
        PGresult *r = PQgetResult(q->pg);
        if (!r) {
            /* Once between two commands; more often only when nothing will ever come. */
            if (PQstatus(q->pg) == CONNECTION_OK && ++silent < 3)
                continue;
            q->base.lost = true;
            err = send_failed(q);
            break;
        }
        silent = 0;
        ExecStatusType status = PQresultStatus(r);
        if (status == PGRES_PIPELINE_SYNC) {
            PQclear(r);
            if (keep && strcmp(PQcmdStatus(keep), "ROLLBACK") == 0)
                q->rolled_back = true;
            if (--q->syncs > 0) {
                PQclear(keep);
                keep = NULL;
            }
        } else if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
            PQclear(keep);
            keep = r;
            if (status == PGRES_TUPLES_OK && to->n < to->room) {
                to->rows[to->n++] = r;
                keep = NULL;
            }
        } else {
            if (status != PGRES_PIPELINE_ABORTED) {
                answer_failed(q, r);
                err = q->base.failed;
            }
            PQclear(r);
            if (PQstatus(q->pg) != CONNECTION_OK)
                break;
        }
    }
    q->queued = 0;
    q->answered = ++q->segment;
    if (err || !to->last) {
        PQclear(keep);
        keep = NULL;
    }
    if (to->last)
        *to->last = keep;
    return err;
}

enum err pg_sync(struct pg_conn *q, PGresult **last)
{
    return read_answers(q, &(struct answers){.last = last});
}

enum err pg_sync_rows(struct pg_conn *q, PGresult **rows, size_t n)
{
    struct answers to = {.rows = rows, .room = n};
    enum err err = read_answers(q, &to);
    if (!err && to.n < n)
        err = conn_fail(&q->base, ERR_INTERNAL, "postgres: an answer without rows");
    for (size_t i = 0; err && i < to.n; i++) {
        PQclear(rows[i]);
        rows[i] = NULL;
    }
    return err;
}

void pg_sync_later(struct pg_conn *q)
{
    if (PQpipelineSync(q->pg)) {
        q->syncs++;
        q->queued = 0;
        q->segment++;
    } else {
        q->base.lost = true;
    }
}

enum err pg_exec(struct store_conn *c, const char *sql, const struct store_value *values, size_t n,
                 int64_t *changed)
{
    struct pg_conn *q = (struct pg_conn *)c;
    PGresult *last = NULL;
    if (c->lost || c->aborted)
        return conn_fail(c, ERR_UNAVAILABLE, "postgres: the transaction is over");
    enum err err = pg_put_flush(q);
    if (!err)
        err = pg_send(q, sql, values, n);
    if (err)
        return err;
    /* Without a question nobody waits; but answers must not pile up in memory. */
    if (!changed && c->role == CONN_WRITER && q->queued < QUEUE_MAX)
        return OK;
    err = pg_sync(q, &last);
    if (!err && changed) {
        *changed = 0;
        str_to_i64(str_c(PQcmdTuples(last)), changed);
    }
    PQclear(last);
    return err;
}

static enum err ask(struct pg_conn *q, const char *sql, const struct store_value *values, size_t n,
                    PGresult **result)
{
    struct store_conn *c = &q->base;
    enum err err = OK;
    if (c->role == CONN_READER && !c->in_snapshot) {
        c->in_snapshot = true;
        err = pg_send(q, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", SV_EMPTY);
    }
    if (!err)
        err = pg_put_flush(q);
    if (!err)
        err = pg_send(q, sql, values, n);
    return err ? err : pg_sync(q, result);
}

enum err pg_query(struct store_conn *c, struct store_rows *r, const char *sql,
                  const struct store_value *values, size_t n)
{
    struct pg_conn *q = (struct pg_conn *)c;
    PGresult *result = NULL;
    bool first = c->role == CONN_READER && !c->in_snapshot;
    if (!first && (c->lost || c->aborted))
        return conn_fail(c, ERR_UNAVAILABLE, "postgres: the transaction is over");
    int row = 0;
    bool ahead = c->role == CONN_WRITER && pg_ahead_find(q, sql, values, n, &result, &row);
    enum err err = ahead                                 ? OK
                   : c->failed && c->role == CONN_WRITER ? c->failed
                                                         : ask(q, sql, values, n, &result);
    /* A pooled connection may have died while it was idle; nothing was read on it yet. */
    if (err && first && c->lost && PQstatus(q->pg) != CONNECTION_OK) {
        err = pg_reconnect(q);
        if (!err)
            err = ask(q, sql, values, n, &result);
    }
    if (err)
        return err;
    struct pg_rows *rows = calloc(1, sizeof(*rows));
    if (!rows)
        abort();
    *rows = (struct pg_rows){.result = result, .row = -1, .n = PQntuples(result)};
    if (ahead)
        *rows = (struct pg_rows){
            .result = result, .row = row - 1, .n = row + 1, .first = 1, .shared = true};
    if (ahead && row < 0)
        rows->row = -1;
    rows->next = q->rows;
    q->rows = rows;
    r->state = rows;
    return OK;
}

int pg_next(struct store_rows *r)
{
    struct pg_rows *rows = r->state;
    if (rows->row + 1 >= rows->n)
        return 0;
    rows->row++;
    return 1;
}

static void free_rows(struct pg_rows *rows)
{
    if (!rows->shared)
        PQclear(rows->result);
    free(rows);
}

void pg_end(struct store_rows *r)
{
    struct pg_conn *q = (struct pg_conn *)r->conn;
    struct pg_rows *rows = r->state, **at = &q->rows;
    while (*at && *at != rows)
        at = &(*at)->next;
    if (*at)
        *at = rows->next;
    free_rows(rows);
}

void pg_end_all(struct store_conn *c)
{
    struct pg_conn *q = (struct pg_conn *)c;
    for (struct pg_rows *rows = q->rows, *next; rows; rows = next) {
        next = rows->next;
        free_rows(rows);
    }
    q->rows = NULL;
}

/* --- columns --- */

bool pg_is_null(const struct store_rows *r, int column)
{
    const struct pg_rows *rows = r->state;
    return PQgetisnull(rows->result, rows->row, column + rows->first);
}

static uint64_t get_be(const unsigned char *p, int n)
{
    uint64_t v = 0;
    for (int i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

/* NUMERIC in binary: counts of digits, weight, sign, scale, then digits in base 10000. */
static double numeric_value(const unsigned char *p, int n)
{
    if (n < 8)
        return 0;
    int digits = (int)get_be(p, 2), weight = (int16_t)get_be(p + 2, 2);
    uint64_t sign = get_be(p + 4, 2);
    double v = 0;
    for (int i = 0; i < digits && 10 + 2 * i <= n; i++)
        v = v * 10000 + (double)get_be(p + 8 + 2 * i, 2);
    v *= pow(10000, weight - digits + 1);
    return sign == 0x4000 ? -v : v;
}

/* The same for whole numbers, exactly; sum() of BIGINT is NUMERIC. */
static int64_t numeric_int(const unsigned char *p, int n)
{
    if (n < 8)
        return 0;
    int digits = (int)get_be(p, 2), weight = (int16_t)get_be(p + 2, 2);
    uint64_t v = 0;
    for (int i = 0; i <= weight && i < 5; i++)
        v = v * 10000 + (i < digits && 10 + 2 * i <= n ? get_be(p + 8 + 2 * i, 2) : 0);
    return get_be(p + 4, 2) == 0x4000 ? -(int64_t)v : (int64_t)v;
}

static double real_of(const unsigned char *p, Oid type)
{
    uint64_t bits = get_be(p, type == OID_FLOAT8 ? 8 : 4);
    double d;
    float f;
    if (type == OID_FLOAT8) {
        memcpy(&d, &bits, sizeof(d));
        return d;
    }
    uint32_t half = (uint32_t)bits;
    memcpy(&f, &half, sizeof(f));
    return (double)f;
}

static void wrong_type(const struct pg_rows *rows, int column)
{
    log_event(LOG_ERROR, "store.column_type", LOG_Z("column", PQfname(rows->result, column)),
              LOG_I("type", PQftype(rows->result, column)));
}

int64_t pg_get_int(const struct store_rows *r, int column)
{
    const struct pg_rows *rows = r->state;
    column += rows->first;
    const unsigned char *p = (unsigned char *)PQgetvalue(rows->result, rows->row, column);
    if (PQgetisnull(rows->result, rows->row, column))
        return 0;
    switch (PQftype(rows->result, column)) {
    case OID_INT8:
        return (int64_t)get_be(p, 8);
    case OID_INT4:
        return (int32_t)get_be(p, 4);
    case OID_OID:
        return (int64_t)get_be(p, 4);
    case OID_INT2:
        return (int16_t)get_be(p, 2);
    case OID_BOOL:
        return p[0];
    case OID_FLOAT4:
    case OID_FLOAT8:
        return (int64_t)real_of(p, PQftype(rows->result, column));
    case OID_NUMERIC:
        return numeric_int(p, PQgetlength(rows->result, rows->row, column));
    default:
        wrong_type(rows, column);
        return 0;
    }
}

double pg_get_real(const struct store_rows *r, int column)
{
    const struct pg_rows *rows = r->state;
    column += rows->first;
    const unsigned char *p = (unsigned char *)PQgetvalue(rows->result, rows->row, column);
    if (PQgetisnull(rows->result, rows->row, column))
        return 0;
    switch (PQftype(rows->result, column)) {
    case OID_FLOAT4:
    case OID_FLOAT8:
        return real_of(p, PQftype(rows->result, column));
    case OID_NUMERIC:
        return numeric_value(p, PQgetlength(rows->result, rows->row, column));
    default:
        return (double)pg_get_int(r, column - rows->first);
    }
}

struct str pg_get_text(const struct store_rows *r, int column)
{
    const struct pg_rows *rows = r->state;
    column += rows->first;
    if (PQgetisnull(rows->result, rows->row, column))
        return STR_NONE;
    switch (PQftype(rows->result, column)) {
    case OID_TEXT:
    case OID_BYTEA:
    case OID_VARCHAR:
    case OID_NAME:
        return str_n(PQgetvalue(rows->result, rows->row, column),
                     (size_t)PQgetlength(rows->result, rows->row, column));
    default:
        wrong_type(rows, column);
        return STR_NONE;
    }
}
