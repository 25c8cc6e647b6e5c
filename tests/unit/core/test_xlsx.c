/* test_xlsx.c - workbooks made here: what cells mean, and what hostile files may not do. */
#include "table_kit.h"

static struct arena mem = ARENA_INIT;

static int release(void **state)
{
    (void)state;
    arena_release(&mem);
    return 0;
}

#define MAIN_NS   "xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\""
#define OFFICE    "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
#define RELATIONS "http://schemas.openxmlformats.org/package/2006/relationships"
#define REL(id, type, target)                                                                      \
    "<Relationship Id=\"" id "\" Type=\"" OFFICE "/" type "\" Target=\"" target "\"/>"
#define RELS(list)  "<Relationships xmlns=\"" RELATIONS "\">" list "</Relationships>"
#define BOOK(inner) "<workbook " MAIN_NS " xmlns:r=\"" OFFICE "\">" inner "</workbook>"
#define SHEET(rows) "<worksheet " MAIN_NS "><sheetData>" rows "</sheetData></worksheet>"
#define SST(list)   "<sst " MAIN_NS ">" list "</sst>"

/* The usual parts; a test names those that it wants otherwise (bytes STR_NONE: left out). */
static const struct kit_part usual[] = {
    {"[Content_Types].xml", S_INIT("<Types/>")},
    {"_rels/.rels", S_INIT(RELS(REL("rId1", "officeDocument", "xl/workbook.xml")))},
    {"xl/workbook.xml",
     S_INIT(BOOK("<sheets><sheet name=\"表\" sheetId=\"1\" r:id=\"rId1\"/></sheets>"))},
    {"xl/_rels/workbook.xml.rels",
     S_INIT(RELS(REL("rId1", "worksheet", "worksheets/sheet1.xml")
                     REL("rId2", "styles", "styles.xml")
                         REL("rId3", "sharedStrings", "sharedStrings.xml")))},
    {"xl/styles.xml",
     S_INIT(
         "<styleSheet " MAIN_NS "><numFmts>"
         "<numFmt numFmtId=\"176\" formatCode=\"m&quot;月&quot;d&quot;日&quot;\\(aaa\\)\"/>"
         "<numFmt numFmtId=\"177\" formatCode=\"0_);[Red]\\(0\\)\"/>"
         "<numFmt numFmtId=\"178\" formatCode=\"#,##0&quot; days&quot;\"/>"
         "<numFmt numFmtId=\"179\" formatCode=\"[hh]:mm;@\"/>"
         "<numFmt numFmtId=\"180\" formatCode=\"[$-411]ge\\.m\\.d;@\"/>"
         "<numFmt numFmtId=\"181\" formatCode=\"0;d\"/>"
         "</numFmts><cellStyleXfs><xf numFmtId=\"14\"/></cellStyleXfs><cellXfs>"
         "<xf numFmtId=\"0\"/><xf numFmtId=\"14\"/><xf numFmtId=\"20\"/><xf numFmtId=\"22\"/>"
         "<xf numFmtId=\"176\"/><xf numFmtId=\"177\"/><xf numFmtId=\"178\"/>"
         "<xf numFmtId=\"179\"/><xf numFmtId=\"180\"/><xf numFmtId=\"57\"/><xf numFmtId=\"181\"/>"
         "</cellXfs></styleSheet>")},
    {"xl/sharedStrings.xml",
     S_INIT(SST("<si><t>東京</t><rPh sb=\"0\" eb=\"2\"><t>トウキョウ</t></rPh><phoneticPr/></si>"
                "<si><r><rPr><b/></rPr><t>太</t></r><r><t xml:space=\"preserve\"> 字</t></r></si>"
                "<si><t/></si><si><t>a_x000D_\nb_x005F_x000D_ _x00 _xD83D_</t></si>"))},
    {"xl/worksheets/sheet1.xml", S_INIT(SHEET(""))},
};
enum { USUAL = sizeof usual / sizeof *usual };

