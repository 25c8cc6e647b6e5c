/*
 * registration.h - context source registrations: who else knows something (ETSI GS CIM 009 v1.8.1
 * clauses 4.3.6, 4.20, 5.2.9, 5.9, 5.10, 5.12).
 *
 * Registrations are rows of the store and, compiled, a list in memory that every process keeps in
 * step with the store. A compiled registration is immutable and counted: who keeps one longer
 * than a call holds it. What a request asks about is matched against all of a tenant's
 * registrations at once; each match names the part of the request that its source can answer.
 *
 *     struct reg_parts parts;
 *     if (registrations_any(l->registrations, tenant) &&
 *         !registrations_match(l->registrations, arena, &ask, &parts, &e)) {
 *         for (i...) use(parts.v[i]);
 *         registrations_release(&parts);
 *     }
 */
#ifndef LINK_REGISTRATION_H
#define LINK_REGISTRATION_H

#include "http/http.h"
#include "link/link.h"
#include "link/query.h"
#include <stdatomic.h>

struct registrations;
struct reg_info;
struct reg_space;
struct reg_counts;
struct sub_slab;

enum reg_mode { REG_INCLUSIVE, REG_EXCLUSIVE, REG_REDIRECT, REG_AUXILIARY };

/* Operations that a source can serve (clause 4.20); groups are sets of these bits. */
enum reg_op {
    REG_CREATE_ENTITY = 1 << 0,
    REG_UPDATE_ENTITY = 1 << 1,
    REG_APPEND_ATTRS = 1 << 2,
    REG_UPDATE_ATTRS = 1 << 3,
    REG_DELETE_ATTRS = 1 << 4,
    REG_DELETE_ENTITY = 1 << 5,
    REG_CREATE_BATCH = 1 << 6,
    REG_UPSERT_BATCH = 1 << 7,
    REG_UPDATE_BATCH = 1 << 8,
    REG_DELETE_BATCH = 1 << 9,
    REG_MERGE_BATCH = 1 << 10,
    REG_UPSERT_TEMPORAL = 1 << 11,
    REG_APPEND_ATTRS_TEMPORAL = 1 << 12,
    REG_DELETE_ATTRS_TEMPORAL = 1 << 13,
    REG_UPDATE_ATTR_INSTANCE_TEMPORAL = 1 << 14,
    REG_DELETE_ATTR_INSTANCE_TEMPORAL = 1 << 15,
    REG_DELETE_TEMPORAL = 1 << 16,
    REG_MERGE_ENTITY = 1 << 17,
    REG_REPLACE_ENTITY = 1 << 18,
    REG_REPLACE_ATTRS = 1 << 19,
    REG_PURGE_ENTITY = 1 << 20,
    REG_RETRIEVE_ENTITY = 1 << 21,
    REG_QUERY_ENTITY = 1 << 22,
    REG_QUERY_BATCH = 1 << 23,
    REG_RETRIEVE_TEMPORAL = 1 << 24,
    REG_QUERY_TEMPORAL = 1 << 25,
    REG_RETRIEVE_TYPES = 1 << 26,
    REG_RETRIEVE_TYPE_DETAILS = 1 << 27,
    REG_RETRIEVE_TYPE_INFO = 1 << 28,
    REG_RETRIEVE_ATTR_TYPES = 1 << 29,
    REG_RETRIEVE_ATTR_TYPE_DETAILS = 1 << 30,
    /* bits that follow (subscriptions, entity maps) do not fit an enum: see reg_ops */
};
typedef uint64_t reg_ops;
#define REG_RETRIEVE_ATTR_TYPE_INFO ((reg_ops)1 << 31)
#define REG_CREATE_SUBSCRIPTION     ((reg_ops)1 << 32)
#define REG_UPDATE_SUBSCRIPTION     ((reg_ops)1 << 33)
#define REG_RETRIEVE_SUBSCRIPTION   ((reg_ops)1 << 34)
#define REG_QUERY_SUBSCRIPTION      ((reg_ops)1 << 35)
#define REG_DELETE_SUBSCRIPTION     ((reg_ops)1 << 36)
#define REG_RETRIEVE_ENTITY_MAP     ((reg_ops)1 << 37)
#define REG_UPDATE_ENTITY_MAP       ((reg_ops)1 << 38)
#define REG_DELETE_ENTITY_MAP       ((reg_ops)1 << 39)
#define REG_MAP_QUERY_ENTITY        ((reg_ops)1 << 40) /* createEntityMapQueryEntity */
#define REG_MAP_QUERY_TEMPORAL      ((reg_ops)1 << 41) /* createEntityMapQueryTemporal */
#define REG_SOURCE_IDENTITY         ((reg_ops)1 << 42) /* retrieveContextSourceIdentity */
/* Operations on the evolution of entities. */
#define REG_TEMPORAL                                                                               \
    ((reg_ops)REG_UPSERT_TEMPORAL | REG_APPEND_ATTRS_TEMPORAL | REG_DELETE_ATTRS_TEMPORAL |        \
     REG_UPDATE_ATTR_INSTANCE_TEMPORAL | REG_DELETE_ATTR_INSTANCE_TEMPORAL | REG_DELETE_TEMPORAL | \
     REG_RETRIEVE_TEMPORAL | REG_QUERY_TEMPORAL | REG_MAP_QUERY_TEMPORAL)

