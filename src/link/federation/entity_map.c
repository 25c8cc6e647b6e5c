/*
 * Entity maps, and /entityMaps/{id}. They are rows, so that every process on the store knows them;
 * making one is a change, thus work for the pool. What is over goes when the next one is made, and
 * of the others the oldest while there are too many.
 */
#include "entity_map.h"

#include "core/datetime.h"
#include "crypto/hash.h"
#include "link/access.h"
#include <string.h>

#define PATH   "/ngsi-ld/v1/entityMaps/"
#define PREFIX "urn:ngsi-ld:EntityMap:"

enum { LIFETIME_MAX_S = 86400, ADDRESS_MAX = 1000 };

struct kept {
    struct str id;
    int64_t expires; /* instant */
    const struct entity_map_entry *v;
    size_t n;
    const struct entity_map_link *links;
    size_t n_links;
};

/* --- rows: doc is [[id, [source...], [type...]]...], links [registration, address, ...] --- */

static void write_texts(struct json_writer *w, const struct str *v, size_t n)
{
    json_w_array(w);
    for (size_t i = 0; i < n; i++)
        json_w_str(w, v[i]);
    json_w_end(w);
}

static struct str doc_of(struct arena *a, const struct entity_map_entry *v, size_t n)
{
    struct buf text = BUF_INIT;
    struct json_writer w = json_writer(&text);
    json_w_array(&w);
    for (size_t i = 0; i < n; i++) {
        json_w_array(&w);
        json_w_str(&w, v[i].id);
        write_texts(&w, v[i].sources, v[i].n_sources);
        write_texts(&w, v[i].types, v[i].n_types);
        json_w_end(&w);
    }
    json_w_end(&w);
    struct str doc = buf_dup(&text, a);
    buf_release(&text);
    return doc;
}

static const struct str *read_texts(struct arena *a, const struct json *v, size_t *n)
{
    *n = json_is(v, JSON_ARRAY) ? v->n : 0;
    struct str *out = ARENA_ARRAY(a, struct str, *n + 1);
    for (size_t i = 0; i < *n; i++)
        out[i] = json_text(&v->items[i]);
    return out;
}

static enum err read_entries(struct arena *a, struct str doc, struct kept *k, struct error *e)
{
    const struct json *list = json_parse(a, doc, &JSON_DEFAULT, e);
    if (!json_is(list, JSON_ARRAY))
        return error_set(e, ERR_CORRUPT, "an entity map holds no list");
    struct entity_map_entry *v = ARENA_ARRAY(a, struct entity_map_entry, list->n + 1);
    for (uint32_t i = 0; i < list->n; i++) {
        const struct json *x = &list->items[i];
        if (!json_is(x, JSON_ARRAY) || x->n != 3)
            return error_set(e, ERR_CORRUPT, "an entity map holds a broken entry");
        v[i].id = json_text(&x->items[0]);
        v[i].sources = read_texts(a, &x->items[1], &v[i].n_sources);
        v[i].types = read_texts(a, &x->items[2], &v[i].n_types);
    }
    k->v = v;
    k->n = list->n;
    return OK;
}

static struct str tenant_of(const struct api *c)
{
    return c->tenant.n ? c->tenant : S("");
}

static struct str links_of(struct arena *a, const struct distribute *d)
{
    size_t sources = d ? d->n_sources : 0, n = 0;
    struct str *texts = ARENA_ARRAY(a, struct str, 2 * sources + 1);
    /* A source that has several parts of a query has a map of each: the first one is kept. */
    for (size_t i = 0; i < sources; i++) {
        struct str reg = d->sources[i].part->reg->id;
        bool there = !d->sources[i].map.n;
        for (size_t k = 0; !there && k < n; k += 2)
            there = str_eq(texts[k], reg);
        if (there)
            continue;
        texts[n++] = reg;
        texts[n++] = d->sources[i].map;
    }
    struct buf text = BUF_INIT;
    struct json_writer w = json_writer(&text);
    write_texts(&w, texts, n);
    struct str out = buf_dup(&text, a);
    buf_release(&text);
    return out;
}

