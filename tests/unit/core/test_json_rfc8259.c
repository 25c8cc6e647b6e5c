#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/json.h"
#include <stdlib.h>
#include <string.h>

/*
 * What RFC 8259 accepts and refuses, as this reader takes it. Where the RFC leaves a choice:
 * duplicate keys, a byte order mark and lone surrogates are refused, numbers may be of any size,
 * U+0000 is allowed when escaped.
 */
static const struct {
    struct str text, compact; /* what it must be written as */
} good[] = {
    {S_INIT("null"), S_INIT("null")},
    {S_INIT("true"), S_INIT("true")},
    {S_INIT("false"), S_INIT("false")},
    {S_INIT("0"), S_INIT("0")},
    {S_INIT("-0"), S_INIT("-0")},
    {S_INIT("1"), S_INIT("1")},
    {S_INIT("-1"), S_INIT("-1")},
    {S_INIT("10"), S_INIT("10")},
    {S_INIT("123"), S_INIT("123")},
    {S_INIT("0.5"), S_INIT("0.5")},
    {S_INIT("-0.0"), S_INIT("-0.0")},
    {S_INIT("1.0"), S_INIT("1.0")},
    {S_INIT("1.50"), S_INIT("1.50")},
    {S_INIT("1e5"), S_INIT("1e5")},
    {S_INIT("1E5"), S_INIT("1E5")},
    {S_INIT("1e+5"), S_INIT("1e+5")},
    {S_INIT("1e-5"), S_INIT("1e-5")},
    {S_INIT("0e0"), S_INIT("0e0")},
    {S_INIT("0E+00"), S_INIT("0E+00")},
    {S_INIT("1.5e10"), S_INIT("1.5e10")},
    {S_INIT("12345678901234567890"), S_INIT("12345678901234567890")},
    {S_INIT("123456789012345678901234567890.5"), S_INIT("123456789012345678901234567890.5")},
    {S_INIT("1e400"), S_INIT("1e400")},
    {S_INIT("-1e-400"), S_INIT("-1e-400")},
    {S_INIT("1e999999999999999999999"), S_INIT("1e999999999999999999999")},
    {S_INIT("\"\""), S_INIT("\"\"")},
    {S_INIT("\"a\""), S_INIT("\"a\"")},
    {S_INIT("\"abc\""), S_INIT("\"abc\"")},
    {S_INIT("\" \""), S_INIT("\" \"")},
    {S_INIT("\"a b\""), S_INIT("\"a b\"")},
    {S_INIT("\"/\""), S_INIT("\"/\"")},
    {S_INIT("\"\x7F\""), S_INIT("\"\x7F\"")},
    {S_INIT("\"\xE3\x81\x82\""), S_INIT("\"\xE3\x81\x82\"")},
    {S_INIT("\"\xC3\xA9\""), S_INIT("\"\xC3\xA9\"")},
    {S_INIT("\"\xF0\x9F\x98\x80\""), S_INIT("\"\xF0\x9F\x98\x80\"")},
    {S_INIT("\"\xC2\x80\""), S_INIT("\"\xC2\x80\"")},
    {S_INIT("\"\xDF\xBF\""), S_INIT("\"\xDF\xBF\"")},
    {S_INIT("\"\xE0\xA0\x80\""), S_INIT("\"\xE0\xA0\x80\"")},
    {S_INIT("\"\xED\x9F\xBF\""), S_INIT("\"\xED\x9F\xBF\"")},
    {S_INIT("\"\xEE\x80\x80\""), S_INIT("\"\xEE\x80\x80\"")},
    {S_INIT("\"\xEF\xBF\xBF\""), S_INIT("\"\xEF\xBF\xBF\"")},
    {S_INIT("\"\xF0\x90\x80\x80\""), S_INIT("\"\xF0\x90\x80\x80\"")},
    {S_INIT("\"\xF4\x8F\xBF\xBF\""), S_INIT("\"\xF4\x8F\xBF\xBF\"")},
    {S_INIT("\"\xE2\x80\xA8\xE2\x80\xA9\""), S_INIT("\"\xE2\x80\xA8\xE2\x80\xA9\"")},
    {S_INIT("\"\xEF\xBB\xBF\""), S_INIT("\"\xEF\xBB\xBF\"")},
    {S_INIT("[]"), S_INIT("[]")},
    {S_INIT("{}"), S_INIT("{}")},
    {S_INIT("[[]]"), S_INIT("[[]]")},
    {S_INIT("[{}]"), S_INIT("[{}]")},
    {S_INIT("{\"\":0}"), S_INIT("{\"\":0}")},
    {S_INIT("{\"a\":1}"), S_INIT("{\"a\":1}")},
    {S_INIT("{\"a\":1,\"b\":2}"), S_INIT("{\"a\":1,\"b\":2}")},
    {S_INIT("{\"a\":{\"a\":{\"a\":1}}}"), S_INIT("{\"a\":{\"a\":{\"a\":1}}}")},
    {S_INIT("[1,2,3]"), S_INIT("[1,2,3]")},
    {S_INIT("[null,true,false]"), S_INIT("[null,true,false]")},
    {S_INIT("[\"a\",1,null,{\"b\":[]}]"), S_INIT("[\"a\",1,null,{\"b\":[]}]")},
    {S_INIT("{\"a\":[],\"b\":{}}"), S_INIT("{\"a\":[],\"b\":{}}")},
    {S_INIT("[[[[[[[[]]]]]]]]"), S_INIT("[[[[[[[[]]]]]]]]")},
    {S_INIT("{\"a\":1,\"A\":2}"), S_INIT("{\"a\":1,\"A\":2}")},
    {S_INIT("{\"a\":1,\"aa\":2}"), S_INIT("{\"a\":1,\"aa\":2}")},
    {S_INIT("[1,[2,[3,[4]]]]"), S_INIT("[1,[2,[3,[4]]]]")},
    {S_INIT("{\"\xE3\x82\xAD\xE3\x83\xBC\":\"\xE5\x80\xA4\"}"),
     S_INIT("{\"\xE3\x82\xAD\xE3\x83\xBC\":\"\xE5\x80\xA4\"}")},
    {S_INIT("\"0123456789abcde\""), S_INIT("\"0123456789abcde\"")},
    {S_INIT("\"0123456789abcdef\""), S_INIT("\"0123456789abcdef\"")},
    {S_INIT("\"0123456789abcdef0\""), S_INIT("\"0123456789abcdef0\"")},
    {S_INIT("\"0123456789abcdef0123456789abcdef\xE3\x81\x82\xE3\x81\x84\""),
     S_INIT("\"0123456789abcdef0123456789abcdef\xE3\x81\x82\xE3\x81\x84\"")},
    {S_INIT("\"\\\"x\\\"\""), S_INIT("\"\\\"x\\\"\"")},
    {S_INIT("\"\\\\\""), S_INIT("\"\\\\\"")},
    {S_INIT("\"\\b\\f\\n\\r\\t\""), S_INIT("\"\\b\\f\\n\\r\\t\"")},
    {S_INIT("\"\\u0000\""), S_INIT("\"\\u0000\"")},
    {S_INIT("\"\\u001f\""), S_INIT("\"\\u001f\"")},
    {S_INIT("{\"\\\"\":1}"), S_INIT("{\"\\\"\":1}")},
    {S_INIT("{\"\\u0000\":1}"), S_INIT("{\"\\u0000\":1}")},
    {S_INIT("\"0123456789abcdef\\n\""), S_INIT("\"0123456789abcdef\\n\"")},
    {S_INIT("[\"\"]"), S_INIT("[\"\"]")},
    {S_INIT("[\"\",\"\"]"), S_INIT("[\"\",\"\"]")},
    {S_INIT("{\"a\":\"\"}"), S_INIT("{\"a\":\"\"}")},
    {S_INIT(" 1 "), S_INIT("1")},
    {S_INIT("\t\n\r [ ]\n"), S_INIT("[]")},
    {S_INIT("{ }"), S_INIT("{}")},
    {S_INIT("[ 1 , 2 ]"), S_INIT("[1,2]")},
    {S_INIT("{ \"a\" : 1 , \"b\" : [ ] }"), S_INIT("{\"a\":1,\"b\":[]}")},
    {S_INIT("\"\\/\""), S_INIT("\"/\"")},
    {S_INIT("\"\\u0041\""), S_INIT("\"A\"")},
    {S_INIT("\"\\u3042\""), S_INIT("\"\xE3\x81\x82\"")},
    {S_INIT("\"\\u00E9\\u00e9\""), S_INIT("\"\xC3\xA9\xC3\xA9\"")},
    {S_INIT("\"\\ud83d\\ude00\""), S_INIT("\"\xF0\x9F\x98\x80\"")},
    {S_INIT("\"\\uD83D\\uDE00x\""), S_INIT("\"\xF0\x9F\x98\x80x\"")},
    {S_INIT("\"\\u0022\\u005c\""), S_INIT("\"\\\"\\\\\"")},
    {S_INIT("\"\\u0008\\u000c\\u000A\\u000D\\u0009\""), S_INIT("\"\\b\\f\\n\\r\\t\"")},
    {S_INIT("\"\\u001F\""), S_INIT("\"\\u001f\"")},
    {S_INIT("\"\\u007f\""), S_INIT("\"\x7F\"")},
    {S_INIT("\"\\uFFFF\""), S_INIT("\"\xEF\xBF\xBF\"")},
    {S_INIT("\"\\uFEFF\""), S_INIT("\"\xEF\xBB\xBF\"")},
    {S_INIT("\"\\udbff\\udfff\""), S_INIT("\"\xF4\x8F\xBF\xBF\"")},
    {S_INIT("{\"\\u0061\":1}"), S_INIT("{\"a\":1}")},
    {S_INIT("\"\xE3\x81\x82\\n\xE3\x81\x84\""), S_INIT("\"\xE3\x81\x82\\n\xE3\x81\x84\"")},
    {S_INIT("\"a\\/b\\/c\""), S_INIT("\"a/b/c\"")},
};

