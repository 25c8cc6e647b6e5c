#include "exchange.h"
#include "negotiate.h"
#include "url.h"

static struct str pair_value(const struct http_pair *pairs, size_t n, struct str name)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(pairs[i].name, name))
            return pairs[i].value.p ? pairs[i].value : S("");
    return STR_NONE;
}

struct str request_param(const struct request *req, const char *name)
{
    const struct exchange *x = exchange_of(req);
    return pair_value(x->params, x->n_params, str_c(name));
}

int64_t request_param_int(const struct request *req, const char *name)
{
    int64_t v;
    return str_to_i64(request_param(req, name), &v) ? v : -1;
}

struct str request_header(const struct request *req, const char *name)
{
    const struct exchange *x = exchange_of(req);
    struct str want = str_c(name);
    for (size_t i = 0; i < x->n_headers; i++)
        if (str_eq_nocase(x->headers[i].name, want))
            return x->headers[i].value;
    return STR_NONE;
}

struct str request_header_all(const struct request *req, const char *name)
{
    const struct exchange *x = exchange_of(req);
    struct str want = str_c(name), all = STR_NONE;
    for (size_t i = 0; i < x->n_headers; i++) {
        if (!str_eq_nocase(x->headers[i].name, want))
            continue;
        if (all.p)
            all = str_concat(req->arena, str_concat(req->arena, all, S(", ")), x->headers[i].value);
        else
            all = x->headers[i].value;
    }
    return all;
}

size_t request_query_all(const struct request *req, const struct http_pair **pairs)
{
    struct exchange *x = exchange_of(req);
    if (!x->query_read) {
        x->n_query = url_pairs(req->arena, req->query, &x->query);
        x->query_read = true;
    }
    *pairs = x->query;
    return x->n_query;
}

struct str request_query(const struct request *req, const char *name)
{
    const struct http_pair *pairs;
    size_t n = request_query_all(req, &pairs);
    return pair_value(pairs, n, str_c(name));
}

static struct str cookie_in_line(struct str line, struct str want)
{
    struct str field;
    while (str_split(&line, ';', &field)) {
        field = str_trim(field);
        ptrdiff_t eq = str_find_char(field, '=');
        if (eq < 0 || !str_eq(str_sub(field, 0, (size_t)eq), want))
            continue;
        struct str value = str_from(field, (size_t)eq + 1);
        if (value.n >= 2 && value.p[0] == '"' && value.p[value.n - 1] == '"')
            value = str_sub(value, 1, value.n - 2);
        return value;
    }
    return STR_NONE;
}

struct str request_cookie(const struct request *req, const char *name)
{
    const struct exchange *x = exchange_of(req);
    for (size_t i = 0; i < x->n_headers; i++) {
        struct str value = STR_NONE;
        if (str_eq_nocase(x->headers[i].name, S("Cookie")))
            value = cookie_in_line(x->headers[i].value, str_c(name));
        if (value.p)
            return value;
    }
    return STR_NONE;
}

struct str request_content_type(const struct request *req)
{
    struct str type = request_header(req, "Content-Type");
    if (!type.p)
        return STR_NONE;
    ptrdiff_t semicolon = str_find_char(type, ';');
    if (semicolon >= 0)
        type = str_sub(type, 0, (size_t)semicolon);
    type = str_trim(type);
    char *lower = arena_dup(req->arena, type.p, type.n);
    for (size_t i = 0; i < type.n; i++)
        if (lower[i] >= 'A' && lower[i] <= 'Z')
            lower[i] = (char)(lower[i] + ('a' - 'A'));
    return str_n(lower, type.n);
}

size_t request_form(const struct request *req, const struct http_pair **pairs)
{
    struct exchange *x = exchange_of(req);
    if (!x->form_read) {
        x->form_read = true;
        if (str_eq(request_content_type(req), S("application/x-www-form-urlencoded")))
            x->n_form = url_pairs(req->arena, req->body, &x->form);
    }
    *pairs = x->form;
    return x->n_form;
}

int request_accepts(const struct request *req, const char *const *offers, size_t n)
{
    return negotiate_type(request_header_all(req, "Accept"), offers, n);
}

static struct str strong_part(struct str tag)
{
    return str_starts(tag, S("W/")) ? str_from(tag, 2) : tag;
}

bool http_etag_listed(struct str header, struct str etag)
{
    if (str_eq(str_trim(header), S("*")))
        return true;
    etag = strong_part(etag);
    while (header.n) {
        /* Tags are quoted and may hold commas, so a split at commas would be wrong. */
        ptrdiff_t open = str_find_char(header, '"');
        if (open < 0)
            return false;
        struct str rest = str_from(header, (size_t)open + 1);
        ptrdiff_t close = str_find_char(rest, '"');
        if (close < 0)
            return false;
        if (str_eq(str_sub(header, (size_t)open, (size_t)close + 2), etag))
            return true;
        header = str_from(rest, (size_t)close + 1);
    }
    return false;
}

bool request_if_match(const struct request *req, struct str etag)
{
    struct str header = request_header_all(req, "If-Match");
    return !header.p || (etag.n && http_etag_listed(header, etag));
}
