/*
 * What a subscription may say, what a change must be to concern it, and what it is told: clauses
 * 5.2.12 to 5.2.15 and 5.8.6.
 */
#include "outbox_lab.h"

/* --- what may be said --- */

#define ENDPOINT "'endpoint':{'uri':'http://r/'}"
#define HEAD     "'type':'Subscription','notification':{" ENDPOINT "}"

static enum err checked(struct lab *l, const char *text, struct error *e)
{
    const struct json *doc = sub_expand(&l->arena, lab_json(l, text), false, ld_core(), e);
    return doc ? sub_check(doc, e) : e->code;
}

static void refuses_what_is_wrong(void **state)
{
    static const struct {
        const char *text;
        enum err code;
        const char *says;
    } cases[] = {
        {"[]", ERR_INVALID, "an object"},
        {"{}", ERR_INVALID, "type"},
        {"{'type':'Subscription','entities':[{'type':'A'}]}", ERR_INVALID, "notification"},
        {"{" HEAD "}", ERR_INVALID, "entities or watchedAttributes"},
        {"{" HEAD ",'entities':[]}", ERR_INVALID, "not empty"},
        {"{" HEAD ",'entities':[{'id':'urn:x'}]}", ERR_INVALID, "with a type"},
        {"{" HEAD ",'entities':[{'type':'A','id':'no uri'}]}", ERR_INVALID, "URI"},
        {"{" HEAD ",'entities':[{'type':'A','idPattern':'('}]}", ERR_INVALID, ""},
        {"{" HEAD ",'entities':[{'type':'(A'}]}", ERR_INVALID, ""},
        {"{" HEAD ",'entities':[{'type':'A','what':1}]}", ERR_INVALID, "what"},
        {"{" HEAD ",'watchedAttributes':['a'],'q':'a=='}", ERR_INVALID, ""},
        {"{" HEAD ",'watchedAttributes':['a'],'scopeQ':'a b'}", ERR_INVALID, ""},
        {"{" HEAD ",'watchedAttributes':['a'],'geoQ':{'georel':'near'}}", ERR_INVALID, ""},
        {"{" HEAD ",'watchedAttributes':'a'}", ERR_INVALID, "array"},
        {"{" HEAD ",'watchedAttribute':['a']}", ERR_INVALID, "watchedAttribute"},
        {"{" HEAD ",'watchedAttributes':['a'],'throttling':0}", ERR_INVALID, "positive"},
        {"{" HEAD ",'watchedAttributes':['a'],'expiresAt':'soon'}", ERR_INVALID, "date-time"},
        {"{" HEAD ",'watchedAttributes':['a'],'isActive':'yes'}", ERR_INVALID, "true or false"},
        {"{" HEAD ",'watchedAttributes':['a'],'id':'x'}", ERR_INVALID, "URI"},
        {"{" HEAD ",'watchedAttributes':['a'],'notificationTrigger':['never']}", ERR_INVALID,
         "attributeCreated"},
        {"{" HEAD ",'entities':[{'type':'A'}],'timeInterval':5,'throttling':5}", ERR_INVALID,
         "timeInterval"},
        {"{" HEAD ",'entities':[{'type':'A'}],'timeInterval':5,'watchedAttributes':['a']}",
         ERR_INVALID, "timeInterval"},
        {"{'type':'Subscription','watchedAttributes':['a'],'notification':{}}", ERR_INVALID,
         "endpoint"},
        {"{'type':'Subscription','watchedAttributes':['a'],'notification':{'endpoint':{}}}",
         ERR_INVALID, "uri"},
        {"{'type':'Subscription','watchedAttributes':['a'],'notification':{'endpoint':"
         "{'uri':'ftp://r/'}}}",
         ERR_INVALID, "http"},
        {"{'type':'Subscription','watchedAttributes':['a'],'notification':{'endpoint':"
         "{'uri':'http:///x'}}}",
         ERR_INVALID, "http"},
        {"{'type':'Subscription','watchedAttributes':['a'],'notification':{'endpoint':"
         "{'uri':'mqtt://r/'}}}",
         ERR_INVALID, "topic"},
        {"{'type':'Subscription','watchedAttributes':['a'],'notification':{'endpoint':"
         "{'uri':'mqtt://r/a/+'}}}",
         ERR_INVALID, "topic"},
        {"{'type':'Subscription','watchedAttributes':['a'],'notification':{'endpoint':"
         "{'uri':'mqtt://r/a','notifierInfo':[{'key':'MQTT-QoS','value':'3'}]}}}",
         ERR_INVALID, "MQTT-QoS"},
        {"{'type':'Subscription','watchedAttributes':['a'],'notification':{'endpoint':"
         "{'uri':'mqtt://r/a','notifierInfo':[{'key':'MQTT-Version','value':'4'}]}}}",
         ERR_INVALID, "MQTT-Version"},
        {"{'type':'Subscription','entities':[{'type':'A'}],'timeInterval':5,'throttling':1,"
         "'notification':{" ENDPOINT "}}",
         ERR_INVALID, "throttling"},
        {"{" HEAD ",'entities':[{'type':'A'}],'csf':'(('}", ERR_INVALID, ""},
        {"{'type':'Subscription','watchedAttributes':['a'],'notification':{'pick':['id'],"
         "'omit':['id']," ENDPOINT "}}",
         ERR_INVALID, "same"},
        {"{'type':'Subscription','watchedAttributes':['a'],'notification':{'attributes':['type']"
         "," ENDPOINT "}}",
         ERR_INVALID, "attributes"},
        {"{'type':'Subscription','watchedAttributes':['a'],'notification':{'pick':['a{b}']"
         "," ENDPOINT "}}",
         ERR_INVALID, "join"},
        {"{'type':'Subscription','watchedAttributes':['a'],'notification':{'join':'sideways'"
         "," ENDPOINT "}}",
         ERR_INVALID, "join"},
        {"{'type':'Subscription','watchedAttributes':['a'],'notification':{'join':'flat',"
         "'joinLevel':0," ENDPOINT "}}",
         ERR_INVALID, "joinLevel"},
        {"{'type':'Subscription','watchedAttributes':['a'],'notification':{'join':'flat',"
         "'endpoint':{'uri':'http://r/','accept':'application/geo+json'}}}",
         ERR_UNPROCESSABLE, "GeoJSON"},
        {"{'type':'Subscription','watchedAttributes':['a'],'notification':{'endpoint':"
         "{'uri':'http://r/','cooldown':0}}}",
         ERR_INVALID, "cooldown"},
        {"{'type':'Subscription','watchedAttributes':['a'],'notification':{'endpoint':"
         "{'uri':'http://r/','receiverInfo':[{'key':'Host','value':'x'}]}}}",
         ERR_INVALID, "receiverInfo"},
        {"{'type':'Subscription','watchedAttributes':['a'],'notification':{'endpoint':"
         "{'uri':'http://r/','receiverInfo':[{'key':'A','value':'x\\r\\nB: y'}]}}}",
         ERR_INVALID, "receiverInfo"},
        {"{'type':'Subscription','watchedAttributes':['a'],'notification':{'format':'xml'," ENDPOINT
         "}}",
         ERR_INVALID, "format"},
        {"{'type':'Subscription','watchedAttributes':['a'],'notification':{'format':'keyValues',"
         "'showChanges':true," ENDPOINT "}}",
         ERR_INVALID, "showChanges"},
    };
    struct lab *l = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error e = {0};
        enum err err = checked(l, cases[i].text, &e);
        if (err != cases[i].code || !strstr(e.text, cases[i].says))
            fail_msg("%s: %d \"%s\"", cases[i].text, (int)err, e.text);
    }
}

