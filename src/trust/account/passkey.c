/*
 * Passkeys of accounts.
 *
 * A challenge: 12 random bytes, 4 bytes of the second at which it ends, 16 bytes of a mark over
 * both, its purpose and what it is bound to. The first 12 are what passkey_used remembers.
 */
#include "trust/passkey.h"
#include "account_impl.h"
#include "core/text.h"
#include "core/vec.h"
#include <string.h>

#define NAME "passkey.name"

enum { RANDOM = 12, ENDS = 4, MARK = 16, CHALLENGE = RANDOM + ENDS + MARK, TIMEOUT_MS = 300000 };

/* --- challenges --- */

static enum err mark_of(struct trust *t, struct arena *a, const char *purpose, struct str head,
                        struct str bound, struct str *mark, struct error *e)
{
    struct str fields[] = {str_c(purpose), head, bound};
    struct hash joined = hash_blake2b_fields(fields, 3), h;
    enum err err = vault_blind(t->vault, S("passkey.challenge"), hash_text(&joined), &h, e);
    if (!err)
        *mark = str_dup(a, str_n((const char *)h.b, MARK));
    return err;
}

static enum err make_challenge(struct trust *t, struct arena *a, const char *purpose,
                               struct str bound, struct str *out, struct error *e)
{
    uint32_t ends = (uint32_t)(clock_now(t->clock) / SECOND_US + PASSKEY_CHALLENGE_S);
    char *p = arena_alloc(a, RANDOM + ENDS);
    struct str mark;
    random_bytes(p, RANDOM);
    for (int i = 0; i < ENDS; i++)
        p[RANDOM + i] = (char)(ends >> (24 - 8 * i));
    enum err err = mark_of(t, a, purpose, str_n(p, RANDOM + ENDS), bound, &mark, e);
    if (!err)
        *out = str_concat(a, str_n(p, RANDOM + ENDS), mark);
    return err;
}

/* The challenge that an answer was made for, if it is one of ours that is still good. Whether it is
 * the one that was signed is webauthn.h's to check. */
static bool find_challenge(struct trust *t, struct arena *a, const char *purpose, struct str bound,
                           const struct webauthn_answer *answer, struct str *out)
{
    const struct json *v = json_parse(a, answer->client_data, &JSON_DEFAULT, NULL);
    struct str mark, bytes;
    uint32_t ends = 0;
    if (!base64url_decode(a, json_text(json_get(v, S("challenge"))), &bytes) ||
        bytes.n != CHALLENGE || !bound.n)
        return false;
    for (int i = 0; i < ENDS; i++)
        ends = ends << 8 | (unsigned char)bytes.p[RANDOM + i];
    *out = bytes;
    return !mark_of(t, a, purpose, str_sub(bytes, 0, RANDOM + ENDS), bound, &mark, NULL) &&
           bytes_equal(mark, str_from(bytes, RANDOM + ENDS)) &&
           clock_now(t->clock) / SECOND_US < ends;
}

/* Inside a change: never again. ERR_UNAUTHENTICATED: it was answered before. */
static enum err spend(struct trust *t, struct store_conn *c, struct str challenge, struct error *e)
{
    int64_t n = 0;
    struct str mark = str_sub(challenge, 0, RANDOM);
    enum err err = store_get_int(c, &n, "SELECT COUNT(*) FROM passkey_used WHERE mark = $1",
                                 SV(SV_BLOB(mark)), e);
    if (!err && n)
        return error_set(e, ERR_UNAUTHENTICATED, "the challenge was answered already");
    if (err)
        return err;
    int64_t expires = clock_now(t->clock) + PASSKEY_CHALLENGE_S * SECOND_US;
    return store_exec(c, "INSERT INTO passkey_used(mark, expires) VALUES ($1, $2)",
                      SV(SV_BLOB(mark), SV_INT(expires)), NULL, e);
}

enum err passkey_sweep(struct store_conn *c, int64_t now, struct error *e)
{
    return store_exec(c, "DELETE FROM passkey_used WHERE expires < $1", SV(SV_INT(now)), NULL, e);
}

/* --- who asks --- */

static struct str host_of(struct str origin)
{
    ptrdiff_t at = str_find(origin, S("://"));
    struct str host = at < 0 ? STR_NONE : str_from(origin, (size_t)at + 3);
    for (size_t i = 0; i < host.n; i++)
        if (host.p[i] == ':' || host.p[i] == '/')
            return str_sub(host, 0, i);
    return host;
}

