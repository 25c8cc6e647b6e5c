/*
 * import_cell.c - one cell: read as what its column promises, or told why not.
 *
 * Cells come as people typed them: full-width digits, units behind numbers, ○△×, 和暦, Excel's
 * times. What has one clear reading is read; anything else is bad and never guessed.
 */
#include "import_impl.h"

#include "core/datetime.h"
#include "core/text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static enum cell_verdict bad(struct cell_value *out, const char *reason, const char *text)
{
    out->reason = reason;
    out->text = text;
    return CELL_BAD;
}

/* --- numbers --- */

/* Words that stand behind numbers in tables. */
static const char *const units[] = {"人", "名", "床", "台", "基", "件", "m", "mm", "円", "世帯"};

static struct str without_unit(struct str s)
{
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        struct str unit = str_c(units[i]);
        if (s.n > unit.n && str_ends(s, unit)) {
            char before = s.p[s.n - unit.n - 1];
            if ((before >= '0' && before <= '9') || before == ' ')
                return str_trim(str_sub(s, 0, s.n - unit.n));
        }
    }
    return s;
}

/* Commas where thousands are parted: "1,234", "12,345.6"; else the text as it is. */
static struct str without_commas(struct arena *a, struct str s)
{
    ptrdiff_t first = str_find_char(s, ',');
    if (first <= 0)
        return s;
    ptrdiff_t dot = str_find_char(s, '.');
    size_t whole = dot < 0 ? s.n : (size_t)dot;
    for (size_t i = 0; i < s.n; i++) {
        bool due = i < whole && i >= (size_t)first && (whole - i) % 4 == 0;
        if ((s.p[i] == ',') != due)
            return s;
    }
    char *p = arena_alloc(a, s.n);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != ',')
            p[n++] = s.p[i];
    return str_n(p, n);
}

static bool read_number(struct arena *a, struct str text, double *out)
{
    struct str s = without_commas(a, without_unit(str_trim(text_fold(a, text))));
    if (s.n > 1 && s.p[0] == '+')
        s = str_from(s, 1);
    return s.n <= 40 && str_to_double(s, out);
}

/* What people type where there is nothing to say. */
static bool is_dash(struct arena *a, struct str text)
{
    struct str s = str_trim(text_fold(a, text));
    return str_eq(s, S("-")) || str_eq(s, S("--")) || str_eq(s, S("ー"));
}

static enum cell_verdict cell_number(struct arena *a, struct str text, struct cell_value *out)
{
    if (is_dash(a, text))
        return CELL_EMPTY;
    if (!read_number(a, text, &out->number))
        return bad(out, "not_a_number", "this is not a number");
    out->value = json_v_double(a, out->number);
    return CELL_OK;
}

static enum cell_verdict cell_count(struct arena *a, struct str text, struct cell_value *out)
{
    if (is_dash(a, text))
        return CELL_EMPTY;
    if (!read_number(a, text, &out->number))
        return bad(out, "not_a_number", "this is not a number");
    if (out->number < 0 || out->number > 1e12 || out->number != floor(out->number))
        return bad(out, "out_of_range", "a whole number from 0 up is expected");
    out->value = json_v_i64(a, (int64_t)out->number);
    return CELL_OK;
}

/* --- marks --- */

enum mark { MARK_YES, MARK_NO, MARK_MAYBE, MARK_NOTHING };

static const struct {
    const char *text; /* as text_fold() leaves it */
    enum mark mark;
} marks[] = {
    {"○", MARK_YES},     {"〇", MARK_YES},     {"◯", MARK_YES},     {"◎", MARK_YES},
    {"有", MARK_YES},    {"あり", MARK_YES},   {"有り", MARK_YES},  {"1", MARK_YES},
    {"1.0", MARK_YES},   {"true", MARK_YES},   {"TRUE", MARK_YES},  {"可", MARK_YES},
    {"はい", MARK_YES},  {"重複", MARK_YES},   {"×", MARK_NO},      {"✕", MARK_NO},
    {"x", MARK_NO},      {"無", MARK_NO},      {"なし", MARK_NO},   {"無し", MARK_NO},
    {"0", MARK_NO},      {"0.0", MARK_NO},     {"false", MARK_NO},  {"FALSE", MARK_NO},
    {"不可", MARK_NO},   {"いいえ", MARK_NO},  {"X", MARK_NO},      {"△", MARK_MAYBE},
    {"▲", MARK_MAYBE},   {"一部", MARK_MAYBE}, {"-", MARK_NOTHING}, {"ー", MARK_NOTHING},
    {"/", MARK_NOTHING},
};

