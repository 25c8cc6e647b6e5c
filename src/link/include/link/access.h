/*
 * access.h - may this reader see, change or follow this attribute of this entity? The one place
 * where that is decided: on read, on write, on notify, on forward, on streams, on export and on
 * history. Callers never look at keys, policies or consents themselves.
 *
 * Who asks is a plain value (struct access_who), found by the gate before the handler runs. What
 * they may do in one tenant is a view: a pointer into an immutable set of policies. NULL is the
 * view of whoever may do everything (the city itself, and everybody where no policy says
 * otherwise), and costs nothing.
 *
 *     const struct access_view *v = access_view(l->access, access_asks(req), tenant);
 *     const struct json *shown = access_see(v, arena, stored);        NULL: there is nothing to see
 *     err = access_change(v, before, after, &delta, &e);              ERR_FORBIDDEN with a reason
 *
 * Reading through the store needs no call at all: a connection from access_read() (api_reader()
 * gives such ones) carries the view, and repo.h and history.h give through it only what the view
 * shows. Hidden attributes are taken out before a query is evaluated, so that q, places and orders
 * cannot probe them. What is shown by other ways (journal rows, answers of other cities, copies)
 * goes through access_see() or access_event() with the reader's own view at that moment.
 *
 * How it is decided: a deny rule that meets the case wins; else an allow rule that meets it allows;
 * else what is marked personal is closed and the rest is as access.default says: open to read, and
 * open to write for those whom gate.writers names. A key has no default right but to read. A rule
 * whose condition cannot be evaluated denies if it denies and does not allow if it allows.
 *
 * A token of the OpenID Provider counts as the key "client:ID" of its client, or for a person as
 * "role:NAME" of the first of their roles for which there is one; such keys have no secret. Where
 * consent is to count, it becomes one more verdict in access_decide.c.
 *
 * Lifetime: a view lives for ACCESS_GRACE_S after the set that it belongs to was replaced. Take it
 * afresh for each request, journal row or chunk, never keep it. Any thread may call.
 */
#ifndef LINK_ACCESS_H
#define LINK_ACCESS_H

#include "link/link.h"
#include "link/repo.h"

enum { ACCESS_GRACE_S = 600 };

enum access_right {
    ACCESS_READ = 1,
    ACCESS_WRITE = 2,
    ACCESS_SUBSCRIBE = 4,
    ACCESS_ADMIN = 8 /* keys, policies, export of everything; holds the other three */
};

/* --- who asks --- */

struct access_who {
    enum { WHO_PUBLIC, WHO_KEY, WHO_CITY } kind;
    bool manages;     /* public: this machine itself, which may manage the city */
    int64_t key;      /* WHO_KEY: its number */
    struct str actor; /* "key:NAME", "city"; absent: nobody known. Stands in the journal */
};

/* Who asks by this request; never NULL. Without a gate that said so: the public. */
const struct access_who *access_asks(const struct request *req);

/*
 * The key that a request shows ("Authorization: Bearer", X-API-Key, X-Auth-Token). OK with who
 * untouched when it shows none of ours; ERR_UNAUTHENTICATED when there is no such key, it was
 * revoked or is over.
 */
enum err access_identify(struct access *x, const struct request *req, struct access_who *who,
                         struct error *e);
/* Whoever is proved to be one of these names (see above): the first for which there is a key in the
 * tenant that is asked for. who is untouched when there is none. */
void access_identify_named(struct access *x, const struct request *req, const struct str *names,
                           size_t n, struct access_who *who);
/* May they call what changes this path at all? Single attributes are decided where they change. */
enum err access_enter(struct access *x, const struct access_who *who, const struct request *req,
                      struct error *e);
/* Requests and writes a second of key and tenant: ERR_TOO_MANY with the seconds to wait. */
enum err access_rate(struct access *x, const struct access_who *who, const struct request *req,
                     bool writes, int64_t *wait_s, struct error *e);

/* --- what they may do in a tenant --- */

struct access_view;

const struct access_view *access_view(struct access *x, const struct access_who *who,
                                      int64_t tenant);
/* A tenant that was made lately: whose policies hold in it, its own or, in the space of a snapshot,
 * those of the tenant that was copied. It would be looked up otherwise. Any thread. */
void access_learn(struct access *x, int64_t tenant, int64_t of);
/* Of somebody who is not here: the owner of a subscription, by the actor that was recorded. */
const struct access_view *access_view_of(struct access *x, struct str actor, int64_t tenant);
/* Keys, policies, export of everything: for the city, this machine and keys with the right. */
bool access_manages(struct access *x, const struct access_who *who, int64_t tenant);
/* The default tenant, and with it what is there once for the whole city? */
bool access_manages_city(struct access *x, const struct request *req);
/* May they read what is kept to be shown to others as a proof: headers for sources, and for
 * receivers that nobody known subscribed? Who manages may, and where no policy hides anything this
 * network. */
bool access_secrets(struct access *x, const struct request *req, int64_t tenant);
/* Is there any case in which they have the right? */
bool access_may(const struct access_view *v, enum access_right right);
/* What somebody made is for them and for those who manage the tenant; what nobody known made is
 * for all. */
bool access_owns(const struct access_view *v, const struct access_who *who, struct str owner);

/* Is nothing hidden from them, whatever is asked? */
bool access_sees_all(const struct access_view *v);

