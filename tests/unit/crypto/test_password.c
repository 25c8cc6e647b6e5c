/* Passwords: what matches, what is refused, what is to be hashed again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "crypto/password.h"

static struct arena arena = ARENA_INIT;

static void a_password_matches_its_own_hash_only(void **state)
{
    struct str h, again;
    struct error e = {0};
    (void)state;
    assert_int_equal(password_hash(&arena, S("五月雨を集めて早し"), &h, &e), OK);
    assert_true(str_starts(h, S("$argon2id$v=19$m=19456,t=2,p=1$")));
    assert_true(password_matches(h, S("五月雨を集めて早し")));
    assert_false(password_matches(h, S("五月雨を集めて速し")));
    assert_false(password_matches(h, STR_NONE));
    assert_false(password_outdated(h));
    assert_int_equal(password_hash(&arena, S("五月雨を集めて早し"), &again, &e), OK);
    assert_false(str_eq(h, again)); /* a salt of its own */
}

static void what_is_no_hash_matches_nothing(void **state)
{
    static const char *const texts[] = {"", "x", "$argon2id$v=19$m=19456,t=2,p=1$",
                                        "$argon2id$v=19$m=4294967295,t=2,p=1$AAAA$AAAA",
                                        "$2y$10$abcdefghijklmnopqrstuv"};
    char longer[400];
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_false(password_matches(str_c(texts[i]), S("")));
        assert_false(password_matches(str_c(texts[i]), S("x")));
        assert_true(password_outdated(str_c(texts[i])));
    }
    memset(longer, '$', sizeof(longer));
    assert_false(password_matches(str_n(longer, sizeof(longer)), S("x")));
    assert_false(password_matches(STR_NONE, S("x")));
}

static void endless_passwords_are_refused(void **state)
{
    static char longer[PASSWORD_BYTES_MAX + 1];
    struct str h;
    struct error e = {0};
    (void)state;
    memset(longer, 'a', sizeof(longer));
    assert_int_equal(password_hash(&arena, str_n(longer, sizeof(longer)), &h, &e), ERR_TOO_LARGE);
    assert_int_equal(password_hash(&arena, str_n(longer, PASSWORD_BYTES_MAX), &h, &e), OK);
    assert_false(password_matches(h, str_n(longer, sizeof(longer))));
    assert_true(password_matches(h, str_n(longer, PASSWORD_BYTES_MAX)));
}

static void cheaper_hashes_are_outdated(void **state)
{
    (void)state;
    assert_true(password_outdated(S("$argon2id$v=19$m=8192,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$"
                                    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_password_matches_its_own_hash_only),
        cmocka_unit_test(what_is_no_hash_matches_nothing),
        cmocka_unit_test(endless_passwords_are_refused),
        cmocka_unit_test(cheaper_hashes_are_outdated),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_release(&arena);
    return failed;
}
