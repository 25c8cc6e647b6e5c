/*
 * The Simple Query Language (q, mq) compiled to the same terms as NGSI-LD's q, so that evaluation
 * and indexes are shared.
 *
 *     statement {";" statement}          all must hold
 *     statement = ["!"] path | path operator value
 *     path      = token {"." token}      in single quotes a token may hold anything
 *
 * q: the first token is an attribute, the others lead into its value. mq: the second is metadata.
 */
#include "v2.h"
#include <math.h>

enum { TERMS_MAX = 256, TEXT_MAX = 8 * 1024, TOKENS_MAX = 64, VALUES_MAX = 256 };

struct compiler {
    struct arena *arena;
    const char *what; /* "q" or "mq" */
    VEC(const struct query_expr *) terms;
    VEC(struct regex *) patterns;
    size_t n_values;
    struct error *e;
};

static enum err fail(struct compiler *k, struct str at, const char *why)
{
    return error_set(k->e, ERR_INVALID, "invalid %s expression: %s: %" STR_F, k->what, why,
                     QUOTE(at));
}

/* Length of text up to the first of the bytes in stop that stands outside single quotes. */
static size_t span(struct str text, const char *stop)
{
    bool inside = false;
    size_t i = 0;
    for (; i < text.n; i++) {
        if (text.p[i] == '\'')
            inside = !inside;
        else if (!inside && text.p[i] && strchr(stop, text.p[i]))
            break;
    }
    return i;
}

static bool is_quoted(struct str s)
{
    return s.n >= 2 && s.p[0] == '\'' && s.p[s.n - 1] == '\'';
}

static struct str unquote(struct str s)
{
    return is_quoted(s) ? str_sub(s, 1, s.n - 2) : s;
}

/* --- paths --- */

static struct str builtin_attr(struct str name)
{
    if (str_eq(name, S("dateCreated")))
        return S("createdAt");
    if (str_eq(name, S("dateModified")))
        return S("modifiedAt");
    return str_eq(name, S("dateExpires")) ? S("expiresAt") : STR_NONE;
}

static struct str builtin_metadata(struct str name)
{
    if (str_eq(name, S("TimeInstant")))
        return S("observedAt");
    if (str_eq(name, S("observedAt")) || str_eq(name, S("unitCode")))
        return name;
    return str_eq(name, S("dateExpires")) ? STR_NONE : builtin_attr(name);
}

static struct q_step step(struct compiler *k, struct str token, struct str member)
{
    return (struct q_step){member.p ? member : v2_iri(k->arena, token), member.p != NULL};
}

static enum err path(struct compiler *k, struct str text, struct q_term *t)
{
    struct str *tokens = ARENA_ARRAY(k->arena, struct str, TOKENS_MAX), rest = text;
    size_t n = 0;
    bool last = false;
    while (!last) {
        size_t len = span(rest, ".");
        struct str token = unquote(str_sub(rest, 0, len));
        if (!token.n || !str_is_utf8(token))
            return fail(k, text, "a path of names is expected");
        if (n == TOKENS_MAX)
            return fail(k, text, "the path is too long");
        tokens[n++] = token;
        last = len == rest.n;
        rest = str_from(rest, len + 1);
    }
    bool meta = k->what[0] == 'm';
    if (meta && n < 2)
        return fail(k, text, "an attribute and a metadata name are expected");
    struct q_step *steps = ARENA_ARRAY(k->arena, struct q_step, 2);
    steps[0] = step(k, tokens[0], meta ? STR_NONE : builtin_attr(tokens[0]));
    if (meta)
        steps[1] = step(k, tokens[1], builtin_metadata(tokens[1]));
    t->steps = steps;
    t->n_steps = meta ? 2 : 1;
    t->trail = tokens + t->n_steps;
    t->n_trail = n - t->n_steps;
    return OK;
}

/* --- values --- */

