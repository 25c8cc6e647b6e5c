/*
 * Which registrations a request concerns (clauses 5.12, 5.10.2.4) and in what order and with which
 * parts their sources are asked (clause 4.3.6.3).
 *
 * Everything here works on held registrations, without the list's lock: patterns may take long.
 */
#include "query_impl.h"
#include "registration_impl.h"
#include <stdlib.h>
#include <string.h>

/* --- conditions on the whole --- */

/* Is the alias the received-by of an element of a Via header (RFC 9110 section 7.6.3)? */
static bool via_names(struct str via, struct str alias)
{
    struct str element;
    while (via.n && alias.n && str_split(&via, ',', &element)) {
        element = str_trim(element);
        ptrdiff_t blank = str_find_char(element, ' ');
        struct str by = blank < 0 ? element : str_trim(str_from(element, (size_t)blank));
        blank = str_find_char(by, ' '); /* a comment may follow */
        if (str_eq(blank < 0 ? by : str_sub(by, 0, (size_t)blank), alias))
            return true;
    }
    return false;
}

static bool time_meets(const struct reg_ask *q, const struct registration *r)
{
    /* one that names temporal operations and no interval may know any time */
    if ((q->op & REG_TEMPORAL) && !r->has_observation && !r->has_management)
        return true;
    switch (q->time) {
    case REG_OBSERVED:
        return r->has_observation && r->observed_from <= q->time_to &&
               r->observed_to >= q->time_from;
    case REG_MANAGED:
        return r->has_management && r->managed_from <= q->time_to && r->managed_to >= q->time_from;
    case REG_LATEST:
        break;
    }
    return (q->op & REG_TEMPORAL) || (!r->has_observation && !r->has_management);
}

static bool datasets_meet(const struct reg_ask *q, const struct registration *r)
{
    for (size_t i = 0; i < q->n_datasets; i++)
        for (size_t k = 0; k < r->n_datasets; k++)
            if (str_eq(q->datasets[i], r->datasets[k]))
                return true;
    return !q->n_datasets || !r->n_datasets;
}

static bool scope_meets(struct arena *a, const struct reg_ask *q, const struct registration *r)
{
    const struct json *scope = json_get(r->doc, S("scope"));
    if (!q->scope)
        return true;
    if (!scope)
        return !q->scope_strict;
    if (json_is(scope, JSON_ARRAY))
        return query_scope_holds(q->scope, scope);
    struct json *list = ARENA_NEW(a, struct json);
    *list = json_v_array(scope, 1);
    return query_scope_holds(q->scope, list);
}

/* --- places: could something that lies in the space meet the geo-query? --- */

static bool relation_holds(enum geo_relation relation, const struct geo_query *q,
                           const struct geo *space)
{
    struct geo_test *t = geo_test_new(relation, q->reference, q->metres, NULL);
    bool hit = !t || geo_test_holds(t, space); /* a reference that cannot be tested: ask */
    geo_test_free(t);
    return hit;
}

/* Has the space a corner as far away as that? */
static bool reaches(const struct geo_query *q, const struct geo *space, struct arena *a)
{
    for (size_t i = 0; i < space->n; i++)
        for (size_t k = 0; k < space->parts[i].n; k++) {
            const struct geo_ring *ring = &space->parts[i].rings[k];
            for (size_t p = 0; p < ring->n; p++)
                if (geo_distance(geo_point(a, ring->xy[2 * p], ring->xy[2 * p + 1]),
                                 q->reference) >= q->metres)
                    return true;
        }
    return false;
}

static bool could_answer(struct arena *a, const struct geo_query *q, const struct geo *space)
{
    if (geo_test_holds(q->test, space))
        return true;
    switch (q->relation) {
    case GEO_REL_NEAR_MAX:
        return false;
    case GEO_REL_NEAR_MIN:
        return reaches(q, space, a);
    case GEO_REL_CONTAINS:
    case GEO_REL_EQUALS:
        return relation_holds(GEO_REL_CONTAINS, q, space);
    case GEO_REL_DISJOINT:
        return !relation_holds(GEO_REL_WITHIN, q, space);
    case GEO_REL_WITHIN:
    case GEO_REL_INTERSECTS:
    case GEO_REL_OVERLAPS:
        break;
    }
    return relation_holds(GEO_REL_INTERSECTS, q, space);
}

static bool place_meets(struct arena *a, const struct reg_ask *q, const struct registration *r)
{
    if (!q->geo)
        return true;
    for (size_t i = 0; i < r->n_spaces; i++)
        if (str_eq(r->spaces[i].iri, q->geo->property))
            return could_answer(a, q->geo, r->spaces[i].geo);
    return !q->geo_strict;
}

/* --- csf: a q on the members of the registration (clause 4.9) --- */

