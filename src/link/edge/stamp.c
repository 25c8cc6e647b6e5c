/*
 * Registers on disk: read, written, and stamped onto the changes that are made here.
 *
 * A row of sync_register holds the dot in effect, what was seen (NULL: nothing but that dot), the
 * values that stand beside it as JSON [[hlc, node, instance|null], ...] (NULL: none), and what the
 * entity's document cannot hold (sync_row.aside). The value in effect is in the document.
 */
#include "entity_impl.h"
#include "keys.h"
#include "sync.h"

static int64_t attr_key(struct str iri)
{
    return iri.p ? key_of(0, 'a', iri) : 0;
}

static int64_t dataset_key(struct str uri)
{
    return uri.p ? key_of(0, 'd', uri) : 0;
}

/* --- heads --- */

const struct json *sync_head(struct arena *a, const struct json *doc)
{
    static const struct str names[] = {S_INIT("type"), S_INIT("scope"), S_INIT("createdAt"),
                                       S_INIT("expiresAt")};
    if (!doc)
        return NULL;
    struct json_member *m = ARENA_ARRAY(a, struct json_member, 4);
    size_t n = 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const struct json *v = json_get(doc, names[i]);
        if (v)
            m[n++] = json_m(names[i], *v);
    }
    struct json *head = ARENA_NEW(a, struct json);
    *head = json_v_object(m, n);
    return head;
}

static const struct json *instance_in(const struct json *doc, struct str attr, struct str dataset)
{
    const struct json *all = doc ? entity_attr(doc, attr) : NULL;
    for (uint32_t i = 0; json_is(all, JSON_ARRAY) && i < all->n; i++) {
        struct inst in;
        inst_open(&in, &all->items[i]);
        if (str_eq(inst_dataset(&in), dataset))
            return &all->items[i];
    }
    return NULL;
}

static const struct json *in_document(struct arena *a, const struct json *doc, struct str attr,
                                      struct str dataset)
{
    return attr.p ? instance_in(doc, attr, dataset) : sync_head(a, doc);
}

/* --- reading --- */

#define ROW_COLUMNS "iri, dataset_uri, hlc, node, seen, others, value"

static bool read_others(struct arena *a, struct str text, struct sync_register *reg)
{
    const struct json *list = json_parse(a, text, &JSON_DEFAULT, NULL);
    for (uint32_t i = 0; list && i < list->n; i++) {
        const struct json *one = json_at(list, i), *value = json_at(one, 2);
        struct sync_value v = {.dot.node = json_text(json_at(one, 1)),
                               .value = json_is(value, JSON_NULL) ? NULL : value};
        if (!json_i64(json_at(one, 0), &v.dot.hlc) || !sync_stand(a, reg, &v))
            return false;
    }
    return list != NULL;
}

static struct str text_of(struct arena *a, const struct store_rows *r, int column)
{
    return store_is_null(r, column) ? STR_NONE : str_dup(a, store_text(r, column));
}

static bool read_row(struct arena *a, const struct store_rows *r, const struct json *doc,
                     struct sync_row *out)
{
    struct sync_value effect = {.dot = {store_int(r, 2), text_of(a, r, 3)}};
    struct str seen = text_of(a, r, 4), others = text_of(a, r, 5), aside = text_of(a, r, 6);
    *out = (struct sync_row){.attr = text_of(a, r, 0), .dataset = text_of(a, r, 1)};
    if (!out->attr.n)
        out->attr = STR_NONE;
    if (aside.p && !(out->aside = json_parse(a, aside, &JSON_DEFAULT, NULL)))
        return false;
    effect.value = doc           ? in_document(a, doc, out->attr, out->dataset)
                   : out->attr.p ? out->aside
                                 : NULL;
    sync_write(a, &out->reg, &effect.dot, effect.value);
    return (!seen.p || sync_seen_parse(a, seen, &out->reg)) &&
           (!others.p || read_others(a, others, &out->reg));
}

