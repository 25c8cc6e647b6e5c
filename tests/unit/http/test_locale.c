#include "http/locale.h"

#include "core/datetime.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    struct arena arena;
    char dir[64];
    struct error e;
    struct locales *l;
};

static void put(struct fixture *f, const char *file, const char *text)
{
    FILE *out = fopen(arena_printf(&f->arena, "%s/%s", f->dir, file), "w");
    assert_non_null(out);
    assert_int_equal(fputs(text, out) >= 0, 1);
    assert_int_equal(fclose(out), 0);
}

/* One catalogue: the three keys about the language and the given members. */
static void put_catalogue(struct fixture *f, const char *tag, const char *path, const char *members)
{
    put(f, arena_printf(&f->arena, "%s.json", tag),
        arena_printf(&f->arena, "{\"@name\":\"name of %s\",\"@path\":\"%s\",\"@html\":\"%s\"%s%s}",
                     tag, path, tag, *members ? "," : "", members));
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    memcpy(f->dir, "/tmp/test-locale-XXXXXX", 24);
    assert_non_null(mkdtemp(f->dir));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    static const char *const files[] = {"ja", "ja-x-yasashii", "en", "zh-Hans", "ko", "vi", "pt",
                                        "fr"};
    struct fixture *f = *state;
    locales_free(f->l);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        unlink(arena_printf(&f->arena, "%s/%s.json", f->dir, files[i]));
    rmdir(f->dir);
    arena_release(&f->arena);
    free(f);
    return 0;
}

/* All seven languages with the same members. */
static void load_all(struct fixture *f, const char *members)
{
    put_catalogue(f, "ja", "ja", members);
    put_catalogue(f, "ja-x-yasashii", "easy", members);
    put_catalogue(f, "en", "en", members);
    put_catalogue(f, "zh-Hans", "zh", members);
    put_catalogue(f, "ko", "ko", members);
    put_catalogue(f, "vi", "vi", members);
    put_catalogue(f, "pt", "pt", members);
    f->l = locales_load(f->dir, &f->e);
    if (!f->l)
        fail_msg("%s", f->e.text);
}

static const struct locale *in(struct fixture *f, const char *path)
{
    const struct locale *l = locales_by_path(f->l, str_c(path));
    assert_non_null(l);
    return l;
}

static void check(struct str got, const char *want)
{
    if (!str_eq(got, str_c(want)))
        fail_msg("got \"%" STR_F "\", want \"%s\"", STR_A(got), want);
}

static void check_text(struct fixture *f, const char *path, const char *key, const char *args,
                       const char *want)
{
    const struct json *v = args ? json_parse(&f->arena, str_c(args), &JSON_DEFAULT, NULL) : NULL;
    assert_true(!args || v);
    check(locale_text(in(f, path), &f->arena, str_c(key), v), want);
}

/* The only text of ja.json; it must be refused with a message that holds `why`. */
static void check_refused(struct fixture *f, const char *text, const char *why)
{
    put_catalogue(f, "ja", "ja", arena_printf(&f->arena, "\"home.x\":\"%s\"", text));
    f->l = locales_load(f->dir, &f->e);
    if (f->l)
        fail_msg("accepted: %s", text);
    assert_int_equal(f->e.code, ERR_INVALID);
    if (!strstr(f->e.text, why) || !strstr(f->e.text, "ja.json: home.x: "))
        fail_msg("\"%s\": got \"%s\", want \"%s\"", text, f->e.text, why);
}

static void test_languages(void **state)
{
    struct fixture *f = *state;
    load_all(f, "\"a\":\"x\"");
    assert_int_equal(locales_count(f->l), 7);
    check(locales_at(f->l, 0)->tag, "ja");
    check(locales_at(f->l, 1)->tag, "ja-x-yasashii");
    check(locales_at(f->l, 6)->tag, "pt");
    assert_null(locales_at(f->l, 7));
    check(in(f, "zh")->tag, "zh-Hans");
    check(in(f, "zh")->html, "zh-Hans");
    check(in(f, "zh")->name, "name of zh-Hans");
    assert_null(locales_by_path(f->l, S("zh-Hans")));
    assert_null(locales_by_path(f->l, S("")));
}

