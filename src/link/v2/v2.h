/*
 * v2.h - the NGSIv2 face: what Orion's clients know, on the entities that NGSI-LD clients see.
 * Private to link. docs/ngsiv2.md tells users the same rules with examples.
 *
 * Names (types, attributes, metadata). A short name is expanded with the core context; one that is
 * a word of NGSI-LD's own, or would not come back from there, stands below the default prefix. A
 * full IRI (http:, https:, urn:) stays what it is.
 *
 * Identity. In NGSIv2 an entity is (id, type, service path), in NGSI-LD it is its id. The stored id
 * of the first entity with an id is that id when it is a URI, else "urn:ngsi-ld:v2:" and the id
 * percent-encoded; further ones with the same id add ":TYPE:PATH", encoded too. All of them come
 * back as the id that the client chose. The service path is the scope; "/" is none.
 *
 * Attributes. geo:* become a GeoProperty, Relationship a Relationship (ids through the alias), the
 * kinds of NGSI-LD named as type that kind, null a JsonProperty, DateTime a typed value, all else a
 * Property. Metadata TimeInstant or observedAt become observedAt, unitCode becomes unitCode, others
 * sub-attributes. What cannot be told from that stands in the instance's member
 *
 *     "v2": {"type": T?, "value": as sent?, "observed": {"name": N, "type": T}?}
 *
 * which NGSI-LD carries along and never shows: "type" when it is not the default for the value,
 * "value" when the text sent was another form of what is stored (used while both still agree).
 */
#ifndef LINK_V2_H
#define LINK_V2_H

#include "api.h"
#include "core/geo.h"
#include "entity_impl.h"
#include "query_impl.h"

#define V2_ALIAS "urn:ngsi-ld:v2:"

/* --- names --- */

struct str v2_iri(struct arena *a, struct str name);
struct str v2_name(struct arena *a, struct str iri); /* the name whose v2_iri() that is */
struct str v2_alias(struct arena *a, struct str id); /* stored id of the first entity */
/* ... of further ones with the same id; path absent or "/a/b". */
struct str v2_alias_more(struct arena *a, struct str id, struct str type, struct str path);
/* What the stored ids of further ones begin with. */
struct str v2_alias_prefix(struct arena *a, struct str id);
struct str v2_id(struct arena *a, struct str stored_id);
/* The type that NGSIv2 shows: the first one. */
struct str v2_entity_type(struct arena *a, const struct json *stored);

/*
 * Field syntax: 1 to 256 characters of ASCII without blanks, control characters, & ? / #
 * (full IRIs may have these four) and < > " ' = ; ( ). what: "entity id", for messages.
 */
enum err v2_check_id(struct str s, const char *what, struct error *e);
/* Names in URLs may also be such as only NGSI-LD makes. */
enum err v2_check_lookup(struct str s, const char *what, struct error *e);
/* An element of entities: id or idPattern, and type or typePattern or neither. where: whose, for
 * the error. */
enum err v2_check_entity(const struct json *entity, const char *where, struct error *e);
/* Orion refuses < > " ' = ; ( ) in texts of values too, and in names inside them. */
enum err v2_check_value(const struct json *v, const char *what, struct error *e);

/* --- service paths --- */

enum { V2_PATHS_MAX = 10, V2_PATH_LEVELS = 10, V2_PATH_LEVEL_CHARS = 50 };

struct v2_path {
    struct str path; /* "/a/b"; empty for the root */
    bool below;      /* and what lies below it */
};

struct v2_paths {
    struct v2_path v[V2_PATHS_MAX];
    size_t n;
};

/* The header Fiware-ServicePath, absent or as sent. to_write: one path, without '#'. */
enum err v2_paths_read(struct str header, bool to_write, struct v2_paths *out, struct error *e);
bool v2_paths_hold(const struct v2_paths *p, const struct json *stored);

/* --- in --- */

/* What the body says of an entity, in stored form without id and type. */
struct v2_input {
    struct json_member *attrs; /* IRI: [instance] */
    size_t n;
    const struct json *expires; /* dateExpires; NULL: not given */
};

/*
 * The attributes of a body, which has id and type only when whole. key_values: values alone.
 * lenient: names of builtins are skipped instead of refused (data that other brokers pass on).
 */
