/* Keys and tokens: the examples of the RFCs, our own round trips, and what must be refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "crypto/jose.h"

static struct arena arena = ARENA_INIT;

/* RFC 7515 appendix A.3 */
#define EC_PUBLIC                                                                                  \
    "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","      \
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\""
#define EC_PRIVATE EC_PUBLIC ",\"d\":\"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI\""
#define EC_TOKEN                                                                                   \
    "eyJhbGciOiJFUzI1NiJ9."                                                                        \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVl" \
    "fQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
/* RFC 8037 appendix A */
#define OKP_PUBLIC                                                                                 \
    "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\""
#define OKP_PRIVATE OKP_PUBLIC ",\"d\":\"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A\""
#define OKP_TOKEN                                                                                  \
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."                                    \
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
/* RFC 7638 section 3.1 */
#define RSA_PUBLIC                                                                                 \
    "\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4"  \
    "cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl9" \
    "3lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n9" \
    "1CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU" \
    "8awapJzKnqDKgw\""

static enum err parse(const char *jwk, bool private_too, struct jose_key **out)
{
    struct error e = {0};
    const struct json *v = json_parse(&arena, str_c(jwk), &JSON_DEFAULT, &e);
    *out = NULL;
    return jose_key_parse(v, JOSE_PS256, private_too, out, &e);
}

static struct jose_key *key(const char *jwk, bool private_too)
{
    struct jose_key *k;
    assert_int_equal(parse(jwk, private_too, &k), OK);
    return k;
}

static enum err check(struct str token, const struct jose_key *k, struct jws *j)
{
    struct error e = {0};
    enum err err = jws_read(&arena, token, j, &e);
    return err ? err : jws_verify(j, k, &e);
}

static void tokens_of_the_rfcs_verify(void **state)
{
    struct jose_key *ec = key("{" EC_PUBLIC "}", false), *okp = key("{" OKP_PUBLIC "}", false);
    struct jws j;
    (void)state;
    assert_int_equal(check(S(EC_TOKEN), ec, &j), OK);
    assert_true(str_starts(j.payload, S("{\"iss\":\"joe\"")));
    assert_int_equal(check(S(OKP_TOKEN), okp, &j), OK);
    assert_true(str_eq(j.payload, S("Example of Ed25519 signing")));
    /* an algorithm belongs to a key, whatever the token says */
    assert_int_equal(check(S(OKP_TOKEN), ec, &j), ERR_UNAUTHENTICATED);
    jose_key_free(ec);
    jose_key_free(okp);
}

static void thumbprints_match_the_rfcs(void **state)
{
    struct jose_key *rsa = key("{" RSA_PUBLIC ",\"alg\":\"RS256\",\"kid\":\"2011-04-29\"}", false);
    struct jose_key *okp = key("{" OKP_PUBLIC "}", false);
    (void)state;
    assert_true(str_eq(jose_key_thumbprint(rsa), S("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs")));
    assert_true(str_eq(jose_key_id(rsa), S("2011-04-29")));
    assert_int_equal(jose_key_alg(rsa), JOSE_RS256);
    assert_true(str_eq(jose_key_thumbprint(okp), S("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k")));
    assert_true(str_eq(jose_key_id(okp), jose_key_thumbprint(okp)));
    jose_key_free(rsa);
    jose_key_free(okp);
}

static const char *written(const struct jose_key *k, bool private_too)
{
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    struct error e = {0};
    assert_int_equal(jose_key_write(&w, k, private_too, &e), OK);
    const char *text = str_z(&arena, buf_view(&b));
    buf_release(&b);
    return text;
}

static void each_algorithm_signs_and_survives_being_written(void **state)
{
    (void)state;
    for (int alg = 0; alg < JOSE_ALGS; alg++) {
        struct jose_key *made, *other;
        struct str token;
        struct jws j;
        struct error e = {0};
        assert_int_equal(jose_key_make((enum jose_alg)alg, &made, &e), OK);
        assert_int_equal(jose_key_make((enum jose_alg)alg, &other, &e), OK);
        struct jose_key *kept = key(written(made, true), true);
        struct jose_key *shown = key(written(made, false), false);
        assert_true(jose_key_signs(kept));
        assert_false(jose_key_signs(shown));
        assert_true(str_eq(jose_key_id(kept), jose_key_id(made)));
        assert_int_equal(jws_sign(&arena, kept, S("at+jwt"), S("{\"sub\":\"x\"}"), &token, &e), OK);
        assert_int_equal(check(token, shown, &j), OK);
        assert_true(str_eq(j.type, S("at+jwt")));
        assert_true(str_eq(j.kid, jose_key_id(made)));
        assert_true(str_eq(j.payload, S("{\"sub\":\"x\"}")));
        assert_int_equal(check(token, other, &j), ERR_UNAUTHENTICATED);
        assert_int_equal(jws_sign(&arena, shown, STR_NONE, S("x"), &token, &e), ERR_INVALID);
        jose_key_free(made);
        jose_key_free(other);
        jose_key_free(kept);
        jose_key_free(shown);
    }
}

