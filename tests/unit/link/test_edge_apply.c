/*
 * Nodes with stores of their own: a city and two edges whose clocks are hours apart, and jump,
 * write at random, also evolution as such, exchange parts of their journals at random, repeat and
 * go back, and lose parts of the past. In the end digests, which cover evolution, are equal, and
 * each value that was written is in every history once.
 */
#include <stdlib.h>
#include <string.h>

#include "../store/fixture.h"
#include "core/datetime.h"
#include "digest.h"
#include "evolution.h"
#include "feed.h"
#include "history_impl.h"
#include "link/ops.h"

enum { NODES = 3, CITY = 0, ENTITIES = 4, ROUNDS = 120 };

struct node {
    void *fixture;
    struct store *store;
    struct link link;
    struct clock_fake clock;
    int64_t pushed; /* of an edge's journal at the city */
    int64_t pulled; /* of the city's journal at an edge */
};

struct world {
    struct node nodes[NODES];
    struct arena arena;
    size_t values;    /* written so far: values are 1, 2, 3 ... */
    VEC(size_t) gone; /* those whose instance was corrected or deleted */
};

static uint64_t seed;

static uint32_t any(uint32_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(seed >> 33) % below;
}

static const int64_t skews[NODES] = {0, 7 * HOUR_US, -9 * HOUR_US};

static int make_world(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct error e = {0};
    for (int i = 0; i < NODES; i++) {
        struct node *n = &w->nodes[i];
        fixture_new(&n->fixture);
        n->clock = clock_fake_at(INT64_C(1700000000) * SECOND_US + skews[i]);
        struct fixture *f = n->fixture;
        if (store_open(&n->store, &f->options, &n->clock.base, &link_module, 1, &e))
            fail_msg("%s", e.text);
        struct config_bind binds[] = {{&link_config, &n->link.options},
                                      {&edge_config, &n->link.edge}};
        config_defaults(&binds[0]);
        config_defaults(&binds[1]);
        n->link.store = n->store;
        n->link.clock = &n->clock.base;
        n->link.sync = sync_new(&n->link, &e);
        assert_non_null(n->link.sync);
        assert_int_equal(sync_begin(n->link.sync, &e), OK);
    }
    *state = w;
    return 0;
}

static int drop_world(void **state)
{
    struct world *w = *state;
    int rc = 0;
    for (int i = 0; i < NODES; i++) {
        sync_free(w->nodes[i].link.sync);
        store_close(w->nodes[i].store);
        rc |= fixture_free(&w->nodes[i].fixture);
    }
    arena_release(&w->arena);
    free(w);
    return rc;
}

/* --- writing --- */

static const struct json *lab_json(struct world *w, struct str text)
{
    char *p = arena_dup(&w->arena, text.p, text.n);
    for (char *s = p; *s; s++)
        if (*s == '\'')
            *s = '"';
    struct error e;
    const struct json *v = json_parse(&w->arena, str_c(p), &JSON_DEFAULT, &e);
    if (!v)
        fail_msg("%s: %s", e.text, p);
    return v;
}

static enum err write_op(struct world *w, struct node *n, struct op *op)
{
    struct error e = {0};
    struct ops ops = {.arena = &w->arena, .ops = op, .n = 1};
    assert_int_equal(ops_run(&n->link, &ops, &e), OK);
    return op->result;
}

static enum err put(struct world *w, struct node *n, const char *id, const char *text)
{
    struct error e = {0};
    struct str whole = str_printf(&w->arena, "{'id':'%s','type':'T',%s}", id, text);
    const struct json *in =
        entity_expand(&w->arena, lab_json(w, whole), ENTITY_WHOLE, false, ld_core(), &e);
    if (!in)
        fail_msg("%s", e.text);
    struct op op = {.kind = OP_UPSERT_UPDATE, .id = str_c(id), .input = in};
    return write_op(w, n, &op);
}

static struct str iri(struct world *w, const char *name)
{
    return ld_expand(ld_core(), &w->arena, str_c(name));
}

/* --- evolution --- */

