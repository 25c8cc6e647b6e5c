/*
 * Accounts: what a person can be, found by equality only, every transition an entry of the log,
 * closing leaves nothing that could be opened; roles; the inbox.
 */
#include "accounts.h"

/* --- the items --- */

static enum err tidied(struct person p, struct person *out)
{
    why = (struct error){0};
    return person_tidy(&arena, &p, clock_now(trust.clock), out, &why);
}

static void items_are_kept_as_they_are_found_again(void **state)
{
    struct person p;
    (void)state;
    assert_int_equal(tidied((struct person){.login = S(" Hanako.T "),
                                            .name = S("　試験　花子 "),
                                            .birth_date = S("１９８０-01-02"),
                                            .postal_code = S("1234567"),
                                            .email = S("Ｈanako@example.jp"),
                                            .phone = S("０３-0000-1234")},
                            &p),
                     OK);
    assert_true(str_eq(p.login, S("Hanako.T")));
    assert_true(str_eq(p.name, S("試験　花子")));
    assert_true(str_eq(p.birth_date, S("1980-01-02")));
    assert_true(str_eq(p.postal_code, S("123-4567")));
    assert_true(str_eq(p.email, S("Hanako@example.jp")));
    assert_null(p.address.p);
}

static void what_cannot_be_is_named_without_its_value(void **state)
{
    struct {
        struct person p;
        const char *item;
    } bad[] = {{{.login = S("ab")}, "login"},
               {{.login = S("a b c")}, "login"},
               {{.login = S("花子さん")}, "login"},
               {{.name = S("a\nb")}, "name"},
               {{.name = S("\xff")}, "name"},
               {{.login = S("123456789018")}, "login"}, /* individual numbers */
               {{.name = S("花子 123456789018")}, "name"},
               {{.address = S("つくば市 １２３４－５６７８－９０１８")}, "address"},
               {{.birth_date = S("2023-11-16")}, "birth_date"}, /* tomorrow */
               {{.birth_date = S("1980-13")}, "birth_date"},
               {{.birth_date = S("1800-01-01")}, "birth_date"},
               {{.birth_date = S("1981-02-29")}, "birth_date"},
               {{.gender = S("x")}, "gender"},
               {{.postal_code = S("12345")}, "postal_code"},
               {{.email = S("nobody")}, "email"},
               {{.email = S("a@b@example.jp")}, "email"},
               {{.phone = S("call me")}, "phone"},
               {{.phone = S("123")}, "phone"}};
    struct person out;
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(tidied(bad[i].p, &out), ERR_INVALID);
        assert_string_equal(why.text, bad[i].item);
    }
}

static int64_t jst(const char *text)
{
    int64_t at = 0;
    assert_true(datetime_parse(str_c(text), &at));
    return at;
}

static void a_year_is_full_at_the_end_of_the_day_before(void **state)
{
    struct {
        const char *born, *at;
        int age;
    } cases[] = {{"2005-04-01", "2023-03-31T23:59:59+09:00", 17},
                 {"2005-04-01", "2023-04-01T00:00:00+09:00", 18},
                 {"2004-02-29", "2022-02-28T23:59:59+09:00", 17},
                 {"2004-02-29", "2022-03-01T00:00:00+09:00", 18},
                 {"2004-02-29", "2024-02-29T00:00:00+09:00", 20},
                 {"2005-04", "2023-04-29T12:00:00+09:00", 17},
                 {"2005-04", "2023-04-30T00:00:00+09:00", 18},
                 {"2005", "2023-12-30T23:00:00+09:00", 17},
                 {"2005", "2023-12-31T00:00:00+09:00", 18},
                 {"", "2023-12-31T00:00:00+09:00", -1}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct person p = {.birth_date = str_c(cases[i].born)};
        assert_int_equal(account_age(&p, jst(cases[i].at)), cases[i].age);
    }
    assert_int_equal(account_age_from(S("2004-02-29"), 18), jst("2022-03-01T00:00:00+09:00"));
    assert_int_equal(account_age_from(S("2005-04-01"), 18), jst("2023-04-01T00:00:00+09:00"));
    assert_int_equal(account_age_from(S(""), 18), 0);
}

/* --- keeping and finding --- */

static size_t found(enum account_index index, const char *value, int64_t *first)
{
    int64_t ids[ACCOUNT_FOUND_MAX];
    size_t n = 0;
    struct error e = {0};
    struct store_conn *c = reader();
    assert_int_equal(account_find(&trust, c, &arena, index, str_c(value), ids, &n, &e), OK);
    store_read_done(c);
    if (n)
        *first = ids[0];
    return n;
}

