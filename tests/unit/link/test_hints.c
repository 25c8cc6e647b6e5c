/*
 * Index hints: whatever a query finds satisfies every hint of it. Shown on random entities and
 * random queries drawn from the same few names and values, so that many do match.
 */
#include "hint_meets.h"
#include "query_lab.h"

#include <math.h>
#include <stdlib.h>

/* --- random material --- */

static uint32_t seed;

static uint32_t pick(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

#define PICK(list) list[pick(sizeof(list) / sizeof(list[0]))]

static const char *const names[] = {"a", "b", "c"};
static const char *const numbers[] = {
    "0",     "1",      "2.5", "-3", "12345678901234567890", "12345678901234567891",
    "1e400", "1e-400", "1.0"};
static const char *const texts[] = {"x",
                                    "y",
                                    "xy",
                                    "",
                                    "あ",
                                    "2024-01-01T00:00:00Z",
                                    "2024-01-01T09:00:00.000001+09:00",
                                    "2024-01-02",
                                    "12:00:00",
                                    "12:00",
                                    "urn:x:1"};
static const char *const words[] = {"2024-01-01T00:00:00Z",
                                    "2024-06-01T00:00:00Z",
                                    "2024-01-02",
                                    "2023-12-31",
                                    "12:00:00",
                                    "urn:x:1",
                                    "true",
                                    "false"};

static const char *random_scalar(void)
{
    switch (pick(4)) {
    case 0:
        return PICK(numbers);
    case 1:
        return pick(2) ? "true" : "false";
    default:
        return arena_printf(&lab, "'%s'", PICK(texts));
    }
}

static const char *random_instance(void)
{
    switch (pick(8)) {
    case 0:
        return arena_printf(&lab, "{'type': 'Property', 'value': [%s, %s]}", random_scalar(),
                            random_scalar());
    case 1:
        return arena_printf(&lab, "{'type': 'Relationship', 'object': 'urn:x:%u'}", pick(3));
    case 2:
        return arena_printf(&lab,
                            "{'type': 'LanguageProperty', 'languageMap': {'en': '%s', "
                            "'ja': ['%s']}}",
                            PICK(texts), PICK(texts));
    case 3:
        return arena_printf(&lab,
                            "{'type': 'Property', 'value': {'@type': 'DateTime', '@value': "
                            "'%s'}}",
                            PICK(texts));
    case 4:
        return arena_printf(&lab,
                            "{'type': 'Property', 'value': {'k': %s}, 'D:b': [{'type': "
                            "'Property', 'value': %s}]}",
                            random_scalar(), random_scalar());
    case 5:
        return arena_printf(&lab,
                            "{'type': 'ListRelationship', 'objectList': [{'object': "
                            "'urn:x:%u'}]}",
                            pick(3));
    default:
        return arena_printf(&lab, "{'type': 'Property', 'value': %s}", random_scalar());
    }
}

static const struct json *random_entity(void)
{
    struct buf b = BUF_INIT;
    buf_printf(&b,
               "'D:place': [{'type': 'GeoProperty', 'value': {'type': 'Point', "
               "'coordinates': [%u, %u]}}]",
               pick(5), pick(5));
    for (size_t i = 0; i < 3; i++)
        if (pick(4))
            buf_printf(&b, ", 'D:%s': [%s, %s]", names[i], random_instance(), random_instance());
    if (pick(2))
        buf_printf(&b, ", 'scope': ['/s%u', '/s%u/t%u']", pick(2), pick(2), pick(2));
    const char *text = arena_printf(&lab, "%s", b.p);
    buf_release(&b);
    return lab_entity(text);
}

static const char *random_operand(void)
{
    switch (pick(3)) {
    case 0:
        return PICK(numbers);
    case 1:
        return arena_printf(&lab, "\"%s\"", PICK(texts));
    default:
        return PICK(words);
    }
}

static const char *random_term(void)
{
    static const char *const order[] = {"<", "<=", ">", ">="};
    static const char *const paths[] = {"a", "b", "c", "a.b", "b[k]", "a[en]", "c[*]", "createdAt"};
    const char *path = pick(3) ? PICK(names) : PICK(paths);
    const char *x = random_operand(), *y = random_operand();
    switch (pick(8)) {
    case 0:
        return path;
    case 1:
        return arena_printf(&lab, "!%s", path);
    case 2:
        return arena_printf(&lab, "%s~=x", path);
    case 3:
        return arena_printf(&lab, "%s!=%s", path, x);
    case 4:
        return arena_printf(&lab, "%s==%s,%s", path, x, y);
    case 5:
        return arena_printf(&lab, "%s==%s..%s", path, x, y);
    case 6:
        return arena_printf(&lab, "%s%s%s", path, PICK(order), x);
    default:
        return arena_printf(&lab, "%s==%s", path, x);
    }
}

static const char *random_q(uint32_t depth)
{
    if (!depth || !pick(3))
        return random_term();
    return arena_printf(&lab, "(%s%s%s)", random_q(depth - 1), pick(2) ? ";" : "|",
                        random_q(depth - 1));
}

/* --- the property --- */

static void hints_never_lose_a_match(void **state)
{
    (void)state;
    static const char *const types[] = {"Car", "Bus", "Car,Bus", "(Car;Bus)", "Bus|(Car;Car)"};
    static const char *const scopes[] = {"/s0", "/s1/#", "/s0/+", "/+/t1", "/s0;/s0/t1", "/s0,/s1"};
    static const char *const relations[] = {"within", "near;maxDistance==200000", "disjoint",
                                            "intersects", "near;minDistance==100000"};
    size_t matches = 0, useful = 0;
    seed = 1;
    for (int round = 0; round < 12000; round++) {
        struct error e = {0};
        struct geo_query g = {0};
        struct entity_query q = {0};
        q.q = query_parse_q(&lab, str_c(random_q(3)), ld_core(), NULL, 0, &QUERY_DEFAULT, &e);
        if (!pick(4))
            q.types = query_parse_types(&lab, str_c(PICK(types)), ld_core(), &QUERY_DEFAULT, &e);
        if (!pick(4))
            q.scope = query_parse_scope(&lab, str_c(PICK(scopes)), &QUERY_DEFAULT, &e);
        if (!pick(4) &&
            !query_parse_geo(&lab, str_c(PICK(relations)), S("Polygon"),
                             S("[[[0,0],[3,0],[3,3],[0,3],[0,0]]]"), S("place"), ld_core(), &g, &e))
            q.geo = &g;
        const struct query_hint *hints;
        size_t n = query_hints(&lab, &q, &hints);
        for (int i = 0; i < 4; i++) {
            const struct json *x = random_entity();
            bool hit = false;
            assert_int_equal(query_holds(&q, x, &hit, &e), OK);
            for (size_t k = 0; k < n; k++) {
                bool met = hint_meets(&lab, &hints[k], x);
                if (hit && !met)
                    fail_msg("hint %zu of kind %d loses %" STR_F, k, (int)hints[k].kind,
                             STR_A(json_to_text(&lab, x)));
                useful += !met;
            }
            matches += hit;
        }
        entity_query_release(&q);
        arena_reset(&lab);
    }
    assert_true(matches > 5000);
    assert_true(useful > matches); /* and they do narrow */
}

/* --- what hints are made --- */

static size_t hints_of(const char *text, const struct query_hint **out)
{
    struct entity_query q = {
        .q = query_parse_q(&lab, str_c(text), ld_core(), NULL, 0, &QUERY_DEFAULT, NULL)};
    assert_non_null(q.q);
    size_t n = query_hints(&lab, &q, out);
    entity_query_release(&q);
    return n;
}

static void hints_of_q(void **state)
{
    (void)state;
    const struct query_hint *h;
    assert_int_equal(hints_of("a>=1;b==\"x\"", &h), 2);
    assert_int_equal(h[0].kind, HINT_NUM);
    assert_true(str_eq(h[0].names[0], S(LD_DEFAULT_PREFIX "a")));
    assert_true(h[0].from == 1 && isinf(h[0].to));
    assert_int_equal(h[1].kind, HINT_TEXT);
    assert_true(str_eq(h[1].text_from, S("x")) && str_eq(h[1].text_to, S("x")));
    assert_int_equal(hints_of("a==1..5|a==9", &h), 1);
    assert_true(h[0].kind == HINT_NUM && h[0].from == 1 && h[0].to == 9);
    assert_int_equal(hints_of("a==1|b", &h), 1);
    assert_true(h[0].kind == HINT_ATTR && h[0].n_names == 2);
    assert_int_equal(hints_of("a==1|!b", &h), 0);
    assert_int_equal(hints_of("a<2024-01-01T00:00:00Z", &h), 1);
    assert_true(h[0].kind == HINT_TIME && isinf(h[0].from) && h[0].to == 1704067200e6);
    assert_int_equal(hints_of("a==true", &h), 1);
    assert_true(h[0].kind == HINT_BOOL && h[0].from == 1 && h[0].to == 1);
    assert_int_equal(hints_of("a==true,false", &h), 1);
    assert_int_equal(h[0].kind, HINT_ATTR);
    assert_int_equal(hints_of("a!=1;a.b==2;a[k]==3;a~=x", &h), 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(h[i].kind, HINT_ATTR);
    assert_int_equal(hints_of("createdAt>2024-01-01T00:00:00Z", &h), 0);
    assert_int_equal(hints_of("a>\"x\"", &h), 1);
    assert_true(h[0].kind == HINT_TEXT && !h[0].text_to.p);
}

struct tally {
    int n[4];
};

static void count_value(void *ctx, enum value_kind kind, double num, struct str text)
{
    (void)num;
    (void)text;
    ((struct tally *)ctx)->n[kind]++;
}

static void values_of_an_attribute(void **state)
{
    (void)state;
    struct tally t = {0};
    query_values(lab_json("[{'type': 'Property', 'value': [1, 'x', true, null, {'a': 1}, [2]]}, "
                          "{'type': 'Property', 'value': '2024-01-01T00:00:00Z'}, "
                          "{'type': 'Property', 'value': {'object': 'u', 'k': 5}}]"),
                 count_value, &t);
    assert_int_equal(t.n[VALUE_NUM], 1);
    assert_int_equal(t.n[VALUE_BOOL], 1);
    assert_int_equal(t.n[VALUE_TEXT], 2);
    assert_int_equal(t.n[VALUE_TIME], 1);
    query_values(NULL, count_value, &t);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, lab_open, lab_close)
    const struct CMUnitTest tests[] = {
        TEST(hints_of_q),
        TEST(values_of_an_attribute),
        TEST(hints_never_lose_a_match),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
