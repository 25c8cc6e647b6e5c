/*
 * /ngsi-ld/v1/subscriptions (clauses 5.8, 6.10, 6.11).
 *
 * A change is written on the writer thread and taken over by the outbox after its commit; what a
 * client reads comes from the row, with the outbox's live counters.
 */
#include "crypto/hash.h"
#include "csource_outbox.h"
#include "distribute_subscription.h"
#include "forward.h"
#include "http/mqtt.h"
#include "link/access.h"
#include "subscription_write.h"
#include <stdio.h>

/* --- reading --- */

/* What stands for no path in queries. */
static struct str path_text(struct str service_path)
{
    return service_path.p ? service_path : S("");
}

static void live_counters(struct subscriptions *h, int64_t tenant, struct str id,
                          struct sub_counters *n, const char **status)
{
    pthread_mutex_lock(&h->lock);
    h->looked_at = true;
    const struct sub *s = sub_find(h, tenant, id);
    *n = s ? s->count : (struct sub_counters){0};
    *status = s ? sub_status(s) : "paused";
    pthread_mutex_unlock(&h->lock);
}

bool sub_owned(const struct api *c, int64_t tenant, const struct json *doc)
{
    const struct access_who *who = access_asks(c->req);
    return access_owns(access_view(c->link->access, who, tenant), who,
                       json_text(json_get(doc, S(SUB_OWNER))));
}

const struct json *sub_readable(const struct api *c, int64_t tenant, const struct json *doc)
{
    static const struct {
        struct str to, headers, url;
    } ways[] = {{S_INIT("endpoint"), S_INIT("receiverInfo"), S_INIT("uri")},
                {S_INIT("httpCustom"), S_INIT("headers"), S_INIT("url")},
                {S_INIT("http"), S_INIT(""), S_INIT("url")}};
    const struct json *told = json_get(doc, S("notification"));
    if (json_text(json_get(doc, S(SUB_OWNER))).n || access_secrets(c->link->access, c->req, tenant))
        return doc;
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        const struct json *to = json_get(told, ways[i].to);
        struct str url = json_text(json_get(to, ways[i].url));
        if (!url.n)
            continue;
        struct json *out = ARENA_ARRAY(c->arena, struct json, 3);
        out[0] = json_without(c->arena, to, ways[i].headers);
        out[0] = json_with(c->arena, &out[0], ways[i].url,
                           json_v_str(url_without_password(c->arena, url)));
        out[1] = json_with(c->arena, told, ways[i].to, out[0]);
        out[2] = json_with(c->arena, doc, S("notification"), out[1]);
        return &out[2];
    }
    return doc;
}

/* Nothing when it is somebody else's. Columns: id, doc, created, modified. */
static void write_row(struct api *c, struct buf *out, const struct store_rows *r, int64_t tenant)
{
    struct str doc = str_dup(c->arena, store_text(r, 1));
    const struct json *tree = json_parse(c->arena, doc, &JSON_DEFAULT, NULL);
    if (tree && !sub_owned(c, tenant, tree))
        return;
    struct sub_counters n;
    const char *status;
    live_counters(c->link->subscriptions, tenant, store_text(r, 0), &n, &status);
    if (tree)
        sub_write(out, c->arena, sub_readable(c, tenant, tree), &n, status, c->ctx, c->embed,
                  api_option(c, "options", "sysAttrs"), store_int(r, 2), store_int(r, 3));
}

enum http_answer sub_read_one(struct request *req, struct response *res, void *ctx,
                              http_handler handler, struct str service_path)
{
    struct api c;
    struct str id;
    int64_t tenant;
    struct error e = {0};
    struct store_rows r;
    struct buf out = BUF_INIT;
    if (!api_open(&c, req, res, ctx, handler, 0, "options local") || !api_id(&c, "id", &id) ||
        !api_accept(&c, false))
        return c.answer;
    struct store_conn *conn = api_reader(&c, &tenant);
    if (!conn)
        return c.answer;
    store_query(conn, &r,
                "SELECT id, doc, created, modified FROM subscription"
                " WHERE tenant = $1 AND id = $2 AND COALESCE(service_path, '') = $3",
                SV(SV_INT(tenant), SV_TEXT(id), SV_TEXT(path_text(service_path))));
    if (store_next(&r))
        write_row(&c, &out, &r, tenant);
    enum err err = store_end(&r, &e);
    store_read_done(conn);
    struct str body = buf_dup(&out, c.arena);
    buf_release(&out);
    if (err)
        return api_fail(&c, &e);
    if (!body.n)
        return api_fail_text(&c, ERR_NOT_FOUND, "no subscription %" STR_F, STR_A(id));
    api_answer(&c, 200, c.type, body);
    return HTTP_DONE;
}

