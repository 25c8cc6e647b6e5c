/*
 * import_impl.h - the parts of an import, private to the files import_*.c.
 *
 *     kinds    which sets there are and which header means what        import_kinds.c
 *     map      columns of one file matched to a kind                   import_map.c
 *     cell     one cell checked and turned into a value                import_cell.c
 *     rows     a table read row by row, each row a draft entity        import_rows.c
 *     write    entities compared with what is there, and written       import_write.c
 *     record   what is remembered of a data set, drift                 import_record.c
 */
#ifndef LINK_IMPORT_IMPL_H
#define LINK_IMPORT_IMPL_H

#include "core/map.h"
#include "core/table.h"
#include "link/import.h"
#include "link/ops.h"

enum { IMPORT_BATCH = 200, IMPORT_BATCH_BYTES = 32 << 20, IMPORT_JSON_BYTES = 64 << 20 };

/* --- kinds --- */

enum value {
    V_TEXT,
    V_LIST,   /* text separated by 、 , ; or line breaks: an array of texts */
    V_NUMBER, /* any number */
    V_COUNT,  /* a whole number from 0 up; "1.0", "1,234人" are read too */
    V_BOOL,   /* 有無, ○×, 1/0: true or false */
    V_MARK,   /* ○ true, × false, △ "conditional" */
    V_DATE,   /* YYYY-MM-DD, with a time when there is one */
    V_TIME,   /* hh:mm */
    V_PHONE,
    V_LAT,
    V_LON,
    V_LATLON,   /* "34.3,134.0" in one cell */
    V_ADDRESS,  /* attr names the member of address */
    V_AGES,     /* one cell of the table of ages; the header says which */
    V_PARENT,   /* key of another row: a relationship to its entity */
    V_ID,       /* identifies the row */
    V_NO,       /* does so unless it is a mere running number */
    V_OBSERVED, /* when the row was observed */
    V_SKIP      /* known and not loaded */
};

enum {
    COL_REQUIRED = 1, /* an empty or wrong cell rejects the row */
    COL_KEY = 2,      /* part of the natural key of rows without an id */
    COL_TIMED = 4,    /* carries the observation time */
    COL_MARKS = 8     /* its header alone speaks for this kind */
};

struct column {
    const char *attr;    /* short name */
    const char *headers; /* spellings, separated by '|'; compared by text_key() */
    enum value value;
    unsigned flags;
};

enum kind_format { FORMAT_TABLE, FORMAT_GEOJSON, FORMAT_NGSILD };

struct column_list {
    const struct column *v;
    size_t n;
};

struct kind {
    const struct import_kind *public;
    enum kind_format format;
    const struct column *columns; /* of its own; they go before the common ones */
    size_t n;
    const struct column_list *shared; /* with a kindred set, or NULL */
    bool closes;                      /* vanished rows close the entity */
    bool any_column;                  /* unknown columns become attributes too */
    const char *category;             /* fixed value of the attribute category, or NULL */
};

extern const struct kind import_kind_table[];
extern const size_t import_kind_count;
extern const struct column_list import_common; /* what all sets have in common */
const struct kind *import_kind_find(struct str name);

/* --- one import --- */

struct import {
    const struct import_job *job;
    struct import_report *report;
    struct arena *arena; /* the job's */
    struct error *e;
    const struct kind *kind;
    struct str dataset, type, type_iri;
    struct str iri_dataset, iri_provider, iri_location, iri_address, iri_category, iri_status;
    struct str iri_occupancy;
    struct str source;      /* publisher: of the job or of the file */
    struct str license;     /* of the file; may be absent */
    bool member;            /* entities carry the attribute dataset, vanished ones are dealt with */
    int64_t file_time;      /* observation time by job or file name; 0: unknown */
    int64_t observed;       /* newest instant observed in the file so far */
    uint64_t rows_total;    /* 0: unknown */
    const struct json *was; /* stored form of the ImportedDataset before, or NULL */
    bool stale_noted;
    bool entered;    /* the data set is ours alone until the end */
    struct map ours; /* IRIs of the attributes that imports of this set write */
    struct map seen; /* ids of the file's rows; value: row number */

    struct arena batch; /* of rows that wait to be written */
    struct draft *drafts;
    size_t n_drafts;
};

