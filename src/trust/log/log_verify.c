/* A log read from its published form and added up, see verify.h. */
#include "core/json.h"
#include "log_impl.h"
#include "trust/verify.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { STATE_BYTES_MAX = 64 * 1024 };

struct seen {
    struct log_verify *v;
    struct arena arena; /* of the whole run */
    struct arena page;  /* of one request */
    struct merkle tree;
    struct log_head head; /* the one to check against */
};

static enum err broken(struct error *e, const char *what, int64_t at)
{
    return error_set(e, ERR_CORRUPT, "the log is not what it claims to be: %s (%lld)", what,
                     (long long)at);
}

/* --- what was seen the last time --- */

/* {"size":..,"peaks":[..],"checkpoint":".."} */
static enum err parse_state(struct seen *s, struct str text, struct error *e)
{
    const struct json *v = json_parse(&s->arena, text, &JSON_DEFAULT, e);
    const struct json *peaks = json_get(v, S("peaks"));
    int64_t size;
    bool good = json_i64(json_get(v, S("size")), &size) && size >= 0 &&
                json_is(peaks, JSON_ARRAY) && peaks->n <= MERKLE_LEVELS &&
                peaks->n == (uint32_t)__builtin_popcountll((unsigned long long)size);
    for (uint32_t i = 0; good && i < peaks->n; i++) {
        struct str bytes;
        good = base64_decode(&s->arena, json_text(&peaks->items[i]), &bytes) &&
               log_hash_of(bytes, &s->tree.peaks[i]);
    }
    if (!good)
        return error_set(e, ERR_INVALID, "%s is not a file of `audit verify`", s->v->state);
    s->tree.n = peaks->n;
    s->tree.size = (uint64_t)size;
    s->v->before = size;
    return OK;
}

