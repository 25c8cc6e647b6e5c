/*
 * The exchange with the city, as the edge runs it: one thread, one request at a time.
 *
 * Invariants:
 *
 *   1. The city's answer to a session says how far it has our journal; what comes after is sent.
 *      How far we have the city's journal stands in our store, written with what was applied. So
 *      whatever breaks off is resumed where it was, on either side.
 *   2. Nothing here changes an entity but through feed_take().
 *   3. The thread never holds a reader while it waits for the city.
 *   4. A message carries at most edge.batch_bytes before compression; after each request the thread
 *      pauses as long as edge.bytes_per_s asks for the bytes of both directions.
 *   5. Rows come before states: a state is sent, and one that came is joined, only when all rows
 *      up to its moment are through. So values that were replaced meanwhile enter both histories.
 *
 *   state      meaning                                leaves by
 *   OFFLINE    no answer, or a broken one             greeting -> COPYING or CHANGES, or
 *                                                     refused -> REFUSED
 *   REFUSED    400, 401, 403, 409, 413, 422           greeting, after REFUSED_MS
 *   COPYING    states are compared, and exchanged     all that differed is exchanged
 *              where they differ: at the first        -> CHANGES
 *              contact, for another part, when a
 *              journal was trimmed or went back
 *   CHANGES    rows go both ways                      none left -> TOGETHER
 *   TOGETHER   waits edge.poll_s or for an own        own row, or the pause is over -> CHANGES
 *              change; compares digests after each    digests differ although no row is left
 *              reconnection and each edge.verify_s    -> COPYING
 *   any        a request fails                        -> OFFLINE; the pause doubles each time
 */
#include "edge.h"
#include "core/log.h"
#include "core/map.h"
#include "core/metrics.h"
#include "digest.h"
#include "feed.h"
#include "pack.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    PAUSE_FIRST_MS = 500,
    PAUSE_MAX_MS = 5000,
    REFUSED_MS = 30000,
    REQUEST_MS = 60000,
    STATES_A_MESSAGE = 200,
    BUCKETS_A_MESSAGE = 16,
    UNTOLD_ROWS = 1000 /* of other nodes, that only move our position there */
};

const char *const edge_state_names[] = {"offline", "refused", "copying", "changes", "together"};

static struct metric waiting_rows =
    METRIC_GAUGE("marugoto_edge_waiting", "own journal rows that the city has not got yet");
static struct metric behind_rows =
    METRIC_GAUGE("marugoto_edge_behind", "rows of the city's journal not looked at yet");
static struct metric contact_seconds =
    METRIC_GAUGE("marugoto_edge_last_contact_seconds", "instant of the city's last answer");
static struct metric line_bytes =
    METRIC_COUNTER("marugoto_edge_bytes_total", "bytes of messages on the line, both directions");

struct edge {
    struct sync *sync;
    struct client *client;
    pthread_t thread;
    bool running;
    pthread_mutex_t lock;
    pthread_cond_t wake; /* own change, or stop */
    bool stop, changed;
    struct edge_status status;
    struct arena part_arena;
    struct part part;
    struct str params;
    /* of the thread */
    int64_t tenant;
    char city[SYNC_NODE_BYTES + 1];
    int64_t received;     /* of the city's journal, here */
    int64_t sent;         /* of ours, there */
    int64_t city_newest;  /* as last told */
    int64_t verify_after; /* steady clock */
    uint64_t moved;       /* rows that were exchanged */
    bool copy;
};

/* --- waiting --- */

static bool stopping(struct edge *g)
{
    pthread_mutex_lock(&g->lock);
    bool stop = g->stop;
    pthread_mutex_unlock(&g->lock);
    return stop;
}

/* Until ms are over, the end, or (when asked for) an own change. */
static void wait_ms(struct edge *g, int64_t ms, bool for_changes)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += ms % 1000 * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&g->lock);
    while (!g->stop && !(for_changes && g->changed) &&
           pthread_cond_timedwait(&g->wake, &g->lock, &t) == 0)
        continue;
    if (for_changes)
        g->changed = false;
    pthread_mutex_unlock(&g->lock);
}

static void on_journal(void *ctx)
{
    struct edge *g = ctx;
    pthread_mutex_lock(&g->lock);
    g->changed = true;
    pthread_cond_signal(&g->wake);
    pthread_mutex_unlock(&g->lock);
}

