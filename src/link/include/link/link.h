/*
 * link.h - the shared-data broker as a whole: what it needs, what it offers in-process, its routes.
 *
 * Other modules use ops.h to change entities, repo.h and query.h to read them, subscription.h to
 * follow them. The HTTP face (/ngsi-ld/v1, /link/v1) is added with link_routes().
 */
#ifndef LINK_LINK_H
#define LINK_LINK_H

#include "core/pool.h"
#include "http/client.h"
#include "http/server.h"
#include "link/context.h"
#include "link/edge.h"
#include "link/repo.h"

struct link_options {
    bool history;              /* keep the evolution of attributes */
    int64_t page_default;      /* entities of a query without limit= */
    int64_t page_max;          /* largest limit= */
    int64_t shown;             /* entities whose text is kept for the next reader */
    int64_t batch_max;         /* entities in one batch operation */
    int64_t entity_bytes;      /* one entity, stored */
    int64_t query_ms;          /* longest run of one query */
    int64_t long_query_ms;     /* from here on the tenant's next ones go to the pool; 0: none */
    int64_t temporal_max;      /* instances of each attribute in one temporal answer */
    int64_t subscriptions_max; /* of one tenant */
    bool split_entities;       /* without splitEntities= */
    int64_t registrations_max; /* of context sources */
    int64_t context_fetch_ms;  /* for remote @contexts */
    int64_t notify_window;     /* notifications of one subscription held in memory */
    int64_t notify_parallel;   /* requests in flight in all */
    int64_t notify_timeout_ms;
    int64_t notify_retry_max_s; /* longest pause between attempts */
    int64_t notify_refusals;    /* refusals that set a subscription aside; 0: never */
    int64_t stream_heartbeat_s;
    int64_t journal_hours;     /* journal rows older than this are trimmed */
    int64_t trim_s;            /* pause between looks for such rows */
    bool access_deny;          /* nothing is open without a policy that allows it */
    bool tenants_auto;         /* writing to an unknown tenant makes it */
    const char *public_url;    /* how others reach this server; "" derives it from requests */
    const char *alias;         /* our name in Via headers; "" is made once at random */
    int64_t forward_ms;        /* for a context source to answer */
    int64_t forward_budget_ms; /* for all context sources of one call together */
    int64_t forward_cooldown_ms;
    int64_t forward_max;   /* context sources of one call */
    int64_t forward_bytes; /* of one answer */
    int64_t forward_cache; /* of all answers that are kept */
    int64_t entity_maps;   /* that are kept */
    int64_t entity_map_s;  /* how long, unless a query asks otherwise */
};
extern const struct config_table link_config;

struct registrations;
struct access;
struct subscriptions;
struct streams;
struct imports;
struct shown;
struct long_queries;
struct forwarding;
struct remote_subs;
struct snapshots;
struct mqtt;
struct tenants;

struct link {
    struct store *store;
    struct client *client;
    struct mqtt *mqtt; /* made by link_start() when there is a client */
    struct pool *pool;
    const struct clock *clock;
    struct link_options options;
    struct edge_options edge;
    struct ld_contexts *contexts;
    struct access *access; /* keys and policies; NULL: everything is allowed */
    struct registrations *registrations;
    struct subscriptions *subscriptions;
    struct streams *streams;
    struct imports *imports;
    struct shown *shown;               /* may be NULL */
    struct long_queries *long_queries; /* may be NULL */
    struct tenants *tenants;           /* may be NULL */
    struct sync *sync;                 /* may be NULL */
    struct forwarding *forwarding;
    struct remote_subs *remote_subs;
    struct snapshots *snapshots;
    int64_t started; /* steady clock, set by link_start() */
};

/* Everything given must outlive it. Loads contexts and subscriptions, starts notifying. */
enum err link_start(struct link *l, struct error *e);
void link_stop(struct link *l);
void link_routes(struct link *l, struct router *r);

#endif
