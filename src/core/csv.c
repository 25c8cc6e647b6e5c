/*
 * csv.c - CSV and TSV, read record by record and written.
 *
 * A record is found in the raw code units first (bytes, or pairs of them for UTF-16), then decoded
 * as a whole and split. This is sound because no byte of a multi-byte CP932 or UTF-8 character is
 * a quote, a separator or a line end; so one bad character spoils its own row and no other.
 */
#include "core/buf.h"
#include "core/text.h"
#include "table_impl.h"

#include <stdlib.h>
#include <string.h>

enum { SAMPLE_BYTES = 1024, SAMPLE_RECORDS = 20 };

struct csv_reader {
    struct str bytes; /* behind the byte order mark */
    const struct table_limits *limits;
    enum table_encoding encoding;
    char separator;
    size_t at;       /* offset of the next record */
    uint64_t number; /* records so far */
    uint64_t line;   /* of the record at `at`, from 1 */
    bool over;
};

static size_t unit_width(enum table_encoding enc)
{
    return enc == ENC_UTF16LE || enc == ENC_UTF16BE ? 2 : 1;
}

static enum table_encoding guess_encoding(struct str bytes, size_t *mark)
{
    *mark = 0;
    if (str_starts(bytes, S("\xEF\xBB\xBF"))) {
        *mark = 3;
        return ENC_UTF8_BOM;
    }
    if (str_starts(bytes, S("\xFF\xFE")) || str_starts(bytes, S("\xFE\xFF"))) {
        *mark = 2;
        return bytes.p[0] == '\xFF' ? ENC_UTF16LE : ENC_UTF16BE;
    }
    size_t nul[2] = {0, 0};
    for (size_t i = 0; i < bytes.n && i < SAMPLE_BYTES; i++)
        if (!bytes.p[i])
            nul[i % 2]++;
    if (nul[0] != nul[1])
        return nul[1] > nul[0] ? ENC_UTF16LE : ENC_UTF16BE;
    return str_is_utf8(bytes) ? ENC_UTF8 : ENC_CP932;
}

struct record {
    size_t from, to; /* raw bytes without the line end */
    size_t next;     /* where the next record starts */
    uint64_t lines;  /* line ends within, the last one included */
    uint32_t cells;
    bool unclosed;        /* the file ended within quotes, */
    size_t resume;        /* and this is the line after the one that opened them (0: none), */
    uint64_t resume_line; /* so many lines on */
};

static inline uint32_t unit_at(const struct csv_reader *r, size_t i)
{
    if (r->encoding == ENC_UTF16LE)
        return (uint32_t)((unsigned char)r->bytes.p[i] | (unsigned char)r->bytes.p[i + 1] << 8);
    if (r->encoding == ENC_UTF16BE)
        return (uint32_t)((unsigned char)r->bytes.p[i] << 8 | (unsigned char)r->bytes.p[i + 1]);
    return (unsigned char)r->bytes.p[i];
}

/* Offset behind the line end at i, taking CR LF as one. */
static size_t past_line_end(const struct csv_reader *r, size_t i, size_t w)
{
    bool cr = unit_at(r, i) == '\r';
    i += w;
    if (cr && i + w <= r->bytes.n && unit_at(r, i) == '\n')
        i += w;
    return i;
}

/* Find the end of the record at `from`. A quote opens only at the start of a cell. */
static struct record find_record(const struct csv_reader *r, size_t from, char separator)
{
    struct record rec = {.from = from, .cells = 1};
    size_t w = unit_width(r->encoding), n = r->bytes.n, i = from;
    bool quoted = false, cell_starts = true;
    while (i + w <= n) {
        uint32_t c = unit_at(r, i);
        if (c == '\n' || c == '\r') {
            size_t behind = past_line_end(r, i, w);
            rec.lines++;
            if (quoted && !rec.resume) {
                rec.resume = behind;
                rec.resume_line = rec.lines;
            }
            if (!quoted) {
                rec.to = i;
                rec.next = behind;
                return rec;
            }
            i = behind;
            continue;
        }
        if (c == '"' && (quoted || cell_starts)) {
            bool doubled = quoted && i + 2 * w <= n && unit_at(r, i + w) == '"';
            if (doubled) {
                i += w;
            } else {
                quoted = !quoted;
                rec.resume = 0;
            }
            cell_starts = false;
        } else if (!quoted) {
            cell_starts = c == (unsigned char)separator;
            rec.cells += cell_starts;
        }
        i += w;
    }
    rec.to = rec.next =
        n; /* an odd byte at the end of UTF-16 stays in, for the decoder to refuse */
    rec.lines++;
    rec.unclosed = quoted;
    return rec;
}

