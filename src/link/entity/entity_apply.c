/*
 * Changes of entities (clauses 5.6.1 to 5.6.5 and 5.6.17 to 5.6.19): a state, an input in stored
 * form and an instant give the next state and what differs.
 *
 *   1. Trees are never edited; what stays is shared with the state before.
 *   2. Every instance of the next state has a kind, a value, createdAt and modifiedAt, and so have
 *      its sub-attributes; the default instance comes first.
 *   3. createdAt of an instance survives everything but its deletion.
 *   4. Nothing that stands for deletion (urn:ngsi-ld:null, "deleted") gets into the next state.
 */
#include "core/map.h"
#include "entity_impl.h"

#include <string.h>

/* What an operation does to an instance, by (attribute, datasetId). */
struct rule {
    bool add;        /* one that is not there is created; else it goes to not_updated */
    bool overwrite;  /* one that is there is replaced */
    bool merge;      /* ... is merged member by member */
    bool deep;       /* ... and so is its value */
    bool erase;      /* urn:ngsi-ld:null deletes */
    bool must_exist; /* not finding it is an error */
};

static const struct rule rules[] = {
    [ENTITY_CREATE] = {.add = true, .overwrite = true},
    [ENTITY_REPLACE] = {.add = true, .overwrite = true},
    [ENTITY_APPEND] = {.add = true, .overwrite = true},
    [ENTITY_APPEND_NEW] = {.add = true},
    [ENTITY_UPDATE] = {.overwrite = true, .erase = true},
    [ENTITY_UPDATE_ADD] = {.add = true, .overwrite = true, .erase = true},
    [ENTITY_MERGE_PATCH] = {.add = true, .merge = true, .deep = true, .erase = true},
    [ENTITY_PARTIAL] = {.merge = true, .erase = true, .must_exist = true},
    [ENTITY_REPLACE_ATTR] = {.overwrite = true, .must_exist = true},
};
/* Sub-attributes of what is merged: a member given to a partial update replaces the member. */
static const struct rule sub_partial = {.add = true, .overwrite = true, .erase = true};

struct change {
    struct arena *arena;
    const struct rule *rule;
    const struct merge_hints *hints; /* NULL: none */
    struct json now;
    struct entity_delta *out;
    struct error *e;
};

static enum err fail(const struct change *x, struct str attr, enum err code, const char *what)
{
    return error_set(x->e, code, "attribute %" STR_F ": %s", QUOTE(attr), what);
}

static void note(const struct change *x, struct str attr, const struct json *before,
                 const struct json *after)
{
    struct inst in;
    inst_open(&in, after ? after : before);
    struct attr_change *c = vec_push(x->arena, &x->out->changes);
    c->attr = attr;
    c->dataset = inst_dataset(&in);
    c->op = !before ? ATTR_CREATED : after ? ATTR_UPDATED : ATTR_DELETED;
    c->before = before;
    c->after = after;
}

static void note_deleted(const struct change *x, struct str attr, const struct json *instances)
{
    for (uint32_t i = 0; json_is(instances, JSON_ARRAY) && i < instances->n; i++)
        note(x, attr, &instances->items[i], NULL);
}

static void leave_alone(const struct change *x, struct str attr)
{
    size_t n = x->out->not_updated.n;
    if (n == 0 || !str_eq(x->out->not_updated.v[n - 1], attr))
        *vec_push(x->arena, &x->out->not_updated) = attr;
}

static struct json_member plain(struct str key, struct json v)
{
    struct json_member m = json_m(key, v);
    m.key_flags = JSON_PLAIN;
    return m;
}

/* --- values --- */

enum { LINEAR_MEMBERS = 16 }; /* larger patches are looked up through a map */

/* The members of a patch, and which of them met one of the state before. */
struct patch {
    const struct json *object;
    struct map index; /* empty when the object is small */
    bool *met;
};

