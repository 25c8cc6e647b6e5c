#include "conditional.h"
#include "exchange.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

/* A request as the server would have made it, without a server. */
struct fixture {
    struct exchange x;
    struct http_header headers[8];
};

static struct fixture f;

static int setup(void **state)
{
    (void)state;
    memset(&f, 0, sizeof(f));
    f.x.req.arena = &f.x.arena;
    f.x.req.impl = &f.x;
    f.x.headers = f.headers;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_release(&f.x.arena);
    return 0;
}

static void send_header(const char *name, const char *value)
{
    f.headers[f.x.n_headers++] = (struct http_header){str_c(name), str_c(value)};
}

static void replace_header(const char *name, const char *value)
{
    f.x.n_headers = 0;
    send_header(name, value);
}

static void test_headers(void **state)
{
    (void)state;
    send_header("Link", "<a>");
    send_header("LINK", "<b>");
    assert_true(str_eq(request_header(&f.x.req, "link"), S("<a>")));
    assert_true(str_eq(request_header_all(&f.x.req, "link"), S("<a>, <b>")));
    assert_null(request_header(&f.x.req, "Lin").p);
    assert_null(request_header_all(&f.x.req, "X").p);
}

static void test_content_type(void **state)
{
    (void)state;
    assert_null(request_content_type(&f.x.req).p);
    send_header("Content-Type", "Application/LD+json ; charset=UTF-8");
    assert_true(str_eq(request_content_type(&f.x.req), S("application/ld+json")));
}

static void test_query_and_form(void **state)
{
    const struct http_pair *pairs;
    (void)state;
    f.x.req.query = S("a=1&a=2&flag&q=name%3D%3D%22x%22");
    assert_true(str_eq(request_query(&f.x.req, "a"), S("1")));
    assert_true(request_query(&f.x.req, "flag").p && request_query(&f.x.req, "flag").n == 0);
    assert_true(str_eq(request_query(&f.x.req, "q"), S("name==\"x\"")));
    assert_null(request_query(&f.x.req, "none").p);
    assert_int_equal(request_query_all(&f.x.req, &pairs), 4);
    f.x.req.body = S("name=%E3%81%82+b&x=");
    assert_int_equal(request_form(&f.x.req, &pairs), 0); /* not declared as a form */
    f.x.form_read = false;
    send_header("Content-Type", "application/x-www-form-urlencoded");
    assert_int_equal(request_form(&f.x.req, &pairs), 2);
    assert_true(str_eq(pairs[0].value, S("\xE3\x81\x82 b")));
}

static void test_cookies(void **state)
{
    (void)state;
    send_header("Cookie", "a=1; session=x=y; b=\"quoted\";c=");
    send_header("Cookie", "d=4");
    assert_true(str_eq(request_cookie(&f.x.req, "session"), S("x=y")));
    assert_true(str_eq(request_cookie(&f.x.req, "b"), S("quoted")));
    assert_true(request_cookie(&f.x.req, "c").p && request_cookie(&f.x.req, "c").n == 0);
    assert_true(str_eq(request_cookie(&f.x.req, "d"), S("4")));
    assert_null(request_cookie(&f.x.req, "ession").p);
    assert_null(request_cookie(&f.x.req, "Session").p);
}

static void test_params(void **state)
{
    (void)state;
    struct http_pair params[] = {{S("id"), S("urn:x")}, {S("z"), S("12")}};
    f.x.params = params;
    f.x.n_params = 2;
    assert_true(str_eq(request_param(&f.x.req, "id"), S("urn:x")));
    assert_int_equal(request_param_int(&f.x.req, "z"), 12);
    assert_int_equal(request_param_int(&f.x.req, "id"), -1);
    assert_null(request_param(&f.x.req, "none").p);
}

static void test_if_match(void **state)
{
    (void)state;
    assert_true(request_if_match(&f.x.req, S("\"1\"")));
    send_header("If-Match", "\"0\", \"1\"");
    assert_true(request_if_match(&f.x.req, S("\"1\"")));
    assert_false(request_if_match(&f.x.req, S("\"2\"")));
    assert_false(request_if_match(&f.x.req, STR_NONE));
    replace_header("If-Match", "W/\"1\""); /* what a compressed answer said */
    assert_true(request_if_match(&f.x.req, S("\"1\"")));
    replace_header("If-Match", "*");
    assert_true(request_if_match(&f.x.req, S("\"2\"")));
    assert_false(request_if_match(&f.x.req, STR_NONE));
    replace_header("If-Match", "\"a,b\"");
    assert_true(request_if_match(&f.x.req, S("\"a,b\"")));
    assert_false(request_if_match(&f.x.req, S("\"a\"")));
    replace_header("If-Match", "\"unclosed");
    assert_false(request_if_match(&f.x.req, S("\"unclosed\"")));
}

static void assert_range(const char *range, uint64_t size, enum range_kind kind, uint64_t from,
                         uint64_t n)
{
    uint64_t got_from = 0, got_n = 0;
    replace_header("Range", range);
    if (conditional_range(&f.x.req, S("\"e\""), 0, size, &got_from, &got_n) != kind)
        fail_msg("%s", range);
    if (kind == RANGE_ONE) {
        assert_int_equal(got_from, from);
        assert_int_equal(got_n, n);
    }
}

static void test_ranges(void **state)
{
    (void)state;
    assert_range("bytes=0-0", 10, RANGE_ONE, 0, 1);
    assert_range("bytes=2-", 10, RANGE_ONE, 2, 8);
    assert_range("bytes=2-99999999999", 10, RANGE_ONE, 2, 8);
    assert_range("bytes=-3", 10, RANGE_ONE, 7, 3);
    assert_range("bytes=-30", 10, RANGE_ONE, 0, 10);
    assert_range("bytes=10-", 10, RANGE_BAD, 0, 0);
    assert_range("bytes=-0", 10, RANGE_BAD, 0, 0);
    assert_range("bytes=-5", 0, RANGE_BAD, 0, 0);
    assert_range("bytes=5-2", 10, RANGE_NONE, 0, 0);
    assert_range("bytes=1-2,4-5", 10, RANGE_NONE, 0, 0);
    assert_range("bytes=-", 10, RANGE_NONE, 0, 0);
    assert_range("bytes=a-b", 10, RANGE_NONE, 0, 0);
    assert_range("bytes=99999999999999999999-", 10, RANGE_NONE, 0, 0);
    assert_range("items=0-1", 10, RANGE_NONE, 0, 0);
    assert_range("bytes", 10, RANGE_NONE, 0, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_headers), TEST(test_content_type), TEST(test_query_and_form), TEST(test_cookies),
        TEST(test_params),  TEST(test_if_match),     TEST(test_ranges),
    };
    return cmocka_run_group_tests_name("request", tests, NULL, NULL);
}
