/* Evolution between nodes: what is written as such here, and what came. See past.h. */
#include "past.h"
#include "core/datetime.h"
#include "entity_impl.h"
#include "history_impl.h"
#include "keys.h"
#include "piece.h"

static int64_t attr_key(struct str iri)
{
    return iri.p ? key_of(0, 'a', iri) : 0;
}

static int64_t dataset_key(struct str uri)
{
    return uri.p ? key_of(0, 'd', uri) : 0;
}

static int64_t row_attr(const struct past_row *row)
{
    return row->attr.p ? attr_key(row->attr) : row->keys[0];
}

static int64_t row_dataset(const struct past_row *row)
{
    return row->attr.p ? dataset_key(row->dataset) : row->keys[1];
}

/* --- as it travels --- */

void past_row_write(struct json_writer *w, const struct past_row *row)
{
    if (row->attr.p) {
        json_w_kstr(w, S("a"), row->attr);
    } else {
        json_w_key(w, S("k"));
        json_w_array(w);
        json_w_i64(w, row->keys[0]);
        json_w_i64(w, row->keys[1]);
        json_w_end(w);
    }
    if (row->attr.p && row->dataset.p)
        json_w_kstr(w, S("d"), row->dataset);
    json_w_key(w, S("n"));
    json_w_array(w);
    json_w_i64(w, row->name.made);
    json_w_i64(w, row->name.changed);
    json_w_str(w, row->name.maker);
    json_w_end(w);
    if (row->value) {
        json_w_key(w, S("v"));
        json_w_value(w, row->value);
    }
}

void past_write(struct json_writer *w, const struct past *p)
{
    json_w_object(w);
    json_w_kstr(w, S("id"), p->id);
    if (p->types) {
        json_w_key(w, S("types"));
        json_w_value(w, p->types);
    }
    json_w_key(w, S("w"));
    json_w_array(w);
    json_w_i64(w, p->dot.hlc);
    json_w_str(w, p->dot.node);
    json_w_end(w);
    json_w_key(w, S("r"));
    json_w_array(w);
    for (size_t i = 0; i < p->rows.n; i++) {
        json_w_object(w);
        past_row_write(w, &p->rows.v[i]);
        json_w_end(w);
    }
    json_w_end(w);
    json_w_end(w);
}

bool past_types_ok(const struct json *types)
{
    bool good = json_is(types, JSON_ARRAY) && types->n;
    for (uint32_t i = 0; good && i < types->n; i++)
        good = json_is(&types->items[i], JSON_STRING);
    return good;
}

static bool read_names(const struct json *v, struct past_row *row)
{
    const struct json *attr = json_get(v, S("a")), *dataset = json_get(v, S("d"));
    const struct json *keys = json_get(v, S("k"));
    row->attr = json_text(attr);
    row->dataset = json_text(dataset);
    if (keys)
        return !attr && !dataset && !row->value && json_i64(json_at(keys, 0), &row->keys[0]) &&
               json_i64(json_at(keys, 1), &row->keys[1]);
    return json_is(attr, JSON_STRING) && row->attr.n &&
           (!dataset || (json_is(dataset, JSON_STRING) && row->dataset.n));
}

bool past_row_read(const struct json *v, struct past_row *row)
{
    const struct json *name = json_get(v, S("n")), *maker = json_at(name, 2);
    *row = (struct past_row){.name.maker = json_text(maker), .value = json_get(v, S("v"))};
    return read_names(v, row) && json_is(maker, JSON_STRING) &&
           (!row->name.maker.n || sync_node_ok(row->name.maker)) &&
           json_i64(json_at(name, 0), &row->name.made) &&
           json_i64(json_at(name, 1), &row->name.changed) &&
           (!row->value || sync_instance_ok(row->value, row->dataset));
}

