/* jdate.c - dates as they are typed in Japan: eras, full-width digits, words for the time. */
#include "core/clock.h"
#include "core/datetime.h"

#include <math.h>
#include <string.h>

/* --- eras --- */

struct era {
    struct str name, kanji; /* 令和, 令 */
    char letter;            /* R */
    uint32_t ligature;      /* the one-character form of Unicode */
    int year, month, day;   /* first day, Gregorian */
};

static const struct era eras[] = {
    {S_INIT("令和"), S_INIT("令"), 'R', 0x32FF, 2019, 5, 1},
    {S_INIT("平成"), S_INIT("平"), 'H', 0x337B, 1989, 1, 8},
    {S_INIT("昭和"), S_INIT("昭"), 'S', 0x337C, 1926, 12, 25},
    {S_INIT("大正"), S_INIT("大"), 'T', 0x337D, 1912, 7, 30},
    {S_INIT("明治"), S_INIT("明"), 'M', 0x337E, 1868, 1, 25},
};
enum { ERAS = sizeof eras / sizeof eras[0] };

static bool is_before_era(const struct civil *c, const struct era *era)
{
    int date = (c->year * 100 + c->month) * 100 + c->day;
    return date < (era->year * 100 + era->month) * 100 + era->day;
}

/* --- a cursor over folded text --- */

enum { TEXT_MAX = 160 }; /* bytes; a longer text is no date */

struct scan {
    char text[TEXT_MAX];
    struct str rest; /* of text */
};

/* Full-width forms to ASCII, the blanks, dashes, dots and waves of Japanese text likewise. */
static uint32_t fold(uint32_t c)
{
    if (c >= 0xFF01 && c <= 0xFF5E) {
        return c - 0xFF01 + '!';
    }
    switch (c) {
    case 0x3000: /* ideographic blank */
    case 0x00A0: /* no-break blank */
    case '\t':
        return ' ';
    case 0x2010: /* hyphens, dashes, minus, and the long vowel mark typed in their place */
    case 0x2011:
    case 0x2012:
    case 0x2013:
    case 0x2014:
    case 0x2015:
    case 0x2212:
    case 0x30FC:
        return '-';
    case 0x30FB: /* middle dots */
    case 0xFF65:
        return '.';
    default:
        return c;
    }
}

static bool scan_init(struct scan *sc, struct str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n;) {
        char utf8[4];
        size_t k = str_utf8_put(fold(str_utf8_next(s, &i)), utf8);
        if (n + k > TEXT_MAX) {
            return false;
        }
        memcpy(sc->text + n, utf8, k);
        n += k;
    }
    sc->rest = str_n(sc->text, n);
    return true;
}

static void skip_blanks(struct scan *sc)
{
    while (sc->rest.n > 0 && sc->rest.p[0] == ' ') {
        sc->rest = str_from(sc->rest, 1);
    }
}

static bool take(struct scan *sc, struct str word)
{
    skip_blanks(sc);
    if (!str_starts(sc->rest, word)) {
        return false;
    }
    sc->rest = str_from(sc->rest, word.n);
    return true;
}

static bool at_number(struct scan *sc)
{
    skip_blanks(sc);
    return sc->rest.n > 0 && sc->rest.p[0] >= '0' && sc->rest.p[0] <= '9';
}

/* The digits at the cursor, at least min and at most max; more digits are a failure. */
static bool take_number(struct scan *sc, size_t min, size_t max, int *out)
{
    size_t n = 0;
    int v = 0;
    skip_blanks(sc);
    for (; n < sc->rest.n && sc->rest.p[n] >= '0' && sc->rest.p[n] <= '9'; n++) {
        if (n == max) {
            return false;
        }
        v = v * 10 + (sc->rest.p[n] - '0');
    }
    if (n < min) {
        return false;
    }
    sc->rest = str_from(sc->rest, n);
    *out = v;
    return true;
}

/* --- the parts of a date --- */

static const struct era *take_era(struct scan *sc)
{
    skip_blanks(sc);
    for (size_t i = 0; i < ERAS; i++) {
        char ligature[4];
        size_t n = str_utf8_put(eras[i].ligature, ligature);
        if (take(sc, eras[i].name) || take(sc, eras[i].kanji) || take(sc, str_n(ligature, n))) {
            return &eras[i];
        }
        if (sc->rest.n > 0 && (sc->rest.p[0] & ~0x20) == eras[i].letter) {
            sc->rest = str_from(sc->rest, 1);
            return &eras[i];
        }
    }
    return NULL;
}

/* 年...月...日 or one of the signs / . - twice. */
static bool take_month_day(struct scan *sc, struct civil *c)
{
    static const struct str signs[] = {S_INIT("/"), S_INIT("."), S_INIT("-")};
    if (take(sc, S("年"))) {
        return take_number(sc, 1, 2, &c->month) && take(sc, S("月")) &&
               take_number(sc, 1, 2, &c->day) && take(sc, S("日"));
    }
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) {
        if (take(sc, signs[i])) {
            return take_number(sc, 1, 2, &c->month) && take(sc, signs[i]) &&
                   take_number(sc, 1, 2, &c->day);
        }
    }
    return false;
}

