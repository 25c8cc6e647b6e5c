/*
 * /jsonldContexts: hosting @contexts, and looking at those that are cached (clauses 5.13, 6.29,
 * 6.30). Adding, deleting and reloading wait for the writer and so run on pool threads.
 */
#include "api.h"
#include "core/vec.h"
#include "crypto/hash.h"

static const char *const kind_names[] = {
    [LD_HOSTED] = "Hosted", [LD_CACHED] = "Cached", [LD_IMPLICIT] = "ImplicitlyCreated"};

/* --- adding --- */

static void add_run(struct api *c)
{
    struct error e = {0};
    struct str path = str_concat(c->arena, S(LD_LOCAL_PATH), uuid_v4(c->arena));
    enum err err = ld_context_add(c->link->contexts, path, LD_HOSTED, c->req->body, &e);
    if (!err) { /* one that cannot be compiled is of no use; a remote one inside may come later */
        const struct ld_context *ctx;
        struct str missing;
        struct json url = json_v_str(path);
        err = ld_context_get(c->link->contexts, c->arena, &url, &ctx, &missing, &e);
        if (err == ERR_UNAVAILABLE)
            err = OK;
        if (err)
            ld_context_delete(c->link->contexts, path, NULL);
    }
    if (err) {
        api_fail(c, &e);
        return;
    }
    response_empty(c->res, 201);
    response_header(c->req, c->res, "Location", path);
}

/* What may stand for a context: checked here, because a remote one in front of what is wrong would
 * hide it. */
static bool is_context(const struct json *v)
{
    bool good = json_is(v, JSON_STRING) || json_is(v, JSON_OBJECT) || json_is(v, JSON_NULL);
    if (!json_is(v, JSON_ARRAY))
        return good;
    good = true;
    for (uint32_t i = 0; good && i < v->n; i++)
        good = !json_is(&v->items[i], JSON_ARRAY) && is_context(&v->items[i]);
    return good;
}

static enum http_answer add_context(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    if (!api_open(&c, req, res, ctx, add_context, API_BODY | API_BARE_JSON, ""))
        return c.answer;
    if (!json_is(c.body, JSON_OBJECT) || !json_get(c.body, S("@context")))
        return api_invalid_request(&c, S("an object with @context is expected"));
    if (!is_context(json_get(c.body, S("@context"))))
        return api_fail_text(&c, ERR_INVALID, "@context is a URL, an object or a list of them");
    return api_slowly(&c, add_run, NULL);
}

/* --- listing --- */

struct listing {
    struct api *c;
    struct json_writer w;
    int kind; /* -1: all */
    bool details;
};

static void write_details(struct api *c, struct json_writer *w, const struct ld_entry *e)
{
    char at[DATETIME_MAX];
    ptrdiff_t local = str_find(e->url, S(LD_LOCAL_PATH));
    json_w_object(w);
    json_w_kstr(w, S("URL"), api_full_url(c, e->url));
    json_w_kstr(w, S("localId"), local == 0 ? str_from(e->url, sizeof(LD_LOCAL_PATH) - 1) : e->url);
    json_w_kstr(w, S("kind"), str_c(kind_names[e->kind]));
    json_w_kstr(w, S("createdAt"), str_n(at, datetime_format(e->created_at, at)));
    json_w_kstr(w, S("lastUsage"), str_n(at, datetime_format(e->last_used, at)));
    json_w_ki64(w, S("numberOfHits"), e->uses);
    json_w_end(w);
}

static bool list_each(void *ctx, const struct ld_entry *e)
{
    struct listing *l = ctx;
    if (l->kind >= 0 && l->kind != (int)e->kind)
        return true;
    if (l->details)
        write_details(l->c, &l->w, e);
    else
        json_w_str(&l->w, api_full_url(l->c, e->url));
    return true;
}

static enum http_answer list_contexts(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct listing l = {.c = &c, .kind = -1};
    if (!api_open(&c, req, res, ctx, list_contexts, 0, "details kind") || !api_accept(&c, false) ||
        !api_bool(&c, "details", &l.details))
        return c.answer;
    struct str kind = request_query(req, "kind");
    for (int i = 0; kind.p && i < 3; i++)
        if (str_eq(kind, str_c(kind_names[i])))
            l.kind = i;
    if (kind.p && l.kind < 0)
        return api_fail_text(&c, ERR_INVALID, "kind is Hosted, Cached or ImplicitlyCreated");
    struct buf b = BUF_INIT;
    l.w = json_writer(&b);
    json_w_array(&l.w);
    ld_context_each(c.link->contexts, list_each, &l);
    json_w_end(&l.w);
    response_body(req, res, 200, "application/json", buf_dup(&b, c.arena));
    buf_release(&b);
    return HTTP_DONE;
}

