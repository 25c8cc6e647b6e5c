/*
 * query.h - the query languages of NGSI-LD (ETSI GS CIM 009 v1.8.1 clauses 4.9, 4.10, 4.17, 4.19):
 * parsed once, evaluated in our own code on stored entities, so that every store answers alike.
 *
 * A query is parsed into one arena with names already expanded. Evaluation is exact; the repository
 * uses query_hints() only to find candidates.
 */
#ifndef LINK_QUERY_H
#define LINK_QUERY_H

#include "core/geo.h"
#include "link/entity.h"

struct query_node; /* q */
struct type_node;  /* type selection */
struct scope_node; /* scopeQ */
struct regex;

struct query_limits {
    size_t max_text;    /* bytes of one expression; default 8 KiB */
    uint32_t max_nodes; /* default 256 */
    uint32_t max_depth; /* parentheses; default 16 */
    uint32_t max_links; /* entities that a path of q may lead over; default 0 */
};
extern const struct query_limits QUERY_DEFAULT;

/*
 * q: Query terms joined by ';' (and) and '|' (or; binds less tightly, as clause 4.9 says),
 * parentheses, attribute paths a.b[c.d], existence, comparisons with numbers, strings, booleans,
 * dates, times, date-times, URIs, value lists and ranges, patterns ~= and !~=.
 *
 *     temperature>=20;temperature<=25|(status==1..5;name[en]!="x","y")|refRoom==urn:r:1|!broken
 *
 * A path step is a term, or anything in double quotes ("https://example.org/a.b">1); the last may
 * be observedAt, createdAt, modifiedAt, unitCode, datasetId; the first may be id, scope, createdAt,
 * modifiedAt, expiresAt of the entity. Texts stand in double quotes with the escapes of JSON. An
 * unquoted pattern ends at ';', '|' or ')' outside its own brackets; in a quoted one only \",
 * \\ and
 * \/ are escapes. Blanks around operators are skipped. Value lists and ranges go with == and !=
 * only. expand_values: names (terms or IRIs) whose values are vocabulary terms to expand. "!a"
 * (absent) is an extension. a{b} speaks of b of the entities that a points to, a{T1,T2:b} of those
 * of these types; longer ways than max_links give ERR_UNPROCESSABLE. NULL with ERR_INVALID
 * and the offset, or ERR_TOO_COMPLEX over the limits. Give it back with query_q_release().
 *
 * What holds: any instance may satisfy a term; != needs an attribute that is there, and holds
 * between values of different sorts; an array equals each scalar it includes and has no order; a
 * Relationship knows only == and !=; text is ordered by code point; patterns match anywhere in a
 * text; a LanguageProperty without a language stands for all its texts; a {"@type", "@value"}
 * object for its value.
 */
const struct query_node *query_parse_q(struct arena *a, struct str text,
                                       const struct ld_context *ctx,
                                       const struct str *expand_values, size_t n_expand,
                                       const struct query_limits *l, struct error *e);
/* Frees the patterns of q, which must not be evaluated any more; the rest is the arena's. */
void query_q_release(const struct query_node *q);
/* Attributes (IRIs) that q speaks of, each once; members of entities are none. */
size_t query_q_attrs(struct arena *a, const struct query_node *q, const struct str **out);
/* type: A, (A,B), (A;B), A|B: ',' and '|' are or, ';' is and. */
const struct type_node *query_parse_types(struct arena *a, struct str text,
                                          const struct ld_context *ctx,
                                          const struct query_limits *l, struct error *e);
/* scopeQ: /a/b, /a/+, /a/#, '#' alone, joined by ';' and ',' or '|' with parentheses. */
const struct scope_node *query_parse_scope(struct arena *a, struct str text,
                                           const struct query_limits *l, struct error *e);

struct geo_query {
    struct geo_test *test; /* owned: geo_query_release() */
    const struct geo *reference;
    enum geo_relation relation;
    double metres;
    struct str property; /* IRI; default location */
};
/* georel "near;maxDistance==2000", geometry "Point", coordinates "[8,40]", geoproperty or absent.
 */
enum err query_parse_geo(struct arena *a, struct str georel, struct str geometry,
                         struct str coordinates, struct str property, const struct ld_context *ctx,
                         struct geo_query *out, struct error *e);
void geo_query_release(struct geo_query *g);

/* Where linked entities come from. load() gives the tree in the arena, NULL when there is none; the
 * arena is emptied before each entity that is evaluated. */