static void found_by_equality_only(void **state)
{
    int64_t one = make_account("Hanako", "1980-01-02"), two = make_account("taro", "1980-01-02"),
            got = 0;
    (void)state;
    assert_int_equal(found(INDEX_LOGIN, "hanakO ", &got), 1);
    assert_int_equal(got, one);
    assert_int_equal(found(INDEX_LOGIN, "hanak", &got), 0);
    assert_int_equal(found(INDEX_LOGIN, "", &got), 0);
    assert_int_equal(found(INDEX_EMAIL, "HANAKO@example.jp", &got), 2);
    assert_int_equal(found(INDEX_PHONE, "+81 3 0000 1234", &got), 2);
    struct str both = account_name_birth(&arena, S("試験花子"), S("1980-01-02"));
    assert_int_equal(found(INDEX_NAME_BIRTH, str_z(&arena, both), &got), 2);
    both = account_name_birth(&arena, S("試験花子"), S("1980-01-03"));
    assert_int_equal(found(INDEX_NAME_BIRTH, str_z(&arena, both), &got), 0);
    assert_true(two > one);
}

static void a_sign_in_name_is_of_one_person(void **state)
{
    struct making m = {.n = {.person = {.login = S("HANAKO")}}};
    (void)state;
    make_account("hanako", "1980-01-02");
    assert_int_equal(change(apply_make, &m), ERR_EXISTS);
    assert_int_equal(count("SELECT COUNT(*) FROM account"), 1);
}

static void items_stand_sealed(void **state)
{
    int64_t id = make_account("hanako", "1980-01-02");
    struct person p;
    struct error e = {0};
    struct store_rows rows;
    struct store_conn *c = reader();
    (void)state;
    assert_int_equal(account_person(&trust, c, &arena, id, &p, &e), OK);
    assert_true(str_eq(p.email, S("hanako@example.jp")));
    store_query(c, &rows, "SELECT person FROM account", SV_EMPTY);
    assert_true(store_next(&rows));
    assert_true(str_find(store_blob(&rows, 0), S("hanako")) < 0);
    store_end(&rows, &e);
    store_read_done(c);
}

/* Somebody puts an older row back. */
static enum err apply_older(struct store_conn *c, void *ctx, struct error *e)
{
    (void)ctx;
    return store_exec(c, "UPDATE account SET version = version + 1", SV_EMPTY, NULL, e);
}

static void items_of_another_version_do_not_open(void **state)
{
    int64_t id = make_account("hanako", "1980-01-02");
    struct person p;
    struct error e = {0};
    (void)state;
    assert_int_equal(change(apply_older, NULL), OK);
    struct store_conn *c = reader();
    assert_int_equal(account_person(&trust, c, &arena, id, &p, &e), ERR_CORRUPT);
    store_read_done(c);
}

struct correcting {
    int64_t id;
    struct person p;
};

static enum err apply_correct(struct store_conn *c, void *ctx, struct error *e)
{
    struct correcting *k = ctx;
    return account_set_person(&trust, c, k->id, &k->p, k->id, e);
}

static void a_correction_moves_the_indexes(void **state)
{
    int64_t id = make_account("hanako", "1980-01-02"), got;
    struct correcting k = {id, {.login = S("hana"), .name = S("試験 花子")}};
    (void)state;
    assert_int_equal(change(apply_correct, &k), OK);
    assert_int_equal(found(INDEX_LOGIN, "hanako", &got), 0);
    assert_int_equal(found(INDEX_LOGIN, "hana", &got), 1);
    assert_int_equal(found(INDEX_EMAIL, "hanako@example.jp", &got), 0);
    make_account("taro", "1980-01-02");
    k.p.login = S("Taro");
    assert_int_equal(change(apply_correct, &k), ERR_EXISTS);
    assert_int_equal(found(INDEX_LOGIN, "hana", &got), 1);
}

/* --- transitions --- */

static void transitions_are_a_table(void **state)
{
    static const char *const allowed[] = {"active suspended",    "active moved-out",
                                          "active deceased",     "active closed",
                                          "suspended active",    "suspended deceased",
                                          "suspended closed",    "moved-out active",
                                          "moved-out suspended", "moved-out deceased",
                                          "moved-out closed",    "deceased active",
                                          "deceased closed"};
    size_t n = 0;
    (void)state;
    for (unsigned from = 0; from < ACCOUNT_STATES; from++)
        for (unsigned to = 0; to < ACCOUNT_STATES; to++)
            n += account_state_may((enum account_state)from, (enum account_state)to);
    assert_int_equal(n, sizeof(allowed) / sizeof(allowed[0]));
    for (size_t i = 0; i < n; i++) {
        struct str rest = str_c(allowed[i]), word;
        enum account_state from, to;
        assert_true(str_split(&rest, ' ', &word) && account_state_find(word, &from));
        assert_true(account_state_find(rest, &to) && account_state_may(from, to));
    }
    int64_t id = make_account("hanako", "1980-01-02");
    assert_int_equal(set_state(id, ACCOUNT_SUSPENDED), OK);
    assert_int_equal(set_state(id, ACCOUNT_MOVED_OUT), ERR_CONFLICT);
    assert_int_equal(set_state(id + 1, ACCOUNT_SUSPENDED), ERR_NOT_FOUND);
}

