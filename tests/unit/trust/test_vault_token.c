/*
 * The vault's key wrapped in a token, with SoftHSM as the token: made, opened again, moved there
 * from a file; a token that is missing, locked or another one closes the vault and harms nothing.
 */
#include "../store/fixture.h"
#include "core/log.h"
#include "trust/vault.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MODULE "/usr/lib/softhsm/libsofthsm2.so"

static struct arena arena = ARENA_INIT;
static struct trust trust;
static char tokens[64];

static bool run(const char *command)
{
    return system(arena_printf(&arena, "(%s) >/dev/null 2>&1", command)) == 0;
}

/* A token of this name with one AES key of this label. */
static void make_token(const char *token, const char *key, int bytes)
{
    const char *commands =
        arena_printf(&arena,
                     "softhsm2-util --init-token --free --label %s --pin 1234 --so-pin 5678 &&"
                     " pkcs11-tool --module " MODULE " --token-label %s --login --pin 1234 --keygen"
                     " --key-type AES:%d --label %s --sensitive",
                     token, token, bytes, key);
    if (!run(commands))
        fail_msg("no token: %s", commands);
}

/* One folder of tokens for all tests: the module reads where they are when it is loaded. */
static int make_tokens(void **state)
{
    (void)state;
    log_set_level(LOG_OFF);
    if (access(MODULE, R_OK) != 0)
        return 0;
    snprintf(tokens, sizeof(tokens), "/tmp/marugoto-token-XXXXXX");
    if (!mkdtemp(tokens))
        return -1;
    char *conf = arena_printf(&arena, "%s/conf", tokens);
    FILE *f = fopen(conf, "w");
    if (!f)
        return -1;
    fprintf(f, "directories.tokendir = %s\nlog.level = ERROR\n", tokens);
    fclose(f);
    setenv("SOFTHSM2_CONF", conf, 1);
    make_token("marugoto", "marugoto-vault", 32);
    make_token("other", "marugoto-vault", 32);
    return 0;
}

static int remove_tokens(void **state)
{
    (void)state;
    if (tokens[0])
        run(arena_printf(&arena, "rm -rf '%s'", tokens));
    arena_release(&arena);
    return 0;
}

static int open_store(void **state)
{
    fixture_new(state);
    struct fixture *f = *state;
    struct error e = {0};
    trust = (struct trust){.clock = &clock_system, .data_dir = f->folder};
    config_defaults(&(struct config_bind){&trust_config, &trust.options});
    trust.options.token = (struct token_options){MODULE, "marugoto", "marugoto-vault", "1234"};
    if (store_open(&trust.store, &f->options, &clock_system, &trust_module, 1, &e))
        fail_msg("%s", e.text);
    return 0;
}

static int close_store(void **state)
{
    vault_close(trust.vault);
    trust.vault = NULL;
    store_close(trust.store);
    return fixture_free(state);
}

static void reopen(void)
{
    struct error e = {0};
    vault_close(trust.vault);
    trust.vault = vault_open(&trust, &e);
    if (!trust.vault)
        fail_msg("%s", e.text);
}

static const struct vault_place at = {7, S_INIT("account.email"), 1};

static enum err seal_apply(struct store_conn *c, void *out, struct error *e)
{
    return vault_seal(trust.vault, c, &arena, &at, S("hanako@example.jp"), out, e);
}

static struct str sealed(void)
{
    struct str out = STR_NONE;
    struct error e = {0};
    if (store_write(trust.store, seal_apply, &out, &e))
        fail_msg("%s", e.text);
    return out;
}

static enum err opens(struct str text)
{
    struct error e = {0};
    struct str plain;
    struct store_conn *c = store_read(trust.store, &e);
    enum err err = vault_unseal(trust.vault, c, &arena, &at, text, &plain, &e);
    store_read_done(c);
    return err;
}

static bool key_file(void)
{
    return access(arena_printf(&arena, "%s/vault.key", trust.data_dir), F_OK) == 0;
}

#define NEEDS_SOFTHSM()                                                                            \
    if (!tokens[0])                                                                                \
    skip()

static void a_new_vault_has_its_key_in_the_token_alone(void **state)
{
    (void)state;
    NEEDS_SOFTHSM();
    reopen();
    struct str text = sealed();
    assert_int_equal(opens(text), OK);
    assert_false(key_file());
    reopen();
    assert_int_equal(opens(text), OK);
    /* without the token's settings nothing opens, and nothing is made anew */
    trust.options.token.module = "";
    reopen();
    assert_int_equal(opens(text), ERR_UNAVAILABLE);
    assert_false(key_file());
    trust.options.token.module = MODULE;
    reopen();
    assert_int_equal(opens(text), OK);
}

static void a_key_moves_from_its_file_into_the_token(void **state)
{
    (void)state;
    NEEDS_SOFTHSM();
    trust.options.token.module = "";
    reopen();
    struct str text = sealed();
    assert_true(key_file());
    trust.options.token.module = MODULE;
    reopen();
    assert_int_equal(opens(text), OK);
    assert_int_equal(unlink(arena_printf(&arena, "%s/vault.key", trust.data_dir)), 0);
    reopen();
    assert_int_equal(opens(text), OK);
}

static void a_token_that_cannot_be_reached_closes_the_vault(void **state)
{
    static const struct token_options wrong[] = {
        {"/nonexistent.so", "marugoto", "marugoto-vault", "1234"},
        {"/lib/x86_64-linux-gnu/libc.so.6", "marugoto", "marugoto-vault", "1234"},
        {MODULE, "nobody", "marugoto-vault", "1234"},
        {MODULE, "marugoto", "no-such-key", "1234"},
        {MODULE, "marugoto", "marugoto-vault", "9999"},
    };
    (void)state;
    NEEDS_SOFTHSM();
    reopen();
    struct str text = sealed();
    struct token_options right = trust.options.token;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        trust.options.token = wrong[i];
        reopen();
        assert_int_equal(opens(text), ERR_UNAVAILABLE);
    }
    trust.options.token = right;
    reopen();
    assert_int_equal(opens(text), OK);
}

static enum err damage_apply(struct store_conn *c, void *wrapped, struct error *e)
{
    return store_exec(c, "UPDATE vault_root SET wrapped = $1", SV(SV_BLOB(*(struct str *)wrapped)),
                      NULL, e);
}

static void refuses_to_open(enum err want)
{
    struct error e = {0};
    vault_close(trust.vault);
    trust.vault = vault_open(&trust, &e);
    assert_null(trust.vault);
    assert_int_equal(e.code, want);
}

static void another_key_is_told(void **state)
{
    struct error e = {0};
    (void)state;
    NEEDS_SOFTHSM();
    reopen();
    sealed();
    trust.options.token.token = "other";
    refuses_to_open(ERR_CONFLICT);
    trust.options.token.token = "marugoto";
    reopen();
    char bytes[61] = {1};
    struct str forged = str_n(bytes, sizeof(bytes));
    assert_int_equal(store_write(trust.store, damage_apply, &forged, &e), OK);
    refuses_to_open(ERR_CONFLICT);
    forged.n--;
    assert_int_equal(store_write(trust.store, damage_apply, &forged, &e), OK);
    refuses_to_open(ERR_CONFLICT);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, open_store, close_store)
    const struct CMUnitTest tests[] = {
        T(a_new_vault_has_its_key_in_the_token_alone),
        T(a_key_moves_from_its_file_into_the_token),
        T(a_token_that_cannot_be_reached_closes_the_vault),
        T(another_key_is_told),
    };
    return cmocka_run_group_tests_name("trust/vault_token", tests, make_tokens, remove_tokens);
}
