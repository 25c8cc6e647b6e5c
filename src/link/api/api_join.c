/*
 * Following Relationships, so many levels deep as asked: on the same snapshot, or, where context
 * sources may have something to say, through what was fetched from everywhere before.
 */
#include "api_join.h"
#include "distribute_read.h"
#include "entity_impl.h"

enum { JOIN_LEVEL_MAX = 8 };

/* An entity on the way to another: a link back to it is not followed. */
struct way {
    struct str id;
    const struct way *up;
};

struct api_linked {
    struct str id;
    int64_t level; /* levels that may follow */
    const struct api_projection *pick, *omit;
};

/* A list of URIs: of texts in a body, with commas in the query string. */
static bool take_contained(struct api *c, const struct json *body, struct api_join *j)
{
    const struct json *list = json_get(body, S("containedBy"));
    bool good = !list || (json_is(list, JSON_ARRAY) && list->n);
    if (!list)
        j->n_contained = api_list(c, request_query(c->req, "containedBy"), &j->contained);
    struct str *ids = ARENA_ARRAY(c->arena, struct str, list ? list->n : 0);
    for (uint32_t i = 0; good && list && i < list->n; i++) {
        ids[i] = json_text(&list->items[i]);
        good = json_is(&list->items[i], JSON_STRING);
    }
    if (list) {
        j->contained = ids;
        j->n_contained = list->n;
    }
    for (size_t i = 0; good && i < j->n_contained; i++)
        good = ld_is_uri(j->contained[i]);
    if (!good)
        api_fail_text(c, ERR_INVALID, "containedBy is a list of URIs");
    return good;
}

/* joinLevel of a body is a number. */
static bool take_level(struct api *c, const struct json *body, struct api_join *j)
{
    const struct json *v = json_get(body, S("joinLevel"));
    if (!v)
        return api_number(c, "joinLevel", 1, 1, JOIN_LEVEL_MAX, &j->level);
    j->level = 1;
    if (json_i64(v, &j->level) && j->level >= 1 && j->level <= JOIN_LEVEL_MAX)
        return true;
    api_fail_text(c, ERR_INVALID, "joinLevel must be a whole number from 1 to %d", JOIN_LEVEL_MAX);
    return false;
}

bool api_join_texts(struct api *c, const struct json *body, struct api_join *j)
{
    const struct json *v = json_get(body, S("join"));
    struct str kind = v ? json_text(v) : request_query(c->req, "join");
    *j = (struct api_join){.c = c};
    if (str_eq(kind, S("inline")))
        j->kind = JOIN_INLINE;
    else if (str_eq(kind, S("flat")))
        j->kind = JOIN_FLAT;
    else if ((kind.p || v) && !str_eq(kind, S("@none"))) {
        api_fail_text(c, ERR_INVALID, "join is inline, flat or @none");
        return false;
    }
    return take_level(c, body, j) && take_contained(c, body, j);
}

bool api_join_read(struct api *c, const struct json *body, struct api_join *j)
{
    bool linked = (c->pick && c->pick->linked) || (c->omit && c->omit->linked);
    if (!api_join_texts(c, body, j))
        return false;
    if (!j->kind && linked) {
        api_fail_text(c, ERR_INVALID, "pick and omit of linked entities need join");
        return false;
    }
    if (linked &&
        (api_project_depth(c->pick) > j->level || api_project_depth(c->omit) > j->level)) {
        api_fail_text(c, ERR_INVALID, "pick and omit reach deeper than joinLevel");
        return false;
    }
    if (j->kind && c->geojson) {
        api_fail_text(c, ERR_UNPROCESSABLE, "linked entities are not offered as GeoJSON");
        return false;
    }
    return true;
}

static bool is_contained(const struct api_join *j, struct str id, const struct way *up)
{
    for (size_t i = 0; i < j->n_contained; i++)
        if (str_eq(j->contained[i], id))
            return true;
    for (; up; up = up->up)
        if (str_eq(up->id, id))
            return true;
    return false;
}

/* NULL: not here, which is no error. */
static enum err load(struct api_join *j, struct str id, const struct json **stored, struct error *e)
{
    struct entity_row row;
    *stored = NULL;
    if (j->remote) {
        *stored = map_get(&j->fetched, id);
        return OK;
    }
    if (++j->loaded > (size_t)j->c->link->options.page_max)
        return error_set(e, ERR_TOO_MANY, "more than %lld linked entities",
                         (long long)j->c->link->options.page_max);
    enum err err = repo_get(j->conn, j->c->arena, j->tenant, id, &row, e);
    if (err)
        return err == ERR_NOT_FOUND ? OK : err;
    *stored = json_parse(j->c->arena, row.doc, &JSON_DEFAULT, e);
    if (!*stored)
        return e->code;
    if (api_expired(j->c, *stored))
        *stored = NULL;
    return OK;
}

