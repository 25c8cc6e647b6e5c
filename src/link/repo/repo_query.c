/*
 * Finding entities. A plan gives candidate row numbers in order; each candidate is loaded and
 * evaluated exactly. There are two: a list, which is a heap of the rows that one index names, and a
 * walk over the entities of a type, with an attribute or of the tenant, which come in order by
 * themselves, in growing chunks, so that a page of 20 reads little and a count of all reads fast.
 *
 * Choosing: explicit ids win; then a place; then a type or attribute that few entities have; then
 * the value condition whose index names the fewest rows. One with more rows than LIST_MAX loses to
 * the walk, which then finds matches often enough.
 */
#include "core/clock.h"
#include "keys.h"
#include "link/access.h"
#include "link/repo.h"
#include "repo_index.h"

enum {
    LIST_MAX = 5000,      /* rows of a list by a value condition */
    LIST_MAX_GEO = 20000, /* of a list by a place */
    LIST_CHUNK = 16,      /* rows of a list loaded at once */
    FEW = 64,             /* entities of a type that are not worth a list */
    CHUNK_FIRST = 64,
    CHUNK_MAX = 4096,
    NAMES_MAX = 4,   /* names in one type or attribute condition that a walk takes */
    GEO_RANGES = 12, /* cell ranges of one geographic scan */
    GEO_ROOM = GEO_RANGES + 4 * GEO_CELL_LEVEL
};

typedef VEC(int64_t) eid_list;

/* Candidates in ascending order of eid, either listed or walked in chunks. */
struct plan {
    bool listed;
    eid_list list;                 /* a heap with the least eid first; may name a row twice */
    const struct query_hint *hint; /* walked; NULL: all entities of the tenant */
};

struct run {
    struct store_conn *c;
    const struct repo_query *q;
    struct arena arena; /* of the plan */
    struct arena row;   /* of one candidate */
    struct plan plan;
    bool (*each)(void *, const struct entity_row *, const struct json *);
    void *ctx;
    struct repo_result *result;
    uint64_t skipped, given;
    bool count_rows; /* the count comes from the index */
    const struct access_view *view;
    bool stop;
};

/* --- lists of row numbers --- */

static void sift_down(eid_list *l, size_t i)
{
    int64_t moved = l->v[i];
    for (size_t child; (child = 2 * i + 1) < l->n; i = child) {
        if (child + 1 < l->n && l->v[child + 1] < l->v[child])
            child++;
        if (l->v[child] >= moved)
            break;
        l->v[i] = l->v[child];
    }
    l->v[i] = moved;
}

static int64_t pop_least(eid_list *l)
{
    int64_t least = l->v[0];
    l->v[0] = l->v[--l->n];
    if (l->n)
        sift_down(l, 0);
    return least;
}

/* A page needs the first few in order: a heap is made faster than a list is sorted. */
static void use_list(struct run *r, const eid_list *list)
{
    r->plan.list = *list;
    r->plan.listed = true;
    for (size_t i = list->n / 2; i-- > 0;)
        sift_down(&r->plan.list, i);
}

static enum err list_ids(struct run *r, struct error *e)
{
    eid_list list = VEC_INIT;
    for (size_t i = 0; i < r->q->query->n_ids; i++) {
        int64_t eid;
        enum err err =
            store_get_int(r->c, &eid, "SELECT eid FROM entity WHERE tenant = $1 AND id = $2",
                          SV(SV_INT(r->q->tenant), SV_TEXT(r->q->query->ids[i])), e);
        if (err == OK && eid > r->q->after)
            *vec_push(&r->arena, &list) = eid;
        else if (err && err != ERR_NOT_FOUND)
            return err;
    }
    use_list(r, &list);
    return OK;
}

/* Rows of a query whose first column is eid. */
static enum err add_rows(struct run *r, struct store_rows *rows, eid_list *list, struct error *e)
{
    while (store_next(rows))
        *vec_push(&r->arena, list) = store_int(rows, 0);
    return store_end(rows, e);
}