static enum http_answer read_one(struct request *req, struct response *res, void *ctx)
{
    return sub_read_one(req, res, ctx, read_one, STR_NONE);
}

struct list_page {
    int64_t limit, offset, count, n;
    struct str service_path;
    const char *place;
};

static void link_page(struct api *c, const struct list_page *p, const char *rel, int64_t offset)
{
    response_header(c->req, c->res, "Link",
                    str_printf(c->arena, "<%s?limit=%lld&offset=%lld>;rel=\"%s\";type=\"%s\"",
                               p->place, (long long)p->limit, (long long)offset, rel, c->type));
}

static enum err list_rows(struct api *c, struct store_conn *conn, int64_t tenant,
                          struct list_page *p, struct buf *out, struct error *e)
{
    struct store_rows r;
    enum err err = store_get_int(conn, &p->count,
                                 "SELECT COUNT(*) FROM subscription"
                                 " WHERE tenant = $1 AND COALESCE(service_path, '') = $2",
                                 SV(SV_INT(tenant), SV_TEXT(path_text(p->service_path))), e);
    if (err)
        return err;
    buf_char(out, '[');
    store_query(conn, &r,
                "SELECT id, doc, created, modified FROM subscription"
                " WHERE tenant = $1 AND COALESCE(service_path, '') = $4"
                " ORDER BY sid LIMIT $2 OFFSET $3",
                SV(SV_INT(tenant), SV_INT(p->limit), SV_INT(p->offset),
                   SV_TEXT(path_text(p->service_path))));
    while (store_next(&r)) {
        struct buf one = BUF_INIT;
        write_row(c, &one, &r, tenant);
        if (one.n && out->n > 1)
            buf_char(out, ',');
        buf_str(out, buf_view(&one));
        buf_release(&one);
        p->n++;
    }
    buf_char(out, ']');
    return store_end(&r, e);
}

enum http_answer sub_read_list(struct request *req, struct response *res, void *ctx,
                               http_handler handler, struct str service_path, const char *place)
{
    struct api c;
    int64_t tenant;
    struct list_page p = {.service_path = service_path, .place = place};
    bool count = false;
    struct error e = {0};
    struct buf out = BUF_INIT;
    struct link *l = ctx;
    if (!api_open(&c, req, res, ctx, handler, 0, "options limit offset count local") ||
        !api_accept(&c, false) || !api_bool(&c, "count", &count) ||
        !api_number(&c, "limit", l->options.page_default, 0, l->options.page_max, &p.limit) ||
        !api_number(&c, "offset", 0, 0, INT64_MAX / 2, &p.offset))
        return c.answer;
    if (!p.limit && !count)
        return api_fail_text(&c, ERR_INVALID, "limit=0 needs count=true");
    struct store_conn *conn = api_reader(&c, &tenant);
    if (!conn)
        return c.answer;
    enum err err = list_rows(&c, conn, tenant, &p, &out, &e);
    store_read_done(conn);
    struct str body = buf_dup(&out, c.arena);
    buf_release(&out);
    if (err)
        return api_fail(&c, &e);
    api_answer(&c, 200, c.type, body);
    if (count)
        response_header(req, res, "NGSILD-Results-Count",
                        str_printf(c.arena, "%lld", (long long)p.count));
    if (p.limit && p.offset > 0)
        link_page(&c, &p, "prev", p.offset > p.limit ? p.offset - p.limit : 0);
    if (p.limit && p.offset + p.n < p.count)
        link_page(&c, &p, "next", p.offset + p.limit);
    return HTTP_DONE;
}

static enum http_answer read_list(struct request *req, struct response *res, void *ctx)
{
    return sub_read_list(req, res, ctx, read_list, STR_NONE, "/ngsi-ld/v1/subscriptions");
}

/* --- writing --- */

static void forget_spec(struct sub_write_call *w)
{
    struct subscriptions *h = w->api.link->subscriptions;
    if (!w->spec)
        return;
    pthread_mutex_lock(&h->lock);
    sub_spec_unref(&h->groups, w->spec);
    pthread_mutex_unlock(&h->lock);
    w->spec = NULL;
}

