#include "console.h"
#include "core/log.h"
#include "crypto/hash.h"
#include "look.h"
#include "trust/session.h"
#include <stdlib.h>
#include <string.h>

enum { SESSION_S = 8 * 3600, BAD_LOGINS = 10 };

static const char cookie_name[] = "console";

/* --- sessions --- */

static struct str signature(const struct console *c, struct arena *a, struct str what,
                            struct str text)
{
    struct str fields[] = {str_n((const char *)c->secret, CONSOLE_SECRET), what, text};
    struct hash h = hash_blake2b_fields(fields, COUNT(fields));
    return hex_encode(a, str_n((const char *)h.b, 20));
}

/* "KIND.EXPIRES.NONCE.SIGNATURE"; kind "staff" for the operator's token, "local" for loopback. */
static struct str session_make(const struct console *c, struct arena *a, const char *kind)
{
    int64_t now = clock_now(c->portal->city.clock);
    struct str head =
        str_printf(a, "%s.%lld.%" STR_F, kind, (long long)(now / SECOND_US + SESSION_S),
                   STR_A(random_token(a, 16)));
    return str_printf(a, "%" STR_F ".%" STR_F, STR_A(head),
                      STR_A(signature(c, a, S("session"), head)));
}

static bool session_valid(const struct console *c, struct arena *a, struct str cookie,
                          const char *kind)
{
    struct str rest = cookie, name = STR_NONE, expires = STR_NONE;
    int64_t until;
    ptrdiff_t dot = -1;
    for (size_t i = 0; i < cookie.n; i++)
        dot = cookie.p[i] == '.' ? (ptrdiff_t)i : dot;
    if (dot < 0 || cookie.n > 200)
        return false;
    struct str head = str_sub(cookie, 0, (size_t)dot), sign = str_from(cookie, (size_t)dot + 1);
    if (!bytes_equal(sign, signature(c, a, S("session"), head)))
        return false;
    str_split(&rest, '.', &name);
    str_split(&rest, '.', &expires);
    return str_eq(name, str_c(kind)) && str_to_i64(expires, &until) &&
           clock_now(c->portal->city.clock) / SECOND_US < until;
}

/* --- who may enter --- */

/* The account that is signed in in this browser; id 0: none. *operates: it may use the console. */
static struct session account_session(const struct portal *p, const struct request *req,
                                      bool *operates)
{
    struct session s = {0};
    const struct role *roles;
    size_t n = 0;
    struct error e = {0};
    *operates = false;
    struct store_conn *c = session_is_shown(req) ? store_read(p->city.store, &e) : NULL;
    if (!c)
        return s;
    if (session_read(p->city.trust, c, req, &s, &e))
        s = (struct session){0};
    else if (!account_roles(c, req->arena, s.account, clock_now(p->city.clock), &roles, &n, &e))
        *operates = s.acr >= ACR_AAL2 && role_is_among(roles, n, ROLE_OPERATOR);
    store_read_done(c);
    return s;
}

bool console_allows(const struct portal *p, const struct request *req)
{
    bool operates;
    if (request_is_local(req) ||
        session_valid(p->console, req->arena, request_cookie(req, cookie_name), "staff"))
        return true;
    account_session(p, req, &operates);
    return operates;
}

static struct str form_token(const struct console *c, struct arena *a, struct str cookie)
{
    return signature(c, a, S("form"), cookie);
}

/* What forms are bound to: the console's cookie, or the session of an account. Absent: neither. */
static struct str form_binding(struct page *p)
{
    struct console *c = portal_of(p)->console;
    struct str cookie = request_cookie(p->req, cookie_name);
    bool operates;
    if (session_valid(c, p->arena, cookie, "staff") || session_valid(c, p->arena, cookie, "local"))
        return cookie;
    struct session s = account_session(portal_of(p), p->req, &operates);
    return operates ? str_concat(p->arena, S("account."), s.form_key) : STR_NONE;
}

