/*
 * Signing in and out, registering, and the desk's code. What is wrong with an attempt is said in
 * one way only, whatever it was.
 */
#include "core/log.h"
#include "passport_impl.h"

/* --- the page --- */

static void write_to(struct call *c, struct str to)
{
    struct str path = safe_path(to);
    json_w_kstr(&c->page.w, S("to"), path.n ? path : S(""));
}

static void send_sign_in(struct call *c, struct str to)
{
    struct page *p = &c->page;
    write_to(c, to);
    json_w_kbool(&p->w, S("stepUp"), c->session.id != 0);
    page_send(p, "sign-in", S("signin.title"));
}

static void sign_in_page(struct call *c)
{
    struct request *req = c->page.req;
    bool more = request_query(req, "fresh").n > 0 ||
                (str_eq(request_query(req, "acr"), S("aal2")) && c->session.acr < ACR_AAL2);
    struct str to = safe_path(request_query(req, "to"));
    if (c->session.id && !more) {
        page_go(&c->page, to.n ? to : page_href(&c->page, "my"));
        return;
    }
    json_w_kbool(&c->page.w, S("fresh"), c->session.id && request_query(req, "fresh").n > 0);
    json_w_kbool(&c->page.w, S("two"), str_eq(request_query(req, "acr"), S("aal2")));
    send_sign_in(c, to);
}

static enum http_answer get_sign_in(struct request *req, struct response *res, void *ctx)
{
    return pass_call(req, res, ctx, "none", 0, sign_in_page);
}

/* Without a language: the reader's. */
static enum http_answer lead(struct request *req, struct response *res, void *ctx)
{
    struct passport *pp = ctx;
    const struct locale *l = frame_language(pp->city.frame, req);
    response_redirect(req, res, 302,
                      str_printf(req->arena, "/%" STR_F "%" STR_F "%s%" STR_F, STR_A(l->path),
                                 STR_A(req->path), req->query.n ? "?" : "", STR_A(req->query)));
    response_header(req, res, "Cache-Control", S("no-store"));
    return HTTP_DONE;
}

/* --- an attempt --- */

static void too_many(struct call *c, int64_t wait_s)
{
    int64_t minutes = (wait_s + 59) / 60;
    struct json_member m = json_m(S("minutes"), json_v_i64(c->page.arena, minutes));
    struct json args = json_v_object(&m, 1);
    c->page.status = 429;
    response_header(c->page.req, c->page.res, "Retry-After",
                    str_printf(c->page.arena, "%lld", (long long)wait_s));
    json_w_kstr(&c->page.w, S("refused"),
                locale_text(c->page.locale, c->page.arena, S("signin.wait"), &args));
}

/* What did not work: said on the page that asked. */
static void refuse_attempt(struct call *c, const struct error *e, int64_t wait_s)
{
    if (e->code == ERR_TOO_MANY)
        too_many(c, wait_s > 0 ? wait_s : PROOF_RETRY_S);
    else
        pass_refuse(c, ERR_FORBIDDEN, "sign_in");
    log_event(LOG_INFO, "passport.refused", LOG_S("request", c->page.req->id));
}

static bool is_refusal(enum err err)
{
    return err == ERR_UNAUTHENTICATED || err == ERR_TOO_MANY;
}

static void ask_second(struct call *c, struct str ticket, struct str to)
{
    json_w_kstr(&c->page.w, S("ticket"), ticket);
    write_to(c, to);
    page_send(&c->page, "sign-in-code", S("signin.second.title"));
}

static void password_attempt(struct call *c)
{
    struct request *req = c->page.req;
    struct proof_result r;
    struct error e = {0};
    struct str to = page_field(req, "to");
    enum err err = proof_password(c->trust, c->page.arena, req, page_field(req, "login"),
                                  page_field(req, "password"), &r, &e);
    if (!err && r.ticket.n)
        ask_second(c, r.ticket, to);
    else if (!err)
        pass_signed_in(c, &r, to);
    else if (!is_refusal(err))
        page_fail(&c->page, &e);
    else {
        refuse_attempt(c, &e, r.wait_s);
        send_sign_in(c, to);
    }
}

static enum http_answer post_sign_in(struct request *req, struct response *res, void *ctx)
{
    return pass_call(req, res, ctx, "none", IS_FORM | IS_GATED, password_attempt);
}

