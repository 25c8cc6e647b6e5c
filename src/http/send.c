#include "send.h"

#include "compress.h"
#include "conditional.h"
#include "core/clock.h"
#include "core/datetime.h"
#include "core/log.h"
#include "negotiate.h"
#include "server_impl.h"
#include "websocket.h"
#include <fcntl.h>
#include <microhttpd.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STREAM_BLOCK = 16 * 1024 };

/* No inline script or style, nothing from elsewhere: an injected text stays text. */
static const char page_policy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; font-src 'self'; worker-src 'self' blob:; manifest-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/* What will be sent: worked out first, then handed over. */
struct plan {
    struct exchange *x;
    struct response *res;
    struct MHD_Response *out;
    int fd;                 /* of res->file, or -1 */
    uint64_t from, n, size; /* the part of body or file that is sent, and its whole size */
    bool gzip;
    bool ranged; /* ranges are offered */
};

static void add(struct plan *p, const char *name, const char *value)
{
    MHD_add_response_header(p->out, name, value);
}

/* --- the body --- */

static bool is_read(const struct exchange *x)
{
    return str_eq(x->req.method, S("GET")) || str_eq(x->req.method, S("HEAD"));
}

static void drop_body(struct plan *p, int status)
{
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
    p->res->status = status;
    p->res->body = STR_NONE;
    p->res->type = STR_NONE;
    p->n = p->size = 0;
    p->ranged = false;
}

static void problem(struct plan *p, int status, struct str detail)
{
    drop_body(p, status);
    response_problem(&p->x->req, p->res, status, NULL, NULL, detail);
    p->n = p->size = p->res->body.n;
}

static int open_regular(const char *path, struct stat *st)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, st) == 0 && S_ISREG(st->st_mode))
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* A file "x.gz" beside "x" that is not older is sent to those who take gzip. */
static int open_compressed(struct plan *p, time_t not_older, struct stat *st)
{
    if (p->res->no_gzip || !gzip_suits(p->res->type) || request_header(&p->x->req, "Range").p ||
        !negotiate_gzip(request_header_all(&p->x->req, "Accept-Encoding")))
        return -1;
    int fd = open_regular(arena_printf(p->x->req.arena, "%s.gz", p->res->file), st);
    if (fd >= 0 && st->st_mtime < not_older) {
        close(fd);
        return -1;
    }
    return fd;
}

static void open_file(struct plan *p)
{
    struct stat st, packed;
    struct response *res = p->res;
    p->fd = open_regular(res->file, &st);
    if (p->fd < 0) {
        problem(p, 404, S("there is no such file"));
        return;
    }
    if (!res->modified)
        res->modified = (int64_t)st.st_mtime * SECOND_US;
    if (!res->etag.n)
        res->etag = str_printf(p->x->req.arena, "\"%llx-%llx\"", (unsigned long long)st.st_mtime,
                               (unsigned long long)st.st_size);
    int fd = open_compressed(p, st.st_mtime, &packed);
    if (fd >= 0) {
        close(p->fd);
        p->fd = fd;
        st.st_size = packed.st_size;
        p->gzip = true;
    }
    p->n = p->size = (uint64_t)st.st_size;
    p->ranged = !p->gzip;
}

static void compress_body(struct plan *p, struct http_worker *w)
{
    struct response *res = p->res;
    struct request *req = &p->x->req;
    if (res->no_gzip || (int64_t)res->body.n < p->x->server->opt.gzip_min_bytes ||
        res->status == 206 || !gzip_suits(res->type))
        return;
    response_header(req, res, "Vary", S("Accept-Encoding"));
    if (!negotiate_gzip(request_header_all(req, "Accept-Encoding")))
        return;
    struct str packed = gzip_text(&w->gzip, req->arena, res->body);
    if (!packed.p)
        return;
    res->body = packed;
    p->n = p->size = packed.n;
    p->gzip = true;
}

static void take_range(struct plan *p)
{
    const struct response *res = p->res;
    if (res->status != 200 || !str_eq(p->x->req.method, S("GET")))
        return;
    switch (conditional_range(&p->x->req, res->etag, res->modified, p->size, &p->from, &p->n)) {
    case RANGE_NONE:
        break;
    case RANGE_ONE:
        p->res->status = 206;
        response_header(&p->x->req, p->res, "Content-Range",
                        str_printf(p->x->req.arena, "bytes %llu-%llu/%llu",
                                   (unsigned long long)p->from,
                                   (unsigned long long)(p->from + p->n - 1),
                                   (unsigned long long)p->size));
        break;
    case RANGE_BAD: {
        uint64_t size = p->size;
        problem(p, 416, S("the range lies outside of the content"));
        response_header(&p->x->req, p->res, "Content-Range",
                        str_printf(p->x->req.arena, "bytes */%llu", (unsigned long long)size));
        break;
    }
    }
}

static void plan_body(struct plan *p, struct http_worker *w)
{
    struct response *res = p->res;
    p->n = p->size = res->body.n;
    if (res->file)
        open_file(p);
    if (res->status == 200 && is_read(p->x) && (res->etag.n || res->modified)) {
        int status = conditional_status(&p->x->req, res->etag, res->modified);
        if (status == 412)
            problem(p, 412, S("the content is not the one that was expected"));
        else if (status == 304)
            drop_body(p, 304);
    }
    if (p->n == 0 || p->gzip)
        return;
    take_range(p);
    if (p->fd < 0)
        compress_body(p, w);
}

