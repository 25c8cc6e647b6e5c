#include "problem.h"

#include "core/log.h"
#include "http/server.h"
#include "server_impl.h"

struct status_text {
    int status;
    const char *reason;
};

static const struct status_text reasons[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {207, "Multi-Status"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {422, "Unprocessable Content"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {507, "Insufficient Storage"},
    {508, "Loop Detected"},
};

const char *http_reason(int status)
{
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Unknown";
}

int http_status_of(enum err code)
{
    switch (code) {
    case OK:
        return 200;
    case ERR_INVALID:
        return 400;
    case ERR_UNAUTHENTICATED:
        return 401;
    case ERR_FORBIDDEN:
    case ERR_TOO_COMPLEX:
        return 403;
    case ERR_NOT_FOUND:
        return 404;
    case ERR_CONFLICT:
    case ERR_EXISTS:
        return 409;
    case ERR_PRECONDITION:
        return 412;
    case ERR_TOO_LARGE:
        return 413;
    case ERR_UNSUPPORTED:
        return 415;
    case ERR_UNPROCESSABLE:
        return 422;
    case ERR_TOO_MANY:
        return 429;
    case ERR_UNAVAILABLE:
        return 503;
    case ERR_TIMEOUT:
        return 504;
    case ERR_IO:
    case ERR_CORRUPT:
    case ERR_INTERNAL:
        break;
    }
    return 500;
}

struct str problem_json(struct arena *a, int status, const char *type, struct str title,
                        struct str detail, struct str instance)
{
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    json_w_object(&w);
    json_w_kstr(&w, S("type"), type ? str_c(type) : S("about:blank"));
    json_w_kstr(&w, S("title"), title);
    json_w_ki64(&w, S("status"), status);
    if (detail.n && str_is_utf8(detail))
        json_w_kstr(&w, S("detail"), detail);
    if (instance.n)
        json_w_kstr(&w, S("instance"), instance);
    json_w_end(&w);
    struct str text = buf_dup(&b, a);
    buf_release(&b);
    return text;
}

static void plain_page(struct request *req, struct response *res, int status, struct str title,
                       struct str detail)
{
    struct str page =
        str_printf(req->arena,
                   "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">"
                   "<title>%" STR_F "</title><h1>%d %" STR_F "</h1><p>%" STR_F "</p></html>\n",
                   STR_A(html_escape(req->arena, title)), status,
                   STR_A(html_escape(req->arena, title)), STR_A(html_escape(req->arena, detail)));
    response_body(req, res, status, "text/html; charset=utf-8", page);
}

void response_problem(struct request *req, struct response *res, int status, const char *type,
                      const char *title, struct str detail)
{
    static const char *const offers[] = {"application/problem+json", "text/html"};
    struct str name = str_c(title ? title : http_reason(status));
    const struct server_hooks *hooks = req->server ? &req->server->hooks : NULL;
    res->etag = STR_NONE;
    res->modified = 0;
    res->file = NULL;
    res->stream = (struct http_stream){0};
    if (request_accepts(req, offers, 2) != 1) {
        struct str instance = STR_NONE;
        if (req->id.n)
            instance = str_concat(req->arena, S("urn:request:"), req->id);
        response_body(req, res, status, "application/problem+json",
                      problem_json(req->arena, status, type, name, detail, instance));
    } else if (hooks && hooks->error_page) {
        res->status = status;
        hooks->error_page(hooks->ctx, req, res, status, name, detail);
    } else {
        plain_page(req, res, status, name, detail);
    }
}

void response_error(struct request *req, struct response *res, const struct error *e)
{
    int status = http_status_of(e->code);
    /* What failed inside is for the log, not for the client. */
    struct str detail =
        status == 500 ? S("something failed inside; it has been logged") : str_c(e->text);
    if (status == 500)
        log_event(LOG_ERROR, "http.failure", LOG_S("id", req->id), LOG_Z("kind", err_name(e->code)),
                  LOG_Z("error", e->text));
    response_problem(req, res, status, NULL, NULL, detail);
    if (status == 503 || status == 429)
        response_header(req, res, "Retry-After", S("5"));
}
