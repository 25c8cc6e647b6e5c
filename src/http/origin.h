/*
 * origin.h - scheme, host and port of a URL, as the client compares them.
 */
#ifndef HTTP_ORIGIN_H
#define HTTP_ORIGIN_H

#include <stdbool.h>

/* "https://example.jp:443", lower case, always with the port; NULL when the URL is malformed, holds
 * credentials or has a scheme that is neither http nor https. The caller frees. Any thread. */
char *origin_of(const char *url);

/* May a redirect lead from one URL to the other? Only within an origin, or from http to https of
 * the same host on their usual ports. */
bool origin_allows(const char *from_url, const char *to_url);

#endif
