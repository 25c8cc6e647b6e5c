/*
 * json_lex.h - private to core: blanks, strings, numbers and literals of JSON (RFC 8259), for the
 * parser and the pull reader. Each takes a position and gives the one behind what it read, or NULL
 * after an error, which then stands in lex.error.
 */
#ifndef CORE_JSON_LEX_PRIVATE_H
#define CORE_JSON_LEX_PRIVATE_H

#include "core/json.h"

#include "json_scan.h"
#include "utf8.h"
#include <string.h>

enum { JSON_MAX_DEPTH = 512 };

struct lex {
    const unsigned char *start, *end;
    struct arena *arena; /* of decoded escapes */
    struct error *error;
};

struct lex_text {
    const char *p;
    uint32_t n, flags;
};

typedef const unsigned char *pos;

static inline pos fail(struct lex *lx, pos at, const char *expected)
{
    error_set(lx->error, ERR_INVALID, "json: byte %zu: expected %s", (size_t)(at - lx->start),
              expected);
    return NULL;
}

static inline pos skip_blanks(pos p, pos end)
{
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    return p;
}

/* --- strings --- */

static inline int hex_digit(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four hexadecimal digits at p, or -1. */
static inline int32_t hex4(pos p, pos end)
{
    if (end - p < 4)
        return -1;
    int32_t v = 0;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(p[i]);
        if (digit < 0)
            return -1;
        v = v << 4 | digit;
    }
    return v;
}

/* \uXXXX or a surrogate pair of them; p is after the 'u'. */
static inline pos read_unicode(struct lex *lx, pos p, uint32_t *cp)
{
    int32_t unit = hex4(p, lx->end);
    if (unit < 0)
        return fail(lx, p, "four hexadecimal digits");
    *cp = (uint32_t)unit;
    if (unit < 0xD800 || unit > 0xDFFF)
        return p + 4;
    int32_t low = -1;
    if (unit < 0xDC00 && lx->end - p >= 10 && p[4] == '\\' && p[5] == 'u')
        low = hex4(p + 6, lx->end);
    if (low < 0xDC00 || low > 0xDFFF)
        return fail(lx, p, "a pair of surrogates");
    *cp = 0x10000 + (((uint32_t)unit - 0xD800) << 10) + ((uint32_t)low - 0xDC00);
    return p + 10;
}

/*
 * One escape, p after the backslash; its text goes to *to. The closing quote was seen further on,
 * so that there is a byte at p.
 */
static inline pos read_escape(struct lex *lx, pos p, char **to, bool *plain)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    uint32_t cp = 0;
    if (*p == 'u') {
        p = read_unicode(lx, p + 1, &cp);
        if (!p)
            return NULL;
    } else {
        const char *at = memchr(names, *p, sizeof(names) - 1);
        if (!at)
            return fail(lx, p, "an escape");
        cp = (uint32_t)values[at - names];
        p++;
    }
    if (cp < 0x20 || cp == '"' || cp == '\\')
        *plain = false;
    *to += str_utf8_put(cp, *to);
    return p;
}

/* After the well-formed characters beyond ASCII at p. */
static inline pos skip_wide(struct lex *lx, pos p)
{
    do {
        size_t n = utf8_sequence(p, lx->end);
        if (n == 0)
            return fail(lx, p, "well-formed UTF-8");
        p += n;
    } while (p < lx->end && *p >= 0x80);
    return p;
}

/* The rest of a string that began at from and has its first backslash at p. */
static __attribute__((noinline, unused)) pos read_escaped(struct lex *lx, pos from, pos p,
                                                          struct lex_text *out)
{
    pos quote = p;
    while (quote < lx->end && *quote != '"')
        quote += *quote == '\\' ? 2 : 1;
    if (quote >= lx->end)
        return fail(lx, lx->end, "a closing quote");
    /* decoded text is never longer than its escapes */
    char *text = arena_alloc(lx->arena, (size_t)(quote - from)), *to = text;
    bool plain = true;
    for (pos run = from;; p = scan_ascii(p, lx->end)) {
        if (*p >= 0x80) {
            p = skip_wide(lx, p);
            if (!p)
                return NULL;
            continue;
        }
        to = copy_short(to, (const char *)run, (size_t)(p - run));
        if (*p == '"')
            break;
        if (*p != '\\')
            return fail(lx, p, "no control character in a string");
        p = read_escape(lx, p + 1, &to, &plain);
        if (!p)
            return NULL;
        run = p;
    }
    *out = (struct lex_text){text, (uint32_t)(to - text), plain ? JSON_PLAIN : 0};
    return p + 1;
}

/* A string, p after its opening quote. */
static inline pos read_string(struct lex *lx, pos p, struct lex_text *out)
{
    pos from = p;
    for (;;) {
        p = scan_ascii(p, lx->end);
        if (p == lx->end)
            return fail(lx, p, "a closing quote");
        if (*p == '"')
            break;
        if (*p == '\\')
            return read_escaped(lx, from, p, out);
        if (*p < 0x20)
            return fail(lx, p, "no control character in a string");
        p = skip_wide(lx, p);
        if (!p)
            return NULL;
    }
    *out = (struct lex_text){(const char *)from, (uint32_t)(p - from), JSON_PLAIN};
    return p + 1;
}

/* --- other scalars --- */

static inline bool is_digit(pos p, pos end)
{
    return p < end && *p >= '0' && *p <= '9';
}

static inline pos skip_digits(pos p, pos end)
{
    while (is_digit(p, end))
        p++;
    return p;
}

static inline pos read_number(struct lex *lx, pos p, struct json *out)
{
    pos from = p, end = lx->end;
    if (*p == '-')
        p++;
    if (!is_digit(p, end))
        return fail(lx, p, from == p ? "a value" : "a digit");
    p = *p == '0' ? p + 1 : skip_digits(p, end);
    if (p < end && *p == '.') {
        p++;
        if (!is_digit(p, end))
            return fail(lx, p, "a digit");
        p = skip_digits(p, end);
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        if (!is_digit(p, end))
            return fail(lx, p, "a digit");
        p = skip_digits(p, end);
    }
    *out =
        (struct json){.type = JSON_NUMBER, .n = (uint32_t)(p - from), .text = (const char *)from};
    return p;
}

static inline pos read_literal(struct lex *lx, pos p, struct json *out)
{
    static const struct {
        char text[6];
        uint8_t n, type;
    } literals[] = {{"true", 4, JSON_TRUE}, {"false", 5, JSON_FALSE}, {"null", 4, JSON_NULL}};
    for (size_t i = 0; i < sizeof(literals) / sizeof(literals[0]); i++) {
        size_t n = literals[i].n;
        if ((size_t)(lx->end - p) >= n && memcmp(p, literals[i].text, n) == 0) {
            *out = (struct json){.type = literals[i].type};
            return p + n;
        }
    }
    return fail(lx, p, "a value");
}

/*
 * The value at byte `at` of a text, nested in depth levels already, as a tree; *end is the byte
 * behind it. NULL on error.
 */
const struct json *json_parse_part(struct arena *a, struct str text, size_t at, uint32_t depth,
                                   const struct json_limits *limits, size_t *end, struct error *e);

#endif
