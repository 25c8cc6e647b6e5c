/* What everything is: the kinds of an export, in their order. */
#include "everything_impl.h"
#include "store/journal.h"

_Static_assert(JOURNAL_SEQ_BITS == 40, "the key of a journal row stands in a text below");

/* Snapshots of an export: neither being filled nor being dropped. */
#define SNAPSHOTS(p) "s.made = 1 AND s.expires > 0 AND ($" p " = 0 OR s.tenant = $" p ")"
/* Tenants of an export, and the spaces of their snapshots. */
#define TENANTS(p)                                                                                 \
    " IN (SELECT n FROM tenant WHERE ($" p " = 0 OR n = $" p                                       \
    ") AND name NOT IN (SELECT space FROM snapshot) UNION ALL SELECT x.n FROM snapshot s"          \
    " JOIN tenant x ON x.name = s.space WHERE " SNAPSHOTS(p) ")"
#define OF_ENTITY                                                                                  \
    {"tenant", COL_OF},                                                                            \
    {                                                                                              \
        "id", COL_EID                                                                              \
    }

/* Both places of history, each read in the order of the key. */
#define HISTORY_PART(table)                                                                        \
    "SELECT * FROM (SELECT h.eid, h.attr, h.dataset, h.t, h.seq, t.name, e.id, a.iri,"             \
    " a.dataset_uri, h.t AS t1, h.seq AS seq1, h.modified, h.value FROM " table " h"               \
    " JOIN entity e ON e.eid = h.eid JOIN tenant t ON t.n = e.tenant JOIN hist_attr a"             \
    " ON a.eid = h.eid AND a.attr = h.attr AND a.dataset = h.dataset"                              \
    " WHERE (h.eid, h.attr, h.dataset, h.t, h.seq) > ($1, $2, $3, $4, $5) AND e.tenant" TENANTS(   \
        "6") " ORDER BY h.eid, h.attr, h.dataset, h.t, h.seq LIMIT $7) AS " table "_part"

