/* Accounts: rows, sealed items, blind indexes, transitions. See account.h. */
#include "account_impl.h"
#include <string.h>

#define PERSON "account.person"

static const char *const state_names[ACCOUNT_STATES] = {
    [ACCOUNT_ACTIVE] = "active",       [ACCOUNT_SUSPENDED] = "suspended",
    [ACCOUNT_MOVED_OUT] = "moved-out", [ACCOUNT_DECEASED] = "deceased",
    [ACCOUNT_CLOSED] = "closed",
};

/* Bit s: that state may follow. */
static const unsigned may_follow[ACCOUNT_STATES] = {
    [ACCOUNT_ACTIVE] = 1 << ACCOUNT_SUSPENDED | 1 << ACCOUNT_MOVED_OUT | 1 << ACCOUNT_DECEASED |
                       1 << ACCOUNT_CLOSED,
    [ACCOUNT_SUSPENDED] = 1 << ACCOUNT_ACTIVE | 1 << ACCOUNT_DECEASED | 1 << ACCOUNT_CLOSED,
    [ACCOUNT_MOVED_OUT] =
        1 << ACCOUNT_ACTIVE | 1 << ACCOUNT_SUSPENDED | 1 << ACCOUNT_DECEASED | 1 << ACCOUNT_CLOSED,
    [ACCOUNT_DECEASED] = 1 << ACCOUNT_ACTIVE | 1 << ACCOUNT_CLOSED,
    [ACCOUNT_CLOSED] = 0,
};

const char *account_state_name(enum account_state s)
{
    return (unsigned)s < ACCOUNT_STATES ? state_names[s] : "unknown";
}

bool account_state_find(struct str name, enum account_state *out)
{
    for (unsigned s = 0; s < ACCOUNT_STATES; s++) {
        if (str_eq(name, str_c(state_names[s]))) {
            *out = (enum account_state)s;
            return true;
        }
    }
    return false;
}

bool account_state_may(enum account_state from, enum account_state to)
{
    return (unsigned)from < ACCOUNT_STATES && (may_follow[from] >> to & 1);
}

const char *ial_name(enum ial ial)
{
    static const char *const names[] = {"self", "desk", "card"};
    return names[ial];
}

/* --- reading --- */

static enum err no_account(struct error *e)
{
    return error_set(e, ERR_NOT_FOUND, "there is no such account");
}

enum err account_read(struct store_conn *c, struct arena *a, int64_t id, struct account *out,
                      struct error *e)
{
    struct store_rows rows;
    bool found;
    store_query(c, &rows, "SELECT state, ial, created, locale FROM account WHERE id = $1",
                SV(SV_INT(id)));
    if ((found = store_next(&rows)))
        *out =
            (struct account){.id = id,
                             .state = (enum account_state)store_int(&rows, 0),
                             .ial = (enum ial)store_int(&rows, 1),
                             .created = store_int(&rows, 2),
                             .locale = store_is_null(&rows, 3) ? STR_NONE
                                                               : str_dup(a, store_text(&rows, 3))};
    enum err err = store_end(&rows, e);
    return err || found ? err : no_account(e);
}

struct sealed_person {
    struct str bytes;
    int64_t version;
};

static enum err read_sealed(struct store_conn *c, struct arena *a, int64_t id,
                            struct sealed_person *out, struct error *e)
{
    struct store_rows rows;
    bool found;
    *out = (struct sealed_person){0};
    store_query(c, &rows, "SELECT person, version FROM account WHERE id = $1", SV(SV_INT(id)));
    if ((found = store_next(&rows))) {
        if (!store_is_null(&rows, 0))
            out->bytes = str_dup(a, store_blob(&rows, 0));
        out->version = store_int(&rows, 1);
    }
    enum err err = store_end(&rows, e);
    return err || found ? err : no_account(e);
}

enum err account_person(struct trust *t, struct store_conn *c, struct arena *a, int64_t id,
                        struct person *out, struct error *e)
{
    struct sealed_person sealed;
    struct str text;
    enum err err = read_sealed(c, a, id, &sealed, e);
    if (!err && !sealed.bytes.p)
        err = error_set(e, ERR_NOT_FOUND, "the account was erased");
    struct vault_place at = {id, S(PERSON), sealed.version};
    if (!err)
        err = vault_unseal(t->vault, c, a, &at, sealed.bytes, &text, e);
    return err ? err : person_of_json(a, text, out, e);
}

/* --- indexes --- */

static struct str index_name(enum account_index index)
{
    static const char *const names[] = {[INDEX_LOGIN] = "account.login",
                                        [INDEX_EMAIL] = "account.email",
                                        [INDEX_PHONE] = "account.phone",
                                        [INDEX_NAME_BIRTH] = "account.name_birth"};
    return str_c(names[index]);
}

