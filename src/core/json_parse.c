#include "core/json.h"

#include "json_scan.h"
#include "utf8.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * One pass, no recursion. Values wait on a stack of 16-byte slots until their array or object is
 * closed; then they are copied, side by side, into the arena. A member takes two slots, its key and
 * its value. The stack begins on the C stack and moves to the heap when a text needs more.
 */
enum { MAX_DEPTH = 512, FIRST_SLOTS = 512, LINEAR_KEYS = 32 };

const struct json_limits JSON_DEFAULT = {64, (size_t)16 << 20, JSON_DUP_REFUSE};

struct key {
    const char *p;
    uint32_t n, flags;
};

union slot {
    struct json value;
    struct key key;
    uint32_t table[4]; /* while keys are checked */
};

_Static_assert(sizeof(union slot) == 16, "a slot is 16 bytes");
_Static_assert(sizeof(struct json_member) == 2 * sizeof(union slot), "a member is two slots");

struct level {
    size_t first; /* slot */
    bool object;
};

struct parser {
    const unsigned char *start, *end;
    const struct json_limits *limits;
    struct arena *arena;
    struct error *error;
    union slot *slots;
    size_t top, cap;
    union slot *heap; /* slots when they outgrew the C stack */
    uint32_t depth, max_depth;
    struct level levels[MAX_DEPTH];
};

typedef const unsigned char *pos; /* NULL after an error */

static pos fail(struct parser *ps, pos at, const char *expected)
{
    error_set(ps->error, ERR_INVALID, "json: byte %zu: expected %s", (size_t)(at - ps->start),
              expected);
    return NULL;
}

static void grow_slots(struct parser *ps, size_t more)
{
    size_t cap = ps->cap * 2 > ps->top + more ? ps->cap * 2 : ps->top + more;
    union slot *grown = realloc(ps->heap, cap * sizeof(*grown));
    if (!grown) {
        fprintf(stderr, "out of memory: cannot parse json with %zu values\n", cap);
        abort();
    }
    if (!ps->heap)
        memcpy(grown, ps->slots, ps->top * sizeof(*grown));
    ps->heap = ps->slots = grown;
    ps->cap = cap;
}

static inline union slot *push(struct parser *ps)
{
    if (__builtin_expect(ps->top == ps->cap, 0))
        grow_slots(ps, 1);
    return &ps->slots[ps->top++];
}

static inline pos skip_blanks(pos p, pos end)
{
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    return p;
}

/* --- strings --- */

static int hex_digit(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four hexadecimal digits at p, or -1. */
static int32_t hex4(pos p, pos end)
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
static pos read_unicode(struct parser *ps, pos p, uint32_t *cp)
{
    int32_t unit = hex4(p, ps->end);
    if (unit < 0)
        return fail(ps, p, "four hexadecimal digits");
    *cp = (uint32_t)unit;
    if (unit < 0xD800 || unit > 0xDFFF)
        return p + 4;
    int32_t low = -1;
    if (unit < 0xDC00 && ps->end - p >= 10 && p[4] == '\\' && p[5] == 'u')
        low = hex4(p + 6, ps->end);
    if (low < 0xDC00 || low > 0xDFFF)
        return fail(ps, p, "a pair of surrogates");
    *cp = 0x10000 + (((uint32_t)unit - 0xD800) << 10) + ((uint32_t)low - 0xDC00);
    return p + 10;
}

/*
 * One escape, p after the backslash; its text goes to *to. The closing quote was seen further on,
 * so that there is a byte at p.
 */
static pos read_escape(struct parser *ps, pos p, char **to, bool *plain)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    uint32_t cp = 0;
    if (*p == 'u') {
        p = read_unicode(ps, p + 1, &cp);
        if (!p)
            return NULL;
    } else {
        const char *at = memchr(names, *p, sizeof(names) - 1);
        if (!at)
            return fail(ps, p, "an escape");
        cp = (uint32_t)values[at - names];
        p++;
    }
    if (cp < 0x20 || cp == '"' || cp == '\\')
        *plain = false;
    *to += str_utf8_put(cp, *to);
    return p;
}