static enum err list_cells(struct run *r, char kind, struct str name, struct geo_range range,
                           eid_list *list, struct error *e)
{
    struct store_rows rows;
    store_query(r->c, &rows,
                "SELECT eid FROM entity_geo WHERE k = $1 AND cell BETWEEN $2 AND $3 AND eid > $4"
                " LIMIT $5",
                SV(SV_INT(key_of(r->q->tenant, kind, name)), SV_INT(range.from), SV_INT(range.to),
                   SV_INT(r->q->after), SV_INT(LIST_MAX_GEO + 1)));
    return add_rows(r, &rows, list, e);
}

/* All candidates of a geographic condition, unless there are too many to list. */
static enum err list_geo(struct run *r, const struct query_hint *h, struct error *e)
{
    struct geo_range ranges[GEO_ROOM];
    size_t n = geo_ranges(h->box, GEO_RANGES, ranges);
    struct str name = h->names[0];
    eid_list list = VEC_INIT;
    int64_t shapes = 0;
    enum err err = store_get_int(r->c, &shapes,
                                 "SELECT count(*) FROM (SELECT 1 FROM entity_geo WHERE k = $1"
                                 " LIMIT 1) x",
                                 SV(SV_INT(key_of(r->q->tenant, KEY_SHAPE, name))), e);
    for (size_t i = 0; err == OK && i < n && list.n <= LIST_MAX_GEO; i++) {
        if (ranges[i].from != ranges[i].to || ranges[i].from & 1)
            err = list_cells(r, KEY_POINT, name, ranges[i], &list, e);
        if (err == OK && shapes)
            err = list_cells(r, KEY_SHAPE, name, ranges[i], &list, e);
    }
    if (err == OK && list.n <= LIST_MAX_GEO)
        use_list(r, &list);
    return err;
}

/* --- conditions on values --- */

static char kind_of(enum hint_kind k)
{
    switch (k) {
    case HINT_NUM:
        return KEY_NUM;
    case HINT_TIME:
        return KEY_TIME;
    case HINT_BOOL:
        return KEY_BOOL;
    case HINT_TEXT:
        return KEY_TEXT;
    case HINT_SCOPE:
        return KEY_SCOPE;
    case HINT_TYPE:
        return KEY_TYPE;
    case HINT_ATTR:
    case HINT_GEO:
        break;
    }
    return KEY_ATTR;
}

#define LAST_TEXT "\xf4\x8f\xbf\xbf" /* U+10FFFF: after every text that starts alike */

/* Bounds of a text scan in terms of what the index holds. */
static void text_bounds(struct run *r, const struct query_hint *h, struct str *from, struct str *to)
{
    *from = index_text(h->text_from);
    if (h->prefix)
        *to = str_concat(&r->arena, *from, S(LAST_TEXT));
    else
        *to = h->text_to.p ? index_text(h->text_to) : S(LAST_TEXT);
    if (!from->p)
        *from = S("");
}

static bool is_walk(const struct query_hint *h)
{
    return h->kind == HINT_TYPE || h->kind == HINT_ATTR;
}

/* At most max rows that the index names for a value condition. */
static void ask_values(struct run *r, const struct query_hint *h, int64_t max,
                       struct store_rows *rows)
{
    struct str name = h->kind == HINT_SCOPE ? S("") : h->names[0];
    int64_t key = key_of(r->q->tenant, kind_of(h->kind), name);
    if (h->kind == HINT_TEXT || h->kind == HINT_SCOPE) {
        struct str from, to;
        text_bounds(r, h, &from, &to);
        store_query(r->c, rows,
                    "SELECT eid FROM entity_text WHERE k = $1 AND v >= $2 AND v <= $3 AND eid > $4"
                    " LIMIT $5",
                    SV(SV_INT(key), SV_TEXT(from), SV_TEXT(to), SV_INT(r->q->after), SV_INT(max)));
    } else {
        store_query(r->c, rows,
                    "SELECT eid FROM entity_num WHERE k = $1 AND v >= $2 AND v <= $3 AND eid > $4"
                    " LIMIT $5",
                    SV(SV_INT(key), SV_REAL(h->from), SV_REAL(h->to), SV_INT(r->q->after),
                       SV_INT(max)));
    }
}

