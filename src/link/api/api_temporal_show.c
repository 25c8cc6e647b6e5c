/* Temporal representations (clauses 4.5.6 to 4.5.9, 4.5.19). */
#include "api_temporal.h"
#include "entity_impl.h"
#include <math.h>

#define INSTANCE_PREFIX "urn:ngsi-ld:Instance:"

struct str temporal_instance_id(struct arena *a, int64_t seq, struct str dataset)
{
    return str_printf(a, INSTANCE_PREFIX "%lld%s%" STR_F, (long long)seq, dataset.p ? ":" : "",
                      STR_A(dataset));
}

bool temporal_instance_parse(struct str id, int64_t *seq, struct str *dataset)
{
    if (!str_starts(id, S(INSTANCE_PREFIX)))
        return false;
    id = str_from(id, sizeof(INSTANCE_PREFIX) - 1);
    ptrdiff_t colon = str_find_char(id, ':');
    *dataset = colon < 0 ? STR_NONE : str_from(id, (size_t)colon + 1);
    return str_to_i64(colon < 0 ? id : str_sub(id, 0, (size_t)colon), seq) && *seq > 0;
}

/* Rows come grouped by attribute, then by dataset, in order of time. */
struct showing {
    struct buf *out;
    struct arena *arena;
    const struct temporal_view *v;
    struct temporal_shown *shown;
    struct str attr;    /* open one; absent: none */
    struct str dataset; /* of the open series */
    bool in_series;     /* values: a series is open */
    size_t n_series;    /* of the open attribute */
    size_t attr_start;  /* offset in out of the attribute's value */
    size_t n_instances; /* of the open attribute or series */
    enum kind kind;     /* last one seen in the series: deletions have none */
    const struct temporal_valid *valid;
};

static bool wanted(const struct temporal_view *v, struct str iri)
{
    for (size_t i = 0; i < v->entity.n_omit; i++)
        if (str_eq(v->entity.omit[i], iri))
            return false;
    return true;
}

/* Without a fraction that is zero: as times are mostly sent. */
static void write_time(struct buf *out, int64_t at)
{
    char text[DATETIME_MAX];
    struct str s = str_n(text, datetime_format(at, text));
    bool whole = str_ends(s, S(".000Z"));
    buf_char(out, '"');
    buf_str(out, whole ? str_sub(s, 0, s.n - 5) : s);
    buf_str(out, whole ? S("Z\"") : S("\""));
}

static void close_series(struct showing *s)
{
    if (s->in_series)
        BUF_LIT(s->out, "]}");
    s->in_series = false;
}

/* Several series of one attribute stand in an array, a single one does not. */
static void close_attr(struct showing *s)
{
    if (!s->attr.p)
        return;
    close_series(s);
    if (s->v->form == TEMPORAL_INSTANCES) {
        buf_char(s->out, ']');
    } else if (s->n_series > 1) {
        buf_reserve(s->out, 1);
        memmove(s->out->p + s->attr_start + 1, s->out->p + s->attr_start,
                s->out->n - s->attr_start);
        s->out->p[s->attr_start] = '[';
        s->out->n++;
        buf_char(s->out, ']');
    }
    s->attr = STR_NONE;
}

static void open_attr(struct showing *s, struct str iri)
{
    if (str_eq(s->attr, iri))
        return;
    close_attr(s);
    s->attr = str_dup(s->arena, iri);
    s->dataset = STR_NONE;
    s->n_series = s->n_instances = 0;
    s->kind = KIND_PROPERTY;
    buf_char(s->out, ',');
    json_write_str(s->out, ld_compact(s->v->entity.ctx, s->arena, s->attr));
    buf_char(s->out, ':');
    s->attr_start = s->out->n;
    if (s->v->form == TEMPORAL_INSTANCES)
        buf_char(s->out, '[');
}

/* --- instances --- */

/* urn:ngsi-ld:null as each kind has it. */
static const char *const null_values[KINDS] = {
    [KIND_PROPERTY] = "\"" NGSI_NULL "\"",     [KIND_GEO] = "\"" NGSI_NULL "\"",
    [KIND_RELATIONSHIP] = "\"" NGSI_NULL "\"", [KIND_LANGUAGE] = "{\"@none\":\"" NGSI_NULL "\"}",
    [KIND_JSON] = "\"" NGSI_NULL "\"",         [KIND_VOCAB] = "\"" NGSI_NULL "\"",
    [KIND_LIST] = "[\"" NGSI_NULL "\"]",       [KIND_LIST_RELATIONSHIP] = "[\"" NGSI_NULL "\"]"};

