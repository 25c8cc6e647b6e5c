#include "router.h"

#include "core/vec.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * The routes form a tree, one level a segment. A node has edges in order of preference: literals,
 * then integers with a suffix, names with a suffix, integers, names, and the rest of the path.
 * A search may step back from an edge that leads nowhere; it visits each node at most once,
 * because an edge is tried with one segment only.
 */
enum edge_kind { EDGE_LITERAL, EDGE_INT_SUFFIX, EDGE_NAME_SUFFIX, EDGE_INT, EDGE_NAME, EDGE_REST };

struct node;

struct edge {
    enum edge_kind kind;
    struct str text; /* the literal, or the suffix after a parameter */
    struct node *to;
};

struct target {
    const struct route *route;
    void *ctx;
    struct str method;
    struct str names[ROUTER_PARAMS]; /* of the parameters, in order */
    size_t n_names;
};

struct node {
    VEC(struct edge) edges; /* sorted by kind */
    VEC(struct target) targets;
};

struct router {
    struct arena arena;
    struct node root;
    VEC(const struct route *) routes;
};

struct router *router_new(void)
{
    struct router *r = calloc(1, sizeof(*r));
    if (!r)
        abort();
    return r;
}

void router_free(struct router *r)
{
    if (!r)
        return;
    arena_release(&r->arena);
    free(r);
}

static void bad_pattern(const struct route *route, const char *why)
{
    fprintf(stderr, "route %s %s: %s\n", route->method, route->pattern, why);
    abort();
}

/* --- building --- */

/* Read one segment of a pattern; the name of its parameter, if any, goes to the target. */
static struct edge parse_segment(const struct route *route, struct str segment, struct target *t)
{
    struct edge e = {EDGE_LITERAL, segment, NULL};
    ptrdiff_t open = str_find_char(segment, '{'), close = str_find_char(segment, '}');
    if (open < 0 && close < 0)
        return e;
    if (open != 0 || close < 2)
        bad_pattern(route, "a parameter must begin its segment");
    struct str inner = str_sub(segment, 1, (size_t)close - 1);
    e.text = str_from(segment, (size_t)close + 1);
    if (str_find_char(e.text, '{') >= 0 || str_find_char(e.text, '}') >= 0)
        bad_pattern(route, "one parameter a segment");
    ptrdiff_t colon = str_find_char(inner, ':');
    struct str kind = colon < 0 ? S("") : str_from(inner, (size_t)colon + 1);
    struct str name = colon < 0 ? inner : str_sub(inner, 0, (size_t)colon);
    if (kind.n == 0)
        e.kind = e.text.n ? EDGE_NAME_SUFFIX : EDGE_NAME;
    else if (str_eq(kind, S("int")))
        e.kind = e.text.n ? EDGE_INT_SUFFIX : EDGE_INT;
    else if (str_eq(kind, S("rest")) && e.text.n == 0)
        e.kind = EDGE_REST;
    else
        bad_pattern(route, "unknown kind of parameter");
    if (name.n == 0 || t->n_names == ROUTER_PARAMS)
        bad_pattern(route, "a parameter without name, or too many of them");
    for (size_t i = 0; i < t->n_names; i++)
        if (str_eq(t->names[i], name))
            bad_pattern(route, "two parameters of the same name");
    t->names[t->n_names++] = name;
    return e;
}

static struct node *node_child(struct router *r, struct node *at, struct edge e)
{
    size_t i = 0;
    for (; i < at->edges.n && at->edges.v[i].kind <= e.kind; i++)
        if (at->edges.v[i].kind == e.kind && str_eq(at->edges.v[i].text, e.text))
            return at->edges.v[i].to;
    e.to = ARENA_NEW(&r->arena, struct node);
    vec_push(&r->arena, &at->edges);
    memmove(&at->edges.v[i + 1], &at->edges.v[i], (at->edges.n - 1 - i) * sizeof(e));
    at->edges.v[i] = e;
    return e.to;
}

static void add_route(struct router *r, const struct route *route, void *ctx)
{
    struct target t = {.route = route, .ctx = ctx, .method = str_c(route->method)};
    struct str rest = str_c(route->pattern);
    if (rest.n == 0 || rest.p[0] != '/' || t.method.n == 0 || !route->handler)
        bad_pattern(route, "a pattern begins with '/', a route has a method and a handler");
    struct node *at = &r->root;
    size_t depth = 0;
    bool ended = false;
    while (rest.p && rest.n) {
        rest = str_from(rest, 1); /* the '/' */
        ptrdiff_t slash = str_find_char(rest, '/');
        struct str segment = slash < 0 ? rest : str_sub(rest, 0, (size_t)slash);
        rest = slash < 0 ? STR_NONE : str_from(rest, (size_t)slash);
        struct edge e = parse_segment(route, segment, &t);
        if (ended || ++depth > ROUTER_SEGMENTS)
            bad_pattern(route, "something after a rest parameter, or too long");
        ended = e.kind == EDGE_REST;
        at = node_child(r, at, e);
    }
    for (size_t i = 0; i < at->targets.n; i++)
        if (str_eq(at->targets.v[i].method, t.method))
            bad_pattern(route, "the same as another route");
    *vec_push(&r->arena, &at->targets) = t;
    *vec_push(&r->arena, &r->routes) = route;
}

void router_add(struct router *r, const struct route *routes, size_t n, void *ctx)
{
    for (size_t i = 0; i < n; i++)
        add_route(r, &routes[i], ctx);
}

