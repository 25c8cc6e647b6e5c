/*
 * oidc_options.h - the settings of the OpenID Provider. Durations in seconds unless named.
 */
#ifndef TRUST_OIDC_OPTIONS_H
#define TRUST_OIDC_OPTIONS_H

#include "core/config.h"

struct oidc_options {
    const char *issuer; /* "https://id.city.example"; "": only this machine is served */
    bool certificates;  /* the trusted proxies hand on certificates of clients */
    int64_t code_s;
    int64_t request_s;     /* a pushed request */
    int64_t interaction_s; /* signing in and consenting, together */
    int64_t access_s;
    int64_t refresh_s;
    int64_t assertion_s; /* the farthest end of a client's assertion */
    int64_t nonce_s;     /* a nonce for DPoP is good for between one and two of these */
    int64_t device_s;
    int64_t device_tries; /* wrong user codes from one address in the life of a code */
    int64_t key_days;     /* a signing key signs this long */
    int64_t key_ahead_h;  /* and is published this long before, hours */
    int64_t jwks_s;       /* remote keys of clients are kept this long */
    int64_t sweep_ms;     /* pause between looks for what is over, milliseconds */
};
extern const struct config_table oidc_config;

#endif
