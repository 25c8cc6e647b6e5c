#include "core/json.h"

#include "json_lex.h"

/*
 * One event a call, nothing remembered but the kind of each open level. A value that begins is
 * noted by its place, so that it can be read once more as a tree.
 */
enum { AT_VALUE, AT_FIRST_ITEM, AT_FIRST_KEY, AT_NEXT, AT_FAILED };

static struct lex lex_of(const struct json_pull *p)
{
    const unsigned char *start = (const unsigned char *)p->text.p;
    return (struct lex){start, start + p->text.n, p->arena, p->error};
}

void json_pull_open(struct json_pull *p, struct arena *a, struct str text,
                    const struct json_limits *limits, struct error *e)
{
    *p = (struct json_pull){.text = text.n ? text : S(""),
                            .arena = a,
                            .error = e,
                            .began = SIZE_MAX};
    p->limits = *limits;
    if (p->limits.max_depth > JSON_MAX_DEPTH)
        p->limits.max_depth = JSON_MAX_DEPTH;
    if (text.n > limits->max_bytes || text.n > UINT32_MAX) {
        error_set(e, ERR_TOO_LARGE, "json: %zu bytes are more than the limit of %zu", text.n,
                  limits->max_bytes);
        p->state = AT_FAILED;
    }
}

static bool in_object(const struct json_pull *p)
{
    uint32_t level = p->depth - 1;
    return p->objects[level / 8] >> (level % 8) & 1;
}

static enum json_event failed(struct json_pull *p)
{
    p->state = AT_FAILED;
    return JSON_EV_FAILED;
}

static enum json_event expected(struct json_pull *p, struct lex *lx, pos at, const char *what)
{
    fail(lx, at, what);
    return failed(p);
}

static enum json_event open_level(struct json_pull *p, struct lex *lx, pos at)
{
    bool object = *at == '{';
    if (p->depth == p->limits.max_depth) {
        error_set(lx->error, ERR_TOO_LARGE, "json: byte %zu: nested more than %u levels deep",
                  (size_t)(at - lx->start), p->limits.max_depth);
        return failed(p);
    }
    unsigned char *kinds = &p->objects[p->depth / 8], bit = (unsigned char)(1u << p->depth % 8);
    *kinds = (unsigned char)(object ? *kinds | bit : *kinds & ~bit);
    p->depth++;
    p->at = (size_t)(at + 1 - lx->start);
    p->state = object ? AT_FIRST_KEY : AT_FIRST_ITEM;
    return object ? JSON_EV_OBJECT : JSON_EV_ARRAY;
}

static enum json_event close_level(struct json_pull *p, struct lex *lx, pos at)
{
    bool object = in_object(p);
    p->depth--;
    p->at = (size_t)(at + 1 - lx->start);
    p->began = SIZE_MAX;
    p->state = AT_NEXT;
    return object ? JSON_EV_OBJECT_END : JSON_EV_ARRAY_END;
}

static enum json_event read_member_key(struct json_pull *p, struct lex *lx, pos at)
{
    struct lex_text key;
    if (at == lx->end || *at != '"')
        return expected(p, lx, at, "a key");
    at = read_string(lx, at + 1, &key);
    if (!at)
        return failed(p);
    at = skip_blanks(at, lx->end);
    if (at == lx->end || *at != ':')
        return expected(p, lx, at, "':'");
    p->key = str_n(key.p, key.n);
    p->at = (size_t)(at + 1 - lx->start);
    p->began = SIZE_MAX;
    p->state = AT_VALUE;
    return JSON_EV_KEY;
}

static pos read_scalar(struct lex *lx, pos at, struct json *out)
{
    if (*at == 't' || *at == 'f' || *at == 'n')
        return read_literal(lx, at, out);
    if (*at != '"')
        return read_number(lx, at, out);
    struct lex_text text;
    at = read_string(lx, at + 1, &text);
    if (at)
        *out = (struct json){.type = JSON_STRING,
                             .flags = (uint8_t)text.flags,
                             .n = text.n,
                             .text = text.p};
    return at;
}

static enum json_event read_any(struct json_pull *p, struct lex *lx, pos at)
{
    if (at == lx->end)
        return expected(p, lx, at, "a value");
    p->began = (size_t)(at - lx->start);
    if (*at == '{' || *at == '[')
        return open_level(p, lx, at);
    at = read_scalar(lx, at, &p->value);
    if (!at)
        return failed(p);
    p->at = (size_t)(at - lx->start);
    p->state = AT_NEXT;
    return JSON_EV_VALUE;
}

/* Behind a complete value. */
static enum json_event go_on(struct json_pull *p, struct lex *lx, pos at)
{
    if (p->depth == 0)
        return at == lx->end ? JSON_EV_END : expected(p, lx, at, "the end of the text");
    bool object = in_object(p);
    if (at < lx->end && *at == ',') {
        at = skip_blanks(at + 1, lx->end);
        return object ? read_member_key(p, lx, at) : read_any(p, lx, at);
    }
    if (at == lx->end || *at != (object ? '}' : ']'))
        return expected(p, lx, at, object ? "',' or '}'" : "',' or ']'");
    return close_level(p, lx, at);
}

enum json_event json_pull_next(struct json_pull *p)
{
    struct lex lx = lex_of(p);
    pos at = skip_blanks(lx.start + p->at, lx.end);
    switch (p->state) {
    case AT_FIRST_ITEM:
        if (at < lx.end && *at == ']')
            return close_level(p, &lx, at);
        return read_any(p, &lx, at);
    case AT_FIRST_KEY:
        if (at < lx.end && *at == '}')
            return close_level(p, &lx, at);
        return read_member_key(p, &lx, at);
    case AT_VALUE:
        return read_any(p, &lx, at);
    case AT_NEXT:
        return go_on(p, &lx, at);
    default:
        return JSON_EV_FAILED;
    }
}

/* Has the last event begun an array or object? */
static bool has_begun(const struct json_pull *p)
{
    return p->state == AT_FIRST_ITEM || p->state == AT_FIRST_KEY;
}

bool json_pull_skip(struct json_pull *p)
{
    if (!has_begun(p))
        return p->state != AT_FAILED;
    uint32_t around = p->depth - 1;
    while (p->state != AT_FAILED && p->depth > around)
        json_pull_next(p);
    return p->state != AT_FAILED;
}

const struct json *json_pull_tree(struct json_pull *p, struct arena *a, struct error *e)
{
    size_t end;
    uint32_t around = p->depth - has_begun(p);
    if (p->state == AT_FAILED || p->began == SIZE_MAX) {
        error_set(e, ERR_INVALID, "json: byte %zu: no value begins here", p->at);
        return NULL;
    }
    const struct json *v = json_parse_part(a, p->text, p->began, around, &p->limits, &end, e);
    if (!v) {
        json_pull_skip(p);
        return NULL;
    }
    p->at = end;
    p->depth = around;
    p->state = AT_NEXT;
    return v;
}