static struct patch patch_open(struct arena *a, const struct json *object)
{
    struct patch p = {object, MAP_INIT, arena_calloc(a, object->n, sizeof(bool))};
    for (uint32_t i = 0; object->n > LINEAR_MEMBERS && i < object->n; i++)
        map_put(&p.index, json_key(&object->members[i]), &p.met[i]);
    return p;
}

/* The member's value, marked as met; NULL when there is none. */
static const struct json *patch_take(struct patch *p, struct str key)
{
    uint32_t i = 0;
    if (p->index.n) {
        const bool *met = map_get(&p->index, key);
        i = met ? (uint32_t)(met - p->met) : p->object->n;
    } else {
        while (i < p->object->n && !str_eq(json_key(&p->object->members[i]), key))
            i++;
    }
    if (i == p->object->n)
        return NULL;
    p->met[i] = true;
    return &p->object->members[i].value;
}

static struct json merge_value(struct arena *a, const struct json *old, const struct json *patch);

/* RFC 7396 with urn:ngsi-ld:null for null, on the members of an object (n_old may be 0). */
static struct json merge_members(struct arena *a, const struct json_member *old, size_t n_old,
                                 const struct json *object)
{
    struct patch p = patch_open(a, object);
    struct json_member *m = arena_alloc(a, (n_old + object->n) * sizeof(*m));
    size_t n = 0;
    for (size_t i = 0; i < n_old; i++) {
        const struct json *v = patch_take(&p, json_key(&old[i]));
        if (json_is_null_text(v))
            continue;
        m[n] = old[i];
        if (v)
            m[n].value = merge_value(a, &old[i].value, v);
        n++;
    }
    const struct json_member *given = object->members;
    for (uint32_t i = 0; given && i < object->n; i++) {
        if (p.met[i] || json_is_null_text(&given[i].value))
            continue;
        m[n] = given[i];
        m[n++].value = merge_value(a, NULL, &given[i].value);
    }
    map_release(&p.index);
    return json_v_object(m, n);
}

/* Depth is that of parsed JSON. */
static struct json merge_value(struct arena *a, const struct json *old, const struct json *patch)
{
    if (!json_is(patch, JSON_OBJECT))
        return *patch;
    if (!old || old->type != JSON_OBJECT)
        return merge_members(a, NULL, 0, patch);
    return merge_members(a, old->members, old->n, patch);
}

static bool merges_deeply(enum kind kind)
{
    return kind == KIND_PROPERTY || kind == KIND_JSON || kind == KIND_LANGUAGE;
}

/* --- an instance --- */

static ptrdiff_t find_instance(const struct json *items, size_t n, struct str dataset)
{
    for (size_t i = 0; i < n; i++) {
        struct inst in;
        inst_open(&in, &items[i]);
        if (str_eq(inst_dataset(&in), dataset))
            return (ptrdiff_t)i;
    }
    return -1;
}

static const struct json *same_dataset(const struct json *instances, struct str dataset)
{
    if (!json_is(instances, JSON_ARRAY))
        return NULL;
    ptrdiff_t i = find_instance(instances->items, instances->n, dataset);
    return i < 0 ? NULL : &instances->items[i];
}

static const struct json *sub_of(const struct inst *i, struct str iri)
{
    for (uint32_t k = 0; k < i->n_subs; k++)
        if (str_eq(json_key(&i->subs[k]), iri))
            return &i->subs[k].value;
    return NULL;
}

static bool is_deleted(const struct json *instance)
{
    struct inst in;
    inst_open(&in, instance);
    return inst_kind(&in) == KIND_DELETED;
}

static size_t put_slot(struct json_member *m, size_t n, const struct inst *in, enum slot s)
{
    if (!in->slot[s] || json_is_null_text(&in->slot[s]->value))
        return n;
    m[n] = *in->slot[s];
    return n + 1;
}

