/* /v2/entities/{id}, its attributes and their values; POST /v2/entities. */
#include "v2_providers.h"

#define ENTITY "/v2/entities/{id}"

/* --- what calls have in common --- */

/* id of the path and type of the query; false: the response is filled. */
static bool target(struct api *c, struct str *id, struct str *type)
{
    struct error e = {0};
    *type = request_query(c->req, "type");
    if (!v2_param(c, "id", "entity id", id))
        return false;
    if (!type->p || !v2_check_lookup(*type, "entity type", &e))
        return true;
    api_fail(c, &e);
    return false;
}

/* A change of the entity of the path; false: the response is filled. */
static bool change_of(struct api *c, const struct v2_paths *paths, enum v2_action action,
                      struct v2_change *x)
{
    *x = (struct v2_change){.action = action,
                            .path = paths->v[0].path,
                            .override_metadata = api_option(c, "options", "overrideMetadata")};
    return target(c, &x->id, &x->type);
}

static enum http_answer submit(struct api *c, const struct v2_paths *paths,
                               const struct v2_change *x, void (*then)(struct api *))
{
    struct v2_change *kept = ARENA_NEW(c->arena, struct v2_change);
    struct op *op = ARENA_NEW(c->arena, struct op);
    *kept = *x;
    *op = v2_op(kept);
    op->note = v2_note(c);
    op->if_version = request_header_all(c->req, "If-Match");
    return v2_write(c, paths, op, 1, then);
}

static void written(struct api *c)
{
    if (!v2_failed(c, &c->ops.ops[0]))
        response_empty(c->res, 204);
}

static bool body_object(struct api *c)
{
    if (json_is(c->body, JSON_OBJECT) && c->body->n)
        return true;
    api_fail_text(c, ERR_INVALID,
                  json_is(c->body, JSON_OBJECT) ? "empty payload" : "not a JSON object");
    return false;
}

/* --- POST /v2/entities --- */

static void created(struct api *c)
{
    const struct op *op = &c->ops.ops[0];
    const struct v2_change *x = op->ctx;
    if (v2_failed(c, op))
        return;
    struct str type = x->type.p ? x->type : S("Thing");
    response_empty(c->res, x->action == V2_UPSERT ? 204 : 201);
    response_header(c->req, c->res, "Location",
                    str_printf(c->arena, "/v2/entities/%" STR_F "?type=%" STR_F,
                               STR_A(api_segment(c->arena, x->id)),
                               STR_A(api_segment(c->arena, type))));
}

static bool is_text_or_absent(const struct json *v)
{
    return !v || json_is(v, JSON_STRING);
}

/* id and type of a body. */
static enum err body_identity(const struct json *body, struct v2_change *x, struct error *e)
{
    const struct json *id = json_get(body, S("id")), *type = json_get(body, S("type"));
    if (!is_text_or_absent(id) || !is_text_or_absent(type))
        return error_set(e, ERR_INVALID, "entity %s is not a string",
                         is_text_or_absent(id) ? "type" : "id");
    x->id = json_text(id);
    x->type = json_text(type);
    if (v2_check_id(x->id, "entity id", e))
        return ERR_INVALID;
    return type ? v2_check_id(x->type, "entity type", e) : OK;
}

static enum http_answer create_entity(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct v2_paths paths;
    struct error e = {0};
    if (!v2_open(&c, &paths, req, res, ctx, V2_BODY | V2_WRITES,
                 "keyValues upsert overrideMetadata forcedUpdate flowControl skipForwarding") ||
        !body_object(&c))
        return c.answer;
    bool upsert = api_option(&c, "options", "upsert");
    struct v2_change x = {.action = upsert ? V2_UPSERT : V2_CREATE,
                          .path = paths.v[0].path,
                          .override_metadata = api_option(&c, "options", "overrideMetadata")};
    if (body_identity(c.body, &x, &e) ||
        v2_attrs_in(c.arena, c.body, true, api_option(&c, "options", "keyValues"), false, &x.input,
                    &e))
        return api_fail(&c, &e);
    if (!x.type.p)
        x.type = S("Thing");
    return submit(&c, &paths, &x, created);
}

/* --- reading --- */

/* A call that reads: what is asked for, and what is here. */
struct reading {
    enum { READ_ENTITY, READ_ATTRS, READ_ATTR, READ_VALUE } what;
    struct str id, type, attr; /* attr of the latter two */
    struct v2_view view;
    struct v2_found found;
};

