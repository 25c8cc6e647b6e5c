/*
 * GET /v2/entities and POST /v2/op/query.
 *
 * The repository narrows by what it can index (ids, types, paths, q); ids, patterns, service paths
 * and places are then decided here, as NGSIv2 sees them. With orderBy all matches are looked at,
 * their keys sorted and the page read again by id.
 */
#include "v2_providers.h"
#include <stdlib.h>

enum { ORDER_FIELDS = 16, ORDER_MAX = 100000, SELECTORS_MAX = 1000, KEY_BYTES = 200 };

/* Entities by id or pattern, and type or pattern. */
struct selector {
    const struct str *ids; /* as clients write them */
    size_t n_ids;
    struct str *types; /* IRIs */
    size_t n_types;
    struct regex *id_pattern, *type_pattern;
    struct v2_subject asked; /* the same as it was asked, for context providers */
};

enum order_by { ORDER_ATTR, ORDER_ID, ORDER_TYPE, ORDER_MEMBER, ORDER_DISTANCE };

struct order_field {
    enum order_by by;
    struct str name; /* IRI, or member of the entity */
    bool reverse;
};

/* Values of unlike sorts follow one another by rank. */
struct key {
    enum { KEY_NONE, KEY_NUMBER, KEY_TEXT_VALUE, KEY_OTHER, KEY_TRUTH } rank;
    double number;
    struct str text;
};

struct query {
    struct selector *selectors;
    size_t n_selectors;
    const struct query_node *q;
    struct v2_geo geo;
    bool has_geo;
    struct v2_paths paths;
    struct order_field order[ORDER_FIELDS];
    size_t n_order;
    struct v2_view view;
    int64_t limit, offset;
    bool count;
    struct v2_remotes remotes; /* what context providers told */
};

static void release(struct query *x)
{
    for (size_t i = 0; i < x->n_selectors; i++) {
        regex_free(x->selectors[i].id_pattern);
        regex_free(x->selectors[i].type_pattern);
    }
    query_q_release(x->q);
    if (x->has_geo)
        v2_geo_release(&x->geo);
}

/* --- selectors --- */

static enum err take_ids(struct api *c, struct selector *s, struct str ids, struct str pattern,
                         struct error *e)
{
    if (ids.p && pattern.p)
        return error_set(e, ERR_INVALID, "id and idPattern cannot be used together");
    s->n_ids = api_list(c, ids, &s->ids);
    s->asked.ids = s->ids;
    s->asked.n_ids = s->n_ids;
    s->asked.id_pattern = pattern;
    if (ids.p && !s->n_ids)
        return error_set(e, ERR_INVALID, "entity id length: 0, min length supported: 1");
    for (size_t i = 0; i < s->n_ids; i++)
        if (v2_check_lookup(s->ids[i], "entity id", e))
            return ERR_INVALID;
    if (pattern.p && !str_eq(pattern, S(".*")) && !(s->id_pattern = regex_new(pattern, e)))
        return e->code;
    return OK;
}

static enum err take_types(struct api *c, struct selector *s, struct str types, struct str pattern,
                           struct error *e)
{
    const struct str *names;
    if (types.p && pattern.p)
        return error_set(e, ERR_INVALID, "type and typePattern cannot be used together");
    size_t n = api_list(c, types, &names);
    if (types.p && !n)
        return error_set(e, ERR_INVALID, "entity type length: 0, min length supported: 1");
    s->types = ARENA_ARRAY(c->arena, struct str, n);
    s->asked.types = names;
    s->asked.n_types = n;
    s->asked.type_pattern = pattern;
    for (size_t i = 0; i < n; i++) {
        if (v2_check_lookup(names[i], "entity type", e))
            return ERR_INVALID;
        s->types[s->n_types++] = v2_iri(c->arena, names[i]);
    }
    if (pattern.p && !str_eq(pattern, S(".*")) && !(s->type_pattern = regex_new(pattern, e)))
        return e->code;
    return OK;
}

static bool listed(const struct str *list, size_t n, struct str s)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(list[i], s))
            return true;
    return n == 0;
}

