/*
 * Who should report how often, and what went stale.
 *
 * Sources are read from the entities once; from then on the journal tells of new ones and of every
 * change of a covered entity, so a round costs what was changed and not what there is. Alerts are
 * read like sources: which one is open is what the entities say, whoever opened it. Of several
 * processes on one store all know what is stale, and one has the duty to say it.
 */
#include "link/freshness.h"
#include "core/log.h"
#include "core/metrics.h"
#include "core/regex.h"
#include "keys.h"
#include "link/ops.h"
#include "repo_index.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { ROUND_MS = 1000, CHUNK_ROWS = 500, NOTE_US = 60000000 };

static struct metric stale_sources =
    METRIC_GAUGE("marugoto_link_stale_sources", "sources that are stale or silent too long");

struct source {
    struct source *next;
    struct arena arena;
    int64_t tenant;
    struct str id, name, type;
    struct str pattern_text;
    struct regex *pattern; /* NULL: all of the type */
    int64_t interval_us;
    int64_t declared;    /* instant */
    int64_t last_update; /* instant, 0: never */
    int64_t noted;       /* lastUpdate as written in the entity */
    int64_t stale_since; /* instant, 0: not stale */
    int64_t alerted;     /* stale_since of the open alert, its seconds; 0: none */
    struct str status;   /* as written in the entity */
    bool counted;        /* last_update is known */
};

struct followed {
    struct followed *next;
    int64_t tenant, pos; /* -1: to be read from the entities */
    struct str name;     /* behind the struct */
};

struct freshness {
    struct link *link;
    pthread_mutex_t lock; /* sources */
    bool periodic;
    struct source *sources;
    struct followed *tenants; /* the round's own: there is one at a time */
};

static struct str term(struct arena *a, const char *name)
{
    return ld_expand(ld_core(), a, str_c(name));
}

/* --- sources --- */

static void source_free(struct source *s)
{
    regex_free(s->pattern);
    arena_release(&s->arena);
    free(s);
}

static const struct json *value_of(const struct json *doc, struct arena *a, const char *name)
{
    return instance_value(instance_default(entity_attr(doc, term(a, name))));
}

static int64_t instant_of(const struct json *v)
{
    int64_t at = 0;
    const struct json *typed = json_get(v, S("@value"));
    return datetime_parse(json_text(typed ? typed : v), &at) ? at : 0;
}

/* A source from its entity; NULL when it promises nothing that can be compared. */
static struct source *source_of(int64_t tenant, const struct json *doc)
{
    struct duration d;
    struct error e = {0};
    struct source *s = calloc(1, sizeof(*s));
    if (!s)
        abort();
    struct arena *a = &s->arena;
    const struct json *covers = value_of(doc, a, "covers");
    struct str type = json_text(json_get(covers, S("type")));
    struct str pattern = json_text(json_get(covers, S("idPattern")));
    struct str name = json_text(value_of(doc, a, "name"));
    bool good = type.n && duration_parse(json_text(value_of(doc, a, "updateInterval")), &d);
    s->interval_us = good ? duration_add(0, &d) : 0;
    if (s->interval_us > 0 && pattern.n)
        good = (s->pattern = regex_new(pattern, &e)) != NULL;
    if (s->interval_us <= 0 || !good) {
        source_free(s);
        return NULL;
    }
    s->tenant = tenant;
    s->id = str_dup(a, entity_id(doc));
    s->name = name.p ? str_dup(a, name) : STR_NONE;
    s->pattern_text = str_dup(a, pattern);
    s->type = str_dup(a, ld_expand(ld_core(), a, type));
    s->status = str_dup(a, json_text(value_of(doc, a, "status")));
    s->noted = instant_of(value_of(doc, a, "lastUpdate"));
    s->declared = instant_of(json_get(doc, S("createdAt")));
    return s;
}

static struct source **find(struct freshness *f, int64_t tenant, struct str id)
{
    struct source **at = &f->sources;
    while (*at && ((*at)->tenant != tenant || !str_eq((*at)->id, id)))
        at = &(*at)->next;
    return at;
}

/* Do both cover the same entities? */
static bool same_cover(const struct source *a, const struct source *b)
{
    return str_eq(a->type, b->type) && str_eq(a->pattern_text, b->pattern_text);
}