/* Objects and arrays as JSON or text; all else as text only. */
static enum http_answer answer_value(struct api *c, const struct json *instance)
{
    static const char *const offers[] = {"application/json", "text/plain"};
    struct json value = v2_value(c->arena, instance);
    bool compound = value.type == JSON_OBJECT || value.type == JSON_ARRAY;
    const char *const *offered = compound ? offers : offers + 1;
    int chosen = request_accepts(c->req, offered, compound ? 2 : 1);
    if (chosen < 0)
        return v2_error(c, 406, "NotAcceptable",
                        compound ? S("accepted MIME types: application/json, text/plain")
                                 : S("accepted MIME types: text/plain"));
    response_body(c->req, c->res, 200, offered[chosen], json_to_text(c->arena, &value));
    return HTTP_DONE;
}

static enum http_answer answer_read(struct api *c, struct reading *r)
{
    struct buf out = BUF_INIT;
    struct json_writer w = json_writer(&out);
    if (!r->found.n)
        return api_fail_text(c, ERR_NOT_FOUND, V2_NO_ENTITY);
    if (r->found.n > 1)
        return api_fail_text(c, ERR_CONFLICT, V2_SEVERAL);
    if (r->what == READ_ENTITY || r->what == READ_ATTRS) {
        r->view.head = r->what == READ_ENTITY;
        v2_show(&out, c->arena, r->found.stored, &r->view);
    } else {
        const struct json *instance = v2_attr(c->arena, r->found.stored, r->attr);
        if (!instance)
            return api_fail_text(c, ERR_NOT_FOUND, V2_NO_ATTR);
        if (r->what == READ_VALUE)
            return answer_value(c, instance);
        v2_show_attr(&w, c->arena, instance, &r->view);
    }
    response_body(c->req, c->res, 200, "application/json", buf_dup(&out, c->arena));
    buf_release(&out);
    return HTTP_DONE;
}

/* What providers told goes beside what is here. */
static enum http_answer read_forwarded(struct api *c, struct forward *f, size_t n, void *ctx)
{
    struct reading *r = ctx;
    struct v2_remotes remotes;
    v2_take_answers(c, f, n, &remotes);
    for (size_t i = 0; i < remotes.list.n; i++) {
        const struct v2_remote *x = &remotes.list.v[i];
        bool meant = str_eq(x->id, r->id) && (!r->type.p || str_eq(x->type, r->type));
        if (!meant)
            continue;
        if (r->found.n && str_eq(v2_entity_type(c->arena, r->found.stored), x->type)) {
            r->found.stored = v2_joined(c->arena, r->found.stored, x->stored);
        } else {
            r->found.stored = x->stored;
            r->found.n++;
        }
    }
    answer_read(c, r);
    return HTTP_DONE;
}

/* Names that a provider may know; *some is false when only builtins are asked for. */
static void wanted_names(struct api *c, const struct reading *r, struct v2_wanted *w, bool *some)
{
    const struct v2_view *v = &r->view;
    struct str *names = ARENA_ARRAY(c->arena, struct str, v->n_attrs + 1);
    *some = true;
    w->attrs = names;
    if (r->attr.p) {
        names[w->n_attrs++] = r->attr;
        return;
    }
    for (size_t i = 0; i < v->n_attrs; i++) {
        if (str_eq(v->attrs[i], S("*"))) {
            w->n_attrs = 0;
            return;
        }
        if (!v2_is_builtin(v->attrs[i]))
            names[w->n_attrs++] = v->attrs[i];
    }
    *some = w->n_attrs || !v->n_attrs;
}

/* The requests to providers for what is not here. */
static enum err ask_providers(struct api *c, struct store_conn *conn, int64_t tenant,
                              const struct v2_paths *paths, struct reading *r, struct forward **f,
                              size_t *n, struct error *e)
{
    struct v2_subject *s = ARENA_NEW(c->arena, struct v2_subject);
    struct v2_wanted w = {.subjects = s, .n = 1, .local = r->found.stored};
    struct v2_providers providers;
    bool some;
    *s = (struct v2_subject){.ids = &r->id,
                             .n_ids = 1,
                             .types = &r->type,
                             .n_types = r->type.p != NULL};
    wanted_names(c, r, &w, &some);
    if (r->found.n > 1 || !some)
        return OK;
    enum err err = v2_providers_find(c, conn, tenant, paths, V2_ASK_QUERY, s, 1, &providers, e);
    if (!err)
        *n = v2_query_forwards(c, &providers, &w, f);
    return err;
}

