/*
 * Proofs: one answer for every wrong attempt, counts that survive and are bounded, a soft lock,
 * passwords that are looked at, codes that work once, never without a way in.
 */
#include "accounts.h"
#include "crypto/otp.h"
#include "crypto/password.h"
#include <pthread.h>
#include <sodium.h>
#include <time.h>

#define GOOD S("五月雨を集めて早し最上川")

struct setting {
    int64_t account;
    struct str phc, secret, code;
    struct str *codes;
    struct str text;
};

static enum err apply_password(struct store_conn *c, void *ctx, struct error *e)
{
    struct setting *s = ctx;
    return password_set(&trust, c, s->account, s->phc, e);
}

static int64_t with_password(const char *login)
{
    int64_t id = make_account(login, "1980-01-02");
    struct setting s = {.account = id};
    struct error e = {0};
    assert_int_equal(password_make(&trust, &arena, GOOD, &s.phc, &e), OK);
    assert_int_equal(change(apply_password, &s), OK);
    return id;
}

static struct proof_result result;

static enum err try(const char *login, struct str password)
{
    why = (struct error){0};
    return proof_password(&trust, &arena, NULL, str_c(login), password, &result, &why);
}

/* --- signing in --- */

static void a_password_signs_in(void **state)
{
    int64_t id = with_password("hanako");
    struct session out;
    (void)state;
    assert_int_equal(try("Hanako", GOOD), OK);
    assert_int_equal(session_for(result.cookie, &out), OK);
    assert_int_equal(out.account, id);
    assert_int_equal(out.acr, ACR_AAL1);
}

static void every_wrong_attempt_has_the_same_answer(void **state)
{
    struct error first;
    int64_t id = with_password("hanako");
    (void)state;
    make_account("nopassword", "1980-01-02");
    assert_int_equal(try("hanako", S("wrong, and long enough")), ERR_UNAUTHENTICATED);
    first = why;
    assert_int_equal(try("nobody", GOOD), ERR_UNAUTHENTICATED);
    assert_string_equal(why.text, first.text);
    assert_int_equal(try("", GOOD), ERR_UNAUTHENTICATED);
    assert_string_equal(why.text, first.text);
    assert_int_equal(try("nopassword", GOOD), ERR_UNAUTHENTICATED);
    assert_string_equal(why.text, first.text);
    assert_int_equal(set_state(id, ACCOUNT_SUSPENDED), OK);
    assert_int_equal(try("hanako", GOOD), ERR_UNAUTHENTICATED);
    assert_string_equal(why.text, first.text);
}

static int64_t work_of(const char *login)
{
    struct timespec before, after;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
    assert_int_equal(try(login, S("wrong, and long enough")), ERR_UNAUTHENTICATED);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
    return (after.tv_sec - before.tv_sec) * SECOND_US + (after.tv_nsec - before.tv_nsec) / 1000;
}

/* Measured in work of this thread, which is the same on a busy machine: without the hash it would
 * be a hundredth. */
static void an_unknown_name_takes_a_hash_too(void **state)
{
    (void)state;
    with_password("hanako");
    int64_t known = work_of("hanako"), unknown = work_of("nobody"), none;
    make_account("nopassword", "1980-01-02");
    none = work_of("nopassword");
    assert_true(unknown * 3 > known && known * 3 > unknown);
    assert_true(none * 3 > known && known * 3 > none);
}

static struct setting kept;

static enum err apply_keep(struct store_conn *c, void *ctx, struct error *e)
{
    (void)ctx;
    return password_keep(&trust, c, kept.account, kept.phc, e);
}

static enum err read_phc(int64_t id, struct str *phc)
{
    struct store_conn *c = reader();
    struct error e = {0};
    enum err err = password_read(&trust, c, &arena, id, phc, &e);
    store_read_done(c);
    return err;
}

static void an_older_hash_is_made_anew(void **state)
{
    struct str phc;
    int64_t id = make_account("hanako", "1980-01-02");
    (void)state;
    char old[128];
    assert_int_equal(crypto_pwhash_str_alg(old, GOOD.p, GOOD.n, 1, 8 << 20,
                                           crypto_pwhash_ALG_ARGON2ID13),
                     0);
    kept = (struct setting){.account = id, .phc = str_c(old)};
    assert_int_equal(change(apply_keep, NULL), OK);
    assert_int_equal(try("hanako", GOOD), OK);
    assert_int_equal(read_phc(id, &phc), OK);
    assert_false(password_outdated(phc));
    assert_int_equal(try("hanako", GOOD), OK);
}

