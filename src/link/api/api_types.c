/*
 * What types and attributes there are: /types, /types/{type}, /attributes, /attributes/{attr}
 * (clauses 5.7.5 to 5.7.10, 6.25 to 6.28), and /info/sourceIdentity (clause 5.15).
 *
 * Lists of names come from an index. Details need a look at the entities of a type and are worked
 * out on a pool thread, within the time limit of queries.
 */
#include "api.h"
#include "core/map.h"
#include "crypto/hash.h"
#include "distribute_read.h"
#include "forward.h"

enum { NAMES_MAX = 10000 }; /* types or attributes in one answer */

static struct str compact(struct api *c, struct str iri)
{
    return ld_compact(c->ctx, c->arena, iri);
}

/* --- lists of names --- */

struct names {
    struct api *c;
    VEC(struct str) list;
};

static bool add_name(void *ctx, struct str iri, int64_t entities)
{
    struct names *n = ctx;
    (void)entities;
    *vec_push(n->c->arena, &n->list) = str_dup(n->c->arena, iri);
    return n->list.n < NAMES_MAX;
}

/* IRIs in use; false: the response is filled. */
static bool load_names(struct api *c, bool attributes, struct names *n)
{
    int64_t tenant;
    struct error e = {0};
    *n = (struct names){.c = c};
    struct store_conn *conn = api_reader(c, &tenant);
    if (!conn)
        return false;
    enum err err = repo_names(conn, tenant, attributes, add_name, n, &e);
    store_read_done(conn);
    if (err)
        api_fail(c, &e);
    return !err;
}

static void answer_list(struct api *c, bool attributes, const struct names *n)
{
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    const char *kind = attributes ? "AttributeList" : "EntityTypeList";
    json_w_object(&w);
    json_w_kstr(&w, S("id"),
                str_printf(c->arena, "urn:ngsi-ld:%s:%" STR_F, kind, STR_A(uuid_v4(c->arena))));
    json_w_kstr(&w, S("type"), str_c(kind));
    json_w_key(&w, attributes ? S("attributeList") : S("typeList"));
    json_w_array(&w);
    for (size_t i = 0; i < n->list.n; i++)
        json_w_str(&w, compact(c, n->list.v[i]));
    json_w_end(&w);
    api_w_context(c, &w);
    json_w_end(&w);
    api_answer_buf(c, 200, &b);
}

/* --- details: what the entities of a selection have --- */

struct attr_info {
    struct str iri;
    int64_t entities;
    unsigned kinds; /* a bit for each name in kind_list */
    struct map types;
    VEC(struct str) type_list;
};

struct look {
    struct api *c;
    struct map attrs; /* struct attr_info by IRI */
    VEC(struct attr_info *) list;
    struct str only; /* attribute of interest; absent: all */
    int64_t entities;
};

static const struct str kind_list[] = {S_INIT("Property"),     S_INIT("GeoProperty"),
                                       S_INIT("Relationship"), S_INIT("LanguageProperty"),
                                       S_INIT("JsonProperty"), S_INIT("VocabProperty"),
                                       S_INIT("ListProperty"), S_INIT("ListRelationship")};
enum { KIND_COUNT = sizeof(kind_list) / sizeof(kind_list[0]) };

static struct attr_info *info_of(struct look *k, struct str iri)
{
    struct attr_info *info = map_get(&k->attrs, iri);
    if (info)
        return info;
    info = ARENA_NEW(k->c->arena, struct attr_info);
    info->iri = str_dup(k->c->arena, iri);
    map_put(&k->attrs, info->iri, info);
    *vec_push(k->c->arena, &k->list) = info;
    return info;
}

static void note_types(struct look *k, struct attr_info *info, const struct json *types)
{
    for (uint32_t i = 0; types && i < types->n; i++) {
        struct str type = json_text(&types->items[i]);
        if (map_get(&info->types, type))
            continue;
        type = str_dup(k->c->arena, type);
        map_put(&info->types, type, info);
        *vec_push(k->c->arena, &info->type_list) = type;
    }
}

