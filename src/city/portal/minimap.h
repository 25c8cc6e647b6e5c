/*
 * minimap.h - a small drawn map around one place, as SVG: works without script and on paper.
 *
 * Shows the outlines of areas, the lines of buses and a scale; north is up, one degree of longitude
 * is drawn as wide as it is at that latitude.
 */
#ifndef PORTAL_MINIMAP_H
#define PORTAL_MINIMAP_H

#include "core/buf.h"
#include "core/geo.h"

struct minimap {
    double lon, lat; /* the middle */
    double metres;   /* from the middle to the left and right border */
};

void minimap_begin(struct buf *out, const struct minimap *m);
/* Areas and lines; points of other places are left out. */
void minimap_add(struct buf *out, const struct minimap *m, const struct geo *g);
/* The place itself (NULL: a pin), the scale, the end. */
void minimap_end(struct buf *out, const struct minimap *m, const struct geo *place);

#endif