void router_each(const struct router *r, void (*fn)(void *arg, const struct route *route),
                 void *arg)
{
    for (size_t i = 0; i < r->routes.n; i++)
        fn(arg, r->routes.v[i]);
}

/* --- matching --- */

struct search {
    struct arena *arena;
    struct str method;
    struct str segments[ROUTER_SEGMENTS + 1]; /* decoded */
    size_t starts[ROUTER_SEGMENTS + 1];       /* offsets in the path, for rest parameters */
    size_t n;
    struct str path;
    struct str values[ROUTER_PARAMS]; /* captured so far */
    size_t n_values;
    const struct target *found;
    bool any_path, any_get, any_cors;
    struct str allow;
};

static bool is_int(struct str s)
{
    int64_t v;
    return s.n && s.p[0] != '-' && str_to_i64(s, &v);
}

/* Does the segment fit the edge? *value is what a parameter captures. */
static bool edge_fits(const struct edge *e, struct str segment, struct str *value)
{
    if (e->kind == EDGE_LITERAL)
        return str_eq(segment, e->text);
    if (segment.n <= e->text.n || !str_ends(segment, e->text))
        return false;
    *value = str_sub(segment, 0, segment.n - e->text.n);
    return (e->kind != EDGE_INT && e->kind != EDGE_INT_SUFFIX) || is_int(*value);
}

/* A rest parameter must not climb: "..", also when it was percent-encoded, is no path of ours. */
static bool rest_is_safe(struct str rest)
{
    struct str part;
    while (str_split(&rest, '/', &part))
        if (str_eq(part, S("..")) || str_eq(part, S(".")))
            return false;
    return true;
}

static void add_allow(struct search *s, struct str method)
{
    if (s->allow.n)
        s->allow = str_concat(s->arena, s->allow, S(", "));
    s->allow = str_concat(s->arena, s->allow, method);
}

/* The path ends at this node: take the route of the method, or note which methods there are. */
static bool node_take(struct search *s, const struct node *node)
{
    bool head = str_eq(s->method, S("HEAD"));
    const struct target *get = NULL;
    for (size_t i = 0; i < node->targets.n; i++) {
        const struct target *t = &node->targets.v[i];
        if (str_eq(t->method, s->method)) {
            s->found = t;
            return true;
        }
        if (str_eq(t->method, S("GET")))
            get = t;
    }
    if (head && get) {
        s->found = get;
        return true;
    }
    for (size_t i = 0; i < node->targets.n; i++) {
        const struct target *t = &node->targets.v[i];
        s->any_path = true;
        s->any_get |= t == get;
        s->any_cors |= (t->route->flags & ROUTE_PUBLIC_CORS) != 0;
        add_allow(s, t->method);
    }
    return false;
}

static bool node_search(struct search *s, const struct node *node, size_t depth)
{
    if (depth == s->n)
        return node_take(s, node);
    for (size_t i = 0; i < node->edges.n; i++) {
        const struct edge *e = &node->edges.v[i];
        size_t had = s->n_values;
        struct str value = STR_NONE;
        if (e->kind == EDGE_REST) {
            value = url_decode(s->arena, str_from(s->path, s->starts[depth]), false);
            if (value.n == 0 || !rest_is_safe(value))
                continue;
            s->values[s->n_values++] = value;
            if (node_take(s, e->to))
                return true;
        } else if (edge_fits(e, s->segments[depth], &value)) {
            if (e->kind != EDGE_LITERAL)
                s->values[s->n_values++] = value;
            if (node_search(s, e->to, depth + 1)) /* as deep as the longest pattern */
                return true;
        }
        s->n_values = had;
    }
    return false;
}

/* Cut the path at its slashes; all after ROUTER_SEGMENTS is one segment. False: malformed. */
static bool cut_path(struct search *s, struct str path)
{
    if (path.n == 0 || path.p[0] != '/')
        return false;
    size_t at = 1;
    for (;;) {
        struct str rest = str_from(path, at);
        ptrdiff_t slash = s->n < ROUTER_SEGMENTS ? str_find_char(rest, '/') : -1;
        struct str raw = slash < 0 ? rest : str_sub(rest, 0, (size_t)slash);
        struct str segment = url_decode(s->arena, raw, false);
        if (!segment.p || str_find_char(segment, '\0') >= 0 || !str_is_utf8(segment))
            return false;
        s->segments[s->n] = segment;
        s->starts[s->n++] = at;
        if (slash < 0)
            return true;
        at += (size_t)slash + 1;
    }
}

enum route_found router_match(const struct router *r, struct arena *a, struct str method,
                              struct str path, struct route_match *m)
{
    struct search s = {.arena = a, .method = method, .path = path};
    *m = (struct route_match){0};
    if (!cut_path(&s, path))
        return ROUTE_BAD_PATH;
    if (!node_search(&s, &r->root, 0)) {
        if (s.any_get)
            add_allow(&s, S("HEAD"));
        if (s.any_path)
            add_allow(&s, S("OPTIONS"));
        m->allow = s.allow;
        m->any_cors = s.any_cors;
        return s.any_path ? ROUTE_NO_METHOD : ROUTE_NO_PATH;
    }
    m->route = s.found->route;
    m->ctx = s.found->ctx;
    m->n_params = s.found->n_names;
    for (size_t i = 0; i < m->n_params; i++)
        m->params[i] = (struct http_pair){s.found->names[i], s.values[i]};
    return ROUTE_FOUND;
}
