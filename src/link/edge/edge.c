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
 *   STANDBY    another process on the same store      the duty is ours -> as OFFLINE
 *              has the duty to exchange
 *   any        a request fails                        -> OFFLINE; the pause doubles each time
 */
#include "core/log.h"
#include "edge_impl.h"
#include <stdlib.h>
#include <time.h>

enum {
    PAUSE_FIRST_MS = 500,
    PAUSE_MAX_MS = 5000,
    REFUSED_MS = 30000,
    STANDBY_MS = 500,
    REPAIRS = 5 /* in a row; then the digests are compared as seldom as any */
};

/* --- a session --- */

static enum err exchange_changes(struct edge *g, struct error *e)
{
    bool up = true, down = true;
    enum err err = OK;
    edge_state_set(g, EDGE_CHANGES, "");
    while (!err && (up || down) && !edge_stopping(g)) {
        struct edge_pushing p;
        struct error later = {0};
        bool pushed = up;
        if (pushed && (err = edge_push_begin(g, &p, e)))
            break;
        if (down)
            err = edge_pull(g, &down, e);
        if (pushed && edge_push_end(g, &p, &up, &later) && !err) {
            *e = later;
            err = later.code;
        }
    }
    return err;
}

static void look_later(struct edge *g)
{
    const struct link *l = g->sync->link;
    g->verify_after = clock_steady(l->clock) + l->edge.verify_s * SECOND_US;
    g->repairs = 0;
}

static void verified(struct edge *g)
{
    const struct link *l = g->sync->link;
    look_later(g);
    pthread_mutex_lock(&g->lock);
    g->status.verified = clock_now(l->clock);
    pthread_mutex_unlock(&g->lock);
}

/*
 * Do both sides hold the same? When they do not although no row was under way while they were
 * compared, something was lost, or the past is still to come: exchange it. Otherwise the answer is
 * open until the next time.
 */
static enum err verify(struct edge *g, struct error *e)
{
    struct edge_digests d = {.arena = ARENA_INIT};
    if (g->verify_after && clock_steady(g->sync->link->clock) < g->verify_after)
        return OK;
    enum err err = edge_compare(g, &d, e);
    arena_release(&d.arena);
    if (err || d.same) {
        if (!err)
            verified(g);
        return err;
    }
    uint64_t moved = g->moved;
    err = exchange_changes(g, e);
    if (err || moved != g->moved || edge_stopping(g))
        return err;
    log_event(LOG_INFO, "edge.digests_differ", LOG_Z("city", g->city),
              LOG_Z("in", d.same_states ? "evolution" : "states"));
    if (!d.same_states)
        err = edge_repair(g, e);
    if (!err && !edge_stopping(g))
        err = edge_evolution(g, e);
    if (!err && ++g->repairs >= REPAIRS)
        look_later(g);
    return err;
}

static enum err session(struct edge *g, struct error *e)
{
    enum err err = edge_greet(g, e);
    if (!err && g->copy)
        err = edge_copy(g, e);
    if (!err)
        err = exchange_changes(g, e);
    if (!err && !edge_stopping(g))
        err = edge_contact_write(g, e);
    if (!err && !edge_stopping(g))
        err = verify(g, e);
    if (!err)
        edge_state_set(g, EDGE_TOGETHER, "");
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
    while (!edge_stopping(g)) {
        struct error e = {0};
        if (!store_duty(g->sync->link->store, "edge")) {
            edge_state_set(g, EDGE_STANDBY, "");
            g->verify_after = 0;
            edge_wait(g, STANDBY_MS, false);
            continue;
        }
        enum err err = session(g, &e);
        if (!err) {
            pause = PAUSE_FIRST_MS;
            edge_wait(g, g->sync->link->edge.poll_s * 1000, true);
        } else if (is_refusal(err)) {
            edge_state_set(g, EDGE_REFUSED, e.text);
            edge_wait(g, REFUSED_MS, false);
        } else {
            edge_state_set(g, EDGE_OFFLINE, e.text);
            g->verify_after = 0;
            edge_wait(g, pause, false);
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
    g->batch = (size_t)s->link->edge.batch_bytes;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&g->wake, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&g->lock, NULL);
    if (!check(g, e) && (g->client = make_client(s, e))) {
        journal_listen(s->link->store, edge_on_journal, g);
        g->running = pthread_create(&g->thread, NULL, run, g) == 0;
        if (g->running)
            return g;
        journal_unlisten(s->link->store, edge_on_journal, g);
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
        journal_unlisten(g->sync->link->store, edge_on_journal, g);
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
    json_w_ktime(w, S("lastContact"), s.contact);
    json_w_ktime(w, S("verifiedAt"), s.verified);
    json_w_ki64(w, S("waiting"), s.waiting);
    json_w_ki64(w, S("behind"), s.behind);
    json_w_ki64(w, S("clockOffsetMs"), s.offset_us / 1000);
    json_w_end(w);
}
