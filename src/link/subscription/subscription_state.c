/*
 * The life of a subscription: states, queue, timers. Sending is in subscription_send.c.
 *
 * Invariants, all under the hub's lock:
 *
 *   1. A queue holds notifications in the order of the journal; only its head is ever sent, and
 *      no second request starts before the first one was answered. So nothing overtakes anything
 *      within a subscription.
 *   2. An item leaves the queue when a receiver answered 2xx, or because nobody wants it any more
 *      (paused, expired, deleted), or when throttling lets a newer state of the same entity take
 *      its place, or when an operator moves the position, which is recorded. Any other answer, 4xx
 *      too, is a failure: it is tried again, later and later. A notification that was refused too
 *      often sets its subscription aside: the queue is read from the journal again when it goes on.
 *   3. Every row up to sub_seen() is delivered, in the queue or of no concern. Every row up to
 *      sub_cursor() is delivered or of no concern.
 *   4. pos of a tenant speaks for all in ST_LIVE, sweep for all that are `sweeping` (these are in
 *      ST_BEHIND); others keep their own `read`. Leaving such a group writes `read` first.
 *   5. What is on disk is never ahead of sub_cursor(): after a crash notifications may be repeated
 *      (with the same id), never lost.
 *   6. A subscription is freed when it is gone, nothing of it is on its way, no page of it is being
 *      made and nobody has it pinned.
 *
 *              rows come from     queue      sends
 *   LIVE       the follower       grows      the head
 *   BEHIND     sweeps             grows      the head
 *   RETRYING   -                  stays      the head again when retry_at has come
 *   ASIDE      -                  is dropped -, the position stays
 *   PAUSED     -                  is dropped -
 *   EXPIRED    -                  is dropped -
 *   GONE       -                  is dropped -
 */
#include "subscription_impl.h"
#include <stdlib.h>
#include <string.h>

static const struct {
    enum sub_state to;
    bool possible;
} transitions[ST_STATES][EV_EVENTS] = {
#define TO(state)                                                                                  \
    {                                                                                              \
        state, true                                                                                \
    }
    [ST_LIVE] = {[EV_FULL] = TO(ST_BEHIND),
                 [EV_FAILED] = TO(ST_RETRYING),
                 [EV_ASIDE] = TO(ST_ASIDE),
                 [EV_MOVE] = TO(ST_BEHIND),
                 [EV_PAUSE] = TO(ST_PAUSED),
                 [EV_EXPIRE] = TO(ST_EXPIRED),
                 [EV_DELETE] = TO(ST_GONE)},
    [ST_BEHIND] = {[EV_FULL] = TO(ST_BEHIND),
                   [EV_CAUGHT_UP] = TO(ST_LIVE),
                   [EV_FAILED] = TO(ST_RETRYING),
                   [EV_ASIDE] = TO(ST_ASIDE),
                   [EV_MOVE] = TO(ST_BEHIND),
                   [EV_PAUSE] = TO(ST_PAUSED),
                   [EV_EXPIRE] = TO(ST_EXPIRED),
                   [EV_DELETE] = TO(ST_GONE)},
    [ST_RETRYING] = {[EV_FAILED] = TO(ST_RETRYING),
                     [EV_DELIVERED] = TO(ST_BEHIND),
                     [EV_ASIDE] = TO(ST_ASIDE),
                     [EV_MOVE] = TO(ST_BEHIND),
                     [EV_PAUSE] = TO(ST_PAUSED),
                     [EV_EXPIRE] = TO(ST_EXPIRED),
                     [EV_DELETE] = TO(ST_GONE)},
    [ST_ASIDE] = {[EV_MOVE] = TO(ST_ASIDE),
                  [EV_ASIDE] = TO(ST_ASIDE),
                  [EV_RESUME] = TO(ST_BEHIND),
                  [EV_PAUSE] = TO(ST_PAUSED),
                  [EV_EXPIRE] = TO(ST_EXPIRED),
                  [EV_DELETE] = TO(ST_GONE)},
    [ST_PAUSED] = {[EV_RESUME] = TO(ST_BEHIND),
                   [EV_ASIDE] = TO(ST_ASIDE),
                   [EV_EXPIRE] = TO(ST_EXPIRED),
                   [EV_DELETE] = TO(ST_GONE)},
    [ST_EXPIRED] = {[EV_RESUME] = TO(ST_BEHIND),
                    [EV_ASIDE] = TO(ST_ASIDE),
                    [EV_PAUSE] = TO(ST_PAUSED),
                    [EV_DELETE] = TO(ST_GONE)},
#undef TO
};

