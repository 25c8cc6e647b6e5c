/* Journal rows both ways. See edge.c. */
#include "edge_impl.h"
#include "pack.h"

enum { UNTOLD_ROWS = 1000 /* of other nodes, that only move our position there */ };

enum err edge_push_begin(struct edge *g, struct edge_pushing *p, struct error *e)
{
    struct buf b = BUF_INIT;
    *p = (struct edge_pushing){
        .feed = {.sync = g->sync, .tenant = g->tenant, .after = g->sent, .max_bytes = g->batch}};
    struct store_conn *c = store_read(g->sync->link->store, e);
    enum err err = c ? feed_read(&p->feed, c, &b, e) : e->code;
    if (c)
        store_read_done(c);
    /* Rows that do not concern the city are told when others are, or when they are many. */
    if (!err && (p->feed.rows || p->feed.upto - g->sent > UNTOLD_ROWS)) {
        struct str body = pack(&p->arena, buf_view(&b));
        p->bytes = body.n;
        p->asked = edge_send(g, &p->arena, "POST", S("/link/v1/sync/changes"), body, PACK_TYPE, e);
        err = p->asked ? OK : e->code;
    }
    buf_release(&b);
    if (err)
        arena_release(&p->arena);
    return err;
}

enum err edge_push_end(struct edge *g, struct edge_pushing *p, bool *more, struct error *e)
{
    enum err err = OK;
    if (p->asked) {
        const struct json *answer = edge_answer(g, &p->arena, p->asked, p->bytes, e);
        err = answer ? OK : e->code;
        g->moved += p->feed.rows;
        if (!err && edge_number(answer, "received") != p->feed.upto)
            err = error_set(e, ERR_UNAVAILABLE, "the city took less than it was sent");
    }
    if (!err)
        g->sent = p->feed.upto;
    *more = !err && p->feed.upto < p->feed.newest;
    edge_lag_set(g, p->feed.newest);
    arena_release(&p->arena);
    return err;
}

enum err edge_push(struct edge *g, bool *more, struct error *e)
{
    struct edge_pushing p;
    enum err err = edge_push_begin(g, &p, e);
    return err ? err : edge_push_end(g, &p, more, e);
}

enum err edge_pull(struct edge *g, bool *more, struct error *e)
{
    struct arena a = ARENA_INIT;
    struct feed_message m = {0};
    struct str path = str_printf(&a, "/link/v1/sync/changes?node=%s&after=%lld&bytes=%lld%" STR_F,
                                 atomic_load(&g->sync->node), (long long)g->received,
                                 (long long)g->batch, STR_A(g->params));
    const struct json *answer = edge_ask(g, &a, "GET", path, STR_NONE, NULL, e);
    enum err err = answer ? feed_parse(&a, answer, &m, e) : e->code;
    if (!err && m.upto > g->received)
        err = feed_take(g->sync, g->tenant, &m, e);
    if (!err) {
        g->moved += m.rows.n;
        if (m.whole) /* its past is to be fetched */
            g->verify_after = 0;
        g->received = m.upto;
        g->city_newest = m.newest;
        *more = m.upto < m.newest;
    }
    arena_release(&a);
    return err;
}
