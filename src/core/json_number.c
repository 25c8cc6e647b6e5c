#include "core/json.h"

#include "decimal.h"
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool json_i64(const struct json *v, int64_t *out)
{
    struct decimal d;
    if (!json_is(v, JSON_NUMBER))
        return false;
    struct str text = str_n(v->text, v->n);
    return str_to_i64(text, out) || (decimal_read(text, &d) && decimal_to_i64(&d, out));
}

bool json_double(const struct json *v, double *out)
{
    return json_is(v, JSON_NUMBER) && str_to_double(str_n(v->text, v->n), out);
}

int json_number_cmp(struct str x, struct str y)
{
    struct decimal a, b;
    decimal_read(x, &a);
    decimal_read(y, &b);
    return decimal_cmp(&a, &b);
}

struct json json_v_i64(struct arena *a, int64_t v)
{
    char text[24];
    struct buf b = {text, 0, sizeof(text), sizeof(text) - 1, false}; /* never grows */
    buf_i64(&b, v);
    return json_v_number(str_n(arena_dup(a, text, b.n), b.n));
}

/* --- the shortest decimal text of a double --- */

enum { DIGITS = 17 };

/*
 * The digits of v > 0 and its scale (v is 0.D1D2... * 10^scale), as few as read back the same.
 * Below 16 digits that is what remains of 15 without trailing zeros, except for subnormal numbers.
 */
static int shortest(double v, char digits[DIGITS], int *scale)
{
    char text[48] = "";
    for (int n = v < DBL_MIN ? 1 : 15; n <= DIGITS; n++) {
        snprintf(text, sizeof(text), "%.*e", n - 1, v);
        if (n == DIGITS || strtod(text, NULL) == v)
            break;
    }
    const char *exponent = strrchr(text, 'e');
    *scale = (int)strtol(exponent + 1, NULL, 10) + 1;
    int kept = 0;
    for (const char *p = text; p < exponent && kept < DIGITS; p++)
        if (*p >= '0' && *p <= '9') /* whatever the locale puts between them */
            digits[kept++] = *p;
    while (kept > 1 && digits[kept - 1] == '0')
        kept--;
    return kept;
}

/* Digits as JavaScript lays them out (ECMA-262 Number::toString, which RFC 8785 asks for). */
static void lay_out(struct buf *b, const char *digits, int n, int scale)
{
    if (scale > 21 || scale < -5) {
        buf_char(b, digits[0]);
        if (n > 1) {
            buf_char(b, '.');
            buf_add(b, digits + 1, (size_t)(n - 1));
        }
        buf_printf(b, "e%+d", scale - 1);
        return;
    }
    if (scale <= 0) {
        BUF_LIT(b, "0.");
        for (int i = scale; i < 0; i++)
            buf_char(b, '0');
        buf_add(b, digits, (size_t)n);
        return;
    }
    for (int i = 0; i < scale || i < n; i++) {
        if (i == scale)
            buf_char(b, '.');
        buf_char(b, i < n ? digits[i] : '0');
    }
}

/* v as JSON text of at most 32 bytes; "null" when it is not finite. */
static size_t double_text(double v, char text[32])
{
    struct buf b = {text, 0, 32, 31, false}; /* never grows */
    if (!isfinite(v)) {
        BUF_LIT(&b, "null");
        return b.n;
    }
    if (signbit(v))
        buf_char(&b, '-');
    if (v == 0) {
        buf_char(&b, '0');
        return b.n;
    }
    if (v > -1e15 && v < 1e15 && v == (double)(int64_t)v) {
        buf_i64(&b, (int64_t)fabs(v));
        return b.n;
    }
    char digits[DIGITS] = "0";
    int scale, n = shortest(fabs(v), digits, &scale);
    lay_out(&b, digits, n, scale);
    return b.n;
}

struct json json_v_double(struct arena *a, double v)
{
    char text[32];
    size_t n = double_text(v, text);
    return isfinite(v) ? json_v_number(str_n(arena_dup(a, text, n), n)) : json_v_null();
}

void json_w_double(struct json_writer *w, double v)
{
    char text[32];
    json_w_number(w, str_n(text, double_text(v, text)));
}
