/* Entities as last shown: what is kept, for whom, and that many threads may ask at once. */
#include "query_lab.h"

#include "shown.h"
#include <pthread.h>

static const char entity[] = "{'id': 'urn:x:1', 'type': ['urn:T', 'urn:U']}";

static void what_is_kept(void **state)
{
    (void)state;
    struct shown *s = shown_new(100);
    struct entity_view v = {0}, concise = {.form = FORM_CONCISE}, sys = {.sys_attrs = true},
                       less = {.seen_as = 5};
    struct str text, types;
    assert_false(shown_get(s, 1, 7, &v, &lab, &text, &types));
    shown_put(s, 1, 7, &v, lab_json(entity), S("text of 7"));
    assert_true(shown_get(s, 1, 7, &v, &lab, &text, &types));
    assert_true(str_eq(text, S("text of 7")));
    assert_true(str_eq(types, S("[\"urn:T\",\"urn:U\"]")));
    assert_false(shown_get(s, 2, 7, &v, &lab, &text, &types));
    assert_false(shown_get(s, 1, 8, &v, &lab, &text, &types)); /* it changed */
    assert_false(shown_get(s, 1, 7, &concise, &lab, &text, &types));
    assert_false(shown_get(s, 1, 7, &sys, &lab, &text, &types));
    assert_false(shown_get(s, 1, 7, &less, &lab, &text, &types)); /* whoever sees less */
    shown_put(s, 1, 7, &less, lab_json(entity), S("what they see"));
    assert_false(shown_get(s, 1, 7, &(struct entity_view){.seen_as = 6}, &lab, &text, &types));
    assert_true(shown_get(s, 1, 7, &less, &lab, &text, &types));
    assert_true(str_eq(text, S("what they see")));

    /* another one takes the place: 100 are rounded up to 128 */
    shown_put(s, 129, 3, &v, lab_json(entity), S("of 129"));
    assert_false(shown_get(s, 1, 7, &v, &lab, &text, &types));
    assert_true(shown_get(s, 129, 3, &v, &lab, &text, &types));
    shown_free(s);
}

static void what_is_not_kept(void **state)
{
    (void)state;
    struct shown *s = shown_new(16);
    struct entity_view v = {0};
    struct str text, types;
    static char big[SHOWN_TEXT_MAX + 1];
    shown_put(s, 1, 1, &v, lab_json(entity), str_n(big, sizeof(big)));
    assert_false(shown_get(s, 1, 1, &v, &lab, &text, &types));
    shown_put(s, 2, 1, &v,
              lab_json("{'id': 'urn:x:1', 'type': ['T'], 'expiresAt': '2030-01-01T00:00:00Z'}"),
              S("x"));
    assert_false(shown_get(s, 2, 1, &v, &lab, &text, &types));

    struct str name = S("a");
    assert_true(shown_fits(s, &v));
    assert_true(shown_fits(s, &(struct entity_view){.ctx = ld_core()}));
    assert_false(shown_fits(s, &(struct entity_view){.geojson = true}));
    assert_false(shown_fits(s, &(struct entity_view){.lang = S("ja")}));
    assert_false(shown_fits(s, &(struct entity_view){.pick = &name, .n_pick = 1}));
    assert_false(shown_fits(s, &(struct entity_view){.omit = &name, .n_omit = 1}));
    assert_false(shown_fits(s, &(struct entity_view){.datasets = &name, .n_datasets = 1}));
    assert_false(shown_fits(NULL, &v));
    shown_free(s);
    s = shown_new(0);
    assert_false(shown_fits(s, &v));
    shown_free(s);
    shown_free(NULL);
}

enum { THREADS = 4, ROUNDS = 20000 };

/* Text and version belong together whoever wrote them. */
static void *worker(void *ctx)
{
    struct shown *s = ctx;
    struct arena a = ARENA_INIT;
    struct entity_view v = {0};
    size_t wrong = 0;
    const struct json *stored =
        json_parse(&a, S("{\"id\":\"urn:x:1\",\"type\":[\"T\"]}"), &JSON_DEFAULT, NULL);
    for (int64_t i = 0; i < ROUNDS; i++) {
        struct arena row = ARENA_INIT;
        struct str text, types;
        int64_t eid = i % 7, version = i / 3 % 50;
        if (shown_get(s, eid, version, &v, &row, &text, &types))
            wrong += !str_eq(text, str_printf(&row, "%d-%d", (int)eid, (int)version));
        else
            shown_put(s, eid, version, &v, stored,
                      str_printf(&row, "%d-%d", (int)eid, (int)version));
        arena_release(&row);
    }
    arena_release(&a);
    return wrong ? ctx : NULL;
}

static void many_threads(void **state)
{
    (void)state;
    struct shown *s = shown_new(4);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, worker, s), 0);
    for (int i = 0; i < THREADS; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    shown_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_kept, lab_open, lab_close),
        cmocka_unit_test_setup_teardown(what_is_not_kept, lab_open, lab_close),
        cmocka_unit_test(many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
