/*
 * template.h - logic-less HTML templates with automatic escaping and translated keys.
 *
 * Compiled once, immutable, thread-safe. Data is a JSON tree. Syntax:
 *
 *     {{name}}          value, HTML-escaped; path with dots; "." is the current item
 *     {{{name}}}        value as is: only for HTML that the server made itself
 *     {{#name}}..{{/name}}   once per item of an array, or once if true / a number / an object /
 *                            a non-empty text (which is then the current item, except true)
 *     {{^name}}..{{/name}}   if absent, null, false, empty text or empty array
 *     {{>part}}         another template with the same data; cycles are refused
 *     {{t:key}}         text of the catalogue in the page's language, escaped
 *     {{t:key name count}}   the same with arguments taken from the data (see locale.h); "a.b" is
 *                            passed as b, "n=a.b" as n; the text's arguments must all be given
 *     {{!comment}}
 *
 * A line that holds only a section tag, a comment or a part is left out; other blanks stay. A name
 * is looked up in the current item, then outwards; names are letters, digits and _ - @ :. Numbers
 * print as in the JSON, objects, arrays, null and absent values print nothing.
 *
 * The same escaping applies in attributes, so they must be quoted: a value in a tag outside quotes,
 * in script, style, an event attribute or srcdoc is a mistake of the template. Where a value
 * decides the scheme of href, src, action, formaction or data, and it is not http, https, mailto,
 * tel or none,
 * "#" is printed.
 *
 *     struct templates *t = templates_load("web/templates", locales, &e);
 *     if (template_render(t, "home", data, locale, &out, &e)) ...
 */
#ifndef HTTP_TEMPLATE_H
#define HTTP_TEMPLATE_H

#include "core/json.h"
#include "http/locale.h"

struct templates;

/* All *.html files of a directory, by name without suffix ("home", "part/header"). NULL with the
 * file, line and reason of the first mistake, unknown part or unknown key. l is only looked at
 * while loading; NULL when no template has a {{t:key}}. */
struct templates *templates_load(const char *dir, const struct locales *l, struct error *e);
/* From memory, for embedded files and tests: n pairs name, text. */
struct template_source {
    struct str name, text;
};
struct templates *templates_new(const struct template_source *sources, size_t n,
                                const struct locales *l, struct error *e);
void templates_free(struct templates *t);

/*
 * Append the page to out; locale is one of those that the templates were loaded with, for another
 * one (or NULL) keys print themselves. ERR_NOT_FOUND for an unknown name, ERR_TOO_LARGE when out's
 * limit was reached, ERR_TOO_COMPLEX when parts and sections nest more than 32 deep or the page
 * takes more than ten million steps.
 */
enum err template_render(const struct templates *t, const char *name, const struct json *data,
                         const struct locale *locale, struct buf *out, struct error *e);

#endif
