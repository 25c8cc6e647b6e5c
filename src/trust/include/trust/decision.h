/*
 * decision.h - may this reader see these data of this person, now, for this purpose? One pure
 * function.
 *
 * Everything that it weighs is an argument, read in one snapshot by the caller; it asks no store,
 * no clock and no network, so the same facts always give the same answer and the answer can be
 * explained and checked afterwards. The rules, in order, for each category by itself:
 *
 *   1. What nobody allows is denied. An unknown category, purpose or recipient is denied.
 *   2. A deny wins: the owner's over everything, the subject's own over their consents.
 *   3. A basis is looked for: consent, then statute, then a declared emergency (災害対策基本法
 *      49条の11), and is recorded for the category. A declaration opens only the categories that it
 *      lists, each on the basis that it names for that category.
 *   4. A purpose is the one that was consented to, or a declared child of it, never a wider one.
 *   5. The owner may narrow: the fields that show are those that both the category and every rule
 * of its owner let show. Nothing left is a deny.
 *
 * Instants are microseconds; a period holds from its beginning and ends before its end.
 */
#ifndef TRUST_DECISION_H
#define TRUST_DECISION_H

#include "core/arena.h"
#include "core/str.h"

enum acr { ACR_NONE, ACR_AAL1, ACR_AAL2, ACR_AAL3 };

/* A list of names; n 0 with any true: all. */
struct name_list {
    const struct str *v;
    size_t n;
    bool any;
};

struct period {
    int64_t from, until; /* until 0: no end */
};

/* --- the catalogue --- */

enum { CATEGORY_FIELDS_MAX = 64 };
typedef uint64_t field_mask; /* bit i: field i of the category */

struct category {
    struct str code;
    struct str owner; /* of the data set that it belongs to */
    bool sensitive;   /* 要配慮個人情報 */
    unsigned n_fields;
};

struct purpose {
    struct str code;
    struct str parent; /* absent: none */
};

/* --- what speaks for and against --- */

enum consent_state { CONSENT_GIVEN, CONSENT_REFUSED, CONSENT_WITHDRAWN, CONSENT_SUPERSEDED };

/* The present state of one consent record of the subject. */
struct consent {
    struct str id;
    enum consent_state state;
    struct name_list recipients, purposes, categories;
    struct period valid;
    enum acr acr; /* the reader needs at least this */
};

/* A law or ordinance that lets a recipient see categories without consent. */
struct statute {
    struct str id;
    struct str article; /* "介護保険法 ..." for the log */
    struct name_list recipients, purposes, categories;
    struct period valid;
    enum acr acr;
};

/* On which ground a declaration opens a category. */
struct declared_category {
    struct str category;
    struct str article;
};

struct declaration {
    struct str id;
    struct str activated_by[2]; /* two persons; the same one twice is no activation */
    struct period active;
    struct name_list areas; /* districts of the subject that it covers */
    struct name_list roles; /* of readers that it lets in; at least one is needed */
    const struct declared_category *categories;
    size_t n_categories;
    enum acr acr;
};

/* What the owner of a data set adds: a deny, or fewer fields. */
struct owner_rule {
    struct str id;
    struct str owner;
    struct name_list recipients, categories;
    bool deny;
    field_mask fields; /* without deny: at most these */
};

struct decision_facts {
    const struct category *categories;
    size_t n_categories;
    const struct purpose *purposes;
    size_t n_purposes;
    struct name_list recipients;    /* those that are known */
    const struct consent *consents; /* of the subject */
    size_t n_consents;
    const struct statute *statutes;
    size_t n_statutes;
    const struct declaration *declarations;
    size_t n_declarations;
    const struct owner_rule *rules;
    size_t n_rules;
};

/* --- the question --- */

struct decision_ask {
    struct str recipient;   /* who gets the data */
    struct name_list roles; /* of the person who reads */
    enum acr acr;           /* how they signed in */
    struct str purpose;
    const struct str *categories;
    size_t n_categories;
    int64_t at;
    struct str district;    /* of the subject; absent: unknown */
    struct str declaration; /* absent: no emergency is claimed */
    struct str reason;      /* an emergency needs words */
};

/* --- the answer --- */

enum decision_basis { BASIS_NONE, BASIS_CONSENT, BASIS_STATUTE, BASIS_EMERGENCY };
const char *decision_basis_name(enum decision_basis b); /* "none", "consent", ... */

enum decision_reason {
    REASON_PERMITTED,
    REASON_UNKNOWN_CATEGORY,
    REASON_UNKNOWN_PURPOSE,
    REASON_UNKNOWN_RECIPIENT,
    REASON_OWNER_DENIES,
    REASON_SUBJECT_DENIES,
    REASON_NO_CONSENT,   /* none was ever given for this */
    REASON_WITHDRAWN,    /* given once, taken back */
    REASON_NOT_IN_TIME,  /* not yet or no longer */
    REASON_ACR_TOO_LOW,  /* would be permitted with a stronger sign-in */
    REASON_NOT_DECLARED, /* no such declaration, or not activated by two */
    REASON_NOT_ACTIVE,   /* before its beginning or after its end */
    REASON_OUTSIDE_AREA,
    REASON_ROLE_MISSING,
    REASON_NOT_LISTED,   /* the declaration does not open this category */
    REASON_NO_WORDS,     /* an emergency without a reason */
    REASON_NOTHING_LEFT, /* the owner's rules leave no field */
    REASONS
};
const char *decision_reason_name(enum decision_reason r); /* "permitted", "no-consent", ... */

enum {
    DUTY_LOG = 1,          /* always */
    DUTY_NOTIFY_NOW = 2,   /* the subject is told at once */
    DUTY_NOTIFY_AFTER = 4, /* when the declaration has ended */
    DUTY_REVIEW = 8        /* somebody else looks at it afterwards */
};

struct decision_item {
    struct str category;
    bool permit;
    enum decision_reason reason;
    enum decision_basis basis;
    struct str record;  /* id of the consent, statute or declaration, or of the rule that denies */
    struct str article; /* of a statute or declared category */
    field_mask fields;  /* 0 when denied */
    enum acr acr;       /* with ACR_TOO_LOW: what would do */
    unsigned duties;
};

/* One item for each category asked, in that order, in the arena. */
struct decision_item *decide(struct arena *a, const struct decision_facts *facts,
                             const struct decision_ask *ask);

#endif