/* An entity of the file in stored form without times. */
struct draft {
    uint64_t row;
    struct str id;
    const struct json *stored; /* NULL: its row vanished */
};

/* Report something; row 0 is the file. Copies what it is given. */
void import_problem(struct import *im, uint64_t row, struct str column, const char *reason,
                    struct str read, bool warning, const char *fmt, ...)
    __attribute__((format(printf, 7, 8)));
void import_drift(struct import *im, struct str column, const char *reason, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Nothing can be made of the file: fills refused and *e. */
enum err import_refuse(struct import *im, const char *reason, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* URN of a row: the key itself where it is short and plain, else its digest. */
struct str import_id(struct import *im, struct arena *a, struct str key);
/* Remember that the row is there. false: an earlier row has the same id; *first is its number. */
bool import_see(struct import *im, struct str id, uint64_t row, uint64_t *first);
/* A name of a column or a property as attribute name; absent when nothing is left of it. */
struct str import_attr_name(struct arena *a, struct str name);
/* An attribute of stored form with one instance. */
struct json_member import_property(struct arena *a, struct str iri, struct json value,
                                   int64_t observed);
struct json_member import_location(struct arena *a, double lon, double lat);
struct json import_instances(struct arena *a, const struct json_member *m, size_t n);

/* --- cells --- */

enum cell_verdict { CELL_OK, CELL_EMPTY, CELL_BAD };

struct cell_value {
    struct json value;  /* CELL_OK */
    int64_t instant;    /* V_OBSERVED */
    double number;      /* V_LAT, V_LON, V_NUMBER, V_COUNT */
    double lat, lon;    /* V_LATLON */
    const char *reason; /* CELL_BAD */
    const char *text;
    const char *warning; /* CELL_OK with a doubt: its code */
};
enum cell_verdict cell_read(struct arena *a, enum value kind, const struct table_cell *cell,
                            struct cell_value *out);
/* Is it a date, with or without time? The instant is that of Japan's time. */
bool cell_instant(struct arena *a, struct str text, int64_t *instant);

struct position {
    bool swapped;
    const char *reason; /* NULL: it is in Japan */
};
/* Check a position; swaps latitude and longitude when that puts it into Japan. */
struct position cell_position(double *lat, double *lon);

/* --- map --- */

struct mapped {
    struct str header;         /* as in the file */
    struct str iri;            /* of the attribute */
    struct str attr;           /* short name */
    const struct column *spec; /* NULL: not known */
    int age_from, age_to;      /* V_AGES; age_to -1: and older */
    bool female;
    size_t slot; /* first column with the same attribute: the first cell that is filled counts */
    int64_t observed; /* time told by the header; 0: none */
    /* What its cells looked like, for drift. */
    uint64_t numbers, texts;
};

struct import_map {
    const struct kind *kind;
    struct mapped *columns;
    size_t n;
};
/* Try a row as header. kind NULL: recognise. false: it is no header (of that kind). */
bool import_map_header(struct import *im, const struct kind *kind, const struct table_row *row,
                       struct import_map *out);

/* --- the ways in --- */

enum err import_table(struct import *im, struct str bytes, const struct kind *kind);
enum err import_json(struct import *im, struct str text, const struct kind *kind);
/* stops.txt of a GTFS feed in a ZIP, in the import's arena. ERR_NOT_FOUND: there is none. */
enum err import_gtfs_stops(struct import *im, struct str zip, struct str *stops);

/* --- writing --- */

/* The set is known: load what is remembered of it. */
enum err import_begin(struct import *im, const struct kind *kind);
/* Queue an entity whose trees live in im->batch; writes when enough are waiting. */
enum err import_put(struct import *im, uint64_t row, struct str id, const struct json *stored);
enum err import_flush(struct import *im);
enum err import_vanished(struct import *im);
/* Two imports of one data set would each delete what the other brings: only one enters at a time.
 * false: it is taken. A server without imports (a command) has nobody to wait for. */
bool imports_enter(struct imports *i, struct str tenant, struct str dataset);
void imports_leave(struct imports *i, struct str tenant, struct str dataset);
/* Read and write the entity that remembers the data set. columns may be NULL. */
enum err import_record_read(struct import *im);
enum err import_record_write(struct import *im, const struct import_map *columns);

#endif
