/* /v2/registrations: documents checked, stored and shown. What they do is in v2_providers.c. */
#include "core/regex.h"
#include "crypto/hash.h"
#include "v2_providers.h"

enum { DESCRIPTION_MAX = 1024, ENTITIES_MAX = 1000, NAMES_MAX = 1000 };

#define FAIL(...)       error_set(e, ERR_INVALID, __VA_ARGS__)
#define NO_REGISTRATION "The requested registration has not been found. Check id"

/* --- checking --- */

static enum err check_name(const struct json *v, const char *what, struct error *e)
{
    return json_is(v, JSON_STRING) ? v2_check_lookup(json_text(v), what, e)
                                   : FAIL("%s must be a text", what);
}

static enum err check_place(struct arena *a, const struct json *x, struct error *e)
{
    struct v2_geo geo;
    if (!json_is(x, JSON_OBJECT))
        return FAIL("expression must be an object");
    if (v2_geo_parse(a, json_text(json_get(x, S("georel"))), json_text(json_get(x, S("geometry"))),
                     json_text(json_get(x, S("coords"))), &geo, e))
        return ERR_INVALID;
    v2_geo_release(&geo);
    return OK;
}

static enum err check_data(struct arena *a, const struct json *data, struct error *e)
{
    const struct json *entities = json_get(data, S("entities"));
    const struct json *attrs = json_get(data, S("attrs")), *x = json_get(data, S("expression"));
    if (!json_is(data, JSON_OBJECT))
        return FAIL(data ? "dataProvided is not an object" : "dataProvided is missing");
    if (!json_is(entities, JSON_ARRAY) || !entities->n || entities->n > ENTITIES_MAX)
        return FAIL("dataProvided entities must be an array of 1 to %d", ENTITIES_MAX);
    for (uint32_t i = 0; i < entities->n; i++)
        if (v2_check_entity(&entities->items[i], "dataProvided", e))
            return ERR_INVALID;
    if (attrs && (!json_is(attrs, JSON_ARRAY) || attrs->n > NAMES_MAX))
        return FAIL("dataProvided attrs must be an array of at most %d", NAMES_MAX);
    for (uint32_t i = 0; attrs && i < attrs->n; i++)
        if (check_name(&attrs->items[i], "attribute name", e))
            return ERR_INVALID;
    return x ? check_place(a, x, e) : OK;
}

static bool is_one_of(struct str s, const char *words)
{
    return s.n && api_among(str_c(words), s);
}

static enum err check_provider(const struct json *provider, struct error *e)
{
    const struct json *http = json_get(provider, S("http")), *url = json_get(http, S("url"));
    const struct json *mode = json_get(provider, S("supportedForwardingMode"));
    const struct json *legacy = json_get(provider, S("legacyForwarding"));
    struct str text = json_text(url);
    if (!json_is(provider, JSON_OBJECT))
        return FAIL(provider ? "provider is not an object" : "provider is missing");
    if (!json_is(http, JSON_OBJECT) || !json_is(url, JSON_STRING))
        return FAIL("provider needs http and its url");
    bool good = (str_starts(text, S("http://")) && text.n > 7) ||
                (str_starts(text, S("https://")) && text.n > 8);
    for (size_t i = 0; i < text.n; i++)
        good = good && (unsigned char)text.p[i] > ' ' && !strchr("<>\"?#", text.p[i]);
    if (!good || text.n > 4096)
        return FAIL("provider url: Invalid URL");
    if (mode && !is_one_of(json_text(mode), "none query update all"))
        return FAIL("supportedForwardingMode: expected none, query, update or all");
    if (legacy && !json_is(legacy, JSON_FALSE))
        return FAIL("legacyForwarding (NGSIv1) is not supported");
    return OK;
}

