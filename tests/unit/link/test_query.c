/* q: grammar, meaning, hostile input. */
#include "query_lab.h"

#include "core/regex.h"

static bool holds_with(const char *q, const char *attrs, const char *expand)
{
    struct error e = {0};
    struct str names[1] = {str_c(expand)};
    const struct query_node *node =
        query_parse_q(&lab, str_c(q), ld_core(), names, expand ? 1 : 0, &QUERY_DEFAULT, &e);
    if (!node)
        fail_msg("%s: %s", q, e.text);
    bool hit = false;
    assert_int_equal(query_q_holds(node, lab_entity(attrs), &hit, &e), OK);
    query_q_release(node);
    return hit;
}

static bool holds(const char *q, const char *attrs)
{
    return holds_with(q, attrs, NULL);
}

static enum err refused(const char *q)
{
    struct error e = {0};
    const struct query_node *node =
        query_parse_q(&lab, str_c(q), ld_core(), NULL, 0, &QUERY_DEFAULT, &e);
    if (node) {
        query_q_release(node);
        fail_msg("%s was accepted", q);
    }
    assert_true(e.text[0] != 0);
    return e.code;
}

#define PROPERTY(name, value) "'D:" name "': [{'type': 'Property', 'value': " value "}]"

static void existence(void **state)
{
    (void)state;
    assert_true(holds("speed", PROPERTY("speed", "1")));
    assert_false(holds("speed", PROPERTY("colour", "1")));
    assert_false(holds("!speed", PROPERTY("speed", "1")));
    assert_true(holds("!speed", PROPERTY("colour", "1")));
    assert_true(holds("speed;!colour", PROPERTY("speed", "1")));
}

static void numbers(void **state)
{
    (void)state;
    assert_true(holds("n==20", PROPERTY("n", "20.0")));
    assert_true(holds("n==2e1", PROPERTY("n", "20")));
    assert_false(holds("n==20", PROPERTY("n", "21")));
    assert_true(holds("n!=20", PROPERTY("n", "21")));
    assert_false(holds("n!=20", PROPERTY("n", "20")));
    assert_true(holds("n>-5", PROPERTY("n", "-4.5")));
    assert_false(holds("n>20", PROPERTY("n", "20")));
    assert_true(holds("n>=20", PROPERTY("n", "20")));
    assert_true(holds("n<20", PROPERTY("n", "19")));
    assert_true(holds("n<=20", PROPERTY("n", "20")));
    assert_false(holds("n<=20", PROPERTY("n", "20.0001")));
    assert_true(holds("n == 20 ; n < 30", PROPERTY("n", "20")));
}

static void numbers_beyond_double(void **state)
{
    (void)state;
    assert_true(holds("n==12345678901234567890", PROPERTY("n", "12345678901234567890")));
    assert_false(holds("n==12345678901234567890", PROPERTY("n", "12345678901234567891")));
    assert_true(holds("n>12345678901234567890", PROPERTY("n", "12345678901234567891")));
    assert_true(holds("n<9007199254740993", PROPERTY("n", "9007199254740992")));
    assert_true(holds("n>1e400", PROPERTY("n", "2e400")));
    assert_false(holds("n==1e400", PROPERTY("n", "2e400")));
    assert_true(holds("n<1e400", PROPERTY("n", "5")));
    assert_true(holds("n>-1e400", PROPERTY("n", "5")));
    assert_true(holds("n>0", PROPERTY("n", "1e-400")));
    assert_true(holds("n==0", PROPERTY("n", "-0.0")));
}

