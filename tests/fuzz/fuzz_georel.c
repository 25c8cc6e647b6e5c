/*
 * Geo-queries: lines are georel, geometry, coordinates; the rest is the location of an entity. No
 * hint loses a match.
 */
#include "fuzz_hints.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = ARENA_INIT;
    struct error e = {0};
    struct str rest = str_n((const char *)data, size);
    struct str georel = next_line(&rest), geometry = next_line(&rest), at = next_line(&rest);
    struct json_limits small = {32, 4096, JSON_DUP_REFUSE};
    const struct json *place = json_parse(&a, rest, &small, NULL);
    struct json_member instance[] = {json_m(S("type"), json_v_str(S("GeoProperty"))),
                                     json_m(S("value"), place ? *place : json_v_str(S("nowhere")))};
    struct json one = json_v_object(instance, 2);
    struct json_member members[] = {json_m(S("id"), json_v_str(S("urn:x:1"))),
                                    json_m(ld_expand(ld_core(), &a, S("location")),
                                           json_v_array(&one, 1))};
    struct json x = json_v_object(members, 2);
    struct geo_query g;
    enum err rc = query_parse_geo(&a, georel, geometry, at, STR_NONE, ld_core(), &g, &e);
    check(rc == OK || (rc == e.code && e.text[0]), "an error without text");
    if (rc == OK) {
        struct entity_query q = {.geo = &g};
        if (place)
            check_hints(&a, &q, &x);
        geo_query_release(&g);
    }
    arena_release(&a);
    return 0;
}
