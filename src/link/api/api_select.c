/* Selections of entities, from a query string or from a body of type Query. */
#include "api_select.h"
#include "api_join.h"
#include "core/vec.h"
#include "query_impl.h"

/* The texts of a selection, wherever they came from. */
struct texts {
    const struct str *ids, *attrs, *expand;
    size_t n_ids, n_attrs, n_expand;
    struct str pattern, type, q, scope, csf;
    struct str georel, geometry, coordinates, geoproperty;
    uint32_t links; /* linked entities that q may lead over */
    bool local;
};

/* --- parsing --- */

static bool check_ids(struct api *c, const struct str *ids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!ld_is_uri(ids[i])) {
            api_fail_text(c, ERR_INVALID, "id: \"%" STR_F "\" is not a URI",
                          STR_A(str_cut(ids[i], 100)));
            return false;
        }
    return true;
}

static bool any_type(struct str type)
{
    return str_eq(str_trim(type), S("*"));
}

static enum err parse_names(struct api *c, struct api_select *s, const struct texts *t,
                            struct error *e)
{
    struct entity_query *q = &s->query;
    if (t->pattern.p && !t->n_ids) { /* ids take precedence */
        q->id_pattern = regex_new(t->pattern, e);
        if (!q->id_pattern)
            return e->code;
    }
    q->ids = t->ids;
    q->n_ids = t->n_ids;
    if (t->type.p && !any_type(t->type)) {
        q->types = query_parse_types(c->arena, t->type, c->ctx, &QUERY_DEFAULT, e);
        if (!q->types)
            return e->code;
    }
    struct str *attrs = ARENA_ARRAY(c->arena, struct str, t->n_attrs);
    for (size_t i = 0; i < t->n_attrs; i++)
        if (!entity_is_member(t->attrs[i]))
            attrs[q->n_attrs++] = ld_expand(c->ctx, c->arena, t->attrs[i]);
    q->attrs = q->n_attrs ? attrs : NULL;
    return OK;
}

static enum err parse_filters(struct api *c, struct api_select *s, const struct texts *t,
                              struct error *e)
{
    struct entity_query *q = &s->query;
    if (t->q.p) {
        struct str *expand = ARENA_ARRAY(c->arena, struct str, t->n_expand);
        for (size_t i = 0; i < t->n_expand; i++)
            expand[i] = ld_expand(c->ctx, c->arena, t->expand[i]);
        struct query_limits limits = QUERY_DEFAULT;
        limits.max_links = t->links;
        q->q = query_parse_q(c->arena, t->q, c->ctx, expand, t->n_expand, &limits, e);
        if (!q->q)
            return e->code;
    }
    if (t->scope.p) {
        q->scope = query_parse_scope(c->arena, t->scope, &QUERY_DEFAULT, e);
        if (!q->scope)
            return e->code;
    }
    if (t->georel.p || t->geometry.p || t->coordinates.p) {
        enum err err = query_parse_geo(c->arena, t->georel, t->geometry, t->coordinates,
                                       t->geoproperty, c->ctx, &s->geo, e);
        if (err)
            return err;
        q->geo = &s->geo;
    }
    if (t->csf.p)
        s->csf = query_parse_q(c->arena, t->csf, c->ctx, NULL, 0, &QUERY_DEFAULT, e);
    s->local = t->local || any_type(t->type);
    return t->csf.p && !s->csf ? e->code : OK;
}

/* Does q speak of some attribute, not only of createdAt and the like? Depth is limited by parsing.
 */
static bool names_attribute(const struct query_expr *x)
{
    if (x->kind == EXPR_LEAF) {
        const struct q_term *t = x->leaf;
        return !(t->n_steps == 1 && t->steps[0].member);
    }
    for (size_t i = 0; i < x->n; i++)
        if (names_attribute(x->kids[i]))
            return true;
    return false;
}

/* A selection that an index can begin with (clause 5.7.2.4). */
static bool is_narrow(const struct api_select *s, const struct texts *t)
{
    const struct entity_query *q = &s->query;
    return t->local || t->type.p || s->n_any || q->n_attrs || q->geo ||
           (q->q && names_attribute(q->q->root));
}

