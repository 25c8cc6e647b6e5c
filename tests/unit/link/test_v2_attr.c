/* NGSIv2: attributes in and out, and how NGSI-LD sees them. */
#include "ld_test.h"
#include "v2.h"

static struct json in(const char *attr)
{
    struct error e = {0};
    struct json instance = {0};
    if (v2_attr_in(&arena, S("a"), J(attr), false, &instance, &e))
        fail_msg("%s: %s", attr, e.text);
    return instance;
}

static struct str out(const struct json *instance)
{
    struct v2_view all = {.form = V2_NORMALIZED};
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    v2_show_attr(&w, &arena, instance, &all);
    struct str text = buf_dup(&b, &arena);
    buf_release(&b);
    return text;
}

static struct str as_ld(const struct json *instance)
{
    struct entity_view v = {.form = FORM_NORMALIZED, .ctx = ld_core()};
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    entity_write_instance(&w, &arena, instance, &v);
    struct str text = buf_dup(&b, &arena);
    buf_release(&b);
    return text;
}

/* in stays what it is, through the operation that stores it too */
static void round_trip(const char *attr, const char *ld)
{
    struct json one = in(attr), list = json_v_array(&one, 1);
    struct json_member m[3] = {json_m(S("id"), json_v_str(S("urn:x:1"))),
                               json_m(S("type"), *J("['" DEFAULT "T']")),
                               json_m(S(DEFAULT "a"), list)};
    struct json entity = json_v_object(m, 3);
    struct entity_delta delta;
    struct error e = {0};
    if (entity_apply(&arena, ENTITY_CREATE, NULL, &entity, 0, &delta, &e))
        fail_msg("%s: %s", attr, e.text);
    const struct json *stored = v2_attr(&arena, delta.after, S("a"));
    assert_text(out(stored), attr);
    assert_text(as_ld(stored), ld);
}

static void values_of_each_type(void **state)
{
    (void)state;
    round_trip("{'type':'Number','value':1.50,'metadata':{}}", "{'type':'Property','value':1.50}");
    round_trip("{'type':'Text','value':'x','metadata':{}}", "{'type':'Property','value':'x'}");
    round_trip("{'type':'Boolean','value':true,'metadata':{}}", "{'type':'Property','value':true}");
    round_trip("{'type':'None','value':null,'metadata':{}}", "{'type':'JsonProperty','json':null}");
    round_trip("{'type':'StructuredValue','value':{'a':[1,null]},'metadata':{}}",
               "{'type':'Property','value':{'a':[1,null]}}");
    round_trip("{'type':'Celsius','value':12345678901234567890,'metadata':{}}",
               "{'type':'Property','value':12345678901234567890}");
    round_trip("{'type':'Number','value':'not one','metadata':{}}",
               "{'type':'Property','value':'not one'}");
    round_trip("{'type':'Number','value':null,'metadata':{}}",
               "{'type':'JsonProperty','json':null}");
    round_trip("{'type':'Property','value':1,'metadata':{}}", "{'type':'Property','value':1}");
    round_trip("{'type':'StructuredValue','value':{'@type':'DateTime','@value':'x'},'metadata':{}}",
               "{'type':'Property','value':{'@type':'DateTime','@value':'x'}}");
    round_trip("{'type':'Text','value':'urn:ngsi-ld:null','metadata':{}}",
               "{'type':'Property','value':'urn:ngsi-ld:null'}");
}

static void default_types(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {{"'x'", "'Text'"},      {"1", "'Number'"},
                                           {"false", "'Boolean'"}, {"[]", "'StructuredValue'"},
                                           {"null", "'None'"},     {"{}", "'StructuredValue'"}};
    for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
        struct json one = in(str_printf(&arena, "{'value':%s}", pairs[i][0]).p);
        assert_text(
            out(&one),
            str_printf(&arena, "{'type':%s,'value':%s,'metadata':{}}", pairs[i][1], pairs[i][0]).p);
    }
    struct json none = in("{'type':'None'}");
    assert_text(out(&none), "{'type':'None','value':null,'metadata':{}}");
    /* looks like a typed value of NGSI-LD and is none */
    struct json typed = in("{'value':{'@type':'DateTime','@value':'2026-01-01T00:00:00Z'}}");
    assert_text(out(&typed), "{'type':'StructuredValue','value':{'@type':'DateTime','@value':"
                             "'2026-01-01T00:00:00Z'},'metadata':{}}");
}