static size_t entries(int64_t id, const struct account_entry **list)
{
    size_t n = 0;
    struct error e = {0};
    struct store_conn *c = reader();
    if (account_entries(&trust, c, &arena, id, STR_NONE, INT64_MAX, 100, list, &n, &e))
        fail_msg("%s", e.text);
    store_read_done(c);
    return n;
}

static void every_transition_is_an_entry(void **state)
{
    const struct account_entry *list;
    int64_t id = make_account("hanako", "1980-01-02");
    (void)state;
    assert_int_equal(set_state(id, ACCOUNT_SUSPENDED), OK);
    assert_int_equal(set_state(id, ACCOUNT_MOVED_OUT), ERR_CONFLICT);
    assert_int_equal(entries(id, &list), 2);
    assert_true(str_eq(list[0].kind, S("account")));
    const struct json *v = json_parse(&arena, list[0].content, &JSON_DEFAULT, NULL);
    int64_t by = 0;
    assert_true(str_eq(json_text(json_get(v, S("event"))), S("state")));
    assert_true(str_eq(json_text(json_get(v, S("from"))), S("active")));
    assert_true(str_eq(json_text(json_get(v, S("to"))), S("suspended")));
    assert_true(json_i64(json_get(v, S("by")), &by) && by == 7);
    /* The salt and the content prove the leaf. */
    struct log_salt salt;
    struct log_leaf leaf;
    struct error e = {0};
    memcpy(salt.b, list[0].salt.p, LOG_SALT_BYTES);
    struct hash h = log_commitment(&salt, list[0].content);
    struct store_conn *c = reader();
    assert_int_equal(log_read(c, &arena, list[0].leaf, &leaf, &e), OK);
    store_read_done(c);
    assert_true(str_find(leaf.text, base64url_encode(&arena, hash_text(&h))) > 0);
    assert_true(str_find(leaf.text, S("suspended")) < 0);
}

static void closing_leaves_nothing_to_open(void **state)
{
    const struct account_entry *list;
    int64_t id = make_account("hanako", "1980-01-02"), got;
    struct starting s = sign_in(id, AMR_PASSWORD);
    struct session out;
    struct person p;
    struct error e = {0};
    (void)state;
    assert_int_equal(set_state(id, ACCOUNT_CLOSED), OK);
    assert_int_equal(found(INDEX_LOGIN, "hanako", &got), 0);
    assert_int_equal(session_for(s.secret, &out), ERR_UNAUTHENTICATED);
    struct store_conn *c = reader();
    assert_int_equal(account_person(&trust, c, &arena, id, &p, &e), ERR_NOT_FOUND);
    store_read_done(c);
    assert_int_equal(count("SELECT COUNT(*) FROM account_notice"), 0);
    assert_int_equal(entries(id, &list), 2);
    assert_null(list[0].content.p);
    assert_int_equal(set_state(id, ACCOUNT_ACTIVE), ERR_CONFLICT);
    /* The name is free again, for somebody else. */
    assert_true(make_account("hanako", "1990-01-01") != id);
}

/* --- roles --- */

struct giving {
    int64_t id;
    struct role role;
    int64_t until;
};

static enum err apply_give(struct store_conn *c, void *ctx, struct error *e)
{
    struct giving *g = ctx;
    return account_give_role(&trust, c, g->id, &g->role, g->until, 0, e);
}

static enum err apply_take(struct store_conn *c, void *ctx, struct error *e)
{
    struct giving *g = ctx;
    return account_take_role(&trust, c, g->id, &g->role, 0, e);
}

static size_t roles(int64_t id, const struct role **list)
{
    size_t n = 0;
    struct error e = {0};
    struct store_conn *c = reader();
    assert_int_equal(account_roles(c, &arena, id, clock_now(trust.clock), list, &n, &e), OK);
    store_read_done(c);
    return n;
}

