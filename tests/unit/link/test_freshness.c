/* Sources that keep their promise, that go stale, that come back; alerts about them. */
#include "link/freshness.h"
#include "outbox_lab.h"

#define SOURCE                                                                                     \
    "{'id':'urn:src:1','type':'DataSource','name':'river department','updateInterval':'PT10M',"    \
    "'covers':{'type':'Property','value':{'type':'Sensor'}}}"

struct kept {
    struct source_status st;
    size_t n;
};

static bool keep(void *ctx, const struct source_status *s)
{
    struct kept *k = ctx;
    k->st = *s;
    k->n++;
    return true;
}

static struct source_status status(struct freshness *f)
{
    struct kept k = {0};
    freshness_round(f);
    freshness_each(f, 1, keep, &k);
    assert_int_equal(k.n, 1);
    return k.st;
}

/* The entities of a type, in the arena. */
struct found {
    struct lab *lab;
    const struct json *v[10];
    size_t n;
};

static bool take(void *ctx, const struct entity_row *row, const struct json *stored)
{
    struct found *f = ctx;
    (void)stored;
    assert_true(f->n < 10);
    f->v[f->n++] =
        json_parse(&f->lab->arena, str_dup(&f->lab->arena, row->doc), &JSON_DEFAULT, NULL);
    return true;
}

static struct found entities(struct lab *l, const char *type)
{
    struct found f = {.lab = l};
    struct error e;
    struct repo_result r;
    struct entity_query q = {
        .types = query_parse_types(&l->arena, str_c(type), ld_core(), &QUERY_DEFAULT, &e)};
    struct repo_query rq = {.query = &q, .tenant = 1, .limit = 10, .clock = &l->clock.base};
    struct store_conn *c = store_read(l->store, &e);
    assert_int_equal(repo_query(c, &rq, take, &f, &r, &e), OK);
    store_read_done(c);
    return f;
}

static const struct json *value(const struct json *doc, const char *name)
{
    struct arena a = ARENA_INIT;
    const struct json *v =
        instance_value(instance_default(entity_attr(doc, ld_expand(ld_core(), &a, str_c(name)))));
    arena_release(&a);
    return v;
}

static void goes_stale_and_comes_back(void **state)
{
    struct lab *l = *state;
    struct freshness *f = freshness_open(&l->link);
    lab_write(l, OP_CREATE, "urn:src:1", SOURCE);
    assert_int_equal(status(f).state, FRESH_SILENT);
    lab_set(l, "1", 1);
    struct source_status st = status(f);
    assert_int_equal(st.state, FRESH_OK);
    assert_true(str_eq(st.name, S("river department")));
    assert_int_equal(st.last_update, l->clock.at);
    clock_fake_move(&l->clock, 10 * MINUTE_US);
    assert_int_equal(status(f).state, FRESH_OK);
    clock_fake_move(&l->clock, 1);
    assert_int_equal(status(f).state, FRESH_STALE);
    struct found alerts = entities(l, "Alert");
    assert_int_equal(alerts.n, 1);
    assert_true(str_eq(json_text(value(alerts.v[0], "subCategory")), S("stale")));
    assert_true(str_eq(json_text(value(alerts.v[0], "source")), S("urn:src:1")));
    assert_null(value(alerts.v[0], "validTo"));
    assert_true(str_eq(json_text(value(entities(l, "DataSource").v[0], "status")), S("stale")));
    assert_int_equal(status(f).state, FRESH_STALE);
    assert_int_equal(entities(l, "Alert").n, 1); /* told once */
    lab_set(l, "1", 2);
    assert_int_equal(status(f).state, FRESH_OK);
    alerts = entities(l, "Alert");
    assert_int_equal(alerts.n, 1);
    assert_non_null(value(alerts.v[0], "validTo"));
    assert_true(str_eq(json_text(value(entities(l, "DataSource").v[0], "status")), S("fresh")));
    freshness_free(f);
}

static void a_silent_source_is_alarmed_when_its_interval_is_over(void **state)
{
    struct lab *l = *state;
    struct freshness *f = freshness_open(&l->link);
    lab_write(l, OP_CREATE, "urn:src:1", SOURCE);
    status(f);
    assert_int_equal(entities(l, "Alert").n, 0);
    clock_fake_move(&l->clock, 10 * MINUTE_US + 1);
    assert_int_equal(status(f).state, FRESH_SILENT);
    assert_int_equal(entities(l, "Alert").n, 1);
    freshness_free(f);
}

