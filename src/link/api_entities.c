/* /entities and /entities/{id}: create, read, replace, merge, delete (clauses 6.4, 6.5). */
#include "api.h"

/* An entity of the body in stored form, its id checked; NULL: the response is filled. */
static const struct json *body_entity(struct api *c, enum entity_in mode)
{
    struct error e = {0};
    bool simplified = api_option(c, "options", "keyValues") ||
                      str_eq(request_query(c->req, "format"), S("simplified")) ||
                      str_eq(request_query(c->req, "format"), S("keyValues"));
    const struct json *in = entity_expand(c->arena, c->body, mode, simplified, c->ctx, &e);
    if (!in)
        api_fail(c, &e);
    return in;
}

/* --- create --- */

static void created(struct api *c)
{
    struct op *op = &c->ops.ops[0];
    if (op->result) {
        op->error.code = op->result;
        api_fail(c, &op->error);
        return;
    }
    response_empty(c->res, 201);
    response_header(c->req, c->res, "Location",
                    str_concat(c->arena, S("/ngsi-ld/v1/entities/"), url_encode(c->arena, op->id)));
}

static enum http_answer create_entity(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    if (!api_begin(&c, req, res, ctx, create_entity, API_BODY))
        return c.answer;
    const struct json *in = body_entity(&c, ENTITY_WHOLE);
    if (!in)
        return c.answer;
    struct op *op = ARENA_NEW(c.arena, struct op);
    *op = (struct op){.kind = OP_CREATE, .id = entity_id(in), .input = in};
    return api_write(&c, op, 1, created);
}

/* --- read --- */

static struct str version_tag(struct arena *a, int64_t version)
{
    return str_printf(a, "\"%lld\"", (long long)version);
}

/* Retrieving with attrs= or pick= an entity that has none of them is 404 (clause 5.7.1.4). */
static bool has_any_picked(const struct json *stored, const struct entity_view *v, bool by_attrs)
{
    if (!by_attrs)
        return true;
    for (size_t i = 3; i < v->n_pick; i++)
        if (entity_attr(stored, v->pick[i]))
            return true;
    return false;
}

static enum http_answer read_entity(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct entity_view view;
    const char *type;
    struct str id;
    int64_t tenant;
    struct entity_row row;
    struct error e = {0};
    if (!api_begin(&c, req, res, ctx, read_entity, 0) || !api_id(&c, "id", &id) ||
        !api_view(&c, &view, &type))
        return c.answer;
    struct store_conn *conn = api_reader(&c, &tenant);
    if (!conn)
        return c.answer;
    enum err err = repo_get(conn, c.arena, tenant, id, &row, &e);
    store_read_done(conn);
    if (err)
        return api_fail(&c, &e);
    const struct json *stored = json_parse(c.arena, row.doc, &JSON_DEFAULT, &e);
    if (!stored)
        return api_fail_text(&c, ERR_INTERNAL, "the entity cannot be read");
    bool by_attrs = request_query(req, "attrs").p && !request_query(req, "pick").p;
    if (!has_any_picked(stored, &view, by_attrs))
        return api_fail_text(&c, ERR_NOT_FOUND, "entity %" STR_F " has none of the attributes",
                             STR_A(id));
    struct buf out = BUF_INIT;
    buf_reserve(&out, row.doc.n);
    entity_write(&out, c.arena, stored, &view);
    api_answer(&c, 200, type, buf_dup(&out, c.arena));
    buf_release(&out);
    res->etag = version_tag(c.arena, row.version);
    return HTTP_DONE;
}

/* --- replace, merge, delete --- */

/* The id in the body, when there is one, must be the one of the path. */
static bool same_id(struct api *c, struct str id)
{
    struct str in_body = json_text(json_get(c->body, S("id")));
    if (!in_body.p)
        in_body = json_text(json_get(c->body, S("@id")));
    if (!in_body.p || str_eq(in_body, id))
        return true;
    api_fail_text(c, ERR_INVALID, "the body is of entity %" STR_F, STR_A(in_body));
    return false;
}

static enum http_answer write_entity(struct api *c, enum op_kind kind, const struct json *in,
                                     struct str id)
{
    struct op *op = ARENA_NEW(c->arena, struct op);
    *op = (struct op){.kind = kind,
                      .id = id,
                      .input = in,
                      .if_version = request_header(c->req, "If-Match")};
    return api_write(c, op, 1, api_written_empty);
}

static enum http_answer replace_entity(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct str id;
    if (!api_begin(&c, req, res, ctx, replace_entity, API_BODY) || !api_id(&c, "id", &id) ||
        !same_id(&c, id))
        return c.answer;
    if (json_is(c.body, JSON_OBJECT) && !json_get(c.body, S("id")) && !json_get(c.body, S("@id"))) {
        struct json with = json_with(c.arena, c.body, S("id"), json_v_str(id));
        struct json *copy = ARENA_NEW(c.arena, struct json);
        *copy = with;
        c.body = copy;
    }
    const struct json *in = body_entity(&c, ENTITY_WHOLE);
    return in ? write_entity(&c, OP_REPLACE, in, id) : c.answer;
}

static enum http_answer merge_entity(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct str id;
    if (!api_begin(&c, req, res, ctx, merge_entity, API_BODY | API_MERGE_PATCH) ||
        !api_id(&c, "id", &id) || !same_id(&c, id))
        return c.answer;
    const struct json *in = body_entity(&c, ENTITY_MERGE);
    return in ? write_entity(&c, OP_MERGE, in, id) : c.answer;
}

static enum http_answer delete_entity(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct str id;
    if (!api_begin(&c, req, res, ctx, delete_entity, 0) || !api_id(&c, "id", &id))
        return c.answer;
    return write_entity(&c, OP_DELETE, NULL, id);
}

static const struct route routes[] = {
    {"POST", "/ngsi-ld/v1/entities", create_entity, ROUTE_PUBLIC_CORS},
    {"GET", "/ngsi-ld/v1/entities/{id}", read_entity, ROUTE_PUBLIC_CORS},
    {"PUT", "/ngsi-ld/v1/entities/{id}", replace_entity, ROUTE_PUBLIC_CORS},
    {"PATCH", "/ngsi-ld/v1/entities/{id}", merge_entity, ROUTE_PUBLIC_CORS},
    {"DELETE", "/ngsi-ld/v1/entities/{id}", delete_entity, ROUTE_PUBLIC_CORS},
};

void api_entity_routes(struct link *l, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), l);
}
