/*
 * Payloads into stored form (clauses 4.5 and 5.5.4): the entity, its id, types, scopes and times;
 * its attributes are expanded by entity_expand_attr.c.
 */
#include "entity_expand.h"
#include "core/map.h"
#include "core/regex.h"

#include <pthread.h>
#include <string.h>

/* --- names --- */

/* "." and "..", written with escapes too: a path with them leads elsewhere. */
static bool is_dots(struct str s)
{
    while (s.n) {
        bool escaped = s.n >= 3 && str_eq_nocase(str_sub(s, 0, 3), S("%2e"));
        if (!escaped && s.p[0] != '.')
            return false;
        s = str_from(s, escaped ? 3 : 1);
    }
    return true;
}

bool entity_is_name(struct str s)
{
    if (s.n == 0 || s.p[0] == '@' || is_dots(s))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= ' ' || c == 0x7f || str_find_char(S("<>\"'=;()"), s.p[i]) >= 0)
            return false;
    }
    return true;
}

/* Members that say something about an attribute, and stand in none of their own (clause 4.5.1). */
static bool is_about_attributes(struct str name)
{
    enum slot s = slot_of(name, NULL);
    return s == SLOT_DATASET || s == SLOT_OBSERVED || s == SLOT_UNIT || s == SLOT_OBJECT_TYPE ||
           s == SLOT_VALUE_TYPE || str_eq(name, S("instanceId"));
}

/* Names whose compact form would read as a member of the entity. */
static bool is_entity_word(const struct expansion *x, struct str iri)
{
    struct str name = expand_core_name(x, iri);
    return iri.p[0] == '@' || entity_is_member(name) || (!x->told && is_about_attributes(name));
}

/* --- the entity --- */

struct entity_draft {
    struct json_member head[6]; /* in the order of the stored form */
    bool has[6];
    struct json_member *attrs;
    uint32_t n_attrs;
};
enum { HEAD_ID, HEAD_TYPE, HEAD_SCOPE, HEAD_CREATED, HEAD_MODIFIED, HEAD_EXPIRES, HEADS };

static void put_head(struct entity_draft *d, int which, struct str key, struct json v)
{
    d->head[which] = json_m(key, v);
    d->head[which].key_flags = JSON_PLAIN;
    d->has[which] = true;
}

static enum err put_id(const struct expansion *x, struct entity_draft *d, const struct json *v)
{
    if (!json_is(v, JSON_STRING) || !ld_is_uri(json_text(v)) || json_is_null_text(v))
        return error_set(x->e, ERR_INVALID, "id is not a URI");
    put_head(d, HEAD_ID, S("id"), *v);
    return OK;
}

/* A list without repetitions, from one text or an array of texts. */
static enum err put_texts(const struct expansion *x, struct entity_draft *d, int which,
                          struct str key, const struct json *v,
                          enum err (*one)(const struct expansion *x, struct str s, struct str *out))
{
    bool array = json_is(v, JSON_ARRAY);
    uint32_t n = array ? v->n : 1, kept = 0;
    if (n > ENTITY_MAX_ATTRS)
        return error_set(x->e, ERR_INVALID, "%" STR_F " has too many items", STR_A(key));
    struct json *items = arena_alloc(x->arena, n * sizeof(*items));
    for (uint32_t i = 0; i < n; i++) {
        const struct json *item = array ? &v->items[i] : v;
        struct str text = STR_NONE;
        bool known = false;
        if (!json_is(item, JSON_STRING))
            return error_set(x->e, ERR_INVALID, "%" STR_F " must be text or a list of texts",
                             STR_A(key));
        if (one(x, json_text(item), &text))
            return ERR_INVALID;
        for (uint32_t k = 0; k < kept && !known; k++)
            known = str_eq(json_text(&items[k]), text);
        if (!known)
            items[kept++] = json_v_str(text);
    }
    put_head(d, which, key, json_v_array(items, kept));
    return OK;
}

static enum err one_type(const struct expansion *x, struct str s, struct str *out)
{
    if (!entity_is_name(s) || str_eq(s, S(NGSI_NULL)))
        return error_set(x->e, ERR_INVALID, "'%" STR_F "' is not the name of an entity type",
                         QUOTE(s));
    *out = ld_expand(x->ctx, x->arena, s);
    if (out->p[0] == '@') /* "type" and the like stand for keywords */
        return error_set(x->e, ERR_INVALID, "'%" STR_F "' is not the name of an entity type",
                         QUOTE(s));
    return OK;
}

static struct regex *scope_grammar;

static void compile_scope(void)
{
    scope_grammar = regex_new(S("^(/\\p{L}[\\p{L}\\p{M}\\p{N}_]*)+$"), NULL);
}

/* "/a/b": letters, digits and '_' between slashes, a letter first; the first slash may be missing
 * (clause 4.18). What other brokers tell may hold what NGSIv2 permits. */
