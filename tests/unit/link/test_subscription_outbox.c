/*
 * The outbox: order, repetition, falling behind, coming back, crashes, throttling, periods, gaps.
 * Time and network are the test's.
 */
#include "outbox_lab.h"

static void tells_one_change_at_a_time_in_order(void **state)
{
    struct lab *l = *state;
    lab_sensors(l, "a", "r", "");
    for (int i = 1; i <= 3; i++)
        lab_set(l, "1", i);
    lab_run(l);
    assert_int_equal(l->n, 1);
    const struct json *body = lab_body(l, 0);
    assert_true(str_eq(json_text(json_get(body, S("type"))), S("Notification")));
    assert_true(str_eq(json_text(json_get(body, S("subscriptionId"))), S("urn:s:a")));
    assert_non_null(strstr(l->sent[0].headers, "Content-Type: application/json\n"));
    assert_non_null(strstr(l->sent[0].headers, "Link: <" LD_CORE_URL ">; rel="));
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(l->n, i);
        assert_int_equal(lab_value(l, (size_t)i - 1), i);
        lab_answer(l, (size_t)i - 1, 204);
    }
    lab_run(l);
    assert_int_equal(l->n, 3);
}

static void does_not_tell_what_came_before_it(void **state)
{
    struct lab *l = *state;
    lab_set(l, "1", 1);
    lab_sensors(l, "a", "r", "");
    lab_run(l);
    assert_int_equal(l->n, 0);
    lab_set(l, "1", 2);
    lab_run(l);
    assert_int_equal(lab_value(l, 0), 2);
}

static void repeats_a_failure_with_the_same_id_and_lets_nothing_overtake(void **state)
{
    static const int failures[] = {0, 404, 500, 302};
    struct lab *l = *state;
    lab_sensors(l, "a", "r", "");
    lab_set(l, "1", 1);
    lab_set(l, "1", 2);
    lab_run(l);
    for (size_t i = 0; i < 4; i++) {
        lab_answer(l, i, failures[i]);
        lab_run(l);
        assert_int_equal(l->n, i + 1);
        lab_wait(l, (SECOND_US << i) * 4 / 5 - 1); /* the shortest pause by chance */
        assert_int_equal(l->n, i + 1);
        lab_wait(l, 1);
        assert_int_equal(l->n, i + 2);
        assert_int_equal(lab_value(l, i + 1), 1);
        struct str first = json_text(json_get(lab_body(l, 0), S("id")));
        assert_true(str_eq(first, json_text(json_get(lab_body(l, i + 1), S("id")))));
    }
    lab_answer(l, 4, 200);
    lab_run(l);
    assert_int_equal(lab_value(l, 5), 2);
}

static void falls_behind_in_bounded_memory_and_catches_up(void **state)
{
    struct lab *l = *state;
    l->link.options.notify_window = 4;
    struct sub *s = lab_sensors(l, "a", "r", "");
    for (int i = 1; i <= 300; i++)
        lab_set(l, i % 3 ? "1" : "2", i);
    lab_run(l);
    assert_int_equal(s->state, ST_BEHIND);
    assert_int_equal(s->n, 4);
    for (int i = 1; i <= 300; i++) {
        assert_int_equal(l->n, i);
        assert_int_equal(lab_value(l, (size_t)i - 1), i);
        lab_answer(l, (size_t)i - 1, 200);
        lab_run(l);
    }
    assert_int_equal(l->n, 300);
    assert_int_equal(s->state, ST_LIVE);
    assert_int_equal(l->hub->queued_bytes, 0);
}