/* After the well-formed characters beyond ASCII at p. */
static inline pos skip_wide(struct parser *ps, pos p)
{
    do {
        size_t n = utf8_sequence(p, ps->end);
        if (n == 0)
            return fail(ps, p, "well-formed UTF-8");
        p += n;
    } while (p < ps->end && *p >= 0x80);
    return p;
}

/* The rest of a string that began at from and has its first backslash at p. */
static pos read_escaped(struct parser *ps, pos from, pos p, struct key *out)
{
    pos quote = p;
    while (quote < ps->end && *quote != '"')
        quote += *quote == '\\' ? 2 : 1;
    if (quote >= ps->end)
        return fail(ps, ps->end, "a closing quote");
    /* decoded text is never longer than its escapes */
    char *text = arena_alloc(ps->arena, (size_t)(quote - from)), *to = text;
    bool plain = true;
    for (pos run = from;; p = scan_ascii(p, ps->end)) {
        if (*p >= 0x80) {
            p = skip_wide(ps, p);
            if (!p)
                return NULL;
            continue;
        }
        to = copy_short(to, (const char *)run, (size_t)(p - run));
        if (*p == '"')
            break;
        if (*p != '\\')
            return fail(ps, p, "no control character in a string");
        p = read_escape(ps, p + 1, &to, &plain);
        if (!p)
            return NULL;
        run = p;
    }
    *out = (struct key){text, (uint32_t)(to - text), plain ? JSON_PLAIN : 0};
    return p + 1;
}

