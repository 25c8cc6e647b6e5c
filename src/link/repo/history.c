/*
 * history.c - writing history: one row per changed instance.
 *
 * hist is clustered by series, so that reading one is fast; writing there costs a page for each row
 * when many series change in turns. Changes are therefore appended to hist_recent, where many rows
 * share a page, and settle in hist a few thousand at once, sorted. A row is in one of the two, and
 * readers look into both. First instances go to hist at once: entities are created one behind the
 * other, and so are their series. PostgreSQL keeps the rows of a table in the order of writing
 * anyway: there all go to hist.
 *
 * hist_attr names the series. Its rows stay when rows of hist are deleted, because the attribute
 * may still be there and go on changing; the row with attr 0 is no series but holds the types of an
 * entity that is known by its evolution alone.
 */
#include "link/history.h"
#include "history_impl.h"
#include "keys.h"

enum {
    TYPES_KEY = 0,
    RECENT_MAX = 4096, /* rows of hist_recent; readers scan it */
    RECENT_CHECK = 64  /* journal rows between two looks at its length */
};

static int64_t attr_key(struct str iri)
{
    return key_of(0, 'a', iri);
}

static int64_t dataset_key(struct str uri)
{
    return uri.p ? key_of(0, 'd', uri) : 0;
}

static enum err name_series(struct store_conn *c, int64_t eid, struct str attr, struct str dataset,
                            struct error *e)
{
    static const struct store_bulk series_in = {
        .one = "INSERT INTO hist_attr(eid, attr, dataset, iri, dataset_uri)"
               " VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        .many = "INSERT INTO hist_attr(eid, attr, dataset, iri, dataset_uri)"
                " SELECT * FROM unnest(" BULK_INTS(1) ", " BULK_INTS(2) ", " BULK_INTS(
                    3) ", " BULK_TEXTS(4) ", " BULK_TEXTS(5) ") ON CONFLICT DO NOTHING",
        .types = "iiitt",
    };
    return store_put(c, &series_in,
                     SV(SV_INT(eid), SV_INT(attr_key(attr)), SV_INT(dataset_key(dataset)),
                        SV_TEXT(attr), SV_TEXT(dataset)),
                     e);
}

struct new_row {
    struct str attr, dataset;
    int64_t at, modified, seq;
    const struct json *value; /* of the instance; NULL for deletions */
    struct str instance;
};

#define HIST_COLUMNS "eid, attr, dataset, t, seq, modified, num, value"

#define HIST_ROWS                                                                                  \
    " SELECT * FROM unnest(" BULK_INTS(1) ", " BULK_INTS(2) ", " BULK_INTS(3) ", " BULK_INTS(      \
        4) ", " BULK_INTS(5) ", " BULK_INTS(6) ", " BULK_REALS(7) ", " BULK_TEXTS(8) ")"
#define HIST_ROW " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
#define HIST_AGAIN                                                                                 \
    " ON CONFLICT(eid, attr, dataset, t, seq) DO UPDATE SET"                                       \
    " modified = excluded.modified, num = excluded.num, value = excluded.value"

static enum err insert_row(struct store_conn *c, int64_t eid, const struct new_row *r, bool recent,
                           struct error *e)
{
    static const struct store_bulk rows_in[2] = {
        {.one = "INSERT INTO hist(" HIST_COLUMNS ")" HIST_ROW HIST_AGAIN,
         .many = "INSERT INTO hist(" HIST_COLUMNS ")" HIST_ROWS HIST_AGAIN,
         .types = "iiiiiirt"},
        {.one = "INSERT INTO hist_recent(" HIST_COLUMNS ")" HIST_ROW,
         .many = "INSERT INTO hist_recent(" HIST_COLUMNS ")" HIST_ROWS,
         .types = "iiiiiirt"},
    };
    double number;
    bool is_number = json_is(r->value, JSON_NUMBER) && json_double(r->value, &number);
    return store_put(c, &rows_in[recent],
                     SV(SV_INT(eid), SV_INT(attr_key(r->attr)), SV_INT(dataset_key(r->dataset)),
                        SV_INT(r->at), SV_INT(r->seq), SV_INT(r->modified),
                        is_number ? SV_REAL(number) : SV_NULL, SV_TEXT(r->instance)),
                     e);
}

