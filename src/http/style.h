/*
 * style.h - how a language writes numbers and dates, and which plural forms it has.
 *
 * The rules are those of Unicode CLDR for the languages of the city (see locale.h), as a table of
 * constants. Everything is appended to a buffer; nothing fails: what is no number is copied as is.
 *
 *     style_number(style_of(S("pt")), &out, S("1234.5"));   1.234,5
 */
#ifndef HTTP_STYLE_H
#define HTTP_STYLE_H

#include "core/buf.h"

struct style;

enum plural { PLURAL_ONE, PLURAL_MANY, PLURAL_OTHER };

/* By the first subtag, so "zh-Hans" is written as "zh"; NULL for a language without rules. */
const struct style *style_of(struct str tag);

/* Digits in groups of three, as many decimals as given; an exponent is written out. */
void style_number(const struct style *s, struct buf *out, struct str number);
void style_date(const struct style *s, struct buf *out, int64_t instant);     /* in JST */
void style_datetime(const struct style *s, struct buf *out, int64_t instant); /* in JST */

/* Of a number as it is written: in English "1" is PLURAL_ONE, "1.0" is not. */
enum plural style_plural(const struct style *s, struct str number);

#endif
