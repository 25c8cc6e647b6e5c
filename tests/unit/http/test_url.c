#include "url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

static struct arena arena = ARENA_INIT;

static int teardown(void **state)
{
    (void)state;
    arena_release(&arena);
    return 0;
}

static void assert_decodes(const char *from, bool plus, const char *to)
{
    struct str s = url_decode(&arena, str_c(from), plus);
    assert_non_null(s.p);
    if (!str_eq(s, str_c(to)))
        fail_msg("%s gives \"%" STR_F "\"", from, STR_A(s));
}

static void test_decode(void **state)
{
    (void)state;
    assert_decodes("", false, "");
    assert_decodes("abc", false, "abc");
    assert_decodes("%61%62%63", false, "abc");
    assert_decodes("a+b", false, "a+b");
    assert_decodes("a+b%2B", true, "a b+");
    assert_decodes("%e3%81%82", false, "\xE3\x81\x82");
    assert_int_equal(url_decode(&arena, S("%00"), false).n, 1);
    assert_non_null(url_decode(&arena, STR_NONE, false).p);
    static const char *const bad[] = {"%", "%1", "a%", "a%4", "%zz", "%1g", "%%41", "a%4%41"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_null(url_decode(&arena, str_c(bad[i]), false).p);
}

static void test_encode(void **state)
{
    (void)state;
    struct str s = url_encode(&arena, S("aZ09-._~ /:\xE3\x81\x82%"));
    assert_true(str_eq(s, S("aZ09-._~%20%2F%3A%E3%81%82%25")));
    char all[256];
    for (int i = 0; i < 256; i++)
        all[i] = (char)i;
    struct str back = url_decode(&arena, url_encode(&arena, str_n(all, 256)), true);
    assert_true(str_eq(back, str_n(all, 256)));
}

static void test_escape(void **state)
{
    (void)state;
    assert_true(str_eq(html_escape(&arena, S("<a href=\"x\">'&'</a>")),
                       S("&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;")));
    assert_true(str_eq(html_escape(&arena, S("plain")), S("plain")));
    assert_non_null(html_escape(&arena, STR_NONE).p);
}

static void test_pairs(void **state)
{
    const struct http_pair *p;
    (void)state;
    assert_int_equal(url_pairs(&arena, S("a=1&b=x+y%21&&c&=d&a=2&e=%zz"), &p), 6);
    assert_true(str_eq(p[0].name, S("a")) && str_eq(p[0].value, S("1")));
    assert_true(str_eq(p[1].value, S("x y!")));
    assert_true(str_eq(p[2].name, S("c")) && p[2].value.p && p[2].value.n == 0);
    assert_true(p[3].name.n == 0 && str_eq(p[3].value, S("d")));
    assert_true(str_eq(p[4].value, S("2")));
    assert_true(str_eq(p[5].value, S("%zz"))); /* does not decode: as sent */
    assert_int_equal(url_pairs(&arena, S(""), &p), 0);
    assert_int_equal(url_pairs(&arena, STR_NONE, &p), 0);
    char *many = malloc(40000);
    assert_non_null(many);
    for (int i = 0; i < 10000; i++)
        memcpy(many + 4 * i, "a=b&", 4);
    assert_int_equal(url_pairs(&arena, str_n(many, 40000), &p), URL_PAIRS_MAX);
    free(many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_decode, teardown),
        cmocka_unit_test_teardown(test_encode, teardown),
        cmocka_unit_test_teardown(test_escape, teardown),
        cmocka_unit_test_teardown(test_pairs, teardown),
    };
    return cmocka_run_group_tests_name("url", tests, NULL, NULL);
}
