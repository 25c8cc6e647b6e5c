/* The tables of link. See README.md for what each row means and who writes it. */
#include "link/repo.h"

static const char tables_1[] =
    "CREATE TABLE tenant(n {id}, name {text} NOT NULL UNIQUE, created {int} NOT NULL);"
    "INSERT INTO tenant(name, created) VALUES ('', 0);"
    /* one row per entity that exists or existed; doc NULL: deleted */
    "CREATE TABLE entity(eid {id}, tenant {int} NOT NULL, id {text} NOT NULL, doc {text},"
    " version {int} NOT NULL, modified {int} NOT NULL, UNIQUE(tenant, id));"
    /* names in use, for discovery; kind 0: type, 1: attribute; k: key in entity_key */
    "CREATE TABLE entity_name(tenant {int} NOT NULL, kind {int} NOT NULL, iri {text} NOT NULL,"
    " k {int} NOT NULL, PRIMARY KEY(tenant, kind, iri));"
    /* names of the series in hist */
    "CREATE TABLE hist_attr(eid {int} NOT NULL, attr {int} NOT NULL, dataset {int} NOT NULL,"
    " iri {text} NOT NULL, dataset_uri {text}, PRIMARY KEY(eid, attr, dataset));"
    "CREATE TABLE ld_context(url {text} NOT NULL PRIMARY KEY, kind {int} NOT NULL,"
    " body {text} NOT NULL, created {int} NOT NULL);"
    /* doc: the subscription as its owner reads it, names expanded; state: status and counters as
     * JSON; pending 1: all up to journal seq cursor is delivered; 0: all up to notify_position */
    "CREATE TABLE subscription(sid {id}, tenant {int} NOT NULL, id {text} NOT NULL,"
    " doc {text} NOT NULL, context {text} NOT NULL, state {text} NOT NULL, cursor {int} NOT NULL,"
    " pending {int} NOT NULL, created {int} NOT NULL, modified {int} NOT NULL, UNIQUE(tenant, id));"
    /* how far the subscriptions of a tenant that keep up have been told */
    "CREATE TABLE notify_position(tenant {int} NOT NULL PRIMARY KEY, pos {int} NOT NULL);";

/* Index rows are small and always found by their whole key: clustered where the engine can. */
#define INDEX_TABLES(INT, REAL, TEXT, TAIL)                                                        \
    "CREATE TABLE entity_key(k " INT " NOT NULL, eid " INT " NOT NULL,"                            \
    " PRIMARY KEY(k, eid))" TAIL ";"                                                               \
    "CREATE TABLE entity_num(k " INT " NOT NULL, v " REAL " NOT NULL, eid " INT " NOT NULL,"       \
    " PRIMARY KEY(k, v, eid))" TAIL ";"                                                            \
    "CREATE TABLE entity_text(k " INT " NOT NULL, v " TEXT " NOT NULL, eid " INT " NOT NULL,"      \
    " PRIMARY KEY(k, v, eid))" TAIL ";"                                                            \
    "CREATE TABLE entity_geo(k " INT " NOT NULL, cell " INT " NOT NULL, eid " INT " NOT NULL,"     \
    " PRIMARY KEY(k, cell, eid))" TAIL ";"                                                         \
    "CREATE TABLE hist(eid " INT " NOT NULL, attr " INT " NOT NULL, dataset " INT " NOT NULL,"     \
    " t " INT " NOT NULL, seq " INT " NOT NULL, modified " INT " NOT NULL, num " REAL              \
    ", value " TEXT " NOT NULL, PRIMARY KEY(eid, attr, dataset, t, seq))" TAIL ";"

/* Rows of hist that were written lately, in the order of writing; see history.c. */
static const char tables_2[] =
    "CREATE TABLE hist_recent(n {id}, eid {int} NOT NULL, attr {int} NOT NULL,"
    " dataset {int} NOT NULL, t {int} NOT NULL, seq {int} NOT NULL, modified {int} NOT NULL,"
    " num {real}, value {text} NOT NULL);";

