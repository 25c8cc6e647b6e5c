/* Dense positions, the chain of hashes against tampering, trimming, reading on, waking. */
#include "engine.h"
#include "fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static void add(struct store *s, int64_t tenant, int64_t first, int n)
{
    for (int i = 0; i < n; i++) {
        char name[32];
        struct error e;
        snprintf(name, sizeof(name), "n%lld", (long long)first + i);
        struct item_change item = {.id = first + i, .name = name, .tenant = tenant};
        assert_int_equal(store_write(s, item_apply, &item, &e), OK);
    }
}

struct seen {
    int64_t last;
    size_t n, stop_after;
    bool good;
};

static bool see(void *ctx, const struct journal_row *row)
{
    struct seen *x = ctx;
    char key[32];
    int64_t id = row->at - 1000;
    snprintf(key, sizeof(key), "item-%lld", (long long)id);
    x->good = x->good && row->seq == x->last + 1 && str_eq(row->topic, S("item")) &&
              str_eq(row->key, str_c(key)) && str_eq(row->body, S("{\"made\":true}")) &&
              (id % 2 ? str_eq(row->actor, S("clerk")) : row->actor.p == NULL) &&
              row->origin.p == NULL && row->origin_seq == 0;
    x->last = row->seq;
    return ++x->n != x->stop_after;
}

static enum err read_on(struct store *s, int64_t tenant, struct seen *x, size_t max)
{
    struct error e;
    struct store_conn *c = store_read(s, &e);
    x->good = true;
    x->n = 0;
    enum err err = journal_read(c, tenant, x->last, max, see, x, &e);
    store_read_done(c);
    return err;
}

static void range(struct store *s, int64_t tenant, int64_t oldest, int64_t newest)
{
    struct error e;
    int64_t a = -1, b = -1;
    struct store_conn *c = store_read(s, &e);
    assert_int_equal(journal_range(c, tenant, &a, &b, &e), OK);
    store_read_done(c);
    assert_int_equal(a, oldest);
    assert_int_equal(b, newest);
}

static void tenants_are_numbered_each_by_itself(void **state)
{
    struct fixture *f = *state;
    int64_t last_tenant = INT64_C(1) << 22;
    struct seen x = {.last = 0};
    range(f->store, 1, 1, 0);
    add(f->store, 1, 1, 5);
    add(f->store, last_tenant, 100, 3);
    add(f->store, 1, 6, 2);
    range(f->store, 1, 1, 7);
    range(f->store, last_tenant, 1, 3);
    range(f->store, 2, 1, 0);
    assert_int_equal(read_on(f->store, 1, &x, 100), OK);
    assert_true(x.good);
    assert_int_equal(x.n, 7);
    x = (struct seen){.last = 0};
    assert_int_equal(read_on(f->store, last_tenant, &x, 100), OK);
    assert_int_equal(x.n, 3);
    fixture_reopen(f); /* numbers go on after a restart */
    add(f->store, 1, 8, 1);
    range(f->store, 1, 1, 8);
}

static void reading_goes_on_where_it_stopped(void **state)
{
    struct fixture *f = *state;
    struct seen x = {.last = 0};
    add(f->store, 3, 1, 10);
    assert_int_equal(read_on(f->store, 3, &x, 4), OK);
    assert_int_equal(x.n, 4);
    x.stop_after = 2;
    assert_int_equal(read_on(f->store, 3, &x, 100), OK);
    assert_int_equal(x.n, 2);
    x.stop_after = 0;
    assert_int_equal(read_on(f->store, 3, &x, 100), OK);
    assert_int_equal(x.n, 4);
    assert_true(x.good);
    assert_int_equal(read_on(f->store, 3, &x, 100), OK);
    assert_int_equal(x.n, 0);
}

static enum err bad_row_apply(struct store_conn *c, void *ctx, struct error *e)
{
    return journal_append(c, ctx, e);
}

static void rows_without_tenant_or_topic_are_refused(void **state)
{
    struct fixture *f = *state;
    struct error e;
    struct journal_row rows[] = {
        {.tenant = 0, .topic = S("t"), .key = S("k"), .body = S("{}")},
        {.tenant = (INT64_C(1) << 22) + 1, .topic = S("t"), .key = S("k"), .body = S("{}")},
        {.tenant = 1, .key = S("k"), .body = S("{}")},
        {.tenant = 1, .topic = S("t"), .key = S("k")},
    };
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(store_write(f->store, bad_row_apply, &rows[i], &e), ERR_INTERNAL);
    struct store_conn *c = store_read(f->store, &e);
    assert_int_equal(journal_append(c, &rows[0], &e), ERR_INTERNAL);
    store_read_done(c);
    range(f->store, 1, 1, 0);
}

