/* A node's identity and clock, its settings, and what it must keep for others. See sync.h. */
#include "sync.h"
#include "core/log.h"
#include "core/metrics.h"
#include "crypto/hash.h"
#include "digest.h"
#include "edge.h"
#include "nodes.h"
#include "trim.h"
#include <stdlib.h>

static const struct config_key keys[] = {
    CONFIG_BOOL("edge.on", struct edge_options, on, "false",
                "this node holds a part of another city and works on without it (--edge)"),
    CONFIG_STR("edge.upstream", struct edge_options, upstream, "",
               "that city, as https://city.example (--upstream)"),
    CONFIG_SECRET("edge.token", struct edge_options, token, "",
                  "what the city gave this node when it was enrolled"),
    CONFIG_STR("edge.tenant", struct edge_options, tenant, "",
               "tenant that is shared, of both sides; empty: the default one"),
    CONFIG_STR("edge.types", struct edge_options, types, "",
               "types of the part, as in type=: names of the core context or IRIs; empty: all"),
    CONFIG_STR("edge.scope", struct edge_options, scope, "",
               "scopes of the part, as in scopeQ=; empty: all"),
    CONFIG_STR("edge.area", struct edge_options, area, "",
               "area of the part: west,south,east,north in degrees; empty: everywhere"),
    CONFIG_INT("edge.poll_s", struct edge_options, poll_s, 5, 1, 86400,
               "pause between looks for changes of the city, seconds"),
    CONFIG_INT("edge.verify_s", struct edge_options, verify_s, 600, 1, 31536000,
               "pause between comparisons of digests with the city, seconds"),
    CONFIG_SIZE("edge.batch_bytes", struct edge_options, batch_bytes, "256k", 1024, 4194304,
                "changes in one message, before compression"),
    CONFIG_SIZE("edge.bytes_per_s", struct edge_options, bytes_per_s, "0", 0, 1073741824,
                "bytes a second on the line to the city, both directions; 0: no bound"),
    CONFIG_INT("edge.drift_s", struct edge_options, drift_s, 60, 1, 86400,
               "a clock of another node that is further ahead does not move ours, seconds"),
    CONFIG_INT("edge.past_days", struct edge_options, past_days, 7, 0, 36500,
               "days of evolution that a node fetches and compares with the city; 0: none"),
    CONFIG_INT("edge.keep_hours", struct edge_options, keep_hours, 720, 1, 876000,
               "hours for which a city keeps changes for a node that does not come"),
    CONFIG_INT("edge.trim_s", struct edge_options, trim_s, 600, 1, 86400,
               "pause between looks for deletions that all nodes know and that can be forgotten"),
};
const struct config_table edge_config = {"edge", keys, sizeof(keys) / sizeof(keys[0])};

/* --- clock --- */

int64_t sync_tick(struct sync *s, int64_t now, int64_t above)
{
    int64_t at = now + atomic_load(&s->offset_us);
    bool ahead = s->hlc - at > s->link->edge.drift_s * SECOND_US;
    if (!ahead && at <= s->hlc)
        at = s->hlc + 1;
    if (at <= above)
        at = above + 1;
    if (at < 1)
        at = 1;
    s->hlc = at;
    return at;
}

void sync_hear(struct sync *s, int64_t now, int64_t hlc)
{
    int64_t at = now + atomic_load(&s->offset_us);
    if (hlc > s->hlc && hlc - at <= s->link->edge.drift_s * SECOND_US)
        s->hlc = hlc;
}

/* --- identity --- */

static enum err read_self(struct sync *s, struct store_conn *c, struct error *e)
{
    struct store_rows r;
    store_query(c, &r, "SELECT node, restamped FROM sync_self", SV_EMPTY);
    if (store_next(&r) && sync_node_ok(store_text(&r, 0))) {
        atomic_store(&s->restamped, store_int(&r, 1));
        atomic_store(&s->node, str_dup(&s->ids, store_text(&r, 0)).p);
        atomic_store(&s->on, true);
    }
    return store_end(&r, e);
}

