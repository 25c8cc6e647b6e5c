#include "feed.h"
#include "crypto/hash.h"

enum { SCAN_ROWS = 5000 };

/* --- cursors --- */

enum err cursor_read(struct store_conn *c, struct arena *a, int64_t tenant, struct str node,
                     struct cursor *out, struct error *e)
{
    struct store_rows r;
    *out = (struct cursor){0};
    store_query(c, &r,
                "SELECT received, acked, contact, mark FROM sync_cursor"
                " WHERE tenant = $1 AND node = $2",
                SV(SV_INT(tenant), SV_TEXT(node)));
    if (store_next(&r)) {
        *out = (struct cursor){.received = store_int(&r, 0),
                               .acked = store_int(&r, 1),
                               .contact = store_int(&r, 2),
                               .known = true};
        if (!store_is_null(&r, 3))
            out->mark = str_dup(a, store_text(&r, 3));
    }
    return store_end(&r, e);
}

enum err cursor_write(struct store_conn *c, int64_t tenant, struct str node,
                      const struct cursor *cursor, struct error *e)
{
    return store_exec(c,
                      "INSERT INTO sync_cursor(tenant, node, received, acked, contact, mark)"
                      " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT(tenant, node) DO UPDATE SET"
                      " received = excluded.received, acked = excluded.acked,"
                      " contact = excluded.contact, mark = excluded.mark",
                      SV(SV_INT(tenant), SV_TEXT(node), SV_INT(cursor->received),
                         SV_INT(cursor->acked), SV_INT(cursor->contact), SV_TEXT(cursor->mark)),
                      NULL, e);
}

enum err sync_mark(struct store_conn *c, struct arena *a, int64_t tenant, int64_t seq,
                   struct str *out, struct error *e)
{
    struct hash hash;
    struct error why;
    enum err err = journal_hash(c, tenant, seq, &hash, &why);
    *out = STR_NONE;
    if (err)
        return err == ERR_NOT_FOUND ? OK : error_set(e, err, "%s", why.text);
    *out = hex_encode(a, str_n((const char *)hash.b, HASH_BYTES));
    return OK;
}

/* --- reading the journal --- */

struct reading {
    struct feed *f;
    struct store_conn *c;
    struct arena arena; /* of one row */
    struct buf *out;
    size_t began, scanned;
    bool whole; /* the row that is put is the whole of what enters the receiver's part */
    enum err err;
    struct error *e;
};

static void put_member(struct reading *r, const struct journal_row *row, const char *member,
                       struct str text)
{
    struct buf *b = r->out;
    if (r->f->rows++)
        buf_char(b, ',');
    BUF_LIT(b, "{\"s\":");
    buf_i64(b, row->seq);
    if (row->origin.p) {
        BUF_LIT(b, ",\"o\":");
        json_write_str(b, row->origin);
    }
    if (r->whole)
        BUF_LIT(b, ",\"whole\":true");
    buf_printf(b, ",\"%s\":", member);
    buf_str(b, text);
    buf_char(b, '}');
}

static void put_row(struct reading *r, const struct journal_row *row, struct str piece)
{
    put_member(r, row, "p", piece);
}

static void put_tree(struct reading *r, const struct journal_row *row, const struct json *piece)
{
    put_row(r, row, json_to_text(&r->arena, piece));
}

static void put_state(struct reading *r, const struct journal_row *row)
{
    struct sync_piece piece;
    struct buf text = BUF_INIT;
    struct error e;
    enum err err = sync_state(r->f->sync, r->c, &r->arena, r->f->tenant, row->key, &piece, &e);
    if (!err) {
        sync_piece_write(&r->arena, &text, &piece);
        r->whole = true;
        put_row(r, row, buf_view(&text));
        r->whole = false;
    } else if (err != ERR_NOT_FOUND) {
        r->err = error_set(r->e, err, "%s", e.text);
    }
    buf_release(&text);
}