static void texts(void **state)
{
    (void)state;
    assert_true(holds("brand==\"Mercedes\"", PROPERTY("brand", "'Mercedes'")));
    assert_false(holds("brand==\"mercedes\"", PROPERTY("brand", "'Mercedes'")));
    assert_true(holds("brand!=\"Mercedes\"", PROPERTY("brand", "'Volvo'")));
    assert_true(holds("brand>\"A\"", PROPERTY("brand", "'B'")));
    assert_true(holds("brand==\"a;b|(c),d..e\"", PROPERTY("brand", "'a;b|(c),d..e'")));
    assert_true(holds("brand==\"\\u3042\\\"\"", PROPERTY("brand", "'\xe3\x81\x82\\\"'")));
    assert_true(holds("名前==\"つくば\"", PROPERTY("名前", "'つくば'")));
    assert_true(holds("brand==\"\"", PROPERTY("brand", "''")));
    /* U+FF5E sorts before U+1F600 by code point, after it in UTF-16 */
    assert_true(holds("brand<\"\xf0\x9f\x98\x80\"", PROPERTY("brand", "'\xef\xbd\x9e'")));
}

static void sorts_do_not_mix(void **state)
{
    (void)state;
    assert_false(holds("n==\"30\"", PROPERTY("n", "30")));
    assert_false(holds("n==30", PROPERTY("n", "'30'")));
    assert_true(holds("n!=\"thirty\"", PROPERTY("n", "30")));
    assert_true(holds("n!=5", PROPERTY("n", "true")));
    assert_false(holds("n!=5", PROPERTY("m", "5")));
    assert_false(holds("n>100", PROPERTY("n", "'550'")));
    assert_false(holds("n==1", PROPERTY("n", "true")));
    assert_false(holds("n==1", PROPERTY("n", "{'a': 1}")));
    assert_true(holds("n!=1", PROPERTY("n", "{'a': 1}")));
}

static void booleans(void **state)
{
    (void)state;
    assert_true(holds("open==true", PROPERTY("open", "true")));
    assert_false(holds("open==true", PROPERTY("open", "false")));
    assert_true(holds("open!=true", PROPERTY("open", "false")));
    assert_false(holds("open==\"true\"", PROPERTY("open", "true")));
    assert_int_equal(refused("open>true"), ERR_INVALID);
    assert_int_equal(refused("open==true..false"), ERR_INVALID);
}

static void lists_and_ranges(void **state)
{
    (void)state;
    assert_true(holds("c==\"black\",\"red\"", PROPERTY("c", "'red'")));
    assert_false(holds("c==\"black\",\"red\"", PROPERTY("c", "'blue'")));
    assert_true(holds("c!=\"black\",\"red\"", PROPERTY("c", "'blue'")));
    assert_false(holds("c!=\"black\",\"red\"", PROPERTY("c", "'red'")));
    assert_true(holds("c==1,2,\"x\",true", PROPERTY("c", "true")));
    assert_true(holds("c==1, 2 ,3", PROPERTY("c", "3")));
    assert_true(holds("n==10..20", PROPERTY("n", "10")));
    assert_true(holds("n==10..20", PROPERTY("n", "20")));
    assert_false(holds("n==10..20", PROPERTY("n", "20.5")));
    assert_true(holds("n==-1.5..2.5", PROPERTY("n", "0")));
    assert_true(holds("n!=10..20", PROPERTY("n", "9")));
    assert_false(holds("n!=10..20", PROPERTY("n", "15")));
    assert_true(holds("c==\"a\"..\"c\"", PROPERTY("c", "'b'")));
    assert_true(holds("t==2024-01-01T00:00:00Z..2024-12-31T23:59:59Z",
                      PROPERTY("t", "'2024-06-01T09:00:00+09:00'")));
    assert_int_equal(refused("n>1..2"), ERR_INVALID);
    assert_int_equal(refused("n>1,2"), ERR_INVALID);
    assert_int_equal(refused("n==1..\"x\""), ERR_INVALID);
    assert_int_equal(refused("n==1..2..3"), ERR_INVALID);
    assert_int_equal(refused("n==1..2,3"), ERR_INVALID);
    assert_int_equal(refused("n==1.."), ERR_INVALID);
    assert_int_equal(refused("n==..1"), ERR_INVALID);
}

