/*
 * engine.h - what an engine must do for the store. Private to src/store.
 *
 * An engine is one const struct of functions. Their only callers are the thin wrappers and the
 * threads of the store (store.c, readers.c, writer.c, migrate.c, keep.c); nothing else may know
 * which engine is behind a connection. Every member states its contract here, and the same tests
 * run on all engines.
 *
 * A connection is used by one thread at a time. There is one writer connection per store (used by
 * the writer thread only), a bounded number of readers (readers.c), and short-lived ones for
 * migrations and for keeping.
 */
#ifndef STORE_ENGINE_H
#define STORE_ENGINE_H

#include "core/buf.h"
#include "core/map.h"
#include "store/journal.h"
#include "store/store.h"
#include <pthread.h>
#include <stdatomic.h>

/* What a connection is opened for. */
enum conn_role {
    CONN_READER, /* snapshots; must not be able to write */
    CONN_WRITER, /* the writer's transactions */
    CONN_ADMIN   /* scripts: migrations and restore */
};

/* Where the writer connection stands; the table in writer.c says what may be trusted in each. */
enum conn_state {
    CONN_IDLE,  /* no transaction */
    CONN_OPEN,  /* in the batch's transaction, between changes */
    CONN_CLEAN, /* a change is being applied and has written nothing yet */
    CONN_DIRTY  /* a change is being applied and has written */
};

/* Common part of a connection; an engine's own struct begins with it. */
struct store_conn {
    struct store *store;
    enum conn_role role;

    /* Set by engines while statements run. failed is the first failure since the flags were
     * cleared by the owner, error explains it. */
    enum err failed;
    struct error error;
    bool aborted; /* the transaction accepts nothing more until undo() or rollback() (postgres) */
    bool lost;    /* disk or database gave up on the transaction: only rollback() may follow */
    size_t open_rows;

    /* writer.c */
    enum conn_state state;
    int64_t tenant; /* to which the change that is being applied keeps; 0: to none */

    /* readers.c */
    bool in_snapshot;   /* a read transaction is open; set by the engine at the first query */
    uint64_t commit;    /* store's commit counter before the snapshot was taken */
    int64_t idle_since; /* steady clock, while pooled */
    bool shrunk;        /* idle memory was given back */
    const void *view;   /* see store_set_view() */
    struct store_conn *next;
};

/* What a batch may touch: these tenants, in rising order; none: everything. */
enum { SCOPE_TENANTS = 64 };
struct batch_scope {
    int64_t *tenants;
    size_t n;
    int64_t first; /* one of them: whose turn comes first */
};

struct store_engine {
    const char *name;

    /* SQL types for {id}, {int}, {text}, {blob}, {real}, in this order. */
    const char *types[5];

    /* Claim the database: make s->engine_data, lock out what must be locked out. ERR_CONFLICT when
     * somebody else holds it. With s->read_only nothing is claimed and nothing made: ERR_NOT_FOUND
     * when there is no database. */
    enum err (*open)(struct store *s, struct error *e);
    /* After the migrations: start what the engine runs beside the writer. */
    enum err (*start)(struct store *s, struct error *e);
    /* Stop and free everything but connections, which are gone by then; after a failed open() too.
     */
    void (*close)(struct store *s);

    /* ERR_UNAVAILABLE when the database cannot be reached now. */
    enum err (*connect)(struct store *s, enum conn_role role, struct store_conn **out,
                        struct error *e);
    void (*disconnect)(struct store_conn *c);
    /* A reader came back: may it be pooled? Ends its snapshot unless that may be given to the next
     * reader while the store's commit counter stands still, that is, when nobody else can write. */
    bool (*reusable)(struct store_conn *c);
    /* End the snapshot of an idle reader. */
    void (*end_snapshot)(struct store_conn *c);
    /* Give back memory that an idle connection can do without. */
    void (*shrink)(struct store_conn *c);

    /* --- the writer's transaction --- */

    /* Begin; reconnects when needed. Until the transaction ends nobody else writes what is in the
     * scope, and what is asked from now on is what the last one left. The first tenant is waited
     * for; of the others those that another process has are taken out of the scope. Where other
     * processes may have written since the last transaction, journal_heads_forget() has been
     * called, and the heads of the scope's tenants are known. Questions ahead may be asked along.
     */
    enum err (*begin)(struct store_conn *c, struct batch_scope *scope, struct error *e);
    /* Durable when OK. Otherwise nothing is visible, and the batch may be tried again unless
     * c->lost is set; the error's text says so when the outcome is unknown. Failures of earlier
     * statements may show here. */
    enum err (*commit)(struct store_conn *c, bool rows_added, struct error *e);
    /* Never fails; no transaction is open afterwards. Clears nothing but the engine's own state. */
    void (*rollback)(struct store_conn *c);
    /* Savepoints: only when a batch is applied with care, one at a time. Errors may show at
     * settle(). */
    enum err (*savepoint)(struct store_conn *c);
    enum err (*release)(struct store_conn *c);
    /* Back to the savepoint, which is gone then; clears c->aborted. Not called when c->lost. */
    enum err (*undo)(struct store_conn *c);
    /* Wait until all statements have answered; their first failure. */
    enum err (*settle)(struct store_conn *c);

