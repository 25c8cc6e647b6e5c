#include "message.h"

#include "core/datetime.h"
#include "core/vec.h"
#include <string.h>

enum op_kind {
    OP_TEXT,     /* text */
    OP_VALUE,    /* of the argument text */
    OP_NUMBER,   /* the same as a number; also '#' */
    OP_DATE,     /* the same as a date */
    OP_DATETIME, /* the same as date and time */
    OP_PLURAL,   /* choose by the argument text among the OP_CASEs that follow */
    OP_SELECT,
    OP_CASE, /* selector text; to: the next case of the choice, 0 after the last */
    OP_JUMP  /* to: the operation after the choice */
};

struct message_op {
    enum op_kind kind;
    uint32_t to;
    struct str text;
};

struct parser {
    struct arena *arena;
    struct str s;
    size_t i;
    VEC(struct message_op) ops;
    struct message *m;
    struct error *e;
    struct str args[MESSAGE_ARGS]; /* of m */
};

/* --- compiling --- */

static enum err fail(struct parser *p, const char *why)
{
    return error_set(p->e, ERR_INVALID, "byte %zu: %s", p->i, why);
}

static void add(struct parser *p, enum op_kind kind, struct str text)
{
    *vec_push(p->arena, &p->ops) = (struct message_op){.kind = kind, .text = text};
}

static void add_text(struct parser *p, size_t from, size_t to)
{
    if (to > from)
        add(p, OP_TEXT, str_sub(p->s, from, to - from));
}

static void skip_blanks(struct parser *p)
{
    while (p->i < p->s.n && (p->s.p[p->i] == ' ' || p->s.p[p->i] == '\n' || p->s.p[p->i] == '\t'))
        p->i++;
}

/* The character that stands here, or 0 at the end. */
static char here(const struct parser *p)
{
    return p->i < p->s.n ? p->s.p[p->i] : 0;
}

/* A name of an argument, type or case: everything up to a blank or a sign of the syntax. */
static struct str word(struct parser *p)
{
    skip_blanks(p);
    size_t from = p->i;
    while (p->i < p->s.n) {
        unsigned char c = (unsigned char)p->s.p[p->i];
        if (c <= ' ' || c == '{' || c == '}' || c == ',' || c == '\'' || c == '#')
            break;
        p->i++;
    }
    struct str w = str_sub(p->s, from, p->i - from);
    skip_blanks(p);
    return w;
}

static enum err note_arg(struct parser *p, struct str name)
{
    if (message_takes(p->m, name))
        return OK;
    if (p->m->n_args == MESSAGE_ARGS)
        return fail(p, "too many arguments");
    p->args[p->m->n_args++] = name;
    return OK;
}

static bool is_selector(enum op_kind kind, struct str w)
{
    static const char *const plurals[] = {"zero", "one", "two", "few", "many", "other"};
    if (kind == OP_SELECT)
        return w.n > 0;
    int64_t exact;
    if (w.n > 1 && w.p[0] == '=')
        return str_to_i64(str_from(w, 1), &exact);
    for (size_t i = 0; i < sizeof(plurals) / sizeof(plurals[0]); i++)
        if (str_eq(w, str_c(plurals[i])))
            return true;
    return false;
}

static enum err sequence(struct parser *p, int depth, struct str counted);