static struct json_member property(struct arena *a, struct str iri, const struct json *value)
{
    struct json_member *m = ARENA_ARRAY(a, struct json_member, 2);
    struct json *instance = ARENA_NEW(a, struct json);
    m[0] = json_m(S("type"), json_v_str(S("Property")));
    m[1] = json_m(S("value"), *value);
    *instance = json_v_object(m, 2);
    return json_m(iri, json_v_array(instance, 1));
}

static struct json as_list(const struct json *v)
{
    return json_is(v, JSON_ARRAY) ? *v : json_v_array(v, 1);
}

/* The registration as an entity whose properties are its members. */
static const struct json *as_entity(struct arena *a, const struct registration *r)
{
    VEC(struct json_member) list = VEC_INIT;
    struct json *out = ARENA_NEW(a, struct json);
    for (uint32_t i = 0; i < r->doc->n; i++) {
        const struct json_member *m = &r->doc->members[i];
        struct str key = json_key(m);
        if (str_eq(key, S("type")) || str_eq(key, S("scope")))
            *vec_push(a, &list) = json_m(key, as_list(&m->value));
        else if (entity_is_member(key))
            *vec_push(a, &list) = *m;
        else
            *vec_push(a, &list) = property(a, ld_expand(ld_core(), a, key), &m->value);
    }
    *vec_push(a, &list) = json_m(S("createdAt"), json_v_str(datetime_text(a, r->created)));
    *vec_push(a, &list) = json_m(S("modifiedAt"), json_v_str(datetime_text(a, r->modified)));
    *out = json_v_object(list.v, list.n);
    return out;
}

enum err reg_meets(const struct reg_asking *q, const struct registration *r, bool *hit,
                   struct error *e)
{
    const struct reg_ask *ask = q->ask;
    *hit = r->tenant == ask->tenant && !(r->expires && r->expires <= ask->now) &&
           !via_names(ask->via, r->alias) && time_meets(ask, r) && datasets_meet(ask, r) &&
           scope_meets(q->arena, ask, r) && place_meets(q->arena, ask, r);
    if (!*hit || !ask->csf)
        return OK;
    return query_q_holds(ask->csf, as_entity(q->arena, r), hit, e);
}

/* --- what it says about entities --- */

enum err reg_asking_open(struct reg_asking *q, struct arena *a, const struct reg_ask *ask,
                         struct error *e)
{
    *q = (struct reg_asking){.ask = ask, .arena = a};
    if (ask->id_pattern.p && !ask->n_ids && !(q->pattern = regex_new(ask->id_pattern, e)))
        return e->code;
    return OK;
}

void reg_asking_release(struct reg_asking *q)
{
    regex_free(q->pattern);
    q->pattern = NULL;
}

static bool among(struct str name, const struct str *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(name, list[i]))
            return true;
    return false;
}

static bool types_meet(const struct reg_ask *ask, const struct reg_entity *x)
{
    if (ask->types && !query_types_hold(ask->types, x->types))
        return false;
    for (uint32_t i = 0; i < x->types->n; i++)
        if (among(json_text(&x->types->items[i]), ask->type_names, ask->n_type_names))
            return true;
    return !ask->n_type_names;
}

struct names {
    struct str *v;
    size_t n, cap;
};

static void add_name(struct arena *a, struct names *l, struct str name)
{
    if (!among(name, l->v, l->n))
        *vec_push(a, l) = name;
}

/* Ids of the ask that the entity's id or pattern allows, into ids; *all: it allows every one. */
static enum err ids_meet(const struct reg_asking *q, const struct reg_entity *x, struct names *ids,
                         bool *all, bool *hit, struct error *e)
{
    const struct reg_ask *ask = q->ask;
    *hit = true;
    if (!x->id.p && !x->pattern) {
        *all = true;
        return OK;
    }
    if (!ask->n_ids) {
        if (!x->id.p) { /* two patterns: who knows (clause 5.12) */
            *all = true;
            return OK;
        }
        if (q->pattern && regex_match(q->pattern, x->id, hit))
            return error_set(e, ERR_TOO_COMPLEX, "idPattern takes too long to match");
        if (*hit)
            add_name(q->arena, ids, x->id);
        return OK;
    }
    *hit = false;
    for (size_t i = 0; i < ask->n_ids; i++) {
        bool same = str_eq(ask->ids[i], x->id);
        if (!x->id.p && regex_match(x->pattern, ask->ids[i], &same))
            return error_set(e, ERR_TOO_COMPLEX, "a registered idPattern takes too long to match");
        if (same)
            add_name(q->arena, ids, ask->ids[i]);
        *hit = *hit || same;
    }
    return OK;
}

