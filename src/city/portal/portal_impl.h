/*
 * portal_impl.h - what the files of the portal share: its state, its pages (city/page.h), and the
 * parts with a life of their own.
 */
#ifndef PORTAL_IMPL_H
#define PORTAL_IMPL_H

#include "city/page.h"
#include "city/portal.h"
#include <pthread.h>
#include <stdatomic.h>

struct portal_options {
    const char *city_name;     /* "": the name of the city's own entity, else the catalogue's */
    const char *console_token; /* "": the console answers to loopback clients only */
    const char *basemap_url;   /* raster or vector tiles {z}/{x}/{y}; "": none */
    const char *basemap_credit;
    int64_t tile_cache_bytes;
    int64_t cluster_below_zoom; /* points are drawn together below it */
};
extern struct portal_options portal_options;

struct tiles;
struct console;
struct home;

struct portal {
    struct city city;
    const struct portal_options *options;
    struct tiles *tiles;
    struct console *console;
    struct home *home;
};

enum { PORTAL_TENANT = 1 }; /* pages show the default tenant */

/* A reader of the store that sees what everybody may see; like store_read(). */
struct store_conn *portal_read(const struct city *city, struct error *e);

/* A page of the portal, like page_begin(). */
bool portal_page(struct page *p, struct portal *portal, struct request *req, struct response *res,
                 const char *nav);
static inline struct portal *portal_of(const struct page *p)
{
    return p->service;
}
/* A reader; NULL: answered. */
struct store_conn *page_reader(struct page *p);

/* --- routes of the files --- */

extern const struct route home_routes[], dataset_routes[], entity_routes[], map_routes[],
    console_routes[];
extern const size_t home_routes_n, dataset_routes_n, entity_routes_n, map_routes_n,
    console_routes_n;

/* --- parts with a life of their own --- */

struct home *home_new(void);
void home_free(struct home *h);
/* The city's name from its own entity, looked up now and then; empty when there is none. */
struct str home_city(struct home *h, struct portal *p, struct arena *a, const struct locale *l);

struct console *console_new(struct portal *p);
void console_free(struct console *c);
/* May this client use the console? */
bool console_allows(const struct portal *p, const struct request *req);

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
