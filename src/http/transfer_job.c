#include "transfer.h"

#include "core/clock.h"
#include "origin.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_token(struct str s)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
              (c && strchr(others, c))))
            return false;
    }
    return s.n > 0;
}

/* Headers may come from a subscription: none may end a line or speak of the connection. */
static enum err check_header(const struct http_header *h, struct error *e)
{
    static const char *const own[] = {"connection",        "content-length",   "expect", "host",
                                      "keep-alive",        "proxy-connection", "te",     "trailer",
                                      "transfer-encoding", "upgrade"};
    if (!is_token(h->name))
        return error_set(e, ERR_INVALID, "not a header name: \"%" STR_F "\"", STR_A(h->name));
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        if (str_eq_nocase(h->name, str_c(own[i])))
            return error_set(e, ERR_INVALID, "header %s cannot be set", own[i]);
    for (size_t i = 0; i < h->value.n; i++) {
        unsigned char c = (unsigned char)h->value.p[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return error_set(e, ERR_INVALID, "header %" STR_F ": control character in its value",
                             STR_A(h->name));
    }
    return OK;
}

static enum err check_request(const struct client_request *r, struct error *e)
{
    struct str method = r->method ? str_c(r->method) : S("GET");
    if (!is_token(method) || method.n >= METHOD_MAX)
        return error_set(e, ERR_INVALID, "not a method: \"%" STR_F "\"", STR_A(method));
    if (r->url.n > URL_BYTES_MAX)
        return error_set(e, ERR_TOO_LARGE, "URL of %zu bytes, %d allowed", r->url.n, URL_BYTES_MAX);
    if (r->url.n == 0 || memchr(r->url.p, 0, r->url.n))
        return error_set(e, ERR_INVALID, "not a URL: \"%" STR_F "\"", STR_A(r->url));
    for (size_t i = 0; i < r->n_headers; i++) {
        enum err failed = check_header(&r->headers[i], e);
        if (failed)
            return failed;
    }
    return OK;
}

/* Memory that a job's texts are put into, one after the other. */
struct space {
    char *p;
};

static char *put(struct space *s, struct str text)
{
    char *at = s->p;
    if (text.n > 0)
        memcpy(at, text.p, text.n);
    at[text.n] = 0;
    s->p += text.n + 1;
    return at;
}

/* "Name: value"; "Name;" is how curl is told of an empty value, "Name:" leaves a header out. */
static char *put_header(struct space *s, const struct http_header *h)
{
    char *at = put(s, h->name);
    s->p--;
    if (h->value.n == 0) {
        put(s, S(";"));
        return at;
    }
    put(s, S(": "));
    s->p--;
    put(s, h->value);
    return at;
}

static size_t job_size(const struct client_request *r, struct str origin)
{
    size_t n = sizeof(struct job) + origin.n + r->url.n + r->body.n + 3;
    n += (r->n_headers + 2) * sizeof(struct curl_slist);
    for (size_t i = 0; i < r->n_headers; i++)
        n += r->headers[i].name.n + r->headers[i].value.n + 3;
    return n + sizeof("Expect:") + sizeof("Content-Type:");
}

static struct curl_slist *put_headers(struct space *s, struct curl_slist *nodes,
                                      const struct client_request *r)
{
    bool typed = false;
    size_t n = 0;
    for (size_t i = 0; i < r->n_headers; i++) {
        typed = typed || str_eq_nocase(r->headers[i].name, S("content-type"));
        nodes[n++].data = put_header(s, &r->headers[i]);
    }
    nodes[n++].data = put(s, S("Expect:")); /* never wait for 100 Continue */
    if (!typed)
        nodes[n++].data = put(s, S("Content-Type:")); /* curl would say it is a form */
    for (size_t i = 0; i < n; i++)
        nodes[i].next = i + 1 < n ? &nodes[i + 1] : NULL;
    return nodes;
}

void job_free(struct job *j)
{
    free(j);
}

void job_fail(struct job *j, int64_t now, enum err code, const char *why)
{
    struct client_answer answer = {.us = now - j->started};
    error_set(&answer.error, code, "%s %s: %s", j->method, j->origin, why);
    j->done(j->ctx, &answer);
    job_free(j);
}

enum err job_new(const struct client_request *r, int64_t now, const struct client_options *o,
                 struct job **out, struct error *e)
{
    enum err failed = check_request(r, e);
    if (failed)
        return failed;
    char *url = strndup(r->url.p, r->url.n);
    char *origin = url ? origin_of(url) : NULL;
    free(url);
    if (!origin)
        return error_set(e, ERR_INVALID, "not an http or https URL: \"%.*s\"",
                         (int)(r->url.n < 200 ? r->url.n : 200), r->url.p);
    struct job *j = calloc(1, job_size(r, str_c(origin)));
    if (!j) {
        free(origin);
        return error_set(e, ERR_UNAVAILABLE, "out of memory for a request");
    }
    struct curl_slist *nodes = (struct curl_slist *)(j + 1);
    struct space s = {(char *)(nodes + r->n_headers + 2)};
    j->headers = put_headers(&s, nodes, r);
    j->origin = put(&s, str_c(origin));
    j->url = put(&s, r->url);
    j->body = str_n(put(&s, r->body), r->body.n);
    snprintf(j->method, sizeof(j->method), "%s", r->method ? r->method : "GET");
    int64_t ms = r->timeout_ms > 0 && r->timeout_ms < o->total_ms ? r->timeout_ms : o->total_ms;
    j->response_bytes = r->response_bytes > 0 && r->response_bytes < o->response_bytes
                            ? r->response_bytes
                            : o->response_bytes;
    j->started = now;
    j->deadline = now + ms * (SECOND_US / 1000);
    j->done = r->done;
    j->ctx = r->ctx;
    free(origin);
    *out = j;
    return OK;
}
