/*
 * oidc.h - the city as an OpenID Provider and OAuth 2.1 authorization server; and, for our own
 * resources, who a token speaks for.
 *
 * OpenID Connect Core (code flow), metadata (RFC 8414), PKCE S256 for all, PAR (RFC 9126), DPoP
 * (RFC 9449), private_key_jwt (RFC 7523), mutual TLS behind a proxy (RFC 8705, RFC 9440), issuer in
 * the answer (RFC 9207), JWT access tokens (RFC 9068) and opaque ones, introspection (RFC 7662),
 * revocation (RFC 7009), step-up (RFC 9470), device flow (RFC 8628), RP-initiated and back-channel
 * logout, rich authorization requests (RFC 9396), the FAPI 2.0 Security Profile for clients that
 * touch personal data.
 *
 * Clients see people under a pairwise identifier of their sector; only the functions here map
 * between that and the account. Clients are registered by whoever manages the city, never by
 * themselves.
 */
#ifndef TRUST_OIDC_H
#define TRUST_OIDC_H

#include "core/buf.h"
#include "trust/session.h"

extern const struct store_module oidc_module;

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

/* The identifier under which the sector of a client knows an account, and back. */
enum err oidc_subject(struct oidc *o, struct store_conn *c, struct arena *a, struct str client,
                      int64_t account, struct str *sub, struct error *e);
/* ERR_NOT_FOUND: the sector was never told of such a person. */
enum err oidc_account(struct oidc *o, struct store_conn *c, struct str client, struct str sub,
                      int64_t *account, struct error *e);

/* --- what pages ask people --- */

/*
 * Pages in the language of the reader, which others build. Consent: "?interaction=ID", shows
 * oidc_question() and posts interaction, token and answer ("yes" or "no") to
 * /oidc/authorize/decide. Device: "?user_code=CODE", posts user_code and token
 * (session_form_token() for "device") to /oidc/device/verify; comes back with "?wrong=code",
 * "?wrong=often", "?done=yes" or "?done=no". Sign-out: with the parameters of a client's request,
 * which it posts to /oidc/logout with a token for "logout".
 */
#define OIDC_CONSENT_PATH "/consent"
#define OIDC_DEVICE_PATH  "/device"
#define OIDC_LOGOUT_PATH  "/leave"

/* Texts are in the request's arena, absent where nothing is known. */
struct oidc_question {
    struct str client, organization; /* who */
    const struct json *purpose;      /* why: an object with a text for each language, or NULL */
    struct str policy_uri;
    struct str host;            /* where people are led back to */
    struct str scope;           /* what: words by blanks */
    const struct json *details; /* authorization_details, or NULL */
    int64_t until;              /* instant */
    bool sandbox, device;       /* somebody tries it out; a device asks */
    struct str token;           /* for the form */
};
/* ERR_NOT_FOUND: there is no such interaction, or it is over. */
enum err oidc_question(struct oidc *o, struct store_conn *c, struct request *req,
                       struct str interaction, const struct session *s, struct oidc_question *out,
                       struct error *e);

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
