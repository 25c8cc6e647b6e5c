/* xlsx_parts.c - the parts of a workbook that are read as a whole: where the sheet is, the shared
 * strings, the number formats. */
#include "core/arena.h"
#include "xlsx_impl.h"
#include "xml_feed.h"

#include <stdlib.h>
#include <string.h>

/* A workbook of more sheets is looked through no further than this for a visible one. */
enum { SHEETS_MAX = 1024 };

/* --- relationships: which part a part means by an id ------------------------------------------ */

struct relation {
    struct str id, type, target; /* target: name of the member in the ZIP */
};

struct relations {
    struct xml_feed feed;
    struct arena *mem;
    struct str folder; /* of the part that the relations belong to, with '/' at the end */
    VEC(struct relation) list;
};

static void relation_start(void *ctx, const char *name, const char **at)
{
    struct relations *r = ctx;
    if (strcmp(name, "Relationship") != 0)
        return;
    struct str target = xml_attribute(at, "Target");
    struct str folder = r->folder;
    if (str_starts(target, S("/"))) {
        target = str_from(target, 1);
        folder = S("");
    }
    *vec_push(r->mem, &r->list) = (struct relation){
        .id = str_dup(r->mem, xml_attribute(at, "Id")),
        .type = str_dup(r->mem, xml_attribute(at, "Type")),
        .target = str_concat(r->mem, folder, target),
    };
}

static const struct xml_handlers relation_handlers = {.start = relation_start};

/* "xl/workbook.xml" has its relations in "xl/_rels/workbook.xml.rels", the package in
 * "_rels/.rels". */
static enum err read_relations(struct relations *r, struct zip_guard *zip, struct str part,
                               struct error *e)
{
    size_t base = part.n;
    while (base && part.p[base - 1] != '/')
        base--;
    r->folder = str_sub(part, 0, base);
    const char *name = arena_printf(r->mem, "%" STR_F "_rels/%" STR_F ".rels", STR_A(r->folder),
                                    STR_A(str_from(part, base)));
    ptrdiff_t index = zip_guard_find(zip, name);
    if (index < 0)
        return error_set(e, ERR_INVALID, "workbook has no part '%s'", name);
    return xml_feed_all(&r->feed, zip, index, &relation_handlers, r, e);
}

/* The last step of the type's address: it is the same in the strict and the transitional form. */
static bool is_type(const struct relation *rel, struct str type)
{
    return str_ends(rel->type, type);
}

static const struct relation *relation_of_type(const struct relations *r, struct str type)
{
    for (size_t i = 0; i < r->list.n; i++)
        if (is_type(&r->list.v[i], type))
            return &r->list.v[i];
    return NULL;
}

static const struct relation *relation_of_id(const struct relations *r, struct str id)
{
    for (size_t i = 0; i < r->list.n; i++)
        if (str_eq(r->list.v[i].id, id))
            return &r->list.v[i];
    return NULL;
}

/* --- workbook: sheets and the first day ------------------------------------------------------- */

struct sheet {
    struct str name, relation;
    bool hidden;
};

struct workbook {
    struct xml_feed feed;
    struct arena *mem;
    VEC(struct sheet) sheets;
    bool from_1904;
};

static bool is_true(struct str s)
{
    return str_eq(s, S("1")) || str_eq(s, S("true"));
}

static void workbook_start(void *ctx, const char *name, const char **at)
{
    struct workbook *w = ctx;
    if (strcmp(name, "workbookPr") == 0 && is_true(xml_attribute(at, "date1904")))
        w->from_1904 = true;
    if (strcmp(name, "sheet") != 0 || w->sheets.n == SHEETS_MAX)
        return;
    struct str state = xml_attribute(at, "state");
    *vec_push(w->mem, &w->sheets) = (struct sheet){
        .name = str_dup(w->mem, xml_attribute(at, "name")),
        .relation = str_dup(w->mem, xml_attribute(at, "id")),
        .hidden = str_eq(state, S("hidden")) || str_eq(state, S("veryHidden")),
    };
}

static const struct xml_handlers workbook_handlers = {.start = workbook_start};

