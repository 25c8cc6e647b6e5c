/*
 * The authorization endpoint, where a browser comes with a request and leaves with a code.
 *
 *     state        what is known                        next
 *     asked        a request that was checked           signed in enough? consented? else an
 *                                                       interaction is kept and the person led on
 *     signing in   the interaction                      /oidc/authorize/continue, asked again
 *     deciding     the interaction, at the consent      /oidc/authorize/decide: yes, consent and
 *                  page                                 code in one change; no, access_denied
 *     answered     the interaction and the pushed       nothing: both are gone, in the change that
 *                  request are dropped                  makes the code
 *
 * What was not dropped yet counts once: the change that finds nothing to drop gives nothing.
 */
#include "authz.h"

#define URN      "urn:ietf:params:oauth:request_uri:"
#define CONTINUE "/oidc/authorize/continue?interaction="

enum { CODE_BYTES = 32 };

struct asking {
    struct authz z;
    struct session s;
    bool signed_in;
    bool remember; /* the person has just agreed */
    struct grant grant;
    struct str code, to; /* where to go when the change is durable */
};

/* --- what is shown to the person --- */

/* Never sent to the client: its address is not sure. */
static enum http_answer stop(struct call *c, int status, const char *text)
{
    response_header(c->req, c->res, "Cache-Control", S("no-store"));
    response_problem(c->req, c->res, status, NULL, NULL, str_c(text));
    return HTTP_DONE;
}

static enum http_answer stop_error(struct call *c, const struct error *e)
{
    if (e->code == ERR_NOT_FOUND)
        return stop(c, 400, "this request is not known, or it is over: begin again");
    response_error(c->req, c->res, e);
    return HTTP_DONE;
}

static void go_on(struct call *c)
{
    const struct asking *q = c->own;
    call_go(c, q->to);
}

/* "/en", from the first of ui_locales that there is; empty: the page finds out by itself. */
static struct str page_base(const struct authz *z)
{
    static const struct {
        struct str tag, base;
    } bases[] = {{S_INIT("ja"), S_INIT("/ja")}, {S_INIT("ja-x-yasashii"), S_INIT("/easy")},
                 {S_INIT("en"), S_INIT("/en")}, {S_INIT("zh-Hans"), S_INIT("/zh")},
                 {S_INIT("zh"), S_INIT("/zh")}, {S_INIT("ko"), S_INIT("/ko")},
                 {S_INIT("vi"), S_INIT("/vi")}, {S_INIT("pt"), S_INIT("/pt")}};
    struct str list = z->ui_locales, tag;
    while (list.n && str_split(&list, ' ', &tag))
        for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++)
            if (str_eq_nocase(tag, bases[i].tag))
                return bases[i].base;
    return S("");
}

static struct str sign_in_page(struct call *c, const struct asking *q, bool fresh)
{
    struct str base = page_base(&q->z);
    struct str back = url_encode(c->a, str_concat(c->a, S(CONTINUE), q->z.id));
    return str_printf(c->a, "%" STR_F SESSION_SIGN_IN_PATH "?to=%" STR_F "%s%s%s", STR_A(base),
                      STR_A(back), q->z.acr > ACR_AAL1 ? "&acr=" : "",
                      q->z.acr > ACR_AAL1 ? acr_name(q->z.acr) : "", fresh ? "&fresh=1" : "");
}

static struct str consent_page(struct call *c, const struct asking *q)
{
    struct str base = page_base(&q->z);
    return str_printf(c->a, "%" STR_F OIDC_CONSENT_PATH "?interaction=%" STR_F, STR_A(base),
                      STR_A(q->z.id));
}

/* --- leading on --- */

static enum err keep_interaction(struct call *c, struct store_conn *conn, struct error *e)
{
    const struct asking *q = c->own;
    return request_keep(c, conn, REQUEST_INTERACTION, &q->z, q->z.id, c->o->options->interaction_s,
                        e);
}

/* A pushed request has one interaction, however often its page is loaded: so it is answered once.
 */
