/*
 * template.h - logic-less HTML templates with automatic escaping and translated keys.
 *
 * Compiled once, immutable, thread-safe. Data is a JSON tree. Syntax:
 *
 *     {{name}}          value, HTML-escaped; path with dots; "." is the current item
 *     {{{name}}}        value as is: only for HTML that the server made itself
 *     {{#name}}..{{/name}}   once per item of an array, or once if true / an object / a non-empty text
 *     {{^name}}..{{/name}}   if absent, false, empty text or empty array
 *     {{>part}}         another template with the same data
 *     {{t:key}}         text of the catalogue in the page's language, escaped
 *     {{t:key name count}}   the same with arguments taken from the data (see locale.h)
 *     {{!comment}}
 *
 * A name is looked up in the current item, then outwards. Numbers print as in the JSON. In an
 * attribute the same escaping applies, so attributes must be quoted; a value in href or src whose
 * scheme is not http, https, mailto, tel or none prints as "#".
 */
#ifndef HTTP_TEMPLATE_H
#define HTTP_TEMPLATE_H

#include "core/json.h"
#include "http/locale.h"

struct templates;

/* All *.html files of a directory, by name without suffix ("home", "part/header"). NULL with the
 * file, line and reason of the first mistake, unknown part or unknown key. */
struct templates *templates_load(const char *dir, const struct locales *l, struct error *e);
/* From memory, for embedded files and tests: n pairs name, text. */
struct template_source {
    struct str name, text;
};
struct templates *templates_new(const struct template_source *sources, size_t n,
                                const struct locales *l, struct error *e);
void templates_free(struct templates *t);

/* Append the page to out. ERR_NOT_FOUND for an unknown name. */
enum err template_render(const struct templates *t, const char *name, const struct json *data,
                         const struct locale *locale, struct buf *out, struct error *e);

#endif
