#include "multipart.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct arena arena = ARENA_INIT;
static const struct multipart_part *parts;
static size_t n_parts;
static struct error error;

static int teardown(void **state)
{
    (void)state;
    arena_release(&arena);
    return 0;
}

static enum err read_parts(const char *type, struct str body)
{
    parts = NULL;
    n_parts = 0;
    return multipart_read(&arena, str_c(type), body, &parts, &n_parts, &error);
}

#define TYPE "multipart/form-data; boundary=XyZ"

static void test_as_browsers_send_it(void **state)
{
    (void)state;
    struct str body =
        S("--XyZ\r\n"
          "Content-Disposition: form-data; name=\"kind\"\r\n"
          "\r\n"
          "shelter\r\n"
          "--XyZ\r\n"
          "Content-Disposition: form-data; name=\"file\"; filename=\"\xE6\x96\x87.csv\"\r\n"
          "Content-Type: text/csv\r\n"
          "\r\n"
          "a,b\r\n--Xy\r\n1,\0\r\n"
          "\r\n--XyZ\r\n"
          "content-disposition: FORM-DATA; name=empty\r\n"
          "\r\n"
          "\r\n--XyZ--\r\n");
    assert_int_equal(read_parts(TYPE, body), OK);
    assert_int_equal(n_parts, 3);
    assert_true(str_eq(parts[0].name, S("kind")));
    assert_null(parts[0].filename.p);
    assert_true(str_eq(parts[0].body, S("shelter")));
    assert_true(str_eq(parts[1].filename, S("\xE6\x96\x87.csv")));
    assert_true(str_eq(parts[1].type, S("text/csv")));
    assert_true(str_eq(parts[1].body, S("a,b\r\n--Xy\r\n1,\0\r\n")));
    assert_true(str_eq(parts[2].name, S("empty")));
    assert_int_equal(parts[2].body.n, 0);
}

static void test_preamble_and_none(void **state)
{
    (void)state;
    assert_int_equal(
        read_parts("multipart/form-data; charset=utf-8; boundary=\"XyZ\"",
                   S("ignored\r\n--XyZ  \r\nContent-Disposition: form-data; name=a\r\n\r\n1"
                     "\r\n--XyZ-- and ignored")),
        OK);
    assert_int_equal(n_parts, 1);
    assert_true(str_eq(parts[0].body, S("1")));
    assert_int_equal(read_parts(TYPE, S("--XyZ--")), OK);
    assert_int_equal(n_parts, 0);
}

static void assert_filename(const char *sent, const char *want)
{
    char body[512];
    snprintf(
        body, sizeof(body),
        "--XyZ\r\nContent-Disposition: form-data; name=\"a;b=c\"; filename=%s\r\n\r\nx\r\n--XyZ--",
        sent);
    assert_int_equal(read_parts(TYPE, str_c(body)), OK);
    assert_true(str_eq(parts[0].name, S("a;b=c")));
    if (!str_eq(parts[0].filename, str_c(want)))
        fail_msg("%s gives %" STR_F, sent, STR_A(parts[0].filename));
}

static void test_file_names(void **state)
{
    (void)state;
    assert_filename("\"a b.csv\"", "a b.csv");
    assert_filename("plain.csv", "plain.csv");
    assert_filename("\"a\\\"b.csv\"", "a\"b.csv");
    assert_filename("\"../../etc/passwd\"", "passwd");
    assert_filename("\"C:\\Users\\x\\d.csv\"", "d.csv");
    assert_filename("\"..\"", "..");
    assert_filename("\"\"", "");
}

static void test_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "no boundary",
        "--XyZ",
        "--XyZ\r\n",
        "--XyZ\r\nContent-Disposition: form-data; name=a\r\n\r\nnever ends",
        "--XyZ\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n--XyZ",
        "--XyZ\r\nContent-Disposition: form-data; name=a\r\nx\r\n--XyZ--",
        "--XyZ\r\nContent-Disposition: form-data\r\n\r\nx\r\n--XyZ--",
        "--XyZ\r\nContent-Disposition: attachment; name=a\r\n\r\nx\r\n--XyZ--",
        "--XyZ\r\nContent-Type: text/plain\r\n\r\nx\r\n--XyZ--",
        "--XyZ\r\n: form-data; name=a\r\n\r\nx\r\n--XyZ--",
        "--XyZ\r\nContent-Disposition: form-data; name=\"\xFF\"\r\n\r\nx\r\n--XyZ--",
        "--XyZjunk\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n--XyZ--",
        "--XyZ\r\n\r\n--XyZ--",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (read_parts(TYPE, str_c(bad[i])) != ERR_INVALID)
            fail_msg("taken: %s", bad[i]);
    struct str good = S("--XyZ--");
    assert_int_equal(read_parts("multipart/form-data", good), ERR_INVALID);
    assert_int_equal(read_parts("multipart/form-data; boundary=", good), ERR_INVALID);
    assert_int_equal(read_parts("multipart/form-data; boundary=\"", good), ERR_INVALID);
    assert_int_equal(read_parts("multipart/form-data; xboundary=XyZ", good), ERR_INVALID);
    char *type = malloc(200);
    assert_non_null(type);
    memset(type, 'b', 199);
    type[199] = '\0';
    memcpy(type, "multipart/form-data; boundary=", 30);
    assert_int_equal(read_parts(type, good), ERR_INVALID);
    free(type);
}

static void test_limits(void **state)
{
    (void)state;
    static const char part[] = "--XyZ\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n";
    size_t one = sizeof(part) - 1;
    char *body = malloc(one * 300 + 8);
    assert_non_null(body);
    for (size_t i = 0; i < 300; i++)
        memcpy(body + i * one, part, one);
    memcpy(body + 300 * one, "--XyZ--", 8);
    assert_int_equal(read_parts(TYPE, str_n(body, 300 * one + 7)), ERR_TOO_LARGE);
    free(body);
    static const char head[] = "--XyZ\r\nContent-Disposition: form-data; name=a\r\nX:";
    static const char tail[] = "\r\n\r\nbody\r\n--XyZ--";
    for (size_t n = 2000; n <= 20000; n += 18000) { /* a header line that is too long */
        body = malloc(n);
        assert_non_null(body);
        memset(body, 'h', n);
        memcpy(body, head, sizeof(head) - 1);
        memcpy(body + n - (sizeof(tail) - 1), tail, sizeof(tail) - 1);
        assert_int_equal(read_parts(TYPE, str_n(body, n)), n == 2000 ? OK : ERR_INVALID);
        free(body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_as_browsers_send_it, teardown),
        cmocka_unit_test_teardown(test_preamble_and_none, teardown),
        cmocka_unit_test_teardown(test_file_names, teardown),
        cmocka_unit_test_teardown(test_refused, teardown),
        cmocka_unit_test_teardown(test_limits, teardown),
    };
    return cmocka_run_group_tests_name("multipart", tests, NULL, NULL);
}
