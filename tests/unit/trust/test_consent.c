/*
 * Consents in the store: the catalogue keeps what people agreed to, a record goes from step to step
 * and no other way, and the decision hears a withdrawal at once, in a second process too.
 */
#include "accounts.h"
#include "trust/consent.h"

/* --- the catalogue --- */

struct putting {
    enum catalogue_kind kind;
    const char *code, *doc; /* doc NULL: removed */
    int64_t version;
};

static enum err apply_put(struct store_conn *c, void *ctx, struct error *e)
{
    struct putting *p = ctx;
    if (!p->doc)
        return catalogue_remove(&trust, c, &arena, p->kind, str_c(p->code), S("test"), e);
    const struct json *doc = json_parse(&arena, str_c(p->doc), &JSON_DEFAULT, e);
    return doc ? catalogue_put(&trust, c, &arena, p->kind, str_c(p->code), doc, S("test"),
                               &p->version, e)
               : e->code;
}

static enum err put(enum catalogue_kind kind, const char *code, const char *doc)
{
    struct putting p = {kind, code, doc, 0};
    return change(apply_put, &p);
}

#define TITLE "\"title\": {\"ja\": \"名\", \"en\": \"name\"}"
#define TEXT  "\"text\": {\"ja\": \"説明\", \"en\": \"text\"}"

