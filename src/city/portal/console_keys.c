/*
 * API keys in the console: the list, a new key (shown in the answer to the form and nowhere else),
 * revoking, all policies in words, and why somebody may or may not do something. Keys and policies
 * wait for the store, so every page runs on the pool.
 */
#include "console.h"
#include "core/datetime.h"
#include "core/vec.h"
#include "look.h"

struct keys_page {
    struct page page;
    bool ordered;
};

static void write_when(struct page *p, const char *key, const struct json *text)
{
    int64_t at;
    if (text && datetime_parse(json_text(text), &at))
        json_w_kstr(&p->w, str_c(key), locale_datetime(p->locale, p->arena, at));
}

/* --- the lists --- */

static const char *key_state(const struct page *p, const struct json *key)
{
    int64_t at;
    if (json_get(key, S("revokedAt")))
        return "revoked";
    return datetime_parse(json_text(json_get(key, S("expiresAt"))), &at) &&
                   at <= clock_now(p->city->clock)
               ? "expired"
               : "active";
}

static void write_key(struct page *p, const struct json *key, size_t i)
{
    const char *state = key_state(p, key);
    const struct json *policies = json_get(key, S("policies"));
    json_w_object(&p->w);
    json_w_kstr(&p->w, S("name"), json_text(json_get(key, S("name"))));
    json_w_ki64(&p->w, S("number"), (int64_t)i);
    json_w_kstr(&p->w, S("state"), str_c(state));
    json_w_kstr(&p->w, S("label"), page_text(p, str_printf(p->arena, "keys.state.%s", state)));
    json_w_kbool(&p->w, S("live"), !json_get(key, S("revokedAt")));
    json_w_kstr(&p->w, S("policies"), console_join(p, policies, NULL));
    write_when(p, "expires", json_get(key, S("expiresAt")));
    write_when(p, "used", json_get(key, S("lastUsed")));
    json_w_end(&p->w);
}

static enum err write_keys(struct page *p, struct error *e)
{
    struct buf b = BUF_INIT;
    enum err err = access_list_keys(p->city->link, S(""), &b, e);
    const struct json *list =
        err ? NULL : json_parse(p->arena, buf_dup(&b, p->arena), &JSON_DEFAULT, e);
    buf_release(&b);
    if (!list)
        return e->code;
    json_w_kbool(&p->w, S("anyKey"), list->n > 0);
    json_w_key(&p->w, S("keys"));
    json_w_array(&p->w);
    for (uint32_t i = 0; i < list->n; i++)
        write_key(p, &list->items[i], i);
    json_w_end(&p->w);
    return OK;
}

static void write_policy(struct page *p, struct str name, const struct json *doc)
{
    json_w_object(&p->w);
    json_w_kstr(&p->w, S("policy"), name);
    json_w_kstr(&p->w, S("about"), json_text(json_get(doc, S("description"))));
    console_write_words(p, name, doc);
    json_w_end(&p->w);
}

/* The newest versions, and what is built in. given: those that can be given to a key. */
static enum err write_policies(struct page *p, struct error *e)
{
    static const char *const builtin[] = {"admin", "writer", "reader"};
    const struct json *list = console_policies(p, e);
    if (!list)
        return e->code;
    VEC(struct str) given = VEC_INIT;
    json_w_key(&p->w, S("policyList"));
    json_w_array(&p->w);
    for (uint32_t i = 0; i < list->n; i++) {
        struct str name = json_text(json_get(&list->items[i], S("name")));
        const struct json *doc = json_get(&list->items[i], S("policy"));
        bool newest =
            i + 1 == list->n || !str_eq(json_text(json_get(&list->items[i + 1], S("name"))), name);
        if (!newest || !doc)
            continue;
        write_policy(p, name, doc);
        if (json_get(doc, S("rules")) && !str_eq(name, S("retention")))
            *vec_push(p->arena, &given) = name;
    }
    json_w_end(&p->w);
    json_w_key(&p->w, S("given"));
    json_w_array(&p->w);
    for (size_t i = 0; i < sizeof(builtin) / sizeof(builtin[0]); i++) {
        json_w_object(&p->w);
        json_w_kstr(&p->w, S("policy"), str_c(builtin[i]));
        json_w_kstr(&p->w, S("about"),
                    page_text(p, str_printf(p->arena, "keys.right.all.%s", builtin[i])));
        json_w_end(&p->w);
    }
    for (size_t i = 0; i < given.n; i++) {
        json_w_object(&p->w);
        json_w_kstr(&p->w, S("policy"), given.v[i]);
        json_w_end(&p->w);
    }
    json_w_end(&p->w);
    return OK;
}

/* --- why --- */

static struct str asked_name(struct page *p, const char *param)
{
    struct str name = str_trim(request_query(p->req, param));
    return name.n ? ld_expand(ld_core(), p->arena, name) : STR_NONE;
}

static void write_reason(struct page *p, const struct access_reason *r)
{
    static const char *const why[] = {
        [WHY_ADMIN] = "admin",       [WHY_NOTHING] = "nothing", [WHY_RULE] = "rule",
        [WHY_PERSONAL] = "personal", [WHY_OPEN] = "open",       [WHY_CLOSED] = "closed"};
    json_w_key(&p->w, S("reason"));
    json_w_object(&p->w);
    json_w_kbool(&p->w, S("allowed"), r->allowed);
    json_w_kstr(&p->w, S("why"), page_text(p, str_printf(p->arena, "keys.why.%s", why[r->why])));
    if (r->why == WHY_RULE) {
        json_w_key(&p->w, S("byRule"));
        json_w_object(&p->w);
        json_w_kstr(&p->w, S("policy"), r->policy);
        json_w_ki64(&p->w, S("n"), r->rule + 1);
        json_w_end(&p->w);
    }
    json_w_end(&p->w);
}

