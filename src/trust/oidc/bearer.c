/* Tokens at our own resources (RFC 6750, RFC 9449 section 7, RFC 8705 section 3). */
#include "certificate.h"
#include "oidc_impl.h"

struct shown {
    struct str token;
    bool dpop;
};

static bool take_token(const struct request *req, struct shown *out)
{
    struct str header = request_header(req, "Authorization");
    out->dpop = str_eq_nocase(str_sub(header, 0, 5), S("DPoP "));
    if (!out->dpop && !str_eq_nocase(str_sub(header, 0, 7), S("Bearer ")))
        return false;
    out->token = str_trim(str_from(header, out->dpop ? 5 : 7));
    return out->token.n > 0;
}

/* Is it one that we may have made? Others' tokens are for others to judge. */
static bool is_ours(struct oidc *o, struct arena *a, const struct shown *s)
{
    struct jws j;
    struct error e = {0};
    if (s->dpop || str_starts(s->token, S(TOKEN_PREFIX)))
        return true;
    if (str_find_char(s->token, '.') < 0 || jws_read(a, s->token, &j, &e) || !j.kid.p)
        return false;
    struct jose_key *key = ring_find(o->ring, j.kid);
    jose_key_free(key);
    return key != NULL;
}

static enum err refuse(struct oidc *o, struct request *req, bool dpop, const char *code,
                       const char *text, struct str *challenge, struct error *e)
{
    (void)o;
    *challenge = str_printf(req->arena, "%s error=\"%s\", error_description=\"%s\"%s",
                            dpop ? "DPoP" : "Bearer", code, text,
                            dpop ? ", algs=\"ES256 PS256 EdDSA\"" : "");
    return error_set(e, ERR_UNAUTHENTICATED, "%s", text);
}

static void fill(struct arena *a, const struct token_row *row, struct bearer *out)
{
    const struct json *doc = json_parse(a, row->doc, &JSON_DEFAULT, NULL);
    int64_t at = 0;
    enum acr acr = ACR_NONE;
    json_i64(json_get(doc, S("auth_time")), &at);
    (void)acr_find(json_text(json_get(doc, S("acr"))), &acr);
    *out = (struct bearer){.client = row->client,
                           .account = row->account,
                           .session = row->session,
                           .scope = json_text(json_get(doc, S("scope"))),
                           .acr = acr,
                           .authenticated = at * SECOND_US,
                           .details = json_get(doc, S("authorization_details")),
                           .expires = row->expires};
}

/* The holder has what the token is bound to. */
static enum err check_binding(struct oidc *o, struct request *req, const struct shown *s,
                              const struct token_row *row, struct str *challenge, struct error *e)
{
    struct str jkt;
    const char *code;
    struct error why = {0};
    const struct certificate *k = row->x5t.n ? certificate_of(o, req) : NULL;
    if (row->x5t.n && !(k && bytes_equal(k->x5t, row->x5t)))
        return refuse(o, req, false, "invalid_token", "the token belongs to a certificate",
                      challenge, e);
    if (!row->jkt.n)
        return s->dpop ? refuse(o, req, true, "invalid_token", "the token belongs to no key",
                                challenge, e)
                       : OK;
    if (!s->dpop)
        return refuse(o, req, true, "invalid_token", "the token must come with a proof", challenge,
                      e);
    if (dpop_at_resource(o, req, s->token, &jkt, &code, &why))
        return refuse(o, req, true, code, why.text, challenge, e);
    return bytes_equal(jkt, row->jkt) ? OK
                                      : refuse(o, req, true, "invalid_token",
                                               "the token belongs to another key", challenge, e);
}

enum err oidc_bearer_row(struct oidc *o, struct store_conn *c, struct request *req,
                         struct token_row *row, bool *found, struct str *challenge, struct error *e)
{
    struct shown s;
    *found = false;
    *challenge = STR_NONE;
    if (!take_token(req, &s) || !is_ours(o, req->arena, &s))
        return OK;
    *found = true;
    enum err err = token_find(c, req->arena, s.token, clock_now(o->trust->clock), row, e);
    if (err == ERR_NOT_FOUND || (!err && row->kind != TOKEN_ACCESS))
        return refuse(o, req, s.dpop, "invalid_token", "the token is not good, or not any more",
                      challenge, e);
    return err ? err : check_binding(o, req, &s, row, challenge, e);
}

enum err oidc_bearer(struct oidc *o, struct store_conn *c, struct request *req, struct bearer *out,
                     bool *found, struct str *challenge, struct error *e)
{
    struct token_row row;
    enum err err = oidc_bearer_row(o, c, req, &row, found, challenge, e);
    if (!err && *found)
        fill(req->arena, &row, out);
    return err;
}

void oidc_challenge(struct oidc *o, struct request *req, struct response *res, struct str challenge)
{
    response_header(req, res, "WWW-Authenticate", challenge);
    if (str_starts(challenge, S("DPoP")))
        response_header(req, res, "DPoP-Nonce",
                        dpop_nonce(o, req->arena, clock_now(o->trust->clock)));
}
