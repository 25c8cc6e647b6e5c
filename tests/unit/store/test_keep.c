/* Backup while changes go on, restore, refusal of damaged copies. */
#include "fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct busy {
    struct store *store;
    _Atomic bool stop;
    _Atomic int64_t written;
};

static void *busy_run(void *arg)
{
    struct busy *b = arg;
    struct error e;
    for (int64_t i = 1; !atomic_load(&b->stop) && i < 100000; i++) {
        char name[24];
        snprintf(name, sizeof(name), "タブ\\n\t%lld", (long long)i);
        struct item_change item = {.id = i, .name = name, .tenant = 1 + i % 2};
        if (store_write(b->store, item_apply, &item, &e))
            return b;
        atomic_store(&b->written, i);
    }
    return NULL;
}

static void print_finding(void *ctx, const char *what)
{
    (void)ctx;
    print_error("%s\n", what);
}

/* Restore into another place and open it. */
static void restore_elsewhere(struct fixture *f, const char *copy, struct fixture *to)
{
    struct error e = {OK, ""};
    if (store_restore(copy, &to->options, false, &e) != OK)
        fail_msg("%s", e.text);
    if (store_open(&to->store, &to->options, &clock_system, &fixture_module, 1, &e) != OK)
        fail_msg("%s", e.text);
    assert_int_equal(f->postgres, to->postgres);
}

static enum err other_values_apply(struct store_conn *c, void *ctx, struct error *e)
{
    (void)ctx;
    enum err err =
        store_exec(c, "INSERT INTO item (id, name, amount, raw) VALUES ($1, $2, $3, $4)",
                   SV(SV_INT(-5), SV_TEXT(S("\\N")), SV_REAL(1e-300), SV_BLOB(S("\0\\\n\xff"))),
                   NULL, e);
    for (int i = 0; !err && i < 3; i++)
        err = store_exec(c, "INSERT INTO part (item, label) VALUES ($1, $2)",
                         SV(SV_INT(-5), SV_NULL), NULL, e);
    return err;
}

static enum err next_part_apply(struct store_conn *c, void *ctx, struct error *e)
{
    struct store_rows r;
    store_query(c, &r, "INSERT INTO part (item, label) VALUES (-5, 'new') RETURNING id", SV_EMPTY);
    if (store_next(&r))
        *(int64_t *)ctx = store_int(&r, 0);
    return store_end(&r, e);
}

static void a_backup_while_writing_is_one_moment(void **state)
{
    struct fixture *f = *state, *to = NULL;
    struct error e = {OK, ""};
    char copy[100];
    struct busy b = {.store = f->store};
    pthread_t thread;
    int64_t next = 0;
    fixture_path(f, "copy", copy, sizeof(copy));
    assert_int_equal(store_write(f->store, other_values_apply, NULL, &e), OK);
    pthread_create(&thread, NULL, busy_run, &b);
    while (atomic_load(&b.written) < 50)
        sched_yield();
    int64_t before = atomic_load(&b.written);
    if (store_backup(f->store, copy, &e) != OK)
        fail_msg("%s", e.text);
    int64_t after = atomic_load(&b.written);
    atomic_store(&b.stop, true);
    void *failed;
    pthread_join(thread, &failed);
    assert_null(failed);
    assert_int_equal(store_backup(f->store, copy, &e), ERR_EXISTS);

    fixture_new((void **)&to);
    restore_elsewhere(f, copy, to);
    int64_t n = item_count(to->store) - 1;
    assert_true(n >= before && n <= after + 1);
    assert_true(item_exists(to->store, n)); /* the first n, no holes */
    assert_int_equal(store_check(to->store, print_finding, NULL), 0);
    struct store_conn *c = store_read(to->store, &e);
    struct store_rows r;
    store_query(c, &r, "SELECT name, amount, raw FROM item WHERE id = -5", SV_EMPTY);
    assert_true(store_next(&r));
    assert_true(str_eq(store_text(&r, 0), S("\\N")));
    assert_true(store_real(&r, 1) == 1e-300);
    assert_true(str_eq(store_blob(&r, 2), S("\0\\\n\xff")));
    assert_int_equal(store_end(&r, &e), OK);
    store_query(c, &r, "SELECT name FROM item WHERE id = 1", SV_EMPTY);
    assert_true(store_next(&r));
    assert_true(str_eq(store_text(&r, 0), S("タブ\\n\t1")));
    assert_int_equal(store_end(&r, &e), OK);
    store_read_done(c);
    /* keys and positions go on after the restored ones */
    assert_int_equal(store_write(to->store, next_part_apply, &next, &e), OK);
    assert_int_equal(next, 4);
    struct item_change item = {.id = 200000, .name = "more", .tenant = 1};
    assert_int_equal(store_write(to->store, item_apply, &item, &e), OK);
    assert_int_equal(store_check(to->store, print_finding, NULL), 0);

    /* a store that is there is replaced only on request */
    store_close(to->store);
    to->store = NULL;
    assert_int_equal(store_restore(copy, &to->options, false, &e), ERR_EXISTS);
    assert_int_equal(store_restore(copy, &to->options, true, &e), OK);
    fixture_reopen(to);
    assert_false(item_exists(to->store, 200000));
    assert_int_equal(item_count(to->store), n + 1);
    fixture_free((void **)&to);
}