static enum err selects(const struct selector *s, struct arena *a, const struct json *stored,
                        bool *hit, struct error *e)
{
    struct str id = v2_id(a, entity_id(stored));
    const struct json *types = entity_types(stored);
    *hit = listed(s->ids, s->n_ids, id);
    bool typed = s->n_types == 0;
    for (uint32_t i = 0; *hit && !typed && i < types->n; i++)
        typed = listed(s->types, s->n_types, json_text(&types->items[i]));
    *hit = *hit && typed;
    if (*hit && s->id_pattern && regex_match(s->id_pattern, id, hit))
        return error_set(e, ERR_TOO_COMPLEX, "idPattern takes too many steps");
    if (*hit && s->type_pattern && regex_match(s->type_pattern, v2_entity_type(a, stored), hit))
        return error_set(e, ERR_TOO_COMPLEX, "typePattern takes too many steps");
    return OK;
}

static enum err any_selects(const struct query *x, struct arena *a, const struct json *stored,
                            bool *hit, struct error *e)
{
    *hit = false;
    for (size_t i = 0; i < x->n_selectors && !*hit; i++) {
        enum err err = selects(&x->selectors[i], a, stored, hit, e);
        if (err)
            return err;
    }
    return OK;
}

/* --- filters --- */

struct filters {
    struct str q, mq, georel, geometry, coords;
};

static enum err take_filters(struct api *c, struct query *x, const struct filters *f,
                             struct error *e)
{
    if (f->q.p || f->mq.p) {
        x->q = v2_query_parse(c->arena, f->q, f->mq, e);
        if (!x->q)
            return e->code;
    }
    if (!f->georel.p && !f->geometry.p && !f->coords.p)
        return OK;
    enum err err = v2_geo_parse(c->arena, f->georel, f->geometry, f->coords, &x->geo, e);
    x->has_geo = !err;
    return err;
}

static struct str entity_member(struct str name)
{
    if (str_eq(name, S("dateCreated")))
        return S("createdAt");
    if (str_eq(name, S("dateModified")))
        return S("modifiedAt");
    return str_eq(name, S("dateExpires")) ? S("expiresAt") : STR_NONE;
}

static enum err take_order(struct api *c, struct query *x, struct error *e)
{
    const struct str *fields;
    size_t n = api_list(c, request_query(c->req, "orderBy"), &fields);
    if (n > ORDER_FIELDS)
        return error_set(e, ERR_INVALID, "orderBy: at most %d fields", ORDER_FIELDS);
    for (size_t i = 0; i < n; i++) {
        struct order_field f = {.reverse = fields[i].p[0] == '!'};
        struct str name = str_from(fields[i], f.reverse ? 1 : 0);
        if (v2_check_lookup(name, "orderBy", e))
            return ERR_INVALID;
        f.name = entity_member(name);
        f.by = f.name.p ? ORDER_MEMBER : ORDER_ATTR;
        if (str_eq(name, S("id"))) {
            f.by = ORDER_ID;
        } else if (str_eq(name, S("type"))) {
            f.by = ORDER_TYPE;
        } else if (str_eq(name, S("geo:distance"))) {
            if (!x->has_geo || !x->geo.near)
                return error_set(e, ERR_INVALID, "orderBy=geo:distance needs georel=near");
            f.by = ORDER_DISTANCE;
        } else if (f.by == ORDER_ATTR) {
            f.name = v2_iri(c->arena, name);
        }
        x->order[x->n_order++] = f;
    }
    return OK;
}

/* --- running --- */

/* A match that waits to be sorted. */
struct match {
    const struct query *x;
    struct str id; /* stored one */
    size_t seq;    /* order of creation */
    struct key *keys;
    const struct json *joined; /* with what providers know; NULL: read it again */
};

struct run {
    struct api *c;
    struct query *x;
    struct arena scratch; /* of one candidate */
    struct buf out;
    uint64_t met, given;
    VEC(struct match) matches;
    bool joined; /* the match at hand is one with what providers know, and stays */
    int64_t now;
    enum err failed;
    struct error error;
};

