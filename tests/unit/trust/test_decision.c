/*
 * The decision, as tables: what each basis permits, what each missing part of it denies and with
 * which reason, that denies win, and that a second before and a second after an emergency nothing
 * opens.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/clock.h"
#include "trust/decision.h"

#define LIST(...)                                                                                  \
    {                                                                                              \
        (const struct str[]){__VA_ARGS__},                                                         \
            sizeof((const struct str[]){__VA_ARGS__}) / sizeof(struct str), false                  \
    }
#define ALL                                                                                        \
    {                                                                                              \
        NULL, 0, true                                                                              \
    }
#define ANY (struct name_list) ALL

enum { T0 = 1000 };

static struct arena arena = ARENA_INIT;

static const struct category categories[] = {
    {S_INIT("allergy"), S_INIT("clinic"), true, 3},
    {S_INIT("drugs"), S_INIT("pharmacy"), true, 4},
    {S_INIT("roster"), S_INIT("city"), true, 2},
    {S_INIT("wide"), S_INIT("city"), false, 64},
};
static const struct purpose purposes[] = {
    {S_INIT("care"), {0}},
    {S_INIT("care-emergency"), S_INIT("care")},
    {S_INIT("care-emergency-shelter"), S_INIT("care-emergency")},
    {S_INIT("research"), {0}},
    {S_INIT("round"), S_INIT("about")}, /* a cycle */
    {S_INIT("about"), S_INIT("round")},
};
static const struct str recipients[] = {S_INIT("shelter"), S_INIT("hospital"), S_INIT("city-desk")};

static const struct name_list shelter = LIST(S_INIT("shelter"));
static const struct name_list care = LIST(S_INIT("care"));
static const struct name_list both = LIST(S_INIT("allergy"), S_INIT("drugs"));
static const struct name_list areas = LIST(S_INIT("north"), S_INIT("hill"));
static const struct name_list roles = LIST(S_INIT("nurse"), S_INIT("doctor"));
static const struct name_list nurse = LIST(S_INIT("nurse"));
static const struct name_list other = LIST(S_INIT("hospital"));
static const struct name_list research = LIST(S_INIT("research"));
static const struct name_list drugs = LIST(S_INIT("drugs"));
static const struct name_list narrow = LIST(S_INIT("care-emergency"));
static const struct name_list clerk = LIST(S_INIT("clerk"));
static const struct name_list wide = LIST(S_INIT("wide"));

/* Facts that each test changes a little. */
static struct consent consent;
static struct statute statute;
static struct declaration declaration;
static struct declared_category opened;
static struct owner_rule rule;
static struct decision_facts facts;
static struct decision_ask ask;

static int fresh(void **state)
{
    (void)state;
    static const struct str allergy = S_INIT("allergy");
    consent = (struct consent){S("c1"), CONSENT_GIVEN, shelter, care, both, {T0, 0}, ACR_AAL1};
    statute = (struct statute){S("s1"), S("第1条"), shelter, care, both, {T0, 0}, ACR_AAL1};
    opened = (struct declared_category){S("allergy"), S("災害対策基本法49条の11第3項")};
    declaration = (struct declaration){.id = S("d1"),
                                       .activated_by = {S("mayor"), S("chief")},
                                       .active = {T0, T0 + 100},
                                       .areas = areas,
                                       .roles = roles,
                                       .categories = &opened,
                                       .n_categories = 1,
                                       .acr = ACR_AAL2};
    rule = (struct owner_rule){S("r1"), S("clinic"), ALL, ALL, true, 0};
    facts = (struct decision_facts){.categories = categories,
                                    .n_categories = 4,
                                    .purposes = purposes,
                                    .n_purposes = 6,
                                    .recipients = {recipients, 3, false},
                                    .consents = &consent,
                                    .statutes = &statute,
                                    .declarations = &declaration,
                                    .rules = &rule};
    ask = (struct decision_ask){.recipient = S("shelter"),
                                .roles = nurse,
                                .acr = ACR_AAL2,
                                .purpose = S("care"),
                                .categories = &allergy,
                                .n_categories = 1,
                                .at = T0 + 50,
                                .district = S("north"),
                                .declaration = STR_NONE,
                                .reason = S("意識がなく搬送中")};
    return 0;
}

