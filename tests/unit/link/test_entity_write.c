#include "ld_test.h"

#include "link/entity.h"

/* In stored form, as entity_apply() makes it. */
static const char shelter[] =
    "{'id':'urn:x:1','type':['" DEFAULT "Shelter'],'scope':['/tsukuba'],'createdAt':'T0',"
    "'modifiedAt':'T1','expiresAt':'T9',"
    "'" NGSI
    "location':[{'type':'GeoProperty','value':{'type':'Point','coordinates':[140.1,36.20]},"
    "'createdAt':'T0','modifiedAt':'T0'}],"
    "'" DEFAULT "name':[{'type':'LanguageProperty','languageMap':{'ja':'学校','en-GB':'School',"
    "'@none':'?'},'createdAt':'T0','modifiedAt':'T0'}],"
    "'" DEFAULT "people':[{'type':'Property','value':12,'observedAt':'O1','unitCode':'IE',"
    "'createdAt':'T0','modifiedAt':'T1','" DEFAULT
    "source':[{'type':'Relationship','object':'urn:x:2','createdAt':'T0','modifiedAt':'T0'}]},"
    "{'type':'Property','value':13,'datasetId':'urn:d:1','createdAt':'T0','modifiedAt':'T0'}],"
    "'" DEFAULT "open':[{'type':'VocabProperty','vocab':'" DEFAULT
    "yes','createdAt':'T0','modifiedAt':'T0'}],"
    "'" DEFAULT "address':[{'type':'Property','value':{'city':'つくば'},'createdAt':'T0',"
    "'modifiedAt':'T0'}],"
    "'" DEFAULT "of':[{'type':'Relationship','object':'urn:x:3','objectType':'" DEFAULT
    "City','createdAt':'T0','modifiedAt':'T0'}],"
    "'" DEFAULT "raw':[{'type':'JsonProperty','json':[1,{}],'createdAt':'T0','modifiedAt':'T0'}],"
    "'" DEFAULT "list':[{'type':'ListProperty','valueList':[1,2],'createdAt':'T0','modifiedAt':"
    "'T0'}],"
    "'" DEFAULT "route':[{'type':'ListRelationship','objectList':[{'object':'urn:x:4'},{'object':"
    "'urn:x:5'}],'createdAt':'T0','modifiedAt':'T0'}],"
    "'https://ex.org/"
    "a#tel':[{'type':'Property','value':'119','createdAt':'T0','modifiedAt':'T0'}]}";

static struct str written(const char *stored, const struct entity_view *v)
{
    struct buf b = BUF_INIT;
    entity_write(&b, &arena, J(stored), v);
    struct str text = buf_dup(&b, &arena);
    buf_release(&b);
    assert_non_null(json_parse(&arena, text, &JSON_DEFAULT, NULL));
    return text;
}

static void normalized(void **state)
{
    (void)state;
    struct entity_view v = {.form = FORM_NORMALIZED};
    assert_text(
        written(shelter, &v),
        "{'id':'urn:x:1','type':'Shelter','scope':'/tsukuba','location':{'type':'GeoProperty',"
        "'value':{'type':'Point','coordinates':[140.1,36.20]}},'name':{'type':'LanguageProperty',"
        "'languageMap':{'ja':'学校','en-GB':'School','@none':'?'}},"
        "'people':[{'type':'Property','value':12,'observedAt':'O1','unitCode':'IE','source':{'type'"
        ":"
        "'Relationship','object':'urn:x:2'}},{'type':'Property','value':13,'datasetId':'urn:d:1'}],"
        "'open':{'type':'VocabProperty','vocab':'yes'},"
        "'address':{'type':'Property','value':{'city':'つくば'}},"
        "'of':{'type':'Relationship','object':'urn:x:3','objectType':'City'},"
        "'raw':{'type':'JsonProperty','json':[1,{}]},"
        "'list':{'type':'ListProperty','valueList':[1,2]},"
        "'route':{'type':'ListRelationship','objectList':[{'object':'urn:x:4'},{'object':'urn:x:5'}"
        "]},"
        "'https://ex.org/a#tel':{'type':'Property','value':'119'}}");
}