static enum cell_verdict cell_mark(struct arena *a, struct str text, bool may_be_partial,
                                   struct cell_value *out)
{
    struct str s = str_trim(text_fold(a, text));
    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
        if (!str_eq(s, str_c(marks[i].text)))
            continue;
        if (marks[i].mark == MARK_NOTHING)
            return CELL_EMPTY;
        if (marks[i].mark != MARK_MAYBE) {
            out->value = json_v_bool(marks[i].mark == MARK_YES);
            return CELL_OK;
        }
        if (!may_be_partial)
            break;
        out->value = json_v_str(S("conditional"));
        out->warning = "conditional";
        return CELL_OK;
    }
    return bad(out, "bad_mark", "a yes or no (○ ×, 有 無, 1 0) is expected");
}

/* --- dates and times --- */

/* "3/1/2023", "4/1/2023 10:00": month first, as American settings of a spreadsheet write it. */
static bool us_date(struct str s, struct civil *out)
{
    int64_t part[3];
    for (int i = 0; i < 3; i++) {
        struct str field;
        if (!str_split(&s, '/', &field) || field.n > 4 || !str_to_i64(field, &part[i]))
            return false;
    }
    if (s.n || part[2] < 1900 || part[2] > 2999)
        return false;
    *out = (struct civil){.year = (int)part[2], .month = (int)part[0], .day = (int)part[1]};
    return civil_valid(out);
}

static bool read_date(struct arena *a, struct str text, struct civil *out, bool *has_time)
{
    struct str s = str_trim(text_fold(a, text));
    int64_t instant;
    *has_time = true;
    if (datetime_parse(s, &instant)) {
        *out = civil_of(instant, JST_OFFSET_S);
        return true;
    }
    ptrdiff_t t = str_find_char(s, 'T'); /* how the table reader writes Excel's date and time */
    if (t == 10 && date_parse(str_sub(s, 0, 10), out)) {
        struct civil time;
        if (!time_parse(str_from(s, 11), &time))
            return false;
        out->hour = time.hour;
        out->minute = time.minute;
        out->second = time.second;
        return true;
    }
    if (jdate_parse(s, out, has_time))
        return true;
    *has_time = false;
    return us_date(s, out);
}

bool cell_instant(struct arena *a, struct str text, int64_t *instant)
{
    struct civil c;
    bool has_time;
    if (!read_date(a, text, &c, &has_time))
        return false;
    *instant = civil_to_instant(&c, JST_OFFSET_S);
    return true;
}

static enum cell_verdict cell_date(struct arena *a, struct str text, struct cell_value *out)
{
    struct civil c;
    bool has_time;
    if (is_dash(a, text))
        return CELL_EMPTY;
    if (!read_date(a, text, &c, &has_time))
        return bad(out, "bad_date", "this is not one date");
    struct str s = has_time ? datetime_text_jst(a, civil_to_instant(&c, JST_OFFSET_S))
                            : str_printf(a, "%04d-%02d-%02d", c.year, c.month, c.day);
    out->value = json_v_str(s);
    return CELL_OK;
}

/* "9:00", "09:00:00", "9時", "9時30分", "0900", "24:00"; the hour of a full day may be 24. */
static bool read_time(struct str s, int *hour, int *minute)
{
    int64_t h = -1, m = 0;
    struct str rest = s, field;
    if (str_find(s, S("時")) > 0) {
        size_t at = (size_t)str_find(s, S("時"));
        rest = str_from(s, at + 3);
        if (!str_to_i64(str_trim(str_sub(s, 0, at)), &h))
            return false;
        if (str_ends(rest, S("分")))
            rest = str_sub(rest, 0, rest.n - 3);
        else if (rest.n)
            return false;
        if (rest.n && !str_to_i64(str_trim(rest), &m))
            return false;
    } else if (s.n == 4 && str_find_char(s, ':') < 0) {
        if (!str_to_i64(str_sub(s, 0, 2), &h) || !str_to_i64(str_from(s, 2), &m))
            return false;
    } else {
        if (!str_split(&rest, ':', &field) || !str_to_i64(field, &h) ||
            !str_split(&rest, ':', &field) || field.n != 2 || !str_to_i64(field, &m))
            return false;
        int64_t seconds;
        if (rest.n && (!str_to_i64(rest, &seconds) || seconds < 0 || seconds > 59))
            return false;
    }
    *hour = (int)h;
    *minute = (int)m;
    return h >= 0 && m >= 0 && m <= 59 && (h <= 23 || (h == 24 && m == 0));
}

static enum cell_verdict cell_time(struct arena *a, struct str text, struct cell_value *out)
{
    int hour, minute;
    struct str s = str_trim(text_fold(a, text));
    if (is_dash(a, s) || str_eq(s, S("なし")))
        return CELL_EMPTY;
    if (!read_time(s, &hour, &minute))
        return bad(out, "bad_time", "this is not one time of day");
    out->value = json_v_str(str_printf(a, "%02d:%02d", hour, minute));
    return CELL_OK;
}

