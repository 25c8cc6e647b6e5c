/*
 * text.h - Japanese text as it comes in: folding of widths, digits and blanks; encodings.
 */
#ifndef CORE_TEXT_H
#define CORE_TEXT_H

#include "core/arena.h"
#include "core/error.h"
#include "core/str.h"

/* Full-width ASCII to half-width, half-width kana to full-width with their marks joined,
 * ideographic and no-break blanks to ' ', the many dashes and tildes to '-' and '~'. */
struct str text_fold(struct arena *a, struct str s);
/* text_fold, then lower case for ASCII, and all blanks, brackets, '_' and '-' dropped: for
 * comparing headers and names. */
struct str text_key(struct arena *a, struct str s);
/* Leading and trailing blanks (ASCII, U+3000, U+00A0, CR, LF, BOM) removed. */
struct str text_trim(struct str s);

/*
 * Does the text hold what may be an individual number (個人番号): twelve digits, of any width, in
 * one piece or in groups of four with a blank or dash between, with nothing more of the kind beside
 * them, whose last is the check digit of the eleven before (平成26年総務省令85号5条)? One in eleven
 * of all numbers with twelve digits passes for one.
 */
bool text_has_individual_number(struct str s);

/* CP932 to UTF-8. On bytes that have no character: ERR_INVALID with their offset. */
enum err text_from_cp932(struct arena *a, struct str bytes, struct str *out, struct error *e);
enum err text_from_utf16(struct arena *a, struct str bytes, bool big_endian, struct str *out,
                         struct error *e);

#endif
