/*
 * xlsx.c - the rows of one sheet (ECMA-376 Part 1, 18.3), streamed.
 *
 * The parser runs until the end tag of a row that holds text and pauses there, so that at most one
 * row is in memory whatever the sheet's size. States of struct xlsx_reader:
 *
 *     between rows --<row>--> in a row --<c>--> in a cell --<v>, <is><t>--> taking text
 *
 * A row with an unreadable cell is read to its end and then reported: the rows behind it are sound.
 * A sheet that is not well-formed, or a ZIP limit, ends the reading.
 */
#include "core/arena.h"
#include "xlsx_impl.h"
#include "xml_feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROW_MAX = 1048576, COLUMN_MAX = 16384 }; /* of a sheet in Excel */

enum value_type { VALUE_NUMBER, VALUE_SHARED, VALUE_TEXT, VALUE_BOOL, VALUE_ISO_DATE };

/* A cell of the row that is being read. */
struct raw_cell {
    uint32_t column; /* from 0 */
    enum cell_kind kind;
    struct str shared; /* text of the book, else */
    size_t from, n;    /* in reader.text */
};

struct xlsx_reader {
    struct xlsx_book book;
    struct zip_guard *zip;
    const struct table_limits *limits;
    struct xml_feed feed;

    struct arena row_mem; /* holds cells, reset for each row */
    VEC(struct raw_cell) cells;
    struct buf text;
    size_t bytes;     /* of all cells, shared texts too */
    uint64_t number;  /* of the row, from 1 */
    uint64_t seen;    /* rows, also those without text */
    struct error why; /* first thing that is wrong with the row */

    uint32_t column; /* of the cell, from 0; behind the last cell between cells */
    enum value_type type;
    uint64_t style;
    size_t from; /* of the cell's text */

    int in_phonetic;
    bool in_data, in_row, in_cell, taking, over;
};

static void row_bad(struct xlsx_reader *r, enum err code, const char *why)
{
    if (r->why.code == OK)
        error_set(&r->why, code, "row %llu, column %u: %s", (unsigned long long)r->number,
                  r->column + 1, why);
}

/* "BC12" as column 54 (from 0) and row 12; false when it is no reference. */
static bool parse_reference(struct str ref, uint32_t *column, uint64_t *row)
{
    uint32_t c = 0;
    size_t i = 0;
    for (; i < ref.n && ref.p[i] >= 'A' && ref.p[i] <= 'Z' && c <= COLUMN_MAX; i++)
        c = c * 26 + (uint32_t)(ref.p[i] - 'A' + 1);
    if (i == 0 || c > COLUMN_MAX || !str_to_u64(str_from(ref, i), row))
        return false;
    *column = c - 1;
    return true;
}

static void start_row(struct xlsx_reader *r, const char **at)
{
    struct str number = xml_attribute(at, "r");
    uint64_t n = r->number + 1;
    r->in_row = true;
    r->why.code = OK;
    r->column = 0;
    r->bytes = 0;
    buf_clear(&r->text);
    arena_reset(&r->row_mem);
    memset(&r->cells, 0, sizeof r->cells);
    if (number.p && (!str_to_u64(number, &n) || n <= r->number || n > ROW_MAX)) {
        n = r->number + 1;
        r->number = n;
        row_bad(r, ERR_INVALID, "the row has no number, or one out of order");
    }
    r->number = n;
    if (++r->seen > r->limits->max_rows)
        xml_feed_fail(&r->feed, ERR_TOO_LARGE, "more rows than the limit");
}