static size_t put_times(const struct change *x, struct json_member *m, size_t n,
                        const struct inst *was)
{
    const struct json_member *created = was->slot[SLOT_CREATED];
    m[n++] = plain(S("createdAt"), created ? created->value : x->now);
    m[n++] = plain(S("modifiedAt"), x->now);
    return n;
}

static enum err make_instance(const struct change *x, struct str attr, const struct json *fragment,
                              const struct json *old, struct json *out);

/* The instances of a sub-attribute that is made anew; those marked as deleted fall away. */
static enum err make_subs(const struct change *x, const struct json_member *sub,
                          const struct json *old, struct json *out)
{
    struct json *items = arena_alloc(x->arena, sub->value.n * sizeof(*items));
    size_t n = 0;
    for (uint32_t i = 0; i < sub->value.n; i++) {
        const struct json *f = &sub->value.items[i];
        struct inst in;
        if (is_deleted(f))
            continue;
        inst_open(&in, f);
        enum err err =
            make_instance(x, json_key(sub), f, same_dataset(old, inst_dataset(&in)), &items[n++]);
        if (err)
            return err;
    }
    *out = json_v_array(items, n);
    return OK;
}

/* A whole instance; old gives its createdAt. */
static enum err make_instance(const struct change *x, struct str attr, const struct json *fragment,
                              const struct json *old, struct json *out)
{
    struct inst in, was;
    inst_open(&in, fragment);
    inst_open(&was, old);
    const struct json_member *value = in.slot[SLOT_VALUE];
    if (!value)
        return fail(x, attr, ERR_INVALID, "has no value");
    enum kind kind = inst_kind(&in);
    if (kind >= KINDS)
        kind = is_geometry(&value->value) ? KIND_GEO : KIND_PROPERTY;
    struct json_member *m = arena_alloc(x->arena, (SLOTS + in.n_subs) * sizeof(*m));
    size_t n = 0;
    m[n++] = plain(S("type"), json_v_str(kind_names[kind]));
    m[n] = *value;
    if (x->rule->merge && merges_deeply(kind))
        m[n].value = merge_value(x->arena, NULL, &value->value);
    n++;
    for (int s = SLOT_OBJECT_TYPE; s <= SLOT_EXPIRES; s++)
        n = put_slot(m, n, &in, (enum slot)s);
    n = put_times(x, m, n, &was);
    for (uint32_t i = 0; i < in.n_subs; i++) {
        m[n] = in.subs[i];
        enum err err = make_subs(x, &in.subs[i], sub_of(&was, json_key(&in.subs[i])), &m[n].value);
        if (err)
            return err;
        n += m[n].value.n > 0;
    }
    *out = json_v_object(m, n);
    return OK;
}

/* A text among others of a languageMap. */
static const struct json *one_language(const struct change *x, const struct json *text)
{
    struct json *map = ARENA_NEW(x->arena, struct json);
    struct json_member *m = ARENA_NEW(x->arena, struct json_member);
    *m = json_m(x->hints && x->hints->lang.n ? x->hints->lang : S("@none"), *text);
    *map = json_v_object(m, 1);
    return map;
}

/* A value whose kind was left open takes the kind of the instance that is there. */
static enum err adapt_value(const struct change *x, struct str attr, enum kind kind,
                            const struct json *v, struct json_member *out)
{
    struct error why;
    struct json checked;
    if (kind == KIND_LANGUAGE && json_is(v, JSON_STRING))
        v = one_language(x, v);
    if (kind >= KINDS || kind == KIND_VOCAB) /* its names would need the context */
        return error_set(x->e, ERR_INVALID,
                         "attribute %" STR_F ": a bare value cannot change a %" STR_F, QUOTE(attr),
                         STR_A(kind_names[kind]));
    if (entity_value(x->arena, kind, v, NULL_ALLOWED, ld_core(), &checked, &why))
        return fail(x, attr, ERR_INVALID, why.text);
    if (kind == KIND_JSON && !is_raw_json(v))
        return fail(x, attr, ERR_INVALID, "json must be an object or a list of objects");
    *out = plain(kind_members[kind], checked);
    return OK;
}