static void reads_back_what_was_sent(void **state)
{
    struct lab *l = *state;
    const char *text =
        "{'id':'urn:s:1','type':'Subscription','subscriptionName':'n','description':'d',"
        "'entities':[{'id':'urn:x:1','type':'(A|B);C'},{'idPattern':'^urn','type':'*'}],"
        "'watchedAttributes':['a','https://e.org/b'],'notificationTrigger':['entityDeleted'],"
        "'q':'a>1;b==\\\"x\\\"','geoQ':{'geometry':'Point','coordinates':[140.1,36.05],"
        "'georel':'near;maxDistance==5','geoproperty':'place'},'scopeQ':'/a/#','throttling':2.5,"
        "'lang':'ja','datasetId':['@none','urn:d:1'],'jsonldContext':'https://e.org/c.jsonld',"
        "'splitEntities':false,'localOnly':true,'expandValues':'a,b','jsonKeys':'c','csf':'k==1',"
        "'notification':{'pick':['id','r{a,b}'],'omit':['x'],'join':'inline','joinLevel':2,"
        "'format':'concise','sysAttrs':true,"
        "'endpoint':{'uri':'http://r/','accept':'application/ld+json','timeout':500,"
        "'receiverInfo':[{'key':'Authorization','value':'x'}]}},'status':'active'}";
    struct sub_counters none = {0};
    struct buf out = BUF_INIT;
    sub_write(&out, &l->arena, lab_doc(l, text), &none, "active", ld_core(), false, false, 0, 0);
    const struct json *back = json_parse(&l->arena, buf_dup(&out, &l->arena), &JSON_DEFAULT, NULL);
    assert_true(json_equal(back, lab_json(l, text), true));
    buf_release(&out);
}