/* --- the soft lock --- */

static void the_lock_grows_and_is_the_same_for_unknown_names(void **state)
{
    static const char *const names[] = {"hanako", "nobody"};
    int64_t waits[2][3];
    (void)state;
    with_password("hanako");
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < 6; i++)
            assert_int_equal(try(names[k], S("wrong, and long enough")), ERR_UNAUTHENTICATED);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(try(names[k], GOOD), ERR_TOO_MANY);
            waits[k][i] = result.wait_s;
            clock_fake_move(&fake, waits[k][i] * SECOND_US);
            assert_int_equal(try(names[k], S("wrong, and long enough")), ERR_UNAUTHENTICATED);
        }
        clock_fake_move(&fake, -(waits[k][0] + waits[k][1] + waits[k][2]) * SECOND_US);
    }
    assert_int_equal(waits[0][0], 15);
    assert_int_equal(waits[0][1], 30);
    assert_int_equal(waits[0][2], 60);
    assert_memory_equal(waits[0], waits[1], sizeof(waits[0]));
}

static void success_forgets_and_so_does_a_day(void **state)
{
    (void)state;
    with_password("hanako");
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 5; i++)
            assert_int_equal(try("hanako", S("wrong, and long enough")), ERR_UNAUTHENTICATED);
        assert_int_equal(try("hanako", GOOD), OK);
    }
    for (int i = 0; i < 6; i++)
        assert_int_equal(try("hanako", S("wrong, and long enough")), ERR_UNAUTHENTICATED);
    assert_int_equal(try("hanako", GOOD), ERR_TOO_MANY);
    clock_fake_move(&fake, DAY_US);
    assert_int_equal(try("hanako", GOOD), OK);
}

static enum err apply_sweep(struct store_conn *c, void *ctx, struct error *e)
{
    (void)ctx;
    return throttle_sweep(c, clock_now(trust.clock), e);
}

static void counts_are_in_the_store_and_go(void **state)
{
    (void)state;
    with_password("hanako");
    for (int i = 0; i < 6; i++)
        try("hanako", S("wrong, and long enough"));
    /* Another process, or this one after a crash. */
    struct error e = {0};
    trust_stop(&trust);
    assert_int_equal(trust_start(&trust, &e), OK);
    assert_int_equal(try("hanako", GOOD), ERR_TOO_MANY);
    clock_fake_move(&fake, DAY_US + SECOND_US);
    assert_int_equal(change(apply_sweep, NULL), OK);
    assert_int_equal(count("SELECT COUNT(*) FROM throttle"), 0);
}

static struct error counted;

static enum err apply_count(struct store_conn *c, void *ctx, struct error *e)
{
    int64_t wait;
    return proof_count(&trust, c, "register", ctx, &wait, e);
}

static enum err count_from(const char *address)
{
    struct request req = {.client = str_c(address)};
    struct error e = {0};
    enum err err = store_write(trust.store, apply_count, &req, &e);
    counted = e;
    return err;
}

static void addresses_and_their_networks_are_counted(void **state)
{
    char address[64];
    (void)state;
    trust.options.attempts_per_address = 3;
    for (int i = 0; i < 4; i++)
        assert_int_equal(count_from("192.0.2.1"), OK);
    assert_int_equal(count_from("192.0.2.1"), ERR_TOO_MANY);
    assert_int_equal(count_from("::ffff:192.0.2.1"), ERR_TOO_MANY);
    assert_int_equal(count_from("192.0.2.2"), OK);
    /* Who has a /64 does not have 2^64 times as many. */
    for (int i = 0; i < 7; i++) {
        snprintf(address, sizeof(address), "2001:db8:1:2::%x", i);
        assert_int_equal(count_from(address), OK);
    }
    assert_int_equal(count_from("2001:db8:1:2:ffff::1"), ERR_TOO_MANY);
    assert_int_equal(count_from("2001:db8:1:3::1"), OK);
    for (int i = 0; i < 20; i++)
        assert_int_equal(count_from("127.0.0.1"), OK);
}

