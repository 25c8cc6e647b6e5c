/*
 * fixture.h - an empty store for each test, on the engine that the environment names.
 *
 * Without MARUGOTO_TEST_PG: a SQLite file in a fresh folder. With it (a postgres:// URL of a
 * server that may be used freely, see tests/lib/pg.sh): a fresh schema there.
 */
#ifndef TESTS_STORE_FIXTURE_H
#define TESTS_STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/journal.h"
#include "store/store.h"

struct fixture {
    char folder[64];
    char url[600];
    bool postgres;
    struct store_options options;
    struct store *store; /* opened with the module of the fixture */
};

extern const struct store_module fixture_module; /* table item(id, name, doc, amount, raw) */

/* Run the tests of both engines and then those of the engine that the environment names. (cmocka's
 * skip() says "not ok # SKIP", which a TAP reader counts as a failure.) */
int fixture_run(const struct CMUnitTest *both, size_t n, const struct CMUnitTest *sqlite,
                size_t n_sqlite, const struct CMUnitTest *postgres, size_t n_postgres);
#define TESTS(list) (list), sizeof(list) / sizeof((list)[0])
int fixture_new(void **state);  /* cmocka setup: everything but opening */
int fixture_open(void **state); /* cmocka setup: opened */
int fixture_free(void **state); /* cmocka teardown */
void fixture_reopen(struct fixture *f);
void fixture_path(const struct fixture *f, const char *name, char *out, size_t n);
/* Change the database behind the store's back; for tamper tests, with the store closed. */
void fixture_sql(struct fixture *f, const char *sql);

/* What one change does to table item, as data. */
struct item_change {
    int64_t id;
    const char *name;
    enum err fail_with;  /* return this after writing */
    bool bad_statement;  /* run a statement that the database refuses */
    bool ignore_failure; /* return OK although the statement failed */
    int64_t tenant;      /* append a row to this tenant's journal */
    int64_t seq;         /* what the row got */
    uint64_t mark;       /* of its row */
};
enum err item_apply(struct store_conn *c, void *ctx, struct error *e);
int64_t item_count(struct store *s);
bool item_exists(struct store *s, int64_t id);

/* Remember what a submitted change was told. */
struct told {
    struct store_change change;
    struct item_change item;
    _Atomic int times;
    enum err code;
    char text[200];
};
void told_submit(struct store *s, struct told *t);
void told_wait(struct told *t, size_t n);

#endif