static struct decision_item decided(void)
{
    struct decision_item item = decide(&arena, &facts, &ask)[0];
    /* what always holds */
    assert_int_equal(item.permit, item.reason == REASON_PERMITTED);
    assert_int_equal(item.permit, item.basis != BASIS_NONE);
    assert_int_equal(item.permit, item.fields != 0);
    assert_true(item.duties & DUTY_LOG);
    return item;
}

static void denied(enum decision_reason why)
{
    struct decision_item item = decided();
    if (item.reason != why)
        fail_msg("%s, not %s", decision_reason_name(item.reason), decision_reason_name(why));
}

static void nothing_permits_by_default(void **state)
{
    (void)state;
    denied(REASON_NO_CONSENT);
}

static void consent_permits_what_it_says(void **state)
{
    (void)state;
    facts.n_consents = 1;
    struct decision_item item = decided();
    assert_true(item.permit);
    assert_int_equal(item.basis, BASIS_CONSENT);
    assert_true(str_eq(item.record, S("c1")));
    assert_int_equal(item.fields, 7);
    assert_int_equal(item.duties, DUTY_LOG);
}

static void consent_permits_nothing_else(void **state)
{
    const struct {
        struct name_list recipients, purposes, categories;
    } cases[] = {{other, ALL, ALL}, {ALL, research, ALL}, {ALL, ALL, drugs}};
    (void)state;
    facts.n_consents = 1;
    for (size_t i = 0; i < 3; i++) {
        consent.recipients = cases[i].recipients;
        consent.purposes = cases[i].purposes;
        consent.categories = cases[i].categories;
        denied(REASON_NO_CONSENT);
    }
    fresh(state);
    facts.n_consents = 1;
    consent.state = CONSENT_WITHDRAWN;
    denied(REASON_WITHDRAWN);
    consent.state = CONSENT_SUPERSEDED;
    denied(REASON_NO_CONSENT);
    consent.state = CONSENT_GIVEN;
    consent.valid = (struct period){T0, T0 + 50}; /* ends before its end */
    denied(REASON_NOT_IN_TIME);
    consent.valid = (struct period){T0 + 51, 0};
    denied(REASON_NOT_IN_TIME);
    consent.valid = (struct period){T0 + 50, T0 + 51};
    assert_true(decided().permit);
    consent.acr = ACR_AAL3;
    denied(REASON_ACR_TOO_LOW);
    assert_int_equal(decided().acr, ACR_AAL3);
}

static void a_purpose_is_never_widened(void **state)
{
    (void)state;
    facts.n_consents = 1;
    ask.purpose = S("care-emergency-shelter"); /* a part of what was consented to */
    assert_true(decided().permit);
    consent.purposes = narrow;
    assert_true(decided().permit);
    ask.purpose = S("care");
    denied(REASON_NO_CONSENT);
    ask.purpose = S("research");
    denied(REASON_NO_CONSENT);
    ask.purpose = S("round"); /* a cycle ends */
    denied(REASON_NO_CONSENT);
}

static void what_is_unknown_is_denied(void **state)
{
    static const struct str nothing = S_INIT("nothing");
    (void)state;
    facts.n_consents = 1;
    consent.recipients = consent.purposes = consent.categories = ANY;
    ask.purpose = S("fun");
    denied(REASON_UNKNOWN_PURPOSE);
    ask.purpose = STR_NONE;
    denied(REASON_UNKNOWN_PURPOSE);
    ask.purpose = S("care");
    ask.recipient = S("somebody");
    denied(REASON_UNKNOWN_RECIPIENT);
    ask.recipient = S("shelter");
    ask.categories = &nothing;
    denied(REASON_UNKNOWN_CATEGORY);
}

static void a_refusal_of_the_subject_wins_over_consents(void **state)
{
    struct consent records[2];
    (void)state;
    for (int i = 0; i < 2; i++) { /* whatever the order */
        fresh(state);
        records[i] = consent;
        records[1 - i] = consent;
        records[1 - i].id = S("c2");
        records[1 - i].state = CONSENT_REFUSED;
        facts.consents = records;
        facts.n_consents = 2;
        denied(REASON_SUBJECT_DENIES);
        assert_true(str_eq(decided().record, S("c2")));
        records[1 - i].valid.until = T0 + 50; /* a refusal that has ended */
        assert_true(decided().permit);
    }
    /* a law does not ask */
    records[0].state = records[1].state = CONSENT_REFUSED;
    records[0].valid.until = records[1].valid.until = 0;
    facts.n_statutes = 1;
    assert_int_equal(decided().basis, BASIS_STATUTE);
    statute.acr = ACR_AAL3;
    denied(REASON_SUBJECT_DENIES);
    assert_int_equal(decided().acr, ACR_NONE);
}

