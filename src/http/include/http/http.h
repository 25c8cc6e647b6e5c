/*
 * http.h - a request, its response, and the table of routes.
 *
 * A handler runs on an HTTP worker, reads the request, fills the response and returns HTTP_DONE.
 * What must wait (a write, slow work) hands the request to another thread and returns HTTP_LATER;
 * that thread fills the response and calls http_resume() exactly once. Request and response live
 * in the request's arena until the answer is sent; between HTTP_LATER and http_resume() they belong
 * to the thread that will resume. Handlers never block.
 *
 *     static enum http_answer get_thing(struct request *req, struct response *res, void *ctx)
 *     {
 *         struct str id = request_param(req, "id");
 *         ...
 *         response_body(res, 200, "application/json", text);
 *         return HTTP_DONE;
 *     }
 *     static const struct route routes[] = {{"GET", "/things/{id}", get_thing, 0}};
 */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include "core/arena.h"
#include "core/error.h"
#include "core/json.h"
#include "core/str.h"

struct server;
struct request;
struct response;

enum http_answer { HTTP_DONE, HTTP_LATER };

typedef enum http_answer (*http_handler)(struct request *req, struct response *res, void *ctx);

/* --- routes --- */

enum {
    ROUTE_PUBLIC_CORS = 1, /* any origin may read: open data and the shared-data API */
    ROUTE_BIG_BODY = 2,    /* bodies up to http.upload_bytes instead of http.body_bytes; long ones
                              are spooled to a temporary file and mapped */
    ROUTE_NO_LIMIT = 4,    /* not counted by the rate limit: health checks */
    ROUTE_HIDDEN = 8       /* left out of the API description */
};

/*
 * Patterns: literal segments, {name} for one percent-decoded segment (never empty; %2F stays one
 * segment), {name:int} for a non-negative integer, {name:rest} for all that remains (last only),
 * and a literal suffix after a parameter ("{y:int}.mvt"). Literals win over parameters. GET routes
 * answer HEAD too; a known path with another method gives 405 with Allow; OPTIONS is answered from
 * the table.
 */
struct route {
    const char *method;
    const char *pattern;
    http_handler handler;
    unsigned flags;
};

struct router;
struct router *router_new(void);
/* The table must outlive the router; ctx is passed to its handlers. Aborts on a malformed or
 * ambiguous pattern: that is a bug. */
void router_add(struct router *r, const struct route *routes, size_t n, void *ctx);
void router_free(struct router *r);
/* Each route once, in the order added: for the API description. */
void router_each(const struct router *r, void (*fn)(void *arg, const struct route *route),
                 void *arg);

/* --- the request --- */

struct request {
    struct arena *arena;
    struct server *server;
    struct str method; /* "GET" */
    struct str path;   /* as sent, percent-encoded, without query */
    struct str query;  /* as sent, without '?'; may be empty */
    struct str body;   /* whole body; absent when none was sent */
    struct str id;     /* request id: X-Request-Id if it was well-formed, else made here */
    struct str client; /* address of the client (behind trusted proxies: the one they name) */
    bool tls;          /* the client's side is encrypted */
    int64_t started;   /* instant */
    int64_t deadline;  /* steady clock: work for this request should stop then */
    const struct route *route;
    void *worker;         /* this thread's own object, see server_options.worker_new */
    struct str user;      /* who asks, set by authentication; absent: nobody */
    const void *identity; /* the same as authentication knows it, in the arena; NULL: nobody */
    struct str tenant;    /* set by the API that knows tenants; absent: default */
    void *impl;           /* the server's */
};

struct str request_param(const struct request *req, const char *name); /* decoded path parameter */
int64_t request_param_int(const struct request *req, const char *name);
/* First value of a header, case-insensitive, trimmed; absent when not sent. */
struct str request_header(const struct request *req, const char *name);
/* All lines of a header joined with ", ". */
struct str request_header_all(const struct request *req, const char *name);
/* Decoded value of a query parameter ('+' is a blank); absent when not there, empty for "?x". */
struct str request_query(const struct request *req, const char *name);
/* Every query parameter in order, decoded: for APIs that refuse unknown ones. */
struct http_pair {
    struct str name, value;
};
size_t request_query_all(const struct request *req, const struct http_pair **pairs);
struct str request_cookie(const struct request *req, const char *name);
/* Fields of an application/x-www-form-urlencoded body. */
size_t request_form(const struct request *req, const struct http_pair **pairs);

/* The client is this machine itself: loopback address, no sign of a proxy, a loopback Host, and no
 * web page of another site made it send the request. */
bool request_is_local(const struct request *req);
/* The client (as trusted proxies name it) has an address of a private network or of this machine,
 * and no web page of another site made it send the request. */
bool request_is_private(const struct request *req);

