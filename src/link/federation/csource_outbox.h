/*
 * csource_outbox.h - subscriptions to registrations, as the outbox sees them (clause 5.11).
 *
 * They are rows of the subscription table whose service_path is CSOURCE_PATH, and a face of the
 * engine (subscription_impl.h).
 */
#ifndef LINK_CSOURCE_OUTBOX_H
#define LINK_CSOURCE_OUTBOX_H

#include "registration.h"
#include "subscription_impl.h"

#define CSOURCE_PATH "csource" /* paths of NGSIv2 begin with '/' */

extern const struct sub_face csource_sub_face;

/* A journal row of a registration, compiled. */
struct csource_event {
    struct registration *before, *after; /* NULL: made, deleted */
};
enum err csource_event_open(struct link *l, struct arena *a, int64_t tenant, struct str body,
                            struct csource_event *out, struct error *e);
void csource_event_close(struct csource_event *x);

/* A temporal query (clause 5.2.21) into the ask; v NULL: none. ERR_INVALID. */
enum err csource_time_of(const struct json *v, struct reg_ask *ask, struct error *e);

void csource_subscription_routes(struct link *l, struct router *r);

#endif
