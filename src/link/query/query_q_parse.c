/* query_q_parse.c - reading q (ETSI GS CIM 009 clause 4.9). */
#include <math.h>

#include "query_impl.h"

struct q_parser {
    struct query_parser p; /* first, so that the leaf reader finds its way back */
    const struct ld_context *ctx;
    const struct str *expand;
    size_t n_expand;
    uint32_t links; /* the longest way over linked entities so far */
    VEC(struct regex *) patterns;
};

/* --- names and paths --- */

static bool ends_name(int c)
{
    return c <= ' ' || c == 0x7f || (c < 0x7f && strchr("=!<>~;|()[]{}.,\"'", c));
}

/* A JSON string at hand; NULL text after query_fail(). */
static struct str parse_quoted(struct query_parser *p)
{
    size_t from = p->at++;
    while (query_peek(p) >= 0 && query_peek(p) != '"')
        p->at += query_peek(p) == '\\' ? 2 : 1;
    if (query_peek(p) < 0) {
        p->at = from;
        query_fail(p, "a closing '\"'");
        return STR_NONE;
    }
    p->at++;
    struct str quoted = str_sub(p->text, from, p->at - from);
    const struct json *v = json_parse(p->arena, quoted, &JSON_DEFAULT, NULL);
    if (!v) {
        p->at = from;
        query_fail(p, "a text with the escapes of JSON");
        return STR_NONE;
    }
    return json_text(v);
}

/* One name; in quotes it may hold anything (an IRI with dots). */
static struct str parse_name(struct query_parser *p)
{
    if (query_peek(p) == '"') {
        struct str name = parse_quoted(p);
        if (name.p && !name.n) {
            query_fail(p, "a name");
            return STR_NONE;
        }
        return name;
    }
    size_t from = p->at;
    while (!ends_name(query_peek(p)))
        p->at++;
    if (p->at == from) {
        query_fail(p, "a name");
        return STR_NONE;
    }
    return str_sub(p->text, from, p->at - from);
}

static bool in_list(struct str name, const char *const *list)
{
    for (; *list; list++)
        if (str_eq(name, str_c(*list)))
            return true;
    return false;
}

static bool is_entity_member(struct str name)
{
    static const char *const names[] = {"id",        "scope",     "createdAt", "modifiedAt",
                                        "expiresAt", "deletedAt", NULL};
    return in_list(name, names);
}

static bool is_instance_member(struct str name)
{
    static const char *const names[] = {"observedAt", "unitCode",   "datasetId", "createdAt",
                                        "expiresAt",  "modifiedAt", "deletedAt", "type",
                                        "objectType", "valueType",  NULL};
    return in_list(name, names);
}

static bool is_time_member(struct str name)
{
    static const char *const names[] = {"observedAt", "createdAt", "modifiedAt",
                                        "expiresAt",  "deletedAt", NULL};
    return in_list(name, names);
}

/* a.b.c: names of attributes, the last perhaps a member. */
static bool parse_steps(struct query_parser *p, const struct ld_context *ctx, bool any_member,
                        struct q_term *t)
{
    VEC(struct q_step) steps = VEC_INIT;
    for (;;) {
        int c = query_peek(p);
        if (c >= '0' && c <= '9')
            return query_fail(p, "a name that starts with a letter");
        size_t from = p->at;
        struct str name = parse_name(p);
        if (!name.p)
            return false;
        if (steps.n == ENTITY_MAX_DEPTH || (steps.n && steps.v[steps.n - 1].member)) {
            p->at = from;
            return query_fail(p, "no further name");
        }
        bool is_type = !steps.n && str_eq(name, S("type"));
        bool member = steps.n ? is_instance_member(name) : is_type || is_entity_member(name);
        if (is_type && !any_member) {
            p->at = from;
            return query_fail(p, "an attribute (types are selected by the parameter type)");
        }
        *vec_push(p->arena, &steps) =
            (struct q_step){member ? name : ld_expand(ctx, p->arena, name), member};
        if (query_peek(p) != '.')
            break;
        p->at++;
    }
    t->steps = steps.v;
    t->n_steps = steps.n;
    return true;
}