/* A client on this machine gets a cookie at its first page. */
static struct str own_session(struct page *p)
{
    struct str bound = form_binding(p);
    if (bound.p || !request_is_local(p->req))
        return bound;
    bound = session_make(portal_of(p)->console, p->arena, "local");
    response_cookie(p->req, p->res, cookie_name, bound, SESSION_S, false);
    return bound;
}

static struct str account_sign_in(struct page *p)
{
    return page_href(p, "sign-in?to=%" STR_F "&acr=aal2",
                     STR_A(url_encode(p->arena, page_href(p, "console"))));
}

static void refuse(struct page *p)
{
    bool operates, asks = str_eq(p->req->method, S("GET"));
    struct session s = account_session(portal_of(p), p->req, &operates);
    if (asks && s.id && s.acr < ACR_AAL2) {
        page_go(p, account_sign_in(p));
        return;
    }
    if (asks && !s.id && portal_of(p)->options->console_token[0]) {
        page_go(p, page_href(p, "console/login"));
        return;
    }
    struct error e;
    error_set(&e, ERR_FORBIDDEN, "the console is for the city's staff");
    page_fail(p, &e);
}

bool console_begin(struct page *p, struct portal *portal, struct request *req, struct response *res,
                   const char *section)
{
    if (!portal_page(p, portal, req, res, "console"))
        return false;
    p->private_page = true;
    struct str session = console_allows(portal, req) ? own_session(p) : STR_NONE;
    if (!session.p) {
        refuse(p);
        return false;
    }
    json_w_kstr(&p->w, S("csrf"), form_token(portal->console, p->arena, session));
    json_w_kbool(&p->w, S("canLeave"), str_starts(session, S("staff.")));
    json_w_key(&p->w, S("section"));
    json_w_object(&p->w);
    json_w_kbool(&p->w, str_c(section), true);
    json_w_end(&p->w);
    return true;
}

bool console_form_ok(struct page *p, struct str token)
{
    struct console *c = portal_of(p)->console;
    struct str bound = form_binding(p);
    if (bound.n && token.n && bytes_equal(token, form_token(c, p->arena, bound)))
        return true;
    struct error e;
    error_set(&e, ERR_FORBIDDEN, "the form is no longer valid; open it again");
    page_fail(p, &e);
    return false;
}

/* --- login --- */

static bool too_many_bad(struct console *c, bool another)
{
    int64_t now = clock_steady(c->portal->city.clock);
    pthread_mutex_lock(&c->lock);
    if (now - c->bad_since > MINUTE_US) {
        c->bad_since = now;
        c->bad_logins = 0;
    }
    c->bad_logins += another;
    bool too_many = c->bad_logins >= BAD_LOGINS;
    pthread_mutex_unlock(&c->lock);
    return too_many;
}

/* Compared as hashes, so that not even the length shows in the time it takes. */
static bool same_secret(struct str given, struct str token)
{
    struct hash x = hash_blake2b(given), y = hash_blake2b(token);
    bool same =
        bytes_equal(str_n((const char *)x.b, HASH_BYTES), str_n((const char *)y.b, HASH_BYTES));
    return same && token.n > 0;
}

static enum http_answer get_login(struct request *req, struct response *res, void *ctx)
{
    struct portal *portal = ctx;
    struct page p;
    if (!portal_page(&p, portal, req, res, "console"))
        return HTTP_DONE;
    p.private_page = true;
    if (console_allows(portal, req)) {
        return page_go(&p, page_href(&p, "console"));
    }
    json_w_kbool(&p.w, S("possible"), portal->options->console_token[0] != 0);
    json_w_kstr(&p.w, S("account"), account_sign_in(&p));
    return page_send(&p, "login", S("login.title"));
}

/* No session exists yet, so there is no form token: a foreign site that posts here could only sign
 * the reader in to the console with a token it knows itself. */