static bool links(const struct json *instances)
{
    for (uint32_t i = 0; json_is(instances, JSON_ARRAY) && i < instances->n; i++) {
        struct inst in;
        inst_open(&in, &instances->items[i]);
        if (inst_kind(&in) == KIND_RELATIONSHIP || inst_kind(&in) == KIND_LIST_RELATIONSHIP)
            return true;
    }
    return false;
}

/* --- inline --- */

struct inlining {
    struct api_join *j;
    const struct entity_view *view; /* form, language and so on of all */
    struct error *e;
    enum err err;
};

static const struct json *entity_tree(struct inlining *x, const struct json *stored,
                                      const struct entity_view *v,
                                      const struct api_projection *pick,
                                      const struct api_projection *omit, int64_t level,
                                      const struct way *up);

/* The entity that a URI names, as it shows; NULL when it is not to be had. */
static const struct json *target(struct inlining *x, struct str attr, const struct json *uri,
                                 const struct api_projection *pick,
                                 const struct api_projection *omit, int64_t level,
                                 const struct way *up)
{
    const struct json *stored = NULL;
    if (x->err || !json_is(uri, JSON_STRING) || is_contained(x->j, json_text(uri), up))
        return NULL;
    x->err = load(x->j, json_text(uri), &stored, x->e);
    if (x->err || !stored)
        return NULL;
    struct entity_view v = *x->view;
    pick = api_project_sub(pick, attr);
    omit = api_project_sub(omit, attr);
    api_project_view(x->j->c, pick, omit, &v);
    v.with_context = false;
    return entity_tree(x, stored, &v, pick, omit, level - 1, up);
}

struct place {
    struct str attr;
    const struct api_projection *pick, *omit;
    int64_t level;
    const struct way *up;
};

/* Targets of one URI or a list of them; in a list those that are not there stay URIs. */
static const struct json *targets(struct inlining *x, const struct place *at,
                                  const struct json *uris)
{
    struct arena *a = x->j->c->arena;
    if (!json_is(uris, JSON_ARRAY))
        return target(x, at->attr, uris, at->pick, at->omit, at->level, at->up);
    struct json *items = ARENA_ARRAY(a, struct json, uris->n);
    bool any = false;
    for (uint32_t i = 0; i < uris->n; i++) {
        const struct json *uri = json_get(&uris->items[i], S("object"));
        if (!uri)
            uri = &uris->items[i];
        const struct json *t = target(x, at->attr, uri, at->pick, at->omit, at->level, at->up);
        items[i] = t ? *t : *uri;
        any = any || t;
    }
    struct json *list = ARENA_NEW(a, struct json);
    *list = json_v_array(items, uris->n);
    return any ? list : NULL;
}

/* An attribute as it shows, with its targets: beside the object, or in simplified form instead. */
static struct json with_targets(struct inlining *x, const struct place *at,
                                const struct json *shown)
{
    struct arena *a = x->j->c->arena;
    const struct json *object = json_get(shown, S("object"));
    const struct json *list = json_get(shown, S("objectList"));
    const struct json *found;
    if (json_is(shown, JSON_STRING)) {
        found = targets(x, at, shown);
        return found ? *found : *shown;
    }
    if (json_is(shown, JSON_ARRAY) && shown->n) { /* several instances, or several objects */
        struct json *items = ARENA_ARRAY(a, struct json, shown->n);
        for (uint32_t i = 0; i < shown->n; i++)
            items[i] = with_targets(x, at, &shown->items[i]);
        return json_v_array(items, shown->n);
    }
    if (!object && !list)
        return *shown;
    found = targets(x, at, object ? object : list);
    return found ? json_with(a, shown, object ? S("entity") : S("entityList"), *found) : *shown;
}

