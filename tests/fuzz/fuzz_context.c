/*
 * Contexts from hostile documents. The input is a JSON array: documents as [URL, text] pairs, then
 * the value of "@context", then names and IRIs. Whatever compiles, a compacted IRI expands to
 * itself.
 */
#include "core/clock.h"
#include "link/context.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_name(const struct ld_context *c, struct arena *a, struct str s)
{
    ld_term_type(c, s);
    struct str iri = ld_expand(c, a, s), name = ld_compact(c, a, iri);
    if (!str_eq(name, iri) && !str_eq(ld_expand(c, a, name), iri))
        abort();
    name = ld_compact(c, a, s);
    if (!str_eq(name, s) && !str_eq(ld_expand(c, a, name), s))
        abort();
    ld_is_uri(s);
}

static void run(struct ld_contexts *r, struct arena *a, const struct json *doc)
{
    const struct ld_context *c = NULL;
    struct str missing;
    struct error e;
    for (size_t i = 0; i < doc->n; i++) {
        const struct json *item = json_at(doc, i);
        struct str url = json_text(json_at(item, 0)), body = json_text(json_at(item, 1));
        if (!c && item->n == 2 && url.p && body.p)
            ld_context_add(r, url, LD_CACHED, body, &e);
        else if (!c && ld_context_get(r, a, item, &c, &missing, &e))
            c = ld_core();
        else if (json_is(item, JSON_STRING))
            check_name(c, a, json_text(item));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct ld_limits limits = {.max_terms = 100,
                                            .max_depth = 4,
                                            .max_bytes = 65536,
                                            .max_cached = 4};
    struct arena a = ARENA_INIT;
    const struct json *doc = json_parse(&a, str_n((const char *)data, size), &JSON_DEFAULT, NULL);
    if (json_is(doc, JSON_ARRAY)) {
        struct ld_contexts *r = ld_contexts_new(NULL, &clock_system, &limits, NULL);
        run(r, &a, doc);
        ld_contexts_free(r);
    }
    arena_release(&a);
    return 0;
}
