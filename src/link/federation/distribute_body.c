/*
 * What sources are sent: the part of a payload that concerns them, in the sender's own form and
 * terms wherever possible, so that nothing is lost on the way.
 */
#include "distribute.h"

bool dist_among(const struct str *list, size_t n, struct str s)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(list[i], s))
            return true;
    return false;
}

static bool is_head(struct str key)
{
    return entity_is_member(key) || (key.n && key.p[0] == '@');
}

struct json dist_fragment(struct arena *a, const struct dist_payload *p, const struct str *attrs,
                          size_t n_attrs)
{
    VEC(struct json_member) out = VEC_INIT;
    for (uint32_t i = 0; json_is(p->body, JSON_OBJECT) && i < p->body->n; i++) {
        struct str key = json_key(&p->body->members[i]);
        if (is_head(key) || dist_among(attrs, n_attrs, ld_expand(p->ctx, a, key)))
            *vec_push(a, &out) = p->body->members[i];
    }
    return json_is(p->body, JSON_OBJECT) ? json_v_object(out.v, out.n) : *p->body;
}

const struct json *dist_narrow(struct arena *a, const struct json *stored, const struct str *attrs,
                               size_t n_attrs)
{
    VEC(struct json_member) out = VEC_INIT;
    struct json *v = ARENA_NEW(a, struct json);
    for (uint32_t i = 0; i < stored->n; i++) {
        struct str key = json_key(&stored->members[i]);
        if (entity_is_member(key) || dist_among(attrs, n_attrs, key))
            *vec_push(a, &out) = stored->members[i];
    }
    *v = json_v_object(out.v, out.n);
    return v;
}

size_t dist_attrs(struct arena *a, const struct json *stored, const struct str **attrs)
{
    VEC(struct str) out = VEC_INIT;
    for (uint32_t i = 0; json_is(stored, JSON_OBJECT) && i < stored->n; i++)
        if (!entity_is_member(json_key(&stored->members[i])))
            *vec_push(a, &out) = json_key(&stored->members[i]);
    *attrs = out.v;
    return out.n;
}

/* --- in the terms of the receiver --- */

struct terms {
    struct arena *arena;
    const struct ld_context *from, *to; /* to NULL: whole IRIs */
};

static struct str renamed(const struct terms *t, struct str term)
{
    struct str iri = ld_expand(t->from, t->arena, term);
    return t->to ? ld_compact(t->to, t->arena, iri) : iri;
}

/* Types, one or several. */
static struct json rename_types(const struct terms *t, const struct json *v)
{
    if (json_is(v, JSON_STRING))
        return json_v_str(renamed(t, json_text(v)));
    if (!json_is(v, JSON_ARRAY))
        return *v;
    struct json *items = ARENA_ARRAY(t->arena, struct json, v->n ? v->n : 1);
    for (uint32_t i = 0; i < v->n; i++)
        items[i] = rename_types(t, &v->items[i]);
    return json_v_array(items, v->n);
}

/* Members of an attribute that are not sub-attributes. */
static bool is_part(struct str key)
{
    static const char parts[] =
        "type value object objectType valueType languageMap json vocab valueList objectList "
        "datasetId "
        "observedAt unitCode createdAt modifiedAt deletedAt expiresAt instanceId coordinates "
        "@type @value @id id";
    return api_among(S(parts), key);
}

static struct json rename_attr(const struct terms *t, const struct json *v, unsigned depth);

static struct json rename_instance(const struct terms *t, const struct json *v, unsigned depth)
{
    struct json_member *m = ARENA_ARRAY(t->arena, struct json_member, v->n ? v->n : 1);
    for (uint32_t i = 0; i < v->n; i++) {
        struct str key = json_key(&v->members[i]);
        m[i] = v->members[i];
        if (str_eq(key, S("vocab")) || str_eq(key, S("objectType")) || str_eq(key, S("valueType")))
            m[i].value = rename_types(t, &v->members[i].value);
        else if (!is_part(key))
            m[i] = json_m(renamed(t, key), rename_attr(t, &v->members[i].value, depth + 1));
    }
    return json_v_object(m, v->n);
}

/* An object that shows itself as an attribute is looked into; any other value stays as it is. */
static struct json rename_attr(const struct terms *t, const struct json *v, unsigned depth)
{
    if (depth > ENTITY_MAX_DEPTH)
        return *v;
    if (json_is(v, JSON_ARRAY) && v->n && json_is(&v->items[0], JSON_OBJECT) &&
        (json_get(&v->items[0], S("type")) || json_get(&v->items[0], S("datasetId")))) {
        struct json *items = ARENA_ARRAY(t->arena, struct json, v->n);
        for (uint32_t i = 0; i < v->n; i++)
            items[i] = rename_attr(t, &v->items[i], depth);
        return json_v_array(items, v->n);
    }
    static const char *const values[] = {"value", "object",    "languageMap", "json",
                                         "vocab", "valueList", "objectList"};
    bool attr = false;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]) && json_is(v, JSON_OBJECT); i++)
        attr = attr || json_get(v, str_c(values[i]));
    return attr ? rename_instance(t, v, depth) : *v;
}

