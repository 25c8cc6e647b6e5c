/*
 * subscription_impl.h - the parts of subscription.h, shared by the files subscription_*.c.
 *
 *     subscription_model.c   what a client sends and reads; checking; the stored document
 *     subscription_spec.c    a stored document compiled for matching and sending
 *     subscription_match.c   which subscriptions a change concerns
 *     subscription_view.c    members picked, linked entities
 *     subscription_render.c  the text of a notification
 *     subscription_state.c   states, queues, timers
 *     subscription_send.c    hosts, requests, answers, trying again
 *     outbound.c             the transports: HTTP, MQTT
 *     subscription_follow.c  the follower: journal, sweeps, periods, cursors on disk
 *     subscription_store.c   rows of the subscription table
 *     subscription_share.c   several processes on one store: who notifies
 *     subscription_api.c     /ngsi-ld/v1/subscriptions, /link/v1/deliveries
 */
#ifndef LINK_SUBSCRIPTION_IMPL_H
#define LINK_SUBSCRIPTION_IMPL_H

#include "core/map.h"
#include "core/vec.h"
#include "link/link.h"
#include "link/outbound.h"
#include "link/subscription.h"
#include <pthread.h>
#include <stdatomic.h>

/* --- model --- */

enum {
    TRIGGER_ENTITY_CREATED = 1,
    TRIGGER_ENTITY_DELETED = 2,
    TRIGGER_ATTR_CREATED = 4,
    TRIGGER_ATTR_UPDATED = 8,
    TRIGGER_ATTR_DELETED = 16,
    TRIGGER_ENTITY_UPDATED = 32 /* also stands for the three of attributes */
};

/*
 * A payload in stored form: members checked, names expanded, what only we set left out. Of a
 * fragment (patch) the members that are to be removed come out as JSON null. NULL with ERR_INVALID,
 * or ERR_UNPROCESSABLE for what is not supported.
 */
const struct json *sub_expand(struct arena *a, const struct json *payload, bool patch,
                              const struct ld_context *ctx, struct error *e);
/* The stored document with the members of a fragment put in or taken out. */
const struct json *sub_patched(struct arena *a, const struct json *doc, const struct json *patch);
/* Rules between members, for a whole document. */
enum err sub_check(const struct json *doc, struct error *e);

/* Why a subscription that its owner wants does not work. */
enum sub_off {
    OFF_NOT,
    OFF_ITSELF,  /* it switched itself off (one_shot, fails_max) */
    OFF_REFUSED, /* set aside: its receiver refused one notification too often */
    OFF_HELD     /* an operator paused it */
};

/* The member of the stored document that names who made it (an actor, see access.h). Never shown;
 * absent: nobody known. What the owner may not see the subscription does not tell. */
#define SUB_OWNER "@owner"

struct sub_counters {
    int64_t sent, failed; /* requests made (failed ones too), requests that failed */
    int64_t last_notification, last_success, last_failure; /* instants, 0: never */
    int64_t gaps;         /* times that the journal had been trimmed past the cursor */
    int64_t fails;        /* failures since the last success */
    int64_t success_code; /* status of the last success */
    int64_t refusals;     /* of the notification at the head, in a row: the receiver wants it not */
    int64_t skipped;      /* notifications that an operator gave up */
    int64_t off;          /* enum sub_off */
    struct str last_error;
};
/* As its owner reads it, with the names of ctx. */
void sub_write(struct buf *out, struct arena *a, const struct json *doc,
               const struct sub_counters *n, const char *status, const struct ld_context *ctx,
               bool with_context, bool sys_attrs, int64_t created, int64_t modified);

/* Each name of a type selection ("A,(B;C)") or projection ("a,b{c}") through to(); the signs
 * between stay, and members of entities. */
struct str sub_map_names(struct arena *a, struct str text, const struct ld_context *ctx,
                         struct str (*to)(const struct ld_context *, struct arena *, struct str));

