/* NGSIv2: names, ids, field syntax, service paths. */
#include "ld_test.h"
#include "v2.h"

static void assert_name(const char *name, const char *iri)
{
    assert_text(v2_iri(&arena, str_c(name)), iri);
    assert_text(v2_name(&arena, str_c(iri)), name);
}

static void names_and_iris(void **state)
{
    (void)state;
    assert_name("temperature", DEFAULT "temperature");
    assert_name("location", NGSI "location");
    assert_name("a.b-c", DEFAULT "a.b-c");
    /* words of NGSI-LD and of JSON-LD are ordinary names here */
    assert_name("scope", DEFAULT "scope");
    assert_name("value", DEFAULT "value");
    assert_name("observedAt", DEFAULT "observedAt");
    assert_name("@context", DEFAULT "@context");
    assert_name("v2", DEFAULT "v2");
    /* a prefix is not looked up */
    assert_name("location:x", DEFAULT "location:x");
    assert_name("https://schema.org/name", "https://schema.org/name");
}

static void every_name_comes_back(void **state)
{
    static const char *const names[] = {"id",        "type",        "createdAt", "Property",
                                        "geo:json",  "a:b",         "urn:",      ":",
                                        "%20",       "x[0]",        "*",         "lang",
                                        "datasetId", "TimeInstant", "ngsi-ld",   "ngsi-ld:x"};
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        assert_text(v2_name(&arena, v2_iri(&arena, str_c(names[i]))), names[i]);
}

static void ids(void **state)
{
    (void)state;
    assert_text(v2_alias(&arena, S("urn:ngsi-ld:Room:1")), "urn:ngsi-ld:Room:1");
    assert_text(v2_alias(&arena, S("Room1")), "urn:ngsi-ld:v2:Room1");
    assert_text(v2_alias(&arena, S("a[1]%")), "urn:ngsi-ld:v2:a%5B1%5D%25");
    assert_text(v2_alias_more(&arena, S("Room1"), S("a:b"), S("/x")),
                "urn:ngsi-ld:v2:Room1:a%3Ab:%2Fx");
    static const char *const all[] = {
        "Room1", "urn:ngsi-ld:Room:1",  "urn:ngsi-ld:v2:x", "a[1]%", ":",
        "x:",    "http://example.org/x"};
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        struct str id = str_c(all[i]);
        assert_true(ld_is_uri(v2_alias(&arena, id)));
        assert_text(v2_id(&arena, v2_alias(&arena, id)), all[i]);
        assert_text(v2_id(&arena, v2_alias_more(&arena, id, S("T"), S(""))), all[i]);
    }
    /* what is no alias of ours stays what it is */
    assert_text(v2_id(&arena, S("urn:ngsi-ld:v2:%zz")), "urn:ngsi-ld:v2:%zz");
    assert_text(v2_id(&arena, S("urn:ngsi-ld:v2:")), "urn:ngsi-ld:v2:");
    assert_text(v2_id(&arena, S("urn:ngsi-ld:v2:%FF")), "urn:ngsi-ld:v2:%FF");
}

static bool accepted(struct str s)
{
    struct error e = {0};
    enum err err = v2_check_id(s, "entity id", &e);
    assert_true(err == OK || e.text[0]);
    return err == OK;
}

static void field_syntax(void **state)
{
    static const char bad[] = " \t\n\x7f&?/#<>\"'=;()";
    char text[4] = "a b";
    (void)state;
    for (size_t i = 0; bad[i]; i++) {
        text[1] = bad[i];
        assert_false(accepted(str_c(text)));
    }
    assert_false(accepted(S("")));
    assert_false(accepted(S("caf\xc3\xa9")));
    assert_false(accepted(str_n("a\0b", 3)));
    assert_true(accepted(S("a.b-c_d:e@f!g~h$i*j+k,l[m]n{o}p|q\\r^s`t%u")));
    assert_true(accepted(S("http://example.org/a?b=c#d")) == false); /* '=' is never permitted */
    assert_true(accepted(S("http://example.org/a?b#d")));
    char *longest = arena_alloc(&arena, 257);
    memset(longest, 'x', 257);
    assert_true(accepted(str_n(longest, 256)));
    assert_false(accepted(str_n(longest, 257)));
}

static void values_without_injection(void **state)
{
    struct error e;
    (void)state;
    assert_int_equal(v2_check_value(J("{'a': [1, 'x', {'b': 'y z & / #'}]}"), "v", &e), OK);
    assert_int_equal(v2_check_value(J("{'a': [1, {'b': '(y'}]}"), "v", &e), ERR_INVALID);
    assert_int_equal(v2_check_value(J("{'a=b': 1}"), "v", &e), ERR_INVALID);
    assert_int_equal(v2_check_value(J("'<script>'"), "v", &e), ERR_INVALID);
}

static bool holds(const char *header, const char *stored)
{
    struct v2_paths p;
    struct error e = {0};
    if (v2_paths_read(header ? str_c(header) : STR_NONE, false, &p, &e))
        fail_msg("%s: %s", header, e.text);
    return v2_paths_hold(&p, J(stored));
}

static void paths_select(void **state)
{
    (void)state;
    assert_true(holds(NULL, "{}"));
    assert_true(holds(NULL, "{'scope': ['/a']}"));
    assert_true(holds("/#", "{'scope': ['/a/b']}"));
    assert_true(holds("/", "{}"));
    assert_false(holds("/", "{'scope': ['/a']}"));
    assert_true(holds("/a", "{'scope': ['/a']}"));
    assert_true(holds("/a/", "{'scope': ['/a']}"));
    assert_false(holds("/a", "{'scope': ['/a/b']}"));
    assert_false(holds("/a", "{'scope': ['/ab']}"));
    assert_false(holds("/a", "{}"));
    assert_true(holds("/a/#", "{'scope': ['/a']}"));
    assert_true(holds("/a/#", "{'scope': ['/a/b/c']}"));
    assert_false(holds("/a/#", "{'scope': ['/ab/c']}"));
    assert_true(holds("/x, /a/#", "{'scope': ['/a/b']}"));
    assert_true(holds("/x,/", "{}"));
    assert_true(holds("/b", "{'scope': ['/a', '/b']}"));
}

static enum err read_paths(const char *header, bool to_write)
{
    struct v2_paths p;
    struct error e;
    return v2_paths_read(str_c(header), to_write, &p, &e);
}

static void bad_paths(void **state)
{
    static const char *const bad[] = {"a",
                                      "#",
                                      "/a b",
                                      "/a//b",
                                      "/a-b",
                                      "/#/a",
                                      "//",
                                      "/a/#b",
                                      "/1/2/3/4/5/6/7/8/9/10/11",
                                      "/123456789012345678901234567890123456789012345678901",
                                      "/1,/2,/3,/4,/5,/6,/7,/8,/9,/10,/11",
                                      "/a,,/b",
                                      "/a?"};
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_int_equal(read_paths(bad[i], false), ERR_INVALID);
    assert_int_equal(read_paths("/1/2/3/4/5/6/7/8/9/10", false), OK);
    assert_int_equal(read_paths("/a/#", true), ERR_INVALID);
    assert_int_equal(read_paths("/#", true), ERR_INVALID);
    assert_int_equal(read_paths("/a,/b", true), ERR_INVALID);
    assert_int_equal(read_paths("/a/b", true), OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(names_and_iris), TEST(every_name_comes_back),    TEST(ids),
        TEST(field_syntax),   TEST(values_without_injection), TEST(paths_select),
        TEST(bad_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