/* Put a source in the place of what was known of it. Under the lock. */
static void put_source(struct freshness *f, int64_t tenant, struct str id, struct source *s)
{
    struct source **at = find(f, tenant, id), *old = *at;
    if (old) {
        *at = old->next;
        if (s) {
            s->alerted = old->alerted;
            s->stale_since = old->stale_since;
            s->counted = old->counted && same_cover(s, old);
            s->last_update = s->counted ? old->last_update : 0;
        }
        source_free(old);
    }
    if (!s)
        return;
    s->next = f->sources;
    f->sources = s;
}

static bool covers(const struct source *s, const struct json *doc)
{
    bool hit = entity_has_type(doc, s->type);
    if (hit && s->pattern && regex_match(s->pattern, entity_id(doc), &hit))
        hit = false;
    return hit;
}

/* --- following the journal --- */

struct reading {
    struct freshness *f;
    struct arena arena;
    int64_t tenant, pos;
    size_t n;
    struct str source_type, alert_type;
};

/* An alert that was opened, or closed: at the source that it is about. Under the lock. */
static void note_alert(struct reading *r, const struct json *doc, bool gone)
{
    struct arena *a = &r->arena;
    const struct json *source = instance_default(entity_attr(doc, term(a, "source")));
    int64_t since = instant_of(value_of(doc, a, "validFrom"));
    bool open = !gone && !entity_attr(doc, term(a, "validTo"));
    if (!str_eq(json_text(value_of(doc, a, "subCategory")), S("stale")))
        return;
    struct source *s = *find(r->f, r->tenant, json_text(json_get(source, S("object"))));
    if (s && open)
        s->alerted = since;
    else if (s && s->alerted / SECOND_US == since / SECOND_US)
        s->alerted = 0;
}

static bool take_row(void *ctx, const struct journal_row *row)
{
    struct reading *r = ctx;
    struct entity_event ev;
    struct error e;
    r->pos = row->seq;
    r->n++;
    if (!str_eq(row->topic, S("entity")) || entity_event_parse(&r->arena, row->body, &ev, &e)) {
        arena_reset(&r->arena);
        return true;
    }
    bool gone = ev.op == EVENT_DELETED;
    pthread_mutex_lock(&r->f->lock);
    if (entity_has_type(ev.doc, r->source_type))
        put_source(r->f, r->tenant, entity_id(ev.doc), gone ? NULL : source_of(r->tenant, ev.doc));
    if (entity_has_type(ev.doc, r->alert_type))
        note_alert(r, ev.doc, gone);
    for (struct source *s = r->f->sources; s && !gone; s = s->next)
        if (s->tenant == r->tenant && row->at > s->last_update && covers(s, ev.doc))
            s->last_update = row->at;
    pthread_mutex_unlock(&r->f->lock);
    arena_reset(&r->arena);
    return true;
}

static bool take_entity(void *ctx, const struct entity_row *row, const struct json *stored)
{
    struct reading *r = ctx;
    (void)row;
    pthread_mutex_lock(&r->f->lock);
    put_source(r->f, r->tenant, entity_id(stored), source_of(r->tenant, stored));
    pthread_mutex_unlock(&r->f->lock);
    return true;
}

static bool take_alert(void *ctx, const struct entity_row *row, const struct json *stored)
{
    struct reading *r = ctx;
    (void)row;
    pthread_mutex_lock(&r->f->lock);
    note_alert(r, stored, false);
    pthread_mutex_unlock(&r->f->lock);
    return true;
}

static enum err
read_type(struct freshness *f, struct store_conn *c, struct reading *r, struct str type,
          bool (*take)(void *ctx, const struct entity_row *row, const struct json *stored),
          struct error *e)
{
    struct repo_result result;
    struct arena a = ARENA_INIT;
    const struct type_node *types = query_parse_types(&a, type, ld_core(), &QUERY_DEFAULT, e);
    struct entity_query q = {.types = types};
    struct repo_query rq = {.query = &q,
                            .tenant = r->tenant,
                            .limit = UINT64_MAX / 2,
                            .clock = f->link->clock};
    enum err err = types ? repo_query(c, &rq, take, r, &result, e) : e->code;
    arena_release(&a);
    return err;
}

static void forget_alerts(struct freshness *f, int64_t tenant)
{
    for (struct source *s = f->sources; s; s = s->next)
        if (s->tenant == tenant)
            s->alerted = 0;
}