/* Is there something to delete inside a value? Depth is that of parsed JSON. */
static bool holds_null(const struct json *v)
{
    for (uint32_t i = 0; json_is(v, JSON_ARRAY) && i < v->n; i++)
        if (holds_null(&v->items[i]))
            return true;
    for (uint32_t i = 0; json_is(v, JSON_OBJECT) && i < v->n; i++)
        if (holds_null(&v->members[i].value))
            return true;
    return json_is_null_text(v);
}

static enum err merged_value(const struct change *x, struct str attr, const struct inst *was,
                             const struct inst *in, struct json_member *out)
{
    enum kind kind = inst_kind(was), given = inst_kind(in);
    if (given != KIND_NONE && given != kind)
        return error_set(x->e, ERR_INVALID, "attribute %" STR_F ": is a %" STR_F ", not a %" STR_F,
                         QUOTE(attr), STR_A(kind < KINDS ? kind_names[kind] : S("?")),
                         STR_A(kind_names[given]));
    *out = *was->slot[SLOT_VALUE];
    if (!in->slot[SLOT_VALUE])
        return OK;
    struct json old = out->value;
    *out = *in->slot[SLOT_VALUE];
    if (given == KIND_NONE && adapt_value(x, attr, kind, &in->slot[SLOT_VALUE]->value, out))
        return ERR_INVALID;
    if (!x->rule->deep && holds_null(&out->value))
        return fail(x, attr, ERR_INVALID, NGSI_NULL " is not permitted inside a value here");
    if (merges_deeply(kind))
        out->value = merge_value(x->arena, x->rule->deep ? &old : NULL, &out->value);
    return OK;
}

static enum err apply_instances(const struct change *x, struct str attr, const struct json *old,
                                const struct json *fragments, bool top, struct json *out);

/* One sub-attribute: what is there (NULL: nothing) with what the fragment says of it. */
static enum err merge_sub(const struct change *sub, const struct json_member *any,
                          const struct json *old, const struct json *fragments,
                          struct json_member *m, size_t *n)
{
    struct json next = {0};
    enum err err = apply_instances(sub, json_key(any), old, fragments, false, &next);
    if (err || next.n == 0)
        return err;
    m[*n] = *any;
    m[(*n)++].value = next;
    return OK;
}

static enum err merge_subs(const struct change *x, const struct inst *was, const struct inst *in,
                           struct json_member *m, size_t *n)
{
    struct change sub = *x;
    enum err err = OK;
    sub.hints = NULL;
    sub.rule = x->rule->deep ? x->rule : &sub_partial;
    for (uint32_t i = 0; !err && was->subs && i < was->n_subs; i++) {
        const struct json_member *s = &was->subs[i];
        const struct json *fragments = sub_of(in, json_key(s));
        if (fragments)
            err = merge_sub(&sub, s, &s->value, fragments, m, n);
        else
            m[(*n)++] = *s;
    }
    for (uint32_t i = 0; !err && in->subs && i < in->n_subs; i++) {
        const struct json_member *s = &in->subs[i];
        if (!sub_of(was, json_key(s)))
            err = merge_sub(&sub, s, NULL, &s->value, m, n);
    }
    return err;
}

