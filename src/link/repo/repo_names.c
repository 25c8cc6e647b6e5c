/* Tenants, and the names of types and attributes in use. */
#include "keys.h"
#include "link/access.h"
#include "link/repo.h"
#include "repo_index.h"

static bool stop_at_first(void *ctx, const struct entity_row *row, const struct json *stored)
{
    (void)row, (void)stored;
    *(bool *)ctx = true;
    return false;
}

/* How many entities of that type show through the connection's view; of an attribute: does one? */
static enum err count_shown(struct store_conn *c, int64_t tenant, bool attribute, struct str iri,
                            int64_t *n, struct error *e)
{
    struct arena a = ARENA_INIT;
    struct entity_query q = {.attrs = &iri, .n_attrs = attribute ? 1 : 0};
    struct repo_query rq = {.query = &q, .tenant = tenant, .limit = attribute, .count = !attribute};
    struct repo_result result = {0};
    bool any = false;
    enum err err = OK;
    if (!attribute) {
        q.types = query_parse_types(&a, iri, ld_core(), &QUERY_DEFAULT, e);
        err = q.types ? OK : e->code;
    }
    if (!err)
        err = repo_query(c, &rq, stop_at_first, &any, &result, e);
    *n = attribute ? any : (int64_t)result.count;
    arena_release(&a);
    return err;
}

struct seen_name {
    struct str iri;
    int64_t entities;
};

struct seen_names {
    struct arena arena;
    VEC(struct seen_name) list;
};

static bool keep_name(void *ctx, struct str iri, int64_t entities)
{
    struct seen_names *n = ctx;
    *vec_push(&n->arena, &n->list) = (struct seen_name){str_dup(&n->arena, iri), entities};
    return true;
}

static enum err all_names(struct store_conn *c, int64_t tenant, bool attributes,
                          bool (*each)(void *ctx, struct str iri, int64_t entities), void *ctx,
                          struct error *e);

enum err repo_names(struct store_conn *c, int64_t tenant, bool attributes,
                    bool (*each)(void *ctx, struct str iri, int64_t entities), void *ctx,
                    struct error *e)
{
    struct seen_names n = {.list = VEC_INIT};
    bool go_on = true;
    if (!access_of(c))
        return all_names(c, tenant, attributes, each, ctx, e);
    enum err err = all_names(c, tenant, attributes, keep_name, &n, e);
    for (size_t i = 0; !err && go_on && i < n.list.n; i++) {
        struct json type = json_v_str(n.list.v[i].iri), types = json_v_array(&type, 1);
        int64_t shown = n.list.v[i].entities;
        if (attributes || access_sight(access_of(c), &types) != SIGHT_ALL)
            err = count_shown(c, tenant, attributes, n.list.v[i].iri, &shown, e);
        if (!err && shown)
            go_on = each(ctx, n.list.v[i].iri, shown);
    }
    arena_release(&n.arena);
    return err;
}

static enum err all_names(struct store_conn *c, int64_t tenant, bool attributes,
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