/* A selection of single types: which of them the entity has. false: it is more than that. */
static bool plain_types(struct arena *a, const struct query_expr *x, const struct reg_entity *of,
                        struct names *out)
{
    if (x->kind == EXPR_AND)
        return false;
    for (size_t i = 0; x->kind == EXPR_OR && i < x->n; i++)
        if (!plain_types(a, x->kids[i], of, out))
            return false;
    if (x->kind != EXPR_LEAF)
        return true;
    const struct str *iri = x->leaf;
    for (uint32_t i = 0; i < of->types->n; i++)
        if (str_eq(json_text(&of->types->items[i]), *iri))
            add_name(a, out, *iri);
    return true;
}

/* The types that the source is to be asked for; false: as the ask says. */
static bool narrow_types(const struct reg_asking *q, const struct reg_entity *x, struct names *out)
{
    if (q->ask->types)
        return plain_types(q->arena, q->ask->types->root, x, out);
    for (uint32_t i = 0; i < x->types->n; i++) {
        struct str iri = json_text(&x->types->items[i]);
        if (!q->ask->n_type_names || among(iri, q->ask->type_names, q->ask->n_type_names))
            add_name(q->arena, out, iri);
    }
    return true;
}

static enum err entities_meet(const struct reg_asking *q, const struct reg_info *info, bool *hit,
                              struct reg_part *part, struct error *e)
{
    struct names ids = {0}, types = {0};
    bool all_ids = false, all_types = false;
    *hit = info->n_entities == 0;
    for (size_t i = 0; i < info->n_entities; i++) {
        const struct reg_entity *x = &info->entities[i];
        bool one;
        if (!types_meet(q->ask, x))
            continue;
        enum err err = ids_meet(q, x, &ids, &all_ids, &one, e);
        if (err)
            return err;
        if (one && !narrow_types(q, x, &types))
            all_types = true;
        *hit = *hit || one;
    }
    if (all_ids || !info->n_entities) {
        part->ids = q->ask->ids;
        part->n_ids = q->ask->n_ids;
    } else {
        part->ids = ids.v;
        part->n_ids = ids.n;
    }
    part->types = all_types ? NULL : types.v;
    part->n_types = all_types ? 0 : types.n;
    return OK;
}

static bool attrs_meet(const struct reg_asking *q, const struct reg_info *info,
                       struct reg_part *part)
{
    const struct reg_ask *ask = q->ask;
    struct names both = {0};
    if (!info->n_attrs)
        return true; /* all that were asked for */
    if (!ask->n_attrs) {
        part->attrs = info->attrs;
        part->n_attrs = info->n_attrs;
        return true;
    }
    for (size_t i = 0; i < ask->n_attrs; i++)
        if (among(ask->attrs[i], info->attrs, info->n_attrs))
            add_name(q->arena, &both, ask->attrs[i]);
    part->attrs = both.v;
    part->n_attrs = both.n;
    return both.n > 0;
}

enum err reg_info_meets(const struct reg_asking *q, const struct reg_info *info, bool *hit,
                        struct reg_part *part, struct error *e)
{
    struct reg_part unused;
    if (!part)
        part = &unused;
    *part = (struct reg_part){.info = info};
    *hit = attrs_meet(q, info, part);
    return *hit ? entities_meet(q, info, hit, part, e) : OK;
}

/* --- order and exclusion (clause 4.3.6.3) --- */

static int rank(enum reg_mode mode)
{
    static const int ranks[] = {
        [REG_EXCLUSIVE] = 0, [REG_REDIRECT] = 1, [REG_INCLUSIVE] = 2, [REG_AUXILIARY] = 3};
    return ranks[mode];
}

static int by_rank(const void *x, const void *y)
{
    const struct reg_part *a = x, *b = y;
    int order = rank(a->reg->mode) - rank(b->reg->mode);
    if (!order)
        order = (a->reg->rid > b->reg->rid) - (a->reg->rid < b->reg->rid);
    return order ? order : (a->info > b->info) - (a->info < b->info);
}

static void subtract(struct arena *a, const struct str **list, size_t *n, const struct names *gone)
{
    struct names rest = {0};
    for (size_t i = 0; i < *n; i++)
        if (!among((*list)[i], gone->v, gone->n))
            add_name(a, &rest, (*list)[i]);
    *list = rest.v;
    *n = rest.n;
}

/* What exclusive registrations take is no other's, what redirect ones take not the inclusive ones'
 * and not ours. */
