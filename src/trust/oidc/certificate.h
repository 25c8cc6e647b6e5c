/*
 * certificate.h - certificates of clients (RFC 8705), as a proxy in front that ended TLS hands them
 * on (RFC 9440: "Client-Cert: :BASE64:"). Only of proxies named in http.trusted_proxies, and only
 * where oidc.certificates says that they do. What they ask of certificates decides whom they let
 * in; the names are compared here.
 */
#ifndef TRUST_OIDC_CERTIFICATE_H
#define TRUST_OIDC_CERTIFICATE_H

#include "oidc_impl.h"

struct certificate {
    struct str der;
    struct str x5t; /* SHA-256 of it, base64url: "x5t#S256" */
};

/* The certificate of a request, in its arena; NULL without one. */
const struct certificate *certificate_of(struct oidc *o, struct request *req);
/* Does it bear the one name that the client's metadata give (tls_client_auth_...)? */
bool certificate_is_named(const struct certificate *k, const struct json *metadata);
/* Is it the first x5c of a key in the set? */
bool certificate_is_listed(struct arena *a, const struct certificate *k, const struct json *set);

#endif