/* Depth is bounded by joinLevel. */
static const struct json *entity_tree(struct inlining *x, const struct json *stored,
                                      const struct entity_view *v,
                                      const struct api_projection *pick,
                                      const struct api_projection *omit, int64_t level,
                                      const struct way *up)
{
    struct arena *a = x->j->c->arena;
    struct way here = {entity_id(stored), up};
    struct buf text = BUF_INIT;
    entity_write(&text, a, stored, v);
    const struct json *shown = json_parse(a, buf_dup(&text, a), &JSON_DEFAULT, x->e);
    buf_release(&text);
    if (!shown) {
        x->err = ERR_INTERNAL;
        return NULL;
    }
    for (uint32_t i = 0; level > 0 && !x->err && i < stored->n; i++) {
        struct str attr = json_key(&stored->members[i]);
        if (entity_is_member(attr) || !links(&stored->members[i].value))
            continue;
        struct str name = ld_compact(x->j->c->ctx, a, attr);
        const struct json *was = json_get(shown, name);
        struct place at = {attr, pick, omit, level, &here};
        if (!was)
            continue;
        struct json *next = ARENA_NEW(a, struct json);
        *next = json_with(a, shown, name, with_targets(x, &at, was));
        shown = next;
    }
    return shown;
}

enum err api_join_inline(struct api_join *j, struct buf *out, const struct json *stored,
                         const struct entity_view *v, struct error *e)
{
    struct inlining x = {.j = j, .view = v, .e = e};
    const struct json *tree = entity_tree(&x, stored, v, j->c->pick, j->c->omit, j->level, NULL);
    if (!x.err)
        json_write(out, tree);
    return x.err;
}

/* --- flat --- */

static void enqueue(struct api_join *j, struct str attr, const struct json *uri, int64_t level,
                    const struct api_projection *pick, const struct api_projection *omit)
{
    struct arena *a = j->c->arena;
    const struct json *object = json_get(uri, S("object"));
    struct str id = json_text(object ? object : uri);
    if (json_is(uri, JSON_ARRAY)) {
        for (uint32_t i = 0; i < uri->n; i++)
            enqueue(j, attr, &uri->items[i], level, pick, omit);
        return;
    }
    if (!id.p || map_get(&j->given, id) || is_contained(j, id, NULL))
        return;
    struct api_linked *l = ARENA_NEW(a, struct api_linked);
    *l = (struct api_linked){str_dup(a, id), level, api_project_sub(pick, attr),
                             api_project_sub(omit, attr)};
    map_put(&j->given, l->id, l);
    *vec_push(a, &j->queue) = l;
}

/* What does not show is not followed. */
static bool shows(const struct api_projection *pick, const struct api_projection *omit,
                  struct str attr)
{
    bool omitted = api_project_names(omit, attr) && !api_project_sub(omit, attr);
    return (!pick || api_project_names(pick, attr)) && !omitted;
}

static void enqueue_links(struct api_join *j, const struct json *stored, int64_t level,
                          const struct api_projection *pick, const struct api_projection *omit)
{
    for (uint32_t i = 0; level > 0 && i < stored->n; i++) {
        struct str attr = json_key(&stored->members[i]);
        const struct json *instances = &stored->members[i].value;
        if (entity_is_member(attr) || !links(instances) || !shows(pick, omit, attr))
            continue;
        for (uint32_t k = 0; k < instances->n; k++)
            enqueue(j, attr, instance_value(&instances->items[k]), level - 1, pick, omit);
    }
}

void api_join_note(struct api_join *j, const struct json *stored)
{
    struct str id = str_dup(j->c->arena, entity_id(stored));
    map_put(&j->given, id, j);
    enqueue_links(j, stored, j->level, j->c->pick, j->c->omit);
}

enum err api_join_flush(struct api_join *j, struct buf *out, const struct entity_view *v, size_t *n,
                        struct error *e)
{
    *n = 0;
    for (size_t i = 0; i < j->queue.n; i++) { /* it grows while it is worked off */
        const struct api_linked *l = j->queue.v[i];
        const struct json *stored;
        if (map_get(&j->given, l->id) == j) /* it was among the entities asked for */
            continue;
        enum err err = load(j, l->id, &stored, e);
        if (err)
            return err;
        if (!stored)
            continue;
        struct entity_view view = *v;
        api_project_view(j->c, l->pick, l->omit, &view);
        buf_char(out, ',');
        entity_write(out, j->c->arena, stored, &view);
        ++*n;
        enqueue_links(j, stored, l->level, l->pick, l->omit);
    }
    return OK;
}

/* --- from everywhere --- */

