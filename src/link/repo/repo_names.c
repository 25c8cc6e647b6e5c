/* Tenants, and the names of types and attributes in use. */
#include "keys.h"
#include "link/repo.h"
#include "repo_index.h"

enum err repo_names(struct store_conn *c, int64_t tenant, bool attributes,
                    bool (*each)(void *ctx, struct str iri, int64_t entities), void *ctx,
                    struct error *e)
{
    struct store_rows r;
    bool go_on = true;
    store_query(c, &r,
                "SELECT iri, (SELECT count(*) FROM entity_key x WHERE x.k = n.k) FROM entity_name n"
                " WHERE tenant = $1 AND kind = $2 ORDER BY iri",
                SV(SV_INT(tenant), SV_INT(attributes)));
    while (go_on && store_next(&r))
        if (store_int(&r, 1) > 0)
            go_on = each(ctx, store_text(&r, 0), store_int(&r, 1));
    return store_end(&r, e);
}

enum err repo_ids(struct store_conn *c, int64_t tenant, struct str prefix,
                  bool (*each)(void *ctx, struct str id), void *ctx, struct error *e)
{
    struct store_rows r;
    struct arena a = ARENA_INIT;
    bool go_on = true;
    struct str last = str_concat(&a, prefix, S("\xf4\x8f\xbf\xbf")); /* U+10FFFF sorts last */
    store_query(c, &r,
                "SELECT id FROM entity WHERE tenant = $1 AND id >= $2 AND id <= $3 ORDER BY id",
                SV(SV_INT(tenant), SV_TEXT(prefix), SV_TEXT(last)));
    while (go_on && store_next(&r))
        go_on = each(ctx, store_text(&r, 0));
    enum err err = store_end(&r, e);
    arena_release(&a);
    return err;
}

enum err repo_expired(struct store_conn *c, int64_t tenant, int64_t now, int64_t limit,
                      bool (*each)(void *ctx, struct str id), void *ctx, struct error *e)
{
    struct store_rows r;
    bool go_on = true;
    store_query(
        c, &r,
        "SELECT id FROM entity JOIN (SELECT eid AS due, v FROM entity_num"
        " WHERE k = $1 AND v <= $2 ORDER BY v, eid LIMIT $3) x ON eid = due ORDER BY v, eid",
        SV(SV_INT(key_of(tenant, KEY_EXPIRY, S(""))), SV_REAL((double)now), SV_INT(limit)));
    while (go_on && store_next(&r))
        go_on = each(ctx, store_text(&r, 0));
    return store_end(&r, e);
}

enum err repo_tenant(struct store_conn *c, struct str name, int64_t *tenant, struct error *e)
{
    if (!name.n) {
        *tenant = 1;
        return OK;
    }
    enum err err =
        store_get_int(c, tenant, "SELECT n FROM tenant WHERE name = $1", SV(SV_TEXT(name)), e);
    return err == ERR_NOT_FOUND ? error_set(e, err, "no tenant %" STR_F, STR_A(name)) : err;
}

enum err repo_tenant_make(struct store_conn *c, struct str name, int64_t now, int64_t *tenant,
                          struct error *e)
{
    enum err err = repo_tenant(c, name, tenant, e);
    if (err != ERR_NOT_FOUND)
        return err;
    return store_get_int(c, tenant, "INSERT INTO tenant(name, created) VALUES ($1, $2) RETURNING n",
                         SV(SV_TEXT(name), SV_INT(now)), e);
}

enum err repo_tenants(struct store_conn *c, bool (*each)(void *ctx, int64_t n, struct str name),
                      void *ctx, struct error *e)
{
    struct store_rows r;
    bool go_on = true;
    store_query(c, &r, "SELECT n, name FROM tenant ORDER BY n", SV_EMPTY);
    while (go_on && store_next(&r))
        go_on = each(ctx, store_int(&r, 0), store_text(&r, 1));
    return store_end(&r, e);
}
