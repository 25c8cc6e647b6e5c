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

struct question {
    const struct access_view *view;
    enum access_right right;
    struct str attr;
    const struct json *stored, *types;
};

static void answer_verdict(struct api *c, const struct question *q)
{
    static const char *const why[] = {[WHY_ADMIN] = "the key may do everything",
                                      [WHY_NOTHING] = "the key is of no use here",
                                      [WHY_RULE] = "a rule says so",
                                      [WHY_PERSONAL] = "it is personal and no rule names it",
                                      [WHY_OPEN] = "it is open where no rule says otherwise",
                                      [WHY_CLOSED] = "no rule allows it"};
    struct access_verdict v = access_decide(q->view, q->right, q->stored, q->types, q->attr);
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    json_w_object(&w);
    json_w_kbool(&w, S("allowed"), v.allowed);
    json_w_kstr(&w, S("why"), str_c(why[v.why]));
    if (v.rule) {
        json_w_kstr(&w, S("policy"), v.rule->policy);
        json_w_ki64(&w, S("rule"), (int64_t)v.rule->number);
    }
    json_w_end(&w);
    answer_json(c, 200, &b);
}

/* The entity or type that is asked about; false: the response is filled. */
static bool take_subject(struct api *c, int64_t tenant, struct question *q)
{
    struct str id = request_query(c->req, "entity"), type = request_query(c->req, "type");
    struct entity_row row = {0};
    struct error e = {0};
    if (!id.p) {
        struct json *one = ARENA_ARRAY(c->arena, struct json, 2);
        one[0] = json_v_str(ld_expand(c->ctx, c->arena, type.p ? type : S("")));
        one[1] = json_v_array(one, type.n ? 1 : 0);
        q->types = &one[1];
        return true;
    }
    struct store_conn *conn = store_read(c->link->store, &e);
    enum err err = conn ? repo_get(conn, c->arena, tenant, id, &row, &e) : e.code;
    if (conn)
        store_read_done(conn);
    if (!err && !(q->stored = json_parse(c->arena, row.doc, &JSON_DEFAULT, &e)))
        err = e.code;
    if (err)
        api_fail(c, &e);
    return !err;
}

static bool take_right(struct api *c, enum access_right *right)
{
    static const struct {
        struct str name;
        enum access_right right;
    } rights[] = {{S_INIT("read"), ACCESS_READ},
                  {S_INIT("write"), ACCESS_WRITE},
                  {S_INIT("subscribe"), ACCESS_SUBSCRIBE},
                  {S_INIT("admin"), ACCESS_ADMIN}};
    struct str name = request_query(c->req, "right");
    for (size_t i = 0; i < sizeof(rights) / sizeof(rights[0]); i++)
        if (str_eq(name.p ? name : S("read"), rights[i].name)) {
            *right = rights[i].right;
            return true;
        }
    api_fail_text(c, ERR_INVALID, "right is read, write, subscribe or admin");
    return false;
}

static enum http_answer explain(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    int64_t tenant;
    struct question q = {.right = ACCESS_READ};
    if (!api_open(&c, req, res, ctx, explain, 0, "key entity type attr right") ||
        !take_manager(&c, &tenant) || !take_right(&c, &q.right) || !take_subject(&c, tenant, &q))
        return c.answer;
    struct str key = request_query(req, "key"), attr = request_query(req, "attr");
    struct str actor = key.n ? str_concat(c.arena, S("key:"), key) : STR_NONE;
    q.view = access_view_of(c.link->access, actor, tenant);
    q.attr = attr.n ? ld_expand(c.ctx, c.arena, attr) : STR_NONE;
    answer_verdict(&c, &q);
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
