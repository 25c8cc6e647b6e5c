/*
 * What every NGSI-LD call goes through: tenant, media types, @context, body, and errors in the
 * specification's form.
 *
 * A remote @context that is not known yet is fetched on a pool thread, kept in the store, and the
 * handler is run again there; the HTTP worker is free meanwhile.
 */
#include "api.h"
#include <stdarg.h>
#include <stdio.h>

#define ERRORS_URI  "https://uri.etsi.org/ngsi-ld/errors/"
#define CONTEXT_REL "http://www.w3.org/ns/json-ld#context"

/* --- errors (clause 5.5.2, 6.3.2) --- */

static const struct {
    enum err code;
    int status;
    const char *type;
    const char *title;
} problems[] = {
    {ERR_INVALID, 400, "BadRequestData", "The request includes input data that does not conform"},
    {ERR_NOT_FOUND, 404, "ResourceNotFound", "The resource does not exist"},
    {ERR_EXISTS, 409, "AlreadyExists", "The resource exists already"},
    {ERR_CONFLICT, 409, "Conflict", "The request conflicts with the state of the resource"},
    {ERR_UNPROCESSABLE, 422, "OperationNotSupported", "The operation is not supported"},
    {ERR_TOO_COMPLEX, 403, "TooComplexQuery", "The query is too complex"},
    {ERR_TOO_MANY, 403, "TooManyResults", "The query has too many results"},
    {ERR_TIMEOUT, 504, "LdContextNotAvailable", "A remote @context cannot be had"},
    {ERR_INTERNAL, 500, "InternalError", "An internal error"},
};

/* Index in problems, or -1 for errors that NGSI-LD leaves to plain HTTP. */
static int problem_of(enum err code)
{
    for (size_t i = 0; i < sizeof(problems) / sizeof(problems[0]); i++)
        if (problems[i].code == code)
            return (int)i;
    return -1;
}

static enum http_answer problem(struct api *c, int status, const char *type, const char *title,
                                struct str detail)
{
    response_problem(c->req, c->res, status, type, title, detail);
    c->answer = HTTP_DONE;
    return HTTP_DONE;
}

enum http_answer api_fail(struct api *c, const struct error *e)
{
    int i = problem_of(e->code);
    if (i < 0) {
        response_error(c->req, c->res, e);
        c->answer = HTTP_DONE;
        return HTTP_DONE;
    }
    struct str type = str_printf(c->arena, ERRORS_URI "%s", problems[i].type);
    return problem(c, problems[i].status, type.p, problems[i].title,
                   str_dup(c->arena, str_c(e->text)));
}

enum http_answer api_fail_text(struct api *c, enum err code, const char *fmt, ...)
{
    struct error e = {.code = code};
    va_list args;
    va_start(args, fmt);
    vsnprintf(e.text, sizeof(e.text), fmt, args);
    va_end(args);
    return api_fail(c, &e);
}

/* Not JSON at all, or a request that contradicts itself: InvalidRequest instead of BadRequestData.
 */
static enum http_answer invalid_request(struct api *c, struct str detail)
{
    return problem(c, 400, ERRORS_URI "InvalidRequest", "The request is not valid", detail);
}

void api_problem_json(struct json_writer *w, const struct error *e)
{
    int i = problem_of(e->code);
    json_w_object(w);
    json_w_key(w, S("type"));
    if (i < 0) {
        json_w_str(w, S("about:blank"));
        json_w_kstr(w, S("title"), str_c(err_name(e->code)));
    } else {
        char type[128];
        int n = snprintf(type, sizeof(type), ERRORS_URI "%s", problems[i].type);
        json_w_str(w, str_n(type, (size_t)n));
        json_w_kstr(w, S("title"), str_c(problems[i].title));
    }
    json_w_kstr(w, S("detail"), str_c(e->text));
    json_w_ki64(w, S("status"), i < 0 ? http_status_of(e->code) : problems[i].status);
    json_w_end(w);
}

/* --- @context --- */

/* A handler waiting for a remote @context. */
struct retry {
    struct api call;
    http_handler handler;
    struct str url;
};

