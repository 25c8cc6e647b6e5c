/*
 * /link/v1/keys, /link/v1/policies and /link/v1/access/explain: managing who may do what. For this
 * machine itself, the city's token and keys with the right admin; a key manages its own tenant.
 *
 *     GET, POST  /link/v1/keys              {"name", "policies": [...], "expiresAt"?, "quota"?}
 *     DELETE     /link/v1/keys/{name}       revokes it
 *     GET        /link/v1/policies          all versions
 *     PUT, DELETE /link/v1/policies/{name}  a new version; the end
 *     GET        /link/v1/access/explain    ?key= (none: the public) &entity= or &type= &attr=
 * &right=
 *
 * What changes is written on a pool thread, which may wait for the store.
 */
#include "access_impl.h"
#include "api.h"

bool access_manages(struct access *x, const struct access_who *who, int64_t tenant)
{
    if (who->kind == WHO_PUBLIC)
        return who->manages;
    const struct access_view *v = access_view(x, who, tenant);
    return !v || v->admin;
}

bool access_manages_city(struct access *x, const struct request *req)
{
    const struct access_tenant *t = map_get(&access_now(x)->tenant_names, S(""));
    return access_manages(x, access_asks(req), t ? t->n : 0);
}

bool access_secrets(struct access *x, const struct request *req, int64_t tenant)
{
    const struct access_who *who = access_asks(req);
    return access_manages(x, who, tenant) || (who->kind == WHO_PUBLIC && request_is_private(req) &&
                                              access_sees_all(access_view(x, who, tenant)));
}

/* The tenant's number, 0 when it is not there yet; false: the response is filled. */
static bool take_manager(struct api *c, int64_t *tenant)
{
    const struct access_set *s = access_now(c->link->access);
    const struct access_tenant *t = map_get(&s->tenant_names, c->tenant.p ? c->tenant : S(""));
    *tenant = t ? t->n : 0;
    if (access_manages(c->link->access, access_asks(c->req), *tenant))
        return true;
    api_fail_text(c, ERR_FORBIDDEN,
                  "keys and policies are managed from the machine itself, with the city's token or "
                  "with a key that has the right admin");
    return false;
}

static struct str manager_name(const struct api *c)
{
    struct str actor = access_asks(c->req)->actor;
    return actor.p ? actor : S("local");
}

static void answer_json(struct api *c, int status, struct buf *b)
{
    response_body(c->req, c->res, status, "application/json", buf_dup(b, c->arena));
    response_header(c->req, c->res, "Cache-Control", S("no-store"));
    buf_release(b);
}

/* --- lists --- */

static void list_run(struct api *c)
{
    bool keys = c->ctx_then != NULL;
    struct buf b = BUF_INIT;
    struct error e = {0};
    enum err err = keys ? access_list_keys(c->link, c->tenant, &b, &e)
                        : access_list_policies(c->link, c->tenant, &b, &e);
    if (!err) {
        answer_json(c, 200, &b);
        return;
    }
    buf_release(&b);
    api_fail(c, &e);
}

static enum http_answer get_keys(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    int64_t tenant;
    if (!api_open(&c, req, res, ctx, get_keys, 0, "") || !take_manager(&c, &tenant))
        return c.answer;
    return api_slowly(&c, list_run, ctx);
}

static enum http_answer get_policies(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    int64_t tenant;
    if (!api_open(&c, req, res, ctx, get_policies, 0, "") || !take_manager(&c, &tenant))
        return c.answer;
    return api_slowly(&c, list_run, NULL);
}

/* --- keys --- */

static void make_key_run(struct api *c)
{
    const struct access_new_key *k = c->ctx_then;
    struct error e = {0};
    struct str key;
    struct buf b = BUF_INIT;
    if (access_make_key(c->link, c->arena, k, &key, &e)) {
        api_fail(c, &e);
        return;
    }
    struct json_writer w = json_writer(&b);
    json_w_object(&w);
    json_w_kstr(&w, S("name"), k->name);
    if (key.p)
        json_w_kstr(&w, S("key"), key);
    json_w_end(&w);
    answer_json(c, 201, &b);
}

