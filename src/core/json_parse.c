#include "core/json.h"

#include "json_lex.h"
#include <stdio.h>
#include <stdlib.h>

/*
 * One pass, no recursion. Values wait on a stack of 16-byte slots until their array or object is
 * closed; then they are copied, side by side, into the arena. A member takes two slots, its key and
 * its value. The stack begins on the C stack and moves to the heap when a text needs more.
 */
enum { FIRST_SLOTS = 512, LINEAR_KEYS = 32 };

const struct json_limits JSON_DEFAULT = {64, (size_t)16 << 20, JSON_DUP_REFUSE};

union slot {
    struct json value;
    struct lex_text key;
    uint32_t table[4]; /* while keys are checked */
};

_Static_assert(sizeof(union slot) == 16, "a slot is 16 bytes");
_Static_assert(sizeof(struct json_member) == 2 * sizeof(union slot), "a member is two slots");

struct level {
    size_t first; /* slot */
    bool object;
};

struct parser {
    struct lex lex;
    const struct json_limits *limits;
    union slot *slots;
    size_t top, cap;
    union slot *heap; /* slots when they outgrew the C stack */
    uint32_t depth, max_depth;
    struct level levels[JSON_MAX_DEPTH];
};

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
    const struct lex_text *k = &first[2 * i].key;
    unsigned mark = k->n;
    if (k->n)
        mark += (unsigned char)k->p[0] * 3u + (unsigned char)k->p[k->n - 1] * 5u;
    uint64_t bit = UINT64_C(1) << (mark & 63);
    bool fresh = !(*seen & bit);
    *seen |= bit;
    for (size_t j = fresh ? i : 0; j < i; j++) {
        const struct lex_text *other = &first[2 * j].key;
        if (other->n == k->n && (k->n == 0 || memcmp(other->p, k->p, k->n) == 0))
            return j;
    }
    return i;
}

static pos refuse_duplicate(struct parser *ps, pos p, const union slot *member)
{
    struct str key = str_cut(slot_key(member), 60);
    error_set(ps->lex.error, ERR_INVALID,
              "json: byte %zu: expected no duplicate key \"%" STR_F "\" in the object",
              (size_t)(p - ps->lex.start), STR_A(key));
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
        m[2 * same].key = (struct lex_text){NULL, UINT32_MAX, 0}; /* equals no key any more */
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
        struct json_member *m = arena_alloc(ps->lex.arena, made.n * sizeof(*m));
        if (dropped)
            copy_members(m, &ps->slots[level.first], n);
        else
            memcpy(m, &ps->slots[level.first], n * sizeof(*m));
        made.members = m;
    } else if (n) {
        struct json *items = arena_alloc(ps->lex.arena, n * sizeof(*items));
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
    if (p == ps->lex.end || *p != '"')
        return fail(&ps->lex, p, "a key");
    p = read_string(&ps->lex, p + 1, &push(ps)->key);
    if (!p)
        return NULL;
    p = skip_blanks(p, ps->lex.end);
    if (p == ps->lex.end || *p != ':')
        return fail(&ps->lex, p, "':'");
    return p + 1;
}

/* '[' or '{' at p. When it is empty, *complete says that a whole value was read. */
static pos open_level(struct parser *ps, pos p, bool *complete)
{
    bool object = *p == '{';
    if (ps->depth == ps->max_depth) {
        error_set(ps->lex.error, ERR_TOO_LARGE, "json: byte %zu: nested more than %u levels deep",
                  (size_t)(p - ps->lex.start), ps->max_depth);
        return NULL;
    }
    ps->levels[ps->depth++] = (struct level){ps->top, object};
    p = skip_blanks(p + 1, ps->lex.end);
    *complete = p < ps->lex.end && *p == (object ? '}' : ']');
    if (*complete)
        return close_level(ps, p + 1);
    return object ? read_key(ps, p) : p;
}

/* After a complete value: the ends of its levels, up to the next value or the end of the text. */
static inline pos after_value(struct parser *ps, pos p, bool *done)
{
    while (ps->depth) {
        bool object = ps->levels[ps->depth - 1].object;
        p = skip_blanks(p, ps->lex.end);
        if (p < ps->lex.end && *p == ',')
            return object ? read_key(ps, skip_blanks(p + 1, ps->lex.end)) : p + 1;
        if (p == ps->lex.end || *p != (object ? '}' : ']'))
            return fail(&ps->lex, p, object ? "',' or '}'" : "',' or ']'");
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
    if (p == ps->lex.end)
        return fail(&ps->lex, p, "a value");
    switch (*p) {
    case '"': {
        struct lex_text text;
        p = read_string(&ps->lex, p + 1, &text);
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
        return read_literal(&ps->lex, p, &push(ps)->value);
    default:
        return read_number(&ps->lex, p, &push(ps)->value);
    }
}

/* The value at p, to the root of the stack; the position behind it. */
static pos parse(struct parser *ps, pos p)
{
    bool done = false, complete;
    while (!done) {
        p = read_value(ps, skip_blanks(p, ps->lex.end), &complete);
        if (p && complete)
            p = after_value(ps, p, &done);
        if (!p)
            return NULL;
    }
    return p;
}

const struct json *json_parse_part(struct arena *a, struct str text, size_t at, uint32_t depth,
                                   const struct json_limits *limits, size_t *end, struct error *e)
{
    union slot first[FIRST_SLOTS];
    struct parser ps;
    const unsigned char *start = (const unsigned char *)text.p;
    uint32_t max_depth = limits->max_depth < JSON_MAX_DEPTH ? limits->max_depth : JSON_MAX_DEPTH;
    ps.lex = (struct lex){start, start + text.n, a, e};
    ps.limits = limits;
    ps.slots = first;
    ps.top = 0;
    ps.cap = FIRST_SLOTS;
    ps.heap = NULL;
    ps.depth = 0;
    ps.max_depth = max_depth > depth ? max_depth - depth : 0;
    struct json *root = NULL;
    pos p = parse(&ps, start + at);
    if (p) {
        root = arena_alloc(a, sizeof(*root));
        *root = ps.slots[0].value;
        *end = (size_t)(p - start);
    }
    free(ps.heap);
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
    size_t end;
    const struct json *root = json_parse_part(a, text, 0, 0, limits, &end, e);
    struct lex lx = {(pos)text.p, (pos)text.p + text.n, a, e};
    if (root && skip_blanks(lx.start + end, lx.end) != lx.end) {
        fail(&lx, skip_blanks(lx.start + end, lx.end), "the end of the text");
        return NULL;
    }
    return root;
}