static enum err fetch_context(struct retry *r, struct error *e)
{
    struct link *l = r->call.link;
    struct http_header accept = {S("Accept"), S("application/ld+json, application/json;q=0.9")};
    struct client_request q = {.method = "GET",
                               .url = r->url,
                               .headers = &accept,
                               .n_headers = 1,
                               .timeout_ms = l->options.context_fetch_ms};
    struct client_answer answer;
    enum err err = client_fetch(l->client, r->call.arena, &q, &answer, e);
    if (err)
        return err;
    if (answer.status != 200)
        return error_set(e, ERR_TIMEOUT, "the @context %" STR_F " answers %d", STR_A(r->url),
                         answer.status);
    return ld_context_add(l->contexts, r->url, LD_CACHED, answer.body, e);
}

static void retry_run(void *ctx)
{
    struct retry *r = ctx;
    struct error e = {0};
    struct request *req = r->call.req;
    if (fetch_context(r, &e)) {
        struct error told;
        error_set(&told, ERR_TIMEOUT, "the @context %" STR_F " cannot be had: %s", STR_A(r->url),
                  e.text);
        api_fail(&r->call, &told);
        http_resume(req);
        return;
    }
    if (r->handler(req, r->call.res, r->call.link) == HTTP_DONE)
        http_resume(req);
}

/* The context of value, or the call's answer: an error, or HTTP_LATER while it is fetched. */
bool api_context(struct api *c, http_handler handler, const struct json *value,
                 const struct ld_context **out)
{
    struct str missing = STR_NONE;
    struct error e = {0};
    enum err err = ld_context_get(c->link->contexts, c->arena, value, out, &missing, &e);
    if (err == OK)
        return true;
    if (err != ERR_UNAVAILABLE || !missing.p) {
        api_fail(c, &e);
        return false;
    }
    struct retry *r = ARENA_NEW(c->arena, struct retry);
    r->call = *c;
    r->handler = handler;
    r->url = missing;
    if (pool_submit(c->link->pool, retry_run, r)) {
        api_fail_text(c, ERR_UNAVAILABLE, "too many @contexts are being fetched");
        return false;
    }
    c->answer = HTTP_LATER;
    return false;
}

/* Target of the Link header with the JSON-LD context relation; absent when there is none. */
static struct str link_target(struct str header)
{
    while (header.n) {
        ptrdiff_t open = str_find_char(header, '<');
        ptrdiff_t close = str_find_char(header, '>');
        if (open < 0 || close < open)
            return STR_NONE;
        struct str target = str_sub(header, (size_t)open + 1, (size_t)(close - open - 1));
        header = str_from(header, (size_t)close + 1);
        ptrdiff_t next = str_find(header, S(",<"));
        if (next < 0)
            next = str_find(header, S(", <"));
        struct str params = next < 0 ? header : str_sub(header, 0, (size_t)next);
        if (str_find(params, S(CONTEXT_REL)) >= 0)
            return target;
        header = next < 0 ? STR_NONE : str_from(header, (size_t)next + 1);
    }
    return STR_NONE;
}

/* --- tenant --- */

static bool tenant_ok(struct str name)
{
    if (!name.n || name.n > 64)
        return false;
    for (size_t i = 0; i < name.n; i++) {
        char ch = name.p[i];
        bool ok = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
                  (ch >= '0' && ch <= '9') || ch == '_' || ch == '-';
        if (!ok)
            return false;
    }
    return true;
}

static bool take_tenant(struct api *c)
{
    struct str name = request_header(c->req, "NGSILD-Tenant");
    if (!name.p || !name.n)
        return true;
    if (!tenant_ok(name)) {
        api_fail_text(c, ERR_INVALID, "NGSILD-Tenant: letters, digits, '_' and '-', at most 64");
        return false;
    }
    c->tenant = name;
    c->req->tenant = name;
    response_header(c->req, c->res, "NGSILD-Tenant", name);
    return true;
}

/* --- body --- */

static bool body_type(struct api *c, unsigned flags)
{
    struct str type = request_content_type(c->req);
    c->ld_body = str_eq(type, S("application/ld+json"));
    if (c->ld_body || str_eq(type, S("application/json")))
        return true;
    if ((flags & API_MERGE_PATCH) && str_eq(type, S("application/merge-patch+json")))
        return true;
    struct error e;
    error_set(&e, ERR_UNSUPPORTED, "content type %" STR_F ": expected JSON or JSON-LD",
              STR_A(type));
    api_fail(c, &e);
    return false;
}

static bool take_body(struct api *c)
{
    struct error e = {0};
    struct json_limits limits = JSON_DEFAULT;
    if (!c->req->body.n) {
        invalid_request(c, S("a body is required"));
        return false;
    }
    c->body = json_parse(c->arena, c->req->body, &limits, &e);
    if (c->body)
        return true;
    if (e.code == ERR_TOO_LARGE)
        api_fail(c, &e);
    else
        invalid_request(c, str_dup(c->arena, str_c(e.text)));
    return false;
}