/* What is here of them, on one state of the store. */
static enum err fetch_here(struct api_join *j, struct api_linked *const *v, size_t n,
                           const struct json **here, struct error *e)
{
    struct arena *a = j->c->arena;
    int64_t tenant;
    struct store_conn *conn = api_reader(j->c, &tenant);
    enum err err = conn ? OK : error_set(e, ERR_UNAVAILABLE, "no reader");
    for (size_t i = 0; !err && i < n; i++) {
        struct entity_row row;
        err = repo_get(conn, a, tenant, v[i]->id, &row, e);
        here[i] = err ? NULL : json_parse(a, row.doc, &JSON_DEFAULT, e);
        if (here[i] && api_expired(j->c, here[i]))
            here[i] = NULL;
        err = err == ERR_NOT_FOUND ? OK : err;
    }
    if (conn)
        store_read_done(conn);
    return err;
}

static enum err fetch_some(struct api_join *j, struct api_linked *const *v, size_t n,
                           struct error *e)
{
    struct arena *a = j->c->arena;
    const struct json **here = ARENA_ARRAY(a, const struct json *, n);
    struct str *ids = ARENA_ARRAY(a, struct str, n);
    struct distribute *d = ARENA_NEW(a, struct distribute);
    bool failed;
    j->loaded += n;
    if (j->loaded > (size_t)j->c->link->options.page_max)
        return error_set(e, ERR_TOO_MANY, "more than %lld linked entities",
                         (long long)j->c->link->options.page_max);
    if (fetch_here(j, v, n, here, e))
        return e->code;
    for (size_t i = 0; i < n; i++)
        ids[i] = v[i]->id;
    *d = (struct distribute){.c = j->c,
                             .kind = DISTRIBUTE_IDS,
                             .tenant = j->tenant,
                             .ask = {.op = REG_QUERY_ENTITY | REG_QUERY_BATCH,
                                     .ids = ids,
                                     .n_ids = n}};
    bool loops = forward_came_back(j->c, &failed); /* who sent this asks those themselves */
    failed = false;
    bool others = !loops && distribute_begin(d, &failed);
    if (failed)
        return error_set(e, ERR_UNAVAILABLE, "sources of linked entities cannot be looked up");
    if (others)
        distribute_wait(d);
    for (size_t i = 0; i < n; i++) {
        const struct json *whole = others ? distribute_whole(d, a, ids[i], here[i]) : here[i];
        if (whole)
            map_put(&j->fetched, ids[i], (void *)(uintptr_t)whole);
    }
    if (others)
        distribute_end(d);
    return OK;
}

enum err api_join_fetch(struct api_join *j, const struct json *const *entities, size_t n,
                        struct error *e)
{
    struct api_join walk = {.c = j->c, .level = j->level};
    enum err err = OK;
    walk.contained = j->contained;
    walk.n_contained = j->n_contained;
    for (size_t i = 0; i < n; i++)
        api_join_note(&walk, entities[i]);
    for (size_t from = 0, to; !err && from < walk.queue.n; from = to) {
        struct api_linked **v = ARENA_ARRAY(j->c->arena, struct api_linked *, walk.queue.n - from);
        to = walk.queue.n;
        for (size_t i = from; i < to; i++)
            v[i - from] = walk.queue.v[i];
        err = fetch_some(j, v, to - from, e);
        for (size_t i = 0; !err && i < to - from; i++) {
            const struct json *stored = map_get(&j->fetched, v[i]->id);
            if (stored)
                enqueue_links(&walk, stored, v[i]->level, v[i]->pick, v[i]->omit);
        }
    }
    for (size_t i = 0; !err && i < n; i++) /* they may link to each other */
        if (!map_get(&j->fetched, entity_id(entities[i])))
            map_put(&j->fetched, entity_id(entities[i]), (void *)(uintptr_t)entities[i]);
    map_release(&walk.given);
    return err;
}

static enum err load_for_q(void *ctx, struct str id, const struct json **stored, struct error *e)
{
    struct api_join *j = ctx;
    struct entity_row row;
    *stored = NULL;
    enum err err = repo_get(j->conn, &j->linked, j->tenant, id, &row, e);
    if (err)
        return err == ERR_NOT_FOUND ? OK : err;
    *stored = json_parse(&j->linked, row.doc, &JSON_DEFAULT, e);
    if (*stored && api_expired(j->c, *stored))
        *stored = NULL;
    return OK;
}

const struct query_linker *api_join_linker(struct api_join *j)
{
    j->linker = (struct query_linker){&j->linked, load_for_q, j};
    return &j->linker;
}

void api_join_release(struct api_join *j)
{
    arena_release(&j->linked);
    map_release(&j->given);
    map_release(&j->fetched);
}
