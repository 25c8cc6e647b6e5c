/* One place or thing: all that is known of it, where it is, and how a number of it went. */
#include "chart.h"
#include "core/vec.h"
#include "datasets.h"
#include "link/history.h"
#include "look.h"
#include "minimap.h"
#include "portal_impl.h"
#include <string.h>

enum { CHART_POINTS = 400, RANGES = 3 };

/* What the reader may look back at: how far, and in periods of which length. */
static const struct {
    const char *name;
    int64_t span, period;
} ranges[RANGES] = {
    {"day", DAY_US, 10 * MINUTE_US},
    {"week", 7 * DAY_US, HOUR_US},
    {"month", 31 * DAY_US, 6 * HOUR_US},
};

struct graph {
    struct arena *arena;
    int64_t period;
    VEC(struct chart_point) points;
};

static bool take_bucket(void *ctx, const struct history_bucket *b)
{
    struct graph *g = ctx;
    if (!b->numeric || b->dataset.n || g->points.n >= CHART_POINTS)
        return true;
    *vec_push(g->arena, &g->points) =
        (struct chart_point){b->from + g->period / 2, b->avg, b->min, b->max};
    return true;
}

static enum err read_graph(struct page *p, struct store_conn *c, int64_t eid, struct str attr,
                           size_t range, int64_t now, struct graph *g, struct error *e)
{
    struct duration period = {.us = ranges[range].period};
    struct history_query q = {.relation = TIME_BETWEEN,
                              .from = now - ranges[range].span,
                              .to = now + 1,
                              .property = TIME_OBSERVED,
                              .attrs = &attr,
                              .n_attrs = 1};
    *g = (struct graph){.arena = p->arena, .period = ranges[range].period};
    return history_aggregate(c, eid, &q, &period, take_bucket, g, e);
}

/* --- attributes --- */

static bool is_number(const struct json *instances)
{
    const struct json *one = instance_default(instances);
    return one && json_is(instance_value(one), JSON_NUMBER);
}

/* The time is said where it is another than the whole entity's. */
static void write_instance(struct page *p, struct str name, const struct json *one, int64_t newest)
{
    struct look_shown s = look_instance(p->arena, p->locale, one);
    int64_t at;
    json_w_object(&p->w);
    json_w_kstr(&p->w, S("label"), look_attr_label(p->arena, p->locale, name));
    json_w_kstr(&p->w, S("text"), s.text);
    if (s.href.n)
        json_w_kstr(&p->w, S("href"), s.href);
    if (s.id.n)
        json_w_kstr(&p->w, S("entity"),
                    page_href(p, "e/%" STR_F, STR_A(url_encode(p->arena, s.id))));
    if (datetime_parse(json_text(json_get(one, S("observedAt"))), &at) &&
        at / MINUTE_US != newest / MINUTE_US)
        json_w_kstr(&p->w, S("seen"), locale_datetime(p->locale, p->arena, at));
    json_w_end(&p->w);
}

static void write_attributes(struct page *p, const struct json *stored)
{
    int64_t newest = look_updated(stored);
    json_w_key(&p->w, S("attributes"));
    json_w_array(&p->w);
    for (uint32_t i = 0; i < stored->n; i++) {
        const struct json *instances = &stored->members[i].value;
        struct str key = json_key(&stored->members[i]);
        struct str name = look_short(p->arena, key);
        if (entity_is_member(key) || str_eq(name, S("location")) || str_eq(name, S("name")))
            continue;
        for (uint32_t k = 0; k < instances->n; k++)
            write_instance(p, name, &instances->items[k], newest);
    }
    json_w_end(&p->w);
}

/* --- the drawn map --- */

enum { MAP_SHAPES = 200 };

struct drawing {
    struct page *page;
    struct buf *out;
    struct minimap map;
};

static bool add_shape(void *ctx, const struct entity_row *row, const struct json *stored)
{
    struct drawing *d = ctx;
    const struct json *location = look_value(stored, "location");
    const struct geo *g =
        location ? geo_parse(d->page->arena, location, GEO_MAX_POSITIONS, NULL) : NULL;
    (void)row;
    if (g)
        minimap_add(d->out, &d->map, g);
    return true;
}