/* How many of the first records share the most common number (> 1) of cells. */
static size_t agreement(const struct csv_reader *r, char separator)
{
    uint32_t counts[SAMPLE_RECORDS];
    size_t n = 0, best = 0;
    for (size_t at = 0; at < r->bytes.n && n < SAMPLE_RECORDS;) {
        struct record rec = find_record(r, at, separator);
        if (rec.to > rec.from)
            counts[n++] = rec.cells;
        at = rec.next;
    }
    for (size_t i = 0; i < n; i++) {
        size_t same = 0;
        for (size_t k = 0; k < n; k++)
            same += counts[k] == counts[i];
        if (counts[i] > 1 && same > best)
            best = same;
    }
    return best;
}

static char guess_separator(const struct csv_reader *r)
{
    static const char candidates[] = {',', '\t', ';'};
    char chosen = ',';
    size_t best = 0;
    for (size_t i = 0; i < sizeof candidates; i++) {
        size_t n = agreement(r, candidates[i]);
        if (n > best) {
            best = n;
            chosen = candidates[i];
        }
    }
    return chosen;
}

struct csv_reader *csv_open(struct str bytes, const struct table_limits *l, struct table_info *info)
{
    struct csv_reader *r = calloc(1, sizeof *r);
    if (!r)
        abort();
    size_t mark;
    r->encoding = guess_encoding(bytes, &mark);
    r->bytes = str_from(bytes, mark);
    r->limits = l;
    r->line = 1;
    r->separator = guess_separator(r);
    info->format = TABLE_CSV;
    info->encoding = r->encoding;
    info->separator = r->separator;
    return r;
}

void csv_close(struct csv_reader *r)
{
    free(r);
}

static enum err decode(const struct csv_reader *r, struct arena *a, struct str raw, struct str *out,
                       struct error *e)
{
    switch (r->encoding) {
    case ENC_UTF16LE:
    case ENC_UTF16BE:
        return text_from_utf16(a, raw, r->encoding == ENC_UTF16BE, out, e);
    case ENC_CP932:
        return text_from_cp932(a, raw, out, e);
    case ENC_UTF8:
    case ENC_UTF8_BOM:
        break;
    }
    if (r->encoding == ENC_UTF8_BOM && !str_is_utf8(raw))
        return error_set(e, ERR_INVALID, "not UTF-8 although the file is marked so");
    *out = str_dup(a, raw);
    return OK;
}

/*
 * Take one cell from the front of text (writable, a whole record). Quotes are taken off in place:
 * what is kept never overtakes what is read. False when this was the last cell.
 */
static bool split_cell(char **at, const char *end, char separator, struct str *cell)
{
    char *from = *at, *to = *at;
    bool quoted = from < end && *from == '"';
    if (quoted)
        from++;
    const char *first = to;
    for (; from < end; from++) {
        if (quoted && *from == '"') {
            if (from + 1 < end && from[1] == '"')
                from++;
            else {
                quoted = false;
                continue;
            }
        } else if (!quoted && *from == separator) {
            break;
        }
        *to++ = *from;
    }
    *cell = str_n(first, (size_t)(to - first));
    *at = from + 1;
    return from < end;
}

size_t table_cells_used(const struct table_cell *cells, size_t n)
{
    while (n && !cells[n - 1].text.n)
        n--;
    return n;
}