static void second_attempt(struct call *c)
{
    struct request *req = c->page.req;
    struct proof_result r;
    struct error e = {0};
    struct str to = page_field(req, "to"),
               ticket = str_dup(c->page.arena, page_field(req, "ticket"));
    enum err err =
        proof_second(c->trust, c->page.arena, req, ticket, page_field(req, "code"), &r, &e);
    if (!err) {
        pass_signed_in(c, &r, to);
    } else if (!is_refusal(err)) {
        page_fail(&c->page, &e);
    } else {
        refuse_attempt(c, &e, r.wait_s);
        ask_second(c, ticket, to);
    }
}

static enum http_answer post_second(struct request *req, struct response *res, void *ctx)
{
    return pass_call(req, res, ctx, "none", IS_FORM, second_attempt);
}

/* --- a passkey, for the script of the page --- */

static void passkey_options(struct call *c)
{
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    struct webauthn_rp rp;
    struct error e = {0};
    enum err err = passkey_rp(c->trust, c->page.req, S("つくパス"), &rp, &e);
    if (!err)
        err = passkey_ask_get(c->trust, c->page.arena, &rp, c->visit, &w, &e);
    if (!err) {
        pass_json(c, 200, &b);
        return;
    }
    buf_release(&b);
    pass_problem(c, &e);
}

static enum http_answer get_passkey(struct request *req, struct response *res, void *ctx)
{
    return pass_call(req, res, ctx, "none", IS_JSON, passkey_options);
}

static const struct json *body_of(struct call *c, struct error *e)
{
    struct request *req = c->page.req;
    if (!str_eq(request_content_type(req), S("application/json"))) {
        error_set(e, ERR_UNSUPPORTED, "the body must be application/json");
        return NULL;
    }
    return json_parse(c->page.arena, req->body, &JSON_DEFAULT, e);
}

static void passkey_attempt(struct call *c)
{
    struct request *req = c->page.req;
    struct proof_result r;
    struct webauthn_rp rp;
    struct error e = {0};
    const struct json *v = body_of(c, &e);
    enum err err = v ? passkey_rp(c->trust, req, S("つくパス"), &rp, &e) : e.code;
    if (!err)
        err = proof_passkey(c->trust, c->page.arena, req, &rp, c->visit, json_get(v, S("answer")),
                            &r, &e);
    if (err) {
        log_event(LOG_INFO, "passport.passkey_refused", LOG_S("request", req->id));
        if (err == ERR_UNAUTHENTICATED) /* no header that browsers would ask for a password with */
            error_set(&e, ERR_FORBIDDEN, "the passkey is not good here");
        pass_problem(c, &e);
        return;
    }
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    struct str to = safe_path(json_text(json_get(v, S("to"))));
    json_w_object(&w);
    json_w_kstr(&w, S("to"), to.n ? to : page_href(&c->page, "my"));
    json_w_end(&w);
    session_cookie(c->trust, req, c->page.res, r.cookie);
    pass_json(c, 200, &b);
}

static enum http_answer post_passkey(struct request *req, struct response *res, void *ctx)
{
    return pass_call(req, res, ctx, "none", IS_JSON, passkey_attempt);
}

/* --- out --- */

static enum err apply_sign_out(struct store_conn *conn, void *ctx, struct error *e)
{
    struct call *c = ctx;
    return session_end(c->trust, conn, c->session.id, e);
}

static void sign_out(struct call *c)
{
    struct error e = {0};
    if (pass_write(c, apply_sign_out, c, &e)) {
        page_fail(&c->page, &e);
        return;
    }
    session_cookie_clear(c->page.req, c->page.res);
    page_go(&c->page, c->page.base);
}

static enum http_answer post_sign_out(struct request *req, struct response *res, void *ctx)
{
    return pass_call(req, res, ctx, "none", NEED_SIGN_IN | IS_FORM, sign_out);
}

/* --- the desk's code --- */

static void enrol_page(struct call *c)
{
    page_send(&c->page, "enrol", S("enrol.title"));
}

static enum http_answer get_enrol(struct request *req, struct response *res, void *ctx)
{
    return pass_call(req, res, ctx, "none", 0, enrol_page);
}

static void enrol(struct call *c)
{
    struct proof_result r;
    struct error e = {0};
    enum err err =
        proof_code(c->trust, c->page.arena, c->page.req, page_field(c->page.req, "code"), &r, &e);
    if (!err) {
        pass_signed_in(c, &r, page_href(&c->page, "my/ways?first=1"));
    } else if (!is_refusal(err)) {
        page_fail(&c->page, &e);
    } else {
        if (err == ERR_TOO_MANY)
            too_many(c, r.wait_s);
        else
            pass_refuse(c, ERR_FORBIDDEN, "code");
        enrol_page(c);
    }
}

