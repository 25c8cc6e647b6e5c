/*
 * oidc_impl.h - what the files of the OpenID Provider share.
 *
 * One request is a struct call, in the request's arena. Handlers read on the HTTP worker from a
 * snapshot, sign there what they will answer with, and hand what must be durable to the writer as
 * one change (call_write()); the answer leaves after its commit. Whatever can be used once (codes,
 * jti, request_uri, refresh tokens that rotate) is decided inside the change.
 */
#ifndef TRUST_OIDC_IMPL_H
#define TRUST_OIDC_IMPL_H

#include "crypto/jose.h"
#include "http/client.h"
#include "trust/oidc.h"
#include "trust/oidc_options.h"
#include "trust/session.h"
#include <stdatomic.h>

struct key_ring;
struct key_cache;
struct remote_keys;
struct proof_memory;
struct certificate;

struct oidc {
    struct trust *trust;
    const struct oidc_options *options;
    struct key_ring *ring;       /* keys that we sign with */
    struct key_cache *cache;     /* others' keys, parsed */
    struct remote_keys *remote;  /* what jwks_uri of clients led to */
    struct proof_memory *proofs; /* DPoP proofs shown to our resources */
    atomic_bool closing;
};

/* --- clients --- */

enum client_auth {
    AUTH_NONE,
    AUTH_BASIC,
    AUTH_POST,
    AUTH_KEY,         /* private_key_jwt */
    AUTH_TLS,         /* tls_client_auth */
    AUTH_TLS_OWN_KEY, /* self_signed_tls_client_auth */
    AUTHS
};
const char *client_auth_name(enum client_auth auth);

enum { GRANT_CODE = 1, GRANT_REFRESH = 2, GRANT_CLIENT = 4, GRANT_DEVICE = 8 };

/* A registered client, in an arena; read afresh for each request. */
struct oidc_client {
    struct str id, name;
    int64_t version;
    enum client_auth auth;
    struct hash secret;     /* of AUTH_BASIC and AUTH_POST: SHA-256 of it */
    const struct json *doc; /* the metadata as kept */
    unsigned grants;
    struct str scope, sector;
    bool fapi2, sandbox, opaque, pushes, dpop, mtls, introspects, trusted;
};

/* ERR_NOT_FOUND also for one that was removed. */
enum err client_read(struct store_conn *c, struct arena *a, struct str id, struct oidc_client *out,
                     struct error *e);
/* Metadata as sent, checked and put in the kept form; NULL. */
const struct json *client_check(struct arena *a, const struct json *in, struct error *e);
bool client_redirects(const struct oidc_client *k, struct str member, struct str uri);
/* Words of list that are also in allowed, in the order of list. */
struct str scope_within(struct arena *a, struct str list, struct str allowed);
bool scope_has(struct str list, struct str word);
/* Does a scope tell something personal? Only clients under FAPI 2.0 may have those. */
bool scope_is_personal(struct str word);
bool scope_well_formed(struct str list);
/* "https" with a host and without fragment, blank, credentials; loopback_http allows http there. */
bool uri_is_web(struct str uri, bool loopback_http);
bool uri_is_loopback(struct str uri);    /* http to this machine */
bool uri_is_private_use(struct str uri); /* "jp.example.app:/back" (RFC 8252 section 7.1) */
/* The same text; for http to a loopback address the port may differ. */
bool uri_matches(struct str registered, struct str sent);
struct str uri_host(struct str uri);

/* --- keys --- */

struct key_ring *ring_open(struct oidc *o, struct error *e);
void ring_close(struct key_ring *r);
/* The key that signs now, to be freed; ERR_UNAVAILABLE while there is none. */
enum err ring_signer(struct key_ring *r, int64_t now, struct jose_key **out, struct error *e);
/* A key of ours by kid, to be freed; NULL. */
struct jose_key *ring_find(struct key_ring *r, struct str kid);
/* All that are published, as {"keys": [...]}. */
struct str ring_jwks(struct key_ring *r, struct arena *a, int64_t now);
/* Make the keys that the schedule asks for, forget those that are over. Waits for the store. */
enum err ring_turn(struct key_ring *r, struct error *e);

struct key_cache *key_cache_new(void);
void key_cache_free(struct key_cache *c);
/* The key of a JWK, to be freed; parsing costs more than verifying, so they are kept. */
enum err key_cache_get(struct key_cache *c, const struct json *jwk, struct jose_key **out,
                       struct error *e);

