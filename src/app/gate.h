/*
 * gate.h - who asks, and who may change the town's facts without a key.
 *
 * Whoever shows a key (link/access.h) or the token of gate.token ("Authorization: Bearer TOKEN") is
 * known from here on: to the handlers as request.identity, to the journal as request.user. A key
 * that is not good is refused for reading too. So is whoever shows a token of the OpenID Provider
 * (RFC 6750, RFC 9449), which must have the scope "link"; for a role to count its person must have
 * signed in strongly enough (RFC 9470). Without one, reading shared data is open
 * as far as policies let it be, and writing (anything but GET, HEAD, OPTIONS and queries by POST
 * under /ngsi-ld, /v2 and /link) is for those whom gate.writers names. Pages guard themselves.
 * Quotas of requests are taken here.
 */
#ifndef APP_GATE_H
#define APP_GATE_H

#include "core/config.h"
#include "http/http.h"
#include "link/access.h"
#include "trust/oidc.h"

struct gate_options {
    const char *writers;  /* "loopback", "private" (default), "token" or "anyone" */
    const char *token;    /* "" is none */
    const char *role_acr; /* how a person must have signed in for their role to count */
};
extern const struct config_table gate_config;

/* ERR_INVALID for an unknown word in gate.writers. */
enum err gate_check(const struct gate_options *o, struct error *e);
/* True when the request may go on; else the response is filled (401 or 403). */
bool gate_allows(const struct gate_options *o, struct access *x, struct trust *t,
                 struct request *req, struct response *res);

#endif
