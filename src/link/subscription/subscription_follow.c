/*
 * The follower: one thread that reads new journal rows once for all subscriptions.
 *
 * A round offers each tenant's new rows to the subscriptions that keep up, then a piece of a sweep
 * to those that do not: a sweep starts at the oldest position of all who wait, passes over the rows
 * once, and everybody joins when it comes by. So ten thousand subscriptions whose receiver comes
 * back cost one reading of the journal and not ten thousand.
 *
 * Rows are copied out of a reader that is given back at once; conditions are evaluated and
 * entities rendered without the lock, on specs that are counted and subscriptions that are pinned.
 */
#include "core/log.h"
#include "core/metrics.h"
#include "csource_outbox.h"
#include "link/access.h"
#include "subscription_impl.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CHUNK_ROWS = 128, PAGE_ENTITIES = 100, FLUSH_US = 200000, COUNT_US = 10000000 };

static struct metric matched =
    METRIC_COUNTER("marugoto_link_notifications_queued_total", "changes queued for a subscription");
static struct metric rows_read = METRIC_COUNTER("marugoto_link_journal_rows_followed_total",
                                                "journal rows offered to subscriptions");

/* --- rows --- */

struct copied_row {
    int64_t seq, at;
    struct str body;   /* absent: of nothing that is followed */
    struct str only;   /* told by a source for this subscription alone; absent: for all */
    bool registration; /* of one; else of an entity */
};

struct chunk {
    struct arena arena;
    VEC(struct copied_row) rows;
    struct store *store;
    int64_t tenant;
    uint64_t mark;  /* of rows that need not be read */
    int64_t upto;   /* all rows up to it are here, or need not be */
    bool more;      /* there may be some behind them */
    uint64_t epoch; /* of the journal before it was read */
};

static bool copy_row(void *ctx, const struct journal_row *row)
{
    struct chunk *c = ctx;
    if (journal_marked(c->store, c->tenant, row->seq - 1, c->mark) >= row->seq) {
        c->more = true; /* behind those with the mark */
        return false;
    }
    struct copied_row *r = vec_push(&c->arena, &c->rows);
    c->upto = row->seq;
    c->more = c->rows.n == CHUNK_ROWS;
    r->seq = row->seq;
    r->at = row->at;
    if (str_eq(row->topic, S("notified")))
        r->only = str_dup(&c->arena, row->key);
    r->registration = str_eq(row->topic, S("registration"));
    if (r->only.p || r->registration || str_eq(row->topic, S("entity")))
        r->body = str_dup(&c->arena, row->body);
    return true;
}

/* The chunk behind a position, which begins with what concerns nobody and is passed over. */
static struct chunk chunk_after(struct subscriptions *h, int64_t tenant, int64_t after)
{
    struct chunk c = {.store = h->link->store,
                      .tenant = tenant,
                      .mark = atomic_load(&h->index.generation),
                      .epoch = journal_epoch(h->link->store)};
    c.upto = journal_marked(c.store, tenant, after, c.mark);
    return c;
}

/* Its rows. ERR_NOT_FOUND: trimmed, *oldest is what is still there. */
static enum err read_chunk(struct subscriptions *h, struct chunk *c, int64_t *oldest)
{
    struct error e = {0};
    int64_t newest, tenant = c->tenant;
    struct store_conn *conn = store_read(h->link->store, &e);
    if (!conn)
        return e.code;
    enum err err = journal_read(conn, tenant, c->upto, CHUNK_ROWS, copy_row, c, &e);
    if (err == ERR_NOT_FOUND && journal_range(conn, tenant, oldest, &newest, &e))
        err = e.code;
    store_read_done(conn);
    if (err && err != ERR_NOT_FOUND)
        log_event(LOG_WARN, "link.journal_unreadable", LOG_I("tenant", tenant),
                  LOG_Z("error", e.text));
    metric_add(&rows_read, (int64_t)c->rows.n);
    return err;
}

/* --- one row --- */

struct candidate {
    struct sub *sub;
    struct sub_spec *spec;
    struct sub_payload *payload; /* NULL: not concerned */
};

