/*
 * number.h - the individual number (個人番号, "my number") is refused wherever it appears.
 *
 * Marugoto has no use for it that the law allows (番号法19条, 20条): nothing asks for it, and what
 * comes from outside and looks like one is refused before it is kept. That it came is logged; the
 * value is not.
 */
#ifndef TRUST_NUMBER_H
#define TRUST_NUMBER_H

#include "core/error.h"
#include "core/str.h"

/* ERR_UNPROCESSABLE when text_has_individual_number(); where ("card.name", "person.address") is
 * for the log and the error. */
enum err number_refuse(const char *where, struct str text, struct error *e);

#endif
