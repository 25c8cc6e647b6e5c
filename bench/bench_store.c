/*
 * bench_store.c - what durable updates cost, as ratios measured in one run on one disk.
 *
 *   bench_store [FOLDER] [SECONDS]
 *
 * Peers, interleaved in rounds so that a slow moment of the disk meets all of them:
 *   group      50 clients, each waits for its durable update through the store (group commit)
 *   alone      the same statements through SQLite alone, one transaction and one fsync per update
 *   no sync    the store with durability=none: what is left when the disk costs nothing
 * With MARUGOTO_TEST_PG also 50 clients on that PostgreSQL (tests/lib/pg.sh gives one, without
 * fsync).
 *
 * An update changes a row and adds a journal row. Then the price of a read: a snapshot with one
 * row by key, and an empty snapshot.
 */
#include "core/log.h"
#include "store/journal.h"
#include "store/store.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CLIENTS = 50, ROWS = 1000, ROUNDS = 5, READS = 200000 };

static const struct store_migration migrations[] = {
    {1, "rows", "CREATE TABLE thing (id {int} PRIMARY KEY, doc {text} NOT NULL)", NULL, NULL},
};
static const struct store_module module = {"bench", migrations, 1};
static const char doc[] =
    "{\"id\":\"urn:ngsi-ld:Sensor:1\",\"type\":\"Sensor\",\"temperature\":{\"type\":\"Property\","
    "\"value\":21.5,\"observedAt\":\"2026-01-01T00:00:00Z\"}}";

static void die(const char *what)
{
    fprintf(stderr, "bench_store: %s\n", what);
    exit(1);
}

static enum err update_apply(struct store_conn *c, void *ctx, struct error *e)
{
    struct journal_row row = {
        .tenant = 1, .at = 1, .topic = S("thing"), .key = S("1"), .body = S(doc)};
    enum err err = store_exec(c, "UPDATE thing SET doc = $1 WHERE id = $2",
                              SV(SV_TEXT(S(doc)), SV_INT(*(int64_t *)ctx)), NULL, e);
    return err ? err : journal_append(c, &row, e);
}

static enum err fill_apply(struct store_conn *c, void *ctx, struct error *e)
{
    (void)ctx;
    enum err err = OK;
    for (int i = 0; !err && i < ROWS; i++)
        err = store_exec(c, "INSERT INTO thing (id, doc) VALUES ($1, $2)",
                         SV(SV_INT(i), SV_TEXT(S(doc))), NULL, e);
    return err;
}

static struct store *open_store(const char *url, const char *durability)
{
    struct error e;
    struct store *s;
    struct store_options o = store_options_for(url);
    o.durability = durability;
    if (store_open(&s, &o, &clock_system, &module, 1, &e) || store_write(s, fill_apply, NULL, &e))
        die(e.text);
    return s;
}

/* --- the peers: each runs for some time and tells updates a second --- */

/*
 * A client waits for its answer as a suspended HTTP connection does: done() hands it back to a
 * worker, which sends its next update. A thread for each would measure the scheduler.
 */
struct worker {
    struct store *store;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct client *ready;
};

struct client {
    struct store_change change;
    struct worker *worker;
    struct client *next;
    int64_t id;
};

static enum err client_apply(struct store_conn *c, void *ctx, struct error *e)
{
    return update_apply(c, &((struct client *)ctx)->id, e);
}

static void client_done(void *ctx, enum err code, const struct error *e)
{
    struct client *x = ctx;
    struct worker *w = x->worker;
    if (code)
        die(e->text);
    pthread_mutex_lock(&w->lock);
    bool idle = !w->ready;
    x->next = w->ready;
    w->ready = x;
    pthread_mutex_unlock(&w->lock);
    if (idle)
        pthread_cond_signal(&w->wake);
}

static struct client *take_ready(struct worker *w)
{
    pthread_mutex_lock(&w->lock);
    while (!w->ready)
        pthread_cond_wait(&w->wake, &w->lock);
    struct client *list = w->ready;
    w->ready = NULL;
    pthread_mutex_unlock(&w->lock);
    return list;
}

static double run_store(struct store *s, int64_t us)
{
    struct worker w = {.store = s,
                       .lock = PTHREAD_MUTEX_INITIALIZER,
                       .wake = PTHREAD_COND_INITIALIZER};
    struct client clients[CLIENTS];
    int64_t start = clock_steady(&clock_system), now = start, done = 0, flying = 0;
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = (struct client){{client_apply, client_done, &clients[i], NULL}, &w, NULL, i};
        store_submit(s, &clients[i].change);
        flying++;
    }
    while (flying > 0) {
        struct client *x = take_ready(&w);
        now = clock_steady(&clock_system);
        for (struct client *next; x; x = next) {
            next = x->next;
            x->id = (x->id + 7) % ROWS;
            done++;
            if (now - start >= us)
                flying--;
            else if (store_submit(s, &x->change))
                die("the queue is full");
        }
    }
    return (double)done * 1e6 / (double)(now - start);
}