static void set_state(struct edge *g, enum edge_state state, const char *error)
{
    pthread_mutex_lock(&g->lock);
    bool news = g->status.state != state;
    g->status.state = state;
    snprintf(g->status.error, sizeof(g->status.error), "%s", error);
    pthread_mutex_unlock(&g->lock);
    if (news && state != EDGE_CHANGES)
        log_event(state <= EDGE_REFUSED ? LOG_WARN : LOG_INFO, "edge.state",
                  LOG_Z("state", edge_state_names[state]), LOG_Z("error", error));
}

static void set_lag(struct edge *g, int64_t own_newest)
{
    pthread_mutex_lock(&g->lock);
    g->status.waiting = own_newest > g->sent ? own_newest - g->sent : 0;
    g->status.behind = g->city_newest > g->received ? g->city_newest - g->received : 0;
    metric_set(&waiting_rows, g->status.waiting);
    metric_set(&behind_rows, g->status.behind);
    pthread_mutex_unlock(&g->lock);
}

/* --- requests --- */

static void note_contact(struct edge *g, size_t bytes)
{
    int64_t now = clock_now(g->sync->link->clock), rate = g->sync->link->edge.bytes_per_s;
    pthread_mutex_lock(&g->lock);
    g->status.contact = now;
    pthread_mutex_unlock(&g->lock);
    metric_set(&contact_seconds, now / SECOND_US);
    metric_add(&line_bytes, (int64_t)bytes);
    if (rate > 0)
        wait_ms(g, (int64_t)bytes * 1000 / rate, false);
}

/* A request under way; it outlives a thread that does not wait for its end. */
struct asked {
    struct edge *g;
    bool done, abandoned;
    int status;
    bool packed;
    struct error error;
    struct buf body;
};

static void asked_free(struct asked *q)
{
    buf_release(&q->body);
    free(q);
}

static void on_answer(void *ctx, const struct client_answer *answer)
{
    struct asked *q = ctx;
    struct edge *g = q->g;
    q->status = answer->status;
    q->error = answer->error;
    q->packed = str_eq(answer->type, S(PACK_TYPE));
    buf_str(&q->body, answer->body);
    pthread_mutex_lock(&g->lock);
    bool abandoned = q->abandoned;
    q->done = true;
    pthread_cond_signal(&g->wake);
    pthread_mutex_unlock(&g->lock);
    if (abandoned)
        asked_free(q);
}

/* NULL with *e when it cannot be sent; else asked_end() or asked_leave() follows. */
static struct asked *asked_begin(struct edge *g, struct client_request *r, struct error *e)
{
    struct asked *q = calloc(1, sizeof(*q));
    if (!q)
        abort();
    q->g = g;
    r->done = on_answer;
    r->ctx = q;
    if (client_send(g->client, r, e) == OK)
        return q;
    asked_free(q);
    return NULL;
}

/* It is no longer wanted. */
static void asked_leave(struct asked *q)
{
    struct edge *g = q->g;
    pthread_mutex_lock(&g->lock);
    bool done = q->done;
    q->abandoned = !done;
    pthread_mutex_unlock(&g->lock);
    if (done)
        asked_free(q);
}

/* Waits for the answer, or for the end of the thread; NULL with *e. */
static struct asked *asked_end(struct asked *q, struct error *e)
{
    struct edge *g = q->g;
    pthread_mutex_lock(&g->lock);
    while (!q->done && !g->stop)
        pthread_cond_wait(&g->wake, &g->lock);
    bool done = q->done;
    pthread_mutex_unlock(&g->lock);
    if (done && q->status)
        return q;
    error_set(e, done ? q->error.code : ERR_UNAVAILABLE, "%s", done ? q->error.text : "stopping");
    asked_leave(q);
    return NULL;
}

/* What the city said instead of what was asked for. */
static void refused(struct arena *a, const struct asked *q, struct error *e)
{
    static const struct {
        int status;
        enum err err;
    } known[] = {{400, ERR_INVALID},      {401, ERR_UNAUTHENTICATED}, {403, ERR_FORBIDDEN},
                 {404, ERR_NOT_FOUND},    {409, ERR_CONFLICT},        {413, ERR_TOO_LARGE},
                 {422, ERR_UNPROCESSABLE}};
    const struct json *problem = json_parse(a, buf_view(&q->body), &JSON_DEFAULT, NULL);
    struct str detail = json_text(json_get(problem, S("detail")));
    enum err err = ERR_UNAVAILABLE;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (known[i].status == q->status)
            err = known[i].err;
    error_set(e, err, "the city answers %d: %" STR_F, q->status, STR_A(str_cut(detail, 150)));
}

