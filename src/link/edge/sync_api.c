/*
 * What a city answers to its nodes, and what both tell about the exchange.
 *
 *     POST /link/v1/sync/sessions   "here I am": clocks, positions           token of the node
 *     GET  /link/v1/sync/changes    what happened since a position           token of the node
 *     POST /link/v1/sync/changes    what happened at the node                token of the node
 *     POST /link/v1/sync/entities   whole states, both ways                  token of the node
 *     POST /link/v1/sync/evolution  what both should hold of the past        token of the node
 *     GET  /link/v1/sync/digest     one number for the state of a part       open
 *     GET  /link/v1/sync/nodes      who is enrolled, how far each is         open
 *     POST, DELETE .../nodes[/{name}]   enrol, dismiss                       whoever may write
 *
 * A route for nodes checks the token itself (gate.c lets them pass). All of it runs on the pool:
 * messages are unpacked there, and whoever writes waits for the commit.
 */
#include "api.h"
#include "core/metrics.h"
#include "digest.h"
#include "edge.h"
#include "evolution.h"
#include "feed.h"
#include "link/access.h"
#include "nodes.h"
#include "pack.h"
#include "sync_call.h"
#include "trim.h"

static struct metric sessions =
    METRIC_COUNTER("marugoto_sync_sessions_total", "times that a node said where it is");
static struct metric taken =
    METRIC_COUNTER("marugoto_sync_rows_taken_total", "changes and states taken from nodes");

enum { STATES_MAX = 1000, BUCKETS_MAX = 32 };

/* --- what all calls share --- */

static struct str bearer(const struct request *req)
{
    struct str sent = request_header(req, "Authorization");
    return str_eq_nocase(str_sub(sent, 0, 7), S("Bearer ")) ? str_trim(str_from(sent, 7))
                                                            : STR_NONE;
}

static enum err admit(struct call *c, struct store_conn *conn, struct error *e)
{
    struct str token = bearer(c->req);
    if (!token.n)
        return error_set(e, ERR_UNAUTHENTICATED, "the token of an enrolled node is needed");
    return nodes_find(conn, c->arena, token, &c->name, e);
}

struct str call_given(const struct call *c, const char *name)
{
    struct str v = c->body ? json_text(json_get(c->body, str_c(name))) : STR_NONE;
    return v.p ? v : request_query(c->req, name);
}

/* Who asks, for which tenant and part. */
static enum err open_call(struct call *c, struct error *e)
{
    struct store_conn *conn = store_read(c->sync->link->store, e);
    if (!conn)
        return e->code;
    enum err err = c->guarded ? admit(c, conn, e) : OK;
    c->tenant_name = request_header(c->req, "NGSILD-Tenant");
    if (!err && (err = repo_tenant(conn, c->tenant_name, &c->tenant, e)) == ERR_NOT_FOUND &&
        c->guarded)
        err = OK; /* a session makes it */
    store_read_done(conn);
    if (!err && c->req->body.n && c->guarded) {
        bool packed = str_eq(request_content_type(c->req), S(PACK_TYPE));
        c->body = packed ? unpack_json(c->arena, c->req->body, e)
                         : json_parse(c->arena, c->req->body, &JSON_DEFAULT, e);
        err = c->body ? OK : e->code;
    }
    if (err)
        return err;
    c->node = call_given(c, "node");
    if (c->guarded && !sync_node_ok(c->node))
        return error_set(e, ERR_INVALID, "node: the id of the node is needed");
    const struct edge_options *own = &c->sync->link->edge;
    bool mine = own->on && !c->guarded && !request_query(c->req, "types").p &&
                !request_query(c->req, "scope").p && !request_query(c->req, "area").p;
    return part_read(c->arena, mine ? str_c(own->types) : call_given(c, "types"),
                     mine ? str_c(own->scope) : call_given(c, "scope"),
                     mine ? str_c(own->area) : call_given(c, "area"), &c->part, e);
}

static void run_call(void *ctx)
{
    struct call *c = ctx;
    struct error e = {0};
    enum err err = open_call(c, &e);
    if (!err)
        err = c->run(c, &e);
    part_release(&c->part);
    if (err) {
        e.code = err;
        response_error(c->req, c->res, &e);
    }
    http_resume(c->req);
}

/* A node holds its part of every tenant as it is, with what policies hide. So nodes are a matter of
 * the city itself; a key manages its own tenant only. */
static enum err admit_manager(struct call *c, struct error *e)
{
    const struct access_who *who = access_asks(c->req);
    if (who->kind != WHO_KEY && access_manages(c->sync->link->access, who, c->tenant))
        return OK;
    return error_set(e, ERR_FORBIDDEN,
                     "nodes are managed from the machine itself or with the city's token");
}

