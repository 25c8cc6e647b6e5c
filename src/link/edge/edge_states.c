/* States are compared, and exchanged where they differ. See edge.c. */
#include "core/log.h"
#include "core/map.h"
#include "edge_impl.h"
#include "evolution.h"
#include "feed.h"
#include "pack.h"

enum {
    STATES_A_MESSAGE = 200,
    BUCKETS_A_MESSAGE = 16,
    ENTRY_BYTES = 64 /* of an entity in the answer, packed */
};

static bool same_hash(struct arena *a, const struct json *hex, const unsigned char *bytes, size_t n)
{
    return str_eq(json_text(hex), hex_encode(a, str_n((const char *)bytes, n)));
}

static enum err compare_own(struct edge *g, struct edge_digests *d, struct error *e)
{
    const struct digest *own = NULL;
    enum err err = digest_get(g->sync, g->tenant, &g->part, d->since, &own, e);
    if (!err) {
        memcpy(d->buckets, own->buckets, sizeof(d->buckets));
        d->same = same_hash(&d->arena, json_get(d->city, S("digest")), own->root.b, HASH_BYTES);
        d->same_states =
            same_hash(&d->arena, json_get(d->city, S("states")), own->states.b, HASH_BYTES);
    }
    digest_done(g->sync);
    return err;
}

/* Evolution is compared from where we want it, unless that is too early for either side. */
static enum err ask_since(struct edge *g, int64_t *since, struct error *e)
{
    struct store_conn *c = store_read(g->sync->link->store, e);
    if (!c)
        return e->code;
    enum err err = evolution_since(g->sync, c, g->tenant, evolution_wanted(g->sync), since, e);
    store_read_done(c);
    return err;
}

enum err edge_compare(struct edge *g, struct edge_digests *d, struct error *e)
{
    int64_t since = 0;
    enum err err = ask_since(g, &since, e);
    if (err)
        return err;
    struct str path =
        str_printf(&d->arena, "/link/v1/sync/digest?packed=1&node=%s&since=%lld%" STR_F,
                   atomic_load(&g->sync->node), (long long)since, STR_A(g->params));
    d->city = edge_ask(g, &d->arena, "GET", path, STR_NONE, NULL, e);
    if (!d->city)
        return e->code;
    d->since = edge_number(d->city, "since");
    d->entities = (size_t)edge_number(d->city, "entities");
    if (d->since < since)
        return error_set(e, ERR_INVALID, "the city compares evolution from before what was asked");
    atomic_store(&g->sync->since, d->since);
    return compare_own(g, d, e);
}

/* --- where both differ --- */

typedef VEC(struct edge_entity) entity_list;

static bool is_there(struct str hash)
{
    for (size_t i = 0; i < hash.n; i++)
        if (hash.p[i] != '0')
            return true;
    return false;
}

static struct str past_text(struct arena *a, uint64_t past)
{
    return str_printf(a, "%016llx", (unsigned long long)past);
}

static void differ(struct arena *a, const struct digest *own, const struct json *entries,
                   const unsigned *buckets, size_t n, entity_list *out)
{
    struct map theirs = MAP_INIT;
    for (uint32_t i = 0; json_is(entries, JSON_ARRAY) && i < entries->n; i++)
        map_put(&theirs, json_text(json_at(&entries->items[i], 0)),
                (void *)(uintptr_t)&entries->items[i]);
    for (size_t k = 0; k < n; k++)
        for (size_t i = own->first[buckets[k]]; i < own->first[buckets[k] + 1]; i++) {
            const struct digest_entry *entry = &own->entries[i];
            struct str hash = hex_encode(a, str_n((const char *)entry->hash, DIGEST_ENTRY_BYTES));
            struct edge_entity x = {.hash = past_text(a, entry->id),
                                    .eid = entry->eid,
                                    .here = is_there(hash)};
            const struct json *there = map_del(&theirs, x.hash);
            struct str hash_there = json_text(json_at(there, 1));
            x.there = is_there(hash_there);
            x.same_state = x.here == x.there && (!x.here || str_eq(hash, hash_there));
            x.same_past = there ? str_eq(json_text(json_at(there, 2)), past_text(a, entry->past))
                                : !entry->past;
            if (!x.same_state || !x.same_past)
                *vec_push(a, out) = x;
        }
    struct map_iter it = {0};
    while (map_next(&theirs, &it)) {
        bool there = is_there(json_text(json_at(it.value, 1)));
        *vec_push(a, out) =
            (struct edge_entity){.hash = it.key,
                                 .there = there,
                                 .same_state = !there,
                                 .same_past = !is_there(json_text(json_at(it.value, 2)))};
    }
    map_release(&theirs);
}

struct differing {
    enum err (*each)(void *ctx, const struct edge_entity *v, size_t n, struct error *e);
    void *ctx;
};