static void arrays(void **state)
{
    (void)state;
    assert_true(holds("c==\"red\"", PROPERTY("c", "['blue', 'red']")));
    assert_true(holds("c==\"red\",\"green\"", PROPERTY("c", "['blue', 'red']")));
    assert_false(holds("c!=\"red\"", PROPERTY("c", "['blue', 'red']")));
    assert_true(holds("c!=\"red\"", PROPERTY("c", "['blue', 'green']")));
    assert_false(holds("c>1", PROPERTY("c", "[2, 3]")));
    assert_false(holds("c==1..5", PROPERTY("c", "[2, 3]")));
    assert_false(holds("c==1", PROPERTY("c", "[]")));
    assert_true(holds("c==2", "'D:c': [{'type': 'ListProperty', 'valueList': [1, 2]}]"));
}

static void times(void **state)
{
    (void)state;
    const char *t = PROPERTY("t", "'2024-06-01T09:00:00+09:00'");
    assert_true(holds("t==2024-06-01T00:00:00Z", t));
    assert_true(holds("t==2024-06-01T00:00:00.000Z", t));
    assert_true(holds("t>2024-05-31T23:59:59.999Z", t));
    assert_false(holds("t<2024-06-01T00:00:00Z", t));
    assert_false(holds("t==\"2024-06-01T00:00:00Z\"", t));
    assert_true(holds("t==2024-06-01T00:00:00Z",
                      PROPERTY("t", "{'@type': 'DateTime', '@value': '2024-06-01T00:00:00Z'}")));
    assert_true(holds("d>2024-01-31", PROPERTY("d", "'2024-02-01'")));
    assert_false(holds("d==2024-02-01", t));
    assert_true(holds("h==12:00:00", PROPERTY("h", "'12:00:00'")));
    assert_true(holds("h>=11:30:00Z", PROPERTY("h", "'12:00:00'")));
    assert_false(holds("h<11:30:00", PROPERTY("h", "'12:00:00'")));
}

static void logic(void **state)
{
    (void)state;
    const char *x = PROPERTY("a", "1") ", " PROPERTY("b", "2");
    assert_true(holds("a==1|b==9;c", x)); /* a==1 | (b==9 ; c) */
    assert_false(holds("(a==1|b==9);c", x));
    assert_true(holds("c;d|a==1", x));
    assert_true(holds("((a>0|z>3000);b==2)", x));
    assert_true(holds("( a == 1 ; b == 2 ) | c <= 10", x));
    assert_false(holds("a==2|b==1|c", x));
}

static void paths(void **state)
{
    (void)state;
    const char *x = "'D:t': [{'type': 'Property', 'value': 3, 'unitCode': 'CEL', "
                    "'observedAt': '2024-01-02T03:04:05.000Z', "
                    "'createdAt': '2024-01-02T03:04:06.000Z', "
                    "'D:accuracy': [{'type': 'Property', 'value': 0.5, "
                    "'D:by': [{'type': 'Relationship', 'object': 'urn:x:1'}]}]}]";
    assert_true(holds("t.accuracy==0.5", x));
    assert_false(holds("t.accuracy>0.5", x));
    assert_true(holds("t.accuracy.by==urn:x:1", x));
    assert_true(holds("t.accuracy", x));
    assert_false(holds("t.other", x));
    assert_false(holds("accuracy", x));
    assert_true(holds("t.unitCode==\"CEL\"", x));
    assert_true(holds("t.observedAt>=2024-01-02T03:04:05Z", x));
    assert_true(holds("t.observedAt==\"2024-01-02T12:04:05+09:00\"", x));
    assert_true(holds("t.createdAt>2024-01-01T00:00:00Z", x));
    assert_false(holds("t.datasetId", x));
    assert_true(holds("createdAt<2024-06-01T00:00:00Z", x));
    assert_true(holds("id==urn:ngsi-ld:Car:1", x));
    assert_true(holds("\"" LD_DEFAULT_PREFIX "t\"==3", x));
    assert_int_equal(refused("t.observedAt.x"), ERR_INVALID);
    assert_int_equal(refused("type==\"Car\""), ERR_INVALID);
}