static void exclude(struct arena *a, const struct reg_ask *ask, struct reg_parts *out)
{
    struct names taken = {0};
    size_t kept = 0, begun = 0; /* taken names when the present rank began */
    for (size_t i = 0; i < out->n; i++) {
        struct reg_part p = out->v[i];
        int r = rank(p.reg->mode);
        if (i == 0 || r != rank(out->v[i - 1].reg->mode) || r == 0)
            begun = taken.n; /* redirect ones share (clause 4.3.6.3) */
        struct names gone = {taken.v, begun, begun};
        if (!p.n_attrs) {
            p.attrs = ask->attrs;
            p.n_attrs = ask->n_attrs;
        }
        subtract(a, &p.attrs, &p.n_attrs, &gone);
        for (size_t k = 0; r <= 1 && k < p.n_attrs; k++)
            add_name(a, &taken, p.attrs[k]);
        if (p.n_attrs)
            out->v[kept++] = p;
        else
            registration_let_go(p.reg);
    }
    out->n = kept;
    out->left = ask->attrs;
    out->n_left = ask->n_attrs;
    subtract(a, &out->left, &out->n_left, &taken);
}

static enum err match_one(const struct reg_asking *q, struct registration *r, struct reg_parts *out,
                          struct error *e)
{
    bool supported = !q->ask->op || (r->operations & q->ask->op);
    bool proxied = r->mode == REG_EXCLUSIVE || r->mode == REG_REDIRECT;
    bool hit = false;
    enum err err = supported || proxied ? reg_meets(q, r, &hit, e) : OK;
    for (size_t i = 0; !err && hit && i < r->n_infos; i++) {
        struct reg_part part;
        bool meets;
        err = reg_info_meets(q, &r->infos[i], &meets, &part, e);
        if (err || !meets)
            continue;
        part.reg = r;
        part.supported = supported;
        registration_hold(r);
        *vec_push(q->arena, out) = part;
    }
    return err;
}

enum err registrations_match(struct registrations *r, struct arena *a, const struct reg_ask *ask,
                             struct reg_parts *out, struct error *e)
{
    struct reg_asking q;
    struct reg_list list = {0};
    *out = (struct reg_parts){0};
    enum err err = reg_asking_open(&q, a, ask, e);
    if (!err)
        reg_candidates(r, a, ask, &list);
    for (size_t i = 0; !err && i < list.n; i++)
        err = match_one(&q, list.v[i], out, e);
    reg_list_release(&list);
    reg_asking_release(&q);
    if (err) {
        registrations_release(out);
        return err;
    }
    if (out->n)
        qsort(out->v, out->n, sizeof(*out->v), by_rank);
    if (ask->n_ids == 1 && ask->n_attrs)
        exclude(a, ask, out);
    return OK;
}

void registrations_release(struct reg_parts *parts)
{
    for (size_t i = 0; i < parts->n; i++)
        registration_let_go(parts->v[i].reg);
    parts->n = 0;
}

/* --- single entities and pairs of registrations --- */

static bool types_common(const struct json *x, const struct json *y)
{
    for (uint32_t i = 0; i < x->n; i++)
        for (uint32_t k = 0; k < y->n; k++)
            if (str_eq(json_text(&x->items[i]), json_text(&y->items[k])))
                return true;
    return false;
}

static bool id_allowed(const struct reg_entity *x, struct str id)
{
    bool hit = false;
    if (x->id.p)
        return str_eq(x->id, id);
    return !x->pattern || (!regex_match(x->pattern, id, &hit) && hit);
}

bool reg_part_covers(const struct reg_part *part, struct str id, const struct json *types,
                     struct str attr)
{
    const struct reg_info *info = part->info;
    bool hit = info->n_entities == 0;
    for (size_t i = 0; i < info->n_entities && !hit; i++)
        hit = (!types || types_common(info->entities[i].types, types)) &&
              id_allowed(&info->entities[i], id);
    return hit && (!attr.p || !info->n_attrs || among(attr, info->attrs, info->n_attrs));
}

static bool entities_overlap(const struct reg_entity *x, const struct reg_entity *y)
{
    if (x->id.p && y->id.p)
        return str_eq(x->id, y->id);
    if (!types_common(x->types, y->types))
        return false;
    return x->id.p ? id_allowed(y, x->id) : !y->id.p || id_allowed(x, y->id);
}

static bool infos_overlap(const struct reg_info *x, const struct reg_info *y)
{
    bool hit = !x->n_attrs || !y->n_attrs;
    for (size_t i = 0; i < x->n_attrs && !hit; i++)
        hit = among(x->attrs[i], y->attrs, y->n_attrs);
    if (!hit || !x->n_entities || !y->n_entities)
        return hit;
    for (size_t i = 0; i < x->n_entities; i++)
        for (size_t k = 0; k < y->n_entities; k++)
            if (entities_overlap(&x->entities[i], &y->entities[k]))
                return true;
    return false;
}

bool reg_overlaps(const struct registration *x, const struct registration *y)
{
    for (size_t i = 0; i < x->n_infos; i++)
        for (size_t k = 0; k < y->n_infos; k++)
            if (infos_overlap(&x->infos[i], &y->infos[k]))
                return true;
    return false;
}
