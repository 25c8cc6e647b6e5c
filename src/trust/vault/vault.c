/*
 * Data keys, wrapped and used. A key is unwrapped for each use: that costs a microsecond, and
 * nothing has to be forgotten when a subject is erased, here or in another process.
 *
 * The row of subject 0 seals a fixed text: it tells whether the key-encryption key is the right
 * one. Blind indexes have a root of their own, sealed beside it, so that another key-encryption key
 * does not change them.
 */
#include "trust/vault.h"
#include "../key_file.h"
#include "core/log.h"
#include "token.h"
#include <stdlib.h>
#include <string.h>

#define KEY_FILE "vault.key"

enum { NOBODY = 0 }; /* the subject of what belongs to the city */

struct vault {
    bool open; /* the key is there */
    struct seal_key kek;
    struct seal_key blind;
};

/* --- the key-encryption key --- */

static enum err parse_kek(struct str text, struct seal_key *out, struct error *e)
{
    struct arena a = ARENA_INIT;
    struct str bytes;
    bool good = base64url_decode(&a, text, &bytes) && bytes.n == SEAL_KEY_BYTES;
    if (good)
        memcpy(out->b, bytes.p, SEAL_KEY_BYTES);
    arena_release(&a);
    return good ? OK
                : error_set(e, ERR_INVALID, "the vault's key must be %d bytes as base64url",
                            SEAL_KEY_BYTES);
}

static struct str kek_text(struct arena *a, const struct seal_key *k)
{
    return base64url_encode(a, str_n((const char *)k->b, sizeof(k->b)));
}

static enum err read_kek(struct trust *t, struct seal_key *out, struct error *e)
{
    struct arena a = ARENA_INIT;
    struct str text = str_c(t->options.vault_key);
    enum err err = OK;
    if (!text.n)
        err = key_file_read(&a, key_file_path(&a, t->data_dir, KEY_FILE), &text, e);
    if (!err)
        err = parse_kek(text, out, e);
    arena_release(&a);
    return err;
}

static enum err make_kek(struct trust *t, struct seal_key *out, struct error *e)
{
    struct arena a = ARENA_INIT;
    *out = seal_key_new();
    enum err err = key_file_write(key_file_path(&a, t->data_dir, KEY_FILE), kek_text(&a, out), e);
    arena_release(&a);
    return err == ERR_EXISTS ? read_kek(t, out, e) : err; /* by another process */
}

/* --- wrapped keys --- */

static struct seal_context key_context(struct str parts[static 2], int64_t *subject)
{
    parts[0] = S("vault_key");
    parts[1] = str_n((const char *)subject, sizeof(*subject));
    return (struct seal_context){parts, 2};
}

static struct str wrap(struct arena *a, int64_t subject, const struct seal_key *kek,
                       const struct seal_key *k)
{
    struct str parts[2];
    return seal_wrap(a, kek, key_context(parts, &subject), k);
}

static enum err closed(struct error *e)
{
    return error_set(e, ERR_UNAVAILABLE, "the vault's key is missing");
}

/* ERR_NOT_FOUND: there is none, *erased tells whether there was. */
static enum err read_key(struct vault *v, struct store_conn *c, int64_t subject,
                         struct seal_key *out, bool *erased, struct error *e)
{
    struct store_rows rows;
    struct str parts[2];
    bool found = false, good = true;
    *erased = false;
    if (!v->open)
        return closed(e);
    store_query(c, &rows, "SELECT wrapped FROM vault_key WHERE subject = $1", SV(SV_INT(subject)));
    if (store_next(&rows)) {
        *erased = store_is_null(&rows, 0);
        found = !*erased;
        good = *erased ||
               seal_unwrap(&v->kek, key_context(parts, &subject), store_blob(&rows, 0), out);
    }
    enum err err = store_end(&rows, e);
    if (err)
        return err;
    if (!good)
        return error_set(e, ERR_CORRUPT, "a data key does not open with the vault's key");
    return found ? OK
                 : error_set(e, ERR_NOT_FOUND,
                             *erased ? "the subject was erased" : "the subject has no data key");
}

static enum err make_key(struct vault *v, struct store_conn *c, int64_t subject,
                         struct seal_key *out, struct error *e)
{
    struct arena a = ARENA_INIT;
    *out = seal_key_new();
    struct str wrapped = wrap(&a, subject, &v->kek, out);
    enum err err =
        store_exec(c, "INSERT INTO vault_key(subject, wrapped, erased) VALUES ($1, $2, 0)",
                   SV(SV_INT(subject), SV_BLOB(wrapped)), NULL, e);
    arena_release(&a);
    return err;
}

static enum err need_key(struct vault *v, struct store_conn *c, int64_t subject,
                         struct seal_key *out, struct error *e)
{
    bool erased;
    enum err err = read_key(v, c, subject, out, &erased, e);
    return err == ERR_NOT_FOUND && !erased ? make_key(v, c, subject, out, e) : err;
}

/* --- sealing --- */

static struct seal_context place_context(struct str parts[static 3], const struct vault_place *at)
{
    parts[0] = str_n((const char *)&at->subject, sizeof(at->subject));
    parts[1] = at->name;
    parts[2] = str_n((const char *)&at->number, sizeof(at->number));
    return (struct seal_context){parts, 3};
}

enum err vault_seal(struct vault *v, struct store_conn *c, struct arena *a,
                    const struct vault_place *at, struct str plain, struct str *sealed,
                    struct error *e)
{
    struct seal_key k;
    struct str parts[3];
    enum err err = need_key(v, c, at->subject, &k, e);
    if (!err)
        *sealed = seal(a, &k, place_context(parts, at), plain);
    seal_key_wipe(&k);
    return err;
}