/* All sources of a tenant, as of the newest journal row. */
static enum err read_sources(struct freshness *f, struct followed *t, struct store_conn *c,
                             struct reading *r, struct error *e)
{
    int64_t oldest, newest;
    forget_alerts(f, t->tenant);
    if (journal_range(c, t->tenant, &oldest, &newest, e) ||
        read_type(f, c, r, r->source_type, take_entity, e) ||
        read_type(f, c, r, r->alert_type, take_alert, e))
        return e->code;
    r->pos = newest;
    return OK;
}

/* Newest change of what a source covers, from the entities. */
static enum err count_source(struct store_conn *c, const struct source *s, int64_t *newest,
                             struct error *e)
{
    struct store_rows r;
    *newest = 0;
    if (!s->pattern)
        store_query(c, &r,
                    "SELECT COALESCE(MAX(e.modified), 0), '' FROM entity_key k JOIN entity e"
                    " ON e.eid = k.eid WHERE k.k = $1",
                    SV(SV_INT(key_of(s->tenant, KEY_TYPE, s->type))));
    else
        store_query(c, &r,
                    "SELECT e.modified, e.id FROM entity_key k JOIN entity e ON e.eid = k.eid"
                    " WHERE k.k = $1",
                    SV(SV_INT(key_of(s->tenant, KEY_TYPE, s->type))));
    while (store_next(&r)) {
        bool hit = true;
        if (s->pattern && regex_match(s->pattern, store_text(&r, 1), &hit))
            hit = false;
        if (hit && store_int(&r, 0) > *newest)
            *newest = store_int(&r, 0);
    }
    return store_end(&r, e);
}

/* Only a round takes sources out of the list, so they stay while it looks without the lock. */
static enum err count_sources(struct freshness *f, struct store_conn *c, struct error *e)
{
    enum err err = OK;
    for (struct source *s = f->sources; s && !err; s = s->next) {
        int64_t newest;
        if (s->counted)
            continue;
        err = count_source(c, s, &newest, e);
        pthread_mutex_lock(&f->lock);
        if (!err && newest > s->last_update)
            s->last_update = newest;
        s->counted = !err;
        pthread_mutex_unlock(&f->lock);
    }
    return err;
}

/* Without a source there is nothing to follow: what makes the first one stands in the journal
 * behind the row that is the newest now. */
static enum err has_sources(struct freshness *f, struct store_conn *c, struct reading *r, bool *any,
                            struct error *e)
{
    int64_t n = 0, oldest;
    *any = false;
    for (const struct source *s = f->sources; s && !*any; s = s->next)
        *any = s->tenant == r->tenant;
    if (*any)
        return OK;
    enum err err = store_get_int(c, &n,
                                 "SELECT count(*) FROM (SELECT 1 FROM entity_key WHERE k = $1"
                                 " LIMIT 1) x",
                                 SV(SV_INT(key_of(r->tenant, KEY_TYPE, r->source_type))), e);
    *any = n > 0;
    return err || *any ? err : journal_range(c, r->tenant, &oldest, &r->pos, e);
}

/* The reader is given back between chunks. */
static enum err follow(struct freshness *f, struct followed *t, struct error *e)
{
    enum err err = OK;
    struct reading r = {.f = f, .tenant = t->tenant, .pos = t->pos};
    struct arena names = ARENA_INIT;
    r.source_type = term(&names, "DataSource");
    r.alert_type = term(&names, "Alert");
    do {
        struct store_conn *c = store_read(f->link->store, e);
        r.n = 0;
        if (!c) {
            err = e->code;
            break;
        }
        bool any = true;
        if (t->pos >= 0)
            err = has_sources(f, c, &r, &any, e);
        if (t->pos >= 0 && !err && any)
            err = journal_read(c, t->tenant, t->pos, CHUNK_ROWS, take_row, &r, e);
        if (t->pos < 0 || err == ERR_NOT_FOUND)
            err = read_sources(f, t, c, &r, e);
        if (!err)
            err = count_sources(f, c, e);
        store_read_done(c);
        if (!err)
            t->pos = r.pos;
    } while (!err && r.n == CHUNK_ROWS);
    arena_release(&r.arena);
    arena_release(&names);
    return err;
}