/* false: the response is filled. */
static bool take_new_key(struct api *c, struct access_new_key *k)
{
    const struct json *policies = json_get(c->body, S("policies"));
    const struct json *expires = json_get(c->body, S("expiresAt"));
    bool good = !policies || json_is(policies, JSON_ARRAY);
    size_t n = good && policies ? policies->n : 0;
    struct str *names = ARENA_ARRAY(c->arena, struct str, n ? n : 1);
    for (size_t i = 0; i < n; i++) {
        names[i] = json_text(&policies->items[i]);
        good = good && json_is(&policies->items[i], JSON_STRING);
    }
    *k = (struct access_new_key){.tenant = c->tenant,
                                 .name = json_text(json_get(c->body, S("name"))),
                                 .policies = names,
                                 .n_policies = n,
                                 .quota = json_get(c->body, S("quota")),
                                 .actor = manager_name(c)};
    good = good && (!expires || datetime_parse(json_text(expires), &k->expires));
    if (!good)
        api_fail_text(c, ERR_INVALID,
                      "a key has a name, a list of policies and perhaps expiresAt and quota");
    return good;
}

static enum http_answer post_key(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    int64_t tenant;
    struct access_new_key *k = ARENA_NEW(req->arena, struct access_new_key);
    if (!api_open(&c, req, res, ctx, post_key, API_BODY, "") || !take_manager(&c, &tenant) ||
        !take_new_key(&c, k))
        return c.answer;
    return api_slowly(&c, make_key_run, k);
}

static void revoke_run(struct api *c)
{
    struct error e = {0};
    if (access_revoke_key(c->link, c->tenant, request_param(c->req, "name"), manager_name(c), &e))
        api_fail(c, &e);
    else
        response_empty(c->res, 204);
}

static enum http_answer delete_key(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    int64_t tenant;
    if (!api_open(&c, req, res, ctx, delete_key, 0, "") || !take_manager(&c, &tenant))
        return c.answer;
    return api_slowly(&c, revoke_run, NULL);
}

/* --- policies --- */

static void put_policy_run(struct api *c)
{
    struct error e = {0};
    int64_t version;
    struct buf b = BUF_INIT;
    const struct json *doc = c->ctx_then;
    struct str name = request_param(c->req, "name");
    if (access_put_policy(c->link, c->tenant, name, doc, manager_name(c), &version, &e)) {
        api_fail(c, &e);
        return;
    }
    if (!doc) {
        response_empty(c->res, 204);
        return;
    }
    struct json_writer w = json_writer(&b);
    json_w_object(&w);
    json_w_kstr(&w, S("name"), name);
    json_w_ki64(&w, S("version"), version);
    json_w_key(&w, S("policy"));
    json_w_value(&w, doc);
    json_w_end(&w);
    answer_json(c, 200, &b);
}

static enum http_answer put_policy(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    int64_t tenant;
    struct error e = {0};
    if (!api_open(&c, req, res, ctx, put_policy, API_BODY, "") || !take_manager(&c, &tenant))
        return c.answer;
    const struct json *doc =
        access_policy_expand(c.arena, request_param(req, "name"), c.body, c.ctx, &e);
    if (!doc)
        return api_fail(&c, &e);
    return api_slowly(&c, put_policy_run, (void *)doc);
}

static enum http_answer delete_policy(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    int64_t tenant;
    if (!api_open(&c, req, res, ctx, delete_policy, 0, "") || !take_manager(&c, &tenant))
        return c.answer;
    return api_slowly(&c, put_policy_run, NULL);
}

/* --- explaining --- */

bool access_right_named(struct str name, enum access_right *right)
{
    static const struct {
        struct str name;
        enum access_right right;
    } rights[] = {{S_INIT("read"), ACCESS_READ},
                  {S_INIT("write"), ACCESS_WRITE},
                  {S_INIT("subscribe"), ACCESS_SUBSCRIBE},
                  {S_INIT("admin"), ACCESS_ADMIN}};
    for (size_t i = 0; i < sizeof(rights) / sizeof(rights[0]); i++)
        if (str_eq(name, rights[i].name)) {
            *right = rights[i].right;
            return true;
        }
    return false;
}

