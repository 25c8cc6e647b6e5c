#include "ruby.h"
#include "core/arena.h"
#include <string.h>

/* The marks in UTF-8, three bytes each: U+FF5C, U+300A, U+300B. */
#define MARK_START S("\xEF\xBD\x9C")
#define MARK_OPEN  S("\xE3\x80\x8A")
#define MARK_CLOSE S("\xE3\x80\x8B")
enum { MARK_N = 3, READING_MAX = 120 };

/* "｜base《reading》" at the start of s: its length, or 0. */
static size_t match(struct str s, struct str *base, struct str *reading)
{
    if (!str_starts(s, MARK_START))
        return 0;
    struct str near = str_sub(s, MARK_N, READING_MAX);
    ptrdiff_t open = str_find(near, MARK_OPEN);
    if (open <= 0)
        return 0;
    struct str rest = str_from(near, (size_t)open + MARK_N);
    ptrdiff_t close = str_find(rest, MARK_CLOSE);
    *base = str_sub(near, 0, (size_t)open);
    *reading = str_sub(rest, 0, close > 0 ? (size_t)close : 0);
    if (close <= 0 || str_find_char(*base, '<') >= 0 || str_find_char(*reading, '<') >= 0)
        return 0;
    return MARK_N + (size_t)open + MARK_N + (size_t)close + MARK_N;
}

/* Elements whose content is text only. */
static const char *const plain_tags[] = {"title", "option", "textarea", "text", "desc", "script"};

static const char *plain_tag(struct str s)
{
    for (size_t i = 0; i < sizeof(plain_tags) / sizeof(plain_tags[0]); i++) {
        size_t n = strlen(plain_tags[i]);
        if (s.n > n + 1 && memcmp(s.p + 1, plain_tags[i], n) == 0 &&
            (s.p[n + 1] == '>' || s.p[n + 1] == ' '))
            return plain_tags[i];
    }
    return NULL;
}

static bool closes(struct str s, const char *tag)
{
    size_t n = strlen(tag);
    return s.n > n + 2 && s.p[1] == '/' && memcmp(s.p + 2, tag, n) == 0;
}

void ruby_page(struct buf *out, struct str html)
{
    bool in_tag = false;
    const char *plain = NULL;
    for (size_t i = 0; i < html.n;) {
        struct str rest = str_from(html, i), base, reading;
        char c = html.p[i];
        size_t n = (unsigned char)c == 0xEF ? match(rest, &base, &reading) : 0;
        if (n && (in_tag || plain)) {
            buf_str(out, base);
        } else if (n) {
            BUF_LIT(out, "<ruby>");
            buf_str(out, base);
            BUF_LIT(out, "<rp>(</rp><rt>");
            buf_str(out, reading);
            BUF_LIT(out, "</rt><rp>)</rp></ruby>");
        }
        if (n) {
            i += n;
            continue;
        }
        if (c == '<') {
            in_tag = true;
            if (!plain)
                plain = plain_tag(rest);
            else if (closes(rest, plain))
                plain = NULL;
        } else if (c == '>') {
            in_tag = false;
        }
        buf_char(out, c);
        i++;
    }
}

struct str ruby_plain(struct arena *a, struct str text)
{
    struct buf out = BUF_INIT;
    for (size_t i = 0; i < text.n;) {
        struct str base, reading;
        size_t n = match(str_from(text, i), &base, &reading);
        buf_str(&out, n ? base : str_sub(text, i, 1));
        i += n ? n : 1;
    }
    struct str plain = buf_dup(&out, a);
    buf_release(&out);
    return plain;
}
