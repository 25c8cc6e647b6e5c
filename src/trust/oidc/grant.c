/*
 * What one person allowed one client in one sign-in: kept as a row on which codes and tokens hang,
 * so that ending it ends them all.
 */
#include "authz.h"
#include "core/vec.h"

/* --- methods --- */

static const struct json *amr_of(struct arena *a, unsigned amr)
{
    static const struct {
        unsigned bit;
        struct str name;
    } names[] = {{AMR_PASSWORD, S_INIT("pwd")},
                 {AMR_OTP, S_INIT("otp")},
                 {AMR_USER, S_INIT("user")},
                 {AMR_CARD, S_INIT("sc")},
                 {AMR_FACE, S_INIT("face")}};
    VEC(struct json) list = VEC_INIT;
    if (amr & AMR_PASSKEY)
        *vec_push(a, &list) = json_v_str(amr & AMR_HARDWARE ? S("hwk") : S("swk"));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (amr & names[i].bit)
            *vec_push(a, &list) = json_v_str(names[i].name);
    if (!list.n)
        return NULL;
    struct json *v = ARENA_NEW(a, struct json);
    *v = json_v_array(list.v, list.n);
    return v;
}

bool account_may(struct store_conn *conn, struct arena *a, int64_t account)
{
    struct account row;
    struct error e = {0};
    return !account_read(conn, a, account, &row, &e) &&
           (row.state == ACCOUNT_ACTIVE || row.state == ACCOUNT_MOVED_OUT);
}

/* --- making --- */

enum err grant_of(struct call *c, struct store_conn *conn, const struct authz *z,
                  const struct session *s, struct grant *g, struct error *e)
{
    (void)conn;
    bool offline = scope_has(z->scope, S("offline_access"));
    /* As long as refresh tokens last; without them as long as the session can, so that its end is
     * still told, and what was given last. */
    int64_t life = c->o->options->access_s + c->o->trust->options.session_max_s;
    if (c->client->grants & GRANT_REFRESH)
        life = c->o->options->refresh_s;
    *g = (struct grant){.account = s->account,
                        .session = s->id,
                        .offline = offline && (c->client->grants & GRANT_REFRESH),
                        .expires = c->now + life * SECOND_US,
                        .nonce = z->nonce,
                        .words = z->words};
    g->issue = (struct issue){.account = s->account,
                              .session = s->id,
                              .scope = z->scope,
                              .audience = z->resource,
                              .acr = str_c(acr_name(s->acr)),
                              .amr = amr_of(c->a, s->amr),
                              .authenticated = s->authenticated,
                              .details = z->details,
                              .claims = z->claims};
    enum err err = subject_of(c->o, c->a, c->client->sector, s->account, &g->issue.subject, e);
    return err ? err : session_sid(c->o->trust, c->a, s->id, &g->sid, e);
}

static struct str grant_doc(struct call *c, const struct grant *g)
{
    const struct issue *i = &g->issue;
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    const struct {
        struct str name, value;
    } texts[] = {{S("iss"), c->issuer}, {S("sub"), i->subject},       {S("scope"), i->scope},
                 {S("acr"), i->acr},    {S("resource"), i->audience}, {S("nonce"), g->nonce},
                 {S("sid"), g->sid},    {S("words"), g->words}};
    const struct {
        struct str name;
        const struct json *value;
    } values[] = {{S("amr"), i->amr}, {S("claims"), i->claims}, {S("details"), i->details}};
    json_w_object(&w);
    for (size_t k = 0; k < sizeof(texts) / sizeof(texts[0]); k++)
        if (texts[k].value.p)
            json_w_kstr(&w, texts[k].name, texts[k].value);
    for (size_t k = 0; k < sizeof(values) / sizeof(values[0]); k++)
        if (values[k].value) {
            json_w_key(&w, values[k].name);
            json_w_value(&w, values[k].value);
        }
    json_w_ki64(&w, S("auth_time"), i->authenticated);
    json_w_end(&w);
    struct str text = buf_dup(&b, c->a);
    buf_release(&b);
    return text;
}

enum err grant_make(struct call *c, struct store_conn *conn, struct grant *g, struct error *e)
{
    enum err err = store_get_int(
        conn, &g->n,
        "INSERT INTO oidc_grant(client, account, session, made, expires, ended, offline, doc)"
        " VALUES ($1, $2, $3, $4, $5, 0, $6, $7) RETURNING n",
        SV(SV_TEXT(c->client->id), SV_INT(g->account), SV_INT(g->session), SV_INT(c->now),
           SV_INT(g->expires), SV_INT(g->offline), SV_TEXT(grant_doc(c, g))),
        e);
    g->issue.grant = g->n;
    return err ? err : subject_keep(conn, c->client->sector, g->issue.subject, g->account, e);
}

