/*
 * api_temporal.h - the temporal interface in four parts: what is asked (api_temporal_ask.c),
 * finding it (api_temporal.c), how it is shown (api_temporal_show.c), how evolution is written
 * (api_temporal_write.c). Private to link.
 */
#ifndef LINK_API_TEMPORAL_H
#define LINK_API_TEMPORAL_H

#include "api.h"

enum temporal_form {
    TEMPORAL_INSTANCES, /* normalized (clause 4.5.6) */
    TEMPORAL_VALUES,    /* pairs of value and time (clause 4.5.9) */
    TEMPORAL_AGGREGATES /* triples of value, from, to (clause 4.5.19) */
};

struct temporal_view {
    struct history_query history;
    enum temporal_form form;
    unsigned methods; /* bits of enum history_method */
    struct duration period;
    bool no_attrs; /* pick= names none: id and type only */
    struct entity_view entity;
};

/* When the scopes of an entity met a scopeQ, in order; whole: in all of the range asked for. */
struct temporal_span {
    int64_t from, to; /* [from, to) */
};
struct temporal_valid {
    VEC(struct temporal_span) spans;
    bool whole;
};

/* An entity by its evolution: current, deleted, or never anything else. */
struct temporal_entity {
    int64_t eid;
    struct str id;
    const struct json *types;           /* array of IRIs; may be NULL */
    const struct json *stored;          /* state now, or before its deletion; may be NULL */
    const struct temporal_valid *valid; /* only instances of these times show; NULL: all */
};

/* What was set (or, scopes NULL, deleted) when. */
struct temporal_scope {
    int64_t at, seq;
    const struct json *instance, *scopes;
};
struct temporal_scopes {
    VEC(struct temporal_scope) rows; /* by time */
};
/* All scopes that the entity ever had, by the time asked for; none are known of what was last
 * changed before they were kept. */
enum err temporal_scopes(struct store_conn *conn, struct arena *a, int64_t eid,
                         enum time_property property, struct temporal_scopes *out, struct error *e);
/* In which parts of the range a scopeQ was met. */
enum err temporal_valid(struct store_conn *conn, struct arena *a, const struct temporal_entity *t,
                        const struct scope_node *scope, const struct history_query *q,
                        struct temporal_valid *out, struct error *e);
bool temporal_is_valid(const struct temporal_valid *v, int64_t at); /* v NULL: yes */
/* The range from the first valid time to the last one; what lies between them may not be. */
void temporal_narrow(const struct temporal_valid *v, struct history_query *q);

/* timerel, timeAt, endTimeAt and timeproperty of the query, or of an object (temporalQ); false: the
 * response is filled. */
bool api_time_query(struct api *c, const struct json *object, struct history_query *q);
/* All of how evolution shall show; temporal_q: of a body, s: of a query for several; NULL: there is
 * none. false: the response is filled. */
struct api_select;
bool api_temporal_view(struct api *c, const struct json *temporal_q, const struct api_select *s,
                       struct temporal_view *v);

/* What was shown of an entity. */
struct temporal_shown {
    size_t instances;   /* or values, or periods */
    bool head;          /* id, type or scope */
    struct str refused; /* absent, or why the request is not valid: an attribute that was named is
                           not eligible for one of the methods (5.7.3.4, 5.7.4.4) */
    struct history_cut cut;
};

/* Appends the entity. */
enum err temporal_show(struct buf *out, struct arena *a, struct store_conn *conn,
                       const struct temporal_entity *entity, const struct temporal_view *v,
                       struct temporal_shown *shown, struct error *e);

/* "urn:ngsi-ld:Instance:SEQ" with ":DATASET" for instances of a dataset. */
struct str temporal_instance_id(struct arena *a, int64_t seq, struct str dataset);
bool temporal_instance_parse(struct str id, int64_t *seq, struct str *dataset);

void temporal_write_routes(struct link *l, struct router *r);

#endif
