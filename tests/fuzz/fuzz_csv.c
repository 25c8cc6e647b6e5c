/*
 * CSV in any encoding: whatever the bytes, rows keep the promises of table.h, folding keeps text
 * well-formed, and a row that was written reads back as it was.
 */
#include "core/buf.h"
#include "core/table.h"
#include "core/text.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Broken promises must stop the fuzzer in any build. */
static void check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "fuzz_csv: %s\n", what);
    abort();
}

static void check_row(const struct table_row *row, const struct table_limits *l, struct arena *a)
{
    check(row->n > 0 && row->n <= l->max_columns, "number of cells");
    check(row->cells[row->n - 1].text.n > 0, "empty cell at the end");
    for (size_t i = 0; i < row->n; i++) {
        struct str text = row->cells[i].text;
        check(str_is_utf8(text) && text.n <= l->max_cell, "text of a cell");
        struct str folded = text_fold(a, text), key = text_key(a, text);
        check(str_is_utf8(folded) && folded.n <= text.n, "folded text");
        check(str_is_utf8(key) && key.n <= folded.n, "key");
        check(str_eq(text_fold(a, folded), folded), "folding twice");
    }
}

static void check_written(const struct table_row *row, struct arena *a)
{
    struct buf b = BUF_INIT;
    struct str *cells = ARENA_ARRAY(a, struct str, row->n);
    for (size_t i = 0; i < row->n; i++)
        cells[i] = row->cells[i].text;
    csv_write_row(&b, cells, row->n, false);
    struct error e;
    struct table_row again;
    struct table *t = table_open(buf_view(&b), S("written"), &TABLE_DEFAULT, &e);
    check(t != NULL || str_starts(cells[0], S("PK")) || str_starts(cells[0], S("%PDF")) ||
              str_starts(cells[0], S("\x1F")),
          "written row does not open");
    /* What a single row looks like may be guessed otherwise: that is no fault of the writer. */
    const struct table_info *info = t ? table_info(t) : NULL;
    if (info && info->format == TABLE_CSV && info->encoding == ENC_UTF8 && info->separator == ',') {
        check(table_next(t, a, &again, &e) == TABLE_ROW && again.n == row->n, "written row");
        for (size_t i = 0; i < row->n; i++)
            check(str_eq(again.cells[i].text, cells[i]), "written cell");
        check(table_next(t, a, &again, &e) == TABLE_END, "more than was written");
    }
    table_close(t);
    buf_release(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct table_limits l = TABLE_DEFAULT;
    l.max_cell = 2000;
    l.max_columns = 50;
    l.max_row = 5000;
    l.max_rows = 1000;
    l.max_unzipped = 1 << 20;
    struct arena a = ARENA_INIT;
    struct error e;
    struct table_row row;
    struct table *t = table_open(str_n((const char *)data, size), S("fuzz"), &l, &e);
    uint64_t last = 0;
    enum table_step step;
    while (t && (step = table_next(t, &a, &row, &e)) != TABLE_END) {
        if (step == TABLE_ROW) {
            check(row.number > last, "row number");
            last = row.number;
            check_row(&row, &l, &a);
            check_written(&row, &a);
        }
        arena_reset(&a);
    }
    table_close(t);
    table_looks_broken(str_n((const char *)data, size));
    arena_release(&a);
    return 0;
}
