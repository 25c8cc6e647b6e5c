/*
 * Merging one attribute instance: whatever was written where, by whichever clock, and however the
 * events arrive, replicas that have seen the same events are equal. Random histories are made of a
 * seed, which a failure names.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "core/datetime.h"
#include "piece.h"

enum { NODES_MAX = 4, EVENTS_MAX = 60, HOUR_OF_US = 3600 };

static struct arena lab;

/* --- randomness that can be repeated --- */

static uint64_t seed;

static uint32_t any(uint32_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(seed >> 33) % below;
}

/* --- replicas --- */

struct node {
    struct str name;
    int64_t skew; /* of its clock */
    struct sync_register reg;
};

struct history {
    struct node nodes[NODES_MAX];
    size_t n_nodes;
    struct sync_register events[EVENTS_MAX]; /* each a delta: one value and what it had seen */
    size_t n_events;
};

static const struct json *instance(int64_t value, int64_t observed_at)
{
    struct json_member *m = ARENA_ARRAY(&lab, struct json_member, 3);
    struct json *v = ARENA_NEW(&lab, struct json);
    m[0] = json_m(S("type"), json_v_str(S("Property")));
    m[1] = json_m(S("value"), json_v_i64(&lab, value));
    if (observed_at)
        m[2] = json_m(S("observedAt"), json_v_str(datetime_text(&lab, observed_at)));
    *v = json_v_object(m, observed_at ? 3 : 2);
    return v;
}

static void write_one(struct history *h, struct node *n, int64_t now)
{
    int64_t at = now + n->skew, seen = sync_seen(&n->reg, n->name);
    struct sync_dot dot = {at > seen ? at : seen + 1, n->name};
    const struct json *v = NULL;
    if (any(5)) /* else a deletion */
        v = instance((int64_t)h->n_events, any(2) ? now - (int64_t)any(1000) * 1000000 : 0);
    sync_write(&lab, &n->reg, &dot, v);
    struct sync_register *event = &h->events[h->n_events++];
    *event = (struct sync_register){.seen = VEC_INIT, .values = VEC_INIT};
    sync_join(&lab, event, &n->reg);
}

/* Nodes write, and hear now and then of what others wrote. */
static void make_history(struct history *h)
{
    static const char *const names[NODES_MAX] = {"a", "b", "c", "d"};
    int64_t now = INT64_C(1700000000) * 1000000;
    memset(h, 0, sizeof(*h));
    h->n_nodes = 2 + any(NODES_MAX - 1);
    for (size_t i = 0; i < h->n_nodes; i++) {
        h->nodes[i].name = str_c(names[i]);
        h->nodes[i].skew = ((int64_t)any(24 * HOUR_OF_US) - 12 * HOUR_OF_US) * 1000000;
    }
    size_t steps = 2 + any(EVENTS_MAX - 2);
    for (size_t i = 0; i < steps; i++) {
        struct node *n = &h->nodes[any((uint32_t)h->n_nodes)];
        now += (int64_t)any(60) * 1000000;
        if (any(3) || !h->n_events)
            write_one(h, n, now);
        else if (any(2))
            sync_join(&lab, &n->reg, &h->events[any((uint32_t)h->n_events)]);
        else
            sync_join(&lab, &n->reg, &h->nodes[any((uint32_t)h->n_nodes)].reg);
    }
}

static struct str text_of(const struct sync_register *r)
{
    struct sync_piece p = {.id = S("urn:x:1"), .at = 1};
    struct buf b = BUF_INIT;
    *vec_push(&lab, &p.parts) = (struct sync_part){S("https://x/a"), STR_NONE, *r};
    sync_piece_write(&lab, &b, &p);
    struct str text = buf_dup(&b, &lab);
    buf_release(&b);
    return text;
}

static void assert_same(const struct sync_register *x, const struct sync_register *y, uint64_t of)
{
    struct str a = text_of(x), b = text_of(y);
    if (!str_eq(a, b))
        fail_msg("seed %llu:\n%s\n%s", (unsigned long long)of, a.p, b.p);
}

static struct sync_register copy(const struct sync_register *r)
{
    struct sync_register out = {.seen = VEC_INIT, .values = VEC_INIT};
    sync_join(&lab, &out, r);
    return out;
}

