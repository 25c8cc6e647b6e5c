/*
 * Type selection: line 1 is the query, the others are the types of an entity. No hint loses a
 * match.
 */
#include "fuzz_hints.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = ARENA_INIT;
    struct error e = {0};
    struct str rest = str_n((const char *)data, size), text = next_line(&rest), one;
    VEC(struct json) types = VEC_INIT;
    while (str_split(&rest, '\n', &one))
        if (one.n && str_is_utf8(one))
            *vec_push(&a, &types) = json_v_str(ld_expand(ld_core(), &a, one));
    struct json_member members[] = {json_m(S("id"), json_v_str(S("urn:x:1"))),
                                    json_m(S("type"), json_v_array(types.v, types.n))};
    struct json x = json_v_object(members, 2);
    struct entity_query q = {.types = query_parse_types(&a, text, ld_core(), &QUERY_DEFAULT, &e)};
    if (!q.types)
        check(e.code != OK && e.text[0], "an error without text");
    else
        check_hints(&a, &q, &x);
    arena_release(&a);
    return 0;
}