struct lore {
    struct world *w;
    struct node *n;
    int64_t eid;
    struct str id;
    uint32_t pick, seen; /* which instance, of those that are there */
    struct past_change x;
    const struct json *instance; /* NULL: delete */
    size_t value;                /* of the one that is changed */
};

static bool take_instance(void *ctx, const struct history_row *row)
{
    struct lore *l = ctx;
    if (history_is_deletion(row->instance) || l->seen++ != l->pick)
        return true;
    l->x.attr = str_dup(&l->w->arena, row->attr);
    l->x.seq = row->seq;
    l->x.dataset = row->dataset;
    l->value = row->is_number ? (size_t)row->number : 0;
    return true;
}

static enum err change_lore(struct store_conn *c, void *ctx, struct error *e)
{
    struct lore *l = ctx;
    int64_t now = clock_now(&l->n->clock.base);
    struct json type = json_v_str(S("https://uri.etsi.org/ngsi-ld/default-context/T"));
    struct json types = json_v_array(&type, 1);
    enum err err = history_eid(c, &l->w->arena, 1, l->id, &types, true, now, &l->x.eid, e);
    l->x.now = now;
    if (err)
        return err;
    return l->instance ? past_put(c, &l->w->arena, &l->x, l->instance, e)
                       : past_drop(c, &l->w->arena, &l->x, e);
}

/* Adds an instance to the evolution, or corrects or deletes one of those that are there. */
static void write_lore(struct world *w, struct node *n)
{
    struct error e = {0};
    struct entity_row row;
    struct history_cut cut;
    struct history_query q = {.max = 1000000};
    struct lore l = {.w = w,
                     .n = n,
                     .id = str_printf(&w->arena, "urn:x:%u", any(ENTITIES)),
                     .x = {.sync = n->link.sync, .tenant = 1}};
    l.x.id = l.id;
    l.x.attr = iri(w, any(2) ? "a" : "b");
    uint32_t dice = any(4);
    struct store_conn *c = store_read(n->store, &e);
    repo_get(c, &w->arena, 1, l.id, &row, NULL);
    if (dice && row.eid) {
        l.pick = any(6);
        assert_int_equal(history_read(c, row.eid, &q, take_instance, &l, &cut, &e), OK);
    }
    store_read_done(c);
    if (dice && !l.x.seq)
        return;
    char at[DATETIME_MAX];
    datetime_format(clock_now(&n->clock.base), at);
    if (dice < 3)
        l.instance =
            lab_json(w, str_printf(&w->arena,
                                   "{'type':'Property','value':'past %u','observedAt':"
                                   "'2023-11-%02uT%02u:30:00Z','createdAt':'%s','modifiedAt':'%s'}",
                                   any(1000), 10 + any(5), any(24), at, at));
    enum err err = store_write(n->store, change_lore, &l, &e);
    if (err && err != ERR_NOT_FOUND)
        fail_msg("%s", e.text);
    *vec_push(&w->arena, &w->gone) = l.value;
}

static bool is_gone(const struct world *w, size_t value)
{
    for (size_t i = 0; i < w->gone.n; i++)
        if (w->gone.v[i] == value)
            return true;
    return false;
}

/* --- changes --- */

static void write_any(struct world *w, struct node *n)
{
    if (any(4) == 0) {
        write_lore(w, n);
        return;
    }
    static const char *const names[] = {"a", "b"};
    struct str id = str_printf(&w->arena, "urn:x:%u", any(ENTITIES));
    const char *attr = names[any(2)];
    uint32_t dice = any(12);
    struct op op = {.kind = dice ? OP_DELETE_ATTR : OP_DELETE, .id = id, .attr = iri(w, attr)};
    if (dice < 2) {
        write_op(w, n, &op);
        return;
    }
    struct str observed = STR_NONE;
    if (any(3) == 0)
        observed = str_printf(&w->arena, ",'observedAt':'2023-11-14T%02u:00:00Z'", any(24));
    struct str text = str_printf(&w->arena, "'%s':{'type':'Property','value':%zu%" STR_F "}", attr,
                                 ++w->values, STR_A(observed));
    assert_int_equal(put(w, n, id.p, text.p), OK);
}

/* --- exchanging --- */