static void patches_replace_and_remove_members(void **state)
{
    struct lab *l = *state;
    struct error e = {0};
    const struct json *doc =
        lab_doc(l, "{" HEAD ",'entities':[{'type':'A'}],'q':'a','throttling':5}");
    const struct json *patch =
        sub_expand(&l->arena,
                   lab_json(l, "{'q':null,'throttling':'urn:ngsi-ld:null','description':'x'}"),
                   true, ld_core(), &e);
    assert_non_null(patch);
    doc = sub_patched(&l->arena, doc, patch);
    assert_null(json_get(doc, S("q")));
    assert_null(json_get(doc, S("throttling")));
    assert_true(str_eq(json_text(json_get(doc, S("description"))), S("x")));
    assert_non_null(json_get(doc, S("entities")));
}

/* --- what concerns it --- */

/* Does the subscription hear of the changes made by the statements, and how often? */
static size_t heard(struct lab *l)
{
    size_t from = l->seen;
    lab_run(l);
    while (l->seen < l->n) {
        lab_answer(l, l->seen++, 200);
        lab_run(l);
    }
    return l->seen - from;
}

#define CREATE(id, rest) lab_write(l, OP_CREATE, id, "{'id':'" id "','type':'A'" rest "}")

static void default_triggers_are_attributes_made_and_changed(void **state)
{
    struct lab *l = *state;
    lab_subscribe(l, "{'id':'urn:s:1'," HEAD ",'entities':[{'type':'A'}]}");
    CREATE("urn:x:1", ",'p':1,'q':2");
    assert_int_equal(heard(l), 1);
    CREATE("urn:x:2", "");
    assert_int_equal(heard(l), 0); /* no attribute */
    lab_write(l, OP_APPEND, "urn:x:1", "{'p':2}");
    assert_int_equal(heard(l), 1);
    lab_write(l, OP_DELETE, "urn:x:1", NULL);
    assert_int_equal(heard(l), 0);
    lab_write(l, OP_CREATE, "urn:x:3", "{'id':'urn:x:3','type':'B','p':1}");
    assert_int_equal(heard(l), 0);
}

