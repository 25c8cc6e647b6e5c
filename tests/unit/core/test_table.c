/* test_table.c - what a file is, text that was broken before it came, and real open data. */
#include "table_kit.h"

static struct arena mem = ARENA_INIT;

static int release(void **state)
{
    (void)state;
    arena_release(&mem);
    return 0;
}

static void tells_other_kinds_of_files(void **state)
{
    (void)state;
    assert_non_null(
        strstr(kit_read(S("\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1 etc"), &TABLE_DEFAULT, &mem, NULL),
               ".xls"));
    assert_string_equal(kit_read(S("%PDF-1.7"), &TABLE_DEFAULT, &mem, NULL),
                        "?'f': a PDF, not a table");
    assert_string_equal(kit_read(S("\x1F\x8B\x08"), &TABLE_DEFAULT, &mem, NULL),
                        "?'f': a gzip file; unpack it first");
    assert_string_equal(kit_read(S("PK\3\4"), &TABLE_DEFAULT, &mem, NULL),
                        "?'f': zip is cut short: it has no directory");
}

static char *read_zip(const struct kit_part *parts, size_t n, const struct table_limits *l,
                      struct table_info *info)
{
    struct buf b = BUF_INIT;
    kit_zip(&b, parts, n, NULL);
    char *rows = kit_read(buf_view(&b), l, &mem, info);
    buf_release(&b);
    return rows;
}

static void opens_a_csv_in_a_zip(void **state)
{
    (void)state;
    const struct kit_part parts[] = {
        {"readme.txt", S("not,this\n")},
        {"__MACOSX/._data.csv", S("nor,this\n")},
        {"dir/DATA.CSV", S("\x95\x5C,1\n")},
        {"b.csv", S("x\n")},
    };
    struct table_info info = {.format = TABLE_XLSX};
    assert_string_equal(read_zip(parts, 3, &TABLE_DEFAULT, &info), "1:表|1;");
    assert_true(info.zipped);
    assert_int_equal(info.format, TABLE_CSV);
    assert_int_equal(info.encoding, ENC_CP932);
    assert_non_null(strstr(read_zip(parts, 2, &TABLE_DEFAULT, NULL), "exactly one CSV (0 found)"));
    assert_non_null(strstr(read_zip(parts, 4, &TABLE_DEFAULT, NULL), "exactly one CSV (2 found)"));
}

static void zipped_csv_keeps_to_the_limits(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    for (int i = 0; i < 4 << 20; i++)
        buf_char(&b, 'a');
    const struct kit_part part = {"a.csv", buf_view(&b)};
    assert_string_equal(read_zip(&part, 1, &TABLE_DEFAULT, NULL),
                        "?'f': zip member 'a.csv' grows more than 200 times");
    struct table_limits l = TABLE_DEFAULT;
    l.max_ratio = 100000;
    l.max_bytes = 1 << 20;
    assert_string_equal(read_zip(&part, 1, &l, NULL),
                        "?'f': zip member 'a.csv' grows to more than 1048576 bytes");
    buf_release(&b);
}

static void hears_broken_text(void **state)
{
    (void)state;
    assert_false(table_looks_broken(S("")));
    assert_false(table_looks_broken(S("高松市,ﾀｶﾏﾂｼ,Takamatsu,１２３,①,〒760-8571,℡,♨\r\n")));
    assert_false(table_looks_broken(S("São João, Prefeitura Municipal, café, Đà Nẵng, 서울\n")));
    assert_true(table_looks_broken(S("高松\xEF\xBF\xBD市")));
    assert_true(table_looks_broken(S("高松\xFF市")));        /* no UTF-8 at all */
    assert_true(table_looks_broken(S("繧ｿ繧ｫ繝槭ヤ縺ｮ蟶"))); /* UTF-8 taken for CP932 */
    assert_true(table_looks_broken(S("ã‚¿ã‚«ãƒžãƒ„ã®å¸‚"))); /* for Windows-1252 */
    assert_true(
        table_looks_broken(S("\xC3\xA9\xC2\xAB\xC2\x98\xC3\xA6\xC2\x9D\xC2\xBE"))); /* Latin-1 */
    assert_true(table_looks_broken(S("ab\x01\x02")));
    assert_true(table_looks_broken(S("外字\xEE\x80\x80")));
    /* one character of the user's own among many is a rare name, not a broken file */
    assert_false(table_looks_broken(S(
        "外字の入った氏名は一文字だけであればそのまま読むことにする。外字の入った氏名は一文字だけで"
        "あればそのまま読む\xEE\x80\x80")));
}

