/*
 * The decision, as pure functions of a view and an entity.
 *
 * For one right on one attribute, or on the entity itself:
 *
 *   1. a deny rule that meets it            -> no     (deny wins, whatever else is said)
 *   2. an allow rule that meets it          -> yes
 *   3. a type or the attribute is personal  -> no
 *   4. the right is open without a rule     -> yes, else no
 *
 * A rule meets an entity by its types, its scopes, its creator and a query, and an attribute by its
 * name. A rule that names attributes says nothing about the entity itself, with one exception: what
 * may be seen of an entity makes it visible. To allow what is personal a rule must name it: every
 * personal type of the entity, and a personal attribute.
 */
#include "access_impl.h"

static bool among(const struct str *names, size_t n, struct str name)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(names[i], name))
            return true;
    return false;
}

/* --- does a rule meet an entity? --- */

static bool meets_types(const struct access_rule *r, const struct json *types)
{
    for (uint32_t i = 0; types && i < types->n; i++)
        if (among(r->types, r->n_types, json_text(&types->items[i])))
            return true;
    return r->n_types == 0;
}

static bool meets_query(const struct access_rule *r, const struct json *stored)
{
    bool hit = false;
    struct error e;
    pthread_mutex_lock(r->q_lock);
    enum err err = query_q_holds(r->q, stored, &hit, &e);
    pthread_mutex_unlock(r->q_lock);
    return err ? r->deny : hit;
}

static bool is_own(const struct access_view *v, const struct json *stored)
{
    struct str creator = json_text(json_get(stored, S(ACCESS_CREATOR)));
    return creator.n && v->actor.n && str_eq(creator, v->actor);
}

static bool meets(const struct access_view *v, const struct access_rule *r,
                  const struct json *stored, const struct json *types)
{
    if (!types && r->n_types)
        return r->deny;
    if (!meets_types(r, types))
        return false;
    if (r->broken)
        return r->deny;
    if (!r->own && !r->scope && !r->q)
        return true;
    if (!stored)
        return r->deny;
    if (r->own && !is_own(v, stored))
        return false;
    if (r->scope && !query_scope_holds(r->scope, json_get(stored, S("scope"))))
        return false;
    return !r->q || meets_query(r, stored);
}

/* --- one case --- */

/* Is something of it personal that the rule (NULL: none) does not name? */
static bool personal(const struct access_view *v, const struct access_rule *r,
                     const struct json *types, struct str attr)
{
    const struct access_marks *p = v->personal;
    if (!types && p->n_types)
        return true;
    for (uint32_t i = 0; types && i < types->n; i++) {
        struct str type = json_text(&types->items[i]);
        if (among(p->types, p->n_types, type) && !(r && among(r->types, r->n_types, type)))
            return true;
    }
    return attr.p && among(p->attrs, p->n_attrs, attr) && !(r && among(r->attrs, r->n_attrs, attr));
}

/* What is worked out once for an entity: which rules meet it, when somebody asks. */
struct entity_case {
    const struct access_view *v;
    const struct json *stored, *types;
    signed char met[ACCESS_RULES_MAX]; /* 0: not asked yet, 1, -1 */
};

static void case_open(struct entity_case *k, const struct access_view *v, const struct json *stored,
                      const struct json *types)
{
    k->v = v;
    k->stored = stored;
    k->types = types;
    memset(k->met, 0, v->n_rules);
}

static bool rule_meets(struct entity_case *k, size_t i)
{
    if (!k->met[i])
        k->met[i] = meets(k->v, k->v->rules[i], k->stored, k->types) ? 1 : -1;
    return k->met[i] > 0;
}

static struct access_verdict decide(struct entity_case *k, enum access_right right, struct str attr)
{
    const struct access_view *v = k->v;
    const struct access_rule *allow = NULL;
    if (v->nothing)
        return (struct access_verdict){false, WHY_NOTHING, NULL};
    if (v->admin)
        return (struct access_verdict){true, WHY_ADMIN, NULL};
    for (size_t i = 0; i < v->n_rules; i++) {
        const struct access_rule *r = v->rules[i];
        if (!(r->rights & right) || (!r->deny && allow))
            continue;
        if (r->n_attrs && !(attr.p && among(r->attrs, r->n_attrs, attr)))
            continue;
        if (!rule_meets(k, i))
            continue;
        if (r->deny)
            return (struct access_verdict){false, WHY_RULE, r};
        if (!personal(v, r, k->types, attr))
            allow = r;
    }
    if (allow)
        return (struct access_verdict){true, WHY_RULE, allow};
    if (personal(v, NULL, k->types, attr))
        return (struct access_verdict){false, WHY_PERSONAL, NULL};
    bool open = (v->open & right) != 0;
    return (struct access_verdict){open, open ? WHY_OPEN : WHY_CLOSED, NULL};
}