struct heard {
    struct str owner;
    const struct entity_event *ev;
};

struct offer {
    struct subscriptions *hub;
    struct arena *arena;
    bool live; /* to those that keep up, else to the sweep */
    bool told; /* by a source that looked at the conditions itself */
    int64_t seq;
    struct sub_place place;
    VEC(struct candidate) list;
    VEC(struct sub_group *) rendered;
    VEC(struct heard) heard; /* by owner */
};

/* The row as an owner may hear of it at this moment; NULL: not at all. */
static const struct entity_event *hear(struct offer *o, const struct sub_spec *s,
                                       const struct entity_event *ev)
{
    struct str owner = s->group->owner;
    for (size_t i = 0; i < o->heard.n; i++)
        if (str_eq(o->heard.v[i].owner, owner))
            return o->heard.v[i].ev;
    const struct access_view *v = access_view_of(o->hub->link->access, owner, s->tenant);
    struct heard *h = vec_push(o->arena, &o->heard);
    if (ev->registration) /* of no entity: who may subscribe at all may hear of it */
        *h = (struct heard){owner, access_may(v, ACCESS_SUBSCRIBE) ? ev : NULL};
    else
        *h = (struct heard){owner, access_event(v, o->arena, ev)};
    return h->ev;
}

static void collect(void *ctx, const struct sub_list *list)
{
    struct offer *o = ctx;
    for (size_t i = 0; i < list->n; i++) {
        struct sub *s = list->v[i];
        bool in = o->live ? s->state == ST_LIVE : s->sweeping;
        if (s->stamp == o->hub->stamp || !in || o->seq <= s->read)
            continue;
        s->stamp = o->hub->stamp;
        s->pins++;
        sub_spec_ref(s->spec);
        *vec_push(o->arena, &o->list) = (struct candidate){s, s->spec, NULL};
    }
}

static void evaluate(struct offer *o, const struct entity_event *ev, int64_t at, int64_t stamp)
{
    for (size_t i = 0; i < o->list.n; i++) {
        struct candidate *c = &o->list.v[i];
        struct sub_group *g = c->spec->group;
        const struct entity_event *mine = hear(o, c->spec, ev);
        if (!mine || (!o->told && !sub_concerns(c->spec, &o->place, o->arena, mine)))
            continue;
        if (g->stamp != stamp) {
            g->stamp = stamp;
            g->payload = sub_render(g, &o->place, o->arena, mine, at);
            *vec_push(o->arena, &o->rendered) = g;
        }
        c->payload = g->payload;
    }
}

/* What the row says; *x is to be closed when it is a registration's. */
static enum err parse_row(struct offer *o, const struct copied_row *row, struct entity_event *ev,
                          struct csource_event *x, struct error *e)
{
    *x = (struct csource_event){0};
    if (!row->registration)
        return entity_event_parse(o->arena, row->body, ev, e);
    ev->registration = x;
    return csource_event_open(o->hub->link, o->arena, o->place.tenant, row->body, x, e);
}

/* Under the lock. What changed meanwhile (paused, deleted, fell out of the sweep) gets nothing. */
static void hand_out(struct offer *o)
{
    struct subscriptions *h = o->hub;
    for (size_t i = 0; i < o->list.n; i++) {
        struct candidate *c = &o->list.v[i];
        struct sub *s = c->sub;
        bool in = o->live ? s->state == ST_LIVE : s->sweeping;
        if (c->payload && in) {
            if (sub_has_room(h, s)) {
                sub_queue(h, s, c->payload, o->seq, false);
                sub_schedule(h, s);
                metric_add(&matched, 1);
            } else {
                sub_event(h, s, EV_FULL);
            }
        }
    }
    for (size_t i = 0; i < o->rendered.n; i++)
        sub_payload_unref(o->rendered.v[i]->payload);
    for (size_t i = 0; i < o->list.n; i++) {
        sub_spec_unref(&h->groups, o->list.v[i].spec);
        sub_unpin(h, o->list.v[i].sub);
    }
}