struct alone {
    sqlite3 *db;
    sqlite3_stmt *begin, *update, *row, *commit;
};

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *st;
    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL))
        die(sqlite3_errmsg(db));
    return st;
}

static void open_alone(struct alone *a)
{
    if (sqlite3_open("alone.db", &a->db) ||
        sqlite3_exec(
            a->db,
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
            "CREATE TABLE thing (id INTEGER PRIMARY KEY, doc TEXT NOT NULL);"
            "CREATE TABLE log (pos INTEGER PRIMARY KEY, topic TEXT, key TEXT, body TEXT);"
            "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999)"
            " INSERT INTO thing SELECT i, 'x' FROM n",
            NULL, NULL, NULL))
        die(sqlite3_errmsg(a->db));
    a->begin = prepare(a->db, "BEGIN IMMEDIATE");
    a->commit = prepare(a->db, "COMMIT");
    a->update = prepare(a->db, "UPDATE thing SET doc = ?1 WHERE id = ?2");
    a->row = prepare(a->db, "INSERT INTO log (topic, key, body) VALUES ('thing', '1', ?1)");
}

static void step(struct alone *a, sqlite3_stmt *st)
{
    if (sqlite3_step(st) != SQLITE_DONE)
        die(sqlite3_errmsg(a->db));
    sqlite3_reset(st);
}

static double run_alone(struct alone *a, int64_t us)
{
    int64_t done = 0, start = clock_steady(&clock_system), now = start;
    for (; now - start < us; now = clock_steady(&clock_system), done++) {
        sqlite3_bind_text(a->update, 1, doc, sizeof(doc) - 1, SQLITE_STATIC);
        sqlite3_bind_int64(a->update, 2, done % ROWS);
        sqlite3_bind_text(a->row, 1, doc, sizeof(doc) - 1, SQLITE_STATIC);
        step(a, a->begin);
        step(a, a->update);
        step(a, a->row);
        step(a, a->commit);
    }
    return (double)done * 1e6 / (double)(now - start);
}

static double run_reads(struct store *s, bool with_query, int64_t reads)
{
    struct error e;
    int64_t n = 0, start = clock_steady(&clock_system);
    for (int64_t i = 0; i < reads; i++) {
        struct store_conn *c = store_read(s, &e);
        if (!c || (with_query && store_get_int(c, &n, "SELECT length(doc) FROM thing WHERE id = $1",
                                               SV(SV_INT(i % ROWS)), &e)))
            die(e.text);
        store_read_done(c);
    }
    return (double)(clock_steady(&clock_system) - start) / (double)reads;
}

static void run_postgres(const char *url, int64_t us)
{
    struct store *s = open_store(url, "full");
    printf("postgres, 50 clients             %10.0f /s\n", run_store(s, us));
    printf("postgres, snapshot and row       %10.2f us\n", run_reads(s, true, READS / 20));
    store_close(s);
}

static int by_value(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

static double median(double *v)
{
    qsort(v, ROUNDS, sizeof(*v), by_value);
    return v[ROUNDS / 2];
}

static void clean(const char *folder)
{
    static const char *const names[] = {"group.db", "group.db.lock", "none.db", "none.db.lock",
                                        "alone.db"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unlink(names[i]);
    rmdir(folder);
}

int main(int argc, char **argv)
{
    char folder[1000];
    double group[ROUNDS], alone[ROUNDS], none[ROUNDS];
    struct alone a;
    int64_t seconds = argc > 2 ? strtoll(argv[2], NULL, 10) : 10;
    int64_t us = seconds * SECOND_US / (3 * ROUNDS);
    snprintf(folder, sizeof(folder), "%s/bench-store-XXXXXX", argc > 1 ? argv[1] : "/tmp");
    if (!mkdtemp(folder) || chdir(folder))
        die("cannot make a folder");
    log_set_level(LOG_WARN);
    struct store *full = open_store("sqlite:group.db", "full");
    struct store *fast = open_store("sqlite:none.db", "none");
    open_alone(&a);
    for (int i = 0; i < ROUNDS; i++) {
        alone[i] = run_alone(&a, us);
        group[i] = run_store(full, us);
        none[i] = run_store(fast, us);
    }
    double g = median(group), o = median(alone), n = median(none);
    printf("durable updates, 50 clients      %10.0f /s\n", g);
    printf("one fsync per update             %10.0f /s   ratio %6.1f (goal 20)\n", o, g / o);
    printf("50 clients without fsync         %10.0f /s   ratio %6.2f\n", n, g / n);
    printf("snapshot and row by key          %10.2f us\n", run_reads(full, true, READS));
    printf("snapshot                         %10.2f us\n", run_reads(full, false, READS));
    sqlite3_finalize(a.begin);
    sqlite3_finalize(a.update);
    sqlite3_finalize(a.row);
    sqlite3_finalize(a.commit);
    sqlite3_close(a.db);
    store_close(full);
    store_close(fast);
    if (getenv("MARUGOTO_TEST_PG"))
        run_postgres(getenv("MARUGOTO_TEST_PG"), us);
    clean(folder);
    return 0;
}
