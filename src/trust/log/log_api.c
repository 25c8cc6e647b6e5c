/*
 * The log for everybody: checkpoint and tiles as C2SP tlog-tiles has them, and proofs ready-made
 * for pages and scripts that do not want to put them together from tiles.
 *
 *     GET /log/checkpoint                    the newest signed head
 *     GET /log/tile/{L}/{N}[.p/{W}]          hashes of level 8L, 256 of them or the first W
 *     GET /log/tile/entries/{N}[.p/{W}]      leaf texts, each after its length in two bytes
 *     GET /log/key                           the public key of the log
 *     GET /log/v1/entries/{n}                leaf text, with its proof for ?size= or the newest
 * head GET /log/v1/growth?from=&to=           that one head is the beginning of the other
 *
 * Only what a signed head covers is served.
 */
#include "core/json.h"
#include "log_impl.h"

enum { FULL_MAX_AGE_S = 31536000, INDEX_DIGITS_MAX = 18 };

/* --- what all calls share --- */

struct call {
    struct audit_log *log;
    struct request *req;
    struct response *res;
    struct store_conn *conn;
    struct log_head head;
};

static enum http_answer fail(struct call *c, enum err code, const char *text)
{
    struct error e = {0};
    error_set(&e, code, "%s", text);
    response_error(c->req, c->res, &e);
    return HTTP_DONE;
}

/* A snapshot and the head that limits what is shown; false: the response is filled. */
static bool begin(struct call *c, struct request *req, struct response *res, void *ctx)
{
    struct error e = {0};
    *c = (struct call){.log = ctx, .req = req, .res = res};
    c->conn = store_read(c->log->trust->store, &e);
    if (c->conn && !log_head(c->conn, req->arena, &c->head, &e))
        return true;
    if (c->conn)
        store_read_done(c->conn);
    response_error(req, res, &e);
    return false;
}

static enum http_answer end(struct call *c, enum err err, const struct error *e)
{
    store_read_done(c->conn);
    if (err)
        response_error(c->req, c->res, e);
    return HTTP_DONE;
}

static void keep_for(struct call *c, bool full)
{
    response_header(c->req, c->res, "Cache-Control",
                    full
                        ? str_printf(c->req->arena, "public, max-age=%d, immutable", FULL_MAX_AGE_S)
                        : S("no-cache"));
}

/* --- checkpoint and key --- */

static enum http_answer get_checkpoint(struct request *req, struct response *res, void *ctx)
{
    struct call c;
    if (!begin(&c, req, res, ctx))
        return HTTP_DONE;
    keep_for(&c, false);
    response_body(req, res, 200, "text/plain; charset=utf-8", c.head.note);
    return end(&c, OK, NULL);
}

static enum http_answer get_key(struct request *req, struct response *res, void *ctx)
{
    struct str key = log_public_key(req->arena, ctx);
    if (key.p)
        response_body(req, res, 200, "text/plain; charset=utf-8",
                      str_concat(req->arena, key, S("\n")));
    else
        response_error(req, res, &(struct error){ERR_UNAVAILABLE, "the key of the log is missing"});
    return HTTP_DONE;
}

/* --- tiles --- */

/* "x001/x234/067" or "067.p/12": groups of three digits, all but the last after an x. */
static bool read_tile_path(struct str path, int64_t *n, int64_t *width)
{
    struct str rest = path, group;
    ptrdiff_t partial = str_find(path, S(".p/"));
    *n = 0;
    *width = LOG_TILE_WIDTH;
    if (partial >= 0) {
        struct str w = str_from(path, (size_t)partial + 3);
        rest = str_sub(path, 0, (size_t)partial);
        if (!str_to_i64(w, width) || *width < 1 || *width >= LOG_TILE_WIDTH || w.p[0] == '0')
            return false;
    }
    if (rest.n > INDEX_DIGITS_MAX * 2)
        return false;
    while (rest.n > 4) {
        int64_t v;
        group = str_sub(rest, 1, 3);
        if (rest.p[0] != 'x' || rest.p[4] != '/' || !str_to_i64(group, &v) || v < 0 ||
            (*n == 0 && v == 0))
            return false;
        *n = *n * 1000 + v;
        rest = str_from(rest, 5);
    }
    int64_t v;
    if (rest.n != 3 || !str_to_i64(rest, &v) || v < 0)
        return false;
    *n = *n * 1000 + v;
    return true;
}

/* Hashes of that level in the tree of the head. */
static int64_t level_size(const struct call *c, int64_t tile_level)
{
    return tile_level * LOG_TILE_HEIGHT < 63 ? c->head.size >> (tile_level * LOG_TILE_HEIGHT) : 0;
}

/* A tile that the head covers; false: the response is filled. */
static bool tile_of(struct call *c, const char *param, int64_t size, int64_t *n, int64_t *width)
{
    if (read_tile_path(request_param(c->req, param), n, width) &&
        *n * LOG_TILE_WIDTH + *width <= size)
        return true;
    fail(c, ERR_NOT_FOUND, "no such tile in the tree of the newest checkpoint");
    return false;
}

static enum http_answer get_tile(struct request *req, struct response *res, void *ctx)
{
    struct call c;
    struct error e = {0};
    int64_t level = request_param_int(req, "n"), n, width;
    if (!begin(&c, req, res, ctx))
        return HTTP_DONE;
    if (level > 63 / LOG_TILE_HEIGHT || !tile_of(&c, "path", level_size(&c, level), &n, &width)) {
        if (level > 63 / LOG_TILE_HEIGHT)
            fail(&c, ERR_NOT_FOUND, "no such level");
        return end(&c, OK, NULL);
    }
    struct hash *hashes = ARENA_ARRAY(req->arena, struct hash, (size_t)width);
    enum err err = log_hashes(c.conn, (unsigned)level * LOG_TILE_HEIGHT, n * LOG_TILE_WIDTH,
                              (size_t)width, hashes, &e);
    if (!err) {
        keep_for(&c, true);
        response_body(req, res, 200, "application/octet-stream",
                      str_n((const char *)hashes, (size_t)width * HASH_BYTES));
    }
    return end(&c, err, &e);
}

