/* Type selection. */
#include "query_lab.h"

static bool selects(const char *text, const char *types)
{
    struct error e = {0};
    const struct type_node *t = query_parse_types(&lab, str_c(text), ld_core(), &QUERY_DEFAULT, &e);
    if (!t)
        fail_msg("%s: %s", text, e.text);
    return query_types_hold(t, lab_json(types));
}

static enum err refused(const char *text)
{
    struct error e = {0};
    if (query_parse_types(&lab, str_c(text), ld_core(), &QUERY_DEFAULT, &e))
        fail_msg("%s was accepted", text);
    return e.code;
}

static void lists_are_alternatives(void **state)
{
    (void)state;
    assert_true(selects("Car", "['D:Car']"));
    assert_false(selects("Car", "['D:Bus']"));
    assert_true(selects("Bus,Car", "['D:Car']"));
    assert_true(selects("Bus|Car", "['D:Car']"));
    assert_true(selects("Bus , Car", "['D:Car']"));
    assert_true(selects("Car", "['D:Vehicle', 'D:Car']"));
    assert_false(selects("Car", "[]"));
}

static void conjunctions(void **state)
{
    (void)state;
    assert_true(selects("(Car;Taxi)", "['D:Taxi', 'D:Car']"));
    assert_false(selects("(Car;Taxi)", "['D:Car']"));
    assert_true(selects("(Car;Taxi),Bus", "['D:Bus']"));
    assert_true(selects("Bus|(Car;Taxi)", "['D:Car', 'D:Taxi']"));
    assert_false(selects("(Bus|Car);Taxi", "['D:Car']"));
    assert_true(selects("(Bus|Car);Taxi", "['D:Car', 'D:Taxi']"));
    assert_true(selects("Bus,Car;Taxi", "['D:Bus']")); /* ';' binds tighter */
}

static void names_are_expanded(void **state)
{
    (void)state;
    assert_true(selects("https://example.org/v#Car", "['https://example.org/v#Car']"));
    assert_true(selects("避難所", "['D:避難所']"));
}

static void bad_grammar(void **state)
{
    (void)state;
    static const char *const bad[] = {"",    ",",  "A,",   ",A",    "(A",    "A)",  "()",
                                      "A B", "A;", "A||B", "\"A\"", "A\x01", "A;;B"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(refused(bad[i]), ERR_INVALID);
    assert_int_equal(refused("\xff"), ERR_INVALID);
    struct buf deep = BUF_INIT;
    for (int i = 0; i < 1000; i++)
        buf_char(&deep, '(');
    assert_int_equal(refused(deep.p), ERR_TOO_COMPLEX);
    buf_clear(&deep);
    for (int i = 0; i < 300; i++)
        BUF_LIT(&deep, "A,");
    BUF_LIT(&deep, "A");
    assert_int_equal(refused(deep.p), ERR_TOO_COMPLEX);
    buf_release(&deep);
}

static void wrong_types_member(void **state)
{
    (void)state;
    const struct type_node *t = query_parse_types(&lab, S("Car"), ld_core(), &QUERY_DEFAULT, NULL);
    assert_false(query_types_hold(t, NULL));
    assert_false(query_types_hold(t, lab_json("'D:Car'")));
    assert_false(query_types_hold(t, lab_json("[1, null]")));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, lab_open, lab_close)
    const struct CMUnitTest tests[] = {
        TEST(lists_are_alternatives), TEST(conjunctions),
        TEST(names_are_expanded),     TEST(bad_grammar),
        TEST(wrong_types_member),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
