/*
 * oidc.h - the city as an OpenID Provider and OAuth 2.1 authorization server; and, for our own
 * resources, who a token speaks for.
 *
 * Metadata (RFC 8414), private_key_jwt (RFC 7523), mutual TLS behind a proxy (RFC 8705, RFC 9440),
 * DPoP (RFC 9449), JWT access tokens (RFC 9068) and opaque ones, introspection (RFC 7662),
 * revocation (RFC 7009), rich authorization requests (RFC 9396), the FAPI 2.0 Security Profile for
 * clients that touch personal data.
 *
 * Clients are registered by whoever manages the city, never by themselves.
 */
#ifndef TRUST_OIDC_H
#define TRUST_OIDC_H

#include "core/buf.h"
#include "trust/decision.h"
#include "trust/trust.h"

extern const struct store_module oidc_module;

/* What metadata announce. */
#define OIDC_SCOPES         "openid"
#define OIDC_RESPONSE_TYPES "code"
#define OIDC_GRANTS         "client_credentials"
#define OIDC_CLAIMS         "sub"

struct oidc;
/* Options of trust must be set (t->oidc_options). ERR_INVALID for a bad issuer. */
struct oidc *oidc_open(struct trust *t, struct error *e);
void oidc_close(struct oidc *o); /* NULL is allowed */
void oidc_routes(struct oidc *o, struct router *r);

/* --- who a token speaks for --- */

/* Texts are in the request's arena. */
struct bearer {
    struct str client; /* client_id */
    int64_t account;   /* 0: the client for itself */
    int64_t session;   /* 0: none */
    struct str scope;  /* blank between words */
    enum acr acr;
    int64_t authenticated;      /* instant; 0: nobody was */
    const struct json *details; /* authorization_details, or NULL */
    int64_t expires;
};

/*
 * The token of a request ("Authorization: Bearer" or "DPoP", then with its proof). OK with *found
 * false when the request shows no token of ours; ERR_UNAUTHENTICATED when it shows one that is not
 * good (over, revoked, without its key): *challenge is the WWW-Authenticate to answer with. Any
 * thread with its own connection.
 */
enum err oidc_bearer(struct oidc *o, struct store_conn *c, struct request *req, struct bearer *out,
                     bool *found, struct str *challenge, struct error *e);

/* The answer's headers for such a challenge. */
void oidc_challenge(struct oidc *o, struct request *req, struct response *res,
                    struct str challenge);

/* --- the registry; each waits for the store: never on an HTTP worker --- */

/* Texts are in the arena. */
struct oidc_client_made {
    struct str id;
    struct str secret; /* shown this once; absent when there is no new one */
    const struct json *metadata;
};
/* ERR_INVALID says which member is not what it may be; ERR_EXISTS: there is or was such a client.
 */
enum err oidc_client_make(struct trust *t, struct arena *a, const struct json *metadata,
                          struct str actor, struct oidc_client_made *out, struct error *e);
/* Puts the metadata in place of those that are there; the secret stays. ERR_NOT_FOUND. */
enum err oidc_client_change(struct trust *t, struct arena *a, struct str id,
                            const struct json *metadata, struct str actor,
                            struct oidc_client_made *out, struct error *e);
/* A new secret; the old one ends. ERR_CONFLICT: it has none. */
enum err oidc_client_secret(struct trust *t, struct arena *a, struct str id, struct str actor,
                            struct str *secret, struct error *e);
/* Ends all that it holds. */
enum err oidc_client_remove(struct trust *t, struct str id, struct str actor, struct error *e);
/* All, as a JSON array, appended. */
enum err oidc_client_list(struct trust *t, struct buf *out, struct error *e);

#endif