static enum err add_index(struct trust *t, struct store_conn *c, int64_t id,
                          enum account_index index, struct str value, struct error *e)
{
    struct hash h;
    if (!value.n)
        return OK;
    enum err err = vault_blind(t->vault, index_name(index), value, &h, e);
    if (err)
        return err;
    return store_exec(c, "INSERT INTO account_index(kind, blind, account) VALUES ($1, $2, $3)",
                      SV(SV_INT(index), SV_BLOB(hash_text(&h)), SV_INT(id)), NULL, e);
}

static enum err drop_indexes(struct store_conn *c, int64_t id, struct error *e)
{
    return store_exec(c, "DELETE FROM account_index WHERE account = $1", SV(SV_INT(id)), NULL, e);
}

static enum err login_is_free(struct trust *t, struct store_conn *c, struct arena *a, int64_t id,
                              struct str login, struct error *e)
{
    int64_t ids[ACCOUNT_FOUND_MAX];
    size_t n = 0;
    if (!login.n)
        return OK;
    enum err err = account_find(t, c, a, INDEX_LOGIN, login, ids, &n, e);
    if (!err && n && ids[0] != id)
        err = error_set(e, ERR_EXISTS, "the sign-in name is taken");
    return err;
}

static enum err write_indexes(struct trust *t, struct store_conn *c, struct arena *a, int64_t id,
                              const struct person *p, struct error *e)
{
    struct {
        enum account_index index;
        struct str value;
    } all[] = {{INDEX_LOGIN, p->login},
               {INDEX_EMAIL, p->email},
               {INDEX_PHONE, p->phone},
               {INDEX_NAME_BIRTH, account_name_birth(a, p->name, p->birth_date)}};
    enum err err = login_is_free(t, c, a, id, p->login, e);
    if (!err)
        err = drop_indexes(c, id, e);
    for (size_t i = 0; !err && i < sizeof(all) / sizeof(all[0]); i++)
        err = add_index(t, c, id, all[i].index, index_value(a, all[i].index, all[i].value), e);
    return err;
}

enum err account_find(struct trust *t, struct store_conn *c, struct arena *a,
                      enum account_index index, struct str value, int64_t *ids, size_t *n,
                      struct error *e)
{
    struct store_rows rows;
    struct hash h;
    struct str folded = index_value(a, index, value);
    *n = 0;
    enum err err = vault_blind(t->vault, index_name(index), folded, &h, e);
    if (err)
        return err;
    store_query(c, &rows,
                "SELECT account FROM account_index WHERE kind = $1 AND blind = $2"
                " ORDER BY account LIMIT 20",
                SV(SV_INT(index), SV_BLOB(hash_text(&h))));
    while (*n < ACCOUNT_FOUND_MAX && store_next(&rows))
        ids[(*n)++] = store_int(&rows, 0);
    return store_end(&rows, e);
}

/* --- making and changing --- */

static enum err seal_person(struct trust *t, struct store_conn *c, struct arena *a, int64_t id,
                            int64_t version, const struct person *p, struct error *e)
{
    struct str sealed;
    struct vault_place at = {id, S(PERSON), version};
    enum err err = vault_seal(t->vault, c, a, &at, person_to_json(a, p), &sealed, e);
    if (err)
        return err;
    return store_exec(c, "UPDATE account SET person = $2, version = $3 WHERE id = $1",
                      SV(SV_INT(id), SV_BLOB(sealed), SV_INT(version)), NULL, e);
}

/* What happened to an account, by whom: into the log. The members end with what is given. */
static enum err log_change(struct trust *t, struct store_conn *c, struct arena *a, int64_t id,
                           const char *event, int64_t by, const struct json_member *more,
                           size_t n_more, struct error *e)
{
    struct json_member m[6] = {json_m(S("event"), json_v_str(str_c(event))),
                               json_m(S("by"), json_v_i64(a, by))};
    for (size_t i = 0; i < n_more && i < 4; i++)
        m[2 + i] = more[i];
    struct json v = json_v_object(m, 2 + n_more);
    return account_log(t, c, id, S("account"), json_to_text(a, &v), NULL, e);
}

enum err account_create(struct trust *t, struct store_conn *c, const struct account_new *n,
                        int64_t *id, struct error *e)
{
    struct arena a = ARENA_INIT;
    int64_t now = clock_now(t->clock);
    enum err err = store_get_int(
        c, id,
        "INSERT INTO account(state, ial, created, locale, version) VALUES ($1, $2, $3, $4, 1)"
        " RETURNING id",
        SV(SV_INT(ACCOUNT_ACTIVE), SV_INT(n->ial), SV_INT(now), SV_TEXT(n->locale)), e);
    if (!err)
        err = seal_person(t, c, &a, *id, 1, &n->person, e);
    if (!err)
        err = write_indexes(t, c, &a, *id, &n->person, e);
    struct json_member ial = json_m(S("ial"), json_v_str(str_c(ial_name(n->ial))));
    if (!err)
        err = log_change(t, c, &a, *id, "created", n->by, &ial, 1, e);
    arena_release(&a);
    return err;
}

