#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/config.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct options {
    int64_t deadline;
    int64_t body;
    bool gzip;
    const char *host;
    const char *password;
};

static const struct config_key keys[] = {
    CONFIG_INT("http.deadline_s", struct options, deadline, 10, 1, 600, "seconds | to wait"),
    CONFIG_SIZE("http.max_body", struct options, body, "2m", 0, 1 << 30, "bytes of a body"),
    CONFIG_BOOL("http.gzip", struct options, gzip, "true", "compress answers"),
    CONFIG_STR("http.host", struct options, host, "localhost", "name of the host"),
    CONFIG_SECRET("http.password", struct options, password, "hunter2", "for the database"),
};
static const struct config_table table = {"http", keys, sizeof(keys) / sizeof(keys[0])};
static const struct config_table *const tables[] = {&table};

struct fixture {
    struct arena a;
    struct options o;
    struct error e;
    char path[64];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    snprintf(f->path, sizeof(f->path), "/tmp/test_config_XXXXXX");
    int fd = mkstemp(f->path);
    if (fd < 0)
        return -1;
    close(fd);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    unlink(f->path);
    arena_release(&f->a);
    free(f);
    return 0;
}

static enum err load(struct fixture *f, const char *text, const char *const *env, const char *arg)
{
    if (text) {
        FILE *out = fopen(f->path, "wb");
        assert_non_null(out);
        fputs(text, out);
        fclose(out);
    }
    struct config_bind bind = {&table, &f->o};
    struct str args[] = {str_c(arg)};
    return config_load(&f->a, &bind, 1, text ? f->path : NULL, (char **)(uintptr_t)env, args,
                       arg ? 1 : 0, &f->e);
}

static void test_defaults(void **state)
{
    struct fixture *f = *state;
    struct config_bind bind = {&table, &f->o};
    config_defaults(&bind);
    assert_int_equal(f->o.deadline, 10);
    assert_int_equal(f->o.body, 2 << 20);
    assert_true(f->o.gzip);
    assert_string_equal(f->o.host, "localhost");
}

static void test_later_wins(void **state)
{
    struct fixture *f = *state;
    const char *const env[] = {"PATH=/bin", "MARUGOTO_HTTP_MAX_BODY=3k", "MARUGOTO_HTTP_HOST=env",
                               NULL};
    assert_int_equal(load(f,
                          "\xEF\xBB\xBF# comment\r\n\r\n http.deadline_s = 20\r\n"
                          "http.max_body=1k\nhttp.host = file = 1 # 2",
                          env, "http.host=args"),
                     OK);
    assert_int_equal(f->o.deadline, 20);
    assert_int_equal(f->o.body, 3072);
    assert_string_equal(f->o.host, "args");
    assert_int_equal(load(f, "http.host = file = 1 # 2\nhttp.gzip = OFF", NULL, NULL), OK);
    assert_string_equal(f->o.host, "file = 1 # 2");
    assert_false(f->o.gzip);
}

static void test_errors_name_the_source(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *file, *expect;
    } files[] = {{"\n\nhttp.deadline_s = 601", ":3: http.deadline_s: expected a value within"},
                 {"http.deadline_s = 0", "(1 to 600), not \"0\""},
                 {"http.deadline_s = 1x", "expected a whole number"},
                 {"http.deadline_s =", "expected a whole number"},
                 {"http.deadlines = 1", ":1: unknown name \"http.deadlines\""},
                 {"http.deadline_s", "expected \"name = value\""},
                 {"http.max_body = 9g", "within its bounds"},
                 {"http.max_body = 99999999999999999g", "number of bytes"},
                 {"http.max_body = k", "number of bytes"},
                 {"http.max_body = -1", "within its bounds"},
                 {"http.gzip = maybe", "expected true or false, not \"maybe\""}};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        assert_int_equal(load(f, files[i].file, NULL, NULL), ERR_INVALID);
        assert_non_null(strstr(f->e.text, f->path));
        assert_non_null(strstr(f->e.text, files[i].expect));
    }
    assert_int_equal(load(f, NULL, NULL, "http.x=1"), ERR_INVALID);
    assert_non_null(strstr(f->e.text, "command line: unknown name"));
    assert_int_equal(load(f, NULL, NULL, "nonsense"), ERR_INVALID);
}

