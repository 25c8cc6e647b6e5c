#include "ld_test.h"

#include "link/entity.h"

#define T0 "2026-01-01T00:00:00.000Z"
#define T1 "2026-01-01T00:00:01.000Z"

static int64_t t0, t1;

static const struct json *input(const char *payload, enum entity_in mode)
{
    struct error e = {0};
    const struct json *v = entity_expand(&arena, J(payload), mode, false, NULL, &e);
    if (!v)
        fail_msg("%s: %s", payload, e.text);
    return v;
}

static const struct json *created(const char *payload)
{
    struct entity_delta d;
    struct error e = {0};
    if (entity_apply(&arena, ENTITY_CREATE, NULL, input(payload, ENTITY_WHOLE), t0, &d, &e))
        fail_msg("%s", e.text);
    return d.after;
}

static enum entity_in mode_of(enum entity_op op)
{
    return op == ENTITY_MERGE_PATCH                      ? ENTITY_MERGE
           : op == ENTITY_CREATE || op == ENTITY_REPLACE ? ENTITY_WHOLE
                                                         : ENTITY_FRAGMENT;
}

static struct entity_delta change(enum entity_op op, const struct json *before, const char *payload)
{
    struct entity_delta d;
    struct error e = {0};
    if (entity_apply(&arena, op, before, input(payload, mode_of(op)), t1, &d, &e))
        fail_msg("%s: %s", payload, e.text);
    return d;
}

static void refused(enum entity_op op, const struct json *before, const char *payload,
                    enum err code)
{
    struct entity_delta d;
    struct error e = {0};
    assert_int_equal(entity_apply(&arena, op, before, input(payload, mode_of(op)), t1, &d, &e),
                     code);
    assert_int_equal(e.code, code);
    assert_true(e.text[0] != 0);
}

/* The state after, normalized without times. */
static void shows(const struct json *stored, const char *want)
{
    struct entity_view v = {.form = FORM_NORMALIZED};
    struct buf b = BUF_INIT;
    entity_write(&b, &arena, stored, &v);
    struct str got = buf_dup(&b, &arena);
    buf_release(&b);
    assert_text(got, want);
}

/* "+a" created, "~a" updated, "-a" deleted, with the datasetId behind a slash. */
static void changed(const struct entity_delta *d, const char *want)
{
    struct buf b = BUF_INIT;
    for (size_t i = 0; i < d->changes.n; i++) {
        const struct attr_change *c = &d->changes.v[i];
        buf_printf(&b, "%s%c%" STR_F, i ? " " : "", "+~-"[c->op],
                   STR_A(ld_compact(ld_core(), &arena, c->attr)));
        if (c->dataset.p)
            buf_printf(&b, "/%" STR_F, STR_A(c->dataset));
        assert_int_equal(c->before == NULL, c->op == ATTR_CREATED);
        assert_int_equal(c->after == NULL, c->op == ATTR_DELETED);
    }
    struct str got = buf_dup(&b, &arena);
    buf_release(&b);
    assert_text(got, want);
}

static const char car[] =
    "{'id':'urn:x:1','type':'Car','scope':'/a','speed':{'value':50,'unitCode':'KMH',"
    "'observedAt':'2026-01-01T00:00:00Z','accuracy':{'value':1}},"
    "'at':{'object':'urn:x:2'},'info':{'value':{'a':1,'b':{'c':2,'d':3}}},"
    "'name':{'languageMap':{'ja':'車','en':'car'}},"
    "'load':[{'value':1},{'value':2,'datasetId':'urn:d:1'}]}";

static void creation(void **state)
{
    (void)state;
    struct entity_delta d;
    struct error e = {0};
    const struct json *in = input("{'id':'urn:x:1','type':'Car','scope':'/"
                                  "a','expiresAt':'2030-01-01T00:00:00Z','a':{'value':1,"
                                  "'unitCode':'C','s':{'value':2}}}",
                                  ENTITY_WHOLE);
    assert_int_equal(entity_apply(&arena, ENTITY_CREATE, NULL, in, t0, &d, &e), OK);
    assert_tree(d.after,
                "{'id':'urn:x:1','type':['" DEFAULT "Car'],'scope':['/a'],'createdAt':'" T0
                "','modifiedAt':'" T0 "','expiresAt':'2030-01-01T00:00:00Z','" DEFAULT
                "a':[{'type':'Property','value':1,'unitCode':'C','createdAt':'" T0
                "','modifiedAt':'" T0 "','" DEFAULT
                "s':[{'type':'Property','value':2,'createdAt':'" T0 "','modifiedAt':'" T0 "'}]}]}");
    changed(&d, "+a");
    assert_true(d.types_changed && d.scope_changed);
    refused(ENTITY_CREATE, d.after, car, ERR_EXISTS);
    refused(ENTITY_APPEND, NULL, "{'a':1}", ERR_NOT_FOUND);
    refused(ENTITY_MERGE_PATCH, NULL, "{'a':1}", ERR_NOT_FOUND);
}