static struct str new_interaction(struct call *c, const struct authz *z)
{
    struct hash h = hash_sha256(str_concat(c->a, S("interaction:"), z->pushed));
    return z->pushed.p ? hash_b64(c->a, &h) : random_token(c->a, 32);
}

/* To the page that asks the person; an interaction is kept when there is none yet. */
static enum http_answer lead_on(struct call *c, struct asking *q, bool consent, bool fresh)
{
    bool kept = q->z.id.p != NULL;
    if (!kept)
        q->z.id = new_interaction(c, &q->z);
    q->to = consent ? consent_page(c, q) : sign_in_page(c, q, fresh);
    c->own = q;
    if (!kept)
        return call_write(c, keep_interaction, go_on);
    go_on(c);
    return HTTP_DONE;
}

/* --- the answer --- */

static struct str code_doc(struct call *c, const struct authz *z)
{
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    json_w_object(&w);
    json_w_kstr(&w, S("redirect_uri"), z->redirect_uri);
    json_w_kstr(&w, S("challenge"), z->challenge);
    if (z->jkt.p)
        json_w_kstr(&w, S("jkt"), z->jkt);
    json_w_end(&w);
    struct str text = buf_dup(&b, c->a);
    buf_release(&b);
    return text;
}

/* What the answer comes from is dropped with it; when it is gone already, somebody was faster. Of a
 * pushed request with an interaction only that must be there: the former may be over by now. */
static enum err drop_asked(struct call *c, struct store_conn *conn, const struct authz *z,
                           bool *first, struct error *e)
{
    int64_t n = 1;
    enum err err = OK;
    *first = true;
    if (z->pushed.p)
        err = request_drop(conn, z->pushed, &n, e);
    if (!err && z->id.p)
        err = request_drop(conn, z->id, &n, e);
    *first = n > 0;
    if (!err && !n)
        c->problem =
            (struct oauth_problem){400, "invalid_request", S("this request was answered already")};
    return err;
}

static enum err remember(struct call *c, struct store_conn *conn, const struct asking *q,
                         struct error *e)
{
    struct store_rows rows;
    struct str old = S("");
    store_query(conn, &rows, "SELECT scope FROM oidc_consent WHERE account = $1 AND client = $2",
                SV(SV_INT(q->s.account), SV_TEXT(c->client->id)));
    if (store_next(&rows))
        old = str_dup(c->a, store_text(&rows, 0));
    enum err err = store_end(&rows, e);
    struct str both = str_printf(c->a, "%" STR_F " %" STR_F, STR_A(old), STR_A(q->z.words));
    return err ? err
               : store_exec(conn,
                            "INSERT INTO oidc_consent(account, client, scope, made)"
                            " VALUES ($1, $2, $3, $4) ON CONFLICT (account, client)"
                            " DO UPDATE SET scope = excluded.scope, made = excluded.made",
                            SV(SV_INT(q->s.account), SV_TEXT(c->client->id),
                               SV_TEXT(scope_within(c->a, both, both)), SV_INT(c->now)),
                            NULL, e);
}

/* A sign-out may have been faster than the answer: what it ended must not get a grant more. */
static enum err still_there(struct call *c, struct store_conn *conn, const struct asking *q,
                            bool *there, struct error *e)
{
    int64_t n = 0;
    enum err err =
        store_get_int(conn, &n, "SELECT COUNT(*) FROM session WHERE id = $1 AND ended = 0",
                      SV(SV_INT(q->s.id)), e);
    *there = n > 0;
    if (!err && !n)
        c->problem = (struct oauth_problem){400, "access_denied", S("signed out meanwhile")};
    return err;
}

static enum err make_code(struct call *c, struct store_conn *conn, struct error *e)
{
    struct asking *q = c->own;
    bool first = false, there = false;
    enum err err = still_there(c, conn, q, &there, e);
    if (err || !there)
        return err;
    err = drop_asked(c, conn, &q->z, &first, e);
    if (err || !first)
        return err;
    if (q->remember)
        err = remember(c, conn, q, e);
    if (!err)
        err = grant_make(c, conn, &q->grant, e);
    if (!err && q->z.device.p)
        return device_decided(c, conn, &q->z, q->grant.n, e);
    struct hash h = hash_sha256(q->code);
    return err ? err
               : store_exec(conn,
                            "INSERT INTO oidc_code(hash, grant_n, client, doc, expires, used)"
                            " VALUES ($1, $2, $3, $4, $5, 0)",
                            SV(SV_BLOB(hash_bytes(&h)), SV_INT(q->grant.n), SV_TEXT(c->client->id),
                               SV_TEXT(code_doc(c, &q->z)),
                               SV_INT(c->now + c->o->options->code_s * SECOND_US)),
                            NULL, e);
}

