/*
 * The log: what is appended can be proved, what was changed behind its back shows, erasing leaves
 * the tree as it is, a head is signed once for a size and only for what is durable.
 */
#include "../store/fixture.h"
#include "trust/log.h"
#include <stdio.h>
#include <string.h>

enum { MANY = 1000 };

static struct arena arena = ARENA_INIT;
static struct clock_fake fake;
static struct trust trust;

static int open_log(void **state)
{
    fixture_new(state);
    struct fixture *f = *state;
    struct error e = {0};
    fake = clock_fake_at(INT64_C(1700000000) * SECOND_US);
    trust = (struct trust){.clock = &fake.base, .data_dir = f->folder};
    config_defaults(&(struct config_bind){&trust_config, &trust.options});
    trust.options.log_origin = "city.example/log";
    trust.options.log_sign_ms = 3600000;
    if (store_open(&trust.store, &f->options, &fake.base, &trust_module, 1, &e))
        fail_msg("%s", e.text);
    trust.pool = pool_new(1, 10);
    if (trust_start(&trust, &e))
        fail_msg("%s", e.text);
    return 0;
}

static int close_log(void **state)
{
    trust_stop(&trust);
    pool_free(trust.pool);
    store_close(trust.store);
    arena_release(&arena);
    return fixture_free(state);
}

/* --- doing --- */

struct appending {
    int n;
    int64_t last;
};

static enum err append(struct store_conn *c, void *ctx, struct error *e)
{
    struct appending *p = ctx;
    enum err err = OK;
    for (int i = 0; !err && i < p->n; i++) {
        struct log_salt salt = {{(unsigned char)i}};
        struct log_entry entry = {.kind = S("access"),
                                  .at = fake.at + i,
                                  .commitment = log_commitment(&salt, S("who, when, why")),
                                  .sealed = S("sealed")};
        err = log_append(c, &entry, &p->last, e);
    }
    return err;
}

static int64_t append_many(int n)
{
    struct appending p = {.n = n};
    struct error e = {0};
    if (store_write(trust.store, append, &p, &e))
        fail_msg("%s", e.text);
    return p.last;
}

static void sign(void)
{
    struct error e = {0};
    if (log_sign(trust.log, &e))
        fail_msg("%s", e.text);
}

static struct store_conn *reader(void)
{
    struct error e = {0};
    struct store_conn *c = store_read(trust.store, &e);
    assert_non_null(c);
    return c;
}

static struct log_head head(struct store_conn *c)
{
    struct log_head h = {0};
    struct error e = {0};
    assert_int_equal(log_head(c, &arena, &h, &e), OK);
    return h;
}

static char findings[400];

static void note_finding(void *ctx, const char *what)
{
    (void)ctx;
    if (!findings[0])
        snprintf(findings, sizeof(findings), "%s", what);
}

static size_t check(void)
{
    struct note_key key;
    struct error e = {0};
    struct store_conn *c = reader();
    findings[0] = 0;
    assert_int_equal(note_key_parse(&arena, log_public_key(&arena, trust.log), &key, &e), OK);
    size_t n = log_check(c, &key, note_finding, NULL);
    store_read_done(c);
    return n;
}

/* --- tests --- */

static void entries_follow_one_another_and_are_proved(void **state)
{
    struct error e = {0};
    struct merkle_proof proof;
    (void)state;
    assert_int_equal(append_many(3), 2);
    sign();
    struct store_conn *c = reader();
    struct log_head three = head(c);
    store_read_done(c);
    assert_int_equal(append_many(MANY), MANY + 2);
    sign();
    c = reader();
    struct log_head all = head(c);
    struct merkle_nodes nodes = log_nodes(c);
    assert_int_equal(three.size, 3);
    assert_int_equal(all.size, MANY + 3);
    static const int64_t some[] = {0, 1, 2, 255, 256, 511, 767, 768, 1001, 1002};
    for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
        struct log_leaf leaf;
        assert_int_equal(log_read(c, &arena, some[i], &leaf, &e), OK);
        struct hash h = merkle_leaf(leaf.text);
        assert_int_equal(merkle_prove_leaf(&nodes, some[i], all.size, &proof, &e), OK);
        assert_true(merkle_has_leaf(&all.root, all.size, &h, some[i], &proof));
    }
    assert_int_equal(merkle_prove_growth(&nodes, 3, all.size, &proof, &e), OK);
    assert_true(merkle_has_grown(&three.root, 3, &all.root, all.size, &proof));
    struct log_leaf none;
    assert_int_equal(log_read(c, &arena, MANY + 3, &none, &e), ERR_NOT_FOUND);
    store_read_done(c);
    assert_int_equal(check(), 0);
}

