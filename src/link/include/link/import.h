/*
 * import.h - open data in: files of cities become entities (自治体標準オープンデータセット in both
 * header generations, open shelters, GeoJSON, GTFS stops, NGSI-LD JSON, any table).
 *
 * One import is: recognise the kind, map columns by name, turn each row into an entity in stored
 * form, compare it with what is there, write what differs in batches. A row that is wrong is
 * reported (row, column, reason, what was read) and left out; the good ones are loaded. Ids are
 * derived from the data set and the row's own key, so that loading again updates, and loading the
 * same file twice changes nothing. An entity belongs to a data set by its attribute "dataset";
 * those whose rows vanished become tombstones (entities deleted, history kept). Shelters of the
 * kind open_shelter close instead. Columns that disappeared, appeared or changed their kind are
 * reported as drift; for that an entity of type ImportedDataset remembers each data set's columns,
 * its publisher and its last import.
 *
 *     struct import_job job = {.link = link, .arena = &arena, .bytes = file, .name = S("aed.csv")};
 *     struct import_report report;
 *     err = import_run(&job, &report, &e);
 *     import_report_text(&out, &report);
 *
 * docs/DATA-MODELS.md tells which column becomes which attribute.
 */
#ifndef LINK_IMPORT_H
#define LINK_IMPORT_H

#include "link/link.h"

struct import_kind {
    const char *name;  /* "evacuation_space", "aed", "geojson", ... */
    const char *title; /* Japanese name of the data set */
    const char *type;  /* entity type (short name) it becomes; NULL: as the job or the file says */
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
    uint64_t closed;     /* open_shelter: shelters whose rows vanished; also counted as updated */
    struct str kind;     /* recognised */
    struct str type;     /* entity type, short name */
    struct str dataset;  /* id under which it is remembered */
    struct str encoding; /* for people: "CP932", "UTF-8 with BOM", "XLSX sheet ..." */
    struct str refused;  /* why nothing was loaded; absent when something was */
    VEC(struct import_problem) problems; /* at most problems_max; counters go on */
    VEC(struct import_problem) drift;    /* columns that came, went or changed kind */
};

struct import_job {
    struct link *link;
    struct arena *arena; /* of the report; used on the importing thread only */
    struct str tenant;
    struct str actor;
    struct str bytes;    /* the file */
    struct str name;     /* file name */
    struct str kind;     /* absent: recognise by header */
    struct str type;     /* entity type, for the kinds table and geojson */
    struct str dataset;  /* absent: kind; letters, digits, '_', '-', '.' */
    struct str source;   /* publisher, for the entities' dataProvider attribute; may be absent */
    int64_t observed;    /* instant the file speaks of; 0: from its rows or name, or unknown */
    bool keep_vanished;  /* do not delete entities whose rows are gone */
    size_t problems_max; /* 0 is 1000 */
    /* progress, may be NULL; runs on the importing thread. rows_total 0: not known yet */
    void (*progress)(void *ctx, uint64_t rows_done, uint64_t rows_total);
    /* may be NULL; true stops the import between two batches: ERR_UNAVAILABLE */
    bool (*cancelled)(void *ctx);
    void *ctx;
};
/*
 * Blocks: pool task or command. *report is filled in any case and must not outlive the job's arena
 * and bytes. ERR_INVALID when nothing can be made of the file (nothing was changed; refused tells).
 * ERR_CONFLICT when the same data set is being imported already (refused, too). An error of the
 * store ends the import; what was written before stays.
 */
enum err import_run(const struct import_job *job, struct import_report *report, struct error *e);

void import_report_json(struct buf *out, const struct import_report *r);
/* Back from JSON; texts point into it. What is missing is empty or 0. */
void import_report_read(struct arena *a, const struct json *v, struct import_report *r);
void import_report_text(struct buf *out, const struct import_report *r); /* for a terminal */

/*
 * Importing through the running server:
 *
 *     POST /link/v1/import?as=KIND&dataset=ID&type=T&source=TEXT&name=FILE&observed=TIME
 *         &keepVanished=true
 *
 * with the file as the body, or as the part "file" of multipart/form-data with the parameters as
 * further parts. Answers 202 with Location /link/v1/imports/{n}; that tells {"id", "state":
 * "waiting" | "running" | "done" | "refused" | "failed", "rowsDone", "rowsTotal", "error",
 * "report"}. GET /link/v1/imports lists the newest jobs, which are remembered in memory
 * (IMPORT_JOBS_MAX), GET /link/v1/importKinds the kinds.
 */
enum { IMPORT_JOBS_MAX = 100 };
struct imports;
struct imports *imports_new(struct link *l);
/* Waits for running jobs, which stop at their next batch. */
void imports_free(struct imports *i);
void imports_routes(struct imports *i, struct router *r);

#endif
