/*
 * passport.h - つくパス as people see it: signing in, registering, one's own page, the desk.
 */
#ifndef CITY_PASSPORT_H
#define CITY_PASSPORT_H

#include "city/service.h"

extern const struct service passport_service;

#endif