static void a_leaf_says_kind_time_and_commitment_only(void **state)
{
    struct log_leaf leaf;
    struct error e = {0};
    (void)state;
    append_many(1);
    struct store_conn *c = reader();
    assert_int_equal(log_read(c, &arena, 0, &leaf, &e), OK);
    store_read_done(c);
    struct log_salt salt = {{0}};
    struct hash h = log_commitment(&salt, S("who, when, why"));
    struct str text = str_printf(
        &arena,
        "{\"kind\":\"access\",\"at\":\"2023-11-14T22:13:20.000Z\",\"commitment\":\"%" STR_F "\"}",
        STR_A(base64url_encode(&arena, str_n((const char *)h.b, HASH_BYTES))));
    assert_true(str_eq(leaf.text, text));
    assert_true(str_eq(leaf.sealed, S("sealed")));
}

static enum err erase(struct store_conn *c, void *ctx, struct error *e)
{
    return log_erase(c, *(int64_t *)ctx, e);
}

static void erasing_leaves_the_tree_as_it_is(void **state)
{
    struct log_leaf leaf;
    struct error e = {0};
    int64_t at = 1, beyond = 3;
    (void)state;
    append_many(3);
    sign();
    assert_int_equal(store_write(trust.store, erase, &at, &e), OK);
    assert_int_equal(store_write(trust.store, erase, &beyond, &e), ERR_NOT_FOUND);
    struct store_conn *c = reader();
    assert_int_equal(log_read(c, &arena, 1, &leaf, &e), OK);
    assert_null(leaf.sealed.p);
    store_read_done(c);
    assert_int_equal(check(), 0);
}

/* A failing change takes its entry with it: nothing was released, nothing is told. */
static enum err append_and_fail(struct store_conn *c, void *ctx, struct error *e)
{
    enum err err = append(c, ctx, e);
    return err ? err : error_set(e, ERR_FORBIDDEN, "no");
}

static void an_entry_lives_and_dies_with_its_change(void **state)
{
    struct appending p = {.n = 300};
    struct error e = {0};
    int64_t size;
    (void)state;
    append_many(2);
    assert_int_equal(store_write(trust.store, append_and_fail, &p, &e), ERR_FORBIDDEN);
    struct store_conn *c = reader();
    assert_int_equal(log_size(c, &size, &e), OK);
    assert_int_equal(size, 2);
    store_read_done(c);
    assert_int_equal(append_many(1), 2);
    sign();
    assert_int_equal(check(), 0);
}

static enum err append_bad_kind(struct store_conn *c, void *ctx, struct error *e)
{
    struct log_entry entry = {.kind = str_c(ctx)};
    int64_t index;
    return log_append(c, &entry, &index, e);
}

static void kinds_are_plain_words(void **state)
{
    static const char *const bad[] = {"", "Access", "a b", "a\"b", "あ"};
    struct error e = {0};
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(store_write(trust.store, append_bad_kind, (void *)bad[i], &e),
                         ERR_INVALID);
}

static void a_head_is_a_signed_checkpoint(void **state)
{
    struct note_key key;
    struct str text, origin;
    struct hash root;
    struct error e = {0};
    int64_t size;
    (void)state;
    append_many(5);
    sign();
    sign(); /* nothing new: the same head */
    struct store_conn *c = reader();
    struct log_head h = head(c);
    store_read_done(c);
    assert_int_equal(note_key_parse(&arena, log_public_key(&arena, trust.log), &key, &e), OK);
    assert_int_equal(note_open(&arena, h.note, &key, 1, &text, NULL, &e), OK);
    assert_int_equal(log_checkpoint_parse(&arena, text, &origin, &size, &root, &e), OK);
    assert_true(str_eq(origin, S("city.example/log")));
    assert_int_equal(size, 5);
    assert_memory_equal(root.b, h.root.b, HASH_BYTES);
}

static void checkpoints_are_read_strictly(void **state)
{
    static const char *const bad[] = {
        "",
        "x\n",
        "x\n5\n",
        "x\n5\nAAAA\n",
        "x\n-1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
        "x\n05\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
        "\n5\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
        "x\n5\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
    };
    struct str origin;
    struct hash root;
    struct error e = {0};
    int64_t size;
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(log_checkpoint_parse(&arena, str_c(bad[i]), &origin, &size, &root, &e),
                         ERR_INVALID);
    assert_int_equal(log_checkpoint_parse(
                         &arena, S("x\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\nmore\n"),
                         &origin, &size, &root, &e),
                     OK);
    assert_int_equal(size, 0);
}

/* What somebody with the database in hand could do. */
static enum err tamper(struct store_conn *c, void *ctx, struct error *e)
{
    return store_exec(c, ctx, SV_EMPTY, NULL, e);
}