struct access_verdict access_decide(const struct access_view *v, enum access_right right,
                                    const struct json *stored, const struct json *types,
                                    struct str attr)
{
    struct entity_case k;
    if (!v)
        return (struct access_verdict){true, WHY_OPEN, NULL};
    case_open(&k, v, stored, types ? types : entity_types(stored));
    struct access_verdict whole = decide(&k, right, STR_NONE);
    /* an entity that is denied as such has no attributes */
    if (!attr.p || (!whole.allowed && whole.why == WHY_RULE))
        return whole;
    return decide(&k, right, attr);
}

/* --- views --- */

void access_view_finish(struct access_view *v)
{
    static _Atomic uint64_t views;
    bool hides = !(v->open & ACCESS_READ) || v->personal->n_types || v->personal->n_attrs;
    v->by_attrs = v->personal->n_attrs > 0;
    v->admin = false;
    for (size_t i = 0; i < v->n_rules; i++) {
        const struct access_rule *r = v->rules[i];
        if ((r->rights & ACCESS_ADMIN) && !r->deny && !r->n_types && !r->n_attrs && !r->own &&
            !r->scope && !r->q && !r->broken)
            v->admin = true;
        if (!(r->rights & ACCESS_READ))
            continue;
        hides = hides || r->deny;
        v->by_attrs = v->by_attrs || r->n_attrs > 0;
    }
    v->sees_all = !v->nothing && (v->admin || !hides);
    v->number = v->sees_all ? 0 : atomic_fetch_add(&views, 1) + 1;
}

uint64_t access_number(const struct access_view *v)
{
    if (v && v->nothing)
        return UINT64_MAX; /* nothing is shown, and so nothing is kept under it */
    return v ? v->number : 0;
}

bool access_may(const struct access_view *v, enum access_right right)
{
    if (!v || v->admin)
        return true;
    if (v->nothing)
        return false;
    for (size_t i = 0; i < v->n_rules; i++)
        if (!v->rules[i]->deny && (v->rules[i]->rights & right))
            return true;
    return (v->open & right) != 0;
}

bool access_owns(const struct access_view *v, const struct access_who *who, struct str owner)
{
    return !owner.n || !v || v->admin || who->kind == WHO_CITY || who->manages ||
           str_eq(owner, who->actor);
}

/* --- reading --- */

bool access_sees_all(const struct access_view *v)
{
    return !v || v->sees_all;
}

enum access_sight access_sight(const struct access_view *v, const struct json *types)
{
    if (!v || v->sees_all)
        return SIGHT_ALL;
    if (v->nothing)
        return SIGHT_NONE;
    bool all = (v->open & ACCESS_READ) && !personal(v, NULL, types, STR_NONE);
    bool less = v->personal->n_attrs > 0, perhaps = false;
    for (size_t i = 0; i < v->n_rules; i++) {
        const struct access_rule *r = v->rules[i];
        if (!(r->rights & ACCESS_READ) || !meets_types(r, types))
            continue;
        if (r->deny)
            less = true;
        else if (r->n_attrs || r->own || r->scope || r->q || r->broken)
            perhaps = true;
        else if (!personal(v, r, types, STR_NONE))
            all = true;
    }
    if (all)
        return less ? SIGHT_SOME : SIGHT_ALL;
    return perhaps ? SIGHT_SOME : SIGHT_NONE;
}

/* A deny rule for all of it, whatever is allowed elsewhere. */
static bool denied_whole(const struct access_verdict *whole)
{
    return !whole->allowed && (whole->why == WHY_RULE || whole->why == WHY_NOTHING);
}

static const struct json *without_hidden(struct entity_case *k, struct arena *a, bool whole)
{
    const struct json *stored = k->stored;
    struct json_member *m = ARENA_ARRAY(a, struct json_member, stored->n);
    uint32_t n = 0, attrs = 0, hidden = 0;
    for (uint32_t i = 0; i < stored->n; i++) {
        struct str name = json_key(&stored->members[i]);
        bool member = entity_is_member(name);
        if (!member && !decide(k, ACCESS_READ, name).allowed) {
            hidden++;
            continue;
        }
        attrs += !member;
        m[n++] = stored->members[i];
    }
    if (!whole && !attrs)
        return NULL;
    if (!hidden)
        return stored;
    struct json *out = ARENA_NEW(a, struct json);
    *out = json_v_object(m, n);
    return out;
}

const struct json *access_see(const struct access_view *v, struct arena *a,
                              const struct json *stored)
{
    struct entity_case k;
    if (!v || v->sees_all || !stored)
        return stored;
    case_open(&k, v, stored, entity_types(stored));
    struct access_verdict whole = decide(&k, ACCESS_READ, STR_NONE);
    if (denied_whole(&whole))
        return NULL;
    if (whole.allowed && !v->by_attrs)
        return stored;
    if (!whole.allowed && !v->by_attrs)
        return NULL;
    return without_hidden(&k, a, whole.allowed);
}

/* Some attribute might show: an allow rule for attributes meets the entity. */
static bool shows_some(struct entity_case *k)
{
    for (size_t i = 0; i < k->v->n_rules; i++) {
        const struct access_rule *r = k->v->rules[i];
        if ((r->rights & ACCESS_READ) && !r->deny && r->n_attrs && rule_meets(k, i) &&
            !personal(k->v, r, k->types, STR_NONE))
            return true;
    }
    return false;
}

