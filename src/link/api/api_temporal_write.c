/*
 * Writing evolution: POST and DELETE /temporal/entities, its attributes and single instances
 * (clauses 5.6.11 to 5.6.16, 6.18 to 6.22). The current state of entities is left alone.
 *
 * Each instance that is added has a journal row of its own, topic "history", so that its position
 * in the journal names it and followers can replay it.
 */
#include "api_temporal.h"
#include "distribute.h"
#include "history_impl.h"
#include "link/access.h"
#include "link/edge.h"

/* One attribute instance in stored form. */
struct new_instance {
    struct str attr; /* IRI */
    const struct json *value;
};

enum change_kind { CHANGE_ADD, CHANGE_DELETE, CHANGE_REPLACE };

struct change {
    struct store_change store;
    struct api *c;
    struct arena *arena; /* of the writer's thread */
    struct dist *dist;   /* when sources have a part too */
    enum change_kind kind;
    struct str id;
    const struct json *types; /* of an entity that may be made; NULL: it must be there */
    VEC(struct new_instance) instances;
    struct str attr, dataset; /* to delete or replace; absent attr: all of the entity */
    bool all_datasets;
    int64_t seq; /* of the instance; 0: all */
    bool made;   /* the entity was not there before */
    bool no_tenant;
};

/* --- in the transaction --- */

static const struct json *with_times(struct arena *a, const struct json *instance, int64_t now,
                                     const struct json *created)
{
    struct json *out = ARENA_NEW(a, struct json);
    struct json at = json_v_str(datetime_text(a, now));
    *out = json_with(a, instance, S("createdAt"), created ? *created : at);
    *out = json_with(a, out, S("modifiedAt"), at);
    return out;
}

static enum err journal_instance(struct store_conn *conn, const struct change *x, int64_t tenant,
                                 int64_t now, const char *op, const struct new_instance *n,
                                 int64_t *seq, struct error *e)
{
    struct buf body = BUF_INIT;
    struct json_writer w = json_writer(&body);
    json_w_object(&w);
    json_w_kstr(&w, S("op"), str_c(op));
    if (n->attr.p)
        json_w_kstr(&w, S("a"), n->attr);
    if (*seq)
        json_w_ki64(&w, S("of"), *seq);
    if (n->value) {
        json_w_key(&w, S("v"));
        json_w_value(&w, n->value);
    }
    json_w_end(&w);
    struct journal_row row = {.tenant = tenant,
                              .at = now,
                              .topic = S("history"),
                              .key = x->id,
                              .body = buf_view(&body),
                              .actor = x->c->req->user};
    enum err err = journal_append(conn, &row, e);
    buf_release(&body);
    *seq = row.seq;
    return err;
}

/* The same, as other nodes are to know it. */
static struct past_change as_past(const struct change *x, int64_t tenant, int64_t eid, int64_t now)
{
    return (struct past_change){.sync = x->c->link->sync,
                                .tenant = tenant,
                                .eid = eid,
                                .now = now,
                                .id = x->id,
                                .actor = x->c->req->user,
                                .attr = x->attr,
                                .dataset = x->dataset,
                                .all_datasets = x->all_datasets,
                                .seq = x->seq};
}

static enum err apply_add(struct store_conn *conn, struct change *x, int64_t tenant, int64_t now,
                          struct error *e)
{
    struct arena *a = x->arena;
    int64_t eid;
    enum err err = history_eid(conn, a, tenant, x->id, NULL, false, now, &eid, e);
    x->made = err == ERR_NOT_FOUND && x->types;
    if (x->made || (!err && x->types))
        err = history_eid(conn, a, tenant, x->id, x->types, true, now, &eid, e);
    for (size_t i = 0; !err && i < x->instances.n; i++) {
        struct new_instance n = x->instances.v[i];
        int64_t seq = 0;
        n.value = with_times(a, n.value, now, NULL);
        if (past_kept(x->c->link->sync)) {
            struct past_change past = as_past(x, tenant, eid, now);
            past.attr = n.attr;
            err = past_put(conn, a, &past, n.value, e);
            continue;
        }
        err = journal_instance(conn, x, tenant, now, "add", &n, &seq, e);
        if (!err)
            err = history_add(conn, eid, n.attr, n.value, now, seq, e);
    }
    return err;
}

