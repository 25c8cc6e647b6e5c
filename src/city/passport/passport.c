/* The service, and what every page of it goes through. */
#include "core/log.h"
#include "crypto/hash.h"
#include "passport_impl.h"
#include <stdlib.h>
#include <string.h>

enum { VISIT_BYTES = 24, VISIT_S = 86400 };

/* --- before there is a session: the browser's own cookie --- */

static const char *visit_name(const struct request *req)
{
    return req->tls ? "__Host-visit" : "visit";
}

static void find_visit(struct call *c)
{
    struct request *req = c->page.req;
    c->visit = request_cookie(req, visit_name(req));
    if (c->visit.n == VISIT_BYTES * 4 / 3)
        return;
    c->visit = random_token(req->arena, VISIT_BYTES);
    response_cookie(req, c->page.res, visit_name(req), c->visit, VISIT_S, false);
}

static struct str form_token(struct call *c)
{
    if (c->session.id)
        return session_form_token(c->page.arena, &c->session, S("passport"));
    struct str fields[] = {S("visit"), c->visit};
    struct hash h = hash_blake2b_fields(fields, 2);
    return base64url_encode(c->page.arena, str_n((const char *)h.b, 24));
}

/* --- where a request comes from --- */

static bool from_our_pages(const struct request *req)
{
    struct str site = request_header(req, "Sec-Fetch-Site"), origin = request_header(req, "Origin");
    if (site.p && !str_eq(site, S("same-origin")) && !str_eq(site, S("none")))
        return false;
    if (!origin.p)
        return true;
    ptrdiff_t at = str_find(origin, S("://"));
    return at > 0 && str_eq_nocase(str_from(origin, (size_t)at + 3), request_header(req, "Host")) &&
           (!req->tls || str_starts(origin, S("https://")));
}

static bool is_form_good(struct call *c)
{
    struct str sent = page_field(c->page.req, "csrf");
    return from_our_pages(c->page.req) && sent.n && bytes_equal(sent, form_token(c));
}

struct str safe_path(struct str to)
{
    if (to.n < 1 || to.n > 4000 || to.p[0] != '/' || (to.n > 1 && to.p[1] == '/'))
        return STR_NONE;
    for (size_t i = 0; i < to.n; i++)
        if (to.p[i] <= ' ' || to.p[i] >= 0x7f || to.p[i] == '\\')
            return STR_NONE;
    return to;
}

/* --- who may be here --- */

static enum http_answer give_up(struct call *c, enum err code, const char *text)
{
    struct error e;
    error_set(&e, code, "%s", text);
    return page_fail(&c->page, &e);
}

static struct str own_path(struct call *c)
{
    const struct request *req = c->page.req;
    if (!str_eq(req->method, S("GET")))
        return page_href(&c->page, "my");
    return str_printf(c->page.arena, "%" STR_F "%s%" STR_F, STR_A(req->path),
                      req->query.n ? "?" : "", STR_A(req->query));
}

static enum http_answer ask_to_sign_in(struct call *c, const char *more)
{
    if (c->flags & IS_JSON)
        return give_up(c, ERR_UNAUTHENTICATED, "sign in first");
    struct str to = url_encode(c->page.arena, own_path(c));
    return page_go(&c->page, page_href(&c->page, "sign-in?to=%" STR_F "%s", STR_A(to), more));
}

bool pass_is(const struct call *c, const char *role)
{
    return role_is_among(c->roles, c->n_roles, role);
}

static enum err look(struct call *c, struct error *e)
{
    struct store_conn *conn = store_read(c->page.city->store, e);
    if (!conn)
        return e->code;
    enum err err = session_read(c->trust, conn, c->page.req, &c->session, e);
    if (!err && c->flags & (NEED_SIGN_IN | NEED_STAFF))
        err = account_roles(conn, c->page.arena, c->session.account, c->now, &c->roles, &c->n_roles,
                            e);
    store_read_done(conn);
    if (err == ERR_UNAUTHENTICATED) {
        c->session = (struct session){0};
        err = OK;
    }
    return err;
}

