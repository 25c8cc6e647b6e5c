/*
 * The first screen: what the city is like right now, what needs attention, where to go on.
 *
 * The figures scan their entities; they are worked out at most once in FIGURES_S and shared by all
 * readers.
 */
#include "datasets.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIGURES_S = 2, CITY_S = 30, ALERTS_MAX = 5, TOP_DATASETS = 6, SHELTERS_MAX = 8 };

enum how { HOW_SUM, HOW_MEAN, HOW_OPEN };

/* What can be said in one number. Shown when entities of the type have the attribute. */
static const struct figure {
    const char *type, *attr, *key; /* key: figure.KEY in the catalogue */
    enum how how;
    int decimals;
    const char *unit;
} figures[] = {
    {"EvacuationShelter", "status", "shelters", HOW_OPEN, 0, ""},
    {"EvacuationShelter", "occupancy", "evacuees", HOW_SUM, 0, ""},
    {"WeatherObserved", "temperature", "temperature", HOW_MEAN, 1, "°C"},
    {"WeatherObserved", "precipitation", "rain", HOW_MEAN, 1, "mm"},
    {"AirQualityObserved", "pm25", "pm25", HOW_MEAN, 1, "µg/m³"},
    {"BikeHireDockingStation", "availableBikeNumber", "bikes", HOW_SUM, 0, ""},
    {"OffStreetParking", "availableSpotNumber", "parking", HOW_SUM, 0, ""},
};
enum { FIGURES = COUNT(figures) };

struct value {
    uint64_t n; /* entities that count */
    uint64_t open;
    double sum;
    int64_t updated;
};

struct shelter {
    struct str id, name;
    bool open;
    double occupancy, capacity; /* -1: unknown */
};

struct home {
    pthread_mutex_t lock;
    int64_t at; /* steady clock; 0: never */
    struct value values[FIGURES];
    int64_t city_at;
    char city[200], city_en[200]; /* "": unknown */
};

struct home *home_new(void)
{
    struct home *h = calloc(1, sizeof(*h));
    if (!h)
        abort();
    pthread_mutex_init(&h->lock, NULL);
    return h;
}

void home_free(struct home *h)
{
    pthread_mutex_destroy(&h->lock);
    free(h);
}

/* --- the city's name --- */

/* The area that is part of no other one. */
static bool take_city(void *ctx, const struct entity_row *row, const struct json *stored)
{
    struct home *h = ctx;
    (void)row;
    if (look_attr(stored, "partOf"))
        return true;
    struct str name = look_plain(stored, "name"), en = look_plain(stored, "nameEn");
    snprintf(h->city, sizeof(h->city), "%" STR_F, STR_A(str_cut(name, sizeof(h->city) - 1)));
    snprintf(h->city_en, sizeof(h->city_en), "%" STR_F,
             STR_A(str_cut(en.n ? en : name, sizeof(h->city_en) - 1)));
    return false;
}

struct str home_city(struct home *h, struct portal *p, struct arena *a, const struct locale *l)
{
    struct error e = {0};
    int64_t now = clock_steady(p->city.clock);
    pthread_mutex_lock(&h->lock);
    if (!h->city_at || now - h->city_at > CITY_S * SECOND_US) {
        struct scan s = {.iri = ld_expand(ld_core(), a, S("AdministrativeArea")), .limit = 100};
        struct store_conn *c = portal_read(&p->city, &e);
        h->city_at = now;
        if (c && !scan_type(c, p->city.clock, &s, take_city, h, NULL, &e) && !h->city[0])
            h->city_at = 0; /* it may be loaded any moment */
        if (c)
            store_read_done(c);
    }
    bool own = str_starts(l->html, S("ja")) || str_starts(l->html, S("zh"));
    struct str name = str_dup(a, str_c(own ? h->city : h->city_en));
    pthread_mutex_unlock(&h->lock);
    return name;
}

/* --- figures --- */

struct counting {
    const char *type;
    struct value *values;
};

static void count_one(const struct figure *f, struct value *v, const struct json *stored)
{
    const struct json *x = look_value(stored, f->attr);
    double number;
    int64_t at = look_updated(stored);
    if (f->how == HOW_OPEN) {
        struct str status = json_text(x);
        v->n += status.n > 0;
        v->open += str_eq(status, S("open"));
    } else if (json_double(x, &number)) {
        v->n++;
        v->sum += number;
    } else {
        return;
    }
    v->updated = at > v->updated ? at : v->updated;
}

