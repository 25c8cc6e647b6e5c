/* The ways in: passkeys, the password, the authenticator app, recovery codes. */
#include "crypto/hash.h"
#include "crypto/otp.h"
#include "passport_impl.h"

static bool failed(struct call *c, enum err err, const struct error *e)
{
    if (err)
        page_fail(&c->page, e);
    return err != OK;
}

/* --- the page --- */

static void write_passkeys(struct page *p, const struct passkey *list, size_t n)
{
    json_w_key(&p->w, S("passkeys"));
    json_w_array(&p->w);
    for (size_t i = 0; i < n; i++) {
        json_w_object(&p->w);
        json_w_ki64(&p->w, S("id"), list[i].id);
        json_w_kstr(&p->w, S("name"), list[i].name);
        json_w_kbool(&p->w, S("synced"), list[i].backed_up);
        write_time(p, "created", list[i].created);
        write_time(p, "used", list[i].used);
        json_w_end(&p->w);
    }
    json_w_end(&p->w);
}

static void ways_page(struct call *c)
{
    struct page *p = &c->page;
    const struct passkey *list;
    struct proof_ways ways;
    struct person person;
    size_t n = 0;
    struct error e = {0};
    struct store_conn *conn = pass_reader(c);
    if (!conn)
        return;
    enum err err = passkey_list(c->trust, conn, p->arena, c->session.account, &list, &n, &e);
    if (!err)
        err = proof_ways(conn, c->session.account, &ways, &e);
    if (!err)
        err = account_person(c->trust, conn, p->arena, c->session.account, &person, &e);
    store_read_done(conn);
    if (failed(c, err, &e))
        return;
    write_passkeys(p, list, n);
    json_w_kbool(&p->w, S("first"), request_query(p->req, "first").n > 0);
    json_w_kbool(&p->w, S("password"), ways.password);
    json_w_kbool(&p->w, S("otp"), ways.otp);
    json_w_kbool(&p->w, S("passwordMayGo"), ways.password && ways.passkeys > 0);
    json_w_kbool(&p->w, S("passkeyMayGo"), ways.password || ways.passkeys > 1);
    json_w_ki64(&p->w, S("recovery"), ways.recovery_codes);
    json_w_kstr(&p->w, S("login"), person.login.n ? person.login : S(""));
    page_send(p, "my-ways", S("ways.title"));
}

static enum http_answer get_ways(struct request *req, struct response *res, void *ctx)
{
    return pass_call(req, res, ctx, "ways", NEED_SIGN_IN | NEED_FRESH, ways_page);
}

static void refuse(struct call *c, const struct error *e)
{
    if (http_status_of(e->code) >= 500) {
        page_fail(&c->page, e);
        return;
    }
    pass_refuse(c, e->code == ERR_UNAUTHENTICATED ? ERR_INVALID : e->code, pass_wrong(e));
    ways_page(c);
}

/* --- passkeys, for the script --- */

static void passkey_options(struct call *c)
{
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    struct webauthn_rp rp;
    struct error e = {0};
    struct store_conn *conn = pass_reader(c);
    if (!conn)
        return;
    enum err err = passkey_rp(c->trust, c->page.req, S("つくパス"), &rp, &e);
    if (!err)
        err = passkey_ask_create(c->trust, conn, c->page.arena, &rp, c->session.account,
                                 c->session.form_key, &w, &e);
    store_read_done(conn);
    if (!err) {
        pass_json(c, 200, &b);
        return;
    }
    buf_release(&b);
    pass_problem(c, &e);
}

static enum http_answer get_passkey(struct request *req, struct response *res, void *ctx)
{
    return pass_call(req, res, ctx, "ways", NEED_SIGN_IN | NEED_FRESH | IS_JSON, passkey_options);
}

static void passkey_add(struct call *c)
{
    struct request *req = c->page.req;
    struct webauthn_rp rp;
    struct error e = {0};
    struct buf b = BUF_INIT;
    const struct json *v = json_parse(c->page.arena, req->body, &JSON_DEFAULT, &e);
    enum err err = v ? passkey_rp(c->trust, req, S("つくパス"), &rp, &e) : e.code;
    if (!err && !session_form_ok(c->page.arena, &c->session, S("passport"),
                                 json_text(json_get(v, S("csrf")))))
        err = error_set(&e, ERR_FORBIDDEN, "the form is no longer valid; open it again");
    if (!err)
        err = passkey_created(c->trust, c->page.arena, &rp, c->session.account, c->session.form_key,
                              json_text(json_get(v, S("name"))), json_get(v, S("answer")), &e);
    if (err) {
        if (err == ERR_UNAUTHENTICATED)
            error_set(&e, ERR_FORBIDDEN, "the passkey is not good here");
        pass_problem(c, &e);
        return;
    }
    BUF_LIT(&b, "{}");
    pass_json(c, 201, &b);
}

