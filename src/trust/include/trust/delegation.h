/*
 * delegation.h - who may act for whom.
 *
 *     guardian of a minor   recorded by staff; ends by itself when the minor is 18 (民法4条)
 *     guardian of an adult  recorded by staff with the proof that they saw (後見登記), and its end
 *     household, care       given by the person themselves with a code, to whoever enters it; ends
 *                           after at most DELEGATION_DAYS_MAX
 *
 * Either side can end one that was given; one that staff recorded is ended by staff. It counts only
 * while both accounts are in use. All of it is in the log of the person who is acted for, who is
 * told.
 */
#ifndef TRUST_DELEGATION_H
#define TRUST_DELEGATION_H

#include "trust/account.h"

enum delegation_kind {
    DELEGATION_MINOR,
    DELEGATION_ADULT,
    DELEGATION_HOUSEHOLD,
    DELEGATION_CARE,
    DELEGATION_KINDS
};
const char *delegation_kind_name(enum delegation_kind k); /* "minor", ... */
bool delegation_kind_find(struct str name, enum delegation_kind *out);

enum {                    /* what may be done */
       SCOPE_READ = 1,    /* see their data and who read them */
       SCOPE_APPLY = 2,   /* applications and reservations */
       SCOPE_CONSENT = 4, /* give and withdraw consent */
       SCOPE_ALL = 7
};
enum { DELEGATION_DAYS_MAX = 366, DELEGATION_CODE_S = 86400 };

struct delegation {
    int64_t id;
    int64_t principal; /* who is acted for */
    int64_t agent;     /* who acts */
    enum delegation_kind kind;
    unsigned scope;
    int64_t since, until; /* until is always set */
};

/* Inside a change, by staff. until 0: for a minor their 18th birthday, else ERR_INVALID.
 * ERR_INVALID too: a minor who is none (or whose age is not known), an adult's without a proof, the
 * same person twice, an agent who is a minor. */
enum err delegation_record(struct trust *t, struct store_conn *c, const struct delegation *d,
                           struct str proof, int64_t by, struct error *e);
/* Inside a change: a code to give to somebody (household, care), good for a day and once. */
enum err delegation_offer(struct trust *t, struct store_conn *c, struct arena *a,
                          const struct delegation *d, struct str *code, struct error *e);
/* Inside a change: they enter it. ERR_UNAUTHENTICATED: not a code, used, too old; ERR_CONFLICT:
 * their own. */
enum err delegation_accept(struct trust *t, struct store_conn *c, struct arena *a, int64_t agent,
                           struct str code, struct error *e);
/* Inside a change. by: principal or agent of one that was given, else staff (by_staff).
 * ERR_NOT_FOUND: none that they may end. */
enum err delegation_end(struct trust *t, struct store_conn *c, int64_t id, int64_t by,
                        bool by_staff, struct error *e);

/* Those in force in which they act (as_agent) or are acted for. */
enum err delegation_list(struct trust *t, struct store_conn *c, struct arena *a, int64_t account,
                         bool as_agent, const struct delegation **out, size_t *n, struct error *e);
/* May the agent do this (one or more SCOPE_) for the principal now? */
enum err delegation_allows(struct trust *t, struct store_conn *c, int64_t agent, int64_t principal,
                           unsigned scope, bool *out, struct error *e);

#endif