/* --- check --- */

static char findings[4096];

static void note_finding(void *ctx, const char *what)
{
    (void)ctx;
    size_t n = strlen(findings);
    snprintf(findings + n, sizeof(findings) - n, "%s\n", what);
}

static size_t check(struct store *s)
{
    findings[0] = '\0';
    return store_check(s, note_finding, NULL);
}

static void tampering_shows(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *sql;
        const char *finding;
    } cases[] = {
        /* 1 << 40 | 4 = 1099511627780 */
        {"UPDATE journal SET body = '{\"made\":false}' WHERE pos = 1099511627780", "row 4"},
        {"UPDATE journal SET actor = 'other' WHERE pos = 1099511627781", "row 5"},
        {"UPDATE journal SET at = at + 1 WHERE pos = 1099511627782", "row 6"},
        {"DELETE FROM journal WHERE pos = 1099511627779", "row 4 follows row 2"},
        {"DELETE FROM journal WHERE pos = 1099511627777", "row 2 follows row 0"},
        {"DELETE FROM journal WHERE pos >= 1099511627784", "ends at 7 instead of 9"},
        {"DELETE FROM journal", "no rows up to 9"},
        {"DELETE FROM journal_tenant", "no head"},
        {"UPDATE journal_tenant SET head_hash = anchor_hash", "head's hash"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        fixture_reopen(f);
        add(f->store, 1, 1, 9);
        assert_int_equal(check(f->store), 0);
        store_close(f->store);
        f->store = NULL;
        fixture_sql(f, cases[i].sql);
        fixture_reopen(f);
        assert_int_not_equal(check(f->store), 0);
        if (!strstr(findings, cases[i].finding))
            fail_msg("%s: %s", cases[i].sql, findings);
        store_close(f->store);
        f->store = NULL;
        fixture_sql(f, "DELETE FROM journal");
        fixture_sql(f, "DELETE FROM journal_tenant");
        fixture_sql(f, "DELETE FROM item");
    }
}

/* --- trimming --- */

struct trim {
    int64_t tenant, upto;
    enum err fail_with;
};

static enum err trim_apply(struct store_conn *c, void *ctx, struct error *e)
{
    struct trim *t = ctx;
    enum err err = journal_trim(c, t->tenant, t->upto, e);
    if (!err && t->fail_with)
        err = error_set(e, t->fail_with, "undone");
    return err;
}

static void trimming_keeps_the_chain(void **state)
{
    struct fixture *f = *state;
    struct error e;
    struct seen x = {.last = 2};
    struct trim t = {1, 4, ERR_CONFLICT};
    add(f->store, 1, 1, 9);
    add(f->store, 2, 100, 2);
    assert_int_equal(store_write(f->store, trim_apply, &t, &e), ERR_CONFLICT);
    range(f->store, 1, 1, 9);
    t.fail_with = OK;
    assert_int_equal(store_write(f->store, trim_apply, &t, &e), OK);
    range(f->store, 1, 5, 9);
    assert_int_equal(check(f->store), 0);
    assert_int_equal(read_on(f->store, 1, &x, 100), ERR_NOT_FOUND);
    x.last = 4;
    assert_int_equal(read_on(f->store, 1, &x, 100), OK);
    assert_int_equal(x.n, 5);
    t.upto = 3; /* nothing left to do */
    assert_int_equal(store_write(f->store, trim_apply, &t, &e), OK);
    t.upto = 1000; /* everything */
    assert_int_equal(store_write(f->store, trim_apply, &t, &e), OK);
    range(f->store, 1, 10, 9);
    assert_int_equal(check(f->store), 0);
    add(f->store, 1, 10, 2);
    range(f->store, 1, 10, 11);
    fixture_reopen(f);
    add(f->store, 1, 12, 1);
    range(f->store, 1, 10, 12);
    range(f->store, 2, 1, 2);
    assert_int_equal(check(f->store), 0);
}

struct append_and_trim {
    bool fail;
};

static enum err append_and_trim_apply(struct store_conn *c, void *ctx, struct error *e)
{
    struct append_and_trim *x = ctx;
    enum err err = OK;
    for (int i = 0; !err && i < 3; i++) {
        struct journal_row row = {
            .tenant = 7, .at = 1, .topic = S("t"), .key = S("k"), .body = S("{}")};
        err = journal_append(c, &row, e);
    }
    int64_t oldest = 0, newest = 0;
    if (!err)
        err = journal_range(c, 7, &oldest, &newest, e);
    assert_int_equal(newest - oldest, 2);
    if (!err)
        err = journal_trim(c, 7, newest - 1, e);
    if (!err && x->fail)
        err = error_set(e, ERR_CONFLICT, "undone");
    return err;
}

