/* Errors in the specification's form (clauses 5.5.2, 5.5.3, 6.3.2). */
#include "api.h"
#include "core/log.h"
#include <stdarg.h>
#include <stdio.h>

#define ERRORS_URI "https://uri.etsi.org/ngsi-ld/errors/"

static const struct problem {
    enum err code;
    int status;
    const char *type;
    const char *title;
} problems[] = {
    {ERR_INVALID, 400, ERRORS_URI "BadRequestData", "The request includes invalid data"},
    {ERR_NOT_FOUND, 404, ERRORS_URI "ResourceNotFound", "The resource does not exist"},
    {ERR_EXISTS, 409, ERRORS_URI "AlreadyExists", "The resource exists already"},
    {ERR_CONFLICT, 409, ERRORS_URI "Conflict", "The request conflicts with what is there"},
    {ERR_UNPROCESSABLE, 422, ERRORS_URI "OperationNotSupported", "The operation is not supported"},
    {ERR_TOO_COMPLEX, 403, ERRORS_URI "TooComplexQuery", "The query is too complex"},
    {ERR_TOO_MANY, 403, ERRORS_URI "TooManyResults", "The query has too many results"},
};

static const struct problem internal = {ERR_INTERNAL, 500, ERRORS_URI "InternalError",
                                        "Something failed inside"};

/* Errors that NGSI-LD leaves to plain HTTP have no type of their own. */
static struct problem problem_of(enum err code)
{
    for (size_t i = 0; i < sizeof(problems) / sizeof(problems[0]); i++)
        if (problems[i].code == code)
            return problems[i];
    int status = http_status_of(code);
    if (status == 500)
        return internal;
    return (struct problem){code, status, "about:blank", http_reason(status)};
}

static void write_problem(struct json_writer *w, const struct problem *p, struct str detail)
{
    json_w_object(w);
    json_w_kstr(w, S("type"), str_c(p->type));
    json_w_kstr(w, S("title"), str_c(p->title));
    if (detail.n && str_is_utf8(detail))
        json_w_kstr(w, S("detail"), detail);
    json_w_ki64(w, S("status"), p->status);
    json_w_end(w);
}

static enum http_answer answer(struct api *c, const struct problem *p, struct str detail)
{
    if (c->fail)
        return c->fail(c, p->code, p->status, detail);
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    write_problem(&w, p, detail);
    c->res->etag = STR_NONE;
    response_body(c->req, c->res, p->status, "application/json", buf_dup(&b, c->arena));
    if (p->status == 503)
        response_header(c->req, c->res, "Retry-After", S("5"));
    buf_release(&b);
    c->answer = HTTP_DONE;
    return HTTP_DONE;
}

enum http_answer api_fail(struct api *c, const struct error *e)
{
    struct problem p = problem_of(e->code);
    if (p.status != 500)
        return answer(c, &p, str_c(e->text));
    log_event(LOG_ERROR, "link.failure", LOG_S("id", c->req->id), LOG_Z("kind", err_name(e->code)),
              LOG_Z("error", e->text));
    return answer(c, &p, S("it has been logged"));
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

enum http_answer api_invalid_request(struct api *c, struct str detail)
{
    static const struct problem p = {ERR_INVALID, 400, ERRORS_URI "InvalidRequest",
                                     "The request is not valid"};
    return answer(c, &p, detail);
}

enum http_answer api_no_tenant(struct api *c)
{
    static const struct problem p = {ERR_NOT_FOUND, 404, ERRORS_URI "NonexistentTenant",
                                     "The tenant does not exist"};
    return answer(c, &p, c->tenant);
}

static const struct problem no_context = {ERR_TIMEOUT, 504, ERRORS_URI "LdContextNotAvailable",
                                          "A remote @context cannot be had"};

enum http_answer api_no_context(struct api *c, struct str detail)
{
    return answer(c, &no_context, detail);
}

enum http_answer api_loop_detected(struct api *c, struct str detail)
{
    static const struct problem p = {ERR_CONFLICT, 508, ERRORS_URI "LoopDetected",
                                     "The request goes round in circles"};
    return answer(c, &p, detail);
}

enum http_answer api_status(struct api *c, int status, struct str detail)
{
    struct problem p = {OK, status, "about:blank", http_reason(status)};
    return answer(c, &p, detail);
}

void api_problem_of(const struct error *e, struct api_problem *out)
{
    struct problem p = problem_of(e->code);
    *out = (struct api_problem){p.status, p.type, p.title};
}

void api_problem_json(struct json_writer *w, const struct error *e)
{
    struct problem p = e->code == ERR_TIMEOUT ? no_context : problem_of(e->code);
    write_problem(w, &p, p.status == 500 ? STR_NONE : str_c(e->text));
}
