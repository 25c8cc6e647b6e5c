#include "gate.h"
#include "crypto/hash.h"
#include <string.h>

static const struct config_key keys[] = {
    CONFIG_STR(
        "gate.writers", struct gate_options, writers, "private",
        "who may write without a token: loopback, private (networks), token (nobody), anyone"),
    CONFIG_SECRET("gate.token", struct gate_options, token, "",
                  "token that lets write from anywhere, sent as Authorization: Bearer"),
    CONFIG_STR("gate.role_acr", struct gate_options, role_acr, "aal2",
               "how a person must have signed in for the role in their token to count: aal1, aal2 "
               "or aal3"),
};
const struct config_table gate_config = {"gate", keys, sizeof(keys) / sizeof(keys[0])};

/* ACR_NONE: there is no such word. */
static enum acr role_acr(const struct gate_options *o)
{
    for (enum acr acr = ACR_AAL1; acr <= ACR_AAL3; acr++)
        if (!strcmp(o->role_acr, acr_name(acr)))
            return acr;
    return ACR_NONE;
}

enum err gate_check(const struct gate_options *o, struct error *e)
{
    if (!role_acr(o))
        return error_set(e, ERR_INVALID, "gate.role_acr: no \"%s\"", o->role_acr);
    static const char *const words[] = {"loopback", "private", "token", "anyone"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (!strcmp(o->writers, words[i]))
            return OK;
    return error_set(e, ERR_INVALID, "gate.writers: no \"%s\"", o->writers);
}

static bool reads(const struct request *req)
{
    static const char *const methods[] = {"GET", "HEAD", "OPTIONS"};
    static const char *const queries[] = {"/ngsi-ld/v1/entityOperations/query",
                                          "/ngsi-ld/v1/temporal/entityOperations/query",
                                          "/v2/op/query"};
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        if (str_eq(req->method, str_c(methods[i])))
            return true;
    for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++)
        if (str_eq(req->path, str_c(queries[i])))
            return true;
    return false;
}

/* The routes of enrolled nodes check a token of their own (link/edge.h). */
static bool is_of_nodes(struct str path)
{
    return str_eq(path, S("/link/v1/sync/sessions")) || str_eq(path, S("/link/v1/sync/changes")) ||
           str_eq(path, S("/link/v1/sync/entities")) || str_eq(path, S("/link/v1/sync/evolution"));
}

/* Recipients with a token of their own scope, and people with a session (trust/consent.h). */
static bool is_of_consents(struct str path)
{
    return str_eq(path, S("/trust/v1/decisions")) || str_eq(path, S("/trust/v1/consents")) ||
           str_eq(path, S("/trust/v1/my/consents")) ||
           str_starts(path, S("/trust/v1/my/consents/"));
}

static bool guarded(struct str path)
{
    if (is_of_nodes(path) || is_of_consents(path))
        return false;
    return str_starts(path, S("/ngsi-ld/")) || str_starts(path, S("/v2/")) ||
           str_starts(path, S("/link/")) || str_starts(path, S("/trust/"));
}

/* false: the response is filled. */
static bool within_quota(struct access *x, const struct access_who *who, struct request *req,
                         struct response *res)
{
    struct error e = {0};
    int64_t wait = 1;
    if (!access_rate(x, who, req, !reads(req), &wait, &e))
        return true;
    response_error(req, res, &e);
    for (size_t i = 0; i < res->n_headers; i++)
        if (str_eq_nocase(res->headers[i].name, S("Retry-After")))
            res->headers[i].value = str_printf(req->arena, "%lld", (long long)wait);
    return false;
}

static bool has_token(const struct gate_options *o, const struct request *req)
{
    struct str sent = request_header(req, "Authorization");
    if (!o->token[0] || !str_eq_nocase(str_sub(sent, 0, 7), S("Bearer ")))
        return false;
    return bytes_equal(str_trim(str_from(sent, 7)), str_c(o->token));
}

static bool refuse_key(struct request *req, struct response *res, const struct error *e)
{
    if (e->code == ERR_UNAUTHENTICATED)
        response_header(req, res, "WWW-Authenticate", S("Bearer error=\"invalid_token\""));
    response_error(req, res, e);
    return false;
}

enum { NAMES_MAX = 33 }; /* a client, or the roles of a person */