static bool take_tenant(void *ctx, int64_t n, struct str name)
{
    struct freshness *f = ctx;
    for (struct followed *t = f->tenants; t; t = t->next)
        if (t->tenant == n)
            return true;
    struct followed *t = calloc(1, sizeof(*t) + name.n);
    if (!t)
        abort();
    if (name.n)
        memcpy(t + 1, name.p, name.n);
    t->tenant = n;
    t->pos = -1;
    t->name = str_n((const char *)(t + 1), name.n);
    t->next = f->tenants;
    f->tenants = t;
    return true;
}

/* --- what to say --- */

static void write_attr(struct json_writer *w, struct arena *a, const char *name, const char *kind,
                       struct str value)
{
    bool time = str_eq(str_c(kind), S("DateTime"));
    bool uri = str_eq(str_c(kind), S("Relationship"));
    json_w_key(w, term(a, name));
    json_w_array(w);
    json_w_object(w);
    json_w_kstr(w, S("type"), uri ? S("Relationship") : S("Property"));
    if (time) {
        json_w_key(w, S("value"));
        json_w_object(w);
        json_w_kstr(w, S("@type"), S("DateTime"));
        json_w_kstr(w, S("@value"), value);
        json_w_end(w);
    } else {
        json_w_kstr(w, uri ? S("object") : S("value"), value);
    }
    json_w_end(w);
    json_w_end(w);
}

/* A fragment or entity in stored form, built as text and read back: few and small. */
struct draft {
    struct arena *arena;
    struct buf text;
    struct json_writer w;
};

static void draft_begin(struct draft *d, struct arena *a)
{
    *d = (struct draft){.arena = a, .text = BUF_INIT};
    d->w = json_writer(&d->text);
    json_w_object(&d->w);
}

static const struct json *draft_end(struct draft *d)
{
    json_w_end(&d->w);
    const struct json *v = json_parse(d->arena, buf_dup(&d->text, d->arena), &JSON_DEFAULT, NULL);
    buf_release(&d->text);
    return v;
}

static struct str alert_id(struct arena *a, const struct source *s, int64_t since)
{
    return str_printf(a, "urn:ngsi-ld:Alert:stale:%016llx:%lld",
                      (unsigned long long)key_of(s->tenant, 'f', s->id),
                      (long long)(since / SECOND_US));
}

static struct op alert_opened(struct arena *a, const struct source *s, int64_t now)
{
    struct draft d;
    struct str id = alert_id(a, s, s->stale_since);
    draft_begin(&d, a);
    json_w_kstr(&d.w, S("id"), id);
    json_w_key(&d.w, S("type"));
    json_w_array(&d.w);
    json_w_str(&d.w, term(a, "Alert"));
    json_w_end(&d.w);
    write_attr(&d.w, a, "category", "text", S("dataSource"));
    write_attr(&d.w, a, "subCategory", "text", S("stale"));
    write_attr(&d.w, a, "source", "Relationship", s->id);
    write_attr(&d.w, a, "dateIssued", "DateTime", datetime_text(a, now));
    write_attr(&d.w, a, "validFrom", "DateTime", datetime_text(a, s->stale_since));
    /* After a restart it may be there already, which is as good. */
    return (struct op){.kind = OP_CREATE, .id = id, .input = draft_end(&d)};
}

static struct op alert_closed(struct arena *a, const struct source *s, int64_t since)
{
    struct draft d;
    draft_begin(&d, a);
    write_attr(&d.w, a, "validTo", "DateTime", datetime_text(a, s->last_update));
    return (struct op){.kind = OP_APPEND, .id = alert_id(a, s, since), .input = draft_end(&d)};
}

static struct op source_noted(struct arena *a, const struct source *s, struct str status)
{
    struct draft d;
    draft_begin(&d, a);
    write_attr(&d.w, a, "status", "text", status);
    if (s->last_update)
        write_attr(&d.w, a, "lastUpdate", "DateTime", datetime_text(a, s->last_update));
    return (struct op){.kind = OP_APPEND, .id = s->id, .input = draft_end(&d)};
}

/* --- comparing --- */

struct verdict {
    struct str status;
    int64_t since; /* 0: not stale */
};

static struct verdict judge(const struct source *s, int64_t now)
{
    int64_t due = (s->last_update ? s->last_update : s->declared) + s->interval_us;
    if (!s->last_update)
        return (struct verdict){S("silent"), now > due ? due : 0};
    return now > due ? (struct verdict){S("stale"), due} : (struct verdict){S("fresh"), 0};
}