static enum err read_links(struct arena *a, struct str text, struct kept *k, struct error *e)
{
    size_t n = 0;
    const struct json *list = json_parse(a, text, &JSON_DEFAULT, e);
    const struct str *texts = read_texts(a, list, &n);
    if (!json_is(list, JSON_ARRAY))
        return error_set(e, ERR_CORRUPT, "an entity map holds no list of links");
    struct entity_map_link *links = ARENA_ARRAY(a, struct entity_map_link, n / 2 + 1);
    for (size_t i = 0; i < n / 2; i++)
        links[i] = (struct entity_map_link){texts[2 * i], texts[2 * i + 1]};
    k->links = links;
    k->n_links = n / 2;
    return OK;
}

/* The map, where it is there for the caller; without entries when k is NULL. */
static enum err find(struct store_conn *conn, struct api *c, const struct access_view *view,
                     struct str id, struct kept *k, struct error *e)
{
    struct store_rows r;
    struct str doc = STR_NONE, links = STR_NONE;
    bool there = false;
    store_query(conn, &r,
                "SELECT owner, expires, doc, links FROM entity_map WHERE id = $1 AND tenant = $2",
                SV(SV_TEXT(id), SV_TEXT(tenant_of(c))));
    if (store_next(&r)) {
        there = store_int(&r, 1) > clock_now(c->link->clock) &&
                access_owns(view, access_asks(c->req), store_text(&r, 0));
        if (there && k) {
            k->id = id;
            k->expires = store_int(&r, 1);
            doc = str_dup(c->arena, store_text(&r, 2));
            links = str_dup(c->arena, store_text(&r, 3));
        }
    }
    enum err err = store_end(&r, e);
    if (!err && !there)
        err = error_set(e, ERR_NOT_FOUND, "no entity map %" STR_F, STR_A(str_cut(id, 200)));
    if (!err && k)
        err = read_entries(c->arena, doc, k, e);
    return err || !k ? err : read_links(c->arena, links, k, e);
}

struct making {
    int64_t now, expires, most; /* most: maps that may be kept */
    struct str id, tenant, owner, doc, links;
    size_t n;
};

static enum err make(struct store_conn *conn, void *ctx, struct error *e)
{
    const struct making *m = ctx;
    enum err err =
        store_exec(conn, "DELETE FROM entity_map WHERE expires <= $1", SV(SV_INT(m->now)), NULL, e);
    if (!err)
        err = store_exec(conn,
                         "INSERT INTO entity_map(id, tenant, owner, expires, ids, doc, links)"
                         " VALUES ($1, $2, $3, $4, $5, $6, $7)",
                         SV(SV_TEXT(m->id), SV_TEXT(m->tenant), SV_TEXT(m->owner),
                            SV_INT(m->expires), SV_INT(m->n), SV_TEXT(m->doc), SV_TEXT(m->links)),
                         NULL, e);
    if (!err)
        err = store_exec(conn,
                         "DELETE FROM entity_map WHERE n IN (SELECT n FROM (SELECT n,"
                         " count(*) OVER (ORDER BY n DESC) AS maps,"
                         " sum(ids) OVER (ORDER BY n DESC) AS entities FROM entity_map) x"
                         " WHERE maps > $1 OR entities > $2)",
                         SV(SV_INT(m->most), SV_INT(ENTITY_MAPS_IDS)), NULL, e);
    return err;
}

/* --- for queries --- */

/* The caller's view; without a tenant there is no map of it either. */
static const struct access_view *view_of(struct api *c)
{
    int64_t tenant = 0;
    struct error e;
    struct store_conn *conn = store_read(c->link->store, &e);
    if (conn) {
        if (repo_tenant(conn, c->tenant, &tenant, &e))
            tenant = 0;
        store_read_done(conn);
    }
    return access_view(c->link->access, access_asks(c->req), tenant);
}

/* The last segment of a map's address, which may be whole, a path, or the id itself. */
static struct str id_of_header(struct arena *a, struct str address)
{
    for (ptrdiff_t slash; (slash = str_find_char(address, '/')) >= 0;)
        address = str_from(address, (size_t)slash + 1);
    struct str id = url_decode(a, address, false);
    return id.p ? id : address;
}

struct str entity_map_address(struct str sent)
{
    struct arena a = ARENA_INIT;
    bool good = sent.n && sent.n <= ADDRESS_MAX && ld_is_uri(id_of_header(&a, sent));
    for (size_t i = 0; good && i < sent.n; i++)
        good = sent.p[i] > ' ' && sent.p[i] < 0x7f;
    arena_release(&a);
    return good ? sent : STR_NONE;
}

static void answer_header(struct api *c, struct str id)
{
    response_header(c->req, c->res, "NGSILD-EntityMap",
                    str_concat(c->arena, S(PATH), api_segment(c->arena, id)));
}