enum access_sight { SIGHT_ALL, SIGHT_NONE, SIGHT_SOME };
/* What shows of an entity of these types, as far as types alone tell; SIGHT_SOME: look at it. */
enum access_sight access_sight(const struct access_view *v, const struct json *types);
/* The stored form without what is hidden; stored itself when nothing is; NULL: it is not there for
 * this reader. */
const struct json *access_see(const struct access_view *v, struct arena *a,
                              const struct json *stored);
/* Two views with the same number show the same of the same version; 0: everything. Never used again
 * for another view. */
uint64_t access_number(const struct access_view *v);
/* One attribute (absent: anything at all) of an entity of which perhaps only the types are known
 * (stored NULL; types NULL too: nothing is). Then conditions count against the reader. */
bool access_sees(const struct access_view *v, const struct json *stored, const struct json *types,
                 struct str attr);
/* The change as the owner of a subscription may hear of it: ev itself, a copy without what is
 * hidden, or NULL. */
const struct entity_event *access_event(const struct access_view *v, struct arena *a,
                                        const struct entity_event *ev);
/* May the entity change from before to after (NULL: made, deleted)? ERR_FORBIDDEN, or
 * ERR_NOT_FOUND when they may not know of it. */
enum err access_change(const struct access_view *v, const struct json *before,
                       const struct json *after, const struct attr_change *changes, size_t n,
                       struct error *e);
/* The same for one attribute (absent: the whole) in an entity's history or at a context source;
 * stored and types as for access_sees(). */
enum err access_change_past(const struct access_view *v, const struct json *stored,
                            const struct json *types, struct str attr, struct error *e);

/* A reader of the store with the view of who asks; like store_read(). */
struct store_conn *access_read(const struct link *l, const struct access_who *who, int64_t tenant,
                               struct error *e);
/* The view that a connection carries; NULL: everything. */
const struct access_view *access_of(const struct store_conn *c);

/* The member of the stored form that names who made an entity; never shown. */
#define ACCESS_CREATOR "@creator"
/* after with the creator that it had before, or with the actor when it is new. */
const struct json *access_signed(struct arena *a, const struct json *before,
                                 const struct json *after, struct str actor);

/* --- explaining --- */

struct access_question {
    struct str key; /* name; absent: the public */
    enum access_right right;
    struct str entity, type; /* id of an entity that is here, or the IRI of a type; absent: any */
    struct str attr;         /* IRI; absent: the entity itself */
};
enum access_why { WHY_ADMIN, WHY_NOTHING, WHY_RULE, WHY_PERSONAL, WHY_OPEN, WHY_CLOSED };
struct access_reason {
    bool allowed;
    enum access_why why;
    struct str policy; /* WHY_RULE: whose rule */
    int64_t rule;      /* from 0 */
};
/* What is decided and why. ERR_NOT_FOUND when there is no such entity. */
enum err access_explain(struct link *l, struct arena *a, int64_t tenant,
                        const struct access_question *q, struct access_reason *out,
                        struct error *e);
/* read, write, subscribe or admin; false: no such right. */
bool access_right_named(struct str name, enum access_right *right);

/* --- quotas that the writer keeps --- */

/* What the operations of one change add to a tenant and to an actor's own. */
struct access_growth {
    int64_t entities, bytes;
};
/* Counts it; ERR_FORBIDDEN when that would be more than a quota allows. */
enum err access_room(struct access *x, int64_t tenant, struct str actor, struct access_growth g,
                     struct error *e);
/* Most subscriptions of an actor in a tenant, INT64_MAX: no limit; own: the actor's alone. */
int64_t access_subscriptions(struct access *x, int64_t tenant, struct str actor, bool own);

/* --- the whole --- */

struct access *access_new(struct link *l, struct error *e);
void access_free(struct access *x);
void access_routes(struct link *l, struct router *r);
/* Take keys and policies as they are on disk now; ours and those of other processes. */
enum err access_reload(struct access *x, struct error *e);

/* --- managing: also for the command line. Never on an HTTP worker: they wait for the store --- */

struct access_new_key {
    struct str tenant, name;
    const struct str *policies;
    size_t n_policies;
    int64_t expires; /* instant; 0: never */
    const struct json *quota;
    struct str actor; /* who makes it */
};
/* The key itself, shown this once, in the arena; absent for one that stands for a client or a role.
 * A revoked name may be given again: the new key
 * owns what the old one made. */
enum err access_make_key(struct link *l, struct arena *a, const struct access_new_key *k,
                         struct str *key, struct error *e);
enum err access_revoke_key(struct link *l, struct str tenant, struct str name, struct str actor,
                           struct error *e);
/* A new version of a policy, in stored form (access_policy_expand()); NULL: it ends. */
enum err access_put_policy(struct link *l, struct str tenant, struct str name,
                           const struct json *doc, struct str actor, int64_t *version,
                           struct error *e);
/* What a client sends, checked, with names expanded. */
const struct json *access_policy_expand(struct arena *a, struct str name,
                                        const struct json *payload, const struct ld_context *ctx,
                                        struct error *e);
/* Lists as JSON texts, appended. */
enum err access_list_keys(struct link *l, struct str tenant, struct buf *out, struct error *e);
enum err access_list_policies(struct link *l, struct str tenant, struct buf *out, struct error *e);

#endif
