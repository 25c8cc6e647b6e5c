/*
 * The decision about access as a pure function: a table of policies, cases and verdicts; what shows
 * of an entity; what the view of types says; which changes are refused.
 */
#include "ld_test.h"

#include "access_impl.h"
#include <pthread.h>

static pthread_mutex_t q_lock = PTHREAD_MUTEX_INITIALIZER;

/* Names in rules and marks are as they stand: a type is "T", an attribute "a". */
struct reader {
    const char *rules, *personal, *actor;
    unsigned open;
};

static const struct access_view *view_of(const struct reader *r)
{
    struct access_view *v = ARENA_NEW(&arena, struct access_view);
    struct access_marks *marks = ARENA_NEW(&arena, struct access_marks);
    struct json *doc = ARENA_NEW(&arena, struct json);
    access_rules rules = VEC_INIT;
    VEC(const struct access_rule *) list = VEC_INIT;
    *doc = json_with(&arena, J("{}"), S("rules"), *J(r->rules));
    access_policy_compile(&arena, S("p"), doc, NULL, &q_lock, &rules);
    for (size_t i = 0; i < rules.n; i++)
        *vec_push(&arena, &list) = &rules.v[i];
    *marks = access_marks_of(&arena, J(r->personal ? r->personal : "{}"));
    *v = (struct access_view){.actor = str_c(r->actor),
                              .rules = list.v,
                              .n_rules = list.n,
                              .personal = marks,
                              .open = r->open};
    access_view_finish(v);
    return v;
}

static const char entity[] = "{'id':'urn:x:1','type':['T'],'scope':['/a/b'],'createdAt':'t',"
                             "'a':[{'type':'Property','value':1}],"
                             "'b':[{'type':'Property','value':2}],"
                             "'" NGSI "default-context/n':[{'type':'Property','value':7}],"
                             "'@creator':'key:me'}";

enum { OPEN = ACCESS_READ | ACCESS_WRITE | ACCESS_SUBSCRIBE };