static enum http_answer read_path(struct request *req, struct response *res, void *ctx,
                                  struct reading *r, unsigned flags, const char *options)
{
    struct api c;
    struct v2_paths paths;
    struct error e = {0};
    struct forward *f;
    size_t n = 0;
    int64_t tenant;
    bool there;
    if (!v2_open(&c, &paths, req, res, ctx, flags, options) ||
        (r->what >= READ_ATTR && !v2_param(&c, "attr", "attribute name", &r->attr)) ||
        !target(&c, &r->id, &r->type))
        return c.answer;
    v2_view(&c, &r->view);
    struct store_conn *conn = v2_reader(&c, &tenant, &there);
    if (!conn && there)
        return c.answer;
    if (conn) {
        enum err err = v2_find(conn, c.arena, tenant, r->id, r->type, &paths,
                               clock_now(c.link->clock), &r->found, &e);
        if (!err)
            err = ask_providers(&c, conn, tenant, &paths, r, &f, &n, &e);
        store_read_done(conn);
        if (err)
            return api_fail(&c, &e);
    }
    return n ? forward_all(&c, f, n, read_forwarded, r) : answer_read(&c, r);
}

static struct reading *reading_of(struct request *req, int what)
{
    struct reading *r = ARENA_NEW(req->arena, struct reading);
    r->what = what;
    return r;
}

static enum http_answer read_entity(struct request *req, struct response *res, void *ctx)
{
    return read_path(req, res, ctx, reading_of(req, READ_ENTITY), 0,
                     "keyValues values unique skipForwarding");
}

static enum http_answer read_attrs(struct request *req, struct response *res, void *ctx)
{
    return read_path(req, res, ctx, reading_of(req, READ_ATTRS), 0,
                     "keyValues values unique skipForwarding");
}

static enum http_answer read_attr(struct request *req, struct response *res, void *ctx)
{
    return read_path(req, res, ctx, reading_of(req, READ_ATTR), 0, "skipForwarding");
}

static enum http_answer read_value(struct request *req, struct response *res, void *ctx)
{
    return read_path(req, res, ctx, reading_of(req, READ_VALUE), V2_TEXT_ACCEPT, "skipForwarding");
}

/* --- changing attributes --- */

static enum http_answer change_attrs(struct request *req, struct response *res, void *ctx,
                                     enum v2_action action)
{
    struct api c;
    struct v2_paths paths;
    struct v2_change x;
    struct error e = {0};
    if (!v2_open(&c, &paths, req, res, ctx, V2_BODY | V2_WRITES,
                 action == V2_APPEND
                     ? "keyValues append overrideMetadata forcedUpdate flowControl skipForwarding"
                     : "keyValues overrideMetadata forcedUpdate flowControl skipForwarding") ||
        !body_object(&c) || !change_of(&c, &paths, action, &x))
        return c.answer;
    if (action == V2_APPEND && api_option(&c, "options", "append"))
        x.action = V2_APPEND_STRICT;
    if (v2_attrs_in(c.arena, c.body, false, api_option(&c, "options", "keyValues"), false, &x.input,
                    &e))
        return api_fail(&c, &e);
    return submit(&c, &paths, &x, written);
}

static enum http_answer append_attrs(struct request *req, struct response *res, void *ctx)
{
    return change_attrs(req, res, ctx, V2_APPEND);
}

static enum http_answer update_attrs(struct request *req, struct response *res, void *ctx)
{
    return change_attrs(req, res, ctx, V2_UPDATE);
}

static enum http_answer replace_attrs(struct request *req, struct response *res, void *ctx)
{
    return change_attrs(req, res, ctx, V2_REPLACE);
}

static enum http_answer delete_entity(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct v2_paths paths;
    struct v2_change x;
    if (!v2_open(&c, &paths, req, res, ctx, V2_WRITES, "") || !change_of(&c, &paths, V2_DELETE, &x))
        return c.answer;
    return submit(&c, &paths, &x, written);
}

/* --- changing one attribute --- */

/* The single attribute of the path as input of a change. */
static void one_attr(struct api *c, struct v2_change *x, struct json *instance)
{
    struct json_member *m = ARENA_NEW(c->arena, struct json_member);
    *m = json_m(v2_iri(c->arena, x->attr), json_v_array(instance, 1));
    x->input = (struct v2_input){.attrs = m, .n = 1};
}