/* The first visible sheet of cells; chart sheets have relations of another type. */
static enum err choose_sheet(struct xlsx_book *b, struct zip_guard *zip, const struct workbook *w,
                             const struct relations *r, struct error *e)
{
    for (size_t i = 0; i < w->sheets.n; i++) {
        const struct sheet *s = &w->sheets.v[i];
        const struct relation *rel = s->hidden ? NULL : relation_of_id(r, s->relation);
        if (!rel || !is_type(rel, S("/worksheet")))
            continue;
        b->sheet_name = s->name;
        b->sheet = zip_guard_find(zip, str_z(&b->mem, rel->target));
        if (b->sheet < 0)
            return error_set(e, ERR_INVALID, "sheet '%" STR_F "': part '%" STR_F "' is missing",
                             STR_A(s->name), STR_A(rel->target));
        return OK;
    }
    return error_set(e, ERR_INVALID, "workbook has no visible sheet");
}

/* --- shared strings --------------------------------------------------------------------------- */

struct strings {
    struct xml_feed feed;
    struct xlsx_book *book;
    size_t from;     /* of the string that is being read */
    size_t max_cell; /* bytes */
    bool in_text;
    int in_phonetic; /* depth within <rPh>: furigana, which is no part of the text */
};

static void strings_start(void *ctx, const char *name, const char **at)
{
    struct strings *s = ctx;
    (void)at;
    if (strcmp(name, "si") == 0)
        s->from = s->book->text.n;
    else if (strcmp(name, "rPh") == 0)
        s->in_phonetic++;
    else if (strcmp(name, "t") == 0)
        s->in_text = s->in_phonetic == 0;
}

static void strings_text(void *ctx, const char *p, int n)
{
    struct strings *s = ctx;
    if (!s->in_text)
        return;
    buf_add(&s->book->text, p, (size_t)n);
    if (s->book->text.n - s->from > s->max_cell)
        xml_feed_fail(&s->feed, ERR_TOO_LARGE, "a text that is too long for a cell");
}

static void strings_end(void *ctx, const char *name)
{
    struct strings *s = ctx;
    if (strcmp(name, "t") == 0)
        s->in_text = false;
    else if (strcmp(name, "rPh") == 0)
        s->in_phonetic--;
    if (strcmp(name, "si") != 0)
        return;
    struct buf *text = &s->book->text;
    if (text->n > s->from)
        text->n = s->from + xlsx_unescape(text->p + s->from, text->n - s->from);
    *vec_push(&s->book->mem, &s->book->ends) = text->n;
}

static const struct xml_handlers strings_handlers = {strings_start, strings_end, strings_text};

