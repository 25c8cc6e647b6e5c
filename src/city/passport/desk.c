/*
 * The enrolment desk: a new resident, somebody found by what they know themselves, a code for their
 * first sign-in; states, guardians, roles. Every look at somebody is an entry of their log, with
 * the reason that the clerk gave.
 */
#include "crypto/hash.h"
#include "passport_impl.h"

#define REF "desk-ref"

/* --- references to people --- */

static enum err make_ref(struct call *c, struct store_conn *conn, int64_t account, struct str *out,
                         struct error *e)
{
    struct vault_place at = {0, S(REF), c->session.id};
    struct str sealed;
    enum err err = vault_seal(c->trust->vault, conn, c->page.arena, &at,
                              str_n((const char *)&account, sizeof(account)), &sealed, e);
    if (!err)
        *out = base64url_encode(c->page.arena, sealed);
    return err;
}

static enum err open_ref(struct call *c, struct store_conn *conn, struct str ref, int64_t *account,
                         struct error *e)
{
    struct vault_place at = {0, S(REF), c->session.id};
    struct str sealed, plain;
    if (!base64url_decode(c->page.arena, ref, &sealed) ||
        vault_unseal(c->trust->vault, conn, c->page.arena, &at, sealed, &plain, NULL) ||
        plain.n != sizeof(*account))
        return error_set(e, ERR_NOT_FOUND, "search for this person again");
    for (size_t i = 0; i < sizeof(*account); i++)
        ((char *)account)[i] = plain.p[i];
    return OK;
}

/* --- a new resident --- */

struct desk {
    struct call *call;
    struct account_new made;
    int64_t account;
    struct str ref, code, reason;
    enum account_index index;
    struct str value;
    int64_t found[ACCOUNT_FOUND_MAX];
    size_t n_found;
};

static void new_page(struct call *c)
{
    page_send(&c->page, "desk-new", S("desk.new.title"));
}

static enum http_answer get_new(struct request *req, struct response *res, void *ctx)
{
    return pass_call(req, res, ctx, "desknew", NEED_SIGN_IN | NEED_STAFF, new_page);
}

static enum err apply_new(struct store_conn *conn, void *ctx, struct error *e)
{
    struct desk *x = ctx;
    struct call *c = x->call;
    enum err err = account_create(c->trust, conn, &x->made, &x->account, e);
    if (!err)
        err = enrol_code_make(c->trust, conn, c->page.arena, x->account, c->session.account,
                              &x->code, e);
    return err ? err : make_ref(c, conn, x->account, &x->ref, e);
}

static void person_page(struct call *c, struct desk *x);

static void make_new(struct call *c)
{
    struct desk x = {.call = c, .made = {.ial = IAL_DESK, .by = c->session.account}};
    struct person given = read_person(c);
    struct error e = {0};
    enum err err = person_tidy(c->page.arena, &given, c->now, &x.made.person, &e);
    if (!err && (!x.made.person.name.n || !x.made.person.birth_date.n))
        err = error_set(&e, ERR_INVALID, x.made.person.name.n ? "birth_date" : "name");
    if (!err && !is_checked(c, "seen"))
        err = error_set(&e, ERR_INVALID, "proof");
    if (!err)
        err = pass_write(c, apply_new, &x, &e);
    if (!err) {
        person_page(c, &x);
    } else if (http_status_of(err) >= 500) {
        page_fail(&c->page, &e);
    } else {
        pass_refuse(c, err, pass_wrong(&e));
        write_person(&c->page, &given);
        new_page(c);
    }
}

static enum http_answer post_new(struct request *req, struct response *res, void *ctx)
{
    return pass_call(req, res, ctx, "desknew", NEED_SIGN_IN | NEED_STAFF | IS_FORM, make_new);
}

/* --- finding somebody --- */

static void search_page(struct call *c)
{
    page_send(&c->page, "desk", S("desk.title"));
}

static enum http_answer get_desk(struct request *req, struct response *res, void *ctx)
{
    return pass_call(req, res, ctx, "desk", NEED_SIGN_IN | NEED_STAFF, search_page);
}

/* The search and the entries about it are one change: nothing is shown that is not in the log. */
static enum err apply_search(struct store_conn *conn, void *ctx, struct error *e)
{
    struct desk *x = ctx;
    struct call *c = x->call;
    enum err err =
        account_find(c->trust, conn, c->page.arena, x->index, x->value, x->found, &x->n_found, e);
    for (size_t i = 0; !err && i < x->n_found; i++) {
        struct json_member m[] = {json_m(S("event"), json_v_str(S("found"))),
                                  json_m(S("by"), json_v_i64(c->page.arena, c->session.account)),
                                  json_m(S("reason"), json_v_str(x->reason))};
        struct json v = json_v_object(m, 3);
        err = account_log(c->trust, conn, x->found[i], S("staff"), json_to_text(c->page.arena, &v),
                          NULL, e);
    }
    return err;
}