/*
 * Clause 6.3.5: with application/ld+json the body carries the @context and a Link header is an
 * error; with any other type the Link header does and an @context in the body is an error. An array
 * (batch) carries one @context in each of its objects.
 */
static bool context_pairing(struct api *c, struct str link, const struct json **value)
{
    const struct json *in_body = json_get(c->body, S("@context"));
    bool array = json_is(c->body, JSON_ARRAY);
    for (uint32_t i = 0; array && !in_body && i < c->body->n; i++)
        in_body = json_get(&c->body->items[i], S("@context"));
    if (c->ld_body && link.p) {
        api_fail_text(c, ERR_INVALID, "a Link header cannot go with application/ld+json");
        return false;
    }
    if (c->body && !c->ld_body && in_body) {
        api_fail_text(c, ERR_INVALID, "an @context in the body needs application/ld+json");
        return false;
    }
    if (c->ld_body && !array && !in_body) {
        api_fail_text(c, ERR_INVALID, "application/ld+json needs an @context in the body");
        return false;
    }
    *value = array ? NULL : in_body;
    return true;
}

bool api_begin(struct api *c, struct request *req, struct response *res, struct link *l,
               http_handler handler, unsigned flags)
{
    *c = (struct api){.link = l,
                      .req = req,
                      .res = res,
                      .arena = req->arena,
                      .answer = HTTP_DONE,
                      .ctx = ld_core()};
    if (!take_tenant(c))
        return false;
    if ((flags & API_BODY) && (!body_type(c, flags) || !take_body(c)))
        return false;
    struct str link = link_target(request_header_all(req, "Link"));
    const struct json *value;
    if (!context_pairing(c, link, &value))
        return false;
    struct json url;
    if (link.p) {
        url = json_v_str(link);
        value = &url;
    }
    return !value || api_context(c, handler, value, &c->ctx);
}

/* --- reading --- */

struct store_conn *api_reader(struct api *c, int64_t *tenant)
{
    struct error e = {0};
    struct store_conn *conn = store_read(c->link->store, &e);
    if (!conn) {
        api_fail(c, &e);
        return NULL;
    }
    enum err err = repo_tenant(conn, c->tenant, tenant, &e);
    if (!err)
        return conn;
    store_read_done(conn);
    if (err == ERR_NOT_FOUND)
        problem(c, 404, ERRORS_URI "NonexistentTenant", "The tenant does not exist",
                str_dup(c->arena, str_c(e.text)));
    else
        api_fail(c, &e);
    return NULL;
}

bool api_option(struct api *c, const char *param, const char *word)
{
    struct str list = request_query(c->req, param), field;
    while (list.p && str_split(&list, ',', &field))
        if (str_eq(field, str_c(word)))
            return true;
    return false;
}

bool api_number(struct api *c, const char *name, int64_t preset, int64_t min, int64_t max,
                int64_t *out)
{
    struct str text = request_query(c->req, name);
    *out = preset;
    if (!text.p)
        return true;
    if (str_to_i64(text, out) && *out >= min && *out <= max)
        return true;
    api_fail_text(c, ERR_INVALID, "%s must be a number from %lld to %lld", name, (long long)min,
                  (long long)max);
    return false;
}

size_t api_names(struct api *c, struct str list, const struct str **names)
{
    VEC(struct str) v = VEC_INIT;
    struct str field;
    while (list.p && str_split(&list, ',', &field)) {
        field = str_trim(field);
        if (field.n)
            *vec_push(c->arena, &v) =
                entity_is_member(field) ? field : ld_expand(c->ctx, c->arena, field);
    }
    *names = v.v;
    return v.n;
}

bool api_id(struct api *c, const char *param, struct str *id)
{
    *id = request_param(c->req, param);
    if (ld_is_uri(*id))
        return true;
    api_fail_text(c, ERR_INVALID, "%" STR_F " is not a URI", STR_A(*id));
    return false;
}