static void append(void **state)
{
    (void)state;
    const struct json *v =
        created("{'id':'urn:x:1','type':'Car','a':1,'b':{'value':2,'unitCode':'C'}}");
    struct entity_delta d = change(ENTITY_APPEND, v, "{'type':'Van','b':3,'c':4,'scope':'/s'}");
    changed(&d, "~b +c");
    assert_tree(d.after,
                "{'id':'urn:x:1','type':['" DEFAULT "Car','" DEFAULT "Van'],'scope':['/s'],"
                "'createdAt':'" T0 "','modifiedAt':'" T1 "','" DEFAULT
                "a':[{'type':'Property','value':1,'createdAt':'" T0 "','modifiedAt':'" T0
                "'}],'" DEFAULT "b':[{'type':'Property','value':3,'createdAt':'" T0
                "','modifiedAt':'" T1 "'}],'" DEFAULT
                "c':[{'type':'Property','value':4,'createdAt':'" T1 "','modifiedAt':'" T1 "'}]}");
    assert_true(d.types_changed && d.scope_changed);
    assert_tree(d.changes.v[0].before,
                "{'type':'Property','value':2,'unitCode':'C','createdAt':'" T0 "','modifiedAt':'" T0
                "'}");

    d = change(ENTITY_APPEND_NEW, v, "{'b':3,'c':4}");
    changed(&d, "+c");
    assert_int_equal(d.not_updated.n, 1);
    assert_text(d.not_updated.v[0], DEFAULT "b");
    shows(d.after, "{'id':'urn:x:1','type':'Car','a':{'type':'Property','value':1},"
                   "'b':{'type':'Property','value':2,'unitCode':'C'},"
                   "'c':{'type':'Property','value':4}}");

    /* an instance of its own, and the default one moves to the front */
    d = change(ENTITY_APPEND, v, "{'c':{'value':4,'datasetId':'urn:d:1'}}");
    d = change(ENTITY_APPEND, d.after, "{'c':5}");
    changed(&d, "+c");
    assert_null(json_get(json_at(entity_attr(d.after, S(DEFAULT "c")), 0), S("datasetId")));
    refused(ENTITY_APPEND, v, "{'a':'urn:ngsi-ld:null'}", ERR_INVALID);
}

static void nothing_changes(void **state)
{
    (void)state;
    const struct json *v = created(car);
    struct entity_delta d = change(ENTITY_UPDATE, v, "{'unknown':1,'type':'Car'}");
    assert_ptr_equal(d.after, v);
    assert_false(d.types_changed || d.scope_changed);
    assert_int_equal(d.changes.n, 0);
    assert_int_equal(d.not_updated.n, 1);
    d = change(ENTITY_UPDATE, v, "{'at':{'object':'urn:x:2'}}");
    changed(&d, "~at"); /* the same value again is an update */
}

static void update(void **state)
{
    (void)state;
    const struct json *v = created(car);
    struct entity_delta d = change(
        ENTITY_UPDATE, v,
        "{'speed':51,'at':{'object':'urn:ngsi-ld:null'},'none':2,'info':{'object':'urn:x:9'},"
        "'load':{'value':9,'datasetId':'urn:d:9'},'scope':'/b'}");
    changed(&d, "~speed -at ~info");
    assert_int_equal(d.not_updated.n, 2);
    shows(d.after,
          "{'id':'urn:x:1','type':'Car','scope':'/b','speed':{'type':'Property','value':51},"
          "'info':{'type':'Relationship','object':'urn:x:9'},"
          "'name':{'type':'LanguageProperty','languageMap':{'ja':'車','en':'car'}},"
          "'load':[{'type':'Property','value':1},"
          "{'type':'Property','value':2,'datasetId':'urn:d:1'}]}");
}