static struct key key_of_value(struct arena *a, const struct json *v)
{
    int64_t instant;
    struct key k = {.rank = KEY_OTHER};
    struct str text = json_text(v);
    if (!v || json_is(v, JSON_NULL)) {
        k.rank = KEY_NONE;
    } else if (json_is_bool(v)) {
        k.rank = KEY_TRUTH;
        k.number = json_true(v);
    } else if (v->type == JSON_NUMBER) {
        k.rank = KEY_NUMBER;
        k.number = query_number(text);
    } else if (v->type == JSON_STRING) {
        k.rank = KEY_TEXT_VALUE;
        k.text = datetime_parse(text, &instant) ? datetime_text(a, instant)
                                                : str_dup(a, str_cut(text, KEY_BYTES));
    }
    return k;
}

static struct key key_of_match(struct run *r, const struct order_field *f,
                               const struct json *stored)
{
    struct arena *a = r->c->arena;
    struct key k = {.rank = KEY_NONE};
    struct json v;
    switch (f->by) {
    case ORDER_DISTANCE:
        if (v2_geo_distance(&r->x->geo, &r->scratch, stored, &k.number))
            k.rank = KEY_NUMBER;
        return k;
    case ORDER_ID:
        v = json_v_str(v2_id(&r->scratch, entity_id(stored)));
        return key_of_value(a, &v);
    case ORDER_TYPE:
        v = json_v_str(v2_entity_type(&r->scratch, stored));
        return key_of_value(a, &v);
    case ORDER_MEMBER:
        return key_of_value(a, json_get(stored, f->name));
    case ORDER_ATTR:
        break;
    }
    const struct json *instance = instance_default(entity_attr(stored, f->name));
    if (!instance)
        return k;
    v = v2_value(&r->scratch, instance);
    return key_of_value(a, &v);
}

static int compare_keys(const struct key *x, const struct key *y)
{
    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    if (x->number < y->number || x->number > y->number)
        return x->number < y->number ? -1 : 1;
    return str_cmp(x->text, y->text);
}

static int compare_matches(const void *p, const void *q)
{
    const struct match *a = p, *b = q;
    for (size_t i = 0; i < a->x->n_order; i++) {
        int order = compare_keys(&a->keys[i], &b->keys[i]);
        if (order)
            return a->x->order[i].reverse ? -order : order;
    }
    return a->seq < b->seq ? -1 : a->seq > b->seq;
}

static void show(struct run *r, const struct json *stored)
{
    if (r->given++)
        buf_char(&r->out, ',');
    v2_show(&r->out, &r->scratch, stored, &r->x->view);
}

/* Keep the match for sorting. */
static bool collect(struct run *r, const struct json *stored)
{
    struct query *x = r->x;
    if (r->matches.n == ORDER_MAX) {
        r->failed =
            error_set(&r->error, ERR_TOO_COMPLEX, "more than %d entities to be ordered", ORDER_MAX);
        return false;
    }
    struct match *m = vec_push(r->c->arena, &r->matches);
    m->x = x;
    m->id = str_dup(r->c->arena, entity_id(stored));
    m->joined = r->joined ? stored : NULL;
    m->seq = r->matches.n;
    m->keys = ARENA_ARRAY(r->c->arena, struct key, x->n_order);
    for (size_t i = 0; i < x->n_order; i++)
        m->keys[i] = key_of_match(r, &x->order[i], stored);
    return true;
}

/* One more match; false: that is enough of them. */
static bool match(struct run *r, const struct json *stored)
{
    struct query *x = r->x;
    r->met++;
    if (x->n_order)
        return collect(r, stored);
    if (r->met <= (uint64_t)x->offset)
        return true;
    if (r->given < (uint64_t)x->limit)
        show(r, stored);
    return x->count || r->given < (uint64_t)x->limit;
}

/* A tree of the call's, where it must outlive the row at hand. */
static const struct json *json_kept(struct run *r, const struct json *stored)
{
    struct json *copy = ARENA_NEW(r->c->arena, struct json);
    *copy = json_copy(r->c->arena, stored);
    return copy;
}

static bool each(void *ctx, const struct entity_row *row, const struct json *stored)
{
    struct run *r = ctx;
    struct query *x = r->x;
    bool hit = !v2_expired(stored, r->now) && v2_paths_hold(&x->paths, stored);
    (void)row;
    arena_reset(&r->scratch);
    if (hit)
        r->failed = any_selects(x, &r->scratch, stored, &hit, &r->error);
    if (hit && !r->failed && x->has_geo)
        r->failed = v2_geo_holds(&x->geo, &r->scratch, stored, &hit, &r->error);
    if (r->failed || !hit)
        return !r->failed;
    struct v2_remote *remote = v2_remote_of(&x->remotes, &r->scratch, stored);
    r->joined = remote != NULL;
    if (remote) {
        remote->used = true;
        stored = v2_joined(r->c->arena, json_kept(r, stored), remote->stored);
    }
    return match(r, stored);
}

