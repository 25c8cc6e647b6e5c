#include "http/template.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { SOURCES_MAX = 40 };

static struct locales *locales;
static char folder[64];

static void put(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
}

static int setup(void **state)
{
    (void)state;
    struct error e;
    snprintf(folder, sizeof(folder), "/tmp/test-template-XXXXXX");
    assert_non_null(mkdtemp(folder));
    put("ja.json",
        "{\"@name\":\"日本語\",\"@path\":\"ja\",\"@html\":\"ja\",\"hello\":\"<b>よう&こそ\","
        "\"greet\":\"{name}さん\",\"items\":\"{n, number}件 {place}\"}");
    put("en.json", "{\"@name\":\"English\",\"@path\":\"en\",\"@html\":\"en\",\"hello\":\"<b>Hi\","
                   "\"greet\":\"Hello {name}\","
                   "\"items\":\"{n, plural, one {# item} other {# items}} in {place}\"}");
    locales = locales_load(folder, &e);
    if (!locales)
        fail_msg("%s", e.text);
    return 0;
}

static int teardown(void **state)
{
    static const char *const files[] = {"ja.json",      "en.json",  "page.html", "part/head.html",
                                        ".hidden.html", "note.txt", "part",      ""};
    (void)state;
    char path[128];
    locales_free(locales);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, files[i]);
        remove(path);
    }
    return 0;
}

/* Compile "page" and parts given as name, text, ..., NULL. */
static struct templates *compile(struct error *e, const char *page, va_list parts)
{
    struct template_source sources[SOURCES_MAX] = {{S("page"), str_c(page)}};
    size_t n = 1;
    for (const char *name; (name = va_arg(parts, const char *)) != NULL; n++) {
        assert_true(n < SOURCES_MAX);
        sources[n] = (struct template_source){str_c(name), str_c(va_arg(parts, const char *))};
    }
    return templates_new(sources, n, locales, e);
}

static void render(const struct templates *t, const char *path, const char *data, const char *want)
{
    struct error e = {0};
    struct arena a = ARENA_INIT;
    struct buf out = BUF_INIT;
    const struct json *v = data ? json_parse(&a, str_c(data), &JSON_DEFAULT, &e) : NULL;
    if (data && !v)
        fail_msg("%s: %s", data, e.text);
    if (template_render(t, "page", v, locales_by_path(locales, str_c(path)), &out, &e))
        fail_msg("%s", e.text);
    if (!str_eq(buf_view(&out), str_c(want)))
        fail_msg("got  \"%" STR_F "\"\nwant \"%s\"", STR_A(buf_view(&out)), want);
    buf_release(&out);
    arena_release(&a);
}

/* Page, data and expected output; parts may follow. */
static void check(const char *page, const char *data, const char *want, ...)
{
    struct error e = {0};
    va_list parts;
    va_start(parts, want);
    struct templates *t = compile(&e, page, parts);
    va_end(parts);
    if (!t)
        fail_msg("%s: %s", page, e.text);
    render(t, "en", data, want);
    templates_free(t);
}

static void check_refused(const char *page, const char *why, ...)
{
    struct error e = {0};
    va_list parts;
    va_start(parts, why);
    struct templates *t = compile(&e, page, parts);
    va_end(parts);
    if (t)
        fail_msg("accepted: %s", page);
    assert_int_equal(e.code, ERR_INVALID);
    if (!strstr(e.text, why))
        fail_msg("%s: got \"%s\", want \"%s\"", page, e.text, why);
}

static void test_values(void **state)
{
    (void)state;
    const char *data =
        "{\"s\":\"<a b='c' d=\\\"e\\\">&\",\"n\":1.50,\"t\":true,\"f\":false,\"z\":null,"
        "\"a\":[1],\"o\":{\"p\":{\"q\":\"deep\"},\"@id\":\"urn:x\",\"schema:n\":\"N\"}}";
    check("", data, "", NULL);
    check("plain", NULL, "plain", NULL);
    check("{{s}}", data, "&lt;a b=&#39;c&#39; d=&quot;e&quot;&gt;&amp;", NULL);
    check("{{{s}}}", data, "<a b='c' d=\"e\">&", NULL);
    check("{{ n }} {{t}} {{f}} [{{z}}] [{{a}}] [{{o}}]", data, "1.50 true false [] [] []", NULL);
    check("{{o.p.q}}{{o.p.x}}{{x.p.q}}{{s.q}}", data, "deep", NULL);
    check("{{o.@id}} {{o.schema:n}}", data, "urn:x N", NULL);
    check("{{x}}{{{x}}}", NULL, "", NULL);
    check("}} {x} { {", data, "}} {x} { {", NULL);
    check("{{日本}}", "{\"日本\":\"語\"}", "語", NULL);
}

