#include "http/template.h"

#include "core/map.h"
#include "dir.h"
#include "locale_impl.h"
#include "template_parse.h"
#include <stdlib.h>

enum { STEPS_MAX = 10 * 1000 * 1000 };

struct templates {
    struct arena arena;
    struct map by_name; /* of programs */
    struct template_program *programs;
    size_t n;
};

/* --- loading --- */

static enum err mistake(const struct template_program *p, const struct template_op *op,
                        const char *what, struct str name, struct error *e)
{
    return error_set(e, ERR_INVALID, "%" STR_F ":%u: %s \"%" STR_F "\"", STR_A(p->label), op->line,
                     what, STR_A(name));
}

/* A key that the catalogue has, with all the arguments that its text takes. */
static enum err check_message(const struct template_program *p, const struct template_op *op,
                              const struct locales *l, struct error *e)
{
    const struct message *m = l ? locale_message(locales_at(l, 0), op->text) : NULL;
    if (!m)
        return mistake(p, op, "unknown key", op->text, e);
    for (size_t i = 0; i < m->n_args; i++) {
        size_t j = 0;
        while (j < op->n_args && !str_eq(op->args[j].name, m->args[i]))
            j++;
        if (j == op->n_args)
            return mistake(p, op, "the text needs the argument", m->args[i], e);
    }
    return OK;
}

static enum err link_program(struct templates *t, struct template_program *p,
                             const struct locales *l, struct error *e)
{
    for (size_t i = 0; i < p->n; i++) {
        struct template_op *op = &p->ops[i];
        enum err r = op->kind == TEMPLATE_MESSAGE ? check_message(p, op, l, e) : OK;
        if (r)
            return r;
        if (op->kind != TEMPLATE_PART)
            continue;
        const struct template_program *part = map_get(&t->by_name, op->text);
        if (!part)
            return mistake(p, op, "unknown part", op->text, e);
        op->to = (uint32_t)(part - t->programs);
    }
    return OK;
}

/*
 * Templates whose parts are all settled get settled, until nothing changes: what is left then takes
 * part in a cycle or includes one.
 */
static enum err refuse_cycles(const struct templates *t, struct error *e)
{
    bool *settled = calloc(t->n + 1, sizeof(*settled));
    if (!settled)
        return error_set(e, ERR_INTERNAL, "out of memory");
    enum err r = OK;
    const struct template_op *open = NULL;
    size_t owner = 0;
    for (bool changed = true; changed;) {
        changed = false;
        open = NULL;
        for (size_t i = 0; i < t->n; i++) {
            const struct template_program *p = &t->programs[i];
            const struct template_op *waits = NULL;
            for (size_t k = 0; !settled[i] && !waits && k < p->n; k++)
                if (p->ops[k].kind == TEMPLATE_PART && !settled[p->ops[k].to])
                    waits = &p->ops[k];
            if (waits) {
                open = waits;
                owner = i;
            } else if (!settled[i]) {
                settled[i] = changed = true;
            }
        }
    }
    if (open)
        r = mistake(&t->programs[owner], open, "parts include each other:", open->text, e);
    free(settled);
    return r;
}

static struct templates *compile(struct templates *t, const struct template_source *sources,
                                 size_t n, const char *suffix, const struct locales *l,
                                 struct error *e)
{
    enum err r = OK;
    t->programs = ARENA_ARRAY(&t->arena, struct template_program, n);
    t->n = n;
    for (size_t i = 0; !r && i < n; i++) {
        struct str name = str_dup(&t->arena, sources[i].name);
        struct str label = str_concat(&t->arena, name, str_c(suffix));
        r = template_parse(&t->arena, label, str_dup(&t->arena, sources[i].text), &t->programs[i],
                           e);
        if (!r && map_put(&t->by_name, name, &t->programs[i]))
            r = error_set(e, ERR_INVALID, "%" STR_F ": template given twice", STR_A(label));
    }
    for (size_t i = 0; !r && i < n; i++)
        r = link_program(t, &t->programs[i], l, e);
    if (!r)
        r = refuse_cycles(t, e);
    if (!r)
        return t;
    templates_free(t);
    return NULL;
}

static struct templates *make(struct error *e)
{
    struct templates *t = calloc(1, sizeof(*t));
    if (!t)
        error_set(e, ERR_INTERNAL, "out of memory");
    return t;
}