static enum http_answer begin(struct request *req, struct response *res, void *ctx, bool guarded,
                              enum err (*run)(struct call *c, struct error *e))
{
    struct call *c = ARENA_NEW(req->arena, struct call);
    *c = (struct call){
        .sync = ctx, .req = req, .res = res, .arena = req->arena, .guarded = guarded, .run = run};
    if (pool_submit(c->sync->link->pool, run_call, c) == OK)
        return HTTP_LATER;
    struct error e;
    error_set(&e, ERR_UNAVAILABLE, "too much slow work is waiting");
    response_error(req, res, &e);
    return HTTP_DONE;
}

enum http_answer call_of_node(struct request *req, struct response *res, struct sync *s,
                              enum err (*run)(struct call *c, struct error *e))
{
    return begin(req, res, s, true, run);
}

static void answer_json(struct call *c, int status, struct buf *b)
{
    response_body(c->req, c->res, status, "application/json", buf_dup(b, c->arena));
    buf_release(b);
}

void call_answer_packed(struct call *c, struct buf *b)
{
    response_body(c->req, c->res, 200, PACK_TYPE, pack(c->arena, buf_view(b)));
    c->res->no_gzip = true;
    buf_release(b);
}

/* --- sessions --- */

struct greeting {
    struct call *call;
    int64_t their_newest, their_received, their_acked;
    struct str their_mark; /* of our journal where they took it to */
    enum node_id id;
    struct cursor cursor;
    int64_t oldest, newest;
    bool back;  /* our journal is not the one that they know */
    bool fresh; /* they may hold what is deleted and forgotten here */
};

/* Is what they took of our journal still there? */
static enum err compare_mark(struct store_conn *conn, struct greeting *g, struct error *e)
{
    struct call *c = g->call;
    struct str own;
    g->back = g->their_received > g->newest;
    if (g->back || !g->their_mark.n)
        return OK;
    enum err err = sync_mark(conn, c->arena, c->tenant, g->their_received, &own, e);
    g->back = !err && own.p && !str_eq(own, g->their_mark);
    return err;
}

/* What it lost was under another id, but what it remembers as taken was taken. */
static enum err replace(struct store_conn *conn, struct greeting *g, int64_t now, struct error *e)
{
    struct call *c = g->call;
    enum err err = nodes_replace(conn, c->name, now, e);
    if (!err && !g->cursor.known)
        g->cursor.received = g->their_acked < g->their_newest ? g->their_acked : g->their_newest;
    return err;
}

static enum err greet(struct store_conn *conn, void *ctx, struct error *e)
{
    struct greeting *g = ctx;
    struct call *c = g->call;
    int64_t now = clock_now(c->sync->link->clock);
    enum err err = repo_tenant_make(conn, c->tenant_name, now, &c->tenant, e);
    if (!err)
        err = nodes_id(conn, c->name, c->node, &g->id, e);
    if (err || g->id == NODE_TAKEN)
        return err;
    if (g->id == NODE_FORMER)
        return error_set(e, ERR_CONFLICT,
                         "a copy of this node has come in its place: enrol one of them anew, under"
                         " a name of its own");
    err = cursor_read(conn, c->arena, c->tenant, c->node, &g->cursor, e);
    if (!err && g->id == NODE_OTHER)
        err = replace(conn, g, now, e);
    if (!err)
        err = nodes_note(conn, c->name, c->node, c->part.key, e);
    if (!err)
        err = journal_range(conn, c->tenant, &g->oldest, &g->newest, e);
    if (!err)
        err = compare_mark(conn, g, e);
    int64_t trimmed = 0, past = 0;
    if (!err)
        err = trim_horizon(conn, c->tenant, &trimmed, &past, e);
    if (err)
        return err;
    g->fresh = g->their_received > 0 && g->their_received < trimmed;
    g->cursor.acked = g->their_received;
    g->cursor.contact = now;
    return cursor_write(conn, c->tenant, c->node, &g->cursor, e);
}