enum err past_read(struct arena *a, const struct json *v, struct past *out, struct error *e)
{
    const struct json *rows = json_get(v, S("r")), *dot = json_get(v, S("w"));
    *out = (struct past){.id = json_text(json_get(v, S("id"))),
                         .types = json_get(v, S("types")),
                         .dot.node = json_text(json_at(dot, 1))};
    bool good = json_is(json_get(v, S("id")), JSON_STRING) && out->id.n &&
                (!out->types || past_types_ok(out->types)) &&
                json_i64(json_at(dot, 0), &out->dot.hlc) && out->dot.hlc > 0 &&
                json_is(json_at(dot, 1), JSON_STRING) && sync_node_ok(out->dot.node) &&
                json_is(rows, JSON_ARRAY) && rows->n && rows->n <= PAST_ROWS;
    for (uint32_t i = 0; good && i < rows->n; i++) {
        struct past_row *row = vec_push(a, &out->rows);
        good = past_row_read(&rows->items[i], row) && (!row->value || rows->n == 1);
    }
    return good ? OK
                : error_set(e, ERR_INVALID, "evolution of %" STR_F " cannot be read",
                            QUOTE(out->id));
}

/* --- one instance on disk --- */

struct known {
    int64_t seq, t; /* of its row in hist; seq 0: there is none */
    struct sync_dot dot;
    bool written; /* as evolution: dot is good */
};

/* hist is settled. */
static enum err look(struct store_conn *c, struct arena *a, int64_t eid, const struct past_row *row,
                     struct known *out, struct error *e)
{
    struct store_rows r;
    int64_t attr = row_attr(row), dataset = row_dataset(row);
    *out = (struct known){0};
    store_query(c, &r,
                "SELECT seq, t, hlc, node FROM sync_past WHERE eid = $1 AND attr = $2"
                " AND dataset = $3 AND made = $4 AND changed = $5 AND maker = $6",
                SV(SV_INT(eid), SV_INT(attr), SV_INT(dataset), SV_INT(row->name.made),
                   SV_INT(row->name.changed), SV_TEXT(row->name.maker)));
    if (store_next(&r))
        *out = (struct known){store_int(&r, 0),
                              store_int(&r, 1),
                              {store_int(&r, 2), str_dup(a, store_text(&r, 3))},
                              true};
    enum err err = store_end(&r, e);
    if (err || out->seq || row->name.maker.n)
        return err;
    store_query(c, &r,
                "SELECT seq FROM hist WHERE eid = $1 AND attr = $2 AND dataset = $3 AND t = $4"
                " AND modified = $5",
                SV(SV_INT(eid), SV_INT(attr), SV_INT(dataset), SV_INT(row->name.made),
                   SV_INT(row->name.changed)));
    if (store_next(&r)) {
        out->seq = store_int(&r, 0);
        out->t = row->name.made;
    }
    return store_end(&r, e);
}

static bool is_newer(const struct sync_dot *x, const struct known *than)
{
    if (!than->written || x->hlc != than->dot.hlc)
        return !than->written || x->hlc > than->dot.hlc;
    return str_cmp(x->node, than->dot.node) > 0;
}

/* seq: for an instance that is not there yet. */
static enum err put_row(struct store_conn *c, int64_t eid, const struct past *p,
                        const struct past_row *row, const struct known *known, int64_t seq,
                        struct error *e)
{
    int64_t attr = row_attr(row), dataset = row_dataset(row), t = 0, modified = 0;
    enum err err = OK;
    if (known->seq)
        err = store_exec(c,
                         "DELETE FROM hist WHERE eid = $1 AND attr = $2 AND dataset = $3"
                         " AND t = $4 AND seq = $5",
                         SV(SV_INT(eid), SV_INT(attr), SV_INT(dataset), SV_INT(known->t),
                            SV_INT(known->seq)),
                         NULL, e);
    if (!row->value)
        seq = 0;
    else if (known->seq)
        seq = known->seq;
    if (!err && row->value) {
        datetime_parse(json_text(json_get(row->value, S("modifiedAt"))), &modified);
        if (!datetime_parse(json_text(json_get(row->value, S("observedAt"))), &t))
            t = modified;
        err = history_add(c, eid, row->attr, row->value, modified, seq, e);
    }
    if (err)
        return err;
    return store_exec(
        c,
        "INSERT INTO sync_past(eid, attr, dataset, made, changed, maker, seq, t, hlc, node)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
        " ON CONFLICT(eid, attr, dataset, made, changed, maker) DO UPDATE SET"
        " seq = excluded.seq, t = excluded.t, hlc = excluded.hlc, node = excluded.node",
        SV(SV_INT(eid), SV_INT(attr), SV_INT(dataset), SV_INT(row->name.made),
           SV_INT(row->name.changed), SV_TEXT(row->name.maker), SV_INT(seq), SV_INT(t),
           SV_INT(p->dot.hlc), SV_TEXT(p->dot.node)),
        NULL, e);
}

