/*
 * Subscriptions on disk. A row holds what the owner wrote (doc, context), the counters (state) and
 * the position: `pending` 1 means that something after `cursor` is still to be delivered; 0 means
 * that the subscription keeps up with its tenant, whose position stands once in notify_position. So
 * ten thousand idle subscriptions cost one row when the journal grows. Both are written together,
 * as they were at one moment.
 */
#include "core/log.h"
#include "subscription_impl.h"
#include <stdio.h>
#include <stdlib.h>

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
    struct arena scratch;
};

static const struct ld_context *context_at(struct loading *l, const struct json *value,
                                           struct str id)
{
    const struct ld_context *ctx;
    struct str missing;
    struct error e = {0};
    struct ld_contexts *all = l->hub->link->contexts;
    if (!all || !value || json_is(value, JSON_NULL))
        return ld_core();
    if (!ld_context_get(all, &l->scratch, value, &ctx, &missing, &e))
        return ctx;
    log_event(LOG_WARN, "link.subscription_context", LOG_S("subscription", id),
              LOG_Z("error", e.text));
    return ld_core();
}

/* Columns: sid, tenant, name, id, doc, context, state, cursor, pending, position, service_path. */
static void load_row(struct loading *l, const struct store_rows *r)
{
    struct arena *a = &l->scratch;
    struct error e = {0};
    struct str id = store_text(r, 3);
    const struct json *doc = json_parse(a, store_text(r, 4), &JSON_DEFAULT, &e);
    const struct json *context = json_parse(a, store_text(r, 5), &JSON_DEFAULT, NULL);
    const struct json *shown = json_get(doc, S("jsonldContext"));
    struct sub_source src = {.tenant = store_int(r, 1),
                             .tenant_name = store_text(r, 2),
                             .id = id,
                             .doc = doc,
                             .ctx = context_at(l, context, id),
                             .shown_ctx = shown ? context_at(l, shown, id) : NULL,
                             .public_url = str_c(l->hub->link->options.public_url),
                             .face = store_is_null(r, 10) ? NULL : &v2_sub_face,
                             .service_path = store_text(r, 10)};
    struct sub_slab *slab = sub_slab_take(&l->hub->slabs);
    struct sub_spec *spec = doc ? sub_spec_new(slab, &src, &e) : NULL;
    sub_slab_unref(slab);
    if (!spec) {
        log_event(LOG_ERROR, "link.subscription_unreadable", LOG_S("subscription", id),
                  LOG_Z("error", e.text));
        return;
    }
    bool pending = store_int(r, 8) != 0;
    int64_t cursor = store_int(r, 7), position = store_int(r, 9);
    struct sub_new n = {.spec = spec,
                        .sid = store_int(r, 0),
                        .read = pending || cursor > position ? cursor : position,
                        .count = sub_counters_parse(a, store_text(r, 6))};
    struct sub *s = sub_enter(l->hub, &n);
    s->disk_pending = pending;
    s->disk_cursor = cursor;
    if (position > s->tenant->pos)
        s->tenant->pos = position;
    s->tenant->disk_pos = position;
}

enum err sub_load(struct subscriptions *h, struct error *e)
{
    struct loading l = {.hub = h};
    struct store_rows r;
    struct store_conn *c = store_read(h->link->store, e);
    if (!c)
        return e->code;
    pthread_mutex_lock(&h->lock);
    store_query(c, &r,
                "SELECT s.sid, s.tenant, t.name, s.id, s.doc, s.context, s.state, s.cursor,"
                " s.pending, COALESCE(p.pos, 0), s.service_path FROM subscription s JOIN tenant t "
                "ON t.n = s.tenant"
                " LEFT JOIN notify_position p ON p.tenant = s.tenant ORDER BY s.sid",
                SV_EMPTY);
    while (store_next(&r)) {
        load_row(&l, &r);
        arena_reset(&l.scratch);
    }
    enum err err = store_end(&r, e);
    pthread_mutex_unlock(&h->lock);
    store_read_done(c);
    arena_release(&l.scratch);
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
    bool reads = s->state == ST_LIVE || s->state == ST_BEHIND || s->state == ST_RETRYING;
    return reads && !s->spec->interval_us && (s->state != ST_LIVE || s->n > 0);
}

static void gather(struct subscriptions *h, struct flush *f, bool all)
{
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
    pthread_mutex_lock(&h->lock);
    gather(h, &f, all);
    pthread_mutex_unlock(&h->lock);
    if (f.subs.n || f.tenants.n)
        err = store_write(h->link->store, write_moved, &f, e);
    if (err) {
        pthread_mutex_lock(&h->lock);
        forget_disk(h);
        pthread_mutex_unlock(&h->lock);
    }
    arena_release(&f.arena);
    return err;
}