static bool take_lifetime(struct api *c, struct entity_map_use *use)
{
    struct str text = request_query(c->req, "entityMapLifetime");
    struct duration d;
    int64_t now = clock_now(c->link->clock), most = LIFETIME_MAX_S * SECOND_US;
    use->lifetime_us = c->link->options.entity_map_s * SECOND_US;
    if (text.p) {
        if (!duration_parse(text, &d)) {
            api_fail_text(c, ERR_INVALID, "entityMapLifetime must be a duration such as PT5M");
            return false;
        }
        use->lifetime_us = duration_add(now, &d) - now;
    }
    if (use->lifetime_us > most)
        use->lifetime_us = most;
    return true;
}

typedef VEC(struct str) texts;

static void add_text(struct arena *a, texts *list, struct str text)
{
    for (size_t i = 0; i < list->n; i++)
        if (str_eq(list->v[i], text))
            return;
    *vec_push(a, list) = text;
}

/* Which registrations the map names, and their own maps. */
static void use_sources(struct api *c, struct entity_map_use *use, const struct kept *k)
{
    texts sources = VEC_INIT;
    for (size_t i = 0; i < k->n; i++)
        for (size_t s = 0; s < k->v[i].n_sources; s++)
            if (!str_eq(k->v[i].sources[s], S("@none")))
                add_text(c->arena, &sources, k->v[i].sources[s]);
    use->sources = sources.v;
    use->n_sources = sources.n;
    use->links = k->links;
    use->n_links = k->n_links;
}

static enum err use_map(struct api *c, struct str id, struct entity_map_use *use, struct error *e)
{
    struct kept k;
    const struct access_view *view = view_of(c);
    struct store_conn *conn = store_read(c->link->store, e);
    enum err err = conn ? find(conn, c, view, id, &k, e) : e->code;
    if (conn)
        store_read_done(conn);
    use->given = !err;
    use->make = use->make || err == ERR_NOT_FOUND;
    if (err)
        return err == ERR_NOT_FOUND ? OK : err;
    struct str *ids = ARENA_ARRAY(c->arena, struct str, k.n + 1);
    for (size_t i = 0; i < k.n; i++)
        ids[i] = k.v[i].id;
    use->make = false;
    use->ids = ids;
    use->n_ids = k.n;
    use_sources(c, use, &k);
    answer_header(c, id);
    return OK;
}

bool entity_map_use(struct api *c, struct entity_map_use *use)
{
    struct str header = request_header(c->req, "NGSILD-EntityMap");
    struct error e = {0};
    *use = (struct entity_map_use){0};
    if (!api_bool(c, "entityMap", &use->make) || !take_lifetime(c, use))
        return false;
    if (!header.n || !use_map(c, id_of_header(c->arena, header), use, &e))
        return true;
    api_fail(c, &e);
    return false;
}

struct entity_map_entry entity_map_entry(struct arena *a, struct str id, bool here,
                                         const struct distribute *d)
{
    const struct distribute_entity *x = d ? map_get(&d->by_id, id) : NULL;
    texts sources = VEC_INIT, types = VEC_INIT;
    if (here)
        *vec_push(a, &sources) = S("@none");
    for (size_t i = 0; x && i < x->versions.n; i++) {
        const struct distribute_version *v = &d->versions.v[x->versions.v[i]];
        const struct json *names = entity_types(v->entity);
        add_text(a, &sources, d->sources[v->source].part->reg->id);
        for (uint32_t k = 0; names && k < names->n; k++)
            add_text(a, &types, json_text(&names->items[k]));
    }
    return (struct entity_map_entry){str_dup(a, id), sources.v, sources.n, types.v, types.n};
}

enum err entity_map_made(struct api *c, const struct entity_map_use *use,
                         const struct entity_map_entry *v, size_t n, const struct distribute *d,
                         struct str *id, struct error *e)
{
    struct making m = {.now = clock_now(c->link->clock),
                       .most = c->link->options.entity_maps,
                       .id = str_concat(c->arena, S(PREFIX), uuid_v4(c->arena)),
                       .tenant = tenant_of(c),
                       .owner = access_asks(c->req)->actor,
                       .doc = doc_of(c->arena, v, n),
                       .links = links_of(c->arena, d),
                       .n = n};
    if (!m.owner.p)
        m.owner = S("");
    m.expires = m.now + use->lifetime_us;
    enum err err = store_write(c->link->store, make, &m, e);
    if (err)
        return err;
    answer_header(c, m.id);
    if (id)
        *id = m.id;
    return OK;
}