/* Does the engine keep hist in the order of its key? */
static bool clustered(struct store_conn *c)
{
    return str_eq(str_c(store_engine(store_of(c))), S("sqlite"));
}

enum err history_settle(struct store_conn *c, struct error *e)
{
    enum err rc = store_exec(c,
                             "INSERT INTO hist(" HIST_COLUMNS ") SELECT " HIST_COLUMNS
                             " FROM hist_recent ORDER BY eid, attr, dataset, t, seq",
                             SV_EMPTY, NULL, e);
    return rc ? rc : store_exec(c, "DELETE FROM hist_recent", SV_EMPTY, NULL, e);
}

static enum err settle_when_long(struct store_conn *c, int64_t seq, struct error *e)
{
    int64_t n = 0;
    if (seq % RECENT_CHECK)
        return OK;
    enum err rc = store_get_int(c, &n,
                                "SELECT coalesce((SELECT max(n) FROM hist_recent) -"
                                " (SELECT min(n) FROM hist_recent), 0)",
                                SV_EMPTY, e);
    return rc || n < RECENT_MAX ? rc : history_settle(c, e);
}

/* When it was observed, else now. */
static int64_t time_of(const struct json *instance, int64_t now)
{
    int64_t at;
    return datetime_parse(json_text(json_get(instance, S("observedAt"))), &at) ? at : now;
}

enum err history_record(struct store_conn *c, int64_t eid, const struct attr_change *change,
                        int64_t now, int64_t seq, struct buf *scratch, struct error *e)
{
    struct new_row r = {
        .attr = change->attr, .dataset = change->dataset, .at = now, .modified = now, .seq = seq};
    buf_clear(scratch);
    if (change->after) {
        r.at = time_of(change->after, now);
        r.value = instance_value(change->after);
        json_write(scratch, change->after);
    } else {
        char at[DATETIME_MAX];
        datetime_format(now, at);
        struct json_writer w = json_writer(scratch);
        json_w_object(&w);
        json_w_kstr(&w, S("type"), S("deleted"));
        json_w_kstr(&w, S("deletedAt"), str_c(at));
        json_w_kstr(&w, S("kind"), json_text(json_get(change->before, S("type"))));
        json_w_end(&w);
    }
    r.instance = buf_view(scratch);
    enum err rc = OK;
    if (change->op == ATTR_CREATED)
        rc = name_series(c, eid, change->attr, change->dataset, e);
    bool recent = change->op != ATTR_CREATED && clustered(c);
    if (!rc)
        rc = insert_row(c, eid, &r, recent, e);
    return rc || !recent ? rc : settle_when_long(c, seq, e);
}

/* What a change through the current state observes is observed when it is made (clause 4.5.6). */
enum err history_scope(struct store_conn *c, int64_t eid, const struct json *before,
                       const struct json *after, int64_t now, int64_t seq, struct buf *scratch,
                       struct error *e)
{
    char at[DATETIME_MAX];
    struct json time = json_v_str(str_n(at, datetime_format(now, at)));
    struct json none = json_v_array(NULL, 0);
    before = before ? before : &none;
    after = after ? after : &none;
    struct json_member m[] = {json_m(S("type"), json_v_str(S("Property"))),
                              json_m(S("value"), after->n == 1 ? after->items[0] : *after),
                              json_m(S("observedAt"), time), json_m(S("createdAt"), time),
                              json_m(S("modifiedAt"), time)};
    struct json instance = json_v_object(m, sizeof(m) / sizeof(*m));
    struct attr_change change = {.attr = S(HISTORY_SCOPE),
                                 .op = ATTR_CREATED, /* the series may be new */
                                 .before = &instance,
                                 .after = after->n ? &instance : NULL};
    return json_equal(before, after, true) ? OK
                                           : history_record(c, eid, &change, now, seq, scratch, e);
}

enum err history_add(struct store_conn *c, int64_t eid, struct str attr,
                     const struct json *instance, int64_t now, int64_t seq, struct error *e)
{
    struct buf text = BUF_INIT;
    json_write(&text, instance);
    struct new_row r = {.attr = attr,
                        .dataset = json_text(json_get(instance, S("datasetId"))),
                        .at = time_of(instance, now),
                        .modified = now,
                        .seq = seq,
                        .value = instance_value(instance),
                        .instance = buf_view(&text)};
    enum err rc = history_settle(c, e);
    if (!rc)
        rc = name_series(c, eid, attr, r.dataset, e);
    if (!rc)
        rc = insert_row(c, eid, &r, false, e);
    buf_release(&text);
    return rc;
}

