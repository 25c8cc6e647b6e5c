/* Values of attributes: what each kind may hold (clause 4.5.2 and those after it), and languages.
 */
#include "core/geo.h"
#include "entity_impl.h"

#include <string.h>

bool is_null_value(enum kind kind, const struct json *v)
{
    if (json_is_null_text(v))
        return true;
    if (kind == KIND_LANGUAGE)
        return json_is(v, JSON_OBJECT) && v->n == 1 && json_is_null_text(json_get(v, S("@none")));
    if ((kind == KIND_LIST || kind == KIND_LIST_RELATIONSHIP) && json_is(v, JSON_ARRAY) &&
        v->n == 1)
        return json_is_null_text(&v->items[0]) ||
               (kind == KIND_LIST_RELATIONSHIP &&
                json_is_null_text(json_get(&v->items[0], S("object"))));
    return false;
}

/* Trees are at most as deep as json_parse() allows, so recursion is bounded. */
static bool holds_null_text(const struct json *v)
{
    if (v->type == JSON_STRING)
        return json_is_null_text(v);
    if (v->type == JSON_ARRAY)
        for (uint32_t i = 0; i < v->n; i++)
            if (holds_null_text(&v->items[i]))
                return true;
    if (v->type == JSON_OBJECT)
        for (uint32_t i = 0; i < v->n; i++)
            if (holds_null_text(&v->members[i].value))
                return true;
    return false;
}

static enum err check_uri(const struct json *v, struct error *e)
{
    if (!json_is(v, JSON_STRING))
        return error_set(e, ERR_INVALID, "the object of a Relationship must be a URI");
    if (!ld_is_uri(json_text(v)))
        return error_set(e, ERR_INVALID, "'%" STR_F "' is not a URI", QUOTE(json_text(v)));
    return OK;
}

/* One URI, or several of them (multi-valued Relationship). */
static enum err check_object(const struct json *v, struct error *e)
{
    if (!json_is(v, JSON_ARRAY))
        return check_uri(v, e);
    if (v->n == 0)
        return error_set(e, ERR_INVALID, "the object of a Relationship is an empty list");
    for (uint32_t i = 0; i < v->n; i++)
        if (check_uri(&v->items[i], e))
            return ERR_INVALID;
    return OK;
}

static bool is_language_tag(struct str s)
{
    if (str_eq(s, S("@none")))
        return true;
    if (s.n == 0 || s.n > 100 || s.p[0] == '-' || s.p[s.n - 1] == '-')
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alnum && c != '-')
            return false;
    }
    return true;
}

static bool is_text_or_texts(const struct json *v)
{
    if (json_is(v, JSON_STRING))
        return true;
    if (!json_is(v, JSON_ARRAY) || v->n == 0)
        return false;
    for (uint32_t i = 0; i < v->n; i++)
        if (!json_is(&v->items[i], JSON_STRING))
            return false;
    return true;
}

static enum err check_language_map(const struct json *v, struct error *e)
{
    if (!json_is(v, JSON_OBJECT))
        return error_set(e, ERR_INVALID, "languageMap must be an object");
    for (uint32_t i = 0; i < v->n; i++) {
        struct str tag = json_key(&v->members[i]);
        if (!is_language_tag(tag))
            return error_set(e, ERR_INVALID, "'%" STR_F "' is not a language tag", QUOTE(tag));
        if (!is_text_or_texts(&v->members[i].value))
            return error_set(e, ERR_INVALID, "languageMap: '%" STR_F "' must be text", STR_A(tag));
    }
    return OK;
}

static enum err expand_vocab(struct arena *a, const struct json *v, const struct ld_context *ctx,
                             struct json *out, struct error *e)
{
    if (!is_text_or_texts(v))
        return error_set(e, ERR_INVALID, "vocab must be text or a list of texts");
    if (json_is(v, JSON_STRING)) {
        if (v->n == 0)
            return error_set(e, ERR_INVALID, "vocab is empty");
        *out = json_is_null_text(v) ? *v : json_v_str(ld_expand(ctx, a, json_text(v)));
        return OK;
    }
    struct json *items = ARENA_ARRAY(a, struct json, v->n);
    for (uint32_t i = 0; i < v->n; i++)
        if (expand_vocab(a, &v->items[i], ctx, &items[i], e))
            return ERR_INVALID;
    *out = json_v_array(items, v->n);
    return OK;
}

static enum err list_of_objects(struct arena *a, const struct json *v, struct json *out,
                                struct error *e)
{
    if (!json_is(v, JSON_ARRAY))
        return error_set(e, ERR_INVALID, "objectList must be a list");
    struct json *items = ARENA_ARRAY(a, struct json, v->n);
    for (uint32_t i = 0; i < v->n; i++) {
        const struct json *item = &v->items[i];
        const struct json *uri = json_is(item, JSON_OBJECT) ? json_get(item, S("object")) : item;
        if (check_uri(uri, e))
            return ERR_INVALID;
        struct json_member *m = arena_alloc(a, sizeof(*m));
        *m = json_m(S("object"), *uri);
        items[i] = json_v_object(m, 1);
    }
    *out = json_v_array(items, v->n);
    return OK;
}

