/* /entities and /entities/{id}: create, read, replace, merge, delete (clauses 6.4, 6.5). */
#include "api_join.h"
#include "distribute.h"
#include "distribute_read.h"
#include "entity_map.h"
#include "link/access.h"
#include "shown.h"

/* An entity of the body in stored form; NULL: the response is filled. */
static const struct json *body_entity(struct api *c, enum entity_in mode)
{
    struct error e = {0};
    const struct json *in = entity_expand(c->arena, c->body, mode, api_simplified(c), c->ctx, &e);
    if (!in)
        api_fail(c, &e);
    return in;
}

/* --- create --- */

static void created(struct api *c)
{
    if (api_write_failed(c))
        return;
    response_empty(c->res, 201);
    response_header(c->req, c->res, "Location",
                    str_concat(c->arena, S("/ngsi-ld/v1/entities/"),
                               api_segment(c->arena, c->ops.ops[0].id)));
}

static enum http_answer create_entity(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    if (!api_open(&c, req, res, ctx, create_entity, API_BODY, "options format local"))
        return c.answer;
    const struct json *in = body_entity(&c, ENTITY_WHOLE);
    if (!in)
        return c.answer;
    struct op *op = ARENA_NEW(c.arena, struct op);
    *op = (struct op){.kind = OP_CREATE, .id = entity_id(in), .input = in};
    return distribute_write(&c, DIST_CREATE_ENTITY, op, created);
}

/* --- read --- */

/* Retrieving with attrs= an entity that has none of them is 404 (clause 5.7.1.4). */
static bool has_wanted(struct api *c, const struct json *stored, const struct entity_view *v)
{
    if (!request_query(c->req, "attrs").p || request_query(c->req, "pick").p)
        return true;
    for (size_t i = 3; i < v->n_pick; i++)
        if (entity_attr(stored, v->pick[i]))
            return true;
    return false;
}

/* Nor is there anything when pick and omit leave nothing of it (clause 4.21). */
static bool has_members(const struct api *c, const struct json *stored)
{
    for (uint32_t i = 0; i < stored->n; i++) {
        struct str key = json_key(&stored->members[i]);
        bool omitted = api_project_names(c->omit, key) && !api_project_sub(c->omit, key);
        if ((!c->pick || api_project_names(c->pick, key)) && !omitted &&
            !str_eq(key, S("createdAt")) && !str_eq(key, S("modifiedAt")) &&
            !str_eq(key, S("expiresAt")))
            return true;
    }
    return false;
}

struct reading {
    struct api *c;
    struct str id;
    struct entity_view view;
    const struct type_node *types;
    struct api_join join;
    struct entity_row row;
    struct entity_map_use map;
    struct shown *shown; /* where texts of this view are kept; NULL: nowhere */
    struct str known;    /* the text, when it was there */
    struct buf out;
};

/* --- what was shown before --- */

/* Is the answer nothing but the entity that is here? */
static void open_shown(struct reading *r)
{
    r->view.seen_as = access_number(access_of(r->join.conn));
    if (shown_fits(r->c->link->shown, &r->view) && r->join.kind == JOIN_NONE && !r->types &&
        !r->map.make && !r->c->pick && !r->c->omit)
        r->shown = r->c->link->shown;
}

static bool was_shown(void *ctx, const struct entity_row *row)
{
    struct reading *r = ctx;
    return shown_get(r->shown, row->eid, row->version, &r->view, r->c->arena, &r->known, NULL);
}

/* Flat: an array when there is anything linked, else just the entity. */
static enum err write_flat(struct reading *r, const struct json *stored, struct error *e)
{
    struct buf linked = BUF_INIT;
    size_t n;
    api_join_note(&r->join, stored);
    enum err err = api_join_flush(&r->join, &linked, &r->view, &n, e);
    if (!err && n)
        buf_char(&r->out, '[');
    entity_write(&r->out, r->c->arena, stored, &r->view);
    if (!err && n) {
        buf_str(&r->out, buf_view(&linked));
        buf_char(&r->out, ']');
    }
    buf_release(&linked);
    return err;
}

