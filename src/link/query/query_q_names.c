/* The attributes that a q speaks of: sources that know one of them may have something to say. */
#include "query_impl.h"

struct names {
    struct str *v;
    size_t n, cap;
};

/* Depth is limited by parsing. */
static void collect(struct arena *a, const struct query_expr *x, struct names *out)
{
    for (size_t i = 0; x->kind != EXPR_LEAF && i < x->n; i++)
        collect(a, x->kids[i], out);
    if (x->kind != EXPR_LEAF)
        return;
    const struct q_term *t = x->leaf;
    if (t->n_steps == 1 && t->steps[0].member)
        return;
    for (size_t i = 0; i < out->n; i++)
        if (str_eq(out->v[i], t->steps[0].name))
            return;
    *vec_push(a, out) = t->steps[0].name;
}

size_t query_q_attrs(struct arena *a, const struct query_node *q, const struct str **out)
{
    struct names names = {0};
    collect(a, q->root, &names);
    *out = names.v;
    return names.n;
}
