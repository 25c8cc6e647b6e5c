/*
 * distribute.h - writes that context sources have a part in (clauses 4.3.6, 5.6, 6.3.18).
 *
 * What exclusive and redirect registrations name is not kept here: those attributes go to their
 * sources and are taken out of what is written to this store. What is left goes to this store and
 * to inclusive sources alike. Auxiliary ones are never written to. The store and the sources are
 * asked at the same time; the answer waits for all of them, at most link.forward_budget_ms.
 *
 * How it ends: everywhere well: the answer of the operation. Everywhere badly for the same reason:
 * that error. Else 207 with a BatchOperationResult (whole entities) or an UpdateResult (attributes)
 * that names the registration of each failure. An entity that is not here is such a failure, unless
 * proxied registrations speak for it.
 *
 * Without registrations of the tenant, and with local=true, these are api_write() and nothing else.
 */
#ifndef LINK_DISTRIBUTE_H
#define LINK_DISTRIBUTE_H

#include "api.h"
#include "forward.h"

/* --- for the handlers --- */

enum dist_kind {
    DIST_CREATE_ENTITY,
    DIST_REPLACE_ENTITY,
    DIST_MERGE_ENTITY,
    DIST_DELETE_ENTITY,
    DIST_APPEND_ATTRS,
    DIST_UPDATE_ATTRS,
    DIST_PARTIAL_ATTR,
    DIST_REPLACE_ATTR,
    DIST_DELETE_ATTR,
    /* evolution: the same of /temporal/entities */
    DIST_TEMPORAL_UPSERT,
    DIST_TEMPORAL_APPEND,
    DIST_TEMPORAL_DELETE,
    DIST_TEMPORAL_DELETE_ATTR,
    DIST_TEMPORAL_UPDATE_INSTANCE,
    DIST_TEMPORAL_DELETE_INSTANCE
};

/* One operation on one entity; then() answers as for api_write() when only this store has a part
 * in it, or when everything went well. */
enum http_answer distribute_write(struct api *c, enum dist_kind kind, struct op *op,
                                  void (*then)(struct api *c));

/* Any other write of one entity: what it is about, and how this store does its part. */
struct dist_ask {
    enum dist_kind kind;
    struct str id;
    const struct json *types;       /* array of IRIs of the payload; NULL: those that are here */
    const struct type_node *chosen; /* type=; NULL: any */
    const struct str *attrs;        /* IRIs that are written; n_attrs 0: the entity as a whole */
    size_t n_attrs;
};
struct dist; /* one write, until it is answered */
struct dist_local {
    void *ctx;
    /* Only these attributes are this store's. */
    void (*narrow)(void *ctx, const struct str *attrs, size_t n);
    /* Submit it, with memory for the writer's thread; dist_local_done() is called in the end. */
    enum err (*start)(void *ctx, struct dist *d, struct arena *memory, struct error *e);
    /* Fill the response: all went well. */
    void (*answer)(void *ctx);
};
/* The tenant's number when others may be concerned; 0: nobody is; < 0: the call goes round in
 * circles, the response is filled. */
int64_t dist_others(struct api *c);
/* false: only this store is concerned, nothing happened. true: c->answer is what to return. */
bool distribute(struct api *c, int64_t tenant, const struct dist_ask *ask,
                const struct dist_local *local);
/* On the writer's thread; delta may be NULL. */
void dist_local_done(struct dist *d, enum err code, const struct error *e,
                     const struct entity_delta *delta);

/* Batches (clauses 5.6.7 to 5.6.10, 5.6.20). */
enum dist_batch_kind {
    DIST_CREATE_BATCH,
    DIST_UPSERT_BATCH,        /* replaces what is there */
    DIST_UPSERT_UPDATE_BATCH, /* updates what is there */
    DIST_UPDATE_BATCH,
    DIST_MERGE_BATCH,
    DIST_DELETE_BATCH
};
struct dist_payload;
struct dist_batch {
    enum dist_batch_kind kind;
    struct op *ops;
    const struct dist_payload *payloads; /* of each operation; not for deletion */
    size_t n;
    const struct op *refused; /* wrong in themselves: their errors are told too */
    size_t n_refused;
    void (*settle)(struct op *op); /* makes of a result what the batch says of it */
};
/* false: only this store is concerned, nothing happened. true: c->answer is what to return. */
bool distribute_batch(struct api *c, const struct dist_batch *b);

