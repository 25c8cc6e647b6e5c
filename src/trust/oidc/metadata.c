/* What clients read first: metadata (OpenID Connect Discovery 1.0, RFC 8414) and our keys. */
#include "oidc_impl.h"

static void write_list(struct json_writer *w, const char *name, const char *words)
{
    struct str rest = str_c(words), word;
    json_w_key(w, str_c(name));
    json_w_array(w);
    while (str_split(&rest, ' ', &word))
        json_w_str(w, word);
    json_w_end(w);
}

#define AUTH_METHODS                                                                               \
    "private_key_jwt tls_client_auth self_signed_tls_client_auth client_secret_basic "             \
    "client_secret_post"

static const struct {
    const char *name, *value;
} lists[] = {
    {"scopes_supported", "openid profile email address phone offline_access"},
    {"response_types_supported", "code"},
    {"response_modes_supported", "query"},
    {"grant_types_supported", "authorization_code refresh_token client_credentials "
                              "urn:ietf:params:oauth:grant-type:device_code"},
    {"subject_types_supported", "pairwise"},
    {"id_token_signing_alg_values_supported", "ES256"},
    {"token_endpoint_auth_methods_supported", AUTH_METHODS " none"},
    {"token_endpoint_auth_signing_alg_values_supported", "ES256 PS256 EdDSA"},
    {"introspection_endpoint_auth_methods_supported", AUTH_METHODS},
    {"introspection_endpoint_auth_signing_alg_values_supported", "ES256 PS256 EdDSA"},
    {"revocation_endpoint_auth_methods_supported", AUTH_METHODS " none"},
    {"revocation_endpoint_auth_signing_alg_values_supported", "ES256 PS256 EdDSA"},
    {"dpop_signing_alg_values_supported", "ES256 PS256 EdDSA"},
    {"code_challenge_methods_supported", "S256"},
    {"acr_values_supported", "aal1 aal2 aal3"},
    {"prompt_values_supported", "none login consent"},
    {"ui_locales_supported", "ja ja-x-yasashii en zh-Hans ko vi pt"},
    {"claim_types_supported", "normal"},
    {"claims_supported",
     "sub iss aud exp iat auth_time nonce acr amr at_hash sid name name#ja-Kana-JP "
     "birthdate gender ial locale email email_verified phone_number "
     "phone_number_verified address"},
};

static const struct {
    const char *name, *path;
} endpoints[] = {
    {"authorization_endpoint", "/oidc/authorize"},
    {"token_endpoint", "/oidc/token"},
    {"userinfo_endpoint", "/oidc/userinfo"},
    {"jwks_uri", "/oidc/jwks"},
    {"pushed_authorization_request_endpoint", "/oidc/par"},
    {"introspection_endpoint", "/oidc/introspect"},
    {"revocation_endpoint", "/oidc/revoke"},
    {"device_authorization_endpoint", "/oidc/device_authorization"},
    {"end_session_endpoint", "/oidc/logout"},
};

static const struct {
    const char *name;
    bool value;
} flags[] = {
    {"claims_parameter_supported", true},
    {"request_parameter_supported", false},
    {"request_uri_parameter_supported", false},
    {"authorization_response_iss_parameter_supported", true},
    {"require_pushed_authorization_requests", false},
    {"tls_client_certificate_bound_access_tokens", true},
    {"backchannel_logout_supported", true},
    {"backchannel_logout_session_supported", true},
};

static enum http_answer get_metadata(struct request *req, struct response *res, void *ctx)
{
    struct call c;
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    if (!call_open(&c, req, res, ctx, get_metadata, 0))
        return HTTP_DONE;
    json_w_object(&w);
    json_w_kstr(&w, S("issuer"), c.issuer);
    for (size_t i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++)
        json_w_kstr(&w, str_c(endpoints[i].name), call_url(&c, endpoints[i].path));
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        write_list(&w, lists[i].name, lists[i].value);
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
        json_w_kbool(&w, str_c(flags[i].name), flags[i].value);
    json_w_end(&w);
    response_header(req, res, "Cache-Control", S("public, max-age=300"));
    response_body(req, res, 200, "application/json", buf_dup(&b, req->arena));
    buf_release(&b);
    return HTTP_DONE;
}

/* Kept by others for an hour at most, and never longer than a new key is published before its use.
 */
static enum http_answer get_jwks(struct request *req, struct response *res, void *ctx)
{
    struct oidc *o = ctx;
    int64_t ahead_s = o->options->key_ahead_h * 3600 / 2;
    response_header(req, res, "Cache-Control",
                    str_printf(req->arena, "public, max-age=%lld",
                               (long long)(ahead_s < 3600 ? ahead_s : 3600)));
    response_body(req, res, 200, "application/jwk-set+json",
                  ring_jwks(o->ring, req->arena, clock_now(o->trust->clock)));
    return HTTP_DONE;
}

static const struct route routes[] = {
    {"GET", "/.well-known/openid-configuration", get_metadata, ROUTE_PUBLIC_CORS},
    {"GET", "/.well-known/oauth-authorization-server", get_metadata, ROUTE_PUBLIC_CORS},
    {"GET", "/oidc/jwks", get_jwks, ROUTE_PUBLIC_CORS},
};

void metadata_routes(struct oidc *o, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), o);
}
