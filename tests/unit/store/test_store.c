/* Values, rows, snapshots, options: what a reader and a single change may rely on. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum err write_values(struct store_conn *c, void *ctx, struct error *e)
{
    (void)ctx;
    int64_t changed = -1;
    enum err err =
        store_exec(c, "INSERT INTO item (amount, id, raw, name, doc) VALUES ($4, $1, $5, $2, $3)",
                   SV(SV_INT(INT64_MIN), SV_TEXT(S("つくば")), SV_NULL, SV_REAL(0.1),
                      SV_BLOB(S("\0\xff\x01"))),
                   &changed, e);
    assert_int_equal(changed, 1);
    if (!err)
        err =
            store_exec(c,
                       "INSERT INTO item (amount, id, raw, name, doc) VALUES ($4, $1, $5, $2, $3)",
                       SV(SV_INT(INT64_MAX), SV_TEXT(S("")), SV_TEXT(S("doc")), SV_INT(3),
                          SV_BLOB(S(""))),
                       NULL, e);
    return err;
}

static void values_come_back_as_they_went(void **state)
{
    struct fixture *f = *state;
    struct error e;
    struct store_rows r;
    assert_int_equal(store_write(f->store, write_values, NULL, &e), OK);
    struct store_conn *c = store_read(f->store, &e);
    store_query(c, &r, "SELECT id, name, doc, amount, raw FROM item ORDER BY id", SV_EMPTY);
    assert_true(store_next(&r));
    assert_true(store_int(&r, 0) == INT64_MIN);
    assert_true(str_eq(store_text(&r, 1), S("つくば")));
    assert_true(store_is_null(&r, 2));
    assert_null(store_text(&r, 2).p);
    assert_true(store_real(&r, 3) == 0.1);
    assert_true(str_eq(store_blob(&r, 4), S("\0\xff\x01")));
    assert_true(store_next(&r));
    assert_true(store_int(&r, 0) == INT64_MAX);
    assert_non_null(store_text(&r, 1).p);
    assert_int_equal(store_text(&r, 1).n, 0);
    assert_true(store_real(&r, 3) == 3.0);
    assert_false(store_is_null(&r, 4));
    assert_int_equal(store_blob(&r, 4).n, 0);
    assert_false(store_next(&r));
    assert_false(store_next(&r));
    assert_int_equal(store_end(&r, &e), OK);
    store_read_done(c);
}

static void add_items(struct store *s, int64_t from, int64_t n)
{
    for (int64_t i = from; i < from + n; i++) {
        char name[32];
        struct error e;
        snprintf(name, sizeof(name), "n%lld", (long long)i);
        struct item_change item = {.id = i, .name = name};
        assert_int_equal(store_write(s, item_apply, &item, &e), OK);
    }
}

static void rows_may_be_nested_with_the_same_statement(void **state)
{
    struct fixture *f = *state;
    static const char sql[] = "SELECT id FROM item WHERE id >= $1 ORDER BY id";
    struct error e;
    struct store_rows outer, inner;
    int64_t pairs = 0;
    add_items(f->store, 1, 4);
    struct store_conn *c = store_read(f->store, &e);
    store_query(c, &outer, sql, SV(SV_INT(1)));
    while (store_next(&outer)) {
        int64_t id = store_int(&outer, 0);
        store_query(c, &inner, sql, SV(SV_INT(id)));
        while (store_next(&inner)) {
            assert_true(store_int(&inner, 0) >= id);
            pairs++;
        }
        assert_int_equal(store_end(&inner, &e), OK);
        assert_int_equal(store_int(&outer, 0), id);
    }
    assert_int_equal(store_end(&outer, &e), OK);
    assert_int_equal(pairs, 4 + 3 + 2 + 1);
    store_read_done(c);
}

static void a_snapshot_stands_still(void **state)
{
    struct fixture *f = *state;
    struct error e;
    int64_t n = -1;
    add_items(f->store, 1, 2);
    struct store_conn *c = store_read(f->store, &e);
    assert_int_equal(store_get_int(c, &n, "SELECT count(*) FROM item", SV_EMPTY, &e), OK);
    assert_int_equal(n, 2);
    add_items(f->store, 3, 2);
    assert_int_equal(store_get_int(c, &n, "SELECT count(*) FROM item", SV_EMPTY, &e), OK);
    assert_int_equal(n, 2);
    assert_int_equal(item_count(f->store), 4); /* another reader sees the commit */
    store_read_done(c);
    assert_int_equal(item_count(f->store), 4); /* and so does the same connection, used again */
}

static void readers_cannot_write(void **state)
{
    struct fixture *f = *state;
    struct error e;
    struct store_conn *c = store_read(f->store, &e);
    assert_int_not_equal(store_exec(c, "DELETE FROM item", SV_EMPTY, NULL, &e), OK);
    struct store_rows r;
    store_query(c, &r, "SELECT count(*) FROM item", SV_EMPTY);
    assert_true(store_next(&r));
    assert_int_equal(store_end(&r, &e), OK);
    store_read_done(c);
}

