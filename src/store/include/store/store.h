/*
 * store.h - facts on disk: one contract, two engines (SQLite, PostgreSQL).
 *
 * Readers take a snapshot and never wait for the writer. All changes go through one writer thread
 * per store: it takes everything that is queued, applies it in one transaction together with the
 * journal rows, commits durably (fsync) and only then tells each submitter. So:
 *
 *   1. done(OK) means: the change is on disk and survives kill -9 and power loss.
 *   2. A change is applied wholly or not at all; a failed one undoes only itself, not its batch.
 *   3. Journal positions are dense per tenant and follow the order of commit, also when several
 *      processes write.
 *   4. When a commit fails (disk full, database gone) every change of the batch is told
 *      ERR_UNAVAILABLE, nothing of it is visible, and the next batch tries afresh.
 *
 * SQL is written once, in the subset that both engines share: $1..$n parameters, INSERT ... ON
 * CONFLICT, RETURNING, BIGINT, TEXT, BYTEA, DOUBLE PRECISION. Prepared statements are kept by their
 * text, some hundreds a connection: build SQL from literals only, never from values. Parameters are
 * BIGINT, DOUBLE PRECISION, TEXT or BYTEA as their values are; columns are read by the type that
 * they have. Text order is by code point in both (SQLite BINARY, PostgreSQL COLLATE "C").
 *
 *     struct store_rows r;
 *     store_query(conn, &r, "SELECT doc FROM entity WHERE tenant = $1", SV(SV_INT(tenant)));
 *     while (store_next(&r)) use(store_text(&r, 0));
 *     if (store_end(&r, &e)) ...
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "core/arena.h"
#include "core/clock.h"
#include "core/config.h"
#include "core/error.h"
#include "core/str.h"

struct store;
struct store_conn; /* a reader's snapshot or the writer's transaction; one thread at a time */

struct store_options {
    const char *url;         /* "sqlite:PATH" or "postgres://..." */
    int64_t readers;         /* reader connections that may be open at once; callers wait */
    int64_t queue_max;       /* changes that may wait for the writer */
    int64_t batch_shared_ms; /* changes of a batch take no longer where several tenants write */
    int64_t batch_max;       /* changes in one transaction */
    int64_t reader_wait_ms;  /* longest wait for a reader connection */
    int64_t statement_ms;    /* longest run of one statement (postgres) */
    int64_t cache_bytes;     /* page cache of the writer; readers get a quarter each (sqlite) */
    int64_t wal_bytes;       /* checkpoint when the log is longer (sqlite) */
    const char *durability;  /* "full" (default) or "none": tests and benchmarks only */
};
extern const struct config_table store_config;

/* One numbered migration of a module. Text may hold several statements. The placeholders
 * {id} (a primary key of integers that the engine assigns), {int}, {text}, {blob} and {real} become
 * the engine's types; {id} includes PRIMARY KEY. */
struct store_migration {
    int number; /* 1, 2, 3 ... without gaps */
    const char *name;
    const char *sql;
    const char *sqlite;   /* run in addition on SQLite, or NULL */
    const char *postgres; /* run in addition on PostgreSQL, or NULL */
};

struct store_module {
    const char *name;
    const struct store_migration *migrations;
    size_t n;
};

/*
 * Open or create, under a lock bring every module to its newest migration, start the writer.
 * ERR_CONFLICT with a clear message when the schema on disk is newer than this program's.
 */
enum err store_open(struct store **out, const struct store_options *o, const struct clock *clock,
                    const struct store_module *modules, size_t n_modules, struct error *e);
/*
 * Open an existing store beside the process that serves it, for backup and check: nothing is
 * locked, made or migrated, and store_submit() is refused. ERR_NOT_FOUND when there is no store;
 * ERR_CONFLICT when a given module is not at this program's version.
 */
enum err store_open_to_read(struct store **out, const struct store_options *o,
                            const struct clock *clock, const struct store_module *modules,
                            size_t n_modules, struct error *e);
/* Applies what is queued, then stops. Readers must have been returned; NULL is allowed. */
void store_close(struct store *s);

/* Fill the options with defaults and the given URL: for tests and commands. */
struct store_options store_options_for(const char *url);
const char *store_engine(const struct store *s); /* "sqlite" or "postgres" */

/* --- values and rows --- */

struct store_value {
    enum { SV_KIND_NULL, SV_KIND_INT, SV_KIND_REAL, SV_KIND_TEXT, SV_KIND_BLOB } kind;
    int64_t i;
    double d;
    struct str s; /* must live until store_end() or the return of store_exec() */
};