static int64_t steady(const struct subscriptions *h)
{
    return clock_steady(h->link->clock);
}

bool sub_at_work(const struct sub *s)
{
    return s->state == ST_LIVE || s->state == ST_BEHIND || s->state == ST_RETRYING;
}

const char *sub_status(const struct sub *s)
{
    return s->state == ST_EXPIRED ? "expired" : sub_at_work(s) ? "active" : "paused";
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

int64_t sub_seen(const struct sub *s)
{
    if (s->state == ST_LIVE)
        return later(s->read, s->tenant->pos);
    return s->sweeping ? later(s->read, s->tenant->sweep) : s->read;
}

int64_t sub_cursor(const struct sub *s)
{
    if (s->moving)
        return s->move_to;
    if (s->n && !s->queue[s->head].full)
        return s->queue[s->head].seq - 1;
    return sub_seen(s);
}

/* --- queue --- */

struct sub_item *sub_item_at(const struct sub *s, uint32_t i)
{
    return &s->queue[(s->head + i) % s->cap];
}

static void grow(struct sub *s)
{
    uint32_t cap = s->cap ? s->cap * 2 : 2;
    struct sub_item *q = malloc(cap * sizeof(*q));
    if (!q)
        abort();
    for (uint32_t i = 0; i < s->n; i++)
        q[i] = *sub_item_at(s, i);
    free(s->queue);
    s->queue = q;
    s->head = 0;
    s->cap = cap;
}

static void drop_payload(struct subscriptions *h, struct sub_payload *p)
{
    h->queued_bytes -= p->n;
    sub_payload_unref(p);
}

/* The first n items; an empty queue gives its memory back. */
void sub_pop(struct subscriptions *h, struct sub *s, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        drop_payload(h, sub_item_at(s, i)->payload);
    s->n -= n;
    s->head = s->n ? (s->head + n) % s->cap : 0;
    if (!s->n && s->cap > 8) {
        free(s->queue);
        s->queue = NULL;
        s->cap = 0;
    }
}

/* All that is not on its way. */
static void drop_waiting(struct subscriptions *h, struct sub *s)
{
    while (s->n > s->flying)
        drop_payload(h, sub_item_at(s, --s->n)->payload);
}

static bool same_entity(const struct sub_payload *p, const struct sub_payload *q)
{
    return p->n_id && p->n_id == q->n_id && !memcmp(p->text + p->n, q->text + q->n, p->n_id);
}

/* Throttling: a newer state takes the place of one that waits. */
static void drop_superseded(struct subscriptions *h, struct sub *s, const struct sub_payload *p)
{
    for (uint32_t i = s->flying; i < s->n; i++) {
        if (!same_entity(sub_item_at(s, i)->payload, p))
            continue;
        drop_payload(h, sub_item_at(s, i)->payload);
        for (; i + 1 < s->n; i++)
            *sub_item_at(s, i) = *sub_item_at(s, i + 1);
        s->n--;
        return;
    }
}

void sub_queue(struct subscriptions *h, struct sub *s, struct sub_payload *p, int64_t seq,
               bool full)
{
    if (s->spec->throttle_us && !full)
        drop_superseded(h, s, p);
    if (s->n == s->cap)
        grow(s);
    atomic_fetch_add(&p->refs, 1);
    h->queued_bytes += p->n;
    s->n++;
    *sub_item_at(s, s->n - 1) = (struct sub_item){p, seq, full};
}

bool sub_has_room(const struct subscriptions *h, const struct sub *s)
{
    return s->n == 0 ||
           (s->n < h->link->options.notify_window && h->queued_bytes < SUB_QUEUED_BYTES);
}

bool sub_hungry(const struct subscriptions *h, const struct sub *s)
{
    return s->state == ST_BEHIND && !s->full.resync && !s->spec->interval_us &&
           (s->n == 0 ||
            (s->n <= h->link->options.notify_window / 2 && h->queued_bytes < SUB_QUEUED_BYTES / 2));
}

/* --- timers: a binary heap, earliest first --- */

static void heap_set(struct subscriptions *h, size_t i, struct sub *s)
{
    h->timers.v[i] = s;
    s->heap_at = i;
}

static void heap_sift(struct subscriptions *h, size_t i)
{
    struct sub *s = h->timers.v[i];
    size_t n = h->timers.n - 1;
    for (; i > 1 && h->timers.v[i / 2]->due > s->due; i /= 2)
        heap_set(h, i, h->timers.v[i / 2]);
    for (size_t k; (k = i * 2) <= n; i = k) {
        if (k < n && h->timers.v[k + 1]->due < h->timers.v[k]->due)
            k++;
        if (h->timers.v[k]->due >= s->due)
            break;
        heap_set(h, i, h->timers.v[k]);
    }
    heap_set(h, i, s);
}

static void heap_remove(struct subscriptions *h, struct sub *s)
{
    size_t i = s->heap_at;
    if (!i)
        return;
    struct sub *last = h->timers.v[--h->timers.n];
    s->heap_at = 0;
    if (last == s)
        return;
    heap_set(h, i, last);
    heap_sift(h, i);
}

/* due 0: none. */
static void set_timer(struct subscriptions *h, struct sub *s, int64_t due)
{
    if (due == s->due && (due == 0) == (s->heap_at == 0))
        return;
    s->due = due;
    if (!due) {
        heap_remove(h, s);
        return;
    }
    if (!s->heap_at) {
        if (!h->timers.n)
            sub_list_add(&h->timers, NULL);
        sub_list_add(&h->timers, s);
        s->heap_at = h->timers.n - 1;
    }
    heap_sift(h, s->heap_at);
    if (s->heap_at == 1)
        sub_wake(h);
}

int64_t sub_timers(struct subscriptions *h)
{
    int64_t now = steady(h);
    while (h->timers.n > 1 && h->timers.v[1]->due <= now) {
        struct sub *s = h->timers.v[1];
        set_timer(h, s, 0);
        sub_schedule(h, s);
    }
    return h->timers.n > 1 ? h->timers.v[1]->due : 0;
}

void sub_wake(struct subscriptions *h)
{
    h->changed = true;
    pthread_cond_signal(&h->wake);
}

/* --- life --- */

void sub_release(struct subscriptions *h, struct sub *s)
{
    if (s->state != ST_GONE || s->flying || s->full.running || s->pins)
        return;
    drop_waiting(h, s);
    free(s->queue);
    sub_spec_unref(&h->groups, s->spec);
    free(s);
}

void sub_unpin(struct subscriptions *h, struct sub *s)
{
    s->pins--;
    sub_release(h, s);
}

static void leave_all(struct subscriptions *h, struct sub *s)
{
    size_t asked = h->fulls.n;
    sub_index_remove(&h->index, s);
    map_del(&h->by_id, s->spec->key);
    sub_list_remove(&h->all, s);
    sub_list_remove(&h->fulls, s);
    if (h->fulls.n < asked)
        s->full.running = false;
    set_timer(h, s, 0);
    sub_host_leave(h, s);
    s->tenant->n_subs--;
}

/* From its first page, or not at all. */
static void restart_full(struct sub *s, bool resync)
{
    s->full.wanted = s->full.resync = resync;
    s->full.after = s->full.seq = 0;
    s->full.selector = 0;
}

void sub_event(struct subscriptions *h, struct sub *s, enum sub_event ev)
{
    if (!transitions[s->state][ev].possible)
        return;
    s->read = ev == EV_ASIDE ? sub_cursor(s) : sub_seen(s);
    s->sweeping = false;
    s->state = transitions[s->state][ev].to;
    if (s->state == ST_BEHIND) {
        h->hungry = true;
        sub_wake(h);
    }
    if (sub_at_work(s))
        return;
    sub_unready(s);
    drop_waiting(h, s);
    restart_full(s, s->state == ST_ASIDE && s->full.resync);
    s->attempts = 0;
}

void sub_delete(struct subscriptions *h, struct sub *s)
{
    sub_event(h, s, EV_DELETE);
    leave_all(h, s);
    sub_release(h, s);
}

void sub_set_aside(struct subscriptions *h, struct sub *s, enum sub_off why)
{
    s->count.off = why;
    s->counters_moved = true;
    s->disk_cursor = -1; /* soon on disk */
    sub_event(h, s, EV_ASIDE);
    sub_schedule(h, s);
}

void sub_go_on(struct subscriptions *h, struct sub *s)
{
    s->count.off = OFF_NOT;
    s->count.refusals = 0;
    s->counters_moved = true;
    s->disk_cursor = -1;
    s->retry_at = 0;
    if (s->state == ST_ASIDE)
        sub_event(h, s, EV_RESUME);
    sub_schedule(h, s);
    sub_pump(h);
}

void sub_move_now(struct subscriptions *h, struct sub *s)
{
    if (!s->moving || s->flying)
        return;
    s->moving = false;
    sub_unready(s);
    drop_waiting(h, s);
    restart_full(s, false);
    sub_event(h, s, EV_MOVE);
    s->read = s->move_to;
    s->attempts = 0;
    s->retry_at = 0;
    s->count.refusals = 0;
    s->counters_moved = true;
    s->disk_cursor = -1;
}

void sub_move(struct subscriptions *h, struct sub *s, int64_t read)
{
    s->moving = true;
    s->move_to = read;
    sub_move_now(h, s);
    sub_schedule(h, s);
}

void sub_switch_off(struct subscriptions *h, struct sub *s)
{
    s->count.off = OFF_ITSELF;
    s->counters_moved = true;
    sub_event(h, s, EV_PAUSE);
}

static struct sub_tenant *tenant_get(struct subscriptions *h, int64_t tenant)
{
    struct sub_tenant *t = h->tenants;
    while (t && t->tenant != tenant)
        t = t->next;
    if (t)
        return t;
    t = calloc(1, sizeof(*t));
    if (!t)
        abort();
    t->tenant = tenant;
    t->sweep = -1;
    t->next = h->tenants;
    h->tenants = t;
    return t;
}

static void start_period(struct subscriptions *h, struct sub *s)
{
    s->next_full = s->spec->interval_us ? steady(h) + s->spec->interval_us : 0;
}

struct sub *sub_enter(struct subscriptions *h, const struct sub_new *n)
{
    struct sub *s = calloc(1, sizeof(*s));
    if (!s)
        abort();
    s->spec = n->spec;
    s->sid = n->sid;
    s->read = s->disk_cursor = n->read;
    s->disk_pending = true;
    s->count = n->count;
    s->count.last_error = STR_NONE;
    s->tenant = tenant_get(h, n->spec->tenant);
    if (!s->tenant->n_subs++)
        s->tenant->pos = later(s->tenant->pos, n->read);
    s->state = !n->spec->active || n->count.off == OFF_ITSELF ? ST_PAUSED
               : n->count.off                                 ? ST_ASIDE
                                                              : ST_BEHIND;
    sub_group_join(&h->groups, s->spec);
    sub_index_add(&h->index, s);
    map_put(&h->by_id, s->spec->key, s);
    sub_list_add(&h->all, s);
    sub_host_join(h, s);
    start_period(h, s);
    h->hungry = true;
    sub_schedule(h, s);
    sub_wake(h);
    return s;
}

void sub_tell_all(struct subscriptions *h, struct sub *s)
{
    if (!sub_at_work(s))
        return;
    s->full.wanted = true;
    s->full.resync = !s->spec->interval_us;
    s->full.after = s->full.seq = 0;
    s->full.selector = 0;
    sub_schedule(h, s);
}

void sub_change(struct subscriptions *h, struct sub *s, struct sub_spec *spec, int64_t read)
{
    struct sub_spec *old = s->spec;
    bool expired = spec->expires && spec->expires <= clock_now(h->link->clock);
    sub_index_remove(&h->index, s);
    map_del(&h->by_id, old->key);
    sub_host_leave(h, s);
    s->spec = spec;
    sub_group_join(&h->groups, spec);
    sub_index_add(&h->index, s);
    map_put(&h->by_id, spec->key, s);
    sub_host_join(h, s);
    sub_spec_unref(&h->groups, old);
    if (s->count.off == OFF_REFUSED)
        s->count.off = OFF_NOT; /* its owner has put it right, we hope */
    if (expired) {
        sub_event(h, s, EV_EXPIRE);
    } else if (!spec->active || s->count.off == OFF_ITSELF) {
        sub_event(h, s, EV_PAUSE);
    } else if (s->state == ST_ASIDE && !s->count.off) {
        sub_go_on(h, s);
    } else if (!sub_at_work(s) && s->state != ST_ASIDE) {
        s->read = read;
        sub_event(h, s, s->count.off ? EV_ASIDE : EV_RESUME);
    }
    s->retry_at = s->throttle_until = 0;
    s->disk_cursor = -1; /* the row was written beside us */
    start_period(h, s);
    sub_schedule(h, s);
    sub_pump(h);
}

struct sub *sub_find(const struct subscriptions *h, int64_t tenant, struct str id)
{
    struct arena a = ARENA_INIT;
    struct sub *s =
        map_get(&h->by_id, str_printf(&a, "%lld %" STR_F, (long long)tenant, STR_A(id)));
    arena_release(&a);
    return s;
}

/* --- what is due --- */

static void earliest(int64_t *due, int64_t at)
{
    if (!*due || at < *due)
        *due = at;
}

/* A page of a full notification waits until the one before is delivered. */
static void want_page(struct subscriptions *h, struct sub *s, int64_t now, int64_t *due)
{
    if (!s->full.wanted || s->full.running || s->n)
        return;
    if (s->full.not_before > now) {
        earliest(due, s->full.not_before);
        return;
    }
    s->full.running = true;
    sub_list_add(&h->fulls, s);
    sub_wake(h);
}

void sub_schedule(struct subscriptions *h, struct sub *s)
{
    int64_t now = steady(h), due = 0;
    if (s->spec->expires && s->state != ST_EXPIRED) {
        int64_t left = s->spec->expires - clock_now(h->link->clock);
        if (left <= 0)
            sub_event(h, s, EV_EXPIRE);
        else
            due = now + left;
    }
    if (!sub_at_work(s)) {
        set_timer(h, s, due);
        return;
    }
    if (s->next_full) {
        if (now >= s->next_full) {
            s->next_full = now + s->spec->interval_us;
            if (!s->full.wanted && !s->full.running) {
                s->full.wanted = true;
                s->full.after = 0;
                s->full.selector = 0;
            }
        }
        earliest(&due, s->next_full);
    }
    want_page(h, s, now, &due);
    if (s->n && !s->flying && !s->ready) {
        int64_t from = later(s->throttle_until, s->state == ST_RETRYING ? s->retry_at : 0);
        if (from <= now)
            sub_ready(h, s);
        else
            earliest(&due, from);
    }
    set_timer(h, s, due);
}

/* --- the end --- */

void sub_free_all(struct subscriptions *h)
{
    while (h->all.n) {
        struct sub *s = h->all.v[h->all.n - 1];
        s->full.running = false;
        sub_delete(h, s);
    }
    struct map_iter it = {0};
    while (map_next(&h->hosts, &it))
        free(it.value);
    while (h->tenants) {
        struct sub_tenant *t = h->tenants;
        h->tenants = t->next;
        free(t);
    }
    sub_slabs_release(&h->slabs);
    free(h->all.v);
    free(h->timers.v);
    free(h->fulls.v);
    map_release(&h->by_id);
    map_release(&h->groups);
    map_release(&h->hosts);
    sub_index_release(&h->index);
}

void sub_hub_unref(struct subscriptions *h)
{
    if (atomic_fetch_sub(&h->refs, 1) != 1)
        return;
    sub_free_all(h);
    pthread_mutex_destroy(&h->flushing);
    sub_share_free(h);
    pthread_mutex_destroy(&h->lock);
    pthread_cond_destroy(&h->wake);
    pthread_cond_destroy(&h->idle);
    free(h);
}
