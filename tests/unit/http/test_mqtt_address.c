/* URLs of MQTT brokers: NGSI-LD clause 7.2. */
#include "http/mqtt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static bool same(struct str s, const char *text)
{
    return text ? s.p && str_eq(s, str_c(text)) : !s.p;
}

static void reads_what_the_standard_names(void **state)
{
    static const struct {
        const char *url;
        bool tls;
        const char *host, *user, *password, *topic;
        int64_t port;
    } cases[] = {
        {"mqtt://broker/a", false, "broker", NULL, NULL, "a", 1883},
        {"mqtts://broker/a/b/c", true, "broker", NULL, NULL, "a/b/c", 8883},
        {"MQTT://broker:1/a", false, "broker", NULL, NULL, "a", 1},
        {"mqtt://user@broker/a", false, "broker", "user", NULL, "a", 1883},
        {"mqtt://user:pass@broker:99/a", false, "broker", "user", "pass", "a", 99},
        {"mqtt://u%40x:p%2Fq@broker/%E4%B8%83", false, "broker", "u@x", "p/q", "\xe4\xb8\x83",
         1883},
        {"mqtt://u:p@ss@broker/a", false, "broker", "u", "p@ss", "a", 1883},
        {"mqtt://[2001:db8::1]:5/a", false, "2001:db8::1", NULL, NULL, "a", 5},
        {"mqtt://broker", false, "broker", NULL, NULL, NULL, 1883},
        {"mqtt://broker//a", false, "broker", NULL, NULL, "/a", 1883},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct arena a = ARENA_INIT;
        struct mqtt_address at;
        struct error e = {0};
        if (mqtt_address_parse(&a, str_c(cases[i].url), &at, &e))
            fail_msg("%s: %s", cases[i].url, e.text);
        assert_int_equal(at.tls, cases[i].tls);
        assert_int_equal(at.port, cases[i].port);
        assert_true(same(at.host, cases[i].host));
        assert_true(same(at.user, cases[i].user));
        assert_true(same(at.password, cases[i].password));
        assert_true(same(at.topic, cases[i].topic));
        arena_release(&a);
    }
}

static void refuses_what_is_none(void **state)
{
    static const char *const urls[] = {
        "",
        "http://broker/a",
        "mqtt:broker/a",
        "mqtt:///a",
        "mqtt://u@/a",
        "mqtt://broker:x/a",
        "mqtt://broker:0/a",
        "mqtt://broker:65536/a",
        "mqtt://broker:/a",
        "mqtt://[::1/a",
        "mqtt://[::1]x/a",
        "mqtt://broker/a/#",
        "mqtt://broker/a/+/b",
        "mqtt://broker/%00",
        "mqtt://broker/%ff",
        "mqtt://broker/%x",
        "mqtt://u%zz@broker/a",
        "mqtt://bro ker/a",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct arena a = ARENA_INIT;
        struct mqtt_address at;
        struct error e = {0};
        if (mqtt_address_parse(&a, str_c(urls[i]), &at, &e) != ERR_INVALID || !e.text[0])
            fail_msg("%s is taken", urls[i]);
        arena_release(&a);
    }
}

static void hides_passwords_of_any_url(void **state)
{
    static const char *const pairs[][2] = {
        {"mqtt://u:secret@broker/a", "mqtt://u:***@broker/a"},
        {"mqtt://u:se@cret@broker/a", "mqtt://u:***@broker/a"},
        {"https://:secret@h:1/p?q=a:b@c", "https://:***@h:1/p?q=a:b@c"},
        {"mqtt://u@broker:1883/a", "mqtt://u@broker:1883/a"},
        {"http://h:80/a:b@c", "http://h:80/a:b@c"},
        {"nothing", "nothing"},
    };
    struct arena a = ARENA_INIT;
    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        assert_true(same(url_without_password(&a, str_c(pairs[i][0])), pairs[i][1]));
    arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_the_standard_names),
        cmocka_unit_test(refuses_what_is_none),
        cmocka_unit_test(hides_passwords_of_any_url),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
