#include "digest.h"
#include "entity_impl.h"
#include <stdlib.h>

uint64_t digest_id(struct str id)
{
    struct hash h = hash_blake2b(id);
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | h.b[i];
    return v;
}

/* --- what stands beside --- */

struct beside { /* of one entity */
    int64_t eid;
    uint64_t sum; /* of the events: their order does not matter */
};

struct besides {
    VEC(struct beside) v; /* by eid */
};

static enum err read_besides(struct store_conn *c, struct arena *a, struct besides *out,
                             struct error *e)
{
    struct store_rows r;
    struct arena scratch = ARENA_INIT;
    store_query(c, &r,
                "SELECT eid, iri, dataset_uri, hlc, node, others FROM sync_register"
                " WHERE others IS NOT NULL ORDER BY eid",
                SV_EMPTY);
    while (store_next(&r)) {
        int64_t eid = store_int(&r, 0);
        if (!out->v.n || out->v.v[out->v.n - 1].eid != eid)
            vec_push(a, &out->v)->eid = eid;
        struct str others = store_text(&r, 5);
        const struct json *list = json_parse(&scratch, others, &JSON_DEFAULT, NULL);
        for (uint32_t i = 0; list && i < list->n; i++) {
            const struct str fields[] = {store_text(&r, 1),
                                         store_is_null(&r, 2) ? STR_NONE : store_text(&r, 2),
                                         json_text(json_at(json_at(list, i), 0)),
                                         json_text(json_at(json_at(list, i), 1))};
            struct hash h = hash_blake2b_fields(fields, 4);
            uint64_t one;
            memcpy(&one, h.b, sizeof(one));
            out->v.v[out->v.n - 1].sum += one;
        }
        arena_reset(&scratch);
    }
    arena_release(&scratch);
    return store_end(&r, e);
}

static uint64_t beside_of(const struct besides *b, int64_t eid)
{
    size_t low = 0, high = b->v.n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (b->v.v[middle].eid < eid)
            low = middle + 1;
        else
            high = middle;
    }
    return low < b->v.n && b->v.v[low].eid == eid ? b->v.v[low].sum : 0;
}

/* --- one entity --- */

struct line { /* an attribute instance */
    struct str attr, dataset;
    const struct json *instance;
};

static int line_cmp(const void *x, const void *y)
{
    const struct line *a = x, *b = y;
    int by_attr = str_cmp(a->attr, b->attr);
    return by_attr ? by_attr : str_cmp(a->dataset, b->dataset);
}

static struct hash entity_hash(struct arena *a, const struct json *doc, uint64_t beside)
{
    VEC(struct line) lines = VEC_INIT;
    struct buf text = BUF_INIT;
    for (uint32_t i = 0; i < doc->n; i++) {
        struct str iri = json_key(&doc->members[i]);
        const struct json *list = &doc->members[i].value;
        for (uint32_t k = 0; !entity_is_member(iri) && json_is(list, JSON_ARRAY) && k < list->n;
             k++) {
            struct inst in;
            inst_open(&in, &list->items[k]);
            *vec_push(a, &lines) = (struct line){iri, inst_dataset(&in), &list->items[k]};
        }
    }
    if (lines.n > 1)
        qsort(lines.v, lines.n, sizeof(*lines.v), line_cmp);
    buf_str(&text, entity_id(doc));
    json_write(&text, sync_head(a, doc));
    for (size_t i = 0; i < lines.n; i++) {
        json_write_str(&text, lines.v[i].attr);
        json_write(&text, lines.v[i].instance);
    }
    buf_add(&text, &beside, sizeof(beside));
    struct hash h = hash_blake2b(buf_view(&text));
    buf_release(&text);
    return h;
}

/* --- all of them --- */

struct walk {
    struct digest *d;
    struct besides besides;
    struct arena scratch;
    size_t cap;
};

