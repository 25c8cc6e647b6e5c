/*
 * Delegations: a minor's guardian until the eighteenth birthday, an adult's only with a proof,
 * others by a code that works once; what they let somebody do, and when they end.
 */
#include "accounts.h"
#include "trust/delegation.h"

struct doing {
    struct delegation d;
    struct str proof, code;
    int64_t by;
    bool staff;
};

static enum err apply_record(struct store_conn *c, void *ctx, struct error *e)
{
    struct doing *x = ctx;
    return delegation_record(&trust, c, &x->d, x->proof, 7, e);
}

static enum err apply_offer(struct store_conn *c, void *ctx, struct error *e)
{
    struct doing *x = ctx;
    return delegation_offer(&trust, c, &arena, &x->d, &x->code, e);
}

static enum err apply_accept(struct store_conn *c, void *ctx, struct error *e)
{
    struct doing *x = ctx;
    return delegation_accept(&trust, c, &arena, x->by, x->code, e);
}

static enum err apply_end(struct store_conn *c, void *ctx, struct error *e)
{
    struct doing *x = ctx;
    return delegation_end(&trust, c, x->d.id, x->by, x->staff, e);
}

static bool allowed(int64_t agent, int64_t principal, unsigned scope)
{
    bool yes = false;
    struct error e = {0};
    struct store_conn *c = reader();
    assert_int_equal(delegation_allows(&trust, c, agent, principal, scope, &yes, &e), OK);
    store_read_done(c);
    return yes;
}

static size_t listed(int64_t account, bool as_agent, struct delegation *first)
{
    const struct delegation *list;
    size_t n = 0;
    struct error e = {0};
    struct store_conn *c = reader();
    assert_int_equal(delegation_list(&trust, c, &arena, account, as_agent, &list, &n, &e), OK);
    store_read_done(c);
    if (n)
        *first = list[0];
    return n;
}

/* It is 2023-11-15T07:13:20 in Japan. */
static void a_minors_guardian_until_eighteen(void **state)
{
    int64_t parent = make_account("parent", "1980-01-02"),
            child = make_account("child", "2005-11-17"),
            grown = make_account("grown", "2005-11-15");
    struct doing x = {.d = {.principal = child,
                            .agent = parent,
                            .kind = DELEGATION_MINOR,
                            .scope = SCOPE_READ | SCOPE_APPLY}};
    struct delegation d;
    (void)state;
    assert_int_equal(change(apply_record, &x), OK);
    assert_true(allowed(parent, child, SCOPE_READ));
    assert_true(allowed(parent, child, SCOPE_READ | SCOPE_APPLY));
    assert_false(allowed(parent, child, SCOPE_CONSENT));
    assert_false(allowed(parent, child, SCOPE_READ | SCOPE_CONSENT));
    assert_false(allowed(parent, child, 0));
    assert_false(allowed(child, parent, SCOPE_READ));
    assert_int_equal(listed(parent, true, &d), 1);
    assert_int_equal(listed(child, false, &d), 1);
    assert_int_equal(listed(child, true, &d), 0);
    /* 17 November 00:00 in Japan is 15:00 of the 16th. */
    clock_fake_move(&fake, account_age_from(S("2005-11-17"), 18) - fake.at - 1);
    assert_true(allowed(parent, child, SCOPE_READ));
    clock_fake_move(&fake, 1);
    assert_false(allowed(parent, child, SCOPE_READ));
    assert_int_equal(listed(parent, true, &d), 0);
    x.d.principal = grown;
    assert_int_equal(change(apply_record, &x), ERR_INVALID);
    x.d.principal = make_account("unknown", NULL);
    assert_int_equal(change(apply_record, &x), ERR_INVALID);
}

static void a_guardian_is_grown_up_and_somebody_else(void **state)
{
    int64_t parent = make_account("parent", "2006-01-02"),
            child = make_account("child", "2015-11-17");
    struct doing x = {
        .d = {.principal = child, .agent = parent, .kind = DELEGATION_MINOR, .scope = SCOPE_ALL}};
    (void)state;
    assert_int_equal(change(apply_record, &x), ERR_INVALID);
    x.d.agent = child;
    assert_int_equal(change(apply_record, &x), ERR_INVALID);
    x.d.agent = make_account("grown", "1980-01-02");
    x.d.scope = 8;
    assert_int_equal(change(apply_record, &x), ERR_INVALID);
    x.d.scope = SCOPE_ALL;
    assert_int_equal(change(apply_record, &x), OK);
}

