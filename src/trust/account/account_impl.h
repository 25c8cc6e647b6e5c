/*
 * account_impl.h - what the files of accounts share.
 *
 * The row of an account holds its state; everything personal is one sealed object, bound to the
 * version that the row names, so that an older one put back does not open.
 */
#ifndef TRUST_ACCOUNT_IMPL_H
#define TRUST_ACCOUNT_IMPL_H

#include "core/buf.h"
#include "core/json.h"
#include "trust/account.h"
#include "trust/log.h"
#include "trust/notice.h"
#include "trust/proof.h"
#include "trust/vault.h"

struct session_listener {
    enum err (*ended)(struct store_conn *c, int64_t session, void *ctx, struct error *e);
    void *ctx;
};

struct gate;

/* The part of accounts in a running city. */
struct accounts {
    struct trust *trust;
    struct session_listener listeners[SESSION_LISTENERS_MAX];
    size_t n_listeners;
    struct gate *gate;
};
struct accounts *accounts_open(struct trust *t, struct error *e);
void accounts_close(struct accounts *a);

static inline struct str hash_text(const struct hash *h)
{
    return str_n((const char *)h->b, HASH_BYTES);
}

/* A number for a place in the vault that is used once. */
int64_t place_number(void);

/* --- person.c --- */

struct str person_to_json(struct arena *a, const struct person *p);
enum err person_of_json(struct arena *a, struct str text, struct person *out, struct error *e);
/* The value as an index holds it: folded. Absent when there is none. */
struct str index_value(struct arena *a, enum account_index index, struct str value);

/* --- session.c --- */

/* The session that a cookie's secret names. ERR_UNAUTHENTICATED. */
enum err session_of_secret(struct trust *t, struct store_conn *c, struct arena *a,
                           struct str secret, struct session *out, struct error *e);
/* Sessions that are over by time, ended: at most limit. */
enum err session_end_old(struct trust *t, struct store_conn *c, int64_t now, struct error *e);

/* May somebody be signed in whose account is like this? */
static inline bool account_may_sign_in(enum account_state s)
{
    return s == ACCOUNT_ACTIVE || s == ACCOUNT_MOVED_OUT;
}

/* --- gate.c --- */

struct gate *gate_new(struct pool *pool, int64_t parallel, int64_t queue_max);
/* What waits is run before this returns. */
void gate_free(struct gate *g);

/* --- throttle.c: attempts, counted before they are looked at --- */

struct throttle_key {
    struct hash hash;
    int64_t free; /* attempts without waiting */
    bool shared;  /* by many people: success takes one attempt off, else all */
};
enum { THROTTLE_KEYS = 3 };
struct throttle {
    struct throttle_key keys[THROTTLE_KEYS];
    size_t n;
    int64_t wait_s; /* with ERR_TOO_MANY */
};
/* The counters of what somebody does ("password"): of a name (absent: none) and of the client's
 * addresses; addresses of this machine are not counted. req may be NULL. */
enum err throttle_for(struct trust *t, struct arena *a, const char *what, struct str name,
                      const struct request *req, struct throttle *out, struct error *e);
/* Inside a change. ERR_TOO_MANY with wait_s: nothing was written. */
enum err throttle_enter(struct trust *t, struct store_conn *c, struct throttle *th,
                        struct error *e);
enum err throttle_forgive(struct store_conn *c, const struct throttle *th, struct error *e);
enum err throttle_sweep(struct store_conn *c, int64_t now, struct error *e);

/* --- secret.c: codes and tickets that are good once --- */

enum secret_kind { SECRET_SECOND, SECRET_ENROL, SECRET_DELEGATION };
struct secret {
    int64_t account;
    struct str data;
};
/* A new one: words for people to type ("ABCDE-FGHIJ-..."), for the ticket a token. data may be
 * empty, and is nothing personal. */
enum err secret_make(struct store_conn *c, struct arena *a, enum secret_kind kind,
                     const struct secret *s, int64_t expires, struct str *text, struct error *e);
/* ERR_UNAUTHENTICATED. secret_use() takes it away, secret_try() counts and leaves it for a few. */
enum err secret_use(struct store_conn *c, struct arena *a, enum secret_kind kind, struct str text,
                    int64_t now, struct secret *out, struct error *e);
enum err secret_try(struct store_conn *c, struct arena *a, enum secret_kind kind, struct str text,
                    int64_t now, struct secret *out, struct error *e);
enum err secret_drop(struct store_conn *c, enum secret_kind kind, int64_t account, struct error *e);
enum err secret_sweep(struct store_conn *c, int64_t now, struct error *e);
/* Letters and digits as people mistype them, without what stands between. */
struct str secret_words(struct arena *a, struct str typed);

/* --- password.c, otp.c, passkey.c --- */

/* ERR_NOT_FOUND: none is set. */
enum err password_read(struct trust *t, struct store_conn *c, struct arena *a, int64_t account,
                       struct str *phc, struct error *e);
/* Inside a change: write the text without telling anybody: the same password, hashed anew. */
enum err password_keep(struct trust *t, struct store_conn *c, int64_t account, struct str phc,
                       struct error *e);
enum err otp_is_set(struct store_conn *c, int64_t account, bool *out, struct error *e);
/* Inside a change: is it a code of the app, or a recovery code? Either works once. */
enum err otp_use(struct trust *t, struct store_conn *c, struct arena *a, int64_t account,
                 struct str code, bool *good, struct error *e);
enum err passkey_sweep(struct store_conn *c, int64_t now, struct error *e);
/* Inside a change: everything that somebody could sign in with. */
enum err proof_erase(struct store_conn *c, int64_t account, struct error *e);
/* Inside a change: something about the ways in changed: logged, and the person is told. */
enum err proof_changed(struct trust *t, struct store_conn *c, int64_t account, const char *event,
                       struct str detail, struct error *e);

/* --- delegation.c --- */

enum err delegation_end_all(struct trust *t, struct store_conn *c, int64_t account,
                            struct error *e);
/* The date of birth was corrected: a minor's guardianship ends with the right day. */
enum err delegation_birth_changed(struct trust *t, struct store_conn *c, int64_t account,
                                  struct str birth_date, struct error *e);

#endif