struct templates *templates_new(const struct template_source *sources, size_t n,
                                const struct locales *l, struct error *e)
{
    struct templates *t = make(e);
    return t ? compile(t, sources, n, "", l, e) : NULL;
}

struct templates *templates_load(const char *dir, const struct locales *l, struct error *e)
{
    struct templates *t = make(e);
    struct dir_file *files = NULL;
    size_t n = 0;
    struct arena scratch = ARENA_INIT;
    if (t && dir_read(&scratch, dir, ".html", &files, &n, e)) {
        templates_free(t);
        t = NULL;
    }
    if (t) {
        struct template_source *sources = ARENA_ARRAY(&scratch, struct template_source, n);
        for (size_t i = 0; i < n; i++)
            sources[i] = (struct template_source){files[i].name, files[i].text};
        t = compile(t, sources, n, ".html", l, e);
    }
    arena_release(&scratch);
    return t;
}

void templates_free(struct templates *t)
{
    if (!t)
        return;
    map_release(&t->by_name);
    arena_release(&t->arena);
    free(t);
}

/* --- rendering --- */

/* One open section or part; the innermost one's item is the current item. */
struct frame {
    const struct json *item;
    const struct json *array; /* that item is item i of; NULL: once */
    uint32_t i;
    const struct template_program *back; /* of a part: where to go on */
    size_t back_pc;
};

struct render {
    const struct templates *t;
    const struct template_program *program;
    size_t pc;
    struct frame frames[TEMPLATE_DEPTH + 1]; /* the first one holds the whole data */
    size_t depth;
    const struct locale *locale;
    struct buf *out;
    struct buf scratch;
    struct error *e;
};

static const struct json *lookup(const struct render *r, const struct template_path *path)
{
    if (path->n == 0)
        return r->frames[r->depth].item;
    const struct json *v = NULL;
    for (size_t i = r->depth + 1; i > 0 && !v; i--)
        v = json_get(r->frames[i - 1].item, path->names[0]);
    for (size_t i = 1; i < path->n && v; i++)
        v = json_get(v, path->names[i]);
    return v;
}

static bool is_shown(const struct json *v)
{
    if (!v || json_is(v, JSON_NULL) || json_is(v, JSON_FALSE))
        return false;
    return v->n > 0 || (!json_is(v, JSON_STRING) && !json_is(v, JSON_ARRAY));
}

static struct str text_of(const struct json *v)
{
    if (json_is_bool(v))
        return json_true(v) ? S("true") : S("false");
    return json_text(v);
}

static void add_escaped(struct buf *out, struct str s)
{
    if (s.n == 0)
        return;
    size_t from = 0;
    for (size_t i = 0; i < s.n; i++) {
        const char *as;
        switch (s.p[i]) {
        case '&':
            as = "&amp;";
            break;
        case '<':
            as = "&lt;";
            break;
        case '>':
            as = "&gt;";
            break;
        case '"':
            as = "&quot;";
            break;
        case '\'':
            as = "&#39;";
            break;
        default:
            continue;
        }
        buf_add(out, s.p + from, i - from);
        buf_str(out, str_c(as));
        from = i + 1;
    }
    buf_add(out, s.p + from, s.n - from);
}

static bool ends_scheme(char c)
{
    return c == ':' || c == '/' || c == '?' || c == '#';
}

/*
 * May this start a link? Browsers skip control characters and blanks before the scheme and drop
 * tabs and line ends inside it: a scheme with any of them is refused.
 */
static bool is_safe_url(struct str url)
{
    static const char *const schemes[] = {"http", "https", "mailto", "tel"};
    size_t from = 0, n = 0;
    while (from < url.n && (unsigned char)url.p[from] <= ' ')
        from++;
    struct str rest = str_from(url, from);
    while (n < rest.n && !ends_scheme(rest.p[n]))
        n++;
    if (n == rest.n || rest.p[n] != ':')
        return true;
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
        if (str_eq_nocase(str_sub(rest, 0, n), str_c(schemes[i])))
            return true;
    return false;
}

static void add_value(struct buf *out, enum template_mode mode, struct str s)
{
    if (mode == TEMPLATE_RAW)
        buf_str(out, s);
    else if (mode == TEMPLATE_URL && !is_safe_url(s))
        buf_char(out, '#');
    else
        add_escaped(out, s);
}

