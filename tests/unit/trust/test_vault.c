/*
 * The vault: what is sealed opens at its place and nowhere else, erasing takes everything of one
 * subject and nothing of another, the wrong key is told and does no harm.
 */
#include "../store/fixture.h"
#include "trust/vault.h"
#include <stdio.h>
#include <string.h>

static struct arena arena = ARENA_INIT;
static struct trust trust;

static int open_vault(void **state)
{
    fixture_new(state);
    struct fixture *f = *state;
    struct error e = {0};
    trust =
        (struct trust){.clock = &clock_system, .data_dir = f->folder, .options = {.vault_key = ""}};
    if (store_open(&trust.store, &f->options, &clock_system, &trust_module, 1, &e))
        fail_msg("%s", e.text);
    trust.vault = vault_open(&trust, &e);
    if (!trust.vault)
        fail_msg("%s", e.text);
    return 0;
}

static int close_vault(void **state)
{
    vault_close(trust.vault);
    store_close(trust.store);
    arena_release(&arena);
    return fixture_free(state);
}

struct sealing {
    struct vault_place at;
    struct str plain, sealed;
};

static enum err seal_it(struct store_conn *c, void *ctx, struct error *e)
{
    struct sealing *s = ctx;
    return vault_seal(trust.vault, c, &arena, &s->at, s->plain, &s->sealed, e);
}

static struct str sealed(int64_t subject, const char *name, int64_t number, const char *plain)
{
    struct sealing s = {{subject, str_c(name), number}, str_c(plain), STR_NONE};
    struct error e = {0};
    if (store_write(trust.store, seal_it, &s, &e))
        fail_msg("%s", e.text);
    return s.sealed;
}

static enum err opened(int64_t subject, const char *name, int64_t number, struct str text,
                       struct str *plain)
{
    struct vault_place at = {subject, str_c(name), number};
    struct error e = {0};
    struct store_conn *c = store_read(trust.store, &e);
    enum err err = vault_unseal(trust.vault, c, &arena, &at, text, plain, &e);
    store_read_done(c);
    return err;
}

static void opens_at_its_place_only(void **state)
{
    struct str text = sealed(7, "account.email", 1, "hanako@example.jp"), plain = STR_NONE;
    struct str other = sealed(8, "account.email", 1, "taro@example.jp");
    (void)state;
    assert_int_equal(opened(7, "account.email", 1, text, &plain), OK);
    assert_true(str_eq(plain, S("hanako@example.jp")));
    assert_int_equal(opened(7, "account.email", 2, text, &plain), ERR_CORRUPT);
    assert_int_equal(opened(7, "account.phone", 1, text, &plain), ERR_CORRUPT);
    assert_int_equal(opened(8, "account.email", 1, text, &plain), ERR_CORRUPT);
    assert_int_equal(opened(7, "account.email", 1, other, &plain), ERR_CORRUPT);
    assert_int_equal(opened(9, "account.email", 1, text, &plain), ERR_NOT_FOUND);
}

static struct hash blind(const char *name, const char *value)
{
    struct hash h;
    struct error e = {0};
    assert_int_equal(vault_blind(trust.vault, str_c(name), str_c(value), &h, &e), OK);
    return h;
}

static enum err erase_it(struct store_conn *c, void *ctx, struct error *e)
{
    return vault_erase(c, *(int64_t *)ctx, 1, e);
}

static void erasing_takes_one_subject_and_no_other(void **state)
{
    struct str text = sealed(7, "x", 1, "a"), other = sealed(8, "x", 1, "b"), plain = STR_NONE;
    int64_t seven = 7, nine = 9;
    struct error e = {0};
    struct sealing again = {{7, S("x"), 1}, S("a"), STR_NONE},
                   never = {{9, S("x"), 1}, S("a"), STR_NONE};
    (void)state;
    assert_int_equal(store_write(trust.store, erase_it, &seven, &e), OK);
    assert_int_equal(store_write(trust.store, erase_it, &seven, &e), OK);
    assert_int_equal(store_write(trust.store, erase_it, &nine, &e), OK);
    assert_int_equal(opened(7, "x", 1, text, &plain), ERR_NOT_FOUND);
    assert_int_equal(opened(8, "x", 1, other, &plain), OK);
    /* who was erased gets no new key by accident */
    assert_int_equal(store_write(trust.store, seal_it, &again, &e), ERR_NOT_FOUND);
    assert_int_equal(store_write(trust.store, seal_it, &never, &e), ERR_NOT_FOUND);
}

static void the_store_alone_tells_nothing(void **state)
{
    struct fixture *f = *state;
    struct error e = {0};
    char path[200], away[200];
    struct str text = sealed(7, "x", 1, "a"), plain = STR_NONE;
    struct hash index = blind("email", "a");
    vault_close(trust.vault);
    fixture_path(f, "vault.key", path, sizeof(path));
    fixture_path(f, "away.key", away, sizeof(away));
    assert_int_equal(rename(path, away), 0);
    trust.vault = vault_open(&trust, &e); /* closed: the rest of the city goes on */
    assert_non_null(trust.vault);
    assert_int_equal(opened(7, "x", 1, text, &plain), ERR_UNAVAILABLE);
    struct sealing new = {{9, S("x"), 1}, S("a"), STR_NONE};
    assert_int_equal(store_write(trust.store, seal_it, &new, &e), ERR_UNAVAILABLE);
    struct hash unused;
    assert_int_equal(vault_blind(trust.vault, S("email"), S("a"), &unused, &e), ERR_UNAVAILABLE);
    vault_close(trust.vault);
    trust.options.vault_key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    trust.vault = vault_open(&trust, &e);
    assert_null(trust.vault);
    assert_int_equal(e.code, ERR_CONFLICT);
    trust.options.vault_key = "short";
    assert_null(vault_open(&trust, &e));
    assert_int_equal(e.code, ERR_INVALID);
    trust.options.vault_key = "";
    assert_int_equal(rename(away, path), 0);
    trust.vault = vault_open(&trust, &e);
    assert_non_null(trust.vault);
    assert_int_equal(opened(7, "x", 1, text, &plain), OK);
    struct hash again = blind("email", "a");
    assert_memory_equal(index.b, again.b, HASH_BYTES);
}

static void blind_indexes_are_equal_for_equal_values_of_one_name(void **state)
{
    struct hash x = blind("email", "a"), y = blind("email", "b"), z = blind("phone", "a"),
                same = blind("email", "a");
    (void)state;
    assert_memory_equal(x.b, same.b, HASH_BYTES);
    assert_memory_not_equal(x.b, y.b, HASH_BYTES);
    assert_memory_not_equal(x.b, z.b, HASH_BYTES);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, open_vault, close_vault)
    const struct CMUnitTest tests[] = {
        T(opens_at_its_place_only),
        T(erasing_takes_one_subject_and_no_other),
        T(the_store_alone_tells_nothing),
        T(blind_indexes_are_equal_for_equal_values_of_one_name),
    };
    return cmocka_run_group_tests_name("trust/vault", tests, NULL, NULL);
}
