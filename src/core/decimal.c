#include "decimal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Beyond this many digits a double cannot depend on more than whether another digit follows. */
enum { DOUBLE_DIGITS = 780 };

static const int64_t SCALE_LIMIT = INT64_C(100000000000000000);

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static const char *skip_digits(const char *p, const char *end)
{
    while (p < end && is_digit(*p))
        p++;
    return p;
}

/* The exponent after 'e', held within SCALE_LIMIT; false when there are no digits. */
static bool read_exponent(const char *p, const char *end, int64_t *out)
{
    bool negative = p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+'))
        p++;
    if (p == end || skip_digits(p, end) != end)
        return false;
    int64_t v = 0;
    for (; p < end; p++)
        v = v < SCALE_LIMIT / 10 ? v * 10 + (*p - '0') : SCALE_LIMIT;
    *out = negative ? -v : v;
    return true;
}

bool decimal_read(struct str s, struct decimal *d)
{
    const char *p = s.p, *end = s.p + s.n;
    *d = (struct decimal){0};
    if (p < end && *p == '-') {
        d->negative = true;
        p++;
    }
    const char *whole = p, *point = skip_digits(p, end), *tail = point;
    if (point == whole)
        return false;
    if (point < end && *point == '.') {
        tail = skip_digits(point + 1, end);
        if (tail == point + 1)
            return false;
    }
    int64_t exponent = 0;
    if (tail < end && ((*tail | 0x20) != 'e' || !read_exponent(tail + 1, end, &exponent)))
        return false;

    const char *first = whole, *last = tail;
    while (first < tail && (*first == '0' || *first == '.'))
        first++;
    while (last > first && (last[-1] == '0' || last[-1] == '.'))
        last--;
    d->first = first;
    d->end = last;
    if (first == last)
        return true;
    bool split = first < point && last > point;
    d->digits = (size_t)(last - first) - (split ? 1 : 0);
    /* digits before the point, or minus the zeros after it */
    d->scale = (first < point ? point - first : point + 1 - first) + exponent;
    return true;
}

/* Small numbers are exact: a whole number below 2^53 times or by an exact power of ten. */
static bool small_double(const struct decimal *d, double *out)
{
    static const double power[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    int64_t exponent = d->scale - (int64_t)d->digits;
    if (d->digits > 15 || exponent < -22 || exponent > 22)
        return false;
    int64_t whole = 0;
    for (const char *p = d->first; p < d->end; p++)
        if (*p != '.')
            whole = whole * 10 + (*p - '0');
    double v = (double)whole;
    v = exponent < 0 ? v / power[-exponent] : v * power[exponent];
    *out = d->negative ? -v : v;
    return true;
}

bool decimal_to_double(const struct decimal *d, double *out)
{
    if (d->digits == 0 || d->scale < -400) {
        *out = d->negative ? -0.0 : 0.0;
        return true;
    }
    if (d->scale > 310)
        return false;
    if (small_double(d, out))
        return true;
    /* Digits and exponent only: without a point, strtod does not depend on the locale. */
    char text[DOUBLE_DIGITS + 32];
    size_t n = 0, kept = 0;
    if (d->negative)
        text[n++] = '-';
    for (const char *p = d->first; p < d->end && kept < DOUBLE_DIGITS; p++) {
        if (*p != '.') {
            text[n++] = *p;
            kept++;
        }
    }
    if (kept < d->digits) { /* stands for all the rest: only that it is not zero matters */
        text[n++] = '1';
        kept++;
    }
    snprintf(text + n, sizeof(text) - n, "e%d", (int)(d->scale - (int64_t)kept));
    *out = strtod(text, NULL);
    return isfinite(*out);
}

bool decimal_to_i64(const struct decimal *d, int64_t *out)
{
    if (d->digits == 0) {
        *out = 0;
        return true;
    }
    if (d->scale > 19 || d->scale < (int64_t)d->digits)
        return false;
    uint64_t v = 0;
    for (const char *p = d->first; p < d->end; p++)
        if (*p != '.')
            v = v * 10 + (uint64_t)(*p - '0');
    for (int64_t i = (int64_t)d->digits; i < d->scale; i++)
        v *= 10; /* at most 19 digits in all: fits 64 bits */
    if (v > (uint64_t)INT64_MAX + d->negative)
        return false;
    *out = d->negative ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

/* Order of two magnitudes that are not zero and have the same scale. */
static int digits_cmp(const struct decimal *x, const struct decimal *y)
{
    const char *p = x->first, *q = y->first;
    for (;;) {
        if (p < x->end && *p == '.')
            p++;
        if (q < y->end && *q == '.')
            q++;
        if (p == x->end || q == y->end)
            return (p < x->end) - (q < y->end);
        if (*p != *q)
            return *p < *q ? -1 : 1;
        p++;
        q++;
    }
}

int decimal_cmp(const struct decimal *x, const struct decimal *y)
{
    int x_sign = x->digits == 0 ? 0 : x->negative ? -1 : 1;
    int y_sign = y->digits == 0 ? 0 : y->negative ? -1 : 1;
    if (x_sign != y_sign)
        return x_sign < y_sign ? -1 : 1;
    if (x_sign == 0)
        return 0;
    int order = x->scale != y->scale ? (x->scale < y->scale ? -1 : 1) : digits_cmp(x, y);
    return x_sign * order;
}
