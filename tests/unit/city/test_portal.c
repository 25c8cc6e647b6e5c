/* The pure parts of the portal: readings, charts, small maps, entities as people see them. */
#include "chart.h"
#include "core/clock.h"
#include "look.h"
#include "minimap.h"
#include "ruby.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct locales *locales;

static int setup(void **state)
{
    struct error e = {0};
    (void)state;
    locales = locales_load(WEB_DIR "/locales", &e);
    if (!locales)
        fail_msg("%s", e.text);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    locales_free(locales);
    return 0;
}

static const struct locale *in(const char *path)
{
    return locales_by_path(locales, str_c(path));
}

/* --- readings --- */

static void check_ruby(const char *html, const char *want)
{
    struct buf out = BUF_INIT;
    ruby_page(&out, str_c(html));
    if (!str_eq(buf_view(&out), str_c(want)))
        fail_msg("%s\ngives %" STR_F "\nwant  %s", html, STR_A(buf_view(&out)), want);
    buf_release(&out);
}

static void test_ruby(void **state)
{
    (void)state;
    check_ruby("<p>｜地図《ちず》を ｜見《み》る</p>",
               "<p><ruby>地図<rp>(</rp><rt>ちず</rt><rp>)</rp></ruby>を "
               "<ruby>見<rp>(</rp><rt>み</rt><rp>)</rp></ruby>る</p>");
    check_ruby("<title>｜地図《ちず》</title><a title=\"｜人《ひと》\">x</a>",
               "<title>地図</title><a title=\"人\">x</a>");
    check_ruby("<option value=\"a\">｜人《ひと》</option>｜人《ひと》",
               "<option value=\"a\">人</option><ruby>人<rp>(</rp><rt>ひと</rt><rp>)</rp></ruby>");
    check_ruby("<svg><text x=\"1\">｜人《ひと》</text></svg>",
               "<svg><text x=\"1\">人</text></svg>");
}

static void test_ruby_leaves_the_rest_alone(void **state)
{
    (void)state;
    check_ruby("", "");
    check_ruby("｜", "｜");
    check_ruby("｜人《ひと", "｜人《ひと");
    check_ruby("《ひと》｜《ひと》｜人《》", "《ひと》｜《ひと》｜人《》");
    check_ruby("｜<b>《x》", "｜<b>《x》");
    check_ruby("a &lt; b ｜ c", "a &lt; b ｜ c");
    check_ruby("\xEF\xBC", "\xEF\xBC"); /* cut in a character */
}

/* --- charts --- */

static void test_ticks(void **state)
{
    (void)state;
    static const struct {
        double min, max, first, step;
        size_t n;
    } cases[] = {
        {0, 10, 0, 5, 3},     {2.6, 10.9, 0, 5, 4},         {0.81, 0.84, 0.81, 0.01, 4},
        {-3, 7, -5, 5, 4},    {1012, 1017, 1012, 2, 4},     {0, 0, -1, 0.5, 5},
        {100, 100, 95, 5, 3}, {1e-9, 3e-9, 1e-9, 5e-10, 5},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        double first, step;
        size_t n = chart_ticks(cases[i].min, cases[i].max, &first, &step);
        if (n != cases[i].n || fabs(first - cases[i].first) > step * 1e-6 ||
            fabs(step - cases[i].step) > step * 1e-6)
            fail_msg("%g..%g: %zu lines from %g by %g", cases[i].min, cases[i].max, n, first, step);
        assert_true(first <= cases[i].min + step * 1e-6);
        assert_true(first + step * (double)(n - 1) >= cases[i].max - step * 1e-6);
    }
}

static size_t count(struct str text, const char *what)
{
    size_t n = 0;
    for (ptrdiff_t at; (at = str_find(text, str_c(what))) >= 0; n++)
        text = str_from(text, (size_t)at + 1);
    return n;
}

static void test_chart(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct buf out = BUF_INIT;
    struct chart_point p[] = {{0, 1, 0, 2},
                              {HOUR_US, 2, 1, 3},
                              {2 * HOUR_US, 3, 3, 3},
                              {10 * HOUR_US, 1, 1, 1},
                              {20 * HOUR_US, 5, 5, 5},
                              {21 * HOUR_US, 6, 5, 7}};
    struct chart c = {.points = p,
                      .n = 6,
                      .from = 0,
                      .to = DAY_US,
                      .gap = 3 * HOUR_US,
                      .title = S("<b>&\"title"),
                      .text = S("text")};
    chart_svg(&out, &a, in("en"), &c);
    struct str svg = buf_view(&out);
    /* Three runs: two lines with a band, and a lone dot between them. */
    assert_int_equal(count(svg, "<polyline"), 2);
    assert_int_equal(count(svg, "<polygon"), 2);
    assert_int_equal(count(svg, "chart-dot"), 1);
    assert_int_equal(count(svg, "chart-last"), 1);
    assert_int_equal(count(svg, "<b>"), 0);
    assert_int_equal(count(svg, "style="), 0);
    assert_int_equal(count(svg, "nan"), 0);
    buf_clear(&out);
    c.n = 0;
    chart_svg(&out, &a, in("en"), &c);
    assert_int_equal(out.n, 0);
    buf_release(&out);
    arena_release(&a);
}