bool access_sees(const struct access_view *v, const struct json *stored, const struct json *types,
                 struct str attr)
{
    struct entity_case k;
    if (!v || v->sees_all)
        return true;
    case_open(&k, v, stored, types ? types : entity_types(stored));
    struct access_verdict whole = decide(&k, ACCESS_READ, STR_NONE);
    if (denied_whole(&whole))
        return false;
    if (!attr.p)
        return whole.allowed || shows_some(&k);
    return decide(&k, ACCESS_READ, attr).allowed;
}

/* --- following --- */

static bool hears(struct entity_case *k, struct str attr)
{
    return decide(k, ACCESS_READ, attr).allowed && decide(k, ACCESS_SUBSCRIBE, attr).allowed;
}

const struct entity_event *access_event(const struct access_view *v, struct arena *a,
                                        const struct entity_event *ev)
{
    struct entity_case k;
    if (!v || v->admin || (v->sees_all && !v->n_rules && (v->open & ACCESS_SUBSCRIBE)))
        return ev;
    const struct json *doc = access_see(v, a, ev->doc);
    if (!doc)
        return NULL;
    case_open(&k, v, ev->doc, entity_types(ev->doc));
    struct access_verdict whole = decide(&k, ACCESS_SUBSCRIBE, STR_NONE);
    if (denied_whole(&whole))
        return NULL;
    struct entity_event *out = ARENA_NEW(a, struct entity_event);
    *out = (struct entity_event){.op = ev->op, .doc = doc, .note = ev->note};
    for (size_t i = 0; i < ev->changes.n; i++)
        if (hears(&k, ev->changes.v[i].attr))
            *vec_push(a, &out->changes) = ev->changes.v[i];
    if (out->changes.n == ev->changes.n && (whole.allowed || out->changes.n))
        return doc == ev->doc ? ev : out;
    return out->changes.n || (whole.allowed && ev->op != EVENT_UPDATED) ? out : NULL;
}

/* --- changing --- */

static struct str id_of(const struct json *before, const struct json *after)
{
    return entity_id(before ? before : after);
}

static enum err refuse(const struct access_view *v, const struct json *before,
                       const struct json *after, struct str attr, struct error *e)
{
    if (before && !access_sees(v, before, NULL, STR_NONE))
        return error_set(e, ERR_NOT_FOUND, "no entity %" STR_F, STR_A(id_of(before, after)));
    if (!attr.p)
        return error_set(e, ERR_FORBIDDEN, "no right to change entity %" STR_F,
                         STR_A(str_cut(id_of(before, after), 200)));
    return error_set(e, ERR_FORBIDDEN, "no right to change %" STR_F " of %" STR_F,
                     STR_A(str_cut(attr, 200)), STR_A(str_cut(id_of(before, after), 200)));
}

/* Is the entity itself changed, not only attributes of it? */
static bool changes_whole(const struct json *before, const struct json *after, size_t n)
{
    static const struct str members[] = {S_INIT("type"), S_INIT("scope"), S_INIT("expiresAt")};
    if (!before || !after)
        return true;
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        if (!json_equal(json_get(before, members[i]), json_get(after, members[i]), true))
            return true;
    return n == 0;
}

enum err access_change(const struct access_view *v, const struct json *before,
                       const struct json *after, const struct attr_change *changes, size_t n,
                       struct error *e)
{
    const struct json *states[2] = {before, after};
    bool whole = changes_whole(before, after, n);
    if (!v || v->admin)
        return OK;
    for (int s = 0; s < 2; s++) {
        struct entity_case k;
        if (!states[s])
            continue;
        case_open(&k, v, states[s], entity_types(states[s]));
        struct access_verdict entity = decide(&k, ACCESS_WRITE, STR_NONE);
        if (denied_whole(&entity) || (whole && !entity.allowed))
            return refuse(v, before, after, STR_NONE, e);
        for (size_t i = 0; i < n; i++)
            if (!decide(&k, ACCESS_WRITE, changes[i].attr).allowed)
                return refuse(v, before, after, changes[i].attr, e);
    }
    return OK;
}

enum err access_change_past(const struct access_view *v, const struct json *stored,
                            const struct json *types, struct str attr, struct error *e)
{
    if (access_decide(v, ACCESS_WRITE, stored, types, attr).allowed)
        return OK;
    return error_set(e, ERR_FORBIDDEN, "no right to change %" STR_F " there",
                     STR_A(attr.p ? str_cut(attr, 200) : S("the entity")));
}

const struct json *access_signed(struct arena *a, const struct json *before,
                                 const struct json *after, struct str actor)
{
    struct str was = json_text(json_get(before, S(ACCESS_CREATOR)));
    struct str creator = before ? was : actor;
    if (!after || !creator.n || json_get(after, S(ACCESS_CREATOR)))
        return after;
    struct json *out = ARENA_NEW(a, struct json);
    *out = json_with(a, after, S(ACCESS_CREATOR), json_v_str(creator));
    return out;
}

const struct access_view *access_of(const struct store_conn *c)
{
    return store_view(c);
}
