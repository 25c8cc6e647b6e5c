/*
 * Who calls (RFC 6749 section 2.3): a secret, an assertion signed by the client's key (RFC 7523, as
 * FAPI 2.0 wants it), a certificate (RFC 8705), or nothing. One way in a request, and the one that
 * the client is registered with.
 */
#include "certificate.h"
#include "oidc_impl.h"
#include <string.h>

enum { JTI_BYTES_MAX = 256, SKEW_S = 10 };

#define ASSERTION_TYPE "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

struct credentials {
    enum client_auth shown;
    struct str id, secret;
    struct jws assertion;
    const struct json *claims;
};

static bool refuse(struct call *c, const char *text)
{
    call_fail(c, 401, "invalid_client", text);
    return false;
}

static bool malformed(struct call *c, const char *text)
{
    call_fail(c, 400, "invalid_request", text);
    return false;
}

/* --- what is shown --- */

/* "Basic" with both halves form-encoded (RFC 6749 section 2.3.1). */
static bool read_basic(struct call *c, struct str header, struct credentials *out)
{
    struct str text, id;
    if (!base64_decode(c->a, str_trim(str_from(header, 6)), &text) || !text.n ||
        memchr(text.p, 0, text.n))
        return false;
    ptrdiff_t colon = str_find_char(text, ':');
    if (colon < 1)
        return false;
    id = str_sub(text, 0, (size_t)colon);
    out->id = url_decode(c->a, id, true);
    out->secret = url_decode(c->a, str_from(text, (size_t)colon + 1), true);
    return out->id.p && out->secret.p;
}

static bool read_assertion(struct call *c, struct str text, struct credentials *out)
{
    struct error e = {0};
    if (!str_eq(call_param(c, "client_assertion_type"), S(ASSERTION_TYPE)))
        return malformed(c, "client_assertion_type is not " ASSERTION_TYPE);
    if (jws_read(c->a, text, &out->assertion, &e) ||
        !(out->claims = json_parse(c->a, out->assertion.payload, &JSON_DEFAULT, &e)))
        return refuse(c, "the assertion is not well-formed");
    struct str type = out->assertion.type;
    struct str iss = json_text(json_get(out->claims, S("iss")));
    if (type.p && !str_eq_nocase(type, S("JWT")) &&
        !str_eq_nocase(type, S("client-authentication+jwt")))
        return refuse(c, "the assertion is of another type");
    if (!iss.n || !str_eq(iss, json_text(json_get(out->claims, S("sub")))))
        return refuse(c, "iss and sub of the assertion must be the client");
    out->id = iss;
    return true;
}

/* false: the response is filled. */
static bool read_credentials(struct call *c, struct credentials *out)
{
    struct str header = request_header(c->req, "Authorization");
    struct str assertion = call_param(c, "client_assertion");
    struct str secret = call_param(c, "client_secret"), id = call_param(c, "client_id");
    c->basic = str_eq_nocase(str_sub(header, 0, 6), S("Basic "));
    if ((c->basic != 0) + (assertion.p != NULL) + (secret.p != NULL) > 1)
        return malformed(c, "the client authenticates in several ways at once");
    if (c->basic) {
        out->shown = AUTH_BASIC;
        if (!read_basic(c, header, out))
            return refuse(c, "the credentials are not well-formed");
    } else if (assertion.p) {
        out->shown = AUTH_KEY;
        if (!read_assertion(c, assertion, out))
            return false;
    } else {
        out->shown = secret.p ? AUTH_POST : AUTH_NONE;
        out->id = id;
        out->secret = secret;
    }
    if (!out->id.n)
        return refuse(c, "no client_id was sent");
    if (id.p && !str_eq(id, out->id))
        return malformed(c, "client_id is not the client that authenticates");
    return true;
}

/* --- keys of the client --- */

/* The first key of the set that may have signed; NULL. */
static struct jose_key *pick(struct call *c, const struct json *set, const struct jws *j)
{
    const struct json *keys = json_get(set, S("keys"));
    struct error e = {0};
    for (size_t i = 0; json_is(keys, JSON_ARRAY) && i < keys->n; i++) {
        struct jose_key *key = NULL;
        struct str kid = json_text(json_get(&keys->items[i], S("kid")));
        if (j->kid.p && !str_eq(kid, j->kid))
            continue;
        if (!key_cache_get(c->o->cache, &keys->items[i], &key, &e) &&
            str_eq(str_c(jose_alg_name(jose_key_alg(key))), j->alg) &&
            jose_key_alg(key) != JOSE_RS256 && !jws_verify(j, key, &e))
            return key;
        jose_key_free(key);
    }
    return NULL;
}

struct refetch {
    struct call call;
    struct str url;
};

static void refetch_run(void *ctx)
{
    struct refetch *r = ctx;
    struct request *req = r->call.req;
    size_t headers = r->call.res->n_headers;
    remote_fetch(r->call.o->remote, r->url);
    r->call.res->n_headers = headers;
    if (r->call.handler(req, r->call.res, r->call.o) == HTTP_DONE)
        http_resume(req);
}

static bool fetch_later(struct call *c, struct str url, enum http_answer *answer)
{
    struct refetch *r = ARENA_NEW(c->a, struct refetch);
    *r = (struct refetch){*c, url};
    if (pool_submit(c->o->trust->pool, refetch_run, r)) {
        call_error(c, &(struct error){ERR_UNAVAILABLE, "too many keys are being fetched"});
        return false;
    }
    *answer = HTTP_LATER;
    return false;
}

