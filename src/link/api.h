/*
 * api.h - what all handlers of the NGSI-LD interface share (ETSI GS CIM 009 v1.8.1 clause 6.3):
 * tenant, @context, body, representation, errors. Private to link.
 *
 *     struct api c;
 *     if (!api_begin(&c, req, res, ctx, handler, API_BODY))
 *         return c.answer;
 */
#ifndef LINK_API_H
#define LINK_API_H

#include "link/ops.h"

enum {
    API_BODY = 1,       /* a JSON or JSON-LD body is required */
    API_MERGE_PATCH = 2 /* application/merge-patch+json is one of its types */
};

/* One call; lives in the request's arena when it outlives the handler. */
struct api {
    struct link *link;
    struct request *req;
    struct response *res;
    struct arena *arena;
    enum http_answer answer;      /* what the handler returns when a function here said no */
    struct str tenant;            /* name; empty: default */
    const struct ld_context *ctx; /* of the Link header or the body */
    const struct json *body;      /* NULL without one */
    bool ld_body;                 /* the body came as application/ld+json */
    struct ops ops;               /* of api_write() */
    /* Fills the response of a write after its commit, on the writer thread. */
    void (*written)(struct api *c);
};

/* Checks and reads all of the above. false: the response is filled or on its way. */
bool api_begin(struct api *c, struct request *req, struct response *res, struct link *l,
               http_handler handler, unsigned flags);
/* The @context that belongs to a value of a body (batch entities carry their own). NULL value: the
 * call's. false: as for api_begin(). */
bool api_context(struct api *c, http_handler handler, const struct json *value,
                 const struct ld_context **out);

/* An error in NGSI-LD's form: type URI, title, detail, status. */
enum http_answer api_fail(struct api *c, const struct error *e);
enum http_answer api_fail_text(struct api *c, enum err code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* {"type":..,"title":..,"detail":..,"status":..} for batch results. */
void api_problem_json(struct json_writer *w, const struct error *e);

/* --- reading --- */

/* A reader and the tenant's number; NULL: the response is filled. Give back with
 * store_read_done(). */
struct store_conn *api_reader(struct api *c, int64_t *tenant);
/* How to show entities, from options=, format=, attrs=, pick=, omit=, lang=, datasetId=,
 * geometryProperty= and Accept. false: the response is filled. *type: media type to answer with. */
bool api_view(struct api *c, struct entity_view *v, const char **type);
/* Set body and headers (Link to the context for plain JSON) of an answer with entities. */
void api_answer(struct api *c, int status, const char *type, struct str body);
/* The Link header with the context of the call; for application/json answers. */
void api_link_header(struct api *c, const struct ld_context *ctx);

/* A list "a,b,c" of names expanded with the call's context. */
size_t api_names(struct api *c, struct str list, const struct str **names);
/* A query parameter that must be a number in [min, max]; false: the response is filled. */
bool api_number(struct api *c, const char *name, int64_t preset, int64_t min, int64_t max,
                int64_t *out);
/* Is word in the comma-separated query parameter? */
bool api_option(struct api *c, const char *param, const char *word);
/* Path parameter as an entity id: must be a URI. false: the response is filled. */
bool api_id(struct api *c, const char *param, struct str *id);

/* --- writing --- */

/* Submit n operations; written() answers after the commit. Returns what the handler returns. */
enum http_answer api_write(struct api *c, struct op *ops, size_t n, void (*written)(struct api *));
/* For a single operation: 204, or its error. */
void api_written_empty(struct api *c);

void api_entity_routes(struct link *l, struct router *r);
void api_attr_routes(struct link *l, struct router *r);
void api_query_routes(struct link *l, struct router *r);
void api_batch_routes(struct link *l, struct router *r);
void api_temporal_routes(struct link *l, struct router *r);
void api_type_routes(struct link *l, struct router *r);
void api_context_routes(struct link *l, struct router *r);

#endif
