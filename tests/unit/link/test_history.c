/* History: what is recorded, read back, cut, aggregated and deleted. Runs on both engines. */
#include "query_lab.h"

#include <math.h>
#include <time.h>

#include "../store/fixture.h"
#include "link/history.h"

#define SECOND INT64_C(1000000)
#define MINUTE (60 * SECOND)
#define T0     INT64_C(1700000000000000)

static int open_store(void **state)
{
    struct error e = {0};
    lab_open(state);
    fixture_new(state);
    struct fixture *f = *state;
    const struct store_module modules[] = {link_module};
    if (store_open(&f->store, &f->options, &clock_system, modules, 1, &e))
        fail_msg("%s", e.text);
    return 0;
}

static int close_store(void **state)
{
    fixture_free(state);
    return lab_close(state);
}

/* --- writing --- */

struct writing {
    int64_t eid;
    const char *attr, *dataset;
    const char *instance; /* with ' for "; NULL: deleted */
    int64_t now, seq;
    bool add;   /* through history_add() */
    int points; /* instead: that many observations a second apart */
    bool drop;  /* instead: history_delete() */
    bool all_datasets;
};

static enum err record(struct store_conn *c, const struct writing *w, struct buf *scratch,
                       struct error *e)
{
    struct attr_change ch = {.attr = str_c(w->attr),
                             .dataset = str_c(w->dataset),
                             .op = w->instance ? ATTR_CREATED : ATTR_DELETED,
                             .after = w->instance ? lab_json(w->instance) : NULL};
    return history_record(c, w->eid, &ch, w->now, w->seq, scratch, e);
}

static enum err record_points(struct store_conn *c, const struct writing *w, struct buf *scratch,
                              struct error *e)
{
    char at[DATETIME_MAX];
    for (int i = 0; i < w->points; i++) {
        datetime_format(T0 + i * SECOND, at);
        struct arena a = ARENA_INIT;
        struct str text =
            str_printf(&a, "{\"type\":\"Property\",\"value\":%d,\"observedAt\":\"%s\"}", i % 600,
                       at);
        struct attr_change ch = {.attr = str_c(w->attr),
                                 .op = i ? ATTR_UPDATED : ATTR_CREATED,
                                 .after = json_parse(&a, text, &JSON_DEFAULT, NULL)};
        enum err rc = history_record(c, w->eid, &ch, T0 + i * SECOND, i + 1, scratch, e);
        arena_release(&a);
        if (rc)
            return rc;
    }
    return OK;
}

static enum err apply(struct store_conn *c, void *ctx, struct error *e)
{
    const struct writing *w = ctx;
    struct buf scratch = BUF_INIT;
    enum err rc;
    if (w->drop)
        rc = history_delete(c, w->eid, str_c(w->attr), str_c(w->dataset), w->all_datasets, w->seq,
                            e);
    else if (w->points)
        rc = record_points(c, w, &scratch, e);
    else if (w->add)
        rc = history_add(c, w->eid, str_c(w->attr), lab_json(w->instance), w->now, w->seq, e);
    else
        rc = record(c, w, &scratch, e);
    buf_release(&scratch);
    return rc;
}

static enum err try_write(void *state, struct writing w)
{
    struct error e = {0};
    return store_write(((struct fixture *)state)->store, apply, &w, &e);
}

static void write_one(void *state, struct writing w)
{
    assert_int_equal(try_write(state, w), OK);
}

static const char *number_at(const char *number, int64_t at)
{
    char text[DATETIME_MAX];
    datetime_format(at, text);
    return arena_printf(&lab, "{'type': 'Property', 'value': %s, 'observedAt': '%s'}", number,
                        text);
}

/* --- reading --- */

static bool note_row(void *ctx, const struct history_row *row)
{
    struct buf *out = ctx;
    ptrdiff_t slash = -1;
    for (size_t i = 0; i < row->attr.n; i++)
        slash = row->attr.p[i] == '/' ? (ptrdiff_t)i : slash;
    buf_printf(out, "%s%" STR_F, out->n ? " " : "", STR_A(str_from(row->attr, (size_t)slash + 1)));
    if (row->dataset.p)
        buf_printf(out, "/%" STR_F, STR_A(row->dataset));
    buf_printf(out, "@%d", (int)((row->at - T0) / SECOND));
    if (row->is_number)
        buf_printf(out, "=%g", row->number);
    else if (str_starts(row->instance, S("{\"type\":\"deleted\"")))
        BUF_LIT(out, "=gone");
    return true;
}