static void note_kinds(struct attr_info *info, const struct json *instances)
{
    for (uint32_t i = 0; json_is(instances, JSON_ARRAY) && i < instances->n; i++) {
        struct str kind = json_text(json_get(&instances->items[i], S("type")));
        for (unsigned b = 0; b < KIND_COUNT; b++)
            if (str_eq(kind, kind_list[b]))
                info->kinds |= 1u << b;
    }
}

static bool look_each(void *ctx, const struct entity_row *row, const struct json *stored)
{
    struct look *k = ctx;
    (void)row;
    k->entities++;
    for (uint32_t i = 0; i < stored->n; i++) {
        struct str iri = json_key(&stored->members[i]);
        if (entity_is_member(iri) || (k->only.p && !str_eq(iri, k->only)))
            continue;
        struct attr_info *info = info_of(k, iri);
        info->entities++;
        note_types(k, info, entity_types(stored));
        note_kinds(info, &stored->members[i].value);
    }
    return true;
}

/* Walk the entities of a type or with an attribute (or all); false: the response is filled. */
static bool look_at(struct look *k, struct str type, struct str attr)
{
    struct api *c = k->c;
    struct error e = {0};
    struct entity_query query = {.attrs = attr.p ? &attr : NULL, .n_attrs = attr.p ? 1 : 0};
    struct repo_result result;
    int64_t tenant;
    struct store_conn *conn = api_reader(c, &tenant);
    if (!conn)
        return false;
    if (type.p)
        query.types = query_parse_types(c->arena, type, ld_core(), &QUERY_DEFAULT, &e);
    struct repo_query q = {.query = &query,
                           .tenant = tenant,
                           .limit = UINT64_MAX,
                           .clock = c->link->clock,
                           .deadline =
                               clock_steady(c->link->clock) + c->link->options.query_ms * 1000};
    k->only = attr;
    enum err err =
        type.p && !query.types ? e.code : repo_query(conn, &q, look_each, k, &result, &e);
    store_read_done(conn);
    if (err)
        api_fail(c, &e);
    return !err;
}

static void look_release(struct look *k)
{
    for (size_t i = 0; i < k->list.n; i++)
        map_release(&k->list.v[i]->types);
    map_release(&k->attrs);
}

static void write_kinds(struct json_writer *w, const struct attr_info *info)
{
    json_w_key(w, S("attributeTypes"));
    json_w_array(w);
    for (unsigned b = 0; b < KIND_COUNT; b++)
        if (info->kinds & 1u << b)
            json_w_str(w, kind_list[b]);
    json_w_end(w);
}

static void write_type_names(struct api *c, struct json_writer *w, const struct attr_info *info)
{
    json_w_key(w, S("typeNames"));
    json_w_array(w);
    for (size_t i = 0; i < info->type_list.n; i++)
        json_w_str(w, compact(c, info->type_list.v[i]));
    json_w_end(w);
}

static void write_attr_head(struct api *c, struct json_writer *w, struct str iri)
{
    json_w_object(w);
    json_w_kstr(w, S("id"), iri);
    json_w_kstr(w, S("type"), S("Attribute"));
    json_w_kstr(w, S("attributeName"), compact(c, iri));
}

/* --- one type --- */

static void type_run(struct api *c)
{
    struct look k = {.c = c};
    struct str iri = ld_expand(c->ctx, c->arena, request_param(c->req, "type"));
    if (!look_at(&k, iri, STR_NONE))
        goto out;
    if (!k.entities) {
        api_fail_text(c, ERR_NOT_FOUND, "there is no entity of type %" STR_F, STR_A(iri));
        goto out;
    }
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    json_w_object(&w);
    json_w_kstr(&w, S("id"), iri);
    json_w_kstr(&w, S("type"), S("EntityTypeInfo"));
    json_w_kstr(&w, S("typeName"), compact(c, iri));
    json_w_ki64(&w, S("entityCount"), k.entities);
    json_w_key(&w, S("attributeDetails"));
    json_w_array(&w);
    for (size_t i = 0; i < k.list.n; i++) {
        write_attr_head(c, &w, k.list.v[i]->iri);
        write_kinds(&w, k.list.v[i]);
        json_w_end(&w);
    }
    json_w_end(&w);
    api_w_context(c, &w);
    json_w_end(&w);
    api_answer_buf(c, 200, &b);
out:
    look_release(&k);
}

