/*
 * account.h - the people whom つくパス knows: residents, and those who work for the city.
 *
 * An account is one person. Its number is the subject of vault.h and decision.h and never leaves
 * the process: others get an identifier of their own (oidc.h). What is personal is sealed under the
 * subject's key; what must be found by (sign-in name, e-mail, telephone, name with date of birth)
 * is kept as a blind index beside it.
 *
 *     active    <-> suspended          by staff, with a reason; nobody signs in
 *     active    <-> moved out          may sign in and see their log; services of residents are
 *                                      closed
 *     any        -> deceased           nobody signs in; delegations of and to them end; back to
 *                                      active only because it was a mistake
 *     any        -> closed             erased: the data key is destroyed, the number stays
 *
 * Every transition is an entry of the log (log.h), in the same change.
 */
#ifndef TRUST_ACCOUNT_H
#define TRUST_ACCOUNT_H

#include "core/datetime.h"
#include "trust/decision.h"
#include "trust/trust.h"

enum account_state {
    ACCOUNT_ACTIVE,
    ACCOUNT_SUSPENDED,
    ACCOUNT_MOVED_OUT,
    ACCOUNT_DECEASED,
    ACCOUNT_CLOSED,
    ACCOUNT_STATES
};
const char *account_state_name(enum account_state s); /* "active", "moved-out", ... */
bool account_state_find(struct str name, enum account_state *out);
bool account_state_may(enum account_state from, enum account_state to);

/* How well the city knows who it is (the claim "ial"), in rising order. */
enum ial { IAL_SELF, IAL_DESK, IAL_CARD };
const char *ial_name(enum ial ial); /* "self", "desk", "card" */

struct account {
    int64_t id;
    enum account_state state;
    enum ial ial;
    int64_t created;   /* instant */
    struct str locale; /* "ja", "ja-x-yasashii", "en", ...; absent: not chosen */
};

/* The personal items; an absent text is one that is not known. */
struct person {
    struct str login; /* sign-in name: chosen, or the e-mail address */
    struct str name, name_kana;
    struct str birth_date; /* "1980-01-02"; partial dates as "1980-01" or "1980" */
    struct str gender;     /* "male", "female", "other" (OpenID Connect Core 5.1) */
    struct str postal_code, address, district;
    struct str email, phone;
    bool email_verified, phone_verified;
};
enum { PERSON_TEXT_MAX = 400, LOGIN_BYTES_MAX = 254 };

/* ERR_NOT_FOUND. On any connection. */
enum err account_read(struct store_conn *c, struct arena *a, int64_t id, struct account *out,
                      struct error *e);
/* Opens what is sealed. ERR_NOT_FOUND also when it was erased; ERR_UNAVAILABLE: no vault key. */
enum err account_person(struct trust *t, struct store_conn *c, struct arena *a, int64_t id,
                        struct person *out, struct error *e);

/* Full years of age at an instant (Japan's calendar; by 年齢計算ニ関スル法律 a year is full at the
 * end of the day before the birthday); a partial date counts as its last day; -1: unknown. */
int account_age(const struct person *p, int64_t at);
enum { ACCOUNT_ADULT_YEARS = 18 }; /* 民法4条 */
/* The instant at which somebody has that many full years; 0: unknown. */
int64_t account_age_from(struct str birth_date, int years);

/* --- roles --- */

/* What somebody may do for the city: "clerk", "clinician", "headquarters", ... with the
 * organisation that they do it for. Valid now. */
struct role {
    struct str name, organisation;
};
enum err account_roles(struct store_conn *c, struct arena *a, int64_t id, int64_t now,
                       const struct role **out, size_t *n, struct error *e);
bool role_is_among(const struct role *roles, size_t n, const char *name);

/* Roles that the city itself knows what to do with. */
#define ROLE_ADMINISTRATOR "administrator" /* gives and takes roles */
#define ROLE_CLERK         "clerk"         /* the enrolment desk */
#define ROLE_OPERATOR      "operator"      /* the data console */

/* Inside a change. Name: small letters, digits, '-', at most 40; until 0: no end; by: the account
 * that gives it, 0: the command line. Given twice it is one role with the later end. ERR_INVALID */
enum err account_give_role(struct trust *t, struct store_conn *c, int64_t id,
                           const struct role *role, int64_t until, int64_t by, struct error *e);
/* ERR_NOT_FOUND: they do not have it; ERR_CONFLICT: the last administrator. */
enum err account_take_role(struct trust *t, struct store_conn *c, int64_t id,
                           const struct role *role, int64_t by, struct error *e);

/* --- changing, all inside a change --- */

/* A person as they will be kept: blanks trimmed, widths folded where only ASCII can be meant.
 * ERR_INVALID names the item that cannot be ("birth_date"), without its value. */
enum err person_tidy(struct arena *a, const struct person *in, int64_t now, struct person *out,
                     struct error *e);

struct account_new {
    struct person person; /* tidied */
    enum ial ial;
    struct str locale;
    int64_t by; /* the clerk; 0: themselves */
};
/* ERR_EXISTS: the sign-in name is taken. */
enum err account_create(struct trust *t, struct store_conn *c, const struct account_new *n,
                        int64_t *id, struct error *e);
/* p is tidied. ERR_EXISTS: the sign-in name is taken. */
enum err account_set_person(struct trust *t, struct store_conn *c, int64_t id,
                            const struct person *p, int64_t by, struct error *e);
enum err account_set_ial(struct trust *t, struct store_conn *c, int64_t id, enum ial ial,
                         int64_t by, struct error *e);
enum err account_set_locale(struct store_conn *c, int64_t id, struct str locale, struct error *e);
/* ERR_CONFLICT: no such transition. Ends sessions, delegations, roles as the state demands. */
enum err account_set_state(struct trust *t, struct store_conn *c, int64_t id,
                           enum account_state state, struct str reason, int64_t by,
                           struct error *e);

/* --- finding, by equality only --- */

enum account_index { INDEX_LOGIN, INDEX_EMAIL, INDEX_PHONE, INDEX_NAME_BIRTH };
enum { ACCOUNT_FOUND_MAX = 20 };
/* Values are folded as when they were kept; for INDEX_NAME_BIRTH account_name_birth(). Accounts
 * that are not closed, at most ACCOUNT_FOUND_MAX. */
enum err account_find(struct trust *t, struct store_conn *c, struct arena *a,
                      enum account_index index, struct str value, int64_t *ids, size_t *n,
                      struct error *e);
struct str account_name_birth(struct arena *a, struct str name, struct str birth_date);

/* --- the log of one person --- */

/*
 * Inside a change: an entry of the log about a person. The content (a JSON object) is sealed under
 * their key, the entry's place in the log is listed with them: the same list serves those who ask
 * who read their data. leaf may be NULL.
 */
enum err account_log(struct trust *t, struct store_conn *c, int64_t account, struct str kind,
                     struct str content, int64_t *leaf, struct error *e);

struct account_entry {
    int64_t leaf, at;
    struct str kind;
    struct str content; /* absent: erased */
    struct str salt;    /* with it the content proves the commitment; absent: erased */
};
/* Newest first; kind absent: all; before: entries with a smaller leaf, INT64_MAX from the newest.
 */
enum err account_entries(struct trust *t, struct store_conn *c, struct arena *a, int64_t account,
                         struct str kind, int64_t before, size_t limit,
                         const struct account_entry **out, size_t *n, struct error *e);

#endif
