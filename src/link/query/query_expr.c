/* query_expr.c - ';' (and), '|' (or) and parentheses over leaves; ';' binds tighter. */
#include "query_impl.h"

const struct query_limits QUERY_DEFAULT = {8192, 256, 16, 0};

void *query_fail(struct query_parser *p, const char *expected)
{
    error_set(p->e, ERR_INVALID, "%s: offset %zu: expected %s", p->what, p->at, expected);
    return NULL;
}

int query_peek(const struct query_parser *p)
{
    return p->at < p->text.n ? (unsigned char)p->text.p[p->at] : -1;
}

void query_skip_blanks(struct query_parser *p)
{
    while (query_peek(p) == ' ' || query_peek(p) == '\t')
        p->at++;
}

bool query_count(struct query_parser *p)
{
    if (p->nodes >= p->limits->max_nodes) {
        error_set(p->e, ERR_TOO_COMPLEX, "%s: more than %u terms and values", p->what,
                  p->limits->max_nodes);
        return false;
    }
    p->nodes++;
    return true;
}

static const struct query_expr *parse_or(struct query_parser *p);

static const struct query_expr *parse_primary(struct query_parser *p)
{
    query_skip_blanks(p);
    if (query_peek(p) == '(') {
        if (p->depth >= p->limits->max_depth) {
            error_set(p->e, ERR_TOO_COMPLEX, "%s: parentheses nest deeper than %u", p->what,
                      p->limits->max_depth);
            return NULL;
        }
        p->depth++;
        p->at++;
        const struct query_expr *inner = parse_or(p);
        p->depth--;
        if (!inner)
            return NULL;
        if (query_peek(p) != ')')
            return query_fail(p, "')' or an operator");
        p->at++;
        query_skip_blanks(p);
        return inner;
    }
    if (!query_count(p))
        return NULL;
    const void *leaf = p->leaf(p);
    if (!leaf)
        return NULL;
    struct query_expr *x = ARENA_NEW(p->arena, struct query_expr);
    x->kind = EXPR_LEAF;
    x->leaf = leaf;
    query_skip_blanks(p);
    return x;
}

/* Operands of one operator; a single operand stands for itself. */
static const struct query_expr *parse_list(struct query_parser *p, enum expr_kind kind)
{
    VEC(const struct query_expr *) kids = VEC_INIT;
    for (;;) {
        const struct query_expr *kid = kind == EXPR_OR ? parse_list(p, EXPR_AND) : parse_primary(p);
        if (!kid)
            return NULL;
        *vec_push(p->arena, &kids) = kid;
        int c = query_peek(p);
        bool more = kind == EXPR_AND ? c == ';' : c == '|' || (c == ',' && p->comma_is_or);
        if (!more)
            break;
        p->at++;
    }
    if (kids.n == 1)
        return kids.v[0];
    struct query_expr *x = ARENA_NEW(p->arena, struct query_expr);
    x->kind = kind;
    x->kids = kids.v;
    x->n = kids.n;
    return x;
}

static const struct query_expr *parse_or(struct query_parser *p)
{
    return parse_list(p, EXPR_OR);
}

const struct query_expr *query_expr_parse(struct query_parser *p)
{
    if (p->text.n > p->limits->max_text) {
        error_set(p->e, ERR_TOO_COMPLEX, "%s: longer than %zu bytes", p->what, p->limits->max_text);
        return NULL;
    }
    if (!str_is_utf8(p->text)) {
        error_set(p->e, ERR_INVALID, "%s: not well-formed UTF-8", p->what);
        return NULL;
    }
    const struct query_expr *x = parse_or(p);
    if (!x)
        return NULL;
    if (p->at < p->text.n)
        return query_fail(p, "an operator or the end");
    return x;
}

enum err query_expr_holds(const struct query_expr *x,
                          enum err (*leaf)(const void *leaf, void *ctx, bool *hit), void *ctx,
                          bool *hit)
{
    if (x->kind == EXPR_LEAF)
        return leaf(x->leaf, ctx, hit);
    for (size_t i = 0; i < x->n; i++) {
        enum err rc = query_expr_holds(x->kids[i], leaf, ctx, hit);
        if (rc)
            return rc;
        if (*hit == (x->kind == EXPR_OR))
            break;
    }
    return OK;
}
