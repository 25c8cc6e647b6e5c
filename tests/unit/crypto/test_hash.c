/* Digests against published values, strictness of the decoders, shape of random texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "crypto/hash.h"

static struct arena arena = ARENA_INIT;

static struct str hex(struct hash h)
{
    return hex_encode(&arena, str_n((const char *)h.b, sizeof(h.b)));
}

#define assert_str(got, want) assert_true(str_eq((got), S(want)))

static void digests_match_published_values(void **state)
{
    (void)state;
    /* FIPS 180-4 examples; BLAKE2b-256 of "" and "abc" as computed by b2sum -l 256 */
    assert_str(hex(hash_sha256(S("abc"))),
               "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_str(hex(hash_sha256(STR_NONE)),
               "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_str(hex(hash_blake2b(S("abc"))),
               "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
    assert_str(hex(hash_blake2b(STR_NONE)),
               "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8");
}

static void field_boundaries_count(void **state)
{
    (void)state;
    struct str one[] = {S("ab"), S("c")}, two[] = {S("a"), S("bc")};
    struct str empty[] = {S("ab"), S("c"), S("")}, absent[] = {S("ab"), S("c"), STR_NONE};
    struct hash h[] = {hash_blake2b_fields(one, 2), hash_blake2b_fields(two, 2),
                       hash_blake2b_fields(empty, 3), hash_blake2b_fields(absent, 3),
                       hash_blake2b(S("abc"))};
    for (size_t i = 0; i < 5; i++)
        for (size_t k = i + 1; k < 5; k++)
            assert_memory_not_equal(h[i].b, h[k].b, HASH_BYTES);
    struct hash again = hash_blake2b_fields(one, 2);
    assert_memory_equal(h[0].b, again.b, HASH_BYTES);
}

static void encodings_round_trip(void **state)
{
    (void)state;
    unsigned char raw[70];
    random_bytes(raw, sizeof(raw));
    for (size_t n = 0; n <= sizeof(raw); n++) {
        struct str in = str_n((char *)raw, n), out = STR_NONE;
        assert_true(hex_decode(&arena, hex_encode(&arena, in), &out));
        assert_true(bytes_equal(in, out));
        assert_true(base64_decode(&arena, base64_encode(&arena, in), &out));
        assert_true(bytes_equal(in, out));
        assert_true(base64url_decode(&arena, base64url_encode(&arena, in), &out));
        assert_true(bytes_equal(in, out));
    }
    /* RFC 4648 section 10 */
    assert_str(base64_encode(&arena, S("foob")), "Zm9vYg==");
    assert_str(base64url_encode(&arena, S("foob")), "Zm9vYg");
    assert_str(base64url_encode(&arena, S("\xfb\xff")), "-_8");
    assert_str(hex_encode(&arena, S("\x01\xab")), "01ab");
}

static void decoders_are_strict(void **state)
{
    (void)state;
    struct str out = S("untouched");
    static const char *const bad_hex[] = {"0", "0g", "01 02", "0x01", "01:02"};
    for (size_t i = 0; i < sizeof(bad_hex) / sizeof(*bad_hex); i++)
        assert_false(hex_decode(&arena, str_c(bad_hex[i]), &out));
    static const char *const bad[] = {"Zm9vYg",   "Zm9vYg=",  "Zm9v Yg==",
                                      "Zm9vYh==", "Zg==Zg==", "="};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_false(base64_decode(&arena, str_c(bad[i]), &out));
    static const char *const bad_url[] = {"Zm9vYg==", "Zm9vYh", "Zm9+", "Zm9v\n", "A"};
    for (size_t i = 0; i < sizeof(bad_url) / sizeof(*bad_url); i++)
        assert_false(base64url_decode(&arena, str_c(bad_url[i]), &out));
    assert_str(out, "untouched");
    assert_true(hex_decode(&arena, S("AbCd"), &out));
    assert_int_equal(out.n, 2);
}

static void equality_looks_at_length_and_content(void **state)
{
    (void)state;
    assert_true(bytes_equal(S("same"), S("same")));
    assert_false(bytes_equal(S("same"), S("samf")));
    assert_false(bytes_equal(S("same"), S("sam")));
    assert_true(bytes_equal(STR_NONE, S("")));
}

static void random_texts_have_their_shape(void **state)
{
    (void)state;
    struct str t = random_token(&arena, 32), u = uuid_v4(&arena);
    assert_int_equal(t.n, 43);
    assert_false(str_eq(t, random_token(&arena, 32)));
    assert_int_equal(u.n, 36);
    assert_int_equal(u.p[14], '4');
    assert_non_null(strchr("89ab", u.p[19]));
    for (size_t i = 0; i < u.n; i++) {
        if (i == 8 || i == 13 || i == 18 || i == 23)
            assert_int_equal(u.p[i], '-');
        else
            assert_non_null(strchr("0123456789abcdef", u.p[i]));
    }
    assert_false(str_eq(u, uuid_v4(&arena)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_match_published_values),
        cmocka_unit_test(field_boundaries_count),
        cmocka_unit_test(encodings_round_trip),
        cmocka_unit_test(decoders_are_strict),
        cmocka_unit_test(equality_looks_at_length_and_content),
        cmocka_unit_test(random_texts_have_their_shape),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_release(&arena);
    return failed;
}