static const char *read_back(void *state, int64_t eid, struct history_query q,
                             struct history_cut *cut)
{
    struct error e = {0};
    struct history_cut own;
    struct buf out = BUF_INIT;
    struct store_conn *c = store_read(((struct fixture *)state)->store, &e);
    assert_non_null(c);
    enum err rc = history_read(c, eid, &q, note_row, &out, cut ? cut : &own, &e);
    store_read_done(c);
    if (rc)
        fail_msg("%s", e.text);
    const char *text = arena_printf(&lab, "%s", out.p ? out.p : "");
    buf_release(&out);
    return text;
}

static void late_data_falls_into_its_place(void **state)
{
    static const char *const numbers[] = {"10", "30", "20"};
    static const int seconds[] = {0, 2, 1};
    for (int i = 0; i < 3; i++)
        write_one(*state,
                  (struct writing){.eid = 1,
                                   .attr = "urn:a/t",
                                   .instance = number_at(numbers[i], T0 + seconds[i] * SECOND),
                                   .now = T0 + (10 + i) * SECOND,
                                   .seq = i + 1});
    assert_string_equal(read_back(*state, 1, (struct history_query){0}, NULL),
                        "t@0=10 t@1=20 t@2=30");
    assert_string_equal(read_back(*state, 1, (struct history_query){.property = TIME_MODIFIED},
                                  NULL),
                        "t@10=10 t@11=30 t@12=20");
    assert_string_equal(read_back(*state, 2, (struct history_query){0}, NULL), "");
}

static void time_relations(void **state)
{
    for (int i = 0; i < 5; i++)
        write_one(*state, (struct writing){.eid = 1,
                                           .attr = "urn:a/t",
                                           .instance = number_at("1", T0 + i * SECOND),
                                           .now = T0 + i * SECOND,
                                           .seq = i + 1});
    struct history_query q = {.relation = TIME_BEFORE, .from = T0 + 2 * SECOND};
    assert_string_equal(read_back(*state, 1, q, NULL), "t@0=1 t@1=1");
    q.relation = TIME_AFTER;
    assert_string_equal(read_back(*state, 1, q, NULL), "t@2=1 t@3=1 t@4=1");
    q.relation = TIME_BETWEEN;
    q.to = T0 + 4 * SECOND;
    assert_string_equal(read_back(*state, 1, q, NULL), "t@2=1 t@3=1");
    q.last_n = 1;
    assert_string_equal(read_back(*state, 1, q, NULL), "t@3=1");
}

static void instances_and_filters(void **state)
{
    write_one(*state, (struct writing){.eid = 1,
                                       .attr = "urn:a/b",
                                       .instance = number_at("1", T0),
                                       .now = T0,
                                       .seq = 1});
    write_one(*state, (struct writing){.eid = 1,
                                       .attr = "urn:a/a",
                                       .dataset = "urn:d",
                                       .instance = number_at("2", T0),
                                       .now = T0,
                                       .seq = 1});
    write_one(*state, (struct writing){.eid = 1,
                                       .attr = "urn:a/a",
                                       .instance = "{'type': 'Property', 'value': 'x'}",
                                       .now = T0 + SECOND,
                                       .seq = 2});
    write_one(*state,
              (struct writing){.eid = 1, .attr = "urn:a/b", .now = T0 + 9 * SECOND, .seq = 3});
    assert_string_equal(read_back(*state, 1, (struct history_query){0}, NULL),
                        "a@1 a/urn:d@0=2 b@0=1 b@9=gone");
    struct str attrs[] = {S("urn:a/a")}, sets[] = {S("@none")}, named[] = {S("urn:d")};
    assert_string_equal(read_back(*state, 1, (struct history_query){.attrs = attrs, .n_attrs = 1},
                                  NULL),
                        "a@1 a/urn:d@0=2");
    assert_string_equal(read_back(*state, 1,
                                  (struct history_query){.datasets = sets, .n_datasets = 1}, NULL),
                        "a@1 b@0=1 b@9=gone");
    assert_string_equal(read_back(*state, 1,
                                  (struct history_query){.datasets = named, .n_datasets = 1}, NULL),
                        "a/urn:d@0=2");
    assert_string_equal(read_back(*state, 1, (struct history_query){.property = TIME_DELETED},
                                  NULL),
                        "b@9=gone");
}

