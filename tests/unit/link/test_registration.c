/*
 * Registrations: what may be said, what is matched with which part, in what order; versions of an
 * entity made one (clauses 4.3.6, 4.5.5, 5.2.9, 5.12).
 */
#include "distribute_read.h"
#include "outbox_lab.h"
#include "registration_impl.h"

static const struct json *stored(struct lab *l, const char *text)
{
    struct error e = {0};
    const struct json *doc = reg_expand(&l->arena, lab_json(l, text), false, ld_core(), &e);
    if (!doc || reg_check(doc, &e))
        fail_msg("%s: %s", text, e.text);
    return doc;
}

#define HEAD "'type':'ContextSourceRegistration','endpoint':'http://h/'"

static void add(struct lab *l, int64_t rid, const char *text)
{
    struct error e = {0};
    struct reg_source src = {.tenant = 1, .rid = rid, .version = rid, .doc = stored(l, text)};
    struct json *with = ARENA_NEW(&l->arena, struct json);
    *with = json_with(&l->arena, src.doc, S("id"),
                      json_v_str(str_printf(&l->arena, "urn:r:%lld", (long long)rid)));
    src.doc = with;
    struct registration *reg = reg_make(l->link.registrations, &src, NULL, &e);
    assert_non_null(reg);
    reg_put(l->link.registrations, reg);
}

static int open_all(void **state)
{
    struct error e = {0};
    int rc = lab_open(state);
    struct lab *l = *state;
    struct pool *pool = l->link.pool;
    l->link.pool = NULL; /* without jobs */
    l->link.registrations = registrations_new(&l->link, &e);
    l->link.pool = pool;
    assert_non_null(l->link.registrations);
    return rc;
}

static int close_all(void **state)
{
    struct lab *l = *state;
    registrations_free(l->link.registrations);
    return lab_close(state);
}

static struct str iri(struct lab *l, const char *name)
{
    return ld_expand(ld_core(), &l->arena, str_c(name));
}

static struct reg_parts match(struct lab *l, struct reg_ask ask)
{
    struct reg_parts parts;
    struct error e = {0};
    ask.tenant = 1;
    if (registrations_match(l->link.registrations, &l->arena, &ask, &parts, &e))
        fail_msg("%s", e.text);
    return parts;
}

static void exclusive_ones_come_first_and_take_their_attributes(void **state)
{
    struct lab *l = *state;
    struct str id = S("urn:x:1"), asked[] = {iri(l, "a"), iri(l, "b"), iri(l, "c")};
    add(l, 1, "{" HEAD ",'mode':'auxiliary','information':[{'entities':[{'type':'T'}]}]}");
    add(l, 2, "{" HEAD ",'information':[{'entities':[{'type':'T'}]}]}");
    add(l, 3,
        "{" HEAD ",'mode':'redirect','information':[{'entities':[{'type':'T'}],"
        "'propertyNames':['b']}]}");
    add(l, 4,
        "{" HEAD ",'mode':'redirect','information':[{'entities':[{'type':'T'}],"
        "'propertyNames':['b']}]}");
    add(l, 5,
        "{" HEAD ",'mode':'exclusive','operations':['updateOps'],'information':[{'entities':"
        "[{'type':'T','id':'urn:x:1'}],'propertyNames':['a']}]}");
    struct reg_ask ask = {
        .op = REG_RETRIEVE_ENTITY, .ids = &id, .n_ids = 1, .attrs = asked, .n_attrs = 3};
    struct reg_parts p = match(l, ask);
    static const int64_t order[] = {5, 3, 4, 2, 1};
    static const char *const attrs[] = {"a", "b", "b", "c", "c"};
    assert_int_equal(p.n, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(p.v[i].reg->rid, order[i]);
        assert_int_equal(p.v[i].n_attrs, 1);
        assert_true(str_eq(p.v[i].attrs[0], iri(l, attrs[i])));
        assert_int_equal(p.v[i].supported, order[i] != 5);
    }
    assert_int_equal(p.n_left, 1);
    assert_true(str_eq(p.left[0], iri(l, "c")));
    registrations_release(&p);
    ask.via = S("1.1 nobody, 1.1 somebody (a comment)");
    p = match(l, ask);
    assert_int_equal(p.n, 5);
    registrations_release(&p);
}

