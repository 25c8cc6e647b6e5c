/* URLs of MQTT brokers: what is accepted can be published to, and shows no password. */
#include "http/mqtt.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "fuzz_mqtturl: %s\n", what);
    abort();
}

static bool holds_nul(struct str s)
{
    return s.n && str_find_char(s, '\0') >= 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = ARENA_INIT;
    struct error e;
    struct mqtt_address at;
    struct str url = str_n((const char *)data, size);
    if (mqtt_address_parse(&a, url, &at, &e)) {
        check(e.code == ERR_INVALID && e.text[0], "a refusal says why");
    } else {
        check(at.host.n > 0 && at.port >= 1 && at.port <= 65535, "host and port");
        check(!at.topic.p || mqtt_topic_ok(at.topic), "a topic that can be published to");
        check(!holds_nul(at.host) && !holds_nul(at.user) && !holds_nul(at.password),
              "texts for a C library");
    }
    struct str shown = url_without_password(&a, url);
    check(str_eq(url_without_password(&a, shown), shown), "hiding a password twice is once");
    arena_release(&a);
    return 0;
}