static enum http_answer post_enrol(struct request *req, struct response *res, void *ctx)
{
    return pass_call(req, res, ctx, "none", IS_FORM, enrol);
}

/* --- registering --- */

struct registering {
    struct call *call;
    struct account_new account;
    struct str phc;
    struct proof_result result;
    int64_t wait_s;
};

/* Account, password and session in one change: there is never half of it. */
static enum err apply_register(struct store_conn *conn, void *ctx, struct error *e)
{
    struct registering *x = ctx;
    struct call *c = x->call;
    int64_t id;
    enum err err = proof_count(c->trust, conn, "register", c->page.req, &x->wait_s, e);
    if (!err)
        err = account_create(c->trust, conn, &x->account, &id, e);
    if (!err)
        err = password_set(c->trust, conn, id, x->phc, e);
    return err ? err
               : proof_done(c->trust, conn, c->page.arena, c->page.req, id, AMR_PASSWORD,
                            &x->result, e);
}

static void register_page(struct call *c)
{
    page_send(&c->page, "register", S("register.title"));
}

static enum http_answer get_register(struct request *req, struct response *res, void *ctx)
{
    return pass_call(req, res, ctx, "none", 0, register_page);
}

static enum err prepare(struct registering *x, const char **wrong, struct error *e)
{
    struct call *c = x->call;
    struct person given = read_person(c);
    struct str password = page_field(c->page.req, "password");
    enum err err = person_tidy(c->page.arena, &given, c->now, &x->account.person, e);
    if (err) {
        *wrong = pass_wrong(e);
        return err;
    }
    if (!x->account.person.login.n || !x->account.person.name.n) {
        *wrong = x->account.person.login.n ? "name" : "login";
        return error_set(e, ERR_INVALID, "%s", *wrong);
    }
    enum password_flaw flaw = password_look(c->page.arena, password, &x->account.person);
    if (flaw != PASSWORD_GOOD) {
        *wrong = password_flaw_name(flaw);
        return error_set(e, ERR_INVALID, "password");
    }
    err = password_make(c->trust, c->page.arena, password, &x->phc, e);
    *wrong = "other";
    return err;
}

static void do_register(struct call *c)
{
    struct registering x = {.call = c, .account = {.ial = IAL_SELF, .locale = c->page.locale->tag}};
    struct person given = read_person(c);
    struct error e = {0};
    const char *wrong = NULL;
    enum err err = prepare(&x, &wrong, &e);
    if (!err) {
        err = pass_write(c, apply_register, &x, &e);
        wrong = pass_wrong(&e);
    }
    if (!err) {
        pass_signed_in(c, &x.result, page_href(&c->page, "my/ways?first=1"));
        return;
    }
    if (http_status_of(err) >= 500) {
        page_fail(&c->page, &e);
    } else {
        if (err == ERR_TOO_MANY)
            too_many(c, x.wait_s);
        else
            pass_refuse(c, err, wrong);
        write_person(&c->page, &given);
        register_page(c);
    }
}

static enum http_answer post_register(struct request *req, struct response *res, void *ctx)
{
    return pass_call(req, res, ctx, "none", IS_FORM | IS_GATED, do_register);
}

const struct route sign_in_routes[] = {
    {"GET", "/sign-in", lead, ROUTE_HIDDEN},
    {"GET", "/enrol", lead, ROUTE_HIDDEN},
    {"GET", "/{lang}/sign-in", get_sign_in, ROUTE_HIDDEN},
    {"POST", "/{lang}/sign-in", post_sign_in, ROUTE_HIDDEN},
    {"POST", "/{lang}/sign-in/code", post_second, ROUTE_HIDDEN},
    {"GET", "/{lang}/sign-in/passkey", get_passkey, ROUTE_HIDDEN},
    {"POST", "/{lang}/sign-in/passkey", post_passkey, ROUTE_HIDDEN},
    {"POST", "/{lang}/sign-out", post_sign_out, ROUTE_HIDDEN},
    {"GET", "/{lang}/enrol", get_enrol, ROUTE_HIDDEN},
    {"POST", "/{lang}/enrol", post_enrol, ROUTE_HIDDEN},
    {"GET", "/{lang}/register", get_register, ROUTE_HIDDEN},
    {"POST", "/{lang}/register", post_register, ROUTE_HIDDEN},
};
const size_t sign_in_routes_n = COUNT(sign_in_routes);