static enum err write_found(struct call *c, struct store_conn *conn, const struct desk *x,
                            struct error *e)
{
    struct page *p = &c->page;
    enum err err = OK;
    json_w_kbool(&p->w, S("searched"), true);
    json_w_key(&p->w, S("found"));
    json_w_array(&p->w);
    for (size_t i = 0; !err && i < x->n_found; i++) {
        struct account account;
        struct person person;
        struct str ref = STR_NONE;
        err = account_read(conn, p->arena, x->found[i], &account, e);
        if (!err)
            err = account_person(c->trust, conn, p->arena, x->found[i], &person, e);
        if (!err)
            err = make_ref(c, conn, x->found[i], &ref, e);
        if (err)
            break;
        json_w_object(&p->w);
        json_w_kstr(&p->w, S("ref"), ref);
        json_w_kstr(&p->w, S("name"), person.name.n ? person.name : S("-"));
        json_w_kstr(&p->w, S("birthDate"), person.birth_date.n ? person.birth_date : S("-"));
        json_w_kstr(&p->w, S("address"), person.address.n ? person.address : S("-"));
        json_w_kstr(&p->w, S("state"), text_of(p, "state", account_state_name(account.state)));
        json_w_end(&p->w);
    }
    json_w_end(&p->w);
    return err;
}

static bool read_search(struct call *c, struct desk *x)
{
    const struct request *req = c->page.req;
    struct str by = page_field(req, "by"), value = page_field(req, "value");
    x->reason = str_trim(page_field(req, "reason"));
    x->value = value;
    if (!x->reason.n || x->reason.n > PERSON_TEXT_MAX || !str_is_utf8(x->reason) ||
        !str_is_utf8(value))
        return false;
    if (str_eq(by, S("login")))
        x->index = INDEX_LOGIN;
    else if (str_eq(by, S("email")))
        x->index = INDEX_EMAIL;
    else if (str_eq(by, S("phone")))
        x->index = INDEX_PHONE;
    else {
        struct person given = {.birth_date = page_field(req, "birth_date")}, tidy;
        if (person_tidy(c->page.arena, &given, c->now, &tidy, NULL))
            return false;
        x->index = INDEX_NAME_BIRTH;
        x->value = account_name_birth(c->page.arena, value, tidy.birth_date);
    }
    return x->value.n > 0;
}

static void search_for(struct call *c)
{
    struct desk x = {.call = c};
    struct error e = {0};
    if (!read_search(c, &x)) {
        pass_refuse(c, ERR_INVALID, "search");
        search_page(c);
        return;
    }
    if (pass_write(c, apply_search, &x, &e)) {
        page_fail(&c->page, &e);
        return;
    }
    struct store_conn *conn = pass_reader(c);
    if (!conn)
        return;
    enum err err = write_found(c, conn, &x, &e);
    store_read_done(conn);
    if (err)
        page_fail(&c->page, &e);
    else
        search_page(c);
}

static enum http_answer post_desk(struct request *req, struct response *res, void *ctx)
{
    return pass_call(req, res, ctx, "desk", NEED_SIGN_IN | NEED_STAFF | IS_FORM, search_for);
}

/* --- one person --- */

static void write_states(struct page *p, enum account_state now)
{
    json_w_key(&p->w, S("states"));
    json_w_array(&p->w);
    for (unsigned s = 0; s < ACCOUNT_STATES; s++) {
        if (!account_state_may(now, (enum account_state)s))
            continue;
        json_w_object(&p->w);
        json_w_kstr(&p->w, S("value"), str_c(account_state_name((enum account_state)s)));
        json_w_kstr(&p->w, S("label"),
                    text_of(p, "state", account_state_name((enum account_state)s)));
        json_w_end(&p->w);
    }
    json_w_end(&p->w);
}

