/*
 * Subscriptions of NGSIv2 in the outbox: gaps, throttling, requests that tell one entity each,
 * texts that several share.
 */
#include "outbox_lab.h"
#include "v2_notify.h"

static enum err insert(struct store_conn *c, void *ctx, struct error *e)
{
    struct lab_row *r = ctx;
    int64_t oldest;
    if (journal_range(c, r->tenant, &oldest, &r->cursor, e))
        return e->code;
    return store_get_int(
        c, &r->sid,
        "INSERT INTO subscription(tenant, id, doc, context, state, cursor, pending, created,"
        " modified, service_path) VALUES ($1, $2, $3, 'null', '{}', $4, 1, 0, 0, '/#') RETURNING "
        "sid",
        SV(SV_INT(r->tenant), SV_TEXT(json_text(json_get(r->doc, S("id")))),
           SV_TEXT(json_to_text(&r->lab->arena, r->doc)), SV_INT(r->cursor)),
        e);
}

/* A subscription to all sensors at http://r/, with more members of notification and the top. */
static struct sub *sensors(struct lab *l, const char *id, const char *notification,
                           const char *more)
{
    struct error e = {0};
    char text[1000];
    snprintf(text, sizeof(text),
             "{'id':'%s','subject':{'entities':[{'idPattern':'.*','type':'Sensor'}]},"
             "'notification':{'http':{'url':'http://r/'}%s}%s}",
             id, notification, more);
    struct lab_row r = {l, lab_json(l, text), 1, 0, 0};
    if (v2_sub_check(&l->arena, r.doc, &e) || store_write(l->store, insert, &r, &e))
        fail_msg("%s", e.text);
    struct sub_slab *slab = sub_slab_new();
    struct sub_source src = {.tenant = 1,
                             .tenant_name = S(""),
                             .id = json_text(json_get(r.doc, S("id"))),
                             .doc = r.doc,
                             .ctx = ld_core(),
                             .public_url = S("http://city"),
                             .face = &v2_sub_face,
                             .service_path = S("/#")};
    struct sub_spec *spec = sub_spec_new(slab, &src, &e);
    sub_slab_unref(slab);
    if (!spec)
        fail_msg("%s", e.text);
    struct sub_new n = {.spec = spec, .sid = r.sid, .read = r.cursor};
    pthread_mutex_lock(&l->hub->lock);
    struct sub *s = sub_enter(l->hub, &n);
    pthread_mutex_unlock(&l->hub->lock);
    return s;
}

static const struct json *data_of(struct lab *l, size_t i)
{
    return json_get(lab_body(l, i), S("data"));
}

static enum err trim(struct store_conn *c, void *ctx, struct error *e)
{
    return journal_trim(c, 1, *(int64_t *)ctx, e);
}

static void a_gap_is_filled_with_everything(void **state)
{
    struct lab *l = *state;
    struct error e;
    int64_t upto = 8;
    int last[3] = {0};
    l->link.options.notify_window = 2;
    struct sub *s = sensors(l, "000000000000000000000001", "", "");
    for (int i = 1; i <= 10; i++)
        lab_set(l, i % 2 ? "1" : "2", i);
    lab_run(l);
    assert_int_equal(store_write(l->store, trim, &upto, &e), OK);
    for (size_t at = 0; at < l->n; at++) {
        const struct json *data = data_of(l, at);
        assert_int_equal(data->n, 1);
        int k = json_text(json_get(&data->items[0], S("id"))).p[6] - '0';
        assert_true(lab_value_of(&data->items[0]) >= last[k]);
        last[k] = lab_value_of(&data->items[0]);
        lab_answer(l, at, 200);
        lab_run(l);
    }
    assert_int_equal(last[1], 9);
    assert_int_equal(last[2], 10);
    assert_int_equal(s->count.gaps, 1);
    assert_int_equal(s->state, ST_LIVE);
}

static void throttling_joins_what_has_a_list_to_be_in(void **state)
{
    struct lab *l = *state;
    sensors(l, "000000000000000000000001", "", ",'throttling':1");
    sensors(l, "000000000000000000000002", ",'attrsFormat':'simplifiedKeyValues'",
            ",'throttling':1");
    lab_set(l, "1", 1);
    lab_run(l);
    assert_int_equal(l->n, 2);
    lab_answer(l, 0, 200);
    lab_answer(l, 1, 200);
    lab_set(l, "1", 2);
    lab_set(l, "2", 3);
    lab_set(l, "1", 4);
    lab_run(l); /* within the pause */
    lab_wait(l, 2 * SECOND_US);
    assert_int_equal(l->n, 4);
    size_t joined = data_of(l, 2) ? 2 : 3, alone = 5 - joined;
    assert_int_equal(data_of(l, joined)->n, 2);
    assert_int_equal(lab_value_of(&data_of(l, joined)->items[1]), 4);
    assert_non_null(json_get(lab_body(l, alone), S("id")));
    lab_answer(l, alone, 200);
    lab_wait(l, 2 * SECOND_US);
    assert_int_equal(l->n, 5);
    assert_non_null(json_get(lab_body(l, 4), S("id")));
}

static void the_same_notice_is_rendered_once(void **state)
{
    struct lab *l = *state;
    struct sub *a = sensors(l, "000000000000000000000001", ",'attrs':['t']", "");
    struct sub *b = sensors(l, "000000000000000000000002", ",'attrs':['t']", ",'throttling':1");
    struct sub *c = sensors(l, "000000000000000000000003", ",'attrs':['u']", "");
    assert_ptr_equal(a->spec->group, b->spec->group);
    assert_ptr_not_equal(a->spec->group, c->spec->group);
    lab_set(l, "1", 1);
    lab_run(l);
    assert_int_equal(l->n, 3);
    bool seen[4] = {false};
    for (size_t i = 0; i < 3; i++) {
        struct str id = json_text(json_get(lab_body(l, i), S("subscriptionId")));
        seen[id.p[id.n - 1] - '0'] = true;
    }
    assert_true(seen[1] && seen[2] && seen[3]);
}

static void a_oneshot_stays_off_after_a_restart(void **state)
{
    struct lab *l = *state;
    struct sub *s = sensors(l, "000000000000000000000001", "", ",'status':'oneshot'");
    lab_set(l, "1", 1);
    lab_set(l, "1", 2);
    lab_run(l);
    assert_int_equal(l->n, 1);
    lab_answer(l, 0, 200);
    lab_run(l);
    assert_int_equal(s->state, ST_PAUSED);
    sub_step(l->hub, true);
    sub_hub_unref(l->hub);
    l->hub = lab_hub(l);
    assert_int_equal(l->hub->all.n, 1);
    assert_int_equal(l->hub->all.v[0]->state, ST_PAUSED);
    lab_set(l, "1", 3);
    lab_run(l);
    assert_int_equal(l->n, 1);
}

#define IN_LAB(fn) cmocka_unit_test_setup_teardown(fn, lab_open, lab_close)
int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LAB(a_gap_is_filled_with_everything),
        IN_LAB(throttling_joins_what_has_a_list_to_be_in),
        IN_LAB(the_same_notice_is_rendered_once),
        IN_LAB(a_oneshot_stays_off_after_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