static void a_statute_permits_without_consent_and_the_subject_is_told(void **state)
{
    (void)state;
    facts.n_statutes = 1;
    struct decision_item item = decided();
    assert_int_equal(item.basis, BASIS_STATUTE);
    assert_true(str_eq(item.article, S("第1条")));
    assert_int_equal(item.duties, DUTY_LOG | DUTY_NOTIFY_NOW);
    ask.recipient = S("hospital");
    denied(REASON_NO_CONSENT);
    ask.recipient = S("shelter");
    statute.valid.until = T0 + 50;
    denied(REASON_NOT_IN_TIME);
}

static void consent_comes_before_statute(void **state)
{
    (void)state;
    facts.n_consents = facts.n_statutes = facts.n_declarations = 1;
    ask.declaration = S("d1");
    assert_int_equal(decided().basis, BASIS_CONSENT);
    consent.state = CONSENT_WITHDRAWN;
    assert_int_equal(decided().basis, BASIS_STATUTE);
    facts.n_statutes = 0;
    assert_int_equal(decided().basis, BASIS_EMERGENCY);
}

static void an_emergency_opens_for_its_time_and_not_a_moment_longer(void **state)
{
    static const struct {
        int64_t at;
        bool permit;
    } cases[] = {{T0 - 1, false}, {T0, true}, {T0 + 99, true}, {T0 + 100, false}};
    (void)state;
    facts.n_declarations = 1;
    ask.declaration = S("d1");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ask.at = cases[i].at;
        assert_int_equal(decided().permit, cases[i].permit);
        if (!cases[i].permit)
            denied(REASON_NOT_ACTIVE);
    }
    ask.at = T0 + 50;
    declaration.active.until = 0; /* without an end it is none */
    denied(REASON_NOT_ACTIVE);
}

static void an_emergency_needs_all_of_its_parts(void **state)
{
    static const struct str unlisted = S_INIT("drugs");
    (void)state;
    facts.n_declarations = 1;
    ask.declaration = S("d1");
    struct decision_item item = decided();
    assert_int_equal(item.basis, BASIS_EMERGENCY);
    assert_true(str_eq(item.article, S("災害対策基本法49条の11第3項")));
    assert_int_equal(item.duties, DUTY_LOG | DUTY_NOTIFY_AFTER | DUTY_REVIEW);
#define WITHOUT(change, why)                                                                       \
    do {                                                                                           \
        fresh(state);                                                                              \
        facts.n_declarations = 1;                                                                  \
        ask.declaration = S("d1");                                                                 \
        change;                                                                                    \
        denied(why);                                                                               \
    } while (0)
    WITHOUT(ask.declaration = STR_NONE, REASON_NO_CONSENT);
    WITHOUT(ask.declaration = S("d2"), REASON_NOT_DECLARED);
    WITHOUT(declaration.activated_by[1] = STR_NONE, REASON_NOT_DECLARED);
    WITHOUT(declaration.activated_by[1] = S("mayor"), REASON_NOT_DECLARED);
    WITHOUT(ask.district = S("south"), REASON_OUTSIDE_AREA);
    WITHOUT(ask.district = STR_NONE, REASON_OUTSIDE_AREA);
    WITHOUT(ask.roles = clerk, REASON_ROLE_MISSING);
    WITHOUT(ask.roles.n = 0, REASON_ROLE_MISSING);
    WITHOUT(ask.reason = S("  "), REASON_NO_WORDS);
    WITHOUT(ask.reason = STR_NONE, REASON_NO_WORDS);
    WITHOUT(ask.acr = ACR_AAL1, REASON_ACR_TOO_LOW);
    WITHOUT(ask.categories = &unlisted, REASON_NOT_LISTED);
    WITHOUT(opened.article = STR_NONE, REASON_NOT_LISTED);
    WITHOUT((declaration.acr = ACR_NONE, ask.acr = ACR_AAL1), REASON_ACR_TOO_LOW);
    assert_int_equal(decided().acr, ACR_AAL2);
    WITHOUT((declaration.areas = ANY, ask.district = STR_NONE), REASON_OUTSIDE_AREA);
}

