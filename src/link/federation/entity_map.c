/* Entity maps in memory, and /entityMaps/{id}. */
#include "entity_map.h"

#include "core/datetime.h"
#include "crypto/hash.h"
#include "link/access.h"
#include <pthread.h>
#include <stdlib.h>

#define PATH   "/ngsi-ld/v1/entityMaps/"
#define PREFIX "urn:ngsi-ld:EntityMap:"

enum { LIFETIME_MAX_S = 86400, ADDRESS_MAX = 1000 };

struct kept {
    struct arena arena;
    struct str id, tenant;
    struct str owner; /* actor; empty: nobody known */
    int64_t expires;  /* instant */
    struct entity_map_entry *v;
    size_t n;
    struct entity_map_link *links;
    size_t n_links;
    struct kept *next; /* older */
};

struct entity_maps {
    pthread_mutex_t lock;
    struct kept *newest;
    size_t n, ids; /* maps; entities in all of them */
};

struct entity_maps *entity_maps_new(void)
{
    struct entity_maps *m = calloc(1, sizeof(*m));
    if (!m)
        abort();
    pthread_mutex_init(&m->lock, NULL);
    return m;
}

static void kept_free(struct kept *k)
{
    arena_release(&k->arena);
    free(k);
}

void entity_maps_free(struct entity_maps *m)
{
    if (!m)
        return;
    for (struct kept *k = m->newest, *next; k; k = next) {
        next = k->next;
        kept_free(k);
    }
    pthread_mutex_destroy(&m->lock);
    free(m);
}

/* --- all under the lock --- */

static void drop(struct entity_maps *m, struct kept **at)
{
    struct kept *k = *at;
    *at = k->next;
    m->n--;
    m->ids -= k->n;
    kept_free(k);
}

/* What is over goes; then the oldest, until one more of n entities has room. */
static void make_room(struct entity_maps *m, int64_t now, int64_t max, size_t n)
{
    for (struct kept **at = &m->newest; *at;)
        if ((*at)->expires <= now)
            drop(m, at);
        else
            at = &(*at)->next;
    while (m->newest && ((int64_t)m->n >= max || m->ids + n > ENTITY_MAPS_IDS)) {
        struct kept **at = &m->newest;
        while ((*at)->next)
            at = &(*at)->next;
        drop(m, at);
    }
}

/* The map, where it is there for the caller. */
static struct kept **find(struct api *c, const struct access_view *v, struct str id)
{
    struct entity_maps *m = c->link->entity_maps;
    const struct access_who *who = access_asks(c->req);
    int64_t now = clock_now(c->link->clock);
    for (struct kept **at = &m->newest; *at; at = &(*at)->next)
        if (str_eq((*at)->id, id) && str_eq((*at)->tenant, c->tenant))
            return (*at)->expires > now && access_owns(v, who, (*at)->owner) ? at : NULL;
    return NULL;
}

static const struct str *copy_texts(struct arena *a, const struct str *v, size_t n)
{
    struct str *out = ARENA_ARRAY(a, struct str, n ? n : 1);
    for (size_t i = 0; i < n; i++)
        out[i] = str_dup(a, v[i]);
    return out;
}

static struct entity_map_entry *copy_entries(struct arena *a, const struct entity_map_entry *v,
                                             size_t n)
{
    struct entity_map_entry *out = ARENA_ARRAY(a, struct entity_map_entry, n ? n : 1);
    for (size_t i = 0; i < n; i++) {
        out[i] = v[i];
        out[i].id = str_dup(a, v[i].id);
        out[i].sources = copy_texts(a, v[i].sources, v[i].n_sources);
        out[i].types = copy_texts(a, v[i].types, v[i].n_types);
    }
    return out;
}