/* --- the gate --- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static int running, most, done;
static bool open_now;

static void pass(void *ctx)
{
    (void)ctx;
    pthread_mutex_lock(&lock);
    running++;
    most = running > most ? running : most;
    while (!open_now)
        pthread_cond_wait(&moved, &lock);
    running--;
    done++;
    pthread_cond_broadcast(&moved);
    pthread_mutex_unlock(&lock);
}

static void so_many_at_once_so_many_waiting(void **state)
{
    struct error e = {0};
    int taken = 0;
    (void)state;
    running = most = done = 0;
    open_now = false;
    trust_stop(&trust);
    trust.options.password_parallel = 1;
    trust.options.password_queue = 3;
    assert_int_equal(trust_start(&trust, &e), OK);
    /* One may or may not have begun: it takes no place in the queue any more. */
    for (int i = 0; i < 10; i++)
        taken += proof_gate(&trust, pass, NULL, &e) == OK;
    assert_true(taken == 3 || taken == 4);
    assert_int_equal(proof_gate(&trust, pass, NULL, &e), ERR_TOO_MANY);
    pthread_mutex_lock(&lock);
    open_now = true;
    pthread_cond_broadcast(&moved);
    while (done < taken)
        pthread_cond_wait(&moved, &lock);
    pthread_mutex_unlock(&lock);
    assert_int_equal(most, 1);
    assert_int_equal(proof_gate(&trust, pass, NULL, &e), OK);
    trust_stop(&trust); /* waits for it */
    assert_int_equal(done, taken + 1);
    assert_int_equal(trust_start(&trust, &e), OK);
}

/* --- looking at passwords --- */

static void passwords_are_looked_at(void **state)
{
    static const struct person p = {.login = S_INIT("hanako80"),
                                    .name = S_INIT("試験 花子"),
                                    .name_kana = S_INIT("シケン ハナコ"),
                                    .birth_date = S_INIT("1980-01-02"),
                                    .email = S_INIT("rose.garden@example.jp")};
    static const struct {
        const char *password;
        enum password_flaw flaw;
    } cases[] = {{"", PASSWORD_SHORT},
                 {"k8#vQ2!xL9z", PASSWORD_SHORT},
                 {"k8#vQ2!xL9zw", PASSWORD_GOOD},
                 {"correct horse battery", PASSWORD_GOOD},
                 {"五月雨を集めて早し最上川", PASSWORD_GOOD},
                 {"五月雨を集めて早し", PASSWORD_SHORT},
                 {"aaaaaaaaaaaa", PASSWORD_SIMPLE},
                 {"abababababab", PASSWORD_SIMPLE},
                 {"k8#vQ2k8#vQ2", PASSWORD_SIMPLE},
                 {"123456789012", PASSWORD_SIMPLE},
                 {"qwertyuiop[]", PASSWORD_SIMPLE},
                 {"abcdefghijkl", PASSWORD_SIMPLE},
                 {"987654321000", PASSWORD_SIMPLE},
                 {"Password1234!", PASSWORD_COMMON},
                 {"P@ssw0rd2024#", PASSWORD_COMMON},
                 {"TokyoLove2024!", PASSWORD_COMMON},
                 {"himitsu-8-3-5-1", PASSWORD_COMMON},
                 {"パスワード-2951-83", PASSWORD_COMMON},
                 {"marugoto-k8#vQ2", PASSWORD_PERSONAL},
                 {"k8#Hanako80vQ2!", PASSWORD_PERSONAL},
                 {"rose.garden-k8vQ", PASSWORD_PERSONAL},
                 {"k8-19800102-vQ2!", PASSWORD_PERSONAL},
                 {"花子さんのひみつの庭園だよ", PASSWORD_PERSONAL}};
    char longer[PASSWORD_BYTES_MAX + 2];
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enum password_flaw got = password_look(&arena, str_c(cases[i].password), &p);
        if (got != cases[i].flaw)
            fail_msg("%s: %s", cases[i].password, password_flaw_name(got));
    }
    memset(longer, 'x', sizeof(longer));
    assert_int_equal(password_look(&arena, str_n(longer, sizeof(longer) - 1), &p), PASSWORD_LONG);
}

static void nothing_of_a_password_is_in_the_store(void **state)
{
    struct store_rows rows;
    struct error e = {0};
    (void)state;
    with_password("hanako");
    struct store_conn *c = reader();
    store_query(c, &rows, "SELECT phc FROM account_password", SV_EMPTY);
    assert_true(store_next(&rows));
    assert_true(str_find(store_blob(&rows, 0), S("argon2")) < 0);
    store_end(&rows, &e);
    store_read_done(c);
}

/* --- the app and recovery codes --- */