static void many_come_back_with_one_reading(void **state)
{
    enum { SUBS = 50, CHANGES = 40 };
    struct lab *l = *state;
    int seen[SUBS] = {0};
    char id[20];
    for (int i = 0; i < SUBS; i++) {
        snprintf(id, sizeof(id), "%d", i);
        lab_sensors(l, id, "r", "");
    }
    lab_set(l, "1", 1);
    lab_run(l);
    assert_int_equal(l->n, 32); /* an eighth of notify_parallel */
    for (size_t i = 0; i < l->n; i++)
        lab_answer(l, i, 0);
    for (int i = 2; i <= CHANGES; i++)
        lab_set(l, "1", i);
    size_t at = l->n;
    lab_wait(l, 100 * SECOND_US);
    for (; at < l->n; at++) {
        int k = atoi(json_text(json_get(lab_body(l, at), S("subscriptionId"))).p + 6);
        assert_int_equal(lab_value(l, at), ++seen[k]);
        lab_answer(l, at, 200);
        lab_run(l);
    }
    for (int i = 0; i < SUBS; i++)
        assert_int_equal(seen[i], CHANGES);
}

/* Enter a subscription as of an earlier row. */
static struct sub *enter_at(struct lab *l, const char *text, int64_t read)
{
    struct sub_new n = {.spec = lab_spec(lab_doc(l, text)), .sid = 1000 + read, .read = read};
    pthread_mutex_lock(&l->hub->lock);
    struct sub *s = sub_enter(l->hub, &n);
    pthread_mutex_unlock(&l->hub->lock);
    return s;
}

static void a_sweep_that_lost_its_last_rider_leaves_nobody_behind(void **state)
{
    static const char a[] = "{'id':'urn:s:a','type':'Subscription','entities':[{'type':'Sensor'}],"
                            "'notification':{'endpoint':{'uri':'http://a/'}}}";
    static const char b[] = "{'id':'urn:s:b','type':'Subscription','entities':[{'type':'Sensor'}],"
                            "'notification':{'endpoint':{'uri':'http://b/'}}}";
    struct lab *l = *state;
    int told = 50;
    l->link.options.notify_window = 1000;
    lab_subscribe(l, "{'id':'urn:s:z','type':'Subscription','entities':[{'type':'None'}],"
                     "'notification':{'endpoint':{'uri':'http://z/'}}}");
    for (int i = 1; i <= 300; i++)
        lab_set(l, "1", i);
    lab_run(l);
    struct sub *first = enter_at(l, a, 0);
    sub_step(l->hub, false);
    assert_true(first->sweeping);
    enter_at(l, b, 50);
    lab_answer(l, 0, 500);
    assert_int_equal(first->state, ST_RETRYING);
    lab_run(l);
    for (size_t i = 1; i < l->n; i++) {
        assert_int_equal(lab_value(l, i), ++told);
        lab_answer(l, i, 200);
        lab_run(l);
    }
    assert_int_equal(told, 300);
}

static void a_dead_host_holds_up_nobody_else(void **state)
{
    struct lab *l = *state;
    char id[20];
    l->link.options.notify_parallel = 16; /* 2 a host */
    for (int i = 0; i < 20; i++) {
        snprintf(id, sizeof(id), "dead%d", i);
        lab_sensors(l, id, "dead", "");
    }
    lab_sensors(l, "good", "good", "");
    lab_set(l, "1", 1);
    lab_run(l);
    assert_int_equal(l->n, 3);
    for (size_t i = 0; i < 3; i++)
        if (strstr(l->sent[i].url, "good"))
            lab_answer(l, i, 200);
    for (int v = 2; v < 50; v++) {
        size_t before = l->n;
        lab_set(l, "1", v);
        lab_run(l);
        assert_int_equal(l->n, before + 1);
        assert_non_null(strstr(l->sent[before].url, "good"));
        lab_answer(l, before, 200);
    }
}