static void a_failed_query_explains_itself_and_the_next_works(void **state)
{
    struct fixture *f = *state;
    struct error e;
    struct store_rows r;
    int64_t n = -1;
    struct store_conn *c = store_read(f->store, &e);
    store_query(c, &r, "SELECT nothing FROM nowhere", SV_EMPTY);
    assert_false(store_next(&r));
    assert_int_equal(store_end(&r, &e), ERR_INTERNAL);
    assert_non_null(strstr(e.text, "nowhere"));
    store_read_done(c);
    c = store_read(f->store, &e);
    assert_int_equal(store_get_int(c, &n, "SELECT count(*) FROM item", SV_EMPTY, &e), OK);
    assert_int_equal(store_get_int(c, &n, "SELECT id FROM item WHERE id = $1", SV(SV_INT(9)), &e),
                     ERR_NOT_FOUND);
    /* too few values, then a good call of the same statement */
    assert_int_equal(store_get_int(c, &n, "SELECT count(*) FROM item WHERE id = $1", SV_EMPTY, &e),
                     ERR_INTERNAL);
    store_read_done(c);
    assert_false(item_exists(f->store, 1));
}

static void text_is_ordered_by_code_point(void **state)
{
    struct fixture *f = *state;
    static const char *const in[] = {"あ", "Z", "a", "ア", "É", "_"};
    static const char *const sorted[] = {"Z", "_", "a", "É", "あ", "ア"};
    struct error e;
    struct store_rows r;
    for (int i = 0; i < 6; i++) {
        struct item_change item = {.id = i, .name = in[i]};
        assert_int_equal(store_write(f->store, item_apply, &item, &e), OK);
    }
    struct store_conn *c = store_read(f->store, &e);
    store_query(c, &r, "SELECT name FROM item ORDER BY name", SV_EMPTY);
    for (int i = 0; i < 6; i++) {
        assert_true(store_next(&r));
        assert_true(str_eq(store_text(&r, 0), str_c(sorted[i])));
    }
    assert_int_equal(store_end(&r, &e), OK);
    store_read_done(c);
}

static void readers_are_bounded_and_waiting_ends(void **state)
{
    struct fixture *f = *state;
    struct error e = {OK, ""};
    f->options.readers = 2;
    f->options.reader_wait_ms = 20;
    fixture_reopen(f);
    struct store_conn *a = store_read(f->store, &e), *b = store_read(f->store, &e);
    assert_non_null(a);
    assert_non_null(b);
    assert_null(store_read(f->store, &e));
    assert_int_equal(e.code, ERR_UNAVAILABLE);
    store_read_done(a);
    a = store_read(f->store, &e);
    assert_non_null(a);
    store_read_done(a);
    store_read_done(b);
}

static void bad_options_are_refused(void **state)
{
    struct fixture *f = *state;
    struct error e;
    struct store *s;
    struct store_options o = f->options;
    static const char *const bad[] = {"", "sqlite:", "mysql://x", "/tmp/x.db"};
    for (size_t i = 0; i < 4; i++) {
        o.url = bad[i];
        assert_int_equal(store_open(&s, &o, &clock_system, NULL, 0, &e), ERR_INVALID);
        assert_null(s);
    }
    o = f->options;
    o.durability = "maybe";
    assert_int_equal(store_open(&s, &o, &clock_system, NULL, 0, &e), ERR_INVALID);
    o = store_options_for(f->postgres ? "postgres://nobody@127.0.0.1:1/none"
                                      : "sqlite:/nowhere/at/all.db");
    assert_int_equal(store_open(&s, &o, &clock_system, NULL, 0, &e), ERR_UNAVAILABLE);
}

static enum err durable_apply(struct store_conn *c, void *ctx, struct error *e)
{
    struct store_rows r;
    bool postgres = str_eq(str_c(store_engine(store_of(c))), S("postgres"));
    store_query(c, &r,
                postgres ? "SELECT current_setting('synchronous_commit')" : "PRAGMA synchronous",
                SV_EMPTY);
    assert_true(store_next(&r));
    *(bool *)ctx = postgres ? str_eq(store_text(&r, 0), S("on")) : store_int(&r, 0) == 2;
    return store_end(&r, e);
}

static void commits_are_synced_unless_told_otherwise(void **state)
{
    struct fixture *f = *state;
    struct error e;
    bool durable = false;
    assert_int_equal(store_write(f->store, durable_apply, &durable, &e), OK);
    assert_true(durable);
    f->options.durability = "none";
    fixture_reopen(f);
    assert_int_equal(store_write(f->store, durable_apply, &durable, &e), OK);
    assert_false(durable);
}