enum err account_set_person(struct trust *t, struct store_conn *c, int64_t id,
                            const struct person *p, int64_t by, struct error *e)
{
    struct arena a = ARENA_INIT;
    struct sealed_person old;
    enum err err = read_sealed(c, &a, id, &old, e);
    if (!err && !old.bytes.p)
        err = error_set(e, ERR_NOT_FOUND, "the account was erased");
    if (!err)
        err = seal_person(t, c, &a, id, old.version + 1, p, e);
    if (!err)
        err = write_indexes(t, c, &a, id, p, e);
    if (!err)
        err = log_change(t, c, &a, id, "corrected", by, NULL, 0, e);
    if (!err)
        err = delegation_birth_changed(t, c, id, p->birth_date, e);
    arena_release(&a);
    return err;
}

enum err account_set_ial(struct trust *t, struct store_conn *c, int64_t id, enum ial ial,
                         int64_t by, struct error *e)
{
    struct arena a = ARENA_INIT;
    int64_t changed = 0;
    enum err err = store_exec(c, "UPDATE account SET ial = $2 WHERE id = $1",
                              SV(SV_INT(id), SV_INT(ial)), &changed, e);
    if (!err && !changed)
        err = no_account(e);
    struct json_member to = json_m(S("ial"), json_v_str(str_c(ial_name(ial))));
    if (!err)
        err = log_change(t, c, &a, id, "proofed", by, &to, 1, e);
    arena_release(&a);
    return err;
}

enum err account_set_locale(struct store_conn *c, int64_t id, struct str locale, struct error *e)
{
    return store_exec(c, "UPDATE account SET locale = $2 WHERE id = $1",
                      SV(SV_INT(id), SV_TEXT(locale)), NULL, e);
}

/* --- transitions --- */

/* Everything that could be traced or opened; the row and the log's entries stay. */
static enum err erase(struct store_conn *c, int64_t id, int64_t now, struct error *e)
{
    enum err err = drop_indexes(c, id, e);
    if (!err)
        err = store_exec(c, "UPDATE account SET person = NULL, locale = NULL WHERE id = $1",
                         SV(SV_INT(id)), NULL, e);
    if (!err)
        err =
            store_exec(c, "DELETE FROM account_notice WHERE account = $1", SV(SV_INT(id)), NULL, e);
    if (!err)
        err = proof_erase(c, id, e);
    if (!err)
        err = store_exec(c, "DELETE FROM card_credential WHERE account = $1", SV(SV_INT(id)), NULL,
                         e);
    return err ? err : vault_erase(c, id, now, e);
}

static enum err end_roles(struct store_conn *c, int64_t id, int64_t now, struct error *e)
{
    return store_exec(c,
                      "UPDATE account_role SET until = $2 WHERE account = $1"
                      " AND (until = 0 OR until > $2)",
                      SV(SV_INT(id), SV_INT(now)), NULL, e);
}

static enum err state_notice(struct trust *t, struct store_conn *c, struct arena *a, int64_t id,
                             enum account_state to, struct error *e)
{
    struct json_member m = json_m(S("state"), json_v_str(str_c(account_state_name(to))));
    struct json v = json_v_object(&m, 1);
    return notice_add(t, c, id, S("state"), json_to_text(a, &v), e);
}

enum err account_set_state(struct trust *t, struct store_conn *c, int64_t id,
                           enum account_state state, struct str reason, int64_t by, struct error *e)
{
    struct arena a = ARENA_INIT;
    struct account was;
    int64_t now = clock_now(t->clock);
    enum err err = account_read(c, &a, id, &was, e);
    if (!err && !account_state_may(was.state, state))
        err = error_set(e, ERR_CONFLICT, "an account that is %s does not become %s",
                        account_state_name(was.state), account_state_name(state));
    if (!err)
        err = store_exec(c, "UPDATE account SET state = $2 WHERE id = $1",
                         SV(SV_INT(id), SV_INT(state)), NULL, e);
    struct json_member m[] = {json_m(S("from"), json_v_str(str_c(account_state_name(was.state)))),
                              json_m(S("to"), json_v_str(str_c(account_state_name(state)))),
                              json_m(S("reason"),
                                     json_v_str(str_is_utf8(reason) ? reason : S("")))};
    if (!err)
        err = log_change(t, c, &a, id, "state", by, m, 3, e);
    if (!err && state != ACCOUNT_CLOSED)
        err = state_notice(t, c, &a, id, state, e);
    if (!err && state != ACCOUNT_ACTIVE && state != ACCOUNT_MOVED_OUT)
        err = session_end_all(t, c, id, 0, e);
    if (!err && (state == ACCOUNT_DECEASED || state == ACCOUNT_CLOSED))
        err = end_roles(c, id, now, e);
    if (!err && (state == ACCOUNT_DECEASED || state == ACCOUNT_CLOSED))
        err = delegation_end_all(t, c, id, e);
    if (!err && state == ACCOUNT_CLOSED)
        err = erase(c, id, now, e);
    arena_release(&a);
    return err;
}

