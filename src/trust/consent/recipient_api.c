/*
 * What recipients ask, with a token of theirs: the client of the token is the recipient, and people
 * are named as that client's sector knows them, in no other way.
 *
 *     POST /trust/v1/consents   scope consent:request   a person is asked for their consent
 *     POST /trust/v1/decisions  scope consent:decide    may I see these data now?
 *
 * The decision is made in the change that writes it into the person's log: whoever withdrew before
 * that is heard, and no answer leaves that is not in the log.
 */
#include "consent_impl.h"
#include "core/datetime.h"
#include "oidc_impl.h"

struct job {
    struct store_change change;
    struct trust *trust;
    struct request *req;
    struct response *res;
    struct bearer who;
    const struct json *body;
    int64_t account;
    enum err (*run)(struct job *j, struct store_conn *c, struct error *e);
    void (*then)(struct job *j);
    struct consent_terms terms;
    struct str id;
    struct decision_ask ask;
    struct consent_decision decision;
};

static enum http_answer refuse(struct job *j, const char *challenge, const struct error *e)
{
    response_header(j->req, j->res, "WWW-Authenticate", str_c(challenge));
    return answer_error(j->req, j->res, e);
}

/* The person that the body names by the client's own name for them. */
static enum err find_person(struct job *j, struct store_conn *c, struct error *e)
{
    struct str sub = json_text(json_get(j->body, S("sub")));
    struct error why = {0};
    if (!json_is(json_get(j->body, S("sub")), JSON_STRING))
        return error_set(e, ERR_INVALID, "sub is missing");
    enum err err = catalogue_code_ok(sub)
                       ? oidc_account(j->trust->oidc, c, j->who.client, sub, &j->account, &why)
                       : ERR_NOT_FOUND;
    if (err == ERR_NOT_FOUND)
        return error_set(e, err, "this client knows no such person");
    return err ? error_set(e, err, "%s", why.text) : OK;
}

/* A token that is good, with the scope; the body; the person. false: the response is filled. */
static bool let_in(struct job *j, const char *scope)
{
    struct error e = {0};
    struct str challenge = STR_NONE;
    bool found = false;
    struct store_conn *c = store_read(j->trust->store, &e);
    enum err err =
        c ? oidc_bearer(j->trust->oidc, c, j->req, &j->who, &found, &challenge, &e) : e.code;
    if (!err && found && scope_has(j->who.scope, str_c(scope))) {
        j->body = json_body(j->req, &e);
        err = j->body ? find_person(j, c, &e) : e.code;
    }
    if (c)
        store_read_done(c);
    if (err) {
        if (challenge.p)
            oidc_challenge(j->trust->oidc, j->req, j->res, challenge);
        answer_error(j->req, j->res, &e);
    } else if (!found) {
        error_set(&e, ERR_UNAUTHENTICATED, "a token is needed");
        refuse(j, "Bearer", &e);
    } else if (!scope_has(j->who.scope, str_c(scope))) {
        error_set(&e, ERR_FORBIDDEN, "the token has no scope \"%s\"", scope);
        refuse(j,
               arena_printf(j->req->arena, "Bearer error=\"insufficient_scope\", scope=\"%s\"",
                            scope),
               &e);
    }
    return !e.code;
}

static enum err read_codes(struct job *j, const char *name, const struct str **out, size_t *n,
                           struct error *e)
{
    const struct json *v = json_get(j->body, str_c(name));
    if (!json_is(v, JSON_ARRAY) || !v->n || v->n > CATALOGUE_LIST_MAX)
        return error_set(e, ERR_INVALID, "%s: a list of 1 to %d codes", name, CATALOGUE_LIST_MAX);
    struct str *codes = ARENA_ARRAY(j->req->arena, struct str, v->n);
    for (size_t i = 0; i < v->n; i++) {
        codes[i] = json_text(&v->items[i]);
        if (!json_is(&v->items[i], JSON_STRING) || !catalogue_code_ok(codes[i]))
            return error_set(e, ERR_INVALID, "%s: a list of codes", name);
    }
    *out = codes;
    *n = v->n;
    return OK;
}

/* --- the change --- */

static enum err apply(struct store_conn *c, void *ctx, struct error *e)
{
    struct job *j = ctx;
    struct error why = {0};
    enum err err = j->run(j, c, &why);
    if (err == ERR_NOT_FOUND) /* erased since: the same answer as for somebody unknown */
        return error_set(e, err, "this client knows no such person");
    return err ? error_set(e, err, "%s", why.text) : OK;
}

static void done(void *ctx, enum err code, const struct error *e)
{
    struct job *j = ctx;
    if (code)
        answer_error(j->req, j->res, e);
    else
        j->then(j);
    http_resume(j->req);
}

static enum http_answer submit(struct job *j)
{
    struct error e = {0};
    j->change = (struct store_change){.apply = apply, .done = done, .ctx = j};
    if (!store_submit(j->trust->store, &j->change))
        return HTTP_LATER;
    error_set(&e, ERR_UNAVAILABLE, "too many changes are waiting");
    return answer_error(j->req, j->res, &e);
}

static struct job *job_new(struct request *req, struct response *res, struct consents *s)
{
    struct job *j = ARENA_NEW(req->arena, struct job);
    *j = (struct job){.trust = s->trust, .req = req, .res = res};
    return j;
}

/* --- asking a person --- */

static enum err request_run(struct job *j, struct store_conn *c, struct error *e)
{
    return consent_request(j->trust, c, j->req->arena, j->account, &j->terms, &j->id, e);
}