/* --- places --- */

static bool in_japan(double lat, double lon)
{
    return lat >= 20 && lat <= 46 && lon >= 122 && lon <= 154;
}

struct position cell_position(double *lat, double *lon)
{
    struct position p = {false, NULL};
    if (in_japan(*lat, *lon))
        return p;
    if (in_japan(*lon, *lat)) {
        double swap = *lat;
        *lat = *lon;
        *lon = swap;
        p.swapped = true;
        return p;
    }
    p.reason = "out_of_range";
    return p;
}

static enum cell_verdict cell_degrees(struct arena *a, struct str text, struct cell_value *out)
{
    struct str s = str_trim(text_fold(a, text));
    if (s.n > 40 || !str_to_double(s, &out->number))
        return bad(out, "not_a_number", "degrees as a decimal number are expected");
    return CELL_OK;
}

static enum cell_verdict cell_latlon(struct arena *a, struct str text, struct cell_value *out)
{
    struct str s = text_fold(a, text), lat, lon;
    if (!str_split(&s, ',', &lat) || !str_split(&s, ',', &lon) || s.n ||
        !str_to_double(str_trim(lat), &out->lat) || !str_to_double(str_trim(lon), &out->lon))
        return bad(out, "not_a_position", "\"latitude,longitude\" is expected");
    return CELL_OK;
}

/* --- texts --- */

static struct str clean(struct str s)
{
    return text_trim(s);
}

static enum cell_verdict cell_phone(struct arena *a, struct str text, struct cell_value *out)
{
    struct str s = str_trim(text_fold(a, text));
    size_t digits = 0;
    bool odd = false;
    if (is_dash(a, s))
        return CELL_EMPTY;
    for (size_t i = 0; i < s.n; i++) {
        digits += s.p[i] >= '0' && s.p[i] <= '9';
        odd |= str_find_char(S("0123456789-()+ "), s.p[i]) < 0;
    }
    if (odd || digits < 9 || digits > 15)
        out->warning = "bad_phone";
    out->value = json_v_str(odd ? clean(text) : s);
    return CELL_OK;
}

static bool separates(uint32_t cp)
{
    return cp == 0x3001 || cp == ',' || cp == 0xFF0C || cp == ';' || cp == 0xFF1B || cp == '\n' ||
           cp == '\r';
}

static enum cell_verdict cell_list(struct arena *a, struct str text, struct cell_value *out)
{
    VEC(struct json) items = VEC_INIT;
    size_t start = 0, i = 0;
    while (i <= text.n) {
        size_t at = i;
        bool cut = i == text.n || separates(str_utf8_next(text, &i));
        if (at == text.n)
            i++;
        if (!cut)
            continue;
        struct str item = clean(str_sub(text, start, at - start));
        if (item.n)
            *vec_push(a, &items) = json_v_str(item);
        start = i;
    }
    if (!items.n)
        return CELL_EMPTY;
    out->value = json_v_array(items.v, items.n);
    return CELL_OK;
}

enum cell_verdict cell_read(struct arena *a, enum value kind, const struct table_cell *cell,
                            struct cell_value *out)
{
    struct str text = clean(cell->text);
    *out = (struct cell_value){.value = json_v_null()};
    if (!text.n)
        return CELL_EMPTY;
    switch (kind) {
    case V_NUMBER:
        return cell_number(a, text, out);
    case V_COUNT:
        return cell_count(a, text, out);
    case V_BOOL:
        return cell_mark(a, text, false, out);
    case V_MARK:
        return cell_mark(a, text, true, out);
    case V_DATE:
        return cell_date(a, text, out);
    case V_TIME:
        return cell_time(a, text, out);
    case V_PHONE:
        return cell_phone(a, text, out);
    case V_LAT:
    case V_LON:
        return cell_degrees(a, text, out);
    case V_LATLON:
        return cell_latlon(a, text, out);
    case V_AGES:
        return cell_count(a, text, out);
    case V_LIST:
        return cell_list(a, text, out);
    case V_OBSERVED:
        return cell_instant(a, text, &out->instant) ? CELL_OK
                                                    : bad(out, "bad_date", "this is not one date");
    default:
        if (str_eq(text, S("urn:ngsi-ld:null"))) /* would delete instead of being stored */
            return bad(out, "reserved", "this text has a meaning of its own in NGSI-LD");
        out->value = json_v_str(text);
        if (str_find(text, S("\xEF\xBF\xBD")) >= 0)
            out->warning = "broken_text";
        return CELL_OK;
    }
}
