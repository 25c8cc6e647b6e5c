/*
 * The registry: documents of contexts, and what was compiled from them.
 *
 *   1. Documents (hosted, cached, implicit) are kept by URL in order of creation; hosted and cached
 *      ones are in the store too. A document is never changed in place: a new one replaces it.
 *   2. Compiled contexts are kept by what they were asked for: a URL, or the local path that stands
 *      for an inline value. They are only ever derived from documents of one generation; replacing
 *      or deleting a document starts a new generation and retires all of them. (A document that is
 *      new cannot have been compiled into anything.)
 *   3. A retired context stays readable while it is held, and for LD_RETIRED_US, because requests
 *      that do not hold it may still read it.
 *   4. Compiling happens without the lock; text of documents is copied out under it.
 *   5. Another process on the store may add and delete documents: its hint makes ours stale, and
 * who asks next reads the rows again before. Implicit ones of others are read when they are asked
 * for, and ours are retired when one of them was deleted; see context_implicit.c.
 */
#include "context_impl.h"

#include "core/log.h"
#include "core/vec.h"
#include "crypto/hash.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { INLINE_MAX = 64 * 1024, COMPILED_BYTES_MAX = 64 << 20 };

#define KEEP_US      DAY_US    /* between two writes of an implicit context's row */
#define UNWRITTEN_US MINUTE_US /* a row may not be there yet */

struct document {
    struct document *next; /* in order of creation */
    struct arena arena;    /* owns this and the texts */
    struct ld_entry entry;
    int64_t kept; /* implicit: when its row was last written, 0: it is ours alone */
};

struct compiled {
    struct compiled *next; /* of the retired ones */
    struct ld_context *ctx;
    int64_t used_at; /* or retired at */
    bool is_inline;
};

struct ld_contexts {
    pthread_mutex_t lock;
    struct store *store; /* NULL: nothing is kept */
    bool shared;         /* others may be on it */
    const struct clock *clock;
    struct ld_limits limits;
    struct document *first, *last;
    struct map documents; /* URL to struct document */
    struct map compiled;  /* URL or path to struct compiled */
    struct compiled *retired;
    size_t bytes; /* of compiled contexts that are not retired */
    uint64_t generation;
    uint64_t written; /* documents that we added or deleted */
    atomic_bool stale;
};

static const char topic[] = "context";

/* --- documents; the lock is held --- */

static struct document *add_document(struct ld_contexts *c, struct str url, enum ld_kind kind,
                                     struct str body, int64_t created)
{
    struct arena own = ARENA_INIT;
    struct document *d = ARENA_NEW(&own, struct document);
    d->entry.url = str_dup(&own, url);
    d->entry.body = str_dup(&own, body);
    d->entry.kind = kind;
    d->entry.created_at = d->entry.last_used = created;
    d->arena = own;
    if (c->last)
        c->last->next = d;
    else
        c->first = d;
    c->last = d;
    map_put(&c->documents, d->entry.url, d);
    return d;
}

static void drop_document(struct ld_contexts *c, struct str url)
{
    struct document *d = map_del(&c->documents, url), *before = NULL;
    if (!d)
        return;
    if (c->first != d)
        for (before = c->first; before->next != d; before = before->next)
            ;
    if (before)
        before->next = d->next;
    else
        c->first = d->next;
    if (c->last == d)
        c->last = before;
    struct arena own = d->arena; /* d lives in it */
    arena_release(&own);
}

/* The local path of a URL that points at a context of ours, whatever name this host goes by. */
static struct str local_path(struct str url)
{
    ptrdiff_t scheme = str_find(url, S("://"));
    struct str rest = scheme < 0 ? url : str_from(url, (size_t)scheme + 3);
    ptrdiff_t slash = scheme < 0 ? 0 : str_find_char(rest, '/');
    struct str path = slash < 0 ? STR_NONE : str_from(rest, (size_t)slash);
    return str_starts(path, S(LD_LOCAL_PATH)) ? path : STR_NONE;
}

