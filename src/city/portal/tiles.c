#include "tiles.h"
#include "core/vec.h"
#include "look.h"
#include "mvt.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    TYPES_MAX = 40,       /* in one layer */
    FEATURES_MAX = 20000, /* in one tile */
    CELLS = 8,            /* clusters along one side of a tile */
    CATCH_UP_MAX = 5000,  /* journal rows looked at singly; more than that: all is new */
    TILE_MS = 8000
};

struct tile {
    struct str key; /* "layer/z/x/y" */
    int64_t version;
    struct str body;
    struct tile *newer, *older; /* by last use */
};

struct tiles {
    const struct city *city;
    const struct portal_options *options;
    pthread_mutex_t lock; /* of everything below */
    struct arena arena;   /* of the versions */
    struct map versions;  /* type IRI to int64_t *: journal row of its newest visible change */
    int64_t base;         /* version of a type that is not there */
    int64_t newest;       /* version of all types together */
    int64_t seen;         /* journal read up to */
    bool started;
    struct map cache;
    struct tile *first, *last; /* most and least recently used */
    size_t bytes;
};

/* --- versions --- */

static bool shows_on_map(struct arena *a, struct str attr)
{
    static const char *const names[] = {"location", "name", "status", "category",
                                        "operationalStatus"};
    struct str name = look_short(a, attr);
    for (size_t i = 0; i < COUNT(names); i++)
        if (str_eq(name, str_c(names[i])))
            return true;
    return false;
}

static void touch(struct tiles *t, struct str type, int64_t seq)
{
    int64_t *v = map_get(&t->versions, type);
    if (!v) {
        v = ARENA_NEW(&t->arena, int64_t);
        map_put(&t->versions, str_dup(&t->arena, type), v);
    }
    *v = seq;
    t->newest = seq;
}

static void all_is_new(struct tiles *t, int64_t newest)
{
    map_release(&t->versions);
    arena_release(&t->arena);
    t->base = t->newest = t->seen = newest;
    t->started = true;
}

static bool follow(void *ctx, const struct journal_row *row)
{
    struct tiles *t = ctx;
    struct arena a = ARENA_INIT;
    struct entity_event ev = {0};
    struct error e = {0};
    t->seen = row->seq;
    if (str_eq(row->topic, S("access"))) /* other things may be open now */
        all_is_new(t, row->seq);
    if (str_eq(row->topic, S("entity")) && !entity_event_parse(&a, row->body, &ev, &e)) {
        bool visible = ev.op != EVENT_UPDATED;
        for (size_t i = 0; !visible && i < ev.changes.n; i++)
            visible = shows_on_map(&a, ev.changes.v[i].attr);
        const struct json *types = visible ? entity_types(ev.doc) : NULL;
        for (size_t i = 0; types && i < types->n; i++)
            touch(t, json_text(&types->items[i]), row->seq);
    }
    arena_release(&a);
    return true;
}

/* Under the lock. */
static enum err catch_up(struct tiles *t, struct error *e)
{
    int64_t oldest, newest;
    struct store_conn *c = portal_read(t->city, e);
    if (!c)
        return e->code;
    enum err err = journal_range(c, PORTAL_TENANT, &oldest, &newest, e);
    if (!err && (!t->started || newest - t->seen > CATCH_UP_MAX))
        all_is_new(t, newest);
    else if (!err && newest > t->seen)
        err = journal_read(c, PORTAL_TENANT, t->seen, CATCH_UP_MAX, follow, t, e);
    if (err == ERR_NOT_FOUND) {
        all_is_new(t, newest);
        err = OK;
    }
    store_read_done(c);
    return err;
}

/* The types of a layer; 0 of them means all. */
static enum err layer_types(struct arena *a, struct str layer, struct str types[TYPES_MAX],
                            size_t *n, struct error *e)
{
    struct str name;
    *n = 0;
    if (str_eq(layer, S("all")))
        return OK;
    while (str_split(&layer, ',', &name)) {
        if (!name.n || *n == TYPES_MAX)
            return error_set(e, ERR_INVALID, "a layer is \"all\" or at most %d types", TYPES_MAX);
        types[(*n)++] = ld_expand(ld_core(), a, name);
    }
    return *n ? OK : error_set(e, ERR_INVALID, "a layer needs a name");
}