static void by_creation(void **state)
{
    for (int i = 0; i < 4; i++)
        write_one(*state, (struct writing){.eid = 1,
                                           .attr = "urn:a/t",
                                           .instance = arena_printf(
                                               &lab,
                                               "{'type': 'Property', 'value': %d, 'createdAt': "
                                               "'2023-11-14T22:13:%02dZ'}",
                                               i, 20 + i),
                                           .now = T0 + (50 + i) * SECOND,
                                           .seq = i + 1});
    struct history_cut cut;
    struct history_query q = {.property = TIME_CREATED};
    assert_string_equal(read_back(*state, 1, q, NULL), "t@0=0 t@1=1 t@2=2 t@3=3");
    q.relation = TIME_AFTER;
    q.from = T0 + SECOND;
    q.last_n = 2;
    assert_string_equal(read_back(*state, 1, q, &cut), "t@2=2 t@3=3");
    assert_false(cut.cut);
    q.last_n = 0;
    q.max = 2;
    assert_string_equal(read_back(*state, 1, q, &cut), "t@1=1 t@2=2");
    assert_true(cut.cut);
}

static void all_attributes_are_cut_at_one_time(void **state)
{
    struct history_cut cut;
    write_one(*state, (struct writing){.eid = 1, .attr = "urn:a/many", .points = 10});
    for (int i = 0; i < 3; i++)
        write_one(*state, (struct writing){.eid = 1,
                                           .attr = "urn:a/few",
                                           .instance = number_at("7", T0 + 3 * i * SECOND),
                                           .now = T0,
                                           .seq = 100 + i});
    struct history_query q = {.max = 4};
    assert_string_equal(read_back(*state, 1, q, &cut),
                        "few@0=7 few@3=7 many@0=0 many@1=1 many@2=2 many@3=3");
    assert_true(cut.cut);
    assert_int_equal(cut.from, T0);
    assert_int_equal(cut.to, T0 + 3 * SECOND);
    q.relation = TIME_AFTER;
    q.from = cut.to + 1;
    assert_string_equal(read_back(*state, 1, q, &cut),
                        "few@6=7 many@4=4 many@5=5 many@6=6 many@7=7");
    q.from = cut.to + 1;
    assert_string_equal(read_back(*state, 1, q, &cut), "many@8=8 many@9=9");
    assert_false(cut.cut);
    q = (struct history_query){.last_n = 3, .max = 2};
    assert_string_equal(read_back(*state, 1, q, &cut), "many@8=8 many@9=9");
    assert_true(cut.cut);
    assert_int_equal(cut.since, T0 + 7 * SECOND + 1); /* all of few is older */
    q.tell_beyond = true;
    assert_string_equal(read_back(*state, 1, q, &cut), "few@0=7 many@8=8 many@9=9");
    q = (struct history_query){.last_n = 3, .max = 100};
    assert_string_equal(read_back(*state, 1, q, &cut),
                        "few@0=7 few@3=7 few@6=7 many@7=7 many@8=8 many@9=9");
    assert_false(cut.cut);
}

static void many_rows_of_one_instant(void **state)
{
    struct history_cut cut;
    for (int i = 0; i < 5; i++)
        write_one(*state, (struct writing){.eid = 1,
                                           .attr = "urn:a/t",
                                           .instance = number_at("1", T0),
                                           .now = T0,
                                           .seq = i + 1});
    assert_string_equal(read_back(*state, 1, (struct history_query){.max = 2}, &cut),
                        "t@0=1 t@0=1");
    assert_true(cut.cut);
}

static bool one_row(void *ctx, const struct history_row *row)
{
    (void)row;
    ++*(int *)ctx;
    return false;
}

