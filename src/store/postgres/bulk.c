/*
 * bulk.c - many rows in one command: store_put() and store_ahead().
 *
 * A command costs the server about as much as the row it changes, and a question costs a round
 * trip. So rows to be written are kept as arrays of values, in the server's binary form, until
 * another statement comes or the transaction ends; and what the changes of a batch will ask for is
 * asked for all of them at once, the answer kept row by row.
 *
 *   1. Rows that wait are written before any other command of the connection, in the order of their
 *      statements' first use.
 *   2. An answer known ahead is given once, because the change that got it may write the row;
 *      the next one asks the server. Only what never changes (constant) is given again.
 */
#include "postgres.h"

#include <stdlib.h>
#include <string.h>

enum { COLUMNS_MAX = 12, ROWS_MAX = 4096, BYTES_MAX = 8 << 20, KEEP_MAX = 1 << 18, HEADER = 20 };

/* One column of rows that wait, or of questions: the elements of an array. */
struct column {
    struct buf elements;
    bool nulls;
};

struct rows_of {
    const struct store_bulk *bulk;
    struct column columns[COLUMNS_MAX];
    int n;
};

struct asked {
    int row; /* of the answer; -1: there is none */
    bool given;
};

struct pg_ahead {
    struct rows_of keys;
    struct arena arena;
    struct map asked; /* key bytes to struct asked */
    struct asked **by_number;
    PGresult *answer;
};

enum { BULKS_MAX = 16 };

struct pg_bulk {
    struct rows_of rows[BULKS_MAX]; /* those in use first */
    int n;
    size_t bytes;
    struct pg_ahead ahead[PG_AHEADS];
    int n_ahead;
};

static const struct {
    char letter;
    Oid element, array;
} types[] = {{'i', 20, 1016}, {'r', 701, 1022}, {'t', 25, 1009}, {'b', 17, 1001}};

static int type_of(char letter)
{
    for (int i = 0; i < 4; i++)
        if (types[i].letter == letter)
            return i;
    return 2;
}

/* --- arrays --- */

static void put_be32(char out[4], uint32_t v)
{
    for (int i = 0; i < 4; i++)
        out[i] = (char)(v >> (24 - 8 * i));
}

static void add_bytes(struct buf *b, const void *p, size_t n)
{
    char length[4];
    put_be32(length, (uint32_t)n);
    buf_add(b, length, 4);
    buf_add(b, p, n);
}

static void add_element(struct column *c, const struct store_value *v, char type)
{
    uint64_t bits = (uint64_t)v->i;
    double d = v->kind == SV_KIND_INT ? (double)v->i : v->d;
    char be[8];
    if (!c->elements.n) {
        char header[HEADER] = {0};
        buf_add(&c->elements, header, HEADER);
    }
    if (v->kind == SV_KIND_NULL) {
        buf_add(&c->elements, "\xff\xff\xff\xff", 4);
        c->nulls = true;
    } else if (v->kind == SV_KIND_TEXT || v->kind == SV_KIND_BLOB) {
        add_bytes(&c->elements, v->s.p, v->s.n);
    } else {
        if (type == 'r')
            memcpy(&bits, &d, sizeof(bits));
        for (int i = 0; i < 8; i++)
            be[i] = (char)(bits >> (56 - 8 * i));
        add_bytes(&c->elements, be, 8);
    }
}

/* One dimension, counted from 1. */
static void finish(struct column *c, Oid element, int n)
{
    put_be32(c->elements.p, 1);
    put_be32(c->elements.p + 4, c->nulls);
    put_be32(c->elements.p + 8, element);
    put_be32(c->elements.p + 12, (uint32_t)n);
    put_be32(c->elements.p + 16, 1);
}

static size_t rows_add(struct rows_of *r, const struct store_value *values)
{
    size_t bytes = 0;
    for (int i = 0; r->bulk->types[i]; i++) {
        add_element(&r->columns[i], &values[i], r->bulk->types[i]);
        bytes += values[i].s.n + 12;
    }
    r->n++;
    return bytes;
}

static void rows_clear(struct rows_of *r)
{
    for (int i = 0; i < COLUMNS_MAX; i++) {
        if (r->columns[i].elements.n > KEEP_MAX)
            buf_release(&r->columns[i].elements);
        else
            buf_clear(&r->columns[i].elements);
        r->columns[i].nulls = false;
    }
    r->n = 0;
}