static enum err compile(struct sub_write_call *w, const struct json *doc,
                        const struct ld_context *ctx, struct error *e)
{
    struct sub_source src = {.tenant = w->tenant,
                             .tenant_name = w->api.snapshot.n ? w->api.req->tenant : w->api.tenant,
                             .snapshot = w->api.snapshot,
                             .id = w->id,
                             .doc = doc,
                             .ctx = ctx,
                             .shown_ctx = w->shown,
                             .public_url = str_c(w->api.link->options.public_url),
                             .face = w->face,
                             .service_path = w->service_path};
    forget_spec(w);
    struct sub_slab *slab = sub_slab_take(&w->api.link->subscriptions->slabs);
    w->spec = sub_spec_new(slab, &src, e);
    sub_slab_unref(slab);
    return w->spec ? OK : e->code;
}

static struct str context_text(struct arena *a, const struct ld_context *ctx)
{
    return json_to_text(a, ld_context_json(ctx));
}

static enum err newest_row(struct store_conn *c, struct sub_write_call *w, struct error *e)
{
    int64_t oldest;
    return journal_range(c, w->tenant, &oldest, &w->cursor, e);
}

/* The right to subscribe, and the quotas of tenant and owner; else w->result says why not. */
static enum err may_add(struct store_conn *c, struct sub_write_call *w, int64_t count)
{
    struct access *x = w->api.link->access;
    const struct access_who *who = access_asks(w->api.req);
    int64_t most = access_subscriptions(x, w->tenant, who->actor, false), own = 0;
    int64_t most_own = access_subscriptions(x, w->tenant, who->actor, true);
    if (!access_may(access_view(x, who, w->tenant), ACCESS_SUBSCRIBE))
        return w->result = error_set(&w->error, ERR_FORBIDDEN, "no right to subscribe");
    if (most_own != INT64_MAX) {
        struct str mark =
            str_printf(w->api.arena, "%%\"" SUB_OWNER "\":\"%" STR_F "\"%%", STR_A(who->actor));
        store_get_int(c, &own,
                      "SELECT COUNT(*) FROM subscription WHERE tenant = $1 AND doc LIKE $2",
                      SV(SV_INT(w->tenant), SV_TEXT(mark)), NULL);
    }
    if (count < most && own < most_own)
        return OK;
    return w->result =
               error_set(&w->error, ERR_FORBIDDEN, "the quota of subscriptions is used up: %lld",
                         (long long)(count < most ? most_own : most));
}

static enum err create_row(struct store_conn *c, struct sub_write_call *w, struct error *e)
{
    struct link *l = w->api.link;
    int64_t now = clock_now(l->clock), count;
    enum err err = store_get_int(c, &count, "SELECT COUNT(*) FROM subscription WHERE tenant = $1",
                                 SV(SV_INT(w->tenant)), e);
    if (!err)
        err =
            store_get_int(c, &w->sid, "SELECT sid FROM subscription WHERE tenant = $1 AND id = $2",
                          SV(SV_INT(w->tenant), SV_TEXT(w->id)), NULL);
    if (!err) {
        w->result = error_set(&w->error, ERR_EXISTS, "subscription %" STR_F " exists already",
                              STR_A(w->id));
        return OK;
    }
    if (err != ERR_NOT_FOUND)
        return error_set(e, err, "the subscription cannot be looked up");
    if (may_add(c, w, count))
        return OK;
    if (count >= l->options.subscriptions_max) {
        w->result = error_set(&w->error, ERR_TOO_MANY, "more than %lld subscriptions",
                              (long long)l->options.subscriptions_max);
        return OK;
    }
    w->result = compile(w, w->in, w->ctx, &w->error);
    if (w->result)
        return OK;
    if (newest_row(c, w, e) || remote_subs_via(c, &w->api, w->tenant, w->id, e))
        return e->code;
    return store_get_int(
        c, &w->sid,
        "INSERT INTO subscription(tenant, id, doc, context, state, cursor, pending, created,"
        " modified, service_path) VALUES ($1, $2, $3, $4, '{}', $5, 1, $6, $6, $7) RETURNING sid",
        SV(SV_INT(w->tenant), SV_TEXT(w->id), SV_TEXT(json_to_text(w->api.arena, w->in)),
           SV_TEXT(context_text(w->api.arena, w->ctx)), SV_INT(w->cursor), SV_INT(now),
           w->face ? SV_TEXT(w->service_path) : SV_NULL),
        e);
}

