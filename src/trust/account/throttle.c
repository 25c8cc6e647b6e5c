/*
 * Counts of attempts. A counter has some attempts free; each one over them makes the next wait
 * twice as long, up to a limit. A counter that nobody touched for a day is forgotten, and there are
 * never more than ROWS_MAX: the oldest go first.
 */
#include "account_impl.h"
#include <arpa/inet.h>
#include <string.h>

enum { BASE_S = 15, FORGET_S = 86400, ROWS_MAX = 200000 };

/* --- what is counted --- */

static enum err add_key(struct trust *t, struct throttle *th, struct str text, int64_t free,
                        bool shared, struct error *e)
{
    struct throttle_key *k = &th->keys[th->n++];
    k->free = free;
    k->shared = shared;
    return vault_blind(t->vault, S("throttle"), text, &k->hash, e);
}

/* Bytes of the client's address; 0: none that is counted. */
static size_t address_of(const struct request *req, unsigned char out[static 16])
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    char z[INET6_ADDRSTRLEN];
    if (!req || !req->client.n || req->client.n >= sizeof(z))
        return 0;
    memcpy(z, req->client.p, req->client.n);
    z[req->client.n] = '\0';
    if (inet_pton(AF_INET, z, out) == 1)
        return out[0] == 127 ? 0 : 4;
    if (inet_pton(AF_INET6, z, out) != 1)
        return 0;
    if (!memcmp(out, mapped, sizeof(mapped))) {
        memmove(out, out + 12, 4);
        return out[0] == 127 ? 0 : 4;
    }
    return memcmp(out, &in6addr_loopback, 16) ? 16 : 0;
}

enum err throttle_for(struct trust *t, struct arena *a, const char *what, struct str name,
                      const struct request *req, struct throttle *out, struct error *e)
{
    unsigned char address[16];
    size_t n = address_of(req, address);
    int64_t per_address = t->options.attempts_per_address;
    enum err err = OK;
    *out = (struct throttle){0};
    if (name.n)
        err = add_key(t, out, str_printf(a, "%s name %" STR_F, what, STR_A(name)),
                      t->options.attempts_per_name, false, e);
    struct str hex = hex_encode(a, str_n((const char *)address, n));
    if (!err && n)
        err = add_key(t, out, str_printf(a, "%s address %" STR_F, what, STR_A(hex)), per_address,
                      true, e);
    if (!err && n == 16)
        err = add_key(t, out, str_printf(a, "%s net %" STR_F, what, STR_A(str_cut(hex, 16))),
                      2 * per_address, true, e);
    return err;
}

/* --- counting --- */

struct counter {
    int64_t attempts, last, until;
};

static enum err read_counter(struct store_conn *c, const struct throttle_key *k,
                             struct counter *out, struct error *e)
{
    struct store_rows rows;
    *out = (struct counter){0};
    store_query(c, &rows, "SELECT attempts, last, until FROM throttle WHERE name = $1",
                SV(SV_BLOB(hash_text(&k->hash))));
    if (store_next(&rows))
        *out = (struct counter){store_int(&rows, 0), store_int(&rows, 1), store_int(&rows, 2)};
    return store_end(&rows, e);
}

static enum err write_counter(struct store_conn *c, const struct throttle_key *k,
                              const struct counter *n, struct error *e)
{
    return store_exec(c,
                      "INSERT INTO throttle(name, attempts, last, until) VALUES ($1, $2, $3, $4)"
                      " ON CONFLICT (name) DO UPDATE SET attempts = excluded.attempts,"
                      " last = excluded.last, until = excluded.until",
                      SV(SV_BLOB(hash_text(&k->hash)), SV_INT(n->attempts), SV_INT(n->last),
                         SV_INT(n->until)),
                      NULL, e);
}

static int64_t lock_s(int64_t over, int64_t most)
{
    int64_t s = over <= 0 ? 0 : over > 20 ? most : BASE_S << (over - 1);
    return s < most ? s : most;
}

static void count_one(const struct trust *t, const struct throttle_key *k, int64_t now,
                      struct counter *n)
{
    if (now - n->last >= FORGET_S * SECOND_US)
        n->attempts = 0;
    n->attempts++;
    n->last = now;
    n->until = now + lock_s(n->attempts - k->free, t->options.attempts_lock_max_s) * SECOND_US;
}

enum err throttle_enter(struct trust *t, struct store_conn *c, struct throttle *th, struct error *e)
{
    struct counter n[THROTTLE_KEYS];
    int64_t now = clock_now(t->clock);
    enum err err = OK;
    th->wait_s = 0;
    for (size_t i = 0; !err && i < th->n; i++) {
        err = read_counter(c, &th->keys[i], &n[i], e);
        int64_t wait = (n[i].until - now + SECOND_US - 1) / SECOND_US;
        if (!err && n[i].until > now && wait > th->wait_s)
            th->wait_s = wait;
    }
    if (!err && th->wait_s)
        return error_set(e, ERR_TOO_MANY, "too many attempts; wait a while");
    for (size_t i = 0; !err && i < th->n; i++) {
        count_one(t, &th->keys[i], now, &n[i]);
        err = write_counter(c, &th->keys[i], &n[i], e);
    }
    return err;
}

enum err throttle_forgive(struct store_conn *c, const struct throttle *th, struct error *e)
{
    enum err err = OK;
    for (size_t i = 0; !err && i < th->n; i++) {
        struct str name = hash_text(&th->keys[i].hash);
        if (th->keys[i].shared)
            err = store_exec(c,
                             "UPDATE throttle SET attempts = attempts - 1, until = 0"
                             " WHERE name = $1 AND attempts > 0",
                             SV(SV_BLOB(name)), NULL, e);
        else
            err = store_exec(c, "DELETE FROM throttle WHERE name = $1", SV(SV_BLOB(name)), NULL, e);
    }
    return err;
}

enum err throttle_sweep(struct store_conn *c, int64_t now, struct error *e)
{
    enum err err = store_exec(c, "DELETE FROM throttle WHERE last < $1",
                              SV(SV_INT(now - FORGET_S * SECOND_US)), NULL, e);
    if (!err)
        err = store_exec(c,
                         "DELETE FROM throttle WHERE last <="
                         " (SELECT last FROM throttle ORDER BY last DESC LIMIT 1 OFFSET $1)",
                         SV(SV_INT(ROWS_MAX)), NULL, e);
    return err;
}

enum err proof_count(struct trust *t, struct store_conn *c, const char *what,
                     const struct request *req, int64_t *wait_s, struct error *e)
{
    struct arena a = ARENA_INIT;
    struct throttle th;
    enum err err = throttle_for(t, &a, what, STR_NONE, req, &th, e);
    if (!err)
        err = throttle_enter(t, c, &th, e);
    *wait_s = th.wait_s;
    arena_release(&a);
    return err;
}