/* What a second program finds on the disk of one that was killed. */
static void a_crash_repeats_but_loses_nothing(void **state)
{
    struct lab *l = *state;
    int told = 0;
    lab_sensors(l, "a", "r", "");
    lab_sensors(l, "b", "slow", "");
    for (int i = 1; i <= 10; i++)
        lab_set(l, "1", i);
    lab_run(l);
    for (size_t i = 0; i < l->n && told < 5; i++) {
        if (!strstr(l->sent[i].body, "urn:s:a"))
            continue;
        assert_int_equal(lab_value(l, i), ++told);
        lab_answer(l, i, 200);
        lab_run(l);
        if (told == 3)
            sub_step(l->hub, true); /* cursors are written here */
    }
    struct subscriptions *dead = l->hub;
    size_t from = l->n, next_a = 4, next_b = 1;
    l->hub = l->link.subscriptions = lab_hub(l);
    lab_set(l, "1", 11);
    lab_run(l);
    for (size_t i = from; i < l->n; i++) {
        size_t *next = strstr(l->sent[i].body, "urn:s:a") ? &next_a : &next_b;
        assert_int_equal(lab_value(l, i), (int)(*next)++);
        lab_answer(l, i, 200);
        lab_run(l);
    }
    assert_int_equal(next_a, 12);
    assert_int_equal(next_b, 12);
    subscriptions_free(dead);
}

static void a_clean_stop_repeats_nothing(void **state)
{
    struct lab *l = *state;
    lab_sensors(l, "a", "r", "");
    lab_set(l, "1", 1);
    lab_run(l);
    lab_answer(l, 0, 200);
    subscriptions_free(l->hub);
    l->hub = l->link.subscriptions = lab_hub(l);
    lab_run(l);
    assert_int_equal(l->n, 1);
    lab_set(l, "1", 2);
    lab_run(l);
    assert_int_equal(l->n, 2);
    assert_int_equal(lab_value(l, 1), 2);
    assert_int_equal(l->hub->all.v[0]->count.sent, 1);
}

static void throttling_tells_the_latest_state_of_each_entity(void **state)
{
    struct lab *l = *state;
    lab_sensors(l, "a", "r", ",'throttling':5");
    lab_set(l, "1", 1);
    lab_run(l);
    assert_int_equal(l->n, 1);
    lab_answer(l, 0, 200);
    for (int i = 2; i <= 6; i++)
        lab_set(l, i % 2 ? "1" : "2", i);
    lab_wait(l, 4 * SECOND_US);
    assert_int_equal(l->n, 1);
    lab_wait(l, SECOND_US);
    assert_int_equal(l->n, 2);
    const struct json *data = json_get(lab_body(l, 1), S("data"));
    assert_int_equal(data->n, 2);
    assert_int_equal(lab_value_of(&data->items[0]), 5);
    assert_int_equal(lab_value_of(&data->items[1]), 6);
    lab_answer(l, 1, 200);
    lab_wait(l, 10 * SECOND_US);
    assert_int_equal(l->n, 2);
}

static void cooldown_is_the_least_pause(void **state)
{
    struct lab *l = *state;
    lab_subscribe(l, "{'id':'urn:s:c','type':'Subscription','entities':[{'type':'Sensor'}],"
                     "'notification':{'endpoint':{'uri':'http://r/','cooldown':30000}}}");
    lab_set(l, "1", 1);
    lab_run(l);
    lab_answer(l, 0, 500);
    lab_wait(l, 29 * SECOND_US);
    assert_int_equal(l->n, 1);
    lab_wait(l, SECOND_US);
    assert_int_equal(l->n, 2);
}

static void a_period_tells_all_that_match(void **state)
{
    struct lab *l = *state;
    char id[20];
    for (int i = 0; i < 250; i++) {
        snprintf(id, sizeof(id), "%d", i);
        lab_set(l, id, i);
    }
    lab_sensors(l, "a", "r", ",'timeInterval':60,'q':'t>=10'");
    lab_set(l, "1", 11);
    lab_run(l);
    assert_int_equal(l->n, 0);
    for (int round = 0; round < 2; round++) {
        size_t at = l->n, entities = 0;
        lab_wait(l, 60 * SECOND_US);
        for (; at < l->n; at++) {
            entities += json_get(lab_body(l, at), S("data"))->n;
            clock_fake_move(&l->clock, 1000);
            lab_answer(l, at, 200);
            lab_run(l);
        }
        assert_int_equal(entities, 241);
    }
    assert_int_equal(l->n, 6);
    assert_string_not_equal(l->sent[0].body, l->sent[3].body);
}

