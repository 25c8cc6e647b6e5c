/* Who may act for whom. See delegation.h. */
#include "trust/delegation.h"
#include "account_impl.h"
#include "core/vec.h"
#include <string.h>

#define PROOF "delegation.proof"

static const char *const kind_names[DELEGATION_KINDS] = {
    [DELEGATION_MINOR] = "minor",
    [DELEGATION_ADULT] = "adult",
    [DELEGATION_HOUSEHOLD] = "household",
    [DELEGATION_CARE] = "care",
};

const char *delegation_kind_name(enum delegation_kind k)
{
    return kind_names[k];
}

bool delegation_kind_find(struct str name, enum delegation_kind *out)
{
    for (unsigned k = 0; k < DELEGATION_KINDS; k++) {
        if (str_eq(name, str_c(kind_names[k]))) {
            *out = (enum delegation_kind)k;
            return true;
        }
    }
    return false;
}

static bool by_staff_only(enum delegation_kind k)
{
    return k == DELEGATION_MINOR || k == DELEGATION_ADULT;
}

/* --- writing --- */

static enum err cannot(struct error *e, const char *what)
{
    return error_set(e, ERR_INVALID, "%s", what);
}

/* Into the log of who is acted for, and told to both. */
static enum err tell(struct trust *t, struct store_conn *c, const struct delegation *d,
                     const char *event, int64_t by, struct error *e)
{
    struct arena a = ARENA_INIT;
    struct json_member m[] = {json_m(S("event"), json_v_str(str_c(event))),
                              json_m(S("kind"), json_v_str(str_c(kind_names[d->kind]))),
                              json_m(S("agent"), json_v_i64(&a, d->agent)),
                              json_m(S("scope"), json_v_i64(&a, d->scope)),
                              json_m(S("until"), json_v_i64(&a, d->until)),
                              json_m(S("by"), json_v_i64(&a, by))};
    struct json v = json_v_object(m, 6);
    struct json seen[] = {json_v_object(m, 2)};
    struct str notice = json_to_text(&a, seen);
    enum err err = account_log(t, c, d->principal, S("delegation"), json_to_text(&a, &v), NULL, e);
    if (!err)
        err = notice_add(t, c, d->principal, S("delegation"), notice, e);
    if (!err)
        err = notice_add(t, c, d->agent, S("delegation"), notice, e);
    arena_release(&a);
    return err;
}

static enum err insert(struct trust *t, struct store_conn *c, const struct delegation *d,
                       struct str proof, int64_t by, struct error *e)
{
    struct arena a = ARENA_INIT;
    struct vault_place at = {d->principal, S(PROOF), place_number()};
    struct str sealed = STR_NONE;
    enum err err = proof.n ? vault_seal(t->vault, c, &a, &at, proof, &sealed, e) : OK;
    if (!err)
        err =
            store_exec(c,
                       "INSERT INTO delegation(principal, agent, kind, scope, since, until,"
                       " proof, number) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                       SV(SV_INT(d->principal), SV_INT(d->agent), SV_INT(d->kind), SV_INT(d->scope),
                          SV_INT(d->since), SV_INT(d->until), SV_BLOB(sealed), SV_INT(at.number)),
                       NULL, e);
    arena_release(&a);
    return err ? err : tell(t, c, d, "delegation-begun", by, e);
}

static enum err age_of(struct trust *t, struct store_conn *c, struct arena *a, int64_t account,
                       int64_t now, int *age, int64_t *adult_at, struct error *e)
{
    struct person p;
    struct account row;
    enum err err = account_read(c, a, account, &row, e);
    if (!err && row.state != ACCOUNT_ACTIVE)
        err = cannot(e, "the account is not in use");
    if (!err)
        err = account_person(t, c, a, account, &p, e);
    if (err)
        return err;
    *age = account_age(&p, now);
    *adult_at = account_age_from(p.birth_date, ACCOUNT_ADULT_YEARS);
    return OK;
}

