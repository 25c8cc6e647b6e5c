/*
 * Which subscriptions a change concerns (clause 5.8.6).
 *
 * Every selector stands in the index under the narrowest key that it has: each of its ids, else
 * each type that its selection needs, else "any" of its tenant, the last two with what ids begin
 * with where a pattern says so; and where attributes are watched, under that key with each of
 * them. A change looks up its own id, its types and "any", the beginnings of its id, alone and with
 * what it changed; what is found there is checked exactly by sub_concerns(). So thousands that
 * watch another attribute of a type that changes often, or other ids, cost nothing.
 *
 * The same is asked on the writer thread, while the change is at hand: rows that concern nobody
 * are marked with the index's generation, and the follower passes over them without reading.
 */
#include "core/regex.h"
#include "entity_impl.h"
#include "subscription_impl.h"
#include "v2.h"
#include <stdlib.h>
#include <string.h>

/* --- lists --- */

void sub_list_add(struct sub_list *l, struct sub *s)
{
    if (l->n == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 4;
        l->v = realloc(l->v, l->cap * sizeof(*l->v));
        if (!l->v)
            abort();
    }
    l->v[l->n++] = s;
}

void sub_list_remove(struct sub_list *l, const struct sub *s)
{
    for (size_t i = 0; i < l->n; i++) {
        if (l->v[i] == s) {
            l->v[i] = l->v[--l->n];
            return;
        }
    }
}

/* --- keys --- */

struct index_entry {
    struct sub_list list; /* first: what sub_index_find() gives out */
    size_t n;
    char key[];
};

/* A key and its parts in bytes: kind, tenant, name; for an attribute '\n' and its name behind it;
 * for a beginning '\r' and it between. No name has such signs. */
static struct str joined(struct arena *a, struct str x, char sign, struct str y)
{
    char *p = arena_alloc(a, x.n + 1 + y.n);
    memcpy(p, x.p, x.n);
    p[x.n] = sign;
    if (y.n)
        memcpy(p + x.n + 1, y.p, y.n);
    return str_n(p, x.n + 1 + y.n);
}

static struct str key_text(struct arena *a, char kind, int64_t tenant, struct str name)
{
    return joined(a, str_n((const char *)&tenant, sizeof(tenant)), kind, name);
}

/* The key of a type, or of any. */
static struct str narrowed(struct arena *a, struct str key, const struct sub_selector *sel)
{
    return sel->beginning.n ? joined(a, key, '\r', sel->beginning) : key;
}

/* The keys of a selector, each to fn. */
static void selector_keys(struct arena *a, int64_t tenant, const struct sub_selector *sel,
                          void (*fn)(void *ctx, struct str key), void *ctx)
{
    const struct query_hint *hints;
    struct entity_query q = {.types = sel->types};
    size_t n = sel->types ? query_hints(a, &q, &hints) : 0;
    for (size_t i = 0; i < sel->n_ids; i++)
        fn(ctx, key_text(a, 'i', tenant, sel->ids[i]));
    if (sel->n_ids)
        return;
    for (size_t h = 0; h < n; h++) {
        if (hints[h].kind != HINT_TYPE)
            continue;
        for (size_t i = 0; i < hints[h].n_names; i++)
            fn(ctx, narrowed(a, key_text(a, 't', tenant, hints[h].names[i]), sel));
        return;
    }
    fn(ctx, narrowed(a, key_text(a, 'a', tenant, S("")), sel));
}

struct keyed {
    struct map *index;
    struct sub *sub;
};

static void add_under(void *ctx, struct str key)
{
    struct keyed *k = ctx;
    struct index_entry *e = map_get(k->index, key);
    if (!e) {
        e = calloc(1, sizeof(*e) + key.n);
        if (!e)
            abort();
        e->n = key.n;
        memcpy(e->key, key.p, key.n);
        map_put(k->index, str_n(e->key, e->n), e);
    }
    sub_list_add(&e->list, k->sub);
}

static void remove_under(void *ctx, struct str key)
{
    struct keyed *k = ctx;
    struct index_entry *e = map_get(k->index, key);
    if (!e)
        return;
    sub_list_remove(&e->list, k->sub);
    if (e->list.n)
        return;
    map_del(k->index, key);
    free(e->list.v);
    free(e);
}

struct spread {
    struct arena *arena;
    const struct sub_spec *spec;
    void (*fn)(void *ctx, struct str key);
    void *ctx;
};

/* What another interface watches is its own matter. */
static void spread_key(void *ctx, struct str key)
{
    const struct spread *x = ctx;
    size_t n = x->spec->face ? 0 : x->spec->n_watched;
    for (size_t i = 0; i < n; i++)
        x->fn(x->ctx, joined(x->arena, key, '\n', x->spec->watched[i]));
    if (!n)
        x->fn(x->ctx, key);
}

