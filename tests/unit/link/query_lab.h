/*
 * query_lab.h - what the tests of the query languages share: entities written with ' for " and
 * D: for the default namespace, and a fixture that owns the arena.
 */
#ifndef TESTS_QUERY_LAB_H
#define TESTS_QUERY_LAB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "link/query.h"

static struct arena lab;

static int lab_open(void **state)
{
    (void)state;
    lab = (struct arena)ARENA_INIT;
    return 0;
}

static int lab_close(void **state)
{
    (void)state;
    arena_release(&lab);
    return 0;
}

/* text with ' as " and D: as the default namespace */
static inline struct str lab_text(const char *text)
{
    size_t n = strlen(text), prefix = sizeof(LD_DEFAULT_PREFIX) - 1, at = 0;
    char *out = arena_alloc(&lab, n * (prefix + 1) + 1);
    for (size_t i = 0; i < n; i++) {
        if (text[i] == 'D' && text[i + 1] == ':') {
            memcpy(out + at, LD_DEFAULT_PREFIX, prefix);
            at += prefix;
            i++;
        } else {
            out[at++] = text[i] == '\'' ? '"' : text[i];
        }
    }
    return str_n(out, at);
}

static inline const struct json *lab_json(const char *text)
{
    struct error e = {0};
    const struct json *v = json_parse(&lab, lab_text(text), &JSON_DEFAULT, &e);
    if (!v)
        fail_msg("%s: %s", text, e.text);
    return v;
}

/* An entity with the given attributes. */
static inline const struct json *lab_entity(const char *attrs)
{
    return lab_json(arena_printf(&lab,
                                 "{'id': 'urn:ngsi-ld:Car:1', 'type': ['D:Car'], "
                                 "'createdAt': '2024-01-01T00:00:00.000Z'%s%s}",
                                 *attrs ? ", " : "", attrs));
}

#endif
