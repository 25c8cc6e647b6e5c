/* Tombstones that nobody needs any more. See trim.h. */
#include "trim.h"
#include "core/log.h"
#include "core/metrics.h"
#include "evolution.h"
#include "keys.h"
#include "link/history.h"

enum { NAMES_A_CHANGE = 500, CHANGES_A_RUN = 200, PAST_A_CHANGE = 2000 };

static struct metric forgotten =
    METRIC_COUNTER("marugoto_sync_forgotten_total", "tombstones that no node needed any more");

static int64_t attr_key(struct str iri)
{
    return iri.p ? key_of(0, 'a', iri) : 0;
}

static int64_t dataset_key(struct str uri)
{
    return uri.p ? key_of(0, 'd', uri) : 0;
}

/* --- as it is told --- */

static void w_name(struct json_writer *w, const struct trim_name *n)
{
    json_w_object(w);
    json_w_kstr(w, S("id"), n->id);
    if (n->attr.p)
        json_w_kstr(w, S("a"), n->attr);
    if (n->dataset.p)
        json_w_kstr(w, S("d"), n->dataset);
    json_w_key(w, S("w"));
    json_w_array(w);
    json_w_i64(w, n->dot.hlc);
    json_w_str(w, n->dot.node);
    json_w_end(w);
    json_w_end(w);
}

static bool read_name(const struct json *v, struct trim_name *out)
{
    const struct json *attr = json_get(v, S("a")), *dataset = json_get(v, S("d"));
    const struct json *dot = json_get(v, S("w"));
    *out = (struct trim_name){.id = json_text(json_get(v, S("id"))),
                              .attr = json_text(attr),
                              .dataset = json_text(dataset),
                              .dot.node = json_text(json_at(dot, 1))};
    return json_is(json_get(v, S("id")), JSON_STRING) && out->id.n &&
           (!attr || (json_is(attr, JSON_STRING) && out->attr.n)) &&
           (!dataset || (attr && json_is(dataset, JSON_STRING) && out->dataset.n)) &&
           json_i64(json_at(dot, 0), &out->dot.hlc) && json_is(json_at(dot, 1), JSON_STRING) &&
           sync_node_ok(out->dot.node);
}

enum err trim_read(struct arena *a, const struct json *v, struct trim_list *out, struct error *e)
{
    const struct json *of = json_get(v, S("of"));
    *out = (struct trim_list){.v = VEC_INIT};
    bool good = json_is(of, JSON_ARRAY) && of->n <= NAMES_A_CHANGE;
    for (uint32_t i = 0; good && i < of->n; i++)
        good = read_name(&of->items[i], vec_push(a, &out->v));
    return good ? OK : error_set(e, ERR_INVALID, "a list of what is forgotten cannot be read");
}

/* --- forgetting --- */

/* What an entity that is gone was stays known as long as it has a history. */
static enum err keep_types(struct store_conn *c, struct arena *a, int64_t tenant, int64_t eid,
                           struct str id, struct error *e)
{
    const struct json *types = NULL;
    int64_t rows = 0;
    enum err err = store_get_int(c, &rows,
                                 "SELECT count(*) FROM (SELECT 1 FROM hist_attr WHERE eid = $1"
                                 " LIMIT 1) AS x",
                                 SV(SV_INT(eid)), e);
    if (!err && rows)
        err = evolution_types(c, a, eid, &types, e);
    if (err || !types)
        return err;
    return history_eid(c, a, tenant, id, types, true, 0, &eid, e);
}

static enum err forget(struct store_conn *c, struct arena *a, int64_t tenant,
                       const struct trim_name *n, struct error *e)
{
    struct entity_row row;
    struct error why;
    int64_t gone = 0;
    enum err err = repo_get(c, a, tenant, n->id, &row, &why);
    if (err && err != ERR_NOT_FOUND)
        return error_set(e, err, "%s", why.text);
    if (!row.eid)
        return OK;
    err = n->attr.p || row.doc.p ? OK : keep_types(c, a, tenant, row.eid, n->id, e);
    if (err)
        return err;
    err = store_exec(c,
                     "DELETE FROM sync_register WHERE eid = $1 AND attr = $2 AND dataset = $3"
                     " AND gone = 1 AND hlc = $4 AND node = $5 AND others IS NULL"
                     " AND (iri = '' OR value IS NULL)",
                     SV(SV_INT(row.eid), SV_INT(attr_key(n->attr)), SV_INT(dataset_key(n->dataset)),
                        SV_INT(n->dot.hlc), SV_TEXT(n->dot.node)),
                     &gone, e);
    metric_add(&forgotten, gone);
    return err;
}

