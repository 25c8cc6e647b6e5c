/*
 * journal.c - positions, the chain of hashes, trimming, and who is woken.
 *
 * The head of a tenant (newest seq and hash) is remembered by the writer, so that an append costs
 * one INSERT; table journal_tenant gets the heads of a batch once, just before the commit. A head
 * on disk also shows when the newest rows were cut off, which the chain alone would not.
 */
#include "store/journal.h"

#include "core/map.h"
#include "crypto/hash.h"
#include "engine.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEADS_MAX = 4096 };

static const int64_t seq_max = (INT64_C(1) << JOURNAL_SEQ_BITS) - 1;
static const int64_t tenant_max = INT64_C(1) << 22;

struct head {
    int64_t tenant;
    int64_t seq;
    struct hash hash;
    bool dirty;        /* differs from journal_tenant */
    bool touched;      /* changed by the change that is being applied */
    bool dirty_before; /* the three before that change */
    int64_t seq_before;
    struct hash hash_before;
    struct head *next_touched;
};

struct journal_heads {
    struct arena arena;
    struct map by_tenant; /* key: the bytes of head.tenant */
    struct head *touched;
    size_t dirty;
    /* rows of this transaction; those of changes that succeeded */
    struct journal_fresh *fresh;
    size_t n_fresh, cap_fresh, kept;
};

struct journal_heads *journal_heads_new(void)
{
    struct journal_heads *h = calloc(1, sizeof(*h));
    if (!h)
        abort();
    return h;
}

void journal_heads_free(struct journal_heads *h)
{
    if (!h)
        return;
    journal_heads_forget(h);
    free(h->fresh);
    free(h);
}

void journal_heads_forget(struct journal_heads *h)
{
    map_release(&h->by_tenant);
    arena_release(&h->arena);
    h->by_tenant = (struct map)MAP_INIT;
    h->touched = NULL;
    h->dirty = 0;
    h->n_fresh = h->kept = 0;
}

void journal_heads_keep(struct journal_heads *h)
{
    for (struct head *t = h->touched; t; t = t->next_touched)
        t->touched = false;
    h->touched = NULL;
    h->kept = h->n_fresh;
}

void journal_heads_undo(struct journal_heads *h)
{
    for (struct head *t = h->touched; t; t = t->next_touched) {
        t->seq = t->seq_before;
        t->hash = t->hash_before;
        if (t->dirty != t->dirty_before)
            h->dirty += t->dirty_before ? 1 : (size_t)-1;
        t->dirty = t->dirty_before;
        t->touched = false;
    }
    h->touched = NULL;
    h->n_fresh = h->kept;
}

static void add_fresh(struct journal_heads *h, const struct journal_row *row)
{
    if (h->n_fresh == h->cap_fresh) {
        h->cap_fresh = h->cap_fresh ? h->cap_fresh * 2 : 64;
        h->fresh = realloc(h->fresh, h->cap_fresh * sizeof(*h->fresh));
        if (!h->fresh)
            abort();
    }
    h->fresh[h->n_fresh++] = (struct journal_fresh){row->tenant, row->seq, row->mark};
}

const struct journal_fresh *journal_heads_fresh(struct journal_heads *h, size_t *n)
{
    *n = h->n_fresh;
    h->n_fresh = h->kept = 0;
    return h->fresh;
}

bool journal_heads_dirty(const struct journal_heads *h)
{
    return h->dirty > 0;
}

static struct str key_of(const int64_t *tenant)
{
    return str_n((const char *)tenant, sizeof(*tenant));
}

static void put_be64(unsigned char out[8], int64_t v)
{
    for (int i = 0; i < 8; i++)
        out[i] = (unsigned char)((uint64_t)v >> (56 - 8 * i));
}

static struct hash row_hash(const struct hash *before, const struct journal_row *row)
{
    unsigned char numbers[32];
    put_be64(numbers, row->tenant);
    put_be64(numbers + 8, row->seq);
    put_be64(numbers + 16, row->at);
    put_be64(numbers + 24, row->origin_seq);
    const struct str fields[] = {str_n((const char *)before->b, HASH_BYTES),
                                 str_n((const char *)numbers, sizeof(numbers)),
                                 row->topic,
                                 row->key,
                                 row->body,
                                 row->actor,
                                 row->origin};
    return hash_blake2b_fields(fields, sizeof(fields) / sizeof(fields[0]));
}