static enum err check(struct arena *a, const struct json *doc, struct error *e)
{
    const struct json *description = json_get(doc, S("description"));
    const struct json *expires = json_get(doc, S("expires")), *status = json_get(doc, S("status"));
    struct str text;
    if (description && (!json_is(description, JSON_STRING) || description->n > DESCRIPTION_MAX))
        return FAIL("description must be a text of at most %d characters", DESCRIPTION_MAX);
    if (description && v2_check_value(description, "description", e))
        return ERR_INVALID;
    if (check_data(a, json_get(doc, S("dataProvided")), e) ||
        check_provider(json_get(doc, S("provider")), e))
        return ERR_INVALID;
    if (expires && (!json_is(expires, JSON_STRING) || !v2_datetime(a, json_text(expires), &text)))
        return FAIL("expires has an invalid format");
    if (status && !is_one_of(json_text(status), "active inactive"))
        return FAIL("status is not valid: expected active or inactive");
    return OK;
}

/* --- documents --- */

static const struct str members[] = {S_INIT("description"), S_INIT("dataProvided"),
                                     S_INIT("provider"), S_INIT("expires"), S_INIT("status")};
enum { N_MEMBERS = sizeof(members) / sizeof(members[0]) };

/* The known members of a body laid over those of a document (NULL: a new one); "" and null take
 * one away. */
static const struct json *laid_over(struct arena *a, const struct json *doc,
                                    const struct json *body)
{
    struct json_member *m = ARENA_ARRAY(a, struct json_member, N_MEMBERS);
    struct json *out = ARENA_NEW(a, struct json);
    size_t n = 0;
    for (size_t i = 0; i < N_MEMBERS; i++) {
        const struct json *given = json_get(body, members[i]);
        const struct json *v = given ? given : json_get(doc, members[i]);
        bool empty = json_is(v, JSON_NULL) || (json_is(v, JSON_STRING) && !v->n);
        if (v && !empty)
            m[n++] = json_m(members[i], *v);
    }
    *out = json_v_object(m, n);
    return out;
}

const struct json *v2_registration_doc(struct arena *a, const struct json *body, struct error *e)
{
    const struct json *doc = laid_over(a, NULL, body);
    struct str status = json_text(json_get(doc, S("status")));
    if (str_eq(status, S("failed")) || str_eq(status, S("expired"))) {
        struct json *active = ARENA_NEW(a, struct json);
        *active = json_with(a, doc, S("status"), json_v_str(S("active")));
        doc = active;
    }
    return check(a, doc, e) ? NULL : doc;
}

/* --- showing --- */

static void write_member(struct json_writer *w, struct str key, const struct json *v)
{
    if (!v)
        return;
    json_w_key(w, key);
    json_w_value(w, v);
}

struct counts {
    int64_t sent, last, success, failure;
};

/* Expired when that is over; failed while the last attempt was one. */
static struct str status_of(const struct json *doc, const struct counts *n, int64_t expires,
                            int64_t now)
{
    if (expires && expires <= now)
        return S("expired");
    if (str_eq(json_text(json_get(doc, S("status"))), S("inactive")))
        return S("inactive");
    return n->failure > n->success ? S("failed") : S("active");
}

static void write_provider(struct json_writer *w, const struct json *provider)
{
    const struct json *mode = json_get(provider, S("supportedForwardingMode"));
    json_w_key(w, S("provider"));
    json_w_object(w);
    write_member(w, S("http"), json_get(provider, S("http")));
    json_w_kstr(w, S("supportedForwardingMode"), mode ? json_text(mode) : S("all"));
    json_w_kbool(w, S("legacyForwarding"), false);
    json_w_end(w);
}

static void write_data(struct json_writer *w, const struct json *data)
{
    json_w_key(w, S("dataProvided"));
    json_w_object(w);
    write_member(w, S("entities"), json_get(data, S("entities")));
    if (json_get(data, S("attrs"))) {
        write_member(w, S("attrs"), json_get(data, S("attrs")));
    } else {
        json_w_key(w, S("attrs"));
        json_w_array(w);
        json_w_end(w);
    }
    write_member(w, S("expression"), json_get(data, S("expression")));
    json_w_end(w);
}

