/*
 * Values of which neither writer had seen the other's: shown, and settled by a person's choice.
 *
 * The list is no record of its own: a conflict is there while its register holds values that
 * differ, or an attribute of an entity that was deleted elsewhere meanwhile. It ends with any write
 * that has seen them all, on either side: a choice made here or there, or a new value. What was not
 * chosen stays in the history.
 */
#include "api.h"
#include "evolution.h"
#include "link/access.h"
#include "sync.h"

enum { LIMIT_DEFAULT = 100, LIMIT_MAX = 1000 };

#define IS_CONFLICT "(r.others IS NOT NULL OR (r.value IS NOT NULL AND r.iri <> ''))"

struct place { /* what the id of a conflict names */
    int64_t eid, attr, dataset;
};

static bool place_read(struct str id, struct place *out)
{
    int64_t *const numbers[] = {&out->eid, &out->attr, &out->dataset};
    struct str one;
    size_t n = 0;
    while (str_split(&id, '-', &one))
        if (n == 3 || !str_to_i64(one, numbers[n++]))
            return false;
    return n == 3;
}

/* --- listing --- */

struct found { /* a register that may be one */
    struct place place;
    struct str id, attr, dataset, doc;
};
typedef VEC(struct found) found_list;

static enum err find(struct store_conn *c, struct arena *a, int64_t tenant,
                     const struct place *after, size_t max, found_list *out, struct error *e)
{
    struct store_rows r;
    store_query(c, &r,
                "SELECT r.eid, r.attr, r.dataset, r.iri, r.dataset_uri, x.id, x.doc"
                " FROM sync_register r JOIN entity x ON x.eid = r.eid"
                " WHERE " IS_CONFLICT " AND x.tenant = $1 AND (r.eid > $2 OR (r.eid = $2 AND"
                " (r.attr > $3 OR (r.attr = $3 AND r.dataset > $4))))"
                " ORDER BY r.eid, r.attr, r.dataset LIMIT $5",
                SV(SV_INT(tenant), SV_INT(after->eid), SV_INT(after->attr), SV_INT(after->dataset),
                   SV_INT(max)));
    while (store_next(&r)) {
        struct found *f = vec_push(a, out);
        f->place = (struct place){store_int(&r, 0), store_int(&r, 1), store_int(&r, 2)};
        f->attr = store_text(&r, 3).n ? str_dup(a, store_text(&r, 3)) : STR_NONE;
        f->dataset = store_is_null(&r, 4) ? STR_NONE : str_dup(a, store_text(&r, 4));
        f->id = str_dup(a, store_text(&r, 5));
        f->doc = store_is_null(&r, 6) ? STR_NONE : str_dup(a, store_text(&r, 6));
    }
    return store_end(&r, e);
}

/* A value that took effect in an entity that is deleted. */
static bool is_hidden(const struct found *f, const struct sync_row *row)
{
    return !f->doc.p && f->attr.p && sync_effect(&row->reg);
}

static struct str name_of_node(struct sync *s, struct store_conn *c, struct arena *a,
                               struct str node)
{
    struct store_rows r;
    struct str name = STR_NONE;
    if (str_eq(node, sync_node(s)))
        return STR_NONE;
    store_query(c, &r, "SELECT name FROM sync_node WHERE node = $1", SV(SV_TEXT(node)));
    if (store_next(&r))
        name = str_dup(a, store_text(&r, 0));
    return store_end(&r, NULL) ? STR_NONE : name;
}

static void fill(struct sync *s, struct store_conn *c, struct arena *a, const struct found *f,
                 const struct sync_row *row, struct conflict *out)
{
    bool hidden = is_hidden(f, row), deletion = false;
    const struct sync_register *reg = &row->reg;
    struct conflict_value *values = ARENA_ARRAY(a, struct conflict_value, reg->values.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < reg->values.n; i++) {
        const struct sync_value *v = &reg->values.v[i];
        struct conflict_value *one = &values[n++];
        one->key = str_printf(a, "%" STR_F ":%lld", STR_A(v->dot.node), (long long)v->dot.hlc);
        one->node = v->dot.node;
        one->name = name_of_node(s, c, a, v->dot.node);
        one->at = v->dot.hlc;
        one->instance = v->value;
        one->in_effect = hidden ? !v->value : i == 0;
        deletion = deletion || !v->value;
    }
    if (hidden && !deletion)
        values[n++] = (struct conflict_value){.key = S("deleted"), .in_effect = true};
    *out =
        (struct conflict){.id = str_printf(a, "%lld-%lld-%lld", (long long)f->place.eid,
                                           (long long)f->place.attr, (long long)f->place.dataset),
                          .entity = f->id,
                          .attr = f->attr,
                          .dataset = f->dataset,
                          .entity_deleted = !f->doc.p,
                          .values = values,
                          .n_values = n};
}