static enum value_type type_of(struct str t)
{
    static const struct {
        struct str name;
        enum value_type type;
    } types[] = {
        {S_INIT("s"), VALUE_SHARED}, {S_INIT("str"), VALUE_TEXT},
        {S_INIT("e"), VALUE_TEXT},   {S_INIT("inlineStr"), VALUE_TEXT},
        {S_INIT("b"), VALUE_BOOL},   {S_INIT("d"), VALUE_ISO_DATE},
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (str_eq(types[i].name, t))
            return types[i].type;
    return VALUE_NUMBER;
}

static void start_cell(struct xlsx_reader *r, const char **at)
{
    struct str ref = xml_attribute(at, "r");
    uint64_t row = 0;
    r->in_cell = true;
    r->from = r->text.n;
    r->type = type_of(xml_attribute(at, "t"));
    if (!str_to_u64(xml_attribute(at, "s"), &r->style))
        r->style = UINT64_MAX;
    if (ref.p && (!parse_reference(ref, &r->column, &row) || row != r->number))
        row_bad(r, ERR_INVALID, "a cell says it stands elsewhere");
}

static void on_start(void *ctx, const char *name, const char **at)
{
    struct xlsx_reader *r = ctx;
    if (!r->in_data) {
        r->in_data = strcmp(name, "sheetData") == 0;
    } else if (!r->in_row) {
        if (strcmp(name, "row") == 0)
            start_row(r, at);
    } else if (!r->in_cell) {
        if (strcmp(name, "c") == 0)
            start_cell(r, at);
    } else if (strcmp(name, "rPh") == 0) {
        r->in_phonetic++;
    } else if (strcmp(name, "v") == 0 || strcmp(name, "t") == 0) {
        r->taking = r->in_phonetic == 0;
    }
}

static void on_text(void *ctx, const char *p, int n)
{
    struct xlsx_reader *r = ctx;
    if (!r->taking || r->why.code)
        return;
    if (r->text.n - r->from + (size_t)n > r->limits->max_cell)
        row_bad(r, ERR_TOO_LARGE, "the text is too long for a cell");
    else if (r->text.n + (size_t)n > r->limits->max_row)
        row_bad(r, ERR_TOO_LARGE, "more text than a row may hold");
    else
        buf_add(&r->text, p, (size_t)n);
}

static void replace_text(struct xlsx_reader *r, const char *text)
{
    r->text.n = r->from;
    buf_str(&r->text, str_c(text));
}

static enum cell_kind number_kind(struct xlsx_reader *r, struct str value)
{
    enum xlsx_format format = FORMAT_PLAIN;
    char date[XLSX_DATE_MAX];
    double number;
    if (!str_to_double(value, &number))
        return CELL_TEXT;
    if (r->style < r->book.formats.n)
        format = (enum xlsx_format)r->book.formats.v[r->style];
    if (format == FORMAT_PLAIN || !xlsx_date_text(value, format, r->book.from_1904, date))
        return CELL_NUMBER;
    replace_text(r, date);
    return CELL_DATE;
}

/* Turn the cell's raw text into what it means. */
static void read_value(struct xlsx_reader *r, struct raw_cell *cell)
{
    struct str value = str_n(r->text.p + r->from, r->text.n - r->from);
    char date[XLSX_DATE_MAX];
    uint64_t index;
    switch (r->type) {
    case VALUE_NUMBER:
        cell->kind = number_kind(r, value);
        break;
    case VALUE_SHARED:
        if (!str_to_u64(value, &index) || !xlsx_book_string(&r->book, index, &cell->shared))
            row_bad(r, ERR_INVALID, "a text that the workbook does not have");
        r->text.n = r->from;
        break;
    case VALUE_TEXT:
        r->text.n = r->from + xlsx_unescape(r->text.p + r->from, value.n);
        break;
    case VALUE_BOOL:
        replace_text(r, str_eq(value, S("1")) || str_eq(value, S("true")) ? "true" : "false");
        cell->kind = CELL_BOOL;
        break;
    case VALUE_ISO_DATE:
        if (xlsx_iso_text(value, date)) {
            replace_text(r, date);
            cell->kind = CELL_DATE;
        }
        break;
    }
}

static void end_cell(struct xlsx_reader *r)
{
    struct raw_cell cell = {.column = r->column, .kind = CELL_TEXT, .from = r->from};
    r->in_cell = false;
    if (r->text.n > r->from && !r->why.code) {
        read_value(r, &cell);
        cell.n = r->text.n - r->from;
        r->bytes += cell.n + cell.shared.n;
        if (r->bytes > r->limits->max_row)
            row_bad(r, ERR_TOO_LARGE, "more text than a row may hold");
        else if (cell.n + cell.shared.n > 0 && cell.column >= r->limits->max_columns)
            row_bad(r, ERR_TOO_LARGE, "more columns than the limit");
        else if (r->cells.n > r->limits->max_columns)
            row_bad(r, ERR_INVALID, "two cells in one place");
        else if (cell.n + cell.shared.n > 0)
            *vec_push(&r->row_mem, &r->cells) = cell;
    }
    r->column++;
}

static void on_end(void *ctx, const char *name)
{
    struct xlsx_reader *r = ctx;
    if (r->in_cell) {
        if (strcmp(name, "c") == 0)
            end_cell(r);
        else if (strcmp(name, "rPh") == 0)
            r->in_phonetic--;
        else if (strcmp(name, "v") == 0 || strcmp(name, "t") == 0)
            r->taking = false;
    } else if (r->in_row) {
        if (strcmp(name, "row") != 0)
            return;
        r->in_row = false;
        if (r->cells.n || r->why.code) {
            xml_feed_pause(&r->feed);
        }
    } else if (r->in_data && strcmp(name, "sheetData") == 0) {
        r->in_data = false;
    }
}

static const struct xml_handlers sheet_handlers = {on_start, on_end, on_text};

struct xlsx_reader *xlsx_open(struct zip_guard *zip, const struct table_limits *l,
                              struct table_info *info, struct error *e)
{
    struct xlsx_reader *r = calloc(1, sizeof *r);
    if (!r)
        abort();
    r->limits = l;
    if (xlsx_book_read(&r->book, zip, l, e) ||
        xml_feed_open(&r->feed, zip, r->book.sheet, &sheet_handlers, r, e)) {
        xlsx_close(r);
        return NULL;
    }
    r->zip = zip;
    info->format = TABLE_XLSX;
    info->sheet = r->book.sheet_name;
    return r;
}

void xlsx_close(struct xlsx_reader *r)
{
    if (!r)
        return;
    xml_feed_close(&r->feed);
    zip_guard_close(r->zip);
    xlsx_book_release(&r->book);
    arena_release(&r->row_mem);
    buf_release(&r->text);
    free(r);
}

/* The row as the caller gets it: each cell at its column, all of it in a. */
static bool place_cells(struct xlsx_reader *r, struct arena *a, struct table_row *row)
{
    uint32_t n = 0;
    for (size_t i = 0; i < r->cells.n; i++)
        if (r->cells.v[i].column >= n)
            n = r->cells.v[i].column + 1;
    struct table_cell *cells = ARENA_ARRAY(a, struct table_cell, n);
    for (size_t i = 0; i < r->cells.n; i++) {
        const struct raw_cell *raw = &r->cells.v[i];
        if (cells[raw->column].text.n) {
            r->column = raw->column;
            row_bad(r, ERR_INVALID, "two cells in one place");
            return false;
        }
        struct str text = raw->shared.n ? raw->shared : str_n(r->text.p + raw->from, raw->n);
        cells[raw->column] = (struct table_cell){str_dup(a, text), raw->kind};
    }
    *row = (struct table_row){cells, n, r->number};
    return true;
}

enum table_step xlsx_next(struct xlsx_reader *r, struct arena *a, struct table_row *row,
                          struct error *e)
{
    if (r->over)
        return TABLE_END;
    struct error why;
    switch (xml_feed_run(&r->feed, &why)) {
    case XML_FEED_DONE:
        r->over = true;
        return TABLE_END;
    case XML_FEED_BAD:
        r->over = true;
        error_set(e, why.code, "%s row %llu: %s", r->in_row ? "in" : "after",
                  (unsigned long long)r->number, why.text);
        return TABLE_BAD;
    case XML_FEED_PAUSED:
        break;
    }
    if (!r->why.code && place_cells(r, a, row))
        return TABLE_ROW;
    error_set(e, r->why.code, "%s", r->why.text);
    return TABLE_BAD;
}