/* Linked entities in q are a query that is too deep without join: 400, not 422. */
static bool parse(struct api *c, struct api_select *s, const struct texts *t)
{
    struct error e = {0};
    enum err err = parse_names(c, s, t, &e);
    if (!err)
        err = parse_filters(c, s, t, &e);
    if (err) {
        e.code = err == ERR_UNPROCESSABLE ? ERR_INVALID : err;
        api_fail(c, &e);
    } else if (!is_narrow(s, t)) {
        api_fail_text(c, ERR_INVALID, "too wide: type, attrs, q or a geo-query is needed");
        err = ERR_INVALID;
    }
    if (err)
        api_select_release(s);
    return !err;
}

/* --- from the query string --- */

/* How far q may follow links. */
static bool take_links(struct api *c, const struct json *body, unsigned flags, struct texts *t)
{
    struct api_join j;
    if (!(flags & SELECT_LINKED))
        return true;
    bool good = api_join_texts(c, body, &j);
    t->links = good && j.kind != JOIN_NONE ? (uint32_t)j.level : 0;
    return good;
}

bool api_select_get(struct api *c, struct api_select *s, unsigned flags)
{
    struct texts t = {.pattern = request_query(c->req, "idPattern"),
                      .type = request_query(c->req, "type"),
                      .q = request_query(c->req, "q"),
                      .scope = request_query(c->req, "scopeQ"),
                      .csf = request_query(c->req, "csf"),
                      .georel = request_query(c->req, "georel"),
                      .geometry = request_query(c->req, "geometry"),
                      .coordinates = request_query(c->req, "coordinates"),
                      .geoproperty = request_query(c->req, "geoproperty")};
    *s = (struct api_select){0};
    t.n_ids = api_list(c, request_query(c->req, "id"), &t.ids);
    t.n_attrs = api_list(c, request_query(c->req, "attrs"), &t.attrs);
    t.n_expand = api_list(c, request_query(c->req, "expandValues"), &t.expand);
    if (any_type(t.type) && str_eq(request_query(c->req, "local"), S("false"))) {
        api_fail_text(c, ERR_INVALID, "type=* is for what is here: local cannot be false");
        return false;
    }
    return api_bool(c, "local", &t.local) && check_ids(c, t.ids, t.n_ids) &&
           take_links(c, NULL, flags, &t) && parse(c, s, &t);
}

/* --- from a body --- */

static bool bad_member(struct api *c, const char *name)
{
    api_fail_text(c, ERR_INVALID, "%s is not what a query may have there", name);
    return false;
}

/* Text, or absent. */
static bool take_text(struct api *c, const struct json *object, const char *name, struct str *out)
{
    const struct json *v = json_get(object, str_c(name));
    *out = json_is(v, JSON_STRING) ? json_text(v) : STR_NONE;
    return !v || out->p || bad_member(c, name);
}

/* A list of texts; also one text, with commas. */
static bool take_list(struct api *c, const struct json *object, const char *name,
                      const struct str **items, size_t *n)
{
    const struct json *v = json_get(object, str_c(name));
    *n = 0;
    *items = NULL;
    if (!v)
        return true;
    if (json_is(v, JSON_STRING)) {
        *n = api_list(c, json_text(v), items);
        return *n > 0 || bad_member(c, name);
    }
    if (!json_is(v, JSON_ARRAY) || !v->n)
        return bad_member(c, name);
    struct str *out = ARENA_ARRAY(c->arena, struct str, v->n);
    for (uint32_t i = 0; i < v->n; i++) {
        if (!json_is(&v->items[i], JSON_STRING))
            return bad_member(c, name);
        out[i] = json_text(&v->items[i]);
    }
    *items = out;
    *n = v->n;
    return true;
}

static bool take_geo(struct api *c, struct texts *t)
{
    const struct json *geo = json_get(c->body, S("geoQ"));
    if (!geo)
        return true;
    if (!json_is(geo, JSON_OBJECT))
        return bad_member(c, "geoQ");
    const struct json *coordinates = json_get(geo, S("coordinates"));
    if (json_is(coordinates, JSON_STRING))
        t->coordinates = json_text(coordinates);
    else if (json_is(coordinates, JSON_ARRAY))
        t->coordinates = json_to_text(c->arena, coordinates);
    else
        return bad_member(c, "coordinates");
    return take_text(c, geo, "georel", &t->georel) && take_text(c, geo, "geometry", &t->geometry) &&
           take_text(c, geo, "geoproperty", &t->geoproperty);
}