/* An entity that providers know and that did not match as it is here, or is not here. */
static enum err each_remote(struct run *r, struct store_conn *conn, int64_t tenant,
                            struct v2_remote *remote, struct error *e)
{
    struct query *x = r->x;
    struct v2_found found;
    const struct json *stored = remote->stored;
    bool hit = true;
    enum err err =
        v2_find(conn, r->c->arena, tenant, remote->id, remote->type, &x->paths, r->now, &found, e);
    if (!err && found.n)
        stored = v2_joined(r->c->arena, found.stored, stored);
    if (!err)
        err = any_selects(x, r->c->arena, stored, &hit, e);
    if (!err && hit && x->q)
        err = query_q_holds(x->q, stored, &hit, e);
    if (!err && hit && x->has_geo)
        err = v2_geo_holds(&x->geo, r->c->arena, stored, &hit, e);
    r->joined = true;
    if (!err && hit)
        match(r, stored);
    return err;
}

static enum err show_sorted(struct run *r, struct store_conn *conn, int64_t tenant, struct error *e)
{
    struct query *x = r->x;
    size_t from = (uint64_t)x->offset < r->matches.n ? (size_t)x->offset : r->matches.n;
    if (r->matches.n)
        qsort(r->matches.v, r->matches.n, sizeof(r->matches.v[0]), compare_matches);
    for (size_t i = from; i < r->matches.n && r->given < (uint64_t)x->limit; i++) {
        struct entity_row row;
        arena_reset(&r->scratch);
        if (r->matches.v[i].joined) {
            show(r, r->matches.v[i].joined);
            continue;
        }
        enum err err = repo_get(conn, &r->scratch, tenant, r->matches.v[i].id, &row, e);
        const struct json *stored = err ? NULL : json_parse(&r->scratch, row.doc, &JSON_DEFAULT, e);
        if (!stored)
            return err ? err : e->code;
        show(r, stored);
    }
    return OK;
}

/* What all selectors have in common, for indexes. */
static enum err narrow(struct run *r, struct store_conn *conn, int64_t tenant,
                       struct entity_query *q, struct error *e)
{
    struct arena *a = r->c->arena;
    VEC(struct str) ids = VEC_INIT;
    VEC(const struct query_expr *) types = VEC_INIT;
    bool by_id = true, by_type = true;
    for (size_t i = 0; i < r->x->n_selectors; i++) {
        const struct selector *s = &r->x->selectors[i];
        by_id = by_id && s->n_ids;
        by_type = by_type && s->n_types;
        for (size_t k = 0; k < s->n_types; k++) {
            struct query_expr *leaf = ARENA_NEW(a, struct query_expr);
            *leaf = (struct query_expr){.kind = EXPR_LEAF, .leaf = &s->types[k]};
            *vec_push(a, &types) = leaf;
        }
        for (size_t k = 0; by_id && k < s->n_ids; k++) {
            const struct str *stored;
            size_t n;
            enum err err = v2_stored_ids(conn, a, tenant, s->ids[k], &stored, &n, e);
            if (err)
                return err;
            for (size_t m = 0; m < n; m++)
                *vec_push(a, &ids) = stored[m];
        }
    }
    if (by_id) {
        q->ids = ids.v;
        q->n_ids = ids.n;
    }
    if (by_type) {
        struct query_expr *any = ARENA_NEW(a, struct query_expr);
        struct type_node *node = ARENA_NEW(a, struct type_node);
        *any = (struct query_expr){.kind = EXPR_OR, .kids = types.v, .n = types.n};
        node->root = types.n == 1 ? types.v[0] : any;
        q->types = node;
    }
    return OK;
}