enum err tiles_version(struct tiles *t, struct str layer, int64_t *version, struct error *e)
{
    struct arena a = ARENA_INIT;
    struct str types[TYPES_MAX];
    size_t n;
    enum err err = layer_types(&a, layer, types, &n, e);
    if (!err) {
        pthread_mutex_lock(&t->lock);
        err = catch_up(t, e);
        *version = n ? t->base : t->newest;
        for (size_t i = 0; i < n; i++) {
            const int64_t *v = map_get(&t->versions, types[i]);
            if (v && *v > *version)
                *version = *v;
        }
        pthread_mutex_unlock(&t->lock);
    }
    arena_release(&a);
    return err;
}

/* --- the cache; all under the lock --- */

static void unlink_tile(struct tiles *t, struct tile *x)
{
    *(x->newer ? &x->newer->older : &t->first) = x->older;
    *(x->older ? &x->older->newer : &t->last) = x->newer;
    x->newer = x->older = NULL;
}

static void link_first(struct tiles *t, struct tile *x)
{
    x->older = t->first;
    *(t->first ? &t->first->newer : &t->last) = x;
    t->first = x;
}

static size_t weight(const struct tile *x)
{
    return sizeof(*x) + x->key.n + x->body.n + 128;
}

static void drop(struct tiles *t, struct tile *x)
{
    map_del(&t->cache, x->key);
    unlink_tile(t, x);
    t->bytes -= weight(x);
    free(x);
}

static bool cache_get(struct tiles *t, struct arena *a, struct str key, int64_t version,
                      struct str *out)
{
    pthread_mutex_lock(&t->lock);
    struct tile *x = map_get(&t->cache, key);
    bool hit = x && x->version == version;
    if (hit) {
        *out = str_dup(a, x->body);
        unlink_tile(t, x);
        link_first(t, x);
    }
    pthread_mutex_unlock(&t->lock);
    return hit;
}

static void cache_put(struct tiles *t, struct str key, int64_t version, struct str body)
{
    struct tile *x = malloc(sizeof(*x) + key.n + body.n + 1);
    if (!x)
        return;
    char *text = (char *)(x + 1);
    memcpy(text, key.p, key.n);
    if (body.n)
        memcpy(text + key.n, body.p, body.n);
    *x = (struct tile){.key = str_n(text, key.n),
                       .version = version,
                       .body = str_n(text + key.n, body.n)};
    pthread_mutex_lock(&t->lock);
    struct tile *old = map_get(&t->cache, key);
    if (old)
        drop(t, old);
    map_put(&t->cache, x->key, x);
    link_first(t, x);
    t->bytes += weight(x);
    while (t->last && t->bytes > (size_t)t->options->tile_cache_bytes)
        drop(t, t->last);
    pthread_mutex_unlock(&t->lock);
}

/* --- making one --- */

struct mark {
    struct str id, name, type, status, category;
};

struct cluster {
    uint64_t count;
    double x, y; /* sums */
    struct mark first;
    bool mixed; /* of several types */
};

struct making {
    struct mvt mvt;
    struct arena *arena;
    bool together; /* neighbouring points become one */
    size_t n;
    struct cluster cells[CELLS][CELLS];
};

static struct str plain(const struct json *stored, const char *name)
{
    const struct json *v = look_value(stored, name);
    if (json_is(v, JSON_ARRAY))
        v = json_at(v, 0);
    if (json_is(v, JSON_OBJECT))
        v = json_get(v, S("ja")) ? json_get(v, S("ja")) : json_get(v, S("@value"));
    return json_text(v);
}

static struct mark mark_of(struct arena *a, const struct json *stored)
{
    struct str status = plain(stored, "status");
    return (struct mark){.id = str_dup(a, entity_id(stored)),
                         .name = str_dup(a, plain(stored, "name")),
                         .type = str_dup(a, look_type(a, stored)),
                         .status =
                             str_dup(a, status.p ? status : plain(stored, "operationalStatus")),
                         .category = str_dup(a, plain(stored, "category"))};
}

static void label_feature(struct making *m, struct mvt_feature *f, const struct mark *k)
{
    mvt_text(&m->mvt, f, S("id"), k->id);
    mvt_text(&m->mvt, f, S("type"), k->type);
    if (k->name.n)
        mvt_text(&m->mvt, f, S("name"), k->name);
    if (k->status.n)
        mvt_text(&m->mvt, f, S("status"), k->status);
    if (k->category.n)
        mvt_text(&m->mvt, f, S("category"), k->category);
}

static void add_to_cluster(struct making *m, double px, double py, const struct mark *k)
{
    struct cluster *c = &m->cells[(size_t)py * CELLS / MVT_EXTENT][(size_t)px * CELLS / MVT_EXTENT];
    if (c->count == 0)
        c->first = *k;
    else if (!str_eq(c->first.type, k->type))
        c->mixed = true;
    c->count++;
    c->x += px;
    c->y += py;
}

