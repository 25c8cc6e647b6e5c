/* openapi.h - the description of the interface, made from the routes. */
#ifndef APP_OPENAPI_H
#define APP_OPENAPI_H

#include "http/http.h"

/* OpenAPI 3.1.0 as JSON text in the arena. Routes marked ROUTE_HIDDEN (pages) are left out. */
struct str openapi_text(struct arena *a, const struct router *router);

#endif
