/* Codes and tickets that are good once and for a while. The store holds their hashes. */
#include "account_impl.h"
#include "core/text.h"
#include "crypto/otp.h"
#include <string.h>

enum { CODE_CHARS = 20, CODE_GROUP = 5, TICKET_BYTES = 32, TRIES_MAX = 5 };

/* 0, 1 and 8 are in no code: they are O, I and B misread. */
struct str secret_words(struct arena *a, struct str typed)
{
    struct str s = typed.n <= 400 && str_is_utf8(typed) ? text_fold(a, typed) : STR_NONE;
    char *out = arena_alloc(a, s.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        c = c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
        c = c == '0' ? 'O' : c == '1' ? 'I' : c == '8' ? 'B' : c;
        if ((c >= 'A' && c <= 'Z') || (c >= '2' && c <= '9'))
            out[n++] = c;
    }
    return str_n(out, n);
}

static struct str new_code(struct arena *a)
{
    unsigned char bytes[CODE_CHARS * 5 / 8 + 1];
    random_bytes(bytes, sizeof(bytes));
    struct str plain = base32_encode(a, str_n((const char *)bytes, sizeof(bytes)));
    struct str code = str_sub(plain, 0, CODE_GROUP);
    for (size_t i = CODE_GROUP; i < CODE_CHARS; i += CODE_GROUP)
        code =
            str_printf(a, "%" STR_F "-%" STR_F, STR_A(code), STR_A(str_sub(plain, i, CODE_GROUP)));
    return code;
}

static struct hash hash_of(struct arena *a, enum secret_kind kind, struct str text)
{
    static const char *const names[] = {"second", "enrol", "delegation"};
    struct str fields[] = {S("secret"), str_c(names[kind]),
                           kind == SECRET_SECOND ? text : secret_words(a, text)};
    return hash_blake2b_fields(fields, 3);
}

enum err secret_make(struct store_conn *c, struct arena *a, enum secret_kind kind,
                     const struct secret *s, int64_t expires, struct str *text, struct error *e)
{
    *text = kind == SECRET_SECOND ? random_token(a, TICKET_BYTES) : new_code(a);
    struct hash h = hash_of(a, kind, *text);
    return store_exec(c,
                      "INSERT INTO account_secret(hash, kind, account, data, expires, tries)"
                      " VALUES ($1, $2, $3, $4, $5, 0)",
                      SV(SV_BLOB(hash_text(&h)), SV_INT(kind), SV_INT(s->account),
                         SV_TEXT(s->data.p ? s->data : S("")), SV_INT(expires)),
                      NULL, e);
}

static enum err take(struct store_conn *c, struct arena *a, const char *sql, enum secret_kind kind,
                     struct str text, int64_t now, struct secret *out, struct error *e)
{
    struct store_rows rows;
    struct hash h = hash_of(a, kind, text);
    bool found;
    store_query(c, &rows, sql, SV(SV_BLOB(hash_text(&h)), SV_INT(kind), SV_INT(now)));
    if ((found = store_next(&rows)))
        *out = (struct secret){store_int(&rows, 0), str_dup(a, store_text(&rows, 1))};
    while (store_next(&rows)) /* to the end: it is a change */
        continue;
    enum err err = store_end(&rows, e);
    return err || found ? err : error_set(e, ERR_UNAUTHENTICATED, "this is not a good code");
}

enum err secret_use(struct store_conn *c, struct arena *a, enum secret_kind kind, struct str text,
                    int64_t now, struct secret *out, struct error *e)
{
    return take(c, a,
                "DELETE FROM account_secret WHERE hash = $1 AND kind = $2 AND expires > $3"
                " RETURNING account, data",
                kind, text, now, out, e);
}

enum err secret_try(struct store_conn *c, struct arena *a, enum secret_kind kind, struct str text,
                    int64_t now, struct secret *out, struct error *e)
{
    _Static_assert(TRIES_MAX == 5, "stands in the statement");
    return take(c, a,
                "UPDATE account_secret SET tries = tries + 1 WHERE hash = $1 AND kind = $2"
                " AND expires > $3 AND tries < 5 RETURNING account, data",
                kind, text, now, out, e);
}

enum err secret_drop(struct store_conn *c, enum secret_kind kind, int64_t account, struct error *e)
{
    return store_exec(c, "DELETE FROM account_secret WHERE account = $1 AND kind = $2",
                      SV(SV_INT(account), SV_INT(kind)), NULL, e);
}

enum err secret_sweep(struct store_conn *c, int64_t now, struct error *e)
{
    return store_exec(c, "DELETE FROM account_secret WHERE expires <= $1", SV(SV_INT(now)), NULL,
                      e);
}

enum err enrol_code_make(struct trust *t, struct store_conn *c, struct arena *a, int64_t account,
                         int64_t by, struct str *code, struct error *e)
{
    struct secret s = {account, STR_NONE};
    int64_t expires = clock_now(t->clock) + ENROL_DAYS * DAY_US;
    enum err err = secret_drop(c, SECRET_ENROL, account, e);
    if (!err)
        err = secret_make(c, a, SECRET_ENROL, &s, expires, code, e);
    if (!err)
        err = proof_changed(t, c, account, "code-given", str_printf(a, "%lld", (long long)by), e);
    return err;
}
