/*
 * query_scope.c - scope queries (ETSI GS CIM 009 clause 4.19).
 *
 * A scope is a path of levels. "+" stands for one level, "#" at the end for the scope itself and
 * everything below it; "/#" is any scope at all. The leading '/' may be missing in the query.
 * Stored scopes have it, and no empty level.
 */
#include "query_impl.h"

static bool parse_level(struct query_parser *p, struct scope_pattern *s, struct str level)
{
    bool wild = str_find_char(level, '+') >= 0 || str_find_char(level, '#') >= 0;
    if (!level.n || (wild && level.n != 1))
        return query_fail(p, "a scope level, '+' or '#' before this");
    if (s->below)
        return query_fail(p, "'#' only as the last level");
    s->below = str_eq(level, S("#"));
    return true;
}

static const void *parse_scope(struct query_parser *p)
{
    size_t from = p->at;
    for (int c; (c = query_peek(p)) > ' ' && c != 0x7f; p->at++)
        if (c < 0x7f && strchr(";|,()\"'<>", c))
            break;
    struct str path = str_sub(p->text, from, p->at - from);
    if (str_starts(path, S("/")))
        path = str_from(path, 1);
    if (!path.n)
        return query_fail(p, "a scope");
    struct scope_pattern *s = ARENA_NEW(p->arena, struct scope_pattern);
    VEC(struct str) levels = VEC_INIT;
    bool last;
    do {
        ptrdiff_t slash = str_find_char(path, '/');
        last = slash < 0;
        struct str level = last ? path : str_sub(path, 0, (size_t)slash);
        path = str_from(path, level.n + 1);
        if (!parse_level(p, s, level))
            return NULL;
        if (!s->below)
            *vec_push(p->arena, &levels) = level;
    } while (!last);
    s->levels = levels.v;
    s->n = levels.n;
    return s;
}

const struct scope_node *query_parse_scope(struct arena *a, struct str text,
                                           const struct query_limits *l, struct error *e)
{
    struct query_parser p = {.arena = a,
                             .what = "scopeQ",
                             .text = text,
                             .limits = l,
                             .comma_is_or = true,
                             .leaf = parse_scope,
                             .e = e};
    struct scope_node *node = ARENA_NEW(a, struct scope_node);
    node->root = query_expr_parse(&p);
    return node->root ? node : NULL;
}

static bool scope_matches(const struct scope_pattern *s, struct str scope)
{
    if (!str_starts(scope, S("/")) || str_ends(scope, S("/")))
        return false;
    scope = str_from(scope, 1);
    size_t i = 0;
    for (struct str level; str_split(&scope, '/', &level); i++) {
        if (i == s->n)
            return s->below;
        if (!str_eq(s->levels[i], S("+")) && !str_eq(s->levels[i], level))
            return false;
    }
    return i == s->n;
}

static enum err has_scope(const void *leaf, void *ctx, bool *hit)
{
    const struct json *scopes = ctx;
    *hit = false;
    for (uint32_t i = 0; i < scopes->n && !*hit; i++)
        *hit = scope_matches(leaf, json_text(&scopes->items[i]));
    return OK;
}

bool query_scope_holds(const struct scope_node *s, const struct json *scopes)
{
    bool hit = false;
    if (json_is(scopes, JSON_ARRAY))
        query_expr_holds(s->root, has_scope, (void *)scopes, &hit);
    return hit;
}