static const struct decision {
    const char *what;
    struct reader reader;
    const char *attr; /* NULL: the entity */
    enum access_right right;
    bool allowed;
    enum access_why why;
} decisions[] = {
    {"nothing said, open", {"[]", NULL, NULL, OPEN}, "a", ACCESS_READ, true, WHY_OPEN},
    {"nothing said, closed", {"[]", NULL, NULL, 0}, "a", ACCESS_READ, false, WHY_CLOSED},
    {"a key may read but not write",
     {"[]", NULL, NULL, ACCESS_READ},
     NULL,
     ACCESS_WRITE,
     false,
     WHY_CLOSED},
    {"an allow rule", {"[{'rights':['read']}]", NULL, NULL, 0}, "a", ACCESS_READ, true, WHY_RULE},
    {"of another right",
     {"[{'rights':['write']}]", NULL, NULL, 0},
     "a",
     ACCESS_READ,
     false,
     WHY_CLOSED},
    {"of another type",
     {"[{'rights':['read'],'types':['U']}]", NULL, NULL, 0},
     "a",
     ACCESS_READ,
     false,
     WHY_CLOSED},
    {"of the type",
     {"[{'rights':['read'],'types':['U','T']}]", NULL, NULL, 0},
     "a",
     ACCESS_READ,
     true,
     WHY_RULE},
    {"deny wins over a later allow",
     {"[{'effect':'deny','rights':['read']},{'rights':['read']}]", NULL, NULL, OPEN},
     "a",
     ACCESS_READ,
     false,
     WHY_RULE},
    {"deny wins over an earlier allow",
     {"[{'rights':['read']},{'effect':'deny','rights':['read'],'attrs':['a']}]", NULL, NULL, OPEN},
     "a",
     ACCESS_READ,
     false,
     WHY_RULE},
    {"a deny of one attribute leaves the others",
     {"[{'effect':'deny','rights':['read'],'attrs':['a']}]", NULL, NULL, OPEN},
     "b",
     ACCESS_READ,
     true,
     WHY_OPEN},
    {"a deny of one attribute leaves the entity",
     {"[{'effect':'deny','rights':['read'],'attrs':['a']}]", NULL, NULL, OPEN},
     NULL,
     ACCESS_READ,
     true,
     WHY_OPEN},
    {"a deny of the entity takes all attributes, even an allowed one",
     {"[{'effect':'deny','rights':['read'],'types':['T']},{'rights':['read'],'attrs':['a']}]", NULL,
      NULL, OPEN},
     "a",
     ACCESS_READ,
     false,
     WHY_RULE},
    {"personal is closed",
     {"[]", "{'types':['T']}", NULL, OPEN},
     "a",
     ACCESS_READ,
     false,
     WHY_PERSONAL},
    {"a rule for everything does not open what is personal",
     {"[{'rights':['read','write']}]", "{'types':['T']}", NULL, OPEN},
     "a",
     ACCESS_READ,
     false,
     WHY_PERSONAL},
    {"a rule that names the type does",
     {"[{'rights':['read'],'types':['T']}]", "{'types':['T']}", NULL, 0},
     "a",
     ACCESS_READ,
     true,
     WHY_RULE},
    {"for its attributes only",
     {"[{'rights':['read'],'types':['T'],'attrs':['b']}]", "{'types':['T']}", NULL, OPEN},
     "a",
     ACCESS_READ,
     false,
     WHY_PERSONAL},
    {"a personal attribute",
     {"[]", "{'attrs':['a']}", NULL, OPEN},
     "a",
     ACCESS_READ,
     false,
     WHY_PERSONAL},
    {"a personal attribute needs its name in the rule",
     {"[{'rights':['read'],'types':['T']}]", "{'attrs':['a']}", NULL, OPEN},
     "a",
     ACCESS_READ,
     false,
     WHY_PERSONAL},
    {"a personal attribute that is named",
     {"[{'rights':['read'],'attrs':['a']}]", "{'attrs':['a']}", NULL, 0},
     "a",
     ACCESS_READ,
     true,
     WHY_RULE},
    {"the admin right opens what is personal",
     {"[{'rights':['admin']}]", "{'types':['T']}", NULL, 0},
     "a",
     ACCESS_WRITE,
     true,
     WHY_ADMIN},
    {"my own",
     {"[{'rights':['write'],'own':true}]", NULL, "key:me", 0},
     NULL,
     ACCESS_WRITE,
     true,
     WHY_RULE},
    {"somebody else's",
     {"[{'rights':['write'],'own':true}]", NULL, "key:you", 0},
     NULL,
     ACCESS_WRITE,
     false,
     WHY_CLOSED},
    {"nobody owns nothing",
     {"[{'rights':['write'],'own':true}]", NULL, NULL, 0},
     NULL,
     ACCESS_WRITE,
     false,
     WHY_CLOSED},
    {"a scope that holds",
     {"[{'rights':['read'],'scope':'/a/#'}]", NULL, NULL, 0},
     "a",
     ACCESS_READ,
     true,
     WHY_RULE},
    {"a scope that does not",
     {"[{'rights':['read'],'scope':'/c'}]", NULL, NULL, 0},
     "a",
     ACCESS_READ,
     false,
     WHY_CLOSED},
    {"a query that holds",
     {"[{'rights':['read'],'q':'n==7'}]", NULL, NULL, 0},
     "a",
     ACCESS_READ,
     true,
     WHY_RULE},
    {"a query that does not",
     {"[{'rights':['read'],'q':'n>7'}]", NULL, NULL, 0},
     "a",
     ACCESS_READ,
     false,
     WHY_CLOSED},
    {"a broken condition does not allow",
     {"[{'rights':['read'],'q':'(('}]", NULL, NULL, 0},
     "a",
     ACCESS_READ,
     false,
     WHY_CLOSED},
    {"a broken condition denies",
     {"[{'effect':'deny','rights':['read'],'q':'(('}]", NULL, NULL, OPEN},
     "a",
     ACCESS_READ,
     false,
     WHY_RULE},
    {"a condition in a context that is gone denies",
     {"[{'effect':'deny','rights':['read'],'q':'n==8','context':'http://gone.example/'}]", NULL,
      NULL, OPEN},
     "a",
     ACCESS_READ,
     false,
     WHY_RULE},
};

static void test_decisions(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(decisions) / sizeof(decisions[0]); i++) {
        const struct decision *d = &decisions[i];
        struct access_verdict v =
            access_decide(view_of(&d->reader), d->right, J(entity), NULL, str_c(d->attr));
        if (v.allowed != d->allowed || v.why != d->why)
            fail_msg("%s: %d, why %d", d->what, v.allowed, (int)v.why);
    }
}

