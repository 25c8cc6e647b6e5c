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
    int year, month, day;     /* proleptic Gregorian, month 1..12, day 1..31 */
    int hour, minute, second; /* 0..23, 0..59, 0..59 */
    int micro;                /* 0..999999 */
};

bool civil_valid(const struct civil *c); /* years 0..9999 */
/* The offset is east of UTC. A year too far for an instant gives INT64_MIN or INT64_MAX. */
int64_t civil_to_instant(const struct civil *c, int offset_s);
struct civil civil_of(int64_t instant, int offset_s);
int civil_weekday(int year, int month, int day); /* 0 = Sunday */

/*
 * ISO 8601 / RFC 3339 date-time with 'T' and 'Z' or an offset, fraction of any length with '.' or
 * ',' (digits past the sixth are cut); seconds may be missing, or 60 (read as the next second's
 * start). The offset is "Z", "+09:00", "+0900" or "+09"; a date-time without one is refused, and so
 * are small letters and 24:00.
 */
bool datetime_parse(struct str s, int64_t *instant);
bool datetime_parse_utc(struct str s, int64_t *instant); /* with 'Z' only: NGSI-LD, 4.6.3 */
bool date_parse(struct str s, struct civil *out);        /* YYYY-MM-DD */
bool time_parse(struct str s, struct civil *out); /* hh:mm[:ss[.f]][Z], only the time is set */

/*
 * "2026-11-23T05:00:00.123Z": milliseconds, or microseconds when they matter; 32 bytes suffice for
 * every instant. In Japan's time the fraction is left out when it is zero. The formatters
 * NUL-terminate and give the length.
 */
enum { DATETIME_MAX = 32 };
size_t datetime_format(int64_t instant, char out[DATETIME_MAX]);
struct str datetime_text(struct arena *a, int64_t instant);
struct str datetime_text_jst(struct arena *a, int64_t instant); /* "2026-11-23T14:00:00+09:00" */

/*
 * IMF-fixdate of RFC 9110 section 5.6.7 ("Mon, 23 Nov 2026 05:00:00 GMT"), both ways. A weekday
 * that does not belong to the date is refused. Instants of the years 0..9999 only.
 */
size_t http_date_format(int64_t instant, char out[DATETIME_MAX]);
bool http_date_parse(struct str s, int64_t *instant);

/*
 * ISO 8601 duration ("P1Y2M3DT4H5M6.7S", "P2W"). Years and months stay apart because their length
 * depends on the calendar. The last part may have a fraction, unless it is years or months; at most
 * 10,000 years, no sign.
 */
struct duration {
    int months;
    int64_t us; /* days and less */
};
bool duration_parse(struct str s, struct duration *out);
/* In UTC; the day is clamped to the month (31 January + P1M is the last of February); saturates. */
int64_t duration_add(int64_t instant, const struct duration *d);

/*
 * Japanese dates as people type them in open data:
 *
 * - the date in 和暦: "令和6年1月11日", "令和元年5月1日", "令6.1.11", "R6.1.11", "S38/4/1",
 *   "㋿6年1月11日"
 * - or Gregorian: "2024年1月11日", "西暦2024年1月11日", "2024/1/11", "2024-01-11", "20240111"
 * - perhaps the day of the week in brackets, which must be right: "(木)", "（木曜日）"
 * - perhaps the time, else it is 00:00: "午後6時", "午前10時30分", "18時", "6時半", "正午",
 *   "18:00", "18:00:30"; "24時" is the next day's 0:00
 * - perhaps "時点" or "現在" at the end
 *
 * Full-width digits and signs are read as half-width, blanks between the parts are skipped. An era
 * may run on past its end ("平成32年3月31日" in a plan of 2017) but not before its first day.
 * False when nothing reads as a date, the date does not exist or rest remains; also for what has
 * two readings: 午前12時 and 午後12時, two-digit Gregorian years, dates that end in the year.
 * has_time may be NULL.
 */
bool jdate_parse(struct str s, struct civil *out, bool *has_time);

/* "令和6年1月11日" ("元年" for the first year); before 明治 the Gregorian form. */
struct str wareki_format(struct arena *a, const struct civil *c);

/*
 * An Excel serial date of the 1900 system, the fraction being the time of day to the nearest
 * millisecond. False outside 1..2958465 (9999-12-31) and for 60, its 1900-02-29 that never was.
 */
bool excel_serial_to_civil(double serial, struct civil *out);

#endif