static struct asked *send_request(struct edge *g, struct arena *a, const char *method,
                                  struct str path, struct str body, const char *type,
                                  struct error *e)
{
    const struct edge_options *o = &g->sync->link->edge;
    struct http_header headers[3] = {{S("Authorization"), str_printf(a, "Bearer %s", o->token)},
                                     {S("Content-Type"), str_c(type ? type : "application/json")},
                                     {S("NGSILD-Tenant"), str_c(o->tenant)}};
    struct client_request q = {.method = method,
                               .url = str_printf(a, "%s%" STR_F, o->upstream, STR_A(path)),
                               .headers = headers,
                               .n_headers = o->tenant[0] ? 3 : 2,
                               .body = body,
                               .timeout_ms = REQUEST_MS};
    return asked_begin(g, &q, e);
}

/* The answer's JSON in the arena; NULL with *e. ERR_CONFLICT and the like are the city's word. */
static const struct json *answer_of(struct edge *g, struct arena *a, struct asked *asked,
                                    size_t sent, struct error *e)
{
    const struct json *v = NULL;
    asked = asked_end(asked, e);
    if (!asked)
        return NULL;
    note_contact(g, sent + asked->body.n);
    if (asked->status >= 300)
        refused(a, asked, e);
    else if (asked->packed)
        v = unpack_json(a, buf_view(&asked->body), e);
    else
        v = json_parse(a, buf_dup(&asked->body, a), &JSON_DEFAULT, e);
    asked_free(asked);
    return v;
}

static const struct json *ask(struct edge *g, struct arena *a, const char *method, struct str path,
                              struct str body, const char *type, struct error *e)
{
    struct asked *asked = send_request(g, a, method, path, body, type, e);
    return asked ? answer_of(g, a, asked, body.n, e) : NULL;
}

static int64_t number_of(const struct json *v, const char *name)
{
    int64_t n = 0;
    return json_i64(json_get(v, str_c(name)), &n) ? n : 0;
}

/* --- greeting --- */

struct own { /* what our store knows */
    int64_t oldest, newest;
    struct cursor cursor; /* of the city */
    bool same_part;
};

static enum err make_tenant(struct store_conn *c, void *ctx, struct error *e)
{
    struct edge *g = ctx;
    return repo_tenant_make(c, str_c(g->sync->link->edge.tenant), clock_now(g->sync->link->clock),
                            &g->tenant, e);
}

static enum err look_at_own(struct edge *g, struct own *out, struct error *e)
{
    struct store_rows r;
    struct store_conn *c = store_read(g->sync->link->store, e);
    if (!c)
        return e->code;
    *out = (struct own){0};
    enum err err = journal_range(c, g->tenant, &out->oldest, &out->newest, e);
    if (!err && g->city[0])
        err = cursor_read(c, g->tenant, str_c(g->city), &out->cursor, e);
    if (!err) {
        store_query(c, &r, "SELECT part FROM sync_node WHERE name = 'upstream' AND node = $1",
                    SV(SV_TEXT(str_c(g->city))));
        out->same_part = store_next(&r) && str_eq(store_text(&r, 0), g->part.key);
        err = store_end(&r, e);
    }
    store_read_done(c);
    return err;
}

static void measure_clock(struct edge *g, const struct json *answer, int64_t before)
{
    int64_t after = clock_now(g->sync->link->clock), city = number_of(answer, "time");
    int64_t offset = city - (before + (after - before) / 2);
    atomic_store(&g->sync->offset_us, offset);
    pthread_mutex_lock(&g->lock);
    g->status.offset_us = offset;
    struct str name = json_text(json_get(answer, S("name")));
    snprintf(g->status.name, sizeof(g->status.name), "%" STR_F, STR_A(name));
    pthread_mutex_unlock(&g->lock);
}

static const struct json *send_greeting(struct edge *g, struct arena *a, const struct own *own,
                                        struct error *e)
{
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    json_w_object(&w);
    json_w_kstr(&w, S("node"), sync_node(g->sync));
    json_w_ki64(&w, S("newest"), own->newest);
    json_w_ki64(&w, S("received"), own->cursor.received);
    json_w_kstr(&w, S("types"), g->part.types);
    json_w_kstr(&w, S("scope"), g->part.scope);
    json_w_kstr(&w, S("area"), g->part.area);
    json_w_end(&w);
    const struct json *answer =
        ask(g, a, "POST", S("/link/v1/sync/sessions"), buf_dup(&b, a), NULL, e);
    buf_release(&b);
    return answer;
}

