/* One's own data: seen, corrected, taken along, and erased. */
#include "passport_impl.h"

static bool failed(struct call *c, enum err err, const struct error *e)
{
    if (err)
        page_fail(&c->page, e);
    return err != OK;
}

/* --- seeing and correcting --- */

static void send_data(struct call *c, const struct person *shown)
{
    struct account account;
    struct error e = {0};
    struct store_conn *conn = pass_reader(c);
    if (!conn)
        return;
    enum err err = account_read(conn, c->page.arena, c->session.account, &account, &e);
    store_read_done(conn);
    if (failed(c, err, &e))
        return;
    write_person(&c->page, shown);
    json_w_kbool(&c->page.w, S("proofed"), account.ial != IAL_SELF);
    json_w_kstr(&c->page.w, S("ial"), text_of(&c->page, "ial", ial_name(account.ial)));
    page_send(&c->page, "my-data", S("mydata.title"));
}

static void data_page(struct call *c)
{
    struct person person;
    struct error e = {0};
    struct store_conn *conn = pass_reader(c);
    if (!conn)
        return;
    enum err err = account_person(c->trust, conn, c->page.arena, c->session.account, &person, &e);
    store_read_done(conn);
    if (!failed(c, err, &e))
        send_data(c, &person);
}

static enum http_answer get_data(struct request *req, struct response *res, void *ctx)
{
    return pass_call(req, res, ctx, "data", NEED_SIGN_IN, data_page);
}

struct correcting {
    struct call *call;
    struct person person;
};

/* What the desk or a card has proved stays as it is; the desk corrects it. */
static enum err apply_correct(struct store_conn *conn, void *ctx, struct error *e)
{
    struct correcting *x = ctx;
    struct call *c = x->call;
    struct account account;
    struct person old, p = x->person;
    int64_t id = c->session.account;
    enum err err = account_read(conn, c->page.arena, id, &account, e);
    if (!err)
        err = account_person(c->trust, conn, c->page.arena, id, &old, e);
    if (err)
        return err;
    if (account.ial != IAL_SELF) {
        p.name = old.name;
        p.name_kana = old.name_kana;
        p.birth_date = old.birth_date;
        p.gender = old.gender;
        p.postal_code = old.postal_code;
        p.address = old.address;
        p.district = old.district;
    }
    p.email_verified = old.email_verified && str_eq(p.email, old.email);
    p.phone_verified = old.phone_verified && str_eq(p.phone, old.phone);
    err = person_tidy(c->page.arena, &p, c->now, &p, e);
    if (!err && !p.name.n)
        err = error_set(e, ERR_INVALID, "name");
    if (!err && !p.login.n && old.login.n)
        err = error_set(e, ERR_INVALID, "login");
    return err ? err : account_set_person(c->trust, conn, id, &p, id, e);
}

static void correct(struct call *c)
{
    struct correcting x = {c, read_person(c)};
    struct error e = {0};
    enum err err = pass_write(c, apply_correct, &x, &e);
    if (!err) {
        pass_go(c, "my/data?done=1");
    } else if (http_status_of(err) >= 500) {
        page_fail(&c->page, &e);
    } else {
        pass_refuse(c, err, pass_wrong(&e));
        send_data(c, &x.person);
    }
}

static enum http_answer post_data(struct request *req, struct response *res, void *ctx)
{
    return pass_call(req, res, ctx, "data", NEED_SIGN_IN | NEED_FRESH | IS_FORM, correct);
}

/* --- taking along --- */

enum { EXPORT_MAX = 10000 };

static void export_entries(struct call *c, struct json_writer *w, const struct account_entry *list,
                           size_t n)
{
    json_w_key(w, S("log"));
    json_w_array(w);
    for (size_t i = 0; i < n; i++) {
        const struct json *v = list[i].content.n
                                   ? json_parse(c->page.arena, list[i].content, &JSON_DEFAULT, NULL)
                                   : NULL;
        json_w_object(w);
        json_w_ki64(w, S("leaf"), list[i].leaf);
        json_w_kstr(w, S("at"), datetime_text(c->page.arena, list[i].at));
        json_w_kstr(w, S("kind"), list[i].kind);
        if (v) {
            /* Numbers of accounts are nobody else's business. */
            struct json content = json_without(c->page.arena, v, S("by"));
            content = json_without(c->page.arena, &content, S("agent"));
            json_w_key(w, S("content"));
            json_w_value(w, &content);
        }
        json_w_end(w);
    }
    json_w_end(w);
}