/* What is here, and of the types asked for; NULL: nothing. */
static enum err load_here(struct reading *r, const struct json **stored, struct error *e)
{
    struct arena *a = r->c->arena;
    *stored = NULL;
    enum err err = repo_get_unless(r->join.conn, a, r->join.tenant, r->id,
                                   r->shown ? was_shown : NULL, r, &r->row, e);
    if (err || r->known.p)
        return err == ERR_NOT_FOUND ? OK : err;
    *stored = json_parse(a, r->row.doc, &JSON_DEFAULT, e);
    if (!*stored)
        return error_set(e, ERR_CORRUPT, "entity row %lld holds no JSON", (long long)r->row.eid);
    if (api_expired(r->c, *stored) ||
        (r->types && !query_types_hold(r->types, entity_types(*stored))))
        *stored = NULL;
    return OK;
}

static enum err write_read(struct reading *r, const struct json *stored, struct error *e)
{
    if (!stored || (r->types && !query_types_hold(r->types, entity_types(stored))))
        return error_set(e, ERR_NOT_FOUND, "no entity %" STR_F, STR_A(r->id));
    if (!has_wanted(r->c, stored, &r->view) || !has_members(r->c, stored))
        return error_set(e, ERR_NOT_FOUND, "entity %" STR_F " has none of the attributes",
                         STR_A(r->id));
    buf_reserve(&r->out, r->row.doc.n);
    if (r->join.kind == JOIN_INLINE)
        return api_join_inline(&r->join, &r->out, stored, &r->view, e);
    if (r->join.kind == JOIN_FLAT)
        return write_flat(r, stored, e);
    entity_write(&r->out, r->c->arena, stored, &r->view);
    if (r->shown)
        shown_put(r->shown, r->row.eid, r->row.version, &r->view, stored, buf_view(&r->out));
    return OK;
}

/* What is here and, when d is given, what the sources said, as the answer. */
static enum http_answer answer_read(struct reading *r, struct distribute *d)
{
    struct api *c = r->c;
    struct error e = {0};
    const struct json *stored;
    if (!d)
        open_shown(r);
    enum err err = load_here(r, &stored, &e);
    if (!err && d)
        stored = distribute_whole(d, c->arena, r->id, stored);
    if (!err && r->join.remote) {
        store_read_done(r->join.conn);
        r->join.conn = NULL;
        err = stored ? api_join_fetch(&r->join, &stored, 1, &e) : OK;
    }
    if (!err && r->known.p)
        buf_str(&r->out, r->known);
    else if (!err)
        err = write_read(r, stored, &e);
    if (r->join.conn)
        store_read_done(r->join.conn);
    api_join_release(&r->join);
    if (err) {
        buf_release(&r->out);
        return api_fail(c, &e);
    }
    if (r->map.make) {
        struct entity_map_entry one = entity_map_entry(c->arena, r->id, r->row.doc.p != NULL, d);
        if (entity_map_made(c, &r->map, &one, 1, d, NULL, &e)) {
            buf_release(&r->out);
            return api_fail(c, &e);
        }
    }
    api_answer_buf(c, 200, &r->out);
    if (r->join.kind == JOIN_NONE && !d) /* the version says nothing about others' parts */
        c->res->etag = api_version_tag(c->arena, r->row.version);
    return HTTP_DONE;
}

/* Nobody else knows of the entity, but perhaps of what it links to; or a map is made. */
static void read_slowly(struct api *c)
{
    struct reading *r = c->ctx_then;
    r->c = r->join.c = c;
    r->join.conn = api_reader(c, &r->join.tenant);
    if (r->join.conn)
        answer_read(r, NULL);
}

static void answer_whole(struct distribute *d)
{
    struct reading *r = d->ctx;
    r->c = r->join.c = d->c;
    r->join.conn = api_reader(d->c, &r->join.tenant);
    if (r->join.conn)
        answer_read(r, d);
    distribute_end(d);
}

/* The attributes that an answer is narrowed to; none: all. */
static size_t wanted_attrs(const struct api *c, const struct entity_view *v, const struct str **out)
{
    struct str *names = ARENA_ARRAY(c->arena, struct str, v->n_pick);
    size_t n = 0;
    for (size_t i = 0; i < v->n_pick; i++)
        if (!entity_is_member(v->pick[i]))
            names[n++] = v->pick[i];
    *out = names;
    return n;
}