static bool changes_head(const struct json *piece)
{
    const struct json *parts = json_get(piece, S("r"));
    for (uint32_t i = 0; json_is(parts, JSON_ARRAY) && i < parts->n; i++)
        if (!json_get(&parts->items[i], S("a")))
            return true;
    return false;
}

/* The document before the change, as far as the area is concerned. */
static const struct json *before_move(struct arena *a, const struct json *doc,
                                      const struct json *changed, struct str property)
{
    for (uint32_t i = 0; json_is(changed, JSON_ARRAY) && i < changed->n; i++) {
        const struct json *one = &changed->items[i], *was = json_get(one, S("b"));
        if (!str_eq(json_text(json_get(one, S("a"))), property) || json_get(one, S("d")))
            continue;
        struct json *old = ARENA_NEW(a, struct json);
        *old = was ? json_with(a, doc, property, json_v_array(was, 1))
                   : json_without(a, doc, property);
        return old;
    }
    return doc;
}

/* The text of the piece in a row's body; absent when it has none. */
static struct str piece_text(struct str body)
{
    struct json_pull p;
    struct arena a = ARENA_INIT; /* of keys with escapes: there are none */
    struct str found = STR_NONE;
    json_pull_open(&p, &a, body, &JSON_DEFAULT, NULL);
    if (json_pull_next(&p) == JSON_EV_OBJECT)
        while (json_pull_next(&p) == JSON_EV_KEY && !str_eq(p.key, S("doc"))) {
            bool piece = str_eq(p.key, S("piece"));
            enum json_event ev = json_pull_next(&p);
            size_t began = p.began;
            if (ev != JSON_EV_VALUE && !json_pull_skip(&p))
                break;
            if (piece) {
                found = str_sub(body, began, p.at - began);
                break;
            }
        }
    arena_release(&a);
    return found;
}

/*
 * What the receiver must hear of a change: an update of what it holds, the whole of what enters its
 * part, the last update of what leaves it.
 */
static void put_entity(struct reading *r, const struct journal_row *row)
{
    const struct part *part = r->f->part;
    if (!r->f->to.p && row->seq <= atomic_load(&r->f->sync->restamped)) {
        put_state(r, row);
        return;
    }
    struct str text = !part || part_all(part) ? piece_text(row->body) : STR_NONE;
    if (text.p) {
        put_row(r, row, text);
        return;
    }
    const struct json *body = json_parse(&r->arena, row->body, &JSON_DEFAULT, NULL);
    const struct json *piece = json_get(body, S("piece")), *doc = json_get(body, S("doc"));
    bool all = !part || part_all(part), update = str_eq(json_text(json_get(body, S("op"))), S("u"));
    bool is = all || part_holds(part, doc), was = is;
    if (!piece) {
        if (is)
            put_state(r, row);
        return;
    }
    if (!all && update && changes_head(piece))
        was = !is;
    else if (!all && update && part->query.geo)
        was = part_holds(part, before_move(&r->arena, doc, json_get(body, S("changed")),
                                           part->geo.property));
    if (is && !was)
        put_state(r, row);
    else if (is || was)
        put_tree(r, row, piece);
}

/* A piece that changed nothing to be seen. */
static void put_kept(struct reading *r, const struct journal_row *row)
{
    const struct part *part = r->f->part;
    struct entity_row now;
    bool wanted = true;
    if (!r->f->to.p && row->seq <= atomic_load(&r->f->sync->restamped)) {
        put_state(r, row);
        return;
    }
    if (part && !part_all(part) &&
        repo_get(r->c, &r->arena, r->f->tenant, row->key, &now, NULL) == OK)
        wanted = part_holds(part, json_parse(&r->arena, now.doc, &JSON_DEFAULT, NULL));
    if (wanted)
        put_row(r, row, row->body);
}

/* The part is that of the entity as it is now; of one known by its evolution alone its types tell.
 */
