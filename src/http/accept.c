#include "accept.h"

#include "body.h"
#include "core/clock.h"
#include "server_impl.h"
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>

/* --- what was sent --- */

void accept_target(struct exchange *x, struct str target)
{
    /* "GET http://host/path" (RFC 9112 section 3.2.2): the path counts, Host decides nothing here.
     */
    if (target.n && target.p[0] != '/') {
        ptrdiff_t scheme = str_find(target, S("://"));
        if (scheme > 0) {
            struct str rest = str_from(target, (size_t)scheme + 3);
            ptrdiff_t slash = str_find_char(rest, '/');
            target = slash < 0 ? S("/") : str_from(rest, (size_t)slash);
        }
    }
    struct str copy = str_dup(&x->arena, target);
    ptrdiff_t mark = str_find_char(copy, '?');
    x->req.path = mark < 0 ? copy : str_sub(copy, 0, (size_t)mark);
    x->req.query = mark < 0 ? S("") : str_from(copy, (size_t)mark + 1);
}

struct collect {
    struct arena *arena;
    struct http_header *headers;
    size_t n, cap;
};

/* The copies outlive libmicrohttpd's own: the owner of a late request may still look at them. */
static enum MHD_Result collect_header(void *cls, enum MHD_ValueKind kind, const char *name,
                                      size_t name_n, const char *value, size_t value_n)
{
    struct collect *c = cls;
    (void)kind;
    if (c->n == c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 16;
        c->headers = arena_grow(c->arena, c->headers, c->cap * sizeof(*c->headers),
                                cap * sizeof(*c->headers));
        c->cap = cap;
    }
    struct http_header *h = &c->headers[c->n++];
    h->name = str_n(arena_dup(c->arena, name, name_n), name_n);
    h->value = str_trim(str_n(arena_dup(c->arena, value ? value : "", value_n), value_n));
    return MHD_YES;
}

static bool id_is_well_formed(struct str id)
{
    if (id.n == 0 || id.n > 64)
        return false;
    for (size_t i = 0; i < id.n; i++) {
        char c = id.p[i];
        bool ok = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  c == '-' || c == '_' || c == '.';
        if (!ok)
            return false;
    }
    return true;
}

static void name_request(struct exchange *x, struct http_worker *w)
{
    struct str sent = request_header(&x->req, "X-Request-Id");
    if (id_is_well_formed(sent)) {
        x->req.id = str_dup(&x->arena, sent);
        return;
    }
    static const char digits[] = "0123456789abcdef";
    uint64_t count = w->id_count++;
    memcpy(x->id_text, w->id_prefix, 16);
    for (int i = 0; i < 16; i++)
        x->id_text[16 + i] = digits[count >> (60 - 4 * i) & 15];
    x->req.id = str_n(x->id_text, 32);
}

/* Behind trusted proxies: the last address in X-Forwarded-For that is not a trusted one. */
static void find_client(struct exchange *x)
{
    x->client_key = x->conn->key;
    x->req.client = str_dup(&x->arena, str_c(x->conn->address));
    x->req.tls = x->server->tls;
    if (!x->conn->proxy)
        return;
    struct str list = request_header_all(&x->req, "X-Forwarded-For");
    while (list.n) {
        size_t from = list.n;
        while (from && list.p[from - 1] != ',')
            from--;
        struct str address = str_trim(str_from(list, from));
        struct client_key key;
        if (!client_key_parse(address, &key))
            break;
        x->client_key = key;
        x->req.client = address;
        if (from == 0 || !server_trusts(x->server, address))
            break;
        list = str_sub(list, 0, from - 1);
    }
    x->req.tls |= str_eq_nocase(request_header(&x->req, "X-Forwarded-Proto"), S("https"));
}

void accept_headers(struct exchange *x, struct http_worker *w, const char *method)
{
    struct collect c = {.arena = &x->arena};
    MHD_get_connection_values_n(x->mhd, MHD_HEADER_KIND, collect_header, &c);
    x->headers = c.headers;
    x->n_headers = c.n;
    x->req.method = str_dup(&x->arena, str_c(method));
    x->req.started = clock_now(x->server->clock);
    x->req.deadline = x->steady + x->server->opt.request_deadline_s * SECOND_US;
    name_request(x, w);
    find_client(x);
}

/* --- may it go on? --- */

static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= ' ' || c >= 0x7F || strchr("\"(),/:;<=>?@[\\]{}", c))
            return false;
    }
    return s.n > 0;
}

/*
 * What a proxy in front might read differently from us is refused, so that nobody can hide a
 * request in another one's body (RFC 9112 section 6.3): both lengths, two lengths, another transfer
 * coding than chunked, blanks in header names.
 */
static const char *malformed(const struct exchange *x, int64_t *length, bool *chunked, int *status)
{
    size_t lengths = 0, codings = 0, hosts = 0;
    *status = 400;
    if (!is_token(x->req.method))
        return "the method is malformed";
    if (str_find_char(x->req.path, ' ') >= 0 || str_find_char(x->req.query, ' ') >= 0)
        return "the path is malformed";
    for (size_t i = 0; i < x->n_headers; i++) {
        const struct http_header *h = &x->headers[i];
        if (!is_token(h->name))
            return "a header name is malformed";
        if (str_eq_nocase(h->name, S("Content-Length"))) {
            lengths++;
            if (!str_to_i64(h->value, length) || *length < 0)
                return "Content-Length is malformed";
        } else if (str_eq_nocase(h->name, S("Transfer-Encoding"))) {
            codings++;
            *chunked = true;
            if (!str_eq_nocase(h->value, S("chunked"))) {
                *status = 501;
                return "only the transfer coding chunked is known";
            }
        } else if (str_eq_nocase(h->name, S("Host"))) {
            hosts++;
        }
    }
    if (lengths + codings > 1)
        return "the length of the body is given twice";
    if (!hosts && x->needs_host)
        return "there is no Host";
    return hosts > 1 ? "Host is given twice" : NULL;
}