static void add_message(struct render *r, const struct template_op *op)
{
    struct json_member members[TEMPLATE_ARGS];
    size_t n = 0;
    for (size_t i = 0; i < op->n_args; i++) {
        const struct json *v = lookup(r, &op->args[i].path);
        if (v)
            members[n++] = json_m(op->args[i].name, *v);
    }
    const struct json args = json_v_object(members, n);
    const struct message *m = r->locale ? locale_message(r->locale, op->text) : NULL;
    buf_clear(&r->scratch);
    if (m)
        message_format(m, locale_style(r->locale), &args, &r->scratch);
    else
        buf_str(&r->scratch, op->text);
    add_value(r->out, op->mode, buf_view(&r->scratch));
}

static enum err push(struct render *r, struct frame f)
{
    if (r->depth == TEMPLATE_DEPTH)
        return error_set(r->e, ERR_TOO_COMPLEX, "%" STR_F ": parts and sections nest too deep",
                         STR_A(r->program->label));
    r->frames[++r->depth] = f;
    return OK;
}

static enum err enter_section(struct render *r, const struct template_op *op)
{
    const struct json *v = lookup(r, &op->path);
    if (!is_shown(v)) {
        r->pc = op->to;
        return OK;
    }
    struct frame f = {.item = v};
    if (json_is(v, JSON_ARRAY)) {
        f.array = v;
        f.item = json_at(v, 0);
    } else if (json_is(v, JSON_TRUE)) {
        f.item = r->frames[r->depth].item;
    }
    return push(r, f);
}

static void end_section(struct render *r, const struct template_op *op)
{
    struct frame *f = &r->frames[r->depth];
    if (f->array && f->i + 1 < f->array->n) {
        f->item = json_at(f->array, ++f->i);
        r->pc = op->to;
    } else {
        r->depth--;
    }
}

static enum err enter_part(struct render *r, const struct template_op *op)
{
    struct frame f = {r->frames[r->depth].item, NULL, 0, r->program, r->pc};
    enum err failed = push(r, f);
    if (failed)
        return failed;
    r->program = &r->t->programs[op->to];
    r->pc = 0;
    return OK;
}

/* The end of a program: false when it was that of the page. */
static bool leave_part(struct render *r)
{
    const struct frame *f = &r->frames[r->depth];
    if (!f->back)
        return false;
    r->program = f->back;
    r->pc = f->back_pc;
    r->depth--;
    return true;
}

static enum err step(struct render *r)
{
    const struct template_op *op = &r->program->ops[r->pc++];
    switch (op->kind) {
    case TEMPLATE_TEXT:
        buf_str(r->out, op->text);
        break;
    case TEMPLATE_VALUE:
        add_value(r->out, op->mode, text_of(lookup(r, &op->path)));
        break;
    case TEMPLATE_MESSAGE:
        add_message(r, op);
        break;
    case TEMPLATE_SECTION:
        return enter_section(r, op);
    case TEMPLATE_INVERTED:
        if (is_shown(lookup(r, &op->path)))
            r->pc = op->to;
        break;
    case TEMPLATE_END:
        end_section(r, op);
        break;
    case TEMPLATE_PART:
        return enter_part(r, op);
    }
    return OK;
}

enum err template_render(const struct templates *t, const char *name, const struct json *data,
                         const struct locale *locale, struct buf *out, struct error *e)
{
    struct render r = {.t = t, .locale = locale, .out = out, .e = e};
    r.program = map_get(&t->by_name, str_c(name));
    if (!r.program)
        return error_set(e, ERR_NOT_FOUND, "no template %s", name);
    r.frames[0].item = data;
    enum err failed = OK;
    for (uint32_t steps = 0; !failed; steps++) {
        if (r.pc == r.program->n && !leave_part(&r))
            break;
        if (steps == STEPS_MAX)
            failed = error_set(e, ERR_TOO_COMPLEX, "%s: more than %d steps", name, STEPS_MAX);
        else if (out->over)
            failed = error_set(e, ERR_TOO_LARGE, "%s: page over %zu bytes", name, out->limit);
        else if (r.pc < r.program->n)
            failed = step(&r);
    }
    buf_release(&r.scratch);
    if (!failed && out->over)
        failed = error_set(e, ERR_TOO_LARGE, "%s: page over %zu bytes", name, out->limit);
    return failed;
}