static void test_numbers(void **state)
{
    static const struct {
        const char *number, *comma, *point;
    } cases[] = {
        {"0", "0", "0"},
        {"12", "12", "12"},
        {"123", "123", "123"},
        {"1234.5", "1,234.5", "1.234,5"},
        {"-1234", "-1,234", "-1.234"},
        {"-123", "-123", "-123"},
        {"1234567.10", "1,234,567.10", "1.234.567,10"},
        {"12345678901234567890", "12,345,678,901,234,567,890", "12.345.678.901.234.567.890"},
        {"1e3", "1,000", "1.000"},
        {"1.5E+3", "1,500", "1.500"},
        {"15e-1", "1.5", "1,5"},
        {"5e-3", "0.005", "0,005"},
        {"0.05e1", "0.5", "0,5"},
        {"0e40", "0", "0"},
        {"1e9999999999999999999", "1e9999999999999999999", "1e9999999999999999999"},
        {"1e41", "1e41", "1e41"},
        {"abc", "abc", "abc"},
        {"", "", ""},
        {"-", "-", "-"},
        {"1.", "1.", "1."},
        {"1,5", "1,5", "1,5"},
    };
    struct fixture *f = *state;
    load_all(f, "");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct str n = str_c(cases[i].number);
        check(locale_number(in(f, "ja"), &f->arena, n), cases[i].comma);
        check(locale_number(in(f, "easy"), &f->arena, n), cases[i].comma);
        check(locale_number(in(f, "en"), &f->arena, n), cases[i].comma);
        check(locale_number(in(f, "zh"), &f->arena, n), cases[i].comma);
        check(locale_number(in(f, "ko"), &f->arena, n), cases[i].comma);
        check(locale_number(in(f, "vi"), &f->arena, n), cases[i].point);
        check(locale_number(in(f, "pt"), &f->arena, n), cases[i].point);
    }
}

static void test_dates(void **state)
{
    static const struct {
        const char *path, *date, *datetime, *new_year;
    } cases[] = {
        {"ja", "2026年11月23日", "2026年11月23日 14:05", "2027年1月1日"},
        {"easy", "2026年11月23日", "2026年11月23日 14:05", "2027年1月1日"},
        {"en", "23 Nov 2026", "23 Nov 2026, 14:05", "1 Jan 2027"},
        {"zh", "2026年11月23日", "2026年11月23日 14:05", "2027年1月1日"},
        {"ko", "2026년 11월 23일", "2026년 11월 23일 14:05", "2027년 1월 1일"},
        {"vi", "23/11/2026", "14:05 23/11/2026", "01/01/2027"},
        {"pt", "23/11/2026", "23/11/2026, 14:05", "01/01/2027"},
    };
    struct fixture *f = *state;
    load_all(f, "");
    int64_t at, eve;
    assert_true(datetime_parse(S("2026-11-23T05:05:59.9Z"), &at));
    assert_true(datetime_parse(S("2026-12-31T15:00:00Z"), &eve)); /* midnight in Japan */
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct locale *l = in(f, cases[i].path);
        check(locale_date(l, &f->arena, at), cases[i].date);
        check(locale_datetime(l, &f->arena, at), cases[i].datetime);
        check(locale_date(l, &f->arena, eve), cases[i].new_year);
    }
}