static struct str message(struct world *w, struct node *from, int64_t after, struct str to,
                          const struct part *part, size_t bytes, int64_t *upto)
{
    struct error e = {0};
    struct buf b = BUF_INIT;
    struct feed f = {.sync = from->link.sync,
                     .tenant = 1,
                     .after = after,
                     .to = to,
                     .part = part,
                     .max_bytes = bytes};
    struct store_conn *c = store_read(from->store, &e);
    assert_non_null(c);
    if (feed_read(&f, c, &b, &e))
        fail_msg("%s", e.text);
    store_read_done(c);
    *upto = f.upto;
    struct str text = buf_dup(&b, &w->arena);
    buf_release(&b);
    return text;
}

static void deliver(struct world *w, struct node *to, struct str text)
{
    struct error e = {0};
    struct feed_message m;
    const struct json *v = json_parse(&w->arena, text, &JSON_DEFAULT, &e);
    if (!v || feed_parse(&w->arena, v, &m, &e) || feed_take(to->link.sync, 1, &m, &e))
        fail_msg("%s", e.text);
}

static bool push(struct world *w, struct node *n, size_t bytes)
{
    int64_t upto;
    struct str text = message(w, n, n->pushed, STR_NONE, NULL, bytes, &upto);
    bool moved = upto > n->pushed;
    deliver(w, &w->nodes[CITY], text);
    if (any(4) == 0)
        deliver(w, &w->nodes[CITY], text); /* the answer was lost */
    n->pushed = any(5) ? upto : n->pushed;
    return moved;
}

static bool pull(struct world *w, struct node *n, size_t bytes)
{
    int64_t upto;
    struct str text =
        message(w, &w->nodes[CITY], n->pulled, sync_node(n->link.sync), NULL, bytes, &upto);
    bool moved = upto > n->pulled;
    deliver(w, n, text);
    n->pulled = any(5) ? upto : n->pulled / 2; /* as after a restore */
    return moved;
}

static void settle(struct world *w)
{
    for (bool moved = true; moved;) {
        moved = false;
        for (int i = 1; i < NODES; i++) {
            moved |= push(w, &w->nodes[i], 1 << 20);
            moved |= pull(w, &w->nodes[i], 1 << 20);
        }
    }
}

/* From before all that is written, so that all of it is compared. */
static const int64_t since = INT64_C(1690000000) * SECOND_US;

static struct str digest_of(struct world *w, struct node *n)
{
    struct error e = {0};
    struct part part;
    const struct digest *d;
    assert_int_equal(part_read(&w->arena, STR_NONE, STR_NONE, STR_NONE, &part, &e), OK);
    if (digest_get(n->link.sync, 1, &part, since, &d, &e))
        fail_msg("%s", e.text);
    struct str text = hex_encode(&w->arena, str_n((const char *)d->root.b, HASH_BYTES));
    digest_done(n->link.sync);
    return text;
}

static void assert_together(struct world *w, uint64_t of)
{
    struct str first = digest_of(w, &w->nodes[CITY]);
    for (int i = 1; i < NODES; i++)
        if (!str_eq(digest_of(w, &w->nodes[i]), first))
            fail_msg("seed %llu: node %d differs", (unsigned long long)of, i);
}

/* --- the past, when rows of the journal do not carry it --- */

static enum err lose_rows(struct store_conn *c, void *ctx, struct error *e)
{
    (void)ctx;
    enum err err = history_settle(c, e);
    return err ? err
               : store_exec(c,
                            "DELETE FROM hist WHERE seq % 3 = 0 AND value NOT LIKE"
                            " '{\"type\":\"deleted\"%' AND NOT EXISTS (SELECT 1 FROM sync_past p"
                            " WHERE p.eid = hist.eid AND p.attr = hist.attr AND"
                            " p.dataset = hist.dataset AND p.seq = hist.seq)",
                            SV_EMPTY, NULL, e);
}