/* --- the headers --- */

static bool has_header(const struct response *res, const char *name)
{
    for (size_t i = 0; i < res->n_headers; i++)
        if (str_eq_nocase(res->headers[i].name, str_c(name)))
            return true;
    return false;
}

static void add_security(struct plan *p)
{
    const struct server *s = p->x->server;
    add(p, "X-Content-Type-Options", "nosniff");
    if (p->x->req.tls && !s->trial_cert)
        add(p, "Strict-Transport-Security", "max-age=31536000");
    if (!str_starts(p->res->type, S("text/html")))
        return;
    add(p, "Referrer-Policy", "strict-origin-when-cross-origin");
    add(p, "X-Frame-Options", "DENY");
    if (!has_header(p->res, "Content-Security-Policy"))
        add(p, "Content-Security-Policy", page_policy);
}

static void add_cors(struct plan *p)
{
    struct exchange *x = p->x;
    bool public = x->public_cors;
    struct str origin = request_header(&x->req, "Origin");
    if (x->server->n_origins)
        add(p, "Vary", "Origin");
    if (origin.n && server_allows_origin(x->server, origin)) {
        add(p, "Access-Control-Allow-Origin", str_z(x->req.arena, origin));
        add(p, "Access-Control-Allow-Credentials", "true");
    } else if (public) {
        add(p, "Access-Control-Allow-Origin", "*");
    } else {
        return;
    }
    if (origin.n)
        add(p, "Access-Control-Expose-Headers",
            "ETag, Last-Modified, Link, Location, Retry-After, X-Request-Id, NGSILD-Tenant, "
            "NGSILD-Results-Count, NGSILD-Warning, Fiware-Total-Count");
}

static void add_validators(struct plan *p)
{
    const struct response *res = p->res;
    if (res->etag.n) {
        /* The compressed bytes are another representation: a weak tag says "same content". */
        bool weaken = p->gzip && !str_starts(res->etag, S("W/"));
        struct str tag = weaken ? str_concat(p->x->req.arena, S("W/"), res->etag) : res->etag;
        add(p, "ETag", str_z(p->x->req.arena, tag));
    }
    if (res->modified) {
        char date[DATETIME_MAX];
        http_date_format(res->modified, date);
        add(p, "Last-Modified", date);
    }
}

static void add_headers(struct plan *p)
{
    struct exchange *x = p->x;
    const struct response *res = p->res;
    if (res->type.n)
        add(p, "Content-Type", str_z(x->req.arena, res->type));
    if (p->gzip)
        add(p, "Content-Encoding", "gzip");
    if (p->gzip && res->file)
        add(p, "Vary", "Accept-Encoding");
    if (p->ranged)
        add(p, "Accept-Ranges", "bytes");
    add_validators(p);
    add_security(p);
    add_cors(p);
    add(p, "X-Request-Id", x->req.id.p);
    for (size_t i = 0; i < res->n_headers; i++)
        add(p, res->headers[i].name.p, res->headers[i].value.p);
    if (x->close || atomic_load(&x->server->stopping))
        add(p, "Connection", "close");
}

/* --- handing over --- */

static ssize_t stream_read(void *cls, uint64_t at, char *out, size_t max)
{
    struct exchange *x = cls;
    (void)at;
    ptrdiff_t n = exchange_stream_read(x, out, max);
    if (n == -1)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (n < 0)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    x->sent += n;
    return n;
}

static void stream_free(void *cls)
{
    struct exchange *x = cls;
    exchange_stream_done(x, server_worker(x->server));
}

static struct MHD_Response *make_response(struct plan *p)
{
    struct exchange *x = p->x;
    struct response *res = p->res;
    if (x->ws_events && res->status == 101)
        return websocket_response(x);
    if (res->stream.next) {
        if (str_starts(res->type, S("text/event-stream")))
            response_header(&x->req, res, "X-Accel-Buffering", S("no"));
        return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, stream_read, x,
                                                 stream_free);
    }
    x->sent = str_eq(x->req.method, S("HEAD")) ? 0 : (int64_t)p->n;
    if (p->fd >= 0)
        return MHD_create_response_from_fd_at_offset64(p->n, p->fd, p->from);
    const char *body = res->body.p ? res->body.p + p->from : "";
    return MHD_create_response_from_buffer((size_t)p->n, (void *)(uintptr_t)body,
                                           MHD_RESPMEM_PERSISTENT);
}

bool exchange_send(struct exchange *x, struct http_worker *w)
{
    struct plan p = {.x = x, .res = &x->res, .fd = -1};
    if (x->res.status < 100 || x->res.status > 599) {
        log_event(LOG_ERROR, "http.no_answer", LOG_S("id", x->req.id));
        response_problem(&x->req, &x->res, 500, NULL, NULL, S("no answer was made"));
    }
    if (x->res.stream.next)
        x->stream_open = true;
    else if (x->res.status != 101)
        plan_body(&p, w);
    p.out = make_response(&p);
    if (!p.out) {
        if (x->stream_open)
            exchange_stream_done(x, w);
        return false;
    }
    add_headers(&p);
    x->status = x->res.status;
    connection_phase(x->conn, CONN_SENDING, x->steady);
    enum MHD_Result queued = MHD_queue_response(x->mhd, (unsigned)x->status, p.out);
    MHD_destroy_response(p.out);
    return queued == MHD_YES;
}