/* A row that cannot be read is an error of ours or of the disk: told, and passed. */
static void offer_row(struct subscriptions *h, struct arena *a, struct sub_tenant *t,
                      const struct copied_row *row, bool live)
{
    struct offer o = {
        .hub = h, .arena = a, .live = live, .seq = row->seq, .place = {h->link, t->tenant}};
    struct entity_event ev = {0};
    struct csource_event x = {0};
    struct error e = {0};
    int64_t stamp = 0;
    bool readable = row->body.p && !parse_row(&o, row, &ev, &x, &e);
    if (row->body.p && !readable)
        log_event(LOG_ERROR, "link.journal_row_unreadable", LOG_I("tenant", t->tenant),
                  LOG_I("seq", row->seq), LOG_Z("error", e.text));
    pthread_mutex_lock(&h->lock);
    if (readable) {
        struct sub *only = row->only.p ? sub_find(h, t->tenant, row->only) : NULL;
        struct sub_list one = {&only, 1, 1};
        stamp = ++h->stamp;
        o.told = only != NULL;
        if (row->registration)
            sub_index_registrations(&h->index, a, t->tenant, collect, &o);
        else if (only)
            collect(&o, &one);
        else if (!row->only.p)
            sub_index_find(&h->index, a, t->tenant, &ev, collect, &o);
    }
    if (o.list.n) {
        pthread_mutex_unlock(&h->lock);
        evaluate(&o, &ev, row->at, stamp);
        pthread_mutex_lock(&h->lock);
        hand_out(&o);
    }
    if (live)
        t->pos = row->seq;
    else
        t->sweep = row->seq;
    sub_pump(h);
    pthread_mutex_unlock(&h->lock);
    csource_event_close(&x);
    arena_reset(a);
}

static void offer_chunk(struct subscriptions *h, struct sub_tenant *t, struct chunk *c, bool live,
                        int64_t upto)
{
    struct arena a = ARENA_INIT;
    for (size_t i = 0; i < c->rows.n && c->rows.v[i].seq <= upto; i++)
        offer_row(h, &a, t, &c->rows.v[i], live);
    arena_release(&a);
}

/* --- those that keep up --- */

static bool follow_tenant(struct subscriptions *h, struct sub_tenant *t)
{
    int64_t oldest = 0;
    pthread_mutex_lock(&h->lock);
    int64_t pos = t->pos;
    uint64_t epoch = t->epoch;
    bool any = t->n_subs > 0;
    pthread_mutex_unlock(&h->lock);
    if (!any || journal_still(h->link->store, t->tenant, pos, epoch))
        return false;
    struct chunk c = chunk_after(h, t->tenant, pos);
    enum err err = OK;
    if (!journal_still(h->link->store, t->tenant, c.upto, epoch))
        err = read_chunk(h, &c, &oldest);
    if (err == ERR_NOT_FOUND) {
        /* Trimmed under our feet: their own positions show it in the sweep that follows. */
        pthread_mutex_lock(&h->lock);
        for (size_t i = 0; i < h->all.n; i++)
            if (h->all.v[i]->tenant == t && h->all.v[i]->state == ST_LIVE)
                sub_event(h, h->all.v[i], EV_FULL);
        t->pos = oldest - 1;
        pthread_mutex_unlock(&h->lock);
    }
    if (!err) {
        offer_chunk(h, t, &c, true, INT64_MAX);
        pthread_mutex_lock(&h->lock);
        if (t->pos < c.upto)
            t->pos = c.upto;
        if (!c.more)
            t->epoch = c.epoch;
        pthread_mutex_unlock(&h->lock);
    }
    arena_release(&c.arena);
    return (!err && c.more) || err == ERR_NOT_FOUND;
}

/* --- sweeps --- */

/* Who wants to take part; the oldest position where a new sweep must start, -1: nobody. */
static int64_t gather(struct subscriptions *h, struct sub_tenant *t)
{
    int64_t from = -1;
    for (size_t i = 0; i < h->all.n; i++) {
        struct sub *s = h->all.v[i];
        if (s->tenant != t || s->sweeping || !sub_hungry(h, s))
            continue;
        if (s->read >= t->pos)
            sub_event(h, s, EV_CAUGHT_UP);
        else if (from < 0 || s->read < from)
            from = s->read;
    }
    return from;
}

