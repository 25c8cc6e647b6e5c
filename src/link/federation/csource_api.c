/*
 * /ngsi-ld/v1/csourceRegistrations (clauses 5.9, 5.10, 6.8, 6.9).
 *
 * Reading is answered from the list in memory and the counters of the row. A change is written on
 * the writer thread and put into the list after its commit; only a redirect registration, which may
 * not match entities that are here, first looks for them on a pool thread.
 */
#include "api_select.h"
#include "api_temporal.h"
#include "crypto/hash.h"
#include "link/access.h"
#include "registration_impl.h"

#define PATH "/ngsi-ld/v1/csourceRegistrations"

/* --- reading --- */

static enum err show(struct api *c, struct store_conn *conn, struct buf *out,
                     const struct registration *reg, const struct reg_info *const *infos, size_t n,
                     struct error *e)
{
    struct reg_view v = {.ctx = c->ctx,
                         .with_context = c->embed,
                         .sys_attrs = api_option(c, "options", "sysAttrs"),
                         .no_credentials = !access_secrets(c->link->access, c->req, reg->tenant),
                         .created = reg->created,
                         .modified = reg->modified,
                         .infos = infos,
                         .n_infos = n};
    enum err err = reg_counters(conn, reg, &v.counters, e);
    if (!err)
        reg_write(out, c->arena, reg->doc, &v);
    return err;
}

static enum http_answer read_one(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct str id;
    int64_t tenant;
    struct error e = {0};
    struct buf out = BUF_INIT;
    if (!api_open(&c, req, res, ctx, read_one, API_REGISTRY, "options local") ||
        !api_id(&c, "id", &id) || !api_accept(&c, false))
        return c.answer;
    struct store_conn *conn = api_reader(&c, &tenant);
    if (!conn)
        return c.answer;
    struct registration *reg = reg_find(c.link->registrations, tenant, id);
    enum err err = reg ? show(&c, conn, &out, reg, NULL, 0, &e) : OK;
    store_read_done(conn);
    if (!err && reg)
        api_answer_buf(&c, 200, &out);
    else if (err)
        api_fail(&c, &e);
    else
        api_fail_text(&c, ERR_NOT_FOUND, "no registration %" STR_F, STR_A(id));
    if (reg)
        registration_let_go(reg);
    buf_release(&out);
    return HTTP_DONE;
}

/* --- discovery (clause 5.10.2) --- */

struct discovery {
    struct api *c;
    struct api_select select;
    const struct api_projection *pick, *omit; /* omit says nothing about sources */
    struct reg_ask ask;
    int64_t limit, offset, met, given;
    bool count, more;
    struct store_conn *conn;
    struct buf out;
};

/* Attributes that pick, q and the geo-query name count like those of attrs (clause 5.10.2.4). */
static void ask_attrs(struct discovery *d)
{
    const struct entity_query *q = &d->select.query;
    size_t n_pick = d->pick ? d->pick->n : 0;
    const struct str *in_q = NULL;
    size_t n = q->q ? query_q_attrs(d->c->arena, q->q, &in_q) : 0;
    struct str *all = ARENA_ARRAY(d->c->arena, struct str, q->n_attrs + n_pick + n + 1);
    size_t total = 0;
    for (size_t i = 0; i < q->n_attrs; i++)
        all[total++] = q->attrs[i];
    for (size_t i = 0; i < n_pick; i++)
        if (!entity_is_member(d->pick->names[i]))
            all[total++] = d->pick->names[i];
    for (size_t i = 0; i < n; i++)
        all[total++] = in_q[i];
    if (q->geo)
        all[total++] = q->geo->property;
    d->ask.attrs = all;
    d->ask.n_attrs = total;
}

/* Which interval must be there, and what of it. */
static bool ask_time(struct discovery *d)
{
    struct history_query h = {0};
    if (!api_time_query(d->c, NULL, &h))
        return false;
    if (h.relation == TIME_ANY)
        return true;
    d->ask.time = h.property == TIME_OBSERVED ? REG_OBSERVED : REG_MANAGED;
    d->ask.time_from = h.relation == TIME_BEFORE ? INT64_MIN : h.from;
    d->ask.time_to = h.relation == TIME_AFTER    ? INT64_MAX
                     : h.relation == TIME_BEFORE ? h.from
                                                 : h.to;
    return true;
}

