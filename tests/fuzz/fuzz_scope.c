/*
 * scopeQ: line 1 is the query, the others are the scopes of an entity. No hint loses a match.
 */
#include "fuzz_hints.h"

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