static size_t join_sweep(struct subscriptions *h, struct sub_tenant *t)
{
    size_t n = 0;
    for (size_t i = 0; i < h->all.n; i++) {
        struct sub *s = h->all.v[i];
        if (s->tenant != t)
            continue;
        if (!s->sweeping && sub_hungry(h, s) && s->read >= t->sweep && s->read < t->pos)
            s->sweeping = true;
        n += s->sweeping;
    }
    return n;
}

static void end_sweep(struct subscriptions *h, struct sub_tenant *t)
{
    for (size_t i = 0; i < h->all.n; i++)
        if (h->all.v[i]->tenant == t && h->all.v[i]->sweeping)
            sub_event(h, h->all.v[i], EV_CAUGHT_UP);
    t->sweep = -1;
}

/* Their next rows are gone: a full notification brings them up to date, and the gap is counted. */
static void gap(struct subscriptions *h, struct sub_tenant *t, int64_t oldest)
{
    for (size_t i = 0; i < h->all.n; i++) {
        struct sub *s = h->all.v[i];
        if (s->tenant != t || !s->sweeping)
            continue;
        s->read = sub_seen(s);
        s->sweeping = false;
        if (s->read >= oldest - 1)
            continue;
        s->full.wanted = s->full.resync = true;
        s->full.after = s->full.seq = 0;
        s->full.selector = 0;
        s->count.gaps++;
        s->counters_moved = true;
        log_event(LOG_WARN, "link.subscription_gap", LOG_S("subscription", s->spec->id),
                  LOG_I("from", s->read), LOG_I("to", oldest - 1));
        sub_schedule(h, s);
    }
    t->sweep = -1;
}

/* One piece of the tenant's sweep. True when it goes on. */
static bool sweep_tenant(struct subscriptions *h, struct sub_tenant *t)
{
    int64_t oldest = 0, upto;
    pthread_mutex_lock(&h->lock);
    int64_t from = gather(h, t);
    bool go = t->sweep >= 0 && join_sweep(h, t) > 0;
    if (!go) { /* nobody is left of the last one: a new one for those who wait */
        t->sweep = from;
        go = from >= 0 && join_sweep(h, t) > 0;
    }
    if (!go)
        t->sweep = -1;
    upto = t->pos;
    from = t->sweep;
    pthread_mutex_unlock(&h->lock);
    if (!go)
        return false;
    struct chunk c = chunk_after(h, t->tenant, from);
    enum err err = c.upto < upto ? read_chunk(h, &c, &oldest) : OK;
    if (!err)
        offer_chunk(h, t, &c, false, upto);
    pthread_mutex_lock(&h->lock);
    if (!err)
        t->sweep = c.upto < upto ? c.upto : upto;
    bool moved = err == ERR_NOT_FOUND || (!err && t->sweep > from);
    if (err == ERR_NOT_FOUND)
        gap(h, t, oldest);
    else if (!err && t->sweep >= upto)
        end_sweep(h, t);
    h->hungry = true; /* also when the store gave nothing now */
    pthread_mutex_unlock(&h->lock);
    arena_release(&c.arena);
    return moved;
}

/* --- full notifications: periods and gaps --- */

struct page {
    const struct sub_spec *spec;
    struct sub_place place;
    size_t selector;
    struct arena *arena;
    struct buf text;
    size_t n;
    VEC(struct sub_payload *) each; /* of a face: a payload for each entity */
};

static bool page_by_face(struct page *p, const struct json *stored)
{
    struct entity_event ev = {.op = EVENT_UPDATED, .doc = stored};
    if (p->spec->face->selects(p->spec, p->selector, p->arena, stored))
        *vec_push(p->arena, &p->each) = sub_render(p->spec->group, &p->place, p->arena, &ev, 0);
    return true;
}

static bool page_entity(void *ctx, const struct entity_row *row, const struct json *stored)
{
    struct page *p = ctx;
    (void)row;
    if (p->spec->face)
        return page_by_face(p, stored);
    if (p->selector && sub_selects(p->spec, p->selector, stored))
        return true; /* told by an earlier selector */
    if (p->n)
        buf_char(&p->text, ',');
    sub_render_entity(&p->text, p->spec->group, &p->place, p->arena, stored);
    p->n++;
    return true;
}

