/*
 * scopeQ: line 1 is the query, the others are the scopes of an entity. No hint loses a match.
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
    fprintf(stderr, "fuzz_scope: %s\n", what);
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = ARENA_INIT;
    struct error e = {0};
    struct str rest = str_n((const char *)data, size), text = next_line(&rest), one;
    VEC(struct json) scopes = VEC_INIT;
    while (str_split(&rest, '\n', &one))
        if (str_starts(one, S("/")) && str_is_utf8(one))
            *vec_push(&a, &scopes) = json_v_str(one);
    struct json_member members[] = {json_m(S("id"), json_v_str(S("urn:x:1"))),
                                    json_m(S("scope"), json_v_array(scopes.v, scopes.n))};
    struct json x = json_v_object(members, 2);
    struct entity_query q = {.scope = query_parse_scope(&a, text, &QUERY_DEFAULT, &e)};
    if (!q.scope)
        check(e.code != OK && e.text[0], "an error without text");
    else
        check_hints(&a, &q, &x);
    arena_release(&a);
    return 0;
}
