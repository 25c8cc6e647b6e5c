/*
 * json.h - JSON (RFC 8259) as immutable trees in an arena, a pull reader and a streaming writer.
 *
 * Reading: json_parse() checks everything at once (strict UTF-8, numbers by the grammar, depth,
 * size, duplicate keys) and gives a tree whose texts point into the input where they hold no
 * escape and into the arena where they do: the input must live as long as the tree. Numbers stay
 * text ("1.0" stays "1.0", twenty digits stay twenty digits) and are converted on demand. A tree is
 * never edited: make a new value and share the parts that stay.
 *
 * Writing: struct json_writer puts commas and quotes in place and appends to a struct buf.
 *
 *     const struct json *v = json_parse(&arena, body, &JSON_DEFAULT, &e);
 *     if (!v) return e.code;
 *     struct str name = json_text(json_get(v, S("name")));
 *
 *     struct json_writer w = json_writer(&buf);
 *     json_w_object(&w); json_w_key(&w, S("n")); json_w_i64(&w, 3); json_w_end(&w);
 */
#ifndef CORE_JSON_H
#define CORE_JSON_H

#include "core/arena.h"
#include "core/buf.h"
#include "core/error.h"
#include "core/str.h"

enum json_type {
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER, /* text in .text, as sent */
    JSON_STRING, /* decoded text in .text, may hold U+0000 */
    JSON_ARRAY,  /* .items[0..n) */
    JSON_OBJECT  /* .members[0..n), in the order sent */
};

enum { JSON_PLAIN = 1 }; /* flag of strings that need no escape when written */

struct json_member;

struct json {
    uint8_t type; /* enum json_type */
    uint8_t flags;
    uint32_t n; /* bytes of text, items or members */
    union {
        const char *text;
        const struct json *items;
        const struct json_member *members;
    };
};

struct json_member {
    const char *key;
    uint32_t key_n;
    uint32_t key_flags; /* JSON_PLAIN */
    struct json value;
};

enum json_duplicates {
    JSON_DUP_REFUSE, /* an object with the same key twice is an error */
    JSON_DUP_LAST    /* the last one wins, the others are dropped */
};

struct json_limits {
    uint32_t max_depth; /* nested arrays and objects; at most 512 */
    size_t max_bytes;   /* of input, always less than 4 GiB; a tree takes up to 16 times as much */
    enum json_duplicates duplicates;
};

extern const struct json_limits JSON_DEFAULT; /* depth 64, 16 MiB, refuse duplicates */

/*
 * Parse one JSON text, with blanks around it and nothing else. NULL on error: *e (may be NULL) is
 * ERR_INVALID with the byte offset and what was expected, or ERR_TOO_LARGE over a limit. A byte
 * order mark is refused (RFC 8259 section 8.1).
 */
const struct json *json_parse(struct arena *a, struct str text, const struct json_limits *limits,
                              struct error *e);

/* --- looking at values; all take NULL and wrong types and answer "absent" --- */

static inline enum json_type json_type(const struct json *v)
{
    return (enum json_type)v->type;
}
static inline bool json_is(const struct json *v, enum json_type t)
{
    return v && v->type == t;
}
bool json_is_bool(const struct json *v);
const struct json *json_get(const struct json *object, struct str key); /* NULL when absent */
const struct json *json_at(const struct json *array, size_t i);
struct str json_text(const struct json *v); /* of a string or number, else STR_NONE */
struct str json_key(const struct json_member *m);
bool json_true(const struct json *v);                /* v is the literal true */
bool json_i64(const struct json *v, int64_t *out);   /* an integer in range: "5", "5.0", "5e0" */
bool json_double(const struct json *v, double *out); /* finite; nearest double */

/*
 * Total order of two number texts by exact decimal value (RFC 8259 grammar): <0, 0, >0.
 * Exponents beyond +-10^17 are taken as 10^17.
 */
int json_number_cmp(struct str x, struct str y);

/*
 * Same JSON value? Objects regardless of member order, arrays in order, numbers by exact decimal
 * value when exact is false and by text when it is true.
 */
bool json_equal(const struct json *x, const struct json *y, bool exact);

/* --- making values; texts and arrays are borrowed, not copied, and less than 4 GiB --- */

struct json json_v_str(struct str s);    /* must be well-formed UTF-8 */
struct json json_v_number(struct str s); /* must follow the number grammar */
struct json json_v_i64(struct arena *a, int64_t v);
struct json json_v_double(struct arena *a, double v); /* shortest text that reads back the same;
                                                         null when not finite */