static void put_past(struct reading *r, const struct journal_row *row)
{
    const struct part *part = r->f->part;
    const struct json *body = json_parse(&r->arena, row->body, &JSON_DEFAULT, NULL);
    const struct json *past = json_get(body, S("past")), *types = json_get(past, S("types"));
    struct entity_row now;
    struct json_member head[2];
    struct json alone;
    const struct json *doc = NULL;
    if (!past)
        return;
    if (part && !part_all(part) &&
        repo_get(r->c, &r->arena, r->f->tenant, row->key, &now, NULL) == OK) {
        doc = json_parse(&r->arena, now.doc, &JSON_DEFAULT, NULL);
    } else if (types) {
        head[0] = json_m(S("id"), json_v_str(row->key));
        head[1] = json_m(S("type"), *types);
        alone = json_v_object(head, 2);
        doc = &alone;
    }
    if (!part || part_all(part) || !doc || part_holds(part, doc))
        put_member(r, row, "h", json_to_text(&r->arena, past));
}

static bool concerns(const struct feed *f, const struct journal_row *row)
{
    return f->to.p ? !str_eq(row->origin, f->to) : !row->origin.p;
}

static bool take_row(void *ctx, const struct journal_row *row)
{
    struct reading *r = ctx;
    if (r->out->n - r->began >= r->f->max_bytes)
        return false;
    r->scanned++;
    r->f->upto = row->seq;
    if (!concerns(r->f, row))
        return true;
    if (str_eq(row->topic, S("entity")))
        put_entity(r, row);
    else if (str_eq(row->topic, S("sync")))
        put_kept(r, row);
    else if (str_eq(row->topic, S("history")))
        put_past(r, row);
    else if (str_eq(row->topic, S("trim")) && r->f->to.p)
        put_member(r, row, "t", row->body);
    arena_reset(&r->arena);
    return r->err == OK;
}

enum err feed_read(struct feed *f, struct store_conn *c, struct buf *out, struct error *e)
{
    struct reading r = {.f = f, .c = c, .out = out, .e = e};
    int64_t oldest;
    f->upto = f->after;
    f->rows = 0;
    buf_printf(out, "{\"node\":\"%s\",\"rows\":[", atomic_load(&f->sync->node));
    r.began = out->n;
    enum err err = journal_range(c, f->tenant, &oldest, &f->newest, e);
    if (!err)
        err = journal_read(c, f->tenant, f->after, SCAN_ROWS, take_row, &r, e);
    if (!err)
        err = r.err;
    struct str mark = STR_NONE;
    if (!err)
        err = sync_mark(c, &r.arena, f->tenant, f->upto, &mark, e);
    buf_printf(out, "],\"upto\":%lld,\"newest\":%lld", (long long)f->upto, (long long)f->newest);
    if (mark.p)
        buf_printf(out, ",\"mark\":\"%" STR_F "\"", STR_A(mark));
    buf_char(out, '}');
    arena_release(&r.arena);
    return err;
}

enum err states_write(struct sync *s, struct store_conn *c, int64_t tenant, const struct str *ids,
                      size_t n, struct buf *out, struct error *e)
{
    struct arena a = ARENA_INIT;
    int64_t oldest, newest = 0;
    enum err err = journal_range(c, tenant, &oldest, &newest, e);
    size_t written = 0;
    buf_printf(out, "{\"node\":\"%s\",\"newest\":%lld,\"rows\":[", atomic_load(&s->node),
               (long long)newest);
    for (size_t i = 0; !err && i < n; i++) {
        struct sync_piece piece;
        err = sync_state(s, c, &a, tenant, ids[i], &piece, e);
        if (err == ERR_NOT_FOUND) {
            err = OK;
            continue;
        }
        if (err)
            break;
        if (written++)
            buf_char(out, ',');
        BUF_LIT(out, "{\"p\":");
        sync_piece_write(&a, out, &piece);
        buf_char(out, '}');
        arena_reset(&a);
    }
    BUF_LIT(out, "]}");
    arena_release(&a);
    return err;
}