static struct q_value plain(struct compiler *k, struct str word, bool forced_text)
{
    struct q_value v = {.kind = Q_TEXT, .text = word};
    struct civil c;
    if (forced_text)
        return v;
    const struct json *number = json_parse(k->arena, word, &JSON_DEFAULT, NULL);
    if (str_eq(word, S("true")) || str_eq(word, S("false"))) {
        v.kind = Q_BOOL;
        v.truth = word.n == 4;
    } else if (json_is(number, JSON_NUMBER)) {
        v.kind = Q_NUMBER;
        v.text = json_text(number);
        v.number = query_number(v.text);
    } else if (datetime_parse(word, &v.instant)) {
        v.kind = Q_DATETIME;
    } else if (date_parse(word, &c) &&
               datetime_parse(str_concat(k->arena, word, S("T00:00:00Z")), &v.instant)) {
        v.kind = Q_DATETIME;
    }
    return v;
}

typedef VEC(struct q_value) value_list;

static bool add_value(struct compiler *k, value_list *list, struct q_value v)
{
    if (++k->n_values > VALUES_MAX)
        return false;
    *vec_push(k->arena, list) = v;
    return true;
}

/* What one word of == and != may equal: a date is a text too, and an id may stand as its alias. */
static enum err add_readings(struct compiler *k, value_list *list, struct str word)
{
    bool quoted = is_quoted(word);
    struct q_value v = plain(k, unquote(word), quoted);
    bool fits = add_value(k, list, v);
    if (fits && v.kind == Q_DATETIME)
        fits = add_value(k, list, plain(k, word, true));
    struct str alias = v.kind == Q_TEXT && v.text.n ? v2_alias(k->arena, v.text) : v.text;
    if (fits && v.kind == Q_TEXT && !str_eq(alias, v.text))
        fits = add_value(k, list, plain(k, alias, true));
    return fits ? OK : fail(k, word, "too many values");
}

static ptrdiff_t range_dots(struct str text)
{
    size_t i = 0;
    while (i < text.n) {
        i += span(str_from(text, i), ".");
        if (i + 1 < text.n && text.p[i + 1] == '.')
            return i > 0 && i + 2 < text.n ? (ptrdiff_t)i : -1;
        i++;
    }
    return -1;
}

static enum err range(struct compiler *k, struct str text, size_t dots, struct q_term *t)
{
    value_list list = VEC_INIT;
    struct str low = str_sub(text, 0, dots), high = str_from(text, dots + 2);
    if (!add_value(k, &list, plain(k, unquote(low), is_quoted(low))) ||
        !add_value(k, &list, plain(k, unquote(high), is_quoted(high))))
        return fail(k, text, "too many values");
    if (list.v[0].kind != list.v[1].kind || list.v[0].kind == Q_BOOL)
        return fail(k, text, "a range of two numbers, dates or texts is expected");
    t->values = list.v;
    t->n_values = 2;
    t->range = true;
    return OK;
}

static enum err values(struct compiler *k, struct str text, struct q_term *t)
{
    value_list list = VEC_INIT;
    bool last = false;
    if (!text.n)
        return fail(k, text, "a value is expected");
    if (t->op != Q_EQ && t->op != Q_NE) {
        struct q_value v = plain(k, unquote(text), is_quoted(text));
        if (v.kind == Q_BOOL)
            return fail(k, text, "true and false have no order");
        if (!add_value(k, &list, v))
            return fail(k, text, "too many values");
    } else {
        ptrdiff_t dots = range_dots(text);
        if (dots > 0)
            return range(k, text, (size_t)dots, t);
        while (!last) {
            size_t len = span(text, ",");
            enum err err = len ? add_readings(k, &list, str_sub(text, 0, len))
                               : fail(k, text, "an empty item in a list");
            if (err)
                return err;
            last = len == text.n;
            text = str_from(text, len + 1);
        }
    }
    t->values = list.v;
    t->n_values = list.n;
    return OK;
}

static enum err pattern(struct compiler *k, struct str text, struct q_term *t)
{
    if (!text.n)
        return fail(k, text, "a pattern is expected");
    t->pattern = regex_new(unquote(text), k->e);
    if (!t->pattern)
        return ERR_INVALID;
    *vec_push(k->arena, &k->patterns) = t->pattern;
    return OK;
}

