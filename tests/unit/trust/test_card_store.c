/*
 * What the store keeps of cards: challenges, once and for what they were made for, and which card
 * is whose.
 */
#include "../store/fixture.h"
#include "card_kit.h"
#include "core/log.h"
#include "trust/account.h"
#include "trust/vault.h"
#include <string.h>

static struct arena arena = ARENA_INIT;
static struct clock_fake clock_now_at;
static struct trust trust;

static const struct card_asked asked = {S_INIT("browser-1"), S_INIT("https://id.city.example"),
                                        S_INIT("サインイン")};

static int open_all(void **state)
{
    fixture_new(state);
    struct fixture *f = *state;
    struct error e = {0};
    log_set_level(LOG_OFF);
    clock_now_at = clock_fake_at(KIT_NOW);
    trust = (struct trust){.clock = &clock_now_at.base,
                           .data_dir = f->folder,
                           .options = {.vault_key = ""}};
    if (store_open(&trust.store, &f->options, trust.clock, &trust_module, 1, &e))
        fail_msg("%s", e.text);
    trust.vault = vault_open(&trust, &e);
    if (!trust.vault)
        fail_msg("%s", e.text);
    return 0;
}

static int close_all(void **state)
{
    vault_close(trust.vault);
    store_close(trust.store);
    arena_release(&arena);
    return fixture_free(state);
}

/* --- challenges --- */

struct challenging {
    struct card_asked asked;
    struct str challenge;
    int64_t now;
};

static enum err new_apply(struct store_conn *c, void *ctx, struct error *e)
{
    struct challenging *q = ctx;
    return card_challenge_new(c, &arena, &q->asked, q->now, &q->challenge, e);
}

static enum err take_apply(struct store_conn *c, void *ctx, struct error *e)
{
    struct challenging *q = ctx;
    return card_challenge_take(c, &q->asked, q->challenge, q->now, e);
}

static enum err begin(struct challenging *q)
{
    struct error e = {0};
    *q = (struct challenging){asked, STR_NONE, KIT_NOW};
    return store_write(trust.store, new_apply, q, &e);
}

static enum err take(const struct challenging *q)
{
    struct error e = {0};
    return store_write(trust.store, take_apply, (void *)q, &e);
}

static void a_challenge_is_good_once(void **state)
{
    struct challenging q, other;
    (void)state;
    assert_int_equal(begin(&q), OK);
    assert_int_equal(begin(&other), OK);
    assert_int_equal(q.challenge.n, CARD_CHALLENGE_BYTES);
    assert_false(str_eq(q.challenge, other.challenge));
    assert_int_equal(take(&q), OK);
    assert_int_equal(take(&q), ERR_UNAUTHENTICATED);
    assert_int_equal(take(&other), OK);
}

static void a_challenge_is_good_for_what_it_was_made_for(void **state)
{
    struct challenging q;
    (void)state;
    assert_int_equal(begin(&q), OK);
    struct challenging wrong[4] = {q, q, q, q};
    wrong[0].asked.session = S("browser-2");
    wrong[1].asked.origin = S("https://evil.example");
    wrong[2].asked.purpose = S("同意");
    wrong[3].challenge = str_sub(q.challenge, 0, 31);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(take(&wrong[i]), ERR_UNAUTHENTICATED);
    assert_int_equal(take(&q), OK); /* somebody else's try takes nothing away */
}

static void a_challenge_ends(void **state)
{
    struct challenging q;
    (void)state;
    assert_int_equal(begin(&q), OK);
    q.now += CARD_CHALLENGE_S * SECOND_US;
    assert_int_equal(take(&q), ERR_UNAUTHENTICATED);
    q.now -= 1;
    assert_int_equal(take(&q), OK);
}