static enum err greet(struct edge *g, struct error *e)
{
    struct arena a = ARENA_INIT;
    struct own own = {0};
    bool first = !g->city[0];
    enum err err = g->tenant ? OK : store_write(g->sync->link->store, make_tenant, g, e);
    if (!err)
        err = look_at_own(g, &own, e);
    if (!err)
        set_lag(g, own.newest);
    int64_t before = clock_now(g->sync->link->clock);
    const struct json *answer = err ? NULL : send_greeting(g, &a, &own, e);
    struct str city = json_text(json_get(answer, S("node")));
    if (answer && !sync_node_ok(city))
        err = error_set(e, ERR_INVALID, "the city answers without its id");
    if (!answer || err) {
        arena_release(&a);
        return err ? err : e->code;
    }
    measure_clock(g, answer, before);
    bool other = !str_eq(city, str_c(g->city));
    snprintf(g->city, sizeof(g->city), "%" STR_F, STR_A(city));
    if (other) /* positions are those of this city from here on */
        err = look_at_own(g, &own, e);
    g->city_newest = number_of(answer, "newest");
    g->sent = number_of(answer, "received");
    g->received = own.cursor.received;
    g->copy = !own.cursor.known || !own.same_part ||
              g->received + 1 < number_of(answer, "oldest") || g->received > g->city_newest ||
              g->sent + 1 < own.oldest;
    if (g->sent + 1 < own.oldest) /* written before this was an edge */
        g->sent = own.oldest - 1;
    if (first || other)
        g->verify_after = 0;
    set_lag(g, own.newest);
    arena_release(&a);
    return err;
}

/* --- changes --- */

/* Own rows on their way; while the city applies them we can apply its own. */
struct pushing {
    struct feed feed;
    struct arena arena;
    struct asked *asked; /* NULL: there was nothing to tell */
    size_t bytes;
};

static enum err push_begin(struct edge *g, struct pushing *p, struct error *e)
{
    struct buf b = BUF_INIT;
    *p = (struct pushing){.feed = {.sync = g->sync,
                                   .tenant = g->tenant,
                                   .after = g->sent,
                                   .max_bytes = (size_t)g->sync->link->edge.batch_bytes}};
    struct store_conn *c = store_read(g->sync->link->store, e);
    enum err err = c ? feed_read(&p->feed, c, &b, e) : e->code;
    if (c)
        store_read_done(c);
    /* Rows that do not concern the city are told when others are, or when they are many. */
    if (!err && (p->feed.rows || p->feed.upto - g->sent > UNTOLD_ROWS)) {
        struct str body = pack(&p->arena, buf_view(&b));
        p->bytes = body.n;
        p->asked =
            send_request(g, &p->arena, "POST", S("/link/v1/sync/changes"), body, PACK_TYPE, e);
        err = p->asked ? OK : e->code;
    }
    buf_release(&b);
    if (err)
        arena_release(&p->arena);
    return err;
}

/* *more when there may be more to send. */
static enum err push_end(struct edge *g, struct pushing *p, bool *more, struct error *e)
{
    enum err err = OK;
    if (p->asked) {
        const struct json *answer = answer_of(g, &p->arena, p->asked, p->bytes, e);
        err = answer ? OK : e->code;
        g->moved += p->feed.rows;
        if (!err && number_of(answer, "received") != p->feed.upto)
            err = error_set(e, ERR_UNAVAILABLE, "the city took less than it was sent");
    }
    if (!err)
        g->sent = p->feed.upto;
    *more = !err && p->feed.upto < p->feed.newest;
    set_lag(g, p->feed.newest);
    arena_release(&p->arena);
    return err;
}

static enum err push(struct edge *g, bool *more, struct error *e)
{
    struct pushing p;
    enum err err = push_begin(g, &p, e);
    return err ? err : push_end(g, &p, more, e);
}

static enum err pull(struct edge *g, bool *more, struct error *e)
{
    struct arena a = ARENA_INIT;
    struct feed_message m = {0};
    struct str path = str_printf(&a, "/link/v1/sync/changes?node=%s&after=%lld&bytes=%lld%" STR_F,
                                 g->sync->node, (long long)g->received,
                                 (long long)g->sync->link->edge.batch_bytes, STR_A(g->params));
    const struct json *answer = ask(g, &a, "GET", path, STR_NONE, NULL, e);
    enum err err = answer ? feed_parse(&a, answer, &m, e) : e->code;
    if (!err && m.upto > g->received)
        err = feed_take(g->sync, g->tenant, &m, e);
    if (!err) {
        g->moved += m.rows.n;
        g->received = m.upto;
        g->city_newest = m.newest;
        *more = m.upto < m.newest;
    }
    arena_release(&a);
    return err;
}