/* --- taking --- */

static enum err journal(struct store_conn *c, int64_t tenant, int64_t now, const struct past *p,
                        const struct past_from *from, int64_t *seq, struct error *e)
{
    struct buf body = BUF_INIT;
    struct json_writer w = json_writer(&body);
    json_w_object(&w);
    json_w_kstr(&w, S("op"), p->rows.v[0].value ? S("put") : S("delete"));
    json_w_key(&w, S("past"));
    past_write(&w, p);
    json_w_end(&w);
    struct journal_row row = {.tenant = tenant,
                              .at = now,
                              .topic = S("history"),
                              .key = p->id,
                              .body = buf_view(&body),
                              .actor = from->actor,
                              .origin = from->origin,
                              .origin_seq = from->origin_seq};
    enum err err = journal_append(c, &row, e);
    buf_release(&body);
    *seq = row.seq;
    return err;
}

/* Nothing is left of an entity that was known by its evolution alone. */
static enum err forget_names(struct store_conn *c, int64_t eid, struct error *e)
{
    return store_exec(c,
                      "DELETE FROM hist_attr WHERE eid = $1"
                      " AND NOT EXISTS (SELECT 1 FROM hist WHERE eid = $2)"
                      " AND NOT EXISTS (SELECT 1 FROM entity WHERE eid = $3 AND doc IS NOT NULL)",
                      SV(SV_INT(eid), SV_INT(eid), SV_INT(eid)), NULL, e);
}

enum err past_apply(struct sync *s, struct store_conn *c, struct arena *a, int64_t tenant,
                    const struct past *p, const struct past_from *from, bool *changed,
                    struct error *e)
{
    int64_t eid, seq = 0, now = clock_now(s->link->clock);
    struct known *known = ARENA_ARRAY(a, struct known, p->rows.n);
    sync_hear(s, now, p->dot.hlc);
    bool gone = !p->rows.v[0].value;
    enum err err = history_eid(c, a, tenant, p->id, gone ? NULL : p->types, true, now, &eid, e);
    if (!err)
        err = history_settle(c, e);
    size_t news = 0;
    for (size_t i = 0; !err && i < p->rows.n; i++) {
        err = look(c, a, eid, &p->rows.v[i], &known[i], e);
        news += !err && is_newer(&p->dot, &known[i]);
    }
    *changed = news > 0;
    if (err || !news)
        return err;
    err = journal(c, tenant, now, p, from, &seq, e);
    for (size_t i = 0; !err && i < p->rows.n; i++)
        if (is_newer(&p->dot, &known[i]))
            err = put_row(c, eid, p, &p->rows.v[i], &known[i], seq, e);
    return err || !gone ? err : forget_names(c, eid, e);
}

/* --- written here --- */

bool past_kept(const struct sync *s)
{
    return s && atomic_load(&s->on);
}

/* A clock above those of all writes of the entity's evolution that were seen here. */
static enum err tick(struct store_conn *c, const struct past_change *x, struct past *p,
                     struct error *e)
{
    int64_t above = 0;
    enum err err =
        store_get_int(c, &above, "SELECT coalesce(max(hlc), 0) FROM sync_past WHERE eid = $1",
                      SV(SV_INT(x->eid)), e);
    p->dot = (struct sync_dot){sync_tick(x->sync, x->now, above), sync_node(x->sync)};
    return err;
}

