/* text_encoding.c - CP932 and UTF-16 to UTF-8, strictly: what has no character is an error. */
#include "core/text.h"

#include <iconv.h>

static bool is_ascii(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] >= 0x80)
            return false;
    return true;
}

static enum err no_character(struct str bytes, size_t at, struct error *e)
{
    const unsigned char *p = (const unsigned char *)bytes.p + at;
    if (at + 1 < bytes.n)
        return error_set(e, ERR_INVALID, "no CP932 character for 0x%02X 0x%02X at byte %zu", p[0],
                         p[1], at);
    return error_set(e, ERR_INVALID, "no CP932 character for 0x%02X at byte %zu", p[0], at);
}

enum err text_from_cp932(struct arena *a, struct str bytes, struct str *out, struct error *e)
{
    if (is_ascii(bytes)) {
        *out = str_dup(a, bytes);
        return OK;
    }
    iconv_t cd = iconv_open("UTF-8", "CP932");
    if (cd == (iconv_t)-1)
        return error_set(e, ERR_UNSUPPORTED,
                         "this system cannot read CP932: its iconv has no such module "
                         "(Debian: package libc-gconv-modules-extra)");
    /* A byte of half-width kana grows to three; two bytes never to more than four. */
    size_t cap = 3 * bytes.n;
    char *made = arena_alloc(a, cap + 1), *to = made, *from = (char *)bytes.p;
    size_t left = bytes.n, room = cap;
    size_t r = iconv(cd, &from, &left, &to, &room);
    iconv_close(cd);
    if (r == (size_t)-1)
        return no_character(bytes, bytes.n - left, e);
    size_t n = (size_t)(to - made);
    made[n] = 0;
    *out = str_n(made, n);
    return OK;
}

static uint32_t unit_at(struct str s, size_t i, bool big_endian)
{
    uint32_t first = (unsigned char)s.p[i], second = (unsigned char)s.p[i + 1];
    return big_endian ? first << 8 | second : second << 8 | first;
}

enum err text_from_utf16(struct arena *a, struct str bytes, bool big_endian, struct str *out,
                         struct error *e)
{
    if (bytes.n % 2)
        return error_set(e, ERR_INVALID, "UTF-16 text ends within a character at byte %zu",
                         bytes.n - 1);
    size_t cap = bytes.n / 2 * 3;
    char *made = arena_alloc(a, cap + 1);
    size_t n = 0;
    for (size_t i = 0; i < bytes.n; i += 2) {
        uint32_t cp = unit_at(bytes, i, big_endian);
        if (cp >= 0xD800 && cp <= 0xDFFF) {
            uint32_t low = i + 2 < bytes.n ? unit_at(bytes, i + 2, big_endian) : 0;
            if (cp >= 0xDC00 || low < 0xDC00 || low > 0xDFFF)
                return error_set(e, ERR_INVALID, "half of a UTF-16 surrogate pair at byte %zu", i);
            cp = 0x10000 + ((cp - 0xD800) << 10) + (low - 0xDC00);
            i += 2;
        }
        n += str_utf8_put(cp, made + n);
    }
    made[n] = 0;
    *out = str_n(made, n);
    return OK;
}