static bool count_entity(void *ctx, const struct entity_row *row, const struct json *stored)
{
    struct counting *c = ctx;
    (void)row;
    for (size_t i = 0; i < FIGURES; i++)
        if (!strcmp(figures[i].type, c->type))
            count_one(&figures[i], &c->values[i], stored);
    return true;
}

static enum err count_all(struct page *p, struct store_conn *conn, struct value values[FIGURES],
                          struct error *e)
{
    memset(values, 0, FIGURES * sizeof(*values));
    for (size_t i = 0; i < FIGURES; i++) {
        if (i && !strcmp(figures[i].type, figures[i - 1].type))
            continue; /* types stand together: one scan each */
        struct counting c = {figures[i].type, values};
        struct scan s = {.iri = ld_expand(ld_core(), p->arena, str_c(c.type)), .limit = UINT64_MAX};
        enum err err = scan_type(conn, p->city->clock, &s, count_entity, &c, NULL, e);
        if (err)
            return err;
    }
    return OK;
}

static enum err get_figures(struct page *p, struct store_conn *c, struct value values[FIGURES],
                            struct error *e)
{
    struct home *h = portal_of(p)->home;
    int64_t now = clock_steady(p->city->clock);
    pthread_mutex_lock(&h->lock);
    bool known = h->at && now - h->at < FIGURES_S * SECOND_US;
    if (known)
        memcpy(values, h->values, sizeof(h->values));
    pthread_mutex_unlock(&h->lock);
    if (known)
        return OK;
    enum err err = count_all(p, c, values, e);
    if (err)
        return err;
    pthread_mutex_lock(&h->lock);
    memcpy(h->values, values, sizeof(h->values));
    h->at = now;
    pthread_mutex_unlock(&h->lock);
    return OK;
}

static struct str figure_text(struct page *p, const struct figure *f, const struct value *v)
{
    double x = f->how == HOW_SUM    ? v->sum
               : f->how == HOW_MEAN ? v->sum / (double)v->n
                                    : (double)v->open;
    return locale_number(p->locale, p->arena, str_printf(p->arena, "%.*f", f->decimals, x));
}

static void write_figures(struct page *p, const struct value values[FIGURES])
{
    int64_t newest = 0;
    json_w_key(&p->w, S("figures"));
    json_w_array(&p->w);
    for (size_t i = 0; i < FIGURES; i++) {
        const struct figure *f = &figures[i];
        if (!values[i].n)
            continue;
        newest = values[i].updated > newest ? values[i].updated : newest;
        json_w_object(&p->w);
        json_w_kstr(&p->w, S("label"),
                    page_text(p, str_c(arena_printf(p->arena, "figure.%s", f->key))));
        json_w_kstr(&p->w, S("value"), figure_text(p, f, &values[i]));
        json_w_kstr(&p->w, S("unit"),
                    f->unit[0]
                        ? str_c(f->unit)
                        : page_text(p, str_c(arena_printf(p->arena, "figure.%s.unit", f->key))));
        json_w_kstr(&p->w, S("href"), page_href(p, "data/%s", f->type));
        json_w_end(&p->w);
    }
    json_w_end(&p->w);
    if (newest)
        json_w_kstr(&p->w, S("updated"), locale_datetime(p->locale, p->arena, newest));
}

/* --- what needs attention --- */

struct notices {
    struct page *page;
    size_t n;
};

static bool write_alert(void *ctx, const struct entity_row *row, const struct json *stored)
{
    struct notices *x = ctx;
    struct page *p = x->page;
    int64_t at;
    (void)row;
    /* Alarms about sources stand in the list of stale data instead. */
    if (look_value(stored, "validTo") || str_eq(look_plain(stored, "category"), S("dataSource")))
        return true;
    struct str text = look_plain(stored, "description");
    json_w_object(&p->w);
    json_w_kstr(&p->w, S("title"), look_name(p->arena, p->locale, stored));
    json_w_kstr(&p->w, S("text"), text);
    json_w_kstr(&p->w, S("href"),
                page_href(p, "e/%" STR_F, STR_A(url_encode(p->arena, entity_id(stored)))));
    if (datetime_parse(look_plain(stored, "dateIssued"), &at))
        json_w_kstr(&p->w, S("issued"), locale_datetime(p->locale, p->arena, at));
    json_w_end(&p->w);
    return ++x->n < ALERTS_MAX;
}