/* A purge (clause 5.6.21) of what the ask is about. run() does this store's part on a pool thread,
 * with ctx in ctx_then, and fills the response. Else as distribute(). */
bool distribute_purge(struct api *c, const struct reg_ask *about, void (*run)(struct api *c),
                      void *ctx);

/* --- shared by the distribute_* files --- */

/* An error as ProblemDetails (clause 5.2.6). */
struct dist_problem {
    int status;
    struct str type, title, detail;
};

/* What became of the part of one participant. */
struct dist_outcome {
    const struct registration *reg; /* NULL: this store */
    bool ok;                        /* it did its part, perhaps only some of it: see result */
    struct dist_problem problem;
    const struct str *attrs; /* IRIs that it was asked to write */
    size_t n_attrs;
    const struct json *result;        /* body of a 207 of a source; NULL: none */
    const struct entity_delta *delta; /* of this store */
};

/* Whose payload: its context, and whether it holds it. */
struct dist_payload {
    const struct json *body;
    const struct ld_context *ctx;
    bool with_context;
    bool attr; /* it is an attribute, not an entity */
};

/* Types of the entity that is here (IRIs); NULL: there is none. */
const struct json *dist_local_types(struct arena *a, struct store_conn *conn, int64_t tenant,
                                    struct str id);

/* May who sends the call write these attributes (n 0: the entity) of an entity of these types?
 * Their values are a source's: conditions on them count against the sender. OK: yes. */
enum err dist_forbidden(struct api *c, int64_t tenant, const struct json *types,
                        const struct str *attrs, size_t n, struct error *e);
void dist_type_names(struct arena *a, const struct json *types, const struct str **v, size_t *n);

/* The members of an entity or fragment that speak of attrs, or of the entity itself. */
struct json dist_fragment(struct arena *a, const struct dist_payload *p, const struct str *attrs,
                          size_t n_attrs);
/* The same of a stored form. */
const struct json *dist_narrow(struct arena *a, const struct json *stored, const struct str *attrs,
                               size_t n_attrs);
size_t dist_attrs(struct arena *a, const struct json *stored, const struct str **attrs);
bool dist_among(const struct str *list, size_t n, struct str s);

/* A payload as the source of reg wants it: in the terms of its jsonldContext, with the @context
 * inside or in a Link header (clause 4.3.6.6). */
void dist_body(struct api *c, struct forward *f, const struct dist_payload *p);
/* The same for several entities, each with its context. */
void dist_bodies(struct api *c, struct forward *f, const struct dist_payload *p, size_t n);
/* path with the query parameters of the call that a source must know too. */
struct str dist_target(struct api *c, const struct registration *reg, struct str path);
/* A name in the terms that the source is sent. */
struct str dist_term(struct api *c, const struct registration *reg, struct str iri);

/* What an answer, or none, means. */
void dist_read(struct arena *a, const struct forward *f, struct dist_outcome *out);
/* An inclusive source that has had the request already by another way: there is nothing to tell. */
bool dist_came_round(const struct forward *f);
void dist_conflict(struct dist_outcome *out); /* the source cannot do it */
void dist_failed(struct arena *a, const struct error *e, struct dist_outcome *out);
void dist_write_problem(struct json_writer *w, const struct dist_problem *p);
void dist_answer_problem(struct api *c, const struct dist_problem *p);
/* One answer made of several that do not all succeed. */
void dist_answer_entity(struct api *c, struct str id, const struct dist_outcome *v, size_t n);
void dist_answer_attrs(struct api *c, const struct dist_outcome *v, size_t n);
/* All failed for the same reason: it is the answer. */
bool dist_answer_same(struct api *c, const struct dist_outcome *v, size_t n);

#endif
