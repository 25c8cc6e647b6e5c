/* Signing keys in turn: made ahead, used when their time comes, forgotten when nothing they signed
 * is good any more; the same ones in every process; sealed in the store. */
#include "../store/fixture.h"
#include "oidc_impl.h"
#include "trust/vault.h"
#include <string.h>

enum { KEY_DAYS = 90, AHEAD_H = 48 };

static struct arena arena = ARENA_INIT;
static struct clock_fake fake;
static struct trust trust;
static struct oidc_options options = {.key_days = KEY_DAYS,
                                      .key_ahead_h = AHEAD_H,
                                      .access_s = 600};
static struct oidc oidc;

static int open_all(void **state)
{
    fixture_new(state);
    struct fixture *f = *state;
    struct error e = {0};
    struct store_module modules[] = {trust_module, oidc_module};
    fake = clock_fake_at(INT64_C(1700000000) * SECOND_US);
    trust =
        (struct trust){.clock = &fake.base, .data_dir = f->folder, .options = {.vault_key = ""}};
    if (store_open(&trust.store, &f->options, &fake.base, modules, 2, &e))
        fail_msg("%s", e.text);
    trust.vault = vault_open(&trust, &e);
    oidc = (struct oidc){.trust = &trust, .options = &options};
    oidc.ring = trust.vault ? ring_open(&oidc, &e) : NULL;
    if (!oidc.ring)
        fail_msg("%s", e.text);
    return 0;
}

static int close_all(void **state)
{
    ring_close(oidc.ring);
    vault_close(trust.vault);
    store_close(trust.store);
    arena_release(&arena);
    return fixture_free(state);
}

static size_t published(struct key_ring *r)
{
    const struct json *v = json_parse(&arena, ring_jwks(r, &arena, fake.at), &JSON_DEFAULT, NULL);
    assert_null(strstr(json_to_text(&arena, v).p, "\"d\""));
    return json_get(v, S("keys"))->n;
}

static struct str signer(struct key_ring *r)
{
    struct jose_key *k;
    struct error e = {0};
    assert_int_equal(ring_signer(r, fake.at, &k, &e), OK);
    struct str kid = str_dup(&arena, jose_key_id(k));
    jose_key_free(k);
    return kid;
}

static void turn(struct key_ring *r)
{
    struct error e = {0};
    if (ring_turn(r, &e))
        fail_msg("%s", e.text);
}

static void keys_take_turns(void **state)
{
    struct str first = signer(oidc.ring), second;
    (void)state;
    assert_int_equal(published(oidc.ring), 1);
    clock_fake_move(&fake, KEY_DAYS * DAY_US - AHEAD_H * HOUR_US - SECOND_US);
    turn(oidc.ring);
    assert_int_equal(published(oidc.ring), 1);
    clock_fake_move(&fake, SECOND_US);
    turn(oidc.ring);
    turn(oidc.ring);
    assert_int_equal(published(oidc.ring), 2); /* the next is known before it signs */
    assert_true(str_eq(signer(oidc.ring), first));
    clock_fake_move(&fake, AHEAD_H * HOUR_US);
    second = signer(oidc.ring); /* by the clock alone */
    assert_false(str_eq(second, first));
    assert_int_equal(published(oidc.ring), 2);
    clock_fake_move(&fake, 2 * DAY_US);
    assert_int_equal(published(oidc.ring), 1); /* by the clock alone, too */
    struct jose_key *old = ring_find(oidc.ring, first);
    assert_non_null(old);
    jose_key_free(old);
    turn(oidc.ring);
    assert_null(ring_find(oidc.ring, first));
    assert_true(str_eq(signer(oidc.ring), second));
}

static void a_city_that_slept_makes_a_key_at_once(void **state)
{
    struct str first = signer(oidc.ring);
    (void)state;
    clock_fake_move(&fake, 10 * KEY_DAYS * DAY_US);
    struct jose_key *k;
    struct error e = {0};
    assert_int_equal(ring_signer(oidc.ring, fake.at, &k, &e), ERR_UNAVAILABLE);
    turn(oidc.ring);
    assert_false(str_eq(signer(oidc.ring), first));
}

static void another_process_has_the_same(void **state)
{
    struct error e = {0};
    (void)state;
    struct key_ring *other = ring_open(&oidc, &e);
    assert_non_null(other);
    assert_true(str_eq(signer(other), signer(oidc.ring)));
    clock_fake_move(&fake, KEY_DAYS * DAY_US - HOUR_US);
    turn(other);
    turn(oidc.ring);
    assert_int_equal(published(other), 2);
    assert_int_equal(published(oidc.ring), 2);
    clock_fake_move(&fake, HOUR_US);
    assert_true(str_eq(signer(other), signer(oidc.ring)));
    ring_close(other);
}

static void the_store_holds_no_private_part(void **state)
{
    struct error e = {0};
    struct store_rows rows;
    (void)state;
    struct store_conn *c = store_read(trust.store, &e);
    store_query(c, &rows, "SELECT sealed FROM oidc_key", SV_EMPTY);
    assert_true(store_next(&rows));
    assert_int_equal(str_find(store_blob(&rows, 0), S("\"d\"")), -1);
    assert_int_equal(store_end(&rows, &e), OK);
    store_read_done(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keys_take_turns, open_all, close_all),
        cmocka_unit_test_setup_teardown(a_city_that_slept_makes_a_key_at_once, open_all, close_all),
        cmocka_unit_test_setup_teardown(another_process_has_the_same, open_all, close_all),
        cmocka_unit_test_setup_teardown(the_store_holds_no_private_part, open_all, close_all),
    };
    return cmocka_run_group_tests_name("oidc_ring", tests, NULL, NULL);
}