#define SV_NULL    ((struct store_value){SV_KIND_NULL, 0, 0, {0, 0}})
#define SV_INT(v)  ((struct store_value){SV_KIND_INT, (int64_t)(v), 0, {0, 0}})
#define SV_REAL(v) ((struct store_value){SV_KIND_REAL, 0, (v), {0, 0}})
#define SV_TEXT(v) store_value_text(v) /* an absent str is NULL */
#define SV_BLOB(v) store_value_blob(v)

static inline struct store_value store_value_text(struct str s)
{
    return (struct store_value){s.p ? SV_KIND_TEXT : SV_KIND_NULL, 0, 0, s};
}
static inline struct store_value store_value_blob(struct str s)
{
    return (struct store_value){s.p ? SV_KIND_BLOB : SV_KIND_NULL, 0, 0, s};
}

/* SV(SV_INT(1), SV_TEXT(x)) gives the two arguments "values, count"; SV_EMPTY for none. */
#define SV(...)                                                                                    \
    (const struct store_value[]){__VA_ARGS__},                                                     \
        sizeof((const struct store_value[]){__VA_ARGS__}) / sizeof(struct store_value)
#define SV_EMPTY NULL, 0

struct store_rows {
    struct store_conn *conn;
    void *state; /* the engine's */
    enum err failed;
};

/* Start a query; errors show at store_end(). Several may be open on one connection. PostgreSQL
 * reads the whole answer into memory: page through long ones with LIMIT. */
void store_query(struct store_conn *c, struct store_rows *r, const char *sql,
                 const struct store_value *values, size_t n);
bool store_next(struct store_rows *r);
bool store_is_null(const struct store_rows *r, int column);
int64_t store_int(const struct store_rows *r, int column);
double store_real(const struct store_rows *r, int column);
struct str store_text(const struct store_rows *r, int column); /* until the next store_next() */
struct str store_blob(const struct store_rows *r, int column);
enum err store_end(struct store_rows *r, struct error *e); /* always call it */

/* First column of the first row; ERR_NOT_FOUND when there is none. */
enum err store_get_int(struct store_conn *c, int64_t *out, const char *sql,
                       const struct store_value *values, size_t n, struct error *e);

/* --- reading --- */

/*
 * A reader on a snapshot of the last commit (or later). Waits for a free connection at most
 * reader_wait_ms, then NULL with ERR_UNAVAILABLE. Return it soon: an old snapshot keeps the log
 * from being checkpointed.
 */
struct store_conn *store_read(struct store *s, struct error *e);
void store_read_done(struct store_conn *c);
/*
 * With whose eyes a reader reads, as a role does in other databases: the caller's, NULL after
 * store_read(). The store only carries it; what reads rows for somebody asks for it.
 */
void store_set_view(struct store_conn *c, const void *view);
const void *store_view(const struct store_conn *c);
struct store *store_of(const struct store_conn *c);

/* --- writing --- */

/*
 * A change. apply() runs on the writer thread inside the batch's transaction and must only use c
 * and its own memory; returning an error undoes what this apply() wrote, and so does a statement
 * that fails, whatever apply() makes of it. done() runs on the writer thread after the commit (or
 * its failure), exactly once, and must not block. On PostgreSQL an error of a statement without
 * result may show only after apply(): done() then gets it. apply() may run twice: when a batch
 * fails as a whole its changes are applied again one by one.
 *
 * A statement that fails gives ERR_EXISTS for a unique key that is taken, ERR_CONFLICT for another
 * constraint, ERR_UNAVAILABLE when disk or database are gone, ERR_TIMEOUT, else ERR_INTERNAL.
 */
struct store_change {
    enum err (*apply)(struct store_conn *c, void *ctx, struct error *e);
    void (*done)(void *ctx, enum err code, const struct error *e);
    void *ctx;
    /* May be NULL. Called before the first apply() of the batch, for store_ahead() only. Who has it
     * promises that apply() writes no rows that another one's questions ahead could ask for, but
     * those that it asked for itself. */
    void (*ahead)(struct store_conn *c, void *ctx);
    struct store_change *next; /* the queue's */
    /* Changes of one lane are applied in the order of submission; lanes take turns, so that one
     * with many waiting does not hold up the others. For instance a hash of the tenant. */
    uint64_t lane;
    /* Not 0: a promise that apply() reads and writes, of what changes, nothing but rows of this
     * tenant, and appends to its journal alone. Several processes on one PostgreSQL apply changes
     * of different tenants side by side; one that promises nothing has the store to itself. */
    int64_t tenant;
};

/* Queue a change; it must live until done(). ERR_UNAVAILABLE when the queue is full or closing:
 * done() is then not called. */
