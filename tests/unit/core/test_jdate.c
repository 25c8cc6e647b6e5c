/* test_jdate.c - Japanese dates as they stand in open data, and Excel's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/arena.h"
#include "core/clock.h"
#include "core/datetime.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS(table) (sizeof(table) / sizeof(table)[0])

static void dates_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int y, mo, d, h, mi, s;
        bool timed;
    } good[] = {
        {"令和6年1月11日午後6時", 2024, 1, 11, 18, 0, 0, true},
        {"令和6年1月11日", 2024, 1, 11, 0, 0, 0, false},
        {"令和元年5月1日", 2019, 5, 1, 0, 0, 0, false},
        {"令和６年１月１１日　午前１０時３０分", 2024, 1, 11, 10, 30, 0, true},
        {"令和 6年 1月 1日", 2024, 1, 1, 0, 0, 0, false},
        {"令6.1.11", 2024, 1, 11, 0, 0, 0, false},
        {"R6.1.11", 2024, 1, 11, 0, 0, 0, false},
        {"Ｒ６．１．１１", 2024, 1, 11, 0, 0, 0, false},
        {"r6-01-11", 2024, 1, 11, 0, 0, 0, false},
        {"㋿6年1月11日", 2024, 1, 11, 0, 0, 0, false},
        {"S38/4/1", 1963, 4, 1, 0, 0, 0, false},
        {"㍼38年4月1日", 1963, 4, 1, 0, 0, 0, false},
        {"昭和64年1月7日", 1989, 1, 7, 0, 0, 0, false},
        {"平成元年1月8日", 1989, 1, 8, 0, 0, 0, false},
        {"平成32年3月31日", 2020, 3, 31, 0, 0, 0, false},
        {"大正元年7月30日", 1912, 7, 30, 0, 0, 0, false},
        {"明治元年1月25日", 1868, 1, 25, 0, 0, 0, false},
        {"M45.7.29", 1912, 7, 29, 0, 0, 0, false},
        {"2024年1月11日", 2024, 1, 11, 0, 0, 0, false},
        {"西暦2024年1月11日", 2024, 1, 11, 0, 0, 0, false},
        {"2024/1/11", 2024, 1, 11, 0, 0, 0, false},
        {"2024/01/11 18:00:30", 2024, 1, 11, 18, 0, 30, true},
        {"２０２４／１／１１　９：００", 2024, 1, 11, 9, 0, 0, true},
        {"2024-01-11", 2024, 1, 11, 0, 0, 0, false},
        {"2024-01-11T18:00", 2024, 1, 11, 18, 0, 0, true},
        {"2024－01－11", 2024, 1, 11, 0, 0, 0, false},
        {"2024.1.11", 2024, 1, 11, 0, 0, 0, false},
        {"20240111", 2024, 1, 11, 0, 0, 0, false},
        {"令和6年5月29日正午", 2024, 5, 29, 12, 0, 0, true},
        {"令和6年1月9日午後6時時点", 2024, 1, 9, 18, 0, 0, true},
        {"令和6年1月9日時点", 2024, 1, 9, 0, 0, 0, false},
        {"令和6年1月9日 現在", 2024, 1, 9, 0, 0, 0, false},
        {"令和6年1月11日（木）", 2024, 1, 11, 0, 0, 0, false},
        {"令和6年1月11日(木曜日)午後0時5分", 2024, 1, 11, 12, 5, 0, true},
        {"2024年1月11日18時", 2024, 1, 11, 18, 0, 0, true},
        {"2024年1月11日6時半", 2024, 1, 11, 6, 30, 0, true},
        {"2024年1月11日午前6時7分8秒", 2024, 1, 11, 6, 7, 8, true},
        {"2024年12月31日24時", 2025, 1, 1, 0, 0, 0, true},
        {" 2024/1/11 ", 2024, 1, 11, 0, 0, 0, false},
    };
    for (size_t i = 0; i < ROWS(good); i++) {
        struct civil c = {0};
        bool timed = !good[i].timed;
        if (!jdate_parse(str_c(good[i].text), &c, &timed)) {
            fail_msg("not read: %s", good[i].text);
        }
        if (c.year != good[i].y || c.month != good[i].mo || c.day != good[i].d ||
            c.hour != good[i].h || c.minute != good[i].mi || c.second != good[i].s ||
            c.micro != 0 || timed != good[i].timed) {
            fail_msg("%s read as %d-%d-%d %d:%d:%d", good[i].text, c.year, c.month, c.day, c.hour,
                     c.minute, c.second);
        }
    }
}

static void other_texts_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        " ",
        "時点",
        "令和",
        "令和6年",
        "令和6年1月",
        "令和0年1月1日",
        "令和100年1月1日",
        "令和元年4月30日",
        "昭和元年12月24日",
        "令和6年2月30日",
        "令和6年13月1日",
        "令和6年1月11日(金)",
        "令和6年1月11日(木",
        "令和6年1月11日まで",
        "令和6年1月11日午後12時",
        "令和6年1月11日午前12時",
        "令和6年1月11日午後18時",
        "令和6年1月11日午後",
        "令和6年1月11日25時",
        "令和6年1月11日24時1分",
        "令和6年1月11日18時60分",
        "令和6年1月11日18時30",
        "令和6年1月11日 18:0",
        "令和6年1月11日令和",
        "4/1/2023",
        "24/1/11",
        "2024/1-11",
        "2024/1",
        "2024年1/11",
        "2024011",
        "202401111",
        "20240111 1800",
        "20240132",
        "46054",
        "8月5日（水）～8月16日（日）※10日（月）以外",
        "2024-01-11T18:00:00+09:00",
        "X6.1.11",
        "慶応3年1月1日",
        "\xff\xfe",
        "令和6年1月11\xe6",
        "2024/00000001/11",
        "99999999999999999999/1/1",
    };
    for (size_t i = 0; i < ROWS(bad); i++) {
        struct civil c = {.year = 5};
        if (jdate_parse(str_c(bad[i]), &c, NULL)) {
            fail_msg("read: %s", bad[i]);
        }
        assert_int_equal(c.year, 5);
    }
    static char blanks[4096];
    struct civil c;
    memset(blanks, ' ', sizeof blanks);
    assert_false(jdate_parse(str_n(blanks, sizeof blanks), &c, NULL));
    assert_false(jdate_parse(STR_NONE, &c, NULL));
}

static void wareki_goes_both_ways(void **state)
{
    (void)state;
    static const struct {
        int y, m, d;
        const char *text;
    } rows[] = {
        {2024, 1, 11, "令和6年1月11日"},    {2019, 5, 1, "令和元年5月1日"},
        {2019, 4, 30, "平成31年4月30日"},   {1989, 1, 8, "平成元年1月8日"},
        {1989, 1, 7, "昭和64年1月7日"},     {1926, 12, 25, "昭和元年12月25日"},
        {1926, 12, 24, "大正15年12月24日"}, {1912, 7, 30, "大正元年7月30日"},
        {1912, 7, 29, "明治45年7月29日"},   {1868, 1, 25, "明治元年1月25日"},
        {1868, 1, 24, "1868年1月24日"},
    };
    struct arena a = ARENA_INIT;
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct civil c = {rows[i].y, rows[i].m, rows[i].d, 0, 0, 0, 0};
        struct str text = wareki_format(&a, &c);
        assert_string_equal(text.p, rows[i].text);
    }
    for (int64_t day = -40000; day < 30000; day++) { /* 1860 to 2052 */
        struct civil c = civil_of(day * DAY_US, 0), back;
        assert_true(jdate_parse(wareki_format(&a, &c), &back, NULL));
        assert_int_equal(civil_to_instant(&back, 0), day * DAY_US);
        arena_reset(&a);
    }
    arena_release(&a);
}

