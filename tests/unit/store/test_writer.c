/* Batches: order, undoing, spoilt and failed ones, the bounded queue, who is told what and when. */
#include "fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A change that keeps the writer busy until it is opened: what is queued meanwhile is one batch. */
struct gate {
    struct store_change change;
    _Atomic bool entered, open, told;
};

static void pause_us(long us)
{
    nanosleep(&(struct timespec){0, us * 1000}, NULL);
}

static enum err gate_apply(struct store_conn *c, void *ctx, struct error *e)
{
    (void)c, (void)e;
    struct gate *g = ctx;
    atomic_store(&g->entered, true);
    while (!atomic_load(&g->open))
        pause_us(100);
    return OK;
}

static void gate_done(void *ctx, enum err code, const struct error *e)
{
    (void)code, (void)e;
    atomic_store(&((struct gate *)ctx)->told, true);
}

static void gate_close(struct store *s, struct gate *g)
{
    memset(g, 0, sizeof(*g));
    g->change = (struct store_change){gate_apply, gate_done, g, NULL};
    assert_int_equal(store_submit(s, &g->change), OK);
    while (!atomic_load(&g->entered))
        pause_us(100);
}

static void gate_open(struct gate *g)
{
    atomic_store(&g->open, true);
    while (!atomic_load(&g->told))
        pause_us(100);
}

enum { N = 40 };

struct names {
    char text[N][16];
};

static void prepare_items(struct told *t, struct names *names, size_t n, int64_t first)
{
    memset(t, 0, n * sizeof(*t));
    for (size_t i = 0; i < n; i++) {
        snprintf(names->text[i], sizeof(names->text[i]), "n%lld", (long long)first + (long long)i);
        t[i].item.id = first + (int64_t)i;
        t[i].item.name = names->text[i];
        t[i].item.tenant = 1;
    }
}

static void run_as_one_batch(struct store *s, struct told *t, size_t n)
{
    struct gate g;
    gate_close(s, &g);
    for (size_t i = 0; i < n; i++)
        told_submit(s, &t[i]);
    gate_open(&g);
    told_wait(t, n);
}

static void a_batch_is_applied_in_the_order_of_submission(void **state)
{
    struct fixture *f = *state;
    struct told t[N];
    struct names names;
    prepare_items(t, &names, N, 1);
    run_as_one_batch(f->store, t, N);
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(t[i].code, OK);
        assert_int_equal(t[i].item.seq, (int64_t)i + 1);
    }
    assert_int_equal(item_count(f->store), N);
}

/* Changes fail in every way in the middle of a batch; the others stay. */
static void a_failed_change_undoes_only_itself(void **state)
{
    struct fixture *f = *state;
    struct told t[N];
    struct names names;
    static char same[] = "n1";
    prepare_items(t, &names, N, 1);
    t[5].item.fail_with = ERR_PRECONDITION;
    t[11].item.bad_statement = true;
    t[12].item.name = same; /* the name is taken */
    t[20].item.bad_statement = true;
    t[20].item.ignore_failure = true;
    t[N - 1].item.fail_with = ERR_CONFLICT;
    run_as_one_batch(f->store, t, N);
    int64_t seq = 0;
    for (size_t i = 0; i < N; i++) {
        bool fails = i == 5 || i == 11 || i == 12 || i == 20 || i == N - 1;
        assert_int_equal(t[i].code != OK, fails);
        assert_int_equal(item_exists(f->store, t[i].item.id), !fails);
        if (!fails)
            assert_int_equal(t[i].item.seq, ++seq); /* positions stay dense */
    }
    assert_int_equal(t[5].code, ERR_PRECONDITION);
    assert_string_equal(t[5].text, "as the test wants");
    assert_int_equal(t[11].code, ERR_CONFLICT);
    assert_int_equal(t[12].code, ERR_EXISTS);
    assert_int_equal(t[20].code, ERR_CONFLICT);
    assert_int_equal(t[N - 1].code, ERR_CONFLICT);
    assert_false(store_degraded(f->store, NULL));
    struct told more[2];
    prepare_items(more, &names, 2, 100);
    run_as_one_batch(f->store, more, 2);
    assert_int_equal(more[1].item.seq, seq + 2);
}

