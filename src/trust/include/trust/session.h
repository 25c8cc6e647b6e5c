/*
 * session.h - who is signed in in this browser, how, and since when.
 *
 * A session is a row and a cookie "__Host-session" (without TLS on a loopback address: "session")
 * that holds 256 random bits; the store keeps their hash only. It ends when it was idle too long or
 * is too old, at sign-out here or from another device, and with its account. Each sign-in and each
 * step-up gives it a new secret, so that one planted before is worth nothing after.
 *
 * How somebody proved who they are is in the session: the methods (amr, RFC 8176) and what they add
 * up to (acr): a password AAL1; a passkey with user verification, a password and TOTP, or a My
 * Number Card of which nobody knows whether it was revoked, AAL2; the My Number Card with a known
 * good certificate, or a passkey bound to its hardware, AAL3.
 */
#ifndef TRUST_SESSION_H
#define TRUST_SESSION_H

#include "trust/account.h"

enum {
    AMR_PASSWORD = 1,   /* "pwd" */
    AMR_OTP = 2,        /* "otp" */
    AMR_PASSKEY = 4,    /* "swk", or "hwk" with AMR_HARDWARE */
    AMR_HARDWARE = 8,   /* the key cannot leave its device */
    AMR_USER = 16,      /* "user": verified by the device */
    AMR_CARD = 32,      /* "sc" */
    AMR_FACE = 64,      /* "face" */
    AMR_DESK = 128,     /* staff saw them: no method of RFC 8176, not told to clients */
    AMR_UNCHECKED = 256 /* with AMR_CARD: whether it was revoked is not known; not told either */
};
enum acr acr_of(unsigned amr);
const char *acr_name(enum acr acr); /* "aal1", "aal2", "aal3" */
bool acr_find(struct str name, enum acr *out);

struct session {
    int64_t id; /* row, never used again; clients see session_sid() */
    int64_t account;
    unsigned amr;
    enum acr acr;
    int64_t started;       /* instant of the sign-in */
    int64_t authenticated; /* instant of the last proof: auth_time */
    struct str form_key;   /* that forms of this session are bound to */
};

/* The name under which others know a session ("sid" of OpenID Connect); tells nothing. */
enum err session_sid(struct trust *t, struct arena *a, int64_t session, struct str *sid,
                     struct error *e);

/* Where somebody signs in or proves more of who they are, in their own language: "?to=" with a path
 * of this server (and its query) that they are led to afterwards, "&acr=aal2" when nothing less
 * will do, "&fresh=1" when they must prove it now. */
#define SESSION_SIGN_IN_PATH "/sign-in"

/* The session of the request's cookie, and the account's if it may be signed in now.
 * ERR_UNAUTHENTICATED: none. Never says why. */
enum err session_read(struct trust *t, struct store_conn *c, const struct request *req,
                      struct session *out, struct error *e);
/* Does the request show a session's cookie, good or not? Spares a reader when it does not. */
bool session_is_shown(const struct request *req);

/* A form's hidden value for this session, and its check in constant time. */
struct str session_form_token(struct arena *a, const struct session *s, struct str form);
bool session_form_ok(struct arena *a, const struct session *s, struct str form, struct str token);

/* Inside a change: somebody proved who they are. Makes a session (id 0, account given) or steps
 * this one up; *s is then as it is kept, and the cookie's new secret is in *secret, to be set with
 * session_cookie() once the change is durable. req (NULL: none) tells what device it is.
 * ERR_UNAUTHENTICATED: the account may not be signed in now. */
enum err session_start(struct trust *t, struct store_conn *c, struct arena *a, struct session *s,
                       unsigned amr, const struct request *req, struct str *secret,
                       struct error *e);
void session_cookie(struct trust *t, struct request *req, struct response *res, struct str secret);
void session_cookie_clear(struct request *req, struct response *res);
/* Inside a change: sign out. What hangs on the session ends with it: see session_on_end(). A
 * session that has ended already is no error. */
enum err session_end(struct trust *t, struct store_conn *c, int64_t session, struct error *e);
/* All of an account but one (0: none). */
enum err session_end_all(struct trust *t, struct store_conn *c, int64_t account, int64_t but,
                         struct error *e);

/* Where an account is signed in, the newest first. */
struct session_device {
    int64_t id, started, authenticated, used; /* instants; used to the minute */
    unsigned amr;
    struct str agent;   /* User-Agent */
    struct str address; /* of the client at the sign-in */
};
enum { SESSIONS_MAX = 20 }; /* of an account: the one not used for longest ends */
enum err session_list(struct trust *t, struct store_conn *c, struct arena *a, int64_t account,
                      const struct session_device **out, size_t *n, struct error *e);

/* Whoever must know that sessions ended (tokens, back-channel logout) registers one function at
 * start; it runs inside the change that ends them. At most SESSION_LISTENERS_MAX. */
enum { SESSION_LISTENERS_MAX = 4 };
void session_on_end(struct trust *t,
                    enum err (*ended)(struct store_conn *c, int64_t session, void *ctx,
                                      struct error *e),
                    void *ctx);

#endif