extern const struct query_limits SUB_QUERY; /* of q: it may lead over linked entities */

/* --- spec: compiled, immutable, counted --- */

enum sub_accept { ACCEPT_JSON, ACCEPT_LD, ACCEPT_GEO };

/* Memory that several specs share, so that ten thousand small ones do not take a page each. */
struct sub_slab {
    _Atomic int refs;
    struct arena arena;
};
struct sub_slab *sub_slab_new(void);
void sub_slab_unref(struct sub_slab *s);
/* The slab that is being filled, counted for the caller; a new one after some uses. */
enum { SLAB_SPECS = 16 };
struct sub_slabs {
    struct sub_slab *filling;
    unsigned used;
};
struct sub_slab *sub_slab_take(struct sub_slabs *s);
void sub_slabs_release(struct sub_slabs *s);

/* How entities are shown: subscriptions that agree share the text. */
struct sub_group {
    _Atomic int refs;
    struct sub_slab *slab; /* where it stands */
    struct str key;        /* in subscriptions.groups */
    struct entity_view view;
    const struct api_projection *pick, *omit; /* NULL: all, nothing */
    enum { SHOW_ALONE, SHOW_INLINE, SHOW_FLAT } join;
    int64_t level; /* of links to follow */
    bool show_changes, show_deleted;
    const struct sub_face *face; /* NULL: NGSI-LD */
    const void *own;             /* the face's */
    /* The deletion of an entity is told as that of its attributes (no entityDeleted), of these. */
    bool gone_attrs;
    const struct str *watched;
    size_t n_watched;
    struct str owner; /* whose rights count */
    /* the follower's: what was rendered for the journal row at hand */
    int64_t stamp;
    struct sub_payload *payload;
};

enum { SUB_BEGINNING = 64 };
struct sub_selector {
    const struct str *ids;
    size_t n_ids;
    struct regex *pattern;
    struct str beginning;          /* of every id that matches it; empty: not known */
    const struct type_node *types; /* NULL: any */
    struct str type_text;
};

struct sub_spec {
    _Atomic int refs;
    struct sub_slab *slab;
    struct str id, name;
    struct str key;  /* "TENANT id" */
    struct str hash; /* for notification ids */
    int64_t tenant;
    struct str tenant_name, snapshot; /* as clients know them; snapshot: its id, or absent */
    const struct sub_selector *selectors;
    size_t n_selectors;
    const struct str *watched;
    size_t n_watched;
    unsigned triggers;
    struct entity_query filter; /* q, scope, place; for one thread, the follower */
    struct str q, expand_values, scope_q, georel, geometry, coordinates, geo_property;
    const struct ld_context *q_ctx;
    bool active;
    int64_t expires;                  /* instant, 0: never */
    int64_t throttle_us, interval_us; /* 0: none */
    struct str uri, origin;           /* endpoint; what stands before its path */
    struct str shown_uri;             /* without its password */
    struct outbound_mqtt mqtt;
    enum sub_accept accept;
    int version;      /* of NGSI-LD that notifications conform to (clause 4.3.6.8) */
    bool link_header; /* the @context is named in a header, not given in the body */
    const struct http_header *headers; /* receiverInfo */
    size_t n_headers;
    int64_t timeout_ms, cooldown_us;
    struct str link; /* value of the Link header */
    struct sub_group *group;
    const struct sub_face *face; /* NULL: NGSI-LD */
    void *own;                   /* the face's; NULL: none */
    bool one_each;               /* a request tells one change, also after a pause */
    bool one_shot;               /* switches itself off after a delivery */
    int64_t fails_max;           /* switches itself off after more failures in a row; 0: never */
};

