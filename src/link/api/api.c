/*
 * What every NGSI-LD call goes through: parameters, tenant, media type, body and @context.
 *
 * A remote @context that is not known yet is fetched on a pool thread, kept in the store, and the
 * handler is run again there; the HTTP worker is free meanwhile.
 */
#include "api.h"
#include "snapshot.h"

/* --- slow work --- */

struct api *api_keep(const struct api *c)
{
    struct api *kept = ARENA_NEW(c->arena, struct api);
    *kept = *c;
    return kept;
}

static void slow_run(void *ctx)
{
    struct api *c = ctx;
    c->then(c);
    http_resume(c->req);
}

enum http_answer api_slowly(struct api *c, void (*then)(struct api *c), void *ctx)
{
    struct api *kept = api_keep(c);
    kept->then = then;
    kept->ctx_then = ctx;
    if (pool_submit_in(c->link->pool, str_hash(c->tenant), slow_run, kept))
        return api_fail_text(c, ERR_UNAVAILABLE, "too much slow work is waiting");
    return HTTP_LATER;
}

/* --- @context --- */

/* A handler waiting for a remote @context. */
struct retry {
    struct api call;
    http_handler handler;
    struct str url;
};

enum err api_fetch_context(struct api *c, struct str url, struct error *e)
{
    struct link *l = c->link;
    struct http_header accept = {S("Accept"), S("application/ld+json, application/json;q=0.9")};
    struct client_request q = {.method = "GET",
                               .url = url,
                               .headers = &accept,
                               .n_headers = 1,
                               .timeout_ms = l->options.context_fetch_ms};
    struct client_answer answer;
    if (clock_steady(l->clock) > c->req->deadline)
        return error_set(e, ERR_TIMEOUT, "no time is left for it");
    enum err err = client_fetch(l->client, c->arena, &q, &answer, e);
    if (err)
        return err;
    if (answer.status != 200)
        return error_set(e, ERR_UNAVAILABLE, "the server answers %d", answer.status);
    return ld_context_add(l->contexts, url, LD_CACHED, answer.body, e);
}

static void retry_run(void *ctx)
{
    struct retry *r = ctx;
    struct error e = {0};
    struct request *req = r->call.req;
    struct response *res = r->call.res;
    enum err err = api_fetch_context(&r->call, r->url, &e);
    if (err) {
        struct str why = str_printf(r->call.arena, "%" STR_F ": %s", STR_A(r->url), e.text);
        if (err == ERR_INVALID) /* it is there, but no @context (clause 5.5.6) */
            api_fail_text(&r->call, err, "%" STR_F, STR_A(why));
        else
            api_no_context(&r->call, why);
        http_resume(req);
        return;
    }
    res->n_headers = r->call.n_headers; /* the handler sets its own again */
    if (r->handler(req, res, r->call.link) == HTTP_DONE)
        http_resume(req);
}

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
    if (pool_submit_in(c->link->pool, str_hash(c->tenant), retry_run, r)) {
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
        ptrdiff_t next = str_find_char(header, '<'); /* parameters hold no '<' in practice */
        struct str params = next < 0 ? header : str_sub(header, 0, (size_t)next);
        if (str_find(params, S(CONTEXT_REL)) >= 0)
            return target;
        header = next < 0 ? STR_NONE : str_from(header, (size_t)next);
    }
    return STR_NONE;
}

/* --- parameters (clause 6.3.20) --- */

bool api_among(struct str words, struct str name)
{
    struct str word;
    while (str_split(&words, ' ', &word))
        if (str_eq(word, name))
            return true;
    return false;
}

static bool check_params(struct api *c, const char *params)
{
    static const char keywords[] =
        "normalized concise keyValues simplified sysAttrs temporalValues aggregatedValues "
        "noOverwrite replace update count";
    const struct http_pair *pairs;
    size_t n = request_query_all(c->req, &pairs);
    for (size_t i = 0; i < n; i++) {
        struct str rest = pairs[i].value, word;
        if (!api_among(str_c(params), pairs[i].name)) {
            api_invalid_request(c, str_printf(c->arena, "no parameter \"%" STR_F "\" here",
                                              STR_A(str_cut(pairs[i].name, 100))));
            return false;
        }
        if (!str_eq(pairs[i].name, S("options")))
            continue;
        while (rest.p && str_split(&rest, ',', &word))
            if (!api_among(str_c(keywords), word)) {
                api_invalid_request(c, str_printf(c->arena, "no option \"%" STR_F "\"",
                                                  STR_A(str_cut(word, 100))));
                return false;
            }
    }
    return true;
}

/* --- tenant (clause 6.3.14) --- */

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

