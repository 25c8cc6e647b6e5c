/*
 * Codes and refresh tokens made into tokens. That a code, or a refresh token that rotates, is used
 * once is decided in the change that keeps what was given for it: whoever comes second ends the
 * grant and gets nothing, and so does the first from then on.
 */
#include "authz.h"

enum { VERIFIER_MIN = 43, VERIFIER_MAX = 128 };

struct redeeming {
    struct hash hash; /* of what is shown */
    struct grant grant;
    struct tokens tokens;
    bool spend; /* it is used up */
    bool replayed;
};

static enum http_answer no_grant(struct call *c, const char *text)
{
    return call_fail(c, 400, "invalid_grant", text);
}

/* --- the change --- */

static enum err end_all(struct call *c, struct store_conn *conn, struct redeeming *r,
                        struct error *e)
{
    c->problem = (struct oauth_problem){400, "invalid_grant", S("it was used before")};
    return grant_end(conn, r->grant.n, c->now, e);
}

/* The grant must live still: a sign-out may have been faster. */
static enum err still_given(struct call *c, struct store_conn *conn, const struct redeeming *r,
                            bool *given, struct error *e)
{
    int64_t n = 0;
    enum err err =
        store_get_int(conn, &n, "SELECT COUNT(*) FROM oidc_grant WHERE n = $1 AND ended = 0",
                      SV(SV_INT(r->grant.n)), e);
    *given = n > 0;
    if (!err && !n)
        c->problem = (struct oauth_problem){400, "invalid_grant", S("it was ended")};
    return err;
}

static enum err redeem(struct call *c, struct store_conn *conn, const char *use, struct error *e)
{
    struct redeeming *r = c->own;
    int64_t changed = 1;
    bool given = false;
    if (r->replayed)
        return end_all(c, conn, r, e);
    enum err err = still_given(c, conn, r, &given, e);
    if (err || !given)
        return err;
    if (r->spend)
        err = store_exec(conn, use, SV(SV_BLOB(hash_bytes(&r->hash)), SV_INT(c->now)), &changed, e);
    if (!err && !changed)
        return end_all(c, conn, r, e);
    return err ? err : tokens_keep(conn, &r->tokens, e);
}

static enum err redeem_code(struct call *c, struct store_conn *conn, struct error *e)
{
    return redeem(c, conn, "UPDATE oidc_code SET used = $2 WHERE hash = $1 AND used = 0", e);
}

static enum err redeem_refresh(struct call *c, struct store_conn *conn, struct error *e)
{
    return redeem(c, conn, "UPDATE oidc_token SET ended = $2 WHERE hash = $1 AND ended = 0", e);
}

static void answer(struct call *c)
{
    const struct redeeming *r = c->own;
    tokens_answer(c, &r->tokens);
}

/* --- codes --- */

struct code {
    struct str client, redirect_uri, challenge, jkt;
    int64_t expires, used;
};

/* ERR_NOT_FOUND: there is no such code. */
static enum err read_code(struct call *c, struct store_conn *conn, struct redeeming *r,
                          struct code *out, struct error *e)
{
    struct store_rows rows;
    struct str doc = STR_NONE, grant = STR_NONE;
    store_query(conn, &rows,
                "SELECT c.client, c.doc, c.expires, c.used, g.n, g.account, g.session, g.expires,"
                " g.ended, g.doc FROM oidc_code c JOIN oidc_grant g ON g.n = c.grant_n"
                " WHERE c.hash = $1",
                SV(SV_BLOB(hash_bytes(&r->hash))));
    if (store_next(&rows)) {
        out->client = str_dup(c->a, store_text(&rows, 0));
        doc = str_dup(c->a, store_text(&rows, 1));
        out->expires = store_int(&rows, 2);
        out->used = store_int(&rows, 3);
        r->grant = (struct grant){.n = store_int(&rows, 4),
                                  .account = store_int(&rows, 5),
                                  .session = store_int(&rows, 6),
                                  .expires = store_int(&rows, 7),
                                  .ended = store_int(&rows, 8) != 0};
        grant = str_dup(c->a, store_text(&rows, 9));
    }
    enum err err = store_end(&rows, e);
    if (err || !doc.p)
        return err ? err : error_set(e, ERR_NOT_FOUND, "there is no such code");
    const struct json *v = json_parse(c->a, doc, &JSON_DEFAULT, e);
    out->redirect_uri = json_text(json_get(v, S("redirect_uri")));
    out->challenge = json_text(json_get(v, S("challenge")));
    out->jkt = json_text(json_get(v, S("jkt")));
    return v ? grant_open(c->a, grant, &r->grant, e) : ERR_CORRUPT;
}

/* RFC 7636 section 4.6, S256 only. */
static bool verifier_fits(struct call *c, struct str challenge)
{
    struct str verifier = call_param(c, "code_verifier");
    struct hash h = hash_sha256(verifier);
    return verifier.n >= VERIFIER_MIN && verifier.n <= VERIFIER_MAX && challenge.n &&
           bytes_equal(hash_b64(c->a, &h), challenge);
}

static const char *check_code(struct call *c, const struct code *k)
{
    if (k->expires <= c->now)
        return "the code is over";
    if (!str_eq(call_param(c, "redirect_uri"), k->redirect_uri))
        return "redirect_uri is not the one that the code was sent to";
    if (!verifier_fits(c, k->challenge))
        return "code_verifier is missing or does not belong to the code";
    if (k->jkt.p && !(c->proof.jkt.p && bytes_equal(c->proof.jkt, k->jkt)))
        return "the code belongs to another key";
    return NULL;
}

