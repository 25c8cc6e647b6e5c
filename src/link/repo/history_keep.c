/* Rows of history that are old enough become hours. */
#include "history_keep.h"
#include "core/log.h"
#include "history_impl.h"

enum { EVERY_MS = 600000, ENTITIES = 256, SERIES_A_CHANGE = 200 };

struct rule {
    const struct json *types, *attrs;  /* NULL: all */
    int64_t rows_before, hours_before; /* instants; INT64_MIN: none go */
};

/* A series that has rows or hours to go. */
struct due_series {
    int64_t eid;
    struct series series;
    int64_t rows_before, hours_before;
};

struct keeping {
    struct link *link;
    struct store_conn *c;
    struct arena arena;   /* of a tenant */
    struct arena scratch; /* of an entity */
    VEC(struct rule) rules;
    VEC(struct due_series) due;
    struct error error;
};

/* --- in the writer's change --- */

#define OF_SERIES " WHERE eid = $1 AND attr = $2 AND dataset = $3"

/* Deletions are rows without a value: they go and leave no trace. */
static enum err fold(struct store_conn *c, const struct due_series *d, struct error *e)
{
    enum err err = store_exec(
        c,
        "INSERT INTO hist_hour(eid, attr, dataset, h, observed, n, numbers, sum, sumsq, least,"
        " greatest) SELECT eid, attr, dataset, t - t % 3600000000,"
        " CASE WHEN t <> modified THEN 1 ELSE 0 END, count(*), count(num),"
        " coalesce(sum(num), 0), coalesce(sum(num * num), 0), coalesce(min(num), 0),"
        " coalesce(max(num), 0) FROM hist" OF_SERIES " AND t >= 0 AND t < $4"
        " AND value NOT LIKE '{\"type\":\"deleted\"%' GROUP BY 1, 2, 3, 4, 5"
        " ON CONFLICT(eid, attr, dataset, h, observed) DO UPDATE SET"
        " least = CASE WHEN hist_hour.numbers = 0 OR (excluded.numbers > 0 AND excluded.least <"
        " hist_hour.least) THEN excluded.least ELSE hist_hour.least END,"
        " greatest = CASE WHEN hist_hour.numbers = 0 OR (excluded.numbers > 0 AND"
        " excluded.greatest > hist_hour.greatest) THEN excluded.greatest"
        " ELSE hist_hour.greatest END,"
        " n = hist_hour.n + excluded.n, numbers = hist_hour.numbers + excluded.numbers,"
        " sum = hist_hour.sum + excluded.sum, sumsq = hist_hour.sumsq + excluded.sumsq",
        SV(SV_INT(d->eid), SV_INT(d->series.attr), SV_INT(d->series.dataset),
           SV_INT(d->rows_before)),
        NULL, e);
    if (!err)
        err = store_exec(c, "DELETE FROM hist" OF_SERIES " AND t >= 0 AND t < $4",
                         SV(SV_INT(d->eid), SV_INT(d->series.attr), SV_INT(d->series.dataset),
                            SV_INT(d->rows_before)),
                         NULL, e);
    if (!err)
        err = store_exec(c, "DELETE FROM hist_hour" OF_SERIES " AND h < $4",
                         SV(SV_INT(d->eid), SV_INT(d->series.attr), SV_INT(d->series.dataset),
                            SV_INT(d->hours_before)),
                         NULL, e);
    return err;
}

struct folding {
    const struct due_series *v;
    size_t n;
};

static enum err apply(struct store_conn *c, void *ctx, struct error *e)
{
    const struct folding *f = ctx;
    enum err err = history_settle(c, e);
    for (size_t i = 0; !err && i < f->n; i++)
        err = fold(c, &f->v[i], e);
    return err;
}

/* --- what is due --- */

static int64_t before(int64_t now, struct str text)
{
    struct duration d;
    if (!duration_parse(text, &d))
        return INT64_MIN;
    d.months = -d.months;
    d.us = -d.us;
    return duration_add(now, &d);
}

static enum err load_rules(struct keeping *k, int64_t tenant)
{
    struct store_rows r;
    const struct json *doc = NULL;
    int64_t now = clock_now(k->link->clock);
    k->rules.v = NULL;
    k->rules.n = k->rules.cap = 0;
    store_query(k->c, &r,
                "SELECT doc FROM access_policy WHERE tenant = $1 AND name = 'retention'"
                " ORDER BY version DESC LIMIT 1",
                SV(SV_INT(tenant)));
    if (store_next(&r) && !store_is_null(&r, 0))
        doc = json_parse(&k->arena, str_dup(&k->arena, store_text(&r, 0)), &JSON_DEFAULT, NULL);
    const struct json *rules = json_get(doc, S("rules"));
    for (uint32_t i = 0; json_is(rules, JSON_ARRAY) && i < rules->n; i++) {
        const struct json *x = &rules->items[i];
        *vec_push(&k->arena, &k->rules) =
            (struct rule){json_get(x, S("types")), json_get(x, S("attrs")),
                          before(now, json_text(json_get(x, S("keep")))),
                          before(now, json_text(json_get(x, S("rollup"))))};
    }
    return store_end(&r, &k->error);
}

enum err history_kept_since(struct link *l, struct store_conn *c, int64_t tenant, int64_t *since,
                            struct error *e)
{
    struct keeping k = {.link = l, .c = c};
    enum err err = load_rules(&k, tenant);
    *since = INT64_MIN;
    for (size_t i = 0; !err && i < k.rules.n; i++)
        if (k.rules.v[i].rows_before > *since)
            *since = k.rules.v[i].rows_before;
    arena_release(&k.arena);
    return err ? error_set(e, err, "%s", k.error.text) : OK;
}

