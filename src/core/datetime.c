/* datetime.c - the calendar, and ISO 8601, RFC 3339 and HTTP texts of it. */
#include "core/datetime.h"

#include "core/arena.h"
#include "core/clock.h"

#include <stdio.h>
#include <string.h>

/* --- the calendar --- */

static bool is_leap(int year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int month_days(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

static int64_t floor_div(int64_t n, int64_t d)
{
    return n / d - (n % d < 0);
}

/*
 * Days since 1970-01-01. Counting years from 1 March puts the leap day last, so that the days
 * before a month are (153 * m + 2) / 5 for m = 0 (March) to 11 (February).
 */
static int64_t days_of(int year, int month, int day)
{
    int64_t y = month > 2 ? year : (int64_t)year - 1;
    int64_t m = month > 2 ? month - 3 : month + 9;
    int64_t of_year = (153 * m + 2) / 5 + day - 1;
    return y * 365 + floor_div(y, 4) - floor_div(y, 100) + floor_div(y, 400) + of_year - 719468;
}

static void date_of_days(int64_t days, struct civil *c)
{
    int64_t z = days + 719468; /* since 0000-03-01 */
    int64_t era = floor_div(z, 146097);
    int64_t of_era = z - era * 146097;
    int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * y + y / 4 - y / 100);
    int64_t m = (5 * of_year + 2) / 153;
    c->day = (int)(of_year - (153 * m + 2) / 5 + 1);
    c->month = (int)(m < 10 ? m + 3 : m - 9);
    c->year = (int)(y + era * 400 + (m >= 10));
}

bool civil_valid(const struct civil *c)
{
    return c->year >= 0 && c->year <= 9999 && c->month >= 1 && c->month <= 12 && c->day >= 1 &&
           c->day <= month_days(c->year, c->month) && c->hour >= 0 && c->hour <= 23 &&
           c->minute >= 0 && c->minute <= 59 && c->second >= 0 && c->second <= 59 &&
           c->micro >= 0 && c->micro <= 999999;
}

static int64_t add_saturated(int64_t a, int64_t b)
{
    int64_t sum;
    if (__builtin_add_overflow(a, b, &sum)) {
        return b < 0 ? INT64_MIN : INT64_MAX;
    }
    return sum;
}

int64_t civil_to_instant(const struct civil *c, int offset_s)
{
    int64_t s = days_of(c->year, c->month, c->day) * 86400 + c->hour * 3600 + c->minute * 60 +
                c->second - offset_s;
    int64_t us, part = c->micro;
    if (s < 0) { /* towards zero, so that the first instant of all is still reached */
        s++;
        part -= SECOND_US;
    }
    if (__builtin_mul_overflow(s, SECOND_US, &us)) {
        return s < 0 ? INT64_MIN : INT64_MAX;
    }
    return add_saturated(us, part);
}

struct civil civil_of(int64_t instant, int offset_s)
{
    struct civil c = {0};
    int64_t s = floor_div(instant, SECOND_US);
    c.micro = (int)((instant % SECOND_US + SECOND_US) % SECOND_US);
    s += offset_s;
    int64_t days = floor_div(s, 86400);
    int of_day = (int)(s - days * 86400);
    date_of_days(days, &c);
    c.hour = of_day / 3600;
    c.minute = of_day / 60 % 60;
    c.second = of_day % 60;
    return c;
}

int civil_weekday(int year, int month, int day)
{
    int64_t d = days_of(year, month, day) + 4; /* the epoch was a Thursday */
    return (int)(d - floor_div(d, 7) * 7);
}

/* --- reading --- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool take_char(struct str *s, char c)
{
    if (s->n == 0 || s->p[0] != c) {
        return false;
    }
    *s = str_from(*s, 1);
    return true;
}

static bool take_lit(struct str *s, struct str lit)
{
    if (!str_starts(*s, lit)) {
        return false;
    }
    *s = str_from(*s, lit.n);
    return true;
}

/* Exactly n digits. */
static bool take_digits(struct str *s, size_t n, int *out)
{
    int v = 0;
    if (s->n < n) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (!is_digit(s->p[i])) {
            return false;
        }
        v = v * 10 + (s->p[i] - '0');
    }
    *s = str_from(*s, n);
    *out = v;
    return true;
}

/* An optional fraction as millionths; false when a mark has no digit after it. */
static bool take_fraction(struct str *s, int *millionths)
{
    int v = 0;
    size_t n = 0;
    if (!take_char(s, '.') && !take_char(s, ',')) {
        return true;
    }
    for (; n < s->n && is_digit(s->p[n]); n++) {
        if (n < 6) {
            v = v * 10 + (s->p[n] - '0');
        }
    }
    for (size_t i = n; i < 6; i++) {
        v *= 10;
    }
    *s = str_from(*s, n);
    *millionths = v;
    return n > 0;
}

static bool take_date(struct str *s, struct civil *c)
{
    return take_digits(s, 4, &c->year) && take_char(s, '-') && take_digits(s, 2, &c->month) &&
           take_char(s, '-') && take_digits(s, 2, &c->day);
}

