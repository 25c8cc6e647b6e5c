#include "digest.h"
#include "core/map.h"
#include "entity_impl.h"
#include "evolution.h"
#include <stdlib.h>

uint64_t digest_id(struct str id)
{
    struct hash h = hash_blake2b(id);
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | h.b[i];
    return v;
}

bool digest_id_read(struct str hex, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < hex.n; i++) {
        char ch = hex.p[i];
        int v = ch >= '0' && ch <= '9' ? ch - '0' : ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
        if (v < 0)
            return false;
        *out = *out << 4 | (unsigned)v;
    }
    return hex.n == 16;
}

/* --- what stands beside --- */

struct beside { /* of one entity */
    int64_t eid;
    uint64_t sum; /* of the events: their order does not matter */
};

struct besides {
    VEC(struct beside) v; /* by eid */
};

/* Of one entity, or (eid 0) of all. */
static enum err read_besides(struct store_conn *c, struct arena *a, int64_t of, struct besides *out,
                             struct error *e)
{
    struct store_rows r;
    struct arena scratch = ARENA_INIT;
    store_query(c, &r,
                "SELECT eid, iri, dataset_uri, hlc, node, others FROM sync_register"
                " WHERE others IS NOT NULL AND eid >= $1 AND eid <= $2 ORDER BY eid",
                SV(SV_INT(of), SV_INT(of ? of : INT64_MAX)));
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
    struct store_conn *c;
    struct digest *d;
    const struct part *part;
    struct arena arena; /* of the next two */
    struct besides besides;
    struct recent_traces recent;
    struct arena scratch;
    size_t cap;
    enum err err;
    struct error *e;
};

static void push_entry(struct walk *w, const struct digest_entry *entry)
{
    struct digest *d = w->d;
    if (d->n == w->cap) {
        w->cap = w->cap ? w->cap * 2 : 256;
        d->entries = realloc(d->entries, w->cap * sizeof(*d->entries));
        if (!d->entries)
            abort();
    }
    d->entries[d->n++] = *entry;
}

/* doc NULL: it is gone. */
static enum err add_entity(struct walk *w, int64_t eid, struct str id, const struct json *doc,
                           uint64_t beside)
{
    struct digest_entry entry = {.id = digest_id(id), .eid = eid};
    enum err err =
        evolution_sum(w->c, &w->scratch, eid, w->d->since, &w->recent, &entry.past, w->e);
    if (doc) {
        struct hash h = entity_hash(&w->scratch, doc, beside);
        memcpy(entry.hash, h.b, DIGEST_ENTRY_BYTES);
    }
    if (!err && (doc || entry.past))
        push_entry(w, &entry);
    return err;
}

static bool take(void *ctx, const struct entity_row *row, const struct json *stored)
{
    struct walk *w = ctx;
    w->err = add_entity(w, row->eid, row->id, stored, beside_of(&w->besides, row->eid));
    arena_reset(&w->scratch);
    return w->err == OK;
}

/* Is an entity that is gone of the part? */
static enum err gone_holds(struct walk *w, int64_t eid, struct str id, bool *holds)
{
    const struct json *types = NULL;
    *holds = part_all(w->part);
    if (*holds || w->part->scope.n || w->part->area.n)
        return OK;
    enum err err = evolution_types(w->c, &w->scratch, eid, &types, w->e);
    if (err || !types)
        return err;
    struct json_member m[] = {json_m(S("id"), json_v_str(id)), json_m(S("type"), *types)};
    struct json alone = json_v_object(m, 2);
    *holds = part_holds(w->part, &alone);
    return OK;
}

static enum err add_gone(struct walk *w, int64_t eid, struct str id)
{
    bool holds = false;
    enum err err = gone_holds(w, eid, id, &holds);
    return err || !holds ? err : add_entity(w, eid, id, NULL, 0);
}

static enum err walk_gone(struct walk *w)
{
    enum { PAGE = 500 };
    int64_t after = 0;
    size_t n = PAGE;
    while (w->d->since != EVOLUTION_NONE && n == PAGE) {
        struct store_rows r;
        int64_t eids[PAGE];
        struct str ids[PAGE];
        n = 0;
        store_query(w->c, &r,
                    "SELECT eid, id FROM entity WHERE tenant = $1 AND doc IS NULL AND eid > $2"
                    " ORDER BY eid LIMIT $3",
                    SV(SV_INT(w->d->tenant), SV_INT(after), SV_INT(PAGE)));
        while (store_next(&r) && n < PAGE) {
            eids[n] = store_int(&r, 0);
            ids[n++] = str_dup(&w->scratch, store_text(&r, 1));
        }
        enum err err = store_end(&r, w->e);
        for (size_t i = 0; !err && i < n; i++)
            err = add_gone(w, eids[i], ids[i]);
        if (err)
            return err;
        after = n ? eids[n - 1] : after;
        arena_reset(&w->scratch);
    }
    return OK;
}