static struct document *find_document(struct ld_contexts *c, struct str url)
{
    struct document *d = map_get(&c->documents, url);
    struct str path = d ? STR_NONE : local_path(url);
    return path.p ? map_get(&c->documents, path) : d;
}

/* --- compiled contexts; the lock is held --- */

/* The caller takes it out of c->compiled. */
static void put_away(struct ld_contexts *c, struct compiled *k, int64_t now)
{
    c->bytes -= k->ctx->arena.total;
    if (k->is_inline)
        drop_document(c, k->ctx->url);
    k->used_at = now;
    k->next = c->retired;
    c->retired = k;
}

static void free_retired(struct ld_contexts *c, int64_t before)
{
    struct compiled **at = &c->retired;
    while (*at) {
        struct compiled *k = *at;
        if (k->used_at >= before || (before != INT64_MAX && atomic_load(&k->ctx->holds))) {
            at = &k->next;
            continue;
        }
        *at = k->next;
        ld_context_free(k->ctx);
        free(k);
    }
}

static void retire_all(struct ld_contexts *c, int64_t now)
{
    struct map_iter it = {0};
    while (map_next(&c->compiled, &it))
        put_away(c, it.value, now);
    map_release(&c->compiled);
    c->generation++;
}

static void make_room(struct ld_contexts *c, int64_t now)
{
    while (c->compiled.n &&
           (c->compiled.n >= c->limits.max_cached || c->bytes > COMPILED_BYTES_MAX)) {
        struct map_iter it = {0};
        map_next(&c->compiled, &it);
        struct compiled *oldest = it.value;
        while (map_next(&c->compiled, &it)) {
            struct compiled *k = it.value;
            if (k->used_at < oldest->used_at)
                oldest = k;
        }
        map_del(&c->compiled, oldest->ctx->url);
        put_away(c, oldest, now);
    }
    free_retired(c, now - LD_RETIRED_US);
}

static const struct ld_context *use(struct ld_contexts *c, struct str key, int64_t now)
{
    struct compiled *k = map_get(&c->compiled, key);
    struct document *d = k ? find_document(c, key) : NULL;
    if (k)
        k->used_at = now;
    if (d) {
        d->entry.last_used = now;
        d->entry.uses++;
    }
    return k ? k->ctx : NULL;
}

/* --- what other processes wrote --- */

struct row {
    struct str url, body;
    int64_t kind, created;
};

struct rows {
    struct arena arena;
    VEC(struct row) list;
    struct map by_url;
};

static enum err read_rows(struct ld_contexts *c, struct rows *out, struct error *e)
{
    struct store_conn *conn = store_read(c->store, e);
    struct store_rows r;
    if (!conn)
        return e ? e->code : ERR_UNAVAILABLE;
    store_query(conn, &r, "SELECT url, kind, body, created FROM ld_context ORDER BY created, url",
                SV_EMPTY);
    while (store_next(&r))
        *vec_push(&out->arena, &out->list) = (struct row){str_dup(&out->arena, store_text(&r, 0)),
                                                          str_dup(&out->arena, store_text(&r, 2)),
                                                          store_int(&r, 1), store_int(&r, 3)};
    enum err err = store_end(&r, e);
    store_read_done(conn);
    for (size_t i = 0; i < out->list.n; i++)
        map_put(&out->by_url, out->list.v[i].url, &out->list.v[i]);
    return err;
}