/* hh:mm[:ss[.f]]; a second of 60 is left for the caller to judge. */
static bool take_time(struct str *s, struct civil *c)
{
    if (!take_digits(s, 2, &c->hour) || !take_char(s, ':') || !take_digits(s, 2, &c->minute)) {
        return false;
    }
    if (!take_char(s, ':')) {
        return true;
    }
    return take_digits(s, 2, &c->second) && take_fraction(s, &c->micro);
}

/* 'Z', "+09:00", "+0900" or "+09". */
static bool take_offset(struct str *s, int *offset_s)
{
    int hour, minute = 0;
    if (take_char(s, 'Z')) {
        *offset_s = 0;
        return true;
    }
    bool west = take_char(s, '-');
    if ((!west && !take_char(s, '+')) || !take_digits(s, 2, &hour)) {
        return false;
    }
    bool colon = take_char(s, ':');
    if ((colon || s->n > 0) && !take_digits(s, 2, &minute)) {
        return false;
    }
    if (hour > 23 || minute > 59) {
        return false;
    }
    *offset_s = (west ? -1 : 1) * (hour * 3600 + minute * 60);
    return true;
}

bool datetime_parse(struct str s, int64_t *instant)
{
    struct civil c = {0};
    int offset_s = 0;
    if (!take_date(&s, &c) || !take_char(&s, 'T') || !take_time(&s, &c) ||
        !take_offset(&s, &offset_s) || s.n > 0) {
        return false;
    }
    bool leap = c.second == 60;
    if (leap) {
        c.second = 59;
        c.micro = 0;
    }
    if (!civil_valid(&c)) {
        return false;
    }
    *instant = civil_to_instant(&c, offset_s) + (leap ? SECOND_US : 0);
    return true;
}

bool datetime_parse_utc(struct str s, int64_t *instant)
{
    return str_ends(s, S("Z")) && datetime_parse(s, instant);
}

bool date_parse(struct str s, struct civil *out)
{
    struct civil c = {0};
    if (!take_date(&s, &c) || s.n > 0 || !civil_valid(&c)) {
        return false;
    }
    *out = c;
    return true;
}

bool time_parse(struct str s, struct civil *out)
{
    struct civil c = {.year = 1970, .month = 1, .day = 1};
    if (!take_time(&s, &c)) {
        return false;
    }
    take_char(&s, 'Z');
    if (s.n > 0 || !civil_valid(&c)) {
        return false;
    }
    out->hour = c.hour;
    out->minute = c.minute;
    out->second = c.second;
    out->micro = c.micro;
    return true;
}

/* --- writing --- */

/* Date and time without zone; years outside 0..9999 carry a sign, as ISO 8601 asks. */
static size_t format_civil(const struct civil *c, char out[DATETIME_MAX])
{
    int year_n = c->year < 0 || c->year > 9999 ? snprintf(out, DATETIME_MAX, "%+05d", c->year)
                                               : snprintf(out, DATETIME_MAX, "%04d", c->year);
    size_t n = (size_t)year_n;
    n += (size_t)snprintf(out + n, DATETIME_MAX - n, "-%02d-%02dT%02d:%02d:%02d", c->month, c->day,
                          c->hour, c->minute, c->second);
    return n;
}

/* Milliseconds when they say it all, else microseconds; nothing for a whole second. */
static size_t format_fraction(const struct civil *c, char *out, size_t room, bool always)
{
    if (c->micro % 1000 != 0) {
        return (size_t)snprintf(out, room, ".%06d", c->micro);
    }
    if (c->micro != 0 || always) {
        return (size_t)snprintf(out, room, ".%03d", c->micro / 1000);
    }
    return 0;
}

size_t datetime_format(int64_t instant, char out[DATETIME_MAX])
{
    struct civil c = civil_of(instant, 0);
    size_t n = format_civil(&c, out);
    n += format_fraction(&c, out + n, DATETIME_MAX - n, true);
    out[n++] = 'Z';
    out[n] = '\0';
    return n;
}

struct str datetime_text(struct arena *a, int64_t instant)
{
    char text[DATETIME_MAX];
    size_t n = datetime_format(instant, text);
    return str_dup(a, str_n(text, n));
}

struct str datetime_text_jst(struct arena *a, int64_t instant)
{
    char text[DATETIME_MAX];
    struct civil c = civil_of(instant, JST_OFFSET_S);
    size_t n = format_civil(&c, text);
    n += format_fraction(&c, text + n, DATETIME_MAX - n, false);
    return str_concat(a, str_n(text, n), S("+09:00"));
}

/* --- HTTP --- */