static enum err one_scope(const struct expansion *x, struct str s, struct str *out)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    bool good = s.n > 0;
    if (good && s.p[0] != '/')
        s = str_concat(x->arena, S("/"), s);
    pthread_once(&once, compile_scope);
    if (x->told) {
        for (size_t i = 0; good && i < s.n; i++) {
            unsigned char c = (unsigned char)s.p[i];
            good = c > ' ' && c != 0x7f && str_find_char(S("#+;,|()<>\"'="), s.p[i]) < 0;
        }
        good = good && s.n > 1 && s.p[s.n - 1] != '/' && str_find(s, S("//")) < 0;
    } else if (good && (!scope_grammar || regex_match(scope_grammar, s, &good))) {
        good = false;
    }
    if (!good)
        return error_set(x->e, ERR_INVALID, "'%" STR_F "' is not a scope such as /a/b", QUOTE(s));
    *out = s;
    return OK;
}

static enum err put_scope(const struct expansion *x, struct entity_draft *d, const struct json *v)
{
    if (x->mode != ENTITY_WHOLE && json_is_null_text(v)) {
        put_head(d, HEAD_SCOPE, S("scope"), json_v_array(NULL, 0));
        return OK;
    }
    if (x->mode == ENTITY_WHOLE && json_is(v, JSON_ARRAY) && v->n == 0)
        return OK;
    return put_texts(x, d, HEAD_SCOPE, S("scope"), v, one_scope);
}

static enum err put_type(const struct expansion *x, struct entity_draft *d, const struct json *v)
{
    if (json_is(v, JSON_ARRAY) && v->n == 0)
        return error_set(x->e, ERR_INVALID, "type is empty");
    return put_texts(x, d, HEAD_TYPE, S("type"), v, one_type);
}

static enum err put_expiry(const struct expansion *x, struct entity_draft *d, const struct json *v)
{
    bool erase = x->mode != ENTITY_WHOLE && json_is_null_text(v);
    if (!erase && !expand_is_datetime(v))
        return error_set(x->e, ERR_INVALID, "expiresAt is not a date-time");
    put_head(d, HEAD_EXPIRES, S("expiresAt"), *v);
    return OK;
}

/* Times of an entity are ours to set, unless they are an answer's. */
static enum err put_time(const struct expansion *x, struct entity_draft *d,
                         const struct json_member *m)
{
    bool created = str_eq(json_key(m), S("createdAt"));
    if (!x->times || (!created && !str_eq(json_key(m), S("modifiedAt"))))
        return OK;
    if (!expand_is_datetime(&m->value))
        return error_set(x->e, ERR_INVALID, "%s is not a date-time",
                         created ? "createdAt" : "modifiedAt");
    put_head(d, created ? HEAD_CREATED : HEAD_MODIFIED, created ? S("createdAt") : S("modifiedAt"),
             m->value);
    return OK;
}

/* Attributes of the core context that are places (clause 4.7.1). */
static bool is_place_name(const struct expansion *x, struct str iri)
{
    static const struct str names[] = {S_INIT("location"), S_INIT("observationSpace"),
                                       S_INIT("operationSpace")};
    return expand_is_among(expand_core_name(x, iri), names, sizeof(names) / sizeof(*names));
}

static enum err check_places(const struct expansion *x, const struct json *instances)
{
    for (uint32_t i = 0; i < instances->n; i++) {
        struct inst in;
        inst_open(&in, &instances->items[i]);
        enum kind k = inst_kind(&in);
        if (k < KINDS && k != KIND_GEO)
            return expand_fail(x, "is a GeoProperty");
        if (k == KIND_NONE && in.slot[SLOT_VALUE] && !is_geometry(&in.slot[SLOT_VALUE]->value))
            return expand_fail(x, "not a GeoJSON geometry");
    }
    return OK;
}

static enum err put_attr(struct expansion *x, struct entity_draft *d, const struct json_member *m,
                         struct str iri)
{
    struct str key = json_key(m);
    if (!entity_is_name(key))
        return error_set(x->e, ERR_INVALID, "'%" STR_F "' is not the name of an attribute",
                         QUOTE(key));
    if (is_entity_word(x, iri))
        return error_set(x->e, ERR_INVALID, "attribute %" STR_F ": the name is reserved",
                         QUOTE(key));
    struct json instances = {0};
    x->attribute = key;
    enum err err = expand_instances(x, key, &m->value, 1, &instances);
    if (!err && !x->told && is_place_name(x, iri))
        err = check_places(x, &instances);
    if (!err)
        d->attrs[d->n_attrs++] = json_m(iri, instances);
    return err;
}