enum err conflicts_each(struct sync *s, struct store_conn *c, struct arena *a, int64_t tenant,
                        struct str after, size_t max,
                        bool (*each)(void *ctx, const struct conflict *x), void *ctx,
                        struct error *e)
{
    found_list list = VEC_INIT;
    struct place place = {0};
    bool more = true;
    if (after.n && !place_read(after, &place))
        return error_set(e, ERR_INVALID, "after: the id of a conflict is expected");
    enum err err = OK;
    for (size_t given = 0; !err && more && given < max;) {
        list.n = 0;
        err = find(c, a, tenant, &place, max, &list, e);
        more = list.n == max;
        for (size_t i = 0; !err && given < max && i < list.n; i++) {
            const struct found *f = &list.v[i];
            struct sync_row row;
            struct conflict x;
            const struct json *doc = f->doc.p ? json_parse(a, f->doc, &JSON_DEFAULT, NULL) : NULL;
            place = f->place;
            err = sync_load(s, c, a, f->place.eid, doc, f->attr, f->dataset, &row, e);
            if (err || (!sync_differs(&row.reg) && !is_hidden(f, &row)))
                continue;
            fill(s, c, a, f, &row, &x);
            given++;
            if (!each(ctx, &x))
                return OK;
        }
    }
    return err;
}

enum err conflicts_count(struct store_conn *c, int64_t tenant, int64_t *n, struct error *e)
{
    return store_get_int(c, n,
                         "SELECT count(*) FROM sync_register r JOIN entity x ON x.eid = r.eid"
                         " WHERE " IS_CONFLICT " AND x.tenant = $1",
                         SV(SV_INT(tenant)), e);
}

/* --- deciding --- */

struct decision {
    struct sync *sync;
    int64_t tenant;
    struct place place;
    struct str key, actor;
};

/* A part that replaces all that a register holds. */
static void decide_part(struct decision *d, struct arena *a, int64_t now,
                        const struct sync_row *row, const struct json *value,
                        struct sync_piece *piece)
{
    struct sync *s = d->sync;
    struct sync_part *part = vec_push(a, &piece->parts);
    struct sync_dot dot = {sync_tick(s, now, sync_seen(&row->reg, sync_node(s))), sync_node(s)};
    *part = (struct sync_part){row->attr, row->dataset, {.seen = VEC_INIT, .values = VEC_INIT}};
    for (size_t i = 0; i < row->reg.seen.n; i++)
        sync_see(a, &part->reg, &row->reg.seen.v[i]);
    if (value && row->attr.p) {
        struct json *changed = ARENA_NEW(a, struct json);
        *changed = json_with(a, value, S("modifiedAt"), json_v_str(datetime_text(a, now)));
        value = changed;
    }
    sync_write(a, &part->reg, &dot, value);
}

static bool choose(const struct decision *d, struct arena *a, const struct sync_register *reg,
                   const struct json **value)
{
    *value = NULL;
    for (size_t i = 0; i < reg->values.n; i++) {
        const struct sync_value *v = &reg->values.v[i];
        struct str key =
            str_printf(a, "%" STR_F ":%lld", STR_A(v->dot.node), (long long)v->dot.hlc);
        *value = v->value;
        if (str_eq(key, d->key))
            return true;
    }
    *value = NULL;
    return str_eq(d->key, S("deleted"));
}

