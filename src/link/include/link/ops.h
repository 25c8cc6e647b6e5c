/*
 * ops.h - changing entities: a list of operations applied in one transaction, in order.
 *
 * Inputs are in stored form (entity_expand()). Each operation has its own result: one that fails
 * (not found, exists already, ...) leaves the others alone. An error of the store fails them all.
 *
 *     struct op op = {.kind = OP_UPSERT, .id = id, .input = stored};
 *     struct ops ops = {.arena = &arena, .ops = &op, .n = 1};
 *     err = ops_run(link, &ops, &e);        in commands, jobs and pool tasks
 *     err = ops_submit(link, &ops, &e);     in HTTP handlers; ops.done is called later
 */
#ifndef LINK_OPS_H
#define LINK_OPS_H

#include "link/link.h"

struct access_who;

enum op_kind {
    OP_CREATE,        /* ERR_EXISTS when it is there */
    OP_UPSERT,        /* create or replace (batch upsert, options=replace) */
    OP_UPSERT_UPDATE, /* create or append and overwrite (options=update) */
    OP_REPLACE,       /* PUT entity */
    OP_APPEND,        /* POST attrs */
    OP_APPEND_NEW,    /* ... with noOverwrite */
    OP_UPDATE,        /* attributes that are there */
    OP_UPDATE_ADD,    /* PATCH attrs: those, and others are added */
    OP_MERGE,         /* PATCH entity */
    OP_PARTIAL,       /* PATCH attrs/{attr} */
    OP_REPLACE_ATTR,  /* PUT attrs/{attr} */
    OP_DELETE,
    OP_DELETE_ATTR /* attr, dataset or all_datasets */
};

struct op {
    enum op_kind kind;
    struct str id;
    const struct json *input;
    size_t input_bytes; /* upper bound of the input's text; 0: small, known to be harmless */
    struct str attr, dataset;
    bool all_datasets;
    struct merge_hints hints;      /* of OP_MERGE */
    struct str if_version;         /* If-Match header: an ETag must be the entity's ("*": any) */
    const struct type_node *types; /* the entity must meet them, else it is not found; or NULL */
    /*
     * Settles kind, id and input on the writer thread, when they depend on what is there; NULL:
     * they are settled. An error of its own goes to result and ends the operation; the returned
     * one is the store's. kind must tell before whether the operation may make an entity. May run
     * twice.
     */
    enum err (*prepare)(struct op *op, struct arena *a, struct store_conn *c, int64_t tenant,
                        int64_t now, struct error *e);
    void *ctx; /* for prepare() */
    /* A JSON object that followers of the journal find beside the change; absent: none. */
    struct str note;
    /* results */
    enum err result;
    struct error error;
    bool created; /* upserts: the entity is new */
    int64_t seq;  /* journal row of the change; 0: nothing changed */
    struct entity_delta delta;
};

struct ops {
    struct arena *arena;          /* used on the writer thread until done() */
    struct str tenant;            /* name; empty: the default one */
    struct str actor;             /* client or user id, for the journal; who made what is new */
    const struct access_who *who; /* whose rights count (access.h); NULL: the city's own */
    struct op *ops;
    size_t n;
    /* On the writer thread after the commit; must not block. code is OK when the transaction was
     * committed, whatever the single results. */
    void (*done)(struct ops *ops, enum err code, const struct error *e);
    void *ctx; /* the caller's */
    /* private */
    struct link *link;
    int64_t tenant_number;
    struct store_change change;
};

enum err ops_submit(struct link *l, struct ops *o, struct error *e);
enum err ops_run(struct link *l, struct ops *o, struct error *e);

#endif
