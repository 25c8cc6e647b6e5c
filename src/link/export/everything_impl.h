/* everything_impl.h - the table of kinds, private to the export of everything. */
#ifndef LINK_EVERYTHING_IMPL_H
#define LINK_EVERYTHING_IMPL_H

#include "link/everything.h"

/* How a column is told and taken back. Written and restored as one value unless it says so. */
enum column_form {
    COL_TENANT, /* name; its number */
    COL_OF,     /* name of the tenant that COL_EID belongs to; no value */
    COL_EID,    /* id of an entity; its row number */
    COL_SERIES, /* IRI; its key and itself */
    COL_SET,    /* datasetId or null; its key and itself */
    COL_ATTR,   /* as COL_SERIES; the key alone */
    COL_DATASET,
    COL_INSTANCE, /* JSON; its number and itself */
    COL_TYPES,    /* of an entity known by its evolution alone, else null; JSON */
    COL_TEXT,     /* null: NULL */
    COL_JSON,     /* kept as text; null: NULL */
    COL_INT,
    COL_SEQ,  /* of the journal */
    COL_TIME, /* null: 0 */
    COL_REAL,
    COL_BLOB /* hexadecimal */
};

enum { RECORD_COLUMNS = 14 };

struct record_kind {
    const char *name;
    const char *keys; /* a letter for each column of the key: i, t */
    /* Key columns, then .columns; rows behind the key $1.., of tenant $k+1 (0: all), at most $k+2,
     * in the order of the key. */
    const char *select;
    const char *insert; /* NULL: restored by a function of its own */
    struct {
        const char *name;
        enum column_form form;
    } columns[RECORD_COLUMNS];
    size_t rows; /* of a chunk */
};

/* The order of the file: what a row names stands before it. */
enum {
    RECORD_TENANT,
    RECORD_SNAPSHOT,
    RECORD_CONTEXT,
    RECORD_ENTITY,
    RECORD_V2_REGISTRATION = 9,
    RECORD_NODE = 15
};
extern const struct record_kind kinds[];
extern const size_t n_kinds;

/* The check that everything_restore() begins with, alone: for tests. */
enum err everything_check(FILE *file, struct everything_report *out, struct error *e);

size_t kind_columns(const struct record_kind *k);
/* The rows of a chunk behind .at of x. */
void kind_query(struct store_conn *c, struct store_rows *r, const struct everything *x);
/* Remember the row at hand as the last one. */
void kind_passed(struct everything *x, const struct store_rows *r);

#endif