static bool worth_noting(const struct source *s, struct str status)
{
    int64_t pause = s->interval_us / 10 > NOTE_US ? s->interval_us / 10 : NOTE_US;
    return !str_eq(status, s->status) || s->last_update - s->noted >= pause;
}

struct op_list {
    VEC(struct op) ops;
};

/* What has to be written about one source, when it is ours to write. */
static void compare(struct freshness *f, struct source *s, bool ours, struct arena *a,
                    struct op_list *list)
{
    int64_t now = clock_now(f->link->clock);
    struct verdict v = judge(s, now);
    pthread_mutex_lock(&f->lock);
    s->stale_since = v.since;
    pthread_mutex_unlock(&f->lock);
    if (!ours)
        return;
    if (s->alerted && s->alerted / SECOND_US != v.since / SECOND_US) {
        *vec_push(a, &list->ops) = alert_closed(a, s, s->alerted);
        s->alerted = 0;
    }
    if (v.since && !s->alerted) {
        *vec_push(a, &list->ops) = alert_opened(a, s, now);
        s->alerted = v.since;
    }
    if (worth_noting(s, v.status)) {
        *vec_push(a, &list->ops) = source_noted(a, s, v.status);
        pthread_mutex_lock(&f->lock);
        s->status = str_dup(&s->arena, v.status);
        s->noted = s->last_update;
        pthread_mutex_unlock(&f->lock);
    }
}

static void say(struct freshness *f, struct followed *t, struct error *e)
{
    bool ours = store_duty(f->link->store, "freshness") != 0;
    struct arena a = ARENA_INIT;
    struct op_list list = {VEC_INIT};
    for (struct source *s = f->sources; s; s = s->next)
        if (s->tenant == t->tenant && s->counted)
            compare(f, s, ours, &a, &list);
    struct ops ops = {.arena = &a,
                      .tenant = t->name,
                      .actor = S("freshness"),
                      .ops = list.ops.v,
                      .n = list.ops.n};
    /* An edge node judges for itself and leaves the writing to its city. */
    if (list.ops.n && !f->link->edge.on && ops_run(f->link, &ops, e)) {
        log_event(LOG_WARN, "link.freshness", LOG_Z("error", e->text));
        t->pos = -1; /* what is said stands in the entities */
    }
    arena_release(&a);
}

void freshness_round(struct freshness *f)
{
    struct error e = {0};
    int64_t stale = 0;
    struct store_conn *c = store_read(f->link->store, &e);
    enum err err = c ? repo_tenants(c, take_tenant, f, &e) : e.code;
    if (c)
        store_read_done(c);
    for (struct followed *t = f->tenants; t && !err; t = t->next) {
        err = follow(f, t, &e);
        if (!err)
            say(f, t, &e);
    }
    if (err)
        log_event(LOG_WARN, "link.freshness", LOG_Z("error", e.text));
    for (const struct source *s = f->sources; s; s = s->next)
        stale += s->stale_since != 0;
    metric_set(&stale_sources, stale);
}

/* --- asking --- */

static enum fresh_state state_of(const struct source *s)
{
    if (!s->counted)
        return FRESH_UNKNOWN;
    if (!s->last_update)
        return FRESH_SILENT;
    return s->stale_since ? FRESH_STALE : FRESH_OK;
}

void freshness_each(struct freshness *f, int64_t tenant,
                    bool (*each)(void *ctx, const struct source_status *s), void *ctx)
{
    bool go = true;
    pthread_mutex_lock(&f->lock);
    for (const struct source *s = f->sources; s && go; s = s->next) {
        if (s->tenant != tenant)
            continue;
        struct source_status st = {.id = s->id,
                                   .name = s->name,
                                   .type = s->type,
                                   .interval_us = s->interval_us,
                                   .last_update = s->last_update,
                                   .stale_since = s->stale_since,
                                   .state = state_of(s)};
        go = each(ctx, &st);
    }
    pthread_mutex_unlock(&f->lock);
}