static void test_arguments(void **state)
{
    struct fixture *f = *state;
    load_all(f, "\"plain\":\"text\","
                "\"value\":\"<{name}> & {b}\","
                "\"number\":\"{n, number} m\","
                "\"date\":\"{when,date}\",\"time\":\"{ when , datetime }\","
                "\"quotes\":\"it''s '{name}' 'x {name}\"");
    check_text(f, "en", "plain", NULL, "text");
    check_text(f, "en", "value", "{\"name\":\"A\",\"b\":1.50}", "<A> & 1.50");
    check_text(f, "en", "value", "{\"name\":true,\"b\":null}", "<true> & ");
    check_text(f, "en", "value", "{\"name\":{\"x\":1},\"b\":[2]}", "<> & ");
    check_text(f, "en", "value", NULL, "<> & ");
    check_text(f, "vi", "number", "{\"n\":1234.5}", "1.234,5 m");
    check_text(f, "vi", "number", "{\"n\":\"1234.5\"}", "1.234,5 m");
    check_text(f, "en", "number", "{\"n\":\"many\"}", "many m");
    check_text(f, "en", "date", "{\"when\":\"2026-11-23T05:05:00Z\"}", "23 Nov 2026");
    check_text(f, "en", "date", "{\"when\":\"2026-11-23\"}", "23 Nov 2026");
    check_text(f, "en", "date", "{\"when\":1795410300000000}", "23 Nov 2026");
    check_text(f, "en", "date", "{\"when\":\"soon\"}", "soon");
    check_text(f, "ja", "time", "{\"when\":\"2026-11-23T14:05:00+09:00\"}", "2026年11月23日 14:05");
    check_text(f, "en", "quotes", "{\"name\":\"A\"}", "it's {name} 'x A");
}

static void test_plural(void **state)
{
    struct fixture *f = *state;
    load_all(f, "\"n\":\"{n, plural, =0 {none} =7 {seven} one {# item} many {# of items} "
                "other {# items}}!\"");
    check_text(f, "en", "n", "{\"n\":0}", "none!");
    check_text(f, "en", "n", "{\"n\":7}", "seven!");
    check_text(f, "en", "n", "{\"n\":1}", "1 item!");
    check_text(f, "en", "n", "{\"n\":1.0}", "1.0 items!");
    check_text(f, "en", "n", "{\"n\":-1}", "-1 item!");
    check_text(f, "en", "n", "{\"n\":10e-1}", "1.0 items!");
    check_text(f, "en", "n", "{\"n\":1e0}", "1 item!");
    check_text(f, "en", "n", "{\"n\":11}", "11 items!");
    check_text(f, "en", "n", "{\"n\":1000000}", "1,000,000 items!");
    check_text(f, "ja", "n", "{\"n\":1}", "1 items!");
    check_text(f, "easy", "n", "{\"n\":1}", "1 items!");
    check_text(f, "vi", "n", "{\"n\":1}", "1 items!");
    check_text(f, "pt", "n", "{\"n\":1}", "1 item!");
    check_text(f, "pt", "n", "{\"n\":0.5}", "0,5 item!");
    check_text(f, "pt", "n", "{\"n\":1.9}", "1,9 item!");
    check_text(f, "pt", "n", "{\"n\":2}", "2 items!");
    check_text(f, "pt", "n", "{\"n\":1000000}", "1.000.000 of items!");
    check_text(f, "pt", "n", "{\"n\":3e6}", "3.000.000 of items!");
    check_text(f, "pt", "n", "{\"n\":1000000.0}", "1.000.000,0 items!");
    check_text(f, "pt", "n", "{\"n\":1000001}", "1.000.001 items!");
    check_text(f, "en", "n", "{\"n\":\"x\"}", "x items!");
    check_text(f, "en", "n", "{}", " items!");
}

static void test_choices_nest(void **state)
{
    struct fixture *f = *state;
    load_all(f, "\"k\":\"{kind, select, bus {{n, plural, one {# bus{to}} other {# buses{to}}}} "
                "other {'#' '{'#'}' # {kind}}}.\","
                "\"hash\":\"# {n, plural, other {'#' # {kind, select, other {#}}}}\"");
    check_text(f, "en", "k", "{\"kind\":\"bus\",\"n\":1,\"to\":\" home\"}", "1 bus home.");
    check_text(f, "en", "k", "{\"kind\":\"bus\",\"n\":2}", "2 buses.");
    check_text(f, "en", "k", "{\"kind\":\"tram\"}", "'#' {#} # tram.");
    check_text(f, "en", "k", NULL, "'#' {#} # .");
    check_text(f, "en", "hash", "{\"n\":3}", "# # 3 3");
}

