/*
 * delivery.h - how the subscriptions of a tenant are being told, and what an operator can do about
 * it: look at what waits, pause, go on, skip with a reason, replay. For /link/v1/deliveries and the
 * console.
 *
 * A dead letter is a notification that its receiver refuses again and again (4xx, or a broker or
 * address that forbids it): after link.notify_refusals refusals its subscription is set aside. It
 * keeps its place, sends nothing and loses nothing until its owner changes it or an operator lets
 * it go on, skips what is refused, or replays. Silence and 5xx set nothing aside: they are tried
 * for ever. The journal keeps what waits for link.journal_hours; what is older is a gap, which
 * shows, and is filled with a full notification.
 *
 *     struct delivery_order o = {.action = DELIVERY_SKIP, .reason = S("test data")};
 *     delivery_do(link, tenant, id, &o, &e);
 */
#ifndef LINK_DELIVERY_H
#define LINK_DELIVERY_H

#include "link/subscription.h"

enum delivery_action {
    DELIVERY_PAUSE,  /* wait, and keep the position */
    DELIVERY_RESUME, /* on from where it stands: after a pause, or one set aside */
    DELIVERY_RETRY,  /* the next attempt now */
    DELIVERY_SKIP,   /* give up what waits up to a position: by default the first notification */
    DELIVERY_REPLAY, /* again from a position or an instant */
    DELIVERY_ACTIONS
};
extern const struct str delivery_action_names[DELIVERY_ACTIONS];

struct delivery_order {
    enum delivery_action action;
    /* SKIP: the last journal row to give up; REPLAY: the first row to tell again; 0: not given. */
    int64_t position;
    int64_t time;      /* REPLAY: rows from this instant on; 0: not given */
    struct str reason; /* SKIP must have one */
    struct str actor;  /* who says so */
};
/*
 * Done and on disk when it returns: pool threads, not HTTP workers. ERR_NOT_FOUND no such
 * subscription; ERR_CONFLICT it is in no state for this, or nothing waits; ERR_INVALID a position
 * that the journal does not keep, or no reason.
 */
enum err delivery_do(struct link *l, int64_t tenant, struct str id,
                     const struct delivery_order *order, struct error *e);

/* A change that waits to be told. Texts live during the call. */
struct delivery_waiting {
    int64_t seq, at; /* journal row; instant of the change */
    struct str entity, type;
    enum { WAITING_CREATED, WAITING_UPDATED, WAITING_DELETED } op;
    const struct str *attrs; /* that changed, IRIs */
    size_t n_attrs;
    struct str text; /* what would be told of it; absent for NGSIv2's own forms */
};
struct delivery_scan {
    int64_t upto; /* rows looked at; pass it as after to go on */
    bool more;    /* rows remain */
    bool gap;     /* the journal does not keep what came directly after the position */
};
/* At most limit of what waits after journal row `after` (0: after its position), looking at no more
 * than rows of them. Periodic subscriptions have none. Any thread with a reader. */
enum err delivery_waiting(struct link *l, struct store_conn *c, int64_t tenant, struct str id,
                          int64_t after, size_t limit, size_t rows,
                          void (*each)(void *ctx, const struct delivery_waiting *w), void *ctx,
                          struct delivery_scan *scan, struct error *e);

/* What was done, newest first. */
struct delivery_deed {
    int64_t at, from, to; /* instant; positions before and after */
    struct str action, reason, actor;
};
enum err delivery_deeds(struct store_conn *c, int64_t tenant, struct str id, size_t limit,
                        void (*each)(void *ctx, const struct delivery_deed *d), void *ctx,
                        struct error *e);

/* The instant of the first change that is not told yet; 0: all is, or it cannot be said. */
int64_t delivery_since(struct store_conn *c, const struct subscription_status *st);

void delivery_routes(struct link *l, struct router *r);

#endif
