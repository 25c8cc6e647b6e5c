/*
 * Tokens: made, kept, found again. An access token is a JWT (RFC 9068) or 256 random bits, as its
 * client is registered; either way a row under its hash says what it is good for, so that revoking
 * works for both and introspection verifies nothing. The row's doc is a JWT's payload, and what
 * introspection answers with.
 */
#include "oidc_impl.h"
#include <string.h>

enum { TOKEN_BYTES = 32, JTI_BYTES = 16 };

enum err sign_jwt(struct call *c, struct str type, struct str payload, struct str *out,
                  struct error *e)
{
    struct jose_key *key = NULL;
    enum err err = ring_signer(c->o->ring, c->now, &key, e);
    if (!err)
        err = jws_sign(c->a, key, type, payload, out, e);
    jose_key_free(key);
    return err;
}

static void write_binding(struct json_writer *w, const struct issue *i)
{
    if (!i->jkt.n && !i->x5t.n)
        return;
    json_w_key(w, S("cnf"));
    json_w_object(w);
    if (i->jkt.n)
        json_w_kstr(w, S("jkt"), i->jkt);
    else
        json_w_kstr(w, S("x5t#S256"), i->x5t);
    json_w_end(w);
}

static struct str token_doc(struct call *c, const struct issue *i, struct str audience,
                            int64_t expires)
{
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    json_w_object(&w);
    json_w_kstr(&w, S("iss"), c->issuer);
    json_w_kstr(&w, S("sub"), i->subject);
    json_w_kstr(&w, S("aud"), audience);
    json_w_kstr(&w, S("client_id"), c->client->id);
    if (i->scope.n)
        json_w_kstr(&w, S("scope"), i->scope);
    json_w_ki64(&w, S("iat"), c->now / SECOND_US);
    json_w_ki64(&w, S("exp"), expires / SECOND_US);
    json_w_kstr(&w, S("jti"), random_token(c->a, JTI_BYTES));
    if (i->authenticated)
        json_w_ki64(&w, S("auth_time"), i->authenticated / SECOND_US);
    if (i->acr.n)
        json_w_kstr(&w, S("acr"), i->acr);
    if (i->amr) {
        json_w_key(&w, S("amr"));
        json_w_value(&w, i->amr);
    }
    if (i->details) {
        json_w_key(&w, S("authorization_details"));
        json_w_value(&w, i->details);
    }
    write_binding(&w, i);
    json_w_end(&w);
    struct str text = buf_dup(&b, c->a);
    buf_release(&b);
    return text;
}

static struct token_row row_of(struct call *c, const struct issue *i, int kind, struct str text,
                               struct str audience, struct str doc, int64_t expires)
{
    return (struct token_row){.hash = hash_sha256(text),
                              .kind = kind,
                              .grant = i->grant,
                              .account = i->account,
                              .session = i->session,
                              .made = c->now,
                              .expires = expires,
                              .client = c->client->id,
                              .audience = audience,
                              .doc = doc,
                              .jkt = i->jkt,
                              .x5t = i->x5t};
}

enum err token_access(struct call *c, const struct issue *i, struct str *text,
                      struct token_row *row, struct error *e)
{
    int64_t expires = c->now + c->o->options->access_s * SECOND_US;
    struct str audience = i->audience.n ? i->audience : c->issuer;
    struct str doc = token_doc(c, i, audience, expires);
    enum err err = OK;
    if (c->client->opaque)
        *text = str_concat(c->a, S(TOKEN_PREFIX), random_token(c->a, TOKEN_BYTES));
    else
        err = sign_jwt(c, S("at+jwt"), doc, text, e);
    if (!err)
        *row = row_of(c, i, TOKEN_ACCESS, *text, audience, doc, expires);
    return err;
}

enum err token_refresh(struct call *c, const struct issue *i, int64_t expires, struct str *text,
                       struct token_row *row, struct error *e)
{
    (void)e;
    *text = random_token(c->a, TOKEN_BYTES);
    *row =
        row_of(c, i, TOKEN_REFRESH, *text, c->issuer, token_doc(c, i, c->issuer, expires), expires);
    return OK;
}