struct real {
    const char *path;
    uint64_t rows; /* that hold text, headers and metadata lines too */
    enum table_encoding encoding;
    bool broken;
};

/* Data rows of the README, plus 1 for a header or 9 for the metadata lines of the *_old.csv. */
static const struct real files[] = {
    {"takamatsu/aed_location.xlsx", 450 + 1},
    {"takamatsu/aed_location_old.csv", 514 + 9, ENC_UTF8_BOM},
    {"takamatsu/community_center.xlsx", 52 + 1},
    {"takamatsu/elderly_welfare_facility.csv", 47 + 1, ENC_UTF8},
    {"takamatsu/elderly_welfare_facility.xlsx", 47 + 1},
    {"takamatsu/evacuation_space.xlsx", 195 + 1},
    {"takamatsu/evacuation_space_old.csv", 193 + 9, ENC_UTF8_BOM},
    {"takamatsu/evacuation_space_previous.xlsx", 193 + 1},
    {"takamatsu/events.xlsx", 51 + 1},
    {"takamatsu/future_population.xlsx", 11 + 1},
    {"takamatsu/garbage_collection_date.xlsx", 8 + 1},
    {"takamatsu/garbage_separation_list.xlsx", 613 + 1},
    {"takamatsu/garbage_separation_list_old.csv", 613 + 9, ENC_UTF8_BOM},
    {"takamatsu/hospital.csv", 628 + 1, ENC_UTF8},
    {"takamatsu/hospital.xlsx", 617 + 1},
    {"takamatsu/open_data_list.xlsx", 113 + 1},
    {"takamatsu/polling_place_list.xlsx", 70 + 1},
    {"takamatsu/population_202303_old.csv", 235 + 9, ENC_UTF8_BOM},
    {"takamatsu/population_202304_mojibake.xlsx", 235 + 1, ENC_UTF8, true},
    {"takamatsu/population_202512.xlsx", 235 + 1},
    {"takamatsu/population_202601.xlsx", 235 + 1},
    {"takamatsu/population_202602.xlsx", 235 + 1},
    {"takamatsu/public_toilet.csv", 169 + 1, ENC_UTF8},
    {"takamatsu/public_toilet.xlsx", 169 + 1},
    {"takamatsu/regional_comprehensive_support_center.xlsx", 7 + 1},
    {"takamatsu/tsunami_evacuation_building.csv", 113 + 1, ENC_UTF8},
    {"takamatsu/tsunami_evacuation_building.xlsx", 112 + 1},
    {"tsukuba/garbage_202404_calendar.xlsx", 225 + 1},
    {"tsukuba/garbage_202501_calendar.xlsx", 225 + 1},
    {"tsukuba/ipss2023_08220.csv", 7 + 1, ENC_UTF8},
    {"tsukuba/nurseries-2026.csv", 119 + 1, ENC_UTF8_BOM},
    {"templates/messy/tsukuba_nurseries_sjis.csv", 119 + 1, ENC_CP932},
    {"templates/messy/takamatsu_public_toilet_utf16le.tsv", 169 + 1, ENC_UTF16LE},
    {"templates/xxxxxx_aed.csv", 1, ENC_UTF8_BOM},
    {"templates/xxxxxx_care_service.csv", 1, ENC_UTF8_BOM},
    {"templates/xxxxxx_cultural_property.csv", 1, ENC_UTF8_BOM},
    {"templates/xxxxxx_evacuation_space.csv", 1, ENC_UTF8_BOM},
    {"templates/xxxxxx_event.csv", 1, ENC_UTF8_BOM},
    {"templates/xxxxxx_fire_hydrant.csv", 1, ENC_UTF8_BOM},
    {"templates/xxxxxx_food_business_all.csv", 1, ENC_UTF8_BOM},
    {"templates/xxxxxx_food_business_new_yyyymmdd_yyyymmdd.csv", 1, ENC_UTF8_BOM},
    {"templates/xxxxxx_hospital.csv", 1, ENC_UTF8_BOM},
    {"templates/xxxxxx_open_data_list.csv", 1, ENC_UTF8_BOM},
    {"templates/xxxxxx_population_yyyymmdd.csv", 1, ENC_UTF8_BOM},
    {"templates/xxxxxx_preschool.csv", 1, ENC_UTF8_BOM},
    {"templates/xxxxxx_public_facility.csv", 1, ENC_UTF8_BOM},
    {"templates/xxxxxx_public_toilet.csv", 1, ENC_UTF8_BOM},
    {"templates/xxxxxx_public_wireless_lan.csv", 1, ENC_UTF8_BOM},
    {"templates/xxxxxx_tourism.csv", 1, ENC_UTF8_BOM},
};