    /* Return when all that a reader's snapshot has shown is on disk. NULL: it always is. */
    enum err (*durable)(struct store_conn *c);

    /* --- statements; failures are recorded in the connection --- */

    /* Values need to live until the return. changed may be NULL. */
    enum err (*exec)(struct store_conn *c, const char *sql, const struct store_value *values,
                     size_t n, int64_t *changed);
    /* store_put(): now or later, but before any other statement of the connection. */
    enum err (*put)(struct store_conn *c, const struct store_bulk *bulk,
                    const struct store_value *values, size_t n);
    /* store_ahead(), and the end of it. NULL: questions cost nothing. */
    void (*ahead)(struct store_conn *c, const struct store_bulk *bulk,
                  const struct store_value *values, size_t n);
    void (*ahead_forget)(struct store_conn *c);
    /* Fill r->state, or NULL after a failure. */
    enum err (*query)(struct store_conn *c, struct store_rows *r, const char *sql,
                      const struct store_value *values, size_t n);
    /* 1: a row, 0: the end, -1: failure. */
    int (*next)(struct store_rows *r);
    bool (*is_null)(const struct store_rows *r, int column);
    int64_t (*get_int)(const struct store_rows *r, int column);
    double (*get_real)(const struct store_rows *r, int column);
    struct str (*get_text)(const struct store_rows *r, int column); /* text and bytes */
    void (*end)(struct store_rows *r);
    /* End rows that a change left open, so that the transaction can go on. */
    void (*end_all)(struct store_conn *c);

    /* --- several processes; NULL: there is only one --- */

    int64_t (*duty)(struct store *s, const char *duty);
    enum err (*tell)(struct store_conn *c, const char *topic, struct str key);

    /* --- scripts and keeping --- */

    /* Several statements without parameters, in the caller's transaction if there is one. */
    enum err (*script)(struct store_conn *c, const char *sql, struct error *e);
    /* Keep other processes out of the schema until unlock, on an admin connection. */
    enum err (*lock_schema)(struct store_conn *c, struct error *e);
    void (*unlock_schema)(struct store_conn *c);
    /* On the writer thread between batches; idle: nothing is queued. */
    void (*tidy)(struct store *s, struct store_conn *writer, bool idle);
    enum err (*backup)(struct store *s, const char *path, struct error *e);
    enum err (*restore)(const char *backup, const struct store_options *o, bool force,
                        struct error *e);
    /* The engine's own integrity. */
    size_t (*check)(struct store_conn *c, void (*report)(void *ctx, const char *what), void *ctx);
};

extern const struct store_engine store_engine_sqlite;
extern const struct store_engine store_engine_postgres;

