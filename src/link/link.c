/* Opening and closing the broker; its settings. */
#include "link/link.h"
#include "api.h"
#include "csource_outbox.h"
#include "distribute_subscription.h"
#include "entity_map.h"
#include "expiry.h"
#include "forward.h"
#include "history_keep.h"
#include "http/mqtt.h"
#include "link/access.h"
#include "link/delivery.h"
#include "link/everything.h"
#include "link/import.h"
#include "link/subscription.h"
#include "long_queries.h"
#include "registration.h"
#include "retention.h"
#include "shown.h"
#include "snapshot.h"
#include "tenants.h"
#include "v2.h"

static const struct config_key keys[] = {
    CONFIG_BOOL("link.history", struct link_options, history, "true",
                "keep the evolution of attributes"),
    CONFIG_INT("link.page_default", struct link_options, page_default, 20, 1, 1000,
               "entities of a query without limit="),
    CONFIG_INT("link.page_max", struct link_options, page_max, 1000, 1, 10000, "largest limit="),
    CONFIG_INT(
        "link.shown", struct link_options, shown, 4096, 0, 1 << 24,
        "entities whose text is kept in memory for the next reader (a few KB each); 0: none"),
    CONFIG_INT("link.batch_max", struct link_options, batch_max, 1000, 1, 100000,
               "entities in one batch operation"),
    CONFIG_SIZE("link.entity_bytes", struct link_options, entity_bytes, "1m", 1024, 64 << 20,
                "largest entity"),
    CONFIG_INT("link.query_ms", struct link_options, query_ms, 10000, 10, 600000,
               "longest run of one query, milliseconds"),
    CONFIG_INT("link.long_query_ms", struct link_options, long_query_ms, 20, 0, 60000,
               "milliseconds from which a query is long: its tenant's next ones run on the pool, "
               "so that threads that serve stay free for others; 0 keeps all where they are"),
    CONFIG_INT("link.temporal_max", struct link_options, temporal_max, 1000, 1, 100000,
               "instances of each attribute in one temporal answer"),
    CONFIG_INT("link.subscriptions_max", struct link_options, subscriptions_max, 100000, 1,
               10000000, "subscriptions of one tenant"),
    CONFIG_BOOL(
        "link.split_entities", struct link_options, split_entities, "false",
        "parts of one entity may lie at several context sources: filters apply to the whole"),
    CONFIG_INT("link.registrations_max", struct link_options, registrations_max, 100000, 1,
               10000000, "registrations of context sources in all"),
    CONFIG_INT("link.context_fetch_ms", struct link_options, context_fetch_ms, 5000, 100, 60000,
               "time to fetch a remote @context, milliseconds"),
    CONFIG_INT("link.notify_window", struct link_options, notify_window, 64, 1, 10000,
               "notifications of one subscription held in memory"),
    CONFIG_INT("link.notify_parallel", struct link_options, notify_parallel, 256, 1, 10000,
               "notifications on their way in all"),
    CONFIG_INT("link.notify_timeout_ms", struct link_options, notify_timeout_ms, 10000, 100, 300000,
               "time for a receiver to answer, milliseconds"),
    CONFIG_INT("link.notify_retry_max_s", struct link_options, notify_retry_max_s, 60, 1, 86400,
               "longest pause between attempts, seconds"),
    CONFIG_INT("link.notify_refusals", struct link_options, notify_refusals, 100, 0, 1000000,
               "refusals (4xx) of one notification that set its subscription aside until somebody "
               "looks; 0: never"),
    CONFIG_INT("link.stream_heartbeat_s", struct link_options, stream_heartbeat_s, 15, 1, 3600,
               "pause between heartbeats of live streams, seconds"),
    CONFIG_INT("link.journal_hours", struct link_options, journal_hours, 168, 1, 876000,
               "hours for which changes are kept for followers: notifications, streams"),
    CONFIG_INT("link.trim_s", struct link_options, trim_s, 60, 1, 86400,
               "pause between looks for changes that are kept long enough"),
    CONFIG_BOOL("link.access_deny", struct link_options, access_deny, "false",
                "nothing is open to read or write without a policy that allows it"),
    CONFIG_BOOL("link.tenants_auto", struct link_options, tenants_auto, "true",
                "writing to an unknown tenant makes it"),
    CONFIG_STR("link.public_url", struct link_options, public_url, "",
               "how others reach this server, without '/' at the end; empty: as the request says"),
    CONFIG_STR("link.alias", struct link_options, alias, "",
               "our name in Via headers of forwarded requests; empty: made once at random"),
    CONFIG_INT("link.forward_ms", struct link_options, forward_ms, 2000, 1, 600000,
               "time for a context source to answer unless its registration says, milliseconds"),
    CONFIG_INT("link.forward_budget_ms", struct link_options, forward_budget_ms, 8000, 1, 600000,
               "longest that one call waits for its context sources, milliseconds"),
    CONFIG_INT("link.forward_cooldown_ms", struct link_options, forward_cooldown_ms, 1000, 0,
               86400000,
               "pause after a failure of a context source unless its registration says, "
               "milliseconds"),
    CONFIG_INT("link.forward_max", struct link_options, forward_max, 64, 1, 10000,
               "context sources that one call asks"),
    CONFIG_SIZE("link.forward_bytes", struct link_options, forward_bytes, "8m", 1024, 1 << 30,
                "longest answer of a context source"),
    CONFIG_SIZE("link.forward_cache", struct link_options, forward_cache, "16m", 0, 1LL << 36,
                "memory for answers that management.cacheDuration keeps; 0: none is kept"),
    CONFIG_INT("link.entity_maps", struct link_options, entity_maps, 1000, 1, 100000,
               "entity maps that are kept; the oldest go first"),
    CONFIG_INT("link.entity_map_s", struct link_options, entity_map_s, 600, 1, 86400,
               "how long an entity map is kept unless the query asks otherwise, seconds"),
};
const struct config_table link_config = {"link", keys, sizeof(keys) / sizeof(keys[0])};