static enum err apply_delete(struct store_conn *conn, struct change *x, int64_t tenant, int64_t now,
                             struct error *e)
{
    int64_t eid, of = x->seq;
    struct new_instance n = {.attr = x->attr};
    enum err err = history_eid(conn, x->arena, tenant, x->id, NULL, false, now, &eid, e);
    if (!err && past_kept(x->c->link->sync)) {
        struct past_change past = as_past(x, tenant, eid, now);
        return past_drop(conn, x->arena, &past, e);
    }
    if (!err)
        err = history_delete(conn, eid, x->attr, x->dataset, x->all_datasets, x->seq, e);
    return err ? err : journal_instance(conn, x, tenant, now, "delete", &n, &of, e);
}

struct search {
    const struct change *x;
    struct arena *arena;
    const struct json *found;
};

static bool find_instance(void *ctx, const struct history_row *row)
{
    struct search *s = ctx;
    if (row->seq != s->x->seq || !str_eq(row->dataset, s->x->dataset))
        return true;
    s->found = json_parse(s->arena, str_dup(s->arena, row->instance), &JSON_DEFAULT, NULL);
    return false;
}

/* The instance keeps its name, dataset and createdAt. */
static enum err apply_replace(struct store_conn *conn, struct change *x, int64_t tenant,
                              int64_t now, struct error *e)
{
    struct arena *a = x->arena;
    struct history_query q = {.attrs = &x->attr, .n_attrs = 1};
    struct history_cut cut;
    struct search s = {x, a, NULL};
    struct new_instance n = x->instances.v[0];
    int64_t eid, of = x->seq;
    enum err err = history_eid(conn, a, tenant, x->id, NULL, false, now, &eid, e);
    if (!err)
        err = history_read(conn, eid, &q, find_instance, &s, &cut, e);
    if (!err && !s.found)
        err = error_set(e, ERR_NOT_FOUND, "no such instance");
    bool shared = past_kept(x->c->link->sync);
    if (!err && !shared)
        err = history_delete(conn, eid, x->attr, x->dataset, false, x->seq, e);
    if (err)
        return err;
    n.value = with_times(a, n.value, now, json_get(s.found, S("createdAt")));
    if (x->dataset.p) {
        struct json *in = ARENA_NEW(a, struct json);
        *in = json_with(a, n.value, S("datasetId"), json_v_str(x->dataset));
        n.value = in;
    }
    if (shared) {
        struct past_change past = as_past(x, tenant, eid, now);
        return past_put(conn, a, &past, n.value, e);
    }
    err = history_add(conn, eid, x->attr, n.value, now, x->seq, e);
    return err ? err : journal_instance(conn, x, tenant, now, "replace", &n, &of, e);
}

/* The rights of who asks on each attribute that is named, else on the entity. */
static enum err may_change(struct store_conn *conn, const struct change *x, int64_t tenant,
                           struct error *e)
{
    const struct access_view *v = api_sight(x->c, tenant);
    struct history_past past = {.types = x->types};
    struct entity_row row;
    if (!v)
        return OK;
    enum err err = repo_get(conn, x->c->arena, tenant, x->id, &row, e);
    if (!err || (err == ERR_NOT_FOUND && row.eid))
        err = history_past(conn, x->c->arena, row.eid, &past, e);
    if (err && err != ERR_NOT_FOUND)
        return err;
    if (row.eid && !access_sees(v, past.stored, past.types, STR_NONE))
        return error_set(e, ERR_NOT_FOUND, "no history of %" STR_F, STR_A(x->id));
    for (size_t i = 0; i < x->instances.n; i++)
        if (access_change_past(v, past.stored, past.types, x->instances.v[i].attr, e))
            return e->code;
    return x->instances.n ? OK : access_change_past(v, past.stored, past.types, x->attr, e);
}

static enum err apply(struct store_conn *conn, void *ctx, struct error *e)
{
    struct change *x = ctx;
    const struct link *l = x->c->link;
    int64_t now = clock_now(l->clock), tenant;
    enum err err = x->types && l->options.tenants_auto
                       ? repo_tenant_make(conn, x->c->tenant, now, &tenant, e)
                       : repo_tenant(conn, x->c->tenant, &tenant, e);
    x->no_tenant = err == ERR_NOT_FOUND;
    if (!err)
        err = may_change(conn, x, tenant, e);
    if (err)
        return err;
    switch (x->kind) {
    case CHANGE_ADD:
        return apply_add(conn, x, tenant, now, e);
    case CHANGE_DELETE:
        return apply_delete(conn, x, tenant, now, e);
    case CHANGE_REPLACE:
        return apply_replace(conn, x, tenant, now, e);
    }
    return ERR_INTERNAL;
}

static void answer(void *ctx)
{
    struct change *x = ctx;
    struct api *c = x->c;
    response_empty(c->res, x->made ? 201 : 204);
    if (x->made)
        response_header(c->req, c->res, "Location",
                        str_concat(c->arena, S("/ngsi-ld/v1/temporal/entities/"),
                                   api_segment(c->arena, x->id)));
}

