/* test_regex.c - matches, refusals, and patterns made to stall. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/regex.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#define ROWS(table) (sizeof(table) / sizeof(table)[0])

static void matches_are_found(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *text;
        bool hit;
    } rows[] = {
        {"^urn:.*", "urn:ngsi-ld:Shelter:1", true},
        {"^urn:.*", "a urn:", false},
        {"Shelter", "urn:ngsi-ld:Shelter:1", true},
        {"^urn:ngsi-ld:(AED|Shelter):[0-9]+$", "urn:ngsi-ld:Shelter:12", true},
        {"^urn:ngsi-ld:(AED|Shelter):[0-9]+$", "urn:ngsi-ld:Shelter:12\n", false},
        {"^urn:ngsi-ld:(AED|Shelter):[0-9]+$", "urn:ngsi-ld:Shop:12", false},
        {"", "anything", true},
        {"", "", true},
        {"^$", "", true},
        {"^$", "x", false},
        {"山王小.校", "七尾市山王小学校", true}, /* '.' is a character, not a byte */
        {"^.{4}$", "避難所だ", true},
        {"a|b|", "zzz", true},
        {"[[:digit:]]{3}", "ab123", true},
        {"(?i)tsukuba", "TSUKUBA", true},
        {"x{2,3}$", "xxxx", true},
        {"a\\.b", "axb", false},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct error e = {0};
        struct regex *r = regex_new(str_c(rows[i].pattern), &e);
        if (!r) {
            fail_msg("%s: %s", rows[i].pattern, e.text);
        }
        bool hit = !rows[i].hit;
        assert_int_equal(regex_match(r, str_c(rows[i].text), &hit), OK);
        if (hit != rows[i].hit) {
            fail_msg("%s on %s", rows[i].pattern, rows[i].text);
        }
        regex_free(r);
    }
    struct regex *r = regex_new(S("^b"), NULL);
    bool hit;
    assert_int_equal(regex_match(r, str_n("ab", 1), &hit), OK); /* not past the slice */
    assert_false(hit);
    assert_int_equal(regex_match(r, STR_NONE, &hit), OK);
    assert_false(hit);
    assert_int_equal(regex_match(r, S("b\0c"), &hit), OK);
    assert_true(hit);
    regex_free(r);
    r = regex_new(STR_NONE, NULL); /* an absent pattern is the empty one */
    assert_non_null(r);
    regex_free(r);
    regex_free(NULL);
}

static void wrong_patterns_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "(",
        ")",
        "a)(b",
        "a)|(?:b",
        "[",
        "*a",
        "a{3,1}",
        "\\",
        "(?<n",
        "\\C",
        "(?P>x)",
        "(a)\\1",
        "[[:nope:]]",
        "\xff",
        "a\xc0\x80",
        "\\Qabc",
        "((ab){1000}){1000}",
    };
    for (size_t i = 0; i < ROWS(bad); i++) {
        struct error e = {0};
        if (regex_new(str_c(bad[i]), &e)) {
            fail_msg("accepted: %s", bad[i]);
        }
        assert_int_equal(e.code, ERR_INVALID);
        assert_non_null(strstr(e.text, "regular expression"));
    }
    static char pattern[5000];
    memset(pattern, 'a', sizeof pattern);
    assert_null(regex_new(str_n(pattern, 4097), NULL));
    struct regex *r = regex_new(str_n(pattern, 4096), NULL);
    assert_non_null(r);
    regex_free(r);
    memset(pattern, '(', sizeof pattern);
    assert_null(regex_new(str_n(pattern, 4096), NULL));
}