bool xlsx_book_string(const struct xlsx_book *b, uint64_t index, struct str *out)
{
    if (index >= b->ends.n)
        return false;
    size_t from = index ? b->ends.v[index - 1] : 0;
    *out = b->ends.v[index] > from ? str_n(b->text.p + from, b->ends.v[index] - from) : S("");
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The character of "_xHHHH_" at p, 0 when p is no such escape or means half a pair. */
static uint32_t escaped_character(const char *p, size_t n)
{
    if (n < 7 || p[0] != '_' || p[1] != 'x' || p[6] != '_')
        return 0;
    uint32_t cp = 0;
    for (int i = 2; i < 6; i++) {
        int d = hex_digit(p[i]);
        if (d < 0)
            return 0;
        cp = cp << 4 | (uint32_t)d;
    }
    return cp >= 0xD800 && cp <= 0xDFFF ? 0 : cp;
}

size_t xlsx_unescape(char *p, size_t n)
{
    size_t to = 0;
    for (size_t i = 0; i < n;) {
        uint32_t cp = p[i] == '_' ? escaped_character(p + i, n - i) : 0;
        if (cp) {
            to += str_utf8_put(cp, p + to);
            i += 7;
        } else {
            p[to++] = p[i++];
        }
    }
    return to;
}

/* --- styles: which cells are dates ------------------------------------------------------------ */

struct custom_format {
    uint64_t id;
    enum xlsx_format format;
};

struct styles {
    struct xml_feed feed;
    struct arena *mem;
    VEC(struct custom_format) custom;
    VEC(uint64_t) ids; /* number format of each cell style */
    bool in_cell_styles;
};

static void styles_start(void *ctx, const char *name, const char **at)
{
    struct styles *s = ctx;
    uint64_t id = 0;
    if (strcmp(name, "cellXfs") == 0) {
        s->in_cell_styles = true;
    } else if (strcmp(name, "numFmt") == 0) {
        if (str_to_u64(xml_attribute(at, "numFmtId"), &id))
            *vec_push(s->mem, &s->custom) =
                (struct custom_format){id, xlsx_format_of_code(xml_attribute(at, "formatCode"))};
    } else if (strcmp(name, "xf") == 0 && s->in_cell_styles) {
        str_to_u64(xml_attribute(at, "numFmtId"), &id);
        *vec_push(s->mem, &s->ids) = id;
    }
}

static void styles_end(void *ctx, const char *name)
{
    struct styles *s = ctx;
    if (strcmp(name, "cellXfs") == 0)
        s->in_cell_styles = false;
}

static const struct xml_handlers styles_handlers = {.start = styles_start, .end = styles_end};

static int by_id(const void *x, const void *y)
{
    const struct custom_format *a = x, *b = y;
    return a->id < b->id ? -1 : a->id > b->id;
}

static enum err read_styles(struct xlsx_book *b, struct zip_guard *zip, ptrdiff_t index,
                            struct error *e)
{
    struct styles s = {.mem = &b->mem};
    enum err err = xml_feed_all(&s.feed, zip, index, &styles_handlers, &s, e);
    if (err)
        return err;
    if (s.custom.n)
        qsort(s.custom.v, s.custom.n, sizeof *s.custom.v, by_id);
    for (size_t i = 0; i < s.ids.n; i++) {
        struct custom_format key = {.id = s.ids.v[i]}, *own = NULL;
        if (s.custom.n)
            own = bsearch(&key, s.custom.v, s.custom.n, sizeof key, by_id);
        *vec_push(&b->mem, &b->formats) =
            (unsigned char)(own ? own->format : xlsx_builtin_format(key.id));
    }
    return OK;
}

/* --- all of them ------------------------------------------------------------------------------ */

static enum err read_strings(struct xlsx_book *b, struct zip_guard *zip, ptrdiff_t index,
                             const struct table_limits *l, struct error *e)
{
    struct strings s = {.book = b, .max_cell = l->max_cell};
    return xml_feed_all(&s.feed, zip, index, &strings_handlers, &s, e);
}

/* Member of the optional part of this type; -1 when the workbook has none. */
static ptrdiff_t find_optional(struct xlsx_book *b, struct zip_guard *zip,
                               const struct relations *r, struct str type)
{
    const struct relation *rel = relation_of_type(r, type);
    return rel ? zip_guard_find(zip, str_z(&b->mem, rel->target)) : -1;
}

static enum err find_workbook(struct xlsx_book *b, struct zip_guard *zip, struct str *part,
                              ptrdiff_t *index, struct error *e)
{
    struct relations package = {.mem = &b->mem};
    enum err err = read_relations(&package, zip, S(""), e);
    if (err)
        return err;
    const struct relation *rel = relation_of_type(&package, S("/officeDocument"));
    *part = rel ? rel->target : S("xl/workbook.xml");
    *index = zip_guard_find(zip, str_z(&b->mem, *part));
    if (*index < 0)
        return error_set(e, ERR_INVALID, "workbook part '%" STR_F "' is missing", STR_A(*part));
    return OK;
}

enum err xlsx_book_read(struct xlsx_book *b, struct zip_guard *zip, const struct table_limits *l,
                        struct error *e)
{
    struct workbook w = {.mem = &b->mem};
    struct relations r = {.mem = &b->mem};
    struct str part;
    ptrdiff_t index;
    enum err err = find_workbook(b, zip, &part, &index, e);
    if (!err)
        err = xml_feed_all(&w.feed, zip, index, &workbook_handlers, &w, e);
    if (!err)
        err = read_relations(&r, zip, part, e);
    if (!err)
        err = choose_sheet(b, zip, &w, &r, e);
    if (err)
        return err;
    b->from_1904 = w.from_1904;
    ptrdiff_t strings = find_optional(b, zip, &r, S("/sharedStrings"));
    ptrdiff_t styles = find_optional(b, zip, &r, S("/styles"));
    if (strings >= 0)
        err = read_strings(b, zip, strings, l, e);
    if (!err && styles >= 0)
        err = read_styles(b, zip, styles, e);
    return err;
}

void xlsx_book_release(struct xlsx_book *b)
{
    buf_release(&b->text);
    arena_release(&b->mem);
}