static void test_bad_texts(void **state)
{
    struct fixture *f = *state;
    check_refused(f, "{name", "expected '}'");
    check_refused(f, "name}", "'}' without '{'");
    check_refused(f, "{}", "name of an argument");
    check_refused(f, "{n, money}", "expected number, date");
    check_refused(f, "{n, number, x}", "expected '}'");
    check_refused(f, "{n, plural}", "expected ','");
    check_refused(f, "{n, plural, one {x}}", "no case");
    check_refused(f, "{n, plural, }", "no case");
    check_refused(f, "{n, plural, lots {x} other {y}}", "expected =N");
    check_refused(f, "{n, plural, =x {x} other {y}}", "expected =N");
    check_refused(f, "{n, plural, other y}", "expected '{'");
    check_refused(f, "{n, plural, other {y}", "expected");
    check_refused(f, "{n, plural, other {y", "not closed");
    check_refused(f, "{n, select, other {'}'}", "expected");
    struct buf deep = BUF_INIT;
    for (int i = 0; i < 100; i++)
        BUF_LIT(&deep, "{k, select, other {");
    check_refused(f, deep.p, "nest too deep");
    buf_clear(&deep);
    for (int i = 0; i < 17; i++)
        buf_printf(&deep, "{a%d}", i);
    check_refused(f, deep.p, "too many arguments");
    buf_clear(&deep);
    for (int i = 0; i < 70000; i++)
        buf_char(&deep, 'x');
    check_refused(f, deep.p, "70000 bytes");
    buf_release(&deep);
}

/* The catalogues must not differ in keys and arguments. */
static void test_comparison(void **state)
{
    static const struct {
        const char *ja, *en, *why;
    } cases[] = {
        {"\"a\":\"x\",\"b.c\":\"y\"", "\"a\":\"x\"", "en.json: key \"b.c\" is missing"},
        {"\"a\":\"x\"", "\"a\":\"x\",\"b\":\"y\"", "en.json: key \"b\" is not in ja.json"},
        {"\"a\":\"{n} {m}\"", "\"a\":\"{n}\"", "en.json: a: argument {m} is missing"},
        {"\"a\":\"{n}\"", "\"a\":\"{n} {m}\"", "en.json: a: argument {m} is not in ja.json"},
        {"\"a\":\"x\"", "\"a\":3", "en.json: a: not a text"},
        {"\"a\":\"x\"", "\"a\":\"x\",\"a\":\"y\"", "en.json: "},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        put_catalogue(f, "ja", "ja", cases[i].ja);
        put_catalogue(f, "en", "en", cases[i].en);
        assert_null(locales_load(f->dir, &f->e));
        assert_int_equal(f->e.code, ERR_INVALID);
        if (!strstr(f->e.text, cases[i].why))
            fail_msg("got \"%s\", want \"%s\"", f->e.text, cases[i].why);
    }
    /* a number here, a plural there: the same argument */
    put_catalogue(f, "ja", "ja", "\"a\":\"{n, number}件\"");
    put_catalogue(f, "en", "en", "\"a\":\"{n, plural, one {# item} other {# items}}\"");
    f->l = locales_load(f->dir, &f->e);
    assert_non_null(f->l);
    check_text(f, "ja", "a", "{\"n\":1200}", "1,200件");
    check_text(f, "en", "a", "{\"n\":1}", "1 item");
}

static void check_not_loaded(struct fixture *f, enum err code, const char *why)
{
    assert_null(locales_load(f->dir, &f->e));
    assert_int_equal(f->e.code, code);
    if (!strstr(f->e.text, why))
        fail_msg("got \"%s\", want \"%s\"", f->e.text, why);
}

