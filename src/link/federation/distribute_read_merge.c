/* Versions of one entity made one (clauses 4.5.5.2, 4.5.5.3). Pure: trees in, tree out. */
#include "distribute_read.h"
#include "entity_impl.h"

static int64_t instant_of(const struct json *v)
{
    int64_t at;
    return datetime_parse(json_text(v), &at) ? at : INT64_MIN;
}

/* --- transient entities (clause 4.5.5.2) --- */

/* An instance that lasts no longer than its entity. */
static struct json limit_instance(struct arena *a, const struct json *instance,
                                  const struct json *expires)
{
    const struct json *own = json_get(instance, S("expiresAt"));
    if (own && instant_of(own) <= instant_of(expires))
        return *instance;
    if (own)
        return json_with(a, instance, S("expiresAt"), *expires);
    /* members of an instance stand before its sub-attributes */
    struct inst i;
    inst_open(&i, instance);
    size_t head = instance->n - i.n_subs;
    struct json_member *m = ARENA_ARRAY(a, struct json_member, instance->n + 1);
    for (size_t k = 0; k < instance->n; k++)
        m[k < head ? k : k + 1] = instance->members[k];
    m[head] = json_m(S("expiresAt"), *expires);
    return json_v_object(m, instance->n + 1);
}

static const struct json *limit_entity(struct arena *a, const struct json *entity)
{
    const struct json *expires = json_get(entity, S("expiresAt"));
    struct json_member *m = ARENA_ARRAY(a, struct json_member, entity->n);
    struct json *out = ARENA_NEW(a, struct json);
    for (uint32_t i = 0; i < entity->n; i++) {
        m[i] = entity->members[i];
        if (entity_is_member(json_key(&m[i])) || !json_is(&m[i].value, JSON_ARRAY))
            continue;
        struct json *items = ARENA_ARRAY(a, struct json, m[i].value.n);
        for (uint32_t k = 0; k < m[i].value.n; k++)
            items[k] = limit_instance(a, &m[i].value.items[k], expires);
        m[i].value = json_v_array(items, m[i].value.n);
    }
    *out = json_v_object(m, entity->n);
    return out;
}

/* --- attributes (clause 4.5.5.3) --- */

struct chosen {
    const struct json *instance;
    size_t source;
};

struct merged_attr {
    struct str iri;
    int rank;
    VEC(struct chosen) instances; /* one of each dataset */
};

struct merge {
    struct arena *arena;
    int64_t now;
    VEC(struct merged_attr) attrs;
    void (*doubtful)(void *ctx, size_t source);
    void *ctx;
};

static int rank_of(enum reg_mode mode)
{
    static const int ranks[] = {
        [REG_EXCLUSIVE] = 0, [REG_REDIRECT] = 1, [REG_INCLUSIVE] = 2, [REG_AUXILIARY] = 3};
    return ranks[mode];
}

static struct merged_attr *attr_of(struct merge *m, struct str iri, int rank)
{
    for (size_t i = 0; i < m->attrs.n; i++)
        if (str_eq(m->attrs.v[i].iri, iri))
            return &m->attrs.v[i];
    struct merged_attr *attr = vec_push(m->arena, &m->attrs);
    attr->iri = iri;
    attr->rank = rank;
    return attr;
}

static bool same_dataset(const struct json *x, const struct json *y)
{
    struct str a = json_text(json_get(x, S("datasetId"))),
               b = json_text(json_get(y, S("datasetId")));
    return str_eq(a, b);
}

/* <0: x is older, >0: newer, 0: nothing tells. */
static int compare_age(const struct json *x, const struct json *y)
{
    static const struct str times[] = {S_INIT("observedAt"), S_INIT("modifiedAt")};
    for (size_t i = 0; i < 2; i++) {
        int64_t a = instant_of(json_get(x, times[i])), b = instant_of(json_get(y, times[i]));
        if (a != b)
            return a < b ? -1 : 1;
    }
    return 0;
}

static bool known_age(const struct json *x)
{
    return json_get(x, S("modifiedAt")) != NULL;
}

static void offer(struct merge *m, struct merged_attr *attr, const struct json *instance,
                  size_t source)
{
    int64_t expires = instant_of(json_get(instance, S("expiresAt")));
    if (expires != INT64_MIN && expires <= m->now)
        return;
    for (size_t i = 0; i < attr->instances.n; i++) {
        struct chosen *there = &attr->instances.v[i];
        if (!same_dataset(there->instance, instance))
            continue;
        bool observed =
            json_get(there->instance, S("observedAt")) || json_get(instance, S("observedAt"));
        bool told = observed || (known_age(there->instance) && known_age(instance));
        if (!told && m->doubtful &&
            !json_equal(instance_value(there->instance), instance_value(instance), false)) {
            m->doubtful(m->ctx, there->source);
            m->doubtful(m->ctx, source);
        }
        if (compare_age(there->instance, instance) < 0)
            *there = (struct chosen){instance, source};
        return;
    }
    *vec_push(m->arena, &attr->instances) = (struct chosen){instance, source};
}

