/*
 * bench_store.c - what durable updates cost, as ratios measured in one run on one disk.
 *
 *   bench_store [FOLDER] [SECONDS]
 *
 * Peers, interleaved in rounds so that a slow moment of the disk meets all of them:
 *   group      50 threads, each waits for its durable update through the store (group commit)
 *   alone      the same statements through SQLite alone, one transaction and one fsync per update
 *   no sync    the store with durability=none: what is left when the disk costs nothing
 * An update changes a row and adds a journal row. Then the price of a read: a snapshot with one
 * row by key, and an empty snapshot.
 */
#include "core/log.h"
#include "store/journal.h"
#include "store/store.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
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

struct client {
    struct store *store;
    _Atomic bool *stop;
    int64_t id, done;
};

static void *client_run(void *arg)
{
    struct client *x = arg;
    struct error e;
    while (!atomic_load_explicit(x->stop, memory_order_relaxed)) {
        x->id = (x->id + 7) % ROWS;
        if (store_write(x->store, update_apply, &x->id, &e))
            die(e.text);
        x->done++;
    }
    return NULL;
}

static double run_store(struct store *s, int64_t us)
{
    pthread_t threads[CLIENTS];
    struct client clients[CLIENTS];
    _Atomic bool stop = false;
    int64_t done = 0, start = clock_steady(&clock_system);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = (struct client){s, &stop, i, 0};
        if (pthread_create(&threads[i], NULL, client_run, &clients[i]))
            die("no thread");
    }
    usleep((useconds_t)us);
    atomic_store(&stop, true);
    for (int i = 0; i < CLIENTS; i++) {
        pthread_join(threads[i], NULL);
        done += clients[i].done;
    }
    return (double)done * 1e6 / (double)(clock_steady(&clock_system) - start);
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

static double run_reads(struct store *s, bool with_query)
{
    struct error e;
    int64_t n = 0, start = clock_steady(&clock_system);
    for (int64_t i = 0; i < READS; i++) {
        struct store_conn *c = store_read(s, &e);
        if (!c || (with_query && store_get_int(c, &n, "SELECT length(doc) FROM thing WHERE id = $1",
                                               SV(SV_INT(i % ROWS)), &e)))
            die(e.text);
        store_read_done(c);
    }
    return (double)(clock_steady(&clock_system) - start) / READS;
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
    printf("snapshot and row by key          %10.2f us\n", run_reads(full, true));
    printf("snapshot                         %10.2f us\n", run_reads(full, false));
    sqlite3_finalize(a.begin);
    sqlite3_finalize(a.update);
    sqlite3_finalize(a.row);
    sqlite3_finalize(a.commit);
    sqlite3_close(a.db);
    store_close(full);
    store_close(fast);
    clean(folder);
    return 0;
}
