/*
 * history_impl.h - walking the rows of one series, for reading and for aggregates.
 *
 * A series is what one attribute of one entity had under one dataset. Rows come in order of the
 * time asked for: observedAt (column t) and modifiedAt are columns and bounded in SQL; createdAt
 * and deletedAt are read from the instance and filtered here, in order of t.
 */
#ifndef LINK_HISTORY_IMPL_H
#define LINK_HISTORY_IMPL_H

#include "core/vec.h"
#include "link/history.h"

struct series {
    int64_t attr, dataset; /* keys */
    struct str iri, uri;   /* uri absent: default instance */
};

typedef VEC(struct series) series_list;

/* Whose history it is, now or before it was deleted, as far as that is known. */
struct history_past {
    struct arena *arena;
    struct str id;
    const struct json *stored, *types; /* NULL: not known */
};
enum err history_past(struct store_conn *c, struct arena *a, int64_t eid, struct history_past *p,
                      struct error *e);

/* The series of an entity that the query asks for, by name; texts in the arena. */
enum err history_series(struct store_conn *c, struct arena *a, int64_t eid,
                        const struct history_query *q, series_list *out, struct error *e);

struct span {
    int64_t from, seq; /* from this time on; of rows of that time, from this seq on */
    int64_t to;        /* before this time */
    int64_t skip;      /* rows to pass over, after filtering */
    int64_t limit;     /* rows to give, after filtering */
    bool observed;     /* only rows that have an observedAt: those whose two times differ */
};

struct span history_span(const struct history_query *q);

/* Rows of one series in a span; *given (may be NULL) counts them. each() false sets *stop. */
enum err history_walk(struct store_conn *c, int64_t eid, const struct series *s,
                      enum time_property property, const struct span *span,
                      bool (*each)(void *ctx, const struct history_row *row), void *ctx,
                      int64_t *given, bool *stop, struct error *e);

/* Inside a change: all rows of hist_recent into their places. */
enum err history_settle(struct store_conn *c, struct error *e);

/* True for the row of a deletion. */
bool history_is_deletion(struct str instance);

#endif
