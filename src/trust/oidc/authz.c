/* Requests for authorization: what may stand in them, and keeping them. See authz.h. */
#include "authz.h"
#include "core/vec.h"
#include <string.h>

enum { STATE_BYTES_MAX = 2048, CHALLENGE_BYTES = 43, CLAIMS_MAX = 64 };

/* --- the target --- */

const char *authz_target(struct call *c, struct authz *z)
{
    z->redirect_uri = call_param(c, "redirect_uri");
    if (!c->client)
        return "the client is not known here";
    if (!z->redirect_uri.p)
        return "the request does not say where to lead back to";
    if (!client_redirects(c->client, S("redirect_uris"), z->redirect_uri))
        return "the address to lead back to is not one that the client is registered with";
    return NULL;
}

/* --- single parameters --- */

static bool take_prompt(struct call *c, struct authz *z)
{
    struct str list = call_param(c, "prompt"), word;
    while (list.n && str_split(&list, ' ', &word)) {
        if (str_eq(word, S("none")))
            z->none = true;
        else if (str_eq(word, S("login")) || str_eq(word, S("select_account")))
            z->login = true;
        else if (str_eq(word, S("consent")))
            z->consent = true;
        else
            return false;
    }
    return !z->none || !(z->login || z->consent);
}

static bool take_max_age(struct call *c, struct authz *z)
{
    struct str text = call_param(c, "max_age");
    const struct json *preset = json_get(c->client->doc, S("default_max_age"));
    z->max_age = -1;
    if (!text.p)
        return !preset || json_i64(preset, &z->max_age);
    return str_to_i64(text, &z->max_age) && z->max_age >= 0 && z->max_age <= INT32_MAX;
}

static enum acr acr_of_name(struct str name)
{
    static const struct {
        struct str name;
        enum acr acr;
    } names[] = {{S_INIT("aal1"), ACR_AAL1},
                 {S_INIT("aal2"), ACR_AAL2},
                 {S_INIT("aal3"), ACR_AAL3},
                 {S_INIT("phr"), ACR_AAL2},
                 {S_INIT("phrh"), ACR_AAL3}};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (str_eq(name, names[i].name))
            return names[i].acr;
    return ACR_NONE;
}

/* The least of those that would do (RFC 9470 section 4: the server tries to meet it). */
static bool least_acr(enum acr *least, struct str name)
{
    enum acr acr = acr_of_name(name);
    if (acr && (!*least || acr < *least))
        *least = acr;
    return acr != ACR_NONE;
}

/* false: an essential acr that we never reach. */
static bool take_acr(struct call *c, struct authz *z)
{
    struct str list = call_param(c, "acr_values"), word;
    const struct json *acr = json_get(json_get(z->claims, S("id_token")), S("acr"));
    const struct json *values = json_get(acr, S("values"));
    bool known = false;
    while (list.n && str_split(&list, ' ', &word))
        least_acr(&z->acr, word);
    if (!json_true(json_get(acr, S("essential"))))
        return true;
    enum acr least = ACR_NONE;
    struct str one = json_text(json_get(acr, S("value")));
    if (one.p)
        known = least_acr(&least, one);
    for (size_t i = 0; json_is(values, JSON_ARRAY) && i < values->n; i++)
        known = least_acr(&least, json_text(&values->items[i])) || known;
    z->acr = least > z->acr ? least : z->acr;
    return known || (!one.p && !values);
}

struct str claim_scope(struct str claim)
{
    static const struct {
        struct str claim, scope;
    } scopes[] = {{S_INIT("name"), S_INIT("profile")},
                  {S_INIT("name#ja-Kana-JP"), S_INIT("profile")},
                  {S_INIT("birthdate"), S_INIT("profile")},
                  {S_INIT("gender"), S_INIT("profile")},
                  {S_INIT("ial"), S_INIT("profile")},
                  {S_INIT("locale"), S_INIT("profile")},
                  {S_INIT("email"), S_INIT("email")},
                  {S_INIT("email_verified"), S_INIT("email")},
                  {S_INIT("phone_number"), S_INIT("phone")},
                  {S_INIT("phone_number_verified"), S_INIT("phone")},
                  {S_INIT("address"), S_INIT("address")}};
    for (size_t i = 0; i < sizeof(scopes) / sizeof(scopes[0]); i++)
        if (str_eq(claim, scopes[i].claim))
            return scopes[i].scope;
    return STR_NONE;
}