static void paused_expired_and_deleted_ones_are_silent(void **state)
{
    struct lab *l = *state;
    struct sub *s = lab_sensors(l, "a", "r", "");
    lab_sensors(l, "b", "r", ",'expiresAt':'2026-09-21T14:13:30Z'");
    lab_run(l);
    lab_wait(l, 10 * SECOND_US);
    lab_set(l, "1", 1);
    lab_run(l);
    assert_int_equal(l->n, 1); /* b expired ten seconds after the start */
    lab_answer(l, 0, 200);
    const struct json *paused = lab_doc(
        l, "{'id':'urn:s:a','type':'Subscription','entities':[{'type':'Sensor'}],'isActive':false,"
           "'notification':{'endpoint':{'uri':'http://r/'}}}");
    const struct json *active =
        lab_doc(l, "{'id':'urn:s:a','type':'Subscription','entities':[{'type':'Sensor'}],"
                   "'notification':{'endpoint':{'uri':'http://r/'}}}");
    pthread_mutex_lock(&l->hub->lock);
    sub_change(l->hub, s, lab_spec(paused), 0);
    pthread_mutex_unlock(&l->hub->lock);
    assert_string_equal(sub_status(s), "paused");
    lab_set(l, "1", 2);
    lab_run(l);
    assert_int_equal(l->n, 1);
    pthread_mutex_lock(&l->hub->lock);
    sub_change(l->hub, s, lab_spec(active), 2);
    pthread_mutex_unlock(&l->hub->lock);
    lab_set(l, "1", 3);
    lab_run(l);
    assert_int_equal(lab_value(l, 1), 3);
    pthread_mutex_lock(&l->hub->lock);
    sub_delete(l->hub, s); /* while its request is on its way */
    pthread_mutex_unlock(&l->hub->lock);
    lab_answer(l, 1, 500);
    lab_set(l, "1", 4);
    lab_wait(l, 100 * SECOND_US);
    assert_int_equal(l->n, 2);
    assert_int_equal(l->hub->all.n, 1);
}

static enum err trim(struct store_conn *c, void *ctx, struct error *e)
{
    return journal_trim(c, 1, *(int64_t *)ctx, e);
}

static void a_gap_is_filled_with_everything_and_counted(void **state)
{
    struct lab *l = *state;
    struct error e;
    int64_t upto = 8;
    l->link.options.notify_window = 2;
    struct sub *s = lab_sensors(l, "a", "r", "");
    for (int i = 1; i <= 10; i++)
        lab_set(l, i % 2 ? "1" : "2", i);
    lab_run(l);
    assert_int_equal(store_write(l->store, trim, &upto, &e), OK);
    size_t at = 0;
    int last[3] = {0}; /* by entity */
    for (; at < l->n; at++) {
        const struct json *data = json_get(lab_body(l, at), S("data"));
        for (uint32_t i = 0; i < data->n; i++) {
            int k = json_text(json_get(&data->items[i], S("id"))).p[6] - '0';
            assert_true(lab_value_of(&data->items[i]) >= last[k]);
            last[k] = lab_value_of(&data->items[i]);
        }
        lab_answer(l, at, 200);
        lab_run(l);
    }
    assert_int_equal(last[1], 9);
    assert_int_equal(last[2], 10);
    assert_int_equal(s->count.gaps, 1);
    assert_int_equal(s->state, ST_LIVE);
}

/* --- who is concerned --- */

/* What one asks for, and by what simple rule it should hear of sensor ID of TYPE and its attribute.
 */