/* Of an entity whose deletion is forgotten (trim.h) the types are known still. */
static enum err known_head(struct store_conn *c, struct arena *a, int64_t eid, int64_t now,
                           const struct json **out, struct error *e)
{
    const struct json *types = NULL;
    enum err err = evolution_types(c, a, eid, &types, e);
    if (!err && !types)
        err = error_set(e, ERR_CONFLICT, "nothing is known of the entity that was deleted");
    if (err)
        return err;
    struct json_member *m = ARENA_ARRAY(a, struct json_member, 2);
    m[0] = json_m(S("type"), *types);
    m[1] = json_m(S("createdAt"), json_v_str(datetime_text(a, now)));
    struct json *head = ARENA_NEW(a, struct json);
    *head = json_v_object(m, 2);
    *out = head;
    return OK;
}

static enum err write_decision(struct decision *d, struct store_conn *c, struct arena *a,
                               const struct found *f, struct error *e)
{
    int64_t now = clock_now(d->sync->link->clock);
    const struct json *value, *doc = f->doc.p ? json_parse(a, f->doc, &JSON_DEFAULT, NULL) : NULL;
    struct sync_piece piece = {.id = f->id, .at = now};
    struct sync_row row, head;
    enum err err = sync_load(d->sync, c, a, f->place.eid, doc, f->attr, f->dataset, &row, e);
    if (err)
        return err;
    if (!sync_differs(&row.reg) && !is_hidden(f, &row))
        return error_set(e, ERR_NOT_FOUND, "it is no conflict any more");
    if (!choose(d, a, &row.reg, &value))
        return error_set(e, ERR_INVALID, "no value \"%" STR_F "\" to choose",
                         STR_A(str_cut(d->key, 100)));
    if (!doc && f->attr.p && value) { /* what is chosen needs its entity */
        err = sync_load(d->sync, c, a, f->place.eid, NULL, STR_NONE, STR_NONE, &head, e);
        if (!err && !head.aside)
            err = known_head(c, a, f->place.eid, now, &head.aside, e);
        if (err)
            return err;
        decide_part(d, a, now, &head, head.aside, &piece);
    }
    decide_part(d, a, now, &row, value, &piece);
    return sync_apply(d->sync, c, a, d->tenant, &piece, STR_NONE, 0, d->actor, e);
}

static enum err apply_decision(struct store_conn *c, void *ctx, struct error *e)
{
    struct decision *d = ctx;
    struct arena a = ARENA_INIT;
    found_list list = VEC_INIT;
    struct place before = d->place;
    before.dataset--;
    enum err err = find(c, &a, d->tenant, &before, 1, &list, e);
    const struct found *f = err ? NULL : list.v;
    bool there = f && f->place.eid == d->place.eid && f->place.attr == d->place.attr &&
                 f->place.dataset == d->place.dataset;
    if (there)
        err = write_decision(d, c, &a, f, e);
    else if (!err)
        err = error_set(e, ERR_NOT_FOUND, "there is no such conflict");
    arena_release(&a);
    return err;
}

enum err conflict_decide(struct sync *s, int64_t tenant, struct str id, struct str key,
                         struct str actor, struct error *e)
{
    struct decision d = {.sync = s, .tenant = tenant, .key = key, .actor = actor};
    if (!place_read(id, &d.place))
        return error_set(e, ERR_NOT_FOUND, "there is no such conflict");
    return store_write(s->link->store, apply_decision, &d, e);
}

/* --- routes --- */

static void w_head(struct api *c, struct json_writer *w, const struct json *head)
{
    const struct json *types = json_get(head, S("type")), *scope = json_get(head, S("scope"));
    json_w_key(w, S("type"));
    json_w_array(w);
    for (uint32_t i = 0; types && i < types->n; i++)
        json_w_str(w, ld_compact(c->ctx, c->arena, json_text(&types->items[i])));
    json_w_end(w);
    if (scope) {
        json_w_key(w, S("scope"));
        json_w_value(w, scope);
    }
}

static void w_value(struct api *c, struct json_writer *w, const struct conflict *x,
                    const struct conflict_value *v)
{
    struct entity_view view = {.form = FORM_NORMALIZED, .sys_attrs = true, .ctx = c->ctx};
    json_w_object(w);
    json_w_kstr(w, S("key"), v->key);
    if (v->node.p)
        json_w_kstr(w, S("node"), v->node);
    if (v->name.p)
        json_w_kstr(w, S("nodeName"), v->name);
    if (v->at)
        json_w_kstr(w, S("changedAt"), datetime_text(c->arena, v->at));
    json_w_kbool(w, S("inEffect"), v->in_effect);
    if (!v->instance) {
        json_w_kbool(w, S("deleted"), true);
    } else if (x->attr.p) {
        json_w_key(w, S("instance"));
        entity_write_instance(w, c->arena, v->instance, &view);
    } else {
        w_head(c, w, v->instance);
    }
    json_w_end(w);
}