static bool take(void *ctx, const struct entity_row *row, const struct json *stored)
{
    struct walk *w = ctx;
    struct digest *d = w->d;
    if (d->n == w->cap) {
        w->cap = w->cap ? w->cap * 2 : 256;
        d->entries = realloc(d->entries, w->cap * sizeof(*d->entries));
        if (!d->entries)
            abort();
    }
    struct digest_entry *entry = &d->entries[d->n++];
    struct hash h = entity_hash(&w->scratch, stored, beside_of(&w->besides, row->eid));
    entry->id = digest_id(row->id);
    entry->eid = row->eid;
    memcpy(entry->hash, h.b, DIGEST_ENTRY_BYTES);
    arena_reset(&w->scratch);
    return true;
}

static int entry_cmp(const void *x, const void *y)
{
    const struct digest_entry *a = x, *b = y;
    return a->id < b->id ? -1 : a->id > b->id;
}

static void sum_up(struct digest *d)
{
    struct buf text = BUF_INIT;
    size_t at = 0;
    if (d->n > 1)
        qsort(d->entries, d->n, sizeof(*d->entries), entry_cmp);
    for (int b = 0; b < DIGEST_BUCKETS; b++) {
        d->first[b] = at;
        buf_clear(&text);
        for (; at < d->n && (int)(d->entries[at].id >> 56) == b; at++) {
            buf_add(&text, &d->entries[at].id, sizeof(d->entries[at].id));
            buf_add(&text, d->entries[at].hash, DIGEST_ENTRY_BYTES);
        }
        d->buckets[b] = hash_blake2b(buf_view(&text));
    }
    d->first[DIGEST_BUCKETS] = at;
    d->root = hash_blake2b(str_n((const char *)d->buckets, sizeof(d->buckets)));
    buf_release(&text);
}

static enum err make(struct sync *s, struct store_conn *c, int64_t tenant, const struct part *part,
                     int64_t seq, struct digest **out, struct error *e)
{
    struct digest *d = calloc(1, sizeof(*d));
    struct walk w = {.d = d};
    struct repo_result result;
    struct repo_query q = {.query = &part->query,
                           .tenant = tenant,
                           .limit = UINT64_MAX / 2,
                           .clock = s->link->clock};
    if (!d)
        abort();
    d->tenant = tenant;
    d->seq = seq;
    d->key = str_dup(&d->arena, part->key);
    enum err err = read_besides(c, &d->arena, &w.besides, e);
    if (!err)
        err = repo_query(c, &q, take, &w, &result, e);
    arena_release(&w.scratch);
    if (err) {
        digest_free(d);
        return err;
    }
    sum_up(d);
    *out = d;
    return OK;
}

enum err digest_get(struct sync *s, int64_t tenant, const struct part *part,
                    const struct digest **out, struct error *e)
{
    int64_t oldest, newest;
    pthread_mutex_lock(&s->lock);
    struct store_conn *c = store_read(s->link->store, e);
    if (!c)
        return e->code;
    enum err err = journal_range(c, tenant, &oldest, &newest, e);
    const struct digest *old = s->digest;
    bool good = old && old->tenant == tenant && old->seq == newest && str_eq(old->key, part->key);
    if (!err && !good) {
        digest_free(s->digest);
        s->digest = NULL;
        err = make(s, c, tenant, part, newest, &s->digest, e);
    }
    store_read_done(c);
    *out = s->digest;
    return err;
}

void digest_done(struct sync *s)
{
    pthread_mutex_unlock(&s->lock);
}

void digest_free(struct digest *d)
{
    if (!d)
        return;
    free(d->entries);
    arena_release(&d->arena);
    free(d);
}

const struct digest_entry *digest_find(const struct digest *d, uint64_t id)
{
    struct digest_entry key = {.id = id};
    return d->n ? bsearch(&key, d->entries, d->n, sizeof(key), entry_cmp) : NULL;
}

struct str digest_entity(struct store_conn *c, struct arena *a, int64_t eid)
{
    struct store_rows r;
    struct str id = STR_NONE;
    store_query(c, &r, "SELECT id FROM entity WHERE eid = $1", SV(SV_INT(eid)));
    if (store_next(&r))
        id = str_dup(a, store_text(&r, 0));
    return store_end(&r, NULL) ? STR_NONE : id;
}