static enum err write_one(struct call *c, struct store_conn *conn, struct desk *x, struct error *e)
{
    struct page *p = &c->page;
    const struct delegation *list;
    const struct role *roles;
    struct account account;
    struct person person;
    size_t n = 0, n_roles = 0;
    enum err err = account_read(conn, p->arena, x->account, &account, e);
    if (!err)
        err = account_person(c->trust, conn, p->arena, x->account, &person, e);
    if (!err)
        err = delegation_list(c->trust, conn, p->arena, x->account, false, &list, &n, e);
    if (!err)
        err = account_roles(conn, p->arena, x->account, c->now, &roles, &n_roles, e);
    if (err)
        return err;
    write_person(p, &person);
    json_w_kstr(&p->w, S("ref"), x->ref);
    json_w_kstr(&p->w, S("state"), text_of(p, "state", account_state_name(account.state)));
    json_w_kstr(&p->w, S("ial"), text_of(p, "ial", ial_name(account.ial)));
    write_states(p, account.state);
    json_w_key(&p->w, S("guardians"));
    json_w_array(&p->w);
    for (size_t i = 0; i < n; i++) {
        struct person agent;
        if (account_person(c->trust, conn, p->arena, list[i].agent, &agent, e))
            continue;
        json_w_object(&p->w);
        json_w_ki64(&p->w, S("id"), list[i].id);
        json_w_kstr(&p->w, S("who"), agent.name.n ? agent.name : S("-"));
        json_w_kstr(&p->w, S("kind"), text_of(p, "delegation", delegation_kind_name(list[i].kind)));
        json_w_kstr(&p->w, S("until"), locale_date(p->locale, p->arena, list[i].until));
        json_w_end(&p->w);
    }
    json_w_end(&p->w);
    json_w_key(&p->w, S("roles"));
    json_w_array(&p->w);
    for (size_t i = 0; i < n_roles; i++) {
        json_w_object(&p->w);
        json_w_kstr(&p->w, S("role"), roles[i].name);
        json_w_kstr(&p->w, S("organisation"), roles[i].organisation);
        json_w_end(&p->w);
    }
    json_w_end(&p->w);
    return OK;
}

static void person_page(struct call *c, struct desk *x)
{
    struct error e = {0};
    struct store_conn *conn = pass_reader(c);
    if (!conn)
        return;
    enum err err = write_one(c, conn, x, &e);
    store_read_done(conn);
    if (err) {
        page_fail(&c->page, &e);
        return;
    }
    if (x->code.n) {
        struct webauthn_rp rp;
        json_w_kstr(&c->page.w, S("code"), x->code);
        if (!passkey_rp(c->trust, c->page.req, S(""), &rp, &e))
            json_w_kstr(&c->page.w, S("where"),
                        str_printf(c->page.arena, "%" STR_F "/enrol", STR_A(rp.origins[0])));
    }
    page_send(&c->page, "desk-person", S("desk.person.title"));
}

/* --- orders about them --- */

static enum err record_guardian(struct desk *x, struct store_conn *conn, struct error *e)
{
    struct call *c = x->call;
    const struct request *req = c->page.req;
    struct delegation d = {.principal = x->account, .scope = SCOPE_ALL};
    int64_t ids[ACCOUNT_FOUND_MAX];
    size_t n = 0;
    struct str until = page_field(req, "until");
    struct civil day;
    if (!delegation_kind_find(page_field(req, "kind"), &d.kind))
        return error_set(e, ERR_INVALID, "kind");
    if (until.n && !date_parse(until, &day))
        return error_set(e, ERR_INVALID, "until");
    if (until.n)
        d.until = civil_to_instant(&day, JST_OFFSET_S) + DAY_US;
    enum err err = account_find(c->trust, conn, c->page.arena, INDEX_LOGIN,
                                page_field(req, "guardian"), ids, &n, e);
    if (!err && n != 1)
        err = error_set(e, ERR_INVALID, "login");
    if (err)
        return err;
    d.agent = ids[0];
    return delegation_record(c->trust, conn, &d, str_trim(page_field(req, "proof")),
                             c->session.account, e);
}

static enum err set_state(struct desk *x, struct store_conn *conn, struct error *e)
{
    struct call *c = x->call;
    enum account_state state;
    if (!account_state_find(page_field(c->page.req, "state"), &state))
        return error_set(e, ERR_INVALID, "no such state");
    if (x->account == c->session.account)
        return error_set(e, ERR_CONFLICT, "not one's own");
    return account_set_state(c->trust, conn, x->account, state, x->reason, c->session.account, e);
}

/* Roles are the administrators' alone. */
static enum err change_role(struct desk *x, struct store_conn *conn, bool give, struct error *e)
{
    struct call *c = x->call;
    struct str organisation = str_trim(page_field(c->page.req, "organisation"));
    struct role role = {str_trim(page_field(c->page.req, "role")), organisation};
    if (!pass_is(c, ROLE_ADMINISTRATOR))
        return error_set(e, ERR_FORBIDDEN, "roles are given by administrators");
    return give ? account_give_role(c->trust, conn, x->account, &role, 0, c->session.account, e)
                : account_take_role(c->trust, conn, x->account, &role, c->session.account, e);
}