enum err sync_look(struct sync *s, struct error *e)
{
    struct store_conn *c = store_read(s->link->store, e);
    if (!c)
        return e->code;
    enum err err = read_self(s, c, e);
    store_read_done(c);
    return err;
}

struct str sync_new_id(struct arena *a)
{
    unsigned char bytes[6];
    random_bytes(bytes, sizeof(bytes));
    return hex_encode(a, str_n((const char *)bytes, sizeof(bytes)));
}

/* ctx: the id that is not good any more; "": there was none. */
static enum err make_self(struct store_conn *c, void *ctx, struct error *e)
{
    struct arena a = ARENA_INIT;
    enum err err = store_exec(c,
                              "INSERT INTO sync_self(one, node, restamped) VALUES (1, $1, 0)"
                              " ON CONFLICT(one) DO UPDATE SET node = excluded.node"
                              " WHERE sync_self.node = $2",
                              SV(SV_TEXT(sync_new_id(&a)), SV_TEXT(str_c(ctx))), NULL, e);
    arena_release(&a);
    return err;
}

static enum err damaged_self(struct sync *s, struct arena *a, char **was, struct error *e)
{
    struct store_rows r;
    struct store_conn *c = store_read(s->link->store, e);
    if (!c)
        return e->code;
    *was = NULL;
    store_query(c, &r, "SELECT node FROM sync_self", SV_EMPTY);
    if (store_next(&r))
        *was = str_z(a, store_text(&r, 0));
    enum err err = store_end(&r, e);
    store_read_done(c);
    return err;
}

/* What is there is no id: another one takes its place. */
static enum err mend_self(struct sync *s, struct error *e)
{
    struct arena a = ARENA_INIT;
    char *was = NULL;
    enum err err = damaged_self(s, &a, &was, e);
    if (!err && was) {
        log_event(LOG_ERROR, "sync.id_damaged", LOG_Z("now", "this node has a new id"));
        err = store_write(s->link->store, make_self, was, e);
    }
    if (!err)
        err = sync_look(s, e);
    if (!err && !atomic_load(&s->on))
        err = error_set(e, ERR_CORRUPT, "the id of this node cannot be read");
    arena_release(&a);
    return err;
}

enum err sync_begin(struct sync *s, struct error *e)
{
    if (atomic_load(&s->on))
        return OK;
    char none[] = "";
    enum err err = store_write(s->link->store, make_self, none, e);
    if (!err)
        err = sync_look(s, e);
    return err || atomic_load(&s->on) ? err : mend_self(s, e);
}

/* --- nodes --- */

struct enrolment {
    struct arena *arena;
    struct str name, token;
    int64_t now;
};

static enum err write_enrolment(struct store_conn *c, void *ctx, struct error *e)
{
    struct enrolment *n = ctx;
    return nodes_enroll(c, n->arena, n->name, n->now, &n->token, e);
}

enum err sync_enroll(struct sync *s, struct arena *a, struct str name, struct str *token,
                     struct error *e)
{
    struct enrolment n = {.arena = a, .name = name, .now = clock_now(s->link->clock)};
    enum err err = store_write(s->link->store, write_enrolment, &n, e);
    *token = n.token;
    return err ? err : sync_begin(s, e);
}

static enum err write_dismissal(struct store_conn *c, void *ctx, struct error *e)
{
    return nodes_dismiss(c, *(const struct str *)ctx, e);
}

enum err sync_dismiss(struct sync *s, struct str name, struct error *e)
{
    return store_write(s->link->store, write_dismissal, &name, e);
}

/* --- what others still need --- */

/* An edge keeps all that its city has not got, however long that takes. */
static enum err unneeded_of_edge(struct sync *s, struct store_conn *c, int64_t tenant, int64_t *seq,
                                 struct error *e)
{
    int64_t shared = 0;
    enum err err = repo_tenant(c, str_c(s->link->edge.tenant), &shared, e);
    if (err || shared != tenant)
        return err == ERR_NOT_FOUND ? OK : err;
    return store_get_int(c, seq,
                         "SELECT coalesce(min(x.acked), 0) FROM sync_cursor x JOIN sync_node n"
                         " ON n.node = x.node WHERE n.name = 'upstream' AND x.tenant = $1",
                         SV(SV_INT(tenant)), e);
}

