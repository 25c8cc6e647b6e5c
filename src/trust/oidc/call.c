/* A request at the provider: parameters, answers, changes. */
#include "core/log.h"
#include "oidc_impl.h"
#include <string.h>

enum { PARAMS_MAX = 64, PARAM_BYTES_MAX = 32768 };

/* --- texts --- */

struct str hash_bytes(const struct hash *h)
{
    return str_n((const char *)h->b, HASH_BYTES);
}

struct str hash_b64(struct arena *a, const struct hash *h)
{
    return base64url_encode(a, hash_bytes(h));
}

struct str oidc_issuer(const struct oidc *o, const struct request *req)
{
    if (o->options->issuer[0])
        return str_c(o->options->issuer);
    /* A Host that anybody may send must not become the name of a city. */
    if (!request_is_local(req))
        return STR_NONE;
    return str_printf(req->arena, "%s://%" STR_F, req->tls ? "https" : "http",
                      STR_A(request_header(req, "Host")));
}

struct str call_url(const struct call *c, const char *path)
{
    return str_printf(c->a, "%" STR_F "%s", STR_A(c->issuer), path);
}

struct str call_param(const struct call *c, const char *name)
{
    for (size_t i = 0; i < c->n_params; i++)
        if (str_eq(c->params[i].name, str_c(name)))
            return c->params[i].value;
    return STR_NONE;
}

/* --- answers --- */

static void never_kept(struct call *c)
{
    response_header(c->req, c->res, "Cache-Control", S("no-store"));
}

void call_json(struct call *c, int status, struct buf *b)
{
    never_kept(c);
    response_body(c->req, c->res, status, "application/json", buf_dup(b, c->a));
    buf_release(b);
}

static enum http_answer fail_text(struct call *c, int status, const char *code, struct str text)
{
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    if (c->page) {
        never_kept(c);
        response_problem(c->req, c->res, status, NULL, NULL, text);
        return HTTP_DONE;
    }
    json_w_object(&w);
    json_w_kstr(&w, S("error"), str_c(code));
    if (text.n)
        json_w_kstr(&w, S("error_description"), text);
    json_w_end(&w);
    if (status == 401 && c->basic)
        response_header(c->req, c->res, "WWW-Authenticate", S("Basic realm=\"oidc\""));
    call_json(c, status, &b);
    return HTTP_DONE;
}

enum http_answer call_fail(struct call *c, int status, const char *code, const char *text)
{
    return fail_text(c, status, code, str_c(text));
}

enum http_answer call_error(struct call *c, const struct error *e)
{
    bool later = e->code == ERR_UNAVAILABLE || e->code == ERR_TIMEOUT || e->code == ERR_TOO_MANY;
    if (!later)
        log_event(LOG_ERROR, "oidc.failed", LOG_Z("error", e->text), LOG_S("request", c->req->id));
    if (later)
        response_header(c->req, c->res, "Retry-After", S("1"));
    return call_fail(c, later ? 503 : 500, later ? "temporarily_unavailable" : "server_error",
                     later ? "try again in a moment" : "something is wrong here");
}

/* --- opening --- */

/* A parameter must not come twice (RFC 6749 section 3.1), an empty one counts as not sent. */
static const char *take_params(struct call *c, const struct http_pair *sent, size_t n)
{
    struct http_pair *kept = ARENA_ARRAY(c->a, struct http_pair, n ? n : 1);
    size_t k = 0;
    if (n > PARAMS_MAX)
        return "there are too many parameters";
    for (size_t i = 0; i < n; i++) {
        if (!sent[i].name.p || !sent[i].value.p || sent[i].value.n > PARAM_BYTES_MAX ||
            !str_is_utf8(sent[i].value) ||
            (sent[i].value.n && memchr(sent[i].value.p, 0, sent[i].value.n)))
            return "a parameter is not well-formed";
        for (size_t j = 0; j < i; j++)
            if (str_eq(sent[j].name, sent[i].name))
                return "a parameter was sent twice";
        if (sent[i].value.n)
            kept[k++] = sent[i];
    }
    c->params = kept;
    c->n_params = k;
    return NULL;
}

bool call_open(struct call *c, struct request *req, struct response *res, struct oidc *o,
               http_handler handler, unsigned flags)
{
    const struct http_pair *sent = NULL;
    size_t n = 0;
    const char *wrong = NULL;
    *c = (struct call){.o = o,
                       .req = req,
                       .res = res,
                       .a = req->arena,
                       .handler = handler,
                       .now = clock_now(o->trust->clock),
                       .page = (flags & CALL_PAGE) != 0,
                       .issuer = oidc_issuer(o, req)};
    if (!c->issuer.p) {
        call_fail(c, 503, "temporarily_unavailable", "the issuer is not set here: oidc.issuer");
        return false;
    }
    if ((flags & CALL_FORM) && str_eq(req->method, S("POST"))) {
        if (!str_eq(request_content_type(req), S("application/x-www-form-urlencoded")))
            wrong = "the body must be application/x-www-form-urlencoded";
        else
            n = request_form(req, &sent);
        if (!wrong && !(flags & CALL_QUERY) && req->query.n)
            wrong = "parameters belong into the body";
    } else if (flags & CALL_QUERY) {
        n = request_query_all(req, &sent);
    }
    if (!wrong)
        wrong = take_params(c, sent, n);
    if (wrong)
        call_fail(c, 400, "invalid_request", wrong);
    return !wrong;
}