static enum http_answer post_login(struct request *req, struct response *res, void *ctx)
{
    struct portal *portal = ctx;
    struct str given = page_field(req, "token");
    struct str token = str_c(portal->options->console_token);
    struct page p;
    if (!portal_page(&p, portal, req, res, "console"))
        return HTTP_DONE;
    p.private_page = true;
    if (too_many_bad(portal->console, false)) {
        struct error e;
        error_set(&e, ERR_TOO_MANY, "too many attempts; wait a minute");
        return page_fail(&p, &e);
    }
    if (same_secret(given, token)) {
        response_cookie(req, res, cookie_name, session_make(portal->console, req->arena, "staff"),
                        SESSION_S, false);
        return page_go(&p, page_href(&p, "console"));
    }
    too_many_bad(portal->console, true);
    log_event(LOG_WARN, "portal.bad_login", LOG_S("request", req->id));
    p.status = 403;
    json_w_kbool(&p.w, S("possible"), token.n > 0);
    json_w_kbool(&p.w, S("wrong"), true);
    json_w_kstr(&p.w, S("account"), account_sign_in(&p));
    return page_send(&p, "login", S("login.title"));
}

static enum http_answer post_logout(struct request *req, struct response *res, void *ctx)
{
    struct page p;
    if (!console_begin(&p, ctx, req, res, "none") || !console_form_ok(&p, page_field(req, "csrf")))
        return HTTP_DONE;
    response_cookie(req, res, cookie_name, S(""), 0, false);
    return page_go(&p, p.base);
}

/* --- sources and freshness --- */

static struct str interval_text(struct page *p, int64_t us)
{
    static const struct {
        int64_t us;
        const char *key;
    } units[] = {{DAY_US, "every.days"},
                 {HOUR_US, "every.hours"},
                 {MINUTE_US, "every.minutes"},
                 {SECOND_US, "every.seconds"}};
    size_t i = 0;
    while (i + 1 < COUNT(units) && us % units[i].us != 0)
        i++;
    struct json_member m = json_m(S("n"), json_v_i64(p->arena, us / units[i].us));
    struct json args = json_v_object(&m, 1);
    return locale_text(p->locale, p->arena, str_c(units[i].key), &args);
}

struct source_list {
    struct page *page;
    int64_t all, stale;
    bool write;
};

static bool take_source(void *ctx, const struct source_status *s)
{
    static const char *const states[] = {[FRESH_UNKNOWN] = "unknown",
                                         [FRESH_OK] = "fresh",
                                         [FRESH_STALE] = "stale",
                                         [FRESH_SILENT] = "silent"};
    struct source_list *l = ctx;
    struct page *p = l->page;
    l->all++;
    l->stale += s->state == FRESH_STALE || s->state == FRESH_SILENT;
    if (!l->write)
        return true;
    struct str type = look_short(p->arena, s->type);
    json_w_object(&p->w);
    json_w_kstr(&p->w, S("name"), s->name.n ? s->name : s->id);
    json_w_kstr(&p->w, S("href"), page_href(p, "e/%" STR_F, STR_A(url_encode(p->arena, s->id))));
    json_w_kstr(&p->w, S("type"), look_type_label(p->arena, p->locale, type));
    json_w_kstr(&p->w, S("interval"), interval_text(p, s->interval_us));
    if (s->last_update)
        json_w_kstr(&p->w, S("updated"), locale_datetime(p->locale, p->arena, s->last_update));
    if (s->stale_since)
        json_w_kstr(&p->w, S("since"), locale_datetime(p->locale, p->arena, s->stale_since));
    json_w_key(&p->w, S("fresh"));
    json_w_object(&p->w);
    json_w_kstr(&p->w, S("state"), str_c(states[s->state]));
    json_w_kstr(&p->w, S("label"),
                page_text(p, str_c(arena_printf(p->arena, "fresh.%s", states[s->state]))));
    json_w_end(&p->w);
    json_w_end(&p->w);
    return true;
}

static void each_source(struct source_list *l)
{
    if (l->page->city->freshness)
        freshness_each(l->page->city->freshness, PORTAL_TENANT, take_source, l);
}

