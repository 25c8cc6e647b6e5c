/*
 * Templates of custom notifications: ${name} stands for id, type, service, servicePath, authToken
 * or the value of an attribute, which comes first of the latter three.
 */
#include "v2_notify.h"

/* --- names --- */

static bool is_word(struct str name, const char *word)
{
    return str_eq(name, str_c(word));
}

/* What a name stands for; false: nothing. authToken is never kept, so it is empty. */
static bool value_of(struct arena *a, struct str name, const struct v2_macros *m, struct json *out)
{
    if (is_word(name, "id")) {
        *out = json_v_str(v2_id(a, entity_id(m->stored)));
        return true;
    }
    if (is_word(name, "type")) {
        *out = json_v_str(v2_entity_type(a, m->stored));
        return true;
    }
    const struct json *instance = name.n ? v2_attr(a, m->stored, name) : NULL;
    if (instance) {
        *out = v2_value(a, instance);
        return true;
    }
    bool service = is_word(name, "service"), path = is_word(name, "servicePath");
    if (!service && !path && !is_word(name, "authToken"))
        return false;
    *out = json_v_str(service ? m->service : path ? m->path : S(""));
    return true;
}

/* --- texts --- */

/* The macro that begins at text: its name, and the bytes that it takes. */
static bool read_macro(struct str text, struct str *name, size_t *length)
{
    if (!str_starts(text, S("${")))
        return false;
    ptrdiff_t end = str_find_char(text, '}');
    if (end < 0)
        return false;
    *name = str_trim(str_sub(text, 2, (size_t)end - 2));
    *length = (size_t)end + 1;
    return true;
}

static void put_value(struct buf *out, const struct json *v)
{
    if (v->type == JSON_STRING)
        buf_str(out, json_text(v));
    else
        json_write(out, v);
}

struct str v2_expand(struct arena *a, struct str text, struct v2_macros *m, struct str absent)
{
    struct buf out = {.limit = V2_EXPANDED_MAX};
    while (text.n) {
        struct str name;
        size_t length;
        struct json value;
        if (!read_macro(text, &name, &length)) {
            ptrdiff_t next = str_find(str_from(text, 1), S("${"));
            size_t plain = next < 0 ? text.n : (size_t)next + 1;
            buf_add(&out, text.p, plain);
            text = str_from(text, plain);
            continue;
        }
        if (value_of(a, name, m, &value))
            put_value(&out, &value);
        else
            buf_str(&out, absent);
        text = str_from(text, length);
    }
    m->over = m->over || out.over;
    struct str result = buf_dup(&out, a);
    buf_release(&out);
    return result.p ? result : S("");
}

/* --- trees --- */

static struct json expand_string(struct arena *a, const struct json *v, struct v2_macros *m)
{
    struct str text = json_text(v), name;
    size_t length;
    struct json value;
    if (!read_macro(text, &name, &length) || length != text.n)
        return json_v_str(v2_expand(a, text, m, S("null")));
    return value_of(a, name, m, &value) ? value : json_v_null();
}

/* Trees are at most as deep as a body may be, so recursion is bounded. */
struct json v2_expand_json(struct arena *a, const struct json *v, struct v2_macros *m)
{
    if (v->type == JSON_STRING)
        return expand_string(a, v, m);
    if (v->type == JSON_ARRAY) {
        struct json *items = ARENA_ARRAY(a, struct json, v->n);
        for (uint32_t i = 0; i < v->n; i++)
            items[i] = v2_expand_json(a, &v->items[i], m);
        return json_v_array(items, v->n);
    }
    if (v->type != JSON_OBJECT)
        return *v;
    struct json_member *members = ARENA_ARRAY(a, struct json_member, v->n);
    for (uint32_t i = 0; i < v->n; i++)
        members[i] = json_m(json_key(&v->members[i]), v2_expand_json(a, &v->members[i].value, m));
    return json_v_object(members, v->n);
}

/* --- percent codes --- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte that a percent code at text stands for; -1: there is none. */
static int percent_code(struct str text)
{
    if (text.n < 3 || text.p[0] != '%')
        return -1;
    int high = hex_digit(text.p[1]), low = hex_digit(text.p[2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

struct str v2_percent_decode(struct arena *a, struct str text)
{
    char *out = arena_dup(a, text.p, text.n);
    size_t n = 0;
    for (size_t i = 0; i < text.n; n++) {
        int code = percent_code(str_from(text, i));
        out[n] = code < 0 ? text.p[i] : (char)code;
        i += code < 0 ? 1 : 3;
    }
    return str_n(out, n);
}

struct str v2_url_clean(struct arena *a, struct str text, bool in_query)
{
    static const char hex[] = "0123456789ABCDEF";
    struct buf out = BUF_INIT;
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        bool odd = c <= ' ' || c >= 0x7f || strchr("\"<>\\^`{|}", c) ||
                   (in_query && strchr("&=+#", c)) ||
                   (c == '%' && percent_code(str_from(text, i)) < 0);
        if (!odd) {
            buf_char(&out, text.p[i]);
            continue;
        }
        char code[3] = {'%', hex[c >> 4], hex[c & 15]};
        buf_add(&out, code, sizeof(code));
    }
    struct str result = buf_dup(&out, a);
    buf_release(&out);
    return result;
}