static void the_owner_only_narrows(void **state)
{
    (void)state;
    facts.n_consents = facts.n_statutes = facts.n_declarations = facts.n_rules = 1;
    ask.declaration = S("d1");
    denied(REASON_OWNER_DENIES);
    assert_true(str_eq(decided().record, S("r1")));
    rule.deny = false;
    rule.fields = 5;
    assert_int_equal(decided().fields, 5);
    rule.fields = ~(field_mask)0; /* more than there are fields */
    assert_int_equal(decided().fields, 7);
    rule.fields = 8;
    denied(REASON_NOTHING_LEFT);
    rule.owner = S("pharmacy"); /* speaks for its own data only */
    assert_int_equal(decided().fields, 7);
    facts.n_consents = facts.n_statutes = facts.n_declarations = 0;
    ask.declaration = STR_NONE;
    rule = (struct owner_rule){S("r1"), S("clinic"), ALL, ALL, false, 7};
    denied(REASON_NO_CONSENT); /* a rule permits nothing by itself */
}

static void several_rules_meet(void **state)
{
    struct owner_rule rules[3];
    (void)state;
    facts.n_consents = 1;
    for (int i = 0; i < 3; i++)
        rules[i] = (struct owner_rule){S("r"), S("clinic"), ALL, ALL, false, 7};
    facts.rules = rules;
    facts.n_rules = 3;
    rules[0].fields = 6;
    rules[2].fields = 3;
    assert_int_equal(decided().fields, 2);
    rules[2].deny = true;
    rules[2].id = S("last");
    denied(REASON_OWNER_DENIES);
    assert_true(str_eq(decided().record, S("last")));
}

static void each_category_is_decided_by_itself(void **state)
{
    static const struct str asked[] = {S_INIT("roster"), S_INIT("allergy"), S_INIT("nothing"),
                                       S_INIT("wide")};
    (void)state;
    facts.n_consents = facts.n_statutes = 1;
    statute.categories = wide;
    ask.categories = asked;
    ask.n_categories = 4;
    struct decision_item *items = decide(&arena, &facts, &ask);
    assert_int_equal(items[0].reason, REASON_NO_CONSENT);
    assert_int_equal(items[1].basis, BASIS_CONSENT);
    assert_int_equal(items[2].reason, REASON_UNKNOWN_CATEGORY);
    assert_int_equal(items[3].basis, BASIS_STATUTE);
    assert_true(items[3].fields == ~(field_mask)0);
    for (size_t i = 0; i < 4; i++)
        assert_true(str_eq(items[i].category, asked[i]));
}

static void the_nearest_miss_is_told(void **state)
{
    struct consent two[2];
    (void)state;
    two[0] = two[1] = consent;
    two[0].acr = ACR_AAL3;
    two[0].id = S("c3");
    two[1].state = CONSENT_WITHDRAWN;
    facts.consents = two;
    facts.n_consents = 2;
    denied(REASON_ACR_TOO_LOW);
    assert_true(str_eq(decided().record, S("c3")));
    ask.acr = ACR_AAL1;
    two[1] = two[0];
    two[1].acr = ACR_AAL2;
    two[1].id = S("c2"); /* the lower of two that would do */
    assert_int_equal(decided().acr, ACR_AAL2);
    assert_true(str_eq(decided().record, S("c2")));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, fresh)
    const struct CMUnitTest tests[] = {
        T(nothing_permits_by_default),
        T(consent_permits_what_it_says),
        T(consent_permits_nothing_else),
        T(a_purpose_is_never_widened),
        T(what_is_unknown_is_denied),
        T(a_refusal_of_the_subject_wins_over_consents),
        T(a_statute_permits_without_consent_and_the_subject_is_told),
        T(consent_comes_before_statute),
        T(an_emergency_opens_for_its_time_and_not_a_moment_longer),
        T(an_emergency_needs_all_of_its_parts),
        T(the_owner_only_narrows),
        T(several_rules_meet),
        T(each_category_is_decided_by_itself),
        T(the_nearest_miss_is_told),
    };
    int failed = cmocka_run_group_tests_name("trust/decision", tests, NULL, NULL);
    arena_release(&arena);
    return failed;
}