static enum http_answer get_sources(struct request *req, struct response *res, void *ctx)
{
    struct page p;
    if (!console_begin(&p, ctx, req, res, "sources"))
        return HTTP_DONE;
    struct source_list l = {.page = &p, .write = true};
    json_w_key(&p.w, S("sources"));
    json_w_array(&p.w);
    each_source(&l);
    json_w_end(&p.w);
    return page_send(&p, "console-sources", S("sources.title"));
}

static void write_count(struct page *p, struct str key, int64_t n)
{
    json_w_kstr(&p->w, key,
                locale_number(p->locale, p->arena, str_printf(p->arena, "%lld", (long long)n)));
}

/* --- overview --- */

static enum http_answer get_console(struct request *req, struct response *res, void *ctx)
{
    int64_t oldest = 0, newest = 0;
    struct error e = {0};
    struct page p;
    if (!console_begin(&p, ctx, req, res, "overview"))
        return HTTP_DONE;
    struct store_conn *c = page_reader(&p);
    if (!c)
        return HTTP_DONE;
    enum err err = journal_range(c, PORTAL_TENANT, &oldest, &newest, &e);
    store_read_done(c);
    if (err)
        return page_fail(&p, &e);
    struct source_list sources = {.page = &p};
    each_source(&sources);
    write_count(&p, S("changes"), newest);
    write_count(&p, S("sourceCount"), sources.all);
    json_w_ki64(&p.w, S("staleCount"), sources.stale);
    console_count_subscriptions(&p);
    json_w_kbool(&p.w, S("degraded"), store_degraded(p.city->store, &e));
    json_w_kstr(&p.w, S("store"), str_c(store_engine(p.city->store)));
    console_write_jobs(&p);
    return page_send(&p, "console", S("console.title"));
}

const struct route console_routes[] = {
    {"GET", "/{lang}/console", get_console, ROUTE_HIDDEN},
    {"GET", "/{lang}/console/login", get_login, ROUTE_HIDDEN},
    {"POST", "/{lang}/console/login", post_login, ROUTE_HIDDEN},
    {"POST", "/{lang}/console/logout", post_logout, ROUTE_HIDDEN},
    {"GET", "/{lang}/console/sources", get_sources, ROUTE_HIDDEN},
    {"GET", "/{lang}/console/subscriptions", console_get_subscriptions, ROUTE_HIDDEN},
    {"GET", "/{lang}/console/subscriptions/{id}", console_get_delivery, ROUTE_HIDDEN},
    {"POST", "/{lang}/console/subscriptions/{id}", console_post_delivery, ROUTE_HIDDEN},
    {"GET", "/{lang}/console/nodes", console_get_nodes, ROUTE_HIDDEN},
    {"POST", "/{lang}/console/nodes", console_post_nodes, ROUTE_HIDDEN},
    {"GET", "/{lang}/console/keys", console_get_keys, ROUTE_HIDDEN},
    {"POST", "/{lang}/console/keys", console_post_keys, ROUTE_HIDDEN},
    {"GET", "/{lang}/console/policies", console_get_policy, ROUTE_HIDDEN},
    {"POST", "/{lang}/console/policies", console_post_policy, ROUTE_HIDDEN},
    {"GET", "/{lang}/console/import", console_get_import, ROUTE_HIDDEN},
    {"POST", "/{lang}/console/import", console_post_import, ROUTE_HIDDEN | ROUTE_BIG_BODY},
    {"GET", "/{lang}/console/import/{id:int}", console_get_job, ROUTE_HIDDEN},
    {"GET", "/{lang}/console/import/{id:int}/progress", console_get_progress, ROUTE_HIDDEN},
};
const size_t console_routes_n = COUNT(console_routes);

struct console *console_new(struct portal *p)
{
    struct console *c = calloc(1, sizeof(*c));
    if (!c)
        abort();
    c->portal = p;
    random_bytes(c->secret, sizeof(c->secret));
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->idle, NULL);
    return c;
}

void console_free(struct console *c)
{
    console_free_jobs(c);
    pthread_cond_destroy(&c->idle);
    pthread_mutex_destroy(&c->lock);
    free(c);
}