enum err passkey_rp(struct trust *t, struct request *req, struct str name, struct webauthn_rp *out,
                    struct error *e)
{
    struct str *origin = ARENA_NEW(req->arena, struct str);
    struct str host = request_header(req, "Host");
    *origin = t->base_url ? str_c(t->base_url) : STR_NONE;
    if (!origin->n)
        *origin = str_printf(req->arena, "%s://%" STR_F, req->tls ? "https" : "http", STR_A(host));
    while (str_ends(*origin, S("/")))
        origin->n--;
    *out = (struct webauthn_rp){.id = host_of(*origin),
                                .name = name,
                                .origins = origin,
                                .n_origins = 1};
    return out->id.n && str_is_utf8(*origin)
               ? OK
               : error_set(e, ERR_INVALID, "no host is known that passkeys could be for");
}

/* --- what is kept --- */

static enum err handle_of(struct trust *t, struct arena *a, int64_t account, struct str *out,
                          struct error *e)
{
    struct hash h;
    enum err err = vault_blind(t->vault, S("passkey.handle"),
                               str_n((const char *)&account, sizeof(account)), &h, e);
    if (!err)
        *out = str_dup(a, hash_text(&h));
    return err;
}

static struct webauthn_credential read_credential(struct arena *a, struct store_rows *rows)
{
    return (struct webauthn_credential){.id = str_dup(a, store_blob(rows, 2)),
                                        .public_key = str_dup(a, store_blob(rows, 3)),
                                        .handle = str_dup(a, store_blob(rows, 4)),
                                        .aaguid = str_dup(a, store_blob(rows, 5)),
                                        .transports = str_dup(a, store_text(rows, 6)),
                                        .sign_count = (uint32_t)store_int(rows, 7),
                                        .backup_eligible = store_int(rows, 8) != 0,
                                        .backed_up = store_int(rows, 9) != 0};
}

#define CREDENTIAL                                                                                 \
    "SELECT id, account, credential, public_key, handle, aaguid, transports, sign_count,"          \
    " backup_eligible, backed_up FROM account_passkey"

static enum err known_of(struct store_conn *c, struct arena *a, int64_t account,
                         const struct webauthn_credential **out, size_t *n, struct error *e)
{
    VEC(struct webauthn_credential) list = VEC_INIT;
    struct store_rows rows;
    store_query(c, &rows, CREDENTIAL " WHERE account = $1 ORDER BY id LIMIT 20",
                SV(SV_INT(account)));
    while (store_next(&rows))
        *vec_push(a, &list) = read_credential(a, &rows);
    *out = list.v;
    *n = list.n;
    return store_end(&rows, e);
}

enum err passkey_list(struct trust *t, struct store_conn *c, struct arena *a, int64_t account,
                      const struct passkey **out, size_t *n, struct error *e)
{
    VEC(struct passkey) list = VEC_INIT;
    struct store_rows rows;
    enum err err = OK;
    store_query(c, &rows,
                "SELECT id, created, used, backed_up, name, number FROM account_passkey"
                " WHERE account = $1 ORDER BY id LIMIT 20",
                SV(SV_INT(account)));
    while (!err && store_next(&rows)) {
        struct vault_place at = {account, S(NAME), store_int(&rows, 5)};
        struct str sealed = str_dup(a, store_blob(&rows, 4));
        struct passkey *k = vec_push(a, &list);
        *k = (struct passkey){.id = store_int(&rows, 0),
                              .created = store_int(&rows, 1),
                              .used = store_int(&rows, 2),
                              .backed_up = store_int(&rows, 3) != 0};
        err = vault_unseal(t->vault, c, a, &at, sealed, &k->name, e);
    }
    enum err end = store_end(&rows, err ? NULL : e);
    *out = list.v;
    *n = list.n;
    return err ? err : end;
}

/* --- asking --- */

enum err passkey_ask_create(struct trust *t, struct store_conn *c, struct arena *a,
                            const struct webauthn_rp *rp, int64_t account, struct str bound,
                            struct json_writer *w, struct error *e)
{
    struct webauthn_asked asked = {.rp = rp, .user_verification = true, .timeout_ms = TIMEOUT_MS};
    struct person p;
    enum err err = known_of(c, a, account, &asked.known, &asked.n_known, e);
    if (!err)
        err = handle_of(t, a, account, &asked.user.handle, e);
    if (!err)
        err = account_person(t, c, a, account, &p, e);
    if (!err)
        err = make_challenge(t, a, "create", bound, &asked.challenge, e);
    if (err)
        return err;
    asked.user.name = p.login.n ? p.login : p.name.n ? p.name : rp->name;
    asked.user.display_name = p.name.n ? p.name : asked.user.name;
    webauthn_options_create(w, &asked);
    return OK;
}