enum err v2_attrs_in(struct arena *a, const struct json *body, bool whole, bool key_values,
                     bool lenient, struct v2_input *out, struct error *e);
/* One attribute: {"value", "type", "metadata"}. */
enum err v2_attr_in(struct arena *a, struct str name, const struct json *attr, bool key_values,
                    struct json *instance, struct error *e);
/* A value of the given type (absent: by the value) as an instance without metadata. */
enum err v2_value_in(struct arena *a, const struct json *value, struct str type,
                     struct json *instance, struct error *e);
/* {"$inc": 2} and the like, see v2_operators.c. */
bool v2_is_operator(const struct json *v);
/* What the operation makes of the value that was there (NULL: none). *nothing: it makes none. */
enum err v2_operate(struct arena *a, const struct json *was, const struct json *operation,
                    struct json *out, bool *nothing, struct error *e);
/* The instance with the metadata of the one before that it does not name itself. */
struct json v2_keep_metadata(struct arena *a, const struct json *before, struct json instance);
/* dateExpires and the like: ISO 8601, perhaps without zone or time, as NGSI-LD wants it. */
bool v2_datetime(struct arena *a, struct str text, struct str *out);

/* --- out --- */

enum v2_form { V2_NORMALIZED, V2_KEY_VALUES, V2_VALUES, V2_UNIQUE };

struct v2_view {
    enum v2_form form;
    bool head;               /* with id and type */
    const struct str *attrs; /* names, "*", builtins; NULL: all but builtins */
    size_t n_attrs;
    const struct str *metadata; /* the same for metadata */
    size_t n_metadata;
    /* of notifications */
    const struct str *except; /* names of attributes that are left out */
    size_t n_except;
    bool covered;                     /* what attrs names and is not there is null */
    bool only_changed;                /* attributes that the event changed, and builtins */
    const struct entity_event *event; /* for previousValue, actionType, alterationType; or NULL */
};

void v2_show(struct buf *out, struct arena *a, const struct json *stored, const struct v2_view *v);
void v2_show_attr(struct json_writer *w, struct arena *a, const struct json *instance,
                  const struct v2_view *v);
struct json v2_value(struct arena *a, const struct json *instance);
struct str v2_type(struct arena *a, const struct json *instance);
bool v2_is_builtin(struct str name); /* of attributes */
/* What happened to the entity, as alterationTypes calls it. */
enum v2_alteration { V2_ENTITY_CREATE, V2_ENTITY_UPDATE, V2_ENTITY_CHANGE, V2_ENTITY_DELETE };
extern const struct str v2_alterations[4];
enum v2_alteration v2_alteration(struct arena *a, const struct entity_event *ev);
/* Is the attribute another one than before? Without metadata only its type and value count. */
bool v2_changed(struct arena *a, const struct attr_change *ch, bool metadata);
/* The first service path; "/" for the root. */
struct str v2_path_of(const struct json *stored);
/* The default instance of an attribute by name, or NULL. */
const struct json *v2_attr(struct arena *a, const struct json *stored, struct str name);

/* --- geometry --- */

bool v2_is_simple_geo(struct str type);
/* "lat, lon" or a list of them as GeoJSON; NULL with ERR_INVALID. */
const struct json *v2_geo_in(struct arena *a, struct str type, const struct json *value,
                             struct error *e);
/* The same back; false when the geometry is not of that type. */
bool v2_geo_out(struct arena *a, struct str type, const struct json *geometry, struct json *out);

struct v2_geo {
    struct geo_query tests[2]; /* near may have two */
    size_t n;
    bool covered; /* coveredBy: within, or a point on the border */
    struct geo_query border;
    bool near;
    const struct geo *reference;
};
enum err v2_geo_parse(struct arena *a, struct str georel, struct str geometry, struct str coords,
                      struct v2_geo *out, struct error *e);
void v2_geo_release(struct v2_geo *g);
/* ERR_CONFLICT when it is not clear which location of the entity is meant. */
enum err v2_geo_holds(struct v2_geo *g, struct arena *a, const struct json *stored, bool *hit,
                      struct error *e);
/* Metres to the reference; false without a location. */
bool v2_geo_distance(const struct v2_geo *g, struct arena *a, const struct json *stored,
                     double *metres);

/* --- q and mq --- */