static enum err session(struct call *c, struct error *e)
{
    struct greeting g = {.call = c};
    if (!json_i64(json_get(c->body, S("newest")), &g.their_newest) ||
        !json_i64(json_get(c->body, S("received")), &g.their_received))
        return error_set(e, ERR_INVALID, "newest and received are needed");
    if (!json_i64(json_get(c->body, S("acked")), &g.their_acked))
        g.their_acked = 0;
    g.their_mark = json_text(json_get(c->body, S("mark")));
    if (str_eq(c->node, sync_node(c->sync)))
        return error_set(e, ERR_CONFLICT, "the node has this city's own id: a copy of its store?");
    enum err err = store_write(c->sync->link->store, greet, &g, e);
    if (err)
        return err;
    metric_add(&sessions, 1);
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    json_w_object(&w);
    json_w_kstr(&w, S("node"), sync_node(c->sync));
    json_w_kstr(&w, S("name"), c->name);
    json_w_ki64(&w, S("time"), clock_now(c->sync->link->clock));
    json_w_kbool(&w, S("taken"), g.id == NODE_TAKEN);
    json_w_kbool(&w, S("back"), g.back);
    json_w_kbool(&w, S("fresh"), g.fresh);
    json_w_ki64(&w, S("received"), g.cursor.received);
    if (g.cursor.mark.p)
        json_w_kstr(&w, S("mark"), g.cursor.mark);
    json_w_ki64(&w, S("oldest"), g.oldest);
    json_w_ki64(&w, S("newest"), g.newest);
    json_w_end(&w);
    answer_json(c, 200, &b);
    return OK;
}

static enum http_answer post_session(struct request *req, struct response *res, void *ctx)
{
    return begin(req, res, ctx, true, session);
}

/* --- changes --- */

static enum err give_changes(struct call *c, struct error *e)
{
    struct feed f = {.sync = c->sync,
                     .tenant = c->tenant,
                     .to = c->node,
                     .part = &c->part,
                     .max_bytes = SYNC_BYTES_DEFAULT};
    int64_t bytes;
    if (!str_to_i64(request_query(c->req, "after"), &f.after) || f.after < 0)
        return error_set(e, ERR_INVALID, "after: a position of the journal is needed");
    if (str_to_i64(request_query(c->req, "bytes"), &bytes) && bytes > 0 && bytes <= SYNC_BYTES_MAX)
        f.max_bytes = (size_t)bytes;
    struct buf b = BUF_INIT;
    struct store_conn *conn = store_read(c->sync->link->store, e);
    if (!conn)
        return e->code;
    enum err err = feed_read(&f, conn, &b, e);
    store_read_done(conn);
    if (err)
        buf_release(&b);
    else
        call_answer_packed(c, &b);
    return err;
}

static enum http_answer get_changes(struct request *req, struct response *res, void *ctx)
{
    return begin(req, res, ctx, true, give_changes);
}

static enum err take_changes(struct call *c, struct error *e)
{
    struct feed_message m;
    enum err err = feed_parse(c->arena, c->body, &m, e);
    if (!err)
        err = feed_take(c->sync, c->tenant, &m, e);
    if (err)
        return err;
    metric_add(&taken, (int64_t)m.rows.n);
    struct buf b = BUF_INIT;
    buf_printf(&b, "{\"received\":%lld}", (long long)m.upto);
    answer_json(c, 200, &b);
    return OK;
}

static enum http_answer post_changes(struct request *req, struct response *res, void *ctx)
{
    return begin(req, res, ctx, true, take_changes);
}

enum err call_since(struct call *c, int64_t *since, struct error *e)
{
    struct str text = request_query(c->req, "since");
    const struct json *member = json_get(c->body, S("since"));
    int64_t asked = evolution_wanted(c->sync), agreed = atomic_load(&c->sync->since);
    if (agreed) /* of an edge */
        asked = agreed;
    if ((member && !json_i64(member, &asked)) || (text.n && !str_to_i64(text, &asked)))
        return error_set(e, ERR_INVALID, "since: an instant in microseconds is needed");
    struct store_conn *conn = store_read(c->sync->link->store, e);
    if (!conn)
        return e->code;
    enum err err = evolution_since(c->sync, conn, c->tenant, asked, since, e);
    store_read_done(conn);
    return err;
}

/* --- whole states --- */

typedef VEC(struct str) id_list;