static struct sync_register joined(const struct sync_register *x, const struct sync_register *y)
{
    struct sync_register out = copy(x);
    sync_join(&lab, &out, y);
    return out;
}

/* --- the properties --- */

static void any_order_any_repetition(void **state)
{
    (void)state;
    for (uint64_t s = 1; s <= 3000; s++) {
        struct history h;
        struct sync_register one = {.seen = VEC_INIT, .values = VEC_INIT}, two = one;
        seed = s;
        make_history(&h);
        for (size_t i = 0; i < h.n_events; i++)
            sync_join(&lab, &one, &h.events[i]);
        size_t order[EVENTS_MAX];
        for (size_t i = 0; i < h.n_events; i++) {
            size_t at = any((uint32_t)i + 1);
            order[i] = order[at];
            order[at] = i;
        }
        for (size_t i = 0; i < h.n_events; i++) {
            sync_join(&lab, &two, &h.events[order[i]]);
            if (any(3) == 0)
                sync_join(&lab, &two, &h.events[order[any((uint32_t)i + 1)]]);
        }
        assert_same(&one, &two, s);
        for (size_t i = 0; i < h.n_nodes; i++) { /* whole states instead of events */
            struct sync_register all = copy(&h.nodes[i].reg);
            for (size_t k = 0; k < h.n_nodes; k++)
                sync_join(&lab, &all, &h.nodes[(i + k) % h.n_nodes].reg);
            assert_same(&one, &all, s);
        }
        arena_reset(&lab);
    }
}

static void permute(const struct history *h, size_t *order, size_t n, size_t at,
                    const struct sync_register *want, uint64_t of)
{
    if (at == n) {
        struct sync_register r = {.seen = VEC_INIT, .values = VEC_INIT};
        for (size_t i = 0; i < n; i++)
            sync_join(&lab, &r, &h->events[order[i]]);
        assert_same(&r, want, of);
        return;
    }
    for (size_t i = at; i < n; i++) {
        size_t kept = order[at];
        order[at] = order[i];
        order[i] = kept;
        permute(h, order, n, at + 1, want, of);
        order[i] = order[at];
        order[at] = kept;
    }
}

static void all_permutations(void **state)
{
    enum { SMALL = 5 };
    int done = 0;
    (void)state;
    for (uint64_t s = 1; done < 60; s++) {
        struct history h;
        size_t order[SMALL];
        seed = s;
        make_history(&h);
        if (h.n_events < SMALL)
            continue;
        struct sync_register want = {.seen = VEC_INIT, .values = VEC_INIT};
        for (size_t i = 0; i < SMALL; i++) {
            order[i] = i;
            sync_join(&lab, &want, &h.events[i]);
        }
        permute(&h, order, SMALL, 0, &want, s);
        arena_reset(&lab);
        done++;
    }
}

static void laws_of_joining(void **state)
{
    (void)state;
    for (uint64_t s = 1; s <= 2000; s++) {
        struct history h;
        seed = s;
        make_history(&h);
        const struct sync_register *x = &h.nodes[0].reg, *y = &h.nodes[1].reg;
        const struct sync_register *z = &h.events[h.n_events - 1];
        struct sync_register xy = joined(x, y), yx = joined(y, x), yz = joined(y, z);
        struct sync_register left = joined(&xy, z), right = joined(x, &yz);
        struct sync_register again = joined(&xy, &xy);
        assert_same(&xy, &yx, s);
        assert_same(&left, &right, s);
        assert_same(&again, &xy, s);
        arena_reset(&lab);
    }
}

/* What its writer had seen is gone, whatever the clocks; what it had not seen stands beside. */
static void who_had_seen_it_replaces_it(void **state)
{
    (void)state;
    struct sync_register r = {.seen = VEC_INIT, .values = VEC_INIT}, other;
    struct sync_dot far = {INT64_C(9000000000000000), S("ahead")}, near = {1000, S("behind")};
    struct sync_dot third = {2000, S("third")};
    sync_write(&lab, &r, &far, instance(1, 0));
    other = copy(&r);
    sync_write(&lab, &r, &near, instance(2, 0));
    assert_int_equal(r.values.n, 1);
    sync_join(&lab, &r, &other);
    assert_int_equal(r.values.n, 1);
    assert_true(str_eq(json_text(json_get(sync_effect(&r), S("value"))), S("2")));
    struct sync_register alone = {.seen = VEC_INIT, .values = VEC_INIT};
    sync_write(&lab, &alone, &third, instance(3, 0));
    sync_join(&lab, &r, &alone);
    assert_int_equal(r.values.n, 2);
    assert_true(sync_differs(&r));
    arena_reset(&lab);
}

