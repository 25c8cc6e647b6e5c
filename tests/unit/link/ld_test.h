/*
 * ld_test.h - what the tests of contexts and entities share: one arena per test, JSON written with
 * single quotes, and comparison of texts that shows both when they differ.
 */
#ifndef LD_TEST_H
#define LD_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/json.h"
#include <string.h>

#define NGSI    "https://uri.etsi.org/ngsi-ld/"
#define DEFAULT NGSI "default-context/"

static struct arena arena;

static inline int arena_up(void **state)
{
    (void)state;
    arena = (struct arena)ARENA_INIT;
    return 0;
}

static inline int arena_down(void **state)
{
    (void)state;
    arena_release(&arena);
    return 0;
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, arena_up, arena_down)

/* JSON text with ' for ". */
static inline struct str quoted(const char *text)
{
    char *p = arena_dup(&arena, text, strlen(text));
    for (char *c = p; *c; c++)
        if (*c == '\'')
            *c = '"';
    return str_c(p);
}

static inline const struct json *J(const char *text)
{
    struct error e = {0};
    const struct json *v = json_parse(&arena, quoted(text), &JSON_DEFAULT, &e);
    if (!v)
        fail_msg("%s: %s", e.text, text);
    return v;
}

static inline void assert_text(struct str got, const char *want)
{
    struct str w = quoted(want);
    if (!str_eq(got, w))
        fail_msg("\n got: %.*s\nwant: %.*s", (int)got.n, got.p, (int)w.n, w.p);
}

static inline void assert_tree(const struct json *got, const char *want)
{
    assert_non_null(got);
    assert_text(json_to_text(&arena, got), want);
}

#endif