/* The cases of a choice, up to its closing brace: each a selector and a text in braces. */
static enum err cases(struct parser *p, enum op_kind kind, struct str name, int depth,
                      struct str counted)
{
    if (depth == MESSAGE_DEPTH)
        return fail(p, "choices nest too deep");
    add(p, kind, name);
    size_t first = p->ops.n, last = 0;
    bool other = false;
    for (struct str w = word(p); here(p) != '}' || w.n > 0; w = word(p)) {
        if (!is_selector(kind, w))
            return fail(p, kind == OP_PLURAL ? "expected =N, one, many or other"
                                             : "expected the name of a case");
        if (here(p) != '{')
            return fail(p, "expected '{' after the name of a case");
        p->i++;
        if (last)
            p->ops.v[last - 1].to = (uint32_t)p->ops.n;
        last = p->ops.n + 1;
        other = other || str_eq(w, S("other"));
        add(p, OP_CASE, w);
        enum err r = sequence(p, depth + 1, kind == OP_PLURAL ? name : counted);
        if (r)
            return r;
        if (here(p) != '}')
            return fail(p, "a case is not closed");
        p->i++;
        add(p, OP_JUMP, STR_NONE);
    }
    if (!other)
        return fail(p, "a choice has no case \"other\"");
    for (size_t at = first; at != 0; at = p->ops.v[at].to) {
        size_t next = p->ops.v[at].to ? p->ops.v[at].to : p->ops.n;
        p->ops.v[next - 1].to = (uint32_t)p->ops.n;
    }
    return OK;
}

/* What stands in braces, after the opening one. */
static enum err argument(struct parser *p, int depth, struct str counted)
{
    static const struct {
        const char *type;
        enum op_kind kind;
    } types[] = {{"number", OP_NUMBER},
                 {"date", OP_DATE},
                 {"datetime", OP_DATETIME},
                 {"plural", OP_PLURAL},
                 {"select", OP_SELECT}};
    struct str name = word(p);
    if (name.n == 0)
        return fail(p, "expected the name of an argument");
    enum err r = note_arg(p, name);
    if (r)
        return r;
    enum op_kind kind = OP_VALUE;
    if (here(p) == ',') {
        p->i++;
        struct str type = word(p);
        for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
            if (str_eq(type, str_c(types[i].type)))
                kind = types[i].kind;
        if (kind == OP_VALUE)
            return fail(p, "expected number, date, datetime, plural or select");
    }
    if (kind == OP_PLURAL || kind == OP_SELECT) {
        if (here(p) != ',')
            return fail(p, "expected ',' and the cases");
        p->i++;
        r = cases(p, kind, name, depth, counted);
        if (r)
            return r;
    } else {
        add(p, kind, name);
    }
    if (here(p) != '}')
        return fail(p, "expected '}'");
    p->i++;
    return OK;
}

/* At an apostrophe: one of two, the start of a quotation, or itself. Returns the start of the
 * literal text that goes on after it. */
static size_t apostrophe(struct parser *p, size_t from, bool counting)
{
    char next = p->i + 1 < p->s.n ? p->s.p[p->i + 1] : 0;
    if (next == '\'') { /* keep the first, leave out the second */
        add_text(p, from, p->i + 1);
        return p->i += 2;
    }
    if (next != '{' && next != '}' && !(next == '#' && counting)) {
        p->i++;
        return from;
    }
    add_text(p, from, p->i);
    size_t start = ++p->i;
    while (p->i < p->s.n && p->s.p[p->i] != '\'')
        p->i++;
    add_text(p, start, p->i);
    if (p->i < p->s.n)
        p->i++;
    return p->i;
}

/* Text with arguments, up to the end or to an unquoted '}' that belongs to the caller. */
static enum err sequence(struct parser *p, int depth, struct str counted)
{
    size_t from = p->i;
    while (p->i < p->s.n && p->s.p[p->i] != '}') {
        char c = p->s.p[p->i];
        if (c == '\'') {
            from = apostrophe(p, from, counted.p);
        } else if (c == '{') {
            add_text(p, from, p->i);
            p->i++;
            enum err r = argument(p, depth, counted);
            if (r)
                return r;
            from = p->i;
        } else if (c == '#' && counted.p) {
            add_text(p, from, p->i);
            add(p, OP_NUMBER, counted);
            from = ++p->i;
        } else {
            p->i++;
        }
    }
    add_text(p, from, p->i);
    return OK;
}

/* A copy of what was gathered, without the room that gathering needs. */
static const void *settled(struct arena *a, const void *v, size_t n)
{
    return n ? memcpy(arena_alloc(a, n), v, n) : NULL;
}

