/*
 * collate.h - the order of texts that people expect (Unicode Collation Algorithm, by ICU).
 *
 * A collation turns texts into keys whose order as bytes is the order of the texts. It is named by
 * a language tag with the extension u of RFC 6067 ("und", "de-u-co-phonebk", "und-u-ks-level2"); no
 * tag is the root collation. ICU is loaded when the first collation is opened and not before: its
 * tables would be a tenth of an idle server's memory.
 *
 *     struct collation *c = collation_open(S("ja"), &e);
 *     collation_key(c, S("東京"), &key);
 *     collation_free(c);
 */
#ifndef CORE_COLLATE_H
#define CORE_COLLATE_H

#include "core/buf.h"
#include "core/error.h"

struct collation; /* one thread at a time */

enum { COLLATE_MAX_CHARS = 2048 }; /* of a text, from its start; what follows does not count */

/* NULL with ERR_INVALID for what is no collation, ERR_UNAVAILABLE where ICU is missing. */
struct collation *collation_open(struct str tag, struct error *e);
void collation_free(struct collation *c); /* NULL is allowed */
/* Append the key of a text: bytes other than 0, then one 0. */
void collation_key(const struct collation *c, struct str text, struct buf *out);

#endif