struct remote_keys *remote_open(struct oidc *o);
void remote_close(struct remote_keys *r);
/* The JWKS behind a URL as last read, in the arena; absent: not read yet or too old. */
struct str remote_known(struct remote_keys *r, struct arena *a, struct str url, int64_t now);
/* May it be read again now? At most once in a while for one URL. */
bool remote_due(struct remote_keys *r, struct str url, int64_t now);
/* Read it; waits for the network: pool threads only. */
void remote_fetch(struct remote_keys *r, struct str url);

/* --- people --- */

enum err subject_of(struct oidc *o, struct arena *a, struct str sector, int64_t account,
                    struct str *sub, struct error *e);
/* Inside a change: so that oidc_account() finds the way back. */
enum err subject_keep(struct store_conn *c, struct str sector, struct str sub, int64_t account,
                      struct error *e);

/* --- a call --- */

enum { CALL_ONCE_MAX = 2 };

/* A thing that counts once: an assertion, a proof. */
struct once {
    struct hash hash;
    int64_t until;
    const char *code, *text; /* what to answer when it was there before */
};

struct proof {
    bool shown;
    struct str jkt; /* thumbprint of the key */
};

/* RFC 6749 section 5.2 and its relatives. code NULL: none. */
struct oauth_problem {
    int status;
    const char *code;
    struct str text;
};

struct call {
    struct oidc *o;
    struct request *req;
    struct response *res;
    struct arena *a;
    http_handler handler;
    int64_t now;
    struct str issuer;
    const struct http_pair *params; /* of query or form, none twice */
    size_t n_params;
    struct oidc_client *client;
    struct proof proof;
    struct once once[CALL_ONCE_MAX];
    size_t n_once;
    bool page;                             /* CALL_PAGE */
    bool basic;                            /* credentials came in the Authorization header */
    const struct certificate *certificate; /* of the client; NULL: none was shown */
    /* of call_write() */
    struct store_change change;
    enum err (*apply)(struct call *c, struct store_conn *conn, struct error *e);
    void (*then)(struct call *c);
    struct oauth_problem problem; /* apply() may set it and return OK: what it wrote stays */
    void *own;
};

/* Where parameters may stand; CALL_PAGE: whoever calls is a person, and errors are pages. */
enum { CALL_FORM = 1, CALL_QUERY = 2, CALL_PAGE = 4 };
/* false: the response is filled. */
bool call_open(struct call *c, struct request *req, struct response *res, struct oidc *o,
               http_handler handler, unsigned flags);
/* The same with a reader for run(), given back afterwards: what most handlers are. */
enum http_answer call_run(struct request *req, struct response *res, struct oidc *o,
                          http_handler handler, unsigned flags,
                          enum http_answer (*run)(struct call *, struct store_conn *));
struct str call_param(const struct call *c, const char *name); /* absent when not sent */
enum http_answer call_fail(struct call *c, int status, const char *code, const char *text);
/* Of the store or of a bug: 503 or 500, told to the log. */
enum http_answer call_error(struct call *c, const struct error *e);
void call_json(struct call *c, int status, struct buf *b); /* no-store; b is released */
/* Leads a person on, to a path of ours or an address of a client's. */
void call_go(struct call *c, struct str to);
/* NULL: the response is filled. */
struct store_conn *call_reader(struct call *c);
/*
 * One change: what counts once, then apply() (may be NULL), then after the commit then(). Both get
 * a copy of the call in the arena. HTTP_LATER, or HTTP_DONE when the queue is full.
 */
enum http_answer call_write(struct call *c,
                            enum err (*apply)(struct call *, struct store_conn *, struct error *),
                            void (*then)(struct call *));
/* Run on a pool thread, then resume. */
enum http_answer call_slowly(struct call *c, void (*run)(struct call *));
void call_once(struct call *c, const char *kind, struct str who, struct str jti, int64_t until,
               const char *code, const char *text);
/* Where this server is reached, as clients must write it; absent: it is not known. */
struct str oidc_issuer(const struct oidc *o, const struct request *req);
struct str call_url(const struct call *c, const char *path);
/* The request's own path: of a handler that serves several. */
struct str hash_b64(struct arena *a, const struct hash *h);
struct str hash_bytes(const struct hash *h);

/* --- who calls: RFC 6749 section 2.3, RFC 7523, RFC 8705 --- */

enum { CLIENT_PUBLIC_TOO = 1 };
/* Reads and authenticates the client. false: the response is filled, or on its way (*answer). */
bool call_client(struct call *c, struct store_conn *conn, unsigned flags, enum http_answer *answer);