static enum err rows_send(struct pg_conn *q, struct rows_of *r)
{
    struct str arrays[COLUMNS_MAX];
    Oid oids[COLUMNS_MAX];
    int n = 0;
    for (; r->bulk->types[n]; n++) {
        int t = type_of(r->bulk->types[n]);
        finish(&r->columns[n], types[t].element, r->n);
        arrays[n] = buf_view(&r->columns[n].elements);
        oids[n] = types[t].array;
    }
    return pg_send_arrays(q, r->bulk->many, arrays, oids, n);
}

enum err pg_send_ints(struct pg_conn *q, const char *sql, const int64_t *v, size_t n)
{
    static const Oid array = 1016;
    struct column c = {.elements = BUF_INIT};
    for (size_t i = 0; i < n; i++)
        add_element(&c, &SV_INT(v[i]), 'i');
    finish(&c, 20, (int)n);
    struct str text = buf_view(&c.elements);
    enum err err = pg_send_arrays(q, sql, &text, &array, 1);
    buf_release(&c.elements);
    return err;
}

static struct pg_bulk *bulk_of(struct pg_conn *q)
{
    if (!q->bulk && !(q->bulk = calloc(1, sizeof(*q->bulk))))
        abort();
    return q->bulk;
}

/* --- writing --- */

enum err pg_put_flush(struct pg_conn *q)
{
    struct pg_bulk *b = q->bulk;
    enum err err = OK;
    if (!b || !b->n)
        return OK;
    for (int i = 0; i < b->n; i++) {
        if (!err)
            err = rows_send(q, &b->rows[i]);
        rows_clear(&b->rows[i]);
    }
    b->n = 0;
    b->bytes = 0;
    return err;
}

static struct rows_of *rows_for(struct pg_conn *q, const struct store_bulk *bulk, enum err *err)
{
    struct pg_bulk *b = bulk_of(q);
    int i = 0;
    *err = OK;
    while (i < b->n && b->rows[i].bulk != bulk)
        i++;
    bool full = i < b->n ? b->rows[i].n >= ROWS_MAX || b->bytes >= BYTES_MAX : i == BULKS_MAX;
    if (full && (*err = pg_put_flush(q)))
        return NULL;
    if (!full && i < b->n)
        return &b->rows[i];
    b->rows[b->n].bulk = bulk;
    return &b->rows[b->n++];
}

enum err pg_put(struct store_conn *c, const struct store_bulk *bulk,
                const struct store_value *values, size_t n)
{
    struct pg_conn *q = (struct pg_conn *)c;
    enum err err;
    if (c->lost || c->aborted)
        return conn_fail(c, ERR_UNAVAILABLE, "postgres: the transaction is over");
    if (n > COLUMNS_MAX || n != strlen(bulk->types))
        return conn_fail(c, ERR_INTERNAL, "postgres: wrong number of values for %.120s", bulk->one);
    struct rows_of *r = rows_for(q, bulk, &err);
    if (r)
        q->bulk->bytes += rows_add(r, values);
    return err;
}

/* --- asking ahead --- */

static struct str key_of(struct arena *a, const struct store_value *values, size_t n)
{
    struct buf b = BUF_INIT;
    for (size_t i = 0; i < n; i++) {
        char kind = (char)values[i].kind;
        buf_add(&b, &kind, 1);
        if (values[i].kind == SV_KIND_TEXT)
            add_bytes(&b, values[i].s.p, values[i].s.n);
        else
            add_bytes(&b, &values[i].i, sizeof(values[i].i));
    }
    struct str key = buf_dup(&b, a);
    buf_release(&b);
    return key;
}

static void ahead_clear(struct pg_ahead *h)
{
    rows_clear(&h->keys);
    map_release(&h->asked);
    h->asked = (struct map)MAP_INIT;
    free(h->by_number);
    h->by_number = NULL;
    arena_reset(&h->arena);
    PQclear(h->answer);
    h->answer = NULL;
}

void pg_ahead_forget(struct store_conn *c)
{
    struct pg_bulk *b = ((struct pg_conn *)c)->bulk;
    for (int i = 0; b && i < b->n_ahead; i++)
        ahead_clear(&b->ahead[i]);
    if (b)
        b->n_ahead = 0;
}

