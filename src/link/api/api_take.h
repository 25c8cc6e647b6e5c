/*
 * api_take.h - a document of a client by a table of its members, each checked and brought into the
 * form that is stored: subscriptions, registrations. Private to link.
 */
#ifndef LINK_API_TAKE_H
#define LINK_API_TAKE_H

#include "link/context.h"

struct taker {
    struct arena *arena;
    const struct ld_context *ctx; /* of names */
    struct error *e;
    const char *where; /* the object at work, for messages: "subscription", "information", ... */
    struct json out;   /* what is stored of the value that was taken last */
};

/* Check a value and set t->out; false: with an ERR_INVALID that names the member. */
typedef bool (*take_fn)(struct taker *t, const char *name, const struct json *v);

struct take_member {
    const char *name;
    take_fn take; /* NULL: left out, because it is ours */
};

/* "where: member must be expected"; false. */
bool take_refuse(struct taker *t, const char *member, const char *expected);
/* NULL: it is not in the table. */
const struct take_member *take_find(const struct take_member *members, size_t n, struct str key);
/* An object of which every member is known; t->where is its name meanwhile. */
bool take_object(struct taker *t, const char *name, const struct json *v,
                 const struct take_member *members, size_t n);
/* An array that is not empty. */
bool take_list(struct taker *t, const char *name, const struct json *v, take_fn item);

bool take_text(struct taker *t, const char *name, const struct json *v); /* not an empty one */
bool take_uri(struct taker *t, const char *name, const struct json *v);
bool take_bool(struct taker *t, const char *name, const struct json *v);
bool take_instant(struct taker *t, const char *name, const struct json *v);
bool take_positive(struct taker *t, const char *name, const struct json *v); /* at most 1e9 */
bool take_pattern(struct taker *t, const char *name, const struct json *v);

#endif
