/*
 * /link/v1/export.ndjson, .geojson and .csv: everything that a selection matches as one download.
 *
 * The answer is made while it is sent, some entities at a time, each from a snapshot of its own and
 * after the row where the last one ended: a long download holds no snapshot and no memory.
 */
#include "api_select.h"
#include "core/map.h"
#include "csv_out.h"
#include "link/access.h"

enum { EXPORT_CHUNK = 64, EXPORT_COLUMNS = 500, EXPORT_LOOK = 200 };

enum export_kind { EXPORT_NDJSON, EXPORT_GEOJSON, EXPORT_CSV };

struct export
{
    struct api c;
    enum export_kind kind;
    struct api_select select;
    struct entity_view view;
    VEC(struct str) columns; /* CSV: attribute IRIs */
    struct arena arena;      /* of one chunk */
    struct buf out;          /* made, not yet sent from .at on */
    size_t at;
    int64_t last;
    uint64_t given;
    bool ended;
};

/* --- CSV (RFC 4180) --- */

static bool collect_columns(void *ctx, const struct entity_row *row, const struct json *stored)
{
    struct export *x = ctx;
    (void)row;
    for (uint32_t i = 0; i < stored->n; i++) {
        struct str iri = json_key(&stored->members[i]);
        bool known = entity_is_member(iri);
        for (size_t k = 0; k < x->columns.n && !known; k++)
            known = str_eq(x->columns.v[k], iri);
        if (!known && x->columns.n < EXPORT_COLUMNS)
            *vec_push(x->c.arena, &x->columns) = str_dup(x->c.arena, iri);
    }
    return true;
}

static void csv_head(struct export *x)
{
    BUF_LIT(&x->out, "\xef\xbb\xbfid,type");
    for (size_t i = 0; i < x->columns.n; i++) {
        buf_char(&x->out, ',');
        csv_field(&x->out, ld_compact(x->c.ctx, x->c.arena, x->columns.v[i]));
    }
    BUF_LIT(&x->out, "\r\n");
}

static void csv_row(struct export *x, const struct json *stored)
{
    const struct json *types = entity_types(stored);
    csv_field(&x->out, entity_id(stored));
    buf_char(&x->out, ',');
    for (uint32_t i = 0; types && i < types->n; i++) {
        if (i)
            buf_char(&x->out, ' ');
        csv_field(&x->out, ld_compact(x->c.ctx, &x->arena, json_text(&types->items[i])));
    }
    for (size_t i = 0; i < x->columns.n; i++) {
        const struct json *instances = entity_attr(stored, x->columns.v[i]);
        buf_char(&x->out, ',');
        if (instances)
            csv_field(&x->out, csv_value(&x->arena, instances));
    }
    BUF_LIT(&x->out, "\r\n");
}

/* --- chunks --- */

static bool each(void *ctx, const struct entity_row *row, const struct json *stored)
{
    struct export *x = ctx;
    x->last = row->eid;
    if (api_expired(&x->c, stored))
        return true;
    if (x->kind == EXPORT_CSV) {
        csv_row(x, stored);
    } else {
        if (x->kind == EXPORT_GEOJSON && x->given)
            buf_char(&x->out, ',');
        entity_write(&x->out, &x->arena, stored, &x->view);
        if (x->kind == EXPORT_NDJSON)
            buf_char(&x->out, '\n');
    }
    x->given++;
    return true;
}

static enum err query(struct export *x, uint64_t limit,
                      bool (*fn)(void *, const struct entity_row *, const struct json *),
                      struct repo_result *result, struct error *e)
{
    int64_t tenant;
    struct link *l = x->c.link;
    struct store_conn *conn = store_read(l->store, e);
    if (!conn)
        return e->code;
    enum err err = repo_tenant(conn, x->c.tenant, &tenant, e);
    if (!err)
        store_set_view(conn, api_sight(&x->c, tenant));
    struct repo_query q = {.query = &x->select.query,
                           .tenant = tenant,
                           .after = x->last,
                           .limit = limit,
                           .clock = l->clock,
                           .deadline = clock_steady(l->clock) + l->options.query_ms * 1000};
    if (!err)
        err = repo_query(conn, &q, fn, x, result, e);
    store_read_done(conn);
    return err;
}