static enum http_answer post_passkey(struct request *req, struct response *res, void *ctx)
{
    return pass_call(req, res, ctx, "ways", NEED_SIGN_IN | NEED_FRESH | IS_JSON, passkey_add);
}

/* --- forms --- */

struct changing {
    struct call *call;
    struct str phc, secret;
    struct str codes[RECOVERY_CODES];
};

static enum err apply_change(struct store_conn *conn, void *ctx, struct error *e)
{
    struct changing *x = ctx;
    struct call *c = x->call;
    int64_t account = c->session.account;
    struct str action = page_field(c->page.req, "action");
    if (str_eq(action, S("rename")))
        return passkey_rename(c->trust, conn, account, int_field(c, "id"),
                              page_field(c->page.req, "name"), e);
    if (str_eq(action, S("remove")))
        return passkey_remove(c->trust, conn, account, int_field(c, "id"), e);
    if (str_eq(action, S("no-password")))
        return password_set(c->trust, conn, account, STR_NONE, e);
    if (str_eq(action, S("no-otp")))
        return otp_remove(c->trust, conn, account, e);
    return error_set(e, ERR_INVALID, "no such order");
}

static void change_ways(struct call *c)
{
    struct changing x = {.call = c};
    struct error e = {0};
    if (pass_write(c, apply_change, &x, &e))
        refuse(c, &e);
    else
        pass_go(c, "my/ways?done=1");
}

static enum http_answer post_ways(struct request *req, struct response *res, void *ctx)
{
    return pass_call(req, res, ctx, "ways", NEED_SIGN_IN | NEED_FRESH | IS_FORM, change_ways);
}

/* A new password ends all other sessions: whoever knew the old one is out. */
static enum err apply_password(struct store_conn *conn, void *ctx, struct error *e)
{
    struct changing *x = ctx;
    struct call *c = x->call;
    struct person p;
    struct str login = page_field(c->page.req, "login");
    enum err err = account_person(c->trust, conn, c->page.arena, c->session.account, &p, e);
    if (!err && !p.login.n) { /* from the desk: without a name there is nothing to sign in with */
        p.login = login;
        err = person_tidy(c->page.arena, &p, c->now, &p, e);
        if (!err && !p.login.n)
            err = error_set(e, ERR_INVALID, "login");
        if (!err)
            err = account_set_person(c->trust, conn, c->session.account, &p, c->session.account, e);
    }
    if (!err)
        err = password_set(c->trust, conn, c->session.account, x->phc, e);
    return err ? err : session_end_all(c->trust, conn, c->session.account, c->session.id, e);
}

static void set_password(struct call *c)
{
    struct changing x = {.call = c};
    struct person person = {0};
    struct error e = {0};
    struct str password = page_field(c->page.req, "password");
    struct store_conn *conn = pass_reader(c);
    if (!conn)
        return;
    enum err err = account_person(c->trust, conn, c->page.arena, c->session.account, &person, &e);
    store_read_done(conn);
    if (failed(c, err, &e))
        return;
    enum password_flaw flaw = password_look(c->page.arena, password, &person);
    if (flaw != PASSWORD_GOOD) {
        pass_refuse(c, ERR_INVALID, password_flaw_name(flaw));
        ways_page(c);
        return;
    }
    err = password_make(c->trust, c->page.arena, password, &x.phc, &e);
    if (!err)
        err = pass_write(c, apply_password, &x, &e);
    if (err)
        refuse(c, &e);
    else
        pass_go(c, "my/ways?done=1");
}

static enum http_answer post_password(struct request *req, struct response *res, void *ctx)
{
    return pass_call(req, res, ctx, "ways", NEED_SIGN_IN | NEED_FRESH | IS_FORM | IS_GATED,
                     set_password);
}

/* --- the app --- */

/* The secret goes to the page and comes back with the first code: nothing is kept before that. It
 * is sealed for this session, so that nobody can have one set that they know. */
static enum err seal_secret(struct call *c, struct store_conn *conn, struct str secret,
                            struct str *out, struct error *e)
{
    struct vault_place at = {c->session.account, S("otp.offer"), c->session.id};
    struct str sealed;
    enum err err = vault_seal(c->trust->vault, conn, c->page.arena, &at, secret, &sealed, e);
    if (!err)
        *out = base64url_encode(c->page.arena, sealed);
    return err;
}

static enum err open_secret(struct call *c, struct store_conn *conn, struct str text,
                            struct str *out, struct error *e)
{
    struct vault_place at = {c->session.account, S("otp.offer"), c->session.id};
    struct str sealed;
    enum err err = base64url_decode(c->page.arena, text, &sealed)
                       ? vault_unseal(c->trust->vault, conn, c->page.arena, &at, sealed, out, e)
                       : ERR_CORRUPT;
    return err == ERR_CORRUPT ? error_set(e, ERR_INVALID, "the form is damaged") : err;
}