static void broken_text_does_not_match_across(void **state)
{
    (void)state;
    struct regex *r = regex_new(S("a.b"), NULL);
    bool hit;
    assert_int_equal(regex_match(r,
                                 S("a\xff"
                                   "b"),
                                 &hit),
                     OK);
    assert_false(hit);
    assert_int_equal(regex_match(r, S("\xff\xe3\x81 axb"), &hit), OK);
    assert_true(hit);
    regex_free(r);
}

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void nothing_stalls(void **state)
{
    (void)state;
    static const char *const patterns[] = {
        "(a+)+$",
        "(a|aa)+$",
        "(a|a)+[bB9]",
        "(.*)*x",
        "^(([a-z])+.)+[A-Z]([a-z])+$",
        ".*.*.*.*.*[xy]$",
        "a.*+[zZ9]",
        "a.*(?:.*+[zZ9]|ay)",
        "(?=(a+))a+[bB9]",
        "(?:(?:a?){50}){50}a[cC9]",
        "a*a*a*a*a*a[cC9]",
        "(?R)?ab",
        "(a(?R)?)+$",
        "([^b]*[^c]*)*d",
        "(?<=(?:a|aa){20})b",
    };
    static const size_t sizes[] = {30, 500, 4000, 65536};
    static char text[65536 + 1];
    memset(text, 'a', sizeof text);
    memcpy(text, "zxybdcA", 7); /* what the patterns end in is there, but too early */
    int refused = 0;
    for (size_t i = 0; i < ROWS(patterns); i++) {
        struct regex *r = regex_new(str_c(patterns[i]), NULL);
        if (!r) {
            continue; /* not even compiled: as good */
        }
        for (size_t k = 0; k < ROWS(sizes); k++) {
            bool hit = true;
            double before = cpu_seconds();
            text[sizes[k] - 1] = '!';
            enum err err = regex_match(r, str_n(text, sizes[k]), &hit);
            text[sizes[k] - 1] = 'a';
            double took = cpu_seconds() - before;
            assert_true(err == OK || err == ERR_TOO_COMPLEX);
            if (took > 2) {
                fail_msg("%s on %zu bytes took %.1f s", patterns[i], sizes[k], took);
            }
            refused += err == ERR_TOO_COMPLEX;
            assert_true(err == OK || !hit);
        }
        regex_free(r);
    }
    assert_true(refused >= 10);
    struct regex *r = regex_new(S("q"), NULL);
    bool hit;
    assert_int_equal(regex_match(r, str_n(text, 65536), &hit), OK);
    assert_int_equal(regex_match(r, str_n(text, 65537), &hit), ERR_TOO_COMPLEX);
    regex_free(r);
}

static void ordinary_searches_stay_within_the_limits(void **state)
{
    (void)state;
    static char text[65536];
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = (char)('a' + i * 7 % 26);
    }
    static const char *const patterns[] = {"needle", "[0-9]{3}", "(foo|bar|baz)", "^a.*!$",
                                           "q+r+s+t"};
    for (size_t i = 0; i < ROWS(patterns); i++) {
        struct regex *r = regex_new(str_c(patterns[i]), NULL);
        bool hit = true;
        assert_int_equal(regex_match(r, str_n(text, sizeof text), &hit), OK);
        assert_false(hit);
        regex_free(r);
    }
}

static void *match_often(void *shared)
{
    const struct regex *r = shared;
    for (int i = 0; i < 2000; i++) {
        bool yes = false, no = true;
        if (regex_match(r, S("urn:x:12"), &yes) || regex_match(r, S("urn:x:"), &no) || !yes || no) {
            return shared;
        }
    }
    return NULL;
}

static void threads_share_a_pattern(void **state)
{
    (void)state;
    struct regex *r = regex_new(S("^urn:[a-z]+:[0-9]+$"), NULL);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, match_often, r), 0);
    }
    for (int i = 0; i < 4; i++) {
        void *wrong = r;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    regex_free(r);
}

static void a_beginning_is_what_all_matches_share(void **state)
{
    static const struct {
        const char *pattern, *beginning;
    } cases[] = {
        {"^urn:x:.*", "urn:x:"},
        {"^urn:x$", "urn:x"},
        {"^a\\.b\\:c[0-9]", "a.b:c"},
        {"urn:x", ""},
        {"^a|b", ""},
        {"^(?:a|b)", ""},
        {"^ab*", "a"},
        {"^ab?c", "a"},
        {"^ab{0,2}", "a"},
        {"^ab+", "a"},
        {"^(?i)ab", ""},
        {"^\\d", ""},
        {"^a\\.*", "a"},
        {"^", ""},
        {"", ""},
        {"^a\\", "a"},
        {"^\xe9\xa7\x85", ""},
        {"^0123456789abcdef", "01234567"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char out[8];
        size_t n = regex_beginning(str_c(cases[i].pattern), out, sizeof out);
        size_t want = strlen(cases[i].beginning);
        if (n != want || memcmp(out, cases[i].beginning, n)) {
            fail_msg("%s: %.*s", cases[i].pattern, (int)n, out);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_are_found),
        cmocka_unit_test(wrong_patterns_are_refused),
        cmocka_unit_test(broken_text_does_not_match_across),
        cmocka_unit_test(nothing_stalls),
        cmocka_unit_test(ordinary_searches_stay_within_the_limits),
        cmocka_unit_test(threads_share_a_pattern),
        cmocka_unit_test(a_beginning_is_what_all_matches_share),
    };
    return cmocka_run_group_tests_name("regex", tests, NULL, NULL);
}
