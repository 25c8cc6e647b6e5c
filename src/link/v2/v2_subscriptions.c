/* /v2/subscriptions. Rows and outbox are those of all subscriptions (subscription_write.h). */
#include "subscription_write.h"
#include "v2_notify.h"

#define NO_SUBSCRIPTION "The requested subscription has not been found. Check id"

/* --- reading --- */

/* Paused ones are inactive; one whose last attempt failed is failed. */
static struct str status_of(const struct sub *s, const struct json *doc)
{
    struct str wanted = json_text(json_get(doc, S("status")));
    if (!s)
        return wanted;
    if (s->state == ST_EXPIRED)
        return S("expired");
    if (s->state == ST_PAUSED)
        return S("inactive");
    return s->count.fails ? S("failed") : wanted;
}

/* Columns: id, doc. */
static void show_row(struct api *c, struct json_writer *w, const struct store_rows *r,
                     int64_t tenant)
{
    struct subscriptions *h = c->link->subscriptions;
    struct arena *a = c->arena;
    struct v2_sub_shown shown = {.id = str_dup(a, store_text(r, 0))};
    shown.doc = json_parse(a, str_dup(a, store_text(r, 1)), &JSON_DEFAULT, NULL);
    if (!shown.doc || !sub_owned(c, tenant, shown.doc))
        return;
    shown.doc = sub_readable(c, tenant, shown.doc);
    pthread_mutex_lock(&h->lock);
    h->looked_at = true;
    const struct sub *s = sub_find(h, tenant, shown.id);
    shown.status = str_dup(a, status_of(s, shown.doc));
    if (s) {
        shown.n = s->count;
        shown.error = str_dup(a, str_c(s->error_text));
    }
    pthread_mutex_unlock(&h->lock);
    v2_sub_show(w, a, &shown);
}

struct list_page {
    int64_t limit, offset, count;
    struct str path; /* only those made with it; absent: all */
};

static enum err read_rows(struct api *c, struct store_conn *conn, int64_t tenant,
                          struct list_page *p, struct json_writer *w, struct error *e)
{
    struct store_rows r;
    int64_t any = !p->path.p;
    enum err err = store_get_int(conn, &p->count,
                                 "SELECT COUNT(*) FROM subscription WHERE tenant = $1"
                                 " AND service_path LIKE '/%' AND ($2 = 1 OR service_path = $3)",
                                 SV(SV_INT(tenant), SV_INT(any), SV_TEXT(p->path)), e);
    if (err)
        return err;
    store_query(conn, &r,
                "SELECT id, doc FROM subscription WHERE tenant = $1 AND service_path LIKE '/%'"
                " AND ($2 = 1 OR service_path = $3) ORDER BY sid LIMIT $4 OFFSET $5",
                SV(SV_INT(tenant), SV_INT(any), SV_TEXT(p->path), SV_INT(p->limit),
                   SV_INT(p->offset)));
    while (store_next(&r))
        show_row(c, w, &r, tenant);
    return store_end(&r, e);
}

static enum http_answer read_list(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct v2_paths paths;
    struct list_page p = {0};
    struct error e = {0};
    struct buf out = BUF_INIT;
    int64_t tenant;
    bool there;
    if (!v2_open(&c, &paths, req, res, ctx, 0, "count") || !v2_limits(&c, &p.limit, &p.offset))
        return c.answer;
    p.path = v2_path_header(&c);
    struct json_writer w = json_writer(&out);
    struct store_conn *conn = v2_reader(&c, &tenant, &there);
    if (!conn && there)
        return c.answer;
    json_w_array(&w);
    enum err err = conn ? read_rows(&c, conn, tenant, &p, &w, &e) : OK;
    json_w_end(&w);
    if (conn)
        store_read_done(conn);
    return v2_answer_list(&c, &out, err ? &e : NULL, p.count);
}

static enum http_answer read_one(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct v2_paths paths;
    struct error e = {0};
    struct store_rows r;
    struct buf out = BUF_INIT;
    int64_t tenant;
    bool there;
    if (!v2_open(&c, &paths, req, res, ctx, 0, ""))
        return c.answer;
    struct store_conn *conn = v2_reader(&c, &tenant, &there);
    if (!conn)
        return there ? c.answer : api_fail_text(&c, ERR_NOT_FOUND, NO_SUBSCRIPTION);
    struct json_writer w = json_writer(&out);
    store_query(conn, &r,
                "SELECT id, doc FROM subscription WHERE tenant = $1 AND id = $2"
                " AND service_path LIKE '/%'",
                SV(SV_INT(tenant), SV_TEXT(request_param(req, "id"))));
    if (store_next(&r))
        show_row(&c, &w, &r, tenant);
    enum err err = store_end(&r, &e);
    store_read_done(conn);
    return v2_answer_one(&c, &out, err ? &e : NULL, NO_SUBSCRIPTION);
}

/* --- writing --- */

static struct sub_write_call *write_of(struct api *c)
{
    struct sub_write_call *w = ARENA_NEW(c->arena, struct sub_write_call);
    w->face = &v2_sub_face;
    w->ctx = ld_core();
    w->patched = v2_sub_patched;
    w->check = v2_sub_check;
    return w;
}

/* skipInitialNotification asks for what is always so: there is no first notification. */
#define OPTIONS "skipInitialNotification"

static enum http_answer create(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct v2_paths paths;
    struct error e = {0};
    if (!v2_open(&c, &paths, req, res, ctx, V2_BODY, OPTIONS))
        return c.answer;
    struct sub_write_call *w = write_of(&c);
    struct str path = v2_path_header(&c);
    w->kind = WRITE_CREATE;
    w->in = v2_sub_take(c.arena, c.body, false, &e);
    if (!w->in || v2_sub_check(c.arena, w->in, &e))
        return api_fail(&c, &e);
    if (paths.n > 1)
        return api_fail_text(&c, ERR_INVALID, "one Service Path only for a subscription");
    w->service_path = path.p ? path : S("/#");
    w->id = v2_new_id(&c);
    return sub_write_submit(&c, w);
}

static enum http_answer patch(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct v2_paths paths;
    struct error e = {0};
    if (!v2_open(&c, &paths, req, res, ctx, V2_BODY, OPTIONS))
        return c.answer;
    struct sub_write_call *w = write_of(&c);
    w->kind = WRITE_PATCH;
    w->id = request_param(req, "id");
    w->in = v2_sub_take(c.arena, c.body, true, &e);
    if (!w->in)
        return api_fail(&c, &e);
    w->wakes = json_get(w->in, S("status")) != NULL;
    return sub_write_submit(&c, w);
}

static enum http_answer delete_one(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct v2_paths paths;
    if (!v2_open(&c, &paths, req, res, ctx, 0, ""))
        return c.answer;
    struct sub_write_call *w = write_of(&c);
    w->kind = WRITE_DELETE;
    w->id = request_param(req, "id");
    return sub_write_submit(&c, w);
}

static const struct route routes[] = {
    {"GET", "/v2/subscriptions", read_list, ROUTE_PUBLIC_CORS},
    {"POST", "/v2/subscriptions", create, ROUTE_PUBLIC_CORS},
    {"GET", "/v2/subscriptions/{id}", read_one, ROUTE_PUBLIC_CORS},
    {"PATCH", "/v2/subscriptions/{id}", patch, ROUTE_PUBLIC_CORS},
    {"DELETE", "/v2/subscriptions/{id}", delete_one, ROUTE_PUBLIC_CORS},
};

void v2_subscription_routes(struct link *l, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), l);
}