/* As update, but what is not there is added: attributes and instances, not a scope. */
static void update_add(void **state)
{
    (void)state;
    const struct json *v = created(car);
    struct entity_delta d =
        change(ENTITY_UPDATE_ADD, v,
               "{'speed':51,'load':{'value':9,'datasetId':'urn:d:9'},'more':1,"
               "'at':'urn:ngsi-ld:null','none':'urn:ngsi-ld:null','scope':'/b'}");
    changed(&d, "~speed +load/urn:d:9 +more -at");
    assert_int_equal(d.not_updated.n, 1);
    assert_text(d.not_updated.v[0], DEFAULT "none");
    assert_true(d.scope_changed);
    assert_null(json_get(entity_attr(d.after, S(DEFAULT "speed"))->items, S("unitCode")));

    const struct json *bare = created("{'id':'urn:x:1','type':'Car','a':1}");
    d = change(ENTITY_UPDATE_ADD, bare, "{'scope':'/b'}");
    assert_ptr_equal(d.after, bare);
    assert_int_equal(d.not_updated.n, 1);
    assert_text(d.not_updated.v[0], "scope");
    d = change(ENTITY_APPEND_NEW, v, "{'scope':['/b','/a']}");
    assert_int_equal(json_get(d.after, S("scope"))->n, 2);
    d = change(ENTITY_APPEND, v, "{'scope':'/b'}");
    assert_int_equal(json_get(d.after, S("scope"))->n, 1);
}

static void replace(void **state)
{
    (void)state;
    const struct json *v = created(car);
    struct entity_delta d =
        change(ENTITY_REPLACE, v,
               "{'id':'urn:x:1','type':'Van','new':1,'load':{'value':3,'datasetId':'urn:d:1'}}");
    changed(&d, "+new ~load/urn:d:1 -load -speed -at -info -name");
    assert_text(json_text(json_get(d.after, S("createdAt"))), T0);
    shows(d.after, "{'id':'urn:x:1','type':'Van','new':{'type':'Property','value':1},"
                   "'load':{'type':'Property','value':3,'datasetId':'urn:d:1'}}");
    assert_true(d.types_changed && d.scope_changed);
}

static void merge_patch(void **state)
{
    (void)state;
    const struct json *v = created(car);
    struct entity_delta d =
        change(ENTITY_MERGE_PATCH, v,
               "{'type':'Van','speed':{'value':60,'unitCode':'urn:ngsi-ld:null',"
               "'accuracy':{'unitCode':'P1'},'source':'gps'},'at':'urn:x:3',"
               "'info':{'value':{'b':{'c':'urn:ngsi-ld:null','e':[1]},'f':{'g':'urn:ngsi-ld:null','"
               "h':1}}},"
               "'name':{'languageMap':{'en':'urn:ngsi-ld:null','vi':'xe'}},"
               "'load':'urn:ngsi-ld:null','new':{'value':{'x':'urn:ngsi-ld:null','y':1}},"
               "'absent':'urn:ngsi-ld:null'}");
    changed(&d, "~speed ~at ~info ~name -load -load/urn:d:1 +new");
    shows(d.after,
          "{'id':'urn:x:1','type':['Car','Van'],'scope':'/a','speed':{'type':'Property','value':60,"
          "'observedAt':'2026-01-01T00:00:00Z','accuracy':{'type':'Property','value':1,"
          "'unitCode':'P1'},'source':{'type':'Property','value':'gps'}},"
          "'at':{'type':'Relationship','object':'urn:x:3'},"
          "'info':{'type':'Property','value':{'a':1,'b':{'d':3,'e':[1]},'f':{'h':1}}},"
          "'name':{'type':'LanguageProperty','languageMap':{'ja':'車','vi':'xe'}},"
          "'new':{'type':'Property','value':{'y':1}}}");
    const struct json *speed = json_at(entity_attr(d.after, S(DEFAULT "speed")), 0);
    const struct json *accuracy = json_at(json_get(speed, S(DEFAULT "accuracy")), 0);
    assert_text(json_text(json_get(speed, S("createdAt"))), T0);
    assert_text(json_text(json_get(accuracy, S("createdAt"))), T0);
    assert_text(json_text(json_get(accuracy, S("modifiedAt"))), T1);

    d = change(ENTITY_MERGE_PATCH, v, "{'load':{'value':'urn:ngsi-ld:null'}}");
    changed(&d, "-load");
    d = change(ENTITY_MERGE_PATCH, v,
               "{'speed':{'accuracy':'urn:ngsi-ld:null'},'scope':"
               "'urn:ngsi-ld:null'}");
    assert_null(
        json_get(json_at(entity_attr(d.after, S(DEFAULT "speed")), 0), S(DEFAULT "accuracy")));
    assert_null(json_get(d.after, S("scope")));
    assert_true(d.scope_changed);
    refused(ENTITY_MERGE_PATCH, v, "{'at':{'value':1}}", ERR_INVALID);
    refused(ENTITY_MERGE_PATCH, v, "{'at':'not a uri'}", ERR_INVALID);
    refused(ENTITY_MERGE_PATCH, v, "{'brandnew':{'unitCode':'C'}}", ERR_INVALID);
}

