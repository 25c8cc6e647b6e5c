/* url.h - "a=1&b=2" (application/x-www-form-urlencoded). Private to src/http. */
#ifndef HTTP_URL_H
#define HTTP_URL_H

#include "http/http.h"

enum { URL_PAIRS_MAX = 1000 }; /* the rest is dropped */

/* Pairs in order, decoded ('+' is a blank). A name or value that does not decode stands as sent. */
size_t url_pairs(struct arena *a, struct str s, const struct http_pair **pairs);

#endif