static bool add_entity(void *ctx, const struct entity_row *row, const struct json *stored)
{
    struct making *m = ctx;
    const struct json *location = look_value(stored, "location");
    const struct geo *g = location ? geo_parse(m->arena, location, GEO_MAX_POSITIONS, NULL) : NULL;
    if (!g)
        return true;
    struct mark k = mark_of(m->arena, stored);
    if (g->kind == GEO_POINT && m->together) {
        double px, py;
        mvt_project(m->mvt.z, m->mvt.x, m->mvt.y, g->parts[0].rings[0].xy[0],
                    g->parts[0].rings[0].xy[1], &px, &py);
        if (px >= 0 && px < MVT_EXTENT && py >= 0 && py < MVT_EXTENT)
            add_to_cluster(m, px, py, &k);
        return true;
    }
    struct mvt_feature *f = mvt_add(&m->mvt, g);
    if (!f)
        return true;
    f->id = (uint64_t)row->eid;
    label_feature(m, f, &k);
    return ++m->n < FEATURES_MAX;
}

static void write_clusters(struct making *m)
{
    for (size_t i = 0; i < (size_t)CELLS * CELLS; i++) {
        const struct cluster *c = &m->cells[i / CELLS][i % CELLS];
        if (!c->count)
            continue;
        struct mvt_feature *f = mvt_add_point(&m->mvt, (int32_t)(c->x / (double)c->count),
                                              (int32_t)(c->y / (double)c->count));
        if (c->count == 1) {
            label_feature(m, f, &c->first);
            continue;
        }
        mvt_number(&m->mvt, f, S("count"), (double)c->count);
        if (!c->mixed)
            mvt_text(&m->mvt, f, S("type"), c->first.type);
    }
}

static const struct type_node *type_condition(struct arena *a, const struct str *types, size_t n,
                                              struct error *e)
{
    struct buf text = BUF_INIT;
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_char(&text, ',');
        buf_str(&text, types[i]);
    }
    const struct type_node *t =
        query_parse_types(a, buf_dup(&text, a), ld_core(), &QUERY_DEFAULT, e);
    buf_release(&text);
    return t;
}

static enum err read_tile(struct tiles *t, struct making *m, const struct str *types, size_t n,
                          struct error *e)
{
    struct arena *a = m->arena;
    struct geo_box b = mvt_box(m->mvt.z, m->mvt.x, m->mvt.y);
    struct geo_query geo = {0};
    struct entity_query query = {.geo = &geo};
    struct store_conn *c = NULL;
    struct str ring =
        str_printf(a, "[[[%.9f,%.9f],[%.9f,%.9f],[%.9f,%.9f],[%.9f,%.9f],[%.9f,%.9f]]]", b.west,
                   b.south, b.east, b.south, b.east, b.north, b.west, b.north, b.west, b.south);
    enum err err =
        query_parse_geo(a, S("intersects"), S("Polygon"), ring, STR_NONE, ld_core(), &geo, e);
    if (err)
        return err;
    if (n && !(query.types = type_condition(a, types, n, e))) {
        err = e->code;
        goto out;
    }
    c = portal_read(t->city, e);
    if (!c) {
        err = e->code;
        goto out;
    }
    struct repo_result result;
    struct repo_query q = {.query = &query,
                           .tenant = PORTAL_TENANT,
                           .limit = UINT64_MAX,
                           .clock = t->city->clock,
                           .deadline = clock_steady(t->city->clock) + TILE_MS * INT64_C(1000)};
    err = repo_query(c, &q, add_entity, m, &result, e);
out:
    if (c)
        store_read_done(c);
    geo_query_release(&geo);
    return err;
}

static struct str tile_key(struct arena *a, struct str layer, int z, int64_t x, int64_t y)
{
    return str_printf(a, "%" STR_F "/%d/%lld/%lld", STR_A(layer), z, (long long)x, (long long)y);
}