/* Far enough to see the whole of an area or line, else the neighbourhood. */
static double map_radius(const struct geo *g)
{
    if (!g || g->kind == GEO_POINT)
        return 2500;
    double across = geo_point_distance(g->flat.west, g->flat.south, g->flat.east, g->flat.north);
    return across < 1000 ? 1000 : across;
}

static void draw_map(struct page *p, struct store_conn *c, const struct json *stored,
                     struct buf *out)
{
    static const char *const shapes[] = {"AdministrativeArea", "GtfsRoute"};
    struct drawing d = {.page = p, .out = out};
    struct error e = {0};
    if (!look_place(p->arena, stored, &d.map.lon, &d.map.lat))
        return;
    const struct geo *own =
        geo_parse(p->arena, look_value(stored, "location"), GEO_MAX_POSITIONS, NULL);
    d.map.metres = map_radius(own);
    minimap_begin(out, &d.map);
    for (size_t i = 0; i < COUNT(shapes); i++) {
        struct scan s = {.iri = ld_expand(ld_core(), p->arena, str_c(shapes[i])),
                         .limit = MAP_SHAPES};
        /* The picture is an aid: what cannot be read is not drawn. */
        if (scan_type(c, p->city->clock, &s, add_shape, &d, NULL, &e))
            break;
    }
    minimap_end(out, &d.map, own);
}

static void write_place(struct page *p, const struct json *stored, const struct buf *picture)
{
    double lon, lat;
    if (!look_place(p->arena, stored, &lon, &lat))
        return;
    json_w_key(&p->w, S("place"));
    json_w_object(&p->w);
    json_w_kstr(&p->w, S("picture"), buf_view(picture));
    json_w_kstr(&p->w, S("lat"), str_printf(p->arena, "%.6f", lat));
    json_w_kstr(&p->w, S("lon"), str_printf(p->arena, "%.6f", lon));
    json_w_kstr(&p->w, S("map"),
                page_href(p, "map?at=%.5f,%.5f,16&id=%" STR_F, lon, lat,
                          STR_A(url_encode(p->arena, entity_id(stored)))));
    json_w_end(&p->w);
}

/* --- the chart --- */

/* The attribute asked for, else the first that is a number and changes with time. */
static struct str chart_attr(struct page *p, const struct json *stored)
{
    struct str asked = request_query(p->req, "attr");
    struct str first = STR_NONE;
    for (uint32_t i = 0; i < stored->n; i++) {
        struct str key = json_key(&stored->members[i]);
        const struct json *instances = &stored->members[i].value;
        if (entity_is_member(key) || !is_number(instances))
            continue;
        if (asked.n && str_eq(look_short(p->arena, key), asked))
            return key;
        const struct json *one = instance_default(instances);
        if (!first.p && json_get(one, S("observedAt")))
            first = key;
    }
    return first;
}

static struct str chart_link(struct page *p, const struct json *stored, struct str attr,
                             const char *range)
{
    return page_href(p, "e/%" STR_F "?attr=%" STR_F "&range=%s#history",
                     STR_A(url_encode(p->arena, entity_id(stored))),
                     STR_A(url_encode(p->arena, attr)), range);
}

static void write_chart_choices(struct page *p, const struct json *stored, struct str attr,
                                size_t range)
{
    json_w_key(&p->w, S("series"));
    json_w_array(&p->w);
    for (uint32_t i = 0; i < stored->n; i++) {
        struct str key = json_key(&stored->members[i]);
        const struct json *instances = &stored->members[i].value;
        if (entity_is_member(key) || !is_number(instances))
            continue;
        struct str name = look_short(p->arena, key);
        json_w_object(&p->w);
        json_w_kstr(&p->w, S("label"), look_attr_label(p->arena, p->locale, name));
        json_w_kstr(&p->w, S("href"), chart_link(p, stored, name, ranges[range].name));
        json_w_kbool(&p->w, S("current"), str_eq(key, attr));
        json_w_end(&p->w);
    }
    json_w_end(&p->w);
    json_w_key(&p->w, S("ranges"));
    json_w_array(&p->w);
    for (size_t i = 0; i < RANGES; i++) {
        struct str key = str_printf(p->arena, "range.%s", ranges[i].name);
        json_w_object(&p->w);
        json_w_kstr(&p->w, S("label"), page_text(p, key));
        json_w_kstr(&p->w, S("href"),
                    chart_link(p, stored, look_short(p->arena, attr), ranges[i].name));
        json_w_kbool(&p->w, S("current"), i == range);
        json_w_end(&p->w);
    }
    json_w_end(&p->w);
}