enum err trim_apply(struct store_conn *c, struct arena *a, int64_t tenant,
                    const struct trim_list *list, struct error *e)
{
    enum err err = OK;
    for (size_t i = 0; !err && i < list->v.n; i++)
        err = forget(c, a, tenant, &list->v.v[i], e);
    return err;
}

/* --- a city decides --- */

struct trimming {
    struct sync *sync;
    int64_t tenant, upto, newest; /* newest: of the rows that wrote what goes */
    struct arena arena;
    struct trim_list list;
};

static enum err find(struct trimming *t, struct store_conn *c, struct error *e)
{
    struct store_rows r;
    t->list.v.n = 0;
    t->newest = 0;
    store_query(c, &r,
                "SELECT n.id, g.iri, g.dataset_uri, g.hlc, g.node, g.seq FROM sync_register g"
                " JOIN entity n ON n.eid = g.eid WHERE g.gone = 1 AND g.seq <= $1"
                " AND n.tenant = $2 AND g.others IS NULL AND (g.iri = '' OR g.value IS NULL)"
                " AND NOT EXISTS (SELECT 1 FROM sync_register x WHERE x.eid = g.eid"
                " AND x.iri <> '' AND x.value IS NOT NULL) ORDER BY g.seq LIMIT $3",
                SV(SV_INT(t->upto), SV_INT(t->tenant), SV_INT(NAMES_A_CHANGE)));
    while (store_next(&r)) {
        struct trim_name *n = vec_push(&t->arena, &t->list.v);
        n->id = str_dup(&t->arena, store_text(&r, 0));
        if (store_text(&r, 1).n)
            n->attr = str_dup(&t->arena, store_text(&r, 1));
        if (!store_is_null(&r, 2))
            n->dataset = str_dup(&t->arena, store_text(&r, 2));
        n->dot = (struct sync_dot){store_int(&r, 3), str_dup(&t->arena, store_text(&r, 4))};
        t->newest = store_int(&r, 5);
    }
    return store_end(&r, e);
}

static enum err tell(struct trimming *t, struct store_conn *c, struct error *e)
{
    struct buf body = BUF_INIT;
    struct json_writer w = json_writer(&body);
    json_w_object(&w);
    json_w_key(&w, S("of"));
    json_w_array(&w);
    for (size_t i = 0; i < t->list.v.n; i++)
        w_name(&w, &t->list.v.v[i]);
    json_w_end(&w);
    json_w_end(&w);
    struct journal_row row = {.tenant = t->tenant,
                              .at = clock_now(t->sync->link->clock),
                              .topic = S("trim"),
                              .key = S("sync"),
                              .body = buf_view(&body)};
    enum err err = journal_append(c, &row, e);
    buf_release(&body);
    return err;
}

static enum err note_horizon(struct store_conn *c, int64_t tenant, int64_t seq, int64_t past,
                             struct error *e)
{
    return store_exec(c,
                      "INSERT INTO sync_trim(tenant, seq, past) VALUES ($1, $2, $3)"
                      " ON CONFLICT(tenant) DO UPDATE SET"
                      " seq = CASE WHEN excluded.seq > sync_trim.seq THEN excluded.seq"
                      " ELSE sync_trim.seq END,"
                      " past = CASE WHEN excluded.past > sync_trim.past THEN excluded.past"
                      " ELSE sync_trim.past END",
                      SV(SV_INT(tenant), SV_INT(seq), SV_INT(past)), NULL, e);
}

static enum err apply(struct store_conn *c, void *ctx, struct error *e)
{
    struct trimming *t = ctx;
    enum err err = find(t, c, e);
    if (err || !t->list.v.n)
        return err;
    err = tell(t, c, e);
    if (!err)
        err = trim_apply(c, &t->arena, t->tenant, &t->list, e);
    return err ? err : note_horizon(c, t->tenant, t->newest, 0, e);
}