/* What this store remembers of itself: its name among brokers. */
static const char tables_note[] =
    "CREATE TABLE link_note(name {text} NOT NULL PRIMARY KEY, value {text} NOT NULL);";

/* Whose a subscription is: NULL is NGSI-LD's, else NGSIv2's with that service path ("/#"). */
static const char tables_v2[] = "ALTER TABLE subscription ADD COLUMN service_path {text};";

/* Context source registrations; doc as its owner wrote it with names expanded, NULL: deleted; v:
 * its last change among those of all; the counters of what came of asking the source. */
static const char tables_registration[] =
    "CREATE TABLE registration(rid {id}, tenant {int} NOT NULL, id {text} NOT NULL, doc {text},"
    " v {int} NOT NULL, sent {int} NOT NULL, failed {int} NOT NULL, last_success {int} NOT NULL,"
    " last_failure {int} NOT NULL, created {int} NOT NULL, modified {int} NOT NULL,"
    " UNIQUE(tenant, id));"
    "CREATE INDEX registration_v ON registration(v);";

/* Registrations of NGSIv2, with what came of asking, and keys to find them by; see
 * v2_providers.c. */
static const char tables_v2_registration[] =
    "CREATE TABLE v2_registration(rid {id}, tenant {int} NOT NULL, id {text} NOT NULL,"
    " service_path {text} NOT NULL, doc {text} NOT NULL, sent {int} NOT NULL,"
    " last_forwarding {int} NOT NULL, last_success {int} NOT NULL, last_failure {int} NOT NULL,"
    " created {int} NOT NULL, modified {int} NOT NULL, UNIQUE(tenant, id));"
    "CREATE TABLE v2_registration_key(k {int} NOT NULL, rid {int} NOT NULL, PRIMARY KEY(k, rid));"
    "CREATE INDEX v2_registration_key_rid ON v2_registration_key(rid);";

/*
 * Nodes that share this store's entities, see edge/sync.h. sync_self: this node's id, once it has
 * one. sync_node: who may come; token: its BLAKE2b in hexadecimal. sync_cursor: of a tenant and
 * another node how far its changes were taken here and ours there, and when it was last heard.
 */
static const char tables_sync[] =
    "CREATE TABLE sync_self(one {int} NOT NULL PRIMARY KEY, node {text} NOT NULL);"
    "CREATE TABLE sync_node(name {text} NOT NULL PRIMARY KEY, token {text} NOT NULL, node {text},"
    " part {text}, created {int} NOT NULL);"
    "CREATE TABLE sync_cursor(tenant {int} NOT NULL, node {text} NOT NULL,"
    " received {int} NOT NULL, acked {int} NOT NULL, contact {int} NOT NULL,"
    " PRIMARY KEY(tenant, node));";

/* Registers of attribute instances and heads, see edge/stamp.c. */
#define SYNC_REGISTER(INT, TAIL)                                                                   \
    "CREATE TABLE sync_register(eid " INT " NOT NULL, attr " INT " NOT NULL, dataset " INT         \
    " NOT NULL, iri TEXT NOT NULL, dataset_uri TEXT, hlc " INT " NOT NULL, node TEXT NOT NULL,"    \
    " seen TEXT, others TEXT, value TEXT, PRIMARY KEY(eid, attr, dataset))" TAIL ";"               \
    "CREATE INDEX sync_conflict ON sync_register(eid) WHERE others IS NOT NULL"                    \
    " OR (value IS NOT NULL AND iri <> '');"

/* What operators did to deliveries, and why; positions are journal rows. */
static const char tables_delivery[] =
    "CREATE TABLE delivery_action(n {id}, tenant {int} NOT NULL, subscription {text} NOT NULL,"
    " at {int} NOT NULL, action {text} NOT NULL, from_seq {int} NOT NULL, to_seq {int} NOT NULL,"
    " reason {text}, actor {text});"
    "CREATE INDEX delivery_action_of ON delivery_action(tenant, subscription, n);";
/* Copies of subscriptions at context sources, and the ways that subscriptions came; see
 * distribute_subscription.c. */
