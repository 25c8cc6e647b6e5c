#include "services.h"
#include "city/oidc_pages.h"
#include "city/passport.h"
#include "city/portal.h"

const struct service *const services[] = {
    &portal_service,
    &oidc_pages_service,
    &passport_service,
};
const size_t services_n = sizeof(services) / sizeof(services[0]);