/* The documents become what the rows say. Under the lock. */
static void take_rows(struct ld_contexts *c, const struct rows *rows)
{
    bool differs = false;
    for (struct document *d = c->first, *next; d; d = next) {
        next = d->next;
        const struct row *r = map_get(&rows->by_url, d->entry.url);
        if (d->entry.kind == LD_IMPLICIT || (r && str_eq(r->body, d->entry.body)))
            continue;
        if (!differs)
            retire_all(c, clock_now(c->clock));
        differs = true;
        drop_document(c, d->entry.url);
        next = c->first; /* retiring dropped others, too */
    }
    for (size_t i = 0; i < rows->list.n; i++) {
        const struct row *r = &rows->list.v[i];
        if (!map_get(&c->documents, r->url))
            add_document(c, r->url, (enum ld_kind)r->kind, r->body, r->created);
    }
}

static bool take_path(void *ctx, const struct ld_entry *entry)
{
    struct rows *rows = ctx;
    map_put(&rows->by_url, str_dup(&rows->arena, entry->url), rows);
    return true;
}

/* One of ours that was written and is gone was deleted. */
static void forget_deleted(struct ld_contexts *c)
{
    struct rows rows = {.list = VEC_INIT};
    struct error e = {0};
    int64_t now = clock_now(c->clock);
    bool gone = false;
    if (!c->shared)
        return;
    enum err err = ld_implicit_each(c->store, take_path, &rows, &e);
    pthread_mutex_lock(&c->lock);
    for (const struct document *d = c->first; !err && d && !gone; d = d->next)
        gone = d->kept && now - d->kept > UNWRITTEN_US && !map_get(&rows.by_url, d->entry.url);
    if (gone)
        retire_all(c, now);
    pthread_mutex_unlock(&c->lock);
    map_release(&rows.by_url);
    arena_release(&rows.arena);
}

static void catch_up(struct ld_contexts *c)
{
    struct error e = {0};
    struct rows rows = {.list = VEC_INIT};
    if (!atomic_load(&c->stale) || !atomic_exchange(&c->stale, false))
        return;
    pthread_mutex_lock(&c->lock);
    uint64_t written = c->written;
    pthread_mutex_unlock(&c->lock);
    enum err err = read_rows(c, &rows, &e);
    pthread_mutex_lock(&c->lock);
    if (!err && written == c->written)
        take_rows(c, &rows);
    else
        atomic_store(&c->stale, true);
    pthread_mutex_unlock(&c->lock);
    if (err)
        log_event(LOG_WARN, "link.contexts_unreadable", LOG_Z("error", e.text));
    else
        forget_deleted(c);
    map_release(&rows.by_url);
    arena_release(&rows.arena);
}

static void heard(void *ctx, struct str key)
{
    struct ld_contexts *c = ctx;
    (void)key;
    atomic_store(&c->stale, true);
}

/* --- asking for a context --- */

/* An implicit context that another process met, or that was retired here. */
static bool find_elsewhere(struct ld_contexts *c, struct arena *a, struct str url,
                           struct ld_entry *out)
{
    struct str path = c->shared ? local_path(url) : STR_NONE;
    return path.p && ld_implicit_find(c->store, a, path, out);
}

static enum err source_document(void *ctx, struct arena *a, struct str url, struct str *body,
                                struct error *e)
{
    struct ld_contexts *c = ctx;
    pthread_mutex_lock(&c->lock);
    const struct document *d = find_document(c, url);
    if (d)
        *body = str_dup(a, d->entry.body);
    pthread_mutex_unlock(&c->lock);
    if (d)
        return OK;
    struct ld_entry entry;
    if (find_elsewhere(c, a, url, &entry)) {
        *body = entry.body;
        return OK;
    }
    if (!str_starts(url, S("http://")) && !str_starts(url, S("https://")))
        return error_set(e, ERR_INVALID, "there is no context '%" STR_F "'",
                         STR_A(str_sub(url, 0, 200)));
    return error_set(e, ERR_UNAVAILABLE, "context %" STR_F " must be fetched first",
                     STR_A(str_sub(url, 0, 200)));
}

/* Without the core context, which goes without saying: the one item that is left, or an array;
 * NULL when nothing is left. */