static struct str number_text(struct page *p, double v)
{
    struct json n =
        json_v_double(p->arena, (double)(int64_t)(v * 100 + (v < 0 ? -0.5 : 0.5)) / 100);
    return locale_number(p->locale, p->arena, json_text(&n));
}

static void write_points(struct page *p, const struct graph *g)
{
    json_w_key(&p->w, S("points"));
    json_w_array(&p->w);
    for (size_t i = g->points.n; i-- > 0;) {
        const struct chart_point *x = &g->points.v[i];
        json_w_object(&p->w);
        json_w_kstr(&p->w, S("time"), locale_datetime(p->locale, p->arena, x->at - g->period / 2));
        json_w_ki64(&p->w, S("at"), x->at / SECOND_US);
        json_w_key(&p->w, S("value"));
        json_w_double(&p->w, x->mean);
        json_w_kstr(&p->w, S("mean"), number_text(p, x->mean));
        json_w_kstr(&p->w, S("min"), number_text(p, x->min));
        json_w_kstr(&p->w, S("max"), number_text(p, x->max));
        json_w_end(&p->w);
    }
    json_w_end(&p->w);
}

/* One sentence that says what the drawing shows. */
static struct str chart_sentence(struct page *p, const struct graph *g)
{
    double min = g->points.v[0].min, max = g->points.v[0].max;
    for (size_t i = 1; i < g->points.n; i++) {
        min = g->points.v[i].min < min ? g->points.v[i].min : min;
        max = g->points.v[i].max > max ? g->points.v[i].max : max;
    }
    struct json_member m[] = {
        json_m(S("min"), json_v_str(number_text(p, min))),
        json_m(S("max"), json_v_str(number_text(p, max))),
        json_m(S("last"), json_v_str(number_text(p, g->points.v[g->points.n - 1].mean)))};
    struct json args = json_v_object(m, COUNT(m));
    return locale_text(p->locale, p->arena, S("entity.chart.text"), &args);
}

static void write_chart(struct page *p, struct str label, size_t range, int64_t now,
                        const struct graph *g)
{
    struct buf svg = BUF_INIT;
    json_w_key(&p->w, S("chart"));
    json_w_object(&p->w);
    json_w_kstr(&p->w, S("label"), label);
    if (g->points.n) {
        struct chart c = {.points = g->points.v,
                          .n = g->points.n,
                          .from = now - ranges[range].span,
                          .to = now,
                          .gap = 6 * g->period,
                          .title = label,
                          .text = chart_sentence(p, g)};
        chart_svg(&svg, p->arena, p->locale, &c);
        json_w_kstr(&p->w, S("svg"), buf_view(&svg));
        json_w_kstr(&p->w, S("sentence"), c.text);
    }
    write_points(p, g);
    json_w_end(&p->w);
    buf_release(&svg);
}

static size_t asked_range(const struct request *req)
{
    struct str name = request_query(req, "range");
    for (size_t i = 0; i < RANGES; i++)
        if (str_eq(name, str_c(ranges[i].name)))
            return i;
    return 0;
}

/* --- the page --- */