static bool ask(struct discovery *d)
{
    struct api *c = d->c;
    const struct entity_query *q = &d->select.query;
    d->ask = (struct reg_ask){.ids = q->ids,
                              .n_ids = q->n_ids,
                              .id_pattern = request_query(c->req, "idPattern"),
                              .types = q->types,
                              .csf = d->select.csf,
                              .geo = q->geo,
                              .geo_strict = true,
                              .scope = q->scope,
                              .scope_strict = true,
                              .now = clock_now(c->link->clock)};
    d->ask.n_datasets = api_list(c, request_query(c->req, "datasetId"), &d->ask.datasets);
    ask_attrs(d);
    return ask_time(d);
}

/* One registration: shown with the informations that match. */
static enum err consider(struct discovery *d, const struct reg_asking *q,
                         const struct registration *reg, struct error *e)
{
    bool hit;
    size_t n = 0;
    const struct reg_info **infos = ARENA_ARRAY(d->c->arena, const struct reg_info *, reg->n_infos);
    enum err err = reg_meets(q, reg, &hit, e);
    for (size_t i = 0; !err && hit && i < reg->n_infos; i++) {
        bool one;
        err = reg_info_meets(q, &reg->infos[i], &one, NULL, e);
        if (!err && one)
            infos[n++] = &reg->infos[i];
    }
    if (err || !n)
        return err;
    d->met++;
    if (d->met <= d->offset)
        return OK;
    d->more = d->given == d->limit;
    if (d->more)
        return OK;
    if (d->given++)
        buf_char(&d->out, ',');
    return show(d->c, d->conn, &d->out, reg, infos, n, e);
}

static void page_link(struct discovery *d, const char *rel, int64_t offset)
{
    struct api *c = d->c;
    struct buf url = BUF_INIT;
    struct str rest = c->req->query, field;
    BUF_LIT(&url, "<" PATH "?");
    while (rest.p && str_split(&rest, '&', &field))
        if (field.n && !str_starts(field, S("offset=")) && !str_starts(field, S("limit="))) {
            buf_str(&url, field);
            buf_char(&url, '&');
        }
    buf_printf(&url, "limit=%lld&offset=%lld>;rel=\"%s\";type=\"%s\"", (long long)d->limit,
               (long long)offset, rel, c->type);
    response_header(c->req, c->res, "Link", buf_dup(&url, c->arena));
    buf_release(&url);
}

static void answer_page(struct discovery *d)
{
    struct api *c = d->c;
    if (d->count)
        response_header(c->req, c->res, "NGSILD-Results-Count",
                        str_printf(c->arena, "%lld", (long long)d->met));
    if (d->limit && d->offset > 0)
        page_link(d, "prev", d->offset > d->limit ? d->offset - d->limit : 0);
    if (d->limit && d->more)
        page_link(d, "next", d->offset + d->limit);
    buf_char(&d->out, ']');
    api_answer_buf(c, 200, &d->out);
}

static enum err walk(struct discovery *d, struct error *e)
{
    struct reg_asking q;
    struct reg_list list = {0};
    enum err err = reg_asking_open(&q, d->c->arena, &d->ask, e);
    if (!err)
        reg_candidates(d->c->link->registrations, d->c->arena, &d->ask, &list);
    buf_char(&d->out, '[');
    for (size_t i = 0; !err && i < list.n && (d->count || !d->more); i++)
        err = consider(d, &q, list.v[i], e);
    reg_list_release(&list);
    reg_asking_release(&q);
    return err;
}

static enum http_answer read_list(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct discovery d = {.c = &c};
    struct error e = {0};
    const struct link *l = ctx;
    if (!api_open(&c, req, res, ctx, read_list, API_REGISTRY,
                  "options limit offset count timerel timeAt endTimeAt timeproperty datasetId "
                  "lang geometryProperty pick omit" API_SELECT_PARAMS) ||
        !api_accept(&c, false) || !api_bool(&c, "count", &d.count) ||
        !api_project(&c, request_query(req, "pick"), &d.pick) ||
        !api_project(&c, request_query(req, "omit"), &d.omit) ||
        !api_number(&c, "limit", l->options.page_default, 0, l->options.page_max, &d.limit) ||
        !api_number(&c, "offset", 0, 0, INT64_MAX / 2, &d.offset))
        return c.answer;
    d.count = d.count || api_option(&c, "options", "count");
    if (!d.limit && !d.count)
        return api_fail_text(&c, ERR_INVALID, "limit=0 needs count=true");
    if (!api_select_get(&c, &d.select, 0))
        return c.answer;
    if (ask(&d))
        d.conn = api_reader(&c, &d.ask.tenant);
    enum err err = d.conn ? walk(&d, &e) : OK;
    api_select_release(&d.select);
    if (!d.conn)
        return c.answer;
    store_read_done(d.conn);
    if (err)
        api_fail(&c, &e);
    else
        answer_page(&d);
    buf_release(&d.out);
    return HTTP_DONE;
}