enum err passkey_ask_get(struct trust *t, struct arena *a, const struct webauthn_rp *rp,
                         struct str bound, struct json_writer *w, struct error *e)
{
    struct webauthn_asked asked = {.rp = rp, .user_verification = true, .timeout_ms = TIMEOUT_MS};
    enum err err = make_challenge(t, a, "get", bound, &asked.challenge, e);
    if (!err)
        webauthn_options_get(w, &asked);
    return err;
}

/* --- a new one --- */

struct creating {
    struct trust *t;
    struct arena *a;
    int64_t account;
    struct str challenge, name;
    struct webauthn_credential made;
};

static enum err insert(struct creating *x, struct store_conn *c, struct error *e)
{
    const struct webauthn_credential *k = &x->made;
    struct vault_place at = {x->account, S(NAME), place_number()};
    struct str sealed;
    enum err err = vault_seal(x->t->vault, c, x->a, &at, x->name, &sealed, e);
    if (err)
        return err;
    return store_exec(
        c,
        "INSERT INTO account_passkey(account, credential, public_key, handle, aaguid, transports,"
        " sign_count, backup_eligible, backed_up, name, number, created, used)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12)",
        SV(SV_INT(x->account), SV_BLOB(k->id), SV_BLOB(k->public_key), SV_BLOB(k->handle),
           SV_BLOB(k->aaguid), SV_TEXT(k->transports.p ? k->transports : S("")),
           SV_INT(k->sign_count), SV_INT(k->backup_eligible), SV_INT(k->backed_up), SV_BLOB(sealed),
           SV_INT(at.number), SV_INT(clock_now(x->t->clock))),
        NULL, e);
}

static enum err apply_created(struct store_conn *c, void *ctx, struct error *e)
{
    struct creating *x = ctx;
    int64_t taken = 0;
    struct proof_ways ways;
    enum err err = spend(x->t, c, x->challenge, e);
    if (!err)
        err = store_get_int(c, &taken, "SELECT COUNT(*) FROM account_passkey WHERE credential = $1",
                            SV(SV_BLOB(x->made.id)), e);
    if (!err && taken)
        err = error_set(e, ERR_EXISTS, "this passkey is registered already");
    if (!err)
        err = proof_ways(c, x->account, &ways, e);
    if (!err && ways.passkeys >= PASSKEYS_MAX)
        err = error_set(e, ERR_TOO_MANY, "an account has %d passkeys at most", PASSKEYS_MAX);
    if (!err)
        err = insert(x, c, e);
    return err ? err : proof_changed(x->t, c, x->account, "passkey-added", x->name, e);
}

/* What a person may call one; empty: the page names it. */
static bool tidy_name(struct arena *a, struct str in, struct str *out)
{
    *out = str_dup(a, text_trim(in));
    for (size_t i = 0; i < out->n; i++)
        if ((unsigned char)out->p[i] < 0x20)
            return false;
    return out->n > 0 && out->n <= 4 * PASSKEY_NAME_MAX && str_is_utf8(*out);
}

enum err passkey_created(struct trust *t, struct arena *a, const struct webauthn_rp *rp,
                         int64_t account, struct str bound, struct str name,
                         const struct json *answer, struct error *e)
{
    struct creating x = {.t = t, .a = a, .account = account};
    struct webauthn_asked asked = {.rp = rp, .user_verification = true, .timeout_ms = TIMEOUT_MS};
    struct webauthn_answer got;
    if (!tidy_name(a, name, &x.name))
        return error_set(e, ERR_INVALID, "name");
    enum err err = webauthn_answer_read(a, answer, &got, e);
    if (!err && !find_challenge(t, a, "create", bound, &got, &x.challenge))
        err = error_set(e, ERR_UNAUTHENTICATED, "the challenge is not good, or no longer");
    if (!err)
        err = handle_of(t, a, account, &asked.user.handle, e);
    asked.challenge = x.challenge;
    asked.user.name = asked.user.display_name = x.name;
    if (!err)
        err = webauthn_created(a, &asked, &got, &x.made, e);
    return err ? err : store_write(t->store, apply_created, &x, e);
}

/* --- signing in --- */

struct asserting {
    struct trust *t;
    struct arena *a;
    struct request *req;
    struct webauthn_asked asked;
    const struct webauthn_answer *got;
    struct proof_result *out;
};