static void an_adults_guardian_needs_a_proof_and_an_end(void **state)
{
    int64_t guardian = make_account("guardian", "1980-01-02"),
            adult = make_account("adult", "1940-01-02");
    struct doing x = {.d = {.principal = adult,
                            .agent = guardian,
                            .kind = DELEGATION_ADULT,
                            .scope = SCOPE_ALL,
                            .until = fake.at + 30 * DAY_US}};
    (void)state;
    assert_int_equal(change(apply_record, &x), ERR_INVALID);
    x.proof = S("登記事項証明書 第123号を確認");
    assert_int_equal(change(apply_record, &x), OK);
    assert_true(allowed(guardian, adult, SCOPE_ALL));
    /* Neither of them ends it by themselves. */
    struct delegation d;
    assert_int_equal(listed(adult, false, &d), 1);
    struct doing end = {.d = {.id = d.id}, .by = guardian};
    assert_int_equal(change(apply_end, &end), ERR_NOT_FOUND);
    end.staff = true;
    assert_int_equal(change(apply_end, &end), OK);
    assert_false(allowed(guardian, adult, SCOPE_READ));
    x.d.until = 0;
    assert_int_equal(change(apply_record, &x), ERR_INVALID);
    /* Not by a code. */
    x.d.until = fake.at + DAY_US;
    assert_int_equal(change(apply_offer, &x), ERR_INVALID);
}

static void a_code_works_once_and_for_somebody_else(void **state)
{
    int64_t mother = make_account("mother", "1940-01-02"),
            daughter = make_account("daughter", "1970-01-02"),
            other = make_account("other", "1970-01-02");
    struct doing x = {.d = {.principal = mother,
                            .kind = DELEGATION_HOUSEHOLD,
                            .scope = SCOPE_READ,
                            .until = fake.at + 30 * DAY_US}};
    struct delegation d;
    (void)state;
    assert_int_equal(change(apply_offer, &x), OK);
    x.by = mother;
    assert_int_equal(change(apply_accept, &x), ERR_CONFLICT);
    x.by = daughter;
    assert_int_equal(change(apply_accept, &x), OK);
    assert_true(allowed(daughter, mother, SCOPE_READ));
    x.by = other;
    assert_int_equal(change(apply_accept, &x), ERR_UNAUTHENTICATED);
    assert_int_equal(change(apply_offer, &x), OK);
    clock_fake_move(&fake, DELEGATION_CODE_S * SECOND_US);
    assert_int_equal(change(apply_accept, &x), ERR_UNAUTHENTICATED);
    /* Somebody else does not end it. */
    assert_int_equal(listed(mother, false, &d), 1);
    struct doing end = {.d = {.id = d.id}, .by = other};
    assert_int_equal(change(apply_end, &end), ERR_NOT_FOUND);
    end.by = daughter;
    assert_int_equal(change(apply_end, &end), OK);
    assert_int_equal(change(apply_end, &end), ERR_NOT_FOUND);
    x.d.until = fake.at + (DELEGATION_DAYS_MAX + 1) * DAY_US;
    assert_int_equal(change(apply_offer, &x), ERR_INVALID);
}

static void death_ends_them_and_suspension_pauses(void **state)
{
    int64_t parent = make_account("parent", "1980-01-02"),
            child = make_account("child", "2015-11-17");
    struct doing x = {
        .d = {.principal = child, .agent = parent, .kind = DELEGATION_MINOR, .scope = SCOPE_ALL}};
    (void)state;
    assert_int_equal(change(apply_record, &x), OK);
    assert_int_equal(set_state(parent, ACCOUNT_SUSPENDED), OK);
    assert_false(allowed(parent, child, SCOPE_READ));
    assert_int_equal(set_state(parent, ACCOUNT_ACTIVE), OK);
    assert_true(allowed(parent, child, SCOPE_READ));
    assert_int_equal(set_state(parent, ACCOUNT_DECEASED), OK);
    assert_int_equal(set_state(parent, ACCOUNT_ACTIVE), OK); /* it was a mistake */
    assert_false(allowed(parent, child, SCOPE_READ));
}

struct correcting {
    int64_t id;
    struct person p;
};

static enum err apply_correct(struct store_conn *c, void *ctx, struct error *e)
{
    struct correcting *k = ctx;
    return account_set_person(&trust, c, k->id, &k->p, 7, e);
}

static void a_corrected_birthday_moves_the_end(void **state)
{
    int64_t parent = make_account("parent", "1980-01-02"),
            child = make_account("child", "2015-11-17");
    struct doing x = {
        .d = {.principal = child, .agent = parent, .kind = DELEGATION_MINOR, .scope = SCOPE_ALL}};
    struct correcting k = {child, {.name = S("試験 太郎"), .birth_date = S("2005-11-14")}};
    struct delegation d;
    (void)state;
    assert_int_equal(change(apply_record, &x), OK);
    k.p.birth_date = S("2014-11-17");
    assert_int_equal(change(apply_correct, &k), OK);
    assert_int_equal(listed(child, false, &d), 1);
    assert_int_equal(d.until, account_age_from(S("2014-11-17"), 18));
    k.p.birth_date = S("2005-11-14");
    assert_int_equal(change(apply_correct, &k), OK);
    assert_false(allowed(parent, child, SCOPE_READ));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, open_trust, close_trust)
    const struct CMUnitTest tests[] = {
        T(a_minors_guardian_until_eighteen),
        T(a_guardian_is_grown_up_and_somebody_else),
        T(an_adults_guardian_needs_a_proof_and_an_end),
        T(a_code_works_once_and_for_somebody_else),
        T(death_ends_them_and_suspension_pauses),
        T(a_corrected_birthday_moves_the_end),
    };
    return cmocka_run_group_tests_name("trust/delegation", tests, NULL, NULL);
}