/* --- states --- */

struct digests {
    struct arena arena;
    const struct json *city;
    struct hash root, buckets[DIGEST_BUCKETS];
};

static enum err own_digest(struct edge *g, struct digests *d, struct error *e)
{
    const struct digest *own = NULL;
    enum err err = digest_get(g->sync, g->tenant, &g->part, &own, e);
    if (!err) {
        d->root = own->root;
        memcpy(d->buckets, own->buckets, sizeof(d->buckets));
    }
    digest_done(g->sync);
    return err;
}

static bool same_hash(struct arena *a, const struct json *hex, const unsigned char *bytes, size_t n)
{
    return str_eq(json_text(hex), hex_encode(a, str_n((const char *)bytes, n)));
}

static enum err compare(struct edge *g, struct digests *d, bool *equal, struct error *e)
{
    struct str path = str_printf(&d->arena, "/link/v1/sync/digest?node=%s%" STR_F, g->sync->node,
                                 STR_A(g->params));
    d->city = ask(g, &d->arena, "GET", path, STR_NONE, NULL, e);
    if (!d->city)
        return e->code;
    enum err err = own_digest(g, d, e);
    *equal = !err && same_hash(&d->arena, json_get(d->city, S("digest")), d->root.b, HASH_BYTES);
    return err;
}

/* What differs in some buckets: hashes of ids to ask for, ids to send. */
struct difference {
    VEC(struct str) want; /* hexadecimal */
    VEC(int64_t) send;    /* rows */
};

static void differ(struct arena *a, const struct digest *own, const struct json *entries,
                   const unsigned *buckets, size_t n, struct difference *out)
{
    struct map theirs = MAP_INIT;
    for (uint32_t i = 0; json_is(entries, JSON_ARRAY) && i < entries->n; i++)
        map_put(&theirs, json_text(json_at(&entries->items[i], 0)),
                (void *)(uintptr_t)&entries->items[i]);
    for (size_t k = 0; k < n; k++)
        for (size_t i = own->first[buckets[k]]; i < own->first[buckets[k] + 1]; i++) {
            const struct digest_entry *entry = &own->entries[i];
            struct str id = str_printf(a, "%016llx", (unsigned long long)entry->id);
            const struct json *there = map_get(&theirs, id);
            if (!there || !same_hash(a, json_at(there, 1), entry->hash, DIGEST_ENTRY_BYTES))
                *vec_push(a, &out->send) = entry->eid;
            else
                map_del(&theirs, id);
        }
    struct map_iter it = {0};
    while (map_next(&theirs, &it))
        *vec_push(a, &out->want) = it.key;
    map_release(&theirs);
}

/* *newest: of our journal, as of these states. */
static enum err write_states(struct edge *g, struct arena *a, const int64_t *eids, size_t n,
                             struct buf *out, int64_t *newest, struct error *e)
{
    int64_t oldest;
    struct store_conn *c = store_read(g->sync->link->store, e);
    if (!c)
        return e->code;
    VEC(struct str) ids = VEC_INIT;
    for (size_t i = 0; i < n; i++) {
        struct str id = digest_entity(c, a, eids[i]);
        if (id.p)
            *vec_push(a, &ids) = id;
    }
    enum err err = journal_range(c, g->tenant, &oldest, newest, e);
    if (!err)
        err = states_write(g->sync, c, g->tenant, ids.v, ids.n, out, e);
    store_read_done(c);
    return err;
}

/* Rows come before states: see states_write(). */
static enum err push_upto(struct edge *g, int64_t upto, struct error *e)
{
    bool more = true;
    enum err err = OK;
    while (!err && more && g->sent < upto && !stopping(g))
        err = push(g, &more, e);
    return err;
}

static enum err pull_upto(struct edge *g, int64_t upto, struct error *e)
{
    bool more = true;
    enum err err = OK;
    while (!err && more && g->received < upto && !stopping(g))
        err = pull(g, &more, e);
    return err;
}