struct sub_source {
    int64_t tenant;
    struct str tenant_name, snapshot, id;
    const struct json *doc;
    const struct ld_context *ctx;       /* for q and, without jsonldContext, for notifications */
    const struct ld_context *shown_ctx; /* of jsonldContext; NULL: ctx */
    struct str public_url;
    const struct sub_face *face; /* NULL: NGSI-LD */
    struct str service_path;     /* of NGSIv2 */
};
/* Compile into the slab. Takes no lock; the group is found or made later (sub_group_join()). */
struct sub_spec *sub_spec_new(struct sub_slab *slab, const struct sub_source *src, struct error *e);
/* May receiverInfo and notifierInfo of an endpoint be what they are? */
enum err sub_check_endpoint(const struct json *ep, struct error *e);
/* What notifierInfo says of MQTT; e may be NULL. */
enum err sub_mqtt_info(const struct json *pairs, struct outbound_mqtt *out, struct error *e);
/* Its group among those of the hub; under the hub's lock. */
void sub_group_join(struct map *groups, struct sub_spec *spec);
void sub_spec_ref(struct sub_spec *s);
/* Under the hub's lock when the spec had joined a group. */
void sub_spec_unref(struct map *groups, struct sub_spec *s);
/* A second query of the same condition, for another thread; give back entity_query_release(). */
enum err sub_filter_new(struct arena *a, const struct sub_spec *s, struct entity_query *out,
                        struct error *e);

/* --- faces --- */

struct sub_payload;
struct sub_face_page;

/*
 * What subscriptions of another interface do in their own way. Queues, order, attempts, cursors
 * and counters are the engine's; which change concerns a subscription, how it is told and what the
 * request looks like are the face's.
 */
struct sub_face {
    /* The document into spec: selectors (for the index, a superset will do), endpoint, times, own,
     * and the group's key and own. */
    enum err (*compile)(struct arena *a, const struct sub_source *src, struct sub_spec *s,
                        struct error *e);
    void (*release)(struct sub_spec *s); /* own that is no arena's; called when own is set */
    bool (*concerns)(const struct sub_spec *s, struct arena *a, const struct entity_event *ev);
    /* For full notifications: does it tell this entity for selector i, and for none before? Any
     * thread. */
    bool (*selects)(const struct sub_spec *s, size_t i, struct arena *a, const struct json *doc);
    struct sub_payload *(*render)(const struct sub_group *g, struct arena *a,
                                  const struct entity_event *ev);
    /* Method, URL, headers, body and what MQTT is to do for n payloads; id names the notification.
     */
    void (*request)(const struct sub_spec *s, struct arena *a, struct str id, int64_t now,
                    struct sub_payload *const *list, size_t n, struct outbound *out);
    /* What it follows are registrations and not entities: their rows are offered to it, and pages
     * of full notifications, of which the first comes at once, are the face's. */
    bool registrations;
    void (*page)(struct link *l, const struct sub_spec *s, struct arena *a,
                 struct sub_face_page *p);
};
extern const struct sub_face v2_sub_face; /* v2/v2_outbox.c */

struct sub_face_page {
    int64_t after; /* row that it begins after */
    struct buf *out;
    size_t n;     /* told */
    int64_t last; /* row of the last one */
    bool more;
};

/* Names, conditions, selectors and endpoint of a document of NGSI-LD into a spec: for faces that
 * have the same. */
enum err sub_spec_take(struct sub_spec *s, struct arena *a, const struct sub_source *src,
                       struct error *e);

/* --- match --- */

/* Where linked entities are found. */
struct sub_place {
    struct link *link;
    int64_t tenant;
};
/* For conditions on linked entities, as they are now and the owner may see them; with the caller's
 * reader c, or (NULL) one of its own from the first of them on. */
struct sub_links {
    struct sub_place place;
    struct str owner;
    struct query_linker linker;
    struct arena arena;
    struct store_conn *conn, *own;
};
const struct query_linker *sub_links_open(struct sub_links *l, const struct sub_place *at,
                                          struct str owner, struct store_conn *c);
void sub_links_close(struct sub_links *l);

