/*
 * consent.h - what the city may ask people for, what they agreed to, and what follows from it.
 *
 * The catalogue says which owners hold which data sets, in which categories others may read them,
 * for which purposes, who may receive them, what owners rule, and which laws open something without
 * consent. An entry only gets new versions; each is a row and an entry of the log. A category never
 * gets more fields and never changes its data set, a purpose never changes its parent: whoever
 * agreed to one agreed to no more than they were shown. A new text of a purpose with "renew" ends
 * what was agreed to under the old ones.
 *
 * A consent is a record of one person for one recipient. It goes from state to state, each step a
 * row with the text that was shown, its language, how the person was signed in and how they were
 * asked, and an entry of the person's log in the same change:
 *
 *     requested -> given | refused | expired
 *     given     -> withdrawn | expired | superseded
 *     refused   -> withdrawn | superseded
 *
 * One that is given takes the place of those for the same recipient that it covers wholly. What
 * the terms and texts are is sealed under the person's key; who the recipient is stands there as a
 * blind index. Nothing of it is kept in memory: whoever decides reads the rows in the snapshot or
 * change of the decision, so a withdrawal counts at once, in each process.
 */
#ifndef TRUST_CONSENT_H
#define TRUST_CONSENT_H

#include "core/json.h"
#include "trust/account.h"

/* --- the catalogue --- */

enum catalogue_kind {
    CATALOGUE_OWNERS,
    CATALOGUE_DATA_SETS,
    CATALOGUE_CATEGORIES,
    CATALOGUE_PURPOSES,
    CATALOGUE_RECIPIENTS, /* the code of one that asks by itself is its client_id */
    CATALOGUE_RULES,      /* of owners */
    CATALOGUE_STATUTES,
    CATALOGUE_KINDS
};
const char *catalogue_kind_name(enum catalogue_kind k); /* "owners", "data-sets", ... */
bool catalogue_kind_find(struct str name, enum catalogue_kind *out);
enum { CATALOGUE_CODE_MAX = 100, CATALOGUE_DOC_MAX = 65536, CATALOGUE_LIST_MAX = 200 };

struct catalogue_entry {
    struct str code;
    int64_t version;
    const struct json *doc; /* NULL: it was removed with this version */
    int64_t at;             /* instant */
    struct str actor;
    int64_t leaf; /* in the log */
};
/* version 0: the present one. ERR_NOT_FOUND also for a present one that was removed. */
enum err catalogue_read(struct store_conn *c, struct arena *a, enum catalogue_kind kind,
                        struct str code, int64_t version, struct catalogue_entry *out,
                        struct error *e);
/* The present ones by code, or with a code all versions of it, the removed too. */
enum err catalogue_list(struct store_conn *c, struct arena *a, enum catalogue_kind kind,
                        struct str code, const struct catalogue_entry **out, size_t *n,
                        struct error *e);
/* Inside a change: the next version. ERR_INVALID says which member is not what it may be;
 * ERR_CONFLICT: it would change what people agreed to. */
enum err catalogue_put(struct trust *t, struct store_conn *c, struct arena *a,
                       enum catalogue_kind kind, struct str code, const struct json *doc,
                       struct str actor, int64_t *version, struct error *e);
/* Inside a change: a version that ends it; what names it is closed. ERR_NOT_FOUND. */
enum err catalogue_remove(struct trust *t, struct store_conn *c, struct arena *a,
                          enum catalogue_kind kind, struct str code, struct str actor,
                          struct error *e);

/* --- records --- */

enum consent_step {
    CONSENT_STEP_REQUESTED,
    CONSENT_STEP_GIVEN,
    CONSENT_STEP_REFUSED,
    CONSENT_STEP_WITHDRAWN,
    CONSENT_STEP_EXPIRED,
    CONSENT_STEP_SUPERSEDED,
    CONSENT_STEPS
};
const char *consent_step_name(enum consent_step s); /* "requested", ... */

enum { CONSENT_ANSWER_DAYS = 30, CONSENT_DAYS_MAX = 3660, CONSENT_OPEN_MAX = 20 };