static void tampering_shows(void **state)
{
    static const struct {
        const char *sql, *finding;
    } cases[] = {
        {"UPDATE log_leaf SET leaf = '{}' WHERE n = 7",
         "log: the hash of entry 7 is not that of its text"},
        {"DELETE FROM log_leaf WHERE n = 7", "log: entry 8 stands where 7 belongs"},
        {"DELETE FROM log_leaf WHERE n = 599", "log: 599 entries are there, 600 were written"},
        {"UPDATE log_leaf SET hash = (SELECT hash FROM log_leaf WHERE n = 8) WHERE n = 7",
         "log: the hash of entry 7 is not that of its text"},
        {"UPDATE log_node SET hash = (SELECT hash FROM log_leaf WHERE n = 8) WHERE n = 1",
         "log: node 1 of level 8 is not that of its leaves"},
        {"DELETE FROM log_node WHERE n = 0", "log: node 0 of level 8 is not that of its leaves"},
        {"UPDATE log_head SET root = (SELECT hash FROM log_leaf WHERE n = 8) WHERE size = 600",
         "log: the head of size 600 is not that of its leaves"},
        {"UPDATE log_head SET note = 'x' WHERE size = 600",
         "log: the head of size 600: this is not a signed note"},
        {"UPDATE log_head SET note = (SELECT note FROM log_head WHERE size = 0) WHERE size = 600",
         "log: the head of size 600 is not what was signed"},
    };
    struct error e = {0};
    (void)state;
    append_many(600);
    sign();
    assert_int_equal(check(), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(store_write(trust.store, tamper,
                                     (void *)"CREATE TABLE keep_leaf AS SELECT * FROM log_leaf",
                                     &e),
                         OK);
        assert_int_equal(store_write(trust.store, tamper,
                                     (void *)"CREATE TABLE keep_node AS SELECT * FROM log_node",
                                     &e),
                         OK);
        assert_int_equal(store_write(trust.store, tamper,
                                     (void *)"CREATE TABLE keep_head AS SELECT * FROM log_head",
                                     &e),
                         OK);
        assert_int_equal(store_write(trust.store, tamper, (void *)cases[i].sql, &e), OK);
        assert_true(check() > 0);
        assert_string_equal(findings, cases[i].finding);
        static const char *const back[] = {
            "DELETE FROM log_leaf", "INSERT INTO log_leaf SELECT * FROM keep_leaf",
            "DELETE FROM log_node", "INSERT INTO log_node SELECT * FROM keep_node",
            "DELETE FROM log_head", "INSERT INTO log_head SELECT * FROM keep_head",
            "DROP TABLE keep_leaf", "DROP TABLE keep_node",
            "DROP TABLE keep_head"};
        for (size_t k = 0; k < sizeof(back) / sizeof(back[0]); k++)
            assert_int_equal(store_write(trust.store, tamper, (void *)back[k], &e), OK);
        assert_int_equal(check(), 0);
    }
}

/* Whoever opens the city again signs with the same key; without its file the log goes on, unsigned.
 */
static void the_key_stays_and_its_loss_is_not_papered_over(void **state)
{
    struct fixture *f = *state;
    struct error e = {0};
    char path[200], away[200];
    append_many(1);
    sign();
    struct str key = log_public_key(&arena, trust.log);
    trust_stop(&trust);
    assert_int_equal(trust_start(&trust, &e), OK);
    assert_true(str_eq(key, log_public_key(&arena, trust.log)));
    trust_stop(&trust);
    fixture_path(f, "log.key", path, sizeof(path));
    fixture_path(f, "away.key", away, sizeof(away));
    assert_int_equal(rename(path, away), 0);
    assert_int_equal(trust_start(&trust, &e), OK);
    assert_null(log_public_key(&arena, trust.log).p);
    append_many(1);
    assert_int_equal(log_sign(trust.log, &e), ERR_UNAVAILABLE);
    trust_stop(&trust);
    assert_int_equal(rename(away, path), 0);
    assert_int_equal(trust_start(&trust, &e), OK);
    struct store_conn *c = reader();
    assert_int_equal(head(c).size, 2);
    store_read_done(c);
    assert_int_equal(check(), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, open_log, close_log)
    const struct CMUnitTest tests[] = {
        T(entries_follow_one_another_and_are_proved),
        T(a_leaf_says_kind_time_and_commitment_only),
        T(erasing_leaves_the_tree_as_it_is),
        T(an_entry_lives_and_dies_with_its_change),
        T(kinds_are_plain_words),
        T(a_head_is_a_signed_checkpoint),
        T(checkpoints_are_read_strictly),
        T(tampering_shows),
        T(the_key_stays_and_its_loss_is_not_papered_over),
    };
    return cmocka_run_group_tests_name("trust/log", tests, NULL, NULL);
}
