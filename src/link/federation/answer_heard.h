/*
 * answer_heard.h - an answer of a source about types, attributes or evolution, as the reader may
 * hear it (clauses 5.7.3 to 5.7.10). Private to link.
 *
 * A source does not know who reads, and may say more than its registration speaks of. What it
 * answers passes both here; as only types and names are known of it, conditions of rules count
 * against the reader. Pure, but for the arena of the call.
 */
#ifndef LINK_ANSWER_HEARD_H
#define LINK_ANSWER_HEARD_H

#include "api.h"
#include "registration.h"

struct access_view;

struct hearing {
    struct api *c;
    bool evolution;                 /* else discovery */
    const struct access_view *view; /* of the reader, now */
    const struct registration *reg;
    const struct ld_context *ctx; /* of the names that the source answers */
};

/* The answer, without what may not be heard. */
struct json heard(const struct hearing *h, const struct json *answer);
/* Does an object that tells of a type or an attribute show at all? */
bool heard_shows(const struct hearing *h, const struct json *object);
/* A mere list of attributes does not tell which types have them, so where some are hidden the
 * source is asked for more than the caller asks for. */
bool heard_asks_for_more(const struct hearing *h);
/* The list again, of the more. */
struct json heard_names(const struct hearing *h, const struct json *answer);
/* Of a name that the source answered; absent: it is none. */
struct str heard_iri(const struct hearing *h, const struct json *name);

#endif