static void a_first_batch_may_append_and_trim(void **state)
{
    struct fixture *f = *state;
    struct error e;
    struct append_and_trim x = {true};
    assert_int_equal(store_write(f->store, append_and_trim_apply, &x, &e), ERR_CONFLICT);
    range(f->store, 7, 1, 0);
    x.fail = false;
    assert_int_equal(store_write(f->store, append_and_trim_apply, &x, &e), OK);
    range(f->store, 7, 3, 3);
    assert_int_equal(check(f->store), 0);
}

/* --- listeners --- */

static void count_call(void *ctx)
{
    atomic_fetch_add((_Atomic int *)ctx, 1);
}

static bool reaches(_Atomic int *n, int want)
{
    for (int i = 0; i < 5000; i++) {
        if (atomic_load(n) >= want)
            return true;
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    return false;
}

static enum err nothing_apply(struct store_conn *c, void *ctx, struct error *e)
{
    (void)ctx;
    return store_exec(c, "UPDATE item SET doc = NULL", SV_EMPTY, NULL, e);
}

static void listeners_are_woken_by_rows_only(void **state)
{
    struct fixture *f = *state;
    struct error e;
    _Atomic int calls = 0;
    add(f->store, 1, 1, 1);
    journal_listen(f->store, count_call, (void *)&calls);
    add(f->store, 1, 2, 1);
    assert_true(reaches(&calls, 1));
    int before = atomic_load(&calls);
    assert_int_equal(store_write(f->store, nothing_apply, NULL, &e), OK);
    struct item_change bad = {.id = 3, .name = "n3", .tenant = 1, .fail_with = ERR_CONFLICT};
    assert_int_equal(store_write(f->store, item_apply, &bad, &e), ERR_CONFLICT);
    assert_int_equal(atomic_load(&calls), before);
    journal_unlisten(f->store, count_call, (void *)&calls);
    add(f->store, 1, 4, 1);
    assert_int_equal(atomic_load(&calls), before);
}

/* --- marks --- */

static void add_marked(struct store *s, int64_t id, uint64_t mark, enum err end)
{
    char name[32];
    struct error e;
    snprintf(name, sizeof(name), "n%lld", (long long)id);
    struct item_change item = {.id = id, .name = name, .tenant = 1, .mark = mark, .fail_with = end};
    assert_int_equal(store_write(s, item_apply, &item, &e), end);
}

static void committed_rows_with_a_mark_are_known(void **state)
{
    struct fixture *f = *state;
    struct store *s = f->store;
    add_marked(s, 1, 7, OK);
    add_marked(s, 2, 7, OK);
    assert_int_equal(journal_marked(s, 1, 0, 7), 2);
    assert_int_equal(journal_marked(s, 1, 1, 7), 2);
    assert_int_equal(journal_marked(s, 1, 2, 7), 2);
    assert_int_equal(journal_marked(s, 1, 0, 8), 0); /* of another generation */
    assert_int_equal(journal_marked(s, 2, 0, 7), 0);
    add_marked(s, 3, 7, ERR_CONFLICT);
    assert_int_equal(journal_marked(s, 1, 0, 7), 2);
    add_marked(s, 4, 0, OK); /* takes the number of the one that failed */
    assert_int_equal(journal_marked(s, 1, 0, 7), 2);
    assert_int_equal(journal_marked(s, 1, 2, 7), 2);
    add_marked(s, 5, 7, OK);
    assert_int_equal(journal_marked(s, 1, 2, 7), 2);
    assert_int_equal(journal_marked(s, 1, 3, 7), 4);
    for (int64_t i = 0; i < 200; i++) /* more runs than are remembered */
        add_marked(s, 10 + i, i % 2 ? 0 : 9, OK);
    assert_int_equal(journal_marked(s, 1, 0, 7), 0);
    assert_int_equal(journal_marked(s, 1, 202, 9), 203);
    assert_int_equal(check(s), 0);
}

static void what_failed_in_a_batch_leaves_no_mark(void **state)
{
    enum { N = 40 };
    struct fixture *f = *state;
    static struct told told[N];
    static char names[N][32];
    for (int i = 0; i < N; i++) {
        snprintf(names[i], sizeof(names[i]), "b%d", i);
        told[i] = (struct told){.item = {.id = 1 + i, .name = names[i], .tenant = 1}};
        told[i].item.mark = i % 4 ? 5 : 0;
        told[i].item.fail_with = i % 3 == 1 ? ERR_CONFLICT : OK;
        told_submit(f->store, &told[i]);
    }
    told_wait(told, N);
    int64_t last = 0;
    for (int i = 0; i < N; i++) { /* each row is marked as its own change wanted */
        int64_t seq = told[i].item.seq;
        if (told[i].item.fail_with)
            continue;
        assert_int_equal(seq, ++last);
        int64_t upto = journal_marked(f->store, 1, seq - 1, 5);
        assert_true(told[i].item.mark ? upto >= seq : upto == seq - 1);
    }
    assert_int_equal(check(f->store), 0);
}

static void nothing_new_is_known_without_asking(void **state)
{
    struct fixture *f = *state;
    struct store *s = f->store;
    uint64_t epoch = journal_epoch(s);
    assert_true(journal_still(s, 1, 0, epoch));
    assert_false(journal_still(s, 1, 0, 0));
    add_marked(s, 1, 0, OK);
    epoch = journal_epoch(s);
    assert_false(journal_still(s, 1, 0, epoch));
    assert_true(journal_still(s, 1, 1, epoch));
    assert_true(journal_still(s, 2, 0, epoch));
    journal_wake(s); /* somebody else wrote */
    assert_false(journal_still(s, 1, 1, epoch));
    assert_true(journal_still(s, 1, 1, journal_epoch(s)));
    assert_int_equal(journal_marked(s, 1, 0, 7), 0);
    add_marked(s, 2, 7, OK);
    assert_int_equal(journal_marked(s, 1, 1, 7), 2);
    hints_heard(s, STR_NONE, STR_NONE); /* commits may be lost: numbers may come again */
    assert_int_equal(journal_marked(s, 1, 1, 7), 1);
}

static void marked_rows_wake_only_who_wants_all(void **state)
{
    struct fixture *f = *state;
    _Atomic int all = 0, unmarked = 0;
    journal_listen(f->store, count_call, (void *)&all);
    journal_listen_unmarked(f->store, count_call, (void *)&unmarked);
    add_marked(f->store, 1, 7, OK);
    assert_true(reaches(&all, 1));
    assert_int_equal(atomic_load(&unmarked), 0);
    add_marked(f->store, 2, 0, OK);
    assert_true(reaches(&unmarked, 1));
    journal_unlisten(f->store, count_call, (void *)&unmarked);
    journal_unlisten(f->store, count_call, (void *)&all);
}

static uint64_t mark_topic(void *ctx, struct arena *a, int64_t tenant, const void *what)
{
    (void)a;
    return what == ctx ? (uint64_t)tenant : 0;
}

static enum err marking_apply(struct store_conn *c, void *ctx, struct error *e)
{
    uint64_t *marks = ctx;
    (void)e;
    marks[0] = journal_mark(c, NULL, 3, marks);
    marks[1] = journal_mark(c, NULL, 3, NULL);
    return OK;
}

static void one_marker_is_asked(void **state)
{
    struct fixture *f = *state;
    struct error e;
    uint64_t marks[2];
    journal_mark_by(f->store, mark_topic, marks);
    assert_int_equal(store_write(f->store, marking_apply, marks, &e), OK);
    assert_int_equal(marks[0], 3);
    assert_int_equal(marks[1], 0);
    journal_mark_by(f->store, NULL, NULL);
    assert_int_equal(store_write(f->store, marking_apply, marks, &e), OK);
    assert_int_equal(marks[0], 0);
}

/* --- two processes on one PostgreSQL (here: two stores) --- */

struct side {
    struct store *store;
    int64_t first;
};

static void *side_run(void *arg)
{
    struct side *side = arg;
    struct error e;
    for (int i = 0; i < 60; i++) {
        char name[32];
        snprintf(name, sizeof(name), "n%lld", (long long)side->first + i);
        struct item_change item = {.id = side->first + i, .name = name, .tenant = 1 + i % 2};
        item.fail_with = i % 7 == 3 ? ERR_CONFLICT : OK;
        if (store_write(side->store, item_apply, &item, &e) != item.fail_with)
            return side;
    }
    return NULL;
}

static void two_stores_share_one_database(void **state)
{
    struct fixture *f = *state;
    struct store *other = NULL;
    struct error e;
    enum err err = store_open(&other, &f->options, &clock_system, &fixture_module, 1, &e);
    if (!f->postgres) {
        assert_int_equal(err, ERR_CONFLICT);
        assert_non_null(strstr(e.text, "in use"));
        return;
    }
    assert_int_equal(err, OK);
    _Atomic int calls = 0;
    journal_listen(other, count_call, (void *)&calls);
    add(f->store, 9, 5000, 1);
    assert_true(reaches(&calls, 1)); /* woken by the other process */
    journal_unlisten(other, count_call, (void *)&calls);
    struct side sides[2] = {{f->store, 1}, {other, 1000}};
    pthread_t threads[2];
    void *failed;
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, side_run, &sides[i]);
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    int64_t oldest, newest[2];
    struct store_conn *c = store_read(other, &e);
    for (int i = 0; i < 2; i++)
        assert_int_equal(journal_range(c, 1 + i, &oldest, &newest[i], &e), OK);
    store_read_done(c);
    assert_int_equal(newest[0] + newest[1], 2 * (60 - 9));
    assert_int_equal(check(f->store), 0);
    store_close(other);
}