/* Scopes that an index can find: those below the root. */
static const struct scope_node *scopes_of(struct arena *a, const struct v2_paths *paths)
{
    VEC(const struct query_expr *) kids = VEC_INIT;
    for (size_t i = 0; i < paths->n; i++) {
        VEC(struct str) levels = VEC_INIT;
        struct str rest = str_from(paths->v[i].path, 1), level;
        if (!paths->v[i].path.n)
            return NULL;
        while (str_split(&rest, '/', &level))
            *vec_push(a, &levels) = level;
        struct scope_pattern *p = ARENA_NEW(a, struct scope_pattern);
        *p = (struct scope_pattern){levels.v, levels.n, paths->v[i].below};
        struct query_expr *leaf = ARENA_NEW(a, struct query_expr);
        *leaf = (struct query_expr){.kind = EXPR_LEAF, .leaf = p};
        *vec_push(a, &kids) = leaf;
    }
    struct query_expr *any = ARENA_NEW(a, struct query_expr);
    struct scope_node *node = ARENA_NEW(a, struct scope_node);
    *any = (struct query_expr){.kind = EXPR_OR, .kids = kids.v, .n = kids.n};
    node->root = kids.n == 1 ? kids.v[0] : any;
    return node;
}

static enum err run(struct run *r, struct store_conn *conn, int64_t tenant, struct error *e)
{
    struct link *l = r->c->link;
    struct entity_query eq = {.q = r->x->q, .scope = scopes_of(r->c->arena, &r->x->paths)};
    struct repo_result result;
    struct repo_query q = {.query = &eq,
                           .tenant = tenant,
                           .limit = UINT64_MAX,
                           .clock = l->clock,
                           .deadline = clock_steady(l->clock) + l->options.query_ms * 1000};
    r->now = clock_now(l->clock);
    enum err err = narrow(r, conn, tenant, &eq, e);
    if (!err)
        err = repo_query(conn, &q, each, r, &result, e);
    for (size_t i = 0; !err && !r->failed && i < r->x->remotes.list.n; i++)
        if (!r->x->remotes.list.v[i].used)
            err = each_remote(r, conn, tenant, &r->x->remotes.list.v[i], e);
    if (!err && r->failed) {
        *e = r->error;
        err = r->failed;
    }
    if (!err && r->x->n_order)
        err = show_sorted(r, conn, tenant, e);
    return err;
}

static void answer(struct api *c)
{
    struct query *x = c->ctx_then;
    struct run r = {.c = c, .x = x};
    struct error e = {0};
    int64_t tenant;
    bool there;
    struct store_conn *conn = v2_reader(c, &tenant, &there);
    enum err err = OK;
    buf_char(&r.out, '[');
    if (conn) {
        err = run(&r, conn, tenant, &e);
        store_read_done(conn);
    }
    buf_char(&r.out, ']');
    if (err) {
        e.code = err;
        api_fail(c, &e);
    } else if (conn || !there) {
        response_body(c->req, c->res, 200, "application/json", buf_dup(&r.out, c->arena));
        if (x->count)
            response_header(c->req, c->res, "Fiware-Total-Count",
                            str_printf(c->arena, "%llu", (unsigned long long)r.met));
    }
    buf_release(&r.out);
    arena_release(&r.scratch);
    release(x);
}

/* --- context providers --- */

/* On a pool thread, when they have answered. */
static enum http_answer forwarded(struct api *c, struct forward *f, size_t n, void *ctx)
{
    struct query *x = ctx;
    v2_take_answers(c, f, n, &x->remotes);
    c->ctx_then = x;
    answer(c);
    return HTTP_DONE;
}

/* Conditions and order look at all attributes; else those to be shown will do. */
static void wanted_of(struct api *c, const struct query *x, struct v2_wanted *w)
{
    const struct v2_view *v = &x->view;
    struct v2_subject *subjects = ARENA_ARRAY(c->arena, struct v2_subject, x->n_selectors);
    struct str *names = ARENA_ARRAY(c->arena, struct str, v->n_attrs);
    for (size_t i = 0; i < x->n_selectors; i++)
        subjects[i] = x->selectors[i].asked;
    *w = (struct v2_wanted){.subjects = subjects, .n = x->n_selectors, .attrs = names};
    for (size_t i = 0; i < v->n_attrs && !x->q && !x->has_geo && !x->n_order; i++) {
        if (str_eq(v->attrs[i], S("*"))) {
            w->n_attrs = 0;
            return;
        }
        if (!v2_is_builtin(v->attrs[i]))
            names[w->n_attrs++] = v->attrs[i];
    }
}

