/*
 * cbor.h - CBOR (RFC 8949) as immutable trees in an arena, read strictly.
 *
 * What is read is the CTAP2 canonical form (Client to Authenticator Protocol 2.1 section 8, which
 * WebAuthn section 2 lets a relying party insist on): definite lengths, every number and length in
 * its shortest form, keys of a map in order and none twice, no tags. Floating-point numbers,
 * undefined and other simple values are refused too, because no message that we read has them;
 * texts are UTF-8. Keys are integers, texts or byte strings.
 *
 * The reader does not recurse; nesting and size are bounded, and no memory is taken for elements
 * that the input is too short to hold. Texts and byte strings point into the input, which must live
 * as long as the tree.
 *
 *     struct str rest = bytes;
 *     const struct cbor *v = cbor_read(&arena, &rest, &CBOR_CTAP2, &e);
 *     if (!v || rest.n) ...                            refused, or something behind the item
 *     struct str fmt = cbor_text(cbor_get(v, S("fmt")));
 */
#ifndef CORE_CBOR_H
#define CORE_CBOR_H

#include "core/arena.h"
#include "core/error.h"
#include "core/str.h"

enum cbor_type {
    CBOR_UNSIGNED, /* .number */
    CBOR_NEGATIVE, /* -1 - .number */
    CBOR_BYTES,    /* .bytes[0..number) */
    CBOR_TEXT,     /* the same */
    CBOR_ARRAY,    /* .items[0..number) */
    CBOR_MAP,      /* .items[0..2 * number): key, value, key, value ... */
    CBOR_FALSE,
    CBOR_TRUE,
    CBOR_NULL
};

struct cbor {
    enum cbor_type type;
    uint64_t number;
    union {
        const char *bytes;
        const struct cbor *items;
    };
};

enum { CBOR_DEPTH_MAX = 16 };

struct cbor_limits {
    unsigned max_depth; /* nested arrays and maps, at most CBOR_DEPTH_MAX */
    size_t max_bytes;   /* of input; a tree takes up to 32 times as much for each level */
};
extern const struct cbor_limits CBOR_CTAP2; /* depth 4, 64 KiB */

/*
 * The item that *bytes begins with; *bytes is what is behind it. NULL on error, *bytes is then
 * left alone: ERR_INVALID with the offset, or ERR_TOO_LARGE over a limit.
 */
const struct cbor *cbor_read(struct arena *a, struct str *bytes, const struct cbor_limits *limits,
                             struct error *e);

/* --- looking at values; all take NULL and wrong types and answer "absent" --- */

static inline bool cbor_is(const struct cbor *v, enum cbor_type t)
{
    return v && v->type == t;
}
const struct cbor *cbor_get(const struct cbor *map, struct str key);    /* by text */
const struct cbor *cbor_get_i64(const struct cbor *map, int64_t label); /* by integer */
const struct cbor *cbor_at(const struct cbor *array, uint64_t i);
struct str cbor_text(const struct cbor *v);
struct str cbor_bytes(const struct cbor *v);
bool cbor_i64(const struct cbor *v, int64_t *out); /* an integer in range */

#endif
