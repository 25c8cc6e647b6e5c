/*
 * Live streams of changes: one thread reads the journal once for all and writes what concerns each
 * stream into its own small buffer.
 *
 * Every stream has a position, and rows are offered in order, so a stream sees each row once. One
 * whose client does not read stops being filled (its position stays) and is filled from the journal
 * when there is room again; those behind share one pass over the rows. Who is too far behind, or
 * whose rows were trimmed, gets one "reset" and goes on at the end: it must read anew.
 */
#include "core/log.h"
#include "core/metrics.h"
#include "link/access.h"
#include "stream_impl.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CHUNK_ROWS = 256, TICK_MS = 100 };

static struct metric open_streams =
    METRIC_GAUGE("marugoto_link_streams", "open live streams of changes");

/* --- streams and views --- */

static void view_unref(struct streams *h, struct stream_view *v)
{
    if (--v->refs)
        return;
    map_del(&h->views, v->key);
    buf_release(&v->text);
    arena_release(&v->arena);
    free(v);
}

static const struct str *dup_names(struct arena *a, const struct str *names, size_t n)
{
    struct str *out = names ? ARENA_ARRAY(a, struct str, n ? n : 1) : NULL;
    for (size_t i = 0; names && i < n; i++)
        out[i] = str_dup(a, names[i]);
    return out;
}

static void key_names(struct buf *key, const char *what, const struct str *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf_str(key, str_c(what));
        buf_str(key, names[i]);
    }
}

struct stream_view *stream_view_get(struct streams *h, const struct entity_view *v,
                                    struct str owner)
{
    struct buf key = BUF_INIT;
    buf_printf(&key, "%d%d%d %p %" STR_F, (int)v->form, v->geojson, v->sys_attrs,
               (const void *)v->ctx, STR_A(v->lang));
    key_names(&key, "\n", v->pick, v->n_pick);
    key_names(&key, "\t", &owner, 1);
    struct stream_view *there = map_get(&h->views, buf_view(&key));
    if (!there) {
        there = calloc(1, sizeof(*there));
        if (!there)
            abort();
        there->key = buf_dup(&key, &there->arena);
        there->view = *v;
        there->view.pick = dup_names(&there->arena, v->pick, v->n_pick);
        there->view.geometry = STR_NONE;
        there->owner = owner.p ? str_dup(&there->arena, owner) : STR_NONE;
        there->view.lang = v->lang.p ? str_dup(&there->arena, v->lang) : STR_NONE;
        map_put(&h->views, there->key, there);
    }
    there->refs++;
    buf_release(&key);
    return there;
}

static struct stream_tenant *tenant_get(struct streams *h, int64_t tenant)
{
    struct stream_tenant *t = h->tenants;
    while (t && t->tenant != tenant)
        t = t->next;
    if (t)
        return t;
    t = calloc(1, sizeof(*t));
    if (!t)
        abort();
    t->tenant = tenant;
    t->next = h->tenants;
    h->tenants = t;
    return t;
}

static void wake(struct streams *h)
{
    h->changed = true;
    pthread_cond_signal(&h->wake);
}

void stream_enter(struct streams *h, struct stream *s)
{
    struct stream_tenant *t = tenant_get(h, s->tenant);
    s->hub = h;
    s->id = ++h->ids;
    s->last = clock_steady(h->link->clock);
    s->next = h->first;
    s->prev = &h->first;
    if (s->next)
        s->next->prev = &s->next;
    h->first = s;
    if (!t->n++)
        t->pos = s->newest;
    h->n++;
    metric_set(&open_streams, (int64_t)h->n);
    wake(h);
}

void stream_free(struct stream *s)
{
    entity_query_release(&s->query);
    buf_release(&s->out);
    arena_release(&s->arena);
    free(s);
}

void stream_leave(struct stream *s)
{
    struct streams *h = s->hub;
    *s->prev = s->next;
    if (s->next)
        s->next->prev = s->prev;
    tenant_get(h, s->tenant)->n--;
    h->n--;
    metric_set(&open_streams, (int64_t)h->n);
    view_unref(h, s->view);
    stream_free(s);
}

struct stream *stream_find(struct streams *h, uint64_t id)
{
    struct stream *s = h->first;
    while (s && s->id != id)
        s = s->next;
    return s;
}

/* --- writing --- */