static void a_part_says_what_to_ask_for(void **state)
{
    struct lab *l = *state;
    struct str ids[] = {S("urn:x:1"), S("urn:x:2"), S("urn:y:3")}, type = iri(l, "T");
    add(l, 1,
        "{" HEAD ",'contextSourceAlias':'me','information':[{'entities':[{'type':'T','id':"
        "'urn:x:1'},{'type':'T','idPattern':'^urn:y'}]},{'entities':[{'type':'U'}]}]}");
    struct reg_ask ask = {.ids = ids, .n_ids = 3, .type_names = &type, .n_type_names = 1};
    struct reg_parts p = match(l, ask);
    assert_int_equal(p.n, 1);
    assert_int_equal(p.v[0].n_ids, 2);
    assert_true(str_eq(p.v[0].ids[0], ids[0]) && str_eq(p.v[0].ids[1], ids[2]));
    assert_true(p.v[0].n_types == 1 && str_eq(p.v[0].types[0], type));
    assert_true(reg_part_covers(&p.v[0], S("urn:y:9"), NULL, iri(l, "any")));
    assert_false(reg_part_covers(&p.v[0], ids[1], NULL, STR_NONE));
    registrations_release(&p);
    ask.via = S("1.1 a, 1.1 me");
    assert_int_equal(match(l, ask).n, 0);
    struct reg_ask all = {0};
    p = match(l, all);
    assert_int_equal(p.n, 2);
    registrations_release(&p);
    struct reg_ask expired = {.op = REG_CREATE_ENTITY};
    assert_int_equal(match(l, expired).n, 0); /* not one of federationOps */
}

/* The list holds what was put in, whatever came before. */
static void thousands_cost_those_that_match(void **state)
{
    struct lab *l = *state;
    for (int i = 1; i <= 3000; i++) {
        char text[256];
        snprintf(text, sizeof(text),
                 "{" HEAD ",'information':[{'entities':[{'type':'T%d','id':'urn:x:%d'}]}]}", i, i);
        add(l, i, text);
    }
    struct str id = S("urn:x:77"), other = S("urn:y:1"), type = iri(l, "T99");
    struct reg_list found;
    struct reg_ask ask = {.tenant = 1, .ids = &id, .n_ids = 1};
    reg_candidates(l->link.registrations, &l->arena, &ask, &found);
    assert_int_equal(found.n, 1); /* the index, not a walk */
    reg_list_release(&found);
    ask.ids = &other;
    reg_candidates(l->link.registrations, &l->arena, &ask, &found);
    assert_int_equal(found.n, 0);
    struct reg_ask typed = {.tenant = 1, .type_names = &type, .n_type_names = 1};
    reg_candidates(l->link.registrations, &l->arena, &typed, &found);
    assert_int_equal(found.n, 1);
    reg_list_release(&found);
    for (int i = 1; i <= 3000; i += 2)
        reg_drop(l->link.registrations, 1, str_printf(&l->arena, "urn:r:%d", i), 5000);
    reg_all(l->link.registrations, &l->arena, 1, &found);
    assert_int_equal(found.n, 1500);
    reg_list_release(&found);
    reg_candidates(l->link.registrations, &l->arena, &typed, &found);
    assert_int_equal(found.n, 0);
    assert_true(registrations_any(l->link.registrations, 1));
    assert_false(registrations_any(l->link.registrations, 2));
    assert_false(registrations_any(NULL, 1));
}

/* --- merging --- */

struct version {
    const char *text;
    enum reg_mode mode;
};

static void is_merged(struct lab *l, const struct version *v, size_t n, const char *expected)
{
    struct merge_version list[4];
    int64_t now;
    assert_true(datetime_parse(S("2026-06-01T00:00:00Z"), &now));
    for (size_t i = 0; i < n; i++)
        list[i] = (struct merge_version){lab_json(l, v[i].text), v[i].mode, i};
    const struct json *out = merge_versions(&l->arena, list, n, now, NULL, NULL);
    const struct json *want = expected ? lab_json(l, expected) : NULL;
    if (!want != !out || (want && !json_equal(want, out, true)))
        fail_msg("%" STR_F "\nis not %s", STR_A(out ? json_to_text(&l->arena, out) : S("nothing")),
                 expected ? expected : "nothing");
}