static bool refuse(struct exchange *x, int status, const char *detail)
{
    response_problem(&x->req, &x->res, status, NULL, NULL, str_c(detail));
    return false;
}

/* OPTIONS for a path without such a route: which methods there are; for a CORS preflight (Fetch
 * standard section 3.2.2) also which headers may be sent. */
static bool answer_options(struct exchange *x, const struct route_match *m)
{
    struct request *req = &x->req;
    struct response *res = &x->res;
    response_empty(res, 204);
    response_header(req, res, "Allow", m->allow);
    x->public_cors = m->any_cors;
    if (!request_header(req, "Access-Control-Request-Method").p)
        return false;
    struct str headers = request_header_all(req, "Access-Control-Request-Headers");
    response_header(req, res, "Access-Control-Allow-Methods", m->allow);
    if (headers.n)
        response_header(req, res, "Access-Control-Allow-Headers", headers);
    response_header(req, res, "Access-Control-Max-Age", S("86400"));
    return false;
}

/* A page is found with slashes behind its address too, but has one address only. (RFC 9110 section
 * 15.4.9: the method stays.) "//" at the start would name a host. */
static bool without_slash(struct exchange *x, struct route_match *m)
{
    struct request *req = &x->req;
    struct str path = req->path;
    while (path.n > 1 && str_ends(path, S("/")))
        path.n--;
    if (path.n == req->path.n || path.n < 2 || path.p[1] == '/' ||
        !(str_eq(req->method, S("GET")) || str_eq(req->method, S("HEAD"))) ||
        router_match(x->server->router, &x->arena, req->method, path, m) != ROUTE_FOUND ||
        (m->route->flags & (ROUTE_HIDDEN | ROUTE_PUBLIC_CORS)) != ROUTE_HIDDEN)
        return false;
    response_empty(&x->res, 308);
    response_header(req, &x->res, "Location",
                    str_printf(&x->arena, "%" STR_F "%s%" STR_F, STR_A(path),
                               req->query.n ? "?" : "", STR_A(req->query)));
    return true;
}

static bool find_route(struct exchange *x)
{
    struct request *req = &x->req;
    struct route_match *m = ARENA_NEW(&x->arena, struct route_match);
    /* TRACE would echo cookies, CONNECT is for proxies. */
    if (str_eq(req->method, S("TRACE")) || str_eq(req->method, S("CONNECT")))
        return refuse(x, 501, "this method is not supported");
    switch (router_match(x->server->router, &x->arena, req->method, req->path, m)) {
    case ROUTE_FOUND:
        req->route = m->route;
        x->route_ctx = m->ctx;
        x->params = m->params;
        x->n_params = m->n_params;
        x->public_cors = (m->route->flags & ROUTE_PUBLIC_CORS) != 0;
        return true;
    case ROUTE_NO_METHOD:
        if (str_eq(req->method, S("OPTIONS")))
            return answer_options(x, m);
        x->public_cors = m->any_cors;
        refuse(x, 405, "this method is not one of those in Allow");
        response_header(req, &x->res, "Allow", m->allow);
        return false;
    case ROUTE_BAD_PATH:
        if (str_eq(req->method, S("OPTIONS")) && str_eq(req->path, S("*"))) {
            response_empty(&x->res, 204);
            return false;
        }
        return refuse(x, 400, "the path is malformed");
    case ROUTE_NO_PATH:
        if (without_slash(x, m))
            return false;
        break;
    }
    return refuse(x, 404, "there is nothing at this address");
}

bool accept_request(struct exchange *x)
{
    struct request *req = &x->req;
    const struct http_options *o = &x->server->opt;
    int64_t length = -1;
    bool chunked = false;
    int status;
    const char *wrong = malformed(x, &length, &chunked, &status);
    if (wrong) {
        x->close = true;
        return refuse(x, status, wrong);
    }
    x->reading = chunked || length > 0;
    bool found = find_route(x);
    bool limited = !req->route || !(req->route->flags & ROUTE_NO_LIMIT);
    int64_t wait = limited ? ratelimit_take(x->server->ratelimit, &x->client_key, x->steady) : 0;
    if (wait) {
        x->res = (struct response){.impl = x};
        refuse(x, 429, "too many requests");
        response_header(req, &x->res, "Retry-After",
                        str_printf(&x->arena, "%lld", (long long)wait));
        return false;
    }
    if (!found || !req->route)
        return false;
    bool big = (req->route->flags & ROUTE_BIG_BODY) != 0;
    int64_t limit = big ? o->upload_bytes : o->body_bytes;
    if (length > limit)
        return refuse(x, 413, "the body is larger than the limit");
    if (x->reading)
        body_expect(&x->body, &x->arena, (size_t)limit, length, big ? o->spool_dir : NULL);
    return true;
}
