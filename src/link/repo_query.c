/*
 * Finding entities. A plan is one index scan that gives candidate row numbers in order; each
 * candidate is loaded and evaluated exactly. The scan is asked for growing chunks, so that a page
 * of 20 reads little and a count of everything reads fast.
 *
 * Choosing: an explicit id list wins; else the condition whose index has the fewest rows, counted
 * up to PROBE_MAX; a condition with more rows than that loses to a walk in row order, which then
 * finds matches often enough.
 */
#include "core/clock.h"
#include "keys.h"
#include "link/repo.h"
#include "repo_index.h"
#include <stdlib.h>

enum {
    PROBE_MAX = 5000, /* index rows counted when choosing */
    CHUNK_FIRST = 64,
    CHUNK_MAX = 4096,
    NAMES_MAX = 4,   /* names in one type or attribute condition that an index scan takes */
    GEO_RANGES = 12, /* cell ranges of one geographic scan */
    GEO_ROOM = GEO_RANGES + 4 * GEO_CELL_LEVEL
};

/* Candidates in ascending order of eid, either listed or scanned in chunks. */
struct plan {
    bool listed;
    VEC(int64_t) list; /* listed */
    size_t at;
    const struct query_hint *hint; /* scanned; NULL: all entities of the tenant */
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
    bool stop;
};

/* --- lists of row numbers --- */

static int by_value(const void *x, const void *y)
{
    int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;
    return a < b ? -1 : a > b;
}

static void list_add(struct run *r, int64_t eid)
{
    if (eid > r->q->after)
        *vec_push(&r->arena, &r->plan.list) = eid;
}

static void list_finish(struct run *r)
{
    struct plan *p = &r->plan;
    if (p->list.n)
        qsort(p->list.v, p->list.n, sizeof(p->list.v[0]), by_value);
    size_t n = 0;
    for (size_t i = 0; i < p->list.n; i++)
        if (!n || p->list.v[n - 1] != p->list.v[i])
            p->list.v[n++] = p->list.v[i];
    p->list.n = n;
    p->listed = true;
}

static enum err list_ids(struct run *r, struct error *e)
{
    for (size_t i = 0; i < r->q->query->n_ids; i++) {
        int64_t eid;
        enum err err =
            store_get_int(r->c, &eid, "SELECT eid FROM entity WHERE tenant = $1 AND id = $2",
                          SV(SV_INT(r->q->tenant), SV_TEXT(r->q->query->ids[i])), e);
        if (err == OK)
            list_add(r, eid);
        else if (err != ERR_NOT_FOUND)
            return err;
    }
    list_finish(r);
    return OK;
}

static enum err list_cells(struct run *r, char kind, struct str name, struct geo_range range,
                           struct error *e)
{
    struct store_rows rows;
    store_query(r->c, &rows,
                "SELECT eid FROM entity_geo WHERE k = $1 AND cell BETWEEN $2 AND $3 LIMIT $4",
                SV(SV_INT(key_of(r->q->tenant, kind, name)), SV_INT(range.from), SV_INT(range.to),
                   SV_INT(PROBE_MAX * 4)));
    while (store_next(&rows))
        list_add(r, store_int(&rows, 0));
    return store_end(&rows, e);
}

/* All candidates of a geographic condition; *few is false when there are too many to list. */
static enum err list_geo(struct run *r, const struct query_hint *h, bool *few, struct error *e)
{
    struct geo_range ranges[GEO_ROOM];
    size_t n = geo_ranges(h->box, GEO_RANGES, ranges);
    struct str name = h->names[0];
    int64_t shapes = 0;
    enum err err = store_get_int(r->c, &shapes,
                                 "SELECT count(*) FROM (SELECT 1 FROM entity_geo WHERE k = $1"
                                 " LIMIT 1) x",
                                 SV(SV_INT(key_of(r->q->tenant, KEY_SHAPE, name))), e);
    for (size_t i = 0; err == OK && i < n && r->plan.list.n <= PROBE_MAX * 4; i++) {
        if (ranges[i].from != ranges[i].to || ranges[i].from & 1)
            err = list_cells(r, KEY_POINT, name, ranges[i], e);
        if (err == OK && shapes)
            err = list_cells(r, KEY_SHAPE, name, ranges[i], e);
    }
    if (err)
        return err;
    *few = r->plan.list.n <= PROBE_MAX * 4;
    if (*few)
        list_finish(r);
    else
        r->plan.list.n = 0;
    return OK;
}