struct page_end {
    int64_t after, seq;
    bool more;
};

/* What a face tells of its own, as of the journal row before it looked. */
static enum err page_of_face(struct subscriptions *h, struct page *p, int64_t after,
                             struct page_end *end, struct error *e)
{
    int64_t oldest;
    struct sub_face_page page = {.after = after, .out = &p->text};
    struct store_conn *c = store_read(h->link->store, e);
    if (!c)
        return e->code;
    enum err err = journal_range(c, p->spec->tenant, &oldest, &end->seq, e);
    store_read_done(c);
    if (err)
        return err;
    p->spec->face->page(h->link, p->spec, p->arena, &page);
    p->n = page.n;
    p->selector = p->spec->n_selectors; /* all of them at once */
    end->after = page.last;
    end->more = page.more;
    return OK;
}

/* Entities of one selector after `after`. */
static enum err make_page(struct subscriptions *h, struct page *p, int64_t after,
                          struct page_end *end, struct error *e)
{
    const struct sub_spec *s = p->spec;
    struct entity_query q;
    struct repo_result result;
    struct sub_links links;
    int64_t oldest;
    const struct clock *clock = h->link->clock;
    if (s->face && s->face->page)
        return page_of_face(h, p, after, end, e);
    enum err err = sub_filter_new(p->arena, s, &q, e);
    if (err)
        return err;
    if (s->face) {
        q.types = s->selectors[p->selector].types;
    } else if (s->n_selectors) {
        const struct sub_selector *sel = &s->selectors[p->selector];
        q.ids = sel->ids;
        q.n_ids = sel->n_ids;
        q.types = sel->types;
        q.id_pattern = sel->pattern;
    } else {
        q.attrs = s->watched;
        q.n_attrs = s->n_watched;
    }
    const struct access_view *view = access_view_of(h->link->access, s->group->owner, s->tenant);
    struct store_conn *c = store_read(h->link->store, e);
    if (c)
        store_set_view(c, view);
    q.linker = sub_links_open(&links, &p->place, s->group->owner, c);
    err = c ? journal_range(c, s->tenant, &oldest, &end->seq, e) : e->code;
    if (!err && access_may(view, ACCESS_SUBSCRIBE)) {
        struct repo_query rq = {.query = &q,
                                .tenant = s->tenant,
                                .after = after,
                                .limit = PAGE_ENTITIES,
                                .clock = clock,
                                .deadline = clock_steady(clock) + h->link->options.query_ms * 1000};
        err = repo_query(c, &rq, page_entity, p, &result, e);
        end->after = result.last;
        end->more = result.more;
    }
    if (c)
        store_read_done(c);
    sub_links_close(&links);
    q.id_pattern = NULL; /* the spec's own */
    entity_query_release(&q);
    return err;
}

static void page_made(struct subscriptions *h, struct sub *s, const struct page *p,
                      const struct page_end *end)
{
    bool last = !end->more && p->selector + 1 >= p->spec->n_selectors;
    if (!s->full.seq)
        s->full.seq = end->seq;
    s->full.wanted = !last;
    s->full.after = end->more ? end->after : 0;
    s->full.selector = end->more || last ? p->selector : p->selector + 1;
    for (size_t i = 0; i < p->each.n; i++)
        sub_queue(h, s, p->each.v[i], clock_now(h->link->clock), true);
    if (p->n) {
        struct sub_payload *payload = sub_payload_new(buf_view(&p->text), STR_NONE);
        sub_queue(h, s, payload, clock_now(h->link->clock), true);
        sub_payload_unref(payload);
    } else if (last && s->full.resync && !p->each.n) {
        s->read = s->full.seq;
        s->full.resync = false;
        h->hungry = true;
    }
    if (last && !s->full.resync)
        s->full.seq = 0;
}