static enum err differ_in(struct edge *g, const struct edge_digests *d, const unsigned *buckets,
                          size_t n, const struct differing *x, struct error *e)
{
    struct arena a = ARENA_INIT;
    entity_list list = VEC_INIT;
    struct buf path = BUF_INIT;
    const struct digest *own = NULL;
    buf_printf(&path, "/link/v1/sync/digest?packed=1&since=%lld&bucket=", (long long)d->since);
    for (size_t i = 0; i < n; i++)
        buf_printf(&path, "%s%u", i ? "," : "", buckets[i]);
    buf_str(&path, g->params);
    const struct json *answer = edge_ask(g, &a, "GET", buf_view(&path), STR_NONE, NULL, e);
    buf_release(&path);
    enum err err = answer ? OK : e->code;
    if (!err) {
        err = digest_get(g->sync, g->tenant, &g->part, d->since, &own, e);
        if (!err)
            differ(&a, own, json_get(answer, S("inBuckets")), buckets, n, &list);
        digest_done(g->sync);
    }
    if (!err && list.n && !edge_stopping(g))
        err = x->each(x->ctx, list.v, list.n, e);
    arena_release(&a);
    return err;
}

enum err edge_differences(struct edge *g, struct edge_digests *d,
                          enum err (*each)(void *ctx, const struct edge_entity *v, size_t n,
                                           struct error *e),
                          void *ctx, struct error *e)
{
    const struct differing x = {each, ctx};
    unsigned some[BUCKETS_A_MESSAGE];
    size_t n = 0, most = g->batch / ((d->entities / DIGEST_BUCKETS + 1) * ENTRY_BYTES);
    enum err err = OK;
    const struct json *theirs = json_get(d->city, S("buckets"));
    if (most > BUCKETS_A_MESSAGE)
        most = BUCKETS_A_MESSAGE;
    for (unsigned b = 0; !err && b < DIGEST_BUCKETS && !edge_stopping(g); b++) {
        if (!same_hash(&d->arena, json_at(theirs, b), d->buckets[b].b, DIGEST_ENTRY_BYTES))
            some[n++] = b;
        if (n && (n >= most || b == DIGEST_BUCKETS - 1)) {
            err = differ_in(g, d, some, n, &x, e);
            n = 0;
        }
    }
    return err;
}

/* --- states --- */

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
enum err edge_push_upto(struct edge *g, int64_t upto, struct error *e)
{
    bool more = true;
    enum err err = OK;
    while (!err && more && g->sent < upto && !edge_stopping(g))
        err = edge_push(g, &more, e);
    return err;
}

enum err edge_pull_upto(struct edge *g, int64_t upto, struct error *e)
{
    bool more = true;
    enum err err = OK;
    while (!err && more && g->received < upto && !edge_stopping(g))
        err = edge_pull(g, &more, e);
    return err;
}

/* --- the city's states for ours --- */

struct replacement {
    struct edge *g;
    const struct feed_message *m; /* NULL: */
    const int64_t *gone;          /* rows of entities that the city has not got */
    size_t n_gone;
    struct arena arena;
    struct map unsent; /* ids of what was changed here and is not sent */
};

static bool note_unsent(void *ctx, const struct journal_row *row)
{
    struct replacement *x = ctx;
    if (!row->origin.p && !map_get(&x->unsent, row->key))
        map_put(&x->unsent, str_dup(&x->arena, row->key), x);
    return true;
}

static enum err apply_replacement(struct store_conn *c, void *ctx, struct error *e)
{
    struct replacement *x = ctx;
    struct edge *g = x->g;
    struct arena a = ARENA_INIT;
    struct str actor = str_printf(&x->arena, "node:%s", g->city);
    enum err err = journal_read(c, g->tenant, g->sent, SIZE_MAX / 2, note_unsent, x, e);
    for (size_t i = 0; !err && x->m && i < x->m->rows.n; i++) {
        const struct feed_row *row = &x->m->rows.v[i];
        if (row->kind == FEED_PIECE && !map_get(&x->unsent, row->piece.id))
            err = sync_replace(g->sync, c, &a, g->tenant, &row->piece, str_c(g->city), actor, e);
        arena_reset(&a);
    }
    for (size_t i = 0; !err && i < x->n_gone; i++) {
        struct sync_piece none = {.id = digest_entity(c, &a, x->gone[i]),
                                  .at = clock_now(g->sync->link->clock)};
        if (none.id.p && !map_get(&x->unsent, none.id))
            err = sync_replace(g->sync, c, &a, g->tenant, &none, str_c(g->city), actor, e);
        arena_reset(&a);
    }
    arena_release(&a);
    return err;
}

