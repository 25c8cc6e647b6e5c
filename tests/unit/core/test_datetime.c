/* test_datetime.c - the calendar, ISO 8601 and HTTP dates, durations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/arena.h"
#include "core/clock.h"
#include "core/datetime.h"

#include <string.h>
#include <time.h>

#define ROWS(table) (sizeof(table) / sizeof(table)[0])

static int64_t instant_of(int y, int mo, int d, int h, int mi, int s, int us)
{
    struct civil c = {y, mo, d, h, mi, s, us};
    return civil_to_instant(&c, 0);
}

static void calendar_agrees_with_libc(void **state)
{
    (void)state;
    /* every day from 1600 to 2400, at a time of day that moves */
    for (int64_t day = -135140; day < 157054; day++) {
        int64_t s = day * 86400 + (day * 7919 % 86400 + 86400) % 86400;
        time_t t = (time_t)s;
        struct tm tm;
        assert_non_null(gmtime_r(&t, &tm));
        struct civil c = civil_of(s * SECOND_US + 5, 0);
        assert_int_equal(c.year, tm.tm_year + 1900);
        assert_int_equal(c.month, tm.tm_mon + 1);
        assert_int_equal(c.day, tm.tm_mday);
        assert_int_equal(c.hour, tm.tm_hour);
        assert_int_equal(c.minute, tm.tm_min);
        assert_int_equal(c.second, tm.tm_sec);
        assert_int_equal(c.micro, 5);
        assert_int_equal(civil_weekday(c.year, c.month, c.day), tm.tm_wday);
        assert_true(civil_valid(&c));
        assert_int_equal(civil_to_instant(&c, 0), s * SECOND_US + 5);
    }
}

static void offsets_move_the_clock(void **state)
{
    (void)state;
    int64_t t = instant_of(2026, 12, 31, 15, 0, 0, 0);
    struct civil c = civil_of(t, JST_OFFSET_S);
    assert_int_equal(c.year, 2027);
    assert_int_equal(c.month, 1);
    assert_int_equal(c.day, 1);
    assert_int_equal(c.hour, 0);
    assert_int_equal(civil_to_instant(&c, JST_OFFSET_S), t);
}

static void impossible_dates_are_refused(void **state)
{
    (void)state;
    static const struct civil bad[] = {
        {2026, 2, 29, 0, 0, 0, 0}, {1900, 2, 29, 0, 0, 0, 0}, {2026, 13, 1, 0, 0, 0, 0},
        {2026, 0, 1, 0, 0, 0, 0},  {2026, 4, 31, 0, 0, 0, 0}, {2026, 4, 0, 0, 0, 0, 0},
        {2026, 1, 1, 24, 0, 0, 0}, {2026, 1, 1, 0, 60, 0, 0}, {2026, 1, 1, 0, 0, 60, 0},
        {-1, 1, 1, 0, 0, 0, 0},    {10000, 1, 1, 0, 0, 0, 0}, {2026, 1, 1, 0, 0, 0, 1000000},
        {2026, 1, 1, -1, 0, 0, 0}, {2026, 1, 1, 0, 0, 0, -1},
    };
    for (size_t i = 0; i < ROWS(bad); i++) {
        assert_false(civil_valid(&bad[i]));
    }
    struct civil leap = {2000, 2, 29, 23, 59, 59, 999999};
    assert_true(civil_valid(&leap));
}

static void extreme_instants_survive(void **state)
{
    (void)state;
    char text[DATETIME_MAX];
    static const int64_t ends[] = {INT64_MIN, INT64_MAX, 0, -1};
    for (size_t i = 0; i < ROWS(ends); i++) {
        struct civil c = civil_of(ends[i], 0);
        assert_int_equal(civil_to_instant(&c, 0), ends[i]);
        size_t n = datetime_format(ends[i], text);
        assert_int_equal(n, strlen(text));
        assert_true(http_date_format(ends[i], text) < DATETIME_MAX);
    }
    datetime_format(INT64_MAX, text);
    assert_string_equal(text, "+294247-01-10T04:00:54.775807Z");
    datetime_format(INT64_MIN, text);
    assert_string_equal(text, "-290308-12-21T19:59:05.224192Z");
    struct civil far = {2000000, 1, 1, 0, 0, 0, 0};
    assert_int_equal(civil_to_instant(&far, 0), INT64_MAX);
    far.year = -2000000;
    assert_int_equal(civil_to_instant(&far, 0), INT64_MIN);
}

