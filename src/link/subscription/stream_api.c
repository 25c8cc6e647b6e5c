/*
 * GET /link/v1/stream: changes as they happen, as server-sent events or over a WebSocket.
 *
 *     type= id= idPattern= attrs= q= scopeQ= georel= geometry= coordinates= geoproperty=
 *     format=normalized|concise|simplified|geojson   lang=   after=SEQ (or Last-Event-ID)
 *
 * Each event is {"op", "id", "type", "seq", "at", "changed": [names], "entity"}; "entity" is the
 * state after the change and is absent when op is "deleted". {"op": "reset", "seq"} says that too
 * much was missed: read the entities again and go on from seq.
 */
#include "api.h"
#include "core/regex.h"
#include "link/access.h"
#include "stream_impl.h"
#include <stdlib.h>
#include <string.h>

/* --- sending --- */

static ptrdiff_t sse_next(void *ctx, char *out, size_t max)
{
    struct stream *s = ctx;
    struct streams *h = s->hub;
    pthread_mutex_lock(&h->lock);
    size_t n = s->out.n - s->taken;
    ptrdiff_t result = 0;
    if (n) {
        n = n < max ? n : max;
        memcpy(out, s->out.p + s->taken, n);
        s->taken += n;
        result = (ptrdiff_t)n;
    } else if (s->over) {
        result = -1;
    }
    if (s->taken == s->out.n && s->out.n) {
        s->taken = 0;
        if (s->out.cap > STREAM_ROOM)
            buf_release(&s->out);
        else
            buf_clear(&s->out);
        h->changed = true; /* there is room again */
        pthread_cond_signal(&h->wake);
    }
    pthread_mutex_unlock(&h->lock);
    return result;
}

static void sse_done(void *ctx)
{
    struct stream *s = ctx;
    struct streams *h = s->hub;
    pthread_mutex_lock(&h->lock);
    stream_leave(s);
    pthread_mutex_unlock(&h->lock);
}

static void ws_opened(struct ws *ws, void *ctx)
{
    const struct stream_key *k = ctx;
    struct streams *h = k->hub;
    pthread_mutex_lock(&h->lock);
    struct stream *s = stream_find(h, k->id);
    if (s) {
        s->ws = ws;
        s->budget = STREAM_ROOM;
        h->changed = true;
        pthread_cond_signal(&h->wake);
    }
    pthread_mutex_unlock(&h->lock);
    if (!s)
        ws_close(ws, 1011);
}

static void ws_closed(struct ws *ws, void *ctx)
{
    struct stream_key *k = ctx;
    struct streams *h = k->hub;
    (void)ws;
    pthread_mutex_lock(&h->lock);
    struct stream *s = stream_find(h, k->id);
    if (s)
        stream_leave(s);
    struct stream_key **at = &h->keys;
    while (*at != k)
        at = &(*at)->next;
    *at = k->next;
    pthread_mutex_unlock(&h->lock);
    free(k);
}

static const struct ws_events ws_events = {ws_opened, NULL, ws_closed};

/* --- what is asked for --- */

static struct str text_of(struct stream *s, const struct request *req, const char *name)
{
    struct str v = request_query(req, name);
    return v.p ? str_dup(&s->arena, v) : STR_NONE;
}

static enum err take_query(struct api *c, struct stream *s, struct error *e)
{
    struct arena *a = &s->arena;
    struct str type = text_of(s, c->req, "type"), q = text_of(s, c->req, "q");
    struct str scope = text_of(s, c->req, "scopeQ"), georel = text_of(s, c->req, "georel");
    struct str pattern = text_of(s, c->req, "idPattern"), ids = text_of(s, c->req, "id"), id;
    VEC(struct str) list = VEC_INIT;
    while (ids.n && str_split(&ids, ',', &id))
        *vec_push(a, &list) = id;
    s->query.ids = list.v;
    s->query.n_ids = list.n;
    if (type.n && !(s->query.types = query_parse_types(a, type, c->ctx, &QUERY_DEFAULT, e)))
        return e->code;
    if (pattern.n && !(s->query.id_pattern = regex_new(pattern, e)))
        return e->code;
    if (q.n && !(s->query.q = query_parse_q(a, q, c->ctx, NULL, 0, &QUERY_DEFAULT, e)))
        return e->code;
    if (scope.n && !(s->query.scope = query_parse_scope(a, scope, &QUERY_DEFAULT, e)))
        return e->code;
    if (!georel.n)
        return OK;
    struct geo_query *geo = ARENA_NEW(a, struct geo_query);
    enum err err = query_parse_geo(a, georel, text_of(s, c->req, "geometry"),
                                   text_of(s, c->req, "coordinates"),
                                   text_of(s, c->req, "geoproperty"), c->ctx, geo, e);
    if (!err)
        s->query.geo = geo;
    return err;
}