/* A string, p after its opening quote. */
static inline pos read_string(struct parser *ps, pos p, struct key *out)
{
    pos from = p;
    for (;;) {
        p = scan_ascii(p, ps->end);
        if (p == ps->end)
            return fail(ps, p, "a closing quote");
        if (*p == '"')
            break;
        if (*p == '\\')
            return read_escaped(ps, from, p, out);
        if (*p < 0x20)
            return fail(ps, p, "no control character in a string");
        p = skip_wide(ps, p);
        if (!p)
            return NULL;
    }
    *out = (struct key){(const char *)from, (uint32_t)(p - from), JSON_PLAIN};
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

static inline pos read_number(struct parser *ps, pos p, struct json *out)
{
    pos from = p, end = ps->end;
    if (*p == '-')
        p++;
    if (!is_digit(p, end))
        return fail(ps, p, from == p ? "a value" : "a digit");
    p = *p == '0' ? p + 1 : skip_digits(p, end);
    if (p < end && *p == '.') {
        p++;
        if (!is_digit(p, end))
            return fail(ps, p, "a digit");
        p = skip_digits(p, end);
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        if (!is_digit(p, end))
            return fail(ps, p, "a digit");
        p = skip_digits(p, end);
    }
    *out =
        (struct json){.type = JSON_NUMBER, .n = (uint32_t)(p - from), .text = (const char *)from};
    return p;
}

static pos read_literal(struct parser *ps, pos p, struct json *out)
{
    static const struct {
        char text[6];
        uint8_t n, type;
    } literals[] = {{"true", 4, JSON_TRUE}, {"false", 5, JSON_FALSE}, {"null", 4, JSON_NULL}};
    for (size_t i = 0; i < sizeof(literals) / sizeof(literals[0]); i++) {
        size_t n = literals[i].n;
        if ((size_t)(ps->end - p) >= n && memcmp(p, literals[i].text, n) == 0) {
            *out = (struct json){.type = literals[i].type};
            return p + n;
        }
    }
    return fail(ps, p, "a value");
}

/* --- arrays and objects --- */

static inline struct str slot_key(const union slot *s)
{
    return str_n(s->key.p, s->key.n);
}

/*
 * In a small object: the number of an earlier member with the key of member i, or i. Most keys
 * differ in their length or their ends; *seen remembers those, so that few pairs are compared.
 */
static inline size_t find_linear(const union slot *first, size_t i, uint64_t *seen)
{
    const struct key *k = &first[2 * i].key;
    unsigned mark = k->n;
    if (k->n)
        mark += (unsigned char)k->p[0] * 3u + (unsigned char)k->p[k->n - 1] * 5u;
    uint64_t bit = UINT64_C(1) << (mark & 63);
    bool fresh = !(*seen & bit);
    *seen |= bit;
    for (size_t j = fresh ? i : 0; j < i; j++) {
        const struct key *other = &first[2 * j].key;
        if (other->n == k->n && (k->n == 0 || memcmp(other->p, k->p, k->n) == 0))
            return j;
    }
    return i;
}

static pos refuse_duplicate(struct parser *ps, pos p, const union slot *member)
{
    struct str key = str_cut(slot_key(member), 60);
    error_set(ps->error, ERR_INVALID,
              "json: byte %zu: expected no duplicate key \"%" STR_F "\" in the object",
              (size_t)(p - ps->start), STR_A(key));
    return NULL;
}

/*
 * Look for duplicate keys among the n members from slot first. JSON_DUP_LAST marks the earlier
 * ones by a NULL key; *n_dropped counts them. Large objects use a hash table of member numbers
 * (from 1) in the free slots above them: hostile input must not take quadratic time.
 */
static pos check_keys(struct parser *ps, pos p, size_t first, size_t n, size_t *n_dropped)
{
    uint32_t *table = NULL;
    size_t mask = 0;
    uint64_t seen = 0;
    if (n > LINEAR_KEYS) {
        size_t size = 64;
        while (size < 2 * n)
            size *= 2;
        mask = size - 1;
        size_t need = size * sizeof(*table) / sizeof(union slot);
        if (ps->cap - ps->top < need)
            grow_slots(ps, need);
        table = ps->slots[ps->top].table;
        memset(&ps->slots[ps->top], 0, size * sizeof(*table));
    }
    union slot *m = &ps->slots[first];
    for (size_t i = 0; i < n; i++) {
        size_t same = i;
        if (table) {
            struct str key = slot_key(&m[2 * i]);
            size_t at = (size_t)str_hash(key) & mask;
            while (table[at] && !str_eq(slot_key(&m[2 * (table[at] - 1)]), key))
                at = (at + 1) & mask;
            if (table[at])
                same = table[at] - 1;
            table[at] = (uint32_t)i + 1;
        } else {
            same = find_linear(m, i, &seen);
        }
        if (same == i)
            continue;
        if (ps->limits->duplicates == JSON_DUP_REFUSE)
            return refuse_duplicate(ps, p, &m[2 * i]);
        m[2 * same].key = (struct key){NULL, UINT32_MAX, 0}; /* equals no key any more */
        ++*n_dropped;
    }
    return p;
}

/* Copy the members that were not dropped. */
static void copy_members(struct json_member *to, const union slot *from, size_t n)
{
    for (size_t i = 0; i < n; i++, from += 2)
        if (from[0].key.p)
            memcpy(to++, from, sizeof(*to));
}

/* The innermost array or object ends; it becomes a value of the level around it. */
static pos close_level(struct parser *ps, pos p)
{
    struct level level = ps->levels[--ps->depth];
    size_t n = ps->top - level.first;
    struct json made = {.type = level.object ? JSON_OBJECT : JSON_ARRAY, .n = (uint32_t)n};
    if (level.object && n) {
        size_t dropped = 0;
        n /= 2;
        if (n > 1 && !check_keys(ps, p, level.first, n, &dropped))
            return NULL;
        made.n = (uint32_t)(n - dropped);
        struct json_member *m = arena_alloc(ps->arena, made.n * sizeof(*m));
        if (dropped)
            copy_members(m, &ps->slots[level.first], n);
        else
            memcpy(m, &ps->slots[level.first], n * sizeof(*m));
        made.members = m;
    } else if (n) {
        struct json *items = arena_alloc(ps->arena, n * sizeof(*items));
        memcpy(items, &ps->slots[level.first], n * sizeof(*items));
        made.items = items;
    }
    ps->top = level.first;
    push(ps)->value = made;
    return p;
}

/* A key and its colon; p is after blanks. */
static inline pos read_key(struct parser *ps, pos p)
{
    if (p == ps->end || *p != '"')
        return fail(ps, p, "a key");
    p = read_string(ps, p + 1, &push(ps)->key);
    if (!p)
        return NULL;
    p = skip_blanks(p, ps->end);
    if (p == ps->end || *p != ':')
        return fail(ps, p, "':'");
    return p + 1;
}

/* '[' or '{' at p. When it is empty, *complete says that a whole value was read. */
static pos open_level(struct parser *ps, pos p, bool *complete)
{
    bool object = *p == '{';
    if (ps->depth == ps->max_depth) {
        error_set(ps->error, ERR_TOO_LARGE, "json: byte %zu: nested more than %u levels deep",
                  (size_t)(p - ps->start), ps->max_depth);
        return NULL;
    }
    ps->levels[ps->depth++] = (struct level){ps->top, object};
    p = skip_blanks(p + 1, ps->end);
    *complete = p < ps->end && *p == (object ? '}' : ']');
    if (*complete)
        return close_level(ps, p + 1);
    return object ? read_key(ps, p) : p;
}

/* After a complete value: the ends of its levels, up to the next value or the end of the text. */
static inline pos after_value(struct parser *ps, pos p, bool *done)
{
    while (ps->depth) {
        bool object = ps->levels[ps->depth - 1].object;
        p = skip_blanks(p, ps->end);
        if (p < ps->end && *p == ',')
            return object ? read_key(ps, skip_blanks(p + 1, ps->end)) : p + 1;
        if (p == ps->end || *p != (object ? '}' : ']'))
            return fail(ps, p, object ? "',' or '}'" : "',' or ']'");
        p = close_level(ps, p + 1);
        if (!p)
            return NULL;
    }
    *done = true;
    return p;
}

/* The value at p onto the stack; *complete is false when it is an array or object that began. */
static inline pos read_value(struct parser *ps, pos p, bool *complete)
{
    *complete = true;
    if (p == ps->end)
        return fail(ps, p, "a value");
    switch (*p) {
    case '"': {
        struct key text;
        p = read_string(ps, p + 1, &text);
        if (p)
            push(ps)->value = (struct json){.type = JSON_STRING,
                                            .flags = (uint8_t)text.flags,
                                            .n = text.n,
                                            .text = text.p};
        return p;
    }
    case '{':
    case '[':
        return open_level(ps, p, complete);
    case 't':
    case 'f':
    case 'n':
        return read_literal(ps, p, &push(ps)->value);
    default:
        return read_number(ps, p, &push(ps)->value);
    }
}

static const struct json *parse(struct parser *ps)
{
    pos p = ps->start;
    bool done = false, complete;
    while (!done) {
        p = read_value(ps, skip_blanks(p, ps->end), &complete);
        if (p && complete)
            p = after_value(ps, p, &done);
        if (!p)
            return NULL;
    }
    p = skip_blanks(p, ps->end);
    if (p != ps->end) {
        fail(ps, p, "the end of the text");
        return NULL;
    }
    struct json *root = arena_alloc(ps->arena, sizeof(*root));
    *root = ps->slots[0].value;
    return root;
}

const struct json *json_parse(struct arena *a, struct str text, const struct json_limits *limits,
                              struct error *e)
{
    if (text.n > limits->max_bytes || text.n > UINT32_MAX) {
        error_set(e, ERR_TOO_LARGE, "json: %zu bytes are more than the limit of %zu", text.n,
                  limits->max_bytes);
        return NULL;
    }
    if (text.n == 0)
        text = S("");
    union slot first[FIRST_SLOTS];
    struct parser ps;
    ps.start = (const unsigned char *)text.p;
    ps.end = ps.start + text.n;
    ps.limits = limits;
    ps.arena = a;
    ps.error = e;
    ps.slots = first;
    ps.top = 0;
    ps.cap = FIRST_SLOTS;
    ps.heap = NULL;
    ps.depth = 0;
    ps.max_depth = limits->max_depth < MAX_DEPTH ? limits->max_depth : MAX_DEPTH;
    const struct json *root = parse(&ps);
    free(ps.heap);
    return root;
}