static void partial(void **state)
{
    (void)state;
    const struct json *v = created(car);
    struct entity_delta d;
    struct error e = {0};
    const struct json *in =
        entity_expand_attr(&arena, S("speed"),
                           J("{'observedAt':'2026-02-02T00:00:00Z','accuracy':{'value':{'z':1}}}"),
                           ENTITY_FRAGMENT, NULL, &e);
    assert_int_equal(entity_apply(&arena, ENTITY_PARTIAL, v, in, t1, &d, &e), OK);
    changed(&d, "~speed");
    assert_tree(
        json_at(entity_attr(d.after, S(DEFAULT "speed")), 0),
        "{'type':'Property','value':50,'observedAt':'2026-02-02T00:00:00Z','unitCode':'KMH',"
        "'createdAt':'" T0 "','modifiedAt':'" T1 "','" DEFAULT
        "accuracy':[{'type':'Property','value':{'z':1},'createdAt':'" T0 "','modifiedAt':'" T1
        "'}]}");

    in = entity_expand_attr(&arena, S("info"), J("{'value':{'a':2}}"), ENTITY_FRAGMENT, NULL, &e);
    assert_int_equal(entity_apply(&arena, ENTITY_PARTIAL, v, in, t1, &d, &e), OK);
    assert_tree(instance_value(json_at(entity_attr(d.after, S(DEFAULT "info")), 0)), "{'a':2}");

    in = entity_expand_attr(&arena, S("load"), J("{'value':7,'datasetId':'urn:d:1'}"),
                            ENTITY_FRAGMENT, NULL, &e);
    assert_int_equal(entity_apply(&arena, ENTITY_PARTIAL, v, in, t1, &d, &e), OK);
    changed(&d, "~load/urn:d:1");

    in = entity_expand_attr(&arena, S("load"), J("{'value':7,'datasetId':'urn:d:2'}"),
                            ENTITY_FRAGMENT, NULL, &e);
    assert_int_equal(entity_apply(&arena, ENTITY_PARTIAL, v, in, t1, &d, &e), ERR_NOT_FOUND);
    assert_int_equal(entity_apply(&arena, ENTITY_REPLACE_ATTR, v, in, t1, &d, &e), ERR_NOT_FOUND);
    in = entity_expand_attr(&arena, S("nothing"), J("{'value':7}"), ENTITY_FRAGMENT, NULL, &e);
    assert_int_equal(entity_apply(&arena, ENTITY_PARTIAL, v, in, t1, &d, &e), ERR_NOT_FOUND);

    in = entity_expand_attr(&arena, S("speed"), J("{'value':7}"), ENTITY_FRAGMENT, NULL, &e);
    assert_int_equal(entity_apply(&arena, ENTITY_REPLACE_ATTR, v, in, t1, &d, &e), OK);
    assert_tree(json_at(entity_attr(d.after, S(DEFAULT "speed")), 0),
                "{'type':'Property','value':7,'createdAt':'" T0 "','modifiedAt':'" T1 "'}");
}