static void write_null_member(struct showing *s)
{
    json_write_str(s->out, kind_members[s->kind]);
    buf_char(s->out, ':');
    buf_str(s->out, str_c(null_values[s->kind]));
}

static void write_deleted(struct showing *s, const struct json *instance)
{
    const struct json *at = json_get(instance, S("deletedAt"));
    BUF_LIT(s->out, "{\"type\":");
    json_write_str(s->out, kind_names[s->kind]);
    buf_char(s->out, ',');
    write_null_member(s);
    if (at) {
        BUF_LIT(s->out, ",\"deletedAt\":");
        json_write(s->out, at);
    }
    buf_char(s->out, '}');
}

static void show_instance(struct showing *s, const struct history_row *row,
                          const struct json *instance, bool deleted)
{
    struct json_writer w = json_writer(s->out);
    if (s->n_instances++)
        buf_char(s->out, ',');
    if (deleted)
        write_deleted(s, instance);
    else
        entity_write_instance(&w, s->arena, instance, &s->v->entity);
    if (s->out->p[s->out->n - 1] != '}')
        return; /* a bare value of the concise form */
    s->out->n--;
    BUF_LIT(s->out, ",\"instanceId\":");
    json_write_str(s->out, temporal_instance_id(s->arena, row->seq, row->dataset));
    buf_char(s->out, '}');
}

/* --- pairs --- */

static const char *const list_names[KINDS] = {
    [KIND_PROPERTY] = "values",      [KIND_GEO] = "values",
    [KIND_RELATIONSHIP] = "objects", [KIND_LANGUAGE] = "languageMaps",
    [KIND_JSON] = "jsons",           [KIND_VOCAB] = "vocabs",
    [KIND_LIST] = "valueLists",      [KIND_LIST_RELATIONSHIP] = "objectLists"};

static void open_series(struct showing *s, struct str dataset, enum kind kind)
{
    if (s->in_series && str_eq(s->dataset, dataset) && s->kind == kind)
        return;
    close_series(s);
    s->dataset = dataset.p ? str_dup(s->arena, dataset) : STR_NONE;
    s->in_series = true;
    s->kind = kind;
    s->n_instances = 0;
    if (s->n_series++)
        buf_char(s->out, ',');
    BUF_LIT(s->out, "{\"type\":");
    json_write_str(s->out, kind_names[kind]);
    if (dataset.p) {
        BUF_LIT(s->out, ",\"datasetId\":");
        json_write_str(s->out, dataset);
    }
    buf_char(s->out, ',');
    json_write_str(s->out, str_c(list_names[kind]));
    BUF_LIT(s->out, ":[");
}

/* What lies outside the part given: the attribute is there all the same, without any (6.3.10). */
static void show_beyond(struct showing *s, const struct history_row *row, enum kind kind)
{
    if (s->v->form == TEMPORAL_VALUES)
        open_series(s, row->dataset, kind);
}

static void write_pair_value(struct showing *s, const struct json *instance, enum kind kind)
{
    const struct json *value = instance_value(instance);
    struct json_writer w = json_writer(s->out);
    if (kind != KIND_LIST && kind != KIND_LIST_RELATIONSHIP) {
        entity_write_instance(&w, s->arena, instance, &s->v->entity);
        return;
    }
    json_w_array(&w);
    for (uint32_t i = 0; json_is(value, JSON_ARRAY) && i < value->n; i++) {
        const struct json *object = json_get(&value->items[i], S("object"));
        json_w_value(&w, object ? object : &value->items[i]);
    }
    json_w_end(&w);
}

/* As values of the kind are in simplified form. */
static void write_pair_null(struct showing *s)
{
    bool named = s->kind == KIND_LANGUAGE || s->kind == KIND_JSON || s->kind == KIND_VOCAB;
    if (named) {
        buf_char(s->out, '{');
        write_null_member(s);
        buf_char(s->out, '}');
    } else {
        buf_str(s->out, str_c(null_values[s->kind]));
    }
}