static void make_book(struct buf *b, const struct kit_part *changed, size_t n)
{
    struct kit_part parts[USUAL + 8];
    size_t count = 0;
    for (size_t i = 0; i < USUAL; i++) {
        parts[count] = usual[i];
        for (size_t k = 0; k < n; k++)
            if (strcmp(changed[k].name, usual[i].name) == 0)
                parts[count].bytes = changed[k].bytes;
        count += parts[count].bytes.p != NULL;
    }
    for (size_t k = 0; k < n; k++) {
        bool known = false;
        for (size_t i = 0; i < USUAL; i++)
            known |= strcmp(changed[k].name, usual[i].name) == 0;
        if (!known)
            parts[count++] = changed[k];
    }
    kit_zip(b, parts, count, NULL);
}

static char *read_parts(const struct kit_part *changed, size_t n, const struct table_limits *l)
{
    struct buf b = BUF_INIT;
    make_book(&b, changed, n);
    char *rows = kit_read(buf_view(&b), l, &mem, NULL);
    buf_release(&b);
    return rows;
}

static char *read_sheet(struct str xml)
{
    const struct kit_part part = {"xl/worksheets/sheet1.xml", xml};
    return read_parts(&part, 1, &TABLE_DEFAULT);
}

#define READS(rows_xml, want) assert_string_equal(read_sheet(S(SHEET(rows_xml))), want)
#define CHANGED(want, ...)                                                                         \
    do {                                                                                           \
        const struct kit_part parts[] = {__VA_ARGS__};                                             \
        assert_string_equal(read_parts(parts, sizeof parts / sizeof *parts, &TABLE_DEFAULT),       \
                            want);                                                                 \
    } while (0)
#define PART(name, lit)                                                                            \
    {                                                                                              \
        name, S(lit)                                                                               \
    }

static void reads_cell_types(void **state)
{
    (void)state;
    READS(
        "<row r=\"1\"><c r=\"A1\" t=\"s\"><v>0</v></c><c r=\"B1\" t=\"s\"><v>1</v></c>"
        "<c r=\"C1\" t=\"s\"><v>2</v></c><c r=\"D1\" t=\"inlineStr\"><is><r><t>in</t></r><r><t>line"
        "</t></r><rPh><t>x</t></rPh></is></c><c r=\"E1\" t=\"str\"><f>A1&amp;B1</f><v>a &lt; b</v>"
        "</c><c r=\"F1\" t=\"b\"><v>1</v></c><c r=\"G1\" t=\"b\"><v>0</v></c>"
        "<c r=\"H1\" t=\"e\"><v>#N/A</v></c><c r=\"I1\"><v>34.319620999999998</v></c>"
        "<c r=\"J1\" t=\"n\"><v>1E-3</v></c></row>",
        "1:東京|太 字||inline|a < b|true|false|#N/A|34.319620999999998|1E-3;");
    READS("<row><c t=\"s\"><v>3</v></c></row>", "1:a\r\nb_x000D_ _x00 _xD83D_;");
}

static void tells_cell_kinds_and_sheet(void **state)
{
    (void)state;
    const struct kit_part part = PART(
        "xl/worksheets/sheet1.xml",
        SHEET("<row><c t=\"s\"><v>0</v></c><c><v>5</v></c><c s=\"1\"><v>45302</v></c>"
              "<c t=\"b\"><v>1</v></c><c s=\"1\" t=\"str\"><v>45302</v></c><c s=\"99\"><v>7</v></c>"
              "<c s=\"1\"><v>x</v></c></row>"));
    struct buf b = BUF_INIT;
    struct error e;
    struct table_row row;
    make_book(&b, &part, 1);
    struct table *t = table_open(buf_view(&b), S("f"), &TABLE_DEFAULT, &e);
    assert_non_null(t);
    assert_int_equal(table_info(t)->format, TABLE_XLSX);
    assert_true(str_eq(table_info(t)->sheet, S("表")));
    assert_int_equal(table_next(t, &mem, &row, &e), TABLE_ROW);
    const enum cell_kind kinds[] = {CELL_TEXT, CELL_NUMBER, CELL_DATE, CELL_BOOL,
                                    CELL_TEXT, CELL_NUMBER, CELL_TEXT};
    assert_int_equal(row.n, 7);
    for (size_t i = 0; i < 7; i++)
        assert_int_equal(row.cells[i].kind, kinds[i]);
    table_close(t);
    buf_release(&b);
}