/* Ids of the entities asked for by their hashes, and of those that were sent. */
static enum err wanted(struct call *c, const struct feed_message *m, id_list *ids, struct error *e)
{
    const struct json *want = json_get(c->body, S("want"));
    const struct digest *d = NULL;
    VEC(int64_t) eids = VEC_INIT;
    for (size_t i = 0; i < m->rows.n; i++)
        *vec_push(c->arena, ids) = m->rows.v[i].piece.id;
    if (!json_is(want, JSON_ARRAY) || !want->n)
        return OK;
    int64_t since;
    enum err err = call_since(c, &since, e);
    if (err)
        return err;
    err = digest_get(c->sync, c->tenant, &c->part, since, &d, e);
    for (uint32_t i = 0; !err && i < want->n && i < STATES_MAX; i++) {
        uint64_t id;
        const struct digest_entry *entry =
            digest_id_read(json_text(&want->items[i]), &id) ? digest_find(d, id) : NULL;
        if (entry)
            *vec_push(c->arena, &eids) = entry->eid;
    }
    digest_done(c->sync);
    struct store_conn *conn = err ? NULL : store_read(c->sync->link->store, e);
    if (!conn)
        return e->code;
    for (size_t i = 0; i < eids.n; i++) {
        struct str id = digest_entity(conn, c->arena, eids.v[i]);
        if (id.p)
            *vec_push(c->arena, ids) = id;
    }
    store_read_done(conn);
    return OK;
}

static enum err exchange_states(struct call *c, struct error *e)
{
    struct feed_message m;
    id_list ids = VEC_INIT;
    enum err err = feed_parse(c->arena, c->body, &m, e);
    m.upto = 0;
    if (!err && m.rows.n)
        err = feed_take(c->sync, c->tenant, &m, e);
    if (!err)
        err = wanted(c, &m, &ids, e);
    if (err)
        return err;
    struct buf b = BUF_INIT;
    struct store_conn *conn = store_read(c->sync->link->store, e);
    if (!conn)
        return e->code;
    err = states_write(c->sync, conn, c->tenant, ids.v, ids.n, &b, e);
    store_read_done(conn);
    if (err)
        buf_release(&b);
    else
        call_answer_packed(c, &b);
    return err;
}

static enum http_answer post_entities(struct request *req, struct response *res, void *ctx)
{
    return begin(req, res, ctx, true, exchange_states);
}

/* --- digests --- */

static void w_hash(struct json_writer *w, struct arena *a, const unsigned char *bytes, size_t n)
{
    json_w_str(w, hex_encode(a, str_n((const char *)bytes, n)));
}

static void w_number(struct json_writer *w, struct arena *a, uint64_t v)
{
    json_w_str(w, str_printf(a, "%016llx", (unsigned long long)v));
}

static void w_bucket(struct call *c, struct json_writer *w, const struct digest *d, unsigned b)
{
    for (size_t i = d->first[b]; i < d->first[b + 1]; i++) {
        json_w_array(w);
        w_number(w, c->arena, d->entries[i].id);
        w_hash(w, c->arena, d->entries[i].hash, DIGEST_ENTRY_BYTES);
        w_number(w, c->arena, d->entries[i].past);
        json_w_end(w);
    }
}

static enum err w_digest(struct call *c, struct json_writer *w, const struct digest *d,
                         struct error *e)
{
    struct str list = request_query(c->req, "bucket"), one;
    json_w_kstr(w, S("node"), sync_node(c->sync));
    json_w_key(w, S("digest"));
    w_hash(w, c->arena, d->root.b, HASH_BYTES);
    json_w_key(w, S("states"));
    w_hash(w, c->arena, d->states.b, HASH_BYTES);
    json_w_ki64(w, S("entities"), (int64_t)d->present);
    json_w_ki64(w, S("at"), d->seq);
    json_w_ki64(w, S("since"), d->since);
    json_w_key(w, list.n ? S("inBuckets") : S("buckets"));
    json_w_array(w);
    for (int b = 0; !list.n && b < DIGEST_BUCKETS; b++)
        w_hash(w, c->arena, d->buckets[b].b, DIGEST_ENTRY_BYTES);
    for (int n = 0; str_split(&list, ',', &one); n++) {
        int64_t b;
        if (n >= BUCKETS_MAX || !str_to_i64(one, &b) || b < 0 || b >= DIGEST_BUCKETS)
            return error_set(e, ERR_INVALID, "bucket: at most %d numbers below %d",
                             (int)BUCKETS_MAX, (int)DIGEST_BUCKETS);
        w_bucket(c, w, d, (unsigned)b);
    }
    json_w_end(w);
    return OK;
}

/* A number for a part of which they see nothing would tell whether a guess at it is right. */
static enum err admit_reader(struct call *c, struct error *e)
{
    struct access *x = c->sync->link->access;
    const struct access_who *who = access_asks(c->req);
    if (access_sees_all(access_view(x, who, c->tenant)) || access_manages(x, who, c->tenant))
        return OK;
    return error_set(e, ERR_FORBIDDEN, "a digest is for those who may read all that it is of");
}