static bool take_era_date(struct scan *sc, const struct era *era, struct civil *c)
{
    int year = 1;
    if (!take(sc, S("元")) && (!take_number(sc, 1, 2, &year) || year == 0)) {
        return false;
    }
    c->year = era->year + year - 1;
    return take_month_day(sc, c) && civil_valid(c) && !is_before_era(c, era);
}

static bool take_gregorian_date(struct scan *sc, struct civil *c)
{
    struct str start = sc->rest;
    int packed;
    if (take_number(sc, 8, 8, &packed)) {
        c->year = packed / 10000;
        c->month = packed / 100 % 100;
        c->day = packed % 100;
        return civil_valid(c);
    }
    sc->rest = start;
    return take_number(sc, 4, 4, &c->year) && take_month_day(sc, c) && civil_valid(c);
}

/* "(木)", "(木曜)", "(木曜日)"; true when none is there, false when it is wrong. */
static bool take_weekday(struct scan *sc, const struct civil *c)
{
    static const struct str names[] = {S_INIT("日"), S_INIT("月"), S_INIT("火"), S_INIT("水"),
                                       S_INIT("木"), S_INIT("金"), S_INIT("土")};
    if (!take(sc, S("("))) {
        return true;
    }
    if (!take(sc, names[civil_weekday(c->year, c->month, c->day)])) {
        return false;
    }
    if (take(sc, S("曜"))) {
        take(sc, S("日"));
    }
    return take(sc, S(")"));
}

/* --- the parts of a time --- */

/* "6時", "6時30分", "6時30分15秒", "6時半", "18:00", "18:00:30" */
static bool take_clock(struct scan *sc, struct civil *c)
{
    if (!take_number(sc, 1, 2, &c->hour)) {
        return false;
    }
    if (take(sc, S(":"))) {
        return take_number(sc, 2, 2, &c->minute) &&
               (!take(sc, S(":")) || take_number(sc, 2, 2, &c->second));
    }
    if (!take(sc, S("時"))) {
        return false;
    }
    if (take(sc, S("半"))) {
        c->minute = 30;
        return true;
    }
    if (!at_number(sc)) {
        return true;
    }
    if (!take_number(sc, 1, 2, &c->minute) || !take(sc, S("分"))) {
        return false;
    }
    if (!at_number(sc)) {
        return true;
    }
    return take_number(sc, 1, 2, &c->second) && take(sc, S("秒"));
}

static bool take_time(struct scan *sc, struct civil *c)
{
    if (take(sc, S("正午"))) {
        c->hour = 12;
        return true;
    }
    bool morning = take(sc, S("午前"));
    bool afternoon = !morning && take(sc, S("午後"));
    if (!take_clock(sc, c)) {
        return false;
    }
    if (morning || afternoon) {
        if (c->hour > 11) {
            return false;
        }
        c->hour += afternoon ? 12 : 0;
    }
    if (c->hour == 24 && c->minute == 0 && c->second == 0) {
        c->hour = 0;
        *c = civil_of(civil_to_instant(c, 0) + DAY_US, 0);
    }
    return civil_valid(c);
}

static bool at_end_words(struct scan *sc)
{
    if (!take(sc, S("時点"))) {
        take(sc, S("現在"));
    }
    skip_blanks(sc);
    return sc->rest.n == 0;
}

bool jdate_parse(struct str s, struct civil *out, bool *has_time)
{
    struct scan sc;
    struct civil c = {0};
    bool timed = false;
    if (!scan_init(&sc, s)) {
        return false;
    }
    const struct era *era = take_era(&sc);
    if (!era) {
        take(&sc, S("西暦"));
    }
    if (!(era ? take_era_date(&sc, era, &c) : take_gregorian_date(&sc, &c)) ||
        !take_weekday(&sc, &c)) {
        return false;
    }
    if (!at_end_words(&sc)) {
        take(&sc, S("T"));
        timed = true;
        if (!take_time(&sc, &c) || !at_end_words(&sc)) {
            return false;
        }
    }
    *out = c;
    if (has_time) {
        *has_time = timed;
    }
    return true;
}

struct str wareki_format(struct arena *a, const struct civil *c)
{
    for (size_t i = 0; i < ERAS; i++) {
        if (is_before_era(c, &eras[i])) {
            continue;
        }
        int year = c->year - eras[i].year + 1;
        if (year == 1) {
            return str_printf(a, "%" STR_F "元年%d月%d日", STR_A(eras[i].name), c->month, c->day);
        }
        return str_printf(a, "%" STR_F "%d年%d月%d日", STR_A(eras[i].name), year, c->month, c->day);
    }
    return str_printf(a, "%d年%d月%d日", c->year, c->month, c->day);
}

bool excel_serial_to_civil(double serial, struct civil *out)
{
    const int64_t day_ms = 86400000;
    if (!(serial >= 1 && serial < 2958466)) {
        return false;
    }
    int64_t ms = llround(serial * (double)day_ms);
    int64_t day = ms / day_ms;
    if (day == 60 || day > 2958465) {
        return false;
    }
    /* serial 1 is 1900-01-01; from 61 on the count is one day too far */
    int64_t since_1970 = day - (day < 60 ? 25568 : 25569);
    *out = civil_of((since_1970 * day_ms + ms % day_ms) * 1000, 0);
    return true;
}