static int entry_cmp(const void *x, const void *y)
{
    const struct digest_entry *a = x, *b = y;
    return a->id < b->id ? -1 : a->id > b->id;
}

static bool is_present(const struct digest_entry *entry)
{
    static const unsigned char none[DIGEST_ENTRY_BYTES];
    return memcmp(entry->hash, none, sizeof(none)) != 0;
}

static void add_number(struct buf *b, uint64_t v)
{
    for (int shift = 56; shift >= 0; shift -= 8)
        buf_char(b, (char)(v >> shift));
}

static void sum_up(struct digest *d)
{
    struct buf text = BUF_INIT, states = BUF_INIT;
    size_t at = 0;
    d->present = 0;
    if (d->n > 1)
        qsort(d->entries, d->n, sizeof(*d->entries), entry_cmp);
    BUF_LIT(&states, "");
    for (int b = 0; b < DIGEST_BUCKETS; b++) {
        d->first[b] = at;
        buf_clear(&text);
        for (; at < d->n && (int)(d->entries[at].id >> 56) == b; at++) {
            const struct digest_entry *entry = &d->entries[at];
            add_number(&text, entry->id);
            buf_add(&text, entry->hash, DIGEST_ENTRY_BYTES);
            add_number(&text, entry->past);
            if (!is_present(entry))
                continue;
            d->present++;
            add_number(&states, entry->id);
            buf_add(&states, entry->hash, DIGEST_ENTRY_BYTES);
        }
        d->buckets[b] = hash_blake2b(buf_view(&text));
    }
    d->first[DIGEST_BUCKETS] = at;
    d->root = hash_blake2b(str_n((const char *)d->buckets, sizeof(d->buckets)));
    d->states = hash_blake2b(buf_view(&states));
    buf_release(&text);
    buf_release(&states);
}

static void walk_release(struct walk *w)
{
    arena_release(&w->scratch);
    arena_release(&w->arena);
}

static void free_digest(struct digest *d)
{
    if (!d)
        return;
    free(d->entries);
    arena_release(&d->arena);
    free(d);
}

static enum err make(struct sync *s, struct store_conn *c, int64_t tenant, const struct part *part,
                     int64_t since, int64_t seq, struct digest **out, struct error *e)
{
    struct digest *d = calloc(1, sizeof(*d));
    struct walk w = {.c = c, .d = d, .part = part, .e = e};
    struct repo_result result;
    struct repo_query q = {.query = &part->query,
                           .tenant = tenant,
                           .limit = UINT64_MAX / 2,
                           .clock = s->link->clock};
    if (!d)
        abort();
    d->tenant = tenant;
    d->seq = seq;
    d->since = since;
    d->key = str_dup(&d->arena, part->key);
    enum err err = read_besides(c, &w.arena, 0, &w.besides, e);
    if (!err && since != EVOLUTION_NONE)
        err = evolution_recent(c, &w.arena, since, &w.recent, e);
    if (!err)
        err = repo_query(c, &q, take, &w, &result, e);
    if (!err)
        err = w.err;
    if (!err)
        err = walk_gone(&w);
    walk_release(&w);
    if (err) {
        free_digest(d);
        return err;
    }
    sum_up(d);
    *out = d;
    return OK;
}

/* --- what changed since --- */

enum { CATCH_UP_ROWS = 20000 };

struct changed {
    struct arena arena;
    struct map ids;
};

static bool note_key(void *ctx, const struct journal_row *row)
{
    struct changed *k = ctx;
    bool ours = str_eq(row->topic, S("entity")) || str_eq(row->topic, S("sync")) ||
                str_eq(row->topic, S("history")) || str_eq(row->topic, S("evolution"));
    if (ours && !map_get(&k->ids, row->key))
        map_put(&k->ids, str_dup(&k->arena, row->key), k);
    return true;
}