static void a_reader_may_stop(void **state)
{
    struct error e = {0};
    struct history_cut cut;
    int rows = 0;
    write_one(*state, (struct writing){.eid = 1, .attr = "urn:a/t", .points = 3});
    write_one(*state, (struct writing){.eid = 1, .attr = "urn:a/u", .points = 3});
    struct store_conn *c = store_read(((struct fixture *)*state)->store, &e);
    assert_int_equal(history_read(c, 1, &(struct history_query){0}, one_row, &rows, &cut, &e), OK);
    store_read_done(c);
    assert_int_equal(rows, 1);
}

/* --- aggregates --- */

struct buckets {
    struct history_bucket v[64];
    size_t n;
};

static bool note_bucket(void *ctx, const struct history_bucket *b)
{
    struct buckets *out = ctx;
    assert_true(out->n < 64);
    out->v[out->n] = *b;
    out->v[out->n].min_text = b->min_text.p ? str_dup(&lab, b->min_text) : STR_NONE;
    out->v[out->n++].max_text = b->max_text.p ? str_dup(&lab, b->max_text) : STR_NONE;
    return true;
}

static enum err aggregate(void *state, struct history_query q, const char *period,
                          struct buckets *out)
{
    struct error e = {0};
    struct duration d;
    assert_true(duration_parse(str_c(period), &d));
    *out = (struct buckets){0};
    struct store_conn *c = store_read(((struct fixture *)state)->store, &e);
    assert_non_null(c);
    enum err rc = history_aggregate(c, 1, &q, &d, note_bucket, out, &e);
    store_read_done(c);
    return rc;
}

static double value_of(const struct history_bucket *b, enum history_method m)
{
    double v = NAN;
    assert_true(history_value(b, m, &v));
    return v;
}

static void five_minutes_of_ten_thousand_points(void **state)
{
    struct buckets b;
    struct timespec from, to;
    write_one(*state, (struct writing){.eid = 1, .attr = "urn:a/t", .points = 10000});
    clock_gettime(CLOCK_MONOTONIC, &from);
    assert_int_equal(aggregate(*state, (struct history_query){0}, "PT5M", &b), OK);
    clock_gettime(CLOCK_MONOTONIC, &to);
    print_message("# 10,000 points in %.1f ms\n", (double)(to.tv_sec - from.tv_sec) * 1e3 +
                                                      (double)(to.tv_nsec - from.tv_nsec) / 1e6);
    assert_int_equal(b.n, 34);
    for (size_t i = 0; i < 33; i++) { /* values run 0..599 over and over */
        double low = i % 2 ? 300 : 0;
        assert_int_equal(b.v[i].from, T0 + (int64_t)i * 5 * MINUTE);
        assert_int_equal(b.v[i].to, T0 + (int64_t)(i + 1) * 5 * MINUTE);
        assert_true(value_of(&b.v[i], AGGR_TOTAL_COUNT) == 300);
        assert_true(value_of(&b.v[i], AGGR_DISTINCT_COUNT) == 300);
        assert_true(value_of(&b.v[i], AGGR_MIN) == low);
        assert_true(value_of(&b.v[i], AGGR_MAX) == low + 299);
        assert_true(value_of(&b.v[i], AGGR_SUM) == 300 * low + 299 * 150);
        assert_true(fabs(value_of(&b.v[i], AGGR_AVG) - (low + 149.5)) < 1e-9);
        assert_true(fabs(value_of(&b.v[i], AGGR_STDDEV) - sqrt((300.0 * 300 - 1) / 12)) < 1e-9);
    }
    assert_int_equal(b.v[33].count, 100);
}

static void a_range_as_one(void **state)
{
    struct buckets b;
    write_one(*state, (struct writing){.eid = 1, .attr = "urn:a/t", .points = 100});
    assert_int_equal(aggregate(*state, (struct history_query){0}, "PT0S", &b), OK);
    assert_int_equal(b.n, 1);
    assert_int_equal(b.v[0].from, T0);
    assert_int_equal(b.v[0].to, T0 + 99 * SECOND);
    assert_true(value_of(&b.v[0], AGGR_SUMSQ) == 328350);
    struct history_query q = {.relation = TIME_BETWEEN,
                              .from = T0 - MINUTE,
                              .to = T0 + 50 * SECOND};
    assert_int_equal(aggregate(*state, q, "PT0S", &b), OK);
    assert_int_equal(b.v[0].from, T0 - MINUTE);
    assert_int_equal(b.v[0].to, T0 + 50 * SECOND);
    assert_int_equal(b.v[0].count, 50);
    q.last_n = 10;
    assert_int_equal(aggregate(*state, q, "PT0S", &b), OK);
    assert_int_equal(b.v[0].count, 10);
    assert_true(b.v[0].min == 40 && b.v[0].max == 49);
    q.property = TIME_CREATED;
    assert_int_equal(aggregate(*state, q, "PT0S", &b), ERR_UNPROCESSABLE);
    assert_int_equal(aggregate(*state,
                               (struct history_query){.relation = TIME_AFTER, .from = T0 * 2},
                               "PT1S", &b),
                     OK);
    assert_int_equal(b.n, 0);
}