struct sub;
struct sub_list;
/* Who may be concerned by what. It changes under the hub's lock, so that the hub may look at it
 * under that; the writer thread looks under its own lock. */
struct sub_index {
    pthread_rwlock_t lock;
    struct map by_key;
    size_t beginnings[SUB_BEGINNING +
                      1];        /* entries under patterns, by length of what they begin with */
    _Atomic uint64_t generation; /* another one after each change; unique in the process */
};
void sub_index_init(struct sub_index *x);
void sub_index_release(struct sub_index *x);
/* Enter a subscription under, or take it from, the keys of its spec's selectors. */
void sub_index_add(struct sub_index *x, struct sub *s);
void sub_index_remove(struct sub_index *x, struct sub *s);
/* Lists of subscriptions that the change may concern, to each(): a superset, perhaps twice. */
void sub_index_find(const struct sub_index *x, struct arena *a, int64_t tenant,
                    const struct entity_event *ev,
                    void (*each)(void *ctx, const struct sub_list *list), void *ctx);
/* Those that follow registrations. */
void sub_index_registrations(const struct sub_index *x, struct arena *a, int64_t tenant,
                             void (*each)(void *ctx, const struct sub_list *list), void *ctx);
/* The generation if the change concerns none of them, else 0. On the writer thread, without the
 * hub's lock; a journal_marker. */
uint64_t sub_index_mark(void *index, struct arena *a, int64_t tenant, const void *event);
/* Does the change concern the subscription? Errors (a pattern over its limits) count as yes:
 * nothing is skipped silently. */
bool sub_concerns(const struct sub_spec *s, const struct sub_place *at, struct arena *a,
                  const struct entity_event *ev);
/* Does one of the first n selectors hold? */
bool sub_selects(const struct sub_spec *s, size_t n, const struct json *doc);

/* --- render --- */

struct api_projection;

/* The projection of a list of texts of clause 4.21; *out NULL without one. */
enum err sub_projection(struct arena *a, const struct json *list, const struct ld_context *ctx,
                        const struct api_projection **out, struct error *e);
/* Rules between pick, omit and join of a notification's parameters. */
enum err sub_check_view(const struct json *notification, struct error *e);
/* pick, omit and join of a group from them. */
enum err sub_take_view(struct sub_group *g, struct arena *a, const struct json *notification,
                       struct error *e);
/* The form in which the group's entities are written. */
struct entity_view sub_view_of(const struct sub_group *g);
/* An entity as the group shows it; *linked: entities that follow it, each after a comma. */
enum err sub_write_entity(struct buf *out, const struct sub_group *g, const struct sub_place *at,
                          struct arena *a, const struct json *doc, struct str *linked,
                          struct error *e);

/* Does the attribute differ from what it was before, times aside (clause 5.8.6)? */
bool sub_differs(const struct attr_change *ch);
/* The entity of a change, which was at the instant `when`, as the group shows it. */
struct sub_payload *sub_render(const struct sub_group *g, const struct sub_place *at,
                               struct arena *a, const struct entity_event *ev, int64_t when);
/* The entity as it is. */
void sub_render_entity(struct buf *out, const struct sub_group *g, const struct sub_place *at,
                       struct arena *a, const struct json *doc);
struct sub_payload *sub_payload_new(struct str text, struct str id);
/* With something for the face's request(). */
struct sub_payload *sub_payload_noted(struct str text, struct str id, struct str note);
struct str sub_payload_text(const struct sub_payload *p);
struct str sub_payload_note(const struct sub_payload *p);
void sub_payload_unref(struct sub_payload *p);
/* The request's body: envelope and payloads. */
struct str sub_body(struct arena *a, const struct sub_spec *s, struct str id, int64_t now,
                    struct sub_payload *const *payloads, size_t n);

/* --- payloads and queues --- */

/* One entity in the form of its group, or a page of them. */
struct sub_payload {
    _Atomic int refs;
    size_t n, n_id, n_note;
    char text[]; /* n bytes of entities joined by ',', then n_id bytes: the id of a single one, then
                    the face's note */
};