static void datetimes_are_read(void **state)
{
    (void)state;
    const int64_t t = instant_of(2026, 11, 23, 5, 0, 0, 0);
    static const struct {
        const char *text;
        int64_t plus;
    } good[] = {
        {"2026-11-23T05:00:00Z", 0},
        {"2026-11-23T14:00:00+09:00", 0},
        {"2026-11-23T14:00:00+0900", 0},
        {"2026-11-23T14:00:00+09", 0},
        {"2026-11-22T23:30:00-05:30", 0},
        {"2026-11-23T05:00Z", 0},
        {"2026-11-23T05:00:00-00:00", 0},
        {"2026-11-23T05:00:00.5Z", 500000},
        {"2026-11-23T05:00:00,25Z", 250000},
        {"2026-11-23T05:00:00.123456Z", 123456},
        {"2026-11-23T05:00:00.123456999999999999999999999999Z", 123456},
        {"2026-11-23T04:59:60Z", 0},
        {"2026-11-23T04:59:60.9Z", 0},
    };
    for (size_t i = 0; i < ROWS(good); i++) {
        int64_t got = -1;
        assert_true(datetime_parse(str_c(good[i].text), &got));
        assert_int_equal(got, t + good[i].plus);
    }
    static const char *const bad[] = {
        "",
        "2026-11-23",
        "2026-11-23T05:00:00",
        "2026-11-23 05:00:00Z",
        "2026-11-23t05:00:00z",
        "2026-11-23T05:00:00z",
        "2026-11-23T24:00:00Z",
        "2026-11-23T05:60:00Z",
        "2026-11-23T05:00:61Z",
        "2026-02-30T05:00:00Z",
        "2026-11-23T05:00:00.Z",
        "2026-11-23T05:00:00ZZ",
        "2026-11-23T05:00:00Z ",
        " 2026-11-23T05:00:00Z",
        "2026-11-23T05:00:00+24:00",
        "2026-11-23T05:00:00+09:60",
        "2026-11-23T05:00:00+9:00",
        "2026-11-23T05:00:00+09:",
        "2026-11-23T5:00:00Z",
        "26-11-23T05:00:00Z",
        "+2026-11-23T05:00:00Z",
        "2026-1-23T05:00:00Z",
        "2026-11-23T05:00:00\xef\xbc\xb9",
        "２０２６-11-23T05:00:00Z",
    };
    for (size_t i = 0; i < ROWS(bad); i++) {
        int64_t got = 7;
        if (datetime_parse(str_c(bad[i]), &got)) {
            fail_msg("read: %s", bad[i]);
        }
        assert_int_equal(got, 7);
    }
    int64_t got;
    assert_false(datetime_parse(str_n("2026-11-23T05:00:00Z", 19), &got)); /* not past the slice */
    assert_false(datetime_parse(STR_NONE, &got));
}

static void dates_and_times_are_read(void **state)
{
    (void)state;
    struct civil c = {1, 2, 3, 4, 5, 6, 7};
    assert_true(date_parse(S("2024-02-29"), &c));
    assert_int_equal(c.year, 2024);
    assert_int_equal(c.day, 29);
    assert_int_equal(c.hour, 0);
    assert_false(date_parse(S("2023-02-29"), &c));
    assert_false(date_parse(S("2024-02-29Z"), &c));
    assert_false(date_parse(S("20240229"), &c));
    assert_true(time_parse(S("18:05:09.25Z"), &c));
    assert_int_equal(c.year, 2024); /* only the time is set */
    assert_int_equal(c.hour, 18);
    assert_int_equal(c.minute, 5);
    assert_int_equal(c.second, 9);
    assert_int_equal(c.micro, 250000);
    assert_true(time_parse(S("07:30"), &c));
    assert_int_equal(c.second, 0);
    assert_false(time_parse(S("24:00"), &c));
    assert_false(time_parse(S("7:30"), &c));
    assert_false(time_parse(S("07:30+09:00"), &c));
    assert_false(time_parse(S(""), &c));
}