/* Members of the fragment over those of the instance that is there. */
static enum err merge_instance(const struct change *x, struct str attr, const struct json *old,
                               const struct json *fragment, struct json *out)
{
    struct inst in, was;
    inst_open(&in, fragment);
    inst_open(&was, old);
    if (!was.slot[SLOT_TYPE] || !was.slot[SLOT_VALUE])
        return fail(x, attr, ERR_CORRUPT, "the stored instance has no value");
    struct json_member *m = arena_alloc(x->arena, (SLOTS + was.n_subs + in.n_subs) * sizeof(*m));
    size_t n = 0;
    m[n++] = *was.slot[SLOT_TYPE];
    enum err err = merged_value(x, attr, &was, &in, &m[n++]);
    if (err)
        return err;
    struct json_member observed = plain(S("observedAt"), json_v_str(STR_NONE));
    if (x->hints && x->hints->observed.p && was.slot[SLOT_OBSERVED] && !in.slot[SLOT_OBSERVED]) {
        observed.value = json_v_str(x->hints->observed);
        in.slot[SLOT_OBSERVED] = &observed;
    }
    for (int s = SLOT_OBJECT_TYPE; s <= SLOT_EXPIRES; s++)
        n = put_slot(m, n, in.slot[s] ? &in : &was, (enum slot)s);
    n = put_times(x, m, n, &was);
    err = merge_subs(x, &was, &in, m, &n);
    *out = json_v_object(m, n);
    return err;
}

/* --- the instances of an attribute --- */

struct set {
    struct json *items;
    size_t n;
};

static void set_put(struct set *s, ptrdiff_t at, struct json instance)
{
    struct inst in;
    if (at >= 0) {
        s->items[at] = instance;
        return;
    }
    inst_open(&in, &instance);
    if (!inst_dataset(&in).p) { /* the default one comes first */
        memmove(s->items + 1, s->items, s->n * sizeof(*s->items));
        s->items[0] = instance;
    } else {
        s->items[s->n] = instance;
    }
    s->n++;
}

static enum err erase(const struct change *x, struct str attr, const struct json *old,
                      const struct json *fragment, struct set *s, ptrdiff_t at, bool top)
{
    if (!x->rule->erase)
        return fail(x, attr, ERR_INVALID, NGSI_NULL " is not permitted here");
    if (json_true(json_get(fragment, S("all"))) && s->n) {
        if (top)
            note_deleted(x, attr, old);
        s->n = 0;
        return OK;
    }
    if (at < 0) {
        if (x->rule->must_exist)
            return fail(x, attr, ERR_NOT_FOUND, "is not there");
        if (top && !x->rule->merge)
            leave_alone(x, attr);
        return OK;
    }
    if (top) {
        struct inst in;
        inst_open(&in, &s->items[at]);
        note(x, attr, same_dataset(old, inst_dataset(&in)), NULL);
    }
    s->n--;
    memmove(s->items + at, s->items + at + 1, (s->n - (size_t)at) * sizeof(*s->items));
    return OK;
}

static enum err apply_instance(const struct change *x, struct str attr, const struct json *old,
                               const struct json *fragment, struct set *s, bool top)
{
    struct inst in;
    inst_open(&in, fragment);
    ptrdiff_t at = find_instance(s->items, s->n, inst_dataset(&in));
    if (inst_kind(&in) == KIND_DELETED)
        return erase(x, attr, old, fragment, s, at, top);
    bool there = at >= 0;
    if (!there && x->rule->must_exist)
        return fail(x, attr, ERR_NOT_FOUND, "is not there");
    if (there ? !x->rule->overwrite && !x->rule->merge : !x->rule->add) {
        leave_alone(x, attr);
        return OK;
    }
    const struct json *before = there ? same_dataset(old, inst_dataset(&in)) : NULL;
    struct json next;
    enum err err = there && x->rule->merge ? merge_instance(x, attr, before, fragment, &next)
                                           : make_instance(x, attr, fragment, before, &next);
    if (err)
        return err;
    set_put(s, at, next);
    if (top) {
        struct json *kept = arena_alloc(x->arena, sizeof(*kept));
        *kept = next;
        note(x, attr, before, kept);
    }
    return OK;
}