static bool has_room(const struct stream *s)
{
    if (s->over)
        return false;
    return s->websocket ? s->ws && s->budget > 0 : s->out.n - s->taken < STREAM_ROOM;
}

/* Whatever is sent, the client sees that we live. */
static void put(struct stream *s, struct str event, int64_t seq, struct str data)
{
    s->last = clock_steady(s->hub->link->clock);
    if (s->websocket) {
        s->budget -= (int64_t)data.n;
        if (!ws_send(s->ws, data))
            s->over = true; /* closed by the server with 1013; it may come back with after= */
        return;
    }
    buf_printf(&s->out, "id: %lld\nevent: %" STR_F "\ndata: ", (long long)seq, STR_A(event));
    buf_str(&s->out, data);
    BUF_LIT(&s->out, "\n\n");
    http_stream_wake(s->handle);
}

/* The client's picture is too old to be brought up to date: it reads anew from here. */
static void reset(struct stream *s, int64_t pos)
{
    struct buf b = BUF_INIT;
    buf_printf(&b, "{\"op\":\"reset\",\"seq\":%lld}", (long long)pos);
    put(s, S("reset"), pos, buf_view(&b));
    buf_release(&b);
    s->at = pos;
}

/* --- rows --- */

struct row {
    int64_t seq, at;
    struct str body;
};

struct chunk {
    struct arena arena;
    VEC(struct row) rows;
    int64_t upto;
};

static bool copy_row(void *ctx, const struct journal_row *row)
{
    struct chunk *c = ctx;
    if (row->seq > c->upto)
        return false;
    struct row *r = vec_push(&c->arena, &c->rows);
    *r = (struct row){row->seq, row->at, STR_NONE};
    if (str_eq(row->topic, S("entity")))
        r->body = str_dup(&c->arena, row->body);
    return true;
}

static bool concerned(const struct stream *s, const struct entity_event *ev, bool *too_complex)
{
    bool hit = s->view->view.n_pick == 0 || ev->op == EVENT_DELETED;
    struct error e;
    /* attrs= asks for changes of these attributes, not only for entities that have them. */
    for (size_t i = 0; i < ev->changes.n && !hit; i++)
        for (size_t k = 3; k < s->view->view.n_pick && !hit; k++)
            hit = str_eq(ev->changes.v[i].attr, s->view->view.pick[k]);
    if (hit)
        *too_complex = query_holds(&s->query, ev->doc, &hit, &e) != OK;
    return hit;
}

static void write_event(struct stream_view *v, struct arena *a, const struct entity_event *ev,
                        const struct row *row)
{
    static const struct str ops[] = {[EVENT_CREATED] = S_INIT("created"),
                                     [EVENT_UPDATED] = S_INIT("updated"),
                                     [EVENT_DELETED] = S_INIT("deleted")};
    const struct json *types = entity_types(ev->doc);
    char at[DATETIME_MAX];
    struct str last = STR_NONE;
    struct json_writer w = json_writer(&v->text);
    json_w_object(&w);
    json_w_kstr(&w, S("op"), ops[ev->op]);
    json_w_kstr(&w, S("id"), entity_id(ev->doc));
    json_w_key(&w, S("type"));
    json_w_array(&w);
    for (uint32_t i = 0; types && i < types->n; i++)
        json_w_str(&w, ld_compact(v->view.ctx, a, json_text(&types->items[i])));
    json_w_end(&w);
    json_w_ki64(&w, S("seq"), row->seq);
    json_w_kstr(&w, S("at"), str_n(at, datetime_format(row->at, at)));
    json_w_key(&w, S("changed"));
    json_w_array(&w);
    for (size_t i = 0; i < ev->changes.n; i++) {
        if (!str_eq(last, ev->changes.v[i].attr))
            json_w_str(&w, ld_compact(v->view.ctx, a, ev->changes.v[i].attr));
        last = ev->changes.v[i].attr;
    }
    json_w_end(&w);
    if (ev->op != EVENT_DELETED) {
        json_w_key(&w, S("entity"));
        entity_write(&v->text, a, ev->doc, &v->view);
        w.comma = true;
    }
    json_w_end(&w);
}

/* The row as the owner of streams may hear of it at this moment; NULL: not at all. */
static const struct entity_event *hear(struct streams *h, struct stream_view *v, int64_t tenant,
                                       struct arena *a, const struct entity_event *ev)
{
    if (v->heard_stamp == h->stamp)
        return v->heard;
    v->heard_stamp = h->stamp;
    v->heard = access_event(access_view_of(h->link->access, v->owner, tenant), a, ev);
    return v->heard;
}