enum err grant_open(struct arena *a, struct str doc, struct grant *g, struct error *e)
{
    const struct json *v = json_parse(a, doc, &JSON_DEFAULT, e);
    if (!v)
        return error_set(e, ERR_CORRUPT, "a grant is damaged");
    g->issue = (struct issue){.grant = g->n,
                              .account = g->account,
                              .session = g->session,
                              .subject = json_text(json_get(v, S("sub"))),
                              .scope = json_text(json_get(v, S("scope"))),
                              .audience = json_text(json_get(v, S("resource"))),
                              .acr = json_text(json_get(v, S("acr"))),
                              .amr = json_get(v, S("amr")),
                              .claims = json_get(v, S("claims")),
                              .details = json_get(v, S("details"))};
    g->nonce = json_text(json_get(v, S("nonce")));
    g->sid = json_text(json_get(v, S("sid")));
    g->words = json_text(json_get(v, S("words")));
    json_i64(json_get(v, S("auth_time")), &g->issue.authenticated);
    return OK;
}

enum err grant_end(struct store_conn *c, int64_t grant, int64_t now, struct error *e)
{
    return store_exec(c, "UPDATE oidc_grant SET ended = $2 WHERE n = $1 AND ended = 0",
                      SV(SV_INT(grant), SV_INT(now)), NULL, e);
}

/* --- its tokens --- */

static struct str half_hash(struct arena *a, struct str text)
{
    struct hash h = hash_sha256(text);
    return base64url_encode(a, str_n((const char *)h.b, HASH_BYTES / 2));
}

/* OpenID Connect Core section 2. */
static enum err make_id_token(struct call *c, struct store_conn *conn, const struct grant *g,
                              struct tokens *t, struct error *e)
{
    const struct issue *i = &t->issue;
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    json_w_object(&w);
    json_w_kstr(&w, S("iss"), c->issuer);
    json_w_kstr(&w, S("sub"), i->subject);
    json_w_kstr(&w, S("aud"), c->client->id);
    json_w_ki64(&w, S("iat"), c->now / SECOND_US);
    json_w_ki64(&w, S("exp"), c->now / SECOND_US + c->o->options->access_s);
    json_w_ki64(&w, S("auth_time"), i->authenticated / SECOND_US);
    json_w_kstr(&w, S("acr"), i->acr);
    if (i->amr) {
        json_w_key(&w, S("amr"));
        json_w_value(&w, i->amr);
    }
    if (g->nonce.p)
        json_w_kstr(&w, S("nonce"), g->nonce);
    json_w_kstr(&w, S("sid"), g->sid);
    json_w_kstr(&w, S("at_hash"), half_hash(c->a, t->access));
    enum err err = claims_write(c, conn, g, true, &w, e);
    json_w_end(&w);
    if (!err)
        err = sign_jwt(c, S("JWT"), buf_view(&b), &t->id, e);
    buf_release(&b);
    return err;
}

enum err tokens_make(struct call *c, struct store_conn *conn, const struct grant *g,
                     const struct issue *i, bool refresh, struct tokens *out, struct error *e)
{
    *out = (struct tokens){.grant = g, .issue = *i, .has_refresh = refresh};
    enum err err = token_access(c, &out->issue, &out->access, &out->access_row, e);
    if (!err && scope_has(g->issue.scope, S("openid")))
        err = make_id_token(c, conn, g, out, e);
    if (err || !refresh)
        return err;
    /* A client that authenticates by a key is the only one who can use its refresh tokens; one
     * without a secret has them bound to the key of its proofs (RFC 9449 section 5). */
    struct issue bound = *i;
    if (c->client->auth != AUTH_NONE)
        bound.jkt = bound.x5t = STR_NONE;
    return token_refresh(c, &bound, g->expires, &out->refresh, &out->refresh_row, e);
}

enum err tokens_keep(struct store_conn *conn, const struct tokens *t, struct error *e)
{
    enum err err = token_keep(conn, &t->access_row, e);
    return err || !t->has_refresh ? err : token_keep(conn, &t->refresh_row, e);
}

void tokens_answer(struct call *c, const struct tokens *t)
{
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    token_answer(c, &w, t->access, &t->issue);
    if (t->id.p)
        json_w_kstr(&w, S("id_token"), t->id);
    if (t->has_refresh)
        json_w_kstr(&w, S("refresh_token"), t->refresh);
    json_w_end(&w);
    call_json(c, 200, &b);
}
