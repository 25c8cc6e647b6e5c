/*
 * entity_impl.h - kinds and members of attribute instances, shared by the files entity_*.c.
 */
#ifndef LINK_ENTITY_IMPL_H
#define LINK_ENTITY_IMPL_H

#include "link/entity.h"

#define NGSI_NULL "urn:ngsi-ld:null"

enum kind {
    KIND_PROPERTY,
    KIND_GEO,
    KIND_RELATIONSHIP,
    KIND_LANGUAGE,
    KIND_JSON,
    KIND_VOCAB,
    KIND_LIST,
    KIND_LIST_RELATIONSHIP,
    KIND_DELETED, /* in fragments and in history only */
    KIND_NONE,
    KINDS = KIND_DELETED /* kinds of what is stored */
};

extern const struct str kind_names[KINDS];
extern const struct str kind_members[KINDS]; /* where the value stands */

enum kind kind_of_name(struct str type); /* KIND_NONE for others */

/* Members of an instance that are not sub-attributes, in the order of the stored form. */
enum slot {
    SLOT_TYPE,
    SLOT_VALUE, /* whichever member the value stands in */
    SLOT_OBJECT_TYPE,
    SLOT_VALUE_TYPE,
    SLOT_SEALED_ID, /* of ngsildproof only */
    SLOT_SEALED_TYPE,
    SLOT_DATASET,
    SLOT_OBSERVED,
    SLOT_UNIT,
    SLOT_V2, /* what NGSIv2 alone knows of the attribute, see v2.h; never shown by NGSI-LD */
    SLOT_EXPIRES,
    SLOT_CREATED,
    SLOT_MODIFIED,
    SLOT_DELETED,
    SLOTS,
    SLOT_SUB /* a sub-attribute */
};

/* The slot of a member name of the stored form; *kind (may be NULL) of a value member. */
enum slot slot_of(struct str key, enum kind *kind);

struct inst {
    const struct json_member *slot[SLOTS]; /* NULL: absent */
    const struct json_member *subs;        /* members to walk for sub-attributes */
    uint32_t n_subs;                       /* members from subs on; all are sub-attributes */
};
/* Look into an instance of the stored form: sub-attributes come last there. */
void inst_open(struct inst *i, const struct json *instance);
enum kind inst_kind(const struct inst *i);
struct str inst_dataset(const struct inst *i);

/* Arguments of a STR_F that quotes input in a message: cut to what a person reads. */
#define QUOTE(s) STR_A(str_sub((s), 0, 120))

bool json_is_null_text(const struct json *v); /* the string urn:ngsi-ld:null */
bool is_geometry(const struct json *v);       /* looks like a GeoJSON geometry */

/* Whether the value says "delete this": NGSI_NULL in the form of its kind (clause 4.5.0). */
bool is_null_value(enum kind kind, const struct json *value);

enum { NULL_FORBIDDEN, NULL_ALLOWED };
/*
 * Check the value of an attribute and bring it into stored form: names in vocab become IRIs, list
 * items {"object": URI}. nulls: whether urn:ngsi-ld:null may stand inside it (merge patch).
 */
enum err entity_value(struct arena *a, enum kind kind, const struct json *value, int nulls,
                      const struct ld_context *ctx, struct json *out, struct error *e);

/* An object, or objects in an array: what a JsonProperty holds (clause 4.5.24). What other brokers
 * tell and what NGSIv2 writes may be anything. */
bool is_raw_json(const struct json *v);

/* The value of a languageMap for a priority list (RFC 4647, with q values as in Accept-Language);
 * NULL when the list asks for all languages. */
const struct json_member *entity_language(const struct json *map, struct str priorities);

#endif