/* Record a failure in the connection: the first one stays. Returns code. */
enum err conn_fail(struct store_conn *c, enum err code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* --- the store itself: who owns what --- */

struct readers {
    pthread_mutex_t lock;
    pthread_cond_t returned; /* CLOCK_MONOTONIC */
    struct store_conn *idle; /* last in, first out: the warmest is used first */
    int64_t open;            /* idle and in use */
    int64_t used;
};

/*
 * Changes that wait stand in lanes, which share the writer's time: the next change is of the lane
 * that has used least of it since it has had something to do (start-time fair queueing). Who has
 * many waits for themselves, and so does who has dear ones.
 */
enum { WRITER_LANES = 64 };

struct writer_lane {
    struct store_change *first, **last;
    int64_t n;
    int64_t used;    /* virtual time: of the writer's, microseconds */
    int64_t cost;    /* of one change lately, microseconds */
    int64_t seen_us; /* CLOCK_MONOTONIC: when it last had a change in a batch */
};

struct writer {
    pthread_mutex_t lock;
    pthread_cond_t wake; /* CLOCK_MONOTONIC */
    struct writer_lane lanes[WRITER_LANES];
    size_t turn;  /* the lane to be served next among equals */
    int64_t used; /* virtual time of the lane that was served last */
    int64_t busy; /* lanes with something in them */
    int64_t queued;
    int64_t gather; /* wake the writer when so many wait; 0: at the first */
    bool applying;  /* a batch that was taken is not told yet */
    bool closing;
    bool started;
    pthread_t thread;
    struct store_conn *conn;     /* writer thread only */
    struct outcome *outcomes;    /* writer thread only, batch_max of them */
    int64_t *tenants;            /* writer thread only, of the batch: its scope */
    struct arena errors;         /* writer thread only */
    struct journal_heads *heads; /* writer thread only */
    struct map once;             /* writer thread only: store_once() of this transaction */
    struct arena once_keys;      /* writer thread only */
    int64_t last_tidy;
    int64_t last_busy;
    int64_t batch;     /* changes of the batch that just ended; 0 once gathered for */
    int64_t batch_us;  /* and how long it took */
    int64_t commit_us; /* of that the commit */
};

enum { JOURNAL_LISTENERS = 16 };

struct store {
    const struct store_engine *engine;
    struct store_options options; /* its texts are ours, in arena */
    struct arena arena;
    const struct clock *clock;
    void *engine_data;
    bool read_only; /* opened by store_open_to_read(): claims nothing, has no writer */
    struct readers readers;
    struct writer writer;
    _Atomic uint64_t commits; /* raised after each commit, before anybody is told */

    pthread_mutex_t listeners_lock; /* held while they are called */
    struct {
        void (*fn)(void *ctx);
        void *ctx;
        bool unmarked; /* only of commits with a row that has no mark */
    } listeners[JOURNAL_LISTENERS];
    struct {
        const char *topic;
        void (*fn)(void *ctx, struct str key);
        void *ctx;
    } heeders[JOURNAL_LISTENERS]; /* under listeners_lock too */

    struct journal_news *news;
    pthread_mutex_t marker_lock; /* held while it is called */
    journal_marker *marker;
    void *marker_ctx;

    pthread_mutex_t health_lock;
    _Atomic bool degraded;
    struct error reason; /* health_lock */
};

/* Which engine the URL names, or NULL with an error. */
const struct store_engine *engine_of(const char *url, struct error *e);
/* Allocate a store without opening anything; options are copied. For open and restore. */
struct store *store_alloc(const struct store_options *o, const struct clock *clock,
                          const struct store_engine *engine);
void store_free(struct store *s);

void readers_init(struct readers *r);
void readers_release(struct store *s);
void readers_tidy(struct store *s, bool all); /* end idle snapshots: all, or those a second old */

void writer_init(struct writer *w);
enum err writer_start(struct store *s, struct error *e);
void writer_stop(struct store *s);
/* True when c is the writer and a statement may run; notes the first write. */
bool writer_allows(struct store_conn *c, const char *sql);

struct journal_heads *journal_heads_new(void);
void journal_heads_free(struct journal_heads *h);
void journal_heads_forget(struct journal_heads *h); /* everything: after a rollback */
/* What journal_tenant says in this transaction; an absent hash: it has no row of the tenant. */
enum err journal_heads_learn(struct journal_heads *h, int64_t tenant, int64_t seq, struct str hash,
                             struct error *e);
void journal_heads_keep(struct journal_heads *h); /* the change succeeded */
void journal_heads_undo(struct journal_heads *h); /* the change was undone */
bool journal_heads_dirty(const struct journal_heads *h);
/* A row appended by the transaction that is open, or was just committed. */
struct journal_fresh {
    int64_t tenant, seq;
    uint64_t mark;
};
/* Those rows in order; the next transaction begins with none. */
const struct journal_fresh *journal_heads_fresh(struct journal_heads *h, size_t *n);
/* Write the heads of the batch into their table, just before the commit. */
enum err journal_heads_flush(struct store_conn *c);
/* After a commit of ours that added rows: remember them, wake who listens. */
void journal_committed(struct store *s);
/* Somebody else may have added rows. */
void journal_wake(struct store *s);
struct journal_news *journal_news_new(void);
void journal_news_free(struct journal_news *n);
/* False: every row has a mark. */
bool journal_news_add(struct journal_news *n, const struct journal_fresh *rows, size_t n_rows);
void journal_news_foreign(struct journal_news *n);
/* Commits may have been lost: their numbers may come again. */
void journal_news_forget(struct journal_news *n);
/* A hint of another process: to those who heed its topic. Absent texts: to all. */
void hints_heard(struct store *s, struct str topic, struct str key);
/* Verify the chain of every tenant. */
size_t journal_check(struct store_conn *c, void (*report)(void *ctx, const char *what), void *ctx);

enum err migrate(struct store *s, const struct store_module *modules, size_t n, struct error *e);
/* ERR_CONFLICT unless each module is at the very version that this program knows. */
enum err migrate_verify(struct store *s, const struct store_module *modules, size_t n,
                        struct error *e);
extern const char migrate_table[]; /* makes store_migration; to be expanded */
/* Replace {id}, {int}, {text}, {blob}, {real}; ERR_INTERNAL for another name in braces. */
enum err migrate_expand(const struct store_engine *engine, const char *sql, struct buf *out,
                        struct error *e);

/* file.c: whole files on disk, durable before they get their name */
enum err file_sync(int fd, const char *path, struct error *e);
enum err file_rename_durably(const char *from, const char *to, struct error *e);
bool file_exists(const char *path);

#endif