/* --- deleting --- */

/* The hours that rows became (history_keep.h), of all attributes (a NULL), or datasets of one. */
static enum err delete_hours(struct store_conn *c, int64_t eid, const int64_t *a, const int64_t *d,
                             int64_t *changed, struct error *e)
{
    int64_t n = 0;
    enum err rc =
        store_exec(c,
                   "DELETE FROM hist_hour WHERE eid = $1 AND ($2 = 1 OR attr = $3)"
                   " AND ($4 = 1 OR dataset = $5)",
                   SV(SV_INT(eid), SV_INT(!a), SV_INT(a ? *a : 0), SV_INT(!d), SV_INT(d ? *d : 0)),
                   &n, e);
    *changed += n;
    return rc;
}

static enum err delete_all(struct store_conn *c, int64_t eid, int64_t *changed, struct error *e)
{
    enum err rc = store_exec(c, "DELETE FROM hist WHERE eid = $1", SV(SV_INT(eid)), changed, e);
    if (!rc)
        rc = delete_hours(c, eid, NULL, NULL, changed, e);
    if (rc)
        return rc;
    return store_exec(c,
                      "DELETE FROM hist_attr WHERE eid = $1 AND NOT EXISTS"
                      " (SELECT 1 FROM entity WHERE eid = $2 AND doc IS NOT NULL)",
                      SV(SV_INT(eid), SV_INT(eid)), NULL, e);
}

enum err history_delete(struct store_conn *c, int64_t eid, struct str attr, struct str dataset,
                        bool all_datasets, int64_t seq, struct error *e)
{
    int64_t changed = 0, a = attr_key(attr), d = dataset_key(dataset);
    enum err rc = history_settle(c, e);
    if (rc)
        return rc;
    if (!attr.p)
        rc = delete_all(c, eid, &changed, e);
    else if (all_datasets && !seq)
        rc = store_exec(c, "DELETE FROM hist WHERE eid = $1 AND attr = $2",
                        SV(SV_INT(eid), SV_INT(a)), &changed, e);
    else if (all_datasets)
        rc = store_exec(c, "DELETE FROM hist WHERE eid = $1 AND attr = $2 AND seq = $3",
                        SV(SV_INT(eid), SV_INT(a), SV_INT(seq)), &changed, e);
    else if (!seq)
        rc = store_exec(c, "DELETE FROM hist WHERE eid = $1 AND attr = $2 AND dataset = $3",
                        SV(SV_INT(eid), SV_INT(a), SV_INT(d)), &changed, e);
    else
        rc = store_exec(c,
                        "DELETE FROM hist WHERE eid = $1 AND attr = $2 AND dataset = $3"
                        " AND seq = $4",
                        SV(SV_INT(eid), SV_INT(a), SV_INT(d), SV_INT(seq)), &changed, e);
    if (!rc && attr.p && !seq)
        rc = delete_hours(c, eid, &a, all_datasets ? NULL : &d, &changed, e);
    if (!rc && !changed)
        return error_set(e, ERR_NOT_FOUND, "no such history");
    return rc;
}

/* --- entities known by their evolution alone --- */

/* The newest instance of a series; "type" of it, absent when it has ended or has no rows. */
static enum err newest_kind(struct store_conn *c, struct arena *a, int64_t eid,
                            const struct series *s, struct str *kind, struct error *e)
{
    struct store_rows r;
    *kind = STR_NONE;
    store_query(c, &r,
                "SELECT value FROM hist WHERE eid = $1 AND attr = $2 AND dataset = $3"
                " ORDER BY t DESC, seq DESC LIMIT 1",
                SV(SV_INT(eid), SV_INT(s->attr), SV_INT(s->dataset)));
    if (store_next(&r) && !history_is_deletion(store_text(&r, 0))) {
        const struct json *v = json_parse(a, str_dup(a, store_text(&r, 0)), &JSON_DEFAULT, NULL);
        *kind = json_text(json_get(v, S("type")));
    }
    return store_end(&r, e);
}

