#include "style.h"

#include "core/datetime.h"
#include <string.h>

enum plural_rule {
    RULE_NONE, /* one form for all numbers */
    RULE_EN,   /* one: 1 without decimals */
    RULE_PT    /* one: 0 and 1 with any decimals; many: whole millions */
};

/* %Y year, %M and %D month and day, %m and %d the same in two digits, %B English month, %H hour,
 * %I minute. */
struct style {
    const char *language;
    enum plural_rule plural;
    char group, point;
    const char *date, *datetime;
};

static const struct style styles[] = {
    {"ja", RULE_NONE, ',', '.', "%Y年%M月%D日", "%Y年%M月%D日 %H:%I"},
    {"en", RULE_EN, ',', '.', "%D %B %Y", "%D %B %Y, %H:%I"},
    {"zh", RULE_NONE, ',', '.', "%Y年%M月%D日", "%Y年%M月%D日 %H:%I"},
    {"ko", RULE_NONE, ',', '.', "%Y년 %M월 %D일", "%Y년 %M월 %D일 %H:%I"},
    {"vi", RULE_NONE, '.', ',', "%d/%m/%Y", "%H:%I %d/%m/%Y"},
    {"pt", RULE_PT, '.', ',', "%d/%m/%Y", "%d/%m/%Y, %H:%I"},
};

const struct style *style_of(struct str tag)
{
    struct str language;
    if (!str_split(&tag, '-', &language))
        return NULL;
    for (size_t i = 0; i < sizeof(styles) / sizeof(styles[0]); i++)
        if (str_eq_nocase(language, str_c(styles[i].language)))
            return &styles[i];
    return NULL;
}

/* --- numbers --- */

enum { DIGITS_MAX = 64, EXPONENT_MAX = 40 };

/* A number without exponent: digits[0..point) and, after the decimal point, digits[point..n). */
struct plain {
    bool negative;
    char digits[DIGITS_MAX + 2 * EXPONENT_MAX];
    size_t n, point;
};

static size_t take_digits(struct str s, size_t from, struct plain *out)
{
    size_t i = from;
    for (; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++)
        if (out->n < DIGITS_MAX)
            out->digits[out->n++] = s.p[i];
    return i - from;
}

/* Move the decimal point by the exponent, with zeros where there are no digits. */
static void shift(struct plain *out, int64_t exponent)
{
    int64_t point = (int64_t)out->point + exponent;
    if (point < 1) {
        size_t zeros = (size_t)(1 - point);
        memmove(out->digits + zeros, out->digits, out->n);
        memset(out->digits, '0', zeros);
        out->n += zeros;
        point = 1;
    }
    while ((int64_t)out->n < point)
        out->digits[out->n++] = '0';
    out->point = (size_t)point;
    size_t zeros = 0; /* leading ones, as 0.05e1 leaves them */
    while (zeros + 1 < out->point && out->digits[zeros] == '0')
        zeros++;
    memmove(out->digits, out->digits + zeros, out->n - zeros);
    out->n -= zeros;
    out->point -= zeros;
}

/* False for what is no number in JSON's grammar or longer than people read. */
static bool plain_of(struct str s, struct plain *out)
{
    *out = (struct plain){.negative = s.n > 0 && s.p[0] == '-'};
    if (s.n > DIGITS_MAX)
        return false;
    size_t i = out->negative ? 1 : 0, n = take_digits(s, i, out);
    if (n == 0)
        return false;
    i += n;
    out->point = out->n;
    if (i < s.n && s.p[i] == '.') {
        n = take_digits(s, i + 1, out);
        if (n == 0)
            return false;
        i += 1 + n;
    }
    int64_t exponent = 0;
    if (i < s.n && (s.p[i] == 'e' || s.p[i] == 'E')) {
        i += i + 1 < s.n && s.p[i + 1] == '+' ? 2 : 1;
        if (!str_to_i64(str_from(s, i), &exponent) || exponent > EXPONENT_MAX ||
            exponent < -EXPONENT_MAX)
            return false;
        i = s.n;
    }
    if (i != s.n)
        return false;
    shift(out, exponent);
    return true;
}

void style_number(const struct style *s, struct buf *out, struct str number)
{
    struct plain v;
    if (!plain_of(number, &v)) {
        buf_str(out, number);
        return;
    }
    if (v.negative)
        buf_char(out, '-');
    for (size_t i = 0; i < v.point; i++) {
        if (i > 0 && (v.point - i) % 3 == 0)
            buf_char(out, s->group);
        buf_char(out, v.digits[i]);
    }
    if (v.point < v.n) {
        buf_char(out, s->point);
        buf_add(out, v.digits + v.point, v.n - v.point);
    }
}

/* All of the last n digits before the decimal point are zeros. */
static bool ends_in_zeros(const struct plain *v, size_t n)
{
    if (v->point <= n)
        return false;
    for (size_t i = v->point - n; i < v->point; i++)
        if (v->digits[i] != '0')
            return false;
    return true;
}

enum plural style_plural(const struct style *s, struct str number)
{
    struct plain v;
    if (s->plural == RULE_NONE || !plain_of(number, &v))
        return PLURAL_OTHER;
    bool whole = v.point == v.n;
    if (s->plural == RULE_EN)
        return whole && v.point == 1 && v.digits[0] == '1' ? PLURAL_ONE : PLURAL_OTHER;
    if (v.point == 1 && (v.digits[0] == '0' || v.digits[0] == '1'))
        return PLURAL_ONE;
    return whole && ends_in_zeros(&v, 6) ? PLURAL_MANY : PLURAL_OTHER;
}

/* --- dates --- */

static void format(struct buf *out, const char *pattern, int64_t instant)
{
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct civil c = civil_of(instant, JST_OFFSET_S);
    for (const char *p = pattern; *p; p++) {
        if (*p != '%') {
            buf_char(out, *p);
            continue;
        }
        switch (*++p) {
        case 'Y':
            buf_i64(out, c.year);
            break;
        case 'M':
            buf_i64(out, c.month);
            break;
        case 'D':
            buf_i64(out, c.day);
            break;
        case 'm':
            buf_printf(out, "%02d", c.month);
            break;
        case 'd':
            buf_printf(out, "%02d", c.day);
            break;
        case 'B':
            buf_str(out, str_c(months[c.month - 1]));
            break;
        case 'H':
            buf_printf(out, "%02d", c.hour);
            break;
        default: /* %I */
            buf_printf(out, "%02d", c.minute);
            break;
        }
    }
}

void style_date(const struct style *s, struct buf *out, int64_t instant)
{
    format(out, s->date, instant);
}

void style_datetime(const struct style *s, struct buf *out, int64_t instant)
{
    format(out, s->datetime, instant);
}
