/* Scope queries. */
#include "query_lab.h"

static bool in_scope(const char *text, const char *scopes)
{
    struct error e = {0};
    const struct scope_node *s = query_parse_scope(&lab, str_c(text), &QUERY_DEFAULT, &e);
    if (!s)
        fail_msg("%s: %s", text, e.text);
    return query_scope_holds(s, *scopes ? lab_json(scopes) : NULL);
}

static enum err refused(const char *text)
{
    struct error e = {0};
    if (query_parse_scope(&lab, str_c(text), &QUERY_DEFAULT, &e))
        fail_msg("%s was accepted", text);
    return e.code;
}

static void exact(void **state)
{
    (void)state;
    assert_true(in_scope("/Madrid", "['/Madrid']"));
    assert_false(in_scope("/Madrid", "['/Madrid/Gardens']"));
    assert_false(in_scope("/Madrid/Gardens", "['/Madrid']"));
    assert_false(in_scope("/Mad", "['/Madrid']"));
    assert_true(in_scope("Madrid", "['/Madrid']"));
    assert_true(in_scope("/Madrid", "['/Lisbon', '/Madrid']"));
    assert_true(in_scope("/つくば/谷田部", "['/つくば/谷田部']"));
    assert_false(in_scope("/Madrid", "['/Madrid/']"));
    assert_false(in_scope("/Madrid", "'/Madrid'")); /* stored scopes are arrays */
    assert_false(in_scope("/Madrid", ""));
}

static void wildcards(void **state)
{
    (void)state;
    assert_true(in_scope("/Madrid/Gardens/#", "['/Madrid/Gardens']"));
    assert_true(in_scope("/Madrid/Gardens/#", "['/Madrid/Gardens/ParqueNorte/Parterre1']"));
    assert_false(in_scope("/Madrid/Gardens/#", "['/Madrid']"));
    assert_false(in_scope("/Madrid/Gardens/#", "['/Madrid/GardensX']"));
    assert_true(in_scope("/Madrid/+/ParqueNorte", "['/Madrid/Sights/ParqueNorte']"));
    assert_false(in_scope("/Madrid/+/ParqueNorte", "['/Madrid/ParqueNorte']"));
    assert_false(in_scope("/Madrid/+", "['/Madrid']"));
    assert_true(in_scope("/+/#", "['/a/b/c']"));
    assert_true(in_scope("/#", "['/a']"));
    assert_true(in_scope("#", "['/a/b']"));
    assert_false(in_scope("/#", ""));
    assert_false(in_scope("/#", "[]"));
    assert_false(in_scope("/#", "['/']"));
}

static void logic(void **state)
{
    (void)state;
    assert_true(in_scope("(/Madrid/Districts;/CompanyA)", "['/CompanyA', '/Madrid/Districts']"));
    assert_false(in_scope("(/Madrid/Districts;/CompanyA)", "['/CompanyA']"));
    assert_true(in_scope("(/Madrid/Districts;/CompanyA),CompanyB", "['/CompanyB']"));
    assert_true(in_scope("/a|/b", "['/b']"));
    assert_false(in_scope("(/a|/b);/c", "['/b']"));
}

static void bad_grammar(void **state)
{
    (void)state;
    static const char *const bad[] = {"",    "/",    "//",  "/a/", "/a//b", "/#/a",
                                      "/a#", "/a+b", "/a,", "(/a", "/a)",   "/a b",
                                      ",/a", "/++",  "/##", "/#;", "/a;;/b"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(refused(bad[i]), ERR_INVALID);
    struct buf deep = BUF_INIT;
    for (int i = 0; i < 100; i++)
        buf_char(&deep, '(');
    assert_int_equal(refused(deep.p), ERR_TOO_COMPLEX);
    buf_release(&deep);
}

static void many_levels(void **state)
{
    (void)state;
    struct buf path = BUF_INIT;
    for (int i = 0; i < 3000; i++)
        BUF_LIT(&path, "/a");
    assert_true(in_scope(path.p, arena_printf(&lab, "['%s']", path.p)));
    assert_false(in_scope(path.p, "['/a/a']"));
    buf_release(&path);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, lab_open, lab_close)
    const struct CMUnitTest tests[] = {
        TEST(exact), TEST(wildcards), TEST(logic), TEST(bad_grammar), TEST(many_levels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
