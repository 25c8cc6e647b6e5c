/*
 * subscription.h - who wants to know what, and the outbox that tells them (ETSI GS CIM 009 v1.8.1
 * clauses 5.2.12 to 5.2.15, 5.8).
 *
 * The journal is the outbox: a change and the duty to notify it are one row of one transaction. A
 * subscription is a position in the journal (cursor): everything up to it was delivered or did not
 * concern it. One follower thread reads new rows once, finds the subscriptions that each concerns
 * by (type, attribute), evaluates the rest on the state at that row, and queues the notification; a
 * subscription sends one request at a time, so that its notifications arrive in journal order. A
 * failed request is tried again, later and later with jitter, and nothing overtakes it. Queues are
 * bounded: a subscription that falls behind forgets its queue and reads the journal again from its
 * cursor when its receiver is back. The notification id is derived from subscription and journal
 * position: a repetition after a crash is recognisable.
 *
 * Any answer but 2xx is a failure, 4xx too: it is tried again after 1 s, 2 s, 4 s ... up to
 * link.notify_retry_max_s (a fifth more or less by chance, at least the endpoint's cooldown), and
 * shows at /link/v1/deliveries; what is refused link.notify_refusals times sets its subscription
 * aside (delivery.h). There is no first notification when a subscription is made: it
 * hears of changes after its creation. throttling joins what came in the pause into one
 * notification with the latest state of each entity; timeInterval tells all entities that match,
 * a hundred in each notification. Endpoints are http, https, mqtt and mqtts (outbound.h).
 *
 * What is never done: skip silently. When a cursor points to rows that the journal no longer keeps,
 * the next notification is a full resynchronisation and the subscription shows the gap.
 */
#ifndef LINK_SUBSCRIPTION_H
#define LINK_SUBSCRIPTION_H

#include "link/link.h"

struct subscriptions;

struct subscriptions *subscriptions_new(struct link *l, struct error *e);
void subscriptions_free(struct subscriptions *s);
void subscriptions_routes(struct link *l, struct router *r);

struct subscription_status {
    struct str id, name, endpoint;
    struct str owner; /* actor, see access.h; absent: nobody known */
    int64_t tenant;
    int64_t cursor;                     /* delivered up to */
    int64_t lag;                        /* journal rows behind */
    int64_t sent, failed;               /* requests that succeeded, that failed */
    int64_t gaps;                       /* times that the journal was trimmed past the cursor */
    int64_t last_success, last_failure; /* instants, 0: never */
    struct str last_error;
    int64_t next_attempt; /* instant; 0: not waiting */
    int64_t attempts;     /* failures in a row of what waits first */
    int64_t refusals;     /* of them: it was refused */
    int64_t skipped;      /* notifications that operators gave up */
    bool periodic;        /* told by timeInterval: it has no position */
    /* SET_ASIDE and HELD: see delivery.h */
    enum { SUB_ACTIVE, SUB_PAUSED, SUB_EXPIRED, SUB_RETRYING, SUB_SET_ASIDE, SUB_HELD } state;
};
extern const struct str subscription_state_names[]; /* as the API has them */

/* For the console and metrics; texts live during the call, which must not come back here. */
void subscriptions_each(struct subscriptions *s, int64_t tenant,
                        bool (*each)(void *ctx, const struct subscription_status *st), void *ctx);

/* One of them, its texts in the arena; false: there is none. */
bool subscriptions_one(struct subscriptions *s, struct arena *a, int64_t tenant, struct str id,
                       struct subscription_status *st);

/* Live streams of changes: SSE and WebSocket at /link/v1/stream, resumable by Last-Event-ID. */
struct streams *streams_new(struct link *l, struct error *e);
void streams_free(struct streams *s);
void streams_routes(struct link *l, struct router *r);

#endif