struct json json_v_bool(bool v);
struct json json_v_null(void);
struct json json_v_array(const struct json *items, size_t n);
struct json json_v_object(const struct json_member *members, size_t n);
struct json_member json_m(struct str key, struct json value);

/* A copy of the object with key set (replaced in place or added last), or without key. */
struct json json_with(struct arena *a, const struct json *object, struct str key, struct json v);
struct json json_without(struct arena *a, const struct json *object, struct str key);

/* A tree that no longer points into its input. */
struct json json_copy(struct arena *a, const struct json *v);

/*
 * --- pulling ---
 * One event after the other, for texts whose tree would be too large: a collection of 100,000
 * features takes the memory of one. As strict as json_parse(), except that the reader remembers no
 * keys and so does not see duplicates; trees that it makes are checked as the limits say. Nothing
 * is allocated but texts with escapes (in the arena, which may be reset between two events) and
 * trees.
 *
 *     struct json_pull p;
 *     json_pull_open(&p, &arena, text, &JSON_DEFAULT, &e);
 *     if (json_pull_next(&p) == JSON_EV_ARRAY)
 *         while ((ev = json_pull_next(&p)) != JSON_EV_ARRAY_END && ev != JSON_EV_FAILED)
 *             use(json_pull_tree(&p, &arena, &e));
 */
enum json_event {
    JSON_EV_OBJECT,
    JSON_EV_OBJECT_END,
    JSON_EV_KEY, /* in .key; the value is the next event */
    JSON_EV_ARRAY,
    JSON_EV_ARRAY_END,
    JSON_EV_VALUE, /* in .value: a text, number or literal */
    JSON_EV_END,   /* the text was one JSON value and is over */
    JSON_EV_FAILED /* *e tells; so do all events from now on */
};

struct json_pull {
    struct str key;
    struct json value;
    size_t began;   /* byte at which the last VALUE, OBJECT or ARRAY began */
    size_t at;      /* byte behind the last event */
    uint32_t depth; /* open arrays and objects */
    /* private */
    int state;
    struct str text;
    struct json_limits limits;
    struct arena *arena;
    struct error *error;
    unsigned char objects[64]; /* a bit for each open level */
};

/* The text and the arena must outlive the reader; e may be NULL. */
void json_pull_open(struct json_pull *p, struct arena *a, struct str text,
                    const struct json_limits *limits, struct error *e);
enum json_event json_pull_next(struct json_pull *p);
/* To the end of the array or object that the last event began; false: it is not well-formed. */
bool json_pull_skip(struct json_pull *p);
/*
 * The whole of the value that the last event (VALUE, OBJECT, ARRAY) began, as a tree in a. NULL
 * with *e when it is refused; the reader is behind it all the same, unless it is not well-formed.
 */
const struct json *json_pull_tree(struct json_pull *p, struct arena *a, struct error *e);

/*
 * --- writing ---
 * Strings are escaped only where RFC 8259 demands it. A value that does not fit the limit of the
 * buffer is left out whole and sets buf.over, and so does a writer nested more than 64 deep.
 */

void json_write(struct buf *out, const struct json *v); /* compact text */
struct str json_to_text(struct arena *a, const struct json *v);
void json_write_str(struct buf *out, struct str s); /* quoted; well-formed UTF-8 */

struct json_writer {
    struct buf *out;
    bool comma; /* a separator is due before the next key or value */
    uint32_t depth;
    unsigned char kind[64]; /* '{' or '[' of each open level */
};

struct json_writer json_writer(struct buf *out);
void json_w_object(struct json_writer *w);
void json_w_array(struct json_writer *w);
void json_w_end(struct json_writer *w); /* closes the innermost object or array */
void json_w_key(struct json_writer *w, struct str key);
void json_w_value(struct json_writer *w, const struct json *v);
void json_w_str(struct json_writer *w, struct str s);
void json_w_number(struct json_writer *w, struct str text); /* as is */
void json_w_i64(struct json_writer *w, int64_t v);
void json_w_double(struct json_writer *w, double v);
void json_w_bool(struct json_writer *w, bool v);
void json_w_null(struct json_writer *w);
/* "key": "text" and so on; the short forms that most callers want */
void json_w_kstr(struct json_writer *w, struct str key, struct str v);
void json_w_ki64(struct json_writer *w, struct str key, int64_t v);
void json_w_kbool(struct json_writer *w, struct str key, bool v);
/* An instant (datetime.h) as text in UTC; nothing when it is 0. */
void json_w_ktime(struct json_writer *w, struct str key, int64_t instant);

#endif
