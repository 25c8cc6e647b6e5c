/*
 * sign_in FOLDER STORE AMR[+ROLE]...: makes an invented resident for each AMR (a number, see
 * session.h) in the city of that data folder and store, signed in by those methods and with that
 * role, and prints the cookies, a line each. For tests of what only needs somebody who is signed
 * in; beside a city that serves only on PostgreSQL.
 */
#include "trust/oidc.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct seed {
    struct trust *trust;
    struct arena arena;
    unsigned amr;
    struct str role; /* absent: none */
    int number;
    struct session s;
    struct str secret;
};

static enum err apply(struct store_conn *c, void *ctx, struct error *e)
{
    struct seed *s = ctx;
    struct account_new n = {.ial = IAL_DESK, .locale = S("en")};
    int64_t now = clock_now(s->trust->clock);
    struct person p = {.login = str_printf(&s->arena, "resident-%d-%" PRId64, s->number, now),
                       .name = S("試験 花子"),
                       .name_kana = S("シケン ハナコ"),
                       .birth_date = S("1980-01-02"),
                       .gender = S("female"),
                       .postal_code = S("305-0001"),
                       .address = S("茨城県つくばのはら市中央1丁目1番地"),
                       .email = S("hanako@example.jp"),
                       .phone = S("03-0000-1234"),
                       .email_verified = true};
    enum err err = person_tidy(&s->arena, &p, now, &n.person, e);
    s->s = (struct session){0};
    if (!err)
        err = account_create(s->trust, c, &n, &s->s.account, e);
    struct role role = {s->role, S("test")};
    if (!err && s->role.p)
        err = account_give_role(s->trust, c, s->s.account, &role, 0, 0, e);
    return err ? err : session_start(s->trust, c, &s->arena, &s->s, s->amr, NULL, &s->secret, e);
}

int main(int argc, char **argv)
{
    struct trust t = {.clock = &clock_system};
    struct error e = {0};
    struct store_module modules[] = {trust_module, oidc_module};
    if (argc < 4)
        return 2;
    struct store_options o = store_options_for(argv[2]);
    t.data_dir = argv[1];
    config_defaults(&(struct config_bind){&trust_config, &t.options});
    t.pool = pool_new(1, 10);
    int status = store_open(&t.store, &o, &clock_system, modules, 2, &e) || trust_start(&t, &e);
    for (int i = 3; !status && i < argc; i++) {
        char *end;
        struct seed s = {.trust = &t, .amr = (unsigned)strtoul(argv[i], &end, 10), .number = i};
        s.role = *end == '+' ? str_c(end + 1) : STR_NONE;
        status = store_write(t.store, apply, &s, &e) != OK;
        if (!status)
            printf("{\"account\":%" PRId64 ",\"session\":%" PRId64 ",\"cookie\":\"%" STR_F "\"}\n",
                   s.s.account, s.s.id, STR_A(s.secret));
        arena_release(&s.arena);
    }
    if (status)
        fprintf(stderr, "sign_in: %s\n", e.text);
    trust_stop(&t);
    pool_free(t.pool);
    store_close(t.store);
    return status;
}