/* Candidates of a value condition, and entities with too many values for the index; a list of more
 * than max is cut. */
static enum err list_values(struct run *r, const struct query_hint *h, size_t max, eid_list *out,
                            struct error *e)
{
    struct store_rows rows;
    ask_values(r, h, (int64_t)max + 1, &rows);
    enum err err = add_rows(r, &rows, out, e);
    if (err || h->kind == HINT_SCOPE)
        return err;
    store_query(r->c, &rows, "SELECT eid FROM entity_key WHERE k = $1 AND eid > $2 LIMIT $3",
                SV(SV_INT(key_of(r->q->tenant, KEY_OVERFLOW, h->names[0])), SV_INT(r->q->after),
                   SV_INT(max + 1)));
    return add_rows(r, &rows, out, e);
}

/* The shortest list that a value condition gives; false when there is none of at most LIST_MAX. */
static enum err shortest_list(struct run *r, const struct query_hint *hints, size_t n,
                              eid_list *best, bool *found, struct error *e)
{
    size_t max = LIST_MAX;
    for (size_t i = 0; i < n; i++) {
        eid_list list = VEC_INIT;
        if (is_walk(&hints[i]) || hints[i].kind == HINT_GEO)
            continue;
        enum err err = list_values(r, &hints[i], max, &list, e);
        if (err)
            return err;
        if (list.n <= max) {
            *best = list;
            *found = true;
            max = list.n;
        }
    }
    return OK;
}

/* --- walks --- */

/* The four name keys of a walk over entity_key; unused places repeat the first. */
static bool name_keys(const struct run *r, const struct query_hint *h, int64_t k[NAMES_MAX])
{
    if (!h) {
        for (int i = 0; i < NAMES_MAX; i++)
            k[i] = key_of(r->q->tenant, KEY_ALL, S(""));
        return true;
    }
    if (!h->n_names || h->n_names > NAMES_MAX)
        return false;
    for (size_t i = 0; i < NAMES_MAX; i++)
        k[i] = key_of(r->q->tenant, kind_of(h->kind), h->names[i < h->n_names ? i : 0]);
    return true;
}

/* The next entities of the walk after a row. */
static void walk_start(struct run *r, struct store_rows *rows, int64_t after, int64_t chunk)
{
    const struct query_hint *h = r->plan.hint;
    int64_t k[NAMES_MAX];
    name_keys(r, h, k);
    if (!h || h->n_names == 1)
        store_query(r->c, rows,
                    "SELECT e.eid, e.id, e.doc, e.version FROM entity_key x"
                    " JOIN entity e ON e.eid = x.eid WHERE x.k = $1 AND x.eid > $2"
                    " ORDER BY x.eid LIMIT $3",
                    SV(SV_INT(k[0]), SV_INT(after), SV_INT(chunk)));
    else
        store_query(r->c, rows,
                    "SELECT e.eid, e.id, e.doc, e.version FROM (SELECT DISTINCT eid FROM"
                    " entity_key WHERE k IN ($1, $2, $3, $4) AND eid > $5 ORDER BY eid"
                    " LIMIT $6) x JOIN entity e ON e.eid = x.eid ORDER BY x.eid",
                    SV(SV_INT(k[0]), SV_INT(k[1]), SV_INT(k[2]), SV_INT(k[3]), SV_INT(after),
                       SV_INT(chunk)));
}