/* Everything happens in the snapshot's own space (clause 6.3.22). */
static bool take_snapshot(struct api *c)
{
    struct str id = request_header(c->req, "NGSILD-Snapshot");
    struct snapshot s;
    struct error e = {0};
    if (!id.p || !id.n)
        return true;
    if (!ld_is_uri(id))
        error_set(&e, ERR_INVALID, "NGSILD-Snapshot is a URI");
    else if (!snapshot_get(c->link, c->arena, c->tenant, id, &s, &e) &&
             !snapshot_allowed(c, &s, &e)) {
        snapshot_used(c->link, c->tenant, &s);
        c->tenant = s.space;
        c->snapshot = id;
        response_header(c->req, c->res, "NGSILD-Snapshot", id);
        return true;
    }
    api_fail(c, &e);
    return false;
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

/* --- body (clauses 6.3.4, 6.3.5) --- */

/* NGSI-LD has 411 and 415 without any payload body (clause 6.3.4). */
static bool just_status(struct api *c, int status)
{
    bool ld = str_starts(c->req->path, S("/ngsi-ld/"));
    if (ld)
        response_empty(c->res, status);
    return ld;
}

static bool body_type(struct api *c, unsigned flags)
{
    struct str type = request_content_type(c->req);
    c->ld_body = str_eq(type, S("application/ld+json"));
    if (c->ld_body || str_eq(type, S("application/json")))
        return true;
    if ((flags & API_MERGE_PATCH) && str_eq(type, S("application/merge-patch+json")))
        return true;
    if (!just_status(c, 415))
        api_fail_text(c, ERR_UNSUPPORTED, "content type \"%" STR_F "\": JSON is expected",
                      STR_A(str_cut(type, 100)));
    return false;
}

/* A body in chunks has no length either. */
static bool measured(struct api *c)
{
    return request_header(c->req, "Content-Length").p || !just_status(c, 411);
}

static bool take_body(struct api *c)
{
    struct error e = {0};
    struct json_limits limits = JSON_DEFAULT;
    limits.max_depth = API_BODY_DEPTH;
    if (!c->req->body.n) {
        api_invalid_request(c, S("a body is required"));
        return false;
    }
    c->body = json_parse(c->arena, c->req->body, &limits, &e);
    if (c->body)
        return true;
    if (e.code == ERR_TOO_LARGE)
        api_fail(c, &e);
    else
        api_invalid_request(c, str_c(e.text));
    return false;
}

/*
 * With application/ld+json the body carries the @context and a Link header is an error; with any
 * other type the Link header does and an @context in the body is an error. An array (batch)
 * carries one @context in each of its objects, which is checked object by object there.
 */
static bool context_pairing(struct api *c, struct str link, bool bare, const struct json **value)
{
    bool array = bare || json_is(c->body, JSON_ARRAY);
    const struct json *in_body = array ? NULL : json_get(c->body, S("@context"));
    const char *wrong = NULL;
    if (c->ld_body && link.p)
        wrong = "a Link header to an @context cannot go with application/ld+json";
    else if (in_body && !c->ld_body)
        wrong = "an @context in the body needs application/ld+json";
    else if (c->ld_body && !array && !in_body)
        wrong = "application/ld+json needs an @context in the body";
    if (wrong)
        api_fail_text(c, ERR_INVALID, "%s", wrong);
    *value = in_body;
    return !wrong;
}

bool api_begin(struct api *c, struct request *req, struct response *res, struct link *l,
               http_handler handler, unsigned flags)
{
    return api_open(c, req, res, l, handler, flags, NULL);
}

bool api_open(struct api *c, struct request *req, struct response *res, struct link *l,
              http_handler handler, unsigned flags, const char *params)
{
    *c = (struct api){.link = l,
                      .req = req,
                      .res = res,
                      .arena = req->arena,
                      .answer = HTTP_DONE,
                      .n_headers = res->n_headers,
                      .type = "application/json",
                      .ctx = ld_core()};
    if ((flags & API_BODY) && !measured(c))
        return false;
    if ((flags & API_REGISTRY) && request_header(req, "NGSILD-Snapshot").n) {
        api_fail_text(c, ERR_UNPROCESSABLE, "a snapshot has no registry of context sources");
        return false;
    }
    if (!take_tenant(c) || (!(flags & API_UNSCOPED) && !take_snapshot(c)) ||
        (params && !check_params(c, params)))
        return false;
    if ((flags & API_BODY) && (!body_type(c, flags) || !take_body(c)))
        return false;
    struct str link = link_target(request_header_all(req, "Link"));
    const struct json *value = NULL;
    if (!context_pairing(c, link, flags & API_BARE_JSON, &value))
        return false;
    if (link.p) {
        struct json *url = ARENA_NEW(c->arena, struct json);
        *url = json_v_str(link);
        value = url;
    }
    return !value || api_context(c, handler, value, &c->ctx);
}
