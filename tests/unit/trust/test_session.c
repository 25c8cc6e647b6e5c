/*
 * Sessions: a secret that only the browser has, two lifetimes, a new secret with each proof, ended
 * here, elsewhere, with the account or by time, and whoever asked is told in the same change.
 */
#include "accounts.h"

static void proofs_add_up(void **state)
{
    (void)state;
    assert_int_equal(acr_of(0), ACR_NONE);
    assert_int_equal(acr_of(AMR_OTP), ACR_NONE);
    assert_int_equal(acr_of(AMR_PASSWORD), ACR_AAL1);
    assert_int_equal(acr_of(AMR_PASSKEY), ACR_AAL1);
    assert_int_equal(acr_of(AMR_FACE), ACR_AAL1);
    assert_int_equal(acr_of(AMR_FACE | AMR_PASSWORD), ACR_AAL1);
    assert_int_equal(acr_of(AMR_PASSWORD | AMR_OTP), ACR_AAL2);
    assert_int_equal(acr_of(AMR_PASSKEY | AMR_USER), ACR_AAL2);
    assert_int_equal(acr_of(AMR_PASSKEY | AMR_HARDWARE), ACR_AAL1);
    assert_int_equal(acr_of(AMR_PASSKEY | AMR_USER | AMR_HARDWARE), ACR_AAL3);
    assert_int_equal(acr_of(AMR_CARD), ACR_AAL3);
    assert_int_equal(acr_of(AMR_CARD | AMR_UNCHECKED), ACR_AAL2);
    assert_int_equal(acr_of(AMR_UNCHECKED), ACR_NONE);
    assert_string_equal(acr_name(ACR_AAL3), "aal3");
}

static void the_secret_is_the_browsers_alone(void **state)
{
    int64_t id = make_account("hanako", "1980-01-02");
    struct starting s = sign_in(id, AMR_PASSWORD);
    struct session out;
    (void)state;
    assert_true(s.secret.n >= 43);
    assert_int_equal(session_for(s.secret, &out), OK);
    assert_int_equal(out.account, id);
    assert_int_equal(out.acr, ACR_AAL1);
    assert_int_equal(out.authenticated, fake.at);
    assert_int_equal(session_for(S(""), &out), ERR_UNAUTHENTICATED);
    assert_int_equal(session_for(str_cut(s.secret, 42), &out), ERR_UNAUTHENTICATED);
    assert_int_equal(session_for(random_token(&arena, 32), &out), ERR_UNAUTHENTICATED);
    struct store_conn *c = reader();
    struct store_rows rows;
    struct error e = {0};
    store_query(c, &rows, "SELECT hash FROM session", SV_EMPTY);
    assert_true(store_next(&rows));
    assert_true(str_find(store_blob(&rows, 0), s.secret) < 0);
    /* Not even the hash of the store lets in. */
    assert_int_equal(session_for(base64url_encode(&arena, store_blob(&rows, 0)), &out),
                     ERR_UNAUTHENTICATED);
    store_end(&rows, &e);
    store_read_done(c);
}

static void a_proof_gives_a_new_secret(void **state)
{
    int64_t id = make_account("hanako", "1980-01-02");
    struct starting s = sign_in(id, AMR_PASSWORD);
    struct str planted = s.secret, old_form = session_form_token(&arena, &s.s, S("x"));
    struct session out;
    (void)state;
    clock_fake_move(&fake, MINUTE_US);
    s.amr = AMR_OTP;
    assert_int_equal(change(apply_start, &s), OK);
    assert_int_equal(session_for(planted, &out), ERR_UNAUTHENTICATED);
    assert_int_equal(session_for(s.secret, &out), OK);
    assert_int_equal(out.acr, ACR_AAL2);
    assert_int_equal(out.started, fake.at - MINUTE_US);
    assert_int_equal(out.authenticated, fake.at);
    assert_false(session_form_ok(&arena, &out, S("x"), old_form));
    /* Not with the session of somebody else. */
    struct starting other = {.s = out, .amr = AMR_CARD};
    other.s.account = make_account("taro", "1980-01-02");
    assert_int_equal(change(apply_start, &other), ERR_UNAUTHENTICATED);
    assert_int_equal(session_for(s.secret, &out), OK);
    assert_int_equal(out.acr, ACR_AAL2);
}

