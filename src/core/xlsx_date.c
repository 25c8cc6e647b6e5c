/* xlsx_date.c - Excel keeps dates as day numbers; only the number format tells that they are. */
#include "core/datetime.h"
#include "xlsx_impl.h"

#include <math.h>
#include <stdio.h>

/* Built-in formats (ECMA-376 Part 1, 18.8.30, with the ones of the Japanese edition). */
enum xlsx_format xlsx_builtin_format(uint64_t id)
{
    if (id == 46)
        return FORMAT_ELAPSED;
    bool date = (id >= 14 && id <= 22) || (id >= 27 && id <= 36) || id == 45 || id == 47 ||
                (id >= 50 && id <= 58);
    return date ? FORMAT_DATE : FORMAT_PLAIN;
}

/* What stands in brackets: "[h]" counts on past a day; "[Red]" and "[$-411]" say nothing. */
static bool counts_elapsed(struct str inside)
{
    for (size_t i = 0; i < inside.n; i++)
        if (str_find_char(S("hms"), (char)(inside.p[i] | 0x20)) < 0)
            return false;
    return inside.n > 0;
}

/* Offset behind the quoted or bracketed run at i, or behind the character that '\' '_' '*' take. */
static size_t skip_literal(struct str code, size_t i)
{
    char close = code.p[i] == '"' ? '"' : code.p[i] == '[' ? ']' : 0;
    if (!close)
        return i + 2;
    ptrdiff_t n = str_find_char(str_from(code, i + 1), close);
    return n < 0 ? code.n : i + 1 + (size_t)n + 1;
}

/* Only the first section counts: it is the one for positive numbers. */
enum xlsx_format xlsx_format_of_code(struct str code)
{
    enum xlsx_format format = FORMAT_PLAIN;
    for (size_t i = 0; i < code.n && code.p[i] != ';';) {
        char c = code.p[i];
        if (str_find_char(S("\"[\\_*"), c) >= 0) {
            size_t next = skip_literal(code, i);
            if (c == '[' && next >= i + 2 && counts_elapsed(str_sub(code, i + 1, next - i - 2)))
                return FORMAT_ELAPSED;
            i = next;
            continue;
        }
        if (str_find_char(S("ymdhs"), (char)(c | 0x20)) >= 0)
            format = FORMAT_DATE;
        i++;
    }
    return format;
}

static bool write_civil(const struct civil *c, bool date, bool time, char out[XLSX_DATE_MAX])
{
    char day[16] = "", clock[16] = "";
    if (date)
        snprintf(day, sizeof day, "%04u-%02u-%02u", (unsigned)c->year % 10000,
                 (unsigned)c->month % 100, (unsigned)c->day % 100);
    if (time)
        snprintf(clock, sizeof clock, "%02u:%02u:%02u", (unsigned)c->hour % 100,
                 (unsigned)c->minute % 100, (unsigned)c->second % 100);
    snprintf(out, XLSX_DATE_MAX, "%s%s%s", day, date && time ? "T" : "", clock);
    return true;
}

bool xlsx_date_text(struct str number, enum xlsx_format format, bool from_1904,
                    char out[XLSX_DATE_MAX])
{
    enum { DAY_S = 86400, LAST_DAY = 2958465, SHIFT_1904 = 1462 };
    double serial;
    if (!str_to_double(number, &serial) || !(serial >= 0) || serial > LAST_DAY + 1)
        return false;
    /* To the second: a fraction of a day such as 0.375 is rarely exact in binary. */
    double day = floor(serial);
    long second = lround((serial - day) * DAY_S);
    if (second == DAY_S) {
        day += 1;
        second = 0;
    }
    if (format == FORMAT_ELAPSED && day >= 1)
        return false;
    struct civil c = {.year = 0};
    bool date = day >= 1;
    if (date && !excel_serial_to_civil(from_1904 ? day + SHIFT_1904 : day, &c))
        return false;
    c.hour = (int)(second / 3600);
    c.minute = (int)(second / 60 % 60);
    c.second = (int)(second % 60);
    return write_civil(&c, date, !date || second > 0, out);
}

bool xlsx_iso_text(struct str iso, char out[XLSX_DATE_MAX])
{
    struct civil c = {.year = 0}, t = {.year = 0};
    ptrdiff_t at = str_find_char(iso, 'T');
    bool date = at >= 0 || str_find_char(iso, ':') < 0;
    bool time = at >= 0 || !date;
    struct str day = at >= 0 ? str_sub(iso, 0, (size_t)at) : iso;
    struct str clock = at >= 0 ? str_from(iso, (size_t)at + 1) : iso;
    if (date && !date_parse(day, &c))
        return false;
    if (time && !time_parse(clock, &t))
        return false;
    c.hour = t.hour;
    c.minute = t.minute;
    c.second = t.second;
    bool midnight = !t.hour && !t.minute && !t.second;
    return write_civil(&c, date, time && !(date && midnight), out);
}