static void derive(struct sync *s, struct arena *a, const struct json *value, struct sync_row *out)
{
    struct sync_dot dot = {1, sync_node(s)};
    if (!value)
        return;
    const struct json *at = json_get(value, out->attr.p ? S("modifiedAt") : S("createdAt"));
    if (!datetime_parse(json_text(at), &dot.hlc) || dot.hlc < 1)
        dot.hlc = 1;
    sync_write(a, &out->reg, &dot, value);
}

enum err sync_load(struct sync *s, struct store_conn *c, struct arena *a, int64_t eid,
                   const struct json *doc, struct str attr, struct str dataset,
                   struct sync_row *out, struct error *e)
{
    struct store_rows r;
    bool found = false, good = true;
    *out = (struct sync_row){.attr = attr, .dataset = dataset};
    if (eid) {
        store_query(c, &r,
                    "SELECT " ROW_COLUMNS " FROM sync_register"
                    " WHERE eid = $1 AND attr = $2 AND dataset = $3",
                    SV(SV_INT(eid), SV_INT(attr_key(attr)), SV_INT(dataset_key(dataset))));
        found = store_next(&r);
        if (found)
            good = read_row(a, &r, doc, out);
        enum err err = store_end(&r, e);
        if (err)
            return err;
    }
    if (!good)
        return error_set(e, ERR_CORRUPT, "a register of entity row %lld cannot be read",
                         (long long)eid);
    if (!found)
        derive(s, a, in_document(a, doc, attr, dataset), out);
    return OK;
}

static bool has_row(const sync_rows *rows, struct str attr, struct str dataset)
{
    for (size_t i = 0; i < rows->n; i++)
        if (str_eq(rows->v[i].attr, attr) && str_eq(rows->v[i].dataset, dataset))
            return true;
    return false;
}

static void derive_missing(struct sync *s, struct arena *a, const struct json *doc, sync_rows *out)
{
    if (!has_row(out, STR_NONE, STR_NONE))
        derive(s, a, sync_head(a, doc), vec_push(a, out));
    for (uint32_t i = 0; i < doc->n; i++) {
        struct str iri = json_key(&doc->members[i]);
        const struct json *list = &doc->members[i].value;
        for (uint32_t k = 0; !entity_is_member(iri) && json_is(list, JSON_ARRAY) && k < list->n;
             k++) {
            struct inst in;
            inst_open(&in, &list->items[k]);
            if (has_row(out, iri, inst_dataset(&in)))
                continue;
            struct sync_row *row = vec_push(a, out);
            row->attr = iri;
            row->dataset = inst_dataset(&in);
            derive(s, a, &list->items[k], row);
        }
    }
}

enum err sync_load_all(struct sync *s, struct store_conn *c, struct arena *a, int64_t eid,
                       const struct json *doc, sync_rows *out, struct error *e)
{
    struct store_rows r;
    bool good = true;
    store_query(c, &r,
                "SELECT " ROW_COLUMNS " FROM sync_register WHERE eid = $1 ORDER BY attr, dataset",
                SV(SV_INT(eid)));
    while (good && store_next(&r))
        good = read_row(a, &r, doc, vec_push(a, out));
    enum err err = store_end(&r, e);
    if (!err && !good)
        err = error_set(e, ERR_CORRUPT, "a register of entity row %lld cannot be read",
                        (long long)eid);
    if (!err && doc)
        derive_missing(s, a, doc, out);
    return err;
}

