/*
 * mvt.h - Mapbox Vector Tiles 2.1, written by hand: a layer of features in a tile of the Web
 * Mercator pyramid.
 *
 * Coordinates are WGS84; they are projected, clipped to the tile with a margin, rounded to the
 * tile's grid of 4096 units and encoded as geometry commands. Outer rings run clockwise on the
 * screen, holes the other way (section 4.3.4.4); rings and lines that shrink to nothing are left
 * out.
 *
 *     struct mvt m;
 *     mvt_begin(&m, &arena, S("AED"), z, x, y);
 *     struct mvt_feature *f = mvt_add(&m, geo);     NULL: not in this tile
 *     mvt_text(&m, f, S("name"), name);
 *     mvt_write(&m, &out);
 */
#ifndef PORTAL_MVT_H
#define PORTAL_MVT_H

#include "core/buf.h"
#include "core/geo.h"
#include "core/map.h"
#include "core/vec.h"

enum { MVT_EXTENT = 4096, MVT_MARGIN = 64, MVT_ZOOM_MAX = 22 };

struct mvt_feature {
    uint64_t id;
    int kind; /* 1 points, 2 lines, 3 polygons */
    VEC(uint32_t) geometry;
    VEC(uint32_t) tags; /* key, value, key, value: indexes */
};

struct mvt_value {
    struct str text; /* absent: number */
    double number;
};

struct mvt {
    struct arena *arena;
    struct str name;
    int z;
    int64_t x, y;
    VEC(struct mvt_feature *) features;
    VEC(struct str) keys;
    VEC(struct mvt_value) values;
    struct map key_index, text_index; /* index + 1 as a pointer */
};

void mvt_begin(struct mvt *m, struct arena *a, struct str layer, int z, int64_t x, int64_t y);
struct mvt_feature *mvt_add(struct mvt *m, const struct geo *g);
/* A point at grid coordinates, 0..4095. */
struct mvt_feature *mvt_add_point(struct mvt *m, int32_t px, int32_t py);
void mvt_text(struct mvt *m, struct mvt_feature *f, struct str key, struct str value);
void mvt_number(struct mvt *m, struct mvt_feature *f, struct str key, double value);
/* Append the tile; nothing when it has no features. Releases what begin took. */
void mvt_write(struct mvt *m, struct buf *out);

/* Position on the tile's grid; may lie outside. */
void mvt_project(int z, int64_t x, int64_t y, double lon, double lat, double *px, double *py);
/* What the tile shows, with its margin, in degrees. */
struct geo_box mvt_box(int z, int64_t x, int64_t y);

#endif
