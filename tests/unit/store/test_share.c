/* Several stores on one database: whose changes run side by side, and whose wait. */
#include "fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { PATIENCE_MS = 30000 };

static void pause_ms(int ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
}

static bool reaches(const _Atomic int *value, int want)
{
    for (int ms = 0; ms < PATIENCE_MS && atomic_load(value) < want; ms++)
        pause_ms(1);
    return atomic_load(value) >= want;
}

/* A change that stays in apply() until it is let go. */
struct held {
    struct told told;
    _Atomic int entered, let_go;
};

static enum err held_apply(struct store_conn *c, void *ctx, struct error *e)
{
    struct held *h = ctx;
    atomic_store(&h->entered, 1);
    if (!reaches(&h->let_go, 1))
        return error_set(e, ERR_TIMEOUT, "nobody let it go");
    return item_apply(c, &h->told.item, e);
}

static void held_done(void *ctx, enum err code, const struct error *e)
{
    struct held *h = ctx;
    h->told.code = code;
    snprintf(h->told.text, sizeof(h->told.text), "%.190s", e->text);
    atomic_fetch_add(&h->told.times, 1);
}

static struct held held(int64_t id, const char *name, int64_t tenant)
{
    return (struct held){.told = {.item = {.id = id, .name = name, .tenant = tenant ? tenant : 1},
                                  .change = {.lane = (uint64_t)tenant, .tenant = tenant}}};
}

static void submit(struct store *s, struct held *h)
{
    h->told.change.apply = held_apply;
    h->told.change.done = held_done;
    h->told.change.ctx = h;
    assert_int_equal(store_submit(s, &h->told.change), OK);
}

static void is_told(struct held *h, enum err code)
{
    assert_true(reaches(&h->told.times, 1));
    if (h->told.code != code)
        fail_msg("%s", h->told.text);
}

static void let_go(struct held *h)
{
    atomic_store(&h->let_go, 1);
}

/* Another store on the same database, as another process would have it. */
static struct store *open_another(struct fixture *f)
{
    struct store *s;
    struct error e = {OK, ""};
    if (store_open(&s, &f->options, &clock_system, &fixture_module, 1, &e) != OK)
        fail_msg("%s", e.text);
    return s;
}

static void wait_until_somebody_waits(struct store *s)
{
    struct error e = {OK, ""};
    int64_t n = 0;
    for (int ms = 0; ms < PATIENCE_MS && !n; ms += 5) {
        struct store_conn *c = store_read(s, &e);
        assert_non_null(c);
        assert_int_equal(store_get_int(c, &n,
                                       "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
                                       " AND NOT granted",
                                       SV_EMPTY, &e),
                         OK);
        store_read_done(c);
        pause_ms(5);
    }
    assert_true(n > 0);
}

static size_t findings;
static void count_finding(void *ctx, const char *what)
{
    (void)ctx;
    print_error("%s\n", what);
    findings++;
}

static void is_sound(struct store *s)
{
    findings = 0;
    store_check(s, count_finding, NULL);
    assert_int_equal(findings, 0);
}

static void a_change_keeps_to_its_tenant(void **state)
{
    struct fixture *f = *state;
    struct held strays = held(1, "strays", 2), keeps = held(2, "keeps", 2), any = held(3, "any", 0);
    strays.told.item.tenant = 3;
    let_go(&strays), let_go(&keeps), let_go(&any);
    submit(f->store, &strays);
    submit(f->store, &keeps);
    submit(f->store, &any);
    is_told(&strays, ERR_INTERNAL);
    is_told(&keeps, OK);
    is_told(&any, OK);
    assert_false(item_exists(f->store, 1));
    assert_int_equal(keeps.told.item.seq, 1);
    is_sound(f->store);
}

static void tenants_run_side_by_side(void **state)
{
    struct fixture *f = *state;
    struct store *other = open_another(f);
    struct held one = held(1, "one", 1), two = held(2, "two", 2);
    submit(f->store, &one);
    assert_true(reaches(&one.entered, 1));
    let_go(&two);
    submit(other, &two);
    is_told(&two, OK); /* while the first is still being applied */
    assert_int_equal(atomic_load(&one.told.times), 0);
    let_go(&one);
    is_told(&one, OK);
    assert_int_equal(one.told.item.seq, 1);
    assert_int_equal(two.told.item.seq, 1);
    store_close(other);
    is_sound(f->store);
}

static void one_tenant_takes_turns(void **state)
{
    struct fixture *f = *state;
    struct store *other = open_another(f);
    struct held one = held(1, "one", 1), two = held(2, "two", 1);
    submit(f->store, &one);
    assert_true(reaches(&one.entered, 1));
    let_go(&two);
    submit(other, &two);
    wait_until_somebody_waits(f->store);
    assert_int_equal(atomic_load(&two.entered), 0);
    let_go(&one);
    is_told(&one, OK);
    is_told(&two, OK);
    assert_int_equal(one.told.item.seq, 1);
    assert_int_equal(two.told.item.seq, 2);
    store_close(other);
    is_sound(f->store);
}

