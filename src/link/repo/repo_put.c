/*
 * Writing one entity change: row, index difference, history and journal, in the writer's
 * transaction. Index rows are compared per changed attribute only, so that a reading of one sensor
 * touches the index of one attribute.
 */
#include "keys.h"
#include "link/access.h"
#include "link/edge.h"
#include "link/history.h"
#include "link/repo.h"
#include "repo_index.h"
#include "repo_restore.h"

static const struct store_bulk get_entity = {
    .one = "SELECT eid, doc, version FROM entity WHERE tenant = $1 AND id = $2",
    .many = "SELECT x.n, e.eid, e.doc, e.version FROM"
            " unnest(" BULK_INTS(1) ", " BULK_TEXTS(
                2) ") WITH ORDINALITY AS x(tenant, id, n)"
                   " JOIN entity e ON e.tenant = x.tenant AND e.id = x.id",
    .types = "it",
};

void repo_get_ahead(struct store_conn *c, int64_t tenant, struct str id)
{
    store_ahead(c, &get_entity, SV(SV_INT(tenant), SV_TEXT(id)));
}

const struct json *repo_row_types(struct arena *a, struct str doc)
{
    struct json_pull p;
    struct error e;
    json_pull_open(&p, a, doc, &JSON_DEFAULT, &e);
    if (json_pull_next(&p) != JSON_EV_OBJECT)
        return NULL;
    while (json_pull_next(&p) == JSON_EV_KEY) {
        bool types = str_eq(p.key, S("type"));
        enum json_event ev = json_pull_next(&p);
        if (types)
            return json_pull_tree(&p, a, &e);
        if (ev != JSON_EV_VALUE && !json_pull_skip(&p))
            return NULL;
    }
    return NULL;
}

/* What shows of the row through the view of the connection. */
static enum err look(struct store_conn *c, struct arena *a, struct entity_row *row, struct error *e)
{
    const struct access_view *view = access_of(c);
    const struct json *types = view ? repo_row_types(a, row->doc) : NULL;
    enum access_sight sight = access_sight(view, types);
    if (sight == SIGHT_ALL)
        return OK;
    const struct json *stored =
        sight == SIGHT_SOME ? json_parse(a, row->doc, &JSON_DEFAULT, e) : NULL;
    if (sight == SIGHT_SOME && !stored)
        return error_set(e, ERR_CORRUPT, "entity row %lld holds no JSON", (long long)row->eid);
    const struct json *shown = stored ? access_see(view, a, stored) : NULL;
    if (!shown) {
        *row = (struct entity_row){.id = row->id};
        return OK;
    }
    row->partial = shown != stored;
    if (row->partial)
        row->doc = json_to_text(a, shown);
    return OK;
}

enum err repo_get(struct store_conn *c, struct arena *a, int64_t tenant, struct str id,
                  struct entity_row *row, struct error *e)
{
    return repo_get_unless(c, a, tenant, id, NULL, NULL, row, e);
}

enum err repo_get_unless(struct store_conn *c, struct arena *a, int64_t tenant, struct str id,
                         bool (*known)(void *ctx, const struct entity_row *row), void *ctx,
                         struct entity_row *row, struct error *e)
{
    *row = (struct entity_row){.id = id};
    struct store_rows r;
    bool spared = false;
    store_query(c, &r, get_entity.one, SV(SV_INT(tenant), SV_TEXT(id)));
    if (store_next(&r)) {
        row->eid = store_int(&r, 0);
        row->version = store_int(&r, 2);
        bool there = !store_is_null(&r, 1);
        spared = there && known && known(ctx, row);
        if (there && !spared)
            row->doc = str_dup(a, store_text(&r, 1));
    }
    enum err err = store_end(&r, e);
    if (spared)
        return err;
    if (err == OK && row->doc.p && access_of(c))
        err = look(c, a, row, e);
    if (err == OK && !row->doc.p)
        err = error_set(e, ERR_NOT_FOUND, "no entity %" STR_F, STR_A(id));
    return err;
}

/* --- index --- */

#define INSERT(table, columns, values, arrays, letters)                                            \
    {                                                                                              \
        .one = "INSERT INTO " table "(" columns ") VALUES (" values ") ON CONFLICT DO NOTHING",    \
        .many = "INSERT INTO " table "(" columns ") SELECT * FROM unnest(" arrays                  \
                ") ON CONFLICT DO NOTHING",                                                        \
        .types = letters                                                                           \
    }
#define REMOVE(table, v, arrays, letters)                                                          \
    {                                                                                              \
        .one = "DELETE FROM " table " WHERE k = $1 AND " v " = $2 AND eid = $3",                   \
        .many = "DELETE FROM " table " t USING unnest(" arrays ") AS x(k, v, eid)"                 \
                " WHERE t.k = x.k AND t." v " = x.v AND t.eid = x.eid",                            \
        .types = letters                                                                           \
    }