/* The row to change: its document and the context of its q. ERR_NOT_FOUND goes to the result. */
static enum err find_row(struct store_conn *c, struct sub_write_call *w, const struct json **doc,
                         const struct json **context, struct error *e)
{
    struct arena *a = w->api.arena;
    struct store_rows r;
    bool found = false;
    store_query(c, &r,
                "SELECT sid, doc, context, service_path FROM subscription"
                " WHERE tenant = $1 AND id = $2",
                SV(SV_INT(w->tenant), SV_TEXT(w->id)));
    if (store_next(&r)) {
        found = true;
        w->sid = store_int(&r, 0);
        *doc = json_parse(a, str_dup(a, store_text(&r, 1)), &JSON_DEFAULT, e);
        *context = json_parse(a, str_dup(a, store_text(&r, 2)), &JSON_DEFAULT, e);
        w->service_path = str_dup(a, store_text(&r, 3));
        found = str_eq(w->service_path, S(CSOURCE_PATH)) == (w->face == &csource_sub_face);
    }
    enum err err = store_end(&r, e);
    if (!err && found && (!*doc || !*context))
        err = ERR_CORRUPT;
    if (!err && found && !sub_owned(&w->api, w->tenant, *doc))
        found = false;
    if (!err && !found)
        w->result =
            w->face == &v2_sub_face
                ? error_set(&w->error, ERR_NOT_FOUND,
                            "The requested subscription has not been found. Check id")
                : error_set(&w->error, ERR_NOT_FOUND, "no subscription %" STR_F, STR_A(w->id));
    return err;
}

/* What the fragment is put into: one that has expired and gets only a new expiresAt is active
 * again, paused or not (clause 5.8.2.4). */
static const struct json *as_before(const struct sub_write_call *w, const struct json *doc)
{
    int64_t expires;
    bool expired = datetime_parse(json_text(json_get(doc, S("expiresAt"))), &expires) &&
                   expires <= clock_now(w->api.link->clock);
    if (!expired || !json_get(w->in, S("expiresAt")) || json_get(w->in, S("isActive")))
        return doc;
    struct json *active = ARENA_NEW(w->api.arena, struct json);
    *active = json_without(w->api.arena, doc, S("isActive"));
    return active;
}

static enum err patch_row(struct store_conn *c, struct sub_write_call *w, struct error *e)
{
    struct arena *a = w->api.arena;
    const struct json *doc = NULL, *context = NULL;
    const struct ld_context *ctx = w->ctx;
    struct ld_contexts *all = w->api.link->contexts;
    struct str missing;
    enum err err = find_row(c, w, &doc, &context, e);
    if (err || w->result)
        return err;
    doc = w->face ? w->patched(a, doc, w->in) : sub_patched(a, as_before(w, doc), w->in);
    /* A new q brings its context; otherwise the one it was written with stays. */
    if (json_get(w->in, S("q")))
        context = ld_context_json(ctx);
    else if (ld_context_get(all, a, context, &ctx, &missing, &w->error))
        ctx = ld_core();
    if (!w->shown && json_get(doc, S("jsonldContext")))
        ld_context_get(all, a, json_get(doc, S("jsonldContext")), &w->shown, &missing, NULL);
    w->result = w->face ? w->check(a, doc, &w->error) : sub_check(doc, &w->error);
    if (!w->result)
        w->result = compile(w, doc, ctx, &w->error);
    if (w->result)
        return OK;
    if (newest_row(c, w, e))
        return e->code;
    return store_exec(c,
                      "UPDATE subscription SET doc = $1, context = $2, modified = $3"
                      " WHERE sid = $4",
                      SV(SV_TEXT(json_to_text(a, doc)), SV_TEXT(json_to_text(a, context)),
                         SV_INT(clock_now(w->api.link->clock)), SV_INT(w->sid)),
                      NULL, e);
}