/* Single claims cost the consent of the scope that they belong to. */
static bool take_claims(struct call *c, struct authz *z)
{
    static const char *const parts[] = {"id_token", "userinfo"};
    struct str text = call_param(c, "claims");
    struct error e = {0};
    if (!text.p)
        return true;
    z->claims = json_parse(c->a, text, &JSON_DEFAULT, &e);
    if (!json_is(z->claims, JSON_OBJECT))
        return false;
    for (size_t i = 0; i < 2; i++) {
        const struct json *part = json_get(z->claims, str_c(parts[i]));
        if (part && (!json_is(part, JSON_OBJECT) || part->n > CLAIMS_MAX))
            return false;
        for (size_t k = 0; part && k < part->n; k++) {
            struct str scope = claim_scope(json_key(&part->members[k]));
            if (scope.p && scope_has(c->client->scope, scope) && !scope_has(z->words, scope))
                z->words = str_printf(c->a, "%" STR_F "%s%" STR_F, STR_A(z->words),
                                      z->words.n ? " " : "", STR_A(scope));
        }
    }
    return true;
}

static bool is_challenge(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char ch = s.p[i];
        if (!((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') ||
              ch == '-' || ch == '_'))
            return false;
    }
    return s.n == CHALLENGE_BYTES;
}

static const char *check_form(struct call *c, struct authz *z, const char **text)
{
    struct str mode = call_param(c, "response_mode");
    *text = "response_type is code here";
    if (!str_eq(call_param(c, "response_type"), S("code")))
        return call_param(c, "response_type").p ? "unsupported_response_type" : "invalid_request";
    *text = "the answer comes in the query";
    if (mode.p && !str_eq(mode, S("query")))
        return "invalid_request";
    *text = "request objects are not taken: push the request instead";
    if (call_param(c, "request").p)
        return "request_not_supported";
    *text = "PKCE with S256 is needed";
    if (!str_eq(call_param(c, "code_challenge_method"), S("S256")) || !is_challenge(z->challenge))
        return "invalid_request";
    *text = "state or nonce is too long";
    if (z->state.n > STATE_BYTES_MAX || z->nonce.n > STATE_BYTES_MAX)
        return "invalid_request";
    *text = "the client is not registered for the code flow";
    return c->client->grants & GRANT_CODE ? NULL : "unauthorized_client";
}

static const char *check_scope(struct call *c, struct authz *z, const char **text)
{
    struct str asked = call_param(c, "scope");
    *text = "scope is not well-formed";
    if (!scope_well_formed(asked))
        return "invalid_scope";
    z->scope = scope_within(c->a, asked, c->client->scope);
    *text = "the client has none of these scopes";
    if (asked.n && !z->scope.n)
        return "invalid_scope";
    z->words = z->scope;
    return NULL;
}

const char *authz_check(struct call *c, struct authz *z, const char **text)
{
    z->state = call_param(c, "state");
    z->nonce = call_param(c, "nonce");
    z->challenge = call_param(c, "code_challenge");
    z->ui_locales = call_param(c, "ui_locales");
    const char *code = z->device.p ? NULL : check_form(c, z, text);
    if (!code)
        code = check_scope(c, z, text);
    if (code)
        return code;
    *text = "prompt is none, login or consent; none stands alone";
    if (!z->device.p && !take_prompt(c, z))
        return "invalid_request";
    *text = "max_age is a number of seconds";
    if (!take_max_age(c, z))
        return "invalid_request";
    *text = "claims is not what OpenID Connect Core 5.5 has";
    if (!take_claims(c, z))
        return "invalid_request";
    *text = "this acr is never reached here";
    if (!take_acr(c, z))
        return "unmet_authentication_requirements";
    *text = "the client is not registered for this resource";
    z->resource = call_param(c, "resource");
    if (!resource_known(c, z->resource))
        return "invalid_target";
    *text = "authorization_details is a list of objects of types that the client may use";
    return details_read(c, &z->details) ? NULL : "invalid_authorization_details";
}

/* --- keeping --- */

static void write_kept(struct call *c, const struct authz *z, struct json_writer *w)
{
    json_w_object(w);
    json_w_key(w, S("params"));
    json_w_object(w);
    for (size_t i = 0; i < c->n_params; i++)
        if (!str_starts(c->params[i].name, S("client_assertion")) &&
            !str_eq(c->params[i].name, S("client_secret")))
            json_w_kstr(w, c->params[i].name, c->params[i].value);
    json_w_end(w);
    if (z->jkt.p)
        json_w_kstr(w, S("jkt"), z->jkt);
    if (z->pushed.p)
        json_w_kstr(w, S("pushed"), z->pushed);
    if (z->device.n)
        json_w_kstr(w, S("device"), z->device);
    json_w_end(w);
}

