#include "ld_test.h"

#include "link/entity.h"

static const struct json *expand(const char *payload, enum entity_in mode, bool simplified)
{
    struct error e = {0};
    const struct json *v = entity_expand(&arena, J(payload), mode, simplified, NULL, &e);
    if (!v)
        fail_msg("%s: %s", payload, e.text);
    return v;
}

/* One attribute "a" of a new entity: its stored instances. */
static void stored(const char *attr, const char *want)
{
    struct str text = str_printf(&arena, "{'id':'urn:x:1','type':'T','a':%s}", attr);
    const struct json *v = expand(text.p, ENTITY_WHOLE, false);
    assert_tree(entity_attr(v, S(DEFAULT "a")), want);
}

static void fragment(const char *attr, enum entity_in mode, const char *want)
{
    struct str text = str_printf(&arena, "{'a':%s}", attr);
    const struct json *v = expand(text.p, mode, false);
    assert_tree(entity_attr(v, S(DEFAULT "a")), want);
}

static void simple(const char *attr, const char *want)
{
    struct str text = str_printf(&arena, "{'id':'urn:x:1','type':'T','a':%s}", attr);
    const struct json *v = expand(text.p, ENTITY_WHOLE, true);
    assert_tree(entity_attr(v, S(DEFAULT "a")), want);
}

static void refused_in(const char *payload, enum entity_in mode, const char *why)
{
    struct error e = {0};
    const struct json *v = entity_expand(&arena, J(payload), mode, false, NULL, &e);
    if (v)
        fail_msg("accepted: %s", payload);
    assert_int_equal(e.code, ERR_INVALID);
    if (!strstr(e.text, why))
        fail_msg("%s: says '%s', not '%s'", payload, e.text, why);
}

static void refused(const char *attr, const char *why)
{
    struct str text = str_printf(&arena, "{'id':'urn:x:1','type':'T','a':%s}", attr);
    refused_in(text.p, ENTITY_WHOLE, why);
}

static void whole_entity(void **state)
{
    (void)state;
    assert_tree(
        expand("{'@context':['x'],'type':'Shelter','name':{'type':'Property','value':'避難所'},"
               "'id':'urn:ngsi-ld:Shelter:1','scope':'/tsukuba/sakura',"
               "'createdAt':'nonsense','modifiedAt':1,'expiresAt':'2030-01-01T00:00:00Z'}",
               ENTITY_WHOLE, false),
        "{'id':'urn:ngsi-ld:Shelter:1','type':['" DEFAULT "Shelter'],"
        "'scope':['/tsukuba/sakura'],'expiresAt':'2030-01-01T00:00:00Z',"
        "'" DEFAULT "name':[{'type':'Property','value':'避難所'}]}");
    assert_tree(expand("{'@id':'urn:x:1','@type':['A','B','A'],'scope':['/a','/b','/a']}",
                       ENTITY_WHOLE, false),
                "{'id':'urn:x:1','type':['" DEFAULT "A','" DEFAULT "B'],'scope':['/a','/b']}");
    assert_tree(expand("{'id':'urn:x:1','type':'https://ex.org/T','location':{'type':'Point',"
                       "'coordinates':[140.1,36.2]}}",
                       ENTITY_WHOLE, false),
                "{'id':'urn:x:1','type':['https://ex.org/T'],'" NGSI "location':[{'type':"
                "'GeoProperty','value':{'type':'Point','coordinates':[140.1,36.2]}}]}");
}

