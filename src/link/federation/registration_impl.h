/*
 * registration_impl.h - the parts of registration.h, shared by the files registration_*.c and
 * csource_*.c.
 *
 *     registration_model.c    what a client sends and reads; checking; the stored document
 *     registration_compile.c  a stored document compiled for matching and forwarding
 *     registration_match.c    which registrations a request concerns, and with what part
 *     registration.c          the list in memory, its index, keeping it in step
 *     registration_store.c    rows, changes in one transaction, conflicts
 *     csource_api.c           /ngsi-ld/v1/csourceRegistrations
 */
#ifndef LINK_REGISTRATION_IMPL_H
#define LINK_REGISTRATION_IMPL_H

#include "core/map.h"
#include "core/regex.h"
#include "core/vec.h"
#include "registration.h"
#include <pthread.h>

/* --- model --- */

/* A payload in stored form: members checked, names expanded, what only we set left out. Of a
 * fragment (patch) the members that are to be removed come out as JSON null. NULL with
 * ERR_INVALID. */
const struct json *reg_expand(struct arena *a, const struct json *payload, bool patch,
                              const struct ld_context *ctx, struct error *e);
/* The stored document with the members of a fragment put in or taken out. */
const struct json *reg_patched(struct arena *a, const struct json *doc, const struct json *patch);
/* Rules between members, for a whole document (clauses 4.3.6.3, 5.9.2.4). */
enum err reg_check(const struct json *doc, struct error *e);
/* expiresAt must not have passed (clause 5.9.2.4). */
enum err reg_check_expiry(const struct json *doc, int64_t now, struct error *e);

struct reg_counters {
    int64_t sent, failed, last_success, last_failure; /* instants, 0: never */
};

struct reg_view {
    const struct ld_context *ctx;
    bool with_context, sys_attrs;
    bool no_credentials; /* headers for the source alone are left out */
    struct reg_counters counters;
    int64_t created, modified;
    const struct reg_info *const *infos; /* only these of its informations; NULL: all */
    size_t n_infos;
};
/* As a client reads it. */
void reg_write(struct buf *out, struct arena *a, const struct json *doc, const struct reg_view *v);

/* Bits of an operation or a group of them by its name, 0: unknown. */
reg_ops reg_ops_named(struct str name);
enum reg_mode reg_mode_of(const struct json *doc);
reg_ops reg_ops_of(const struct json *doc);

/* --- compiled --- */

struct reg_entity {
    struct str id;         /* absent: any */
    struct regex *pattern; /* where there is no id */
    struct str pattern_text;
    const struct json *types; /* array of IRIs */
};

struct reg_info {
    const struct reg_entity *entities; /* none: any */
    size_t n_entities;
    const struct str *attrs; /* IRIs of properties and relationships; none: any */
    size_t n_attrs;
    const struct json *doc; /* as stored */
};

struct reg_space {
    struct str iri;
    const struct geo *geo;
};

/* What came of asking a source since it was last written down; all versions of a registration
 * share it. */
struct reg_counts {
    _Atomic int refs;
    int64_t rid;
    _Atomic int64_t sent, failed, last_success, last_failure;
    _Atomic bool moved;      /* in the list of those to write down */
    struct reg_counts *next; /* in that list */
};

struct reg_source {
    int64_t tenant, rid, version, created, modified;
    const struct json *doc;       /* copied */
    const struct ld_context *ctx; /* of contextSourceInfo's jsonldContext, or NULL */
};
/* Into the slab; counts is taken over (NULL: new ones). NULL with ERR_INVALID. */
struct registration *reg_compile(struct sub_slab *slab, const struct reg_source *src,
                                 struct reg_counts *counts, struct error *e);
struct str reg_info_value(const struct json *doc, struct str key); /* of contextSourceInfo */
void reg_counts_unref(struct reg_counts *c);

/* --- match --- */

/* An ask made ready: its pattern compiled. */
struct reg_asking {
    const struct reg_ask *ask;
    struct regex *pattern;
    struct arena *arena;
};
enum err reg_asking_open(struct reg_asking *q, struct arena *a, const struct reg_ask *ask,
                         struct error *e);