static enum http_answer replace_attr(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct v2_paths paths;
    struct v2_change x;
    struct error e = {0};
    if (!v2_open(&c, &paths, req, res, ctx, V2_BODY | V2_WRITES,
                 "overrideMetadata forcedUpdate flowControl skipForwarding") ||
        !body_object(&c) || !change_of(&c, &paths, V2_REPLACE_ATTR, &x) ||
        !v2_param(&c, "attr", "attribute name", &x.attr))
        return c.answer;
    struct json *instance = ARENA_NEW(c.arena, struct json);
    if (v2_attr_in(c.arena, x.attr, c.body, false, instance, &e))
        return api_fail(&c, &e);
    one_attr(&c, &x, instance);
    return submit(&c, &paths, &x, written);
}

static enum http_answer delete_attr(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct v2_paths paths;
    struct v2_change x;
    if (!v2_open(&c, &paths, req, res, ctx, V2_WRITES, "") ||
        !change_of(&c, &paths, V2_DELETE_ATTRS, &x) ||
        !v2_param(&c, "attr", "attribute name", &x.attr))
        return c.answer;
    one_attr(&c, &x, ARENA_NEW(c.arena, struct json));
    return submit(&c, &paths, &x, written);
}

/* A text is a JSON text, a literal or a number; objects and arrays come as JSON. */
static bool body_value(struct api *c, const struct json **out)
{
    struct str text = str_trim(c->req->body);
    struct error e = {0};
    if (c->body) {
        *out = c->body;
        if (json_is(c->body, JSON_OBJECT) || json_is(c->body, JSON_ARRAY))
            return true;
        api_fail_text(c, ERR_INVALID, "Neither JSON Object nor JSON Array for attribute::value");
        return false;
    }
    if (text.n >= 2 && text.p[0] == '"' && text.p[text.n - 1] == '"') {
        struct json *v = ARENA_NEW(c->arena, struct json);
        *v = json_v_str(str_sub(text, 1, text.n - 2));
        *out = v;
        if (str_is_utf8(text))
            return true;
    } else {
        *out = json_parse(c->arena, text, &JSON_DEFAULT, &e);
        if (*out && (*out)->type <= JSON_NUMBER)
            return true;
    }
    api_fail_text(c, ERR_INVALID, "attribute value type not recognized");
    return false;
}

static enum http_answer replace_value(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct v2_paths paths;
    struct v2_change x;
    const struct json *value;
    if (!v2_open(&c, &paths, req, res, ctx, V2_TEXT_BODY | V2_WRITES | V2_TEXT_ACCEPT,
                 "forcedUpdate flowControl skipForwarding") ||
        !body_value(&c, &value) || !change_of(&c, &paths, V2_SET_VALUE, &x) ||
        !v2_param(&c, "attr", "attribute name", &x.attr))
        return c.answer;
    x.value = value;
    return submit(&c, &paths, &x, written);
}

static const struct route routes[] = {
    {"POST", "/v2/entities", create_entity, ROUTE_PUBLIC_CORS},
    {"GET", ENTITY, read_entity, ROUTE_PUBLIC_CORS},
    {"DELETE", ENTITY, delete_entity, ROUTE_PUBLIC_CORS},
    {"GET", ENTITY "/attrs", read_attrs, ROUTE_PUBLIC_CORS},
    {"POST", ENTITY "/attrs", append_attrs, ROUTE_PUBLIC_CORS},
    {"PATCH", ENTITY "/attrs", update_attrs, ROUTE_PUBLIC_CORS},
    {"PUT", ENTITY "/attrs", replace_attrs, ROUTE_PUBLIC_CORS},
    {"GET", ENTITY "/attrs/{attr}", read_attr, ROUTE_PUBLIC_CORS},
    {"PUT", ENTITY "/attrs/{attr}", replace_attr, ROUTE_PUBLIC_CORS},
    {"DELETE", ENTITY "/attrs/{attr}", delete_attr, ROUTE_PUBLIC_CORS},
    {"GET", ENTITY "/attrs/{attr}/value", read_value, ROUTE_PUBLIC_CORS},
    {"PUT", ENTITY "/attrs/{attr}/value", replace_value, ROUTE_PUBLIC_CORS},
};

void v2_entity_routes(struct link *l, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), l);
}