static void forms_are_of_one_session_and_one_purpose(void **state)
{
    int64_t id = make_account("hanako", "1980-01-02");
    struct starting s = sign_in(id, AMR_PASSWORD), other = sign_in(id, AMR_PASSWORD);
    struct session one, two;
    (void)state;
    assert_int_equal(session_for(s.secret, &one), OK);
    assert_int_equal(session_for(other.secret, &two), OK);
    struct str token = session_form_token(&arena, &one, S("close"));
    assert_true(session_form_ok(&arena, &one, S("close"), token));
    assert_false(session_form_ok(&arena, &one, S("rename"), token));
    assert_false(session_form_ok(&arena, &two, S("close"), token));
    assert_false(session_form_ok(&arena, &one, S("close"), S("")));
    assert_false(session_form_ok(&arena, &one, S("close"), STR_NONE));
    struct session empty = {0};
    assert_false(session_form_ok(&arena, &empty, S("close"),
                                 session_form_token(&arena, &empty, S("close"))));
}

static enum err apply_nothing(struct store_conn *c, void *ctx, struct error *e)
{
    (void)c;
    (void)ctx;
    (void)e;
    return OK;
}

/* What a reading submitted is applied before what is submitted after it. */
static bool used_now(void)
{
    assert_int_equal(change(apply_nothing, NULL), OK);
    return count("SELECT MAX(used) FROM session") == fake.at;
}

static void idle_ends_and_age_ends(void **state)
{
    int64_t id = make_account("hanako", "1980-01-02");
    struct starting s = sign_in(id, AMR_PASSWORD);
    struct session out;
    int64_t idle = trust.options.session_idle_s * SECOND_US;
    (void)state;
    clock_fake_move(&fake, idle - SECOND_US);
    assert_int_equal(session_for(s.secret, &out), OK);
    assert_true(used_now());
    clock_fake_move(&fake, idle);
    assert_int_equal(session_for(s.secret, &out), ERR_UNAUTHENTICATED);
    /* In use all the time, it ends all the same. */
    s = sign_in(id, AMR_PASSWORD);
    int64_t end = fake.at + trust.options.session_max_s * SECOND_US;
    while (fake.at + idle / 2 < end) {
        clock_fake_move(&fake, idle / 2);
        assert_int_equal(session_for(s.secret, &out), OK);
        assert_true(used_now());
    }
    clock_fake_move(&fake, end - fake.at);
    assert_int_equal(session_for(s.secret, &out), ERR_UNAUTHENTICATED);
}

static void only_those_who_may_sign_in(void **state)
{
    int64_t id = make_account("hanako", "1980-01-02");
    struct starting s = sign_in(id, AMR_PASSWORD), again = {.s = {.account = id}};
    struct session out;
    (void)state;
    assert_int_equal(set_state(id, ACCOUNT_MOVED_OUT), OK);
    assert_int_equal(session_for(s.secret, &out), OK);
    assert_int_equal(set_state(id, ACCOUNT_SUSPENDED), OK);
    assert_int_equal(session_for(s.secret, &out), ERR_UNAUTHENTICATED);
    assert_int_equal(change(apply_start, &again), ERR_UNAUTHENTICATED);
    assert_int_equal(set_state(id, ACCOUNT_ACTIVE), OK);
    /* What has ended does not come back. */
    assert_int_equal(session_for(s.secret, &out), ERR_UNAUTHENTICATED);
    struct starting nobody = {.s = {.account = id + 1}};
    assert_int_equal(change(apply_start, &nobody), ERR_UNAUTHENTICATED);
}

/* --- ending --- */

static int64_t told[100];
static size_t n_told;
static enum err answer;

static enum err ended(struct store_conn *c, int64_t session, void *ctx, struct error *e)
{
    (void)c;
    (void)ctx;
    told[n_told++ % 100] = session;
    return answer ? error_set(e, answer, "refused by the test") : OK;
}

struct ending {
    int64_t account, but, session;
};

static enum err apply_end(struct store_conn *c, void *ctx, struct error *e)
{
    struct ending *n = ctx;
    return n->session ? session_end(&trust, c, n->session, e)
                      : session_end_all(&trust, c, n->account, n->but, e);
}