/* Traces of all entities that `to` has not got, in small messages. */
static void give_traces(struct world *w, struct node *from, struct node *to)
{
    struct error e = {0};
    for (int i = 0; i < ENTITIES; i++) {
        struct entity_row here, there;
        struct trace_set have = {.v = VEC_INIT};
        struct str id = str_printf(&w->arena, "urn:x:%d", i);
        struct store_conn *c = store_read(to->store, &e);
        repo_get(c, &w->arena, 1, id, &there, NULL);
        if (there.eid)
            assert_int_equal(evolution_hashes(c, &w->arena, there.eid, since, INT64_MAX, &have, &e),
                             OK);
        store_read_done(c);
        for (int64_t at = since; at < INT64_MAX;) {
            struct buf b = BUF_INIT;
            struct evolution_list list;
            size_t n = 0, news;
            c = store_read(from->store, &e);
            repo_get(c, &w->arena, 1, id, &here, NULL);
            int64_t upto = INT64_MAX;
            BUF_LIT(&b, "[");
            if (here.eid && evolution_write(c, here.eid, id, at, INT64_MAX, &have, false, 300, &b,
                                            &upto, &n, &e))
                fail_msg("%s", e.text);
            store_read_done(c);
            BUF_LIT(&b, "]");
            const struct json *v = json_parse(&w->arena, buf_dup(&b, &w->arena), &JSON_DEFAULT, &e);
            if (!v || evolution_read(&w->arena, v, &list, &e) ||
                evolution_take(to->link.sync, 1, &list, sync_node(from->link.sync), &news, &e))
                fail_msg("%s", e.text);
            assert_true(upto > at);
            at = upto;
            buf_release(&b);
        }
    }
}

static void mend_past(struct world *w)
{
    for (int round = 0; round < 2; round++)
        for (int i = 1; i < NODES; i++) {
            give_traces(w, &w->nodes[i], &w->nodes[CITY]);
            give_traces(w, &w->nodes[CITY], &w->nodes[i]);
        }
}

/* --- histories --- */

struct counting {
    unsigned *seen;
};

static bool count_value(void *ctx, const struct history_row *row)
{
    struct counting *k = ctx;
    if (row->is_number)
        k->seen[(size_t)row->number]++;
    return true;
}

static unsigned *histories(struct world *w, struct node *n)
{
    struct error e = {0};
    struct counting k = {ARENA_ARRAY(&w->arena, unsigned, w->values + 1)};
    struct history_query q = {.max = 1000000};
    struct store_conn *c = store_read(n->store, &e);
    for (int i = 0; i < ENTITIES; i++) {
        struct entity_row row;
        struct history_cut cut;
        repo_get(c, &w->arena, 1, str_printf(&w->arena, "urn:x:%d", i), &row, NULL);
        if (row.eid && history_read(c, row.eid, &q, count_value, &k, &cut, &e))
            fail_msg("%s", e.text);
    }
    store_read_done(c);
    return k.seen;
}

/* --- tests --- */

static void random_partitions(void **state)
{
    struct world *w = *state;
    for (uint64_t s = 1; s <= 6; s++) {
        seed = s;
        for (int round = 0; round < ROUNDS; round++) {
            struct node *n = &w->nodes[any(NODES)];
            for (int i = 0; i < NODES; i++)
                clock_fake_move(&w->nodes[i].clock, SECOND_US);
            if (any(20) == 0) /* somebody sets a clock */
                clock_fake_move(&n->clock, ((int64_t)any(121) - 60) * MINUTE_US);
            if (any(4))
                write_any(w, n);
            else if (n != &w->nodes[CITY] && any(2))
                push(w, n, any(2) ? 300 : 1 << 20);
            else if (n != &w->nodes[CITY])
                pull(w, n, any(2) ? 300 : 1 << 20);
        }
        settle(w);
        assert_together(w, s);
        struct str before = digest_of(w, &w->nodes[CITY]);
        struct error e = {0};
        struct node *loser = &w->nodes[any(NODES)];
        assert_int_equal(store_write(loser->store, lose_rows, NULL, &e), OK);
        digest_forget(loser->link.sync);
        mend_past(w);
        settle(w);
        assert_together(w, s);
        assert_true(str_eq(before, digest_of(w, loser)));
        for (int i = 0; i < NODES; i++) { /* what is kept is what is worked out anew */
            struct str kept = digest_of(w, &w->nodes[i]);
            digest_forget(w->nodes[i].link.sync);
            assert_true(str_eq(kept, digest_of(w, &w->nodes[i])));
        }
        for (int i = 0; i < NODES; i++) {
            const unsigned *seen = histories(w, &w->nodes[i]);
            for (size_t v = 1; v <= w->values; v++)
                if (!seen[v] && !is_gone(w, v))
                    fail_msg("seed %llu: node %d never saw %zu", (unsigned long long)s, i, v);
        }
    }
}

