/* postgres.h - what the files of the PostgreSQL engine share. */
#ifndef STORE_POSTGRES_H
#define STORE_POSTGRES_H

#include "core/map.h"
#include "engine.h"
#include <libpq-fe.h>

enum { PG_DUTIES = 32, PG_AHEADS = 4 };

/* The engine's part of a store. */
struct pg_data {
    char channel[40]; /* of NOTIFY; one per schema */
    char self[33];    /* what our own notifications begin with */
    int64_t locks;    /* advisory lock of the schema's store; those of its tenants follow */
    pthread_t listener;
    bool running;
    PGconn *listening; /* the listener's, once it runs; NULL while it is lost */
    int wake_fd;       /* eventfd */
    atomic_bool stopping;

    pthread_mutex_t duty_lock;
    struct {
        const char *name;
        int64_t term; /* 0: we do not have it */
    } duties[PG_DUTIES];
    int n_duties;
    int64_t terms;
    int64_t confirmed; /* steady: when the database was last asked and answered later */
};

struct pg_statement {
    char *sql;
    char name[24];
    int n; /* parameters */
    Oid *types;
    bool ready;       /* the server has it */
    uint64_t segment; /* in which it was prepared: a failure there leaves it in doubt */
};

/* An answer being read; a shared one belongs to bulk.c. */
struct pg_rows {
    PGresult *result;
    int row, n;
    int first; /* column that the caller counts as 0 */
    bool shared;
    struct pg_rows *next;
};

struct pg_bulk;

/*
 * A connection in pipeline mode. Commands are queued; a sync ends a segment, and only then are the
 * answers of the segment read. When a command fails the server skips the rest of its segment.
 */
struct pg_conn {
    struct store_conn base;
    PGconn *pg;
    struct map statements; /* by text, of struct pg_statement */
    uint64_t names;
    uint64_t segment;
    uint64_t answered; /* segments before this one */
    int queued;        /* commands since the last sync */
    int syncs;         /* sent, answer not read yet */
    struct pg_rows *rows;
    struct pg_bulk *bulk; /* NULL until it is needed */
    bool rolled_back;     /* the last command of a segment was answered ROLLBACK */

    /* Room for the parameters of one command. */
    int room;
    const char **values;
    int *lengths, *formats;
    Oid *types;
    unsigned char (*numbers)[8];

    /* Writer: this transaction's. */
    char xid[32];
};

/* --- connect.c --- */
enum err pg_connect(struct store *s, enum conn_role role, PGconn **out, struct error *e);
enum err pg_code(const char *sqlstate, bool alive);
enum err pg_error(PGconn *pg, const PGresult *r, struct error *e, const char *what);
enum err pg_run(PGconn *pg, const char *sql, struct error *e); /* not in pipeline mode */

/* --- statement.c --- */
void pg_forget_statements(struct pg_conn *q);
/* Queue a command. */
enum err pg_send(struct pg_conn *q, const char *sql, const struct store_value *values, size_t n);
/* The same with arrays in binary form as values. */
enum err pg_send_arrays(struct pg_conn *q, const char *sql, const struct str *arrays,
                        const Oid *types, int n);
/* The same with one array of integers. */
enum err pg_send_ints(struct pg_conn *q, const char *sql, const int64_t *v, size_t n);
/* End the segment and read all answers; *last (may be NULL) gets the last command's. */
enum err pg_sync(struct pg_conn *q, PGresult **last);
/* The same for the n commands that answer with rows; the caller clears their results. */
enum err pg_sync_rows(struct pg_conn *q, PGresult **rows, size_t n);
/* End the segment without waiting for the answers. */
void pg_sync_later(struct pg_conn *q);
enum err pg_exec(struct store_conn *c, const char *sql, const struct store_value *values, size_t n,
                 int64_t *changed);
enum err pg_query(struct store_conn *c, struct store_rows *r, const char *sql,
                  const struct store_value *values, size_t n);
int pg_next(struct store_rows *r);
bool pg_is_null(const struct store_rows *r, int column);
int64_t pg_get_int(const struct store_rows *r, int column);
double pg_get_real(const struct store_rows *r, int column);
struct str pg_get_text(const struct store_rows *r, int column);
void pg_end(struct store_rows *r);
void pg_end_all(struct store_conn *c);
/* Connect anew in place after a lost connection. */
enum err pg_reconnect(struct pg_conn *q);

/* --- bulk.c --- */
enum err pg_put(struct store_conn *c, const struct store_bulk *bulk,
                const struct store_value *values, size_t n);
/* Send the rows that wait, before any other command. */
enum err pg_put_flush(struct pg_conn *q);
void pg_ahead(struct store_conn *c, const struct store_bulk *bulk, const struct store_value *values,
              size_t n);
void pg_ahead_forget(struct store_conn *c);
/* Queue the questions that are not asked yet, at most PG_AHEADS: *n grows by their number. Their
 * answers, in the same order, become ours. */
enum err pg_ahead_send(struct pg_conn *q, size_t *n);
void pg_ahead_take(struct pg_conn *q, PGresult **answers);
/* Is the answer known ahead? *row of *answer, which stays ours; -1: no row. */
bool pg_ahead_find(struct pg_conn *q, const char *sql, const struct store_value *values, size_t n,
                   PGresult **answer, int *row);
void pg_bulk_forget(struct pg_conn *q); /* rows that wait and what is known */
void pg_bulk_free(struct pg_conn *q);

/* --- listen.c --- */
void pg_listen_init(struct pg_data *d);
enum err pg_listen_start(struct store *s, struct error *e);
void pg_listen_stop(struct store *s);
int64_t pg_duty(struct store *s, const char *duty);
enum err pg_tell(struct store_conn *c, const char *topic, struct str key);

/* --- dump.c --- */
enum err pg_backup(struct store *s, const char *path, struct error *e);
enum err pg_restore(const char *backup, const struct store_options *o, bool force, struct error *e);

#endif