static void export_notices(struct call *c, struct json_writer *w, const struct notice *list,
                           size_t n)
{
    json_w_key(w, S("notices"));
    json_w_array(w);
    for (size_t i = 0; i < n; i++) {
        const struct json *v = json_parse(c->page.arena, list[i].body, &JSON_DEFAULT, NULL);
        json_w_object(w);
        json_w_kstr(w, S("at"), datetime_text(c->page.arena, list[i].at));
        json_w_kstr(w, S("kind"), list[i].kind);
        if (v) {
            json_w_key(w, S("content"));
            json_w_value(w, v);
        }
        json_w_end(w);
    }
    json_w_end(w);
}

static enum err write_export(struct call *c, struct store_conn *conn, struct json_writer *w,
                             struct error *e)
{
    const struct account_entry *entries;
    const struct notice *notices;
    struct account account;
    struct person person;
    int64_t id = c->session.account;
    size_t n_entries, n_notices;
    enum err err = account_read(conn, c->page.arena, id, &account, e);
    if (!err)
        err = account_person(c->trust, conn, c->page.arena, id, &person, e);
    if (!err)
        err = account_entries(c->trust, conn, c->page.arena, id, STR_NONE, INT64_MAX, EXPORT_MAX,
                              &entries, &n_entries, e);
    if (!err)
        err = notice_list(c->trust, conn, c->page.arena, id, INT64_MAX, NOTICES_MAX, &notices,
                          &n_notices, e);
    if (err)
        return err;
    json_w_object(w);
    json_w_kstr(w, S("exportedAt"), datetime_text(c->page.arena, c->now));
    json_w_kstr(w, S("state"), str_c(account_state_name(account.state)));
    json_w_kstr(w, S("ial"), str_c(ial_name(account.ial)));
    json_w_kstr(w, S("createdAt"), datetime_text(c->page.arena, account.created));
    json_w_key(w, S("person"));
    const struct person *p = &person;
    struct {
        const char *key;
        struct str text;
    } items[] = {{"login", p->login},         {"name", p->name},
                 {"name_kana", p->name_kana}, {"birth_date", p->birth_date},
                 {"gender", p->gender},       {"postal_code", p->postal_code},
                 {"address", p->address},     {"district", p->district},
                 {"email", p->email},         {"phone", p->phone}};
    json_w_object(w);
    for (size_t i = 0; i < COUNT(items); i++)
        if (items[i].text.n)
            json_w_kstr(w, str_c(items[i].key), items[i].text);
    json_w_end(w);
    export_entries(c, w, entries, n_entries);
    export_notices(c, w, notices, n_notices);
    json_w_end(w);
    return OK;
}

static void export(struct call *c)
{
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    struct error e = {0};
    struct store_conn *conn = pass_reader(c);
    if (!conn)
        return;
    enum err err = write_export(c, conn, &w, &e);
    store_read_done(conn);
    if (failed(c, err, &e)) {
        buf_release(&b);
        return;
    }
    pass_json(c, 200, &b);
    response_header(c->page.req, c->page.res, "Content-Disposition",
                    S("attachment; filename=\"tsukupass.json\""));
}

static enum http_answer get_export(struct request *req, struct response *res, void *ctx)
{
    return pass_call(req, res, ctx, "data", NEED_SIGN_IN | NEED_FRESH, export);
}

/* --- closing --- */

static enum err apply_close(struct store_conn *conn, void *ctx, struct error *e)
{
    struct call *c = ctx;
    return account_set_state(c->trust, conn, c->session.account, ACCOUNT_CLOSED, S("own wish"),
                             c->session.account, e);
}

static void close_page(struct call *c)
{
    page_send(&c->page, "my-close", S("close.title"));
}

static enum http_answer get_close(struct request *req, struct response *res, void *ctx)
{
    return pass_call(req, res, ctx, "data", NEED_SIGN_IN | NEED_FRESH, close_page);
}

static void close_account(struct call *c)
{
    struct error e = {0};
    if (!is_checked(c, "confirm")) {
        pass_refuse(c, ERR_INVALID, "confirm");
        close_page(c);
    } else if (!failed(c, pass_write(c, apply_close, c, &e), &e)) {
        session_cookie_clear(c->page.req, c->page.res);
        pass_go(c, "sign-in?closed=1");
    }
}

static enum http_answer post_close(struct request *req, struct response *res, void *ctx)
{
    return pass_call(req, res, ctx, "data", NEED_SIGN_IN | NEED_FRESH | IS_FORM, close_account);
}

const struct route data_routes[] = {
    {"GET", "/{lang}/my/data", get_data, ROUTE_HIDDEN},
    {"POST", "/{lang}/my/data", post_data, ROUTE_HIDDEN},
    {"GET", "/{lang}/my/export", get_export, ROUTE_HIDDEN},
    {"GET", "/{lang}/my/close", get_close, ROUTE_HIDDEN},
    {"POST", "/{lang}/my/close", post_close, ROUTE_HIDDEN},
};
const size_t data_routes_n = COUNT(data_routes);
