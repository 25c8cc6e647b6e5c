/* Who may act for whom, as the two of them see it. */
#include "passport_impl.h"

static struct str name_of(struct call *c, struct store_conn *conn, int64_t account)
{
    struct person p;
    struct error e = {0};
    if (account_person(c->trust, conn, c->page.arena, account, &p, &e) || !p.name.n)
        return S("?");
    return p.name;
}

static enum err write_list(struct call *c, struct store_conn *conn, const char *key, bool as_agent,
                           struct error *e)
{
    static const char *const scopes[] = {"read", "apply", "consent"};
    struct page *p = &c->page;
    const struct delegation *list;
    size_t n = 0;
    enum err err =
        delegation_list(c->trust, conn, p->arena, c->session.account, as_agent, &list, &n, e);
    json_w_key(&p->w, str_c(key));
    json_w_array(&p->w);
    for (size_t i = 0; !err && i < n; i++) {
        const struct delegation *d = &list[i];
        json_w_object(&p->w);
        json_w_ki64(&p->w, S("id"), d->id);
        json_w_kstr(&p->w, S("who"), name_of(c, conn, as_agent ? d->principal : d->agent));
        json_w_kstr(&p->w, S("kind"), text_of(p, "delegation", delegation_kind_name(d->kind)));
        json_w_kbool(&p->w, S("mayEnd"),
                     d->kind == DELEGATION_HOUSEHOLD || d->kind == DELEGATION_CARE);
        json_w_kstr(&p->w, S("until"), locale_date(p->locale, p->arena, d->until));
        json_w_key(&p->w, S("scopes"));
        json_w_array(&p->w);
        for (size_t s = 0; s < COUNT(scopes); s++)
            if (d->scope >> s & 1)
                json_w_str(&p->w, text_of(p, "scope", scopes[s]));
        json_w_end(&p->w);
        json_w_end(&p->w);
    }
    json_w_end(&p->w);
    return err;
}

static void people_page(struct call *c)
{
    struct error e = {0};
    struct store_conn *conn = pass_reader(c);
    if (!conn)
        return;
    enum err err = write_list(c, conn, "forMe", false, &e);
    if (!err)
        err = write_list(c, conn, "byMe", true, &e);
    store_read_done(conn);
    if (err)
        page_fail(&c->page, &e);
    else
        page_send(&c->page, "my-people", S("people.title"));
}

static enum http_answer get_people(struct request *req, struct response *res, void *ctx)
{
    return pass_call(req, res, ctx, "people", NEED_SIGN_IN, people_page);
}

struct ordering {
    struct call *call;
    struct str code;
};

static enum err offer(struct ordering *x, struct store_conn *conn, struct error *e)
{
    struct call *c = x->call;
    int64_t days = int_field(c, "days");
    struct delegation d = {.principal = c->session.account,
                           .scope = (is_checked(c, "read") ? SCOPE_READ : 0) |
                                    (is_checked(c, "apply") ? SCOPE_APPLY : 0) |
                                    (is_checked(c, "consent") ? SCOPE_CONSENT : 0)};
    if (!delegation_kind_find(page_field(c->page.req, "kind"), &d.kind))
        return error_set(e, ERR_INVALID, "kind");
    if (!d.scope)
        return error_set(e, ERR_INVALID, "scope");
    d.until = c->now + (days > 0 && days <= DELEGATION_DAYS_MAX ? days : 0) * DAY_US;
    return delegation_offer(c->trust, conn, c->page.arena, &d, &x->code, e);
}

static enum err apply_order(struct store_conn *conn, void *ctx, struct error *e)
{
    struct ordering *x = ctx;
    struct call *c = x->call;
    struct str action = page_field(c->page.req, "action");
    if (str_eq(action, S("offer")))
        return offer(x, conn, e);
    if (str_eq(action, S("accept"))) {
        int64_t wait;
        enum err err = proof_count(c->trust, conn, "accept", c->page.req, &wait, e);
        return err ? err
                   : delegation_accept(c->trust, conn, c->page.arena, c->session.account,
                                       page_field(c->page.req, "code"), e);
    }
    if (str_eq(action, S("end")))
        return delegation_end(c->trust, conn, int_field(c, "id"), c->session.account, false, e);
    return error_set(e, ERR_INVALID, "no such order");
}

static void order(struct call *c)
{
    struct ordering x = {.call = c};
    struct error e = {0};
    enum err err = pass_write(c, apply_order, &x, &e);
    if (!err && !x.code.n) {
        pass_go(c, "my/people?done=1");
        return;
    }
    if (err && http_status_of(err) >= 500) {
        page_fail(&c->page, &e);
        return;
    }
    if (err == ERR_UNAUTHENTICATED)
        pass_refuse(c, ERR_INVALID, "code");
    else if (err)
        pass_refuse(c, err, pass_wrong(&e));
    else
        json_w_kstr(&c->page.w, S("made"), x.code);
    people_page(c);
}

static enum http_answer post_people(struct request *req, struct response *res, void *ctx)
{
    return pass_call(req, res, ctx, "people", NEED_SIGN_IN | NEED_FRESH | IS_FORM, order);
}

const struct route people_routes[] = {
    {"GET", "/{lang}/my/people", get_people, ROUTE_HIDDEN},
    {"POST", "/{lang}/my/people", post_people, ROUTE_HIDDEN},
};
const size_t people_routes_n = COUNT(people_routes);