static enum err apply_instances(const struct change *x, struct str attr, const struct json *old,
                                const struct json *fragments, bool top, struct json *out)
{
    size_t n_old = json_is(old, JSON_ARRAY) ? old->n : 0;
    struct set s = {.n = n_old};
    s.items = arena_alloc(x->arena, (n_old + fragments->n) * sizeof(*s.items));
    if (n_old)
        memcpy(s.items, old->items, n_old * sizeof(*s.items));
    for (uint32_t i = 0; i < fragments->n; i++) {
        enum err err = apply_instance(x, attr, old, &fragments->items[i], &s, top);
        if (err)
            return err;
    }
    *out = json_v_array(s.items, s.n);
    return OK;
}

/* All instances anew; those that are not given are deleted. */
static enum err replace_instances(const struct change *x, struct str attr, const struct json *old,
                                  const struct json *fragments, struct json *out)
{
    enum err err = OK;
    struct json *items = arena_alloc(x->arena, fragments->n * sizeof(*items));
    for (uint32_t i = 0; !err && i < fragments->n; i++) {
        struct inst in;
        inst_open(&in, &fragments->items[i]);
        const struct json *before = same_dataset(old, inst_dataset(&in));
        if (inst_kind(&in) == KIND_DELETED)
            return fail(x, attr, ERR_INVALID, NGSI_NULL " is not permitted here");
        err = make_instance(x, attr, &fragments->items[i], before, &items[i]);
        if (!err)
            note(x, attr, before, &items[i]);
    }
    *out = json_v_array(items, fragments->n);
    for (uint32_t i = 0; !err && json_is(old, JSON_ARRAY) && i < old->n; i++) {
        struct inst was;
        inst_open(&was, &old->items[i]);
        if (!same_dataset(fragments, inst_dataset(&was)))
            note(x, attr, &old->items[i], NULL);
    }
    return err;
}

/* --- the entity --- */

/* Texts of both lists, those of old first; *added when there are new ones. */
static struct json union_of(const struct change *x, const struct json *old,
                            const struct json *input, bool *added)
{
    size_t n = json_is(old, JSON_ARRAY) ? old->n : 0;
    struct json *items = arena_alloc(x->arena, (n + input->n) * sizeof(*items));
    if (n)
        memcpy(items, old->items, n * sizeof(*items));
    *added = false;
    for (uint32_t i = 0; i < input->n; i++) {
        bool known = false;
        for (size_t k = 0; k < n && !known; k++)
            known = str_eq(json_text(&items[k]), json_text(&input->items[i]));
        if (known)
            continue;
        items[n++] = input->items[i];
        *added = true;
    }
    return json_v_array(items, n);
}

struct head {
    struct json type, scope;
    bool has_scope;
    const struct json *expires; /* NULL: none */
};

static struct head next_head(const struct change *x, enum entity_op op, const struct json *before,
                             const struct json *input)
{
    bool anew = op == ENTITY_CREATE || op == ENTITY_REPLACE;
    const struct json *type = json_get(input, S("type")), *scope = json_get(input, S("scope"));
    const struct json *old_type = json_get(before, S("type"));
    const struct json *old_scope = json_get(before, S("scope"));
    const struct json *old_expires = json_get(before, S("expiresAt"));
    struct head h = {.expires = json_get(input, S("expiresAt"))};
    h.type = type ? *type : old_type ? *old_type : json_v_array(NULL, 0);
    if (type && !anew)
        h.type = union_of(x, old_type, type, &x->out->types_changed);
    else
        x->out->types_changed = !json_equal(&h.type, old_type, true);

    if (scope && scope->n && op == ENTITY_APPEND_NEW) {
        bool added;
        h.scope = union_of(x, old_scope, scope, &added);
        h.has_scope = true;
    } else if (scope && !old_scope && op == ENTITY_UPDATE_ADD) {
        leave_alone(x, S("scope"));
    } else if (scope) {
        h.scope = *scope;
        h.has_scope = scope->n > 0;
    } else if (old_scope && !anew) {
        h.scope = *old_scope;
        h.has_scope = true;
    }
    x->out->scope_changed = !json_equal(h.has_scope ? &h.scope : NULL, old_scope, true);

    if (!h.expires && !anew)
        h.expires = old_expires;
    if (json_is_null_text(h.expires))
        h.expires = NULL;
    return h;
}