/* The requests to those who may know more; false: the response is filled. */
static bool ask_providers(struct api *c, struct query *x, struct forward **f, size_t *n)
{
    struct v2_wanted w;
    struct v2_providers providers;
    struct error e = {0};
    int64_t tenant;
    bool there;
    *n = 0;
    wanted_of(c, x, &w);
    struct store_conn *conn = v2_reader(c, &tenant, &there);
    if (!conn)
        return !there;
    enum err err = v2_providers_find(c, conn, tenant, &x->paths, V2_ASK_QUERY, w.subjects, w.n,
                                     &providers, &e);
    store_read_done(conn);
    if (err)
        api_fail(c, &e);
    else
        *n = v2_query_forwards(c, &providers, &w, f);
    return !err;
}

/* What cannot be narrowed by an index well is worked out on the pool. */
static enum http_answer start(struct api *c, struct query *x)
{
    struct forward *f;
    size_t n;
    if (!ask_providers(c, x, &f, &n)) {
        release(x);
        return c->answer;
    }
    if (n)
        return forward_all(c, f, n, forwarded, x);
    bool slow = x->n_order || x->has_geo;
    for (size_t i = 0; i < x->n_selectors; i++)
        slow = slow || x->selectors[i].id_pattern || x->selectors[i].type_pattern;
    if (slow) {
        enum http_answer later = api_slowly(c, answer, x);
        if (later == HTTP_DONE)
            release(x);
        return later;
    }
    c->ctx_then = x;
    answer(c);
    return HTTP_DONE;
}

/* Page, order and form; on errors x is released. */
static enum http_answer finish(struct api *c, struct query *x, enum err err, struct error *e)
{
    if (!err)
        err = take_order(c, x, e);
    if (err == ERR_UNPROCESSABLE)
        v2_error(c, 422, "NotSupportedQuery", str_c(e->text));
    else if (err)
        api_fail(c, e);
    if (!err && v2_limits(c, &x->limit, &x->offset)) {
        x->count = api_option(c, "options", "count");
        return start(c, x);
    }
    release(x);
    return c->answer;
}

#define OPTIONS "count keyValues values unique skipForwarding"

static enum http_answer list_entities(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct v2_paths paths;
    struct error e = {0};
    if (!v2_open(&c, &paths, req, res, ctx, 0, OPTIONS))
        return c.answer;
    struct query *x = ARENA_NEW(c.arena, struct query);
    x->paths = paths;
    v2_view(&c, &x->view);
    x->selectors = ARENA_NEW(c.arena, struct selector);
    x->n_selectors = 1;
    struct filters f = {request_query(req, "q"), request_query(req, "mq"),
                        request_query(req, "georel"), request_query(req, "geometry"),
                        request_query(req, "coords")};
    enum err err =
        take_ids(&c, x->selectors, request_query(req, "id"), request_query(req, "idPattern"), &e);
    if (!err)
        err = take_types(&c, x->selectors, request_query(req, "type"),
                         request_query(req, "typePattern"), &e);
    if (!err)
        err = take_filters(&c, x, &f, &e);
    return finish(&c, x, err, &e);
}

/* --- POST /v2/op/query --- */

/* The texts of an object, by name; others than those named are refused. */
static enum err take_texts(const struct json *object, const char *const *names, struct str *out,
                           size_t n, struct error *e)
{
    if (!json_is(object, JSON_OBJECT))
        return error_set(e, ERR_INVALID, "an object is expected");
    for (uint32_t i = 0; i < object->n; i++) {
        const struct json_member *m = &object->members[i];
        size_t k = 0;
        while (k < n && !str_eq(json_key(m), str_c(names[k])))
            k++;
        if (k == n || !json_is(&m->value, JSON_STRING))
            return error_set(e, ERR_INVALID, "%s: %" STR_F,
                             k == n ? "unknown field" : "text is expected in field",
                             QUOTE(json_key(m)));
        out[k] = json_text(&m->value);
        if (!out[k].n)
            return error_set(e, ERR_INVALID, "empty field: %s", names[k]);
    }
    return OK;
}