static enum err replace_states(struct edge *g, const struct feed_message *m, const int64_t *gone,
                               size_t n_gone, struct error *e)
{
    struct replacement x = {.g = g, .m = m, .gone = gone, .n_gone = n_gone};
    enum err err = store_write(g->sync->link->store, apply_replacement, &x, e);
    map_release(&x.unsent);
    arena_release(&x.arena);
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
        err = edge_push_upto(g, newest, e);
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
    buf_printf(&b, ",\"since\":%lld}", (long long)atomic_load(&g->sync->since));
    const struct json *answer =
        edge_ask(g, &a, "POST", S("/link/v1/sync/entities"), pack(&a, buf_view(&b)), PACK_TYPE, e);
    err = answer ? feed_parse(&a, answer, &m, e) : e->code;
    if (!err)
        err = edge_pull_upto(g, m.newest, e);
    m.upto = 0;
    if (!err && m.rows.n && !edge_stopping(g))
        err = g->fresh ? replace_states(g, &m, NULL, 0, e) : feed_take(g->sync, g->tenant, &m, e);
    buf_release(&b);
    arena_release(&a);
    return err;
}

struct difference {
    struct edge *g;
    struct arena arena;
    VEC(struct str) want; /* hashes of ids to ask for */
    VEC(int64_t) send;    /* rows of entities to send; the answer has theirs */
};

/* Fewer at a time when they are too large for one message. */
static enum err swap_all(struct difference *d, struct error *e)
{
    struct edge *g = d->g;
    enum err err = OK;
    size_t n = d->send.n > d->want.n ? d->send.n : d->want.n;
    size_t step = STATES_A_MESSAGE * g->batch / (size_t)g->sync->link->edge.batch_bytes;
    step = step < 1 ? 1 : step;
    for (size_t i = 0; !err && i < n && !edge_stopping(g);) {
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

static enum err swap_differing(void *ctx, const struct edge_entity *v, size_t n, struct error *e)
{
    struct difference *d = ctx;
    struct edge *g = d->g;
    VEC(int64_t) gone = VEC_INIT;
    d->want.n = d->send.n = 0;
    for (size_t i = 0; i < n; i++) {
        if (v[i].same_state)
            continue;
        if (v[i].here && g->fresh && !v[i].there)
            *vec_push(&d->arena, &gone) = v[i].eid;
        else if (v[i].here && !g->fresh)
            *vec_push(&d->arena, &d->send) = v[i].eid;
        else
            *vec_push(&d->arena, &d->want) = v[i].hash;
    }
    enum err err = gone.n ? replace_states(g, NULL, gone.v, gone.n, e) : OK;
    return err ? err : swap_all(d, e);
}

enum err edge_repair(struct edge *g, struct error *e)
{
    struct edge_digests d = {.arena = ARENA_INIT};
    struct difference x = {.g = g};
    edge_state_set(g, EDGE_COPYING, "");
    enum err err = edge_compare(g, &d, e);
    if (!err && !d.same_states)
        err = edge_differences(g, &d, swap_differing, &x, e);
    arena_release(&x.arena);
    arena_release(&d.arena);
    return err;
}

enum { FRESH_ROUNDS = 20 };

/*
 * What is here may be gone in the city, and forgotten: its states are taken for ours, after all
 * that was written here has been sent. What is written here meanwhile is left for the next round.
 */
static enum err copy_afresh(struct edge *g, struct error *e)
{
    enum err err = edge_fresh_write(g, e);
    bool same = false;
    for (int i = 0; !err && !same && i < FRESH_ROUNDS && !edge_stopping(g); i++) {
        struct edge_digests d = {.arena = ARENA_INIT};
        bool more = true;
        while (!err && more && !edge_stopping(g))
            err = edge_push(g, &more, e);
        if (!err)
            err = edge_repair(g, e);
        if (!err)
            err = edge_compare(g, &d, e);
        same = !err && d.same_states;
        arena_release(&d.arena);
    }
    if (!err && !same && !edge_stopping(g))
        err = error_set(e, ERR_UNAVAILABLE, "a fresh copy does not come to an end");
    g->fresh = err != OK;
    return err;
}

/*
 * The city's journal counts from where it was when the session began; what it holds of before comes
 * as states. If this breaks off the part is not noted, and the next session begins again. The past
 * follows when the present is there: the digests differ until then.
 */
enum err edge_copy(struct edge *g, struct error *e)
{
    log_event(LOG_INFO, "edge.copy", LOG_Z("city", g->city), LOG_I("received", g->received),
              LOG_I("fresh", g->fresh));
    g->received = g->city_newest;
    enum err err = g->fresh ? copy_afresh(g, e) : edge_repair(g, e);
    if (err || edge_stopping(g))
        return err;
    err = edge_position_write(g, g->received, e);
    g->copy = err != OK;
    return err;
}
