/* Schemas: made once, brought forward, refused when newer or different, made by two at once. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static enum err open_with(struct fixture *f, const struct store_migration *g, size_t n,
                          struct error *e)
{
    struct store_module module = {"town", g, n};
    e->text[0] = '\0';
    return store_open(&f->store, &f->options, &clock_system, &module, 1, e);
}

static void close_it(struct fixture *f)
{
    store_close(f->store);
    f->store = NULL;
}

static int64_t ask(struct fixture *f, const char *sql)
{
    struct error e;
    int64_t n = -1;
    struct store_conn *c = store_read(f->store, &e);
    if (store_get_int(c, &n, sql, SV_EMPTY, &e))
        n = -1;
    store_read_done(c);
    return n;
}

static const struct store_migration town[] = {
    {1, "shelter", "CREATE TABLE shelter (id {id}, name {text}, place {int} NOT NULL)", NULL, NULL},
    {2, "seats",
     "ALTER TABLE shelter ADD COLUMN seats {int};\nINSERT INTO shelter (place) VALUES (1)",
     "UPDATE shelter SET seats = 1", "UPDATE shelter SET seats = 2"},
};

static void modules_are_brought_forward(void **state)
{
    struct fixture *f = *state;
    struct error e;
    assert_int_equal(open_with(f, town, 1, &e), OK);
    close_it(f);
    assert_int_equal(open_with(f, town, 2, &e), OK);
    assert_int_equal(ask(f, "SELECT seats FROM shelter"), f->postgres ? 2 : 1);
    close_it(f);
    assert_int_equal(open_with(f, town, 2, &e), OK); /* nothing to do */
    assert_int_equal(ask(f, "SELECT count(*) FROM shelter"), 1);
    assert_int_equal(ask(f, "SELECT count(*) FROM store_migration WHERE module = 'town'"), 2);
}

static void newer_and_different_schemas_are_refused(void **state)
{
    struct fixture *f = *state;
    struct error e;
    struct store_migration other[] = {town[0], town[1]};
    other[0].name = "shelters";
    assert_int_equal(open_with(f, town, 2, &e), OK);
    close_it(f);
    assert_int_equal(open_with(f, town, 1, &e), ERR_CONFLICT);
    assert_null(f->store);
    assert_non_null(strstr(e.text, "newer program"));
    assert_non_null(strstr(e.text, "town"));
    assert_int_equal(open_with(f, other, 2, &e), ERR_CONFLICT);
    assert_non_null(strstr(e.text, "shelters"));
    assert_int_equal(open_with(f, town, 2, &e), OK); /* the store is as it was */
}

static void a_failed_migration_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct error e;
    struct store_migration broken[] = {town[0], town[1]};
    broken[1].sql = "CREATE TABLE half (id {id}); INSERT INTO nowhere VALUES (1)";
    assert_int_not_equal(open_with(f, broken, 2, &e), OK);
    assert_non_null(strstr(e.text, "migration 2"));
    broken[1].sql = "CREATE TABLE half (id {serial})";
    assert_int_equal(open_with(f, broken, 2, &e), ERR_INTERNAL);
    assert_non_null(strstr(e.text, "{serial}"));
    broken[1].sql = "SELECT 1";
    broken[1].number = 3;
    assert_int_equal(open_with(f, broken, 2, &e), ERR_INTERNAL);
    broken[1].number = 2;
    broken[1].sql = "CREATE TABLE half (id {id})";
    broken[1].sqlite = broken[1].postgres = NULL;
    assert_int_equal(open_with(f, broken, 2, &e), OK);
    assert_int_equal(ask(f, "SELECT count(*) FROM half"), 0);
}

static void two_processes_migrate_at_once(void **state)
{
    struct fixture *f = *state;
    pid_t pid[2];
    int opened = 0;
    for (int i = 0; i < 2; i++) {
        fflush(NULL);
        pid[i] = fork();
        if (pid[i] == 0) {
            struct error e;
            enum err err = open_with(f, town, 2, &e);
            store_close(f->store);
            _exit((int)err);
        }
    }
    for (int i = 0; i < 2; i++) {
        int status = -1;
        assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == OK)
            opened++;
        else /* SQLite: one process at a time */
            assert_int_equal(WEXITSTATUS(status), f->postgres ? OK : ERR_CONFLICT);
    }
    assert_true(opened >= (f->postgres ? 2 : 1));
    struct error e;
    assert_int_equal(open_with(f, town, 2, &e), OK);
    assert_int_equal(ask(f, "SELECT count(*) FROM store_migration WHERE module = 'town'"), 2);
    assert_int_equal(ask(f, "SELECT count(*) FROM shelter"), 1);
}

static void a_missing_schema_is_named(void **state)
{
    struct fixture *f = *state;
    struct error e;
    char url[700];
    snprintf(url, sizeof(url), "%s_not", f->url);
    f->options.url = url;
    assert_int_equal(open_with(f, town, 2, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "search_path"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_new, fixture_free)
    const struct CMUnitTest tests[] = {
        T(modules_are_brought_forward),
        T(newer_and_different_schemas_are_refused),
        T(a_failed_migration_leaves_nothing),
        T(two_processes_migrate_at_once),
    };
    const struct CMUnitTest postgres[] = {T(a_missing_schema_is_named)};
    return fixture_run(TESTS(tests), NULL, 0, TESTS(postgres));
}