#define E          "'id':'urn:x','type':['urn:T']"
#define P(v, more) "{'type':'Property','value':" v more "}"
#define OBS(t)     ",'observedAt':'" t "'"
#define MOD(t)     ",'modifiedAt':'" t "'"

static void versions_become_one(void **state)
{
    struct lab *l = *state;
    const char old[] = "2026-01-01T00:00:00Z";
    (void)old;
    is_merged(l,
              (struct version[]){{"{" E ",'urn:a':[" P("1", OBS("2026-01-01T00:00:00Z")) "]}", 0},
                                 {"{" E ",'urn:a':[" P("2", OBS("2026-01-02T00:00:00Z")) "]}", 0}},
              2, "{" E ",'urn:a':[" P("2", OBS("2026-01-02T00:00:00Z")) "]}");
    is_merged(l,
              (struct version[]){{"{" E ",'urn:a':[" P("1", MOD("2026-01-03T00:00:00Z")) "]}", 0},
                                 {"{" E ",'urn:a':[" P("2", MOD("2026-01-02T00:00:00Z")) "]}", 0}},
              2, "{" E ",'urn:a':[" P("1", MOD("2026-01-03T00:00:00Z")) "]}");
    is_merged(l,
              (struct version[]){{"{" E ",'urn:a':[" P("1", "") "]}", REG_INCLUSIVE},
                                 {"{" E ",'urn:a':[" P("2", "") "],'urn:b':[" P("3", "") "]}",
                                  REG_AUXILIARY}},
              2, "{" E ",'urn:a':[" P("1", "") "],'urn:b':[" P("3", "") "]}");
    is_merged(l,
              (struct version[]){{"{" E ",'urn:a':[" P("1", OBS("2026-05-01T00:00:00Z")) "]}", 0},
                                 {"{" E ",'urn:a':[" P("2", OBS("2020-01-01T00:00:00Z")) "]}",
                                  REG_EXCLUSIVE}},
              2, "{" E ",'urn:a':[" P("2", OBS("2020-01-01T00:00:00Z")) "]}");
    is_merged(l,
              (struct version[]){{"{" E ",'urn:a':[" P("1", ",'datasetId':'urn:d'") "]}", 0},
                                 {"{'id':'urn:x','type':['urn:U'],'urn:a':[" P("2", "") "]}", 0}},
              2,
              "{'id':'urn:x','type':['urn:T','urn:U'],'urn:a':[" P("2", "") "," P(
                  "1", ",'datasetId':'urn:d'") "]}");
}

/* Clause 4.5.5.2: what one version says expires does so attribute by attribute. */
static void transient_versions(void **state)
{
    struct lab *l = *state;
    is_merged(l,
              (struct version[]){
                  {"{" E ",'expiresAt':'2026-01-01T00:00:00Z','urn:a':[" P("1", "") "]}", 0}},
              1, NULL);
    is_merged(l,
              (struct version[]){
                  {"{" E ",'expiresAt':'2027-01-01T00:00:00Z','urn:a':[" P("1", "") "]}", 0},
                  {"{" E ",'urn:b':[" P("2", "") "]}", 0}},
              2,
              "{" E
              ",'urn:a':[" P("1", ",'expiresAt':'2027-01-01T00:00:00Z'") "],'urn:b':[" P("2",
                                                                                         "") "]}");
    is_merged(l,
              (struct version[]){{"{" E ",'expiresAt':'2027-01-01T00:00:00Z'}", 0},
                                 {"{" E ",'expiresAt':'2028-01-01T00:00:00Z'}", 0}},
              2, "{" E ",'expiresAt':'2028-01-01T00:00:00Z'}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, open_all, close_all)
        T(exclusive_ones_come_first_and_take_their_attributes),
        T(a_part_says_what_to_ask_for),
        T(thousands_cost_those_that_match),
        T(versions_become_one),
        T(transient_versions),
#undef T
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
