/* query_types.c - type selection (ETSI GS CIM 009 clause 4.17). */
#include "query_impl.h"

struct types_parser {
    struct query_parser p; /* first, so that the leaf reader finds its way back */
    const struct ld_context *ctx;
};

static const void *parse_type(struct query_parser *p)
{
    const struct types_parser *t = (const struct types_parser *)p;
    size_t from = p->at;
    for (int c; (c = query_peek(p)) > ' ' && c != 0x7f; p->at++)
        if (c < 0x7f && strchr(";|,()\"'<>{}", c))
            break;
    if (p->at == from)
        return query_fail(p, "a type");
    struct str *iri = ARENA_NEW(p->arena, struct str);
    *iri = ld_expand(t->ctx, p->arena, str_sub(p->text, from, p->at - from));
    return iri;
}

const struct type_node *query_parse_types(struct arena *a, struct str text,
                                          const struct ld_context *ctx,
                                          const struct query_limits *l, struct error *e)
{
    struct types_parser t = {.p = {.arena = a,
                                   .what = "type",
                                   .text = text,
                                   .limits = l,
                                   .comma_is_or = true,
                                   .leaf = parse_type,
                                   .e = e},
                             .ctx = ctx};
    struct type_node *node = ARENA_NEW(a, struct type_node);
    node->root = query_expr_parse(&t.p);
    return node->root ? node : NULL;
}

static enum err has_type(const void *leaf, void *ctx, bool *hit)
{
    const struct str *iri = leaf;
    const struct json *types = ctx;
    *hit = false;
    for (uint32_t i = 0; i < types->n && !*hit; i++)
        *hit = str_eq(json_text(&types->items[i]), *iri);
    return OK;
}

bool query_types_hold(const struct type_node *t, const struct json *types)
{
    bool hit = false;
    if (json_is(types, JSON_ARRAY))
        query_expr_holds(t->root, has_type, (void *)types, &hit);
    return hit;
}
