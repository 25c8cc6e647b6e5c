/*
 * gate.h - who may change the town's facts before there are accounts.
 *
 * Reading shared data is open. Writing (anything but GET, HEAD, OPTIONS and queries by POST under
 * /ngsi-ld, /v2 and /link) is for those whom gate.writers names, and for whoever sends the token
 * of gate.token as "Authorization: Bearer TOKEN". Pages guard themselves.
 */
#ifndef APP_GATE_H
#define APP_GATE_H

#include "core/config.h"
#include "http/http.h"

struct gate_options {
    const char *writers; /* "loopback", "private" (default), "token" or "anyone" */
    const char *token;   /* "" is none */
};
extern const struct config_table gate_config;

/* ERR_INVALID for an unknown word in gate.writers. */
enum err gate_check(const struct gate_options *o, struct error *e);
/* True when the request may go on; else the response is filled (401 or 403). */
bool gate_allows(const struct gate_options *o, struct request *req, struct response *res);

#endif