/* --- writing --- */

struct reg_call {
    struct api api;
    struct store_change change;
    struct reg_change w;
    const struct json *whole; /* what a redirect one will say; NULL: it is none */
};

static void told(struct reg_call *k, enum err code, const struct error *e)
{
    struct api *c = &k->api;
    struct reg_change *w = &k->w;
    if (code == ERR_NOT_FOUND) {
        api_no_tenant(c);
    } else if (code || w->result) {
        struct error say = code ? *e : w->error;
        say.code = code ? code : w->result;
        reg_forget(w);
        api_fail(c, &say);
    } else {
        reg_applied(w);
        response_empty(c->res, w->kind == REG_WRITE_CREATE ? 201 : 204);
        if (w->kind == REG_WRITE_CREATE)
            response_header(c->req, c->res, "Location",
                            str_concat(c->arena, S(PATH "/"), api_segment(c->arena, w->id)));
    }
}

static void written(void *ctx, enum err code, const struct error *e)
{
    struct reg_call *k = ctx;
    told(k, code, e);
    http_resume(k->api.req);
}

static enum err local_match(struct reg_call *k, bool *hit, struct error *e)
{
    struct link *l = k->api.link;
    struct reg_source src = {.doc = k->whole};
    struct store_conn *conn = store_read(l->store, e);
    *hit = false;
    if (!conn)
        return e->code;
    enum err err = repo_tenant(conn, k->api.tenant, &src.tenant, e);
    if (err == ERR_NOT_FOUND) { /* where there is no tenant there are no entities */
        store_read_done(conn);
        return OK;
    }
    struct registration *reg = err ? NULL : reg_make(l->registrations, &src, NULL, e);
    if (reg) {
        int64_t deadline = clock_steady(l->clock) + l->options.query_ms * 1000;
        err = reg_local_match(conn, k->api.arena, src.tenant, reg, l->clock, deadline, hit, e);
        registration_let_go(reg);
    } else if (!err) {
        err = e->code;
    }
    store_read_done(conn);
    return err;
}

/* On the pool: look for entities that are here, then write and wait. */
static void write_slowly(struct api *c)
{
    struct reg_call *k = c->ctx_then;
    struct error e = {0};
    bool hit;
    k->api = *c;
    if (local_match(k, &hit, &e)) {
        api_fail(c, &e);
    } else if (hit) {
        api_fail_text(c, ERR_CONFLICT, "entities that match the registration are here");
    } else {
        enum err err = store_write(c->link->store, reg_apply, &k->w, &e);
        told(k, err, &e);
    }
}

static enum err apply(struct store_conn *conn, void *ctx, struct error *e)
{
    struct reg_call *k = ctx;
    return reg_apply(conn, &k->w, e);
}

static enum http_answer submit(struct api *c, struct reg_call *k)
{
    k->api = *c;
    k->w.registrations = c->link->registrations;
    k->w.arena = c->arena;
    k->w.tenant_name = c->tenant;
    k->w.actor = c->req->user;
    k->w.make_tenant = k->w.kind == REG_WRITE_CREATE && c->link->options.tenants_auto;
    if (k->whole)
        return api_slowly(c, write_slowly, k);
    k->change = (struct store_change){.apply = apply,
                                      .done = written,
                                      .ctx = k,
                                      .lane = str_hash(c->tenant)};
    enum err err = store_submit(c->link->store, &k->change);
    if (err)
        return api_fail_text(c, err, "too many changes are waiting to be written");
    return HTTP_LATER;
}

/* The body in stored form and the context of jsonldContext; false: the response is on its way. */
static bool take_body(struct api *c, http_handler handler, struct reg_call *k, bool patch)
{
    struct error e = {0};
    k->w.in = reg_expand(c->arena, c->body, patch, c->ctx, &e);
    if (!k->w.in || reg_check_expiry(k->w.in, clock_now(c->link->clock), &e)) {
        api_fail(c, &e);
        return false;
    }
    struct str url = reg_info_value(k->w.in, S("jsonldContext"));
    if (!url.p)
        return true;
    struct json *value = ARENA_NEW(c->arena, struct json);
    *value = json_v_str(url);
    return api_context(c, handler, value, &k->w.ctx);
}