/* false: answered. */
static bool may_enter(struct call *c)
{
    struct error e = {0};
    int64_t fresh = c->flags & (IS_FORM | IS_JSON) ? STALE_FORM_S : FRESH_S;
    if (!c->page.req->tls && !request_is_local(c->page.req)) {
        give_up(c, ERR_FORBIDDEN, "these pages are served over HTTPS only");
        return false;
    }
    if (session_is_shown(c->page.req) && look(c, &e)) {
        page_fail(&c->page, &e);
        return false;
    }
    if (c->flags & NEED_SIGN_IN && !c->session.id) {
        ask_to_sign_in(c, "");
        return false;
    }
    if (c->flags & NEED_STAFF && !pass_is(c, ROLE_ADMINISTRATOR) &&
        (c->flags & NEED_ADMIN || !pass_is(c, ROLE_CLERK))) {
        give_up(c, ERR_FORBIDDEN, "this page is for the city's staff");
        return false;
    }
    if (c->flags & NEED_STAFF && c->session.acr < ACR_AAL2) {
        ask_to_sign_in(c, "&acr=aal2");
        return false;
    }
    if (c->flags & NEED_FRESH && c->now - c->session.authenticated > fresh * SECOND_US) {
        ask_to_sign_in(c, "&fresh=1");
        return false;
    }
    return true;
}

static void write_common(struct call *c, const char *section)
{
    struct page *p = &c->page;
    json_w_kstr(&p->w, S("csrf"), form_token(c));
    json_w_kbool(&p->w, S("signedIn"), c->session.id != 0);
    json_w_kbool(&p->w, S("clerk"), pass_is(c, ROLE_CLERK) || pass_is(c, ROLE_ADMINISTRATOR));
    json_w_kbool(&p->w, S("administrator"), pass_is(c, ROLE_ADMINISTRATOR));
    json_w_kbool(&p->w, S("done"), request_query(p->req, "done").n > 0);
    json_w_key(&p->w, S("section"));
    json_w_object(&p->w);
    json_w_kbool(&p->w, str_c(section), true);
    json_w_end(&p->w);
}

/* Passwords and codes do not outlive their use; an answer holds none of the body's memory. */
static void wipe(struct call *c)
{
    const struct http_pair *pairs;
    size_t n = request_form(c->page.req, &pairs);
    static const char *const secrets[] = {"password", "code", "again", "secret"};
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < COUNT(secrets); k++)
            if (str_eq(pairs[i].name, str_c(secrets[k])))
                explicit_bzero((char *)(uintptr_t)pairs[i].value.p, pairs[i].value.n);
    if (c->page.req->body.n)
        explicit_bzero((char *)(uintptr_t)c->page.req->body.p, c->page.req->body.n);
}

static void run_call(void *ctx)
{
    struct call *c = ctx;
    struct request *req = c->page.req;
    c->run(c);
    if (c->flags & IS_FORM)
        wipe(c);
    http_resume(req);
}

enum http_answer pass_call(struct request *req, struct response *res, void *ctx,
                           const char *section, unsigned flags, void (*run)(struct call *c))
{
    struct passport *pp = ctx;
    struct call *c = ARENA_NEW(req->arena, struct call);
    struct error e = {0};
    if (!page_begin(&c->page, pp->city.frame, pp, req, res, "my"))
        return HTTP_DONE;
    c->page.private_page = true;
    c->trust = pp->city.trust;
    c->now = clock_now(pp->city.clock);
    c->run = run;
    c->flags = flags;
    if (!may_enter(c))
        return HTTP_DONE;
    find_visit(c);
    if (flags & IS_FORM && !is_form_good(c))
        return give_up(c, ERR_FORBIDDEN, "the form is no longer valid; open it again");
    if (flags & IS_JSON && !str_eq(req->method, S("GET")) && !from_our_pages(req))
        return give_up(c, ERR_FORBIDDEN, "only pages of this city may send this");
    write_common(c, section);
    enum err err = flags & IS_GATED ? proof_gate(c->trust, run_call, c, &e)
                                    : pool_submit(pp->city.pool, run_call, c);
    if (!err)
        return HTTP_LATER;
    wipe(c);
    if (err != ERR_TOO_MANY)
        error_set(&e, ERR_UNAVAILABLE, "too much slow work is waiting");
    return page_fail(&c->page, &e);
}