enum http_answer grant_code(struct call *c, struct store_conn *conn)
{
    struct redeeming *r = ARENA_NEW(c->a, struct redeeming);
    struct str shown = call_param(c, "code");
    struct code k = {0};
    struct error e = {0};
    if (!shown.p)
        return call_fail(c, 400, "invalid_request", "code is missing");
    r->hash = hash_sha256(shown);
    r->spend = true;
    c->own = r;
    enum err err = read_code(c, conn, r, &k, &e);
    if (err && err != ERR_NOT_FOUND)
        return call_error(c, &e);
    if (err || !str_eq(k.client, c->client->id))
        return no_grant(c, "there is no such code for this client");
    r->replayed = k.used != 0;
    if (r->replayed)
        return call_write(c, redeem_code, answer);
    const char *wrong = check_code(c, &k);
    if (wrong || r->grant.ended || !account_may(conn, c->a, r->grant.account))
        return no_grant(c, wrong ? wrong : "it was ended");
    struct issue i = r->grant.issue;
    if (!call_binding(c, &i))
        return HTTP_DONE;
    if (tokens_make(c, conn, &r->grant, &i, c->client->grants & GRANT_REFRESH, &r->tokens, &e))
        return call_error(c, &e);
    return call_write(c, redeem_code, answer);
}

/* --- refresh tokens --- */

/* Also of one that was used: then *used is set. */
static enum err read_refresh(struct call *c, struct store_conn *conn, struct redeeming *r,
                             struct str *client, struct str *jkt, bool *used, struct error *e)
{
    struct store_rows rows;
    struct str grant = STR_NONE;
    store_query(conn, &rows,
                "SELECT t.client, t.jkt, t.ended, g.n, g.account, g.session, g.expires, g.ended,"
                " g.doc FROM oidc_token t JOIN oidc_grant g ON g.n = t.grant_n"
                " WHERE t.hash = $1 AND t.kind = $2 AND t.expires > $3",
                SV(SV_BLOB(hash_bytes(&r->hash)), SV_INT(TOKEN_REFRESH), SV_INT(c->now)));
    if (store_next(&rows)) {
        *client = str_dup(c->a, store_text(&rows, 0));
        *jkt = store_is_null(&rows, 1) ? STR_NONE : str_dup(c->a, store_text(&rows, 1));
        *used = store_int(&rows, 2) != 0;
        r->grant = (struct grant){.n = store_int(&rows, 3),
                                  .account = store_int(&rows, 4),
                                  .session = store_int(&rows, 5),
                                  .expires = store_int(&rows, 6),
                                  .ended = store_int(&rows, 7) != 0};
        grant = str_dup(c->a, store_text(&rows, 8));
    }
    enum err err = store_end(&rows, e);
    if (err || !grant.p)
        return err ? err : error_set(e, ERR_NOT_FOUND, "there is no such refresh token");
    return grant_open(c->a, grant, &r->grant, e);
}

/* The same or less, never more (RFC 6749 section 6). */
static bool narrow(struct call *c, struct issue *i)
{
    struct str asked = call_param(c, "scope"), list = asked, word;
    struct str resource = call_param(c, "resource");
    if (!scope_well_formed(asked))
        return false;
    while (list.n && str_split(&list, ' ', &word))
        if (!scope_has(i->scope, word))
            return false;
    if (asked.p)
        i->scope = asked;
    return !resource.p || str_eq(resource, i->audience);
}

enum http_answer grant_refresh(struct call *c, struct store_conn *conn)
{
    struct redeeming *r = ARENA_NEW(c->a, struct redeeming);
    struct str shown = call_param(c, "refresh_token"), client = STR_NONE, jkt = STR_NONE;
    struct error e = {0};
    if (!shown.p)
        return call_fail(c, 400, "invalid_request", "refresh_token is missing");
    r->hash = hash_sha256(shown);
    c->own = r;
    enum err err = read_refresh(c, conn, r, &client, &jkt, &r->replayed, &e);
    if (err && err != ERR_NOT_FOUND)
        return call_error(c, &e);
    if (err || !str_eq(client, c->client->id))
        return no_grant(c, "there is no such refresh token for this client");
    if (r->replayed)
        return call_write(c, redeem_refresh, answer);
    if (r->grant.ended || !account_may(conn, c->a, r->grant.account))
        return no_grant(c, "it was ended");
    if (jkt.p && !(c->proof.jkt.p && bytes_equal(c->proof.jkt, jkt)))
        return no_grant(c, "the refresh token belongs to another key");
    struct issue i = r->grant.issue;
    if (!narrow(c, &i))
        return call_fail(c, 400, "invalid_scope", "a refresh token gives the same or less");
    if (!call_binding(c, &i))
        return HTTP_DONE;
    /* What only the holder of a key can use needs no turn (FAPI 2.0 section 5.3.2.1), so an answer
     * that was lost may be asked for again. */
    r->spend = !jkt.p && (c->client->auth == AUTH_NONE || c->client->auth == AUTH_BASIC ||
                          c->client->auth == AUTH_POST);
    r->grant.nonce = STR_NONE;
    if (tokens_make(c, conn, &r->grant, &i, r->spend, &r->tokens, &e))
        return call_error(c, &e);
    return call_write(c, redeem_refresh, answer);
}
