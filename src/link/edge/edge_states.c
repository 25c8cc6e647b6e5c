/* States are compared, and exchanged where they differ. See edge.c. */
#include "core/log.h"
#include "core/map.h"
#include "edge_impl.h"
#include "feed.h"
#include "pack.h"

enum { STATES_A_MESSAGE = 200, BUCKETS_A_MESSAGE = 16 };

static enum err own_digest(struct edge *g, struct edge_digests *d, struct error *e)
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

enum err edge_compare(struct edge *g, struct edge_digests *d, bool *equal, struct error *e)
{
    struct str path = str_printf(&d->arena, "/link/v1/sync/digest?node=%s%" STR_F, g->sync->node,
                                 STR_A(g->params));
    d->city = edge_ask(g, &d->arena, "GET", path, STR_NONE, NULL, e);
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
    while (!err && more && g->sent < upto && !edge_stopping(g))
        err = edge_push(g, &more, e);
    return err;
}

static enum err pull_upto(struct edge *g, int64_t upto, struct error *e)
{
    bool more = true;
    enum err err = OK;
    while (!err && more && g->received < upto && !edge_stopping(g))
        err = edge_pull(g, &more, e);
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
        edge_ask(g, &a, "POST", S("/link/v1/sync/entities"), pack(&a, buf_view(&b)), PACK_TYPE, e);
    err = answer ? feed_parse(&a, answer, &m, e) : e->code;
    if (!err)
        err = pull_upto(g, m.newest, e);
    m.upto = 0;
    if (!err && m.rows.n && !edge_stopping(g))
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
    const struct json *answer = edge_ask(g, &a, "GET", buf_view(&path), STR_NONE, NULL, e);
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

static enum err exchange(struct edge *g, struct edge_digests *d, struct error *e)
{
    unsigned some[BUCKETS_A_MESSAGE];
    size_t n = 0;
    enum err err = OK;
    const struct json *theirs = json_get(d->city, S("buckets"));
    for (unsigned b = 0; !err && b < DIGEST_BUCKETS && !edge_stopping(g); b++) {
        if (!same_hash(&d->arena, json_at(theirs, b), d->buckets[b].b, DIGEST_ENTRY_BYTES))
            some[n++] = b;
        if (n == BUCKETS_A_MESSAGE || (n && b == DIGEST_BUCKETS - 1)) {
            err = exchange_buckets(g, some, n, e);
            n = 0;
        }
    }
    return err;
}

enum err edge_repair(struct edge *g, bool *equal, struct error *e)
{
    struct edge_digests d = {.arena = ARENA_INIT};
    edge_state_set(g, EDGE_COPYING, "");
    enum err err = edge_compare(g, &d, equal, e);
    if (!err && !*equal)
        err = exchange(g, &d, e);
    arena_release(&d.arena);
    return err;
}

/*
 * The city's journal counts from where it was when the session began; what it holds of before comes
 * as states. If this breaks off the part is not noted, and the next session begins again.
 */
enum err edge_copy(struct edge *g, struct error *e)
{
    bool equal = false;
    log_event(LOG_INFO, "edge.copy", LOG_Z("city", g->city), LOG_I("received", g->received));
    g->received = g->city_newest;
    enum err err = edge_repair(g, &equal, e);
    if (err || edge_stopping(g))
        return err;
    err = edge_position_write(g, g->received, e);
    g->copy = err != OK;
    return err;
}