struct sub_item {
    struct sub_payload *payload;
    int64_t seq; /* journal row; of a full notification the row that it is as of */
    bool full;   /* of a full notification */
};

/* --- a subscription at work; see subscription_state.c --- */

enum sub_state {
    ST_LIVE,
    ST_BEHIND,
    ST_RETRYING,
    ST_ASIDE,
    ST_PAUSED,
    ST_EXPIRED,
    ST_GONE,
    ST_STATES
};

enum sub_event {
    EV_FULL,      /* its queue has no room */
    EV_CAUGHT_UP, /* a sweep reached the follower */
    EV_FAILED,
    EV_DELIVERED,
    EV_ASIDE, /* too many refusals, or an operator wants it to wait */
    EV_MOVE,  /* an operator gave it another position */
    EV_PAUSE,
    EV_RESUME,
    EV_EXPIRE,
    EV_DELETE,
    EV_EVENTS
};

struct sub_tenant;
struct sub_host;

struct sub {
    struct sub_spec *spec;
    int64_t sid;
    enum sub_state state;
    struct sub_tenant *tenant;
    int64_t read;           /* see sub_seen() */
    bool sweeping;          /* takes part in the tenant's sweep */
    struct sub_item *queue; /* ring of cap items from head */
    uint32_t head, n, cap;
    uint32_t flying;        /* items of the request on its way, 0: none */
    uint32_t attempts;      /* failures in a row */
    bool unanswered;        /* the last one was a silence */
    uint32_t pins;          /* threads that look at it without the lock */
    bool moving;            /* an operator's move waits for the request that is on its way */
    int64_t move_to;        /* its new position */
    int64_t retry_at;       /* steady */
    int64_t throttle_until; /* steady */
    int64_t next_full;      /* steady: of timeInterval */
    int64_t due;            /* steady: when the timer wants it; 0: no timer */
    size_t heap_at;         /* in subscriptions.timers, from 1; 0: not there */
    struct {
        bool wanted, running; /* a page is due; is being made */
        bool resync;          /* because of a gap: read becomes seq when all is delivered */
        int64_t seq, after;   /* journal row of the first page; last entity of the page before */
        size_t selector;
        int64_t not_before; /* steady: after a failure */
    } full;
    struct sub_host *host;
    struct sub *next_ready, *next_of_host, *prev_of_host;
    bool ready;        /* in its host's list */
    bool disk_pending; /* as on disk, see subscription_store.c */
    int64_t disk_cursor;
    bool counters_moved;
    struct sub_counters count; /* last_error is in error_text */
    char error_text[120];
    int64_t stamp; /* of the journal row that it was last a candidate for */
};

/* Receivers at one origin share a budget, so that a dead one does not take all of it. */
struct sub_host {
    struct str origin;        /* behind the struct */
    struct sub *subs;         /* all of them */
    struct sub *first, *last; /* ready to send */
    int64_t flying;
    bool down;   /* the last request had no answer */
    bool queued; /* in subscriptions.hosts_first */
    struct sub_host *next;
};

/* The world outside, as the outbox sees it. */
struct sub_net {
    enum err (*send)(void *ctx, const struct outbound *m, struct error *e);
    uint64_t (*random)(void *ctx);
    void *ctx;
};

struct sub_list {
    struct sub **v;
    size_t n, cap;
};
void sub_list_add(struct sub_list *l, struct sub *s);
void sub_list_remove(struct sub_list *l, const struct sub *s);

/* What the follower knows of a tenant. */
struct sub_tenant {
    int64_t tenant;
    int64_t pos;      /* rows up to it were offered to those in ST_LIVE */
    int64_t disk_pos; /* as written down */
    int64_t sweep;    /* rows up to it were offered by the present sweep; -1: there is none */
    size_t n_subs;
    uint64_t epoch; /* of the journal when it was last read to its end; 0: not yet */
    struct sub_tenant *next;
};