/* Is one of the texts among the names? Without names all are. */
static bool meets(const struct json *names, const struct json *texts, struct str text)
{
    for (uint32_t i = 0; names && i < names->n; i++) {
        struct str name = json_text(&names->items[i]);
        if (text.p && str_eq(name, text))
            return true;
        for (uint32_t k = 0; texts && k < texts->n; k++)
            if (str_eq(name, json_text(&texts->items[k])))
                return true;
    }
    return !names;
}

static enum err look_at_series(struct keeping *k, int64_t eid, const struct json *types,
                               const struct series *s)
{
    const struct rule *r = k->rules.v, *end = r + k->rules.n;
    int64_t any = 0;
    while (r < end && !(meets(r->types, types, STR_NONE) && meets(r->attrs, NULL, s->iri)))
        r++;
    if (r == end)
        return OK;
    enum err err =
        store_get_int(k->c, &any,
                      "SELECT (SELECT count(*) FROM (SELECT 1 FROM hist" OF_SERIES
                      " AND t >= 0 AND t < $4 LIMIT 1) a) + (SELECT count(*) FROM (SELECT 1 FROM "
                      "hist_recent" OF_SERIES
                      " AND t >= 0 AND t < $4 LIMIT 1) b) + (SELECT count(*) FROM (SELECT 1 FROM"
                      " hist_hour" OF_SERIES " AND h < $5 LIMIT 1) c)",
                      SV(SV_INT(eid), SV_INT(s->attr), SV_INT(s->dataset), SV_INT(r->rows_before),
                         SV_INT(r->hours_before)),
                      &k->error);
    if (!err && any)
        *vec_push(&k->arena, &k->due) = (struct due_series){
            eid, {.attr = s->attr, .dataset = s->dataset}, r->rows_before, r->hours_before};
    return err;
}

static enum err look_at_entity(struct keeping *k, int64_t eid)
{
    struct history_query all = {.max = 0};
    struct history_past past;
    series_list list = VEC_INIT;
    arena_reset(&k->scratch);
    enum err err = history_past(k->c, &k->scratch, eid, &past, &k->error);
    if (!err)
        err = history_series(k->c, &k->scratch, eid, &all, &list, &k->error);
    for (size_t i = 0; !err && i < list.n; i++)
        err = look_at_series(k, eid, past.types, &list.v[i]);
    return err;
}

/* The next entities of a tenant, in a snapshot of their own; *after is the last one. */
static enum err some_entities(struct keeping *k, int64_t tenant, int64_t *after, size_t *n)
{
    struct store_rows r;
    int64_t eids[ENTITIES];
    *n = 0;
    store_query(k->c, &r,
                "SELECT eid FROM entity WHERE tenant = $1 AND eid > $2 ORDER BY eid LIMIT $3",
                SV(SV_INT(tenant), SV_INT(*after), SV_INT(ENTITIES)));
    while (store_next(&r) && *n < ENTITIES)
        eids[(*n)++] = store_int(&r, 0);
    enum err err = store_end(&r, &k->error);
    for (size_t i = 0; !err && i < *n; i++)
        err = look_at_entity(k, eids[i]);
    if (*n)
        *after = eids[*n - 1];
    return err;
}

static enum err fold_due(struct keeping *k)
{
    enum err err = OK;
    for (size_t i = 0; !err && i < k->due.n; i += SERIES_A_CHANGE) {
        struct folding f = {k->due.v + i, k->due.n - i};
        if (f.n > SERIES_A_CHANGE)
            f.n = SERIES_A_CHANGE;
        err = store_write(k->link->store, apply, &f, &k->error);
    }
    k->due.n = 0;
    return err;
}

static enum err keep_tenant(struct keeping *k, int64_t tenant)
{
    int64_t after = 0;
    size_t n = ENTITIES;
    enum err err = OK;
    bool first = true;
    while (!err && n == ENTITIES) {
        k->c = store_read(k->link->store, &k->error);
        if (!k->c)
            return k->error.code;
        if (first)
            err = load_rules(k, tenant);
        first = false;
        n = 0;
        if (!err && k->rules.n)
            err = some_entities(k, tenant, &after, &n);
        store_read_done(k->c);
        if (!err)
            err = fold_due(k);
    }
    arena_reset(&k->arena);
    k->due.v = NULL;
    k->due.n = k->due.cap = 0;
    return err;
}

struct tenant_list {
    struct arena arena;
    VEC(int64_t) list;
};

static bool take_tenant(void *ctx, int64_t n, struct str name)
{
    struct tenant_list *t = ctx;
    (void)name;
    *vec_push(&t->arena, &t->list) = n;
    return true;
}

void history_keep_run(struct link *l)
{
    struct keeping k = {.link = l};
    struct tenant_list t = {.list = VEC_INIT};
    struct store_conn *c = store_read(l->store, &k.error);
    enum err err = c ? repo_tenants(c, take_tenant, &t, &k.error) : k.error.code;
    if (c)
        store_read_done(c);
    for (size_t i = 0; !err && i < t.list.n; i++)
        err = keep_tenant(&k, t.list.v[i]);
    if (err)
        log_event(LOG_WARN, "link.history_keep_failed", LOG_Z("error", k.error.text));
    arena_release(&k.arena);
    arena_release(&k.scratch);
    arena_release(&t.arena);
}

static void job(void *ctx)
{
    const struct link *l = ctx;
    if (store_duty(l->store, "history"))
        history_keep_run(ctx);
}

void history_keep_start(struct link *l)
{
    store_duty(l->store, "history"); /* enter for it */
    pool_every(l->pool, EVERY_MS, job, l);
}

void history_keep_stop(struct link *l)
{
    pool_never(l->pool, job, l);
}