bool is_raw_json(const struct json *v)
{
    bool good = json_is(v, JSON_ARRAY) || json_is(v, JSON_OBJECT);
    for (uint32_t i = 0; good && v->type == JSON_ARRAY && i < v->n; i++)
        good = json_is(&v->items[i], JSON_OBJECT);
    return good;
}

/* A geometry may also be written as text (clause 4.7.2), which is kept as the object it stands for.
 */
static enum err geometry(struct arena *a, struct json *v, struct error *e)
{
    struct error why = {0};
    const struct json *g =
        json_is(v, JSON_STRING) ? json_parse(a, json_text(v), &JSON_DEFAULT, &why) : v;
    if (str_eq(json_text(json_get(g, S("type"))), S("GeometryCollection")))
        return error_set(e, ERR_INVALID, "a GeometryCollection is not permitted"); /* 4.6.3 */
    if (!g || !geo_parse(a, g, GEO_MAX_POSITIONS, &why))
        return error_set(e, ERR_INVALID, "not a GeoJSON geometry: %s", why.text);
    *v = *g;
    return OK;
}

enum err entity_value(struct arena *a, enum kind kind, const struct json *v, int nulls,
                      const struct ld_context *ctx, struct json *out, struct error *e)
{
    *out = *v;
    if (json_is(v, JSON_NULL))
        return error_set(e, ERR_INVALID, "null is not a value");
    if (nulls == NULL_FORBIDDEN && holds_null_text(v))
        return error_set(e, ERR_INVALID, NGSI_NULL " is not permitted here");
    switch (kind) {
    case KIND_GEO:
        return geometry(a, out, e);
    case KIND_RELATIONSHIP:
        return check_object(v, e);
    case KIND_LANGUAGE:
        return check_language_map(v, e);
    case KIND_VOCAB:
        return expand_vocab(a, v, ctx, out, e);
    case KIND_LIST:
        return json_is(v, JSON_ARRAY) ? OK : error_set(e, ERR_INVALID, "valueList must be a list");
    case KIND_LIST_RELATIONSHIP:
        return list_of_objects(a, v, out, e);
    default:
        return OK;
    }
}

/* --- languages --- */

enum { MAX_RANGES = 16 };

struct range {
    struct str tag;
    double q;
};

/* The ranges of a priority list, best first; equal ones keep their order. */
static size_t parse_ranges(struct str list, struct range out[MAX_RANGES])
{
    size_t n = 0;
    struct str field;
    while (n < MAX_RANGES && str_split(&list, ',', &field)) {
        struct range r = {.q = 1};
        struct str part;
        if (!str_split(&field, ';', &part) || (r.tag = str_trim(part)).n == 0)
            continue;
        struct str q = str_trim(field);
        if (str_starts(q, S("q=")) && !str_to_double(str_from(q, 2), &r.q))
            continue;
        if (!(r.q > 0))
            continue;
        size_t at = n++;
        for (; at > 0 && out[at - 1].q < r.q; at--)
            out[at] = out[at - 1];
        out[at] = r;
    }
    return n;
}

/* The member whose tag is the range, else the first that the range is a prefix of. */
static const struct json_member *match_tag(const struct json *map, struct str range)
{
    const struct json_member *within = NULL;
    for (uint32_t i = 0; i < map->n; i++) {
        struct str tag = json_key(&map->members[i]);
        if (str_eq_nocase(tag, range))
            return &map->members[i];
        if (!within && tag.n > range.n && tag.p[range.n] == '-' &&
            str_eq_nocase(str_sub(tag, 0, range.n), range))
            within = &map->members[i];
    }
    return within;
}

/* Lookup of RFC 4647 section 3.4: the range gets shorter until something matches. */
static const struct json_member *lookup(const struct json *map, struct str range)
{
    while (range.n) {
        const struct json_member *m = match_tag(map, range);
        if (m)
            return m;
        size_t n = range.n;
        while (n && range.p[n - 1] != '-')
            n--;
        range.n = n ? n - 1 : 0;
    }
    return NULL;
}

const struct json_member *entity_language(const struct json *map, struct str priorities)
{
    struct range ranges[MAX_RANGES];
    size_t n = parse_ranges(priorities, ranges);
    if (map->n == 0 || n == 0)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        if (str_eq(ranges[i].tag, S("*"))) {
            if (i == 0)
                return NULL;
            break;
        }
        const struct json_member *m = lookup(map, ranges[i].tag);
        if (m)
            return m;
    }
    const struct json_member *none = match_tag(map, S("@none"));
    return none ? none : &map->members[0];
}