static void show_pair(struct showing *s, const struct history_row *row, const struct json *instance,
                      enum kind kind, bool deleted)
{
    open_series(s, row->dataset, kind);
    if (s->n_instances++)
        buf_char(s->out, ',');
    buf_char(s->out, '[');
    if (deleted)
        write_pair_null(s);
    else
        write_pair_value(s, instance, kind);
    buf_char(s->out, ',');
    const struct json *observed = json_get(instance, S("observedAt"));
    if (s->v->history.property == TIME_OBSERVED && observed)
        json_write(s->out, observed);
    else
        write_time(s->out, row->at);
    buf_char(s->out, ']');
}

static bool show_row(void *ctx, const struct history_row *row)
{
    struct showing *s = ctx;
    const struct json *instance = json_parse(s->arena, row->instance, &JSON_DEFAULT, NULL);
    enum kind kind = kind_of_name(json_text(json_get(instance, S("type"))));
    bool deleted = kind == KIND_DELETED;
    const struct history_query *h = &s->v->history;
    if (!instance || kind == KIND_NONE || !wanted(s->v, row->attr) ||
        (!row->beyond && !temporal_is_valid(s->valid, row->at)))
        return true;
    /* a deletion was not observed: it shows where it was asked for */
    if (deleted && h->property != TIME_DELETED &&
        (s->v->form == TEMPORAL_VALUES || h->relation != TIME_ANY))
        return true;
    open_attr(s, row->attr);
    s->shown->instances++;
    if (deleted) { /* of what kind it was; before that was noted: as the instances before it */
        kind = kind_of_name(json_text(json_get(instance, S("kind"))));
        kind = kind < KINDS ? kind : s->kind;
    }
    if (row->beyond) {
        show_beyond(s, row, kind);
        return true;
    }
    if (s->v->form == TEMPORAL_VALUES) {
        show_pair(s, row, instance, kind, deleted);
        return true;
    }
    s->kind = kind;
    show_instance(s, row, instance, deleted);
    return true;
}

/* --- aggregates --- */

struct aggregates {
    struct showing s;
    VEC(struct history_bucket) series; /* periods of the series at work */
};

static void write_number(struct buf *out, double v)
{
    struct json_writer w = json_writer(out);
    if (v == floor(v) && fabs(v) < 1e15)
        json_w_i64(&w, (int64_t)v);
    else
        json_w_double(&w, v);
}

static bool write_result(struct buf *out, const struct history_bucket *b, enum history_method m)
{
    double v;
    struct str text = m == AGGR_MIN ? b->min_text : m == AGGR_MAX ? b->max_text : STR_NONE;
    if (history_value(b, m, &v)) {
        write_number(out, v);
        return true;
    }
    if (text.p)
        json_write_str(out, text);
    return text.p != NULL;
}

/* Attributes that nobody named are shown as far as they go. */
static void check_eligible(struct aggregates *g)
{
    struct showing *s = &g->s;
    unsigned eligible = 0;
    uint64_t count = 0;
    for (size_t i = 0; i < g->series.n; i++) {
        eligible |= g->series.v[i].eligible;
        count += g->series.v[i].count;
    }
    for (int m = 0; s->v->history.n_attrs && count && m < AGGR_METHODS; m++)
        if (s->v->methods & ~eligible & 1u << m)
            s->shown->refused = str_printf(s->arena, "%" STR_F " has values that have no %s",
                                           STR_A(ld_compact(s->v->entity.ctx, s->arena, s->attr)),
                                           history_method_names[m]);
}

/* Each method has a list of [value, from, to]. */
static void flush_series(struct aggregates *g)
{
    struct showing *s = &g->s;
    if (!g->series.n)
        return;
    check_eligible(g);
    if (s->n_series++)
        buf_char(s->out, ',');
    bool link = false;
    for (size_t i = 0; i < g->series.n; i++)
        link = link || g->series.v[i].link;
    buf_str(s->out, link ? S("{\"type\":\"Relationship\"") : S("{\"type\":\"Property\""));
    if (s->dataset.p) {
        BUF_LIT(s->out, ",\"datasetId\":");
        json_write_str(s->out, s->dataset);
    }
    for (int m = 0; m < AGGR_METHODS; m++) {
        if (!(s->v->methods & 1u << m))
            continue;
        bool any = false;
        buf_printf(s->out, ",\"%s\":[", history_method_names[m]);
        for (size_t i = 0; i < g->series.n; i++) {
            const struct history_bucket *b = &g->series.v[i];
            size_t mark = s->out->n;
            buf_str(s->out, any ? S(",[") : S("["));
            if (!write_result(s->out, b, (enum history_method)m)) {
                s->out->n = mark;
                continue;
            }
            any = true;
            buf_char(s->out, ',');
            write_time(s->out, b->from);
            buf_char(s->out, ',');
            write_time(s->out, b->to);
            buf_char(s->out, ']');
        }
        buf_char(s->out, ']');
    }
    buf_char(s->out, '}');
    g->series.n = 0;
}

