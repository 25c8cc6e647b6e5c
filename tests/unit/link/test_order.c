/* orderBy: grammar and the order of keys (clause 4.23). */
#include "query_lab.h"

static struct order *parsed(const char *by, const char *collation, const char *from)
{
    struct error e = {0};
    struct order_texts t = {.by = str_c(by),
                            .collation = collation ? str_c(collation) : STR_NONE,
                            .coordinates = from ? str_c(from) : STR_NONE};
    struct order *o = order_parse(&lab, &t, ld_core(), &QUERY_DEFAULT, &e);
    if (!o)
        fail_msg("%s: %s", by, e.text);
    return o;
}

static struct str key(const struct order *o, const char *attrs)
{
    struct buf b = BUF_INIT;
    order_key(o, lab_entity(attrs), &b);
    struct str k = buf_dup(&b, &lab);
    buf_release(&b);
    return k;
}

/* Each entity stands before the next. */
static void in_order(const struct order *o, const char *const *entities)
{
    for (; entities[1]; entities++)
        if (str_cmp(key(o, entities[0]), key(o, entities[1])) >= 0)
            fail_msg("%s does not stand before %s", entities[0], entities[1]);
}

#define V(value) "'D:a': [{'type': 'Property', 'value': " value "}]"
#define W(value) "'D:b': [{'type': 'Property', 'value': " value "}]"
#define GEO(x, y)                                                                                  \
    "'D:a': [{'type': 'GeoProperty', 'value': {'type': 'Point', 'coordinates': [" x ", " y "]}}]"

static void kinds_have_ranks(void **state)
{
    (void)state;
    static const char *const rising[] = {V("-1e300"),
                                         V("-2"),
                                         V("-0.5"),
                                         V("0"),
                                         V("0.5"),
                                         V("10"),
                                         V("1e300"),
                                         V("'Apple'"),
                                         V("'banana'"),
                                         V("'Zebra'"),
                                         V("{'x': 1}"),
                                         V("[1, 2]"),
                                         V("false"),
                                         V("true"),
                                         V("'08:00:00Z'"),
                                         V("'09:00:00Z'"),
                                         V("'2026-01-01'"),
                                         V("'2026-01-02'"),
                                         V("'2026-01-01T00:00:00Z'"),
                                         V("'2026-01-01T00:00:01Z'"),
                                         W("1"),
                                         NULL};
    struct order *o = parsed("a", NULL, NULL);
    in_order(o, rising);
    order_release(o);
}

static void descending_leaves_the_absent_last(void **state)
{
    (void)state;
    static const char *const falling[] = {V("'b'"), V("'a'"), V("3"), V("2"), W("1"), NULL};
    struct order *o = parsed("a;desc", NULL, NULL);
    in_order(o, falling);
    order_release(o);
}

static void several_terms(void **state)
{
    (void)state;
    static const char *const entities[] = {V("1") "," W("2"), V("1") "," W("1"),
                                           V("1.5") "," W("9"), V("'x'") "," W("3"), NULL};
    struct order *o = parsed("a,b;desc", NULL, NULL);
    in_order(o, entities);
    order_release(o);
    /* the end of one piece is not mistaken for the next: "ab" stands behind "a", whatever b */
    static const char *const texts[] = {V("'a'") "," W("'z'"), V("'ab'") "," W("'a'"), NULL};
    o = parsed("a;asc , b;asc", NULL, NULL);
    in_order(o, texts);
    order_release(o);
}

static void collations_decide(void **state)
{
    (void)state;
    static const char *const swedish[] = {V("'zebra'"), V("'ärlig'"), NULL};
    static const char *const german[] = {V("'ärlig'"), V("'zebra'"), NULL};
    struct order *o = parsed("a", "sv", NULL);
    in_order(o, swedish);
    order_release(o);
    o = parsed("a", "de", NULL);
    in_order(o, german);
    order_release(o);
}

static void distances(void **state)
{
    (void)state;
    static const char *const near_first[] = {
        GEO("140.0", "36.0"), GEO("140.1", "36.1"), GEO("141", "37"), V("1"), W("1"), NULL};
    static const char *const far_first[] = {GEO("141", "37"), GEO("140.1", "36.1"),
                                            GEO("140.0", "36.0"), W("1"), NULL};
    struct order *o = parsed("a;dist-asc", NULL, "[140,36]");
    in_order(o, near_first);
    order_release(o);
    o = parsed("a;dist-desc", NULL, "[140,36]");
    in_order(o, far_first);
    order_release(o);
}

static void what_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",           ",",          "a,",    "a;up",
                                        "a;",         "a b",        "a[",    "a[x",
                                        "a;asc;desc", "a;dist-asc", "a\xff", "a;dist-up"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct error e = {0};
        struct order_texts t = {.by = str_c(wrong[i])};
        if (order_parse(&lab, &t, ld_core(), &QUERY_DEFAULT, &e))
            fail_msg("%s was accepted", wrong[i]);
        assert_int_equal(e.code, ERR_INVALID);
        assert_true(e.text[0] != 0);
    }
    struct error e = {0};
    struct order_texts t = {.by = S("a"), .collation = S("no such language")};
    assert_null(order_parse(&lab, &t, ld_core(), &QUERY_DEFAULT, &e));
    t = (struct order_texts){.by = S("a;dist-asc"), .coordinates = S("[1")};
    assert_null(order_parse(&lab, &t, ld_core(), &QUERY_DEFAULT, &e));
    struct buf many = BUF_INIT;
    for (int i = 0; i < 17; i++)
        buf_printf(&many, "%sa%d", i ? "," : "", i);
    t = (struct order_texts){.by = buf_view(&many)};
    assert_null(order_parse(&lab, &t, ld_core(), &QUERY_DEFAULT, &e));
    buf_release(&many);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, lab_open, lab_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(kinds_have_ranks), TEST(descending_leaves_the_absent_last),
        TEST(several_terms),    TEST(collations_decide),
        TEST(distances),        TEST(what_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