static void done(void *ctx, enum err code, const struct error *e)
{
    struct change *x = ctx;
    struct api *c = x->c;
    if (x->dist) {
        dist_local_done(x->dist, code, e, NULL);
        return;
    }
    if (x->no_tenant)
        api_no_tenant(c);
    else if (code)
        api_fail(c, e);
    else
        answer(x);
    http_resume(c->req);
}

/* --- with sources --- */

static void narrow(void *ctx, const struct str *attrs, size_t n)
{
    struct change *x = ctx;
    size_t kept = 0;
    for (size_t i = 0; i < x->instances.n; i++)
        if (dist_among(attrs, n, x->instances.v[i].attr))
            x->instances.v[kept++] = x->instances.v[i];
    x->instances.n = kept;
}

static enum err start(void *ctx, struct dist *d, struct arena *memory, struct error *e)
{
    struct change *x = ctx;
    x->dist = d;
    x->arena = memory;
    enum err err = store_submit(x->c->link->store, &x->store);
    return err ? error_set(e, err, "too many changes are waiting to be written") : OK;
}

/* Do sources have a part in it? Then c->answer is what to return. */
static bool has_sources(struct api *c, struct change *x, enum dist_kind kind)
{
    VEC(struct str) attrs = VEC_INIT;
    int64_t tenant = dist_others(c);
    if (tenant <= 0)
        return tenant < 0;
    if (x->attr.p)
        *vec_push(c->arena, &attrs) = x->attr;
    for (size_t i = 0; !x->attr.p && i < x->instances.n; i++)
        if (!dist_among(attrs.v, attrs.n, x->instances.v[i].attr))
            *vec_push(c->arena, &attrs) = x->instances.v[i].attr;
    struct dist_ask ask = {
        .kind = kind, .id = x->id, .types = x->types, .attrs = attrs.v, .n_attrs = attrs.n};
    struct dist_local local = {x, narrow, start, answer};
    return distribute(c, tenant, &ask, &local);
}

static enum http_answer submit(struct api *c, struct change *x, enum dist_kind kind)
{
    x->c = api_keep(c);
    x->arena = c->arena;
    x->store =
        (struct store_change){.apply = apply, .done = done, .ctx = x, .lane = str_hash(c->tenant)};
    if (has_sources(c, x, kind))
        return c->answer;
    if (store_submit(c->link->store, &x->store))
        return api_fail_text(c, ERR_UNAVAILABLE, "too many changes are waiting to be written");
    return HTTP_LATER;
}

/* --- bodies --- */

/* Instances of an attribute: each is read by itself, because they share their datasetIds. */
static bool add_instances(struct api *c, struct change *x, struct str name, const struct json *v)
{
    struct error e = {0};
    bool several = json_is(v, JSON_ARRAY) && v->n && json_is(&v->items[0], JSON_OBJECT);
    uint32_t n_new = several ? v->n : 1;
    if (x->instances.n + n_new > (size_t)c->link->options.batch_max) {
        api_fail_text(c, ERR_TOO_LARGE, "at most %lld instances at once",
                      (long long)c->link->options.batch_max);
        return false;
    }
    for (uint32_t i = 0; i < n_new; i++) {
        const struct json *in = entity_expand_attr(c->arena, name, several ? &v->items[i] : v,
                                                   ENTITY_WHOLE, c->ctx, &e);
        if (!in) {
            api_fail(c, &e);
            return false;
        }
        struct new_instance *n = vec_push(c->arena, &x->instances);
        n->attr = json_key(&in->members[0]);
        n->value = &in->members[0].value.items[0];
    }
    return true;
}

static bool is_head(struct str key)
{
    return entity_is_member(key) || (key.n && key.p[0] == '@');
}

static bool take_attrs(struct api *c, struct change *x)
{
    for (uint32_t i = 0; json_is(c->body, JSON_OBJECT) && i < c->body->n; i++) {
        struct str key = json_key(&c->body->members[i]);
        if (!is_head(key) && !add_instances(c, x, key, &c->body->members[i].value))
            return false;
    }
    return true;
}