/* The type or attribute condition with the fewest rows, counted up to limit + 1, or NULL. */
static enum err fewest(struct run *r, const struct query_hint *hints, size_t n, int64_t limit,
                       const struct query_hint **out, int64_t *rows, struct error *e)
{
    int64_t k[NAMES_MAX];
    *out = NULL;
    for (size_t i = 0; i < n; i++) {
        int64_t count;
        if (!is_walk(&hints[i]) || !name_keys(r, &hints[i], k))
            continue;
        enum err err = store_get_int(r->c, &count,
                                     "SELECT count(*) FROM (SELECT 1 FROM entity_key WHERE k IN"
                                     " ($1, $2, $3, $4) LIMIT $5) x",
                                     SV(SV_INT(k[0]), SV_INT(k[1]), SV_INT(k[2]), SV_INT(k[3]),
                                        SV_INT(limit + 1)),
                                     e);
        if (err)
            return err;
        if (!*out || count < *rows) {
            *out = &hints[i];
            *rows = count;
        }
    }
    return OK;
}

/* --- choosing --- */

static enum err choose_values(struct run *r, const struct query_hint *hints, size_t n,
                              struct error *e)
{
    const struct query_hint *walk;
    eid_list list = VEC_INIT;
    bool listed = false;
    int64_t rows = 0;
    enum err err = fewest(r, hints, n, FEW, &walk, &rows, e);
    if (err || (walk && rows <= FEW)) {
        r->plan.hint = walk;
        return err;
    }
    err = shortest_list(r, hints, n, &list, &listed, e);
    /* counting rows is cheaper than looking at entities, but not for nothing */
    int64_t limit = listed ? (int64_t)list.n / 8 : LIST_MAX;
    if (!err)
        err = fewest(r, hints, n, limit, &walk, &rows, e);
    if (listed && !(walk && rows <= limit))
        use_list(r, &list);
    else
        r->plan.hint = walk;
    return err;
}

/* Nothing but one type is asked for: its index rows are the matches. */
static bool only_a_type(const struct entity_query *q, const struct query_hint *h)
{
    return h->kind == HINT_TYPE && h->n_names == 1 && !q->id_pattern && !q->q && !q->n_attrs &&
           !q->scope && !q->geo;
}

static enum err count_type(struct run *r, struct error *e)
{
    int64_t n = 0, k = key_of(r->q->tenant, KEY_TYPE, r->plan.hint->names[0]);
    enum err err =
        store_get_int(r->c, &n, "SELECT count(*) FROM entity_key WHERE k = $1", SV(SV_INT(k)), e);
    r->result->count = (uint64_t)n;
    return err;
}

static enum err choose(struct run *r, struct error *e)
{
    const struct query_hint *hints;
    size_t n = query_hints(&r->arena, r->q->query, &hints);
    for (size_t i = 0; i < n; i++) {
        enum err err = hints[i].kind == HINT_GEO ? list_geo(r, &hints[i], e) : OK;
        if (err || r->plan.listed)
            return err;
    }
    if (n == 1 && is_walk(&hints[0])) { /* nothing to compare with */
        int64_t k[NAMES_MAX];
        r->plan.hint = name_keys(r, &hints[0], k) ? &hints[0] : NULL;
        r->count_rows =
            r->q->count && !r->view && r->plan.hint && only_a_type(r->q->query, &hints[0]);
        return OK;
    }
    return choose_values(r, hints, n, e);
}

/* --- evaluation --- */

/* Does the row match, as it shows? *stored is its tree, NULL when the caller knows the types. */
static enum err evaluate(struct run *r, struct entity_row *row, const struct json **stored,
                         bool *hit, struct error *e)
{
    const struct entity_query *q = r->q->query;
    bool types_only = !q->id_pattern && !q->n_attrs && !q->q && !q->scope && !q->geo;
    if (r->q->types_of && types_only) {
        const struct json *types = r->q->types_of(r->ctx, row, &r->row);
        *hit = types && (!q->types || query_types_hold(q->types, types));
        if (types)
            return OK;
    }
    const struct json *whole = json_parse(&r->row, row->doc, &JSON_DEFAULT, e);
    if (!whole)
        return error_set(e, ERR_CORRUPT, "entity row %lld holds no JSON", (long long)row->eid);
    *stored = access_see(r->view, &r->row, whole);
    if (!*stored)
        return OK;
    row->partial = *stored != whole;
    if (row->partial)
        row->doc = json_to_text(&r->row, *stored);
    return query_holds(q, *stored, hit, e);
}

