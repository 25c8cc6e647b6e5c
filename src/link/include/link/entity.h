/*
 * entity.h - what an NGSI-LD entity is, in and out (ETSI GS CIM 009 v1.8.1 clauses 4.5, 5.2, 5.5).
 *
 * Stored form: one JSON object, the same for every client whatever context it uses:
 *
 *     {"id": URI, "type": [IRI...], "scope": ["/a"...] (if any), "createdAt": T, "modifiedAt": T,
 *      "expiresAt": T (if any), ATTRIBUTE-IRI: [INSTANCE...], ..., "@creator": actor (if known)}
 *     INSTANCE = {"type": KIND, VALUE-MEMBER: v, "valueType"?, "datasetId"?, "observedAt"?,
 *                 "unitCode"?, "v2"?, "createdAt": T, "modifiedAt": T,
 *                 SUB-ATTRIBUTE-IRI: [INSTANCE...], ...}
 *
 * KIND and members are the core terms (Property/value, GeoProperty/value, Relationship/object
 * [objectType], LanguageProperty/languageMap, JsonProperty/json, VocabProperty/vocab, ListProperty/
 * valueList, ListRelationship/objectList). The default instance (no datasetId) comes first. Members
 * of an entity: id, type, scope, times, then attributes in the order they came. Values are kept as
 * sent; vocab values, objectType and valueType are expanded to IRIs. T is UTC with 'Z'. "v2" holds
 * what only NGSIv2 clients see of an attribute (v2.h); partial changes keep it, a new instance has
 * none.
 * "@creator" is set by ops.h, is kept by all changes (access.h) and never shown.
 *
 * Everything here is pure: trees in, trees out, in the caller's arena.
 */
#ifndef LINK_ENTITY_H
#define LINK_ENTITY_H

#include "core/datetime.h"
#include "core/vec.h"
#include "link/context.h"

enum { ENTITY_MAX_ATTRS = 1000, ENTITY_MAX_DEPTH = 16, ENTITY_MAX_BYTES = 1 << 20 };

/* --- in --- */

enum entity_in {
    ENTITY_WHOLE,    /* create, upsert, replace: id and type required */
    ENTITY_FRAGMENT, /* append, update, partial: type and id optional; urn:ngsi-ld:null deletes */
    ENTITY_MERGE     /* merge patch: as fragment, and values are merged deeply (clause 5.6.17) */
};

/*
 * A payload in normalized, concise or simplified form (told apart per attribute, clause 5.5.4.x)
 * into stored form without times. Checks names, kinds, URIs, date-times, GeoJSON, datasetIds (no
 * two instances alike), limits; JSON null as a value is refused. "@context" is skipped. In
 * fragments an attribute or instance that is to be deleted has the value string "urn:ngsi-ld:null"
 * and comes out as {"type": "deleted"}, with "all": true when the attribute itself was null and
 * every instance is meant; a scope that is to be deleted comes out as []. In a merge patch
 * instances may lack "type" or a value: what is there fills them in. simplified: treat objects as
 * plain values unless clearly an attribute (options=keyValues on input). NULL with ERR_INVALID
 * (BadRequestData) and a message that names the attribute.
 */
const struct json *entity_expand(struct arena *a, const struct json *payload, enum entity_in mode,
                                 bool simplified, const struct ld_context *ctx, struct error *e);
/* A whole entity as another broker answers it: the times that it tells are kept. */
const struct json *entity_expand_answer(struct arena *a, const struct json *payload,
                                        const struct ld_context *ctx, struct error *e);
/* A fragment as another broker notifies it: with previous values and the like, which are skipped.
 */
const struct json *entity_expand_told(struct arena *a, const struct json *payload,
                                      const struct ld_context *ctx, struct error *e);
/*
 * One attribute's payload (an instance or an array of them) under the given name, as a fragment.
 * Unless mode is ENTITY_WHOLE instances may lack "type" or a value, as in a merge patch.
 */
const struct json *entity_expand_attr(struct arena *a, struct str name, const struct json *payload,
                                      enum entity_in mode, const struct ld_context *ctx,
                                      struct error *e);

/* --- changes --- */

enum attr_op { ATTR_CREATED, ATTR_UPDATED, ATTR_DELETED };

struct attr_change {
    struct str attr;    /* IRI */
    struct str dataset; /* URI; absent for the default instance */
    enum attr_op op;
    const struct json *before; /* instance, NULL when created */
    const struct json *after;  /* instance, NULL when deleted */
};

struct entity_delta {
    const struct json *after; /* new stored form with times set; NULL: entity deleted */
    /* instances that differ; the same value written again is UPDATED */
    VEC(struct attr_change) changes;
    /* names (IRIs) that the operation left alone, for 207 answers */
    VEC(struct str) not_updated;
    bool types_changed, scope_changed;
};

enum entity_op {
    ENTITY_CREATE,      /* before must be NULL */
    ENTITY_REPLACE,     /* PUT entity: createdAt kept */
    ENTITY_APPEND,      /* POST attrs: adds, overwrites */
    ENTITY_APPEND_NEW,  /* with noOverwrite */
    ENTITY_UPDATE,      /* only attributes that exist; others go to not_updated */
    ENTITY_UPDATE_ADD,  /* PATCH attrs (5.5.8): others are added, but a scope only replaces one */
    ENTITY_MERGE_PATCH, /* PATCH entity (clause 5.6.17) */
    ENTITY_PARTIAL, /* PATCH one attribute (5.6.4): members given replace members of the instance */
    ENTITY_REPLACE_ATTR /* PUT one attribute (5.6.x): the instance is replaced, must exist */
};
/* urn:ngsi-ld:null deletes in UPDATE, UPDATE_ADD, MERGE_PATCH and PARTIAL; elsewhere it is
 * ERR_INVALID. */