static void normalized_kinds(void **state)
{
    (void)state;
    stored("{'type':'Property','value':1.0,'unitCode':'CEL','observedAt':'2026-01-01T00:00:00Z',"
           "'accuracy':{'type':'Property','value':0.5}}",
           "[{'type':'Property','value':1.0,'observedAt':'2026-01-01T00:00:00Z','unitCode':'CEL',"
           "'" DEFAULT "accuracy':[{'type':'Property','value':0.5}]}]");
    stored("{'object':'urn:x:2','objectType':'B','type':'Relationship'}",
           "[{'type':'Relationship','object':'urn:x:2','objectType':'" DEFAULT "B'}]");
    stored("{'type':'Relationship','object':['urn:x:2','urn:x:3']}",
           "[{'type':'Relationship','object':['urn:x:2','urn:x:3']}]");
    stored("{'type':'LanguageProperty','languageMap':{'ja':'町','en-GB':['a','b']}}",
           "[{'type':'LanguageProperty','languageMap':{'ja':'町','en-GB':['a','b']}}]");
    stored("{'type':'JsonProperty','json':{'a':null,'type':'x'}}",
           "[{'type':'JsonProperty','json':{'a':null,'type':'x'}}]");
    stored("{'type':'VocabProperty','vocab':['open','https://ex.org/v']}",
           "[{'type':'VocabProperty','vocab':['" DEFAULT "open','https://ex.org/v']}]");
    stored("{'type':'ListProperty','valueList':[1,[2],'x']}",
           "[{'type':'ListProperty','valueList':[1,[2],'x']}]");
    stored(
        "{'type':'ListRelationship','objectList':['urn:x:1',{'object':'urn:x:2'}]}",
        "[{'type':'ListRelationship','objectList':[{'object':'urn:x:1'},{'object':'urn:x:2'}]}]");
    stored("{'type':'" NGSI "Property','value':7}", "[{'type':'Property','value':7}]");
    stored("{'type':'ngsi-ld:Property','value':7}", "[{'type':'Property','value':7}]");
}

/* Date-times are UTC (clause 4.6.3). */
static void offsets(void **state)
{
    (void)state;
    refused("{'value':1,'observedAt':'2026-01-01T09:00:00+09:00'}",
            "observedAt is not a date-time");
    refused_in("{'id':'urn:x:1','type':'A','expiresAt':'2030-01-01T00:00:00+01:00'}", ENTITY_WHOLE,
               "expiresAt is not a date-time");
}

static void concise_forms(void **state)
{
    (void)state;
    stored("12345678901234567890", "[{'type':'Property','value':12345678901234567890}]");
    stored("false", "[{'type':'Property','value':false}]");
    stored("'urn:x:2'", "[{'type':'Property','value':'urn:x:2'}]");
    stored("[1,'x']", "[{'type':'Property','value':[1,'x']}]");
    stored("[]", "[{'type':'Property','value':[]}]");
    stored("{'street':'x'}", "[{'type':'Property','value':{'street':'x'}}]");
    stored("{'value':1,'unitCode':'C'}", "[{'type':'Property','value':1,'unitCode':'C'}]");
    stored("{'value':{'type':'Point','coordinates':[1,2]},'p':2}",
           "[{'type':'GeoProperty','value':{'type':'Point','coordinates':[1,2]},"
           "'" DEFAULT "p':[{'type':'Property','value':2}]}]");
    stored("{'object':'urn:x:2'}", "[{'type':'Relationship','object':'urn:x:2'}]");
    stored("{'languageMap':{'ja':'町'}}",
           "[{'type':'LanguageProperty','languageMap':{'ja':'町'}}]");
    stored("{'vocab':'v'}", "[{'type':'VocabProperty','vocab':'" DEFAULT "v'}]");
    stored("{'json':[]}", "[{'type':'JsonProperty','json':[]}]");
    stored("{'valueList':[]}", "[{'type':'ListProperty','valueList':[]}]");
    stored("{'objectList':[]}", "[{'type':'ListRelationship','objectList':[]}]");
    stored("{'type':'PostalAddress','street':'x'}",
           "[{'type':'Property','value':{'type':'PostalAddress','street':'x'}}]");
}

static void simplified_forms(void **state)
{
    (void)state;
    simple("{'value':1}", "[{'type':'Property','value':{'value':1}}]");
    simple("{'languageMap':{'ja':'x'}}", "[{'type':'LanguageProperty','languageMap':{'ja':'x'}}]");
    simple("{'vocab':'v'}", "[{'type':'VocabProperty','vocab':'" DEFAULT "v'}]");
    simple("{'type':'Point','coordinates':[1,2]}",
           "[{'type':'GeoProperty','value':{'type':'Point','coordinates':[1,2]}}]");
    simple("{'dataset':{'urn:d:1':2,'@none':1}}",
           "[{'type':'Property','value':1},{'type':'Property','value':2,'datasetId':'urn:d:1'}]");
}

