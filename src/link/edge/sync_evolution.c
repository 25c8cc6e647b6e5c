/*
 * What a city answers to a node that compares evolution (evolution.h):
 *
 *     {"since": us, "bytes": n, parts of the node,
 *      "rows": [...]?                                          traces for the city
 *      "sums": [{"i": hash of the id}, ...]?                   sums by the hour are wanted
 *      "ranges": [{"i", "from", "to", "have": hashes}, ...]?   traces in [from, to) that are not
 *                                                              among these are wanted
 *
 *     {"node", "newest": journal row as of these traces, "rows": [...],
 *      "sums": [{"i", "hours": [[from, sum], ...]}, ...],
 *      "ranges": [{"i", "upto": as far as it was answered, "want": hashes not known here}, ...]}
 *
 * "i" is as in a digest, "id" stands beside it where the node knows the id. Ranges are answered in
 * their order until "bytes" are written: those after are given back with "upto" as "from".
 */
#include "core/map.h"
#include "crypto/hash.h"
#include "digest.h"
#include "evolution.h"
#include "sync_call.h"

enum { ENTITIES_MAX = 256 };

struct asking {
    struct call *call;
    struct store_conn *conn;
    int64_t since;
    size_t max_bytes;
    struct map rows_of; /* number of an entity by its hash, where no id was given */
    struct buf rows;
    struct json_writer w; /* of the answer */
};

struct subject { /* which entity is meant */
    struct str hash, id;
    int64_t eid; /* 0: it is not known */
};

/* Before a reader is taken: a digest takes one itself. */
static enum err find_rows(struct asking *k, const struct json *list, struct error *e)
{
    struct call *c = k->call;
    const struct digest *d;
    if (!json_is(list, JSON_ARRAY) || !list->n)
        return OK;
    enum err err = digest_get(c->sync, c->tenant, &c->part, k->since, &d, e);
    for (uint32_t i = 0; !err && i < list->n; i++) {
        uint64_t hash;
        const struct json *v = &list->items[i];
        struct str text = json_text(json_get(v, S("i")));
        const struct digest_entry *entry =
            !json_get(v, S("id")) && digest_id_read(text, &hash) ? digest_find(d, hash) : NULL;
        if (entry)
            map_put(&k->rows_of, text, (void *)(uintptr_t)entry->eid);
    }
    digest_done(c->sync);
    return err;
}

static enum err subject_of(struct asking *k, const struct json *v, struct subject *out,
                           struct error *e)
{
    struct call *c = k->call;
    struct entity_row row;
    struct error why;
    uint64_t hash;
    *out = (struct subject){.hash = json_text(json_get(v, S("i"))),
                            .id = json_text(json_get(v, S("id")))};
    if (!digest_id_read(out->hash, &hash))
        return error_set(e, ERR_INVALID, "i: the hash of an id is needed");
    if (!out->id.n) {
        out->eid = (int64_t)(uintptr_t)map_get(&k->rows_of, out->hash);
        if (out->eid)
            out->id = digest_entity(k->conn, c->arena, out->eid);
        return OK;
    }
    enum err err = repo_get(k->conn, c->arena, c->tenant, out->id, &row, &why);
    out->eid = row.eid;
    return err && err != ERR_NOT_FOUND ? error_set(e, err, "%s", why.text) : OK;
}

static enum err answer_sums(struct asking *k, const struct json *list, struct error *e)
{
    struct call *c = k->call;
    enum err err = OK;
    json_w_key(&k->w, S("sums"));
    json_w_array(&k->w);
    for (uint32_t i = 0; !err && json_is(list, JSON_ARRAY) && i < list->n; i++) {
        struct hour_sums sums = {.v = VEC_INIT};
        struct subject of;
        err = subject_of(k, &list->items[i], &of, e);
        if (!err && of.eid)
            err = evolution_hours(k->conn, c->arena, of.eid, k->since, &sums, e);
        json_w_object(&k->w);
        json_w_kstr(&k->w, S("i"), of.hash);
        json_w_key(&k->w, S("hours"));
        json_w_array(&k->w);
        for (size_t n = 0; n < sums.v.n; n++) {
            json_w_array(&k->w);
            json_w_i64(&k->w, sums.v.v[n].from);
            json_w_str(&k->w, str_printf(c->arena, "%016llx", (unsigned long long)sums.v.v[n].sum));
            json_w_end(&k->w);
        }
        json_w_end(&k->w);
        json_w_end(&k->w);
    }
    json_w_end(&k->w);
    return err;
}

