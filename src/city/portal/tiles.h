/*
 * tiles.h - entities as vector tiles: /tiles/{layer}/{z}/{x}/{y}.mvt.
 *
 * A layer is "all", a type ("AED") or several ("AED,Hospital"); the tile holds one MVT layer of
 * that name ("all" for several) with id, name, type, status and category of each place. Below
 * portal.cluster_below_zoom neighbouring points become one with their count.
 *
 * Finished tiles are kept in memory (portal.tile_cache_bytes, least recently used go first) with
 * the version of their layer: the journal row of the newest change that a tile would show. A
 * sensor's new value is no such change. The version is the ETag too, so a browser asks and gets
 * 304. Thread-safe.
 */
#ifndef PORTAL_TILES_H
#define PORTAL_TILES_H

#include "portal_impl.h"

struct tiles *tiles_new(const struct city *city, const struct portal_options *o, struct error *e);
void tiles_free(struct tiles *t);
void tiles_routes(struct tiles *t, struct router *r);

/* Reads the journal up to now; the version of a layer. */
enum err tiles_version(struct tiles *t, struct str layer, int64_t *version, struct error *e);
/* Make a tile, cached or not; for the handler and tests. ERR_INVALID for bad layers. */
enum err tiles_make(struct tiles *t, struct arena *a, struct str layer, int z, int64_t x, int64_t y,
                    struct str *out, struct error *e);

#endif