static bool more(struct export *x)
{
    struct error e;
    struct repo_result result = {0};
    arena_reset(&x->arena);
    buf_clear(&x->out);
    x->at = 0;
    if (query(x, EXPORT_CHUNK, each, &result, &e))
        return false;
    x->ended = !result.more;
    if (x->ended && x->kind == EXPORT_GEOJSON)
        BUF_LIT(&x->out, "]}\n");
    return true;
}

static ptrdiff_t next(void *ctx, char *out, size_t max)
{
    struct export *x = ctx;
    while (x->at == x->out.n && !x->ended)
        if (!more(x))
            return -2;
    size_t n = x->out.n - x->at;
    if (!n)
        return -1;
    if (n > max)
        n = max;
    memcpy(out, x->out.p + x->at, n);
    x->at += n;
    return (ptrdiff_t)n;
}

static void done(void *ctx)
{
    struct export *x = ctx;
    api_select_release(&x->select);
    arena_release(&x->arena);
    buf_release(&x->out);
}

/* --- the answer --- */

static const struct {
    const char *type;
    const char *file;
} formats[] = {[EXPORT_NDJSON] = {"application/x-ndjson", "entities.ndjson"},
               [EXPORT_GEOJSON] = {"application/geo+json", "entities.geojson"},
               [EXPORT_CSV] = {"text/csv; charset=utf-8", "entities.csv"}};

/* false: the response is filled. */
static bool begin(struct export *x)
{
    struct api *c = &x->c;
    struct error e = {0};
    struct repo_result result;
    int64_t tenant;
    struct store_conn *conn = api_reader(c, &tenant);
    if (!conn)
        return false;
    store_read_done(conn);
    c->geojson = x->kind == EXPORT_GEOJSON;
    if (!api_view(c, &x->view))
        return false;
    x->view.form = FORM_SIMPLIFIED;
    if (x->kind == EXPORT_GEOJSON)
        BUF_LIT(&x->out, "{\"type\":\"FeatureCollection\",\"features\":[");
    if (x->kind != EXPORT_CSV)
        return true;
    for (size_t i = 0; i < x->view.n_pick; i++)
        if (!entity_is_member(x->view.pick[i]))
            *vec_push(c->arena, &x->columns) = x->view.pick[i];
    if (!x->view.pick && query(x, EXPORT_LOOK, collect_columns, &result, &e)) {
        api_fail(c, &e);
        return false;
    }
    csv_head(x);
    return true;
}

static enum http_answer export(struct request *req, struct response *res, void *ctx,
                               enum export_kind kind, http_handler handler) {
    struct export *x = ARENA_NEW(req->arena, struct export); x->kind = kind;
    if (!api_open(
            &x->c, req, res, ctx, handler, 0,
            "options format pick omit lang datasetId geometryProperty local" API_SELECT_PARAMS) ||
        !api_select_get(&x->c, &x->select, 0)) return x->c.answer;
    if (!begin(x)){done(x); return x->c.answer;}
response_body(req, res, 200, formats[kind].type, S(""));
response_header(req, res, "Content-Disposition",
                str_printf(req->arena, "attachment; filename=\"%s\"", formats[kind].file));
res->stream = (struct http_stream){.next = next, .done = done, .ctx = x};
return HTTP_DONE;
}

static enum http_answer export_ndjson(struct request *req, struct response *res, void *ctx)
{
    return export(req, res, ctx, EXPORT_NDJSON, export_ndjson);
}

static enum http_answer export_geojson(struct request *req, struct response *res, void *ctx)
{
    return export(req, res, ctx, EXPORT_GEOJSON, export_geojson);
}

static enum http_answer export_csv(struct request *req, struct response *res, void *ctx)
{
    return export(req, res, ctx, EXPORT_CSV, export_csv);
}

static const struct route routes[] = {
    {"GET", "/link/v1/export.ndjson", export_ndjson, ROUTE_PUBLIC_CORS},
    {"GET", "/link/v1/export.geojson", export_geojson, ROUTE_PUBLIC_CORS},
    {"GET", "/link/v1/export.csv", export_csv, ROUTE_PUBLIC_CORS},
};

void api_export_routes(struct link *l, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), l);
}
