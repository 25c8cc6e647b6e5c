/*
 * JSON parser, pull reader and writer against jansson, and against themselves.
 *
 * The two must accept and refuse the same texts, except that jansson
 *   - stops at numbers that fit neither int64_t nor a finite double, and we keep them as text,
 *   - cannot hold U+0000 in a key,
 *   - takes a NUL byte after the value for the end of the text,
 *   - is asked for 64 levels by us only.
 * What we accept must survive: parse -> write -> parse gives an equal tree and the same text.
 */
#include "core/json.h"
#include "peer_jansson.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Failed comparisons must stop the fuzzer in any build. */
static void check(bool ok, const char *what, const struct error *e)
{
    if (ok)
        return;
    fprintf(stderr, "fuzz_json: %s (%s)\n", what, e->text);
    abort();
}

/* Does the tree hold what jansson cannot? */
static bool beyond_jansson(const struct json *v)
{
    int64_t whole;
    double number;
    switch (json_type(v)) {
    case JSON_NUMBER: {
        bool real =
            memchr(v->text, '.', v->n) || memchr(v->text, 'e', v->n) || memchr(v->text, 'E', v->n);
        return real ? !json_double(v, &number) : !json_i64(v, &whole);
    }
    case JSON_ARRAY:
        for (uint32_t i = 0; i < v->n; i++)
            if (beyond_jansson(&v->items[i]))
                return true;
        return false;
    case JSON_OBJECT:
        for (uint32_t i = 0; i < v->n; i++)
            if (str_find_char(json_key(&v->members[i]), '\0') >= 0 ||
                beyond_jansson(&v->members[i].value))
                return true;
        return false;
    default:
        return false;
    }
}

/* Same document? Jansson has rounded its numbers to int64_t and double. */
static bool same(const struct json *v, const struct json *j)
{
    double x, y;
    if (!j || json_type(v) != json_type(j))
        return false;
    switch (json_type(v)) {
    case JSON_NUMBER:
        return json_double(v, &x) && json_double(j, &y) && x == y;
    case JSON_ARRAY:
        for (uint32_t i = 0; i < v->n; i++)
            if (!same(&v->items[i], json_at(j, i)))
                return false;
        return v->n == j->n;
    case JSON_OBJECT:
        for (uint32_t i = 0; i < v->n; i++)
            if (!same(&v->members[i].value, json_get(j, json_key(&v->members[i]))))
                return false;
        return v->n == j->n;
    default:
        return json_equal(v, j, true);
    }
}

static void against_itself(struct arena *a, const struct json *v, struct error *e)
{
    struct str text = json_to_text(a, v);
    const struct json *again = json_parse(a, text, &JSON_DEFAULT, e);
    check(again, "our own text is refused", e);
    check(json_equal(v, again, true) && json_equal(again, v, false), "reads back unequal", e);
    check(str_eq(json_to_text(a, again), text), "is written differently", e);
    struct json copy = json_copy(a, v);
    check(json_equal(&copy, v, true), "the copy is unequal", e);
}

static void against_jansson(struct arena *a, const struct json *v, struct str text, struct error *e)
{
    size_t n = 0;
    char *theirs = peer_jansson(text.p, text.n, &n);
    if (v && theirs)
        check(same(v, json_parse(a, str_n(theirs, n), &JSON_DEFAULT, e)), "jansson reads another",
              e);
    else if (v)
        check(beyond_jansson(v), "jansson refuses it", e);
    else if (theirs)
        check(e->code == ERR_TOO_LARGE || str_find_char(text, '\0') >= 0, "jansson accepts it", e);
    free(theirs);
}

/* The events that follow are those of the tree. */
static bool pulls(struct json_pull *p, const struct json *v)
{
    enum json_event ev = json_pull_next(p);
    switch (json_type(v)) {
    case JSON_ARRAY:
        if (ev != JSON_EV_ARRAY)
            return false;
        for (uint32_t i = 0; i < v->n; i++)
            if (!pulls(p, &v->items[i]))
                return false;
        return json_pull_next(p) == JSON_EV_ARRAY_END;
    case JSON_OBJECT:
        if (ev != JSON_EV_OBJECT)
            return false;
        for (uint32_t i = 0; i < v->n; i++)
            if (json_pull_next(p) != JSON_EV_KEY || !str_eq(p->key, json_key(&v->members[i])) ||
                !pulls(p, &v->members[i].value))
                return false;
        return json_pull_next(p) == JSON_EV_OBJECT_END;
    default:
        return ev == JSON_EV_VALUE && json_equal(&p->value, v, true) && p->value.flags == v->flags;
    }
}

/* v without duplicate keys, any: with. The pull reader sees none and takes both. */
static void against_pull(struct arena *a, const struct json *v, const struct json *any,
                         struct str text)
{
    struct error e = {OK, ""};
    struct json_pull p;
    enum json_event ev;
    json_pull_open(&p, a, text, &JSON_DEFAULT, &e);
    while ((ev = json_pull_next(&p)) != JSON_EV_END && ev != JSON_EV_FAILED)
        ;
    check((ev == JSON_EV_END) == (any != NULL), "parser and pull reader disagree", &e);
    if (!v)
        return;
    json_pull_open(&p, a, text, &JSON_DEFAULT, &e);
    check(pulls(&p, v) && json_pull_next(&p) == JSON_EV_END, "other events than the tree", &e);
    json_pull_open(&p, a, text, &JSON_DEFAULT, &e);
    ev = json_pull_next(&p);
    for (uint32_t i = 0; ev == JSON_EV_ARRAY && i < v->n; i++) {
        json_pull_next(&p);
        const struct json *item = i % 2 ? json_pull_tree(&p, a, &e) : &v->items[i];
        check(i % 2 || json_pull_skip(&p), "an item cannot be skipped", &e);
        check(item && json_equal(item, &v->items[i], true), "another item than the tree's", &e);
    }
    if (ev == JSON_EV_ARRAY)
        check(json_pull_next(&p) == JSON_EV_ARRAY_END && json_pull_next(&p) == JSON_EV_END,
              "trees and skipping lead elsewhere", &e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = ARENA_INIT;
    struct error e = {OK, ""};
    struct str text = str_n((const char *)data, size);
    const struct json *v = json_parse(&a, text, &JSON_DEFAULT, &e);
    if (v)
        against_itself(&a, v, &e);
    against_jansson(&a, v, text, &e);

    /* keeping the last of duplicate keys accepts at least as much */
    struct json_limits last = JSON_DEFAULT;
    last.duplicates = JSON_DUP_LAST;
    const struct json *w = json_parse(&a, text, &last, &e);
    check(w || !v, "refused only with JSON_DUP_LAST", &e);
    if (w)
        against_itself(&a, w, &e);
    if (v)
        check(json_equal(v, w, true), "JSON_DUP_LAST changes a text without duplicates", &e);
    against_pull(&a, v, w, text);
    arena_release(&a);
    return 0;
}
