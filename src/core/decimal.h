/*
 * decimal.h - private to core: a decimal number text taken apart without losing a digit.
 *
 * The value is 0.D1D2D3... * 10^scale, where the digits run from first to last inside the text
 * that was read (a '.' in between is skipped). Zero has no digits.
 */
#ifndef CORE_DECIMAL_PRIVATE_H
#define CORE_DECIMAL_PRIVATE_H

#include "core/str.h"

struct decimal {
    bool negative;
    const char *first; /* first digit that is not 0 */
    const char *end;   /* after the last digit that is not 0 */
    size_t digits;     /* between first and end, without the '.' */
    int64_t scale;     /* exponents beyond +-10^17 count as 10^17 */
};

/* Whole text as [-]digits[.digits][e[+-]digits]; false for anything else. */
bool decimal_read(struct str s, struct decimal *d);

/* Nearest double; false when it is too large for one. Too small ones become 0. */
bool decimal_to_double(const struct decimal *d, double *out);

/* The value when it is a whole number in range. */
bool decimal_to_i64(const struct decimal *d, int64_t *out);

/* Exact order of two values: <0, 0, >0. -0 equals 0. */
int decimal_cmp(const struct decimal *x, const struct decimal *y);

#endif