static void triggers_select_kinds_of_changes(void **state)
{
    static const struct {
        const char *trigger;
        int created, appended, updated, attr_deleted, deleted;
    } cases[] = {
        {"entityCreated", 1, 0, 0, 0, 0},    {"entityUpdated", 1, 1, 1, 1, 1},
        {"entityDeleted", 0, 0, 0, 0, 1},    {"attributeCreated", 1, 1, 0, 0, 0},
        {"attributeUpdated", 0, 0, 1, 0, 0}, {"attributeDeleted", 0, 0, 0, 1, 1},
    };
    struct lab *l = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[300], id[20];
        snprintf(id, sizeof(id), "urn:s:%zu", i);
        snprintf(text, sizeof(text),
                 "{'id':'%s'," HEAD ",'entities':[{'type':'A'}],'notificationTrigger':['%s']}", id,
                 cases[i].trigger);
        struct sub *s = lab_subscribe(l, text);
        CREATE("urn:x:1", ",'p':1");
        assert_int_equal(heard(l), cases[i].created);
        lab_write(l, OP_APPEND, "urn:x:1", "{'r':1}");
        assert_int_equal(heard(l), cases[i].appended);
        lab_write(l, OP_APPEND, "urn:x:1", "{'r':2}");
        assert_int_equal(heard(l), cases[i].updated);
        lab_write(l, OP_APPEND, "urn:x:1", "{'r':2}"); /* the same again is no change */
        assert_int_equal(heard(l), 0);
        lab_write(l, OP_UPDATE, "urn:x:1", "{'r':'urn:ngsi-ld:null'}");
        assert_int_equal(heard(l), cases[i].attr_deleted);
        lab_write(l, OP_DELETE, "urn:x:1", NULL);
        assert_int_equal(heard(l), cases[i].deleted);
        pthread_mutex_lock(&l->hub->lock);
        sub_delete(l->hub, s);
        pthread_mutex_unlock(&l->hub->lock);
    }
}

static void conditions_hold_on_the_state_at_the_row(void **state)
{
    struct lab *l = *state;
    lab_subscribe(l, "{'id':'urn:s:1'," HEAD ",'entities':[{'type':'A'}],'q':'p>10',"
                     "'watchedAttributes':['p']}");
    CREATE("urn:x:1", ",'p':1,'r':0");
    lab_write(l, OP_APPEND, "urn:x:1", "{'p':20}"); /* two updates before anybody looks */
    lab_write(l, OP_APPEND, "urn:x:1", "{'p':3}");
    lab_write(l, OP_APPEND, "urn:x:1", "{'p':30}");
    lab_write(l, OP_APPEND, "urn:x:1", "{'r':1}"); /* not watched */
    assert_int_equal(heard(l), 2);
}

static void ids_patterns_types_places_and_scopes_select(void **state)
{
    struct lab *l = *state;
    lab_subscribe(l, "{'id':'urn:s:1'," HEAD ",'entities':[{'type':'A','id':'urn:x:1'}]}");
    lab_subscribe(l, "{'id':'urn:s:2'," HEAD ",'entities':[{'type':'A|B','idPattern':':2$'}]}");
    lab_subscribe(l, "{'id':'urn:s:3'," HEAD ",'entities':[{'type':'B'},{'type':'C'}]}");
    lab_subscribe(l, "{'id':'urn:s:4'," HEAD ",'entities':[{'type':'*'}],'scopeQ':'/city/#'}");
    lab_subscribe(l, "{'id':'urn:s:5'," HEAD ",'watchedAttributes':['p'],'geoQ':{'geometry':"
                     "'Point','coordinates':[140,36],'georel':'near;maxDistance==1000'}}");
    CREATE("urn:x:1", ",'v':1");
    assert_int_equal(heard(l), 1);
    CREATE("urn:x:2", ",'v':1");
    assert_int_equal(heard(l), 1);
    lab_write(l, OP_CREATE, "urn:x:3", "{'id':'urn:x:3','type':['B','C'],'v':1}");
    assert_int_equal(heard(l), 1);
    CREATE("urn:x:4", ",'scope':'/city/a','v':1");
    assert_int_equal(heard(l), 1);
    CREATE("urn:x:5", ",'p':1,'location':{'type':'Point','coordinates':[140.001,36]}");
    assert_int_equal(heard(l), 1);
    CREATE("urn:x:6", ",'p':1,'location':{'type':'Point','coordinates':[141,36]}");
    assert_int_equal(heard(l), 0);
}

/* --- what is told --- */

static const struct json *told(struct lab *l)
{
    assert_int_equal(heard(l), 1);
    return json_at(json_get(lab_body(l, l->n - 1), S("data")), 0);
}

static bool has(struct lab *l, const struct json *v, const char *text)
{
    return json_equal(v, lab_json(l, text), false);
}