static void request_answer(struct job *j)
{
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    json_w_object(&w);
    json_w_kstr(&w, S("id"), j->id);
    json_w_kstr(&w, S("state"), str_c(consent_step_name(CONSENT_STEP_REQUESTED)));
    json_w_end(&w);
    answer_json(j->req, j->res, 201, &b);
}

static enum err read_instant(const struct json *body, struct str name, int64_t *out,
                             struct error *e)
{
    const struct json *v = json_get(body, name);
    if (v && (!json_is(v, JSON_STRING) || !datetime_parse(json_text(v), out)))
        return error_set(e, ERR_INVALID, "%" STR_F ": an instant", STR_A(name));
    return OK;
}

static enum err read_terms(struct job *j, struct error *e)
{
    const struct json *acr = json_get(j->body, S("acr"));
    struct consent_terms *x = &j->terms;
    *x = (struct consent_terms){.recipient = j->who.client,
                                .valid = {.from = clock_now(j->trust->clock)}};
    enum err err = read_codes(j, "purposes", &x->purposes, &x->n_purposes, e);
    if (!err)
        err = read_codes(j, "categories", &x->categories, &x->n_categories, e);
    if (!err)
        err = read_instant(j->body, S("from"), &x->valid.from, e);
    if (!err)
        err = read_instant(j->body, S("until"), &x->valid.until, e);
    if (!err && acr && !(json_is(acr, JSON_STRING) && acr_find(json_text(acr), &x->acr)))
        err = error_set(e, ERR_INVALID, "acr: aal1, aal2 or aal3");
    return err;
}

static enum http_answer post_consent(struct request *req, struct response *res, void *ctx)
{
    struct job *j = job_new(req, res, ctx);
    struct error e = {0};
    if (!let_in(j, "consent:request"))
        return HTTP_DONE;
    if (read_terms(j, &e))
        return answer_error(req, res, &e);
    j->run = request_run;
    j->then = request_answer;
    return submit(j);
}

/* --- deciding --- */

static enum err decide_run(struct job *j, struct store_conn *c, struct error *e)
{
    return consent_decide(j->trust, c, j->req->arena, j->account, &j->ask, &j->decision, e);
}

static const struct json *fields_of(const struct consent_facts *f, struct str category)
{
    for (size_t i = 0; i < f->facts.n_categories; i++)
        if (str_eq(f->facts.categories[i].code, category))
            return f->fields[i];
    return NULL;
}

static void write_duties(struct json_writer *w, unsigned duties)
{
    static const char *const names[] = {"log", "notify-now", "notify-after", "review"};
    json_w_key(w, S("duties"));
    json_w_array(w);
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (duties & (1U << i))
            json_w_str(w, str_c(names[i]));
    json_w_end(w);
}

static void write_item(struct json_writer *w, const struct consent_facts *f,
                       const struct decision_item *x)
{
    const struct json *fields = fields_of(f, x->category);
    json_w_object(w);
    json_w_kstr(w, S("category"), x->category);
    json_w_kstr(w, S("decision"), x->permit ? S("permit") : S("deny"));
    json_w_kstr(w, S("reason"), str_c(decision_reason_name(x->reason)));
    json_w_kstr(w, S("basis"), str_c(decision_basis_name(x->basis)));
    if (x->record.n)
        json_w_kstr(w, S("record"), x->record);
    if (x->article.n)
        json_w_kstr(w, S("article"), x->article);
    if (x->acr)
        json_w_kstr(w, S("acr"), str_c(acr_name(x->acr)));
    json_w_key(w, S("fields"));
    json_w_array(w);
    for (size_t i = 0; fields && i < fields->n; i++)
        if (x->permit && (x->fields >> i & 1))
            json_w_str(w, json_text(&fields->items[i]));
    json_w_end(w);
    write_duties(w, x->duties);
    json_w_end(w);
}

static void decide_answer(struct job *j)
{
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    json_w_object(&w);
    json_w_ki64(&w, S("log_entry"), j->decision.leaf);
    json_w_kstr(&w, S("at"), datetime_text(j->req->arena, j->decision.at));
    json_w_key(&w, S("items"));
    json_w_array(&w);
    for (size_t i = 0; i < j->ask.n_categories; i++)
        write_item(&w, &j->decision.facts, &j->decision.items[i]);
    json_w_end(&w);
    json_w_end(&w);
    answer_json(j->req, j->res, 200, &b);
}

static enum http_answer post_decision(struct request *req, struct response *res, void *ctx)
{
    struct job *j = job_new(req, res, ctx);
    struct error e = {0};
    if (!let_in(j, "consent:decide"))
        return HTTP_DONE;
    /* How a reader signed in counts; that the person themselves did makes nobody a reader. */
    bool reader = j->who.account && j->who.account != j->account;
    j->ask = (struct decision_ask){.recipient = j->who.client,
                                   .acr = reader ? j->who.acr : ACR_NONE,
                                   .purpose = json_text(json_get(j->body, S("purpose")))};
    if (!json_is(json_get(j->body, S("purpose")), JSON_STRING) ||
        !catalogue_code_ok(j->ask.purpose))
        error_set(&e, ERR_INVALID, "purpose: a code");
    else
        (void)read_codes(j, "categories", &j->ask.categories, &j->ask.n_categories, &e);
    if (e.code)
        return answer_error(req, res, &e);
    j->run = decide_run;
    j->then = decide_answer;
    return submit(j);
}

static const struct route routes[] = {
    {"POST", "/trust/v1/consents", post_consent, 0},
    {"POST", "/trust/v1/decisions", post_decision, 0},
};

void client_consent_routes(struct consents *s, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), s);
}