static void test_sections(void **state)
{
    (void)state;
    check("{{#l}}({{.}}){{/l}}", "{\"l\":[1,\"b\",true]}", "(1)(b)(true)", NULL);
    check("{{#l}}x{{/l}}{{^l}}none{{/l}}", "{\"l\":[]}", "none", NULL);
    check("{{#l}}x{{/l}}{{^l}}none{{/l}}", "{}", "none", NULL);
    check("{{#l}}x{{/l}}{{^l}}none{{/l}}", "{\"l\":false}", "none", NULL);
    check("{{#l}}x{{/l}}{{^l}}none{{/l}}", "{\"l\":null}", "none", NULL);
    check("{{#l}}x{{/l}}{{^l}}none{{/l}}", "{\"l\":\"\"}", "none", NULL);
    check("{{#l}}x{{/l}}{{^l}}none{{/l}}", "{\"l\":0}", "x", NULL);
    check("{{#l}}x{{/l}}{{^l}}none{{/l}}", "{\"l\":{}}", "x", NULL);
    check("{{#s}}{{.}}!{{/s}}", "{\"s\":\"a\"}", "a!", NULL);
    check("{{#t}}{{a}}{{/t}}", "{\"t\":true,\"a\":1}", "1", NULL);
    check("{{#l}}{{#t}}{{.}}{{/t}}{{/l}}", "{\"t\":true,\"l\":[1,2]}", "12", NULL);
    check("{{#o}}{{a}}{{b}}{{/o}}", "{\"o\":{\"a\":1},\"a\":2,\"b\":3}", "13", NULL);
    check("{{#l}}{{n}}:{{#m}}{{n}}{{.}} {{/m}}{{/l}}",
          "{\"n\":0,\"l\":[{\"n\":1,\"m\":[\"a\",\"b\"]},{\"m\":[\"c\"]}]}", "1:1a 1b 0:0c ", NULL);
    check("{{#o.l}}{{.}}{{/o.l}}", "{\"o\":{\"l\":[1,2]}}", "12", NULL);
    check("{{#l}}{{#.}}{{.}}{{/.}};{{/l}}", "{\"l\":[[1,2],[3],[]]}", "12;3;;", NULL);
    check("{{^a}}{{^b}}x{{/b}}{{/a}}{{#a}}y{{/a}}z", "{}", "xz", NULL);
}

static void test_lines(void **state)
{
    (void)state;
    check("a\n{{! note }}\nb\n", NULL, "a\nb\n", NULL);
    check("a\n  {{#x}}  \n  b\n\t{{/x}}\nc", "{\"x\":true}", "a\n  b\nc", NULL);
    check("a\r\n{{#x}}\r\nb\r\n{{/x}}\r\nc", "{\"x\":true}", "a\r\nb\r\nc", NULL);
    check("{{#x}}\nb\n{{/x}}", "{\"x\":true}", "b\n", NULL);
    check("  {{#x}} b {{/x}}\n", "{\"x\":true}", "   b \n", NULL);
    check("{{#x}}{{/x}}\nb", "{\"x\":true}", "\nb", NULL);
    check("  {{x}}\n{{! two\nlines }}\n b", "{\"x\":1}", "  1\n b", NULL);
    check("<ul>\n{{#l}}\n<li>{{.}}\n{{/l}}\n</ul>\n", "{\"l\":[1,2]}",
          "<ul>\n<li>1\n<li>2\n</ul>\n", NULL);
    check("  {{>p}}\nb", NULL, "part\nb", "p", "part\n", NULL);
    check("  {{>p}} b", NULL, "  part b", "p", "part", NULL);
}

