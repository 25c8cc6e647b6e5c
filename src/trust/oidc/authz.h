/*
 * authz.h - a request for authorization, from wherever it came: the address bar, pushed before (RFC
 * 9126), or kept while somebody signs in and decides.
 *
 *     read (checked) -> sign in, or more of it -> consent -> code -> tokens
 *                \________ refused: an error, to the client when its address is sure ________/
 *
 * Kept requests are parameters again when they are read back, and are checked again: what was
 * registered may have changed meanwhile.
 */
#ifndef TRUST_OIDC_AUTHZ_H
#define TRUST_OIDC_AUTHZ_H

#include "oidc_impl.h"

enum request_kind { REQUEST_PUSHED = 1, REQUEST_INTERACTION = 2 };

struct authz {
    struct str redirect_uri, state, nonce, scope, challenge, resource, ui_locales;
    struct str jkt;            /* the code can only be redeemed with this key; absent: by any */
    bool none, login, consent; /* prompt */
    int64_t max_age;           /* seconds; -1: any */
    enum acr acr;              /* nothing less will do */
    const struct json *claims, *details;
    struct str words; /* scopes that must be consented to, those of single claims included */
    /* of what was kept */
    int64_t asked;     /* instant of the request */
    struct str pushed; /* the row of the pushed request that it came with, as text; absent: none */
    struct str id;     /* of the interaction; absent: none yet */
    struct str device; /* the row of the device's code, as text; absent: a browser's request */
};

/* Client and redirect address: what is wrong here is told to the person, never sent anywhere. The
 * text, or NULL. */
const char *authz_target(struct call *c, struct authz *z);
/* All else. The error's code and text; NULL: good. */
const char *authz_check(struct call *c, struct authz *z, const char **text);

/* The parameters of c, kept for so long; the id that finds them. In a change. An id that is there
 * already stays as it is. */
enum err request_keep(struct call *c, struct store_conn *conn, enum request_kind kind,
                      const struct authz *z, struct str id, int64_t seconds, struct error *e);
/* Puts the kept parameters in the place of c's and fills what was kept of z. ERR_NOT_FOUND: no such
 * request, or over. c->client is NULL when the client has gone. */
enum err request_load(struct call *c, struct store_conn *conn, enum request_kind kind,
                      struct str id, struct authz *z, struct error *e);
/* What is kept, and taking it up again, for those who keep it elsewhere. */
struct str request_text(struct call *c, const struct authz *z);
enum err request_take(struct call *c, struct str text, struct authz *z, struct error *e);
enum err request_drop(struct store_conn *conn, struct str id, int64_t *dropped, struct error *e);

/* --- what somebody allowed --- */

struct grant {
    int64_t n, account, session, expires;
    bool offline, ended;
    struct issue issue;
    struct str nonce, sid;
    struct str words; /* scopes that were consented to, for single claims too */
};
/* Inside a change. */
enum err grant_make(struct call *c, struct store_conn *conn, struct grant *g, struct error *e);
/* Of a row's doc; texts in the arena. */
enum err grant_open(struct arena *a, struct str doc, struct grant *g, struct error *e);
/* What a session and a request add up to; not kept yet. */
enum err grant_of(struct call *c, struct store_conn *conn, const struct authz *z,
                  const struct session *s, struct grant *g, struct error *e);
bool account_may(struct store_conn *conn, struct arena *a, int64_t account);

/* access, ID and refresh token of a grant, signed; then kept, then told. */
struct tokens {
    const struct grant *grant;
    struct issue issue;
    struct str access, id, refresh;
    struct token_row access_row, refresh_row;
    bool has_refresh;
};
enum err tokens_make(struct call *c, struct store_conn *conn, const struct grant *g,
                     const struct issue *i, bool refresh, struct tokens *out, struct error *e);
enum err tokens_keep(struct store_conn *conn, const struct tokens *t, struct error *e);
void tokens_answer(struct call *c, const struct tokens *t);

/* Members of the claims that a grant lets its client know, in the open object. id_token: those that
 * were asked for it by name; else those of UserInfo. */
enum err claims_write(struct call *c, struct store_conn *conn, const struct grant *g, bool id_token,
                      struct json_writer *w, struct error *e);
/* The scope that a claim belongs to; absent: none that we know. */
struct str claim_scope(struct str claim);

/* The tail of a redirect: parameters appended to the registered address. */
struct str redirect_text(struct call *c, const struct authz *z, const struct http_pair *params,
                         size_t n);
/* An error, told to the client by way of the browser; to the person when a device asked. */
enum http_answer redirect_error(struct call *c, const struct authz *z, const char *code,
                                const char *text);

/* The two further grants of the token endpoint, and the device's. */
enum http_answer grant_code(struct call *c, struct store_conn *conn);
enum http_answer grant_refresh(struct call *c, struct store_conn *conn);
enum http_answer grant_device(struct call *c, struct store_conn *conn);
/* Inside a change: the person decided about a device. */
enum err device_decided(struct call *c, struct store_conn *conn, const struct authz *z,
                        int64_t grant, struct error *e);

#endif