static void datetimes_are_written(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    char text[DATETIME_MAX];
    int64_t t = instant_of(2026, 11, 23, 5, 0, 0, 123000);
    assert_int_equal(datetime_format(t, text), 24);
    assert_string_equal(text, "2026-11-23T05:00:00.123Z");
    datetime_format(t + 1, text);
    assert_string_equal(text, "2026-11-23T05:00:00.123001Z");
    datetime_format(-1, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999999Z");
    assert_true(str_eq(datetime_text(&a, 0), S("1970-01-01T00:00:00.000Z")));
    assert_true(str_eq(datetime_text_jst(&a, t - 123000), S("2026-11-23T14:00:00+09:00")));
    assert_true(str_eq(datetime_text_jst(&a, t), S("2026-11-23T14:00:00.123+09:00")));
    for (int64_t i = 0, v = 1; i < 10000; i++) { /* what is written is read back */
        int64_t got;
        v = (int64_t)((uint64_t)v * 6364136223846793005u + 1442695040888963407u);
        int64_t in = v % (INT64_C(250000000000000000)); /* within the years 0..9999 */
        in = in < -INT64_C(60000000000000000) ? -in : in;
        size_t n = datetime_format(in, text);
        assert_true(datetime_parse(str_n(text, n), &got));
        assert_int_equal(got, in);
        assert_true(datetime_parse(datetime_text_jst(&a, in), &got));
        assert_int_equal(got, in);
        arena_reset(&a);
    }
    arena_release(&a);
}

static void http_dates_go_both_ways(void **state)
{
    (void)state;
    char text[DATETIME_MAX];
    int64_t t = instant_of(2026, 11, 23, 5, 0, 0, 0), got;
    assert_int_equal(http_date_format(t, text), 29);
    assert_string_equal(text, "Mon, 23 Nov 2026 05:00:00 GMT");
    assert_true(http_date_parse(str_c(text), &got));
    assert_int_equal(got, t);
    assert_true(http_date_parse(S("Sun, 06 Nov 1994 08:49:37 GMT"), &got));
    assert_int_equal(got, instant_of(1994, 11, 6, 8, 49, 37, 0));
    static const char *const bad[] = {
        "",
        "Tue, 23 Nov 2026 05:00:00 GMT", /* it was a Monday */
        "Mon, 23 Nov 2026 05:00:00 UTC",
        "Mon, 23 Nov 2026 05:00:00 GMT ",
        "Mon, 23 Nov 2026 05:00:00",
        "mon, 23 nov 2026 05:00:00 GMT",
        "Mon, 3 Nov 2026 05:00:00 GMT",
        "Mon, 23 Foo 2026 05:00:00 GMT",
        "Mon, 31 Nov 2026 05:00:00 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Mon, 23 Nov 2026 25:00:00 GMT",
    };
    for (size_t i = 0; i < ROWS(bad); i++) {
        if (http_date_parse(str_c(bad[i]), &got)) {
            fail_msg("read: %s", bad[i]);
        }
    }
}

static void durations_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int months;
        int64_t us;
    } good[] = {
        {"P1Y2M3DT4H5M6.7S", 14, 3 * DAY_US + 4 * HOUR_US + 5 * MINUTE_US + 6700000},
        {"P2W", 0, 14 * DAY_US},
        {"PT5M", 0, 5 * MINUTE_US},
        {"P5M", 5, 0},
        {"PT0S", 0, 0},
        {"P0D", 0, 0},
        {"PT1.5H", 0, 90 * MINUTE_US},
        {"P0,5D", 0, 12 * HOUR_US},
        {"PT36H", 0, 36 * HOUR_US},
        {"PT0.0000019S", 0, 1},
        {"P10000Y", 120000, 0},
    };
    for (size_t i = 0; i < ROWS(good); i++) {
        struct duration d = {-1, -1};
        if (!duration_parse(str_c(good[i].text), &d)) {
            fail_msg("not read: %s", good[i].text);
        }
        assert_int_equal(d.months, good[i].months);
        assert_int_equal(d.us, good[i].us);
    }
    static const char *const bad[] = {
        "",
        "P",
        "PT",
        "P1",
        "1D",
        "P1DT",
        "PT1D",
        "P1H",
        "P1D1Y",
        "PT1S1M",
        "P1D2D",
        "-P1D",
        "P-1D",
        "P1.5Y",
        "P0.5M",
        "P1.D",
        "P.5D",
        "P1.5DT1H",
        "p1d",
        "P1D ",
        "PT1H T1M",
        "P10001Y",
        "P9999999999999W",
        "PT99999999999999999999S",
        "P9999Y9999M",
        "PTT1S",
    };
    for (size_t i = 0; i < ROWS(bad); i++) {
        struct duration d;
        if (duration_parse(str_c(bad[i]), &d)) {
            fail_msg("read: %s", bad[i]);
        }
    }
}

static void durations_are_added(void **state)
{
    (void)state;
    struct duration month = {1, 0}, day = {0, DAY_US}, back = {-1, 0}, year = {12, 0};
    assert_int_equal(duration_add(instant_of(2026, 1, 31, 9, 0, 0, 1), &month),
                     instant_of(2026, 2, 28, 9, 0, 0, 1));
    assert_int_equal(duration_add(instant_of(2026, 12, 15, 0, 0, 0, 0), &month),
                     instant_of(2027, 1, 15, 0, 0, 0, 0));
    assert_int_equal(duration_add(instant_of(2026, 1, 31, 0, 0, 0, 0), &back),
                     instant_of(2025, 12, 31, 0, 0, 0, 0));
    assert_int_equal(duration_add(instant_of(2024, 2, 29, 0, 0, 0, 0), &year),
                     instant_of(2025, 2, 28, 0, 0, 0, 0));
    assert_int_equal(duration_add(instant_of(2024, 2, 28, 0, 0, 0, 0), &day),
                     instant_of(2024, 2, 29, 0, 0, 0, 0));
    assert_int_equal(duration_add(INT64_MAX - 1, &day), INT64_MAX);
    assert_int_equal(duration_add(INT64_MAX - 1, &year), INT64_MAX);
    assert_int_equal(duration_add(INT64_MIN, &back), INT64_MIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calendar_agrees_with_libc),    cmocka_unit_test(offsets_move_the_clock),
        cmocka_unit_test(impossible_dates_are_refused), cmocka_unit_test(extreme_instants_survive),
        cmocka_unit_test(datetimes_are_read),           cmocka_unit_test(dates_and_times_are_read),
        cmocka_unit_test(datetimes_are_written),        cmocka_unit_test(http_dates_go_both_ways),
        cmocka_unit_test(durations_are_read),           cmocka_unit_test(durations_are_added),
    };
    return cmocka_run_group_tests_name("datetime", tests, NULL, NULL);
}