static void each_key(struct map *index, struct sub *s, void (*fn)(void *ctx, struct str key))
{
    struct arena a = ARENA_INIT;
    struct keyed k = {index, s};
    struct spread x = {&a, s->spec, fn, &k};
    bool registrations = s->spec->face && s->spec->face->registrations;
    if (registrations)
        fn(&k, key_text(&a, 'r', s->spec->tenant, S("")));
    for (size_t i = 0; !registrations && i < s->spec->n_selectors; i++)
        selector_keys(&a, s->spec->tenant, &s->spec->selectors[i], spread_key, &x);
    if (!registrations && !s->spec->n_selectors)
        spread_key(&x, key_text(&a, 'a', s->spec->tenant, S("")));
    arena_release(&a);
}

/* A mark of one generation says nothing in any other, of this index or another one. */
static void next_generation(struct sub_index *x)
{
    static _Atomic uint64_t last;
    atomic_store(&x->generation, atomic_fetch_add(&last, 1) + 1);
}

/* Periodic subscriptions do not follow changes and stand under no key. */
static void change_index(struct sub_index *x, struct sub *s, int by,
                         void (*fn)(void *ctx, struct str key))
{
    if (s->spec->interval_us)
        return;
    pthread_rwlock_wrlock(&x->lock);
    each_key(&x->by_key, s, fn);
    for (size_t i = 0; i < s->spec->n_selectors; i++)
        x->beginnings[s->spec->selectors[i].beginning.n] += (size_t)by;
    next_generation(x);
    pthread_rwlock_unlock(&x->lock);
}

void sub_index_add(struct sub_index *x, struct sub *s)
{
    change_index(x, s, 1, add_under);
}

void sub_index_remove(struct sub_index *x, struct sub *s)
{
    change_index(x, s, -1, remove_under);
}

void sub_index_init(struct sub_index *x)
{
    *x = (struct sub_index){.by_key = MAP_INIT};
    pthread_rwlock_init(&x->lock, NULL);
    next_generation(x);
}

void sub_index_release(struct sub_index *x)
{
    struct map_iter it = {0};
    while (map_next(&x->by_key, &it)) {
        struct index_entry *e = it.value;
        free(e->list.v);
        free(e);
    }
    map_release(&x->by_key);
    pthread_rwlock_destroy(&x->lock);
}

struct looking {
    const struct sub_index *index;
    struct arena *arena;
    const struct entity_event *ev;
    void (*each)(void *ctx, const struct sub_list *list);
    void *ctx;
};

static void find_one(const struct looking *l, struct str key)
{
    const struct index_entry *e = map_get(&l->index->by_key, key);
    if (e)
        l->each(l->ctx, &e->list);
}

/* The key alone, and with each attribute that was changed, or that is there when the entity was
 * made or deleted. */
static void find(const struct looking *l, struct str key)
{
    const struct entity_event *ev = l->ev;
    find_one(l, key);
    for (size_t i = 0; i < ev->changes.n; i++)
        find_one(l, joined(l->arena, key, '\n', ev->changes.v[i].attr));
    for (uint32_t i = 0; ev->op != EVENT_UPDATED && i < ev->doc->n; i++)
        if (!entity_is_member(json_key(&ev->doc->members[i])))
            find_one(l, joined(l->arena, key, '\n', json_key(&ev->doc->members[i])));
}

/* The same, and with each beginning of the id that some pattern has. */
static void find_beginnings(const struct looking *l, struct str key, struct str id)
{
    find(l, key);
    for (size_t n = 1; n <= SUB_BEGINNING && n <= id.n; n++)
        if (l->index->beginnings[n])
            find(l, joined(l->arena, key, '\r', str_sub(id, 0, n)));
}

void sub_index_find(const struct sub_index *x, struct arena *a, int64_t tenant,
                    const struct entity_event *ev,
                    void (*each)(void *ctx, const struct sub_list *list), void *ctx)
{
    const struct json *types = entity_types(ev->doc);
    struct str id = entity_id(ev->doc);
    struct looking l = {x, a, ev, each, ctx};
    if (!x->by_key.n)
        return;
    find(&l, key_text(a, 'i', tenant, id));
    if (str_starts(id, S(V2_ALIAS))) { /* others with the same id in NGSIv2 stand under its first */
        struct str first = v2_alias(a, v2_id(a, id));
        if (!str_eq(first, id))
            find(&l, key_text(a, 'i', tenant, first));
    }
    for (uint32_t i = 0; json_is(types, JSON_ARRAY) && i < types->n; i++)
        find_beginnings(&l, key_text(a, 't', tenant, json_text(&types->items[i])), id);
    find_beginnings(&l, key_text(a, 'a', tenant, S("")), id);
}

void sub_index_registrations(const struct sub_index *x, struct arena *a, int64_t tenant,
                             void (*each)(void *ctx, const struct sub_list *list), void *ctx)
{
    const struct index_entry *e = map_get(&x->by_key, key_text(a, 'r', tenant, S("")));
    if (e)
        each(ctx, &e->list);
}

static void note_found(void *ctx, const struct sub_list *list)
{
    bool *found = ctx;
    (void)list;
    *found = true;
}

/* Whoever is entered meanwhile changes the generation, and the mark is none: it is not waited for.
 */