/* --- roles --- */

enum err account_roles(struct store_conn *c, struct arena *a, int64_t id, int64_t now,
                       const struct role **out, size_t *n, struct error *e)
{
    enum { ROLES_MAX = 64 };
    struct store_rows rows;
    struct role *list = ARENA_ARRAY(a, struct role, ROLES_MAX);
    *n = 0;
    store_query(c, &rows,
                "SELECT name, organisation FROM account_role WHERE account = $1 AND since <= $2"
                " AND (until = 0 OR until > $2) ORDER BY name, organisation LIMIT 64",
                SV(SV_INT(id), SV_INT(now)));
    while (*n < ROLES_MAX && store_next(&rows))
        list[(*n)++] =
            (struct role){str_dup(a, store_text(&rows, 0)), str_dup(a, store_text(&rows, 1))};
    *out = list;
    return store_end(&rows, e);
}

bool role_is_among(const struct role *roles, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(roles[i].name, str_c(name)))
            return true;
    return false;
}

static bool is_role(const struct role *r)
{
    for (size_t i = 0; i < r->name.n; i++) {
        char c = r->name.p[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-')
            return false;
    }
    return r->name.n > 0 && r->name.n <= 40 && r->organisation.n <= PERSON_TEXT_MAX &&
           str_is_utf8(r->organisation);
}

static enum err log_role(struct trust *t, struct store_conn *c, int64_t id, const char *event,
                         const struct role *role, int64_t by, struct error *e)
{
    struct arena a = ARENA_INIT;
    struct json_member m[] = {json_m(S("role"), json_v_str(role->name)),
                              json_m(S("organisation"), json_v_str(role->organisation))};
    enum err err = log_change(t, c, &a, id, event, by, m, 2, e);
    arena_release(&a);
    return err;
}

enum err account_give_role(struct trust *t, struct store_conn *c, int64_t id,
                           const struct role *role, int64_t until, int64_t by, struct error *e)
{
    int64_t now = clock_now(t->clock);
    struct role r = {role->name, role->organisation.p ? role->organisation : S("")};
    if (!is_role(&r) || (until && until <= now))
        return error_set(e, ERR_INVALID, "this cannot be a role");
    enum err err =
        store_exec(c,
                   "INSERT INTO account_role(account, name, organisation, since, until)"
                   " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (account, name, organisation)"
                   " DO UPDATE SET since = excluded.since, until = excluded.until",
                   SV(SV_INT(id), SV_TEXT(r.name), SV_TEXT(r.organisation), SV_INT(now),
                      SV_INT(until)),
                   NULL, e);
    return err ? err : log_role(t, c, id, "role-given", &r, by, e);
}

/* A city that nobody administers could not be helped but from its command line. */
static enum err another_administrator(struct store_conn *c, int64_t id, int64_t now,
                                      struct error *e)
{
    int64_t n = 0;
    enum err err = store_get_int(
        c, &n,
        "SELECT COUNT(*) FROM account_role r JOIN account a ON a.id = r.account WHERE r.name = $1"
        " AND r.account <> $2 AND (r.until = 0 OR r.until > $3) AND a.state = 0",
        SV(SV_TEXT(S(ROLE_ADMINISTRATOR)), SV_INT(id), SV_INT(now)), e);
    if (!err && !n)
        err = error_set(e, ERR_CONFLICT, "this is the last administrator");
    return err;
}

enum err account_take_role(struct trust *t, struct store_conn *c, int64_t id,
                           const struct role *role, int64_t by, struct error *e)
{
    int64_t now = clock_now(t->clock), changed = 0;
    struct role r = {role->name, role->organisation.p ? role->organisation : S("")};
    if (str_eq(r.name, S(ROLE_ADMINISTRATOR)) && another_administrator(c, id, now, e))
        return e->code;
    enum err err = store_exec(c,
                              "UPDATE account_role SET until = $4 WHERE account = $1 AND name = $2"
                              " AND organisation = $3 AND (until = 0 OR until > $4)",
                              SV(SV_INT(id), SV_TEXT(r.name), SV_TEXT(r.organisation), SV_INT(now)),
                              &changed, e);
    if (!err && !changed)
        err = error_set(e, ERR_NOT_FOUND, "they do not have this role");
    return err ? err : log_role(t, c, id, "role-taken", &r, by, e);
}
