/*
 * history_keep.h - how long the rows of history are kept (private to link).
 *
 * The policy "retention" of a tenant (access.h) has rules {types, attrs, keep, rollup}; the first
 * that meets a series (an attribute of an entity of such a type) counts for it. Every ten minutes a
 * pool task takes rows older than keep out of hist and adds them, in the same change, to the hour
 * that they lie in (hist_hour: number, sum, sum of squares, least and greatest). So each row is in
 * one of the two, aggregates by observedAt go on over both, and late data is first a row and is
 * added to its hour by the next run. What an hour does not know: distinct values, texts, deletions.
 * Hours older than rollup are deleted; without rollup they stay.
 */
#ifndef LINK_HISTORY_KEEP_H
#define LINK_HISTORY_KEEP_H

#include "link/link.h"

/* From when on no rule of a tenant takes rows away; INT64_MIN: there is none. */
enum err history_kept_since(struct link *l, struct store_conn *c, int64_t tenant, int64_t *since,
                            struct error *e);

/* One run over all tenants; also of the pool task. */
void history_keep_run(struct link *l);
void history_keep_start(struct link *l);
void history_keep_stop(struct link *l);

#endif