static enum http_answer give_code(struct call *c, struct store_conn *conn, struct asking *q)
{
    struct error e = {0};
    q->code = random_token(c->a, CODE_BYTES);
    if (grant_of(c, conn, &q->z, &q->s, &q->grant, &e))
        return stop_error(c, &e);
    struct http_pair code = {S("code"), q->code};
    q->to = q->z.device.p ? str_concat(c->a, page_base(&q->z), S(OIDC_DEVICE_PATH "?done=yes"))
                          : redirect_text(c, &q->z, &code, 1);
    c->own = q;
    return call_write(c, make_code, go_on);
}

/* --- what is still missing? --- */

static bool wants_proof(struct call *c, const struct asking *q)
{
    const struct authz *z = &q->z;
    int64_t asked = z->id.p ? z->asked : c->now;
    if (z->login && q->s.authenticated < asked)
        return true;
    return z->max_age >= 0 && q->s.authenticated < asked &&
           c->now - q->s.authenticated > z->max_age * SECOND_US;
}

/* id_token.sub.value of the claims parameter: nobody else will do (OpenID Connect Core 5.5.1). */
static enum err is_asked_for(struct call *c, const struct asking *q, bool *same, struct error *e)
{
    const struct json *sub = json_get(json_get(q->z.claims, S("id_token")), S("sub"));
    struct str want = json_text(json_get(sub, S("value"))), is;
    enum err err = want.p ? subject_of(c->o, c->a, c->client->sector, q->s.account, &is, e) : OK;
    *same = !want.p || (!err && str_eq(want, is));
    return err;
}

static enum err has_agreed(struct call *c, struct store_conn *conn, const struct asking *q,
                           bool *agreed, struct error *e)
{
    struct store_rows rows;
    struct str list = q->z.words, word, given = STR_NONE;
    *agreed = true;
    /* Not for a device: that the code was typed in here proves nothing of where it is shown. */
    if (c->client->trusted && !q->z.device.p)
        return OK;
    store_query(conn, &rows, "SELECT scope FROM oidc_consent WHERE account = $1 AND client = $2",
                SV(SV_INT(q->s.account), SV_TEXT(c->client->id)));
    if (store_next(&rows))
        given = str_dup(c->a, store_text(&rows, 0));
    *agreed = given.p && !q->z.details && !q->z.consent && !q->z.device.p;
    while (list.n && str_split(&list, ' ', &word))
        *agreed = *agreed && scope_has(given, word);
    return store_end(&rows, e);
}

static enum err look_who(struct call *c, struct store_conn *conn, struct asking *q, struct error *e)
{
    enum err err = session_read(c->o->trust, conn, c->req, &q->s, e);
    q->signed_in = err == OK;
    return err == ERR_UNAUTHENTICATED ? OK : err;
}

/* The request is good; who is there, and have they agreed? */
static enum http_answer next_step(struct call *c, struct store_conn *conn, struct asking *q)
{
    struct error e = {0};
    bool same = true, agreed = false;
    if (look_who(c, conn, q, &e))
        return stop_error(c, &e);
    bool fresh = q->signed_in && wants_proof(c, q);
    bool weak = q->signed_in && q->s.acr < q->z.acr;
    if (q->z.none && (!q->signed_in || fresh))
        return redirect_error(c, &q->z, "login_required", "nobody is signed in, or too long ago");
    if (q->z.none && weak)
        return redirect_error(c, &q->z, "unmet_authentication_requirements",
                              "a stronger sign-in is needed");
    if (!q->signed_in || fresh || weak)
        return lead_on(c, q, false, fresh || (!q->signed_in && q->z.login));
    if (is_asked_for(c, q, &same, &e) || has_agreed(c, conn, q, &agreed, &e))
        return stop_error(c, &e);
    if (!same)
        return redirect_error(c, &q->z, "login_required", "somebody else is signed in");
    if (!agreed && q->z.none)
        return redirect_error(c, &q->z, "consent_required", "the person must be asked");
    return agreed ? give_code(c, conn, q) : lead_on(c, q, true, false);
}

