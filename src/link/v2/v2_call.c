/* What every call of NGSIv2 goes through: tenant, service path, media types, options, errors. */
#include "crypto/hash.h"
#include "link/access.h"
#include "v2.h"

/* --- errors --- */

enum http_answer v2_error(struct api *c, int status, const char *name, struct str description)
{
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    json_w_object(&w);
    json_w_kstr(&w, S("error"), str_c(name));
    if (description.n && str_is_utf8(description))
        json_w_kstr(&w, S("description"), description);
    json_w_end(&w);
    response_body(c->req, c->res, status, "application/json", buf_dup(&b, c->arena));
    if (status == 503)
        response_header(c->req, c->res, "Retry-After", S("5"));
    buf_release(&b);
    c->answer = HTTP_DONE;
    return HTTP_DONE;
}

static enum http_answer fail(struct api *c, enum err code, int status, struct str detail)
{
    static const struct {
        enum err code;
        int status;
        const char *name;
    } names[] = {{ERR_INVALID, 400, "BadRequest"},
                 {ERR_NOT_FOUND, 404, "NotFound"},
                 {ERR_EXISTS, 422, "Unprocessable"},
                 {ERR_UNPROCESSABLE, 422, "Unprocessable"},
                 {ERR_CONFLICT, 409, "TooManyResults"},
                 {ERR_FORBIDDEN, 403, "Forbidden"},
                 {ERR_TOO_LARGE, 413, "RequestEntityTooLarge"},
                 {ERR_TOO_COMPLEX, 413, "NoResourcesAvailable"},
                 {ERR_UNSUPPORTED, 415, "UnsupportedMediaType"}};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (code != OK && names[i].code == code)
            return v2_error(c, names[i].status, names[i].name, detail);
    return v2_error(c, status, status == 503 ? "ServiceUnavailable" : "InternalServerError",
                    detail);
}

/* --- headers --- */

enum { SERVICE_MAX = 50 };

/* Fiware-Service names the tenant; capitals are read as small letters. */
static bool take_service(struct api *c)
{
    struct str name = request_header(c->req, "Fiware-Service");
    if (!name.n)
        return true;
    char *low = arena_dup(c->arena, name.p, name.n);
    if (name.n > SERVICE_MAX) {
        api_fail_text(c, ERR_INVALID,
                      "bad length - a tenant name can be max 50 characters long (length: %zu)",
                      name.n);
        return false;
    }
    for (size_t i = 0; i < name.n; i++) {
        if (low[i] >= 'A' && low[i] <= 'Z')
            low[i] = (char)(low[i] | 0x20);
        if (!(low[i] >= 'a' && low[i] <= 'z') && !(low[i] >= '0' && low[i] <= '9') &&
            low[i] != '_') {
            api_fail_text(c, ERR_INVALID,
                          "bad character in tenant name - only underscore and alphanumeric "
                          "characters are allowed");
            return false;
        }
    }
    c->tenant = str_n(low, name.n);
    c->req->tenant = c->tenant;
    return true;
}

/* What clients and their logs find a request by: theirs, or the request's id. */
static struct str correlator(struct api *c)
{
    struct str given = request_header(c->req, "Fiware-Correlator");
    bool fits = given.n > 0 && given.n <= 128;
    for (size_t i = 0; fits && i < given.n; i++)
        fits = given.p[i] >= ' ' && given.p[i] < 0x7f;
    return fits ? given : c->req->id;
}

static bool take_accept(struct api *c, unsigned flags)
{
    static const char *const offers[] = {"application/json"};
    if ((flags & V2_TEXT_ACCEPT) || request_accepts(c->req, offers, 1) == 0)
        return true;
    v2_error(c, 406, "NotAcceptable", S("acceptable MIME types: application/json"));
    return false;
}

/* Parameters must have a value; unknown ones are ignored, unknown options are not. */
static bool check_params(struct api *c, const char *options)
{
    const struct http_pair *pairs;
    size_t n = request_query_all(c->req, &pairs);
    for (size_t i = 0; i < n; i++) {
        struct str rest = pairs[i].value, word;
        if (!rest.n) {
            api_fail_text(c, ERR_INVALID, "Empty right-hand-side for URI param /%" STR_F "/",
                          QUOTE(pairs[i].name));
            return false;
        }
        if (!str_eq(pairs[i].name, S("options")))
            continue;
        while (str_split(&rest, ',', &word))
            if (!api_among(str_c(options), word)) {
                api_fail_text(c, ERR_INVALID, "Invalid value for URI param /options/");
                return false;
            }
    }
    return true;
}