static void places_cells_by_reference(void **state)
{
    (void)state;
    READS("<row r=\"2\"><c r=\"C2\"><v>1</v></c><c r=\"A2\"><v>2</v></c><c r=\"E2\" s=\"1\"/></row>"
          "<row r=\"5\" spans=\"1:3\"/><row r=\"7\"><c r=\"AB7\"><v>3</v></c></row>"
          "<row><c><v>4</v></c><c r=\"D8\"><v>5</v></c><c><v>6</v></c></row>",
          "2:2||1;7:|||||||||||||||||||||||||||3;8:4|||5|6;");
    /* an empty cell with a style may stand anywhere */
    READS("<row r=\"1\"><c r=\"A1\"><v>1</v></c><c r=\"XFD1\" s=\"3\"/></row>", "1:1;");
}

static void reports_bad_references_and_goes_on(void **state)
{
    (void)state;
#define GOOD "<row><c><v>9</v></c></row>"
    READS("<row r=\"1\"><c r=\"A1\" t=\"s\"><v>4</v></c></row>" GOOD,
          "!row 1, column 1: a text that the workbook does not have;2:9;");
    READS("<row r=\"1\"><c r=\"B1\" t=\"s\"><v>-1</v></c></row>" GOOD,
          "!row 1, column 2: a text that the workbook does not have;2:9;");
    READS("<row r=\"1\"><c r=\"A2\"><v>1</v></c></row>" GOOD,
          "!row 1, column 1: a cell says it stands elsewhere;2:9;");
    READS("<row r=\"1\"><c r=\"XFE1\"><v>1</v></c></row>" GOOD,
          "!row 1, column 1: a cell says it stands elsewhere;2:9;");
    READS("<row r=\"1\"><c r=\"ZZZZZZZZZZZZZZZZZ1\"><v>1</v></c></row>" GOOD,
          "!row 1, column 1: a cell says it stands elsewhere;2:9;");
    READS("<row r=\"1\"><c r=\"1\"><v>1</v></c></row>" GOOD,
          "!row 1, column 1: a cell says it stands elsewhere;2:9;");
    READS("<row r=\"1\"><c r=\"B1\"><v>1</v></c><c r=\"B1\"><v>2</v></c></row>" GOOD,
          "!row 1, column 2: two cells in one place;2:9;");
    READS("<row r=\"3\"><c><v>1</v></c></row><row r=\"2\"><c r=\"A2\"><v>2</v></c></row>" GOOD,
          "3:1;!row 4, column 1: the row has no number, or one out of order;5:9;");
    READS("<row r=\"99999999999999999999\"/>" GOOD,
          "!row 1, column 1: the row has no number, or one out of order;2:9;");
    READS("<row r=\"1\"><c r=\"E1\"><v>1</v></c><c r=\"XFD1\"><v>2</v></c></row>" GOOD,
          "!row 1, column 16384: more columns than the limit;2:9;");
}