static struct distribute *elsewhere(struct api *c, const struct reading *r)
{
    struct distribute *d = ARENA_NEW(c->arena, struct distribute);
    struct str *id = ARENA_NEW(c->arena, struct str);
    *id = r->id;
    d->c = c;
    d->kind = DISTRIBUTE_RETRIEVE;
    d->tenant = r->join.tenant;
    d->id = r->id;
    d->then = answer_whole;
    d->ask = (struct reg_ask){.op = REG_RETRIEVE_ENTITY,
                              .ids = id,
                              .n_ids = 1,
                              .types = r->types,
                              .datasets = r->view.datasets,
                              .n_datasets = r->view.n_datasets};
    d->ask.n_attrs = wanted_attrs(c, &r->view, &d->ask.attrs);
    return d;
}

static bool in_map(const struct reading *r)
{
    for (size_t i = 0; i < r->map.n_ids; i++)
        if (str_eq(r->map.ids[i], r->id))
            return true;
    return false;
}

static enum http_answer read_entity(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct reading r = {.c = &c};
    bool local, failed = false;
    if (!api_open(&c, req, res, ctx, read_entity, 0,
                  "attrs pick omit type options format lang datasetId geometryProperty "
                  "local" API_JOIN_PARAMS ENTITY_MAP_PARAMS) ||
        !api_id(&c, "id", &r.id) || !api_accept(&c, true) || !api_view(&c, &r.view) ||
        !api_type_of(&c, &r.types) || !api_join_read(&c, NULL, &r.join) ||
        !api_bool(&c, "local", &local) || !entity_map_use(&c, &r.map))
        return c.answer;
    if (r.map.given && !in_map(&r))
        return api_fail_text(&c, ERR_NOT_FOUND, "entity %" STR_F " is not in the map", STR_A(r.id));
    r.join.conn = api_reader(&c, &r.join.tenant);
    if (!r.join.conn)
        return c.answer;
    if (!local && registrations_any(c.link->registrations, r.join.tenant)) {
        struct distribute *d = elsewhere(&c, &r);
        struct reading *kept = ARENA_NEW(c.arena, struct reading);
        r.join.remote = r.join.kind != JOIN_NONE;
        *kept = r;
        d->ctx = kept;
        d->map = &kept->map;
        if (distribute_begin(d, &failed) || failed) {
            store_read_done(r.join.conn);
            return failed ? c.answer : distribute_go(d);
        }
        if (r.join.remote) {
            store_read_done(r.join.conn);
            return api_slowly(&c, read_slowly, kept);
        }
    }
    if (r.map.make) {
        struct reading *kept = ARENA_NEW(c.arena, struct reading);
        store_read_done(r.join.conn);
        *kept = r;
        return api_slowly(&c, read_slowly, kept);
    }
    return answer_read(&r, NULL);
}

/* --- replace, merge, delete --- */

/* The id in the body, when there is one, must be the one of the path. */
static bool same_id(struct api *c, struct str id)
{
    const struct json *in_body = json_get(c->body, S("id"));
    if (!in_body)
        in_body = json_get(c->body, S("@id"));
    if (!in_body || str_eq(json_text(in_body), id))
        return true;
    api_fail_text(c, ERR_INVALID, "the body is of another entity than the path");
    return false;
}

static enum http_answer write_entity(struct api *c, enum op_kind kind, enum dist_kind dist,
                                     const struct json *in, struct str id)
{
    struct op *op = ARENA_NEW(c->arena, struct op);
    *op = (struct op){.kind = kind,
                      .id = id,
                      .input = in,
                      .if_version = request_header_all(c->req, "If-Match")};
    if (!api_type_of(c, &op->types) || (kind == OP_MERGE && !api_merge_hints(c, &op->hints)))
        return c->answer;
    return distribute_write(c, dist, op, api_written_empty);
}