static void flip_byte(const char *path, long at)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    fseek(file, at, SEEK_SET);
    int c = fgetc(file);
    fseek(file, at, SEEK_SET);
    fputc(c ^ 0x55, file);
    fclose(file);
}

static void damaged_backups_are_refused(void **state)
{
    struct fixture *f = *state, *to = NULL;
    struct error e;
    struct stat st;
    char copy[100], none[100];
    fixture_path(f, "copy", copy, sizeof(copy));
    fixture_path(f, "copy2", none, sizeof(none));
    for (int i = 1; i <= 30; i++) {
        char name[16];
        snprintf(name, sizeof(name), "n%d", i);
        struct item_change item = {.id = i, .name = name, .tenant = 1};
        assert_int_equal(store_write(f->store, item_apply, &item, &e), OK);
    }
    assert_int_equal(store_backup(f->store, copy, &e), OK);
    assert_int_equal(stat(copy, &st), 0);
    fixture_new((void **)&to);
    assert_int_equal(store_restore(none, &to->options, false, &e), ERR_NOT_FOUND);
    /* SQLite pages carry no checksum: damage the structure (page 1's header), not a value */
    static const long sqlite_at[] = {0, 100, 103}, postgres_at[] = {6, 30, 900};
    for (int i = 0; i < 3; i++) {
        long at = f->postgres ? postgres_at[i] : sqlite_at[i];
        flip_byte(copy, at);
        assert_int_equal(store_restore(copy, &to->options, false, &e), ERR_CORRUPT);
        flip_byte(copy, at);
    }
    assert_int_equal(truncate(copy, st.st_size / 2), 0);
    assert_int_equal(store_restore(copy, &to->options, false, &e), ERR_CORRUPT);
    assert_int_equal(truncate(copy, 3), 0);
    assert_int_equal(store_restore(copy, &to->options, false, &e), ERR_CORRUPT);
    fixture_reopen(to); /* nothing of it arrived */
    assert_int_equal(item_count(to->store), 0);
    fixture_free((void **)&to);
}

static void a_store_in_use_is_not_replaced(void **state)
{
    struct fixture *f = *state;
    struct error e;
    char copy[100];
    fixture_path(f, "copy", copy, sizeof(copy));
    assert_int_equal(store_backup(f->store, copy, &e), OK);
    assert_int_equal(store_restore(copy, &f->options, true, &e), ERR_CONFLICT);
}

static void a_store_is_read_beside_the_process_that_serves_it(void **state)
{
    struct fixture *f = *state;
    struct store *beside = NULL;
    struct error e = {OK, ""};
    struct item_change item = {.id = 1, .name = "one", .tenant = 1};
    char copy[100];
    fixture_path(f, "copy", copy, sizeof(copy));
    assert_int_equal(store_write(f->store, item_apply, &item, &e), OK);
    if (store_open_to_read(&beside, &f->options, &clock_system, &fixture_module, 1, &e) != OK)
        fail_msg("%s", e.text);
    assert_true(item_exists(beside, 1));
    assert_int_equal(store_check(beside, print_finding, NULL), 0);
    item.id = 2;
    item.name = "two";
    assert_int_equal(store_write(beside, item_apply, &item, &e), ERR_UNAVAILABLE);
    assert_int_equal(store_write(f->store, item_apply, &item, &e), OK);
    assert_true(item_exists(beside, 2));
    assert_int_equal(store_backup(beside, copy, &e), OK);
    store_close(beside);

    struct store_module newer = fixture_module, none = {"other", fixture_module.migrations, 1};
    newer.n = 0;
    assert_int_equal(store_open_to_read(&beside, &f->options, &clock_system, &newer, 1, &e),
                     ERR_CONFLICT);
    assert_non_null(strstr(e.text, "newer program"));
    assert_int_equal(store_open_to_read(&beside, &f->options, &clock_system, &none, 1, &e),
                     ERR_CONFLICT);
    assert_non_null(strstr(e.text, "older than this program"));
}

static void no_store_is_made_by_reading(void **state)
{
    struct fixture *f = *state;
    struct store *s = NULL;
    struct stat st;
    struct error e = {OK, ""};
    struct store_options o = store_options_for("sqlite:/tmp/marugoto-no-such-store.db");
    (void)f;
    assert_int_equal(store_open_to_read(&s, &o, &clock_system, NULL, 0, &e), ERR_NOT_FOUND);
    assert_null(s);
    assert_int_not_equal(stat("/tmp/marugoto-no-such-store.db", &st), 0);
    assert_int_not_equal(stat("/tmp/marugoto-no-such-store.db.lock", &st), 0);
}

static void an_unwritable_place_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct error e = {OK, ""};
    assert_int_not_equal(store_backup(f->store, "/nowhere/at/all", &e), OK);
    assert_non_null(strstr(e.text, "/nowhere/at/all"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_free)
    const struct CMUnitTest tests[] = {
        T(a_backup_while_writing_is_one_moment),
        T(damaged_backups_are_refused),
        T(a_store_is_read_beside_the_process_that_serves_it),
        T(no_store_is_made_by_reading),
        T(an_unwritable_place_is_an_error),
    };
    const struct CMUnitTest sqlite[] = {T(a_store_in_use_is_not_replaced)};
    return fixture_run(TESTS(tests), TESTS(sqlite), NULL, 0);
}
