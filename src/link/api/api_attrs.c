/* /entities/{id}/attrs and /attrs/{attr}: append, update, replace, delete, read (clauses 6.6, 6.7).
 */
#include "api.h"
#include "distribute.h"

/*
 * --- UpdateResult (clause 5.2.18): which names were written and which left alone ---
 * Names are whole IRIs, because the answer is plain JSON and says nothing of a context.
 */

static void write_updated(struct json_writer *w, const struct entity_delta *d)
{
    json_w_array(w);
    for (size_t i = 0; i < d->changes.n; i++) {
        bool again = false;
        for (size_t j = 0; j < i && !again; j++)
            again = str_eq(d->changes.v[j].attr, d->changes.v[i].attr);
        if (!again)
            json_w_str(w, d->changes.v[i].attr);
    }
    if (d->types_changed)
        json_w_str(w, S("type"));
    if (d->scope_changed)
        json_w_str(w, S("scope"));
    json_w_end(w);
}

static void write_not_updated(struct json_writer *w, const struct op *op)
{
    const char *why = op->kind == OP_APPEND_NEW ? "it is there already" : "it is not there";
    json_w_array(w);
    for (size_t i = 0; i < op->delta.not_updated.n; i++) {
        json_w_object(w);
        json_w_kstr(w, S("attributeName"), op->delta.not_updated.v[i]);
        json_w_kstr(w, S("reason"), str_c(why));
        json_w_end(w);
    }
    json_w_end(w);
}

static void written_attrs(struct api *c)
{
    const struct op *op = &c->ops.ops[0];
    if (api_write_failed(c))
        return;
    if (!op->delta.not_updated.n) {
        response_empty(c->res, 204);
        return;
    }
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    json_w_object(&w);
    json_w_key(&w, S("updated"));
    write_updated(&w, &op->delta);
    json_w_key(&w, S("notUpdated"));
    write_not_updated(&w, op);
    json_w_end(&w);
    response_body(c->req, c->res, 207, "application/json", buf_dup(&b, c->arena));
    buf_release(&b);
}

/* --- several attributes --- */

static enum http_answer write_attrs(struct api *c, enum op_kind kind)
{
    struct error e = {0};
    struct op *op = ARENA_NEW(c->arena, struct op);
    *op = (struct op){.kind = kind, .if_version = request_header_all(c->req, "If-Match")};
    if (!api_id(c, "id", &op->id) || !api_type_of(c, &op->types))
        return c->answer;
    op->input = entity_expand(c->arena, c->body, ENTITY_FRAGMENT, api_simplified(c), c->ctx, &e);
    if (!op->input)
        return api_fail(c, &e);
    return distribute_write(c, kind == OP_UPDATE_ADD ? DIST_UPDATE_ATTRS : DIST_APPEND_ATTRS, op,
                            written_attrs);
}

static enum http_answer append_attrs(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    if (!api_open(&c, req, res, ctx, append_attrs, API_BODY, "options format type local"))
        return c.answer;
    return write_attrs(&c, api_option(&c, "options", "noOverwrite") ? OP_APPEND_NEW : OP_APPEND);
}

static enum http_answer update_attrs(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    if (!api_open(&c, req, res, ctx, update_attrs, API_BODY | API_MERGE_PATCH,
                  "options format type local"))
        return c.answer;
    return write_attrs(&c, OP_UPDATE_ADD);
}

/* --- one attribute --- */

/* Starts an operation on the attribute of the path; NULL: the response is filled. */
static struct op *attr_op(struct api *c, enum op_kind kind)
{
    struct op *op = ARENA_NEW(c->arena, struct op);
    *op = (struct op){.kind = kind, .if_version = request_header_all(c->req, "If-Match")};
    if (!api_id(c, "id", &op->id) || !api_attr(c, &op->attr) || !api_type_of(c, &op->types))
        return NULL;
    if (kind == OP_DELETE_ATTR || !entity_is_member(op->attr))
        return op;
    api_fail_text(c, ERR_INVALID, "\"%" STR_F "\" is not an attribute", STR_A(op->attr));
    return NULL;
}