/* --- statements --- */

static const struct {
    struct str text;
    enum q_op op;
} operators[] = {{S_INIT("=="), Q_EQ}, {S_INIT("!="), Q_NE},    {S_INIT(">="), Q_GE},
                 {S_INIT("<="), Q_LE}, {S_INIT("~="), Q_MATCH}, {S_INIT(">"), Q_GT},
                 {S_INIT("<"), Q_LT}};

/* The operator and where it stands; false when there is none. ':' is '==' where no other is. */
static bool find_operator(struct str s, size_t *at, size_t *length, enum q_op *op)
{
    *at = span(s, "=!<>~");
    for (size_t i = 0; i < sizeof(operators) / sizeof(*operators); i++)
        if (str_starts(str_from(s, *at), operators[i].text)) {
            *length = operators[i].text.n;
            *op = operators[i].op;
            return true;
        }
    if (*at == s.n)
        *at = span(s, ":");
    *length = 1;
    *op = Q_EQ;
    return *at < s.n;
}

static enum err binary(struct compiler *k, struct str s, struct q_term *t)
{
    size_t at, length;
    if (!find_operator(s, &at, &length, &t->op)) {
        t->op = Q_EXISTS;
        return path(k, s, t);
    }
    struct str rest = str_from(s, at + length);
    if (s.p[at] != ':' && length == 1 && s.p[at] != '<' && s.p[at] != '>')
        return fail(k, s, "an operator is expected");
    enum err err = path(k, str_sub(s, 0, at), t);
    if (!err)
        err = t->op == Q_MATCH ? pattern(k, rest, t) : values(k, rest, t);
    return err;
}

static enum err statement(struct compiler *k, struct str s)
{
    struct q_term *t = ARENA_NEW(k->arena, struct q_term);
    struct query_expr *leaf = ARENA_NEW(k->arena, struct query_expr);
    if (!s.n)
        return fail(k, s, "an empty statement");
    if (k->terms.n == TERMS_MAX)
        return error_set(k->e, ERR_TOO_COMPLEX, "%s has too many statements", k->what);
    enum err err;
    if (s.p[0] == '!') {
        t->op = Q_ABSENT;
        err = path(k, str_from(s, 1), t);
    } else {
        err = binary(k, s, t);
    }
    *leaf = (struct query_expr){.kind = EXPR_LEAF, .leaf = t};
    *vec_push(k->arena, &k->terms) = leaf;
    return err;
}

static enum err compile(struct compiler *k, const char *what, struct str text)
{
    k->what = what;
    if (text.n > TEXT_MAX)
        return error_set(k->e, ERR_TOO_COMPLEX, "%s is too long", what);
    if (!str_is_utf8(text))
        return fail(k, S(""), "not well-formed UTF-8");
    bool last = !text.p;
    while (!last) {
        size_t len = span(text, ";");
        enum err err = statement(k, str_sub(text, 0, len));
        if (err)
            return err;
        last = len == text.n;
        text = str_from(text, len + 1);
    }
    return OK;
}

const struct query_node *v2_query_parse(struct arena *a, struct str q, struct str mq,
                                        struct error *e)
{
    struct compiler k = {.arena = a, .e = e};
    struct query_node *node = ARENA_NEW(a, struct query_node);
    enum err err = compile(&k, "q", q);
    if (!err)
        err = compile(&k, "mq", mq);
    if (!err && !k.terms.n) {
        k.what = "q";
        err = fail(&k, q, "an empty statement");
    }
    node->patterns = k.patterns.v;
    node->n_patterns = k.patterns.n;
    if (err) {
        query_q_release(node);
        return NULL;
    }
    struct query_expr *all = ARENA_NEW(a, struct query_expr);
    *all = (struct query_expr){.kind = EXPR_AND, .kids = k.terms.v, .n = k.terms.n};
    node->root = k.terms.n == 1 ? k.terms.v[0] : all;
    return node;
}