static bool to_hash(struct str s, struct hash *out)
{
    if (s.n != HASH_BYTES)
        return false;
    memcpy(out->b, s.p, HASH_BYTES);
    return true;
}

static struct str of_hash(const struct hash *h)
{
    return str_n((const char *)h->b, HASH_BYTES);
}

enum err journal_heads_learn(struct journal_heads *h, int64_t tenant, int64_t seq, struct str hash,
                             struct error *e)
{
    struct head *head = ARENA_NEW(&h->arena, struct head);
    head->tenant = tenant;
    head->seq = seq;
    if (hash.p && !to_hash(hash, &head->hash))
        return error_set(e, ERR_CORRUPT, "journal: bad head of tenant %" PRId64, tenant);
    map_put(&h->by_tenant, key_of(&head->tenant), head);
    return OK;
}

/* The head of a tenant, remembered or read; a tenant without rows starts at 0 and zeros. NULL with
 * *err set when it cannot be read. */
static struct head *head_of(struct store_conn *c, int64_t tenant, enum err *err, struct error *e)
{
    struct journal_heads *h = c->store->writer.heads;
    struct head *head = map_get(&h->by_tenant, key_of(&tenant));
    *err = OK;
    if (head)
        return head;
    if (h->by_tenant.n >= HEADS_MAX && h->dirty == 0 && !h->touched)
        journal_heads_forget(h);
    struct store_rows r;
    struct error bad;
    enum err learnt;
    store_query(c, &r, "SELECT head_seq, head_hash FROM journal_tenant WHERE tenant = $1",
                SV(SV_INT(tenant)));
    if (store_next(&r))
        learnt = journal_heads_learn(h, tenant, store_int(&r, 0), store_blob(&r, 1), &bad);
    else
        learnt = r.failed ? OK : journal_heads_learn(h, tenant, 0, STR_NONE, &bad);
    if ((*err = store_end(&r, e)))
        return NULL;
    if (learnt) {
        *err = error_set(e, learnt, "%s", bad.text);
        return NULL;
    }
    return map_get(&h->by_tenant, key_of(&tenant));
}

/* May the change that is being applied write to this tenant's journal? */
static enum err check_scope(const struct store_conn *c, int64_t tenant, struct error *e)
{
    return c->tenant && c->tenant != tenant
               ? error_set(e, ERR_INTERNAL,
                           "journal: a change of tenant %" PRId64 " writes to tenant %" PRId64,
                           c->tenant, tenant)
               : OK;
}

static void remember(struct journal_heads *h, struct head *head)
{
    if (head->touched)
        return;
    head->touched = true;
    head->seq_before = head->seq;
    head->hash_before = head->hash;
    head->dirty_before = head->dirty;
    head->next_touched = h->touched;
    h->touched = head;
}

static void touch(struct journal_heads *h, struct head *head)
{
    remember(h, head);
    if (!head->dirty)
        h->dirty++;
    head->dirty = true;
}

#define INSERT_ROW                                                                                 \
    "INSERT INTO journal (pos, at, topic, key, body, actor, origin, origin_seq, hash)"
static const struct store_bulk insert_row = {
    .one = INSERT_ROW " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    .many = INSERT_ROW
    " SELECT * FROM unnest(" BULK_INTS(1) ", " BULK_INTS(2) ", " BULK_TEXTS(3) ", " BULK_TEXTS(
        4) ", " BULK_TEXTS(5) ", " BULK_TEXTS(6) ", " BULK_TEXTS(7) ", " BULK_INTS(8) ","
                                                                                      " " BULK_BLOBS(
                                                                                          9) ")",
    .types = "iitttttib",
};

