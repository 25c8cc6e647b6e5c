#include "template_parse.h"

#include "core/vec.h"
#include "template_html.h"
#include <string.h>

struct section {
    uint32_t op;
    uint32_t line;
    struct str name;
    struct html_scan html; /* where it began: it must end in the same place */
};

struct parser {
    struct arena *arena;
    struct str label, s;
    size_t i;      /* in s */
    uint32_t line; /* of s.p[i] */
    VEC(struct template_op) ops;
    struct section open[TEMPLATE_DEPTH];
    size_t depth;
    struct html_scan html;
    struct error *e;
};

/* One tag as it stands in the text. */
struct tag {
    char sigil; /* one of # ^ / > ! and '{' for the raw value, or 0 */
    bool message;
    struct str inner; /* trimmed, without sigil */
    size_t from, to;  /* offsets of its braces */
};

static enum err fail(struct parser *p, const char *why, struct str what)
{
    return error_set(p->e, ERR_INVALID, "%" STR_F ":%u: %s \"%" STR_F "\"", STR_A(p->label),
                     p->line, why, STR_A(what));
}

static struct template_op *add(struct parser *p, enum template_op_kind kind)
{
    struct template_op *op = vec_push(p->arena, &p->ops);
    op->kind = kind;
    op->line = p->line;
    return op;
}

static void add_literal(struct parser *p, struct str text)
{
    if (text.n == 0)
        return;
    html_feed(&p->html, text);
    add(p, TEMPLATE_TEXT)->text = text;
}

/* Move on to offset `to`, counting lines. */
static void advance(struct parser *p, size_t to)
{
    for (; p->i < to; p->i++)
        if (p->s.p[p->i] == '\n')
            p->line++;
}

/* --- names --- */

static bool is_name_char(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c == '-' || c == '@' || c == ':' || c >= 0x80;
}

static bool is_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_name_char((unsigned char)s.p[i]))
            return false;
    return s.n > 0;
}

static enum err parse_path(struct parser *p, struct str text, struct template_path *out)
{
    *out = (struct template_path){0};
    if (str_eq(text, S(".")))
        return OK;
    size_t n = 1;
    for (size_t i = 0; i < text.n; i++)
        n += text.p[i] == '.';
    struct str *names = ARENA_ARRAY(p->arena, struct str, n);
    struct str rest = text;
    for (out->names = names; str_split(&rest, '.', &names[out->n]); out->n++)
        if (!is_name(names[out->n]))
            return fail(p, "not a name:", text);
    return out->n == n ? OK : fail(p, "not a name:", text);
}

/* --- tags --- */

