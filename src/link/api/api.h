/*
 * api.h - what all handlers of the NGSI-LD interface share (ETSI GS CIM 009 v1.8.1 clause 6.3):
 * parameters, tenant, @context, body, representation, errors. Private to link.
 *
 *     struct api c;
 *     if (!api_open(&c, req, res, ctx, handler, API_BODY, "options format"))
 *         return c.answer;
 */
#ifndef LINK_API_H
#define LINK_API_H

#include "link/history.h"
#include "link/ops.h"

enum {
    API_BODY = 1,        /* a JSON or JSON-LD body is required */
    API_MERGE_PATCH = 2, /* application/merge-patch+json is one of its types */
    API_BARE_JSON = 4,   /* the body is a value: an @context in it is data */
    API_UNSCOPED = 8,    /* not about entities: NGSILD-Snapshot says nothing (clause 6.3.22) */
    API_REGISTRY = 16    /* nothing that a snapshot has: there is no registry in it (5.5.15) */
};

/* pick= or omit=: names, each perhaps with the projection of the entities it links to. */
struct api_projection {
    const struct str *names;            /* IRIs, or members of entities */
    struct api_projection *const *subs; /* of each name; NULL: none */
    size_t n;
    bool linked; /* some name has one */
};

/*
 * The stored form nests deeper than a body, by two for each level of sub-attributes, and must
 * itself stay within what can be read back.
 */
enum { API_BODY_DEPTH = 40 };

/* One call; copied to the request's arena when it outlives the handler. */
struct api {
    struct link *link;
    struct request *req;
    struct response *res;
    struct arena *arena;
    enum http_answer answer;      /* what the handler returns when a function here said no */
    struct str tenant;            /* name; empty: default */
    struct str snapshot;          /* its id, where the tenant is the space of one; else absent */
    const struct ld_context *ctx; /* of the Link header or the body */
    const struct json *body;      /* NULL without one */
    bool ld_body;                 /* the body came as application/ld+json */
    size_t n_headers;             /* of the response before the handler began */
    const char *type;             /* media type of the answer, after api_accept() */
    bool geojson;
    bool embed;                /* the @context goes into the body, not into a Link header */
    bool entities, simplified; /* after api_view(): the body holds them, in what form */
    const struct api_projection *pick, *omit; /* after api_view(); NULL: none */
    struct ops ops;                           /* of api_write() */
    int64_t forward_until; /* steady: no source is waited for longer; 0: none was asked yet */
    /* Fills the response: of a write after its commit, on the writer thread; of slow work on a
     * pool thread. */
    void (*then)(struct api *c);
    void *ctx_then; /* for then() */
    /* How errors are told; NULL: in NGSI-LD's form. code is OK for errors of plain HTTP. */
    enum http_answer (*fail)(struct api *c, enum err code, int status, struct str detail);
};

/*
 * Checks and reads all of the above. params: the query parameters of the operation, by blanks;
 * others are refused (clause 6.3.20). false: the response is filled or on its way.
 */
bool api_open(struct api *c, struct request *req, struct response *res, struct link *l,
              http_handler handler, unsigned flags, const char *params);
/* The same without a look at the query parameters. */
bool api_begin(struct api *c, struct request *req, struct response *res, struct link *l,
               http_handler handler, unsigned flags);
/* The @context that belongs to a value of a body (batch entities carry their own). NULL value: the
 * core one. false: as for api_open(). */
bool api_context(struct api *c, http_handler handler, const struct json *value,
                 const struct ld_context **out);
/* Gets a remote @context and keeps it; waits for the network: pool threads only. */
enum err api_fetch_context(struct api *c, struct str url, struct error *e);
/* A copy of the call in the arena, for what outlives the handler. */
struct api *api_keep(const struct api *c);
/* Runs then() on a pool thread and resumes the request: for slow reads and for writes that wait. */
enum http_answer api_slowly(struct api *c, void (*then)(struct api *c), void *ctx);

/* --- errors --- */