static bool write_stale(void *ctx, const struct source_status *s)
{
    struct notices *x = ctx;
    struct page *p = x->page;
    if (s->state != FRESH_STALE && s->state != FRESH_SILENT)
        return true;
    json_w_object(&p->w);
    json_w_kstr(&p->w, S("name"), s->name);
    if (s->last_update)
        json_w_kstr(&p->w, S("since"), locale_datetime(p->locale, p->arena, s->last_update));
    json_w_end(&p->w);
    return ++x->n < ALERTS_MAX;
}

static enum err write_notices(struct page *p, struct store_conn *c, struct error *e)
{
    struct notices alerts = {p, 0}, stale = {p, 0};
    struct scan s = {.iri = ld_expand(ld_core(), p->arena, S("Alert")), .limit = 1000};
    json_w_key(&p->w, S("alerts"));
    json_w_array(&p->w);
    enum err err = scan_type(c, p->city->clock, &s, write_alert, &alerts, NULL, e);
    json_w_end(&p->w);
    json_w_key(&p->w, S("stale"));
    json_w_array(&p->w);
    if (p->city->freshness)
        freshness_each(p->city->freshness, PORTAL_TENANT, write_stale, &stale);
    json_w_end(&p->w);
    return err;
}

/* --- shelters: those that are open, fullest first --- */

struct shelters {
    struct page *page;
    VEC(struct shelter) open;
    uint64_t all;
};

static bool take_shelter(void *ctx, const struct entity_row *row, const struct json *stored)
{
    struct shelters *x = ctx;
    struct arena *a = x->page->arena;
    struct str status = look_plain(stored, "status");
    (void)row;
    x->all++;
    if (!str_eq(status, S("open")))
        return true;
    struct shelter *s = vec_push(a, &x->open);
    *s = (struct shelter){.id = str_dup(a, entity_id(stored)),
                          .name = str_dup(a, look_name(a, x->page->locale, stored)),
                          .open = true};
    if (!json_double(look_value(stored, "occupancy"), &s->occupancy))
        s->occupancy = -1;
    if (!json_double(look_value(stored, "capacity"), &s->capacity))
        s->capacity = -1;
    return true;
}

static double fullness(const struct shelter *s)
{
    return s->occupancy >= 0 && s->capacity > 0 ? s->occupancy / s->capacity : -1;
}

static int by_fullness(const void *x, const void *y)
{
    double a = fullness(x), b = fullness(y);
    return a < b   ? 1
           : a > b ? -1
                   : str_cmp(((const struct shelter *)x)->name, ((const struct shelter *)y)->name);
}

static const char *crowding(const struct shelter *s)
{
    double f = fullness(s);
    return f < 0 ? "open" : f >= 1 ? "full" : f >= 0.7 ? "crowded" : "open";
}

static void write_shelter(struct page *p, const struct shelter *s)
{
    const char *state = crowding(s);
    json_w_object(&p->w);
    json_w_kstr(&p->w, S("name"), s->name);
    json_w_kstr(&p->w, S("href"), page_href(p, "e/%" STR_F, STR_A(url_encode(p->arena, s->id))));
    json_w_kstr(&p->w, S("state"), str_c(state));
    json_w_kstr(&p->w, S("label"),
                page_text(p, str_c(arena_printf(p->arena, "shelter.%s", state))));
    if (s->occupancy >= 0)
        json_w_kstr(&p->w, S("people"),
                    locale_number(p->locale, p->arena, str_printf(p->arena, "%.0f", s->occupancy)));
    if (s->capacity > 0)
        json_w_kstr(&p->w, S("capacity"),
                    locale_number(p->locale, p->arena, str_printf(p->arena, "%.0f", s->capacity)));
    json_w_end(&p->w);
}

