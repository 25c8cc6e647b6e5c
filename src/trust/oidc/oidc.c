/* Opening and closing the provider; its settings; what is over is swept away. */
#include "core/log.h"
#include "oidc_impl.h"
#include <stdlib.h>
#include <string.h>

static const struct config_key keys[] = {
    CONFIG_STR(
        "oidc.issuer", struct oidc_options, issuer, "",
        "address under which the city is an OpenID Provider, such as https://id.city.example "
        "without '/' at the end; it never changes. Empty: only this machine itself is served"),
    CONFIG_BOOL("oidc.certificates", struct oidc_options, certificates, "false",
                "the proxies of http.trusted_proxies end TLS, hand certificates of clients on in "
                "Client-Cert (RFC 9440), and take that header away from everybody else"),
    CONFIG_INT("oidc.code_s", struct oidc_options, code_s, 60, 1, 60,
               "life of an authorization code, seconds"),
    CONFIG_INT("oidc.request_s", struct oidc_options, request_s, 90, 5, 599,
               "life of a pushed authorization request, seconds"),
    CONFIG_INT("oidc.interaction_s", struct oidc_options, interaction_s, 1800, 60, 86400,
               "time for signing in and consenting, seconds"),
    CONFIG_INT("oidc.access_s", struct oidc_options, access_s, 600, 10, 86400,
               "life of an access token, seconds"),
    CONFIG_INT("oidc.refresh_s", struct oidc_options, refresh_s, 2592000, 60, 31536000,
               "life of what refresh tokens belong to, seconds"),
    CONFIG_INT("oidc.assertion_s", struct oidc_options, assertion_s, 300, 10, 3600,
               "farthest end of an assertion that a client authenticates with, seconds from now"),
    CONFIG_INT("oidc.nonce_s", struct oidc_options, nonce_s, 120, 1, 3600,
               "a nonce for DPoP is good for at least this long, seconds"),
    CONFIG_INT("oidc.device_s", struct oidc_options, device_s, 600, 30, 3600,
               "life of a code that is shown by a device, seconds"),
    CONFIG_INT("oidc.device_tries", struct oidc_options, device_tries, 5, 1, 100,
               "wrong codes of devices that one account or address may type in ten minutes"),
    CONFIG_INT("oidc.key_days", struct oidc_options, key_days, 90, 1, 3650,
               "a signing key signs this long, days"),
    CONFIG_INT("oidc.key_ahead_h", struct oidc_options, key_ahead_h, 48, 1, 8760,
               "the next signing key is published this long before, hours"),
    CONFIG_INT("oidc.jwks_s", struct oidc_options, jwks_s, 600, 1, 86400,
               "keys at a client's jwks_uri are read again after this long, seconds"),
    CONFIG_INT("oidc.sweep_ms", struct oidc_options, sweep_ms, 5000, 100, 3600000,
               "pause between looks for what is over and for whom to tell of sign-outs, "
               "milliseconds"),
};
const struct config_table oidc_config = {"oidc", keys, sizeof(keys) / sizeof(keys[0])};

/* --- what is over --- */

enum { SWEEP_ROWS = 2000 };

/* Each deletes some rows that nobody can use any more; $1 is now, $2 how many. Codes stay until
 * their grant could not have anything left that a replay would have to end. */
static const char *const sweeps[] = {
    "DELETE FROM oidc_once WHERE hash IN (SELECT hash FROM oidc_once WHERE until < $1 LIMIT $2)",
    "DELETE FROM oidc_token WHERE hash IN"
    " (SELECT hash FROM oidc_token WHERE expires < $1 LIMIT $2)",
    "DELETE FROM oidc_request WHERE hash IN"
    " (SELECT hash FROM oidc_request WHERE expires < $1 LIMIT $2)",
    "DELETE FROM oidc_device WHERE hash IN"
    " (SELECT hash FROM oidc_device WHERE expires < $1 LIMIT $2)",
    "DELETE FROM oidc_code WHERE hash IN (SELECT c.hash FROM oidc_code c"
    " JOIN oidc_grant g ON g.n = c.grant_n WHERE g.expires < $1 LIMIT $2)",
    "DELETE FROM oidc_grant WHERE n IN (SELECT n FROM oidc_grant WHERE expires < $1 LIMIT $2)",
};

/* What somebody agreed to goes with their account. */
static const char forget_closed[] =
    "DELETE FROM oidc_consent WHERE account IN (SELECT c.account FROM oidc_consent c"
    " JOIN account a ON a.id = c.account WHERE a.state = $1)";

struct sweep {
    struct oidc *o;
    int64_t most; /* rows that one of them deleted */
};

static enum err sweep(struct store_conn *c, void *ctx, struct error *e)
{
    struct sweep *s = ctx;
    int64_t now = clock_now(s->o->trust->clock), n = 0;
    enum err err = OK;
    s->most = 0;
    err = store_exec(c, forget_closed, SV(SV_INT(ACCOUNT_CLOSED)), NULL, e);
    for (size_t i = 0; !err && i < sizeof(sweeps) / sizeof(sweeps[0]); i++) {
        err = store_exec(c, sweeps[i], SV(SV_INT(now), SV_INT(SWEEP_ROWS)), &n, e);
        s->most = n > s->most ? n : s->most;
    }
    return err;
}

static void sweep_run(void *ctx)
{
    struct oidc *o = ctx;
    struct sweep s = {.o = o, .most = SWEEP_ROWS};
    struct error e = {0};
    if (ring_turn(o->ring, &e) && e.code != ERR_UNAVAILABLE)
        log_event(LOG_WARN, "oidc.keys", LOG_Z("error", e.text));
    logout_deliver(o);
    for (int turns = 0; s.most == SWEEP_ROWS && turns < 50; turns++)
        if (!store_duty(o->trust->store, "oidc.sweep") ||
            store_write(o->trust->store, sweep, &s, &e))
            break;
}

/* --- opening and closing --- */

static enum err check_issuer(const char *issuer, struct error *e)
{
    struct str s = str_c(issuer);
    if (!s.n || (uri_is_web(s, true) && s.p[s.n - 1] != '/' && !strchr(issuer, '?')))
        return OK;
    return error_set(e, ERR_INVALID,
                     "oidc.issuer: \"%s\" is no https address without '/' at its end", issuer);
}

struct oidc *oidc_open(struct trust *t, struct error *e)
{
    if (check_issuer(t->oidc_options->issuer, e))
        return NULL;
    struct oidc *o = calloc(1, sizeof(*o));
    if (!o)
        abort();
    o->trust = t;
    o->options = t->oidc_options;
    o->cache = key_cache_new();
    o->proofs = proof_memory_new();
    o->remote = remote_open(o);
    o->ring = ring_open(o, e);
    if (!o->ring) {
        oidc_close(o);
        return NULL;
    }
    session_on_end(t, session_ended, o);
    pool_every(t->pool, o->options->sweep_ms, sweep_run, o);
    return o;
}

void oidc_close(struct oidc *o)
{
    if (!o)
        return;
    atomic_store(&o->closing, true);
    if (o->ring)
        pool_never(o->trust->pool, sweep_run, o);
    ring_close(o->ring);
    remote_close(o->remote);
    proof_memory_free(o->proofs);
    key_cache_free(o->cache);
    free(o);
}

void oidc_routes(struct oidc *o, struct router *r)
{
    metadata_routes(o, r);
    token_routes(o, r);
    introspect_routes(o, r);
    client_routes(o, r);
    par_routes(o, r);
    authorize_routes(o, r);
    userinfo_routes(o, r);
    device_routes(o, r);
    logout_routes(o, r);
}