static void a_restart_knows_what_was_and_does_not_tell_it_again(void **state)
{
    struct lab *l = *state;
    struct freshness *f = freshness_open(&l->link);
    lab_set(l, "1", 1);
    int64_t at = l->clock.at;
    lab_write(l, OP_CREATE, "urn:src:1", SOURCE);
    clock_fake_move(&l->clock, 11 * MINUTE_US);
    assert_int_equal(status(f).state, FRESH_STALE);
    const struct json *before = entities(l, "Alert").v[0];
    freshness_free(f);
    f = freshness_open(&l->link);
    clock_fake_move(&l->clock, MINUTE_US);
    struct source_status st = status(f);
    assert_int_equal(st.last_update, at);
    assert_int_equal(st.stale_since, at + 10 * MINUTE_US);
    struct found alerts = entities(l, "Alert");
    assert_int_equal(alerts.n, 1);

    assert_true(json_equal(before, alerts.v[0], true));
    lab_set(l, "2", 1);
    status(f);
    assert_non_null(value(entities(l, "Alert").v[0], "validTo"));
    freshness_free(f);
}

static void covers_by_pattern_and_forgets_deleted_sources(void **state)
{
    struct lab *l = *state;
    struct kept k = {0};
    struct freshness *f = freshness_open(&l->link);
    lab_set(l, "b1", 1);
    clock_fake_move(&l->clock, SECOND_US);
    lab_write(l, OP_CREATE, "urn:src:1",
              "{'id':'urn:src:1','type':'DataSource','updateInterval':'PT1M','covers':"
              "{'type':'Property','value':{'type':'Sensor','idPattern':':a'}}}");
    assert_int_equal(status(f).last_update, 0);
    lab_set(l, "b1", 2);
    assert_int_equal(status(f).last_update, 0);
    lab_set(l, "a1", 2);
    assert_int_equal(status(f).last_update, l->clock.at);
    lab_write(l, OP_DELETE, "urn:src:1", NULL);
    freshness_round(f);
    freshness_each(f, 1, keep, &k);
    assert_int_equal(k.n, 0);
    freshness_free(f);
}

static void an_entity_is_stale_by_its_own_report(void **state)
{
    struct lab *l = *state;
    int64_t since;
    struct freshness *f = freshness_open(&l->link);
    lab_write(l, OP_CREATE, "urn:src:1", SOURCE);
    lab_set(l, "1", 1);
    lab_write(l, OP_CREATE, "urn:y", "{'id':'urn:y','type':'Other','p':1}");
    int64_t at = l->clock.at;
    clock_fake_move(&l->clock, 11 * MINUTE_US);
    lab_set(l, "2", 1);
    freshness_round(f);
    struct found sensors = entities(l, "Sensor");
    assert_int_equal(freshness_of(f, 1, sensors.v[0], &since), FRESH_STALE);
    assert_int_equal(since, at + 10 * MINUTE_US);
    assert_int_equal(freshness_of(f, 1, sensors.v[1], &since), FRESH_OK);
    assert_int_equal(freshness_of(f, 1, entities(l, "Other").v[0], &since), FRESH_UNKNOWN);
    freshness_free(f);
}

static void senseless_promises_are_no_sources(void **state)
{
    static const char *const bad[] = {
        "{'id':'urn:src:1','type':'DataSource'}",
        "{'id':'urn:src:1','type':'DataSource','updateInterval':'often','covers':"
        "{'type':'Property','value':{'type':'Sensor'}}}",
        "{'id':'urn:src:1','type':'DataSource','updateInterval':'PT0S','covers':"
        "{'type':'Property','value':{'type':'Sensor'}}}",
        "{'id':'urn:src:1','type':'DataSource','updateInterval':'PT1M','covers':'Sensor'}",
        "{'id':'urn:src:1','type':'DataSource','updateInterval':'PT1M','covers':"
        "{'type':'Property','value':{'type':'Sensor','idPattern':'('}}}",
    };
    struct lab *l = *state;
    struct freshness *f = freshness_open(&l->link);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct kept k = {0};
        lab_write(l, OP_UPSERT, "urn:src:1", bad[i]);
        freshness_round(f);
        freshness_each(f, 1, keep, &k);
        if (k.n)
            fail_msg("%s", bad[i]);
    }
    freshness_free(f);
}

#define IN_LAB(fn) cmocka_unit_test_setup_teardown(fn, lab_open, lab_close)
int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LAB(goes_stale_and_comes_back),
        IN_LAB(a_silent_source_is_alarmed_when_its_interval_is_over),
        IN_LAB(a_restart_knows_what_was_and_does_not_tell_it_again),
        IN_LAB(covers_by_pattern_and_forgets_deleted_sources),
        IN_LAB(an_entity_is_stale_by_its_own_report),
        IN_LAB(senseless_promises_are_no_sources),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