static void offer_attrs(struct merge *m, const struct merge_version *v, const struct json *entity)
{
    int rank = rank_of(v->mode);
    for (uint32_t i = 0; i < entity->n; i++) {
        struct str iri = json_key(&entity->members[i]);
        const struct json *list = &entity->members[i].value;
        if (entity_is_member(iri) || !json_is(list, JSON_ARRAY))
            continue;
        struct merged_attr *attr = attr_of(m, iri, rank);
        if (attr->rank < rank && attr->instances.n)
            continue; /* somebody with more right to it was here */
        attr->rank = rank;
        for (uint32_t k = 0; k < list->n; k++)
            offer(m, attr, &list->items[k], v->source);
    }
}

/* --- members of the entity --- */

static struct json together(struct arena *a, const struct json *const *lists, size_t n)
{
    VEC(struct json) out = VEC_INIT;
    for (size_t i = 0; i < n; i++)
        for (uint32_t k = 0; json_is(lists[i], JSON_ARRAY) && k < lists[i]->n; k++) {
            bool there = false;
            for (size_t j = 0; j < out.n && !there; j++)
                there = json_equal(&out.v[j], &lists[i]->items[k], true);
            if (!there)
                *vec_push(a, &out) = lists[i]->items[k];
        }
    return json_v_array(out.v, out.n);
}

static const struct json *extreme(const struct json *const *of, size_t n, struct str key, bool last)
{
    const struct json *best = NULL;
    for (size_t i = 0; i < n; i++) {
        const struct json *v = json_get(of[i], key);
        if (v && (!best || (instant_of(v) > instant_of(best)) == last))
            best = v;
    }
    return best;
}

/* An entity that one version says never expires does not. */
static const struct json *expiry(const struct json *const *of, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!json_get(of[i], S("expiresAt")))
            return NULL;
    return extreme(of, n, S("expiresAt"), true);
}

static const struct json *finish(struct merge *m, const struct json *const *of, size_t n)
{
    struct arena *a = m->arena;
    const struct json **lists = ARENA_ARRAY(a, const struct json *, n);
    struct json_member *out = ARENA_ARRAY(a, struct json_member, m->attrs.n + 6);
    size_t k = 0;
    out[k++] = json_m(S("id"), *json_get(of[0], S("id")));
    for (size_t i = 0; i < n; i++)
        lists[i] = json_get(of[i], S("type"));
    out[k++] = json_m(S("type"), together(a, lists, n));
    for (size_t i = 0; i < n; i++)
        lists[i] = json_get(of[i], S("scope"));
    struct json scopes = together(a, lists, n);
    if (scopes.n)
        out[k++] = json_m(S("scope"), scopes);
    const struct json *created = extreme(of, n, S("createdAt"), false);
    const struct json *modified = extreme(of, n, S("modifiedAt"), true), *expires = expiry(of, n);
    if (created)
        out[k++] = json_m(S("createdAt"), *created);
    if (modified)
        out[k++] = json_m(S("modifiedAt"), *modified);
    if (expires)
        out[k++] = json_m(S("expiresAt"), *expires);
    for (size_t i = 0; i < m->attrs.n; i++) {
        const struct merged_attr *attr = &m->attrs.v[i];
        struct json *items = ARENA_ARRAY(a, struct json, attr->instances.n);
        size_t at = 0;
        for (size_t pass = 0; pass < 2; pass++) /* the default instance comes first */
            for (size_t j = 0; j < attr->instances.n; j++)
                if (!json_get(attr->instances.v[j].instance, S("datasetId")) == !pass)
                    items[at++] = *attr->instances.v[j].instance;
        if (at)
            out[k++] = json_m(attr->iri, json_v_array(items, at));
    }
    struct json *entity = ARENA_NEW(a, struct json);
    *entity = json_v_object(out, k);
    return entity;
}

/* Do all say the same of when the entity expires? */
static bool one_expiry(const struct merge_version *v, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (instant_of(json_get(v[i].entity, S("expiresAt"))) !=
            instant_of(json_get(v[0].entity, S("expiresAt"))))
            return false;
    return true;
}

const struct json *merge_versions(struct arena *a, const struct merge_version *v, size_t n,
                                  int64_t now, void (*doubtful)(void *ctx, size_t source),
                                  void *ctx)
{
    struct merge m = {.arena = a, .now = now, .doubtful = doubtful, .ctx = ctx};
    const struct json **alive = ARENA_ARRAY(a, const struct json *, n ? n : 1);
    bool same = one_expiry(v, n), several = n > 1;
    size_t k = 0;
    for (int rank = 0; rank <= rank_of(REG_AUXILIARY); rank++)
        for (size_t i = 0; i < n; i++) {
            if (rank_of(v[i].mode) != rank || entity_expired(v[i].entity, now))
                continue;
            bool limited = several && !same && json_get(v[i].entity, S("expiresAt"));
            alive[k] = limited ? limit_entity(a, v[i].entity) : v[i].entity;
            offer_attrs(&m, &v[i], alive[k]);
            k++;
        }
    if (k == 0)
        return NULL;
    return k == 1 && n == 1 ? alive[0] : finish(&m, alive, k);
}
