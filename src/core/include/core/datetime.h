/*
 * datetime.h - calendar text and instants.
 *
 * Instants are microseconds since 1970-01-01T00:00:00Z (see clock.h). The city's zone is Japan
 * Standard Time, UTC+9 without daylight saving; eras follow the law (明治 from 1868-01-25 in the
 * Gregorian calendar as used in civil records, 大正 1912-07-30, 昭和 1926-12-25, 平成 1989-01-08,
 * 令和 2019-05-01).
 */
#ifndef CORE_DATETIME_H
#define CORE_DATETIME_H

#include "core/error.h"
#include "core/str.h"

enum { JST_OFFSET_S = 9 * 3600 };

struct civil {
    int year, month, day;      /* proleptic Gregorian, month 1..12, day 1..31 */
    int hour, minute, second;  /* 0..23, 0..59, 0..59 */
    int micro;                 /* 0..999999 */
};

bool civil_valid(const struct civil *c);
int64_t civil_to_instant(const struct civil *c, int offset_s); /* offset east of UTC */
struct civil civil_of(int64_t instant, int offset_s);
int civil_weekday(int year, int month, int day); /* 0 = Sunday */

/*
 * ISO 8601 / RFC 3339 date-time with 'T' and 'Z' or an offset, fraction of any length with '.' or
 * ',' (digits past the sixth are cut); seconds may be 60 (read as the next second's start).
 * A date-time without offset is refused.
 */
bool datetime_parse(struct str s, int64_t *instant);
bool date_parse(struct str s, struct civil *out); /* YYYY-MM-DD */
bool time_parse(struct str s, struct civil *out); /* hh:mm[:ss[.f]][Z], only the time is set */

/* "2026-11-23T05:00:00.123Z": milliseconds, or microseconds when they matter; 32 bytes suffice. */
enum { DATETIME_MAX = 32 };
size_t datetime_format(int64_t instant, char out[DATETIME_MAX]);
struct str datetime_text(struct arena *a, int64_t instant);
struct str datetime_text_jst(struct arena *a, int64_t instant); /* "2026-11-23T14:00:00+09:00" */

/* IMF-fixdate of RFC 9110 ("Mon, 23 Nov 2026 05:00:00 GMT"), both ways. */
size_t http_date_format(int64_t instant, char out[DATETIME_MAX]);
bool http_date_parse(struct str s, int64_t *instant);

/*
 * ISO 8601 duration ("P1Y2M3DT4H5M6.7S", "P2W"). Years and months stay apart because their length
 * depends on the calendar.
 */
struct duration {
    int months;
    int64_t us; /* days and less */
};
bool duration_parse(struct str s, struct duration *out);
int64_t duration_add(int64_t instant, const struct duration *d); /* in UTC; day clamped to month */

/*
 * Japanese dates as people type them in open data: 和暦 ("令和6年1月11日", "令和元年5月1日",
 * "R6.1.11", "S38/4/1"), Gregorian ("2024年1月11日", "2024/1/11", "2024-01-11", "20240111"),
 * full-width digits, optional time ("午後6時", "18:00", "午前10時30分", "18時", "時点" at the end is
 * skipped). Time-of-day defaults to 00:00. False when nothing reads as a date or rest remains.
 */
bool jdate_parse(struct str s, struct civil *out, bool *has_time);

/* "令和6年1月11日" ("元年" for the first year); before 明治 the Gregorian form. */
struct str wareki_format(struct arena *a, const struct civil *c);

/* An Excel serial date (1900 system, with its 1900-02-29) as a civil date; false outside 1..2958465. */
bool excel_serial_to_civil(double serial, struct civil *out);

#endif