static enum err needed(struct trimming *t, struct error *e)
{
    int64_t oldest, newest;
    struct store_conn *c = store_read(t->sync->link->store, e);
    if (!c)
        return e->code;
    enum err err = sync_unneeded(t->sync, c, t->tenant, &t->upto, e);
    if (!err)
        err = journal_range(c, t->tenant, &oldest, &newest, e);
    if (!err && t->upto > newest)
        t->upto = newest;
    store_read_done(c);
    return err;
}

static enum err trim_registers(struct sync *s, int64_t tenant, struct error *e)
{
    struct trimming t = {.sync = s, .tenant = tenant, .list = {.v = VEC_INIT}};
    enum err err = needed(&t, e);
    t.list.v.n = NAMES_A_CHANGE;
    for (int i = 0; !err && i < CHANGES_A_RUN && t.list.v.n == NAMES_A_CHANGE; i++) {
        t.list = (struct trim_list){.v = VEC_INIT};
        arena_reset(&t.arena);
        err = store_write(s->link->store, apply, &t, e);
    }
    arena_release(&t.arena);
    return err;
}

/* --- evolution --- */

struct past_trimming {
    int64_t tenant, before, n;
};

static enum err apply_past(struct store_conn *c, void *ctx, struct error *e)
{
    struct past_trimming *t = ctx;
    enum err err = store_exec(
        c,
        "DELETE FROM sync_past WHERE (eid, attr, dataset, made, changed, maker) IN"
        " (SELECT p.eid, p.attr, p.dataset, p.made, p.changed, p.maker FROM sync_past p"
        " JOIN entity n ON n.eid = p.eid WHERE n.tenant = $1 AND p.made < $2 AND p.hlc < $3"
        " AND NOT EXISTS (SELECT 1 FROM hist h WHERE h.eid = p.eid AND h.attr = p.attr"
        " AND h.dataset = p.dataset AND h.t = p.t AND h.seq = p.seq) LIMIT $4)",
        SV(SV_INT(t->tenant), SV_INT(t->before), SV_INT(t->before), SV_INT(PAST_A_CHANGE)), &t->n,
        e);
    return err || !t->n ? err : note_horizon(c, t->tenant, 0, t->before, e);
}

static enum err trim_past(struct sync *s, int64_t tenant, struct error *e)
{
    const struct edge_options *o = &s->link->edge;
    int64_t keep = o->keep_hours * HOUR_US;
    if (keep < (o->past_days + 1) * DAY_US)
        keep = (o->past_days + 1) * DAY_US;
    struct past_trimming t = {tenant, clock_now(s->link->clock) - keep, PAST_A_CHANGE};
    enum err err = OK;
    for (int i = 0; !err && i < CHANGES_A_RUN && t.n == PAST_A_CHANGE; i++)
        err = store_write(s->link->store, apply_past, &t, e);
    return err;
}

/* --- all of it --- */

struct tenants {
    struct arena arena;
    VEC(int64_t) v;
};

static bool take_tenant(void *ctx, int64_t n, struct str name)
{
    struct tenants *t = ctx;
    (void)name;
    *vec_push(&t->arena, &t->v) = n;
    return true;
}

void trim_run(struct sync *s)
{
    struct tenants t = {.v = VEC_INIT};
    struct error e = {0};
    struct store_conn *c = store_read(s->link->store, &e);
    enum err err = c ? repo_tenants(c, take_tenant, &t, &e) : e.code;
    if (c)
        store_read_done(c);
    for (size_t i = 0; !err && i < t.v.n; i++) {
        if (!s->link->edge.on)
            err = trim_registers(s, t.v.v[i], &e);
        if (!err)
            err = trim_past(s, t.v.v[i], &e);
    }
    if (err)
        log_event(LOG_WARN, "sync.trim_failed", LOG_Z("error", e.text));
    arena_release(&t.arena);
}

enum err trim_horizon(struct store_conn *c, int64_t tenant, int64_t *seq, int64_t *past,
                      struct error *e)
{
    struct store_rows r;
    *seq = *past = 0;
    store_query(c, &r, "SELECT seq, past FROM sync_trim WHERE tenant = $1", SV(SV_INT(tenant)));
    if (store_next(&r)) {
        *seq = store_int(&r, 0);
        *past = store_int(&r, 1);
    }
    return store_end(&r, e);
}