static void roles_have_an_end(void **state)
{
    const struct role *list;
    int64_t id = make_account("hanako", "1980-01-02");
    struct giving clerk = {id, {S("clerk"), S("市民課")}, fake.at + HOUR_US};
    struct giving other = {id, {S("clinician"), S("市立病院")}, 0};
    struct giving bad = {id, {S("Clerk!"), STR_NONE}, 0};
    (void)state;
    assert_int_equal(change(apply_give, &clerk), OK);
    assert_int_equal(change(apply_give, &other), OK);
    assert_int_equal(change(apply_give, &bad), ERR_INVALID);
    assert_int_equal(roles(id, &list), 2);
    assert_true(role_is_among(list, 2, ROLE_CLERK));
    assert_false(role_is_among(list, 2, ROLE_OPERATOR));
    assert_true(str_eq(list[0].organisation, S("市民課")));
    clock_fake_move(&fake, HOUR_US);
    assert_int_equal(roles(id, &list), 1);
    assert_int_equal(change(apply_take, &clerk), ERR_NOT_FOUND);
    assert_int_equal(change(apply_take, &other), OK);
    assert_int_equal(roles(id, &list), 0);
    assert_int_equal(change(apply_give, &other), OK);
    assert_int_equal(roles(id, &list), 1);
}

static void the_last_administrator_stays(void **state)
{
    const struct role *list;
    int64_t one = make_account("hanako", "1980-01-02"), two = make_account("taro", "1980-01-02");
    struct giving first = {one, {S(ROLE_ADMINISTRATOR), STR_NONE}, 0};
    struct giving second = {two, {S(ROLE_ADMINISTRATOR), STR_NONE}, 0};
    (void)state;
    assert_int_equal(change(apply_give, &first), OK);
    assert_int_equal(change(apply_take, &first), ERR_CONFLICT);
    assert_int_equal(change(apply_give, &second), OK);
    assert_int_equal(change(apply_take, &first), OK);
    assert_int_equal(change(apply_take, &second), ERR_CONFLICT);
    assert_int_equal(set_state(two, ACCOUNT_DECEASED), OK);
    assert_int_equal(roles(two, &list), 0);
}

/* --- the inbox --- */

struct telling {
    int64_t account, n;
};

static enum err apply_tell(struct store_conn *c, void *ctx, struct error *e)
{
    struct telling *t = ctx;
    enum err err = OK;
    for (int64_t i = 0; !err && i < t->n; i++)
        err = notice_add(&trust, c, t->account, S("data-read"),
                         str_printf(&arena, "{\"n\":%lld}", (long long)i), e);
    return err;
}

static enum err apply_seen(struct store_conn *c, void *ctx, struct error *e)
{
    int64_t *id_and_account = ctx;
    return notice_mark_seen(c, id_and_account[1], id_and_account[0], e);
}

static void the_inbox_is_bounded_and_ones_own(void **state)
{
    const struct notice *list;
    size_t n;
    int64_t unseen, id = make_account("hanako", "1980-01-02"),
                    other = make_account("taro", "1980-01-02");
    struct telling few = {other, 1}, many = {id, NOTICES_MAX + 5};
    struct error e = {0};
    (void)state;
    assert_int_equal(change(apply_tell, &few), OK);
    assert_int_equal(change(apply_tell, &many), OK);
    struct store_conn *c = reader();
    assert_int_equal(notice_list(&trust, c, &arena, id, INT64_MAX, 2, &list, &n, &e), OK);
    assert_int_equal(n, 2);
    assert_true(str_eq(list[1].body, S("{\"n\":1003}")));
    assert_int_equal(notice_unseen(c, id, &unseen, &e), OK);
    assert_int_equal(unseen, NOTICES_MAX);
    store_read_done(c);
    int64_t mark[] = {list[1].id, id};
    assert_int_equal(change(apply_seen, mark), OK);
    c = reader();
    assert_int_equal(notice_unseen(c, id, &unseen, &e), OK);
    assert_int_equal(unseen, 1);
    assert_int_equal(notice_unseen(c, other, &unseen, &e), OK);
    assert_int_equal(unseen, 1);
    store_read_done(c);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, open_trust, close_trust)
    const struct CMUnitTest tests[] = {
        T(items_are_kept_as_they_are_found_again),
        T(what_cannot_be_is_named_without_its_value),
        T(a_year_is_full_at_the_end_of_the_day_before),
        T(found_by_equality_only),
        T(a_sign_in_name_is_of_one_person),
        T(items_stand_sealed),
        T(items_of_another_version_do_not_open),
        T(a_correction_moves_the_indexes),
        T(transitions_are_a_table),
        T(every_transition_is_an_entry),
        T(closing_leaves_nothing_to_open),
        T(roles_have_an_end),
        T(the_last_administrator_stays),
        T(the_inbox_is_bounded_and_ones_own),
    };
    return cmocka_run_group_tests_name("trust/account", tests, NULL, NULL);
}