static enum err delete_row(struct store_conn *c, struct sub_write_call *w, struct error *e)
{
    const struct json *doc, *context;
    enum err err = find_row(c, w, &doc, &context, e);
    if (err || w->result)
        return err;
    if (store_exec(c, "DELETE FROM sub_via WHERE tenant = $1 AND sub = $2",
                   SV(SV_INT(w->tenant), SV_TEXT(w->id)), NULL, e))
        return e->code;
    return store_exec(c, "DELETE FROM subscription WHERE sid = $1", SV(SV_INT(w->sid)), NULL, e);
}

static enum err apply(struct store_conn *c, void *ctx, struct error *e)
{
    struct sub_write_call *w = ctx;
    struct link *l = w->api.link;
    bool make = w->kind == WRITE_CREATE && l->options.tenants_auto;
    w->result = OK;
    enum err err = make ? repo_tenant_make(c, w->api.tenant, clock_now(l->clock), &w->tenant, e)
                        : repo_tenant(c, w->api.tenant, &w->tenant, e);
    if (err)
        return err;
    switch (w->kind) {
    case WRITE_CREATE:
        err = create_row(c, w, e);
        break;
    case WRITE_PATCH:
        err = patch_row(c, w, e);
        break;
    case WRITE_DELETE:
        err = delete_row(c, w, e);
        break;
    }
    struct sub_written told = {w->tenant, w->id, w->cursor, w->wakes};
    return err || w->result ? err : sub_tell(c, &told, e);
}

/* The outbox learns what was committed. */
static void take_over(struct sub_write_call *w)
{
    struct subscriptions *h = w->api.link->subscriptions;
    pthread_mutex_lock(&h->lock);
    struct sub *s = sub_find(h, w->tenant, w->id);
    if (w->kind == WRITE_DELETE && s)
        sub_delete(h, s);
    if (w->kind != WRITE_DELETE && s) { /* also a new one that was read from its row */
        if (w->wakes) {
            s->count.off = s->count.off == OFF_ITSELF ? OFF_NOT : s->count.off;
            s->count.fails = 0;
            s->counters_moved = true;
        }
        sub_change(h, s, w->spec, w->cursor);
        w->spec = NULL;
    }
    if (w->kind != WRITE_DELETE && !s) {
        struct sub_new n = {.spec = w->spec, .sid = w->sid, .read = w->cursor};
        struct sub *made = sub_enter(h, &n);
        if (w->kind == WRITE_CREATE && w->face && w->face->registrations)
            sub_tell_all(h, made);
        w->spec = NULL;
    }
    pthread_mutex_unlock(&h->lock);
}

static void written(void *ctx, enum err code, const struct error *e)
{
    struct sub_write_call *w = ctx;
    struct api *c = &w->api;
    if (code == ERR_NOT_FOUND && w->face != &v2_sub_face) {
        api_no_tenant(c);
    } else if (code || w->result) {
        forget_spec(w);
        struct error told = code ? *e : w->error;
        told.code = code ? code : w->result;
        api_fail(c, &told);
    } else {
        take_over(w);
        remote_subs_poke(c);
        response_empty(c->res, w->kind == WRITE_CREATE ? 201 : 204);
        if (w->kind == WRITE_CREATE)
            response_header(c->req, c->res, "Location",
                            str_concat(c->arena,
                                       w->place.p ? w->place
                                       : w->face  ? S("/v2/subscriptions/")
                                                  : S("/ngsi-ld/v1/subscriptions/"),
                                       api_segment(c->arena, w->id)));
    }
    http_resume(c->req);
}

void sub_write_name(struct api *c, struct sub_write_call *w)
{
    w->id = json_text(json_get(w->in, S("id")));
    if (w->id.p)
        return;
    w->id = str_concat(c->arena, S("urn:ngsi-ld:Subscription:"), uuid_v4(c->arena));
    struct json *with = ARENA_NEW(c->arena, struct json);
    *with = json_with(c->arena, w->in, S("id"), json_v_str(w->id));
    w->in = with;
}

bool sub_write_same(struct api *c, const struct sub_write_call *w)
{
    struct str in_body = json_text(json_get(w->in, S("id")));
    if (!in_body.p || str_eq(in_body, w->id))
        return true;
    api_fail_text(c, ERR_INVALID, "the body is of subscription %" STR_F, STR_A(in_body));
    return false;
}