/* T0 is 2023-11-14T22:13:20Z. */
static void months_follow_the_calendar(void **state)
{
    static const char *const days[] = {"2024-01-31T12:00:00Z", "2024-02-28T12:00:00Z",
                                       "2024-02-29T12:00:00Z", "2024-03-30T23:59:59Z",
                                       "2024-03-31T00:00:00Z", "2031-01-31T00:00:00Z"};
    struct buckets b;
    struct history_query q = {.relation = TIME_AFTER};
    assert_true(datetime_parse(S("2024-01-31T00:00:00Z"), &q.from));
    for (int i = 0; i < 6; i++)
        write_one(*state,
                  (struct writing){.eid = 1,
                                   .attr = "urn:a/t",
                                   .instance = arena_printf(&lab,
                                                            "{'type': 'Property', 'value': 1, "
                                                            "'observedAt': '%s'}",
                                                            days[i]),
                                   .now = T0,
                                   .seq = i + 1});
    assert_int_equal(aggregate(*state, q, "P1M", &b), OK);
    assert_int_equal(b.n, 4); /* 31 Jan.., 29 Feb.., 31 Mar.., 31 Jan 2031.. */
    assert_int_equal(b.v[0].count, 2);
    assert_int_equal(b.v[1].count, 2);
    assert_int_equal(b.v[2].count, 1);
    assert_int_equal(b.v[3].count, 1);
    char at[DATETIME_MAX];
    datetime_format(b.v[1].from, at);
    assert_string_equal(at, "2024-02-29T00:00:00.000Z");
    datetime_format(b.v[3].from, at);
    assert_string_equal(at, "2031-01-31T00:00:00.000Z");
    assert_int_equal(aggregate(*state, q, "P10000Y", &b), OK);
    assert_int_equal(b.n, 1);
    assert_int_equal(b.v[0].count, 6);
}

static void values_that_are_no_numbers(void **state)
{
    static const struct {
        const char *attr, *value;
    } rows[] = {
        {"urn:a/bool", "true"},
        {"urn:a/bool", "false"},
        {"urn:a/bool", "true"},
        {"urn:a/list", "[1, 2]"},
        {"urn:a/list", "[]"},
        {"urn:a/text", "'b'"},
        {"urn:a/text", "'a'"},
        {"urn:a/text", "'b'"},
        {"urn:a/time", "'2024-01-01T09:00:00+09:00'"},
        {"urn:a/time", "'2024-01-01T01:00:00Z'"},
        {"urn:a/tree", "{'k': 1}"},
        {"urn:a/tree", "{'k': 2}"},
    };
    struct buckets b;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        write_one(*state, (struct writing){.eid = 1,
                                           .attr = rows[i].attr,
                                           .instance = number_at(rows[i].value, T0 + (int64_t)i),
                                           .now = T0,
                                           .seq = (int64_t)i + 1});
    write_one(*state, (struct writing){.eid = 1,
                                       .attr = "urn:a/x",
                                       .instance = "{'type': 'Relationship', 'object': 'urn:o'}",
                                       .now = T0,
                                       .seq = 50});
    write_one(*state, (struct writing){.eid = 1, .attr = "urn:a/x", .now = T0 + 1, .seq = 51});
    assert_int_equal(aggregate(*state, (struct history_query){0}, "P1D", &b), OK);
    assert_int_equal(b.n, 6);
    double none;
    assert_true(value_of(&b.v[0], AGGR_SUM) == 2 && value_of(&b.v[0], AGGR_MIN) == 0);
    assert_true(value_of(&b.v[0], AGGR_DISTINCT_COUNT) == 2);
    assert_true(value_of(&b.v[1], AGGR_AVG) == 1 && value_of(&b.v[1], AGGR_MAX) == 2);
    assert_false(history_value(&b.v[2], AGGR_AVG, &none));
    assert_true(str_eq(b.v[2].min_text, S("a")) && str_eq(b.v[2].max_text, S("b")));
    assert_true(b.v[2].count == 3 && b.v[2].distinct == 2);
    assert_true(str_eq(b.v[3].min_text, S("2024-01-01T09:00:00+09:00")));
    assert_true(b.v[4].distinct == 2 && !b.v[4].numeric && !b.v[4].min_text.p);
    assert_true(b.v[5].count == 1 && b.v[5].distinct == 1 && !b.v[5].min_text.p);
}