static void instances_by_dataset(void **state)
{
    (void)state;
    stored("[{'value':1,'datasetId':'urn:d:1'},{'type':'Property','value':2},"
           "{'value':3,'datasetId':'urn:d:2'}]",
           "[{'type':'Property','value':2},{'type':'Property','value':1,'datasetId':'urn:d:1'},"
           "{'type':'Property','value':3,'datasetId':'urn:d:2'}]");
    stored("[{'value':1,'datasetId':'@none'}]", "[{'type':'Property','value':1}]");
    refused("[{'value':1},{'value':2}]", "attribute a: two instances have no datasetId");
    refused("[{'value':1,'datasetId':'urn:d:1'},{'value':2,'datasetId':'urn:d:1'}]",
            "same datasetId");
    refused("{'value':1,'datasetId':'blank in it'}", "datasetId is not a URI");
    refused("{'value':1,'datasetId':''}", "datasetId is not a URI");
}

static void output_members_are_skipped(void **state)
{
    (void)state;
    stored("{'value':1,'createdAt':'x','modifiedAt':'x','deletedAt':'x','instanceId':'urn:i:1',"
           "'lang':'en'}",
           "[{'type':'Property','value':1}]");
    static const char told[] =
        "{'id':'urn:x:1','type':'T','scope':'/1/a-b','a':{'type':'Property','value':1,"
        "'previousValue':0,'entity':{},'previousObject':'urn:x:1'}}";
    struct error e = {0};
    const struct json *v = entity_expand_told(&arena, J(told), NULL, &e);
    assert_non_null(v);
    assert_tree(entity_attr(v, S(DEFAULT "a")), "[{'type':'Property','value':1}]");
    assert_tree(json_get(v, S("scope")), "['/1/a-b']");
}

static void members_that_a_kind_never_has(void **state)
{
    (void)state;
    static const char *const no_input[] = {"previousValue", "previousObject",
                                           "previousVocab", "previousJson",
                                           "entity",        "entityList",
                                           "@context",      "previousLanguageMap"};
    for (size_t i = 0; i < sizeof(no_input) / sizeof(*no_input); i++)
        refused(str_printf(&arena, "{'type':'Property','value':1,'%s':{}}", no_input[i]).p,
                "is not for input");
    refused("{'type':'Property','value':1,'object':'urn:x:2'}", "has two values");
    refused("{'type':'Relationship','object':'urn:x:2','value':1}", "has two values");
    refused("{'type':'Relationship','object':'urn:x:2','unitCode':'MTR'}", "has no unitCode");
    refused("{'type':'Relationship','object':'urn:x:2','valueType':'T'}", "has no valueType");
    refused("{'languageMap':{'en':'x'},'unitCode':'MTR'}", "has no unitCode");
    refused("{'json':{},'unitCode':'MTR'}", "a JsonProperty has no unitCode");
    refused("{'vocab':'x','unitCode':'MTR'}", "a VocabProperty has no unitCode");
    refused("{'type':'Property','value':1,'objectType':'T'}", "a Property has no objectType");
}

static void types_of_values(void **state)
{
    (void)state;
    stored("{'value':1,'valueType':'xsd:double'}",
           "[{'type':'Property','value':1,'valueType':'xsd:double'}]");
    stored("{'type':'ListProperty','valueList':[1],'valueType':'Speed'}",
           "[{'type':'ListProperty','valueList':[1],'valueType':'" DEFAULT "Speed'}]");
    refused("{'value':1,'valueType':['a','b']}", "valueType must be a name");
    refused("{'value':1,'valueType':5}", "valueType must be a name");
}