/* --- DPoP --- */

struct str dpop_nonce(struct oidc *o, struct arena *a, int64_t now);
/* The proof of a request at an endpoint of ours that writes: spent in the change. OK with
 * !proof.shown when there is none. false: the response is filled. */
bool call_proof(struct call *c);
/* The proof that must come with a token at a resource. text of e is the error's description, *code
 * the error: "invalid_dpop_proof" or "use_dpop_nonce". */
enum err dpop_at_resource(struct oidc *o, struct request *req, struct str token, struct str *jkt,
                          const char **code, struct error *e);
struct proof_memory *proof_memory_new(void);
void proof_memory_free(struct proof_memory *m);
/* Reads a proof, proves it is signed by the key it carries; nothing else. For fuzzing too. */
struct dpop_claims {
    struct str jkt, jti, htm, htu, nonce, ath;
    int64_t iat;
};
enum err dpop_read(struct key_cache *keys, struct arena *a, struct str text,
                   struct dpop_claims *out, struct error *e);

/* --- tokens --- */

enum { TOKEN_ACCESS = 1, TOKEN_REFRESH = 2 };
#define TOKEN_PREFIX "mt_" /* of opaque access tokens: whoever finds one knows whose it is */

/* What a token is made for. Texts absent where they do not apply. */
struct issue {
    int64_t grant, account, session;
    struct str subject; /* pairwise, or the client for itself */
    struct str scope, audience;
    struct str acr;
    const struct json *amr;
    int64_t authenticated; /* instant; 0: nobody was */
    const struct json *details;
    const struct json *claims; /* what UserInfo was asked for */
    struct str jkt, x5t;       /* what it is bound to */
};
struct token_row {
    struct hash hash;
    int kind;
    int64_t grant, account, session, made, expires;
    struct str client, audience, doc;
    struct str jkt, x5t; /* what it is bound to, in the arena; absent: nothing */
};
/* Made and signed, not kept yet: token_keep() in the change. */
enum err token_access(struct call *c, const struct issue *i, struct str *text,
                      struct token_row *row, struct error *e);
enum err token_refresh(struct call *c, const struct issue *i, int64_t expires, struct str *text,
                       struct token_row *row, struct error *e);
enum err token_keep(struct store_conn *c, const struct token_row *row, struct error *e);
/* A token that was shown. ERR_NOT_FOUND: none of ours, over, used, its grant was ended, or its
 * person may not be signed in. */
enum err token_find(struct store_conn *c, struct arena *a, struct str text, int64_t now,
                    struct token_row *out, struct error *e);
/* {"access_token", "token_type", ...} is begun; the caller adds members and calls call_json(). */
void token_answer(struct call *c, struct json_writer *w, struct str access, const struct issue *i);
/* A JWT of ours. */
enum err sign_jwt(struct call *c, struct str type, struct str payload, struct str *out,
                  struct error *e);

/* What the token of this call will be bound to. false: the response is filled. */
bool call_binding(struct call *c, struct issue *i);
/* May the client of the call have tokens for it (RFC 8707)? Absent is allowed. */
bool resource_known(struct call *c, struct str asked);
/* The parameter authorization_details (RFC 9396), *out NULL without one; false: it is not good. */
enum { DETAILS_MAX = 16 };
bool details_read(struct call *c, const struct json **out);

/* As oidc_bearer(), with the row. */
enum err oidc_bearer_row(struct oidc *o, struct store_conn *c, struct request *req,
                         struct token_row *row, bool *found, struct str *challenge,
                         struct error *e);
/* Inside a change: nothing that hangs on the grant is good any more. */
enum err grant_end(struct store_conn *c, int64_t grant, int64_t now, struct error *e);

/* For session_on_end(). */
enum err session_ended(struct store_conn *c, int64_t session, void *ctx, struct error *e);
/* Tell clients what is due; waits for the network. */
void logout_deliver(struct oidc *o);

/* --- handlers, a file each --- */

void par_routes(struct oidc *o, struct router *r);
void authorize_routes(struct oidc *o, struct router *r);
void userinfo_routes(struct oidc *o, struct router *r);
void device_routes(struct oidc *o, struct router *r);
void logout_routes(struct oidc *o, struct router *r);
void client_routes(struct oidc *o, struct router *r);
void metadata_routes(struct oidc *o, struct router *r);
void token_routes(struct oidc *o, struct router *r);
void introspect_routes(struct oidc *o, struct router *r);

#endif