static const struct json *reduced(struct arena *a, const struct json *v)
{
    if (json_is(v, JSON_STRING))
        return ld_is_core_url(json_text(v)) ? NULL : v;
    if (!json_is(v, JSON_ARRAY))
        return v;
    struct json *items = arena_alloc(a, v->n * sizeof(*items)), *array;
    uint32_t n = 0;
    for (uint32_t i = 0; i < v->n; i++)
        if (!json_is(&v->items[i], JSON_STRING) || !ld_is_core_url(json_text(&v->items[i])))
            items[n++] = v->items[i];
    if (n == 0)
        return NULL;
    if (n == 1)
        return items;
    array = arena_alloc(a, sizeof(*array));
    *array = json_v_array(items, n);
    return array;
}

static struct str path_of(struct arena *a, struct str text)
{
    struct hash h = hash_blake2b(text);
    struct str id = hex_encode(a, str_n((const char *)h.b, 16));
    return str_concat(a, S(LD_LOCAL_PATH), id);
}

/*
 * Put what was compiled where others find it, unless another thread was faster. What documents have
 * overtaken serves this one request only and is retired at once.
 */
static const struct ld_context *publish(struct ld_contexts *c, struct ld_context *ctx,
                                        struct str text, uint64_t generation, int64_t now)
{
    const struct ld_context *there = use(c, ctx->url, now);
    if (there) {
        ld_context_free(ctx);
        return there;
    }
    make_room(c, now);
    struct compiled *k = calloc(1, sizeof(*k));
    if (!k)
        abort();
    k->ctx = ctx;
    k->used_at = now;
    if (generation != c->generation) {
        k->next = c->retired;
        c->retired = k;
        return ctx;
    }
    c->bytes += ctx->arena.total;
    map_put(&c->compiled, ctx->url, k);
    k->is_inline = text.p && !find_document(c, ctx->url); /* else somebody hosts it there */
    if (k->is_inline)
        add_document(c, ctx->url, LD_IMPLICIT, text, now);
    return use(c, ctx->url, now);
}

static struct str inline_text(struct arena *a, struct str value)
{
    return value.p ? str_printf(a, "{\"@context\":%" STR_F "}", STR_A(value)) : STR_NONE;
}

/* Under the lock: the text to be written of an implicit context; absent: there is nothing to do. */
static struct str due_text(struct ld_contexts *c, struct arena *a, struct str key, int64_t now)
{
    struct document *d = c->shared ? map_get(&c->documents, key) : NULL;
    if (!d || d->entry.kind != LD_IMPLICIT || (d->kept && now - d->kept < KEEP_US))
        return STR_NONE;
    d->kept = now;
    return str_dup(a, d->entry.body);
}

static const struct ld_context *look_up(struct ld_contexts *c, struct arena *a, struct str key,
                                        uint64_t *generation)
{
    int64_t now = clock_now(c->clock);
    pthread_mutex_lock(&c->lock);
    const struct ld_context *found = use(c, key, now);
    struct str due = found ? due_text(c, a, key, now) : STR_NONE;
    *generation = c->generation;
    pthread_mutex_unlock(&c->lock);
    if (due.p)
        ld_implicit_keep(c->store, key, due, now, c->limits.max_cached);
    return found;
}

enum err ld_context_get(struct ld_contexts *c, struct arena *a, const struct json *value,
                        const struct ld_context **out, struct str *missing, struct error *e)
{
    struct ld_source source = {source_document, c, &c->limits};
    struct str key, text = STR_NONE;
    *missing = STR_NONE;
    *out = ld_core();
    catch_up(c);
    value = value ? reduced(a, value) : NULL;
    if (!value)
        return OK;
    if (json_is(value, JSON_STRING)) {
        key = json_text(value);
    } else {
        text = json_to_text(a, value);
        if (text.n > INLINE_MAX)
            return error_set(e, ERR_INVALID,
                             "an inline @context may have %d bytes: host it instead", INLINE_MAX);
        key = path_of(a, text);
    }
    uint64_t generation;
    if ((*out = look_up(c, a, key, &generation)))
        return OK;
    struct ld_context *ctx;
    enum err err = ld_compile(&source, a, value, key, &ctx, missing, e);
    if (err)
        return err;
    int64_t now = clock_now(c->clock);
    text = inline_text(a, text);
    pthread_mutex_lock(&c->lock);
    *out = publish(c, ctx, text, generation, now);
    struct str due = due_text(c, a, key, now);
    pthread_mutex_unlock(&c->lock);
    if (due.p)
        ld_implicit_keep(c->store, key, due, now, c->limits.max_cached);
    return OK;
}

