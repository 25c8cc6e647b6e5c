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
#include "trust/session.h"
#include "trust/vault.h"

struct session_listener {
    enum err (*ended)(struct store_conn *c, int64_t session, void *ctx, struct error *e);
    void *ctx;
};

/* The part of accounts in a running city. */
struct accounts {
    struct trust *trust;
    struct session_listener listeners[SESSION_LISTENERS_MAX];
    size_t n_listeners;
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

#endif
