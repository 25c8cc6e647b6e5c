/*
 * What operators see of deliveries and do to them. An order is written down first
 * (delivery_action), then done in the outbox, then its positions go to disk; all three before
 * anybody is told that it is done. What is done twice because of a crash between them is a
 * repetition, never a loss.
 */
#include "link/delivery.h"
#include "core/log.h"
#include "core/metrics.h"
#include "subscription_impl.h"
#include <string.h>

static struct metric skipped = METRIC_COUNTER("marugoto_link_notifications_skipped_total",
                                              "notifications that operators gave up");
static struct metric replays = METRIC_COUNTER("marugoto_link_replays_total",
                                              "times that operators had notifications repeated");

const struct str delivery_action_names[DELIVERY_ACTIONS] = {
    [DELIVERY_PAUSE] = S_INIT("pause"),   [DELIVERY_RESUME] = S_INIT("resume"),
    [DELIVERY_RETRY] = S_INIT("retry"),   [DELIVERY_SKIP] = S_INIT("skip"),
    [DELIVERY_REPLAY] = S_INIT("replay"),
};

const struct str subscription_state_names[] = {
    [SUB_ACTIVE] = S_INIT("active"),      [SUB_PAUSED] = S_INIT("paused"),
    [SUB_EXPIRED] = S_INIT("expired"),    [SUB_RETRYING] = S_INIT("retrying"),
    [SUB_SET_ASIDE] = S_INIT("setAside"), [SUB_HELD] = S_INIT("held"),
};

/* --- seeing --- */

static void fill_status(const struct subscriptions *h, const struct sub *s,
                        struct subscription_status *st)
{
    int64_t cursor = sub_cursor(s), now = clock_steady(h->link->clock);
    bool waits = s->state == ST_RETRYING && s->retry_at > now;
    bool still = s->spec->interval_us || s->state == ST_PAUSED || s->state == ST_EXPIRED;
    *st = (struct subscription_status){
        .id = s->spec->id,
        .name = s->spec->name,
        .endpoint = s->spec->shown_uri,
        .owner = s->spec->group->owner,
        .tenant = s->spec->tenant,
        .cursor = cursor,
        .lag = still || s->tenant->pos < cursor ? 0 : s->tenant->pos - cursor,
        .sent = s->count.sent - s->count.failed,
        .failed = s->count.failed,
        .gaps = s->count.gaps,
        .last_success = s->count.last_success,
        .last_failure = s->count.last_failure,
        .last_error = s->error_text[0] ? str_c(s->error_text) : STR_NONE,
        .next_attempt = waits ? clock_now(h->link->clock) + s->retry_at - now : 0,
        .attempts = s->attempts,
        .refusals = s->count.refusals,
        .skipped = s->count.skipped,
        .periodic = s->spec->interval_us != 0,
        .state = s->state == ST_PAUSED      ? SUB_PAUSED
                 : s->state == ST_EXPIRED   ? SUB_EXPIRED
                 : s->state == ST_RETRYING  ? SUB_RETRYING
                 : s->state != ST_ASIDE     ? SUB_ACTIVE
                 : s->count.off == OFF_HELD ? SUB_HELD
                                            : SUB_SET_ASIDE};
}

void subscriptions_each(struct subscriptions *h, int64_t tenant,
                        bool (*each)(void *ctx, const struct subscription_status *st), void *ctx)
{
    bool go = true;
    pthread_mutex_lock(&h->lock);
    h->looked_at = true;
    for (size_t i = 0; go && i < h->all.n; i++) {
        struct subscription_status st;
        if (h->all.v[i]->spec->tenant != tenant)
            continue;
        fill_status(h, h->all.v[i], &st);
        go = each(ctx, &st);
    }
    pthread_mutex_unlock(&h->lock);
}

bool subscriptions_one(struct subscriptions *h, struct arena *a, int64_t tenant, struct str id,
                       struct subscription_status *st)
{
    pthread_mutex_lock(&h->lock);
    h->looked_at = true;
    const struct sub *s = sub_find(h, tenant, id);
    if (s) {
        fill_status(h, s, st);
        st->id = str_dup(a, st->id);
        st->name = str_dup(a, st->name);
        st->endpoint = str_dup(a, st->endpoint);
        st->owner = st->owner.p ? str_dup(a, st->owner) : STR_NONE;
        st->last_error = st->last_error.p ? str_dup(a, st->last_error) : STR_NONE;
    }
    pthread_mutex_unlock(&h->lock);
    return s != NULL;
}

/* --- instants and positions --- */