enum err journal_append(struct store_conn *c, struct journal_row *row, struct error *e)
{
    if (c->role != CONN_WRITER)
        return error_set(e, ERR_INTERNAL, "journal_append() outside of a change");
    if (row->tenant < 1 || row->tenant > tenant_max || !row->topic.p || !row->key.p || !row->body.p)
        return error_set(e, ERR_INTERNAL, "journal: row without tenant, topic, key or body");
    enum err err = check_scope(c, row->tenant, e);
    struct head *head = err ? NULL : head_of(c, row->tenant, &err, e);
    if (!head)
        return err;
    if (head->seq >= seq_max)
        return error_set(e, ERR_INTERNAL, "journal: tenant %" PRId64 " is full", row->tenant);
    row->seq = head->seq + 1;
    struct hash hash = row_hash(&head->hash, row);
    err = store_put(c, &insert_row,
                    SV(SV_INT(row->tenant << JOURNAL_SEQ_BITS | row->seq), SV_INT(row->at),
                       SV_TEXT(row->topic), SV_TEXT(row->key), SV_TEXT(row->body),
                       SV_TEXT(row->actor), SV_TEXT(row->origin), SV_INT(row->origin_seq),
                       SV_BLOB(of_hash(&hash))),
                    e);
    if (err)
        return err;
    touch(c->store->writer.heads, head);
    add_fresh(c->store->writer.heads, row);
    head->seq = row->seq;
    head->hash = hash;
    return OK;
}

#define SET_HEAD "INSERT INTO journal_tenant (tenant, head_seq, head_hash, anchor_seq, anchor_hash)"
#define SET_HEAD_AGAIN                                                                             \
    " ON CONFLICT (tenant) DO UPDATE SET"                                                          \
    " head_seq = excluded.head_seq, head_hash = excluded.head_hash"
static const struct store_bulk set_head = {
    .one = SET_HEAD " VALUES ($1, $2, $3, $4, $5)" SET_HEAD_AGAIN,
    .many = SET_HEAD " SELECT * FROM unnest(" BULK_INTS(1) ", " BULK_INTS(2) ", " BULK_BLOBS(
        3) ", " BULK_INTS(4) ", " BULK_BLOBS(5) ")" SET_HEAD_AGAIN,
    .types = "iibib",
};

static enum err flush_head(struct store_conn *c, struct head *head, struct error *e)
{
    static const struct hash zero;
    return store_put(c, &set_head,
                     SV(SV_INT(head->tenant), SV_INT(head->seq), SV_BLOB(of_hash(&head->hash)),
                        SV_INT(0), SV_BLOB(of_hash(&zero))),
                     e);
}

enum err journal_heads_flush(struct store_conn *c)
{
    struct journal_heads *h = c->store->writer.heads;
    struct map_iter it = {0};
    if (h->dirty == 0)
        return OK;
    while (map_next(&h->by_tenant, &it)) {
        struct head *head = it.value;
        enum err err = head->dirty ? flush_head(c, head, NULL) : OK;
        if (err)
            return err;
        head->dirty = false;
    }
    h->dirty = 0;
    return OK;
}

enum err journal_begin(struct store_conn *c, int64_t tenant, int64_t seq, struct error *e)
{
    static const struct hash zero;
    if (c->role != CONN_WRITER || tenant < 1 || tenant > tenant_max || seq < 1 || seq >= seq_max)
        return error_set(e, ERR_INTERNAL, "journal_begin() outside of a change or its range");
    enum err err = check_scope(c, tenant, e);
    struct head *head = err ? NULL : head_of(c, tenant, &err, e);
    if (!head)
        return err;
    if (head->seq)
        return error_set(e, ERR_CONFLICT, "the journal of tenant %" PRId64 " has begun", tenant);
    err = store_exec(c,
                     "INSERT INTO journal_tenant"
                     " (tenant, head_seq, head_hash, anchor_seq, anchor_hash)"
                     " VALUES ($1, $2, $3, $4, $5)",
                     SV(SV_INT(tenant), SV_INT(seq), SV_BLOB(of_hash(&zero)), SV_INT(seq),
                        SV_BLOB(of_hash(&zero))),
                     NULL, e);
    if (err)
        return err;
    touch(c->store->writer.heads, head);
    head->seq = seq;
    head->hash = zero;
    return OK;
}

/* --- reading --- */

struct range {
    int64_t anchor_seq, head_seq;
    struct hash anchor, head;
    bool found;
};