static enum err check(struct trust *t, struct store_conn *c, struct arena *a, struct delegation *d,
                      struct str proof, struct error *e)
{
    int64_t now = clock_now(t->clock), adult_at = 0, ignored;
    int age = -1, agents_age = -1;
    if (d->principal == d->agent)
        return cannot(e, "nobody acts for themselves");
    if (!d->scope || d->scope & ~(unsigned)SCOPE_ALL)
        return cannot(e, "scope");
    enum err err = age_of(t, c, a, d->principal, now, &age, &adult_at, e);
    if (!err)
        err = age_of(t, c, a, d->agent, now, &agents_age, &ignored, e);
    if (err)
        return err;
    if (agents_age >= 0 && agents_age < ACCOUNT_ADULT_YEARS)
        return cannot(e, "a minor does not act for others");
    if (d->kind == DELEGATION_MINOR) {
        if (age < 0 || age >= ACCOUNT_ADULT_YEARS)
            return cannot(e, "not a minor");
        if (!d->until || d->until > adult_at)
            d->until = adult_at;
    } else if (by_staff_only(d->kind) && !proof.n) {
        return cannot(e, "proof");
    }
    return d->until > now ? OK : cannot(e, "until");
}

enum err delegation_record(struct trust *t, struct store_conn *c, const struct delegation *d,
                           struct str proof, int64_t by, struct error *e)
{
    struct arena a = ARENA_INIT;
    struct delegation x = *d;
    x.since = clock_now(t->clock);
    enum err err = str_is_utf8(proof) && proof.n <= PERSON_TEXT_MAX ? check(t, c, &a, &x, proof, e)
                                                                    : cannot(e, "proof");
    if (!err)
        err = insert(t, c, &x, proof, by, e);
    arena_release(&a);
    return err;
}

/* --- given by the person --- */

enum err delegation_offer(struct trust *t, struct store_conn *c, struct arena *a,
                          const struct delegation *d, struct str *code, struct error *e)
{
    int64_t now = clock_now(t->clock);
    struct secret s = {d->principal,
                       str_printf(a, "%d %u %lld", (int)d->kind, d->scope, (long long)d->until)};
    if (by_staff_only(d->kind) || !d->scope || d->scope & ~(unsigned)SCOPE_ALL)
        return cannot(e, "kind");
    if (d->until <= now || d->until > now + DELEGATION_DAYS_MAX * DAY_US)
        return cannot(e, "until");
    enum err err = secret_drop(c, SECRET_DELEGATION, d->principal, e);
    return err ? err
               : secret_make(c, a, SECRET_DELEGATION, &s, now + DELEGATION_CODE_S * SECOND_US, code,
                             e);
}

static bool read_offer(struct str data, struct delegation *d)
{
    struct str kind, scope;
    int64_t k, s;
    if (!str_split(&data, ' ', &kind) || !str_split(&data, ' ', &scope) || !str_to_i64(kind, &k) ||
        !str_to_i64(scope, &s) || !str_to_i64(data, &d->until))
        return false;
    d->kind = (enum delegation_kind)k;
    d->scope = (unsigned)s;
    return true;
}

enum err delegation_accept(struct trust *t, struct store_conn *c, struct arena *a, int64_t agent,
                           struct str code, struct error *e)
{
    struct secret s;
    struct delegation d = {.agent = agent, .since = clock_now(t->clock)};
    enum err err = secret_use(c, a, SECRET_DELEGATION, code, d.since, &s, e);
    if (err)
        return err;
    d.principal = s.account;
    if (s.account == agent)
        return error_set(e, ERR_CONFLICT, "nobody acts for themselves");
    if (!read_offer(s.data, &d))
        return error_set(e, ERR_CORRUPT, "an offer is damaged");
    err = check(t, c, a, &d, STR_NONE, e);
    return err ? err : insert(t, c, &d, STR_NONE, agent, e);
}

/* --- ending --- */

static enum err end_rows(struct trust *t, struct store_conn *c, const struct delegation *list,
                         size_t n, int64_t by, struct error *e)
{
    int64_t now = clock_now(t->clock);
    enum err err = OK;
    for (size_t i = 0; !err && i < n; i++) {
        err = store_exec(c, "UPDATE delegation SET until = $2 WHERE id = $1",
                         SV(SV_INT(list[i].id), SV_INT(now)), NULL, e);
        if (!err)
            err = tell(t, c, &list[i], "delegation-ended", by, e);
    }
    return err;
}

#define COLUMNS                                                                                    \
    "SELECT d.id, d.principal, d.agent, d.kind, d.scope, d.since, d.until FROM delegation d"