static void fill_catalogue(void)
{
    static const struct putting all[] = {
        {CATALOGUE_OWNERS, "pharmacies", "{" TITLE "}", 0},
        {CATALOGUE_DATA_SETS, "notebook", "{" TITLE ", \"owner\": \"pharmacies\"}", 0},
        {CATALOGUE_CATEGORIES, "medication",
         "{" TITLE ", \"data_set\": \"notebook\", \"sensitive\": true, \"fields\": [\"name\","
         " \"dose\", \"doctor\"]}",
         0},
        {CATALOGUE_CATEGORIES, "contact",
         "{" TITLE ", \"data_set\": \"notebook\", \"fields\": [\"phone\"]}", 0},
        {CATALOGUE_PURPOSES, "care", "{" TITLE ", " TEXT "}", 0},
        {CATALOGUE_PURPOSES, "rounds", "{" TITLE ", " TEXT ", \"parent\": \"care\"}", 0},
        {CATALOGUE_PURPOSES, "research", "{" TITLE ", " TEXT "}", 0},
        {CATALOGUE_RECIPIENTS, "hospital", "{" TITLE "}", 0},
        {CATALOGUE_RECIPIENTS, "insurer", "{" TITLE "}", 0},
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (put(all[i].kind, all[i].code, all[i].doc))
            fail_msg("%s: %s", all[i].code, why.text);
}

static void the_catalogue_takes_what_is_whole(void **state)
{
    (void)state;
    fill_catalogue();
    assert_int_equal(put(CATALOGUE_OWNERS, "a b", "{" TITLE "}"), ERR_INVALID);
    assert_int_equal(put(CATALOGUE_OWNERS, "x", "{\"title\": {\"en\": \"x\"}}"), ERR_INVALID);
    assert_int_equal(put(CATALOGUE_OWNERS, "x", "{" TITLE ", \"more\": 1}"), ERR_INVALID);
    assert_int_equal(put(CATALOGUE_DATA_SETS, "x", "{" TITLE ", \"owner\": \"nobody\"}"),
                     ERR_INVALID);
    assert_int_equal(put(CATALOGUE_RULES, "x",
                         "{\"owner\": \"pharmacies\", \"recipients\": \"*\","
                         " \"categories\": \"*\"}"),
                     ERR_INVALID);
    assert_int_equal(put(CATALOGUE_RULES, "x",
                         "{\"owner\": \"pharmacies\", \"recipients\": \"*\","
                         " \"categories\": \"*\", \"fields\": [\"dose\"]}"),
                     ERR_INVALID);
    assert_int_equal(put(CATALOGUE_STATUTES, "x",
                         "{" TITLE ", \"recipients\": \"*\", \"purposes\": \"*\","
                         " \"categories\": \"*\"}"),
                     ERR_INVALID);
    assert_int_equal(put(CATALOGUE_OWNERS, "nobody", NULL), ERR_NOT_FOUND);
    assert_int_equal(count("SELECT COUNT(*) FROM catalogue"), 9);
    assert_int_equal(count("SELECT size FROM log_state"), 9);
}

static void a_new_version_gives_nobody_more(void **state)
{
    (void)state;
    fill_catalogue();
    assert_int_equal(put(CATALOGUE_CATEGORIES, "contact",
                         "{" TITLE ", \"data_set\": \"notebook\", \"fields\": [\"phone\","
                         " \"address\"]}"),
                     ERR_CONFLICT);
    assert_int_equal(put(CATALOGUE_CATEGORIES, "contact",
                         "{" TITLE ", \"data_set\": \"notebook\", \"sensitive\": true,"
                         " \"fields\": [\"phone\"]}"),
                     ERR_CONFLICT);
    assert_int_equal(put(CATALOGUE_PURPOSES, "research",
                         "{" TITLE ", " TEXT ", \"parent\": \"care\"}"),
                     ERR_CONFLICT);
    assert_int_equal(put(CATALOGUE_CATEGORIES, "medication",
                         "{" TITLE ", \"data_set\": \"notebook\", \"sensitive\": true,"
                         " \"fields\": [\"dose\"]}"),
                     OK);
    /* Not by way of removing it either. */
    assert_int_equal(put(CATALOGUE_CATEGORIES, "contact", NULL), OK);
    assert_int_equal(put(CATALOGUE_CATEGORIES, "contact",
                         "{" TITLE ", \"data_set\": \"notebook\", \"fields\": [\"address\"]}"),
                     ERR_CONFLICT);
    assert_int_equal(count("SELECT MAX(version) FROM catalogue WHERE code = 'contact'"), 2);
}

/* --- records --- */

struct doing {
    int64_t account;
    struct consent_terms terms;
    struct str id;
    enum consent_step step;
    struct consent_evidence how;
};

static enum err apply_request(struct store_conn *c, void *ctx, struct error *e)
{
    struct doing *d = ctx;
    return consent_request(&trust, c, &arena, d->account, &d->terms, &d->id, e);
}

static enum err apply_answer(struct store_conn *c, void *ctx, struct error *e)
{
    struct doing *d = ctx;
    return consent_answer(&trust, c, &arena, d->account, d->id, d->step, &d->how, e);
}

static struct str care[] = {S_INIT("care")}, medication[] = {S_INIT("medication")},
                  both[] = {S_INIT("medication"), S_INIT("contact")};

static struct doing asked(int64_t account, const struct str *categories, size_t n)
{
    struct doing d = {.account = account,
                      .terms = {.recipient = S("hospital"),
                                .purposes = care,
                                .n_purposes = 1,
                                .categories = categories,
                                .n_categories = n,
                                .valid = {fake.at, fake.at + 30 * DAY_US}}};
    if (change(apply_request, &d))
        fail_msg("%s", why.text);
    return d;
}

static struct consent_record record_of(const struct doing *d)
{
    struct consent_record r = {0};
    struct error e = {0};
    struct store_conn *c = reader();
    if (consent_read(&trust, c, &arena, d->account, d->id, &r, &e))
        fail_msg("%s", e.text);
    store_read_done(c);
    return r;
}

static enum err answer(struct doing *d, enum consent_step step)
{
    struct consent_record r = record_of(d);
    struct str text;
    struct error e = {0};
    struct store_conn *c = reader();
    d->step = step;
    d->how = (struct consent_evidence){.lang = S("en"), .acr = ACR_AAL2, .method = S("test")};
    assert_int_equal(consent_notice(c, &arena, &r, S("en"), &text, &d->how.notice, &e), OK);
    store_read_done(c);
    return change(apply_answer, d);
}

/* --- deciding --- */

static struct decision_item ask_in(struct store *s, int64_t account, const char *recipient,
                                   const char *purpose, const char *category)
{
    struct consent_facts f;
    struct error e = {0};
    struct str code = str_c(category);
    struct decision_ask ask = {.recipient = str_c(recipient),
                               .purpose = str_c(purpose),
                               .categories = &code,
                               .n_categories = 1,
                               .at = fake.at};
    struct store_conn *c = store_read(s, &e);
    assert_non_null(c);
    if (consent_facts(&trust, c, &arena, account, ask.recipient, &f, &e))
        fail_msg("%s", e.text);
    store_read_done(c);
    return decide(&arena, &f.facts, &ask)[0];
}

static enum decision_reason ask(int64_t account, const char *recipient, const char *purpose,
                                const char *category)
{
    return ask_in(trust.store, account, recipient, purpose, category).reason;
}

static void given_it_permits_that_and_nothing_wider(void **state)
{
    int64_t hanako = make_account("hanako", "1980-01-02"), taro = make_account("taro", NULL);
    (void)state;
    fill_catalogue();
    assert_int_equal(ask(hanako, "hospital", "care", "medication"), REASON_NO_CONSENT);
    struct doing d = asked(hanako, medication, 1);
    assert_int_equal(ask(hanako, "hospital", "care", "medication"), REASON_NO_CONSENT);
    assert_int_equal(answer(&d, CONSENT_STEP_GIVEN), OK);
    assert_int_equal(ask(hanako, "hospital", "care", "medication"), REASON_PERMITTED);
    assert_int_equal(ask(hanako, "hospital", "rounds", "medication"), REASON_PERMITTED);
    assert_int_equal(ask(hanako, "hospital", "research", "medication"), REASON_NO_CONSENT);
    assert_int_equal(ask(hanako, "hospital", "care", "contact"), REASON_NO_CONSENT);
    assert_int_equal(ask(hanako, "insurer", "care", "medication"), REASON_NO_CONSENT);
    assert_int_equal(ask(taro, "hospital", "care", "medication"), REASON_NO_CONSENT);
    assert_int_equal(ask_in(trust.store, hanako, "hospital", "care", "medication").fields, 7);
    /* The owner narrows, then denies. */
    assert_int_equal(put(CATALOGUE_RULES, "no-doctor",
                         "{\"owner\": \"pharmacies\", \"recipients\": [\"hospital\"],"
                         " \"categories\": [\"medication\"], \"fields\": [\"dose\", \"name\"]}"),
                     OK);
    assert_int_equal(ask_in(trust.store, hanako, "hospital", "care", "medication").fields, 3);
    assert_int_equal(put(CATALOGUE_RULES, "no-doctor",
                         "{\"owner\": \"pharmacies\", \"recipients\": \"*\","
                         " \"categories\": \"*\", \"deny\": true}"),
                     OK);
    assert_int_equal(ask(hanako, "hospital", "care", "medication"), REASON_OWNER_DENIES);
    assert_int_equal(put(CATALOGUE_RULES, "no-doctor", NULL), OK);
    assert_int_equal(ask(hanako, "hospital", "care", "medication"), REASON_PERMITTED);
    /* What the catalogue lost is closed. */
    assert_int_equal(put(CATALOGUE_DATA_SETS, "notebook", NULL), OK);
    assert_int_equal(ask(hanako, "hospital", "care", "medication"), REASON_UNKNOWN_CATEGORY);
}

static void a_child_was_agreed_to_not_its_parent(void **state)
{
    static struct str rounds[] = {S_INIT("rounds")};
    int64_t hanako = make_account("hanako", NULL);
    (void)state;
    fill_catalogue();
    struct doing d = {.account = hanako,
                      .terms = {S("hospital"), rounds, medication, 1, 1, {0, fake.at + DAY_US}, 0}};
    assert_int_equal(change(apply_request, &d), OK);
    assert_int_equal(answer(&d, CONSENT_STEP_GIVEN), OK);
    assert_int_equal(ask(hanako, "hospital", "rounds", "medication"), REASON_PERMITTED);
    assert_int_equal(ask(hanako, "hospital", "care", "medication"), REASON_NO_CONSENT);
}

static void steps_follow_one_way_only(void **state)
{
    int64_t hanako = make_account("hanako", NULL), taro = make_account("taro", NULL);
    (void)state;
    fill_catalogue();
    struct doing d = asked(hanako, medication, 1), theirs = d;
    theirs.account = taro;
    theirs.step = CONSENT_STEP_GIVEN;
    assert_int_equal(change(apply_answer, &theirs), ERR_NOT_FOUND);
    assert_int_equal(answer(&d, CONSENT_STEP_WITHDRAWN), ERR_CONFLICT);
    assert_int_equal(answer(&d, CONSENT_STEP_EXPIRED), ERR_CONFLICT);
    assert_int_equal(answer(&d, CONSENT_STEP_SUPERSEDED), ERR_CONFLICT);
    /* Not what was shown. */
    d.step = CONSENT_STEP_GIVEN;
    d.how = (struct consent_evidence){.lang = S("ja"), .notice = d.how.notice};
    assert_int_equal(change(apply_answer, &d), ERR_CONFLICT);
    assert_int_equal(answer(&d, CONSENT_STEP_GIVEN), OK);
    assert_int_equal(answer(&d, CONSENT_STEP_GIVEN), ERR_CONFLICT);
    assert_int_equal(answer(&d, CONSENT_STEP_REFUSED), ERR_CONFLICT);
    assert_int_equal(answer(&d, CONSENT_STEP_WITHDRAWN), OK);
    assert_int_equal(ask(hanako, "hospital", "care", "medication"), REASON_WITHDRAWN);
    assert_int_equal(answer(&d, CONSENT_STEP_GIVEN), ERR_CONFLICT);
    struct consent_record r = record_of(&d);
    assert_int_equal(r.n_events, 3);
    assert_int_equal(r.state, CONSENT_STEP_WITHDRAWN);
    assert_true(str_eq(r.events[1].evidence.lang, S("en")));
    assert_int_equal(r.events[1].evidence.acr, ACR_AAL2);
    assert_int_equal(count("SELECT COUNT(*) FROM subject_entry WHERE kind = 'consent'"), 3);
}

static void a_refusal_denies_until_it_is_taken_back(void **state)
{
    int64_t hanako = make_account("hanako", NULL);
    (void)state;
    fill_catalogue();
    struct doing first = asked(hanako, medication, 1), second = asked(hanako, both, 2);
    assert_int_equal(answer(&first, CONSENT_STEP_GIVEN), OK);
    assert_int_equal(answer(&second, CONSENT_STEP_REFUSED), OK);
    assert_int_equal(ask(hanako, "hospital", "care", "medication"), REASON_SUBJECT_DENIES);
    /* A narrower yes leaves the wider no. */
    struct doing third = asked(hanako, medication, 1);
    assert_int_equal(answer(&third, CONSENT_STEP_GIVEN), OK);
    assert_int_equal(record_of(&first).state, CONSENT_STEP_SUPERSEDED);
    assert_int_equal(record_of(&second).state, CONSENT_STEP_REFUSED);
    assert_int_equal(ask(hanako, "hospital", "care", "medication"), REASON_SUBJECT_DENIES);
    struct doing fourth = asked(hanako, both, 2);
    assert_int_equal(answer(&fourth, CONSENT_STEP_GIVEN), OK);
    assert_int_equal(record_of(&second).state, CONSENT_STEP_SUPERSEDED);
    assert_int_equal(ask(hanako, "hospital", "care", "contact"), REASON_PERMITTED);
    assert_int_equal(answer(&fourth, CONSENT_STEP_WITHDRAWN), OK);
    assert_int_equal(ask(hanako, "hospital", "care", "medication"), REASON_WITHDRAWN);
}

static enum err apply_expire(struct store_conn *c, void *ctx, struct error *e)
{
    return consent_expire(&trust, c, ctx, e);
}

static void time_ends_it_with_and_without_the_sweep(void **state)
{
    int64_t hanako = make_account("hanako", NULL);
    bool more = true;
    (void)state;
    fill_catalogue();
    struct doing d = asked(hanako, medication, 1), open = asked(hanako, both, 2);
    assert_int_equal(answer(&d, CONSENT_STEP_GIVEN), OK);
    clock_fake_move(&fake, 30 * DAY_US - 1);
    assert_int_equal(ask(hanako, "hospital", "care", "medication"), REASON_PERMITTED);
    clock_fake_move(&fake, 1);
    assert_int_equal(ask(hanako, "hospital", "care", "medication"), REASON_NOT_IN_TIME);
    assert_int_equal(answer(&open, CONSENT_STEP_GIVEN), ERR_CONFLICT);
    assert_int_equal(change(apply_expire, &more), OK);
    assert_false(more);
    assert_int_equal(record_of(&d).state, CONSENT_STEP_EXPIRED);
    assert_int_equal(record_of(&open).state, CONSENT_STEP_EXPIRED);
    assert_int_equal(ask(hanako, "hospital", "care", "medication"), REASON_NOT_IN_TIME);
    assert_int_equal(count("SELECT COUNT(*) FROM consent_due"), 0);
}

static void one_recipient_does_not_fill_the_inbox(void **state)
{
    int64_t hanako = make_account("hanako", NULL);
    struct doing d = {0}, other;
    (void)state;
    fill_catalogue();
    for (int i = 0; i < CONSENT_OPEN_MAX; i++)
        d = asked(hanako, medication, 1);
    assert_int_equal(change(apply_request, &d), ERR_TOO_MANY);
    other = d;
    other.terms.recipient = S("insurer");
    assert_int_equal(change(apply_request, &other), OK);
    assert_int_equal(answer(&other, CONSENT_STEP_REFUSED), OK);
    clock_fake_move(&fake, CONSENT_ANSWER_DAYS * DAY_US);
    bool more;
    assert_int_equal(change(apply_expire, &more), OK);
    d.terms.valid.until = fake.at + DAY_US;
    assert_int_equal(change(apply_request, &d), OK);
}

/* Who reads the store learns neither to whom nor to what somebody said yes. */
static void what_was_agreed_to_is_sealed(void **state)
{
    int64_t hanako = make_account("hanako", NULL), taro = make_account("taro", NULL);
    (void)state;
    fill_catalogue();
    struct doing d = asked(hanako, medication, 1), e = asked(taro, medication, 1);
    assert_int_equal(answer(&d, CONSENT_STEP_GIVEN), OK);
    assert_int_equal(answer(&e, CONSENT_STEP_GIVEN), OK);
    assert_int_equal(count("SELECT COUNT(DISTINCT recipient) FROM consent"), 2);
    struct store_rows rows;
    struct error why_not = {0};
    struct store_conn *c = reader();
    store_query(c, &rows,
                "SELECT terms FROM consent UNION ALL SELECT recipient FROM consent"
                " UNION ALL SELECT evidence FROM consent_step WHERE evidence IS NOT NULL",
                SV_EMPTY);
    while (store_next(&rows)) {
        assert_true(str_find(store_blob(&rows, 0), S("medication")) < 0);
        assert_true(str_find(store_blob(&rows, 0), S("hospital")) < 0);
        assert_true(str_find(store_blob(&rows, 0), S("notice")) < 0);
    }
    assert_int_equal(store_end(&rows, &why_not), OK);
    store_read_done(c);
}

static void a_renewed_text_asks_anew(void **state)
{
    int64_t hanako = make_account("hanako", NULL);
    (void)state;
    fill_catalogue();
    struct doing d = asked(hanako, medication, 1), late = asked(hanako, both, 2);
    assert_int_equal(answer(&d, CONSENT_STEP_GIVEN), OK);
    assert_int_equal(put(CATALOGUE_PURPOSES, "care", "{" TITLE ", " TEXT "}"), OK);
    assert_int_equal(ask(hanako, "hospital", "care", "medication"), REASON_PERMITTED);
    assert_int_equal(put(CATALOGUE_PURPOSES, "care", "{" TITLE ", " TEXT ", \"renew\": true}"), OK);
    assert_int_equal(ask(hanako, "hospital", "care", "medication"), REASON_NO_CONSENT);
    assert_int_equal(ask(hanako, "hospital", "rounds", "medication"), REASON_NO_CONSENT);
    assert_int_equal(answer(&late, CONSENT_STEP_GIVEN), ERR_CONFLICT);
    struct doing again = asked(hanako, medication, 1);
    assert_int_equal(answer(&again, CONSENT_STEP_GIVEN), OK);
    assert_int_equal(ask(hanako, "hospital", "care", "medication"), REASON_PERMITTED);
}

static void who_is_erased_permits_nothing(void **state)
{
    int64_t hanako = make_account("hanako", NULL);
    (void)state;
    fill_catalogue();
    struct doing d = asked(hanako, medication, 1);
    assert_int_equal(answer(&d, CONSENT_STEP_GIVEN), OK);
    assert_int_equal(set_state(hanako, ACCOUNT_CLOSED), OK);
    struct consent_facts f;
    struct error e = {0};
    struct store_conn *c = reader();
    assert_int_equal(consent_facts(&trust, c, &arena, hanako, S("hospital"), &f, &e),
                     ERR_NOT_FOUND);
    store_read_done(c);
    bool more = true;
    clock_fake_move(&fake, 40 * DAY_US);
    assert_int_equal(change(apply_expire, &more), OK);
    assert_int_equal(count("SELECT COUNT(*) FROM consent_due"), 0);
}

struct deciding {
    int64_t account;
    struct decision_ask ask;
    struct consent_decision out;
};

static enum err apply_decide(struct store_conn *c, void *ctx, struct error *e)
{
    struct deciding *d = ctx;
    return consent_decide(&trust, c, &arena, d->account, &d->ask, &d->out, e);
}

static void a_law_permits_and_the_person_is_told(void **state)
{
    int64_t hanako = make_account("hanako", NULL);
    (void)state;
    fill_catalogue();
    assert_int_equal(put(CATALOGUE_STATUTES, "law",
                         "{" TITLE ", \"article\": \"試験法1条\", \"recipients\": [\"insurer\"],"
                         " \"purposes\": [\"care\"], \"categories\": [\"contact\"],"
                         " \"acr\": \"aal2\"}"),
                     OK);
    struct deciding d = {
        hanako,
        {.recipient = S("insurer"), .purpose = S("care"), .categories = both, .n_categories = 2},
        {{{0}, NULL}, NULL, 0, 0}};
    int64_t notices = count("SELECT COUNT(*) FROM account_notice");
    assert_int_equal(change(apply_decide, &d), OK);
    assert_int_equal(d.out.items[1].reason, REASON_ACR_TOO_LOW);
    assert_int_equal(count("SELECT COUNT(*) FROM account_notice"), notices);
    d.ask.acr = ACR_AAL2;
    assert_int_equal(change(apply_decide, &d), OK);
    assert_int_equal(d.out.items[0].reason, REASON_NO_CONSENT);
    assert_int_equal(d.out.items[1].basis, BASIS_STATUTE);
    assert_true(str_eq(d.out.items[1].article, S("試験法1条")));
    assert_int_equal(count("SELECT COUNT(*) FROM account_notice"), notices + 1);
    assert_int_equal(count("SELECT COUNT(*) FROM subject_entry WHERE kind = 'decision'"), 2);
}

/* Another process on the same database, or the same one where there is only ever one. */
static void a_second_store_hears_it_at_once(void **state)
{
    struct fixture *f = *state;
    struct store *other = NULL;
    struct error e = {0};
    int64_t hanako = make_account("hanako", NULL);
    fill_catalogue();
    if (f->postgres && store_open(&other, &f->options, &fake.base, &trust_module, 1, &e))
        fail_msg("%s", e.text);
    struct store *seen = other ? other : trust.store;
    for (int i = 0; i < 5; i++) {
        struct doing d = asked(hanako, medication, 1);
        assert_int_equal(answer(&d, CONSENT_STEP_GIVEN), OK);
        assert_true(ask_in(seen, hanako, "hospital", "care", "medication").permit);
        assert_int_equal(answer(&d, CONSENT_STEP_WITHDRAWN), OK);
        assert_false(ask_in(seen, hanako, "hospital", "care", "medication").permit);
    }
    store_close(other);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, open_trust, close_trust)
    const struct CMUnitTest tests[] = {
        T(the_catalogue_takes_what_is_whole),
        T(a_new_version_gives_nobody_more),
        T(given_it_permits_that_and_nothing_wider),
        T(a_child_was_agreed_to_not_its_parent),
        T(steps_follow_one_way_only),
        T(a_refusal_denies_until_it_is_taken_back),
        T(time_ends_it_with_and_without_the_sweep),
        T(one_recipient_does_not_fill_the_inbox),
        T(what_was_agreed_to_is_sealed),
        T(a_renewed_text_asks_anew),
        T(who_is_erased_permits_nothing),
        T(a_law_permits_and_the_person_is_told),
        T(a_second_store_hears_it_at_once),
    };
    return cmocka_run_group_tests_name("trust/consent", tests, NULL, NULL);
}
