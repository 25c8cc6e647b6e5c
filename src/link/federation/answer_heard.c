/* What sources say, as far as the reader may hear it, with names in the reader's terms. */
#include "answer_heard.h"
#include "link/access.h"
#include "registration_impl.h"

enum { ADOPT_DEPTH = 6 };

#define ATTRIBUTES "/ngsi-ld/v1/attributes"

/* --- names --- */

static struct str translated(const struct hearing *h, struct str name)
{
    struct arena *a = h->c->arena;
    return h->ctx == h->c->ctx ? name : ld_compact(h->c->ctx, a, ld_expand(h->ctx, a, name));
}

enum names { NO_NAMES, TYPE_NAMES, ATTR_NAMES };

static enum names names_in(struct str key)
{
    static const struct {
        struct str key;
        enum names kind;
    } keys[] = {{S_INIT("typeList"), TYPE_NAMES},       {S_INIT("typeNames"), TYPE_NAMES},
                {S_INIT("typeName"), TYPE_NAMES},       {S_INIT("attributeList"), ATTR_NAMES},
                {S_INIT("attributeNames"), ATTR_NAMES}, {S_INIT("attributeName"), ATTR_NAMES}};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (str_eq(key, keys[i].key))
            return keys[i].kind;
    return NO_NAMES;
}

/* Does the registration speak of the type, or of the attribute? */
static bool registered(const struct registration *reg, struct str iri, enum names kind)
{
    for (size_t i = 0; i < reg->n_infos; i++) {
        const struct reg_info *info = &reg->infos[i];
        bool open = kind == TYPE_NAMES ? !info->n_entities : !info->n_attrs;
        for (size_t k = 0; !open && kind == ATTR_NAMES && k < info->n_attrs; k++)
            open = str_eq(info->attrs[k], iri);
        for (size_t k = 0; !open && kind == TYPE_NAMES && k < info->n_entities; k++)
            for (uint32_t t = 0; !open && t < info->entities[k].types->n; t++)
                open = str_eq(json_text(&info->entities[k].types->items[t]), iri);
        if (open)
            return true;
    }
    return false;
}

/* --- what the reader may hear of --- */

/* What a part of an answer tells of: IRIs, absent where it does not say. */
struct about {
    struct str type, attr;
};
static const struct about nothing;

/* Does an attribute show, of what the registration speaks of? all: everywhere, else somewhere. */
static bool attr_shows(const struct hearing *h, struct str attr, bool all)
{
    const struct registration *reg = h->reg;
    for (size_t i = 0; i < reg->n_infos; i++) {
        const struct reg_info *info = &reg->infos[i];
        bool named = !info->n_attrs;
        for (size_t k = 0; !named && k < info->n_attrs; k++)
            named = str_eq(info->attrs[k], attr);
        for (size_t k = 0; named && k < (info->n_entities ? info->n_entities : 1); k++) {
            const struct json *types = info->n_entities ? info->entities[k].types : NULL;
            if (access_sees(h->view, NULL, types, attr) != all)
                return !all;
        }
    }
    return all;
}

static bool shows(const struct hearing *h, struct about it)
{
    struct json type = json_v_str(it.type), types = json_v_array(&type, 1);
    if (it.type.p)
        return access_sees(h->view, NULL, &types, it.attr);
    return !it.attr.p || attr_shows(h, it.attr, false);
}

struct str heard_iri(const struct hearing *h, const struct json *name)
{
    struct str text = json_text(name);
    return text.n ? ld_expand(h->ctx, h->c->arena, text) : STR_NONE;
}

/* What an object tells of, inside of one that tells of something. */
static struct about about_of(const struct hearing *h, const struct json *v, struct about it)
{
    struct str type = heard_iri(h, json_get(v, S("typeName")));
    struct str attr = heard_iri(h, json_get(v, S("attributeName")));
    return (struct about){type.p ? type : it.type, attr.p ? attr : it.attr};
}

/* An attribute with the types that have it shows where one of them shows it. */
static bool object_shows(const struct hearing *h, const struct json *v, struct about it)
{
    const struct json *types = json_get(v, S("typeNames"));
    it = about_of(h, v, it);
    if (it.type.p || !json_is(types, JSON_ARRAY) || !types->n)
        return shows(h, it);
    for (uint32_t i = 0; i < types->n; i++) {
        struct str type = heard_iri(h, &types->items[i]);
        if (registered(h->reg, type, TYPE_NAMES) && shows(h, (struct about){type, it.attr}))
            return true;
    }
    return false;
}