/* --- what pages do --- */

enum err pass_write(struct call *c, enum err (*apply)(struct store_conn *, void *, struct error *),
                    void *ctx, struct error *e)
{
    return store_write(c->page.city->store, apply, ctx, e);
}

struct store_conn *pass_reader(struct call *c)
{
    struct error e = {0};
    struct store_conn *conn = store_read(c->page.city->store, &e);
    if (!conn)
        page_fail(&c->page, &e);
    return conn;
}

void pass_go(struct call *c, const char *path)
{
    page_go(&c->page, page_href(&c->page, "%s", path));
}

void pass_signed_in(struct call *c, const struct proof_result *r, struct str to)
{
    struct str path = str_dup(c->page.arena, safe_path(to)); /* the form is wiped */
    session_cookie(c->trust, c->page.req, c->page.res, r->cookie);
    page_go(&c->page, path.n ? path : page_href(&c->page, "my"));
}

void pass_refuse(struct call *c, enum err code, const char *what)
{
    c->page.status = http_status_of(code);
    json_w_kstr(&c->page.w, S("refused"), text_of(&c->page, "wrong", what));
    json_w_key(&c->page.w, S("wrong"));
    json_w_object(&c->page.w);
    json_w_kbool(&c->page.w, str_c(what), true);
    json_w_end(&c->page.w);
}

const char *pass_wrong(const struct error *e)
{
    static const char *const items[] = {"login",  "name",        "name_kana", "birth_date",
                                        "gender", "postal_code", "address",   "district",
                                        "email",  "phone",       "scope",     "until",
                                        "proof",  "kind",        "reason"};
    for (size_t i = 0; i < COUNT(items); i++)
        if (!strcmp(e->text, items[i]))
            return items[i];
    switch (e->code) {
    case ERR_EXISTS:
        return "exists";
    case ERR_TOO_MANY:
        return "many";
    case ERR_UNAUTHENTICATED:
        return "proof_bad";
    case ERR_CONFLICT:
        return "conflict";
    case ERR_NOT_FOUND:
        return "gone";
    default:
        return "other";
    }
}

void pass_json(struct call *c, int status, struct buf *body)
{
    struct str text = buf_dup(body, c->page.arena);
    buf_release(body);
    buf_release(&c->page.data);
    response_body(c->page.req, c->page.res, status, "application/json", text);
    response_header(c->page.req, c->page.res, "Cache-Control", S("no-store"));
}

void pass_problem(struct call *c, const struct error *e)
{
    page_fail(&c->page, e);
    response_header(c->page.req, c->page.res, "Cache-Control", S("no-store"));
}

/* --- the service --- */

static enum err passport_start(const struct city *city, struct router *router, void **state,
                               struct error *e)
{
    struct passport *p = calloc(1, sizeof(*p));
    (void)e;
    if (!p)
        abort();
    p->city = *city;
    router_add(router, sign_in_routes, sign_in_routes_n, p);
    router_add(router, my_routes, my_routes_n, p);
    router_add(router, ways_routes, ways_routes_n, p);
    router_add(router, data_routes, data_routes_n, p);
    router_add(router, people_routes, people_routes_n, p);
    router_add(router, desk_routes, desk_routes_n, p);
    *state = p;
    return OK;
}

const struct service passport_service = {.name = "passport", .start = passport_start, .stop = free};