static void reads_dates(void **state)
{
    (void)state;
    /* styles: 1 date, 2 h:mm, 3 both, 4 custom date, 5 and 6 numbers, 7 [hh]:mm, 8 era, 9 built-in
     */
    READS("<row><c s=\"1\"><v>45302</v></c><c s=\"2\"><v>0.375</v></c>"
          "<c s=\"3\"><v>45302.75</v></c><c s=\"4\"><v>46054</v></c><c s=\"8\"><v>43586</v></c>"
          "<c s=\"9\"><v>45302</v></c></row>",
          "1:2024-01-11|09:00:00|2024-01-11T18:00:00|2026-02-01|2019-05-01|2024-01-11;");
    READS("<row><c s=\"5\"><v>45302</v></c><c s=\"6\"><v>3</v></c><c s=\"7\"><v>0.5</v></c>"
          "<c s=\"7\"><v>1.25</v></c><c s=\"0\"><v>45302</v></c><c s=\"10\"><v>5</v></c></row>",
          "1:45302|3|12:00:00|1.25|45302|5;");
    /* fractions that are not exact round to the second, over midnight too */
    READS("<row><c s=\"2\"><v>0.70833333333333337</v></c><c s=\"3\"><v>45301.999999999</v></c>"
          "<c s=\"2\"><v>0</v></c></row>",
          "1:17:00:00|2024-01-11|00:00:00;");
    /* what Excel could not show as a date stays the number it is */
    READS("<row><c s=\"1\"><v>-1</v></c><c s=\"1\"><v>2958466</v></c><c s=\"1\"><v>1E300</v></c>"
          "<c s=\"1\"><v>x</v></c><c s=\"1\"><v>2958465</v></c></row>",
          "1:-1|2958466|1E300|x|9999-12-31;");
    READS("<row><c t=\"d\"><v>2024-01-11T00:00:00</v></c><c t=\"d\"><v>2024-01-11T18:30:00</v></c>"
          "<c t=\"d\"><v>2024-13-11</v></c><c t=\"d\"><v>18:30</v></c></row>",
          "1:2024-01-11|2024-01-11T18:30:00|2024-13-11|18:30:00;");
}

static void counts_from_1904_when_told(void **state)
{
    (void)state;
    CHANGED(
        "1:2024-01-11|06:00:00;",
        PART("xl/workbook.xml",
             BOOK(
                 "<workbookPr date1904=\"1\"/><sheets><sheet name=\"x\" r:id=\"rId1\"/></sheets>")),
        PART("xl/worksheets/sheet1.xml",
             SHEET("<row><c s=\"1\"><v>43840</v></c><c s=\"1\"><v>0.25</v></c></row>")));
}

static void takes_the_first_visible_sheet(void **state)
{
    (void)state;
    CHANGED(
        "1:3;",
        PART("xl/workbook.xml",
             BOOK("<sheets><sheet name=\"a\" state=\"hidden\" r:id=\"rId1\"/>"
                  "<sheet name=\"b\" state=\"veryHidden\" r:id=\"rId1\"/>"
                  "<sheet name=\"c\" r:id=\"rId8\"/><sheet name=\"d\" r:id=\"rId9\"/></sheets>")),
        PART("xl/_rels/workbook.xml.rels",
             RELS(REL("rId1", "worksheet", "worksheets/sheet1.xml")
                      REL("rId8", "chartsheet", "chartsheets/sheet1.xml")
                          REL("rId9", "worksheet", "/xl/worksheets/Other.xml"))),
        PART("xl/worksheets/other.xml", SHEET("<row><c><v>3</v></c></row>")));
}

static void reads_other_writers_dialects(void **state)
{
    (void)state;
    assert_string_equal(
        read_sheet(S("\xEF\xBB\xBF<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<x:worksheet "
                     "xmlns:x=\"http://purl.oclc.org/ooxml/spreadsheetml/main\"><x:cols/>"
                     "<x:sheetData><!-- c --><x:row r=\"1\"><x:c r=\"A1\"><x:v><![CDATA[1]]></x:v>"
                     "</x:c></x:row></x:sheetData><x:extLst><x:row><x:c><x:v>2</x:v></x:c></x:row>"
                     "</x:extLst></x:worksheet>")),
        "1:1;");
    /* no styles, no shared strings: both parts are optional */
    CHANGED("1:1;",
            PART("xl/_rels/workbook.xml.rels",
                 RELS(REL("rId1", "worksheet", "worksheets/sheet1.xml"))),
            {"xl/styles.xml", STR_NONE}, {"xl/sharedStrings.xml", STR_NONE},
            PART("xl/worksheets/sheet1.xml", SHEET("<row><c s=\"1\"><v>1</v></c></row>")));
}