/* Our states of some entities, theirs of some: both sides join what they get. */
static enum err swap(struct edge *g, const int64_t *send, size_t n_send, const struct str *want,
                     size_t n_want, struct error *e)
{
    struct arena a = ARENA_INIT;
    struct buf b = BUF_INIT;
    struct feed_message m = {0};
    int64_t newest = 0;
    enum err err = write_states(g, &a, send, n_send, &b, &newest, e);
    if (!err)
        err = push_upto(g, newest, e);
    if (err) {
        buf_release(&b);
        arena_release(&a);
        return err;
    }
    b.n--; /* the end of the object comes later */
    BUF_LIT(&b, ",\"want\":[");
    for (size_t i = 0; i < n_want; i++) {
        if (i)
            buf_char(&b, ',');
        json_write_str(&b, want[i]);
    }
    buf_char(&b, ']');
    const struct {
        const char *name;
        struct str value;
    } members[] = {{"types", g->part.types}, {"scope", g->part.scope}, {"area", g->part.area}};
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        buf_printf(&b, ",\"%s\":", members[i].name);
        json_write_str(&b, members[i].value);
    }
    buf_char(&b, '}');
    const struct json *answer =
        ask(g, &a, "POST", S("/link/v1/sync/entities"), pack(&a, buf_view(&b)), PACK_TYPE, e);
    err = answer ? feed_parse(&a, answer, &m, e) : e->code;
    if (!err)
        err = pull_upto(g, m.newest, e);
    m.upto = 0;
    if (!err && m.rows.n && !stopping(g))
        err = feed_take(g->sync, g->tenant, &m, e);
    buf_release(&b);
    arena_release(&a);
    return err;
}

/* Fewer at a time when they are too large for one message. */
static enum err swap_all(struct edge *g, const struct difference *d, struct error *e)
{
    enum err err = OK;
    size_t n = d->send.n > d->want.n ? d->send.n : d->want.n, step = STATES_A_MESSAGE;
    for (size_t i = 0; !err && i < n && !stopping(g);) {
        size_t s = i < d->send.n ? d->send.n - i : 0, w = i < d->want.n ? d->want.n - i : 0;
        err = swap(g, d->send.v + (s ? i : 0), s < step ? s : step, d->want.v + (w ? i : 0),
                   w < step ? w : step, e);
        if (err == ERR_TOO_LARGE && step > 1) {
            step /= 2;
            err = OK;
        } else {
            i += step;
        }
    }
    return err;
}

static enum err exchange_buckets(struct edge *g, const unsigned *buckets, size_t n, struct error *e)
{
    struct arena a = ARENA_INIT;
    struct difference d = {.want = VEC_INIT, .send = VEC_INIT};
    struct buf path = BUF_INIT;
    const struct digest *own = NULL;
    buf_printf(&path, "/link/v1/sync/digest?bucket=");
    for (size_t i = 0; i < n; i++)
        buf_printf(&path, "%s%u", i ? "," : "", buckets[i]);
    buf_str(&path, g->params);
    const struct json *answer = ask(g, &a, "GET", buf_view(&path), STR_NONE, NULL, e);
    buf_release(&path);
    enum err err = answer ? digest_get(g->sync, g->tenant, &g->part, &own, e) : e->code;
    if (!err)
        differ(&a, own, json_get(answer, S("inBuckets")), buckets, n, &d);
    if (answer)
        digest_done(g->sync);
    if (!err)
        err = swap_all(g, &d, e);
    arena_release(&a);
    return err;
}

static enum err exchange(struct edge *g, struct digests *d, struct error *e)
{
    unsigned some[BUCKETS_A_MESSAGE];
    size_t n = 0;
    enum err err = OK;
    const struct json *theirs = json_get(d->city, S("buckets"));
    for (unsigned b = 0; !err && b < DIGEST_BUCKETS && !stopping(g); b++) {
        if (!same_hash(&d->arena, json_at(theirs, b), d->buckets[b].b, DIGEST_ENTRY_BYTES))
            some[n++] = b;
        if (n == BUCKETS_A_MESSAGE || (n && b == DIGEST_BUCKETS - 1)) {
            err = exchange_buckets(g, some, n, e);
            n = 0;
        }
    }
    return err;
}

struct position {
    struct edge *g;
    int64_t received;
};

