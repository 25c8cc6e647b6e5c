/* "Here I am": who the city is, how far each is, what must be copied. See edge.c. */
#include "core/log.h"
#include "edge_impl.h"
#include <stdio.h>

/* In place of a part's key, while what is here may be gone in the city. */
#define FRESH "fresh"

struct own { /* what our store knows */
    int64_t oldest, newest;
    struct cursor cursor; /* of the city */
    bool same_part;
    bool fresh; /* a fresh copy was begun and is not whole */
};

/* The city that we were with last. */
static enum err last_city(struct edge *g, struct store_conn *c, struct error *e)
{
    struct store_rows r;
    store_query(c, &r, "SELECT node FROM sync_node WHERE name = 'upstream'", SV_EMPTY);
    if (store_next(&r) && sync_node_ok(store_text(&r, 0)))
        snprintf(g->city, sizeof(g->city), "%" STR_F, STR_A(store_text(&r, 0)));
    return store_end(&r, e);
}

static enum err make_tenant(struct store_conn *c, void *ctx, struct error *e)
{
    struct edge *g = ctx;
    return repo_tenant_make(c, str_c(g->sync->link->edge.tenant), clock_now(g->sync->link->clock),
                            &g->tenant, e);
}

static enum err look_at_own(struct edge *g, struct arena *a, struct own *out, struct error *e)
{
    struct store_rows r;
    struct store_conn *c = store_read(g->sync->link->store, e);
    if (!c)
        return e->code;
    *out = (struct own){0};
    enum err err = journal_range(c, g->tenant, &out->oldest, &out->newest, e);
    if (!err && !g->city[0])
        err = last_city(g, c, e);
    if (!err && g->city[0])
        err = cursor_read(c, a, g->tenant, str_c(g->city), &out->cursor, e);
    if (!err) {
        store_query(c, &r, "SELECT part FROM sync_node WHERE name = 'upstream' AND node = $1",
                    SV(SV_TEXT(str_c(g->city))));
        bool any = store_next(&r);
        out->same_part = any && str_eq(store_text(&r, 0), g->part.key);
        out->fresh = any && str_eq(store_text(&r, 0), S(FRESH));
        err = store_end(&r, e);
    }
    store_read_done(c);
    return err;
}

static void measure_clock(struct edge *g, const struct json *answer, int64_t before)
{
    int64_t after = clock_now(g->sync->link->clock), city = edge_number(answer, "time");
    int64_t half = (after - before) / 2, offset = city - (before + half);
    int64_t error = offset - atomic_load(&g->sync->offset_us);
    if (error < -half || error > half) /* else what we have is as good as what was measured */
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
    json_w_ki64(&w, S("acked"), own->cursor.acked);
    if (own->cursor.mark.p)
        json_w_kstr(&w, S("mark"), own->cursor.mark);
    json_w_kstr(&w, S("types"), g->part.types);
    json_w_kstr(&w, S("scope"), g->part.scope);
    json_w_kstr(&w, S("area"), g->part.area);
    json_w_end(&w);
    const struct json *answer =
        edge_ask(g, a, "POST", S("/link/v1/sync/sessions"), buf_dup(&b, a), NULL, e);
    buf_release(&b);
    return answer;
}

/* Is what the city took of our journal still what stands in it? */
static enum err still_ours(struct edge *g, const struct json *answer, const struct own *own,
                           bool *ours, struct error *e)
{
    struct arena a = ARENA_INIT;
    struct str told = json_text(json_get(answer, S("mark"))), mark = STR_NONE;
    int64_t received = edge_number(answer, "received");
    const struct json *taken = json_get(answer, S("taken"));
    *ours = received <= own->newest && !json_is(taken, JSON_TRUE);
    enum err err = OK;
    if (*ours && told.n) {
        struct store_conn *c = store_read(g->sync->link->store, e);
        err = c ? sync_mark(c, &a, g->tenant, received, &mark, e) : e->code;
        if (c)
            store_read_done(c);
        *ours = !mark.p || str_eq(mark, told);
    }
    arena_release(&a);
    return err;
}

/* Another id, and another session with it. */
static enum err begin_anew(struct edge *g, const struct own *own, struct error *e)
{
    log_event(LOG_WARN, "edge.copy_found", LOG_Z("was", atomic_load(&g->sync->node)));
    enum err err = sync_rename(g->sync, g->tenant, own->cursor.acked, e);
    return err ? err
               : error_set(e, ERR_UNAVAILABLE,
                           "this store was restored or is a copy: it has a new id now");
}