enum http_answer sub_write_submit(struct api *c, struct sub_write_call *w)
{
    w->api = *c;
    if (w->kind == WRITE_CREATE && access_asks(c->req)->actor.n) {
        struct json *with = ARENA_NEW(c->arena, struct json);
        *with = json_with(c->arena, w->in, S(SUB_OWNER), json_v_str(access_asks(c->req)->actor));
        w->in = with;
    }
    w->change = (struct store_change){.apply = apply,
                                      .done = written,
                                      .ctx = w,
                                      .lane = str_hash(c->tenant)};
    enum err err = store_submit(c->link->store, &w->change);
    if (err)
        return api_fail_text(c, err, "too many changes are waiting to be written");
    return HTTP_LATER;
}

/* Body in stored form and the context of jsonldContext; false: the response is on its way. */
static bool take_body(struct api *c, http_handler handler, struct sub_write_call *w, bool patch)
{
    struct error e = {0};
    w->ctx = c->ctx;
    w->in = sub_expand(c->arena, c->body, patch, c->ctx, &e);
    if (!w->in) {
        api_fail(c, &e);
        return false;
    }
    const struct json *shown = json_get(w->in, S("jsonldContext"));
    return !json_is(shown, JSON_STRING) || api_context(c, handler, shown, &w->shown);
}

static enum http_answer create(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct error e = {0};
    bool local = false;
    if (!api_open(&c, req, res, ctx, create, API_BODY, "local") || forward_loops(&c) ||
        !api_bool(&c, "local", &local))
        return c.answer;
    struct sub_write_call *w = ARENA_NEW(c.arena, struct sub_write_call);
    w->kind = WRITE_CREATE;
    if (!take_body(&c, create, w, false))
        return c.answer;
    if (local) { /* no source hears of it, now or later (clause 6.3.18) */
        struct json *with = ARENA_NEW(c.arena, struct json);
        *with = json_with(c.arena, w->in, S("localOnly"), json_v_bool(true));
        w->in = with;
    }
    if (sub_check(w->in, &e))
        return api_fail(&c, &e);
    int64_t expires;
    if (datetime_parse(json_text(json_get(w->in, S("expiresAt"))), &expires) &&
        expires <= clock_now(c.link->clock))
        return api_fail_text(&c, ERR_INVALID, "subscription: expiresAt lies in the past");
    sub_write_name(&c, w);
    return sub_write_submit(&c, w);
}

static enum http_answer patch(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct str id;
    if (!api_open(&c, req, res, ctx, patch, API_BODY | API_MERGE_PATCH, "") ||
        !api_id(&c, "id", &id))
        return c.answer;
    struct sub_write_call *w = ARENA_NEW(c.arena, struct sub_write_call);
    w->kind = WRITE_PATCH;
    w->id = id;
    if (!take_body(&c, patch, w, true))
        return c.answer;
    if (!sub_write_same(&c, w))
        return c.answer;
    int64_t expires;
    if (datetime_parse(json_text(json_get(w->in, S("expiresAt"))), &expires) &&
        expires <= clock_now(c.link->clock))
        return api_fail_text(&c, ERR_INVALID, "subscription: expiresAt lies in the past");
    return sub_write_submit(&c, w);
}

static enum http_answer delete_one(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct str id;
    if (!api_open(&c, req, res, ctx, delete_one, 0, "") || !api_id(&c, "id", &id))
        return c.answer;
    struct sub_write_call *w = ARENA_NEW(c.arena, struct sub_write_call);
    w->kind = WRITE_DELETE;
    w->id = id;
    return sub_write_submit(&c, w);
}

static const struct route routes[] = {
    {"POST", "/ngsi-ld/v1/subscriptions", create, ROUTE_PUBLIC_CORS},
    {"POST", "/ngsi-ld/v1/subscriptions/", create, ROUTE_PUBLIC_CORS | ROUTE_HIDDEN},
    {"GET", "/ngsi-ld/v1/subscriptions", read_list, ROUTE_PUBLIC_CORS},
    {"GET", "/ngsi-ld/v1/subscriptions/", read_list, ROUTE_PUBLIC_CORS | ROUTE_HIDDEN},
    {"GET", "/ngsi-ld/v1/subscriptions/{id}", read_one, ROUTE_PUBLIC_CORS},
    {"PATCH", "/ngsi-ld/v1/subscriptions/{id}", patch, ROUTE_PUBLIC_CORS},
    {"DELETE", "/ngsi-ld/v1/subscriptions/{id}", delete_one, ROUTE_PUBLIC_CORS},
};

void subscriptions_routes(struct link *l, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), l);
}
