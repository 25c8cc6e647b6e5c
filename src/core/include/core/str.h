/*
 * str.h - slices: text that somebody else owns.
 *
 * A struct str is a pointer and a length; it is passed by value, is not NUL-terminated, and lives
 * as long as the memory that it points into. A str with p == NULL is "absent", which differs from
 * the empty text; str_eq() treats both as equal.
 *
 *     if (str_eq(method, S("GET"))) ...
 *     printf("%" STR_F "\n", STR_A(name));
 */
#ifndef CORE_STR_H
#define CORE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;

struct str {
    const char *p;
    size_t n;
};

/* A string literal as a slice; use S_INIT for static initialisers. */
#define S(lit) ((struct str){(lit), sizeof(lit) - 1})
#define S_INIT(lit)                                                                                \
    {                                                                                              \
        (lit), sizeof(lit) - 1                                                                     \
    }
#define STR_NONE ((struct str){0, 0})
#define STR_F    ".*s"
#define STR_A(s) (int)(s).n, (s).p ? (s).p : ""

struct str str_c(const char *z);           /* of a NUL-terminated string; NULL gives STR_NONE */
struct str str_n(const char *p, size_t n); /* of n bytes */
bool str_eq(struct str a, struct str b);
bool str_eq_nocase(struct str a, struct str b); /* ASCII letters only */
int str_cmp(struct str a, struct str b);        /* by bytes: code point order for UTF-8 */
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);

/* Offset of the first occurrence, or -1. */
ptrdiff_t str_find(struct str s, struct str needle);
ptrdiff_t str_find_char(struct str s, char c);

struct str str_sub(struct str s, size_t from, size_t n); /* clamped to s */
struct str str_from(struct str s, size_t from);          /* the rest; clamped */
struct str str_cut(struct str s, size_t n);              /* at most n bytes, whole characters */
struct str str_trim(struct str s);                       /* without ASCII blanks at both ends */

/*
 * Take the next field of *rest up to sep into *field; false at the end.
 * "a,,b" gives "a", "" and "b"; "a," gives "a"; "" gives nothing.
 */
bool str_split(struct str *rest, char sep, struct str *field);

/* Whole text as a number in base 10: no blanks, no sign '+', no overflow; false otherwise. */
bool str_to_i64(struct str s, int64_t *out);
bool str_to_u64(struct str s, uint64_t *out);
/* Whole text as a JSON-like number, locale-independent; false for inf, nan, hex and rest. */
bool str_to_double(struct str s, double *out);

struct str str_dup(struct arena *a, struct str s); /* NUL-terminated copy */
struct str str_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
struct str str_concat(struct arena *a, struct str x, struct str y);
char *str_z(struct arena *a, struct str s); /* NUL-terminated copy as char * */

uint64_t str_hash(struct str s); /* keyed by process, see map.h */

/* True when s is well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool str_is_utf8(struct str s);

/* Decode one code point at s[*i] and advance; U+FFFD for a bad byte. *i must be < s.n. */
uint32_t str_utf8_next(struct str s, size_t *i);
size_t str_utf8_put(uint32_t cp, char out[4]); /* bytes written */

#endif