/* The next tag at or after p->i; false when none is left. */
static enum err find_tag(struct parser *p, struct tag *t, bool *found)
{
    ptrdiff_t at = str_find(str_from(p->s, p->i), S("{{"));
    *found = at >= 0;
    if (at < 0)
        return OK;
    *t = (struct tag){.from = p->i + (size_t)at};
    struct str rest = str_from(p->s, t->from + 2);
    bool raw = rest.n > 0 && rest.p[0] == '{';
    struct str close = raw ? S("}}}") : S("}}");
    ptrdiff_t end = str_find(rest, close);
    if (end < 0) {
        advance(p, t->from);
        return fail(p, "tag is not closed:", str_sub(p->s, t->from, 20));
    }
    t->to = t->from + 2 + (size_t)end + close.n;
    t->inner = str_sub(rest, 0, (size_t)end);
    if (t->inner.n > 0 && strchr("#^/>!{", t->inner.p[0]) && t->inner.p[0]) {
        t->sigil = t->inner.p[0];
        t->inner = str_from(t->inner, 1);
    }
    t->inner = str_trim(t->inner);
    if (!t->sigil && str_starts(t->inner, S("t:"))) {
        t->message = true;
        t->inner = str_from(t->inner, 2);
    }
    return OK;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Is the tag the only thing on its line? Then from and to become the bounds of the line. */
static bool standalone(const struct parser *p, const struct tag *t, size_t *from, size_t *to)
{
    if (!t->sigil || t->sigil == '{')
        return false;
    *from = t->from;
    while (*from > p->i && is_blank(p->s.p[*from - 1]))
        --*from;
    if (*from > 0 && p->s.p[*from - 1] != '\n')
        return false;
    *to = t->to;
    while (*to < p->s.n && is_blank(p->s.p[*to]))
        ++*to;
    if (*to + 1 < p->s.n && p->s.p[*to] == '\r' && p->s.p[*to + 1] == '\n')
        ++*to;
    if (*to < p->s.n && p->s.p[*to] != '\n')
        return false;
    *to += *to < p->s.n;
    return true;
}

/* May a value (or a text of the catalogue) stand here? */
static enum err check_place(struct parser *p, const struct tag *t)
{
    bool raw = t->sigil == '{';
    if (html_in_tag(&p->html) && !html_in_value(&p->html))
        return fail(p, "in a tag only quoted attribute values may hold", t->inner);
    if (html_in_value(&p->html) && raw)
        return fail(p, "an attribute must not hold the raw value", t->inner);
    if (html_is_event(&p->html))
        return fail(p, "an event attribute must not hold", t->inner);
    if (p->html.place == HTML_SCRIPT && !raw)
        return fail(p, "script and style must not hold the escaped value", t->inner);
    return OK;
}

static enum template_mode mode_here(const struct parser *p, const struct tag *t)
{
    if (t->sigil == '{')
        return TEMPLATE_RAW;
    return html_is_url(&p->html) ? TEMPLATE_URL : TEMPLATE_ESCAPED;
}

static enum err add_value(struct parser *p, const struct tag *t)
{
    enum err r = check_place(p, t);
    if (r)
        return r;
    struct template_op *op = add(p, TEMPLATE_VALUE);
    op->mode = mode_here(p, t);
    return parse_path(p, t->inner, &op->path);
}

/* "name", "a.b" (called b in the text) or "name=a.b". */
static enum err add_arg(struct parser *p, struct str word, struct template_arg *out)
{
    ptrdiff_t equals = str_find_char(word, '=');
    struct str path = equals >= 0 ? str_from(word, (size_t)equals + 1) : word;
    enum err r = parse_path(p, path, &out->path);
    if (r)
        return r;
    if (equals >= 0)
        out->name = str_sub(word, 0, (size_t)equals);
    else if (out->path.n > 0)
        out->name = out->path.names[out->path.n - 1];
    return is_name(out->name) ? OK : fail(p, "argument without a name:", word);
}

static enum err add_message(struct parser *p, const struct tag *t)
{
    enum err r = check_place(p, t);
    if (r)
        return r;
    struct template_op *op = add(p, TEMPLATE_MESSAGE);
    op->mode = mode_here(p, t);
    struct template_arg args[TEMPLATE_ARGS] = {0};
    struct str rest = t->inner, word;
    while (str_split(&rest, ' ', &word)) {
        word = str_trim(word);
        if (word.n == 0)
            continue;
        if (op->text.n == 0) {
            op->text = word;
            continue;
        }
        if (op->n_args == TEMPLATE_ARGS)
            return fail(p, "too many arguments:", t->inner);
        r = add_arg(p, word, &args[op->n_args++]);
        if (r)
            return r;
    }
    size_t n = op->n_args * sizeof(args[0]);
    op->args = n ? memcpy(arena_alloc(p->arena, n), args, n) : NULL;
    return op->text.n > 0 ? OK : fail(p, "no key:", t->inner);
}

static enum err open_section(struct parser *p, const struct tag *t)
{
    if (p->depth == TEMPLATE_DEPTH)
        return fail(p, "sections nest too deep:", t->inner);
    p->open[p->depth++] = (struct section){(uint32_t)p->ops.n, p->line, t->inner, p->html};
    struct template_op *op = add(p, t->sigil == '#' ? TEMPLATE_SECTION : TEMPLATE_INVERTED);
    return parse_path(p, t->inner, &op->path);
}

static enum err close_section(struct parser *p, const struct tag *t)
{
    if (p->depth == 0)
        return fail(p, "end of a section that was not begun:", t->inner);
    const struct section *s = &p->open[--p->depth];
    if (!str_eq(s->name, t->inner))
        return fail(p, "a section inside is not closed, or this is another one:", t->inner);
    if (s->html.place != p->html.place)
        return fail(p, "section begins and ends in different places of the HTML:", t->inner);
    p->html.settled = p->html.settled && s->html.settled; /* the section may be left out */
    if (p->ops.v[s->op].kind == TEMPLATE_SECTION)
        add(p, TEMPLATE_END)->to = s->op + 1;
    p->ops.v[s->op].to = (uint32_t)p->ops.n;
    return OK;
}

static enum err add_part(struct parser *p, const struct tag *t)
{
    if (p->html.place != HTML_TEXT)
        return fail(p, "only text may hold a part:", t->inner);
    if (t->inner.n == 0)
        return fail(p, "part without a name", t->inner);
    add(p, TEMPLATE_PART)->text = t->inner;
    return OK;
}

static enum err add_tag(struct parser *p, const struct tag *t)
{
    switch (t->sigil) {
    case '#':
    case '^':
        return open_section(p, t);
    case '/':
        return close_section(p, t);
    case '>':
        return add_part(p, t);
    case '!':
        return OK;
    default:
        return t->message ? add_message(p, t) : add_value(p, t);
    }
}

static enum err parse(struct parser *p)
{
    struct tag t;
    bool found;
    enum err r = find_tag(p, &t, &found);
    while (!r && found) {
        size_t from = t.from, to = t.to, line_from, line_to;
        if (standalone(p, &t, &line_from, &line_to)) {
            from = line_from;
            to = line_to;
        }
        add_literal(p, str_sub(p->s, p->i, from - p->i));
        advance(p, t.from);
        r = add_tag(p, &t);
        advance(p, to);
        if (!r)
            r = find_tag(p, &t, &found);
    }
    if (r)
        return r;
    add_literal(p, str_from(p->s, p->i));
    if (p->depth > 0) {
        p->line = p->open[p->depth - 1].line;
        return fail(p, "section is not closed:", p->open[p->depth - 1].name);
    }
    if (p->html.place != HTML_TEXT)
        return fail(p, "ends inside a tag, a comment or script:", p->label);
    return OK;
}

enum err template_parse(struct arena *a, struct str label, struct str text,
                        struct template_program *out, struct error *e)
{
    struct parser p = {.arena = a, .label = label, .s = text, .line = 1, .e = e};
    enum err r = parse(&p);
    *out = (struct template_program){.label = label, .ops = p.ops.v, .n = p.ops.n};
    return r;
}