static enum http_answer write_attr(struct api *c, enum op_kind kind, enum entity_in mode)
{
    struct error e = {0};
    struct op *op = attr_op(c, kind);
    if (!op)
        return c->answer;
    op->input =
        entity_expand_attr(c->arena, request_param(c->req, "attr"), c->body, mode, c->ctx, &e);
    if (!op->input)
        return api_fail(c, &e);
    return distribute_write(c, kind == OP_PARTIAL ? DIST_PARTIAL_ATTR : DIST_REPLACE_ATTR, op,
                            api_written_empty);
}

static enum http_answer update_attr(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    if (!api_open(&c, req, res, ctx, update_attr, API_BODY | API_MERGE_PATCH,
                  "options format type local"))
        return c.answer;
    if (json_is(c.body, JSON_OBJECT) && !c.body->n)
        return api_fail_text(&c, ERR_INVALID, "the fragment is empty");
    return write_attr(&c, OP_PARTIAL, ENTITY_FRAGMENT);
}

static enum http_answer replace_attr(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    if (!api_open(&c, req, res, ctx, replace_attr, API_BODY, "options format type local"))
        return c.answer;
    return write_attr(&c, OP_REPLACE_ATTR, ENTITY_WHOLE);
}

static void deleted_scope(struct api *c)
{
    if (api_write_failed(c))
        return;
    if (c->ops.ops[0].delta.scope_changed)
        response_empty(c->res, 204);
    else
        api_fail_text(c, ERR_NOT_FOUND, "the entity has no scope");
}

/* A scope is deleted like an attribute (clause 5.6.5.4). */
static enum http_answer delete_scope(struct api *c, struct op *op)
{
    struct json_member *m = ARENA_NEW(c->arena, struct json_member);
    struct json *input = ARENA_NEW(c->arena, struct json);
    *m = json_m(S("scope"), json_v_array(NULL, 0));
    *input = json_v_object(m, 1);
    op->kind = OP_MERGE;
    op->attr = S(HISTORY_SCOPE); /* which is what ends where only the evolution is known */
    op->input = input;
    return api_write(c, op, 1, deleted_scope);
}

static enum http_answer delete_attr(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    bool all;
    if (!api_open(&c, req, res, ctx, delete_attr, 0, "datasetId deleteAll type local") ||
        !api_bool(&c, "deleteAll", &all))
        return c.answer;
    struct op *op = attr_op(&c, OP_DELETE_ATTR);
    if (!op)
        return c.answer;
    if (str_eq(op->attr, S("scope")))
        return delete_scope(&c, op);
    op->all_datasets = all;
    if (!api_dataset(&c, &op->dataset))
        return c.answer;
    return distribute_write(&c, DIST_DELETE_ATTR, op, api_written_empty);
}

/* --- reading one attribute (as in v1.9.1) --- */

/* The instances of the attribute of the path; NULL: the response is filled. */
static const struct json *load_attr(struct api *c)
{
    struct str id, attr;
    struct entity_row row;
    int64_t tenant;
    struct error e = {0};
    if (!api_id(c, "id", &id) || !api_attr(c, &attr))
        return NULL;
    struct store_conn *conn = api_reader(c, &tenant);
    if (!conn)
        return NULL;
    enum err err = repo_get(conn, c->arena, tenant, id, &row, &e);
    store_read_done(conn);
    const struct json *stored = err ? NULL : json_parse(c->arena, row.doc, &JSON_DEFAULT, &e);
    const struct json *instances = stored ? entity_attr(stored, attr) : NULL;
    if (err || !stored)
        api_fail(c, &e);
    else if (!instances)
        api_fail_text(c, ERR_NOT_FOUND, "the entity has no such attribute");
    else
        c->res->etag = api_version_tag(c->arena, row.version);
    return instances;
}

static bool wanted_dataset(const struct entity_view *v, const struct json *instance)
{
    struct str id = json_text(json_get(instance, S("datasetId")));
    for (size_t i = 0; i < v->n_datasets; i++)
        if (str_eq(v->datasets[i], id.p ? id : S("@none")))
            return true;
    return !v->datasets;
}

