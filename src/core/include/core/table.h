/*
 * table.h - rows of text cells from the files that cities publish: CSV, TSV and XLSX.
 *
 * One reader for all: open it on bytes or on a file, ask for row after row. Each cell is UTF-8 in
 * the row's arena. What the file was (encoding, separator, sheet) is told in struct table_info, so
 * that an import report can show it.
 *
 * Encoding rule for CSV, in this order: byte order mark (UTF-8, UTF-16LE, UTF-16BE); NUL bytes
 * in the first 1 KiB, more of them at odd offsets (UTF-16LE without mark) or at even ones
 * (UTF-16BE); well-formed UTF-8; else CP932 (Windows-31J). A byte sequence that has no character
 * is reported as an error with its line. Records end at LF, CRLF or CR; a quote counts where it
 * opens a cell, and text behind the closing quote is kept. Separator rule: the one of ',' TAB ';'
 * that gives the same number (> 1) of cells on most of the first 20 records, comma on a tie. Text
 * that holds U+FFFD or more than 2 % of characters that no Japanese text uses is reported as
 * mojibake by table_looks_broken().
 *
 * A ZIP is read as XLSX when it holds a workbook (its first visible sheet is taken), and as CSV
 * when it holds exactly one .csv or .tsv, whatever the file is called. Merged cells keep
 * their text in the first cell; formulas give the value that was saved with them.
 *
 *     struct table *t = table_open(bytes, S("file.csv"), &TABLE_DEFAULT, &e);
 *     struct table_row row;
 *     while ((r = table_next(t, &arena, &row, &e)) == TABLE_ROW) use(row.cells, row.n);
 *     table_close(t);
 */
#ifndef CORE_TABLE_H
#define CORE_TABLE_H

#include "core/arena.h"
#include "core/error.h"
#include "core/str.h"

struct table;

enum table_format { TABLE_CSV, TABLE_XLSX };
enum table_encoding { ENC_UTF8, ENC_UTF8_BOM, ENC_UTF16LE, ENC_UTF16BE, ENC_CP932 };

struct table_info {
    enum table_format format;
    enum table_encoding encoding; /* CSV */
    char separator;               /* CSV */
    struct str sheet;             /* XLSX: name of the sheet that is read */
    bool zipped;                  /* a CSV found inside a ZIP */
};

struct table_limits {
    size_t max_bytes;     /* of the file; default 256 MiB */
    size_t max_cell;      /* bytes of one cell; default 1 MiB */
    uint32_t max_columns; /* default 4096 */
    uint64_t max_rows;    /* default 5,000,000 */
    size_t max_unzipped;  /* bytes that one ZIP may grow to; default 1 GiB */
    uint32_t max_ratio;   /* unzipped : zipped of one member; default 200 */
    uint32_t max_members; /* files in a ZIP; default 2000 */
    size_t max_row;       /* bytes of one row; default 16 MiB */
};
extern const struct table_limits TABLE_DEFAULT;

enum cell_kind {
    CELL_TEXT,
    CELL_NUMBER, /* XLSX number, text as in the file */
    CELL_DATE, /* XLSX number under a date format: text is YYYY-MM-DD, hh:mm:ss or both with 'T' */
    CELL_BOOL  /* XLSX: "true" or "false" */
};

struct table_cell {
    struct str text; /* UTF-8; empty for a missing cell; furigana (rPh) left out; _x000D_ decoded */
    enum cell_kind kind;
};

struct table_row {
    const struct table_cell *cells; /* trailing empty cells cut */
    size_t n;
    uint64_t number; /* of the row in the file as a person counts: 1 is the first */
};

enum table_step { TABLE_ROW, TABLE_END, TABLE_BAD };

/* bytes must live until table_close(). The name only helps messages. NULL with *e. */
struct table *table_open(struct str bytes, struct str name, const struct table_limits *l,
                         struct error *e);
const struct table_info *table_info(const struct table *t);
/*
 * Next row that holds any text into *row, allocated in a. Rows without text are passed over; the
 * numbers show the gap. TABLE_BAD: this row cannot be read (*e says the row and why); the next call
 * goes on after it where the format allows, else gives TABLE_END.
 */
enum table_step table_next(struct table *t, struct arena *a, struct table_row *row,
                           struct error *e);
void table_close(struct table *t);

bool table_looks_broken(struct str sample); /* mojibake heuristics on decoded text, see above */

/* One CSV record (RFC 4180) appended to out, CRLF at the end; cells that a spreadsheet would run as
 * a formula (= + - @ TAB CR at the start, unless a number) get a leading apostrophe when guard. */
struct buf;
void csv_write_row(struct buf *out, const struct str *cells, size_t n, bool guard);

#endif
