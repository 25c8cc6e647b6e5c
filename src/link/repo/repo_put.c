/*
 * Writing one entity change: row, index difference, history and journal, in the writer's
 * transaction. Index rows are compared per changed attribute only, so that a reading of one sensor
 * touches the index of one attribute.
 */
#include "keys.h"
#include "link/history.h"
#include "link/repo.h"
#include "repo_index.h"

enum err repo_get(struct store_conn *c, struct arena *a, int64_t tenant, struct str id,
                  struct entity_row *row, struct error *e)
{
    *row = (struct entity_row){.id = id};
    struct store_rows r;
    store_query(c, &r, "SELECT eid, doc, version FROM entity WHERE tenant = $1 AND id = $2",
                SV(SV_INT(tenant), SV_TEXT(id)));
    if (store_next(&r)) {
        row->eid = store_int(&r, 0);
        if (!store_is_null(&r, 1))
            row->doc = str_dup(a, store_text(&r, 1));
        row->version = store_int(&r, 2);
    }
    enum err err = store_end(&r, e);
    if (err == OK && !row->doc.p)
        err = error_set(e, ERR_NOT_FOUND, "no entity %" STR_F, STR_A(id));
    return err;
}

/* --- index --- */

static enum err index_insert(struct store_conn *c, const struct index_row *r, int64_t eid,
                             struct error *e)
{
    switch (r->table) {
    case INDEX_KEY:
        return store_exec(c,
                          "INSERT INTO entity_key(k, eid) VALUES ($1, $2) ON CONFLICT DO NOTHING",
                          SV(SV_INT(r->k), SV_INT(eid)), NULL, e);
    case INDEX_NUM:
        return store_exec(
            c, "INSERT INTO entity_num(k, v, eid) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            SV(SV_INT(r->k), SV_REAL(r->num), SV_INT(eid)), NULL, e);
    case INDEX_TEXT:
        return store_exec(
            c, "INSERT INTO entity_text(k, v, eid) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            SV(SV_INT(r->k), SV_TEXT(r->text), SV_INT(eid)), NULL, e);
    case INDEX_GEO:
        return store_exec(
            c, "INSERT INTO entity_geo(k, cell, eid) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            SV(SV_INT(r->k), SV_INT(r->cell), SV_INT(eid)), NULL, e);
    }
    return ERR_INTERNAL;
}

static enum err index_remove(struct store_conn *c, const struct index_row *r, int64_t eid,
                             struct error *e)
{
    switch (r->table) {
    case INDEX_KEY:
        return store_exec(c, "DELETE FROM entity_key WHERE k = $1 AND eid = $2",
                          SV(SV_INT(r->k), SV_INT(eid)), NULL, e);
    case INDEX_NUM:
        return store_exec(c, "DELETE FROM entity_num WHERE k = $1 AND v = $2 AND eid = $3",
                          SV(SV_INT(r->k), SV_REAL(r->num), SV_INT(eid)), NULL, e);
    case INDEX_TEXT:
        return store_exec(c, "DELETE FROM entity_text WHERE k = $1 AND v = $2 AND eid = $3",
                          SV(SV_INT(r->k), SV_TEXT(r->text), SV_INT(eid)), NULL, e);
    case INDEX_GEO:
        return store_exec(c, "DELETE FROM entity_geo WHERE k = $1 AND cell = $2 AND eid = $3",
                          SV(SV_INT(r->k), SV_INT(r->cell), SV_INT(eid)), NULL, e);
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
        if (!has_row(new, &old->rows.v[i]) && index_remove(c, &old->rows.v[i], eid, e))
            return e->code;
    for (size_t i = 0; i < new->rows.n; i++)
        if (!has_row(old, &new->rows.v[i]) && index_insert(c, &new->rows.v[i], eid, e))
            return e->code;
    return OK;
}

/* A name is remembered when it first appears; repo_names() drops those without entities. */
static enum err remember_name(struct store_conn *c, int64_t tenant, bool attribute, struct str iri,
                              struct error *e)
{
    return store_exec(c,
                      "INSERT INTO entity_name(tenant, kind, iri, k) VALUES ($1, $2, $3, $4)"
                      " ON CONFLICT DO NOTHING",
                      SV(SV_INT(tenant), SV_INT(attribute), SV_TEXT(iri),
                         SV_INT(key_of(tenant, attribute ? KEY_ATTR : KEY_TYPE, iri))),
                      NULL, e);
}

static enum err remember_names(struct store_conn *c, const struct repo_put *p, struct error *e)
{
    const struct json *after = p->delta->after;
    const struct json *types = after ? entity_types(after) : NULL;
    if (types && (!p->before || p->delta->types_changed))
        for (uint32_t i = 0; i < types->n; i++)
            if (remember_name(c, p->tenant, false, json_text(&types->items[i]), e))
                return e->code;
    for (size_t i = 0; i < p->delta->changes.n; i++) {
        const struct attr_change *ch = &p->delta->changes.v[i];
        if (ch->op == ATTR_CREATED && remember_name(c, p->tenant, true, ch->attr, e))
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
    if (!json_equal(json_get(p->before, S("expiresAt")), json_get(after, S("expiresAt")), true)) {
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

static struct str event_body(const struct repo_put *p, struct str doc, struct buf *out)
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
    BUF_LIT(out, "\"doc\":");
    buf_str(out, doc);
    buf_char(out, '}');
    return buf_view(out);
}

/* --- the change --- */

/* eid of the row written: a new one, or the one of the tombstone or state before. */
static enum err write_row(struct store_conn *c, const struct repo_put *p, struct str doc,
                          int64_t seq, int64_t *eid, struct error *e)
{
    if (p->row && p->row->eid) {
        *eid = p->row->eid;
        return store_exec(c,
                          "UPDATE entity SET doc = $1, version = $2, modified = $3 WHERE eid = $4",
                          SV(p->delta->after ? SV_TEXT(doc) : SV_NULL, SV_INT(seq), SV_INT(p->now),
                             SV_INT(*eid)),
                          NULL, e);
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
    struct journal_row j = {.tenant = p->tenant,
                            .at = p->now,
                            .topic = S("entity"),
                            .key = p->id,
                            .body = event_body(p, doc, &scratch),
                            .actor = p->actor};
    int64_t eid = 0;
    enum err err = journal_append(c, &j, e);
    if (err == OK)
        err = write_row(c, p, doc, j.seq, &eid, e);
    if (err == OK)
        err = write_index(c, p, eid, e);
    if (err == OK)
        err = remember_names(c, p, e);
    for (size_t i = 0; err == OK && p->options->history && i < p->delta->changes.n; i++)
        err = history_record(c, eid, &p->delta->changes.v[i], p->now, j.seq, &scratch, e);
    buf_release(&scratch);
    if (seq)
        *seq = j.seq;
    return err;
}
