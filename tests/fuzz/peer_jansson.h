/*
 * peer_jansson.h - jansson as the other opinion on a JSON text.
 *
 * A file of its own, because jansson and core/json.h use some names for different things.
 */
#ifndef FUZZ_PEER_JANSSON_H
#define FUZZ_PEER_JANSSON_H

#include <stddef.h>

/*
 * The text as jansson understands it, written anew; the caller frees it. NULL when it refuses the
 * text: duplicate keys are refused, any value may stand alone, "\u0000" is allowed.
 */
char *peer_jansson(const char *text, size_t n, size_t *wrote);

#endif