static void proofs(void **state)
{
    (void)state;
    const struct json *v =
        expand("{'id':'urn:x:1','type':'T','ngsildproof':{'type':'Property','entityIdSealed':"
               "'urn:x:1','entityTypeSealed':'T','value':{'type':'DataIntegrityProof'}}}",
               ENTITY_WHOLE, false);
    assert_tree(entity_attr(v, S(NGSI "ngsildproof")),
                "[{'type':'Property','value':{'type':'DataIntegrityProof'},"
                "'entityIdSealed':'urn:x:1','entityTypeSealed':'" DEFAULT "T'}]");
    refused("{'value':1,'entityIdSealed':'urn:x:1'}", "belong to ngsildproof");
    refused("{'value':1,'entityTypeSealed':'T'}", "belong to ngsildproof");
    refused_in("{'id':'urn:x:1','type':'T','ngsildproof':{'type':'Property','value':'x'}}",
               ENTITY_WHOLE, "not a proof");
    refused_in("{'id':'urn:x:1','type':'T','ngsildproof':{'type':'Property','value':{},"
               "'entityTypeSealed':42}}",
               ENTITY_WHOLE, "entityTypeSealed must be a name");
}

static void scopes_by_the_grammar(void **state)
{
    (void)state;
    static const char *const good[] = {"/a", "a", "/Madrid/Gardens/ParqueNorte",
                                       "/東京都/千代田区_1", "/a1/b_2"};
    static const char *const bad[] = {"9bad", "/a//b",           "a-b", "/a/", "/", "", "/_a",
                                      "/a b", "urn:ngsi-ld:null"};
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        expand(str_printf(&arena, "{'id':'urn:x:1','type':'T','scope':'%s'}", good[i]).p,
               ENTITY_WHOLE, false);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        refused_in(str_printf(&arena, "{'id':'urn:x:1','type':'T','scope':'%s'}", bad[i]).p,
                   ENTITY_WHOLE, "is not a scope");
    refused_in("{'id':'urn:x:1','type':'T','scope':['/ok','9bad']}", ENTITY_WHOLE, "9bad");
}

static void ids_that_nobody_could_read(void **state)
{
    (void)state;
    static const char *const bad[] = {"\xE2\x80\xAE",    "\xE2\x80\x8B",     "\xEF\xBB\xBF",
                                      "\xE2\x80\xA8",    "\xC2\xA0",         "<",
                                      "\xEF\xB8\x8F",    "\xF3\xA0\x84\x80", "\xEF\xB7\x90",
                                      "\xEF\xBF\xBE",    "\xE1\x85\x9F",     "\xE3\x85\xA4",
                                      "\xEF\xBE\xA0",    "\xE2\xA0\x80",     "\xE3\x80\x80",
                                      "\xF0\x9F\xBF\xBF"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        refused_in(str_printf(&arena, "{'id':'urn:x:A%sB','type':'T'}", bad[i]).p, ENTITY_WHOLE,
                   "id is not a URI");
    expand("{'id':'urn:ngsi-ld:避難所:ー1','type':'T'}", ENTITY_WHOLE, false);
    expand("{'id':'urn:ngsi-ld:Ciudad:Par\xC3\xADs','type':'T'}", ENTITY_WHOLE, false);
}

static void nulls(void **state)
{
    (void)state;
    const char *forms[] = {"{'value':'urn:ngsi-ld:null'}",
                           "{'type':'Relationship','object':'urn:ngsi-ld:null'}",
                           "{'languageMap':{'@none':'urn:ngsi-ld:null'}}",
                           "{'languageMap':'urn:ngsi-ld:null'}",
                           "{'vocab':'urn:ngsi-ld:null'}",
                           "{'json':'urn:ngsi-ld:null'}",
                           "{'valueList':['urn:ngsi-ld:null']}",
                           "{'objectList':[{'object':'urn:ngsi-ld:null'}]}",
                           "{'type':'GeoProperty','value':'urn:ngsi-ld:null','p':1}"};
    for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
        fragment(forms[i], ENTITY_FRAGMENT, "[{'type':'deleted'}]");
        fragment(forms[i], ENTITY_MERGE, "[{'type':'deleted'}]");
        refused(forms[i], "urn:ngsi-ld:null");
    }
    fragment("'urn:ngsi-ld:null'", ENTITY_MERGE, "[{'type':'deleted','all':true}]");
    fragment("{'value':'urn:ngsi-ld:null','datasetId':'urn:d:1'}", ENTITY_FRAGMENT,
             "[{'type':'deleted','datasetId':'urn:d:1'}]");
    refused("'urn:ngsi-ld:null'", "urn:ngsi-ld:null");
    refused("{'value':{'deep':['urn:ngsi-ld:null']}}", "urn:ngsi-ld:null");
    refused("{'value':1,'unitCode':'urn:ngsi-ld:null'}", "urn:ngsi-ld:null");
    refused("{'value':1,'observedAt':'urn:ngsi-ld:null'}", "observedAt");
    refused("null", "null is not a value");
    refused("{'value':null}", "null is not a value");
    refused("{'json':null}", "null is not a value");
    assert_tree(expand("{'scope':'urn:ngsi-ld:null','expiresAt':'urn:ngsi-ld:null'}", ENTITY_MERGE,
                       false),
                "{'scope':[],'expiresAt':'urn:ngsi-ld:null'}");
    refused_in("{'a':{'value':1,'datasetId':'urn:ngsi-ld:null'}}", ENTITY_MERGE, "datasetId");
}