/* The next rows in hist that are meant, by name. */
static enum err name_rows(struct store_conn *c, struct arena *a, const struct past_change *x,
                          struct past *out, struct error *e)
{
    struct store_rows r;
    out->rows.n = 0;
    store_query(
        c, &r,
        "SELECT n.iri, n.dataset_uri, h.t, h.modified, p.made, p.changed, p.maker"
        " FROM hist h JOIN hist_attr n ON n.eid = h.eid AND n.attr = h.attr"
        " AND n.dataset = h.dataset LEFT JOIN sync_past p ON p.eid = h.eid AND p.attr = h.attr"
        " AND p.dataset = h.dataset AND p.seq = h.seq"
        " WHERE h.eid = $1 AND ($2 = 1 OR h.attr = $3) AND ($4 = 1 OR h.dataset = $5)"
        " AND ($6 = 1 OR h.seq = $7) LIMIT $8",
        SV(SV_INT(x->eid), SV_INT(!x->attr.p), SV_INT(attr_key(x->attr)),
           SV_INT(!x->attr.p || x->all_datasets), SV_INT(dataset_key(x->dataset)), SV_INT(!x->seq),
           SV_INT(x->seq), SV_INT(PAST_ROWS)));
    while (store_next(&r)) {
        bool written = !store_is_null(&r, 4);
        struct past_row *row = vec_push(a, &out->rows);
        *row = (struct past_row){.attr = str_dup(a, store_text(&r, 0)),
                                 .name = {store_int(&r, written ? 4 : 2),
                                          store_int(&r, written ? 5 : 3), S("")}};
        if (!store_is_null(&r, 1))
            row->dataset = str_dup(a, store_text(&r, 1));
        if (written)
            row->name.maker = str_dup(a, store_text(&r, 6));
    }
    return store_end(&r, e);
}

static enum err write_here(struct store_conn *c, struct arena *a, const struct past_change *x,
                           struct past *p, struct error *e)
{
    struct past_from from = {.actor = x->actor};
    bool changed;
    return past_apply(x->sync, c, a, x->tenant, p, &from, &changed, e);
}

enum err past_put(struct store_conn *c, struct arena *a, const struct past_change *x,
                  const struct json *instance, struct error *e)
{
    struct past p = {.id = x->id};
    enum err err = history_types(c, a, x->eid, &p.types, e);
    if (!err && x->seq && !(err = history_settle(c, e)))
        err = name_rows(c, a, x, &p, e);
    if (!err)
        err = tick(c, x, &p, e);
    if (err)
        return err;
    struct past_row row = {.attr = x->attr,
                           .dataset = json_text(json_get(instance, S("datasetId"))),
                           .name = {p.dot.hlc, 0, p.dot.node}};
    if (p.rows.n)
        row = p.rows.v[0];
    row.value = instance;
    p.rows.n = 0;
    *vec_push(a, &p.rows) = row;
    return write_here(c, a, x, &p, e);
}

enum err past_drop(struct store_conn *c, struct arena *a, const struct past_change *x,
                   struct error *e)
{
    struct past p = {.id = x->id};
    struct error rest = {0};
    bool any = false;
    enum err err = history_types(c, a, x->eid, &p.types, e);
    if (!err)
        err = history_settle(c, e);
    while (!err) {
        err = name_rows(c, a, x, &p, e);
        if (err || !p.rows.n)
            break;
        any = true;
        err = tick(c, x, &p, e);
        if (!err)
            err = write_here(c, a, x, &p, e);
    }
    if (err)
        return err;
    err = history_delete(c, x->eid, x->attr, x->dataset, x->all_datasets, x->seq, &rest);
    if (err == ERR_NOT_FOUND && any)
        return OK;
    return err ? error_set(e, err, "%s", rest.text) : OK;
}