static enum err write_position(struct store_conn *c, void *ctx, struct error *e)
{
    const struct position *p = ctx;
    struct edge *g = p->g;
    struct cursor cursor = {.received = p->received,
                            .acked = g->sent,
                            .contact = clock_now(g->sync->link->clock)};
    enum err err = cursor_write(c, g->tenant, str_c(g->city), &cursor, e);
    if (err)
        return err;
    return store_exec(c,
                      "INSERT INTO sync_node(name, token, node, part, created)"
                      " VALUES ('upstream', '', $1, $2, $3) ON CONFLICT(name) DO UPDATE SET"
                      " node = excluded.node, part = excluded.part",
                      SV(SV_TEXT(str_c(g->city)), SV_TEXT(g->part.key), SV_INT(cursor.contact)),
                      NULL, e);
}

/* Compare, and exchange what differs. */
static enum err repair(struct edge *g, bool *equal, struct error *e)
{
    struct digests d = {.arena = ARENA_INIT};
    set_state(g, EDGE_COPYING, "");
    enum err err = compare(g, &d, equal, e);
    if (!err && !*equal)
        err = exchange(g, &d, e);
    arena_release(&d.arena);
    return err;
}

/*
 * The city's journal counts from where it was when the session began; what it holds of before comes
 * as states. If this breaks off the part is not noted, and the next session begins again.
 */
static enum err copy(struct edge *g, struct error *e)
{
    struct position p = {g, 0};
    bool equal = false;
    log_event(LOG_INFO, "edge.copy", LOG_Z("city", g->city), LOG_I("received", g->received));
    g->received = g->city_newest;
    enum err err = repair(g, &equal, e);
    if (err || stopping(g))
        return err;
    p.received = g->received;
    err = store_write(g->sync->link->store, write_position, &p, e);
    g->copy = err != OK;
    return err;
}

/* --- a session --- */

static enum err exchange_changes(struct edge *g, struct error *e)
{
    bool up = true, down = true;
    enum err err = OK;
    set_state(g, EDGE_CHANGES, "");
    while (!err && (up || down) && !stopping(g)) {
        struct pushing p;
        struct error later = {0};
        bool pushed = up;
        if (pushed && (err = push_begin(g, &p, e)))
            break;
        if (down)
            err = pull(g, &down, e);
        if (pushed && push_end(g, &p, &up, &later) && !err) {
            *e = later;
            err = later.code;
        }
    }
    return err;
}

static void verified(struct edge *g)
{
    const struct link *l = g->sync->link;
    g->verify_after = clock_steady(l->clock) + l->edge.verify_s * SECOND_US;
    pthread_mutex_lock(&g->lock);
    g->status.verified = clock_now(l->clock);
    pthread_mutex_unlock(&g->lock);
}

/*
 * Do both sides hold the same? When they do not although no row was under way while they were
 * compared, something was lost: exchange states. Otherwise the answer is open until the next time.
 */
static enum err verify(struct edge *g, struct error *e)
{
    struct digests d = {.arena = ARENA_INIT};
    bool equal = false;
    if (g->verify_after && clock_steady(g->sync->link->clock) < g->verify_after)
        return OK;
    enum err err = compare(g, &d, &equal, e);
    arena_release(&d.arena);
    if (err || equal) {
        if (!err)
            verified(g);
        return err;
    }
    uint64_t moved = g->moved;
    err = exchange_changes(g, e);
    if (err || moved != g->moved || stopping(g))
        return err;
    log_event(LOG_WARN, "edge.digests_differ", LOG_Z("city", g->city));
    return repair(g, &equal, e);
}

static enum err keep_contact(struct store_conn *c, void *ctx, struct error *e)
{
    const struct position *p = ctx;
    struct edge *g = p->g;
    struct cursor cursor;
    enum err err = cursor_read(c, g->tenant, str_c(g->city), &cursor, e);
    if (err || (cursor.known && cursor.acked == g->sent))
        return err;
    cursor.acked = g->sent;
    cursor.contact = clock_now(g->sync->link->clock);
    return cursor_write(c, g->tenant, str_c(g->city), &cursor, e);
}

static enum err session(struct edge *g, struct error *e)
{
    struct position p = {.g = g};
    enum err err = greet(g, e);
    if (!err && g->copy)
        err = copy(g, e);
    if (!err)
        err = exchange_changes(g, e);
    if (!err && !stopping(g))
        err = store_write(g->sync->link->store, keep_contact, &p, e);
    if (!err && !stopping(g))
        err = verify(g, e);
    if (!err)
        set_state(g, EDGE_TOGETHER, "");
    return err;
}

static bool is_refusal(enum err err)
{
    return err == ERR_UNAUTHENTICATED || err == ERR_FORBIDDEN || err == ERR_CONFLICT ||
           err == ERR_UNPROCESSABLE || err == ERR_INVALID || err == ERR_TOO_LARGE;
}