const struct record_kind kinds[] = {
    {"tenant",
     "i",
     "SELECT t.n, t.name, t.created, COALESCE(j.head_seq, 0) FROM tenant t"
     " LEFT JOIN journal_tenant j ON j.tenant = t.n WHERE t.n > $1 AND ($2 = 0 OR t.n = $2)"
     " AND t.name NOT IN (SELECT space FROM snapshot) ORDER BY t.n LIMIT $3",
     NULL,
     {{"name", COL_TEXT}, {"created", COL_TIME}, {"seq", COL_SEQ}},
     200},
    /* With its space, which has no line of its own: that of another moment could be without it. */
    {"snapshot",
     "t",
     "SELECT s.space, t.name, s.id, s.space, x.created, COALESCE(j.head_seq, 0), s.expires, s.used,"
     " s.owner, s.doc FROM snapshot s JOIN tenant t ON t.n = s.tenant JOIN tenant x"
     " ON x.name = s.space LEFT JOIN journal_tenant j ON j.tenant = x.n"
     " WHERE s.space > $1 AND " SNAPSHOTS("2") " ORDER BY s.space LIMIT $3",
     NULL,
     {{"tenant", COL_TENANT},
      {"id", COL_TEXT},
      {"space", COL_TEXT},
      {"created", COL_TIME},
      {"seq", COL_SEQ},
      {"expires", COL_TIME},
      {"used", COL_TIME},
      {"owner", COL_TEXT},
      {"doc", COL_JSON}},
     64},
    {"context",
     "t",
     "SELECT url, url, kind, created, body FROM ld_context WHERE url > $1 AND $2 >= 0"
     " ORDER BY url LIMIT $3",
     "INSERT INTO ld_context(url, kind, created, body) VALUES ($1, $2, $3, $4)"
     " ON CONFLICT(url) DO NOTHING",
     {{"url", COL_TEXT}, {"use", COL_INT}, {"created", COL_TIME}, {"body", COL_TEXT}},
     8},
    /* The types of one that is gone stand in a row of hist_attr or, for as long as it is kept, in
     * the journal row of its deletion, whose number is the version. */
    {"entity",
     "i",
     "SELECT e.eid, t.name, e.id, e.version, e.modified, e.doc, COALESCE(a.dataset_uri, j.body)"
     " FROM entity e JOIN tenant t ON t.n = e.tenant LEFT JOIN hist_attr a"
     " ON a.eid = e.eid AND a.attr = 0 AND a.dataset = 0 LEFT JOIN journal j"
     " ON e.doc IS NULL AND j.pos = ((e.tenant << 40) | e.version) AND j.topic = 'entity'"
     " AND j.key = e.id WHERE e.eid > $1 AND e.tenant" TENANTS("2") " ORDER BY e.eid LIMIT $3",
     NULL,
     {{"tenant", COL_TENANT},
      {"id", COL_TEXT},
      {"version", COL_SEQ},
      {"modified", COL_TIME},
      {"doc", COL_JSON},
      {"types", COL_TYPES}},
     64},
    {"series",
     "iii",
     "SELECT a.eid, a.attr, a.dataset, t.name, e.id, a.iri, a.dataset_uri FROM hist_attr a"
     " JOIN entity e ON e.eid = a.eid JOIN tenant t ON t.n = e.tenant"
     " WHERE (a.eid, a.attr, a.dataset) > ($1, $2, $3) AND a.attr <> 0 AND e.tenant" TENANTS(
         "4") " ORDER BY a.eid, a.attr, a.dataset LIMIT $5",
     "INSERT INTO hist_attr(eid, attr, iri, dataset, dataset_uri) VALUES ($1, $2, $3, $4, $5)",
     {OF_ENTITY, {"attr", COL_SERIES}, {"dataset", COL_SET}},
     400},
    {"history",
     "iiiii",
     HISTORY_PART("hist") " UNION ALL " HISTORY_PART("hist_recent") " ORDER BY 1, 2, 3, 4, 5"
                                                                    " LIMIT $7",
     "INSERT INTO hist(eid, attr, dataset, t, seq, modified, num, value)"
     " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
     {OF_ENTITY,
      {"attr", COL_ATTR},
      {"dataset", COL_DATASET},
      {"time", COL_TIME},
      {"seq", COL_SEQ},
      {"modified", COL_TIME},
      {"instance", COL_INSTANCE}},
     400},
    {"hours",
     "iiiii",
     "SELECT h.eid, h.attr, h.dataset, h.h, h.observed, t.name, e.id, a.iri, a.dataset_uri, h.h,"
     " h.observed, h.n, h.numbers, h.sum, h.sumsq, h.least, h.greatest FROM hist_hour h"
     " JOIN entity e ON e.eid = h.eid JOIN tenant t ON t.n = e.tenant JOIN hist_attr a"
     " ON a.eid = h.eid AND a.attr = h.attr AND a.dataset = h.dataset"
     " WHERE (h.eid, h.attr, h.dataset, h.h, h.observed) > ($1, $2, $3, $4, $5)"
     " AND e.tenant" TENANTS("6") " ORDER BY h.eid, h.attr, h.dataset, h.h, h.observed LIMIT $7",
     "INSERT INTO hist_hour(eid, attr, dataset, h, observed, n, numbers, sum, sumsq, least,"
     " greatest) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
     {OF_ENTITY,
      {"attr", COL_ATTR},
      {"dataset", COL_DATASET},
      {"hour", COL_INT},
      {"observed", COL_INT},
      {"count", COL_INT},
      {"numbers", COL_INT},
      {"sum", COL_REAL},
      {"sumsq", COL_REAL},
      {"min", COL_REAL},
      {"max", COL_REAL}},
     400},
    {"subscription",
     "i",
     "SELECT s.sid, t.name, s.id, s.service_path, s.created, s.modified, s.doc, s.context, s.state"
     " FROM subscription s JOIN tenant t ON t.n = s.tenant WHERE s.sid > $1 AND s.tenant" TENANTS(
         "2") " ORDER BY s.sid LIMIT $3",
     "INSERT INTO subscription(tenant, id, service_path, created, modified, doc, context, state,"
     " cursor, pending) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, 0)",
     {{"tenant", COL_TENANT},
      {"id", COL_TEXT},
      {"servicePath", COL_TEXT},
      {"created", COL_TIME},
      {"modified", COL_TIME},
      {"doc", COL_JSON},
      {"context", COL_JSON},
      {"state", COL_JSON}},
     64},
#define COUNTS                                                                                     \
    {"sent", COL_INT}, {"failed", COL_INT}, {"lastSuccess", COL_TIME}, {"lastFailure", COL_TIME},  \
        {"created", COL_TIME},                                                                     \
    {                                                                                              \
        "modified", COL_TIME                                                                       \
    }
    {"registration",
     "i",
     "SELECT r.rid, t.name, r.id, r.v, r.sent, r.failed, r.last_success, r.last_failure, r.created,"
     " r.modified, r.doc FROM registration r JOIN tenant t ON t.n = r.tenant"
     " WHERE r.rid > $1 AND r.doc IS NOT NULL AND r.tenant" TENANTS("2") " ORDER BY r.rid LIMIT $3",
     "INSERT INTO registration(tenant, id, v, sent, failed, last_success, last_failure, created,"
     " modified, doc) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
     {{"tenant", COL_TENANT}, {"id", COL_TEXT}, {"v", COL_INT}, COUNTS, {"doc", COL_JSON}},
     64},
    {"v2Registration",
     "i",
     "SELECT r.rid, t.name, r.id, r.service_path, r.sent, r.last_forwarding, r.last_success,"
     " r.last_failure, r.created, r.modified, r.doc FROM v2_registration r"
     " JOIN tenant t ON t.n = r.tenant WHERE r.rid > $1 AND r.tenant" TENANTS(
         "2") " ORDER BY r.rid LIMIT $3",
     "INSERT INTO v2_registration(tenant, id, service_path, sent, last_forwarding, last_success,"
     " last_failure, created, modified, doc) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
     {{"tenant", COL_TENANT},
      {"id", COL_TEXT},
      {"servicePath", COL_TEXT},
      {"sent", COL_INT},
      {"lastForwarding", COL_TIME},
      {"lastSuccess", COL_TIME},
      {"lastFailure", COL_TIME},
      {"created", COL_TIME},
      {"modified", COL_TIME},
      {"doc", COL_JSON}},
     64},
    {"remoteSubscription",
     "t",
     "SELECT r.token, t.name, r.token, r.sub, r.reg, r.remote, r.endpoint, r.tenant_there, r.state,"
     " r.modified, r.tries, r.v FROM sub_remote r JOIN tenant t ON t.n = r.tenant"
     " WHERE r.token > $1 AND r.tenant" TENANTS("2") " ORDER BY r.token LIMIT $3",
     "INSERT INTO sub_remote(tenant, token, sub, reg, remote, endpoint, tenant_there, state,"
     " modified, tries, v) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
     {{"tenant", COL_TENANT},
      {"token", COL_TEXT},
      {"subscription", COL_TEXT},
      {"registration", COL_TEXT},
      {"remote", COL_TEXT},
      {"endpoint", COL_TEXT},
      {"tenantThere", COL_TEXT},
      {"state", COL_INT},
      {"modified", COL_TIME},
      {"tries", COL_INT},
      {"v", COL_INT}},
     200},
    {"subscriptionVia",
     "it",
     "SELECT v.tenant, v.sub, t.name, v.sub, v.via FROM sub_via v JOIN tenant t ON t.n = v.tenant"
     " WHERE (v.tenant, v.sub) > ($1, $2) AND v.tenant" TENANTS(
         "3") " ORDER BY v.tenant, v.sub LIMIT $4",
     "INSERT INTO sub_via(tenant, sub, via) VALUES ($1, $2, $3)",
     {{"tenant", COL_TENANT}, {"subscription", COL_TEXT}, {"via", COL_TEXT}},
     200},
    {"key",
     "i",
     "SELECT k.n, t.name, k.name, k.digest, k.created, k.expires, k.revoked, k.used, k.policies,"
     " k.quota FROM access_key k JOIN tenant t ON t.n = k.tenant"
     " WHERE k.n > $1 AND k.tenant" TENANTS("2") " ORDER BY k.n LIMIT $3",
     "INSERT INTO access_key(tenant, name, digest, created, expires, revoked, used, policies,"
     " quota) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
     {{"tenant", COL_TENANT},
      {"name", COL_TEXT},
      {"digest", COL_BLOB},
      {"created", COL_TIME},
      {"expires", COL_TIME},
      {"revoked", COL_TIME},
      {"used", COL_TIME},
      {"policies", COL_JSON},
      {"quota", COL_JSON}},
     200},
    {"policy",
     "iti",
     "SELECT p.tenant, p.name, p.version, t.name, p.name, p.version, p.at, p.actor, p.doc"
     " FROM access_policy p JOIN tenant t ON t.n = p.tenant"
     " WHERE (p.tenant, p.name, p.version) > ($1, $2, $3) AND p.tenant" TENANTS(
         "4") " ORDER BY p.tenant, p.name, p.version LIMIT $5",
     "INSERT INTO access_policy(tenant, name, version, at, actor, doc)"
     " VALUES ($1, $2, $3, $4, $5, $6)",
     {{"tenant", COL_TENANT},
      {"name", COL_TEXT},
      {"version", COL_INT},
      {"at", COL_TIME},
      {"actor", COL_TEXT},
      {"doc", COL_JSON}},
     64},
    {"deliveryAction",
     "i",
     "SELECT d.n, t.name, d.subscription, d.at, d.action, d.from_seq, d.to_seq, d.reason, d.actor"
     " FROM delivery_action d JOIN tenant t ON t.n = d.tenant WHERE d.n > $1 AND d.tenant" TENANTS(
         "2") " ORDER BY d.n LIMIT $3",
     "INSERT INTO delivery_action(tenant, subscription, at, action, from_seq, to_seq, reason,"
     " actor) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
     {{"tenant", COL_TENANT},
      {"subscription", COL_TEXT},
      {"at", COL_TIME},
      {"action", COL_TEXT},
      {"from", COL_INT},
      {"to", COL_INT},
      {"reason", COL_TEXT},
      {"actor", COL_TEXT}},
     200},
    /* Of the whole city only. Without its token and its id: it has to enrol again. The city of an
     * edge node is not one of its nodes. */
    {"node",
     "t",
     "SELECT name, name, part, created FROM sync_node WHERE name > $1 AND $2 = 0"
     " AND name <> 'upstream' ORDER BY name LIMIT $3",
     "INSERT INTO sync_node(name, token, part, created) VALUES ($1, '', $2, $3)"
     " ON CONFLICT(name) DO NOTHING",
     {{"name", COL_TEXT}, {"part", COL_TEXT}, {"created", COL_TIME}},
     200},
};
const size_t n_kinds = sizeof(kinds) / sizeof(kinds[0]);

size_t kind_columns(const struct record_kind *k)
{
    size_t n = 0;
    while (n < RECORD_COLUMNS && k->columns[n].name)
        n++;
    return n;
}

void kind_query(struct store_conn *c, struct store_rows *r, const struct everything *x)
{
    const struct record_kind *k = &kinds[x->kind];
    struct store_value v[EVERYTHING_KEYS + 2];
    size_t n = strlen(k->keys);
    for (size_t i = 0; i < n; i++) {
        v[i] = x->at[i];
        if (v[i].kind == SV_KIND_NULL)
            v[i] = k->keys[i] == 'i' ? SV_INT(-1) : SV_TEXT(S(""));
    }
    v[n] = SV_INT(x->tenant);
    v[n + 1] = SV_INT(k->rows);
    store_query(c, r, k->select, v, n + 2);
}

void kind_passed(struct everything *x, const struct store_rows *r)
{
    const char *keys = kinds[x->kind].keys;
    arena_reset(&x->texts);
    for (size_t i = 0; keys[i]; i++)
        x->at[i] = keys[i] == 'i' ? SV_INT(store_int(r, (int)i))
                                  : SV_TEXT(str_dup(&x->texts, store_text(r, (int)i)));
}