/* What shows of the entity, as names of its attributes; "-": it is not there. */
static const struct sight {
    struct reader reader;
    const char *shown;
    enum access_sight by_type;
} sights[] = {
    {{"[]", NULL, NULL, OPEN}, "abn", SIGHT_ALL},
    {{"[]", NULL, NULL, 0}, "-", SIGHT_NONE},
    {{"[{'rights':['read']}]", NULL, NULL, 0}, "abn", SIGHT_ALL},
    {{"[{'rights':['read'],'types':['U']}]", NULL, NULL, 0}, "-", SIGHT_NONE},
    {{"[{'rights':['read'],'attrs':['a']}]", NULL, NULL, 0}, "a", SIGHT_SOME},
    {{"[{'rights':['read'],'attrs':['z']}]", NULL, NULL, 0}, "-", SIGHT_SOME},
    {{"[{'effect':'deny','rights':['read'],'attrs':['a','b']}]", NULL, NULL, OPEN},
     "n",
     SIGHT_SOME},
    {{"[{'effect':'deny','rights':['read'],'types':['U']}]", NULL, NULL, OPEN}, "abn", SIGHT_ALL},
    {{"[{'effect':'deny','rights':['read'],'types':['T']}]", NULL, NULL, OPEN}, "-", SIGHT_SOME},
    {{"[{'rights':['read'],'own':true}]", NULL, "key:me", 0}, "abn", SIGHT_SOME},
    {{"[{'rights':['read'],'own':true}]", NULL, "key:you", 0}, "-", SIGHT_SOME},
    {{"[]", "{'types':['T']}", NULL, OPEN}, "-", SIGHT_NONE},
    {{"[]", "{'types':['U']}", NULL, OPEN}, "abn", SIGHT_ALL},
    {{"[]", "{'attrs':['b']}", NULL, OPEN}, "an", SIGHT_SOME},
};

static void test_sights(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(sights) / sizeof(sights[0]); i++) {
        const struct access_view *v = view_of(&sights[i].reader);
        const struct json *stored = J(entity), *shown = access_see(v, &arena, stored);
        char names[8] = "-";
        size_t n = 0;
        for (uint32_t k = 0; shown && k < shown->n; k++) {
            struct str key = json_key(&shown->members[k]);
            if (!entity_is_member(key))
                names[n++] = key.p[key.n - 1];
        }
        names[shown ? n : 1] = '\0';
        if (strcmp(names, sights[i].shown))
            fail_msg("sight %zu: %s instead of %s", i, names, sights[i].shown);
        assert_int_equal(access_sight(v, entity_types(stored)), sights[i].by_type);
        /* what types alone tell is never more than what the entity tells */
        if (sights[i].by_type == SIGHT_ALL)
            assert_ptr_equal(shown, stored);
        if (sights[i].by_type == SIGHT_NONE)
            assert_null(shown);
    }
}

/* Of an entity whose state is not known conditions count against the reader. */
static void test_unknown_state(void **state)
{
    const struct json *types = J("['T']");
    struct reader own = {"[{'rights':['read'],'own':true}]", NULL, "key:me", 0};
    struct reader typed = {"[{'rights':['read'],'types':['T']}]", NULL, NULL, 0};
    struct reader denied = {"[{'effect':'deny','rights':['read'],'q':'n==1'}]", NULL, NULL, OPEN};
    struct reader marked = {"[]", "{'types':['P']}", NULL, OPEN};
    (void)state;
    assert_false(access_sees(view_of(&own), NULL, types, S("a")));
    assert_true(access_sees(view_of(&typed), NULL, types, S("a")));
    assert_false(access_sees(view_of(&typed), NULL, NULL, S("a")));
    assert_false(access_sees(view_of(&denied), NULL, types, S("a")));
    assert_false(access_sees(view_of(&marked), NULL, NULL, S("a")));
    assert_true(access_sees(view_of(&marked), NULL, types, S("a")));
}

static enum err change(const struct reader *r, const char *before, const char *after,
                       const char *attr)
{
    struct attr_change ch = {.attr = str_c(attr)};
    return access_change(view_of(r), before ? J(before) : NULL, after ? J(after) : NULL, &ch,
                         attr != NULL, NULL);
}