enum { SUB_QUEUED_BYTES = 64 << 20 }; /* of payloads in all queues, shared ones counted each time */

struct subscriptions {
    struct link *link;
    struct sub_net net;
    _Atomic int refs;       /* its owner's, one of each request on its way, one of each pool task */
    struct sub_slabs slabs; /* of the thread that compiles: at the start the caller's, then the
                               writer's */

    pthread_mutex_t flushing; /* before lock: one writes cursors at a time */
    pthread_mutex_t lock;     /* for everything below */
    pthread_cond_t wake;      /* the follower */
    pthread_cond_t idle;      /* a request came back */
    bool changed, closing, threaded;
    pthread_t thread;

    struct sub_list all;
    struct map by_id; /* "TENANT id" -> struct sub; keys stand in the specs */
    struct sub_index index;
    struct map groups, hosts;
    struct sub_tenant *tenants;
    struct sub_list timers;                    /* binary heap by due; v[0] is not used */
    struct sub_list fulls;                     /* those that want a page */
    struct sub_host *hosts_first, *hosts_last; /* with something ready */
    int64_t flying;                            /* requests on their way */
    size_t queued_bytes;
    bool hungry; /* somebody in ST_BEHIND may want a sweep */

    /* subscription_share.c */
    bool standby;                        /* another process notifies */
    bool stale;                          /* all rows are to be read again */
    int64_t term;                        /* of our duty, 0: none yet */
    struct sub_hint *hints, **last_hint; /* subscriptions that others wrote, oldest first */
    size_t n_hints;
    bool looked_at;       /* somebody asked for counters since they were read */
    int64_t refreshed_at; /* steady */
    int64_t stamp;
    int64_t flushed_at, counted_at; /* steady */
};

/* --- state: all under the lock --- */

struct sub_new {
    struct sub_spec *spec; /* taken over */
    int64_t sid, read;
    struct sub_counters count;
};
struct sub *sub_enter(struct subscriptions *h, const struct sub_new *n);
/* Tell all that matches, then go on from there. */
void sub_tell_all(struct subscriptions *h, struct sub *s);
/* Another spec (taken over); read counts when it begins to be active by that. */
void sub_change(struct subscriptions *h, struct sub *s, struct sub_spec *spec, int64_t read);
void sub_event(struct subscriptions *h, struct sub *s, enum sub_event ev);
/* EV_DELETE; s is gone at once, or when nothing of it is on its way any more. */
void sub_delete(struct subscriptions *h, struct sub *s);
/* Rows up to which all is delivered, queued or of no concern. */
int64_t sub_seen(const struct sub *s);
/* Rows up to which all is delivered or of no concern. */
int64_t sub_cursor(const struct sub *s);
bool sub_has_room(const struct subscriptions *h, const struct sub *s);
/* Does it want a sweep? */
bool sub_hungry(const struct subscriptions *h, const struct sub *s);
/* Append to its queue; the payload is shared. */
void sub_queue(struct subscriptions *h, struct sub *s, struct sub_payload *p, int64_t seq,
               bool full);
/* What is due now: sending, a page, expiry; else the timer. */
void sub_schedule(struct subscriptions *h, struct sub *s);
void sub_unpin(struct subscriptions *h, struct sub *s);
/* Those whose timer ran out; the steady instant of the next one, 0: none. */
int64_t sub_timers(struct subscriptions *h);
/* Pause it until its owner wakes it, also after a restart. */
void sub_switch_off(struct subscriptions *h, struct sub *s);
/* Let it wait where it is: nothing is sent and nothing forgotten, also over a restart. */
void sub_set_aside(struct subscriptions *h, struct sub *s, enum sub_off why);
/* On from where it stands, at once. */
void sub_go_on(struct subscriptions *h, struct sub *s);
/* Go on after journal row read, before or behind where it stands. */
void sub_move(struct subscriptions *h, struct sub *s, int64_t read);
/* The move that waited, when nothing is on its way any more. */
void sub_move_now(struct subscriptions *h, struct sub *s);
struct sub *sub_find(const struct subscriptions *h, int64_t tenant, struct str id);
const char *sub_status(const struct sub *s); /* "active", "paused", "expired" */
void sub_wake(struct subscriptions *h);      /* the follower */
void sub_free_all(struct subscriptions *h);
void sub_hub_unref(struct subscriptions *h);