static bool take_view(struct api *c, struct entity_view *v)
{
    struct str format = request_query(c->req, "format"), attrs = request_query(c->req, "attrs");
    const struct str *names;
    *v = (struct entity_view){.ctx = c->ctx, .lang = request_query(c->req, "lang")};
    if (str_eq(format, S("simplified")) || str_eq(format, S("keyValues"))) {
        v->form = FORM_SIMPLIFIED;
    } else if (str_eq(format, S("concise"))) {
        v->form = FORM_CONCISE;
    } else if (str_eq(format, S("geojson"))) {
        v->form = FORM_SIMPLIFIED;
        v->geojson = true;
    } else if (format.n && !str_eq(format, S("normalized"))) {
        api_fail_text(c, ERR_INVALID, "format: %" STR_F " is not known", STR_A(format));
        return false;
    }
    size_t n = api_names(c, attrs, &names);
    if (!n)
        return true;
    struct str *all = ARENA_ARRAY(c->arena, struct str, n + 3);
    all[0] = S("id");
    all[1] = S("type");
    all[2] = S("scope");
    for (size_t i = 0; i < n; i++)
        all[i + 3] = names[i];
    v->pick = all;
    v->n_pick = n + 3;
    return true;
}

/* Where it begins: after the event that the client saw last, else now. */
static bool take_start(struct api *c, struct stream *s)
{
    struct str seen = request_header(c->req, "Last-Event-ID");
    struct error e = {0};
    int64_t oldest;
    if (!seen.n)
        seen = request_query(c->req, "after");
    struct store_conn *conn = api_reader(c, &s->tenant);
    if (!conn)
        return false;
    enum err err = journal_range(conn, s->tenant, &oldest, &s->newest, &e);
    if (!err && !access_may(access_of(conn), ACCESS_SUBSCRIBE))
        err = error_set(&e, ERR_FORBIDDEN, "no right to follow changes");
    store_read_done(conn);
    if (err) {
        api_fail(c, &e);
        return false;
    }
    s->at = s->newest;
    if (!seen.n)
        return true;
    if (!str_to_i64(seen, &s->at) || s->at < 0) {
        api_fail_text(c, ERR_INVALID, "after: %" STR_F " is no position", STR_A(seen));
        return false;
    }
    /* A position from the future is one of another store: everything is to be read anew. */
    if (s->at > s->newest || s->at < oldest - 1)
        s->at = -STREAM_FAR - 1;
    return true;
}

/* --- the handler --- */

static void enter(struct streams *h, struct stream *s, const struct api *c,
                  const struct entity_view *v)
{
    s->view = stream_view_get(h, v, access_asks(c->req)->actor);
    stream_enter(h, s);
}

static enum http_answer start_websocket(struct api *c, struct stream *s,
                                        const struct entity_view *v)
{
    struct streams *h = c->link->streams;
    struct stream_key *k = calloc(1, sizeof(*k));
    if (!k)
        abort();
    enum http_answer answer = http_websocket(c->req, c->res, &ws_events, k);
    if (c->res->status != 101) {
        free(k);
        stream_free(s);
        return answer;
    }
    s->websocket = true;
    pthread_mutex_lock(&h->lock);
    enter(h, s, c, v);
    k->hub = h;
    k->id = s->id;
    k->next = h->keys;
    h->keys = k;
    pthread_mutex_unlock(&h->lock);
    return answer;
}

static enum http_answer start_sse(struct api *c, struct stream *s, const struct entity_view *v)
{
    struct streams *h = c->link->streams;
    s->handle = http_stream_handle(c->req);
    BUF_LIT(&s->out, "retry: 2000\n\n"); /* the headers go out with it */
    pthread_mutex_lock(&h->lock);
    enter(h, s, c, v);
    pthread_mutex_unlock(&h->lock);
    c->res->status = 200;
    c->res->type = S("text/event-stream");
    c->res->stream = (struct http_stream){sse_next, sse_done, s};
    response_header(c->req, c->res, "Cache-Control", S("no-store"));
    return HTTP_DONE;
}

static enum http_answer stream(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct entity_view view;
    struct error e = {0};
    if (!api_open(&c, req, res, ctx, stream, 0,
                  "type id idPattern attrs q scopeQ georel geometry coordinates geoproperty format "
                  "lang after") ||
        !take_view(&c, &view))
        return c.answer;
    struct stream *s = calloc(1, sizeof(*s));
    if (!s)
        abort();
    if (take_query(&c, s, &e)) {
        stream_free(s);
        return api_fail(&c, &e);
    }
    if (!take_start(&c, s)) {
        stream_free(s);
        return c.answer;
    }
    return request_header(req, "Upgrade").p ? start_websocket(&c, s, &view)
                                            : start_sse(&c, s, &view);
}

static const struct route routes[] = {{"GET", "/link/v1/stream", stream, ROUTE_PUBLIC_CORS}};

void streams_routes(struct link *l, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), l);
}
