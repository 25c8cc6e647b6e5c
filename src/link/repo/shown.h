/*
 * shown.h - entities as they were last shown (private to link).
 *
 * Maps, lists and dashboards ask for the same entities again and again. Their text is kept under
 * row and version; a version never changes, so that nothing has to be taken back: a changed entity
 * has another version and finds no text. A text is for those who see as much of it (seen_as of the
 * view). Kept is only the common case: an object in the terms of
 * the core context with all attributes that they may see, that does not expire. Any thread may
 * call.
 *
 *     if (shown_get(s, eid, version, &view, arena, &text, &types)) buf_str(out, text);
 */
#ifndef LINK_SHOWN_H
#define LINK_SHOWN_H

#include "link/entity.h"

enum { SHOWN_TEXT_MAX = 8192 }; /* bytes of one; longer texts are not kept */

struct shown;
/* Room for so many entities, rounded up to a power of two; 0 keeps none. */
struct shown *shown_new(int64_t entities);
void shown_free(struct shown *s);
void shown_forget(struct shown *s); /* everything; s may be NULL */

/* Can texts of this view be kept? NULL keeps none. */
bool shown_fits(const struct shown *s, const struct entity_view *v);
/* The text and the entity's types as JSON (NULL: not wanted), copied into the arena; false: not
 * there. */
bool shown_get(struct shown *s, int64_t eid, int64_t version, const struct entity_view *v,
               struct arena *a, struct str *text, struct str *types);
/* Keep the text that was written for the stored form; it may take the place of another. */
void shown_put(struct shown *s, int64_t eid, int64_t version, const struct entity_view *v,
               const struct json *stored, struct str text);

#endif