/* An error in NGSI-LD's form: type URI, title, detail, status; always application/json. */
enum http_answer api_fail(struct api *c, const struct error *e);
enum http_answer api_fail_text(struct api *c, enum err code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Not the content of the request is at fault but the request itself: InvalidRequest. */
enum http_answer api_invalid_request(struct api *c, struct str detail);
enum http_answer api_no_tenant(struct api *c);
enum http_answer api_no_context(struct api *c, struct str detail);    /* LdContextNotAvailable */
enum http_answer api_loop_detected(struct api *c, struct str detail); /* LoopDetected */
enum http_answer api_status(struct api *c, int status, struct str detail); /* plain HTTP ones */
/* {"type":..,"title":..,"detail":..,"status":..} for batch results; ERR_TIMEOUT is
 * LdContextNotAvailable there. */
void api_problem_json(struct json_writer *w, const struct error *e);

/* What an error is in NGSI-LD. */
struct api_problem {
    int status;
    const char *type, *title;
};
void api_problem_of(const struct error *e, struct api_problem *out);

/* --- reading --- */

/* A reader and the tenant's number; NULL: the response is filled. Give back with
 * store_read_done(). */
struct store_conn *api_reader(struct api *c, int64_t *tenant);
/* What the caller may see in that tenant. */
const struct access_view *api_sight(const struct api *c, int64_t tenant);
/* Choose the media type by Accept: JSON, JSON-LD and (if offered) GeoJSON. false: 406 is filled. */
bool api_accept(struct api *c, bool offer_geojson);
/* How to show entities, from options=, format=, attrs=, pick=, omit=, lang=, datasetId=,
 * geometryProperty= and the media type. false: the response is filled. */
bool api_view(struct api *c, struct entity_view *v);
/* A text of the projection language; *out NULL for an absent one. false: the response is filled. */
bool api_project(struct api *c, struct str text, const struct api_projection **out);
/* pick and omit of a view from projections, NULL: none. */
void api_project_view(struct api *c, const struct api_projection *pick,
                      const struct api_projection *omit, struct entity_view *v);
/* Is the name one of the projection's own? */
bool api_project_names(const struct api_projection *p, struct str name);
/* Levels of linked entities that it reaches into. */
int64_t api_project_depth(const struct api_projection *p);
/* The projection of what an attribute links to; NULL: everything shows. */
const struct api_projection *api_project_sub(const struct api_projection *p, struct str attr);
/* Is anything of format= or options= word? */
bool api_wants(struct api *c, const char *word);
/* Are entities of the body in simplified form? */
bool api_simplified(struct api *c);
/* The body of an answer, with the Link header to the context where it belongs. */
void api_answer(struct api *c, int status, const char *type, struct str body);
/* A writer to build JSON, and the answer made of it; the buffer is released. */
void api_answer_buf(struct api *c, int status, struct buf *b);
/* Appends the "@context" member when the answer is JSON-LD; inside an open object. */
void api_w_context(struct api *c, struct json_writer *w);
/* How others reach this server, without '/' at the end; absent when a request does not say. */
struct str api_base_url(struct api *c);
/* A URL, or a path of this server made one. */
struct str api_full_url(struct api *c, struct str url);
/* ETag of an entity. */
struct str api_version_tag(struct arena *a, int64_t version);

/* A list "a,b,c" of names expanded with the call's context. */
size_t api_names(struct api *c, struct str list, const struct str **names);
/* A list "a,b,c" as it is. */
size_t api_list(struct api *c, struct str list, const struct str **items);
/* datasetId=, a URI; absent for the default instance. false: the response is filled. */
bool api_dataset(struct api *c, struct str *id);
/* A query parameter that must be a number in [min, max]; false: the response is filled. */
bool api_number(struct api *c, const char *name, int64_t preset, int64_t min, int64_t max,
                int64_t *out);
/* A query parameter that must be true or false; false: the response is filled. */
/* lang= and observedAt= of a merge (clauses 5.6.17, 5.6.20); false: the response is filled. */
bool api_merge_hints(struct api *c, struct merge_hints *h);
bool api_bool(struct api *c, const char *name, bool *out);
/* Is name one of the words, which stand between blanks? */
bool api_among(struct str words, struct str name);
/* Is word in the comma-separated query parameter? */
bool api_option(struct api *c, const char *param, const char *word);
/* Path parameter as an entity id: must be a URI. false: the response is filled. */
bool api_id(struct api *c, const char *param, struct str *id);
/* An id as one segment of a path. */
struct str api_segment(struct arena *a, struct str id);
/* Path parameter as an attribute's IRI; false: the response is filled. */
bool api_attr(struct api *c, struct str *iri);
/* type=: a selection that a single entity must meet; *types NULL without it. */
bool api_type_of(struct api *c, const struct type_node **types);
/* A transient entity whose time is over: as good as deleted. */
bool api_expired(struct api *c, const struct json *stored);

/* --- writing --- */

/* Submit n operations; then() answers after the commit. Returns what the handler returns. */
enum http_answer api_write(struct api *c, struct op *ops, size_t n, void (*then)(struct api *));
/* For a single operation: 204, or its error. */
void api_written_empty(struct api *c);
/* Fills in the error of a single operation, if it failed. */
bool api_write_failed(struct api *c);

void api_entity_routes(struct link *l, struct router *r);
void api_attr_routes(struct link *l, struct router *r);
void api_purge_routes(struct link *l, struct router *r);
void api_query_routes(struct link *l, struct router *r);
void api_batch_routes(struct link *l, struct router *r);
void api_temporal_routes(struct link *l, struct router *r);
void api_type_routes(struct link *l, struct router *r);
void api_context_routes(struct link *l, struct router *r);
void api_export_routes(struct link *l, struct router *r);

#endif