/* --- duties and hints --- */

struct hearing {
    _Atomic int calls, anything;
    char key[40];
};

static void on_hint(void *ctx, struct str key)
{
    struct hearing *h = ctx;
    if (key.p)
        snprintf(h->key, sizeof(h->key), "%.*s", (int)key.n, key.p);
    else
        h->anything++;
    h->calls++;
}

static enum err tell_apply(struct store_conn *c, void *ctx, struct error *e)
{
    return store_tell(c, "thing", str_c(ctx), e);
}

static int64_t wait_for_duty(struct store *s, int ms)
{
    int64_t term;
    while (!(term = store_duty(s, "test")) && ms > 0) {
        struct timespec t = {0, 10000000};
        nanosleep(&t, NULL);
        ms -= 10;
    }
    return term;
}

static void a_duty_is_held_by_one_and_passes_on(void **state)
{
    struct fixture *f = *state;
    struct store *other = NULL;
    struct error e;
    assert_int_equal(wait_for_duty(f->store, 10000), 1);
    if (!f->postgres)
        return; /* there is no other */
    assert_int_equal(store_open(&other, &f->options, &clock_system, &fixture_module, 1, &e), OK);
    assert_int_equal(wait_for_duty(other, 1200), 0);
    struct hearing heard = {0};
    store_heed(other, "thing", on_hint, &heard);
    static char key[] = "a key with blanks";
    assert_int_equal(store_write(f->store, tell_apply, key, &e), OK);
    assert_true(reaches(&heard.calls, 1));
    assert_string_equal(heard.key, key);
    assert_int_equal(store_write(other, tell_apply, key, &e), OK); /* not to oneself */
    store_close(f->store);
    f->store = NULL;
    assert_true(wait_for_duty(other, 10000) > 0);
    assert_int_equal(heard.calls, 1);
    store_unheed(other, on_hint, &heard);
    store_close(other);
    fixture_reopen(f);
}

