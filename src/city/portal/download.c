/*
 * A whole data set as a file, made while it is sent: a chunk of entities at a time, each read on a
 * snapshot of its own, so that a slow reader holds neither memory nor a connection of the store.
 */
#include "core/map.h"
#include "core/table.h"
#include "datasets.h"
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 200, COLUMNS_MAX = 1000 };

enum format { AS_CSV, AS_JSON, AS_GEOJSON };

struct download {
    const struct city *city;
    struct request *req;
    struct response *res;
    enum format format;
    struct str iri, name;
    struct arena arena;      /* of the columns */
    VEC(struct str) columns; /* attribute IRIs (CSV) */
    struct map known;
    struct buf ready; /* made but not sent: from .at on */
    size_t at;
    int64_t after;
    uint64_t given;
    bool begun, ended;
};

/* --- rows --- */

static struct str cell_text(struct arena *a, const struct json *v)
{
    if (!v)
        return S("");
    const struct json *typed = json_get(v, S("@value"));
    if (typed)
        v = typed;
    if (json_is(v, JSON_STRING) || json_is(v, JSON_NUMBER))
        return json_text(v);
    return json_to_text(a, v);
}

static void write_csv_row(struct download *d, struct arena *a, const struct json *stored)
{
    struct str *cells = ARENA_ARRAY(a, struct str, d->columns.n + 4);
    double lon, lat;
    size_t n = 0;
    cells[n++] = entity_id(stored);
    for (size_t i = 0; i < d->columns.n; i++) {
        const struct json *instances = entity_attr(stored, d->columns.v[i]);
        const struct json *one = instances ? instance_default(instances) : NULL;
        cells[n++] = cell_text(a, one ? instance_value(one) : NULL);
    }
    bool placed = look_place(a, stored, &lon, &lat);
    cells[n++] = placed ? str_printf(a, "%.7f", lat) : S("");
    cells[n++] = placed ? str_printf(a, "%.7f", lon) : S("");
    cells[n++] = json_text(json_get(stored, S("modifiedAt")));
    csv_write_row(&d->ready, cells, n, true);
}

static bool write_row(void *ctx, const struct entity_row *row, const struct json *stored)
{
    struct download *d = ctx;
    struct arena a = ARENA_INIT;
    struct entity_view view = {.form = FORM_SIMPLIFIED,
                               .geojson = d->format == AS_GEOJSON,
                               .lang = S("*"),
                               .ctx = ld_core()};
    d->after = row->eid;
    if (d->format == AS_CSV) {
        write_csv_row(d, &a, stored);
    } else {
        if (d->given)
            BUF_LIT(&d->ready, ",\n");
        entity_write(&d->ready, &a, stored, &view);
    }
    d->given++;
    arena_release(&a);
    return true;
}

static void write_head(struct download *d)
{
    if (d->format == AS_JSON) {
        BUF_LIT(&d->ready, "[\n");
    } else if (d->format == AS_GEOJSON) {
        BUF_LIT(&d->ready, "{\"type\":\"FeatureCollection\",\"features\":[\n");
    } else {
        /* The mark tells spreadsheets that this is UTF-8. */
        struct str *cells = ARENA_ARRAY(&d->arena, struct str, d->columns.n + 4);
        size_t n = 0;
        BUF_LIT(&d->ready, "\xEF\xBB\xBF");
        cells[n++] = S("id");
        for (size_t i = 0; i < d->columns.n; i++)
            cells[n++] = look_short(&d->arena, d->columns.v[i]);
        cells[n++] = S("latitude");
        cells[n++] = S("longitude");
        cells[n++] = S("modifiedAt");
        csv_write_row(&d->ready, cells, n, true);
    }
}

static void write_end(struct download *d)
{
    if (d->format == AS_JSON)
        BUF_LIT(&d->ready, "\n]\n");
    else if (d->format == AS_GEOJSON)
        BUF_LIT(&d->ready, "\n]}\n");
}

static bool make_more(struct download *d)
{
    struct error e = {0};
    struct repo_result result = {0};
    buf_clear(&d->ready);
    d->at = 0;
    if (!d->begun) {
        d->begun = true;
        write_head(d);
        return true;
    }
    struct store_conn *c = portal_read(d->city, &e);
    if (!c)
        return false;
    struct scan s = {.iri = d->iri, .after = d->after, .limit = CHUNK};
    enum err err = scan_type(c, d->city->clock, &s, write_row, d, &result, &e);
    store_read_done(c);
    if (err)
        return false;
    if (!result.more) {
        d->ended = true;
        write_end(d);
    }
    return true;
}

