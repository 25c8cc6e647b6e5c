/*
 * Several processes on one store: each knows all subscriptions, one has the duty to notify.
 *
 *   1. Only who has the duty reads the journal for subscriptions, sends, and writes positions. The
 *      others stand by: what they show of counters and positions is read from the rows.
 *   2. Who gets the duty reads everything afresh: positions as the one before wrote them last. What
 *      that one told since is told again, with the same ids; nothing is lost or overtaken.
 *   3. Before each request it is asked whether the duty is still ours, so that one that hung does
 *      not go on sending where another has taken over.
 *   4. A subscription that another process wrote is read again under the lock, so that the newest
 *      row wins whoever wrote it.
 */
#include "core/log.h"
#include "subscription_impl.h"
#include <stdlib.h>
#include <string.h>

enum { REFRESH_US = 1000000, REFRESH_IDLE_US = 10000000, HINTS_MAX = 10000 };

const char sub_topic[] = "subscription";
static const char duty[] = "notify", order_topic[] = "delivery";

struct sub_hint {
    struct sub_hint *next;
    bool order;
    size_t n;
    char key[];
};

bool sub_has_duty(const struct subscriptions *h)
{
    return !h->standby && store_duty(h->link->store, duty) == h->term;
}

/* --- hints: "TENANT CURSOR WAKES id" of one that was written, "TENANT TO ACTION id" of an order
 * --- */

enum err sub_tell_order(struct store_conn *c, int64_t tenant, struct str id, int action, int64_t to,
                        struct error *e)
{
    struct arena a = ARENA_INIT;
    struct str key =
        str_printf(&a, "%lld %lld %d %" STR_F, (long long)tenant, (long long)to, action, STR_A(id));
    enum err err = store_tell(c, order_topic, key, e);
    arena_release(&a);
    return err;
}

enum err sub_tell(struct store_conn *c, const struct sub_written *w, struct error *e)
{
    struct arena a = ARENA_INIT;
    struct str key = str_printf(&a, "%lld %lld %d %" STR_F, (long long)w->tenant,
                                (long long)w->cursor, w->wakes, STR_A(w->id));
    enum err err = store_tell(c, sub_topic, key, e);
    arena_release(&a);
    return err;
}

static void free_hints(struct sub_hint *list)
{
    for (struct sub_hint *next; list; list = next) {
        next = list->next;
        free(list);
    }
}

/* On a thread of the store: the follower does the work. */
static void keep_hint(struct subscriptions *h, struct str key, bool order)
{
    struct sub_hint *hint = key.p ? malloc(sizeof(*hint) + key.n) : NULL;
    pthread_mutex_lock(&h->lock);
    if (!hint || h->n_hints == HINTS_MAX) {
        h->stale = true;
        free(hint);
    } else {
        hint->n = key.n;
        hint->order = order;
        memcpy(hint->key, key.p, key.n);
        hint->next = NULL;
        *h->last_hint = hint;
        h->last_hint = &hint->next;
        h->n_hints++;
    }
    sub_wake(h);
    pthread_mutex_unlock(&h->lock);
}

static void heard(void *ctx, struct str key)
{
    keep_hint(ctx, key, false);
}

static void heard_order(void *ctx, struct str key)
{
    keep_hint(ctx, key, true);
}

static struct str word(struct str *text)
{
    ptrdiff_t blank = str_find_char(*text, ' ');
    struct str w = blank < 0 ? *text : str_sub(*text, 0, (size_t)blank);
    *text = blank < 0 ? S("") : str_from(*text, (size_t)blank + 1);
    return w;
}

static enum err follow_hint(struct subscriptions *h, const struct sub_hint *hint, struct error *e)
{
    struct str rest = str_n(hint->key, hint->n);
    struct sub_written w = {0};
    int64_t third = 0;
    bool good = str_to_i64(word(&rest), &w.tenant) && str_to_i64(word(&rest), &w.cursor) &&
                str_to_i64(word(&rest), &third);
    w.wakes = third != 0;
    w.id = rest;
    if (good && hint->order && sub_has_duty(h))
        delivery_heard(h, w.tenant, w.id, third, w.cursor);
    return good && !hint->order ? sub_reload(h, &w, e) : OK;
}

static struct sub_hint *take_hints(struct subscriptions *h)
{
    struct sub_hint *list = h->hints;
    h->hints = NULL;
    h->last_hint = &h->hints;
    h->n_hints = 0;
    return list;
}

/* --- rounds --- */

/* Everything afresh; while it is read nobody sends. */
static enum err start_term(struct subscriptions *h, int64_t term, struct error *e)
{
    pthread_mutex_lock(&h->lock);
    h->standby = true;
    h->stale = false;
    free_hints(take_hints(h));
    pthread_mutex_unlock(&h->lock);
    enum err err = sub_load(h, e);
    pthread_mutex_lock(&h->lock);
    h->stale = h->stale || err;
    h->standby = err || !term;
    h->term = term;
    pthread_mutex_unlock(&h->lock);
    return err;
}

static bool refresh_is_due(struct subscriptions *h)
{
    int64_t now = clock_steady(h->link->clock);
    pthread_mutex_lock(&h->lock);
    bool due = now - h->refreshed_at >= (h->looked_at ? REFRESH_US : REFRESH_IDLE_US);
    if (due) {
        h->refreshed_at = now;
        h->looked_at = false;
    }
    pthread_mutex_unlock(&h->lock);
    return due;
}

bool sub_share_round(struct subscriptions *h)
{
    struct error e = {0};
    enum err err = OK;
    int64_t term = store_duty(h->link->store, duty);
    pthread_mutex_lock(&h->lock);
    bool afresh = h->stale || (term && (term != h->term || h->standby));
    h->standby = h->standby || !term;
    struct sub_hint *hints = afresh ? NULL : take_hints(h);
    pthread_mutex_unlock(&h->lock);
    if (afresh)
        err = start_term(h, term, &e);
    for (const struct sub_hint *i = hints; i && !err; i = i->next)
        err = follow_hint(h, i, &e);
    free_hints(hints);
    if (!err && !term && refresh_is_due(h))
        err = sub_refresh(h, &e);
    if (err) {
        log_event(LOG_WARN, "link.subscriptions_unreadable", LOG_Z("error", e.text));
        pthread_mutex_lock(&h->lock);
        h->stale = true;
        pthread_mutex_unlock(&h->lock);
    }
    return sub_has_duty(h);
}

void sub_share_init(struct subscriptions *h)
{
    h->last_hint = &h->hints;
    h->term = store_duty(h->link->store, duty);
    h->standby = h->term == 0;
}

void sub_share_start(struct subscriptions *h)
{
    store_heed(h->link->store, sub_topic, heard, h);
    store_heed(h->link->store, order_topic, heard_order, h);
}

void sub_share_stop(struct subscriptions *h)
{
    store_unheed(h->link->store, heard, h);
    store_unheed(h->link->store, heard_order, h);
}

void sub_share_free(struct subscriptions *h)
{
    free_hints(take_hints(h));
}