/* [a.b]: member names inside a compound value, or a language. */
static bool parse_trail(struct query_parser *p, struct q_term *t)
{
    VEC(struct str) trail = VEC_INIT;
    while (query_peek(p) == '[') {
        do {
            p->at++;
            struct str name = parse_name(p);
            if (!name.p)
                return false;
            if (trail.n == 64)
                return query_fail(p, "a shorter path");
            *vec_push(p->arena, &trail) = name;
        } while (query_peek(p) == '.');
        if (query_peek(p) != ']')
            return query_fail(p, "']' or '.'");
        p->at++;
    }
    t->trail = trail.v;
    t->n_trail = trail.n;
    return true;
}

bool query_path(struct query_parser *p, const struct ld_context *ctx, bool any_member,
                struct q_term *t)
{
    return parse_steps(p, ctx, any_member, t) && parse_trail(p, t);
}

/* --- values --- */

double query_number(struct str text)
{
    struct json v = json_v_number(text);
    double d;
    if (json_double(&v, &d))
        return d;
    if (json_number_cmp(text, S("1")) > 0)
        return INFINITY;
    return json_number_cmp(text, S("-1")) < 0 ? -INFINITY : 0;
}

/* An unquoted word by its looks: number, boolean, date-time, date, time. */
static bool read_plain(struct query_parser *p, struct str word, struct q_value *v)
{
    struct civil c;
    v->text = word;
    if (str_eq(word, S("true")) || str_eq(word, S("false"))) {
        v->kind = Q_BOOL;
        v->truth = word.n == 4;
        return true;
    }
    const struct json *number = json_parse(p->arena, word, &JSON_DEFAULT, NULL);
    if (json_is(number, JSON_NUMBER)) {
        v->kind = Q_NUMBER;
        v->number = query_number(word);
        return true;
    }
    if (datetime_parse(word, &v->instant)) {
        v->kind = Q_DATETIME;
        return true;
    }
    if (date_parse(word, &c)) {
        v->kind = Q_DATE;
        return true;
    }
    if (time_parse(word, &c)) {
        v->kind = Q_TIME;
        v->instant = ((c.hour * 60 + c.minute) * 60 + c.second) * INT64_C(1000000) + c.micro;
        return true;
    }
    return false;
}

static bool ends_value(int c)
{
    return c <= ' ' || (c < 0x7f && strchr(";|),(\"'", c));
}

struct q_context { /* what the attribute says about its values */
    bool expand;   /* terms to be expanded */
    bool time;     /* always an instant: a quoted date-time is one too */
};

/* One value. may_range: stop before ".." when what stands there reads as a plain value. */
static bool parse_value(struct q_parser *q, struct q_context how, bool may_range, struct q_value *v)
{
    struct query_parser *p = &q->p;
    if (!query_count(p))
        return false;
    query_skip_blanks(p);
    if (query_peek(p) == '"') {
        v->kind = Q_TEXT;
        v->text = parse_quoted(p);
        if (!v->text.p)
            return false;
        if (how.expand)
            v->text = ld_expand(q->ctx, p->arena, v->text);
        if (how.time && datetime_parse(v->text, &v->instant))
            v->kind = Q_DATETIME;
        return true;
    }
    size_t from = p->at;
    while (!ends_value(query_peek(p)))
        p->at++;
    struct str word = str_sub(p->text, from, p->at - from);
    ptrdiff_t dots = str_find(word, S(".."));
    if (may_range && dots > 0 && read_plain(p, str_sub(word, 0, (size_t)dots), v)) {
        p->at = from + (size_t)dots;
        return true;
    }
    if (read_plain(p, word, v))
        return true;
    v->kind = Q_TEXT;
    if (how.expand && word.n) {
        v->text = ld_expand(q->ctx, p->arena, word);
        return true;
    }
    if (ld_is_uri(word))
        return true;
    p->at = from;
    return query_fail(p, "a number, date, time, URI, true, false or a text in double quotes");
}

static bool ordered(const struct q_value *v)
{
    return v->kind != Q_BOOL;
}