static enum err put_entity_member(struct expansion *x, struct entity_draft *d,
                                  const struct json_member *m)
{
    struct str key = json_key(m);
    if (str_eq(key, S("@context")))
        return OK;
    if (entity_is_member(key)) {
        if (str_eq(key, S("scope")))
            return put_scope(x, d, &m->value);
        if (str_eq(key, S("expiresAt")))
            return put_expiry(x, d, &m->value);
        if (key.n > 4)
            return put_time(x, d, m);
    }
    struct str iri = ld_expand(x->ctx, x->arena, key);
    bool is_id = str_eq(iri, S("@id")), is_type = str_eq(iri, S("@type"));
    if (d->has[HEAD_ID] && is_id)
        return error_set(x->e, ERR_INVALID, "an entity with two ids");
    if (d->has[HEAD_TYPE] && is_type)
        return error_set(x->e, ERR_INVALID, "type and @type, where one of them is enough");
    if (is_id)
        return put_id(x, d, &m->value);
    return is_type ? put_type(x, d, &m->value) : put_attr(x, d, m, iri);
}

static enum err refuse_twins(const struct expansion *x, const struct entity_draft *d)
{
    struct map seen = MAP_INIT;
    enum err err = OK;
    for (uint32_t i = 0; !err && i < d->n_attrs; i++)
        if (map_put(&seen, json_key(&d->attrs[i]), d->attrs))
            err = error_set(x->e, ERR_INVALID, "attribute %" STR_F " is there twice",
                            QUOTE(json_key(&d->attrs[i])));
    map_release(&seen);
    return err;
}

static const struct json *finish_entity(const struct expansion *x, const struct entity_draft *d)
{
    struct json_member *m = arena_alloc(x->arena, (HEADS + d->n_attrs) * sizeof(*m));
    size_t n = 0;
    for (int i = 0; i < HEADS; i++)
        if (d->has[i])
            m[n++] = d->head[i];
    if (d->n_attrs)
        memcpy(m + n, d->attrs, d->n_attrs * sizeof(*m));
    struct json *out = arena_alloc(x->arena, sizeof(*out));
    *out = json_v_object(m, n + d->n_attrs);
    return out;
}

static const struct json *expand(struct expansion x, const struct json *payload)
{
    struct error *e = x.e;
    struct entity_draft d = {.n_attrs = 0};
    if (!json_is(payload, JSON_OBJECT)) {
        error_set(e, ERR_INVALID, "an entity must be a JSON object");
        return NULL;
    }
    if (payload->n > ENTITY_MAX_ATTRS + 8) {
        error_set(e, ERR_INVALID, "more than %d attributes", ENTITY_MAX_ATTRS);
        return NULL;
    }
    d.attrs = arena_alloc(x.arena, payload->n * sizeof(*d.attrs));
    for (uint32_t i = 0; i < payload->n; i++)
        if (put_entity_member(&x, &d, &payload->members[i]))
            return NULL;
    if (x.mode == ENTITY_WHOLE && (!d.has[HEAD_ID] || !d.has[HEAD_TYPE])) {
        error_set(e, ERR_INVALID, "an entity needs %s", d.has[HEAD_ID] ? "a type" : "an id");
        return NULL;
    }
    if (refuse_twins(&x, &d))
        return NULL;
    return finish_entity(&x, &d);
}

const struct json *entity_expand(struct arena *a, const struct json *payload, enum entity_in mode,
                                 bool simplified, const struct ld_context *ctx, struct error *e)
{
    return expand((struct expansion){.arena = a,
                                     .ctx = ctx ? ctx : ld_core(),
                                     .mode = mode,
                                     .simplified = simplified,
                                     .partial = mode == ENTITY_MERGE,
                                     .e = e},
                  payload);
}

const struct json *entity_expand_answer(struct arena *a, const struct json *payload,
                                        const struct ld_context *ctx, struct error *e)
{
    return expand((struct expansion){.arena = a,
                                     .ctx = ctx ? ctx : ld_core(),
                                     .mode = ENTITY_WHOLE,
                                     .times = true,
                                     .told = true,
                                     .e = e},
                  payload);
}

const struct json *entity_expand_told(struct arena *a, const struct json *payload,
                                      const struct ld_context *ctx, struct error *e)
{
    return expand((struct expansion){.arena = a,
                                     .ctx = ctx ? ctx : ld_core(),
                                     .mode = ENTITY_FRAGMENT,
                                     .told = true,
                                     .e = e},
                  payload);
}

const struct json *entity_expand_attr(struct arena *a, struct str name, const struct json *payload,
                                      enum entity_in mode, const struct ld_context *ctx,
                                      struct error *e)
{
    struct expansion x = {.arena = a,
                          .ctx = ctx ? ctx : ld_core(),
                          .mode = mode,
                          .partial = mode != ENTITY_WHOLE,
                          .e = e};
    struct entity_draft d = {.attrs = arena_alloc(a, sizeof(struct json_member))};
    struct json_member m = json_m(name, *payload);
    if (put_attr(&x, &d, &m, ld_expand(x.ctx, a, name)))
        return NULL;
    return finish_entity(&x, &d);
}