/* One {id, idPattern, type}; type is the member that every one has (clause 5.2.33). */
static bool take_selector(struct api *c, const struct json *v, struct texts *t)
{
    if (!json_is(v, JSON_OBJECT))
        return bad_member(c, "entities");
    if (!take_text(c, v, "type", &t->type) || !take_text(c, v, "idPattern", &t->pattern))
        return false;
    if (!t->type.n)
        return bad_member(c, "entities without type");
    const struct json *id = json_get(v, S("id"));
    if (json_is(id, JSON_STRING)) { /* URIs may hold commas */
        struct str *one = ARENA_NEW(c->arena, struct str);
        *one = json_text(id);
        t->ids = one;
        t->n_ids = 1;
    } else if (!take_list(c, v, "id", &t->ids, &t->n_ids)) {
        return false;
    }
    return check_ids(c, t->ids, t->n_ids);
}

/* Several selectors: each of its own, and their types together to narrow the search. */
static bool take_any(struct api *c, struct api_select *s, const struct json *list, struct texts *t)
{
    struct api_selector *any = ARENA_ARRAY(c->arena, struct api_selector, list->n);
    struct str joined = STR_NONE;
    bool every = false;
    struct error e = {0};
    s->any = any;
    for (uint32_t i = 0; i < list->n; i++) {
        struct texts one = {0};
        if (!take_selector(c, &list->items[i], &one))
            return false;
        any[i].ids = one.ids;
        any[i].n_ids = one.n_ids;
        s->n_any = i + 1;
        if (one.pattern.p && !one.n_ids && !(any[i].pattern = regex_new(one.pattern, &e))) {
            api_fail(c, &e);
            return false;
        }
        if (any_type(one.type)) {
            every = true;
            continue;
        }
        any[i].types = query_parse_types(c->arena, one.type, c->ctx, &QUERY_DEFAULT, &e);
        if (!any[i].types) {
            api_fail(c, &e);
            return false;
        }
        joined = str_printf(c->arena, "%" STR_F "%s(%" STR_F ")", STR_A(joined),
                            joined.p ? "|" : "", STR_A(one.type));
    }
    if (!every)
        t->type = joined;
    return true;
}

static bool take_entities(struct api *c, struct api_select *s, struct texts *t)
{
    const struct json *list = json_get(c->body, S("entities"));
    if (!list)
        return true;
    if (json_is(list, JSON_OBJECT))
        return take_selector(c, list, t);
    if (!json_is(list, JSON_ARRAY) || !list->n || list->n > 100)
        return bad_member(c, "entities");
    return list->n == 1 ? take_selector(c, &list->items[0], t) : take_any(c, s, list, t);
}

/* A body has members of its own for temporal queries, and others for queries of entities. */
static bool no_foreign_members(struct api *c, unsigned flags)
{
    static const char *const temporal[] = {"temporalQ", "aggrParams", NULL};
    static const char *const linked[] = {"join", "joinLevel", "containedBy", NULL};
    const char *const *names = flags & SELECT_TEMPORAL ? linked : temporal;
    for (; *names; names++)
        if (json_get(c->body, str_c(*names)))
            return bad_member(c, *names);
    return true;
}

bool api_select_body(struct api *c, struct api_select *s, unsigned flags)
{
    struct texts t = {0};
    *s = (struct api_select){.body = c->body};
    if (!json_is(c->body, JSON_OBJECT) ||
        !str_eq(json_text(json_get(c->body, S("type"))), S("Query")))
        return bad_member(c, "type other than Query");
    bool good = no_foreign_members(c, flags) && take_links(c, c->body, flags, &t) &&
                api_bool(c, "local", &t.local) && take_entities(c, s, &t) && take_geo(c, &t) &&
                take_text(c, c->body, "q", &t.q) && take_text(c, c->body, "scopeQ", &t.scope) &&
                take_text(c, c->body, "csf", &t.csf) &&
                take_list(c, c->body, "attrs", &t.attrs, &t.n_attrs) &&
                take_list(c, c->body, "expandValues", &t.expand, &t.n_expand);
    if (!good) {
        api_select_release(s);
        return false;
    }
    return parse(c, s, &t);
}