static void a_lost_connection_loses_the_duty(void **state)
{
    struct fixture *f = *state;
    struct error e;
    struct hearing heard = {0};
    int64_t first = wait_for_duty(f->store, 10000);
    if (!f->postgres)
        return;
    store_heed(f->store, "thing", on_hint, &heard);
    struct store_conn *c = store_read(f->store, &e);
    int64_t n = 0;
    assert_int_equal(store_get_int(c, &n,
                                   "SELECT CAST(count(pg_terminate_backend(pid)) AS BIGINT) FROM"
                                   " pg_locks WHERE locktype = 'advisory' AND classid = 1297237843"
                                   " AND database = (SELECT oid FROM pg_database WHERE datname ="
                                   " current_database())",
                                   SV_EMPTY, &e),
                     OK);
    store_read_done(c);
    assert_true(reaches(&heard.anything, 1)); /* hints may have been missed */
    int64_t again = wait_for_duty(f->store, 10000);
    for (int i = 0; i < 200 && again == first; i++)
        again = wait_for_duty(f->store, 10000);
    assert_true(again > first);
    store_unheed(f->store, on_hint, &heard);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_free)
    const struct CMUnitTest tests[] = {
        T(tenants_are_numbered_each_by_itself),
        T(reading_goes_on_where_it_stopped),
        T(rows_without_tenant_or_topic_are_refused),
        T(tampering_shows),
        T(trimming_keeps_the_chain),
        T(a_first_batch_may_append_and_trim),
        T(listeners_are_woken_by_rows_only),
        T(committed_rows_with_a_mark_are_known),
        T(what_failed_in_a_batch_leaves_no_mark),
        T(nothing_new_is_known_without_asking),
        T(marked_rows_wake_only_who_wants_all),
        T(one_marker_is_asked),
        T(two_stores_share_one_database),
        T(a_duty_is_held_by_one_and_passes_on),
        T(a_lost_connection_loses_the_duty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