/* --- /entityMaps/{id} (clause 6.32) --- */

/* May the reader know of the entity? What is here is looked at; of what is elsewhere the types are
 * known. */
static bool shows(struct store_conn *conn, int64_t tenant, const struct entity_map_entry *v)
{
    struct arena a = ARENA_INIT;
    struct entity_row row;
    struct error e;
    struct json *types = ARENA_ARRAY(&a, struct json, v->n_types + 1);
    bool here = false, away = false;
    for (size_t i = 0; i < v->n_types; i++)
        types[i + 1] = json_v_str(v->types[i]);
    types[0] = json_v_array(types + 1, v->n_types);
    for (size_t i = 0; i < v->n_sources; i++)
        if (str_eq(v->sources[i], S("@none")))
            here = !repo_get(conn, &a, tenant, v->id, &row, &e);
        else
            away = access_sees(access_of(conn), NULL, v->n_types ? types : NULL, STR_NONE);
    arena_release(&a);
    return here || away;
}

static void write_map(struct api *c, struct store_conn *conn, int64_t tenant, struct buf *out,
                      const struct kept *k)
{
    struct json_writer w = json_writer(out);
    json_w_object(&w);
    json_w_kstr(&w, S("id"), k->id);
    json_w_kstr(&w, S("type"), S("EntityMap"));
    json_w_kstr(&w, S("expiresAt"), datetime_text(c->arena, k->expires));
    json_w_key(&w, S("entityMap"));
    json_w_object(&w);
    for (size_t i = 0; i < k->n; i++) {
        if (access_of(conn) && !shows(conn, tenant, &k->v[i]))
            continue;
        json_w_key(&w, k->v[i].id);
        json_w_array(&w);
        for (size_t s = 0; s < k->v[i].n_sources; s++)
            json_w_str(&w, k->v[i].sources[s]);
        json_w_end(&w);
    }
    json_w_end(&w);
    json_w_key(&w, S("linkedMaps"));
    json_w_object(&w);
    for (size_t i = 0; i < k->n_links; i++)
        json_w_kstr(&w, k->links[i].reg, id_of_header(c->arena, k->links[i].address));
    json_w_end(&w);
    api_w_context(c, &w);
    json_w_end(&w);
}

void entity_map_answer(struct api *c, int status, struct str id)
{
    struct buf out = BUF_INIT;
    struct kept k;
    struct error e = {0};
    int64_t tenant;
    struct store_conn *conn = api_reader(c, &tenant);
    if (!conn)
        return;
    enum err err = find(conn, c, access_of(conn), id, &k, &e);
    if (!err)
        write_map(c, conn, tenant, &out, &k);
    store_read_done(conn);
    if (err)
        api_fail(c, &e);
    else
        api_answer_buf(c, status, &out);
}

static void get_run(struct api *c)
{
    entity_map_answer(c, 200, *(struct str *)c->ctx_then);
}

static enum http_answer get_map(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct str *id = ARENA_NEW(req->arena, struct str);
    if (!api_open(&c, req, res, ctx, get_map, 0, "") || !api_id(&c, "id", id) ||
        !api_accept(&c, false))
        return c.answer;
    return api_slowly(&c, get_run, id); /* looks at each entity */
}

/* {id: [source...]}; false: the response is filled. */
static bool take_entries(struct api *c, const struct json *v, struct entity_map_entry **out)
{
    bool ok = json_is(v, JSON_OBJECT) && v->n <= ENTITY_MAP_IDS;
    *out = ARENA_ARRAY(c->arena, struct entity_map_entry, ok && v->n ? v->n : 1);
    for (uint32_t i = 0; ok && i < v->n; i++) {
        const struct json *list = &v->members[i].value;
        ok = ld_is_uri(json_key(&v->members[i])) && json_is(list, JSON_ARRAY) && list->n;
        struct str *sources = ARENA_ARRAY(c->arena, struct str, ok ? list->n : 1);
        for (uint32_t k = 0; ok && k < list->n; k++) {
            sources[k] = json_text(&list->items[k]);
            ok = json_is(&list->items[k], JSON_STRING) &&
                 (str_eq(sources[k], S("@none")) || ld_is_uri(sources[k]));
        }
        (*out)[i] = (struct entity_map_entry){.id = json_key(&v->members[i]),
                                              .sources = sources,
                                              .n_sources = ok ? list->n : 0};
    }
    if (!ok)
        api_fail_text(c, ERR_INVALID,
                      "entityMap: an object of at most %d ids with lists of registrations",
                      ENTITY_MAP_IDS);
    return ok;
}