/* --- body --- */

static bool take_body(struct api *c, unsigned flags)
{
    struct error e = {0};
    struct json_limits limits = JSON_DEFAULT;
    limits.max_depth = API_BODY_DEPTH;
    struct str type = request_content_type(c->req);
    if (!c->req->body.n) {
        v2_error(c, 411, "ContentLengthRequired",
                 S("Zero/No Content-Length in PUT/POST/PATCH request"));
        return false;
    }
    if ((flags & V2_TEXT_BODY) && str_eq(type, S("text/plain")))
        return true;
    if (!str_eq(type, S("application/json"))) {
        api_fail_text(c, ERR_UNSUPPORTED, "not supported content type: %" STR_F, QUOTE(type));
        return false;
    }
    c->body = json_parse(c->arena, c->req->body, &limits, &e);
    if (c->body)
        return true;
    v2_error(c, 400, "ParseError", str_c(e.text));
    return false;
}

bool v2_open(struct api *c, struct v2_paths *paths, struct request *req, struct response *res,
             struct link *l, unsigned flags, const char *options)
{
    struct error e = {0};
    *c = (struct api){.link = l,
                      .req = req,
                      .res = res,
                      .arena = req->arena,
                      .answer = HTTP_DONE,
                      .n_headers = res->n_headers,
                      .type = "application/json",
                      .ctx = ld_core(),
                      .fail = fail};
    response_header(req, res, "Fiware-Correlator", correlator(c));
    if (!take_service(c))
        return false;
    if (v2_paths_read(request_header(req, "Fiware-ServicePath"), flags & V2_WRITES, paths, &e)) {
        api_fail(c, &e);
        return false;
    }
    return take_accept(c, flags) && check_params(c, options) &&
           (!(flags & (V2_BODY | V2_TEXT_BODY)) || take_body(c, flags));
}

struct str v2_new_id(struct api *c)
{
    unsigned char b[12];
    int64_t now = clock_now(c->link->clock) / SECOND_US;
    random_bytes(b, sizeof(b));
    for (int i = 0; i < 4; i++)
        b[i] = (unsigned char)(now >> (24 - 8 * i));
    return hex_encode(c->arena, str_n((const char *)b, sizeof(b)));
}

struct str v2_path_header(struct api *c)
{
    struct str path = str_trim(request_header(c->req, "Fiware-ServicePath"));
    if (path.n > 1 && str_ends(path, S("/")))
        path = str_sub(path, 0, path.n - 1);
    return path.n ? path : STR_NONE;
}

struct str v2_note(struct api *c)
{
    bool forced = api_option(c, "options", "forcedUpdate");
    struct str given = request_header(c->req, "Fiware-Correlator"), corr = correlator(c);
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    if (!forced && !given.n)
        return STR_NONE;
    json_w_object(&w);
    if (forced)
        json_w_kbool(&w, S("forced"), true);
    json_w_kstr(&w, S("correlator"), corr);
    json_w_end(&w);
    struct str text = buf_dup(&b, c->arena);
    buf_release(&b);
    return text;
}

/* --- parameters --- */

static bool pagination(struct api *c, const char *name, int64_t min, int64_t preset, int64_t max,
                       int64_t *out)
{
    struct str text = request_query(c->req, name);
    *out = preset;
    if (!text.p)
        return true;
    if (!str_to_i64(text, out) || *out < 0)
        api_fail_text(c, ERR_INVALID, "Bad pagination %s: /%" STR_F "/ [must be a decimal number]",
                      name, QUOTE(text));
    else if (*out < min)
        api_fail_text(c, ERR_INVALID, "Bad pagination %s: /0/ [a value of ZERO is unacceptable]",
                      name);
    else if (*out > max)
        api_fail_text(c, ERR_INVALID, "Bad pagination %s: /%lld/ [max: %lld]", name,
                      (long long)*out, (long long)max);
    else
        return true;
    return false;
}

bool v2_limits(struct api *c, int64_t *limit, int64_t *offset)
{
    const struct link_options *o = &c->link->options;
    return pagination(c, "limit", 1, o->page_default, o->page_max, limit) &&
           pagination(c, "offset", 0, 0, INT64_MAX, offset);
}

bool v2_param(struct api *c, const char *name, const char *what, struct str *out)
{
    struct error e = {0};
    *out = request_param(c->req, name);
    if (!v2_check_lookup(*out, what, &e))
        return true;
    api_fail(c, &e);
    return false;
}