/* When the entity itself reported last: changed here, or observed there. */
static int64_t reported(const struct json *stored)
{
    int64_t last = instant_of(json_get(stored, S("modifiedAt")));
    for (uint32_t i = 0; i < stored->n; i++) {
        const struct json *instances = &stored->members[i].value;
        if (entity_is_member(json_key(&stored->members[i])) || !json_is(instances, JSON_ARRAY))
            continue;
        for (uint32_t k = 0; k < instances->n; k++) {
            int64_t at = instant_of(json_get(&instances->items[k], S("observedAt")));
            last = at > last ? at : last;
        }
    }
    return last;
}

enum fresh_state freshness_of(struct freshness *f, int64_t tenant, const struct json *stored,
                              int64_t *stale_since)
{
    int64_t interval = 0;
    *stale_since = 0;
    pthread_mutex_lock(&f->lock);
    for (const struct source *s = f->sources; s && !interval; s = s->next)
        if (s->tenant == tenant && covers(s, stored))
            interval = s->interval_us;
    pthread_mutex_unlock(&f->lock);
    if (!interval)
        return FRESH_UNKNOWN;
    int64_t due = reported(stored) + interval;
    if (clock_now(f->link->clock) <= due)
        return FRESH_OK;
    *stale_since = due;
    return FRESH_STALE;
}

/* --- the route --- */

struct listing {
    struct arena *arena;
    struct json_writer w;
};

static bool write_source(void *ctx, const struct source_status *s)
{
    static const struct str states[] = {[FRESH_UNKNOWN] = S_INIT("unknown"),
                                        [FRESH_OK] = S_INIT("fresh"),
                                        [FRESH_STALE] = S_INIT("stale"),
                                        [FRESH_SILENT] = S_INIT("silent")};
    struct listing *l = ctx;
    json_w_object(&l->w);
    json_w_kstr(&l->w, S("id"), s->id);
    if (s->name.n)
        json_w_kstr(&l->w, S("name"), s->name);
    json_w_kstr(&l->w, S("type"), ld_compact(ld_core(), l->arena, s->type));
    json_w_ki64(&l->w, S("updateInterval"), s->interval_us / SECOND_US);
    json_w_ktime(&l->w, S("lastUpdate"), s->last_update);
    json_w_ktime(&l->w, S("staleSince"), s->stale_since);
    json_w_kstr(&l->w, S("status"), states[s->state]);
    json_w_end(&l->w);
    return true;
}

static enum http_answer list_sources(struct request *req, struct response *res, void *ctx)
{
    struct freshness *f = ctx;
    struct error e = {0};
    int64_t tenant = 0;
    struct str name = request_header(req, "NGSILD-Tenant");
    struct store_conn *c = store_read(f->link->store, &e);
    enum err err = c ? repo_tenant(c, name, &tenant, &e) : e.code;
    if (c)
        store_read_done(c);
    if (err) {
        response_error(req, res, &e);
        return HTTP_DONE;
    }
    struct buf out = BUF_INIT;
    struct listing l = {req->arena, json_writer(&out)};
    json_w_array(&l.w);
    freshness_each(f, tenant, write_source, &l);
    json_w_end(&l.w);
    response_body(req, res, 200, "application/json", buf_dup(&out, req->arena));
    buf_release(&out);
    return HTTP_DONE;
}

static const struct route routes[] = {{"GET", "/link/v1/sources", list_sources, ROUTE_PUBLIC_CORS}};

void freshness_routes(struct freshness *f, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), f);
}

/* --- opening and closing --- */

static void run(void *ctx)
{
    freshness_round(ctx);
}

struct freshness *freshness_open(struct link *l)
{
    struct freshness *f = calloc(1, sizeof(*f));
    if (!f)
        abort();
    f->link = l;
    pthread_mutex_init(&f->lock, NULL);
    return f;
}

struct freshness *freshness_new(struct link *l, struct error *e)
{
    (void)e;
    struct freshness *f = freshness_open(l);
    f->periodic = true;
    pool_every(l->pool, ROUND_MS, run, f);
    return f;
}

void freshness_free(struct freshness *f)
{
    if (f->periodic)
        pool_never(f->link->pool, run, f);
    while (f->sources) {
        struct source *s = f->sources;
        f->sources = s->next;
        source_free(s);
    }
    while (f->tenants) {
        struct followed *t = f->tenants;
        f->tenants = t->next;
        free(t);
    }
    pthread_mutex_destroy(&f->lock);
    free(f);
}
