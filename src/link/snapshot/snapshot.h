/*
 * snapshot.h - snapshots [1.9]: isolated copies of what queries found, kept until they expire
 * (ETSI GS CIM 009 v1.9.1 clauses 5.2.41, 5.16, 6.3.22, 6.36 to 6.38). Private to link.
 *
 * A snapshot is a row with its description and a space: a tenant of its own, whose name no client
 * can write, so that every operation works in it as anywhere else. Nothing is registered there:
 * what is done in a snapshot stays in it. It holds what its maker could see, and is for its maker
 * and for those who manage the tenant; one that nobody known made is for all (access.h). In the
 * space the policies of the tenant hold, as they are now: for reading, writing and telling.
 *
 * Once a minute those that have expired go, those whose making was cut off (the process ended) are
 * marked as failed, and endpoints that have not been told of a status are tried again.
 */
#ifndef LINK_SNAPSHOT_H
#define LINK_SNAPSHOT_H

#include "api.h"

#define SNAPSHOT_PATH "/ngsi-ld/v1/snapshots"

struct snapshot {
    struct str id, space;
    struct str owner;       /* the actor that made it; absent: nobody known */
    int64_t tenant;         /* number of the one that was copied; after reading */
    struct str tenant_name; /* after snapshot_due() */
    bool made;              /* it is not being filled */
    int64_t notify;         /* changes of its status that the endpoint has not been told */
    const struct json *doc; /* as it shows, but for lastUsedAt */
    int64_t expires, used;
};

/* --- rows; the tenant is the one whose entities were copied --- */

/* ERR_NOT_FOUND also when it has expired. */
enum err snapshot_get(struct link *l, struct arena *a, struct str tenant, struct str id,
                      struct snapshot *out, struct error *e);
/* All that have not expired. */
enum err snapshot_list(struct link *l, struct arena *a, struct str tenant, struct snapshot **out,
                       size_t *n, struct error *e);
/* Of all tenants: those that have expired, are being made, or owe a notification. */
enum err snapshot_due(struct link *l, struct arena *a, struct snapshot **out, size_t *n,
                      struct error *e);
/* Makes the space as well. ERR_EXISTS. */
enum err snapshot_make(struct link *l, struct str tenant, const struct snapshot *s,
                       struct error *e);
/* doc, expires and made; with an endpoint it owes one notification more. */
enum err snapshot_save(struct link *l, struct snapshot *s, struct error *e);
/* From the first moment on it is not found, in the end nothing is left of it; begins where an
 * earlier attempt stopped. */
enum err snapshot_drop(struct link *l, const struct snapshot *s, struct error *e);
/* In a change: it is being filled still. */
enum err snapshot_alive(struct store_conn *conn, struct str space, int64_t now, struct error *e);
/* May whoever asks have it? Else it is not found. */
enum err snapshot_allowed(const struct api *c, const struct snapshot *s, struct error *e);
void snapshot_used(struct link *l, struct str tenant, const struct snapshot *s);

/* --- filling; pool threads only --- */

/* Copy what a Query finds in c's tenant, with its evolution when it has a temporalQ. */
enum err snapshot_fill(struct api *c, const struct json *query, struct str space, uint64_t *copied,
                       struct error *e);
/* Copy a whole space. */
enum err snapshot_copy(struct link *l, struct str from, struct str to, struct error *e);

/* --- telling its endpoint (clauses 5.3.4, 5.16.6) --- */

/* Send its status, if it has an endpoint; gone: that it is not there any more. Does not wait: what
 * is not delivered is tried again by the sweep, but for gone ones, which are told once. */
void snapshot_tell(struct link *l, struct str tenant, const struct snapshot *s, bool gone);
enum err snapshot_check_endpoint(struct arena *a, const struct json *body, struct error *e);

/* --- the sweep --- */

struct snapshots;
struct snapshots *snapshots_new(struct link *l);
void snapshots_free(struct snapshots *x); /* waits for notifications on their way */
/* For those that are on their way. */
void snapshots_hold(struct link *l);
void snapshots_let_go(struct link *l);
/* One sweep now; alone: nobody else can be filling one. */
void snapshots_sweep(struct link *l, bool alone);

void snapshot_routes(struct link *l, struct router *r);

#endif