static enum err range_of(struct store_conn *c, int64_t tenant, struct range *out, struct error *e)
{
    struct store_rows r;
    *out = (struct range){0};
    store_query(c, &r,
                "SELECT anchor_seq, head_seq, anchor_hash, head_hash FROM journal_tenant"
                " WHERE tenant = $1",
                SV(SV_INT(tenant)));
    if (store_next(&r)) {
        out->found =
            to_hash(store_blob(&r, 2), &out->anchor) && to_hash(store_blob(&r, 3), &out->head);
        out->anchor_seq = store_int(&r, 0);
        out->head_seq = store_int(&r, 1);
    }
    enum err err = store_end(&r, e);
    /* The batch's own rows are not in the table yet. */
    if (!err && c->role == CONN_WRITER) {
        struct head *head = map_get(&c->store->writer.heads->by_tenant, key_of(&tenant));
        if (head)
            out->head_seq = head->seq;
    }
    return err;
}

enum err journal_range(struct store_conn *c, int64_t tenant, int64_t *oldest, int64_t *newest,
                       struct error *e)
{
    struct range range;
    enum err err = range_of(c, tenant, &range, e);
    if (err)
        return err;
    *oldest = range.anchor_seq + 1;
    *newest = range.head_seq;
    return OK;
}

#define JOURNAL_COLUMNS "pos, at, topic, key, body, actor, origin, origin_seq, hash"

static struct journal_row row_at(const struct store_rows *r)
{
    int64_t pos = store_int(r, 0);
    return (struct journal_row){.tenant = pos >> JOURNAL_SEQ_BITS,
                                .seq = pos & seq_max,
                                .at = store_int(r, 1),
                                .topic = store_text(r, 2),
                                .key = store_text(r, 3),
                                .body = store_text(r, 4),
                                .actor = store_text(r, 5),
                                .origin = store_text(r, 6),
                                .origin_seq = store_int(r, 7)};
}

enum err journal_read(struct store_conn *c, int64_t tenant, int64_t after, size_t max,
                      bool (*each)(void *ctx, const struct journal_row *row), void *ctx,
                      struct error *e)
{
    struct range range;
    enum err err = range_of(c, tenant, &range, e);
    if (err)
        return err;
    if (after < 0)
        after = 0;
    if (after < range.anchor_seq)
        return error_set(e, ERR_NOT_FOUND, "journal: rows after %" PRId64 " were trimmed", after);
    if (after >= range.head_seq)
        return OK;
    struct store_rows r;
    int64_t first = tenant << JOURNAL_SEQ_BITS;
    store_query(c, &r,
                "SELECT " JOURNAL_COLUMNS " FROM journal WHERE pos > $1 AND pos <= $2"
                " ORDER BY pos LIMIT $3",
                SV(SV_INT(first | after), SV_INT(first | seq_max), SV_INT(max)));
    if (!r.failed && c->role == CONN_READER && c->store->engine->durable)
        r.failed = c->store->engine->durable(c);
    while (store_next(&r)) {
        struct journal_row row = row_at(&r);
        if (!each(ctx, &row))
            break;
    }
    return store_end(&r, e);
}

enum err journal_hash(struct store_conn *c, int64_t tenant, int64_t seq, struct hash *out,
                      struct error *e)
{
    struct store_rows r;
    bool found = false;
    *out = (struct hash){{0}};
    if (seq == 0)
        return OK;
    store_query(c, &r,
                "SELECT hash FROM journal WHERE pos = $1 UNION ALL SELECT anchor_hash"
                " FROM journal_tenant WHERE tenant = $2 AND anchor_seq = $3",
                SV(SV_INT(tenant << JOURNAL_SEQ_BITS | seq), SV_INT(tenant), SV_INT(seq)));
    if (store_next(&r))
        found = to_hash(store_blob(&r, 0), out);
    enum err err = store_end(&r, e);
    return err || found ? err
                        : error_set(e, ERR_NOT_FOUND, "journal: row %" PRId64 " is not kept", seq);
}

