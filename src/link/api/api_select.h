/*
 * api_select.h - which entities a call speaks of: the parameters of GET /entities and their like
 * in the body of POST /entityOperations/query (clauses 5.2.23, 6.4.3.2). Private to link.
 */
#ifndef LINK_API_SELECT_H
#define LINK_API_SELECT_H

#include "api.h"

/* Names of the parameters that api_select_get() reads, to add to those of an operation; it reads
 * local too, which an operation names itself where it has it. */
#define API_SELECT_PARAMS                                                                          \
    " id idPattern type attrs q georel geometry coordinates geoproperty scopeQ csf"                \
    " expandValues jsonKeys"

/* One of several {id, idPattern, type} of a query in a body. */
struct api_selector {
    const struct str *ids;
    size_t n_ids;
    struct regex *pattern;
    const struct type_node *types; /* NULL: any */
};

struct api_select {
    struct entity_query query;
    struct geo_query geo;         /* query.geo points here when there is one */
    const struct query_node *csf; /* of context sources; NULL: all of them */
    bool local;                   /* only what is here (clause 6.3.18) */
    /* Of a body with several of them: an entity must meet one besides query. */
    const struct api_selector *any;
    size_t n_any;
    /* Of a body, absent in GET: what shows, joins and orders. */
    const struct json *body;
};

/* What else the operation takes. */
enum {
    SELECT_TEMPORAL = 1, /* a body may have what is for temporal queries */
    SELECT_LINKED = 2    /* q may speak of linked entities, as far as join and joinLevel reach */
};
/* A selection that names neither a type, an attribute nor a place is refused unless local=true
 * (5.7.2.4). false: the response is filled, nothing is to be released. */
bool api_select_get(struct api *c, struct api_select *s, unsigned flags);
bool api_select_body(struct api *c, struct api_select *s, unsigned flags);
void api_select_release(struct api_select *s);

/* Only these are looked at: those of an entity map, say. */
void api_select_ids(struct api *c, struct api_select *s, const struct str *ids, size_t n);

/* Does the entity meet one of the selectors of the body? */
enum err api_select_any(const struct api_select *s, const struct json *stored, bool *hit);
/* pick, omit, attrs, lang and datasetId of the body into the view; false: the response is filled.
 */
bool api_select_view(struct api *c, const struct api_select *s, struct entity_view *v);

#endif