/* What follows == and !=: a list or a range. What follows an order: one value. */
static bool parse_values(struct q_parser *q, struct q_context how, struct q_term *t)
{
    struct query_parser *p = &q->p;
    VEC(struct q_value) values = VEC_INIT;
    bool equality = t->op == Q_EQ || t->op == Q_NE;
    for (;;) {
        struct q_value v = {0};
        if (!parse_value(q, how, equality && !values.n, &v))
            return false;
        *vec_push(p->arena, &values) = v;
        query_skip_blanks(p);
        if (!equality)
            break;
        bool dots = values.n == 1 && str_starts(str_from(p->text, p->at), S(".."));
        if (!dots && (t->range || query_peek(p) != ','))
            break;
        t->range = dots;
        p->at += dots ? 2 : 1;
    }
    if (!equality && !ordered(&values.v[0]))
        return query_fail(p, "a value that has an order before this");
    if (t->range && (values.v[0].kind != values.v[1].kind || !ordered(&values.v[0])))
        return query_fail(p, "a range of two numbers, texts, dates or times before this");
    t->values = values.v;
    t->n_values = values.n;
    return true;
}

/* --- patterns --- */

/* In quotes only '"', '\' and '/' are escaped: other backslashes belong to the pattern. */
static struct str quoted_pattern(struct query_parser *p)
{
    size_t from = p->at++, n = 0;
    char *out = arena_alloc(p->arena, p->text.n);
    while (query_peek(p) >= 0 && query_peek(p) != '"') {
        char next = p->at + 1 < p->text.n ? p->text.p[p->at + 1] : 0;
        if (query_peek(p) == '\\' && (next == '"' || next == '\\' || next == '/'))
            p->at++;
        out[n++] = p->text.p[p->at++];
    }
    if (query_peek(p) < 0) {
        p->at = from;
        query_fail(p, "a closing '\"'");
        return STR_NONE;
    }
    p->at++;
    return str_n(out, n);
}

/* Without quotes a pattern ends at ';', '|' or ')' outside its own brackets. */
static struct str plain_pattern(struct query_parser *p)
{
    size_t from = p->at, round = 0;
    bool set = false;
    for (int c; (c = query_peek(p)) >= 0; p->at++) {
        if (c == '\\' && p->at + 1 < p->text.n) {
            p->at++;
            continue;
        }
        if (set) {
            set = c != ']';
            continue;
        }
        if (!round && (c == ';' || c == '|' || c == ')'))
            break;
        set = c == '[';
        round += c == '(';
        round -= c == ')';
    }
    return str_trim(str_sub(p->text, from, p->at - from));
}

static bool parse_pattern(struct q_parser *q, struct q_term *t)
{
    struct query_parser *p = &q->p;
    query_skip_blanks(p);
    struct str text = query_peek(p) == '"' ? quoted_pattern(p) : plain_pattern(p);
    if (!text.p)
        return false;
    if (!text.n)
        return query_fail(p, "a pattern");
    t->pattern = regex_new(text, p->e);
    if (!t->pattern)
        return false;
    *vec_push(p->arena, &q->patterns) = t->pattern;
    return true;
}

/* --- terms --- */

static bool parse_operator(struct query_parser *p, enum q_op *op)
{
    static const struct {
        struct str text;
        enum q_op op;
    } ops[] = {
        {S_INIT("=="), Q_EQ}, {S_INIT("!~="), Q_NO_MATCH}, {S_INIT("!="), Q_NE},
        {S_INIT(">="), Q_GE}, {S_INIT("<="), Q_LE},        {S_INIT(">"), Q_GT},
        {S_INIT("<"), Q_LT},  {S_INIT("~="), Q_MATCH},
    };
    struct str rest = str_from(p->text, p->at);
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
        if (str_starts(rest, ops[i].text)) {
            p->at += ops[i].text.n;
            *op = ops[i].op;
            return true;
        }
    return false;
}

static struct q_context context_of(const struct q_parser *q, const struct q_term *t, struct str raw)
{
    const struct q_step *last = &t->steps[t->n_steps - 1];
    struct q_context how = {false, last->member && is_time_member(last->name)};
    for (size_t i = 0; i < q->n_expand; i++)
        if (str_eq(q->expand[i], raw) || str_eq(q->expand[i], t->steps[0].name))
            how.expand = true;
    return how;
}

/* What follows a path: an operator and values, or nothing. */
static bool parse_comparison(struct q_parser *q, struct str raw, struct q_term *t)
{
    struct query_parser *p = &q->p;
    query_skip_blanks(p);
    if (!parse_operator(p, &t->op)) {
        int c = query_peek(p);
        if (c >= 0 && c != ';' && c != '|' && c != ')')
            return query_fail(p, "a comparison, ';', '|', ')' or the end");
        t->op = Q_EXISTS;
        return true;
    }
    return t->op == Q_MATCH || t->op == Q_NO_MATCH ? parse_pattern(q, t)
                                                   : parse_values(q, context_of(q, t, raw), t);
}