static void excel_serials_are_read(void **state)
{
    (void)state;
    static const struct {
        double serial;
        int y, mo, d, h, mi, s;
    } good[] = {
        {1, 1900, 1, 1, 0, 0, 0},
        {59, 1900, 2, 28, 0, 0, 0},
        {61, 1900, 3, 1, 0, 0, 0},
        {25569, 1970, 1, 1, 0, 0, 0},
        {46054, 2026, 2, 1, 0, 0, 0},
        {46054.375, 2026, 2, 1, 9, 0, 0},
        {2958465, 9999, 12, 31, 0, 0, 0},
        {45302.7, 2024, 1, 11, 16, 48, 0},
        {45302.99999999999, 2024, 1, 12, 0, 0, 0},
    };
    for (size_t i = 0; i < ROWS(good); i++) {
        struct civil c;
        assert_true(excel_serial_to_civil(good[i].serial, &c));
        assert_int_equal(c.year, good[i].y);
        assert_int_equal(c.month, good[i].mo);
        assert_int_equal(c.day, good[i].d);
        assert_int_equal(c.hour, good[i].h);
        assert_int_equal(c.minute, good[i].mi);
        assert_int_equal(c.second, good[i].s);
        assert_int_equal(c.micro, 0);
    }
    static const double bad[] = {0, 0.375, -1, 60, 60.5, 2958466, 1e300, -1e300};
    struct civil c;
    for (size_t i = 0; i < ROWS(bad); i++) {
        assert_false(excel_serial_to_civil(bad[i], &c));
    }
    assert_false(excel_serial_to_civil(__builtin_nan(""), &c));
    assert_false(excel_serial_to_civil(__builtin_inf(), &c));
}