/* Whom a token speaks for, as policies name them. */
static enum err names_of(struct trust *t, struct store_conn *c, struct request *req,
                         const struct bearer *b, struct str names[static NAMES_MAX], size_t *n,
                         struct error *e)
{
    const struct role *roles;
    size_t n_roles = 0;
    *n = 0;
    if (!b->account) {
        names[(*n)++] = str_concat(req->arena, S("client:"), b->client);
        return OK;
    }
    enum err err =
        account_roles(c, req->arena, b->account, clock_now(t->clock), &roles, &n_roles, e);
    for (size_t i = 0; !err && i < n_roles && *n < NAMES_MAX; i++)
        names[(*n)++] = str_concat(req->arena, S("role:"), roles[i].name);
    return err;
}

static bool has_scope(struct str list, struct str want)
{
    struct str word;
    while (list.n && str_split(&list, ' ', &word))
        if (str_eq(word, want))
            return true;
    return false;
}

static bool refuse_token(struct trust *t, struct request *req, struct response *res,
                         struct str challenge, const struct error *e)
{
    if (challenge.p)
        oidc_challenge(t->oidc, req, res, challenge);
    response_error(req, res, e);
    return false;
}

/* RFC 9470 section 3. */
static bool ask_more(const struct gate_options *o, struct trust *t, struct request *req,
                     struct response *res)
{
    struct error e = {0};
    error_set(&e, ERR_UNAUTHENTICATED, "for this role a stronger sign-in is needed");
    return refuse_token(t, req, res,
                        str_printf(req->arena,
                                   "Bearer error=\"insufficient_user_authentication\", "
                                   "error_description=\"%s\", acr_values=\"%s\"",
                                   e.text, o->role_acr),
                        &e);
}

/* A token of the OpenID Provider. false: the response is filled. */
static bool take_token(const struct gate_options *o, struct access *x, struct trust *t,
                       struct request *req, struct response *res, struct access_who *who)
{
    struct bearer b = {0};
    struct str challenge = STR_NONE, names[NAMES_MAX];
    struct error e = {0};
    bool found = false;
    size_t n = 0;
    if (!t->oidc || !request_header(req, "Authorization").p)
        return true;
    struct store_conn *c = store_read(t->store, &e);
    enum err err = c ? oidc_bearer(t->oidc, c, req, &b, &found, &challenge, &e) : e.code;
    if (!err && found)
        err = names_of(t, c, req, &b, names, &n, &e);
    if (c)
        store_read_done(c);
    if (err)
        return refuse_token(t, req, res, challenge, &e);
    if (found && !has_scope(b.scope, S("link"))) {
        error_set(&e, ERR_FORBIDDEN, "the token has no scope \"link\"");
        return refuse_token(t, req, res, S("Bearer error=\"insufficient_scope\", scope=\"link\""),
                            &e);
    }
    access_identify_named(x, req, names, n, who);
    if (who->kind == WHO_KEY && b.account && b.acr < role_acr(o))
        return ask_more(o, t, req, res);
    return true;
}

/* Who asks, for the handlers and the journal. false: the response is filled. */
static bool identify(const struct gate_options *o, struct access *x, struct trust *t,
                     struct request *req, struct response *res, struct access_who *who)
{
    struct error e = {0};
    *who = (struct access_who){.kind = WHO_PUBLIC};
    if (has_token(o, req))
        *who = (struct access_who){.kind = WHO_CITY, .actor = S("city")};
    else if (access_identify(x, req, who, &e))
        return refuse_key(req, res, &e);
    if (who->kind == WHO_PUBLIC && !take_token(o, x, t, req, res, who))
        return false;
    if (who->kind == WHO_PUBLIC)
        who->manages = strcmp(o->writers, "token") && request_is_local(req);
    req->identity = who;
    req->user = who->actor;
    if (!within_quota(x, who, req, res))
        return false;
    if (!reads(req) && access_enter(x, who, req, &e))
        return refuse_key(req, res, &e);
    return true;
}

bool gate_allows(const struct gate_options *o, struct access *x, struct trust *t,
                 struct request *req, struct response *res)
{
    struct access_who *who = ARENA_NEW(req->arena, struct access_who);
    if (guarded(req->path) && !identify(o, x, t, req, res, who))
        return false;
    if (reads(req) || !guarded(req->path) || !strcmp(o->writers, "anyone") ||
        who->kind != WHO_PUBLIC)
        return true;
    if (!strcmp(o->writers, "private") && request_is_private(req))
        return true;
    if (strcmp(o->writers, "token") && request_is_local(req))
        return true;
    if (o->token[0])
        response_header(req, res, "WWW-Authenticate", S("Bearer"));
    response_problem(
        req, res, o->token[0] ? 401 : 403, NULL, NULL,
        S("writing from this address needs a key or the city's token, see gate.writers"));
    return false;
}