static void check_real(const struct real *r, struct str bytes)
{
    struct error e;
    struct table_row row;
    struct buf all = BUF_INIT;
    uint64_t rows = 0;
    struct table *t = table_open(bytes, str_c(r->path), &TABLE_DEFAULT, &e);
    if (!t)
        fail_msg("%s", e.text);
    const struct table_info *info = table_info(t);
    bool xlsx = strstr(r->path, ".xlsx") != NULL;
    assert_int_equal(info->format, xlsx ? TABLE_XLSX : TABLE_CSV);
    if (!xlsx && info->encoding != r->encoding)
        fail_msg("%s: encoding %d", r->path, (int)info->encoding);
    for (enum table_step s; (s = table_next(t, &mem, &row, &e)) != TABLE_END; rows++) {
        if (s == TABLE_BAD)
            fail_msg("%s: %s", r->path, e.text);
        for (size_t i = 0; i < row.n; i++)
            buf_str(&all, row.cells[i].text);
        arena_reset(&mem);
    }
    if (rows != r->rows)
        fail_msg("%s: %llu rows", r->path, (unsigned long long)rows);
    if (table_looks_broken(buf_view(&all)) != r->broken)
        fail_msg("%s: looks %s", r->path, r->broken ? "sound" : "broken");
    table_close(t);
    buf_release(&all);
}

static void reads_every_municipal_file(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[256];
        snprintf(path, sizeof path, "municipal/%s", files[i].path);
        if (!kit_shared_file(path, &b))
            skip();
        check_real(&files[i], buf_view(&b));
    }
    buf_release(&b);
}

static char *read_shared(const char *path, struct table_info *info)
{
    struct buf b = BUF_INIT;
    if (!kit_shared_file(path, &b))
        skip();
    char *rows = kit_read(buf_view(&b), &TABLE_DEFAULT, &mem, info);
    if (info)
        info->sheet = STR_NONE; /* it went with the table */
    buf_release(&b);
    return rows;
}

static void leaves_furigana_out(void **state)
{
    (void)state;
    char *rows = read_shared("municipal/takamatsu/events.xlsx", NULL);
    assert_non_null(strstr(rows, "開催日"));
    assert_null(strstr(rows, "カイサイビ")); /* stands in rPh only */
    assert_non_null(strstr(rows, "|09:00:00|"));
    assert_non_null(strstr(rows, "|2026-08-22|"));
    assert_non_null(strstr(rows, "9：00"));
    rows = read_shared("municipal/takamatsu/population_202602.xlsx", NULL);
    assert_non_null(strstr(rows, "|2026-02-01|"));
    assert_null(strstr(rows, "|46054|"));
    rows = read_shared("municipal/tsukuba/garbage_202404_calendar.xlsx", NULL);
    assert_null(strstr(rows, "_x000D_"));
}

/* The same table in three encodings and two formats. */
static void agrees_across_encodings(void **state)
{
    (void)state;
    char *utf8 = read_shared("municipal/tsukuba/nurseries-2026.csv", NULL);
    char *sjis = read_shared("municipal/templates/messy/tsukuba_nurseries_sjis.csv", NULL);
    struct buf waves = BUF_INIT; /* CP932 has one byte pair for both waves */
    for (const char *p = utf8; *p;) {
        bool wave = strncmp(p, "〜", 3) == 0;
        buf_add(&waves, wave ? "～" : p, wave ? 3 : 1);
        p += wave ? 3 : 1;
    }
    assert_string_equal(waves.p, sjis);
    buf_release(&waves);

    struct table_info info = {.format = TABLE_XLSX};
    char *csv = read_shared("municipal/takamatsu/public_toilet.csv", NULL);
    char *tsv = read_shared("municipal/templates/messy/takamatsu_public_toilet_utf16le.tsv", &info);
    assert_int_equal(info.separator, '\t');
    assert_string_equal(csv, tsv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_other_kinds_of_files),     cmocka_unit_test(opens_a_csv_in_a_zip),
        cmocka_unit_test(zipped_csv_keeps_to_the_limits), cmocka_unit_test(hears_broken_text),
        cmocka_unit_test(reads_every_municipal_file),     cmocka_unit_test(leaves_furigana_out),
        cmocka_unit_test(agrees_across_encodings),
    };
    return cmocka_run_group_tests(tests, NULL, release);
}