static void merge_fragments(void **state)
{
    (void)state;
    fragment("{'observedAt':'urn:ngsi-ld:null','p':'urn:ngsi-ld:null'}", ENTITY_MERGE,
             "[{'observedAt':'urn:ngsi-ld:null','" DEFAULT "p':[{'type':'deleted','all':true}]}]");
    fragment("5", ENTITY_MERGE, "[{'value':5}]");
    fragment("5", ENTITY_FRAGMENT, "[{'type':'Property','value':5}]");
    fragment("{'value':{'floors':'urn:ngsi-ld:null'}}", ENTITY_MERGE,
             "[{'type':'Property','value':{'floors':'urn:ngsi-ld:null'}}]");
    fragment("[{'observedAt':'2026-01-01T00:00:00Z'},{'unitCode':'C','datasetId':'urn:d:1'}]",
             ENTITY_MERGE,
             "[{'observedAt':'2026-01-01T00:00:00Z'},{'datasetId':'urn:d:1','unitCode':'C'}]");
    refused_in("{'a':{'type':'Property'}}", ENTITY_FRAGMENT, "attribute a: has no value");
    struct error e = {0};
    assert_tree(entity_expand_attr(&arena, S("a"), J("{'unitCode':'C'}"), ENTITY_FRAGMENT, NULL,
                                   &e),
                "{'" DEFAULT "a':[{'unitCode':'C'}]}");
    assert_null(entity_expand_attr(&arena, S("id"), J("1"), ENTITY_FRAGMENT, NULL, &e));
    assert_null(entity_expand_attr(&arena, S("a b"), J("1"), ENTITY_FRAGMENT, NULL, &e));
}

