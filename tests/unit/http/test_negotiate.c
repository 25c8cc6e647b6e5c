#include "negotiate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static int best(const char *accept, const char *a, const char *b, const char *c)
{
    const char *const offers[] = {a, b, c};
    size_t n = c ? 3 : b ? 2 : 1;
    return negotiate_type(str_c(accept), offers, n);
}

static void test_types(void **state)
{
    static const char json[] = "application/json", ld[] = "application/ld+json",
                      html[] = "text/html";
    (void)state;
    assert_int_equal(best(NULL, json, ld, html), 0);
    assert_int_equal(best("", json, ld, html), 0);
    assert_int_equal(best("*/*", json, ld, html), 0);
    assert_int_equal(best("application/ld+json", json, ld, html), 1);
    assert_int_equal(best("APPLICATION/LD+JSON", json, ld, html), 1);
    assert_int_equal(best("text/*", json, ld, html), 2);
    assert_int_equal(best("application/*;q=0.5, text/html", json, ld, html), 2);
    assert_int_equal(best("application/*, text/html", json, ld, html), 2); /* named beats range */
    assert_int_equal(best("application/json;q=0.2, application/ld+json;q=0.9", json, ld, NULL), 1);
    assert_int_equal(best("application/json;q=0, */*;q=0.1", json, ld, NULL), 1);
    assert_int_equal(best("image/png", json, ld, html), -1);
    assert_int_equal(best("application/json;q=0", json, NULL, NULL), -1);
    assert_int_equal(best("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", json,
                          html, NULL),
                     1);
    /* The closest range decides the weight, wherever it stands (RFC 9110 section 12.5.1). */
    assert_int_equal(best("*/*, application/json;q=0.1", json, html, NULL), 1);
    assert_int_equal(best("application/json;q=0.1, */*", json, html, NULL), 1);
}

static void test_parameters(void **state)
{
    (void)state;
    assert_int_equal(best("text/plain;version=0.0.4, text/plain", "text/plain;version=0.0.4",
                          "text/plain", NULL),
                     0);
    assert_int_equal(best("text/plain;version=1", "text/plain", NULL, NULL), -1);
    assert_int_equal(best("text/plain;a=\"x,y;q=0\";q=0.5, text/html", "text/html", NULL, NULL), 0);
    assert_int_equal(best("text/html; q=1.000", "text/html", NULL, NULL), 0);
}

static void test_malformed(void **state)
{
    static const char *const bad[] = {",,,", ";", "\"", "/", "q=1"};
    static const char *const weights[] = {"text/html;q=2",   "text/html;q=",   "text/html;q=0.1234",
                                          "text/html;q=1.5", "text/html;q=-1", "text/html;q=abc",
                                          "text/html;q=\"\\"};
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(best(bad[i], "text/html", NULL, NULL), -1);
    for (size_t i = 0; i < sizeof(weights) / sizeof(weights[0]); i++) /* as if there were none */
        assert_int_equal(best(weights[i], "text/html", NULL, NULL), 0);
}

static void test_http_accepts(void **state)
{
    (void)state;
    assert_true(http_accepts(S("text/html"), "text/html"));
    assert_false(http_accepts(S("text/plain"), "text/html"));
    assert_true(http_accepts(STR_NONE, "text/html"));
}

static void test_gzip(void **state)
{
    (void)state;
    assert_true(negotiate_gzip(S("gzip")));
    assert_true(negotiate_gzip(S("deflate, gzip;q=0.5")));
    assert_true(negotiate_gzip(S("*")));
    assert_true(negotiate_gzip(S("X-GZIP")));
    assert_false(negotiate_gzip(S("gzip;q=0, *")));
    assert_false(negotiate_gzip(S("gzip;q=0.0")));
    assert_false(negotiate_gzip(S("br")));
    assert_false(negotiate_gzip(STR_NONE)); /* absent: no coding is preferred */
    assert_false(negotiate_gzip(S("*;q=0")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),     cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_malformed), cmocka_unit_test(test_http_accepts),
        cmocka_unit_test(test_gzip),
    };
    return cmocka_run_group_tests_name("negotiate", tests, NULL, NULL);
}
