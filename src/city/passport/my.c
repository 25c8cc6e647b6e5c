/* One's own page: where one is signed in, what one was told. */
#include "passport_impl.h"

static bool failed(struct call *c, enum err err, const struct error *e)
{
    if (err)
        page_fail(&c->page, e);
    return err != OK;
}

/* --- overview --- */

static void my_page(struct call *c)
{
    struct page *p = &c->page;
    struct error e = {0};
    struct person person;
    struct account account;
    struct proof_ways ways;
    int64_t unseen = 0;
    struct store_conn *conn = pass_reader(c);
    if (!conn)
        return;
    enum err err = account_person(c->trust, conn, p->arena, c->session.account, &person, &e);
    if (!err)
        err = account_read(conn, p->arena, c->session.account, &account, &e);
    if (!err)
        err = notice_unseen(conn, c->session.account, &unseen, &e);
    if (!err)
        err = proof_ways(conn, c->session.account, &ways, &e);
    store_read_done(conn);
    if (failed(c, err, &e))
        return;
    write_person(p, &person);
    json_w_ki64(&p->w, S("unseen"), unseen);
    json_w_kbool(&p->w, S("noPasskey"), ways.passkeys == 0);
    json_w_kbool(&p->w, S("movedOut"), account.state == ACCOUNT_MOVED_OUT);
    json_w_kstr(&p->w, S("ial"), text_of(p, "ial", ial_name(account.ial)));
    page_send(p, "my", S("my.title"));
}

static enum http_answer get_my(struct request *req, struct response *res, void *ctx)
{
    return pass_call(req, res, ctx, "overview", NEED_SIGN_IN, my_page);
}

/* --- devices --- */

static void write_methods(struct page *p, unsigned amr)
{
    static const struct {
        unsigned bit;
        const char *name;
    } methods[] = {{AMR_PASSKEY, "passkey"}, {AMR_CARD, "card"}, {AMR_PASSWORD, "password"},
                   {AMR_OTP, "otp"},         {AMR_DESK, "desk"}, {AMR_FACE, "face"}};
    struct str all = STR_NONE;
    for (size_t i = 0; i < COUNT(methods); i++)
        if (amr & methods[i].bit)
            all = str_printf(p->arena, "%" STR_F "%s%" STR_F, STR_A(all), all.n ? " + " : "",
                             STR_A(text_of(p, "amr", methods[i].name)));
    json_w_kstr(&p->w, S("methods"), all);
}

static void devices_page(struct call *c)
{
    struct page *p = &c->page;
    const struct session_device *list;
    size_t n = 0;
    struct error e = {0};
    struct store_conn *conn = pass_reader(c);
    if (!conn)
        return;
    enum err err = session_list(c->trust, conn, p->arena, c->session.account, &list, &n, &e);
    store_read_done(conn);
    if (failed(c, err, &e))
        return;
    json_w_kbool(&p->w, S("several"), n > 1);
    json_w_key(&p->w, S("devices"));
    json_w_array(&p->w);
    for (size_t i = 0; i < n; i++) {
        json_w_object(&p->w);
        json_w_ki64(&p->w, S("id"), list[i].id);
        json_w_kbool(&p->w, S("this"), list[i].id == c->session.id);
        json_w_kstr(&p->w, S("device"), device_name(p->arena, list[i].agent));
        json_w_kstr(&p->w, S("address"), list[i].address);
        write_time(p, "started", list[i].started);
        write_time(p, "used", list[i].used);
        write_methods(p, list[i].amr);
        json_w_end(&p->w);
    }
    json_w_end(&p->w);
    page_send(p, "my-devices", S("devices.title"));
}

static enum http_answer get_devices(struct request *req, struct response *res, void *ctx)
{
    return pass_call(req, res, ctx, "devices", NEED_SIGN_IN, devices_page);
}

/* One of theirs, or all but this one. */
static enum err apply_end(struct store_conn *conn, void *ctx, struct error *e)
{
    struct call *c = ctx;
    int64_t id = int_field(c, "id"), theirs = 0;
    if (is_checked(c, "all"))
        return session_end_all(c->trust, conn, c->session.account, c->session.id, e);
    enum err err =
        store_get_int(conn, &theirs, "SELECT COUNT(*) FROM session WHERE id = $1 AND account = $2",
                      SV(SV_INT(id), SV_INT(c->session.account)), e);
    if (!err && !theirs)
        err = error_set(e, ERR_NOT_FOUND, "there is no such session");
    return err ? err : session_end(c->trust, conn, id, e);
}