enum err history_end(struct store_conn *c, struct arena *a, int64_t eid, struct str attr,
                     struct str dataset, bool all_datasets, int64_t now, int64_t seq,
                     struct error *e)
{
    struct history_query q = {.attrs = &attr, .n_attrs = 1};
    series_list list = VEC_INIT;
    struct buf scratch = BUF_INIT;
    bool any = false;
    enum err rc = history_settle(c, e);
    if (!rc)
        rc = history_series(c, a, eid, &q, &list, e);
    for (size_t i = 0; i < list.n && !rc; i++) {
        struct str kind;
        if (!all_datasets && !str_eq(list.v[i].uri, dataset))
            continue;
        rc = newest_kind(c, a, eid, &list.v[i], &kind, e);
        any = any || kind.p;
        if (rc || !kind.p || !seq)
            continue;
        struct json_member m[] = {json_m(S("type"), json_v_str(kind))};
        struct json was = json_v_object(m, 1);
        struct attr_change change = {.attr = attr,
                                     .dataset = list.v[i].uri,
                                     .op = ATTR_CREATED,
                                     .before = &was};
        rc = history_record(c, eid, &change, now, seq, &scratch, e);
    }
    buf_release(&scratch);
    return rc || any ? rc : error_set(e, ERR_NOT_FOUND, "the attribute is not there");
}

static enum err set_types(struct store_conn *c, int64_t eid, const struct json *types,
                          struct error *e)
{
    struct buf text = BUF_INIT;
    json_write(&text, types);
    enum err rc = store_exec(c,
                             "INSERT INTO hist_attr(eid, attr, dataset, iri, dataset_uri)"
                             " VALUES ($1, $2, 0, 'type', $3) ON CONFLICT(eid, attr, dataset)"
                             " DO UPDATE SET dataset_uri = excluded.dataset_uri",
                             SV(SV_INT(eid), SV_INT(TYPES_KEY), SV_TEXT(buf_view(&text))), NULL, e);
    buf_release(&text);
    return rc;
}

/* Those that are known already stay (clause 5.6.12). */
static enum err add_types(struct store_conn *c, struct arena *a, int64_t eid,
                          const struct json *types, struct error *e)
{
    const struct json *known;
    enum err rc = history_types(c, a, eid, &known, e);
    uint32_t n = known ? known->n : 0;
    struct json *all = ARENA_ARRAY(a, struct json, n + types->n);
    for (uint32_t i = 0; i < n; i++)
        all[i] = known->items[i];
    for (uint32_t i = 0; i < types->n; i++) {
        bool there = false;
        for (uint32_t k = 0; k < n && !there; k++)
            there = str_eq(json_text(&all[k]), json_text(&types->items[i]));
        if (!there)
            all[n++] = types->items[i];
    }
    struct json list = json_v_array(all, n);
    return rc ? rc : set_types(c, eid, &list, e);
}

enum err history_eid(struct store_conn *c, struct arena *a, int64_t tenant, struct str id,
                     const struct json *types, bool create, int64_t now, int64_t *eid,
                     struct error *e)
{
    struct entity_row row;
    enum err rc = repo_get(c, a, tenant, id, &row, e);
    if (rc && rc != ERR_NOT_FOUND)
        return rc;
    *eid = row.eid;
    if (*eid && (row.doc.p || !create || !types))
        return OK;
    if (*eid)
        return add_types(c, a, *eid, types, e);
    if (!create)
        return error_set(e, ERR_NOT_FOUND, "no history of %" STR_F, STR_A(id));
    rc = store_get_int(c, eid,
                       "INSERT INTO entity(tenant, id, doc, version, modified)"
                       " VALUES ($1, $2, NULL, 0, $3) RETURNING eid",
                       SV(SV_INT(tenant), SV_TEXT(id), SV_INT(now)), e);
    return rc || !types ? rc : set_types(c, *eid, types, e);
}

enum err history_types(struct store_conn *c, struct arena *a, int64_t eid,
                       const struct json **types, struct error *e)
{
    struct store_rows r;
    *types = NULL;
    store_query(c, &r, "SELECT dataset_uri FROM hist_attr WHERE eid = $1 AND attr = $2",
                SV(SV_INT(eid), SV_INT(TYPES_KEY)));
    if (store_next(&r))
        *types = json_parse(a, str_dup(a, store_text(&r, 0)), &JSON_DEFAULT, NULL);
    return store_end(&r, e);
}
