/*
 * /trust/v1/my/consents: a person's own, with their session.
 *
 *     GET   /trust/v1/my/consents                all
 *     GET   /trust/v1/my/consents/{id}           one: what it says in "?lang=", what became of it,
 *                                                and the token to answer with
 *     POST  /trust/v1/my/consents/{id}           {"answer": "give", "refuse" or "withdraw", "lang",
 *                                                "notice": hash of what was shown, "token"}
 *     GET   /trust/v1/my/consents/{id}/receipt   signed; "?format=fhir": a Consent of FHIR R4
 */
#include "consent_impl.h"
#include "core/datetime.h"
#include "oidc_impl.h"

#define FORM "consent:"

struct job {
    struct store_change change;
    struct trust *trust;
    struct request *req;
    struct response *res;
    struct session session;
    struct str id;
    enum consent_step step;
    struct consent_evidence how;
};

static struct str lang_of(struct str asked)
{
    return catalogue_code_ok(asked) && asked.n <= 20 ? asked : S("ja");
}

static struct str form_of(struct arena *a, struct str id)
{
    return str_concat(a, S(FORM), id);
}

/* Somebody who is signed in, and a reader, to be given back. NULL: the response is filled. */
static struct store_conn *open_own(struct consents *s, struct request *req, struct response *res,
                                   struct session *session)
{
    struct error e = {0};
    struct store_conn *c = store_read(s->trust->store, &e);
    if (c && !session_read(s->trust, c, req, session, &e))
        return c;
    if (c)
        store_read_done(c);
    answer_error(req, res, &e);
    return NULL;
}

/* --- seeing --- */

static void write_record(struct arena *a, struct json_writer *w, const struct consent_record *r)
{
    struct period valid = terms_period(r->terms);
    json_w_kstr(w, S("id"), r->id);
    json_w_kstr(w, S("state"), str_c(consent_step_name(r->state)));
    json_w_kstr(w, S("requested_at"), datetime_text(a, r->made));
    json_w_kstr(w, S("recipient"),
                json_text(json_get(json_get(r->terms, S("recipient")), S("code"))));
    json_w_key(w, S("purposes"));
    json_w_value(w, json_get(r->terms, S("purposes")));
    json_w_key(w, S("categories"));
    json_w_value(w, json_get(r->terms, S("categories")));
    json_w_kstr(w, S("from"), datetime_text(a, valid.from));
    json_w_kstr(w, S("until"), datetime_text(a, valid.until));
}

static enum http_answer get_consents(struct request *req, struct response *res, void *ctx)
{
    struct consents *s = ctx;
    struct session who;
    struct error e = {0};
    const struct consent_record *list;
    size_t n = 0;
    struct store_conn *c = open_own(s, req, res, &who);
    if (!c)
        return HTTP_DONE;
    enum err err = consent_list(s->trust, c, req->arena, who.account, &list, &n, &e);
    store_read_done(c);
    if (err)
        return answer_error(req, res, &e);
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    json_w_array(&w);
    for (size_t i = 0; i < n; i++) {
        json_w_object(&w);
        write_record(req->arena, &w, &list[i]);
        json_w_end(&w);
    }
    json_w_end(&w);
    answer_json(req, res, 200, &b);
    return HTTP_DONE;
}

static void write_events(struct arena *a, struct json_writer *w, const struct consent_record *r)
{
    json_w_key(w, S("events"));
    json_w_array(w);
    for (size_t i = 0; i < r->n_events; i++) {
        const struct consent_event *x = &r->events[i];
        json_w_object(w);
        json_w_kstr(w, S("state"), str_c(consent_step_name(x->step)));
        json_w_kstr(w, S("at"), datetime_text(a, x->at));
        json_w_ki64(w, S("log_entry"), x->leaf);
        if (x->evidence.notice.p) {
            json_w_kstr(w, S("notice"), x->evidence.notice);
            json_w_kstr(w, S("lang"), x->evidence.lang);
            json_w_kstr(w, S("acr"), str_c(acr_name(x->evidence.acr)));
            json_w_kstr(w, S("method"), x->evidence.method);
        }
        json_w_end(w);
    }
    json_w_end(w);
}

static enum http_answer get_consent(struct request *req, struct response *res, void *ctx)
{
    struct consents *s = ctx;
    struct session who;
    struct consent_record r;
    struct str text, hash, id = request_param(req, "id");
    struct error e = {0};
    struct store_conn *c = open_own(s, req, res, &who);
    if (!c)
        return HTTP_DONE;
    enum err err = consent_read(s->trust, c, req->arena, who.account, id, &r, &e);
    if (!err)
        err = consent_notice(c, req->arena, &r, lang_of(request_query(req, "lang")), &text, &hash,
                             &e);
    store_read_done(c);
    if (err)
        return answer_error(req, res, &e);
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    json_w_object(&w);
    write_record(req->arena, &w, &r);
    write_events(req->arena, &w, &r);
    json_w_kstr(&w, S("shown"), text); /* as a text: its hash is over these very bytes */
    json_w_kstr(&w, S("notice"), hash);
    json_w_kstr(&w, S("token"), session_form_token(req->arena, &who, form_of(req->arena, id)));
    json_w_end(&w);
    answer_json(req, res, 200, &b);
    return HTTP_DONE;
}

/* --- answering --- */