static void the_later_observation_comes_first(void **state)
{
    static const struct {
        int64_t hlc_x, observed_x, hlc_y, observed_y;
        const char *node_x, *node_y;
        int first;
    } cases[] = {
        {5, 100, 9, 90, "a", "b", -1}, /* observed later, written earlier */
        {5, 0, 9, 0, "a", "b", 1},     /* no observations: the clock of the write */
        {95, 0, 9, 90, "a", "b", -1},  /* one observed: its time against the clock of the other */
        {80, 0, 9, 90, "a", "b", 1},   /* ... */
        {5, 90, 9, 90, "a", "b", 1},   /* observed at once: the clock of the write */
        {9, 90, 9, 90, "a", "b", 1},   /* all alike: the greater node */
        {9, 90, 9, 90, "ab", "a", -1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sync_value x = {{cases[i].hlc_x, str_c(cases[i].node_x)},
                               instance(1, cases[i].observed_x)};
        struct sync_value y = {{cases[i].hlc_y, str_c(cases[i].node_y)},
                               instance(2, cases[i].observed_y)};
        assert_int_equal(sync_value_cmp(&x, &y) < 0 ? -1 : 1, cases[i].first);
        assert_int_equal(sync_value_cmp(&y, &x) < 0 ? -1 : 1, -cases[i].first);
        assert_int_equal(sync_value_cmp(&x, &x), 0);
    }
    arena_reset(&lab);
}

/* Of three values, some observed and some not, no one may beat in a circle. */
static void the_order_is_total(void **state)
{
    (void)state;
    seed = 7;
    for (int round = 0; round < 20000; round++) {
        struct sync_value v[3];
        for (int i = 0; i < 3; i++) {
            v[i].dot = (struct sync_dot){1 + any(6), any(2) ? S("a") : S("b")};
            v[i].value = any(2) ? instance(1, 1 + any(6)) : any(2) ? instance(1, 0) : NULL;
        }
        int ab = sync_value_cmp(&v[0], &v[1]), bc = sync_value_cmp(&v[1], &v[2]);
        int ac = sync_value_cmp(&v[0], &v[2]);
        if (ab < 0 && bc < 0)
            assert_true(ac < 0);
        if (ab > 0 && bc > 0)
            assert_true(ac > 0);
        arena_reset(&lab);
    }
}

/* --- on the line --- */

static const struct json *parse(const char *text)
{
    char *p = arena_dup(&lab, text, strlen(text));
    for (char *s = p; *s; s++)
        if (*s == '\'')
            *s = '"';
    const struct json *v = json_parse(&lab, str_c(p), &JSON_DEFAULT, NULL);
    assert_non_null(v);
    return v;
}

static void pieces_are_read_as_written(void **state)
{
    struct sync_piece p;
    struct error e;
    struct buf b = BUF_INIT;
    const struct json *v = parse(
        "{'id':'urn:x:1','at':5,'r':[{'c':'a:3,b:9','v':[[9,'b',{'type':['T'],'createdAt':"
        "'2026-01-01T00:00:00Z'}]]},{'a':'https://x/n','d':'urn:x:d','c':'a:3,b:9','v':[[9,'b',"
        "{'type':'Property','value':1.0,'datasetId':'urn:x:d','createdAt':'2026-01-01T00:00:00Z',"
        "'modifiedAt':'2026-01-01T00:00:00Z'}],[3,'a',null]]}]}");
    (void)state;
    assert_int_equal(sync_piece_read(&lab, v, &p, &e), OK);
    assert_int_equal(p.parts.n, 2);
    sync_piece_write(&lab, &b, &p);
    assert_string_equal(b.p, json_to_text(&lab, v).p);
    buf_release(&b);
    arena_reset(&lab);
}

static void bad_pieces_are_refused(void **state)
{
#define ONE(reg) "{'id':'urn:x:1','at':5,'r':[" reg "]}"
#define INST     "'createdAt':'2026-01-01T00:00:00Z','modifiedAt':'2026-01-01T00:00:00Z'"
    static const char *const bad[] = {
        "{}",
        "[]",
        "{'id':'urn:x:1','at':5,'r':[]}",
        "{'id':'','at':5,'r':[{'a':'https://x/n','c':'a:3','v':[[3,'a',null]]}]}",
        ONE("{'a':'https://x/n','c':'a:3','v':[]}"),
        ONE("{'a':'https://x/n','c':'a:3','v':[[4,'a',null]]}"), /* a write that it had not seen */
        ONE("{'a':'https://x/n','c':'a:3','v':[[3,'b',null]]}"),
        ONE("{'a':'https://x/n','c':'a:3','v':[[3,'a',null],[2,'a',null]]}"), /* two of a node */
        ONE("{'a':'https://x/n','c':'a:0','v':[[0,'a',null]]}"),
        ONE("{'a':'https://x/n','c':'A:3','v':[[3,'A',null]]}"),
        ONE("{'a':'https://x/n','c':'a3','v':[[3,'a',null]]}"),
        ONE("{'a':'https://x/n','c':'a:3','v':[[3,'a',5]]}"),
        ONE("{'a':'https://x/n','c':'a:3','v':[[3,'a',{'type':'Property'," INST "}]]}"),
        ONE("{'a':'https://x/n','c':'a:3','v':[[3,'a',{'type':'X','value':1," INST "}]]}"),
        ONE("{'a':'https://x/n','c':'a:3','v':[[3,'a',{'type':'Property','value':1}]]}"),
        ONE("{'a':'https://x/n','c':'a:3','v':[[3,'a',{'type':'Property','value':1,"
            "'datasetId':'urn:x:d'," INST "}]]}"),
        ONE("{'a':'https://x/n','c':'a:3','v':[[3,'a',{'type':'Property','value':1," INST
            ",'https://x/s':5}]]}"),
        ONE("{'a':'modifiedAt','c':'a:3','v':[[3,'a',null]]}"),
        ONE("{'c':'a:3','v':[[3,'a',{'type':'T'}]]}"),
        ONE("{'d':'urn:x:d','c':'a:3','v':[[3,'a',null]]}"),
    };
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct sync_piece p;
        struct error e = {0};
        if (sync_piece_read(&lab, parse(bad[i]), &p, &e) != ERR_INVALID)
            fail_msg("not refused: %s", bad[i]);
        arena_reset(&lab);
    }
}

