/*
 * The log's key, and heads signed with it. The key stands in a file of its own beside the store:
 * who copies the database cannot sign for the city. Several processes on one database need the same
 * key.
 */
#include "../key_file.h"
#include "core/log.h"
#include "log_impl.h"
#include <stdlib.h>

#define KEY_FILE "log.key"

/* --- checkpoints --- */

struct str log_checkpoint_text(struct arena *a, struct str origin, int64_t size,
                               const struct hash *root)
{
    struct str text = base64_encode(a, str_n((const char *)root->b, HASH_BYTES));
    return str_printf(a, "%" STR_F "\n%lld\n%" STR_F "\n", STR_A(origin), (long long)size,
                      STR_A(text));
}

enum err log_checkpoint_parse(struct arena *a, struct str text, struct str *origin, int64_t *size,
                              struct hash *root, struct error *e)
{
    struct str rest = text, number, hash, bytes;
    if (!note_is_text(text) || !str_split(&rest, '\n', origin) || !origin->n ||
        !str_split(&rest, '\n', &number) || !str_to_i64(number, size) || *size < 0 ||
        (number.n > 1 && number.p[0] == '0') || !str_split(&rest, '\n', &hash) ||
        !base64_decode(a, hash, &bytes) || !log_hash_of(bytes, root))
        return error_set(e, ERR_INVALID, "this is not a checkpoint");
    return OK;
}

/* --- the key --- */

static enum err read_key(struct arena *a, const char *path, struct note_key *out, struct error *e)
{
    struct str text;
    enum err err = key_file_read(a, path, &text, e);
    if (!err)
        err = note_key_parse(a, text, out, e);
    return err || out->signs ? err : error_set(e, ERR_INVALID, "%s holds a public key", path);
}

enum err log_key_find(struct arena *a, const struct trust_options *o, const char *data_dir,
                      struct note_key *out, struct error *e)
{
    if (!o->log_key[0])
        return read_key(a, key_file_path(a, data_dir, KEY_FILE), out, e);
    enum err err = note_key_parse(a, str_c(o->log_key), out, e);
    return err || out->signs ? err : error_set(e, ERR_INVALID, "trust.log_key is a public key");
}

/* Has the log no head that another key has signed? */
static enum err is_unsigned(struct audit_log *l, bool *out, struct error *e)
{
    struct log_head head;
    struct store_conn *c = store_read(l->trust->store, e);
    if (!c)
        return e->code;
    enum err err = log_head(c, &l->arena, &head, e);
    store_read_done(c);
    *out = err == ERR_NOT_FOUND;
    return *out ? OK : err;
}

/*
 * Found, or made for a log that is new. A log with signed heads whose key is gone (a backup does
 * not hold it) goes on without signing: entries are kept, and nobody is led to believe that a new
 * key was the old one.
 */
static enum err need_key(struct audit_log *l, struct error *e)
{
    bool fresh = false;
    const char *dir = l->trust->data_dir, *path = key_file_path(&l->arena, dir, KEY_FILE);
    enum err err = log_key_find(&l->arena, &l->trust->options, dir, &l->key, e);
    if (err != ERR_NOT_FOUND)
        return err;
    err = is_unsigned(l, &fresh, e);
    if (err || !fresh) {
        if (!err)
            log_event(LOG_ERROR, "trust.log_key_missing", LOG_Z("file", path));
        return err;
    }
    err = note_key_make(&l->arena, l->origin, &l->key, e);
    if (!err)
        err = key_file_write(path, note_key_secret(&l->arena, &l->key), e);
    return err == ERR_EXISTS ? read_key(&l->arena, path, &l->key, e) : err; /* by another process */
}

struct str log_public_key(struct arena *a, const struct audit_log *l)
{
    return l->key.signs ? note_key_public(a, &l->key) : STR_NONE;
}

/* --- signing --- */

/* Runs in a change, so no other head is made meanwhile, and reads what is durable or becomes so
 * with it: it appends nothing itself. */
static enum err sign_head(struct store_conn *c, void *ctx, struct error *e)
{
    struct audit_log *l = ctx;
    struct arena a = ARENA_INIT;
    struct merkle_nodes nodes = log_nodes(c);
    struct log_head old = {0};
    struct hash root;
    int64_t size;
    enum err err = log_size(c, &size, e);
    if (!err && log_head(c, &a, &old, e) == OK && old.size == size)
        goto out;
    if (!err)
        err = merkle_root_of(&nodes, (uint64_t)size, &root, e);
    if (!err) {
        struct str note = note_sign(&a, &l->key, log_checkpoint_text(&a, l->origin, size, &root));
        err = store_exec(c, "INSERT INTO log_head(size, root, note) VALUES ($1, $2, $3)",
                         SV(SV_INT(size), SV_BLOB(str_n((const char *)root.b, HASH_BYTES)),
                            SV_TEXT(note)),
                         NULL, e);
    }
out:
    arena_release(&a);
    return err;
}

static bool is_new(struct audit_log *l, struct error *e)
{
    struct arena a = ARENA_INIT;
    struct log_head head;
    int64_t size = 0;
    struct store_conn *c = store_read(l->trust->store, e);
    if (!c)
        return false;
    bool signed_any = log_head(c, &a, &head, e) == OK;
    bool news = log_size(c, &size, e) == OK && (!signed_any || head.size != size);
    store_read_done(c);
    arena_release(&a);
    return news;
}

enum err log_sign(struct audit_log *l, struct error *e)
{
    if (!l->key.signs)
        return error_set(e, ERR_UNAVAILABLE, "the key of the log is missing");
    return store_write(l->trust->store, sign_head, l, e);
}

static const char duty[] = "trust.log";

/* One of those that can does it for all. */
static void sign_run(void *ctx)
{
    struct audit_log *l = ctx;
    struct error e = {0};
    if (l->key.signs && store_duty(l->trust->store, duty) && is_new(l, &e) && log_sign(l, &e))
        log_event(LOG_WARN, "trust.log_sign", LOG_Z("error", e.text));
}

struct audit_log *log_open(struct trust *t, struct error *e)
{
    struct audit_log *l = calloc(1, sizeof(*l));
    if (!l)
        abort();
    l->trust = t;
    l->origin = str_c(t->options.log_origin);
    enum err err = need_key(l, e);
    if (!err && l->key.signs) /* the empty log has a head too */
        err = log_sign(l, e);
    if (!err) {
        if (l->key.signs)
            store_duty(t->store, duty); /* enter for it */
        pool_every(t->pool, t->options.log_sign_ms, sign_run, l);
        return l;
    }
    arena_release(&l->arena);
    free(l);
    return NULL;
}

void log_close(struct audit_log *l)
{
    if (!l)
        return;
    pool_never(l->trust->pool, sign_run, l);
    note_key_wipe(&l->key);
    arena_release(&l->arena);
    free(l);
}