/* What is asked for. Codes of the catalogue. */
struct consent_terms {
    struct str recipient;
    const struct str *purposes, *categories;
    size_t n_purposes, n_categories;
    struct period valid; /* until is always set */
    enum acr acr;        /* that a reader needs */
};

/* How somebody was asked, for the record. */
struct consent_evidence {
    struct str notice; /* consent_notice()'s hash of what was shown */
    struct str lang;
    enum acr acr;
    struct str method; /* "portal", "tablet", ... */
};

struct consent_event {
    enum consent_step step;
    int64_t at, leaf;
    struct consent_evidence evidence; /* absent texts: nobody was asked */
};

struct consent_record {
    struct str id;
    int64_t account, made;
    enum consent_step state;
    const struct json *terms; /* as it is kept, with versions */
    const struct consent_event *events;
    size_t n_events;
};

/* Inside a change: a recipient asks; the person finds it in their inbox. ERR_INVALID: something is
 * not in the catalogue, or the time; ERR_TOO_MANY: CONSENT_OPEN_MAX of this
 * recipient wait for an answer. */
enum err consent_request(struct trust *t, struct store_conn *c, struct arena *a, int64_t account,
                         const struct consent_terms *terms, struct str *id, struct error *e);
/* What is shown to somebody before they answer, as JSON in one language (Japanese where a text is
 * missing), and its SHA-256 as base64url. Always the same for a record and language. */
enum err consent_notice(struct store_conn *c, struct arena *a, const struct consent_record *r,
                        struct str lang, struct str *text, struct str *hash, struct error *e);
/* Inside a change: GIVEN, REFUSED or WITHDRAWN by the person. ERR_NOT_FOUND: not theirs;
 * ERR_CONFLICT: no such step from where it stands, over, or not what is shown now. */
enum err consent_answer(struct trust *t, struct store_conn *c, struct arena *a, int64_t account,
                        struct str id, enum consent_step step, const struct consent_evidence *how,
                        struct error *e);
/* ERR_NOT_FOUND also when it is another person's. */
enum err consent_read(struct trust *t, struct store_conn *c, struct arena *a, int64_t account,
                      struct str id, struct consent_record *out, struct error *e);
/* Newest first, without events. */
enum err consent_list(struct trust *t, struct store_conn *c, struct arena *a, int64_t account,
                      const struct consent_record **out, size_t *n, struct error *e);
/* Inside a change: those whose time is over. *more: there may be others. */
enum err consent_expire(struct trust *t, struct store_conn *c, bool *more, struct error *e);

/* --- papers --- */

/* The payload of a receipt (fields after ISO/IEC TS 27560:2023), and the record as a Consent of
 * FHIR R4. sub: who the recipient knows the person as; absent: it does not. */
enum err consent_receipt(struct trust *t, struct store_conn *c, struct arena *a,
                         const struct consent_record *r, struct str issuer, struct str sub,
                         struct str *text, struct error *e);
enum err consent_fhir(struct trust *t, struct store_conn *c, struct arena *a,
                      const struct consent_record *r, struct str issuer, struct str sub,
                      struct str *text, struct error *e);

/* --- deciding --- */

/* Everything that decide() weighs about one person and one recipient, but declarations, in the
 * snapshot or change of c. fields: for each category of facts the names of its fields.
 * ERR_NOT_FOUND: the person was erased. */
struct consent_facts {
    struct decision_facts facts;
    const struct json *const *fields;
};
enum err consent_facts(struct trust *t, struct store_conn *c, struct arena *a, int64_t account,
                       struct str recipient, struct consent_facts *out, struct error *e);

/* Inside a change: the decision, with what it is bound to: the entry in the person's log, and their
 * notice where the law demands it. ask->at is set here. */
struct consent_decision {
    struct consent_facts facts;
    const struct decision_item *items; /* as many as asked */
    int64_t leaf, at;
};
enum err consent_decide(struct trust *t, struct store_conn *c, struct arena *a, int64_t account,
                        struct decision_ask *ask, struct consent_decision *out, struct error *e);

/* Needs the OpenID Provider; sweeping on the pool. */
struct consents;
struct consents *consents_open(struct trust *t);
void consents_close(struct consents *s); /* NULL is allowed */
void consents_routes(struct consents *s, struct router *r);

#endif