static void test_parts(void **state)
{
    (void)state;
    check("[{{>a/b}}]{{x}}", "{\"x\":1}", "[1-2]1", "a/b", "{{x}}-{{>c}}", "c", "2", NULL);
    check("{{#l}}{{>p}}{{/l}}", "{\"l\":[1,2],\"k\":\"v\"}", "1v2v", "p", "{{.}}{{k}}", NULL);
    check("{{>p}}", NULL, "", "p", "", NULL);
    check("{{>p}}{{>p}}", NULL, "xx", "p", "{{>q}}", "q", "x", NULL);
    check_refused("\n\n{{>gone}}", "page:3: unknown part \"gone\"", NULL);
    check_refused("{{>page}}", "parts include each other", NULL);
    check_refused("{{>a}}", "parts include each other", "a", "{{>b}}", "b", "x{{>a}}", NULL);
    check_refused("x", "p: template given twice", "p", "1", "p", "2", NULL);
    check_refused("x", "p:2: unknown part", "p", "\n{{>q}}", NULL);
}

static void test_texts(void **state)
{
    (void)state;
    struct error e;
    check("<p>{{t:hello}}</p>", NULL, "<p>&lt;b&gt;Hi</p>", NULL);
    check("{{t:greet name}}", "{\"name\":\"<i>\"}", "Hello &lt;i&gt;", NULL);
    check("{{ t:greet  name=user.first }}", "{\"user\":{\"first\":\"A\"}}", "Hello A", NULL);
    check("{{t:greet user.name}}", "{\"user\":{\"name\":\"A\"}}", "Hello A", NULL);
    check("{{#l}}{{t:greet name=.}},{{/l}}", "{\"l\":[1,2]}", "Hello 1,Hello 2,", NULL);
    check("{{t:items n place}}", "{\"n\":1200,\"place\":\"&\"}", "1,200 items in &amp;", NULL);
    check("{{t:items n place}}", "{}", " items in ", NULL);
    const struct template_source page = {S("page"),
                                         S("<p title=\"{{t:hello}}\">{{t:items n place}}")};
    struct templates *t = templates_new(&page, 1, locales, &e);
    assert_non_null(t);
    render(t, "ja", "{\"n\":1,\"place\":\"つくば\"}",
           "<p title=\"&lt;b&gt;よう&amp;こそ\">1件 つくば");
    render(t, "en", "{\"n\":1,\"place\":\"つくば\"}", "<p title=\"&lt;b&gt;Hi\">1 item in つくば");
    struct buf out = BUF_INIT; /* a locale without the key */
    assert_int_equal(template_render(t, "page", NULL, NULL, &out, &e), OK);
    assert_string_equal(out.p, "<p title=\"hello\">items");
    buf_release(&out);
    templates_free(t);
    check_refused("\n{{t:gone}}", "page:2: unknown key \"gone\"", NULL);
    check_refused("{{t:}}", "no key", NULL);
    check_refused("{{t:items n}}", "needs the argument \"place\"", NULL);
    check_refused("{{t:greet name=}}", "not a name", NULL);
    check_refused("{{t:greet =name}}", "argument without a name", NULL);
    check_refused("{{t:greet .}}", "argument without a name", NULL);
    check_refused("{{t:greet a b c d e f g h i}}", "too many arguments", NULL);
    assert_null(templates_new(&page, 1, NULL, &e));
    assert_non_null(strstr(e.text, "unknown key"));
}

static void check_link(const char *url_json, const char *want)
{
    char data[256], expected[256];
    snprintf(data, sizeof(data), "{\"u\":%s}", url_json);
    snprintf(expected, sizeof(expected), "<a class=\"x\" href=\"%s\"><img src='%s'><p title=\"\">",
             want, want);
    struct error e;
    const struct template_source page = {
        S("page"), S("<a class=\"x\" href=\"{{u}}\"><img src='{{u}}'><p title=\"{{z}}\">")};
    struct templates *t = templates_new(&page, 1, locales, &e);
    if (!t)
        fail_msg("%s", e.text);
    render(t, "en", data, expected);
    templates_free(t);
}

