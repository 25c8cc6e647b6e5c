#include "core/vec.h"
#include "exchange.h"
#include <string.h>

void response_body(struct request *req, struct response *res, int status, const char *type,
                   struct str body)
{
    (void)req;
    res->status = status;
    res->type = str_c(type);
    res->body = body.p ? body : S("");
}

void response_empty(struct response *res, int status)
{
    res->status = status;
    res->type = STR_NONE;
    res->body = STR_NONE;
}

/* A header may not smuggle in another one: line ends and NUL become blanks. */
static struct str clean_value(struct arena *a, struct str v)
{
    char *copy = arena_dup(a, v.p, v.n);
    for (size_t i = 0; i < v.n; i++)
        if (copy[i] == '\r' || copy[i] == '\n' || copy[i] == '\0')
            copy[i] = ' ';
    return str_trim(str_n(copy, v.n));
}

void response_header(struct request *req, struct response *res, const char *name, struct str value)
{
    if (res->n_headers == res->cap_headers) {
        size_t cap = res->cap_headers ? res->cap_headers * 2 : 8;
        res->headers =
            arena_grow(req->arena, res->headers, res->cap_headers * sizeof(*res->headers),
                       cap * sizeof(*res->headers));
        res->cap_headers = cap;
    }
    struct str clean = str_dup(req->arena, clean_value(req->arena, value));
    res->headers[res->n_headers++] = (struct http_header){str_c(name), clean};
}

void response_redirect(struct request *req, struct response *res, int status, struct str to)
{
    response_empty(res, status);
    response_header(req, res, "Location", to);
}

void response_cookie(struct request *req, struct response *res, const char *name, struct str value,
                     int64_t max_age_s, bool readable_by_script)
{
    struct str line =
        str_printf(req->arena, "%s=%" STR_F "; Path=/; Max-Age=%lld; SameSite=Lax%s%s", name,
                   STR_A(value), (long long)max_age_s, readable_by_script ? "" : "; HttpOnly",
                   req->tls ? "; Secure" : "");
    response_header(req, res, "Set-Cookie", line);
}