/* Every byte of the token counts. */
static void a_changed_token_does_not_verify(void **state)
{
    struct jose_key *k = key("{" EC_PUBLIC "}", false);
    char text[sizeof(EC_TOKEN)];
    struct jws j;
    (void)state;
    for (size_t i = 0; i < sizeof(EC_TOKEN) - 1; i++) {
        memcpy(text, EC_TOKEN, sizeof(text));
        text[i] = text[i] == 'A' ? 'B' : 'A';
        assert_int_not_equal(check(str_n(text, sizeof(text) - 1), k, &j), OK);
        assert_int_not_equal(check(str_n(text, i), k, &j), OK);
    }
    jose_key_free(k);
}

/* A token with any header over the payload "x", signed by nobody. */
static struct str forged(const char *header, struct str signature)
{
    return str_printf(&arena, "%" STR_F ".eA.%" STR_F,
                      STR_A(base64url_encode(&arena, str_c(header))),
                      STR_A(base64url_encode(&arena, signature)));
}

static void forgeries_are_refused(void **state)
{
    static const char zeros[64];
    struct jose_key *k = key("{" EC_PUBLIC "}", false);
    struct jws j;
    char half[64] = {0};
    (void)state;
    half[63] = 1; /* r = 0, s = 1 */
    assert_int_equal(check(forged("{\"alg\":\"ES256\"}", str_n(zeros, 64)), k, &j),
                     ERR_UNAUTHENTICATED);
    assert_int_equal(check(forged("{\"alg\":\"ES256\"}", str_n(half, 64)), k, &j),
                     ERR_UNAUTHENTICATED);
    assert_int_equal(check(forged("{\"alg\":\"none\"}", S("")), k, &j), ERR_UNAUTHENTICATED);
    assert_int_equal(check(forged("{\"alg\":\"HS256\"}", str_n(zeros, 32)), k, &j),
                     ERR_UNAUTHENTICATED);
    assert_int_equal(check(forged("{\"alg\":\"ES256\",\"crit\":[\"b64\"]}", S("")), k, &j),
                     ERR_INVALID);
    assert_int_equal(check(forged("{\"alg\":\"none\",\"alg\":\"ES256\"}", S("")), k, &j),
                     ERR_INVALID);
    assert_int_equal(check(forged("{\"alg\":7}", S("")), k, &j), ERR_INVALID);
    assert_int_equal(check(forged("{\"alg\":\"ES256\",\"kid\":7}", S("")), k, &j), ERR_INVALID);
    assert_int_equal(check(forged("[]", S("")), k, &j), ERR_INVALID);
    assert_int_equal(check(S(""), k, &j), ERR_INVALID);
    assert_int_equal(check(S(".."), k, &j), ERR_INVALID);
    assert_int_equal(check(S("a.b"), k, &j), ERR_INVALID);
    assert_int_equal(check(S(EC_TOKEN "."), k, &j), ERR_INVALID);
    assert_int_equal(check(S(EC_TOKEN "="), k, &j), ERR_INVALID);
    jose_key_free(k);
}

static void endless_tokens_are_refused(void **state)
{
    char *p = arena_alloc(&arena, 70000);
    struct jws j;
    struct error e = {0};
    (void)state;
    memset(p, 'A', 70000);
    assert_int_equal(jws_read(&arena, str_n(p, 70000), &j, &e), ERR_TOO_LARGE);
}

static void keys_that_must_not_be_are_refused(void **state)
{
    static const char *const jwks[] = {
        "[]",
        "{}",
        "{\"kty\":\"oct\",\"k\":\"AAAA\"}",
        "{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"AA\",\"y\":\"AA\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\"}",
        /* not on the curve */
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
        "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a1\"}",
        "{" EC_PUBLIC ",\"use\":\"enc\"}",
        "{" EC_PUBLIC ",\"key_ops\":[\"encrypt\"]}",
        "{" EC_PUBLIC ",\"alg\":\"RS256\"}",
        "{" EC_PUBLIC ",\"alg\":\"none\"}",
        "{" EC_PUBLIC ",\"kid\":7}",
        "{" EC_PUBLIC ",\"kid\":\"\"}",
        "{" OKP_PUBLIC ",\"alg\":\"ES256\"}",
        "{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"11qYAYKxCrfVS_"
        "7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
        "{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"0vx7agoebGc\"}", /* too short */
        "{\"kty\":\"RSA\",\"e\":\"Ag\",\"n\":\"0vx7agoebGc\"}",
        "{" EC_PRIVATE "}",
        "{" OKP_PRIVATE "}",
    };
    struct jose_key *k;
    (void)state;
    for (size_t i = 0; i < sizeof(jwks) / sizeof(jwks[0]); i++)
        assert_int_equal(parse(jwks[i], false, &k), ERR_INVALID);
    /* a private part that is not of the public one */
    assert_int_equal(parse("{" EC_PUBLIC ",\"d\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\"}",
                           true, &k),
                     ERR_INVALID);
    assert_int_equal(parse("{" OKP_PUBLIC ",\"d\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\"}",
                           true, &k),
                     ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_of_the_rfcs_verify),
        cmocka_unit_test(thumbprints_match_the_rfcs),
        cmocka_unit_test(each_algorithm_signs_and_survives_being_written),
        cmocka_unit_test(a_changed_token_does_not_verify),
        cmocka_unit_test(forgeries_are_refused),
        cmocka_unit_test(endless_tokens_are_refused),
        cmocka_unit_test(keys_that_must_not_be_are_refused),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_release(&arena);
    return failed;
}