uint64_t sub_index_mark(void *index, struct arena *a, int64_t tenant, const void *event)
{
    struct sub_index *x = index;
    bool found = false;
    if (pthread_rwlock_tryrdlock(&x->lock))
        return 0;
    sub_index_find(x, a, tenant, event, note_found, &found);
    uint64_t generation = atomic_load(&x->generation);
    pthread_rwlock_unlock(&x->lock);
    return found ? 0 : generation;
}

/* --- conditions --- */

static bool selector_holds(const struct sub_selector *sel, const struct json *doc)
{
    struct str id = entity_id(doc);
    bool hit = sel->n_ids == 0;
    for (size_t i = 0; i < sel->n_ids && !hit; i++)
        hit = str_eq(id, sel->ids[i]);
    if (hit && sel->types)
        hit = query_types_hold(sel->types, entity_types(doc));
    if (hit && sel->pattern && regex_match(sel->pattern, id, &hit))
        hit = true;
    return hit;
}

static bool watches(const struct sub_spec *s, struct str attr)
{
    for (size_t i = 0; i < s->n_watched; i++)
        if (str_eq(s->watched[i], attr))
            return true;
    return s->n_watched == 0;
}

/* Of an entity made or deleted: does it have a watched attribute, or is none named? */
static bool any_watched(const struct sub_spec *s, const struct json *doc)
{
    for (size_t i = 0; i < s->n_watched; i++)
        if (entity_attr(doc, s->watched[i]))
            return true;
    return s->n_watched == 0;
}

static bool same_instance(const struct json *x, const struct json *y);

static bool same_instances(const struct json *x, const struct json *y)
{
    bool lists = json_is(x, JSON_ARRAY) && json_is(y, JSON_ARRAY) && x->n == y->n;
    for (uint32_t i = 0; lists && i < x->n; i++)
        if (!same_instance(&x->items[i], &y->items[i]))
            return false;
    return lists;
}

/* Times aside; in any order. Depth is bounded by that of entities. */
static bool same_instance(const struct json *x, const struct json *y)
{
    uint32_t members = 0;
    for (uint32_t i = 0; i < x->n; i++) {
        struct str key = json_key(&x->members[i]);
        const struct json *v = &x->members[i].value, *other = json_get(y, key);
        enum slot slot = slot_of(key, NULL);
        if (slot == SLOT_CREATED || slot == SLOT_MODIFIED)
            continue;
        members++;
        if (!other || !(slot == SLOT_SUB ? same_instances(v, other) : json_equal(v, other, true)))
            return false;
    }
    for (uint32_t i = 0; i < y->n; i++) {
        enum slot slot = slot_of(json_key(&y->members[i]), NULL);
        members -= slot != SLOT_CREATED && slot != SLOT_MODIFIED;
    }
    return members == 0;
}

bool sub_differs(const struct attr_change *ch)
{
    return ch->op != ATTR_UPDATED || !ch->before || !ch->after ||
           !same_instance(ch->before, ch->after);
}

static bool triggered(const struct sub_spec *s, const struct entity_event *ev)
{
    static const unsigned of_op[] = {[ATTR_CREATED] = TRIGGER_ATTR_CREATED,
                                     [ATTR_UPDATED] = TRIGGER_ATTR_UPDATED,
                                     [ATTR_DELETED] = TRIGGER_ATTR_DELETED};
    if (ev->op == EVENT_DELETED && (s->triggers & TRIGGER_ENTITY_DELETED))
        return any_watched(s, ev->doc);
    if (ev->op == EVENT_CREATED && (s->triggers & TRIGGER_ENTITY_CREATED) &&
        any_watched(s, ev->doc))
        return true;
    /* A change of types or scope alone is an update of the entity and of no attribute. */
    if (ev->op == EVENT_UPDATED && !ev->changes.n)
        return (s->triggers & TRIGGER_ENTITY_UPDATED) && !s->n_watched;
    for (size_t i = 0; i < ev->changes.n; i++) {
        const struct attr_change *ch = &ev->changes.v[i];
        enum attr_op op = ev->op == EVENT_DELETED ? ATTR_DELETED : ch->op; /* with its entity */
        if ((s->triggers & of_op[op]) && watches(s, ch->attr) && sub_differs(ch))
            return true;
    }
    return false;
}

bool sub_selects(const struct sub_spec *s, size_t n, const struct json *doc)
{
    bool hit = false;
    for (size_t i = 0; i < n && !hit; i++)
        hit = selector_holds(&s->selectors[i], doc);
    return hit;
}

bool sub_concerns(const struct sub_spec *s, const struct sub_place *at, struct arena *a,
                  const struct entity_event *ev)
{
    bool hit;
    struct error e;
    struct sub_links links;
    struct entity_query filter = s->filter;
    if (s->face)
        return s->face->concerns(s, a, ev);
    if (!triggered(s, ev) || (s->n_selectors && !sub_selects(s, s->n_selectors, ev->doc)))
        return false;
    filter.linker = sub_links_open(&links, at, s->group->owner, NULL);
    bool holds = query_holds(&filter, ev->doc, &hit, &e) != OK || hit;
    sub_links_close(&links);
    return holds;
}