/* --- one of them --- */

static bool is_core(struct str url)
{
    return str_starts(url, S("https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context"));
}

/* By local id, local path or URL. The core context is there like one that is cached. */
static bool find(struct api *c, struct ld_entry *e)
{
    struct str id = request_param(c->req, "id");
    if (is_core(id)) {
        int64_t now = clock_now(c->link->clock);
        *e = (struct ld_entry){.url = id, .kind = LD_CACHED, .created_at = now, .last_used = now};
        return true;
    }
    if (ld_context_find(c->link->contexts, c->arena, id, e) ||
        ld_context_find(c->link->contexts, c->arena, str_concat(c->arena, S(LD_LOCAL_PATH), id), e))
        return true;
    api_fail_text(c, ERR_NOT_FOUND, "there is no such @context");
    return false;
}

static enum http_answer get_context(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct ld_entry e;
    bool details;
    if (!api_open(&c, req, res, ctx, get_context, 0, "details") || !api_accept(&c, false) ||
        !api_bool(&c, "details", &details) || !find(&c, &e))
        return c.answer;
    if (details) {
        struct buf b = BUF_INIT;
        struct json_writer w = json_writer(&b);
        write_details(&c, &w, &e);
        response_body(req, res, 200, "application/json", buf_dup(&b, c.arena));
        buf_release(&b);
        return HTTP_DONE;
    }
    if (e.kind == LD_CACHED) /* its own server serves it */
        return api_fail_text(&c, ERR_UNPROCESSABLE, "a cached @context is not served from here");
    response_body(req, res, 200, c.type, e.body);
    return HTTP_DONE;
}

static void reload_run(struct api *c)
{
    const struct ld_entry *entry = c->ctx_then;
    struct error e = {0};
    struct http_header accept = {S("Accept"), S("application/ld+json, application/json;q=0.9")};
    struct client_request q = {.url = entry->url,
                               .headers = &accept,
                               .n_headers = 1,
                               .timeout_ms = c->link->options.context_fetch_ms};
    struct client_answer answer;
    enum err err = client_fetch(c->link->client, c->arena, &q, &answer, &e);
    if (!err && answer.status != 200)
        err = error_set(&e, ERR_UNAVAILABLE, "the server answers %d", answer.status);
    if (!err)
        err = ld_context_add(c->link->contexts, entry->url, LD_CACHED, answer.body, &e);
    if (err)
        api_no_context(c, str_c(e.text));
    else
        response_empty(c->res, 204);
}

static void delete_run(struct api *c)
{
    const struct ld_entry *entry = c->ctx_then;
    struct error e = {0};
    if (ld_context_delete(c->link->contexts, entry->url, &e))
        api_fail(c, &e);
    else
        response_empty(c->res, 204);
}

static enum http_answer delete_context(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    bool reload;
    struct ld_entry *e = ARENA_NEW(req->arena, struct ld_entry);
    if (!api_open(&c, req, res, ctx, delete_context, 0, "reload") ||
        !api_bool(&c, "reload", &reload))
        return c.answer;
    if (is_core(request_param(req, "id"))) { /* compiled in: there is nothing to load again */
        if (!reload)
            return api_fail_text(&c, ERR_INVALID, "the core @context cannot be deleted");
        response_empty(res, 204);
        return HTTP_DONE;
    }
    if (!find(&c, e))
        return c.answer;
    if (reload && e->kind != LD_CACHED)
        return api_fail_text(&c, ERR_INVALID, "only a cached @context can be loaded again");
    return api_slowly(&c, reload ? reload_run : delete_run, e);
}

static const struct route routes[] = {
    {"POST", "/ngsi-ld/v1/jsonldContexts", add_context, ROUTE_PUBLIC_CORS},
    {"POST", "/ngsi-ld/v1/jsonldContexts/", add_context, ROUTE_PUBLIC_CORS | ROUTE_HIDDEN},
    {"GET", "/ngsi-ld/v1/jsonldContexts", list_contexts, ROUTE_PUBLIC_CORS},
    {"GET", "/ngsi-ld/v1/jsonldContexts/", list_contexts, ROUTE_PUBLIC_CORS | ROUTE_HIDDEN},
    {"GET", "/ngsi-ld/v1/jsonldContexts/{id}", get_context, ROUTE_PUBLIC_CORS},
    {"DELETE", "/ngsi-ld/v1/jsonldContexts/{id}", delete_context, ROUTE_PUBLIC_CORS},
};

void api_context_routes(struct link *l, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), l);
}
