/*
 * look.h - entities as people see them: names, labels and values in the reader's language.
 *
 * Attributes are found by their short name whatever vocabulary they come from: "name" is the name
 * under the default context, or the last part of an IRI of another one.
 */
#ifndef PORTAL_LOOK_H
#define PORTAL_LOOK_H

#include "http/locale.h"
#include "link/entity.h"

/* Instances of the attribute with that short name; NULL. */
const struct json *look_attr(const struct json *stored, const char *name);
/* Value of its default instance; NULL. */
const struct json *look_value(const struct json *stored, const char *name);
/* The value as text, unformatted ("open"); absent when there is none. */
struct str look_plain(const struct json *stored, const char *name);

/* What to call it: name, title, else the end of its id. */
struct str look_name(struct arena *a, const struct locale *l, const struct json *stored);
/* Short name of an IRI ("EvacuationShelter"); the IRI itself when it has none. */
struct str look_short(struct arena *a, struct str iri);
struct str look_type(struct arena *a, const struct json *stored); /* short name of its first type */
struct str look_type_label(struct arena *a, const struct locale *l, struct str short_name);
struct str look_attr_label(struct arena *a, const struct locale *l, struct str short_name);
/* Of a code such as "open": translated when the catalogue knows it, else as it is. */
struct str look_code(struct arena *a, const struct locale *l, struct str code);

struct look_shown {
    struct str text;
    struct str href; /* address of another site; absent: none */
    struct str id;   /* of another entity; absent: none */
    bool number;
};
/* An attribute instance as text with its unit. */
struct look_shown look_instance(struct arena *a, const struct locale *l,
                                const struct json *instance);

/* Its place: the centre of the location; false without one. */
bool look_place(struct arena *a, const struct json *stored, double *lon, double *lat);
int64_t look_updated(const struct json *stored); /* newest of observedAt and modifiedAt; 0 */
/* Attributes that serve programs or stand elsewhere on a page. */
bool look_is_technical(struct str short_name);

#endif