static void times_of_nodes_make_no_difference(void **state)
{
    const struct json *x = parse("{'type':'Property','value':1,'createdAt':'a','modifiedAt':'b',"
                                 "'https://x/s':[{'type':'Property','value':2,'modifiedAt':'c'}]}");
    const struct json *y = parse("{'type':'Property','value':1,'createdAt':'d','modifiedAt':'e',"
                                 "'https://x/s':[{'type':'Property','value':2,'modifiedAt':'f'}]}");
    const struct json *z = parse("{'type':'Property','value':1,'createdAt':'d','modifiedAt':'e',"
                                 "'https://x/s':[{'type':'Property','value':3,'modifiedAt':'f'}]}");
    (void)state;
    assert_true(sync_same_value(x, y));
    assert_false(sync_same_value(y, z));
    assert_false(sync_same_value(x, NULL));
    assert_true(sync_same_value(NULL, NULL));
    arena_reset(&lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_order_any_repetition),
        cmocka_unit_test(all_permutations),
        cmocka_unit_test(laws_of_joining),
        cmocka_unit_test(who_had_seen_it_replaces_it),
        cmocka_unit_test(the_later_observation_comes_first),
        cmocka_unit_test(the_order_is_total),
        cmocka_unit_test(pieces_are_read_as_written),
        cmocka_unit_test(bad_pieces_are_refused),
        cmocka_unit_test(times_of_nodes_make_no_difference),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_release(&lab);
    return failed;
}