static void test_links(void **state)
{
    (void)state;
    static const char *const good[] = {"https://example.jp/?a=b#c",
                                       "HTTP://example.jp",
                                       "mailto:a@example.jp",
                                       "tel:110",
                                       "/path:x",
                                       "//example.jp",
                                       "?q=a:b",
                                       "#a:b",
                                       "",
                                       "path/a:b",
                                       "plain"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        char quoted[128];
        snprintf(quoted, sizeof(quoted), "\"%s\"", good[i]);
        check_link(quoted, good[i]);
    }
    static const char *const bad[] = {
        "\"javascript:alert(1)\"",       "\"JaVaScRiPt:alert(1)\"", "\" javascript:alert(1)\"",
        "\"java\\tscript:alert(1)\"",    "\"java\\nscript:x\"",     "\"\\u0001javascript:x\"",
        "\"data:text/html,x\"",          "\"vbscript:x\"",          "\":alert(1)\"",
        "\"java\\u0000script:x\"",       "\"file:///etc/passwd\"",  "\"blob:https://x\"",
        "\"javascript&colon;:alert(1)\""};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        check_link(bad[i], "#");
    check("<a href=\"{{u}}{{v}}\">", "{\"u\":\"javascript\",\"v\":\":x\"}",
          "<a href=\"javascript#\">", NULL);
    check("<a href=\"java{{u}}\">", "{\"u\":\"script:x\"}", "<a href=\"java#\">", NULL);
    check("<a href=\"/e/{{u}}?x={{u}}\">", "{\"u\":\"urn:a\"}", "<a href=\"/e/urn:a?x=urn:a\">",
          NULL);
    check("<a href=\"{{#s}}/x{{/s}}{{u}}\">", "{\"u\":\"javascript:x\"}", "<a href=\"#\">", NULL);
    check("<a HREF = '{{u}}'>", "{\"u\":\"javascript:x\"}", "<a HREF = '#'>", NULL);
    check("<form action=\"{{u}}\"><button formaction=\"{{u}}\">", "{\"u\":\"javascript:x\"}",
          "<form action=\"#\"><button formaction=\"#\">", NULL);
    check("<p data-href=\"{{u}}\" title=\"{{u}}\">href=\"{{u}}\"", "{\"u\":\"a:b\"}",
          "<p data-href=\"a:b\" title=\"a:b\">href=\"a:b\"", NULL);
}

static void test_unsafe_places(void **state)
{
    (void)state;
    check_refused("<p class={{x}}>", "only quoted attribute values", NULL);
    check_refused("<p class=a{{x}}>", "only quoted attribute values", NULL);
    check_refused("<p {{x}}>", "only quoted attribute values", NULL);
    check_refused("<p {{{x}}}>", "only quoted attribute values", NULL);
    check_refused("<p {{t:hello}}>", "only quoted attribute values", NULL);
    check_refused("<p a=\"b\"{{x}}>", "only quoted attribute values", NULL);
    check_refused("<{{x}}>", "only quoted attribute values", NULL);
    check_refused("<h{{x}}>", "only quoted attribute values", NULL);
    check_refused("<p title=\"{{{x}}}\">", "must not hold the raw value", NULL);
    check_refused("<p onclick=\"f('{{x}}')\">", "event attribute", NULL);
    check_refused("<p ONclick='{{x}}'>", "event attribute", NULL);
    check_refused("<iframe srcdoc=\"{{x}}\">", "event attribute", NULL);
    check_refused("<script>\"{{x}}\"</script>", "script and style", NULL);
    check_refused("<STYLE media=\"x\">a<b {{x}}</style>", "script and style", NULL);
    check_refused("<p class=\"{{>p}}\">", "only text may hold a part", "p", "x", NULL);
    check_refused("<p {{#x}}class=\"{{/x}}\">", "different places", NULL);
    check_refused("<p title=\"a", "ends inside", NULL);
    check_refused("<!-- ", "ends inside", NULL);
    check("<script type=\"a\">{{{x}}} a<b '</script>{{x}}", "{\"x\":\"{}\"}",
          "<script type=\"a\">{} a<b '</script>{}", NULL);
    check("<!-- don't > {{x}} --><p title='>{{x}}'>a < b, c<3 \"{{x}}", "{\"x\":1}",
          "<!-- don't > 1 --><p title='>1'>a < b, c<3 \"1", NULL);
    check("<!DOCTYPE html><input {{#c}}checked{{/c}} value=\"{{x}}\"/>it's {{x}}",
          "{\"x\":1,\"c\":true}", "<!DOCTYPE html><input checked value=\"1\"/>it's 1", NULL);
}