void sub_full_run(struct subscriptions *h, struct sub *s)
{
    struct arena a = ARENA_INIT;
    struct error e = {0};
    struct page_end end = {0};
    pthread_mutex_lock(&h->lock);
    struct sub_spec *spec = s->spec;
    struct page p = {.spec = spec,
                     .place = {h->link, spec->tenant},
                     .selector = s->full.selector,
                     .arena = &a,
                     .text = BUF_INIT};
    int64_t after = s->full.after;
    bool wanted = s->full.wanted && !h->closing && s->state != ST_GONE;
    if (p.selector >= spec->n_selectors)
        p.selector = 0;
    sub_spec_ref(spec);
    s->pins++;
    pthread_mutex_unlock(&h->lock);
    enum err err = wanted ? make_page(h, &p, after, &end, &e) : OK;
    pthread_mutex_lock(&h->lock);
    s->full.running = false;
    if (err) {
        log_event(LOG_WARN, "link.full_notification", LOG_S("subscription", spec->id),
                  LOG_Z("error", e.text));
        s->full.not_before = clock_steady(h->link->clock) + SECOND_US;
    } else if (wanted && s->full.wanted && s->spec == spec) {
        page_made(h, s, &p, &end);
    }
    if (s->state != ST_GONE && !h->closing) {
        sub_schedule(h, s);
        sub_pump(h);
    }
    sub_spec_unref(&h->groups, spec);
    sub_unpin(h, s);
    pthread_mutex_unlock(&h->lock);
    for (size_t i = 0; i < p.each.n; i++)
        sub_payload_unref(p.each.v[i]);
    buf_release(&p.text);
    arena_release(&a);
}

struct full_task {
    struct subscriptions *hub;
    struct sub *sub;
};

static void full_task(void *ctx)
{
    struct full_task *t = ctx;
    sub_full_run(t->hub, t->sub);
    sub_hub_unref(t->hub);
    free(t);
}

static void start_full(struct subscriptions *h, struct sub *s)
{
    struct full_task *t = malloc(sizeof(*t));
    if (!t)
        abort();
    *t = (struct full_task){h, s};
    atomic_fetch_add(&h->refs, 1);
    uint64_t lane = (uint64_t)s->tenant->tenant;
    if (h->link->pool && !pool_submit_in(h->link->pool, lane, full_task, t))
        return;
    full_task(t); /* the pool is full, or there is none: here, then */
}

static void start_fulls(struct subscriptions *h)
{
    for (;;) {
        struct sub *s = NULL;
        pthread_mutex_lock(&h->lock);
        if (h->fulls.n && !h->closing)
            s = h->fulls.v[--h->fulls.n];
        pthread_mutex_unlock(&h->lock);
        if (!s)
            return;
        start_full(h, s);
    }
}

/* --- rounds --- */

bool sub_step(struct subscriptions *h, bool flush)
{
    bool more = false;
    struct error e = {0};
    pthread_mutex_lock(&h->lock);
    sub_timers(h);
    sub_pump(h);
    struct sub_tenant *first = h->tenants; /* tenants are only ever added at the head */
    pthread_mutex_unlock(&h->lock);
    start_fulls(h);
    for (struct sub_tenant *t = first; t; t = t->next)
        if (follow_tenant(h, t))
            more = true;
    pthread_mutex_lock(&h->lock);
    bool hungry = h->hungry;
    h->hungry = false;
    pthread_mutex_unlock(&h->lock);
    for (struct sub_tenant *t = first; t && hungry; t = t->next)
        if (sweep_tenant(h, t))
            more = true;
    int64_t now = clock_steady(h->link->clock);
    if (flush || now - h->flushed_at >= FLUSH_US) {
        bool counters = flush || now - h->counted_at >= COUNT_US;
        h->flushed_at = now;
        if (counters)
            h->counted_at = now;
        if (sub_flush(h, counters, &e))
            log_event(LOG_WARN, "link.cursors_not_written", LOG_Z("error", e.text));
    }
    return more;
}