static void system_attributes(void **state)
{
    (void)state;
    struct str pick[] = {S(DEFAULT "people"), S("id")};
    struct entity_view v = {.sys_attrs = true, .pick = pick, .n_pick = 2};
    assert_text(
        written(shelter, &v),
        "{'id':'urn:x:1','createdAt':'T0','modifiedAt':'T1','expiresAt':'T9','people':[{'type':"
        "'Property','value':12,'observedAt':'O1','unitCode':'IE','createdAt':'T0','modifiedAt':'T1'"
        ","
        "'source':{'type':'Relationship','object':'urn:x:2','createdAt':'T0','modifiedAt':'T0'}},"
        "{'type':'Property','value':13,'datasetId':'urn:d:1','createdAt':'T0','modifiedAt':'T0'}]"
        "}");
    v.form = FORM_CONCISE;
    pick[0] = S("https://ex.org/a#tel");
    assert_text(written(shelter, &v),
                "{'id':'urn:x:1','createdAt':'T0','modifiedAt':'T1','expiresAt':'T9',"
                "'https://ex.org/a#tel':{'value':'119','createdAt':'T0','modifiedAt':'T0'}}");
}

static void concise(void **state)
{
    (void)state;
    struct entity_view v = {.form = FORM_CONCISE};
    assert_text(
        written(shelter, &v),
        "{'id':'urn:x:1','type':'Shelter','scope':'/tsukuba','location':{'type':'Point',"
        "'coordinates':[140.1,36.20]},'name':{'languageMap':{'ja':'学校','en-GB':'School',"
        "'@none':'?'}},'people':[{'value':12,'observedAt':'O1','unitCode':'IE','source':"
        "{'object':'urn:x:2'}},{'value':13,'datasetId':'urn:d:1'}],'open':{'vocab':'yes'},"
        "'address':{'value':{'city':'つくば'}},'of':{'object':'urn:x:3','objectType':'City'},"
        "'raw':{'json':[1,{}]},'list':{'valueList':[1,2]},"
        "'route':{'objectList':['urn:x:4','urn:x:5']},'https://ex.org/a#tel':'119'}");
}

/* What is written concisely reads back as what was stored. */
static void concise_round_trip(void **state)
{
    (void)state;
    const char *attrs[] = {"[{'type':'Property','value':[{'value':1}]}]",
                           "[{'type':'Property','value':[1,{'object':'urn:x:1'}]}]",
                           "[{'type':'Property','value':{'value':1}}]",
                           "[{'type':'Property','value':{}}]",
                           "[{'type':'Property','value':{'type':'Point','coordinates':[1,2]}}]",
                           "[{'type':'Property','value':[]}]",
                           "[{'type':'Property','value':'x'}]",
                           "[{'type':'GeoProperty','value':{'type':'Point','coordinates':[1,2]}}]",
                           "[{'type':'ListRelationship','objectList':[{'object':'urn:x:1'}]}]",
                           ("[{'type':'Property','value':1},{'type':'Property','value':2,"
                            "'datasetId':'urn:d:1'}]")};
    struct entity_view v = {.form = FORM_CONCISE};
    for (size_t i = 0; i < sizeof(attrs) / sizeof(*attrs); i++) {
        struct str stored =
            str_printf(&arena, "{'id':'urn:x:1','type':['" DEFAULT "T'],'" DEFAULT "a':%s}",
                       attrs[i]);
        struct error e = {0};
        const struct json *read = json_parse(&arena, written(stored.p, &v), &JSON_DEFAULT, &e);
        assert_tree(entity_expand(&arena, read, ENTITY_WHOLE, false, NULL, &e), stored.p);
    }
}

static void simplified(void **state)
{
    (void)state;
    struct entity_view v = {.form = FORM_SIMPLIFIED};
    assert_text(written(shelter, &v),
                "{'id':'urn:x:1','type':'Shelter','scope':'/tsukuba','location':{'type':'Point',"
                "'coordinates':[140.1,36.20]},'name':{'languageMap':{'ja':'学校','en-GB':'School',"
                "'@none':'?'}},'people':{'dataset':{'@none':12,'urn:d:1':13}},"
                "'open':{'vocab':'yes'},'address':{'city':'つくば'},'of':'urn:x:3',"
                "'raw':{'json':[1,{}]},'list':{'valueList':[1,2]},"
                "'route':{'objectList':['urn:x:4','urn:x:5']},'https://ex.org/a#tel':'119'}");
}

static void named(const char *priorities, enum entity_form form, const char *want)
{
    struct str pick[] = {S(DEFAULT "name")};
    struct entity_view v = {.form = form, .lang = str_c(priorities), .pick = pick, .n_pick = 1};
    assert_text(written(shelter, &v), want);
}