static enum err apply(struct store_conn *c, void *ctx, struct error *e)
{
    struct job *j = ctx;
    return consent_answer(j->trust, c, j->req->arena, j->session.account, j->id, j->step, &j->how,
                          e);
}

static void done(void *ctx, enum err code, const struct error *e)
{
    struct job *j = ctx;
    if (code) {
        answer_error(j->req, j->res, e);
    } else {
        struct buf b = BUF_INIT;
        struct json_writer w = json_writer(&b);
        json_w_object(&w);
        json_w_kstr(&w, S("id"), j->id);
        json_w_kstr(&w, S("state"), str_c(consent_step_name(j->step)));
        json_w_end(&w);
        answer_json(j->req, j->res, 200, &b);
    }
    http_resume(j->req);
}

static bool read_step(struct str name, enum consent_step *out)
{
    static const struct {
        struct str name;
        enum consent_step step;
    } answers[] = {{S_INIT("give"), CONSENT_STEP_GIVEN},
                   {S_INIT("refuse"), CONSENT_STEP_REFUSED},
                   {S_INIT("withdraw"), CONSENT_STEP_WITHDRAWN}};
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        if (str_eq(name, answers[i].name)) {
            *out = answers[i].step;
            return true;
        }
    }
    return false;
}

static enum http_answer post_consent(struct request *req, struct response *res, void *ctx)
{
    struct consents *s = ctx;
    struct job *j = ARENA_NEW(req->arena, struct job);
    struct error e = {0};
    *j = (struct job){.trust = s->trust, .req = req, .res = res, .id = request_param(req, "id")};
    struct store_conn *c = open_own(s, req, res, &j->session);
    if (!c)
        return HTTP_DONE;
    store_read_done(c);
    const struct json *body = json_body(req, &e);
    if (!body)
        return answer_error(req, res, &e);
    if (!session_form_ok(req->arena, &j->session, form_of(req->arena, j->id),
                         json_text(json_get(body, S("token")))))
        error_set(&e, ERR_FORBIDDEN, "the token is not of this session and consent");
    else if (!read_step(json_text(json_get(body, S("answer"))), &j->step))
        error_set(&e, ERR_INVALID, "answer: give, refuse or withdraw");
    if (e.code)
        return answer_error(req, res, &e);
    j->how = (struct consent_evidence){.notice = json_text(json_get(body, S("notice"))),
                                       .lang = lang_of(json_text(json_get(body, S("lang")))),
                                       .acr = j->session.acr,
                                       .method = S("portal")};
    j->change = (struct store_change){.apply = apply, .done = done, .ctx = j};
    if (!store_submit(s->trust->store, &j->change))
        return HTTP_LATER;
    error_set(&e, ERR_UNAVAILABLE, "too many changes are waiting");
    return answer_error(req, res, &e);
}

/* --- the receipt --- */

static enum err sign(struct trust *t, struct arena *a, struct str *text, struct error *e)
{
    struct jose_key *key = NULL;
    struct str payload = *text;
    enum err err = ring_signer(t->oidc->ring, clock_now(t->clock), &key, e);
    if (!err)
        err = jws_sign(a, key, S("consent-receipt+jwt"), payload, text, e);
    jose_key_free(key);
    return err;
}

/* Absent where the recipient is no client or does not know the person. */
static enum err sub_of(struct trust *t, struct store_conn *c, struct arena *a,
                       const struct consent_record *r, struct str *sub, struct error *e)
{
    struct str client = json_text(json_get(json_get(r->terms, S("recipient")), S("code")));
    struct error why = {0};
    *sub = STR_NONE;
    enum err err = oidc_subject(t->oidc, c, a, client, r->account, sub, &why);
    return err && err != ERR_NOT_FOUND ? error_set(e, err, "%s", why.text) : OK;
}

static enum http_answer get_receipt(struct request *req, struct response *res, void *ctx)
{
    struct consents *s = ctx;
    struct trust *t = s->trust;
    struct session who;
    struct consent_record r;
    struct str sub, text, issuer = oidc_issuer(t->oidc, req);
    bool fhir = str_eq(request_query(req, "format"), S("fhir"));
    struct error e = {0};
    struct store_conn *c = open_own(s, req, res, &who);
    if (!c)
        return HTTP_DONE;
    enum err err = issuer.p ? OK : error_set(&e, ERR_UNAVAILABLE, "oidc.issuer is not set here");
    if (!err)
        err = consent_read(t, c, req->arena, who.account, request_param(req, "id"), &r, &e);
    if (!err)
        err = sub_of(t, c, req->arena, &r, &sub, &e);
    if (!err)
        err = (fhir ? consent_fhir : consent_receipt)(t, c, req->arena, &r, issuer, sub, &text, &e);
    store_read_done(c);
    if (!err && !fhir)
        err = sign(t, req->arena, &text, &e);
    if (err)
        return answer_error(req, res, &e);
    response_header(req, res, "Cache-Control", S("no-store"));
    response_body(req, res, 200, fhir ? "application/fhir+json" : "application/jwt", text);
    return HTTP_DONE;
}

static const struct route routes[] = {
    {"GET", "/trust/v1/my/consents", get_consents, 0},
    {"GET", "/trust/v1/my/consents/{id}", get_consent, 0},
    {"POST", "/trust/v1/my/consents/{id}", post_consent, 0},
    {"GET", "/trust/v1/my/consents/{id}/receipt", get_receipt, 0},
};

void own_consent_routes(struct consents *s, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), s);
}