static struct delegation read_row(const struct store_rows *rows)
{
    return (struct delegation){.id = store_int(rows, 0),
                               .principal = store_int(rows, 1),
                               .agent = store_int(rows, 2),
                               .kind = (enum delegation_kind)store_int(rows, 3),
                               .scope = (unsigned)store_int(rows, 4),
                               .since = store_int(rows, 5),
                               .until = store_int(rows, 6)};
}

enum err delegation_end(struct trust *t, struct store_conn *c, int64_t id, int64_t by,
                        bool by_staff, struct error *e)
{
    struct store_rows rows;
    struct delegation d = {0};
    store_query(c, &rows, COLUMNS " WHERE d.id = $1 AND d.until > $2",
                SV(SV_INT(id), SV_INT(clock_now(t->clock))));
    bool found = store_next(&rows);
    if (found)
        d = read_row(&rows);
    enum err err = store_end(&rows, e);
    if (err)
        return err;
    bool theirs = (d.principal == by || d.agent == by) && !by_staff_only(d.kind);
    if (!found || (!by_staff && !theirs))
        return error_set(e, ERR_NOT_FOUND, "there is no such delegation");
    return end_rows(t, c, &d, 1, by, e);
}

enum err delegation_end_all(struct trust *t, struct store_conn *c, int64_t account, struct error *e)
{
    struct arena a = ARENA_INIT;
    VEC(struct delegation) list = VEC_INIT;
    struct store_rows rows;
    store_query(c, &rows, COLUMNS " WHERE (d.principal = $1 OR d.agent = $1) AND d.until > $2",
                SV(SV_INT(account), SV_INT(clock_now(t->clock))));
    while (store_next(&rows))
        *vec_push(&a, &list) = read_row(&rows);
    enum err err = store_end(&rows, e);
    if (!err)
        err = end_rows(t, c, list.v, list.n, 0, e);
    arena_release(&a);
    return err;
}

enum err delegation_birth_changed(struct trust *t, struct store_conn *c, int64_t account,
                                  struct str birth_date, struct error *e)
{
    int64_t adult_at = account_age_from(birth_date, ACCOUNT_ADULT_YEARS);
    return store_exec(
        c, "UPDATE delegation SET until = $3 WHERE principal = $1 AND kind = $2 AND until > $4",
        SV(SV_INT(account), SV_INT(DELEGATION_MINOR), SV_INT(adult_at),
           SV_INT(clock_now(t->clock))),
        NULL, e);
}

/* --- reading --- */

enum err delegation_list(struct trust *t, struct store_conn *c, struct arena *a, int64_t account,
                         bool as_agent, const struct delegation **out, size_t *n, struct error *e)
{
    VEC(struct delegation) list = VEC_INIT;
    struct store_rows rows;
    const char *sql =
        as_agent ? COLUMNS " JOIN account p ON p.id = d.principal WHERE d.agent = $1"
                           " AND d.until > $2 AND p.state IN (0, 2) ORDER BY d.id LIMIT 200"
                 : COLUMNS " JOIN account p ON p.id = d.agent WHERE d.principal = $1"
                           " AND d.until > $2 AND p.state IN (0, 2) ORDER BY d.id LIMIT 200";
    store_query(c, &rows, sql, SV(SV_INT(account), SV_INT(clock_now(t->clock))));
    while (store_next(&rows))
        *vec_push(a, &list) = read_row(&rows);
    *out = list.v;
    *n = list.n;
    return store_end(&rows, e);
}

enum err delegation_allows(struct trust *t, struct store_conn *c, int64_t agent, int64_t principal,
                           unsigned scope, bool *out, struct error *e)
{
    struct store_rows rows;
    *out = false;
    store_query(c, &rows,
                COLUMNS " JOIN account p ON p.id = d.principal JOIN account g ON g.id = d.agent"
                        " WHERE d.principal = $1 AND d.agent = $2 AND d.until > $3"
                        " AND p.state IN (0, 2) AND g.state IN (0, 2)",
                SV(SV_INT(principal), SV_INT(agent), SV_INT(clock_now(t->clock))));
    while (store_next(&rows))
        *out = *out || (scope && (read_row(&rows).scope & scope) == scope);
    return store_end(&rows, e);
}