/* --- keeping documents --- */

static enum err store_row(struct store_conn *conn, void *ctx, struct error *e)
{
    const struct row *r = ctx;
    enum err err =
        store_exec(conn,
                   "INSERT INTO ld_context(url, kind, body, created) VALUES ($1, $2, $3, $4)"
                   " ON CONFLICT(url) DO UPDATE SET kind = $2, body = $3",
                   SV(SV_TEXT(r->url), SV_INT(r->kind), SV_TEXT(r->body), SV_INT(r->created)), NULL,
                   e);
    return err ? err : store_tell(conn, topic, r->url, e);
}

static enum err delete_row(struct store_conn *conn, void *ctx, struct error *e)
{
    const struct row *r = ctx;
    enum err err =
        store_exec(conn, "DELETE FROM ld_context WHERE url = $1", SV(SV_TEXT(r->url)), NULL, e);
    if (!err)
        err = store_exec(conn, "DELETE FROM ld_implicit WHERE path = $1", SV(SV_TEXT(r->url)), NULL,
                         e);
    return err ? err : store_tell(conn, topic, r->url, e);
}

static enum err check_document(const struct ld_contexts *c, struct str body, struct error *e)
{
    if (body.n > c->limits.max_bytes)
        return error_set(e, ERR_TOO_LARGE, "the context has more than %zu bytes",
                         c->limits.max_bytes);
    struct arena a = ARENA_INIT;
    struct error why = {0};
    struct json_limits limits = {.max_depth = 32,
                                 .max_bytes = c->limits.max_bytes,
                                 .duplicates = JSON_DUP_LAST};
    const struct json *doc = json_parse(&a, body, &limits, &why);
    const struct json *value = json_get(doc, S("@context"));
    enum err err = OK;
    if (!doc)
        err = error_set(e, ERR_INVALID, "not a context: %s", why.text);
    else if (!json_is(value, JSON_OBJECT) && !json_is(value, JSON_ARRAY) &&
             !json_is(value, JSON_STRING))
        err = error_set(e, ERR_INVALID, "not a context: there is no @context in it");
    arena_release(&a);
    return err;
}

enum err ld_context_add(struct ld_contexts *c, struct str url, enum ld_kind kind, struct str body,
                        struct error *e)
{
    if (url.n == 0 || ld_is_core_url(url))
        return error_set(e, ERR_INVALID, "the core context cannot be replaced");
    enum err err = check_document(c, body, e);
    struct row row = {url, body, kind, clock_now(c->clock)};
    if (!err && c->store)
        err = store_write(c->store, store_row, &row, e);
    if (err)
        return err;
    pthread_mutex_lock(&c->lock);
    c->written++;
    const struct document *before = map_get(&c->documents, url);
    int64_t created = before ? before->entry.created_at : row.created;
    if (before) {
        retire_all(c, row.created);
        drop_document(c, url);
    }
    add_document(c, url, kind, body, created);
    pthread_mutex_unlock(&c->lock);
    return OK;
}

