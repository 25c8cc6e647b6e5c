/*
 * The attribute projection language of pick= and omit= (clause 4.21): names joined by ',' or '|',
 * each perhaps with a projection of the entities that it links to: "id,name,owner{id,name}".
 */
#include "api.h"

enum { PROJECTION_DEPTH = 8, PROJECTION_NAMES = 1000 };

struct parser {
    struct api *c;
    struct str text;
    size_t at, names;
};

static bool bad(struct parser *p)
{
    api_fail_text(p->c, ERR_INVALID, "pick and omit: names such as id,name,owner{id} are expected");
    return false;
}

static bool take_name(struct parser *p, struct str *name)
{
    size_t from = p->at;
    while (p->at < p->text.n && str_find_char(S(",|{}"), p->text.p[p->at]) < 0)
        p->at++;
    *name = str_trim(str_sub(p->text, from, p->at - from));
    if (!name->n || ++p->names > PROJECTION_NAMES)
        return bad(p);
    for (size_t i = 0; i < name->n; i++)
        if ((unsigned char)name->p[i] <= ' ' || str_find_char(S("<>\"'=;()"), name->p[i]) >= 0)
            return bad(p);
    if (!entity_is_member(*name))
        *name = ld_expand(p->c->ctx, p->c->arena, *name);
    return true;
}

static int peek(const struct parser *p)
{
    return p->at < p->text.n ? (unsigned char)p->text.p[p->at] : -1;
}

/* Up to the end or the brace that closes it. */
static bool parse(struct parser *p, unsigned depth, struct api_projection *out)
{
    VEC(struct str) names = VEC_INIT;
    VEC(struct api_projection *) subs = VEC_INIT;
    if (depth > PROJECTION_DEPTH)
        return bad(p);
    for (;;) {
        struct str name;
        struct api_projection *sub = NULL;
        if (!take_name(p, &name))
            return false;
        if (peek(p) == '{') {
            p->at++;
            sub = ARENA_NEW(p->c->arena, struct api_projection);
            if (!parse(p, depth + 1, sub))
                return false;
            if (peek(p) != '}')
                return bad(p);
            p->at++;
            out->linked = true;
        }
        *vec_push(p->c->arena, &names) = name;
        *vec_push(p->c->arena, &subs) = sub;
        if (peek(p) != ',' && peek(p) != '|')
            break;
        p->at++;
    }
    out->names = names.v;
    out->subs = subs.v;
    out->n = names.n;
    return true;
}

bool api_project(struct api *c, struct str text, const struct api_projection **out)
{
    struct parser p = {.c = c, .text = text};
    struct api_projection *top = ARENA_NEW(c->arena, struct api_projection);
    *out = NULL;
    if (!text.p)
        return true;
    if (!parse(&p, 1, top))
        return false;
    *out = top;
    return p.at == text.n || bad(&p);
}

void api_project_view(struct api *c, const struct api_projection *pick,
                      const struct api_projection *omit, struct entity_view *v)
{
    v->pick = pick ? pick->names : NULL;
    v->n_pick = pick ? pick->n : 0;
    v->omit = NULL;
    v->n_omit = 0;
    if (!omit)
        return;
    /* a name with braces is kept: what is left out is something of what it links to */
    struct str *names = ARENA_ARRAY(c->arena, struct str, omit->n);
    for (size_t i = 0; i < omit->n; i++)
        if (!omit->subs[i])
            names[v->n_omit++] = omit->names[i];
    v->omit = names;
}

bool api_project_names(const struct api_projection *p, struct str name)
{
    for (size_t i = 0; p && i < p->n; i++)
        if (str_eq(p->names[i], name))
            return true;
    return false;
}

int64_t api_project_depth(const struct api_projection *p)
{
    int64_t deepest = 0;
    for (size_t i = 0; p && i < p->n; i++) {
        int64_t depth = p->subs[i] ? 1 + api_project_depth(p->subs[i]) : 0;
        deepest = depth > deepest ? depth : deepest;
    }
    return deepest;
}

const struct api_projection *api_project_sub(const struct api_projection *p, struct str attr)
{
    for (size_t i = 0; p && i < p->n; i++)
        if (p->subs[i] && str_eq(p->names[i], attr))
            return p->subs[i];
    return NULL;
}