static void *run(void *arg)
{
    struct edge *g = arg;
    int64_t pause = PAUSE_FIRST_MS;
    while (!stopping(g)) {
        struct error e = {0};
        enum err err = session(g, &e);
        if (!err) {
            pause = PAUSE_FIRST_MS;
            wait_ms(g, g->sync->link->edge.poll_s * 1000, true);
        } else if (is_refusal(err)) {
            set_state(g, EDGE_REFUSED, e.text);
            wait_ms(g, REFUSED_MS, false);
        } else {
            set_state(g, EDGE_OFFLINE, e.text);
            g->verify_after = 0;
            wait_ms(g, pause, false);
            pause = pause * 2 > PAUSE_MAX_MS ? PAUSE_MAX_MS : pause * 2;
        }
    }
    return NULL;
}

/* --- opening and closing --- */

/* A city may be in the same private network, which others may not call. */
static struct client *make_client(struct sync *s, struct error *e)
{
    struct client_options o = *client_settings(s->link->client);
    o.allow_private = true;
    return client_new(&o, e);
}

static enum err check(struct edge *g, struct error *e)
{
    const struct edge_options *o = &g->sync->link->edge;
    if (!str_starts(str_c(o->upstream), S("https://")) &&
        !str_starts(str_c(o->upstream), S("http://")))
        return error_set(e, ERR_INVALID, "edge.upstream: the address of a city is needed");
    if (str_ends(str_c(o->upstream), S("/")))
        return error_set(e, ERR_INVALID, "edge.upstream: without '/' at the end");
    if (!o->token[0])
        return error_set(e, ERR_INVALID, "edge.token: the city gives one when it enrols a node");
    enum err err =
        part_read(&g->part_arena, str_c(o->types), str_c(o->scope), str_c(o->area), &g->part, e);
    g->params = part_params(&g->part_arena, &g->part);
    return err;
}

struct edge *edge_new(struct sync *s, struct error *e)
{
    pthread_condattr_t attr;
    struct edge *g = calloc(1, sizeof(*g));
    if (!g)
        abort();
    g->sync = s;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&g->wake, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&g->lock, NULL);
    if (!check(g, e) && (g->client = make_client(s, e))) {
        journal_listen(s->link->store, on_journal, g);
        g->running = pthread_create(&g->thread, NULL, run, g) == 0;
        if (g->running)
            return g;
        journal_unlisten(s->link->store, on_journal, g);
        error_set(e, ERR_INTERNAL, "cannot start the thread of the edge");
    }
    edge_free(g);
    return NULL;
}

void edge_free(struct edge *g)
{
    if (g->running) {
        pthread_mutex_lock(&g->lock);
        g->stop = true;
        pthread_cond_signal(&g->wake);
        pthread_mutex_unlock(&g->lock);
        pthread_join(g->thread, NULL);
        journal_unlisten(g->sync->link->store, on_journal, g);
    }
    client_free(g->client); /* what is still under way is told so */
    part_release(&g->part);
    arena_release(&g->part_arena);
    pthread_cond_destroy(&g->wake);
    pthread_mutex_destroy(&g->lock);
    free(g);
}

/* --- asking --- */

void edge_look(struct edge *g, struct edge_status *out)
{
    pthread_mutex_lock(&g->lock);
    *out = g->status;
    pthread_mutex_unlock(&g->lock);
}

static void w_time(struct json_writer *w, struct str key, int64_t at)
{
    char text[DATETIME_MAX];
    if (at)
        json_w_kstr(w, key, str_n(text, datetime_format(at, text)));
}

void edge_write(struct edge *g, struct json_writer *w)
{
    struct edge_status s;
    edge_look(g, &s);
    json_w_key(w, S("upstream"));
    json_w_object(w);
    json_w_kstr(w, S("url"), str_c(g->sync->link->edge.upstream));
    if (s.name[0])
        json_w_kstr(w, S("name"), str_c(s.name));
    json_w_kstr(w, S("state"), str_c(edge_state_names[s.state]));
    if (s.error[0])
        json_w_kstr(w, S("error"), str_c(s.error));
    w_time(w, S("lastContact"), s.contact);
    w_time(w, S("verifiedAt"), s.verified);
    json_w_ki64(w, S("waiting"), s.waiting);
    json_w_ki64(w, S("behind"), s.behind);
    json_w_ki64(w, S("clockOffsetMs"), s.offset_us / 1000);
    json_w_end(w);
}