enum err store_submit(struct store *s, struct store_change *change);

/* Wait until all that was submitted before was told, for instance changes whose clients have left:
 * before what they use ends. Never on the writer. */
void store_drain(struct store *s);

/* Apply and wait: for commands, jobs and tests; never on an HTTP worker or the writer. */
enum err store_write(struct store *s,
                     enum err (*apply)(struct store_conn *, void *, struct error *), void *ctx,
                     struct error *e);

/* A statement without rows, inside apply(). changed (may be NULL) gets the number of rows; asking
 * for it may cost a round trip. */
enum err store_exec(struct store_conn *c, const char *sql, const struct store_value *values,
                    size_t n, int64_t *changed, struct error *e);

/*
 * A statement for one row, and the same for many: `many` gets an array for each parameter, as in
 *     "INSERT INTO t(a, b) SELECT * FROM unnest(" BULK_INTS(1) ", " BULK_TEXTS(2) ")"
 * types has a letter for each: i BIGINT, r DOUBLE PRECISION, t TEXT, b BYTEA. A bulk is known by
 * its address and its texts: let both be static.
 */
struct store_bulk {
    const char *one;
    const char
        *many; /* of a question: the number of the key (WITH ORDINALITY) before the columns */
    const char *types;
    bool constant; /* of a question: a row that is there never changes */
};
#define BULK_INTS(n)  "CAST($" #n " AS BIGINT[])"
#define BULK_REALS(n) "CAST($" #n " AS DOUBLE PRECISION[])"
#define BULK_TEXTS(n) "CAST($" #n " AS TEXT[])"
#define BULK_BLOBS(n) "CAST($" #n " AS BYTEA[])"
/* Inside apply(): write a row, now or later, together with others of the same statement, but before
 * any other statement of this connection. So two rows of one statement must not depend on their
 * order, unless another statement stands between. Errors may show later, as those of store_exec().
 */
enum err store_put(struct store_conn *c, const struct store_bulk *bulk,
                   const struct store_value *values, size_t n, struct error *e);
/* Inside apply(): true when nobody has named the key in this transaction, or what was done for it
 * may be undone: for a row that many changes of a batch would write alike. */
bool store_once(struct store_conn *c, struct str key);
/* Inside ahead(): apply() will ask store_query(bulk->one, values) and get at most one row. Values
 * are integers and texts. */
void store_ahead(struct store_conn *c, const struct store_bulk *bulk,
                 const struct store_value *values, size_t n);

/* --- several processes on one store (PostgreSQL; on SQLite there is only ever one) --- */

/*
 * A duty is what one process does for all: notifying, expiring, trimming. Its name is static. The
 * answer is 0, or a number while this process has the duty; another number means that it was lost
 * in between, and that somebody else may have had it. The first question enters for it: the answer
 * is 0 until the database has said yes, some milliseconds later, when the journal's listeners are
 * woken. A process that ends loses its duties at once, killed or not, and another one has them
 * within a second. One that hangs or is cut off knows after 4 s that it has none, and others get
 * them after 8 s. On SQLite the answer is always 1. Any thread; cheap.
 */
int64_t store_duty(struct store *s, const char *duty);

/*
 * Hints: what a process keeps in memory of rows that another one may change. store_tell() in
 * apply() tells the other processes once the change is committed; store_heed() hears: fn runs on a
 * thread of the store and must not wait. An absent key says that anything may have changed: hints
 * were missed while the database was away, or the server has lost commits that nobody was told of.
 * At most 16 hear; removal waits until no call is running.
 */
enum err store_tell(struct store_conn *c, const char *topic, struct str key, struct error *e);
void store_heed(struct store *s, const char *topic, void (*fn)(void *ctx, struct str key),
                void *ctx);
void store_unheed(struct store *s, void (*fn)(void *ctx, struct str key), void *ctx);

/* --- keeping --- */

/* A consistent copy while the store is in use: one file for SQLite, a dump for PostgreSQL. */
enum err store_backup(struct store *s, const char *path, struct error *e);
/* Put a backup in place of an empty or missing store. Refuses to overwrite unless force. */
enum err store_restore(const char *backup, const struct store_options *o, bool force,
                       struct error *e);
/*
 * Check the engine's own integrity and the journal's chain; each finding goes to report().
 * Modules add their own checks (rows against indexes). The number of findings is returned.
 */
size_t store_check(struct store *s, void (*report)(void *ctx, const char *what), void *ctx);

/* True while writes fail for lack of disk or database; shown at /readyz. */
bool store_degraded(const struct store *s, struct error *e);

#endif