/* Is the item of a list something that the source may speak of, and the reader hear of? */
static bool may_tell(const struct hearing *h, const struct json *item, enum names kind,
                     struct about it)
{
    const struct registration *reg = h->reg;
    struct str what = json_text(json_get(item, S("type")));
    if (h->evolution)
        return true;
    if (json_is(item, JSON_OBJECT)) {
        kind = str_eq(what, S("Attribute")) ? ATTR_NAMES : TYPE_NAMES;
        return registered(reg, json_text(json_get(item, S("id"))), kind) &&
               object_shows(h, item, it);
    }
    struct str iri = heard_iri(h, item);
    if (kind == TYPE_NAMES)
        it.type = iri;
    else
        it.attr = iri;
    return kind == NO_NAMES || (registered(reg, iri, kind) && shows(h, it));
}

/* The number of uses of an attribute tells of those that do not show too. */
static bool tells_hidden(const struct hearing *h, struct str key, struct about it)
{
    return str_eq(key, S("attributeCount")) && !it.type.p && it.attr.p &&
           !attr_shows(h, it.attr, true);
}

/* A foreign answer with names in the caller's terms. */
static struct json adopt(const struct hearing *h, const struct json *v, enum names names,
                         struct about it, unsigned depth)
{
    struct arena *a = h->c->arena;
    if (json_is(v, JSON_STRING))
        return names ? json_v_str(translated(h, json_text(v))) : *v;
    if (depth == 0 || (!json_is(v, JSON_ARRAY) && !json_is(v, JSON_OBJECT)))
        return *v;
    size_t n = 0;
    if (json_is(v, JSON_ARRAY)) {
        struct json *items = ARENA_ARRAY(a, struct json, v->n ? v->n : 1);
        for (uint32_t i = 0; i < v->n; i++)
            if (may_tell(h, &v->items[i], names, it))
                items[n++] = adopt(h, &v->items[i], names, it, depth - 1);
        return json_v_array(items, n);
    }
    struct json_member *m = ARENA_ARRAY(a, struct json_member, v->n ? v->n : 1);
    if (!h->evolution)
        it = about_of(h, v, it);
    for (uint32_t i = 0; i < v->n; i++) {
        struct str key = json_key(&v->members[i]);
        const struct json *value = &v->members[i].value;
        if (str_eq(key, S("@context")) || tells_hidden(h, key, it))
            continue;
        if (h->evolution && !entity_is_member(key))
            m[n++] = json_m(translated(h, key), *value);
        else
            m[n++] = json_m(key, adopt(h, value,
                                       h->evolution && str_eq(key, S("type")) ? TYPE_NAMES
                                                                              : names_in(key),
                                       it, depth - 1));
    }
    return json_v_object(m, n);
}

bool heard_asks_for_more(const struct hearing *h)
{
    const struct registration *reg = h->reg;
    if (!str_eq(h->c->req->path, S(ATTRIBUTES)) ||
        str_eq(request_query(h->c->req, "details"), S("true")))
        return false;
    for (size_t i = 0; i < reg->n_infos; i++) {
        const struct reg_info *info = &reg->infos[i];
        if (!info->n_entities && h->view)
            return true;
        for (size_t k = 0; k < info->n_entities; k++)
            if (access_sight(h->view, info->entities[k].types) != SIGHT_ALL)
                return true;
    }
    return false;
}

struct json heard_names(const struct hearing *h, const struct json *v)
{
    struct arena *a = h->c->arena;
    struct json *items = ARENA_ARRAY(a, struct json, (size_t)v->n + 1);
    struct json_member *m = ARENA_ARRAY(a, struct json_member, 1);
    size_t n = 0;
    for (uint32_t i = 0; i < v->n; i++) {
        struct str iri = heard_iri(h, json_get(&v->items[i], S("attributeName")));
        if (iri.p && may_tell(h, &v->items[i], ATTR_NAMES, nothing))
            items[n++] = json_v_str(ld_compact(h->c->ctx, a, iri));
    }
    m[0] = json_m(S("attributeList"), json_v_array(items, n));
    return json_v_object(m, 1);
}

bool heard_shows(const struct hearing *h, const struct json *object)
{
    return object_shows(h, object, nothing);
}

struct json heard(const struct hearing *h, const struct json *answer)
{
    return adopt(h, answer, NO_NAMES, nothing, ADOPT_DEPTH);
}
