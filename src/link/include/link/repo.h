/*
 * repo.h - entities in the store: rows, indexes, history and journal, always changed together.
 *
 * One change of one entity is: the row, the index rows that differ, a history row for each changed
 * attribute instance, and one journal row with the state after the change. All are written in the
 * same transaction. Reading narrows by one index, then evaluates exactly (query.h).
 *
 * Index keys are 63-bit hashes of (tenant, kind, name): a collision costs a candidate, never a
 * wrong answer.
 */
#ifndef LINK_REPO_H
#define LINK_REPO_H

#include "link/entity.h"
#include "link/query.h"
#include "store/journal.h"
#include "store/store.h"

extern const struct store_module link_module; /* migrations of all tables of link */

struct entity_row {
    int64_t eid; /* row number: order of creation, never reused */
    struct str id;
    struct str doc;  /* stored form; absent when the entity was deleted */
    int64_t version; /* journal seq of the last change */
    bool partial;    /* the reader's view (access.h) hides something of it: doc is what shows */
};

/* In the arena. ERR_NOT_FOUND when it does not exist or was deleted; row->eid is then set if a
 * tombstone is there. What the view of the connection hides is not there. */
enum err repo_get(struct store_conn *c, struct arena *a, int64_t tenant, struct str id,
                  struct entity_row *row, struct error *e);
/* The same, unless known() says, by row number and version, that the document is not needed: then
 * OK, and row->doc is absent. What is known must have been shown through the view of the
 * connection. */
enum err repo_get_unless(struct store_conn *c, struct arena *a, int64_t tenant, struct str id,
                         bool (*known)(void *ctx, const struct entity_row *row), void *ctx,
                         struct entity_row *row, struct error *e);
/* Inside ahead() of a change: repo_get() of this entity will be asked. */
void repo_get_ahead(struct store_conn *c, int64_t tenant, struct str id);

/* Ids that begin with prefix, in order, of entities that exist or existed, to each() until it
 * returns false. They live during the call. */
enum err repo_ids(struct store_conn *c, int64_t tenant, struct str prefix,
                  bool (*each)(void *ctx, struct str id), void *ctx, struct error *e);

/* Ids of entities that have, or have an attribute that has, an expiresAt that is not after now,
 * oldest first, at most limit of them, to each() until it returns false. They live during the call.
 */
enum err repo_expired(struct store_conn *c, int64_t tenant, int64_t now, int64_t limit,
                      bool (*each)(void *ctx, struct str id), void *ctx, struct error *e);

struct repo_options {
    bool history; /* write history rows */
};

struct repo_put {
    struct arena *arena;
    const struct repo_options *options;
    int64_t tenant;
    int64_t now;
    struct str id;
    struct str actor;             /* may be absent */
    struct str note;              /* JSON for the journal, see ops.h; may be absent */
    const struct entity_row *row; /* the row before, from repo_get(); eid 0: none */
    const struct json *before;    /* its tree; NULL when there was none */
    const struct entity_delta *delta;
    struct sync_put *sync; /* what is kept for other nodes, see link/edge.h; NULL: nothing */
};
/* Inside a change. Also for deletion (delta->after NULL). *seq (may be NULL): the journal row. */
enum err repo_put(struct store_conn *c, const struct repo_put *p, int64_t *seq, struct error *e);

/* --- querying --- */

struct repo_query {
    const struct entity_query *query;
    int64_t tenant;
    int64_t after;   /* eid; rows after it; 0: from the start */
    uint64_t offset; /* matches to skip */
    uint64_t limit;  /* matches to give; 0 gives none (counts) */
    bool count;      /* count all matches */
    const struct clock *clock;
    int64_t deadline; /* steady clock; 0: none. Passed: ERR_TOO_COMPLEX */
    /* Types of a row that the caller knows already, in the arena (it lives until each() returns);
     * NULL: it does not know, or not whether the reader's view shows it. May be NULL. Asked where
     * types are the only condition; each() then gets no tree. */
    const struct json *(*types_of)(void *ctx, const struct entity_row *row, struct arena *a);
};

struct repo_result {
    uint64_t count; /* of all matches when asked */
    bool more;      /* matches remain after the last one given */
    int64_t last;   /* eid of the last one given */
};

/* Matches in order of eid. The row and tree live during the call of each() only; each() returns
 * false to stop early. What the view of the connection hides is taken out before the query is
 * evaluated. */
enum err repo_query(struct store_conn *c, const struct repo_query *q,
                    bool (*each)(void *ctx, const struct entity_row *row,
                                 const struct json *stored),
                    void *ctx, struct repo_result *result, struct error *e);

/* --- discovery --- */

/* Names of types or attributes in use, with the number of entities that have them. Through a view
 * that hides something only those of which an entity shows; of attributes their number is then 1.
 */
enum err repo_names(struct store_conn *c, int64_t tenant, bool attributes,
                    bool (*each)(void *ctx, struct str iri, int64_t entities), void *ctx,
                    struct error *e);

/* --- tenants --- */

/* Number of a tenant by name ("" is the default one, number 1). ERR_NOT_FOUND. */
enum err repo_tenant(struct store_conn *c, struct str name, int64_t *tenant, struct error *e);
/* Inside a change: make it when it is not there. */
enum err repo_tenant_make(struct store_conn *c, struct str name, int64_t now, int64_t *tenant,
                          struct error *e);
/* Inside changes: everything in a tenant goes without a trace, nobody is told. First some of its
 * entities at a time with their indexes and evolution, *n of at most max; when there are none, the
 * rest and the tenant itself. */
enum err repo_drop_entities(struct store_conn *c, int64_t tenant, int64_t max, int64_t *n,
                            struct error *e);
enum err repo_drop_tenant(struct store_conn *c, int64_t tenant, struct error *e);
enum err repo_tenants(struct store_conn *c, bool (*each)(void *ctx, int64_t n, struct str name),
                      void *ctx, struct error *e);

/* Rows against journal and indexes, for `marugoto check`: each finding to report(); the number of
 * them. */
size_t repo_check(struct store_conn *c, void (*report)(void *ctx, const char *what), void *ctx);

/* The journal body of an entity change: what the followers of the journal read. */
struct entity_event {
    enum { EVENT_CREATED, EVENT_UPDATED, EVENT_DELETED } op;
    const struct json *doc; /* state after the change; for EVENT_DELETED the state before */
    VEC(struct attr_change) changes; /* .after is found in doc; NULL in the changes of a deletion */
    const struct json *note;         /* of the operation (ops.h); NULL: none */
    const void *registration;        /* of a registration's row, not an entity's; else NULL */
};
enum err entity_event_parse(struct arena *a, struct str body, struct entity_event *out,
                            struct error *e);

#endif
