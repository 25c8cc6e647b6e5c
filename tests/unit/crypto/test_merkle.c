/* The tree against published heads, and its proofs for every size against the definition. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "crypto/merkle.h"

enum { LEAVES = 70 };

static struct arena arena = ARENA_INIT;
static struct hash leaves[LEAVES];

/* MTH of RFC 9162 section 2.1.1, word for word. */
static struct hash by_definition(uint64_t at, uint64_t n)
{
    if (n == 0)
        return hash_sha256(STR_NONE);
    if (n == 1)
        return leaves[at];
    uint64_t k = 1;
    while (2 * k < n)
        k *= 2;
    struct hash l = by_definition(at, k), r = by_definition(at + k, n - k);
    return merkle_node(&l, &r);
}

static uint64_t stored; /* leaves that the store of nodes has */

static enum err read_node(void *ctx, unsigned level, uint64_t index, struct hash *out,
                          struct error *e)
{
    (void)ctx;
    if ((index + 1) << level > stored)
        return error_set(e, ERR_NOT_FOUND, "the subtree is not complete");
    *out = by_definition(index << level, (uint64_t)1 << level);
    return OK;
}

static const struct merkle_nodes nodes = {read_node, NULL};

static bool eq(struct hash x, struct hash y)
{
    return memcmp(x.b, y.b, HASH_BYTES) == 0;
}

static int make_leaves(void **state)
{
    (void)state;
    for (int i = 0; i < LEAVES; i++)
        leaves[i] = merkle_leaf(str_printf(&arena, "leaf %d", i));
    return 0;
}

/* Inputs and heads that certificate transparency's implementations share. */
static void heads_match_published_ones(void **state)
{
    static const struct {
        const char *leaf, *head;
    } steps[] = {
        {"", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"},
        {"00", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"},
        {"10", "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"},
        {"2021", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"},
        {"3031", "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"},
        {"40414243", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"},
        {"5051525354555657", "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"},
        {"606162636465666768696a6b6c6d6e6f",
         "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"},
    };
    struct merkle m = {0};
    (void)state;
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        struct str data = S("");
        assert_true(hex_decode(&arena, str_c(steps[i].leaf), &data));
        struct hash leaf = merkle_leaf(data);
        merkle_add(&m, &leaf);
        struct hash head = merkle_root(&m);
        struct str text = hex_encode(&arena, str_n((const char *)head.b, HASH_BYTES));
        assert_true(str_eq(text, str_c(steps[i].head)));
    }
}

static void growing_gives_the_same_head_as_the_definition(void **state)
{
    struct merkle m = {0};
    (void)state;
    assert_true(eq(merkle_root(&m), by_definition(0, 0)));
    for (uint64_t n = 1; n <= LEAVES; n++) {
        struct hash again;
        merkle_add(&m, &leaves[n - 1]);
        stored = n;
        assert_true(eq(merkle_root(&m), by_definition(0, n)));
        assert_int_equal(merkle_root_of(&nodes, n, &again, NULL), OK);
        assert_true(eq(again, by_definition(0, n)));
    }
}

static void every_leaf_is_proved_and_no_other(void **state)
{
    struct merkle_proof p;
    (void)state;
    for (uint64_t n = 1; n <= LEAVES; n++) {
        struct hash root = by_definition(0, n);
        stored = n;
        for (uint64_t i = 0; i < n; i++) {
            assert_int_equal(merkle_prove_leaf(&nodes, i, n, &p, NULL), OK);
            assert_true(merkle_has_leaf(&root, n, &leaves[i], i, &p));
            assert_false(merkle_has_leaf(&root, n, &leaves[(i + 1) % LEAVES], i, &p));
            assert_false(n > 1 && merkle_has_leaf(&root, n, &leaves[i], (i + 1) % n, &p));
            assert_false(merkle_has_leaf(&root, n, &leaves[i], n, &p));
            if (p.n) {
                p.path[p.n - 1].b[7] ^= 1;
                assert_false(merkle_has_leaf(&root, n, &leaves[i], i, &p));
                p.path[p.n - 1].b[7] ^= 1;
                p.n--;
                assert_false(merkle_has_leaf(&root, n, &leaves[i], i, &p));
                p.n++;
            }
            p.path[p.n] = root;
            p.n++;
            assert_false(merkle_has_leaf(&root, n, &leaves[i], i, &p));
        }
    }
    assert_int_equal(merkle_prove_leaf(&nodes, 3, 3, &p, NULL), ERR_INVALID);
}

static void growth_is_proved_and_a_changed_past_is_not(void **state)
{
    struct merkle_proof p;
    (void)state;
    stored = LEAVES;
    for (uint64_t to = 1; to <= LEAVES; to++) {
        struct hash root = by_definition(0, to);
        for (uint64_t from = 1; from <= to; from++) {
            struct hash old = by_definition(0, from), other = old;
            assert_int_equal(merkle_prove_growth(&nodes, from, to, &p, NULL), OK);
            assert_true(merkle_has_grown(&old, from, &root, to, &p));
            other.b[0] ^= 1;
            assert_false(merkle_has_grown(&other, from, &root, to, &p));
            assert_false(merkle_has_grown(&old, from, &other, to, &p));
            if (p.n) {
                p.path[0].b[31] ^= 1;
                assert_false(merkle_has_grown(&old, from, &root, to, &p));
                p.path[0].b[31] ^= 1;
                p.n--;
                assert_false(merkle_has_grown(&old, from, &root, to, &p));
            }
        }
    }
    assert_int_equal(merkle_prove_growth(&nodes, 0, 3, &p, NULL), ERR_INVALID);
    assert_int_equal(merkle_prove_growth(&nodes, 4, 3, &p, NULL), ERR_INVALID);
}

static void a_node_that_cannot_be_read_is_an_error(void **state)
{
    struct merkle_proof p;
    struct error e = {0};
    (void)state;
    stored = 5;
    assert_int_equal(merkle_prove_leaf(&nodes, 0, 8, &p, &e), ERR_NOT_FOUND);
    assert_int_equal(merkle_prove_growth(&nodes, 3, 8, &p, &e), ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_match_published_ones),
        cmocka_unit_test(growing_gives_the_same_head_as_the_definition),
        cmocka_unit_test(every_leaf_is_proved_and_no_other),
        cmocka_unit_test(growth_is_proved_and_a_changed_past_is_not),
        cmocka_unit_test(a_node_that_cannot_be_read_is_an_error),
    };
    int failed = cmocka_run_group_tests(tests, make_leaves, NULL);
    arena_release(&arena);
    return failed;
}
