/*
 * Retention of history by type and attribute: rows that are old enough become hours, aggregates
 * stay what they were, late data finds its hour, other series are left alone. On both engines.
 */
#include "query_lab.h"

#include "../store/fixture.h"
#include "history_keep.h"
#include "link/access.h"
#include "link/history.h"
#include <stdio.h>

#define T0 (INT64_C(472222) * HOUR_US) /* begins an hour */

struct city {
    void *fixture;
    struct clock_fake clock;
    struct link link;
    int64_t eid;
};

static int open_city(void **state)
{
    struct city *x = test_calloc(1, sizeof(*x));
    struct error e = {0};
    lab_open(state);
    fixture_new(&x->fixture);
    struct fixture *f = x->fixture;
    x->clock = clock_fake_at(T0);
    if (store_open(&f->store, &f->options, &x->clock.base, &link_module, 1, &e))
        fail_msg("%s", e.text);
    x->link = (struct link){.store = f->store, .clock = &x->clock.base};
    *state = x;
    return 0;
}

static int close_city(void **state)
{
    struct city *x = *state;
    fixture_free(&x->fixture);
    test_free(x);
    return lab_close(state);
}

struct point {
    struct city *city;
    const char *attr;
    double value;
    int64_t at, seq;
};

static enum err add(struct store_conn *c, void *ctx, struct error *e)
{
    struct point *p = ctx;
    char at[DATETIME_MAX];
    datetime_format(p->at, at);
    const char *text = arena_printf(&lab,
                                    "{'type': 'Property', 'value': %g, 'observedAt': '%s',"
                                    " 'createdAt': '%s', 'modifiedAt': '%s'}",
                                    p->value, at, at, at);
    enum err err =
        history_eid(c, &lab, 1, S("urn:x:1"), lab_json("['T']"), true, T0, &p->city->eid, e);
    return err ? err
               : history_add(c, p->city->eid, str_c(p->attr), lab_json(text),
                             clock_now(&p->city->clock.base) + 7, p->seq, e);
}

static void observe(struct city *x, const char *attr, int64_t at, double value, int64_t seq)
{
    struct point p = {x, attr, value, at, seq};
    struct error e = {0};
    if (store_write(x->link.store, add, &p, &e))
        fail_msg("%s", e.text);
}

static bool note(void *ctx, const struct history_bucket *b)
{
    buf_printf(ctx, "%" STR_F "@%lld n=%d sum=%.6g avg=%.6g min=%g max=%g dev=%.6g; ",
               STR_A(b->attr), (long long)((b->from - T0) / HOUR_US), (int)b->count, b->sum, b->avg,
               b->min, b->max, b->stddev);
    return true;
}

static const char *aggregates(struct city *x, const char *period)
{
    struct history_query q = {.property = TIME_OBSERVED};
    struct duration d;
    struct error e = {0};
    struct buf out = BUF_INIT;
    assert_true(duration_parse(str_c(period), &d));
    struct store_conn *c = store_read(x->link.store, &e);
    if (history_aggregate(c, x->eid, &q, &d, note, &out, &e))
        fail_msg("%s", e.text);
    store_read_done(c);
    const char *text = arena_dup(&lab, out.p ? out.p : "", out.n);
    buf_release(&out);
    return text;
}

static bool count(void *ctx, const struct history_row *row)
{
    (void)row;
    ++*(int *)ctx;
    return true;
}

static int rows(struct city *x)
{
    struct history_query q = {.property = TIME_OBSERVED};
    struct history_cut cut;
    struct error e = {0};
    int n = 0;
    struct store_conn *c = store_read(x->link.store, &e);
    assert_int_equal(history_read(c, x->eid, &q, count, &n, &cut, &e), OK);
    store_read_done(c);
    return n;
}

static void keep(struct city *x, const char *rules)
{
    struct error e = {0};
    int64_t version;
    const struct json *doc =
        access_policy_expand(&lab, S("retention"), lab_json(rules), ld_core(), &e);
    if (!doc || access_put_policy(&x->link, S(""), S("retention"), doc, STR_NONE, &version, &e))
        fail_msg("%s", e.text);
}

static void fill(struct city *x)
{
    for (int i = 0; i < 40; i++) {
        observe(x, "a", T0 + i * 13 * MINUTE_US, (i * 37) % 11 - 3.5, i + 1);
        observe(x, "b", T0 + i * 13 * MINUTE_US, i, i + 101);
    }
}

static void aggregates_outlive_the_rows(void **state)
{
    struct city *x = *state;
    fill(x);
    const char *hourly = aggregates(x, "PT1H"), *whole = aggregates(x, "PT0S");
    clock_fake_move(&x->clock, 10 * DAY_US);
    history_keep_run(&x->link);
    assert_int_equal(rows(x), 80); /* no rule, nothing goes */
    keep(x, "{'rules': [{'types': ['U'], 'keep': 'P1D'}, {'types': ['https://x/y', 'T'], 'keep': "
            "'P30D'}]}");
    history_keep_run(&x->link);
    assert_int_equal(rows(x), 80); /* another type; not old enough */
    keep(x, "{'rules': [{'keep': 'P1D'}]}");
    history_keep_run(&x->link);
    assert_int_equal(rows(x), 0);
    assert_string_equal(aggregates(x, "PT1H"), hourly);
    assert_string_equal(aggregates(x, "PT0S"), whole);
    history_keep_run(&x->link);
    assert_string_equal(aggregates(x, "PT1H"), hourly);
}

static void late_data_finds_its_hour(void **state)
{
    struct city *x = *state;
    fill(x);
    clock_fake_move(&x->clock, 10 * DAY_US);
    keep(x, "{'rules': [{'keep': 'P1D'}]}");
    history_keep_run(&x->link);
    observe(x, "a", T0 + 95 * MINUTE_US, 100, 900);
    observe(x, "a", T0 + 30 * HOUR_US, 5, 901);
    const char *with = aggregates(x, "PT1H");
    assert_non_null(strstr(with, "a@1 n=6"));
    assert_non_null(strstr(with, "max=100"));
    assert_non_null(strstr(with, "a@30 n=1"));
    history_keep_run(&x->link);
    assert_int_equal(rows(x), 0);
    assert_string_equal(aggregates(x, "PT1H"), with);
}

static void the_first_rule_that_meets_counts(void **state)
{
    struct city *x = *state;
    fill(x);
    clock_fake_move(&x->clock, 10 * DAY_US);
    /* "a" and "b" are no terms: they stand in the store as what the core context makes of them */
    keep(x, "{'rules': [{'attrs': ['x'], 'keep': 'P1D'}]}");
    history_keep_run(&x->link);
    assert_int_equal(rows(x), 80);
    keep(x, "{'rules': [{'keep': 'P1D', 'rollup': 'P2D'}]}");
    history_keep_run(&x->link);
    assert_int_equal(rows(x), 0);
    assert_string_equal(aggregates(x, "PT1H"), ""); /* the hours are older than that too */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(aggregates_outlive_the_rows, open_city, close_city),
        cmocka_unit_test_setup_teardown(late_data_finds_its_hour, open_city, close_city),
        cmocka_unit_test_setup_teardown(the_first_rule_that_meets_counts, open_city, close_city)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