enum err journal_trim(struct store_conn *c, int64_t tenant, int64_t upto, struct error *e)
{
    struct range range;
    enum err err;
    if (c->role != CONN_WRITER)
        return error_set(e, ERR_INTERNAL, "journal_trim() outside of a change");
    if ((err = check_scope(c, tenant, e)))
        return err;
    struct head *head = head_of(c, tenant, &err, e);
    if (!head || (err = range_of(c, tenant, &range, e)))
        return err;
    if (upto > head->seq)
        upto = head->seq;
    if (upto <= range.anchor_seq)
        return OK;
    /* The anchor lives in the tenant's row, which a first batch has not written yet. */
    if (!range.found && (err = flush_head(c, head, e)))
        return err;
    struct store_rows r;
    struct hash hash = {{0}};
    int64_t first = tenant << JOURNAL_SEQ_BITS;
    bool good = false;
    store_query(c, &r, "SELECT hash FROM journal WHERE pos = $1", SV(SV_INT(first | upto)));
    if (store_next(&r))
        good = to_hash(store_blob(&r, 0), &hash);
    if ((err = store_end(&r, e)))
        return err;
    if (!good)
        return error_set(e, ERR_CORRUPT,
                         "journal: row %" PRId64 " of tenant %" PRId64 " is missing", upto, tenant);
    err = store_exec(c, "DELETE FROM journal WHERE pos > $1 AND pos <= $2",
                     SV(SV_INT(first | range.anchor_seq), SV_INT(first | upto)), NULL, e);
    if (err)
        return err;
    return store_exec(c,
                      "UPDATE journal_tenant SET anchor_seq = $1, anchor_hash = $2"
                      " WHERE tenant = $3",
                      SV(SV_INT(upto), SV_BLOB(of_hash(&hash)), SV_INT(tenant)), NULL, e);
}

enum err journal_drop(struct store_conn *c, int64_t tenant, struct error *e)
{
    if (c->role != CONN_WRITER || tenant < 1 || tenant > tenant_max)
        return error_set(e, ERR_INTERNAL, "journal_drop() outside of a change or of its range");
    enum err err;
    struct head *head = head_of(c, tenant, &err, e);
    if (!head)
        return err;
    int64_t first = tenant << JOURNAL_SEQ_BITS;
    err = store_exec(c, "DELETE FROM journal WHERE pos >= $1 AND pos <= $2",
                     SV(SV_INT(first), SV_INT(first | seq_max)), NULL, e);
    if (!err)
        err = store_exec(c, "DELETE FROM journal_tenant WHERE tenant = $1", SV(SV_INT(tenant)),
                         NULL, e);
    if (err)
        return err;
    struct journal_heads *h = c->store->writer.heads;
    remember(h, head);
    if (head->dirty)
        h->dirty--;
    head->dirty = false;
    head->seq = 0;
    head->hash = (struct hash){{0}};
    return OK;
}

/* --- listeners --- */

static void listen_to(struct store *s, void (*fn)(void *ctx), void *ctx, bool unmarked)
{
    pthread_mutex_lock(&s->listeners_lock);
    for (size_t i = 0; i < JOURNAL_LISTENERS; i++) {
        if (!s->listeners[i].fn) {
            s->listeners[i].fn = fn;
            s->listeners[i].ctx = ctx;
            s->listeners[i].unmarked = unmarked;
            break;
        }
    }
    pthread_mutex_unlock(&s->listeners_lock);
}

void journal_listen(struct store *s, void (*fn)(void *ctx), void *ctx)
{
    listen_to(s, fn, ctx, false);
}

void journal_listen_unmarked(struct store *s, void (*fn)(void *ctx), void *ctx)
{
    listen_to(s, fn, ctx, true);
}

void journal_unlisten(struct store *s, void (*fn)(void *ctx), void *ctx)
{
    pthread_mutex_lock(&s->listeners_lock);
    for (size_t i = 0; i < JOURNAL_LISTENERS; i++)
        if (s->listeners[i].fn == fn && s->listeners[i].ctx == ctx)
            s->listeners[i].fn = NULL;
    pthread_mutex_unlock(&s->listeners_lock);
}

static void wake(struct store *s, bool unmarked)
{
    pthread_mutex_lock(&s->listeners_lock);
    for (size_t i = 0; i < JOURNAL_LISTENERS; i++)
        if (s->listeners[i].fn && (unmarked || !s->listeners[i].unmarked))
            s->listeners[i].fn(s->listeners[i].ctx);
    pthread_mutex_unlock(&s->listeners_lock);
}

void journal_committed(struct store *s)
{
    size_t n;
    const struct journal_fresh *rows = journal_heads_fresh(s->writer.heads, &n);
    wake(s, journal_news_add(s->news, rows, n));
}

void journal_wake(struct store *s)
{
    journal_news_foreign(s->news);
    wake(s, true);
}

/* --- checking --- */

