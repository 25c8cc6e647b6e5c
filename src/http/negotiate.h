/* negotiate.h - what a client accepts (RFC 9110 section 12.5). Private to src/http. */
#ifndef HTTP_NEGOTIATE_H
#define HTTP_NEGOTIATE_H

#include "http/http.h"

/* Index of the best offer for an Accept header; -1: none; an absent or empty header accepts all. */
int negotiate_type(struct str accept, const char *const *offers, size_t n);
bool negotiate_gzip(struct str accept_encoding);

#endif