/* A header that only a trusted proxy may set, as what it knows of the client's certificate (RFC
 * 9440): absent when the request came from anybody else, or when it was sent more than once. */
struct str request_proxy_header(const struct request *req, const char *name);

struct multipart_part {
    struct str name, filename, type, body;
};
/* Parts of a multipart/form-data body (RFC 7578). */
enum err request_multipart(const struct request *req, const struct multipart_part **parts,
                           size_t *n, struct error *e);

/* Media type of the body, lower case, without parameters; absent when not sent. */
struct str request_content_type(const struct request *req);
/*
 * Which of the n offered media types the Accept header prefers (RFC 9110 section 12.5.1: quality,
 * then specificity, then order offered); -1 when none is acceptable. No header: 0.
 */
int request_accepts(const struct request *req, const char *const *offers, size_t n);
bool http_accepts(struct str accept_header, const char *type);
/*
 * For handlers that change something: does the If-Match header permit it, given the state's entity
 * tag (absent: there is no such thing yet)? True without the header; else answer 412. A leading
 * "W/" is ignored, because a compressed answer carries its strong tag in that form.
 */
bool request_if_match(const struct request *req, struct str etag);
/* Is etag among the tags of an If-Match or If-None-Match header, or is that "*"? */
bool http_etag_listed(struct str header, struct str etag);

/* --- the response --- */

struct http_header {
    struct str name, value;
};

/* A body made while it is sent. next() fills up to max bytes and returns their number, 0 for
 * "nothing now" (http_stream_wake() makes it be asked again), -1 for the end, -2 for a failure
 * (the connection is closed). Runs on an HTTP worker and must not block. done() runs once. */
struct http_stream {
    ptrdiff_t (*next)(void *ctx, char *out, size_t max);
    void (*done)(void *ctx);
    void *ctx;
};

struct response {
    int status;
    struct str type; /* media type of the body */
    struct str body; /* must live in the request's arena or be static */
    struct http_header *headers;
    size_t n_headers, cap_headers;
    struct http_stream stream; /* used when stream.next is set */
    struct str etag;           /* quoted; conditional requests are answered from it */
    int64_t modified;          /* instant, 0: unknown */
    const char *file;          /* path to send, with ranges; instead of body */
    bool no_gzip;              /* already compressed, or must not be */
    void *impl;
};

void response_body(struct request *req, struct response *res, int status, const char *type,
                   struct str body); /* body as is, not copied */
void response_empty(struct response *res, int status);
void response_header(struct request *req, struct response *res, const char *name, struct str value);
void response_redirect(struct request *req, struct response *res, int status, struct str to);
void response_cookie(struct request *req, struct response *res, const char *name, struct str value,
                     int64_t max_age_s, bool readable_by_script);

/*
 * problem+json (RFC 9457) for programs; for browsers (Accept prefers text/html) the page that
 * server_options.error_page renders in the reader's language. type: a URI, or NULL for about:blank.
 */
void response_problem(struct request *req, struct response *res, int status, const char *type,
                      const char *title, struct str detail);
/* The usual one: status and title from e->code, detail from e->text; 503 and 429 get Retry-After.
 */
void response_error(struct request *req, struct response *res, const struct error *e);
int http_status_of(enum err code);
const char *http_reason(int status);

/* After HTTP_LATER: the response is filled, send it. Any thread. */
void http_resume(struct request *req);
/* Something is there for a stream that answered 0. Any thread, any time before done(). handle comes
 * from http_stream_handle(), taken in the handler. */
struct http_stream_handle;
struct http_stream_handle *http_stream_handle(struct request *req);
void http_stream_wake(struct http_stream_handle *h);

/* --- WebSocket (RFC 6455) --- */

struct ws;
struct ws_events {
    void (*open)(struct ws *ws, void *ctx);
    void (*text)(struct ws *ws, struct str message, void *ctx);
    void (*closed)(struct ws *ws, void *ctx); /* ws is gone after this returns */
};
/* Answer an upgrade request; 426 when it is none, 403 for a foreign Origin unless the route has
 * ROUTE_PUBLIC_CORS. The events come from the WebSocket thread. */
enum http_answer http_websocket(struct request *req, struct response *res,
                                const struct ws_events *events, void *ctx);
/* Queue a text message; false when the peer's queue is full (http.ws_queue_bytes): slow readers are
 * then closed with 1013. Any thread, between open() and closed(). */
bool ws_send(struct ws *ws, struct str text);
void ws_close(struct ws *ws, int code);

/* --- small helpers --- */

struct str url_decode(struct arena *a, struct str s,
                      bool plus_is_blank);            /* absent when malformed */
struct str url_encode(struct arena *a, struct str s); /* all but unreserved characters */
struct str html_escape(struct arena *a, struct str s);

#endif