static void bad_entities(void **state)
{
    (void)state;
    refused_in("[]", ENTITY_WHOLE, "must be a JSON object");
    refused_in("{'type':'T'}", ENTITY_WHOLE, "needs an id");
    refused_in("{'id':'urn:x:1'}", ENTITY_WHOLE, "needs a type");
    refused_in("{'id':'noscheme','type':'T'}", ENTITY_WHOLE, "id is not a URI");
    refused_in("{'id':5,'type':'T'}", ENTITY_WHOLE, "id is not a URI");
    refused_in("{'id':'urn:x:1','type':[]}", ENTITY_WHOLE, "type is empty");
    refused_in("{'id':'urn:x:1','type':[1]}", ENTITY_WHOLE, "must be text");
    refused_in("{'id':'urn:x:1','type':'A<B'}", ENTITY_WHOLE, "name of an entity type");
    refused_in("{'id':'urn:x:1','type':''}", ENTITY_WHOLE, "name of an entity type");
    const char *scopes[] = {"/", "/a/", "//a", "/a b", "/a/#", "/+", "", "/a,b"};
    for (size_t i = 0; i < sizeof(scopes) / sizeof(*scopes); i++) {
        struct str text = str_printf(&arena, "{'id':'urn:x:1','type':'T','scope':'%s'}", scopes[i]);
        refused_in(text.p, ENTITY_WHOLE, "is not a scope");
    }
    const char *names[] = {"a<b", "a>b", "a'b", "a=b", "a;b", "(a)", "", "a b", "@foo", "a\\nb"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        struct str text = str_printf(&arena, "{\"%s\":1}", names[i]);
        struct error e = {0};
        const struct json *v = json_parse(&arena, text, &JSON_DEFAULT, &e);
        assert_non_null(v);
        assert_null(entity_expand(&arena, v, ENTITY_FRAGMENT, false, NULL, &e));
        assert_non_null(strstr(e.text, "not the name of an attribute"));
    }
    refused_in("{'ngsi-ld:createdAt':1}", ENTITY_FRAGMENT, "reserved");
    refused_in("{'" NGSI "scope':1}", ENTITY_FRAGMENT, "reserved");
    refused_in("{'a':{'value':1,'" NGSI "hasObject':1}}", ENTITY_FRAGMENT, "name of a member");
    refused_in("{'a':{'value':1,'ngsi-ld:lang':1}}", ENTITY_FRAGMENT, "name of a member");
    assert_tree(expand("{'value':1,'status':2}", ENTITY_FRAGMENT, false),
                "{'" NGSI "hasValue':[{'type':'Property','value':1}],'" NGSI
                "status':[{'type':'Property','value':2}]}");
    refused_in("{'a':1,'" DEFAULT "a':2}", ENTITY_FRAGMENT, "there twice");
    refused_in("{'expiresAt':'tomorrow'}", ENTITY_FRAGMENT, "expiresAt");
    refused_in("{'id':'urn:x:1','@id':'urn:x:2','type':'T'}", ENTITY_WHOLE, "two ids");
    refused_in("{'id':'urn:x:1','type':'T','@type':'U'}", ENTITY_WHOLE, "type and @type");
    refused_in("{'id':'urn:x:1','type':'type'}", ENTITY_WHOLE, "name of an entity type");
    refused("{'type':'GeoProperty','value':{'type':'GeometryCollection','geometries':[{'type':"
            "'Point','coordinates':[1,2]}]}}",
            "GeometryCollection");
}

static void words_of_the_core_context(void **state)
{
    static const char *const about[] = {"datasetId", "instanceId", "observedAt",
                                        "unitCode",  "objectType", "valueType"};
    (void)state;
    for (size_t i = 0; i < sizeof(about) / sizeof(*about); i++) {
        struct str text = str_printf(&arena, "{'%s':{'value':'2026-01-01T00:00:00Z'}}", about[i]);
        refused_in(text.p, ENTITY_FRAGMENT, "reserved");
    }
    refused_in("{'location':{'value':'here'}}", ENTITY_FRAGMENT, "is a GeoProperty");
    refused_in("{'observationSpace':{'object':'urn:x:1'}}", ENTITY_FRAGMENT, "is a GeoProperty");
    refused_in("{'operationSpace':5}", ENTITY_FRAGMENT, "is a GeoProperty");
    refused_in("{'location':5}", ENTITY_MERGE, "not a GeoJSON geometry");
    refused_in("{'..':5}", ENTITY_FRAGMENT, "not the name of an attribute");
    refused_in("{'%2E.':5}", ENTITY_FRAGMENT, "not the name of an attribute");
    assert_tree(expand("{'location':'urn:ngsi-ld:null'}", ENTITY_MERGE, false),
                "{'" NGSI "location':[{'type':'deleted','all':true}]}");
    assert_tree(expand("{'a.b':1,'" DEFAULT "location':2}", ENTITY_FRAGMENT, false),
                "{'" DEFAULT "a.b':[{'type':'Property','value':1}],'" DEFAULT
                "location':[{'type':'Property','value':2}]}");
}

static void geometries_as_text(void **state)
{
    (void)state;
    stored("{'type':'GeoProperty','value':'{\\'type\\':\\'Point\\',\\'coordinates\\':[1,2]}'}",
           "[{'type':'GeoProperty','value':{'type':'Point','coordinates':[1,2]}}]");
    refused("{'type':'GeoProperty','value':'{'}", "geometry");
    refused("{'type':'GeoProperty','value':'POINT(1 2)'}", "geometry");
}