static enum err load_state(struct seen *s, struct error *e)
{
    if (!s->v->state)
        return OK;
    int fd = open(s->v->state, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT
                   ? OK
                   : error_set(e, ERR_IO, "cannot open %s: %s", s->v->state, strerror(errno));
    char *text = arena_alloc(&s->arena, STATE_BYTES_MAX);
    ssize_t n = read(fd, text, STATE_BYTES_MAX);
    close(fd);
    if (n < 0)
        return error_set(e, ERR_IO, "cannot read %s: %s", s->v->state, strerror(errno));
    return parse_state(s, str_n(text, (size_t)n), e);
}

static void write_state(struct seen *s, struct buf *out)
{
    struct json_writer w = json_writer(out);
    json_w_object(&w);
    json_w_ki64(&w, S("size"), (int64_t)s->tree.size);
    json_w_key(&w, S("peaks"));
    json_w_array(&w);
    for (unsigned i = 0; i < s->tree.n; i++)
        json_w_str(&w,
                   base64_encode(&s->arena, str_n((const char *)s->tree.peaks[i].b, HASH_BYTES)));
    json_w_end(&w);
    json_w_kstr(&w, S("checkpoint"), s->head.note);
    json_w_end(&w);
    buf_char(out, '\n');
}

/* Beside the file first, so that a run that is cut off leaves the old one. */
static enum err save_state(struct seen *s, struct error *e)
{
    if (!s->v->state)
        return OK;
    struct buf text = BUF_INIT;
    const char *beside = arena_printf(&s->arena, "%s.new", s->v->state);
    write_state(s, &text);
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    bool good = fd >= 0 && write(fd, text.p, text.n) == (ssize_t)text.n && fsync(fd) == 0;
    if (fd >= 0 && close(fd))
        good = false;
    good = good && rename(beside, s->v->state) == 0;
    buf_release(&text);
    return good ? OK : error_set(e, ERR_IO, "cannot write %s: %s", s->v->state, strerror(errno));
}

/* --- reading what is published --- */

static enum err fetch(struct seen *s, struct arena *a, struct str path, struct str *body,
                      struct error *e)
{
    struct client_answer answer;
    struct client_request r = {.url = str_concat(a, s->v->url, path)};
    enum err err = client_fetch(s->v->client, a, &r, &answer, e);
    if (err)
        return err;
    if (answer.status != 200)
        return error_set(e, ERR_NOT_FOUND, "%" STR_F " answered %d", STR_A(r.url), answer.status);
    *body = answer.body;
    return OK;
}

static enum err fetch_head(struct seen *s, struct error *e)
{
    struct str text, origin;
    enum err err = fetch(s, &s->arena, S("/checkpoint"), &s->head.note, e);
    if (!err)
        err = note_open(&s->arena, s->head.note, s->v->key, 1, &text, NULL, e);
    if (!err)
        err = log_checkpoint_parse(&s->arena, text, &origin, &s->head.size, &s->head.root, e);
    if (!err && !str_eq(origin, s->v->key->name))
        err = error_set(e, ERR_UNAUTHENTICATED, "the checkpoint is of another log, %" STR_F,
                        STR_A(str_cut(origin, 100)));
    return err;
}

/* "x001/x234/067", with ".p/W" for a bundle that is not full. */
static struct str bundle_path(struct arena *a, int64_t n, int64_t width)
{
    struct str path = str_printf(a, "%03lld", (long long)(n % 1000));
    while ((n /= 1000))
        path = str_printf(a, "x%03lld/%" STR_F, (long long)(n % 1000), STR_A(path));
    if (width < LOG_TILE_WIDTH)
        path = str_printf(a, "%" STR_F ".p/%lld", STR_A(path), (long long)width);
    return str_concat(a, S("/tile/entries/"), path);
}

/* The leaf texts of a bundle; the first skip of them were seen before. */
static enum err add_bundle(struct seen *s, struct str body, int64_t width, int64_t skip,
                           struct error *e)
{
    const unsigned char *p = (const unsigned char *)body.p;
    size_t at = 0;
    for (int64_t i = 0; i < width; i++) {
        size_t n = body.n - at >= 2 ? (size_t)p[at] << 8 | p[at + 1] : body.n;
        if (n > body.n - at - 2 || body.n - at < 2)
            return broken(e, "a bundle of entries is cut off", (int64_t)s->tree.size);
        if (i >= skip) {
            struct hash leaf = merkle_leaf(str_sub(body, at + 2, n));
            merkle_add(&s->tree, &leaf);
        }
        at += 2 + n;
    }
    return at == body.n ? OK : broken(e, "a bundle of entries is too long", (int64_t)s->tree.size);
}

static enum err add_new(struct seen *s, struct error *e)
{
    enum err err = OK;
    while (!err && (int64_t)s->tree.size < s->head.size) {
        int64_t at = (int64_t)s->tree.size, n = at / LOG_TILE_WIDTH;
        int64_t left = s->head.size - n * LOG_TILE_WIDTH;
        int64_t width = left < LOG_TILE_WIDTH ? left : LOG_TILE_WIDTH;
        struct str body;
        arena_reset(&s->page);
        err = fetch(s, &s->page, bundle_path(&s->page, n, width), &body, e);
        if (!err)
            err = add_bundle(s, body, width, at % LOG_TILE_WIDTH, e);
    }
    return err;
}

enum err log_verify_from(struct log_verify *v, struct error *e)
{
    struct seen s = {.v = v};
    v->before = v->size = 0;
    enum err err = load_state(&s, e);
    if (!err)
        err = fetch_head(&s, e);
    if (!err && s.head.size < (int64_t)s.tree.size)
        err = broken(e, "it has fewer entries than it once showed", s.head.size);
    if (!err)
        err = add_new(&s, e);
    struct hash root = merkle_root(&s.tree);
    if (!err && memcmp(root.b, s.head.root.b, HASH_BYTES))
        err = broken(e, "entries that it shows, or once showed, do not add up to its head",
                     s.head.size);
    if (!err) {
        v->size = s.head.size;
        err = save_state(&s, e);
    }
    arena_release(&s.page);
    arena_release(&s.arena);
    return err;
}