static void refuses_books_with_parts_missing(void **state)
{
    (void)state;
    CHANGED("?'f': workbook has no part '_rels/.rels'", {"_rels/.rels", STR_NONE});
    CHANGED("?'f': workbook part 'xl/workbook.xml' is missing", {"xl/workbook.xml", STR_NONE});
    CHANGED("?'f': workbook has no part 'xl/_rels/workbook.xml.rels'",
            {"xl/_rels/workbook.xml.rels", STR_NONE});
    CHANGED("?'f': sheet '表': part 'xl/worksheets/sheet1.xml' is missing",
            {"xl/worksheets/sheet1.xml", STR_NONE});
    CHANGED("?'f': workbook has no visible sheet", PART("xl/workbook.xml", BOOK("<sheets/>")));
    CHANGED("?'f': xl/workbook.xml, line 1: no element found", PART("xl/workbook.xml", ""));
    CHANGED("!row 1, column 1: a text that the workbook does not have;",
            {"xl/sharedStrings.xml", STR_NONE},
            PART("xl/worksheets/sheet1.xml", SHEET("<row><c t=\"s\"><v>0</v></c></row>")));
}

static void refuses_entities(void **state)
{
    (void)state;
#define LOL "<!DOCTYPE sst [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;\">]>"
    CHANGED("?'f': xl/sharedStrings.xml, line 1: a DOCTYPE, which no office file has",
            PART("xl/sharedStrings.xml", LOL SST("<si><t>&b;</t></si>")));
    assert_string_equal(
        read_sheet(S(LOL SHEET("<row><c t=\"str\"><v>&b;</v></c></row>"))),
        "!after row 0: xl/worksheets/sheet1.xml, line 1: a DOCTYPE, which no office file has;");
    assert_non_null(
        strstr(read_sheet(S("<!DOCTYPE x SYSTEM \"file:///etc/passwd\"><x/>")), "a DOCTYPE"));
    assert_non_null(
        strstr(read_sheet(S(SHEET("<row><c><v>&b;</v></c></row>"))), "undefined entity"));
}

static void stops_where_the_sheet_breaks(void **state)
{
    (void)state;
    assert_string_equal(read_sheet(S("<worksheet><sheetData><row><c><v>1</v></c></row><row></c>")),
                        "1:1;!in row 2: xl/worksheets/sheet1.xml, line 1: mismatched tag;");
    assert_string_equal(read_sheet(S("<worksheet><sheetData><row><c><v>1</v></c></row>")),
                        "1:1;!after row 1: xl/worksheets/sheet1.xml, line 1: no element found;");
    assert_string_equal(
        read_sheet(S(SHEET("<row><c t=\"str\"><v>\xFF</v></c></row>"))),
        "!in row 1: xl/worksheets/sheet1.xml, line 1: not well-formed (invalid token);");
}

static void refuses_deep_nesting_and_endless_tags(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    for (int i = 0; i < 100000; i++)
        BUF_LIT(&b, "<a>");
    assert_string_equal(read_sheet(buf_view(&b)),
                        "!after row 0: xl/worksheets/sheet1.xml, line 1: tags nested too deep;");
    buf_clear(&b);
    BUF_LIT(&b, "<a b=\"");
    for (uint32_t i = 1, x = 1; i < 3000000; i++, x = x * 1103515245 + 12345)
        buf_char(&b, (char)('a' + (x >> 16) % 26));
    assert_string_equal(
        read_sheet(buf_view(&b)),
        "!after row 0: xl/worksheets/sheet1.xml: a tag of more than 1048576 bytes;");
    buf_release(&b);
}