static ptrdiff_t next(void *ctx, char *out, size_t max)
{
    struct download *d = ctx;
    while (d->at == d->ready.n) {
        if (d->ended)
            return -1;
        if (!make_more(d))
            return -2;
    }
    size_t n = d->ready.n - d->at < max ? d->ready.n - d->at : max;
    memcpy(out, d->ready.p + d->at, n);
    d->at += n;
    return (ptrdiff_t)n;
}

static void done(void *ctx)
{
    struct download *d = ctx;
    buf_release(&d->ready);
    map_release(&d->known);
    arena_release(&d->arena);
    free(d);
}

/* --- the columns of a CSV: all attributes that any entity has --- */

static bool note_columns(void *ctx, const struct entity_row *row, const struct json *stored)
{
    struct download *d = ctx;
    (void)row;
    for (uint32_t i = 0; i < stored->n; i++) {
        struct str key = json_key(&stored->members[i]);
        if (entity_is_member(key) || str_eq(look_short(&d->arena, key), S("location")) ||
            map_get(&d->known, key) || d->columns.n == COLUMNS_MAX)
            continue;
        struct str iri = str_dup(&d->arena, key);
        *vec_push(&d->arena, &d->columns) = iri;
        map_put(&d->known, iri, d);
    }
    return true;
}

static bool find_type(void *ctx, struct str iri, int64_t entities)
{
    struct download *d = ctx;
    (void)entities;
    if (!str_eq(iri, ld_expand(ld_core(), &d->arena, d->name)))
        return true;
    d->iri = str_dup(&d->arena, iri);
    return false;
}

static void answer(struct download *d)
{
    static const char *const types[] = {"text/csv; charset=utf-8", "application/json",
                                        "application/geo+json"};
    static const char *const suffixes[] = {"csv", "json", "geojson"};
    struct request *req = d->req;
    struct response *res = d->res;
    res->status = 200;
    res->type = str_c(types[d->format]);
    res->stream = (struct http_stream){next, done, d};
    response_header(req, res, "Content-Disposition",
                    str_printf(req->arena, "attachment; filename=\"%" STR_F ".%s\"",
                               STR_A(url_encode(req->arena, look_short(req->arena, d->name))),
                               suffixes[d->format]));
    response_header(req, res, "Cache-Control", S("no-cache"));
}

/* On a thread of the pool: looking for columns reads everything once. */
static void prepare(void *ctx)
{
    struct download *d = ctx;
    struct request *req = d->req;
    struct response *res = d->res;
    struct error e = {0};
    struct store_conn *c = portal_read(d->city, &e);
    enum err err = c ? repo_names(c, PORTAL_TENANT, false, find_type, d, &e) : e.code;
    if (!err && !d->iri.p)
        err = error_set(&e, ERR_NOT_FOUND, "no data set %" STR_F, STR_A(d->name));
    struct scan s = {.iri = d->iri, .limit = UINT64_MAX};
    if (!err && d->format == AS_CSV)
        err = scan_type(c, d->city->clock, &s, note_columns, d, NULL, &e);
    if (c)
        store_read_done(c);
    if (err) {
        response_error(req, res, &e);
        done(d);
    } else {
        answer(d);
    }
    http_resume(req);
}

static enum http_answer download(struct request *req, struct response *res, struct portal *p,
                                 enum format format)
{
    struct error e = {0};
    struct download *d = calloc(1, sizeof(*d));
    if (!d) {
        error_set(&e, ERR_UNAVAILABLE, "out of memory");
        response_error(req, res, &e);
        return HTTP_DONE;
    }
    *d = (struct download){.city = &p->city,
                           .req = req,
                           .res = res,
                           .format = format,
                           .arena = ARENA_INIT,
                           .known = MAP_INIT,
                           .ready = BUF_INIT};
    d->name = str_dup(&d->arena, request_param(req, "type"));
    if (pool_submit(p->city.pool, prepare, d) == OK)
        return HTTP_LATER;
    done(d);
    error_set(&e, ERR_UNAVAILABLE, "too much is being downloaded; try again soon");
    response_error(req, res, &e);
    return HTTP_DONE;
}

enum http_answer download_csv(struct request *req, struct response *res, void *ctx)
{
    return download(req, res, ctx, AS_CSV);
}

enum http_answer download_json(struct request *req, struct response *res, void *ctx)
{
    return download(req, res, ctx, AS_JSON);
}

enum http_answer download_geojson(struct request *req, struct response *res, void *ctx)
{
    return download(req, res, ctx, AS_GEOJSON);
}
