/*
 * q: line 1 is the query, the rest the value of attribute a of an entity. Whatever they are, errors
 * are told and no hint loses a match.
 */
#include "../unit/link/hint_meets.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Broken promises must stop the fuzzer in any build. */
static void check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "fuzz_q: %s\n", what);
    abort();
}

static struct str next_line(struct str *rest)
{
    struct str line;
    return str_split(rest, '\n', &line) ? line : S("");
}

static void check_hints(struct arena *a, const struct entity_query *q, const struct json *x)
{
    struct error e = {0};
    const struct query_hint *hints;
    size_t n = query_hints(a, q, &hints);
    bool hit = false;
    enum err rc = query_holds(q, x, &hit, &e);
    check(rc == OK || rc == ERR_TOO_COMPLEX, "evaluation");
    for (size_t i = 0; i < n && rc == OK && hit; i++)
        check(hint_meets(a, &hints[i], x), "a hint loses a match");
}

static const struct json *entity_of(struct arena *a, struct str value)
{
    if (!json_parse(a, value, &JSON_DEFAULT, NULL))
        value = S("[1, -2.5e3, true, \"x\", \"2024-01-01T00:00:00Z\", \"urn:x:1\"]");
    struct str text =
        str_printf(a,
                   "{\"id\":\"urn:x:1\",\"type\":[\"T\"],\"createdAt\":\"2024-01-01T00:00:00Z\","
                   "\"" LD_DEFAULT_PREFIX "a\":[{\"type\":\"Property\",\"value\":%" STR_F
                   ",\"observedAt\":\"2024-01-01T00:00:00Z\",\"" LD_DEFAULT_PREFIX
                   "b\":[{\"type\":\"Property\",\"value\":{\"k\":[1,\"y\"]}}]}],"
                   "\"" LD_DEFAULT_PREFIX "l\":[{\"type\":\"LanguageProperty\",\"languageMap\":"
                   "{\"en\":\"x\",\"ja\":[\"あ\"]}}],"
                   "\"" LD_DEFAULT_PREFIX
                   "r\":[{\"type\":\"Relationship\",\"object\":\"urn:x:2\"}]}",
                   STR_A(value));
    return json_parse(a, text, &JSON_DEFAULT, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = ARENA_INIT;
    struct error e = {0};
    struct str rest = str_n((const char *)data, size), text = next_line(&rest);
    struct str expand = S("v");
    struct entity_query q = {
        .q = query_parse_q(&a, text, ld_core(), &expand, 1, &QUERY_DEFAULT, &e)};
    const struct json *x = entity_of(&a, rest);
    if (!q.q)
        check(e.code != OK && e.text[0], "an error without text");
    else if (x)
        check_hints(&a, &q, x);
    entity_query_release(&q);
    arena_release(&a);
    return 0;
}
