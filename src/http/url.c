#include "url.h"

#include "core/vec.h"
#include <string.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

struct str url_decode(struct arena *a, struct str s, bool plus_is_blank)
{
    bool as_is = str_find_char(s, '%') < 0 && !(plus_is_blank && str_find_char(s, '+') >= 0);
    if (as_is)
        return s.p ? s : S("");
    char *out = arena_alloc(a, s.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '%') {
            if (s.n - i < 3)
                return STR_NONE;
            int high = hex_digit(s.p[i + 1]), low = hex_digit(s.p[i + 2]);
            if (high < 0 || low < 0)
                return STR_NONE;
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && plus_is_blank) {
            c = ' ';
        }
        out[n++] = c;
    }
    out[n] = '\0';
    return str_n(out, n);
}

static bool is_unreserved(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

struct str url_encode(struct arena *a, struct str s)
{
    static const char digits[] = "0123456789ABCDEF";
    char *out = arena_alloc(a, s.n * 3 + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (is_unreserved(s.p[i])) {
            out[n++] = s.p[i];
        } else {
            out[n++] = '%';
            out[n++] = digits[c >> 4];
            out[n++] = digits[c & 15];
        }
    }
    out[n] = '\0';
    return str_n(out, n);
}

static struct str html_entity(char c)
{
    switch (c) {
    case '&':
        return S("&amp;");
    case '<':
        return S("&lt;");
    case '>':
        return S("&gt;");
    case '"':
        return S("&quot;");
    case '\'':
        return S("&#39;");
    default:
        return STR_NONE;
    }
}

struct str html_escape(struct arena *a, struct str s)
{
    size_t need = s.n;
    for (size_t i = 0; i < s.n; i++) {
        struct str entity = html_entity(s.p[i]);
        need += entity.n ? entity.n - 1 : 0;
    }
    if (need == s.n)
        return s.p ? s : S("");
    char *out = arena_alloc(a, need + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        struct str entity = html_entity(s.p[i]);
        if (entity.n) {
            memcpy(out + n, entity.p, entity.n);
            n += entity.n;
        } else {
            out[n++] = s.p[i];
        }
    }
    out[n] = '\0';
    return str_n(out, n);
}

static struct str decode_or_keep(struct arena *a, struct str s)
{
    struct str decoded = url_decode(a, s, true);
    return decoded.p ? decoded : s;
}

size_t url_pairs(struct arena *a, struct str s, const struct http_pair **pairs)
{
    VEC(struct http_pair) found = VEC_INIT;
    struct str field;
    while (found.n < URL_PAIRS_MAX && str_split(&s, '&', &field)) {
        if (field.n == 0)
            continue;
        ptrdiff_t eq = str_find_char(field, '=');
        struct http_pair *pair = vec_push(a, &found);
        pair->name = decode_or_keep(a, eq < 0 ? field : str_sub(field, 0, (size_t)eq));
        pair->value = eq < 0 ? S("") : decode_or_keep(a, str_from(field, (size_t)eq + 1));
    }
    *pairs = found.v;
    return found.n;
}