static void shows_entities_in_the_asked_form(void **state)
{
    struct lab *l = *state;
    lab_subscribe(l, "{'id':'urn:s:1','type':'Subscription','entities':[{'type':'A'}],"
                     "'notification':{'format':'keyValues','attributes':['p']," ENDPOINT "}}");
    CREATE("urn:x:1", ",'p':1,'r':2");
    assert_true(has(l, told(l), "{'id':'urn:x:1','type':'A','p':1}"));
}

static void json_ld_and_geojson_have_their_envelopes(void **state)
{
    struct lab *l = *state;
    lab_subscribe(l, "{'id':'urn:s:1','type':'Subscription','entities':[{'type':'A'}],"
                     "'notification':{'endpoint':{'uri':'http://r/','accept':"
                     "'application/ld+json','receiverInfo':[{'key':'X-Key','value':'k'}]}}}");
    CREATE("urn:x:1", ",'p':1");
    assert_int_equal(heard(l), 1);
    assert_non_null(json_get(lab_body(l, 0), S("@context")));
    assert_null(strstr(l->sent[0].headers, "Link:"));
    assert_non_null(strstr(l->sent[0].headers, "X-Key: k\n"));
    lab_subscribe(l, "{'id':'urn:s:2','type':'Subscription','entities':[{'type':'B'}],"
                     "'notification':{'endpoint':{'uri':'http://r/','accept':"
                     "'application/geo+json'}}}");
    lab_write(l, OP_CREATE, "urn:x:2",
              "{'id':'urn:x:2','type':'B','location':{'type':'Point','coordinates':[1,2]}}");
    assert_int_equal(heard(l), 1);
    const struct json *data = json_get(lab_body(l, 1), S("data"));
    assert_true(str_eq(json_text(json_get(data, S("type"))), S("FeatureCollection")));
    const struct json *feature = json_at(json_get(data, S("features")), 0);
    assert_true(has(l, json_get(feature, S("geometry")), "{'type':'Point','coordinates':[1,2]}"));
}

static void shows_what_was_deleted_and_what_was_before(void **state)
{
    struct lab *l = *state;
    lab_subscribe(l, "{'id':'urn:s:1','type':'Subscription','entities':[{'type':'A'}],"
                     "'notificationTrigger':['entityUpdated','entityDeleted'],"
                     "'notification':{'showChanges':true," ENDPOINT "}}");
    CREATE("urn:x:1", ",'p':1,'r':{'type':'Relationship','object':'urn:o:1'}");
    assert_null(json_get(json_get(told(l), S("p")), S("previousValue")));
    lab_write(l, OP_APPEND, "urn:x:1", "{'p':2}");
    assert_true(
        has(l, json_get(told(l), S("p")), "{'type':'Property','value':2,'previousValue':1}"));
    lab_write(l, OP_UPDATE, "urn:x:1", "{'r':'urn:ngsi-ld:null'}");
    const struct json *r = json_get(told(l), S("r"));
    assert_true(has(l, json_get(r, S("object")), "'urn:ngsi-ld:null'"));
    assert_true(has(l, json_get(r, S("previousObject")), "'urn:o:1'"));
    assert_null(json_get(r, S("deletedAt"))); /* not without sysAttrs */
    lab_write(l, OP_DELETE, "urn:x:1", NULL);
    const struct json *gone = told(l);
    assert_non_null(json_get(gone, S("deletedAt")));
    assert_true(has(l, json_get(json_get(gone, S("p")), S("previousValue")), "2"));
}