static void whoever_asked_is_told_in_the_same_change(void **state)
{
    int64_t id = make_account("hanako", "1980-01-02");
    struct starting one = sign_in(id, AMR_PASSWORD), two = sign_in(id, AMR_PASSWORD),
                    three = sign_in(id, AMR_PASSWORD);
    struct starting other = sign_in(make_account("taro", "1980-01-02"), AMR_PASSWORD);
    struct session out;
    (void)state;
    n_told = 0;
    answer = ERR_CONFLICT;
    session_on_end(&trust, ended, NULL);
    assert_int_equal(change(apply_end, &(struct ending){.session = one.s.id}), ERR_CONFLICT);
    assert_int_equal(session_for(one.secret, &out), OK);
    answer = OK;
    n_told = 0;
    assert_int_equal(change(apply_end, &(struct ending){.session = one.s.id}), OK);
    assert_int_equal(change(apply_end, &(struct ending){.session = one.s.id}), OK);
    assert_int_equal(n_told, 1);
    assert_int_equal(told[0], one.s.id);
    assert_int_equal(session_for(one.secret, &out), ERR_UNAUTHENTICATED);
    assert_int_equal(change(apply_end, &(struct ending){.account = id, .but = three.s.id}), OK);
    assert_int_equal(n_told, 2);
    assert_int_equal(session_for(two.secret, &out), ERR_UNAUTHENTICATED);
    assert_int_equal(session_for(three.secret, &out), OK);
    assert_int_equal(session_for(other.secret, &out), OK);
}

static enum err apply_sweep(struct store_conn *c, void *ctx, struct error *e)
{
    (void)ctx;
    return session_end_old(&trust, c, clock_now(trust.clock), e);
}

static void sessions_that_are_over_are_swept(void **state)
{
    int64_t id = make_account("hanako", "1980-01-02");
    (void)state;
    n_told = 0;
    answer = OK;
    session_on_end(&trust, ended, NULL);
    sign_in(id, AMR_PASSWORD);
    struct starting last = sign_in(id, AMR_PASSWORD);
    clock_fake_move(&fake, trust.options.session_idle_s * SECOND_US);
    assert_int_equal(change(apply_sweep, NULL), OK);
    assert_int_equal(n_told, 2);
    assert_int_equal(count("SELECT COUNT(*) FROM session WHERE hash IS NULL"), 2);
    clock_fake_move(&fake, 2 * DAY_US);
    assert_int_equal(change(apply_sweep, NULL), OK);
    assert_int_equal(n_told, 2);
    assert_int_equal(count("SELECT COUNT(*) FROM session"), 1);
    /* A number is never given twice. */
    assert_true(sign_in(id, AMR_PASSWORD).s.id > last.s.id);
}

static void an_account_has_so_many_sessions(void **state)
{
    const struct session_device *list;
    size_t n = 0;
    struct error e = {0};
    int64_t id = make_account("hanako", "1980-01-02");
    struct starting first = sign_in(id, AMR_PASSWORD);
    struct session out;
    (void)state;
    for (int i = 0; i < SESSIONS_MAX; i++) {
        clock_fake_move(&fake, SECOND_US);
        sign_in(id, AMR_PASSWORD);
    }
    assert_int_equal(session_for(first.secret, &out), ERR_UNAUTHENTICATED);
    struct store_conn *c = reader();
    assert_int_equal(session_list(&trust, c, &arena, id, &list, &n, &e), OK);
    store_read_done(c);
    assert_int_equal(n, SESSIONS_MAX);
    assert_true(list[0].id > list[1].id);
}

static void a_sign_in_is_told_to_the_person(void **state)
{
    const struct notice *list;
    size_t n = 0;
    struct error e = {0};
    int64_t id = make_account("hanako", "1980-01-02");
    (void)state;
    sign_in(id, AMR_PASSKEY | AMR_USER);
    struct store_conn *c = reader();
    assert_int_equal(notice_list(&trust, c, &arena, id, INT64_MAX, 10, &list, &n, &e), OK);
    store_read_done(c);
    assert_int_equal(n, 1);
    assert_true(str_eq(list[0].kind, S("sign-in")));
}

static void others_know_a_session_by_another_name(void **state)
{
    struct str one, two, again;
    struct error e = {0};
    (void)state;
    assert_int_equal(session_sid(&trust, &arena, 1, &one, &e), OK);
    assert_int_equal(session_sid(&trust, &arena, 2, &two, &e), OK);
    assert_int_equal(session_sid(&trust, &arena, 1, &again, &e), OK);
    assert_true(str_eq(one, again));
    assert_false(str_eq(one, two));
    assert_int_equal(one.n, 22);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, open_trust, close_trust)
    const struct CMUnitTest tests[] = {
        T(proofs_add_up),
        T(the_secret_is_the_browsers_alone),
        T(a_proof_gives_a_new_secret),
        T(forms_are_of_one_session_and_one_purpose),
        T(idle_ends_and_age_ends),
        T(only_those_who_may_sign_in),
        T(whoever_asked_is_told_in_the_same_change),
        T(sessions_that_are_over_are_swept),
        T(an_account_has_so_many_sessions),
        T(a_sign_in_is_told_to_the_person),
        T(others_know_a_session_by_another_name),
    };
    return cmocka_run_group_tests_name("trust/session", tests, NULL, NULL);
}
