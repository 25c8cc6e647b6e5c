/*
 * access_impl.h - the parts of access.h, shared by the files access_*.c.
 *
 *     access_policy.c   what a client sends; a stored policy compiled
 *     access_decide.c   the decision: pure functions of a view and an entity
 *     access_set.c      keys and policies as they are now; who asks; views
 *     access_keep.c     rows on disk: making, revoking, versions, last use
 *     access_quota.c    requests a second, entities, bytes
 *     access_api.c      /link/v1/keys, /link/v1/policies, /link/v1/access
 */
#ifndef LINK_ACCESS_IMPL_H
#define LINK_ACCESS_IMPL_H

#include "core/map.h"
#include "core/vec.h"
#include "crypto/hash.h"
#include "link/access.h"
#include <pthread.h>
#include <stdatomic.h>

enum {
    ACCESS_RULES_MAX = 256,  /* of one reader */
    ACCESS_POLICY_RULES = 64 /* of one policy */
};

/* --- policies --- */

struct access_rule {
    bool deny;
    unsigned rights;
    const struct str *types, *attrs; /* IRIs; none: all */
    size_t n_types, n_attrs;
    const struct scope_node *scope;
    const struct query_node *q; /* under q_lock: patterns have room for one match */
    bool own;
    bool broken; /* its condition cannot be compiled */
    struct str policy;
    size_t number; /* from 0, in the policy */
    pthread_mutex_t *q_lock;
};

struct access_marks { /* what is personal */
    const struct str *types, *attrs;
    size_t n_types, n_attrs;
};

struct access_quota {
    int64_t entities, subscriptions, bytes, requests_s, writes_s; /* 0: no limit */
};

/* Policies that are settings and no rules. */
#define POLICY_PERSONAL  "personal"
#define POLICY_QUOTA     "quota"
#define POLICY_RETENTION "retention"

bool access_policy_is_rules(struct str name);
/* Rules of a stored policy; the list grows in the arena. */
typedef VEC(struct access_rule) access_rules;
void access_policy_compile(struct arena *a, struct str name, const struct json *doc,
                           struct ld_contexts *contexts, pthread_mutex_t *q_lock,
                           access_rules *out);
/* The built-in ones: admin, writer, reader. false: not one of them. */
bool access_policy_builtin(struct arena *a, struct str name, access_rules *out);
struct access_marks access_marks_of(struct arena *a, const struct json *doc);
struct access_quota access_quota_of(const struct json *doc);
enum err access_quota_check(const struct json *doc, struct error *e);

/* --- decisions --- */

struct access_view {
    struct str actor;
    const struct access_rule *const *rules;
    size_t n_rules;
    const struct access_marks *personal;
    unsigned open;   /* rights without any rule */
    bool admin;      /* nothing is denied */
    bool nothing;    /* everything is */
    bool sees_all;   /* no rule, mark or default hides anything */
    bool by_attrs;   /* some rule or mark of reading names attributes */
    bool own_rules;  /* some rule asks for the creator */
    uint64_t number; /* see access_number() */
};

struct access_verdict {
    bool allowed;
    enum access_why why;
    const struct access_rule *rule; /* for WHY_RULE */
};
/* One right on one attribute (absent: on the entity itself). stored may be NULL. */
struct access_verdict access_decide(const struct access_view *v, enum access_right right,
                                    const struct json *stored, const struct json *types,
                                    struct str attr);
/* The flags of a view from its rules. */
void access_view_finish(struct access_view *v);

/* --- the set --- */

struct access_bucket {
    _Atomic int64_t full_at; /* steady instant at which all that was taken has come back */
};

struct access_key {
    int64_t n, tenant;
    struct str name, actor;
    struct hash hash;
    int64_t expires; /* 0: never */
    bool revoked;
    struct access_view view;
    struct access_quota quota;
    struct access_use *use;
};

struct access_tenant {
    int64_t n;
    int64_t of; /* the tenant that a snapshot's space is a copy of; else its own number */
    struct str name;
    struct access_marks personal;
    struct access_view public_view;
    struct access_quota quota;
    struct access_use *use;
};

struct access_set {
    struct arena arena;
    pthread_mutex_t q_lock;
    int64_t revision;
    struct map keys_by_hash; /* 32 bytes -> struct access_key */
    struct map keys_by_name; /* "TENANT name" -> the newest one */
    struct map keys_by_number;
    struct map tenants;      /* by number */
    struct map tenant_names; /* by name */
    VEC(const struct query_node *) queries;
    struct access_view others; /* of the public in a tenant without policies */
    int64_t retired;           /* steady instant */
    struct access_set *next;   /* the retired ones */
};

/* Counters that outlive a set, by "t NUMBER" and "k NUMBER". */
struct access_use {
    struct access_bucket requests, writes;
    _Atomic int64_t used_at;         /* instant of the last request; 0: none since it was written */
    _Atomic int64_t entities, bytes; /* of a tenant with quotas; -1: to be counted */
    char key[40];
};

struct access {
    struct link *link;
    _Atomic(struct access_set *) set;
    pthread_mutex_t lock; /* reloading, retired, uses */
    struct access_set *retired;
    struct map uses;
    struct map spaces; /* by number, of tenants that are not in the set: whose policies hold */
    struct arena spaces_arena;
    pthread_t watcher;
    bool watching, closing;
    pthread_cond_t wake;
};

const struct access_set *access_now(const struct access *x);
const struct access_key *access_key_named(const struct access_set *s, int64_t tenant,
                                          struct str name);
const struct access_key *access_key_numbered(const struct access_set *s, int64_t n);
const struct access_tenant *access_tenant(const struct access_set *s, int64_t n);
/* Number of the tenant that a request names; 0: nobody has keys or policies there. */
int64_t access_tenant_asked(struct access *x, const struct request *req);
struct access_use *access_use_of(struct access *x, char kind, int64_t n);

/* Count entities and bytes where there is a quota for them: all, or those not counted yet. */
enum err access_count(const struct access_set *s, struct store_conn *c, bool all, struct error *e);

/* --- rows --- */

enum err access_load(struct access *x, struct store_conn *c, struct access_set *s, struct error *e);
enum err access_revision(struct store_conn *c, int64_t *revision, struct error *e);
/* Write down when keys were used last. */
void access_flush_uses(struct access *x);

#endif
