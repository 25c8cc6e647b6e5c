/*
 * Subscriptions on disk. A row holds what the owner wrote (doc, context), the counters (state) and
 * the position: `pending` 1 means that something after `cursor` is still to be delivered; 0 means
 * that the subscription keeps up with its tenant, whose position stands once in notify_position. So
 * ten thousand idle subscriptions cost one row when the journal grows. Both are written together,
 * as they were at one moment.
 */
#include "core/log.h"
#include "core/metrics.h"
#include "csource_outbox.h"
#include "subscription_impl.h"
#include <stdio.h>
#include <stdlib.h>

#define SUBSCRIPTIONS(state)                                                                       \
    METRIC_GAUGE("marugoto_link_subscriptions{state=\"" state "\"}", "subscriptions by state")
static struct metric active = SUBSCRIPTIONS("active"), retrying = SUBSCRIPTIONS("retrying"),
                     aside = SUBSCRIPTIONS("setAside"), paused = SUBSCRIPTIONS("paused"),
                     expired = SUBSCRIPTIONS("expired");
static struct metric most_behind =
    METRIC_GAUGE("marugoto_link_notifications_behind_rows",
                 "journal rows that the slowest subscription is behind");

/* --- counters --- */

static const struct {
    struct str name;
    size_t offset;
} counters[] = {
#define COUNTER(name)                                                                              \
    {                                                                                              \
        S_INIT(#name), offsetof(struct sub_counters, name)                                         \
    }
    COUNTER(sent),         COUNTER(failed),       COUNTER(last_notification),
    COUNTER(last_success), COUNTER(last_failure), COUNTER(gaps),
    COUNTER(fails),        COUNTER(success_code), COUNTER(off),
    COUNTER(refusals),     COUNTER(skipped),
#undef COUNTER
};
enum { N_COUNTERS = sizeof(counters) / sizeof(counters[0]) };

struct str sub_counters_text(struct arena *a, const struct sub_counters *c)
{
    struct buf out = BUF_INIT;
    struct json_writer w = json_writer(&out);
    json_w_object(&w);
    for (size_t i = 0; i < N_COUNTERS; i++) {
        const int64_t *v = (const int64_t *)((const char *)c + counters[i].offset);
        if (*v)
            json_w_ki64(&w, counters[i].name, *v);
    }
    json_w_end(&w);
    struct str text = buf_dup(&out, a);
    buf_release(&out);
    return text;
}

struct sub_counters sub_counters_parse(struct arena *a, struct str text)
{
    struct sub_counters c = {0};
    const struct json *v = json_parse(a, text, &JSON_DEFAULT, NULL);
    for (size_t i = 0; i < N_COUNTERS; i++)
        json_i64(json_get(v, counters[i].name), (int64_t *)((char *)&c + counters[i].offset));
    return c;
}

/* --- loading --- */

struct loading {
    struct subscriptions *hub;
    struct sub_slabs slabs;
    struct arena scratch;
};

static const struct ld_context *context_at(struct link *l, struct arena *a,
                                           const struct json *value, struct str id)
{
    const struct ld_context *ctx;
    struct str missing;
    struct error e = {0};
    if (!l->contexts || !value || json_is(value, JSON_NULL))
        return ld_core();
    if (!ld_context_get(l->contexts, a, value, &ctx, &missing, &e))
        return ctx;
    log_event(LOG_WARN, "link.subscription_context", LOG_S("subscription", id),
              LOG_Z("error", e.text));
    return ld_core();
}

#define ROW_COLUMNS                                                                                \
    "s.sid, s.tenant, COALESCE(o.name, t.name), s.id, s.doc, s.context, s.state, s.cursor,"        \
    " s.pending, COALESCE(p.pos, 0), s.service_path, x.id FROM subscription s"                     \
    " JOIN tenant t ON t.n = s.tenant LEFT JOIN notify_position p ON p.tenant = s.tenant"          \
    " LEFT JOIN snapshot x ON x.space = t.name LEFT JOIN tenant o ON o.n = x.tenant"

static const struct sub_face *face_of(struct str service_path)
{
    if (!service_path.p)
        return NULL;
    return str_eq(service_path, S(CSOURCE_PATH)) ? &csource_sub_face : &v2_sub_face;
}

/* The row at hand, of ROW_COLUMNS, compiled. */
static struct sub_spec *compile_row(struct link *l, struct arena *a, struct sub_slab *slab,
                                    const struct store_rows *r, struct error *e)
{
    struct str id = str_dup(a, store_text(r, 3));
    const struct json *doc = json_parse(a, str_dup(a, store_text(r, 4)), &JSON_DEFAULT, e);
    const struct json *context = json_parse(a, str_dup(a, store_text(r, 5)), &JSON_DEFAULT, NULL);
    const struct json *shown = json_get(doc, S("jsonldContext"));
    struct sub_source src = {.tenant = store_int(r, 1),
                             .tenant_name = str_dup(a, store_text(r, 2)),
                             .snapshot = str_dup(a, store_text(r, 11)),
                             .id = id,
                             .doc = doc,
                             .ctx = context_at(l, a, context, id),
                             .shown_ctx = shown ? context_at(l, a, shown, id) : NULL,
                             .public_url = str_c(l->options.public_url),
                             .face = face_of(store_text(r, 10)),
                             .service_path = str_dup(a, store_text(r, 10))};
    return doc ? sub_spec_new(slab, &src, e) : NULL;
}

struct sub_spec *sub_spec_of(struct link *l, struct store_conn *c, int64_t tenant, struct str id,
                             struct error *e)
{
    struct arena a = ARENA_INIT;
    struct store_rows r;
    struct sub_spec *spec = NULL;
    struct sub_slab *slab = sub_slab_new();
    error_set(e, ERR_NOT_FOUND, "no subscription %" STR_F, STR_A(id));
    store_query(c, &r, "SELECT " ROW_COLUMNS " WHERE s.tenant = $1 AND s.id = $2",
                SV(SV_INT(tenant), SV_TEXT(id)));
    if (store_next(&r))
        spec = compile_row(l, &a, slab, &r, e);
    store_end(&r, spec ? NULL : e);
    sub_slab_unref(slab);
    arena_release(&a);
    return spec;
}

static struct sub_spec *loaded_spec(struct loading *l, const struct store_rows *r)
{
    struct error e = {0};
    struct sub_slab *slab = sub_slab_take(&l->slabs);
    struct sub_spec *spec = compile_row(l->hub->link, &l->scratch, slab, r, &e);
    sub_slab_unref(slab);
    if (!spec)
        log_event(LOG_ERROR, "link.subscription_unreadable",
                  LOG_S("subscription", store_text(r, 3)), LOG_Z("error", e.text));
    return spec;
}

static void load_row(struct loading *l, const struct store_rows *r)
{
    struct sub_spec *spec = loaded_spec(l, r);
    if (!spec)
        return;
    bool pending = store_int(r, 8) != 0;
    int64_t cursor = store_int(r, 7), position = store_int(r, 9);
    struct sub_new n = {.spec = spec,
                        .sid = store_int(r, 0),
                        .read = pending || cursor > position ? cursor : position,
                        .count = sub_counters_parse(&l->scratch, store_text(r, 6))};
    struct sub *s = sub_enter(l->hub, &n);
    s->disk_pending = pending;
    s->disk_cursor = cursor;
    if (position > s->tenant->pos)
        s->tenant->pos = position;
    s->tenant->disk_pos = position;
}

static void drop_all(struct subscriptions *h)
{
    while (h->all.n)
        sub_delete(h, h->all.v[h->all.n - 1]);
    for (struct sub_tenant *t = h->tenants; t; t = t->next) {
        t->pos = t->disk_pos = 0;
        t->epoch = 0;
        t->sweep = -1;
    }
}

enum err sub_load(struct subscriptions *h, struct error *e)
{
    struct loading l = {.hub = h};
    struct store_rows r;
    struct store_conn *c = store_read(h->link->store, e);
    if (!c)
        return e->code;
    pthread_mutex_lock(&h->lock);
    drop_all(h);
    store_query(c, &r, "SELECT " ROW_COLUMNS " ORDER BY s.sid", SV_EMPTY);
    while (store_next(&r)) {
        load_row(&l, &r);
        arena_reset(&l.scratch);
    }
    enum err err = store_end(&r, e);
    pthread_mutex_unlock(&h->lock);
    store_read_done(c);
    sub_slabs_release(&l.slabs);
    arena_release(&l.scratch);
    return err;
}

/* One that was changed is what its row says, counters that others may set included. */
static void take_row(struct loading *l, const struct store_rows *r, const struct sub_written *w)
{
    struct sub *s = sub_find(l->hub, w->tenant, w->id);
    struct sub_spec *spec = s ? loaded_spec(l, r) : NULL;
    if (!s)
        load_row(l, r);
    if (!spec)
        return;
    if (w->wakes) {
        s->count.off = s->count.off == OFF_ITSELF ? OFF_NOT : s->count.off;
        s->count.fails = 0;
    }
    sub_change(l->hub, s, spec, w->cursor);
}

enum err sub_reload(struct subscriptions *h, const struct sub_written *w, struct error *e)
{
    struct loading l = {.hub = h};
    struct store_rows r;
    struct store_conn *c = store_read(h->link->store, e);
    if (!c)
        return e->code;
    pthread_mutex_lock(&h->lock);
    store_query(c, &r, "SELECT " ROW_COLUMNS " WHERE s.tenant = $1 AND s.id = $2",
                SV(SV_INT(w->tenant), SV_TEXT(w->id)));
    bool there = store_next(&r);
    if (there)
        take_row(&l, &r, w);
    enum err err = store_end(&r, e);
    struct sub *gone = err || there ? NULL : sub_find(h, w->tenant, w->id);
    if (gone)
        sub_delete(h, gone);
    pthread_mutex_unlock(&h->lock);
    store_read_done(c);
    sub_slabs_release(&l.slabs);
    arena_release(&l.scratch);
    return err;
}

enum err sub_refresh(struct subscriptions *h, struct error *e)
{
    struct arena a = ARENA_INIT;
    struct store_rows r;
    struct store_conn *c = store_read(h->link->store, e);
    if (!c)
        return e->code;
    pthread_mutex_lock(&h->lock);
    store_query(c, &r,
                "SELECT s.tenant, s.id, s.state, s.cursor, s.pending, COALESCE(p.pos, 0)"
                " FROM subscription s LEFT JOIN notify_position p ON p.tenant = s.tenant",
                SV_EMPTY);
    while (store_next(&r)) {
        struct sub *s = sub_find(h, store_int(&r, 0), store_text(&r, 1));
        int64_t position = store_int(&r, 5);
        if (s) {
            struct sub_counters n = sub_counters_parse(&a, store_text(&r, 2));
            if (n.off != s->count.off)
                h->stale = true; /* its state is another one now */
            s->count = n;
            s->count.last_error = STR_NONE;
            s->read = store_int(&r, 4) ? store_int(&r, 3) : position;
            s->tenant->pos = position;
        }
        arena_reset(&a);
    }
    enum err err = store_end(&r, e);
    pthread_mutex_unlock(&h->lock);
    store_read_done(c);
    arena_release(&a);
    return err;
}

/* --- writing positions --- */

struct moved {
    int64_t sid, cursor;
    bool pending;
    struct str state;
};

struct moved_tenant {
    int64_t tenant, pos;
};

struct flush {
    struct arena arena;
    VEC(struct moved) subs;
    VEC(struct moved_tenant) tenants;
};

/* Something to deliver that a restart must find again. */
static bool pending(const struct sub *s)
{
    bool reads = sub_at_work(s) || s->state == ST_ASIDE;
    return reads && !s->spec->interval_us && (s->state != ST_LIVE || s->n > 0);
}

static void count_states(const struct subscriptions *h)
{
    int64_t n[ST_STATES] = {0}, held = 0, behind = 0;
    for (size_t i = 0; i < h->all.n; i++) {
        const struct sub *s = h->all.v[i];
        int64_t rows = s->tenant->pos - sub_cursor(s);
        n[s->state]++;
        held += s->state == ST_ASIDE && s->count.off == OFF_HELD;
        if ((sub_at_work(s) || s->state == ST_ASIDE) && !s->spec->interval_us && rows > behind)
            behind = rows;
    }
    metric_set(&active, n[ST_LIVE] + n[ST_BEHIND]);
    metric_set(&retrying, n[ST_RETRYING]);
    metric_set(&aside, n[ST_ASIDE] - held);
    metric_set(&paused, n[ST_PAUSED] + held);
    metric_set(&expired, n[ST_EXPIRED]);
    metric_set(&most_behind, behind);
}

static void gather(struct subscriptions *h, struct flush *f, bool all)
{
    count_states(h);
    for (size_t i = 0; i < h->all.n; i++) {
        struct sub *s = h->all.v[i];
        bool p = pending(s);
        int64_t cursor = p ? sub_cursor(s) : s->disk_cursor;
        if (p == s->disk_pending && cursor == s->disk_cursor && !(all && s->counters_moved))
            continue;
        *vec_push(&f->arena, &f->subs) =
            (struct moved){s->sid, cursor, p, sub_counters_text(&f->arena, &s->count)};
        s->disk_pending = p;
        s->disk_cursor = cursor;
        s->counters_moved = false;
    }
    for (struct sub_tenant *t = h->tenants; t; t = t->next) {
        if (t->pos == t->disk_pos || !t->n_subs)
            continue;
        *vec_push(&f->arena, &f->tenants) = (struct moved_tenant){t->tenant, t->pos};
        t->disk_pos = t->pos;
    }
}

static enum err write_moved(struct store_conn *c, void *ctx, struct error *e)
{
    const struct flush *f = ctx;
    enum err err = OK;
    for (size_t i = 0; !err && i < f->tenants.n; i++)
        err = store_exec(c,
                         "INSERT INTO notify_position(tenant, pos) VALUES ($1, $2)"
                         " ON CONFLICT (tenant) DO UPDATE SET pos = excluded.pos",
                         SV(SV_INT(f->tenants.v[i].tenant), SV_INT(f->tenants.v[i].pos)), NULL, e);
    for (size_t i = 0; !err && i < f->subs.n; i++) {
        const struct moved *m = &f->subs.v[i];
        err =
            store_exec(c,
                       "UPDATE subscription SET cursor = $1, pending = $2, state = $3"
                       " WHERE sid = $4",
                       SV(SV_INT(m->cursor), SV_INT(m->pending), SV_TEXT(m->state), SV_INT(m->sid)),
                       NULL, e);
    }
    return err;
}

/* Nothing is known of what is on disk: write it all again next time. */
static void forget_disk(struct subscriptions *h)
{
    for (size_t i = 0; i < h->all.n; i++)
        h->all.v[i]->disk_cursor = -1;
    for (struct sub_tenant *t = h->tenants; t; t = t->next)
        t->disk_pos = -1;
}

enum err sub_flush(struct subscriptions *h, bool all, struct error *e)
{
    struct flush f = {0};
    enum err err = OK;
    pthread_mutex_lock(&h->flushing); /* what is newer is written later */
    pthread_mutex_lock(&h->lock);
    if (!h->standby)
        gather(h, &f, all);
    pthread_mutex_unlock(&h->lock);
    if (f.subs.n || f.tenants.n)
        err = store_write(h->link->store, write_moved, &f, e);
    if (err) {
        pthread_mutex_lock(&h->lock);
        forget_disk(h);
        pthread_mutex_unlock(&h->lock);
    }
    pthread_mutex_unlock(&h->flushing);
    arena_release(&f.arena);
    return err;
}