#define ARRAYS_II  BULK_INTS(1) ", " BULK_INTS(2)
#define ARRAYS_III ARRAYS_II ", " BULK_INTS(3)
#define ARRAYS_IRI BULK_INTS(1) ", " BULK_REALS(2) ", " BULK_INTS(3)
#define ARRAYS_ITI BULK_INTS(1) ", " BULK_TEXTS(2) ", " BULK_INTS(3)

/* By table: a row in, a row out. */
static const struct store_bulk index_in[] = {
    [INDEX_KEY] = INSERT("entity_key", "k, eid", "$1, $2", ARRAYS_II, "ii"),
    [INDEX_NUM] = INSERT("entity_num", "k, v, eid", "$1, $2, $3", ARRAYS_IRI, "iri"),
    [INDEX_TEXT] = INSERT("entity_text", "k, v, eid", "$1, $2, $3", ARRAYS_ITI, "iti"),
    [INDEX_GEO] = INSERT("entity_geo", "k, cell, eid", "$1, $2, $3", ARRAYS_III, "iii"),
};
static const struct store_bulk index_out[] = {
    [INDEX_KEY] = {.one = "DELETE FROM entity_key WHERE k = $1 AND eid = $2",
                   .many = "DELETE FROM entity_key t USING unnest(" ARRAYS_II ") AS x(k, eid)"
                           " WHERE t.k = x.k AND t.eid = x.eid",
                   .types = "ii"},
    [INDEX_NUM] = REMOVE("entity_num", "v", ARRAYS_IRI, "iri"),
    [INDEX_TEXT] = REMOVE("entity_text", "v", ARRAYS_ITI, "iti"),
    [INDEX_GEO] = REMOVE("entity_geo", "cell", ARRAYS_III, "iii"),
};

static enum err index_write(struct store_conn *c, const struct store_bulk *tables,
                            const struct index_row *r, int64_t eid, struct error *e)
{
    const struct store_bulk *b = &tables[r->table];
    switch (r->table) {
    case INDEX_KEY:
        return store_put(c, b, SV(SV_INT(r->k), SV_INT(eid)), e);
    case INDEX_NUM:
        return store_put(c, b, SV(SV_INT(r->k), SV_REAL(r->num), SV_INT(eid)), e);
    case INDEX_TEXT:
        return store_put(c, b, SV(SV_INT(r->k), SV_TEXT(r->text), SV_INT(eid)), e);
    case INDEX_GEO:
        return store_put(c, b, SV(SV_INT(r->k), SV_INT(r->cell), SV_INT(eid)), e);
    }
    return ERR_INTERNAL;
}

static bool has_row(const struct index_rows *set, const struct index_row *row)
{
    for (size_t i = 0; i < set->rows.n; i++)
        if (index_row_equal(&set->rows.v[i], row))
            return true;
    return false;
}

static enum err index_difference(struct store_conn *c, int64_t eid, const struct index_rows *old,
                                 const struct index_rows *new, struct error *e)
{
    for (size_t i = 0; i < old->rows.n; i++)
        if (!has_row(new, &old->rows.v[i]) && index_write(c, index_out, &old->rows.v[i], eid, e))
            return e->code;
    for (size_t i = 0; i < new->rows.n; i++)
        if (!has_row(old, &new->rows.v[i]) && index_write(c, index_in, &new->rows.v[i], eid, e))
            return e->code;
    return OK;
}

/* A name is remembered when it first appears; repo_names() drops those without entities. */
static enum err remember_name(struct store_conn *c, const struct repo_put *p, bool attribute,
                              struct str iri, struct error *e)
{
    static const struct store_bulk name_in =
        INSERT("entity_name", "tenant, kind, iri, k", "$1, $2, $3, $4",
               ARRAYS_II ", " BULK_TEXTS(3) ", " BULK_INTS(4), "iiti");
    int64_t k = key_of(p->tenant, attribute ? KEY_ATTR : KEY_TYPE, iri);
    if (!store_once(c, str_concat(p->arena, str_n((const char *)&k, sizeof(k)), iri)))
        return OK;
    return store_put(c, &name_in, SV(SV_INT(p->tenant), SV_INT(attribute), SV_TEXT(iri), SV_INT(k)),
                     e);
}