/* The clerk has seen the papers: what they say is how well the city knows them. */
static enum err correct(struct desk *x, struct store_conn *conn, struct error *e)
{
    struct call *c = x->call;
    struct account account;
    struct person old, p = read_person(c);
    if (!is_checked(c, "seen"))
        return error_set(e, ERR_INVALID, "proof");
    enum err err = account_person(c->trust, conn, c->page.arena, x->account, &old, e);
    if (!err)
        err = account_read(conn, c->page.arena, x->account, &account, e);
    if (!err)
        err = person_tidy(c->page.arena, &p, c->now, &p, e);
    if (!err && !p.name.n)
        err = error_set(e, ERR_INVALID, "name");
    if (!err && !p.login.n && old.login.n)
        err = error_set(e, ERR_INVALID, "login");
    if (!err)
        err = account_set_person(c->trust, conn, x->account, &p, c->session.account, e);
    if (!err && account.ial == IAL_SELF)
        err = account_set_ial(c->trust, conn, x->account, IAL_DESK, c->session.account, e);
    return err;
}

/* A clerk who could hand out a code for somebody with roles could take those roles. */
static enum err may_order(struct desk *x, struct store_conn *conn, struct error *e)
{
    struct call *c = x->call;
    const struct role *roles;
    size_t n = 0;
    enum err err = account_roles(conn, c->page.arena, x->account, c->now, &roles, &n, e);
    if (!err && n && !pass_is(c, ROLE_ADMINISTRATOR))
        err = error_set(e, ERR_FORBIDDEN, "accounts of staff are the administrators' to change");
    return err;
}

/* Shown whole: which is more than that they were found. */
static enum err log_opened(struct desk *x, struct store_conn *conn, struct error *e)
{
    struct call *c = x->call;
    struct json_member m[] = {json_m(S("event"), json_v_str(S("opened"))),
                              json_m(S("by"), json_v_i64(c->page.arena, c->session.account))};
    struct json v = json_v_object(m, 2);
    return account_log(c->trust, conn, x->account, S("staff"), json_to_text(c->page.arena, &v),
                       NULL, e);
}

static enum err apply_order(struct store_conn *conn, void *ctx, struct error *e)
{
    struct desk *x = ctx;
    struct call *c = x->call;
    struct str action = page_field(c->page.req, "action");
    enum err err = open_ref(c, conn, x->ref, &x->account, e);
    if (!err && action.n)
        err = may_order(x, conn, e);
    if (err)
        return err;
    if (str_eq(action, S("correct")))
        return correct(x, conn, e);
    if (str_eq(action, S("code")))
        return x->reason.n ? enrol_code_make(c->trust, conn, c->page.arena, x->account,
                                             c->session.account, &x->code, e)
                           : error_set(e, ERR_INVALID, "reason");
    if (str_eq(action, S("state")))
        return x->reason.n ? set_state(x, conn, e) : error_set(e, ERR_INVALID, "reason");
    if (str_eq(action, S("guardian")))
        return record_guardian(x, conn, e);
    if (str_eq(action, S("end")))
        return delegation_end(c->trust, conn, int_field(c, "id"), c->session.account, true, e);
    if (str_eq(action, S("give")) || str_eq(action, S("take")))
        return change_role(x, conn, str_eq(action, S("give")), e);
    return action.n ? error_set(e, ERR_INVALID, "no such order") : log_opened(x, conn, e);
}

static void person_order(struct call *c)
{
    struct desk x = {.call = c,
                     .ref = page_field(c->page.req, "ref"),
                     .reason = str_trim(page_field(c->page.req, "reason"))};
    struct error e = {0};
    if (x.reason.n > PERSON_TEXT_MAX || !str_is_utf8(x.reason))
        x.reason = STR_NONE;
    enum err err = pass_write(c, apply_order, &x, &e);
    if (err && (!x.account || http_status_of(err) >= 500 || err == ERR_FORBIDDEN)) {
        page_fail(&c->page, &e);
        return;
    }
    if (err)
        pass_refuse(c, err, pass_wrong(&e));
    else
        json_w_kbool(&c->page.w, S("ordered"), page_field(c->page.req, "action").n > 0);
    person_page(c, &x);
}

static enum http_answer post_person(struct request *req, struct response *res, void *ctx)
{
    return pass_call(req, res, ctx, "desk", NEED_SIGN_IN | NEED_STAFF | IS_FORM, person_order);
}

const struct route desk_routes[] = {
    {"GET", "/{lang}/desk", get_desk, ROUTE_HIDDEN},
    {"POST", "/{lang}/desk", post_desk, ROUTE_HIDDEN},
    {"GET", "/{lang}/desk/new", get_new, ROUTE_HIDDEN},
    {"POST", "/{lang}/desk/new", post_new, ROUTE_HIDDEN},
    {"POST", "/{lang}/desk/person", post_person, ROUTE_HIDDEN},
};
const size_t desk_routes_n = COUNT(desk_routes);
