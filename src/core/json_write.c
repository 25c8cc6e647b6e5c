#include "core/datetime.h"
#include "core/json.h"

#include "json_scan.h"

/*
 * Output goes through a cursor with known free space; each piece first asks for the most it can
 * take. With a limit on the buffer, writing stops early instead of filling memory: the text is
 * dropped as a whole, as buf.h promises for one addition.
 */
struct cursor {
    char *at, *end;
    size_t start; /* length of the buffer before */
    struct buf *buf;
};

static struct cursor cursor_open(struct buf *out)
{
    buf_reserve(out, 64);
    return (struct cursor){out->p + out->n, out->p + out->cap - 1, out->n, out};
}

static void cursor_close(struct cursor *c)
{
    struct buf *b = c->buf;
    b->n = (size_t)(c->at - b->p);
    if (b->limit && (b->over || b->n > b->limit)) {
        b->over = true;
        b->n = c->start;
    }
    b->p[b->n] = '\0';
}

static __attribute__((noinline)) void cursor_grow(struct cursor *c, size_t need)
{
    struct buf *b = c->buf;
    b->n = (size_t)(c->at - b->p);
    if (b->limit && b->n > b->limit) {
        b->over = true; /* write over what was written: it is dropped anyway */
        b->n = c->start;
    }
    buf_reserve(b, need);
    c->at = b->p + b->n;
    c->end = b->p + b->cap - 1;
}

static inline void need(struct cursor *c, size_t n)
{
    if (__builtin_expect((size_t)(c->end - c->at) < n, 0))
        cursor_grow(c, n);
}