static void compound_values(void **state)
{
    (void)state;
    const char *x = PROPERTY("address", "{'city': 'Berlin', 'a': {'b': [40, 41]}, 'no': null}");
    assert_true(holds("address[city]==\"Berlin\"", x));
    assert_true(holds("address[a.b]==40", x));
    assert_true(holds("address[a][b]==41", x));
    assert_true(holds("address[city]", x));
    assert_false(holds("address[street]", x));
    assert_false(holds("address[street]!=\"x\"", x));
    assert_false(holds("address[city.x]", x));
    assert_true(holds("!address[street]", x));
    assert_true(holds("j[value]==\"late\"",
                      "'D:j': [{'type': 'JsonProperty', 'json': {'value': 'late'}}]"));
    assert_true(holds("s.raw[air.pm]==40",
                      "'D:s': [{'type': 'Property', 'value': 1, 'D:raw': [{'type': 'Property', "
                      "'value': {'air': {'pm': 40}}}]}]"));
}

static void languages(void **state)
{
    (void)state;
    const char *x = "'D:c': [{'type': 'LanguageProperty', 'languageMap': "
                    "{'fr': 'rouge', 'en': ['red', 'cat'], 'ja-Latn': 'aka'}}]";
    assert_true(holds("c[en]==\"red\"", x));
    assert_true(holds("c[en]==\"cat\"", x));
    assert_false(holds("c[fr]==\"red\"", x));
    assert_true(holds("c[*]==\"red\"", x));
    assert_true(holds("c==\"rouge\"", x));
    assert_true(holds("c[JA-latn]==\"aka\"", x));
    assert_true(holds("c[fr]!=\"red\"", x));
    assert_false(holds("c[*]!=\"red\"", x));
    assert_true(holds("c!=\"blue\"", x));
    assert_false(holds("c[de]!=\"rot\"", x));
    assert_true(holds("c~=^rou", x));
    assert_false(holds("c[en.x]==\"red\"", x));
}

static void relationships(void **state)
{
    (void)state;
    const char *one = "'D:r': [{'type': 'Relationship', 'object': 'urn:p:1'}]";
    const char *many = "'D:r': [{'type': 'Relationship', 'object': ['urn:p:1', 'urn:p:2']}]";
    const char *list = "'D:r': [{'type': 'ListRelationship', 'objectList': "
                       "[{'object': 'urn:p:1'}, 'urn:p:2']}]";
    assert_true(holds("r==urn:p:1", one));
    assert_true(holds("r==\"urn:p:1\"", one));
    assert_false(holds("r!=urn:p:1", one));
    assert_true(holds("r==urn:p:9,urn:p:1", one));
    assert_true(holds("r==urn:p:2", many));
    assert_false(holds("r!=urn:p:2", many));
    assert_true(holds("r==urn:p:1", list));
    assert_true(holds("r==urn:p:2", list));
    assert_false(holds("r>=\"urn:p:1\"", one));
    assert_false(holds("r~=p", one));
    assert_int_equal(refused("r{temperature}==1"), ERR_UNPROCESSABLE);
}

static void vocabulary(void **state)
{
    (void)state;
    const char *x = "'D:gender': [{'type': 'VocabProperty', 'vocab': 'D:Male'}]";
    assert_true(holds_with("gender==Male", x, "gender"));
    assert_true(holds_with("gender==\"Male\"", x, "gender"));
    assert_false(holds_with("gender==Female", x, "gender"));
    assert_true(holds_with("gender==Female,Male", x, "gender"));
    assert_false(holds("gender==\"Male\"", x));
    assert_int_equal(refused("gender==Male"), ERR_INVALID);
}

