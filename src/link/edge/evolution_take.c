/* Traces that came from another node, joined into what is here. See evolution.h. */
#include "crypto/hash.h"
#include "entity_impl.h"
#include "evolution.h"
#include "history_impl.h"
#include "keys.h"

/* --- reading --- */

static bool read_one(const struct json *v, struct evolution_row *out)
{
    const struct json *dot = json_get(v, S("w"));
    if (!past_row_read(v, &out->row))
        return false;
    if (!dot)
        return out->row.value && !out->row.name.maker.n;
    out->dot.node = json_text(json_at(dot, 1));
    return json_i64(json_at(dot, 0), &out->dot.hlc) && out->dot.hlc > 0 &&
           json_is(json_at(dot, 1), JSON_STRING) && sync_node_ok(out->dot.node);
}

static bool read_entity(struct arena *a, const struct json *v, struct evolution_of *out)
{
    const struct json *rows = json_get(v, S("r"));
    *out = (struct evolution_of){.id = json_text(json_get(v, S("id"))),
                                 .types = json_get(v, S("types"))};
    bool good = json_is(json_get(v, S("id")), JSON_STRING) && out->id.n &&
                (!out->types || past_types_ok(out->types)) && json_is(rows, JSON_ARRAY);
    for (uint32_t i = 0; good && i < rows->n; i++)
        good = read_one(&rows->items[i], vec_push(a, &out->rows));
    return good;
}

enum err evolution_read(struct arena *a, const struct json *v, struct evolution_list *out,
                        struct error *e)
{
    *out = (struct evolution_list){.v = VEC_INIT};
    for (uint32_t i = 0; json_is(v, JSON_ARRAY) && i < v->n; i++)
        if (!read_entity(a, &v->items[i], vec_push(a, &out->v)))
            return error_set(e, ERR_INVALID, "evolution %u of a message cannot be read", i);
    return OK;
}

/* --- taking --- */

struct taking {
    struct sync *sync;
    int64_t tenant;
    const struct evolution_list *list;
    struct str from, actor;
    size_t news;
};

/* Positions of such instances are no journal rows: they are made of the instance, above all that a
 * journal may reach (JOURNAL_SEQ_BITS) and exact in JSON everywhere. */
static int64_t seq_of(const struct evolution_row *x, struct str value)
{
    const int64_t numbers[] = {x->row.name.made, x->row.name.changed};
    const struct str fields[] = {str_n((const char *)numbers, sizeof(numbers)), x->row.attr,
                                 x->row.dataset, value};
    struct hash h = hash_blake2b_fields(fields, 4);
    uint64_t v;
    memcpy(&v, h.b, sizeof(v));
    return (int64_t)(UINT64_C(1) << 51 | v >> 13);
}

enum err evolution_has(struct store_conn *c, int64_t eid, const struct past_row *row,
                       struct str value, bool *known, struct error *e)
{
    int64_t n = 0, attr = key_of(0, 'a', row->attr);
    int64_t dataset = row->dataset.p ? key_of(0, 'd', row->dataset) : 0;
    enum err err = store_get_int(
        c, &n,
        "SELECT (SELECT count(*) FROM sync_past WHERE eid = $1 AND attr = $2 AND dataset = $3"
        " AND made = $4 AND changed = $5 AND maker = '') + (SELECT count(*) FROM hist"
        " WHERE eid = $6 AND attr = $7 AND dataset = $8 AND t = $9 AND modified = $10"
        " AND value = $11)",
        SV(SV_INT(eid), SV_INT(attr), SV_INT(dataset), SV_INT(row->name.made),
           SV_INT(row->name.changed), SV_INT(eid), SV_INT(attr), SV_INT(dataset),
           SV_INT(row->name.made), SV_INT(row->name.changed), SV_TEXT(value)),
        e);
    *known = n > 0;
    return err;
}

/* One that was never written as evolution. */
static enum err add_left(struct taking *t, struct store_conn *c, struct arena *a, int64_t eid,
                         const struct evolution_row *x, struct error *e)
{
    struct str value = json_to_text(a, x->row.value);
    int64_t at = x->row.name.changed;
    bool known = false;
    datetime_parse(json_text(json_get(x->row.value, S("observedAt"))), &at);
    if (at != x->row.name.made)
        return error_set(e, ERR_INVALID, "an instance with another's name");
    enum err err = evolution_has(c, eid, &x->row, value, &known, e);
    if (err || known)
        return err;
    t->news++;
    return history_add(c, eid, x->row.attr, x->row.value, x->row.name.changed, seq_of(x, value), e);
}

static enum err add_written(struct taking *t, struct store_conn *c, struct arena *a,
                            const struct evolution_of *of, const struct evolution_row *x,
                            struct error *e)
{
    struct past p = {.id = of->id, .types = of->types, .dot = x->dot};
    struct past_from from = {.origin = t->from, .actor = t->actor};
    bool news = false;
    *vec_push(a, &p.rows) = x->row;
    enum err err = past_apply(t->sync, c, a, t->tenant, &p, &from, &news, e);
    t->news += news;
    return err;
}

/* Followers of the journal see that something came (digest.h). */
static enum err tell(struct taking *t, struct store_conn *c, struct str id, struct error *e)
{
    struct journal_row row = {.tenant = t->tenant,
                              .at = clock_now(t->sync->link->clock),
                              .topic = S("evolution"),
                              .key = id,
                              .body = S("{}"),
                              .actor = t->actor,
                              .origin = t->from};
    return journal_append(c, &row, e);
}

static enum err take_entity(struct taking *t, struct store_conn *c, const struct evolution_of *of,
                            struct error *e)
{
    struct arena a = ARENA_INIT;
    const struct json *types = NULL;
    int64_t eid, now = clock_now(t->sync->link->clock);
    size_t before = t->news;
    enum err err = history_eid(c, &a, t->tenant, of->id, NULL, true, now, &eid, e);
    if (!err)
        err = evolution_types(c, &a, eid, &types, e);
    bool named = !err && of->types && !types;
    if (!err)
        err = history_eid(c, &a, t->tenant, of->id, of->types, true, now, &eid, e);
    if (!err)
        err = history_settle(c, e);
    for (size_t i = 0; !err && i < of->rows.n; i++) {
        const struct evolution_row *x = &of->rows.v[i];
        err = x->dot.hlc ? add_written(t, c, &a, of, x, e) : add_left(t, c, &a, eid, x, e);
        if (i % 64 == 63)
            arena_reset(&a);
    }
    if (!err && (named || t->news > before))
        err = tell(t, c, of->id, e);
    arena_release(&a);
    return err;
}

static enum err take(struct store_conn *c, void *ctx, struct error *e)
{
    struct taking *t = ctx;
    enum err err = OK;
    t->news = 0;
    for (size_t i = 0; !err && i < t->list->v.n; i++)
        err = take_entity(t, c, &t->list->v.v[i], e);
    return err;
}

enum err evolution_take(struct sync *s, int64_t tenant, const struct evolution_list *list,
                        struct str from, size_t *news, struct error *e)
{
    struct arena a = ARENA_INIT;
    struct taking t = {.sync = s, .tenant = tenant, .list = list, .from = from};
    t.actor = str_printf(&a, "node:%" STR_F, STR_A(from));
    enum err err = list->v.n ? store_write(s->link->store, take, &t, e) : OK;
    *news = t.news;
    arena_release(&a);
    return err;
}
