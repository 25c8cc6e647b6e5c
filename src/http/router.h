/*
 * router.h - finding the route of a path. Private to src/http; see http.h for the patterns.
 *
 *     struct route_match m;
 *     switch (router_match(r, arena, S("GET"), path, &m)) ...
 */
#ifndef HTTP_ROUTER_H
#define HTTP_ROUTER_H

#include "http/http.h"

enum { ROUTER_SEGMENTS = 24, ROUTER_PARAMS = 8 };

enum route_found {
    ROUTE_FOUND,
    ROUTE_NO_PATH,
    ROUTE_NO_METHOD, /* allow says which there are */
    ROUTE_BAD_PATH   /* broken percent-encoding, NUL, no UTF-8 */
};

struct route_match {
    const struct route *route;
    void *ctx;
    struct http_pair params[ROUTER_PARAMS]; /* decoded, in the order of the pattern */
    size_t n_params;
    struct str allow; /* "GET, HEAD, OPTIONS": for 405 and OPTIONS */
    bool any_cors;    /* some route of this path has ROUTE_PUBLIC_CORS: for preflights */
};

/* HEAD finds GET routes; OPTIONS gives ROUTE_NO_METHOD with allow unless a route names it. */
enum route_found router_match(const struct router *r, struct arena *a, struct str method,
                              struct str path, struct route_match *m);

#endif