static enum err bundle(struct call *c, int64_t first, int64_t n, struct buf *out, struct error *e)
{
    struct store_rows rows;
    store_query(c->conn, &rows, "SELECT leaf FROM log_leaf WHERE n >= $1 AND n < $2 ORDER BY n",
                SV(SV_INT(first), SV_INT(first + n)));
    while (store_next(&rows)) {
        struct str leaf = store_text(&rows, 0);
        buf_char(out, (char)(leaf.n >> 8));
        buf_char(out, (char)leaf.n);
        buf_str(out, leaf);
    }
    return store_end(&rows, e);
}

static enum http_answer get_entries(struct request *req, struct response *res, void *ctx)
{
    struct call c;
    struct error e = {0};
    struct buf out = BUF_INIT;
    int64_t n, width;
    if (!begin(&c, req, res, ctx))
        return HTTP_DONE;
    if (!tile_of(&c, "path", c.head.size, &n, &width))
        return end(&c, OK, NULL);
    enum err err = bundle(&c, n * LOG_TILE_WIDTH, width, &out, &e);
    if (!err) {
        keep_for(&c, true);
        response_body(req, res, 200, "application/octet-stream", buf_dup(&out, req->arena));
    }
    buf_release(&out);
    return end(&c, err, &e);
}

/* --- proofs --- */

static void write_hash(struct json_writer *w, struct arena *a, const struct hash *h)
{
    json_w_str(w, base64_encode(a, str_n((const char *)h->b, HASH_BYTES)));
}

static void write_proof(struct json_writer *w, struct arena *a, const struct merkle_proof *p)
{
    json_w_key(w, S("proof"));
    json_w_array(w);
    for (size_t i = 0; i < p->n; i++)
        write_hash(w, a, &p->path[i]);
    json_w_end(w);
}

static enum http_answer answer(struct call *c, struct buf *b)
{
    response_body(c->req, c->res, 200, "application/json", buf_dup(b, c->req->arena));
    buf_release(b);
    return end(c, OK, NULL);
}

/* A query parameter from 1 to the head's size; absent: preset. False: the response is filled. */
static bool size_param(struct call *c, const char *name, int64_t preset, int64_t *out)
{
    struct str text = request_query(c->req, name);
    *out = preset;
    if (!text.p || (str_to_i64(text, out) && *out >= 1 && *out <= c->head.size))
        return true;
    fail(c, ERR_INVALID, "a size must be a number from 1 to that of the newest checkpoint");
    return false;
}

static enum http_answer get_entry(struct request *req, struct response *res, void *ctx)
{
    struct call c;
    struct error e = {0};
    struct log_leaf leaf;
    struct merkle_proof proof;
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    int64_t index = request_param_int(req, "n"), size;
    if (!begin(&c, req, res, ctx))
        return HTTP_DONE;
    if (!size_param(&c, "size", c.head.size, &size))
        return end(&c, OK, NULL);
    struct merkle_nodes nodes = log_nodes(c.conn);
    enum err err = index < size ? log_read(c.conn, req->arena, index, &leaf, &e)
                                : error_set(&e, ERR_NOT_FOUND, "no such entry in that tree");
    if (!err)
        err = merkle_prove_leaf(&nodes, (uint64_t)index, (uint64_t)size, &proof, &e);
    if (err)
        return end(&c, err, &e);
    json_w_object(&w);
    json_w_ki64(&w, S("index"), index);
    json_w_ki64(&w, S("size"), size);
    json_w_kstr(&w, S("leaf"), leaf.text);
    write_proof(&w, req->arena, &proof);
    json_w_kstr(&w, S("checkpoint"), c.head.note);
    json_w_end(&w);
    return answer(&c, &b);
}

static enum http_answer get_growth(struct request *req, struct response *res, void *ctx)
{
    struct call c;
    struct error e = {0};
    struct merkle_proof proof;
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    int64_t from, to;
    if (!begin(&c, req, res, ctx))
        return HTTP_DONE;
    if (!size_param(&c, "from", 0, &from) || !size_param(&c, "to", c.head.size, &to))
        return end(&c, OK, NULL);
    struct merkle_nodes nodes = log_nodes(c.conn);
    enum err err = merkle_prove_growth(&nodes, (uint64_t)from, (uint64_t)to, &proof, &e);
    if (err)
        return end(&c, err, &e);
    json_w_object(&w);
    json_w_ki64(&w, S("from"), from);
    json_w_ki64(&w, S("to"), to);
    write_proof(&w, req->arena, &proof);
    json_w_end(&w);
    return answer(&c, &b);
}

static const struct route routes[] = {
    {"GET", "/log/checkpoint", get_checkpoint, ROUTE_PUBLIC_CORS},
    {"GET", "/log/key", get_key, ROUTE_PUBLIC_CORS},
    {"GET", "/log/tile/{n:int}/{path:rest}", get_tile, ROUTE_PUBLIC_CORS},
    {"GET", "/log/tile/entries/{path:rest}", get_entries, ROUTE_PUBLIC_CORS},
    {"GET", "/log/v1/entries/{n:int}", get_entry, ROUTE_PUBLIC_CORS},
    {"GET", "/log/v1/growth", get_growth, ROUTE_PUBLIC_CORS},
};

void log_routes(struct audit_log *l, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), l);
}
