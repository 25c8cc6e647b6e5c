/*
 * portal.h - the city's pages: home, map, data sets, entities, the staff's data console.
 */
#ifndef CITY_PORTAL_H
#define CITY_PORTAL_H

#include "city/service.h"
#include "http/server.h"

extern const struct service portal_service;

/* The page for an error, in the reader's language; state is the portal's. For
 * server_hooks.error_page. */
void portal_error_page(void *state, struct request *req, struct response *res, int status,
                       struct str title, struct str detail);

#endif