static void test_changes(void **state)
{
    static const char moved[] = "{'id':'urn:x:1','type':['T'],'scope':['/c'],'a':[{'type':"
                                "'Property','value':1}],'@creator':'key:me'}";
    static const char there[] = "{'id':'urn:x:1','type':['T'],'scope':['/a'],'a':[{'type':"
                                "'Property','value':1}],'@creator':'key:me'}";
    struct reader one = {"[{'rights':['write'],'types':['T'],'attrs':['a']}]", NULL, NULL,
                         ACCESS_READ};
    struct reader scoped = {"[{'rights':['write'],'scope':'/a/#'}]", NULL, NULL, ACCESS_READ};
    struct reader blind = {"[{'effect':'deny','rights':['read'],'types':['T']}]", NULL, NULL,
                           ACCESS_READ};
    struct reader mine = {"[{'rights':['write','read'],'own':true}]", NULL, "key:you", 0};
    (void)state;
    assert_int_equal(change(&one, there, there, "a"), OK);
    assert_int_equal(change(&one, there, there, "b"), ERR_FORBIDDEN);
    assert_int_equal(change(&one, there, moved, "a"), ERR_FORBIDDEN); /* another scope */
    assert_int_equal(change(&one, NULL, there, "a"), ERR_FORBIDDEN);
    assert_int_equal(change(&one, there, NULL, NULL), ERR_FORBIDDEN);
    /* the condition must hold before and after */
    assert_int_equal(change(&scoped, there, there, "a"), OK);
    assert_int_equal(change(&scoped, there, moved, "a"), ERR_FORBIDDEN);
    assert_int_equal(change(&scoped, moved, there, "a"), ERR_FORBIDDEN);
    /* what they may not know of is not there */
    assert_int_equal(change(&blind, there, NULL, NULL), ERR_NOT_FOUND);
    assert_int_equal(change(&mine, there, there, "a"), ERR_NOT_FOUND);
}

static void test_creator(void **state)
{
    const struct json *plain = J("{'id':'urn:x:1','type':['T']}");
    const struct json *signed_by = access_signed(&arena, NULL, plain, S("key:me"));
    (void)state;
    assert_true(str_eq(json_text(json_get(signed_by, S(ACCESS_CREATOR))), S("key:me")));
    assert_ptr_equal(access_signed(&arena, NULL, plain, STR_NONE), plain);
    const struct json *later = access_signed(&arena, signed_by, plain, S("key:you"));
    assert_true(str_eq(json_text(json_get(later, S(ACCESS_CREATOR))), S("key:me")));
    assert_ptr_equal(access_signed(&arena, plain, plain, S("key:you")), plain);
    assert_null(access_signed(&arena, signed_by, NULL, S("key:you")));
}

static void test_events(void **state)
{
    struct reader hides = {"[{'effect':'deny','rights':['read'],'attrs':['a']}]", NULL, NULL, OPEN};
    struct reader mute = {"[]", NULL, NULL, ACCESS_READ};
    struct reader all = {"[]", NULL, NULL, OPEN};
    struct attr_change list[2] = {{.attr = S("a")}, {.attr = S("b")}};
    struct entity_event ev = {.op = EVENT_UPDATED, .doc = J(entity), .changes = {list, 1, 1}};
    (void)state;
    assert_ptr_equal(access_event(view_of(&all), &arena, &ev), &ev);
    assert_null(access_event(view_of(&mute), &arena, &ev));
    assert_null(access_event(view_of(&hides), &arena, &ev)); /* nothing of it is left */
    ev.changes.n = 2;
    const struct entity_event *heard = access_event(view_of(&hides), &arena, &ev);
    assert_non_null(heard);
    assert_int_equal(heard->changes.n, 1);
    assert_true(str_eq(heard->changes.v[0].attr, S("b")));
    assert_null(json_get(heard->doc, S("a")));
    ev.op = EVENT_DELETED;
    assert_int_equal(access_event(view_of(&hides), &arena, &ev)->changes.n, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_decisions),     TEST(test_sights),
                                       TEST(test_unknown_state), TEST(test_changes),
                                       TEST(test_creator),       TEST(test_events)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