static enum err remember_names(struct store_conn *c, const struct repo_put *p, struct error *e)
{
    const struct json *after = p->delta->after;
    const struct json *types = after ? entity_types(after) : NULL;
    if (types && (!p->before || p->delta->types_changed))
        for (uint32_t i = 0; i < types->n; i++)
            if (remember_name(c, p, false, json_text(&types->items[i]), e))
                return e->code;
    for (size_t i = 0; i < p->delta->changes.n; i++) {
        const struct attr_change *ch = &p->delta->changes.v[i];
        if (ch->op == ATTR_CREATED && remember_name(c, p, true, ch->attr, e))
            return e->code;
    }
    return OK;
}

/* True when an earlier change of the list is of the same attribute (another instance). */
static bool seen_before(const struct entity_delta *d, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (str_eq(d->changes.v[j].attr, d->changes.v[i].attr))
            return true;
    return false;
}

static bool expiry_moves(const struct repo_put *p, const struct json *after)
{
    const struct entity_delta *d = p->delta;
    bool moves =
        !json_equal(json_get(p->before, S("expiresAt")), json_get(after, S("expiresAt")), true);
    for (size_t i = 0; i < d->changes.n && !moves; i++)
        moves = json_get(d->changes.v[i].before, S("expiresAt")) ||
                json_get(d->changes.v[i].after, S("expiresAt"));
    return moves;
}

static enum err write_index(struct store_conn *c, const struct repo_put *p, int64_t eid,
                            struct error *e)
{
    struct index_rows old = {.arena = p->arena, .tenant = p->tenant};
    struct index_rows new = {.arena = p->arena, .tenant = p->tenant};
    const struct json *after = p->delta->after;
    if (!p->before || !after) {
        if (p->before)
            index_entity(&old, p->before);
        if (after)
            index_entity(&new, after);
        return index_difference(c, eid, &old, &new, e);
    }
    if (p->delta->types_changed) {
        index_types(&old, entity_types(p->before));
        index_types(&new, entity_types(after));
    }
    if (p->delta->scope_changed) {
        index_scopes(&old, json_get(p->before, S("scope")));
        index_scopes(&new, json_get(after, S("scope")));
    }
    if (expiry_moves(p, after)) {
        index_expiry(&old, p->before);
        index_expiry(&new, after);
    }
    for (size_t i = 0; i < p->delta->changes.n; i++) {
        if (seen_before(p->delta, i))
            continue;
        struct str iri = p->delta->changes.v[i].attr;
        index_attr(&old, iri, entity_attr(p->before, iri));
        index_attr(&new, iri, entity_attr(after, iri));
    }
    return index_difference(c, eid, &old, &new, e);
}

/* --- journal --- */

static const char *const op_letters[] = {
    [ATTR_CREATED] = "c", [ATTR_UPDATED] = "u", [ATTR_DELETED] = "d"};

static struct str event_body(const struct repo_put *p, struct str doc, struct str piece,
                             struct buf *out)
{
    buf_clear(out);
    BUF_LIT(out, "{\"op\":\"");
    buf_char(out, !p->before ? 'c' : p->delta->after ? 'u' : 'd');
    BUF_LIT(out, "\",\"changed\":[");
    for (size_t i = 0; i < p->delta->changes.n; i++) {
        const struct attr_change *ch = &p->delta->changes.v[i];
        if (i)
            buf_char(out, ',');
        struct json_writer w = json_writer(out);
        json_w_object(&w);
        json_w_kstr(&w, S("a"), ch->attr);
        if (ch->dataset.p)
            json_w_kstr(&w, S("d"), ch->dataset);
        json_w_kstr(&w, S("o"), str_c(op_letters[ch->op]));
        if (ch->before && p->delta->after) {
            json_w_key(&w, S("b"));
            json_w_value(&w, ch->before);
        }
        json_w_end(&w);
    }
    BUF_LIT(out, "],");
    if (p->note.n) {
        BUF_LIT(out, "\"note\":");
        buf_str(out, p->note);
        buf_char(out, ',');
    }
    if (piece.p) {
        BUF_LIT(out, "\"piece\":");
        buf_str(out, piece);
        buf_char(out, ',');
    }
    BUF_LIT(out, "\"doc\":");
    buf_str(out, doc);
    buf_char(out, '}');
    return buf_view(out);
}

/* The mark of the row: see journal_mark(). */
static uint64_t mark_of(struct store_conn *c, const struct repo_put *p)
{
    const struct entity_delta *d = p->delta;
    struct entity_event ev = {.op = !p->before ? EVENT_CREATED
                                    : d->after ? EVENT_UPDATED
                                               : EVENT_DELETED,
                              .doc = d->after ? d->after : p->before};
    ev.changes.v = d->changes.v;
    ev.changes.n = d->changes.n;
    return journal_mark(c, p->arena, p->tenant, &ev);
}

/* --- the change --- */

