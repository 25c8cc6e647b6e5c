/*
 * Following the journal to know when each source last reported, and saying so when it does not.
 *
 * Invariants:
 *
 *   1. Sources are read from their entities; nothing about them is kept elsewhere. An entity of
 * type DataSource that changes (by others than us) makes its tenant's sources be read again.
 *   2. What we write carries ACTOR in the journal and is skipped when the journal is read.
 *   3. A source changes state only in judge(); whoever changes it writes status and alert.
 *
 * States of a source:
 *
 *   state         meaning                               leaves by
 *   FRESH_SILENT  no covered entity ever changed        a report -> OK; promise + age -> alert,
 * stays FRESH_OK      last report within the interval       interval passed -> STALE, alert made
 *   FRESH_STALE   last report longer ago                a report -> OK, alert ended
 *
 * The lock guards the list of sources; it is never held while the store is asked.
 */
#include "link/freshness.h"
#include "core/datetime.h"
#include "core/log.h"
#include "core/regex.h"
#include "keys.h"
#include "link/ops.h"
#include "repo_index.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SOURCE_TYPE LD_DEFAULT_PREFIX "DataSource"
#define ATTR(name)  S(LD_DEFAULT_PREFIX name)
#define ACTOR       S("marugoto:freshness")

enum { JOB_MS = 1000, JOURNAL_ROWS = 2000, PUBLISH_US = 60 * 1000000, TENANTS_MAX = 4096 };

struct source {
    struct arena arena; /* its texts */
    int64_t tenant;
    struct str id, name, type;
    struct regex *pattern; /* of covered ids, or NULL */
    int64_t interval, made;
    int64_t last, since; /* newest report; stale since */
    enum fresh_state state;
    int64_t published;     /* lastUpdate as its entity has it */
    enum fresh_state told; /* status as its entity has it; STALE: an alert is open */
};

struct tenant {
    int64_t n;
    struct str name;
    int64_t cursor;  /* journal rows up to here are counted */
    bool stale_list; /* sources must be read again */
};

struct freshness {
    struct link *link;
    pthread_mutex_t lock;
    struct source **sources;
    size_t n, cap;
    struct tenant *tenants; /* of the job only */
    size_t n_tenants;
};

/* --- sources from entities --- */

static void source_free(struct source *s)
{
    if (!s)
        return;
    regex_free(s->pattern);
    arena_release(&s->arena);
    free(s);
}

static const struct json *value_of(const struct json *stored, struct str iri)
{
    return instance_value(instance_default(entity_attr(stored, iri)));
}

static int64_t instant_of(const struct json *v)
{
    int64_t t = 0;
    struct str text = json_text(json_is(v, JSON_OBJECT) ? json_get(v, S("@value")) : v);
    return text.p && datetime_parse(text, &t) ? t : 0;
}

static const char *const state_names[] = {[FRESH_UNKNOWN] = "unknown",
                                          [FRESH_OK] = "fresh",
                                          [FRESH_STALE] = "stale",
                                          [FRESH_SILENT] = "silent"};

static enum fresh_state state_by_name(struct str name)
{
    for (int i = FRESH_OK; i <= FRESH_SILENT; i++)
        if (str_eq(name, str_c(state_names[i])))
            return (enum fresh_state)i;
    return FRESH_UNKNOWN;
}

/* NULL when the entity makes no promise that can be watched. */
static struct source *source_of(int64_t tenant, const struct json *stored)
{
    struct duration d;
    struct error e;
    const struct json *covers = value_of(stored, ATTR("covers"));
    struct str type = json_text(json_get(covers, S("type")));
    struct str pattern = json_text(json_get(covers, S("idPattern")));
    if (!type.n || !duration_parse(json_text(value_of(stored, ATTR("updateInterval"))), &d))
        return NULL;
    struct source *s = calloc(1, sizeof(*s));
    if (!s)
        abort();
    s->tenant = tenant;
    s->id = str_dup(&s->arena, entity_id(stored));
    s->name = str_dup(&s->arena, json_text(value_of(stored, ATTR("name"))));
    s->type = str_dup(&s->arena, ld_expand(ld_core(), &s->arena, type));
    s->interval = duration_add(0, &d);
    s->made = instant_of(json_get(stored, S("createdAt")));
    s->published = instant_of(value_of(stored, ATTR("lastUpdate")));
    s->told = state_by_name(json_text(value_of(stored, ATTR("status"))));
    s->state = FRESH_SILENT;
    if (pattern.p && !(s->pattern = regex_new(pattern, &e))) {
        log_event(LOG_WARN, "freshness.bad_pattern", LOG_S("source", s->id));
        source_free(s);
        return NULL;
    }
    return s;
}

