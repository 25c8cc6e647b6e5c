/*
 * Workbooks. Input that starts with "PK" is taken as a whole file. A check sum stops most changes
 * of such a file early; so any other input is the text of the parts, with 0x1F between them, in
 * the order of `names`, and is packed here.
 */
#include "core/buf.h"
#include "core/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Broken promises must stop the fuzzer in any build. */
static void check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "fuzz_xlsx: %s\n", what);
    abort();
}

#define OFFICE "http://schemas.openxmlformats.org/officeDocument/2006/relationships/"

static const char *const names[] = {"xl/worksheets/sheet1.xml", "xl/sharedStrings.xml",
                                    "xl/styles.xml", "xl/workbook.xml",
                                    "xl/_rels/workbook.xml.rels"};
enum { PARTS = 5 };

/* What stands in for parts that the input does not reach to. */
static const struct str fallback[PARTS] = {
    S_INIT("<worksheet/>"),
    S_INIT("<sst><si><t>a</t></si></sst>"),
    S_INIT("<styleSheet><cellXfs><xf/><xf numFmtId=\"14\"/></cellXfs></styleSheet>"),
    S_INIT("<workbook><sheets><sheet name=\"s\" id=\"a\"/></sheets></workbook>"),
    S_INIT("<Relationships>"
           "<Relationship Id=\"a\" Type=\"" OFFICE "worksheet\" Target=\"worksheets/sheet1.xml\"/>"
           "<Relationship Id=\"b\" Type=\"" OFFICE "sharedStrings\" Target=\"sharedStrings.xml\"/>"
           "<Relationship Id=\"c\" Type=\"" OFFICE "styles\" Target=\"styles.xml\"/>"
           "</Relationships>"),
};

static void add(zip_t *z, const char *name, struct str text)
{
    zip_source_t *s = zip_source_buffer(z, text.p, text.n, 0);
    zip_int64_t at = zip_file_add(z, name, s, ZIP_FL_ENC_UTF_8);
    check(at >= 0, "packing");
    zip_set_file_compression(z, (zip_uint64_t)at, ZIP_CM_STORE, 0);
}

static void pack(struct buf *b, struct str text)
{
    zip_error_t e;
    zip_error_init(&e);
    zip_source_t *archive = zip_source_buffer_create(NULL, 0, 0, &e);
    zip_source_keep(archive);
    zip_t *z = zip_open_from_source(archive, ZIP_TRUNCATE, &e);
    check(z != NULL, "packing");
    add(z, "[Content_Types].xml", S("<Types/>"));
    add(z, "_rels/.rels", S("<Relationships/>"));
    for (size_t i = 0; i < PARTS; i++) {
        struct str part;
        add(z, names[i], str_split(&text, '\x1F', &part) ? part : fallback[i]);
    }
    check(zip_close(z) == 0 && zip_source_open(archive) == 0, "packing");
    for (zip_int64_t n = 1; n > 0;) {
        char chunk[4096];
        n = zip_source_read(archive, chunk, sizeof chunk);
        check(n >= 0, "packing");
        buf_add(b, chunk, (size_t)n);
    }
    zip_source_close(archive);
    zip_source_free(archive);
    zip_error_fini(&e);
}

static void read_all(struct str bytes)
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
    struct table *t = table_open(bytes, S("fuzz"), &l, &e);
    uint64_t last = 0;
    enum table_step step;
    while (t && (step = table_next(t, &a, &row, &e)) != TABLE_END) {
        if (step == TABLE_ROW) {
            check(row.number > last, "row number");
            last = row.number;
            check(row.n > 0 && row.n <= l.max_columns, "number of cells");
            check(row.cells[row.n - 1].text.n > 0, "empty cell at the end");
        }
        for (size_t i = 0; step == TABLE_ROW && i < row.n; i++)
            check(str_is_utf8(row.cells[i].text) && row.cells[i].text.n <= l.max_cell, "cell");
        arena_reset(&a);
    }
    table_close(t);
    arena_release(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = str_n((const char *)data, size);
    if (str_starts(input, S("PK"))) {
        read_all(input);
        return 0;
    }
    struct buf b = BUF_INIT;
    pack(&b, input);
    read_all(buf_view(&b));
    buf_release(&b);
    return 0;
}