/* --- taking --- */

enum err feed_parse(struct arena *a, const struct json *v, struct feed_message *out,
                    struct error *e)
{
    const struct json *rows = json_get(v, S("rows"));
    *out = (struct feed_message){.node = json_text(json_get(v, S("node")))};
    if (!json_is(json_get(v, S("node")), JSON_STRING) || !sync_node_ok(out->node) ||
        !json_is(rows, JSON_ARRAY))
        return error_set(e, ERR_INVALID, "a message without node or rows");
    if (!json_i64(json_get(v, S("upto")), &out->upto))
        out->upto = 0;
    if (!json_i64(json_get(v, S("newest")), &out->newest))
        out->newest = 0;
    out->mark = json_text(json_get(v, S("mark")));
    for (uint32_t i = 0; i < rows->n; i++) {
        const struct json *row = &rows->items[i], *origin = json_get(row, S("o"));
        struct feed_row *one = vec_push(a, &out->rows);
        one->origin = origin ? json_text(origin) : out->node;
        if (!json_i64(json_get(row, S("s")), &one->seq))
            one->seq = 0;
        if (!sync_node_ok(one->origin) || one->seq < 0)
            return error_set(e, ERR_INVALID, "row %u: no origin or sequence", i);
        const struct json *past = json_get(row, S("h"));
        if (json_get(row, S("whole"))) {
            out->whole = true;
            one->seq = 0;
        }
        const struct json *trim = json_get(row, S("t"));
        one->kind = past ? FEED_PAST : trim ? FEED_TRIM : FEED_PIECE;
        enum err err = past   ? past_read(a, past, &one->past, e)
                       : trim ? trim_read(a, trim, &one->trim, e)
                              : sync_piece_read(a, json_get(row, S("p")), &one->piece, e);
        if (err)
            return err;
    }
    return OK;
}

struct taking {
    struct sync *sync;
    int64_t tenant;
    const struct feed_message *m;
};

/* A city forgets for itself alone: what a node tells of that is passed over. */
static enum err take_row_in(const struct taking *t, struct store_conn *c, struct arena *a,
                            const struct feed_row *row, struct str actor, struct error *e)
{
    struct past_from from = {row->origin, row->seq, actor};
    bool changed;
    switch (row->kind) {
    case FEED_PAST:
        return past_apply(t->sync, c, a, t->tenant, &row->past, &from, &changed, e);
    case FEED_TRIM:
        return t->sync->link->edge.on ? trim_apply(c, a, t->tenant, &row->trim, e) : OK;
    case FEED_PIECE:
        break;
    }
    return sync_apply(t->sync, c, a, t->tenant, &row->piece, row->origin, row->seq, actor, e);
}

static enum err take(struct store_conn *c, void *ctx, struct error *e)
{
    const struct taking *t = ctx;
    struct arena a = ARENA_INIT;
    struct str actor = str_printf(&a, "node:%" STR_F, STR_A(t->m->node));
    struct arena scratch = ARENA_INIT;
    struct cursor cursor;
    enum err err = cursor_read(c, &a, t->tenant, t->m->node, &cursor, e);
    for (size_t i = 0; !err && i < t->m->rows.n; i++) {
        const struct feed_row *row = &t->m->rows.v[i];
        err = take_row_in(t, c, &scratch, row, actor, e);
        arena_reset(&scratch);
    }
    if (!err && t->m->upto) {
        cursor.received = t->m->upto;
        cursor.mark = t->m->mark;
        cursor.contact = clock_now(t->sync->link->clock);
        err = cursor_write(c, t->tenant, t->m->node, &cursor, e);
    }
    arena_release(&scratch);
    arena_release(&a);
    return err;
}

enum err feed_take(struct sync *s, int64_t tenant, const struct feed_message *m, struct error *e)
{
    struct taking t = {s, tenant, m};
    return store_write(s->link->store, take, &t, e);
}