/* More texts than are kept, some of them busy. */
static void statements_are_bounded(void **state)
{
    struct fixture *f = *state;
    struct error e;
    struct store_rows outer;
    add_items(f->store, 1, 3);
    struct store_conn *c = store_read(f->store, &e);
    store_query(c, &outer, "SELECT id FROM item ORDER BY id", SV_EMPTY);
    assert_true(store_next(&outer));
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 700; i++) {
            char sql[80];
            int64_t n = -1;
            snprintf(sql, sizeof(sql), "SELECT count(*) + %d FROM item WHERE id > $1", i);
            assert_int_equal(store_get_int(c, &n, sql, SV(SV_INT(1)), &e), OK);
            assert_int_equal(n, 2 + i);
        }
        assert_int_equal(store_next(&outer), round == 0);
        if (round == 0)
            assert_int_equal(store_int(&outer, 0), 2);
        assert_int_equal(store_end(&outer, &e), OK);
        store_query(c, &outer, "SELECT id FROM item WHERE id > 5", SV_EMPTY);
    }
    assert_int_equal(store_end(&outer, &e), OK);
    store_read_done(c);
}

/* The type of a parameter follows its values from call to call. */
static void parameters_may_change_their_type(void **state)
{
    struct fixture *f = *state;
    static const char sql[] =
        "SELECT CASE WHEN amount = $1 THEN 1 ELSE 0 END FROM item WHERE id = 1";
    struct error e;
    int64_t n = -1;
    struct store_conn *c;
    add_items(f->store, 1, 1);
    c = store_read(f->store, &e);
    assert_int_equal(store_get_int(c, &n, sql, SV(SV_NULL), &e), OK);
    assert_int_equal(store_get_int(c, &n, sql, SV(SV_INT(1)), &e), OK);
    assert_int_equal(store_get_int(c, &n, sql, SV(SV_REAL(1.5)), &e), OK);
    assert_int_equal(store_get_int(c, &n, sql, SV(SV_INT(1)), &e), OK);
    assert_int_equal(store_get_int(c, &n, sql, SV(SV_NULL), &e), OK);
    assert_int_equal(store_get_int(c, &n, "SELECT $1 + 1", SV(SV_INT(INT64_C(1) << 40)), &e), OK);
    assert_true(n == (INT64_C(1) << 40) + 1);
    assert_int_equal(store_get_int(c, &n, "SELECT sum(id) - 5000000000 FROM item", SV_EMPTY, &e),
                     OK);
    assert_true(n == INT64_C(1) - INT64_C(5000000000));
    store_read_done(c);
}

/* --- one engine only --- */

static void a_file_that_is_no_store_is_refused(void **state)
{
    struct fixture *f = *state;
    struct error e = {OK, ""};
    struct store *s = NULL;
    char path[100], url[120];
    fixture_path(f, "other.db", path, sizeof(path));
    snprintf(url, sizeof(url), "sqlite:%s", path);
    FILE *file = fopen(path, "w");
    for (int i = 0; i < 1000; i++)
        fputs("id,name,address\n", file);
    fclose(file);
    struct store_options o = store_options_for(url);
    assert_int_equal(store_open(&s, &o, &clock_system, NULL, 0, &e), ERR_CORRUPT);
    assert_null(s);
}

static void files_are_the_owners_only(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"city.db", "city.db-wal", "city.db-shm", "copy"};
    struct error e;
    char path[100];
    struct stat st;
    add_items(f->store, 1, 1);
    fixture_path(f, "copy", path, sizeof(path));
    assert_int_equal(store_backup(f->store, path, &e), OK);
    for (size_t i = 0; i < 4; i++) {
        fixture_path(f, names[i], path, sizeof(path));
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
}

static enum err slow_apply(struct store_conn *c, void *ctx, struct error *e)
{
    (void)ctx;
    int64_t n;
    return store_get_int(c, &n, "SELECT 1 FROM pg_sleep(30)", SV_EMPTY, e);
}

static void slow_statements_are_ended(void **state)
{
    struct fixture *f = *state;
    struct error e;
    int64_t n;
    f->options.statement_ms = 50;
    fixture_reopen(f);
    struct store_conn *c = store_read(f->store, &e);
    assert_int_equal(store_get_int(c, &n, "SELECT 1 FROM pg_sleep(30)", SV_EMPTY, &e), ERR_TIMEOUT);
    store_read_done(c);
    assert_int_equal(item_count(f->store), 0);
    assert_int_equal(store_write(f->store, slow_apply, NULL, &e), ERR_TIMEOUT);
    assert_false(store_degraded(f->store, NULL));
    add_items(f->store, 1, 2);
    assert_int_equal(item_count(f->store), 2);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_free)
    const struct CMUnitTest tests[] = {
        T(values_come_back_as_they_went),
        T(rows_may_be_nested_with_the_same_statement),
        T(a_snapshot_stands_still),
        T(readers_cannot_write),
        T(a_failed_query_explains_itself_and_the_next_works),
        T(text_is_ordered_by_code_point),
        T(readers_are_bounded_and_waiting_ends),
        T(bad_options_are_refused),
        T(commits_are_synced_unless_told_otherwise),
        T(statements_are_bounded),
        T(parameters_may_change_their_type),
    };
    const struct CMUnitTest sqlite[] = {
        T(a_file_that_is_no_store_is_refused),
        T(files_are_the_owners_only),
    };
    const struct CMUnitTest postgres[] = {T(slow_statements_are_ended)};
    return fixture_run(TESTS(tests), TESTS(sqlite), TESTS(postgres));
}