void api_select_release(struct api_select *s)
{
    entity_query_release(&s->query);
    if (s->csf)
        query_q_release(s->csf);
    s->csf = NULL;
    for (size_t i = 0; i < s->n_any; i++)
        regex_free(s->any[i].pattern);
    s->n_any = 0;
}

static bool among(const struct str *names, size_t n, struct str name)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(names[i], name))
            return true;
    return false;
}

void api_select_ids(struct api *c, struct api_select *s, const struct str *ids, size_t n)
{
    struct entity_query *q = &s->query;
    VEC(struct str) both = VEC_INIT;
    for (size_t i = 0; i < n; i++)
        if (!q->n_ids || among(q->ids, q->n_ids, ids[i]))
            *vec_push(c->arena, &both) = ids[i];
    if (!both.n) /* none is left: an id that nothing has */
        *vec_push(c->arena, &both) = S("urn:ngsi-ld:EntityMap:none");
    q->ids = both.v;
    q->n_ids = both.n;
}

enum err api_select_any(const struct api_select *s, const struct json *stored, bool *hit)
{
    *hit = s->n_any == 0;
    for (size_t i = 0; i < s->n_any && !*hit; i++) {
        const struct api_selector *one = &s->any[i];
        if (one->types && !query_types_hold(one->types, entity_types(stored)))
            continue;
        *hit = !one->n_ids;
        for (size_t k = 0; k < one->n_ids && !*hit; k++)
            *hit = str_eq(one->ids[k], entity_id(stored));
        enum err err =
            *hit && one->pattern ? regex_match(one->pattern, entity_id(stored), hit) : OK;
        if (err)
            return err;
    }
    return OK;
}

/* --- what shows --- */

/* attrs of a body: like pick, but id and type always stay. */
static bool take_attrs(struct api *c, const struct json *body, struct entity_view *v)
{
    const struct str *items;
    size_t n;
    if (!take_list(c, body, "attrs", &items, &n))
        return false;
    if (!items || c->pick)
        return true;
    struct str *names = ARENA_ARRAY(c->arena, struct str, n + 3);
    names[0] = S("id");
    names[1] = S("type");
    names[2] = S("scope");
    for (size_t i = 0; i < n; i++)
        names[i + 3] =
            entity_is_member(items[i]) ? items[i] : ld_expand(c->ctx, c->arena, items[i]);
    v->pick = names;
    v->n_pick = n + 3;
    return true;
}

/* A list of projections, or one text of them. */
static bool take_projection(struct api *c, const struct json *body, const char *name,
                            const struct api_projection **out)
{
    const struct json *v = json_get(body, str_c(name));
    struct str text = json_is(v, JSON_STRING) ? json_text(v) : STR_NONE;
    if (!v)
        return true;
    for (uint32_t i = 0; json_is(v, JSON_ARRAY) && i < v->n; i++) {
        if (!json_is(&v->items[i], JSON_STRING))
            return bad_member(c, name);
        text = str_printf(c->arena, "%" STR_F "%s%" STR_F, STR_A(text), i ? "," : "",
                          STR_A(json_text(&v->items[i])));
    }
    return text.p ? api_project(c, text, out) : bad_member(c, name);
}

bool api_select_view(struct api *c, const struct api_select *s, struct entity_view *v)
{
    struct str lang;
    if (!s->body)
        return true;
    if (!take_projection(c, s->body, "pick", &c->pick) ||
        !take_projection(c, s->body, "omit", &c->omit))
        return false;
    api_project_view(c, c->pick, c->omit, v);
    if (!take_attrs(c, s->body, v) ||
        !take_list(c, s->body, "datasetId", &v->datasets, &v->n_datasets) ||
        !take_text(c, s->body, "lang", &lang))
        return false;
    if (lang.p)
        v->lang = lang;
    return true;
}