static void keeps_to_its_limits(void **state)
{
    (void)state;
    struct table_limits l = TABLE_DEFAULT;
    l.max_cell = 20;
    l.max_columns = 4;
    l.max_row = 48;
    l.max_rows = 5;
    const struct kit_part part =
        PART("xl/worksheets/sheet1.xml",
             SHEET(
                 "<row><c t=\"str\"><v>aaaaaaaaaaaaaaaaaaaaa</v></c></row>"
                 "<row><c/><c/><c/><c/><c><v>5</v></c></row>"
                 "<row><c t=\"s\"><v>0</v></c><c t=\"s\"><v>0</v></c><c t=\"s\"><v>0</v></c></row>"
                 "<row/><row><c><v>1</v></c></row><row><c><v>2</v></c></row><row/>"));
    const struct kit_part strings =
        PART("xl/sharedStrings.xml", SST("<si><t>bbbbbbbbbbbbbbbbbbbb</t></si>"));
    const struct kit_part parts[] = {part, strings};
    assert_string_equal(read_parts(parts, 2, &l),
                        "!row 1, column 1: the text is too long for a cell;"
                        "!row 2, column 5: more columns than the limit;"
                        "!row 3, column 3: more text than a row may hold;5:1;"
                        "!in row 6: xl/worksheets/sheet1.xml, line 1: more rows than the limit;");
    l.max_cell = 19;
    assert_string_equal(read_parts(parts, 2, &l),
                        "?'f': xl/sharedStrings.xml, line 1: a text that is too long for a cell");
}

/* A sheet of n blanks between its tags, which pack about a thousand times. */
static void blank_sheet(struct buf *b, size_t n)
{
    BUF_LIT(b, "<worksheet><sheetData>");
    for (size_t i = 0; i < n; i++)
        buf_char(b, ' ');
    BUF_LIT(b, "</sheetData></worksheet>");
}

static void refuses_zip_bombs(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    blank_sheet(&b, 4 << 20);
    const struct kit_part part = {"xl/worksheets/sheet1.xml", buf_view(&b)};
    assert_string_equal(read_parts(&part, 1, &TABLE_DEFAULT),
                        "?'f': zip member 'xl/worksheets/sheet1.xml' grows more than 200 times");

    struct table_limits l = TABLE_DEFAULT;
    l.max_ratio = 100000;
    assert_string_equal(read_parts(&part, 1, &l), "");
    l.max_unzipped = 1 << 20;
    assert_string_equal(
        read_parts(&part, 1, &l),
        "?'f': zip member 'xl/worksheets/sheet1.xml' grows to more than 1048576 bytes");
    /* the sheet fits, but not with what was unpacked before it */
    l.max_unzipped = b.n + 10;
    assert_string_equal(read_parts(&part, 1, &l),
                        "!after row 0: zip grows to more than 4194360 bytes;");

    l = TABLE_DEFAULT;
    l.max_members = 6;
    assert_string_equal(read_parts(NULL, 0, &l), "?'f': zip holds 7 files, more than 6");
    buf_release(&b);
}

/* Overwrite the unpacked size that the directory and the local header state for all members of
 * `real` bytes. */
static void lie_about_size(struct buf *b, uint32_t real, uint32_t stated)
{
    for (size_t i = 0; i + 46 <= b->n; i++) {
        bool central = memcmp(b->p + i, "PK\1\2", 4) == 0;
        size_t at = i + (central ? 24 : 22);
        if ((central || memcmp(b->p + i, "PK\3\4", 4) == 0) && memcmp(b->p + at, &real, 4) == 0)
            memcpy(b->p + at, &stated, 4);
    }
}

static void does_not_believe_stated_sizes(void **state)
{
    (void)state;
    struct buf sheet = BUF_INIT, b = BUF_INIT;
    blank_sheet(&sheet, 4 << 20);
    const struct kit_part part = {"xl/worksheets/sheet1.xml", buf_view(&sheet)};
    make_book(&b, &part, 1);
    lie_about_size(&b, (uint32_t)sheet.n, 1000);
    char *rows = kit_read(buf_view(&b), &TABLE_DEFAULT, &mem, NULL);
    assert_true(rows[0] == '!' || rows[0] == '?');
    buf_release(&sheet);
    buf_release(&b);
}