static bool covers(const struct source *s, struct str id, const struct json *types)
{
    bool hit = !s->pattern;
    for (uint32_t i = 0; types && i < types->n; i++)
        if (str_eq(json_text(&types->items[i]), s->type))
            return hit || (regex_match(s->pattern, id, &hit) == OK && hit);
    return false;
}

/* Newest change of the entities that a source covers, asked of the store once when it is read. */
static int64_t newest_change(struct store_conn *c, const struct source *s)
{
    int64_t newest = 0, k = key_of(s->tenant, KEY_TYPE, s->type);
    struct store_rows r;
    if (!s->pattern) {
        store_query(c, &r,
                    "SELECT max(e.modified) FROM entity_key x JOIN entity e ON e.eid = x.eid"
                    " WHERE x.k = $1",
                    SV(SV_INT(k)));
        if (store_next(&r) && !store_is_null(&r, 0))
            newest = store_int(&r, 0);
    } else {
        store_query(c, &r,
                    "SELECT e.modified, e.id FROM entity_key x JOIN entity e ON e.eid = x.eid"
                    " WHERE x.k = $1",
                    SV(SV_INT(k)));
        while (store_next(&r)) {
            bool hit = false;
            if (regex_match(s->pattern, store_text(&r, 1), &hit) == OK && hit &&
                store_int(&r, 0) > newest)
                newest = store_int(&r, 0);
        }
    }
    return store_end(&r, NULL) ? 0 : newest;
}

struct reading {
    struct source **list;
    size_t n, cap;
    int64_t tenant;
};

static bool take_source(void *ctx, const struct entity_row *row, const struct json *stored)
{
    struct reading *r = ctx;
    struct source *s = source_of(r->tenant, stored);
    (void)row;
    if (!s)
        return true;
    if (r->n == r->cap) {
        r->cap = r->cap ? r->cap * 2 : 16;
        r->list = realloc(r->list, r->cap * sizeof(*r->list));
        if (!r->list)
            abort();
    }
    r->list[r->n++] = s;
    return true;
}

/* Put the sources just read in place of the tenant's old ones. */
static void replace_sources(struct freshness *f, struct reading *r)
{
    pthread_mutex_lock(&f->lock);
    size_t kept = 0;
    for (size_t i = 0; i < f->n; i++) {
        if (f->sources[i]->tenant == r->tenant)
            source_free(f->sources[i]);
        else
            f->sources[kept++] = f->sources[i];
    }
    if (kept + r->n > f->cap) {
        f->cap = kept + r->n;
        f->sources = realloc(f->sources, f->cap * sizeof(*f->sources));
        if (!f->sources)
            abort();
    }
    for (size_t i = 0; i < r->n; i++)
        f->sources[kept++] = r->list[i];
    f->n = kept;
    pthread_mutex_unlock(&f->lock);
    free(r->list);
}

static enum err read_sources(struct freshness *f, struct store_conn *c, struct tenant *t,
                             struct error *e)
{
    struct arena a = ARENA_INIT;
    struct reading r = {.tenant = t->n};
    struct repo_result result;
    struct entity_query q = {
        .types = query_parse_types(&a, S(SOURCE_TYPE), ld_core(), &QUERY_DEFAULT, e)};
    struct repo_query rq = {.query = &q,
                            .tenant = t->n,
                            .limit = UINT64_MAX,
                            .clock = f->link->clock};
    enum err err = q.types ? repo_query(c, &rq, take_source, &r, &result, e) : e->code;
    for (size_t i = 0; !err && i < r.n; i++)
        r.list[i]->last = newest_change(c, r.list[i]);
    arena_release(&a);
    if (err) {
        for (size_t i = 0; i < r.n; i++)
            source_free(r.list[i]);
        free(r.list);
        return err;
    }
    replace_sources(f, &r);
    t->stale_list = false;
    return OK;
}

/* --- following the journal --- */

struct following {
    struct freshness *f;
    struct tenant *t;
    size_t rows;
};