static enum err apply_otp(struct store_conn *c, void *ctx, struct error *e)
{
    struct setting *s = ctx;
    return otp_set(&trust, c, s->account, s->secret, s->code, e);
}

static enum err apply_recovery(struct store_conn *c, void *ctx, struct error *e)
{
    struct setting *s = ctx;
    return recovery_make(&trust, c, &arena, s->account, s->codes, e);
}

static struct str code_at(struct str secret, int64_t at)
{
    return str_printf(&arena, "%06u",
                      otp_hotp(secret, (uint64_t)(at / SECOND_US / OTP_STEP_S), OTP_DIGITS));
}

static enum err second(struct str ticket, struct str code)
{
    why = (struct error){0};
    return proof_second(&trust, &arena, NULL, ticket, code, &result, &why);
}

static void a_second_proof_is_asked_for(void **state)
{
    int64_t id = with_password("hanako");
    struct setting s = {.account = id, .secret = otp_new_secret(&arena), .code = S("12345x")};
    struct session out;
    (void)state;
    assert_int_equal(change(apply_otp, &s), ERR_UNAUTHENTICATED);
    s.code = code_at(s.secret, fake.at);
    assert_int_equal(change(apply_otp, &s), OK);
    assert_int_equal(try("hanako", GOOD), OK);
    assert_null(result.cookie.p);
    struct str ticket = result.ticket;
    assert_int_equal(count("SELECT COUNT(*) FROM session"), 0);
    /* The code that set it up was used. */
    assert_int_equal(second(ticket, s.code), ERR_UNAUTHENTICATED);
    clock_fake_move(&fake, OTP_STEP_S * SECOND_US);
    struct str code = code_at(s.secret, fake.at);
    assert_int_equal(second(S("no ticket"), code), ERR_UNAUTHENTICATED);
    assert_int_equal(second(ticket, code), OK);
    assert_int_equal(session_for(result.cookie, &out), OK);
    assert_int_equal(out.acr, ACR_AAL2);
    assert_int_equal(second(ticket, code), ERR_UNAUTHENTICATED);
    /* A code works once, with a new ticket too. */
    assert_int_equal(try("hanako", GOOD), OK);
    assert_int_equal(second(result.ticket, code), ERR_UNAUTHENTICATED);
}

static void a_ticket_is_good_for_a_few_attempts(void **state)
{
    int64_t id = with_password("hanako");
    struct setting s = {.account = id, .secret = otp_new_secret(&arena)};
    (void)state;
    s.code = code_at(s.secret, fake.at - OTP_STEP_S * SECOND_US);
    assert_int_equal(change(apply_otp, &s), OK);
    assert_int_equal(try("hanako", GOOD), OK);
    struct str ticket = result.ticket;
    for (int i = 0; i < 5; i++)
        assert_int_equal(second(ticket, S("000000")), ERR_UNAUTHENTICATED);
    assert_int_equal(second(ticket, code_at(s.secret, fake.at)), ERR_UNAUTHENTICATED);
    assert_int_equal(try("hanako", GOOD), OK);
    ticket = result.ticket;
    clock_fake_move(&fake, 5 * MINUTE_US);
    assert_int_equal(second(ticket, code_at(s.secret, fake.at)), ERR_UNAUTHENTICATED);
}

static void guessing_codes_with_many_tickets_is_counted(void **state)
{
    int64_t id = with_password("hanako");
    struct setting s = {.account = id, .secret = otp_new_secret(&arena)};
    (void)state;
    s.code = code_at(s.secret, fake.at - OTP_STEP_S * SECOND_US);
    assert_int_equal(change(apply_otp, &s), OK);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(try("hanako", GOOD), OK);
        assert_int_equal(second(result.ticket, S("000000")), ERR_UNAUTHENTICATED);
    }
    assert_int_equal(try("hanako", GOOD), OK);
    assert_int_equal(second(result.ticket, S("000000")), ERR_TOO_MANY);
    assert_true(result.wait_s > 0);
}

