/*
 * Which card is whose. A card's row is found by a blind index, so the store alone tells nobody
 * which card somebody has; the log of the account tells what happened to it, without its number.
 */
#include "trust/account.h"
#include "trust/card.h"
#include "trust/vault.h"

static enum err blind_of(struct trust *t, const struct card_certificate *cert, struct hash *out,
                         struct error *e)
{
    struct arena a = ARENA_INIT;
    struct buf b = BUF_INIT;
    buf_add(&b, cert->issuer.b, sizeof(cert->issuer.b));
    buf_add(&b, cert->key.b, sizeof(cert->key.b));
    buf_str(&b, cert->serial);
    enum err err = vault_blind(t->vault, S("card"), buf_view(&b), out, e);
    buf_release(&b);
    arena_release(&a);
    return err;
}

static struct store_value blob(const struct hash *h)
{
    return SV_BLOB(str_n((const char *)h->b, sizeof(h->b)));
}

static enum err owner_of(struct store_conn *c, const struct hash *blind, int64_t *account,
                         struct error *e)
{
    enum err err = store_get_int(c, account, "SELECT account FROM card_credential WHERE blind = $1",
                                 SV(blob(blind)), e);
    return err == ERR_NOT_FOUND ? error_set(e, err, "no account has this card") : err;
}

enum err card_find(struct trust *t, struct store_conn *c, const struct card_certificate *cert,
                   int64_t *account, struct error *e)
{
    struct hash blind;
    if (cert->role != CARD_AUTH || cert->status == CARD_REVOKED)
        return error_set(e, ERR_NOT_FOUND, "no account has this card");
    enum err err = blind_of(t, cert, &blind, e);
    return err ? err : owner_of(c, &blind, account, e);
}

/* --- linking --- */

static const char *ground_name(const struct card_ground *why)
{
    static const char *const names[] = {"first", "signature", "desk"};
    return names[why->kind];
}

static enum err ground_check(const struct card_ground *why, struct error *e)
{
    const struct card_certificate *sign = why->sign;
    if (why->kind == CARD_BY_DESK && why->staff <= 0)
        return error_set(e, ERR_FORBIDDEN, "nobody at the desk has looked at the card");
    if (why->kind != CARD_BY_SIGNATURE)
        return OK;
    if (!sign || sign->role != CARD_SIGN || sign->status != CARD_GOOD)
        return error_set(e, ERR_FORBIDDEN,
                         "the card's signing certificate is not known to be good");
    if (!why->known || !card_items_agree(&sign->items, why->known))
        return error_set(e, ERR_FORBIDDEN, "the card's items are not those of the account");
    return OK;
}

static enum err write_log(struct trust *t, struct store_conn *c, int64_t account, struct str kind,
                          const char *ground, int64_t by, struct error *e)
{
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    json_w_object(&w);
    if (ground)
        json_w_kstr(&w, S("ground"), str_c(ground));
    json_w_ki64(&w, S("by"), by);
    json_w_end(&w);
    enum err err = account_log(t, c, account, kind, buf_view(&b), NULL, e);
    buf_release(&b);
    return err;
}

enum err card_link(struct trust *t, struct store_conn *c, struct arena *a, int64_t account,
                   const struct card_certificate *cert, const struct card_ground *why,
                   struct error *e)
{
    struct hash blind;
    struct account found;
    int64_t owner = 0, before = 0;
    if (cert->role != CARD_AUTH || cert->status == CARD_REVOKED)
        return error_set(e, ERR_INVALID, "a card is known by its authentication certificate");
    enum err err = account_read(c, a, account, &found, e);
    if (!err)
        err = ground_check(why, e);
    if (!err)
        err = blind_of(t, cert, &blind, e);
    if (err)
        return err;
    err = owner_of(c, &blind, &owner, e);
    if (err != ERR_NOT_FOUND)
        return err                ? err
               : owner == account ? OK
                                  : error_set(e, ERR_EXISTS, "the card is that of another account");
    err = store_get_int(c, &before, "SELECT COUNT(*) FROM card_credential WHERE account = $1",
                        SV(SV_INT(account)), e);
    if (!err && before && why->kind == CARD_FIRST)
        err = error_set(e, ERR_CONFLICT, "the account has another card");
    if (!err)
        err = store_exec(c, "DELETE FROM card_credential WHERE account = $1", SV(SV_INT(account)),
                         NULL, e);
    if (!err)
        err = store_exec(c,
                         "INSERT INTO card_credential(blind, account, linked, not_after)"
                         " VALUES ($1, $2, $3, $4)",
                         SV(blob(&blind), SV_INT(account), SV_INT(clock_now(t->clock)),
                            SV_INT(cert->not_after)),
                         NULL, e);
    return err ? err
               : write_log(t, c, account, before ? S("card-replaced") : S("card-linked"),
                           ground_name(why), why->staff, e);
}

enum err card_unlink(struct trust *t, struct store_conn *c, int64_t account, int64_t by,
                     struct error *e)
{
    int64_t n = 0;
    enum err err =
        store_exec(c, "DELETE FROM card_credential WHERE account = $1", SV(SV_INT(account)), &n, e);
    if (!err && !n)
        err = error_set(e, ERR_NOT_FOUND, "the account has no card");
    return err ? err : write_log(t, c, account, S("card-unlinked"), NULL, by, e);
}
