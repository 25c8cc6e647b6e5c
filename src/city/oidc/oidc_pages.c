/*
 * Three pages of the OpenID Provider. They show and ask; what is answered goes to the provider's
 * own addresses, which check the form's token, so that no other page can answer for a person.
 */
#include "city/oidc_pages.h"
#include "city/page.h"
#include "core/datetime.h"
#include "trust/oidc.h"
#include <stdlib.h>

struct oidc_pages {
    struct city city;
};

/* --- who is there --- */

enum presence { PRESENT, ABSENT, UNKNOWN /* the page has failed */ };

static enum presence look_who(struct page *p, struct store_conn *c, struct session *s)
{
    struct error e = {0};
    enum err err = session_read(p->city->trust, c, p->req, s, &e);
    if (err == ERR_UNAUTHENTICATED)
        return ABSENT;
    if (!err)
        return PRESENT;
    page_fail(p, &e);
    return UNKNOWN;
}

static struct store_conn *reader(struct page *p)
{
    struct error e = {0};
    struct store_conn *c = store_read(p->city->store, &e);
    if (!c)
        page_fail(p, &e);
    return c;
}

static bool begin(struct page *p, struct request *req, struct response *res, void *ctx)
{
    struct oidc_pages *o = ctx;
    if (!page_begin(p, o->city.frame, o, req, res, "account"))
        return false;
    p->private_page = true;
    return true;
}

/* --- consent --- */

/* In the page's language, else in Japanese, else whatever there is. */
static struct str purpose_text(const struct page *p, const struct json *purpose)
{
    const struct json *v = json_get(purpose, p->locale->tag);
    if (!v)
        v = json_get(purpose, S("ja"));
    if (!v && purpose && purpose->n)
        v = &purpose->members[0].value;
    return json_text(v);
}

static void write_scopes(struct page *p, struct str list)
{
    struct str word;
    json_w_key(&p->w, S("scopes"));
    json_w_array(&p->w);
    while (list.n && str_split(&list, ' ', &word)) {
        struct str key = str_concat(p->arena, S("consent.scope."), word);
        json_w_object(&p->w);
        if (locale_has(p->locale, key))
            json_w_kstr(&p->w, S("text"), page_text(p, key));
        else
            json_w_kstr(&p->w, S("scope"), word);
        json_w_end(&p->w);
    }
    json_w_end(&p->w);
}

static void write_question(struct page *p, const struct oidc_question *q, struct str interaction)
{
    struct json_writer *w = &p->w;
    json_w_kstr(w, S("interaction"), interaction);
    json_w_kstr(w, S("token"), q->token);
    json_w_kstr(w, S("client"), q->client);
    if (q->organization.n)
        json_w_kstr(w, S("organization"), q->organization);
    json_w_kstr(w, S("purpose"), purpose_text(p, q->purpose));
    if (q->policy_uri.n)
        json_w_kstr(w, S("policy"), q->policy_uri);
    json_w_kstr(w, S("host"), q->host.p ? q->host : S(""));
    json_w_ki64(w, S("until"), q->until);
    json_w_kbool(w, S("sandbox"), q->sandbox);
    json_w_kbool(w, S("device"), q->device);
    if (q->details)
        json_w_kstr(w, S("details"), json_to_text(p->arena, q->details));
    write_scopes(p, q->scope);
}

static enum http_answer get_consent(struct request *req, struct response *res, void *ctx)
{
    struct page p;
    struct session s;
    struct oidc_question q;
    struct error e = {0};
    struct str id = request_query(req, "interaction");
    if (!begin(&p, req, res, ctx))
        return HTTP_DONE;
    struct store_conn *c = reader(&p);
    if (!c)
        return HTTP_DONE;
    enum presence who = look_who(&p, c, &s);
    enum err err = who == PRESENT ? oidc_question(p.city->trust->oidc, c, req, id, &s, &q, &e) : OK;
    store_read_done(c);
    if (who == UNKNOWN)
        return HTTP_DONE;
    if (who == ABSENT) /* the provider knows where they sign in */
        return page_go(&p, str_concat(p.arena, S("/oidc/authorize/continue?interaction="),
                                      url_encode(p.arena, id.p ? id : S(""))));
    if (err)
        return page_fail(&p, &e);
    write_question(&p, &q, id);
    return page_send(&p, "consent", S("consent.title"));
}

/* --- devices --- */