static const struct str bad[] = {
    S_INIT(""),
    S_INIT(" "),
    S_INIT("\n"),
    S_INIT("nul"),
    S_INIT("nulll"),
    S_INIT("NULL"),
    S_INIT("Null"),
    S_INIT("True"),
    S_INIT("TRUE"),
    S_INIT("fals"),
    S_INIT("tru"),
    S_INIT("t"),
    S_INIT("n"),
    S_INIT("f"),
    S_INIT("undefined"),
    S_INIT("NaN"),
    S_INIT("Infinity"),
    S_INIT("-Infinity"),
    S_INIT("-"),
    S_INIT("+1"),
    S_INIT("+"),
    S_INIT("--1"),
    S_INIT("-a"),
    S_INIT("01"),
    S_INIT("-01"),
    S_INIT("00"),
    S_INIT("1."),
    S_INIT(".1"),
    S_INIT("-.1"),
    S_INIT("1.e1"),
    S_INIT("1e"),
    S_INIT("1e+"),
    S_INIT("1e-"),
    S_INIT("1E"),
    S_INIT("1.5e"),
    S_INIT("1.2.3"),
    S_INIT("0x1"),
    S_INIT("0x"),
    S_INIT("1_000"),
    S_INIT("1,000"),
    S_INIT("1 2"),
    S_INIT("0 1"),
    S_INIT("1a"),
    S_INIT("1e1.5"),
    S_INIT("1e1e1"),
    S_INIT("- 1"),
    S_INIT("1 .5"),
    S_INIT("\xEF\xBC\x91"),
    S_INIT("\""),
    S_INIT("\"a"),
    S_INIT("\"a\\"),
    S_INIT("\"a\\\""),
    S_INIT("\"\\"),
    S_INIT("\"\\u"),
    S_INIT("\"\\u1"),
    S_INIT("\"\\u12"),
    S_INIT("\"\\u123\""),
    S_INIT("\"\\u123"),
    S_INIT("\"\\u12g4\""),
    S_INIT("\"\\u 123\""),
    S_INIT("\"\\u+123\""),
    S_INIT("\"\\x41\""),
    S_INIT("\"\\a\""),
    S_INIT("\"\\v\""),
    S_INIT("\"\\0\""),
    S_INIT("\"\\'\""),
    S_INIT("\"\\ \""),
    S_INIT("\"\\\n\""),
    S_INIT("\"\\U0041\""),
    S_INIT("'a'"),
    S_INIT("a"),
    S_INIT("\"a\"b"),
    S_INIT("\"a\"\"b\""),
    S_INIT("\\u0022a\""),
    S_INIT("\"\\u00\""),
    S_INIT("\"\\\xE3\x81\x82\""),
    S_INIT("\"\\ud800\""),
    S_INIT("\"\\udc00\""),
    S_INIT("\"\\ud800x\""),
    S_INIT("\"\\ud800\\n\""),
    S_INIT("\"\\ud800\\u0041\""),
    S_INIT("\"\\ud800\\ud800\""),
    S_INIT("\"\\udc00\\ud800\""),
    S_INIT("\"\\ud83d\\ude0\""),
    S_INIT("\"\\ud83d\\\""),
    S_INIT("\"\\ud83d\\u\""),
    S_INIT("\"\\ud83dude00\""),
    S_INIT("["),
    S_INIT("[1"),
    S_INIT("[1,"),
    S_INIT("[1,]"),
    S_INIT("[,1]"),
    S_INIT("[,]"),
    S_INIT("[1,,2]"),
    S_INIT("[1 2]"),
    S_INIT("[1;2]"),
    S_INIT("[1:2]"),
    S_INIT("[\"a\":1]"),
    S_INIT("]"),
    S_INIT("[]]"),
    S_INIT("[[]"),
    S_INIT("[}"),
    S_INIT("[1}"),
    S_INIT("[\""),
    S_INIT("[\"a"),
    S_INIT("[\"a\""),
    S_INIT("[1],"),
    S_INIT("[][]"),
    S_INIT("[1]2"),
    S_INIT("[-]"),
    S_INIT("[1,\n"),
    S_INIT("[nul]"),
    S_INIT("[tru e]"),
    S_INIT("(1)"),
    S_INIT("[1/**/]"),
    S_INIT("//1"),
    S_INIT("[1]#"),
    S_INIT("[1]//"),
    S_INIT("/**/1"),
    S_INIT("{"),
    S_INIT("{\""),
    S_INIT("{\"a"),
    S_INIT("{\"a\""),
    S_INIT("{\"a\":"),
    S_INIT("{\"a\":1"),
    S_INIT("{\"a\":1,"),
    S_INIT("{\"a\":1,}"),
    S_INIT("{,}"),
    S_INIT("{\"a\"}"),
    S_INIT("{\"a\" 1}"),
    S_INIT("{\"a\":}"),
    S_INIT("{\"a\"::1}"),
    S_INIT("{:1}"),
    S_INIT("{1:1}"),
    S_INIT("{a:1}"),
    S_INIT("{'a':1}"),
    S_INIT("{null:1}"),
    S_INIT("{[]:1}"),
    S_INIT("{\"a\":1 \"b\":2}"),
    S_INIT("{\"a\":1;\"b\":2}"),
    S_INIT("{\"a\":1,,\"b\":2}"),
    S_INIT("{\"a\":1]"),
    S_INIT("{\"a\":[}"),
    S_INIT("{\"a\",1}"),
    S_INIT("}"),
    S_INIT("{}}"),
    S_INIT("{}{}"),
    S_INIT("{{}}"),
    S_INIT("{\"a\":1}x"),
    S_INIT("{\"a\":1,\"a\":2}"),
    S_INIT("{\"a\":1,\"\\u0061\":2}"),
    S_INIT("{\"\":1,\"\":2}"),
    S_INIT("{\"a\":{\"b\":1,\"b\":1}}"),
    S_INIT("{\"\\u3042\":1,\"\xE3\x81\x82\":1}"),
    S_INIT("[{\"a\":0,\"b\":0,\"c\":0,\"a\":0}]"),
    S_INIT("\xEF\xBB\xBF"
           "1"),
    S_INIT("\xEF\xBB\xBF"),
    S_INIT("\xFF\xFE"
           "1\x00"),
    S_INIT("1\x00"),
    S_INIT("\x00"),
    S_INIT("[1]\x00"),
    S_INIT("\x0B"
           "1"),
    S_INIT("\x0C[]"),
    S_INIT("\xC2\xA0"
           "1"),
    S_INIT("\xE3\x80\x80[]"),
    S_INIT("\xE2\x80\xA8"
           "1"),
    S_INIT("\"\x00\""),
    S_INIT("\"\x01\""),
    S_INIT("\"\x1F\""),
    S_INIT("\"\t\""),
    S_INIT("\"\n\""),
    S_INIT("\"a\nb\""),
    S_INIT("\"a\rb\""),
    S_INIT("\"0123456789abcdef\x1F\""),
    S_INIT("{\"a\n\":1}"),
    S_INIT("\"\\u0000\x00\""),
    S_INIT("\"\x80\""),
    S_INIT("\"\xBF\""),
    S_INIT("\"\xC0\x80\""),
    S_INIT("\"\xC1\xBF\""),
    S_INIT("\"\xC2\""),
    S_INIT("\"\xC2"),
    S_INIT("\"\xE0\x80\x80\""),
    S_INIT("\"\xE0\x9F\xBF\""),
    S_INIT("\"\xE3\x81\""),
    S_INIT("\"\xE3\x81"),
    S_INIT("\"\xE3"),
    S_INIT("\"\xED\xA0\x80\""),
    S_INIT("\"\xED\xBF\xBF\""),
    S_INIT("\"\xF0\x80\x80\x80\""),
    S_INIT("\"\xF0\x8F\xBF\xBF\""),
    S_INIT("\"\xF0\x9F\x98\""),
    S_INIT("\"\xF0\x9F\x98"),
    S_INIT("\"\xF4\x90\x80\x80\""),
    S_INIT("\"\xF5\x80\x80\x80\""),
    S_INIT("\"\xFE\""),
    S_INIT("\"\xFF\""),
    S_INIT("\"0123456789abcdef\xFF\""),
    S_INIT("\"\\n\xFF\""),
    S_INIT("\"\\n\xE3\x81\""),
    S_INIT("\"\xE3\x81\\n\""),
    S_INIT("{\"\xFF\":1}"),
    S_INIT("\xE3\x81\x82"),
    S_INIT("\"\x93\xFA\x96{\""),
};