static bool view_form(struct api *c, struct entity_view *v)
{
    struct str format = request_query(c->req, "format");
    if (format.p) { /* supersedes options */
        if (str_eq(format, S("simplified")) || str_eq(format, S("keyValues")))
            v->form = FORM_SIMPLIFIED;
        else if (str_eq(format, S("concise")))
            v->form = FORM_CONCISE;
        else if (!str_eq(format, S("normalized"))) {
            api_fail_text(c, ERR_INVALID, "format: %" STR_F " is not known", STR_A(format));
            return false;
        }
        return true;
    }
    if (api_option(c, "options", "keyValues") || api_option(c, "options", "simplified"))
        v->form = FORM_SIMPLIFIED;
    else if (api_option(c, "options", "concise"))
        v->form = FORM_CONCISE;
    return true;
}

/* attrs= narrows like pick=, but id and type always stay. */
static void view_names(struct api *c, struct entity_view *v)
{
    struct str pick = request_query(c->req, "pick");
    struct str attrs = request_query(c->req, "attrs");
    v->n_omit = api_names(c, request_query(c->req, "omit"), &v->omit);
    if (pick.p) {
        v->n_pick = api_names(c, pick, &v->pick);
        return;
    }
    if (!attrs.p)
        return;
    const struct str *names;
    size_t n = api_names(c, attrs, &names);
    struct str *all = ARENA_ARRAY(c->arena, struct str, n + 3);
    all[0] = S("id");
    all[1] = S("type");
    all[2] = S("scope");
    for (size_t i = 0; i < n; i++)
        all[i + 3] = names[i];
    v->pick = all;
    v->n_pick = n + 3;
}

bool api_view(struct api *c, struct entity_view *v, const char **type)
{
    static const char *const offers[] = {"application/json", "application/ld+json",
                                         "application/geo+json"};
    int accepted = request_accepts(c->req, offers, 3);
    *v = (struct entity_view){.ctx = c->ctx};
    if (accepted < 0) {
        problem(c, 406, NULL, "Not Acceptable",
                S("offered: application/json, application/ld+json, application/geo+json"));
        return false;
    }
    *type = offers[accepted];
    if (!view_form(c, v))
        return false;
    v->geojson = accepted == 2;
    struct str geometry = request_query(c->req, "geometryProperty");
    v->geometry = ld_expand(c->ctx, c->arena, geometry.p ? geometry : S("location"));
    bool link_context = str_find(request_header(c->req, "Prefer"), S("body=json")) >= 0;
    v->with_context =
        accepted == 1 || (accepted == 2 && !link_context &&
                          str_find(request_header(c->req, "Prefer"), S("ld+json")) >= 0);
    v->sys_attrs = api_option(c, "options", "sysAttrs");
    v->lang = request_query(c->req, "lang");
    view_names(c, v);
    struct str datasets = request_query(c->req, "datasetId"), field;
    VEC(struct str) list = VEC_INIT;
    while (datasets.p && str_split(&datasets, ',', &field))
        *vec_push(c->arena, &list) = field;
    v->datasets = list.v;
    v->n_datasets = list.n;
    return true;
}

void api_link_header(struct api *c, const struct ld_context *ctx)
{
    response_header(c->req, c->res, "Link",
                    str_printf(c->arena,
                               "<%" STR_F ">; rel=\"" CONTEXT_REL
                               "\"; type=\"application/ld+json\"",
                               STR_A(ld_context_url(ctx))));
}

void api_answer(struct api *c, int status, const char *type, struct str body)
{
    response_body(c->req, c->res, status, type, body);
    if (str_eq(str_c(type), S("application/json")))
        api_link_header(c, c->ctx);
}

/* --- writing --- */

static void ops_done(struct ops *ops, enum err code, const struct error *e)
{
    struct api *c = ops->ctx;
    if (code)
        api_fail(c, e);
    else
        c->written(c);
    http_resume(c->req);
}

enum http_answer api_write(struct api *c, struct op *ops, size_t n, void (*written)(struct api *))
{
    struct api *kept = ARENA_NEW(c->arena, struct api);
    struct error e = {0};
    *kept = *c;
    kept->written = written;
    kept->ops = (struct ops){.arena = c->arena,
                             .tenant = c->tenant,
                             .actor = c->req->user,
                             .ops = ops,
                             .n = n,
                             .done = ops_done,
                             .ctx = kept};
    if (ops_submit(c->link, &kept->ops, &e))
        return api_fail(c, &e);
    return HTTP_LATER;
}

void api_written_empty(struct api *c)
{
    struct op *op = &c->ops.ops[0];
    if (op->result) {
        op->error.code = op->result;
        api_fail(c, &op->error);
        return;
    }
    response_empty(c->res, 204);
}
