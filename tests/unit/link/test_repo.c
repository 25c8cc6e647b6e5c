/*
 * The repository against the plain truth: random changes, then every query must give what a full
 * evaluation of all entities gives, in the same order, and the indexes must hold exactly the rows
 * that belong. Runs on SQLite, and on PostgreSQL when MARUGOTO_TEST_PG names a server.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../store/fixture.h"
#include "link/history.h"
#include "link/repo.h"

enum { ENTITIES = 300, CHANGES = 1500, QUERIES = 400 };

static uint64_t seed = 20261123;

static uint64_t roll(uint64_t n) /* SplitMix64 */
{
    uint64_t z = (seed += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % n;
}

struct world {
    void *fixture;
    struct store *store;
    char *state[ENTITIES]; /* stored form, NULL: deleted or never made */
    struct clock_fake clock;
};

static const char *const types[] = {"Shelter", "Sensor", "Stop"};
static const char *const words[] = {"alpha",
                                    "beta",
                                    "避難所",
                                    "避難場所",
                                    "\xf0\x9f\x9a\x8c bus",
                                    "a longer text that goes past the thirty-two code points held"};

static const char *random_value(struct arena *a)
{
    switch (roll(5)) {
    case 0:
        return arena_printf(a, "%d", (int)roll(40) - 10);
    case 1:
        return arena_printf(a, "%d.%d", (int)roll(40), (int)roll(10));
    case 2:
        return arena_printf(a, "\"%s\"", words[roll(6)]);
    case 3:
        return roll(2) ? "true" : "false";
    default:
        return arena_printf(a, "\"2026-11-%02dT0%d:00:00Z\"", (int)roll(28) + 1, (int)roll(10));
    }
}

static const struct json *random_entity(struct arena *a, size_t i)
{
    struct buf b = BUF_INIT;
    struct error e;
    buf_printf(&b, "{\"id\":\"urn:x:%zu\",\"type\":\"%s\"", i, types[roll(3)]);
    if (roll(3) == 0)
        buf_printf(&b, ",\"scope\":[\"/a/b%d\"]", (int)roll(3));
    for (int k = 0; k < 4; k++)
        if (roll(3))
            buf_printf(&b, ",\"p%d\":{\"type\":\"Property\",\"value\":%s}", k, random_value(a));
    if (roll(4) == 0)
        buf_printf(&b, ",\"list\":{\"type\":\"Property\",\"value\":[1,%d,\"x%d\"]}", (int)roll(9),
                   (int)roll(9));
    if (roll(2))
        buf_printf(&b,
                   ",\"location\":{\"type\":\"GeoProperty\",\"value\":{\"type\":\"Point\","
                   "\"coordinates\":[%f,%f]}}",
                   140.0 + (double)roll(1000) / 5000, 36.0 + (double)roll(1000) / 5000);
    else if (roll(3) == 0)
        buf_printf(&b,
                   ",\"location\":{\"type\":\"GeoProperty\",\"value\":{\"type\":\"LineString\","
                   "\"coordinates\":[[140.%d,36.1],[140.%d,36.12]]}}",
                   (int)roll(9), (int)roll(9));
    buf_char(&b, '}');
    const struct json *in = json_parse(a, buf_dup(&b, a), &JSON_DEFAULT, &e);
    buf_release(&b);
    assert_non_null(in);
    in = entity_expand(a, in, ENTITY_WHOLE, false, ld_core(), &e);
    if (!in)
        fail_msg("%s", e.text);
    return in;
}

struct change {
    struct world *w;
    size_t i;
    bool delete;
    struct arena arena;
    char *after;
};

static enum err apply(struct store_conn *c, void *ctx, struct error *e)
{
    struct change *ch = ctx;
    static const struct repo_options options = {.history = true};
    struct entity_row row;
    struct entity_delta delta;
    struct str id = str_printf(&ch->arena, "urn:x:%zu", ch->i);
    const struct json *before = NULL;
    int64_t now = clock_now(&ch->w->clock.base);
    enum err err = repo_get(c, &ch->arena, 1, id, &row, e);
    if (!err)
        before = json_parse(&ch->arena, row.doc, &JSON_DEFAULT, e);
    else if (err != ERR_NOT_FOUND)
        return err;
    if (ch->delete &&!before)
        return OK;
    if (ch->delete)
        entity_delete(&ch->arena, before, &delta);
    else
        err = entity_apply(&ch->arena, before ? ENTITY_REPLACE : ENTITY_CREATE, before,
                           random_entity(&ch->arena, ch->i), now, &delta, e);
    if (!ch->delete &&err)
        return err;
    struct repo_put put = {.arena = &ch->arena,
                           .options = &options,
                           .tenant = 1,
                           .now = now,
                           .id = id,
                           .row = &row,
                           .before = before,
                           .delta = &delta};
    ch->after = delta.after ? strdup(json_to_text(&ch->arena, delta.after).p) : NULL;
    return repo_put(c, &put, NULL, e);
}

static void change(struct world *w, size_t i, bool delete)
{
    struct change ch = {.w = w, .i = i, .delete = delete};
    struct error e;
    clock_fake_move(&w->clock, SECOND_US);
    if (store_write(w->store, apply, &ch, &e))
        fail_msg("%s", e.text);
    free(w->state[i]);
    w->state[i] = ch.after;
    arena_release(&ch.arena);
}

static int make_world(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct error e;
    fixture_new(&w->fixture);
    w->clock = clock_fake_at(INT64_C(1700000000) * SECOND_US);
    if (store_open(&w->store, &((struct fixture *)w->fixture)->options, &w->clock.base,
                   &link_module, 1, &e))
        fail_msg("%s", e.text);
    for (int i = 0; i < CHANGES; i++)
        change(w, roll(ENTITIES), roll(6) == 0);
    *state = w;
    return 0;
}

static int drop_world(void **state)
{
    struct world *w = *state;
    store_close(w->store);
    for (size_t i = 0; i < ENTITIES; i++)
        free(w->state[i]);
    fixture_free(&w->fixture);
    free(w);
    return 0;
}

/* --- queries --- */

struct found {
    VEC(struct str) ids;
    struct arena *arena;
};

static bool collect(void *ctx, const struct entity_row *row, const struct json *stored)
{
    struct found *f = ctx;
    assert_true(str_eq(row->id, entity_id(stored)));
    *vec_push(f->arena, &f->ids) = str_dup(f->arena, row->id);
    return true;
}

static void random_query(struct arena *a, struct entity_query *q, struct geo_query *geo)
{
    struct error e = {0};
    *q = (struct entity_query){0};
    if (roll(2)) {
        const char *text = roll(4) ? types[roll(3)] : "Shelter,Stop";
        q->types = query_parse_types(a, str_c(text), ld_core(), &QUERY_DEFAULT, &e);
        assert_non_null(q->types);
    }
    if (roll(4)) {
        static const char *const heads[] = {"p%>", "p%<=", "p%==", "p%!=", "p%;p1>", "p%>1|p2<"};
        struct str head = str_c(heads[roll(6)]);
        struct str text = str_printf(a, "%.1s%d%s%d%s", head.p, (int)roll(4), head.p + 2,
                                     (int)roll(30) - 5, roll(4) ? "" : ";list==4");
        if (roll(4) == 0)
            text = str_printf(a, "p%d==\"%s\"", (int)roll(4), words[roll(6)]);
        if (roll(6) == 0)
            text = str_printf(a, "p%d>=2026-11-%02dT00:00:00Z", (int)roll(4), (int)roll(28) + 1);
        q->q = query_parse_q(a, text, ld_core(), NULL, 0, &QUERY_DEFAULT, &e);
        if (!q->q)
            fail_msg("%.*s: %s", STR_A(text), e.text);
    }
    if (roll(3) == 0) {
        struct str at = str_printf(a, "[%f,%f]", 140.0 + (double)roll(1000) / 5000,
                                   36.0 + (double)roll(1000) / 5000);
        assert_int_equal(query_parse_geo(a, S("near;maxDistance==4000"), S("Point"), at, STR_NONE,
                                         ld_core(), geo, &e),
                         OK);
        q->geo = geo;
    }
    if (roll(6) == 0) {
        q->scope = query_parse_scope(a, S("/a/b1"), &QUERY_DEFAULT, &e);
        assert_non_null(q->scope);
    }
}

static void queries_agree_with_full_evaluation(void **state)
{
    struct world *w = *state;
    size_t hits = 0;
    for (int n = 0; n < QUERIES; n++) {
        struct arena a = ARENA_INIT;
        struct error e;
        struct entity_query q;
        struct geo_query geo = {0};
        struct found f = {.arena = &a};
        struct repo_result result;
        random_query(&a, &q, &geo);
        struct repo_query rq = {
            .query = &q, .tenant = 1, .limit = UINT64_MAX, .count = true, .clock = &w->clock.base};
        struct store_conn *c = store_read(w->store, &e);
        assert_non_null(c);
        if (repo_query(c, &rq, collect, &f, &result, &e))
            fail_msg("%s", e.text);
        store_read_done(c);
        assert_int_equal(result.count, f.ids.n);
        size_t expected = 0;
        for (size_t i = 0; i < ENTITIES; i++) {
            if (!w->state[i])
                continue;
            bool hit = false;
            const struct json *stored = json_parse(&a, str_c(w->state[i]), &JSON_DEFAULT, &e);
            assert_int_equal(query_holds(&q, stored, &hit, &e), OK);
            if (!hit)
                continue;
            expected++;
            bool listed = false;
            for (size_t k = 0; k < f.ids.n; k++)
                listed |= str_eq(f.ids.v[k], entity_id(stored));
            assert_true(listed);
        }
        assert_int_equal(expected, f.ids.n);
        hits += expected;
        entity_query_release(&q);
        geo_query_release(&geo);
        arena_release(&a);
    }
    assert_true(hits > QUERIES); /* the queries are not all empty */
}

static void pages_join_to_the_whole(void **state)
{
    struct world *w = *state;
    struct arena a = ARENA_INIT;
    struct error e;
    struct entity_query q = {.types =
                                 query_parse_types(&a, S("Sensor"), ld_core(), &QUERY_DEFAULT, &e)};
    struct found whole = {.arena = &a}, pages = {.arena = &a}, skipped = {.arena = &a};
    struct repo_result result;
    struct repo_query all = {
        .query = &q, .tenant = 1, .limit = 10000, .count = true, .clock = &w->clock.base};
    struct store_conn *c = store_read(w->store, &e);
    assert_int_equal(repo_query(c, &all, collect, &whole, &result, &e), OK);
    struct repo_query page = all;
    page.limit = 7;
    page.count = false;
    do {
        assert_int_equal(repo_query(c, &page, collect, &pages, &result, &e), OK);
        page.after = result.last;
    } while (result.more);
    page.after = 0;
    page.offset = 5;
    assert_int_equal(repo_query(c, &page, collect, &skipped, &result, &e), OK);
    store_read_done(c);
    assert_true(whole.ids.n > 20);
    assert_int_equal(whole.ids.n, pages.ids.n);
    for (size_t i = 0; i < whole.ids.n; i++)
        assert_true(str_eq(whole.ids.v[i], pages.ids.v[i]));
    for (size_t i = 0; i < 7; i++)
        assert_true(str_eq(whole.ids.v[i + 5], skipped.ids.v[i]));
    arena_release(&a);
}

static void ignore(void *ctx, const char *what)
{
    (void)ctx;
    print_message("# %s\n", what);
}

static void indexes_hold_exactly_their_rows(void **state)
{
    struct world *w = *state;
    struct error e;
    struct store_conn *c = store_read(w->store, &e);
    assert_int_equal(repo_check(c, ignore, NULL), 0);
    store_read_done(c);
    assert_int_equal(store_check(w->store, ignore, NULL), 0);
}

static enum err spoil(struct store_conn *c, void *ctx, struct error *e)
{
    (void)ctx;
    return store_exec(c, "DELETE FROM entity_num WHERE eid = (SELECT min(eid) FROM entity_num)",
                      SV_EMPTY, NULL, e);
}

static void a_missing_index_row_is_found(void **state)
{
    struct world *w = *state;
    struct error e;
    assert_int_equal(store_write(w->store, spoil, NULL, &e), OK);
    struct store_conn *c = store_read(w->store, &e);
    assert_true(repo_check(c, ignore, NULL) > 0);
    store_read_done(c);
}

static enum err edit(struct store_conn *c, void *ctx, struct error *e)
{
    (void)ctx;
    return store_exec(c,
                      "UPDATE entity SET doc = replace(doc, 'modifiedAt\":\"2', 'modifiedAt\":\"3')"
                      " WHERE eid = (SELECT max(eid) FROM entity WHERE doc IS NOT NULL)",
                      SV_EMPTY, NULL, e);
}

static void an_edited_entity_is_found(void **state)
{
    struct world *w = *state;
    struct error e;
    assert_int_equal(store_write(w->store, edit, NULL, &e), OK);
    struct store_conn *c = store_read(w->store, &e);
    assert_int_equal(repo_check(c, ignore, NULL), 1);
    store_read_done(c);
}

struct walk {
    int64_t next;
    size_t rows;
};

static bool walk_row(void *ctx, const struct journal_row *row)
{
    struct walk *k = ctx;
    struct arena a = ARENA_INIT;
    struct entity_event ev;
    struct error e;
    assert_int_equal(row->seq, k->next++);
    assert_true(str_eq(row->topic, S("entity")));
    assert_int_equal(entity_event_parse(&a, row->body, &ev, &e), OK);
    assert_true(str_eq(entity_id(ev.doc), row->key));
    k->rows++;
    arena_release(&a);
    return true;
}

static void the_journal_tells_every_change(void **state)
{
    struct world *w = *state;
    struct error e;
    struct walk k = {.next = 1};
    struct store_conn *c = store_read(w->store, &e);
    assert_int_equal(journal_read(c, 1, 0, 100000, walk_row, &k, &e), OK);
    store_read_done(c);
    assert_true(k.rows > CHANGES / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queries_agree_with_full_evaluation),
        cmocka_unit_test(pages_join_to_the_whole),
        cmocka_unit_test(the_journal_tells_every_change),
        cmocka_unit_test(indexes_hold_exactly_their_rows),
        cmocka_unit_test(an_edited_entity_is_found),
        cmocka_unit_test(a_missing_index_row_is_found),
    };
    return cmocka_run_group_tests_name("link/repo", tests, make_world, drop_world);
}
