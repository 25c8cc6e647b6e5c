/* The order of texts by collations, and what is no collation. */
#include "core/collate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static int compare(const struct collation *c, struct str x, struct str y)
{
    struct buf a = BUF_INIT, b = BUF_INIT;
    collation_key(c, x, &a);
    collation_key(c, y, &b);
    assert_int_equal(a.p[a.n - 1], 0);
    assert_int_equal(strlen(a.p), a.n - 1);
    int order = str_cmp(buf_view(&a), buf_view(&b));
    buf_release(&a);
    buf_release(&b);
    return order;
}

static void root_order_is_that_of_people(void **state)
{
    (void)state;
    struct error e = {0};
    struct collation *c = collation_open(STR_NONE, &e);
    assert_non_null(c);
    assert_true(compare(c, S("A"), S("á")) < 0);
    assert_true(compare(c, S("á"), S("b")) < 0);
    assert_true(compare(c, S("Zebra"), S("apple")) > 0);
    assert_true(compare(c, S(""), S("a")) < 0);
    assert_true(compare(c, S("同じ"), S("同じ")) == 0);
    assert_true(compare(c, S("\xf0\x9f\x98\x80"), S("a")) != 0);
    collation_free(c);
}

static void tags_change_the_order(void **state)
{
    (void)state;
    struct error e = {0};
    struct collation *phonebook = collation_open(S("de-u-co-phonebk"), &e);
    struct collation *german = collation_open(S("de"), &e);
    struct collation *first = collation_open(S("und-u-ks-level1"), &e);
    assert_true(phonebook && german && first);
    assert_true(compare(german, S("\xc3\x84rger"), S("Afrika")) > 0);
    assert_true(compare(phonebook, S("\xc3\x84rger"), S("Afrika")) < 0); /* as Aerger */
    assert_true(compare(first, S("A"), S("a")) == 0);
    collation_free(phonebook);
    collation_free(german);
    collation_free(first);
}

static void what_is_no_collation(void **state)
{
    (void)state;
    static const char *const tags[] = {"!!nope", "x y", "de-u-co-nonsense",
                                       "a-tag-that-goes-on-and-on-and-on-and-on-and-on-and-on-and-"
                                       "on-and-on-and-on-and-on-and-on-and-on-and-on-and-on"};
    for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
        struct error e = {0};
        assert_null(collation_open(str_c(tags[i]), &e));
        assert_int_equal(e.code, ERR_INVALID);
    }
    collation_free(NULL);
}

static void long_texts_are_cut(void **state)
{
    (void)state;
    struct error e = {0};
    static char x[3 * COLLATE_MAX_CHARS], y[3 * COLLATE_MAX_CHARS];
    struct collation *c = collation_open(S("und"), &e);
    memset(x, 'a', sizeof(x));
    memset(y, 'a', sizeof(y));
    y[COLLATE_MAX_CHARS + 1] = 'b';
    assert_true(compare(c, str_n(x, sizeof(x)), str_n(y, sizeof(y))) == 0);
    y[COLLATE_MAX_CHARS - 1] = 'b';
    assert_true(compare(c, str_n(x, sizeof(x)), str_n(y, sizeof(y))) < 0);
    collation_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(root_order_is_that_of_people),
        cmocka_unit_test(tags_change_the_order),
        cmocka_unit_test(what_is_no_collation),
        cmocka_unit_test(long_texts_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