enum err vault_unseal(struct vault *v, struct store_conn *c, struct arena *a,
                      const struct vault_place *at, struct str sealed, struct str *plain,
                      struct error *e)
{
    struct seal_key k;
    struct str parts[3];
    bool erased;
    enum err err = read_key(v, c, at->subject, &k, &erased, e);
    if (!err && !unseal(a, &k, place_context(parts, at), sealed, plain))
        err = error_set(e, ERR_CORRUPT, "what stands at %" STR_F " was not sealed there",
                        STR_A(at->name));
    seal_key_wipe(&k);
    return err;
}

enum err vault_erase(struct store_conn *c, int64_t subject, int64_t now, struct error *e)
{
    return store_exec(
        c,
        "INSERT INTO vault_key(subject, wrapped, erased) VALUES ($1, NULL, $2)"
        " ON CONFLICT (subject) DO UPDATE SET wrapped = NULL, erased = excluded.erased",
        SV(SV_INT(subject), SV_INT(now)), NULL, e);
}

enum err vault_blind(const struct vault *v, struct str name, struct str value, struct hash *out,
                     struct error *e)
{
    if (!v->open)
        return closed(e);
    struct seal_key k = seal_key_derive(&v->blind, name);
    *out = seal_blind(&k, value);
    seal_key_wipe(&k);
    return OK;
}

/* --- opening --- */

/* The city's own key is the root of blind indexes, made with the first opening. */
static enum err open_blind(struct store_conn *c, void *ctx, struct error *e)
{
    struct vault *v = ctx;
    return need_key(v, c, NOBODY, &v->blind, e);
}

static enum err is_new(struct trust *t, bool *out, struct error *e)
{
    int64_t n;
    struct store_conn *c = store_read(t->store, e);
    if (!c)
        return e->code;
    enum err err = store_get_int(c, &n, "SELECT COUNT(*) FROM vault_key", SV_EMPTY, e);
    store_read_done(c);
    *out = n == 0;
    return err;
}

/* ERR_NOT_FOUND: something is sealed, but its key is not here. */
static enum err find_kek(struct trust *t, struct vault *v, bool keep, struct error *e)
{
    bool fresh = false;
    enum err err = read_kek(t, &v->kek, e);
    if (err != ERR_NOT_FOUND)
        return err;
    err = is_new(t, &fresh, e);
    if (err)
        return err;
    if (!fresh)
        return error_set(e, ERR_NOT_FOUND, "the key of what is sealed is missing");
    if (keep)
        return make_kek(t, &v->kek, e);
    v->kek = seal_key_new();
    return OK;
}

/* --- with a token --- */

/* The wrapped key of the store; absent: there is none. */
static enum err read_root(struct trust *t, struct arena *a, struct str *wrapped, struct error *e)
{
    struct store_rows rows;
    struct store_conn *c = store_read(t->store, e);
    *wrapped = STR_NONE;
    if (!c)
        return e->code;
    store_query(c, &rows, "SELECT wrapped FROM vault_root WHERE one = 1", SV_EMPTY);
    if (store_next(&rows))
        *wrapped = str_dup(a, store_blob(&rows, 0));
    enum err err = store_end(&rows, e);
    store_read_done(c);
    return err;
}

/* Another process may have been first. */
static enum err write_root(struct store_conn *c, void *wrapped, struct error *e)
{
    return store_exec(c,
                      "INSERT INTO vault_root(one, wrapped) VALUES (1, $1)"
                      " ON CONFLICT (one) DO NOTHING",
                      SV(SV_BLOB(*(struct str *)wrapped)), NULL, e);
}

/* The key that is there, or a new one, goes under the token's. */
static enum err begin_root(struct trust *t, struct vault *v, struct arena *a, struct str *wrapped,
                           struct error *e)
{
    enum err err = find_kek(t, v, false, e);
    if (!err)
        err = token_wrap(a, &t->options.token, &v->kek, wrapped, e);
    if (!err)
        err = store_write(t->store, write_root, wrapped, e);
    if (!err)
        log_event(LOG_INFO, "trust.vault_key_wrapped", LOG_Z("token", t->options.token.token));
    return err ? err : read_root(t, a, wrapped, e);
}

static enum err unwrap_kek(struct trust *t, struct vault *v, struct error *e)
{
    struct arena a = ARENA_INIT;
    struct str wrapped;
    enum err err = read_root(t, &a, &wrapped, e);
    if (!err && !wrapped.p)
        err = begin_root(t, v, &a, &wrapped, e);
    if (!err)
        err = token_unwrap(&t->options.token, wrapped, &v->kek, e);
    arena_release(&a);
    return err;
}

struct vault *vault_open(struct trust *t, struct error *e)
{
    struct vault *v = calloc(1, sizeof(*v));
    if (!v)
        abort();
    bool token = token_is_set(&t->options.token);
    enum err err = token ? unwrap_kek(t, v, e) : find_kek(t, v, true, e);
    if (err == ERR_NOT_FOUND || (token && err == ERR_UNAVAILABLE)) {
        log_event(LOG_ERROR, "trust.vault_key_missing", LOG_Z("folder", t->data_dir),
                  LOG_Z("reason", e->text));
        seal_key_wipe(&v->kek);
        return v;
    }
    v->open = true;
    if (!err)
        err = store_write(t->store, open_blind, v, e);
    if (err == ERR_CORRUPT)
        error_set(e, ERR_CONFLICT, "the vault's key is not the one that sealed the data");
    if (!err)
        return v;
    vault_close(v);
    return NULL;
}

void vault_close(struct vault *v)
{
    if (!v)
        return;
    seal_key_wipe(&v->kek);
    seal_key_wipe(&v->blind);
    free(v);
}
