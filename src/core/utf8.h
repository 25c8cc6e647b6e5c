/*
 * utf8.h - private to core: one well-formed UTF-8 sequence at a time (RFC 3629, Unicode table 3-7).
 */
#ifndef CORE_UTF8_PRIVATE_H
#define CORE_UTF8_PRIVATE_H

#include <stddef.h>
#include <stdint.h>

/* Length of the well-formed sequence at p (p < end), or 0: no overlong form, no surrogate. */
static inline size_t utf8_sequence(const unsigned char *p, const unsigned char *end)
{
    unsigned c = p[0];
    size_t left = (size_t)(end - p);
    if (c < 0x80)
        return 1;
    if (c < 0xC2 || c > 0xF4)
        return 0;
    if (c < 0xE0)
        return left >= 2 && (p[1] & 0xC0) == 0x80 ? 2 : 0;
    unsigned low = 0x80, high = 0xBF; /* bounds of the second byte */
    if (c == 0xE0)
        low = 0xA0;
    else if (c == 0xED)
        high = 0x9F;
    else if (c == 0xF0)
        low = 0x90;
    else if (c == 0xF4)
        high = 0x8F;
    if (left < 3 || p[1] < low || p[1] > high || (p[2] & 0xC0) != 0x80)
        return 0;
    if (c < 0xF0)
        return 3;
    return left >= 4 && (p[3] & 0xC0) == 0x80 ? 4 : 0;
}

#endif