static enum err add_again(struct walk *w, int64_t tenant, struct str id)
{
    struct entity_row row;
    struct besides besides = {.v = VEC_INIT};
    struct error why;
    enum err err = repo_get(w->c, &w->scratch, tenant, id, &row, &why);
    if (err && err != ERR_NOT_FOUND)
        return error_set(w->e, err, "%s", why.text);
    if (!row.eid)
        return OK;
    const struct json *doc =
        row.doc.p ? json_parse(&w->scratch, row.doc, &JSON_DEFAULT, NULL) : NULL;
    if (!doc)
        return add_gone(w, row.eid, id);
    if (!part_all(w->part) && !part_holds(w->part, doc))
        return OK;
    err = read_besides(w->c, &w->scratch, row.eid, &besides, w->e);
    return err ? err : add_entity(w, row.eid, id, doc, beside_of(&besides, row.eid));
}

static enum err read_again(struct walk *w, const struct changed *k)
{
    struct map_iter it = {0};
    size_t kept = 0;
    struct map hashes = MAP_INIT;
    enum err err = OK;
    while (map_next(&k->ids, &it)) {
        uint64_t id = digest_id(it.key);
        map_put(&hashes, str_dup(&w->arena, str_n((const char *)&id, sizeof(id))), w);
    }
    for (size_t i = 0; i < w->d->n; i++) {
        const struct digest_entry *entry = &w->d->entries[i];
        if (!map_get(&hashes, str_n((const char *)&entry->id, sizeof(entry->id))))
            w->d->entries[kept++] = *entry;
    }
    w->cap = w->d->n;
    w->d->n = kept;
    it = (struct map_iter){0};
    while (!err && map_next(&k->ids, &it)) {
        err = add_again(w, w->d->tenant, it.key);
        arena_reset(&w->scratch);
    }
    map_release(&hashes);
    return err;
}

/* ERR_NOT_FOUND: it must be made anew, as after any other error. */
static enum err catch_up(struct store_conn *c, struct digest *d, const struct part *part,
                         int64_t newest, struct error *e)
{
    struct changed k = {.ids = MAP_INIT};
    struct walk w = {.c = c, .d = d, .part = part, .e = e};
    if (newest < d->seq || newest - d->seq > CATCH_UP_ROWS)
        return ERR_NOT_FOUND;
    enum err err = journal_read(c, d->tenant, d->seq, CATCH_UP_ROWS, note_key, &k, e);
    if (!err && d->since != EVOLUTION_NONE)
        err = evolution_recent(c, &w.arena, d->since, &w.recent, e);
    if (!err)
        err = read_again(&w, &k);
    walk_release(&w);
    map_release(&k.ids);
    arena_release(&k.arena);
    if (err)
        return err;
    d->seq = newest;
    sum_up(d);
    return OK;
}

/* --- those that are kept --- */

static struct digest **kept_slot(struct sync *s, int64_t tenant, const struct part *part,
                                 int64_t since)
{
    struct digest **oldest = &s->digests[0];
    for (int i = 0; i < SYNC_DIGESTS; i++) {
        struct digest *d = s->digests[i];
        if (d && d->tenant == tenant && d->since == since && str_eq(d->key, part->key))
            return &s->digests[i];
        if (*oldest && (!d || d->used < (*oldest)->used))
            oldest = &s->digests[i];
    }
    free_digest(*oldest);
    *oldest = NULL;
    return oldest;
}

enum err digest_get(struct sync *s, int64_t tenant, const struct part *part, int64_t since,
                    const struct digest **out, struct error *e)
{
    int64_t oldest, newest;
    pthread_mutex_lock(&s->lock);
    *out = NULL;
    struct store_conn *c = store_read(s->link->store, e);
    if (!c)
        return e->code;
    struct digest **slot = kept_slot(s, tenant, part, since);
    enum err err = journal_range(c, tenant, &oldest, &newest, e);
    if (!err && *slot && (*slot)->seq != newest && catch_up(c, *slot, part, newest, e)) {
        free_digest(*slot);
        *slot = NULL;
    }
    if (!err && !*slot)
        err = make(s, c, tenant, part, since, newest, slot, e);
    store_read_done(c);
    if (*slot)
        (*slot)->used = ++s->digests_used;
    *out = *slot;
    return err;
}

void digest_done(struct sync *s)
{
    pthread_mutex_unlock(&s->lock);
}

void digest_forget(struct sync *s)
{
    for (int i = 0; i < SYNC_DIGESTS; i++) {
        free_digest(s->digests[i]);
        s->digests[i] = NULL;
    }
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
