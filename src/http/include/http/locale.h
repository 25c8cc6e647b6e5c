/*
 * locale.h - catalogues of texts, one JSON file a language: {"key": "text", ...}.
 *
 * Texts use a subset of ICU MessageFormat: {name}, {n, number}, {when, date}, {when, datetime},
 * {n, plural, one {# item} other {# items}}, {kind, select, a {..} other {..}}; '' is an
 * apostrophe, '{' in apostrophes is a brace. A date is an instant in microseconds or ISO 8601 text.
 * Every catalogue has the keys and the arguments of the reference one (ja) and no others; loading
 * fails otherwise and names what is missing. Three keys describe the language itself: "@name" (in
 * its own language), "@path" (first segment of page addresses) and "@html" (lang attribute).
 * Languages: ja, ja-x-yasashii (やさしい日本語: lang="ja" in HTML, path /easy), en, zh-Hans, ko,
 * vi, pt.
 *
 * Immutable after loading, so any thread may read.
 *
 *     struct locales *l = locales_load("web/locales", &e);
 *     const struct locale *en = locales_by_path(l, S("en"));
 *     struct str text = locale_text(en, arena, S("home.title"), NULL);
 */
#ifndef HTTP_LOCALE_H
#define HTTP_LOCALE_H

#include "core/json.h"

struct locales;

struct locale {
    struct str tag;  /* "zh-Hans": the file's name */
    struct str path; /* "zh": first segment of page addresses */
    struct str html; /* "zh-Hans": value of the lang attribute */
    struct str name; /* "中文": in its own language */
    void *impl;
};

/* All TAG.json of the folder. NULL with the file, key and reason of the first mistake. */
struct locales *locales_load(const char *dir, struct error *e);
void locales_free(struct locales *l);
size_t locales_count(const struct locales *l);
/* The reference locale is number 0, the others follow in the order above. */
const struct locale *locales_at(const struct locales *l, size_t i);
const struct locale *locales_by_path(const struct locales *l, struct str path); /* NULL */
/*
 * Best match for an Accept-Language header (RFC 4647 section 3.4, lookup; "zh-CN" and "zh-TW" both
 * get zh-Hans, which is nearer than Japanese); the reference locale when nothing fits.
 */
const struct locale *locales_negotiate(const struct locales *l, struct str accept_language);
bool locale_has(const struct locale *l, struct str key);

/* The text with its arguments filled in, plain (not escaped). An unknown key prints itself. */
struct str locale_text(const struct locale *l, struct arena *a, struct str key,
                       const struct json *args);
/* Values as people of that language write them. */
struct str locale_number(const struct locale *l, struct arena *a, struct str number);
struct str locale_datetime(const struct locale *l, struct arena *a, int64_t instant); /* in JST */
struct str locale_date(const struct locale *l, struct arena *a, int64_t instant);

#endif