static void deletion(void **state)
{
    (void)state;
    const struct json *v = created(car);
    struct entity_delta d;
    struct error e = {0};
    struct str load = S(DEFAULT "load");
    assert_int_equal(entity_delete_attr(&arena, v, load, STR_NONE, false, t1, &d, &e), OK);
    changed(&d, "-load");
    assert_int_equal(entity_attr(d.after, load)->n, 1);
    assert_text(json_text(json_get(d.after, S("modifiedAt"))), T1);
    const struct json *rest = d.after;
    assert_int_equal(entity_delete_attr(&arena, rest, load, STR_NONE, false, t1, &d, &e),
                     ERR_NOT_FOUND);
    assert_int_equal(entity_delete_attr(&arena, rest, load, S("urn:d:1"), false, t1, &d, &e), OK);
    changed(&d, "-load/urn:d:1");
    assert_null(entity_attr(d.after, load));
    assert_int_equal(entity_delete_attr(&arena, v, load, STR_NONE, true, t1, &d, &e), OK);
    changed(&d, "-load -load/urn:d:1");
    assert_null(entity_attr(d.after, load));
    assert_false(d.types_changed || d.scope_changed);
    assert_int_equal(entity_delete_attr(&arena, v, S(DEFAULT "x"), STR_NONE, true, t1, &d, &e),
                     ERR_NOT_FOUND);
    assert_int_equal(entity_delete_attr(&arena, NULL, load, STR_NONE, true, t1, &d, &e),
                     ERR_NOT_FOUND);
    entity_delete(&arena, v, &d);
    assert_null(d.after);
    changed(&d, "-speed -at -info -name -load -load/urn:d:1");
}

static void growth_is_limited(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    BUF_LIT(&b, "{'id':'urn:x:1','type':'T'");
    for (int i = 0; i < ENTITY_MAX_ATTRS; i++)
        buf_printf(&b, ",'a%d':1", i);
    BUF_LIT(&b, "}");
    const struct json *v = created(b.p);
    buf_release(&b);
    refused(ENTITY_APPEND, v, "{'onemore':1}", ERR_TOO_LARGE);
}

/* An entity whose value has 20000 members; every second one is null when nulls is set. */
static const char *large(int first, bool nulls)
{
    struct buf b = BUF_INIT;
    BUF_LIT(&b, "{'id':'urn:x:1','type':'T','a':{'value':{'k':0");
    for (int i = 0; i < 20000; i++)
        buf_printf(&b, ",'key%d':%s", first + i, nulls && i % 2 ? "'urn:ngsi-ld:null'" : "1");
    BUF_LIT(&b, "}}}");
    struct str text = buf_dup(&b, &arena);
    buf_release(&b);
    return text.p;
}

/* They merge in a time that grows with their size, not with its square. */
static void large_values(void **state)
{
    (void)state;
    const struct json *v = created(large(0, false));
    struct entity_delta d = change(ENTITY_MERGE_PATCH, v, large(10000, true));
    const struct json *value = instance_value(json_at(entity_attr(d.after, S(DEFAULT "a")), 0));
    assert_int_equal(value->n, 1 + 10000 + 10000 / 2 + 10000 / 2);
    assert_non_null(json_get(value, S("key9999")));
    assert_non_null(json_get(value, S("key10000")));
    assert_null(json_get(value, S("key10001")));
    assert_non_null(json_get(value, S("key29998")));
    assert_null(json_get(value, S("key29999")));
}

static void looking(void **state)
{
    (void)state;
    const struct json *v = created(car);
    assert_text(entity_id(v), "urn:x:1");
    assert_true(entity_has_type(v, S(DEFAULT "Car")));
    assert_false(entity_has_type(v, S("Car")));
    assert_null(entity_attr(v, S("scope")));
    assert_tree(instance_value(instance_default(entity_attr(v, S(DEFAULT "load")))), "1");
    assert_true(entity_is_member(S("modifiedAt")));
    assert_false(entity_is_member(S("observedAt")));
    assert_null(instance_value(J("{'type':'deleted'}")));
    assert_null(instance_default(J("[{'datasetId':'urn:d:1'}]")));
}

int main(void)
{
    datetime_parse(S(T0), &t0);
    datetime_parse(S(T1), &t1);
    const struct CMUnitTest tests[] = {
        TEST(creation),        TEST(append),
        TEST(nothing_changes), TEST(update),
        TEST(update_add),      TEST(replace),
        TEST(merge_patch),     TEST(partial),
        TEST(deletion),        TEST(growth_is_limited),
        TEST(looking),         TEST(large_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
