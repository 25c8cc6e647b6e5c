/*
 * Templates of NGSIv2's custom notifications: line 1 is a text, line 2 a text for a URL, the rest a
 * tree. Expanding never fails, what comes out of texts is UTF-8 and of trees is JSON, and without a
 * macro everything stays as it is.
 */
#include "v2_notify.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "fuzz_v2template: %s\n", what);
    abort();
}

static const char entity[] = "{\"id\":\"urn:ngsi-ld:v2:a%20b\",\"type\":[\"https://uri.etsi.org/"
                             "ngsi-ld/default-context/T\"],"
                             "\"https://uri.etsi.org/ngsi-ld/default-context/"
                             "a\":[{\"type\":\"Property\",\"value\":[1,\"x\"]}],"
                             "\"https://uri.etsi.org/ngsi-ld/default-context/"
                             "b\":[{\"type\":\"Property\",\"value\":\"%22$\\u007b"
                             "id}\\u00e4\"}]}";

static struct str next(struct str *rest)
{
    struct str field;
    return str_split(rest, '\n', &field) ? field : S("");
}

static void check_text(struct arena *a, struct str text, struct v2_macros *m)
{
    if (!str_is_utf8(text))
        return;
    struct str out = v2_expand(a, text, m, S(""));
    check(m->over || str_is_utf8(out), "an expanded text is no UTF-8");
    if (str_find(text, S("${")) < 0)
        check(str_eq(out, text), "a text without macros changed");
    struct str decoded = v2_percent_decode(a, out);
    check(decoded.n <= out.n, "decoding made it longer");
    if (str_find_char(out, '%') < 0)
        check(str_eq(decoded, out), "a text without codes was decoded");
}

/* Clean once is clean. */
static void check_url(struct arena *a, struct str text)
{
    for (int query = 0; query < 2; query++) {
        struct str clean = v2_url_clean(a, text, query);
        for (size_t i = 0; i < clean.n; i++)
            check(clean.p[i] > ' ' && clean.p[i] < 0x7f && clean.p[i] != '"', "no sign of a URL");
        check(str_eq(v2_url_clean(a, clean, query), clean), "what is clean was cleaned again");
        check(str_eq(v2_percent_decode(a, clean), v2_percent_decode(a, text)),
              "cleaning says something else");
    }
}

static void check_tree(struct arena *a, struct str text, struct v2_macros *m)
{
    struct json_limits limits = JSON_DEFAULT;
    limits.max_depth = API_BODY_DEPTH;
    const struct json *tree = json_parse(a, text, &limits, NULL);
    if (!tree)
        return;
    struct json out = v2_expand_json(a, tree, m);
    struct str shown = json_to_text(a, &out);
    check(json_parse(a, shown, &JSON_DEFAULT, NULL) != NULL, "an expanded tree is no JSON");
    if (str_find_char(text, '$') < 0 && str_find_char(text, '\\') < 0)
        check(json_equal(&out, tree, true), "a tree without macros changed");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = ARENA_INIT;
    struct error e = {0};
    struct str rest = str_n((const char *)data, size);
    const struct json *stored = json_parse(&a, S(entity), &JSON_DEFAULT, &e);
    check(stored != NULL, "the entity");
    struct v2_macros m = {stored, S("parks"), S("/a/b"), false};
    struct str text = next(&rest), url = next(&rest);
    check_text(&a, text, &m);
    check_url(&a, url);
    check_tree(&a, rest, &m);
    arena_release(&a);
    return 0;
}