enum { CHECK_PAGE = 1000, CHECK_FINDINGS = 100 };

struct chain {
    struct store_conn *c;
    void (*report)(void *ctx, const char *what);
    void *ctx;
    size_t findings;
    int64_t tenant;
    int64_t seq;      /* of the last row seen */
    struct hash hash; /* of the last row seen */
    struct range range;
};

static void __attribute__((format(printf, 2, 3))) finding(struct chain *ch, const char *fmt, ...)
{
    char text[200];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (ch->findings++ < CHECK_FINDINGS)
        ch->report(ch->ctx, text);
}

static void end_tenant(struct chain *ch)
{
    if (!ch->tenant)
        return;
    if (ch->seq != ch->range.head_seq)
        finding(ch, "journal: tenant %" PRId64 " ends at %" PRId64 " instead of %" PRId64,
                ch->tenant, ch->seq, ch->range.head_seq);
    else if (memcmp(ch->hash.b, ch->range.head.b, HASH_BYTES) != 0)
        finding(ch, "journal: tenant %" PRId64 ": the head's hash is not that of row %" PRId64,
                ch->tenant, ch->seq);
}

static enum err start_tenant(struct chain *ch, int64_t tenant, struct error *e)
{
    end_tenant(ch);
    ch->tenant = tenant;
    enum err err = range_of(ch->c, tenant, &ch->range, e);
    if (!err && !ch->range.found)
        finding(ch, "journal: tenant %" PRId64 " has rows but no head", tenant);
    ch->seq = ch->range.anchor_seq;
    ch->hash = ch->range.anchor;
    return err;
}

static void check_row(struct chain *ch, const struct journal_row *row, struct str stored)
{
    struct hash hash;
    if (row->seq != ch->seq + 1) {
        finding(ch, "journal: tenant %" PRId64 ": row %" PRId64 " follows row %" PRId64, ch->tenant,
                row->seq, ch->seq);
    } else {
        struct hash want = row_hash(&ch->hash, row);
        if (!str_eq(stored, of_hash(&want)))
            finding(ch, "journal: tenant %" PRId64 ": row %" PRId64 " does not match its hash",
                    ch->tenant, row->seq);
    }
    ch->seq = row->seq;
    if (to_hash(stored, &hash))
        ch->hash = hash;
}

static enum err check_rows(struct chain *ch, struct error *e)
{
    int64_t pos = 0;
    size_t n;
    do {
        struct store_rows r;
        enum err err = OK;
        n = 0;
        store_query(ch->c, &r,
                    "SELECT " JOURNAL_COLUMNS " FROM journal WHERE pos > $1 ORDER BY pos LIMIT $2",
                    SV(SV_INT(pos), SV_INT(CHECK_PAGE)));
        while (!err && store_next(&r)) {
            struct journal_row row = row_at(&r);
            n++;
            pos = store_int(&r, 0);
            if (row.tenant != ch->tenant)
                err = start_tenant(ch, row.tenant, e);
            check_row(ch, &row, store_blob(&r, 8));
        }
        enum err end = store_end(&r, e);
        if (err || end)
            return err ? err : end;
    } while (n == CHECK_PAGE);
    end_tenant(ch);
    return OK;
}

/* Tenants whose rows are all gone although they were not trimmed. */
static enum err check_empty(struct chain *ch, struct error *e)
{
    struct store_rows r;
    store_query(ch->c, &r,
                "SELECT tenant, head_seq FROM journal_tenant t WHERE head_seq > anchor_seq AND"
                " NOT EXISTS (SELECT 1 FROM journal WHERE pos > t.tenant * $1"
                " AND pos < (t.tenant + 1) * $1)",
                SV(SV_INT(seq_max + 1)));
    while (store_next(&r))
        finding(ch, "journal: tenant %" PRId64 " has no rows up to %" PRId64, store_int(&r, 0),
                store_int(&r, 1));
    return store_end(&r, e);
}

size_t journal_check(struct store_conn *c, void (*report)(void *ctx, const char *what), void *ctx)
{
    struct chain ch = {.c = c, .report = report, .ctx = ctx};
    struct error e;
    if (check_rows(&ch, &e) || check_empty(&ch, &e))
        finding(&ch, "journal: cannot be read: %.150s", e.text);
    return ch.findings;
}