static void dates(void **state)
{
    (void)state;
    round_trip("{'type':'DateTime','value':'2026-01-01T09:00:00+09:00','metadata':{}}",
               "{'type':'Property','value':{'@type':'DateTime','@value':"
               "'2026-01-01T09:00:00+09:00'}}");
    round_trip("{'type':'DateTime','value':'2026-01-01','metadata':{}}",
               "{'type':'Property','value':{'@type':'DateTime','@value':'2026-01-01T00:00:00Z'}}");
    round_trip("{'type':'ISO8601','value':'2026-01-01T01:02:03','metadata':{}}",
               "{'type':'Property','value':{'@type':'DateTime','@value':'2026-01-01T01:02:03Z'}}");
}

static void places(void **state)
{
    (void)state;
    round_trip("{'type':'geo:point','value':'36.080,  140.1','metadata':{}}",
               "{'type':'GeoProperty','value':{'type':'Point','coordinates':[140.1,36.080]}}");
    round_trip("{'type':'geo:line','value':['1, 2','3, 4'],'metadata':{}}",
               "{'type':'GeoProperty','value':{'type':'LineString','coordinates':[[2,1],[4,3]]}}");
    round_trip("{'type':'geo:box','value':['1, 2','3, 4'],'metadata':{}}",
               "{'type':'GeoProperty','value':{'type':'Polygon','coordinates':"
               "[[[2,1],[4,1],[4,3],[2,3],[2,1]]]}}");
    round_trip("{'type':'geo:polygon','value':['0, 0','0, 2','2, 2','0, 0'],'metadata':{}}",
               "{'type':'GeoProperty','value':{'type':'Polygon','coordinates':"
               "[[[0,0],[2,0],[2,2],[0,0]]]}}");
    round_trip("{'type':'geo:json','value':{'type':'Point','coordinates':[1,2]},'metadata':{}}",
               "{'type':'GeoProperty','value':{'type':'Point','coordinates':[1,2]}}");
    round_trip("{'type':'geo:point','value':null,'metadata':{}}",
               "{'type':'JsonProperty','json':null}");
}

static void places_changed_through_ngsi_ld(void **state)
{
    (void)state;
    /* the text that was sent no longer tells what is stored */
    const struct json *point =
        J("{'type':'GeoProperty','value':{'type':'Point','coordinates':[140.5,36]},"
          "'v2':{'type':'geo:point','value':'36.08, 140.1'}}");
    assert_text(out(point), "{'type':'geo:point','value':'36, 140.5','metadata':{}}");
    const struct json *line =
        J("{'type':'GeoProperty','value':{'type':'LineString','coordinates':[[1,2],[3,4]]},"
          "'v2':{'type':'geo:point','value':'36.08, 140.1'}}");
    assert_text(out(line), "{'type':'geo:json','value':{'type':'LineString','coordinates':"
                           "[[1,2],[3,4]]},'metadata':{}}");
}

static void relationships(void **state)
{
    (void)state;
    round_trip("{'type':'Relationship','value':'House1','metadata':{}}",
               "{'type':'Relationship','object':'urn:ngsi-ld:v2:House1'}");
    round_trip("{'type':'Relationship','value':['urn:x:1','b'],'metadata':{}}",
               "{'type':'Relationship','object':['urn:x:1','urn:ngsi-ld:v2:b']}");
    round_trip("{'type':'Relationship','value':5,'metadata':{}}", "{'type':'Property','value':5}");
    round_trip("{'type':'Relationship','value':[],'metadata':{}}",
               "{'type':'Property','value':[]}");
}

