/*
 * What was acknowledged is never lost: the process killed, the disk full, the database gone.
 */
#include "fixture.h"
#include "proxy.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 20, FLYING = 16 };

static void print_finding(void *ctx, const char *what)
{
    (void)ctx;
    print_error("%s\n", what);
}

static bool degraded_becomes(struct store *s, bool want)
{
    for (int i = 0; i < 10000; i++) {
        if (store_degraded(s, NULL) == want)
            return true;
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    return false;
}

/* --- kill -9 --- */

struct flight {
    struct store_change change;
    struct item_change item;
    char name[24];
    struct store *store;
    _Atomic int64_t *next;
    int fd;
};

static enum err flight_apply(struct store_conn *c, void *ctx, struct error *e)
{
    return item_apply(c, &((struct flight *)ctx)->item, e);
}

static void flight_start(struct flight *x)
{
    x->item.id = atomic_fetch_add(x->next, 1);
    x->item.tenant = 1 + x->item.id % 3;
    snprintf(x->name, sizeof(x->name), "n%lld", (long long)x->item.id);
    x->item.name = x->name;
    store_submit(x->store, &x->change);
}

/* Acknowledge through the pipe, then go on with the next. */
static void flight_done(void *ctx, enum err code, const struct error *e)
{
    (void)e;
    struct flight *x = ctx;
    if (code || write(x->fd, &x->item.id, sizeof(x->item.id)) != sizeof(x->item.id))
        _exit(3);
    flight_start(x);
}

static void child(struct fixture *f, int64_t first, int fd)
{
    struct error e;
    struct flight flights[FLYING];
    _Atomic int64_t next = first;
    memset(flights, 0, sizeof(flights));
    if (store_open(&f->store, &f->options, &clock_system, &fixture_module, 1, &e))
        _exit(2);
    for (int i = 0; i < FLYING; i++) {
        flights[i].change = (struct store_change){flight_apply, flight_done, &flights[i], NULL};
        flights[i].store = f->store;
        flights[i].next = &next;
        flights[i].fd = fd;
        flight_start(&flights[i]);
    }
    for (;;)
        pause();
}

static void killed_processes_lose_nothing(void **state)
{
    struct fixture *f = *state;
    int64_t acknowledged = 0, first = 1;
    unsigned random = 12345;
    for (int round = 0; round < ROUNDS; round++) {
        int fds[2], status;
        int64_t id, highest = first;
        assert_int_equal(pipe(fds), 0);
        fflush(NULL);
        pid_t pid = fork();
        if (pid == 0) {
            close(fds[0]);
            child(f, first, fds[1]);
        }
        close(fds[1]);
        random = random * 1103515245 + 12345;
        int wanted = 1 + (int)(random >> 16) % 150;
        bool *got = calloc(100000, sizeof(bool));
        for (int n = 0; read(fds[0], &id, sizeof(id)) == sizeof(id); n++) {
            if (n == wanted)
                kill(pid, SIGKILL);
            assert_true(id >= first && id < first + 100000);
            got[id - first] = true;
            acknowledged++;
            if (id > highest)
                highest = id;
        }
        close(fds[0]);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        fixture_reopen(f);
        struct error e;
        struct store_conn *c = store_read(f->store, &e);
        struct store_rows r;
        store_query(c, &r, "SELECT id FROM item WHERE id >= $1", SV(SV_INT(first)));
        while (store_next(&r)) {
            id = store_int(&r, 0);
            got[id - first] = false;
            if (id > highest)
                highest = id;
        }
        assert_int_equal(store_end(&r, &e), OK);
        store_read_done(c);
        for (int64_t i = 0; i < 100000; i++)
            assert_false(got[i]);
        assert_int_equal(store_check(f->store, print_finding, NULL), 0);
        store_close(f->store);
        f->store = NULL;
        free(got);
        first = highest + 1;
    }
    assert_true(acknowledged > ROUNDS);
}

/* --- disk full --- */

static enum err fat_apply(struct store_conn *c, void *ctx, struct error *e)
{
    static char text[60000];
    int64_t id = *(int64_t *)ctx;
    char name[24];
    snprintf(name, sizeof(name), "fat%lld", (long long)id);
    memset(text, 'x', sizeof(text));
    return store_exec(c, "INSERT INTO item (id, name, doc) VALUES ($1, $2, $3)",
                      SV(SV_INT(id), SV_TEXT(str_c(name)), SV_TEXT(str_n(text, sizeof(text)))),
                      NULL, e);
}

/* Write until it fails; the number that was acknowledged. */
static int64_t fill(struct store *s, struct error *e)
{
    int64_t id = 1;
    while (id < 1000 && store_write(s, fat_apply, &id, e) == OK)
        id++;
    assert_true(id < 1000);
    assert_int_equal(e->code, ERR_UNAVAILABLE);
    return id - 1;
}

static void a_full_disk_refuses_and_recovers(void **state)
{
    struct fixture *f = *state;
    struct error e;
    struct rlimit old, tight;
    char wal[100];
    struct stat st;
    fixture_path(f, "city.db-wal", wal, sizeof(wal));
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(stat(wal, &st), 0);
    tight = old;
    tight.rlim_cur = (rlim_t)st.st_size + 1000000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    int64_t n = fill(f->store, &e);
    assert_true(n > 3);
    assert_true(store_degraded(f->store, &e));
    assert_true(e.text[0] != '\0');
    assert_int_equal(item_count(f->store), n); /* readers go on, nothing half is seen */
    int64_t again = n + 1;
    assert_int_equal(store_write(f->store, fat_apply, &again, &e), ERR_UNAVAILABLE);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_true(degraded_becomes(f->store, false)); /* by itself, without traffic */
    assert_int_equal(store_write(f->store, fat_apply, &again, &e), OK);
    assert_int_equal(item_count(f->store), n + 1);
    fixture_reopen(f);
    assert_int_equal(item_count(f->store), n + 1);
    assert_int_equal(store_check(f->store, print_finding, NULL), 0);
}

static enum err limit_apply(struct store_conn *c, void *ctx, struct error *e)
{
    struct store_rows r;
    store_query(c, &r, ctx, SV_EMPTY);
    while (store_next(&r))
        continue;
    return store_end(&r, e);
}

/* SQLITE_FULL from a statement inside apply(): the whole batch is refused, the next one works. */
static void a_full_database_fails_the_batch(void **state)
{
    struct fixture *f = *state;
    struct error e;
    static char tight[] = "PRAGMA max_page_count = 200", wide[] = "PRAGMA max_page_count = 1000000";
    assert_int_equal(store_write(f->store, limit_apply, tight, &e), OK);
    int64_t n = fill(f->store, &e);
    assert_true(n > 3);
    assert_true(store_degraded(f->store, NULL));
    assert_int_equal(item_count(f->store), n);
    assert_int_equal(store_write(f->store, limit_apply, wide, &e), OK);
    assert_false(store_degraded(f->store, NULL));
    int64_t again = n + 1;
    assert_int_equal(store_write(f->store, fat_apply, &again, &e), OK);
    assert_int_equal(store_check(f->store, print_finding, NULL), 0);
}

/* --- database gone --- */

static enum err add(struct store *s, int64_t id, struct error *e)
{
    char name[24];
    snprintf(name, sizeof(name), "n%lld", (long long)id);
    struct item_change item = {.id = id, .name = name, .tenant = 1};
    return store_write(s, item_apply, &item, e);
}

struct side {
    struct store *store;
    int64_t first;
    bool ok[200];
    _Atomic bool finished;
};

static void *side_run(void *arg)
{
    struct side *side = arg;
    struct error e;
    for (int i = 0; i < 200; i++)
        side->ok[i] = add(side->store, side->first + i, &e) == OK;
    atomic_store(&side->finished, true);
    return NULL;
}

/* Every connection of ours is cut, again and again, while changes go on. */
static void cut_connections_lose_nothing(void **state)
{
    struct fixture *f = *state;
    struct error e;
    struct side sides[2] = {{f->store, 1000}, {f->store, 2000}};
    pthread_t threads[2];
    int acknowledged = 0;
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, side_run, &sides[i]);
    while (!atomic_load(&sides[0].finished) || !atomic_load(&sides[1].finished)) {
        struct store_conn *c = store_read(f->store, &e);
        /* those of this program only: others may be tested beside it */
        fixture_sql(f, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE"
                       " application_name = current_setting('application_name')"
                       " AND pid <> pg_backend_pid()");
        int64_t n = 0; /* a reader without a snapshot finds a new connection by itself */
        assert_non_null(c);
        assert_int_equal(store_get_int(c, &n, "SELECT count(*) FROM item", SV_EMPTY, &e), OK);
        store_read_done(c);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 400; i++) {
        struct side *side = &sides[i / 200];
        acknowledged += side->ok[i % 200];
        /* refused ones are not there either */
        assert_int_equal(item_exists(f->store, side->first + i % 200), side->ok[i % 200]);
    }
    assert_true(acknowledged > 0);
    assert_int_equal(store_check(f->store, print_finding, NULL), 0);
}

