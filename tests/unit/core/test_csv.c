/* test_csv.c - records, separators, encodings, limits, and writing. */
#include "table_kit.h"

static struct arena mem = ARENA_INIT;

static int release(void **state)
{
    (void)state;
    arena_release(&mem);
    return 0;
}

static void reads(struct str bytes, const char *rows)
{
    assert_string_equal(kit_read(bytes, &TABLE_DEFAULT, &mem, NULL), rows);
}

#define READS(lit, rows) reads(S(lit), rows)

static void reads_records(void **state)
{
    (void)state;
    READS("", "");
    READS("\n\r\n", "");
    READS("a,b\nc,d", "1:a|b;2:c|d;");
    READS("a,b\r\nc,d\r\n", "1:a|b;2:c|d;");
    READS("a,b\rc,d\r", "1:a|b;2:c|d;");
    READS("a,,b\n,x,\n", "1:a||b;2:|x;");
    READS("a,b\n\n,,\nc,d\n", "1:a|b;4:c|d;"); /* rows without text are passed over */
    READS("one\ntwo", "1:one;2:two;");
}

static void reads_quotes(void **state)
{
    (void)state;
    READS("\"a\",\"b,c\"\n\"d\"\"e\",\"\"\n", "1:a|b,c;2:d\"e;");
    READS("\"a\r\nb\",c\nd,e", "1:a\r\nb|c;2:d|e;");
    READS("\"\"\"\",x", "1:\"|x;");
    READS("a\"b,c\"\nd,e", "1:a\"b|c\";2:d|e;"); /* only the start of a cell opens */
    READS("\"a\"b,c\n", "1:ab|c;");
    READS("\"a\" ,c\n", "1:a |c;");
    READS("\"a,b\"\"\"\n", "1:a,b\";");
}

static void a_quote_never_closed_spoils_its_line_only(void **state)
{
    (void)state;
    READS("h,i\n1,\"2\n3,4\n5,6\n",
          "1:h|i;!row 2 (line 2): a quote that opens a cell is never closed;3:3|4;4:5|6;");
    READS("h,i\n\"1\n1\",\"2\n3,4\n",
          "1:h|i;!row 2 (line 2): a quote that opens a cell is never closed;3:3|4;");
    READS("\"x", "!row 1 (line 1): a quote that opens a cell is never closed;");
    READS("\"x\ny\"\"z\n\"\",k\n",
          "!row 1 (line 1): a quote that opens a cell is never closed;2:y\"\"z;3:|k;");
}

/* Each line would open a quote of its own if reading started there: the work must stay linear. */
static void hostile_quotes_take_linear_time(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    buf_char(&b, '"');
    for (int i = 0; i < 200000; i++)
        BUF_LIT(&b, "x\ny\",\"");
    char *rows = kit_read(buf_view(&b), &TABLE_DEFAULT, &mem, NULL);
    assert_non_null(strstr(rows, "never closed"));
    buf_release(&b);
}

static void guesses_the_separator(void **state)
{
    (void)state;
    struct table_info info = {.format = TABLE_XLSX};
    assert_string_equal(kit_read(S("a\tb,c\nd\te\n"), &TABLE_DEFAULT, &mem, &info),
                        "1:a|b,c;2:d|e;");
    assert_int_equal(info.separator, '\t');
    kit_read(S("a;b;1,5\nc;d;2\n"), &TABLE_DEFAULT, &mem, &info);
    assert_int_equal(info.separator, ';');
    kit_read(S("a;b,c\nd;e,f\n"), &TABLE_DEFAULT, &mem, &info);
    assert_int_equal(info.separator, ',');
    kit_read(S("\"a;b;c\",d\n\"e;f;g\",h\n"), &TABLE_DEFAULT, &mem, &info);
    assert_int_equal(info.separator, ',');
    kit_read(S("one\n"), &TABLE_DEFAULT, &mem, &info);
    assert_int_equal(info.separator, ',');
    assert_int_equal(info.format, TABLE_CSV);
    assert_false(info.zipped);
}

static void guessed(struct str bytes, enum table_encoding encoding, const char *rows)
{
    struct table_info info = {.format = TABLE_XLSX};
    assert_string_equal(kit_read(bytes, &TABLE_DEFAULT, &mem, &info), rows);
    assert_int_equal(info.encoding, encoding);
}

static void guesses_the_encoding(void **state)
{
    (void)state;
    guessed(S("名,値\n"), ENC_UTF8, "1:名|値;");
    guessed(S("\xEF\xBB\xBF名,値\n"), ENC_UTF8_BOM, "1:名|値;");
    guessed(S("\xFF\xFE\x0D\x54,\0\x42\x30\n\0a\0"), ENC_UTF16LE, "1:名|あ;2:a;");
    guessed(S("\xFE\xFF\x54\x0D\0,\x30\x42\0\n\0a"), ENC_UTF16BE, "1:名|あ;2:a;");
    guessed(S("a\0,\0\x42\x30\n\0\0\x30"), ENC_UTF16LE, "1:a|あ;2:　;");
    guessed(S("\0a\0,\x30\x42\0\n"), ENC_UTF16BE, "1:a|あ;");
    guessed(S("\x95\x5C,\x83\x5C\r\n\"\x81\x7C\",\xB6\r\n"), ENC_CP932, "1:表|ソ;2:－|ｶ;");
    guessed(S("\xEF\xBB\xBF"), ENC_UTF8_BOM, "");
}