/* Columns: id, doc, sent, last_forwarding, last_success, last_failure. */
#define COLUMNS "SELECT id, doc, sent, last_forwarding, last_success, last_failure"

static void show_row(struct api *c, struct json_writer *w, const struct store_rows *r)
{
    struct arena *a = c->arena;
    const struct json *doc = json_parse(a, str_dup(a, store_text(r, 1)), &JSON_DEFAULT, NULL);
    struct counts n = {store_int(r, 2), store_int(r, 3), store_int(r, 4), store_int(r, 5)};
    struct str text = json_text(json_get(doc, S("expires")));
    int64_t expires = 0;
    if (text.n && v2_datetime(a, text, &text))
        datetime_parse(text, &expires);
    json_w_object(w);
    json_w_kstr(w, S("id"), store_text(r, 0));
    write_member(w, S("description"), json_get(doc, S("description")));
    json_w_ktime(w, S("expires"), expires);
    write_data(w, json_get(doc, S("dataProvided")));
    write_provider(w, json_get(doc, S("provider")));
    json_w_kstr(w, S("status"), status_of(doc, &n, expires, clock_now(c->link->clock)));
    if (n.sent) {
        json_w_key(w, S("forwardingInformation"));
        json_w_object(w);
        json_w_ki64(w, S("timesSent"), n.sent);
        json_w_ktime(w, S("lastForwarding"), n.last);
        json_w_ktime(w, S("lastSuccess"), n.success);
        json_w_ktime(w, S("lastFailure"), n.failure);
        json_w_end(w);
    }
    json_w_end(w);
}

/* --- reading --- */

static enum http_answer read_list(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct v2_paths paths;
    struct error e = {0};
    struct store_rows r;
    struct buf out = BUF_INIT;
    int64_t tenant, limit, offset, count = 0;
    bool there;
    if (!v2_open(&c, &paths, req, res, ctx, 0, "count") || !v2_limits(&c, &limit, &offset))
        return c.answer;
    struct str path = v2_path_header(&c);
    struct store_conn *conn = v2_reader(&c, &tenant, &there);
    if (!conn && there)
        return c.answer;
    struct json_writer w = json_writer(&out);
    enum err err = OK;
    json_w_array(&w);
    if (conn) {
        err = store_get_int(conn, &count,
                            "SELECT COUNT(*) FROM v2_registration WHERE tenant = $1"
                            " AND ($2 = 1 OR service_path = $3)",
                            SV(SV_INT(tenant), SV_INT(!path.p), SV_TEXT(path)), &e);
        store_query(conn, &r,
                    COLUMNS " FROM v2_registration WHERE tenant = $1"
                            " AND ($2 = 1 OR service_path = $3) ORDER BY rid LIMIT $4 OFFSET $5",
                    SV(SV_INT(tenant), SV_INT(!path.p), SV_TEXT(path), SV_INT(limit),
                       SV_INT(offset)));
        while (store_next(&r))
            show_row(&c, &w, &r);
        enum err end = store_end(&r, err ? NULL : &e);
        err = err ? err : end;
        store_read_done(conn);
    }
    json_w_end(&w);
    return v2_answer_list(&c, &out, err ? &e : NULL, count);
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
        return there ? c.answer : api_fail_text(&c, ERR_NOT_FOUND, NO_REGISTRATION);
    struct json_writer w = json_writer(&out);
    store_query(conn, &r, COLUMNS " FROM v2_registration WHERE tenant = $1 AND id = $2",
                SV(SV_INT(tenant), SV_TEXT(request_param(req, "id"))));
    if (store_next(&r))
        show_row(&c, &w, &r);
    enum err err = store_end(&r, &e);
    store_read_done(conn);
    return v2_answer_one(&c, &out, err ? &e : NULL, NO_REGISTRATION);
}