enum err ld_context_delete(struct ld_contexts *c, struct str url, struct error *e)
{
    if (ld_is_core_url(url))
        return error_set(e, ERR_INVALID, "the core context cannot be deleted");
    catch_up(c);
    pthread_mutex_lock(&c->lock);
    bool there = map_get(&c->documents, url) != NULL;
    pthread_mutex_unlock(&c->lock);
    struct arena a = ARENA_INIT;
    struct ld_entry entry;
    there = there || find_elsewhere(c, &a, url, &entry);
    arena_release(&a);
    if (!there)
        return error_set(e, ERR_NOT_FOUND, "there is no context '%" STR_F "'",
                         STR_A(str_sub(url, 0, 200)));
    struct row row = {.url = url};
    enum err err = c->store ? store_write(c->store, delete_row, &row, e) : OK;
    if (err)
        return err;
    pthread_mutex_lock(&c->lock);
    c->written++;
    retire_all(c, clock_now(c->clock));
    drop_document(c, url);
    pthread_mutex_unlock(&c->lock);
    return OK;
}

struct listing {
    struct ld_contexts *c;
    bool (*each)(void *ctx, const struct ld_entry *e);
    void *ctx;
    bool stopped;
};

static bool list_elsewhere(void *ctx, const struct ld_entry *entry)
{
    struct listing *l = ctx;
    pthread_mutex_lock(&l->c->lock);
    bool ours = map_get(&l->c->documents, entry->url) != NULL;
    pthread_mutex_unlock(&l->c->lock);
    return ours || l->each(l->ctx, entry);
}

void ld_context_each(struct ld_contexts *c, bool (*each)(void *ctx, const struct ld_entry *e),
                     void *ctx)
{
    struct listing l = {c, each, ctx, false};
    struct error e = {0};
    catch_up(c);
    pthread_mutex_lock(&c->lock);
    for (const struct document *d = c->first; d && !l.stopped; d = d->next)
        l.stopped = !each(ctx, &d->entry);
    pthread_mutex_unlock(&c->lock);
    if (c->shared && !l.stopped && ld_implicit_each(c->store, list_elsewhere, &l, &e))
        log_event(LOG_WARN, "link.contexts_unreadable", LOG_Z("error", e.text));
}

bool ld_context_find(struct ld_contexts *c, struct arena *a, struct str url, struct ld_entry *out)
{
    catch_up(c);
    pthread_mutex_lock(&c->lock);
    const struct document *d = find_document(c, url);
    if (d) {
        *out = d->entry;
        out->url = str_dup(a, d->entry.url);
        out->body = str_dup(a, d->entry.body);
    }
    pthread_mutex_unlock(&c->lock);
    return d || find_elsewhere(c, a, url, out);
}

/* --- life --- */

static enum err load(struct ld_contexts *c, struct error *e)
{
    struct rows rows = {.list = VEC_INIT};
    enum err err = read_rows(c, &rows, e);
    if (!err)
        take_rows(c, &rows);
    map_release(&rows.by_url);
    arena_release(&rows.arena);
    return err;
}

struct ld_contexts *ld_contexts_new(struct store *s, const struct clock *clock,
                                    const struct ld_limits *l, struct error *e)
{
    struct ld_contexts *c = calloc(1, sizeof(*c));
    if (!c)
        abort();
    pthread_mutex_init(&c->lock, NULL);
    c->store = s;
    c->shared = s && str_eq(str_c(store_engine(s)), S("postgres"));
    c->clock = clock;
    c->limits = l ? *l : LD_DEFAULT_LIMITS;
    if (s && load(c, e)) {
        ld_contexts_free(c);
        return NULL;
    }
    if (s)
        store_heed(s, topic, heard, c);
    return c;
}

void ld_contexts_free(struct ld_contexts *c)
{
    if (!c)
        return;
    if (c->store)
        store_unheed(c->store, heard, c);
    retire_all(c, 0);
    free_retired(c, INT64_MAX);
    while (c->first)
        drop_document(c, c->first->entry.url);
    map_release(&c->documents);
    map_release(&c->compiled);
    pthread_mutex_destroy(&c->lock);
    free(c);
}
