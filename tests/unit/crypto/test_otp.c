/* One-time passwords: the vectors of RFC 4226 and 6238, steps around now, once each; base32. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/clock.h"
#include "crypto/otp.h"

static struct arena arena = ARENA_INIT;
#define SECRET S("12345678901234567890")

static void rfc4226_appendix_d(void **state)
{
    static const uint32_t codes[] = {755224, 287082, 359152, 969429, 338314,
                                     254676, 287922, 162583, 399871, 520489};
    (void)state;
    for (uint64_t i = 0; i < 10; i++)
        assert_int_equal(otp_hotp(SECRET, i, 6), codes[i]);
}

static void rfc6238_appendix_b(void **state)
{
    static const struct {
        uint64_t at;
        uint32_t code;
    } cases[] = {{59, 94287082},         {1111111109, 7081804},  {1111111111, 14050471},
                 {1234567890, 89005924}, {2000000000, 69279037}, {20000000000, 65353130}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(otp_hotp(SECRET, cases[i].at / OTP_STEP_S, 8), cases[i].code);
}

static bool good(int64_t at_s, int64_t used, const char *code, int64_t *step)
{
    return otp_matches(SECRET, at_s * SECOND_US, used, str_c(code), step);
}

static void a_step_before_or_after_and_once(void **state)
{
    int64_t step = 0;
    (void)state;
    /* Step 1 (30 s to 60 s) has 287082. */
    assert_true(good(59, -1, "287082", &step));
    assert_int_equal(step, 1);
    assert_true(good(29, -1, "287082", &step));
    assert_true(good(89, -1, "287082", &step));
    assert_false(good(90, -1, "287082", &step));
    assert_false(good(59, 1, "287082", &step)); /* used */
    assert_false(good(59, 2, "287082", &step)); /* one after it was */
    assert_true(good(59, 0, "287082", &step));
    assert_false(good(59, -1, "287083", &step));
    assert_false(good(59, -1, "28708", &step));
    assert_false(good(59, -1, "2870820", &step));
    assert_false(good(59, -1, "", &step));
}

static void base32_as_in_rfc4648(void **state)
{
    static const char *const pairs[][2] = {{"", ""},
                                           {"f", "MY"},
                                           {"fo", "MZXQ"},
                                           {"foo", "MZXW6"},
                                           {"foob", "MZXW6YQ"},
                                           {"fooba", "MZXW6YTB"},
                                           {"foobar", "MZXW6YTBOI"}};
    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        assert_true(str_eq(base32_encode(&arena, str_c(pairs[i][0])), str_c(pairs[i][1])));
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc4226_appendix_d),
        cmocka_unit_test(rfc6238_appendix_b),
        cmocka_unit_test(a_step_before_or_after_and_once),
        cmocka_unit_test(base32_as_in_rfc4648),
    };
    return cmocka_run_group_tests_name("crypto/otp", tests, NULL, NULL);
}