struct store_conn *call_reader(struct call *c)
{
    struct error e = {0};
    struct store_conn *conn = store_read(c->o->trust->store, &e);
    if (!conn)
        call_error(c, &e);
    return conn;
}

/* Where a form of ours led here a redirect to elsewhere would be stopped by the page's own
 * form-action (Content Security Policy 3 section 6.3.1): so a page in between leads on. */
void call_go(struct call *c, struct str to)
{
    bool after_form =
        str_eq(c->req->method, S("POST")) || str_eq(c->req->path, S("/oidc/authorize/continue"));
    never_kept(c);
    response_header(c->req, c->res, "Referrer-Policy", S("no-referrer"));
    if (!after_form || str_starts(to, S("/")) || !c->page) {
        response_redirect(c->req, c->res, 303, to);
        return;
    }
    struct str shown = html_escape(c->a, to), host = html_escape(c->a, uri_host(to));
    response_header(c->req, c->res, "Refresh", str_concat(c->a, S("0;url="), to));
    response_body(c->req, c->res, 200, "text/html; charset=utf-8",
                  str_printf(c->a,
                             "<!doctype html><meta charset=\"utf-8\"><title>%" STR_F
                             "</title><p><a href=\"%" STR_F "\">%" STR_F "</a></p>",
                             STR_A(host), STR_A(shown), STR_A(host)));
}

enum http_answer call_run(struct request *req, struct response *res, struct oidc *o,
                          http_handler handler, unsigned flags,
                          enum http_answer (*run)(struct call *, struct store_conn *))
{
    struct call c;
    if (!call_open(&c, req, res, o, handler, flags))
        return HTTP_DONE;
    struct store_conn *conn = call_reader(&c);
    if (!conn)
        return HTTP_DONE;
    enum http_answer answer = run(&c, conn);
    store_read_done(conn);
    return answer;
}

/* --- changes --- */

void call_once(struct call *c, const char *kind, struct str who, struct str jti, int64_t until,
               const char *code, const char *text)
{
    struct str fields[] = {str_c(kind), who, jti};
    if (c->n_once < CALL_ONCE_MAX)
        c->once[c->n_once++] = (struct once){hash_blake2b_fields(fields, 3), until, code, text};
}

static enum err spend(struct call *c, struct store_conn *conn, struct error *e)
{
    for (size_t i = 0; i < c->n_once; i++) {
        const struct once *once = &c->once[i];
        int64_t changed = 0;
        enum err err =
            store_exec(conn,
                       "INSERT INTO oidc_once(hash, until) VALUES ($1, $2)"
                       " ON CONFLICT (hash) DO NOTHING",
                       SV(SV_BLOB(hash_bytes(&once->hash)), SV_INT(once->until)), &changed, e);
        if (err)
            return err;
        if (!changed) {
            bool client = !strcmp(once->code, "invalid_client");
            c->problem = (struct oauth_problem){client ? 401 : 400, once->code, str_c(once->text)};
            return error_set(e, ERR_CONFLICT, "%s", once->text);
        }
    }
    return OK;
}

static enum err apply(struct store_conn *conn, void *ctx, struct error *e)
{
    struct call *c = ctx;
    c->problem = (struct oauth_problem){0};
    enum err err = spend(c, conn, e);
    return err || !c->apply ? err : c->apply(c, conn, e);
}

static void written(void *ctx, enum err code, const struct error *e)
{
    struct call *c = ctx;
    if (c->problem.code && (!code || code == ERR_CONFLICT))
        fail_text(c, c->problem.status, c->problem.code, c->problem.text);
    else if (code)
        call_error(c, e);
    else
        c->then(c);
    http_resume(c->req);
}

static struct call *keep(const struct call *c)
{
    struct call *kept = ARENA_NEW(c->a, struct call);
    *kept = *c;
    return kept;
}

enum http_answer call_write(struct call *c,
                            enum err (*how)(struct call *, struct store_conn *, struct error *),
                            void (*then)(struct call *))
{
    struct call *kept = keep(c);
    struct error e = {0};
    kept->apply = how;
    kept->then = then;
    kept->change = (struct store_change){.apply = apply, .done = written, .ctx = kept};
    if (store_submit(c->o->trust->store, &kept->change)) {
        error_set(&e, ERR_UNAVAILABLE, "too many changes are waiting");
        return call_error(c, &e);
    }
    return HTTP_LATER;
}

static void slow_run(void *ctx)
{
    struct call *c = ctx;
    c->then(c);
    http_resume(c->req);
}

enum http_answer call_slowly(struct call *c, void (*run)(struct call *))
{
    struct call *kept = keep(c);
    struct error e = {0};
    kept->then = run;
    if (pool_submit(c->o->trust->pool, slow_run, kept)) {
        error_set(&e, ERR_UNAVAILABLE, "too much slow work is waiting");
        return call_error(c, &e);
    }
    return HTTP_LATER;
}