struct listing {
    struct api *c;
    struct json_writer w;
    struct store_conn *conn;
    int64_t tenant;
};

/* To a reader from whom something is hidden a conflict shows when what it is about shows now. */
static bool hidden_from(const struct listing *l, const struct conflict *x)
{
    struct entity_row row;
    struct error e;
    if (!access_of(l->conn))
        return false;
    if (repo_get(l->conn, l->c->arena, l->tenant, x->entity, &row, &e))
        return true;
    const struct json *stored = json_parse(l->c->arena, row.doc, &JSON_DEFAULT, &e);
    return x->attr.p && !entity_attr(stored, x->attr);
}

static bool w_conflict(void *ctx, const struct conflict *x)
{
    struct listing *l = ctx;
    if (hidden_from(l, x))
        return true;
    json_w_object(&l->w);
    json_w_kstr(&l->w, S("id"), x->id);
    json_w_kstr(&l->w, S("entity"), x->entity);
    if (x->attr.p)
        json_w_kstr(&l->w, S("attribute"), ld_compact(l->c->ctx, l->c->arena, x->attr));
    if (x->dataset.p)
        json_w_kstr(&l->w, S("datasetId"), x->dataset);
    if (x->entity_deleted)
        json_w_kbool(&l->w, S("entityDeleted"), true);
    json_w_key(&l->w, S("values"));
    json_w_array(&l->w);
    for (size_t i = 0; i < x->n_values; i++)
        w_value(l->c, &l->w, x, &x->values[i]);
    json_w_end(&l->w);
    json_w_end(&l->w);
    return true;
}

static enum http_answer get_conflicts(struct request *req, struct response *res, void *ctx)
{
    struct sync *s = ctx;
    struct api c;
    struct error e = {0};
    int64_t limit, tenant;
    struct buf b = BUF_INIT;
    if (!api_open(&c, req, res, s->link, get_conflicts, 0, "limit after") ||
        !api_number(&c, "limit", LIMIT_DEFAULT, 1, LIMIT_MAX, &limit))
        return c.answer;
    struct store_conn *conn = api_reader(&c, &tenant);
    if (!conn)
        return c.answer;
    struct listing l = {&c, json_writer(&b), conn, tenant};
    json_w_array(&l.w);
    enum err err = conflicts_each(s, conn, c.arena, tenant, request_query(req, "after"),
                                  (size_t)limit, w_conflict, &l, &e);
    json_w_end(&l.w);
    store_read_done(conn);
    if (err) {
        buf_release(&b);
        return api_fail(&c, &e);
    }
    api_answer_buf(&c, 200, &b);
    return HTTP_DONE;
}

struct choice {
    struct sync *sync;
    int64_t tenant;
    struct str id, key;
};

static void decide(struct api *c)
{
    const struct choice *x = c->ctx_then;
    struct error e = {0};
    if (conflict_decide(x->sync, x->tenant, x->id, x->key, c->req->user, &e))
        api_fail(c, &e);
    else
        response_empty(c->res, 204);
}

static enum http_answer post_conflict(struct request *req, struct response *res, void *ctx)
{
    struct sync *s = ctx;
    struct api c;
    struct choice *x = ARENA_NEW(req->arena, struct choice);
    if (!api_open(&c, req, res, s->link, post_conflict, API_BODY, ""))
        return c.answer;
    x->sync = s;
    x->id = request_param(req, "id");
    x->key = json_text(json_get(c.body, S("choose")));
    if (!x->key.n)
        return api_fail_text(&c, ERR_INVALID, "choose: the key of a value, or \"deleted\"");
    struct store_conn *conn = api_reader(&c, &x->tenant);
    if (!conn)
        return c.answer;
    store_read_done(conn);
    return api_slowly(&c, decide, x);
}

static const struct route routes[] = {
    {"GET", "/link/v1/conflicts", get_conflicts, 0},
    {"POST", "/link/v1/conflicts/{id}", post_conflict, 0},
};

void conflict_routes(struct sync *s, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), s);
}
