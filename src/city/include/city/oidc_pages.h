/*
 * oidc_pages.h - what the OpenID Provider asks people, as pages: may this client know that, which
 * device is it, do you want to sign out. See OIDC_CONSENT_PATH in trust/oidc.h.
 */
#ifndef CITY_OIDC_PAGES_H
#define CITY_OIDC_PAGES_H

#include "city/service.h"

extern const struct service oidc_pages_service;

#endif