static struct json rename_entity(const struct terms *t, const struct json *v)
{
    VEC(struct json_member) out = VEC_INIT;
    if (!json_is(v, JSON_OBJECT))
        return *v;
    for (uint32_t i = 0; i < v->n; i++) {
        struct str key = json_key(&v->members[i]);
        if (str_eq(key, S("@context")))
            continue;
        struct json_member *m = vec_push(t->arena, &out);
        *m = v->members[i];
        if (str_eq(key, S("type")) || str_eq(key, S("@type")))
            m->value = rename_types(t, &v->members[i].value);
        else if (!is_head(key))
            *m = json_m(renamed(t, key), rename_attr(t, &v->members[i].value, 1));
    }
    return json_v_object(out.v, out.n);
}

/* --- bodies --- */

/* How the @context goes with a body to this source. */
enum how { AS_IT_CAME, INSIDE, IN_LINK, THEIRS };

static enum how how(const struct registration *reg)
{
    if (reg->jsonld_context.n)
        return THEIRS;
    if (str_eq(reg->content_type, S("application/ld+json")))
        return INSIDE;
    return str_eq(reg->content_type, S("application/json")) ? IN_LINK : AS_IT_CAME;
}

static struct json shaped(struct api *c, const struct registration *reg,
                          const struct dist_payload *p, enum how h)
{
    struct arena *a = c->arena;
    struct terms t = {a, p->ctx, reg->ctx};
    if (h == THEIRS && p->attr) {
        struct json bare =
            json_is(p->body, JSON_OBJECT) ? json_without(a, p->body, S("@context")) : *p->body;
        return json_is(&bare, JSON_OBJECT) ? rename_instance(&t, &bare, 1) : bare;
    }
    if (h == THEIRS)
        return rename_entity(&t, p->body);
    if (h == INSIDE && !p->with_context && json_is(p->body, JSON_OBJECT))
        return json_with(a, p->body, S("@context"), *ld_context_json(p->ctx));
    if (h == IN_LINK && p->with_context)
        return json_without(a, p->body, S("@context"));
    return *p->body;
}

void dist_body(struct api *c, struct forward *f, const struct dist_payload *p)
{
    enum how h = how(f->reg);
    struct json v = shaped(c, f->reg, p, h);
    f->with_context = h == INSIDE || (h == AS_IT_CAME && p->with_context);
    if (p->ctx != ld_core())
        f->context = api_full_url(c, ld_context_url(p->ctx));
    f->body = json_to_text(c->arena, &v);
}

/* Entities whose contexts differ cannot share a Link header: then each holds its own. */
void dist_bodies(struct api *c, struct forward *f, const struct dist_payload *p, size_t n)
{
    enum how h = how(f->reg);
    struct json *items = ARENA_ARRAY(c->arena, struct json, n ? n : 1);
    for (size_t i = 1; i < n && h == IN_LINK; i++)
        if (p[i].ctx != p[0].ctx)
            h = INSIDE;
    for (size_t i = 0; i < n; i++)
        items[i] = shaped(c, f->reg, &p[i], h);
    struct json v = json_v_array(items, n);
    f->with_context = h == INSIDE || (h == AS_IT_CAME && n && p[0].with_context);
    if (n && p[0].ctx != ld_core())
        f->context = api_full_url(c, ld_context_url(p[0].ctx));
    f->body = json_to_text(c->arena, &v);
}

/* --- addresses --- */

struct str dist_term(struct api *c, const struct registration *reg, struct str iri)
{
    if (reg->jsonld_context.n)
        return reg->ctx ? ld_compact(reg->ctx, c->arena, iri) : iri;
    return ld_compact(c->ctx, c->arena, iri);
}

static struct str in_terms(struct api *c, const struct registration *reg, struct str list)
{
    struct buf out = BUF_INIT;
    struct str name;
    while (str_split(&list, ',', &name)) {
        if (out.n)
            buf_char(&out, ',');
        buf_str(&out, dist_term(c, reg, ld_expand(c->ctx, c->arena, name)));
    }
    struct str text = buf_dup(&out, c->arena);
    buf_release(&out);
    return text;
}

struct str dist_target(struct api *c, const struct registration *reg, struct str path)
{
    const struct http_pair *pairs;
    size_t n = request_query_all(c->req, &pairs);
    struct buf out = BUF_INIT;
    char sep = '?';
    buf_str(&out, path);
    for (size_t i = 0; i < n; i++) {
        struct str value = pairs[i].value;
        if (str_eq(pairs[i].name, S("local")))
            continue;
        if (reg->jsonld_context.n && api_among(S("type attrs keep drop"), pairs[i].name))
            value = in_terms(c, reg, value);
        buf_char(&out, sep);
        sep = '&';
        buf_str(&out, url_encode(c->arena, pairs[i].name));
        buf_char(&out, '=');
        buf_str(&out, url_encode(c->arena, value));
    }
    if (reg->local_only)
        buf_printf(&out, "%clocal=true", sep);
    struct str target = buf_dup(&out, c->arena);
    buf_release(&out);
    return target;
}