bool sub_at_work(const struct sub *s); /* neither paused, expired nor gone */
struct sub_item *sub_item_at(const struct sub *s, uint32_t i);
void sub_pop(struct subscriptions *h, struct sub *s, uint32_t n); /* the first n items */
/* Gone, and nobody holds it: free it. */
void sub_release(struct subscriptions *h, struct sub *s);

/* --- send: all under the lock --- */

void sub_host_join(struct subscriptions *h, struct sub *s);
void sub_host_leave(struct subscriptions *h, struct sub *s);
void sub_ready(struct subscriptions *h, struct sub *s); /* stand in line */
void sub_unready(struct sub *s);
/* Send what is ready within the budgets. */
void sub_pump(struct subscriptions *h);

/* --- follow --- */

/* One round of the follower, without waiting: timers, pages, rows, sweeps, cursors. True when
 * there is more to do at once. flush: write cursors whether it is time or not. */
bool sub_step(struct subscriptions *h, bool flush);
/* Make one page of a full notification (a pool task's work). */
void sub_full_run(struct subscriptions *h, struct sub *s);

/* A hub whose rounds the caller makes: for tests. */
struct subscriptions *sub_hub_new(struct link *l, const struct sub_net *net, struct error *e);

/* --- store --- */

/* All rows of the table, in place of what is there. */
enum err sub_load(struct subscriptions *h, struct error *e);
/* Cursors and counters that moved, in one change; nothing while another process notifies. */
enum err sub_flush(struct subscriptions *h, bool all, struct error *e);
/* One of them compiled, for somebody who looks; of its own slab and in no group. NULL: see e. Give
 * back with sub_spec_drop(). */
struct sub_spec *sub_spec_of(struct link *l, struct store_conn *c, int64_t tenant, struct str id,
                             struct error *e);
void sub_spec_drop(struct sub_spec *s);
struct sub_written {
    int64_t tenant;
    struct str id;
    int64_t cursor; /* newest journal row then */
    bool wakes;     /* it works again if it had switched off */
};
/* One row that was written or deleted: as it is now. */
enum err sub_reload(struct subscriptions *h, const struct sub_written *w, struct error *e);
/* Counters and positions as the process that notifies wrote them. */
enum err sub_refresh(struct subscriptions *h, struct error *e);
/* The state column. */
struct str sub_counters_text(struct arena *a, const struct sub_counters *c);
struct sub_counters sub_counters_parse(struct arena *a, struct str text);

/* --- share --- */

void sub_share_init(struct subscriptions *h);
void sub_share_start(struct subscriptions *h);
void sub_share_stop(struct subscriptions *h);
void sub_share_free(struct subscriptions *h);
/* The follower's, before each round: what others did. True: it is ours to notify. */
bool sub_share_round(struct subscriptions *h);
/* Is it ours to notify now? */
bool sub_has_duty(const struct subscriptions *h);
/* An order of an operator that another process took: done here, where it is ours to notify. */
void delivery_heard(struct subscriptions *h, int64_t tenant, struct str id, int64_t action,
                    int64_t to);
enum err sub_tell_order(struct store_conn *c, int64_t tenant, struct str id, int action, int64_t to,
                        struct error *e);
/* In the change that writes or deletes a subscription: tell other processes. */
enum err sub_tell(struct store_conn *c, const struct sub_written *w, struct error *e);
extern const char sub_topic[]; /* of that hint */

#endif