static const char tables_remote[] =
    "CREATE TABLE sub_remote(token {text} NOT NULL PRIMARY KEY, tenant {int} NOT NULL,"
    " sub {text} NOT NULL, reg {text} NOT NULL, remote {text} NOT NULL, endpoint {text} NOT NULL,"
    " tenant_there {text} NOT NULL, state {int} NOT NULL, modified {int} NOT NULL,"
    " tries {int} NOT NULL, v {int} NOT NULL, UNIQUE(tenant, sub, reg));"
    "CREATE TABLE sub_via(tenant {int} NOT NULL, sub {text} NOT NULL, via {text} NOT NULL,"
    " PRIMARY KEY(tenant, sub));";

/* Keys, and policies version by version; see access/access_keep.c. */
static const char tables_access[] =
    "CREATE TABLE access_key(n {id}, tenant {int} NOT NULL, name {text} NOT NULL,"
    " digest {blob} NOT NULL UNIQUE, policies {text} NOT NULL, quota {text} NOT NULL,"
    " created {int} NOT NULL, expires {int} NOT NULL, revoked {int} NOT NULL, used {int} NOT NULL);"
    "CREATE TABLE access_policy(tenant {int} NOT NULL, name {text} NOT NULL,"
    " version {int} NOT NULL, doc {text}, at {int} NOT NULL, actor {text},"
    " PRIMARY KEY(tenant, name, version));"
    "CREATE TABLE access_state(id {int} NOT NULL PRIMARY KEY, revision {int} NOT NULL);"
    "INSERT INTO access_state(id, revision) VALUES (1, 1);";

/* What old rows of hist became, hour by hour; see history_keep.h. */
#define HOURS(INT, REAL, TAIL)                                                                     \
    "CREATE TABLE hist_hour(eid " INT " NOT NULL, attr " INT " NOT NULL, dataset " INT             \
    " NOT NULL, h " INT " NOT NULL, observed " INT " NOT NULL, n " INT " NOT NULL, numbers " INT   \
    " NOT NULL, sum " REAL " NOT NULL, sumsq " REAL " NOT NULL, least " REAL                       \
    " NOT NULL, greatest " REAL " NOT NULL,"                                                       \
    " PRIMARY KEY(eid, attr, dataset, h, observed))" TAIL ";"

/* Snapshots: doc is how one shows, space the tenant that holds the copies; see snapshot.h. */
static const char tables_snapshot[] =
    "CREATE TABLE snapshot(tenant {int} NOT NULL, id {text} NOT NULL, space {text} NOT NULL UNIQUE,"
    " doc {text} NOT NULL, expires {int} NOT NULL, used {int} NOT NULL, owner {text},"
    " PRIMARY KEY(tenant, id));";

/* made 0: it is being filled, used is when that went on last; notify: changes of its status that
 * its endpoint has not been told. */
static const char tables_snapshot_status[] =
    "ALTER TABLE snapshot ADD COLUMN made {int} NOT NULL DEFAULT 1;"
    "ALTER TABLE snapshot ADD COLUMN notify {int} NOT NULL DEFAULT 0;";

/* Writes of evolution, by instance; seq, t: of its row in hist; 0: none. See edge/past.h. */
#define SYNC_PAST(INT, TAIL)                                                                       \
    "CREATE TABLE sync_past(eid " INT " NOT NULL, attr " INT " NOT NULL, dataset " INT             \
    " NOT NULL, made " INT " NOT NULL, changed " INT " NOT NULL, maker TEXT NOT NULL, seq " INT    \
    " NOT NULL, t " INT " NOT NULL, hlc " INT " NOT NULL, node TEXT NOT NULL,"                     \
    " PRIMARY KEY(eid, attr, dataset, made, changed, maker))" TAIL ";"                             \
    "CREATE INDEX sync_past_seq ON sync_past(eid, attr, dataset, seq);"

/*
 * Copies of one node are told apart by their journals. sync_cursor.mark: the hash of the other's
 * journal where it was taken to, in hexadecimal. sync_self.restamped: see edge/rename.c.
 * sync_former: ids that a name had before, and that nobody may come with any more.
 */