static void instances(void **state)
{
    (void)state;
    const char *x = "'D:s': [{'type': 'Property', 'value': 55}, "
                    "{'type': 'Property', 'value': 60, 'datasetId': 'urn:d:gps'}]";
    assert_true(holds("s==55", x));
    assert_true(holds("s==60", x));
    assert_true(holds("s!=60", x)); /* 55 is not 60 */
    assert_false(holds("s>60", x));
    assert_true(holds("s.datasetId==urn:d:gps", x));
}

static void patterns(void **state)
{
    (void)state;
    assert_true(holds("n~=^ab+c", PROPERTY("n", "'abbbcd'")));
    assert_true(holds("n~=\"b.d$\"", PROPERTY("n", "'bcbcd'")));
    assert_true(holds("n~=a(x|b);n", PROPERTY("n", "'ab'")));
    assert_true(holds("(n~=a[;|)]c)", PROPERTY("n", "'a;c'")));
    assert_true(holds("n~=\"\\\\d{2}\"", PROPERTY("n", "'a12'")));
    assert_true(holds("n~=\"\\d{2}\"", PROPERTY("n", "'a12'")));
    assert_true(holds("n!~=^b", PROPERTY("n", "'ab'")));
    assert_false(holds("n!~=^a", PROPERTY("n", "'ab'")));
    assert_false(holds("n~=1", PROPERTY("n", "1")));
    assert_false(holds("n!~=1", PROPERTY("n", "2")));
    assert_false(holds("n!~=x", PROPERTY("m", "'y'")));
    assert_int_equal(refused("n~=("), ERR_INVALID);
    assert_int_equal(refused("n~="), ERR_INVALID);
    assert_int_equal(refused("n~=\"a"), ERR_INVALID);
}

static void a_pattern_cannot_stall(void **state)
{
    (void)state;
    struct error e = {0};
    const struct query_node *q =
        query_parse_q(&lab, S("n~=^(a+)+$"), ld_core(), NULL, 0, &QUERY_DEFAULT, &e);
    assert_non_null(q);
    char text[64] = {0};
    memset(text, 'a', sizeof(text) - 2);
    text[sizeof(text) - 2] = '!';
    bool hit;
    const struct json *x = lab_entity(arena_printf(&lab, PROPERTY("n", "'%s'"), text));
    enum err rc = query_q_holds(q, x, &hit, &e);
    assert_true(rc == ERR_TOO_COMPLEX || (rc == OK && !hit));
    query_q_release(q);
}

static void bad_grammar(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",           " ",       ";",       "a;",     ";a",     "a;;b",  "a|",
        "(a",         "a)",      "()",      "a=1",    "a===1",  "a==",   "a==;b",
        "a==\"x",     "a=='x'",  "a==x",    "a b",    "a==1 2", "a.",    ".a",
        "a..b",       "a[",      "a[]",     "a[b",    "a[b]]",  "1a==1", "a<>1",
        "a!1",        "a~1",     "!a==1",   "a==01",  "a==+1",  "a,b",   "a==1,",
        "a==\"\\x\"", "\"\"==1", "a==0x10", "a==NaN", "a==1;",  "\x01",  "a==\"\x01\"",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(refused(bad[i]), ERR_INVALID);
    struct error e = {0};
    assert_null(query_parse_q(&lab, S("a==\"\xff\""), ld_core(), NULL, 0, &QUERY_DEFAULT, &e));
    assert_int_equal(e.code, ERR_INVALID);
    e = (struct error){0};
    assert_null(query_parse_q(&lab, S("a;b==)"), ld_core(), NULL, 0, &QUERY_DEFAULT, &e));
    assert_non_null(strstr(e.text, "offset 5"));
}

