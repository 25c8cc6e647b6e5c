#include "nodes.h"
#include "crypto/hash.h"

enum { TOKEN_BYTES = 24, NAME_MAX_BYTES = 64 };

static bool name_ok(struct str name)
{
    bool good = name.n > 0 && name.n <= NAME_MAX_BYTES;
    for (size_t i = 0; good && i < name.n; i++) {
        char ch = name.p[i];
        good = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') ||
               ch == '-' || ch == '_' || ch == '.';
    }
    return good;
}

static struct str hash_text(struct arena *a, struct str token)
{
    struct hash h = hash_blake2b(token);
    return hex_encode(a, str_n((const char *)h.b, HASH_BYTES));
}

enum err nodes_enroll(struct store_conn *c, struct arena *a, struct str name, int64_t now,
                      struct str *token, struct error *e)
{
    int64_t there = 0;
    if (!name_ok(name))
        return error_set(e, ERR_INVALID,
                         "the name of a node: 1 to 64 letters, digits, '-', '_' and '.'");
    enum err err = store_get_int(
        c, &there, "SELECT 1 FROM sync_node WHERE name = $1 AND (token <> '' OR name = 'upstream')",
        SV(SV_TEXT(name)), NULL);
    if (!err)
        return error_set(e, ERR_EXISTS, "node %" STR_F " is enrolled already", STR_A(name));
    if (err != ERR_NOT_FOUND)
        return error_set(e, err, "the list of nodes cannot be read");
    *token = random_token(a, TOKEN_BYTES);
    return store_exec(c,
                      "INSERT INTO sync_node(name, token, created) VALUES ($1, $2, $3)"
                      " ON CONFLICT(name) DO UPDATE SET token = excluded.token,"
                      " created = excluded.created",
                      SV(SV_TEXT(name), SV_TEXT(hash_text(a, *token)), SV_INT(now)), NULL, e);
}

enum err nodes_dismiss(struct store_conn *c, struct str name, struct error *e)
{
    int64_t n = 0;
    enum err err = store_exec(c,
                              "DELETE FROM sync_cursor WHERE node IN"
                              " (SELECT node FROM sync_node WHERE name = $1)",
                              SV(SV_TEXT(name)), NULL, e);
    if (!err)
        err = store_exec(c, "DELETE FROM sync_node WHERE name = $1", SV(SV_TEXT(name)), &n, e);
    if (!err && !n)
        err = error_set(e, ERR_NOT_FOUND, "no node %" STR_F, STR_A(str_cut(name, 100)));
    return err;
}

enum err nodes_find(struct store_conn *c, struct arena *a, struct str token, struct str *name,
                    struct error *e)
{
    struct store_rows r;
    struct str hash = hash_text(a, token);
    *name = STR_NONE;
    store_query(c, &r, "SELECT name, token FROM sync_node ORDER BY name", SV_EMPTY);
    while (store_next(&r))
        if (bytes_equal(hash, store_text(&r, 1)))
            *name = str_dup(a, store_text(&r, 0));
    enum err err = store_end(&r, e);
    if (!err && !name->p)
        err = error_set(e, ERR_UNAUTHENTICATED, "this is no token of an enrolled node");
    return err;
}

enum err nodes_id(struct store_conn *c, struct str name, struct str node, enum node_id *out,
                  struct error *e)
{
    struct store_rows r;
    bool mine = false, others = false, had = false;
    store_query(c, &r,
                "SELECT name, node, 0 FROM sync_node WHERE token <> '' AND (node = $1 OR name = $2)"
                " UNION ALL SELECT name, node, 1 FROM sync_former WHERE node = $3",
                SV(SV_TEXT(node), SV_TEXT(name), SV_TEXT(node)));
    *out = NODE_SAME;
    while (store_next(&r)) {
        bool named = str_eq(store_text(&r, 0), name), former = store_int(&r, 2) == 1;
        bool is = !store_is_null(&r, 1) && str_eq(store_text(&r, 1), node);
        if (named && former)
            *out = NODE_FORMER;
        mine = mine || (named && is && !former);
        others = others || (!named && is);
        had = had || (named && !former && !store_is_null(&r, 1));
    }
    if (*out != NODE_FORMER && others)
        *out = NODE_TAKEN;
    else if (*out != NODE_FORMER && had && !mine)
        *out = NODE_OTHER;
    return store_end(&r, e);
}

enum err nodes_replace(struct store_conn *c, struct str name, int64_t now, struct error *e)
{
    enum err err = store_exec(c,
                              "INSERT INTO sync_former(node, name, at) SELECT node, name, $1"
                              " FROM sync_node WHERE name = $2 ON CONFLICT(node) DO NOTHING",
                              SV(SV_INT(now), SV_TEXT(name)), NULL, e);
    if (err)
        return err;
    return store_exec(c,
                      "DELETE FROM sync_cursor WHERE node IN"
                      " (SELECT node FROM sync_node WHERE name = $1)",
                      SV(SV_TEXT(name)), NULL, e);
}

enum err nodes_note(struct store_conn *c, struct str name, struct str node, struct str part,
                    struct error *e)
{
    return store_exec(c, "UPDATE sync_node SET node = $1, part = $2 WHERE name = $3",
                      SV(SV_TEXT(node), SV_TEXT(part), SV_TEXT(name)), NULL, e);
}

enum err nodes_each(struct store_conn *c, int64_t tenant,
                    void (*each)(void *ctx, const struct node_status *n), void *ctx,
                    struct error *e)
{
    struct store_rows r;
    store_query(c, &r,
                "SELECT n.name, n.node, n.part, CASE WHEN n.token <> '' THEN n.created ELSE 0 END,"
                " coalesce(x.contact, 0),"
                " coalesce(x.received, 0), coalesce(x.acked, 0) FROM sync_node n"
                " LEFT JOIN sync_cursor x ON x.node = n.node AND x.tenant = $1"
                " WHERE n.token <> '' OR n.name <> 'upstream' ORDER BY n.name",
                SV(SV_INT(tenant)));
    while (store_next(&r)) {
        struct node_status n = {.name = store_text(&r, 0),
                                .node = store_is_null(&r, 1) ? STR_NONE : store_text(&r, 1),
                                .part = store_is_null(&r, 2) ? STR_NONE : store_text(&r, 2),
                                .created = store_int(&r, 3),
                                .contact = store_int(&r, 4),
                                .received = store_int(&r, 5),
                                .acked = store_int(&r, 6)};
        each(ctx, &n);
    }
    return store_end(&r, e);
}