static enum err give_digest(struct call *c, struct error *e)
{
    if (admit_reader(c, e))
        return e->code;
    const struct digest *d;
    int64_t since;
    if (call_since(c, &since, e))
        return e->code;
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    json_w_object(&w);
    enum err err = digest_get(c->sync, c->tenant, &c->part, since, &d, e);
    if (!err)
        err = w_digest(c, &w, d, e);
    digest_done(c->sync);
    json_w_end(&w);
    if (err)
        buf_release(&b);
    else if (request_query(c->req, "packed").n)
        call_answer_packed(c, &b);
    else
        answer_json(c, 200, &b);
    return err;
}

static enum http_answer get_digest(struct request *req, struct response *res, void *ctx)
{
    return begin(req, res, ctx, false, give_digest);
}

/* --- nodes --- */

struct listing {
    struct json_writer w;
    int64_t newest;
};

static void w_node(void *ctx, const struct node_status *n)
{
    struct listing *l = ctx;
    json_w_object(&l->w);
    json_w_kstr(&l->w, S("name"), n->name);
    if (n->node.p)
        json_w_kstr(&l->w, S("node"), n->node);
    json_w_ktime(&l->w, S("enrolledAt"), n->created);
    json_w_ktime(&l->w, S("lastContact"), n->contact);
    if (n->contact) {
        json_w_ki64(&l->w, S("received"), n->received);
        json_w_ki64(&l->w, S("behind"), l->newest - n->acked);
    }
    json_w_end(&l->w);
}

static enum err give_nodes(struct call *c, struct error *e)
{
    struct buf b = BUF_INIT;
    struct listing l = {json_writer(&b), 0};
    int64_t oldest;
    struct store_conn *conn = store_read(c->sync->link->store, e);
    if (!conn)
        return e->code;
    json_w_object(&l.w);
    if (sync_node(c->sync).n)
        json_w_kstr(&l.w, S("node"), sync_node(c->sync));
    if (c->sync->edge)
        edge_write(c->sync->edge, &l.w);
    json_w_key(&l.w, S("nodes"));
    json_w_array(&l.w);
    enum err err = journal_range(conn, c->tenant, &oldest, &l.newest, e);
    if (!err)
        err = nodes_each(conn, c->tenant, w_node, &l, e);
    json_w_end(&l.w);
    json_w_end(&l.w);
    store_read_done(conn);
    if (err)
        buf_release(&b);
    else
        answer_json(c, 200, &b);
    return err;
}

static enum http_answer get_nodes(struct request *req, struct response *res, void *ctx)
{
    return begin(req, res, ctx, false, give_nodes);
}

static enum err enroll(struct call *c, struct error *e)
{
    struct str token;
    if (admit_manager(c, e))
        return e->code;
    c->body = json_parse(c->arena, c->req->body, &JSON_DEFAULT, e);
    if (!c->body)
        return e->code;
    c->name = json_text(json_get(c->body, S("name")));
    enum err err = sync_enroll(c->sync, c->arena, c->name, &token, e);
    if (err)
        return err;
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    json_w_object(&w);
    json_w_kstr(&w, S("name"), c->name);
    json_w_kstr(&w, S("token"), token);
    json_w_end(&w);
    answer_json(c, 201, &b);
    response_header(c->req, c->res, "Cache-Control", S("no-store"));
    return OK;
}

static enum http_answer post_node(struct request *req, struct response *res, void *ctx)
{
    return begin(req, res, ctx, false, enroll);
}

static enum err dismiss(struct call *c, struct error *e)
{
    enum err err = admit_manager(c, e);
    if (!err)
        err = sync_dismiss(c->sync, request_param(c->req, "name"), e);
    if (!err)
        response_empty(c->res, 204);
    return err;
}

static enum http_answer delete_node(struct request *req, struct response *res, void *ctx)
{
    return begin(req, res, ctx, false, dismiss);
}

static const struct route routes[] = {
    {"POST", "/link/v1/sync/sessions", post_session, 0},
    {"GET", "/link/v1/sync/changes", get_changes, 0},
    {"POST", "/link/v1/sync/changes", post_changes, 0},
    {"POST", "/link/v1/sync/entities", post_entities, 0},
    {"POST", "/link/v1/sync/evolution", post_evolution, 0},
    {"GET", "/link/v1/sync/digest", get_digest, 0},
    {"GET", "/link/v1/sync/nodes", get_nodes, 0},
    {"POST", "/link/v1/sync/nodes", post_node, 0},
    {"DELETE", "/link/v1/sync/nodes/{name}", delete_node, 0},
};

void sync_routes(struct sync *s, struct router *r)
{
    if (!s)
        return;
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), s);
    conflict_routes(s, r);
}