static const struct store_bulk update_entity = {
    .one = "UPDATE entity SET doc = $1, version = $2, modified = $3 WHERE eid = $4",
    .many = "UPDATE entity e SET doc = x.doc, version = x.version, modified = x.modified"
            " FROM unnest(" BULK_TEXTS(1) ", " BULK_INTS(2) ", " BULK_INTS(3) ", " BULK_INTS(
                4) ") AS x(doc, version, modified, eid) WHERE e.eid = x.eid",
    .types = "tiii",
};

/* eid of the row written: a new one, or the one of the tombstone or state before. */
static enum err write_row(struct store_conn *c, const struct repo_put *p, struct str doc,
                          int64_t seq, int64_t *eid, struct error *e)
{
    if (p->row && p->row->eid) {
        *eid = p->row->eid;
        return store_put(c, &update_entity,
                         SV(p->delta->after ? SV_TEXT(doc) : SV_NULL, SV_INT(seq), SV_INT(p->now),
                            SV_INT(*eid)),
                         e);
    }
    return store_get_int(c, eid,
                         "INSERT INTO entity(tenant, id, doc, version, modified)"
                         " VALUES ($1, $2, $3, $4, $5) RETURNING eid",
                         SV(SV_INT(p->tenant), SV_TEXT(p->id), SV_TEXT(doc), SV_INT(seq),
                            SV_INT(p->now)),
                         e);
}

enum err repo_put(struct store_conn *c, const struct repo_put *p, int64_t *seq, struct error *e)
{
    struct error local;
    if (!e)
        e = &local;
    const struct json *after = p->delta->after;
    struct buf scratch = BUF_INIT;
    struct str doc = json_to_text(p->arena, after ? after : p->before);
    struct journal_row j = {
        .tenant = p->tenant, .at = p->now, .topic = S("entity"), .key = p->id, .actor = p->actor};
    int64_t eid = 0;
    enum err err = p->sync ? sync_stamp(c, p, e) : OK;
    j.body = event_body(p, doc, p->sync ? sync_journal(p->sync, &j) : STR_NONE, &scratch);
    j.mark = mark_of(c, p);
    if (err == OK)
        err = journal_append(c, &j, e);
    if (err == OK)
        err = write_row(c, p, doc, j.seq, &eid, e);
    if (err == OK)
        err = write_index(c, p, eid, e);
    if (err == OK)
        err = remember_names(c, p, e);
    if (err == OK && p->sync)
        err = sync_record(c, p->sync, eid, j.seq, e);
    for (size_t i = 0; err == OK && p->options->history && i < p->delta->changes.n; i++) {
        const struct attr_change *ch = &p->delta->changes.v[i];
        if (p->sync && sync_is_known(p->sync, ch))
            continue;
        int64_t at = p->sync ? sync_instant(p->sync, ch, p->now) : p->now;
        err = history_record(c, eid, ch, at, j.seq, &scratch, e);
    }
    int64_t scoped = p->sync ? sync_scope_instant(p->sync, p->now) : p->now;
    if (err == OK && p->options->history && scoped)
        err = history_scope(c, eid, json_get(p->before, S("scope")), json_get(after, S("scope")),
                            scoped, j.seq, &scratch, e);
    buf_release(&scratch);
    if (seq)
        *seq = j.seq;
    return err;
}

enum err repo_unindex(struct store_conn *c, struct arena *a, int64_t tenant, int64_t eid,
                      const struct json *doc, struct error *e)
{
    struct index_rows old = {.arena = a, .tenant = tenant};
    struct index_rows new = {.arena = a, .tenant = tenant};
    index_entity(&old, doc);
    return index_difference(c, eid, &old, &new, e);
}

enum err repo_restore(struct store_conn *c, struct arena *a, const struct repo_restored *x,
                      struct error *e)
{
    struct entity_delta delta = {.after = x->doc};
    struct repo_put p = {.arena = a, .tenant = x->tenant, .id = x->id, .delta = &delta};
    int64_t eid;
    for (uint32_t i = 0; x->doc && i < x->doc->n; i++) {
        struct str name = json_key(&x->doc->members[i]);
        if (entity_attr(x->doc, name))
            *vec_push(a, &delta.changes) = (struct attr_change){.attr = name, .op = ATTR_CREATED};
    }
    enum err err = store_get_int(c, &eid,
                                 "INSERT INTO entity(tenant, id, doc, version, modified)"
                                 " VALUES ($1, $2, $3, $4, $5) RETURNING eid",
                                 SV(SV_INT(x->tenant), SV_TEXT(x->id), SV_TEXT(x->text),
                                    SV_INT(x->version), SV_INT(x->modified)),
                                 e);
    if (err || !x->doc)
        return err;
    err = write_index(c, &p, eid, e);
    return err ? err : remember_names(c, &p, e);
}