enum err sync_unneeded(struct sync *s, struct store_conn *c, int64_t tenant, int64_t *seq,
                       struct error *e)
{
    *seq = INT64_MAX;
    if (!s || !atomic_load(&s->on))
        return OK;
    if (s->link->edge.on)
        return unneeded_of_edge(s, c, tenant, seq, e);
    int64_t since = clock_now(s->link->clock) - s->link->edge.keep_hours * HOUR_US;
    return store_get_int(c, seq,
                         "SELECT coalesce(min(acked), 9223372036854775807) FROM sync_cursor"
                         " WHERE tenant = $1 AND contact >= $2",
                         SV(SV_INT(tenant), SV_INT(since)), e);
}

/* --- opening and closing --- */

enum { LOOK_MS = 5000 };

static struct metric silent = METRIC_GAUGE("marugoto_sync_silent_seconds",
                                           "since the node that is longest away was heard last");

static bool is_shared(const struct sync *s)
{
    return str_eq(str_c(store_engine(s->link->store)), S("postgres"));
}

static void measure_silence(struct sync *s, struct error *e)
{
    int64_t oldest = 0, now = clock_now(s->link->clock);
    struct store_conn *c = store_read(s->link->store, e);
    if (!c)
        return;
    enum err err = store_get_int(c, &oldest,
                                 "SELECT coalesce(min(x.contact), 0) FROM sync_cursor x"
                                 " JOIN sync_node n ON n.node = x.node WHERE n.token <> ''",
                                 SV_EMPTY, e);
    store_read_done(c);
    if (!err)
        metric_set(&silent, oldest ? (now - oldest) / SECOND_US : 0);
}

/* Another process on the same database may have begun. */
static void look_again(void *ctx)
{
    struct sync *s = ctx;
    struct error e = {0};
    if (!atomic_load(&s->on) && is_shared(s))
        sync_look(s, &e);
    if (atomic_load(&s->on) && !s->link->edge.on)
        measure_silence(s, &e);
    if (e.code)
        log_event(LOG_WARN, "edge.look", LOG_Z("error", e.text));
}

static void trim(void *ctx)
{
    struct sync *s = ctx;
    if (atomic_load(&s->on) && store_duty(s->link->store, "trim"))
        trim_run(s);
}

struct sync *sync_new(struct link *l, struct error *e)
{
    struct sync *s = calloc(1, sizeof(*s));
    if (!s)
        abort();
    s->link = l;
    atomic_store(&s->node, "");
    pthread_mutex_init(&s->lock, NULL);
    if (sync_look(s, e) || (l->edge.on && sync_begin(s, e))) {
        arena_release(&s->ids);
        pthread_mutex_destroy(&s->lock);
        free(s);
        return NULL;
    }
    if (l->pool) {
        store_duty(l->store, "trim"); /* enter for it */
        pool_every(l->pool, LOOK_MS, look_again, s);
        pool_every(l->pool, l->edge.trim_s * 1000, trim, s);
    }
    return s;
}

enum err sync_start(struct sync *s, struct error *e)
{
    if (!s->link->edge.on)
        return OK;
    s->edge = edge_new(s, e);
    return s->edge ? OK : e->code;
}

bool sync_upstream(struct sync *s, struct edge_status *out)
{
    if (s->edge)
        edge_look(s->edge, out);
    return s->edge != NULL;
}

void sync_free(struct sync *s)
{
    if (!s)
        return;
    if (s->edge)
        edge_free(s->edge);
    if (s->link->pool) {
        pool_never(s->link->pool, look_again, s);
        pool_never(s->link->pool, trim, s);
    }
    digest_forget(s);
    arena_release(&s->ids);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