static const struct {
    const char *id, *entities, *more;
    int number; /* of the entity, from 0; -1: any */
    const char *type, *attr;
} wanted[] = {
    {"all", "{'type':'Sensor'}", "", -1, "Sensor", NULL},
    {"other", "{'type':'Other'}", "", -1, "Other", NULL},
    {"none", "{'type':'Nowhere'}", "", -1, "Nowhere", NULL},
    {"one", "{'type':'Sensor','id':'urn:x:1'}", "", 1, "Sensor", NULL},
    {"nobody", "{'type':'Sensor','id':'urn:x:77'}", "", 77, "Sensor", NULL},
    {"begins", "{'type':'Sensor','idPattern':'^urn:x:2.*'}", "", 2, "Sensor", NULL},
    {"whole", "{'type':'Sensor','idPattern':'^urn:x:3$'}", "", 3, "Sensor", NULL},
    {"foreign", "{'type':'Sensor','idPattern':'^urn:y:.*'}", "", 77, "Sensor", NULL},
    {"within", "{'type':'Sensor','idPattern':':2$'}", "", 2, "Sensor", NULL},
    {"either", "{'type':'Other','idPattern':'^urn:x:1|^urn:x:9'}", "", 1, "Other", NULL},
    {"watches", "{'type':'Sensor'}", ",'watchedAttributes':['t']", -1, "Sensor", "t"},
    {"unwatched", "{'type':'Sensor'}", ",'watchedAttributes':['w']", -1, "Sensor", "w"},
    {"both", "{'type':'Sensor','idPattern':'^urn:x:2'}", ",'watchedAttributes':['u']", 2, "Sensor",
     "u"},
};
enum { WANTED = sizeof(wanted) / sizeof(wanted[0]), NUMBERS = 4 };

static void change_one(struct lab *l, int number, const char *type, const char *attr, int v)
{
    char id[40], text[300];
    snprintf(id, sizeof(id), "urn:x:%d", number);
    snprintf(text, sizeof(text), "{'id':'%s','type':'%s','%s':{'type':'Property','value':%d}}", id,
             type, attr, v);
    lab_write(l, OP_UPSERT_UPDATE, id, text);
}

static int64_t tenant_pos(struct lab *l)
{
    return l->hub->tenants->pos;
}

static void only_those_concerned_are_told(void **state)
{
    static const char *const attrs[] = {"t", "u"};
    struct lab *l = *state;
    int due[WANTED] = {0}, told[WANTED] = {0};
    struct sub *subs[WANTED];
    for (int i = 0; i < NUMBERS; i++) /* an entity has one type: odd ones are sensors */
        for (int k = 0; k < 2; k++)
            change_one(l, i, i ? "Sensor" : "Other", attrs[k], 0);
    for (size_t i = 0; i < WANTED; i++) {
        char text[500];
        snprintf(text, sizeof(text),
                 "{'id':'urn:s:%s','type':'Subscription','entities':[%s],'notification':"
                 "{'endpoint':{'uri':'http://r%zu/'}}%s}",
                 wanted[i].id, wanted[i].entities, i, wanted[i].more);
        subs[i] = lab_subscribe(l, text);
    }
    lab_run(l);
    for (int round = 1; round <= 60; round++) {
        int number = round * 7 % NUMBERS, k = round / 3 % 2;
        const char *type = number ? "Sensor" : "Other";
        change_one(l, number, type, attrs[k], round);
        for (size_t i = 0; i < WANTED; i++)
            due[i] += (wanted[i].number < 0 || wanted[i].number == number) &&
                      !strcmp(wanted[i].type, type) &&
                      (!wanted[i].attr || !strcmp(wanted[i].attr, attrs[k]));
        if (round % 4 == 0) { /* some wait for the follower, some do not */
            lab_run(l);
            for (size_t i = 0; i < l->n; i++)
                if (!l->sent[i].answered)
                    lab_answer(l, i, 200);
        }
    }
    for (int i = 0; i < 200; i++) {
        lab_run(l);
        for (size_t k = 0; k < l->n; k++)
            if (!l->sent[k].answered)
                lab_answer(l, k, 200);
    }
    for (size_t i = 0; i < l->n; i++)
        told[atoi(l->sent[i].url + strlen("http://r"))]++;
    for (size_t i = 0; i < WANTED; i++) {
        if (told[i] != due[i])
            fail_msg("%s: told %d, due %d", wanted[i].id, told[i], due[i]);
        assert_int_equal(subs[i]->state, ST_LIVE);
    }
}

