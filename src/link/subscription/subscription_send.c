/*
 * Sending: which subscription is next, what the answer means, when to try again.
 *
 * Subscriptions that are ready stand in line at the host of their receiver, and hosts with somebody
 * in line take turns, one request each. A host may have an eighth of all requests on their way, and
 * one that does not answer a single one, so that dead receivers do not take the place of living
 * ones. Any answer but 2xx is a failure and is tried again with growing pauses, 4xx too: a receiver
 * that is deployed wrongly for an hour loses nothing, and the console shows it. Refusals (4xx, or a
 * broker or address that forbids it) are counted for each notification; link.notify_refusals of
 * them set the subscription aside.
 */
#include "core/log.h"
#include "core/metrics.h"
#include "subscription_impl.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct metric delivered_total =
    METRIC_COUNTER("marugoto_link_notifications_total{outcome=\"delivered\"}",
                   "requests to receivers");
static struct metric failed_total =
    METRIC_COUNTER("marugoto_link_notifications_total{outcome=\"failed\"}",
                   "requests to receivers");
static struct metric set_aside =
    METRIC_COUNTER("marugoto_link_subscriptions_set_aside_total",
                   "times that a receiver refused one notification too often");

static int64_t steady(const struct subscriptions *h)
{
    return clock_steady(h->link->clock);
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* --- hosts --- */

static struct sub_host *host_get(struct subscriptions *h, struct str origin)
{
    struct sub_host *host = map_get(&h->hosts, origin);
    if (host)
        return host;
    host = calloc(1, sizeof(*host) + origin.n);
    if (!host)
        abort();
    memcpy(host + 1, origin.p, origin.n);
    host->origin = str_n((const char *)(host + 1), origin.n);
    map_put(&h->hosts, host->origin, host);
    return host;
}

void sub_host_join(struct subscriptions *h, struct sub *s)
{
    struct sub_host *host = host_get(h, s->spec->origin);
    s->host = host;
    s->prev_of_host = NULL;
    s->next_of_host = host->subs;
    if (host->subs)
        host->subs->prev_of_host = s;
    host->subs = s;
}

void sub_unready(struct sub *s)
{
    struct sub_host *host = s->host;
    struct sub *before = NULL;
    if (!s->ready)
        return;
    for (struct sub *i = host->first; i != s; i = i->next_ready)
        before = i;
    if (before)
        before->next_ready = s->next_ready;
    else
        host->first = s->next_ready;
    if (host->last == s)
        host->last = before;
    s->next_ready = NULL;
    s->ready = false;
}

static void host_forget(struct subscriptions *h, struct sub_host *host)
{
    if (host->subs || host->flying || host->queued)
        return;
    map_del(&h->hosts, host->origin);
    free(host);
}

void sub_host_leave(struct subscriptions *h, struct sub *s)
{
    struct sub_host *host = s->host;
    sub_unready(s);
    if (s->prev_of_host)
        s->prev_of_host->next_of_host = s->next_of_host;
    else
        host->subs = s->next_of_host;
    if (s->next_of_host)
        s->next_of_host->prev_of_host = s->prev_of_host;
    s->host = NULL;
    host_forget(h, host);
}

static void host_queue(struct subscriptions *h, struct sub_host *host)
{
    if (host->queued)
        return;
    host->queued = true;
    host->next = NULL;
    if (h->hosts_last)
        h->hosts_last->next = host;
    else
        h->hosts_first = host;
    h->hosts_last = host;
}

void sub_ready(struct subscriptions *h, struct sub *s)
{
    struct sub_host *host = s->host;
    s->ready = true;
    s->next_ready = NULL;
    if (host->last)
        host->last->next_ready = s;
    else
        host->first = s;
    host->last = s;
    host_queue(h, host);
}

/* One request tries a host that is down; a good one may take an eighth of all. */
static int64_t host_budget(const struct subscriptions *h, const struct sub_host *host)
{
    int64_t share = h->link->options.notify_parallel / 8;
    return host->down || share < 1 ? 1 : share;
}

/* --- sending --- */

struct flight {
    struct subscriptions *hub;
    struct sub *sub;
    struct sub_host *host;
};

static void count_answer(struct subscriptions *h, struct sub *s, const struct client_answer *a,
                         bool good)
{
    int64_t now = clock_now(h->link->clock);
    s->counters_moved = true;
    s->count.sent++;
    s->count.last_notification = now;
    if (good) {
        s->count.last_success = now;
        s->count.success_code = a->status;
        s->count.fails = s->count.refusals = 0;
        metric_add(&delivered_total, 1);
        return;
    }
    s->count.failed++;
    metric_add(&failed_total, 1);
    s->count.fails++;
    s->count.last_failure = now;
    if (a->status)
        snprintf(s->error_text, sizeof(s->error_text), "the receiver answers %d", a->status);
    else
        snprintf(s->error_text, sizeof(s->error_text), "%.110s", a->error.text);
}

/* 1 s, 2 s, 4 s ... up to the limit, a fifth more or less by chance. */
static void try_later(struct subscriptions *h, struct sub *s)
{
    int64_t limit = h->link->options.notify_retry_max_s * SECOND_US;
    int64_t pause = s->attempts < 20 ? SECOND_US << s->attempts : limit;
    pause = pause > limit ? limit : pause;
    pause = pause * 4 / 5 + (int64_t)(h->net.random(h->net.ctx) % (uint64_t)(pause * 2 / 5 + 1));
    s->attempts++;
    s->retry_at = steady(h) + later(pause, s->spec->cooldown_us);
    sub_event(h, s, EV_FAILED);
    if (s->spec->fails_max && s->count.fails > s->spec->fails_max) {
        log_event(LOG_WARN, "link.subscription_off", LOG_S("subscription", s->spec->id),
                  LOG_I("fails", s->count.fails), LOG_I("limit", s->spec->fails_max));
        sub_switch_off(h, s);
    }
}

/* A host that answers again: those that wait for it need not wait out their pauses. */
static void host_back(struct subscriptions *h, struct sub_host *host)
{
    host->down = false;
    for (struct sub *s = host->subs; s; s = s->next_of_host) {
        if (s->state != ST_RETRYING || !s->unanswered || s->spec->cooldown_us)
            continue;
        s->retry_at = 0;
        sub_schedule(h, s);
    }
}

static void resync_done(struct subscriptions *h, struct sub *s)
{
    s->read = later(s->read, s->full.seq);
    s->full.resync = false;
    h->hungry = true;
    sub_wake(h);
}

static void delivered(struct subscriptions *h, struct sub *s, uint32_t n)
{
    sub_pop(h, s, n);
    s->attempts = 0;
    sub_event(h, s, EV_DELIVERED);
    if (s->spec->one_shot)
        sub_switch_off(h, s);
    if (s->full.resync && !s->full.wanted && !s->full.running && !s->n)
        resync_done(h, s);
    if (sub_hungry(h, s)) {
        h->hungry = true;
        sub_wake(h);
    }
}

/* The receiver was there and does not want this: not what mends itself with time. */
static bool is_refusal(const struct client_answer *a)
{
    static const int later_perhaps[] = {408, 421, 425, 429};
    for (size_t i = 0; i < sizeof(later_perhaps) / sizeof(later_perhaps[0]); i++)
        if (a->status == later_perhaps[i])
            return false;
    return (a->status >= 400 && a->status < 500) || (!a->status && a->error.code == ERR_FORBIDDEN);
}

static void refused(struct subscriptions *h, struct sub *s)
{
    int64_t limit = h->link->options.notify_refusals;
    s->count.refusals++;
    if (!limit || s->count.refusals < limit || !sub_at_work(s))
        return;
    metric_add(&set_aside, 1);
    log_event(LOG_WARN, "link.subscription_set_aside", LOG_S("subscription", s->spec->id),
              LOG_I("refusals", s->count.refusals), LOG_Z("error", s->error_text));
    sub_set_aside(h, s, OFF_REFUSED);
}

/* Nobody waits for the answer any more, but what was delivered need not be told again. */
static void late_answer(struct subscriptions *h, struct sub *s, uint32_t n, bool good)
{
    const struct sub_item *last = sub_item_at(s, n - 1);
    if (good && s->state == ST_ASIDE && !last->full)
        s->read = later(s->read, last->seq);
    sub_pop(h, s, n);
}

static void take_answer(struct subscriptions *h, struct sub *s, const struct client_answer *a,
                        uint32_t n, bool good)
{
    count_answer(h, s, a, good);
    s->unanswered = !a->status && !is_refusal(a);
    if (!sub_at_work(s))
        late_answer(h, s, n, good);
    else if (good)
        delivered(h, s, n);
    else
        try_later(h, s);
    if (!good && is_refusal(a))
        refused(h, s);
    sub_move_now(h, s);
    sub_schedule(h, s);
}

static void answered(void *ctx, const struct client_answer *a)
{
    struct flight *f = ctx;
    struct subscriptions *h = f->hub;
    struct sub *s = f->sub;
    bool good = a->status >= 200 && a->status < 300;
    pthread_mutex_lock(&h->lock);
    uint32_t n = s->flying;
    s->flying = 0;
    h->flying--;
    f->host->flying--;
    if (h->closing) {
        pthread_cond_signal(&h->idle);
        if (good)
            sub_pop(h, s, n);
        sub_release(h, s);
        goto out;
    }
    if (s->state == ST_GONE) {
        sub_pop(h, s, n);
        sub_release(h, s);
    } else {
        take_answer(h, s, a, n, good);
    }
    if (!a->status && !is_refusal(a))
        f->host->down = true;
    else if (f->host->down)
        host_back(h, f->host);
    if (f->host->first)
        host_queue(h, f->host);
    host_forget(h, f->host);
    sub_pump(h);
out:
    pthread_mutex_unlock(&h->lock);
    free(f);
    sub_hub_unref(h);
}

static const char *media_type(const struct sub_spec *s)
{
    static const char *const types[] = {[ACCEPT_JSON] = "application/json",
                                        [ACCEPT_LD] = "application/ld+json",
                                        [ACCEPT_GEO] = "application/geo+json"};
    return types[s->accept];
}

static struct str notification_id(struct arena *a, const struct sub_spec *s,
                                  const struct sub_item *last)
{
    return str_printf(a, "urn:ngsi-ld:Notification:%" STR_F ":%s%lld", STR_A(s->hash),
                      last->full ? "t" : "", (long long)last->seq);
}

/* Headers and body of NGSI-LD. */
static void fill_request(struct subscriptions *h, const struct sub_spec *spec, struct arena *a,
                         struct str id, struct sub_payload *const *list, size_t n,
                         struct outbound *r)
{
    struct http_header *headers = ARENA_ARRAY(a, struct http_header, spec->n_headers + 4);
    size_t k = 0;
    headers[k++] = (struct http_header){S("Content-Type"), str_c(media_type(spec))};
    if (spec->link_header)
        headers[k++] = (struct http_header){S("Link"), spec->link};
    if (spec->tenant_name.n)
        headers[k++] = (struct http_header){S("NGSILD-Tenant"), spec->tenant_name};
    if (spec->snapshot.n)
        headers[k++] = (struct http_header){S("NGSILD-Snapshot"), spec->snapshot};
    memcpy(headers + k, spec->headers, spec->n_headers * sizeof(*headers));
    r->headers = headers;
    r->n_headers = k + spec->n_headers;
    r->body = sub_body(a, spec, id, clock_now(h->link->clock), list, n);
}

/* The request for the first n items. */
static enum err send_items(struct subscriptions *h, struct sub *s, uint32_t n, struct flight *f,
                           struct error *e)
{
    struct arena a = ARENA_INIT;
    const struct sub_spec *spec = s->spec;
    struct sub_payload **list = ARENA_ARRAY(&a, struct sub_payload *, n);
    for (uint32_t i = 0; i < n; i++)
        list[i] = sub_item_at(s, i)->payload;
    struct str id = notification_id(&a, spec, sub_item_at(s, n - 1));
    struct outbound m = {.url = spec->uri,
                         .timeout_ms = spec->timeout_ms ? spec->timeout_ms
                                                        : h->link->options.notify_timeout_ms,
                         .mqtt = spec->mqtt,
                         .done = answered,
                         .ctx = f};
    if (spec->face)
        spec->face->request(spec, &a, id, clock_now(h->link->clock), list, n, &m);
    else
        fill_request(h, spec, &a, id, list, n, &m);
    enum err err = h->net.send(h->net.ctx, &m, e);
    arena_release(&a);
    return err;
}

static void send_head(struct subscriptions *h, struct sub *s)
{
    struct error e = {0};
    struct flight *f = malloc(sizeof(*f));
    if (!f)
        abort();
    /* Throttled ones tell all that came together, each entity once; others one change at a time. */
    bool join = s->spec->throttle_us && !s->spec->one_each && !sub_item_at(s, 0)->full;
    uint32_t n = join ? s->n : 1;
    *f = (struct flight){h, s, s->host};
    s->flying = n;
    h->flying++;
    s->host->flying++;
    s->throttle_until = s->spec->throttle_us ? steady(h) + s->spec->throttle_us : 0;
    atomic_fetch_add(&h->refs, 1);
    if (!send_items(h, s, n, f, &e))
        return;
    /* The client cannot take it now: the same as no answer, without asking the host for more. */
    atomic_fetch_sub(&h->refs, 1);
    free(f);
    s->flying = 0;
    h->flying--;
    s->host->flying--;
    s->throttle_until = 0;
    struct client_answer none = {.error = e};
    count_answer(h, s, &none, false);
    /* What its owner's template made is no request: it never will be, and is not worth waiting. */
    if ((e.code == ERR_INVALID || e.code == ERR_TOO_LARGE) && s->spec->face)
        delivered(h, s, n);
    else
        try_later(h, s);
    if (e.code == ERR_INVALID || e.code == ERR_TOO_LARGE)
        refused(h, s);
    sub_schedule(h, s);
}

void sub_pump(struct subscriptions *h)
{
    if (!h->hosts_first || !sub_has_duty(h))
        return;
    /* Hosts in turn, one request each, so that a long list does not keep a short one waiting. */
    while (!h->closing && h->hosts_first && h->flying < h->link->options.notify_parallel) {
        struct sub_host *host = h->hosts_first;
        h->hosts_first = host->next;
        if (!h->hosts_first)
            h->hosts_last = NULL;
        host->queued = false;
        struct sub *s = host->first;
        if (!s || host->flying >= host_budget(h, host)) {
            if (!s)
                host_forget(h, host);
            continue; /* comes back with the next answer */
        }
        sub_unready(s);
        if (host->first)
            host_queue(h, host);
        send_head(h, s);
    }
}