struct str request_text(struct call *c, const struct authz *z)
{
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    write_kept(c, z, &w);
    struct str text = buf_dup(&b, c->a);
    buf_release(&b);
    return text;
}

enum err request_keep(struct call *c, struct store_conn *conn, enum request_kind kind,
                      const struct authz *z, struct str id, int64_t seconds, struct error *e)
{
    struct hash h = hash_sha256(id);
    return store_exec(conn,
                      "INSERT INTO oidc_request(hash, kind, client, doc, made, expires)"
                      " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (hash) DO NOTHING",
                      SV(SV_BLOB(hash_bytes(&h)), SV_INT(kind), SV_TEXT(c->client->id),
                         SV_TEXT(request_text(c, z)), SV_INT(c->now),
                         SV_INT(c->now + seconds * SECOND_US)),
                      NULL, e);
}

enum err request_take(struct call *c, struct str text, struct authz *z, struct error *e)
{
    const struct json *doc = json_parse(c->a, text, &JSON_DEFAULT, e);
    if (!doc)
        return error_set(e, ERR_CORRUPT, "a kept request is damaged");
    const struct json *params = json_get(doc, S("params"));
    size_t n = params ? params->n : 0;
    struct http_pair *pairs = ARENA_ARRAY(c->a, struct http_pair, n ? n : 1);
    for (size_t i = 0; i < n; i++)
        pairs[i] =
            (struct http_pair){json_key(&params->members[i]), json_text(&params->members[i].value)};
    c->params = pairs;
    c->n_params = n;
    z->jkt = json_text(json_get(doc, S("jkt")));
    z->pushed = json_text(json_get(doc, S("pushed")));
    z->device = json_text(json_get(doc, S("device")));
    return OK;
}

enum err request_load(struct call *c, struct store_conn *conn, enum request_kind kind,
                      struct str id, struct authz *z, struct error *e)
{
    struct hash h = hash_sha256(id);
    struct store_rows rows;
    struct str text = STR_NONE, client = STR_NONE;
    store_query(conn, &rows,
                "SELECT client, doc, made FROM oidc_request"
                " WHERE hash = $1 AND kind = $2 AND expires > $3",
                SV(SV_BLOB(hash_bytes(&h)), SV_INT(kind), SV_INT(c->now)));
    if (store_next(&rows)) {
        client = str_dup(c->a, store_text(&rows, 0));
        text = str_dup(c->a, store_text(&rows, 1));
        z->asked = store_int(&rows, 2);
    }
    enum err err = store_end(&rows, e);
    if (err || !text.p)
        return err ? err : error_set(e, ERR_NOT_FOUND, "there is no such request, or it is over");
    err = request_take(c, text, z, e);
    if (err)
        return err;
    c->client = ARENA_NEW(c->a, struct oidc_client);
    err = client_read(conn, c->a, client, c->client, e);
    if (err == ERR_NOT_FOUND)
        c->client = NULL;
    return err == ERR_NOT_FOUND ? OK : err;
}

enum err request_drop(struct store_conn *conn, struct str id, int64_t *dropped, struct error *e)
{
    struct hash h = hash_sha256(id);
    return store_exec(conn, "DELETE FROM oidc_request WHERE hash = $1", SV(SV_BLOB(hash_bytes(&h))),
                      dropped, e);
}

/* --- leading back --- */

struct str redirect_text(struct call *c, const struct authz *z, const struct http_pair *params,
                         size_t n)
{
    struct buf b = BUF_INIT;
    struct http_pair tail[] = {{S("state"), z->state}, {S("iss"), c->issuer}};
    char sep = str_find_char(z->redirect_uri, '?') < 0 ? '?' : '&';
    buf_str(&b, z->redirect_uri);
    for (size_t i = 0; i < n + 2; i++) {
        const struct http_pair *p = i < n ? &params[i] : &tail[i - n];
        if (!p->value.p)
            continue;
        buf_char(&b, sep);
        buf_str(&b, p->name);
        buf_char(&b, '=');
        buf_str(&b, url_encode(c->a, p->value));
        sep = '&';
    }
    struct str text = buf_dup(&b, c->a);
    buf_release(&b);
    return text;
}

enum http_answer redirect_error(struct call *c, const struct authz *z, const char *code,
                                const char *text)
{
    struct http_pair params[] = {{S("error"), str_c(code)}, {S("error_description"), str_c(text)}};
    if (!z->redirect_uri.p) /* a device's: there is nowhere to lead to */
        return call_fail(c, 400, code, text);
    call_go(c, redirect_text(c, z, params, 2));
    return HTTP_DONE;
}