static void end_device(struct call *c)
{
    struct error e = {0};
    if (!failed(c, pass_write(c, apply_end, c, &e), &e))
        pass_go(c, "my/devices?done=1");
}

static enum http_answer post_devices(struct request *req, struct response *res, void *ctx)
{
    return pass_call(req, res, ctx, "devices", NEED_SIGN_IN | IS_FORM, end_device);
}

/* --- notices --- */

static struct str notice_text(struct page *p, const struct notice *n)
{
    const struct json *v = json_parse(p->arena, n->body, &JSON_DEFAULT, NULL);
    struct str event = json_text(json_get(v, S("event")));
    if (str_eq(n->kind, S("sign-in"))) {
        struct str device = device_name(p->arena, json_text(json_get(v, S("agent"))));
        struct str address = json_text(json_get(v, S("address")));
        struct json_member m[] = {json_m(S("device"), json_v_str(device)),
                                  json_m(S("address"), json_v_str(address.p ? address : S("")))};
        struct json args = json_v_object(m, 2);
        return locale_text(p->locale, p->arena, S("notice.signin"), &args);
    }
    if (str_eq(n->kind, S("state")))
        event = json_text(json_get(v, S("state")));
    struct str key =
        str_printf(p->arena, "notice.%" STR_F ".%" STR_F, STR_A(n->kind), STR_A(event));
    return locale_has(p->locale, key) ? page_text(p, key) : page_text(p, S("notice.other"));
}

static enum err apply_seen(struct store_conn *conn, void *ctx, struct error *e)
{
    struct call *c = ctx;
    return notice_mark_seen(conn, c->session.account, int_field(c, "upto"), e);
}

static void notices_page(struct call *c)
{
    enum { SHOWN = 50 };
    struct page *p = &c->page;
    const struct notice *list;
    size_t n = 0;
    int64_t before = INT64_MAX;
    struct error e = {0};
    struct str from = request_query(p->req, "before");
    if (from.n && (!str_to_i64(from, &before) || before < 1))
        before = INT64_MAX;
    struct store_conn *conn = pass_reader(c);
    if (!conn)
        return;
    enum err err =
        notice_list(c->trust, conn, p->arena, c->session.account, before, SHOWN, &list, &n, &e);
    store_read_done(conn);
    if (failed(c, err, &e))
        return;
    bool news = false;
    json_w_key(&p->w, S("notices"));
    json_w_array(&p->w);
    for (size_t i = 0; i < n; i++) {
        news = news || !list[i].seen;
        json_w_object(&p->w);
        json_w_kbool(&p->w, S("new"), !list[i].seen);
        write_time(p, "at", list[i].at);
        json_w_kstr(&p->w, S("text"), notice_text(p, &list[i]));
        json_w_end(&p->w);
    }
    json_w_end(&p->w);
    json_w_kbool(&p->w, S("news"), news);
    if (n)
        json_w_ki64(&p->w, S("upto"), list[0].id);
    if (n == SHOWN)
        json_w_ki64(&p->w, S("older"), list[n - 1].id);
    page_send(p, "my-notices", S("notices.title"));
}

static enum http_answer get_notices(struct request *req, struct response *res, void *ctx)
{
    return pass_call(req, res, ctx, "notices", NEED_SIGN_IN, notices_page);
}

static void mark_seen(struct call *c)
{
    struct error e = {0};
    if (!failed(c, pass_write(c, apply_seen, c, &e), &e))
        pass_go(c, "my/notices");
}

static enum http_answer post_notices(struct request *req, struct response *res, void *ctx)
{
    return pass_call(req, res, ctx, "notices", NEED_SIGN_IN | IS_FORM, mark_seen);
}

const struct route my_routes[] = {
    {"GET", "/{lang}/my", get_my, ROUTE_HIDDEN},
    {"GET", "/{lang}/my/devices", get_devices, ROUTE_HIDDEN},
    {"POST", "/{lang}/my/devices", post_devices, ROUTE_HIDDEN},
    {"GET", "/{lang}/my/notices", get_notices, ROUTE_HIDDEN},
    {"POST", "/{lang}/my/notices", post_notices, ROUTE_HIDDEN},
};
const size_t my_routes_n = COUNT(my_routes);
