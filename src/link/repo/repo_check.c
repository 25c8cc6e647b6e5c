/*
 * Rows against the journal: an entity is what the change of its version made it, and the journal's
 * chain of hashes vouches for that row as long as it is kept.
 *
 * Rows against indexes, both ways: every index row that an entity should have is there, and the
 * tables hold no more rows than that. Counting is enough for the second part, because index rows
 * are unique.
 */
#include "link/repo.h"
#include "repo_index.h"
#include "store/journal.h"

struct check {
    struct store_conn *c;
    void (*report)(void *ctx, const char *what);
    void *ctx;
    size_t findings;
    int64_t expected[4]; /* rows by enum index_table */
    struct arena arena;
};

static void finding(struct check *k, const char *what)
{
    k->findings++;
    k->report(k->ctx, what);
}

static bool row_exists(struct check *k, const struct index_row *r, int64_t eid)
{
    int64_t one = 0;
    enum err err = ERR_INTERNAL;
    switch (r->table) {
    case INDEX_KEY:
        err = store_get_int(k->c, &one, "SELECT 1 FROM entity_key WHERE k = $1 AND eid = $2",
                            SV(SV_INT(r->k), SV_INT(eid)), NULL);
        break;
    case INDEX_NUM:
        err = store_get_int(k->c, &one,
                            "SELECT 1 FROM entity_num WHERE k = $1 AND v = $2 AND eid = $3",
                            SV(SV_INT(r->k), SV_REAL(r->num), SV_INT(eid)), NULL);
        break;
    case INDEX_TEXT:
        err = store_get_int(k->c, &one,
                            "SELECT 1 FROM entity_text WHERE k = $1 AND v = $2 AND eid = $3",
                            SV(SV_INT(r->k), SV_TEXT(r->text), SV_INT(eid)), NULL);
        break;
    case INDEX_GEO:
        err = store_get_int(k->c, &one,
                            "SELECT 1 FROM entity_geo WHERE k = $1 AND cell = $2 AND eid = $3",
                            SV(SV_INT(r->k), SV_INT(r->cell), SV_INT(eid)), NULL);
        break;
    }
    return err == OK;
}

static bool duplicate(const struct index_rows *rows, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (index_row_equal(&rows->rows.v[j], &rows->rows.v[i]))
            return true;
    return false;
}

/* The body of a change ends with the entity as it was stored, see repo_put(). */
static void check_version(struct check *k, int64_t tenant, int64_t eid, int64_t version,
                          struct str id, struct str doc)
{
    struct store_rows r;
    struct error e;
    bool same = true;
    store_query(k->c, &r, "SELECT key, body FROM journal WHERE pos = $1",
                SV(SV_INT(tenant << JOURNAL_SEQ_BITS | version)));
    if (store_next(&r)) { /* else it was trimmed */
        struct str tail = str_printf(&k->arena, "\"doc\":%" STR_F "}", STR_A(doc));
        same = str_eq(store_text(&r, 0), id) && str_ends(store_text(&r, 1), tail);
    }
    if (store_end(&r, &e))
        finding(k, arena_printf(&k->arena, "entity row %lld: %s", (long long)eid, e.text));
    else if (!same)
        finding(k, arena_printf(&k->arena, "entity row %lld: it is not what the journal says",
                                (long long)eid));
}

static void check_entity(struct check *k, int64_t tenant, int64_t eid, struct str id,
                         struct str doc)
{
    const struct json *stored = json_parse(&k->arena, doc, &JSON_DEFAULT, NULL);
    if (!stored || !str_eq(entity_id(stored), id)) {
        finding(k, arena_printf(&k->arena, "entity row %lld: the document does not match",
                                (long long)eid));
        return;
    }
    struct index_rows rows = {.arena = &k->arena, .tenant = tenant};
    index_entity(&rows, stored);
    for (size_t i = 0; i < rows.rows.n; i++) {
        if (duplicate(&rows, i))
            continue;
        k->expected[rows.rows.v[i].table]++;
        if (!row_exists(k, &rows.rows.v[i], eid))
            finding(k, arena_printf(&k->arena, "entity row %lld: an index row is missing",
                                    (long long)eid));
    }
}

static void check_count(struct check *k, enum index_table t, const char *sql, const char *name)
{
    int64_t n = 0;
    if (store_get_int(k->c, &n, sql, SV_EMPTY, NULL) || n != k->expected[t])
        finding(k, arena_printf(&k->arena, "%s: %lld rows where %lld belong", name, (long long)n,
                                (long long)k->expected[t]));
}

size_t repo_check(struct store_conn *c, void (*report)(void *ctx, const char *what), void *ctx)
{
    struct check k = {.c = c, .report = report, .ctx = ctx};
    struct store_rows r;
    store_query(
        c, &r,
        "SELECT tenant, eid, id, doc, version FROM entity WHERE doc IS NOT NULL ORDER BY eid",
        SV_EMPTY);
    while (store_next(&r)) {
        arena_reset(&k.arena);
        struct str id = store_text(&r, 2), doc = store_text(&r, 3);
        check_version(&k, store_int(&r, 0), store_int(&r, 1), store_int(&r, 4), id, doc);
        check_entity(&k, store_int(&r, 0), store_int(&r, 1), id, doc);
    }
    struct error e;
    if (store_end(&r, &e))
        finding(&k, e.text);
    check_count(&k, INDEX_KEY, "SELECT count(*) FROM entity_key", "entity_key");
    check_count(&k, INDEX_NUM, "SELECT count(*) FROM entity_num", "entity_num");
    check_count(&k, INDEX_TEXT, "SELECT count(*) FROM entity_text", "entity_text");
    check_count(&k, INDEX_GEO, "SELECT count(*) FROM entity_geo", "entity_geo");
    arena_release(&k.arena);
    return k.findings;
}
