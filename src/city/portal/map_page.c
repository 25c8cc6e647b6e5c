/*
 * The map. The page itself carries what does not need a script: every layer with its number and a
 * link to its list. The island reads its settings from one data attribute.
 */
#include "core/geo.h"
#include "datasets.h"
#include <math.h>
#include <string.h>

enum { BOX_ENTITIES = 3000 };

struct extent {
    struct arena *arena;
    double west, south, east, north;
    bool any;
};

static bool widen(void *ctx, const struct entity_row *row, const struct json *stored)
{
    struct extent *x = ctx;
    double lon, lat;
    (void)row;
    if (!look_place(x->arena, stored, &lon, &lat))
        return true;
    x->west = x->any ? fmin(x->west, lon) : lon;
    x->east = x->any ? fmax(x->east, lon) : lon;
    x->south = x->any ? fmin(x->south, lat) : lat;
    x->north = x->any ? fmax(x->north, lat) : lat;
    x->any = true;
    return true;
}

/* Where to look first: around the places that are on most layers. */
static struct extent map_extent(struct page *p, struct store_conn *c, const struct datasets *list)
{
    struct extent x = {.arena = p->arena};
    struct error e = {0};
    uint64_t left = BOX_ENTITIES;
    for (size_t i = 0; i < list->all.n && left; i++) {
        const struct dataset *d = &list->all.v[i];
        struct scan s = {.iri = d->iri, .limit = left < 300 ? left : 300};
        if (d->internal)
            continue;
        if (scan_type(c, p->city->clock, &s, widen, &x, NULL, &e))
            break;
        left -= s.limit < (uint64_t)d->entities ? s.limit : (uint64_t)d->entities;
    }
    return x;
}

static bool has_place(void *ctx, const struct entity_row *row, const struct json *stored)
{
    (void)row;
    *(bool *)ctx = look_value(stored, "location") != NULL;
    return !*(bool *)ctx;
}

/* A type is a layer when its first entities have a place. */
static bool is_layer(struct page *p, struct store_conn *c, const struct dataset *d)
{
    bool placed = false;
    struct error e = {0};
    struct scan s = {.iri = d->iri, .limit = 5};
    return !d->internal && !scan_type(c, p->city->clock, &s, has_place, &placed, NULL, &e) &&
           placed;
}

static void write_codes(struct page *p, struct json_writer *w)
{
    static const char *const keys[] = {"map.loading", "map.failed",  "map.visible", "map.nothing",
                                       "map.live",    "map.offline", "map.close",   "map.cluster",
                                       "map.zoomin",  "map.zoomout", "map.north",   "map.title",
                                       "map.more",    "map.untitled"};
    json_w_key(w, S("texts"));
    json_w_object(w);
    for (size_t i = 0; i < COUNT(keys); i++)
        json_w_kstr(w, str_c(keys[i] + 4), page_text(p, str_c(keys[i])));
    json_w_end(w);
}

/* Layers that are shown at first: what people need in a hurry and what moves. All others are a tap
 * away, so that the first picture stays legible. */
static bool is_first_choice(struct str name)
{
    static const char *const names[] = {
        "EvacuationShelter",      "MedicalFacility", "Vehicle",         "GtfsRoute",
        "BikeHireDockingStation", "WeatherObserved", "FloodMonitoring", "OffStreetParking"};
    for (size_t i = 0; i < COUNT(names); i++)
        if (str_eq(name, str_c(names[i])))
            return true;
    return false;
}

/* --- names of areas: tiles would repeat them in each tile --- */

struct naming {
    struct page *page;
    struct json_writer *w;
};

static bool write_area(void *ctx, const struct entity_row *row, const struct json *stored)
{
    struct naming *n = ctx;
    double lon, lat;
    (void)row;
    if (str_eq(json_text(json_get(look_value(stored, "location"), S("type"))), S("Point")) ||
        !look_place(n->page->arena, stored, &lon, &lat))
        return true;
    json_w_object(n->w);
    json_w_kstr(n->w, S("name"), look_name(n->page->arena, n->page->locale, stored));
    json_w_key(n->w, S("at"));
    json_w_array(n->w);
    json_w_double(n->w, lon);
    json_w_double(n->w, lat);
    json_w_end(n->w);
    json_w_end(n->w);
    return true;
}

static enum err write_areas(struct page *p, struct store_conn *c, struct json_writer *w,
                            struct error *e)
{
    struct naming n = {p, w};
    struct scan s = {.iri = ld_expand(ld_core(), p->arena, S("AdministrativeArea")), .limit = 200};
    json_w_key(w, S("areas"));
    json_w_array(w);
    enum err err = scan_type(c, p->city->clock, &s, write_area, &n, NULL, e);
    json_w_end(w);
    return err;
}