static const char day_names[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char month_names[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

size_t http_date_format(int64_t instant, char out[DATETIME_MAX])
{
    struct civil c = civil_of(instant, 0);
    int n = snprintf(out, DATETIME_MAX, "%s, %02d %s %04d %02d:%02d:%02d GMT",
                     day_names[civil_weekday(c.year, c.month, c.day)], c.day,
                     month_names[c.month - 1], c.year, c.hour, c.minute, c.second);
    return n < DATETIME_MAX ? (size_t)n : DATETIME_MAX - 1;
}

/* The index of the name that s starts with, or -1. */
static int take_name(struct str *s, const char names[][4], int n)
{
    for (int i = 0; i < n; i++) {
        if (take_lit(s, str_c(names[i]))) {
            return i;
        }
    }
    return -1;
}

bool http_date_parse(struct str s, int64_t *instant)
{
    struct civil c = {0};
    int weekday = take_name(&s, day_names, 7);
    if (weekday < 0 || !take_lit(&s, S(", ")) || !take_digits(&s, 2, &c.day) ||
        !take_char(&s, ' ')) {
        return false;
    }
    c.month = take_name(&s, month_names, 12) + 1;
    if (!take_char(&s, ' ') || !take_digits(&s, 4, &c.year) || !take_char(&s, ' ') ||
        !take_digits(&s, 2, &c.hour) || !take_char(&s, ':') || !take_digits(&s, 2, &c.minute) ||
        !take_char(&s, ':') || !take_digits(&s, 2, &c.second) || !str_eq(s, S(" GMT"))) {
        return false;
    }
    bool leap = c.second == 60;
    c.second -= leap;
    if (!civil_valid(&c) || civil_weekday(c.year, c.month, c.day) != weekday) {
        return false;
    }
    *instant = civil_to_instant(&c, 0) + (leap ? SECOND_US : 0);
    return true;
}

/* --- durations --- */

enum { MONTHS_MAX = 12 * 10000 }; /* more than the years that a date can hold */

/* Designators in the order in which they may come; T stands between D and H. */
static const struct {
    char letter;
    bool in_time;
    int months;   /* when it counts in months */
    int64_t unit; /* else microseconds */
} duration_units[] = {
    {'Y', false, 12, 0},       {'M', false, 1, 0},      {'W', false, 0, 7 * DAY_US},
    {'D', false, 0, DAY_US},   {'H', true, 0, HOUR_US}, {'M', true, 0, MINUTE_US},
    {'S', true, 0, SECOND_US},
};
enum { DURATION_UNITS = sizeof duration_units / sizeof duration_units[0] };

/* A whole number and its fraction; *has_fraction when a mark was there. */
static bool take_quantity(struct str *s, int64_t *whole, int *millionths, bool *has_fraction)
{
    size_t n = 0;
    while (n < s->n && is_digit(s->p[n])) {
        n++;
    }
    if (n == 0 || !str_to_i64(str_n(s->p, n), whole)) {
        return false;
    }
    *s = str_from(*s, n);
    *has_fraction = s->n > 0 && (s->p[0] == '.' || s->p[0] == ',');
    *millionths = 0;
    return take_fraction(s, millionths);
}

/* The unit of the designator at the head of s, not before *next; false when out of order. */
static bool take_unit(struct str *s, bool in_time, size_t *next, size_t *unit)
{
    for (size_t i = *next; i < DURATION_UNITS; i++) {
        if (duration_units[i].in_time == in_time && take_char(s, duration_units[i].letter)) {
            *unit = i;
            *next = i + 1;
            return true;
        }
    }
    return false;
}

static bool duration_part(struct duration *d, size_t unit, int64_t whole, int millionths,
                          bool has_fraction)
{
    int64_t part;
    if (duration_units[unit].months) {
        if (has_fraction || whole > MONTHS_MAX) {
            return false;
        }
        int64_t months = d->months + whole * duration_units[unit].months;
        d->months = months <= MONTHS_MAX ? (int)months : -1;
        return d->months >= 0;
    }
    int64_t scale = duration_units[unit].unit;
    return !__builtin_mul_overflow(whole, scale, &part) &&
           !__builtin_add_overflow(part, scale * millionths / 1000000, &part) &&
           !__builtin_add_overflow(d->us, part, &d->us);
}

bool duration_parse(struct str s, struct duration *out)
{
    struct duration d = {0, 0};
    size_t next = 0, unit;
    bool in_time = false, has_fraction = false;
    int64_t whole;
    int millionths;
    if (!take_char(&s, 'P') || s.n == 0) {
        return false;
    }
    while (s.n > 0) {
        if (!in_time && take_char(&s, 'T')) {
            in_time = true;
        }
        /* only the last part may have a fraction */
        if (has_fraction || !take_quantity(&s, &whole, &millionths, &has_fraction) ||
            !take_unit(&s, in_time, &next, &unit) ||
            !duration_part(&d, unit, whole, millionths, has_fraction)) {
            return false;
        }
    }
    *out = d;
    return true;
}

int64_t duration_add(int64_t instant, const struct duration *d)
{
    if (d->months != 0) {
        struct civil c = civil_of(instant, 0);
        int64_t months = (int64_t)c.year * 12 + (c.month - 1) + d->months;
        int64_t year = floor_div(months, 12);
        c.year = (int)year;
        c.month = (int)(months - year * 12) + 1;
        if (c.day > month_days(c.year, c.month)) {
            c.day = month_days(c.year, c.month);
        }
        instant = civil_to_instant(&c, 0);
    }
    return add_saturated(instant, d->us);
}
