/* services.h - the one list of what runs in this city. */
#ifndef APP_SERVICES_H
#define APP_SERVICES_H

#include "city/service.h"

extern const struct service *const services[];
extern const size_t services_n;

#endif