enum err message_compile(struct arena *a, struct str text, struct message *out, struct error *e)
{
    *out = (struct message){0};
    if (text.n > MESSAGE_BYTES)
        return error_set(e, ERR_TOO_LARGE, "text of %zu bytes, %d allowed", text.n, MESSAGE_BYTES);
    struct arena scratch = ARENA_INIT;
    struct parser p = {.arena = &scratch, .s = text, .m = out, .e = e};
    out->args = p.args;
    enum err r = sequence(&p, 0, STR_NONE);
    if (!r && p.i < p.s.n)
        r = fail(&p, "'}' without '{'");
    out->n = p.ops.n;
    out->ops = settled(a, p.ops.v, p.ops.n * sizeof(p.ops.v[0]));
    out->args = settled(a, p.args, out->n_args * sizeof(p.args[0]));
    arena_release(&scratch);
    return r;
}

bool message_takes(const struct message *m, struct str arg)
{
    for (size_t i = 0; i < m->n_args; i++)
        if (str_eq(m->args[i], arg))
            return true;
    return false;
}

/* --- formatting --- */

static struct str text_of(const struct json *v)
{
    if (json_is_bool(v))
        return json_true(v) ? S("true") : S("false");
    return json_text(v);
}

static void add_date(const struct style *s, enum op_kind kind, const struct json *v,
                     struct buf *out)
{
    int64_t instant;
    struct civil c;
    if (json_is(v, JSON_STRING) && date_parse(json_text(v), &c))
        instant = civil_to_instant(&c, JST_OFFSET_S);
    else if (!json_i64(v, &instant) && !datetime_parse(json_text(v), &instant)) {
        buf_str(out, text_of(v));
        return;
    }
    if (kind == OP_DATE)
        style_date(s, out, instant);
    else
        style_datetime(s, out, instant);
}

static bool plural_is(enum plural form, struct str selector)
{
    return (form == PLURAL_ONE && str_eq(selector, S("one"))) ||
           (form == PLURAL_MANY && str_eq(selector, S("many")));
}

/* The operation after the OP_CASE that fits best: an exact number, then the form, then "other". */
static size_t choose(const struct message *m, const struct style *s, size_t at, struct str value)
{
    bool plural = m->ops[at].kind == OP_PLURAL;
    enum plural form = plural ? style_plural(s, value) : PLURAL_OTHER;
    size_t best = 0, other = 0;
    for (size_t i = at + 1; i != 0; i = m->ops[i].to) {
        struct str selector = m->ops[i].text;
        int64_t want, have;
        if (plural && selector.p[0] == '=') {
            if (str_to_i64(str_from(selector, 1), &want) && str_to_i64(value, &have) &&
                want == have)
                return i + 1;
        } else if (plural ? plural_is(form, selector) : str_eq(value, selector)) {
            best = best ? best : i;
        } else if (str_eq(selector, S("other"))) {
            other = other ? other : i;
        }
    }
    return (best ? best : other) + 1;
}

void message_format(const struct message *m, const struct style *s, const struct json *args,
                    struct buf *out)
{
    for (size_t i = 0; i < m->n;) {
        const struct message_op *op = &m->ops[i];
        const struct json *v = op->kind == OP_TEXT ? NULL : json_get(args, op->text);
        size_t next = i + 1;
        switch (op->kind) {
        case OP_TEXT:
            buf_str(out, op->text);
            break;
        case OP_VALUE:
            buf_str(out, text_of(v));
            break;
        case OP_NUMBER:
            style_number(s, out, text_of(v));
            break;
        case OP_DATE:
        case OP_DATETIME:
            add_date(s, op->kind, v, out);
            break;
        case OP_PLURAL:
        case OP_SELECT:
            next = choose(m, s, i, text_of(v));
            break;
        case OP_CASE:
            break;
        case OP_JUMP:
            next = op->to;
            break;
        }
        i = next;
    }
}