static void languages(void **state)
{
    (void)state;
    named("ja", FORM_NORMALIZED, "{'name':{'type':'Property','value':'学校','lang':'ja'}}");
    named("JA-JP", FORM_SIMPLIFIED, "{'name':'学校'}");
    named("en", FORM_SIMPLIFIED, "{'name':'School'}");
    named("fr;q=0.5, en-GB;q=0.4, ja;q=0.1", FORM_SIMPLIFIED, "{'name':'School'}");
    named("ja;q=0.1, en;q=0.9", FORM_SIMPLIFIED, "{'name':'School'}");
    named("vi", FORM_CONCISE, "{'name':{'value':'?','lang':'@none'}}");
    named("ja;q=0, vi", FORM_SIMPLIFIED, "{'name':'?'}");
    named("vi,*", FORM_SIMPLIFIED, "{'name':'?'}");
    const char *all = "{'name':{'languageMap':{'ja':'学校','en-GB':'School','@none':'?'}}}";
    named("*", FORM_SIMPLIFIED, all);
    named(", ;q=1", FORM_SIMPLIFIED, all);
}

static void picking(void **state)
{
    (void)state;
    struct str names[] = {S("type"), S("scope"), S(DEFAULT "open"), S(DEFAULT "absent")};
    struct entity_view v = {.form = FORM_SIMPLIFIED, .pick = names, .n_pick = 4};
    assert_text(written(shelter, &v),
                "{'type':'Shelter','scope':'/tsukuba','open':{'vocab':'yes'}}");
    v = (struct entity_view){.form = FORM_SIMPLIFIED, .pick = names, .n_pick = 0};
    assert_text(written(shelter, &v), "{}");
    struct str omit[] = {S("id"),
                         S("scope"),
                         S(NGSI "location"),
                         S(DEFAULT "name"),
                         S(DEFAULT "people"),
                         S(DEFAULT "open"),
                         S(DEFAULT "address"),
                         S(DEFAULT "of"),
                         S(DEFAULT "raw"),
                         S(DEFAULT "list"),
                         S(DEFAULT "route")};
    v = (struct entity_view){.form = FORM_SIMPLIFIED, .omit = omit, .n_omit = 11};
    assert_text(written(shelter, &v), "{'type':'Shelter','https://ex.org/a#tel':'119'}");
}

static void datasets(void **state)
{
    (void)state;
    struct str pick[] = {S(DEFAULT "people"), S(DEFAULT "open")}, ids[] = {S("urn:d:1")};
    struct entity_view v = {
        .form = FORM_SIMPLIFIED, .pick = pick, .n_pick = 2, .datasets = ids, .n_datasets = 1};
    assert_text(written(shelter, &v), "{'people':13}");
    ids[0] = S("@none");
    v.form = FORM_CONCISE;
    assert_text(written(shelter, &v), "{'people':{'value':12,'observedAt':'O1','unitCode':'IE',"
                                      "'source':{'object':'urn:x:2'}},'open':{'vocab':'yes'}}");
    ids[0] = S("urn:d:9");
    assert_text(written(shelter, &v), "{}");
}

static void features(void **state)
{
    (void)state;
    struct str pick[] = {S("type"), S(NGSI "location")};
    struct entity_view v = {
        .form = FORM_SIMPLIFIED, .geojson = true, .pick = pick, .n_pick = 2, .with_context = true};
    assert_text(written(shelter, &v),
                "{'id':'urn:x:1','type':'Feature','geometry':{'type':'Point','coordinates':"
                "[140.1,36.20]},'properties':{'type':'Shelter','location':{'type':'Point',"
                "'coordinates':[140.1,36.20]}},'@context':'" LD_CORE_URL "'}");
    v.geometry = S(DEFAULT "people");
    v.with_context = false;
    assert_text(written(shelter, &v),
                "{'id':'urn:x:1','type':'Feature','geometry':null,'properties':{'type':'Shelter',"
                "'location':{'type':'Point','coordinates':[140.1,36.20]}}}");
}

static void odd_trees(void **state)
{
    (void)state;
    struct entity_view v = {.form = FORM_SIMPLIFIED};
    assert_text(written("[]", &v), "null");
    assert_text(written("{}", &v), "{}");
    assert_text(written("{'urn:a':[],'urn:b':5,'urn:c':[{}],'urn:d':[1]}", &v),
                "{'urn:c':null,'urn:d':null}");
    v.form = FORM_NORMALIZED;
    assert_text(written("{'urn:c':[{'type':'x'}],'type':['a','b']}", &v),
                "{'urn:c':{},'type':['a','b']}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(normalized), TEST(system_attributes), TEST(concise), TEST(concise_round_trip),
        TEST(simplified), TEST(languages),         TEST(picking), TEST(datasets),
        TEST(features),   TEST(odd_trees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