static enum http_answer read_attr(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct entity_view view;
    if (!api_open(&c, req, res, ctx, read_attr, 0, "options format lang datasetId type local") ||
        !api_accept(&c, false) || !api_view(&c, &view))
        return c.answer;
    const struct json *instances = load_attr(&c);
    if (!instances)
        return c.answer;
    struct buf out = BUF_INIT;
    struct json_writer w = json_writer(&out);
    size_t n = 0, only = 0;
    for (uint32_t i = 0; i < instances->n; i++)
        if (wanted_dataset(&view, &instances->items[i])) {
            only = i;
            n++;
        }
    if (n == 1) {
        entity_write_instance(&w, c.arena, &instances->items[only], &view);
    } else {
        json_w_array(&w);
        for (uint32_t i = 0; i < instances->n; i++)
            if (wanted_dataset(&view, &instances->items[i]))
                entity_write_instance(&w, c.arena, &instances->items[i], &view);
        json_w_end(&w);
    }
    if (n == 0) {
        buf_release(&out);
        return api_fail_text(&c, ERR_NOT_FOUND, "the attribute has no such instance");
    }
    c.embed = c.entities = false; /* an instance has no place for an @context */
    c.type = "application/json";
    api_answer_buf(&c, 200, &out);
    return HTTP_DONE;
}

static enum http_answer read_value(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    if (!api_open(&c, req, res, ctx, read_value, 0, "datasetId type local"))
        return c.answer;
    const struct json *instances = load_attr(&c);
    if (!instances)
        return c.answer;
    struct str wanted = request_query(req, "datasetId");
    for (uint32_t i = 0; i < instances->n; i++) {
        struct str id = json_text(json_get(&instances->items[i], S("datasetId")));
        const struct json *value = instance_value(&instances->items[i]);
        if (!value || !str_eq(id.p ? id : S("@none"), wanted.p ? wanted : S("@none")))
            continue;
        struct buf out = BUF_INIT;
        json_write(&out, value);
        api_answer_buf(&c, 200, &out);
        return HTTP_DONE;
    }
    return api_fail_text(&c, ERR_NOT_FOUND, "the attribute has no such instance");
}

/* A bare value for an attribute that is there, whatever its kind (v1.9.1). */
static enum http_answer replace_value(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct error e = {0};
    if (!api_open(&c, req, res, ctx, replace_value, API_BODY | API_BARE_JSON,
                  "datasetId type local"))
        return c.answer;
    struct op *op = attr_op(&c, OP_PARTIAL);
    if (!op)
        return c.answer;
    struct json_member m[2] = {json_m(S("value"), *c.body)};
    struct str dataset = request_query(req, "datasetId");
    size_t n = 1;
    if (dataset.p)
        m[n++] = json_m(S("datasetId"), json_v_str(dataset));
    struct json instance = json_v_object(m, n);
    op->input = entity_expand_attr(c.arena, request_param(req, "attr"),
                                   n > 1 || json_is(c.body, JSON_OBJECT) ? &instance : c.body,
                                   ENTITY_FRAGMENT, c.ctx, &e);
    if (!op->input)
        return api_fail(&c, &e);
    return api_write(&c, op, 1, api_written_empty);
}

static const struct route routes[] = {
    {"POST", "/ngsi-ld/v1/entities/{id}/attrs", append_attrs, ROUTE_PUBLIC_CORS},
    {"POST", "/ngsi-ld/v1/entities/{id}/attrs/", append_attrs, ROUTE_PUBLIC_CORS | ROUTE_HIDDEN},
    {"PATCH", "/ngsi-ld/v1/entities/{id}/attrs", update_attrs, ROUTE_PUBLIC_CORS},
    {"PATCH", "/ngsi-ld/v1/entities/{id}/attrs/", update_attrs, ROUTE_PUBLIC_CORS | ROUTE_HIDDEN},
    {"GET", "/ngsi-ld/v1/entities/{id}/attrs/{attr}", read_attr, ROUTE_PUBLIC_CORS},
    {"PATCH", "/ngsi-ld/v1/entities/{id}/attrs/{attr}", update_attr, ROUTE_PUBLIC_CORS},
    {"PUT", "/ngsi-ld/v1/entities/{id}/attrs/{attr}", replace_attr, ROUTE_PUBLIC_CORS},
    {"DELETE", "/ngsi-ld/v1/entities/{id}/attrs/{attr}", delete_attr, ROUTE_PUBLIC_CORS},
    {"GET", "/ngsi-ld/v1/entities/{id}/attrs/{attr}/value", read_value, ROUTE_PUBLIC_CORS},
    {"PUT", "/ngsi-ld/v1/entities/{id}/attrs/{attr}/value", replace_value, ROUTE_PUBLIC_CORS},
};

void api_attr_routes(struct link *l, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), l);
}