static const char *value_of(struct world *w, struct node *n, const char *id, const char *attr)
{
    struct error e = {0};
    struct entity_row row;
    struct store_conn *c = store_read(n->store, &e);
    enum err err = repo_get(c, &w->arena, 1, str_c(id), &row, &e);
    store_read_done(c);
    if (err)
        return "no entity";
    const struct json *doc = json_parse(&w->arena, row.doc, &JSON_DEFAULT, NULL);
    const struct json *v = instance_value(instance_default(entity_attr(doc, iri(w, attr))));
    return v ? json_to_text(&w->arena, v).p : "nothing";
}

struct listing {
    struct world *w;
    struct buf text;
    struct str id, key; /* of the first conflict, of its value that is not in effect */
};

static bool take_conflict(void *ctx, const struct conflict *x)
{
    struct listing *l = ctx;
    buf_printf(&l->text, "%" STR_F "%s:", STR_A(x->entity), x->entity_deleted ? "(deleted)" : "");
    for (size_t i = 0; i < x->n_values; i++) {
        const struct json *v = instance_value(x->values[i].instance);
        buf_printf(&l->text, " %s%s", v ? json_to_text(&l->w->arena, v).p : "-",
                   x->values[i].in_effect ? "*" : "");
        if (!l->key.p && !x->values[i].in_effect) {
            l->id = str_dup(&l->w->arena, x->id);
            l->key = str_dup(&l->w->arena, x->values[i].key);
        }
    }
    buf_char(&l->text, '\n');
    return true;
}

static struct listing conflicts_of(struct world *w, struct node *n)
{
    struct error e = {0};
    struct listing l = {.w = w, .text = BUF_INIT};
    struct store_conn *c = store_read(n->store, &e);
    BUF_LIT(&l.text, "");
    if (conflicts_each(n->link.sync, c, &w->arena, 1, STR_NONE, 100, take_conflict, &l, &e))
        fail_msg("%s", e.text);
    store_read_done(c);
    return l;
}

static void assert_conflicts(struct world *w, struct node *n, const char *want)
{
    struct listing l = conflicts_of(w, n);
    assert_string_equal(l.text.p ? l.text.p : "", want);
    buf_release(&l.text);
}

/* Clocks that are hours wrong decide among what was written apart, and nothing else. */
static void wrong_clocks(void **state)
{
    struct world *w = *state;
    struct node *city = &w->nodes[0], *ahead = &w->nodes[1], *behind = &w->nodes[2];
    seed = 1;
    put(w, city, "urn:x:0", "'a':{'type':'Property','value':1}");
    settle(w);
    put(w, ahead, "urn:x:0", "'a':{'type':'Property','value':2}");
    settle(w);
    put(w, behind, "urn:x:0", "'a':{'type':'Property','value':3}"); /* it has seen 2 */
    settle(w);
    for (int i = 0; i < NODES; i++) {
        assert_string_equal(value_of(w, &w->nodes[i], "urn:x:0", "a"), "3");
        assert_conflicts(w, &w->nodes[i], "");
    }
    put(w, ahead, "urn:x:0", "'a':{'type':'Property','value':4}");
    put(w, behind, "urn:x:0", "'a':{'type':'Property','value':5}");
    settle(w);
    for (int i = 0; i < NODES; i++)
        assert_conflicts(w, &w->nodes[i], "urn:x:0: 4* 5\n");
    put(w, city, "urn:x:0", "'a':{'type':'Property','value':6}"); /* the city knew both */
    settle(w);
    for (int i = 0; i < NODES; i++) {
        assert_string_equal(value_of(w, &w->nodes[i], "urn:x:0", "a"), "6");
        assert_conflicts(w, &w->nodes[i], "");
    }
}