static void deviation_of_large_numbers(void **state)
{
    struct buckets b;
    static const char *const values[] = {"1000000000.5", "1000000001.5", "1000000002.5"};
    for (int i = 0; i < 3; i++)
        write_one(*state, (struct writing){.eid = 1,
                                           .attr = "urn:a/t",
                                           .instance = number_at(values[i], T0 + i),
                                           .now = T0,
                                           .seq = i + 1});
    assert_int_equal(aggregate(*state, (struct history_query){0}, "PT0S", &b), OK);
    assert_true(fabs(value_of(&b.v[0], AGGR_STDDEV) - sqrt(2.0 / 3)) < 1e-9);
}

/* --- deleting, adding --- */

static void deleting(void **state)
{
    for (int i = 0; i < 3; i++)
        for (int d = 0; d < 2; d++)
            write_one(*state, (struct writing){.eid = 1,
                                               .attr = "urn:a/t",
                                               .dataset = d ? "urn:d" : NULL,
                                               .instance = number_at("1", T0 + i * SECOND),
                                               .now = T0,
                                               .seq = i + 1});
    write_one(*state, (struct writing){.eid = 1, .attr = "urn:a/t", .drop = true, .seq = 2});
    assert_string_equal(read_back(*state, 1, (struct history_query){0}, NULL),
                        "t@0=1 t@2=1 t/urn:d@0=1 t/urn:d@1=1 t/urn:d@2=1");
    write_one(*state,
              (struct writing){.eid = 1, .attr = "urn:a/t", .dataset = "urn:d", .drop = true});
    assert_string_equal(read_back(*state, 1, (struct history_query){0}, NULL), "t@0=1 t@2=1");
    assert_int_equal(try_write(*state, (struct writing){.eid = 1, .attr = "urn:a/u", .drop = true}),
                     ERR_NOT_FOUND);
    write_one(*state, (struct writing){.eid = 1, .attr = "urn:a/u", .points = 2});
    write_one(*state,
              (struct writing){.eid = 1, .attr = "urn:a/t", .drop = true, .all_datasets = true});
    assert_string_equal(read_back(*state, 1, (struct history_query){0}, NULL), "u@0=0 u@1=1");
    write_one(*state, (struct writing){.eid = 1, .drop = true});
    assert_string_equal(read_back(*state, 1, (struct history_query){0}, NULL), "");
    assert_int_equal(try_write(*state, (struct writing){.eid = 1, .drop = true}), ERR_NOT_FOUND);
}

static void adding(void **state)
{
    for (int i = 0; i < 2; i++)
        write_one(*state, (struct writing){.eid = 1,
                                           .attr = "urn:a/t",
                                           .instance = number_at(i ? "2" : "1", T0),
                                           .now = T0 + 5 * SECOND,
                                           .seq = 9,
                                           .add = true});
    write_one(*state, (struct writing){.eid = 1,
                                       .attr = "urn:a/t",
                                       .instance = "{'type': 'Property', 'value': 3, 'datasetId': "
                                                   "'urn:d'}",
                                       .now = T0 + 5 * SECOND,
                                       .seq = 9,
                                       .add = true});
    assert_string_equal(read_back(*state, 1, (struct history_query){0}, NULL), "t@0=2 t/urn:d@5=3");
}

struct naming {
    const char *types;
    bool create;
    int64_t eid;
};