/* Under the lock. A stream whose condition costs too much is ended: it must not cost the others. */
static void offer(struct streams *h, struct stream_tenant *t, struct arena *a,
                  const struct row *row, const struct entity_event *ev)
{
    int64_t stamp = ++h->stamp;
    for (struct stream *s = h->first; s; s = s->next) {
        if (s->tenant != t->tenant || s->at != row->seq - 1 || !has_room(s))
            continue;
        bool too_complex = false;
        s->at = row->seq;
        const struct entity_event *mine = ev ? hear(h, s->view, s->tenant, a, ev) : NULL;
        if (!mine || !concerned(s, mine, &too_complex))
            continue;
        if (too_complex) {
            s->over = true;
            if (s->websocket)
                ws_close(s->ws, 1008);
            else
                http_stream_wake(s->handle);
            continue;
        }
        if (s->view->stamp != stamp) {
            s->view->stamp = stamp;
            buf_clear(&s->view->text);
            write_event(s->view, a, mine, row);
        }
        put(s, S("entity"), row->seq, buf_view(&s->view->text));
    }
}

/* Offer rows after `from`, up to and with `upto`; *last is how far it came. */
static enum err pass(struct streams *h, struct stream_tenant *t, int64_t from, int64_t upto,
                     int64_t *last, bool live)
{
    struct error e = {0};
    struct chunk c = {.upto = upto};
    struct arena a = ARENA_INIT;
    struct store_conn *conn = store_read(h->link->store, &e);
    *last = from;
    if (!conn)
        return e.code;
    enum err err = journal_read(conn, t->tenant, from, CHUNK_ROWS, copy_row, &c, &e);
    store_read_done(conn);
    for (size_t i = 0; !err && i < c.rows.n; i++) {
        struct entity_event ev = {0};
        struct error bad = {0};
        const struct row *r = &c.rows.v[i];
        bool good = r->body.p && !entity_event_parse(&a, r->body, &ev, &bad);
        if (r->body.p && !good)
            log_event(LOG_ERROR, "link.journal_row_unreadable", LOG_I("seq", r->seq),
                      LOG_Z("error", bad.text));
        pthread_mutex_lock(&h->lock);
        offer(h, t, &a, r, good ? &ev : NULL);
        if (live)
            t->pos = r->seq;
        *last = r->seq;
        pthread_mutex_unlock(&h->lock);
        arena_reset(&a);
    }
    arena_release(&a);
    arena_release(&c.arena);
    return err;
}

/* The oldest position of those behind who have room, -1: none. Who is too far behind is reset. */
static int64_t behind(struct streams *h, const struct stream_tenant *t)
{
    int64_t from = -1;
    for (struct stream *s = h->first; s; s = s->next) {
        if (s->tenant != t->tenant || s->at >= t->pos || !has_room(s))
            continue;
        if (t->pos - s->at > STREAM_FAR)
            reset(s, t->pos);
        else if (from < 0 || s->at < from)
            from = s->at;
    }
    return from;
}

static void reset_before(struct streams *h, const struct stream_tenant *t, int64_t seq, int64_t pos)
{
    for (struct stream *s = h->first; s; s = s->next)
        if (s->tenant == t->tenant && s->at <= seq && has_room(s))
            reset(s, pos);
}

/* Rows of the tenant were trimmed: *newest is where to go on. */
static bool newest_row(struct streams *h, int64_t tenant, int64_t *newest)
{
    int64_t oldest;
    struct error e = {0};
    struct store_conn *conn = store_read(h->link->store, &e);
    if (!conn)
        return false;
    enum err err = journal_range(conn, tenant, &oldest, newest, &e);
    store_read_done(conn);
    return !err;
}