/* What of a fragment may be changed; id and type are the map's own. false: the response is filled.
 */
static bool take_fragment(struct api *c, int64_t *expires, const struct json **entries)
{
    *expires = 0;
    *entries = NULL;
    if (!json_is(c->body, JSON_OBJECT)) {
        api_fail_text(c, ERR_INVALID, "an entity map must be an object");
        return false;
    }
    for (uint32_t i = 0; i < c->body->n; i++) {
        struct str key = json_key(&c->body->members[i]);
        const struct json *v = &c->body->members[i].value;
        if (str_eq(key, S("expiresAt"))) {
            if (!json_is(v, JSON_STRING) || !datetime_parse(json_text(v), expires)) {
                api_fail_text(c, ERR_INVALID, "expiresAt must be a date-time");
                return false;
            }
        } else if (str_eq(key, S("entityMap"))) {
            *entries = v;
        } else if (!api_among(S("id type linkedMaps @context"), key)) {
            api_fail_text(c, ERR_INVALID, "an entity map has no member \"%" STR_F "\"",
                          STR_A(str_cut(key, 100)));
            return false;
        }
    }
    return true;
}

/* A change or the end of a map. */
struct edit {
    struct api *c;
    const struct access_view *view;
    struct str id;
    bool gone;
    int64_t expires; /* 0: as it is */
    struct str doc;  /* absent: as it is */
    size_t n;
};

static enum err edit(struct store_conn *conn, void *ctx, struct error *e)
{
    const struct edit *x = ctx;
    enum err err = find(conn, x->c, x->view, x->id, NULL, e);
    if (!err && x->gone)
        return store_exec(conn, "DELETE FROM entity_map WHERE id = $1", SV(SV_TEXT(x->id)), NULL,
                          e);
    if (!err && x->doc.p)
        err = store_exec(conn, "UPDATE entity_map SET doc = $1, ids = $2 WHERE id = $3",
                         SV(SV_TEXT(x->doc), SV_INT(x->n), SV_TEXT(x->id)), NULL, e);
    if (!err && x->expires)
        err = store_exec(conn, "UPDATE entity_map SET expires = $1 WHERE id = $2",
                         SV(SV_INT(x->expires), SV_TEXT(x->id)), NULL, e);
    return err;
}

static void edit_run(struct api *c)
{
    struct edit *x = c->ctx_then;
    struct error e = {0};
    x->c = c;
    x->view = view_of(c);
    if (store_write(c->link->store, edit, x, &e))
        api_fail(c, &e);
    else
        response_empty(c->res, 204);
}

static enum http_answer patch_map(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct edit *x = ARENA_NEW(req->arena, struct edit);
    const struct json *map;
    struct entity_map_entry *v = NULL;
    if (!api_open(&c, req, res, ctx, patch_map, API_BODY | API_MERGE_PATCH, "") ||
        !api_id(&c, "id", &x->id) || !take_fragment(&c, &x->expires, &map) ||
        (map && !take_entries(&c, map, &v)))
        return c.answer;
    int64_t most = clock_now(c.link->clock) + LIFETIME_MAX_S * SECOND_US;
    if (x->expires > most)
        x->expires = most;
    if (map) {
        x->doc = doc_of(c.arena, v, map->n);
        x->n = map->n;
    }
    return api_slowly(&c, edit_run, x);
}

static enum http_answer delete_map(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct edit *x = ARENA_NEW(req->arena, struct edit);
    if (!api_open(&c, req, res, ctx, delete_map, 0, "") || !api_id(&c, "id", &x->id))
        return c.answer;
    x->gone = true;
    return api_slowly(&c, edit_run, x);
}

static const struct route routes[] = {
    {"GET", "/ngsi-ld/v1/entityMaps/{id}", get_map, ROUTE_PUBLIC_CORS},
    {"PATCH", "/ngsi-ld/v1/entityMaps/{id}", patch_map, ROUTE_PUBLIC_CORS},
    {"DELETE", "/ngsi-ld/v1/entityMaps/{id}", delete_map, ROUTE_PUBLIC_CORS},
};

void entity_maps_routes(struct link *l, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), l);
}