static enum err add_and_count_apply(struct store_conn *c, void *ctx, struct error *e)
{
    struct item_change item = {.id = *(int64_t *)ctx, .name = "counted", .tenant = 1};
    int64_t n = 0;
    enum err err = item_apply(c, &item, e);
    return err ? err : store_get_int(c, &n, "SELECT count(*) FROM item", SV_EMPTY, e);
}

/* Put a proxy between the store and its server. */
static struct proxy *reopen_by_proxy(struct fixture *f, char *url, size_t n)
{
    const char *host = strstr(f->url, "@127.0.0.1:");
    if (!host)
        fail_msg("the tests need a server on 127.0.0.1, not %s", f->url);
    struct proxy *p = proxy_new((int)strtol(host + 11, NULL, 10));
    snprintf(url, n, "%.*s@127.0.0.1:%d%s&sslmode=disable", (int)(host - f->url), f->url,
             proxy_port(p), strchr(host, '/'));
    f->options.url = url;
    fixture_reopen(f);
    return p;
}

/* The server commits, but its answer never comes: the change must still be told OK. */
static void a_lost_answer_to_commit_is_looked_up(void **state)
{
    struct fixture *f = *state;
    struct error e = {OK, ""};
    char url[700];
    struct proxy *p = reopen_by_proxy(f, url, sizeof(url));
    for (int64_t i = 1; i <= 5; i++) {
        proxy_arm(p, "COMMIT", 7); /* the tag of the answer, with its NUL */
        if (add(f->store, i, &e) != OK)
            fail_msg("%s", e.text);
        assert_int_equal(proxy_cuts(p), (int)i);
        assert_true(item_exists(f->store, i));
    }
    assert_false(store_degraded(f->store, NULL));
    /* lost before it: the answer to the first statement of a batch; nothing was done, so it is
     * done again on a new connection */
    proxy_arm(p, "BEGIN", 6);
    assert_int_equal(add(f->store, 6, &e), OK);
    assert_int_equal(proxy_cuts(p), 6);
    /* lost in the middle of a batch: refused, and not there */
    int64_t id = 7;
    proxy_arm(p, "INSERT 0 1", 11);
    assert_int_equal(store_write(f->store, add_and_count_apply, &id, &e), ERR_UNAVAILABLE);
    assert_int_equal(proxy_cuts(p), 7);
    assert_false(item_exists(f->store, 7));
    assert_int_equal(store_write(f->store, add_and_count_apply, &id, &e), OK);
    assert_int_equal(item_count(f->store), 7);
    assert_int_equal(store_check(f->store, print_finding, NULL), 0);
    store_close(f->store);
    f->store = NULL;
    proxy_free(p);
}