/* Until woken, the next timer, or the next writing of cursors. */
static void wait_for_work(struct subscriptions *h)
{
    struct timespec until;
    pthread_mutex_lock(&h->lock);
    int64_t now = clock_steady(h->link->clock);
    int64_t due = sub_timers(h), most = now + FLUSH_US;
    if (due && due < most)
        most = due > now ? due : now;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + (most - now) * 1000;
    until.tv_sec += ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    while (!h->changed && !h->closing)
        if (pthread_cond_timedwait(&h->wake, &h->lock, &until) == ETIMEDOUT)
            break;
    h->changed = false;
    pthread_mutex_unlock(&h->lock);
}

static void *follower(void *ctx)
{
    struct subscriptions *h = ctx;
    bool closing = false;
    while (!closing) {
        if (!sub_share_round(h) || !sub_step(h, false))
            wait_for_work(h);
        pthread_mutex_lock(&h->lock);
        closing = h->closing;
        pthread_mutex_unlock(&h->lock);
    }
    return NULL;
}

static void on_journal(void *ctx)
{
    struct subscriptions *h = ctx;
    pthread_mutex_lock(&h->lock);
    sub_wake(h);
    pthread_mutex_unlock(&h->lock);
}

/* --- opening and closing --- */

struct subscriptions *sub_hub_new(struct link *l, const struct sub_net *net, struct error *e)
{
    struct subscriptions *h = calloc(1, sizeof(*h));
    pthread_condattr_t monotonic;
    if (!h)
        abort();
    h->link = l;
    h->net = *net;
    h->refs = 1;
    pthread_mutex_init(&h->flushing, NULL);
    pthread_mutex_init(&h->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&h->wake, &monotonic);
    pthread_cond_init(&h->idle, &monotonic);
    pthread_condattr_destroy(&monotonic);
    sub_share_init(h);
    sub_index_init(&h->index);
    if (!sub_load(h, e)) {
        journal_mark_by(l->store, sub_index_mark, &h->index);
        return h;
    }
    sub_hub_unref(h);
    return NULL;
}

static enum err send_outside(void *ctx, const struct outbound *m, struct error *e)
{
    return outbound_send(ctx, m, e);
}

/* For jitter only: nobody gains from guessing it. */
static uint64_t random_jitter(void *ctx)
{
    static _Atomic uint64_t state = UINT64_C(0x9e3779b97f4a7c15);
    (void)ctx;
    uint64_t x = atomic_fetch_add(&state, UINT64_C(0x9e3779b97f4a7c15));
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

struct subscriptions *subscriptions_new(struct link *l, struct error *e)
{
    struct sub_net net = {send_outside, random_jitter, l};
    struct subscriptions *h = sub_hub_new(l, &net, e);
    if (!h)
        return NULL;
    h->threaded = true;
    journal_listen_unmarked(l->store, on_journal, h);
    sub_share_start(h);
    if (!pthread_create(&h->thread, NULL, follower, h))
        return h;
    sub_share_stop(h);
    journal_unlisten(l->store, on_journal, h);
    journal_mark_by(l->store, NULL, NULL);
    sub_hub_unref(h);
    error_set(e, ERR_INTERNAL, "cannot start the thread that follows the journal");
    return NULL;
}

/* Answers that are nearly here spare their receivers a repetition. */
static void wait_for_answers(struct subscriptions *h)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec++;
    while (h->flying)
        if (pthread_cond_timedwait(&h->idle, &h->lock, &until) == ETIMEDOUT)
            break;
}

void subscriptions_free(struct subscriptions *h)
{
    struct error e = {0};
    journal_mark_by(h->link->store, NULL, NULL);
    if (h->threaded) {
        sub_share_stop(h);
        journal_unlisten(h->link->store, on_journal, h);
    }
    pthread_mutex_lock(&h->lock);
    h->closing = true;
    pthread_cond_broadcast(&h->wake);
    pthread_mutex_unlock(&h->lock);
    if (h->threaded)
        pthread_join(h->thread, NULL);
    pthread_mutex_lock(&h->lock);
    if (h->threaded)
        wait_for_answers(h);
    pthread_mutex_unlock(&h->lock);
    if (sub_flush(h, true, &e))
        log_event(LOG_WARN, "link.cursors_not_written", LOG_Z("error", e.text));
    sub_hub_unref(h);
}