static void a_change_alone_fails_alone(void **state)
{
    struct fixture *f = *state;
    struct error e;
    struct item_change bad = {.id = 1, .name = "a", .tenant = 1, .bad_statement = true};
    struct item_change good = {.id = 2, .name = "b", .tenant = 1};
    assert_int_equal(store_write(f->store, item_apply, &bad, &e), ERR_CONFLICT);
    assert_true(e.text[0] != '\0');
    assert_int_equal(store_write(f->store, item_apply, &good, &e), OK);
    assert_int_equal(good.seq, 1);
    assert_int_equal(item_count(f->store), 1);
}

static enum err nested_reads_apply(struct store_conn *c, void *ctx, struct error *e)
{
    struct store_rows outer, inner;
    int64_t *pairs = ctx, changed = -1;
    *pairs = 0;
    store_query(c, &outer, "SELECT id FROM item ORDER BY id", SV_EMPTY);
    while (store_next(&outer)) {
        store_query(c, &inner, "SELECT id FROM item WHERE id >= $1",
                    SV(SV_INT(store_int(&outer, 0))));
        while (store_next(&inner))
            ++*pairs;
        enum err err = store_end(&inner, e);
        if (err)
            return err;
    }
    enum err err = store_end(&outer, e);
    if (!err)
        err = store_exec(c, "UPDATE item SET doc = $1 WHERE id > $2",
                         SV(SV_TEXT(S("x")), SV_INT(1)), &changed, e);
    assert_int_equal(changed, 2);
    /* RETURNING through a query, and a row that the same change reads back */
    store_query(c, &outer, "INSERT INTO part (item, label) VALUES ($1, $2) RETURNING id",
                SV(SV_INT(1), SV_TEXT(S("p"))));
    assert_true(store_next(&outer));
    int64_t id = store_int(&outer, 0), found = 0;
    if (!err)
        err = store_end(&outer, e);
    if (!err)
        err = store_get_int(c, &found, "SELECT id FROM part WHERE label = $1", SV(SV_TEXT(S("p"))),
                            e);
    assert_int_equal(id, found);
    return err;
}

static void a_change_sees_what_it_wrote(void **state)
{
    struct fixture *f = *state;
    struct error e = {OK, ""};
    int64_t pairs = 0;
    struct told t[3];
    struct names names;
    prepare_items(t, &names, 3, 1);
    run_as_one_batch(f->store, t, 3);
    assert_int_equal(store_write(f->store, nested_reads_apply, &pairs, &e), OK);
    assert_int_equal(pairs, 3 + 2 + 1);
}

static enum err orphan_apply(struct store_conn *c, void *ctx, struct error *e)
{
    (void)ctx;
    return store_exec(c, "INSERT INTO part (item, label) VALUES ($1, $2)",
                      SV(SV_INT(12345), SV_TEXT(S("orphan"))), NULL, e);
}

static void foreign_keys_hold(void **state)
{
    struct fixture *f = *state;
    struct error e;
    assert_int_equal(store_write(f->store, orphan_apply, NULL, &e), ERR_CONFLICT);
}

/* Rows that a change forgot to end harm neither it nor its neighbours. */
static enum err careless_apply(struct store_conn *c, void *ctx, struct error *e)
{
    struct store_rows r;
    struct item_change *item = ctx;
    store_query(c, &r, "SELECT id FROM item ORDER BY id", SV_EMPTY);
    store_next(&r);
    return item_apply(c, item, e);
}

static void rows_left_open_are_ended(void **state)
{
    struct fixture *f = *state;
    struct error e;
    for (int i = 1; i <= 3; i++) {
        char name[8];
        snprintf(name, sizeof(name), "n%d", i);
        struct item_change item = {.id = i, .name = name};
        assert_int_equal(store_write(f->store, careless_apply, &item, &e), OK);
    }
    assert_int_equal(item_count(f->store), 3);
}

static void the_queue_is_bounded(void **state)
{
    struct fixture *f = *state;
    struct gate g;
    struct told t[4], over;
    struct names names;
    f->options.queue_max = 4;
    fixture_reopen(f);
    prepare_items(t, &names, 4, 1);
    gate_close(f->store, &g);
    for (int i = 0; i < 4; i++)
        told_submit(f->store, &t[i]);
    memset(&over, 0, sizeof(over));
    assert_int_equal(store_submit(f->store, &over.change), ERR_UNAVAILABLE);
    gate_open(&g);
    told_wait(t, 4);
    assert_int_equal(atomic_load(&over.times), 0);
    assert_int_equal(item_count(f->store), 4);
}