static void a_recovery_code_works_once(void **state)
{
    int64_t id = with_password("hanako");
    struct str codes[RECOVERY_CODES];
    struct setting s = {.account = id, .secret = otp_new_secret(&arena), .codes = codes};
    (void)state;
    s.code = code_at(s.secret, fake.at);
    assert_int_equal(change(apply_otp, &s), OK);
    assert_int_equal(change(apply_recovery, &s), OK);
    assert_int_equal(try("hanako", GOOD), OK);
    assert_int_equal(second(result.ticket, codes[3]), OK);
    assert_int_equal(try("hanako", GOOD), OK);
    struct str ticket = result.ticket;
    assert_int_equal(second(ticket, codes[3]), ERR_UNAUTHENTICATED);
    char *typed = str_z(&arena, codes[4]);
    for (char *p = typed; *p; p++)
        *p = *p == '-' ? ' ' : *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
    assert_int_equal(second(ticket, str_c(typed)), OK);
    assert_int_equal(count("SELECT COUNT(*) FROM account_recovery"), RECOVERY_CODES - 2);
    /* New ones take the place of all old ones. */
    struct str old = codes[5];
    assert_int_equal(change(apply_recovery, &s), OK);
    assert_int_equal(try("hanako", GOOD), OK);
    assert_int_equal(second(result.ticket, old), ERR_UNAUTHENTICATED);
}

/* --- codes of the desk --- */

static enum err apply_code(struct store_conn *c, void *ctx, struct error *e)
{
    struct setting *s = ctx;
    return enrol_code_make(&trust, c, &arena, s->account, 7, &s->text, e);
}

static enum err enter_code(struct str code)
{
    why = (struct error){0};
    return proof_code(&trust, &arena, NULL, code, &result, &why);
}

static void a_desks_code_signs_in_once(void **state)
{
    struct setting s = {.account = make_account(NULL, "1980-01-02")};
    struct session out;
    (void)state;
    assert_int_equal(change(apply_code, &s), OK);
    assert_int_equal(s.text.n, 23);
    struct str older = s.text;
    assert_int_equal(change(apply_code, &s), OK);
    assert_int_equal(enter_code(older), ERR_UNAUTHENTICATED);
    assert_int_equal(enter_code(S("")), ERR_UNAUTHENTICATED);
    assert_int_equal(enter_code(s.text), OK);
    assert_int_equal(session_for(result.cookie, &out), OK);
    assert_int_equal(out.account, s.account);
    assert_int_equal(out.acr, ACR_AAL1);
    assert_int_equal(enter_code(s.text), ERR_UNAUTHENTICATED);
    assert_int_equal(change(apply_code, &s), OK);
    clock_fake_move(&fake, ENROL_DAYS * DAY_US);
    assert_int_equal(enter_code(s.text), ERR_UNAUTHENTICATED);
}

static void never_without_a_way_in(void **state)
{
    struct setting s = {.account = with_password("hanako")};
    (void)state;
    assert_int_equal(change(apply_password, &s), ERR_CONFLICT);
    assert_int_equal(try("hanako", GOOD), OK);
}

static void closing_takes_the_ways_in(void **state)
{
    int64_t id = with_password("hanako");
    struct str codes[RECOVERY_CODES];
    struct setting s = {.account = id, .secret = otp_new_secret(&arena), .codes = codes};
    (void)state;
    s.code = code_at(s.secret, fake.at);
    assert_int_equal(change(apply_otp, &s), OK);
    assert_int_equal(change(apply_recovery, &s), OK);
    assert_int_equal(change(apply_code, &s), OK);
    assert_int_equal(set_state(id, ACCOUNT_CLOSED), OK);
    assert_int_equal(count("SELECT (SELECT COUNT(*) FROM account_password)"
                           " + (SELECT COUNT(*) FROM account_otp)"
                           " + (SELECT COUNT(*) FROM account_recovery)"
                           " + (SELECT COUNT(*) FROM account_secret)"),
                     0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, open_trust, close_trust)
    const struct CMUnitTest tests[] = {
        T(a_password_signs_in),
        T(every_wrong_attempt_has_the_same_answer),
        T(an_unknown_name_takes_a_hash_too),
        T(an_older_hash_is_made_anew),
        T(the_lock_grows_and_is_the_same_for_unknown_names),
        T(success_forgets_and_so_does_a_day),
        T(counts_are_in_the_store_and_go),
        T(addresses_and_their_networks_are_counted),
        T(so_many_at_once_so_many_waiting),
        T(passwords_are_looked_at),
        T(nothing_of_a_password_is_in_the_store),
        T(a_second_proof_is_asked_for),
        T(a_ticket_is_good_for_a_few_attempts),
        T(guessing_codes_with_many_tickets_is_counted),
        T(a_recovery_code_works_once),
        T(a_desks_code_signs_in_once),
        T(never_without_a_way_in),
        T(closing_takes_the_ways_in),
    };
    return cmocka_run_group_tests_name("trust/proof", tests, NULL, NULL);
}
