/*
 * portal_impl.h - what the files of the portal share: its state and the making of one page.
 *
 * A handler opens a page in the language of the path, writes the data of its template as JSON
 * members, and sends it:
 *
 *     struct page p;
 *     if (!page_begin(&p, portal, req, res, "data"))
 *         return HTTP_DONE;
 *     json_w_kstr(&p.w, S("count"), n);
 *     return page_send(&p, "datasets", S("data.title"));
 */
#ifndef PORTAL_IMPL_H
#define PORTAL_IMPL_H

#include "city/portal.h"
#include "city/service.h"
#include "core/buf.h"
#include "core/json.h"
#include "http/http.h"
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

struct assets;
struct tiles;
struct console;
struct home;

struct portal {
    struct city city;
    const struct portal_options *options;
    struct assets *assets;
    struct tiles *tiles;
    struct console *console;
    struct home *home;
};

enum { PORTAL_TENANT = 1 }; /* pages show the default tenant */

/* A reader of the store that sees what everybody may see; like store_read(). */
struct store_conn *portal_read(const struct city *city, struct error *e);

/* --- one page (page.c) --- */

struct page {
    struct portal *portal;
    struct request *req;
    struct response *res;
    struct arena *arena;
    const struct locale *locale;
    struct str base; /* "/ja" */
    int status;
    bool private_page; /* not to be stored by anybody */
    struct buf data;
    struct json_writer w; /* inside the object of the page's data */
};

/* nav: the entry of the main menu that is current. false: answered (no such language). */
bool page_begin(struct page *p, struct portal *portal, struct request *req, struct response *res,
                const char *nav);
/* Render and answer. title_key: of the catalogue; or title, when the page has its own. */
enum http_answer page_send(struct page *p, const char *name, struct str title_key);
enum http_answer page_send_titled(struct page *p, const char *name, struct str title);
/* Render a part without frame: for islands. */
enum http_answer page_send_part(struct page *p, const char *name);
/* Give up: an error page instead. */
enum http_answer page_fail(struct page *p, const struct error *e);
enum http_answer page_not_found(struct page *p);

struct str page_text(struct page *p, struct str key); /* of the catalogue, without arguments */
/* Path of a page in the page's language: page_href(p, "data/%" STR_F, ...). */
struct str page_href(struct page *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A reader; NULL: answered. */
struct store_conn *page_reader(struct page *p);
const struct locale *page_language(struct portal *portal, struct request *req);

/* --- routes of the files --- */

extern const struct route home_routes[], dataset_routes[], entity_routes[], map_routes[],
    console_routes[], asset_routes[];
extern const size_t home_routes_n, dataset_routes_n, entity_routes_n, map_routes_n,
    console_routes_n, asset_routes_n;

/* --- parts with a life of their own --- */

struct assets *assets_new(const char *web_dir, struct error *e);
void assets_free(struct assets *a);
/* Address of a built file ("portal.css"), with the hash of its content; absent: not built. */
struct str assets_url(const struct assets *a, const char *name);

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