static void batches_are_bounded_and_closing_applies_the_rest(void **state)
{
    struct fixture *f = *state;
    struct gate g;
    struct told t[N];
    struct names names;
    f->options.batch_max = 7;
    fixture_reopen(f);
    prepare_items(t, &names, N, 1);
    gate_close(f->store, &g);
    for (int i = 0; i < N; i++)
        told_submit(f->store, &t[i]);
    gate_open(&g);
    store_close(f->store);
    f->store = NULL;
    for (int i = 0; i < N; i++)
        assert_int_equal(atomic_load(&t[i].times), 1);
    fixture_reopen(f);
    assert_int_equal(item_count(f->store), N);
}

/* done(OK) comes after the commit is visible to everybody. */
struct seen {
    struct store *store;
    struct item_change item;
    bool visible;
    _Atomic bool told;
};

static enum err seen_apply(struct store_conn *c, void *ctx, struct error *e)
{
    return item_apply(c, &((struct seen *)ctx)->item, e);
}

static void seen_done(void *ctx, enum err code, const struct error *e)
{
    (void)e;
    struct seen *x = ctx;
    x->visible = code == OK && item_exists(x->store, x->item.id);
    atomic_store(&x->told, true);
}

static void who_is_told_sees_the_change(void **state)
{
    struct fixture *f = *state;
    for (int i = 1; i <= 20; i++) {
        char name[8];
        snprintf(name, sizeof(name), "n%d", i);
        struct seen x = {.store = f->store, .item = {.id = i, .name = name}};
        struct store_change change = {seen_apply, seen_done, &x, NULL};
        assert_int_equal(item_exists(f->store, i), false);
        assert_int_equal(store_submit(f->store, &change), OK);
        while (!atomic_load(&x.told))
            pause_us(100);
        assert_true(x.visible);
    }
}

/* A lane with many changes waits for itself: one of another lane is in the next batch, and has room
 * when the queue is full. */
struct in_lane {
    struct store_change change;
    char lane;
    char *order; /* of all that were applied */
    atomic_bool told;
};

static enum err lane_apply(struct store_conn *c, void *ctx, struct error *e)
{
    struct in_lane *x = ctx;
    (void)c, (void)e;
    x->order[strlen(x->order)] = x->lane;
    return OK;
}

static void lane_done(void *ctx, enum err code, const struct error *e)
{
    (void)code, (void)e;
    atomic_store(&((struct in_lane *)ctx)->told, true);
}

static enum err lane_submit(struct store *s, struct in_lane *x, char lane, char *order)
{
    *x = (struct in_lane){.lane = lane, .order = order};
    x->change = (struct store_change){.apply = lane_apply,
                                      .done = lane_done,
                                      .ctx = x,
                                      .lane = (uint64_t)lane};
    return store_submit(s, &x->change);
}

static void lanes_take_turns(void **state)
{
    struct fixture *f = *state;
    struct gate g;
    struct in_lane noisy[9], quiet[2];
    char order[16] = "";
    f->options.queue_max = 8;
    fixture_reopen(f);
    gate_close(f->store, &g);
    for (int i = 0; i < 8; i++)
        assert_int_equal(lane_submit(f->store, &noisy[i], 'n', order), OK);
    assert_int_equal(lane_submit(f->store, &noisy[8], 'n', order), ERR_UNAVAILABLE);
    for (int i = 0; i < 2; i++)
        assert_int_equal(lane_submit(f->store, &quiet[i], 'q', order), OK);
    gate_open(&g);
    for (int i = 0; i < 8; i++)
        while (!atomic_load(&noisy[i].told))
            pause_us(100);
    assert_int_equal(strlen(order), 10);
    assert_true(strchr(order, 'q') - order < 2);
    assert_true(strrchr(order, 'q') - order < 4);
}

/* Lane 'd' has dear changes, each of which takes DEAR_US. */
enum { DEAR_US = 30000 };

static enum err dear_apply(struct store_conn *c, void *ctx, struct error *e)
{
    pause_us(DEAR_US);
    return lane_apply(c, ctx, e);
}