static bool show_bucket(void *ctx, const struct history_bucket *b)
{
    struct aggregates *g = ctx;
    struct showing *s = &g->s;
    if (!wanted(s->v, b->attr))
        return true;
    if (!str_eq(s->attr, b->attr) || !str_eq(s->dataset, b->dataset))
        flush_series(g);
    open_attr(s, b->attr);
    s->dataset = b->dataset.p ? str_dup(s->arena, b->dataset) : STR_NONE;
    struct history_bucket *kept = vec_push(s->arena, &g->series);
    *kept = *b;
    kept->min_text = b->min_text.p ? str_dup(s->arena, b->min_text) : STR_NONE;
    kept->max_text = b->max_text.p ? str_dup(s->arena, b->max_text) : STR_NONE;
    s->shown->instances++;
    return true;
}

/* --- the entity --- */

static bool head_wanted(const struct temporal_view *v, struct str name)
{
    const struct entity_view *e = &v->entity;
    bool in = !e->pick;
    for (size_t i = 0; i < e->n_pick && !in; i++)
        in = str_eq(e->pick[i], name);
    return in && wanted(v, name);
}

static void write_head(struct buf *out, struct arena *a, const struct temporal_entity *t,
                       const struct temporal_view *v)
{
    struct json_writer w = json_writer(out);
    json_w_object(&w);
    if (head_wanted(v, S("id")))
        json_w_kstr(&w, S("id"), t->id);
    if (t->types && head_wanted(v, S("type"))) {
        bool one = t->types->n == 1;
        json_w_key(&w, S("type"));
        if (!one)
            json_w_array(&w);
        for (uint32_t i = 0; i < t->types->n; i++)
            json_w_str(&w, ld_compact(v->entity.ctx, a, json_text(&t->types->items[i])));
        if (!one)
            json_w_end(&w);
    }
    if (v->entity.sys_attrs && t->stored) {
        static const struct str names[] = {S_INIT("createdAt"), S_INIT("modifiedAt"),
                                           S_INIT("expiresAt")};
        for (size_t i = 0; i < 3; i++)
            if (json_get(t->stored, names[i]))
                json_w_kstr(&w, names[i], json_text(json_get(t->stored, names[i])));
    }
    /* left open for what follows; attributes begin with a comma */
}

/* --- scopes --- */

/* In the range; of a scope that was set before it and held at its beginning, that one too. */
static size_t scopes_of_range(const struct temporal_scopes *past, const struct history_query *q,
                              const struct temporal_scope **shown)
{
    bool open = q->relation == TIME_AFTER || q->relation == TIME_BETWEEN;
    bool carries = q->property == TIME_OBSERVED || q->property == TIME_MODIFIED;
    size_t n = 0;
    for (size_t i = 0; i < past->rows.n; i++) {
        const struct temporal_scope *s = &past->rows.v[i];
        bool below = open && s->at < q->from;
        bool above = (q->relation == TIME_BETWEEN && s->at >= q->to) ||
                     (q->relation == TIME_BEFORE && s->at >= q->from);
        bool held = i + 1 == past->rows.n || past->rows.v[i + 1].at > q->from;
        if (!above && (!below || (carries && held && s->scopes)))
            shown[n++] = s;
    }
    size_t skip = q->last_n && q->last_n < n ? n - (size_t)q->last_n : 0;
    if (skip)
        memmove(shown, shown + skip, (n - skip) * sizeof(*shown));
    return n - skip;
}