static void deletions_have_the_form_of_the_entity(void **state)
{
    static const struct {
        const char *members, *attribute, *entity;
    } cases[] = {
        {"", "{'type':'Property','value':'urn:ngsi-ld:null'}",
         "{'type':'Property','value':'urn:ngsi-ld:null'}"},
        {"'format':'concise',", "'urn:ngsi-ld:null'", "'urn:ngsi-ld:null'"},
        {"'format':'keyValues',", "'urn:ngsi-ld:null'", "'urn:ngsi-ld:null'"},
        {"'format':'concise','showChanges':true,",
         "{'type':'Property','value':'urn:ngsi-ld:null','previousValue':1}",
         "{'type':'Property','value':'urn:ngsi-ld:null','previousValue':2}"},
    };
    struct lab *l = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[400];
        snprintf(text, sizeof(text),
                 "{'id':'urn:s:%zu','type':'Subscription','entities':[{'type':'A'}],"
                 "'watchedAttributes':['p'],'notificationTrigger':['attributeDeleted'],"
                 "'notification':{%s" ENDPOINT "}}",
                 i, cases[i].members);
        struct sub *s = lab_subscribe(l, text);
        CREATE("urn:x:1", ",'p':1,'r':2");
        lab_write(l, OP_UPDATE, "urn:x:1", "{'p':'urn:ngsi-ld:null'}");
        assert_true(has(l, json_get(told(l), S("p")), cases[i].attribute));
        lab_write(l, OP_APPEND, "urn:x:1", "{'p':2}");
        lab_write(l, OP_DELETE, "urn:x:1", NULL);
        const struct json *gone = told(l);
        assert_non_null(json_get(gone, S("deletedAt")));
        assert_true(has(l, json_get(gone, S("p")), cases[i].entity));
        pthread_mutex_lock(&l->hub->lock);
        sub_delete(l->hub, s);
        pthread_mutex_unlock(&l->hub->lock);
    }
}

static void deleted_instances_say_which(void **state)
{
    struct lab *l = *state;
    lab_subscribe(l, "{'id':'urn:s:1','type':'Subscription','entities':[{'type':'A'}],"
                     "'notificationTrigger':['attributeDeleted'],"
                     "'notification':{'format':'simplified'," ENDPOINT "}}");
    CREATE("urn:x:1", ",'p':[{'value':1},{'value':2,'datasetId':'urn:d:2'},"
                      "{'value':3,'datasetId':'urn:d:3'}]");
    lab_write(l, OP_UPDATE, "urn:x:1", "{'p':{'value':'urn:ngsi-ld:null','datasetId':'urn:d:3'}}");
    assert_true(has(l, json_get(told(l), S("p")),
                    "{'dataset':{'@none':1,'urn:d:2':2,'urn:d:3':'urn:ngsi-ld:null'}}"));
    lab_write(l, OP_UPDATE, "urn:x:1", "{'p':'urn:ngsi-ld:null'}");
    assert_true(has(l, json_get(told(l), S("p")), "'urn:ngsi-ld:null'"));
}

static void sys_attrs_tell_the_times_of_what_was_deleted(void **state)
{
    struct lab *l = *state;
    lab_subscribe(l, "{'id':'urn:s:1','type':'Subscription','entities':[{'type':'A'}],"
                     "'notificationTrigger':['attributeDeleted','entityDeleted'],"
                     "'notification':{'sysAttrs':true," ENDPOINT "}}");
    CREATE("urn:x:1", ",'p':1,'r':2");
    lab_write(l, OP_UPDATE, "urn:x:1", "{'p':'urn:ngsi-ld:null'}");
    const struct json *p = json_get(told(l), S("p"));
    assert_non_null(json_get(p, S("deletedAt")));
    assert_non_null(json_get(p, S("createdAt")));
    lab_write(l, OP_DELETE, "urn:x:1", NULL);
    const struct json *gone = told(l);
    assert_non_null(json_get(gone, S("createdAt")));
    assert_non_null(json_get(gone, S("modifiedAt")));
    assert_non_null(json_get(gone, S("deletedAt")));
    assert_null(json_get(gone, S("r"))); /* entityDeleted without showChanges tells no attributes */
}

static void linked_entities_come_along(void **state)
{
    struct lab *l = *state;
    lab_write(l, OP_CREATE, "urn:c:1", "{'id':'urn:c:1','type':'City','name':'Nanao','x':1}");
    lab_subscribe(l, "{'id':'urn:s:1','type':'Subscription','entities':[{'type':'A'}],"
                     "'notification':{'join':'inline','pick':['id','r{name}'],"
                     "'format':'simplified'," ENDPOINT "}}");
    struct sub *flat =
        lab_subscribe(l, "{'id':'urn:s:2','type':'Subscription','entities':"
                         "[{'type':'B'}],'notification':{'join':'flat','attributes':['r'],"
                         "'format':'simplified'," ENDPOINT "}}");
    CREATE("urn:x:1", ",'p':1,'r':{'type':'Relationship','object':'urn:c:1'}");
    assert_true(has(l, told(l), "{'id':'urn:x:1','r':{'name':'Nanao'}}"));
    lab_write(l, OP_CREATE, "urn:x:2",
              "{'id':'urn:x:2','type':'B','p':1,"
              "'r':{'type':'Relationship','object':'urn:c:1'}}");
    told(l);
    assert_true(has(l, json_get(lab_body(l, l->n - 1), S("data")),
                    "[{'id':'urn:x:2','type':'B','r':'urn:c:1'},"
                    "{'id':'urn:c:1','type':'City','name':'Nanao','x':1}]"));
    assert_ptr_not_equal(flat->spec->group, NULL);
}