static void bad_bytes_spoil_their_row_only(void **state)
{
    (void)state;
    READS("\x95\x5C,1\n\"x\ny\",2\n\x81\xAD,3\n\x95\x5C,4\n",
          "1:表|1;2:x\ny|2;!row 3 (line 4): no CP932 character for 0x81 0xAD at byte 0;4:表|4;");
    READS("\xEF\xBB\xBF"
          "a,b\n\xFF,c\nd,e\n",
          "1:a|b;!row 2 (line 2): not UTF-8 although the file is marked so;3:d|e;");
    READS("\xFF\xFE"
          "a\0\n\0\x40\xD8\n\0b\0\n\0",
          "1:a;!row 2 (line 2): half of a UTF-16 surrogate pair at byte 0;3:b;");
    READS("\xFF\xFE"
          "a\0\n\0b",
          "1:a;!row 2 (line 2): UTF-16 text ends within a character at byte 0;");
    READS("\xEF\xBB\xBF"
          "a\0b,c\nd,e\n",
          "!row 1 (line 1): a NUL character;2:d|e;");
}

static void keeps_to_its_limits(void **state)
{
    (void)state;
    struct table_limits l = TABLE_DEFAULT;
    l.max_cell = 4;
    l.max_columns = 3;
    l.max_row = 10;
    l.max_rows = 6;
    assert_string_equal(kit_read(S("abcd,1\nabcde,2\n1,2,3\n1,2,3,4\n123456,890123\nok\nno\nno\n"),
                                 &l, &mem, NULL),
                        "1:abcd|1;!row 2 (line 2): cell 1 holds more than 4 bytes;3:1|2|3;"
                        "!row 4 (line 4): 4 cells, more than 3;"
                        "!row 5 (line 5): more than 10 bytes in one row;6:ok;!more than 6 rows;");
    l.max_bytes = 5;
    assert_string_equal(kit_read(S("123456"), &l, &mem, NULL),
                        "?'f': file of 6 bytes, more than 5");
}

static void writes(const struct str *cells, size_t n, bool guard, const char *want)
{
    struct buf b = BUF_INIT;
    csv_write_row(&b, cells, n, guard);
    assert_string_equal(b.p, want);
    buf_release(&b);
}

static void writes_rows(void **state)
{
    (void)state;
    const struct str plain[] = {S("a"), S("b,c"), S("d\"e"), S("f\ng"), S(""), S(" h"), S("名")};
    writes(plain, 7, false, "a,\"b,c\",\"d\"\"e\",\"f\ng\",,\" h\",名\r\n");
    const struct str empty[] = {S("")};
    writes(empty, 1, true, "\"\"\r\n");
    writes(NULL, 0, true, "\r\n");
}

static void guards_against_formulas(void **state)
{
    (void)state;
    const struct str cells[] = {S("=1+1"), S("@SUM(A1)"), S("-2+3"),       S("+81-29-883"),
                                S("-5.5"), S("+7"),       S("\tx"),        S("=A1,\"B\""),
                                S("a=b"),  S("-"),        S("-1e400,000"), S("\rx")};
    writes(cells, 12, true,
           "'=1+1,'@SUM(A1),'-2+3,'+81-29-883,-5.5,+7,'\tx,\"'=A1,\"\"B\"\"\",a=b,'-,"
           "\"'-1e400,000\",\"'\rx\"\r\n");
    writes(cells, 1, false, "=1+1\r\n");
}

static void reads_back_what_it_writes(void **state)
{
    (void)state;
    const struct str cells[] = {S("\"\""), S("a\r\nb"), S(",;\t"), S(" x "), S("終")};
    struct buf b = BUF_INIT;
    csv_write_row(&b, cells, 5, false);
    csv_write_row(&b, cells, 5, true);
    struct error e;
    struct table_row row;
    struct table *t = table_open(buf_view(&b), S("f"), &TABLE_DEFAULT, &e);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(table_next(t, &mem, &row, &e), TABLE_ROW);
        assert_int_equal(row.n, 5);
        for (size_t k = 0; k < 5; k++)
            assert_true(str_eq(row.cells[k].text, cells[k]));
    }
    assert_int_equal(table_next(t, &mem, &row, &e), TABLE_END);
    table_close(t);
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_records),
        cmocka_unit_test(reads_quotes),
        cmocka_unit_test(a_quote_never_closed_spoils_its_line_only),
        cmocka_unit_test(hostile_quotes_take_linear_time),
        cmocka_unit_test(guesses_the_separator),
        cmocka_unit_test(guesses_the_encoding),
        cmocka_unit_test(bad_bytes_spoil_their_row_only),
        cmocka_unit_test(keeps_to_its_limits),
        cmocka_unit_test(writes_rows),
        cmocka_unit_test(guards_against_formulas),
        cmocka_unit_test(reads_back_what_it_writes),
    };
    return cmocka_run_group_tests(tests, NULL, release);
}