static void what_concerns_nobody_is_not_read(void **state)
{
    struct lab *l = *state;
    struct sub *s = lab_subscribe(
        l, "{'id':'urn:s:a','type':'Subscription','entities':[{'type':'Sensor','id':'urn:x:9'}],"
           "'notification':{'endpoint':{'uri':'http://r/'}}}");
    lab_run(l);
    int64_t pos = tenant_pos(l);
    uint64_t mark = atomic_load(&l->hub->index.generation);
    for (int i = 1; i <= 5; i++)
        lab_set(l, "1", i);
    assert_int_equal(journal_marked(l->store, 1, pos, mark), pos + 5);
    lab_set(l, "9", 1); /* it is */
    lab_set(l, "1", 6);
    assert_int_equal(journal_marked(l->store, 1, pos, mark), pos + 5);
    lab_run(l);
    assert_int_equal(tenant_pos(l), pos + 7);
    assert_int_equal(lab_value(l, 0), 1);
    lab_answer(l, 0, 200);
    /* Rows that were marked before another one came are read for it. */
    lab_set(l, "1", 7);
    lab_sensors(l, "b", "b", "");
    lab_set(l, "1", 8);
    lab_run(l);
    assert_int_equal(l->n, 2);
    assert_int_equal(lab_value(l, 1), 8);
    assert_int_equal(s->state, ST_LIVE);
    assert_int_equal(sub_seen(s), pos + 9);
}

static bool count_status(void *ctx, const struct subscription_status *st)
{
    *(struct subscription_status *)ctx = *st;
    return true;
}

static void the_console_sees_failures(void **state)
{
    struct lab *l = *state;
    struct subscription_status st = {0};
    lab_sensors(l, "a", "r", "");
    lab_set(l, "1", 1);
    lab_set(l, "1", 2);
    lab_run(l);
    lab_answer(l, 0, 503);
    lab_run(l);
    subscriptions_each(l->hub, 1, count_status, &st);
    assert_int_equal(st.state, SUB_RETRYING);
    assert_int_equal(st.failed, 1);
    assert_int_equal(st.lag, 2);
    assert_true(str_eq(st.last_error, S("the receiver answers 503")));
    assert_true(st.next_attempt > clock_now(&l->clock.base));
}

/* A notification that is refused too often; what an operator does. */

static void refusals_set_it_aside_where_it_stands(void **state)
{
    struct lab *l = *state;
    l->link.options.notify_refusals = 3;
    struct sub *s = lab_sensors(l, "a", "r", "");
    for (int i = 1; i <= 3; i++)
        lab_set(l, "1", i);
    lab_run(l);
    lab_answer(l, 0, 503); /* no refusal */
    lab_wait(l, 100 * SECOND_US);
    for (size_t i = 1; i < 4; i++) {
        assert_int_equal(l->n, i + 1);
        assert_int_equal(lab_value(l, i), 1);
        lab_answer(l, i, 400);
        lab_wait(l, 100 * SECOND_US);
    }
    assert_int_equal(s->state, ST_ASIDE);
    assert_string_equal(sub_status(s), "paused");
    lab_set(l, "1", 4);
    lab_wait(l, 1000 * SECOND_US);
    assert_int_equal(l->n, 4);
    pthread_mutex_lock(&l->hub->lock);
    sub_go_on(l->hub, s);
    pthread_mutex_unlock(&l->hub->lock);
    for (int v = 1; v <= 4; v++) {
        lab_run(l);
        assert_int_equal(lab_value(l, (size_t)v + 3), v);
        lab_answer(l, (size_t)v + 3, 200);
    }
    lab_run(l);
    assert_int_equal(l->n, 8);
    assert_int_equal(s->state, ST_LIVE);
    assert_int_equal(s->count.refusals, 0);
}

static void no_limit_of_refusals_tries_for_ever(void **state)
{
    struct lab *l = *state;
    l->link.options.notify_refusals = 0;
    struct sub *s = lab_sensors(l, "a", "r", "");
    lab_set(l, "1", 1);
    lab_run(l);
    for (size_t i = 0; i < 300; i++) {
        lab_answer(l, i, 404);
        lab_wait(l, 100 * SECOND_US);
    }
    assert_int_equal(l->n, 301);
    assert_int_equal(s->state, ST_RETRYING);
}

