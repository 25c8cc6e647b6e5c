/* repo_index.h - the index rows of an entity, private to the repository. */
#ifndef LINK_REPO_INDEX_H
#define LINK_REPO_INDEX_H

#include "core/vec.h"
#include "link/entity.h"

enum index_table { INDEX_KEY, INDEX_NUM, INDEX_TEXT, INDEX_GEO };

struct index_row {
    enum index_table table;
    int64_t k;
    double num;      /* INDEX_NUM */
    int64_t cell;    /* INDEX_GEO */
    struct str text; /* INDEX_TEXT */
};

/* The types in the text of a stored form, without reading all of it: they stand near its begin. */
const struct json *repo_row_types(struct arena *a, struct str doc);

struct index_rows {
    struct arena *arena;
    int64_t tenant;
    VEC(struct index_row) rows;
};

enum {
    INDEX_VALUES_MAX = 256, /* scalars of one attribute that are indexed one by one */
    INDEX_TEXT_CHARS = 32   /* code points of a text that the index holds */
};

/* Kinds of key_of(), see keys.h. */
enum {
    KEY_EXPIRY = 'x', /* first expiresAt of the entity and its attributes; name empty */
    KEY_ALL = '*',    /* every entity of the tenant; name empty */
    KEY_TYPE = 't',
    KEY_ATTR = 'a',
    KEY_OVERFLOW = 'o', /* attribute with more values than INDEX_VALUES_MAX: always a candidate */
    KEY_NUM = 'n',
    KEY_TIME = 'd',
    KEY_BOOL = 'b',
    KEY_TEXT = 's',
    KEY_CREATOR = 'k', /* who made the entity */
    KEY_SCOPE = 'c',   /* name empty */
    KEY_POINT = 'g',   /* geometries that are one point: leaf cells only */
    KEY_SHAPE = 'G'    /* other geometries: cells of any level */
};

/* What the text index holds of s: at most INDEX_TEXT_CHARS code points, cut at U+0000. Cutting by
 * code points keeps the order: a <= b gives index_text(a) <= index_text(b). */
struct str index_text(struct str s);

void index_types(struct index_rows *out, const struct json *types);
void index_scopes(struct index_rows *out, const struct json *scopes);
void index_attr(struct index_rows *out, struct str iri, const struct json *instances);
/* All of an entity, with its row in the list of all. */
void index_expiry(struct index_rows *out, const struct json *stored);
void index_entity(struct index_rows *out, const struct json *stored);

bool index_row_equal(const struct index_row *x, const struct index_row *y);

#endif