/* --- writing --- */

struct write_call {
    struct api api;
    struct store_change change;
    enum { WRITE_CREATE, WRITE_PATCH, WRITE_DELETE } kind;
    struct str id, path;
    enum err result;
    struct error error;
};

enum err v2_registration_put(struct store_conn *c, struct arena *a, int64_t tenant, struct str id,
                             struct str path, const struct json *doc, int64_t now, struct error *e)
{
    int64_t rid;
    enum err err = store_get_int(
        c, &rid,
        "INSERT INTO v2_registration(tenant, id, service_path, doc, sent, last_forwarding,"
        " last_success, last_failure, created, modified)"
        " VALUES ($1, $2, $3, $4, 0, 0, 0, 0, $5, $5)"
        " ON CONFLICT (tenant, id) DO UPDATE SET service_path = excluded.service_path,"
        " doc = excluded.doc, modified = excluded.modified RETURNING rid",
        SV(SV_INT(tenant), SV_TEXT(id), SV_TEXT(path), SV_TEXT(json_to_text(a, doc)), SV_INT(now)),
        e);
    return err ? err : v2_provider_keys(c, a, tenant, rid, doc, e);
}

static enum err create_row(struct store_conn *c, struct write_call *w, int64_t tenant,
                           struct error *e)
{
    struct arena *a = w->api.arena;
    return v2_registration_put(c, a, tenant, w->id, w->path, laid_over(a, NULL, w->api.body),
                               clock_now(w->api.link->clock), e);
}

/* The row of the call's id; ERR_NOT_FOUND goes to the result. */
static enum err find_row(struct store_conn *c, struct write_call *w, int64_t tenant, int64_t *rid,
                         const struct json **doc, struct error *e)
{
    struct arena *a = w->api.arena;
    struct store_rows r;
    bool found = false;
    store_query(c, &r, "SELECT rid, doc FROM v2_registration WHERE tenant = $1 AND id = $2",
                SV(SV_INT(tenant), SV_TEXT(w->id)));
    if (store_next(&r)) {
        found = true;
        *rid = store_int(&r, 0);
        *doc = json_parse(a, str_dup(a, store_text(&r, 1)), &JSON_DEFAULT, e);
    }
    enum err err = store_end(&r, e);
    if (!err && !found)
        w->result = error_set(&w->error, ERR_NOT_FOUND, NO_REGISTRATION);
    return err;
}

static enum err patch_row(struct store_conn *c, struct write_call *w, int64_t tenant,
                          struct error *e)
{
    struct arena *a = w->api.arena;
    const struct json *doc = NULL;
    int64_t rid = 0;
    enum err err = find_row(c, w, tenant, &rid, &doc, e);
    if (err || w->result)
        return err;
    doc = laid_over(a, doc, w->api.body);
    w->result = check(a, doc, &w->error);
    if (w->result)
        return OK;
    err = store_exec(c, "UPDATE v2_registration SET doc = $1, modified = $2 WHERE rid = $3",
                     SV(SV_TEXT(json_to_text(a, doc)), SV_INT(clock_now(w->api.link->clock)),
                        SV_INT(rid)),
                     NULL, e);
    return err ? err : v2_provider_keys(c, a, tenant, rid, doc, e);
}

static enum err delete_row(struct store_conn *c, struct write_call *w, int64_t tenant,
                           struct error *e)
{
    const struct json *doc;
    int64_t rid = 0;
    enum err err = find_row(c, w, tenant, &rid, &doc, e);
    if (err || w->result)
        return err;
    err = store_exec(c, "DELETE FROM v2_registration_key WHERE rid = $1", SV(SV_INT(rid)), NULL, e);
    return err ? err
               : store_exec(c, "DELETE FROM v2_registration WHERE rid = $1", SV(SV_INT(rid)), NULL,
                            e);
}