/* One scope or several, that held from an instant on (NULL: from now). */
static bool add_scope(struct api *c, struct change *x, const struct json *value,
                      const struct json *observed)
{
    struct error e = {0};
    int64_t at;
    struct json_member m[3] = {json_m(S("id"), json_v_str(S("urn:x:x"))),
                               json_m(S("type"), json_v_str(S("T"))), json_m(S("scope"), *value)};
    struct json entity = json_v_object(m, 3);
    const struct json *in = entity_expand(c->arena, &entity, ENTITY_WHOLE, false, ld_core(), &e);
    const struct json *scopes = json_get(in, S("scope"));
    if (!scopes || (observed && !datetime_parse_utc(json_text(observed), &at))) {
        api_fail_text(c, ERR_INVALID, "scope: names such as /a/b, perhaps with an observedAt");
        return false;
    }
    struct json_member *i = ARENA_ARRAY(c->arena, struct json_member, 3);
    struct json *instance = ARENA_NEW(c->arena, struct json);
    i[0] = json_m(S("type"), json_v_str(S("Property")));
    i[1] = json_m(S("value"), scopes->n == 1 ? scopes->items[0] : *scopes);
    if (observed)
        i[2] = json_m(S("observedAt"), *observed);
    *instance = json_v_object(i, observed ? 3 : 2);
    *vec_push(c->arena, &x->instances) = (struct new_instance){S(HISTORY_SCOPE), instance};
    return true;
}

/* As in an entity, or as instances of a Property. */
static bool take_scope(struct api *c, struct change *x)
{
    const struct json *v = json_get(c->body, S("scope"));
    bool several = json_is(v, JSON_ARRAY) && v->n && json_is(&v->items[0], JSON_OBJECT);
    if (!v)
        return true;
    if (!several && !json_is(v, JSON_OBJECT))
        return add_scope(c, x, v, NULL);
    for (uint32_t i = 0; i < (several ? v->n : 1); i++) {
        const struct json *one = several ? &v->items[i] : v;
        const struct json *value = json_get(one, S("value"));
        struct json none = json_v_null();
        if (!add_scope(c, x, value ? value : &none, json_get(one, S("observedAt"))))
            return false;
    }
    return true;
}

/* id and type of the body, its attributes left out. */
static bool take_head(struct api *c, struct change *x)
{
    struct error e = {0};
    VEC(struct json_member) head = VEC_INIT;
    for (uint32_t i = 0; json_is(c->body, JSON_OBJECT) && i < c->body->n; i++) {
        struct str key = json_key(&c->body->members[i]);
        if (is_head(key) && !str_eq(key, S("scope")))
            *vec_push(c->arena, &head) = c->body->members[i];
    }
    struct json object = json_v_object(head.v, head.n);
    const struct json *in =
        entity_expand(c->arena, json_is(c->body, JSON_OBJECT) ? &object : c->body, ENTITY_WHOLE,
                      false, c->ctx, &e);
    if (!in) {
        api_fail(c, &e);
        return false;
    }
    x->id = entity_id(in);
    x->types = entity_types(in);
    return take_scope(c, x);
}

static struct change *new_change(struct request *req, enum change_kind kind)
{
    struct change *x = ARENA_NEW(req->arena, struct change);
    x->kind = kind;
    return x;
}

/* --- handlers --- */

static enum http_answer add_entity(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct change *x = new_change(req, CHANGE_ADD);
    if (!api_open(&c, req, res, ctx, add_entity, API_BODY, "local") || !take_head(&c, x) ||
        !take_attrs(&c, x))
        return c.answer;
    return submit(&c, x, DIST_TEMPORAL_UPSERT);
}

static enum http_answer add_attrs(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct change *x = new_change(req, CHANGE_ADD);
    if (!api_open(&c, req, res, ctx, add_attrs, API_BODY, "local") || !api_id(&c, "id", &x->id) ||
        !take_scope(&c, x) || !take_attrs(&c, x))
        return c.answer;
    if (!x->instances.n)
        return api_fail_text(&c, ERR_INVALID, "the body has no attribute");
    return submit(&c, x, DIST_TEMPORAL_APPEND);
}

static enum http_answer delete_entity(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct change *x = new_change(req, CHANGE_DELETE);
    if (!api_open(&c, req, res, ctx, delete_entity, 0, "local") || !api_id(&c, "id", &x->id))
        return c.answer;
    x->all_datasets = true;
    return submit(&c, x, DIST_TEMPORAL_DELETE);
}

/* The attribute of the path; scopes evolve under a name of their own. */
static bool take_attr(struct api *c, struct change *x)
{
    if (!api_attr(c, &x->attr))
        return false;
    if (str_eq(x->attr, S("scope")))
        x->attr = S(HISTORY_SCOPE);
    return true;
}