static void a_browser_has_some_open_and_no_more(void **state)
{
    struct challenging q, first;
    struct error e = {0};
    (void)state;
    assert_int_equal(begin(&first), OK);
    for (int i = 1; i < CARD_CHALLENGES_MAX; i++)
        assert_int_equal(begin(&q), OK);
    assert_int_equal(begin(&q), ERR_TOO_MANY);
    q = (struct challenging){asked, STR_NONE, KIT_NOW};
    q.asked.session = S("browser-2");
    assert_int_equal(store_write(trust.store, new_apply, &q, &e), OK);
    /* those that have ended make room */
    q = (struct challenging){asked, STR_NONE, KIT_NOW + CARD_CHALLENGE_S * SECOND_US};
    assert_int_equal(store_write(trust.store, new_apply, &q, &e), OK);
}

/* --- whose card --- */

static struct card_certificate card(const char *serial)
{
    return (struct card_certificate){.role = CARD_AUTH,
                                     .issuer = hash_sha256(S("issuer")),
                                     .serial = str_c(serial),
                                     .key = hash_sha256(str_c(serial)),
                                     .not_after = KIT_NOW + DAY_US,
                                     .status = CARD_GOOD};
}

struct linking {
    int64_t account;
    struct card_certificate cert;
    struct card_ground why;
    const char *name;
};

static enum err create_apply(struct store_conn *c, void *ctx, struct error *e)
{
    struct linking *l = ctx;
    struct account_new n = {.person = {.login = str_c(l->name), .name = S("丸毎 花子")},
                            .ial = IAL_DESK};
    return account_create(&trust, c, &n, &l->account, e);
}

static enum err link_apply(struct store_conn *c, void *ctx, struct error *e)
{
    struct linking *l = ctx;
    return card_link(&trust, c, &arena, l->account, &l->cert, &l->why, e);
}

static enum err unlink_apply(struct store_conn *c, void *ctx, struct error *e)
{
    struct linking *l = ctx;
    return card_unlink(&trust, c, l->account, l->account, e);
}

static enum err close_apply(struct store_conn *c, void *ctx, struct error *e)
{
    struct linking *l = ctx;
    return account_set_state(&trust, c, l->account, ACCOUNT_CLOSED, S("asked"), 0, e);
}

static enum err change(enum err (*apply)(struct store_conn *, void *, struct error *),
                       struct linking *l)
{
    struct error e = {0};
    return store_write(trust.store, apply, l, &e);
}

static int64_t owner(struct card_certificate cert)
{
    struct error e = {0};
    int64_t account = 0;
    struct store_conn *c = store_read(trust.store, &e);
    enum err err = card_find(&trust, c, &cert, &account, &e);
    store_read_done(c);
    assert_true(err == OK || err == ERR_NOT_FOUND);
    return err ? 0 : account;
}

static size_t entries(int64_t account, const char *kind, struct str *content)
{
    const struct account_entry *v;
    size_t n;
    struct error e = {0};
    struct store_conn *c = store_read(trust.store, &e);
    assert_int_equal(account_entries(&trust, c, &arena, account, str_c(kind), INT64_MAX, 10, &v, &n,
                                     &e),
                     OK);
    store_read_done(c);
    *content = n ? v[0].content : STR_NONE;
    return n;
}

static void a_card_is_found_by_all_that_it_is(void **state)
{
    struct linking l = {.cert = card("1"), .name = "hanako"}, other = {.name = "taro"};
    struct str content;
    (void)state;
    assert_int_equal(change(create_apply, &l), OK);
    assert_int_equal(change(create_apply, &other), OK);
    assert_int_equal(owner(l.cert), 0);
    assert_int_equal(change(link_apply, &l), OK);
    assert_int_equal(owner(l.cert), l.account);
    assert_int_equal(change(link_apply, &l), OK); /* again */
    struct card_certificate changed[3] = {l.cert, l.cert, l.cert};
    changed[0].serial = S("2");
    changed[1].key = hash_sha256(S("x"));
    changed[2].issuer = hash_sha256(S("x"));
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(owner(changed[i]), 0);
    changed[0] = l.cert;
    changed[0].role = CARD_SIGN;
    changed[1] = l.cert;
    changed[1].status = CARD_REVOKED;
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(owner(changed[i]), 0);
    /* nobody else gets it, on whatever ground */
    other.cert = l.cert;
    assert_int_equal(change(link_apply, &other), ERR_EXISTS);
    other.why = (struct card_ground){.kind = CARD_BY_DESK, .staff = 99};
    assert_int_equal(change(link_apply, &other), ERR_EXISTS);
    assert_int_equal(entries(l.account, "card-linked", &content), 1);
    assert_true(str_find(content, S("\"first\"")) >= 0);
    assert_int_equal(entries(other.account, "card-linked", &content), 0);
}