static void geojson_holds_its_context_unless_it_is_not_preferred(void **state)
{
    struct lab *l = *state;
    lab_subscribe(l, "{'id':'urn:s:1','type':'Subscription','entities':[{'type':'A'}],"
                     "'notification':{'endpoint':{'uri':'http://r/','accept':"
                     "'application/geo+json'}}}");
    lab_subscribe(l, "{'id':'urn:s:2','type':'Subscription','entities':[{'type':'B'}],"
                     "'notification':{'endpoint':{'uri':'http://r/','accept':"
                     "'application/geo+json','receiverInfo':[{'key':'Prefer','value':"
                     "'body=json'}]}}}");
    CREATE("urn:x:1", ",'p':1");
    assert_int_equal(heard(l), 1);
    assert_non_null(json_get(json_get(lab_body(l, 0), S("data")), S("@context")));
    assert_null(strstr(l->sent[0].headers, "Link:"));
    lab_write(l, OP_CREATE, "urn:x:2", "{'id':'urn:x:2','type':'B','p':1}");
    assert_int_equal(heard(l), 1);
    assert_null(json_get(json_get(lab_body(l, 1), S("data")), S("@context")));
    assert_non_null(strstr(l->sent[1].headers, "Link:"));
}

static void local_ones_need_no_entities(void **state)
{
    struct lab *l = *state;
    lab_subscribe(l, "{'id':'urn:s:1'," HEAD ",'localOnly':true}");
    CREATE("urn:x:1", ",'p':1");
    lab_write(l, OP_CREATE, "urn:x:2", "{'id':'urn:x:2','type':'B','p':1}");
    assert_int_equal(heard(l), 2);
}

static void groups_share_one_text(void **state)
{
    struct lab *l = *state;
    struct sub *a = lab_sensors(l, "a", "r", "");
    struct sub *b = lab_sensors(l, "b", "s", "");
    struct sub *c = lab_sensors(l, "c", "t", ",'lang':'ja'");
    assert_ptr_equal(a->spec->group, b->spec->group);
    assert_ptr_not_equal(a->spec->group, c->spec->group);
    lab_set(l, "1", 1);
    lab_run(l);
    assert_ptr_equal(a->queue[a->head].payload, b->queue[b->head].payload);
    assert_int_equal(heard(l), 3);
}

#define IN_LAB(fn) cmocka_unit_test_setup_teardown(fn, lab_open, lab_close)
int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_LAB(refuses_what_is_wrong),
        IN_LAB(reads_back_what_was_sent),
        IN_LAB(patches_replace_and_remove_members),
        IN_LAB(default_triggers_are_attributes_made_and_changed),
        IN_LAB(triggers_select_kinds_of_changes),
        IN_LAB(conditions_hold_on_the_state_at_the_row),
        IN_LAB(ids_patterns_types_places_and_scopes_select),
        IN_LAB(shows_entities_in_the_asked_form),
        IN_LAB(json_ld_and_geojson_have_their_envelopes),
        IN_LAB(shows_what_was_deleted_and_what_was_before),
        IN_LAB(deletions_have_the_form_of_the_entity),
        IN_LAB(deleted_instances_say_which),
        IN_LAB(sys_attrs_tell_the_times_of_what_was_deleted),
        IN_LAB(linked_entities_come_along),
        IN_LAB(geojson_holds_its_context_unless_it_is_not_preferred),
        IN_LAB(local_ones_need_no_entities),
        IN_LAB(groups_share_one_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
