/* accounts.h - what tests of accounts share: a running trust on a clock that stands still. */
#ifndef TESTS_TRUST_ACCOUNTS_H
#define TESTS_TRUST_ACCOUNTS_H

#include "../store/fixture.h"
#include "account_impl.h"
#include <stdio.h>
#include <string.h>

static struct arena arena = ARENA_INIT;
static struct clock_fake fake;
static struct trust trust;

static int open_trust(void **state)
{
    fixture_new(state);
    struct fixture *f = *state;
    struct error e = {0};
    fake = clock_fake_at(INT64_C(1700000000) * SECOND_US); /* 2023-11-15T07:13:20+09:00 */
    trust = (struct trust){.clock = &fake.base, .data_dir = f->folder};
    config_defaults(&(struct config_bind){&trust_config, &trust.options});
    if (store_open(&trust.store, &f->options, &fake.base, &trust_module, 1, &e))
        fail_msg("%s", e.text);
    trust.pool = pool_new(2, 100);
    if (trust_start(&trust, &e))
        fail_msg("%s", e.text);
    return 0;
}

static int close_trust(void **state)
{
    trust_stop(&trust);
    pool_free(trust.pool);
    store_close(trust.store);
    arena_release(&arena);
    return fixture_free(state);
}

static inline struct store_conn *reader(void)
{
    struct error e = {0};
    struct store_conn *c = store_read(trust.store, &e);
    if (!c)
        fail_msg("%s", e.text);
    return c;
}

/* A change, done: its outcome, with *e of the test. */
static struct error why;

static inline enum err change(enum err (*apply)(struct store_conn *, void *, struct error *),
                              void *ctx)
{
    why = (struct error){0};
    return store_write(trust.store, apply, ctx, &why);
}

static inline int64_t count(const char *sql)
{
    struct store_conn *c = reader();
    struct error e = {0};
    int64_t n = -1;
    if (store_get_int(c, &n, sql, SV_EMPTY, &e))
        fail_msg("%s", e.text);
    store_read_done(c);
    return n;
}

/* --- accounts --- */

struct making {
    struct account_new n;
    int64_t id;
};

static enum err apply_make(struct store_conn *c, void *ctx, struct error *e)
{
    struct making *m = ctx;
    enum err err = person_tidy(&arena, &m->n.person, clock_now(trust.clock), &m->n.person, e);
    return err ? err : account_create(&trust, c, &m->n, &m->id, e);
}

/* An invented resident. */
static inline int64_t make_account(const char *login, const char *birth)
{
    struct making m = {.n = {.person = {.login = str_c(login),
                                        .name = S("試験 花子"),
                                        .birth_date = str_c(birth),
                                        .email = S("hanako@example.jp"),
                                        .phone = S("03-0000-1234")},
                             .ial = IAL_DESK}};
    if (change(apply_make, &m))
        fail_msg("%s", why.text);
    return m.id;
}

struct state_change {
    int64_t id;
    enum account_state to;
};

static enum err apply_state(struct store_conn *c, void *ctx, struct error *e)
{
    struct state_change *s = ctx;
    return account_set_state(&trust, c, s->id, s->to, S("reason of the test"), 7, e);
}

static inline enum err set_state(int64_t id, enum account_state to)
{
    struct state_change s = {id, to};
    return change(apply_state, &s);
}

/* --- sessions --- */

struct starting {
    struct session s;
    unsigned amr;
    struct str secret;
};

static enum err apply_start(struct store_conn *c, void *ctx, struct error *e)
{
    struct starting *s = ctx;
    return session_start(&trust, c, &arena, &s->s, s->amr, NULL, &s->secret, e);
}

static inline struct starting sign_in(int64_t account, unsigned amr)
{
    struct starting s = {.s = {.account = account}, .amr = amr};
    if (change(apply_start, &s))
        fail_msg("%s", why.text);
    return s;
}

static inline enum err session_for(struct str secret, struct session *out)
{
    struct store_conn *c = reader();
    struct error e = {0};
    enum err err = session_of_secret(&trust, c, &arena, secret, out, &e);
    store_read_done(c);
    return err;
}

#endif