/* Those of `have` that are not ours. */
static struct str missing(struct arena *a, const struct trace_set *have,
                          const struct trace_set *own)
{
    struct trace_set out = {.v = VEC_INIT};
    for (size_t i = 0; i < have->v.n; i++)
        if (!trace_set_has(own, have->v.v[i]))
            *vec_push(a, &out.v) = have->v.v[i];
    return trace_set_text(a, &out);
}

static enum err answer_range(struct asking *k, const struct json *v, struct error *e)
{
    struct call *c = k->call;
    struct trace_set have = {.v = VEC_INIT}, own = {.v = VEC_INIT};
    struct subject of;
    int64_t from, to, upto;
    size_t n;
    if (!json_i64(json_get(v, S("from")), &from) || !json_i64(json_get(v, S("to")), &to) ||
        from < k->since || to < from ||
        !trace_set_read(c->arena, json_text(json_get(v, S("have"))), &have))
        return error_set(e, ERR_INVALID, "a range needs from, to and hashes");
    upto = from;
    enum err err = subject_of(k, v, &of, e);
    struct str want = S("");
    if (!err && k->rows.n <= k->max_bytes) {
        if (of.eid)
            err = evolution_hashes(k->conn, c->arena, of.eid, from, to, &own, e);
        want = missing(c->arena, &have, &own);
        upto = to;
        if (!err && of.eid)
            err = evolution_write(k->conn, of.eid, of.id, from, to, &have, false,
                                  k->max_bytes - k->rows.n, &k->rows, &upto, &n, e);
    }
    json_w_object(&k->w);
    json_w_kstr(&k->w, S("i"), of.hash);
    json_w_ki64(&k->w, S("upto"), upto);
    json_w_kstr(&k->w, S("want"), want);
    json_w_end(&k->w);
    return err;
}

static enum err answer_all(struct asking *k, struct error *e)
{
    struct call *c = k->call;
    const struct json *ranges = json_get(c->body, S("ranges")),
                      *sums = json_get(c->body, S("sums"));
    int64_t oldest, newest;
    if ((json_is(ranges, JSON_ARRAY) && ranges->n > ENTITIES_MAX) ||
        (json_is(sums, JSON_ARRAY) && sums->n > ENTITIES_MAX))
        return error_set(e, ERR_INVALID, "at most %d entities at once", (int)ENTITIES_MAX);
    enum err err = journal_range(k->conn, c->tenant, &oldest, &newest, e);
    json_w_object(&k->w);
    json_w_kstr(&k->w, S("node"), sync_node(c->sync));
    json_w_ki64(&k->w, S("newest"), newest);
    if (!err)
        err = answer_sums(k, sums, e);
    json_w_key(&k->w, S("ranges"));
    json_w_array(&k->w);
    for (uint32_t i = 0; !err && json_is(ranges, JSON_ARRAY) && i < ranges->n; i++)
        err = answer_range(k, &ranges->items[i], e);
    json_w_end(&k->w);
    json_w_end(&k->w);
    return err;
}

static enum err exchange_evolution(struct call *c, struct error *e)
{
    struct evolution_list given;
    struct buf b = BUF_INIT;
    struct asking k = {.call = c, .w = json_writer(&b), .max_bytes = SYNC_BYTES_DEFAULT};
    int64_t bytes;
    size_t news;
    if (json_i64(json_get(c->body, S("bytes")), &bytes) && bytes > 0 && bytes <= SYNC_BYTES_MAX)
        k.max_bytes = (size_t)bytes;
    enum err err = evolution_read(c->arena, json_get(c->body, S("rows")), &given, e);
    if (!err)
        err = evolution_take(c->sync, c->tenant, &given, c->node, &news, e);
    if (err)
        return err;
    err = call_since(c, &k.since, e);
    if (!err)
        err = find_rows(&k, json_get(c->body, S("sums")), e);
    if (!err)
        err = find_rows(&k, json_get(c->body, S("ranges")), e);
    if (!err && !(k.conn = store_read(c->sync->link->store, e)))
        err = e->code;
    if (!err)
        err = answer_all(&k, e);
    if (k.conn)
        store_read_done(k.conn);
    map_release(&k.rows_of);
    if (!err) {
        b.n--; /* the end of the object comes later */
        BUF_LIT(&b, ",\"rows\":[");
        buf_str(&b, buf_view(&k.rows));
        BUF_LIT(&b, "]}");
        call_answer_packed(c, &b);
    } else {
        buf_release(&b);
    }
    buf_release(&k.rows);
    return err;
}

enum http_answer post_evolution(struct request *req, struct response *res, void *ctx)
{
    return call_of_node(req, res, ctx, exchange_evolution);
}