/* --- the shelter files of Nanao, 2024: 117 times in their names and in their rows --- */

static char *read_file(const char *folder, const char *name, size_t *n)
{
    char path[1200];
    static char bytes[65536];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    *n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    return bytes;
}

/* The text from 令和 up to the next comma or line end: column 時点, or the heading of the first
 * file. */
static struct str time_text(struct str file)
{
    ptrdiff_t at = str_find(file, S("令和"));
    assert_true(at >= 0);
    struct str s = str_from(file, (size_t)at);
    size_t n = 0;
    while (n < s.n && s.p[n] != ',' && s.p[n] != '\n') {
        n++;
    }
    return str_sub(s, 0, n);
}

static void shelter_files_are_read(void **state)
{
    (void)state;
    char folder[900];
    const char *shared = getenv("MARUGOTO_SHARED");
    snprintf(folder, sizeof folder, "%s/data/shelters/nanao-2024/history",
             shared ? shared : "../shared");
    DIR *dir = opendir(folder);
    if (!dir) {
        skip();
    }
    int files = 0, half_hours = 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        struct str name = str_c(entry->d_name), stem = S("open_shelter_Nanao-shi_");
        if (!str_starts(name, stem)) {
            continue;
        }
        struct civil by_name, by_text;
        bool timed = false;
        char text[32];
        struct str when = str_from(name, stem.n); /* 2024-01-09-1800.csv */
        snprintf(text, sizeof text, "%.10s %.2s:%.2s", when.p, when.p + 11, when.p + 13);
        assert_true(jdate_parse(str_c(text), &by_name, &timed));
        assert_true(timed);
        size_t n;
        char *bytes = read_file(folder, entry->d_name, &n);
        struct str column = time_text(str_n(bytes, n));
        if (!jdate_parse(column, &by_text, &timed)) {
            fail_msg("not read: %" STR_F, STR_A(column));
        }
        assert_true(timed);
        /* five files are named after the full hour of a half past one */
        int64_t apart = civil_to_instant(&by_text, 0) - civil_to_instant(&by_name, 0);
        half_hours += apart == 30 * MINUTE_US;
        assert_true(apart == 0 || apart == 30 * MINUTE_US);
        files++;
    }
    closedir(dir);
    assert_int_equal(files, 117);
    assert_int_equal(half_hours, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates_are_read),         cmocka_unit_test(other_texts_are_refused),
        cmocka_unit_test(wareki_goes_both_ways),  cmocka_unit_test(excel_serials_are_read),
        cmocka_unit_test(shelter_files_are_read),
    };
    return cmocka_run_group_tests_name("jdate", tests, NULL, NULL);
}