static enum err consider(struct run *r, struct entity_row *row, struct error *e)
{
    arena_reset(&r->row);
    if (!row->doc.p)
        return OK;
    const struct json *stored = NULL;
    bool hit = false;
    enum err err = evaluate(r, row, &stored, &hit, e);
    if (err || !hit)
        return err;
    r->result->count++;
    if (r->skipped < r->q->offset) {
        r->skipped++;
    } else if (r->given < r->q->limit) {
        r->given++;
        r->result->last = row->eid;
        if (!r->each(r->ctx, row, stored))
            r->stop = true;
    } else {
        r->result->more = true;
        if (!r->q->count || r->count_rows)
            r->stop = true;
    }
    return OK;
}

static enum err check_deadline(const struct repo_query *q, struct error *e)
{
    if (q->deadline && clock_steady(q->clock) > q->deadline)
        return error_set(e, ERR_TOO_COMPLEX, "the query takes longer than the time limit");
    return OK;
}

/* The next rows of the list, each once; unused places repeat the last. */
static size_t take_ids(eid_list *list, struct store_value values[LIST_CHUNK])
{
    size_t n = 0;
    while (n < LIST_CHUNK && list->n) {
        int64_t eid = pop_least(list);
        while (list->n && list->v[0] == eid)
            pop_least(list);
        values[n++] = SV_INT(eid);
    }
    for (size_t i = n; n && i < LIST_CHUNK; i++)
        values[i] = values[n - 1];
    return n;
}

static enum err consider_rows(struct run *r, struct store_rows *rows, int64_t *seen, int64_t *last,
                              struct error *e)
{
    enum err err = OK;
    while (!err && !r->stop && store_next(rows)) {
        struct entity_row row = {.eid = store_int(rows, 0),
                                 .id = store_text(rows, 1),
                                 .doc = store_text(rows, 2),
                                 .version = store_int(rows, 3)};
        ++*seen;
        *last = row.eid;
        err = consider(r, &row, e);
    }
    enum err end = store_end(rows, err ? NULL : e);
    if (!err)
        err = end;
    return err ? err : check_deadline(r->q, e);
}

static enum err run_list(struct run *r, struct error *e)
{
    struct store_value values[LIST_CHUNK];
    enum err err = OK;
    while (!err && !r->stop && take_ids(&r->plan.list, values)) {
        struct store_rows rows;
        int64_t seen = 0, last;
        store_query(r->c, &rows,
                    "SELECT eid, id, doc, version FROM entity WHERE eid IN ($1, $2, $3, $4, $5, $6,"
                    " $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) ORDER BY eid",
                    values, LIST_CHUNK);
        err = consider_rows(r, &rows, &seen, &last, e);
    }
    return err;
}

static enum err run_walk(struct run *r, struct error *e)
{
    int64_t after = r->q->after, chunk = CHUNK_FIRST;
    enum err err = OK;
    while (!err && !r->stop) {
        struct store_rows rows;
        int64_t seen = 0;
        walk_start(r, &rows, after, chunk);
        err = consider_rows(r, &rows, &seen, &after, e);
        if (seen < chunk)
            break;
        chunk = chunk * 2 > CHUNK_MAX ? CHUNK_MAX : chunk * 2;
    }
    return err;
}

enum err repo_query(struct store_conn *c, const struct repo_query *q,
                    bool (*each)(void *ctx, const struct entity_row *row,
                                 const struct json *stored),
                    void *ctx, struct repo_result *result, struct error *e)
{
    struct error local;
    struct run r = {
        .c = c, .q = q, .each = each, .ctx = ctx, .result = result, .view = access_of(c)};
    *result = (struct repo_result){0};
    if (!e)
        e = &local;
    enum err err = q->query->n_ids ? list_ids(&r, e) : choose(&r, e);
    if (!err)
        err = r.plan.listed ? run_list(&r, e) : run_walk(&r, e);
    if (!err && r.count_rows)
        err = count_type(&r, e);
    arena_release(&r.row);
    arena_release(&r.arena);
    return err;
}