/* A clock far ahead is not taken over; one a little ahead is. */
static void the_clock_is_not_poisoned(void **state)
{
    struct world *w = *state;
    struct sync *s = w->nodes[CITY].link.sync;
    int64_t now = INT64_C(1700000000) * SECOND_US;
    int64_t first = sync_tick(s, now, 0);
    assert_true(first >= now);
    assert_true(sync_tick(s, now, 0) > first);
    sync_hear(s, now, now + 30 * SECOND_US);
    assert_true(sync_tick(s, now, 0) > now + 30 * SECOND_US);
    sync_hear(s, now, now + 5 * HOUR_US);
    assert_true(sync_tick(s, now, 0) < now + MINUTE_US);
    assert_true(sync_tick(s, now, now + 5 * HOUR_US) == now + 5 * HOUR_US + 1);
    assert_true(sync_tick(s, now, 0) < now + MINUTE_US); /* our own jump does not stay either */
    assert_true(sync_tick(s, now - 3 * HOUR_US, 0) > 0);
}

static void a_deletion_holds_against_what_it_had_not_seen(void **state)
{
    struct world *w = *state;
    struct node *city = &w->nodes[0], *edge = &w->nodes[1];
    struct op gone = {.kind = OP_DELETE, .id = S("urn:x:0")};
    struct error e = {0};
    seed = 1;
    put(w, city, "urn:x:0", "'a':{'type':'Property','value':1},'b':{'type':'Property','value':1}");
    settle(w);
    assert_int_equal(write_op(w, city, &gone), OK);
    put(w, edge, "urn:x:0", "'a':{'type':'Property','value':2},'c':{'type':'Property','value':3}");
    settle(w);
    assert_together(w, 0);
    for (int i = 0; i < NODES; i++)
        assert_string_equal(value_of(w, &w->nodes[i], "urn:x:0", "a"), "no entity");
    struct listing l = conflicts_of(w, city);
    assert_non_null(strstr(l.text.p, "urn:x:0(deleted): 2 -*\n"));
    assert_non_null(strstr(l.text.p, "urn:x:0(deleted): 3 -*\n"));
    assert_int_equal(conflict_decide(city->link.sync, 1, l.id, l.key, STR_NONE, &e), OK);
    assert_int_equal(conflict_decide(city->link.sync, 1, l.id, l.key, STR_NONE, &e), ERR_NOT_FOUND);
    buf_release(&l.text);
    settle(w);
    assert_together(w, 0);
    for (int i = 0; i < NODES; i++) { /* the entity is back with what had been written there */
        assert_string_equal(value_of(w, &w->nodes[i], "urn:x:0", "a"), "2");
        assert_string_equal(value_of(w, &w->nodes[i], "urn:x:0", "b"), "nothing");
        assert_string_equal(value_of(w, &w->nodes[i], "urn:x:0", "c"), "3");
    }
}

static void a_new_life_does_not_bring_back_the_old(void **state)
{
    struct world *w = *state;
    struct node *city = &w->nodes[0], *edge = &w->nodes[1];
    struct op gone = {.kind = OP_DELETE, .id = S("urn:x:0")};
    seed = 1;
    put(w, city, "urn:x:0", "'a':{'type':'Property','value':1}");
    settle(w);
    write_op(w, city, &gone);
    put(w, edge, "urn:x:0", "'c':{'type':'Property','value':3}");
    settle(w);
    put(w, city, "urn:x:0", "'a':{'type':'Property','value':9}");
    settle(w);
    assert_together(w, 0);
    for (int i = 0; i < NODES; i++) {
        assert_string_equal(value_of(w, &w->nodes[i], "urn:x:0", "a"), "9");
        assert_string_equal(value_of(w, &w->nodes[i], "urn:x:0", "c"), "nothing");
        assert_conflicts(w, &w->nodes[i], "");
    }
}