/* --- where requests come from --- */

static enum err load_pushed(struct call *c, struct store_conn *conn, struct asking *q,
                            struct error *e)
{
    struct str uri = call_param(c, "request_uri"), client = call_param(c, "client_id");
    if (!str_starts(uri, S(URN)))
        return error_set(e, ERR_NOT_FOUND, "a request_uri of somebody else");
    struct str id = str_from(uri, sizeof(URN) - 1);
    enum err err = request_load(c, conn, REQUEST_PUSHED, id, &q->z, e);
    if (!err && c->client && !str_eq(c->client->id, client))
        return error_set(e, ERR_NOT_FOUND, "it was pushed by another client");
    q->z.pushed = id;
    return err;
}

static enum http_answer authorize(struct call *c, struct store_conn *conn)
{
    struct asking *q = ARENA_NEW(c->a, struct asking);
    struct error e = {0};
    const char *text, *code;
    struct str client = call_param(c, "client_id");
    bool pushed = call_param(c, "request_uri").p != NULL;
    enum err err = OK;
    if (pushed) {
        err = load_pushed(c, conn, q, &e);
    } else {
        c->client = ARENA_NEW(c->a, struct oidc_client);
        err = client_read(conn, c->a, client, c->client, &e);
        if (err == ERR_NOT_FOUND)
            return stop(c, 400, "the client is not known here");
        q->z.jkt = call_param(c, "dpop_jkt");
    }
    if (err)
        return stop_error(c, &e);
    if ((text = authz_target(c, &q->z)))
        return stop(c, 400, text);
    q->z.state = call_param(c, "state");
    if (c->client->pushes && !pushed)
        return redirect_error(c, &q->z, "invalid_request", "this client must push its requests");
    if ((code = authz_check(c, &q->z, &text)))
        return redirect_error(c, &q->z, code, text);
    return next_step(c, conn, q);
}

/* Back from signing in, or from the page that asks: the interaction, checked again. *answered: the
 * response is filled. */
static struct asking *resume(struct call *c, struct store_conn *conn, enum http_answer *answer)
{
    struct asking *q = ARENA_NEW(c->a, struct asking);
    struct error e = {0};
    const char *text = NULL, *code;
    struct str id = call_param(c, "interaction");
    enum err err = id.p ? request_load(c, conn, REQUEST_INTERACTION, id, &q->z, &e)
                        : error_set(&e, ERR_NOT_FOUND, "no interaction");
    q->z.id = id;
    if (err)
        *answer = stop_error(c, &e);
    else if (!c->client)
        *answer = stop(c, 400, "the client is not known here any more");
    else if (!q->z.device.p && (text = authz_target(c, &q->z)))
        *answer = stop(c, 400, text);
    else if ((code = authz_check(c, &q->z, &text)))
        *answer = q->z.device.p ? stop(c, 400, text) : redirect_error(c, &q->z, code, text);
    else
        return q;
    return NULL;
}

static enum http_answer go_further(struct call *c, struct store_conn *conn)
{
    enum http_answer answer = HTTP_DONE;
    struct asking *q = resume(c, conn, &answer);
    return q ? next_step(c, conn, q) : answer;
}

/* --- the person's answer --- */

static enum err drop_denied(struct call *c, struct store_conn *conn, struct error *e)
{
    const struct asking *q = c->own;
    bool first;
    enum err err = drop_asked(c, conn, &q->z, &first, e);
    return err || !first || !q->z.device.p ? err : device_decided(c, conn, &q->z, 0, e);
}

