/* entity_expand.h - a payload on its way into stored form, shared by the files entity_expand*.c. */
#ifndef LINK_ENTITY_EXPAND_H
#define LINK_ENTITY_EXPAND_H

#include "entity_impl.h"

struct expansion {
    struct arena *arena;
    const struct ld_context *ctx;
    enum entity_in mode;
    bool simplified;
    bool times;   /* createdAt, modifiedAt and deletedAt are kept: another broker's answer */
    bool told;    /* by another broker: with what only answers and notifications have */
    bool partial; /* instances may lack a value: merge patch, or one attribute's fragment */
    struct str attribute; /* top-level one at work, as sent: for messages */
    size_t instances;
    struct error *e;
};

/* ERR_INVALID, with the attribute at work. */
enum err expand_fail(const struct expansion *x, const char *what);
/* The core term of an IRI; absent when it has none. */
struct str expand_core_name(const struct expansion *x, struct str iri);
/* Date-times are UTC, with Z (clause 4.6.3). */
bool expand_is_datetime(const struct json *v);

static inline bool expand_is_among(struct str key, const struct str *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(key, names[i]))
            return true;
    return false;
}

/* What an attribute, of an entity (depth 1) or of an attribute, holds: an array of instances. */
enum err expand_instances(struct expansion *x, struct str name, const struct json *v,
                          unsigned depth, struct json *out);

#endif