static bool follow_row(void *ctx, const struct journal_row *row)
{
    struct following *w = ctx;
    w->rows++;
    w->t->cursor = row->seq;
    if (!str_eq(row->topic, S("entity")) || str_eq(row->actor, ACTOR))
        return true;
    struct arena a = ARENA_INIT;
    struct entity_event ev;
    if (entity_event_parse(&a, row->body, &ev, NULL) == OK) {
        if (entity_has_type(ev.doc, S(SOURCE_TYPE)))
            w->t->stale_list = true;
        pthread_mutex_lock(&w->f->lock);
        for (size_t i = 0; i < w->f->n; i++) {
            struct source *s = w->f->sources[i];
            if (s->tenant == w->t->n && row->at > s->last &&
                covers(s, row->key, entity_types(ev.doc)))
                s->last = row->at;
        }
        pthread_mutex_unlock(&w->f->lock);
    }
    arena_release(&a);
    return true;
}

/* Count what was written since the last time; rows that were trimmed meanwhile are made up for by
 * reading the sources afresh. */
static enum err follow(struct freshness *f, struct store_conn *c, struct tenant *t, struct error *e)
{
    struct following w = {f, t, 0};
    do {
        w.rows = 0;
        enum err err = journal_read(c, t->n, t->cursor, JOURNAL_ROWS, follow_row, &w, e);
        if (err == ERR_NOT_FOUND) {
            int64_t oldest;
            t->stale_list = true;
            err = journal_range(c, t->n, &oldest, &t->cursor, e);
        }
        if (err)
            return err;
    } while (w.rows == JOURNAL_ROWS);
    return OK;
}

/* --- telling --- */

/* A change that judge() found, written after the lock was given back. */
struct verdict {
    struct str id, name;
    int64_t last, since;
    enum fresh_state state;
    bool alarm, clear; /* make or end the alert */
};

static void write_property(struct json_writer *w, struct str iri, struct str text)
{
    json_w_key(w, iri);
    json_w_object(w);
    json_w_kstr(w, S("type"), S("Property"));
    json_w_kstr(w, S("value"), text);
    json_w_end(w);
}

static const struct json *stored_form(struct arena *a, const struct buf *b, enum entity_in mode)
{
    const struct json *in = json_parse(a, buf_dup(b, a), &JSON_DEFAULT, NULL);
    return in ? entity_expand(a, in, mode, false, ld_core(), NULL) : NULL;
}

static struct op source_op(struct arena *a, const struct verdict *v)
{
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    json_w_object(&w);
    write_property(&w, ATTR("status"), str_c(state_names[v->state]));
    if (v->last)
        write_property(&w, ATTR("lastUpdate"), datetime_text(a, v->last));
    json_w_end(&w);
    struct op op = {.kind = OP_APPEND, .id = v->id, .input = stored_form(a, &b, ENTITY_FRAGMENT)};
    buf_release(&b);
    return op;
}

/* The alert of a source keeps its id: it is made, ended, and made anew. Names are those of the
 * Smart Data Model "Alert". */
static struct op alert_op(struct arena *a, const struct verdict *v, int64_t now)
{
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    ptrdiff_t last_colon = -1;
    for (size_t i = 0; i < v->id.n; i++)
        if (v->id.p[i] == ':')
            last_colon = (ptrdiff_t)i;
    struct str id = str_printf(a, "urn:ngsi-ld:Alert:stale:%" STR_F,
                               STR_A(str_from(v->id, (size_t)(last_colon + 1))));
    json_w_object(&w);
    json_w_kstr(&w, S("id"), id);
    json_w_kstr(&w, S("type"), S(LD_DEFAULT_PREFIX "Alert"));
    write_property(&w, ATTR("category"), S("dataSource"));
    write_property(&w, ATTR("subCategory"), S("stale"));
    write_property(&w, ATTR("severity"), S("medium"));
    write_property(&w, ATTR("name"), v->name);
    write_property(&w, ATTR("status"), v->alarm ? S("active") : S("ended"));
    if (v->alarm) {
        write_property(&w, ATTR("dateIssued"), datetime_text(a, now));
        write_property(&w, ATTR("validFrom"), datetime_text(a, v->since));
    } else {
        write_property(&w, ATTR("validTo"), datetime_text(a, now));
    }
    json_w_key(&w, ATTR("source"));
    json_w_object(&w);
    json_w_kstr(&w, S("type"), S("Relationship"));
    json_w_kstr(&w, S("object"), v->id);
    json_w_end(&w);
    json_w_end(&w);
    struct op op = {.kind = v->alarm ? OP_UPSERT : OP_APPEND,
                    .id = id,
                    .input = stored_form(a, &b, v->alarm ? ENTITY_WHOLE : ENTITY_FRAGMENT)};
    buf_release(&b);
    return op;
}