static void show_scope_pair(struct showing *s, const struct temporal_scope *x)
{
    struct json_writer w = json_writer(s->out);
    const struct json *observed = json_get(x->instance, S("observedAt"));
    if (s->n_instances++)
        buf_char(s->out, ',');
    buf_char(s->out, '[');
    if (x->scopes)
        json_w_value(&w, x->scopes->n == 1 ? &x->scopes->items[0] : x->scopes);
    else
        write_pair_null(s);
    buf_char(s->out, ',');
    if (s->v->history.property == TIME_OBSERVED && observed)
        json_write(s->out, observed);
    else
        write_time(s->out, x->at);
    buf_char(s->out, ']');
}

/* What was last changed before scopes were kept shows the scope that it has. */
static void show_scope_now(struct buf *out, const struct temporal_entity *t,
                           const struct temporal_view *v)
{
    const struct json *scope = json_get(t->stored, S("scope"));
    if (!scope || v->history.property == TIME_DELETED)
        return;
    if (out->p[out->n - 1] != '{')
        buf_char(out, ',');
    BUF_LIT(out, "\"scope\":");
    json_write(out, scope->n == 1 ? &scope->items[0] : scope);
}

/* A Property whose instances are the scopes that were set; aggregates have none. */
static enum err show_scopes(struct buf *out, struct arena *a, struct store_conn *conn,
                            const struct temporal_entity *t, const struct temporal_view *v,
                            struct error *e)
{
    struct temporal_scopes past;
    struct showing s = {.out = out, .arena = a, .v = v, .kind = KIND_PROPERTY};
    bool pairs = v->form == TEMPORAL_VALUES;
    bool told = v->history.property == TIME_DELETED;
    if (v->form == TEMPORAL_AGGREGATES || !head_wanted(v, S("scope")))
        return OK;
    enum err err = temporal_scopes(conn, a, t->eid, v->history.property, &past, e);
    if (!err && !past.rows.n)
        show_scope_now(out, t, v);
    if (err || !past.rows.n)
        return err;
    const struct temporal_scope **shown =
        ARENA_ARRAY(a, const struct temporal_scope *, past.rows.n + 1);
    size_t n = scopes_of_range(&past, &v->history, shown), kept = 0;
    for (size_t i = 0; i < n; i++) /* deletions show as those of attributes do */
        if (shown[i]->scopes || told || (!pairs && v->history.relation == TIME_ANY))
            shown[kept++] = shown[i];
    if (!kept)
        return OK;
    if (out->p[out->n - 1] != '{')
        buf_char(out, ',');
    buf_str(out, pairs ? S("\"scope\":{\"type\":\"Property\",\"values\":[") : S("\"scope\":["));
    for (size_t i = 0; i < kept; i++) {
        struct history_row row = {.at = shown[i]->at, .seq = shown[i]->seq};
        if (pairs)
            show_scope_pair(&s, shown[i]);
        else
            show_instance(&s, &row, shown[i]->instance, !shown[i]->scopes);
    }
    buf_str(out, pairs ? S("]}") : S("]"));
    return OK;
}

enum err temporal_show(struct buf *out, struct arena *a, struct store_conn *conn,
                       const struct temporal_entity *t, const struct temporal_view *v,
                       struct temporal_shown *shown, struct error *e)
{
    size_t start = out->n;
    enum err err = OK;
    *shown = (struct temporal_shown){0};
    write_head(out, a, t, v);
    err = show_scopes(out, a, conn, t, v, e);
    bool bare = out->n == start + 1; /* pick= left out id and type */
    shown->head = !bare;
    struct history_query range = v->history;
    temporal_narrow(t->valid, &range);
    struct aggregates g = {
        .s = {.out = out, .arena = a, .v = v, .shown = shown, .valid = t->valid}};
    if (err || v->no_attrs)
        ;
    else if (v->form == TEMPORAL_AGGREGATES)
        err = history_aggregate(conn, t->eid, &range, &v->period, show_bucket, &g, e);
    else
        err = history_read(conn, t->eid, &range, show_row, &g.s, &shown->cut, e);
    flush_series(&g);
    close_attr(&g.s);
    if (bare && out->n > start + 1) { /* the first comma is one too many */
        memmove(out->p + start + 1, out->p + start + 2, out->n - start - 2);
        out->n--;
    }
    if (v->entity.with_context) {
        buf_str(out, out->n > start + 1 ? S(",\"@context\":") : S("\"@context\":"));
        json_write(out, ld_context_json(v->entity.ctx));
    }
    buf_char(out, '}');
    return err;
}
