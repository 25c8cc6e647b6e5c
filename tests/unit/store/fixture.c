/* fixture.c - see fixture.h. */
#include "fixture.h"

#include "core/log.h"
#include <libpq-fe.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const struct store_migration migrations[] = {
    {1, "items",
     "CREATE TABLE item (id {int} PRIMARY KEY, name {text} NOT NULL UNIQUE, doc {text},"
     " amount {real}, raw {blob});"
     "CREATE TABLE part (id {id}, item {int} NOT NULL REFERENCES item (id), label {text})",
     "CREATE INDEX item_amount ON item (amount)", "CREATE INDEX item_amount_pg ON item (amount)"},
};
const struct store_module fixture_module = {"fixture", migrations, 1};

static void admin_sql(const char *url, const char *sql)
{
    PGconn *c = PQconnectdb(url);
    if (PQstatus(c) != CONNECTION_OK)
        fail_msg("%s", PQerrorMessage(c));
    PGresult *r = PQexec(c, sql);
    if (PQresultStatus(r) != PGRES_COMMAND_OK && PQresultStatus(r) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQresultErrorMessage(r));
    PQclear(r);
    PQfinish(c);
}

static bool on_postgres(void)
{
    const char *pg = getenv("MARUGOTO_TEST_PG");
    return pg && *pg;
}

int fixture_run(const struct CMUnitTest *both, size_t n, const struct CMUnitTest *sqlite,
                size_t n_sqlite, const struct CMUnitTest *postgres, size_t n_postgres)
{
    struct CMUnitTest all[40];
    size_t m = on_postgres() ? n_postgres : n_sqlite;
    if (n + m > sizeof(all) / sizeof(all[0]))
        abort();
    for (size_t i = 0; i < n; i++)
        all[i] = both[i];
    for (size_t i = 0; i < m; i++)
        all[n + i] = on_postgres() ? postgres[i] : sqlite[i];
    return _cmocka_run_group_tests("store", all, n + m, NULL, NULL);
}

int fixture_new(void **state)
{
    static int number;
    log_set_level(LOG_OFF);
    struct fixture *f = calloc(1, sizeof(*f));
    const char *pg = getenv("MARUGOTO_TEST_PG");
    snprintf(f->folder, sizeof(f->folder), "/tmp/marugoto-store-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    if (on_postgres()) {
        char sql[100];
        f->postgres = true;
        snprintf(sql, sizeof(sql), "CREATE SCHEMA t%d_%d", (int)getpid(), ++number);
        admin_sql(pg, sql);
        snprintf(f->url, sizeof(f->url), "%s%sapplication_name=t%d&options=-csearch_path%%3Dt%d_%d",
                 pg, strchr(pg, '?') ? "&" : "?", (int)getpid(), (int)getpid(), number);
    } else {
        snprintf(f->url, sizeof(f->url), "sqlite:%s/city.db", f->folder);
    }
    f->options = store_options_for(f->url);
    *state = f;
    return 0;
}

void fixture_reopen(struct fixture *f)
{
    struct error e = {OK, ""};
    store_close(f->store);
    f->store = NULL;
    if (store_open(&f->store, &f->options, &clock_system, &fixture_module, 1, &e) != OK)
        fail_msg("%s", e.text);
}

int fixture_open(void **state)
{
    fixture_new(state);
    fixture_reopen(*state);
    return 0;
}

int fixture_free(void **state)
{
    struct fixture *f = *state;
    char path[200];
    static const char *const names[] = {"city.db",      "city.db-wal",  "city.db-shm",
                                        "city.db.lock", "copy",         "copy.part",
                                        "copy2",        "copy-wal",     "copy-shm",
                                        "copy.lock",    "other.db",     "other.db.lock",
                                        "other.db-wal", "other.db-shm", "other.db.part"};
    store_close(f->store);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        fixture_path(f, names[i], path, sizeof(path));
        unlink(path);
    }
    rmdir(f->folder);
    free(f);
    return 0;
}

void fixture_path(const struct fixture *f, const char *name, char *out, size_t n)
{
    snprintf(out, n, "%s/%s", f->folder, name);
}

void fixture_sql(struct fixture *f, const char *sql)
{
    if (f->postgres) {
        admin_sql(f->url, sql);
        return;
    }
    sqlite3 *db;
    assert_int_equal(sqlite3_open(f->url + 7, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s", sqlite3_errmsg(db));
    sqlite3_close(db);
}

enum err item_apply(struct store_conn *c, void *ctx, struct error *e)
{
    struct item_change *item = ctx;
    enum err err = store_exec(c, "INSERT INTO item (id, name) VALUES ($1, $2)",
                              SV(SV_INT(item->id), SV_TEXT(str_c(item->name))), NULL, e);
    if (!err && item->tenant) {
        char key[32];
        snprintf(key, sizeof(key), "item-%lld", (long long)item->id);
        struct journal_row row = {.tenant = item->tenant,
                                  .at = 1000 + item->id,
                                  .topic = S("item"),
                                  .key = str_c(key),
                                  .body = S("{\"made\":true}"),
                                  .mark = item->mark,
                                  .actor = item->id % 2 ? S("clerk") : STR_NONE};
        err = journal_append(c, &row, e);
        item->seq = row.seq;
    }
    if (!err && item->bad_statement)
        err = store_exec(c, "INSERT INTO item (id, name) VALUES ($1, NULL)",
                         SV(SV_INT(item->id + 1000000)), NULL, e);
    if (err && item->ignore_failure)
        return OK;
    if (!err && item->fail_with)
        err = error_set(e, item->fail_with, "as the test wants");
    return err;
}

int64_t item_count(struct store *s)
{
    struct error e;
    struct store_conn *c = store_read(s, &e);
    int64_t n = -1;
    assert_non_null(c);
    assert_int_equal(store_get_int(c, &n, "SELECT count(*) FROM item", SV_EMPTY, &e), OK);
    store_read_done(c);
    return n;
}

bool item_exists(struct store *s, int64_t id)
{
    struct error e;
    struct store_conn *c = store_read(s, &e);
    int64_t n = -1;
    assert_non_null(c);
    assert_int_equal(store_get_int(c, &n, "SELECT count(*) FROM item WHERE id = $1", SV(SV_INT(id)),
                                   &e),
                     OK);
    store_read_done(c);
    return n == 1;
}

static void told_done(void *ctx, enum err code, const struct error *e)
{
    struct told *t = ctx;
    t->code = code;
    snprintf(t->text, sizeof(t->text), "%.190s", e->text);
    atomic_fetch_add(&t->times, 1);
}

static enum err told_apply(struct store_conn *c, void *ctx, struct error *e)
{
    struct told *t = ctx;
    return item_apply(c, &t->item, e);
}

void told_submit(struct store *s, struct told *t)
{
    t->change.apply = told_apply;
    t->change.done = told_done;
    t->change.ctx = t;
    assert_int_equal(store_submit(s, &t->change), OK);
}

void told_wait(struct told *t, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (int tries = 0; atomic_load(&t[i].times) == 0; tries++) {
            assert_true(tries < 60000);
            nanosleep(&(struct timespec){0, 500000}, NULL);
        }
        assert_int_equal(atomic_load(&t[i].times), 1);
    }
}