/* Either may be absent. As for query_parse_q(); query_q_release() it. */
const struct query_node *v2_query_parse(struct arena *a, struct str q, struct str mq,
                                        struct error *e);

/* --- a call --- */

/* Error names of the specification that do not follow from a code. */
enum http_answer v2_error(struct api *c, int status, const char *name, struct str description);
/* Tenant, Accept, options, body (if flags say so) and the service path. options: the ones known
 * here, by blanks. false: the response is filled. */
enum { V2_BODY = 1, V2_TEXT_BODY = 2, V2_WRITES = 4, V2_TEXT_ACCEPT = 8 };
bool v2_open(struct api *c, struct v2_paths *paths, struct request *req, struct response *res,
             struct link *l, unsigned flags, const char *options);
void v2_view(struct api *c, struct v2_view *v);
/* Of a subscription or registration: the seconds of now and chance, as Orion's ids are made. */
struct str v2_new_id(struct api *c);
/* Fiware-ServicePath without a '/' at the end; absent when it was not sent. */
struct str v2_path_header(struct api *c);
/* What followers of a change should know besides it: forcedUpdate, the correlator. For ops.h. */
struct str v2_note(struct api *c);
bool v2_limits(struct api *c, int64_t *limit, int64_t *offset);
/* A path parameter, checked. */
bool v2_param(struct api *c, const char *name, const char *what, struct str *out);
/* As api_reader(); *there is false for a tenant that nobody wrote to. */
struct store_conn *v2_reader(struct api *c, int64_t *tenant, bool *there);
/* Give a list of documents, or one of them (empty: "missing" says that it is not there), or what
 * went wrong with reading them (NULL: nothing). The buffer is released. */
enum http_answer v2_answer_list(struct api *c, struct buf *list, const struct error *e,
                                int64_t count);
enum http_answer v2_answer_one(struct api *c, struct buf *one, const struct error *e,
                               const char *missing);

struct v2_found {
    size_t n; /* entities that match */
    const struct json *stored;
    int64_t version;
};
/* Entities with that id; type and paths narrow them when given. */
enum err v2_find(struct store_conn *c, struct arena *a, int64_t tenant, struct str id,
                 struct str type, const struct v2_paths *paths, int64_t now, struct v2_found *out,
                 struct error *e);
/* Stored ids that entities with that id may have. */
enum err v2_stored_ids(struct store_conn *c, struct arena *a, int64_t tenant, struct str id,
                       const struct str **ids, size_t *n, struct error *e);
bool v2_expired(const struct json *stored, int64_t now);

#define V2_NO_ENTITY "The requested entity has not been found. Check type and id"
#define V2_NO_ATTR   "The entity does not have such an attribute"
#define V2_SEVERAL   "More than one matching entity. Please refine your query"

/* --- changes --- */

enum v2_action {
    V2_CREATE,
    V2_UPSERT,        /* create, or append to what is there */
    V2_UPSERT_STRICT, /* create, or append what is not there */
    V2_APPEND,
    V2_APPEND_STRICT,
    V2_UPDATE,
    V2_REPLACE,
    V2_PUT, /* create, or replace all attributes */
    V2_REPLACE_ATTR,
    V2_SET_VALUE,
    V2_DELETE,
    V2_DELETE_ATTRS
};

struct v2_change {
    enum v2_action action;
    struct str id, type; /* type absent: any, or Thing for a new entity */
    struct str path;     /* empty for the root */
    struct v2_input input;
    struct str attr;          /* name, for V2_REPLACE_ATTR and V2_SET_VALUE */
    const struct json *value; /* for V2_SET_VALUE */
    bool override_metadata;
};

/* The operation that makes the change. */
struct op v2_op(struct v2_change *change);
/* Answers with the error of the operation, if it has one. */
bool v2_failed(struct api *c, const struct op *op);

/* --- routes --- */

void v2_routes(struct link *l, struct router *r);
void v2_entity_routes(struct link *l, struct router *r);
void v2_attr_routes(struct link *l, struct router *r);
void v2_query_routes(struct link *l, struct router *r);
void v2_batch_routes(struct link *l, struct router *r);
void v2_type_routes(struct link *l, struct router *r);
void v2_subscription_routes(struct link *l, struct router *r);
void v2_registration_routes(struct link *l, struct router *r);

#endif