static bool step_tenant(struct streams *h, struct stream_tenant *t)
{
    int64_t last, newest;
    pthread_mutex_lock(&h->lock);
    int64_t pos = t->pos;
    bool any = t->n > 0;
    pthread_mutex_unlock(&h->lock);
    if (!any)
        return false;
    enum err err = pass(h, t, pos, INT64_MAX, &last, true);
    bool more = last >= pos + CHUNK_ROWS;
    if (err == ERR_NOT_FOUND && newest_row(h, t->tenant, &newest)) {
        pthread_mutex_lock(&h->lock);
        t->pos = newest;
        reset_before(h, t, newest - 1, newest);
        pthread_mutex_unlock(&h->lock);
        return true;
    }
    pthread_mutex_lock(&h->lock);
    pos = t->pos;
    int64_t from = behind(h, t);
    pthread_mutex_unlock(&h->lock);
    if (from < 0)
        return more;
    err = pass(h, t, from, pos, &last, false);
    if (err == ERR_NOT_FOUND) {
        pthread_mutex_lock(&h->lock);
        reset_before(h, t, from, pos);
        pthread_mutex_unlock(&h->lock);
    }
    return more || err == ERR_NOT_FOUND || last > from;
}

/* --- heartbeats and ends --- */

static void beat(struct streams *h)
{
    int64_t now = clock_steady(h->link->clock);
    int64_t pause = h->link->options.stream_heartbeat_s * SECOND_US;
    struct stream *next;
    pthread_mutex_lock(&h->lock);
    for (struct stream *s = h->first; s; s = next) {
        next = s->next;
        if (s->websocket && !s->ws) {
            if (now - s->last > STREAM_PENDING_S * SECOND_US)
                stream_leave(s);
            continue;
        }
        s->budget = STREAM_ROOM;
        if (s->websocket || s->over || now - s->last < pause || s->out.n > s->taken)
            continue;
        BUF_LIT(&s->out, ":\n\n");
        s->last = now;
        http_stream_wake(s->handle);
    }
    pthread_mutex_unlock(&h->lock);
}

bool stream_step(struct streams *h)
{
    bool more = false;
    pthread_mutex_lock(&h->lock);
    struct stream_tenant *first = h->tenants; /* tenants are only ever added at the head */
    pthread_mutex_unlock(&h->lock);
    for (struct stream_tenant *t = first; t; t = t->next)
        if (step_tenant(h, t))
            more = true;
    return more;
}

static void *run(void *ctx)
{
    struct streams *h = ctx;
    bool closing = false;
    int64_t beat_at = 0;
    while (!closing) {
        bool more = stream_step(h);
        int64_t now = clock_steady(h->link->clock);
        if (now - beat_at >= TICK_MS * 1000) {
            beat(h);
            beat_at = now;
        }
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        int64_t ns = until.tv_nsec + TICK_MS * INT64_C(1000000);
        until.tv_sec += ns / 1000000000;
        until.tv_nsec = ns % 1000000000;
        pthread_mutex_lock(&h->lock);
        /* With nobody listening there is nothing to follow: sleep until somebody comes. */
        while (!more && !h->changed && !h->closing) {
            if (!h->n)
                pthread_cond_wait(&h->wake, &h->lock);
            else if (pthread_cond_timedwait(&h->wake, &h->lock, &until) == ETIMEDOUT)
                break;
        }
        h->changed = false;
        closing = h->closing;
        pthread_mutex_unlock(&h->lock);
    }
    return NULL;
}

static void on_journal(void *ctx)
{
    struct streams *h = ctx;
    pthread_mutex_lock(&h->lock);
    if (h->n)
        wake(h);
    pthread_mutex_unlock(&h->lock);
}

struct streams *streams_new(struct link *l, struct error *e)
{
    struct streams *h = calloc(1, sizeof(*h));
    pthread_condattr_t monotonic;
    if (!h)
        abort();
    h->link = l;
    pthread_mutex_init(&h->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&h->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (!pthread_create(&h->thread, NULL, run, h)) {
        journal_listen(l->store, on_journal, h);
        return h;
    }
    free(h);
    error_set(e, ERR_INTERNAL, "cannot start the thread of the live streams");
    return NULL;
}

void streams_free(struct streams *h)
{
    journal_unlisten(h->link->store, on_journal, h);
    pthread_mutex_lock(&h->lock);
    h->closing = true;
    wake(h);
    pthread_mutex_unlock(&h->lock);
    pthread_join(h->thread, NULL);
    for (struct stream *s = h->first, *next; s; s = next) {
        next = s->next;
        stream_leave(s);
    }
    while (h->tenants) {
        struct stream_tenant *t = h->tenants;
        h->tenants = t->next;
        free(t);
    }
    while (h->keys) {
        struct stream_key *k = h->keys;
        h->keys = k->next;
        free(k);
    }
    map_release(&h->views);
    pthread_mutex_destroy(&h->lock);
    pthread_cond_destroy(&h->wake);
    free(h);
}