static void dear_submit(struct store *s, struct in_lane *x, char *order)
{
    *x = (struct in_lane){.lane = 'd', .order = order};
    x->change = (struct store_change){.apply = dear_apply,
                                      .done = lane_done,
                                      .ctx = x,
                                      .lane = (uint64_t)'d'};
    assert_int_equal(store_submit(s, &x->change), OK);
}

static void lane_wait(struct in_lane *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        while (!atomic_load(&x[i].told))
            pause_us(100);
}

static void dear_changes_hold_up_their_own_lane(void **state)
{
    enum { EACH = 20 };
    struct fixture *f = *state;
    struct gate g;
    struct in_lane dear[EACH], cheap[EACH];
    char order[2 * EACH + 2] = "";
    f->options.batch_shared_ms = 1;
    fixture_reopen(f);
    dear_submit(f->store, &dear[0], order); /* what one costs is known from here on */
    lane_wait(dear, 1);
    gate_close(f->store, &g);
    memset(order, 0, sizeof(order));
    for (int i = 0; i < EACH; i++)
        dear_submit(f->store, &dear[i], order);
    for (int i = 0; i < EACH; i++)
        assert_int_equal(lane_submit(f->store, &cheap[i], 'q', order), OK);
    gate_open(&g);
    lane_wait(cheap, EACH);
    bool waited = true; /* for all that are dear: no batch was bounded */
    for (int i = 0; i < EACH; i++)
        waited = waited && atomic_load(&dear[i].told);
    lane_wait(dear, EACH);
    assert_int_equal(strlen(order), 2 * EACH);
    assert_false(waited);
    size_t before = 0; /* the last cheap one */
    for (const char *p = order; p < strrchr(order, 'q'); p++)
        before += *p == 'd';
    assert_true(before < EACH / 2);
}

static void draining_waits_for_all(void **state)
{
    enum { EACH = 5 };
    struct fixture *f = *state;
    struct in_lane dear[EACH];
    char order[EACH + 1] = "";
    for (int i = 0; i < EACH; i++)
        dear_submit(f->store, &dear[i], order);
    store_drain(f->store);
    for (int i = 0; i < EACH; i++)
        assert_true(atomic_load(&dear[i].told));
    store_drain(f->store); /* nothing is there to wait for */
}

static enum err writes_outside(struct store_conn *c, void *ctx, struct error *e)
{
    (void)c;
    return store_write(ctx, item_apply, NULL, e);
}

static void waiting_on_the_writer_thread_is_refused(void **state)
{
    struct fixture *f = *state;
    struct error e;
    assert_int_equal(store_write(f->store, writes_outside, f->store, &e), ERR_INTERNAL);
}

/* Many threads submit and read at once: nothing lost, nothing twice. */
struct crowd {
    struct store *store;
    int first;
};

static void *crowd_run(void *arg)
{
    struct crowd *x = arg;
    struct error e;
    for (int i = 0; i < 50; i++) {
        char name[16];
        int64_t n = 0;
        snprintf(name, sizeof(name), "n%d", x->first + i);
        struct item_change item = {.id = x->first + i, .name = name, .tenant = 1 + i % 3};
        if (store_write(x->store, item_apply, &item, &e))
            return x;
        struct store_conn *c = store_read(x->store, &e);
        if (!c)
            return x;
        enum err err = store_get_int(c, &n, "SELECT count(*) FROM item WHERE id = $1",
                                     SV(SV_INT(item.id)), &e);
        store_read_done(c);
        if (err || n != 1)
            return x;
    }
    return NULL;
}