static enum http_answer delete_attr(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct change *x = new_change(req, CHANGE_DELETE);
    if (!api_open(&c, req, res, ctx, delete_attr, 0, "datasetId deleteAll local") ||
        !api_id(&c, "id", &x->id) || !take_attr(&c, x) ||
        !api_bool(&c, "deleteAll", &x->all_datasets) || !api_dataset(&c, &x->dataset))
        return c.answer;
    return submit(&c, x, DIST_TEMPORAL_DELETE_ATTR);
}

static bool take_instance(struct api *c, struct change *x)
{
    if (temporal_instance_parse(request_param(c->req, "instance"), &x->seq, &x->dataset))
        return true;
    if (!ld_is_uri(request_param(c->req, "instance"))) {
        api_fail_text(c, ERR_INVALID, "the instance id is not a URI");
        return false;
    }
    x->seq = INT64_MAX; /* none of ours; it may be a source's */
    if (dist_others(c) > 0)
        return true;
    api_fail_text(c, ERR_NOT_FOUND, "there is no such instance");
    return false;
}

static enum http_answer delete_instance(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct change *x = new_change(req, CHANGE_DELETE);
    if (!api_open(&c, req, res, ctx, delete_instance, 0, "local") || !api_id(&c, "id", &x->id) ||
        !take_attr(&c, x) || !take_instance(&c, x))
        return c.answer;
    return submit(&c, x, DIST_TEMPORAL_DELETE_INSTANCE);
}

static enum http_answer replace_scope(struct api *c, struct change *x)
{
    const struct json *v = json_get(c->body, S("scope"));
    v = json_is(v, JSON_ARRAY) && v->n == 1 ? &v->items[0] : v ? v : c->body;
    struct json none = json_v_null();
    const struct json *value = json_get(v, S("value"));
    if (!add_scope(c, x, value ? value : &none, json_get(v, S("observedAt"))))
        return c->answer;
    return submit(c, x, DIST_TEMPORAL_UPDATE_INSTANCE);
}

/* The body is the instance, or an object with the attribute that has it. */
static enum http_answer replace_instance(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct change *x = new_change(req, CHANGE_REPLACE);
    if (!api_open(&c, req, res, ctx, replace_instance, API_BODY | API_MERGE_PATCH, "local") ||
        !api_id(&c, "id", &x->id) || !take_attr(&c, x) || !take_instance(&c, x))
        return c.answer;
    struct str name = request_param(req, "attr");
    const struct json *v = c.body;
    if (str_eq(x->attr, S(HISTORY_SCOPE)))
        return replace_scope(&c, x);
    for (uint32_t i = 0; json_is(c.body, JSON_OBJECT) && i < c.body->n; i++)
        if (!is_head(json_key(&c.body->members[i])) &&
            str_eq(ld_expand(c.ctx, c.arena, json_key(&c.body->members[i])), x->attr))
            v = &c.body->members[i].value;
    if (!add_instances(&c, x, name, v))
        return c.answer;
    if (x->instances.n != 1)
        return api_fail_text(&c, ERR_INVALID, "one instance is expected");
    return submit(&c, x, DIST_TEMPORAL_UPDATE_INSTANCE);
}

static const struct route routes[] = {
    {"POST", "/ngsi-ld/v1/temporal/entities", add_entity, ROUTE_PUBLIC_CORS},
    {"POST", "/ngsi-ld/v1/temporal/entities/", add_entity, ROUTE_PUBLIC_CORS | ROUTE_HIDDEN},
    {"DELETE", "/ngsi-ld/v1/temporal/entities/{id}", delete_entity, ROUTE_PUBLIC_CORS},
    {"POST", "/ngsi-ld/v1/temporal/entities/{id}/attrs", add_attrs, ROUTE_PUBLIC_CORS},
    {"POST", "/ngsi-ld/v1/temporal/entities/{id}/attrs/", add_attrs,
     ROUTE_PUBLIC_CORS | ROUTE_HIDDEN},
    {"DELETE", "/ngsi-ld/v1/temporal/entities/{id}/attrs/{attr}", delete_attr, ROUTE_PUBLIC_CORS},
    {"DELETE", "/ngsi-ld/v1/temporal/entities/{id}/attrs/{attr}/", delete_attr,
     ROUTE_PUBLIC_CORS | ROUTE_HIDDEN},
    {"PATCH", "/ngsi-ld/v1/temporal/entities/{id}/attrs/{attr}/{instance}", replace_instance,
     ROUTE_PUBLIC_CORS},
    {"DELETE", "/ngsi-ld/v1/temporal/entities/{id}/attrs/{attr}/{instance}", delete_instance,
     ROUTE_PUBLIC_CORS},
};

void temporal_write_routes(struct link *l, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), l);
}