static const struct json *finish(const struct change *x, const struct json *id,
                                 const struct head *h, const struct json *created,
                                 const struct json_member *attrs, size_t n_attrs)
{
    struct json_member *m = arena_alloc(x->arena, (6 + n_attrs) * sizeof(*m));
    size_t n = 0;
    if (id)
        m[n++] = plain(S("id"), *id);
    m[n++] = plain(S("type"), h->type);
    if (h->has_scope)
        m[n++] = plain(S("scope"), h->scope);
    m[n++] = plain(S("createdAt"), created ? *created : x->now);
    m[n++] = plain(S("modifiedAt"), x->now);
    if (h->expires)
        m[n++] = plain(S("expiresAt"), *h->expires);
    if (n_attrs)
        memcpy(m + n, attrs, n_attrs * sizeof(*m));
    struct json *out = arena_alloc(x->arena, sizeof(*out));
    *out = json_v_object(m, n + n_attrs);
    return out;
}

struct attrs {
    struct json_member *m;
    size_t n;
};

static struct attrs attrs_of(struct arena *a, const struct json *before, size_t more)
{
    size_t n = json_is(before, JSON_OBJECT) ? before->n : 0;
    struct attrs t = {arena_alloc(a, (n + more) * sizeof(struct json_member)), 0};
    for (size_t i = 0; i < n; i++)
        if (!entity_is_member(json_key(&before->members[i])))
            t.m[t.n++] = before->members[i];
    return t;
}

static size_t find_attr(const struct attrs *t, struct str iri)
{
    size_t i = 0;
    while (i < t->n && !str_eq(json_key(&t->m[i]), iri))
        i++;
    return i;
}

static void remove_attr(struct attrs *t, size_t at)
{
    t->n--;
    memmove(t->m + at, t->m + at + 1, (t->n - at) * sizeof(*t->m));
}

static enum err change_attrs(const struct change *x, struct attrs *t, const struct json *input)
{
    for (uint32_t i = 0; i < input->n; i++) {
        const struct json_member *m = &input->members[i];
        struct str iri = json_key(m);
        if (entity_is_member(iri))
            continue;
        size_t at = find_attr(t, iri);
        bool there = at < t->n;
        struct json next;
        enum err err =
            apply_instances(x, iri, there ? &t->m[at].value : NULL, &m->value, true, &next);
        if (err)
            return err;
        if (next.n == 0) {
            if (there)
                remove_attr(t, at);
            continue;
        }
        if (!there)
            t->m[t->n++] = *m;
        t->m[at].value = next;
    }
    return OK;
}

static enum err replace_attrs(const struct change *x, struct attrs *t, const struct json *before,
                              const struct json *input)
{
    t->n = 0;
    for (uint32_t i = 0; i < input->n; i++) {
        const struct json_member *m = &input->members[i];
        struct str iri = json_key(m);
        if (entity_is_member(iri))
            continue;
        t->m[t->n] = *m;
        enum err err =
            replace_instances(x, iri, entity_attr(before, iri), &m->value, &t->m[t->n].value);
        if (err)
            return err;
        t->n++;
    }
    for (uint32_t i = 0; json_is(before, JSON_OBJECT) && i < before->n; i++) {
        struct str iri = json_key(&before->members[i]);
        if (!entity_is_member(iri) && find_attr(t, iri) == t->n)
            note_deleted(x, iri, &before->members[i].value);
    }
    return OK;
}

static void delta_clear(struct entity_delta *out)
{
    memset(out, 0, sizeof(*out));
}