/* Parse a copy of exactly text.n bytes, so that reading past the end is noticed. */
static const struct json *parse(struct arena *a, struct str text, char **copy, struct error *e)
{
    *copy = malloc(text.n ? text.n : 1);
    assert_non_null(*copy);
    memcpy(*copy, text.p, text.n);
    return json_parse(a, str_n(*copy, text.n), &JSON_DEFAULT, e);
}

static void test_accepted(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct error e = {OK, ""};
        char *copy;
        const struct json *v = parse(&a, good[i].text, &copy, &e);
        if (!v)
            fail_msg("case %zu %" STR_F " is refused: %s", i, STR_A(good[i].text), e.text);
        struct str text = json_to_text(&a, v);
        if (!str_eq(text, good[i].compact))
            fail_msg("case %zu %" STR_F " becomes %" STR_F, i, STR_A(good[i].text), STR_A(text));
        const struct json *again = json_parse(&a, text, &JSON_DEFAULT, NULL);
        assert_true(json_equal(v, again, true));
        free(copy);
    }
    arena_release(&a);
}

static void test_refused(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct error e = {OK, ""};
        char *copy;
        if (parse(&a, bad[i], &copy, &e))
            fail_msg("case %zu %" STR_F " is accepted", i, STR_A(bad[i]));
        assert_int_equal(e.code, ERR_INVALID);
        assert_true(str_starts(str_c(e.text), S("json: byte ")));
        assert_null(json_parse(&a, str_n(copy, bad[i].n), &JSON_DEFAULT, NULL));
        free(copy);
    }
    arena_release(&a);
}

/* Every accepted text that is an array, object or string is refused when cut anywhere. */
static void test_cut_short(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct str text = str_trim(good[i].text);
        if (!strchr("[{\"", text.p[0]))
            continue;
        for (size_t n = 0; n < text.n; n++) {
            char *copy;
            assert_null(parse(&a, str_n(text.p, n), &copy, NULL));
            free(copy);
        }
    }
    arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_cut_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