static char *put_escape(char *to, unsigned char byte)
{
    static const char hex[] = "0123456789abcdef";
    static const char names[0x20] = {
        ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    *to++ = '\\';
    if (byte >= 0x20) {
        *to++ = (char)byte;
    } else if (names[byte]) {
        *to++ = names[byte];
    } else {
        *to++ = 'u';
        *to++ = '0';
        *to++ = '0';
        *to++ = hex[byte >> 4];
        *to++ = hex[byte & 15];
    }
    return to;
}

/* A string that may need escapes; leaves room for two more bytes. */
static void put_escaped(struct cursor *c, const char *text, size_t n)
{
    const unsigned char *p = (const unsigned char *)text, *end = p + n;
    need(c, n + 4);
    *c->at++ = '"';
    while (n) {
        const unsigned char *stop = scan_unescaped(p, end);
        need(c, (size_t)(end - p) + 12);
        c->at = copy_short(c->at, (const char *)p, (size_t)(stop - p));
        if (stop == end)
            break;
        c->at = put_escape(c->at, *stop);
        p = stop + 1;
    }
    *c->at++ = '"';
}

/* Leaves room for two more bytes. */
static inline void put_string(struct cursor *c, const char *text, size_t n, unsigned flags)
{
    if (!(flags & JSON_PLAIN)) {
        put_escaped(c, text, n);
        return;
    }
    need(c, n + 4);
    *c->at++ = '"';
    c->at = copy_short(c->at, text, n);
    *c->at++ = '"';
}

static inline void put_lit(struct cursor *c, const char *text, size_t n)
{
    need(c, n);
    c->at = copy_short(c->at, text, n);
}

/* Recursion is bounded by the depth of the tree, see json_value.c. */
static void put(struct cursor *c, const struct json *v)
{
    switch (json_type(v)) {
    case JSON_NULL:
        put_lit(c, "null", 4);
        return;
    case JSON_FALSE:
        put_lit(c, "false", 5);
        return;
    case JSON_TRUE:
        put_lit(c, "true", 4);
        return;
    case JSON_NUMBER:
        put_lit(c, v->text, v->n);
        return;
    case JSON_STRING:
        put_string(c, v->text, v->n, v->flags);
        return;
    case JSON_ARRAY:
        need(c, 2);
        *c->at++ = '[';
        for (uint32_t i = 0; i < v->n; i++) {
            if (i) {
                need(c, 1);
                *c->at++ = ',';
            }
            put(c, &v->items[i]);
        }
        need(c, 1);
        *c->at++ = ']';
        return;
    case JSON_OBJECT:
        need(c, 2);
        *c->at++ = '{';
        for (uint32_t i = 0; i < v->n; i++) {
            const struct json_member *m = &v->members[i];
            if (i) {
                need(c, 1);
                *c->at++ = ',';
            }
            put_string(c, m->key, m->key_n, m->key_flags);
            *c->at++ = ':';
            put(c, &m->value);
        }
        need(c, 1);
        *c->at++ = '}';
        return;
    }
}

void json_write(struct buf *out, const struct json *v)
{
    struct cursor c = cursor_open(out);
    put(&c, v);
    cursor_close(&c);
}

void json_write_str(struct buf *out, struct str s)
{
    struct cursor c = cursor_open(out);
    put_escaped(&c, s.p, s.n);
    cursor_close(&c);
}

struct str json_to_text(struct arena *a, const struct json *v)
{
    struct buf b = BUF_INIT;
    json_write(&b, v);
    struct str text = buf_dup(&b, a);
    buf_release(&b);
    return text;
}

/* --- streaming --- */

/* Deeper than the record of open levels: the text is given up, as over a limit. */
static const uint32_t WRITER_DEPTH = sizeof(((struct json_writer *)0)->kind);

struct json_writer json_writer(struct buf *out)
{
    return (struct json_writer){.out = out};
}

/* A value begins: the comma that is due, and one is due after it. */
static void begin_value(struct json_writer *w)
{
    if (w->comma)
        buf_char(w->out, ',');
    w->comma = true;
}

static void open_level(struct json_writer *w, unsigned char kind)
{
    begin_value(w);
    buf_char(w->out, (char)kind);
    w->comma = false;
    if (w->depth < WRITER_DEPTH)
        w->kind[w->depth] = kind;
    else
        w->out->over = true;
    w->depth++;
}

void json_w_object(struct json_writer *w)
{
    open_level(w, '{');
}

void json_w_array(struct json_writer *w)
{
    open_level(w, '[');
}

void json_w_end(struct json_writer *w)
{
    if (w->depth == 0)
        return;
    w->depth--;
    if (w->depth < WRITER_DEPTH)
        buf_char(w->out, w->kind[w->depth] == '{' ? '}' : ']');
    w->comma = true;
}

void json_w_key(struct json_writer *w, struct str key)
{
    begin_value(w);
    json_write_str(w->out, key);
    buf_char(w->out, ':');
    w->comma = false;
}

void json_w_value(struct json_writer *w, const struct json *v)
{
    begin_value(w);
    json_write(w->out, v);
}

void json_w_str(struct json_writer *w, struct str s)
{
    begin_value(w);
    json_write_str(w->out, s);
}

void json_w_number(struct json_writer *w, struct str text)
{
    begin_value(w);
    buf_str(w->out, text);
}

void json_w_i64(struct json_writer *w, int64_t v)
{
    begin_value(w);
    buf_i64(w->out, v);
}

void json_w_bool(struct json_writer *w, bool v)
{
    begin_value(w);
    buf_str(w->out, v ? S("true") : S("false"));
}

void json_w_null(struct json_writer *w)
{
    begin_value(w);
    BUF_LIT(w->out, "null");
}

void json_w_kstr(struct json_writer *w, struct str key, struct str v)
{
    json_w_key(w, key);
    json_w_str(w, v);
}

void json_w_ki64(struct json_writer *w, struct str key, int64_t v)
{
    json_w_key(w, key);
    json_w_i64(w, v);
}

void json_w_kbool(struct json_writer *w, struct str key, bool v)
{
    json_w_key(w, key);
    json_w_bool(w, v);
}

void json_w_ktime(struct json_writer *w, struct str key, int64_t instant)
{
    char text[DATETIME_MAX];
    if (instant)
        json_w_kstr(w, key, str_n(text, datetime_format(instant, text)));
}