static enum err apply(struct arena *a, enum entity_op op, const struct json *before,
                      const struct json *input, const struct merge_hints *hints, int64_t now,
                      struct entity_delta *out, struct error *e)
{
    struct change x = {a, &rules[op], hints, json_v_str(datetime_text(a, now)), out, e};
    bool anew = op == ENTITY_CREATE || op == ENTITY_REPLACE;
    x.now.flags = JSON_PLAIN;
    delta_clear(out);
    if (op == ENTITY_CREATE && before)
        return error_set(e, ERR_EXISTS, "the entity exists");
    if (op != ENTITY_CREATE && !before)
        return error_set(e, ERR_NOT_FOUND, "the entity does not exist");
    struct attrs t = attrs_of(a, before, input->n);
    enum err err = anew ? replace_attrs(&x, &t, before, input) : change_attrs(&x, &t, input);
    if (err)
        return err;
    if (t.n > ENTITY_MAX_ATTRS)
        return error_set(e, ERR_TOO_LARGE, "the entity would have more than %d attributes",
                         ENTITY_MAX_ATTRS);
    struct head h = next_head(&x, op, before, input);
    const struct json *old_expires = json_get(before, S("expiresAt"));
    bool same = !anew && out->changes.n == 0 && !out->types_changed && !out->scope_changed &&
                json_equal(h.expires, old_expires, true);
    const struct json *id = json_get(before ? before : input, S("id"));
    out->after = same ? before : finish(&x, id, &h, json_get(before, S("createdAt")), t.m, t.n);
    return OK;
}

enum err entity_apply(struct arena *a, enum entity_op op, const struct json *before,
                      const struct json *input, int64_t now, struct entity_delta *out,
                      struct error *e)
{
    return apply(a, op, before, input, NULL, now, out, e);
}

enum err entity_merge(struct arena *a, const struct json *before, const struct json *input,
                      const struct merge_hints *hints, int64_t now, struct entity_delta *out,
                      struct error *e)
{
    return apply(a, ENTITY_MERGE_PATCH, before, input, hints, now, out, e);
}

enum err entity_delete_attr(struct arena *a, const struct json *before, struct str attr,
                            struct str dataset, bool all, int64_t now, struct entity_delta *out,
                            struct error *e)
{
    struct change x = {a, &rules[ENTITY_PARTIAL], NULL, json_v_str(datetime_text(a, now)), out, e};
    delta_clear(out);
    if (!before)
        return error_set(e, ERR_NOT_FOUND, "the entity does not exist");
    struct attrs t = attrs_of(a, before, 0);
    size_t at = find_attr(&t, attr);
    if (at == t.n)
        return fail(&x, attr, ERR_NOT_FOUND, "is not there");
    struct json mark[3] = {json_v_str(S("deleted")), json_v_bool(true), json_v_str(dataset)};
    struct json_member members[3] = {json_m(S("type"), mark[0])};
    size_t n = 1;
    if (all)
        members[n++] = json_m(S("all"), mark[1]);
    else if (dataset.p)
        members[n++] = json_m(S("datasetId"), mark[2]);
    struct json fragment = json_v_object(members, n), list = json_v_array(&fragment, 1), next;
    enum err err = apply_instances(&x, attr, &t.m[at].value, &list, true, &next);
    if (err)
        return err;
    t.m[at].value = next;
    if (next.n == 0)
        remove_attr(&t, at);
    struct json empty = json_v_object(NULL, 0);
    struct head h = next_head(&x, ENTITY_MERGE_PATCH, before, &empty);
    out->after =
        finish(&x, json_get(before, S("id")), &h, json_get(before, S("createdAt")), t.m, t.n);
    return OK;
}

void entity_delete(struct arena *a, const struct json *before, struct entity_delta *out)
{
    struct change x = {.arena = a, .out = out};
    delta_clear(out);
    for (uint32_t i = 0; json_is(before, JSON_OBJECT) && i < before->n; i++)
        if (!entity_is_member(json_key(&before->members[i])))
            note_deleted(&x, json_key(&before->members[i]), &before->members[i].value);
}
