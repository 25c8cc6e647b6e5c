/*
 * A tenant that goes: a space of a snapshot, which nobody shall find anything of afterwards. No
 * journal row tells of it; what follows the tenant's journal sees that it is over.
 */
#include "history_impl.h"
#include "repo_restore.h"

/* What hangs on an entity's number; history_settle() has been called. */
static const char *const of_entity[] = {
    "DELETE FROM hist WHERE eid = $1",      "DELETE FROM hist_hour WHERE eid = $1",
    "DELETE FROM hist_attr WHERE eid = $1", "DELETE FROM sync_register WHERE eid = $1",
    "DELETE FROM sync_past WHERE eid = $1", "DELETE FROM entity WHERE eid = $1",
};

/* What hangs on a tenant's number. */
static const char *const of_tenant[] = {
    "DELETE FROM entity_name WHERE tenant = $1",
    "DELETE FROM subscription WHERE tenant = $1",
    "DELETE FROM notify_position WHERE tenant = $1",
    "DELETE FROM delivery_action WHERE tenant = $1",
    "DELETE FROM sub_via WHERE tenant = $1",
    "DELETE FROM sync_cursor WHERE tenant = $1",
    "DELETE FROM tenant WHERE n = $1",
};

static enum err run(struct store_conn *c, const char *const *list, size_t n, int64_t number,
                    struct error *e)
{
    enum err err = OK;
    for (size_t i = 0; !err && i < n; i++)
        err = store_exec(c, list[i], SV(SV_INT(number)), NULL, e);
    return err;
}

struct going {
    int64_t eid;
    struct str doc; /* absent: a tombstone */
};

enum err repo_drop_entities(struct store_conn *c, int64_t tenant, int64_t max, int64_t *n,
                            struct error *e)
{
    struct arena a = ARENA_INIT;
    VEC(struct going) list = VEC_INIT;
    struct store_rows r;
    enum err err = history_settle(c, e);
    if (!err) {
        store_query(c, &r, "SELECT eid, doc FROM entity WHERE tenant = $1 LIMIT $2",
                    SV(SV_INT(tenant), SV_INT(max)));
        while (store_next(&r))
            *vec_push(&a, &list) =
                (struct going){store_int(&r, 0),
                               store_is_null(&r, 1) ? STR_NONE : str_dup(&a, store_text(&r, 1))};
        err = store_end(&r, e);
    }
    for (size_t i = 0; !err && i < list.n; i++) {
        const struct json *doc =
            list.v[i].doc.p ? json_parse(&a, list.v[i].doc, &JSON_DEFAULT, NULL) : NULL;
        if (doc)
            err = repo_unindex(c, &a, tenant, list.v[i].eid, doc, e);
        if (!err)
            err = run(c, of_entity, sizeof(of_entity) / sizeof(of_entity[0]), list.v[i].eid, e);
    }
    *n = (int64_t)list.n;
    arena_release(&a);
    return err;
}

enum err repo_drop_tenant(struct store_conn *c, int64_t tenant, struct error *e)
{
    enum err err = run(c, of_tenant, sizeof(of_tenant) / sizeof(of_tenant[0]), tenant, e);
    return err ? err : journal_drop(c, tenant, e);
}