static const char tables_sync_marks[] =
    "ALTER TABLE sync_cursor ADD COLUMN mark {text};"
    "ALTER TABLE sync_self ADD COLUMN restamped {int} NOT NULL DEFAULT 0;"
    "CREATE TABLE sync_former(node {text} NOT NULL PRIMARY KEY, name {text} NOT NULL,"
    " at {int} NOT NULL);";

/*
 * Tombstones that nobody needs, see edge/trim.h. sync_register.seq: the journal row of its last
 * change; gone: nothing of it is shown. Of what was written before nobody knows when: it counts as
 * written now.
 */
static const char tables_sync_trim[] =
    "ALTER TABLE sync_register ADD COLUMN seq {int} NOT NULL DEFAULT 0;"
    "ALTER TABLE sync_register ADD COLUMN gone {int} NOT NULL DEFAULT 0;"
    "UPDATE sync_register SET seq = coalesce((SELECT max(head_seq) FROM journal_tenant), 0),"
    " gone = CASE WHEN value IS NOT NULL THEN 1 ELSE 0 END;"
    "CREATE INDEX sync_gone ON sync_register(seq) WHERE gone = 1;"
    "CREATE TABLE sync_trim(tenant {int} NOT NULL PRIMARY KEY, seq {int} NOT NULL,"
    " past {int} NOT NULL);";

/* Entity maps, see entity_map.c; ids: how many entities doc tells of. */
static const char tables_map[] =
    "CREATE TABLE entity_map(n {id}, id {text} NOT NULL UNIQUE, tenant {text} NOT NULL,"
    " owner {text} NOT NULL, expires {int} NOT NULL, ids {int} NOT NULL, doc {text} NOT NULL,"
    " links {text} NOT NULL);";

/* Contexts that came inside of requests, see context_implicit.c. */
static const char tables_implicit[] =
    "CREATE TABLE ld_implicit(path {text} NOT NULL PRIMARY KEY, body {text} NOT NULL,"
    " created {int} NOT NULL, used {int} NOT NULL);";

static const struct store_migration migrations[] = {
    {1, "entities, indexes, history, contexts, subscriptions", tables_1,
     INDEX_TABLES("INTEGER", "REAL", "TEXT", " WITHOUT ROWID"),
     INDEX_TABLES("BIGINT", "DOUBLE PRECISION", "TEXT COLLATE \"C\"", "")},
    {2, "recent history", tables_2, NULL, NULL},
    {3, "notes", tables_note, NULL, NULL},
    {4, "subscriptions of NGSIv2", tables_v2, NULL, NULL},
    {5, "registrations", tables_registration, NULL, NULL},
    {6, "registrations of NGSIv2", tables_v2_registration, NULL, NULL},
    {7, "nodes and registers", tables_sync, SYNC_REGISTER("INTEGER", " WITHOUT ROWID"),
     SYNC_REGISTER("BIGINT", "")},
    {8, "what operators did to deliveries", tables_delivery, NULL, NULL},
    {9, "subscriptions at sources", tables_remote, NULL, NULL},
    {10, "keys and policies", tables_access, NULL, NULL},
    {11, "hours of history", "", HOURS("INTEGER", "REAL", " WITHOUT ROWID"),
     HOURS("BIGINT", "DOUBLE PRECISION", "")},
    {12, "snapshots", tables_snapshot, NULL, NULL},
    {13, "evolution of several nodes", "", SYNC_PAST("INTEGER", " WITHOUT ROWID"),
     SYNC_PAST("BIGINT", "")},
    {14, "status of snapshots", tables_snapshot_status, NULL, NULL},
    {15, "copies of nodes", tables_sync_marks, NULL, NULL},
    {16, "tombstones of nodes", tables_sync_trim, NULL, NULL},
    {17, "entity maps", tables_map, NULL, NULL},
    {18, "contexts that came inside", tables_implicit, NULL, NULL},
};

const struct store_module link_module = {"link", migrations,
                                         sizeof(migrations) / sizeof(migrations[0])};