static void test_minimap(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct buf out = BUF_INIT;
    struct minimap m = {140, 36, 2500};
    double xy[] = {139, 35, 141, 35, 141, 37, 139, 37, 139, 35};
    struct geo_ring ring = {xy, 5};
    struct geo_part part = {GEO_POLYGON, &ring, 1};
    struct geo area = {.kind = GEO_POLYGON, .parts = &part, .n = 1};
    minimap_begin(&out, &m);
    minimap_add(&out, &m, &area);
    minimap_add(&out, &m, geo_point(&a, 140, 36));
    minimap_end(&out, &m, NULL);
    assert_int_equal(count(buf_view(&out), "mini-area"), 1);
    assert_int_equal(count(buf_view(&out), "mini-pin"), 1);
    assert_int_equal(count(buf_view(&out), ">1 km<"), 1);
    assert_true(str_ends(buf_view(&out), S("</svg>")));
    buf_release(&out);
    arena_release(&a);
}

/* --- entities --- */

static const struct json *stored(struct arena *a, const char *text)
{
    struct error e = {0};
    const struct json *payload = json_parse(a, str_c(text), &JSON_DEFAULT, &e);
    const struct json *s =
        payload ? entity_expand(a, payload, ENTITY_WHOLE, false, ld_core(), &e) : NULL;
    if (!s)
        fail_msg("%s: %s", text, e.text);
    return s;
}

static void check_value(const char *language, const char *attribute, const char *want)
{
    struct arena a = ARENA_INIT;
    const struct json *s =
        stored(&a, arena_printf(&a, "{\"id\":\"urn:x:1\",\"type\":\"T\",\"a\":%s}", attribute));
    struct look_shown shown = look_instance(&a, in(language), instance_default(look_attr(s, "a")));
    if (!str_eq(shown.text, str_c(want)))
        fail_msg("%s in %s: got \"%" STR_F "\", want \"%s\"", attribute, language,
                 STR_A(shown.text), want);
    arena_release(&a);
}

static void test_values(void **state)
{
    (void)state;
    check_value("en", "{\"type\":\"Property\",\"value\":12345.5,\"unitCode\":\"CEL\"}",
                "12,345.5 °C");
    check_value("pt", "{\"type\":\"Property\",\"value\":12345.5,\"unitCode\":\"P1\"}", "12.345,5%");
    check_value("ja", "{\"type\":\"Property\",\"value\":true}", "はい");
    check_value("en", "{\"type\":\"Property\",\"value\":false}", "No");
    check_value("ja", "{\"type\":\"Property\",\"value\":\"open\"}", "開設中・利用可");
    check_value("ja", "{\"type\":\"Property\",\"value\":\"open sesame\"}", "open sesame");
    check_value("ja", "{\"type\":\"Property\",\"value\":[\"内科\",\"外科\"]}", "内科、外科");
    check_value("en", "{\"type\":\"Property\",\"value\":[1,2]}", "1, 2");
    check_value("ja", "{\"type\":\"Property\",\"value\":\"2026-11-23T05:00:00Z\"}",
                "2026年11月23日 14:00");
    check_value("ja", "{\"type\":\"Property\",\"value\":\"2026-11-23\"}", "2026年11月23日");
    check_value("ja",
                "{\"type\":\"Property\",\"value\":{\"streetAddress\":\"中央1\",\"addressRegion\":"
                "\"茨城県\",\"addressLocality\":\"つくばのはら市\",\"postalCode\":\"300-0000\"}}",
                "〒300-0000 茨城県つくばのはら市中央1");
    check_value("en",
                "{\"type\":\"LanguageProperty\",\"languageMap\":{\"ja\":\"水\",\"en\":"
                "\"Water\"}}",
                "Water");
    check_value("zh",
                "{\"type\":\"LanguageProperty\",\"languageMap\":{\"ja\":\"水\",\"en\":"
                "\"Water\"}}",
                "水");
}

static void test_names(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    const struct json *s =
        stored(&a, "{\"id\":\"urn:ngsi-ld:AED:7\",\"type\":\"AED\",\"name\":{\"type\":\"Property\","
                   "\"value\":\"庁舎\"},\"nameEn\":{\"type\":\"Property\",\"value\":\"City "
                   "Hall\"}}");
    assert_true(str_eq(look_name(&a, in("ja"), s), S("庁舎")));
    assert_true(str_eq(look_name(&a, in("en"), s), S("City Hall")));
    s = stored(&a, "{\"id\":\"urn:ngsi-ld:AED:7\",\"type\":\"AED\"}");
    assert_true(str_eq(look_name(&a, in("en"), s), S("7")));
    assert_true(str_eq(look_type(&a, s), S("AED")));
    /* The same name under another vocabulary. */
    s = stored(&a, "{\"id\":\"urn:x:1\",\"type\":\"https://schema.example/types#Place\","
                   "\"https://schema.example/name\":{\"type\":\"Property\",\"value\":\"森\"}}");
    assert_true(str_eq(look_name(&a, in("ja"), s), S("森")));
    assert_true(str_eq(look_type(&a, s), S("Place")));
    assert_null(look_attr(s, "ame"));
    arena_release(&a);
}

static void test_places(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    double lon, lat;
    const struct json *s = stored(
        &a, "{\"id\":\"urn:x:1\",\"type\":\"T\",\"location\":{\"type\":\"GeoProperty\",\"value\":{"
            "\"type\":\"Polygon\",\"coordinates\":[[[0,0],[2,0],[2,2],[0,2],[0,0]]]}}}");
    assert_true(look_place(&a, s, &lon, &lat));
    assert_true(fabs(lon - 1) < 1e-9 && fabs(lat - 1) < 1e-9);
    s = stored(&a, "{\"id\":\"urn:x:1\",\"type\":\"T\"}");
    assert_false(look_place(&a, s, &lon, &lat));
    arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ruby),    cmocka_unit_test(test_ruby_leaves_the_rest_alone),
        cmocka_unit_test(test_ticks),   cmocka_unit_test(test_chart),
        cmocka_unit_test(test_minimap), cmocka_unit_test(test_values),
        cmocka_unit_test(test_names),   cmocka_unit_test(test_places),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
