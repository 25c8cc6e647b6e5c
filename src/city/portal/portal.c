/* The portal as a service: what can be set, its parts opened and closed, its routes. */
#include "link/access.h"
#include "portal_impl.h"
#include "tiles.h"
#include <stdlib.h>

struct portal_options portal_options;

static const struct config_key keys[] = {
    CONFIG_STR("portal.city_name", struct portal_options, city_name, "",
               "name of the city on all pages; empty: a general one"),
    CONFIG_SECRET("portal.console_token", struct portal_options, console_token, "",
                  "lets staff use the console from other machines; empty: this machine only"),
    CONFIG_STR("portal.basemap_url", struct portal_options, basemap_url, "",
               "raster tiles (PNG) under the map, with {z}, {x} and {y}; empty: none"),
    CONFIG_STR("portal.basemap_credit", struct portal_options, basemap_credit, "",
               "who made the base map"),
    CONFIG_SIZE("portal.tile_cache_bytes", struct portal_options, tile_cache_bytes, "16m", 0,
                1 << 30, "memory for finished map tiles"),
    CONFIG_INT("portal.cluster_below_zoom", struct portal_options, cluster_below_zoom, 14, 0, 22,
               "map zoom below which neighbouring points are drawn as one with their number"),
};
static const struct config_table table = {"portal", keys, COUNT(keys)};

struct store_conn *portal_read(const struct city *city, struct error *e)
{
    static const struct access_who everybody = {.kind = WHO_PUBLIC};
    return access_read(city->link, &everybody, PORTAL_TENANT, e);
}

bool portal_page(struct page *p, struct portal *portal, struct request *req, struct response *res,
                 const char *nav)
{
    return page_begin(p, portal->city.frame, portal, req, res, nav);
}

struct store_conn *page_reader(struct page *p)
{
    struct error e = {0};
    struct store_conn *c = portal_read(p->city, &e);
    if (!c)
        page_fail(p, &e);
    return c;
}

/* As it was set, else as the city's own entity says. */
static struct str city_name(void *ctx, struct arena *a, const struct locale *l)
{
    struct portal *p = ctx;
    struct str name = str_c(p->options->city_name);
    return name.n ? name : home_city(p->home, p, a, l);
}

static bool staff(void *ctx, const struct request *req)
{
    return console_allows(ctx, req);
}

/* "/" knows no language yet: the last one used, else what the browser asks for. */
static enum http_answer get_root(struct request *req, struct response *res, void *ctx)
{
    const struct locale *l = frame_language(((struct portal *)ctx)->city.frame, req);
    response_redirect(req, res, 302, str_printf(req->arena, "/%" STR_F, STR_A(l->path)));
    response_header(req, res, "Vary", S("Accept-Language, Cookie"));
    response_header(req, res, "Cache-Control", S("no-cache"));
    return HTTP_DONE;
}

static const struct route routes[] = {{"GET", "/", get_root, ROUTE_HIDDEN}};

static void portal_stop(void *state)
{
    struct portal *p = state;
    if (p->console)
        console_free(p->console);
    if (p->tiles)
        tiles_free(p->tiles);
    if (p->home)
        home_free(p->home);
    free(p);
}

static enum err portal_start(const struct city *city, struct router *router, void **state,
                             struct error *e)
{
    struct portal *p = calloc(1, sizeof(*p));
    if (!p)
        return error_set(e, ERR_INTERNAL, "out of memory");
    p->city = *city;
    p->options = &portal_options;
    p->tiles = tiles_new(&p->city, p->options, e);
    if (!p->tiles) {
        portal_stop(p);
        return e->code;
    }
    p->home = home_new();
    p->console = console_new(p);
    frame_hook(city->frame,
               &(struct frame_hooks){.ctx = p, .city_name = city_name, .staff = staff});
    router_add(router, routes, COUNT(routes), p);
    router_add(router, home_routes, home_routes_n, p);
    router_add(router, dataset_routes, dataset_routes_n, p);
    router_add(router, entity_routes, entity_routes_n, p);
    router_add(router, map_routes, map_routes_n, p);
    router_add(router, console_routes, console_routes_n, p);
    tiles_routes(p->tiles, router);
    *state = p;
    return OK;
}

const struct service portal_service = {
    .name = "portal",
    .config = &table,
    .options = &portal_options,
    .start = portal_start,
    .stop = portal_stop,
};
