/*
 * portal.h - the city's pages: home, map, data sets, entities, the staff's data console.
 */
#ifndef CITY_PORTAL_H
#define CITY_PORTAL_H

#include "city/service.h"
#include "http/server.h"

extern const struct service portal_service;

/* The hooks that make error pages speak the reader's language; state is the portal's. */
void portal_hooks(void *state, struct server_hooks *hooks);

#endif