/* --- linked entities --- */

/* "T1,T2:" before a path; a colon of an IRI stands in double quotes. */
static bool parse_hints(struct q_parser *q, struct q_term *t)
{
    struct query_parser *p = &q->p;
    size_t end = p->at;
    while (end < p->text.n && str_find_char(S("{}[]\"=<>!~;|"), p->text.p[end]) < 0)
        end++;
    struct str text = str_sub(p->text, p->at, end - p->at), type;
    ptrdiff_t colon = str_find_char(text, ':');
    if (colon < 0)
        return true;
    VEC(struct str) hints = VEC_INIT;
    text = str_sub(text, 0, (size_t)colon);
    while (str_split(&text, ',', &type)) {
        type = str_trim(type);
        if (!type.n || hints.n == 16)
            return query_fail(p, "types before ':'");
        *vec_push(p->arena, &hints) = ld_expand(q->ctx, p->arena, type);
    }
    t->hints = hints.v;
    t->n_hints = hints.n;
    p->at += (size_t)colon + 1;
    return true;
}

/*
 * attr{T:inner{...}} up to the last '}'. All terms on the way are made here; *last is the one that
 * the comparison belongs to. links: how many there are already.
 */
static bool parse_linked(struct q_parser *q, struct q_term *t, uint32_t links, struct q_term **last)
{
    struct query_parser *p = &q->p;
    if (t->n_steps != 1 || t->steps[0].member)
        return query_fail(p, "'{' behind a single attribute");
    if (links >= p->limits->max_links) {
        error_set(p->e, ERR_UNPROCESSABLE,
                  "%s: offset %zu: that is deeper than joinLevel, or without "
                  "join",
                  p->what, p->at);
        return false;
    }
    if (links + 1 > q->links)
        q->links = links + 1;
    struct q_term *inner = ARENA_NEW(p->arena, struct q_term);
    p->at++;
    if (!query_count(p) || !parse_hints(q, t) || !parse_steps(p, q->ctx, false, inner))
        return false;
    t->linked = inner;
    *last = inner;
    if (query_peek(p) == '{' ? !parse_linked(q, inner, links + 1, last) : !parse_trail(p, inner))
        return false;
    if (query_peek(p) != '}')
        return query_fail(p, "'}'");
    p->at++;
    return true;
}

static const void *parse_term(struct query_parser *p)
{
    struct q_parser *q = (struct q_parser *)p;
    struct q_term *t = ARENA_NEW(p->arena, struct q_term), *last = t;
    bool absent = query_peek(p) == '!';
    p->at += absent;
    size_t from = p->at;
    if (!parse_steps(p, q->ctx, false, t))
        return NULL;
    struct str raw = str_sub(p->text, from, p->at - from);
    if (query_peek(p) == '{' ? !parse_linked(q, t, 0, &last) : !parse_trail(p, t))
        return NULL;
    if (absent) {
        query_skip_blanks(p);
        t->op = Q_ABSENT;
        last->op = last == t ? Q_ABSENT : Q_EXISTS;
        return t;
    }
    return parse_comparison(q, raw, last) ? t : NULL;
}

const struct query_node *query_parse_q(struct arena *a, struct str text,
                                       const struct ld_context *ctx,
                                       const struct str *expand_values, size_t n_expand,
                                       const struct query_limits *l, struct error *e)
{
    struct q_parser q = {
        .p = {.arena = a, .what = "q", .text = text, .limits = l, .leaf = parse_term, .e = e},
        .ctx = ctx,
        .expand = expand_values,
        .n_expand = n_expand};
    struct query_node *node = ARENA_NEW(a, struct query_node);
    node->root = query_expr_parse(&q.p);
    node->patterns = q.patterns.v;
    node->n_patterns = q.patterns.n;
    node->links = q.links;
    if (node->root)
        return node;
    query_q_release(node);
    return NULL;
}

void query_q_release(const struct query_node *q)
{
    for (size_t i = 0; q && i < q->n_patterns; i++)
        regex_free(q->patterns[i]);
}