static void reports_damaged_archives(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    struct table_info info = {.format = TABLE_XLSX};
    make_book(&b, NULL, 0);
    /* cut anywhere, nothing worse happens than an error */
    for (size_t n = 4; n < b.n; n += 7) {
        char *copy = malloc(n); /* of its own, so that reading past the end is seen */
        assert_non_null(copy);
        memcpy(copy, b.p, n);
        assert_int_equal(kit_read(str_n(copy, n), &TABLE_DEFAULT, &mem, &info)[0], '?');
        free(copy);
    }
    /* one byte off anywhere: an error, or no effect */
    for (size_t i = 4; i < b.n; i += 3) {
        b.p[i] = (char)(b.p[i] ^ 0x55);
        char *rows = kit_read(buf_view(&b), &TABLE_DEFAULT, &mem, &info);
        assert_true(rows[0] == '?' || rows[0] == '!' || rows[0] == '\0');
        b.p[i] = (char)(b.p[i] ^ 0x55);
        arena_reset(&mem);
    }
    buf_release(&b);
}

static void refuses_encryption(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    kit_zip(&b, usual, USUAL, "secret");
    assert_string_equal(kit_read(buf_view(&b), &TABLE_DEFAULT, &mem, NULL),
                        "?'f': zip member '_rels/.rels' is encrypted");
    buf_release(&b);
}

/* Many chunks of XML with a pause at each row. */
static void streams_a_long_sheet(void **state)
{
    (void)state;
    enum { ROWS = 30000 };
    struct buf sheet = BUF_INIT, b = BUF_INIT;
    BUF_LIT(&sheet, "<worksheet><sheetData>");
    for (int i = 1; i <= ROWS; i++)
        buf_printf(&sheet, "<row r=\"%d\"><c r=\"A%d\"><v>%d</v></c><c t=\"s\"><v>0</v></c></row>",
                   i, i, i * 7);
    BUF_LIT(&sheet, "</sheetData></worksheet>");
    const struct kit_part part = {"xl/worksheets/sheet1.xml", buf_view(&sheet)};
    make_book(&b, &part, 1);
    struct error e;
    struct table_row row;
    struct table *t = table_open(buf_view(&b), S("f"), &TABLE_DEFAULT, &e);
    assert_non_null(t);
    for (int i = 1; i <= ROWS; i++) {
        int64_t v;
        assert_int_equal(table_next(t, &mem, &row, &e), TABLE_ROW);
        assert_int_equal(row.number, i);
        assert_int_equal(row.n, 2);
        assert_true(str_to_i64(row.cells[0].text, &v) && v == i * 7);
        assert_true(str_eq(row.cells[1].text, S("東京")));
        arena_reset(&mem);
    }
    assert_int_equal(table_next(t, &mem, &row, &e), TABLE_END);
    table_close(t);
    buf_release(&sheet);
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_cell_types),
        cmocka_unit_test(tells_cell_kinds_and_sheet),
        cmocka_unit_test(places_cells_by_reference),
        cmocka_unit_test(reports_bad_references_and_goes_on),
        cmocka_unit_test(reads_dates),
        cmocka_unit_test(counts_from_1904_when_told),
        cmocka_unit_test(takes_the_first_visible_sheet),
        cmocka_unit_test(reads_other_writers_dialects),
        cmocka_unit_test(refuses_books_with_parts_missing),
        cmocka_unit_test(refuses_entities),
        cmocka_unit_test(stops_where_the_sheet_breaks),
        cmocka_unit_test(refuses_deep_nesting_and_endless_tags),
        cmocka_unit_test(keeps_to_its_limits),
        cmocka_unit_test(refuses_zip_bombs),
        cmocka_unit_test(does_not_believe_stated_sizes),
        cmocka_unit_test(reports_damaged_archives),
        cmocka_unit_test(refuses_encryption),
        cmocka_unit_test(streams_a_long_sheet),
    };
    return cmocka_run_group_tests(tests, NULL, release);
}