static bool take_instant(void *ctx, const struct journal_row *row)
{
    *(int64_t *)ctx = row->at;
    return false;
}

/* Of the first row after one; 0: there is none that can be read. */
static int64_t instant_after(struct store_conn *c, int64_t tenant, int64_t seq)
{
    int64_t at = 0;
    struct error e;
    return journal_read(c, tenant, seq, 1, take_instant, &at, &e) ? 0 : at;
}

int64_t delivery_since(struct store_conn *c, const struct subscription_status *st)
{
    return st->lag > 0 ? instant_after(c, st->tenant, st->cursor) : 0;
}

/* The first row of the instant or later: rows lie in the order of time. */
static int64_t row_of_instant(struct store_conn *c, int64_t tenant, int64_t at, int64_t oldest,
                              int64_t newest)
{
    int64_t from = oldest, to = newest + 1;
    while (from < to) {
        int64_t middle = from + (to - from) / 2;
        if (instant_after(c, tenant, middle - 1) < at)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

/* --- doing --- */

struct doing {
    struct link *link;
    int64_t tenant, now;
    struct str id;
    const struct delivery_order *order;
    int64_t from, to; /* positions: delivered up to */
};

static enum err write_down(struct store_conn *c, void *ctx, struct error *e)
{
    const struct doing *d = ctx;
    const struct delivery_order *o = d->order;
    if (sub_tell_order(c, d->tenant, d->id, (int)o->action, d->to, e))
        return e->code;
    return store_exec(c,
                      "INSERT INTO delivery_action(tenant, subscription, at, action, from_seq,"
                      " to_seq, reason, actor) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                      SV(SV_INT(d->tenant), SV_TEXT(d->id), SV_INT(d->now),
                         SV_TEXT(delivery_action_names[o->action]), SV_INT(d->from), SV_INT(d->to),
                         o->reason.n ? SV_TEXT(o->reason) : SV_NULL,
                         o->actor.n ? SV_TEXT(o->actor) : SV_NULL),
                      NULL, e);
}

static void take_first(void *ctx, const struct delivery_waiting *w)
{
    *(int64_t *)ctx = w->seq;
}

static enum err position_of_skip(struct doing *d, struct store_conn *c, struct error *e)
{
    struct delivery_scan scan = {0};
    int64_t first = 0;
    if (!d->order->reason.n)
        return error_set(e, ERR_INVALID, "skipping needs a reason");
    d->to = d->order->position;
    while (!d->to) {
        if (delivery_waiting(d->link, c, d->tenant, d->id, scan.upto, 1, SIZE_MAX, take_first,
                             &first, &scan, e))
            return e->code;
        if (!first && !scan.more)
            return error_set(e, ERR_CONFLICT, "nothing waits");
        d->to = first;
    }
    if (d->to <= d->from)
        return error_set(e, ERR_INVALID, "row %lld is told already", (long long)d->to);
    return OK;
}

static enum err position_of_replay(struct doing *d, struct store_conn *c, int64_t oldest,
                                   int64_t newest, struct error *e)
{
    const struct delivery_order *o = d->order;
    if (!o->position == !o->time)
        return error_set(e, ERR_INVALID, "replaying needs a position or a time");
    int64_t first =
        o->position ? o->position : row_of_instant(c, d->tenant, o->time, oldest, newest);
    if (first < oldest)
        return error_set(e, ERR_INVALID, "the journal begins at row %lld", (long long)oldest);
    d->to = first - 1;
    return OK;
}

/* Where it stands and where it shall stand. */
static enum err find_positions(struct doing *d, struct error *e)
{
    int64_t oldest, newest;
    struct store_conn *c = store_read(d->link->store, e);
    if (!c)
        return e->code;
    enum err err = journal_range(c, d->tenant, &oldest, &newest, e);
    d->to = d->from;
    if (!err && d->order->action == DELIVERY_SKIP)
        err = position_of_skip(d, c, e);
    if (!err && d->order->action == DELIVERY_REPLAY)
        err = position_of_replay(d, c, oldest, newest, e);
    if (!err && d->to > newest)
        err = error_set(e, ERR_INVALID, "the journal ends at row %lld", (long long)newest);
    store_read_done(c);
    return err;
}

/* May it be done in the state at hand? Under the lock. */
static enum err permitted(const struct sub *s, enum delivery_action action, struct error *e)
{
    bool moves = action == DELIVERY_SKIP || action == DELIVERY_REPLAY;
    if (!sub_at_work(s) && s->state != ST_ASIDE)
        return error_set(e, ERR_CONFLICT, "the subscription is %s by its owner",
                         s->state == ST_EXPIRED ? "limited in time" : "paused");
    if (moves && s->spec->interval_us)
        return error_set(e, ERR_CONFLICT, "a periodic subscription has no position");
    if (action == DELIVERY_RESUME && s->state != ST_ASIDE)
        return error_set(e, ERR_CONFLICT, "the subscription is at work");
    if (action == DELIVERY_PAUSE && s->count.off == OFF_HELD)
        return error_set(e, ERR_CONFLICT, "the subscription is paused already");
    if (action == DELIVERY_RETRY && s->count.off == OFF_HELD)
        return error_set(e, ERR_CONFLICT, "the subscription is paused; let it go on first");
    return OK;
}

/* Under the lock. */
static void perform(struct subscriptions *h, struct sub *s, const struct doing *d)
{
    switch (d->order->action) {
    case DELIVERY_PAUSE:
        sub_set_aside(h, s, OFF_HELD);
        break;
    case DELIVERY_RESUME:
    case DELIVERY_RETRY:
        sub_go_on(h, s);
        break;
    case DELIVERY_SKIP:
        s->count.skipped++;
        metric_add(&skipped, 1);
        sub_move(h, s, d->to);
        if (s->count.off == OFF_REFUSED)
            sub_go_on(h, s);
        break;
    case DELIVERY_REPLAY:
        metric_add(&replays, 1);
        sub_move(h, s, d->to);
        break;
    case DELIVERY_ACTIONS:
        break;
    }
}

/* Find it and see whether the order may be given; perform it when asked. */
static enum err with_sub(struct doing *d, bool now, struct error *e)
{
    struct subscriptions *h = d->link->subscriptions;
    pthread_mutex_lock(&h->lock);
    struct sub *s = sub_find(h, d->tenant, d->id);
    enum err err = ERR_NOT_FOUND;
    if (!s)
        error_set(e, err, "no subscription %" STR_F, STR_A(d->id));
    else
        err = permitted(s, d->order->action, e);
    if (s && !err && !now)
        d->from = sub_cursor(s);
    if (s && !err && now)
        perform(h, s, d);
    pthread_mutex_unlock(&h->lock);
    return err;
}

void delivery_heard(struct subscriptions *h, int64_t tenant, struct str id, int64_t action,
                    int64_t to)
{
    struct error e = {0};
    struct delivery_order order = {.action = (enum delivery_action)action};
    struct doing d = {.link = h->link, .tenant = tenant, .id = id, .order = &order, .to = to};
    if (action < 0 || action >= DELIVERY_ACTIONS || with_sub(&d, true, &e) == OK)
        return;
    log_event(LOG_WARN, "link.delivery_order", LOG_S("subscription", id), LOG_Z("error", e.text));
}

enum err delivery_do(struct link *l, int64_t tenant, struct str id,
                     const struct delivery_order *order, struct error *e)
{
    struct doing d = {
        .link = l, .tenant = tenant, .now = clock_now(l->clock), .id = id, .order = order};
    enum err err = with_sub(&d, false, e);
    if (!err)
        err = find_positions(&d, e);
    if (!err)
        err = store_write(l->store, write_down, &d, e);
    if (!err)
        err = with_sub(&d, true, e);
    if (!err)
        err = sub_flush(l->subscriptions, true, e);
    if (!err)
        log_event(LOG_INFO, "link.delivery_action", LOG_S("subscription", id),
                  LOG_S("action", delivery_action_names[order->action]), LOG_I("from", d.from),
                  LOG_I("to", d.to));
    return err;
}

enum err delivery_deeds(struct store_conn *c, int64_t tenant, struct str id, size_t limit,
                        void (*each)(void *ctx, const struct delivery_deed *d), void *ctx,
                        struct error *e)
{
    struct store_rows r;
    store_query(c, &r,
                "SELECT at, from_seq, to_seq, action, reason, actor FROM delivery_action"
                " WHERE tenant = $1 AND subscription = $2 ORDER BY n DESC LIMIT $3",
                SV(SV_INT(tenant), SV_TEXT(id), SV_INT((int64_t)limit)));
    while (store_next(&r)) {
        struct delivery_deed d = {.at = store_int(&r, 0),
                                  .from = store_int(&r, 1),
                                  .to = store_int(&r, 2),
                                  .action = store_text(&r, 3),
                                  .reason = store_text(&r, 4),
                                  .actor = store_text(&r, 5)};
        each(ctx, &d);
    }
    return store_end(&r, e);
}