static void write_head(struct page *p, const struct json *stored)
{
    struct str type = look_type(p->arena, stored);
    struct str iri = json_text(json_at(entity_types(stored), 0));
    int64_t updated = look_updated(stored);
    json_w_kstr(&p->w, S("id"), entity_id(stored));
    json_w_kstr(&p->w, S("type"), look_type_label(p->arena, p->locale, type));
    json_w_kstr(&p->w, S("typeHref"),
                page_href(p, "data/%" STR_F,
                          STR_A(url_encode(p->arena, ld_compact(ld_core(), p->arena, iri)))));
    json_w_kstr(&p->w, S("api"),
                str_concat(p->arena, S("/ngsi-ld/v1/entities/"),
                           url_encode(p->arena, entity_id(stored))));
    if (updated)
        json_w_kstr(&p->w, S("updated"), locale_datetime(p->locale, p->arena, updated));
    if (p->city->freshness) {
        int64_t since;
        enum fresh_state s = freshness_of(p->city->freshness, PORTAL_TENANT, stored, &since);
        json_w_kbool(&p->w, S("stale"), s == FRESH_STALE || s == FRESH_SILENT);
        json_w_kbool(&p->w, S("fresh"), s == FRESH_OK);
    }
}

/* Row and tree of the entity; false: answered. */
static bool read_entity(struct page *p, struct store_conn *c, struct str id, struct entity_row *row,
                        const struct json **stored)
{
    struct error e = {0};
    enum err err = repo_get(c, p->arena, PORTAL_TENANT, id, row, &e);
    *stored = err ? NULL : json_parse(p->arena, row->doc, &JSON_DEFAULT, &e);
    if (*stored)
        return true;
    if (err == ERR_NOT_FOUND)
        page_not_found(p);
    else
        page_fail(p, &e);
    return false;
}

static enum http_answer get_entity(struct request *req, struct response *res, void *ctx)
{
    struct error e = {0};
    struct entity_row row = {0};
    const struct json *stored;
    struct graph g = {0};
    struct buf picture = BUF_INIT;
    struct page p;
    if (!portal_page(&p, ctx, req, res, "data"))
        return HTTP_DONE;
    struct store_conn *c = page_reader(&p);
    if (!c)
        return HTTP_DONE;
    if (!read_entity(&p, c, request_param(req, "id"), &row, &stored)) {
        store_read_done(c);
        return HTTP_DONE;
    }
    int64_t now = clock_now(p.city->clock);
    size_t range = asked_range(req);
    struct str attr = chart_attr(&p, stored);
    enum err err = attr.p ? read_graph(&p, c, row.eid, attr, range, now, &g, &e) : OK;
    if (!err)
        draw_map(&p, c, stored, &picture);
    store_read_done(c);
    if (err)
        return page_fail(&p, &e);
    write_head(&p, stored);
    write_attributes(&p, stored);
    write_place(&p, stored, &picture);
    buf_release(&picture);
    if (attr.p) {
        write_chart(&p, look_attr_label(p.arena, p.locale, look_short(p.arena, attr)), range, now,
                    &g);
        write_chart_choices(&p, stored, attr, range);
    }
    return page_send_titled(&p, "entity", look_name(p.arena, p.locale, stored));
}

/* The same in short, for the panel of the map. */
static enum http_answer get_panel(struct request *req, struct response *res, void *ctx)
{
    struct entity_row row = {0};
    const struct json *stored;
    struct page p;
    if (!portal_page(&p, ctx, req, res, "map"))
        return HTTP_DONE;
    struct store_conn *c = page_reader(&p);
    if (!c)
        return HTTP_DONE;
    bool found = read_entity(&p, c, request_param(req, "id"), &row, &stored);
    store_read_done(c);
    if (!found)
        return HTTP_DONE;
    write_head(&p, stored);
    write_attributes(&p, stored);
    json_w_kstr(&p.w, S("name"), look_name(p.arena, p.locale, stored));
    json_w_kstr(&p.w, S("details"),
                page_href(&p, "e/%" STR_F, STR_A(url_encode(p.arena, entity_id(stored)))));
    return page_send_part(&p, "panel");
}

const struct route entity_routes[] = {
    {"GET", "/{lang}/e/{id}", get_entity, ROUTE_HIDDEN},
    {"GET", "/{lang}/e/{id}/panel", get_panel, ROUTE_HIDDEN},
};
const size_t entity_routes_n = COUNT(entity_routes);
