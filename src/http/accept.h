/*
 * accept.h - the first look at a request: is it well-formed, who sent it, which route is it for.
 * Private to src/http. No call waits; nothing of the body has been read yet.
 */
#ifndef HTTP_ACCEPT_H
#define HTTP_ACCEPT_H

#include "exchange.h"

/* Method, path, query, headers and client of x. target is the request line's, as sent. */
void accept_target(struct exchange *x, struct str target);
void accept_headers(struct exchange *x, struct http_worker *w, const char *method);

/* Find the route and check rate, size and form. False: the answer is filled in already. Sets
 * x->reading when a body follows, and x->close when the connection must not be used again. */
bool accept_request(struct exchange *x);

#endif