static enum http_answer deny(struct call *c, struct asking *q)
{
    struct http_pair params[] = {{S("error"), S("access_denied")},
                                 {S("error_description"), S("the person said no")}};
    q->to = q->z.device.p ? str_concat(c->a, page_base(&q->z), S(OIDC_DEVICE_PATH "?done=no"))
                          : redirect_text(c, &q->z, params, 2);
    c->own = q;
    return call_write(c, drop_denied, go_on);
}

static enum http_answer take_answer(struct call *c, struct store_conn *conn)
{
    enum http_answer answer = HTTP_DONE;
    struct error e = {0};
    struct str said = call_param(c, "answer"), token = call_param(c, "token");
    bool same = true;
    struct asking *q = resume(c, conn, &answer);
    if (!q)
        return answer;
    if (look_who(c, conn, q, &e))
        return stop_error(c, &e);
    /* Only the page that was shown to this person, in this session, says yes. */
    if (!q->signed_in ||
        !session_form_ok(c->a, &q->s, str_concat(c->a, S("consent:"), q->z.id), token))
        return stop(c, 403, "this form is not yours, or it is too old");
    if (q->s.acr < q->z.acr || wants_proof(c, q))
        return lead_on(c, q, false, true);
    if (is_asked_for(c, q, &same, &e))
        return stop_error(c, &e);
    if (!same)
        return redirect_error(c, &q->z, "login_required", "somebody else is signed in");
    if (!str_eq(said, S("yes")))
        return deny(c, q);
    q->remember = !q->z.details && !q->z.device.p;
    return give_code(c, conn, q);
}

/* --- what the page shows --- */

enum err oidc_question(struct oidc *o, struct store_conn *conn, struct request *req,
                       struct str interaction, const struct session *s, struct oidc_question *out,
                       struct error *e)
{
    struct authz z = {0};
    const char *text;
    struct call c = {.o = o,
                     .req = req,
                     .a = req->arena,
                     .now = clock_now(o->trust->clock),
                     .issuer = oidc_issuer(o, req)};
    enum err err = request_load(&c, conn, REQUEST_INTERACTION, interaction, &z, e);
    if (err)
        return err;
    if (!c.client || (!z.device.p && authz_target(&c, &z)) || authz_check(&c, &z, &text))
        return error_set(e, ERR_NOT_FOUND, "there is no such request, or it is over");
    int64_t life = c.client->grants & GRANT_REFRESH ? o->options->refresh_s : o->options->access_s;
    *out = (struct oidc_question){
        .client = c.client->name,
        .organization = json_text(json_get(c.client->doc, S("organization"))),
        .purpose = json_get(c.client->doc, S("purpose")),
        .policy_uri = json_text(json_get(c.client->doc, S("policy_uri"))),
        .host = z.device.p ? STR_NONE : uri_host(z.redirect_uri),
        .scope = z.words,
        .details = z.details,
        .sandbox = c.client->sandbox,
        .device = z.device.p != NULL,
        .until = c.now + life * SECOND_US,
        .token = session_form_token(req->arena, s, str_concat(c.a, S("consent:"), interaction))};
    return OK;
}

/* --- routes --- */

static enum http_answer get_authorize(struct request *req, struct response *res, void *ctx)
{
    return call_run(req, res, ctx, get_authorize, CALL_QUERY | CALL_PAGE, authorize);
}

static enum http_answer post_authorize(struct request *req, struct response *res, void *ctx)
{
    return call_run(req, res, ctx, post_authorize, CALL_FORM | CALL_PAGE, authorize);
}

static enum http_answer get_continue(struct request *req, struct response *res, void *ctx)
{
    return call_run(req, res, ctx, get_continue, CALL_QUERY | CALL_PAGE, go_further);
}

static enum http_answer post_decide(struct request *req, struct response *res, void *ctx)
{
    return call_run(req, res, ctx, post_decide, CALL_FORM | CALL_PAGE, take_answer);
}

static const struct route routes[] = {
    {"GET", "/oidc/authorize", get_authorize, 0},
    {"POST", "/oidc/authorize", post_authorize, 0},
    {"GET", "/oidc/authorize/continue", get_continue, 0},
    {"POST", "/oidc/authorize/decide", post_decide, 0},
};

void authorize_routes(struct oidc *o, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), o);
}