static void a_card_that_was_issued_again_needs_a_ground(void **state)
{
    const struct card_items items = {.name = S("丸毎 花子"),
                                     .gender = S("female"),
                                     .birth_date = S("1980-01-02"),
                                     .address = S("つくば市1-1")};
    struct card_items moved = items;
    struct card_certificate sign = card("9"), unknown;
    struct linking l = {.cert = card("1"), .name = "hanako"};
    struct str content;
    (void)state;
    moved.address = S("つくば市2-2");
    sign.role = CARD_SIGN;
    sign.items = items;
    unknown = sign;
    unknown.status = CARD_UNKNOWN;
    assert_int_equal(change(create_apply, &l), OK);
    assert_int_equal(change(link_apply, &l), OK);
    l.cert = card("2");
    assert_int_equal(change(link_apply, &l), ERR_CONFLICT);
    const struct card_ground wrong[] = {
        {.kind = CARD_BY_DESK},
        {.kind = CARD_BY_SIGNATURE},
        {.kind = CARD_BY_SIGNATURE, .sign = &sign},
        {.kind = CARD_BY_SIGNATURE, .sign = &sign, .known = &moved},
        {.kind = CARD_BY_SIGNATURE, .sign = &unknown, .known = &items},
        {.kind = CARD_BY_SIGNATURE, .sign = &l.cert, .known = &items},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        l.why = wrong[i];
        assert_int_equal(change(link_apply, &l), ERR_FORBIDDEN);
    }
    assert_int_equal(owner(card("1")), l.account);
    l.why = (struct card_ground){.kind = CARD_BY_SIGNATURE, .sign = &sign, .known = &items};
    assert_int_equal(change(link_apply, &l), OK);
    assert_int_equal(owner(card("2")), l.account);
    assert_int_equal(owner(card("1")), 0);
    assert_int_equal(entries(l.account, "card-replaced", &content), 1);
    assert_true(str_find(content, S("\"signature\"")) >= 0);
    l.cert = card("3");
    l.why = (struct card_ground){.kind = CARD_BY_DESK, .staff = 77};
    assert_int_equal(change(link_apply, &l), OK);
    assert_int_equal(owner(card("3")), l.account);
    assert_int_equal(entries(l.account, "card-replaced", &content), 2);
    assert_true(str_find(content, S("77")) >= 0);
}

static void unlinked_and_erased_it_is_nobodys(void **state)
{
    struct linking l = {.cert = card("1"), .name = "hanako"};
    struct str content;
    (void)state;
    assert_int_equal(change(create_apply, &l), OK);
    assert_int_equal(change(unlink_apply, &l), ERR_NOT_FOUND);
    assert_int_equal(change(link_apply, &l), OK);
    assert_int_equal(change(unlink_apply, &l), OK);
    assert_int_equal(owner(l.cert), 0);
    assert_int_equal(entries(l.account, "card-unlinked", &content), 1);
    assert_int_equal(change(link_apply, &l), OK);
    assert_int_equal(change(close_apply, &l), OK);
    assert_int_equal(owner(l.cert), 0);
    l.account += 1000;
    assert_int_equal(change(link_apply, &l), ERR_NOT_FOUND);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, open_all, close_all)
    const struct CMUnitTest tests[] = {
        T(a_challenge_is_good_once),
        T(a_challenge_is_good_for_what_it_was_made_for),
        T(a_challenge_ends),
        T(a_browser_has_some_open_and_no_more),
        T(a_card_is_found_by_all_that_it_is),
        T(a_card_that_was_issued_again_needs_a_ground),
        T(unlinked_and_erased_it_is_nobodys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