/* Compiled; texts and lists live as long as it does. */
struct registration {
    _Atomic int refs;
    struct sub_slab *slab; /* its memory */
    struct str id;
    int64_t tenant, rid, version; /* row; place of its last change among all of them */
    enum reg_mode mode;
    reg_ops operations;
    struct str endpoint;      /* without '/' at the end and without /ngsi-ld/v1 */
    struct str remote_tenant; /* absent: the default one, no header is sent */
    /* contextSourceInfo that goes into headers; the value "urn:ngsi-ld:request" stands for that of
     * the same header of the request (clause 4.3.6.5) */
    const struct http_header *headers;
    size_t n_headers;
    /* contextSourceInfo with a meaning of its own (clause 4.3.6.6); absent: not said */
    struct str accept, content_type, conformance;
    struct str jsonld_context;    /* names are sent in its terms, bodies as application/json */
    const struct ld_context *ctx; /* it compiled; NULL: there is none, or it cannot be had */
    struct str alias;             /* contextSourceAlias: found in Via, the source is left out */
    int64_t timeout_ms, cooldown_us, cache_us; /* management; 0: the setting's preset; no caching */
    bool local_only;                           /* management.localOnly: it shall not forward */
    int64_t expires;                           /* instant, 0: never */
    _Atomic int64_t not_before;                /* steady clock: cooling down after a failure */
    struct reg_counts *counts;                 /* what came of asking it: registration_asked() */
    const struct reg_info *infos;
    size_t n_infos;
    const struct reg_space *spaces; /* location, observationSpace, operationSpace and the like */
    size_t n_spaces;
    const struct str *datasets;
    size_t n_datasets;
    bool has_observation, has_management;                         /* intervals */
    int64_t observed_from, observed_to, managed_from, managed_to; /* open end: INT64_MAX */
    int64_t created, modified;
    const struct json *doc; /* expanded, as stored */
};

enum reg_time { REG_LATEST, REG_OBSERVED, REG_MANAGED };

/* What a request is about. Absent lists do not narrow. */
struct reg_ask {
    int64_t tenant;
    reg_ops op; /* one of them suffices; 0: whatever the source can do (discovery) */
    const struct str *ids;
    size_t n_ids;
    struct str id_pattern;         /* where there are no ids */
    const struct type_node *types; /* a selection; NULL: any */
    const struct str *type_names;  /* or the exact types, of an entity that is written */
    size_t n_type_names;
    const struct str *attrs; /* IRIs */
    size_t n_attrs;
    const struct str *datasets; /* URIs and "@none" */
    size_t n_datasets;
    struct str via; /* the request's Via header: sources whose alias is there are left out */
    int64_t now;    /* instant: expired ones are left out */
    /* Conditions on registrations; absent or NULL: none. */
    const struct query_node *csf;   /* a q on their members (clause 4.9) */
    const struct geo_query *geo;    /* a place that their spaces must be able to answer */
    bool geo_strict;                /* those without the space do not match (discovery) */
    const struct scope_node *scope; /* of their scopes */
    bool scope_strict;
    /* Which interval must be there and meet [time_from, time_to]. REG_LATEST: those without any,
     * for temporal operations all. */
    enum reg_time time;
    int64_t time_from, time_to;
};

/* The part of a request that one source can serve: one RegistrationInfo. A registration with
 * several of them may have several parts. */
struct reg_part {
    struct registration *reg;
    const struct reg_info *info;
    /* Is the operation one of the source's? When it is not, the attributes are still not ours:
     * such parts come of exclusive and redirect registrations only, and make a write a Conflict. */
    bool supported;
    const struct str *ids; /* only these; none: not narrowed */
    size_t n_ids;
    const struct str *types; /* only these types; none: not narrowed */
    size_t n_types;
    const struct str *attrs; /* only these attributes; none: all that were asked for */
    size_t n_attrs;
};

struct reg_parts {
    struct reg_part *v;
    size_t n, cap;
    /* Of a request for one id with attributes: those that no exclusive or redirect registration
     * takes, so that they are for this server itself (and for inclusive ones). */
    const struct str *left;
    size_t n_left;
};

struct registrations *registrations_new(struct link *l, struct error *e);
void registrations_free(struct registrations *r);
void registrations_routes(struct link *l, struct router *router);

/* Is there any registration of the tenant? The cheap question that local work asks first; r may be
 * NULL. */
bool registrations_any(struct registrations *r, int64_t tenant);
/*
 * Matches in the order exclusive, redirect, inclusive, auxiliary; each part holds its registration
 * until registrations_release(). When the ask is of one id with attributes, what an exclusive
 * registration takes is not in the parts of the others, and what a redirect one takes not in those
 * of inclusive and auxiliary ones (clause 4.3.6.3). ERR_TOO_COMPLEX when a pattern exceeds its
 * limits.
 */
enum err registrations_match(struct registrations *r, struct arena *a, const struct reg_ask *ask,
                             struct reg_parts *out, struct error *e);
void registrations_release(struct reg_parts *parts);

/* May the source of a part speak of this attribute of this entity? types: array of IRIs, or NULL
 * when they are not known; attr absent: of the entity at all. */
bool reg_part_covers(const struct reg_part *part, struct str id, const struct json *types,
                     struct str attr);

void registration_hold(struct registration *reg);
void registration_let_go(struct registration *reg);
/* Once for each request that was sent (or could not be): what came of it, for the counters and the
 * status of the registration. Any thread. */
void registration_asked(struct registrations *r, struct registration *reg, bool ok, int64_t now);

#endif