void pg_ahead(struct store_conn *c, const struct store_bulk *bulk, const struct store_value *values,
              size_t n)
{
    struct pg_bulk *b = bulk_of((struct pg_conn *)c);
    int i = 0;
    while (i < b->n_ahead && b->ahead[i].keys.bulk != bulk)
        i++;
    if (i == PG_AHEADS || n != strlen(bulk->types))
        return;
    if (i == b->n_ahead)
        b->n_ahead++;
    struct pg_ahead *h = &b->ahead[i];
    struct str key = key_of(&h->arena, values, n);
    h->keys.bulk = bulk;
    if (h->answer || h->keys.n == ROWS_MAX || map_get(&h->asked, key))
        return;
    struct asked *asked = ARENA_NEW(&h->arena, struct asked);
    asked->row = -1;
    map_put(&h->asked, key, asked);
    if (h->keys.n % 64 == 0) {
        h->by_number = realloc(h->by_number, ((size_t)h->keys.n + 64) * sizeof(asked));
        if (!h->by_number)
            abort();
    }
    h->by_number[h->keys.n] = asked;
    rows_add(&h->keys, values);
}

enum err pg_ahead_send(struct pg_conn *q, size_t *n)
{
    struct pg_bulk *b = q->bulk;
    enum err err = OK;
    for (int i = 0; b && !err && i < b->n_ahead; i++) {
        if (b->ahead[i].answer)
            continue;
        err = rows_send(q, &b->ahead[i].keys);
        *n += 1;
    }
    return err;
}

/* First column: the number of the question, from 1. */
static void take_answer(struct pg_conn *q, struct pg_ahead *h, PGresult *answer)
{
    struct pg_rows numbers = {.result = answer};
    struct store_rows r = {.conn = &q->base, .state = &numbers};
    h->answer = answer;
    for (; numbers.row < PQntuples(answer); numbers.row++) {
        int64_t number = pg_get_int(&r, 0);
        if (number >= 1 && number <= h->keys.n)
            h->by_number[number - 1]->row = numbers.row;
    }
}

void pg_ahead_take(struct pg_conn *q, PGresult **answers)
{
    struct pg_bulk *b = q->bulk;
    for (int i = 0; b && i < b->n_ahead; i++)
        if (!b->ahead[i].answer)
            take_answer(q, &b->ahead[i], *answers++);
}

static enum err ahead_run(struct pg_conn *q)
{
    PGresult *answers[PG_AHEADS] = {0};
    size_t n = 0;
    enum err err = pg_put_flush(q);
    if (!err)
        err = pg_ahead_send(q, &n);
    if (!err)
        err = pg_sync_rows(q, answers, n);
    if (!err)
        pg_ahead_take(q, answers);
    return err;
}

bool pg_ahead_find(struct pg_conn *q, const char *sql, const struct store_value *values, size_t n,
                   PGresult **answer, int *row)
{
    struct pg_bulk *b = q->bulk;
    struct arena a = ARENA_INIT;
    struct pg_ahead *h = NULL;
    for (int i = 0; b && i < b->n_ahead && !h; i++)
        if (b->ahead[i].keys.bulk->one == sql && n == strlen(b->ahead[i].keys.bulk->types))
            h = &b->ahead[i];
    if (!h)
        return false;
    struct asked *asked = map_get(&h->asked, key_of(&a, values, n));
    arena_release(&a);
    if (!asked || asked->given || (!h->answer && ahead_run(q)))
        return false;
    /* What is not there yet may be made by a change before the next question. */
    asked->given = !h->keys.bulk->constant || asked->row < 0;
    *answer = h->answer;
    *row = asked->row;
    return true;
}

/* --- ends --- */

void pg_bulk_forget(struct pg_conn *q)
{
    struct pg_bulk *b = q->bulk;
    if (!b)
        return;
    for (int i = 0; i < b->n; i++)
        rows_clear(&b->rows[i]);
    b->n = 0;
    b->bytes = 0;
    pg_ahead_forget(&q->base);
}

void pg_bulk_free(struct pg_conn *q)
{
    if (!q->bulk)
        return;
    pg_bulk_forget(q);
    for (int i = 0; i < BULKS_MAX; i++)
        for (int k = 0; k < COLUMNS_MAX; k++)
            buf_release(&q->bulk->rows[i].columns[k].elements);
    for (int i = 0; i < PG_AHEADS; i++) {
        for (int k = 0; k < COLUMNS_MAX; k++)
            buf_release(&q->bulk->ahead[i].keys.columns[k].elements);
        arena_release(&q->bulk->ahead[i].arena);
    }
    free(q->bulk);
    q->bulk = NULL;
}