static void tell(struct freshness *f, struct arena *a, const struct tenant *t,
                 const struct verdict *v, int64_t now)
{
    struct op ops[2] = {source_op(a, v)};
    size_t n = 1;
    struct error e = {0};
    if (v->alarm || v->clear)
        ops[n++] = alert_op(a, v, now);
    struct ops o = {.arena = a, .tenant = t->name, .actor = ACTOR, .ops = ops, .n = n};
    if (ops_run(f->link, &o, &e))
        log_event(LOG_WARN, "freshness.write_failed", LOG_Z("error", e.text));
    if (v->alarm || v->clear)
        log_event(LOG_INFO, v->alarm ? "freshness.stale" : "freshness.back",
                  LOG_S("source", v->id));
}

/* What the clock says about a source; true when something must be written. */
static bool judge(struct source *s, int64_t now, struct verdict *v, struct arena *a)
{
    int64_t promised = (s->last ? s->last : s->made) + s->interval;
    s->state = now > promised ? FRESH_STALE : s->last ? FRESH_OK : FRESH_SILENT;
    s->since = s->state == FRESH_STALE ? promised : 0;
    if (s->state == s->told && s->last <= s->published + PUBLISH_US)
        return false;
    *v = (struct verdict){.id = str_dup(a, s->id),
                          .name = str_dup(a, s->name),
                          .last = s->last,
                          .since = s->since,
                          .state = s->state,
                          .alarm = s->state == FRESH_STALE && s->told != FRESH_STALE,
                          .clear = s->state != FRESH_STALE && s->told == FRESH_STALE};
    s->told = s->state;
    s->published = s->last;
    return true;
}

static void judge_tenant(struct freshness *f, const struct tenant *t)
{
    struct arena a = ARENA_INIT;
    VEC(struct verdict) verdicts = VEC_INIT;
    int64_t now = clock_now(f->link->clock);
    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < f->n; i++) {
        struct verdict v;
        if (f->sources[i]->tenant == t->n && judge(f->sources[i], now, &v, &a))
            *vec_push(&a, &verdicts) = v;
    }
    pthread_mutex_unlock(&f->lock);
    for (size_t i = 0; i < verdicts.n; i++)
        tell(f, &a, t, &verdicts.v[i], now);
    arena_release(&a);
}

/* --- the job --- */

static bool take_tenant(void *ctx, int64_t n, struct str name)
{
    struct freshness *f = ctx;
    for (size_t i = 0; i < f->n_tenants; i++)
        if (f->tenants[i].n == n)
            return true;
    if (f->n_tenants == TENANTS_MAX)
        return false;
    f->tenants = realloc(f->tenants, (f->n_tenants + 1) * sizeof(*f->tenants));
    char *copy = malloc(name.n + 1);
    if (!f->tenants || !copy)
        abort();
    memcpy(copy, name.n ? name.p : "", name.n);
    f->tenants[f->n_tenants++] =
        (struct tenant){.n = n, .name = {copy, name.n}, .cursor = -1, .stale_list = true};
    return true;
}

static enum err look(struct freshness *f, struct store_conn *c, struct tenant *t, struct error *e)
{
    enum err err = OK;
    int64_t oldest;
    if (t->cursor < 0) /* first time: the sources are read at this position */
        err = journal_range(c, t->n, &oldest, &t->cursor, e);
    if (!err)
        err = follow(f, c, t, e);
    if (!err && t->stale_list)
        err = read_sources(f, c, t, e);
    return err;
}