enum err edge_greet(struct edge *g, struct error *e)
{
    struct arena a = ARENA_INIT;
    struct own own = {0};
    bool first = !g->city[0];
    enum err err = g->tenant ? OK : store_write(g->sync->link->store, make_tenant, g, e);
    if (!err)
        err = look_at_own(g, &a, &own, e);
    if (!err)
        edge_lag_set(g, own.newest);
    int64_t before = clock_now(g->sync->link->clock);
    const struct json *answer = err ? NULL : send_greeting(g, &a, &own, e);
    struct str city = json_text(json_get(answer, S("node")));
    if (answer && !sync_node_ok(city))
        err = error_set(e, ERR_INVALID, "the city answers without its id");
    if (!answer || err) {
        arena_release(&a);
        return err ? err : e->code;
    }
    bool ours = true;
    err = still_ours(g, answer, &own, &ours, e);
    if (!err && !ours)
        err = begin_anew(g, &own, e);
    if (err) {
        arena_release(&a);
        return err;
    }
    measure_clock(g, answer, before);
    bool other = !str_eq(city, str_c(g->city));
    snprintf(g->city, sizeof(g->city), "%" STR_F, STR_A(city));
    if (other) /* positions are those of this city from here on */
        err = look_at_own(g, &a, &own, e);
    g->city_newest = edge_number(answer, "newest");
    g->sent = edge_number(answer, "received");
    g->received = own.cursor.received;
    g->copy = !own.cursor.known || !own.same_part ||
              g->received + 1 < edge_number(answer, "oldest") ||
              json_is(json_get(answer, S("back")), JSON_TRUE) || g->sent + 1 < own.oldest;
    /* Of what was written before this was an edge the city knows nothing: such a store does not
     * take the city's word for what is gone. */
    g->fresh = (own.fresh || json_is(json_get(answer, S("fresh")), JSON_TRUE)) &&
               g->sent + 1 >= own.oldest;
    g->copy = g->copy || g->fresh;
    if (g->sent + 1 < own.oldest) /* written before this was an edge */
        g->sent = own.oldest - 1;
    if (first || other)
        g->verify_after = 0;
    edge_lag_set(g, own.newest);
    arena_release(&a);
    return err;
}

/* --- positions --- */

struct position {
    struct edge *g;
    int64_t received;
};

static enum err write_position(struct store_conn *c, void *ctx, struct error *e)
{
    const struct position *p = ctx;
    struct edge *g = p->g;
    struct arena a = ARENA_INIT;
    struct cursor was;
    enum err err = cursor_read(c, &a, g->tenant, str_c(g->city), &was, e);
    struct cursor cursor = {.received = p->received,
                            .mark = was.received == p->received ? was.mark : STR_NONE,
                            .acked = g->sent,
                            .contact = clock_now(g->sync->link->clock)};
    if (!err)
        err = cursor_write(c, g->tenant, str_c(g->city), &cursor, e);
    arena_release(&a);
    if (err)
        return err;
    return store_exec(c,
                      "INSERT INTO sync_node(name, token, node, part, created)"
                      " VALUES ('upstream', '', $1, $2, $3) ON CONFLICT(name) DO UPDATE SET"
                      " node = excluded.node, part = excluded.part",
                      SV(SV_TEXT(str_c(g->city)), SV_TEXT(g->part.key), SV_INT(cursor.contact)),
                      NULL, e);
}

enum err edge_position_write(struct edge *g, int64_t received, struct error *e)
{
    struct position p = {g, received};
    return store_write(g->sync->link->store, write_position, &p, e);
}

static enum err keep_contact(struct store_conn *c, void *ctx, struct error *e)
{
    struct edge *g = ctx;
    struct arena a = ARENA_INIT;
    struct cursor cursor;
    enum err err = cursor_read(c, &a, g->tenant, str_c(g->city), &cursor, e);
    if (!err && !(cursor.known && cursor.acked == g->sent)) {
        cursor.acked = g->sent;
        cursor.contact = clock_now(g->sync->link->clock);
        err = cursor_write(c, g->tenant, str_c(g->city), &cursor, e);
    }
    arena_release(&a);
    return err;
}

enum err edge_contact_write(struct edge *g, struct error *e)
{
    return store_write(g->sync->link->store, keep_contact, g, e);
}

static enum err note_fresh(struct store_conn *c, void *ctx, struct error *e)
{
    (void)ctx;
    return store_exec(c, "UPDATE sync_node SET part = $1 WHERE name = 'upstream'",
                      SV(SV_TEXT(S(FRESH))), NULL, e);
}

enum err edge_fresh_write(struct edge *g, struct error *e)
{
    return store_write(g->sync->link->store, note_fresh, g, e);
}
