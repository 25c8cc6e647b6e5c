/*
 * everything.h - a whole city as lines of JSON, and back: the way from one engine to the other.
 *
 * An export is one JSON object a line, each with a "kind": first "marugoto" (the format), then
 * tenants, snapshots, contexts, entities (stored form; deleted ones without "doc"), series and rows
 * of history, hours that rows became, subscriptions, registrations, those of NGSIv2, copies of
 * subscriptions at sources, keys (digests only), policies in all versions, what operators did to
 * deliveries, nodes of edge sync (of all tenants only; without tokens: they are enrolled again),
 * and at last "end" with the number of records: a file without it was cut off. What a snapshot
 * holds are rows whose "tenant" is its "space"; one that is being filled is left out. Lines of
 * kind "mark" stand between; what follows one can be asked for by its "after". All names are those
 * of the API, no numbers of rows: the same city gives the same lines on both engines, marks apart.
 *
 * Not in it: the journal (a restored one goes on behind the old one's last row, so that versions
 * and instance ids stay), what was waiting to be delivered, ids and positions of nodes, when an
 * entity that is gone was made, this broker's name in Via headers, and the log and vault of trust.
 *
 * From one reader an export is one moment. From several it is not: each line is true at the moment
 * it was read, and there may be rows of entities, or of snapshots, that came after their turn;
 * restoring skips and counts those rows.
 */
#ifndef LINK_EVERYTHING_H
#define LINK_EVERYTHING_H

#include "core/buf.h"
#include "store/store.h"
#include <stdio.h>

struct router;
struct link;

enum { EVERYTHING_FORMAT = 1, EVERYTHING_KEYS = 5 };

struct everything {
    int64_t tenant; /* number; 0: all */
    bool ended;
    /* private */
    bool begun;
    size_t kind;
    uint64_t records;
    struct store_value at[EVERYTHING_KEYS]; /* key of the last row of this kind */
    struct arena texts;                     /* of .at */
};

/* Start behind a mark; zeros start at the begin. ERR_INVALID when it is none. */
enum err everything_after(struct everything *x, struct str mark, struct error *e);
/* Append the next lines, at most some hundred; sets .ended behind the last one. */
enum err everything_more(struct everything *x, struct store_conn *c, struct buf *out,
                         struct error *e);
void everything_release(struct everything *x);

/* One file a kind and one for each type of entity into an existing folder, for spreadsheets; not a
 * way back. Existing files are not overwritten. */
enum err everything_csv(struct store_conn *c, int64_t tenant, const char *folder, struct error *e);

struct everything_report {
    uint64_t lines, records;
    uint64_t skipped; /* rows whose entity, or snapshot, is not in the file */
    uint64_t went_on; /* lines that an earlier run had done already; 0: none */
};
/*
 * Into a store where the tenants of the file hold nothing, which no server has open. The whole file
 * is checked first: an error that names a line has changed nothing. Run again with the same file
 * after a kill it goes on behind the last commit.
 */
enum err everything_restore(struct store *s, FILE *file, struct everything_report *out,
                            struct error *e);

/* GET /link/v1/export/everything.ndjson */
void everything_routes(struct link *l, struct router *r);

#endif