static void limits(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    for (int i = 0; i < 17; i++)
        buf_char(&b, '(');
    buf_char(&b, 'a');
    for (int i = 0; i < 17; i++)
        buf_char(&b, ')');
    assert_int_equal(refused(b.p), ERR_TOO_COMPLEX);
    buf_clear(&b);
    BUF_LIT(&b, "a");
    for (int i = 0; i < 300; i++)
        BUF_LIT(&b, ";a");
    assert_int_equal(refused(b.p), ERR_TOO_COMPLEX);
    buf_clear(&b);
    BUF_LIT(&b, "a==1");
    for (int i = 0; i < 300; i++)
        BUF_LIT(&b, ",1");
    assert_int_equal(refused(b.p), ERR_TOO_COMPLEX);
    buf_clear(&b);
    for (int i = 0; i < 9000; i++)
        buf_char(&b, 'a');
    assert_int_equal(refused(b.p), ERR_TOO_COMPLEX);
    buf_clear(&b);
    BUF_LIT(&b, "a");
    for (int i = 0; i < 100; i++)
        BUF_LIT(&b, ".a");
    assert_int_equal(refused(b.p), ERR_INVALID);
    buf_release(&b);
}

static void whole_queries(void **state)
{
    (void)state;
    struct error e = {0};
    const struct json *x = lab_entity("'scope': ['/a/b'], " PROPERTY(
        "n", "5") ", "
                  "'https://uri.etsi.org/ngsi-ld/location': [{'type': 'GeoProperty', 'value': "
                  "{'type': 'Point', 'coordinates': [140.1, 36.08]}}]");
    struct geo_query geo;
    assert_int_equal(query_parse_geo(&lab, S("near;maxDistance==2000"), S("Point"),
                                     S("[140.11,36.08]"), STR_NONE, ld_core(), &geo, &e),
                     OK);
    struct str ids[] = {S("urn:x"), S("urn:ngsi-ld:Car:1")};
    struct str attrs[] = {lab_text("D:none"), lab_text("D:n")};
    struct entity_query q = {
        .ids = ids,
        .n_ids = 2,
        .id_pattern = regex_new(S("^urn:.*:Car"), &e),
        .types = query_parse_types(&lab, S("Bus,Car"), ld_core(), &QUERY_DEFAULT, &e),
        .attrs = attrs,
        .n_attrs = 2,
        .q = query_parse_q(&lab, S("n==5"), ld_core(), NULL, 0, &QUERY_DEFAULT, &e),
        .scope = query_parse_scope(&lab, S("/a/#"), &QUERY_DEFAULT, &e),
        .geo = &geo,
    };
    bool hit = false;
    assert_int_equal(query_holds(&q, x, &hit, &e), OK);
    assert_true(hit);
    struct entity_query part = q;
    part.n_ids = 1;
    assert_int_equal(query_holds(&part, x, &hit, &e), OK);
    assert_false(hit);
    part = q;
    part.n_attrs = 1;
    assert_int_equal(query_holds(&part, x, &hit, &e), OK);
    assert_false(hit);
    part = q;
    part.types = query_parse_types(&lab, S("Bus"), ld_core(), &QUERY_DEFAULT, &e);
    assert_int_equal(query_holds(&part, x, &hit, &e), OK);
    assert_false(hit);
    part = q;
    part.scope = query_parse_scope(&lab, S("/b"), &QUERY_DEFAULT, &e);
    assert_int_equal(query_holds(&part, x, &hit, &e), OK);
    assert_false(hit);
    assert_int_equal(query_holds(&(struct entity_query){0}, x, &hit, &e), OK);
    assert_true(hit);
    entity_query_release(&q);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, lab_open, lab_close)
    const struct CMUnitTest tests[] = {
        TEST(existence),
        TEST(numbers),
        TEST(numbers_beyond_double),
        TEST(texts),
        TEST(sorts_do_not_mix),
        TEST(booleans),
        TEST(lists_and_ranges),
        TEST(arrays),
        TEST(times),
        TEST(logic),
        TEST(paths),
        TEST(compound_values),
        TEST(languages),
        TEST(relationships),
        TEST(vocabulary),
        TEST(instances),
        TEST(patterns),
        TEST(a_pattern_cannot_stall),
        TEST(bad_grammar),
        TEST(limits),
        TEST(whole_queries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
