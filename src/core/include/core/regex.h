/*
 * regex.h - regular expressions that cannot stall (PCRE2 with match and depth limits).
 *
 *     struct regex *r = regex_new(S("^urn:.*"), &e);
 *     if (regex_match(r, id, &hit) == ERR_TOO_COMPLEX) ...
 */
#ifndef CORE_REGEX_H
#define CORE_REGEX_H

#include "core/error.h"
#include "core/str.h"

struct regex;

struct regex *regex_new(struct str pattern, struct error *e); /* UTF-8; NULL with ERR_INVALID */
/* Search anywhere in s. OK with *hit, or ERR_TOO_COMPLEX over the limits. Thread-safe. */
enum err regex_match(const struct regex *r, struct str s, bool *hit);
void regex_free(struct regex *r);

#endif