static void write_answer(struct page *p)
{
    struct request *req = p->req;
    struct access_question q = {.key = request_query(req, "key"),
                                .entity = str_trim(request_query(req, "entity")),
                                .type = asked_name(p, "type"),
                                .attr = asked_name(p, "attr")};
    struct access_reason reason;
    struct error e = {0};
    struct str right = request_query(req, "right");
    json_w_kstr(&p->w, S("askedKey"), q.key);
    json_w_kstr(&p->w, S("askedEntity"), q.entity);
    json_w_kstr(&p->w, S("askedType"), request_query(req, "type"));
    json_w_kstr(&p->w, S("askedAttr"), request_query(req, "attr"));
    if (!right.p)
        return;
    if (!access_right_named(right, &q.right) ||
        access_explain(p->city->link, p->arena, PORTAL_TENANT, &q, &reason, &e))
        json_w_kstr(&p->w, S("noAnswer"), page_text(p, S("keys.error.gone")));
    else
        write_reason(p, &reason);
}

/* --- orders --- */

static void refuse(struct page *p, enum err code, const char *what)
{
    p->status = http_status_of(code);
    json_w_kstr(&p->w, S("refused"), page_text(p, str_printf(p->arena, "keys.error.%s", what)));
}

static void make_key(struct page *p)
{
    struct access_new_key k = {.name = str_trim(page_field(p->req, "name")), .actor = S("console")};
    struct str day = page_field(p->req, "expires"), key;
    struct error e = {0};
    const struct http_pair *pairs;
    size_t n = request_form(p->req, &pairs);
    struct str *policies = ARENA_ARRAY(p->arena, struct str, n + 1);
    for (size_t i = 0; i < n; i++)
        if (str_eq(pairs[i].name, S("policy")))
            policies[k.n_policies++] = pairs[i].value;
    k.policies = policies;
    json_w_kstr(&p->w, S("givenName"), str_is_utf8(k.name) ? k.name : S(""));
    if (day.n && (!datetime_parse(str_printf(p->arena, "%" STR_F "T23:59:59+09:00", STR_A(day)),
                                  &k.expires) ||
                  k.expires <= clock_now(p->city->clock))) {
        refuse(p, ERR_INVALID, "expires");
        return;
    }
    if (access_make_key(p->city->link, p->arena, &k, &key, &e)) {
        refuse(p, e.code,
               e.code == ERR_EXISTS    ? "exists"
               : e.code == ERR_INVALID ? "name"
                                       : "other");
        return;
    }
    json_w_key(&p->w, S("made"));
    json_w_object(&p->w);
    json_w_kstr(&p->w, S("name"), k.name);
    json_w_kstr(&p->w, S("key"), key);
    json_w_end(&p->w);
}

/* true: done, and led back to the list. */
static bool revoke_key(struct page *p)
{
    struct error e = {0};
    if (!page_field(p->req, "confirm").n) {
        refuse(p, ERR_INVALID, "confirm");
        return false;
    }
    if (access_revoke_key(p->city->link, S(""), page_field(p->req, "name"), S("console"), &e)) {
        refuse(p, e.code, e.code == ERR_NOT_FOUND ? "gone" : "other");
        return false;
    }
    page_go(p, page_href(p, "console/keys?done=1"));
    return true;
}

static void make_page(void *ctx)
{
    struct keys_page *x = ctx;
    struct page *p = &x->page;
    struct error e = {0};
    bool revokes = str_eq(page_field(p->req, "action"), S("revoke"));
    if (x->ordered && revokes && revoke_key(p)) {
        http_resume(p->req);
        return;
    }
    if (x->ordered && !revokes)
        make_key(p);
    write_answer(p);
    if (write_keys(p, &e) || write_policies(p, &e))
        page_fail(p, &e);
    else
        page_send(p, "console-keys", S("keys.title"));
    http_resume(p->req);
}

static enum http_answer handle(struct request *req, struct response *res, void *ctx, bool ordered)
{
    struct page p;
    struct error e;
    if (!console_begin(&p, ctx, req, res, "keys"))
        return HTTP_DONE;
    struct keys_page *x = ARENA_NEW(p.arena, struct keys_page);
    x->page = p;
    page_moved(&x->page);
    x->ordered = ordered;
    if (ordered && !console_form_ok(&x->page, page_field(req, "csrf")))
        return HTTP_DONE;
    json_w_kbool(&x->page.w, S("done"), request_query(req, "done").n > 0);
    if (!pool_submit(p.city->pool, make_page, x))
        return HTTP_LATER;
    error_set(&e, ERR_UNAVAILABLE, "too much slow work is waiting");
    return page_fail(&x->page, &e);
}

enum http_answer console_get_keys(struct request *req, struct response *res, void *ctx)
{
    return handle(req, res, ctx, false);
}

enum http_answer console_post_keys(struct request *req, struct response *res, void *ctx)
{
    return handle(req, res, ctx, true);
}
