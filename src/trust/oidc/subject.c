/*
 * Under which name a sector knows somebody: HMAC over sector and account, under a key of the
 * vault's. Two sectors cannot find out that they know the same person. The way back is a row that
 * is written with the first grant.
 */
#include "oidc_impl.h"
#include "trust/vault.h"

enum err subject_of(struct oidc *o, struct arena *a, struct str sector, int64_t account,
                    struct str *sub, struct error *e)
{
    struct hash h;
    struct str name = str_concat(a, S("oidc.sub:"), sector);
    struct str value = str_n((const char *)&account, sizeof(account));
    enum err err = vault_blind(o->trust->vault, name, value, &h, e);
    if (!err)
        *sub = hash_b64(a, &h);
    return err;
}

enum err subject_keep(struct store_conn *c, struct str sector, struct str sub, int64_t account,
                      struct error *e)
{
    return store_exec(c,
                      "INSERT INTO oidc_subject(sector, sub, account) VALUES ($1, $2, $3)"
                      " ON CONFLICT (sector, sub) DO NOTHING",
                      SV(SV_TEXT(sector), SV_TEXT(sub), SV_INT(account)), NULL, e);
}

enum err oidc_subject(struct oidc *o, struct store_conn *c, struct arena *a, struct str client,
                      int64_t account, struct str *sub, struct error *e)
{
    struct oidc_client k;
    enum err err = client_read(c, a, client, &k, e);
    return err ? err : subject_of(o, a, k.sector, account, sub, e);
}

enum err oidc_account(struct oidc *o, struct store_conn *c, struct str client, struct str sub,
                      int64_t *account, struct error *e)
{
    struct arena a = ARENA_INIT;
    struct oidc_client k;
    (void)o;
    enum err err = client_read(c, &a, client, &k, e);
    if (!err)
        err = store_get_int(c, account,
                            "SELECT account FROM oidc_subject WHERE sector = $1 AND sub = $2",
                            SV(SV_TEXT(k.sector), SV_TEXT(sub)), e);
    arena_release(&a);
    return err;
}