static void kinds_of_ngsi_ld(void **state)
{
    (void)state;
    round_trip("{'type':'LanguageProperty','value':{'ja':'x','en':'y'},'metadata':{}}",
               "{'type':'LanguageProperty','languageMap':{'ja':'x','en':'y'}}");
    round_trip("{'type':'VocabProperty','value':'open','metadata':{}}",
               "{'type':'VocabProperty','vocab':'open'}");
    round_trip("{'type':'ListProperty','value':[1,2],'metadata':{}}",
               "{'type':'ListProperty','valueList':[1,2]}");
    round_trip("{'type':'LanguageProperty','value':7,'metadata':{}}",
               "{'type':'Property','value':7}");
}

static void metadata(void **state)
{
    (void)state;
    round_trip("{'type':'Number','value':1,'metadata':{"
               "'TimeInstant':{'type':'DateTime','value':'2026-01-01T00:00:00Z'},"
               "'unitCode':{'type':'Text','value':'CEL'},"
               "'accuracy':{'type':'percent','value':0.90},"
               "'near':{'type':'Relationship','value':'Room2'},'v':{'type':'None','value':null}}}",
               "{'type':'Property','value':1,'observedAt':'2026-01-01T00:00:00Z','unitCode':'CEL',"
               "'accuracy':{'type':'Property','value':0.90},"
               "'near':{'type':'Relationship','object':'urn:ngsi-ld:v2:Room2'},"
               "'v':{'type':'JsonProperty','json':null}}");
    round_trip("{'type':'Number','value':1,'metadata':{"
               "'observedAt':{'type':'DateTime','value':'2026-01-01T00:00:00Z'}}}",
               "{'type':'Property','value':1,'observedAt':'2026-01-01T00:00:00Z'}");
    /* what does not fit the member is a sub-attribute, and never one of its name */
    round_trip("{'type':'Number','value':1,'metadata':{"
               "'unitCode':{'type':'Number','value':5},'observedAt':{'type':'Text','value':'now'},"
               "'value':{'type':'Text','value':'x'}}}",
               "{'type':'Property','value':1,'ngsi-ld:default-context/unitCode':"
               "{'type':'Property','value':5},'ngsi-ld:default-context/observedAt':"
               "{'type':'Property','value':'now'},'ngsi-ld:default-context/value':"
               "{'type':'Property','value':'x'}}");
}

static void metadata_stays(void **state)
{
    (void)state;
    struct json old = in("{'value':1,'metadata':{'a':{'value':1},'b':{'value':2},"
                         "'TimeInstant':{'type':'ISO8601','value':'2026-01-01T00:00:00Z'},"
                         "'unitCode':{'value':'CEL'}}}");
    struct json next = in("{'value':2,'type':'T','metadata':{'b':{'value':3},'c':{'value':4}}}");
    struct json kept = v2_keep_metadata(&arena, &old, next);
    assert_text(out(&kept),
                "{'type':'T','value':2,'metadata':{"
                "'TimeInstant':{'type':'ISO8601','value':'2026-01-01T00:00:00Z'},"
                "'unitCode':{'type':'Text','value':'CEL'},'b':{'type':'Number','value':3},"
                "'c':{'type':'Number','value':4},'a':{'type':'Number','value':1}}}");
    struct json timed = in("{'value':2,'metadata':{'observedAt':{'type':'DateTime','value':"
                           "'2027-01-01T00:00:00Z'},'unitCode':{'value':'FAH'}}}");
    kept = v2_keep_metadata(&arena, &old, timed);
    assert_text(out(&kept), "{'type':'Number','value':2,'metadata':{"
                            "'observedAt':{'type':'DateTime','value':'2027-01-01T00:00:00Z'},"
                            "'unitCode':{'type':'Text','value':'FAH'},"
                            "'a':{'type':'Number','value':1},'b':{'type':'Number','value':2}}}");
}