static void what_was_on_its_way_to_a_held_one_is_not_told_again(void **state)
{
    struct lab *l = *state;
    struct sub *s = lab_sensors(l, "a", "r", "");
    for (int i = 1; i <= 3; i++)
        lab_set(l, "1", i);
    lab_run(l);
    pthread_mutex_lock(&l->hub->lock);
    sub_set_aside(l->hub, s, OFF_HELD);
    pthread_mutex_unlock(&l->hub->lock);
    lab_answer(l, 0, 204);
    lab_wait(l, 100 * SECOND_US);
    assert_int_equal(l->n, 1);
    assert_int_equal(l->hub->queued_bytes, 0);
    pthread_mutex_lock(&l->hub->lock);
    sub_go_on(l->hub, s);
    pthread_mutex_unlock(&l->hub->lock);
    lab_run(l);
    assert_int_equal(lab_value(l, 1), 2);
    lab_answer(l, 1, 204);
    lab_run(l);
    assert_int_equal(lab_value(l, 2), 3);
}

static void a_move_waits_for_what_is_on_its_way(void **state)
{
    struct lab *l = *state;
    struct sub *s = lab_sensors(l, "a", "r", "");
    int64_t start = sub_cursor(s);
    for (int i = 1; i <= 3; i++)
        lab_set(l, "1", i);
    lab_run(l);
    lab_answer(l, 0, 204);
    lab_run(l);
    lab_answer(l, 1, 204); /* 3 is on its way now */
    lab_run(l);
    assert_int_equal(l->n, 3);
    pthread_mutex_lock(&l->hub->lock);
    sub_move(l->hub, s, start + 1);
    assert_int_equal(sub_cursor(s), start + 1); /* what a crash would go on from */
    pthread_mutex_unlock(&l->hub->lock);
    lab_run(l);
    assert_int_equal(l->n, 3);
    lab_answer(l, 2, 500);
    for (int v = 2; v <= 3; v++) {
        lab_run(l);
        assert_int_equal(lab_value(l, (size_t)v + 1), v);
        lab_answer(l, (size_t)v + 1, 204);
    }
    lab_run(l);
    assert_int_equal(l->n, 5);
    assert_int_equal(s->state, ST_LIVE);
}

#define IN_LAB(fn) cmocka_unit_test_setup_teardown(fn, lab_open, lab_close)
int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LAB(tells_one_change_at_a_time_in_order),
        IN_LAB(does_not_tell_what_came_before_it),
        IN_LAB(repeats_a_failure_with_the_same_id_and_lets_nothing_overtake),
        IN_LAB(falls_behind_in_bounded_memory_and_catches_up),
        IN_LAB(many_come_back_with_one_reading),
        IN_LAB(a_sweep_that_lost_its_last_rider_leaves_nobody_behind),
        IN_LAB(a_dead_host_holds_up_nobody_else),
        IN_LAB(a_crash_repeats_but_loses_nothing),
        IN_LAB(a_clean_stop_repeats_nothing),
        IN_LAB(throttling_tells_the_latest_state_of_each_entity),
        IN_LAB(cooldown_is_the_least_pause),
        IN_LAB(a_period_tells_all_that_match),
        IN_LAB(paused_expired_and_deleted_ones_are_silent),
        IN_LAB(a_gap_is_filled_with_everything_and_counted),
        IN_LAB(only_those_concerned_are_told),
        IN_LAB(what_concerns_nobody_is_not_read),
        IN_LAB(the_console_sees_failures),
        IN_LAB(refusals_set_it_aside_where_it_stands),
        IN_LAB(no_limit_of_refusals_tries_for_ever),
        IN_LAB(what_was_on_its_way_to_a_held_one_is_not_told_again),
        IN_LAB(a_move_waits_for_what_is_on_its_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