/* --- scans --- */

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

/* The four name keys of a scan over entity_key; unused places repeat the first. */
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

/* Ask for the next candidates after `after`, with their rows. */
static bool scan_start(struct run *r, struct store_rows *rows, const struct query_hint *h,
                       int64_t after, int64_t chunk)
{
    int64_t k[NAMES_MAX];
    if (!h || h->kind == HINT_TYPE || h->kind == HINT_ATTR) {
        if (!name_keys(r, h, k))
            return false;
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
        return true;
    }
    struct str name = h->kind == HINT_SCOPE ? S("") : h->names[0];
    int64_t key = key_of(r->q->tenant, kind_of(h->kind), name);
    int64_t over = key_of(r->q->tenant, KEY_OVERFLOW, name);
    if (h->kind == HINT_TEXT || h->kind == HINT_SCOPE) {
        struct str from, to;
        text_bounds(r, h, &from, &to);
        store_query(r->c, rows,
                    "SELECT e.eid, e.id, e.doc, e.version FROM (SELECT eid FROM entity_text"
                    " WHERE k = $1 AND v >= $2 AND v <= $3 AND eid > $4 UNION"
                    " SELECT eid FROM entity_key WHERE k = $5 AND eid > $4 ORDER BY 1 LIMIT $6) x"
                    " JOIN entity e ON e.eid = x.eid ORDER BY x.eid",
                    SV(SV_INT(key), SV_TEXT(from), SV_TEXT(to), SV_INT(after), SV_INT(over),
                       SV_INT(chunk)));
    } else {
        store_query(r->c, rows,
                    "SELECT e.eid, e.id, e.doc, e.version FROM (SELECT eid FROM entity_num"
                    " WHERE k = $1 AND v >= $2 AND v <= $3 AND eid > $4 UNION"
                    " SELECT eid FROM entity_key WHERE k = $5 AND eid > $4 ORDER BY 1 LIMIT $6) x"
                    " JOIN entity e ON e.eid = x.eid ORDER BY x.eid",
                    SV(SV_INT(key), SV_REAL(h->from), SV_REAL(h->to), SV_INT(after), SV_INT(over),
                       SV_INT(chunk)));
    }
    return true;
}

/* Rows that a scan of the hint would see, counted up to PROBE_MAX + 1; -1: no scan possible. */
static enum err probe(struct run *r, const struct query_hint *h, int64_t *n, struct error *e)
{
    *n = -1;
    int64_t k[NAMES_MAX];
    switch (h->kind) {
    case HINT_TYPE:
    case HINT_ATTR:
        if (!name_keys(r, h, k))
            return OK;
        return store_get_int(r->c, n,
                             "SELECT count(*) FROM (SELECT 1 FROM entity_key WHERE k IN"
                             " ($1, $2, $3, $4) LIMIT $5) x",
                             SV(SV_INT(k[0]), SV_INT(k[1]), SV_INT(k[2]), SV_INT(k[3]),
                                SV_INT(PROBE_MAX + 1)),
                             e);
    case HINT_TEXT:
    case HINT_SCOPE: {
        struct str from, to;
        text_bounds(r, h, &from, &to);
        return store_get_int(
            r->c, n,
            "SELECT count(*) FROM (SELECT 1 FROM entity_text WHERE k = $1 AND v >= $2 AND"
            " v <= $3 LIMIT $4) x",
            SV(SV_INT(key_of(r->q->tenant, kind_of(h->kind),
                             h->kind == HINT_SCOPE ? S("") : h->names[0])),
               SV_TEXT(from), SV_TEXT(to), SV_INT(PROBE_MAX + 1)),
            e);
    }
    case HINT_NUM:
    case HINT_TIME:
    case HINT_BOOL:
        return store_get_int(
            r->c, n,
            "SELECT count(*) FROM (SELECT 1 FROM entity_num WHERE k = $1 AND v >= $2 AND"
            " v <= $3 LIMIT $4) x",
            SV(SV_INT(key_of(r->q->tenant, kind_of(h->kind), h->names[0])), SV_REAL(h->from),
               SV_REAL(h->to), SV_INT(PROBE_MAX + 1)),
            e);
    case HINT_GEO:
        break;
    }
    return OK;
}