static void a_server_that_is_gone_refuses_and_recovers(void **state)
{
    struct fixture *f = *state;
    struct error e;
    char url[700];
    struct proxy *p = reopen_by_proxy(f, url, sizeof(url));
    for (int64_t i = 1; i <= 5; i++)
        assert_int_equal(add(f->store, i, &e), OK);
    struct store_conn *c = store_read(f->store, &e), *fresh;
    int64_t n = 0;
    proxy_down(p, true);
    assert_int_equal(add(f->store, 6, &e), ERR_UNAVAILABLE);
    assert_true(store_degraded(f->store, &e));
    assert_int_equal(store_get_int(c, &n, "SELECT count(*) FROM item", SV_EMPTY, &e),
                     ERR_UNAVAILABLE);
    store_read_done(c);
    fresh = store_read(f->store, &e);
    assert_null(fresh);
    assert_int_equal(e.code, ERR_UNAVAILABLE);
    proxy_down(p, false);
    assert_true(degraded_becomes(f->store, false)); /* by itself, without traffic */
    assert_int_equal(item_count(f->store), 5);
    assert_int_equal(add(f->store, 6, &e), OK);
    assert_int_equal(store_check(f->store, print_finding, NULL), 0);
    store_close(f->store);
    f->store = NULL;
    proxy_free(p);
}

int main(void)
{
#define T(name, setup) cmocka_unit_test_setup_teardown(name, setup, fixture_free)
    const struct CMUnitTest tests[] = {
        T(killed_processes_lose_nothing, fixture_new),
    };
    const struct CMUnitTest sqlite[] = {
        T(a_full_disk_refuses_and_recovers, fixture_open),
        T(a_full_database_fails_the_batch, fixture_open),
    };
    const struct CMUnitTest postgres[] = {
        T(cut_connections_lose_nothing, fixture_open),
        T(a_lost_answer_to_commit_is_looked_up, fixture_open),
        T(a_server_that_is_gone_refuses_and_recovers, fixture_open),
    };
    return fixture_run(TESTS(tests), TESTS(sqlite), TESTS(postgres));
}