static enum err write_shelters(struct page *p, struct store_conn *c, struct error *e)
{
    struct shelters x = {.page = p};
    struct scan s = {.iri = ld_expand(ld_core(), p->arena, S("EvacuationShelter")),
                     .limit = UINT64_MAX};
    enum err err = scan_type(c, p->city->clock, &s, take_shelter, &x, NULL, e);
    if (err || !x.all)
        return err;
    if (x.open.n)
        qsort(x.open.v, x.open.n, sizeof(*x.open.v), by_fullness);
    json_w_key(&p->w, S("shelters"));
    json_w_object(&p->w);
    json_w_key(&p->w, S("open"));
    json_w_array(&p->w);
    for (size_t i = 0; i < x.open.n && i < SHELTERS_MAX; i++)
        write_shelter(p, &x.open.v[i]);
    json_w_end(&p->w);
    json_w_kbool(&p->w, S("none"), x.open.n == 0);
    json_w_kstr(&p->w, S("href"), page_href(p, "data/EvacuationShelter"));
    json_w_end(&p->w);
    return OK;
}

/* --- pages --- */

static int by_size(const void *x, const void *y)
{
    const struct dataset *a = x, *b = y;
    if (a->internal != b->internal)
        return a->internal - b->internal;
    return a->entities < b->entities ? 1 : a->entities > b->entities ? -1 : 0;
}

static void write_top(struct page *p, struct datasets *list)
{
    int64_t places = 0, sets = 0;
    if (list->all.n)
        qsort(list->all.v, list->all.n, sizeof(*list->all.v), by_size);
    json_w_key(&p->w, S("top"));
    json_w_array(&p->w);
    for (size_t i = 0; i < list->all.n; i++) {
        const struct dataset *d = &list->all.v[i];
        if (d->internal)
            continue;
        sets++;
        places += d->entities;
        if (sets > TOP_DATASETS)
            continue;
        json_w_object(&p->w);
        dataset_write(p, d);
        json_w_end(&p->w);
    }
    json_w_end(&p->w);
    json_w_ki64(&p->w, S("places"), places);
    json_w_ki64(&p->w, S("sets"), sets);
    json_w_kbool(&p->w, S("empty"), sets == 0);
}

/* What both the page and its refreshed part show. */
static enum err write_now(struct page *p, struct store_conn *c, struct error *e)
{
    struct value values[FIGURES];
    enum err err = get_figures(p, c, values, e);
    if (err)
        return err;
    write_figures(p, values);
    err = write_notices(p, c, e);
    return err ? err : write_shelters(p, c, e);
}

static enum http_answer get_home(struct request *req, struct response *res, void *ctx)
{
    struct error e = {0};
    struct datasets list;
    struct page p;
    if (!portal_page(&p, ctx, req, res, "home"))
        return HTTP_DONE;
    struct store_conn *c = page_reader(&p);
    if (!c)
        return HTTP_DONE;
    enum err err = write_now(&p, c, &e);
    if (!err)
        err = datasets_list(&p, c, &list, &e);
    store_read_done(c);
    if (err)
        return page_fail(&p, &e);
    write_top(&p, &list);
    return page_send(&p, "home", S("home.title"));
}

/* The part of the first screen that changes, for the island that keeps it alive. */
static enum http_answer get_now(struct request *req, struct response *res, void *ctx)
{
    struct error e = {0};
    struct page p;
    if (!portal_page(&p, ctx, req, res, "home"))
        return HTTP_DONE;
    struct store_conn *c = page_reader(&p);
    if (!c)
        return HTTP_DONE;
    enum err err = write_now(&p, c, &e);
    store_read_done(c);
    return err ? page_fail(&p, &e) : page_send_part(&p, "part/now");
}

static enum http_answer get_about(struct request *req, struct response *res, void *ctx)
{
    struct page p;
    if (!portal_page(&p, ctx, req, res, "about"))
        return HTTP_DONE;
    return page_send(&p, "about", S("about.title"));
}

const struct route home_routes[] = {
    {"GET", "/{lang}", get_home, ROUTE_HIDDEN},
    {"GET", "/{lang}/now", get_now, ROUTE_HIDDEN},
    {"GET", "/{lang}/about", get_about, ROUTE_HIDDEN},
};
const size_t home_routes_n = COUNT(home_routes);