enum err access_explain(struct link *l, struct arena *a, int64_t tenant,
                        const struct access_question *q, struct access_reason *out, struct error *e)
{
    struct entity_row row = {0};
    const struct json *stored = NULL;
    struct json type = json_v_str(q->type), types = json_v_array(&type, q->type.n ? 1 : 0);
    struct str actor = q->key.n ? str_concat(a, S("key:"), q->key) : STR_NONE;
    if (q->entity.n) {
        struct store_conn *conn = store_read(l->store, e);
        enum err err = conn ? repo_get(conn, a, tenant, q->entity, &row, e) : e->code;
        if (conn)
            store_read_done(conn);
        if (err)
            return err;
        stored = json_parse(a, row.doc, &JSON_DEFAULT, e);
        if (!stored)
            return e->code;
    }
    const struct access_view *view = access_view_of(l->access, actor, tenant);
    struct access_verdict v =
        access_decide(view, q->right, stored, stored ? NULL : &types, q->attr);
    *out = (struct access_reason){.allowed = v.allowed, .why = v.why};
    if (v.rule) {
        out->policy = str_dup(a, v.rule->policy);
        out->rule = (int64_t)v.rule->number;
    }
    return OK;
}

static void answer_reason(struct api *c, const struct access_reason *r)
{
    static const char *const why[] = {[WHY_ADMIN] = "the key may do everything",
                                      [WHY_NOTHING] = "the key is of no use here",
                                      [WHY_RULE] = "a rule says so",
                                      [WHY_PERSONAL] = "it is personal and no rule names it",
                                      [WHY_OPEN] = "it is open where no rule says otherwise",
                                      [WHY_CLOSED] = "no rule allows it"};
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    json_w_object(&w);
    json_w_kbool(&w, S("allowed"), r->allowed);
    json_w_kstr(&w, S("why"), str_c(why[r->why]));
    if (r->why == WHY_RULE) {
        json_w_kstr(&w, S("policy"), r->policy);
        json_w_ki64(&w, S("rule"), r->rule);
    }
    json_w_end(&w);
    answer_json(c, 200, &b);
}

/* A name of the query as an IRI; absent when it is not there. */
static struct str asked_name(struct api *c, const char *param)
{
    struct str name = request_query(c->req, param);
    return name.n ? ld_expand(c->ctx, c->arena, name) : STR_NONE;
}

static enum http_answer explain(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    int64_t tenant;
    struct error e = {0};
    struct access_reason reason;
    struct access_question q = {.right = ACCESS_READ};
    if (!api_open(&c, req, res, ctx, explain, 0, "key entity type attr right") ||
        !take_manager(&c, &tenant))
        return c.answer;
    struct str right = request_query(req, "right");
    if (right.p && !access_right_named(right, &q.right))
        return api_fail_text(&c, ERR_INVALID, "right is read, write, subscribe or admin");
    q.key = request_query(req, "key");
    q.entity = request_query(req, "entity");
    q.type = asked_name(&c, "type");
    q.attr = asked_name(&c, "attr");
    if (access_explain(c.link, c.arena, tenant, &q, &reason, &e))
        return api_fail(&c, &e);
    answer_reason(&c, &reason);
    return HTTP_DONE;
}

static const struct route routes[] = {
    {"GET", "/link/v1/keys", get_keys, 0},
    {"POST", "/link/v1/keys", post_key, 0},
    {"DELETE", "/link/v1/keys/{name}", delete_key, 0},
    {"GET", "/link/v1/policies", get_policies, 0},
    {"PUT", "/link/v1/policies/{name}", put_policy, 0},
    {"DELETE", "/link/v1/policies/{name}", delete_policy, 0},
    {"GET", "/link/v1/access/explain", explain, 0},
};

void access_routes(struct link *l, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), l);
}