static void parts_are_entered_and_left(void **state)
{
    struct world *w = *state;
    struct node *city = &w->nodes[0], *edge = &w->nodes[1];
    struct error e = {0};
    struct part part;
    int64_t upto = 0;
#define AT(lon)                                                                                    \
    "'location':{'type':'GeoProperty','value':{'type':'Point','coordinates':[" lon ",36.5]}}"
    assert_int_equal(part_read(&w->arena, S("T"), STR_NONE, S("139,36,140,37"), &part, &e), OK);
    put(w, city, "urn:x:0", "'a':{'type':'Property','value':1}," AT("141"));
    put(w, city, "urn:x:1", "'a':{'type':'Property','value':1}," AT("139.5"));
    put(w, city, "urn:x:0", AT("139.5"));                         /* enters */
    put(w, city, "urn:x:1", AT("141"));                           /* leaves */
    put(w, city, "urn:x:1", "'a':{'type':'Property','value':2}"); /* outside */
    deliver(w, edge, message(w, city, 0, S("none"), &part, 1 << 20, &upto));
    assert_string_equal(value_of(w, edge, "urn:x:0", "a"), "1"); /* of before it entered */
    assert_string_equal(value_of(w, edge, "urn:x:1", "a"), "1");
    assert_non_null(strstr(value_of(w, edge, "urn:x:1", "location"), "141"));
    part_release(&part);
}

static enum err trim(struct store_conn *c, void *ctx, struct error *e)
{
    return journal_trim(c, 1, *(int64_t *)ctx, e);
}

static enum err note_cursor(struct store_conn *c, void *ctx, struct error *e)
{
    struct cursor cursor = {.acked = 3, .contact = *(int64_t *)ctx};
    return cursor_write(c, 1, S("other"), &cursor, e);
}

static void what_others_need_is_kept(void **state)
{
    struct world *w = *state;
    struct node *city = &w->nodes[0];
    struct error e = {0};
    int64_t seq, contact = clock_now(&city->clock.base), upto = 2;
    struct store_conn *c = store_read(city->store, &e);
    assert_int_equal(sync_unneeded(city->link.sync, c, 1, &seq, &e), OK);
    assert_true(seq == INT64_MAX); /* nobody was ever here */
    store_read_done(c);
    for (int i = 0; i < 5; i++)
        put(w, city, "urn:x:0", "'a':{'type':'Property','value':1}");
    assert_int_equal(store_write(city->store, note_cursor, &contact, &e), OK);
    c = store_read(city->store, &e);
    assert_int_equal(sync_unneeded(city->link.sync, c, 1, &seq, &e), OK);
    assert_int_equal(seq, 3);
    clock_fake_move(&city->clock, 721 * HOUR_US); /* longer than edge.keep_hours */
    assert_int_equal(sync_unneeded(city->link.sync, c, 1, &seq, &e), OK);
    assert_true(seq == INT64_MAX);
    city->link.edge.on = true; /* an edge that has never met its city keeps everything */
    city->link.edge.tenant = "";
    assert_int_equal(sync_unneeded(city->link.sync, c, 1, &seq, &e), OK);
    assert_int_equal(seq, 0);
    assert_int_equal(sync_unneeded(city->link.sync, c, 2, &seq, &e), OK);
    assert_true(seq == INT64_MAX);
    city->link.edge.on = false;
    store_read_done(c);
    assert_int_equal(store_write(city->store, trim, &upto, &e), OK);
    struct buf b = BUF_INIT;
    struct feed f = {.sync = city->link.sync, .tenant = 1, .to = S("other"), .max_bytes = 1000};
    c = store_read(city->store, &e);
    assert_int_equal(feed_read(&f, c, &b, &e), ERR_NOT_FOUND); /* a gap is told, not skipped */
    store_read_done(c);
    buf_release(&b);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_world, drop_world)
    const struct CMUnitTest tests[] = {
        TEST(random_partitions),
        TEST(wrong_clocks),
        TEST(the_clock_is_not_poisoned),
        TEST(a_deletion_holds_against_what_it_had_not_seen),
        TEST(a_new_life_does_not_bring_back_the_old),
        TEST(parts_are_entered_and_left),
        TEST(what_others_need_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