static struct str in_groups(struct arena *a, struct str s)
{
    struct str out = STR_NONE;
    for (size_t i = 0; i < s.n; i += 4)
        out =
            str_printf(a, "%" STR_F "%s%" STR_F, STR_A(out), i ? " " : "", STR_A(str_sub(s, i, 4)));
    return out;
}

static void show_app(struct call *c, struct str secret)
{
    struct page *p = &c->page;
    struct person person;
    struct str sealed;
    struct error e = {0};
    struct store_conn *conn = pass_reader(c);
    if (!conn)
        return;
    enum err err = account_person(c->trust, conn, p->arena, c->session.account, &person, &e);
    if (!err)
        err = seal_secret(c, conn, secret, &sealed, &e);
    store_read_done(conn);
    if (failed(c, err, &e))
        return;
    struct str name = person.login.n ? person.login : S("-");
    json_w_kstr(&p->w, S("secret"), sealed);
    json_w_kstr(&p->w, S("key"), in_groups(p->arena, base32_encode(p->arena, secret)));
    json_w_kstr(&p->w, S("uri"), otp_uri(p->arena, secret, page_text(p, S("site.name")), name));
    page_send(p, "my-app", S("app.title"));
}

static void app_page(struct call *c)
{
    show_app(c, otp_new_secret(c->page.arena));
}

static enum http_answer get_app(struct request *req, struct response *res, void *ctx)
{
    return pass_call(req, res, ctx, "ways", NEED_SIGN_IN | NEED_FRESH, app_page);
}

static enum err apply_app(struct store_conn *conn, void *ctx, struct error *e)
{
    struct changing *x = ctx;
    struct call *c = x->call;
    enum err err = open_secret(c, conn, page_field(c->page.req, "secret"), &x->secret, e);
    if (!err)
        err = otp_set(c->trust, conn, c->session.account, x->secret,
                      page_field(c->page.req, "code"), e);
    return err ? err
               : recovery_make(c->trust, conn, c->page.arena, c->session.account, x->codes, e);
}

static void show_codes(struct call *c, const struct str codes[RECOVERY_CODES])
{
    struct page *p = &c->page;
    json_w_key(&p->w, S("codes"));
    json_w_array(&p->w);
    for (int i = 0; i < RECOVERY_CODES; i++)
        json_w_str(&p->w, codes[i]);
    json_w_end(&p->w);
    page_send(p, "my-codes", S("codes.title"));
}

static void set_app(struct call *c)
{
    struct changing x = {.call = c};
    struct error e = {0};
    enum err err = pass_write(c, apply_app, &x, &e);
    if (!err) {
        show_codes(c, x.codes);
    } else if (err == ERR_UNAUTHENTICATED && x.secret.n) {
        pass_refuse(c, ERR_INVALID, "code");
        show_app(c, x.secret);
    } else {
        refuse(c, &e);
    }
}

static enum http_answer post_app(struct request *req, struct response *res, void *ctx)
{
    return pass_call(req, res, ctx, "ways", NEED_SIGN_IN | NEED_FRESH | IS_FORM, set_app);
}

static enum err apply_codes(struct store_conn *conn, void *ctx, struct error *e)
{
    struct changing *x = ctx;
    struct call *c = x->call;
    return recovery_make(c->trust, conn, c->page.arena, c->session.account, x->codes, e);
}

static void new_codes(struct call *c)
{
    struct changing x = {.call = c};
    struct error e = {0};
    if (!failed(c, pass_write(c, apply_codes, &x, &e), &e))
        show_codes(c, x.codes);
}

static enum http_answer post_codes(struct request *req, struct response *res, void *ctx)
{
    return pass_call(req, res, ctx, "ways", NEED_SIGN_IN | NEED_FRESH | IS_FORM, new_codes);
}

const struct route ways_routes[] = {
    {"GET", "/{lang}/my/ways", get_ways, ROUTE_HIDDEN},
    {"POST", "/{lang}/my/ways", post_ways, ROUTE_HIDDEN},
    {"POST", "/{lang}/my/password", post_password, ROUTE_HIDDEN},
    {"GET", "/{lang}/my/passkeys", get_passkey, ROUTE_HIDDEN},
    {"POST", "/{lang}/my/passkeys", post_passkey, ROUTE_HIDDEN},
    {"GET", "/{lang}/my/app", get_app, ROUTE_HIDDEN},
    {"POST", "/{lang}/my/app", post_app, ROUTE_HIDDEN},
    {"POST", "/{lang}/my/codes", post_codes, ROUTE_HIDDEN},
};
const size_t ways_routes_n = COUNT(ways_routes);
