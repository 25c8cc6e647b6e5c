/*
 * /trust/v1/catalogue: for whoever manages the city (trust.h, manages()).
 *
 *     GET          /trust/v1/catalogue/{kind}         the present entries
 *     GET          /trust/v1/catalogue/{kind}/{code}  one, version by version
 *     PUT, DELETE  /trust/v1/catalogue/{kind}/{code}  the next version; a version that ends it
 *
 * A change is answered after its commit.
 */
#include "consent_impl.h"
#include "core/datetime.h"

struct job {
    struct store_change change;
    struct trust *trust;
    struct request *req;
    struct response *res;
    enum catalogue_kind kind;
    struct str code, actor;
    const struct json *doc; /* NULL: it is removed */
    int64_t version;
};

/* false: the response is filled. */
static bool let_in(struct consents *s, struct request *req, struct response *res, struct job *j)
{
    struct error e = {0};
    *j = (struct job){.trust = s->trust,
                      .req = req,
                      .res = res,
                      .code = request_param(req, "code"),
                      .actor = trust_manager(s->trust, req)};
    if (!j->actor.p)
        error_set(&e, ERR_FORBIDDEN, "the catalogue is kept by whoever manages the city");
    else if (!catalogue_kind_find(request_param(req, "kind"), &j->kind))
        error_set(&e, ERR_NOT_FOUND, "there is no such kind of entry in the catalogue");
    else if (j->code.p && !catalogue_code_ok(j->code))
        error_set(&e, ERR_INVALID, "a code is of letters, digits, '-', '_' and '.'");
    if (e.code)
        answer_error(req, res, &e);
    return !e.code;
}

/* --- reading --- */

static void write_entry(struct arena *a, struct json_writer *w, const struct catalogue_entry *x)
{
    json_w_object(w);
    json_w_kstr(w, S("code"), x->code);
    json_w_ki64(w, S("version"), x->version);
    json_w_kstr(w, S("changed_at"), datetime_text(a, x->at));
    json_w_kstr(w, S("changed_by"), x->actor);
    json_w_ki64(w, S("log_entry"), x->leaf);
    json_w_key(w, S("entry"));
    if (x->doc)
        json_w_value(w, x->doc);
    else
        json_w_null(w);
    json_w_end(w);
}

static enum http_answer get_entries(struct request *req, struct response *res, void *ctx)
{
    struct job j;
    struct error e = {0};
    const struct catalogue_entry *list;
    size_t n = 0;
    if (!let_in(ctx, req, res, &j))
        return HTTP_DONE;
    struct store_conn *c = store_read(j.trust->store, &e);
    if (!c)
        return answer_error(req, res, &e);
    enum err err = catalogue_list(c, req->arena, j.kind, j.code, &list, &n, &e);
    store_read_done(c);
    if (!err && j.code.p && !n)
        err = error_set(&e, ERR_NOT_FOUND, "there is no such entry in the catalogue");
    if (err)
        return answer_error(req, res, &e);
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    json_w_array(&w);
    for (size_t i = 0; i < n; i++)
        write_entry(req->arena, &w, &list[i]);
    json_w_end(&w);
    answer_json(req, res, 200, &b);
    return HTTP_DONE;
}

/* --- changing --- */

static enum err apply(struct store_conn *c, void *ctx, struct error *e)
{
    struct job *j = ctx;
    struct arena *a = j->req->arena;
    if (j->doc)
        return catalogue_put(j->trust, c, a, j->kind, j->code, j->doc, j->actor, &j->version, e);
    return catalogue_remove(j->trust, c, a, j->kind, j->code, j->actor, e);
}

static void done(void *ctx, enum err code, const struct error *e)
{
    struct job *j = ctx;
    if (code) {
        answer_error(j->req, j->res, e);
    } else if (j->doc) {
        struct buf b = BUF_INIT;
        struct json_writer w = json_writer(&b);
        json_w_object(&w);
        json_w_kstr(&w, S("code"), j->code);
        json_w_ki64(&w, S("version"), j->version);
        json_w_end(&w);
        answer_json(j->req, j->res, j->version == 1 ? 201 : 200, &b);
    } else {
        response_empty(j->res, 204);
    }
    http_resume(j->req);
}

static enum http_answer submit(const struct job *j)
{
    struct job *kept = ARENA_NEW(j->req->arena, struct job);
    struct error e = {0};
    *kept = *j;
    kept->change = (struct store_change){.apply = apply, .done = done, .ctx = kept};
    if (!store_submit(j->trust->store, &kept->change))
        return HTTP_LATER;
    error_set(&e, ERR_UNAVAILABLE, "too many changes are waiting");
    return answer_error(j->req, j->res, &e);
}

static enum http_answer put_entry(struct request *req, struct response *res, void *ctx)
{
    struct job j;
    struct error e = {0};
    if (!let_in(ctx, req, res, &j))
        return HTTP_DONE;
    j.doc = json_body(req, &e);
    return j.doc ? submit(&j) : answer_error(req, res, &e);
}

static enum http_answer delete_entry(struct request *req, struct response *res, void *ctx)
{
    struct job j;
    return let_in(ctx, req, res, &j) ? submit(&j) : HTTP_DONE;
}

static const struct route routes[] = {
    {"GET", "/trust/v1/catalogue/{kind}", get_entries, 0},
    {"GET", "/trust/v1/catalogue/{kind}/{code}", get_entries, 0},
    {"PUT", "/trust/v1/catalogue/{kind}/{code}", put_entry, 0},
    {"DELETE", "/trust/v1/catalogue/{kind}/{code}", delete_entry, 0},
};

void catalogue_routes(struct consents *s, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), s);
}
