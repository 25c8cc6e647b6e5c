/*
 * NGSIv2: line 1 is q, line 2 mq, line 3 georel, geometry and coords with blanks between, line 4 a
 * service path, the rest an attribute. No hint loses a match, errors are told, and an attribute
 * that was shown reads back as the same.
 */
#include "../unit/link/hint_meets.h"
#include "v2.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Broken promises must stop the fuzzer in any build. */
static void check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "fuzz_v2q: %s\n", what);
    abort();
}

static struct str next(struct str *rest, char sep)
{
    struct str field;
    return str_split(rest, sep, &field) ? field : S("");
}

static struct str show(struct arena *a, const struct json *instance)
{
    struct v2_view all = {.form = V2_NORMALIZED};
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    v2_show_attr(&w, a, instance, &all);
    struct str text = buf_dup(&b, a);
    buf_release(&b);
    return text;
}

/* The instance of the body, or of a plain one. */
static struct json attribute(struct arena *a, struct str text)
{
    struct error e = {0};
    struct json instance = {0}, again = {0};
    const struct json *body = json_parse(a, text, &JSON_DEFAULT, NULL);
    if (body && v2_attr_in(a, S("a"), body, false, &instance, &e) == OK) {
        struct str shown = show(a, &instance);
        const struct json *back = json_parse(a, shown, &JSON_DEFAULT, &e);
        check(back != NULL, "what is shown is no JSON");
        check(v2_attr_in(a, S("a"), back, false, &again, &e) == OK, "what is shown is refused");
        check(str_eq(show(a, &again), shown), "what is shown reads back as something else");
        return instance;
    }
    check(!body || e.text[0], "an error without text");
    body = json_parse(a, S("{\"value\":[1,\"x\",true],\"metadata\":{\"m\":{\"value\":{\"k\":2}}}}"),
                      &JSON_DEFAULT, NULL);
    check(v2_attr_in(a, S("a"), body, false, &instance, &e) == OK, "the plain attribute");
    return instance;
}

static void check_query(struct arena *a, const struct query_node *node, const struct json *x)
{
    struct entity_query q = {.q = node};
    struct error e = {0};
    const struct query_hint *hints;
    bool hit = false;
    size_t n = query_hints(a, &q, &hints);
    enum err rc = query_holds(&q, x, &hit, &e);
    check(rc == OK || rc == ERR_TOO_COMPLEX, "evaluation");
    for (size_t i = 0; i < n && rc == OK && hit; i++)
        check(hint_meets(a, &hints[i], x), "a hint loses a match");
    query_q_release(node);
}

static void check_geo(struct arena *a, struct str line, const struct json *x)
{
    struct error e = {0};
    struct v2_geo g;
    bool hit;
    struct str georel = next(&line, ' '), geometry = next(&line, ' ');
    if (v2_geo_parse(a, georel, geometry, line, &g, &e)) {
        check(e.text[0], "an error without text");
        return;
    }
    enum err rc = v2_geo_holds(&g, a, x, &hit, &e);
    check(rc == OK || rc == ERR_CONFLICT, "a place");
    v2_geo_release(&g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = ARENA_INIT;
    struct error e = {0};
    struct v2_paths paths;
    struct str rest = str_n((const char *)data, size);
    struct str q = next(&rest, '\n'), mq = next(&rest, '\n'), geo = next(&rest, '\n');
    struct str path = next(&rest, '\n');
    struct json one = attribute(&a, rest), list = json_v_array(&one, 1);
    struct json_member members[] = {json_m(S("id"), json_v_str(S("urn:x:1"))),
                                    json_m(v2_iri(&a, S("a")), list)};
    struct json x = json_v_object(members, 2);
    const struct query_node *node =
        v2_query_parse(&a, q.n ? q : STR_NONE, mq.n ? mq : STR_NONE, &e);
    check(node || (e.code != OK && e.text[0]), "an error without text");
    if (node)
        check_query(&a, node, &x);
    check_geo(&a, geo, &x);
    if (v2_paths_read(path, false, &paths, &e) == OK)
        v2_paths_hold(&paths, &x);
    if (str_is_utf8(q) && q.n)
        check(str_eq(v2_name(&a, v2_iri(&a, q)), q) || ld_is_uri(q), "a name does not come back");
    arena_release(&a);
    return 0;
}
