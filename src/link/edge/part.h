/*
 * part.h - which entities of a city a node holds: types, scopes, an area.
 *
 * An entity belongs to the part when it meets all three conditions. Parameters on the line are
 * types=, scope= and area=, as the settings of link/edge.h say.
 */
#ifndef LINK_EDGE_PART_H
#define LINK_EDGE_PART_H

#include "link/query.h"

struct part {
    struct str types, scope, area; /* as given; empty: no condition */
    struct str key;                /* the three as one text */
    struct entity_query query;
    struct geo_query geo;
};

/* ERR_INVALID for what cannot be read. Give back with part_release(). */
enum err part_read(struct arena *a, struct str types, struct str scope, struct str area,
                   struct part *out, struct error *e);
void part_release(struct part *p);
bool part_all(const struct part *p); /* no condition at all */
bool part_holds(const struct part *p, const struct json *doc);
/* "&types=..&scope=..&area=..", encoded for a URL; empty for all. */
struct str part_params(struct arena *a, const struct part *p);

#endif