static void who_promises_nothing_has_the_store_alone(void **state)
{
    struct fixture *f = *state;
    struct store *other = open_another(f);
    struct held one = held(1, "one", 1), all = held(2, "all", 0), three = held(3, "three", 3);
    submit(f->store, &one);
    assert_true(reaches(&one.entered, 1));
    submit(other, &all);
    wait_until_somebody_waits(f->store);
    assert_int_equal(atomic_load(&all.entered), 0);
    let_go(&one);
    is_told(&one, OK);
    assert_true(reaches(&all.entered, 1));
    let_go(&three);
    submit(f->store, &three);
    wait_until_somebody_waits(f->store);
    assert_int_equal(atomic_load(&three.entered), 0);
    let_go(&all);
    is_told(&all, OK);
    is_told(&three, OK);
    store_close(other);
    is_sound(f->store);
}

/* A batch of several tenants does not wait for one that is busy elsewhere, and what goes back to
 * the queue keeps its order. */
static void nobody_waits_for_a_busy_tenant_of_others(void **state)
{
    struct fixture *f = *state;
    struct store *other = open_another(f);
    struct held busy = held(1, "busy", 1), gate = held(2, "gate", 4);
    struct held list[] = {held(11, "a", 2), held(12, "b", 1), held(13, "c", 3),
                          held(14, "d", 1), held(15, "e", 2), held(16, "f", 1)};
    submit(f->store, &busy);
    assert_true(reaches(&busy.entered, 1));
    submit(other, &gate);
    assert_true(reaches(&gate.entered, 1));
    for (size_t i = 0; i < 6; i++) {
        list[i].told.change.lane = 2; /* taken in this order, so that tenant 2 has waited longest */
        let_go(&list[i]);
        submit(other, &list[i]);
    }
    let_go(&gate);
    is_told(&list[0], OK);
    is_told(&list[2], OK);
    is_told(&list[4], OK);
    wait_until_somebody_waits(f->store);
    assert_int_equal(atomic_load(&list[1].entered), 0);
    struct held late = held(17, "late", 1);
    let_go(&late);
    submit(other, &late);
    let_go(&busy);
    is_told(&busy, OK);
    is_told(&late, OK);
    for (size_t i = 1; i < 6; i += 2)
        is_told(&list[i], OK);
    assert_int_equal(busy.told.item.seq, 1);
    assert_int_equal(list[1].told.item.seq, 2);
    assert_int_equal(list[3].told.item.seq, 3);
    assert_int_equal(list[5].told.item.seq, 4);
    assert_int_equal(late.told.item.seq, 5);
    store_close(other);
    is_sound(f->store);
}

/* One that fails makes its batch run with care, and the store is then locked as a whole. */
static void a_failure_beside_others_undoes_only_itself(void **state)
{
    struct fixture *f = *state;
    struct store *other = open_another(f);
    struct held busy = held(1, "busy", 1), gate = held(2, "gate", 4);
    struct held bad = held(3, "bad", 2), good = held(4, "good", 3), same = held(5, "same", 1);
    bad.told.item.bad_statement = true;
    submit(f->store, &busy);
    assert_true(reaches(&busy.entered, 1));
    submit(other, &gate);
    assert_true(reaches(&gate.entered, 1));
    let_go(&bad), let_go(&good), let_go(&same);
    submit(other, &bad);
    submit(other, &good);
    submit(other, &same);
    let_go(&gate);
    let_go(&busy);
    is_told(&busy, OK);
    is_told(&bad, ERR_CONFLICT);
    is_told(&good, OK);
    is_told(&same, OK);
    assert_false(item_exists(f->store, 3));
    assert_int_equal(same.told.item.seq, 2);
    store_close(other);
    is_sound(f->store);
}

struct hammer {
    struct store *store;
    int first;
};

static void *hammer(void *ctx)
{
    const struct hammer *h = ctx;
    enum { N = 120 };
    static _Thread_local struct told list[N];
    static _Thread_local char names[N][16];
    memset(list, 0, sizeof(list));
    for (int i = 0; i < N; i++) {
        int64_t tenant = 1 + i % 5;
        snprintf(names[i], sizeof(names[i]), "h%d", h->first + i);
        list[i].item = (struct item_change){.id = h->first + i,
                                            .name = names[i],
                                            .tenant = tenant,
                                            .bad_statement = i % 40 == 7};
        list[i].change.lane = (uint64_t)tenant;
        list[i].change.tenant = i % 11 ? tenant : 0;
        told_submit(h->store, &list[i]);
        if (i % 10 == 9)
            told_wait(list + i - 9, 10);
    }
    return NULL;
}

static void positions_are_dense_whoever_writes(void **state)
{
    struct fixture *f = *state;
    struct store *stores[3] = {f->store, open_another(f), open_another(f)};
    pthread_t threads[6];
    struct hammer h[6];
    for (int i = 0; i < 6; i++) {
        h[i] = (struct hammer){stores[i % 3], 1000 * (i + 1)};
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, &h[i]), 0);
    }
    for (int i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);
    store_close(stores[1]);
    store_close(stores[2]);
    assert_int_equal(item_count(f->store), 6 * 117);
    is_sound(f->store); /* seq and hash of each row follow those of the one before */
}

#define T(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_free)

int main(void)
{
    const struct CMUnitTest both[] = {T(a_change_keeps_to_its_tenant)};
    const struct CMUnitTest postgres[] = {
        T(tenants_run_side_by_side),
        T(one_tenant_takes_turns),
        T(who_promises_nothing_has_the_store_alone),
        T(nobody_waits_for_a_busy_tenant_of_others),
        T(a_failure_beside_others_undoes_only_itself),
        T(positions_are_dense_whoever_writes),
    };
    return fixture_run(TESTS(both), NULL, 0, TESTS(postgres));
}