static enum http_answer get_device(struct request *req, struct response *res, void *ctx)
{
    struct page p;
    struct session s;
    struct str code = request_query(req, "user_code"), wrong = request_query(req, "wrong");
    struct str done = request_query(req, "done");
    if (!begin(&p, req, res, ctx))
        return HTTP_DONE;
    struct store_conn *c = reader(&p);
    if (!c)
        return HTTP_DONE;
    enum presence who = look_who(&p, c, &s);
    store_read_done(c);
    if (who == UNKNOWN)
        return HTTP_DONE;
    if (who == ABSENT) {
        struct str back = str_concat(p.arena, page_href(&p, "device?user_code="),
                                     url_encode(p.arena, code.p ? code : S("")));
        return page_go(&p, str_concat(p.arena, page_href(&p, "sign-in?to="),
                                      url_encode(p.arena, back)));
    }
    json_w_kstr(&p.w, S("code"), code.p && str_is_utf8(code) ? str_cut(code, 20) : S(""));
    json_w_kstr(&p.w, S("token"), session_form_token(p.arena, &s, S("device")));
    json_w_kbool(&p.w, S("wrong"), str_eq(wrong, S("code")));
    json_w_kbool(&p.w, S("often"), str_eq(wrong, S("often")));
    json_w_kbool(&p.w, S("connected"), str_eq(done, S("yes")));
    json_w_kbool(&p.w, S("refused"), str_eq(done, S("no")));
    return page_send(&p, "device", S("device.title"));
}

/* --- signing out --- */

static void write_params(struct page *p)
{
    const struct http_pair *pairs;
    size_t n = request_query_all(p->req, &pairs);
    json_w_key(&p->w, S("params"));
    json_w_array(&p->w);
    for (size_t i = 0; i < n; i++) {
        if (!pairs[i].name.p || !pairs[i].value.p || !str_is_utf8(pairs[i].name) ||
            !str_is_utf8(pairs[i].value) || str_eq(pairs[i].name, S("token")))
            continue;
        json_w_object(&p->w);
        json_w_kstr(&p->w, S("name"), pairs[i].name);
        json_w_kstr(&p->w, S("value"), pairs[i].value);
        json_w_end(&p->w);
    }
    json_w_end(&p->w);
}

static enum http_answer get_leave(struct request *req, struct response *res, void *ctx)
{
    struct page p;
    struct session s;
    if (!begin(&p, req, res, ctx))
        return HTTP_DONE;
    struct store_conn *c = reader(&p);
    if (!c)
        return HTTP_DONE;
    enum presence who = look_who(&p, c, &s);
    store_read_done(c);
    if (who == UNKNOWN)
        return HTTP_DONE;
    if (who == ABSENT)
        return page_go(&p, p.base);
    json_w_kstr(&p.w, S("token"), session_form_token(p.arena, &s, S("logout")));
    write_params(&p);
    return page_send(&p, "leave", S("leave.title"));
}

/* --- without a language --- */

static enum http_answer get_plain(struct request *req, struct response *res, void *ctx)
{
    struct oidc_pages *o = ctx;
    const struct locale *l = frame_language(o->city.frame, req);
    response_redirect(req, res, 303,
                      str_printf(req->arena, "/%" STR_F "%" STR_F "%s%" STR_F, STR_A(l->path),
                                 STR_A(req->path), req->query.n ? "?" : "", STR_A(req->query)));
    response_header(req, res, "Vary", S("Accept-Language, Cookie"));
    response_header(req, res, "Cache-Control", S("no-store"));
    return HTTP_DONE;
}

static const struct route routes[] = {
    {"GET", "/{lang}/consent", get_consent, ROUTE_HIDDEN},
    {"GET", "/{lang}/device", get_device, ROUTE_HIDDEN},
    {"GET", "/{lang}/leave", get_leave, ROUTE_HIDDEN},
    {"GET", OIDC_CONSENT_PATH, get_plain, ROUTE_HIDDEN},
    {"GET", OIDC_DEVICE_PATH, get_plain, ROUTE_HIDDEN},
    {"GET", OIDC_LOGOUT_PATH, get_plain, ROUTE_HIDDEN},
};

static enum err start(const struct city *city, struct router *router, void **state, struct error *e)
{
    struct oidc_pages *o = calloc(1, sizeof(*o));
    if (!o)
        return error_set(e, ERR_INTERNAL, "out of memory");
    o->city = *city;
    if (city->trust->oidc)
        router_add(router, routes, sizeof(routes) / sizeof(routes[0]), o);
    *state = o;
    return OK;
}

static void stop(void *state)
{
    free(state);
}

const struct service oidc_pages_service = {
    .name = "oidc_pages",
    .start = start,
    .stop = stop,
};