/* A base map of another site must be allowed to load, on this page only. */
static void allow_basemap(struct page *p, const char *url)
{
    struct str rest = str_c(url);
    ptrdiff_t scheme = str_find(rest, S("://"));
    if (scheme < 0)
        return;
    struct str after = str_from(rest, (size_t)scheme + 3);
    ptrdiff_t slash = str_find_char(after, '/');
    struct str origin =
        str_sub(rest, 0, (size_t)scheme + 3 + (slash < 0 ? after.n : (size_t)slash));
    if (str_find_char(origin, ';') >= 0 || str_find_char(origin, ' ') >= 0)
        return;
    response_header(p->req, p->res, "Content-Security-Policy",
                    str_printf(p->arena,
                               "default-src 'none'; script-src 'self'; style-src 'self'; "
                               "img-src 'self' data: blob: %" STR_F "; connect-src 'self' %" STR_F
                               "; font-src 'self'; worker-src 'self' blob:; manifest-src 'self'; "
                               "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
                               STR_A(origin), STR_A(origin)));
}

static struct str settings(struct page *p, const struct extent *x, const struct datasets *layers,
                           struct store_conn *c, struct error *e)
{
    struct buf out = BUF_INIT;
    struct json_writer w = json_writer(&out);
    json_w_object(&w);
    json_w_kstr(&w, S("base"), p->base);
    json_w_kstr(&w, S("basemap"), str_c(portal_of(p)->options->basemap_url));
    json_w_kstr(&w, S("credit"), str_c(portal_of(p)->options->basemap_credit));
    json_w_ki64(&w, S("clusterBelow"), portal_of(p)->options->cluster_below_zoom);
    if (x->any) {
        json_w_key(&w, S("box"));
        json_w_array(&w);
        json_w_double(&w, x->west);
        json_w_double(&w, x->south);
        json_w_double(&w, x->east);
        json_w_double(&w, x->north);
        json_w_end(&w);
    }
    json_w_key(&w, S("layers"));
    json_w_array(&w);
    for (size_t i = 0; i < layers->all.n; i++) {
        json_w_object(&w);
        json_w_kstr(&w, S("type"), layers->all.v[i].name);
        json_w_kstr(&w, S("label"), layers->all.v[i].label);
        json_w_end(&w);
    }
    json_w_end(&w);
    write_codes(p, &w);
    enum err err = write_areas(p, c, &w, e);
    json_w_end(&w);
    struct str text = err ? STR_NONE : buf_dup(&out, p->arena);
    buf_release(&out);
    return text;
}

static enum http_answer get_map(struct request *req, struct response *res, void *ctx)
{
    struct error e = {0};
    struct datasets list, layers = {.all = VEC_INIT};
    struct extent x = {0};
    struct page p;
    if (!portal_page(&p, ctx, req, res, "map"))
        return HTTP_DONE;
    struct store_conn *c = page_reader(&p);
    if (!c)
        return HTTP_DONE;
    enum err err = datasets_list(&p, c, &list, &e);
    for (size_t i = 0; !err && i < list.all.n; i++)
        if (is_layer(&p, c, &list.all.v[i]))
            *vec_push(p.arena, &layers.all) = list.all.v[i];
    if (!err)
        x = map_extent(&p, c, &layers);
    struct str text = err ? STR_NONE : settings(&p, &x, &layers, c, &e);
    store_read_done(c);
    if (!text.p)
        return page_fail(&p, &e);
    bool chosen = false;
    for (size_t i = 0; i < layers.all.n; i++)
        chosen |= is_first_choice(layers.all.v[i].name);
    json_w_key(&p.w, S("layers"));
    json_w_array(&p.w);
    for (size_t i = 0; i < layers.all.n; i++) {
        json_w_object(&p.w);
        dataset_write(&p, &layers.all.v[i]);
        /* Areas are the ground of the map, not a layer to switch. */
        json_w_kbool(&p.w, S("shown"), !chosen || is_first_choice(layers.all.v[i].name));
        json_w_kbool(&p.w, S("ground"), str_eq(layers.all.v[i].name, S("AdministrativeArea")));
        json_w_end(&p.w);
    }
    json_w_end(&p.w);
    json_w_kstr(&p.w, S("settings"), text);
    if (portal_of(&p)->options->basemap_url[0])
        allow_basemap(&p, portal_of(&p)->options->basemap_url);
    return page_send(&p, "map", S("map.title"));
}

const struct route map_routes[] = {{"GET", "/{lang}/map", get_map, ROUTE_HIDDEN}};
const size_t map_routes_n = COUNT(map_routes);