/*
 * Apply a fragment or whole in stored form to the state before, at the instant now: sets createdAt
 * and modifiedAt, keeps order, works out the changes. Types are added, never removed, by fragments
 * (clause 5.6.x); scope is replaced (APPEND_NEW adds to it). When nothing changes after is before
 * itself. before NULL with anything but CREATE gives ERR_NOT_FOUND, as does PARTIAL for an instance
 * that is not there; a kind that differs from the one that is there gives ERR_INVALID in merges.
 */
enum err entity_apply(struct arena *a, enum entity_op op, const struct json *before,
                      const struct json *input, int64_t now, struct entity_delta *out,
                      struct error *e);
/* What a merge patch says of all its attributes (clause 5.6.17); both may be absent. */
struct merge_hints {
    struct str lang;     /* the entry of a languageMap that a bare text replaces */
    struct str observed; /* observedAt of those that had one and are given none */
};
/* ENTITY_MERGE_PATCH with them. */
enum err entity_merge(struct arena *a, const struct json *before, const struct json *input,
                      const struct merge_hints *hints, int64_t now, struct entity_delta *out,
                      struct error *e);
/* Delete an attribute: the instance of dataset (absent: the default one), or all of them. */
enum err entity_delete_attr(struct arena *a, const struct json *before, struct str attr,
                            struct str dataset, bool all, int64_t now, struct entity_delta *out,
                            struct error *e);
void entity_delete(struct arena *a, const struct json *before, struct entity_delta *out);

/* --- out --- */

enum entity_form { FORM_NORMALIZED, FORM_CONCISE, FORM_SIMPLIFIED };

struct entity_view {
    enum entity_form form;
    bool geojson;        /* a GeoJSON Feature (clause 4.5.16) */
    struct str geometry; /* IRI of the GeoProperty that becomes the geometry; default location */
    bool sys_attrs;      /* createdAt, modifiedAt, deletedAt, expiresAt (observedAt always) */
    struct str lang;     /* reduce LanguageProperty to this language: RFC 4647 priority list with
                            q values; "*" first keeps all languages */
    const struct str
        *pick; /* attribute IRIs (or core members id, type, scope) to keep; NULL: all */
    size_t n_pick;
    const struct str *omit;
    size_t n_omit;
    const struct str *datasets; /* datasetIds to keep ("@none" is the default one); NULL: all */
    size_t n_datasets;
    const struct ld_context *ctx;
    int64_t now;       /* attributes whose expiresAt has passed are left out; 0: none are */
    bool with_context; /* put "@context" into the object: application/ld+json */
    uint64_t seen_as;  /* access_number() of who asks: whose parts of it are shown; 0: all */
};

/* Append one entity in the asked form. */
void entity_write(struct buf *out, struct arena *a, const struct json *stored,
                  const struct entity_view *v);
/* The parts, for other representations (temporal, notifications). */
void entity_write_instance(struct json_writer *w, struct arena *a, const struct json *instance,
                           const struct entity_view *v);

/* --- older versions (clause 4.3.6.8) --- */

enum { ENTITY_VERSION = 109 }; /* what is shown is as of 1.9; major * 100 + minor */

/* "1.5", also "1.5.1", into 105. */
bool entity_version_parse(struct str text, int *version);
/*
 * What entity_write() or the temporal API showed (an entity or an array of them, no GeoJSON) as the
 * version had it; shown simplified or not. Is there any difference?
 */
bool entity_conform(struct arena *a, const struct json *shown, int version, bool simplified,
                    struct json *out);
/* The same from text to text. */
bool entity_conform_text(struct arena *a, struct str shown, int version, bool simplified,
                         struct str *out);

/* --- looking in --- */

struct str entity_id(const struct json *stored);
const struct json *entity_types(const struct json *stored); /* array of IRIs */
bool entity_has_type(const struct json *stored, struct str iri);
/* The expiresAt of an entity or an instance has passed (clause 4.22). */
bool entity_expired(const struct json *stored, int64_t now);
/* The first instant at which the entity or one of its attributes expires; false: none does. */
bool entity_expires(const struct json *stored, int64_t *at);
/* A fragment that deletes the attributes whose expiresAt has passed; NULL: there are none. */
const struct json *entity_expired_attrs(struct arena *a, const struct json *stored, int64_t now);
/* May an attribute or a type be called so? No blanks, nothing that queries use as operators. */
bool entity_is_name(struct str s);
bool entity_is_member(struct str key); /* id, type, scope, createdAt ...: not an attribute */
/* Instances of an attribute: an array, or NULL. */
const struct json *entity_attr(const struct json *stored, struct str iri);
/* The value member of an instance: value, object, languageMap, json, vocab, valueList, objectList.
 */
const struct json *instance_value(const struct json *instance);
const struct json *instance_default(const struct json *instances); /* the one without datasetId */

#endif