static void raw_json(void **state)
{
    (void)state;
    stored("{'json':[{'a':1},{}]}", "[{'type':'JsonProperty','json':[{'a':1},{}]}]");
    refused("{'json':5}", "an object or a list of objects");
    refused("{'type':'JsonProperty','json':'text'}", "an object or a list of objects");
    refused("{'json':[{},5]}", "an object or a list of objects");
}

static void bad_attributes(void **state)
{
    (void)state;
    refused("{'type':'Proprety','value':1}", "type is not a kind");
    refused("{'type':'deleted','value':1}", "type is not a kind");
    refused("{'type':'Property','object':'urn:x:1'}", "a Property has no object");
    refused("{'type':'Relationship'}", "has no value");
    refused("{'value':1,'object':'urn:x:1'}", "has two values");
    refused("{'observedAt':'2026-01-01T00:00:00Z'}", "has no value");
    refused("{'value':1,'observedAt':'2026-01-01'}", "observedAt is not a date-time");
    refused("{'value':1,'observedAt':5}", "observedAt is not a date-time");
    refused("{'value':1,'unitCode':5}", "unitCode");
    refused("{'type':'GeoProperty','value':{'type':'Point','coordinates':[200,0]}}", "geometry");
    refused("{'type':'GeoProperty','value':5}", "geometry");
    refused("{'object':'no uri'}", "not a URI");
    refused("{'object':[]}", "empty list");
    refused("{'object':{'a':1}}", "must be a URI");
    refused("{'languageMap':'x'}", "must be an object");
    refused("{'languageMap':{'j a':'x'}}", "language tag");
    refused("{'languageMap':{'ja':5}}", "must be text");
    refused("{'vocab':5}", "vocab must be");
    refused("{'vocab':''}", "vocab is empty");
    refused("{'valueList':5}", "must be a list");
    refused("{'objectList':[5]}", "must be a URI");
    refused("{'value':1,'p q':2}", "is not a name");
    refused("{'value':1,'id':'urn:x:2'}", "is not a name");
    refused("{'value':1,'ngsi-ld:observedAt':2}", "name of a member");
    refused("{'value':1,'p':2,'" DEFAULT "p':3}", "same sub-attribute twice");
    refused("{'object':'urn:x:1','objectType':5}", "objectType");
    refused("{'languageMap':{'ja':'x'},'valueType':'xsd:string'}", "is langString");
    stored("{'languageMap':{'ja':'x'},'valueType':'langString'}",
           "[{'type':'LanguageProperty','languageMap':{'ja':'x'},"
           "'valueType':'http://www.w3.org/1999/02/22-rdf-syntax-ns#langString'}]");
}

static void limits(void **state)
{
    (void)state;
    struct buf deep = BUF_INIT, wide = BUF_INIT;
    for (int i = 0; i < ENTITY_MAX_DEPTH + 1; i++)
        buf_printf(&deep, "{'value':1,'s':");
    BUF_LIT(&deep, "1");
    for (int i = 0; i < ENTITY_MAX_DEPTH + 1; i++)
        BUF_LIT(&deep, "}");
    refused(deep.p, "nested too deeply");
    BUF_LIT(&wide, "{'id':'urn:x:1','type':'T'");
    for (int i = 0; i <= ENTITY_MAX_ATTRS; i++)
        buf_printf(&wide, ",'a%d':1", i);
    BUF_LIT(&wide, "}");
    refused_in(wide.p, ENTITY_WHOLE, "more than 1000 attributes");
    buf_release(&deep);
    buf_release(&wide);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(whole_entity),
        TEST(normalized_kinds),
        TEST(offsets),
        TEST(concise_forms),
        TEST(simplified_forms),
        TEST(instances_by_dataset),
        TEST(output_members_are_skipped),
        TEST(members_that_a_kind_never_has),
        TEST(types_of_values),
        TEST(proofs),
        TEST(words_of_the_core_context),
        TEST(geometries_as_text),
        TEST(raw_json),
        TEST(scopes_by_the_grammar),
        TEST(ids_that_nobody_could_read),
        TEST(nulls),
        TEST(merge_fragments),
        TEST(bad_entities),
        TEST(bad_attributes),
        TEST(limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