static enum err choose(struct run *r, struct error *e)
{
    const struct query_hint *hints;
    size_t n = query_hints(&r->arena, r->q->query, &hints);
    for (size_t i = 0; i < n; i++) {
        bool few = false;
        if (hints[i].kind == HINT_GEO) {
            enum err err = list_geo(r, &hints[i], &few, e);
            if (err || few)
                return err;
        }
    }
    int64_t best = INT64_MAX;
    bool only_one = n == 1; /* nothing to compare with */
    for (size_t i = 0; i < n; i++) {
        int64_t rows = 0;
        if (hints[i].kind == HINT_GEO)
            continue;
        bool ordered = hints[i].kind == HINT_TYPE || hints[i].kind == HINT_ATTR;
        if (only_one && ordered && hints[i].n_names == 1) {
            r->plan.hint = &hints[i];
            break;
        }
        enum err err = probe(r, &hints[i], &rows, e);
        if (err)
            return err;
        if (rows < 0 || (rows > PROBE_MAX && !ordered))
            continue;
        if (rows < best) {
            best = rows;
            r->plan.hint = &hints[i];
        }
    }
    return OK;
}

/* --- evaluation --- */

static enum err consider(struct run *r, const struct entity_row *row, struct error *e)
{
    arena_reset(&r->row);
    if (!row->doc.p)
        return OK;
    const struct json *stored = json_parse(&r->row, row->doc, &JSON_DEFAULT, e);
    if (!stored)
        return error_set(e, ERR_CORRUPT, "entity row %lld holds no JSON", (long long)row->eid);
    bool hit = false;
    enum err err = query_holds(r->q->query, stored, &hit, e);
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
        if (!r->q->count)
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

static enum err run_list(struct run *r, struct error *e)
{
    for (size_t i = 0; i < r->plan.list.n && !r->stop; i++) {
        struct store_rows rows;
        store_query(r->c, &rows, "SELECT id, doc, version FROM entity WHERE eid = $1",
                    SV(SV_INT(r->plan.list.v[i])));
        enum err err = OK;
        if (store_next(&rows)) {
            struct entity_row row = {r->plan.list.v[i], store_text(&rows, 0), store_text(&rows, 1),
                                     store_int(&rows, 2)};
            err = consider(r, &row, e);
        }
        enum err end = store_end(&rows, err ? NULL : e);
        if (!err)
            err = end;
        if (!err && i % 256 == 255)
            err = check_deadline(r->q, e);
        if (err)
            return err;
    }
    return OK;
}

static enum err run_scan(struct run *r, struct error *e)
{
    int64_t after = r->q->after;
    int64_t chunk = CHUNK_FIRST;
    while (!r->stop) {
        struct store_rows rows;
        if (!scan_start(r, &rows, r->plan.hint, after, chunk))
            return error_set(e, ERR_INTERNAL, "no index scan for the chosen condition");
        int64_t seen = 0;
        enum err err = OK;
        while (!err && !r->stop && store_next(&rows)) {
            struct entity_row row = {store_int(&rows, 0), store_text(&rows, 1),
                                     store_text(&rows, 2), store_int(&rows, 3)};
            seen++;
            after = row.eid;
            err = consider(r, &row, e);
        }
        enum err end = store_end(&rows, err ? NULL : e);
        if (!err)
            err = end;
        if (!err)
            err = check_deadline(r->q, e);
        if (err)
            return err;
        if (seen < chunk)
            break;
        chunk = chunk * 2 > CHUNK_MAX ? CHUNK_MAX : chunk * 2;
    }
    return OK;
}

enum err repo_query(struct store_conn *c, const struct repo_query *q,
                    bool (*each)(void *ctx, const struct entity_row *row,
                                 const struct json *stored),
                    void *ctx, struct repo_result *result, struct error *e)
{
    struct error local;
    struct run r = {.c = c, .q = q, .each = each, .ctx = ctx, .result = result};
    *result = (struct repo_result){0};
    if (!e)
        e = &local;
    enum err err = q->query->n_ids ? list_ids(&r, e) : choose(&r, e);
    if (!err)
        err = r.plan.listed ? run_list(&r, e) : run_scan(&r, e);
    arena_release(&r.row);
    arena_release(&r.arena);
    return err;
}