/* The key that signed the assertion, to be freed. false: the response is filled or on its way. */
static bool signed_by(struct call *c, const struct jws *j, struct jose_key **out,
                      enum http_answer *answer)
{
    const struct json *set = json_get(c->client->doc, S("jwks"));
    struct str url = json_text(json_get(c->client->doc, S("jwks_uri")));
    struct error e = {0};
    if (url.p) {
        struct str text = remote_known(c->o->remote, c->a, url, c->now);
        set = text.p ? json_parse(c->a, text, &JSON_DEFAULT, &e) : NULL;
    }
    *out = pick(c, set, j);
    if (*out)
        return true;
    if (url.p && remote_due(c->o->remote, url, c->now))
        return fetch_later(c, url, answer);
    return refuse(c, "the assertion is not signed by a key of this client");
}

/* --- checks, a way each --- */

/* FAPI 2.0 section 5.3.2.1: the audience is the issuer, as one string; the end is near; once. */
static bool check_claims(struct call *c, const struct json *claims)
{
    int64_t exp, at, now = c->now / SECOND_US;
    const struct json *aud = json_get(claims, S("aud")), *v;
    struct str jti = json_text(json_get(claims, S("jti")));
    if (!json_is(aud, JSON_STRING) || !str_eq(json_text(aud), c->issuer))
        return refuse(c, "aud of the assertion must be the issuer, and nothing else");
    if (!json_i64(json_get(claims, S("exp")), &exp) || exp <= now - SKEW_S)
        return refuse(c, "the assertion is over, or has no exp");
    if (exp > now + c->o->options->assertion_s)
        return refuse(c, "exp of the assertion is too far away");
    if (((v = json_get(claims, S("nbf"))) && (!json_i64(v, &at) || at > now + SKEW_S)) ||
        ((v = json_get(claims, S("iat"))) && (!json_i64(v, &at) || at > now + SKEW_S)))
        return refuse(c, "the assertion is from the future");
    if (!json_is(json_get(claims, S("jti")), JSON_STRING) || !jti.n || jti.n > JTI_BYTES_MAX)
        return refuse(c, "the assertion needs a jti");
    call_once(c, "assertion", c->client->id, jti, (exp + SKEW_S) * SECOND_US, "invalid_client",
              "the assertion was used before");
    return true;
}

static bool check_assertion(struct call *c, const struct credentials *k, enum http_answer *answer)
{
    struct jose_key *key = NULL;
    if (!signed_by(c, &k->assertion, &key, answer))
        return false;
    jose_key_free(key);
    return check_claims(c, k->claims);
}

static bool check_secret(struct call *c, const struct credentials *k)
{
    struct hash h = hash_sha256(k->secret);
    return bytes_equal(hash_bytes(&h), hash_bytes(&c->client->secret)) ||
           refuse(c, "the client is not known or its secret is wrong");
}

static bool check_certificate(struct call *c, enum http_answer *answer)
{
    struct error e = {0};
    struct str url = json_text(json_get(c->client->doc, S("jwks_uri"))), text;
    const struct json *set = json_get(c->client->doc, S("jwks"));
    if (!c->certificate)
        return refuse(c, "the client's certificate is missing");
    if (c->client->auth == AUTH_TLS)
        return certificate_is_named(c->certificate, c->client->doc) ||
               refuse(c, "the certificate is of somebody else");
    if (url.p) {
        text = remote_known(c->o->remote, c->a, url, c->now);
        set = text.p ? json_parse(c->a, text, &JSON_DEFAULT, &e) : NULL;
    }
    if (certificate_is_listed(c->a, c->certificate, set))
        return true;
    if (url.p && remote_due(c->o->remote, url, c->now))
        return fetch_later(c, url, answer);
    return refuse(c, "the certificate is none of the client's");
}

static bool check(struct call *c, const struct credentials *k, unsigned flags,
                  enum http_answer *answer)
{
    enum client_auth registered = c->client->auth;
    bool tls = registered == AUTH_TLS || registered == AUTH_TLS_OWN_KEY;
    if (tls ? k->shown != AUTH_NONE : k->shown != registered)
        return refuse(c, "the client is registered to authenticate in another way");
    switch (registered) {
    case AUTH_BASIC:
    case AUTH_POST:
        return check_secret(c, k);
    case AUTH_KEY:
        return check_assertion(c, k, answer);
    case AUTH_TLS:
    case AUTH_TLS_OWN_KEY:
        return check_certificate(c, answer);
    case AUTH_NONE:
    case AUTHS:
        break;
    }
    return (flags & CLIENT_PUBLIC_TOO) || refuse(c, "a client without a secret cannot do this");
}

bool call_client(struct call *c, struct store_conn *conn, unsigned flags, enum http_answer *answer)
{
    struct credentials k = {.shown = AUTH_NONE};
    struct error e = {0};
    *answer = HTTP_DONE;
    c->client = ARENA_NEW(c->a, struct oidc_client);
    if (!read_credentials(c, &k))
        return false;
    enum err err = client_read(conn, c->a, k.id, c->client, &e);
    if (err == ERR_NOT_FOUND)
        return refuse(c, "the client is not known or its secret is wrong");
    if (err) {
        call_error(c, &e);
        return false;
    }
    c->certificate = certificate_of(c->o, c->req);
    return check(c, &k, flags, answer);
}
