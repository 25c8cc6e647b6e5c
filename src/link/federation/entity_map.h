/*
 * entity_map.h - entity maps: the set of entities that a query is about, fixed (ETSI GS CIM 009
 * v1.8.1 clauses 5.2.39, 5.5.9.3, 5.14, 6.32).
 *
 * A query with entityMap=true notes the ids of all that it finds, here and at sources, and from
 * where each came; the NGSILD-EntityMap header of the answer says where that map is. A query that
 * carries the header looks at those entities only: what is new does not shift its pages, what is
 * gone or does not meet the query any more is left out. Where the map is not known, or its time is
 * over, a new one is made.
 *
 * A map is for whoever had it made and for those who manage the tenant, that of nobody known for
 * all; it tells of each entity only to who may see it at that moment.
 *
 * Maps are in the store, for every process on it: link.entity_maps of them, of at most
 * ENTITY_MAP_IDS entities each, ENTITY_MAPS_IDS in all (the oldest go first), for
 * link.entity_map_s unless entityMapLifetime asks for another time, a day at most.
 *
 * Sources that support createEntityMapQueryEntity are asked for maps of their own. What they answer
 * is kept in linkedMaps, and their maps are sent along whenever ours is used, so that their pages
 * do not shift either. Whoever sends a map asks only the sources that it names.
 */
#ifndef LINK_ENTITY_MAP_H
#define LINK_ENTITY_MAP_H

#include "distribute_read.h"

enum { ENTITY_MAP_IDS = 10000, ENTITY_MAPS_IDS = 1000000 };

#define ENTITY_MAP_PARAMS " entityMap entityMapLifetime"

void entity_maps_routes(struct link *l, struct router *r);

/* A map of a source. */
struct entity_map_link {
    struct str reg;     /* id of the registration */
    struct str address; /* as the source named it */
};

/* What a call wants of maps. */
struct entity_map_use {
    bool make;             /* note what is found, then entity_map_made() */
    bool given;            /* look at ids only */
    const struct str *ids; /* in the call's arena */
    size_t n_ids;
    const struct str *sources; /* registrations that the map names, each once */
    size_t n_sources;
    const struct entity_map_link *links;
    size_t n_links;
    int64_t lifetime_us;
};
/* From entityMap=, entityMapLifetime= and the header, which is answered when its map is used.
 * false: the response is filled. */
bool entity_map_use(struct api *c, struct entity_map_use *use);

/* An entity and where it was found: ids of registrations, or "@none". */
struct entity_map_entry {
    struct str id;
    const struct str *sources;
    size_t n_sources;
    const struct str *types; /* that the sources named; none: it is not known */
    size_t n_types;
};
/* here: this store has it; d: what sources said, or NULL. */
struct entity_map_entry entity_map_entry(struct arena *a, struct str id, bool here,
                                         const struct distribute *d);
/* Keep a map and put its address into the response; *id (may be NULL) in the call's arena. d: with
 * the maps that sources made, or NULL. Waits for the writer: on the pool. */
enum err entity_map_made(struct api *c, const struct entity_map_use *use,
                         const struct entity_map_entry *v, size_t n, const struct distribute *d,
                         struct str *id, struct error *e);
/* What a source says is the address of its map, if it may be one; else absent. */
struct str entity_map_address(struct str sent);
/* The map as the answer: of calls that only make one (v1.9.1 clause 5.14.4). */
void entity_map_answer(struct api *c, int status, struct str id);

#endif
