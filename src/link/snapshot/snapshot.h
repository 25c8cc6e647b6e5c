/*
 * snapshot.h - snapshots [1.9]: isolated copies of what queries found, kept until they expire
 * (ETSI GS CIM 009 v1.9.1 clauses 5.2.41, 5.16, 6.3.22, 6.36 to 6.38). Private to link.
 *
 * A snapshot is a row with its description and a space: a tenant of its own, whose name no client
 * can write, so that every operation works in it as anywhere else. Nothing is registered there:
 * what is done in a snapshot stays in it. It holds what its maker could see, and is for its maker
 * and for those who manage the tenant; one that nobody known made is for all (access.h).
 */
#ifndef LINK_SNAPSHOT_H
#define LINK_SNAPSHOT_H

#include "api.h"

#define SNAPSHOT_PATH "/ngsi-ld/v1/snapshots"

struct snapshot {
    struct str id, space;
    struct str owner; /* the actor that made it; absent: nobody known */
    int64_t tenant;   /* number of the one that was copied; after snapshot_get() and _list() */
    const struct json *doc; /* as it shows, but for lastUsedAt */
    int64_t expires, used;
};

/* --- rows; the tenant is the one whose entities were copied --- */

/* ERR_NOT_FOUND also when it has expired. */
enum err snapshot_get(struct link *l, struct arena *a, struct str tenant, struct str id,
                      struct snapshot *out, struct error *e);
/* All that have not expired (or, with expired, all that have). */
enum err snapshot_list(struct link *l, struct arena *a, struct str tenant, bool expired,
                       struct snapshot **out, size_t *n, struct error *e);
/* Makes the space as well. ERR_EXISTS. */
enum err snapshot_make(struct link *l, struct str tenant, const struct snapshot *s,
                       struct error *e);
enum err snapshot_save(struct link *l, struct str tenant, const struct snapshot *s,
                       struct error *e);
/* The row first, then what is in the space. */
enum err snapshot_drop(struct link *l, struct str tenant, const struct snapshot *s,
                       struct error *e);
/* May whoever asks have it? Else it is not found. */
enum err snapshot_allowed(const struct api *c, const struct snapshot *s, struct error *e);
void snapshot_used(struct link *l, struct str tenant, const struct snapshot *s);

/* --- filling; pool threads only --- */

/* Copy what a Query finds in c's tenant, with its evolution when it has a temporalQ. */
enum err snapshot_fill(struct api *c, const struct json *query, struct str space, uint64_t *copied,
                       struct error *e);
/* Copy a whole space. */
enum err snapshot_copy(struct link *l, struct str from, struct str to, struct error *e);

void snapshot_routes(struct link *l, struct router *r);

#endif