static void many_threads_write_and_read(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[8];
    struct crowd crowd[8];
    for (int i = 0; i < 8; i++) {
        crowd[i] = (struct crowd){f->store, i * 1000};
        assert_int_equal(pthread_create(&threads[i], NULL, crowd_run, &crowd[i]), 0);
    }
    for (int i = 0; i < 8; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_int_equal(item_count(f->store), 8 * 50);
}

/* --- the write-ahead log --- */

/* A clock that runs a second with each look, so that the writer tidies up after each batch. */
static _Atomic int64_t fast_time;

static int64_t fast_look(const struct clock *c)
{
    (void)c;
    return atomic_fetch_add(&fast_time, SECOND_US);
}
static const struct clock fast_clock = {fast_look, fast_look};

static enum err fat_apply(struct store_conn *c, void *ctx, struct error *e)
{
    static char text[50000];
    memset(text, *(char *)ctx, sizeof(text)); /* SQLite leaves pages alone that do not change */
    return store_exec(c,
                      "INSERT INTO item (id, name, doc) VALUES (1, 'fat', $1)"
                      " ON CONFLICT (id) DO UPDATE SET doc = excluded.doc",
                      SV(SV_TEXT(str_n(text, sizeof(text)))), NULL, e);
}

static void write_fat(struct store *s, int n)
{
    struct error e;
    for (int i = 0; i < n; i++) {
        char letter = (char)('a' + i % 26);
        assert_int_equal(store_write(s, fat_apply, &letter, &e), OK);
        if (i % 5 == 0)
            item_count(s); /* leaves a snapshot in the pool */
    }
}

static int64_t wal_size(const struct fixture *f)
{
    char path[100];
    struct stat st;
    fixture_path(f, "city.db-wal", path, sizeof(path));
    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

static void the_log_stays_short(void **state)
{
    struct fixture *f = *state;
    struct error e;
    f->options.wal_bytes = 100000;
    store_close(f->store);
    assert_int_equal(store_open(&f->store, &f->options, &fast_clock, &fixture_module, 1, &e), OK);
    write_fat(f->store, 200); /* 10 MB */
    assert_true(wal_size(f) < 2000000);
    /* a snapshot that is held keeps the log; returned, it goes */
    struct store_conn *c = store_read(f->store, &e);
    int64_t n = 0;
    assert_int_equal(store_get_int(c, &n, "SELECT count(*) FROM item", SV_EMPTY, &e), OK);
    write_fat(f->store, 100);
    assert_true(wal_size(f) > 4000000);
    store_read_done(c);
    write_fat(f->store, 20);
    assert_true(wal_size(f) < 2000000);
}

/* --- many rows at once --- */

static const struct store_bulk put_item = {
    .one = "INSERT INTO item(id, name) VALUES ($1, $2)",
    .many = "INSERT INTO item(id, name) SELECT * FROM unnest(" BULK_INTS(1) ", " BULK_TEXTS(2) ")",
    .types = "it",
};
static const struct store_bulk name_item = {
    .one = "UPDATE item SET name = $1, amount = $2, raw = $3 WHERE id = $4",
    .many = "UPDATE item i SET name = x.name, amount = x.amount, raw = x.raw FROM "
            "unnest(" BULK_TEXTS(1) ", " BULK_REALS(2) ", " BULK_BLOBS(3) ", " BULK_INTS(
                4) ") AS x(name, amount, raw, id)"
                   " WHERE i.id = x.id",
    .types = "trbi",
};
static const struct store_bulk get_item = {
    .one = "SELECT id, name FROM item WHERE id = $1",
    .many = "SELECT x.n, i.id, i.name FROM unnest(" BULK_INTS(
        1) ") WITH ORDINALITY AS x(id, n) JOIN item i ON i.id = x.id",
    .types = "i",
};

static struct str name_of(struct store_conn *c, struct arena *a, int64_t id)
{
    struct store_rows r;
    struct str name = STR_NONE;
    store_query(c, &r, get_item.one, SV(SV_INT(id)));
    if (store_next(&r) && store_int(&r, 0) == id)
        name = str_dup(a, store_text(&r, 1));
    assert_int_equal(store_end(&r, NULL), OK);
    return name;
}

static enum err put_apply(struct store_conn *c, void *ctx, struct error *e)
{
    enum err err = OK;
    struct arena a = ARENA_INIT;
    for (int i = 1; !err && i <= 5000; i++)
        err = store_put(c, &put_item, SV(SV_INT(i), SV_TEXT(str_printf(&a, "n%d", i))), e);
    /* what is asked sees what was put; rows of one statement may hold NULL */
    assert_true(str_eq(name_of(c, &a, 4999), S("n4999")));
    for (int i = 1; !err && i <= 3; i++)
        err = store_put(c, &name_item,
                        SV(SV_TEXT(str_printf(&a, "m%d", i)), i == 2 ? SV_NULL : SV_REAL(i / 2.0),
                           i == 3 ? SV_BLOB(S("\0\1")) : SV_NULL, SV_INT(i)),
                        e);
    if (!err && *(bool *)ctx)
        err = store_put(c, &put_item, SV(SV_INT(7), SV_TEXT(S("taken"))), e);
    arena_release(&a);
    return err;
}

static void rows_are_put_many_at_once(void **state)
{
    struct fixture *f = *state;
    struct error e;
    bool spoil = true;
    assert_int_equal(store_write(f->store, put_apply, &spoil, &e), ERR_EXISTS);
    assert_int_equal(item_count(f->store), 0);
    spoil = false;
    assert_int_equal(store_write(f->store, put_apply, &spoil, &e), OK);
    assert_int_equal(item_count(f->store), 5000);
    struct store_conn *c = store_read(f->store, &e);
    struct store_rows r;
    store_query(c, &r, "SELECT name, amount, raw FROM item WHERE id <= 3 ORDER BY id", SV_EMPTY);
    for (int i = 1; i <= 3; i++) {
        assert_true(store_next(&r));
        assert_int_equal(store_text(&r, 0).p[1], '0' + i);
        assert_int_equal(store_is_null(&r, 1), i == 2);
        assert_int_equal(store_is_null(&r, 2), i != 3);
        if (i == 3)
            assert_int_equal(store_blob(&r, 2).n, 2);
    }
    assert_int_equal(store_end(&r, &e), OK);
    store_read_done(c);
}

/* Two that asked ahead for one row, one that did not and changes it in between. */
struct asking {
    struct store_change change;
    const char *name; /* it gets this one */
    char saw[16];     /* it had this one */
    struct told *told;
};

static void asking_ahead(struct store_conn *c, void *ctx)
{
    (void)ctx;
    store_ahead(c, &get_item, SV(SV_INT(1)));
    store_ahead(c, &get_item, SV(SV_INT(2)));
}

static enum err asking_apply(struct store_conn *c, void *ctx, struct error *e)
{
    struct asking *k = ctx;
    struct arena a = ARENA_INIT;
    struct str saw = name_of(c, &a, 1);
    assert_false(name_of(c, &a, 2).p); /* there is none */
    snprintf(k->saw, sizeof(k->saw), "%.*s", (int)saw.n, saw.p);
    enum err err =
        store_put(c, &name_item, SV(SV_TEXT(str_c(k->name)), SV_REAL(1), SV_NULL, SV_INT(1)), e);
    arena_release(&a);
    return err;
}

static void asking_done(void *ctx, enum err code, const struct error *e)
{
    struct asking *k = ctx;
    k->told->code = code;
    snprintf(k->told->text, sizeof(k->told->text), "%.190s", e->text);
    k->told->times++;
}

static void what_is_asked_ahead_is_never_old(void **state)
{
    struct fixture *f = *state;
    struct error e;
    struct item_change first = {.id = 1, .name = "a", .tenant = 1};
    assert_int_equal(store_write(f->store, item_apply, &first, &e), OK);
    static const char *const names[] = {"b", "c", "d", "e"};
    struct asking k[4];
    struct told told[4] = {0};
    struct gate g;
    gate_close(f->store, &g);
    for (int i = 0; i < 4; i++) {
        k[i] = (struct asking){.name = names[i], .told = &told[i]};
        k[i].change = (struct store_change){.apply = asking_apply,
                                            .done = asking_done,
                                            .ctx = &k[i],
                                            .ahead = i == 2 ? NULL : asking_ahead};
        assert_int_equal(store_submit(f->store, &k[i].change), OK);
    }
    gate_open(&g);
    told_wait(told, 4);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(told[i].code, OK);
        assert_string_equal(k[i].saw, i ? names[i - 1] : "a");
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_free)
    const struct CMUnitTest tests[] = {
        T(a_batch_is_applied_in_the_order_of_submission),
        T(a_failed_change_undoes_only_itself),
        T(a_change_alone_fails_alone),
        T(a_change_sees_what_it_wrote),
        T(foreign_keys_hold),
        T(rows_left_open_are_ended),
        T(the_queue_is_bounded),
        T(batches_are_bounded_and_closing_applies_the_rest),
        T(who_is_told_sees_the_change),
        T(waiting_on_the_writer_thread_is_refused),
        T(lanes_take_turns),
        T(dear_changes_hold_up_their_own_lane),
        T(draining_waits_for_all),
        T(many_threads_write_and_read),
        T(rows_are_put_many_at_once),
        T(what_is_asked_ahead_is_never_old),
    };
    const struct CMUnitTest sqlite[] = {T(the_log_stays_short)};
    return fixture_run(TESTS(tests), TESTS(sqlite), NULL, 0);
}
