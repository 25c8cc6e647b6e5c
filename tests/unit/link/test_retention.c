/* Trimming by age: what is older goes, what is younger stays, the chain holds, followers are told.
 */
#include "../store/fixture.h"

#include "link/link.h"
#include "retention.h"

enum { ROWS = 5000, KEPT = 700 };

static enum err append(struct store_conn *c, void *ctx, struct error *e)
{
    struct clock_fake *clock = ctx;
    enum err err = OK;
    for (int i = 0; !err && i < ROWS; i++) {
        struct journal_row row = {.tenant = 1,
                                  .at = clock->at + i * SECOND_US,
                                  .topic = S("entity"),
                                  .key = S("urn:x:1"),
                                  .body = S("{}")};
        err = journal_append(c, &row, e);
    }
    return err;
}

static bool count(void *ctx, const struct journal_row *row)
{
    (void)row;
    ++*(int64_t *)ctx;
    return true;
}

static void ignore(void *ctx, const char *what)
{
    (void)ctx;
    (void)what;
}

static void old_rows_go_and_young_ones_stay(void **state)
{
    struct fixture *f = *state;
    struct error e = {0};
    struct clock_fake clock = clock_fake_at(INT64_C(1700000000) * SECOND_US);
    struct link l = {.clock = &clock.base, .options = {.journal_hours = 2}};
    int64_t oldest, newest, rows = 0;
    if (store_open(&l.store, &f->options, &clock.base, &link_module, 1, &e))
        fail_msg("%s", e.text);
    assert_int_equal(store_write(l.store, append, &clock, &e), OK);
    clock_fake_move(&clock, (ROWS - KEPT) * SECOND_US + 2 * HOUR_US);
    retention_run(&l);
    struct store_conn *c = store_read(l.store, &e);
    assert_int_equal(journal_range(c, 1, &oldest, &newest, &e), OK);
    assert_int_equal(newest, ROWS);
    assert_int_equal(oldest, ROWS - KEPT + 1);
    assert_int_equal(journal_read(c, 1, oldest - 1, ROWS, count, &rows, &e), OK);
    assert_int_equal(rows, KEPT);
    assert_int_equal(journal_read(c, 1, 10, ROWS, count, &rows, &e), ERR_NOT_FOUND);
    store_read_done(c);
    assert_int_equal(store_check(l.store, ignore, NULL), 0);
    retention_run(&l); /* nothing left to do */
    c = store_read(l.store, &e);
    assert_int_equal(journal_range(c, 1, &oldest, &newest, &e), OK);
    assert_int_equal(oldest, ROWS - KEPT + 1);
    store_read_done(c);
    store_close(l.store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(old_rows_go_and_young_ones_stay, fixture_new, fixture_free),
    };
    return cmocka_run_group_tests_name("link/retention", tests, NULL, NULL);
}
