/*
 * edge.h - nodes that hold a part of the city, work on when the line is cut, and merge later.
 *
 * A city accepts nodes that were enrolled (each has a name and a token). An edge node is the same
 * program with edge.on, edge.upstream and edge.token: it fetches its part of one tenant, takes
 * reads and writes whether or not the city can be reached, and exchanges changes with it when it
 * can. What merging means stands in src/link/edge/register.h, how it runs in sync.h and edge.c
 * there.
 */
#ifndef LINK_EDGE_H
#define LINK_EDGE_H

#include "link/repo.h"

struct link;
struct sync;
struct router;

struct edge_options {
    bool on;              /* this node is an edge */
    const char *upstream; /* the city, "https://city.example" */
    const char *token;    /* that the city gave this node */
    const char *tenant;   /* of both sides; "" the default one */
    const char *types;    /* selection of types as in NGSI-LD's type=, "" all */
    const char *scope;    /* as scopeQ=, "" all */
    const char *area;     /* "west,south,east,north" in degrees, "" everywhere */
    int64_t poll_s;       /* pause between looks for changes of the city */
    int64_t verify_s;     /* pause between comparisons of digests */
    int64_t batch_bytes;  /* changes in one message, before compression */
    int64_t bytes_per_s;  /* on the line, both directions; 0: no bound */
    int64_t drift_s;      /* a clock further ahead than this does not move ours */
    int64_t past_days;    /* evolution that is fetched and compared; 0: none */
    int64_t keep_hours;   /* how long a city keeps changes for a node that does not come */
    int64_t trim_s;       /* pause between looks for tombstones that nobody needs */
};
extern const struct config_table edge_config;

/* --- of link.c --- */

struct sync *sync_new(struct link *l, struct error *e);
/* On an edge: start exchanging. */
enum err sync_start(struct sync *s, struct error *e);
void sync_free(struct sync *s);
void sync_routes(struct sync *s, struct router *r);

/* Enrol a node, also the first one: its token, in the arena. Waits for the writer. ERR_EXISTS,
 * ERR_INVALID for a name that is not 1 to 64 letters, digits, '-', '_' and '.'. */
enum err sync_enroll(struct sync *s, struct arena *a, struct str name, struct str *token,
                     struct error *e);
/* Its token is no longer good. ERR_NOT_FOUND. */
enum err sync_dismiss(struct sync *s, struct str name, struct error *e);

/* --- of ops.c and repo_put.c: what is kept of a change for other nodes --- */

struct sync_put;
/* For a change made here; NULL when nothing is to be kept. */
struct sync_put *sync_local(struct sync *s, struct arena *a);
/* Before the journal row: works out the registers of the change. */
enum err sync_stamp(struct store_conn *c, const struct repo_put *p, struct error *e);
/* The piece that the journal row carries, as JSON, and the row's origin. */
struct str sync_journal(const struct sync_put *p, struct journal_row *row);
/* When the change of an instance was made: here now, or where it came from. */
int64_t sync_instant(const struct sync_put *p, const struct attr_change *ch, int64_t now);
/* The same of scopes; 0: when is not known, their evolution comes by itself (edge/evolution.h). */
int64_t sync_scope_instant(const struct sync_put *p, int64_t now);
/* Has the change's value entered the history before? It does so once. */
bool sync_is_known(const struct sync_put *p, const struct attr_change *ch);
/* After the entity's row: writes the registers; seq: the journal row. */
enum err sync_record(struct store_conn *c, const struct sync_put *p, int64_t eid, int64_t seq,
                     struct error *e);

/* --- of the temporal interface: writes of evolution, for other nodes (edge/past.h) --- */

struct past_change { /* of one entity */
    struct sync *sync;
    int64_t tenant, eid, now;
    struct str id, actor;
    struct str attr, dataset; /* as in history_delete() */
    bool all_datasets;
    int64_t seq;
};
/* Is evolution kept for other nodes? */
bool past_kept(const struct sync *s);
/* Inside a change: an instance is added (seq 0) or takes the place of the one that seq names. */
enum err past_put(struct store_conn *c, struct arena *a, const struct past_change *x,
                  const struct json *instance, struct error *e);
/* Inside a change: history_delete() of what x names. */
enum err past_drop(struct store_conn *c, struct arena *a, const struct past_change *x,
                   struct error *e);

/* --- conflicts: values of which neither writer had seen the other's --- */

struct conflict_value {
    struct str key;              /* names it when one is chosen */
    struct str node, name;       /* who wrote it; name: as which it is enrolled, may be absent */
    int64_t at;                  /* when, by that node's clock */
    const struct json *instance; /* stored form; of a head: types, scopes; NULL: deleted */
    bool in_effect;
};

struct conflict {
    struct str id;            /* of this node's own: others name it differently */
    struct str entity;        /* id */
    struct str attr, dataset; /* absent attr: types, scopes and existence of the entity */
    bool entity_deleted;      /* nothing of it is shown */
    const struct conflict_value *values;
    size_t n_values;
};

/* The oldest max conflicts after one (absent: from the start) to each(), which returns false to
 * stop; in the arena. */
enum err conflicts_each(struct sync *s, struct store_conn *c, struct arena *a, int64_t tenant,
                        struct str after, size_t max,
                        bool (*each)(void *ctx, const struct conflict *x), void *ctx,
                        struct error *e);
enum err conflicts_count(struct store_conn *c, int64_t tenant, int64_t *n, struct error *e);
/*
 * Choose a value by its key, or "deleted": a write that has seen all of them, by actor. Waits for
 * the writer. ERR_NOT_FOUND when it is no conflict (any more), ERR_INVALID for an unknown key.
 */
enum err conflict_decide(struct sync *s, int64_t tenant, struct str id, struct str key,
                         struct str actor, struct error *e);

/* Nodes that are enrolled, or must be again since an import of everything: for pages. */
struct node_status {
    struct str name, node, part; /* absent node: it never came */
    int64_t created, contact;    /* instants; created 0: not enrolled; contact 0: never */
    int64_t received, acked;     /* of the tenant asked for */
};
enum err nodes_each(struct store_conn *c, int64_t tenant,
                    void (*each)(void *ctx, const struct node_status *n), void *ctx,
                    struct error *e);

/* --- the exchange of an edge node with its city --- */

enum edge_state {
    EDGE_OFFLINE,  /* the city does not answer */
    EDGE_REFUSED,  /* it answers, but not to us */
    EDGE_COPYING,  /* states are compared and exchanged */
    EDGE_CHANGES,  /* changes are exchanged */
    EDGE_TOGETHER, /* nothing is left to exchange */
    EDGE_STANDBY,  /* another process on the same store exchanges */
};
extern const char *const edge_state_names[]; /* "offline", ... */

struct edge_status {
    enum edge_state state;
    int64_t contact;   /* last answer of the city, instant; 0: never */
    int64_t waiting;   /* own journal rows that the city has not got */
    int64_t behind;    /* rows of the city's journal not looked at yet */
    int64_t verified;  /* when digests were last equal, instant; 0: never */
    int64_t offset_us; /* city's clock - ours */
    char name[72];     /* as which it is enrolled */
    char error[200];   /* why it is offline or refused; else empty */
};
/* False when this is no edge node. */
bool sync_upstream(struct sync *s, struct edge_status *out);

/* --- of retention.c --- */

/* Newest journal row of a tenant that no other node needs any more; INT64_MAX: all. */
enum err sync_unneeded(struct sync *s, struct store_conn *c, int64_t tenant, int64_t *seq,
                       struct error *e);

#endif
