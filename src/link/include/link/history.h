/*
 * history.h - how attributes evolved (ETSI GS CIM 009 v1.8.1 clauses 4.11, 5.6.11 to 5.6.16, 5.7.3,
 * 5.7.4).
 *
 * repo_put() appends a row for each changed attribute instance. Rows are kept by (entity,
 * attribute, dataset, time, journal seq), time being observedAt or else modifiedAt, so that late
 * data falls into its place. The history of a deleted entity stays until it is deleted itself.
 */
#ifndef LINK_HISTORY_H
#define LINK_HISTORY_H

#include "link/repo.h"

enum time_relation { TIME_ANY, TIME_BEFORE, TIME_AFTER, TIME_BETWEEN };
enum time_property { TIME_OBSERVED, TIME_CREATED, TIME_MODIFIED, TIME_DELETED };

struct history_query {
    enum time_relation relation;
    int64_t from, to; /* timeAt (included, except before it), endTimeAt (excluded) */
    enum time_property property;
    const struct str *attrs; /* IRIs; NULL: all */
    size_t n_attrs;
    const struct str *datasets; /* as in entity_view */
    size_t n_datasets;
    bool observed_only; /* a range by TIME_OBSERVED leaves out what has no observedAt (4.11); else
                           that stands where it was changed */
    bool empty_periods; /* aggregates of TIME_BETWEEN tell periods without rows too */
    uint64_t last_n;    /* newest n instances of each attribute; 0: all */
    uint64_t max;       /* most instances of each attribute in one answer */
    bool limited; /* by observedAt, modifiedAt: give the part [since, until) of the range only,
                     which is what the cut of another entity left */
    int64_t since, until;
    bool
        tell_beyond; /* of a series with rows outside the part given only, one is given as beyond */
};

struct history_row {
    struct str attr;    /* IRI */
    struct str dataset; /* absent: default */
    int64_t at;         /* time by the property asked for */
    int64_t modified;
    int64_t seq;         /* journal row; with attr and dataset names the instance */
    struct str instance; /* JSON text, stored form; "deleted" rows have {"type":"deleted",...} */
    bool is_number;
    double number;
    bool beyond; /* not among what was asked for: see tell_beyond */
};

struct history_cut {
    bool cut;             /* some attribute had more than max rows: answer 206 */
    bool any;             /* rows were given: */
    int64_t from, to;     /* time range of them */
    int64_t since, until; /* part of the range of the query that was given: [since, until) */
};

/*
 * Rows of one entity grouped by attribute and dataset, newest last. each() false stops. Deletions
 * are rows too (of TIME_DELETED the only ones). With last_n the newest rows are given, otherwise
 * the oldest; when those are more than max, all attributes are cut at the same point in time, so
 * that the rest is what lies after cut->to (with last_n, before cut->from). By createdAt and
 * deletedAt each attribute is cut by itself.
 */
enum err history_read(struct store_conn *c, int64_t eid, const struct history_query *q,
                      bool (*each)(void *ctx, const struct history_row *row), void *ctx,
                      struct history_cut *cut, struct error *e);

enum history_method {
    AGGR_TOTAL_COUNT,
    AGGR_DISTINCT_COUNT,
    AGGR_SUM,
    AGGR_AVG,
    AGGR_MIN,
    AGGR_MAX,
    AGGR_STDDEV,
    AGGR_SUMSQ,
    AGGR_METHODS
};
extern const char *const history_method_names[AGGR_METHODS]; /* "totalCount", ... */

struct history_bucket {
    struct str attr, dataset;
    int64_t from, to; /* [from, to); of an open range as one: to the newest row */
    uint64_t count, distinct;
    bool link;         /* values are the targets of a relationship */
    unsigned eligible; /* bits of the methods that some value is fit for (table 4.5.19.1) */
    bool numeric;      /* there are numbers: also true (1), false (0) and arrays (their size) */
    double sum, avg, min, max, stddev, sumsq; /* of numbers; deviation of the population */
    struct str min_text, max_text;            /* of texts, date-times by instant; absent: none */
};
/*
 * Aggregates per period (0 length: the whole range as one), aligned to the start of the query's
 * range, or for open ranges to the first row. Periods without rows are left out unless asked for;
 * deletions do not count. Only by observedAt and modifiedAt (else ERR_UNPROCESSABLE). By
 * observedAt, without last_n, rows that a retention policy took away still count, by the hour: an
 * hour belongs to the period in which it begins, and knows no distinct values and no texts.
 */
enum err history_aggregate(struct store_conn *c, int64_t eid, const struct history_query *q,
                           const struct duration *period,
                           bool (*each)(void *ctx, const struct history_bucket *b), void *ctx,
                           struct error *e);
/* The result of one method; false where there is none (texts may still have min and max). */
bool history_value(const struct history_bucket *b, enum history_method m, double *out);

/* Inside a change. Delete the history of an entity (no attr), an attribute or (seq not 0) one
 * instance. ERR_NOT_FOUND when there is none. */
enum err history_delete(struct store_conn *c, int64_t eid, struct str attr, struct str dataset,
                        bool all_datasets, int64_t seq, struct error *e);
/* Add an instance that did not come through the current state (POST temporal). Its place is its
 * observedAt, else now; what stands there with the same seq is replaced. */
enum err history_add(struct store_conn *c, int64_t eid, struct str attr,
                     const struct json *instance, int64_t now, int64_t seq, struct error *e);
/* Find or create the row number for history alone (an entity known only by its evolution), and
 * remember its types for history_types(). ERR_NOT_FOUND when there is none and create is false. */
enum err history_eid(struct store_conn *c, struct arena *a, int64_t tenant, struct str id,
                     const struct json *types, bool create, int64_t now, int64_t *eid,
                     struct error *e);

/* Types given to history_eid(): an array of IRIs in the arena, or NULL. */
enum err history_types(struct store_conn *c, struct arena *a, int64_t eid,
                       const struct json **types, struct error *e);

/*
 * Scopes evolve like an attribute of this name (clauses 4.5.6, 4.18). Its rows are read only where
 * it is asked for by name, whoever sees the entity sees them, and they stay: without them nobody
 * could say which scope held when.
 */
#define HISTORY_SCOPE LD_NGSI_PREFIX "scope"
/* Called by repo_put(): the scopes before and after, NULL: none. */
enum err history_scope(struct store_conn *c, int64_t eid, const struct json *before,
                       const struct json *after, int64_t now, int64_t seq, struct buf *scratch,
                       struct error *e);
/*
 * Inside a change: an attribute that is known by its evolution alone is deleted (clause 5.6.5): its
 * series end with a deletion. seq 0: only looks whether there are any. ERR_NOT_FOUND when there are
 * none, or all have ended already.
 */
enum err history_end(struct store_conn *c, struct arena *a, int64_t eid, struct str attr,
                     struct str dataset, bool all_datasets, int64_t now, int64_t seq,
                     struct error *e);

/* Called by repo_put(): one changed instance. */
enum err history_record(struct store_conn *c, int64_t eid, const struct attr_change *change,
                        int64_t now, int64_t seq, struct buf *scratch, struct error *e);

#endif
