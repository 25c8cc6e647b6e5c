/*
 * import.h - open data in: files of cities become entities (自治体標準オープンデータセット in both
 * header generations, GeoJSON, GTFS stops, NGSI-LD JSON).
 *
 * One import is: recognise the kind, map columns by name, turn each row into an entity in stored
 * form, write in batches. A row that is wrong is reported (row, column, reason, what was read) and
 * left out; the good ones are loaded. Ids are derived from the data set and the row's own key, so
 * that loading again updates. Rows that vanished since the last import of the same data set become
 * tombstones (entities deleted, history kept). Columns that disappeared, appeared or changed their
 * kind are reported as drift.
 */
#ifndef LINK_IMPORT_H
#define LINK_IMPORT_H

#include "link/link.h"

struct import_kind {
    const char *name;  /* "evacuation_space", "aed", "geojson", ... */
    const char *title; /* Japanese name of the data set */
    const char *type;  /* entity type (short name) it becomes */
};
/* All kinds, ended by a NULL name. */
const struct import_kind *import_kinds(void);

struct import_problem {
    uint64_t row;      /* as a person counts, 0: the whole file */
    struct str column; /* header as in the file; may be absent */
    struct str reason; /* stable code: "missing", "not_a_number", "out_of_range", "bad_date", ... */
    struct str text;   /* explanation in English */
    struct str read;   /* what stood there, cut to 200 bytes */
    bool warning;      /* loaded all the same */
};

struct import_report {
    uint64_t rows; /* data rows read */
    uint64_t created, updated, unchanged, deleted, rejected, warnings;
    struct str kind;     /* recognised */
    struct str dataset;  /* id under which it is remembered */
    struct str encoding; /* for people: "CP932", "UTF-8 with BOM", "XLSX sheet ..." */
    VEC(struct import_problem) problems; /* at most problems_max; counters go on */
    VEC(struct import_problem) drift;    /* columns that came, went or changed kind */
};

struct import_job {
    struct link *link;
    struct arena *arena; /* of the report */
    struct str tenant;
    struct str actor;
    struct str bytes;    /* the file */
    struct str name;     /* file name */
    struct str kind;     /* absent: recognise by header */
    struct str dataset;  /* absent: kind */
    struct str source;   /* publisher, for the entities' source attribute; may be absent */
    int64_t observed;    /* instant the file speaks of; 0: from its rows or unknown */
    bool keep_vanished;  /* do not delete entities whose rows are gone */
    size_t problems_max; /* default 1000 */
    /* progress, may be NULL; runs on the importing thread */
    void (*progress)(void *ctx, uint64_t rows_done, uint64_t rows_total);
    void *ctx;
};
/* Blocks: pool task or command. ERR_INVALID when nothing can be made of the file (report tells). */
enum err import_run(const struct import_job *job, struct import_report *report, struct error *e);

#endif
