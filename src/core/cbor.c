/*
 * CBOR in CTAP2 canonical form, see cbor.h. One loop over the input with a stack of the containers
 * that are open; each level knows how many elements it still waits for.
 */
#include "core/cbor.h"
#include <string.h>

const struct cbor_limits CBOR_CTAP2 = {4, (size_t)64 * 1024};

enum { MAJOR_UNSIGNED, MAJOR_NEGATIVE, MAJOR_BYTES, MAJOR_TEXT, MAJOR_ARRAY, MAJOR_MAP };
enum { SIMPLE_FALSE = 0xf4, SIMPLE_TRUE = 0xf5, SIMPLE_NULL = 0xf6 };

struct level {
    struct cbor *items;
    uint64_t at, n; /* elements read, and in all; two for each pair of a map */
    bool map;
    struct str last_key; /* as encoded; absent before the first */
};

struct reader {
    struct arena *arena;
    struct str in;
    size_t at;
    const struct cbor_limits *limits;
    struct error *error;
    struct level levels[CBOR_DEPTH_MAX];
    unsigned depth;
};

static enum err invalid(struct reader *r, size_t at, const char *what)
{
    return error_set(r->error, ERR_INVALID, "CBOR, byte %zu: %s", at, what);
}

static size_t left(const struct reader *r)
{
    return r->in.n - r->at;
}

/* The number that follows an initial byte, in its shortest form only. */
static enum err read_number(struct reader *r, unsigned info, uint64_t *out)
{
    size_t from = r->at - 1;
    uint64_t v = 0;
    if (info < 24) {
        *out = info;
        return OK;
    }
    if (info > 27)
        return invalid(r, from, info == 31 ? "an indefinite length" : "a reserved form");
    size_t n = (size_t)1 << (info - 24);
    if (left(r) < n)
        return invalid(r, from, "the input ends within a number");
    for (size_t i = 0; i < n; i++)
        v = v << 8 | (unsigned char)r->in.p[r->at++];
    if (v < (n == 1 ? 24 : UINT64_C(1) << 4 * n))
        return invalid(r, from, "a number that is not in its shortest form");
    *out = v;
    return OK;
}

static enum err read_string(struct reader *r, struct cbor *v, size_t from)
{
    if (v->number > left(r))
        return invalid(r, from, "a text or byte string longer than the input");
    v->bytes = r->in.p + r->at;
    r->at += v->number;
    if (v->type == CBOR_TEXT && !str_is_utf8(str_n(v->bytes, v->number)))
        return invalid(r, from, "a text that is not UTF-8");
    return OK;
}

/* Opens a level; an element takes a byte at least, so what cannot be there takes no memory. */
static enum err open_container(struct reader *r, struct cbor *v, size_t from)
{
    uint64_t elements = v->type == CBOR_MAP ? 2 : 1;
    if (v->number > left(r) / elements)
        return invalid(r, from, "more elements than the input can hold");
    if (r->depth == r->limits->max_depth || r->depth == CBOR_DEPTH_MAX)
        return error_set(r->error, ERR_TOO_LARGE, "CBOR, byte %zu: nested more than %u deep", from,
                         r->limits->max_depth);
    struct level *l = &r->levels[r->depth++];
    *l = (struct level){.n = v->number * elements, .map = v->type == CBOR_MAP};
    l->items = ARENA_ARRAY(r->arena, struct cbor, l->n);
    v->items = l->items;
    return OK;
}

static enum err read_item(struct reader *r, struct cbor *v)
{
    static const enum cbor_type types[] = {CBOR_UNSIGNED, CBOR_NEGATIVE, CBOR_BYTES,
                                           CBOR_TEXT,     CBOR_ARRAY,    CBOR_MAP};
    size_t from = r->at;
    if (!left(r))
        return invalid(r, from, "the input ends where an item belongs");
    unsigned initial = (unsigned char)r->in.p[r->at++], major = initial >> 5;
    *v = (struct cbor){0};
    if (major > MAJOR_MAP) {
        if (initial < SIMPLE_FALSE || initial > SIMPLE_NULL)
            return invalid(r, from, "a tag, a floating-point number or a simple value");
        v->type = initial == SIMPLE_FALSE  ? CBOR_FALSE
                  : initial == SIMPLE_TRUE ? CBOR_TRUE
                                           : CBOR_NULL;
        return OK;
    }
    enum err err = read_number(r, initial & 31, &v->number);
    v->type = types[major];
    if (!err && (major == MAJOR_BYTES || major == MAJOR_TEXT))
        err = read_string(r, v, from);
    else if (!err && major >= MAJOR_ARRAY)
        err = open_container(r, v, from);
    return err;
}