/* id and type may be left out of a replacement: they are those of the entity (clause 5.6.18). */
static enum http_answer replace_entity(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct str id;
    if (!api_open(&c, req, res, ctx, replace_entity, API_BODY, "options format type local") ||
        !api_id(&c, "id", &id) || !same_id(&c, id))
        return c.answer;
    if (json_is(c.body, JSON_OBJECT) && !json_get(c.body, S("id")) && !json_get(c.body, S("@id"))) {
        struct json *with = ARENA_NEW(c.arena, struct json);
        *with = json_with(c.arena, c.body, S("id"), json_v_str(id));
        c.body = with;
    }
    bool typed = json_get(c.body, S("type")) || json_get(c.body, S("@type"));
    const struct json *in = body_entity(&c, typed ? ENTITY_WHOLE : ENTITY_FRAGMENT);
    return in ? write_entity(&c, OP_REPLACE, DIST_REPLACE_ENTITY, in, id) : c.answer;
}

static enum http_answer merge_entity(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct str id;
    if (!api_open(&c, req, res, ctx, merge_entity, API_BODY | API_MERGE_PATCH,
                  "options format type lang observedAt local") ||
        !api_id(&c, "id", &id) || !same_id(&c, id))
        return c.answer;
    const struct json *in = body_entity(&c, ENTITY_MERGE);
    return in ? write_entity(&c, OP_MERGE, DIST_MERGE_ENTITY, in, id) : c.answer;
}

static enum http_answer delete_entity(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct str id;
    if (!api_open(&c, req, res, ctx, delete_entity, 0, "type local") || !api_id(&c, "id", &id))
        return c.answer;
    return write_entity(&c, OP_DELETE, DIST_DELETE_ENTITY, NULL, id);
}

/* --- paths whose id is empty: a wrong request (clauses 5.6 and 5.7), not an unknown address --- */

static enum http_answer refuse_no_id(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    if (!api_begin(&c, req, res, ctx, refuse_no_id, 0))
        return c.answer;
    return api_fail_text(&c, ERR_INVALID, "the id of an entity is missing in the path");
}

#define NO_ID refuse_no_id, ROUTE_PUBLIC_CORS | ROUTE_HIDDEN

static const struct route routes[] = {
    {"PUT", "/ngsi-ld/v1/entities/", NO_ID},
    {"PATCH", "/ngsi-ld/v1/entities/", NO_ID},
    {"DELETE", "/ngsi-ld/v1/entities/", NO_ID},
    {"POST", "/ngsi-ld/v1/entities//attrs", NO_ID},
    {"POST", "/ngsi-ld/v1/entities//attrs/", NO_ID},
    {"PATCH", "/ngsi-ld/v1/entities//attrs", NO_ID},
    {"PATCH", "/ngsi-ld/v1/entities//attrs/", NO_ID},
    {"PATCH", "/ngsi-ld/v1/entities//attrs/{attr}", NO_ID},
    {"PUT", "/ngsi-ld/v1/entities//attrs/{attr}", NO_ID},
    {"DELETE", "/ngsi-ld/v1/entities//attrs/{attr}", NO_ID},
    {"POST", "/ngsi-ld/v1/temporal/entities//attrs", NO_ID},
    {"POST", "/ngsi-ld/v1/temporal/entities//attrs/", NO_ID},
    {"DELETE", "/ngsi-ld/v1/temporal/entities//attrs/{attr}", NO_ID},
    {"PATCH", "/ngsi-ld/v1/temporal/entities//attrs/{attr}/{instance}", NO_ID},
    {"DELETE", "/ngsi-ld/v1/temporal/entities//attrs/{attr}/{instance}", NO_ID},
    {"POST", "/ngsi-ld/v1/entities", create_entity, ROUTE_PUBLIC_CORS},
    {"POST", "/ngsi-ld/v1/entities/", create_entity, ROUTE_PUBLIC_CORS | ROUTE_HIDDEN},
    {"GET", "/ngsi-ld/v1/entities/{id}", read_entity, ROUTE_PUBLIC_CORS},
    {"PUT", "/ngsi-ld/v1/entities/{id}", replace_entity, ROUTE_PUBLIC_CORS},
    {"PATCH", "/ngsi-ld/v1/entities/{id}", merge_entity, ROUTE_PUBLIC_CORS},
    {"DELETE", "/ngsi-ld/v1/entities/{id}", delete_entity, ROUTE_PUBLIC_CORS},
};

void api_entity_routes(struct link *l, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), l);
}