static enum err name_entity(struct store_conn *c, void *ctx, struct error *e)
{
    struct naming *n = ctx;
    return history_eid(c, &lab, 1, S("urn:ngsi-ld:Car:1"), n->types ? lab_json(n->types) : NULL,
                       n->create, T0, &n->eid, e);
}

static void entities_known_by_history_alone(void **state)
{
    struct fixture *l = *state;
    struct error e = {0};
    struct naming n = {.create = false};
    assert_int_equal(store_write(l->store, name_entity, &n, &e), ERR_NOT_FOUND);
    n = (struct naming){"['D:Car']", true, 0};
    assert_int_equal(store_write(l->store, name_entity, &n, &e), OK);
    assert_true(n.eid > 0);
    struct naming again = {"['D:Car', 'D:Taxi']", true, 0};
    assert_int_equal(store_write(l->store, name_entity, &again, &e), OK);
    assert_int_equal(again.eid, n.eid);
    struct naming found = {.create = false};
    assert_int_equal(store_write(l->store, name_entity, &found, &e), OK);
    assert_int_equal(found.eid, n.eid);
    struct store_conn *c = store_read(l->store, &e);
    const struct json *types;
    struct entity_row row;
    assert_int_equal(history_types(c, &lab, n.eid, &types, &e), OK);
    assert_true(json_is(types, JSON_ARRAY) && types->n == 2);
    assert_int_equal(history_types(c, &lab, n.eid + 1, &types, &e), OK);
    assert_null(types);
    assert_int_equal(repo_get(c, &lab, 1, S("urn:ngsi-ld:Car:1"), &row, &e), ERR_NOT_FOUND);
    store_read_done(c);
    assert_string_equal(read_back(*state, n.eid, (struct history_query){0}, NULL), "");
}

/* --- through the repository --- */

struct step {
    enum entity_op op;
    const char *input; /* with ' for "; NULL: delete the entity */
    int64_t now;
    int64_t eid;
};

static enum err take_step(struct store_conn *c, void *ctx, struct error *e)
{
    static const struct repo_options options = {.history = true};
    struct step *s = ctx;
    struct entity_row row;
    struct entity_delta delta = {0};
    struct repo_put p = {.arena = &lab,
                         .options = &options,
                         .tenant = 1,
                         .now = s->now,
                         .id = S("urn:x:1"),
                         .row = &row,
                         .delta = &delta};
    enum err rc = repo_get(c, &lab, 1, p.id, &row, e);
    if (rc && rc != ERR_NOT_FOUND)
        return rc;
    if (!rc)
        p.before = json_parse(&lab, row.doc, &JSON_DEFAULT, NULL);
    if (s->input) {
        const struct json *in =
            entity_expand(&lab, lab_json(s->input), p.before ? ENTITY_FRAGMENT : ENTITY_WHOLE,
                          false, ld_core(), e);
        rc = in ? entity_apply(&lab, s->op, p.before, in, s->now, &delta, e) : ERR_INVALID;
    } else {
        entity_delete(&lab, p.before, &delta);
        rc = OK;
    }
    if (!rc)
        rc = repo_put(c, &p, NULL, e);
    return rc ? rc
              : store_get_int(c, &s->eid, "SELECT eid FROM entity WHERE id = 'urn:x:1'", SV_EMPTY,
                              e);
}

static void changes_of_an_entity(void **state)
{
    struct fixture *f = *state;
    struct step steps[] = {
        {ENTITY_CREATE,
         "{'id': 'urn:x:1', 'type': 'T', 'a': {'type': 'Property', 'value': 1, 'observedAt': "
         "'2023-11-14T22:13:20Z'}, 'b': {'type': 'Property', 'value': 'x'}}",
         T0 + 1 * SECOND, 0},
        {ENTITY_UPDATE,
         "{'a': {'type': 'Property', 'value': 2, 'observedAt': '2023-11-14T22:13:22Z'}}",
         T0 + 5 * SECOND, 0},
        {ENTITY_APPEND, "{'c': {'type': 'Property', 'value': 3, 'datasetId': 'urn:d'}}",
         T0 + 6 * SECOND, 0},
        {ENTITY_MERGE_PATCH, NULL, T0 + 9 * SECOND, 0},
        {ENTITY_CREATE, "{'id': 'urn:x:1', 'type': 'T', 'a': {'type': 'Property', 'value': 4}}",
         T0 + 20 * SECOND, 0},
    };
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        struct error e = {0};
        if (store_write(f->store, take_step, &steps[i], &e))
            fail_msg("step %zu: %s", i, e.text);
    }
    assert_string_equal(read_back(*state, steps[4].eid, (struct history_query){0}, NULL),
                        "a@0=1 a@2=2 a@9=gone a@20=4 b@1 b@9=gone c/urn:d@6=3 c/urn:d@9=gone");
}

