/* Sealed data open with their key at their place, and in no other way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "crypto/seal.h"

static struct arena arena = ARENA_INIT;
static const struct str here[] = {S_INIT("subject-1"), S_INIT("allergy"), S_INIT("note")};
static const struct str there[] = {S_INIT("subject-2"), S_INIT("allergy"), S_INIT("note")};
static const struct str shifted[] = {S_INIT("subject-1a"), S_INIT("llergy"), S_INIT("note")};
#define AT(parts)                                                                                  \
    (struct seal_context)                                                                          \
    {                                                                                              \
        (parts), 3                                                                                 \
    }

static void opens_with_its_key_at_its_place_only(void **state)
{
    struct seal_key k = seal_key_new(), other = seal_key_new();
    struct str plain = S("そば、卵"), got = STR_NONE;
    struct str sealed = seal(&arena, &k, AT(here), plain);
    (void)state;
    assert_int_equal(sealed.n, plain.n + SEAL_OVERHEAD);
    assert_true(unseal(&arena, &k, AT(here), sealed, &got));
    assert_true(str_eq(got, plain));
    assert_false(unseal(&arena, &other, AT(here), sealed, &got));
    assert_false(unseal(&arena, &k, AT(there), sealed, &got));
    assert_false(unseal(&arena, &k, AT(shifted), sealed, &got));
    struct str again = seal(&arena, &k, AT(here), plain);
    assert_false(str_eq(sealed, again)); /* a nonce of its own */
}

static void every_flipped_bit_and_every_cut_shows(void **state)
{
    struct seal_key k = seal_key_new();
    struct str got = STR_NONE, sealed = seal(&arena, &k, AT(here), S("x"));
    char *p = (char *)arena_dup(&arena, sealed.p, sealed.n);
    (void)state;
    for (size_t i = 0; i < sealed.n; i++) {
        for (int bit = 0; bit < 8; bit++) {
            p[i] = (char)(p[i] ^ (1 << bit));
            assert_false(unseal(&arena, &k, AT(here), str_n(p, sealed.n), &got));
            p[i] = (char)(p[i] ^ (1 << bit));
        }
        assert_false(unseal(&arena, &k, AT(here), str_n(p, i), &got));
    }
    assert_true(unseal(&arena, &k, AT(here), str_n(p, sealed.n), &got));
}

static void keys_are_wrapped(void **state)
{
    struct seal_key kek = seal_key_new(), k = seal_key_new(), got = {{0}};
    struct str wrapped = seal_wrap(&arena, &kek, AT(here), &k);
    (void)state;
    assert_true(seal_unwrap(&kek, AT(here), wrapped, &got));
    assert_memory_equal(got.b, k.b, sizeof(k.b));
    assert_false(seal_unwrap(&kek, AT(there), wrapped, &got));
    assert_false(seal_unwrap(&k, AT(here), wrapped, &got));
    assert_false(seal_unwrap(&kek, AT(here), str_sub(wrapped, 0, wrapped.n - 1), &got));
    seal_key_wipe(&k);
    for (size_t i = 0; i < sizeof(k.b); i++)
        assert_int_equal(k.b[i], 0);
}

static void derivation_is_hkdf(void **state)
{
    struct seal_key root, got;
    struct str want;
    (void)state;
    memset(root.b, 0x0b, sizeof(root.b));
    /* openssl kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt hexkey:0b...0b -kdfopt info:city HKDF */
    assert_true(hex_decode(&arena,
                           S("149f098389edbed0a06a29a7d999c9b0a971eb22f51ad78634bf771c104867fc"),
                           &want));
    got = seal_key_derive(&root, S("city"));
    assert_memory_equal(got.b, want.p, sizeof(got.b));
    struct seal_key a = seal_key_derive(&root, S("a")), b = seal_key_derive(&root, S("b"));
    assert_memory_not_equal(a.b, b.b, sizeof(a.b));
}

static void blind_indexes_depend_on_key_and_value(void **state)
{
    struct seal_key k = seal_key_new(), other = seal_key_new();
    struct hash x = seal_blind(&k, S("値")), y = seal_blind(&k, S("値")),
                z = seal_blind(&k, S("値2")), w = seal_blind(&other, S("値"));
    (void)state;
    assert_memory_equal(x.b, y.b, HASH_BYTES);
    assert_memory_not_equal(x.b, z.b, HASH_BYTES);
    assert_memory_not_equal(x.b, w.b, HASH_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_with_its_key_at_its_place_only),
        cmocka_unit_test(every_flipped_bit_and_every_cut_shows),
        cmocka_unit_test(keys_are_wrapped),
        cmocka_unit_test(derivation_is_hkdf),
        cmocka_unit_test(blind_indexes_depend_on_key_and_value),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_release(&arena);
    return failed;
}