/* The store may have lost commits that were shown already: numbers may come again. */
static void forget_seen(void *ctx, struct str key)
{
    struct link *l = ctx;
    (void)key;
    shown_forget(l->shown);
    tenants_forget(l->tenants);
}

enum err link_start(struct link *l, struct error *e)
{
    static const struct ld_limits limits = {.max_terms = 20000,
                                            .max_depth = 8,
                                            .max_bytes = 1 << 20,
                                            .max_cached = 1000};
    l->started = clock_steady(l->clock);
    l->contexts = ld_contexts_new(l->store, l->clock, &limits, e);
    if (!l->contexts)
        return e->code;
    l->forwarding = forwarding_new(l, e);
    if (!l->forwarding)
        goto failed;
    l->registrations = registrations_new(l, e);
    if (!l->registrations)
        goto failed;
    if (l->client && !(l->mqtt = mqtt_new(client_settings(l->client), e)))
        goto failed;
    l->access = access_new(l, e);
    if (!l->access)
        goto failed;
    l->shown = shown_new(l->options.shown);
    l->long_queries = long_queries_new(l->options.long_query_ms);
    l->tenants = tenants_new();
    store_heed(l->store, "seen", forget_seen, l);
    l->subscriptions = subscriptions_new(l, e);
    if (l->subscriptions)
        l->streams = streams_new(l, e);
    if (l->streams) {
        l->imports = imports_new(l);
        l->sync = sync_new(l, e);
    }
    if (l->sync && !sync_start(l->sync, e)) {
        l->remote_subs = remote_subs_new(l);
        retention_start(l);
        history_keep_start(l);
        expiry_start(l);
        snapshots_new(l);
        return OK;
    }
failed:;
    enum err err = e->code;
    link_stop(l);
    return err;
}

void link_stop(struct link *l)
{
    snapshots_free(l->snapshots);
    l->snapshots = NULL;
    expiry_stop(l);
    history_keep_stop(l);
    retention_stop(l);
    sync_free(l->sync);
    remote_subs_free(l->remote_subs);
    imports_free(l->imports);
    store_unheed(l->store, forget_seen, l);
    shown_free(l->shown);
    long_queries_free(l->long_queries);
    if (l->streams)
        streams_free(l->streams);
    if (l->subscriptions)
        subscriptions_free(l->subscriptions);
    forwarding_free(l->forwarding);
    registrations_free(l->registrations);
    if (l->mqtt)
        mqtt_free(l->mqtt);
    access_free(l->access);
    if (l->contexts)
        ld_contexts_free(l->contexts);
    tenants_free(l->tenants);
}

void link_routes(struct link *l, struct router *r)
{
    api_entity_routes(l, r);
    api_attr_routes(l, r);
    api_purge_routes(l, r);
    snapshot_routes(l, r);
    api_query_routes(l, r);
    api_batch_routes(l, r);
    api_temporal_routes(l, r);
    api_type_routes(l, r);
    api_context_routes(l, r);
    api_export_routes(l, r);
    everything_routes(l, r);
    registrations_routes(l, r);
    csource_subscription_routes(l, r);
    subscriptions_routes(l, r);
    delivery_routes(l, r);
    remote_subs_routes(l, r);
    entity_maps_routes(l, r);
    streams_routes(l, r);
    imports_routes(l->imports, r);
    v2_routes(l, r);
    sync_routes(l->sync, r);
    access_routes(l, r);
}