enum err sync_state(struct sync *s, struct store_conn *c, struct arena *a, int64_t tenant,
                    struct str id, struct sync_piece *out, struct error *e)
{
    struct entity_row row;
    struct error why;
    sync_rows rows = VEC_INIT;
    enum err err = repo_get(c, a, tenant, id, &row, &why);
    if (err && (err != ERR_NOT_FOUND || !row.eid))
        return error_set(e, err, "%s", why.text);
    const struct json *doc = row.doc.p ? json_parse(a, row.doc, &JSON_DEFAULT, e) : NULL;
    if (row.doc.p && !doc)
        return ERR_CORRUPT;
    *out = (struct sync_piece){.id = id, .at = 1};
    if ((err = sync_load_all(s, c, a, row.eid, doc, &rows, e)))
        return err;
    for (size_t i = 0; i < rows.n; i++) {
        struct sync_part *part = vec_push(a, &out->parts);
        *part = (struct sync_part){rows.v[i].attr, rows.v[i].dataset, rows.v[i].reg};
        for (size_t k = 0; k < part->reg.values.n; k++)
            if (part->reg.values.v[k].dot.hlc > out->at)
                out->at = part->reg.values.v[k].dot.hlc;
    }
    return rows.n ? OK : error_set(e, ERR_NOT_FOUND, "no state of %" STR_F, STR_A(id));
}

/* --- writing --- */

static struct str others_text(struct arena *a, const struct sync_register *reg)
{
    if (reg->values.n < 2)
        return STR_NONE;
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    json_w_array(&w);
    for (size_t i = 1; i < reg->values.n; i++) {
        json_w_array(&w);
        json_w_i64(&w, reg->values.v[i].dot.hlc);
        json_w_str(&w, reg->values.v[i].dot.node);
        if (reg->values.v[i].value)
            json_w_value(&w, reg->values.v[i].value);
        else
            json_w_null(&w);
        json_w_end(&w);
    }
    json_w_end(&w);
    struct str text = buf_dup(&b, a);
    buf_release(&b);
    return text;
}

enum err sync_save(struct store_conn *c, struct arena *a, int64_t eid, const struct sync_row *row,
                   int64_t seq, struct error *e)
{
    const struct sync_register *reg = &row->reg;
    const struct sync_dot *dot = &reg->values.v[0].dot;
    bool gone = !reg->values.v[0].value || row->aside;
    bool itself = reg->seen.n == 1 && reg->seen.v[0].hlc == dot->hlc;
    return store_exec(
        c,
        "INSERT INTO sync_register(eid, attr, dataset, " ROW_COLUMNS ", seq, gone)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
        " ON CONFLICT(eid, attr, dataset) DO UPDATE SET hlc = excluded.hlc, node = excluded.node,"
        " seen = excluded.seen, others = excluded.others, value = excluded.value,"
        " seq = CASE WHEN excluded.seq > sync_register.seq THEN excluded.seq"
        " ELSE sync_register.seq END, gone = excluded.gone",
        SV(SV_INT(eid), SV_INT(attr_key(row->attr)), SV_INT(dataset_key(row->dataset)),
           SV_TEXT(row->attr.p ? row->attr : S("")), SV_TEXT(row->dataset), SV_INT(dot->hlc),
           SV_TEXT(dot->node), itself ? SV_NULL : SV_TEXT(sync_seen_text(a, reg)),
           SV_TEXT(others_text(a, reg)),
           row->aside ? SV_TEXT(json_to_text(a, row->aside)) : SV_NULL, SV_INT(seq), SV_INT(gone)),
        NULL, e);
}

/* --- changes made here --- */

struct sync_put *sync_local(struct sync *s, struct arena *a)
{
    if (!s || !atomic_load(&s->on))
        return NULL;
    struct sync_put *p = ARENA_NEW(a, struct sync_put);
    p->sync = s;
    return p;
}

/* One register is written; aside: see sync_row. */
static enum err stamp(struct store_conn *c, const struct repo_put *p, struct str attr,
                      struct str dataset, const struct json *value, const struct json *aside,
                      struct error *e)
{
    struct sync *s = p->sync->sync;
    struct sync_row row;
    int64_t eid = p->row ? p->row->eid : 0;
    enum err err = sync_load(s, c, p->arena, eid, p->before, attr, dataset, &row, e);
    if (err)
        return err;
    struct sync_dot dot = {sync_tick(s, p->now, sync_seen(&row.reg, sync_node(s))), sync_node(s)};
    sync_write(p->arena, &row.reg, &dot, value);
    row.aside = aside;
    *vec_push(p->arena, &p->sync->rows) = row;
    return OK;
}