static enum http_answer create(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct error e = {0};
    if (!api_open(&c, req, res, ctx, create, API_BODY | API_REGISTRY, "local"))
        return c.answer;
    struct reg_call *k = ARENA_NEW(c.arena, struct reg_call);
    k->w.kind = REG_WRITE_CREATE;
    if (!take_body(&c, create, k, false))
        return c.answer;
    if (reg_check(k->w.in, &e))
        return api_fail(&c, &e);
    k->w.id = json_text(json_get(k->w.in, S("id")));
    if (!k->w.id.p) {
        k->w.id =
            str_concat(c.arena, S("urn:ngsi-ld:ContextSourceRegistration:"), uuid_v4(c.arena));
        struct json *with = ARENA_NEW(c.arena, struct json);
        *with = json_with(c.arena, k->w.in, S("id"), json_v_str(k->w.id));
        k->w.in = with;
    }
    if (reg_mode_of(k->w.in) == REG_REDIRECT)
        k->whole = k->w.in;
    return submit(&c, k);
}

/* What a patched registration will be, when that is a redirect one. */
static const struct json *patched_redirect(struct api *c, const struct reg_change *w)
{
    int64_t tenant;
    struct store_conn *conn = store_read(c->link->store, NULL);
    if (!conn)
        return NULL;
    enum err err = repo_tenant(conn, c->tenant, &tenant, NULL);
    store_read_done(conn);
    struct registration *reg = err ? NULL : reg_find(c->link->registrations, tenant, w->id);
    if (!reg)
        return NULL;
    struct json *doc = ARENA_NEW(c->arena, struct json);
    *doc = json_copy(c->arena, reg_patched(c->arena, reg->doc, w->in));
    registration_let_go(reg);
    struct error e = {0};
    return reg_mode_of(doc) == REG_REDIRECT && !reg_check(doc, &e) ? doc : NULL;
}

static enum http_answer patch(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct str id;
    if (!api_open(&c, req, res, ctx, patch, API_BODY | API_MERGE_PATCH | API_REGISTRY, "local") ||
        !api_id(&c, "id", &id))
        return c.answer;
    struct reg_call *k = ARENA_NEW(c.arena, struct reg_call);
    k->w.kind = REG_WRITE_PATCH;
    k->w.id = id;
    if (!take_body(&c, patch, k, true))
        return c.answer;
    const struct json *in_body = json_get(k->w.in, S("id"));
    if (in_body && !str_eq(json_text(in_body), id))
        return api_fail_text(&c, ERR_INVALID, "the id of a registration cannot be changed");
    if (json_is(json_get(k->w.in, S("type")), JSON_NULL))
        return api_fail_text(&c, ERR_INVALID, "the type of a registration cannot be removed");
    k->whole = patched_redirect(&c, &k->w);
    return submit(&c, k);
}

static enum http_answer delete_one(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct str id;
    if (!api_open(&c, req, res, ctx, delete_one, API_REGISTRY, "local") || !api_id(&c, "id", &id))
        return c.answer;
    struct reg_call *k = ARENA_NEW(c.arena, struct reg_call);
    k->w.kind = REG_WRITE_DELETE;
    k->w.id = id;
    return submit(&c, k);
}

static const struct route routes[] = {
    {"POST", PATH, create, ROUTE_PUBLIC_CORS},
    {"POST", PATH "/", create, ROUTE_PUBLIC_CORS | ROUTE_HIDDEN},
    {"GET", PATH, read_list, ROUTE_PUBLIC_CORS},
    {"GET", PATH "/", read_list, ROUTE_PUBLIC_CORS | ROUTE_HIDDEN},
    {"GET", PATH "/{id}", read_one, ROUTE_PUBLIC_CORS},
    {"PATCH", PATH "/{id}", patch, ROUTE_PUBLIC_CORS},
    {"DELETE", PATH "/{id}", delete_one, ROUTE_PUBLIC_CORS},
};

void registrations_routes(struct link *l, struct router *router)
{
    router_add(router, routes, sizeof(routes) / sizeof(routes[0]), l);
}