enum err token_keep(struct store_conn *c, const struct token_row *row, struct error *e)
{
    static const struct store_bulk bulk = {
        "INSERT INTO oidc_token(hash, kind, grant_n, account, session, made, expires, ended,"
        " client, audience, doc, jkt, x5t)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9, $10, $11, $12)",
        "INSERT INTO oidc_token(hash, kind, grant_n, account, session, made, expires, ended,"
        " client, audience, doc, jkt, x5t)"
        " SELECT h, k, g, a, s, m, x, 0, c, d, t, j, y FROM unnest(" BULK_BLOBS(1) "," BULK_INTS(2) "," BULK_INTS(3) "," BULK_INTS(4) "," BULK_INTS(
            5) "," BULK_INTS(6) "," BULK_INTS(7) "," BULK_TEXTS(8) "," BULK_TEXTS(9) "," BULK_TEXTS(10) "," BULK_TEXTS(11) "," BULK_TEXTS(12) ") AS r(h, k, g, a, s, m, x, c, d, t, j, y)",
        "biiiiiittttt", false};
    return store_put(c, &bulk,
                     SV(SV_BLOB(hash_bytes(&row->hash)), SV_INT(row->kind), SV_INT(row->grant),
                        SV_INT(row->account), SV_INT(row->session), SV_INT(row->made),
                        SV_INT(row->expires), SV_TEXT(row->client), SV_TEXT(row->audience),
                        SV_TEXT(row->doc), SV_TEXT(row->jkt), SV_TEXT(row->x5t)),
                     e);
}

static struct str text_of(struct store_rows *rows, int column, struct arena *a)
{
    return store_is_null(rows, column) ? STR_NONE : str_dup(a, store_text(rows, column));
}

enum err token_find(struct store_conn *c, struct arena *a, struct str text, int64_t now,
                    struct token_row *out, struct error *e)
{
    struct store_rows rows;
    bool found = false;
    *out = (struct token_row){.hash = hash_sha256(text)};
    store_query(c, &rows,
                "SELECT t.kind, t.grant_n, t.account, t.session, t.made, t.expires, t.client,"
                " t.audience, t.doc, t.jkt, t.x5t FROM oidc_token t"
                " LEFT JOIN oidc_grant g ON g.n = t.grant_n"
                " LEFT JOIN account p ON p.id = t.account"
                " WHERE t.hash = $1 AND t.ended = 0 AND t.expires > $2"
                " AND (t.grant_n = 0 OR g.ended = 0)"
                " AND (t.account = 0 OR p.state = $3 OR p.state = $4)",
                SV(SV_BLOB(hash_bytes(&out->hash)), SV_INT(now), SV_INT(ACCOUNT_ACTIVE),
                   SV_INT(ACCOUNT_MOVED_OUT)));
    if ((found = store_next(&rows))) {
        out->kind = (int)store_int(&rows, 0);
        out->grant = store_int(&rows, 1);
        out->account = store_int(&rows, 2);
        out->session = store_int(&rows, 3);
        out->made = store_int(&rows, 4);
        out->expires = store_int(&rows, 5);
        out->client = text_of(&rows, 6, a);
        out->audience = text_of(&rows, 7, a);
        out->doc = text_of(&rows, 8, a);
        out->jkt = text_of(&rows, 9, a);
        out->x5t = text_of(&rows, 10, a);
    }
    enum err err = store_end(&rows, e);
    return err || found ? err : error_set(e, ERR_NOT_FOUND, "no token of ours that is good");
}

void token_answer(struct call *c, struct json_writer *w, struct str access, const struct issue *i)
{
    json_w_object(w);
    json_w_kstr(w, S("access_token"), access);
    json_w_kstr(w, S("token_type"), i->jkt.n ? S("DPoP") : S("Bearer"));
    json_w_ki64(w, S("expires_in"), c->o->options->access_s);
    if (i->scope.n)
        json_w_kstr(w, S("scope"), i->scope);
    if (i->details) {
        json_w_key(w, S("authorization_details"));
        json_w_value(w, i->details);
    }
}
