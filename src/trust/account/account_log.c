/*
 * The log of one person, and their inbox. An entry's content stands sealed beside its leaf
 * (log.h); subject_entry says which leaves are whose and under which number they were sealed.
 */
#include "account_impl.h"
#include "core/vec.h"
#include <string.h>

#define ENTRY  "account.entry"
#define NOTICE "account.notice"

int64_t place_number(void)
{
    int64_t n;
    random_bytes(&n, sizeof(n));
    return n & INT64_MAX;
}

/* --- entries --- */

enum err account_log(struct trust *t, struct store_conn *c, int64_t account, struct str kind,
                     struct str content, int64_t *leaf, struct error *e)
{
    struct arena a = ARENA_INIT;
    struct log_salt salt = log_salt_new();
    struct vault_place at = {account, S(ENTRY), place_number()};
    struct log_entry entry = {.kind = kind,
                              .at = clock_now(t->clock),
                              .commitment = log_commitment(&salt, content)};
    struct str plain = str_concat(&a, str_n((const char *)salt.b, LOG_SALT_BYTES), content);
    int64_t place;
    enum err err = vault_seal(t->vault, c, &a, &at, plain, &entry.sealed, e);
    if (!err)
        err = log_append(c, &entry, leaf ? leaf : &place, e);
    if (!err)
        err = store_exec(c,
                         "INSERT INTO subject_entry(leaf, account, kind, at, number)"
                         " VALUES ($1, $2, $3, $4, $5)",
                         SV(SV_INT(leaf ? *leaf : place), SV_INT(account), SV_TEXT(kind),
                            SV_INT(entry.at), SV_INT(at.number)),
                         NULL, e);
    arena_release(&a);
    return err;
}

/* Content that cannot be opened because the person was erased is absent. */
static enum err open_entry(struct trust *t, struct store_conn *c, struct arena *a,
                           const struct vault_place *at, struct account_entry *out, struct error *e)
{
    struct log_leaf leaf;
    struct str plain;
    enum err err = log_read(c, a, out->leaf, &leaf, e);
    if (err || !leaf.sealed.p)
        return err;
    err = vault_unseal(t->vault, c, a, at, leaf.sealed, &plain, e);
    if (err == ERR_NOT_FOUND)
        return OK;
    if (!err && plain.n < LOG_SALT_BYTES)
        return error_set(e, ERR_CORRUPT, "an entry of the log is damaged");
    if (!err) {
        out->salt = str_sub(plain, 0, LOG_SALT_BYTES);
        out->content = str_from(plain, LOG_SALT_BYTES);
    }
    return err;
}

enum err account_entries(struct trust *t, struct store_conn *c, struct arena *a, int64_t account,
                         struct str kind, int64_t before, size_t limit,
                         const struct account_entry **out, size_t *n, struct error *e)
{
    VEC(struct account_entry) list = VEC_INIT;
    VEC(int64_t) numbers = VEC_INIT;
    struct store_rows rows;
    if (kind.n)
        store_query(c, &rows,
                    "SELECT leaf, at, kind, number FROM subject_entry WHERE account = $1"
                    " AND leaf < $2 AND kind = $4 ORDER BY leaf DESC LIMIT $3",
                    SV(SV_INT(account), SV_INT(before), SV_INT(limit), SV_TEXT(kind)));
    else
        store_query(c, &rows,
                    "SELECT leaf, at, kind, number FROM subject_entry WHERE account = $1"
                    " AND leaf < $2 ORDER BY leaf DESC LIMIT $3",
                    SV(SV_INT(account), SV_INT(before), SV_INT(limit)));
    while (store_next(&rows)) {
        *vec_push(a, &list) = (struct account_entry){.leaf = store_int(&rows, 0),
                                                     .at = store_int(&rows, 1),
                                                     .kind = str_dup(a, store_text(&rows, 2))};
        *vec_push(a, &numbers) = store_int(&rows, 3);
    }
    enum err err = store_end(&rows, e);
    for (size_t i = 0; !err && i < list.n; i++) {
        struct vault_place at = {account, S(ENTRY), numbers.v[i]};
        err = open_entry(t, c, a, &at, &list.v[i], e);
    }
    *out = list.v;
    *n = list.n;
    return err;
}

/* --- notices --- */

enum err notice_add(struct trust *t, struct store_conn *c, int64_t account, struct str kind,
                    struct str body, struct error *e)
{
    struct arena a = ARENA_INIT;
    struct vault_place at = {account, S(NOTICE), place_number()};
    struct str sealed;
    enum err err = vault_seal(t->vault, c, &a, &at, body, &sealed, e);
    if (!err)
        err = store_exec(c,
                         "INSERT INTO account_notice(account, at, kind, body, number, seen)"
                         " VALUES ($1, $2, $3, $4, $5, 0)",
                         SV(SV_INT(account), SV_INT(clock_now(t->clock)), SV_TEXT(kind),
                            SV_BLOB(sealed), SV_INT(at.number)),
                         NULL, e);
    if (!err)
        err = store_exec(c,
                         "DELETE FROM account_notice WHERE account = $1 AND id <="
                         " (SELECT id FROM account_notice WHERE account = $1"
                         " ORDER BY id DESC LIMIT 1 OFFSET $2)",
                         SV(SV_INT(account), SV_INT(NOTICES_MAX)), NULL, e);
    arena_release(&a);
    return err;
}

enum err notice_list(struct trust *t, struct store_conn *c, struct arena *a, int64_t account,
                     int64_t before, size_t limit, const struct notice **out, size_t *n,
                     struct error *e)
{
    VEC(struct notice) list = VEC_INIT;
    struct store_rows rows;
    enum err err = OK;
    store_query(c, &rows,
                "SELECT id, at, kind, seen, body, number FROM account_notice WHERE account = $1"
                " AND id < $2 ORDER BY id DESC LIMIT $3",
                SV(SV_INT(account), SV_INT(before), SV_INT(limit)));
    while (!err && store_next(&rows)) {
        struct vault_place at = {account, S(NOTICE), store_int(&rows, 5)};
        struct str sealed = str_dup(a, store_blob(&rows, 4));
        struct notice *one = vec_push(a, &list);
        *one = (struct notice){.id = store_int(&rows, 0),
                               .at = store_int(&rows, 1),
                               .kind = str_dup(a, store_text(&rows, 2)),
                               .seen = store_int(&rows, 3) != 0};
        err = vault_unseal(t->vault, c, a, &at, sealed, &one->body, e);
    }
    enum err end = store_end(&rows, err ? NULL : e);
    *out = list.v;
    *n = list.n;
    return err ? err : end;
}

enum err notice_unseen(struct store_conn *c, int64_t account, int64_t *n, struct error *e)
{
    return store_get_int(c, n,
                         "SELECT COUNT(*) FROM account_notice WHERE account = $1 AND seen = 0",
                         SV(SV_INT(account)), e);
}

enum err notice_mark_seen(struct store_conn *c, int64_t account, int64_t up_to, struct error *e)
{
    return store_exec(
        c, "UPDATE account_notice SET seen = 1 WHERE account = $1 AND id <= $2 AND seen = 0",
        SV(SV_INT(account), SV_INT(up_to)), NULL, e);
}