void v2_view(struct api *c, struct v2_view *v)
{
    static const struct {
        const char *word;
        enum v2_form form;
    } forms[] = {{"keyValues", V2_KEY_VALUES}, {"values", V2_VALUES}, {"unique", V2_UNIQUE}};
    *v = (struct v2_view){.form = V2_NORMALIZED, .head = true};
    for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++)
        if (api_option(c, "options", forms[i].word))
            v->form = forms[i].form;
    v->n_attrs = api_list(c, request_query(c->req, "attrs"), &v->attrs);
    v->n_metadata = api_list(c, request_query(c->req, "metadata"), &v->metadata);
}

/* --- reading --- */

struct store_conn *v2_reader(struct api *c, int64_t *tenant, bool *there)
{
    struct error e = {0};
    struct store_conn *conn = store_read(c->link->store, &e);
    *there = true;
    enum err err = conn ? repo_tenant(conn, c->tenant, tenant, &e) : e.code;
    if (!err)
        store_set_view(conn, access_view(c->link->access, access_asks(c->req), *tenant));
    if (!err)
        return conn;
    if (conn)
        store_read_done(conn);
    *there = err != ERR_NOT_FOUND;
    if (*there)
        api_fail(c, &e);
    return NULL;
}

bool v2_expired(const struct json *stored, int64_t now)
{
    const struct json *at = json_get(stored, S("expiresAt"));
    int64_t instant;
    return at && datetime_parse(json_text(at), &instant) && instant <= now;
}

struct ids {
    struct arena *arena;
    VEC(struct str) list;
};

static bool add_id(void *ctx, struct str id)
{
    struct ids *ids = ctx;
    *vec_push(ids->arena, &ids->list) = str_dup(ids->arena, id);
    return true;
}

enum err v2_stored_ids(struct store_conn *c, struct arena *a, int64_t tenant, struct str id,
                       const struct str **list, size_t *n, struct error *e)
{
    struct ids ids = {.arena = a};
    *vec_push(a, &ids.list) = v2_alias(a, id);
    enum err err = repo_ids(c, tenant, v2_alias_prefix(a, id), add_id, &ids, e);
    *list = ids.list.v;
    *n = ids.list.n;
    return err;
}

static bool has_type(struct arena *a, const struct json *stored, struct str type)
{
    return !type.p || entity_has_type(stored, v2_iri(a, type));
}

enum err v2_find(struct store_conn *c, struct arena *a, int64_t tenant, struct str id,
                 struct str type, const struct v2_paths *paths, int64_t now, struct v2_found *out,
                 struct error *e)
{
    const struct str *ids;
    size_t n;
    *out = (struct v2_found){.n = 0};
    enum err err = v2_stored_ids(c, a, tenant, id, &ids, &n, e);
    for (size_t i = 0; !err && i < n; i++) {
        struct entity_row row;
        err = repo_get(c, a, tenant, ids[i], &row, e);
        if (err == ERR_NOT_FOUND) {
            err = OK;
            continue;
        }
        const struct json *stored = err ? NULL : json_parse(a, row.doc, &JSON_DEFAULT, e);
        if (!err && !stored)
            err = error_set(e, ERR_CORRUPT, "entity row %lld holds no JSON", (long long)row.eid);
        if (err || v2_expired(stored, now) || !has_type(a, stored, type) ||
            !v2_paths_hold(paths, stored))
            continue;
        out->n++;
        out->stored = stored;
        out->version = row.version;
    }
    return err;
}

/* --- answers about documents --- */

enum http_answer v2_answer_list(struct api *c, struct buf *list, const struct error *e,
                                int64_t count)
{
    struct str body = buf_dup(list, c->arena);
    buf_release(list);
    if (e)
        return api_fail(c, e);
    response_body(c->req, c->res, 200, "application/json", body);
    if (api_option(c, "options", "count"))
        response_header(c->req, c->res, "Fiware-Total-Count",
                        str_printf(c->arena, "%lld", (long long)count));
    return HTTP_DONE;
}

enum http_answer v2_answer_one(struct api *c, struct buf *one, const struct error *e,
                               const char *missing)
{
    struct str body = buf_dup(one, c->arena);
    buf_release(one);
    if (e)
        return api_fail(c, e);
    if (!body.n)
        return api_fail_text(c, ERR_NOT_FOUND, "%s", missing);
    response_body(c->req, c->res, 200, "application/json", body);
    return HTTP_DONE;
}
