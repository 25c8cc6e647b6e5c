/* Redirect addresses: what a client may register, and what counts as the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "oidc_impl.h"

static void test_web(void **state)
{
    static const char *const good[] = {"https://app.example/back", "https://app.example",
                                       "https://app.example:8443/b?x=1", "https://[2001:db8::1]/b"};
    static const char *const bad[] = {"http://app.example/back",
                                      "https://",
                                      "https:///back",
                                      "https://user@app.example/",
                                      "https://user:pw@app.example/",
                                      "https://app.example/#f",
                                      "https://app.example/a b",
                                      "https://app.example\\@evil.example/",
                                      "https://APP.example/",
                                      "https://app.example:0/",
                                      "https://app.example:65536/",
                                      "https://app.example:x/",
                                      "https://app.example%2eevil/",
                                      "HTTPS://app.example/",
                                      "//app.example/",
                                      "https://[::1/",
                                      "javascript:alert(1)",
                                      "data:text/html,x",
                                      "https://app.example/\xe3\x81\x82"};
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(uri_is_web(str_c(good[i]), false));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(uri_is_web(str_c(bad[i]), true));
    assert_false(uri_is_web(S("http://127.0.0.1/b"), false));
    assert_true(uri_is_web(S("http://127.0.0.1:80/b"), true));
    assert_true(uri_is_web(S("http://localhost/b"), true));
    assert_false(uri_is_web(S("http://localhost.evil.example/b"), true));
    assert_false(uri_is_web(S("http://127.0.0.1.evil.example/b"), true));
    assert_false(uri_is_web(S("http://127.0.0.2/b"), true));
}

static void test_same(void **state)
{
    static const struct {
        const char *registered, *sent;
        bool same;
    } cases[] = {
        {"https://app.example/back", "https://app.example/back", true},
        {"https://app.example/back", "https://app.example/back/", false},
        {"https://app.example/back", "https://app.example/back?x=1", false},
        {"https://app.example/back", "https://app.example/ba%63k", false},
        {"https://app.example/back", "https://app.example/back#", false},
        {"https://app.example/back", "https://app.example:443/back", false},
        {"https://app.example/back", "http://app.example/back", false},
        {"https://app.example/back", "https://app.example/back/../evil", false},
        {"https://app.example/", "https://app.example.evil.example/", false},
        {"http://127.0.0.1/b", "http://127.0.0.1:5000/b", true},
        {"http://127.0.0.1:1/b", "http://127.0.0.1:65535/b", true},
        {"http://127.0.0.1:1/b", "http://127.0.0.1/b", true},
        {"http://[::1]/b", "http://[::1]:5000/b", true},
        {"http://[::1]/b", "http://127.0.0.1:5000/b", false},
        {"http://127.0.0.1/b", "http://127.0.0.1:5000/c", false},
        {"http://127.0.0.1/b", "http://127.0.0.1:5000/b?x", false},
        {"http://127.0.0.1/b", "http://127.0.0.1:0/b", false},
        {"http://127.0.0.1/b", "http://127.0.0.1:70000/b", false},
        {"http://127.0.0.1/b", "http://127.0.0.1:/b", false},
        {"http://127.0.0.1/b", "http://127.0.0.1:1@evil.example/b", false},
        {"http://127.0.0.1/b", "http://127.0.0.1.evil.example/b", false},
        {"http://127.0.0.1/b", "http://127.0.0.1:5000/b#x", false},
        {"http://localhost/b", "http://localhost:5000/b", false},
        {"jp.example.app:/back", "jp.example.app:/back", true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (uri_matches(str_c(cases[i].registered), str_c(cases[i].sent)) != cases[i].same)
            fail_msg("%s and %s", cases[i].registered, cases[i].sent);
}

static void test_own_schemes(void **state)
{
    (void)state;
    assert_true(uri_is_private_use(S("jp.example.app:/back")));
    assert_false(uri_is_private_use(S("example:/back")));
    assert_false(uri_is_private_use(S("javascript:/x.y")));
    assert_false(uri_is_private_use(S("jp.example.app:back")));
    assert_false(uri_is_private_use(S("JP.example:/back")));
}

static void test_hosts(void **state)
{
    (void)state;
    assert_true(str_eq(uri_host(S("https://app.example:8443/b")), S("app.example")));
    assert_true(str_eq(uri_host(S("http://[::1]:80/b")), S("[::1]")));
    assert_true(str_eq(uri_host(S("https://app.example")), S("app.example")));
}

static void test_scopes(void **state)
{
    struct arena a = ARENA_INIT;
    (void)state;
    assert_true(scope_well_formed(S("openid a:b")));
    assert_true(scope_well_formed(S("")));
    assert_false(scope_well_formed(S(" openid")));
    assert_false(scope_well_formed(S("openid ")));
    assert_false(scope_well_formed(S("open\"id")));
    assert_true(str_eq(scope_within(&a, S("b a b x"), S("a b c")), S("b a")));
    assert_true(str_eq(scope_within(&a, S("x"), S("a b c")), S("")));
    assert_false(scope_has(S("openid"), S("open")));
    assert_false(scope_has(S("openid"), S("")));
    arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_web),         cmocka_unit_test(test_same),
        cmocka_unit_test(test_own_schemes), cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_scopes),
    };
    return cmocka_run_group_tests_name("oidc_uri", tests, NULL, NULL);
}