/* Order of keys as encoded: by major type, then the shorter first, then by bytes. Of one type the
 * shortest form makes the order by length and bytes that of the encodings. */
static bool key_after(struct str last, struct str key)
{
    unsigned char x = (unsigned char)last.p[0] >> 5, y = (unsigned char)key.p[0] >> 5;
    if (x != y)
        return x < y;
    if (last.n != key.n)
        return last.n < key.n;
    return memcmp(last.p, key.p, key.n) < 0;
}

static enum err check_key(struct reader *r, struct level *l, const struct cbor *v, size_t from)
{
    struct str key = str_n(r->in.p + from, r->at - from);
    if (v->type > CBOR_TEXT)
        return invalid(r, from, "a key that is no integer, text or byte string");
    if (l->last_key.p && !key_after(l->last_key, key))
        return invalid(r, from, "a key out of order, or twice");
    l->last_key = key;
    return OK;
}

/* The next element of the innermost level. */
static enum err step(struct reader *r)
{
    struct level *l = &r->levels[r->depth - 1];
    size_t from = r->at;
    bool key = l->map && l->at % 2 == 0;
    struct cbor *v = &l->items[l->at++];
    enum err err = read_item(r, v);
    return err || !key ? err : check_key(r, l, v, from);
}

const struct cbor *cbor_read(struct arena *a, struct str *bytes, const struct cbor_limits *limits,
                             struct error *e)
{
    struct reader r = {.arena = a, .in = *bytes, .limits = limits, .error = e};
    struct cbor *root = ARENA_NEW(a, struct cbor);
    if (bytes->n > limits->max_bytes) {
        error_set(e, ERR_TOO_LARGE, "CBOR of more than %zu bytes", limits->max_bytes);
        return NULL;
    }
    enum err err = read_item(&r, root);
    while (!err && r.depth) {
        struct level *l = &r.levels[r.depth - 1];
        if (l->at == l->n)
            r.depth--;
        else
            err = step(&r);
    }
    if (err)
        return NULL;
    *bytes = str_from(*bytes, r.at);
    return root;
}

/* --- looking --- */

const struct cbor *cbor_get(const struct cbor *map, struct str key)
{
    for (uint64_t i = 0; cbor_is(map, CBOR_MAP) && i < map->number; i++)
        if (map->items[2 * i].type == CBOR_TEXT && str_eq(cbor_text(&map->items[2 * i]), key))
            return &map->items[2 * i + 1];
    return NULL;
}

const struct cbor *cbor_get_i64(const struct cbor *map, int64_t label)
{
    int64_t found;
    for (uint64_t i = 0; cbor_is(map, CBOR_MAP) && i < map->number; i++)
        if (cbor_i64(&map->items[2 * i], &found) && found == label)
            return &map->items[2 * i + 1];
    return NULL;
}

const struct cbor *cbor_at(const struct cbor *array, uint64_t i)
{
    return cbor_is(array, CBOR_ARRAY) && i < array->number ? &array->items[i] : NULL;
}

struct str cbor_text(const struct cbor *v)
{
    return cbor_is(v, CBOR_TEXT) ? str_n(v->bytes, v->number) : STR_NONE;
}

struct str cbor_bytes(const struct cbor *v)
{
    return cbor_is(v, CBOR_BYTES) ? str_n(v->bytes, v->number) : STR_NONE;
}

bool cbor_i64(const struct cbor *v, int64_t *out)
{
    if (!v || (v->type != CBOR_UNSIGNED && v->type != CBOR_NEGATIVE) || v->number > INT64_MAX)
        return false;
    *out = v->type == CBOR_NEGATIVE ? -1 - (int64_t)v->number : (int64_t)v->number;
    return true;
}