void reg_asking_release(struct reg_asking *q);
/* Conditions on the registration as a whole. */
enum err reg_meets(const struct reg_asking *q, const struct registration *reg, bool *hit,
                   struct error *e);
/* Does the information concern the ask? Then part (may be NULL) says with what. */
enum err reg_info_meets(const struct reg_asking *q, const struct reg_info *info, bool *hit,
                        struct reg_part *part, struct error *e);
/* Do both registrations speak of an attribute of the same entity? Exact for ids; two patterns, or
 * a pattern and a type, count as the same. */
bool reg_overlaps(const struct registration *x, const struct registration *y);

/* --- the list in memory --- */

struct reg_list {
    struct registration **v;
    size_t n, cap;
};

struct reg_tenant {
    int64_t tenant;
    struct map by_id;    /* id -> struct registration */
    struct map index;    /* see registration.c */
    struct reg_list all; /* in order of creation */
    struct reg_tenant *next;
};

struct registrations {
    struct link *link;
    _Atomic int64_t n;     /* in all */
    pthread_rwlock_t lock; /* for what follows */
    struct reg_tenant *tenants;
    int64_t version;          /* changes up to it are in the list */
    struct reg_counts *moved; /* under its own lock */
    pthread_mutex_t moved_lock;
    pthread_mutex_t compiling; /* of slabs */
    struct sub_slab *filling;
    unsigned filled;
    _Atomic bool changed; /* another process may have changed something */
    bool shared;          /* other processes write to the same store */
    bool started;
};

/* Registrations that may concern the ask, held, each once. */
void reg_candidates(struct registrations *r, struct arena *a, const struct reg_ask *ask,
                    struct reg_list *out);
/* All of a tenant in order of creation, held. */
void reg_all(struct registrations *r, struct arena *a, int64_t tenant, struct reg_list *out);
void reg_list_release(struct reg_list *l);
/* Held; NULL: there is none. */
struct registration *reg_find(struct registrations *r, int64_t tenant, struct str id);
/* Compile a document; counts of the registration that it replaces, or NULL. */
struct registration *reg_make(struct registrations *r, const struct reg_source *src,
                              struct reg_counts *counts, struct error *e);
/* Put a version in (taken over); an older one than what is there is dropped. */
void reg_put(struct registrations *r, struct registration *reg);
void reg_drop(struct registrations *r, int64_t tenant, struct str id, int64_t version);

/* --- rows --- */

enum reg_write_kind { REG_WRITE_CREATE, REG_WRITE_PATCH, REG_WRITE_DELETE };

/* A change of a registration, applied on the writer thread. */
struct reg_change {
    struct registrations *registrations;
    struct arena *arena;
    enum reg_write_kind kind;
    struct str tenant_name, id, actor;
    bool make_tenant;
    bool expired_only;            /* delete only when expiresAt has passed */
    const struct json *in;        /* stored form; of a patch a fragment */
    const struct ld_context *ctx; /* of jsonldContext, or NULL */
    /* results; what single changes do not find or may not do is theirs, not the store's */
    enum err result;
    struct error error;
    int64_t tenant, rid, version;
    struct registration *reg; /* compiled, for the list */
};
enum err reg_apply(struct store_conn *c, void *change, struct error *e);
/* After the commit: the list learns of it. */
void reg_applied(struct reg_change *w);
void reg_forget(struct reg_change *w); /* after a failure */

enum err reg_load(struct registrations *r, struct error *e);
/* Rows that changed after what the list holds. */
enum err reg_follow(struct registrations *r, struct error *e);
/* Does an entity that is here meet a redirect registration? By types and patterns, which may take
 * a search: never on the writer thread or an HTTP worker. */
enum err reg_local_match(struct store_conn *c, struct arena *a, int64_t tenant,
                         const struct registration *reg, const struct clock *clock,
                         int64_t deadline, bool *hit, struct error *e);
enum err reg_flush_counts(struct registrations *r, struct error *e);
/* Counters as stored, and what is not yet written down. */
enum err reg_counters(struct store_conn *c, const struct registration *reg,
                      struct reg_counters *out, struct error *e);
/* Delete those whose expiresAt has passed. */
void reg_expire(struct registrations *r);

#endif