static enum err apply(struct store_conn *c, void *ctx, struct error *e)
{
    struct write_call *w = ctx;
    struct link *l = w->api.link;
    bool make = w->kind == WRITE_CREATE && l->options.tenants_auto;
    int64_t tenant;
    w->result = OK;
    enum err err = make ? repo_tenant_make(c, w->api.tenant, clock_now(l->clock), &tenant, e)
                        : repo_tenant(c, w->api.tenant, &tenant, e);
    if (err)
        return err;
    switch (w->kind) {
    case WRITE_CREATE:
        return create_row(c, w, tenant, e);
    case WRITE_PATCH:
        return patch_row(c, w, tenant, e);
    case WRITE_DELETE:
        return delete_row(c, w, tenant, e);
    }
    return ERR_INTERNAL;
}

static void written(void *ctx, enum err code, const struct error *e)
{
    struct write_call *w = ctx;
    struct api *c = &w->api;
    if (code || w->result) {
        struct error told = code ? *e : w->error;
        told.code = code ? code : w->result;
        api_fail(c, &told);
    } else {
        response_empty(c->res, w->kind == WRITE_CREATE ? 201 : 204);
        if (w->kind == WRITE_CREATE)
            response_header(c->req, c->res, "Location",
                            str_concat(c->arena, S("/v2/registrations/"), w->id));
    }
    http_resume(c->req);
}

static enum http_answer submit(const struct api *c, int kind, struct str id, struct str path)
{
    struct write_call *w = ARENA_NEW(c->arena, struct write_call);
    w->api = *c;
    w->kind = kind;
    w->id = id;
    w->path = path;
    w->change = (struct store_change){.apply = apply,
                                      .done = written,
                                      .ctx = w,
                                      .lane = str_hash(c->tenant)};
    if (store_submit(c->link->store, &w->change))
        return api_fail_text(&w->api, ERR_UNAVAILABLE,
                             "too many changes are waiting to be written");
    return HTTP_LATER;
}

static bool body_object(struct api *c)
{
    if (json_is(c->body, JSON_OBJECT) && c->body->n)
        return true;
    api_fail_text(c, ERR_INVALID,
                  json_is(c->body, JSON_OBJECT) ? "empty payload" : "not a JSON object");
    return false;
}

static enum http_answer create(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct v2_paths paths;
    struct error e = {0};
    if (!v2_open(&c, &paths, req, res, ctx, V2_BODY | V2_WRITES, "") || !body_object(&c))
        return c.answer;
    if (check(c.arena, laid_over(c.arena, NULL, c.body), &e))
        return api_fail(&c, &e);
    struct str path = v2_path_header(&c);
    return submit(&c, WRITE_CREATE, v2_new_id(&c), path.p ? path : S("/"));
}

static enum http_answer patch(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct v2_paths paths;
    if (!v2_open(&c, &paths, req, res, ctx, V2_BODY, "") || !body_object(&c))
        return c.answer;
    return submit(&c, WRITE_PATCH, request_param(req, "id"), STR_NONE);
}

static enum http_answer delete_one(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct v2_paths paths;
    if (!v2_open(&c, &paths, req, res, ctx, 0, ""))
        return c.answer;
    return submit(&c, WRITE_DELETE, request_param(req, "id"), STR_NONE);
}

static const struct route routes[] = {
    {"GET", "/v2/registrations", read_list, ROUTE_PUBLIC_CORS},
    {"POST", "/v2/registrations", create, ROUTE_PUBLIC_CORS},
    {"GET", "/v2/registrations/{id}", read_one, ROUTE_PUBLIC_CORS},
    {"PATCH", "/v2/registrations/{id}", patch, ROUTE_PUBLIC_CORS},
    {"DELETE", "/v2/registrations/{id}", delete_one, ROUTE_PUBLIC_CORS},
};

void v2_registration_routes(struct link *l, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), l);
}