static void test_mistakes(void **state)
{
    (void)state;
    check_refused("\n{{x", "page:2: tag is not closed", NULL);
    check_refused("{{{x}}", "tag is not closed", NULL);
    check_refused("a\n{{#x}}\nb", "page:2: section is not closed: \"x\"", NULL);
    check_refused("a\n{{/x}}", "page:2: end of a section that was not begun", NULL);
    check_refused("{{#x}}{{#y}}{{/x}}{{/y}}", "a section inside is not closed", NULL);
    check_refused("{{}}", "not a name", NULL);
    check_refused("{{#}}{{/}}", "not a name", NULL);
    check_refused("{{a b}}", "not a name", NULL);
    check_refused("{{a..b}}", "not a name", NULL);
    check_refused("{{.a}}", "not a name", NULL);
    check_refused("{{a.}}", "not a name", NULL);
    check_refused("{{&a}}", "not a name", NULL);
    check_refused("{{=<% %>=}}", "not a name", NULL);
    check_refused("{{>}}", "part without a name", NULL);
    struct buf deep = BUF_INIT;
    for (int i = 0; i < 33; i++)
        BUF_LIT(&deep, "{{#x}}");
    check_refused(deep.p, "nest too deep", NULL);
    buf_release(&deep);
}

static void check_failure(struct templates *t, const char *name, const char *data, size_t limit,
                          enum err want)
{
    struct error e;
    struct arena a = ARENA_INIT;
    struct buf out = BUF_INIT;
    out.limit = limit;
    assert_int_equal(template_render(t, name, json_parse(&a, str_c(data), &JSON_DEFAULT, NULL),
                                     locales_at(locales, 0), &out, &e),
                     want);
    assert_int_equal(e.code, want);
    buf_release(&out);
    arena_release(&a);
}

/* Sections and parts that multiply must end, whatever the data. */
static void test_limits(void **state)
{
    (void)state;
    struct buf nest = BUF_INIT;
    for (int i = 0; i < 30; i++)
        BUF_LIT(&nest, "{{#l}}");
    for (int i = 0; i < 30; i++)
        BUF_LIT(&nest, "{{/l}}");
    struct template_source sources[SOURCES_MAX];
    char names[SOURCES_MAX][8], texts[SOURCES_MAX][16];
    for (size_t i = 0; i < 34; i++) { /* p0 includes p1, which includes p2 ... */
        snprintf(names[i], sizeof(names[i]), "p%zu", i);
        snprintf(texts[i], sizeof(texts[i]), i < 33 ? "{{>p%zu}}" : "x", i + 1);
        sources[i] = (struct template_source){str_c(names[i]), str_c(texts[i])};
    }
    sources[34] = (struct template_source){S("nest"), buf_view(&nest)};
    sources[35] =
        (struct template_source){S("long"), S("{{#l}}{{#l}}{{#l}}12345{{/l}}{{/l}}{{/l}}")};
    struct error e;
    struct templates *t = templates_new(sources, 36, locales, &e);
    if (!t)
        fail_msg("%s", e.text);
    check_failure(t, "p0", "{}", 0, ERR_TOO_COMPLEX);
    check_failure(t, "nest", "{\"l\":[1,2,3]}", 0, ERR_TOO_COMPLEX);
    check_failure(t, "long", "{\"l\":[1,2,3,4]}", 319, ERR_TOO_LARGE);
    check_failure(t, "gone", "{}", 0, ERR_NOT_FOUND);
    struct buf out = BUF_INIT;
    assert_int_equal(template_render(t, "p1", NULL, locales_at(locales, 0), &out, &e), OK);
    assert_string_equal(out.p, "x");
    buf_release(&out);
    buf_release(&nest);
    templates_free(t);
}

static void test_folder(void **state)
{
    (void)state;
    char path[128];
    struct error e;
    snprintf(path, sizeof(path), "%s/part", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    put("page.html", "{{>part/head}}body");
    put("part/head.html", "<h1>{{t:hello}}</h1>\n");
    put(".hidden.html", "{{broken");
    put("note.txt", "{{broken");
    struct templates *t = templates_load(folder, locales, &e);
    if (!t)
        fail_msg("%s", e.text);
    render(t, "en", NULL, "<h1>&lt;b&gt;Hi</h1>\nbody");
    templates_free(t);
    put("part/head.html", "<h1>\n{{t:gone}}");
    assert_null(templates_load(folder, locales, &e));
    assert_int_equal(e.code, ERR_INVALID);
    assert_non_null(strstr(e.text, "part/head.html:2: unknown key \"gone\""));
    assert_null(templates_load("/nonexistent/templates", locales, &e));
    assert_int_equal(e.code, ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),        cmocka_unit_test(test_sections),
        cmocka_unit_test(test_lines),         cmocka_unit_test(test_parts),
        cmocka_unit_test(test_texts),         cmocka_unit_test(test_links),
        cmocka_unit_test(test_unsafe_places), cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_limits),        cmocka_unit_test(test_folder),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