static void job(void *ctx)
{
    struct freshness *f = ctx;
    struct error e = {0};
    struct store_conn *c = store_read(f->link->store, &e);
    if (!c)
        return;
    enum err err = repo_tenants(c, take_tenant, f, &e);
    for (size_t i = 0; !err && i < f->n_tenants; i++)
        err = look(f, c, &f->tenants[i], &e);
    store_read_done(c);
    if (err) {
        log_event(LOG_WARN, "freshness.read_failed", LOG_Z("error", e.text));
        return;
    }
    for (size_t i = 0; i < f->n_tenants; i++)
        judge_tenant(f, &f->tenants[i]);
}

struct freshness *freshness_new(struct link *l, struct error *e)
{
    struct freshness *f = calloc(1, sizeof(*f));
    (void)e;
    if (!f)
        abort();
    f->link = l;
    pthread_mutex_init(&f->lock, NULL);
    pool_every(l->pool, JOB_MS, job, f);
    return f;
}

void freshness_free(struct freshness *f)
{
    pool_never(f->link->pool, job, f);
    for (size_t i = 0; i < f->n; i++)
        source_free(f->sources[i]);
    for (size_t i = 0; i < f->n_tenants; i++)
        free((char *)f->tenants[i].name.p);
    free(f->sources);
    free(f->tenants);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

/* --- asking --- */

void freshness_each(struct freshness *f, int64_t tenant,
                    bool (*each)(void *ctx, const struct source_status *s), void *ctx)
{
    bool go_on = true;
    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; go_on && i < f->n; i++) {
        const struct source *s = f->sources[i];
        struct source_status status = {.id = s->id,
                                       .name = s->name,
                                       .type = s->type,
                                       .interval_us = s->interval,
                                       .last_update = s->last,
                                       .stale_since = s->since,
                                       .state = s->state};
        if (s->tenant == tenant)
            go_on = each(ctx, &status);
    }
    pthread_mutex_unlock(&f->lock);
}

enum fresh_state freshness_of(struct freshness *f, int64_t tenant, const struct json *stored,
                              int64_t *stale_since)
{
    enum fresh_state state = FRESH_UNKNOWN;
    int64_t modified = instant_of(json_get(stored, S("modifiedAt")));
    *stale_since = 0;
    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < f->n && state == FRESH_UNKNOWN; i++) {
        const struct source *s = f->sources[i];
        if (s->tenant != tenant || !covers(s, entity_id(stored), entity_types(stored)))
            continue;
        state = FRESH_OK;
        if (clock_now(f->link->clock) > modified + s->interval) {
            state = FRESH_STALE;
            *stale_since = modified + s->interval;
        }
    }
    pthread_mutex_unlock(&f->lock);
    return state;
}

struct listing {
    struct json_writer w;
    struct arena *arena;
};

static bool list_source(void *ctx, const struct source_status *s)
{
    struct listing *l = ctx;
    json_w_object(&l->w);
    json_w_kstr(&l->w, S("id"), s->id);
    json_w_kstr(&l->w, S("name"), s->name);
    json_w_kstr(&l->w, S("type"), s->type);
    json_w_ki64(&l->w, S("updateIntervalSeconds"), s->interval_us / SECOND_US);
    json_w_kstr(&l->w, S("status"), str_c(state_names[s->state]));
    if (s->last_update)
        json_w_kstr(&l->w, S("lastUpdate"), datetime_text(l->arena, s->last_update));
    if (s->stale_since)
        json_w_kstr(&l->w, S("staleSince"), datetime_text(l->arena, s->stale_since));
    json_w_end(&l->w);
    return true;
}

static enum http_answer get_sources(struct request *req, struct response *res, void *ctx)
{
    struct freshness *f = ctx;
    struct buf out = BUF_INIT;
    struct listing l = {json_writer(&out), req->arena};
    struct error e = {0};
    int64_t tenant;
    struct store_conn *c = store_read(f->link->store, &e);
    enum err err = c ? repo_tenant(c, request_header(req, "NGSILD-Tenant"), &tenant, &e) : e.code;
    if (c)
        store_read_done(c);
    if (err) {
        response_error(req, res, &e);
        return HTTP_DONE;
    }
    json_w_array(&l.w);
    freshness_each(f, tenant, list_source, &l);
    json_w_end(&l.w);
    response_body(req, res, 200, "application/json", buf_dup(&out, req->arena));
    buf_release(&out);
    return HTTP_DONE;
}

static const struct route routes[] = {
    {"GET", "/link/v1/sources", get_sources, ROUTE_PUBLIC_CORS},
};

void freshness_routes(struct freshness *f, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), f);
}