static void refused(const char *attr)
{
    struct error e = {0};
    struct json instance;
    if (v2_attr_in(&arena, S("a"), J(attr), false, &instance, &e) == OK)
        fail_msg("accepted: %s", attr);
    assert_int_equal(e.code, ERR_INVALID);
    assert_true(e.text[0]);
}

static void wrong_attributes(void **state)
{
    static const char *const wrong[] = {"1",
                                        "null",
                                        "[]",
                                        "'x'",
                                        "{'value':1,'type':5}",
                                        "{'value':1,'type':''}",
                                        "{'value':1,'type':'a b'}",
                                        "{'value':1,'metadata':[]}",
                                        "{'value':1,'x':2}",
                                        "{'value':1,'metadata':{'m':1}}",
                                        "{'value':1,'metadata':{'m n':{'value':1}}}",
                                        "{'value':1,'metadata':{'m':{'value':1,'metadata':{}}}}",
                                        "{'value':1,'metadata':{'m':{'value':1,'type':null}}}",
                                        "{'value':1,'metadata':{'*':{}}}",
                                        "{'value':1,'metadata':{'m':{'value':'a;b'}}}",
                                        "{'value':'a;b'}",
                                        "{'value':{'a(':1}}",
                                        "{'type':'DateTime','value':'yesterday'}",
                                        "{'type':'DateTime','value':5}",
                                        "{'type':'geo:point','value':'1'}",
                                        "{'type':'geo:point','value':'1,2,3'}",
                                        "{'type':'geo:point','value':'91,0'}",
                                        "{'type':'geo:point','value':['1,2','3,4']}",
                                        "{'type':'geo:line','value':['1,2']}",
                                        "{'type':'geo:line','value':[[1,2],[3,4]]}",
                                        "{'type':'geo:polygon','value':['0,0','0,1','1,1','2,2']}",
                                        "{'type':'geo:box','value':['0,0','1,1','2,2']}",
                                        "{'type':'geo:point','value':'a,b'}",
                                        "{'type':'geo:json','value':{'type':'Point'}}",
                                        "{'type':'geo:json','value':'x'}",
                                        "{'type':'geo:point','value':{}}",
                                        "{'type':'geo:box','value':['0,0','0,0']}"};
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        refused(wrong[i]);
    struct json free_text = in("{'type':'TextUnrestricted','value':'a;b<c>'}");
    assert_text(out(&free_text), "{'type':'TextUnrestricted','value':'a;b<c>','metadata':{}}");
}

static void bodies(void **state)
{
    static const char *const wrong[] = {"{'id':'x','a':{'value':1}}",
                                        "{'type':'T'}",
                                        "{'dateCreated':{'value':'2026-01-01T00:00:00Z'}}",
                                        "{'geo:distance':{'value':1}}",
                                        "{'*':{'value':1}}",
                                        "{'dateExpires':{'value':'never'}}",
                                        "{'dateExpires':1}",
                                        ("{'location':{'value':1},'https://uri.etsi.org/ngsi-ld/"
                                         "location':{'value':2}}")};
    struct v2_input input;
    struct error e;
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        if (v2_attrs_in(&arena, J(wrong[i]), false, false, false, &input, &e) == OK)
            fail_msg("accepted: %s", wrong[i]);
    const struct json *body = J("{'id':'x','dateCreated':{'value':'x'},'a':1,"
                                "'dateExpires':'2030-01-01'}");
    assert_int_equal(v2_attrs_in(&arena, body, true, true, true, &input, &e), OK);
    assert_int_equal(input.n, 1);
    assert_text(json_text(input.expires), "2030-01-01T00:00:00Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(values_of_each_type),
        TEST(default_types),
        TEST(dates),
        TEST(places),
        TEST(places_changed_through_ngsi_ld),
        TEST(relationships),
        TEST(kinds_of_ngsi_ld),
        TEST(metadata),
        TEST(metadata_stays),
        TEST(wrong_attributes),
        TEST(bodies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