static enum err split_record(const struct csv_reader *r, struct arena *a, struct str text,
                             uint32_t n, struct table_row *row, struct error *e)
{
    struct table_cell *cells = ARENA_ARRAY(a, struct table_cell, n);
    char *at = (char *)text.p;
    const char *end = text.p + text.n;
    uint32_t i = 0;
    bool more = true;
    while (more && i < n) {
        more = split_cell(&at, end, r->separator, &cells[i].text);
        if (cells[i].text.n > r->limits->max_cell)
            return error_set(e, ERR_TOO_LARGE, "cell %u holds more than %zu bytes", i + 1,
                             r->limits->max_cell);
        i++;
    }
    row->cells = cells;
    row->n = table_cells_used(cells, i);
    return OK;
}

static enum err read_record(const struct csv_reader *r, const struct record *rec, struct arena *a,
                            struct table_row *row, struct error *e)
{
    size_t raw = rec->to - rec->from;
    if (rec->unclosed)
        return error_set(e, ERR_INVALID, "a quote that opens a cell is never closed");
    if (rec->cells > r->limits->max_columns)
        return error_set(e, ERR_TOO_LARGE, "%u cells, more than %u", rec->cells,
                         r->limits->max_columns);
    if (raw > r->limits->max_row)
        return error_set(e, ERR_TOO_LARGE, "more than %zu bytes in one row", r->limits->max_row);
    struct str text = STR_NONE;
    enum err err = decode(r, a, str_n(r->bytes.p + rec->from, raw), &text, e);
    if (err)
        return err;
    if (str_find_char(text, '\0') >= 0)
        return error_set(e, ERR_INVALID, "a NUL character");
    return split_record(r, a, text, rec->cells, row, e);
}

enum table_step csv_next(struct csv_reader *r, struct arena *a, struct table_row *row,
                         struct error *e)
{
    while (!r->over && r->at < r->bytes.n) {
        struct record rec = find_record(r, r->at, r->separator);
        uint64_t line = r->line;
        r->number++;
        if (r->number > r->limits->max_rows) {
            r->over = true;
            error_set(e, ERR_TOO_LARGE, "more than %llu rows",
                      (unsigned long long)r->limits->max_rows);
            return TABLE_BAD;
        }
        /* Below the line of a quote that never closes the rows are most likely sound. All runs of
         * quotes there are even, so that it cannot happen a second time: reading stays linear. */
        bool retry = rec.unclosed && rec.resume;
        r->at = retry ? rec.resume : rec.next;
        r->line += retry ? rec.resume_line : rec.lines;
        if (rec.to == rec.from)
            continue;
        struct error why;
        enum err err = read_record(r, &rec, a, row, &why);
        if (err) {
            error_set(e, err, "row %llu (line %llu): %s", (unsigned long long)r->number,
                      (unsigned long long)line, why.text);
            return TABLE_BAD;
        }
        row->number = r->number;
        if (row->n)
            return TABLE_ROW;
    }
    return TABLE_END;
}

static bool runs_as_formula(struct str cell)
{
    if (!cell.n || str_find_char(S("=+-@\t\r"), cell.p[0]) < 0)
        return false;
    double number;
    return !str_to_double(cell.p[0] == '+' ? str_from(cell, 1) : cell, &number);
}

static bool needs_quotes(struct str cell)
{
    if (!cell.n)
        return false;
    for (size_t i = 0; i < cell.n; i++)
        if (str_find_char(S(",\"\r\n"), cell.p[i]) >= 0)
            return true;
    return cell.p[0] == ' ' || cell.p[cell.n - 1] == ' ';
}

static void write_cell(struct buf *out, struct str cell, bool guard)
{
    bool apostrophe = guard && runs_as_formula(cell);
    if (!needs_quotes(cell)) {
        if (apostrophe)
            buf_char(out, '\'');
        buf_str(out, cell);
        return;
    }
    buf_char(out, '"');
    if (apostrophe)
        buf_char(out, '\'');
    for (size_t i = 0; i < cell.n; i++) {
        if (cell.p[i] == '"')
            buf_char(out, '"');
        buf_char(out, cell.p[i]);
    }
    buf_char(out, '"');
}

void csv_write_row(struct buf *out, const struct str *cells, size_t n, bool guard)
{
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_char(out, ',');
        write_cell(out, cells[i], guard);
    }
    if (n == 1 && !cells[0].n)
        BUF_LIT(out, "\"\""); /* else a reader would take the row for an empty line */
    BUF_LIT(out, "\r\n");
}