static void test_bad_files(void **state)
{
    struct fixture *f = *state;
    check_not_loaded(f, ERR_NOT_FOUND, "no ja.json");
    put_catalogue(f, "en", "en", "");
    check_not_loaded(f, ERR_NOT_FOUND, "no ja.json");
    put(f, "ja.json", "{");
    check_not_loaded(f, ERR_INVALID, "ja.json: ");
    put(f, "ja.json", "[]");
    check_not_loaded(f, ERR_INVALID, "ja.json: not an object");
    put(f, "ja.json", "{\"@name\":\"x\",\"@path\":\"ja\"}");
    check_not_loaded(f, ERR_INVALID, "ja.json: no text \"@html\"");
    put_catalogue(f, "ja", "en", "");
    check_not_loaded(f, ERR_INVALID, "en.json: \"@path\" is that of ja");
    put_catalogue(f, "ja", "ja", "");
    put_catalogue(f, "fr", "fr", "");
    check_not_loaded(f, ERR_INVALID, "fr.json: not a language of the city");
    assert_null(locales_load("/nonexistent/locales", &f->e));
    assert_int_equal(f->e.code, ERR_NOT_FOUND);
}

static void test_unknown_key(void **state)
{
    struct fixture *f = *state;
    load_all(f, "\"known\":\"x\"");
    assert_true(locale_has(in(f, "en"), S("known")));
    assert_false(locale_has(in(f, "en"), S("other")));
    assert_false(locale_has(in(f, "en"), S("@name")));
    check_text(f, "en", "other.key", NULL, "other.key");
}

static void test_negotiation(void **state)
{
    static const struct {
        const char *header, *tag;
    } cases[] = {
        {"", "ja"},
        {"en", "en"},
        {"EN-us", "en"},
        {"en-US,en;q=0.5", "en"},
        {"en-US, ja;q=0.9, en;q=0.8", "en"},
        {"fr, pt-BR;q=0.7, en;q=0.8", "en"},
        {"fr, pt-BR;q=0.9, en;q=0.8", "pt"},
        {"ja", "ja"},
        {"ja-JP", "ja"},
        {"ja-x-yasashii", "ja-x-yasashii"},
        {"zh", "zh-Hans"},
        {"zh-CN,zh;q=0.9", "zh-Hans"},
        {"zh-TW", "zh-Hans"},
        {"zh-Hans-CN", "zh-Hans"},
        {"ko;q=0.1, vi;q=0.2", "vi"},
        {"ko ; q=0.9 , vi ; q=0.2", "ko"},
        {"en;q=0", "ja"},
        {"*", "ja"},
        {"fr", "ja"},
        {"en;q=2, vi;q=0.1", "vi"},
        {"en;q=x, vi;q=0.1", "vi"},
        {"en;q=0.1234, ko;q=0.1", "ko"},
        {";;,,;q=1,=,-", "ja"},
        {"enx", "ja"},
        {"a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,en", "ja"}, /* only so many are read */
    };
    struct fixture *f = *state;
    load_all(f, "");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct str got = locales_negotiate(f->l, str_c(cases[i].header))->tag;
        if (!str_eq(got, str_c(cases[i].tag)))
            fail_msg("\"%s\" gave %" STR_F ", want %s", cases[i].header, STR_A(got), cases[i].tag);
    }
    check(locales_negotiate(f->l, STR_NONE)->tag, "ja");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_languages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_numbers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dates, setup, teardown),
        cmocka_unit_test_setup_teardown(test_arguments, setup, teardown),
        cmocka_unit_test_setup_teardown(test_plural, setup, teardown),
        cmocka_unit_test_setup_teardown(test_choices_nest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_texts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_comparison, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unknown_key, setup, teardown),
        cmocka_unit_test_setup_teardown(test_negotiation, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