static struct entity_map_link *copy_links(struct arena *a, const struct entity_map_link *v,
                                          size_t n)
{
    struct entity_map_link *out = ARENA_ARRAY(a, struct entity_map_link, n ? n : 1);
    for (size_t i = 0; i < n; i++)
        out[i] = (struct entity_map_link){str_dup(a, v[i].reg), str_dup(a, v[i].address)};
    return out;
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

/* Under the lock: which registrations the map names, and their own maps. */
static void use_sources(struct api *c, struct entity_map_use *use, const struct kept *k)
{
    texts sources = VEC_INIT;
    for (size_t i = 0; i < k->n; i++)
        for (size_t s = 0; s < k->v[i].n_sources; s++)
            if (!str_eq(k->v[i].sources[s], S("@none")))
                add_text(c->arena, &sources, k->v[i].sources[s]);
    for (size_t i = 0; i < sources.n; i++)
        sources.v[i] = str_dup(c->arena, sources.v[i]);
    use->sources = sources.v;
    use->n_sources = sources.n;
    use->links = copy_links(c->arena, k->links, k->n_links);
    use->n_links = k->n_links;
}

bool entity_map_use(struct api *c, struct entity_map_use *use)
{
    struct str header = request_header(c->req, "NGSILD-EntityMap");
    *use = (struct entity_map_use){0};
    if (!api_bool(c, "entityMap", &use->make) || !take_lifetime(c, use))
        return false;
    if (!header.n)
        return true;
    struct entity_maps *m = c->link->entity_maps;
    struct str id = id_of_header(c->arena, header);
    const struct access_view *view = view_of(c);
    pthread_mutex_lock(&m->lock);
    struct kept **at = find(c, view, id);
    use->given = at != NULL;
    use->make = !at;
    if (at) {
        struct str *ids = ARENA_ARRAY(c->arena, struct str, (*at)->n + 1);
        for (size_t i = 0; i < (*at)->n; i++)
            ids[i] = str_dup(c->arena, (*at)->v[i].id);
        use->ids = ids;
        use->n_ids = (*at)->n;
        use_sources(c, use, *at);
    }
    pthread_mutex_unlock(&m->lock);
    if (use->given)
        answer_header(c, id);
    return true;
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

/* A source that has several parts of a query has a map of each: the first one is kept. */
static void take_links(struct kept *k, const struct distribute *d)
{
    size_t sources = d ? d->n_sources : 0;
    k->links = ARENA_ARRAY(&k->arena, struct entity_map_link, sources + 1);
    for (size_t i = 0; i < sources; i++) {
        struct str reg = d->sources[i].part->reg->id;
        bool there = !d->sources[i].map.n;
        for (size_t j = 0; !there && j < k->n_links; j++)
            there = str_eq(k->links[j].reg, reg);
        if (!there)
            k->links[k->n_links++] =
                (struct entity_map_link){str_dup(&k->arena, reg),
                                         str_dup(&k->arena, d->sources[i].map)};
    }
}

struct str entity_map_made(struct api *c, const struct entity_map_use *use,
                           const struct entity_map_entry *v, size_t n, const struct distribute *d)
{
    struct entity_maps *m = c->link->entity_maps;
    int64_t now = clock_now(c->link->clock);
    struct kept *k = calloc(1, sizeof(*k));
    if (!k)
        abort();
    k->id = str_concat(&k->arena, S(PREFIX), uuid_v4(c->arena));
    k->tenant = str_dup(&k->arena, c->tenant);
    k->owner = str_dup(&k->arena, access_asks(c->req)->actor);
    k->expires = now + use->lifetime_us;
    k->v = copy_entries(&k->arena, v, n);
    k->n = n;
    take_links(k, d);
    struct str id = str_dup(c->arena, k->id);
    answer_header(c, id);
    pthread_mutex_lock(&m->lock);
    make_room(m, now, c->link->options.entity_maps, n);
    k->next = m->newest;
    m->newest = k;
    m->n++;
    m->ids += n;
    pthread_mutex_unlock(&m->lock);
    return id;
}

/* --- /entityMaps/{id} (clause 6.32) --- */

static enum http_answer unknown(struct api *c, struct str id)
{
    return api_fail_text(c, ERR_NOT_FOUND, "no entity map %" STR_F, STR_A(str_cut(id, 200)));
}

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
    struct entity_maps *m = c->link->entity_maps;
    struct buf out = BUF_INIT;
    struct kept copy;
    int64_t tenant;
    struct store_conn *conn = api_reader(c, &tenant);
    if (!conn)
        return;
    pthread_mutex_lock(&m->lock);
    struct kept **at = find(c, access_of(conn), id);
    if (at) {
        copy = (struct kept){.id = str_dup(c->arena, (*at)->id),
                             .expires = (*at)->expires,
                             .v = copy_entries(c->arena, (*at)->v, (*at)->n),
                             .n = (*at)->n,
                             .links = copy_links(c->arena, (*at)->links, (*at)->n_links),
                             .n_links = (*at)->n_links};
    }
    pthread_mutex_unlock(&m->lock);
    if (at)
        write_map(c, conn, tenant, &out, &copy);
    store_read_done(conn);
    if (at)
        api_answer_buf(c, status, &out);
    else
        unknown(c, id);
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

/* A map with other content takes the place of the one at hand. */
static void replace_entries(struct entity_maps *m, struct kept **at,
                            const struct entity_map_entry *v, size_t n)
{
    struct kept *old = *at, *k = calloc(1, sizeof(*k));
    if (!k)
        abort();
    k->id = str_dup(&k->arena, old->id);
    k->tenant = str_dup(&k->arena, old->tenant);
    k->owner = str_dup(&k->arena, old->owner);
    k->expires = old->expires;
    k->v = copy_entries(&k->arena, v, n);
    k->n = n;
    k->links = copy_links(&k->arena, old->links, old->n_links);
    k->n_links = old->n_links;
    k->next = old->next;
    m->ids += n;
    m->ids -= old->n;
    *at = k;
    kept_free(old);
}

static enum http_answer patch_map(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct str id;
    int64_t expires;
    const struct json *map;
    struct entity_map_entry *v = NULL;
    if (!api_open(&c, req, res, ctx, patch_map, API_BODY | API_MERGE_PATCH, "") ||
        !api_id(&c, "id", &id) || !take_fragment(&c, &expires, &map) ||
        (map && !take_entries(&c, map, &v)))
        return c.answer;
    struct entity_maps *m = c.link->entity_maps;
    int64_t most = clock_now(c.link->clock) + LIFETIME_MAX_S * SECOND_US;
    const struct access_view *view = view_of(&c);
    pthread_mutex_lock(&m->lock);
    struct kept **at = find(&c, view, id);
    if (at && map)
        replace_entries(m, at, v, map->n);
    if (at && expires)
        (*at)->expires = expires < most ? expires : most;
    pthread_mutex_unlock(&m->lock);
    if (!at)
        return unknown(&c, id);
    response_empty(res, 204);
    return HTTP_DONE;
}

static enum http_answer delete_map(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct str id;
    if (!api_open(&c, req, res, ctx, delete_map, 0, "") || !api_id(&c, "id", &id))
        return c.answer;
    struct entity_maps *m = c.link->entity_maps;
    const struct access_view *view = view_of(&c);
    pthread_mutex_lock(&m->lock);
    struct kept **at = find(&c, view, id);
    if (at)
        drop(m, at);
    pthread_mutex_unlock(&m->lock);
    if (!at)
        return unknown(&c, id);
    response_empty(res, 204);
    return HTTP_DONE;
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