/* --- the two tables, see history.c --- */

static int64_t count_rows(void *state, const char *sql)
{
    struct error e = {0};
    int64_t n = -1;
    struct store_conn *c = store_read(((struct fixture *)state)->store, &e);
    assert_non_null(c);
    assert_int_equal(store_get_int(c, &n, sql, SV_EMPTY, &e), OK);
    store_read_done(c);
    return n;
}

struct order {
    int64_t n, last, disorder;
};

static bool check_order(void *ctx, const struct history_row *row)
{
    struct order *o = ctx;
    o->disorder += row->at <= o->last;
    o->last = row->at;
    o->n++;
    return true;
}

static struct order order_of(void *state, struct history_query q)
{
    struct error e = {0};
    struct history_cut cut;
    struct order o = {0, INT64_MIN, 0};
    struct store_conn *c = store_read(((struct fixture *)state)->store, &e);
    assert_non_null(c);
    assert_int_equal(history_read(c, 1, &q, check_order, &o, &cut, &e), OK);
    store_read_done(c);
    return o;
}

static void recent_rows_settle(void **state)
{
    enum { POINTS = 5000 };
    write_one(*state, (struct writing){.eid = 1, .attr = "x/a", .points = POINTS});
    int64_t recent = count_rows(*state, "SELECT count(*) FROM hist_recent");
    if (!strcmp(store_engine(((struct fixture *)*state)->store), "sqlite"))
        assert_in_range(recent, 1, POINTS - 4000);
    else
        assert_int_equal(recent, 0); /* there all go to hist */
    assert_int_equal(count_rows(*state, "SELECT count(*) FROM hist"), POINTS - recent);
    struct order all = order_of(*state, (struct history_query){0});
    assert_int_equal(all.n, POINTS);
    assert_int_equal(all.disorder, 0);

    /* the newest rows and a range lie in both tables */
    assert_int_equal(order_of(*state, (struct history_query){.last_n = 2000}).n, 2000);
    int64_t border = T0 + (POINTS - (recent ? recent : 1000)) * SECOND;
    struct order across = order_of(*state, (struct history_query){.relation = TIME_BETWEEN,
                                                                  .from = border - 10 * SECOND,
                                                                  .to = border + 10 * SECOND});
    assert_int_equal(across.n, 20);
    assert_int_equal(across.disorder, 0);

    /* one of each is deleted; then nothing is recent any more */
    write_one(*state, (struct writing){
                          .eid = 1, .attr = "x/a", .seq = 5, .all_datasets = true, .drop = true});
    assert_int_equal(count_rows(*state, "SELECT count(*) FROM hist_recent"), 0);
    write_one(*state,
              (struct writing){
                  .eid = 1, .attr = "x/a", .seq = POINTS - 1, .all_datasets = true, .drop = true});
    all = order_of(*state, (struct history_query){0});
    assert_int_equal(all.n, POINTS - 2);
    assert_int_equal(all.disorder, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_store, close_store)
    const struct CMUnitTest tests[] = {
        TEST(late_data_falls_into_its_place),
        TEST(time_relations),
        TEST(instances_and_filters),
        TEST(by_creation),
        TEST(all_attributes_are_cut_at_one_time),
        TEST(many_rows_of_one_instant),
        TEST(a_reader_may_stop),
        TEST(five_minutes_of_ten_thousand_points),
        TEST(a_range_as_one),
        TEST(months_follow_the_calendar),
        TEST(values_that_are_no_numbers),
        TEST(deviation_of_large_numbers),
        TEST(deleting),
        TEST(adding),
        TEST(entities_known_by_history_alone),
        TEST(changes_of_an_entity),
        TEST(recent_rows_settle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