static enum http_answer get_type(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    enum http_answer out;
    if (!api_open(&c, req, res, ctx, get_type, 0, "local") || !api_accept(&c, false))
        return c.answer;
    struct str iri = ld_expand(c.ctx, c.arena, request_param(req, "type"));
    struct reg_ask ask = {.op = REG_RETRIEVE_TYPE_INFO, .type_names = &iri, .n_type_names = 1};
    if (distribute_answer(&c, &ask, ANSWER_DISCOVERY, NULL, type_run, NULL, &out))
        return out;
    return api_slowly(&c, type_run, NULL);
}

/* --- types with their attributes --- */

static bool write_type_details(struct api *c, struct json_writer *w, struct str iri)
{
    struct look k = {.c = c};
    bool good = look_at(&k, iri, STR_NONE);
    if (good) {
        json_w_object(w);
        json_w_kstr(w, S("id"), iri);
        json_w_kstr(w, S("type"), S("EntityType"));
        json_w_kstr(w, S("typeName"), compact(c, iri));
        json_w_key(w, S("attributeNames"));
        json_w_array(w);
        for (size_t i = 0; i < k.list.n; i++)
            json_w_str(w, compact(c, k.list.v[i]->iri));
        json_w_end(w);
        api_w_context(c, w);
        json_w_end(w);
    }
    look_release(&k);
    return good;
}

static void types_run(struct api *c)
{
    struct names n;
    if (!load_names(c, false, &n))
        return;
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    json_w_array(&w);
    bool good = true;
    for (size_t i = 0; good && i < n.list.n; i++)
        good = write_type_details(c, &w, n.list.v[i]);
    json_w_end(&w);
    if (good)
        api_answer_buf(c, 200, &b);
    else
        buf_release(&b);
}

static void types_here(struct api *c)
{
    struct names n;
    if (load_names(c, false, &n))
        answer_list(c, false, &n);
}

static enum http_answer get_types(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct names n;
    bool details;
    enum http_answer out;
    if (!api_open(&c, req, res, ctx, get_types, 0, "details local") || !api_accept(&c, false) ||
        !api_bool(&c, "details", &details))
        return c.answer;
    struct reg_ask ask = {.op = details ? REG_RETRIEVE_TYPE_DETAILS : REG_RETRIEVE_TYPES};
    if (distribute_answer(&c, &ask, ANSWER_DISCOVERY, NULL, details ? types_run : types_here, NULL,
                          &out))
        return out;
    if (details)
        return api_slowly(&c, types_run, NULL);
    if (load_names(&c, false, &n))
        answer_list(&c, false, &n);
    return HTTP_DONE;
}

/* --- attributes --- */

static void attr_run(struct api *c)
{
    struct look k = {.c = c};
    struct str iri = ld_expand(c->ctx, c->arena, request_param(c->req, "attr"));
    if (!look_at(&k, STR_NONE, iri))
        goto out;
    if (!k.list.n) {
        api_fail_text(c, ERR_NOT_FOUND, "no entity has the attribute %" STR_F, STR_A(iri));
        goto out;
    }
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    write_attr_head(c, &w, iri);
    json_w_ki64(&w, S("attributeCount"), k.list.v[0]->entities);
    write_kinds(&w, k.list.v[0]);
    write_type_names(c, &w, k.list.v[0]);
    api_w_context(c, &w);
    json_w_end(&w);
    api_answer_buf(c, 200, &b);
out:
    look_release(&k);
}

