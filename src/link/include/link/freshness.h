/*
 * freshness.h - who should report how often, and what went stale.
 *
 * A source (a department, a sensor feed) is itself an entity of type DataSource:
 *
 *     name            Property, text
 *     updateInterval  Property, ISO 8601 duration: the promise
 *     covers          Property, {"type": IRI or term, "idPattern": regex (optional)}
 *     lastUpdate      Property, date-time: newest change of a covered entity (kept by us)
 *     status          Property, "fresh", "stale", or "silent": not one report yet (kept by us)
 *
 * Once a second all are compared. When a source goes stale an entity of type Alert is made
 * (category "dataSource", subCategory "stale", source, dateIssued, validFrom); when it reports
 * again the alert gets validTo. A source that never reported is silent; the alert comes when its
 * interval has passed since it was declared. lastUpdate is written when the status changes and
 * else at most once a minute and a tenth of the interval, so that it does not double the writes.
 *
 * Threads: any.
 */
#ifndef LINK_FRESHNESS_H
#define LINK_FRESHNESS_H

#include "link/link.h"

struct freshness;

/* Compares once a second on the pool of link. The state of all sources is worked out by the first
 * round, so that the program need not wait for it. */
struct freshness *freshness_new(struct link *l, struct error *e);
void freshness_free(struct freshness *f);
/* The same without the pool, and one round of it: for tests. */
struct freshness *freshness_open(struct link *l);
void freshness_round(struct freshness *f);
/* GET /link/v1/sources: [{"id","name","type","updateInterval","lastUpdate","staleSince","status"}],
 * the interval in seconds. */
void freshness_routes(struct freshness *f, struct router *r);

enum fresh_state { FRESH_UNKNOWN, FRESH_OK, FRESH_STALE, FRESH_SILENT };

struct source_status {
    struct str id, name;
    struct str type; /* IRI that it covers */
    int64_t interval_us;
    int64_t last_update; /* instant; 0: never */
    int64_t stale_since; /* instant; 0: not stale */
    enum fresh_state state;
};
/* Texts live during the call, which must not come back here. */
void freshness_each(struct freshness *f, int64_t tenant,
                    bool (*each)(void *ctx, const struct source_status *s), void *ctx);
/* State of one entity by the source that covers it: stale when its own modifiedAt (or newest
 * observedAt) is older than the interval. FRESH_UNKNOWN when no source covers it. */
enum fresh_state freshness_of(struct freshness *f, int64_t tenant, const struct json *stored,
                              int64_t *stale_since);

#endif
