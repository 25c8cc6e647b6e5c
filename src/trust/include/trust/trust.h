/*
 * trust.h - everything that is a fact about a person, as a whole: what it needs, its settings, its
 * tables, its routes. Stands on http, store, crypto and core; knows neither link nor the services.
 */
#ifndef TRUST_TRUST_H
#define TRUST_TRUST_H

#include "core/pool.h"
#include "http/client.h"
#include "http/http.h"
#include "store/store.h"

/* For card.h. */
struct card_options {
    const char *folder;      /* authorities and lists of revoked certificates; "": no cards */
    const char *auth_policy; /* OID that a certificate for authentication must have */
    const char *sign_policy;
    const char *auth_ocsp; /* URL of the responder; "": none */
    const char *sign_ocsp;
    int64_t reload_s; /* pause between looks whether a list has changed */
};

/* A key in a PKCS#11 token that wraps the vault's. */
struct token_options {
    const char *module; /* path of the shared library; "": none */
    const char *token;  /* labels */
    const char *key;
    const char *pin;
};

struct trust_options {
    const char *log_origin; /* name of the log, as checkpoints carry it */
    const char *log_key;    /* secret key of the log; "": a file in the data folder */
    int64_t log_sign_ms;    /* pause between looks whether there is something new to sign */
    const char *vault_key;  /* key-encryption key; "": a file in the data folder */
    int64_t session_idle_s; /* a session ends when it was not used for so long */
    int64_t session_max_s;  /* and in any case so long after the sign-in */
    int64_t password_parallel, password_queue;       /* that are hashed at once; that may wait */
    int64_t attempts_per_name, attempts_per_address; /* before it takes waiting */
    int64_t attempts_lock_max_s;                     /* the longest wait */
    struct card_options card;
    struct token_options token;
};
extern const struct config_table trust_config;
extern const struct store_module trust_module; /* migrations of all tables of trust */

struct accounts;
struct audit_log;
struct card;
struct consents;
struct oidc;
struct oidc_options;
struct vault;

struct trust {
    struct store *store;
    struct pool *pool;
    struct client *client; /* for calling clients' servers; may be NULL when oidc_options is */
    const struct clock *clock;
    const char *data_dir;
    const char *base_url; /* how people reach the city, "https://city.example"; "": as they do */
    struct trust_options options;
    const struct oidc_options *oidc_options; /* NULL: no OpenID Provider */
    /* Who manages the city, by the rules of whoever started this: their name for logs, absent for
     * everybody else. NULL: nobody does. */
    struct str (*manager)(void *ctx, const struct request *req);
    void *manager_ctx;
    struct audit_log *log;
    struct vault *vault;
    struct accounts *accounts;
    struct card *card;
    struct oidc *oidc;         /* NULL: none */
    struct consents *consents; /* NULL: no OpenID Provider */
};

/* Everything given must outlive it. */
enum err trust_start(struct trust *t, struct error *e);
void trust_stop(struct trust *t);
void trust_routes(struct trust *t, struct router *r);
/* See struct trust. */
struct str trust_manager(const struct trust *t, const struct request *req);

#endif