static enum err take_entities(struct api *c, struct query *x, const struct json *list,
                              struct error *e)
{
    static const char *const names[] = {"id", "idPattern", "type", "typePattern"};
    bool any = !list || (json_is(list, JSON_ARRAY) && list->n == 0);
    if (!any && (!json_is(list, JSON_ARRAY) || list->n > SELECTORS_MAX))
        return error_set(e, ERR_INVALID, "entities must be an array of at most %d", SELECTORS_MAX);
    size_t n = any ? 1 : list->n;
    x->selectors = ARENA_ARRAY(c->arena, struct selector, n);
    x->n_selectors = n;
    for (size_t i = 0; !any && i < n; i++) {
        struct str t[4] = {STR_NONE, STR_NONE, STR_NONE, STR_NONE};
        enum err err = take_texts(&list->items[i], names, t, 4, e);
        if (!err && !t[0].p && !t[1].p)
            err = error_set(e, ERR_INVALID, "nor /id/ nor /idPattern/ present");
        if (!err)
            err = take_ids(c, &x->selectors[i], t[0], t[1], e);
        if (!err)
            err = take_types(c, &x->selectors[i], t[2], t[3], e);
        if (err)
            return err;
    }
    return OK;
}

static enum err take_names(struct api *c, const struct json *list, const char *what,
                           const struct str **out, size_t *n, struct error *e)
{
    if (!list)
        return OK;
    if (!json_is(list, JSON_ARRAY))
        return error_set(e, ERR_INVALID, "%s must be an array", what);
    struct str *names = ARENA_ARRAY(c->arena, struct str, list->n);
    for (uint32_t i = 0; i < list->n; i++) {
        names[i] = json_text(&list->items[i]);
        if (!json_is(&list->items[i], JSON_STRING) || v2_check_lookup(names[i], what, e))
            return error_set(e, ERR_INVALID, "%s must hold names", what);
    }
    *out = names;
    *n = list->n;
    return OK;
}

static enum err take_query(struct api *c, struct query *x, struct error *e)
{
    static const char *const known[] = {"entities", "attrs", "expression", "metadata"};
    static const char *const names[] = {"q", "mq", "georel", "geometry", "coords"};
    struct str t[5] = {STR_NONE, STR_NONE, STR_NONE, STR_NONE, STR_NONE};
    const struct json *b = c->body, *expression = json_get(b, S("expression"));
    if (!json_is(b, JSON_OBJECT))
        return error_set(e, ERR_INVALID, "not a JSON object");
    for (uint32_t i = 0; i < b->n; i++) {
        size_t k = 0;
        while (k < 4 && !str_eq(json_key(&b->members[i]), str_c(known[k])))
            k++;
        if (k == 4)
            return error_set(e, ERR_INVALID, "unknown field: %" STR_F,
                             QUOTE(json_key(&b->members[i])));
    }
    enum err err = take_entities(c, x, json_get(b, S("entities")), e);
    if (!err)
        err = take_names(c, json_get(b, S("attrs")), "attrs", &x->view.attrs, &x->view.n_attrs, e);
    if (!err)
        err = take_names(c, json_get(b, S("metadata")), "metadata", &x->view.metadata,
                         &x->view.n_metadata, e);
    if (!err && expression)
        err = take_texts(expression, names, t, 5, e);
    struct filters f = {t[0], t[1], t[2], t[3], t[4]};
    return err ? err : take_filters(c, x, &f, e);
}

static enum http_answer post_query(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct v2_paths paths;
    struct error e = {0};
    if (!v2_open(&c, &paths, req, res, ctx, V2_BODY, OPTIONS))
        return c.answer;
    struct query *x = ARENA_NEW(c.arena, struct query);
    x->paths = paths;
    v2_view(&c, &x->view);
    enum err err = take_query(&c, x, &e);
    return finish(&c, x, err, &e);
}

static const struct route routes[] = {
    {"GET", "/v2/entities", list_entities, ROUTE_PUBLIC_CORS},
    {"POST", "/v2/op/query", post_query, ROUTE_PUBLIC_CORS},
};

void v2_query_routes(struct link *l, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), l);
}