struct query_linker {
    struct arena *arena;
    enum err (*load)(void *ctx, struct str id, const struct json **stored, struct error *e);
    void *ctx;
};

struct entity_query {
    const struct str *ids;
    size_t n_ids;
    struct regex *id_pattern; /* owned: entity_query_release(); so are q's patterns, geo's test */
    const struct type_node *types;
    const struct str *attrs; /* IRIs: an entity must have at least one of them */
    size_t n_attrs;
    const struct query_node *q;
    const struct query_linker *linker; /* NULL: no linked entity is there */
    const struct scope_node *scope;
    struct geo_query *geo;
};

/* OK with *hit, or ERR_TOO_COMPLEX when a pattern exceeds its limits. */
enum err query_holds(const struct entity_query *q, const struct json *stored, bool *hit,
                     struct error *e);
/* No linked entity is there. */
enum err query_q_holds(const struct query_node *q, const struct json *stored, bool *hit,
                       struct error *e);
enum err query_q_holds_linked(const struct query_node *q, const struct json *stored,
                              const struct query_linker *linker, bool *hit, struct error *e);
bool query_types_hold(const struct type_node *t, const struct json *types);
bool query_scope_holds(const struct scope_node *s, const struct json *scopes);
void entity_query_release(struct entity_query *q);

/*
 * --- orderBy (clause 4.23) ---
 *
 *     name,age;desc      location;dist-asc      address[city]      name.observedAt
 *
 * Numbers stand before texts, then objects, arrays, booleans, times, dates and date-times; what is
 * not there comes last, whatever the direction. Texts are ordered by the collation. With dist-asc
 * and dist-desc GeoProperties come before all others, by their distance from the reference.
 */
struct order_texts {
    struct str by, collation, geometry, coordinates; /* all but by may be absent */
    struct str lang; /* priority list, for LanguageProperties; may be absent */
};
struct order;
/* NULL with ERR_INVALID, ERR_TOO_COMPLEX over the limits, ERR_UNAVAILABLE without ICU. */
struct order *order_parse(struct arena *a, const struct order_texts *texts,
                          const struct ld_context *ctx, const struct query_limits *l,
                          struct error *e);
void order_release(struct order *o); /* the collation; the rest is the arena's */
/* Is a single member all that decides ("id"), and which? */
bool order_is_by(const struct order *o, struct str member);
/*
 * Append the key of an entity: bytes whose order (shorter first) is that of the entities. Two
 * entities that are alike in all that was named have the same key.
 */
void order_key(const struct order *o, const struct json *stored, struct buf *out);

/* --- what an index can use --- */

enum hint_kind {
    HINT_TYPE,  /* has one of the n names as type */
    HINT_ATTR,  /* has one of the n attributes */
    HINT_NUM,   /* attribute has a number in [from, to] */
    HINT_TIME,  /* attribute has a date-time (a text that reads as one) whose instant is in [from,
                   to], in us */
    HINT_BOOL,  /* attribute has the boolean from (0 or 1) */
    HINT_TEXT,  /* attribute has a text in [text_from, text_to]; absent to: no upper bound */
    HINT_SCOPE, /* a scope equals text_from or (prefix) lies below it */
    HINT_GEO    /* geometry of the attribute meets box */
};

struct query_hint {
    enum hint_kind kind;
    const struct str *names; /* IRIs */
    size_t n_names;
    double from, to; /* closed; infinities for open ends */
    struct str text_from, text_to;
    bool prefix;
    struct geo_box box;
};
/*
 * Conditions of which each must hold for any match: every entity that matches q satisfies every
 * hint. Of paths only the first attribute is hinted. The values considered are those that
 * query_values() gives. Text bounds may be longer than what an index keeps: cut both alike. ids and
 * id_pattern give no hint.
 */
size_t query_hints(struct arena *a, const struct entity_query *q, const struct query_hint **out);

/*
 * The scalars of an attribute's instances that hints speak of, for the index; fn per value:
 * scalars, scalar items of arrays, texts of languageMaps, "@value" of typed values, URIs of
 * relationships. A text that reads as a date-time comes twice, as VALUE_TEXT and as VALUE_TIME.
 * Numbers beyond the range of double come as infinities.
 */
enum value_kind { VALUE_NUM, VALUE_TIME, VALUE_BOOL, VALUE_TEXT };
void query_values(const struct json *instances,
                  void (*fn)(void *ctx, enum value_kind kind, double num, struct str text),
                  void *ctx);

#endif