static void test_environment(void **state)
{
    struct fixture *f = *state;
    const char *const other[] = {"MARUGOTO_SHARED=/x", "MARUGOTO_HTTPS=1", "MARUGOTO_",
                                 "MARUGOTO=", NULL};
    assert_int_equal(load(f, NULL, other, NULL), OK);
    const char *const unknown[] = {"MARUGOTO_HTTP_DEADLINES=1", NULL};
    assert_int_equal(load(f, NULL, unknown, NULL), ERR_INVALID);
    assert_non_null(strstr(f->e.text, "MARUGOTO_HTTP_DEADLINES"));
    const char *const bad[] = {"MARUGOTO_HTTP_DEADLINE_S=x", NULL};
    assert_int_equal(load(f, NULL, bad, NULL), ERR_INVALID);
    assert_non_null(strstr(f->e.text, "environment: http.deadline_s"));
}

static void test_secret_from_file(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(load(f, "s3cret\n", NULL, NULL), ERR_INVALID); /* only to write the file */
    char arg[128];
    snprintf(arg, sizeof(arg), "http.password=file:%s", f->path);
    assert_int_equal(load(f, NULL, NULL, arg), OK);
    assert_string_equal(f->o.password, "s3cret");
    snprintf(arg, sizeof(arg), "http.host=file:%s", f->path); /* not a secret: kept as it is */
    assert_int_equal(load(f, NULL, NULL, arg), OK);
    assert_int_equal(strncmp(f->o.host, "file:/tmp/", 10), 0);
    assert_int_equal(load(f, NULL, NULL, "http.password=file:/nonexistent/x"), ERR_IO);
    assert_int_equal(load(f, NULL, NULL, "http.password=file:/tmp"), ERR_IO);
}

static void write_zeros(const char *path, size_t n)
{
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    for (size_t i = 0; i < n; i++)
        fputc(0, out);
    fclose(out);
}

static void test_hostile_files(void **state)
{
    struct fixture *f = *state;
    struct config_bind bind = {&table, &f->o};
    char arg[128];
    snprintf(arg, sizeof(arg), "http.password=file:%s", f->path);
    write_zeros(f->path, 3);
    assert_int_equal(load(f, NULL, NULL, arg), ERR_INVALID);
    assert_non_null(strstr(f->e.text, "NUL"));
    write_zeros(f->path, 65 * 1024);
    assert_int_equal(load(f, NULL, NULL, arg), ERR_TOO_LARGE);
    write_zeros(f->path, 1024 * 1024 + 1);
    assert_int_equal(config_load(&f->a, &bind, 1, f->path, NULL, NULL, 0, &f->e), ERR_TOO_LARGE);
}

static void test_missing_file(void **state)
{
    struct fixture *f = *state;
    struct config_bind bind = {&table, &f->o};
    assert_int_equal(config_load(&f->a, &bind, 1, "/nonexistent/marugoto.conf", NULL, NULL, 0,
                                 &f->e),
                     ERR_IO);
    assert_non_null(strstr(f->e.text, "/nonexistent/marugoto.conf"));
}

static void test_documentation(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    config_help(&b, tables, 1);
    assert_true(str_find(buf_view(&b), S("--http.deadline_s=10\n")) >= 0);
    assert_true(str_find(buf_view(&b), S("hunter2")) < 0);
    buf_clear(&b);
    config_markdown(&b, tables, 1);
    assert_true(str_starts(buf_view(&b), S("## http\n\n| name |")));
    assert_true(str_find(buf_view(&b), S("| `http.deadline_s` | `MARUGOTO_HTTP_DEADLINE_S` | `10` "
                                         "| 1 to 600 | seconds \\| to wait |\n")) >= 0);
    assert_true(str_find(buf_view(&b), S("hunter2")) < 0);
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_defaults, setup, teardown),
        cmocka_unit_test_setup_teardown(test_later_wins, setup, teardown),
        cmocka_unit_test_setup_teardown(test_errors_name_the_source, setup, teardown),
        cmocka_unit_test_setup_teardown(test_environment, setup, teardown),
        cmocka_unit_test_setup_teardown(test_secret_from_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hostile_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_missing_file, setup, teardown),
        cmocka_unit_test(test_documentation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
