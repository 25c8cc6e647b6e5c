/*
 * regex.h - regular expressions that cannot stall.
 *
 * PCRE2 syntax (which holds the POSIX extended one of NGSI-LD's q and idPattern), UTF-8, '$' only
 * at the very end, no \C; plain brackets group without capturing. Limits: 4 KiB of pattern, 64 KiB
 * of text, a number of steps at one start position, and a quarter of a second of processor time for
 * one search; what goes over them is refused rather than answered.
 *
 *     struct regex *r = regex_new(S("^urn:.*"), &e);
 *     if (regex_match(r, id, &hit) == ERR_TOO_COMPLEX) ...
 *     regex_free(r);
 */
#ifndef CORE_REGEX_H
#define CORE_REGEX_H

#include "core/error.h"
#include "core/str.h"

struct regex; /* immutable: any number of threads may match with one at a time */

struct regex *regex_new(struct str pattern, struct error *e); /* UTF-8; NULL with ERR_INVALID */
/* Search anywhere in s. OK with *hit, or ERR_TOO_COMPLEX over the limits. Thread-safe. */
enum err regex_match(const struct regex *r, struct str s, bool *hit);
void regex_free(struct regex *r); /* NULL is allowed */

/* What every text begins with that the pattern matches, as far as is easily seen ("^urn:x\\.1.*":
 * "urn:x.1"): ASCII, at most max bytes, into out; the number of bytes, often 0. */
size_t regex_beginning(struct str pattern, char *out, size_t max);

#endif