static enum http_answer get_attribute(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    enum http_answer out;
    if (!api_open(&c, req, res, ctx, get_attribute, 0, "local") || !api_accept(&c, false))
        return c.answer;
    struct str iri = ld_expand(c.ctx, c.arena, request_param(req, "attr"));
    struct reg_ask ask = {.op = REG_RETRIEVE_ATTR_TYPE_INFO, .attrs = &iri, .n_attrs = 1};
    if (distribute_answer(&c, &ask, ANSWER_DISCOVERY, NULL, attr_run, NULL, &out))
        return out;
    return api_slowly(&c, attr_run, NULL);
}

static void attrs_run(struct api *c)
{
    struct look k = {.c = c};
    if (look_at(&k, STR_NONE, STR_NONE)) {
        struct buf b = BUF_INIT;
        struct json_writer w = json_writer(&b);
        json_w_array(&w);
        for (size_t i = 0; i < k.list.n && i < NAMES_MAX; i++) {
            write_attr_head(c, &w, k.list.v[i]->iri);
            write_type_names(c, &w, k.list.v[i]);
            api_w_context(c, &w);
            json_w_end(&w);
        }
        json_w_end(&w);
        api_answer_buf(c, 200, &b);
    }
    look_release(&k);
}

static void attrs_here(struct api *c)
{
    struct names n;
    if (load_names(c, true, &n))
        answer_list(c, true, &n);
}

static enum http_answer get_attributes(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct names n;
    bool details;
    enum http_answer out;
    if (!api_open(&c, req, res, ctx, get_attributes, 0, "details local") ||
        !api_accept(&c, false) || !api_bool(&c, "details", &details))
        return c.answer;
    struct reg_ask ask = {.op = details ? REG_RETRIEVE_ATTR_TYPE_DETAILS : REG_RETRIEVE_ATTR_TYPES};
    if (distribute_answer(&c, &ask, ANSWER_DISCOVERY, NULL, details ? attrs_run : attrs_here, NULL,
                          &out))
        return out;
    if (details)
        return api_slowly(&c, attrs_run, NULL);
    if (load_names(&c, true, &n))
        answer_list(&c, true, &n);
    return HTTP_DONE;
}

/* --- who we are --- */

/* The alias is the one in our Via headers: peers keep it to find loops. */
static enum http_answer get_identity(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    if (!api_open(&c, req, res, ctx, get_identity, 0, "") || !api_accept(&c, false))
        return c.answer;
    struct link *l = c.link;
    struct str alias = forward_alias(c.arena, l, c.tenant);
    int64_t up = (clock_steady(l->clock) - l->started) / SECOND_US;
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    json_w_object(&w);
    json_w_kstr(&w, S("id"), str_concat(c.arena, S("urn:ngsi-ld:ContextSourceIdentity:"), alias));
    json_w_kstr(&w, S("type"), S("ContextSourceIdentity"));
    json_w_kstr(&w, S("contextSourceAlias"), alias);
    json_w_kstr(&w, S("contextSourceUptime"), str_printf(c.arena, "PT%lldS", (long long)up));
    json_w_kstr(&w, S("contextSourceTimeAt"), datetime_text(c.arena, clock_now(l->clock)));
    api_w_context(&c, &w);
    json_w_end(&w);
    api_answer_buf(&c, 200, &b);
    return HTTP_DONE;
}

static const struct route routes[] = {
    {"GET", "/ngsi-ld/v1/types", get_types, ROUTE_PUBLIC_CORS},
    {"GET", "/ngsi-ld/v1/types/", get_types, ROUTE_PUBLIC_CORS | ROUTE_HIDDEN},
    {"GET", "/ngsi-ld/v1/types/{type}", get_type, ROUTE_PUBLIC_CORS},
    {"GET", "/ngsi-ld/v1/attributes", get_attributes, ROUTE_PUBLIC_CORS},
    {"GET", "/ngsi-ld/v1/attributes/", get_attributes, ROUTE_PUBLIC_CORS | ROUTE_HIDDEN},
    {"GET", "/ngsi-ld/v1/attributes/{attr}", get_attribute, ROUTE_PUBLIC_CORS},
    {"GET", "/ngsi-ld/v1/info/sourceIdentity", get_identity, ROUTE_PUBLIC_CORS},
};

void api_type_routes(struct link *l, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), l);
}
