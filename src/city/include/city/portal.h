/*
 * portal.h - the city's pages: home, map, data sets, entities, the staff's data console.
 */
#ifndef CITY_PORTAL_H
#define CITY_PORTAL_H

#include "city/service.h"

extern const struct service portal_service;

#endif