static bool head_changes(const struct repo_put *p)
{
    const struct json *after = p->delta->after;
    return !p->before || !after || p->delta->types_changed || p->delta->scope_changed ||
           !json_equal(json_get(p->before, S("expiresAt")), json_get(after, S("expiresAt")), true);
}

/* What an earlier life of the entity left aside does not come back with a new one. */
static enum err bury_rest(struct store_conn *c, const struct repo_put *p, struct error *e)
{
    sync_rows rows = VEC_INIT;
    enum err err = sync_load_all(p->sync->sync, c, p->arena, p->row->eid, NULL, &rows, e);
    for (size_t i = 0; !err && i < rows.n; i++) {
        bool named = !rows.v[i].attr.p;
        for (size_t k = 0; !named && k < p->delta->changes.n; k++)
            named = str_eq(p->delta->changes.v[k].attr, rows.v[i].attr) &&
                    str_eq(p->delta->changes.v[k].dataset, rows.v[i].dataset);
        if (!named && rows.v[i].aside)
            err = stamp(c, p, rows.v[i].attr, rows.v[i].dataset, NULL, NULL, e);
    }
    return err;
}

enum err sync_stamp(struct store_conn *c, const struct repo_put *p, struct error *e)
{
    const struct entity_delta *d = p->delta;
    enum err err = OK;
    if (p->sync->remote)
        return OK;
    if (head_changes(p))
        err = stamp(c, p, STR_NONE, STR_NONE, sync_head(p->arena, d->after),
                    d->after ? NULL : sync_head(p->arena, p->before), e);
    for (size_t i = 0; !err && i < d->changes.n; i++)
        err = stamp(c, p, d->changes.v[i].attr, d->changes.v[i].dataset,
                    d->after ? d->changes.v[i].after : NULL, NULL, e);
    if (!err && !p->before && p->row && p->row->eid)
        err = bury_rest(c, p, e);
    if (err)
        return err;
    struct sync_piece piece = {.id = p->id, .at = p->now};
    for (size_t i = 0; i < p->sync->rows.n; i++) {
        const struct sync_row *row = &p->sync->rows.v[i];
        *vec_push(p->arena, &piece.parts) = (struct sync_part){row->attr, row->dataset, row->reg};
    }
    struct buf text = BUF_INIT;
    sync_piece_write(p->arena, &text, &piece);
    p->sync->piece = buf_dup(&text, p->arena);
    buf_release(&text);
    return OK;
}

struct str sync_journal(const struct sync_put *p, struct journal_row *row)
{
    row->origin = p->origin;
    row->origin_seq = p->origin_seq;
    return p->piece;
}

int64_t sync_instant(const struct sync_put *p, const struct attr_change *ch, int64_t now)
{
    int64_t at;
    if (!p->remote)
        return now;
    return datetime_parse(json_text(json_get(ch->after, S("modifiedAt"))), &at) ? at : p->at;
}

int64_t sync_scope_instant(const struct sync_put *p, int64_t now)
{
    if (!p->remote)
        return now;
    return p->origin.p && !p->origin_seq ? 0 : p->at; /* a whole state has no instant */
}

bool sync_is_known(const struct sync_put *p, const struct attr_change *ch)
{
    for (size_t i = 0; p->remote && i < p->rows.n; i++)
        if (str_eq(p->rows.v[i].attr, ch->attr) && str_eq(p->rows.v[i].dataset, ch->dataset))
            return p->rows.v[i].known;
    return false;
}

enum err sync_record(struct store_conn *c, const struct sync_put *p, int64_t eid, int64_t seq,
                     struct error *e)
{
    struct arena a = ARENA_INIT;
    enum err err = OK;
    for (size_t i = 0; !err && i < p->rows.n; i++)
        err = sync_save(c, &a, eid, &p->rows.v[i], seq, e);
    arena_release(&a);
    return err;
}
