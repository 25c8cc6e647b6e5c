/*
 * distribute_subscription.h - subscriptions that sources have a part in (clauses 5.8.1.4, 5.8.2.4,
 * 5.8.5.4, 5.8.6).
 *
 * A task on the pool compares what should be at the sources with what is: every active subscription
 * (but localOnly) whose entities match a registration that supports createSubscription has a copy
 * at that source, of its own id, with an endpoint here under an unguessable path. So it does not
 * matter which came first, the subscription or the registration, nor whether the source was up:
 * what fails is tried again. Each copy is a row (sub_remote), written before the source is asked.
 *
 *     wanted, no row -> row MADE? no -> POST -> made -> PATCH when the subscription changes
 *     not wanted any more -> DELETE -> no row
 *
 * A notification of a source is a journal row of the topic "notified", written before it is
 * answered; the follower gives it to that subscription alone. So it is as lasting and as ordered as
 * what happens here.
 *
 * Where entities may be split (splitEntities, else link.split_entities) a copy has no conditions on
 * what entities hold, nor does it leave attributes out: what a source tells is put together with
 * what is here and at the other sources, and the conditions are looked at then.
 *
 * A subscription that came through other brokers keeps their Via: no copy goes back to them.
 */
#ifndef LINK_DISTRIBUTE_SUBSCRIPTION_H
#define LINK_DISTRIBUTE_SUBSCRIPTION_H

#include "api.h"
#include "registration.h"

struct remote_subs;
struct remote_subs *remote_subs_new(struct link *l);
void remote_subs_free(struct remote_subs *w); /* waits for what is on its way */
void remote_subs_routes(struct link *l, struct router *r);

/* May its entities be split over sources? */
bool remote_sub_splits(const struct link *l, const struct json *doc);
/* A subscription was written by the call. Any thread. */
void remote_subs_poke(struct api *c);
/* In the transaction that makes a subscription: remember the call's Via header. */
enum err remote_subs_via(struct store_conn *conn, struct api *c, int64_t tenant, struct str id,
                         struct error *e);

#endif
