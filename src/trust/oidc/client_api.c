/*
 * /trust/v1/clients: the registry, for whoever manages the city (trust.h, manages()).
 *
 *     GET, POST         /trust/v1/clients              metadata as RFC 7591 names them
 *     GET, PUT, DELETE  /trust/v1/clients/{id}
 *     POST              /trust/v1/clients/{id}/secret  a new one; the old one ends
 *
 * All of them wait for the store, so they run on a pool thread. A secret is shown this once.
 */
#include "oidc_impl.h"

struct job {
    struct oidc *o;
    struct request *req;
    struct response *res;
    const struct json *body;
    struct str actor;
    void (*run)(struct job *);
};

static void job_run(void *ctx)
{
    struct job *j = ctx;
    j->run(j);
    http_resume(j->req);
}

static enum http_answer begin(struct request *req, struct response *res, struct oidc *o, bool body,
                              void (*run)(struct job *))
{
    struct job *j = ARENA_NEW(req->arena, struct job);
    struct error e = {0};
    *j = (struct job){.o = o, .req = req, .res = res, .run = run};
    j->actor = trust_manager(o->trust, req);
    if (!j->actor.p)
        error_set(&e, ERR_FORBIDDEN, "clients are registered by whoever manages the city");
    else if (body && !str_eq(request_content_type(req), S("application/json")))
        error_set(&e, ERR_UNSUPPORTED, "JSON is expected");
    else if (body)
        j->body = json_parse(req->arena, req->body, &JSON_DEFAULT, &e);
    if (!e.code && pool_submit(o->trust->pool, job_run, j) == OK)
        return HTTP_LATER;
    if (!e.code)
        error_set(&e, ERR_UNAVAILABLE, "too much slow work is waiting");
    response_error(req, res, &e);
    return HTTP_DONE;
}

static void answer(struct job *j, int status, struct buf *b)
{
    response_header(j->req, j->res, "Cache-Control", S("no-store"));
    response_body(j->req, j->res, status, "application/json", buf_dup(b, j->req->arena));
    buf_release(b);
}

static void answer_client(struct job *j, int status, const struct oidc_client_made *k)
{
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    json_w_object(&w);
    for (size_t i = 0; i < k->metadata->n; i++) {
        json_w_key(&w, json_key(&k->metadata->members[i]));
        json_w_value(&w, &k->metadata->members[i].value);
    }
    if (k->secret.p)
        json_w_kstr(&w, S("client_secret"), k->secret);
    json_w_end(&w);
    answer(j, status, &b);
}

/* --- one job each --- */

static void list_run(struct job *j)
{
    struct buf b = BUF_INIT;
    struct error e = {0};
    if (!oidc_client_list(j->o->trust, &b, &e)) {
        answer(j, 200, &b);
        return;
    }
    buf_release(&b);
    response_error(j->req, j->res, &e);
}

static void make_run(struct job *j)
{
    struct oidc_client_made made;
    struct error e = {0};
    if (oidc_client_make(j->o->trust, j->req->arena, j->body, j->actor, &made, &e))
        response_error(j->req, j->res, &e);
    else
        answer_client(j, 201, &made);
}

static void show_run(struct job *j)
{
    struct oidc_client k;
    struct error e = {0};
    struct store_conn *c = store_read(j->o->trust->store, &e);
    enum err err = c ? client_read(c, j->req->arena, request_param(j->req, "id"), &k, &e) : e.code;
    if (c)
        store_read_done(c);
    if (err)
        response_error(j->req, j->res, &e);
    else
        answer_client(j, 200, &(struct oidc_client_made){k.id, STR_NONE, k.doc});
}

static void change_run(struct job *j)
{
    struct oidc_client_made made;
    struct error e = {0};
    if (oidc_client_change(j->o->trust, j->req->arena, request_param(j->req, "id"), j->body,
                           j->actor, &made, &e))
        response_error(j->req, j->res, &e);
    else
        answer_client(j, 200, &made);
}

static void remove_run(struct job *j)
{
    struct error e = {0};
    if (oidc_client_remove(j->o->trust, request_param(j->req, "id"), j->actor, &e))
        response_error(j->req, j->res, &e);
    else
        response_empty(j->res, 204);
}

static void secret_run(struct job *j)
{
    struct error e = {0};
    struct str secret, id = request_param(j->req, "id");
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    if (oidc_client_secret(j->o->trust, j->req->arena, id, j->actor, &secret, &e)) {
        response_error(j->req, j->res, &e);
        return;
    }
    json_w_object(&w);
    json_w_kstr(&w, S("client_id"), id);
    json_w_kstr(&w, S("client_secret"), secret);
    json_w_end(&w);
    answer(j, 201, &b);
}

/* --- routes --- */

static enum http_answer get_clients(struct request *req, struct response *res, void *ctx)
{
    return begin(req, res, ctx, false, list_run);
}

static enum http_answer post_client(struct request *req, struct response *res, void *ctx)
{
    return begin(req, res, ctx, true, make_run);
}

static enum http_answer get_client(struct request *req, struct response *res, void *ctx)
{
    return begin(req, res, ctx, false, show_run);
}

static enum http_answer put_client(struct request *req, struct response *res, void *ctx)
{
    return begin(req, res, ctx, true, change_run);
}

static enum http_answer delete_client(struct request *req, struct response *res, void *ctx)
{
    return begin(req, res, ctx, false, remove_run);
}

static enum http_answer post_secret(struct request *req, struct response *res, void *ctx)
{
    return begin(req, res, ctx, false, secret_run);
}

static const struct route routes[] = {
    {"GET", "/trust/v1/clients", get_clients, 0},
    {"POST", "/trust/v1/clients", post_client, 0},
    {"GET", "/trust/v1/clients/{id}", get_client, 0},
    {"PUT", "/trust/v1/clients/{id}", put_client, 0},
    {"DELETE", "/trust/v1/clients/{id}", delete_client, 0},
    {"POST", "/trust/v1/clients/{id}/secret", post_secret, 0},
};

void client_routes(struct oidc *o, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), o);
}