enum err tiles_make(struct tiles *t, struct arena *a, struct str layer, int z, int64_t x, int64_t y,
                    struct str *out, struct error *e)
{
    struct str types[TYPES_MAX];
    struct arena work = ARENA_INIT;
    struct buf body = BUF_INIT;
    int64_t version;
    size_t n;
    if (z < 0 || z > MVT_ZOOM_MAX || x < 0 || y < 0 || x >= INT64_C(1) << z || y >= INT64_C(1) << z)
        return error_set(e, ERR_NOT_FOUND, "no tile %d/%lld/%lld", z, (long long)x, (long long)y);
    enum err err = tiles_version(t, layer, &version, e);
    struct str key =
        str_printf(a, "%" STR_F "/%d/%lld/%lld", STR_A(layer), z, (long long)x, (long long)y);
    if (err || cache_get(t, a, key, version, out))
        return err;
    struct making *m = ARENA_NEW(&work, struct making);
    err = layer_types(&work, layer, types, &n, e);
    m->arena = &work;
    m->together = z < t->options->cluster_below_zoom;
    mvt_begin(&m->mvt, &work, n == 1 ? layer : S("all"), z, x, y);
    if (!err)
        err = read_tile(t, m, types, n, e);
    write_clusters(m);
    mvt_write(&m->mvt, &body);
    if (!err) {
        *out = body.n ? buf_dup(&body, a) : S("");
        cache_put(t, key, version, *out);
    }
    buf_release(&body);
    arena_release(&work);
    return err;
}

/* --- the route --- */

struct tile_request {
    struct tiles *tiles;
    struct request *req;
    struct response *res;
    int64_t version;
};

static void send_tile(struct tile_request *r, struct str body)
{
    struct request *req = r->req;
    response_body(req, r->res, 200, "application/vnd.mapbox-vector-tile", body);
    r->res->etag = str_printf(req->arena, "\"%lld\"", (long long)r->version);
    response_header(req, r->res, "Cache-Control", S("no-cache"));
}

static void answer_tile(void *ctx)
{
    struct tile_request *r = ctx;
    struct request *req = r->req;
    struct error e = {0};
    struct str body = STR_NONE;
    enum err err = tiles_make(r->tiles, req->arena, request_param(req, "layer"),
                              (int)request_param_int(req, "z"), request_param_int(req, "x"),
                              request_param_int(req, "y"), &body, &e);
    if (err)
        response_error(req, r->res, &e);
    else
        send_tile(r, body);
    http_resume(req);
}

static enum http_answer get_tile(struct request *req, struct response *res, void *ctx)
{
    struct error e = {0};
    struct tile_request *r = ARENA_NEW(req->arena, struct tile_request);
    *r = (struct tile_request){.tiles = ctx, .req = req, .res = res};
    int64_t z = request_param_int(req, "z");
    enum err err = z > MVT_ZOOM_MAX
                       ? error_set(&e, ERR_NOT_FOUND, "no tile at zoom %lld", (long long)z)
                       : tiles_version(r->tiles, request_param(req, "layer"), &r->version, &e);
    if (err) {
        response_error(req, res, &e);
        return HTTP_DONE;
    }
    struct str etag = str_printf(req->arena, "\"%lld\"", (long long)r->version);
    if (http_etag_listed(request_header(req, "If-None-Match"), etag)) {
        response_empty(res, 304);
        res->etag = etag;
        return HTTP_DONE;
    }
    struct str key = tile_key(req->arena, request_param(req, "layer"), (int)z,
                              request_param_int(req, "x"), request_param_int(req, "y"));
    struct str body;
    if (cache_get(r->tiles, req->arena, key, r->version, &body)) {
        send_tile(r, body);
        return HTTP_DONE;
    }
    if (pool_submit(r->tiles->city->pool, answer_tile, r) == OK)
        return HTTP_LATER;
    error_set(&e, ERR_UNAVAILABLE, "too many tiles are being drawn; try again soon");
    response_error(req, res, &e);
    return HTTP_DONE;
}

static const struct route routes[] = {
    {"GET", "/tiles/{layer}/{z:int}/{x:int}/{y:int}.mvt", get_tile, ROUTE_PUBLIC_CORS},
};

void tiles_routes(struct tiles *t, struct router *r)
{
    router_add(r, routes, COUNT(routes), t);
}

struct tiles *tiles_new(const struct city *city, const struct portal_options *o, struct error *e)
{
    struct tiles *t = calloc(1, sizeof(*t));
    if (!t) {
        error_set(e, ERR_INTERNAL, "out of memory");
        return NULL;
    }
    t->city = city;
    t->options = o;
    pthread_mutex_init(&t->lock, NULL);
    return t;
}

void tiles_free(struct tiles *t)
{
    while (t->first)
        drop(t, t->first);
    map_release(&t->cache);
    map_release(&t->versions);
    arena_release(&t->arena);
    pthread_mutex_destroy(&t->lock);
    free(t);
}
