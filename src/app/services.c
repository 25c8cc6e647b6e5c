#include "services.h"
#include "city/portal.h"

const struct service *const services[] = {
    &portal_service,
};
const size_t services_n = sizeof(services) / sizeof(services[0]);