static enum err find_credential(struct store_conn *c, struct arena *a, struct str credential,
                                int64_t *id, int64_t *account, struct webauthn_credential *out,
                                struct error *e)
{
    struct store_rows rows;
    bool found;
    store_query(c, &rows, CREDENTIAL " WHERE credential = $1", SV(SV_BLOB(credential)));
    if ((found = store_next(&rows))) {
        *id = store_int(&rows, 0);
        *account = store_int(&rows, 1);
        *out = read_credential(a, &rows);
    }
    enum err err = store_end(&rows, e);
    return err || found ? err : error_set(e, ERR_UNAUTHENTICATED, "no such passkey");
}

/* All in one change, so that two assertions of one counter do not both count. */
static enum err apply_asserted(struct store_conn *c, void *ctx, struct error *e)
{
    struct asserting *x = ctx;
    struct webauthn_credential kept, now;
    int64_t id = 0, account = 0;
    enum err err = find_credential(c, x->a, x->got->id, &id, &account, &kept, e);
    if (!err)
        err = webauthn_asserted(x->a, &x->asked, &kept, x->got, &now, e);
    if (!err)
        err = spend(x->t, c, x->asked.challenge, e);
    if (!err)
        err = store_exec(c,
                         "UPDATE account_passkey SET sign_count = $2, backed_up = $3, used = $4"
                         " WHERE id = $1",
                         SV(SV_INT(id), SV_INT(now.sign_count), SV_INT(now.backed_up),
                            SV_INT(clock_now(x->t->clock))),
                         NULL, e);
    return err ? err
               : proof_done(x->t, c, x->a, x->req, account, AMR_PASSKEY | AMR_USER, x->out, e);
}

enum err proof_passkey(struct trust *t, struct arena *a, struct request *req,
                       const struct webauthn_rp *rp, struct str bound, const struct json *answer,
                       struct proof_result *out, struct error *e)
{
    struct webauthn_answer got;
    struct asserting x = {.t = t,
                          .a = a,
                          .req = req,
                          .asked = {.rp = rp, .user_verification = true, .timeout_ms = TIMEOUT_MS},
                          .got = &got,
                          .out = out};
    *out = (struct proof_result){0};
    enum err err = webauthn_answer_read(a, answer, &got, e);
    if (!err && !find_challenge(t, a, "get", bound, &got, &x.asked.challenge))
        err = error_set(e, ERR_UNAUTHENTICATED, "the challenge is not good, or no longer");
    if (!err)
        err = store_write(t->store, apply_asserted, &x, e);
    if (err == ERR_INVALID || err == ERR_UNSUPPORTED || err == ERR_CONFLICT)
        err = error_set(e, ERR_UNAUTHENTICATED, "the passkey's answer is not good");
    return err;
}

/* --- names and removal --- */

static enum err is_theirs(struct store_conn *c, int64_t account, int64_t id, struct error *e)
{
    int64_t n = 0;
    enum err err =
        store_get_int(c, &n, "SELECT COUNT(*) FROM account_passkey WHERE id = $1 AND account = $2",
                      SV(SV_INT(id), SV_INT(account)), e);
    return err || n ? err : error_set(e, ERR_NOT_FOUND, "there is no such passkey");
}

enum err passkey_rename(struct trust *t, struct store_conn *c, int64_t account, int64_t id,
                        struct str name, struct error *e)
{
    struct arena a = ARENA_INIT;
    struct vault_place at = {account, S(NAME), place_number()};
    struct str tidy, sealed;
    enum err err = tidy_name(&a, name, &tidy) ? is_theirs(c, account, id, e)
                                              : error_set(e, ERR_INVALID, "name");
    if (!err)
        err = vault_seal(t->vault, c, &a, &at, tidy, &sealed, e);
    if (!err)
        err = store_exec(c, "UPDATE account_passkey SET name = $2, number = $3 WHERE id = $1",
                         SV(SV_INT(id), SV_BLOB(sealed), SV_INT(at.number)), NULL, e);
    arena_release(&a);
    return err;
}

enum err passkey_remove(struct trust *t, struct store_conn *c, int64_t account, int64_t id,
                        struct error *e)
{
    struct proof_ways ways;
    enum err err = is_theirs(c, account, id, e);
    if (!err)
        err = proof_ways(c, account, &ways, e);
    if (!err && !ways.password && ways.passkeys < 2)
        err = error_set(e, ERR_CONFLICT, "the passkey is the last way in");
    if (!err)
        err = store_exec(c, "DELETE FROM account_passkey WHERE id = $1", SV(SV_INT(id)), NULL, e);
    return err ? err : proof_changed(t, c, account, "passkey-removed", STR_NONE, e);
}
